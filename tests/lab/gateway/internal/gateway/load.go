// Copyright (c) 2026 tyk.upgrade contributors
// GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
// SPDX-License-Identifier: GPL-3.0-or-later

package gateway

import (
	"crypto/sha256"
	"encoding/json"
	"os"
	"path/filepath"
	"sort"

	"github.com/TykTechnologies/tyk/apidef"
	"github.com/TykTechnologies/tyk/internal/bundle"
)

// node is one entry of what MDCB sends since 4.1.0. A plain definition leaves the inner one nil,
// and the gateway dies of it: so does this one.
type node struct {
	*apidef.APIDefinition `json:"api_definition"`
	OAS                   json.RawMessage `json:"oas"`
}

// load fetches definitions and puts them in service. Nothing changes when they cannot be fetched.
func (g *Gateway) load() {
	definitions, ok := g.fetch()
	if !ok {
		return
	}
	var apis []*api
	for _, definition := range definitions {
		if !definition.Active {
			continue
		}
		if one := g.prepare(definition); one != nil {
			apis = append(apis, one)
		}
	}
	g.apis.Store(newRoutes(apis))
	g.loads.Add(1)
	mainLog().Infof("Detected %d APIs", len(apis))
	mainLog().Info("API reload complete")
}

func (g *Gateway) fetch() ([]*apidef.APIDefinition, bool) {
	if g.rpc != nil {
		return g.fetchByRPC()
	}
	definitions, err := fromFiles(g.config.AppPath)
	if err != nil {
		mainLog().WithError(err).Error("Failed to load APIs")
		return nil, false
	}
	return definitions, true
}

func fromFiles(folder string) ([]*apidef.APIDefinition, error) {
	files, err := filepath.Glob(filepath.Join(folder, "*.json"))
	if err != nil {
		return nil, err
	}
	var definitions []*apidef.APIDefinition
	for _, file := range files {
		data, err := os.ReadFile(file)
		if err != nil {
			return nil, err
		}
		definition := &apidef.APIDefinition{}
		if err := json.Unmarshal(data, definition); err != nil || definition.APIID == "" {
			continue // the OAS half of an API, or none of ours
		}
		definitions = append(definitions, definition)
	}
	return definitions, nil
}

func (g *Gateway) fetchByRPC() ([]*apidef.APIDefinition, bool) {
	if !g.rpc.Emergency() {
		policies, err := g.rpc.Policies()
		var definitions string
		if err == nil {
			definitions, err = g.rpc.Definitions()
		}
		if err == nil {
			if g.behaviour.BackupOnFirstLoad || g.loads.Load() > 0 {
				mainLog().Info("Storing RPC Definitions backup")
				if err := g.backup.Save(definitions, policies); err != nil {
					mainLog().WithError(err).Error("Failed to store the emergency backup")
				}
			}
			return g.decode(definitions), true
		}
		mainLog().WithError(err).Error("Failed to load APIs from RPC")
	}
	if !g.rpc.Emergency() || !g.behaviour.ServesBackup {
		return nil, false
	}
	definitions, err := g.backup.Definitions()
	if err != nil {
		mainLog().WithError(err).Error("[RPC] --> Failed to get node definition backup")
		return nil, false
	}
	mainLog().Warning("[RPC] --> Emergency mode: loading API definitions from backup")
	return g.decode(definitions), true
}

func (g *Gateway) decode(text string) []*apidef.APIDefinition {
	var definitions []*apidef.APIDefinition
	if !g.behaviour.WrappedDefinitions {
		if err := json.Unmarshal([]byte(text), &definitions); err != nil {
			mainLog().WithError(err).Error("Failed decode API definitions")
		}
		return definitions
	}
	var nodes []node
	if err := json.Unmarshal([]byte(text), &nodes); err != nil {
		mainLog().WithError(err).Error("Failed decode API definitions")
		return nil
	}
	for _, one := range nodes {
		if one.APIDefinition.APIID != "" {
			definitions = append(definitions, one.APIDefinition)
		}
	}
	return definitions
}

// prepare gives an API its bundle and its chain; nil when it must not be served.
func (g *Gateway) prepare(definition *apidef.APIDefinition) *api {
	entry := mainLog().WithField("api_id", definition.APIID)
	directory, checksum := "", sum(definition)
	// Before the bundle is looked at: only hooks that the definition itself names count.
	if old := g.apis.Load().byID(definition.APIID); g.behaviour.KeepsUnchanged && old != nil && old.checksum == checksum &&
		(g.behaviour.KeepsHooks || !definition.CustomMiddleware.HasHook()) {
		return old
	}
	if g.usesBundle(definition) {
		loaded, err := g.bundles.Load(definition)
		if err != nil {
			entry.WithError(err).Error("Couldn't load bundle")
			if g.behaviour.BundleErrorDrops {
				return nil
			}
			loaded = &bundle.Loaded{}
		}
		definition.CustomMiddleware, directory = loaded.Middleware, loaded.Directory
	}
	one, err := g.newAPI(definition, directory)
	if err != nil {
		entry.WithError(err).Error("Couldn't load API, skipping")
		return nil
	}
	one.checksum = checksum
	return one
}

// sum of a definition as it came, before a bundle fills it in.
func sum(definition *apidef.APIDefinition) [sha256.Size]byte {
	data, _ := json.Marshal(definition)
	return sha256.Sum256(data)
}

func (g *Gateway) usesBundle(definition *apidef.APIDefinition) bool {
	if definition.CustomMiddlewareBundle == "" {
		return false
	}
	return !(g.behaviour.BundleDisabledFlag && definition.CustomMiddlewareBundleDisabled)
}

// Longest path first, so that /orders/v2/ is not taken for /orders/.
func sortRoutes(list []route) {
	sort.SliceStable(list, func(i, j int) bool { return len(list[i].prefix) > len(list[j].prefix) })
}
