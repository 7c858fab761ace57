# Copyright (c) 2026 tyk.upgrade contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""plugin_build_info, plugin_compile and plugin_verify on a real engine, with a compiler that needs no toolchain."""

from __future__ import annotations

import os
import time
from pathlib import Path
from typing import Any, Dict, List, Optional, Tuple

import pytest

from ansible_collections.tyk.upgrade.tests.unit.plugins import go_builds

pytestmark = pytest.mark.engine

GOOD = "package main\n\nfunc AddHeader() {}\n"


@pytest.fixture(scope="session")
def compiler(session_bench: Any) -> str:
    return str(
        session_bench.image(
            "v5.8.9",
            "ENV GITHUB_TAG=v5.8.9 GOPATH=/go HOME=/root PATH=/",
            'ENTRYPOINT ["/standin"]',
            repository="tyk-plugin-compiler",
        )
    )


@pytest.fixture
def source(tmp_path: Path) -> Path:
    folder = tmp_path / "HeaderPlugin"
    folder.mkdir()
    (folder / "main.go").write_text(GOOD)
    (folder / "go.mod").write_text("module header-plugin\n")
    return folder


@pytest.fixture(autouse=True)
def sweep_volumes(session_bench: Any, compiler: str) -> Any:
    yield
    short = session_bench.api.inspect_image(compiler)["Id"].split(":")[1][:12]
    for kind in ("gobuild", "gomod"):
        try:
            session_bench.api.remove_volume(f"tyk-upgrade-{kind}-{short}", force=True)
        except Exception:  # not every test builds
            continue


def build(source: Path, compiler: str, /, **changes: str) -> Dict[str, str]:
    return {
        "plugin": "HeaderPlugin",
        "source": str(source),
        "version": "5.8.9",
        "image": compiler,
        "build_id": "t0123456789ab",
        "file": "HeaderPlugin_v5.8.9_linux_amd64.so",
        **changes,
    }


def leftovers(bench: Any, label: str) -> List[Any]:
    """Containers that the module left of this test session's images; others may be at work on the same engine."""
    found = bench.api.containers(all=True, filters={"label": label})
    return [one for one in found if one["Image"] in bench.images or one["ImageID"] in bench.image_ids()]


def test_build_info(run_module: Any, source: Path, compiler: str, bench: Any) -> None:
    arguments = {
        "sources": [{"name": "HeaderPlugin", "path": str(source)}],
        "compilers": [{"version": "5.8.9", "image": compiler}],
    }
    result = run_module("plugin_build_info", **arguments)
    assert result["findings"] == []
    assert result["sources"][0]["module"] == "header-plugin"
    assert result["sources"][0]["go_files"] == 1
    image = bench.api.inspect_image(compiler)["Id"]
    assert result["compilers"] == [{"version": "5.8.9", "image": compiler, "id": image, "present": True}]
    (source / ".git").mkdir()
    (source / ".git" / "HEAD").write_text("x")
    (source / "main_test.go").write_text("broken")
    (source / "HeaderPlugin.so").write_text("old")
    assert run_module("plugin_build_info", **arguments)["sources"] == result["sources"]
    (source / "main.go").write_text(GOOD + "// changed\n")
    assert run_module("plugin_build_info", **arguments)["sources"][0]["digest"] != result["sources"][0]["digest"]


def test_build_info_of_compilers_with_an_environment(run_module: Any, compiler: str, bench: Any) -> None:
    image = bench.api.inspect_image(compiler)["Id"]

    def looked(version: str, **env: str) -> Dict[str, Any]:
        result = run_module("plugin_build_info", compilers=[{"version": version, "image": compiler}], env=env)
        assert "hidden-word" not in str(result)
        return dict(result)

    assert looked("5.8.9", GOPROXY="https://me:hidden-word@proxy")["compilers"][0]["id"] == image
    ids = [looked("5.8.9", GO_TIDY=value, TOKEN="hidden-word")["compilers"][0]["id"] for value in ("1", "2")]
    assert ids[0] != ids[1] and all(one.startswith(f"{image}+env:") for one in ids)
    (other,) = looked("5.3.0")["findings"]
    assert other["code"] == "compiler-unusable" and other["subject"] == compiler
    assert f"The image {compiler} says that it is the plugin compiler of 5.8.9" in other["message"]
    assert looked("5.3.0", GITHUB_TAG="v5.3.0")["findings"] == []


