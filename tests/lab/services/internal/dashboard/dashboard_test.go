// Copyright (c) 2026 tyk.upgrade contributors
// GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
// SPDX-License-Identifier: GPL-3.0-or-later

package dashboard

import (
	"bytes"
	"encoding/json"
	"fmt"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"tyk.upgrade/lab/internal/definitions"
	"tyk.upgrade/lab/internal/meter"
	"tyk.upgrade/lab/internal/store"
)

type noNodes struct{}

func (noNodes) List() any { return []string{} }

type client struct {
	t     *testing.T
	base  string
	admin string
	token string
}

func start(t *testing.T, dir string) (*client, *store.Store) {
	t.Helper()
	apis, err := store.Open(dir, "org")
	if err != nil {
		t.Fatal(err)
	}
	records, err := meter.Open(dir)
	if err != nil {
		t.Fatal(err)
	}
	api := httptest.NewServer(Handler(apis, Options{Token: "write", ReadOnlyToken: "read"}))
	t.Cleanup(api.Close)
	admin := httptest.NewServer(Admin(apis, records, noNodes{}))
	t.Cleanup(admin.Close)
	return &client{t: t, base: api.URL, admin: admin.URL, token: "write"}, apis
}

func (c *client) call(method, url string, body any) (int, map[string]any) {
	c.t.Helper()
	var payload bytes.Buffer
	if body != nil {
		if err := json.NewEncoder(&payload).Encode(body); err != nil {
			c.t.Fatal(err)
		}
	}
	request, err := http.NewRequest(method, url, &payload)
	if err != nil {
		c.t.Fatal(err)
	}
	request.Header.Set("Authorization", c.token)
	response, err := http.DefaultClient.Do(request)
	if err != nil {
		c.t.Fatal(err)
	}
	defer response.Body.Close()
	var answer map[string]any
	if err := json.NewDecoder(response.Body).Decode(&answer); err != nil {
		c.t.Fatalf("%s %s: %v", method, url, err)
	}
	return response.StatusCode, answer
}

func classic(id string) map[string]any {
	return map[string]any{
		"api_definition": map[string]any{
			"name": id, "api_id": id, "active": true, "custom_middleware_bundle": "header-1.zip",
			"proxy": map[string]any{"listen_path": "/" + id + "/", "target_url": "http://upstream:8000/"},
		},
		"hook_references": []any{map[string]any{"event_name": "QuotaExceeded"}},
		"user_owners":     []any{"someone"},
	}
}

func oas(id string) map[string]any {
	return map[string]any{"oas": map[string]any{
		"openapi": "3.0.3", "info": map[string]any{"title": id, "version": "1"}, "paths": map[string]any{},
		"x-tyk-api-gateway": map[string]any{
			"info":     map[string]any{"id": id, "name": id, "state": map[string]any{"active": true}},
			"upstream": map[string]any{"url": "http://upstream:8000/"},
			"server": map[string]any{
				"listenPath":     map[string]any{"value": "/" + id + "/", "strip": true},
				"authentication": map[string]any{"enabled": true, "custom": map[string]any{"enabled": true}},
			},
			"middleware": map[string]any{"global": map[string]any{"pluginConfig": map[string]any{
				"driver": "goplugin", "bundle": map[string]any{"enabled": true, "path": "auth-1.zip"}}}},
		},
	}}
}

func (c *client) seed(apis ...any) {
	c.t.Helper()
	if code, answer := c.call("POST", c.admin+"/seed", map[string]any{"apis": apis}); code != 200 {
		c.t.Fatalf("seed: %d %v", code, answer)
	}
}

func TestListWalksPages(t *testing.T) {
	c, _ := start(t, "")
	var apis []any
	for n := range 23 {
		apis = append(apis, classic(fmt.Sprintf("api%02d", n)))
	}
	c.seed(apis...)
	seen := map[string]bool{}
	for page, want := range map[int]int{1: 10, 2: 10, 3: 3, 4: 0, -1: 23, 0: 23} {
		_, answer := c.call("GET", fmt.Sprintf("%s/api/apis?p=%d", c.base, page), nil)
		items := answer["apis"].([]any)
		if len(items) != want || answer["pages"] != 3.0 {
			t.Errorf("page %d: %d items of %v pages", page, len(items), answer["pages"])
		}
		for _, one := range items {
			seen[definitions.Text(one.(map[string]any), "api_definition", "api_id")] = true
		}
	}
	if len(seen) != 23 {
		t.Errorf("%d APIs seen", len(seen))
	}
	if _, answer := c.call("GET", c.base+"/api/apis", nil); len(answer["apis"].([]any)) != 10 {
		t.Error("without a page number the list is not the first page")
	}
}

