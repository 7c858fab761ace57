// Copyright (c) 2026 tyk.upgrade contributors
// GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
// SPDX-License-Identifier: GPL-3.0-or-later

// Command upstream is the service behind the gateways: it answers what it was asked and hands the
// header that the lab's plugin adds to the request back in the answer.
package main

import (
	"context"
	"flag"
	"log"
	"net/http"
	"os"
	"os/signal"
	"syscall"
	"time"

	"tyk.upgrade/lab/internal/upstream"
)

func main() {
	listen := flag.String("listen", ":8000", "listening address")
	flag.Parse()
	server := &http.Server{Addr: *listen, Handler: upstream.Handler(), ReadHeaderTimeout: 10 * time.Second}
	ctx, cancel := signal.NotifyContext(context.Background(), syscall.SIGTERM, os.Interrupt)
	defer cancel()
	go func() {
		<-ctx.Done()
		timeout, done := context.WithTimeout(context.Background(), 5*time.Second)
		defer done()
		_ = server.Shutdown(timeout)
	}()
	log.Printf("upstream: listening on %s", *listen)
	if err := server.ListenAndServe(); err != http.ErrServerClosed {
		log.Fatal("upstream: ", err)
	}
}
