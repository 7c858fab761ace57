# Copyright (c) 2026 tyk.upgrade contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""bundle_fetch_check on the gateway's own host: the download is timed there, and its program loads the plugins."""

from __future__ import annotations

import hashlib
import io
import json
import struct
import time
import zipfile
from pathlib import Path
from typing import Any, Dict, Iterator, List, Tuple

import pytest

from ansible_collections.tyk.upgrade.plugins.module_utils._clients import host_plugins
from ansible_collections.tyk.upgrade.plugins.module_utils._clients.bundle_archive import Member, build
from ansible_collections.tyk.upgrade.tests.unit.plugins import go_builds
from ansible_collections.tyk.upgrade.tests.unit.plugins.module_utils._clients import old_gateway
from ansible_collections.tyk.upgrade.tests.unit.plugins.modules.module_runner import run_module, small_disk
from ansible_collections.tyk.upgrade.tests.unit.plugins.modules.servers import FixedServer, Request

# Answers as a gateway's `plugin load` does for files that hold these words. A file exports the functions it names.
PROGRAM = """#!/bin/sh
echo "$PWD $* ${NEEDED:-nothing}" >>"%(log)s"
files=$4 symbol=$6 seen=
IFS=,
for file in $files; do
    words=$(cat "$file")
    case $words in
    *MISMATCH*) echo "tyk: error: unexpected error: plugin.Open(\\"x\\"): plugin was built with a different version of package \
github.com/sirupsen/logrus, try --help" >&2; exit 1 ;;
    *GENERATION*) echo "fatal error: runtime: no plugin module data" >&2; exit 2 ;;
    *SIGNAL*) kill -SEGV $$ ;;
    *HANG*) sleep 60 & wait ;;
    *NOEXEC*) echo "plugin.Open: $file: failed to map segment from shared object" >&2; exit 1 ;;
    *SAME_PATH*) [ -z "$seen" ] || { echo "plugin.Open(\\"x\\"): plugin already loaded" >&2; exit 1; }; seen=1 ;;
    esac
    case $words in
    *"$symbol"*) echo "[file=$file, symbol=$symbol] loaded ok, got 0x7f" ;;
    *) echo "tyk: error: unexpected error: plugin: symbol $symbol not found in plugin x, try --help" >&2; exit 1 ;;
    esac
done
"""
VERSION = "5.8.9"
ARCH = host_plugins.architecture()


def named(stem: str, version: str = VERSION) -> str:
    return f"{stem}_v{version}_linux_{ARCH}.so"


def hook(stem: str, name: str, **more: Any) -> Dict[str, Any]:
    return {"path": f"{stem}.so", "name": name, **more}


def bundle(files: Dict[str, str], pre: List[Dict[str, Any]], **middleware: Any) -> bytes:
    handle = io.BytesIO()
    manifest = {"file_list": list(files), "custom_middleware": {"driver": "goplugin", "pre": pre, **middleware}}
    build(handle, manifest, [Member(name, content=f"\x7fELF {text}".encode()) for name, text in files.items()])
    return handle.getvalue()


class Store:
    """A bundle store on loopback, and a gateway's program that remembers what it was asked."""

    def __init__(self, url: str, files: Dict[str, bytes], program: Path, log: Path) -> None:
        self.url, self.files, self.program, self.log = url, files, program, log

    def check(self, content: bytes = b"", name: str = "b.zip", **arguments: Any) -> Dict[str, Any]:
        self.files[f"/{name}"] = content or self.files.get(f"/{name}", b"")
        return run_module("bundle_fetch_check", {"url": f"{self.url}/{name}", **arguments})

    def load(self, content: bytes, **more: Any) -> Dict[str, Any]:
        with_ = {"binary": str(self.program), "version": VERSION, **more}
        return self.check(content, load_with=[with_])

    def asked(self) -> List[List[str]]:
        """Folder and arguments of each call of the program."""
        return [line.split() for line in self.log.read_text().splitlines()] if self.log.exists() else []


