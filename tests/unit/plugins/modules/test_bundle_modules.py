# Copyright (c) 2026 tyk.upgrade contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""bundle_build, bundle_info and bundle_publish with real zips and a store on loopback."""

from __future__ import annotations

import base64
import hashlib
import json
import os
import stat
import time
import zipfile
from pathlib import Path
from typing import Any, Dict, Iterator, List

import pytest
from ansible.module_utils import basic

from ansible_collections.tyk.upgrade.tests.unit.plugins.modules.module_runner import run_failing, run_module, small_disk
from ansible_collections.tyk.upgrade.tests.unit.plugins.modules.servers import StoreServer

MANIFEST = {"custom_middleware": {"driver": "goplugin", "pre": [{"name": "AddHeader", "path": "Header.so"}]}}
OLD_FILE, NEW_FILE = "Header_v5.3.0_linux_amd64.so", "Header_v5.8.9_linux_amd64.so"


@pytest.fixture
def sources(tmp_path: Path) -> List[Dict[str, str]]:
    folder = tmp_path / "sources"
    folder.mkdir()
    (folder / "old.so").write_bytes(b"\x7fELF old" * 50000)
    (folder / "new.so").write_bytes(b"\x7fELF new" * 50000)
    return [
        {"name": NEW_FILE, "path": str(folder / "new.so")},
        {"name": OLD_FILE, "path": str(folder / "old.so")},
    ]


def build(dest: Path, files: Any, check: bool = False, **more: Any) -> Dict[str, Any]:
    arguments = {"dest": str(dest), "manifest": MANIFEST, "files": files, **more}
    return run_module("bundle_build", arguments, check=check, diff=True)


def info(src: Path, **more: Any) -> Dict[str, Any]:
    return run_module("bundle_info", {"src": str(src), **more})


def messages(result: Dict[str, Any]) -> str:
    return " ".join(finding["message"] for finding in result["findings"])


# --- build


def test_a_bundle_has_files_in_order_and_the_manifest_last(tmp_path: Path, sources: Any) -> None:
    result = build(tmp_path / "a.zip", sources, provenance={"stem": "header"})
    assert result["changed"] and not result["failed"], result
    with zipfile.ZipFile(tmp_path / "a.zip") as archive:
        assert archive.namelist() == [NEW_FILE, OLD_FILE, "tyk-upgrade.json", "manifest.json"]
        manifest = json.loads(archive.read("manifest.json"))
        content = b"".join(archive.read(name) for name in manifest["file_list"])
        assert json.loads(archive.read("tyk-upgrade.json")) == {"stem": "header"}
    assert manifest["file_list"] == result["files"] == [NEW_FILE, OLD_FILE, "tyk-upgrade.json"]
    assert manifest["checksum"] == result["checksum"] == hashlib.md5(content).hexdigest()
    assert manifest["signature"] == ""
    assert manifest["custom_middleware"] == MANIFEST["custom_middleware"]
    data = (tmp_path / "a.zip").read_bytes()
    assert result["sha256"] == hashlib.sha256(data).hexdigest() and result["size"] == len(data)
    assert stat.S_IMODE((tmp_path / "a.zip").stat().st_mode) == 0o644


def test_the_manifests_order_wins(tmp_path: Path, sources: Any) -> None:
    result = build(tmp_path / "a.zip", sources, manifest={**MANIFEST, "file_list": [OLD_FILE]})
    assert result["files"] == [OLD_FILE, NEW_FILE]


def test_the_same_input_gives_the_same_bytes(tmp_path: Path, sources: Any) -> None:
    first = build(tmp_path / "a.zip", sources)
    os.utime(sources[0]["path"], (time.time() + 5000, time.time() + 5000))
    Path(sources[1]["path"]).chmod(0o755)
    second = build(tmp_path / "b.zip", sources)
    assert (tmp_path / "a.zip").read_bytes() == (tmp_path / "b.zip").read_bytes()
    assert first["sha256"] == second["sha256"]


