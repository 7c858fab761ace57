# Copyright (c) 2026 tyk.upgrade contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The program's other commands."""

from __future__ import annotations

import json

import pytest
from subject import Version
from world import World


@pytest.fixture
def load(world: World):  # type: ignore[no-untyped-def]
    if not world.version.since("5.0.0"):
        pytest.skip("no `plugin load` before 5.0.0")
    program = world.gateway()

    def run(*builds: str, symbol: str = "Pre"):  # type: ignore[no-untyped-def]
        for build in builds:
            world.build(build)
        files = ",".join(str(world.subject.builds / f"{build}.so") for build in builds)
        done = program.run("plugin", "load", "-f", files, "-s", symbol)
        return done.returncode, done.stdout + done.stderr

    return run


def takes_several(version: Version) -> bool:
    """Before, the whole list is one file's name."""
    return version.since("5.2.4")


def test_plugin_load_accepts_a_right_build_and_two_beside_each_other(world: World, load) -> None:  # type: ignore[no-untyped-def]
    code, text = load("one")
    assert code == 0
    assert "symbol=Pre] loaded ok" in text
    code, text = load("one", "two")
    if takes_several(world.version):
        assert code == 0
    else:
        assert code == 1 and "realpath failed" in text


def test_plugin_load_names_a_missing_symbol(load) -> None:  # type: ignore[no-untyped-def]
    code, text = load("one", symbol="Nope")
    assert code == 1
    assert "tyk: error: unexpected error: plugin: symbol Nope not found in plugin " in text
    assert text.rstrip().endswith(", try --help")


def test_plugin_load_names_the_package_that_differs(load) -> None:  # type: ignore[no-untyped-def]
    code, text = load("mismatch")
    assert code == 1
    assert "plugin was built with a different version of package" in text


def test_plugin_load_dies_of_another_go_generation(load) -> None:  # type: ignore[no-untyped-def]
    code, text = load("foreign")
    assert code == 2
    assert "no plugin module data" in text


def test_plugin_load_refuses_two_builds_with_one_path(world: World) -> None:
    if not world.version.since("5.0.0"):
        pytest.skip("no `plugin load` before 5.0.0")
    one, copy = world.folder / "one.so", world.folder / "copy.so"
    for path in (one, copy):
        path.write_bytes(world.build("one"))
    done = world.gateway().run("plugin", "load", "-f", f"{one},{copy}", "-s", "Pre")
    assert done.returncode == 1
    refusal = "plugin already loaded" if takes_several(world.version) else "realpath failed"
    assert refusal in done.stdout + done.stderr


def test_plugin_load_refuses_what_is_no_plugin(world: World) -> None:
    if not world.version.since("5.0.0"):
        pytest.skip("no `plugin load` before 5.0.0")
    garbage = world.folder / "garbage.so"
    garbage.write_bytes(b"no plugin")
    assert world.gateway().run("plugin", "load", "-f", str(garbage), "-s", "Pre").returncode == 1
    assert world.gateway().run("plugin", "load", "-f", str(garbage) + ".none", "-s", "Pre").returncode == 1


def test_version_is_told_by_flag_and_by_command(world: World, version: Version) -> None:
    program = world.gateway()
    told = program.run("--version")
    assert str(version) in told.stdout + told.stderr
    if version.since("5.0.8", "5.2.3"):
        details = json.loads(program.run("version", "--json").stdout)
        assert details["Version"].lstrip("v") == str(version)
        assert details["Go"]["Version"].startswith(("1.", "go1."))
        assert details["Go"]["Os"] == "linux"
