# Copyright (c) 2026 tyk.upgrade contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What each era's compiler gets of a plugin's source, and which sources are refused beforehand."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from ansible_collections.tyk.upgrade.plugins.module_utils._clients.plugin_source import read_source
from ansible_collections.tyk.upgrade.plugins.module_utils._domain.compilers import compiler_contract
from ansible_collections.tyk.upgrade.plugins.module_utils._domain.go_module import GoMod, Replace
from ansible_collections.tyk.upgrade.plugins.module_utils._domain.releases import all_versions, release
from ansible_collections.tyk.upgrade.plugins.module_utils._domain.releases_data import REPLACES
from ansible_collections.tyk.upgrade.plugins.module_utils._domain.source_preparation import (
    TYK,
    literals_at_risk,
    prepare,
    replaces,
)

MAIN = 'package main\n\nimport (\n\t"foo/sub"\n\t"github.com/TykTechnologies/tyk/ctx"\n)\n\nvar name = "foo-header"\n'
SUB = "package sub\n"
OLD_TYK = f"module foo\n\ngo 1.15\n\nrequire {TYK} v1.9.2-0.20210101000000-aaaaaaaaaaaa\n"


def source(go_mod: str | None = "module foo\n\ngo 1.15\n", **files: str) -> dict[str, bytes]:
    found = {"main.go": MAIN, "sub/sub.go": SUB, **{name.replace("__", "/"): text for name, text in files.items()}}
    if go_mod is not None:
        found["go.mod"] = go_mod
    return {name: text.encode() for name, text in found.items()}


def prepared(files: dict[str, bytes], version: str) -> tuple[GoMod, dict[str, str]]:
    result = prepare(files, "P", version, "t1")
    assert result.usable, result.findings
    texts = {name: content.decode() for name, content in result.files}
    return GoMod(texts.get("go.mod", "")), texts


@pytest.mark.parametrize(
    ("version", "path"),
    [
        ("4.0.16", "plugin_Pt1"),
        ("4.3.8", "plugin_Pt1"),
        ("5.0.1", "plugin_Pt1"),
        ("5.0.15", "github.com/TykTechnologies/plugin_Pt1"),
        ("5.1.0", "tyk.internal/tyk_plugint1"),
        ("5.2.3", "tyk.internal/tyk_plugint1"),
        ("5.2.4", "tyk.internal/tyk_plugint1"),
        ("5.8.9", "tyk.internal/tyk_plugint1"),
    ],
)
def test_the_module_is_called_as_the_compiler_would_call_it(version: str, path: str) -> None:
    go_mod, texts = prepared(source(), version)
    assert go_mod.module == path
    assert f'\t"{path}/sub"\n' in texts["main.go"]
    assert 'var name = "foo-header"' in texts["main.go"], "string literals are the plugin's own business"


@pytest.mark.parametrize("version", [one for one in map(str, all_versions()) if compiler_contract(one).rewrites_literals])
def test_no_literal_is_changed_by_a_compiler_that_renames_the_module(version: str) -> None:
    files = source(
        **{"main.go": MAIN + 'type T struct {\n\tA string `json:"foo"`\n}\n', "sub/sub.go": 'package sub\n\nvar a = "foo.b"\n'},
    )
    go_mod, texts = prepared(files, version)
    for name, text in texts.items():
        # What its build.sh does: s,"<old module>,"<module of the build id>,g
        assert re.sub('"' + go_mod.module, '"tyk.internal/tyk_plugint1', text) == text, name
    assert 'var name = "foo-header"' in texts["main.go"] and '`json:"foo"`' in texts["main.go"]
    assert texts["sub/sub.go"] == files["sub/sub.go"].decode()


def test_literals_at_risk_are_named_with_their_places() -> None:
    vendored = {"_old.go": 'package x\n\nvar a = "foo"\n', "vendor/foo/foo.go": 'package foo\n\nvar a = "foo"\n', "README.md": '"foo"'}
    assert literals_at_risk(source(**vendored)) == ['main.go:8: "foo-header"']
    assert literals_at_risk(source(None)) == []
    assert literals_at_risk(source("go 1.15\n")) == []
    many = "package main\n" + "".join(f'var a{one} = "foo{"-long" * 20}"\n' for one in range(25))
    found = literals_at_risk(source(**{"a.go": many}))
    assert len(found) == 21 and found[-1] == "6 more"
    assert found[0] == 'a.go:2: "foo' + ("-long" * 12)[:56] + "…"


