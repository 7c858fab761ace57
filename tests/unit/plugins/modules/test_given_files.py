# Copyright (c) 2026 tyk.upgrade contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What users may give by mistake where a file, a name, a key or an address is wanted: one sentence, at once."""

from __future__ import annotations

import os
import signal
import socket
from pathlib import Path
from typing import Any, Dict, Iterator

import pytest

from ansible_collections.tyk.upgrade.plugins.module_utils._clients import module_cache
from ansible_collections.tyk.upgrade.plugins.module_utils._clients.bundle_archive import manifest_of
from ansible_collections.tyk.upgrade.plugins.module_utils._clients.bundle_signer import Signer
from ansible_collections.tyk.upgrade.plugins.module_utils._clients.errors import ClientError
from ansible_collections.tyk.upgrade.plugins.module_utils._clients.netns import read_file
from ansible_collections.tyk.upgrade.plugins.module_utils._clients.plugin_source import read_source
from ansible_collections.tyk.upgrade.plugins.module_utils._domain.findings import DomainError
from ansible_collections.tyk.upgrade.tests.unit.plugins.modules.module_runner import run_failing, run_module

MANIFEST = {"custom_middleware": {"driver": "goplugin", "pre": [{"name": "Add", "path": "a.so"}]}}
KINDS = ["a folder", "a pipe", "a socket", "a device"]


@pytest.fixture(autouse=True)
def at_once() -> Iterator[None]:
    """No test of this file may wait for a writer that never comes."""

    def late(*_unused: Any) -> None:
        raise AssertionError("it waits")

    before = signal.signal(signal.SIGALRM, late)
    signal.alarm(20)
    yield
    signal.alarm(0)
    signal.signal(signal.SIGALRM, before)


@pytest.fixture(params=KINDS)
def place(request: pytest.FixtureRequest, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Dict[str, str]]:
    """The path of something that is no file, reached through a link."""
    monkeypatch.chdir(tmp_path)
    target = Path("/dev/zero") if request.param == "a device" else tmp_path / "target"
    listening = socket.socket(socket.AF_UNIX)
    if request.param == "a folder":
        target.mkdir()
    elif request.param == "a pipe":
        os.mkfifo(target)
    elif request.param == "a socket":
        listening.bind("target")
    (tmp_path / "given").symlink_to(target)
    yield {"path": str(tmp_path / "given"), "words": f"is {request.param}"}
    listening.close()


def test_a_plugin(place: Dict[str, str]) -> None:
    artifact = {"name": "P", "version": "5.3.0", "path": place["path"]}
    result = run_module("plugin_build_info", {"artifacts": [artifact]})
    assert place["words"] in result["findings"][0]["message"] and len(result["findings"]) == 1
    result = run_module("plugin_info", {"files": [{"path": place["path"]}]})
    assert place["words"] in result["findings"][0]["message"] and len(result["findings"]) == 1


def test_a_package(place: Dict[str, str], tmp_path: Path) -> None:
    gateway = {"package_file": place["path"]}
    result = run_failing("plugin_info", {"files": [{"path": str(tmp_path / "none.so")}], "gateway": gateway})
    assert place["words"] in result["msg"]


def test_a_bundle(place: Dict[str, str], tmp_path: Path) -> None:
    result = run_module("bundle_info", {"src": place["path"]})
    assert result["found"] is False and place["words"] in result["findings"][0]["message"]
    store = {"kind": "directory", "path": str(tmp_path)}
    for check in (False, True):
        published = run_failing("bundle_publish", {"store": store, "name": "a.zip", "src": place["path"]}, check=check)
        assert place["words"] in published["msg"]
    with pytest.raises(ClientError, match=place["words"]):
        manifest_of(place["path"])
    assert place["words"] in f"it {read_file(place['path']).problem}"


def test_a_file_of_a_bundle(place: Dict[str, str], tmp_path: Path) -> None:
    files = [{"name": "a.so", "path": place["path"]}]
    result = run_failing("bundle_build", {"dest": str(tmp_path / "a.zip"), "manifest": MANIFEST, "files": files})
    assert place["words"] in result["msg"] and result["findings"][0]["code"] == "bundle-invalid"


