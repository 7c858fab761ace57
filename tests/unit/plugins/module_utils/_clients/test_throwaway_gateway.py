# Copyright (c) 2026 tyk.upgrade contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Plugins tried in gateways that have no command for it."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import time
from pathlib import Path
from typing import Any, Callable, Dict, List, Sequence, Tuple

import pytest

from ansible_collections.tyk.upgrade.plugins.module_utils._clients import throwaway_gateway
from ansible_collections.tyk.upgrade.plugins.module_utils._clients.plugin_load import Hook, Loaded, with_types
from ansible_collections.tyk.upgrade.plugins.module_utils._clients.throwaway_gateway import Run, prove_with_binary
from ansible_collections.tyk.upgrade.plugins.module_utils._domain.build_info import Exported
from ansible_collections.tyk.upgrade.tests.unit.plugins.module_utils._clients import old_gateway


class Old:
    """A gateway's program, and plugins."""

    def __init__(self, folder: Path) -> None:
        self.folder, self.log, self.program = folder, folder / "asked", folder / "tyk"
        old_gateway.write(self.program, self.log)

    def prove(
        self,
        plugins: Dict[str, str],
        symbols: Sequence[Tuple[str, str]],
        timeout: float = 20,
        kinds: Sequence[str] = (),
    ) -> List[Loaded]:
        for name, words in plugins.items():
            (self.folder / name).write_text(words)
        work = self.folder / "work"
        work.mkdir(exist_ok=True)
        hooks = [Hook(str(self.folder / name), symbol, tuple(kinds)) for name, symbol in symbols]
        tried = prove_with_binary(str(self.program), hooks, str(work), timeout, {"NEEDED": "a-value"})
        assert list(work.iterdir()) == []
        return tried

    def asked(self) -> List[Any]:
        """Arguments and environment of each start."""
        return [json.loads(line) for line in self.log.read_text().splitlines()]


@pytest.fixture
def old(tmp_path: Path) -> Old:
    return Old(tmp_path)


def seen(tried: Sequence[Loaded]) -> List[Tuple[str, str, str]]:
    """Files, symbol and code of each verdict; "" for a good one."""
    return [
        (",".join(os.path.basename(file) for file in one.files), one.symbol, "" if one.verdict.ok else one.verdict.code)
        for one in tried
    ]


def test_all_functions_of_all_plugins_are_tried_in_one_gateway(old: Old) -> None:
    plugins = {"a.so": "One response:Two", "b.so": "Three"}
    tried = old.prove(plugins, [("a.so", "One"), ("a.so", "Two"), ("b.so", "Three")])
    assert seen(tried) == [("a.so", "One", ""), ("a.so", "Two", ""), ("b.so", "Three", "")]
    assert [one.verdict.message.rsplit(" as ", 1)[1] for one in tried] == [
        "a request hook",
        "a response hook",
        "a request hook",
    ]
    assert [one.verdict.exported and one.verdict.exported.type for one in tried] == [
        "func(http.ResponseWriter, *http.Request)",
        "func(http.ResponseWriter, *http.Response, *http.Request)",
        "func(http.ResponseWriter, *http.Request)",
    ]
    assert len(old.asked()) == 1