@pytest.mark.parametrize("version", [str(version) for version in all_versions() if str(version) != "5.0.2"])
def test_a_required_gateway_is_the_one_of_the_release(version: str) -> None:
    go_mod, _unused = prepared(source(OLD_TYK), version)
    assert go_mod.requires == [(TYK, release(version).pseudo_version)]
    beside = [Replace(TYK, "", "../tyk", "")] if compiler_contract(version).workspace else []
    assert go_mod.replaces == [*replaces(version), *beside]


@pytest.mark.parametrize(
    ("version", "count", "one"),
    [
        ("4.0.3", 1, "v1.6.2-0.20220426094453-0cc35471c1ca"),
        ("4.0.5", 0, ""),
        ("4.3.8", 1, "github.com/TykTechnologies/gorm v1.20.7-0.20210409171139-b5c340f85ed0"),
        ("5.3.0", 0, ""),
        ("5.12.0", 2, "github.com/TykTechnologies/kin-openapi v0.92.1-0.20260211103127-0004a8367058"),
    ],
)
def test_replacements_of_a_release(version: str, count: int, one: str) -> None:
    found = replaces(version)
    assert len(found) == count
    assert not one or any(one in row.text for row in found)


def test_every_replacement_belongs_to_releases() -> None:
    known = {str(version) for version in all_versions()}
    assert all(set(row[4].split()) <= known and row[4] for row in REPLACES)


@pytest.mark.parametrize(("version", "added"), [("4.3.8", True), ("5.0.15", True), ("5.1.0", False), ("5.8.9", False)])
def test_where_modules_are_fetched_from_go_mod_the_gateway_has_to_be_in_it(version: str, added: bool) -> None:
    go_mod, _unused = prepared(source(), version)
    assert go_mod.requires == ([(TYK, release(version).pseudo_version)] if added else [])
    vendored, _unused = prepared(source(vendor__modules="x", vendor__a__a="package a"), version)
    assert vendored.requires == []


@pytest.mark.parametrize(
    ("version", "text"),
    [
        ("4.3.8", None),
        ("5.0.15", None),
        ("5.1.0", "module tyk.internal/tyk_plugint1\n\ngo 1.19\n"),
        ("5.2.3", "module tyk.internal/tyk_plugint1\n\ngo 1.19\n"),
        ("5.2.4", None),
        ("5.14.0", None),
    ],
)
def test_a_source_without_go_mod_gets_one_where_the_compiler_needs_it(version: str, text: str | None) -> None:
    files = {name: content for name, content in source(None).items() if name != "go.mod"}
    result = prepare(files, "P", version, "t1")
    assert dict(result.files).get("go.mod", b"").decode() == (text or "")
    assert {name: content for name, content in result.files if name != "go.mod"} == files


def test_modules_below_the_own_path_keep_theirs() -> None:
    files = source(
        "module foo\n\nrequire foo/lib v0.0.0\n\nreplace foo/lib => ./lib\n",
        lib__lib="package lib",
        **{"other.go": 'package main\n\nimport (\n\t"foo/lib/x"\n\t"foo/library"\n)\n'},
    )
    files["lib/go.mod"] = b"module foo/lib\n"
    _unused, texts = prepared(files, "5.8.9")
    assert '"foo/lib/x"' in texts["other.go"]
    assert '"tyk.internal/tyk_plugint1/library"' in texts["other.go"]
    assert texts["lib/go.mod"] == "module foo/lib\n"


@pytest.mark.parametrize(
    ("version", "line", "sent"),
    [("5.2.5", "go 1.19.3", "1.19"), ("4.3.8", "go 1.15", "1.15"), ("5.3.0", "go 1.21.5", "1.21.5")],
)
def test_older_toolchains_get_a_go_line_they_can_read(version: str, line: str, sent: str) -> None:
    go_mod, _unused = prepared(source(f"module foo\n\n{line}\n\ntoolchain go1.26.0\n"), version)
    assert (go_mod.go, go_mod.toolchain) == (sent, "")


@pytest.mark.parametrize(
    ("version", "line", "sent"),
    [
        ("5.8.9", "go 1.15\n", "1.17"),
        ("5.3.0", "", "1.17"),
        ("5.2.5", "go 1.16\n", "1.17"),
        ("5.3.0", "go 1.20\n", "1.20"),
        ("4.3.8", "go 1.15\n", "1.15"),
    ],
)
def test_where_the_gateway_is_required_go_must_not_read_its_whole_graph(version: str, line: str, sent: str) -> None:
    go_mod, _unused = prepared(source(OLD_TYK.replace("go 1.15\n", line)), version)
    assert go_mod.go == sent


