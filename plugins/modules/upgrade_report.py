#!/usr/bin/python
# Copyright (c) 2026 tyk.upgrade contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Assemble the report of an upgrade run from its journal."""

from __future__ import annotations

DOCUMENTATION = r"""
module: upgrade_report
short_description: Assemble the report of an upgrade run from its journal
version_added: 0.1.0
author:
  - tyk.upgrade contributors (@tyk-upgrade)
description:
  - Says what a run did, how long each stage took, and from which version to which version each gateway was seen to go.
  - Versions are those that were observed and written to the journal, never those that the plan hoped for.
  - The report is checked against its schema C(tyk.upgrade/report/v1) before it is returned.
attributes:
  check_mode:
    support: full
    details:
      - This module does not change anything.
  diff_mode:
    support: N/A
    details:
      - This module does not change anything.
  idempotent:
    support: full
    details:
      - This module does not change anything.
extends_documentation_fragment:
  - tyk.upgrade.attributes
options:
  dir:
    description:
      - The folder of the journal, as M(tyk.upgrade.upgrade_journal) keeps it.
    type: path
    required: true
  run_id:
    description:
      - The run to report. The default is the run opened last.
    type: str
  meters:
    description:
      - What meters independent of this collection counted, a dictionary with any of C(traffic), C(analytics), C(lab).
      - Blocks that are not given are not in the report.
    type: dict
    default: {}
notes:
  - The report is checked with the Python library C(jsonschema) where that is installed, and with an equal check of this
    collection where it is not.
seealso:
  - module: tyk.upgrade.upgrade_journal
"""

EXAMPLES = r"""
- name: Assemble the report of the last run
  tyk.upgrade.upgrade_report:
    dir: ~/.tyk-upgrade
  register: assembled

- name: Keep it
  ansible.builtin.copy:
    content: "{{ assembled.report | to_nice_json }}"
    dest: report.json
    mode: "0644"
"""

RETURN = r"""
report:
  description: The report, of the schema C(tyk.upgrade/report/v1).
  returned: always
  type: dict
  contains:
    result:
      description: >-
        V(succeeded), V(refused) (nothing that serves was changed), V(halted), V(rolled_back), or V(unfinished) for a
        run that was not closed.
      type: str
    run_id:
      description: The run.
      type: str
    from:
      description: The version the fleet was seen to come from.
      type: str
    to:
      description: The target.
      type: str
    opened:
      description: When the run began, in UTC.
      type: str
    ended:
      description: When its last line was written, in UTC.
      type: str
    message:
      description: Why it stopped, if it stopped.
      type: str
    stages:
      description: Each stage with C(name), C(result) and C(seconds).
      type: list
      elements: dict
    gateways:
      description: Each gateway with C(host), C(deployment), the first and last version observed, and C(seconds).
      type: list
      elements: dict
    apis:
      description: The API definitions that were moved, with C(from_bundle) and C(to_bundle).
      type: list
      elements: dict
    traffic:
      description: What the meter of the traffic counted.
      type: dict
      returned: when given
    analytics:
      description: Analytics records that went in and came out.
      type: dict
      returned: when given
    lab:
      description: Which images the lab ran, and which parts were stand-ins.
      type: dict
      returned: when given
    findings:
      description: Everything that was found wrong or worth knowing.
      type: list
      elements: dict
    plan_sha256:
      description: The plan.
      type: str
    journal_head:
      description: The digest of the journal's last line.
      type: str
lines:
  description: The report as aligned lines of text for the end of a run.
  returned: always
  type: list
  elements: str
findings:
  description: What is wrong with the journal itself.
  returned: always
  type: list
  elements: dict
"""

from typing import Any, Dict, List, Mapping

try:
    import jsonschema
except ImportError:  # the collection's own check does the same
    HAS_JSONSCHEMA = False
else:
    HAS_JSONSCHEMA = hasattr(jsonschema, "Draft202012Validator")

from ansible_collections.tyk.upgrade.plugins.module_utils._clients.errors import ClientError
from ansible_collections.tyk.upgrade.plugins.module_utils._clients.journal_store import JournalStore
from ansible_collections.tyk.upgrade.plugins.module_utils._domain import journal, report
from ansible_collections.tyk.upgrade.plugins.module_utils._domain.findings import to_dicts
from ansible_collections.tyk.upgrade.plugins.module_utils._module import Module


def departures(assembled: Mapping[str, Any]) -> List[str]:
    """Where the report departs from its schema."""
    if not HAS_JSONSCHEMA:
        return report.problems(assembled)
    validator = jsonschema.Draft202012Validator(report.SCHEMA)
    return [
        f"{'.'.join(map(str, ['report', *problem.absolute_path]))}: {problem.message}."
        for problem in validator.iter_errors(assembled)
    ]


def run(params: Mapping[str, Any]) -> Dict[str, Any]:
    """Everything between arguments and result. Raises ClientError."""
    store = JournalStore(params["dir"])
    read = store.read()
    run_id = params["run_id"] or journal.last_run(read.lines)
    try:
        sha256 = journal.run_view(read.lines, run_id).plan_sha256 if run_id else ""
        assembled = report.assemble(read.lines, store.load_plan(sha256) or {}, params["meters"], run_id)
    except ValueError as problem:
        raise ClientError(
            "setting-invalid",
            "run_id",
            f"There is nothing to report from {store.folder}: {problem}",
            "Correct dir or run_id.",
        ) from problem
    assembled["findings"] += to_dicts(read.findings)
    wrong = departures(assembled)
    if wrong:
        raise ClientError(
            "setting-invalid",
            "meters",
            f"The report of {assembled['run_id']} does not follow its schema: {' '.join(wrong[:5])}",
            "Correct what the meters or the journal's data say.",
        )
    return {"report": assembled, "lines": report.closing_table(assembled), "findings": to_dicts(read.findings)}


def main() -> None:
    """Run as an Ansible module."""
    module = Module(
        argument_spec={
            "dir": {"type": "path", "required": True},
            "run_id": {"type": "str"},
            "meters": {"type": "dict", "default": {}},
        },
        supports_check_mode=True,
    )
    try:
        result = run(module.params)
    except ClientError as problem:
        module.fail_json(msg=str(problem), findings=to_dicts([problem.finding]))
    module.exit_json(changed=False, **result)


if __name__ == "__main__":
    main()
