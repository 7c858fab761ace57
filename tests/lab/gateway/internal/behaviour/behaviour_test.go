// Copyright (c) 2026 tyk.upgrade contributors
// GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
// SPDX-License-Identifier: GPL-3.0-or-later

package behaviour

import "testing"

func TestSinceFollowsReleaseLines(t *testing.T) {
	firsts := []string{"5.0.12", "5.3.1", "5.4.0"}
	for text, expected := range map[string]bool{
		"4.3.8": false, "5.0.11": false, "5.0.12": true, "5.1.2": false, "5.2.6": false,
		"5.3.0": false, "5.3.1": true, "5.4.0": true, "5.8.9": true,
	} {
		if got := must(text).since(firsts...); got != expected {
			t.Errorf("%s: %v", text, got)
		}
	}
}

func TestEachVersionHasWhatWasSeenOfIt(t *testing.T) {
	for text, expected := range map[string]struct {
		reported string
		files    Order
		error500 bool
		drops    bool
		verify   Verification
	}{
		"4.0.16": {"v4.0.16", ExactOnly, true, false, Never},
		"4.2.4":  {"4.2.4", ExactThenPlain, false, false, Never},
		"4.3.1":  {"4.3.1", ExactThenBoth, false, false, Never},
		"4.3.8":  {"4.3.8", VersionedThenBare, false, false, Never},
		"5.0.0":  {"5.0.0", VersionedThenBare, false, false, Never},
		"5.3.0":  {"5.3.0", VersionedThenBare, true, false, Never},
		"5.3.1":  {"5.3.1", VersionedThenBare, true, true, Never},
		"5.8.9":  {"5.8.9", VersionedThenBare, true, true, Always},
		"5.9.2":  {"5.9.2", VersionedThenBare, true, true, Never},
		"5.8.11": {"5.8.11", VersionedThenBare, true, true, OnlySigned},
	} {
		b := Of(must(text))
		if b.Reported != expected.reported || b.Files != expected.files || b.MissingHandler500 != expected.error500 ||
			b.BundleErrorDrops != expected.drops || b.VerifyExisting != expected.verify {
			t.Errorf("%s: %+v", text, b)
		}
	}
}

func TestParseRefusesWhatIsNoVersion(t *testing.T) {
	for _, text := range []string{"", "5.3", "five", "5.3.x", "5.3.0.1"} {
		if _, err := Parse(text); err == nil {
			t.Errorf("%q was accepted", text)
		}
	}
}

func TestWhatFollowsReleaseLinesForAWhileOnly(t *testing.T) {
	for text, expected := range map[string][3]bool{
		"4.0.6": {false, false, false}, "4.0.12": {false, true, true}, "4.0.16": {true, true, false},
		"4.2.1": {false, false, false}, "4.3.8": {false, true, true}, "5.0.0": {false, true, true},
		"5.0.6": {true, true, false}, "5.0.7": {false, true, false}, "5.0.11": {false, false, false},
		"5.1.2": {true, true, false}, "5.2.1": {true, true, false}, "5.2.5": {false, true, false},
		"5.3.0": {false, false, false}, "5.8.9": {false, false, false},
	} {
		b := Of(must(text))
		if seen := [3]bool{b.ErrorTwice, b.KeepsUnchanged, b.KeepsHooks}; seen != expected {
			t.Errorf("%s: %v", text, seen)
		}
	}
}
