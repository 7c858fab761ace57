# Copyright (c) 2026 tyk.upgrade contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""plugin_info against a gateway in an image: the program and its C library are found and taken out, nothing is started."""

from __future__ import annotations

import io
import os
import tarfile
from pathlib import Path
from typing import Any, Dict, Iterator, List, Tuple

import pytest

from ansible_collections.tyk.upgrade.plugins.module_utils._clients.elf import inspect
from ansible_collections.tyk.upgrade.plugins.module_utils._clients.gateway_binary import LABEL_INSPECT, glibc_of_host
from ansible_collections.tyk.upgrade.tests.unit.plugins import go_builds

pytestmark = [pytest.mark.engine, pytest.mark.slow]

SCRIPT = b"#!/bin/sh\nexec /opt/tyk-gateway/tyk\n"


@pytest.fixture(scope="module")
def plugin(go_world: go_builds.GoWorld) -> str:
    return go_world.plugin("image", {"example.com/dep": 'dep.Hello("x")'}, {"example.com/dep": "v1.0.0"})


def layer(files: Dict[str, bytes], links: Dict[str, str]) -> bytes:
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode="w") as archive:
        made: List[str] = []
        for name in [*files, *links]:
            for count in range(1, name.count("/") + 1):
                folder = "/".join(name.split("/")[:count])
                if folder not in [*made, *links]:
                    made.append(folder)
                    entry = tarfile.TarInfo(folder)
                    entry.type, entry.mode = tarfile.DIRTYPE, 0o755
                    archive.addfile(entry)
            entry = tarfile.TarInfo(name)
            entry.mode = 0o755
            if name in links:
                entry.type, entry.linkname = tarfile.SYMTYPE, links[name]
                archive.addfile(entry)
            else:
                entry.size = len(files[name])
                archive.addfile(entry, io.BytesIO(files[name]))
    return buffer.getvalue()


@pytest.fixture(scope="module")
def content(go_world: go_builds.GoWorld) -> Tuple[Dict[str, bytes], Dict[str, str]]:
    """A gateway with its C library behind links, as Debian lays them out."""
    interpreter = inspect(go_world.gateway).interpreter
    libc = os.path.join(os.path.dirname(os.path.realpath(interpreter)), "libc.so.6")
    files = {
        "opt/tyk-gateway/tyk": Path(go_world.gateway).read_bytes(),
        "entry.sh": SCRIPT,
        "usr/lib/triplet/ld-real.so": Path(interpreter).read_bytes(),
        "usr/lib/triplet/libc-real.so": Path(libc).read_bytes(),
    }
    links = {
        "usr/lib/triplet/libc.so.6": "libc-real.so",
        interpreter.lstrip("/"): "/usr/lib/triplet/ld-real.so",
        "bin/started": "../opt/tyk-gateway/tyk",
    }
    return files, links


@pytest.fixture
def image(session_bench: Any, content: Tuple[Dict[str, bytes], Dict[str, str]]) -> Iterator[Any]:
    made: List[str] = []

    def make(tag: str, *changes: str, without: str = "") -> str:
        files = {name: one for name, one in content[0].items() if name != without}
        reference = f"{session_bench.prefix}/inspected:{tag}"
        session_bench.api.import_image_from_data(
            layer(files, content[1]),
            repository=reference.rpartition(":")[0],
            tag=tag,
            changes=list(changes),
        )
        session_bench.images.append(reference)
        made.append(reference)
        return reference

    yield make
    for reference in made:
        assert session_bench.api.containers(all=True, filters={"label": LABEL_INSPECT, "ancestor": reference}) == []


@pytest.mark.parametrize(
    "number, changes",
    list(
        enumerate(
            [
                ['ENTRYPOINT ["/opt/tyk-gateway/tyk"]'],
                ['ENTRYPOINT ["/bin/started"]', 'CMD ["--conf=x"]'],
                ['ENTRYPOINT ["/entry.sh"]'],
                ["WORKDIR /opt/tyk-gateway", 'CMD ["./tyk"]'],
                ['CMD ["none"]'],
                [],
            ]
        )
    ),
)
def test_the_program_is_found(
    run_module: Any, image: Any, go_world: go_builds.GoWorld, plugin: str, number: int, changes: List[str]
) -> None:
    reference = image(f"v{number}", *changes)
    result = run_module("plugin_info", files=[{"path": plugin}], gateway={"image": reference})
    assert result["findings"] == [] and result["results"][0]["fits"] is True, result
    assert result["results"][0]["differences"]["exact"] is True
    assert result["gateway"]["binary"] == "/opt/tyk-gateway/tyk"
    assert result["gateway"]["glibc"] == glibc_of_host(inspect(go_world.gateway).interpreter) != ""


def test_what_is_given_wins(run_module: Any, image: Any, plugin: str) -> None:
    reference = image("given", 'ENTRYPOINT ["/opt/tyk-gateway/tyk"]')
    gateway = {"image": reference, "binary": "/bin/started", "glibc": "2.2"}
    result = run_module("plugin_info", files=[{"path": plugin}], gateway=gateway)
    assert [one["code"] for one in result["findings"]] == ["plugin-glibc"]
    assert f"and {reference} has 2.2." in result["findings"][0]["message"]
    script = run_module("plugin_info", files=[], gateway={"image": reference, "binary": "/entry.sh"})
    assert f"The gateway's program {reference} cannot be inspected: it is a script" in script["msg"]


def test_no_program_and_no_c_library(run_module: Any, image: Any, plugin: str) -> None:
    empty = image("empty", 'ENTRYPOINT ["/bin/started"]', without="opt/tyk-gateway/tyk")
    result = run_module("plugin_info", files=[{"path": plugin}], gateway={"image": empty})
    assert result["failed"] is True
    assert f"The image {empty} has no gateway program at /bin/started or /opt/tyk-gateway/tyk." in result["msg"]
    bare = image("bare", 'ENTRYPOINT ["/opt/tyk-gateway/tyk"]', without="usr/lib/triplet/libc-real.so")
    result = run_module("plugin_info", files=[{"path": plugin}], gateway={"image": bare})
    assert result["gateway"]["glibc"] == "" and result["findings"] == []


def test_an_image_that_is_not_there(run_module: Any, plugin: str) -> None:
    result = run_module("plugin_info", files=[{"path": plugin}], gateway={"image": "127.0.0.1:1/no/gw:v1"})
    assert result["failed"] is True and "127.0.0.1:1/no/gw:v1 cannot be had" in result["msg"]
