// Copyright (c) 2026 tyk.upgrade contributors
// GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
// SPDX-License-Identifier: GPL-3.0-or-later

// Package rpc is the gateway's end of the control-plane protocol.
package rpc

import (
	"context"
	"crypto/rand"
	"encoding/hex"
	"encoding/json"
	"errors"
	"net"
	"os"
	"sync"
	"sync/atomic"
	"time"

	"github.com/TykTechnologies/gorpc"
	"github.com/sirupsen/logrus"

	"github.com/TykTechnologies/tyk/apidef"
	"github.com/TykTechnologies/tyk/internal/behaviour"
	"github.com/TykTechnologies/tyk/internal/config"
	"github.com/TykTechnologies/tyk/log"
)

const (
	tries         = 4 // one and three more
	keepaliveTime = 10 * time.Second
)

var errLogin = errors.New("Login failed") //nolint:staticcheck // the gateway's wording

// Client talks to MDCB. Everything it cannot reach for long enough puts it into emergency mode,
// which a successful call ends.
type Client struct {
	options     config.SlaveOptions
	tags        []string
	behaviour   behaviour.Behaviour
	connection  *gorpc.Client
	functions   *gorpc.DispatcherClient
	dialer      net.Dialer
	login       sync.Mutex
	loggedIn    atomic.Bool
	emergency   atomic.Bool
	connected   chan struct{} // closed with the first connection
	once        sync.Once
	OnRecovered func() // after emergency mode; a full reload is due
}

// New connects in the background; nothing here waits for MDCB.
func New(c config.Config, b behaviour.Behaviour) *Client {
	client := &Client{options: c.SlaveOptions, tags: c.Tags(), behaviour: b, connected: make(chan struct{})}
	if b.StartsFromBackup {
		client.emergency.Store(true)
	}
	if client.options.GroupID == "" && b.UngroupedName {
		client.options.GroupID = "ungrouped"
	}
	id := make([]byte, 16)
	_, _ = rand.Read(id)
	header := append([]byte("proto2"), byte(len(id)*2))
	header = append(header, hex.EncodeToString(id)...)

	connection := gorpc.NewTCPClient(c.SlaveOptions.ConnectionString)
	connection.Conns = c.SlaveOptions.RPCPoolSize
	connection.LogError = gorpc.NilErrorLogger
	connection.Dial = func(address string) (net.Conn, error) {
		conn, err := client.dialer.DialContext(context.Background(), "tcp", address)
		if err != nil {
			return nil, err
		}
		if _, err := conn.Write(header); err != nil {
			conn.Close()
			return nil, err
		}
		client.once.Do(func() { close(client.connected) })
		return conn, nil
	}
	client.dialer.Timeout = 10 * time.Second
	connection.Start()
	client.connection = connection
	client.functions = dispatcher().NewFuncClient(connection)
	return client
}

// WaitForConnection returns when MDCB has been reached; before, never.
func (c *Client) WaitForConnection() { <-c.connected }

// dispatcher only registers the types that travel; the control plane has the functions.
func dispatcher() *gorpc.Dispatcher {
	d := gorpc.NewDispatcher()
	d.AddFunc("Ping", func() bool { return false })
	d.AddFunc("Login", func(string, string) bool { return false })
	d.AddFunc("LoginWithGroup", func(string, *apidef.GroupLoginRequest) bool { return false })
	d.AddFunc("GetApiDefinitions", func(string, *apidef.DefRequest) (string, error) { return "", nil })
	d.AddFunc("GetPolicies", func(string, string) (string, error) { return "", nil })
	d.AddFunc("CheckReload", func(string, string) (bool, error) { return false, nil })
	d.AddFunc("GetKeySpaceUpdate", func(string, string) ([]string, error) { return nil, nil })
	d.AddFunc("GetGroupKeySpaceUpdate", func(string, *apidef.GroupKeySpaceRequest) ([]string, error) { return nil, nil })
	d.AddFunc("GetKey", func(string, string) (string, error) { return "", nil })
	d.AddFunc("SetKey", func(string, *apidef.InboundData) error { return nil })
	d.AddFunc("PurgeAnalyticsData", func(string, string) error { return nil })
	d.AddFunc("Disconnect", func(string, *apidef.GroupLoginRequest) error { return nil })
	return d
}

// Emergency says whether MDCB is given up for now.
func (c *Client) Emergency() bool { return c.emergency.Load() }

// Healthy is what /hello reports.
func (c *Client) Healthy() bool { return c.loggedIn.Load() && !c.emergency.Load() }

func (c *Client) timeout() time.Duration { return time.Duration(c.options.CallTimeout) * time.Second }

// call asks once, logging in first if that is due and again if MDCB has forgotten this node.
func (c *Client) call(name string, request interface{}) (interface{}, error) {
	if err := c.ensureLogin(); err != nil {
		return nil, err
	}
	answer, err := c.functions.CallTimeout(name, request, c.timeout())
	if err != nil && err.Error() == "Access Denied" {
		c.loggedIn.Store(false)
		if err := c.ensureLogin(); err != nil {
			return nil, err
		}
		answer, err = c.functions.CallTimeout(name, request, c.timeout())
	}
	return answer, err
}

func (c *Client) ensureLogin() error {
	c.login.Lock()
	defer c.login.Unlock()
	if c.loggedIn.Load() {
		return nil
	}
	ok, err := c.requestLogin()
	if err != nil {
		return err
	}
	if ok != true {
		log.Get().WithField("prefix", "rpc-conn-mgr").Error("RPC Login incorrect")
		return errLogin
	}
	c.loggedIn.Store(true)
	return nil
}

