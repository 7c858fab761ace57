# Copyright (c) 2026 tyk.upgrade contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""bundle_fetch_check, bundle_place, gateway_bundle_info and container_info on a real engine."""

from __future__ import annotations

import hashlib
import io
import json
import tarfile
from pathlib import Path
from typing import Any, Dict, Iterator, Sequence, Tuple

import pytest

from ansible_collections.tyk.upgrade.plugins.module_utils._clients.bundle_archive import Member, build

pytestmark = pytest.mark.engine

CONTENT = b"PK\x03\x04 bundle " * 30000
#: The head of a 64-bit library for amd64.
LIBRARY = b"\x7fELF\x02\x01\x01" + bytes(9) + b"\x03\x00\x3e\x00\x01\x00\x00\x00" + bytes(40)
MIDDLEWARE = "/opt/tyk-gateway/middleware"


def put(bench: Any, container: str, files: Dict[str, bytes], folders: Sequence[tarfile.TarInfo] = ()) -> None:
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode="w") as archive:
        for one in folders:
            archive.addfile(one)
        for name, content in files.items():
            parts = name.split("/")
            for count in range(1, len(parts)):
                folder = tarfile.TarInfo("/".join(parts[:count]))
                folder.type, folder.mode = tarfile.DIRTYPE, 0o755
                archive.addfile(folder)
            member = tarfile.TarInfo(name)
            member.size, member.mode = len(content), 0o644
            archive.addfile(member, io.BytesIO(content))
    assert bench.api.put_archive(container, "/", buffer.getvalue())


@pytest.fixture(scope="session")
def store_net(session_bench: Any) -> str:
    return str(session_bench.network("store"))


@pytest.fixture
def pair(bench: Any, old_image: str, store_net: str) -> Iterator[Tuple[str, str]]:
    """A gateway and a store that only a container of the same network can reach by its name."""
    on = {"HostConfig": {"NetworkMode": store_net}, "Image": old_image}
    store = bench.container(
        "store",
        {
            **on,
            "Cmd": ["files", "/data"],
            "NetworkingConfig": {"EndpointsConfig": {store_net: {"Aliases": ["bundles"]}}},
        },
        start=False,
    )
    put(bench, store, {"data/a.zip": CONTENT})
    bench.api.start(store)
    yield bench.container("gw", on), store


def test_fetches_from_the_containers_network(pair: Tuple[str, str], run_module: Any) -> None:
    digest = hashlib.sha256(CONTENT).hexdigest()
    result = run_module("bundle_fetch_check", container=pair[0], url="http://bundles:8080/a.zip", sha256=digest)
    assert result["findings"] == [], result
    assert (result["bytes"], result["sha256"]) == (len(CONTENT), digest)
    assert pair[0] in result["means"]
    assert result["seconds"] < 3


@pytest.mark.parametrize(
    "url, limit, severity, code, words",
    [
        ("http://bundles:8080/slow/3000/a.zip", 0.5, "error", "bundle-slow", f"of {len(CONTENT)} bytes"),
        ("http://bundles:8080/slow/1000/a.zip", 1.4, "warning", "bundle-slow", "of the 1.4 s"),
        ("http://bundles:8080/none.zip", 5, "error", "bundle-missing", "HTTP 404"),
        ("http://nowhere:8080/a.zip", 3, "error", "bundle-missing", "the name nowhere is not known"),
        ("http://user:secret-word@bundles:1/a.zip", 5, "error", "bundle-missing", "Connection refused"),
        ("ftp://bundles/a.zip", 5, "error", "bundle-missing", "only http and https"),
    ],
)
def test_fetch_findings(
    pair: Tuple[str, str], run_module: Any, url: str, limit: float, severity: str, code: str, words: str
) -> None:
    result = run_module("bundle_fetch_check", container=pair[0], url=url, limit=limit)
    assert [(one["severity"], one["code"]) for one in result["findings"]] == [(severity, code)], result
    assert words in result["findings"][0]["message"]
    assert "secret-word" not in json.dumps(result["findings"])
    assert result["seconds"] < limit + 1


@pytest.fixture
def proxied(bench: Any, pair: Tuple[str, str], old_image: str, store_net: str) -> str:
    """A container whose environment has a proxy, which is the store itself."""
    environment = ["HTTP_PROXY=http://pat:s3cret-word@bundles:8080", "NO_PROXY=direct.example"]
    on = {"HostConfig": {"NetworkMode": store_net}, "Image": old_image, "Env": environment}
    return str(bench.container("proxied", on))


