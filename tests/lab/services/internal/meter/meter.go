// Copyright (c) 2026 tyk.upgrade contributors
// GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
// SPDX-License-Identifier: GPL-3.0-or-later

// Package meter counts the analytics records that reach the control plane.
package meter

import (
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"sync"

	"tyk.upgrade/lab/internal/store"
)

// Marker is the path segment that the load generator's requests carry.
const Marker = "meter"

// Reading is what the meter shows.
type Reading struct {
	RecordsOut       int64            `json:"records_out"`
	MarkedRecordsOut int64            `json:"marked_records_out"`
	Deliveries       int64            `json:"deliveries"`
	MarkedByAPI      map[string]int64 `json:"marked_by_api"`
}

// Meter survives a restart when it has a file.
type Meter struct {
	path string
	mu   sync.Mutex
	read Reading
}

// Open continues the count found in dir; an empty dir means a count in memory only.
func Open(dir string) (*Meter, error) {
	m := &Meter{read: Reading{MarkedByAPI: map[string]int64{}}}
	if dir == "" {
		return m, nil
	}
	m.path = filepath.Join(dir, "meter.json")
	data, err := os.ReadFile(m.path)
	if os.IsNotExist(err) {
		return m, nil
	}
	if err != nil {
		return nil, err
	}
	if err := json.Unmarshal(data, &m.read); err != nil {
		return nil, fmt.Errorf("cannot read %s: %w", m.path, err)
	}
	if m.read.MarkedByAPI == nil {
		m.read.MarkedByAPI = map[string]int64{}
	}
	return m, nil
}

// Deliver counts the records of one PurgeAnalyticsData call: a JSON list of records. A pump that
// could not decode a record sends null in its place; that is no record.
func (m *Meter) Deliver(data string) (int, error) {
	var records []map[string]any
	if err := json.Unmarshal([]byte(data), &records); err != nil {
		return 0, fmt.Errorf("analytics are not a JSON list of records: %w", err)
	}
	m.mu.Lock()
	defer m.mu.Unlock()
	m.read.Deliveries++
	counted := 0
	for _, record := range records {
		if record == nil {
			continue
		}
		counted++
		m.read.RecordsOut++
		if marked(record) {
			m.read.MarkedRecordsOut++
			m.read.MarkedByAPI[text(record, "api_id", "APIID")]++
		}
	}
	return counted, m.save()
}

// Read returns the present count.
func (m *Meter) Read() Reading {
	m.mu.Lock()
	defer m.mu.Unlock()
	reading := m.read
	reading.MarkedByAPI = make(map[string]int64, len(m.read.MarkedByAPI))
	for api, count := range m.read.MarkedByAPI {
		reading.MarkedByAPI[api] = count
	}
	return reading
}

// Reset starts again at zero.
func (m *Meter) Reset() error {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.read = Reading{MarkedByAPI: map[string]int64{}}
	return m.save()
}

func (m *Meter) save() error {
	if m.path == "" {
		return nil
	}
	data, err := json.Marshal(m.read)
	if err != nil {
		return err
	}
	return store.WriteFile(m.path, data)
}

// A record sent by a pump has JSON names, one sent by a gateway itself the names of the Go fields.
func marked(record map[string]any) bool {
	for _, path := range []string{text(record, "path", "Path"), text(record, "raw_path", "RawPath")} {
		if strings.Contains("/"+path+"/", "/"+Marker+"/") {
			return true
		}
	}
	return false
}

func text(record map[string]any, keys ...string) string {
	for _, key := range keys {
		if value, ok := record[key].(string); ok && value != "" {
			return value
		}
	}
	return ""
}
