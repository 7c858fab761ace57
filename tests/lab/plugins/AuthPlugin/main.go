// Copyright (c) 2026 tyk.upgrade contributors
// GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
// SPDX-License-Identifier: GPL-3.0-or-later

// Package main is a plugin for the hook auth_check: it knows one good key.
package main

import (
	"net/http"

	"github.com/TykTechnologies/tyk/ctx"
	"github.com/TykTechnologies/tyk/log"
	"github.com/TykTechnologies/tyk/user"
)

const goodKey = "lab-good-key"

var logger = log.Get()

// CheckLabKey gives the good key a session and refuses every other caller.
func CheckLabKey(w http.ResponseWriter, r *http.Request) {
	if r.Header.Get("Authorization") != goodKey {
		logger.Debug("caller refused")
		w.Header().Set("Content-Type", "application/json")
		w.WriteHeader(http.StatusUnauthorized)
		_, _ = w.Write([]byte(`{"error": "lab key required"}`))
		return
	}
	session := &user.SessionState{
		Alias:    "lab",
		MetaData: map[string]interface{}{"plugin": "auth"},
		KeyID:    goodKey,
	}
	ctx.SetSession(r, session, false)
	r.Header.Set("X-Lab-Plugin", "auth")
}

func main() {}
