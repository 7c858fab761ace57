// Copyright (c) 2026 tyk.upgrade contributors
// GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
// SPDX-License-Identifier: GPL-3.0-or-later

package meter

import (
	"os"
	"path/filepath"
	"testing"
)

func TestTheCountOutlivesTheProcess(t *testing.T) {
	dir := t.TempDir()
	first, err := Open(dir)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := first.Deliver(`[{"path": "/meter/a", "api_id": "orders"}, {"path": "/other"}]`); err != nil {
		t.Fatal(err)
	}
	second, err := Open(dir)
	if err != nil {
		t.Fatal(err)
	}
	if reading := second.Read(); reading.RecordsOut != 2 || reading.MarkedRecordsOut != 1 || reading.MarkedByAPI["orders"] != 1 {
		t.Fatalf("%+v", reading)
	}
	if err := second.Reset(); err != nil {
		t.Fatal(err)
	}
	third, _ := Open(dir)
	if third.Read().RecordsOut != 0 {
		t.Error("the reset did not last")
	}
	if err := os.WriteFile(filepath.Join(dir, "meter.json"), []byte("{"), 0o600); err != nil {
		t.Fatal(err)
	}
	if _, err := Open(dir); err == nil {
		t.Error("a broken file was accepted")
	}
}