@pytest.fixture
def store(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Store]:
    files: Dict[str, bytes] = {}

    def answer(request: Request) -> Tuple[int, Dict[str, str], bytes]:
        if request.path == "/slow.zip":
            time.sleep(2)
        found = files.get(request.path)
        return (200, {}, found) if found is not None else (404, {}, b"")

    state = tmp_path / "state"
    state.mkdir()
    monkeypatch.setattr(host_plugins, "STATE_FOLDER", str(state))
    program, log = tmp_path / "tyk", tmp_path / "asked"
    program.write_text(PROGRAM % {"log": log})
    program.chmod(0o755)
    with FixedServer(answer) as server:
        yield Store(server.url, files, program, log)
    assert list(state.iterdir()) == []


def said(result: Dict[str, Any]) -> List[Tuple[str, str]]:
    return [(one["severity"], one["code"]) for one in result["findings"]]


def test_the_download_is_made_from_the_host(store: Store) -> None:
    digest = hashlib.sha256(b"bundle" * 100000).hexdigest()
    result = store.check(b"bundle" * 100000, sha256=digest)
    assert (result["bytes"], result["sha256"], result["findings"]) == (600000, digest, []), result
    assert result["means"].startswith("the host ") and "loaded" not in result
    assert said(store.check(b"bundle", sha256=digest)) == [("error", "bundle-invalid")]
    missing = run_module("bundle_fetch_check", {"url": f"{store.url}/none.zip"})
    assert said(missing) == [("error", "bundle-missing")] and "HTTP 404" in missing["findings"][0]["message"]


@pytest.mark.parametrize("digest", ["", "0" * 64])
@pytest.mark.parametrize("content", [b"<!DOCTYPE html><html>Please log in", b"  <html><body>x"])
def test_a_web_page_with_the_status_of_success_is_no_bundle(store: Store, content: bytes, digest: str) -> None:
    (finding,) = store.check(content, **({"sha256": digest} if digest else {}))["findings"]
    assert (finding["severity"], finding["code"]) == ("error", "bundle-invalid")
    assert "is an HTML page, as a login page is, and no bundle" in finding["message"]


def test_a_web_page_is_known_by_its_type_and_a_text_by_its_first_bytes(store: Store) -> None:
    def answer(request: Request) -> Tuple[int, Dict[str, str], bytes]:
        return 200, {"Content-Type": "text/html"} if request.path == "/page" else {}, b"Please log in"

    with FixedServer(answer) as server:
        for path, words in (("page", "is an HTML page"), ("text", "is no zip and so no bundle")):
            (finding,) = run_module("bundle_fetch_check", {"url": f"{server.url}/{path}"})["findings"]
            assert finding["code"] == "bundle-invalid" and words in finding["message"]
    result = store.load(b"Please log in")
    assert said(result) == [("error", "bundle-invalid")] and result["loaded"] == []


def test_a_file_address_is_read_from_the_host(store: Store, tmp_path: Path) -> None:
    content = bundle({named("A"): "One"}, [hook("A", "One")])
    (tmp_path / "a.zip").write_bytes(content)
    url = f"file://{tmp_path}/a.zip"
    with_ = [{"binary": str(store.program), "version": VERSION}]
    result = run_module("bundle_fetch_check", {"url": url, "load_with": with_})
    assert said(result) == [] and result["means"].startswith("file system of the host ")
    assert [one["ok"] for one in result["loaded"]] == [True] and result["sha256"] == hashlib.sha256(content).hexdigest()
    old = run_module("bundle_fetch_check", {"url": url, "versions": ["5.3.0", "5.3.3", "5.4.0"]})
    assert said(old) == [("error", "bundle-missing")] and "gateways 5.3.0, 5.4.0 cannot" in old["findings"][0]["message"]
    unknown = run_module("bundle_fetch_check", {"url": url})
    assert said(unknown) == [("warning", "bundle-missing")] and "Give their versions" in unknown["findings"][0]["remedy"]
    gone = run_module("bundle_fetch_check", {"url": f"{url}.gone", "versions": [VERSION]})
    assert said(gone) == [("error", "bundle-missing")] and "cannot be read: No such file" in gone["findings"][0]["message"]


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        ({"url": "file://bundles/a.zip"}, "begins with file:///"),
        ({"url": "http://user:pass/word@host/a.zip"}, "percent-encoded"),
        ({"url": "http://host/a.zip", "versions": ["5.3"]}, "versions cannot be used"),
    ],
)
def test_arguments_that_cannot_work(arguments: Dict[str, Any], words: str) -> None:
    result = run_module("bundle_fetch_check", arguments)
    assert result["failed"] and words in result["msg"] and "pass/word" not in result["msg"]


