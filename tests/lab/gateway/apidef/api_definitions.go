// Copyright (c) 2026 tyk.upgrade contributors
// GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
// SPDX-License-Identifier: GPL-3.0-or-later

// Package apidef describes APIs as far as the stand-in gateway serves them.
package apidef

// MiddlewareDefinition is one hook: a function in a file.
type MiddlewareDefinition struct {
	Disabled       bool   `json:"disabled"`
	Name           string `json:"name"`
	Path           string `json:"path"`
	RequireSession bool   `json:"require_session"`
	RawBodyOnly    bool   `json:"raw_body_only"`
}

// MiddlewareSection is the custom_middleware of an API or of a bundle's manifest.
type MiddlewareSection struct {
	Pre         []MiddlewareDefinition `json:"pre"`
	Post        []MiddlewareDefinition `json:"post"`
	PostKeyAuth []MiddlewareDefinition `json:"post_key_auth"`
	AuthCheck   MiddlewareDefinition   `json:"auth_check"`
	Response    []MiddlewareDefinition `json:"response"`
	Driver      string                 `json:"driver"`
}

// HasHook says whether there is any hook to run.
func (m *MiddlewareSection) HasHook() bool {
	for _, list := range [][]MiddlewareDefinition{m.Pre, m.Post, m.PostKeyAuth, m.Response, {m.AuthCheck}} {
		for _, one := range list {
			if !one.Disabled && one.Name != "" {
				return true
			}
		}
	}
	return false
}

// BundleManifest is the manifest.json of a bundle.
type BundleManifest struct {
	FileList         []string          `json:"file_list"`
	CustomMiddleware MiddlewareSection `json:"custom_middleware"`
	Checksum         string            `json:"checksum"`
	Signature        string            `json:"signature"`
}

// AuthConfig says where a key is looked for.
type AuthConfig struct {
	AuthHeaderName string `json:"auth_header_name"`
}

// ProxyConfig says what an API listens to and where it sends requests.
type ProxyConfig struct {
	ListenPath         string `json:"listen_path"`
	TargetURL          string `json:"target_url"`
	StripListenPath    bool   `json:"strip_listen_path"`
	PreserveHostHeader bool   `json:"preserve_host_header"`
}

// APIDefinition is the classic form of an API definition. OAS APIs come with one derived from them.
type APIDefinition struct {
	Name                           string                 `json:"name"`
	APIID                          string                 `json:"api_id"`
	OrgID                          string                 `json:"org_id"`
	Active                         bool                   `json:"active"`
	IsOAS                          bool                   `json:"is_oas"`
	UseKeylessAccess               bool                   `json:"use_keyless"`
	UseStandardAuth                bool                   `json:"use_standard_auth"`
	UseGoPluginAuth                bool                   `json:"use_go_plugin_auth"`
	EnableCoProcessAuth            bool                   `json:"enable_coprocess_auth"`
	CustomPluginAuthEnabled        bool                   `json:"custom_plugin_auth_enabled"`
	Auth                           AuthConfig             `json:"auth"`
	AuthConfigs                    map[string]AuthConfig  `json:"auth_configs"`
	Proxy                          ProxyConfig            `json:"proxy"`
	CustomMiddleware               MiddlewareSection      `json:"custom_middleware"`
	CustomMiddlewareBundle         string                 `json:"custom_middleware_bundle"`
	CustomMiddlewareBundleDisabled bool                   `json:"custom_middleware_bundle_disabled"`
	DoNotTrack                     bool                   `json:"do_not_track"`
	Tags                           []string               `json:"tags"`
	ConfigData                     map[string]interface{} `json:"config_data"`
}

// AuthHeader is the header that carries the key.
func (d *APIDefinition) AuthHeader() string {
	if token, ok := d.AuthConfigs["authToken"]; ok && token.AuthHeaderName != "" {
		return token.AuthHeaderName
	}
	if d.Auth.AuthHeaderName != "" {
		return d.Auth.AuthHeaderName
	}
	return "Authorization"
}
