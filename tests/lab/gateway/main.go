// Copyright (c) 2026 tyk.upgrade contributors
// GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
// SPDX-License-Identifier: GPL-3.0-or-later

// Command tyk stands in for a Tyk gateway of the version it was built as.
package main

import (
	"encoding/json"
	"errors"
	"flag"
	"fmt"
	"io"
	"os"
	"strings"

	"github.com/TykTechnologies/tyk/internal/behaviour"
	"github.com/TykTechnologies/tyk/internal/build"
	"github.com/TykTechnologies/tyk/internal/config"
	"github.com/TykTechnologies/tyk/internal/gateway"
	"github.com/TykTechnologies/tyk/internal/goplugin"
	"github.com/TykTechnologies/tyk/log"
)

func main() {
	if err := run(os.Args[1:]); err != nil {
		fmt.Fprintln(os.Stderr, "tyk: error:", err)
		os.Exit(1)
	}
}

func run(arguments []string) error {
	version, err := behaviour.Parse(build.Version)
	if err != nil {
		return err
	}
	b := behaviour.Of(version)
	if len(arguments) > 0 {
		switch name, rest := arguments[0], arguments[1:]; {
		case name == "version" && b.VersionCommand:
			return printVersion(b, rest)
		case name == "plugin" && b.PluginLoadCommand:
			return loadPlugins(b, rest)
		case name == "--version":
			fmt.Fprintln(os.Stderr, b.Reported)
			return nil
		}
	}
	return serve(b, arguments)
}

func serve(b behaviour.Behaviour, arguments []string) error {
	flags := newFlags("tyk")
	path := flags.String("conf", "tyk.conf", "load a named configuration file")
	flags.String("port", "", "")
	flags.Bool("debug", false, "")
	for len(arguments) > 0 && arguments[0] == "start" {
		arguments = arguments[1:]
	}
	if err := flags.Parse(arguments); err != nil {
		return err
	}
	if flags.NArg() > 0 { // a command that this version does not have
		return fmt.Errorf("unexpected %s, try --help", flags.Arg(0))
	}
	settings, problem := config.Load(*path)
	if problem != nil {
		log.Get().WithField("prefix", "main").WithError(problem).Error("Using defaults and environment")
	}
	log.Get().WithField("prefix", "main").Infof("Tyk API Gateway %s", b.Reported)
	return gateway.New(settings, b).Run()
}

func newFlags(name string) *flag.FlagSet {
	flags := flag.NewFlagSet(name, flag.ContinueOnError)
	flags.SetOutput(io.Discard)
	return flags
}

func printVersion(b behaviour.Behaviour, arguments []string) error {
	flags := newFlags("version")
	asJSON := flags.Bool("json", false, "")
	if err := flags.Parse(arguments); err != nil {
		return err
	}
	details := build.Details()
	details.Version = b.Reported
	if *asJSON {
		return json.NewEncoder(os.Stdout).Encode(details)
	}
	fmt.Printf("Release version: %s\nBuilt by:        %s\nBuild date:      %s\nCommit:          %s\nGo version:      %s\nOS/Arch:         %s/%s\n",
		details.Version, details.BuiltBy, details.BuildDate, details.Commit, details.Go.Version, details.Go.Os, details.Go.Arch)
	return nil
}

func loadPlugins(b behaviour.Behaviour, arguments []string) error {
	if len(arguments) == 0 || arguments[0] != "load" {
		return errors.New("expected command: plugin load -f <file>[,<file>] -s <symbol>")
	}
	flags := newFlags("plugin load")
	var files, symbol string
	flags.StringVar(&files, "f", "", "")
	flags.StringVar(&files, "file", "", "")
	flags.StringVar(&symbol, "s", "", "")
	flags.StringVar(&symbol, "symbol", "", "")
	if err := flags.Parse(arguments[1:]); err != nil {
		return err
	}
	if files == "" || symbol == "" {
		return errors.New("required flags -f <file> and -s <symbol> not provided")
	}
	loaded := []string{files}
	if b.PluginLoadSeveral {
		loaded = strings.Split(files, ",")
	}
	for _, file := range loaded {
		function, err := goplugin.Symbol(file, symbol)
		if err != nil {
			return fmt.Errorf("unexpected error: %w, try --help", err)
		}
		fmt.Printf("[file=%s, symbol=%s] loaded ok, got %p\n", file, symbol, function)
	}
	return nil
}
