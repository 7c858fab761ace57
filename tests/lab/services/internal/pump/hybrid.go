// Copyright (c) 2026 tyk.upgrade contributors
// GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
// SPDX-License-Identifier: GPL-3.0-or-later

package pump

import (
	"crypto/rand"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"net"
	"strconv"
	"sync/atomic"
	"time"

	"github.com/TykTechnologies/gorpc"

	"tyk.upgrade/lab/internal/tyklog"
)

var hybridLog = tyklog.New("hybrid-pump")

var errLogin = errors.New("RPC login incorrect")

// hybrid sends records to the control plane over RPC.
type hybrid struct {
	address string
	apiKey  string
	timeout time.Duration
	pool    int

	client    *gorpc.Client
	caller    *gorpc.DispatcherClient
	connected atomic.Bool
}

func (h *hybrid) name() string { return "Hybrid pump" }

func (h *hybrid) init(meta map[string]any) error {
	h.address = text(meta["connection_string"])
	h.apiKey = text(meta["api_key"])
	h.timeout = time.Duration(number(meta["call_timeout"], 10)) * time.Second
	h.pool = number(meta["rpc_pool_size"], 5)
	if h.address == "" {
		hybridLog.Error("Failed to decode configuration - no connection_string")
		return errors.New("empty connection_string")
	}
	for _, option := range []string{"use_ssl", "aggregated"} {
		if text(meta[option]) == "true" {
			return fmt.Errorf("this stand-in does not know %s", option)
		}
	}
	if err := h.connectAndLogin(retries); err != nil {
		hybridLog.Error(err)
		return err
	}
	return nil
}

// retries are the waits between the attempts at start.
var retries = []time.Duration{500 * time.Millisecond, 750 * time.Millisecond, 1125 * time.Millisecond}

func (h *hybrid) connectAndLogin(waits []time.Duration) error {
	hybridLog.Info("Connecting to Tyk MDCB...")
	if err := attempt(waits, h.connect); err != nil {
		return err
	}
	hybridLog.Info("Logging in to Tyk MDCB...")
	return attempt(waits, h.login)
}

func attempt(waits []time.Duration, do func() error) error {
	err := do()
	for _, wait := range waits {
		if err == nil {
			return nil
		}
		hybridLog.Error("Failed to connect to Tyk MDCB, retrying")
		time.Sleep(wait)
		err = do()
	}
	return err
}

func (h *hybrid) connect() error {
	h.close()
	id := make([]byte, 16)
	if _, err := rand.Read(id); err != nil {
		return err
	}
	name := hex.EncodeToString(id)
	h.client = gorpc.NewTCPClient(h.address)
	h.client.LogError = gorpc.NilErrorLogger
	h.client.Conns = h.pool
	h.client.OnConnect = func(conn net.Conn) (net.Conn, string, error) {
		h.connected.Store(true)
		return conn, conn.RemoteAddr().String(), nil
	}
	h.client.Dial = func(address string) (net.Conn, error) {
		conn, err := net.DialTimeout("tcp", address, h.timeout)
		if err != nil {
			return nil, err
		}
		if _, err := conn.Write(append([]byte("proto2"), append([]byte{byte(len(name))}, name...)...)); err != nil {
			conn.Close()
			return nil, err
		}
		return conn, nil
	}
	h.client.Start()
	d := gorpc.NewDispatcher()
	d.AddFunc("Ping", func() bool { return false })
	d.AddFunc("Login", func(_, _ string) bool { return false })
	d.AddFunc("PurgeAnalyticsData", func(string) error { return nil })
	h.caller = d.NewFuncClient(h.client)
	_, err := h.call("Ping", nil)
	return err
}

func (h *hybrid) call(name string, request any) (any, error) {
	return h.caller.CallTimeout(name, request, h.timeout)
}

func (h *hybrid) login() error {
	if !h.connected.Load() {
		return errors.New("client is not connected to RPC server")
	}
	ok, err := h.call("Login", h.apiKey)
	if err != nil {
		hybridLog.Error("Failed to call Login")
		return err
	}
	if ok != true {
		return errLogin
	}
	return nil
}

func (h *hybrid) write(records []map[string]any) error {
	if err := h.login(); err != nil {
		if errors.Is(err, errLogin) {
			hybridLog.Error("Failed to login to Tyk MDCB: ", err)
			return err
		}
		hybridLog.Error("Failed to connect to Tyk MDCB, retrying")
		if err := h.connectAndLogin(nil); err != nil {
			hybridLog.Error(err)
			return err
		}
	}
	data, err := json.Marshal(records)
	if err != nil {
		hybridLog.Error("Failed to marshal analytics data")
		return err
	}
	if _, err := h.call("PurgeAnalyticsData", string(data)); err != nil {
		hybridLog.Error("Failed to call PurgeAnalyticsData")
		return err
	}
	hybridLog.Info("Purged ", len(records), " records...")
	return nil
}

func (h *hybrid) shutdown() {
	hybridLog.Info("Shutting down...")
	h.close()
	hybridLog.Info("Pump shut down.")
}

func (h *hybrid) close() {
	if h.client != nil {
		h.client.Stop()
		h.client = nil
	}
	h.connected.Store(false)
}

func text(value any) string {
	if value == nil {
		return ""
	}
	return fmt.Sprint(value)
}

func number(value any, fallback int) int {
	if parsed, err := strconv.Atoi(text(value)); err == nil && parsed > 0 {
		return parsed
	}
	return fallback
}
