# Copyright (c) 2026 tyk.upgrade contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What holds for every module of the collection."""

from __future__ import annotations

from pathlib import Path
from typing import Any, Dict, List, Tuple

import pytest
from ansible.module_utils import basic

from ansible_collections.tyk.upgrade.tests.unit.plugins.modules.module_runner import run_module

ROOT = Path(__file__).resolve().parents[4]
MODULES = sorted(path.stem for path in (ROOT / "plugins" / "modules").glob("[!_]*.py"))
SECRET = "HIDDEN-0123456789"


class Made(Exception):
    """The module came as far as to read its arguments."""


def made(name: str, monkeypatch: pytest.MonkeyPatch) -> Tuple[basic.AnsibleModule, Dict[str, Any]]:
    """What a module makes to read its arguments, and the specification of these."""
    seen: List[Tuple[basic.AnsibleModule, Dict[str, Any]]] = []

    def init(self: basic.AnsibleModule, argument_spec: Dict[str, Any], **_unused: Any) -> None:
        seen.append((self, argument_spec))
        raise Made

    with monkeypatch.context() as patched:
        patched.setattr(basic.AnsibleModule, "__init__", init)
        with pytest.raises(Made):
            run_module(name)
    return seen[0]


@pytest.mark.parametrize("name", MODULES)
def test_no_argument_reaches_the_log_of_the_host(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    module, spec = made(name, monkeypatch)
    module.argument_spec, module.aliases, module.no_log, module.no_log_values = spec, {}, False, set()
    module.params = {option: {"url": f"http://host/?sig={SECRET}", "TOKEN": SECRET} for option in spec}
    logged: List[Any] = []
    monkeypatch.setattr(basic.AnsibleModule, "log", lambda self, *what, **more: logged.append((what, more)))
    monkeypatch.setattr(basic.AnsibleModule, "warn", lambda self, *what, **more: logged.append((what, more)))
    module._log_invocation()
    assert logged and SECRET not in str(logged)


def test_a_secret_of_a_module_that_runs_reaches_no_log(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    logged: List[Any] = []
    monkeypatch.setattr(basic.AnsibleModule, "log", lambda self, *what, **more: logged.append((what, more)))
    result = run_module("plugin_build_info", {"env": {"GITHUB_TOKEN": SECRET, "GOPROXY": f"https://u:{SECRET}@proxy/"}})
    assert SECRET not in str(result)
    result = run_module(
        "bundle_place",
        {"bundle": "b.zip", "url": f"http://127.0.0.1:9/b.zip?token={SECRET}", "middleware_path": str(tmp_path)},
        verbosity=3,
    )
    assert result["failed"] and "invocation" in result and SECRET not in str(result)
    assert len(logged) >= 2 and SECRET not in str(logged)


URL = f"http://127.0.0.1:9/b.zip?token={SECRET}"


@pytest.mark.parametrize(
    ("name", "given"),
    [
        ("bundle_info", {"url": URL, "versions": ["x"]}),
        ("bundle_info", {"store": {"kind": "http", "url": URL}, "name": "b.zip", "signing_key": "x"}),
        ("traffic_probe", {"state": "once", "targets": [{"name": "a", "url": URL}], "count": 0}),
        (
            "api_definition_patch",
            {"dashboard_url": URL, "dashboard_token": "t", "backup": "/b", "changes": [{"id": "a", "bundle": ""}]},
        ),
        ("api_definition_restore", {"dashboard_url": URL, "dashboard_token": "t", "backup": "/nowhere"}),
        ("bundle_place", {"url": URL, "bundle": "b.zip", "container": "c", "docker_host": "unix:///nowhere"}),
    ],
)
def test_what_is_secret_in_an_address_is_known_before_anything_can_fail(name: str, given: Dict[str, Any]) -> None:
    result = run_module(name, given, verbosity=3)
    assert result["failed"] and "url" in str(result["invocation"]) and SECRET not in str(result)


def test_arguments_that_are_refused_are_not_returned() -> None:
    result = run_module("bundle_place", {"url": f"http://127.0.0.1:9/b.zip?token={SECRET}"}, verbosity=3)
    assert result["failed"] and "bundle" in result["msg"] and SECRET not in str(result)
