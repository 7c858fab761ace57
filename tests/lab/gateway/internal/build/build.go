// Copyright (c) 2026 tyk.upgrade contributors
// GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
// SPDX-License-Identifier: GPL-3.0-or-later

// Package build holds what the linker writes into the binary.
package build

import "runtime"

// Set with -ldflags "-X github.com/TykTechnologies/tyk/internal/build.Version=5.3.0".
var (
	Version   = "v5.3.0-dev"
	Commit    = "stand-in"
	BuildDate = ""
	BuiltBy   = "tyk.upgrade lab"
)

// Go describes the toolchain and the platform.
type Go struct {
	Os      string
	Arch    string
	Version string
}

// Info is what `tyk version --json` prints.
type Info struct {
	Version   string
	BuiltBy   string
	BuildDate string
	Commit    string
	Go        Go
}

// Details of this binary.
func Details() Info {
	return Info{
		Version: Version, BuiltBy: BuiltBy, BuildDate: BuildDate, Commit: Commit,
		Go: Go{Os: runtime.GOOS, Arch: runtime.GOARCH, Version: runtime.Version()},
	}
}
