# Copyright (c) 2026 tyk.upgrade contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""plugin_info against Go itself: what it says of plugins that Go built, and whether the gateway then opens them."""

from __future__ import annotations

import shutil
import struct
import subprocess
from pathlib import Path
from typing import Any, Dict, List

import pytest

from ansible_collections.tyk.upgrade.plugins.module_utils._clients.elf import BUILD_INFO_MAGIC
from ansible_collections.tyk.upgrade.tests.unit.plugins import go_builds
from ansible_collections.tyk.upgrade.tests.unit.plugins.modules.module_runner import run_failing, run_module

pytestmark = pytest.mark.slow

DEP = {"example.com/dep": 'dep.Hello("x")'}
CTX = {"example.com/gateway/ctx": 'ctx.Get("x")'}
ONLY = {"example.com/only": "only.Of()"}
DEP_1 = {"example.com/dep": "v1.0.0"}


@pytest.fixture(scope="session")
def plugins(go_world: go_builds.GoWorld) -> Dict[str, str]:
    """Plugins by what is special about them."""
    go_world.write_gateway("changed-gateway", go_builds.CTX + "\n// More is not in the gateway.\nfunc More() {}\n")
    built = {
        "good": go_world.plugin("good", {**DEP, **CTX}, DEP_1),
        "newer": go_world.plugin("newer", DEP, {"example.com/dep": "v1.1.0"}),
        "untrimmed": go_world.plugin("untrimmed", DEP, DEP_1, flags=[]),
        "bare": go_world.plugin("bare", DEP, DEP_1, flags=["-trimpath", "-ldflags=-s -w"]),
        "harmless": go_world.plugin(
            "harmless", {"example.com/extra/b": "b.Version()"}, {"example.com/extra": "v1.1.0"}
        ),
        "changed": go_world.plugin("changed", CTX, {}, gateway="changed-gateway"),
        "one": go_world.plugin("one", ONLY, {"example.com/only": "v1.0.0"}),
        "two": go_world.plugin("two", ONLY, {"example.com/only": "v1.1.0"}),
        "gopath": go_world.in_gopath("gopath"),
    }
    shutil.copy(built["good"], go_world.folder / "copy.so")
    return {**built, "copy": str(go_world.folder / "copy.so")}


def look(go_world: go_builds.GoWorld, *paths: str, **more: Any) -> Dict[str, Any]:
    gateway = {"path": go_world.gateway, **more}
    return run_module("plugin_info", {"files": [{"path": path} for path in paths], "gateway": gateway})


def codes(result: Dict[str, Any]) -> List[str]:
    return [finding["code"] for finding in result["findings"]]


def test_what_a_plugin_is(go_world: go_builds.GoWorld, plugins: Dict[str, str]) -> None:
    result = run_module("plugin_info", {"files": [{"path": plugins["good"], "symbols": ["Hook"]}]}, check=True)
    assert result["changed"] is False and result["findings"] == [] and "gateway" not in result
    (one,) = result["results"]
    command = [str(go_builds.GO), "version", "-m", plugins["good"]]
    said = subprocess.run(command, capture_output=True, text=True, check=True).stdout
    assert said.startswith(f"{plugins['good']}: {one['go_version']}\n")
    assert f"\tdep\t{one['modules'][0]['path']}\t{one['modules'][0]['version']}" in said
    for name, value in one["settings"].items():
        assert f"\tbuild\t{name}={value}\n" in said
    assert said.count("\tdep\t") == len(one["modules"]) == 2
    assert (one["readable"], one["fits"], one["class"], one["type"], one["goos"]) == (True, True, 64, "shared", "linux")
    assert one["goarch"] == one["settings"]["GOARCH"]
    assert one["plugin_path"] == one["module"] == "tyk.internal/tyk_plugingood"
    assert one["symbols"] == ["Another", "Hook"]
    assert [(each["name"], each["type"], each["variable"]) for each in one["functions"]] == [
        ("Another", "func()", False),
        ("Hook", "func() string", False),
        ("Setting", "string", True),
    ]
    assert one["libraries"] == ["libc.so.6"] and f"GLIBC_{one['glibc']}" in one["glibc_versions"]
    assert one["size"] == Path(plugins["good"]).stat().st_size
    assert one["stripped"] is False and one["differences"] is None


