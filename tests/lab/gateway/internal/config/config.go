// Copyright (c) 2026 tyk.upgrade contributors
// GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
// SPDX-License-Identifier: GPL-3.0-or-later

// Package config reads tyk.conf and the TYK_GW_ variables, which win over the file.
package config

import (
	"encoding/json"
	"fmt"
	"os"
	"reflect"
	"strconv"
	"strings"
)

// Config holds the settings that the stand-in understands; it ignores all others.
type Config struct {
	ListenAddress                   string           `json:"listen_address"`
	ListenPort                      int              `json:"listen_port"`
	ControlAPIPort                  int              `json:"control_api_port"`
	Secret                          string           `json:"secret"`
	NodeSecret                      string           `json:"node_secret"`
	AppPath                         string           `json:"app_path"`
	MiddlewarePath                  string           `json:"middleware_path"`
	HealthCheckEndpointName         string           `json:"health_check_endpoint_name"`
	ReadinessCheckEndpointName      string           `json:"readiness_check_endpoint_name"`
	UseDBAppConfigs                 bool             `json:"use_db_app_configs"`
	Storage                         Storage          `json:"storage"`
	EnableAnalytics                 bool             `json:"enable_analytics"`
	AnalyticsConfig                 Analytics        `json:"analytics_config"`
	EnableBundleDownloader          bool             `json:"enable_bundle_downloader"`
	BundleBaseURL                   string           `json:"bundle_base_url"`
	BundleInsecureSkipVerify        bool             `json:"bundle_insecure_skip_verify"`
	SkipVerifyExistingPluginBundle  bool             `json:"skip_verify_existing_plugin_bundle"`
	PublicKeyPath                   string           `json:"public_key_path"`
	LivenessCheck                   LivenessCheck    `json:"liveness_check"`
	ReloadInterval                  int64            `json:"reload_interval"`
	GracefulShutdownTimeoutDuration int              `json:"graceful_shutdown_timeout_duration"`
	Policies                        Policies         `json:"policies"`
	AuthOverride                    AuthOverride     `json:"auth_override"`
	SlaveOptions                    SlaveOptions     `json:"slave_options"`
	DBAppConfOptions                DBAppConfOptions `json:"db_app_conf_options"`
}

// Storage is the data plane's Redis.
type Storage struct {
	Host     string   `json:"host"`
	Port     int      `json:"port"`
	Addrs    []string `json:"addrs"`
	Username string   `json:"username"`
	Password string   `json:"password"`
	Database int      `json:"database"`
}

// Address of Redis, host:port.
func (s Storage) Address() string {
	if len(s.Addrs) > 0 {
		return s.Addrs[0]
	}
	return fmt.Sprintf("%s:%d", s.Host, s.Port)
}

// Analytics says where records go and how long they stay there.
type Analytics struct {
	Type                  string `json:"type"`
	StorageExpirationTime int    `json:"storage_expiration_time"`
}

// LivenessCheck is how often the health is looked at; the unit depends on the version.
type LivenessCheck struct {
	CheckDuration Number `json:"check_duration"`
}

// Policies say where policies come from.
type Policies struct {
	PolicySource string `json:"policy_source"`
}

// AuthOverride makes a gateway a slave of its control plane.
type AuthOverride struct {
	ForceAuthProvider bool         `json:"force_auth_provider"`
	AuthProvider      AuthProvider `json:"auth_provider"`
}

// AuthProvider says where sessions are kept.
type AuthProvider struct {
	StorageEngine string `json:"storage_engine"`
}

// SlaveOptions is how to reach MDCB.
type SlaveOptions struct {
	UseRPC               bool   `json:"use_rpc"`
	ConnectionString     string `json:"connection_string"`
	RPCKey               string `json:"rpc_key"`
	APIKey               string `json:"api_key"`
	GroupID              string `json:"group_id"`
	CallTimeout          int    `json:"call_timeout"`
	PingTimeout          int    `json:"ping_timeout"`
	RPCPoolSize          int    `json:"rpc_pool_size"`
	KeySpaceSyncInterval int    `json:"key_space_sync_interval"`
	DisableKeySpaceSync  bool   `json:"disable_keyspace_sync"`
}

// DBAppConfOptions select a segment of the APIs.
type DBAppConfOptions struct {
	NodeIsSegmented bool     `json:"node_is_segmented"`
	Tags            []string `json:"tags"`
}

// Number is a plain number, or one written as a string.
type Number int64