def test_build_info_findings(run_module: Any, tmp_path: Path) -> None:
    (tmp_path / "empty").mkdir()
    result = run_module(
        "plugin_build_info",
        sources=[{"name": "Empty", "path": str(tmp_path / "empty")}, {"name": "Gone", "path": str(tmp_path / "gone")}],
        compilers=[{"version": "5.8.9", "image": "127.0.0.1:1/none/compiler:v5.8.9"}],
    )
    assert [one["code"] for one in result["findings"]] == ["plugin-source-empty"] * 2 + ["compiler-missing"]
    assert result["compilers"][0]["present"] is False
    assert result["sources"] == []


def test_compile_then_cached(run_module: Any, source: Path, compiler: str, tmp_path: Path, bench: Any) -> None:
    builds = [build(source, compiler), build(source, compiler, goarch="arm64", file="HeaderPlugin_arm.so")]
    dest = str(tmp_path / "out")
    predicted = run_module("plugin_compile", check_mode=True, builds=builds, dest=dest)
    assert predicted["changed"] is True and not os.path.exists(dest)

    result = run_module("plugin_compile", builds=builds, dest=dest)
    assert result["changed"] is True, result
    assert [one["path"] for one in result["builds"]] == [one["path"] for one in predicted["builds"]]
    assert predicted["diff"] == result["diff"]
    first = result["builds"][0]
    assert first["plugin_path"] == "tyk.internal/tyk_plugint0123456789ab"
    assert first["go_version"] == "go1.24.11"
    assert first["cached"] is False
    assert os.path.basename(first["path"]) == "HeaderPlugin_v5.8.9_linux_amd64.so"
    assert leftovers(bench, "tyk.upgrade.compile") == []

    time.sleep(1.1)  # the engine's events are told apart by the second
    since = int(time.time())
    again = run_module("plugin_compile", builds=builds, dest=dest)
    assert again["changed"] is False
    assert [one["cached"] for one in again["builds"]] == [True, True]
    assert all(one["seconds"] < 1 for one in again["builds"])
    events = bench.api.events(since=since, until=int(time.time()) + 1, filters={"type": "container"}, decode=True)
    images = {compiler, *bench.image_ids()}
    assert [one["Action"] for one in events if one["Actor"]["Attributes"].get("image") in images] == []
    assert [one["sha256"] for one in again["builds"]] == [one["sha256"] for one in result["builds"]]

    (Path(first["path"])).write_bytes(b"damaged")
    repaired = run_module("plugin_compile", builds=builds, dest=dest)
    assert [one["cached"] for one in repaired["builds"]] == [False, True]
    other = run_module("plugin_compile", builds=[build(source, compiler)], dest=dest, env={"GOFLAGS": "-x"})
    assert other["changed"] is True


def test_caches_live_in_volumes_of_the_engine(
    run_module: Any, source: Path, compiler: str, tmp_path: Path, bench: Any
) -> None:
    builds = [build(source, compiler, build_id=f"t{number}", file=f"{number}.so") for number in range(4)]
    result = run_module("plugin_compile", builds=builds, dest=str(tmp_path / "out"), parallel=4)
    assert result["changed"] is True, result
    short = bench.api.inspect_image(compiler)["Id"].split(":")[1][:12]
    reader = bench.container(
        "reader",
        {
            "Image": compiler,
            "HostConfig": {"Binds": [f"tyk-upgrade-gobuild-{short}:/a", f"tyk-upgrade-gomod-{short}:/b"]},
        },
        start=False,
    )
    for folder in ("/a", "/b"):
        for number in range(4):
            bench.api.get_archive(reader, f"{folder}/t{number}")[0].close()


def test_a_module_cache_of_the_image_stays_there(run_module: Any, source: Path, bench: Any, tmp_path: Path) -> None:
    image = bench.image(
        "v5.3.0",
        "ENV GITHUB_TAG=v5.3.0 GOPATH=/go PATH=/",
        'ENTRYPOINT ["/standin"]',
        repository="tyk-plugin-compiler",
        folders=("go", "go/pkg", "go/pkg/mod", "go/pkg/mod/cache"),
    )
    short = bench.api.inspect_image(image)["Id"].split(":")[1][:12]
    for number in range(2):
        one = build(source, image, version="5.3.0", build_id=f"t{number}", file=f"{number}.so")
        assert run_module("plugin_compile", builds=[one], dest=str(tmp_path / "out"))["changed"] is True
    volumes = [one["Name"] for one in bench.api.volumes(filters={"name": short})["Volumes"]]
    assert volumes == [f"tyk-upgrade-gobuild-{short}"]
    bench.api.remove_volume(volumes[0])
    assert leftovers(bench, "tyk.upgrade.compile") == []