def test_readelf_says_the_same(plugins: Dict[str, str]) -> None:
    if shutil.which("readelf") is None:
        pytest.skip("no readelf")
    (one,) = run_module("plugin_info", {"files": [{"path": plugins["good"]}]})["results"]
    done = subprocess.run(["readelf", "-W", "-V", "--dyn-syms", plugins["good"]], capture_output=True, check=True)
    said = done.stdout.decode("utf-8", "replace")
    needed = said.partition("version_r")[2].partition("\n\n")[0]
    assert {word for word in needed.split() if word.startswith("GLIBC_")} == set(one["glibc_versions"])
    assert said.count("go:link.pkghashbytes.") == one["packages"]


@pytest.mark.parametrize(
    "name, code, words",
    [
        ("good", "", ""),
        ("bare", "", ""),
        ("harmless", "", ""),
        ("one", "", ""),
        ("two", "", ""),
        ("newer", "plugin-mismatch", "of a module that both use: example.com/dep v1.1.0 instead of v1.0.0."),
        ("untrimmed", "plugin-mismatch", "built without -trimpath and"),
        ("changed", "plugin-mismatch", "other sources of the gateway's own packages than"),
    ],
)
def test_the_gateway_agrees(
    go_world: go_builds.GoWorld, plugins: Dict[str, str], name: str, code: str, words: str
) -> None:
    result = look(go_world, plugins[name])
    assert codes(result) == ([code] if code else [])
    assert not code or words in result["findings"][0]["message"]
    assert result["results"][0]["fits"] is not bool(code)
    said = go_world.load(plugins[name])
    assert (said == ["ok"]) is result["results"][0]["fits"], said
    for package in result["results"][0]["differences"]["packages"]:
        assert f"different version of package {package}" in said[0]


def test_only_differences_that_matter(go_world: go_builds.GoWorld, plugins: Dict[str, str]) -> None:
    result = look(go_world, plugins["harmless"], plugins["newer"])
    harmless, newer = result["results"]
    of_gateway = {module["path"]: module["version"] for module in result["gateway"]["modules"]}
    assert {"path": "example.com/extra", "version": "v1.1.0"}.items() <= harmless["modules"][0].items()
    assert of_gateway["example.com/extra"] == "v1.0.0"
    assert harmless["differences"] == {"modules": [], "packages": [], "exact": True}
    assert newer["differences"] == {
        "modules": [{"path": "example.com/dep", "plugin": "v1.1.0", "gateway": "v1.0.0"}],
        "packages": ["example.com/dep"],
        "exact": True,
    }


def test_plugins_that_exclude_each_other(go_world: go_builds.GoWorld, plugins: Dict[str, str]) -> None:
    pair = [plugins["one"], plugins["two"]]
    result = look(go_world, *pair)
    assert codes(result) == ["plugin-mismatch"]
    assert "one.so and two.so were built with different versions of packages" in result["findings"][0]["message"]
    assert [one["fits"] for one in result["results"]] == [True, False]
    assert go_world.load(*pair)[0] == "ok" and "package example.com/only" in go_world.load(*pair)[1]
    pair = [plugins["good"], plugins["copy"]]
    result = look(go_world, *pair)
    assert codes(result) == ["plugin-path-shared"]
    assert go_world.load(*pair)[0] == "ok" and "plugin already loaded" in go_world.load(*pair)[1]
    pair = [plugins["good"], plugins["bare"]]
    assert codes(look(go_world, *pair)) == []
    assert go_world.load(*pair) == ["ok", "ok"]


def test_a_build_in_a_gopath_tells_its_path_and_functions(plugins: Dict[str, str]) -> None:
    (one,) = run_module("plugin_info", {"files": [{"path": plugins["gopath"]}]})["results"]
    assert (one["plugin_path"], one["symbols"], one["modules"]) == ("plugin_gopath", ["Another", "Hook"], [])


def as_go_1_19_left_it(plugin: str, target: Path) -> str:
    """The plugin without build information: Go's linker gave it to plugins from 1.20 on."""
    content = Path(plugin).read_bytes()
    assert BUILD_INFO_MAGIC in content and b".go.buildinfo\0" in content
    target.write_bytes(content.replace(BUILD_INFO_MAGIC, bytes(14)).replace(b".go.buildinfo\0", b".nothing.here\0"))
    return str(target)


def test_plugins_of_go_before_1_20(go_world: go_builds.GoWorld, plugins: Dict[str, str], tmp_path: Path) -> None:
    names = ["good", "bare", "newer", "gopath"]
    old = {name: as_go_1_19_left_it(plugins[name], tmp_path / f"{name}.so") for name in names}
    now = look(go_world, *(plugins[name] for name in names))["results"]
    result = look(go_world, *old.values())
    for name, before, after in zip(names, now, result["results"]):
        version = "" if name == "bare" else before["go_version"]
        assert (after["go_version"], after["fits"]) == (version, name in ("good", "bare")), name
        for key in ("plugin_path", "symbols", "modules", "glibc", "packages"):
            assert after[key] == before[key], (name, key)
    assert go_world.load(old["good"], old["bare"]) == ["ok", "ok"]
    assert codes(result) == ["plugin-mismatch", "plugin-mismatch"]
    assert "example.com/dep v1.1.0 instead of v1.0.0" in result["findings"][0]["message"]
    assert "gopath.so was built without -trimpath" in result["findings"][1]["message"]