def test_fetch_through_the_proxy_of_the_container(proxied: str, run_module: Any) -> None:
    result = run_module("bundle_fetch_check", container=proxied, url="http://no.such.host/a.zip")
    assert result["findings"] == [] and result["bytes"] == len(CONTENT), result
    assert result["means"].endswith(", through the proxy http://bundles:8080") and "s3cret-word" not in str(result)
    direct = run_module("bundle_fetch_check", container=proxied, url="http://direct.example/a.zip", limit=3)
    assert [one["code"] for one in direct["findings"]] == ["bundle-missing"] and "proxy" not in direct["means"]


def test_a_file_address_is_read_from_the_container(pair: Tuple[str, str], bench: Any, run_module: Any) -> None:
    put(bench, pair[0], {"bundles/a.zip": CONTENT})
    url = "file:///bundles/a.zip"
    result = run_module("bundle_fetch_check", container=pair[0], url=url, versions=["5.8.9"])
    assert result["findings"] == [] and result["sha256"] == hashlib.sha256(CONTENT).hexdigest(), result
    assert result["means"] == f"file system of the container {pair[0]}"
    unknown = run_module("bundle_fetch_check", container=pair[0], url=url)
    assert [(one["severity"], one["code"]) for one in unknown["findings"]] == [("warning", "bundle-missing")]
    blind = run_module("bundle_fetch_check", container=pair[0], url=url, versions=["5.3.0", "5.8.9"])
    assert [one["severity"] for one in blind["findings"]] == ["error"]
    assert "gateways 5.3.0 cannot" in blind["findings"][0]["message"]
    gone = run_module("bundle_fetch_check", container=pair[0], url="file:///none.zip", versions=["5.8.9"])
    assert "In the file system of" in gone["findings"][0]["message"] and "No such file" in gone["findings"][0]["message"]


def test_fetch_of_other_content(pair: Tuple[str, str], run_module: Any) -> None:
    result = run_module("bundle_fetch_check", container=pair[0], url="http://bundles:8080/a.zip", sha256="0" * 64)
    assert [one["code"] for one in result["findings"]] == ["bundle-invalid"]


def test_fetch_needs_a_running_container(pair: Tuple[str, str], bench: Any, run_module: Any) -> None:
    bench.api.stop(pair[0], timeout=1)
    result = run_module("bundle_fetch_check", container=pair[0], url="http://bundles:8080/a.zip")
    assert "is not running" in result["msg"]
    gone = run_module("bundle_fetch_check", container="no-such-container", url="http://bundles:8080/a.zip")
    assert gone["findings"][0]["code"] == "container-missing"


def test_gateway_bundle_info(bench: Any, old_image: str, run_module: Any) -> None:
    line = "Could not load Go-plugin error=plugin already loaded mwPath=%s/bundles/%s/X.so"
    broken = hashlib.md5(b"broken.zip").hexdigest()
    name = bench.container("gw", {"Image": old_image, "Cmd": ["serve", line % (MIDDLEWARE, broken), "\nquiet"]})
    manifest = {
        "file_list": ["X_v5.3.0_linux_amd64.so", "tyk-upgrade.json"],
        "custom_middleware": {"driver": "goplugin"},
        "checksum": "abc",
    }
    files = {}
    for bundle, listed in (("header-1.zip", manifest), ("broken.zip", manifest), ("half.zip", manifest)):
        folder = f"{MIDDLEWARE.lstrip('/')}/bundles/{hashlib.md5(bundle.encode()).hexdigest()}"
        files[f"{folder}/manifest.json"] = json.dumps(listed).encode()
        files[f"{folder}/X_v5.3.0_linux_amd64.so"] = b"so"
        if bundle != "half.zip":
            files[f"{folder}/tyk-upgrade.json"] = b"{}"
    put(bench, name, files)
    result = run_module(
        "gateway_bundle_info", container=name, bundles=["header-1.zip", "broken.zip", "half.zip", "none.zip"]
    )
    assert [one["present"] for one in result["bundles"]] == [True, True, False, False], result
    first = result["bundles"][0]
    assert first["manifest_checksum"] == "abc"
    assert first["files"] == [{"name": "X_v5.3.0_linux_amd64.so", "size": 2}, {"name": "tyk-upgrade.json", "size": 2}]
    assert first["loaded"] == []
    assert len(result["log_errors"]) == 1 and "plugin already loaded" in result["log_errors"][0]
    codes = [(one["subject"].split(": ")[1], one["code"]) for one in result["findings"]]
    assert codes == [
        ("header-1.zip", "bundle-not-in-use"),
        ("broken.zip", "plugin-path-shared"),
        ("half.zip", "bundle-not-in-use"),
        ("none.zip", "bundle-not-in-use"),
    ]
    assert "lacks tyk-upgrade.json" in result["findings"][2]["message"]
    assert "quiet" not in json.dumps(result["log_errors"])


