// Copyright (c) 2026 tyk.upgrade contributors
// GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
// SPDX-License-Identifier: GPL-3.0-or-later

package definitions

// Derive returns the classic form of an OAS document: what the control plane keeps beside the
// document and sends to gateways together with it.
func Derive(oas Document) Document {
	extension := Object(oas, Extension)
	authentication := Object(extension, "server", "authentication")
	protected := Flag(authentication, "enabled")
	custom := protected && Flag(authentication, "custom", "enabled")
	bundle := Object(extension, "middleware", "global", "pluginConfig", "bundle")

	return Document{
		"id":                    Text(extension, "info", "dbId"),
		"api_id":                Text(extension, "info", "id"),
		"org_id":                Text(extension, "info", "orgId"),
		"name":                  Text(extension, "info", "name"),
		"active":                Flag(extension, "info", "state", "active"),
		"internal":              Flag(extension, "info", "state", "internal"),
		"is_oas":                true,
		"use_keyless":           !protected,
		"use_standard_auth":     protected && tokenAuthentication(authentication),
		"strip_auth_data":       Flag(authentication, "stripAuthorizationData"),
		"auth":                  Document{"auth_header_name": "Authorization"},
		"auth_configs":          Document{},
		"enable_coprocess_auth": false,

		"custom_plugin_auth_enabled":        custom,
		"use_go_plugin_auth":                custom && driver(extension) == "goplugin",
		"custom_middleware_bundle":          Text(bundle, "path"),
		"custom_middleware_bundle_disabled": !Flag(bundle, "enabled"),
		"custom_middleware":                 Document{"driver": driver(extension)},

		"proxy": Document{
			"listen_path":       Text(extension, "server", "listenPath", "value"),
			"strip_listen_path": Flag(extension, "server", "listenPath", "strip"),
			"target_url":        Text(extension, "upstream", "url"),
		},
		"definition": Document{"location": "header", "key": "x-api-version"},
		"version_data": Document{
			"not_versioned": true,
			"versions": Document{
				"Default": Document{"name": "Default", "use_extended_paths": true, "paths": Document{}},
			},
		},
		"tags":               At(extension, "server", "gatewayTags", "tags"),
		"disable_rate_limit": true,
		"disable_quota":      true,
	}
}

func driver(extension Document) string {
	if name := Text(extension, "middleware", "global", "pluginConfig", "driver"); name != "" {
		return name
	}
	return "goplugin"
}

func tokenAuthentication(authentication Document) bool {
	for name := range Object(authentication, "securitySchemes") {
		if Flag(authentication, "securitySchemes", name, "enabled") {
			return true
		}
	}
	return false
}
