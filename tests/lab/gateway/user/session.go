// Copyright (c) 2026 tyk.upgrade contributors
// GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
// SPDX-License-Identifier: GPL-3.0-or-later

// Package user holds what the gateway knows of the caller of a request.
package user

import "time"

// AccessDefinition says which versions of an API a session may call.
type AccessDefinition struct {
	APIName  string   `json:"api_name"`
	APIID    string   `json:"api_id"`
	Versions []string `json:"versions"`
}

// SessionState is the session of an authenticated caller. An auth_check plugin makes one and hands
// it over with ctx.SetSession.
type SessionState struct {
	LastCheck        int64                       `json:"last_check"`
	Allowance        float64                     `json:"allowance"`
	Rate             float64                     `json:"rate"`
	Per              float64                     `json:"per"`
	Expires          int64                       `json:"expires"`
	QuotaMax         int64                       `json:"quota_max"`
	QuotaRenews      int64                       `json:"quota_renews"`
	QuotaRemaining   int64                       `json:"quota_remaining"`
	QuotaRenewalRate int64                       `json:"quota_renewal_rate"`
	AccessRights     map[string]AccessDefinition `json:"access_rights"`
	OrgID            string                      `json:"org_id"`
	OauthClientID    string                      `json:"oauth_client_id"`
	IsInactive       bool                        `json:"is_inactive"`
	ApplyPolicies    []string                    `json:"apply_policies"`
	MetaData         map[string]interface{}      `json:"meta_data"`
	Tags             []string                    `json:"tags"`
	Alias            string                      `json:"alias"`
	LastUpdated      string                      `json:"last_updated"`
	DateCreated      time.Time                   `json:"date_created"`
	KeyID            string                      `json:"-"`
}

// NewSessionState returns an empty session.
func NewSessionState() *SessionState { return &SessionState{} }

// IsExpired says whether the session's time is over; 0 and -1 mean never.
func (s *SessionState) IsExpired() bool { return s.Expires > 0 && time.Now().Unix() > s.Expires }
