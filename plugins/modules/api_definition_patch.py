#!/usr/bin/python
# Copyright (c) 2026 tyk.upgrade contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

DOCUMENTATION = r"""
module: api_definition_patch
short_description: Switch many API definitions to another plugin bundle
version_added: 0.1.0
author:
  - tyk.upgrade contributors (@tyk-upgrade)
description:
  - Lets API definitions, classic and OAS, name another bundle.
  - All of them are read and compared with what is expected before the first one is written; when one is not as
    expected, nothing is written. Each one is read once more just before it is written, and read back after.
  - An API that names the wanted bundle already is left alone, whatever else is expected of it, so a run that was
    interrupted can be repeated.
  - Each write makes all gateways of the Dashboard reload.
extends_documentation_fragment:
  - tyk.upgrade.attributes
  - tyk.upgrade.connection
  - tyk.upgrade.connection.dashboard
attributes:
  check_mode:
    support: full
    details:
      - Everything is read and compared in check mode too, so the prediction is exact. No backup is written.
  diff_mode:
    support: full
  idempotent:
    support: full
options:
  timeout:
    default: 30
  changes:
    description: The APIs to switch.
    type: list
    elements: dict
    required: true
    suboptions:
      id:
        description: The API id.
        type: str
        required: true
      bundle:
        description: The bundle that the API shall name.
        type: str
        required: true
      expect_bundle:
        description: Refuse if the API names another bundle than this one now. An empty text means no bundle.
        type: str
      expect_digest:
        description: Refuse if the definition has another digest now than M(tyk.upgrade.api_definition_info) returned.
        type: str
  backup:
    description:
      - A file into which the definitions that are about to change are written as they are, before the first change.
      - It can be read by its owner only. If it exists with other content, a numbered name beside it is used.
      - The backup holds complete definitions and their secrets.
    type: path
    required: true
"""

EXAMPLES = r"""
- name: Switch two APIs to the new bundle
  tyk.upgrade.api_definition_patch:
    dashboard_url: https://dashboard.example.com
    dashboard_token: "{{ tyk_dashboard_token }}"
    backup: /var/lib/tyk-upgrade/apis.json
    changes:
      - id: orders
        bundle: header-t0123456789ab.zip
        expect_bundle: header-1.zip
      - id: invoices
        bundle: header-t0123456789ab.zip
        expect_bundle: header-1.zip
"""

RETURN = r"""
results:
  description:
    - What came of each change, in the order of O(changes).
    - Also returned when the module fails after the first write.
  returned: success or partial failure
  type: list
  elements: dict
  contains:
    id:
      description: The API id.
      type: str
    name:
      description: The API's name.
      type: str
    kind:
      description: V(classic) or V(oas).
      type: str
    from_bundle:
      description: The bundle that it named before.
      type: str
    to_bundle:
      description: The bundle that it shall name.
      type: str
    changed:
      description: Whether it was (or in check mode, would be) written.
      type: bool
    outcome:
      description: One of V(written), V(unchanged), V(failed), V(unknown), V(not attempted); in check mode V(predicted).
      type: str
    error:
      description: What went wrong with this one, as a sentence.
      type: str
backup:
  description: The backup's path. None when nothing had to be written, and in check mode.
  returned: always
  type: str
seconds:
  description: How long it took.
  returned: success or partial failure
  type: float
findings:
  description: What is wrong.
  returned: always
  type: list
  elements: dict
"""

import time
from typing import Any, Dict, List

from ansible.module_utils.basic import AnsibleModule

from ansible_collections.tyk.upgrade.plugins.module_utils._clients import api_definition_writer as writer
from ansible_collections.tyk.upgrade.plugins.module_utils._clients.errors import ClientError
from ansible_collections.tyk.upgrade.plugins.module_utils._http_module import (
    dashboard,
    dashboard_arguments,
    end,
    fail,
    fail_findings,
    predicted,
)
from ansible_collections.tyk.upgrade.plugins.module_utils._module import Module


def argument_spec() -> Dict[str, Any]:
    return {
        **dashboard_arguments(),
        "changes": {
            "type": "list",
            "elements": "dict",
            "required": True,
            "options": {
                "id": {"type": "str", "required": True},
                "bundle": {"type": "str", "required": True},
                "expect_bundle": {"type": "str"},
                "expect_digest": {"type": "str"},
            },
        },
        "backup": {"type": "path", "required": True},
    }


def changes_of(module: AnsibleModule) -> List[writer.Change]:
    changes = [
        writer.Change(entry["id"], entry["bundle"], entry["expect_bundle"], entry["expect_digest"])
        for entry in module.params["changes"]
    ]
    identifiers = [change.id for change in changes]
    double = sorted({identifier for identifier in identifiers if identifiers.count(identifier) > 1})
    if double:
        module.fail_json(msg=f"changes names these APIs more than once: {', '.join(double)}; name each one once.")
    empty = [change.id for change in changes if not change.bundle.strip()]
    if empty:
        module.fail_json(msg=f"changes gives no bundle for these APIs: {', '.join(empty)}; give the bundle's name.")
    return changes


def main() -> None:
    module = Module(argument_spec=argument_spec(), supports_check_mode=True)
    client = dashboard(module)
    changes = changes_of(module)
    workers = module.params["workers"]
    started = time.monotonic()
    try:
        steps = writer.prepare_patch(client, changes, workers)
    except writer.Refused as refused:
        fail_findings(module, f"No API definition was written. {refused}", refused.findings, backup=None)
    header = f"API definitions of {client.name}"
    if module.check_mode:
        module.exit_json(**predicted(steps, header), backup=None, seconds=round(time.monotonic() - started, 3))
    backup = None
    try:
        if any(step.needed for step in steps):
            backup = writer.write_backup(module.params["backup"], writer.backup_bytes(client, steps))
    except ClientError as problem:
        fail(module, problem, backup=None)
    results = writer.execute(client, steps, workers)
    end(module, steps, results, header, backup=backup, seconds=round(time.monotonic() - started, 3))


if __name__ == "__main__":
    main()