@pytest.mark.parametrize(
    "name, words",
    [
        ("Nope", "Export a function of that name"),
        ("hook", "Write Hook in the bundle's manifest"),
        ("hidden", "begin with a capital letter"),
        ("Setting", "Export a function of that name"),
    ],
)
def test_functions_that_hooks_name(plugins: Dict[str, str], name: str, words: str) -> None:
    result = run_module("plugin_info", {"files": [{"path": plugins["good"], "symbols": ["Hook", name]}]})
    assert codes(result) == ["plugin-symbol-missing"]
    assert f"good.so has no function {name}; it exports Another, Hook." in result["findings"][0]["message"]
    assert words in result["findings"][0]["remedy"]
    assert result["results"][0]["fits"] is False


@pytest.mark.parametrize(
    "symbol, kind, words",
    [
        ("Hook", "pre", "that its hooks can use: Hook is func() string; as pre hook it has to be func(http.R"),
        ("Another", "response", "Another is func(); as response hook it has to be func(http.ResponseWriter, *http.Resp"),
        ("Setting", "post", "Setting is a variable of type string; as post hook it has to be func(http.R"),
        ("Nope", "pre", "has no function Nope; it exports Another, Hook."),
    ],
)
def test_functions_that_hooks_cannot_use(plugins: Dict[str, str], symbol: str, kind: str, words: str) -> None:
    file = {"path": plugins["good"], "symbols": [symbol], "hooks": [{"symbol": symbol, "kind": kind}]}
    result = run_module("plugin_info", {"files": [file]})
    assert codes(result) == ["plugin-symbol-missing"]
    assert words in result["findings"][0]["message"]
    assert result["results"][0]["fits"] is False and result["results"][0]["functions"][0]["kinds"] == []


def test_another_architecture(go_world: go_builds.GoWorld, plugins: Dict[str, str], tmp_path: Path) -> None:
    content = bytearray(Path(plugins["good"]).read_bytes())
    content[18:20] = struct.pack("<H", 183)
    (tmp_path / "arm.so").write_bytes(content)
    arch = run_module("plugin_info", {"files": [{"path": plugins["good"]}]})["results"][0]["goarch"]
    result = look(go_world, str(tmp_path / "arm.so"))
    assert codes(result) == ["plugin-arch"]
    assert (
        f"arm.so is built for linux/arm64, and {go_world.gateway} is linux/{arch}." == result["findings"][0]["message"]
    )
    given = {"files": [{"path": str(tmp_path / "arm.so")}], "goarch": arch}
    assert codes(run_module("plugin_info", given)) == ["plugin-arch"]
    assert codes(run_module("plugin_info", {**given, "goarch": "arm64"})) == []


def test_the_c_library(go_world: go_builds.GoWorld, plugins: Dict[str, str]) -> None:
    old = look(go_world, plugins["good"], glibc="2.3")
    assert codes(old) == ["plugin-glibc"] and old["results"][0]["fits"] is False
    needed = old["results"][0]["glibc"]
    assert f"needs version {needed} of the C library, and {go_world.gateway} has 2.3." in old["findings"][0]["message"]
    assert codes(look(go_world, plugins["good"], glibc=needed)) == []
    host = look(go_world, plugins["good"], glibc="host")
    assert codes(host) == []
    said = subprocess.run(["ldd", "--version"], capture_output=True, text=True, check=True).stdout.splitlines()[0]
    assert said.endswith(f" {host['gateway']['glibc']}")


