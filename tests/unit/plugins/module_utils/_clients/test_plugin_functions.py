# Copyright (c) 2026 tyk.upgrade contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Types of exported functions: what is read from plugins that Go built, and from files that somebody has damaged."""

from __future__ import annotations

import os
import shutil
import struct
import subprocess
import time
from pathlib import Path
from typing import Dict, Iterator, List, Tuple

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from ansible_collections.tyk.upgrade.plugins.module_utils._clients import elf, plugin_functions
from ansible_collections.tyk.upgrade.plugins.module_utils._clients.elf_file import NotElf
from ansible_collections.tyk.upgrade.plugins.module_utils._clients.plugin_functions import (
    LAYOUTS,
    _Reader,
    _Unknown,
    exported_types,
)
from ansible_collections.tyk.upgrade.plugins.module_utils._clients.plugin_load import (
    Hook,
    Loaded,
    Verdict,
    findings_of,
    judge,
    with_types,
)
from ansible_collections.tyk.upgrade.plugins.module_utils._domain.build_info import Exported
from ansible_collections.tyk.upgrade.tests.unit.plugins import go_builds

pytestmark = pytest.mark.slow

CACHE = Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "tyk-upgrade"
#: This machine's Go, and those that builds of gateways have left in the cache.
TOOLCHAINS = [path for path in [go_builds.GO, *map(str, sorted(CACHE.glob("go-1.*/go/bin/go")))] if path]

SOURCE = """package main

import (
\t"net/http"

\tother "example.com/plugin/http"
)

type Own struct{}

var Setting = "a variable"

var Variable = Request

func Request(w http.ResponseWriter, r *http.Request) {}

func Again(_ http.ResponseWriter, _ *http.Request) {}

func Response(w http.ResponseWriter, res *http.Response, r *http.Request) {}

func Failing(w http.ResponseWriter, r *http.Request) error { return nil }

func Foreign(w other.ResponseWriter, r *other.Request) {}

func Many(some Own) (int, map[string]struct{ A int `json:"a"` }) { return 0, nil }

func Nothing() {}

func hidden() {}

func main() { hidden() }
"""
FOREIGN = "package http\n\ntype ResponseWriter interface{ Header() int }\n\ntype Request struct{ A int }\n"
REQUEST = "func(http.ResponseWriter, *http.Request)"
RESPONSE = "func(http.ResponseWriter, *http.Response, *http.Request)"
HTTP = "net/http"
TYPES = {
    "Again": Exported(REQUEST, packages=(HTTP, HTTP)),
    "Failing": Exported(f"{REQUEST} error", packages=(HTTP, HTTP)),
    "Foreign": Exported(REQUEST, packages=("example.com/plugin/http",) * 2),
    "Many": Exported(
        'func(main.Own) (int, map[string]struct { A int "json:\\"a\\"" })', packages=("example.com/plugin",)
    ),
    "Nothing": Exported("func()"),
    "Request": Exported(REQUEST, packages=(HTTP, HTTP)),
    "Response": Exported(RESPONSE, packages=(HTTP, HTTP, HTTP)),
    "Setting": Exported("string", function=False),
    "Variable": Exported(REQUEST, function=False),
}


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("functions")
    (folder / "http").mkdir()
    (folder / "http" / "http.go").write_text(FOREIGN)
    (folder / "main.go").write_text(SOURCE)
    (folder / "go.mod").write_text("module example.com/plugin\n\ngo 1.18\n")
    return folder