func TestClassicPutReplacesTheWholeWrapper(t *testing.T) {
	c, _ := start(t, "")
	c.seed(classic("orders"))
	_, before := c.call("GET", c.base+"/api/apis/orders", nil)
	definition := before["api_definition"].(map[string]any)
	if definition["is_oas"] != false || definition["org_id"] != "org" || definition["id"] == "" {
		t.Fatalf("server-filled fields: %v", definition)
	}
	definition["custom_middleware_bundle"] = "header-2.zip"
	code, answer := c.call("PUT", c.base+"/api/apis/"+definition["id"].(string), before)
	if code != 200 || answer["Status"] != "OK" || answer["Message"] != "API updated" || answer["Meta"] != definition["id"] {
		t.Fatalf("%d %v", code, answer)
	}
	_, after := c.call("GET", c.base+"/api/apis/orders", nil)
	if definitions.Text(after, "api_definition", "custom_middleware_bundle") != "header-2.zip" || fmt.Sprint(after["user_owners"]) != "[someone]" ||
		fmt.Sprint(after["hook_references"]) != fmt.Sprint(before["hook_references"]) {
		t.Fatalf("after: %v", after)
	}
	c.call("PUT", c.base+"/api/apis/orders", map[string]any{"api_definition": definition})
	_, dropped := c.call("GET", c.base+"/api/apis/orders", nil)
	if len(dropped["user_owners"].([]any)) != 0 {
		t.Fatal("owners that were left out are still there")
	}
}

func TestOASPut(t *testing.T) {
	c, _ := start(t, "")
	c.seed(oas("ledger"))
	code, document := c.call("GET", c.base+"/api/apis/oas/ledger", nil)
	extension := definitions.Object(document, definitions.Extension)
	if code != 200 || definitions.Text(extension, "info", "dbId") == "" || document["servers"] == nil {
		t.Fatalf("%d %v", code, document)
	}
	definitions.Object(extension, "middleware", "global", "pluginConfig", "bundle")["path"] = "auth-2.zip"
	if code, answer := c.call("PUT", c.base+"/api/apis/oas/ledger", document); code != 200 || answer["Status"] != "OK" {
		t.Fatalf("%d %v", code, answer)
	}
	_, derived := c.call("GET", c.base+"/api/apis/ledger", nil)
	definition := derived["api_definition"].(map[string]any)
	for key, want := range map[string]any{
		"is_oas": true, "custom_middleware_bundle": "auth-2.zip", "custom_middleware_bundle_disabled": false, "use_keyless": false,
		"custom_plugin_auth_enabled": true, "use_go_plugin_auth": true, "active": true,
	} {
		if definition[key] != want {
			t.Errorf("%s is %v", key, definition[key])
		}
	}
	if _, exported := c.call("GET", c.base+"/api/apis/oas/ledger/export", nil); fmt.Sprint(exported) != fmt.Sprint(document) {
		t.Error("export differs from the document")
	}
}

