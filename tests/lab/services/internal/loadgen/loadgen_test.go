// Copyright (c) 2026 tyk.upgrade contributors
// GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
// SPDX-License-Identifier: GPL-3.0-or-later

package loadgen

import (
	"bufio"
	"context"
	"fmt"
	"net"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"sync/atomic"
	"testing"
	"time"
)

func run(t *testing.T, options Options) Reading {
	t.Helper()
	if options.Rate == 0 {
		options.Rate = 200
	}
	if options.Duration == 0 {
		options.Duration = 300 * time.Millisecond
	}
	generator, err := New(options)
	if err != nil {
		t.Fatal(err)
	}
	return generator.Run(context.Background())
}

func serve(t *testing.T, handler http.HandlerFunc) string {
	t.Helper()
	server := httptest.NewServer(handler)
	t.Cleanup(server.Close)
	return server.URL
}

func TestEveryKindCountsItsOwnFault(t *testing.T) {
	var bodies atomic.Int64
	base := serve(t, func(w http.ResponseWriter, r *http.Request) {
		if r.ContentLength > 0 || len(r.TransferEncoding) > 0 {
			bodies.Add(1)
		}
		switch {
		case strings.HasPrefix(r.URL.Path, "/ok/"):
			w.Header().Set("X-Lab-Plugin", "header")
		case strings.HasPrefix(r.URL.Path, "/locked/"):
			w.WriteHeader(http.StatusUnauthorized)
		case strings.HasPrefix(r.URL.Path, "/broken/"):
			w.WriteHeader(http.StatusInternalServerError)
		case strings.HasPrefix(r.URL.Path, "/moved/"):
			http.Redirect(w, r, "/ok/meter/", http.StatusFound)
		}
	})
	effect := Expect{Headers: map[string]string{"X-Lab-Plugin": "head.+"}}
	targets := []Target{
		{Name: "ok", URL: base + "/ok/meter/a", Kind: KindEffect, Expect: effect, Weight: 2},
		{Name: "without", URL: base + "/plain/meter/a", Kind: KindEffect, Expect: effect},
		{Name: "refused", URL: base + "/locked/meter/a", Kind: KindDeny},
		{Name: "open", URL: base + "/ok/meter/b", Kind: KindDeny},
		{Name: "broken deny", URL: base + "/broken/meter/b", Kind: KindDeny},
		{Name: "broken", URL: base + "/broken/meter/a"},
		{Name: "moved", URL: base + "/moved/meter/a"},
	}
	reading := run(t, Options{Targets: targets, Rate: 400})
	if reading.Requests < 80 || reading.Answered != reading.Requests || reading.InFlight != 0 || reading.Running {
		t.Fatalf("odd totals: %+v", reading)
	}
	for name, wrong := range map[string]bool{"ok": false, "refused": false, "without": true, "open": true, "broken deny": true, "broken": true, "moved": true} {
		share := reading.Targets[name]
		want := int64(0)
		if wrong {
			want = share.Requests
		}
		if share.Requests == 0 || share.Failed != want {
			t.Errorf("%s: %+v, wanted %d failed", name, share, want)
		}
	}
	if reading.PluginEffectMissing != reading.Targets["without"].Requests {
		t.Errorf("plugin effect missing: %d", reading.PluginEffectMissing)
	}
	if reading.UnauthorizedAllowed != reading.Targets["open"].Requests {
		t.Errorf("unauthorised allowed: %d", reading.UnauthorizedAllowed)
	}
	if len(reading.Errors) != maxErrors {
		t.Errorf("%d error samples", len(reading.Errors))
	}
	if share := reading.Targets["ok"].Requests; share < reading.Targets["without"].Requests*2-2 {
		t.Errorf("weight 2 got %d of %d", share, reading.Requests)
	}
	if reading.P50 <= 0 || reading.P99 < reading.P50 {
		t.Errorf("percentiles %v %v", reading.P50, reading.P99)
	}
	if bodies.Load() != 0 {
		t.Errorf("%d requests carried a body", bodies.Load())
	}
}

func TestRateIsKeptWhileAnswersAreSlow(t *testing.T) {
	base := serve(t, func(http.ResponseWriter, *http.Request) { time.Sleep(200 * time.Millisecond) })
	reading := run(t, Options{Targets: []Target{{Name: "slow", URL: base + "/meter/"}}, Rate: 200, Duration: time.Second})
	if reading.Requests < 180 || reading.Failed != 0 {
		t.Fatalf("%d requests, %d failed", reading.Requests, reading.Failed)
	}
	if reading.P50 < 195 || reading.P50 > 1000 {
		t.Fatalf("p50 %v", reading.P50)
	}
}

