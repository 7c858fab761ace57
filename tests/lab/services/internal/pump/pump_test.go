// Copyright (c) 2026 tyk.upgrade contributors
// GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
// SPDX-License-Identifier: GPL-3.0-or-later

package pump

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/redis/go-redis/v9"

	"tyk.upgrade/lab/internal/mdcb"
	"tyk.upgrade/lab/internal/meter"
	"tyk.upgrade/lab/internal/store"
	"tyk.upgrade/lab/internal/tyklog"
)

func freePort(t *testing.T) int {
	t.Helper()
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer listener.Close()
	return listener.Addr().(*net.TCPAddr).Port
}

// startRedis runs a real server; without one the pump cannot be tested.
func startRedis(t *testing.T) (*redis.Client, int) {
	t.Helper()
	program, err := exec.LookPath("redis-server")
	if err != nil {
		if os.Getenv("LAB_REQUIRE_REDIS") == "" {
			t.Skip("redis-server is not installed")
		}
		t.Fatal(err)
	}
	port := freePort(t)
	server := exec.Command(program, "--port", strconv.Itoa(port), "--bind", "127.0.0.1", "--save", "", "--appendonly", "no", "--dir", t.TempDir())
	if err := server.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		_ = server.Process.Kill()
		_ = server.Wait()
	})
	client := redis.NewClient(&redis.Options{Addr: fmt.Sprintf("127.0.0.1:%d", port)})
	t.Cleanup(func() { _ = client.Close() })
	for range 100 {
		if client.Ping(context.Background()).Err() == nil {
			return client, port
		}
		time.Sleep(50 * time.Millisecond)
	}
	t.Fatal("redis-server does not answer")
	return nil, 0
}

func startControlPlane(t *testing.T) (*meter.Meter, string) {
	t.Helper()
	address := fmt.Sprintf("127.0.0.1:%d", freePort(t))
	apis, _ := store.Open("", "org")
	records, _ := meter.Open("")
	server := mdcb.New(apis, records, mdcb.Options{Address: address, OrgID: "org", APIKey: "key"})
	if err := server.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(server.Stop)
	return records, address
}

type safeBuffer struct {
	mu     sync.Mutex
	buffer bytes.Buffer
}

func (s *safeBuffer) Write(data []byte) (int, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.buffer.Write(data)
}

func (s *safeBuffer) String() string {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.buffer.String()
}

func captureLog(t *testing.T) *safeBuffer {
	t.Helper()
	captured := &safeBuffer{}
	t.Cleanup(tyklog.SetOutput(captured))
	return captured
}

func impatient(t *testing.T) {
	t.Helper()
	before := retries
	retries = []time.Duration{time.Millisecond}
	t.Cleanup(func() { retries = before })
}

func records(t *testing.T) (old, new string) {
	t.Helper()
	read := func(name string) string {
		data, err := os.ReadFile(filepath.Join("testdata", name))
		if err != nil {
			t.Fatal(err)
		}
		return string(data)
	}
	return read("record-v2.msgpack"), read("record-v4.msgpack")
}

func waitFor(t *testing.T, what string, done func() bool) {
	t.Helper()
	for end := time.Now().Add(10 * time.Second); time.Now().Before(end); time.Sleep(20 * time.Millisecond) {
		if done() {
			return
		}
	}
	t.Fatalf("waited in vain for %s", what)
}

func TestDecodeBothEncodings(t *testing.T) {
	old, new := records(t)
	for _, data := range []string{old, new} {
		record, err := Decode(data)
		if err != nil {
			t.Fatal(err)
		}
		sent, err := json.Marshal(record)
		if err != nil {
			t.Fatal(err)
		}
		for _, part := range []string{
			`"path":"/meter/a"`, `"api_id":"lab-orders"`, `"response_code":200`, `"timestamp":"2026-11-23T16:00:01.5Z"`,
			`"expireAt":"0001-01-01T00:00:00Z"`, `"latency":{"total":3,"upstream":2}`, `"tags":["key-00000000"`,
		} {
			if !strings.Contains(string(sent), part) {
				t.Errorf("%s is missing in %s", part, sent)
			}
		}
	}
	if _, err := Decode("\xc1"); err == nil {
		t.Error("rubbish was decoded")
	}
}

