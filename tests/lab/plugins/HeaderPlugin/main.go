// Copyright (c) 2026 tyk.upgrade contributors
// GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
// SPDX-License-Identifier: GPL-3.0-or-later

// Package main is a plugin for the hook pre: it marks each request for the upstream.
package main

import (
	"net/http"

	"github.com/TykTechnologies/tyk/ctx"
	"github.com/TykTechnologies/tyk/log"
)

var logger = log.Get()

// AddLabHeader says in a request header that the plugin has seen the request.
func AddLabHeader(_ http.ResponseWriter, r *http.Request) {
	r.Header.Set("X-Lab-Plugin", "header")
	if definition := ctx.GetDefinition(r); definition != nil {
		logger.WithField("api_id", definition.APIID).Debug("request marked")
	}
}

func main() {}