func TestRefusals(t *testing.T) {
	c, _ := start(t, "")
	c.seed(classic("orders"), oas("ledger"))
	_, wrapper := c.call("GET", c.base+"/api/apis/orders", nil)
	_, derived := c.call("GET", c.base+"/api/apis/ledger", nil)
	_, document := c.call("GET", c.base+"/api/apis/oas/ledger", nil)
	other := func(change func(map[string]any), of map[string]any) map[string]any {
		copied := definitions.Clone(of)
		change(copied)
		return copied
	}
	for name, try := range map[string]struct {
		token, method, path string
		body                any
		code                int
		says                string
	}{
		"no token":         {"", "GET", "/api/apis", nil, 401, "Not authorised"},
		"scheme":           {"Bearer write", "GET", "/api/apis", nil, 401, "Not authorised"},
		"read only":        {"read", "PUT", "/api/apis/orders", wrapper, 403, "Access denied"},
		"unknown":          {"write", "GET", "/api/apis/nope", nil, 404, "not found"},
		"unknown put":      {"write", "PUT", "/api/apis/nope", wrapper, 404, "not found"},
		"classic over OAS": {"write", "PUT", "/api/apis/ledger", derived, 400, "OAS"},
		"OAS over classic": {"write", "PUT", "/api/apis/oas/orders", document, 400, "Classic"},
		"OAS of classic":   {"write", "GET", "/api/apis/oas/orders", nil, 400, "Classic"},
		"bare definition":  {"write", "PUT", "/api/apis/orders", map[string]any{"name": "x"}, 400, "wrapper"},
		"other id": {"write", "PUT", "/api/apis/orders", other(func(w map[string]any) {
			definitions.Object(w, "api_definition")["api_id"] = "x"
		}, wrapper), 400, "does not match"},
		"additional": {"write", "PUT", "/api/apis/orders", other(func(w map[string]any) {
			definitions.Object(w, "api_definition")["novelty"] = 1
		}, wrapper), 400, "Additional property novelty"},
		"empty bundle": {"write", "PUT", "/api/apis/oas/ledger", other(func(d map[string]any) {
			definitions.Object(d, definitions.Extension, "middleware", "global", "pluginConfig", "bundle")["path"] = " "
		}, document), 400, "bundle.path is required"},
		"not JSON": {"write", "PUT", "/api/apis/orders", "text", 400, "Malformed"},
	} {
		c.token = try.token
		code, answer := c.call(try.method, c.base+try.path, try.body)
		if code != try.code || answer["Status"] != "Error" || !strings.Contains(fmt.Sprint(answer["Message"]), try.says) {
			t.Errorf("%s: %d %v", name, code, answer)
		}
	}
	c.token = "read"
	if code, _ := c.call("GET", c.base+"/api/apis/orders", nil); code != 200 {
		t.Error("the read-only key cannot read")
	}
	c.token = "write"
	extended := other(func(w map[string]any) { definitions.Object(w, "api_definition")["novelty"] = 1 }, wrapper)
	if code, answer := c.call("PUT", c.base+"/api/apis/orders?accept_additional_properties=true", extended); code != 200 {
		t.Errorf("accept_additional_properties: %v", answer)
	}
	if code, _ := c.call("GET", c.base+"/hello", nil); code != 200 {
		t.Error("hello")
	}
}

func TestDefinitionsOutliveTheProcess(t *testing.T) {
	dir := t.TempDir()
	c, _ := start(t, dir)
	c.seed(classic("orders"), oas("ledger"))
	_, before := c.call("GET", c.base+"/api/apis?p=-1", nil)
	if err := os.WriteFile(filepath.Join(dir, "apis", "x.json.1.tmp"), []byte("{"), 0o600); err != nil {
		t.Fatal(err)
	}
	again, _ := start(t, dir)
	_, after := again.call("GET", again.base+"/api/apis?p=-1", nil)
	if fmt.Sprint(before) != fmt.Sprint(after) {
		t.Fatalf("before %v\nafter %v", before, after)
	}
	left, _ := filepath.Glob(filepath.Join(dir, "apis", "*.tmp"))
	if len(left) != 0 {
		t.Errorf("left over: %v", left)
	}
}

func TestSeedAgainChangesNothing(t *testing.T) {
	c, apis := start(t, "")
	c.seed(classic("orders"), oas("ledger"), classic("gone"))
	before, _ := apis.Generation()
	_, answer := c.call("POST", c.admin+"/seed", map[string]any{"apis": []any{classic("orders"), oas("ledger"), classic("gone")}})
	if after, _ := apis.Generation(); after != before || definitions.Object(answer, "Meta")["changed"] != 0.0 {
		t.Fatalf("changed: %v", answer)
	}
	c.seed(classic("orders"), oas("ledger"))
	if len(apis.List()) != 2 {
		t.Error("an API that is no longer in the seed is still there")
	}
	c.call("POST", c.admin+"/seed", map[string]any{"replace": false, "apis": []any{classic("more")}})
	if len(apis.List()) != 3 {
		t.Error("replace: false replaced")
	}
	chosen := classic("more")
	chosen["api_definition"].(map[string]any)["id"] = "0123456789abcdef01234567"
	c.call("POST", c.admin+"/seed", map[string]any{"replace": false, "apis": []any{chosen}})
	if api, err := apis.Get("more"); err != nil || api.DBID() != "0123456789abcdef01234567" || len(apis.List()) != 3 {
		t.Errorf("the database id of the seed was not taken: %v %v", api, err)
	}
	outside := classic("outside")
	outside["api_definition"].(map[string]any)["id"] = "../outside"
	for _, bad := range []any{map[string]any{"apis": []any{outside}}, map[string]any{"apis": []any{map[string]any{}}}, map[string]any{"apis": []any{classic("a"), classic("a")}}, map[string]any{"api": 1}} {
		if code, _ := c.call("POST", c.admin+"/seed", bad); code != 400 {
			t.Errorf("accepted: %v", bad)
		}
	}
}