def test_two_plugins_must_not_share_a_plugin_path(run_module: Any, source: Path, compiler: str, tmp_path: Path) -> None:
    builds = [build(source, compiler), build(source, compiler, plugin="AuthPlugin", file="AuthPlugin.so")]
    result = run_module("plugin_compile", builds=builds, dest=str(tmp_path / "out"))
    assert [one["code"] for one in result["findings"]] == ["plugin-path-shared"]
    builds[1]["build_id"] = "tother"
    assert run_module("plugin_compile", builds=builds, dest=str(tmp_path / "out")).get("failed") is None


@pytest.mark.parametrize(
    "text, words",
    [
        ("BROKEN", "./main.go:8:14: syntax error: unexpected newline"),
        ("NOTHING", "left no plugin in /plugin-source"),
        ("WRONG_ARCH", "built for machine 8, not for amd64"),
        ("IGNORES_ID", "does not contain the build id t0123456789ab"),
        ("HANG", "was not done after 2 s"),
    ],
)
def test_failures(
    run_module: Any, source: Path, compiler: str, tmp_path: Path, bench: Any, text: str, words: str
) -> None:
    (source / "main.go").write_text(f"package main // {text}\n")
    dest = tmp_path / "out"
    result = run_module("plugin_compile", builds=[build(source, compiler)], dest=str(dest), timeout=2)
    assert result["failed"] is True and result["changed"] is False
    assert result["findings"][0]["code"] == "plugin-compile-failed"
    assert words in result["msg"]
    assert not list(dest.glob("*"))
    assert leftovers(bench, "tyk.upgrade.compile") == []
    (source / "main.go").write_text(GOOD)
    assert run_module("plugin_compile", builds=[build(source, compiler)], dest=str(dest))["changed"] is True


@pytest.mark.parametrize(
    "change, words",
    [
        ({"image": "127.0.0.1:1/none/compiler:v5.8.9"}, "127.0.0.1:1/none/compiler:v5.8.9 cannot be had"),
        ({"version": "5.8"}, "'5.8' is not a version"),
        ({"file": "../x.so"}, "is a path"),
        ({"source": "/nonexistent"}, "/nonexistent of the plugin HeaderPlugin does not exist"),
    ],
)
@pytest.mark.parametrize("check_mode", [False, True])
def test_refusals(
    run_module: Any, source: Path, compiler: str, tmp_path: Path, change: Dict[str, str], words: str, check_mode: bool
) -> None:
    result = run_module(
        "plugin_compile", check_mode=check_mode, builds=[build(source, compiler, **change)], dest=str(tmp_path / "out")
    )
    assert result["failed"] is True
    assert words in result["msg"]


OLD = ('ENTRYPOINT ["/standin"]', "ENV WITHOUT_COMMAND=1 TYK_GW_APPPATH=/nowhere TYK_GW_LISTENPORT=1 PATH=/")


@pytest.fixture(scope="session")
def oldest_image(session_bench: Any) -> str:
    """A gateway from before the command to load plugins came; its tag says so."""
    return str(session_bench.image("v4.3.8", *OLD))


@pytest.fixture(scope="session")
def nameless_image(session_bench: Any) -> str:
    """The same, with nothing that tells its version."""
    return str(session_bench.image("our-gateway", *OLD))


@pytest.fixture(scope="session")
def one_file_image(session_bench: Any) -> str:
    """A gateway whose command loads one file only."""
    return str(session_bench.image("v5.2.3", 'ENTRYPOINT ["/standin"]', "ENV ONE_FILE=1 PATH=/"))


@pytest.fixture
def plugins(tmp_path: Path) -> Any:
    """Write plugins of these texts and return what plugin_verify takes as files, each with its functions."""

    def write(*texts_and_symbols: Tuple[str, str]) -> List[Dict[str, Any]]:
        files = []
        for number, (text, symbols) in enumerate(texts_and_symbols):
            (tmp_path / str(number)).mkdir(exist_ok=True)
            path = tmp_path / str(number) / f"{'abc'[number]}.so"
            path.write_text(text)
            files.append({"path": str(path), "symbols": symbols.split()})
        return files

    return write


