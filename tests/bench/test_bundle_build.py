# Copyright (c) 2026 tyk.upgrade contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""bundle_build on 60 MB: its time against the gateway's own command, and the memory it takes.

The command is that of the gateway which TYK_BINARY names; without one its ratio is left out.
"""

from __future__ import annotations

import itertools
import json
import os
import subprocess
import sys
import time
from pathlib import Path

import pytest

pytestmark = pytest.mark.skipif(
    not os.environ.get("BENCH"), reason="measures; run it on a quiet machine with make bench"
)

MEGABYTE = 1024 * 1024
#: What the modules cost before they do anything, without what comes with their arguments.
BASE = "from ansible_collections.tyk.upgrade.plugins.modules import bundle_build\n"
#: Not ru_maxrss: a process begins with that of the one that started it.
PEAK = "print(next(line.split()[1] for line in open('/proc/self/status') if line.startswith('VmHWM')))\n"
RUN = """
import contextlib, io, sys
from ansible_collections.tyk.upgrade.tests.unit.plugins.modules.module_runner import run_module
assert not run_module(bundle_build, __import__("json").loads(sys.argv[1]))["failed"]
"""


@pytest.fixture(scope="module")
def files(tmp_path_factory: pytest.TempPathFactory) -> list[Path]:
    """Two files of 30 MB made of this machine's own libraries: they pack as Go plugins do, to about a half."""
    folder = tmp_path_factory.mktemp("bench")
    system = ("/usr/lib/x86_64-linux-gnu", "/usr/lib/aarch64-linux-gnu", "/usr/lib64")
    places = [*(Path(place) for place in system), Path(sys.prefix)]
    found = sorted({path.resolve() for place in places for path in place.rglob("*.so*") if path.is_file()})
    libraries = itertools.cycle(found)
    paths = []
    for name in ("Header_v5.3.0_linux_amd64.so", "Header_v5.8.9_linux_amd64.so"):
        path = folder / name
        with path.open("wb") as handle:
            while handle.tell() < 30 * MEGABYTE:
                handle.write(next(libraries).read_bytes())
            handle.truncate(30 * MEGABYTE)
        paths.append(path)
    return paths


def arguments(files: list[Path], dest: Path) -> dict[str, object]:
    return {
        "dest": str(dest),
        "manifest": manifest(),
        "files": [{"name": path.name, "path": str(path)} for path in files],
    }


def manifest() -> dict[str, object]:
    return {"custom_middleware": {"driver": "goplugin", "pre": [{"name": "F", "path": "Header.so"}]}}


def python(code: str, *given: str) -> str:
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join(filter(None, sys.path))}
    command = [sys.executable, "-c", code, *given]
    return subprocess.run(command, check=True, capture_output=True, text=True, env=environment).stdout


def test_the_memory_does_not_grow_with_the_files(files: list[Path], tmp_path: Path) -> None:
    before = int(python(BASE + PEAK))
    after = int(python(BASE + RUN + PEAK, json.dumps(arguments(files, tmp_path / "a.zip"))).splitlines()[-1])
    megabytes = (after - before) / 1024
    print(f"bundle_build: peak of {megabytes:.1f} MB beyond the interpreter, for files of 60 MB (limit 64)")
    assert megabytes <= 64


def test_the_time_is_no_longer_than_that_of_the_gateways_own_command(files: list[Path], tmp_path: Path) -> None:
    from ansible_collections.tyk.upgrade.plugins.modules import bundle_build
    from ansible_collections.tyk.upgrade.tests.unit.plugins.modules.module_runner import run_module

    binary = os.environ.get("TYK_BINARY")
    if not binary:
        pytest.skip("no gateway is at hand: set TYK_BINARY to the path of its program")
    listed = {**manifest(), "file_list": [path.name for path in files], "checksum": "", "signature": ""}
    (files[0].parent / "manifest.json").write_text(json.dumps(listed))
    ours, theirs = [], []
    for number in range(3):
        began = time.monotonic()
        result = run_module(bundle_build, arguments(files, tmp_path / f"ours-{number}.zip"))
        ours.append(time.monotonic() - began)
        assert result["changed"]
        command = [binary, "bundle", "build", "-y", "-o", str(tmp_path / f"theirs-{number}.zip")]
        began = time.monotonic()
        subprocess.run(command, cwd=files[0].parent, check=True, capture_output=True)
        theirs.append(time.monotonic() - began)
    sizes = [(tmp_path / name).stat().st_size / MEGABYTE for name in ("ours-0.zip", "theirs-0.zip")]
    ratio = min(ours) / min(theirs)
    print(
        f"bundle_build: {min(ours):.2f} s and {sizes[0]:.1f} MB, tyk bundle build {min(theirs):.2f} s and "
        f"{sizes[1]:.1f} MB for files of 60 MB; ratio {ratio:.2f} (limit 1)"
    )
    assert ratio <= 1
