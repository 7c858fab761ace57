// Copyright (c) 2026 tyk.upgrade contributors
// GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
// SPDX-License-Identifier: GPL-3.0-or-later

package gateway

import (
	"context"
	"net/http"
	"sync"
	"time"
)

const usualCheckTime = 10 * time.Second

type check struct {
	Status        string `json:"status"`
	Output        string `json:"output,omitempty"`
	ComponentType string `json:"componentType,omitempty"`
	Time          string `json:"time"`
}

type report struct {
	Status      string           `json:"status"`
	Version     string           `json:"version"`
	Output      string           `json:"output,omitempty"`
	Description string           `json:"description"`
	Details     map[string]check `json:"details,omitempty"`
}

// health is looked at in an interval, not when somebody asks: until the first interval has passed
// there are no details and everything is said to be fine.
type health struct {
	gateway  *Gateway
	interval time.Duration
	mu       sync.RWMutex
	checks   map[string]check
}

func newHealth(g *Gateway) *health {
	interval := time.Duration(g.config.LivenessCheck.CheckDuration) * g.behaviour.LivenessUnit
	if interval <= 0 {
		interval = usualCheckTime
	}
	return &health{gateway: g, interval: interval, checks: map[string]check{}}
}

func (h *health) run(ctx context.Context) {
	ticker := time.NewTicker(h.interval)
	defer ticker.Stop()
	for {
		select {
		case <-ctx.Done():
			return
		case <-ticker.C:
			h.look(ctx)
		}
	}
}

func (h *health) look(ctx context.Context) {
	g, checks := h.gateway, map[string]check{}
	one := func(kind string, problem string) check {
		result := check{Status: "pass", ComponentType: kind, Time: time.Now().Format(time.RFC3339)}
		if problem != "" {
			result.Status, result.Output = "fail", problem
		}
		return result
	}
	limited, cancel := context.WithTimeout(ctx, 3*time.Second)
	defer cancel()
	problem := ""
	if err := g.redis.Ping(limited).Err(); err != nil {
		problem = "storage: Redis is either down or was not configured"
		mainLog().WithError(err).Error("Redis health check failed")
	}
	checks["redis"] = one("datastore", problem)
	if g.config.Policies.PolicySource == "rpc" {
		problem = ""
		if g.rpc == nil || !g.rpc.Healthy() {
			problem = "Could not connect to RPC"
		}
		checks["rpc"] = one("system", problem)
	}
	h.mu.Lock()
	h.checks = checks
	h.mu.Unlock()
}

func (h *health) read() (checks map[string]check, failed int) {
	h.mu.RLock()
	defer h.mu.RUnlock()
	for _, one := range h.checks {
		if one.Status != "pass" {
			failed++
		}
	}
	return h.checks, failed
}

func (h *health) hello(w http.ResponseWriter, _ *http.Request) {
	checks, failed := h.read()
	g := h.gateway
	answer := report{Status: "pass", Version: g.behaviour.Reported, Description: "Tyk GW", Details: checks}
	code := http.StatusOK
	switch {
	case failed == 0:
	case failed == len(checks):
		answer.Status = "fail"
	default:
		answer.Status = "warn"
	}
	if g.behaviour.HelloFails && failed > 0 && (failed == len(checks) || h.critical(checks)) {
		answer.Status, code = "fail", http.StatusServiceUnavailable
	}
	reply(w, code, answer)
}

// critical: Redis always is, MDCB unless the gateway has given it up already.
func (h *health) critical(checks map[string]check) bool {
	if checks["redis"].Status == "fail" {
		return true
	}
	return checks["rpc"].Status == "fail" && h.gateway.rpc != nil && !h.gateway.rpc.Emergency()
}

func (h *health) ready(w http.ResponseWriter, _ *http.Request) {
	g := h.gateway
	checks, _ := h.read()
	answer := report{Status: "pass", Version: g.behaviour.Reported, Description: "Tyk GW Ready"}
	fail := func(text string) {
		answer.Status, answer.Output = "fail", text
		reply(w, http.StatusServiceUnavailable, answer)
	}
	switch {
	case checks["redis"].Status == "fail":
		fail("Redis is not available")
	case g.loads.Load() == 0:
		fail("A successful reload did not happen")
	case g.behaviour.ReadyFailsStopping && g.stopping.Load():
		fail("Shutting down")
	default:
		reply(w, http.StatusOK, answer)
	}
}
