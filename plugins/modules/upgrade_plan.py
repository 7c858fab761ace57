#!/usr/bin/python
# Copyright (c) 2026 tyk.upgrade contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Compute what an upgrade has to do."""

from __future__ import annotations

DOCUMENTATION = r"""
module: upgrade_plan
short_description: Compute what an upgrade of a Tyk data plane has to do
version_added: 0.1.0
author:
  - tyk.upgrade contributors (@tyk-upgrade)
description:
  - Takes what was observed and what is wanted, and returns the plan. It says which plugins are built for which
    versions, what the new bundles hold and are called, which API definitions move, and which pumps and gateways are
    replaced in which order.
  - The plan depends on nothing else. The same state and the same wishes give the same bytes and the same SHA-256.
  - A plan that must not be carried out is returned as well. The reasons are in RV(findings) with severity V(error);
    the module fails only when its own input cannot be read.
  - Looks at nothing and changes nothing; the state comes from the info modules of this collection.
attributes:
  check_mode:
    support: full
    details:
      - In check mode O(dest) is not written.
  diff_mode:
    support: none
    details:
      - The plan is the difference; RV(summary) says it in words.
  idempotent:
    support: full
    details:
      - Never reports a change. A plan that is kept in O(dest) is not a change of the managed systems.
extends_documentation_fragment:
  - tyk.upgrade.attributes
options:
  state:
    description:
      - What was observed in this run, a dictionary with C(gateways), C(pumps), C(control_plane), C(apis), C(bundles),
        C(sources), C(compilers) and C(findings). The filter P(tyk.upgrade.observed_state#filter) makes it.
      - Findings in it are passed on into the plan.
    type: dict
    required: true
  wanted:
    description:
      - What the user asked for, a dictionary with C(version) and, if wanted, C(pump_version), C(waves),
        C(max_unavailable), C(on_failure), C(plugins), C(accept) and C(stop_timeout).
      - Versions are text. A number is refused, because V(5.10) as a number is V(5.1).
    type: dict
    required: true
  saved_plan:
    description:
      - A plan that was made earlier, as a dictionary or as the path of the file that O(dest) wrote.
      - The new plan then also says, as findings with the code V(drift), which gateway, pump or API is neither where the
        saved plan found it nor where the plan takes it, and whether wishes, sources or compilers have changed.
    type: raw
  dest:
    description:
      - Where to keep the plan. A path that ends in a slash, or is a folder, gets a file named by the plan's SHA-256.
      - The file is written in one piece, readable by its owner only.
    type: path
"""

EXAMPLES = r"""
- name: Compute the plan
  tyk.upgrade.upgrade_plan:
    state: "{{ observed }}"
    wanted:
      version: "5.8.9"
      pump_version: "1.12.0"
      waves: [1, "25%", "100%"]
      max_unavailable: 1
      plugins:
        - name: HeaderPlugin
          source: plugins/HeaderPlugin
  register: planned

- name: Show it
  ansible.builtin.debug:
    msg: "{{ planned.summary }}"

- name: Refuse what would go wrong
  ansible.builtin.assert:
    that: planned.findings | selectattr('severity', 'equalto', 'error') | length == 0

- name: Apply only the plan that was approved
  tyk.upgrade.upgrade_plan:
    state: "{{ observed }}"
    wanted: "{{ wanted }}"
    saved_plan: approved-plan.json
"""

RETURN = r"""
plan:
  description: The plan, of the schema C(tyk.upgrade/plan/v1). V(empty) in it is true when everything is as wanted.
  returned: always
  type: dict
  sample:
    schema: tyk.upgrade/plan/v1
    from: ["5.3.0"]
    to: "5.8.9"
    path: "3"
    cutover: shared
    batches: [["gw1"], ["gw2"], ["gw3"]]
    changes: 15
    empty: false
plan_sha256:
  description: The SHA-256 of the plan's canonical JSON, which is what O(dest) holds.
  returned: always
  type: str
summary:
  description: The plan in a few lines for a person, followed by its findings.
  returned: always
  type: list
  elements: str
findings:
  description: The plan's findings. One of severity V(error) means that the plan must not be carried out.
  returned: always
  type: list
  elements: dict
saved_plan_sha256:
  description: The SHA-256 of the saved plan.
  returned: when O(saved_plan) is given
  type: str
dest:
  description: The file that holds the plan.
  returned: when O(dest) is given
  type: str
"""

import json
import os
from dataclasses import replace
from typing import Any, Dict, List, Mapping, Optional