func TestEveryRecordIsMovedAndTheLastPurgeIsWaitedFor(t *testing.T) {
	client, port := startRedis(t)
	meter, address := startControlPlane(t)
	log := captureLog(t)
	old, new := records(t)
	ctx := context.Background()

	file := filepath.Join(t.TempDir(), "pump.conf")
	if err := os.WriteFile(file, []byte(`{"purge_delay": 10, "analytics_storage_config": {"host": "nowhere", "port": 1, "database": 3},
		"pumps": {"hybrid": {"type": "hybrid", "meta": {"connection_string": "nowhere:1", "rpc_key": "org", "api_key": "key"}}}}`), 0o600); err != nil {
		t.Fatal(err)
	}
	healthPort := freePort(t)
	config, err := LoadConfig(file, []string{
		"TYK_PMP_PURGEDELAY=1", "TYK_PMP_ANALYTICSSTORAGECONFIG_HOST=localhost", "TYK_PMP_TEMPORAL_STORAGE_HOST=127.0.0.1",
		fmt.Sprintf("TYK_PMP_ANALYTICSSTORAGECONFIG_PORT=%d", port), "TYK_PMP_PUMPS_HYBRID_META_CONNECTIONSTRING=" + address,
		fmt.Sprintf("TYK_PMP_HEALTHCHECKENDPOINTPORT=%d", healthPort),
	})
	if err != nil {
		t.Fatal(err)
	}
	database := redis.NewClient(&redis.Options{Addr: client.Options().Addr, DB: 3})
	defer database.Close()
	push := func(count int) {
		for n := range count {
			key := "analytics-tyk-system-analytics"
			if n%3 == 0 {
				key += fmt.Sprintf("_%d", n%10)
			}
			value := old
			if n%2 == 0 {
				value = new
			}
			if err := database.RPush(ctx, key, value).Err(); err != nil {
				t.Fatal(err)
			}
		}
	}
	push(500)
	running, stop := context.WithCancel(ctx)
	defer stop()
	done := make(chan error, 1)
	go func() { done <- Run(running, config, "v1.12.0", "127.0.0.1") }()
	waitFor(t, "the first 500", func() bool { return meter.Read().MarkedRecordsOut == 500 })

	response, err := http.Get(fmt.Sprintf("http://127.0.0.1:%d/health", healthPort))
	if err != nil {
		t.Fatal(err)
	}
	body, _ := io.ReadAll(response.Body)
	response.Body.Close()
	if string(body) != `{"status": "ok"}` {
		t.Errorf("health: %s", body)
	}
	if version := database.Get(ctx, "version-check-pump").Val(); version != "v1.12.0" {
		t.Errorf("version key: %q", version)
	}

	push(30)
	database.RPush(ctx, "analytics-tyk-system-analytics", "\xc1")
	stop()
	if err := <-done; err != nil {
		t.Fatal(err)
	}
	if reading := meter.Read(); reading.MarkedRecordsOut != 530 || reading.RecordsOut != 530 {
		t.Errorf("%+v", reading)
	}
	if keys := database.Keys(ctx, "analytics-*").Val(); len(keys) != 0 {
		t.Errorf("left in Redis: %v", keys)
	}
	last := -1
	for _, line := range []string{
		`msg="## Tyk Pump, v1.12.0 ##" prefix=main`, `msg="Connecting to Tyk MDCB..." prefix=hybrid-pump`, `msg="Logging in to Tyk MDCB..." prefix=hybrid-pump`,
		`msg="Init Pump: HYBRID" prefix=main`, `msg="Starting purge loop @1, chunk size 0"`, `Couldn't unmarshal analytics data:`,
		`msg="Shutting down 1 pumps..."`, `msg="Hybrid pump gracefully stopped."`, `msg="Tyk-pump stopped."`,
	} {
		at := strings.Index(log.String(), line)
		if at <= last {
			t.Errorf("%s is missing or out of order in\n%s", line, log)
		}
		last = at
	}
}

