// Copyright (c) 2026 tyk.upgrade contributors
// GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
// SPDX-License-Identifier: GPL-3.0-or-later

// Package tyklog writes log lines in the form that Tyk's components write them.
package tyklog

import (
	"fmt"
	"io"
	"os"
	"regexp"
	"sync"
	"time"
)

var (
	mu    sync.Mutex
	out   io.Writer = os.Stderr
	plain           = regexp.MustCompile(`^[A-Za-z0-9\-._/@^+]+$`)
)

// SetOutput redirects the lines and returns what puts them back.
func SetOutput(w io.Writer) (restore func()) {
	mu.Lock()
	defer mu.Unlock()
	before := out
	out = w
	return func() {
		mu.Lock()
		defer mu.Unlock()
		out = before
	}
}

// Logger adds one field, such as prefix=main, to every line.
type Logger struct{ Field, Value string }

// New returns a logger with a prefix field.
func New(prefix string) Logger { return Logger{Field: "prefix", Value: prefix} }

// Info, Warning and Error write one line; the arguments are put together as by fmt.Sprint.
func (l Logger) Info(args ...any)    { l.write("info", args) }
func (l Logger) Warning(args ...any) { l.write("warning", args) }
func (l Logger) Error(args ...any)   { l.write("error", args) }
func (l Logger) Fatal(args ...any)   { l.write("fatal", args) }

func (l Logger) write(level string, args []any) {
	mu.Lock()
	defer mu.Unlock()
	fmt.Fprintf(out, "time=%q level=%s msg=%s %s=%s\n", time.Now().Format("Jan 02 15:04:05"), level, quote(fmt.Sprint(args...)), l.Field, quote(l.Value))
}

func quote(text string) string {
	if plain.MatchString(text) {
		return text
	}
	return fmt.Sprintf("%q", text)
}
