# Copyright (c) 2026 tyk.upgrade contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Every bad input is refused with its own finding, and nothing that serves has changed afterwards."""

from __future__ import annotations

import json
import shutil
import sys
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest
from scenario import Run, Scenario, serving
from settings import DASHBOARD_TOKEN, GATEWAY_SECRET, GOOD_KEY, LAB, ROOT, TO_VERSION

PLUGINS = LAB / "plugins"
BROKEN = (
    'package main\n\nimport "net/http"\n\nfunc AddLabHeader(w http.ResponseWriter, r *http.Request) { nowhere() }\n'
)
OTHER = 'package main\n\nimport "net/http"\n\nfunc SomethingElse(w http.ResponseWriter, r *http.Request) {}\n'


@dataclass(frozen=True)
class Case:
    code: str  # of the finding that must be there
    spoil: Callable[[Scenario], None]
    stage: str = "plan"
    says: str = ""  # part of what the user reads


def variables(**changes: object) -> Callable[[Scenario], None]:
    return lambda scenario: scenario.variables.update(changes)


def gateway(name: str, **changes: object) -> Callable[[Scenario], None]:
    return lambda scenario: scenario.gateways[name].update(changes)


def source(text: str | None) -> Callable[[Scenario], None]:
    """The header plugin from another folder: empty, or with this main.go."""

    def spoil(scenario: Scenario) -> None:
        folder = scenario.directory / "HeaderPlugin"
        folder.mkdir()
        if text is not None:
            (folder / "main.go").write_text(text)
            (folder / "go.mod").write_text((PLUGINS / "HeaderPlugin" / "go.mod").read_text())
        scenario.variables["tyk_plugins"][0]["source"] = str(folder)

    return spoil


def own_sources(scenario: Scenario) -> None:
    """The plugins with a remark more, so that their bundles have names that no other test's have."""
    for plugin in scenario.variables["tyk_plugins"]:
        folder = scenario.directory / "sources" / plugin["name"]
        shutil.copytree(plugin["source"], folder)
        main = folder / "main.go"
        main.write_text(main.read_text() + "\n// For this test alone.\n")
        plugin["source"] = str(folder)


def unlisted(scenario: Scenario) -> None:
    scenario.variables["tyk_plugins"] = scenario.variables["tyk_plugins"][:1]


def store(path: str) -> Callable[[Scenario], None]:
    def spoil(scenario: Scenario) -> None:
        scenario.variables["tyk_bundle_store"]["url"] = f"{scenario.lab.settings.local('bundles')}/{path}/"

    return spoil


def unknown_repository(scenario: Scenario) -> None:
    for one in scenario.gateways.values():
        one["gateway_image"] = f"{scenario.lab.settings.registry}/tyk-lab/no-such-image"


def no_room(scenario: Scenario) -> None:
    """An image that the engine does not have yet, whatever other tests have pulled meanwhile, and room for none."""
    scenario.variables["preflight_needed_bytes"] = 10**15
    repository = scenario.lab.publish_unpulled()
    for one in scenario.gateways.values():
        one["gateway_image"] = repository


def mismatching_compiler(scenario: Scenario) -> None:
    scenario.variables["tyk_compiler_images"] = {TO_VERSION: scenario.lab.publish_mismatch()}


