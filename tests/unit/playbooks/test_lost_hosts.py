# Copyright (c) 2026 tyk.upgrade contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""A host that works for all, or is being worked on, is lost in the middle of a phase: the run stops there and says so.

Playbooks, roles, journal and report are the collection's own; the other modules answer as told and note that they were
asked. ANSIBLE_PLAYBOOK names the program of another ansible-core to try the same with.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Dict, List, Mapping, Tuple

import pytest
import yaml

from ansible_collections.tyk.upgrade.tests.unit.plugins.modules.module_runner import run_module

pytestmark = pytest.mark.slow

HERE = Path(__file__).resolve().parent
ROOT = HERE.parents[2]
OLD, NEW = "5.3.0", "5.8.9"
REAL = ("upgrade_journal", "upgrade_report")
STAND_IN = """#!/usr/bin/python
import json
import sys
from ansible.module_utils import basic

if __name__ == "__main__":
    arguments = basic._load_params()
    with open({calls!r}, "a") as calls:
        calls.write(json.dumps([{name!r}, arguments]) + "\\n")
    with open({answers!r}) as answers:
        print(json.dumps(dict({{"changed": False}}, **json.load(answers).get({name!r}, {{}}))))
    sys.exit()
"""
ANSWERS: Dict[str, Any] = {
    "api_definition_info": {"apis": [{"id": "orders", "bundle": "new.zip"}]},
    "api_definition_patch": {"changed": True},
    "bundle_build": {"path": "new.zip"},
    "bundle_info": {"found": True},
    "bundle_place": {"files": []},
    "bundle_publish": {"name": "new.zip"},
    "container_upgrade": {"changed": True, "seconds": 1.0},
    "gateway_info": {"gateways": [{"name": "gw1", "version": NEW}, {"name": "gw2", "version": NEW}]},
    "plugin_compile": {"builds": []},
}
PLAN: Dict[str, Any] = {
    "to": NEW,
    "changes": 1,
    "empty": False,
    "cutover": "shared",
    "window": [],
    "forgets_backup": False,
    "gateways": [
        {"host": host, "action": "replace", "from": OLD, "to": NEW, "image_from": "", "image_to": f"gateway:v{NEW}"} for host in ("gw1", "gw2")
    ],
    "batches": [["gw1"], ["gw2"]],
    "pumps": [{"host": "pump1", "action": "replace", "from": "1.0.0", "to": "1.1.0", "image_to": "pump:v1.1.0"}],
    "apis": [{"id": "orders", "name": "orders", "digest": "d", "from_bundle": "old.zip", "to_bundle": "new.zip"}],
    "bundles": [{"name": "new.zip", "keep": False, "given": False, "manifest": {}, "provenance": "p", "versions": [], "files": []}],
    "builds": [],
}
#: The phases of the whole run after the plan, which is there already.
PHASES = ("prepare", "control_plane", "switch", "pump", "gateways", "validate")


@dataclass
class Ended:
    code: int
    output: str
    calls: List[Any]
    journal: List[Dict[str, Any]]

    def asked(self, module: str, **arguments: Any) -> int:
        """How often the module was run with these arguments."""
        return sum(name == module and arguments.items() <= given.items() for name, given in self.calls)

    def events(self, stage: str) -> List[str]:
        """What the journal says of the stage itself."""
        return [line["event"] for line in self.journal if line["stage"] == stage and not line["unit"]]