def test_container_info(bench: Any, old_image: str, new_image: str, store_net: str, run_module: Any) -> None:
    volume = bench.volume("info")
    name = bench.container(
        "gw",
        {
            "Image": old_image,
            "StopTimeout": 40,
            "Env": ["TYK_GW_SECRET=hidden-value"],
            "HostConfig": {
                "NetworkMode": store_net,
                "Binds": [f"{volume}:/opt/middleware"],
                "RestartPolicy": {"Name": "on-failure", "MaximumRetryCount": 3},
                "PortBindings": {"8080/tcp": [{"HostIp": "127.0.0.1", "HostPort": ""}]},
            },
            "NetworkingConfig": {"EndpointsConfig": {store_net: {"Aliases": ["gw1"]}}},
        },
    )
    other = bench.container(
        "other", {"Image": old_image, "HostConfig": {"Binds": [f"{volume}:/somewhere"]}}, start=False
    )
    result = run_module("container_info", names=[name, "no-such-container"], target_image=new_image)
    one = result["containers"][0]
    repository, tag = old_image.rsplit(":", 1)
    assert (one["found"], one["running"], one["repository"], one["tag"]) == (True, True, repository, tag)
    assert (one["os"], one["arch"], one["edition"], one["version_label"]) == ("linux", "amd64", "ce", "5.3.0")
    assert (one["restart_policy"], one["stop_timeout"], one["restart_count"]) == ("on-failure:3", 40, 0)
    assert one["pid"] > 0
    assert one["networks"][store_net]["aliases"] == ["gw1"]
    assert one["published"] == [{"container_port": "8080/tcp", "host_ip": "127.0.0.1", "host_port": ""}]
    assert one["shared_mounts"] == [{"destination": "/opt/middleware", "source": volume, "path": "/opt/middleware", "with": [other], "file_system": ""}]
    assert result["containers"][1] == {"name": "no-such-container", "found": False}
    assert result["target"]["present"] is True and result["target"]["size"] > 0
    assert result["disk"]["free"] > 0
    assert [one["code"] for one in result["findings"]] == ["container-missing"]
    assert "hidden-value" not in json.dumps(result)


def test_container_info_findings(bench: Any, old_image: str, run_module: Any) -> None:
    name = bench.container("gw", {"Image": old_image})
    missing = "127.0.0.1:1/none/such:v5.8.9"
    result = run_module("container_info", names=[name], target_image=missing, needed_bytes=1 << 60)
    assert [one["code"] for one in result["findings"]] == ["image-missing", "disk-small"]
    assert result["target"]["pullable"] is False and missing in result["target"]["error"]


def test_what_lies_there_is_copied_before_it_is_replaced(
    pair: Tuple[str, str], bench: Any, run_module: Any, tmp_path: Path
) -> None:
    about = {"serves": ["4.0.16"]}
    handle = io.BytesIO()
    manifest = {
        "file_list": ["X.so", "tyk-upgrade.json"],
        "custom_middleware": {"driver": "goplugin", "pre": [{"name": "Add", "path": "X.so"}]},
    }
    new = [Member("X.so", content=LIBRARY + b"new"), Member("tyk-upgrade.json", content=json.dumps(about).encode())]
    build(handle, manifest, new)
    put(bench, pair[1], {"data/new.zip": handle.getvalue()})
    arguments = {
        "container": pair[0], "bundle": "b.zip", "url": "http://bundles:8080/new.zip", "provenance": about,
        "state": "staged", "staged_dir": str(tmp_path),
    }  # fmt: skip
    assert run_module("bundle_place", **arguments)["before"] == []
    folder = f"{MIDDLEWARE}/bundles/{hashlib.md5(b'b.zip').hexdigest()}"
    # More than a manifest may have, and a file that the manifest does not list.
    old = {"X.so": LIBRARY + bytes(5 << 20), "manifest.json": json.dumps(manifest).encode(), "other": b""}
    put(bench, pair[0], {f"{folder[1:]}/{name}": content for name, content in old.items()})
    staged = run_module("bundle_place", **arguments)
    before = {one["dest"]: Path(one["src"]).read_bytes() for one in staged["before"]}
    assert before == {f"{folder}/{name}": old[name] for name in ("X.so", "manifest.json")}
    # Once the new files are in place, the copy is all that is left of the old ones.
    put(bench, pair[0], {f"{folder[1:]}/{Path(one['src']).name}": Path(one["src"]).read_bytes() for one in staged["files"]})
    assert run_module("bundle_place", **arguments)["before"] == staged["before"]