CASES = {
    "target version unknown": Case("version-unknown", variables(tyk_target_version="5.8.99"), says="5.8.99"),
    "target version lower": Case("version-lower", variables(tyk_target_version="5.2.5"), says="5.2.5"),
    "target version a number": Case("version-not-string", variables(tyk_target_version=5.10), says="quote"),
    "gateway unreachable": Case(
        "gateway-unreachable", gateway("gw2", tyk_gateway_url="http://127.0.0.1:9"), says="gw2"
    ),
    "control plane older": Case(
        "control-plane-older", variables(tyk_control_plane_confirmed_version="5.3.0"), says="5.3.0"
    ),
    "control plane not confirmed": Case("control-plane-unconfirmed", variables(tyk_control_plane_confirmed_version="")),
    "dashboard token wrong": Case("dashboard-unauthorized", variables(tyk_dashboard_token="not-the-token")),
    "source folder empty": Case("plugin-source-empty", source(None), says="HeaderPlugin"),
    "source does not compile": Case(
        "plugin-compile-failed", source(BROKEN), stage="prepare", says="undefined: nowhere"
    ),
    "symbol missing": Case("plugin-symbol-missing", source(OTHER), stage="prepare", says="AddLabHeader"),
    "store read-only": Case("store-read-only", store("readonly"), stage="prepare"),
    "bundle too slow": Case(
        "bundle-slow", variables(tyk_bundle_fetch_url="http://bundles/slow/"), stage="prepare", says="5"
    ),
    "a login between gateways and bundles": Case(
        "bundle-invalid", variables(tyk_bundle_fetch_url="http://bundles/login/"), stage="prepare", says="HTML page"
    ),
    "an old file under the new name": Case(
        "bundle-invalid", variables(tyk_bundle_fetch_url="http://bundles/stale/"), stage="prepare", says="another file"
    ),
    "image tag missing": Case("image-missing", unknown_repository, says="no-such-image"),
    "disk too small": Case("disk-small", no_room),
    "plugin not listed": Case("plugin-unlisted", unlisted, says="AuthPlugin"),
    "compiler does not match": Case("plugin-mismatch", mismatching_compiler, stage="prepare", says="package"),
}


def check_refused(run: Run, code: str, stage: str, says: str) -> None:
    assert run.code != 0, run.output[-4000:]
    assert f"REFUSED in {stage}" in run.output, run.output[-6000:]
    assert code in run.codes(), f"findings {sorted(run.codes())}\n{run.output[-6000:]}"
    assert says in run.output, run.output[-6000:]
    assert "Traceback" not in run.output, run.output[-6000:]
    assert "lab-dashboard-token" not in run.output and "lab-gateway-secret" not in run.output


@pytest.mark.parametrize("name", CASES)
def test_refused_before_any_change(name: str, scenario: Scenario) -> None:
    case = CASES[name]
    before = serving(scenario.lab)
    case.spoil(scenario)
    run = scenario.play()
    check_refused(run, case.code, case.stage, case.says)
    assert serving(scenario.lab) == before


class Hello(BaseHTTPRequestHandler):
    """A gateway of a third version."""

    def do_GET(self) -> None:
        details = {name: {"status": "pass"} for name in ("redis", "rpc")}
        body = json.dumps({"status": "pass", "version": "5.5.0", "details": details}).encode()
        self.send_response(200)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, format: str, *arguments: object) -> None:
        """Quiet."""


@contextmanager
def third_version() -> Iterator[str]:
    server = ThreadingHTTPServer(("127.0.0.1", 0), Hello)
    thread = threading.Thread(target=server.serve_forever, daemon=True)
    thread.start()
    try:
        yield f"http://127.0.0.1:{server.server_address[1]}"
    finally:
        server.shutdown()
        server.server_close()


def test_gateway_of_an_unexplained_third_version(scenario: Scenario) -> None:
    before = serving(scenario.lab)
    with third_version() as url:
        scenario.gateways["gw3"]["tyk_gateway_url"] = url
        run = scenario.play()
    check_refused(run, "gateway-version-unexplained", "plan", "5.5.0")
    assert serving(scenario.lab) == before


def test_store_holds_other_content_under_that_name(scenario: Scenario) -> None:
    """The name comes from the plan, so the plan is made first and something else put where the bundle will go."""
    before = serving(scenario.lab)
    own_sources(scenario)
    planned = scenario.play(playbook="playbooks/plan.yml")
    assert planned.code == 0, planned.output[-6000:]
    name = planned_bundle(scenario.directory / "journal")
    url = f"{scenario.lab.settings.local('bundles')}/bundles/{name}"
    scenario.lab.http.put(url, data=b"something else", timeout=10).raise_for_status()
    try:
        run = scenario.play()
    finally:
        scenario.lab.http.delete(url, timeout=10)
    check_refused(run, "store-conflict", "prepare", name)
    assert serving(scenario.lab) == before


