// Copyright (c) 2026 tyk.upgrade contributors
// GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
// SPDX-License-Identifier: GPL-3.0-or-later

// Command controlplane stands in for a Tyk control plane: Dashboard REST API and MDCB RPC server.
package main

import (
	"context"
	"errors"
	"flag"
	"log"
	"net"
	"net/http"
	"os"
	"os/signal"
	"syscall"
	"time"

	"tyk.upgrade/lab/internal/dashboard"
	"tyk.upgrade/lab/internal/mdcb"
	"tyk.upgrade/lab/internal/meter"
	"tyk.upgrade/lab/internal/store"
)

func env(name, fallback string) string {
	if value := os.Getenv(name); value != "" {
		return value
	}
	return fallback
}

func main() {
	log.SetFlags(log.LstdFlags | log.Lmicroseconds)
	if err := run(); err != nil {
		log.Fatal("controlplane: ", err)
	}
}

func run() error {
	listen := flag.String("dashboard", env("LAB_CP_DASHBOARD", ":3000"), "listening address of the Dashboard API")
	admin := flag.String("admin", env("LAB_CP_ADMIN", ":3001"), "listening address of the lab's administration")
	rpc := flag.String("rpc", env("LAB_CP_RPC", ":9090"), "listening address of the RPC server")
	data := flag.String("data", env("LAB_CP_DATA", "/data"), `directory that outlives a restart; "" keeps nothing`)
	token := flag.String("token", env("LAB_CP_TOKEN", "lab-dashboard-token"), "Dashboard API key that may write")
	readOnly := flag.String("read-only-token", env("LAB_CP_READ_ONLY_TOKEN", "lab-readonly-token"), "Dashboard API key that may only read")
	org := flag.String("org", env("LAB_CP_ORG", "5e9d9544a1dcd60001d0ed20"), "organisation id")
	key := flag.String("rpc-api-key", env("LAB_CP_RPC_API_KEY", "lab-rpc-key"), "key that gateways and pumps log in with")
	pageSize := flag.Int("page-size", 10, "APIs per page of the list")
	delay := flag.Duration("delay", 0, "added to every answer of the Dashboard API")
	poll := flag.Duration("poll", 20*time.Second, "how long CheckReload waits for a change")
	seed := flag.String("seed", env("LAB_CP_SEED", ""), "seed file, used only while no API is stored")
	flag.Parse()

	apis, err := store.Open(*data, *org)
	if err != nil {
		return err
	}
	records, err := meter.Open(*data)
	if err != nil {
		return err
	}
	if *seed != "" && len(apis.List()) == 0 {
		if err := dashboard.SeedFile(apis, *seed); err != nil {
			return err
		}
	}
	server := mdcb.New(apis, records, mdcb.Options{Address: *rpc, OrgID: *org, APIKey: *key, PollTime: *poll})
	if err := server.Start(); err != nil {
		return err
	}
	ctx, cancel := signal.NotifyContext(context.Background(), syscall.SIGTERM, os.Interrupt)
	defer cancel()
	ended := make(chan error, 2)
	web := []*http.Server{
		{Addr: *listen, Handler: dashboard.Handler(apis, dashboard.Options{Token: *token, ReadOnlyToken: *readOnly, PageSize: *pageSize, Delay: *delay})},
		{Addr: *admin, Handler: dashboard.Admin(apis, records, server.Nodes())},
	}
	for _, one := range web {
		one.ReadHeaderTimeout = 10 * time.Second
		listener, err := net.Listen("tcp", one.Addr)
		if err != nil {
			return err
		}
		go func() { ended <- one.Serve(listener) }()
	}
	log.Printf("controlplane: Dashboard on %s, administration on %s, RPC on %s, %d APIs", *listen, *admin, *rpc, len(apis.List()))

	select {
	case err = <-ended:
	case <-ctx.Done():
		log.Print("controlplane: stopping")
	}
	timeout, done := context.WithTimeout(context.Background(), 2*time.Second)
	defer done()
	for _, one := range web {
		_ = one.Shutdown(timeout)
	}
	server.Stop()
	if errors.Is(err, http.ErrServerClosed) {
		return nil
	}
	return err
}