def build(folder: Path, go: str, target: str, *flags: str) -> str:
    if not go_builds.POSSIBLE and not shutil.which("gcc"):
        pytest.skip("no C compiler")
    path = str(folder / target)
    environment = {**os.environ, "GOTOOLCHAIN": "local", "GOFLAGS": "", "GOWORK": "off", "CGO_ENABLED": "1"}
    command = [go, "build", "-buildmode=plugin", *flags, "-o", path, "."]
    done = subprocess.run(command, cwd=folder, env=environment, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    return path


@pytest.fixture(scope="module")
def plugin(folder: Path) -> str:
    if not TOOLCHAINS:
        pytest.skip("no Go")
    return build(folder, TOOLCHAINS[-1], "plugin.so", "-trimpath")


@pytest.mark.parametrize("go", TOOLCHAINS)
def test_the_types_that_go_has_written(folder: Path, go: str) -> None:
    for target, flags in (("plain.so", ()), ("trimmed.so", ("-trimpath",)), ("bare.so", ("-ldflags=-s -w",))):
        path = build(folder, go, target, *flags)
        assert elf.inspect(path).program.types == TYPES, target
    if shutil.which("strip"):
        subprocess.run(["strip", folder / "plain.so"], check=True)
        assert elf.inspect(str(folder / "plain.so")).stripped
        assert elf.inspect(str(folder / "plain.so")).program.types == TYPES


def test_go_accepts_what_is_said_to_fit_and_nothing_else(folder: Path, plugin: str) -> None:
    """The assertion that a gateway makes of a symbol, by Go itself."""
    (folder / "judge").mkdir()
    (folder / "judge" / "main.go").write_text(
        'package main\n\nimport (\n\t"fmt"\n\t"net/http"\n\t"os"\n\t"plugin"\n)\n\nfunc main() {\n'
        "\topened, err := plugin.Open(os.Args[1])\n\tif err != nil {\n\t\tpanic(err)\n\t}\n"
        "\tfor _, name := range os.Args[2:] {\n\t\tsymbol, err := opened.Lookup(name)\n"
        "\t\t_, request := symbol.(func(http.ResponseWriter, *http.Request))\n"
        "\t\t_, response := symbol.(func(http.ResponseWriter, *http.Response, *http.Request))\n"
        "\t\tfmt.Println(name, err, request, response)\n\t}\n}\n"
    )
    program = folder / "judge" / "judge"
    environment = {**os.environ, "GOTOOLCHAIN": "local", "GOFLAGS": "", "GOWORK": "off", "CGO_ENABLED": "1"}
    command = [TOOLCHAINS[-1], "build", "-trimpath", "-o", str(program), "./judge"]
    subprocess.run(command, cwd=folder, env=environment, check=True)
    said = subprocess.run([str(program), plugin, *TYPES], capture_output=True, text=True, check=True).stdout
    assert said.splitlines() == [
        f"{name} <nil> {str(fits(plugin, name, 'pre')).lower()} {str(fits(plugin, name, 'response')).lower()}"
        for name in TYPES
    ]


def fits(plugin: str, symbol: str, *kinds: str) -> bool:
    loaded = [Loaded((plugin,), symbol, 0, Verdict(True, message="loaded ok"))]
    return with_types(loaded, [Hook(plugin, symbol, kinds)])[0].verdict.ok


@pytest.mark.parametrize(
    "symbol, kinds, clause, remedy",
    [
        ("Response", ["response"], "", ""),
        ("Request", ["pre", "auth_check", "post_key_auth", "post"], "", ""),
        ("Request", [], "", ""),
        (
            "Request",
            ["pre", "response"],
            f"Request is {REQUEST}; as response hook it has to be {RESPONSE}",
            "list it as pre, auth_check, post_key_auth or post hook in the bundle's manifest",
        ),
        ("Response", ["pre", "post"], f"Response is {RESPONSE}; as pre or post hook it has to be {REQUEST}", "response"),
        ("Failing", ["auth_check"], f"Failing is {REQUEST} error; as auth_check hook", "name another function"),
        ("Setting", ["pre"], f"Setting is a variable of type string; as pre hook it has to be {REQUEST}", "another"),
        ("Variable", ["pre"], f"Variable is a variable of type {REQUEST}; as pre hook it has to be", "name another"),
        (
            "Foreign",
            ["pre"],
            f"Foreign is {REQUEST} of example.com/plugin/http; as pre hook it has to be {REQUEST} of net/http",
            "name another function",
        ),
        ("Request", ["analytics"], "as analytics hook it has to be func(*analytics.AnalyticsRecord)", "list it as pre"),
    ],
)
def test_a_function_of_another_type_is_refused(
    plugin: str, symbol: str, kinds: List[str], clause: str, remedy: str
) -> None:
    loaded = [Loaded((plugin,), symbol, 0, Verdict(True, message="loaded ok"))]
    (found,) = with_types(loaded, [Hook(plugin, symbol, tuple(kinds))])
    assert found.verdict.ok is not bool(clause)
    findings = findings_of("gw:v5.8.9", [found])
    assert [one.code for one in findings] == ["plugin-symbol-missing"] * bool(clause)
    if clause:
        assert f"plugin.so ({symbol}) cannot be used by gw:v5.8.9: " in findings[0].message
        assert clause in findings[0].message and remedy in findings[0].remedy


def test_a_missing_function_is_told_with_those_that_are_there(plugin: str) -> None:
    missing = judge(1, "tyk: error: unexpected error: plugin: symbol request not found in plugin x")
    (found,) = with_types([Loaded((plugin,), "request", 1, missing)], [Hook(plugin, "request", ("pre",))])
    assert found.verdict.message.startswith("it has no function request; it exports Again, Failing, ")
    assert found.verdict.remedy == "Write Request in the bundle's manifest, as the function is called."


def test_only_what_is_known_changes_a_verdict(plugin: str, tmp_path: Path) -> None:
    (tmp_path / "a.so").write_bytes(b"\x7fELF One")
    unreadable, refused = str(tmp_path / "a.so"), judge(1, "plugin was built with a different version of package x")
    good = Verdict(True)
    loaded = [
        Loaded((unreadable,), "One", 0, good),
        Loaded((str(tmp_path / "none.so"),), "One", 0, good),
        Loaded((plugin,), "Response", 1, refused),
        Loaded((plugin, unreadable), "Response", 0, good),
    ]
    hooks = [Hook(one.files[0], one.symbol, ("pre",)) for one in loaded]
    assert with_types(loaded, hooks) == loaded


def test_what_a_gateway_has_said_of_the_type_counts_where_the_file_tells_nothing(tmp_path: Path) -> None:
    (tmp_path / "a.so").write_bytes(b"\x7fELF One")
    file = str(tmp_path / "a.so")
    loaded = [Loaded((file,), "One", None, Verdict(True, exported=Exported(RESPONSE)))]
    (found,) = with_types(loaded, [Hook(file, "One", ("pre",))])
    assert not found.verdict.ok and f"One is {RESPONSE}; as pre hook it has to be {REQUEST}" in found.verdict.message
    assert with_types(loaded, [Hook(file, "One", ("response",))]) == loaded


# -- damaged files ---------------------------------------------------------------------------------------------------


def types_of(path: Path) -> Dict[str, Exported]:
    with elf.opened(str(path)) as opened:
        return exported_types(opened, "example.com/plugin")


def fits_layout(reader: _Reader, module: int, layout: Tuple[int, int]) -> bool:
    try:
        return bool(reader.exports(module, *layout, "example.com/plugin"))
    except _Unknown:
        return False


@pytest.fixture(scope="module")
def places(plugin: str) -> Dict[str, int]:
    """Where in the file the parts are that are followed."""
    with elf.opened(plugin) as opened:
        reader = _Reader(opened)
        module = next(reader.modules())
        types, exports = next(layout for layout in LAYOUTS if fits_layout(reader, module, layout))
        words = {"types": module + types * 8, "exports": module + exports * 8, "path": module + (exports + 3) * 8}
        listed = reader.pointer(words["exports"])
        reader.types = reader.pointer(words["types"])
        name, kind = struct.unpack("<ii", opened.at(listed, 8))
        addresses = {**words, "module": module, "list": listed}
        addresses.update(name=reader.types + name, type=reader.types + kind)
        found = {key: opened.offset_of(address) for key, address in addresses.items()}
        found["relocations"] = opened.relocations()[0]
    return {key: place for key, place in found.items() if place is not None}


@pytest.fixture(scope="module")
def copied(plugin: str, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """A copy that tests change and put right again."""
    path = tmp_path_factory.mktemp("damaged") / "plugin.so"
    shutil.copy(plugin, path)
    yield path
    assert path.read_bytes() == Path(plugin).read_bytes()


def changed(path: Path, changes: List[Tuple[int, bytes]]) -> Dict[str, Exported]:
    """The types while these bytes are others, read within a second."""
    saved = []
    with open(path, "r+b") as handle:
        for place, content in changes:
            handle.seek(place)
            saved.append((place, handle.read(len(content))))
            handle.seek(place)
            handle.write(content)
    began = time.monotonic()
    try:
        return types_of(path)
    except NotElf:
        return {}
    finally:
        assert time.monotonic() - began < 10, "read within bounds, whatever a file says"
        with open(path, "r+b") as handle:
            for place, content in reversed(saved):
                handle.seek(place)
                handle.write(content)


@pytest.mark.parametrize(
    "part, offset, content",
    [
        ("exports", 8, struct.pack("<QQ", 1 << 60, 1 << 60)),  # a list without an end
        ("exports", 8, struct.pack("<QQ", 0, 0)),
        ("exports", 8, struct.pack("<QQ", 4096, 4096)),  # a list that goes on into what follows
        ("path", 8, struct.pack("<Q", 1 << 63)),
        ("list", 0, struct.pack("<ii", -1, -1)),
        ("list", 0, struct.pack("<ii", 0x7FFFFFFF, 0x7FFFFFFF)),
        ("name", 1, b"\xff\xff\xff"),  # a length without an end
        ("name", 1, b"\0"),
        ("name", 2, b"\xc3\x28"),  # not UTF-8
        ("name", 2, b"a"),  # not exported
        ("type", 23, b"\x02"),  # neither a function nor a variable
        ("type", 40, struct.pack("<i", -5)),
        ("type", 40, struct.pack("<i", 0x7FFFFFFF)),
        ("relocations", 0, b"\xff" * 1000000),
    ],
)
def test_of_a_damaged_list_nothing_is_said(
    copied: Path, places: Dict[str, int], part: str, offset: int, content: bytes
) -> None:
    assert changed(copied, [(places[part] + offset, content)]) == {}


def test_a_function_with_parameters_that_lead_nowhere_still_has_its_type(copied: Path, places: Dict[str, int]) -> None:
    found = changed(copied, [(places["type"] + 48, b"\xff\x7f")])
    assert found["Request"].type == REQUEST and types_of(copied) == TYPES
    assert () in {one.packages for one in found.values() if one.type == REQUEST or one.type == "func()"}


def test_a_file_that_is_cut_off(plugin: str, tmp_path: Path) -> None:
    whole = Path(plugin).read_bytes()
    for part in range(1, 20):
        (tmp_path / "a.so").write_bytes(whole[: len(whole) * part // 20])
        with pytest.raises(NotElf):
            types_of(tmp_path / "a.so")


def test_what_is_searched_has_an_end(plugin: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(plugin_functions, "SEARCHED", 1 << 16)
    assert types_of(Path(plugin)) == {}
    for size in range(21, 30):
        monkeypatch.setattr(plugin_functions, "SEARCHED", 1 << size)
        found = types_of(Path(plugin))
        assert {name: one.type for name, one in found.items()} in ({}, {name: one.type for name, one in TYPES.items()})
    assert found == TYPES


def test_a_file_of_nothing_but_starts_of_tables_takes_no_time(plugin: str, tmp_path: Path) -> None:
    content = bytearray(Path(plugin).read_bytes())
    start = struct.pack("<I", 0xFFFFFFF1) + b"\0\0\x01\x08"
    content[0x4000:] = (start * (len(content) // 8))[: len(content) - 0x4000]
    (tmp_path / "a.so").write_bytes(content)
    began = time.monotonic()
    try:
        assert types_of(tmp_path / "a.so") == {}
    except NotElf:
        pass
    assert time.monotonic() - began < 2


@settings(max_examples=300, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(st.data())
def test_whatever_bytes_change_it_ends_in_types_or_in_nothing(
    copied: Path, places: Dict[str, int], data: st.DataObject
) -> None:
    near = st.tuples(st.sampled_from(sorted(places)), st.integers(0, 600)).map(lambda one: places[one[0]] + one[1])
    place = st.one_of(near, st.integers(0, 0x4000), st.integers(0, copied.stat().st_size - 16))
    changes = st.lists(st.tuples(place, st.binary(min_size=1, max_size=16)), max_size=12)
    for exported in changed(copied, data.draw(changes)):
        assert exported.isidentifier()
