// Copyright (c) 2026 tyk.upgrade contributors
// GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
// SPDX-License-Identifier: GPL-3.0-or-later

package goplugin

import (
	"reflect"
	"runtime"
	"testing"

	"github.com/TykTechnologies/tyk/internal/behaviour"
)

func TestCandidatesComeInTheOrderOfTheVersion(t *testing.T) {
	suffix := "_" + runtime.GOOS + "_" + runtime.GOARCH + ".so"
	for version, expected := range map[string][]string{
		"4.0.16": {"/b/x.so"},
		"4.2.4":  {"/b/x.so", "/b/x_4.2.4" + suffix},
		"4.3.1":  {"/b/x.so", "/b/x_4.3.1" + suffix, "/b/x_v4.3.1" + suffix},
		"5.3.0":  {"/b/x_v5.3.0" + suffix, "/b/x_5.3.0" + suffix, "/b/x.so"},
	} {
		parsed, err := behaviour.Parse(version)
		if err != nil {
			t.Fatal(err)
		}
		b := behaviour.Of(parsed)
		if got := Candidates("/b/x.so", b.Reported, b.Files); !reflect.DeepEqual(got, expected) {
			t.Errorf("%s: %v", version, got)
		}
	}
}