from ansible.module_utils.common.validation import check_type_path

from ansible_collections.tyk.upgrade.plugins.module_utils._clients.journal_store import write_whole
from ansible_collections.tyk.upgrade.plugins.module_utils._domain import plan as planning
from ansible_collections.tyk.upgrade.plugins.module_utils._domain.findings import DomainError, to_dicts
from ansible_collections.tyk.upgrade.plugins.module_utils._domain.plan_checks import merge
from ansible_collections.tyk.upgrade.plugins.module_utils._domain.state import State
from ansible_collections.tyk.upgrade.plugins.module_utils._module import Module


class InputError(Exception):
    """An argument that cannot be read, as a sentence."""


def read_saved(given: Any) -> Optional[Dict[str, Any]]:
    """The saved plan, from a dictionary or from a file. Raises InputError."""
    if given is None or given == "":
        return None
    if isinstance(given, Mapping):
        return dict(given)
    if not isinstance(given, str):
        raise InputError(f"saved_plan is neither a plan nor the path of one, but a {type(given).__name__}.")
    path = os.path.abspath(check_type_path(given))
    try:
        with open(path, encoding="utf-8") as stream:
            plan = json.load(stream)
    except OSError as problem:
        raise InputError(f"The saved plan {path} cannot be read: {problem.strerror}.") from problem
    except ValueError as problem:
        raise InputError(f"The saved plan {path} is not JSON: {problem}.") from problem
    if not isinstance(plan, dict):
        raise InputError(f"The saved plan {path} is not a plan: it holds a {type(plan).__name__}.")
    return plan


def make_plan(state: State, wanted: Mapping[str, Any], saved: Optional[Mapping[str, Any]]) -> planning.Plan:
    """The plan, with everything that has moved since the saved one was made among its findings."""
    try:
        plan = planning.build(state, planning.Wanted.from_dict(wanted))
    except DomainError as problem:
        return planning.refused(problem.finding, state)
    if saved is None:
        return plan
    moved = planning.drift(saved, state) + planning.deviation(saved, plan)
    return replace(plan, findings=merge(plan.findings, moved))


def keep(plan: Mapping[str, Any], sha256: str, dest: str, check_mode: bool) -> str:
    """Write the plan unless the file holds it already; returns the file's path. Raises InputError."""
    path = os.path.join(dest, f"{sha256}.json") if dest.endswith(os.sep) or os.path.isdir(dest) else dest
    text = planning.canonical_json(plan)
    try:
        if not check_mode and not _holds(path, text):
            os.makedirs(os.path.dirname(os.path.abspath(path)), mode=0o700, exist_ok=True)
            write_whole(path, text, 0o600)
    except OSError as problem:
        raise InputError(
            f"The plan cannot be written to {path}: {problem.strerror}. Choose another dest, or make room there."
        ) from problem
    return path


def _holds(path: str, text: str) -> bool:
    try:
        with open(path, encoding="utf-8") as stream:
            return stream.read() == text
    except (OSError, ValueError):
        return False


def run(params: Mapping[str, Any], check_mode: bool) -> Dict[str, Any]:
    """Everything between arguments and result. Raises InputError."""
    try:
        state = State.from_dict(params["state"])
    except (ValueError, KeyError, TypeError, AttributeError) as problem:
        raise InputError(f"The state cannot be read: {problem}") from problem
    saved = read_saved(params["saved_plan"])
    plan = make_plan(state, params["wanted"], saved)
    as_dict = plan.to_dict()
    lines: List[str] = planning.summary_lines(plan)
    result: Dict[str, Any] = {
        "plan": as_dict,
        "plan_sha256": plan.sha256,
        "summary": lines,
        "findings": to_dicts(plan.findings),
    }
    if saved is not None:
        result["saved_plan_sha256"] = planning.plan_sha256(saved)
    if params["dest"]:
        result["dest"] = keep(as_dict, plan.sha256, params["dest"], check_mode)
    return result


def main() -> None:
    """Run as an Ansible module."""
    module = Module(
        argument_spec={
            "state": {"type": "dict", "required": True},
            "wanted": {"type": "dict", "required": True},
            "saved_plan": {"type": "raw"},
            "dest": {"type": "path"},
        },
        supports_check_mode=True,
    )
    try:
        result = run(module.params, module.check_mode)
    except InputError as problem:
        module.fail_json(msg=str(problem))
    module.exit_json(changed=False, **result)


if __name__ == "__main__":
    main()
