# Copyright (c) 2026 tyk.upgrade contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""No task can lose its host without failing: with unreachable hosts ignored, Ansible would go on, or end without a report."""

from __future__ import annotations

from pathlib import Path
from typing import Any, Dict, Iterator, Tuple

import yaml

ROOT = Path(__file__).resolve().parents[3]
FILES = sorted([*(ROOT / "playbooks").glob("*.yml"), *(ROOT / "roles").glob("*/tasks/**/*.yml")])
PREFIX = "tyk.upgrade."
#: Run on the controller, whatever host they are for.
ON_CONTROLLER = {
    f"ansible.builtin.{name}"
    for name in ("add_host", "assert", "debug", "fail", "import_playbook", "include_role", "include_tasks", "meta", "set_fact")
}
#: Run for all, and the tasks that follow, or the rescue, look whether the host was there.
LOOKED_AT = {"Reach it", "Make the report's folder", "Write the report for machines", "Write the report for people"}
KEYWORDS = {"block", "rescue", "always"}


def tasks(entries: Any, inherited: Dict[str, Any], where: str) -> Iterator[Tuple[str, Dict[str, Any]]]:
    """Every task with what its blocks say of where it runs."""
    for entry in entries or []:
        own = {**inherited, **{key: entry[key] for key in ("run_once", "delegate_to") if key in entry}}
        parts = [part for part in ("tasks", *KEYWORDS) if part in entry]
        for part in parts:
            yield from tasks(entry[part], own, where)
        if not parts:
            yield where, {**own, **entry}


EVERY = [found for path in FILES for found in tasks(yaml.safe_load(path.read_text()), {}, str(path.relative_to(ROOT)))]


def action(task: Dict[str, Any]) -> str:
    (name,) = [key for key in task if key.startswith((PREFIX, "ansible.builtin.", "community."))]
    return name


def test_every_module_fails_when_its_host_is_lost() -> None:
    routed = yaml.safe_load((ROOT / "meta" / "runtime.yml").read_text())["plugin_routing"]["modules"]
    modules = {path.stem for path in (ROOT / "plugins" / "modules").glob("[!_]*.py")}
    assert set(routed) == modules - {"plugin_compile"}, "plugin_compile has an action of its own, which does the same"
    assert all(entry == {"action_plugin": f"{PREFIX}reached"} for entry in routed.values())


def test_what_runs_for_all_is_a_module_that_fails_when_its_host_is_lost() -> None:
    for where, task in EVERY:
        if "run_once" in task or "delegate_to" in task:
            named = action(task)
            assert named.startswith(PREFIX) or named in ON_CONTROLLER or task["name"] in LOOKED_AT, f"{where}: {task['name']}"


def test_no_condition_hides_that_a_module_failed() -> None:
    for where, task in EVERY:
        condition = task.get("failed_when", False)
        if condition is not False and action(task).startswith(PREFIX):
            assert condition.startswith(f"{task['register']} is failed or "), f"{where}: {task['name']}"


def test_a_module_whose_failure_does_not_matter_runs_for_one_host_alone() -> None:
    """An unreachable host is not failed by then, and run for all it would end the run for all."""
    for where, task in EVERY:
        if task.get("failed_when") is False:
            assert "run_once" not in task, f"{where}: {task['name']}"
