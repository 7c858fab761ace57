// Copyright (c) 2026 tyk.upgrade contributors
// GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
// SPDX-License-Identifier: GPL-3.0-or-later

// Package analytics buffers a record for each request, writes the buffer to Redis about once a
// second, and for type "rpc" sends what lies there to the control plane every ten.
package analytics

import (
	"context"
	"encoding/json"
	"net"
	"net/http"
	"strings"
	"sync"
	"time"

	"github.com/redis/go-redis/v9"
	"github.com/vmihailenco/msgpack/v5"

	"github.com/TykTechnologies/tyk/apidef"
	"github.com/TykTechnologies/tyk/internal/config"
	"github.com/TykTechnologies/tyk/log"
)

// List holds the records in Redis.
const List = "analytics-tyk-system-analytics"

const (
	flushTime  = time.Second
	expireTime = time.Second
	purgeTime  = 10 * time.Second
)

// Latency in milliseconds.
type Latency struct {
	Total    int64 `json:"total"`
	Upstream int64 `json:"upstream"`
}

// Record of one request. In Redis the fields have their Go names.
type Record struct {
	Method        string    `json:"method"`
	Host          string    `json:"host"`
	Path          string    `json:"path"`
	RawPath       string    `json:"raw_path"`
	ContentLength int64     `json:"content_length"`
	UserAgent     string    `json:"user_agent"`
	Day           int       `json:"day"`
	Month         int       `json:"month"`
	Year          int       `json:"year"`
	Hour          int       `json:"hour"`
	ResponseCode  int       `json:"response_code"`
	APIKey        string    `json:"api_key"`
	TimeStamp     time.Time `json:"timestamp"`
	APIVersion    string    `json:"api_version"`
	APIName       string    `json:"api_name"`
	APIID         string    `json:"api_id"`
	OrgID         string    `json:"org_id"`
	RequestTime   int64     `json:"request_time"`
	RawRequest    string    `json:"raw_request"`
	RawResponse   string    `json:"raw_response"`
	IPAddress     string    `json:"ip_address"`
	Latency       Latency   `json:"latency"`
	Tags          []string  `json:"tags"`
	Alias         string    `json:"alias"`
	TrackPath     bool      `json:"track_path"`
	ExpireAt      time.Time `json:"expireAt"`
}

// Sender hands records to the control plane.
type Sender interface{ SendAnalytics(records string) error }

// Recorder collects records.
type Recorder struct {
	Redis  redis.UniversalClient
	Config config.Config
	Sender Sender

	mu     sync.Mutex
	buffer []interface{}
}

// Hit records a request to an API; path is what the upstream got.
func (r *Recorder) Hit(api *apidef.APIDefinition, request *http.Request, path string, code int, token string, begun time.Time, upstream time.Duration) {
	if !r.Config.EnableAnalytics || api.DoNotTrack {
		return
	}
	address, _, _ := net.SplitHostPort(request.RemoteAddr)
	if forwarded := request.Header.Get("X-Forwarded-For"); forwarded != "" {
		address, _, _ = strings.Cut(forwarded, ",")
	}
	total := time.Since(begun)
	record := Record{
		Method: request.Method, Host: request.Host, Path: path, RawPath: path, ContentLength: request.ContentLength,
		UserAgent: request.UserAgent(), Day: begun.Day(), Month: int(begun.Month()), Year: begun.Year(), Hour: begun.Hour(),
		ResponseCode: code, APIKey: token, TimeStamp: begun, APIVersion: "Non Versioned", APIName: api.Name, APIID: api.APIID,
		OrgID: api.OrgID, RequestTime: total.Milliseconds(), IPAddress: address,
		Latency:  Latency{Total: total.Milliseconds(), Upstream: upstream.Milliseconds()},
		Tags:     api.Tags,
		ExpireAt: begun.AddDate(1, 0, 0),
	}
	encoded, err := msgpack.Marshal(&record)
	if err != nil {
		log.Get().WithError(err).Error("Error encoding analytics data")
		return
	}
	r.mu.Lock()
	r.buffer = append(r.buffer, encoded)
	r.mu.Unlock()
}

// Run flushes and purges until the context ends. What is in the buffer then is lost.
func (r *Recorder) Run(ctx context.Context) {
	flush, expire, purge := time.NewTicker(flushTime), time.NewTicker(expireTime), time.NewTicker(purgeTime)
	defer flush.Stop()
	defer expire.Stop()
	defer purge.Stop()
	for {
		select {
		case <-ctx.Done():
			return
		case <-flush.C:
			r.flush(ctx)
		case <-expire.C:
			r.expire(ctx)
		case <-purge.C:
			if r.Config.AnalyticsConfig.Type == "rpc" && r.Sender != nil {
				r.purge(ctx)
			}
		}
	}
}

func (r *Recorder) flush(ctx context.Context) {
	r.mu.Lock()
	records := r.buffer
	r.buffer = nil
	r.mu.Unlock()
	if len(records) == 0 {
		return
	}
	if err := r.Redis.RPush(ctx, List, records...).Err(); err != nil {
		log.Get().WithError(err).Error("Error while writing analytics")
	}
}

// expire gives the list a time to live when it has none, so once in its life: steady traffic does
// not refresh it, and the whole list goes when it runs out.
func (r *Recorder) expire(ctx context.Context) {
	lifetime := time.Duration(r.Config.AnalyticsConfig.StorageExpirationTime) * time.Second
	if lifetime == 0 {
		lifetime = 60 * time.Second
	}
	if lifetime < 0 {
		return
	}
	// -1 is what Redis says of a key that has none.
	if left, err := r.Redis.TTL(ctx, List).Result(); err == nil && left == -1 {
		r.Redis.Expire(ctx, List, lifetime)
	}
}

func (r *Recorder) purge(ctx context.Context) {
	var values *redis.StringSliceCmd
	_, err := r.Redis.TxPipelined(ctx, func(pipe redis.Pipeliner) error {
		values = pipe.LRange(ctx, List, 0, -1)
		pipe.Del(ctx, List)
		return nil
	})
	if err != nil || len(values.Val()) == 0 {
		return
	}
	records := make([]Record, 0, len(values.Val()))
	for _, value := range values.Val() {
		var record Record
		if msgpack.Unmarshal([]byte(value), &record) == nil {
			records = append(records, record)
		}
	}
	data, err := json.Marshal(records)
	if err == nil {
		err = r.Sender.SendAnalytics(string(data))
	}
	if err != nil {
		log.Get().WithError(err).Error("Failed to call purge, retrying")
		back := make([]interface{}, len(values.Val()))
		for i, value := range values.Val() {
			back[i] = value
		}
		r.Redis.RPush(ctx, List, back...)
	}
}