def test_a_full_disk_here_is_not_the_fault_of_the_store(store: Store) -> None:
    with_ = [{"binary": str(store.program), "version": VERSION}]
    with small_disk(100_000):
        result = store.check(b"PK" + bytes(200_000), load_with=with_)
    assert said(result) == [("error", "disk-small")] and result["loaded"] == []


def test_a_slow_download_ends_with_the_limit(store: Store) -> None:
    began = time.monotonic()
    with_ = {"binary": str(store.program), "version": VERSION}
    result = store.check(b"x", "slow.zip", limit=0.3, load_with=[with_])
    assert said(result) == [("error", "bundle-slow")] and time.monotonic() - began < 1.5
    assert result["loaded"] == [] and store.asked() == []


def test_every_program_loads_what_was_downloaded_once(store: Store) -> None:
    files = {named("A"): "One", named("A", "5.3.0"): "One"}
    content = bundle(files, [hook("A", "One")])
    programs = [{"binary": str(store.program), "version": version} for version in ("5.3.0", VERSION)]
    result = store.check(content, load_with=programs)
    assert said(result) == [] and result["bytes"] == len(content)
    assert [(one["version"], one["file"], one["ok"]) for one in result["loaded"]] == [
        ("5.3.0", named("A", "5.3.0"), True),
        (VERSION, named("A"), True),
    ]


def test_each_file_is_loaded_and_then_both_together(store: Store) -> None:
    files = {named("A"): "One Two", named("B"): "Three", named("A", "5.3.0"): "MISMATCH", "data.json": "{}"}
    hooks = [hook("A", "One"), hook("A", "Two"), hook("B", "Three")]
    result = store.load(bundle(files, hooks), environment={"NEEDED": "a-value"})
    assert result["findings"] == [], result
    assert [(one["file"], one["symbol"], one["rc"], one["ok"]) for one in result["loaded"]] == [
        (named("A"), "One", 0, True),
        (named("A"), "Two", 0, True),
        (named("B"), "Three", 0, True),
        (f"{named('A')},{named('B')}", "One", 1, True),
    ]
    assert len({line[0] for line in store.asked()}) == 1
    folder = store.asked()[0][0]
    assert folder.startswith(host_plugins.STATE_FOLDER)
    assert store.asked()[0][1:] == ["plugin", "load", "-f", f"{folder}/{named('A')}", "-s", "One", "a-value"]


@pytest.mark.parametrize(
    "text, code, package, words",
    [
        ("One MISMATCH", "plugin-mismatch", "github.com/sirupsen/logrus", "different version of package github.com/sirupsen/logrus"),
        ("One GENERATION", "plugin-crash", "", "no plugin module data"),
        ("One SIGNAL", "plugin-crash", "", "exit code 139"),
        ("One HANG", "plugin-crash", "", "did not end in time"),
        ("One NOEXEC", "plugin-mismatch", "", "failed to map segment"),
        ("Other", "plugin-symbol-missing", "", "symbol One not found"),
    ],
)
def test_a_plugin_that_cannot_be_loaded(store: Store, text: str, code: str, package: str, words: str) -> None:
    began = time.monotonic()
    result = store.load(bundle({named("A"): text}, [hook("A", "One")]), timeout=1)
    assert said(result) == [("error", code)], result
    message = result["findings"][0]["message"]
    assert words in message and f"{store.program} ({VERSION})" in message
    assert host_plugins.STATE_FOLDER not in message
    assert [(one["ok"], one["package"]) for one in result["loaded"]] == [(False, package)]
    assert not result["failed"] and time.monotonic() - began < 5


