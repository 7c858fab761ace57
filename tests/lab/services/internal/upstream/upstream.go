// Copyright (c) 2026 tyk.upgrade contributors
// GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
// SPDX-License-Identifier: GPL-3.0-or-later

// Package upstream is the service behind the gateways.
package upstream

import (
	"encoding/json"
	"io"
	"net/http"
	"strconv"
	"strings"
	"sync/atomic"
	"time"
)

// PluginHeader is the request header that the lab's plugin adds.
const PluginHeader = "X-Lab-Plugin"

const longest = time.Minute

// Handler answers every path with 200 and {path, method}; /slow?ms=N does so after N milliseconds;
// /upstream/meter shows {requests, marked} and is not counted itself.
func Handler() http.Handler {
	var requests, marked atomic.Int64
	mux := http.NewServeMux()
	mux.HandleFunc("/upstream/meter", func(w http.ResponseWriter, _ *http.Request) {
		reply(w, map[string]int64{"requests": requests.Load(), "marked": marked.Load()})
	})
	mux.HandleFunc("/", func(w http.ResponseWriter, r *http.Request) {
		requests.Add(1)
		if strings.Contains(r.URL.Path+"/", "/meter/") {
			marked.Add(1)
		}
		_, _ = io.Copy(io.Discard, r.Body)
		if strings.HasSuffix(r.URL.Path, "/slow") {
			wait, err := strconv.Atoi(r.URL.Query().Get("ms"))
			if err != nil || wait < 0 {
				http.Error(w, "ms is not a number of milliseconds", http.StatusBadRequest)
				return
			}
			select {
			case <-time.After(min(time.Duration(wait)*time.Millisecond, longest)):
			case <-r.Context().Done():
				return
			}
		}
		if value := r.Header.Get(PluginHeader); value != "" {
			w.Header().Set(PluginHeader, value)
		}
		reply(w, map[string]string{"path": r.URL.Path, "method": r.Method})
	})
	return mux
}

func reply(w http.ResponseWriter, value any) {
	w.Header().Set("Content-Type", "application/json")
	_ = json.NewEncoder(w).Encode(value)
}
