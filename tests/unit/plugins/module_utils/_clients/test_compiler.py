# Copyright (c) 2026 tyk.upgrade contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What a build depends on, what its container is given, and what is said of its result; nothing is started."""

from __future__ import annotations

import io
import tarfile
from pathlib import Path
from typing import Any, Dict, List

import pytest

from ansible_collections.tyk.upgrade.plugins.module_utils._clients import build_room, compiler, module_cache
from ansible_collections.tyk.upgrade.plugins.module_utils._clients.docker_engine import Image
from ansible_collections.tyk.upgrade.plugins.module_utils._domain.build_info import Module
from ansible_collections.tyk.upgrade.plugins.module_utils._domain.findings import DomainError
from ansible_collections.tyk.upgrade.plugins.module_utils._domain.go_module import GoMod
from ansible_collections.tyk.upgrade.plugins.module_utils._domain.source_preparation import Prepared

IMAGE = Image("compiler:v1", "sha256:" + "a" * 64, 1, "linux", "amd64", {"Env": ["GOPATH=/go"]})
GO_MOD = Prepared((("go.mod", b"module x\n"), ("main.go", b"package main\n")))


def build(version: str = "5.8.9", goarch: str = "amd64") -> compiler.Build:
    return compiler.Build("P", "/src", version, "compiler:v1", "linux", goarch, "t1", "P.so")


def test_keys_depend_on_what_counts_only() -> None:
    base: List[Any] = ["sha256:a", "sha256:i", ["P.so", "t1", "linux", "amd64"], {"A": "1"}]
    others: List[List[Any]] = [
        ["sha256:b", *base[1:]],
        [base[0], "sha256:j", *base[2:]],
        [*base[:2], ["P.so", "t2", "linux", "amd64"], base[3]],
        [*base[:3], {}],
        [*base, True],
    ]
    keys = [compiler.build_key(*inputs) for inputs in (base, *others)]
    assert len(set(keys)) == 6
    assert compiler.build_key(*base) == keys[0]
    assert compiler.build_key(*base[:3], {"A": "1", "GOPROXY": "https://x", "HTTPS_PROXY": "y"}) == keys[0]


@pytest.mark.parametrize(
    ("version", "goarch", "image_env", "given", "expected"),
    [
        ("5.8.9", "amd64", [], {}, {"GOTOOLCHAIN": "local"}),
        ("5.8.9", "amd64", [], {"GOTOOLCHAIN": "auto"}, {"GOTOOLCHAIN": "auto"}),
        (
            "5.8.9",
            "arm64",
            [],
            {},
            {"GOTOOLCHAIN": "local", "CC": "aarch64-linux-gnu-gcc", "CGO_ENABLED": "1"},
        ),
        (
            "4.0.16",
            "arm64",
            [],
            {"CC": "clang"},
            {
                "GOTOOLCHAIN": "local",
                "GOFLAGS": "-mod=mod",
                "CC": "clang",
                "CGO_ENABLED": "1",
                "GOOS": "linux",
                "GOARCH": "arm64",
            },
        ),
        ("5.0.15", "amd64", [], {}, {"GOTOOLCHAIN": "local", "GOFLAGS": "-mod=mod"}),
        ("5.0.15", "amd64", ["GOFLAGS=-x"], {}, {"GOTOOLCHAIN": "local", "GOFLAGS": "-x -mod=mod"}),
        ("5.0.15", "amd64", ["GOFLAGS=-x"], {"GOFLAGS": "-mod=vendor"}, {"GOTOOLCHAIN": "local", "GOFLAGS": "-mod=vendor"}),
    ],
)
def test_environment(
    version: str, goarch: str, image_env: List[str], given: Dict[str, str], expected: Dict[str, str]
) -> None:
    image = Image("c", "sha256:b", 1, "linux", "amd64", {"Env": image_env})
    assert compiler.build_environment(build(version, goarch), GO_MOD, image, given) == expected


@pytest.mark.parametrize("files", [(("main.go", b""),), (("go.mod", b""), ("main.go", b""), ("vendor/a/a.go", b""))])
def test_nothing_is_fetched_without_go_mod_or_with_a_vendor_folder(files: Any) -> None:
    assert compiler.build_environment(build("5.0.15"), Prepared(files), IMAGE, {}) == {"GOTOOLCHAIN": "local"}


def test_an_image_for_the_machine_needs_no_cross_compiler() -> None:
    image = Image("c", "sha256:b", 1, "linux", "arm64", {})
    assert compiler.build_environment(build(goarch="arm64"), GO_MOD, image, {}) == {"GOTOOLCHAIN": "local"}


@pytest.mark.parametrize(
    ("options", "expected"),
    [
        ({}, {}),
        ({"goproxy": "https://x,direct"}, {"GOPROXY": "https://x,direct"}),
        ({"goproxy": "off"}, {"GOPROXY": "off", "GOSUMDB": "off"}),
        ({"module_cache": "/c"}, {"GOPROXY": "file:///tmp/tyk-upgrade-modules,off", "GOSUMDB": "off"}),
        (
            {"module_cache": "/c", "goproxy": "https://x"},
            {"GOPROXY": "file:///tmp/tyk-upgrade-modules,https://x", "GOSUMDB": "off"},
        ),
    ],
)
def test_where_modules_come_from(options: Dict[str, str], expected: Dict[str, str]) -> None:
    given = compiler.Options("/out", **options)
    assert given.module_env == expected
    body = compiler.container_body(IMAGE, build(), given, "k", env={"GOTOOLCHAIN": "local"})
    assert body["Env"] == sorted([*(f"{name}={value}" for name, value in expected.items()), "GOTOOLCHAIN=local"])