// UnmarshalJSON takes 10 and "10".
func (n *Number) UnmarshalJSON(data []byte) error {
	value, err := strconv.ParseInt(strings.Trim(string(data), `"`), 10, 64)
	*n = Number(value)
	return err
}

// Default settings, as a gateway without a file has them.
func Default() Config {
	return Config{
		ListenPort:                      8080,
		Secret:                          "352d20ee67be67f6340b4c0605b044b7",
		NodeSecret:                      "352d20ee67be67f6340b4c0605b044b7",
		AppPath:                         "apps",
		MiddlewarePath:                  "middleware",
		HealthCheckEndpointName:         "hello",
		ReadinessCheckEndpointName:      "ready",
		Storage:                         Storage{Host: "localhost", Port: 6379},
		ReloadInterval:                  1,
		GracefulShutdownTimeoutDuration: 30,
		SlaveOptions:                    SlaveOptions{CallTimeout: 30, PingTimeout: 60, RPCPoolSize: 5, KeySpaceSyncInterval: 10},
	}
}

// Load reads the file, if it can, and the environment. A file that cannot be read is no reason to
// stop: the gateway then runs on defaults and environment, and problem says so.
func Load(path string) (config Config, problem error) {
	config = Default()
	if os.Getenv("TYK_GW_OMITCONFIGFILE") != "true" {
		data, err := os.ReadFile(path)
		if err == nil {
			err = json.Unmarshal(data, &config)
		}
		if err != nil {
			problem = fmt.Errorf("cannot read %s: %w", path, err)
		}
	}
	if err := overlay(reflect.ValueOf(&config).Elem(), "TYK_GW"); err != nil {
		return config, err
	}
	return config.completed(), problem
}

// Zero means "as usual" for these.
func (c Config) completed() Config {
	usual := Default()
	if c.NodeSecret == "" {
		c.NodeSecret = c.Secret
	}
	for _, pair := range []struct{ value, fallback *int }{
		{&c.ListenPort, &usual.ListenPort},
		{&c.SlaveOptions.CallTimeout, &usual.SlaveOptions.CallTimeout},
		{&c.SlaveOptions.PingTimeout, &usual.SlaveOptions.PingTimeout},
		{&c.SlaveOptions.RPCPoolSize, &usual.SlaveOptions.RPCPoolSize},
		{&c.SlaveOptions.KeySpaceSyncInterval, &usual.SlaveOptions.KeySpaceSyncInterval},
		{&c.GracefulShutdownTimeoutDuration, &usual.GracefulShutdownTimeoutDuration},
	} {
		if *pair.value == 0 {
			*pair.value = *pair.fallback
		}
	}
	if c.ReloadInterval < 1 {
		c.ReloadInterval = 1
	}
	if c.HealthCheckEndpointName == "" {
		c.HealthCheckEndpointName = usual.HealthCheckEndpointName
	}
	if c.ReadinessCheckEndpointName == "" {
		c.ReadinessCheckEndpointName = usual.ReadinessCheckEndpointName
	}
	return c
}

// Names are the Go field names in capitals, nesting joined by an underscore.
func overlay(value reflect.Value, name string) error {
	for i := 0; i < value.NumField(); i++ {
		field, full := value.Field(i), name+"_"+strings.ToUpper(value.Type().Field(i).Name)
		if field.Kind() == reflect.Struct {
			if err := overlay(field, full); err != nil {
				return err
			}
			continue
		}
		text, ok := os.LookupEnv(full)
		if !ok {
			continue
		}
		if err := assign(field, text); err != nil {
			return fmt.Errorf("%s: %w", full, err)
		}
	}
	return nil
}

func assign(field reflect.Value, text string) error {
	switch field.Kind() {
	case reflect.String:
		field.SetString(text)
	case reflect.Bool:
		value, err := strconv.ParseBool(text)
		if err != nil {
			return err
		}
		field.SetBool(value)
	case reflect.Int, reflect.Int64:
		value, err := strconv.ParseInt(text, 10, 64)
		if err != nil {
			return err
		}
		field.SetInt(value)
	case reflect.Slice:
		field.Set(reflect.ValueOf(strings.Split(text, ",")))
	}
	return nil
}

// Slaved says whether sessions are the control plane's: then the REST API is minimised.
func (c Config) Slaved() bool {
	return c.AuthOverride.ForceAuthProvider && c.AuthOverride.AuthProvider.StorageEngine == "rpc"
}

// Tags of a segmented gateway.
func (c Config) Tags() []string {
	if !c.DBAppConfOptions.NodeIsSegmented {
		return nil
	}
	return c.DBAppConfOptions.Tags
}
