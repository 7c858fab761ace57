// Copyright (c) 2026 tyk.upgrade contributors
// GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
// SPDX-License-Identifier: GPL-3.0-or-later

package loadgen

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"strings"
	"sync"
	"time"
)

// Hard limits; nobody needs more to watch a lab.
const (
	MaxRate     = 2000
	MaxDuration = time.Hour
	maxErrors   = 20
)

// Options of a generator.
type Options struct {
	Targets     []Target
	Rate        int           // requests per second over all targets
	Duration    time.Duration // sending ends by itself
	Timeout     time.Duration // per request
	IdleTimeout time.Duration // how long an unused connection is kept; less than the entry keeps it
	InFlight    int           // a request that would exceed it is not sent and counts as failed
}

// Reading is what the meter shows.
type Reading struct {
	Requests            int64                    `json:"requests"`
	Answered            int64                    `json:"answered"`
	Failed              int64                    `json:"failed"`
	PluginEffectMissing int64                    `json:"plugin_effect_missing"`
	UnauthorizedAllowed int64                    `json:"unauthorized_allowed"`
	P50                 float64                  `json:"p50_ms"`
	P99                 float64                  `json:"p99_ms"`
	InFlight            int64                    `json:"in_flight"`
	Rate                int                      `json:"rate"`
	Seconds             float64                  `json:"seconds"`
	Running             bool                     `json:"running"`
	Statuses            map[string]int64         `json:"statuses"`
	Targets             map[string]TargetReading `json:"targets"`
	Errors              []string                 `json:"errors"`
}

// TargetReading is the share of one target.
type TargetReading struct {
	Requests int64 `json:"requests"`
	Failed   int64 `json:"failed"`
}

// Generator sends at a steady rate, whatever the answers do (open loop).
type Generator struct {
	options   Options
	schedule  []int // indexes of targets, spread by weight
	transport *http.Transport

	mu       sync.Mutex
	reading  Reading
	latency  histogram
	begun    time.Time
	ended    time.Time
	inFlight sync.WaitGroup
	slots    chan struct{}
}

// New checks the options.
func New(options Options) (*Generator, error) {
	if options.Rate < 1 || options.Rate > MaxRate {
		return nil, fmt.Errorf("rate %d is not between 1 and %d requests per second", options.Rate, MaxRate)
	}
	if options.Duration <= 0 || options.Duration > MaxDuration {
		return nil, fmt.Errorf("duration %s is not between 1s and %s", options.Duration, MaxDuration)
	}
	targets, err := CheckTargets(options.Targets)
	if err != nil {
		return nil, err
	}
	options.Targets = targets
	if options.Timeout <= 0 {
		options.Timeout = 5 * time.Second
	}
	if options.IdleTimeout <= 0 {
		options.IdleTimeout = 5 * time.Second
	}
	if options.InFlight <= 0 {
		options.InFlight = 2000
	}
	dialer := &net.Dialer{Timeout: options.Timeout}
	g := &Generator{
		options:  options,
		schedule: spread(targets),
		slots:    make(chan struct{}, options.InFlight),
		transport: &http.Transport{
			Proxy:               nil,
			MaxIdleConnsPerHost: 256,
			IdleConnTimeout:     options.IdleTimeout,
			DisableCompression:  true,
			DialContext: func(ctx context.Context, network, address string) (net.Conn, error) {
				conn, err := dialer.DialContext(ctx, network, address)
				if err != nil {
					return nil, err
				}
				if remote, ok := conn.RemoteAddr().(*net.TCPAddr); !ok || !remote.IP.IsLoopback() {
					conn.Close()
					return nil, fmt.Errorf("%s is not on this machine", address)
				}
				return conn, nil
			},
		},
	}
	g.reading.Statuses = map[string]int64{}
	g.reading.Targets = map[string]TargetReading{}
	g.reading.Errors = []string{}
	g.reading.Rate = options.Rate
	return g, nil
}

// spread orders the targets so that each has its weight's share in every stretch of the schedule.
func spread(targets []Target) []int {
	total := 0
	for _, target := range targets {
		total += target.Weight
	}
	credit := make([]int, len(targets))
	schedule := make([]int, 0, total)
	for len(schedule) < total {
		best := 0
		for i, target := range targets {
			credit[i] += target.Weight
			if credit[i] > credit[best] {
				best = i
			}
		}
		credit[best] -= total
		schedule = append(schedule, best)
	}
	return schedule
}

// Run sends until ctx ends or the duration is over, waits for the answers under way, and returns
// the last reading.
func (g *Generator) Run(ctx context.Context) Reading {
	ctx, cancel := context.WithTimeout(ctx, g.options.Duration)
	defer cancel()
	g.mu.Lock()
	g.begun, g.reading.Running = time.Now(), true
	begun := g.begun
	g.mu.Unlock()

	interval := time.Second / time.Duration(g.options.Rate)
	timer := time.NewTimer(0)
	defer timer.Stop()
	for n := 0; ; n++ {
		due := begun.Add(time.Duration(n) * interval)
		if wait := time.Until(due); wait > 0 {
			timer.Reset(wait)
			select {
			case <-timer.C:
			case <-ctx.Done():
			}
		}
		if ctx.Err() != nil {
			break
		}
		g.launch(&g.options.Targets[g.schedule[n%len(g.schedule)]], due)
	}
	g.inFlight.Wait()
	g.transport.CloseIdleConnections()
	g.mu.Lock()
	g.ended, g.reading.Running = time.Now(), false
	g.mu.Unlock()
	return g.Read()
}