def outcome(result: Dict[str, Any]) -> List[Tuple[str, str, str, bool]]:
    return [
        (",".join(os.path.basename(path) for path in one["file"].split(",")), one["symbol"], one["means"], one["ok"])
        for one in result["results"]
    ]


COMMAND, GATEWAY = "plugin load", "throw-away gateway"


def test_verify(run_module: Any, new_image: str, plugins: Any, bench: Any) -> None:
    result = run_module("plugin_verify", checks=[{"image": new_image, "files": plugins((GOOD, "AddHeader"))}])
    assert result["changed"] is False, result
    assert outcome(result) == [("a.so", "AddHeader", COMMAND, True)]
    assert result["results"][0]["rc"] == 0
    assert leftovers(bench, "tyk.upgrade.verify") == []


def test_verify_loads_each_two_plugins_into_one_process(run_module: Any, new_image: str, plugins: Any) -> None:
    files = plugins((GOOD, "AddHeader"), ("func Other()", "Other"), (GOOD, "AddHeader"))
    result = run_module("plugin_verify", checks=[{"image": new_image, "files": files}])
    assert outcome(result)[3:] == [
        ("a.so,b.so", "AddHeader", COMMAND, True),
        ("a.so,c.so", "AddHeader", COMMAND, True),
        ("b.so,c.so", "Other", COMMAND, True),
    ], result


@pytest.mark.parametrize("version", [None, "5.8.9"], ids=["known", "wrong"])
def test_verify_opens_all_in_a_gateway_whose_command_takes_one_file(
    run_module: Any, one_file_image: str, plugins: Any, bench: Any, version: Optional[str]
) -> None:
    files = plugins((GOOD, "AddHeader"), ("func Other()", "Other"), (GOOD, "AddHeader"))
    check = {"image": one_file_image, "files": files, "version": version}
    result = run_module("plugin_verify", checks=[check])
    assert result.get("failed", False) is (version is not None), result
    if version is None:
        assert outcome(result)[3:] == [("a.so,b.so,c.so", "AddHeader", GATEWAY, True)]
    assert leftovers(bench, "tyk.upgrade.verify") == []


def test_verify_finds_out_that_the_command_takes_one_file(run_module: Any, session_bench: Any, plugins: Any) -> None:
    image = session_bench.image("our-newer-gateway", 'ENTRYPOINT ["/standin"]', "ENV ONE_FILE=1 PATH=/")
    files = plugins((GOOD, "AddHeader"), ("func Other()", "Other"))
    result = run_module("plugin_verify", checks=[{"image": image, "files": files}])
    assert outcome(result)[2:] == [("a.so,b.so", "AddHeader", GATEWAY, True)], result


@pytest.mark.parametrize("image", ["new_image", "one_file_image", "oldest_image"])
def test_verify_finds_plugins_that_clash(
    run_module: Any, plugins: Any, image: str, request: pytest.FixtureRequest
) -> None:
    files = plugins((GOOD, "AddHeader"), (GOOD + "SAME_PATH", "AddHeader"), (GOOD + "SAME_PATH", "AddHeader"))
    result = run_module("plugin_verify", checks=[{"image": request.getfixturevalue(image), "files": files}])
    assert [one["code"] for one in result["findings"]] == ["plugin-path-shared"], result
    assert "b.so with c.so" in result["msg"]
    assert [one["ok"] for one in result["results"]][:3] == [True] * 3
    checks = [{"image": request.getfixturevalue(image), "files": [file]} for file in files]
    assert run_module("plugin_verify", checks=checks).get("failed") is None, "each check is a gateway of its own"


def test_verify_in_a_gateway_without_the_command(run_module: Any, oldest_image: str, plugins: Any, bench: Any) -> None:
    files = plugins((GOOD, "AddHeader"), ("func Other()", "Other"))
    result = run_module("plugin_verify", checks=[{"image": oldest_image, "files": files}])
    assert outcome(result) == [("a.so", "AddHeader", GATEWAY, True), ("b.so", "Other", GATEWAY, True)], result
    assert leftovers(bench, "tyk.upgrade.verify") == []


@pytest.mark.parametrize(
    "version, means", [("4.0.16", [GATEWAY]), (None, [GATEWAY]), ("5.8.9", [COMMAND])], ids=["given", "asked", "wrong"]
)
def test_verify_chooses_by_the_version(
    run_module: Any, nameless_image: str, plugins: Any, version: Optional[str], means: List[str]
) -> None:
    checks = [{"image": nameless_image, "version": version, "files": plugins((GOOD, "AddHeader"))}]
    result = run_module("plugin_verify", checks=checks)
    assert [one["means"] for one in result["results"]] == means
    assert result.get("failed", False) is (means == [COMMAND])


