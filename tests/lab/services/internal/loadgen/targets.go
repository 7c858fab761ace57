// Copyright (c) 2026 tyk.upgrade contributors
// GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
// SPDX-License-Identifier: GPL-3.0-or-later

// Package loadgen sends a steady stream of requests to the lab's entry and judges every answer.
package loadgen

import (
	"encoding/json"
	"fmt"
	"net"
	"net/http"
	"net/url"
	"os"
	"regexp"
	"strings"
)

// Kinds of a target.
const (
	KindPlain  = "plain"  // the expected status
	KindEffect = "effect" // the expected status and the plugin's headers
	KindDeny   = "deny"   // must be refused; any 2xx is an unauthorised request let through
)

// Target is one request that is sent again and again.
type Target struct {
	Name    string            `json:"name"`
	URL     string            `json:"url"`
	Method  string            `json:"method"`
	Headers map[string]string `json:"headers"`
	Weight  int               `json:"weight"`
	Kind    string            `json:"kind"`
	Expect  Expect            `json:"expect"`

	headers map[string]*regexp.Regexp
}

// Expect is what a right answer looks like: one of the statuses, and headers that match.
type Expect struct {
	Status  []int             `json:"status"`
	Headers map[string]string `json:"headers"`
}

// ReadTargets reads a targets file: {"targets": [...]}.
func ReadTargets(path string) ([]Target, error) {
	file, err := os.Open(path)
	if err != nil {
		return nil, fmt.Errorf("cannot read the targets: %w", err)
	}
	defer file.Close()
	decoder := json.NewDecoder(file)
	decoder.DisallowUnknownFields()
	var content struct {
		Targets []Target `json:"targets"`
	}
	if err := decoder.Decode(&content); err != nil {
		return nil, fmt.Errorf("targets file %s is not valid: %w", path, err)
	}
	return CheckTargets(content.Targets)
}

// CheckTargets fills defaults and refuses what must not be called.
func CheckTargets(targets []Target) ([]Target, error) {
	if len(targets) == 0 {
		return nil, fmt.Errorf("there is no target")
	}
	names := map[string]bool{}
	for i := range targets {
		if err := targets[i].check(); err != nil {
			return nil, fmt.Errorf("target %q: %w", targets[i].Name, err)
		}
		if names[targets[i].Name] {
			return nil, fmt.Errorf("target %q is there twice", targets[i].Name)
		}
		names[targets[i].Name] = true
	}
	return targets, nil
}

func (t *Target) check() error {
	if t.Name == "" {
		return fmt.Errorf("it has no name")
	}
	address, err := url.Parse(t.URL)
	if err != nil {
		return err
	}
	if address.Scheme != "http" || !loopback(address.Hostname()) {
		return fmt.Errorf("%s is not an http address of this machine (127.0.0.0/8, ::1 or localhost)", address.Redacted())
	}
	if !strings.Contains(address.Path+"/", "/meter/") {
		return fmt.Errorf("the path %s lacks the segment /meter/, by which its records are counted", address.Path)
	}
	if t.Method == "" {
		t.Method = http.MethodGet
	}
	if t.Method != http.MethodGet && t.Method != http.MethodHead && t.Method != http.MethodDelete && t.Method != http.MethodOptions {
		return fmt.Errorf("method %s is not one of GET, HEAD, DELETE, OPTIONS", t.Method)
	}
	if t.Weight == 0 {
		t.Weight = 1
	}
	if t.Weight < 0 || t.Weight > 1000 {
		return fmt.Errorf("weight %d is not between 1 and 1000", t.Weight)
	}
	switch t.Kind {
	case "":
		t.Kind = KindPlain
	case KindPlain, KindDeny:
	case KindEffect:
		if len(t.Expect.Headers) == 0 {
			return fmt.Errorf("kind effect needs expect.headers")
		}
	default:
		return fmt.Errorf("kind %q is not plain, effect or deny", t.Kind)
	}
	if len(t.Expect.Status) == 0 {
		t.Expect.Status = []int{http.StatusOK}
		if t.Kind == KindDeny {
			t.Expect.Status = []int{http.StatusUnauthorized, http.StatusForbidden}
		}
	}
	if t.Kind == KindDeny {
		for _, status := range t.Expect.Status {
			if status/100 == 2 {
				return fmt.Errorf("kind deny cannot expect status %d", status)
			}
		}
	}
	t.headers = map[string]*regexp.Regexp{}
	for name, pattern := range t.Expect.Headers {
		compiled, err := regexp.Compile("^(?:" + pattern + ")$")
		if err != nil {
			return fmt.Errorf("header %s: %w", name, err)
		}
		t.headers[name] = compiled
	}
	return nil
}

func loopback(host string) bool {
	if host == "localhost" {
		return true
	}
	ip := net.ParseIP(host)
	return ip != nil && ip.IsLoopback()
}