func TestAFailedBackendIsSkippedAndItsRecordsAreLost(t *testing.T) {
	impatient(t)
	client, port := startRedis(t)
	meter, address := startControlPlane(t)
	log := captureLog(t)
	config := Config{
		PurgeDelay: 1, AnalyticsStorageConfig: Storage{Host: "127.0.0.1", Port: port}, HealthCheckEndpointPort: freePort(t),
		Pumps: map[string]Backend{
			"HYBRID": {Meta: map[string]any{"connection_string": address, "api_key": "wrong"}},
			"DUMMY":  {},
			"MONGO":  {},
		},
	}
	config.defaults()
	old, _ := records(t)
	client.RPush(context.Background(), "analytics-tyk-system-analytics", old)
	running, stop := context.WithCancel(context.Background())
	done := make(chan error, 1)
	go func() { done <- Run(running, config, "v1.12.0", "127.0.0.1") }()
	waitFor(t, "the purge", func() bool { return client.Exists(context.Background(), "analytics-tyk-system-analytics").Val() == 0 })
	stop()
	if err := <-done; err != nil {
		t.Fatal(err)
	}
	if meter.Read().RecordsOut != 0 {
		t.Error("records arrived without a login")
	}
	for _, line := range []string{
		`level=error msg="Pump init error (skipping): RPC login incorrect" pump="Hybrid pump"`,
		`msg="Pump load error (skipping): MONGO Not found"`, `msg="Init Pump: DUMMY"`,
	} {
		if !strings.Contains(log.String(), line) {
			t.Errorf("%s is missing in\n%s", line, log)
		}
	}
}

func TestWithoutAnyBackendThePumpDies(t *testing.T) {
	impatient(t)
	_, port := startRedis(t)
	captureLog(t)
	config := Config{
		AnalyticsStorageConfig: Storage{Host: "127.0.0.1", Port: port}, HealthCheckEndpointPort: freePort(t),
		Pumps: map[string]Backend{"HYBRID": {Meta: map[string]any{"connection_string": fmt.Sprintf("127.0.0.1:%d", freePort(t)), "call_timeout": 1}}},
	}
	config.defaults()
	if err := Run(context.Background(), config, "v1", "127.0.0.1"); err == nil || err.Error() != "No pumps configured" {
		t.Fatalf("%v", err)
	}
	config.AnalyticsStorageConfig.Port = freePort(t)
	config.HealthCheckEndpointPort = freePort(t)
	if err := Run(context.Background(), config, "v1", "127.0.0.1"); err == nil || !strings.Contains(err.Error(), "Temporal Storage") {
		t.Fatalf("%v", err)
	}
}

func TestChunksRenewTheExpiry(t *testing.T) {
	client, port := startRedis(t)
	ctx := context.Background()
	for n := range 5 {
		client.RPush(ctx, "list", n)
	}
	config := Config{PurgeChunk: 2, AnalyticsStorageConfig: Storage{Port: port}}
	config.defaults()
	taken, err := (&purger{redis: client, config: config}).take("list")
	if err != nil || fmt.Sprint(taken) != "[0 1]" {
		t.Fatalf("%v %v", taken, err)
	}
	if left := client.LLen(ctx, "list").Val(); left != 3 {
		t.Errorf("%d left", left)
	}
	if ttl := client.TTL(ctx, "list").Val(); ttl < 50*time.Second {
		t.Errorf("ttl %s", ttl)
	}
}

func TestConfigFromTheEnvironmentAlone(t *testing.T) {
	captureLog(t)
	config, err := LoadConfig("/nowhere/pump.conf", []string{
		"TYK_PMP_OMITCONFIGFILE=true", "TYK_PMP_PUMPS_HYBRID_TYPE=hybrid", "TYK_PMP_PUMPS_HYBRID_META_CONNECTIONSTRING=h:1",
		"TYK_PMP_PUMPS_HYBRID_META_APIKEY=k", "TYK_PMP_REDIS_HOST=r", "TYK_PMP_REDIS_DATABASE=7",
	})
	if err != nil || config.Pumps["HYBRID"].Meta["api_key"] != "k" || config.AnalyticsStorageConfig.Database != 7 || config.PurgeDelay != 10 {
		t.Fatalf("%+v %v", config, err)
	}
	if _, err := LoadConfig("/nowhere/pump.conf", []string{"TYK_PMP_PURGEDELAY=soon"}); err == nil {
		t.Error("a delay that is no number was accepted")
	}
}
