# Copyright (c) 2026 tyk.upgrade contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""plugin_info on a plugin of 30 MB, beside what it would take to read the whole file.

TYK_PLUGIN and TYK_BINARY name a real plugin and the gateway for it, to be measured instead of those made here.
"""

from __future__ import annotations

import hashlib
import os
import random
import time
from pathlib import Path
from typing import Callable

import pytest

pytestmark = pytest.mark.skipif(
    not os.environ.get("BENCH"), reason="measures; run it on a quiet machine with make bench"
)

MEGABYTE = 1024 * 1024
SECONDS = 0.3
#: Functions that are added, so that the plugin has as many symbols as one that draws in the gateway's packages.
FUNCTIONS = 14000
#: Packages of Go's own that such plugins draw in.
PACKAGES = ("encoding/gob", "html/template", "net/http")


@pytest.fixture(scope="module")
def plugin(tmp_path_factory: pytest.TempPathFactory) -> Path:
    if os.environ.get("TYK_PLUGIN"):
        return Path(os.environ["TYK_PLUGIN"])
    from ansible_collections.tyk.upgrade.tests.unit.plugins import go_builds

    if not go_builds.POSSIBLE:
        pytest.skip("no Go toolchain with a C compiler, and TYK_PLUGIN names no plugin")
    world = go_builds.GoWorld(tmp_path_factory.mktemp("bench"))
    folder = world.folder / "plugin-big"
    (folder / "many").mkdir(parents=True)
    (folder / "go.mod").write_text("module tyk.internal/tyk_pluginbig\n\ngo 1.18\n")
    functions = "".join(f"//go:noinline\nfunc F{one}(n int) int {{ return n + {one} }}\n\n" for one in range(FUNCTIONS))
    listed = "".join(f"\tF{one},\n" for one in range(FUNCTIONS))
    (folder / "many" / "many.go").write_text(
        f"package many\n\n{functions}// All keeps them.\nvar All = []func(int) int{{\n{listed}}}\n"
    )
    (folder / "data").write_bytes(random.Random(30).randbytes(12 * MEGABYTE))
    imports = "".join(f'\t_ "{package}"\n' for package in PACKAGES)
    (folder / "main.go").write_text(
        f'package main\n\nimport (\n\t_ "embed"\n\n{imports}\n\t"tyk.internal/tyk_pluginbig/many"\n)\n\n'
        "//go:embed data\nvar data []byte\n\nfunc Hook() int { return len(data) + len(many.All) }\n\nfunc main() {}\n"
    )
    return Path(world.build("plugin-big", "big.so", ["-buildmode=plugin", "-trimpath"], ["plugin-big"]))


def best(what: Callable[[], object], count: int = 7) -> float:
    taken = []
    for _number in range(count):
        began = time.monotonic()
        what()
        taken.append(time.monotonic() - began)
    return min(taken)


def test_the_time_for_a_plugin(plugin: Path) -> None:
    from ansible_collections.tyk.upgrade.plugins.modules import plugin_info
    from ansible_collections.tyk.upgrade.tests.unit.plugins.modules.module_runner import run_module

    result = run_module(plugin_info, {"files": [{"path": str(plugin)}]})
    (seen,) = result["results"]
    assert seen["readable"] and seen["symbols"], result["findings"]
    size = plugin.stat().st_size / MEGABYTE
    assert size >= 28, f"{plugin} has {size:.1f} MB only"
    taken = best(lambda: run_module(plugin_info, {"files": [{"path": str(plugin)}]}))
    reading = best(lambda: hashlib.sha256(plugin.read_bytes()).hexdigest())
    print(
        f"plugin_info: {taken:.3f} s for a plugin of {size:.0f} MB (limit {SECONDS:g}); reading and hashing the file "
        f"takes {reading:.3f} s; ratio {taken / reading:.2f}"
    )
    assert taken <= SECONDS


def test_against_a_gateway(plugin: Path) -> None:
    from ansible_collections.tyk.upgrade.plugins.modules import plugin_info
    from ansible_collections.tyk.upgrade.tests.unit.plugins.modules.module_runner import run_module

    gateway = os.environ.get("TYK_BINARY")
    if not gateway:
        pytest.skip("no gateway is at hand: set TYK_BINARY to the path of its program")
    given = {"files": [{"path": str(plugin)}], "gateway": {"path": gateway}}
    alone = best(lambda: run_module(plugin_info, {"files": given["files"]}))
    taken = best(lambda: run_module(plugin_info, given))
    size = Path(gateway).stat().st_size / MEGABYTE
    print(
        f"plugin_info: {taken:.3f} s with a gateway of {size:.0f} MB to compare; ratio {taken / alone:.2f} to without"
    )
