// Copyright (c) 2026 tyk.upgrade contributors
// GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
// SPDX-License-Identifier: GPL-3.0-or-later

package mdcb

import (
	"encoding/json"
	"net"
	"strings"
	"testing"
	"time"

	"github.com/TykTechnologies/gorpc"

	"tyk.upgrade/lab/internal/apidef"
	"tyk.upgrade/lab/internal/definitions"
	"tyk.upgrade/lab/internal/meter"
	"tyk.upgrade/lab/internal/store"
)

type lab struct {
	store   *store.Store
	meter   *meter.Meter
	server  *Server
	address string
}

func start(t *testing.T) *lab {
	t.Helper()
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	l := &lab{address: listener.Addr().String()}
	listener.Close()
	l.store, _ = store.Open("", "org")
	l.meter, _ = meter.Open("")
	l.server = New(l.store, l.meter, Options{Address: l.address, OrgID: "org", APIKey: "key", PollTime: time.Second})
	if err := l.server.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(l.server.Stop)
	seed := []store.API{
		{Definition: definitions.Document{"api_id": "orders", "name": "orders", "active": true, "tags": []any{"edge"}}},
		{Definition: definitions.Document{"api_id": "asleep", "name": "asleep", "active": false}},
		{OAS: definitions.Document{definitions.Extension: definitions.Document{
			"info": definitions.Document{"id": "ledger", "name": "ledger", "state": definitions.Document{"active": true}}}}},
	}
	if _, err := l.store.Seed(seed, true); err != nil {
		t.Fatal(err)
	}
	return l
}

// gateway connects as a gateway does: a pool of connections with one id.
func (l *lab) gateway(t *testing.T, id string) func(string, any) (any, error) {
	t.Helper()
	connection := gorpc.NewTCPClient(l.address)
	connection.Conns = 3
	connection.LogError = gorpc.NilErrorLogger
	connection.Dial = func(address string) (net.Conn, error) {
		conn, err := net.Dial("tcp", address)
		if err != nil {
			return nil, err
		}
		_, err = conn.Write(append([]byte("proto2"), append([]byte{byte(len(id))}, id...)...))
		return conn, err
	}
	connection.Start()
	t.Cleanup(connection.Stop)
	client := l.server.dispatcher().NewFuncClient(connection)
	return func(name string, request any) (any, error) { return client.CallTimeout(name, request, 5*time.Second) }
}

func login(t *testing.T, call func(string, any) (any, error), version string) {
	t.Helper()
	node, _ := json.Marshal(map[string]any{"node_id": "n-" + version, "node_version": version})
	ok, err := call("LoginWithGroup", &apidef.GroupLoginRequest{UserKey: "key", GroupID: "lab", Node: node})
	if err != nil || ok != true {
		t.Fatalf("login: %v %v", ok, err)
	}
}

func TestDefinitionsComeInTheFormTheVersionReads(t *testing.T) {
	l := start(t)
	call := l.gateway(t, "one")
	login(t, call, "v5.3.0")
	read := func(request *apidef.DefRequest) []map[string]any {
		answer, err := call("GetApiDefinitions", request)
		if err != nil {
			t.Fatal(err)
		}
		var list []map[string]any
		if err := json.Unmarshal([]byte(answer.(string)), &list); err != nil {
			t.Fatal(err)
		}
		return list
	}
	wrapped := read(&apidef.DefRequest{OrgId: "org", LoadOAS: true})
	if len(wrapped) != 2 {
		t.Fatalf("%v", wrapped)
	}
	for _, one := range wrapped {
		isOAS := definitions.Flag(one, "api_definition", "is_oas")
		if (one["oas"] != nil) != isOAS || isOAS != (definitions.Text(one, "api_definition", "api_id") == "ledger") {
			t.Errorf("%v", one)
		}
	}
	plain := read(&apidef.DefRequest{OrgId: "org"})
	if len(plain) != 1 || plain[0]["api_id"] != "orders" {
		t.Errorf("plain: %v", plain)
	}
	if list := read(&apidef.DefRequest{OrgId: "another"}); len(list) != 0 {
		t.Errorf("another organisation got %v", list)
	}
	if list := read(&apidef.DefRequest{OrgId: "org", LoadOAS: true, Tags: []string{"edge"}}); len(list) != 1 {
		t.Errorf("segment got %v", list)
	}
}

