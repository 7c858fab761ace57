// Copyright (c) 2026 tyk.upgrade contributors
// GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
// SPDX-License-Identifier: GPL-3.0-or-later

// Command pump stands in for tyk-pump with its hybrid back-end.
package main

import (
	"context"
	"flag"
	"fmt"
	"os"
	"os/signal"
	"syscall"

	"tyk.upgrade/lab/internal/pump"
	"tyk.upgrade/lab/internal/tyklog"
)

// version is what this build claims to be; set by -ldflags "-X main.version=v1.9.0".
var version = "v0.0.0"

func main() {
	var conf string
	flag.StringVar(&conf, "conf", "pump.conf", "path to the config file")
	flag.StringVar(&conf, "c", "pump.conf", "short for --conf")
	healthHost := flag.String("health-host", "", "address the health endpoint listens on (only of this stand-in)")
	showVersion := flag.Bool("version", false, "show the version")
	flag.Parse()
	if *showVersion {
		fmt.Fprintln(os.Stderr, version)
		return
	}
	log := tyklog.New("main")
	config, err := pump.LoadConfig(conf, os.Environ())
	if err != nil {
		log.Error("Failed to process environment variables after file load: ", err)
	}
	ctx, cancel := signal.NotifyContext(context.Background(), syscall.SIGTERM, os.Interrupt)
	defer cancel()
	if err := pump.Run(ctx, config, version, *healthHost); err != nil {
		log.Fatal(err)
		os.Exit(1)
	}
}
