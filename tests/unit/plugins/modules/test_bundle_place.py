# Copyright (c) 2026 tyk.upgrade contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""bundle_place on the gateway's own host; in containers it is tested with an engine."""

from __future__ import annotations

import errno
import io
import json
import os
import stat
from pathlib import Path
from typing import Any, Dict, Iterator, Tuple

import pytest

from ansible_collections.tyk.upgrade.plugins.module_utils._clients.bundle_archive import Member, build
from ansible_collections.tyk.upgrade.plugins.module_utils._domain.bundles import bundle_directory
from ansible_collections.tyk.upgrade.tests.unit.plugins.modules.module_runner import run_module
from ansible_collections.tyk.upgrade.tests.unit.plugins.modules.servers import FixedServer, Request

BUNDLE = "header-t0123456789ab.zip"
#: The head of a 64-bit library for amd64: what is put in place has to be one.
LIBRARY = b"\x7fELF\x02\x01\x01" + bytes(9) + b"\x03\x00\x3e\x00\x01\x00\x00\x00" + bytes(40)
ABOUT = {"schema": "tyk.upgrade/provenance/v1", "versions": ["4.0.13", "4.0.16"]}


def archive(plugin: bytes = LIBRARY) -> bytes:
    handle = io.BytesIO()
    manifest = {
        "file_list": ["X.so", "tyk-upgrade.json"],
        "custom_middleware": {"driver": "goplugin", "pre": [{"name": "Add", "path": "X.so"}]},
    }
    files = {"X.so": plugin, "tyk-upgrade.json": json.dumps(ABOUT).encode()}
    build(handle, manifest, [Member(name, content=content) for name, content in files.items()])
    return handle.getvalue()


@pytest.fixture
def store() -> Iterator[Tuple[str, Dict[str, bytes]]]:
    files: Dict[str, bytes] = {}

    def answer(request: Request) -> Tuple[int, Dict[str, str], bytes]:
        found = files.get(request.path)
        return (200, {}, found) if found is not None else (404, {}, b"")

    with FixedServer(answer) as server:
        yield server.url, files


def test_a_bundle_is_put_in_place_once(store: Tuple[str, Dict[str, bytes]], tmp_path: Path) -> None:
    url, files = store
    files["/old.zip"] = archive()
    middleware = tmp_path / "middleware"
    middleware.mkdir()
    arguments = {"bundle": BUNDLE, "url": f"{url}/old.zip", "middleware_path": str(middleware), "provenance": ABOUT}
    predicted = run_module("bundle_place", arguments, check=True)
    assert predicted["changed"] and not list(middleware.iterdir())
    result = run_module("bundle_place", arguments)
    folder = middleware / "bundles" / bundle_directory(BUNDLE)
    assert result["changed"] and result["folder"] == str(folder)
    assert (folder / "X.so").read_bytes() == LIBRARY
    assert json.loads((folder / "manifest.json").read_text())["file_list"] == ["X.so", "tyk-upgrade.json"]
    assert stat.S_IMODE(folder.stat().st_mode) == 0o755
    assert [path.name for path in folder.parent.iterdir()] == [folder.name], "nothing half-done is left"
    assert run_module("bundle_place", arguments, check=True)["changed"] is False
    del files["/old.zip"]  # what is whole is not even downloaded again
    assert run_module("bundle_place", arguments)["changed"] is False


def test_what_is_not_whole_is_put_in_place_anew(store: Tuple[str, Dict[str, bytes]], tmp_path: Path) -> None:
    url, files = store
    files["/old.zip"] = archive()
    folder = tmp_path / "bundles" / bundle_directory(BUNDLE)
    arguments = {"bundle": BUNDLE, "url": f"{url}/old.zip", "middleware_path": str(tmp_path), "provenance": ABOUT}
    run_module("bundle_place", arguments)
    (folder / "X.so").unlink()
    assert run_module("bundle_place", arguments)["changed"] is True
    assert (folder / "X.so").read_bytes() == LIBRARY
    (folder / "tyk-upgrade.json").write_text('{"of": "another run"}')
    assert run_module("bundle_place", arguments)["changed"] is True
    assert json.loads((folder / "tyk-upgrade.json").read_text()) == ABOUT


