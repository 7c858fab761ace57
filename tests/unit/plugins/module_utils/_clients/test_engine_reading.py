# Copyright (c) 2026 tyk.upgrade contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Plugins, words of the Go runtime, memory maps and resolver files as they are read; nothing is started."""

from __future__ import annotations

import os
import shutil
import struct
import subprocess
import tarfile
from io import BytesIO
from pathlib import Path
from typing import Any, Dict, List, Optional

import pytest

from ansible_collections.tyk.upgrade.plugins.module_utils._clients import compiler, docker_engine
from ansible_collections.tyk.upgrade.plugins.module_utils._clients.elf import (
    BUILD_INFO_MAGIC,
    MODULE_END,
    MODULE_START,
    check_plugin,
    read_go_binary,
)
from ansible_collections.tyk.upgrade.plugins.module_utils._clients.gateway_bundles import (
    BundleSeen,
    epoch,
    findings_of,
    loaded_from,
    shared_objects,
    telling_lines,
)
from ansible_collections.tyk.upgrade.plugins.module_utils._clients.netns import Resolver, dns_addresses, dns_query
from ansible_collections.tyk.upgrade.plugins.module_utils._clients.plugin_load import judge
from ansible_collections.tyk.upgrade.plugins.module_utils._clients.plugin_source import (
    read_source,
    sent,
)
from ansible_collections.tyk.upgrade.plugins.module_utils._domain.bundles import bundle_directory
from ansible_collections.tyk.upgrade.plugins.module_utils._domain.findings import DomainError

GO = shutil.which("go") or shutil.which("/usr/local/go/bin/go")
MODULE = "path\ttyk.internal/tyk_pluginq1\nmod\ttyk.internal/tyk_pluginq1\t(devel)\t\nbuild\t-trimpath=true\n"


def elf_head(machine: int = 62) -> bytes:
    return b"\x7fELF\x02\x01\x01" + bytes(9) + struct.pack("<HH", 3, machine) + bytes(44)


def varint(number: int) -> bytes:
    out = b""
    while number > 0x7F:
        out += bytes([number & 0x7F | 0x80])
        number >>= 7
    return out + bytes([number])


def inline(version: str, module: str) -> bytes:
    framed = b"s" * 16 + module.encode() + b"e" * 16
    head = BUILD_INFO_MAGIC + bytes([8, 2]) + bytes(16)
    return head + varint(len(version)) + version.encode() + varint(len(framed)) + framed


# -- plugins ---------------------------------------------------------------------------------------------------------


def test_build_info_since_go_1_18(tmp_path: Path) -> None:
    file = tmp_path / "a.so"
    file.write_bytes(
        elf_head() + b"decoy " + BUILD_INFO_MAGIC + bytes([8, 2]) + bytes(40) + inline("go1.21.13", MODULE)
    )
    binary = read_go_binary(str(file))
    assert (binary.arch, binary.go_version, binary.path) == ("amd64", "go1.21.13", "tyk.internal/tyk_pluginq1")
    assert binary.settings == (("-trimpath", "true"),)
    assert check_plugin(str(file), "amd64", "q1")[1] == ""


def test_build_info_before_go_1_18(tmp_path: Path) -> None:
    file = tmp_path / "a.so"
    module = MODULE_START + b"path\tplugin_Xq1\nmod\tx\t(devel)\t\n" + MODULE_END
    header = BUILD_INFO_MAGIC + bytes([8, 0]) + bytes(16)
    file.write_bytes(elf_head() + header + b" go1.16.15\0" + module)
    binary = read_go_binary(str(file))
    assert (binary.go_version, binary.path) == ("go1.16.15", "plugin_Xq1")


def test_gopath_builds_tell_no_path_but_carry_it(tmp_path: Path) -> None:
    file = tmp_path / "a.so"
    file.write_bytes(
        elf_head() + BUILD_INFO_MAGIC + bytes([8, 0]) + bytes(16) + b" go1.15.8\0 go.link.pkghash.plugin_Xq1 "
    )
    assert check_plugin(str(file), "amd64", "q1")[1] == ""
    assert "does not contain the build id q2" in check_plugin(str(file), "amd64", "q2")[1]