def test_the_create_call() -> None:
    options = compiler.Options("/out", memory=1 << 30, network="none")
    body = compiler.container_body(IMAGE, build(), options, "key", ["v:/cache"], {})
    assert body["Cmd"] == ["P.so", "t1", "linux", "amd64"]
    assert body["Labels"]["tyk.upgrade.compile"] == "key"
    assert int(body["Labels"]["tyk.upgrade.compile.until"]) > 0
    host = body["HostConfig"]
    assert (host["Memory"], host["MemorySwap"], host["NetworkMode"], host["Binds"]) == (
        1 << 30,
        1 << 30,
        "none",
        ["v:/cache"],
    )


@pytest.mark.parametrize(
    ("modules", "words"),
    [
        ([Module("a.b/c", "v1.1.0"), Module("d.e/f", "v2.0.0")], ["a.b/c (v1.1.0, the gateway has v1.0.0)"]),
        ([Module("a.b/c", "v1.0.0"), Module("elsewhere", "v9.0.0")], []),
        ([Module("replaced", "v0.2.0"), Module("a.b/c", "(devel)")], []),
    ],
)
def test_modules_that_differ(modules: List[Module], words: List[str]) -> None:
    gateway = GoMod("module t\n\nrequire a.b/c v1.0.0\nrequire replaced v0.1.0\n\nreplace replaced => ./x\n")
    found = compiler.differing_modules(build(), modules, gateway)
    assert [one.code for one in found] == ["plugin-mismatch"] * len(words)
    assert all(word in one.message for one in found for word in words)


def test_many_modules_that_differ_are_counted() -> None:
    gateway = GoMod("module t\n" + "".join(f"require a.b/c{number} v1.0.0\n" for number in range(14)))
    modules = [Module(f"a.b/c{number}", "v1.1.0") for number in range(14)]
    (found,) = compiler.differing_modules(build(), modules, gateway)
    assert found.message.endswith("a.b/c9 (v1.1.0, the gateway has v1.0.0) and 4 more.")


# -- module caches -----------------------------------------------------------------------------------------------------


def test_a_module_cache_as_an_archive_is_streamed_whole(tmp_path: Path) -> None:
    folder = tmp_path / "cache" / "download" / "x" / "@v"
    folder.mkdir(parents=True)
    contents = {"v1.zip": b"z" * (3 << 20), "v1.mod": b"", "v1.info": b"{}", "list": b"v1\n" * 200}
    for name, content in contents.items():
        (folder / name).write_bytes(content)
    with tarfile.open(fileobj=io.BytesIO(b"".join(module_cache.archive(str(tmp_path))))) as archive:
        found = {one.name: archive.extractfile(one).read() for one in archive}  # type: ignore[union-attr]
    assert found == {f"tmp/tyk-upgrade-modules/x/@v/{name}": content for name, content in contents.items()}


def test_archives_cannot_write_elsewhere(tmp_path: Path) -> None:
    given = tmp_path / "modules.tar"
    with tarfile.open(given, "w") as archive:
        for name in ("cache/download/../../../etc/passwd", "cache/download/good", "cache/vcs/x"):
            archive.addfile(tarfile.TarInfo(name), io.BytesIO(b""))
    with tarfile.open(fileobj=io.BytesIO(b"".join(module_cache.archive(str(given))))) as archive:
        assert archive.getnames() == ["tmp/tyk-upgrade-modules/good"]


def test_a_damaged_archive_is_named(tmp_path: Path) -> None:
    given = tmp_path / "modules.tar.gz"
    with tarfile.open(given, "w:gz") as archive:
        member = tarfile.TarInfo("cache/download/x")
        member.size = 1 << 20
        archive.addfile(member, io.BytesIO(bytes(range(256)) * 4096))
    given.write_bytes(given.read_bytes()[:600])
    with pytest.raises(DomainError, match="module cache .* is damaged"):
        list(module_cache.archive(str(given)))


# -- room --------------------------------------------------------------------------------------------------------------


class FakeEngine:
    """What an engine says of itself, without one."""

    local, address = False, "tcp://build.example.com:2376"

    def __init__(self, memory: int) -> None:
        self.memory, self.asked = memory, 0

    def info(self) -> Dict[str, Any]:
        self.asked += 1
        return {"MemTotal": self.memory, "DockerRootDir": "/nowhere"}


@pytest.mark.parametrize(
    ("total", "limit", "parallel", "note"),
    [(8 << 30, 0, 2, False), (1 << 30, 0, 2, True), (4 << 30, 2 << 30, 3, True), (0, 0, 1, False)],
)
def test_how_many_builds_fit(tmp_path: Path, total: int, limit: int, parallel: int, note: bool) -> None:
    room = build_room.BuildRoom(str(tmp_path / "not" / "there"), limit, True)
    engine = FakeEngine(total)
    for _number in range(3):
        room.check(engine, "P", "volume")  # type: ignore[arg-type]
    assert engine.asked == 1
    assert bool(room.at_once(parallel)) is note
    with room.slot():
        pass


@pytest.mark.parametrize(("total", "limit"), [(512 << 20, 0), (8 << 30, 512 << 20)])
def test_too_little_memory(tmp_path: Path, total: int, limit: int) -> None:
    room = build_room.BuildRoom(str(tmp_path), limit, True)
    with pytest.raises(DomainError) as caught:
        room.check(FakeEngine(total), "P", "volume")  # type: ignore[arg-type]
    assert caught.value.finding.code == "memory-small"