def test_verify_refuses_a_version_that_is_none(run_module: Any, new_image: str, plugins: Any) -> None:
    checks = [{"image": new_image, "version": "5.8", "files": plugins((GOOD, "AddHeader"))}]
    assert "'5.8' is not a version" in run_module("plugin_verify", checks=checks)["msg"]


@pytest.mark.parametrize("image", ["new_image", "oldest_image"])
@pytest.mark.parametrize(
    "text, symbol, code, package, words, rc",
    [
        ("MISMATCH", "A", "plugin-mismatch", "github.com/sirupsen/logrus", "github.com/sirupsen/logrus", None),
        ("CRASH", "A", "plugin-crash", "", "no plugin module data", 2),
        (GOOD, "Nope", "plugin-symbol-missing", "", "symbol Nope not found", None),
    ],
)
def test_verify_failures(
    run_module: Any,
    plugins: Any,
    bench: Any,
    image: str,
    text: str,
    symbol: str,
    code: str,
    package: str,
    words: str,
    rc: Optional[int],
    request: pytest.FixtureRequest,
) -> None:
    files = plugins((text, symbol), (GOOD, "AddHeader"))
    result = run_module("plugin_verify", checks=[{"image": request.getfixturevalue(image), "files": files}])
    assert result["failed"] is True
    assert [one["code"] for one in result["findings"]] == [code], result
    assert result["results"][0]["package"] == package and result["results"][1]["ok"] is True
    assert rc is None or result["results"][0]["rc"] == rc
    assert words in result["msg"]
    assert leftovers(bench, "tyk.upgrade.verify") == []


@pytest.mark.slow
def test_verify_refuses_a_function_that_its_hooks_cannot_use(
    run_module: Any, new_image: str, oldest_image: str, plugins: Any, go_world: go_builds.GoWorld
) -> None:
    """The command only looks the name up. An older gateway says itself what the function can be used for."""
    (file,) = plugins((GOOD, "Hook"))
    with open(file["path"], "wb") as target:  # the gateway of these tests reads what it "loads" as text
        target.write(Path(go_world.plugin("verified", {}, {})).read_bytes() + b"func Hook()")
    hooks = [{"symbol": "Hook", "kind": "pre"}, {"symbol": "Hook", "kind": "response"}]
    result = run_module("plugin_verify", checks=[{"image": new_image, "files": [{**file, "hooks": hooks}]}])
    assert [one["code"] for one in result["findings"]] == ["plugin-symbol-missing"], result
    for words in ("Hook is func() string", "as pre hook it has to be func(http.R", "as response hook it has to be"):
        assert words in result["msg"]
    assert outcome(result) == [("a.so", "Hook", COMMAND, False)]
    (file,) = plugins((GOOD, "AddHeader"))
    for kind, failed in (("post", None), ("response", True)):
        hooks = [{"symbol": "AddHeader", "kind": kind}]
        result = run_module("plugin_verify", checks=[{"image": oldest_image, "files": [{**file, "hooks": hooks}]}])
        assert result.get("failed") is failed, result


def test_verify_names_each_cause_once(run_module: Any, new_image: str, plugins: Any) -> None:
    files = plugins(("MISMATCH", "AddHeader Nope"), (GOOD, "AddHeader Nope"))
    result = run_module("plugin_verify", checks=[{"image": new_image, "files": files}])
    assert [one["ok"] for one in result["results"]] == [False, False, True, False]
    assert [one["code"] for one in result["findings"]] == ["plugin-mismatch", "plugin-symbol-missing"]


def test_verify_refusals(run_module: Any, new_image: str, tmp_path: Path) -> None:
    missing = [{"image": new_image, "files": [{"path": "/nonexistent.so", "symbols": ["A"]}]}]
    assert "/nonexistent.so to be loaded does not exist" in run_module("plugin_verify", checks=missing)["msg"]
    (tmp_path / "a.so").write_text(GOOD)
    image = [{"image": "127.0.0.1:1/no/gw:v1", "files": [{"path": str(tmp_path / "a.so"), "symbols": ["A"]}]}]
    assert "127.0.0.1:1/no/gw:v1 cannot be had" in run_module("plugin_verify", checks=image)["msg"]
