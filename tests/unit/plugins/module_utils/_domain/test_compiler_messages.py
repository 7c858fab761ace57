# Copyright (c) 2026 tyk.upgrade contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What the words of a failed compiler mean. The texts were printed by real compilers and toolchains."""

from __future__ import annotations

import pytest

from ansible_collections.tyk.upgrade.plugins.module_utils._domain.compiler_messages import cause


@pytest.mark.parametrize(
    ("text", "code", "remedy"),
    [
        ("-buildmode=plugin requires exactly one main package", "plugin-compile-failed", "say package main"),
        ("# tyk.internal/tyk_plugint1\n./main.go:8:14: syntax error: unexpected {", "plugin-compile-failed", "Correct"),
        ("no Go files in /go/src/github.com/TykTechnologies/plugin_Pt1", "plugin-compile-failed", "source folder"),
        ('cgo: C compiler "aarch64-linux-gnu-gcc" not found', "plugin-compile-failed", "no C compiler for that machine"),
        (
            "go: conflicting replacements found for a.b/c in workspace modules defined by /x/plugin_X and /x/tyk",
            "plugin-compile-failed",
            "Leave the replacement out",
        ),
        (
            "go: module . listed in go.work file requires go >= 1.29, but go.work lists go 1.21.13; to update it:",
            "plugin-compile-failed",
            "go line",
        ),
        ("go.mod:3: invalid go version '1.21.5': must match format 1.23", "plugin-compile-failed", "go line"),
        ("main.go:4:2: no required module provides package rsc.io/quote; to add it:", "plugin-compile-failed", "Require"),
        (
            "main.go:4:2: package rsc.io/quote is not in GOROOT (/usr/local/go/src/rsc.io/quote)",
            "plugin-compile-failed",
            "Require",
        ),
        (
            "go: rsc.io/quote@v1.5.2: module lookup disabled by GOPROXY=off",
            "plugin-compile-failed",
            "goproxy",
        ),
        (
            'go: rsc.io/quote@v1.5.2: Get "https://proxy.example.com/rsc.io/quote/@v/v1.5.2.mod": dial tcp: lookup '
            "proxy.example.com: no such host",
            "plugin-compile-failed",
            "module_cache",
        ),
        (
            "go: rsc.io/quote@v1.5.2: missing go.sum entry for go.mod file; to add it:",
            "plugin-compile-failed",
            "go mod tidy",
        ),
        ("write /tmp/go-build/b001/_pkg_.a: no space left on device", "disk-small", "Free space"),
        ("mv: error writing '/plugin-source/X.so': No space left on device", "disk-small", "Free space"),
        ("/usr/local/go/pkg/tool/linux_amd64/link: signal: killed", "memory-small", "768 MiB"),
        ("standard_init_linux.go:228: exec user process caused: exec format error", "plugin-compile-failed", "emulator"),
        ("something unheard of", "plugin-compile-failed", "Correct what the compiler names"),
        ("", "plugin-compile-failed", "Correct what the compiler names"),
    ],
)
def test_causes(text: str, code: str, remedy: str) -> None:
    found = cause(f"PLUGIN_BUILD_PATH: /x\n{text}\n")
    assert found.code == code
    assert remedy in found.remedy