func (g *Generator) launch(target *Target, due time.Time) {
	select {
	case g.slots <- struct{}{}:
	default:
		g.record(target, due, 0, verdict{message: fmt.Sprintf("not sent: %d requests are under way already", g.options.InFlight)})
		return
	}
	g.mu.Lock()
	g.reading.InFlight++
	g.mu.Unlock()
	g.inFlight.Add(1)
	go func() {
		defer g.inFlight.Done()
		status, result := g.send(target)
		g.record(target, due, status, result)
		g.mu.Lock()
		g.reading.InFlight--
		g.mu.Unlock()
		<-g.slots
	}()
}

// verdict is empty for the expected answer.
type verdict struct {
	message       string
	effectMissing bool
	unauthorized  bool
}

// send makes exactly one attempt: it does not follow redirects, and it keeps the transport from
// sending a request again on a connection that the other side has just closed. That last thing takes
// a body of unknown length without GetBody, which the transport cannot rewind; as the body turns out
// to be empty, nothing of it is on the wire.
func (g *Generator) send(target *Target) (int, verdict) {
	ctx, cancel := context.WithTimeout(context.Background(), g.options.Timeout)
	defer cancel()
	request, err := http.NewRequestWithContext(ctx, target.Method, target.URL, onceOnly{})
	if err != nil {
		return 0, verdict{message: err.Error()}
	}
	for name, value := range target.Headers {
		request.Header.Set(name, value)
	}
	if host := request.Header.Get("Host"); host != "" {
		request.Host = host
	}
	response, err := g.transport.RoundTrip(request)
	if err != nil {
		return 0, verdict{message: reason(err)}
	}
	defer response.Body.Close()
	if _, err := io.Copy(io.Discard, response.Body); err != nil {
		return 0, verdict{message: fmt.Sprintf("status %d, then the body broke off: %s", response.StatusCode, reason(err))}
	}
	return response.StatusCode, target.judge(response)
}

type onceOnly struct{}

func (onceOnly) Read([]byte) (int, error) { return 0, io.EOF }
func (onceOnly) Close() error             { return nil }

func reason(err error) string {
	if errors.Is(err, context.DeadlineExceeded) {
		return "no answer in time"
	}
	return err.Error()
}

func (t *Target) judge(response *http.Response) verdict {
	expected := false
	for _, status := range t.Expect.Status {
		expected = expected || status == response.StatusCode
	}
	if !expected {
		return verdict{
			message:      fmt.Sprintf("status %d instead of %v", response.StatusCode, t.Expect.Status),
			unauthorized: t.Kind == KindDeny && response.StatusCode/100 == 2,
		}
	}
	for name, pattern := range t.headers {
		if value := response.Header.Get(name); !pattern.MatchString(value) {
			return verdict{
				message:       fmt.Sprintf("header %s is %q, which does not match %s", name, value, t.Expect.Headers[name]),
				effectMissing: true,
			}
		}
	}
	return verdict{}
}

// record counts a request when it is over. Latency runs from the moment the request was due, so a
// stall is not hidden by requests that were sent late.
func (g *Generator) record(target *Target, due time.Time, status int, result verdict) {
	now := time.Now()
	g.mu.Lock()
	defer g.mu.Unlock()
	share := g.reading.Targets[target.Name]
	g.reading.Requests++
	share.Requests++
	if status != 0 {
		g.reading.Answered++
		g.reading.Statuses[fmt.Sprint(status)]++
		g.latency.add(float64(now.Sub(due)) / float64(time.Millisecond))
	}
	if result.message != "" {
		g.reading.Failed++
		share.Failed++
		if len(g.reading.Errors) < maxErrors {
			g.reading.Errors = append(g.reading.Errors, strings.Join([]string{now.UTC().Format("15:04:05.000"), target.Name + ":", result.message}, " "))
		}
	}
	if result.effectMissing {
		g.reading.PluginEffectMissing++
	}
	if result.unauthorized {
		g.reading.UnauthorizedAllowed++
	}
	g.reading.Targets[target.Name] = share
}

// Read returns the present count.
func (g *Generator) Read() Reading {
	g.mu.Lock()
	defer g.mu.Unlock()
	reading := g.reading
	reading.P50, reading.P99 = g.latency.percentile(0.50), g.latency.percentile(0.99)
	switch {
	case g.begun.IsZero():
	case g.ended.IsZero():
		reading.Seconds = time.Since(g.begun).Seconds()
	default:
		reading.Seconds = g.ended.Sub(g.begun).Seconds()
	}
	reading.Seconds = float64(int64(reading.Seconds*1000)) / 1000
	reading.Statuses = map[string]int64{}
	for status, count := range g.reading.Statuses {
		reading.Statuses[status] = count
	}
	reading.Targets = map[string]TargetReading{}
	for name, share := range g.reading.Targets {
		reading.Targets[name] = share
	}
	reading.Errors = append([]string{}, g.reading.Errors...)
	return reading
}