def test_the_gateway_speaks_to_nobody(old: Old, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TYK_GW_STORAGE_HOST", "redis.example.com")
    monkeypatch.setenv("SECRET_OF_THE_MODULE", "x")
    old.prove({"a.so": "One"}, [("a.so", "One")])
    ((arguments, environment),) = old.asked()
    folder = str(old.folder / "work")
    assert arguments[0].startswith(f"--conf={folder}/") and "SECRET_OF_THE_MODULE" not in environment
    assert environment["NEEDED"] == "a-value" and environment["TYK_GW_STORAGE_HOST"] == "127.0.0.1"
    assert environment["TYK_GW_LISTENADDRESS"] == "127.0.0.1" and environment["TYK_LOGLEVEL"] == "info"
    for name in ("PIDFILELOCATION", "APPPATH", "MIDDLEWAREPATH", "TEMPLATEPATH", "POLICIES_POLICYRECORDNAME"):
        assert environment[f"TYK_GW_{name}"].startswith(folder), name
    for name in ("SLAVEOPTIONS_USERPC", "USEDBAPPCONFIGS", "ENABLEANALYTICS", "ENABLEBUNDLEDOWNLOADER"):
        assert environment[f"TYK_GW_{name}"] == "false", name


@pytest.mark.parametrize(
    "words, code, package, text",
    [
        (
            "One MISMATCH",
            "plugin-mismatch",
            "github.com/sirupsen/logrus",
            "different version of package github.com/sirupsen/logrus",
        ),
        ("One GENERATION", "plugin-crash", "", "no plugin module data"),
        ("One SIGNAL", "plugin-crash", "", "exit code 139"),
        ("One EXIT", "plugin-crash", "", "ended with exit code 0 before it had loaded it"),
        ("One HANG", "plugin-crash", "", "did not get ready in time"),
        ("Other", "plugin-symbol-missing", "", "symbol One not found"),
        ("value:One", "plugin-symbol-missing", "", "not of a type that a gateway calls"),
    ],
)
def test_a_plugin_that_cannot_be_loaded_beside_one_that_can(
    old: Old, words: str, code: str, package: str, text: str
) -> None:
    tried = old.prove({"a.so": words, "b.so": "Two"}, [("a.so", "One"), ("b.so", "Two")], timeout=1)
    assert seen(tried) == [("a.so", "One", code), ("b.so", "Two", "")]
    assert tried[0].verdict.package == package and text in tried[0].verdict.message
    assert str(old.folder) not in tried[0].verdict.message


ANALYTICS = "func(*analytics.AnalyticsRecord)"


@pytest.mark.parametrize(
    "kinds, known, ok",
    [(("analytics",), True, True), ((), True, True), (("pre",), True, False), (("analytics",), False, False)],
)
def test_an_analytics_function(old: Old, kinds: Tuple[str, ...], known: bool, ok: bool) -> None:
    old_gateway.write(old.program, old.log, analytics=known)
    tried = old.prove({"a.so": "analytics:One value:Two"}, [("a.so", "One"), ("a.so", "Two")], kinds=kinds)
    assert seen(tried) == [
        ("a.so", "One", "" if ok else "plugin-symbol-missing"),
        ("a.so", "Two", "plugin-symbol-missing"),
    ]
    assert tried[0].verdict.exported == (Exported(ANALYTICS) if ok else None)
    assert all("not of a type that a gateway calls" in one.verdict.message for one in tried if not one.verdict.ok)
    one = with_types(tried, [Hook(tried[0].files[0], "One", ("pre",))])[0]
    assert one.verdict.ok is False, "it cannot be used as a hook"


def test_an_analytics_function_beside_a_plugin_that_ends_the_process(old: Old) -> None:
    tried = old.prove({"a.so": "analytics:One", "b.so": "Two EXIT"}, [("a.so", "One"), ("b.so", "Two")])
    assert seen(tried) == [("a.so", "One", ""), ("b.so", "Two", "plugin-crash")]


def test_a_hook_that_is_no_analytics_function(old: Old) -> None:
    tried = old.prove({"a.so": "One response:Two"}, [("a.so", "One"), ("a.so", "Two")], kinds=("analytics",))
    assert all(one.verdict.ok for one in tried)
    hooks = [Hook(one.files[0], one.symbol, ("analytics",)) for one in tried]
    assert [one.verdict.unfit for one in with_types(tried, hooks)] == [True, True]


def test_plugins_whose_functions_are_of_no_use_may_clash_as_well(old: Old) -> None:
    plugins = {"a.so": "value:One SAME_PATH", "b.so": "Two SAME_PATH"}
    assert seen(old.prove(plugins, [("a.so", "One"), ("b.so", "Two")])) == [
        ("a.so", "One", "plugin-symbol-missing"),
        ("b.so", "Two", ""),
        ("a.so,b.so", "Two", "plugin-path-shared"),
    ]


def test_two_plugins_of_one_path(old: Old) -> None:
    plugins = {"a.so": "One SAME_PATH", "b.so": "Two SAME_PATH", "c.so": "Three"}
    tried = old.prove(plugins, [("a.so", "One"), ("b.so", "Two"), ("c.so", "Three")])
    assert seen(tried) == [
        ("a.so", "One", ""),
        ("b.so", "Two", ""),
        ("c.so", "Three", ""),
        ("a.so,b.so", "Two", "plugin-path-shared"),
    ]


def test_a_clash_is_found_though_one_function_is_missing(old: Old) -> None:
    plugins = {"a.so": "One SAME_PATH", "b.so": "Two SAME_PATH"}
    tried = old.prove(plugins, [("a.so", "One"), ("a.so", "Nope"), ("b.so", "Two")])
    assert seen(tried) == [
        ("a.so", "One", ""),
        ("a.so", "Nope", "plugin-symbol-missing"),
        ("b.so", "Two", ""),
        ("a.so,b.so", "Two", "plugin-path-shared"),
    ]


def test_a_clash_is_found_beside_a_plugin_that_ends_the_process(old: Old) -> None:
    plugins = {"a.so": "One GENERATION", "b.so": "Two SAME_PATH", "c.so": "Three SAME_PATH"}
    tried = old.prove(plugins, [("a.so", "One"), ("b.so", "Two"), ("c.so", "Three")])
    assert seen(tried) == [
        ("a.so", "One", "plugin-crash"),
        ("b.so", "Two", ""),
        ("c.so", "Three", ""),
        ("b.so,c.so", "Three", "plugin-path-shared"),
    ]


def test_plugins_that_only_end_the_process_together(old: Old) -> None:
    tried = old.prove({"a.so": "One", "b.so": "Two OTHER_GENERATION"}, [("a.so", "One"), ("b.so", "Two")])
    assert seen(tried) == [("a.so", "One", ""), ("b.so", "Two", ""), ("a.so,b.so", "Two", "plugin-crash")]
    assert tried[-1].code == 2


def test_a_port_that_is_taken_meanwhile_is_no_fault_of_the_plugin(old: Old) -> None:
    old_gateway.write(old.program, old.log, busy=True)
    assert seen(old.prove({"a.so": "One"}, [("a.so", "One")])) == [("a.so", "One", "")]
    ports = [environment["TYK_GW_LISTENPORT"] for _arguments, environment in old.asked()]
    assert len(ports) == 2


def test_a_program_that_is_no_gateway_proves_nothing(old: Old) -> None:
    old.program.write_text("#!/bin/sh\necho all is well, API reload complete\nsleep 60\n")
    tried = old.prove({"a.so": "One"}, [("a.so", "One")])
    assert seen(tried) == [("a.so", "One", "plugin-mismatch")]
    assert "said nothing about it" in tried[0].verdict.message


def test_what_a_plugin_starts_ends_with_the_gateway(old: Old) -> None:
    mark = old.folder / "alive"
    old.program.write_text(f"#!/bin/sh\n(sleep 1; touch {mark}) &\necho API reload complete\nwait\n")
    old.prove({"a.so": "One"}, [("a.so", "One")])
    time.sleep(1.2)
    assert not mark.exists()


def test_the_gateway_ends_with_a_module_that_is_killed(old: Old) -> None:
    (old.folder / "a.so").write_text("One")
    (old.folder / "work").mkdir()
    old.program.write_text(f"#!/bin/sh\necho $$ >{old.folder}/pid\nexec sleep 60\n")
    code = (
        "import sys; sys.path[:0] = %r\n"
        "from ansible_collections.tyk.upgrade.plugins.module_utils._clients.throwaway_gateway import Hook, prove_with_binary\n"
        "prove_with_binary(%r, [Hook(%r, 'One')], %r, 60, {})"
        % (sys.path, str(old.program), str(old.folder / "a.so"), str(old.folder / "work"))
    )
    module = subprocess.Popen([sys.executable, "-c", code])
    pid = old.folder / "pid"
    try:
        wait_for(lambda: pid.exists() and pid.read_text().strip())
    finally:
        module.kill()
        module.wait()
    wait_for(lambda: not os.path.exists(f"/proc/{pid.read_text().strip()}/cwd"))


def wait_for(condition: Callable[[], Any], seconds: float = 10) -> None:
    end = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < end
        time.sleep(0.05)


def test_a_program_that_cannot_be_started(old: Old) -> None:
    old.program.unlink()
    (old.folder / "work").mkdir()
    with pytest.raises(OSError):
        prove_with_binary(str(old.program), [Hook(__file__, "One")], str(old.folder / "work"), 1, {})


def test_apis_are_loaded_in_the_order_of_the_plugins() -> None:
    hooks = [Hook(f"{number}.so", "One") for number in range(12)]
    files = throwaway_gateway.texts(hooks, "/t", throwaway_gateway.settings("/t", 1, 2))
    apis = [json.loads(text) for name, text in sorted(files.items()) if name.startswith("apps/")]
    lengths = [len(api["proxy"]["listen_path"]) for api in apis]
    assert lengths == sorted(set(lengths), reverse=True) and len({api["id"] for api in apis}) == 13
    *tried, last = apis
    assert [api["custom_middleware"]["pre"][0]["path"] for api in tried] == [f"/t/p{n}/plugin.so" for n in range(12)]
    assert last["analytics_plugin"]["plugin_path"] not in files


def printed(name: str) -> str:
    """What gateways built from the public sources printed, less the lines about other things."""
    return (Path(__file__).parent / "captured" / f"gateway-{name}.txt").read_text()


@pytest.mark.parametrize(
    "version, place, symbol, code, words",
    [
        ("4.0.16", 0, "Pre", "", "usable as a request hook"),
        ("4.0.16", 0, "Resp", "", "usable as a response hook"),
        ("4.0.16", 0, "Nope", "plugin-symbol-missing", "symbol Nope not found"),
        ("4.0.16", 0, "NoHook", "plugin-symbol-missing", "not of a type that a gateway calls"),
        ("4.0.16", 0, "Unsaid", "plugin-mismatch", "said nothing about it"),
        ("4.3.8", 0, "Pre", "plugin-mismatch", "different version of package internal/goarch"),
        ("4.3.8", 1, "Pre", "plugin-mismatch", "cannot read it as a plugin"),
        ("4.3.8", 2, "Pre", "", "usable as a request hook"),
        ("4.3.8", 3, "Pre", "plugin-path-shared", "plugin already loaded"),
        ("4.3.8-without-plugins", 0, "Pre", "plugin-mismatch", "built without support for Go plugins"),
    ],
)
def test_what_real_gateways_say(version: str, place: int, symbol: str, code: str, words: str) -> None:
    hooks = [Hook(f"{number}.so", symbol) for number in range(4)]
    one = throwaway_gateway.verdicts(Run(None, printed(version)), hooks, "/t")[place]
    assert one.verdict.code == code and words in one.verdict.message
    assert one.verdict.ok is (code == "") and "/t/p" not in one.verdict.message


def test_a_real_gateway_that_died() -> None:
    died = """\
time="Nov 23 23:09:40" level=info msg="API bind on custom port:0" prefix=main
fatal error: runtime: no plugin module data

goroutine 1 [running]:
"""
    (one,) = throwaway_gateway.verdicts(Run(2, died), [Hook("a.so", "Pre")], "/t")
    assert (one.code, one.verdict.code) == (2, "plugin-crash") and "no plugin module data" in one.verdict.message


def test_a_plugin_that_panics_in_a_real_gateway() -> None:
    """A second look at the same file never comes back: what was printed before has to do."""
    (one,) = throwaway_gateway.verdicts(Run(None, printed("4.0.16-panic")), [Hook("a.so", "Pre")], "/t")
    assert one.verdict.code == "plugin-crash" and "it panics when it is opened (no settings)" in one.verdict.message