@pytest.mark.parametrize(
    "content, words",
    [
        (b"", "not an ELF file"),
        (b"garbage of some length, enough for a head", "not an ELF file"),
        (elf_head(), "no Go build information"),
        (elf_head() + BUILD_INFO_MAGIC + bytes([8, 2]), "unusable"),
        (elf_head(183) + inline("go1.21.13", MODULE), "built for arm64, not for amd64"),
        (elf_head(99) + inline("go1.21.13", MODULE), "built for machine 99"),
        (elf_head() + inline("go1.21.13", MODULE.replace("q1", "")), "does not contain the build id q1"),
    ],
)
def test_unusable_results(tmp_path: Path, content: bytes, words: str) -> None:
    file = tmp_path / "a.so"
    file.write_bytes(content)
    assert words in check_plugin(str(file), "amd64", "q1")[1]


@pytest.mark.slow
@pytest.mark.skipif(GO is None or shutil.which("gcc") is None, reason="no Go toolchain with a C compiler")
@pytest.mark.parametrize("flags", [[], ["-trimpath", "-ldflags=-s -w"]])
def test_a_plugin_that_go_itself_built(tmp_path: Path, flags: List[str]) -> None:
    (tmp_path / "go.mod").write_text("module tyk.internal/tyk_plugint0123456789ab\n")
    (tmp_path / "main.go").write_text("package main\n\nfunc F() {}\n\nfunc main() {}\n")
    subprocess.run(
        [str(GO), "build", "-buildmode=plugin", *flags, "-o", "a.so", "."],
        cwd=tmp_path,
        check=True,
        env={**os.environ, "GOFLAGS": "-mod=mod", "GOTOOLCHAIN": "local", "CGO_ENABLED": "1"},
    )
    said = subprocess.run([str(GO), "version", "-m", "a.so"], cwd=tmp_path, check=True, capture_output=True, text=True)
    binary, wrong = check_plugin(str(tmp_path / "a.so"), "amd64", "t0123456789ab")
    assert wrong == "" and binary is not None
    assert binary.path == "tyk.internal/tyk_plugint0123456789ab"
    assert f"path\t{binary.path}" in said.stdout
    assert said.stdout.startswith(f"a.so: {binary.go_version}")
    assert ("-buildmode", "plugin") in binary.settings
    without = tmp_path / "without.so"  # as the linkers up to Go 1.19 leave plugins
    without.write_bytes((tmp_path / "a.so").read_bytes().replace(BUILD_INFO_MAGIC, bytes(len(BUILD_INFO_MAGIC))))
    old, wrong = check_plugin(str(without), "amd64", "t0123456789ab")
    assert wrong == "" and old is not None
    assert (old.path, old.go_version) == (binary.path, "" if flags else binary.go_version)  # known to debuggers
    assert "does not contain the build id other" in check_plugin(str(without), "amd64", "other")[1]


# -- sources ---------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "name, goes",
    [
        ("main.go", True),
        ("go.sum", True),
        ("sub/a.go", True),
        ("vendor/x/y.go", True),
        ("data.json", True),
        (".gitignore", False),
        (".git/HEAD", False),
        ("sub/.hidden/x.go", False),
        ("X.so", False),
        ("sub/X.so", False),
        ("main_test.go", False),
        ("go.work", False),
        ("go.work.sum", False),
        ("sub/go.work.go", True),
    ],
)
def test_what_is_sent(name: str, goes: bool) -> None:
    assert sent(name) is goes


def test_digest_is_of_names_and_contents(tmp_path: Path) -> None:
    (tmp_path / "a.go").write_text("ab")
    (tmp_path / "b.go").write_text("c")
    first = read_source("P", str(tmp_path)).digest
    (tmp_path / "a.go").write_text("a")
    (tmp_path / "b.go").write_text("bc")
    assert read_source("P", str(tmp_path)).digest != first


def test_a_folder_without_go_files_of_its_own(tmp_path: Path) -> None:
    (tmp_path / "sub").mkdir()
    (tmp_path / "sub" / "a.go").write_text("package sub")
    with pytest.raises(DomainError, match="holds no Go files"):
        read_source("P", str(tmp_path))


