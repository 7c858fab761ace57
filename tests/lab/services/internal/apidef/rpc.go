// Copyright (c) 2026 tyk.upgrade contributors
// GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
// SPDX-License-Identifier: GPL-3.0-or-later

// Package apidef names the requests of the control-plane protocol.
//
// gob identifies a request by the name of its type as the sender spells it, package included
// ("*apidef.DefRequest"). So the package has this name, and every request a gateway or pump may send
// is here: one unknown type ends the whole connection. A field the sender lacks stays empty; a field
// only the sender has is skipped.
package apidef

// InboundData carries a value to be stored under a key.
type InboundData struct {
	KeyName      string
	Value        string
	SessionState string
	Timeout      int64
	Per          int64
	Expire       int64
}

// DefRequest asks for the API definitions of an organisation. LoadOAS came with 4.1.0 and decides
// the form of the answer.
type DefRequest struct {
	OrgId   string
	Tags    []string
	LoadOAS bool
}

// GroupLoginRequest logs a data plane in. ForceSync came with 4.3.2, Node with 5.2.0.
type GroupLoginRequest struct {
	UserKey   string
	GroupID   string
	ForceSync bool
	Node      []byte
}

// GroupKeySpaceRequest asks for the changed keys of a group.
type GroupKeySpaceRequest struct {
	OrgID   string
	GroupID string
}

// KeysValuesPair is the answer to the GetKeysAndValues family.
type KeysValuesPair struct {
	Keys   []string
	Values []string
}

// Node is the JSON inside GroupLoginRequest.Node, as far as the lab reads it.
type Node struct {
	NodeID      string   `json:"node_id"`
	GroupID     string   `json:"group_id"`
	NodeVersion string   `json:"node_version"`
	Tags        []string `json:"tags"`
	HostDetails struct {
		Hostname string `json:"Hostname"`
		PID      int    `json:"PID"`
		Address  string `json:"Address"`
	} `json:"host_details"`
}
