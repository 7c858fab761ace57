# Copyright (c) 2026 tyk.upgrade contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What every engine module says when there is no engine to work with."""

from __future__ import annotations

import importlib
import json
from pathlib import Path
from typing import Any, Callable, Dict

import pytest

from ansible_collections.tyk.upgrade.plugins.module_utils import _engine_module

MODULES: Dict[str, Dict[str, Any]] = {
    "container_info": {"names": ["gw"]},
    "container_upgrade": {"name": "gw", "image": "tyk:v1"},
    "gateway_bundle_info": {"container": "gw", "bundles": []},
    "bundle_fetch_check": {"container": "gw", "url": "http://user:hidden-word@store/a.zip"},
    "plugin_build_info": {"compilers": [{"version": "5.8.9", "image": "compiler:v5.8.9"}]},
    "bundle_place": {"container": "gw", "url": "http://user:hidden-word@store/a.zip", "bundle": "a.zip"},
    "plugin_compile": {"builds": [], "dest": "/nonexistent"},
    "plugin_verify": {"checks": []},
}


@pytest.fixture
def run(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> Callable[..., Dict[str, Any]]:
    def call(module_name: str, /, **arguments: Any) -> Dict[str, Any]:
        from ansible.module_utils import basic

        parameters = {**arguments, "_ansible_check_mode": True, "_ansible_remote_tmp": "/tmp"}
        monkeypatch.setattr(basic, "_ANSIBLE_ARGS", json.dumps({"ANSIBLE_MODULE_ARGS": parameters}).encode())
        monkeypatch.setattr(basic, "_ANSIBLE_PROFILE", "legacy", raising=False)
        module = importlib.import_module(f"ansible_collections.tyk.upgrade.plugins.modules.{module_name}")
        capsys.readouterr()
        with pytest.raises(SystemExit):
            module.main()
        return dict(json.loads(capsys.readouterr().out.strip().splitlines()[-1]))

    return call


@pytest.mark.parametrize("name", sorted(MODULES))
@pytest.mark.parametrize("address", ["unix:///nonexistent/docker.sock", "tcp://127.0.0.1:1"])
def test_an_engine_that_does_not_answer(run: Any, name: str, address: str) -> None:
    pytest.importorskip("docker")
    result = run(name, docker_host=address, **MODULES[name])
    assert result["failed"] is True
    assert result["msg"].startswith(f"The Docker engine at {address} did not answer: ")
    assert [one["code"] for one in result["findings"]] == ["engine-unreachable"]
    assert "Traceback" not in result["msg"]


@pytest.mark.parametrize("name", sorted(MODULES))
def test_a_missing_library(run: Any, monkeypatch: pytest.MonkeyPatch, name: str) -> None:
    monkeypatch.setattr(_engine_module, "DOCKER_IMPORT_ERROR", "the traceback")
    result = run(name, **MODULES[name])
    assert result["failed"] is True
    assert "docker (the Docker SDK for Python)" in result["msg"]


@pytest.mark.parametrize(
    "arguments, words",
    [
        ({"image": None}, "state is present, but image is empty"),
        ({"files": [{"src": "/a", "dest": "b"}]}, "b is not an absolute path"),
        ({"files": [{"src": "/a", "dest": "/b", "mode": "rw"}]}, "octal digits"),
    ],
)
def test_settings_of_container_upgrade(
    run: Any, monkeypatch: pytest.MonkeyPatch, arguments: Dict[str, Any], words: str
) -> None:
    pytest.importorskip("docker")

    class Nothing:
        def close(self) -> None:
            pass

    class NoEngine:
        api = Nothing()

    monkeypatch.setattr(_engine_module, "Engine", lambda *_unused: NoEngine())
    assert words in run("container_upgrade", **{**MODULES["container_upgrade"], **arguments})["msg"]


def test_plugins_built_elsewhere_are_looked_at_without_an_engine(run: Any, tmp_path: Path) -> None:
    foreign = tmp_path / "a.so"
    foreign.write_bytes(b"no library")
    artifacts = [{"name": "A", "version": "5.8.9", "path": path} for path in (str(foreign), "/nonexistent.so")]
    result = run("plugin_build_info", docker_host="tcp://127.0.0.1:1", artifacts=artifacts)
    assert result["changed"] is False and result["artifacts"] == [] and not result.get("failed")
    assert [one["code"] for one in result["findings"]] == ["plugin-unreadable", "plugin-unreadable"]
    assert str(foreign) in result["findings"][0]["message"] and "cannot be read" in result["findings"][1]["message"]
