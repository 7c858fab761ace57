// Copyright (c) 2026 tyk.upgrade contributors
// GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
// SPDX-License-Identifier: GPL-3.0-or-later

package mdcb

import (
	"errors"
	"fmt"
	"io"
	"net"
	"sort"
	"sync"
	"time"
)

// connectionPrefix opens every connection, before gorpc's own bytes: then comes the length of the
// connection id in one byte, then the id.
const connectionPrefix = "proto2"

// Node is one client process, known by its connection id; a gateway holds several connections.
type Node struct {
	ConnectionID string    `json:"connection_id"`
	Kind         string    `json:"kind"` // gateway | pump
	Group        string    `json:"group"`
	NodeID       string    `json:"node_id"`
	NodeVersion  string    `json:"node_version"` // "" before 5.2.0
	Hostname     string    `json:"hostname"`
	Address      string    `json:"address"`
	LoggedInAt   time.Time `json:"logged_in_at"`
	LastSeen     time.Time `json:"last_seen"`
	Connections  int       `json:"connections"`
	Connected    bool      `json:"connected"`
	Reloads      int       `json:"reloads"`            // CheckReload answered true
	Fetched      uint64    `json:"fetched_generation"` // definitions this process has got

	loggedIn bool
	told     uint64 // newest generation it fetched or was told of
	poll     uint64 // its latest CheckReload; earlier ones were given up by the client when its call timed out
}

type registry struct {
	mu    sync.Mutex
	nodes map[string]*Node
}

func newRegistry() *registry { return &registry{nodes: map[string]*Node{}} }

// accept reads what a Tyk client sends before the RPC begins. The id it returns is what every
// handler gets as client address.
func (r *registry) accept(conn net.Conn) (net.Conn, string, error) {
	_ = conn.SetReadDeadline(time.Now().Add(10 * time.Second))
	head := make([]byte, len(connectionPrefix)+1)
	if _, err := io.ReadFull(conn, head); err != nil {
		return nil, "", fmt.Errorf("no connection header: %w", err)
	}
	if string(head[:len(connectionPrefix)]) != connectionPrefix {
		return nil, "", errors.New("not a Tyk connection")
	}
	id := make([]byte, head[len(connectionPrefix)])
	if _, err := io.ReadFull(conn, id); err != nil {
		return nil, "", fmt.Errorf("no connection id: %w", err)
	}
	_ = conn.SetReadDeadline(time.Time{})
	r.with(string(id), func(node *Node) {
		node.Address = conn.RemoteAddr().String()
		node.Connections++
	})
	return &countedConn{Conn: conn, closed: func() {
		r.with(string(id), func(node *Node) { node.Connections-- })
	}}, string(id), nil
}

func (r *registry) with(id string, do func(*Node)) {
	r.mu.Lock()
	defer r.mu.Unlock()
	node, ok := r.nodes[id]
	if !ok {
		node = &Node{ConnectionID: id, told: 1}
		r.nodes[id] = node
	}
	node.LastSeen = time.Now().UTC()
	do(node)
}

func (r *registry) loggedIn(id string) (ok bool) {
	r.with(id, func(node *Node) { ok = node.loggedIn })
	return ok
}

// List returns the clients that ever logged in, oldest login first.
func (r *registry) List() any {
	r.mu.Lock()
	defer r.mu.Unlock()
	nodes := []Node{}
	for _, node := range r.nodes {
		if node.LoggedInAt.IsZero() {
			continue
		}
		copied := *node
		copied.Connected = copied.Connections > 0
		nodes = append(nodes, copied)
	}
	sort.Slice(nodes, func(i, j int) bool { return nodes[i].LoggedInAt.Before(nodes[j].LoggedInAt) })
	return nodes
}

type countedConn struct {
	net.Conn
	once   sync.Once
	closed func()
}

func (c *countedConn) Close() error {
	c.once.Do(c.closed)
	return c.Conn.Close()
}
