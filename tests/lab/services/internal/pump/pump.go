// Copyright (c) 2026 tyk.upgrade contributors
// GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
// SPDX-License-Identifier: GPL-3.0-or-later

package pump

import (
	"context"
	"fmt"
	"net"
	"net/http"
	"strconv"
	"strings"
	"sync"
	"time"

	"github.com/redis/go-redis/v9"

	"tyk.upgrade/lab/internal/tyklog"
)

const (
	listName   = "tyk-system-analytics"
	shards     = 10
	versionKey = "version-check-pump"
)

type backend interface {
	name() string
	init(meta map[string]any) error
	write(records []map[string]any) error
	shutdown()
}

// dummy takes records and drops them.
type dummy struct{}

func (dummy) name() string                 { return "Dummy Pump" }
func (dummy) init(map[string]any) error    { return nil }
func (dummy) write([]map[string]any) error { return nil }
func (dummy) shutdown()                    {}

// Run works until ctx ends, which is noticed only after the next purge. The error it returns is one
// on which the pump dies.
func Run(ctx context.Context, config Config, version, healthHost string) error {
	mainLog.Info("## Tyk Pump, ", version, " ##")
	ended, stop, err := serveHealth(config, healthHost)
	if err != nil {
		return fmt.Errorf("Error serving health check endpoint%w", err) //nolint:staticcheck // the pump's wording
	}
	defer stop()

	if kind := config.AnalyticsStorageType; kind != "" && kind != "redis" {
		return fmt.Errorf("Invalid analytics storage type: %s", kind) //nolint:staticcheck // the pump's wording
	}
	storage := config.AnalyticsStorageConfig
	client := redis.NewClient(&redis.Options{
		Addr: net.JoinHostPort(storage.Host, strconv.Itoa(storage.Port)), Username: storage.Username, Password: storage.Password, DB: storage.Database,
	})
	defer client.Close()
	if err := client.Set(context.Background(), versionKey, version, 0).Err(); err != nil {
		return fmt.Errorf("Error connecting to Temporal Storage: %w", err) //nolint:staticcheck // the pump's wording
	}

	backends := initialise(config.Pumps)
	if len(backends) == 0 {
		return fmt.Errorf("No pumps configured") //nolint:staticcheck // the pump's wording
	}
	mainLog.Info(fmt.Sprintf("Starting purge loop @%d, chunk size %d", config.PurgeDelay, config.PurgeChunk))
	loop := &purger{redis: client, config: config, backends: backends}
	ticker := time.NewTicker(time.Duration(config.PurgeDelay) * time.Second)
	defer ticker.Stop()
	for {
		select {
		case err := <-ended:
			return fmt.Errorf("Error serving health check endpoint%w", err) //nolint:staticcheck // the pump's wording
		case <-ticker.C:
		}
		loop.purge()
		if ctx.Err() != nil {
			break
		}
	}
	mainLog.Info("Shutting down ", len(backends), " pumps...")
	for _, one := range backends {
		one.shutdown()
		mainLog.Info(one.name() + " gracefully stopped.")
	}
	mainLog.Info("Tyk-pump stopped.")
	return nil
}

// initialise skips every back-end that fails. The pump then goes on without it, and what it purges
// never gets there.
func initialise(configured map[string]Backend) []backend {
	var ready []backend
	for key, settings := range configured {
		kind := settings.Type
		if kind == "" {
			kind = key
		}
		var one backend
		switch strings.ToLower(kind) {
		case "hybrid":
			one = &hybrid{}
		case "dummy":
			one = dummy{}
		default:
			mainLog.Error("Pump load error (skipping): ", kind+" Not found")
			continue
		}
		if err := one.init(settings.Meta); err != nil {
			tyklog.Logger{Field: "pump", Value: one.name()}.Error("Pump init error (skipping): ", err)
			continue
		}
		mainLog.Info("Init Pump: ", key)
		ready = append(ready, one)
	}
	return ready
}

type purger struct {
	redis    *redis.Client
	config   Config
	backends []backend
}

// purge empties every list once: the plain one, then the shards.
func (p *purger) purge() {
	for shard := -1; shard < shards; shard++ {
		key := p.config.AnalyticsStorageConfig.KeyPrefix + listName
		if shard >= 0 {
			key += "_" + strconv.Itoa(shard)
		}
		values, err := p.take(key)
		if err != nil {
			mainLog.Error("Error on Purge Loop. Is Temporal Storage down?: " + err.Error())
		}
		if len(values) > 0 {
			p.write(decodeAll(values, key))
		}
	}
}

// take reads and removes in one transaction: a record is either in Redis or with us.
func (p *purger) take(key string) ([]string, error) {
	ctx := context.Background()
	var read *redis.StringSliceCmd
	_, err := p.redis.TxPipelined(ctx, func(pipe redis.Pipeliner) error {
		chunk := int64(p.config.PurgeChunk)
		read = pipe.LRange(ctx, key, 0, chunk-1)
		if chunk == 0 {
			pipe.Del(ctx, key)
			return nil
		}
		pipe.LTrim(ctx, key, chunk, -1)
		pipe.Expire(ctx, key, time.Duration(p.config.StorageExpirationTime)*time.Second)
		return nil
	})
	if err != nil {
		return nil, err
	}
	return read.Val(), nil
}

func decodeAll(values []string, key string) []map[string]any {
	records := make([]map[string]any, 0, len(values))
	for _, value := range values {
		record, err := Decode(value)
		if err != nil {
			tyklog.Logger{Field: "analytic_key", Value: key}.Error("Couldn't unmarshal analytics data:", err)
			continue
		}
		records = append(records, record)
	}
	return records
}

func (p *purger) write(records []map[string]any) {
	if len(records) == 0 {
		return
	}
	var writing sync.WaitGroup
	for _, one := range p.backends {
		writing.Add(1)
		go func() {
			defer writing.Done()
			slow := time.AfterFunc(time.Duration(p.config.PurgeDelay)*time.Second, func() {
				mainLog.Warning("Pump  ", one.name(), " is taking more time than the value configured of purge_delay. You should try to set a timeout for this pump.")
			})
			defer slow.Stop()
			if err := one.write(records); err != nil {
				mainLog.Warning("Error Writing to: ", one.name(), " - Error:", err)
			}
		}()
	}
	writing.Wait()
}

// serveHealth answers the same whatever the back-ends do.
func serveHealth(config Config, host string) (<-chan error, func(), error) {
	mux := http.NewServeMux()
	mux.HandleFunc("GET /"+config.HealthCheckEndpointName, func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Content-Type", "application/json")
		_, _ = w.Write([]byte(`{"status": "ok"}`))
	})
	listener, err := net.Listen("tcp", net.JoinHostPort(host, strconv.Itoa(config.HealthCheckEndpointPort)))
	if err != nil {
		return nil, nil, err
	}
	tyklog.New("server").Info("Serving health check endpoint at http://localhost:", config.HealthCheckEndpointPort, "/", config.HealthCheckEndpointName, " ...")
	server := &http.Server{Handler: mux, ReadHeaderTimeout: 5 * time.Second}
	ended := make(chan error, 1)
	go func() {
		if err := server.Serve(listener); err != http.ErrServerClosed {
			ended <- err
		}
	}()
	return ended, func() { _ = server.Close() }, nil
}
