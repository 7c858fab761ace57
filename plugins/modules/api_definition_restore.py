#!/usr/bin/python
# Copyright (c) 2026 tyk.upgrade contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

DOCUMENTATION = r"""
module: api_definition_restore
short_description: Put backed-up API definitions back
version_added: 0.1.0
author:
  - tyk.upgrade contributors (@tyk-upgrade)
description:
  - Puts API definitions back as M(tyk.upgrade.api_definition_patch) found them before it changed them.
  - The whole definition is put back. An edit that somebody made since the backup is taken back with it; the diff names
    the fields.
  - An API that is as it was already is left alone. An API that was deleted since is not created anew.
extends_documentation_fragment:
  - tyk.upgrade.attributes
  - tyk.upgrade.connection
  - tyk.upgrade.connection.dashboard
attributes:
  check_mode:
    support: full
    details:
      - Everything is read and compared in check mode too, so the prediction is exact.
  diff_mode:
    support: full
    details:
      - Shows the bundle fields with their values, and other fields by name only, as definitions hold secrets.
  idempotent:
    support: full
options:
  timeout:
    default: 30
  backup:
    description: The file that M(tyk.upgrade.api_definition_patch) returned as C(backup).
    type: path
    required: true
  ids:
    description: Put only the APIs with these API ids back. If not set, all of the backup.
    type: list
    elements: str
"""

EXAMPLES = r"""
- name: Put all API definitions of a backup back
  tyk.upgrade.api_definition_restore:
    dashboard_url: https://dashboard.example.com
    dashboard_token: "{{ tyk_dashboard_token }}"
    backup: /var/lib/tyk-upgrade/apis.json
"""

RETURN = r"""
results:
  description:
    - What came of each API, in the order of the backup.
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
      description: The bundle that it names in the backup.
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
  description: The file that was read.
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
from ansible_collections.tyk.upgrade.plugins.module_utils._clients.dashboard import api_id
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
        "backup": {"type": "path", "required": True},
        "ids": {"type": "list", "elements": "str"},
    }


def saved_items(module: AnsibleModule) -> List[Dict[str, Any]]:
    path, ids = module.params["backup"], module.params["ids"]
    try:
        items = writer.read_backup(path)
    except ClientError as problem:
        fail(module, problem, backup=path)
    if ids is None:
        return items
    missing = sorted(set(ids) - {api_id(item) for item in items})
    if missing:
        module.fail_json(
            msg=f"The backup {path} does not hold these APIs: {', '.join(missing)}; nothing was restored.", backup=path
        )
    return [item for item in items if api_id(item) in ids]


def main() -> None:
    module = Module(argument_spec=argument_spec(), supports_check_mode=True)
    backup = module.params["backup"]
    client = dashboard(module)
    items = saved_items(module)
    workers = module.params["workers"]
    started = time.monotonic()
    try:
        steps = writer.prepare_restore(client, items, workers)
    except writer.Refused as refused:
        fail_findings(module, f"No API definition was written. {refused}", refused.findings, backup=backup)
    header = f"API definitions of {client.name}"
    if module.check_mode:
        module.exit_json(**predicted(steps, header), backup=backup, seconds=round(time.monotonic() - started, 3))
    results = writer.execute(client, steps, workers)
    end(module, steps, results, header, backup=backup, seconds=round(time.monotonic() - started, 3))


if __name__ == "__main__":
    main()
