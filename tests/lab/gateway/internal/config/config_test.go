// Copyright (c) 2026 tyk.upgrade contributors
// GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
// SPDX-License-Identifier: GPL-3.0-or-later

package config

import (
	"os"
	"path/filepath"
	"testing"
)

func TestTheEnvironmentWinsOverTheFile(t *testing.T) {
	path := filepath.Join(t.TempDir(), "tyk.conf")
	text := `{"listen_port": 1, "secret": "file", "storage": {"host": "file"}, "liveness_check": {"check_duration": "7"}, "unknown": {}}`
	if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	t.Setenv("TYK_GW_SECRET", "environment")
	t.Setenv("TYK_GW_STORAGE_PORT", "6380")
	t.Setenv("TYK_GW_AUTHOVERRIDE_AUTHPROVIDER_STORAGEENGINE", "rpc")
	t.Setenv("TYK_GW_AUTHOVERRIDE_FORCEAUTHPROVIDER", "true")
	c, err := Load(path)
	if err != nil {
		t.Fatal(err)
	}
	if c.ListenPort != 1 || c.Secret != "environment" || c.NodeSecret == "" || c.Storage.Address() != "file:6380" || !c.Slaved() ||
		c.LivenessCheck.CheckDuration != 7 || c.SlaveOptions.CallTimeout != 30 {
		t.Errorf("%+v", c)
	}
}

func TestAFileThatCannotBeReadLeavesDefaultsAndEnvironment(t *testing.T) {
	t.Setenv("TYK_GW_LISTENPORT", "9")
	c, problem := Load(filepath.Join(t.TempDir(), "none"))
	if problem == nil || c.ListenPort != 9 || c.MiddlewarePath != "middleware" {
		t.Errorf("%v %+v", problem, c)
	}
}
