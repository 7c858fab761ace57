# Copyright (c) 2026 tyk.upgrade contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Plugins for arm64 really built on another machine, by the lab's compilers: with a C compiler for it, and without.

ARM64_COMPILERS: versions, separated by commas, to build with in place of the lab's target.
"""

from __future__ import annotations

import os
import platform
import shutil
import sys
from pathlib import Path
from typing import Any, Callable, Dict, Iterator, List

import pytest

pytestmark = [
    pytest.mark.engine,
    pytest.mark.slow,
    pytest.mark.skipif(
        platform.machine() != "x86_64", reason="arm64 is no other machine here, or not one with a cross compiler"
    ),
    pytest.mark.skipif(os.geteuid() != 0, reason="only root can make the lab's images"),
]

LAB = Path(__file__).resolve().parents[4] / "lab"
VERSIONS = os.environ.get("ARM64_COMPILERS", "5.8.9").split(",")
WITHOUT_CROSS = "4.3.8"
BUILD_ID = "t0123456789ab"
PLUGIN, FUNCTION = "HeaderPlugin", "AddLabHeader"

Compile = Callable[..., Dict[str, Any]]


@pytest.fixture(scope="module")
def lab() -> Iterator[Any]:
    """What makes the lab's images; those of a former run are used again."""
    sys.path.insert(0, str(LAB))
    try:
        from builder import Builder
        from engine import DockerEngine
        from stand_ins import StandIns

        client = DockerEngine.ensure()
        yield StandIns(Builder(client))
        client.close()
    finally:
        sys.path.remove(str(LAB))