class World:
    """Two gateways, a pump, a host that builds and one that keeps the journal, all of which can be lost."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        (folder / "lost").mkdir()
        self.answers = dict(ANSWERS)
        self._collection()
        opened = run_module("upgrade_journal", {"dir": str(folder / "journal"), "state": "open"})
        self.run = {"id": opened["run_id"], "plan": PLAN, "plan_sha256": "0" * 64, "apis": [{"id": "orders", "bundle": "old.zip"}]}

    def _collection(self) -> None:
        """The checkout, with stand-ins for the modules that look at or change the world."""
        collection = self.folder / "collections" / "ansible_collections" / "tyk" / "upgrade"
        modules = collection / "plugins" / "modules"
        modules.mkdir(parents=True)
        for name in ("galaxy.yml", "meta", "playbooks", "roles"):
            (collection / name).symlink_to(ROOT / name)
        for path in (ROOT / "plugins").iterdir():
            if path.name != "modules":
                (collection / "plugins" / path.name).symlink_to(path)
        for path in (ROOT / "plugins" / "modules").glob("[!_]*.py"):
            if path.stem in REAL:
                (modules / path.name).symlink_to(path)
            else:
                places = {"calls": str(self.folder / "calls"), "answers": str(self.folder / "answers")}
                (modules / path.name).write_text(STAND_IN.format(name=path.stem, **places))

    def inventory(self) -> Dict[str, Any]:
        fragile = {"ansible_connection": "fragile", "ansible_python_interpreter": sys.executable}
        variables = {
            "tyk_target_version": NEW,
            "tyk_control_plane_confirmed_version": NEW,
            "tyk_dashboard_url": "http://dashboard",
            "tyk_dashboard_token": "t",
            "tyk_gateway_url": "http://gateway",
            "tyk_gateway_secret": "s",
            "tyk_redis_url": "redis://redis",
            "tyk_load_balancers": [{"socket": "tcp://haproxy:1", "backend": "tyk"}],
            "tyk_bundle_store": {"kind": "http", "url": "http://bundles/"},
            "tyk_build_host": "builder",
            "tyk_journal_host": "keeper",
            "tyk_journal_dir": str(self.folder / "journal"),
            "tyk_report_dir": str(self.folder / "reports"),
            "gateway_container": "gateway",
            "pump_container": "pump",
        }
        here = {"ansible_connection": "local", "ansible_python_interpreter": sys.executable, "preflight_run": self.run}
        groups = {"tyk_gateways": {"hosts": {"gw1": fragile, "gw2": fragile}}, "tyk_pumps": {"hosts": {"pump1": fragile}}}
        return {"all": {"vars": variables, "hosts": {"localhost": here, "builder": fragile, "keeper": fragile}, "children": groups}}

    def play(self, *phases: str, lose: Mapping[str, Mapping[str, str]], whole: bool = False) -> Ended:
        """One phase alone, or several and the report; lose: from which task on which hosts cannot be reached."""
        (self.folder / "inventory.yml").write_text(yaml.safe_dump(self.inventory()))
        (self.folder / "answers").write_text(json.dumps(self.answers))
        calls = self.folder / "calls"
        calls.write_text("")
        playbooks = [str(ROOT / "playbooks" / f"{phase}.yml") for phase in phases]
        if whole:
            playbooks.append(str(ROOT / "playbooks" / "report.yml"))
        run = [{"import_playbook": path, "vars": {"tyk_whole_run": whole}} for path in playbooks]
        (self.folder / "run.yml").write_text(yaml.safe_dump(run))
        program = os.environ.get("ANSIBLE_PLAYBOOK")
        command = [program] if program else [sys.executable, "-m", "ansible", "playbook"]
        inherited = {name: value for name, value in os.environ.items() if not name.startswith(("ANSIBLE_", "PYTHON"))}
        done = subprocess.run(
            [*command, "-i", str(self.folder / "inventory.yml"), str(self.folder / "run.yml")],
            cwd=self.folder,
            env={
                **inherited,
                "HOME": str(self.folder),
                "ANSIBLE_COLLECTIONS_PATH": str(self.folder / "collections"),
                "ANSIBLE_CONNECTION_PLUGINS": str(HERE / "connection"),
                "ANSIBLE_CALLBACK_PLUGINS": str(HERE / "callback"),
                "ANSIBLE_CALLBACKS_ENABLED": "lose",
                "ANSIBLE_NOCOLOR": "1",
                "ANSIBLE_PIPELINING": "1",
                "LOSE": json.dumps(lose),
                "LOST_HOSTS": str(self.folder / "lost"),
            },
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            timeout=300,
            check=False,
        )
        journal = (self.folder / "journal" / "journal.jsonl").read_text().splitlines()
        asked = [json.loads(line) for line in calls.read_text().splitlines()]
        return Ended(done.returncode, done.stdout + done.stderr, asked, [json.loads(line) for line in journal])

    @property
    def report(self) -> Dict[str, Any]:
        read: Dict[str, Any] = json.loads((self.folder / "reports" / "report.json").read_text())
        return read


@pytest.fixture
def world(tmp_path: Path) -> World:
    return World(tmp_path)


BEGIN, DONE = "Begin in the journal", "Note in the journal that it is done"
CHANGING = ("api_definition_patch", "bundle_publish", "container_upgrade", "load_balancer_member", "plugin_compile")


@dataclass(frozen=True)
class Case:
    phase: str
    host: str
    task: str
    result: str = "REFUSED"
    when: str = "before"
    never: Tuple[str, ...] = ()  # modules that must not run


CASES = {
    "prepare, journal at the beginning": Case("prepare", "keeper", BEGIN, never=CHANGING),
    "prepare, builder in the middle": Case(
        "prepare", "builder", "Build the bundles", when="after", never=("container_upgrade",)
    ),
    "prepare, gateway": Case("prepare", "gw2", "Time the download from the gateway's own network"),
    "prepare, journal at the end": Case("prepare", "keeper", DONE, when="after"),
    "control plane, journal at the end": Case("control_plane", "keeper", DONE),
    "switch, journal at the beginning": Case("switch", "keeper", BEGIN, "HALTED", never=("api_definition_patch", "traffic_probe")),
    "switch, builder": Case(
        "switch", "builder", "Refuse a bundle that the store does not have", "HALTED", never=("api_definition_patch",)
    ),
    "switch, gateway": Case("switch", "gw2", "Look for the new bundles and for load errors", "HALTED"),
    "switch, journal at the end": Case("switch", "keeper", DONE, "HALTED", never=("api_definition_restore",)),
    "pump, host": Case("pump", "pump1", "Replace the container", "HALTED"),
    "pump, journal at the end": Case("pump", "keeper", DONE, "HALTED"),
    "gateways, journal at the beginning": Case("gateways", "keeper", f"Order the roll / {BEGIN}", never=CHANGING),
    "gateways, journal before a gateway": Case(
        "gateways", "keeper", f"Roll the gateways / {BEGIN}", "HALTED", never=("container_upgrade",)
    ),
    "gateways, journal at the end": Case("gateways", "keeper", f"End the roll / {DONE}", "HALTED"),
    "validate, journal": Case("validate", "keeper", "Note what runs now in the journal", "HALTED"),
}


@pytest.mark.parametrize("name", CASES)
def test_the_run_stops_where_a_host_is_lost(name: str, world: World) -> None:
    case = CASES[name]
    ended = world.play(case.phase, lose={case.task: {case.host: case.when}})
    assert ended.code == 2, ended.output
    assert f"{case.result} in {case.phase}: The host {case.host} could not be reached" in ended.output, ended.output
    assert f"{case.result.capitalize()} in {case.phase}: " in ended.output, "the last task says it again\n" + ended.output
    assert not [module for module in case.never if ended.asked(module)], ended.output
    if case.host != "keeper":
        assert ended.journal[-1]["data"]["result"] == case.result.lower(), "closed with its result"
    else:
        assert "The journal does not say so" in ended.output
    assert ("done" in ended.events(case.phase)) is (case.task == DONE and case.when == "after")


def test_a_pump_that_is_proven_stays_when_its_line_cannot_be_written(world: World) -> None:
    ended = world.play("pump", lose={"Note in the journal what was measured and what is left to edit by hand": {"keeper": "before"}})
    assert ended.code == 2 and "HALTED in pump: The host keeper could not be reached" in ended.output, ended.output
    assert ended.asked("container_upgrade") == 1 and not ended.asked("container_upgrade", state="returned"), ended.output


def test_a_gateway_that_serves_stays_when_its_line_cannot_be_written_and_the_next_is_left_alone(world: World) -> None:
    ended = world.play("gateways", lose={"Note in the journal that the gateway is done": {"keeper": "before"}})
    assert ended.code == 2 and "HALTED in gateways: The host keeper could not be reached" in ended.output, ended.output
    assert ended.asked("container_upgrade") == 1 and not ended.asked("container_upgrade", state="returned"), ended.output
    assert ended.asked("load_balancer_member", state="ready") == 1


def test_a_gateway_is_left_out_of_its_pool_when_its_host_is_lost_while_it_is_replaced(world: World) -> None:
    lose = {"Replace the container": {"gw1": "after"}, "Remember why the run stops": {"gw1": ""}}
    ended = world.play("gateways", lose=lose)
    assert ended.code == 2 and "HALTED in gateways: The host gw1 could not be reached" in ended.output, ended.output
    assert "gw1 stays out of service" in ended.output
    assert ended.asked("container_upgrade") == 1, "the next gateway is left alone"
    assert ended.asked("load_balancer_member", state="drained") == 1 and not ended.asked("load_balancer_member", state="ready")


def test_a_gateway_goes_back_when_its_host_is_lost_before_it_is_touched(world: World) -> None:
    """Lost with the journal: nobody can be told, and the way back is gone all the same."""
    world.answers["gateway_reload"] = {"failed": True, "msg": "No."}
    ended = world.play("gateways", lose={"Remember why the run stops": {"keeper": "before"}})
    assert ended.code == 2 and "HALTED in gateways: No." in ended.output, ended.output
    assert ended.asked("container_upgrade", state="returned") == 1 and ended.asked("load_balancer_member", state="ready") == 1


def test_the_report_tells_of_a_host_that_was_lost(world: World) -> None:
    ended = world.play("prepare", lose={"Publish the bundles under their new names": {"builder": "before"}}, whole=True)
    assert ended.code == 2 and "The run ended refused in prepare: The host builder could not be reached" in ended.output, ended.output
    assert world.report["result"] == "refused" and "builder could not be reached" in world.report["message"]


def test_without_the_journal_the_reason_is_said_all_the_same(world: World) -> None:
    ended = world.play("prepare", lose={BEGIN: {"keeper": "before"}}, whole=True)
    assert ended.code == 2 and "The run ended refused in prepare: The host keeper could not be reached" in ended.output, ended.output
    assert "The report could not be written" in ended.output and not (world.folder / "reports").exists()


@pytest.mark.parametrize("task", ["Close the run in the journal", "Write the report for machines"])
def test_a_report_that_cannot_be_written_fails_the_run(task: str, world: World) -> None:
    ended = world.play("validate", lose={task: {"keeper": "before"}}, whole=True)
    assert ended.code == 2, ended.output
    # ansible-core 2.16 ends at a file that it could not write, and says that itself.
    assert "The report could not be written" in ended.output or "keeper]: UNREACHABLE!" in ended.output, ended.output


def test_no_later_phase_begins_and_the_report_is_written(world: World) -> None:
    ended = world.play(*PHASES, lose={"Refuse a bundle that the store does not have": {"builder": "before"}}, whole=True)
    assert ended.code == 2 and world.report["result"] == "halted", ended.output
    assert {phase for phase in PHASES if ended.events(phase)} == {"prepare", "control_plane", "switch"}
    assert not ended.asked("api_definition_patch") and not ended.asked("load_balancer_member")


def test_nothing_lost_nothing_stopped(world: World) -> None:
    ended = world.play(*PHASES, lose={}, whole=True)
    assert ended.code == 0 and world.report["result"] == "succeeded", ended.output
    assert all(ended.events(phase)[-1] == "done" for phase in PHASES if phase != "validate"), ended.journal
    assert "done" in ended.events("validate")


def test_a_whole_run_succeeds_only_when_it_came_to_its_last_phase(world: World) -> None:
    ended = world.play("pump", lose={}, whole=True)
    assert ended.code == 2 and world.report["result"] == "halted", ended.output
    assert "HALTED" not in ended.output, ended.output