def test_a_file_that_fails_for_all_its_functions_is_named_once(store: Store) -> None:
    result = store.load(bundle({named("A"): "One Two MISMATCH"}, [hook("A", "One"), hook("A", "Two")]))
    assert said(result) == [("error", "plugin-mismatch")] and len(result["loaded"]) == 2


def test_two_plugins_of_one_path(store: Store) -> None:
    files = {named("A"): "One SAME_PATH", named("B"): "Two SAME_PATH"}
    result = store.load(bundle(files, [hook("A", "One"), hook("B", "Two")]))
    assert said(result) == [("error", "plugin-path-shared")], result
    assert f"{named('A')} with {named('B')}" in result["findings"][0]["message"]


@pytest.mark.parametrize("version", ["4.3.8", "5.2.3", VERSION])
def test_plugins_of_two_bundles_are_loaded_into_one_process(store: Store, version: str) -> None:
    if version != VERSION:
        old_gateway.write(store.program, store.log, command=version == "5.2.3")
    names = [named(stem, version) for stem in "ABC"]
    own = bundle({names[0]: "One SAME_PATH", names[1]: "Two"}, [hook("A", "One"), hook("B", "Two")])
    store.files["/other.zip"] = bundle({names[2]: "Three"}, [hook("C", "Three")])
    store.files["/same.zip"] = bundle({names[0]: "Four SAME_PATH"}, [hook("A", "Four")])
    store.files["/wrong.zip"] = b"no zip"
    with_ = {"load_with": [{"binary": str(store.program), "version": version}]}
    well = store.check(own, beside=[f"{store.url}/{name}.zip" for name in ("other", "wrong", "none")], **with_)
    assert well["findings"] == [] and all(one["ok"] for one in well["loaded"]), well
    clash = store.check(own, beside=["other.zip", "same.zip"], **with_)
    assert said(clash) == [("error", "plugin-path-shared")], clash
    assert f"{names[0]} with {names[0]}" in clash["findings"][0]["message"]
    assert [one["file"] for one in clash["loaded"] if not one["ok"]] == [f"{names[0]},{names[0]}"]


def test_a_gateway_opens_both_where_the_command_takes_one_file(store: Store) -> None:
    old_gateway.write(store.program, store.log, command=True)
    names = [named(stem, "5.0.15") for stem in "ABC"]
    files = {names[0]: "One Two", names[1]: "value:Three", names[2]: "PANIC"}
    hooks = [hook("A", "One"), hook("A", "Two"), hook("B", "Three"), hook("C", "Four")]
    result = store.load(bundle(files, hooks), version="5.0.15")
    assert result["findings"] == [], result
    assert [(one["file"], one["symbol"], one["ok"]) for one in result["loaded"]] == [
        (names[0], "One", True),
        (names[0], "Two", True),
        (names[1], "Three", True),
        (names[2], "Four", True),
        (f"{names[0]},{names[1]}", "One", True),
    ]
    content = bundle({names[0]: "One", names[1]: "Two EXIT"}, [hook("A", "One"), hook("B", "Two")])
    wrong = store.load(content, version="5.0.15")
    assert said(wrong) == [("error", "plugin-crash")], wrong
    assert f"{names[0]} with {names[1]}" in wrong["findings"][0]["message"]


def test_a_bundle_without_a_file_for_this_version(store: Store) -> None:
    content = bundle({named("A", "5.3.0"): "One"}, [hook("A", "One")])
    for version in (VERSION, "4.3.2"):
        result = store.load(content, version=version)
        assert said(result) == [("error", "bundle-no-file")] and store.asked() == []
        assert f"a gateway {version} on linux/{ARCH} finds no file for A.so" in result["findings"][0]["message"]


