// Copyright (c) 2026 tyk.upgrade contributors
// GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
// SPDX-License-Identifier: GPL-3.0-or-later

package behaviour

import (
	"fmt"
	"strconv"
	"strings"
)

// Version of a gateway.
type Version struct{ Major, Minor, Patch int }

// Parse reads "5.3.0", "v5.3.0" and "5.8.0-rc1".
func Parse(text string) (Version, error) {
	plain, _, _ := strings.Cut(strings.TrimPrefix(text, "v"), "-")
	parts := strings.Split(plain, ".")
	if len(parts) != 3 {
		return Version{}, fmt.Errorf("%q is not a version like 5.3.0", text)
	}
	var numbers [3]int
	for i, part := range parts {
		number, err := strconv.Atoi(part)
		if err != nil {
			return Version{}, fmt.Errorf("%q is not a version like 5.3.0", text)
		}
		numbers[i] = number
	}
	return Version{numbers[0], numbers[1], numbers[2]}, nil
}

func must(text string) Version {
	version, err := Parse(text)
	if err != nil {
		panic(err)
	}
	return version
}

func (v Version) String() string { return fmt.Sprintf("%d.%d.%d", v.Major, v.Minor, v.Patch) }

func (v Version) less(other Version) bool {
	if v.Major != other.Major {
		return v.Major < other.Major
	}
	if v.Minor != other.Minor {
		return v.Minor < other.Minor
	}
	return v.Patch < other.Patch
}

func (v Version) sameLine(other Version) bool {
	return v.Major == other.Major && v.Minor == other.Minor
}

// since is how release lines get a change: each line from a patch of its own, and every line after
// the last one named. since("5.0.12", "5.3.1", "5.4.0") is false for all of 5.1 and 5.2.
func (v Version) since(firsts ...string) bool {
	last := must(firsts[len(firsts)-1])
	if !v.less(last) {
		return true
	}
	for _, text := range firsts {
		if first := must(text); v.sameLine(first) && !v.less(first) {
			return true
		}
	}
	return false
}

// within says whether first <= v <= last.
func (v Version) within(first, last string) bool { return !v.less(must(first)) && !must(last).less(v) }