def test_an_archive_of_modules(place: Dict[str, str]) -> None:
    wanted = "holds no folder" if place["words"] == "is a folder" else place["words"]
    with pytest.raises(DomainError, match=wanted):
        module_cache.check(place["path"])


@pytest.mark.parametrize("option", ["src", "url"])
def test_an_empty_address(option: str) -> None:
    assert f"{option} is empty" in run_failing("bundle_info", {option: ""})["msg"]


def test_a_name_that_no_zip_could_hold(tmp_path: Path) -> None:
    (tmp_path / "a.so").touch()
    files = [{"name": "a" * 70000 + ".so", "path": str(tmp_path / "a.so")}]
    result = run_failing("bundle_build", {"dest": str(tmp_path / "a.zip"), "manifest": MANIFEST, "files": files})
    assert "has 70003 characters" in result["msg"] and len(result["msg"]) < 250


def test_a_key_that_is_no_text(tmp_path: Path) -> None:
    pytest.importorskip("cryptography")
    (tmp_path / "a.so").touch()
    build = {
        "dest": str(tmp_path / "a.zip"),
        "manifest": MANIFEST,
        "files": [{"name": "a.so", "path": str(tmp_path / "a.so")}],
        "key_content": "-----BEGIN PRIVATE KEY-----\nno base64: é\n-----END PRIVATE KEY-----\n",
    }
    result = run_failing("bundle_build", build)
    called = "The private key (option key_content; in the roles tyk_bundle_key) could not be read"
    assert result["msg"].startswith(called)
    assert "could not be read" in run_failing("bundle_build", {**build, "key_passphrase": "é"})["msg"]
    looked = run_failing("bundle_info", {"src": str(tmp_path / "a.so"), "signing_key": build["key_content"]})
    assert looked["msg"].startswith(called.replace("key_content", "signing_key"))
    with pytest.raises(ClientError, match="could not be read"):  # which not every Ansible lets through to a module
        Signer("-----BEGIN PRIVATE KEY-----\n\ud800".encode("utf-8", "surrogatepass"), "\ud800", "key_content")


UTF_16 = "package main\n".encode("utf-16")


@pytest.mark.parametrize(
    ("name", "content", "words"),
    [
        ("go.mod", b"go 1.21\n", "it has no module line"),
        ("go.mod", b"", "it has no module line"),
        ("go.mod", b"module x\nreplaces ((( \n", "its block 'replaces' does not end"),
        ("go.mod", b"module x\n\n<html>\n", "line 3 begins with '<html>'"),
        ("go.mod", "module x\n".encode("utf-16"), "it is not written in UTF-8"),
        ("more.go", UTF_16, "it is not written in UTF-8"),
        ("sub/more.go", UTF_16[2:], "it is not written in UTF-8"),
        ("go.mod", b"module x\n\ngo 1.15\n\nexclude a v1\nretract [v1.0.0, v1.1.0] // bad\n", ""),
        ("_more.go", UTF_16, ""),
    ],
)
@pytest.mark.parametrize("version", ["", "5.3.0"])
def test_a_source_that_go_cannot_read(tmp_path: Path, name: str, content: bytes, words: str, version: str) -> None:
    (tmp_path / "sub").mkdir()
    (tmp_path / "main.go").write_text("package main\n")
    (tmp_path / name).write_bytes(content)
    if version:
        found = [one.to_dict() for one in read_source("P", str(tmp_path)).prepared("P", version, "t0").findings]
    else:
        found = run_module("plugin_build_info", {"sources": [{"name": "P", "path": str(tmp_path)}]})["findings"]
    assert [(one["code"], one["subject"]) for one in found] == ([("plugin-source-invalid", "P")] if words else [])
    assert not words or (words in found[0]["message"] and f"Go cannot read {name} " in found[0]["message"])