def test_a_file_for_another_machine_is_never_started(store: Store) -> None:
    other, machine = ("arm64", 183) if ARCH != "arm64" else ("amd64", 62)
    header = b"\x7fELF\x02\x01\x01".ljust(16, b"\0") + struct.pack("<HH", 3, machine)
    handle = io.BytesIO()
    manifest = {"file_list": [named("A"), named("B")], "custom_middleware": {"driver": "goplugin"}}
    manifest["custom_middleware"]["pre"] = [hook("A", "One"), hook("B", "Two")]
    build(handle, manifest, [Member(named("A"), content=header.ljust(64, b"\0")), Member(named("B"), content=b"\x7fELF Two")])
    result = store.load(handle.getvalue())
    assert said(result) == [("error", "plugin-arch")], result
    assert f"it is built for {other} and this gateway for {ARCH}" in result["findings"][0]["message"]
    assert [(one["file"], one["ok"]) for one in result["loaded"]] == [(named("B"), True), (named("A"), False)]
    assert len(store.asked()) == 1


def test_a_disabled_hook_needs_no_file(store: Store) -> None:
    result = store.load(bundle({named("A"): "One"}, [hook("A", "One"), hook("Gone", "Two", disabled=True)]))
    assert result["findings"] == [] and [one["symbol"] for one in result["loaded"]] == ["One"], result


def test_a_gateway_without_the_command_runs_for_a_moment(store: Store) -> None:
    old_gateway.write(store.program, store.log)
    files = {named("A", "4.3.2"): "One", named("B", "4.3.2"): "response:Two", named("A", "5.3.0"): "GENERATION"}
    content = bundle(files, [hook("A", "One")], response=[hook("B", "Two")])
    result = store.load(content, version="4.3.2", environment={"NEEDED": "a-value"})
    assert result["findings"] == [], result
    assert [(one["file"], one["symbol"], one["ok"]) for one in result["loaded"]] == [
        (named("A", "4.3.2"), "One", True),
        (named("B", "4.3.2"), "Two", True),
    ]
    ((arguments, environment),) = [json.loads(line) for line in store.log.read_text().splitlines()]
    assert arguments[0].startswith(f"--conf={host_plugins.STATE_FOLDER}/") and environment["NEEDED"] == "a-value"


def test_two_plugins_of_one_path_before_the_command_came(store: Store) -> None:
    old_gateway.write(store.program, store.log)
    files = {"A.so": "One SAME_PATH", "B.so": "Two SAME_PATH"}
    result = store.load(bundle(files, [hook("A", "One"), hook("B", "Two")]), version="4.0.16")
    assert said(result) == [("error", "plugin-path-shared")], result
    assert "A.so with B.so" in result["findings"][0]["message"]
    assert [(one["file"], one["ok"]) for one in result["loaded"]] == [("A.so", True), ("B.so", True), ("A.so,B.so", False)]


def test_other_drivers_are_not_loaded(store: Store) -> None:
    result = store.load(bundle({"a.py": "x"}, [{"name": "A"}], driver="python"))
    assert (result["findings"], result["loaded"], store.asked()) == ([], [], [])


def test_a_bundle_that_is_not_safe_to_unpack(store: Store, tmp_path: Path) -> None:
    handle = io.BytesIO()
    with zipfile.ZipFile(handle, "w") as archive:
        manifest = {"file_list": ["../../out.so"], "custom_middleware": {"driver": "goplugin", "pre": []}, "checksum": ""}
        archive.writestr("manifest.json", json.dumps(manifest))
        archive.writestr("../../out.so", b"x")
    result = store.load(handle.getvalue())
    assert ("error", "bundle-invalid") in said(result) and store.asked() == []
    assert list(tmp_path.rglob("out.so")) == []
    assert ("error", "bundle-invalid") in said(store.load(b"no zip at all"))