def test_staged_files_name_their_place_and_the_manifest_comes_last(
    store: Tuple[str, Dict[str, bytes]], tmp_path: Path
) -> None:
    url, files = store
    files["/new.zip"] = archive(LIBRARY + b"target")
    arguments = {
        "bundle": BUNDLE, "url": f"{url}/new.zip", "middleware_path": "/opt/tyk-gateway/middleware",
        "staged_dir": str(tmp_path / "staged"), "state": "staged", "provenance": ABOUT,
    }  # fmt: skip
    predicted = run_module("bundle_place", arguments, check=True)
    assert predicted["changed"] and predicted["files"] == [] and not list(tmp_path.iterdir())
    result = run_module("bundle_place", arguments)
    folder = f"/opt/tyk-gateway/middleware/bundles/{bundle_directory(BUNDLE)}"
    assert result["changed"] and [one["dest"] for one in result["files"]] == [
        f"{folder}/X.so", f"{folder}/tyk-upgrade.json", f"{folder}/manifest.json",
    ]  # fmt: skip
    assert Path(result["files"][0]["src"]).read_bytes() == LIBRARY + b"target"
    again = run_module("bundle_place", arguments)
    assert again["changed"] is False and again["files"] == result["files"]


@pytest.mark.parametrize(
    ("content", "code", "words"),
    [(None, "bundle-missing", "HTTP 404"), (b"<html>login</html>", "bundle-invalid", "is an HTML page, as a login page is")],
)
def test_what_cannot_be_had_leaves_nothing(
    store: Tuple[str, Dict[str, bytes]], tmp_path: Path, content: Any, code: str, words: str
) -> None:
    url, files = store
    if content is not None:
        files["/x.zip"] = content
    address = url.replace("http://", "http://user:hidden-word@") + "/x.zip"
    result = run_module("bundle_place", {"bundle": BUNDLE, "url": address, "middleware_path": str(tmp_path)})
    assert result["failed"] and [one["code"] for one in result["findings"]] == [code], result
    assert words in result["msg"] and "hidden-word" not in json.dumps(result["findings"])
    assert not (tmp_path / "bundles" / bundle_directory(BUNDLE)).exists()


def test_what_is_open_already_becomes_a_link(store: Tuple[str, Dict[str, bytes]], tmp_path: Path) -> None:
    url, files = store
    files["/new.zip"] = archive()
    old = tmp_path / "bundles" / bundle_directory("header-1.zip")
    old.mkdir(parents=True)
    arguments = {
        "bundle": BUNDLE, "url": f"{url}/new.zip", "middleware_path": str(tmp_path),
        "links": {"X.so": {"bundle": "header-1.zip", "file": "Old.so"}},
    }  # fmt: skip
    folder = tmp_path / "bundles" / bundle_directory(BUNDLE)
    for content in (None, b"something else"):
        if content is not None:
            (old / "Old.so").write_bytes(content)
        result = run_module("bundle_place", arguments)
        assert [one["code"] for one in result["findings"]] == ["bundle-not-in-use"] and not folder.exists()
    (old / "Old.so").write_bytes(LIBRARY)
    assert run_module("bundle_place", arguments)["changed"]
    assert (folder / "X.so").resolve() == (old / "Old.so").resolve()
    assert json.loads((folder / "tyk-upgrade.json").read_text()) == ABOUT
    assert run_module("bundle_place", arguments)["changed"] is False


@pytest.mark.parametrize(
    ("number", "code"), [(errno.EACCES, "root-needed"), (errno.ENOSPC, "disk-small"), (errno.EROFS, "host-file")]
)
def test_what_the_host_refuses_is_one_sentence(
    store: Tuple[str, Dict[str, bytes]], tmp_path: Path, monkeypatch: pytest.MonkeyPatch, number: int, code: str
) -> None:
    def refuse(path: str, mode: int = 0) -> None:
        raise OSError(number, os.strerror(number), path)

    url, files = store
    files["/old.zip"] = archive()
    monkeypatch.setattr(os, "mkdir", refuse)
    result = run_module("bundle_place", {"bundle": BUNDLE, "url": f"{url}/old.zip", "middleware_path": str(tmp_path)})
    assert result["failed"] and [one["code"] for one in result["findings"]] == [code]
    assert result["msg"].startswith(f"{tmp_path}/bundles on this host cannot be read or written: {os.strerror(number)}. ")
