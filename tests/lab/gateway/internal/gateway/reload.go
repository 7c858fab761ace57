// Copyright (c) 2026 tyk.upgrade contributors
// GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
// SPDX-License-Identifier: GPL-3.0-or-later

package gateway

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"sync"
	"time"
)

const (
	notifications = "tyk.cluster.notifications"
	groupReload   = "GroupReload"
)

// reloader gathers what asks for a reload and runs at most one in each interval.
type reloader struct {
	interval time.Duration
	work     func()
	mu       sync.Mutex
	queued   bool
	waiting  []chan struct{}
	due      chan struct{}
}

func newReloader(interval time.Duration, work func()) *reloader {
	return &reloader{interval: interval, work: work, due: make(chan struct{}, 1)}
}

// queue asks for a reload; done, if given, is closed after one that began later than this call.
func (r *reloader) queue(done chan struct{}) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.queued = true
	mainLog().Info("Reload queued")
	if done != nil {
		r.waiting = append(r.waiting, done)
	}
}

func (r *reloader) run(ctx context.Context) {
	ticker := time.NewTicker(r.interval)
	defer ticker.Stop()
	for {
		select {
		case <-ctx.Done():
			return
		case <-ticker.C:
		}
		r.mu.Lock()
		queued, waiting := r.queued, r.waiting
		r.queued, r.waiting = false, nil
		r.mu.Unlock()
		if !queued {
			continue
		}
		mainLog().Info("reload: initiating")
		r.work()
		mainLog().Info("reload: complete")
		for _, done := range waiting {
			close(done)
		}
	}
}

type notification struct {
	Command   string `json:"command"`
	Payload   string `json:"payload"`
	Signature string `json:"signature"`
	Algorithm int    `json:"algorithm"`
}

const sha256Algorithm = 5

func (g *Gateway) sign(n notification) string {
	sum := sha256.Sum256([]byte(n.Command + n.Payload + g.config.NodeSecret))
	return hex.EncodeToString(sum[:])
}

// publishReload tells all gateways on this Redis, this one too.
func (g *Gateway) publishReload() {
	n := notification{Command: groupReload, Algorithm: sha256Algorithm}
	n.Signature = g.sign(n)
	data, _ := json.Marshal(n)
	if err := g.redis.Publish(context.Background(), notifications, data).Err(); err != nil {
		mainLog().WithError(err).Error("Could not send notification")
	}
}

// subscribe begins late: what was published before is lost for good.
func (g *Gateway) subscribe(ctx context.Context) {
	time.Sleep(g.behaviour.SubscribeDelay)
	subscription := g.redis.Subscribe(ctx, notifications)
	defer subscription.Close()
	for {
		message, err := subscription.ReceiveMessage(ctx)
		if ctx.Err() != nil {
			return
		}
		if err != nil {
			time.Sleep(time.Second)
			continue
		}
		var n notification
		if json.Unmarshal([]byte(message.Payload), &n) != nil || n.Command != groupReload {
			continue
		}
		if n.Signature != g.sign(n) {
			mainLog().WithField("prefix", "pub-sub").Error("Payload signature is invalid!")
			continue
		}
		g.reloads.queue(nil)
	}
}
