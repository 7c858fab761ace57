# Copyright (c) 2026 tyk.upgrade contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""bundle_publish and bundle_info with mserv; and what mserv itself answers.

With MSERV_URL (and MSERV_VERSION) the tests marked as its contract run against a real one: that is how the stand-in is
kept honest.
"""

from __future__ import annotations

import json
import os
import time
import zipfile
from pathlib import Path
from typing import Any, Callable, Dict, Iterator

import pytest
import requests

from ansible_collections.tyk.upgrade.tests.unit.plugins.modules.module_runner import run_module
from ansible_collections.tyk.upgrade.tests.unit.plugins.modules.mserv import NO_RECORD, MservServer, payload

MANIFEST = {"custom_middleware": {"driver": "goplugin", "pre": [{"name": "AddHeader", "path": "Header.so"}]}}
KEY = "mserv-api-key"


@pytest.fixture
def server() -> Iterator[MservServer]:
    with MservServer(api_key=KEY) as running:
        yield running


@pytest.fixture
def bundle(tmp_path: Path) -> Path:
    return make(tmp_path, 2)


def make(tmp_path: Path, files: int, name: str = "header.zip", **given: Any) -> Path:
    listed = []
    for number in range(files):
        source = tmp_path / f"{name}.{number}.so"
        source.write_bytes(b"\x7fELF" + os.urandom(20000))
        listed.append({"name": f"Header_v5.{number}.0_linux_amd64.so", "path": str(source)})
    result = run_module("bundle_build", {"dest": str(tmp_path / name), "manifest": MANIFEST, "files": listed, **given})
    assert not result["failed"], result
    return tmp_path / name


def wrong_checksum(tmp_path: Path) -> Path:
    with zipfile.ZipFile(tmp_path / "wrong.zip", "w") as archive:
        archive.writestr("Header.so", b"\x7fELF")
        archive.writestr("manifest.json", json.dumps({**MANIFEST, "file_list": ["Header.so"], "checksum": "0" * 32}))
    return tmp_path / "wrong.zip"


def publish(server: MservServer, src: Path, check: bool = False, **given: Any) -> Dict[str, Any]:
    store = {"kind": "mserv", "url": server.url, "api_key": KEY, "retries": 0, **given}
    arguments = {"store": store, "name": "header-t1.zip", "src": str(src), "timeout": 10}
    return run_module("bundle_publish", arguments, check=check, diff=True)


def info(server: MservServer, name: str) -> Dict[str, Any]:
    return run_module("bundle_info", {"store": {"kind": "mserv", "url": server.url, "api_key": KEY}, "name": name})


def probe(server: MservServer, check: bool = False, **given: Any) -> Dict[str, Any]:
    store = {"kind": "mserv", "url": server.url, "api_key": KEY, "retries": 0, **given}
    return run_module("bundle_publish", {"state": "probed", "store": store, "timeout": 5}, check=check)


# --- the modules


def test_the_name_is_the_one_that_mserv_gave(server: MservServer, bundle: Path) -> None:
    result = publish(server, bundle)
    assert result["changed"] and not result["failed"], result
    (identifier,) = server.records
    assert result["name"] == identifier and result["url"] == f"{server.url}/api/mw/bundle/{identifier}"
    assert server.bundles[identifier] == bundle.read_bytes()
    assert server.restarts == 1 and server.records[identifier]["DownloadOnly"] is False


def test_the_same_bundle_is_known_by_its_content(server: MservServer, bundle: Path) -> None:
    first = publish(server, bundle)
    again = publish(server, bundle)
    assert not again["changed"] and again["name"] == first["name"] and len(server.records) == 1


def test_another_bundle_gets_another_name(server: MservServer, bundle: Path, tmp_path: Path) -> None:
    first = publish(server, bundle)
    time.sleep(server.restart)
    second = publish(server, make(tmp_path, 2, "other.zip"))
    assert second["changed"] and second["name"] != first["name"] and len(server.records) == 2


def test_check_mode_cannot_know_the_name(server: MservServer, bundle: Path, tmp_path: Path) -> None:
    predicted = publish(server, bundle, check=True)
    assert predicted["changed"] and predicted["name"] is None and predicted["url"] is None and not server.records
    done = publish(server, bundle)
    assert predicted["diff"] == done["diff"]
    time.sleep(server.restart)
    after = publish(server, bundle, check=True)
    assert not after["changed"] and after["name"] == done["name"]
    assert publish(server, tmp_path / "later.zip", check=True)["changed"]


def test_what_is_read_is_what_gateways_fetch(server: MservServer, bundle: Path) -> None:
    published = publish(server, bundle)
    result = info(server, published["name"])
    assert result["found"] and result["sha256"] == published["sha256"] and result["findings"] == []
    absent = info(server, "13b0eb10-419f-40ef-838d-6d26bb2eeaa8")
    assert not absent["found"] and absent["findings"][0]["code"] == "bundle-missing"


def test_an_mserv_that_takes_one_file_only(server: MservServer, bundle: Path, tmp_path: Path) -> None:
    server.version = "1.0.1"
    result = publish(server, bundle)
    assert result["failed"] and result["findings"][0]["code"] == "store-limit" and "1.1.0" in result["msg"]
    assert publish(server, make(tmp_path, 1, "one.zip"))["changed"]


def test_an_error_with_the_status_of_success(server: MservServer, bundle: Path) -> None:
    server.forge = lambda request: payload(200, None, "disk is on fire") if request.method == "POST" else None
    result = publish(server, bundle)
    assert result["failed"] and "disk is on fire" in result["msg"] and result["findings"][0]["code"].startswith("store")


def test_an_error_with_the_status_of_success_while_reading(server: MservServer, bundle: Path) -> None:
    name = publish(server, bundle)["name"]
    server.forge = lambda request: payload(200, None, "the file store is away")
    result = info(server, name)
    assert not result["found"] and "the file store is away" in result["findings"][0]["message"]


LONG = "get mw by id error: " + "the driver of the database says a lot " * 20


@pytest.mark.parametrize("status", [200, 500])
def test_a_long_error_is_read_whole_and_shown_in_part(server: MservServer, bundle: Path, status: int) -> None:
    name = publish(server, bundle)["name"]
    server.forge = lambda request: payload(status, None, LONG) if request.path.endswith(name) else None
    result = info(server, name)
    assert not result["found"] and [one["code"] for one in result["findings"]] == ["store-unreachable"]
    assert "the status 'error' (get mw by id error: the driver" in result["findings"][0]["message"]
    assert len(result["findings"][0]["message"]) < 500
    server.forge = lambda request: payload(status, None, LONG + NO_RECORD) if request.path.endswith(name) else None
    assert [one["code"] for one in info(server, name)["findings"]] == ["bundle-missing"]


@pytest.mark.parametrize("act", [publish, probe])
def test_a_key_that_is_refused(server: MservServer, bundle: Path, act: Callable[..., Dict[str, Any]]) -> None:
    arguments = (server, bundle) if act is publish else (server,)
    result = act(*arguments, api_key="a-wrong-key")
    assert result["failed"] and result["findings"][0]["code"] == "store-forbidden" and "a-wrong-key" not in str(result)


def test_the_key_is_never_shown(server: MservServer, bundle: Path) -> None:
    result = publish(server, bundle, api_key=None, url=f"{server.url}/api/mw/bundle?api_key={KEY}")
    assert result["changed"] and KEY not in str(result)
    assert all(request.query.get("api_key") == KEY for request in server.requests)


def test_a_login_page_is_no_mserv(server: MservServer, bundle: Path) -> None:
    server.forge = lambda request: (200, {"Content-Type": "text/html"}, b"<!DOCTYPE html><html>log in</html>")
    for result in (publish(server, bundle), probe(server), probe(server, check=True)):
        assert result["failed"] and "HTML page" in result["msg"]
    assert "HTML page" in info(server, "x")["findings"][0]["message"]


def test_an_address_that_is_no_mserv(server: MservServer, bundle: Path) -> None:
    result = publish(server, bundle, url=server.url + "/elsewhere")
    assert result["failed"] and "ends before /api/mw" in result["msg"]


def test_an_upload_whose_answer_is_lost_is_not_made_twice(server: MservServer, bundle: Path) -> None:
    def lose(request: Any) -> Any:
        if request.method == "POST":
            server.add(request)
            server.forge = lambda again: None
            return (200, {"Content-Length": "5000"}, b"")
        return None

    server.restart = 0.0
    server.forge = lose
    result = publish(server, bundle)
    assert len(server.records) == 1, server.records
    assert result["failed"] is False and result["name"] in server.records, result


def test_an_mserv_that_damages_what_it_stores(server: MservServer, bundle: Path, monkeypatch: Any) -> None:
    from ansible_collections.tyk.upgrade.plugins.module_utils._clients import mserv_store

    monkeypatch.setattr(mserv_store.MservStore.__init__, "__defaults__", (None, None, 0, 1.0))
    server.serve = lambda identifier: (200, {"Content-Type": "application/zip"}, b"PK\x03\x04 damaged")
    result = publish(server, bundle)
    assert result["failed"] and "reading it back shows" in result["msg"]


def test_probing_stores_nothing_and_restarts_nothing(server: MservServer) -> None:
    assert probe(server)["writable"] is True
    assert probe(server, check=True)["writable"] is None
    assert not server.records and server.restarts == 0


def test_what_is_no_bundle_is_not_sent(server: MservServer, tmp_path: Path) -> None:
    (tmp_path / "text.zip").write_text("hello")
    result = publish(server, tmp_path / "text.zip")
    assert result["failed"] and result["findings"][0]["code"] == "bundle-invalid" and server.requests == []


def test_a_bundle_with_a_wrong_checksum_is_not_sent(server: MservServer, tmp_path: Path) -> None:
    """mserv itself would take it, see its contract."""
    result = publish(server, wrong_checksum(tmp_path))
    assert result["failed"] and result["findings"][0]["code"] == "bundle-checksum" and "says checksum" in result["msg"]
    assert not server.records and server.count("POST") == 0


def test_an_upload_is_streamed(server: MservServer, tmp_path: Path) -> None:
    import tracemalloc

    from ansible_collections.tyk.upgrade.plugins.module_utils._clients.mserv_store import Multipart

    big = tmp_path / "big"
    with big.open("wb") as handle:
        handle.truncate(64 * 1024 * 1024)
    tracemalloc.start()
    with big.open("rb") as handle:
        form = Multipart("uploadfile", "a b.zip", handle, big.stat().st_size)
        sent = 0
        while True:
            piece = form.read(16384)
            if not piece:
                break
            sent += len(piece)
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert sent == len(form) and peak < 1024 * 1024


# --- a bundle whose name nobody wrote down

MADE = {"schema": "tyk.upgrade/provenance/v1", "build_id": "t0123456789ab", "versions": ["5.0.0", "5.1.0"]}
FILES = ["tyk-upgrade.json", "Header_v5.0.0_linux_amd64.so", "Header_v5.1.0_linux_amd64.so"]


def find(server: MservServer, provenance: Any = None, files: Any = None, check: bool = False) -> Dict[str, Any]:
    store = {"kind": "mserv", "url": server.url, "api_key": KEY, "retries": 0}
    wanted = {"provenance": provenance or MADE, "files": files or FILES}
    return run_module("bundle_info", {"store": store, "find": wanted}, check=check)


@pytest.fixture
def quick(server: MservServer) -> MservServer:
    server.restart = 0.0
    return server


@pytest.mark.parametrize("check", [False, True])
def test_a_bundle_is_found_by_what_it_was_made_from(quick: MservServer, tmp_path: Path, check: bool) -> None:
    nothing = find(quick, check=check)
    assert not nothing["found"] and nothing["name"] is None and nothing["findings"] == []
    publish(quick, make(tmp_path, 2, "other.zip", provenance={**MADE, "build_id": "tba9876543210"}))
    assert not find(quick, check=check)["found"], "the same files, made from something else"
    name = publish(quick, make(tmp_path, 2, "wanted.zip", provenance=MADE))["name"]
    found = find(quick, check=check)
    assert found["found"] and found["name"] == name and found["provenance"] == MADE and found["findings"] == []


def test_only_bundles_with_these_files_are_read(quick: MservServer, tmp_path: Path) -> None:
    for files in (1, 3):
        publish(quick, make(tmp_path, files, f"{files}.zip", provenance=MADE))
    before = quick.count("GET", "/bundle/")
    assert not find(quick)["found"] and quick.count("GET", "/bundle/") == before


def test_a_bundle_of_others_and_a_damaged_one_are_passed_over(quick: MservServer, tmp_path: Path) -> None:
    publish(quick, make(tmp_path, 2, "others.zip"))
    name = publish(quick, make(tmp_path, 2, "damaged.zip", provenance=MADE))["name"]
    with zipfile.ZipFile(tmp_path / "damaged.zip") as whole, zipfile.ZipFile(tmp_path / "new.zip", "w") as damaged:
        for entry in whole.namelist():
            damaged.writestr(entry, b"\x7fELF" if entry.endswith(".so") else whole.read(entry))
    quick.bundles[name] = (tmp_path / "new.zip").read_bytes()
    assert not find(quick)["found"]


def test_one_that_was_uploaded_twice_is_one_and_two_that_differ_are_refused(quick: MservServer, tmp_path: Path) -> None:
    name = publish(quick, make(tmp_path, 2, "first.zip", provenance=MADE))["name"]
    with (tmp_path / "first.zip").open("rb") as content:
        form = {"uploadfile": ("first.zip", content)}
        requests.post(f"{quick.url}/api/mw", files=form, headers={"X-Api-Key": KEY}, timeout=10).raise_for_status()
    assert len(quick.records) == 2 and find(quick)["name"] == name
    other = publish(quick, make(tmp_path, 2, "second.zip", provenance=MADE))["name"]
    result = find(quick)
    assert result["name"] is None and result["findings"][0]["code"] == "store-conflict"
    assert name in result["findings"][0]["message"] and other in result["findings"][0]["message"]


def test_a_store_that_does_not_answer_has_not_said_that_there_is_none(quick: MservServer) -> None:
    quick.forge = lambda request: payload(200, None, "the database is away")
    result = find(quick)
    assert not result["found"] and "the database is away" in result["findings"][0]["message"]


def test_a_store_that_keeps_names_is_not_searched(tmp_path: Path) -> None:
    store = {"kind": "directory", "path": str(tmp_path)}
    result = run_module("bundle_info", {"store": store, "find": {"provenance": MADE, "files": FILES}})
    assert not result["found"] and result["findings"][0]["code"] == "setting-invalid"
    both = {"store": store, "name": "a.zip", "find": {"provenance": MADE, "files": FILES}}
    assert run_module("bundle_info", both)["failed"]
    assert run_module("bundle_info", {"src": "a.zip", "find": {"provenance": MADE, "files": FILES}})["failed"]


@pytest.mark.parametrize("check", [False, True])
def test_published_under_the_name_that_it_has_there(quick: MservServer, tmp_path: Path, check: bool) -> None:
    bundle = make(tmp_path, 2, "wanted.zip", provenance=MADE)
    name = publish(quick, bundle)["name"]
    store = {"kind": "mserv", "url": quick.url, "api_key": KEY, "retries": 0}

    def again(src: Path) -> Dict[str, Any]:
        return run_module("bundle_publish", {"store": store, "name": name, "src": str(src)}, check=check)

    assert again(bundle)["name"] == name and not again(bundle)["changed"]
    other = again(make(tmp_path, 2, "other.zip", provenance=MADE))
    assert other["failed"] and other["findings"][0]["code"] == "store-conflict" and len(quick.records) == 1
    assert f"delete it there (DELETE {quick.url}/api/mw/{name})" in other["findings"][0]["remedy"]
    if check:
        unbuilt = again(tmp_path / "not-built-yet.zip")
        assert not unbuilt["changed"] and unbuilt["name"] == name


# --- the contract: what mserv answers, the stand-in as well as a real one


@pytest.fixture(params=["1.1.0", "1.0.1"])
def mserv(request: Any) -> Iterator[str]:
    real = os.environ.get("MSERV_URL")
    if real:
        if os.environ.get("MSERV_VERSION", "1.1.0") != request.param:
            pytest.skip("the real mserv is of another version")
        yield real
        return
    with MservServer(request.param) as running:
        yield running.url


def post(url: str, content: bytes, **fields: str) -> requests.Response:
    form = {"uploadfile": ("x.zip", content)}
    return settled(lambda: requests.post(f"{url}/api/mw", files=form, data=fields, timeout=20))


def settled(ask: Callable[[], requests.Response]) -> requests.Response:
    """What it answers once it is back: an upload makes it start anew."""
    for _attempt in range(100):
        try:
            return ask()
        except requests.ConnectionError:
            time.sleep(0.1)
    raise AssertionError("mserv did not come back")


def get(url: str) -> requests.Response:
    return settled(lambda: requests.get(url, timeout=20))


def added(url: str, content: bytes) -> str:
    answer = post(url, content)
    assert answer.status_code == 200, answer.text
    said = answer.json()
    assert said["Status"] == "ok" and said["Error"] == "" and list(said["Payload"]) == ["BundleID"]
    return str(said["Payload"]["BundleID"])


def test_contract_of_an_upload(mserv: str, tmp_path: Path) -> None:
    content = make(tmp_path, 1).read_bytes()
    identifier = added(mserv, content)
    fetched = get(f"{mserv}/api/mw/bundle/{identifier}")
    assert fetched.status_code == 200 and fetched.content == content
    assert fetched.headers["Content-Type"] == "application/zip"
    (record,) = [one for one in get(f"{mserv}/api/mw/master/all").json()["Payload"] if one["UID"] == identifier]
    assert record["Active"] is True and record["DownloadOnly"] is False
    assert record["Manifest"]["file_list"] == ["Header_v5.0.0_linux_amd64.so"]
    assert len(record["Manifest"]["checksum"]) == 32
    assert get(f"{mserv}/api/mw/{identifier}").json()["Payload"]["UID"] == identifier


def test_contract_of_two_files(mserv: str, tmp_path: Path, request: Any) -> None:
    answer = post(mserv, make(tmp_path, 2).read_bytes())
    if request.node.callspec.params["mserv"] == "1.1.0":
        assert answer.status_code == 200
    else:
        assert answer.status_code == 500 and "only one plugin file file allowed per bundle" in answer.json()["Error"]


@pytest.mark.parametrize(
    ("content", "status", "part"),
    [
        (b"just text", 422, "'application/zip' MIME type: text/plain"),
        (b"\x00\x01\x02", 415, "application/octet-stream"),
        (b"PK\x03\x04 not really", 500, "error storing bundle zip"),
    ],
)
def test_contract_of_what_is_no_bundle(mserv: str, content: bytes, status: int, part: str) -> None:
    answer = post(mserv, content)
    said = answer.json()
    assert (answer.status_code, said["Status"], said["Payload"]) == (status, "error", None) and part in said["Error"]


def test_contract_of_its_health(mserv: str) -> None:
    said = get(f"{mserv}/health").json()
    assert said["Status"] == "ok" and said["Payload"]["HTTPStarted"] is True


def test_contract_of_what_is_not_there(mserv: str) -> None:
    for path in ("bundle/13b0eb10-419f-40ef-838d-6d26bb2eeaa8", "13b0eb10-419f-40ef-838d-6d26bb2eeaa8"):
        answer = get(f"{mserv}/api/mw/{path}")
        assert answer.status_code == 500 and "no documents in result" in answer.json()["Error"]
    assert get(f"{mserv}/elsewhere").status_code == 404
    assert settled(lambda: requests.post(f"{mserv}/api/mw", data=b"x", timeout=20)).json()["Status"] == "error"


def test_contract_of_a_wrong_checksum(mserv: str, tmp_path: Path) -> None:
    """It is taken, which is why a bundle is checked before it is sent."""
    added(mserv, wrong_checksum(tmp_path).read_bytes())


def test_contract_of_store_only(mserv: str, tmp_path: Path) -> None:
    """Such a bundle is taken and can never be fetched: serving it drops the connection."""
    identifier = post(mserv, make(tmp_path, 1).read_bytes(), store_only="true").json()["Payload"]["BundleID"]
    record = get(f"{mserv}/api/mw/{identifier}").json()["Payload"]
    assert record["Manifest"] is None and record["DownloadOnly"] is True
    get(f"{mserv}/health")
    with pytest.raises(requests.ConnectionError):
        requests.get(f"{mserv}/api/mw/bundle/{identifier}", timeout=20)


def test_contract_of_removal(mserv: str, tmp_path: Path) -> None:
    identifier = added(mserv, make(tmp_path, 1).read_bytes())
    get(f"{mserv}/health")
    answer = settled(lambda: requests.delete(f"{mserv}/api/mw/{identifier}", timeout=20))
    assert answer.json() == {"Payload": {"BundleID": identifier}, "Status": "ok", "Error": ""}
    assert get(f"{mserv}/api/mw/{identifier}").status_code == 500
