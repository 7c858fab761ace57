// Copyright (c) 2026 tyk.upgrade contributors
// GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
// SPDX-License-Identifier: GPL-3.0-or-later

package gateway

import (
	"encoding/json"
	"net/http"
	"strings"
)

// mainHandler serves the APIs, and the control API too unless that has a port of its own.
func (g *Gateway) mainHandler(withControl bool) http.Handler {
	apis := http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		one, prefix := g.apis.Load().find(r.URL.Path)
		if one == nil {
			http.Error(w, "Not Found", http.StatusNotFound)
			return
		}
		one.serve(w, r, prefix)
	})
	if !withControl {
		return apis
	}
	return g.controlHandler(apis)
}

func (g *Gateway) controlHandler(otherwise http.Handler) http.Handler {
	hello, ready := "/"+g.config.HealthCheckEndpointName, "/"+g.config.ReadinessCheckEndpointName
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		switch path := r.URL.Path; {
		case path == hello:
			getOnly(g.health.hello)(w, r)
		case path == ready && g.behaviour.ReadyEndpoint:
			getOnly(g.health.ready)(w, r)
		case path == "/tyk" || strings.HasPrefix(path, "/tyk/"):
			g.control(w, r)
		default:
			otherwise.ServeHTTP(w, r)
		}
	})
}

func getOnly(handler http.HandlerFunc) http.HandlerFunc {
	return func(w http.ResponseWriter, r *http.Request) {
		if r.Method != http.MethodGet {
			reply(w, http.StatusMethodNotAllowed, status{"error", "Method Not Allowed"})
			return
		}
		handler(w, r)
	}
}

type status struct {
	Status  string `json:"status"`
	Message string `json:"message"`
}

func reply(w http.ResponseWriter, code int, body interface{}) {
	w.Header().Set("Content-Type", "application/json")
	w.WriteHeader(code)
	_ = json.NewEncoder(w).Encode(body)
}

func (g *Gateway) control(w http.ResponseWriter, r *http.Request) {
	if r.Header.Get("X-Tyk-Authorization") != g.config.Secret {
		mainLog().Warning("Attempted administrative access with invalid or missing key!")
		reply(w, http.StatusForbidden, status{"error", "Attempted administrative access with invalid or missing key!"})
		return
	}
	switch path := strings.TrimSuffix(r.URL.Path, "/"); {
	case path == "/tyk/reload" && r.Method == http.MethodGet:
		g.reloadNode(w, r)
	case path == "/tyk/reload/group" && r.Method == http.MethodGet:
		g.publishReload()
		reply(w, http.StatusOK, status{"ok", ""})
	case path == "/tyk/apis" && r.Method == http.MethodGet && !g.config.Slaved():
		reply(w, http.StatusOK, g.definitions())
	default:
		http.Error(w, "Not Found", http.StatusNotFound)
	}
}

func (g *Gateway) reloadNode(w http.ResponseWriter, r *http.Request) {
	if r.URL.Query().Get("block") != "true" {
		g.reloads.queue(nil)
		reply(w, http.StatusOK, status{"ok", ""})
		return
	}
	done := make(chan struct{})
	g.reloads.queue(done)
	select {
	case <-done:
		reply(w, http.StatusOK, status{"ok", ""})
	case <-r.Context().Done():
	}
}

func (g *Gateway) definitions() []interface{} {
	list := []interface{}{}
	seen := map[*api]bool{}
	for _, one := range g.apis.Load().list {
		if !seen[one.api] {
			seen[one.api] = true
			list = append(list, one.api.definition)
		}
	}
	return list
}
