// Copyright (c) 2026 tyk.upgrade contributors
// GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
// SPDX-License-Identifier: GPL-3.0-or-later

// Package mdcb answers the RPC protocol between the control plane and a data plane (gateways and
// pumps), with the library that both sides really use.
package mdcb

import (
	"encoding/json"
	"errors"
	"log"
	"strings"
	"time"

	"github.com/TykTechnologies/gorpc"

	"tyk.upgrade/lab/internal/apidef"
	"tyk.upgrade/lab/internal/definitions"
	"tyk.upgrade/lab/internal/meter"
	"tyk.upgrade/lab/internal/store"
)

// Options of the RPC server.
type Options struct {
	Address  string
	OrgID    string
	APIKey   string
	PollTime time.Duration // how long CheckReload waits for a change
}

// Gateways take this very text for "log in again".
var errAccessDenied = errors.New("Access Denied") //nolint:staticcheck // wording of the protocol

var errKeyNotFound = errors.New("Key not found") //nolint:staticcheck // wording of the protocol

// Server is the control plane's end of the RPC.
type Server struct {
	options Options
	store   *store.Store
	meter   *meter.Meter
	nodes   *registry
	rpc     *gorpc.Server
	stop    chan struct{}
}

// New prepares a server; Start makes it listen.
func New(s *store.Store, m *meter.Meter, options Options) *Server {
	if options.PollTime <= 0 {
		options.PollTime = 20 * time.Second
	}
	server := &Server{options: options, store: s, meter: m, nodes: newRegistry(), stop: make(chan struct{})}
	server.rpc = gorpc.NewTCPServer(options.Address, server.dispatcher().NewHandlerFunc())
	server.rpc.OnConnect = server.nodes.accept
	server.rpc.LogError = logConnectionError
	return server
}

// Start listens.
func (s *Server) Start() error { return s.rpc.Start() }

// Stop ends all connections.
func (s *Server) Stop() {
	close(s.stop)
	s.rpc.Stop()
}

// Nodes lists the clients that have logged in.
func (s *Server) Nodes() *registry { return s.nodes }

// A client that goes away is everyday life.
func logConnectionError(format string, args ...any) {
	if strings.Contains(format, "handshake") || strings.Contains(format, "OnConnect") {
		return
	}
	log.Printf("rpc: "+format, args...)
}

// dispatcher names every function that a gateway of 4.0 to 5.14 or a pump may call. AddFunc
// registers the request types; leaving one out would end the connection of a client that sends it.
func (s *Server) dispatcher() *gorpc.Dispatcher {
	d := gorpc.NewDispatcher()
	add := d.AddFunc

	add("Ping", func() bool { return true })
	add("Login", s.login)
	add("LoginWithGroup", s.loginWithGroup)
	add("Disconnect", func(client string, _ *apidef.GroupLoginRequest) error {
		s.nodes.with(client, func(node *Node) { node.loggedIn = false })
		return nil
	})
	add("GetApiDefinitions", s.getAPIDefinitions)
	add("GetPolicies", func(client, _ string) (string, error) { return guard(s, client, "[]") })
	add("CheckReload", s.checkReload)
	add("PurgeAnalyticsData", s.purgeAnalyticsData)
	add("PurgeAnalyticsDataAggregated", func(client, _ string) error { return s.allowed(client) })
	add("PurgeAnalyticsDataMCPAggregated", func(client, _ string) error { return s.allowed(client) })

	add("GetKeySpaceUpdate", func(client, _ string) ([]string, error) { return guard(s, client, []string{}) })
	add("GetGroupKeySpaceUpdate", func(client string, _ *apidef.GroupKeySpaceRequest) ([]string, error) {
		return guard(s, client, []string{})
	})
	add("GetKey", func(client, _ string) (string, error) { return "", s.missing(client) })
	add("GetExp", func(client, _ string) (int64, error) { return 0, s.missing(client) })
	add("SetKey", func(client string, _ *apidef.InboundData) error { return s.allowed(client) })
	add("GetKeys", func(client, _ string) ([]string, error) { return guard(s, client, []string{}) })
	add("GetKeysAndValues", s.keysAndValues)
	add("GetKeysAndValuesWithFilter", s.keysAndValues)
	add("DeleteKey", func(client, _ string) (bool, error) { return guard(s, client, true) })
	add("DeleteRawKey", func(client, _ string) (bool, error) { return guard(s, client, true) })
	add("DeleteKeys", func(client string, _ []string) (bool, error) { return guard(s, client, true) })
	add("DeleteRawKeys", func(client string, _ []string) (bool, error) { return guard(s, client, true) })
	add("Decrement", func(client, _ string) error { return s.allowed(client) })
	add("IncrememntWithExpire", func(client string, _ *apidef.InboundData) (int64, error) {
		return guard(s, client, int64(1))
	})
	add("AppendToSet", func(client string, _ *apidef.InboundData) error { return s.allowed(client) })
	add("SetRollingWindow", func(client string, _ *apidef.InboundData) (int, error) { return guard(s, client, 0) })
	add("GetClientIdPs", func(client string, _ *apidef.DefRequest) (string, error) { return guard(s, client, "[]") })
	add("CheckIdPReload", s.checkIdentityProviderReload)
	return d
}

