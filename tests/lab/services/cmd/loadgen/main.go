// Copyright (c) 2026 tyk.upgrade contributors
// GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
// SPDX-License-Identifier: GPL-3.0-or-later

// Command loadgen sends a steady stream of requests to the lab's entry and judges every answer.
package main

import (
	"context"
	"encoding/json"
	"flag"
	"fmt"
	"log"
	"net/http"
	"os"
	"os/signal"
	"syscall"
	"time"

	"tyk.upgrade/lab/internal/loadgen"
)

func main() {
	if err := run(); err != nil {
		log.Fatal("loadgen: ", err)
	}
}

func run() error {
	targets := flag.String("targets", "", "targets file (required)")
	rate := flag.Int("rate", 200, fmt.Sprintf("requests per second over all targets, at most %d", loadgen.MaxRate))
	duration := flag.Duration("duration", 15*time.Minute, fmt.Sprintf("sending ends by itself after this long, at most %s", loadgen.MaxDuration))
	timeout := flag.Duration("timeout", 5*time.Second, "time limit of one request")
	idle := flag.Duration("idle-timeout", 5*time.Second, "how long an unused connection is kept; must be less than the entry keeps it")
	listen := flag.String("listen", "127.0.0.1:18099", "listening address of the meter")
	flag.Parse()
	if *targets == "" {
		return fmt.Errorf("--targets is required")
	}
	list, err := loadgen.ReadTargets(*targets)
	if err != nil {
		return err
	}
	generator, err := loadgen.New(loadgen.Options{Targets: list, Rate: *rate, Duration: *duration, Timeout: *timeout, IdleTimeout: *idle})
	if err != nil {
		return err
	}
	ctx, cancel := signal.NotifyContext(context.Background(), syscall.SIGTERM, os.Interrupt)
	defer cancel()
	sending, stop := context.WithCancel(ctx)
	defer stop()

	stopped := make(chan struct{})
	mux := http.NewServeMux()
	mux.HandleFunc("GET /meter", func(w http.ResponseWriter, _ *http.Request) { reply(w, generator.Read()) })
	mux.HandleFunc("POST /stop", func(w http.ResponseWriter, _ *http.Request) {
		stop()
		<-stopped
		reply(w, generator.Read())
	})
	server := &http.Server{Addr: *listen, Handler: mux, ReadHeaderTimeout: 5 * time.Second}
	failed := make(chan error, 1)
	go func() { failed <- server.ListenAndServe() }()
	go func() {
		generator.Run(sending)
		close(stopped)
	}()

	// After POST /stop the meter stays readable, until the signal or the end of the duration.
	end := time.NewTimer(*duration)
	defer end.Stop()
	select {
	case err := <-failed:
		return fmt.Errorf("cannot serve the meter: %w", err)
	case <-ctx.Done():
	case <-end.C:
	}
	stop()
	<-stopped
	grace, done := context.WithTimeout(context.Background(), time.Second)
	defer done()
	_ = server.Shutdown(grace)
	return json.NewEncoder(os.Stdout).Encode(generator.Read())
}

func reply(w http.ResponseWriter, reading loadgen.Reading) {
	w.Header().Set("Content-Type", "application/json")
	_ = json.NewEncoder(w).Encode(reading)
}
