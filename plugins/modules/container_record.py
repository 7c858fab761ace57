#!/usr/bin/python
# Copyright (c) 2026 tyk.upgrade contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Save what a container is made of and what it said."""

from __future__ import annotations

DOCUMENTATION = r"""
module: container_record
short_description: Save what a container is made of and what it said
version_added: 0.1.0
author:
  - tyk.upgrade contributors (@tyk-upgrade)
description:
  - Saves a container's definition and files before something other than M(tyk.upgrade.container_upgrade) replaces it, such
    as Docker Compose, or its log and configuration after that failed and before it is replaced again.
  - What is written can be read by its owner only. Nothing that serves is changed.
attributes:
  check_mode:
    support: full
    details:
      - Nothing is written in check mode; only that the container exists is checked.
  diff_mode:
    support: N/A
    details:
      - Nothing that serves is changed.
  idempotent:
    support: full
    details:
      - Writing a backup is not reported as a change.
extends_documentation_fragment:
  - tyk.upgrade.attributes
  - tyk.upgrade.docker
options:
  name:
    description:
      - Name of the container.
    type: str
    required: true
  backup_dir:
    description:
      - Folder on the host that runs the module in which the container's definition and O(backup_files) are saved.
    type: path
  backup_files:
    description:
      - Absolute paths of files in the container to save to O(backup_dir). One that it does not have is left out.
    type: list
    elements: str
    default: []
  evidence_dir:
    description:
      - Folder on the host that runs the module in which the log and the configuration, without values of environment
        variables, are saved.
    type: path
seealso:
  - module: tyk.upgrade.container_upgrade
"""

EXAMPLES = r"""
- name: Save the gateway's container before Compose replaces it
  tyk.upgrade.container_record:
    name: tyk-gateway-1
    backup_dir: /var/backups/tyk
    backup_files: [/opt/tyk-gateway/tyk.conf]
"""

RETURN = r"""
container:
  description: The container, with C(name), C(id), C(image) and C(image_id).
  returned: success
  type: dict
notes:
  description: What could not be saved, one sentence each.
  returned: success
  type: list
  elements: str
findings:
  description: What is wrong.
  returned: always
  type: list
  elements: dict
"""

from typing import Any, Dict

from ansible.module_utils.basic import AnsibleModule

from ansible_collections.tyk.upgrade.plugins.module_utils._clients.containers import Replacement, Settings
from ansible_collections.tyk.upgrade.plugins.module_utils._clients.docker_engine import Engine
from ansible_collections.tyk.upgrade.plugins.module_utils._engine_module import run_engine_module


def record(module: AnsibleModule, engine: Engine) -> Dict[str, Any]:
    params = module.params
    settings = Settings(
        name=params["name"],
        backup_dir=params["backup_dir"] or "",
        backup_files=tuple(params["backup_files"]),
        evidence_dir=params["evidence_dir"] or "",
        check_mode=module.check_mode,
    )
    outcome = Replacement(engine, settings).recorded()
    return {"changed": False, "container": outcome.old, "notes": outcome.actions, "findings": []}


def main() -> None:
    run_engine_module(
        {
            "name": {"type": "str", "required": True},
            "backup_dir": {"type": "path"},
            "backup_files": {"type": "list", "elements": "str", "default": []},
            "evidence_dir": {"type": "path"},
        },
        record,
        required_one_of=[("backup_dir", "evidence_dir")],
    )


if __name__ == "__main__":
    main()
