# Copyright (c) 2026 tyk.upgrade contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""go.mod files: what is read from them, and that a change touches nothing but its own lines.

Where a Go toolchain is at hand, `go mod edit -json` is asked what the same file says.
"""

from __future__ import annotations

import json
import os
import shutil
import subprocess
from pathlib import Path

import pytest

from ansible_collections.tyk.upgrade.plugins.module_utils._domain.go_module import GoMod, Replace

GO = shutil.which("go") or shutil.which("/usr/local/go/bin/go")

FULL = """// Deprecated: use another.
module example.com/plugin // mine

go 1.21.5

toolchain go1.22.3

require github.com/TykTechnologies/tyk v1.9.2-0.20231006100548-ffa83a27d3bf
require (
\t"rsc.io/quote" v1.5.2 // indirect
\tgithub.com/sirupsen/logrus v1.9.0 // why => not
)

exclude rsc.io/quote v1.5.1

replace example.com/a => ./a

replace (
\texample.com/b v1.2.3 => example.com/c v1.0.0 // pinned
\tgithub.com/TykTechnologies/tyk => ../tyk
)

retract [v1.0.0, v1.1.0]
"""


def test_what_a_file_says() -> None:
    found = GoMod(FULL)
    assert (found.module, found.go, found.toolchain) == ("example.com/plugin", "1.21.5", "go1.22.3")
    assert found.requires == [
        ("github.com/TykTechnologies/tyk", "v1.9.2-0.20231006100548-ffa83a27d3bf"),
        ("rsc.io/quote", "v1.5.2"),
        ("github.com/sirupsen/logrus", "v1.9.0"),
    ]
    assert found.replaces == [
        Replace("example.com/a", "", "./a", ""),
        Replace("example.com/b", "v1.2.3", "example.com/c", "v1.0.0"),
        Replace("github.com/TykTechnologies/tyk", "", "../tyk", ""),
    ]
    assert [one.local for one in found.replaces] == [True, False, True]


@pytest.mark.parametrize(
    ("text", "module"),
    [
        ("module a/b\n\ngo 1.21\n", "a/b"),
        ("// head\nmodule   a // c\n", "a"),
        ('module "quoted/x"\n', "quoted/x"),
        ("module `raw/x`\n", "raw/x"),
        ("module (\n\tblock/x\n)\n", "block/x"),
        ("module a\r\ngo 1.19\r\n", "a"),
        ("go 1.2\n", ""),
        ("", ""),
        ("replace broken =>\nmodule (", ""),
    ],
)
def test_module_lines(text: str, module: str) -> None:
    found = GoMod(text)
    assert found.module == module
    assert found.replaces == []
    assert found.with_module("new/x").module == "new/x"


def only_differ(before: str, after: GoMod, lines: dict[str, str | None]) -> None:
    expected = [lines.get(line, line) for line in before.splitlines()]
    assert after.text.splitlines() == [line for line in expected if line is not None]


def test_a_change_touches_its_own_lines_only() -> None:
    start = GoMod(FULL)
    only_differ(FULL, start.with_module("x/y"), {"module example.com/plugin // mine": "module x/y"})
    only_differ(FULL, start.with_go("1.19"), {"go 1.21.5": "go 1.19"})
    only_differ(FULL, start.without_toolchain(), {"toolchain go1.22.3": None})
    only_differ(
        FULL,
        start.requiring("rsc.io/quote", "v1.5.3"),
        {'\t"rsc.io/quote" v1.5.2 // indirect': "\trsc.io/quote v1.5.3"},
    )
    only_differ(
        FULL,
        start.without_replace("github.com/TykTechnologies/tyk"),
        {"\tgithub.com/TykTechnologies/tyk => ../tyk": None},
    )


def test_what_is_missing_is_appended_once() -> None:
    wanted = [Replace("example.com/b", "v1.2.3", "other", "v2.0.0"), Replace("gorm.io/gorm", "", "x.y/gorm", "v1.20.7")]
    found = GoMod(FULL).replacing(wanted).requiring("new.example/z", "v1.0.0")
    assert found.text.startswith(FULL.rstrip("\n"))
    assert found.replaces[-1] == wanted[1]
    assert [one.new for one in found.replaces if one.old == "example.com/b"] == ["example.com/c"]
    assert found.requires[-1] == ("new.example/z", "v1.0.0")
    assert found.replacing(wanted) == found
    assert GoMod("go 1.19\n").with_module("a/b").text == "module a/b\n\ngo 1.19\n"


@pytest.mark.skipif(GO is None, reason="no Go toolchain")
def test_go_reads_the_same(tmp_path: Path) -> None:
    wanted = [Replace("gorm.io/gorm", "", "github.com/TykTechnologies/gorm", "v1.20.7")]
    tyk = "github.com/TykTechnologies/tyk"
    edited = GoMod(FULL).with_module("tyk.internal/tyk_plugint1").without_replace(tyk).without_toolchain()
    edited = edited.requiring(tyk, "v1.9.2-0.20220614105651-6c76e802a298").replacing(wanted)
    for found in (GoMod(FULL), edited):
        (tmp_path / "go.mod").write_text(found.text)
        said = json.loads(
            subprocess.run(
                [str(GO), "mod", "edit", "-json"],
                cwd=tmp_path,
                check=True,
                capture_output=True,
                env={**os.environ, "GOTOOLCHAIN": "local", "GOFLAGS": ""},
            ).stdout
        )
        assert found.module == said["Module"]["Path"]
        assert (found.go, found.toolchain) == (said["Go"], said.get("Toolchain", ""))
        assert found.requires == [(one["Path"], one["Version"]) for one in said["Require"]]
        assert found.replaces == [
            Replace(
                one["Old"]["Path"], one["Old"].get("Version", ""), one["New"]["Path"], one["New"].get("Version", "")
            )
            for one in said["Replace"]
        ]
