// Copyright (c) 2026 tyk.upgrade contributors
// GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
// SPDX-License-Identifier: GPL-3.0-or-later

// Package main has a function for each hook. Each says which build it belongs to: by its plugin path.
package main

import (
	"net/http"
	"reflect"

	"github.com/TykTechnologies/tyk/ctx"
	"github.com/TykTechnologies/tyk/log"
	"github.com/TykTechnologies/tyk/user"
)

type here struct{}

var (
	build  = reflect.TypeOf(here{}).PkgPath()
	logger = log.Get()
)

func mark(r *http.Request, hook string) {
	r.Header.Set("X-Conformance-"+hook, build)
	logger.WithField("hook", hook).Debug("called")
}

// Pre marks a request before authentication.
func Pre(_ http.ResponseWriter, r *http.Request) { mark(r, "Pre") }

// PostKeyAuth marks a request whose caller is known, and says who it is.
func PostKeyAuth(_ http.ResponseWriter, r *http.Request) {
	mark(r, "Post-Key-Auth")
	if session := ctx.GetSession(r); session != nil {
		r.Header.Set("X-Conformance-Alias", session.Alias)
	}
}

// Post marks a request on its way to the upstream.
func Post(_ http.ResponseWriter, r *http.Request) { mark(r, "Post") }

// CheckKey knows one good key.
func CheckKey(w http.ResponseWriter, r *http.Request) {
	mark(r, "Auth")
	if r.Header.Get("Authorization") != "good" {
		w.WriteHeader(http.StatusUnauthorized)
		_, _ = w.Write([]byte("refused by the plugin"))
		return
	}
	ctx.SetSession(r, &user.SessionState{Alias: "conformance", KeyID: "good", MetaData: map[string]interface{}{"a": "b"}}, false)
}

// Answer answers instead of the upstream.
func Answer(w http.ResponseWriter, _ *http.Request) {
	w.WriteHeader(http.StatusAccepted)
	_, _ = w.Write([]byte("answered by the plugin"))
}

// After marks a response.
func After(_ http.ResponseWriter, response *http.Response, _ *http.Request) {
	response.Header.Set("X-Conformance-Response", build)
}

// Panic never lets a request through by its own will.
func Panic(http.ResponseWriter, *http.Request) { panic("broken on purpose") }

// PanicAfter does so with a response.
func PanicAfter(http.ResponseWriter, *http.Response, *http.Request) { panic("broken on purpose") }

func main() {}
