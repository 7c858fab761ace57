#!/usr/bin/python
# Copyright (c) 2026 tyk.upgrade contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Write and read the journal of upgrade runs."""

from __future__ import annotations

DOCUMENTATION = r"""
module: upgrade_journal
short_description: Write and read the journal of upgrade runs
version_added: 0.1.0
author:
  - tyk.upgrade contributors (@tyk-upgrade)
description:
  - Keeps the journal of upgrade runs, an append-only file C(journal.jsonl) in O(dir). Every line is on the disk before
    the module returns, and carries the digest of the line before, so that later changes show.
  - A lease in C(lease.json) keeps two runs apart. It names its owner, is renewed by every entry and lapses by itself;
    nothing has to be cleared away after a crash.
  - Plans are kept beside it, in C(plans/), named by their SHA-256.
  - The journal is an audit trail and a hint for resuming. What really runs is looked at anew by every run.
attributes:
  check_mode:
    support: full
    details:
      - In check mode nothing is written and no lease is taken; RV(run) is what the journal says without the entry.
  diff_mode:
    support: none
    details:
      - The journal is not part of the managed systems.
  idempotent:
    support: N/A
    details:
      - Each entry is one more line, as a journal is meant to be. It is not a change of the managed systems, and none is
        reported.
extends_documentation_fragment:
  - tyk.upgrade.attributes
options:
  dir:
    description:
      - The folder of the journal. It is made if need be, and everything in it is readable by its owner only.
    type: path
    required: true
  state:
    description:
      - V(open) takes the lease and begins a run. It fails while the lease of another owner lasts.
      - V(begin), V(done) and V(failed) are about a stage, or about one unit in a stage.
      - V(observed) records versions that were seen.
      - V(halt) says that the run stops, and why (C(message) in O(data)).
      - V(close) ends the run with the C(result) in O(data) and gives the lease back. Closing twice changes nothing.
      - V(read) only reads.
    type: str
    choices: [open, begin, done, failed, observed, halt, close, read]
    default: read
  run_id:
    description:
      - The run, as V(open) returned it. Required for every entry into a run.
      - With O(state=read) the default is the run opened last.
    type: str
  stage:
    description:
      - The stage the entry is about. Required for V(begin), V(done) and V(failed).
    type: str
    choices: [plan, prepare, control_plane, switch, pump, gateways, validate, report]
  unit:
    description:
      - The gateway, pump or API the entry is about.
    type: str
  data:
    description:
      - Anything worth keeping. It must hold no secret.
      - A C(plan) in it is kept in C(plans/); the entry carries its C(plan_sha256) instead.
      - A C(version), with O(unit), or C(gateways) with versions by gateway, are what the report takes a gateway's first
        and last version from.
      - A list C(findings) in it reaches the report.
    type: dict
    default: {}
  lease:
    description:
      - Seconds until the lease lapses unless another entry renews it. Longer than the longest step between two entries.
    type: int
    default: 1800
  owner:
    description:
      - Who holds the lease. Runs of the same owner may take it from each other; the earlier one can write no more.
      - The default is the run of Ansible itself, so that two runs of one user are kept apart as well. Where O(dir) is
        on the controller, the lease ends with that run, however it ends.
    type: str
"""

EXAMPLES = r"""
- name: Open a run
  tyk.upgrade.upgrade_journal:
    dir: ~/.tyk-upgrade
    state: open
  register: opened

- name: Begin with a gateway
  tyk.upgrade.upgrade_journal:
    dir: ~/.tyk-upgrade
    run_id: "{{ opened.run_id }}"
    state: begin
    stage: gateways
    unit: gw1

- name: Note what it runs now
  tyk.upgrade.upgrade_journal:
    dir: ~/.tyk-upgrade
    run_id: "{{ opened.run_id }}"
    state: done
    stage: gateways
    unit: gw1
    data:
      version: "5.8.9"

- name: See whether the run was halted
  tyk.upgrade.upgrade_journal:
    dir: ~/.tyk-upgrade
    run_id: "{{ opened.run_id }}"
  register: journal
  failed_when: journal.run.halted is not none

- name: Close the run
  tyk.upgrade.upgrade_journal:
    dir: ~/.tyk-upgrade
    run_id: "{{ opened.run_id }}"
    state: close
    data:
      result: succeeded
"""

RETURN = r"""
run_id:
  description: The run that was opened, written to or read. Empty when the journal holds no run.
  returned: always
  type: str
  sample: 20261123T161845Z-3f9a
head:
  description: The digest of the journal's last line, which stands for all lines.
  returned: always
  type: str
run:
  description: What the journal says about the run; V(null) when it holds no run.
  returned: always
  type: dict
  contains:
    run_id:
      description: The run.
      type: str
    state:
      description: V(running), V(halted), or how it was closed (V(succeeded), V(refused), V(halted), V(rolled_back)).
      type: str
    opened:
      description: When it was opened, in UTC.
      type: str
    last:
      description: When its last line was written, in UTC.
      type: str
    stages:
      description: Its stages in the order they began, each with C(name), C(result) and C(seconds).
      type: list
      elements: dict
    units:
      description: The units it worked on, each with C(name), C(stage), C(result) and C(seconds).
      type: list
      elements: dict
    halted:
      description: Why it was halted; V(null) when it was not.
      type: str
    plan_sha256:
      description: The plan it follows.
      type: str
previous:
  description: The run opened before this one, in the form of RV(run); V(null) when there is none.
  returned: with O(state=open)
  type: dict
findings:
  description: What is wrong with the journal itself.
  returned: always
  type: list
  elements: dict
"""