def test_what_is_no_plugin(go_world: go_builds.GoWorld, plugins: Dict[str, str], tmp_path: Path) -> None:
    whole = Path(plugins["good"]).read_bytes()
    cut = tmp_path / "cut.so"
    cut.write_bytes(whole[: len(whole) // 2])
    damaged = tmp_path / "damaged.so"
    damaged.write_bytes(whole[:4096] + bytes(byte ^ 0x55 for byte in whole[4096 : 1 << 20]) + whole[1 << 20 :])
    macos = tmp_path / "macos.so"
    macos.write_bytes(b"\xcf\xfa\xed\xfe\x0c\x00\x00\x01" + bytes(100))
    (tmp_path / "empty.so").touch()
    archive = go_world.build("plugin-good", "c.so", ["-buildmode=c-shared", "-trimpath"], ["gateway", "plugin-good"])
    expected = {
        str(cut): f"it is cut off: {len(whole) // 2} bytes are there",
        str(damaged): "cannot be used as a Go plugin",
        str(macos): "it is a Mach-O file, as macOS uses (arm64), not an ELF file",
        str(tmp_path / "empty.so"): "it is empty",
        str(tmp_path / "none.so"): "No such file or directory",
        str(tmp_path): "it is a folder and no file",
        go_world.gateway: "it is a program, not a plugin",
        archive: "it was built with -buildmode=c-shared, not as a plugin",
    }
    result = look(go_world, *expected, plugins["good"])
    assert codes(result) == ["plugin-unreadable"] * len(expected)
    for finding, words in zip(result["findings"], expected.values()):
        assert words in finding["message"]
    assert [one["readable"] for one in result["results"]] == [False] * len(expected) + [True]
    assert set(result["results"][0]) == {"path", "readable", "fits"}


def test_a_gateway_without_plugins(go_world: go_builds.GoWorld, plugins: Dict[str, str]) -> None:
    (go_world.folder / "plain-gateway").mkdir()
    (go_world.folder / "plain-gateway" / "go.mod").write_text("module example.com/plain\n\ngo 1.18\n")
    (go_world.folder / "plain-gateway" / "main.go").write_text(
        'package main\n\nimport "fmt"\n\nfunc main() { fmt.Println() }\n'
    )
    plain = go_world.build("plain-gateway", "plain", ["-trimpath"], ["plain-gateway"])
    result = run_module("plugin_info", {"files": [{"path": plugins["good"]}], "gateway": {"path": plain}})
    assert codes(result) == ["plugin-mismatch"] and result["gateway"]["plugins"] is False
    assert "built without support for Go plugins" in result["findings"][0]["message"]


def test_a_gateway_in_a_package(go_world: go_builds.GoWorld, plugins: Dict[str, str], tmp_path: Path) -> None:
    if shutil.which("dpkg-deb") is None:
        pytest.skip("no dpkg-deb")
    root = tmp_path / "root"
    (root / "opt" / "tyk-gateway").mkdir(parents=True)
    (root / "DEBIAN").mkdir()
    (root / "DEBIAN" / "control").write_text(
        "Package: tyk-gateway\nVersion: 5.8.9\nArchitecture: amd64\nMaintainer: nobody <nobody@example.com>\n"
        "Description: test\n"
    )
    shutil.copy(go_world.gateway, root / "opt" / "tyk-gateway" / "tyk")
    files = [{"path": plugins["good"]}, {"path": plugins["newer"]}]
    for packing in ("gzip", "xz", "none"):
        package = str(tmp_path / f"{packing}.deb")
        subprocess.run(["dpkg-deb", "-b", f"-Z{packing}", str(root), package], check=True, capture_output=True)
        result = run_module("plugin_info", {"files": files, "gateway": {"package_file": package}})
        assert [one["fits"] for one in result["results"]] == [True, False], result
        assert result["gateway"]["binary"] == "/opt/tyk-gateway/tyk"
        assert f"than {packing}.deb of a module" in result["findings"][0]["message"]
        given = {"files": files, "gateway": {"package_file": package, "binary": "/usr/bin/none"}}
        assert "has no gateway program at /usr/bin/none" in run_failing("plugin_info", given)["msg"]
    whole = Path(package).read_bytes()
    Path(package).write_bytes(whole[: len(whole) // 2])
    broken = run_failing("plugin_info", {"files": files, "gateway": {"package_file": package}})
    assert [one["code"] for one in broken["findings"]] == ["package-file-invalid"]


@pytest.mark.parametrize(
    "gateway, words",
    [
        ({}, "one of the following is required: path, image, package_file"),
        ({"path": "/a", "image": "b"}, "mutually exclusive"),
        (
            {"path": "/nonexistent"},
            "The gateway's program /nonexistent cannot be inspected: No such file or directory.",
        ),
        ({"path": "/etc/passwd"}, "it is not an ELF file"),
        ({"path": "/a", "glibc": "new"}, "not a version of the C library"),
        ({"package_file": "/etc/passwd"}, "neither a Debian nor an RPM package"),
        ({"image": "x"}, "unix:///nonexistent.sock did not answer"),
    ],
)
def test_refusals(gateway: Dict[str, Any], words: str) -> None:
    given = {"files": [], "gateway": gateway, "docker_host": "unix:///nonexistent.sock"}
    assert words in run_failing("plugin_info", given)["msg"]
