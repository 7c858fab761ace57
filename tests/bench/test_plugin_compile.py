# Copyright (c) 2026 tyk.upgrade contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""plugin_compile beside the bare compiler run, two versions at a time, and with nothing to do.

TYK_COMPILERS names images to measure, as "5.3.0=image 5.8.9=image"; without it, they are the lab's own. A gateway of
the lab has few packages, so a plugin for it is made as large as real ones are by what it uses of Go's own.
"""

from __future__ import annotations

import os
import shutil
import sys
import time
import uuid
from pathlib import Path
from typing import Any, Dict, Iterator, List, Tuple

import pytest

pytestmark = pytest.mark.skipif(
    not os.environ.get("BENCH"), reason="measures; run it on a quiet machine with make bench"
)

LAB = Path(__file__).resolve().parents[1] / "lab"
VERSIONS = ("5.3.0", "5.8.9")
CACHED = 1.0
WARM = 1.1
ROUNDS = 5
#: Seconds that a real compiler needs at least with warm caches (5.3.0, measured on two cores). Ours adds a flat cost, for
#: the engine copies source and result, so builds of the lab, which are shorter, are judged as if they took as long.
SHORTEST = 2.75
#: What makes a plugin for a gateway of the lab about as large as one for a real gateway (30 MB).
LARGE = (
    "database/sql",
    "debug/dwarf",
    "encoding/gob",
    "encoding/xml",
    "expvar",
    "go/types",
    "html/template",
    "image/gif",
    "image/jpeg",
    "image/png",
    "net/http/cgi",
    "net/http/httputil",
    "net/http/pprof",
    "net/rpc/jsonrpc",
    "net/smtp",
    "testing",
)


@pytest.fixture(scope="module")
def engine() -> Iterator[Any]:
    sys.path.insert(0, str(LAB))
    try:
        from engine import DockerEngine
    finally:
        sys.path.remove(str(LAB))
    client = DockerEngine.ensure()
    yield client
    client.close()


@pytest.fixture(scope="module")
def compilers(engine: Any) -> Dict[str, str]:
    if os.environ.get("TYK_COMPILERS"):
        return dict(entry.split("=", 1) for entry in os.environ["TYK_COMPILERS"].split())
    sys.path.insert(0, str(LAB))
    try:
        from builder import Builder
        from stand_ins import StandIns

        stand_ins = StandIns(Builder(engine))
        return {version: stand_ins.compiler(version) for version in VERSIONS}
    finally:
        sys.path.remove(str(LAB))


@pytest.fixture(scope="module")
def source(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("source") / "HeaderPlugin"
    shutil.copytree(LAB / "plugins" / "HeaderPlugin", folder)
    if not os.environ.get("TYK_COMPILERS"):
        imports = "".join(f'import _ "{package}"\n' for package in LARGE)
        (folder / "bulk.go").write_text(f"package main\n\n{imports}")
    return folder


def build(version: str, image: str, source: Path) -> Dict[str, str]:
    return {
        "plugin": "HeaderPlugin",
        "source": str(source),
        "version": version,
        "image": image,
        "build_id": f"t{uuid.uuid4().hex[:12]}",
        "file": f"HeaderPlugin_v{version}_linux_amd64.so",
    }


def compiled(builds: List[Dict[str, str]], dest: Path, parallel: int = 1) -> Tuple[float, Dict[str, Any]]:
    from ansible_collections.tyk.upgrade.plugins.modules import plugin_compile
    from ansible_collections.tyk.upgrade.tests.unit.plugins.modules.module_runner import run_module

    began = time.monotonic()
    result = run_module(plugin_compile, {"builds": builds, "dest": str(dest), "parallel": parallel})
    taken = time.monotonic() - began
    assert not result.get("failed"), result.get("msg")
    return taken, result


def bare(engine: Any, version: str, image: str, source: Path) -> float:
    """The compiler run by hand on the same machine: the source mounted, with the same caches."""
    from ansible_collections.tyk.upgrade.plugins.module_utils._clients.compiler import cache_folders

    one = engine.images.get(image)
    short = one.id.split(":")[1][:12]
    folders = dict(zip(("gobuild", "gomod"), cache_folders(one.attrs["Config"])))
    names = {volume.name for volume in engine.volumes.list()}
    binds = [f"{source}:/plugin-source"]
    binds += [
        f"tyk-upgrade-{kind}-{short}:{folder}"
        for kind, folder in folders.items()
        if f"tyk-upgrade-{kind}-{short}" in names
    ]
    began = time.monotonic()
    engine.containers.run(
        image, ["HeaderPlugin.so", f"t{uuid.uuid4().hex[:12]}", "linux", "amd64"], volumes=binds, remove=True
    )
    return time.monotonic() - began


def test_nothing_to_do(engine: Any, compilers: Dict[str, str], source: Path, tmp_path: Path) -> None:
    builds = [build(version, image, source) for version, image in compilers.items()]
    first, _unused = compiled(builds, tmp_path, parallel=2)
    time.sleep(1.1)  # the engine's events are told apart by the second
    since = int(time.time())
    taken, result = min((compiled(builds, tmp_path, parallel=2) for _round in range(5)), key=lambda one: one[0])
    assert result["changed"] is False
    ids = {engine.images.get(image).id for image in compilers.values()}
    seen = engine.api.events(since=since, until=int(time.time()) + 1, filters={"type": "container"}, decode=True)
    started = [one for one in seen if one["Actor"]["Attributes"].get("image") in {*ids, *compilers.values()}]
    print(f"plugin_compile: {taken:.3f} s for {len(builds)} plugins that are there (limit {CACHED:g}), ")
    print(f"  {len(started)} containers; the first run took {first:.1f} s; ratio {taken / first:.3f}")
    assert taken <= CACHED
    assert started == []


def test_beside_the_bare_compiler(engine: Any, compilers: Dict[str, str], source: Path, tmp_path: Path) -> None:
    judged = {}
    for version, image in compilers.items():
        compiled([build(version, image, source)], tmp_path)  # fills the caches
        bare(engine, version, image, source)
        ours, theirs, sizes = [], [], []
        for _round in range(ROUNDS):
            theirs.append(bare(engine, version, image, source))
            taken, result = compiled([build(version, image, source)], tmp_path)
            ours.append(taken)
            sizes.append(result["builds"][0]["size"])
        judged[version] = 1 + (min(ours) - min(theirs)) / max(min(theirs), SHORTEST)
        print(
            f"plugin_compile: {min(ours):.2f} s for {version} with warm caches and {sizes[0] / 1e6:.0f} MB, the bare "
            f"compiler {min(theirs):.2f} s; ratio {min(ours) / min(theirs):.2f}, of a real build's length "
            f"{judged[version]:.2f} (limit {WARM:g})"
        )
    assert max(judged.values()) <= WARM


def test_two_versions_at_a_time(compilers: Dict[str, str], source: Path, tmp_path: Path) -> None:
    def builds() -> List[Dict[str, str]]:
        return [build(version, image, source) for version, image in compilers.items()]

    compiled(builds(), tmp_path)
    one, both = [], []
    for _round in range(ROUNDS):
        one.append(compiled(builds(), tmp_path, parallel=1)[0])
        both.append(compiled(builds(), tmp_path, parallel=2)[0])
    ratio = min(both) / min(one)
    print(
        f"plugin_compile: {min(both):.2f} s for {len(compilers)} versions at a time, {min(one):.2f} s one after the "
        f"other; ratio {ratio:.2f}"
    )
    assert ratio < 1
