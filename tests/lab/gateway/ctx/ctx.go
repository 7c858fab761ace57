// Copyright (c) 2026 tyk.upgrade contributors
// GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
// SPDX-License-Identifier: GPL-3.0-or-later

// Package ctx carries what the gateway and its plugins know of a request from one to the other.
package ctx

import (
	"context"
	"net/http"

	"github.com/TykTechnologies/tyk/apidef"
	"github.com/TykTechnologies/tyk/user"
)

// Key names a value in a request's context.
type Key uint

// What is kept in a request's context.
const (
	SessionData Key = iota
	UpdateSession
	AuthToken
	Definition
)

func set(r *http.Request, key Key, value interface{}) {
	*r = *r.WithContext(context.WithValue(r.Context(), key, value))
}

// GetSession returns the caller's session, nil if there is none.
func GetSession(r *http.Request) *user.SessionState {
	session, _ := r.Context().Value(SessionData).(*user.SessionState)
	return session
}

// SetSession makes s the session of the request. With scheduleUpdate the gateway is asked to keep
// it; hashKey says whether its key is hashed when it is kept.
func SetSession(r *http.Request, s *user.SessionState, scheduleUpdate bool, hashKey ...bool) {
	if s == nil {
		panic("setting a nil context SessionData")
	}
	set(r, SessionData, s)
	set(r, AuthToken, s.KeyID)
	if scheduleUpdate {
		set(r, UpdateSession, true)
	}
}

// GetAuthToken returns the key that the caller was identified by.
func GetAuthToken(r *http.Request) string {
	token, _ := r.Context().Value(AuthToken).(string)
	return token
}

// GetDefinition returns the definition of the API that the request came to. It must not be changed.
func GetDefinition(r *http.Request) *apidef.APIDefinition {
	definition, _ := r.Context().Value(Definition).(*apidef.APIDefinition)
	return definition
}

// SetDefinition is for the gateway: it says which API the request came to.
func SetDefinition(r *http.Request, definition *apidef.APIDefinition) { set(r, Definition, definition) }