func TestCheckReloadIsHeldUntilSomethingChanges(t *testing.T) {
	l := start(t)
	one, two := l.gateway(t, "one"), l.gateway(t, "two")
	for _, call := range []func(string, any) (any, error){one, two} {
		login(t, call, "v5.8.9")
		if _, err := call("GetApiDefinitions", &apidef.DefRequest{OrgId: "org", LoadOAS: true}); err != nil {
			t.Fatal(err)
		}
	}
	begun := time.Now()
	if reload, err := one("CheckReload", "org"); err != nil || reload != false || time.Since(begun) < time.Second {
		t.Fatalf("nothing changed: %v %v after %s", reload, err, time.Since(begun))
	}

	type result struct {
		reload any
		err    error
		after  time.Duration
	}
	results := make(chan result, 2)
	begun = time.Now()
	for _, call := range []func(string, any) (any, error){one, two} {
		go func() {
			reload, err := call("CheckReload", "org")
			results <- result{reload, err, time.Since(begun)}
		}()
	}
	time.Sleep(100 * time.Millisecond)
	if _, err := l.store.Update("orders", func(api store.API) (store.API, error) { return api, nil }); err != nil {
		t.Fatal(err)
	}
	for range 2 {
		if got := <-results; got.err != nil || got.reload != true || got.after < 100*time.Millisecond || got.after > 800*time.Millisecond {
			t.Errorf("%+v", got)
		}
	}
	if reload, _ := one("CheckReload", "org"); reload != false {
		t.Error("told twice of one change")
	}
	_, _ = l.store.Update("orders", func(api store.API) (store.API, error) { return api, nil })
	if _, err := two("GetApiDefinitions", &apidef.DefRequest{OrgId: "org"}); err != nil {
		t.Fatal(err)
	}
	if reload, _ := two("CheckReload", "org"); reload != false {
		t.Error("told of definitions it has fetched already")
	}
}

func TestAChangeIsToldToTheLatestPollOfAProcess(t *testing.T) {
	l := start(t)
	call := l.gateway(t, "one")
	login(t, call, "v5.8.9")
	if _, err := call("GetApiDefinitions", &apidef.DefRequest{OrgId: "org", LoadOAS: true}); err != nil {
		t.Fatal(err)
	}
	givenUp, latest := make(chan any, 1), make(chan any, 1)
	go func() { reload, _ := call("CheckReload", "org"); givenUp <- reload }()
	time.Sleep(100 * time.Millisecond)
	go func() { reload, _ := call("CheckReload", "org"); latest <- reload }()
	time.Sleep(100 * time.Millisecond)
	if _, err := l.store.Update("orders", func(api store.API) (store.API, error) { return api, nil }); err != nil {
		t.Fatal(err)
	}
	if reload := <-latest; reload != true {
		t.Errorf("the latest poll was told %v", reload)
	}
	if reload := <-givenUp; reload != false {
		t.Errorf("a poll that its client had given up took the news: %v", reload)
	}
}

func TestLoginIsNeededAndNodesAreListed(t *testing.T) {
	l := start(t)
	call := l.gateway(t, "one")
	if _, err := call("GetApiDefinitions", &apidef.DefRequest{OrgId: "org"}); err == nil || err.Error() != "Access Denied" {
		t.Fatalf("without login: %v", err)
	}
	if ok, err := call("Login", "wrong"); err != nil || ok != false {
		t.Fatalf("wrong key: %v %v", ok, err)
	}
	if ok, err := call("Ping", nil); err != nil || ok != true {
		t.Fatalf("ping: %v %v", ok, err)
	}
	login(t, call, "v5.8.9")
	if _, err := call("GetKey", "unknown"); err == nil || err.Error() != "Key not found" {
		t.Errorf("GetKey: %v", err)
	}
	if _, err := call("SetKey", &apidef.InboundData{KeyName: "0000"}); err != nil {
		t.Errorf("keepalive: %v", err)
	}
	if _, err := call("GetGroupKeySpaceUpdate", &apidef.GroupKeySpaceRequest{OrgID: "org", GroupID: "lab"}); err != nil {
		t.Errorf("key space: %v", err)
	}
	if _, err := call("DeleteRawKeys", []string{"a"}); err != nil {
		t.Errorf("DeleteRawKeys: %v", err)
	}
	if _, err := call("NoSuchFunction", nil); err == nil || !strings.Contains(err.Error(), "unknown method") {
		t.Errorf("unknown function: %v", err)
	}
	nodes := l.server.Nodes().List().([]Node)
	if len(nodes) != 1 || nodes[0].NodeVersion != "v5.8.9" || nodes[0].Group != "lab" || !nodes[0].Connected || nodes[0].Kind != "gateway" {
		t.Fatalf("%+v", nodes)
	}
	if _, err := call("Disconnect", &apidef.GroupLoginRequest{GroupID: "lab"}); err != nil {
		t.Error(err)
	}
	if _, err := call("GetPolicies", "org"); err == nil {
		t.Error("still logged in after Disconnect")
	}
}

func TestAnalyticsAreCounted(t *testing.T) {
	l := start(t)
	call := l.gateway(t, "pump")
	if ok, err := call("Login", "key"); err != nil || ok != true {
		t.Fatal(ok, err)
	}
	records := `[{"path":"/meter/a","api_id":"orders"},{"path":"/plain","raw_path":"/plain"},{"Path":"x/meter/b","APIID":"orders"},null,{"path":"/metering"}]`
	if _, err := call("PurgeAnalyticsData", records); err != nil {
		t.Fatal(err)
	}
	if reading := l.meter.Read(); reading.RecordsOut != 4 || reading.MarkedRecordsOut != 2 || reading.MarkedByAPI["orders"] != 2 {
		t.Fatalf("%+v", reading)
	}
	if _, err := call("PurgeAnalyticsData", "{"); err == nil {
		t.Error("no list was accepted")
	}
	if err := l.meter.Reset(); err != nil || l.meter.Read().RecordsOut != 0 {
		t.Error("reset")
	}
}
