// Copyright (c) 2026 tyk.upgrade contributors
// GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
// SPDX-License-Identifier: GPL-3.0-or-later

// Package goplugin finds, opens and calls Go plugins. Go itself supplies the hard part of the
// behaviour: mismatches, paths loaded twice, paths poisoned by a failure, the end of the process
// when a file comes from another generation of Go.
package goplugin

import (
	"errors"
	"fmt"
	"net/http"
	"os"
	"path/filepath"
	"plugin"
	"runtime"
	"strings"

	"github.com/sirupsen/logrus"

	"github.com/TykTechnologies/tyk/internal/behaviour"
	"github.com/TykTechnologies/tyk/log"
)

// Candidates are the files that may stand for path, in the order they are tried.
func Candidates(path, reported string, order behaviour.Order) []string {
	directory, base := filepath.Split(path)
	stem := strings.TrimSuffix(base, ".so")
	version, _, _ := strings.Cut(reported, "-")
	plain := strings.TrimPrefix(version, "v")
	named := func(version string) string {
		return directory + fmt.Sprintf("%s_%s_%s_%s.so", stem, version, runtime.GOOS, runtime.GOARCH)
	}
	switch order {
	case behaviour.ExactThenPlain:
		return []string{path, named(plain)}
	case behaviour.ExactThenBoth:
		return []string{path, named(plain), named("v" + plain)}
	case behaviour.VersionedThenBare:
		return []string{named("v" + plain), named(plain), path}
	default:
		return []string{path}
	}
}

// Find returns the file that a gateway of this version opens.
func Find(path, reported string, order behaviour.Order) (string, error) {
	candidates := Candidates(path, reported, order)
	if len(candidates) == 1 {
		return path, nil // plugin.Open says what is wrong with it
	}
	for _, candidate := range candidates {
		if _, err := os.Stat(candidate); err == nil {
			return candidate, nil
		}
		log.Get().WithField("prefix", "main").Warningf("plugin file %s doesn't exist", candidate)
	}
	return "", errors.New("plugin file not found")
}

// Symbol opens file and looks name up. A panic while loading is an error like any other.
func Symbol(file, name string) (symbol plugin.Symbol, err error) {
	defer func() {
		if problem := recover(); problem != nil {
			err = fmt.Errorf("panic while loading %s: %v", file, problem)
		}
	}()
	loaded, err := plugin.Open(file)
	if err != nil {
		return nil, err
	}
	return loaded.Lookup(name)
}

// Request is a hook before the upstream.
type Request func(http.ResponseWriter, *http.Request)

// Response is a hook after it.
type Response func(http.ResponseWriter, *http.Response, *http.Request)

// LoadRequest returns the function of a request hook, nil when it cannot be had.
func LoadRequest(path, name, reported string, order behaviour.Order) Request {
	switch function := load(path, name, reported, order).(type) {
	case func(http.ResponseWriter, *http.Request):
		return function
	case nil:
	default:
		complain(path, name, errors.New("could not cast function symbol to http.HandlerFunc"))
	}
	return nil
}

// LoadResponse returns the function of a response hook, nil when it cannot be had.
func LoadResponse(path, name, reported string, order behaviour.Order) Response {
	switch function := load(path, name, reported, order).(type) {
	case func(http.ResponseWriter, *http.Response, *http.Request):
		log.Get().WithFields(logrus.Fields{"mwPath": path, "mwSymbolName": name}).Info("Loaded Go response plugin: ", name)
		return function
	case nil:
	default:
		complain(path, name, errors.New("could not cast function symbol to TykResponseHandler"))
	}
	return nil
}

func load(path, name, reported string, order behaviour.Order) plugin.Symbol {
	file, err := Find(path, reported, order)
	if err != nil {
		complain(path, name, err)
		return nil
	}
	symbol, err := Symbol(file, name)
	if err != nil {
		complain(file, name, err)
		return nil
	}
	return symbol
}

func complain(path, name string, err error) {
	log.Get().WithError(err).WithFields(logrus.Fields{"mwPath": path, "mwSymbolName": name}).Error("Could not load Go-plugin")
}
