# Copyright (c) 2026 tyk.upgrade contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""plugin_compile on a real engine with a compiler that needs no toolchain: where modules come from, what is left of
interrupted builds, too little room, stripping, and what is returned."""

from __future__ import annotations

import hashlib
import io
import json
import os
import shutil
import signal
import socket
import subprocess
import sys
import tarfile
import threading
import time
from pathlib import Path
from typing import Any, Dict, Iterator, List, Optional

import pytest

from ansible_collections.tyk.upgrade.plugins.module_utils._clients import build_room

pytestmark = pytest.mark.engine

HERE = Path(__file__).parent
GOOD = "package main\n\nfunc AddHeader() {}\n"
GO_MOD = "module header-plugin\n\ngo 1.19\n"
TYK_GO_MOD = "module github.com/TykTechnologies/tyk\n\nrequire github.com/sirupsen/logrus v1.9.0\n"


def made(session_bench: Any, tag: str, files: Dict[str, bytes]) -> str:
    """An image with these files, executable by whoever looks."""
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode="w") as archive:
        for folder in ("tmp", "go", "go/pkg", "go/pkg/mod", "plugin-source"):
            member = tarfile.TarInfo(folder)
            member.type, member.mode = tarfile.DIRTYPE, 0o755
            archive.addfile(member)
        for name, content in files.items():
            member = tarfile.TarInfo(name)
            member.size, member.mode = len(content), 0o755
            archive.addfile(member, io.BytesIO(content))
    repository = f"{session_bench.prefix}/plugin-compiler-{tag}"
    session_bench.api.import_image_from_data(
        buffer.getvalue(),
        repository=repository,
        tag="v5.3.0",
        changes=["ENV GOPATH=/go HOME=/root PATH=/bin", 'ENTRYPOINT ["/build.sh"]'],
    )
    session_bench.images.append(f"{repository}:v5.3.0")
    return f"{repository}:v5.3.0"


@pytest.fixture(scope="session")
def image(session_bench: Any, compiler_binary: bytes) -> str:
    files = {
        "build.sh": compiler_binary,
        "bin/strip": compiler_binary,
        "usr/local/go/VERSION": b"go1.21.13\ntime 2024-08-01T00:00:00Z\n",
        "go/src/github.com/TykTechnologies/tyk/go.mod": TYK_GO_MOD.encode(),
    }
    return made(session_bench, "full", files)


@pytest.fixture(scope="session")
def bare_image(session_bench: Any, compiler_binary: bytes) -> str:
    return made(session_bench, "bare", {"build.sh": compiler_binary})


@pytest.fixture(autouse=True)
def sweep(session_bench: Any, image: str, bare_image: str) -> Iterator[None]:
    yield
    for name in (image, bare_image):
        short = session_bench.api.inspect_image(name)["Id"].split(":")[1][:12]
        for volume in session_bench.api.volumes(filters={"name": short})["Volumes"] or []:
            session_bench.api.remove_volume(volume["Name"], force=True)


@pytest.fixture
def source(tmp_path: Path) -> Path:
    folder = tmp_path / "HeaderPlugin"
    folder.mkdir()
    (folder / "main.go").write_text(GOOD)
    (folder / "go.mod").write_text(GO_MOD)
    return folder


@pytest.fixture
def compile_it(run_module: Any, source: Path, image: str, tmp_path: Path) -> Any:
    def run(check_mode: bool = False, build: Optional[Dict[str, Any]] = None, **options: Any) -> Dict[str, Any]:
        one = {**arguments(source, image, tmp_path)["builds"][0], **(build or {})}
        options = {"dest": str(tmp_path / "out"), "cache_volumes": False, **options}
        return dict(run_module("plugin_compile", check_mode=check_mode, builds=[one], **options))

    return run


def arguments(source: Path, image: str, folder: Path, **options: Any) -> Dict[str, Any]:
    build = {
        "plugin": "HeaderPlugin",
        "source": str(source),
        "version": "5.3.0",
        "image": image,
        "build_id": "t0123456789ab",
        "file": "HeaderPlugin_v5.3.0_linux_amd64.so",
    }
    return {"builds": [build], "dest": str(folder / "out"), "cache_volumes": False, **options}


def only(result: Dict[str, Any]) -> Dict[str, Any]:
    assert result.get("failed") is None, result
    return dict(result["builds"][0])


def leftovers(bench: Any) -> List[str]:
    found = bench.api.containers(all=True, filters={"label": "tyk.upgrade.compile"})
    return [one["Names"][0] for one in found if one["ImageID"] in bench.image_ids()]


def whole(dest: Path) -> List[Path]:
    """The results in a folder, each proven to be whole; there must be nothing else under a name that is used."""
    found = []
    for folder in dest.glob("*") if dest.is_dir() else []:
        if folder.name.startswith("."):
            continue
        meta = json.loads((folder / "build.json").read_text())
        (result,) = folder.glob("*.so")
        assert hashlib.sha256(result.read_bytes()).hexdigest() == meta["sha256"]
        found.append(result)
    return found


# -- what the compiler gets --------------------------------------------------------------------------------------------


def test_the_source_is_prepared_and_the_folder_is_not(compile_it: Any, source: Path) -> None:
    (source / "go.mod").write_text(GO_MOD + "\nrequire github.com/TykTechnologies/tyk v5.3.0\n")
    before = {path: path.read_bytes() for path in source.iterdir()}
    output = only(compile_it())["output"]
    assert "GOTOOLCHAIN=local" in output
    (go_mod,) = [line for line in output if line.startswith("module ") and "|" in line]
    assert go_mod.startswith("module tyk.internal/tyk_plugint0123456789ab|")
    assert "require github.com/TykTechnologies/tyk v1.9.2-0." in go_mod
    assert before == {path: path.read_bytes() for path in source.iterdir()}


def test_gopath_compilers_may_complete_go_mod(compile_it: Any) -> None:
    old = {"GITHUB_TAG": "v4.3.8"}
    output = only(compile_it(build={"version": "4.3.8"}, env=old))["output"]
    assert "GOFLAGS=-mod=mod" in output
    assert any(line.startswith("module plugin_HeaderPlugint0123456789ab|") for line in output)
    output = only(compile_it(build={"version": "4.3.8"}, env={"GOFLAGS": "-x", **old}))["output"]
    assert "GOFLAGS=-x -mod=mod" in output


def test_another_machine_gets_a_c_compiler(compile_it: Any) -> None:
    output = only(compile_it(build={"goarch": "arm64"}))["output"]
    assert "CC=aarch64-linux-gnu-gcc" in output and "CGO_ENABLED=1" in output


@pytest.mark.parametrize("form", ["folder", "gopath", "tar", "tar.gz"])
def test_a_module_cache_is_handed_in(compile_it: Any, tmp_path: Path, form: str) -> None:
    cache = tmp_path / "cache-of-modules"
    downloads = cache / ("pkg/mod/cache" if form == "gopath" else "cache") / "download/rsc.io/quote/@v"
    downloads.mkdir(parents=True)
    (downloads / "v1.5.2.zip").write_bytes(b"z" * 1500)
    (downloads / "v1.5.2.mod").write_text("module rsc.io/quote\n")
    (downloads / "v1.5.2.lock").write_text("")
    (cache / "rsc.io/quote@v1.5.2").mkdir(parents=True)
    (cache / "rsc.io/quote@v1.5.2/quote.go").write_text("package quote")
    given = cache
    if form.startswith("tar"):
        given = tmp_path / f"modules.{form}"
        with tarfile.open(given, "w:gz" if form == "tar.gz" else "w") as archive:
            archive.add(cache, arcname="mod")
    output = only(compile_it(module_cache=str(given), network="none"))["output"]
    at = "/tmp/tyk-upgrade-modules/rsc.io/quote/@v/v1.5.2"
    assert f"/tmp/tyk-upgrade-modules: {at}.mod {at}.zip" in output
    assert "GOPROXY=file:///tmp/tyk-upgrade-modules,off" in output
    assert "GOSUMDB=off" in output
    assert "interfaces: 1" in output
    again = compile_it(module_cache=str(given), goproxy="https://modules.example.com")
    assert only(again)["cached"] is True, "where modules come from does not change what is built"


@pytest.mark.parametrize("what", ["gone", "no tar", "empty folder", "empty tar"])
def test_what_is_no_module_cache(compile_it: Any, tmp_path: Path, bench: Any, what: str) -> None:
    given = tmp_path / "given"
    if what == "no tar":
        given.write_text("x" * 2000)
    elif what == "empty folder":
        given.mkdir()
    elif what == "empty tar":
        with tarfile.open(given, "w") as archive:
            archive.add(HERE / "compiler.go", arcname="compiler.go")
    result = compile_it(module_cache=str(given))
    assert result["failed"] is True
    assert result["findings"][0]["code"] == "setting-invalid"
    assert f"The module cache {given}" in result["msg"]
    assert leftovers(bench) == [] and whole(tmp_path / "out") == []


def test_a_volume_with_modules_is_mounted_read_only(compile_it: Any, session_bench: Any) -> None:
    volume = session_bench.volume("modules")
    output = only(compile_it(module_volume=volume, cache_volumes=True))["output"]
    assert "module cache: open /go/pkg/mod/probe: read-only file system" in output


def test_a_password_for_the_proxy_is_masked(compile_it: Any, source: Path) -> None:
    given = {"goproxy": "https://me:s3cr3t-word@modules.example.com,direct", "env": {"HTTPS_PROXY": "http://a:0ther-word@p"}}
    result = compile_it(**given)
    assert "GOPROXY=https://me:********@modules.example.com,direct" in only(result)["output"]
    (source / "main.go").write_text("package main // SAY: cannot get https://me:s3cr3t-word@modules.example.com/x\n")
    failed = compile_it(**given)
    assert failed["failed"] is True
    for one in (result, failed):
        text = json.dumps({key: value for key, value in one.items() if key != "invocation"})
        assert "s3cr3t-word" not in text and "0ther-word" not in text


# -- what is returned --------------------------------------------------------------------------------------------------


def test_output_of_a_failure(compile_it: Any, source: Path) -> None:
    words = "main.go:4:2: no required module provides package rsc.io/quote; to add it:"
    (source / "main.go").write_text(f"package main // SAY: {words}\n")
    result = compile_it()
    assert words in result["msg"] and "goproxy" in result["msg"]
    assert words in result["builds"][0]["output"]


@pytest.mark.parametrize(
    ("name", "text", "words"),
    [
        ("main.go", "package foo\n", "do not belong to package main: main.go (foo)"),
        ("go.mod", "module a\n\ngo 1.22\n", "built with Go 1.21"),
        ("go.mod", "module a\n\nreplace b.c/d => ../d\n", "outside of the plugin's source"),
    ],
)
@pytest.mark.parametrize("check_mode", [False, True])
def test_bad_sources_start_nothing(
    compile_it: Any, source: Path, tmp_path: Path, name: str, text: str, words: str, check_mode: bool
) -> None:
    (source / name).write_text(text)
    result = compile_it(check_mode=check_mode)
    assert [one["code"] for one in result["findings"]] == ["plugin-source-invalid"]
    assert words in result["msg"]
    assert not (tmp_path / "out").exists()


def test_bad_sources_are_known_before_a_plan_is_made(run_module: Any, source: Path, image: str) -> None:
    given = {
        "sources": [{"name": "HeaderPlugin", "path": str(source)}],
        "compilers": [{"version": version, "image": image} for version in ("5.2.5", "5.3.0", "5.8.9")],
    }
    assert run_module("plugin_build_info", **given)["findings"] == []
    (source / "main.go").write_text("package foo\n")
    (source / "go.mod").write_text("module a\n\ngo 1.22\n")
    found = run_module("plugin_build_info", **given)
    assert [(one["severity"], one["subject"]) for one in found["findings"]] == [
        ("error", "HeaderPlugin"),
        ("warning", "HeaderPlugin for 5.2.5"),
        ("error", "HeaderPlugin for 5.3.0"),
    ]
    assert [one["plugin"] for one in found["sources"]] == ["HeaderPlugin"]
    given["compilers"][0]["version"] = "5.3"
    assert "'5.3' is not a version" in run_module("plugin_build_info", **given)["msg"]


def test_modules_in_other_versions_than_the_gateway_s(compile_it: Any, source: Path) -> None:
    (source / "main.go").write_text(
        GOOD + "// DEP: github.com/sirupsen/logrus v1.9.3\n// DEP: rsc.io/quote v1.5.2\n"
    )
    for cached in (False, True):
        result = compile_it()
        assert only(result)["cached"] is cached and result["changed"] is not cached
        assert [(one["code"], one["severity"]) for one in result["findings"]] == [("plugin-mismatch", "warning")]
        assert "github.com/sirupsen/logrus (v1.9.3, the gateway has v1.9.0)" in result["findings"][0]["message"]
        assert "rsc.io" not in result["findings"][0]["message"]


@pytest.mark.parametrize(
    ("version", "tag", "words"),
    [
        ("5.3.1", None, "called its result HeaderPlugin_v5.3.0_linux_amd64.so, so it is the plugin compiler of 5.3.0, not of 5.3.1"),
        ("5.3.0", "", "called its result HeaderPlugin__linux_amd64.so, which the plugin compiler of 5.3.0 calls HeaderPlugin_v5.3.0"),
        ("5.3.0", "v5.2.5", "says that it is the plugin compiler of 5.2.5 (GITHUB_TAG), not of 5.3.0"),
        ("5.8.9", "v5.8.9", "by go1.21.13; the gateway 5.8.9 is of Go 1.24 and ends when it opens the plugin"),
    ],
)
def test_the_compiler_of_another_version_is_not_believed_by_its_tag(
    compile_it: Any, bare_image: str, tmp_path: Path, bench: Any, version: str, tag: Optional[str], words: str
) -> None:
    build = {"version": version, "image": bare_image}
    result = compile_it(build=build, env={} if tag is None else {"GITHUB_TAG": tag})
    assert [one["code"] for one in result["findings"]] == ["compiler-unusable"], result
    assert f"The image {bare_image}" in result["msg"] and words in result["msg"]
    assert whole(tmp_path / "out") == [] and leftovers(bench) == []


def test_another_go_that_a_gateway_survives_is_left_to_the_load_test(compile_it: Any, bare_image: str) -> None:
    result = compile_it(build={"version": "5.6.0", "image": bare_image}, env={"GITHUB_TAG": "v5.6.0"})
    assert only(result)["go_version"] == "go1.21.13"
    assert [(one["code"], one["severity"]) for one in result["findings"]] == [("plugin-go-version", "warning")]
    assert "the gateway 5.6.0 is of Go 1.22 and refuses the plugin" in result["findings"][0]["message"]


def test_a_result_of_another_toolchain_is_refused(compile_it: Any, source: Path, tmp_path: Path) -> None:
    (source / "main.go").write_text(GOOD + "// OTHER_GO\n")
    result = compile_it()
    assert "built with go1.22.5, but the image brings go1.21.13" in result["msg"]
    assert whole(tmp_path / "out") == []


def test_strip(compile_it: Any, bare_image: str, bench: Any, tmp_path: Path) -> None:
    full = only(compile_it())
    assert full["size_unstripped"] is None and full["strip"] is False
    predicted = compile_it(check_mode=True, build={"strip": True})
    assert predicted["changed"] is True
    stripped = only(compile_it(build={"strip": True}))
    assert stripped["path"] == predicted["builds"][0]["path"] != full["path"]
    assert stripped["size_unstripped"] == full["size"] == stripped["size"] + (1 << 20)
    assert os.path.getsize(stripped["path"]) == stripped["size"]
    assert stripped["output"] == [], "the whole one was there already"
    again = compile_it(build={"strip": True})
    assert again["changed"] is False and only(again)["size_unstripped"] == full["size"]
    failed = compile_it(build={"strip": True, "image": bare_image})
    assert "strip could not be started" in failed["msg"]
    assert leftovers(bench) == []
    assert len(whole(tmp_path / "out")) == 3, "whole, stripped, and the whole one of the other image"


@pytest.mark.skipif(os.geteuid() != 0, reason="only root can give files away")
def test_results_belong_to_whom_the_folder_belongs(compile_it: Any, tmp_path: Path) -> None:
    (tmp_path / "out").mkdir()
    os.chown(tmp_path / "out", 12345, 23456)
    path = Path(only(compile_it())["path"])
    for one in (path, path.parent, path.parent / "build.json"):
        assert (one.stat().st_uid, one.stat().st_gid) == (12345, 23456)
    assert path.stat().st_mode & 0o777 == 0o644


# -- too little room ---------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("check_mode", [False, True])
def test_too_little_memory_is_refused_before_anything_starts(
    compile_it: Any, monkeypatch: pytest.MonkeyPatch, tmp_path: Path, check_mode: bool
) -> None:
    result = compile_it(check_mode=check_mode, memory="512m")
    assert [one["code"] for one in result["findings"]] == ["memory-small"]
    assert "limited to 512 MiB" in result["msg"]
    monkeypatch.setattr(build_room, "MEMORY", 1 << 60)
    assert "memory; a first build takes up to" in compile_it(check_mode=check_mode)["msg"]
    assert not (tmp_path / "out").exists()


def test_a_build_that_takes_more_memory_than_it_may(compile_it: Any, source: Path, bench: Any, tmp_path: Path) -> None:
    (source / "main.go").write_text(GOOD + "// EAT\n")
    result = compile_it(memory="768m")
    assert [one["code"] for one in result["findings"]] == ["memory-small"]
    assert "was killed for want of memory" in result["msg"]
    assert leftovers(bench) == [] and whole(tmp_path / "out") == []


def test_no_more_at_once_than_the_memory_bears(
    run_module: Any, bench: Any, source: Path, image: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(build_room, "MEMORY", int(bench.api.info()["MemTotal"] * 0.8))
    (source / "main.go").write_text(GOOD + "// SLOW\n")
    given = arguments(source, image, tmp_path, parallel=3)
    given["builds"] = [{**given["builds"][0], "build_id": f"t{number}"} for number in range(3)]
    time.sleep(1.1)  # the engine's events are told apart by the second
    since = time.time()
    result = run_module("plugin_compile", **given)
    assert result["changed"] is True, result
    assert ["Only 1 of 3 builds ran at the same time" in one["message"] for one in result["findings"]] == [True]
    events = bench.api.events(since=int(since), until=int(time.time()) + 1, filters={"type": "container"}, decode=True)
    mine = [one["Action"] for one in events if one["Actor"]["Attributes"].get("image") in bench.image_ids()]
    assert [action for action in mine if action in ("start", "die")] == ["start", "die"] * 3


@pytest.mark.skipif(os.geteuid() != 0, reason="only root can mount")
def test_a_full_disk(compile_it: Any, tmp_path: Path, bench: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    small = tmp_path / "small"
    small.mkdir()
    mount = ["mount", "-t", "tmpfs", "-o", "size=512k", "tmpfs", str(small)]
    if subprocess.run(mount, check=False, capture_output=True).returncode != 0:
        pytest.skip("this root may not mount")
    try:
        for check_mode in (True, False):
            early = compile_it(check_mode=check_mode, dest=str(small))
            assert [one["code"] for one in early["findings"]] == ["disk-small"]
        monkeypatch.setattr(build_room, "RESULT", 0)
        late = compile_it(dest=str(small))
        assert [one["code"] for one in late["findings"]] == ["disk-small"]
        assert "No space left on device" in late["msg"]
        assert list(small.iterdir()) == []
    finally:
        subprocess.run(["umount", str(small)], check=True)
    assert leftovers(bench) == []


FULL = "write /var/lib/docker/tmp/x: no space left on device"


@pytest.mark.parametrize("call", ["create_container_from_config", "put_archive", "start"])
def test_a_full_disk_of_the_engine(
    compile_it: Any, bench: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, call: str
) -> None:
    import docker

    def refuse(*_unused: Any, **_more: Any) -> None:
        raise docker.errors.APIError("500 Server Error", explanation=FULL)

    monkeypatch.setattr(docker.APIClient, call, refuse)
    result = compile_it()
    assert [one["code"] for one in result["findings"]] == ["disk-small"]
    assert FULL in result["msg"] and "docker system df" in result["msg"]
    monkeypatch.undo()
    assert whole(tmp_path / "out") == [] and leftovers(bench) == []


def test_a_compiler_that_finds_its_disk_full(compile_it: Any, source: Path) -> None:
    (source / "main.go").write_text("package main // SAY: mv: error writing '/plugin-source/P.so': No space left on device\n")
    result = compile_it()
    assert [one["code"] for one in result["findings"]] == ["disk-small"]
    assert "/plugin-source/P.so" in result["msg"] and "Free space" in result["msg"]


@pytest.mark.parametrize("in_stream", [True, False])
def test_an_engine_without_room_for_the_compiler(
    compile_it: Any, run_module: Any, monkeypatch: pytest.MonkeyPatch, in_stream: bool
) -> None:
    import docker

    def pull(*_unused: Any, **_more: Any) -> Iterator[Dict[str, str]]:
        if not in_stream:
            raise docker.errors.APIError("500 Server Error", explanation=FULL)
        return iter([{"status": "Pulling"}, {"error": f"failed to register layer: {FULL}"}])

    monkeypatch.setattr(docker.APIClient, "pull", pull)
    image = "127.0.0.1:1/none/compiler:v5.3.0"
    compiled = compile_it(build={"image": image})
    looked = run_module("plugin_build_info", compilers=[{"version": "5.3.0", "image": image}])
    for result in (compiled, looked):
        assert [one["code"] for one in result["findings"]] == ["disk-small"], result
        assert image in result["findings"][0]["message"] and FULL in result["findings"][0]["message"]


def test_a_folder_that_cannot_be_made(compile_it: Any, tmp_path: Path) -> None:
    (tmp_path / "file").write_text("x")
    result = compile_it(dest=str(tmp_path / "file" / "out"))
    assert result["findings"][0]["code"] == "setting-invalid"
    assert "Not a directory" in result["msg"]


# -- interruptions -----------------------------------------------------------------------------------------------------


class Remote:
    """A Docker engine behind a TCP address, which can go away in the middle of something."""

    def __init__(self, path: str = "/var/run/docker.sock") -> None:
        self.path = path
        self.server = socket.create_server(("127.0.0.1", 0))
        self.address = f"tcp://127.0.0.1:{self.server.getsockname()[1]}"
        self.open: List[socket.socket] = [self.server]
        threading.Thread(target=self._serve, daemon=True).start()

    def _serve(self) -> None:
        while True:
            try:
                client, _unused = self.server.accept()
            except OSError:
                return
            engine = socket.socket(socket.AF_UNIX)
            engine.connect(self.path)
            self.open += [client, engine]
            for source, target in ((client, engine), (engine, client)):
                threading.Thread(target=self._pump, args=(source, target), daemon=True).start()

    @staticmethod
    def _pump(source: socket.socket, target: socket.socket) -> None:
        try:
            while True:
                block = source.recv(65536)
                if not block:
                    target.shutdown(socket.SHUT_WR)
                    return
                target.sendall(block)
        except OSError:
            return

    def die(self) -> None:
        for one in self.open:
            try:
                one.shutdown(socket.SHUT_RDWR)
            except OSError:
                pass
            one.close()


@pytest.fixture
def remote() -> Iterator[Remote]:
    if not os.path.exists("/var/run/docker.sock"):
        pytest.skip("the engine is not where it usually listens")
    found = Remote()
    yield found
    found.die()


def test_a_remote_engine(compile_it: Any, remote: Remote, tmp_path: Path) -> None:
    result = compile_it(docker_host=remote.address, build={"strip": True})
    assert only(result)["size"] < only(result)["size_unstripped"]
    assert len(whole(tmp_path / "out")) == 2


def test_the_engine_goes_away_in_the_middle(
    compile_it: Any, remote: Remote, bench: Any, source: Path, tmp_path: Path
) -> None:
    (source / "main.go").write_text(GOOD + "// HANG\n")

    def cut() -> None:
        while not any(one["State"] == "running" for one in running(bench)):
            time.sleep(0.05)
        remote.die()

    threading.Thread(target=cut, daemon=True).start()
    result = compile_it(docker_host=remote.address)
    assert [one["code"] for one in result["findings"]] == ["engine-unreachable"]
    assert "was interrupted" in result["msg"] and "run again" in result["msg"]
    assert list((tmp_path / "out").iterdir()) == []
    assert len(leftovers(bench)) == 1, "nobody could remove it"
    compile_it(timeout=1)
    assert leftovers(bench) == [], "the next run of the same build does"


def test_a_compiler_that_is_stopped_by_others(compile_it: Any, bench: Any, source: Path, tmp_path: Path) -> None:
    (source / "main.go").write_text(GOOD + "// HANG\n")

    def stop() -> None:
        while not running(bench):
            time.sleep(0.05)
        bench.api.kill(running(bench)[0]["Id"])

    threading.Thread(target=stop, daemon=True).start()
    result = compile_it()
    assert [one["code"] for one in result["findings"]] == ["plugin-compile-failed"]
    assert "was ended from outside (exit code 137)" in result["msg"]
    assert leftovers(bench) == [] and whole(tmp_path / "out") == []


def running(bench: Any) -> List[Dict[str, Any]]:
    found = bench.api.containers(filters={"label": "tyk.upgrade.compile"})
    return [one for one in found if one["ImageID"] in bench.image_ids()]


@pytest.mark.slow
def test_killed_at_any_moment(compile_it: Any, bench: Any, source: Path, image: str, tmp_path: Path) -> None:
    """The module as a process of its own, killed later each time: what is there afterwards is whole, or not there."""
    (source / "main.go").write_text(GOOD + "// SLOW\n")
    begun = time.monotonic()
    assert in_a_process(arguments(source, image, tmp_path / "undisturbed")) == 0
    takes = time.monotonic() - begun
    ended = []
    for step in range(10):
        begun = time.monotonic()
        ended.append(in_a_process(arguments(source, image, tmp_path), kill_after=takes * (0.25 + step * 0.09)))
        if ended[-1] == 0:  # the machine has more time for it than it had before
            takes = min(takes, time.monotonic() - begun)
        for result in whole(tmp_path / "out"):
            shutil.rmtree(result.parent)  # killed after the rename
    assert ended.count(-signal.SIGKILL) >= 4, (takes, ended)
    assert only(compile_it())["cached"] is False
    assert only(compile_it())["cached"] is True
    assert leftovers(bench) == []
    assert [one.name for one in (tmp_path / "out").iterdir() if one.name.endswith(".part")] == []


def in_a_process(given: Dict[str, Any], kill_after: Optional[float] = None) -> int:
    process = subprocess.Popen(
        [sys.executable, "-m", "ansible_collections.tyk.upgrade.plugins.modules.plugin_compile"],
        stdin=subprocess.PIPE,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
        env={**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)},
    )
    assert process.stdin is not None
    process.stdin.write(json.dumps({"ANSIBLE_MODULE_ARGS": given}).encode())
    process.stdin.close()
    try:
        return process.wait(kill_after)
    except subprocess.TimeoutExpired:
        process.send_signal(signal.SIGKILL)
        return process.wait()


def test_containers_of_killed_runs_go_when_their_time_is_over(compile_it: Any, bench: Any, image: str) -> None:
    for name, until in (("old", time.time() - 5), ("young", time.time() + 500)):
        labels = {"tyk.upgrade.compile": "another", "tyk.upgrade.compile.until": str(int(until))}
        bench.container(f"compile-{name}", {"Image": image, "Labels": labels}, start=False)
    only(compile_it())
    assert [name.rpartition("-")[2] for name in leftovers(bench)] == ["young"]


PROXY = "http://user:hidden-word@127.0.0.1:1"


def test_secrets_stay_hidden_when_it_fails_at_once(run_module: Any, source: Path, image: str, tmp_path: Path) -> None:
    given = arguments(source, image, tmp_path, goproxy=PROXY, env={"GITHUB_TOKEN": "hidden-token", "GO_TIDY": "1"})
    result = run_module("plugin_compile", **given, docker_host=f"unix://{tmp_path}/nothing.sock")
    assert result["failed"] and result["invocation"]["module_args"]["env"]["GO_TIDY"] == "1"
    assert "hidden-word" not in json.dumps(result) and "hidden-token" not in json.dumps(result)


def test_one_image_for_two_versions_gives_each_a_result(
    run_module: Any, source: Path, image: str, tmp_path: Path
) -> None:
    given = arguments(source, image, tmp_path)
    (one,) = given["builds"]
    one, other = ({**one, "version": version, "file": f"HeaderPlugin_v{version}.so"} for version in ("4.0.15", "4.0.16"))
    result = run_module("plugin_compile", **{**given, "builds": [one, other]})
    assert not result.get("failed"), result
    assert [Path(build["path"]).name for build in result["builds"]] == [one["file"], other["file"]]
    assert all(Path(build["path"]).is_file() for build in result["builds"])
