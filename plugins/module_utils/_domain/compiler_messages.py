# Copyright (c) 2026 tyk.upgrade contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What to do about the words of a failed compiler.

The texts are those of Go's tools and of the compiler images' script, as they printed them.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Pattern, Tuple

FETCH = (
    "Hand the modules in: a module proxy (goproxy), a module cache (module_cache, module_volume) or, for compilers up "
    "to 5.0.15, a vendor folder in the source."
)

MACHINE = (
    "The engine's host has to run programs of the machine that the image is for, amd64 for published compilers: use an engine "
    "on such a host, or install an emulator there (binfmt_misc with qemu-user-static)."
)
NOT_STARTED = f"Check that the image is a plugin compiler. {MACHINE}"


@dataclass(frozen=True)
class Cause:
    """What a line of the compiler means: which finding it is, and what to do."""

    words: Pattern[str]
    remedy: str
    code: str = "plugin-compile-failed"


def _cause(words: str, remedy: str, code: str = "plugin-compile-failed") -> Cause:
    return Cause(re.compile(words), remedy, code)


#: The first row whose words are found decides, so what makes others appear stands before them.
CAUSES: Tuple[Cause, ...] = (
    _cause(
        r"[Nn]o space left on device|[Dd]isk quota exceeded",
        "Free space where the engine keeps its volumes (a first build takes about 4 GiB) and run again.",
        "disk-small",
    ),
    _cause(
        r"signal: killed|cannot allocate memory|out of memory",
        "A first build needs about 768 MiB; allow more memory, or fewer builds at the same time.",
        "memory-small",
    ),
    _cause(r"exec format error", MACHINE),
    _cause(r"requires exactly one main package|is not a main package", "Let the source folder's files say package main."),
    _cause(r"no Go files in", "The package main of the plugin has to lie in the source folder itself."),
    _cause(r"syntax error:", "Correct what the compiler names."),
    _cause(
        r"conflicting replacements found for",
        "Leave the replacement out of the plugin's go.mod; the gateway has one of its own.",
    ),
    _cause(
        r"requires go >= |requires newer Go version|invalid go version|unknown directive: toolchain|cannot compile Go 1\.",
        "Use a module version, or a go line, that the Go of this gateway can build.",
    ),
    _cause(
        r"C compiler \"[^\"]*\" not found|exec: \"[^\"]*gcc[^\"]*\": executable file not found",
        "This compiler image has no C compiler for that machine; use one that has, or build on such a machine.",
    ),
    _cause(
        r"dial tcp|no such host|i/o timeout|connection refused|TLS handshake|module lookup disabled by GOPROXY=off"
        r"|proxyconnect|network is unreachable|certificate signed by unknown authority",
        f"The compiler could not fetch modules. {FETCH}",
    ),
    _cause(
        r"missing go\.sum entry|verifying .*: checksum mismatch|SECURITY ERROR",
        "Run go mod tidy in the source and check where its modules come from.",
    ),
    _cause(
        r"no required module provides package|cannot find package|is not in GOROOT|is not in std|cannot find module"
        r"|reading .*: (404|410|not found)|unknown revision",
        f"Require the module that holds the package in the source's go.mod. {FETCH}",
    ),
    _cause(r"Permission denied|permission denied", "Run the compiler image as the user it was made for, root."),
)


def cause(text: str) -> Cause:
    """What the words of a failed compiler mean."""
    return next(
        (row for row in CAUSES if row.words.search(text)),
        _cause("", "Correct what the compiler names."),
    )