func (c *Client) requestLogin() (interface{}, error) {
	if c.options.GroupID == "" {
		return c.functions.CallTimeout("Login", c.options.APIKey, c.timeout())
	}
	request := &apidef.GroupLoginRequest{UserKey: c.options.APIKey, GroupID: c.options.GroupID}
	if c.behaviour.NodeInLogin {
		request.Node = c.node()
	}
	return c.functions.CallTimeout("LoginWithGroup", request, c.timeout())
}

func (c *Client) node() []byte {
	hostname, _ := os.Hostname()
	data, _ := json.Marshal(map[string]interface{}{
		"node_id": hostname, "group_id": c.options.GroupID, "api_key": "", "node_version": c.behaviour.Reported,
		"node_is_segmented": len(c.tags) > 0, "tags": c.tags,
		"host_details": map[string]interface{}{"Hostname": hostname, "PID": os.Getpid()},
	})
	return data
}

// insist asks up to four times, each up to call_timeout; after that MDCB counts as gone.
func (c *Client) insist(name string, request interface{}) (interface{}, error) {
	var answer interface{}
	var err error
	pause := 50 * time.Millisecond
	for try := 0; try < tries; try++ {
		if answer, err = c.call(name, request); err == nil {
			c.recovered()
			return answer, nil
		}
		time.Sleep(pause)
		pause *= 2
	}
	c.lost(err)
	return nil, err
}

func (c *Client) lost(err error) {
	c.loggedIn.Store(false)
	if !c.emergency.Swap(true) {
		log.Get().WithError(err).WithField("prefix", "rpc-conn-mgr").Error("Can't connect to RPC layer, entering emergency mode")
	}
}

func (c *Client) recovered() {
	if c.emergency.Swap(false) && c.OnRecovered != nil {
		log.Get().WithField("prefix", "rpc-conn-mgr").Info("Connected to RPC layer, leaving emergency mode")
		c.OnRecovered()
	}
}

func text(answer interface{}, err error) (string, error) {
	if err != nil {
		return "", err
	}
	value, ok := answer.(string)
	if !ok {
		return "", errors.New("MDCB answered something else than a text")
	}
	return value, nil
}

// Definitions asks for the API definitions.
func (c *Client) Definitions() (string, error) {
	request := &apidef.DefRequest{OrgId: c.options.RPCKey, Tags: c.tags, LoadOAS: c.behaviour.WrappedDefinitions}
	return text(c.insist("GetApiDefinitions", request))
}

// Policies asks for the policies.
func (c *Client) Policies() (string, error) { return text(c.insist("GetPolicies", c.options.RPCKey)) }

// Key asks for a session; an unknown key is an error, and with MDCB gone the caller waits.
func (c *Client) Key(name string) (string, error) { return text(c.call("GetKey", name)) }

// SendAnalytics hands records over.
func (c *Client) SendAnalytics(records string) error {
	if c.emergency.Load() {
		return errLogin
	}
	_, err := c.call("PurgeAnalyticsData", records)
	return err
}

// Run keeps the connection alive and calls changed whenever the control plane has news.
func (c *Client) Run(ctx context.Context, changed func()) {
	keepalive := func() {
		if c.loggedIn.Load() || c.emergency.Load() { // else the first load is about to log in
			_, _ = c.insist("SetKey", &apidef.InboundData{KeyName: "0000", SessionState: "1", Timeout: 10})
		}
	}
	go func() {
		keepalive()
		c.every(ctx, keepaliveTime, keepalive)
	}()
	if !c.options.DisableKeySpaceSync {
		go c.every(ctx, time.Duration(c.options.KeySpaceSyncInterval)*time.Second, func() {
			if c.Healthy() {
				_, _ = c.keySpace()
			}
		})
	}
	go c.watch(ctx, changed)
}

func (c *Client) keySpace() (interface{}, error) {
	if c.options.GroupID == "" {
		return c.call("GetKeySpaceUpdate", c.options.RPCKey)
	}
	return c.call("GetGroupKeySpaceUpdate", &apidef.GroupKeySpaceRequest{OrgID: c.options.RPCKey, GroupID: c.options.GroupID})
}

func (c *Client) every(ctx context.Context, pause time.Duration, work func()) {
	ticker := time.NewTicker(pause)
	defer ticker.Stop()
	for {
		select {
		case <-ctx.Done():
			return
		case <-ticker.C:
			work()
		}
	}
}

// watch long-polls: MDCB answers when something changed, or false after a while.
func (c *Client) watch(ctx context.Context, changed func()) {
	entry := log.Get().WithFields(logrus.Fields{"prefix": "rpc-storage-handler"})
	for ctx.Err() == nil {
		if !c.loggedIn.Load() {
			time.Sleep(200 * time.Millisecond)
			continue
		}
		news, err := c.functions.CallTimeout("CheckReload", c.options.RPCKey, c.timeout())
		switch {
		case err != nil:
			time.Sleep(time.Second)
		case news == true:
			entry.Info("[RPC STORE] Received Reload instruction!")
			changed()
		}
	}
}

// Disconnect tells MDCB that this node goes away.
func (c *Client) Disconnect() {
	if c.behaviour.DisconnectsFromMDCB && c.Healthy() {
		request := &apidef.GroupLoginRequest{UserKey: c.options.APIKey, GroupID: c.options.GroupID, Node: c.node()}
		_, _ = c.functions.CallTimeout("Disconnect", request, 2*time.Second)
	}
	c.connection.Stop()
}