def test_a_copy_stays_what_it_is_when_a_run_was_killed_with_some_files_in_place(
    pair: Tuple[str, str], bench: Any, run_module: Any, tmp_path: Path
) -> None:
    handle = io.BytesIO()
    manifest = {
        "file_list": ["X.so", "tyk-upgrade.json"],
        "custom_middleware": {"driver": "goplugin", "pre": [{"name": "Add", "path": "X.so"}]},
    }
    now, target = ({"serves": [version]} for version in ("4.0.13", "4.0.16"))
    new = [Member("X.so", content=LIBRARY + b"new"), Member("tyk-upgrade.json", content=json.dumps(target).encode())]
    build(handle, manifest, new)
    put(bench, pair[1], {"data/new.zip": handle.getvalue()})
    folder = f"{MIDDLEWARE}/bundles/{hashlib.md5(b'c.zip').hexdigest()}"
    old = {
        "X.so": LIBRARY + b"old",
        "tyk-upgrade.json": json.dumps(now).encode(),
        "manifest.json": json.dumps(manifest).encode(),
    }
    arguments = {
        "container": pair[0], "bundle": "c.zip", "url": "http://bundles:8080/new.zip", "provenance": target,
        "state": "staged", "staged_dir": str(tmp_path),
    }  # fmt: skip
    put(bench, pair[0], {f"{folder[1:]}/{name}": content for name, content in old.items()})
    run_module("bundle_place", **arguments)
    put(bench, pair[0], {f"{folder[1:]}/X.so": LIBRARY + b"new"})
    before = run_module("bundle_place", **arguments)["before"]
    assert {Path(one["src"]).name: Path(one["src"]).read_bytes() for one in before} == old


@pytest.mark.parametrize("bundles", ["bundles", "elsewhere/bundles"])
def test_a_link_is_copied_as_the_file_it_leads_to(
    pair: Tuple[str, str], bench: Any, run_module: Any, tmp_path: Path, bundles: str
) -> None:
    handle = io.BytesIO()
    manifest = {
        "file_list": ["X.so"],
        "custom_middleware": {"driver": "goplugin", "pre": [{"name": "Add", "path": "X.so"}]},
    }
    build(handle, manifest, [Member("X.so", content=LIBRARY + b"new")])
    put(bench, pair[1], {"data/new.zip": handle.getvalue()})
    old, folder = (f"{MIDDLEWARE}/{bundles}/{hashlib.md5(name).hexdigest()}" for name in (b"old.zip", b"d.zip"))
    put(
        bench,
        pair[0],
        {f"{old[1:]}/Old.so": LIBRARY + bytes(5 << 20), f"{folder[1:]}/manifest.json": json.dumps(manifest).encode()},
    )
    if bundles != "bundles":  # the folder of all bundles is a link, too
        put(bench, pair[0], {}, [link(f"{MIDDLEWARE[1:]}/bundles", bundles)])
    arguments = {
        "container": pair[0], "bundle": "d.zip", "url": "http://bundles:8080/new.zip", "provenance": {"of": "the target"},
        "state": "staged", "staged_dir": str(tmp_path),
    }  # fmt: skip
    put(bench, pair[0], {}, [link(f"{folder[1:]}/X.so", f"{old}/Old.so")])
    before = {Path(one["src"]).name: Path(one["src"]) for one in run_module("bundle_place", **arguments)["before"]}
    assert before["X.so"].read_bytes() == LIBRARY + bytes(5 << 20) and not before["X.so"].is_symlink()
    for target, why in (("/etc/image", f"outside of {MIDDLEWARE}/{bundles}"), (f"{old}/Gone.so", "where nothing is")):
        put(bench, pair[0], {}, [link(f"{folder[1:]}/X.so", target)])
        refused = run_module("bundle_place", **arguments)
        assert refused["failed"] and f"is a link to {target}, {why}" in refused["msg"]


