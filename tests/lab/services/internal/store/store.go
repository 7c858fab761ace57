// Copyright (c) 2026 tyk.upgrade contributors
// GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
// SPDX-License-Identifier: GPL-3.0-or-later

// Package store keeps API definitions, one JSON file each, and says when they change.
package store

import (
	"bytes"
	"crypto/md5"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"sort"
	"strings"
	"sync"
	"time"

	"tyk.upgrade/lab/internal/definitions"
)

// ErrNotFound says that no API has the given id.
var ErrNotFound = errors.New("API not found")

// API is one stored API. For an OAS API, Definition is derived from OAS on every write.
type API struct {
	Definition      definitions.Document `json:"api_definition"`
	OAS             definitions.Document `json:"oas,omitempty"`
	HookReferences  []any                `json:"hook_references"`
	IsSite          bool                 `json:"is_site"`
	SortBy          json.Number          `json:"sort_by"`
	UserOwners      []any                `json:"user_owners"`
	UserGroupOwners []any                `json:"user_group_owners"`
	Categories      []any                `json:"categories,omitempty"`
	CreatedAt       string               `json:"created_at"`
	UpdatedAt       string               `json:"updated_at"`
}

// ID is the API id, DBID the id of the database row.
func (a API) ID() string   { return definitions.Text(a.Definition, "api_id") }
func (a API) DBID() string { return definitions.Text(a.Definition, "id") }

// IsOAS tells the kind.
func (a API) IsOAS() bool { return a.OAS != nil }

// Clone returns a copy that shares nothing with the stored API.
func (a API) Clone() API {
	a.Definition = definitions.Clone(a.Definition)
	a.OAS = definitions.Clone(a.OAS)
	a.HookReferences = append([]any{}, a.HookReferences...)
	a.UserOwners = append([]any{}, a.UserOwners...)
	a.UserGroupOwners = append([]any{}, a.UserGroupOwners...)
	a.Categories = append([]any(nil), a.Categories...)
	return a
}

// Store is safe for concurrent use.
type Store struct {
	dir   string
	orgID string
	now   func() time.Time

	mu         sync.RWMutex
	apis       map[string]API // by DBID
	generation uint64
	changed    chan struct{}
}

// Open loads what dir holds; an empty dir means nothing is kept on disk. Half-written files of a
// killed process are removed.
func Open(dir, orgID string) (*Store, error) {
	s := &Store{orgID: orgID, now: time.Now, apis: map[string]API{}, generation: 1, changed: make(chan struct{})}
	if dir == "" {
		return s, nil
	}
	s.dir = filepath.Join(dir, "apis")
	if err := os.MkdirAll(s.dir, 0o700); err != nil {
		return nil, fmt.Errorf("cannot create the data directory: %w", err)
	}
	entries, err := os.ReadDir(s.dir)
	if err != nil {
		return nil, fmt.Errorf("cannot read the data directory: %w", err)
	}
	for _, entry := range entries {
		path := filepath.Join(s.dir, entry.Name())
		if strings.HasSuffix(entry.Name(), temporarySuffix) {
			_ = os.Remove(path)
			continue
		}
		if !strings.HasSuffix(entry.Name(), ".json") {
			continue
		}
		api, err := load(path)
		if err != nil {
			return nil, fmt.Errorf("cannot load %s: %w", path, err)
		}
		s.apis[api.DBID()] = api
	}
	return s, nil
}

// List returns all APIs ordered by name, then id.
func (s *Store) List() []API {
	s.mu.RLock()
	defer s.mu.RUnlock()
	apis := make([]API, 0, len(s.apis))
	for _, api := range s.apis {
		apis = append(apis, api.Clone())
	}
	sort.Slice(apis, func(i, j int) bool {
		a, b := definitions.Text(apis[i].Definition, "name"), definitions.Text(apis[j].Definition, "name")
		if a != b {
			return a < b
		}
		return apis[i].ID() < apis[j].ID()
	})
	return apis
}

// Get finds an API by API id or database id.
func (s *Store) Get(id string) (API, error) {
	s.mu.RLock()
	defer s.mu.RUnlock()
	api, ok := s.find(id)
	if !ok {
		return API{}, ErrNotFound
	}
	return api.Clone(), nil
}

func (s *Store) find(id string) (API, bool) {
	if api, ok := s.apis[id]; ok {
		return api, true
	}
	for _, api := range s.apis {
		if api.ID() == id {
			return api, true
		}
	}
	return API{}, false
}

// Update replaces an existing API by what change makes of it. It counts as a change of the
// definitions even when nothing differs, as every PUT of the Dashboard makes gateways reload.
func (s *Store) Update(id string, change func(API) (API, error)) (API, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	before, ok := s.find(id)
	if !ok {
		return API{}, ErrNotFound
	}
	after, err := change(before.Clone())
	if err != nil {
		return API{}, err
	}
	after = s.complete(after, before.ID(), before.DBID())
	after.CreatedAt = before.CreatedAt
	after.UpdatedAt = s.stamp()
	if err := s.save(after); err != nil {
		return API{}, err
	}
	s.apis[after.DBID()] = after
	s.bump()
	return after.Clone(), nil
}