def test_a_program_that_cannot_be_started(store: Store, tmp_path: Path) -> None:
    content = bundle({named("A"): "One"}, [hook("A", "One")])
    absent = store.load(content, binary=str(tmp_path / "absent"))
    assert said(absent) == [("error", "setting-invalid")] and str(tmp_path / "absent") in absent["findings"][0]["message"]
    foreign = tmp_path / "foreign"
    foreign.write_bytes(b"\x7fELF" + b"\0" * 60)
    foreign.chmod(0o755)
    for version, binary in ((VERSION, content), ("4.0.16", bundle({"A.so": "One"}, [hook("A", "One")]))):
        result = store.load(binary, binary=str(foreign), version=version)
        assert said(result) == [("error", "plugin-mismatch")], result
        assert "cannot be started" in result["findings"][0]["message"]


@pytest.mark.parametrize(
    "arguments, words",
    [
        ({"load_with": [{"binary": "/x", "version": "5.8"}]}, "'5.8' is not a version"),
        ({"container": "gw", "load_with": [{"binary": "/x", "version": VERSION}]}, "mutually exclusive"),
    ],
)
def test_settings(arguments: Dict[str, Any], words: str) -> None:
    result = run_module("bundle_fetch_check", {"url": "http://127.0.0.1:1/a.zip", **arguments})
    assert result["failed"] and words in result["msg"]


def test_a_password_in_the_address_is_never_printed(store: Store) -> None:
    url = store.url.replace("http://", "http://user:hidden-word@") + "/none.zip"
    result = run_module("bundle_fetch_check", {"url": url}, verbosity=3)
    assert "hidden-word" not in json.dumps(result["findings"]) and said(result) == [("error", "bundle-missing")]


@pytest.mark.slow
def test_a_function_that_its_hook_cannot_use(store: Store, go_world: go_builds.GoWorld, tmp_path: Path) -> None:
    """The command to load plugins only looks the name up, so this gateway says that all is well."""
    program = tmp_path / "loads-everything"
    program.write_text("#!/bin/sh\necho loaded ok\n")
    program.chmod(0o755)
    content = Path(go_world.plugin("fetched", {}, {})).read_bytes()
    for name, code, words in (
        ("Hook", "plugin-symbol-missing", "Hook is func() string; as pre hook it has to be func(http.ResponseWriter, "),
        ("Setting", "plugin-symbol-missing", "Setting is a variable of type string; as pre hook it has to be func("),
    ):
        handle = io.BytesIO()
        manifest = {"file_list": [named("A")], "custom_middleware": {"driver": "goplugin", "pre": [hook("A", name)]}}
        build(handle, manifest, [Member(named("A"), content=content)])
        result = store.load(handle.getvalue(), binary=str(program))
        assert said(result) == [("error", code)], result
        assert words in result["findings"][0]["message"] and result["loaded"][0]["ok"] is False


def test_a_function_of_the_other_type_before_the_command_came(store: Store, tmp_path: Path) -> None:
    """There the gateway itself says what a function can be used for, so this works for any build."""
    program = tmp_path / "old"
    old_gateway.write(program, tmp_path / "log")
    files = {named("A", "4.3.8"): "response:One Two"}
    with_ = {"binary": str(program), "version": "4.3.8"}
    result = store.load(bundle(files, [hook("A", "Two")], response=[hook("A", "One")]), **with_)
    assert said(result) == [], result
    result = store.load(bundle(files, [hook("A", "One")], response=[hook("A", "Two")]), **with_)
    assert said(result) == [("error", "plugin-symbol-missing")] * 2
    messages = sorted(one["message"] for one in result["findings"])
    assert "One is func(http.ResponseWriter, *http.Response, *http.Request); as pre hook it has to be" in messages[0]
    assert "Two is func(http.ResponseWriter, *http.Request); as response hook it has to be" in messages[1]