@pytest.fixture(scope="module")
def source(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("source") / PLUGIN
    shutil.copytree(LAB / "plugins" / PLUGIN, folder)
    return folder


@pytest.fixture(scope="module")
def dest(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """One for all tests, so that what one has built is there for the next."""
    return tmp_path_factory.mktemp("out")


@pytest.fixture
def compile_for(run_module: Any, lab: Any, source: Path, dest: Path) -> Compile:
    def run(version: str, *archs: str, strip: bool = False) -> Dict[str, Any]:
        builds = [
            {
                "plugin": PLUGIN,
                "source": str(source),
                "version": version,
                "image": lab.compiler_with_cross(version),
                "goarch": arch,
                "build_id": BUILD_ID,
                "file": f"{PLUGIN}_v{version}_linux_{arch}.so",
                "strip": strip,
            }
            for arch in archs
        ]
        return dict(run_module("plugin_compile", builds=builds, dest=str(dest), cache_volumes=False))

    return run


def built(result: Dict[str, Any]) -> List[Dict[str, Any]]:
    assert result.get("failed") is None, result["msg"]
    return list(result["builds"])


@pytest.mark.parametrize("version", VERSIONS)
def test_both_machines_in_one_call(run_module: Any, compile_for: Compile, version: str) -> None:
    from builder import go_version

    builds = built(compile_for(version, "amd64", "arm64"))
    assert [one["goarch"] for one in builds] == ["amd64", "arm64"]
    assert builds[0]["sha256"] != builds[1]["sha256"]
    for one in builds:
        assert one["path"].endswith(f"/{PLUGIN}_v{version}_linux_{one['goarch']}.so")
        assert one["go_version"].startswith(f"go{go_version(version)}") and BUILD_ID in one["plugin_path"]
    assert builds[0]["plugin_path"] == builds[1]["plugin_path"], "no process can load both"

    looked = run_module("plugin_info", files=[{"path": one["path"], "symbols": [FUNCTION]} for one in builds])
    assert looked["findings"] == []
    for one, found in zip(builds, looked["results"]):
        assert (found["goos"], found["goarch"], found["class"], found["type"]) == ("linux", one["goarch"], 64, "shared")
        assert (found["plugin_path"], found["symbols"]) == (one["plugin_path"], [FUNCTION])
        assert "pre" in found["functions"][0]["kinds"] and found["libraries"] == ["libc.so.6"]

    again = built(compile_for(version, "arm64"))
    assert again[0]["cached"] is True and again[0]["sha256"] == builds[1]["sha256"]


@pytest.mark.parametrize("version", VERSIONS)
def test_the_strip_of_the_other_machine(run_module: Any, compile_for: Compile, version: str) -> None:
    (stripped,) = built(compile_for(version, "arm64", strip=True))
    assert stripped["size"] < stripped["size_unstripped"] and BUILD_ID in stripped["plugin_path"]
    (found,) = run_module("plugin_info", files=[{"path": stripped["path"], "symbols": [FUNCTION]}])["results"]
    assert (found["goarch"], found["stripped"], found["symbols"]) == ("arm64", True, [FUNCTION])


@pytest.mark.parametrize("version", VERSIONS)
def test_a_gateway_of_the_other_machine_is_told_so(
    run_module: Any, lab: Any, compile_for: Compile, version: str
) -> None:
    (one,) = built(compile_for(version, "arm64"))
    image = lab.gateway(version)
    compared = run_module("plugin_info", files=[{"path": one["path"]}], gateway={"image": image})
    assert [each["code"] for each in compared["findings"]] == ["plugin-arch"]
    assert run_module("plugin_info", files=[{"path": one["path"]}], goarch="arm64")["findings"] == []


@pytest.mark.parametrize("version", VERSIONS)
def test_a_build_for_another_machine_never_counts_as_loaded(
    run_module: Any, lab: Any, compile_for: Compile, version: str
) -> None:
    here, there = built(compile_for(version, "amd64", "arm64"))
    files = [{"path": one["path"], "symbols": [FUNCTION]} for one in (here, there)]
    checks = [{"image": lab.gateway(version), "version": version, "files": files}]
    failed = run_module("plugin_verify", checks=checks)
    assert failed["failed"] is True
    assert "is built for arm64 and this gateway for amd64, so it was not tried" in failed["msg"]
    assert [(one["code"], one["severity"]) for one in failed["findings"]] == [("plugin-arch", "error")]
    assert [(one["ok"], one["rc"], one["means"]) for one in failed["results"]] == [
        (True, 0, "plugin load"),
        (False, None, ""),
    ]

    left = run_module("plugin_verify", checks=checks, other_architectures="leave")
    assert left.get("failed") is None and left["findings"] == []
    assert [one["file"] for one in left["results"]] == [here["path"]]
    assert left["untried"] == [{"file": there["path"], "version": version, "goarch": "arm64"}]


@pytest.mark.parametrize("version", VERSIONS)
def test_a_gateway_on_arm64_loads_it(run_module: Any, lab: Any, compile_for: Compile, version: str) -> None:
    here, there = built(compile_for(version, "amd64", "arm64"))
    (stripped,) = built(compile_for(version, "arm64", strip=True))
    image = lab.gateway_arm64(version)

    def load(*paths: str, symbol: str = FUNCTION) -> Dict[str, Any]:
        hooks = [{"symbol": symbol, "kind": "pre"}]
        files = [{"path": path, "symbols": [symbol], "hooks": hooks} for path in paths]
        return dict(run_module("plugin_verify", checks=[{"image": image, "version": version, "files": files}]))

    for one in (there, stripped):
        loaded = load(one["path"])
        assert [(each["ok"], each["rc"], each["means"]) for each in loaded["results"]] == [(True, 0, "plugin load")]
        assert "loaded ok" in loaded["results"][0]["message"]
    refused = load(there["path"], symbol="Nobody")
    assert [one["code"] for one in refused["findings"]] == ["plugin-symbol-missing"]
    assert [one["code"] for one in load(here["path"])["findings"]] == ["plugin-arch"]
    both = load(there["path"], stripped["path"])
    assert [one["code"] for one in both["findings"]] == ["plugin-path-shared"]


@pytest.mark.skipif(os.path.exists("/proc/sys/fs/binfmt_misc/qemu-aarch64"), reason="this engine runs arm64")
def test_a_gateway_that_this_engine_cannot_run(
    run_module: Any, lab: Any, compile_for: Compile, session_bench: Any
) -> None:
    version = VERSIONS[-1]
    (one,) = built(compile_for(version, "arm64"))
    image = f"{session_bench.prefix}/gateway-arm64:v{version}"
    container = lab.builder.client.containers.create(lab.gateway_arm64(version))
    try:
        container.commit(*image.rsplit(":", 1), changes='ENTRYPOINT ["/opt/tyk-gateway/tyk"]')
    finally:
        container.remove(force=True)
    session_bench.images.append(image)
    files = [{"path": one["path"], "symbols": [FUNCTION]}]
    checks = [{"image": image, "version": version, "files": files}]
    failed = run_module("plugin_verify", checks=checks)
    assert [each["code"] for each in failed["findings"]] == ["plugin-arch"], failed
    assert "the gateway itself is built for another architecture than this host's" in failed["msg"]
    left = run_module("plugin_verify", checks=checks, other_architectures="leave")
    assert left["results"] == [] and [each["goarch"] for each in left["untried"]] == ["arm64"]


def test_a_compiler_without_a_c_compiler_for_it(compile_for: Compile, dest: Path) -> None:
    kept = set(dest.iterdir())
    result = compile_for(WITHOUT_CROSS, "arm64")
    assert result["failed"] is True
    assert 'C compiler "aarch64-linux-gnu-gcc" not found' in result["msg"]
    assert "This compiler image has no C compiler for that machine" in result["msg"]
    assert [one["code"] for one in result["findings"] if one["severity"] == "error"] == ["plugin-compile-failed"]
    assert {one for one in dest.iterdir() if not one.name.startswith(".")} <= kept