func (s *Server) allowed(client string) error {
	if !s.nodes.loggedIn(client) {
		return errAccessDenied
	}
	return nil
}

func (s *Server) missing(client string) error {
	if err := s.allowed(client); err != nil {
		return err
	}
	return errKeyNotFound
}

func guard[T any](s *Server, client string, answer T) (T, error) {
	if err := s.allowed(client); err != nil {
		var nothing T
		return nothing, err
	}
	return answer, nil
}

func (s *Server) keysAndValues(client, _ string) (*apidef.KeysValuesPair, error) {
	return guard(s, client, &apidef.KeysValuesPair{})
}

// login is for pumps, and for gateways that name no group.
func (s *Server) login(client, key string) bool {
	return s.enter(client, key, func(node *Node) {
		if node.Kind == "" {
			node.Kind = "pump"
		}
	})
}

func (s *Server) loginWithGroup(client string, request *apidef.GroupLoginRequest) bool {
	var details apidef.Node
	if len(request.Node) > 0 {
		if err := json.Unmarshal(request.Node, &details); err != nil {
			log.Printf("rpc: node details of %s are not JSON: %v", client, err)
		}
	}
	return s.enter(client, request.UserKey, func(node *Node) {
		node.Kind, node.Group = "gateway", request.GroupID
		node.NodeID, node.NodeVersion = details.NodeID, details.NodeVersion
		node.Hostname = details.HostDetails.Hostname
	})
}

func (s *Server) enter(client, key string, describe func(*Node)) bool {
	ok := key == s.options.APIKey
	s.nodes.with(client, func(node *Node) {
		first := !node.loggedIn
		node.loggedIn = ok
		if !ok {
			log.Printf("rpc: login of %s refused", node.Address)
			return
		}
		describe(node)
		if first {
			node.LoggedInAt = time.Now().UTC()
			log.Printf("rpc: login of %s %s version %q group %q", node.Kind, node.Address, node.NodeVersion, node.Group)
		}
	})
	return ok
}

// merged is the form that gateways read since 4.1.0; a plain list would crash them.
type merged struct {
	Definition definitions.Document `json:"api_definition"`
	OAS        definitions.Document `json:"oas,omitempty"`
}

func (s *Server) getAPIDefinitions(client string, request *apidef.DefRequest) (string, error) {
	if err := s.allowed(client); err != nil {
		return "", err
	}
	apis, generation := s.store.Snapshot()
	plain, wrapped := []definitions.Document{}, []merged{}
	for _, api := range apis {
		if !definitions.Flag(api.Definition, "active") || request.OrgId != s.options.OrgID || !tagged(api, request.Tags) {
			continue
		}
		wrapped = append(wrapped, merged{Definition: api.Definition, OAS: api.OAS})
		if !api.IsOAS() {
			plain = append(plain, api.Definition)
		}
	}
	var answer any = plain
	if request.LoadOAS {
		answer = wrapped
	}
	data, err := json.Marshal(answer)
	if err != nil {
		return "", err
	}
	s.nodes.with(client, func(node *Node) {
		if node.Kind == "pump" { // logged in without a group, but it wants definitions
			node.Kind = "gateway"
		}
		node.Fetched = generation
		node.told = max(node.told, generation)
	})
	return string(data), nil
}

// A segmented gateway gets the APIs that share a tag with it.
func tagged(api store.API, tags []string) bool {
	if len(tags) == 0 {
		return true
	}
	own, _ := definitions.At(api.Definition, "tags").([]any)
	for _, tag := range own {
		for _, wanted := range tags {
			if tag == wanted {
				return true
			}
		}
	}
	return false
}

// checkReload is held open until the definitions change. Every process is told of a change once: it
// then signals the whole group through its Redis. One that has fetched the new definitions already
// is not told.
func (s *Server) checkReload(client, _ string) (bool, error) {
	if err := s.allowed(client); err != nil {
		return false, err
	}
	var poll uint64
	s.nodes.with(client, func(node *Node) {
		node.poll++
		poll = node.poll
	})
	timer := time.NewTimer(s.options.PollTime)
	defer timer.Stop()
	for {
		generation, changed := s.store.Generation()
		news := false
		s.nodes.with(client, func(node *Node) {
			if news = node.poll == poll && node.told < generation; news {
				node.told = generation
				node.Reloads++
			}
		})
		if news {
			return true, nil
		}
		select {
		case <-changed:
		case <-timer.C:
			return false, nil
		case <-s.stop:
			return false, errors.New("the control plane is stopping")
		}
	}
}

func (s *Server) checkIdentityProviderReload(client, _ string) ([]string, error) {
	if err := s.allowed(client); err != nil {
		return nil, err
	}
	select {
	case <-time.After(s.options.PollTime):
	case <-s.stop:
	}
	return []string{}, nil
}

func (s *Server) purgeAnalyticsData(client, data string) error {
	if err := s.allowed(client); err != nil {
		return err
	}
	count, err := s.meter.Deliver(data)
	if err != nil {
		log.Printf("rpc: analytics refused: %v", err)
		return err
	}
	log.Printf("rpc: %d analytics records received", count)
	return nil
}