def planned_bundle(journal: Path) -> str:
    plan = json.loads(next((journal / "plans").glob("*.json")).read_text())
    names = [bundle["name"] for bundle in plan["bundles"] if not bundle["keep"]]
    return str(names[0])


def test_no_secret_is_printed_however_verbose_the_run(scenario: Scenario) -> None:
    run = scenario.play("-vvv", "--diff", "--check")
    assert run.code == 0, run.output[-6000:]
    for secret in (DASHBOARD_TOKEN, GATEWAY_SECRET, GOOD_KEY):
        assert secret not in run.output, run.output[max(0, run.output.index(secret) - 2000) :][:2500]
    kept = [path for path in scenario.directory.rglob("*") if path.is_file() and path.name != "inventory.yml"]
    for path in kept:
        text = path.read_bytes()
        assert not any(secret.encode() in text for secret in (DASHBOARD_TOKEN, GATEWAY_SECRET, GOOD_KEY)), path


def test_a_host_that_works_for_all_and_cannot_be_reached(scenario: Scenario) -> None:
    before = serving(scenario.lab)
    nowhere = {"ansible_connection": "ssh", "ansible_host": "127.0.0.1", "ansible_port": 9}
    scenario.inventory["all"].setdefault("hosts", {})["builder"] = nowhere
    scenario.variables["tyk_build_host"] = "builder"
    run = scenario.play()
    assert run.code not in (0, 4), run.output[-6000:]
    assert "REFUSED in plan" in run.output and "builder, which works for all hosts, cannot be reached" in run.output, run.output[-6000:]
    assert run.report["result"] == "refused" and "tyk_build_host" in run.report["message"]
    assert serving(scenario.lab) == before


def test_a_host_that_works_for_all_and_is_lost_in_the_middle(scenario: Scenario, monkeypatch: pytest.MonkeyPatch) -> None:
    before = serving(scenario.lab)
    own_sources(scenario)
    plugins, lost = ROOT / "tests" / "unit" / "playbooks", scenario.directory / "lost"
    lost.mkdir()
    for name, value in {
        "ANSIBLE_CONNECTION_PLUGINS": str(plugins / "connection"),
        "ANSIBLE_CALLBACK_PLUGINS": str(plugins / "callback"),
        "ANSIBLE_CALLBACKS_ENABLED": "lose",
        "LOSE": json.dumps({"Build the bundles": {"builder": "before"}}),
        "LOST_HOSTS": str(lost),
    }.items():
        monkeypatch.setenv(name, value)
    builder = {"ansible_connection": "fragile", "ansible_python_interpreter": sys.executable}
    scenario.inventory["all"].setdefault("hosts", {})["builder"] = builder
    scenario.variables["tyk_build_host"] = "builder"
    run = scenario.play()
    assert run.code not in (0, 4), run.output[-6000:]
    assert "REFUSED in prepare" in run.output and 'The host builder could not be reached for "Build the bundles"' in run.output
    assert run.report["result"] == "refused" and "builder" in run.report["message"]
    assert serving(scenario.lab) == before


def test_a_host_that_cannot_be_reached(scenario: Scenario) -> None:
    before = serving(scenario.lab)
    scenario.gateways["gw2"].update(ansible_connection="ssh", ansible_host="127.0.0.1", ansible_port=9)
    run = scenario.play()
    assert run.code not in (0, 4), run.output[-6000:]
    assert "REFUSED in plan" in run.output and "The host gw2 could not be reached" in run.output, run.output[-6000:]
    assert run.report["result"] == "refused"
    assert serving(scenario.lab) == before
