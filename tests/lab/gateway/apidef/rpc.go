// Copyright (c) 2026 tyk.upgrade contributors
// GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
// SPDX-License-Identifier: GPL-3.0-or-later

package apidef

// The requests of the control-plane protocol. gob names them by package and type, so both must be
// spelt as the control plane spells them.

// InboundData carries a value to be stored under a key.
type InboundData struct {
	KeyName      string
	Value        string
	SessionState string
	Timeout      int64
	Per          int64
	Expire       int64
}

// DefRequest asks for the API definitions of an organisation. LoadOAS is known since 4.1.0.
type DefRequest struct {
	OrgId   string
	Tags    []string
	LoadOAS bool
}

// GroupLoginRequest logs a data plane in. Node is known since 5.2.0.
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
