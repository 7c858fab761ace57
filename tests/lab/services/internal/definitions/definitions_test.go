// Copyright (c) 2026 tyk.upgrade contributors
// GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
// SPDX-License-Identifier: GPL-3.0-or-later

package definitions

import (
	"testing"
)

const document = `{"openapi": "3.0.3", "info": {"title": "t", "version": "1"}, "paths": {},
	"x-tyk-api-gateway": {
		"info": {"id": "ledger", "dbId": "db", "orgId": "org", "name": "ledger", "state": {"active": true, "internal": true}},
		"upstream": {"url": "http://upstream:8000/"},
		"server": {"listenPath": {"value": "/ledger/", "strip": true}, "gatewayTags": {"enabled": true, "tags": ["edge"]}}}}`

func read(t *testing.T, text string) Document {
	t.Helper()
	decoded, err := Decode([]byte(text))
	if err != nil {
		t.Fatal(err)
	}
	return decoded
}

func TestDeriveWithoutAuthenticationAndPlugin(t *testing.T) {
	oas := read(t, document)
	classic := Derive(oas)
	for key, want := range map[string]any{
		"id": "db", "api_id": "ledger", "org_id": "org", "name": "ledger", "active": true, "internal": true, "is_oas": true, "use_keyless": true,
		"custom_plugin_auth_enabled": false, "use_go_plugin_auth": false, "custom_middleware_bundle": "", "custom_middleware_bundle_disabled": true,
	} {
		if classic[key] != want {
			t.Errorf("%s is %v", key, classic[key])
		}
	}
	proxy := Object(classic, "proxy")
	if proxy["listen_path"] != "/ledger/" || proxy["strip_listen_path"] != true || proxy["target_url"] != "http://upstream:8000/" {
		t.Errorf("proxy %v", proxy)
	}
	if !Flag(classic, "version_data", "not_versioned") || Object(classic, "version_data", "versions", "Default") == nil {
		t.Errorf("version_data %v", classic["version_data"])
	}
	if tags, _ := classic["tags"].([]any); len(tags) != 1 {
		t.Errorf("tags %v", classic["tags"])
	}
	if problem := CheckOAS(oas, false); problem != "" {
		t.Error(problem)
	}
	if problem := CheckClassic(classic, false); problem != "" {
		t.Errorf("the derived form is not valid: %s", problem)
	}
}

func TestDeriveAuthentication(t *testing.T) {
	for _, row := range []struct {
		authentication                      string
		keyless, goPlugin, custom, standard bool
	}{
		{`{"enabled": false, "custom": {"enabled": true}}`, true, false, false, false},
		{`{"enabled": true, "custom": {"enabled": true}}`, false, true, true, false},
		{`{"enabled": true, "custom": {"enabled": false}}`, false, false, false, false},
		{`{"enabled": true, "securitySchemes": {"token": {"enabled": true}}}`, false, false, false, true},
	} {
		oas := read(t, document)
		Object(oas, Extension, "server")["authentication"] = read(t, row.authentication)
		classic := Derive(oas)
		if classic["use_keyless"] != row.keyless || classic["use_go_plugin_auth"] != row.goPlugin ||
			classic["custom_plugin_auth_enabled"] != row.custom || classic["use_standard_auth"] != row.standard {
			t.Errorf("%s: %v", row.authentication, classic)
		}
	}
}

func TestDecodeTakesOneObject(t *testing.T) {
	for _, bad := range []string{"", "null", "[]", `{"a": 1} {"b": 2}`, `"x"`} {
		if _, err := Decode([]byte(bad)); err == nil {
			t.Errorf("accepted: %s", bad)
		}
	}
	if kept := read(t, `{"n": 12345678901234567890}`); At(Clone(kept), "n") != At(kept, "n") {
		t.Error("a large number changed")
	}
}
