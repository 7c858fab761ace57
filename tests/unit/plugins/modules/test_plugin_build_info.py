# Copyright (c) 2026 tyk.upgrade contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""plugin_build_info without an engine: what it says of sources and of plugins that were built elsewhere."""

from __future__ import annotations

import shutil
from pathlib import Path
from typing import Any, Dict

import pytest

from ansible_collections.tyk.upgrade.plugins.module_utils._domain.releases import SURE_GO, all_versions, release
from ansible_collections.tyk.upgrade.tests.unit.plugins import go_builds
from ansible_collections.tyk.upgrade.tests.unit.plugins.modules.module_runner import run_module


def test_a_source_tells_its_module_and_the_literals_that_begin_so(tmp_path: Path) -> None:
    (tmp_path / "main.go").write_text('package main\n\nconst header = "header-plugin-id"\n')
    (tmp_path / "go.mod").write_text("module header-plugin\n")
    result = run_module("plugin_build_info", {"sources": [{"name": "HeaderPlugin", "path": str(tmp_path)}]})
    (source,) = result["sources"]
    assert (source["module"], source["go_files"]) == ("header-plugin", 1)
    assert source["literals"] == ['main.go:3: "header-plugin-id"']
    assert result["findings"] == []


def test_files_that_go_leaves_out_are_no_source(tmp_path: Path) -> None:
    (tmp_path / "_main.go").write_text("package main\n")
    (tmp_path / "main_windows.go").write_text("package main\n")
    given = {"sources": [{"name": "P", "path": str(tmp_path)}]}
    assert [one["code"] for one in run_module("plugin_build_info", given)["findings"]] == ["plugin-source-empty"]
    (tmp_path / "main_amd64.go").write_text("package main\n")
    assert run_module("plugin_build_info", given)["sources"][0]["go_files"] == 1


# -- plugins that were built elsewhere ---------------------------------------------------------------------------------


def look(path: str, version: str = "5.0.15", goarch: str = "amd64") -> Dict[str, Any]:
    given = [{"name": "P", "version": version, "goarch": goarch, "path": path}]
    return run_module("plugin_build_info", {"artifacts": given})


@pytest.mark.parametrize(
    ("content", "words"),
    [
        (None, "No such file or directory"),
        (b"", "empty"),
        (b"\xcf\xfa\xed\xfe\x0c\0\0\x01" + bytes(100), "Mach-O"),
        (b"<html>not found</html>", "it is "),
        (b"\x7fELF\x02\x01\x01" + bytes(60), "it "),
    ],
)
def test_what_is_no_plugin_is_refused_before_a_plan_is_made(tmp_path: Path, content: bytes, words: str) -> None:
    path = tmp_path / "a.so"
    if content is not None:
        path.write_bytes(content)
    result = look(str(path))
    assert result["artifacts"] == [] and result["failed"] is False
    (finding,) = result["findings"]
    assert (finding["code"], finding["severity"], finding["subject"]) == ("plugin-unreadable", "error", "P for 5.0.15 (amd64)")
    assert f"The file {path}, given for P for 5.0.15 (amd64), cannot be used as a Go plugin: " in finding["message"]
    assert words in finding["message"] and "tyk_plugins" in finding["remedy"]


@pytest.fixture(scope="session")
def given(go_world: go_builds.GoWorld) -> str:
    return go_world.plugin("given", {}, {})


@pytest.mark.slow
def test_a_plugin_is_held_against_the_machine_and_the_go_of_its_gateways(given: str) -> None:
    result = look(given)
    assert result["findings"] == []
    (one,) = result["artifacts"]
    assert one["plugin_path"] == "tyk.internal/tyk_plugingiven" and one["go_version"].startswith("go1.")
    assert look(given, "not yet a version")["findings"] == []
    assert [each["code"] for each in look(given, goarch="arm64")["findings"]] == ["plugin-arch"]
    minor = ".".join(one["go_version"][2:].split(".")[:2])
    for version in map(str, all_versions()):
        if release(version).version.satisfies(SURE_GO):
            found = look(given, version)["findings"]
            assert [each["code"] for each in found] == ["plugin-go-version"] * (release(version).go_version != minor)
    found = look(given, "5.2.5" if minor != "1.19" else "5.8.9")
    assert found["artifacts"] == [] and f"was built by {one['go_version']}; the gateway 5." in found["findings"][0]["message"]


@pytest.mark.slow
def test_a_gateway_is_no_plugin(go_world: go_builds.GoWorld, tmp_path: Path) -> None:
    shutil.copy(go_world.gateway, tmp_path / "a.so")
    (finding,) = look(str(tmp_path / "a.so"))["findings"]
    assert finding["code"] == "plugin-unreadable" and "it is a program, not a plugin" in finding["message"]
