// Copyright (c) 2026 tyk.upgrade contributors
// GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
// SPDX-License-Identifier: GPL-3.0-or-later

// Package main imports what plugins import from the gateway.
package main

import (
	"net/http"

	"github.com/TykTechnologies/tyk/ctx"
	"github.com/TykTechnologies/tyk/log"
	"github.com/TykTechnologies/tyk/user"
)

// Warm is never called.
func Warm(_ http.ResponseWriter, r *http.Request) {
	ctx.SetSession(r, user.NewSessionState(), false)
	log.Get().Debug(ctx.GetDefinition(r))
}

func main() {}
