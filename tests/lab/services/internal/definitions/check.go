// Copyright (c) 2026 tyk.upgrade contributors
// GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
// SPDX-License-Identifier: GPL-3.0-or-later

package definitions

import (
	"fmt"
	"sort"
	"strings"
)

// CheckClassic returns what is wrong with the inner classic definition, as one sentence, or "".
func CheckClassic(definition Document, additional bool) string {
	for _, key := range []string{"name", "proxy"} {
		if _, ok := definition[key]; !ok {
			return fmt.Sprintf("api_definition has no %s", key)
		}
	}
	if Text(definition, "proxy", "listen_path") == "" {
		return "api_definition has no proxy.listen_path"
	}
	if name, ok := definition["custom_middleware_bundle"]; ok {
		if _, ok := name.(string); !ok {
			return "custom_middleware_bundle is not a string"
		}
	}
	if !additional {
		if unknown := unknownKeys(definition, classicKeys); unknown != "" {
			return "Additional property " + unknown + " is not allowed"
		}
	}
	return ""
}

// CheckOAS returns what is wrong with an OAS document, as one sentence, or "".
func CheckOAS(oas Document, additional bool) string {
	if !strings.HasPrefix(Text(oas, "openapi"), "3.") {
		return "openapi is not 3.x"
	}
	if Text(oas, "info", "title") == "" {
		return "info.title is required"
	}
	extension := Object(oas, Extension)
	if extension == nil {
		return Extension + " is required"
	}
	if Text(extension, "info", "name") == "" {
		return Extension + ".info.name is required"
	}
	if Text(extension, "upstream", "url") == "" {
		return Extension + ".upstream.url is required"
	}
	if Text(extension, "server", "listenPath", "value") == "" {
		return Extension + ".server.listenPath.value is required"
	}
	if raw := At(extension, "middleware", "global", "pluginConfig", "bundle"); raw != nil {
		bundle, ok := raw.(Document)
		if !ok {
			return "pluginConfig.bundle is not an object"
		}
		if _, ok := bundle["enabled"].(bool); !ok {
			return "pluginConfig.bundle.enabled is required"
		}
		if strings.TrimSpace(Text(bundle, "path")) == "" {
			return "pluginConfig.bundle.path is required"
		}
	}
	if !additional {
		if unknown := unknownKeys(extension, extensionKeys); unknown != "" {
			return "Additional property " + unknown + " is not allowed"
		}
	}
	return ""
}

// UnknownWrapperKeys names what a classic PUT carries beside the known parts, or "".
func UnknownWrapperKeys(wrapper Document) string {
	return unknownKeys(wrapper, wrapperKeys)
}

func unknownKeys(document Document, known map[string]bool) string {
	var unknown []string
	for key := range document {
		if !known[key] {
			unknown = append(unknown, key)
		}
	}
	sort.Strings(unknown)
	return strings.Join(unknown, ", ")
}

func set(names string) map[string]bool {
	keys := map[string]bool{}
	for _, name := range strings.Fields(names) {
		keys[name] = true
	}
	return keys
}

var wrapperKeys = set(`api_definition api_model categories created_at hook_references is_site oas sort_by
	updated_at user_group_owners user_owners`)

var extensionKeys = set(`errorOverrides info middleware server upstream`)

// Top-level keys of a classic definition, all versions up to 5.14.0.
var classicKeys = set(`CORS active allowed_access_types allowed_authorize_types allowed_ips analytics_plugin
	api_id application_protocol auth auth_configs auth_login_redirect auth_provider base_identity_provided_by
	basic_auth blacklisted_ips body_password_regexp body_user_regexp cache_options cache_ttl
	certificate_pinning_disabled certificates client_certificates config_data config_data_disabled
	custom_middleware custom_middleware_bundle custom_middleware_bundle_disabled custom_plugin_auth_enabled
	definition detailed_tracing disable_caching disable_quota disable_rate_limit do_not_track domain
	domain_disabled dont_set_quota_on_create enable_batch_request_support enable_context_vars
	enable_coprocess_auth enable_detailed_recording enable_ip_blacklisting enable_ip_whitelisting enable_jwt
	enable_proxy_protocol enable_signature_checking error_overrides error_overrides_disabled event_handlers
	expiration expire_analytics_after external_oauth extract_from_body global_rate_limit graphql
	hmac_allowed_algorithms hmac_allowed_clock_skew id idp_client_id_mapping_disabled internal
	ip_access_control_disabled is_oas json_rpc_version jwt_client_base_field jwt_default_policies
	jwt_expires_at_validation_skew jwt_identity_base_field jwt_issued_at_validation_skew jwt_jwks_uris
	jwt_not_before_validation_skew jwt_policy_field_name jwt_scope_claim_name jwt_scope_to_policy_mapping
	jwt_signing_method jwt_skip_kid jwt_source listen_port name notifications oauth_meta openid_options org_id
	pinned_public_keys protocol proxy request_signing response_processors scopes security_requirement_scopes
	security_requirements session_lifetime session_lifetime_respects_key_expiration session_provider slug
	strip_auth_data tag_headers tags tags_disabled upstream_auth upstream_certificates
	upstream_certificates_disabled uptime_tests use_basic_auth use_go_plugin_auth use_keyless use_mutual_tls_auth
	use_oauth2 use_openid use_standard_auth version_data`)