def link(name: str, target: str) -> tarfile.TarInfo:
    made = tarfile.TarInfo(name)
    made.type, made.linkname = tarfile.SYMTYPE, target
    return made


def publish_old(bench: Any, store: str) -> None:
    handle = io.BytesIO()
    manifest = {
        "file_list": ["X.so"],
        "custom_middleware": {"driver": "goplugin", "pre": [{"name": "Add", "path": "X.so"}]},
    }
    build(handle, manifest, [Member("X.so", content=LIBRARY)])
    put(bench, store, {"data/old.zip": handle.getvalue()})


def test_a_bundle_is_put_in_place_in_a_container_without_a_shell(
    pair: Tuple[str, str], bench: Any, run_module: Any
) -> None:
    publish_old(bench, pair[1])
    put(bench, pair[0], {f"{MIDDLEWARE[1:]}/keep": b""})
    arguments = {"container": pair[0], "bundle": "b.zip", "url": "http://bundles:8080/old.zip"}
    assert run_module("bundle_place", check_mode=True, **arguments)["changed"]
    placed = run_module("bundle_place", **arguments)
    folder = f"{MIDDLEWARE}/bundles/{hashlib.md5(b'b.zip').hexdigest()}"
    assert placed["changed"] and placed["folder"] == folder, placed
    seen = run_module("gateway_bundle_info", container=pair[0], bundles=["b.zip"])["bundles"][0]
    assert seen["present"] and seen["files"] == [{"name": "X.so", "size": len(LIBRARY)}]
    assert run_module("bundle_place", **arguments)["changed"] is False
    assert run_module("bundle_place", check_mode=True, **arguments)["changed"] is False
    links = {"X.so": {"bundle": "b.zip", "file": "X.so"}}
    assert run_module("bundle_place", **{**arguments, "bundle": "linked.zip", "links": links})["changed"]
    linked = f"{MIDDLEWARE}/bundles/{hashlib.md5(b'linked.zip').hexdigest()}/X.so"
    _stream, about = bench.api.get_archive(pair[0], linked)
    assert about["linkTarget"] == f"{folder}/X.so"
    missing = run_module("bundle_place", **{**arguments, "bundle": "c.zip", "url": "http://bundles:8080/none.zip"})
    assert missing["failed"] and missing["findings"][0]["code"] == "bundle-missing"
    bench.api.stop(pair[0], timeout=1)
    assert "is not running" in run_module("bundle_place", **arguments)["msg"]


def folder(name: str, owner: Tuple[int, int], mode: int) -> tarfile.TarInfo:
    found = tarfile.TarInfo(name)
    found.type, found.mode = tarfile.DIRTYPE, mode
    found.uid, found.gid = owner
    return found


@pytest.mark.parametrize(
    ("user", "passwd", "owner"),
    [("65532", b"", (65532, 0)), ("tyk", b"tyk:x:1001:1002::/:/bin/sh\n", (1001, 1002)), ("0", b"", (0, 0))],
)
def test_what_is_put_in_place_is_the_gateways_own(
    pair: Tuple[str, str], bench: Any, old_image: str, store_net: str, run_module: Any, user: str, passwd: bytes, owner: Any
) -> None:
    publish_old(bench, pair[1])
    config = {"Image": old_image, "User": user, "HostConfig": {"NetworkMode": store_net}}
    for existing in (True, False):
        name = bench.container(f"gw-{existing}", config, start=False)
        above = [folder(MIDDLEWARE[1:], (0, 0), 0o711), folder(f"{MIDDLEWARE[1:]}/bundles", (65532, 65532), 0o777)]
        put(bench, name, {"etc/passwd": passwd}, above if existing else [])
        bench.api.start(name)
        placed = run_module("bundle_place", container=name, bundle="b.zip", url="http://bundles:8080/old.zip")
        assert placed["changed"], placed
        kept = [(0, 0, 0o711), (65532, 65532, 0o777)] if existing else [(*owner, 0o755)] * 2
        assert [bench.owner(name, one) for one in (MIDDLEWARE, f"{MIDDLEWARE}/bundles")] == kept
        assert bench.owner(name, placed["folder"]) == (*owner, 0o755)
        assert bench.owner(name, f"{placed['folder']}/X.so") == (*owner, 0o644)
