# Copyright (c) 2026 tyk.upgrade contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The head of Go files, renaming of imports, and string literals, by Go's own grammar."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
from pathlib import Path

import pytest

from ansible_collections.tyk.upgrade.plugins.module_utils._domain.go_source import (
    head,
    left_out,
    of_one_machine,
    rename_imports,
    rewritten_literals,
)

AWKWARD = """// Copyright ) "foo/copyright"
//go:build linux && !windows

/* package wrong
import "foo/comment" */
package main; import "foo/same-line"

import (
TAB"fmt" // ) "foo/remark"
TABx "foo/sub"; . "foo/dot"
TAB_ "foo"
TAB"foobar/x"
TABraw `foo/raw`
TAB/* ) */ "foo/vendored/y"
)
import "C"
import z /* named */ "foo/last"

const header = "foo-header"

var path = "foo/sub"

// import "foo/remark"
var text = `
import "foo/in/a/string"
`
""".replace("TAB", "\t")


def test_the_head_of_a_file() -> None:
    found = head(AWKWARD)
    assert found is not None
    assert (found.package, found.constrained) == ("main", True)
    assert found.paths == (
        "foo/same-line",
        "fmt",
        "foo/sub",
        "foo/dot",
        "foo",
        "foobar/x",
        "foo/raw",
        "foo/vendored/y",
        "C",
        "foo/last",
    )


def test_only_imports_of_the_module_are_renamed() -> None:
    lines = rename_imports(AWKWARD, "foo", "new/mod", keep=["foo/vendored"]).splitlines()
    changed = [line for line, before in zip(lines, AWKWARD.splitlines()) if line != before]
    assert changed == [
        'package main; import "new/mod/same-line"',
        '	x "new/mod/sub"; . "new/mod/dot"',
        '	_ "new/mod"',
        '	raw "new/mod/raw"',
        'import z /* named */ "new/mod/last"',
    ]
    assert len(lines) == len(AWKWARD.splitlines())


@pytest.mark.parametrize(
    ("text", "package", "paths"),
    [
        ("package main\n", "main", ()),
        ("\ufeffpackage main\nimport \"a\"\n", "main", ("a",)),
        ("package größe // x\nimport(\n)\nimport \"b\"\n", "größe", ("b",)),
        ("package main\nvar importance = \"a\"\n", "main", ()),
        ("package main\nimport \"unfinished\n", "main", ()),
        ("package main\nimport (\n\"a\"\n", "main", ("a",)),
        ("package main\nimport \"with\\\"quote\"\nimport \"c\"", "main", ("with\\\"quote", "c")),
    ],
)
def test_odd_files(text: str, package: str, paths: tuple[str, ...]) -> None:
    found = head(text)
    assert found is not None
    assert (found.package, found.paths, found.constrained) == (package, paths, False)


@pytest.mark.parametrize("text", ["", "func main() {}", "package", "packagemain", "/* open", '"package main"'])
def test_what_is_no_go_file_stays_as_it_is(text: str) -> None:
    assert head(text) is None
    assert rename_imports(text, "foo", "bar") == text


@pytest.mark.parametrize("line", ["//go:build ignore", "// +build tools", "//+build tools"])
def test_build_constraints(line: str) -> None:
    found = head(f"// Copyright\n\n{line}\n\npackage tools\n")
    assert found is not None and found.constrained
    after = head(f"package main\n\n{line}\n")
    assert after is not None and not after.constrained


LITERALS = r"""package main // "foo in a comment"

import "foo/sub"
import . `foo/raw`

/* "foo in
another */
const (
TABheader = "foo-header"
TABquote  = '"' // foo
TABescape = '\'' + "foo.escaped"
TABother  = "a foo" + "fo" + `foo of no quote`
TABinside = "say \"foo\" twice \"food\"" + ""
TABtext   = `{
  "foo": "bar",
  "fooled`
)

type T struct {
TABA string `json:"foo,omitempty"`
}
""".replace("TAB", "\t")


def test_literals_that_a_compiler_would_change_with_the_module() -> None:
    assert list(rewritten_literals(LITERALS, "foo")) == [
        (9, '"foo-header"'),
        (11, '"foo.escaped"'),
        (13, '"foo\\" twice \\"food\\""'),
        (13, '"food\\""'),
        (15, '"foo"'),
        (16, '"fooled`'),
        (20, '"foo,omitempty"'),
    ]
    assert list(rewritten_literals(LITERALS, "foo.escaped")) == [(11, '"foo.escaped"')]
    assert list(rewritten_literals(LITERALS, "foo.header")) == [(9, '"foo-header"')], "a dot is any character to sed"
    assert list(rewritten_literals("no Go, but \"foo\"", "foo")) == [(1, '"foo"')]
    assert list(rewritten_literals(LITERALS, "foo+header")) == []


NAMES = (
    "main.go",
    "_old.go",
    ".hidden.go",
    "main_test.go",
    "old_main.go",
    "linux.go",
    "windows.go",
    "a_windows.go",
    "a_linux.go",
    "a_amd64.go",
    "a_arm64.go",
    "a_linux_amd64.go",
    "a_linux_arm64.go",
    "a_darwin_amd64.go",
    "_linux.go",
    "a_windows_b.go",
    "a_windows_test.go",
    "a_unix.go",
    "a.b_windows.go",
    "a_windows.b.go",
    "amd64_linux.go",
    "a_amd64_linux.go",
    "a_windows_.go",
)
GO = shutil.which("go") or shutil.which("/usr/local/go/bin/go")


@pytest.mark.skipif(GO is None, reason="no Go to ask")
def test_files_are_left_out_by_their_names_as_go_does(tmp_path: Path) -> None:
    for name in NAMES:
        (tmp_path / name).write_text("package main\n")
    (tmp_path / "go.mod").write_text("module foo\n")
    taken = {}
    for goarch in ("amd64", "arm64"):
        settings = {"GOOS": "linux", "GOARCH": goarch, "GOTOOLCHAIN": "local", "GOFLAGS": "", "GOWORK": "off", "GO111MODULE": ""}
        listed = subprocess.run(
            [str(GO), "list", "-json=GoFiles", "."],
            cwd=tmp_path,
            env={**os.environ, **settings},
            capture_output=True,
            check=True,
        )
        taken[goarch] = set(json.loads(listed.stdout)["GoFiles"])
    sometimes, always = taken["amd64"] | taken["arm64"], taken["amd64"] & taken["arm64"]
    assert {name for name in NAMES if not left_out(name)} == sometimes
    assert {name for name in sometimes if not of_one_machine(name)} == always


@pytest.mark.parametrize(
    ("name", "expected"),
    [("_old/a.go", True), ("sub/testdata/a.go", True), ("sub/a.go", False), ("a_windows/a.go", False), (".git/a.go", True)],
)
def test_folders_that_go_leaves_out(name: str, expected: bool) -> None:
    assert left_out(name) is expected