// Seed writes the given APIs; with replace, those not given disappear. APIs that already are as
// wanted stay untouched, and gateways are told only when something changed.
func (s *Store) Seed(wanted []API, replace bool) (changed int, err error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	keep := map[string]bool{}
	for index, api := range wanted {
		id, dbID := seedIDs(api)
		if id == "" {
			return changed, fmt.Errorf("API number %d of the seed has no id", index+1)
		}
		before, exists := s.find(id)
		switch {
		case dbID == "" && exists:
			dbID = before.DBID()
		case dbID == "":
			dbID = databaseID(id)
		case exists && dbID != before.DBID():
			if err := s.remove(before.DBID()); err != nil {
				return changed, err
			}
			delete(s.apis, before.DBID())
			before, exists = API{}, false
		}
		api = s.complete(api.Clone(), id, dbID)
		keep[dbID] = true
		api.CreatedAt, api.UpdatedAt = before.CreatedAt, before.UpdatedAt
		if exists && same(before, api) {
			continue
		}
		api.UpdatedAt = s.stamp()
		if !exists {
			api.CreatedAt = api.UpdatedAt
		}
		if err := s.save(api); err != nil {
			return changed, err
		}
		s.apis[dbID] = api
		changed++
	}
	if replace {
		for dbID := range s.apis {
			if keep[dbID] {
				continue
			}
			if err := s.remove(dbID); err != nil {
				return changed, err
			}
			delete(s.apis, dbID)
			changed++
		}
	}
	if changed > 0 {
		s.bump()
	}
	return changed, nil
}

// Generation counts the changes since this process started, and returns a channel that is closed
// at the next one.
func (s *Store) Generation() (uint64, <-chan struct{}) {
	s.mu.RLock()
	defer s.mu.RUnlock()
	return s.generation, s.changed
}

// Snapshot returns all APIs with the generation they belong to.
func (s *Store) Snapshot() ([]API, uint64) {
	for {
		before, _ := s.Generation()
		apis := s.List()
		if after, _ := s.Generation(); after == before {
			return apis, before
		}
	}
}

func (s *Store) bump() {
	s.generation++
	close(s.changed)
	s.changed = make(chan struct{})
}

// complete fills what the server fills: ids, organisation, the servers of an OAS document, the
// derived classic form.
func (s *Store) complete(api API, id, dbID string) API {
	if api.IsOAS() {
		info := definitions.Object(api.OAS, definitions.Extension, "info")
		info["id"], info["dbId"], info["orgId"] = id, dbID, s.orgID
		if _, ok := api.OAS["servers"]; !ok {
			listen := definitions.Text(api.OAS, definitions.Extension, "server", "listenPath", "value")
			api.OAS["servers"] = []any{definitions.Document{"url": "http://gateway.lab" + listen}}
		}
		if _, ok := api.OAS["components"]; !ok {
			api.OAS["components"] = definitions.Document{}
		}
		api.Definition = definitions.Clone(definitions.Derive(api.OAS))
	} else {
		api.Definition["id"], api.Definition["api_id"] = dbID, id
		api.Definition["org_id"] = s.orgID
		api.Definition["is_oas"] = false
	}
	if api.SortBy == "" {
		api.SortBy = "0"
	}
	for _, list := range []*[]any{&api.HookReferences, &api.UserOwners, &api.UserGroupOwners} {
		if *list == nil {
			*list = []any{}
		}
	}
	return api
}

func (s *Store) stamp() string {
	return s.now().UTC().Format("2006-01-02T15:04:05.000Z")
}

func (s *Store) save(api API) error {
	if s.dir == "" {
		return nil
	}
	data, err := json.MarshalIndent(api, "", "  ")
	if err != nil {
		return err
	}
	return WriteFile(filepath.Join(s.dir, api.DBID()+".json"), append(data, '\n'))
}

func (s *Store) remove(dbID string) error {
	if s.dir == "" {
		return nil
	}
	if err := os.Remove(filepath.Join(s.dir, dbID+".json")); err != nil && !os.IsNotExist(err) {
		return err
	}
	return nil
}

func load(path string) (API, error) {
	data, err := os.ReadFile(path)
	if err != nil {
		return API{}, err
	}
	decoder := json.NewDecoder(bytes.NewReader(data))
	decoder.UseNumber()
	var api API
	if err := decoder.Decode(&api); err != nil {
		return API{}, err
	}
	if api.DBID() == "" {
		return API{}, errors.New("it has no database id")
	}
	return api, nil
}

func same(a, b API) bool {
	left, errLeft := json.Marshal(a)
	right, errRight := json.Marshal(b)
	return errLeft == nil && errRight == nil && bytes.Equal(left, right)
}

// seedIDs returns the API id and, if the seed gives one, the database id.
func seedIDs(api API) (id, dbID string) {
	if api.IsOAS() {
		info := definitions.Object(api.OAS, definitions.Extension, "info")
		return definitions.Text(info, "id"), definitions.Text(info, "dbId")
	}
	return api.ID(), api.DBID()
}

// databaseID looks like an id of the database and depends on nothing but the API id.
func databaseID(id string) string {
	sum := md5.Sum([]byte("api " + id))
	return hex.EncodeToString(sum[:])[:24]
}

const temporarySuffix = ".tmp"

// WriteFile replaces a file in one step: it holds the old or the new content, also after a crash.
func WriteFile(path string, data []byte) error {
	file, err := os.CreateTemp(filepath.Dir(path), filepath.Base(path)+".*"+temporarySuffix)
	if err != nil {
		return err
	}
	defer os.Remove(file.Name())
	if _, err := file.Write(data); err != nil {
		file.Close()
		return err
	}
	if err := file.Sync(); err != nil {
		file.Close()
		return err
	}
	if err := file.Close(); err != nil {
		return err
	}
	return os.Rename(file.Name(), path)
}