def test_the_user_s_folder_is_not_touched(tmp_path: Path) -> None:
    for name, content in source(OLD_TYK).items():
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).write_bytes(content)
    before = {path: (path.read_bytes(), path.stat().st_mtime_ns) for path in tmp_path.rglob("*") if path.is_file()}
    found = read_source("P", str(tmp_path))
    for version in ("4.0.16", "5.1.0", "5.8.9"):
        assert found.prepared("P", version, "t1").usable
    assert before == {
        path: (path.read_bytes(), path.stat().st_mtime_ns) for path in tmp_path.rglob("*") if path.is_file()
    }


# -- bad sources -----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("version", "go_mod", "files", "code", "severity", "words"),
    [
        ("5.0.2", "module foo\n", {}, "compiler-unusable", "error", "cannot build what that gateway loads"),
        ("5.3.0", "module foo\n\ngo 1.22\n", {}, "plugin-source-invalid", "error", "says go 1.22"),
        ("5.3.0", "module foo\n\ngo 1.22.1\n", {}, "plugin-source-invalid", "error", "built with Go 1.21"),
        ("4.3.8", "module foo\n\ngo 1.19\n", {}, "plugin-source-invalid", "warning", "built with Go 1.16"),
        ("5.8.9", "module foo\n\nreplace a.b/c => ../c\n", {}, "plugin-source-invalid", "error", "outside of the"),
        ("5.8.9", "module foo\n\nreplace a.b/c => /c\n", {}, "plugin-source-invalid", "error", "outside of the"),
        ("5.8.9", "module foo\n\nreplace a.b/c => ./gone\n", {}, "plugin-source-invalid", "error", "is not in the"),
        (
            "5.8.10",
            "module foo\n\nreplace github.com/getkin/kin-openapi => github.com/getkin/kin-openapi v0.118.0\n",
            {},
            "plugin-source-invalid",
            "error",
            "itself replaces github.com/getkin/kin-openapi => github.com/TykTechnologies/kin-openapi v0.92.0",
        ),
        ("5.8.9", f"module foo\n\nreplace {TYK} => ../tyk\n", {}, "plugin-source-invalid", "info", "was left out"),
        ("5.8.9", None, {"other.go": "package foo\n"}, "plugin-source-invalid", "error", "other.go (foo)"),
    ],
)
def test_findings(
    version: str, go_mod: str | None, files: dict[str, str], code: str, severity: str, words: str
) -> None:
    result = prepare(source(go_mod, **files), "P", version, "t1")
    assert [(one.code, one.severity.value) for one in result.findings] == [(code, severity)]
    assert words in result.findings[0].message
    assert result.findings[0].remedy
    assert result.usable == (severity != "error")


def test_the_same_replacement_as_the_gateway_s_is_fine() -> None:
    line = next(one for one in replaces("5.8.10") if "kin-openapi" in one.old).text
    assert prepare(source(f"module foo\n\nreplace {line}\n"), "P", "5.8.10", "t1").findings == ()


def test_files_for_other_builds_may_belong_to_other_packages() -> None:
    others = ("_old.go", "x_windows.go", "x_arm64.go", "x_test.go")
    files = source(
        **{"tools.go": "//go:build tools\n\npackage tools\n", "odd.go": "no Go at all", "doc.go": "package documentation\n"},
        **dict.fromkeys(others, "package other\n"),
    )
    assert prepare(files, "P", "5.8.9", "t1").findings == ()


@pytest.mark.parametrize(("plugin", "build_id"), [("a b", "t1"), ("../P", "t1"), ("P", "t:1"), ("P", "ü"), ("P", "")])
def test_names_that_no_compiler_takes(plugin: str, build_id: str) -> None:
    result = prepare(source(), plugin, "5.8.9", build_id)
    assert [one.code for one in result.findings] == ["setting-invalid"]
    assert not result.usable


def test_every_contract_names_the_path_that_is_prepared() -> None:
    for version in ("4.0.16", "5.0.15", "5.1.0", "5.8.9"):
        go_mod, _unused = prepared(source(), version)
        assert go_mod.module == compiler_contract(version).built_path("P", "t1")