// A server that closes each connection after one answer, without saying so: a client that retries
// would hide every second failure.
func TestNoHiddenRetry(t *testing.T) {
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer listener.Close()
	var seen atomic.Int64
	go func() {
		for {
			conn, err := listener.Accept()
			if err != nil {
				return
			}
			go func() {
				defer conn.Close()
				reader := bufio.NewReader(conn)
				for n := 0; ; n++ {
					if _, err := http.ReadRequest(reader); err != nil {
						return
					}
					seen.Add(1)
					if n > 0 {
						return // a reused connection: no answer
					}
					fmt.Fprint(conn, "HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n")
				}
			}()
		}
	}()
	target := Target{Name: "once", URL: "http://" + listener.Addr().String() + "/meter/"}
	reading := run(t, Options{Targets: []Target{target}, Rate: 50, Duration: time.Second})
	if reading.Failed < reading.Requests/3 {
		t.Fatalf("%d of %d failed: failures were hidden", reading.Failed, reading.Requests)
	}
	if seen.Load() != reading.Requests {
		t.Fatalf("%d requests were counted, the server saw %d", reading.Requests, seen.Load())
	}
}

func TestNothingListensAndNoAnswerInTime(t *testing.T) {
	slow := serve(t, func(http.ResponseWriter, *http.Request) { time.Sleep(300 * time.Millisecond) })
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	address := listener.Addr().String()
	listener.Close()
	reading := run(t, Options{
		Targets: []Target{{Name: "gone", URL: "http://" + address + "/meter/"}, {Name: "late", URL: slow + "/meter/"}},
		Timeout: 50 * time.Millisecond,
	})
	if reading.Failed != reading.Requests || reading.Answered != 0 {
		t.Fatalf("%+v", reading)
	}
	if all := strings.Join(reading.Errors, "\n"); !strings.Contains(all, "no answer in time") || !strings.Contains(all, "refused") {
		t.Fatalf("errors: %s", all)
	}
}

func TestTooManyInFlightIsAFailure(t *testing.T) {
	base := serve(t, func(http.ResponseWriter, *http.Request) { time.Sleep(500 * time.Millisecond) })
	reading := run(t, Options{Targets: []Target{{Name: "slow", URL: base + "/meter/"}}, InFlight: 5})
	if reading.Answered != 5 || reading.Failed != reading.Requests-5 {
		t.Fatalf("%+v", reading)
	}
}

func TestBadTargetsAreRefused(t *testing.T) {
	good := "http://127.0.0.1:1/meter/"
	for problem, target := range map[string]Target{
		"not an http address of this machine": {Name: "a", URL: "http://192.0.2.1/meter/"},
		"not an http address":                 {Name: "a", URL: "https://localhost/meter/"},
		"lacks the segment":                   {Name: "a", URL: "http://localhost/metering"},
		"has no name":                         {URL: good},
		"needs expect.headers":                {Name: "a", URL: good, Kind: KindEffect},
		"not plain, effect or deny":           {Name: "a", URL: good, Kind: "odd"},
		"cannot expect status 200":            {Name: "a", URL: good, Kind: KindDeny, Expect: Expect{Status: []int{200}}},
		"is not one of GET":                   {Name: "a", URL: good, Method: "POST"},
		"weight":                              {Name: "a", URL: good, Weight: -1},
		"header X":                            {Name: "a", URL: good, Expect: Expect{Headers: map[string]string{"X": "("}}},
	} {
		if _, err := CheckTargets([]Target{target}); err == nil || !strings.Contains(err.Error(), problem) {
			t.Errorf("wanted %q, got %v", problem, err)
		}
	}
	for _, options := range []Options{{Rate: MaxRate + 1, Duration: time.Second}, {Rate: 1, Duration: MaxDuration + 1}, {Rate: 0, Duration: 1}} {
		options.Targets = []Target{{Name: "a", URL: good}}
		if _, err := New(options); err == nil {
			t.Errorf("accepted: %+v", options)
		}
	}
	file := filepath.Join(t.TempDir(), "targets.json")
	if err := os.WriteFile(file, []byte(`{"targets": [{"name": "a", "uri": "x"}]}`), 0o600); err != nil {
		t.Fatal(err)
	}
	if _, err := ReadTargets(file); err == nil {
		t.Error("an unknown key was accepted")
	}
}
