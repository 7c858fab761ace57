// Copyright (c) 2026 tyk.upgrade contributors
// GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
// SPDX-License-Identifier: GPL-3.0-or-later

// Package pump moves analytics records from Redis to back-ends, as tyk-pump does.
package pump

import (
	"encoding/json"
	"fmt"
	"os"
	"strconv"
	"strings"

	"tyk.upgrade/lab/internal/tyklog"
)

var mainLog = tyklog.New("main")

// Config is the part of pump.conf that the stand-in reads. Environment variables override it.
type Config struct {
	PurgeDelay              int                `json:"purge_delay"`
	PurgeChunk              int                `json:"purge_chunk"`
	StorageExpirationTime   int                `json:"storage_expiration_time"`
	AnalyticsStorageType    string             `json:"analytics_storage_type"`
	AnalyticsStorageConfig  Storage            `json:"analytics_storage_config"`
	Pumps                   map[string]Backend `json:"pumps"`
	HealthCheckEndpointName string             `json:"health_check_endpoint_name"`
	HealthCheckEndpointPort int                `json:"health_check_endpoint_port"`
}

// Storage is the Redis that the gateways write to.
type Storage struct {
	Host      string `json:"host"`
	Port      int    `json:"port"`
	Username  string `json:"username"`
	Password  string `json:"password"`
	Database  int    `json:"database"`
	KeyPrefix string `json:"key_prefix"`
}

// Backend is one entry of "pumps".
type Backend struct {
	Type string         `json:"type"`
	Meta map[string]any `json:"meta"`
}

// Lookup finds an environment variable.
type Lookup func(name string) (string, bool)

// LoadConfig reads the file and the environment. A file that cannot be read is reported and left
// aside, as the pump does.
func LoadConfig(path string, environment []string) (Config, error) {
	variables := map[string]string{}
	for _, entry := range environment {
		if name, value, ok := strings.Cut(entry, "="); ok {
			variables[name] = value
		}
	}
	lookup := func(name string) (string, bool) {
		value, ok := variables[name]
		return value, ok
	}
	var config Config
	if !strings.EqualFold(variables["TYK_PMP_OMITCONFIGFILE"], "true") {
		data, err := os.ReadFile(path)
		if err != nil {
			mainLog.Error("Couldn't load configuration file: ", err)
		} else if err := json.Unmarshal(data, &config); err != nil {
			mainLog.Error("Couldn't unmarshal configuration: ", err)
		}
	}
	upper := map[string]Backend{}
	for name, backend := range config.Pumps {
		upper[strings.ToUpper(name)] = backend
	}
	config.Pumps = upper

	err := config.override(lookup)
	for name := range variables {
		config.addBackend(name, lookup)
	}
	for name, backend := range config.Pumps {
		backend.Meta = overrideMeta(backend.Meta, name, lookup)
		config.Pumps[name] = backend
	}
	config.defaults()
	return config, err
}

func (c *Config) override(lookup Lookup) error {
	for name, target := range map[string]any{
		"TYK_PMP_PURGEDELAY":              &c.PurgeDelay,
		"TYK_PMP_PURGECHUNK":              &c.PurgeChunk,
		"TYK_PMP_STORAGEEXPIRATIONTIME":   &c.StorageExpirationTime,
		"TYK_PMP_ANALYTICSSTORAGETYPE":    &c.AnalyticsStorageType,
		"TYK_PMP_HEALTHCHECKENDPOINTNAME": &c.HealthCheckEndpointName,
		"TYK_PMP_HEALTHCHECKENDPOINTPORT": &c.HealthCheckEndpointPort,
	} {
		if err := set(lookup, name, target); err != nil {
			return err
		}
	}
	// The later prefix wins.
	for _, prefix := range []string{"TYK_PMP_ANALYTICSSTORAGECONFIG_", "TYK_PMP_REDIS_", "TYK_PMP_TEMPORAL_STORAGE_"} {
		for name, target := range map[string]any{
			"HOST":      &c.AnalyticsStorageConfig.Host,
			"PORT":      &c.AnalyticsStorageConfig.Port,
			"USERNAME":  &c.AnalyticsStorageConfig.Username,
			"PASSWORD":  &c.AnalyticsStorageConfig.Password,
			"DATABASE":  &c.AnalyticsStorageConfig.Database,
			"KEYPREFIX": &c.AnalyticsStorageConfig.KeyPrefix,
		} {
			if err := set(lookup, prefix+name, target); err != nil {
				return err
			}
		}
	}
	return nil
}

func set(lookup Lookup, name string, target any) error {
	value, ok := lookup(name)
	if !ok {
		return nil
	}
	switch target := target.(type) {
	case *string:
		*target = value
	case *int:
		number, err := strconv.Atoi(value)
		if err != nil {
			return fmt.Errorf("%s is not a number: %q", name, value)
		}
		*target = number
	}
	return nil
}

const pumpsPrefix = "TYK_PMP_PUMPS_"

// addBackend creates the back-end that a variable such as TYK_PMP_PUMPS_HYBRID_TYPE names. The name
// ends at the first underscore.
func (c *Config) addBackend(variable string, lookup Lookup) {
	if !strings.HasPrefix(variable, pumpsPrefix) {
		return
	}
	name, _, ok := strings.Cut(strings.TrimPrefix(variable, pumpsPrefix), "_")
	if !ok {
		return
	}
	backend := c.Pumps[name]
	if kind, ok := lookup(pumpsPrefix + name + "_TYPE"); ok {
		backend.Type = kind
	}
	c.Pumps[name] = backend
}

var hybridMeta = []string{"connection_string", "rpc_key", "api_key", "call_timeout", "rpc_pool_size", "use_ssl", "aggregated"}

func overrideMeta(meta map[string]any, name string, lookup Lookup) map[string]any {
	merged := map[string]any{}
	for key, value := range meta {
		merged[key] = value
	}
	for _, key := range hybridMeta {
		if value, ok := lookup(pumpsPrefix + name + "_META_" + strings.ToUpper(strings.ReplaceAll(key, "_", ""))); ok {
			merged[key] = value
		}
	}
	return merged
}

func (c *Config) defaults() {
	if c.PurgeDelay <= 0 {
		c.PurgeDelay = 10
	}
	if c.PurgeChunk > 0 && c.StorageExpirationTime == 0 {
		c.StorageExpirationTime = 60
	}
	if c.AnalyticsStorageConfig.Host == "" {
		c.AnalyticsStorageConfig.Host = "127.0.0.1"
	}
	if c.AnalyticsStorageConfig.Port == 0 {
		c.AnalyticsStorageConfig.Port = 6379
	}
	if c.AnalyticsStorageConfig.KeyPrefix == "" {
		c.AnalyticsStorageConfig.KeyPrefix = "analytics-"
	}
	if c.HealthCheckEndpointName == "" {
		c.HealthCheckEndpointName = "health"
	}
	if c.HealthCheckEndpointPort == 0 {
		c.HealthCheckEndpointPort = 8083
	}
}
