// Copyright (c) 2026 tyk.upgrade contributors
// GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
// SPDX-License-Identifier: GPL-3.0-or-later

// Package main imports what nearly every plugin imports from the standard library.
package main

import (
	"encoding/json"
	"net/http"
	"os"
)

// Warm is never called.
func Warm(w http.ResponseWriter, _ *http.Request) { _ = json.NewEncoder(w).Encode(os.Args) }

func main() {}
