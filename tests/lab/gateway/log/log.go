// Copyright (c) 2026 tyk.upgrade contributors
// GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
// SPDX-License-Identifier: GPL-3.0-or-later

// Package log is the gateway's logger, which plugins write to as well.
package log

import (
	"os"

	"github.com/sirupsen/logrus"
)

var logger = newLogger()

func newLogger() *logrus.Logger {
	l := logrus.New()
	l.SetOutput(os.Stderr)
	l.SetFormatter(&logrus.TextFormatter{DisableColors: true, FullTimestamp: true, TimestampFormat: "Jan 02 15:04:05"})
	if level, err := logrus.ParseLevel(os.Getenv("TYK_LOGLEVEL")); err == nil {
		l.SetLevel(level)
	}
	return l
}

// Get returns the one logger of the process.
func Get() *logrus.Logger { return logger }
