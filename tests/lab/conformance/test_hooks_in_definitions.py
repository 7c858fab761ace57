# Copyright (c) 2026 tyk.upgrade contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Hooks that an API definition names itself, by path, in a gateway without Redis: what it says of each while it loads.

That is how a plugin is proven for gateways that have no command to load one.
"""

from __future__ import annotations

from pathlib import Path

import pytest
from subject import Version
from world import Gateway, World, hook

OTHER = "could not cast function symbol to "


def api(world: World, name: str, path: Path, symbol: str) -> None:
    """An API with one function as a request hook and as a response hook."""
    both = [hook(symbol, str(path))]
    middleware = {"driver": "goplugin", "pre": both, "response": both}
    world.file(world.api(name, custom_middleware=middleware))


def plugin(world: World, build: str, folder: str) -> Path:
    path = world.folder / folder / "plugin.so"
    path.parent.mkdir(exist_ok=True)
    path.write_bytes(world.build(build))
    return path


@pytest.fixture
def loaded(world: World) -> Gateway:
    """A gateway that nobody serves, ready to start."""
    world.redis.stop()
    return world.gateway(enable_analytics=False, enable_bundle_downloader=False)


def said_of(gateway: Gateway, path: Path, symbol: str) -> str:
    """The lines about one function once the APIs are loaded."""
    if not gateway.process:
        gateway.start()
    assert gateway.said("API reload complete", 30), gateway.log[-3000:]
    lines = [line for line in gateway.log.splitlines() if str(path) in line and f"mwSymbolName={symbol}" in line]
    return "\n".join(lines)


def test_a_function_is_told_to_be_of_the_other_type(world: World, loaded: Gateway) -> None:
    path = plugin(world, "one", "a")
    api(world, "request", path, "Pre")
    api(world, "response", path, "After")
    request = said_of(loaded, path, "Pre")
    assert OTHER + "TykResponseHandler" in request and OTHER + "http.HandlerFunc" not in request
    response = said_of(loaded, path, "After")
    assert OTHER + "http.HandlerFunc" in response and "Loaded Go response plugin: After" in response
    assert OTHER + "TykResponseHandler" not in response


def test_two_files_with_one_plugin_path(world: World, loaded: Gateway) -> None:
    first, second, other = plugin(world, "one", "a"), plugin(world, "one", "b"), plugin(world, "two", "c")
    for name, path in (("long-name", first), ("name", second), ("n", other)):  # longest path first
        api(world, name, path, "Pre")
    assert "plugin already loaded" in said_of(loaded, second, "Pre")
    for path in (first, other):
        said = said_of(loaded, path, "Pre")
        assert OTHER + "TykResponseHandler" in said and "plugin already loaded" not in said


def test_a_missing_function_and_a_missing_file(world: World, loaded: Gateway) -> None:
    path = plugin(world, "one", "a")
    api(world, "function", path, "Nope")
    api(world, "file", world.folder / "none.so", "Pre")
    assert "symbol Nope not found in plugin " in said_of(loaded, path, "Nope")
    assert loaded.log.count("mwSymbolName=Pre") >= 2
    assert loaded.running


def test_a_file_of_another_go_generation_ends_the_process(world: World, loaded: Gateway) -> None:
    api(world, "api", plugin(world, "foreign", "a"), "Pre")
    assert loaded.start().wait() == 2
    assert "no plugin module data" in loaded.log and "API reload complete" not in loaded.log


def test_the_command_is_refused_by_versions_that_do_not_have_it(world: World, version: Version) -> None:
    if version.since("5.0.0"):
        pytest.skip("it has the command")
    done = world.gateway().run("plugin", "load", "-f", str(plugin(world, "one", "a")), "-s", "Pre")
    assert done.returncode == 1
    assert "tyk: error: unexpected plugin, try --help" in done.stdout + done.stderr