def test_building_again_is_unchanged_and_does_not_touch_the_file(tmp_path: Path, sources: Any) -> None:
    build(tmp_path / "a.zip", sources)
    inode = (tmp_path / "a.zip").stat().st_ino
    again = build(tmp_path / "a.zip", sources)
    assert not again["changed"] and (tmp_path / "a.zip").stat().st_ino == inode
    Path(sources[0]["path"]).write_bytes(b"other")
    assert build(tmp_path / "a.zip", sources)["changed"]


def test_check_mode_predicts_the_bytes_and_writes_nothing(tmp_path: Path, sources: Any) -> None:
    predicted = build(tmp_path / "out" / "a.zip", sources, check=True)
    assert predicted["changed"] and not (tmp_path / "out").exists()
    real = build(tmp_path / "out" / "a.zip", sources)
    assert predicted["sha256"] == real["sha256"] and predicted["diff"] == real["diff"]
    assert not build(tmp_path / "out" / "a.zip", sources, check=True)["changed"]


def test_check_mode_with_a_file_that_nothing_made_yet(tmp_path: Path) -> None:
    files = [{"name": NEW_FILE, "path": str(tmp_path / "later.so")}]
    result = build(tmp_path / "a.zip", files, check=True)
    assert result["changed"] and result["missing"] == [str(tmp_path / "later.so")] and result["sha256"] is None


@pytest.mark.parametrize(
    ("names", "part"),
    [
        (["../evil.so"], "not a flat name"),
        (["/etc/evil.so"], "not a flat name"),
        (["lib/a.so"], "not a flat name"),
        (["..\\a.so"], "not a flat name"),
        ([".."], "not a file name"),
        (["a.so", "a.so"], "more than once"),
        (["manifest.json"], "name of the manifest itself"),
        (["a b.so"], "characters other than"),
    ],
)
def test_names_that_no_gateway_unpacks(tmp_path: Path, names: List[str], part: str) -> None:
    source = tmp_path / "x"
    source.write_text("x")
    files = [{"name": name, "path": str(source)} for name in names]
    result = build(tmp_path / "a.zip", files)
    assert result["failed"] and part in result["msg"]
    assert result["findings"][0]["code"] == "bundle-invalid"
    assert not (tmp_path / "a.zip").exists()


def test_a_listed_file_that_is_not_given(tmp_path: Path, sources: Any) -> None:
    result = build(tmp_path / "a.zip", sources, manifest={**MANIFEST, "file_list": ["other.so"]})
    assert result["failed"] and "'other.so', but no such file is given" in result["msg"]


def test_a_file_that_is_not_there(tmp_path: Path) -> None:
    result = build(tmp_path / "a.zip", [{"name": "a.so", "path": str(tmp_path / "no.so")}])
    assert result["failed"] and "could not be read: No such file" in result["msg"]
    assert list(tmp_path.iterdir()) == []


def test_a_manifest_without_hook_is_refused(tmp_path: Path, sources: Any) -> None:
    result = build(tmp_path / "a.zip", sources, manifest={"custom_middleware": {"driver": "goplugin"}})
    assert result["failed"] and "no hook" in result["msg"]


def test_a_manifest_that_no_gateway_could_read_is_refused(tmp_path: Path, sources: Any) -> None:
    hook = {"name": "AddHeader", "path": "Header.so", "require_session": "maybe"}
    result = build(tmp_path / "a.zip", sources, manifest={"custom_middleware": {"driver": "goplugin", "pre": [hook]}})
    assert result["failed"] and "pre.require_session is a text and not true or false" in result["msg"]