def test_archives_are_the_same_for_the_same_files() -> None:
    files = [("plugin-source/a.go", b"a", 0o644), ("plugin-source/sub/b.go", b"b", 0o600)]
    first = docker_engine.tar_of(files)
    assert first == docker_engine.tar_of(files)
    with tarfile.open(fileobj=BytesIO(first)) as archive:
        assert [one.name for one in archive] == [
            "plugin-source",
            "plugin-source/a.go",
            "plugin-source/sub",
            "plugin-source/sub/b.go",
        ]


# -- compiling -------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "env, build_cache, module_cache",
    [
        ([], "/root/.cache/go-build", "/root/go/pkg/mod"),
        (["GOPATH=/go"], "/root/.cache/go-build", "/go/pkg/mod"),
        (["GOPATH=/go:/other", "HOME=/h"], "/h/.cache/go-build", "/go/pkg/mod"),
        (["GOCACHE=/c", "GOMODCACHE=/m"], "/c", "/m"),
        (["XDG_CACHE_HOME=/x"], "/x/go-build", "/root/go/pkg/mod"),
    ],
)
def test_where_go_keeps_its_caches(env: List[str], build_cache: str, module_cache: str) -> None:
    assert compiler.cache_folders({"Env": env}) == (build_cache, module_cache)


@pytest.mark.parametrize(
    "reference, repository, tag",
    [
        ("tykio/tyk-gateway:v5.3.0", "tykio/tyk-gateway", "v5.3.0"),
        ("localhost:5000/tyk", "localhost:5000/tyk", ""),
        ("localhost:5000/tyk:v1", "localhost:5000/tyk", "v1"),
        ("a/b@sha256:00", "a/b", "sha256:00"),
        ("a/b:v1@sha256:00", "a/b", "sha256:00"),
    ],
)
def test_references(reference: str, repository: str, tag: str) -> None:
    assert docker_engine.split_reference(reference) == (repository, tag)


@pytest.mark.parametrize(
    "repository, edition",
    [
        ("tykio/tyk-gateway", "ce"),
        ("tykio/tyk-gateway-ee", "ee"),
        ("r:5000/tyk-gateway-fips", "fips"),
        ("tyk-ee/gateway", "ce"),
        ("tykio/tyk-plugin-compiler-ee", "ee"),
    ],
)
def test_editions(repository: str, edition: str) -> None:
    assert docker_engine.edition_of(repository) == edition


# -- what the gateway says about a plugin ----------------------------------------------------------------------------


@pytest.mark.parametrize(
    "code, output, finding, package",
    [
        (0, "[file=a.so, symbol=F] loaded ok, got 0x1", "", ""),
        (
            1,
            'tyk: error: unexpected error: plugin.Open("/p/a"): plugin was built with a different version of package '
            "github.com/go-openapi/swag, try --help",
            "plugin-mismatch",
            "github.com/go-openapi/swag",
        ),
        (
            1,
            "different: plugin was built with a different version of package internal/goarch",
            "plugin-mismatch",
            "internal/goarch",
        ),
        (1, "unexpected error: plugin: symbol Nope not found in plugin x", "plugin-symbol-missing", ""),
        (1, 'unexpected error: plugin.Open("/p/a"): plugin already loaded', "plugin-path-shared", ""),
        (2, "fatal error: runtime: no plugin module data\n\ngoroutine 1", "plugin-crash", ""),
        (2, "fatal error: something else", "plugin-crash", ""),
        # An init function that wants the configuration of a running gateway; such a gateway loads and serves it.
        (
            1,
            "tyk: error: unexpected panic: runtime error: invalid memory address or nil pointer dereference, try --help",
            "",
            "",
        ),
        (137, "", "plugin-crash", ""),
        (None, "", "plugin-crash", ""),
        (1, 'unexpected error: plugin.Open("/p/a"): realpath failed', "plugin-mismatch", ""),
        (1, "/p/a.so: file too short", "plugin-mismatch", ""),
        (1, "/lib/libc.so.6: version `GLIBC_2.34' not found (required by /p/a.so)", "plugin-mismatch", "glibc"),
        (1, "goplugin.GetSymbol is disabled, please rebuild Tyk gateway with -tags=goplugin", "plugin-mismatch", ""),
        (1, "tyk: error: unexpected plugin, try --help", "driver-unsupported", ""),
        (255, "exec /opt/tyk-gateway/tyk: exec format error", "plugin-arch", ""),
        (1, "", "plugin-mismatch", ""),
    ],
)
def test_verdicts(code: Optional[int], output: str, finding: str, package: str) -> None:
    verdict = judge(code, output)
    assert (verdict.ok, verdict.code, verdict.package) == (not finding, finding, package)