import getpass
import socket
from datetime import datetime, timezone
from typing import Any, Dict, Mapping, Optional

from ansible_collections.tyk.upgrade.plugins.module_utils._clients.errors import ClientError
from ansible_collections.tyk.upgrade.plugins.module_utils._clients.journal_store import (
    Journal,
    JournalStore,
    new_run_id,
)
from ansible_collections.tyk.upgrade.plugins.module_utils._clients.processes import Process, controller
from ansible_collections.tyk.upgrade.plugins.module_utils._domain import journal
from ansible_collections.tyk.upgrade.plugins.module_utils._domain.findings import to_dicts
from ansible_collections.tyk.upgrade.plugins.module_utils._module import Module

EVENTS = {
    "begin": journal.BEGIN,
    "done": journal.DONE,
    "failed": journal.FAILED,
    "observed": journal.OBSERVED,
    "halt": journal.HALTED,
    "close": journal.CLOSED,
}


def run(params: Mapping[str, Any], check_mode: bool) -> Dict[str, Any]:
    """Everything between arguments and result. Raises ClientError."""
    store = JournalStore(params["dir"])
    state = params["state"]
    if params["lease"] < 1:
        raise _wrong("lease", f"lease is {params['lease']} s; a lease lasts at least one second")
    if state == "open":
        return _open(store, params, check_mode)
    run_id = params["run_id"]
    if state != "read":
        data = _data(params)
        if not check_mode:
            if isinstance(data.get("plan"), dict):
                data["plan_sha256"] = store.save_plan(data.pop("plan"))
            store.append(
                run_id, EVENTS[state], params["stage"] or "", params["unit"] or "", data, params["lease"]
            )
    read = store.read()
    run_id = run_id or journal.last_run(read.lines) or ""
    return _result(read, run_id)


def _open(store: JournalStore, params: Mapping[str, Any], check_mode: bool) -> Dict[str, Any]:
    before = store.read()
    last = journal.last_run(before.lines)
    previous = journal.run_view(before.lines, last).to_dict() if last else None
    if check_mode:
        run_id = params["run_id"] or new_run_id(datetime.now(timezone.utc))
        return {**_result(before, ""), "run_id": run_id, "run": None, "previous": previous}
    run_id = params["run_id"] or new_run_id(datetime.now(timezone.utc))
    process = controller()
    line = store.open_run(
        owner=params["owner"] or _owner(run_id, process),
        seconds=params["lease"],
        data=params["data"],
        run_id=run_id,
        process=process,
    )
    return {**_result(store.read(), line.run_id), "previous": previous}


def _result(read: Journal, run_id: str) -> Dict[str, Any]:
    view: Optional[Dict[str, Any]] = None
    if run_id:
        try:
            view = journal.run_view(read.lines, run_id).to_dict()
        except ValueError as problem:
            raise _wrong("run_id", str(problem).rstrip(".")) from problem
    return {"run_id": run_id, "head": read.head, "run": view, "findings": to_dicts(read.findings)}


def _data(params: Mapping[str, Any]) -> Dict[str, Any]:
    data = dict(params["data"])
    if params["state"] == "close":
        result = data.setdefault("result", journal.SUCCEEDED)
        if result not in journal.RESULTS:
            raise _wrong("data", f"a run ends as one of {', '.join(journal.RESULTS)}, not as {result!r}")
    return data


def _owner(run_id: str, process: Optional[Process]) -> str:
    """Names one run of Ansible, and the person behind it."""
    try:
        user = getpass.getuser()
    except (KeyError, OSError):
        user = "unknown"  # a user id without a name, as in some containers
    run = f"process {process.pid}" if process is not None else run_id
    return f"{user}@{socket.gethostname()}, {run}"


def _wrong(option: str, what: str) -> ClientError:
    return ClientError("setting-invalid", option, f"The journal was not written: {what}.", f"Correct {option}.")


def main() -> None:
    """Run as an Ansible module."""
    module = Module(
        argument_spec={
            "dir": {"type": "path", "required": True},
            "state": {"type": "str", "choices": ["open", *EVENTS, "read"], "default": "read"},
            "run_id": {"type": "str"},
            "stage": {"type": "str", "choices": list(journal.STAGES)},
            "unit": {"type": "str"},
            "data": {"type": "dict", "default": {}},
            "lease": {"type": "int", "default": 1800},
            "owner": {"type": "str"},
        },
        required_if=[
            ("state", "begin", ["run_id", "stage"]),
            ("state", "done", ["run_id", "stage"]),
            ("state", "failed", ["run_id", "stage"]),
            ("state", "observed", ["run_id"]),
            ("state", "halt", ["run_id"]),
            ("state", "close", ["run_id"]),
        ],
        supports_check_mode=True,
    )
    try:
        result = run(module.params, module.check_mode)
    except ClientError as problem:
        module.fail_json(msg=str(problem), findings=to_dicts([problem.finding]))
    module.exit_json(changed=False, **result)


if __name__ == "__main__":
    main()