def test_what_is_worth_knowing_about_a_manifest_is_said(
    tmp_path: Path, sources: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    warned: List[str] = []
    monkeypatch.setattr(basic.AnsibleModule, "warn", lambda module, text: warned.append(text))
    for check in (True, False):
        result = build(tmp_path / "a.zip", sources, manifest={**MANIFEST, "author": "me"}, check=check)
        (finding,) = result["findings"]
        assert not result["failed"] and (finding["code"], finding["severity"]) == ("bundle-invalid", "warning")
        assert "key author that gateways do not know" in finding["message"]
        assert warned.pop() == f"{finding['message']} {finding['remedy']}"
    assert build(tmp_path / "b.zip", sources)["findings"] == [] and not warned


@pytest.mark.parametrize("check", [False, True])
def test_a_full_disk_has_a_finding_and_leaves_nothing(tmp_path: Path, sources: Any, check: bool) -> None:
    (tmp_path / "sources" / "old.so").write_bytes(b"\x7fELF" + os.urandom(200_000))
    with small_disk(100_000):
        result = build(tmp_path / "out" / "a.zip", sources, check=check)
    (finding,) = result["findings"]
    assert result["failed"] and finding["code"] == "disk-small"
    assert f"The bundle {tmp_path}/out/a.zip could not be written" in finding["message"]
    assert not list(tmp_path.glob("out/*"))


def test_a_folder_that_cannot_be_made(tmp_path: Path, sources: Any) -> None:
    (tmp_path / "file").write_text("in the way")
    result = build(tmp_path / "file" / "a.zip", sources)
    assert result["failed"] and [one["code"] for one in result["findings"]] == ["setting-invalid"]


def test_a_signature_is_what_a_gateway_verifies(tmp_path: Path, sources: Any) -> None:
    pytest.importorskip("cryptography")
    from cryptography.hazmat.primitives import hashes, serialization
    from cryptography.hazmat.primitives.asymmetric import padding, rsa

    key = rsa.generate_private_key(public_exponent=65537, key_size=2048)
    encryption = serialization.BestAvailableEncryption(b"pass phrase")
    pem = key.private_bytes(serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, encryption)
    (tmp_path / "key.pem").write_bytes(pem)
    signing = {"key": str(tmp_path / "key.pem"), "key_passphrase": "pass phrase"}
    result = build(tmp_path / "a.zip", sources, **signing)
    assert not result["failed"], result
    with zipfile.ZipFile(tmp_path / "a.zip") as archive:
        manifest = json.loads(archive.read("manifest.json"))
        content = b"".join(archive.read(name) for name in manifest["file_list"])
    signature = base64.b64decode(manifest["signature"])
    key.public_key().verify(signature, content, padding.PKCS1v15(), hashes.SHA256())
    assert not build(tmp_path / "a.zip", sources, **signing)["changed"], "the signature is reproducible too"
    wrong = build(tmp_path / "a.zip", sources, key=str(tmp_path / "key.pem"), key_passphrase="wrong secret")
    assert wrong["failed"] and "passphrase does not fit" in wrong["msg"] and "wrong secret" not in str(wrong)
    assert [one["code"] for one in wrong["findings"]] == ["setting-invalid"]


# --- info


def test_info_of_a_built_bundle(tmp_path: Path, sources: Any) -> None:
    built = build(tmp_path / "a.zip", sources, provenance={"stem": "header"})
    result = info(tmp_path / "a.zip", versions=["5.3.0", "5.8.9", "5.9.0"])
    assert result["found"] and result["findings"] == []
    assert result["checksum_ok"] and result["checksum"] == built["checksum"]
    assert result["sha256"] == built["sha256"] and result["provenance"] == {"stem": "header"}
    assert [entry["name"] for entry in result["files"]] == [NEW_FILE, OLD_FILE, "tyk-upgrade.json"]
    assert result["files"][1]["sha256"] == hashlib.sha256(b"\x7fELF old" * 50000).hexdigest()
    assert result["resolves"] == {
        "5.3.0": {"Header.so": OLD_FILE},
        "5.8.9": {"Header.so": NEW_FILE},
        "5.9.0": {"Header.so": None},
    }


def make_zip(path: Path, entries: Any, manifest: Any = None) -> Path:
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, content in entries:
            archive.writestr(name, content)
        if manifest is not None:
            archive.writestr("manifest.json", manifest if isinstance(manifest, str) else json.dumps(manifest))
    return path


def test_info_of_what_is_not_there(tmp_path: Path) -> None:
    result = info(tmp_path / "no.zip")
    assert not result["failed"] and not result["found"]
    assert result["findings"][0]["code"] == "bundle-missing"


@pytest.mark.parametrize("content", [b"", b"no zip at all", b"PK\x03\x04 cut off"])
def test_info_of_what_is_no_zip(tmp_path: Path, content: bytes) -> None:
    (tmp_path / "a.zip").write_bytes(content)
    result = info(tmp_path / "a.zip")
    assert result["found"] and result["manifest"] is None and "not a zip that can be read" in messages(result)


def test_info_of_a_zip_that_is_cut_or_damaged(tmp_path: Path, sources: Any) -> None:
    build(tmp_path / "a.zip", sources)
    data = bytearray((tmp_path / "a.zip").read_bytes())
    data[200] ^= 0xFF
    (tmp_path / "b.zip").write_bytes(bytes(data))
    assert info(tmp_path / "b.zip")["findings"][0]["code"] == "bundle-invalid"


@pytest.mark.parametrize("name", ["../evil", "/etc/evil", "lib/a.so", "lib/"])
def test_info_names_entries_that_are_not_flat(tmp_path: Path, name: str) -> None:
    make_zip(tmp_path / "a.zip", [(name, "x")], {"file_list": []})
    assert repr(name) in messages(info(tmp_path / "a.zip"))


def test_info_names_symbolic_links_and_doubles(tmp_path: Path) -> None:
    link = zipfile.ZipInfo("link.so")
    link.external_attr = (stat.S_IFLNK | 0o777) << 16
    with pytest.warns(UserWarning):
        make_zip(tmp_path / "a.zip", [(link, "/etc/passwd"), ("a.so", "1"), ("a.so", "2")], {"file_list": []})
    text = messages(info(tmp_path / "a.zip"))
    assert "'link.so' is a symbolic link" in text and "'a.so' occurs more than once" in text


def test_info_without_manifest_or_with_a_broken_one(tmp_path: Path) -> None:
    assert "holds no manifest.json" in messages(info(make_zip(tmp_path / "a.zip", [("a.so", "1")])))
    assert "cannot be read as JSON" in messages(info(make_zip(tmp_path / "b.zip", [], "{nonsense")))
    assert "cannot be read as JSON" in messages(info(make_zip(tmp_path / "c.zip", [], "[]")))


def test_info_of_a_wrong_or_empty_checksum(tmp_path: Path) -> None:
    for checksum in ("", "0" * 32):
        manifest = {**MANIFEST, "file_list": ["Header.so"], "checksum": checksum}
        result = info(make_zip(tmp_path / "a.zip", [("Header.so", "x")], manifest))
        assert not result["checksum_ok"] and result["checksum"] == hashlib.md5(b"x").hexdigest()
        assert "drop every API" in messages(result)


def test_info_of_a_listed_file_that_is_missing(tmp_path: Path) -> None:
    result = info(make_zip(tmp_path / "a.zip", [], {**MANIFEST, "file_list": ["Header.so"], "checksum": ""}))
    assert not result["checksum_ok"] and "Header.so" in messages(result)


def test_info_stops_at_a_bomb(tmp_path: Path) -> None:
    make_zip(tmp_path / "a.zip", [("zeros", bytes(50 * 1024 * 1024))], {"file_list": ["zeros"]})
    started = time.monotonic()
    result = info(tmp_path / "a.zip", max_size=1024 * 1024)
    assert "unpacks to more than 1048576 bytes" in messages(result) and result["manifest"] is None
    assert time.monotonic() - started < 2


def test_info_does_not_believe_the_sizes_that_a_zip_claims(tmp_path: Path) -> None:
    path = make_zip(tmp_path / "a.zip", [("zeros", bytes(8 * 1024 * 1024))], {"file_list": ["zeros"]})
    data = path.read_bytes().replace((8 * 1024 * 1024).to_bytes(4, "little"), (10).to_bytes(4, "little"))
    path.write_bytes(data)
    result = info(path, max_size=1024 * 1024)
    assert result["findings"] and not result["checksum_ok"]


def test_info_of_too_many_entries(tmp_path: Path) -> None:
    make_zip(tmp_path / "a.zip", [(f"f{number}", "x") for number in range(300)], {"file_list": []})
    assert "300 files" not in messages(info(tmp_path / "a.zip")) and "301 files" in messages(info(tmp_path / "a.zip"))


def test_info_wants_versions_that_are_versions(tmp_path: Path) -> None:
    assert run_failing("bundle_info", {"src": "x", "versions": ["five"]})["msg"].startswith("versions cannot be used")


# --- publish


@pytest.fixture
def store() -> Iterator[StoreServer]:
    with StoreServer() as server:
        yield server


@pytest.fixture
def bundle(tmp_path: Path) -> Path:
    path = tmp_path / "header.zip"
    path.write_bytes(os.urandom(300000))
    return path


def publish(store: Any, bundle: Path, check: bool = False, name: str = "header-2.zip", **given: Any) -> Dict[str, Any]:
    arguments = {"store": {"url": store.url + "/bundles/", **given}, "name": name, "src": str(bundle), "timeout": 5}
    return run_module("bundle_publish", arguments, check=check, diff=True)


def probe(store: Any, check: bool = False, **given: Any) -> Dict[str, Any]:
    arguments = {"state": "probed", "store": {"url": store.url + "/bundles/", **given}, "timeout": 5}
    return run_module("bundle_publish", arguments, check=check)


def test_publish_uploads_and_reads_back(store: StoreServer, bundle: Path) -> None:
    result = publish(store, bundle)
    assert result["changed"] and result["url"] == store.url + "/bundles/header-2.zip"
    assert store.files == {"/bundles/header-2.zip": bundle.read_bytes()}
    assert result["sha256"] == hashlib.sha256(bundle.read_bytes()).hexdigest() and result["size"] == 300000
    assert [request.method for request in store.requests] == ["GET", "PUT", "GET"]


def test_publishing_equal_content_again_is_unchanged(store: StoreServer, bundle: Path) -> None:
    publish(store, bundle)
    again = publish(store, bundle)
    assert not again["changed"] and again["diff"]["before"] == again["diff"]["after"]
    assert store.count("PUT") == 1


@pytest.mark.parametrize("check", [False, True])
def test_other_content_under_the_name_is_never_replaced(store: StoreServer, bundle: Path, check: bool) -> None:
    store.files["/bundles/header-2.zip"] = b"something else"
    result = publish(store, bundle, check=check)
    assert result["failed"] and result["findings"][0]["code"] == "store-conflict"
    assert store.files["/bundles/header-2.zip"] == b"something else" and store.count("PUT") == 0


def test_check_mode_predicts_and_does_not_upload(store: StoreServer, bundle: Path, tmp_path: Path) -> None:
    predicted = publish(store, bundle, check=True)
    assert predicted["changed"] and store.count("PUT") == 0
    assert predicted["diff"] == publish(store, bundle)["diff"]
    assert not publish(store, bundle, check=True)["changed"]
    later = publish(store, tmp_path / "not-built-yet.zip", check=True, name="other.zip")
    assert later["changed"] and later["sha256"] is None


@pytest.mark.parametrize("status", [403, 405, 501])
def test_a_read_only_store(store: StoreServer, bundle: Path, status: int) -> None:
    store.refuse["PUT"] = status
    for result in (publish(store, bundle), probe(store)):
        assert result["failed"] and result["findings"][0]["code"] == "store-read-only"
        assert "is read-only" in result["msg"] and f"answered {status}" in result["msg"]
    assert store.files == {}


@pytest.mark.parametrize(
    ("status", "part", "code"),
    [
        (401, "credentials", "store-forbidden"),
        (404, "no such folder", "store-unreachable"),
        (409, "no such folder", "store-unreachable"),
        (413, "this size", "store-limit"),
        (507, "full", "store-limit"),
        (302, "redirects", "store-unreachable"),
    ],
)
def test_other_refusals_say_what_is_wrong(
    store: StoreServer, bundle: Path, status: int, part: str, code: str
) -> None:
    store.refuse["PUT"] = status
    result = publish(store, bundle)
    assert result["failed"] and part in result["msg"] and result["findings"][0]["code"] == code


def test_a_login_page_is_not_a_store(store: StoreServer, bundle: Path) -> None:
    store.login_page = True
    for result in (publish(store, bundle), publish(store, bundle, check=True), probe(store)):
        assert result["failed"] and "HTML page" in result["msg"] and "login" in result["msg"]
        assert result["findings"][0]["code"] == "store-unreachable"


def test_a_store_that_damages_what_it_stores(store: StoreServer, bundle: Path) -> None:
    store.corrupt = True
    result = publish(store, bundle)
    assert result["failed"] and "reading it back shows" in result["msg"]


def test_an_upload_by_somebody_else_in_between(store: StoreServer, bundle: Path) -> None:
    original = store.answer

    def answer(request: Any) -> Any:
        if request.method == "PUT":
            store.files[request.path] = bundle.read_bytes()
        return original(request)

    store.answer = answer  # type: ignore[method-assign]
    result = publish(store, bundle)
    assert not result["failed"] and not result["changed"]


def test_a_store_that_is_not_there(bundle: Path) -> None:
    gone = StoreServer()
    gone.close()
    result = publish(gone, bundle)
    assert result["failed"] and "the connection was refused" in result["msg"]


def test_credentials_are_used_and_never_shown(store: StoreServer, bundle: Path) -> None:
    store.credentials = "Basic " + base64.b64encode(b"up:s3cret-password").decode()
    results = [publish(store, bundle, username="up", password="s3cret-password")]
    url = store.url.replace("://", "://up:s3cret-password@") + "/bundles/?api_key=hidden-key"
    arguments = {"store": {"url": url}, "name": "header-3.zip", "src": str(bundle)}
    results.append(run_module("bundle_publish", arguments))
    results.append(run_module("bundle_info", {"url": url.replace("/?", "/header-3.zip?")}))
    assert [result["failed"] for result in results] == [False] * 3
    assert "s3cret-password" not in str(results) and "hidden-key" not in str(results)
    assert store.requests[-1].target.endswith("header-3.zip?api_key=hidden-key")
    wrong = publish(store, bundle, username="up", password="wrong-password")
    assert wrong["failed"] and "credentials" in wrong["msg"] and "wrong-password" not in str(wrong)


def test_headers_are_sent_and_never_shown(store: StoreServer, bundle: Path) -> None:
    result = publish(store, bundle, headers={"X-Api-Key": "very-hidden"})
    assert all(request.headers["x-api-key"] == "very-hidden" for request in store.requests)
    assert "very-hidden" not in str(result)


@pytest.mark.parametrize("name", ["../up.zip", "a/b.zip", "", ".."])
def test_names_that_leave_the_folder(store: StoreServer, bundle: Path, name: str) -> None:
    result = publish(store, bundle, name=name)
    assert result["failed"] and store.requests == []


def test_a_bundle_that_is_not_there(store: StoreServer, tmp_path: Path) -> None:
    result = publish(store, tmp_path / "no.zip")
    assert result["failed"] and "Build it first" in result["msg"]


def test_probing_leaves_nothing_behind(store: StoreServer) -> None:
    result = probe(store)
    assert not result["changed"] and result["writable"] is True and result["findings"] == []
    assert store.files == {} and [request.method for request in store.requests] == ["PUT", "GET", "DELETE"]


def test_probing_a_store_that_does_not_delete(store: StoreServer) -> None:
    store.refuse["DELETE"] = 405
    result = probe(store)
    assert not result["failed"] and result["writable"] is True
    assert result["findings"][0]["severity"] == "warning" and len(store.files) == 1


def test_probing_in_check_mode_only_asks(store: StoreServer) -> None:
    assert probe(store, check=True)["writable"] is None
    store.allow = "GET, HEAD, PUT"
    assert probe(store, check=True)["writable"] is True
    store.allow = "GET, HEAD"
    refused = probe(store, check=True)
    assert refused["failed"] and refused["findings"][0]["code"] == "store-read-only"
    assert store.count("PUT") == 0


def test_info_of_a_published_bundle(store: StoreServer, tmp_path: Path, sources: Any) -> None:
    built = build(tmp_path / "a.zip", sources)
    publish(store, tmp_path / "a.zip")
    result = run_module("bundle_info", {"url": store.url + "/bundles/header-2.zip"})
    assert result["found"] and result["sha256"] == built["sha256"] and result["seconds"] >= 0
    missing = run_module("bundle_info", {"url": store.url + "/bundles/no.zip"})
    assert not missing["found"] and missing["findings"][0]["code"] == "bundle-missing"
    store.login_page = True
    page = run_module("bundle_info", {"url": store.url + "/bundles/header-2.zip"})
    assert not page["found"] and "HTML page" in messages(page)