# -- bundles of a running gateway ------------------------------------------------------------------------------------

MAPS = """55e0-55e1 r-xp 00000000 00:34 1 /opt/tyk-gateway/tyk
7f00-7f01 r-xp 00000000 00:34 2 /opt/tyk-gateway/middleware/bundles/abc/X_v5.3.0_linux_amd64.so
7f01-7f02 r--p 00001000 00:34 2 /opt/tyk-gateway/middleware/bundles/abc/X_v5.3.0_linux_amd64.so
7f03-7f04 r-xp 00000000 00:34 3 /opt/tyk-gateway/middleware/bundles/old/Y.so (deleted)
7f05-7f06 rw-p 00000000 00:00 0 [heap]
7f07-7f08 rw-p 00000000 00:00 0
"""


def test_opened_plugins_are_read_from_the_memory_map() -> None:
    mapped = shared_objects(MAPS)
    assert mapped == [
        "/opt/tyk-gateway/middleware/bundles/abc/X_v5.3.0_linux_amd64.so",
        "/opt/tyk-gateway/middleware/bundles/old/Y.so",
    ]
    places = {"/opt/tyk-gateway/middleware/bundles/abc"}
    assert loaded_from(mapped, places) == ("X_v5.3.0_linux_amd64.so",)
    assert loaded_from(mapped, {"/elsewhere"}) == ()
    assert loaded_from(None, places) is None


def bundle(**changes: Any) -> BundleSeen:
    given: Dict[str, Any] = {
        "name": "a.zip",
        "directory": "/mw/x",
        "present": True,
        "loaded": ("X.so",),
        "plugins": True,
    }
    return BundleSeen(**{**given, **changes})


ABOUT = f'level=error msg="%s" mwPath=/mw/bundles/{bundle_directory("a.zip")}/X.so'


@pytest.mark.parametrize(
    "seen, lines, expected",
    [
        (bundle(), [], []),
        (bundle(), [ABOUT % "Could not load Go-plugin"], []),  # an earlier try: it is open now
        (bundle(loaded=()), [], [("bundle-not-in-use", "error")]),
        (bundle(loaded=(), plugins=False), [], []),
        (bundle(loaded=None), [], []),
        (bundle(loaded=None), [ABOUT % "Could not load Go-plugin"], [("bundle-not-in-use", "error")]),
        (bundle(loaded=None), ["Could not load Go-plugin for another"], []),
        (
            bundle(loaded=()),
            [ABOUT % "plugin was built with a different version of package x/y"],
            [("plugin-mismatch", "error")],
        ),
        (bundle(loaded=()), [ABOUT % "plugin already loaded"], [("plugin-path-shared", "error")]),
        (bundle(present=False), [], [("bundle-not-in-use", "error")]),
        (bundle(), ["Bundle verification failed a.zip"], [("bundle-invalid", "warning")]),
    ],
)
def test_findings_about_bundles(seen: BundleSeen, lines: List[str], expected: List[Any]) -> None:
    assert [(one.code, one.severity.value) for one in findings_of("gw", [seen], lines)] == expected


def test_lines_of_a_log_hold_no_secret_of_an_address() -> None:
    told = 'level=error msg="Couldn\'t fetch bundle" error="Get \\"http://u:p4ss@s/a.zip?X-Sig=abc%%2F\\": EOF"'
    assert telling_lines(["level=info msg=http://s/?x=y", told.replace("%%", "%")]) == [
        'level=error msg="Couldn\'t fetch bundle" error="Get \\"http://s/a.zip\\": EOF"'
    ]


