// Copyright (c) 2026 tyk.upgrade contributors
// GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
// SPDX-License-Identifier: GPL-3.0-or-later

package upstream

import (
	"encoding/json"
	"net/http"
	"net/http/httptest"
	"testing"
	"time"
)

func TestUpstream(t *testing.T) {
	server := httptest.NewServer(Handler())
	defer server.Close()
	get := func(path, plugin string) (*http.Response, map[string]any) {
		t.Helper()
		request, _ := http.NewRequest(http.MethodGet, server.URL+path, nil)
		if plugin != "" {
			request.Header.Set(PluginHeader, plugin)
		}
		response, err := http.DefaultClient.Do(request)
		if err != nil {
			t.Fatal(err)
		}
		defer response.Body.Close()
		var body map[string]any
		_ = json.NewDecoder(response.Body).Decode(&body)
		return response, body
	}
	response, body := get("/meter/x", "header")
	if response.StatusCode != 200 || response.Header.Get(PluginHeader) != "header" || body["path"] != "/meter/x" || body["method"] != "GET" {
		t.Fatalf("%v %v", response, body)
	}
	if response, _ := get("/plain", ""); response.Header.Values(PluginHeader) != nil {
		t.Fatal("a header out of nowhere")
	}
	begun := time.Now()
	if response, _ := get("/slow?ms=120", ""); response.StatusCode != 200 || time.Since(begun) < 120*time.Millisecond {
		t.Fatalf("slow answered %d after %s", response.StatusCode, time.Since(begun))
	}
	if response, _ := get("/slow?ms=x", ""); response.StatusCode != 400 {
		t.Fatal("bad ms accepted")
	}
	if _, body := get("/upstream/meter", ""); body["requests"] != 4.0 || body["marked"] != 1.0 {
		t.Fatalf("meter %v", body)
	}
}