@pytest.mark.parametrize(
    ("seen", "lines", "helps"),
    [
        (bundle(loaded=()), [], "save that API definition again, or restart the gateway"),
        (bundle(present=False), [], "save that API definition again, or restart the gateway"),
        (bundle(loaded=()), [ABOUT % "plugin already loaded"], "Restart the gateway"),
        (bundle(loaded=()), [ABOUT % "plugin was built with a different version of package x"], "plugin compiler"),
    ],
)
def test_the_remedy_is_what_helps_every_version(seen: BundleSeen, lines: List[str], helps: str) -> None:
    (found,) = findings_of("gw", [seen], lines)
    assert helps in found.remedy and "reload the gateway" not in found.remedy


@pytest.mark.parametrize(
    "stamp, seconds",
    [("2026-11-23T16:01:02.123456789Z", 1795449662), ("0001-01-01T00:00:00Z", None), ("", None)],
)
def test_time_stamps(stamp: str, seconds: Optional[int]) -> None:
    assert epoch(stamp) == seconds


# -- names -----------------------------------------------------------------------------------------------------------

HOSTS = "127.0.0.1 localhost\n10.0.0.9  Bundles bundles.local # a comment\n"


@pytest.mark.parametrize(
    "resolv_conf, servers, search, ndots",
    [
        ("nameserver 127.0.0.11\noptions edns0 ndots:0\n", ("127.0.0.11",), (), 0),
        (
            "search a.example b.example\nnameserver 10.1.1.1 # x\nnameserver fe80::1%eth0\n",
            ("10.1.1.1", "fe80::1"),
            ("a.example", "b.example"),
            1,
        ),
        ("", ("127.0.0.1",), (), 1),
        ("; nothing\nsearch .\n", ("127.0.0.1",), (), 1),
    ],
)
def test_resolver_files(resolv_conf: str, servers: Any, search: Any, ndots: int) -> None:
    resolver = Resolver.parse(HOSTS, resolv_conf)
    assert (resolver.servers, resolver.search, resolver.ndots) == (servers, search, ndots)
    assert resolver.addresses("bundles", 0) == ["10.0.0.9"]
    assert resolver.addresses("BUNDLES.local.", 0) == ["10.0.0.9"]
    assert resolver.addresses("192.0.2.1", 0) == ["192.0.2.1"]
    assert resolver.addresses("::1", 0) == ["::1"]


@pytest.mark.parametrize(
    "name, ndots, asked",
    [
        ("store", 1, ["store.a", "store.b", "store"]),
        ("store.x", 1, ["store.x", "store.x.a", "store.x.b"]),
        ("store", 0, ["store", "store.a", "store.b"]),
        ("store.", 1, ["store"]),
    ],
)
def test_search_order(name: str, ndots: int, asked: List[str]) -> None:
    assert Resolver({}, ("127.0.0.1",), ("a", "b"), ndots).candidates(name) == asked


def test_dns_messages() -> None:
    query = dns_query(7, "store.example", 1)
    assert query == b"\x00\x07\x01\x00\x00\x01\x00\x00\x00\x00\x00\x00\x05store\x07example\x00\x00\x01\x00\x01"
    question = query[12:]
    head = struct.pack(">HHHHHH", 7, 0x8180, 1, 2, 0, 0)
    alias = b"\xc0\x0c" + struct.pack(">HHIH", 5, 1, 60, 2) + b"\xc0\x0c"
    address = b"\xc0\x0c" + struct.pack(">HHIH", 1, 1, 60, 4) + bytes([10, 0, 0, 5])
    assert dns_addresses(head + question + alias + address, 1) == ["10.0.0.5"]
    assert dns_addresses(head + question + alias + address, 28) == []
    assert dns_addresses(struct.pack(">HHHHHH", 7, 0x8183, 1, 0, 0, 0) + question, 1) == []
    assert dns_addresses(head + question + alias + address[:-2], 1) == []
