#!/usr/bin/python
# Copyright (c) 2026 tyk.upgrade contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Take the emergency backup of a data plane away."""

from __future__ import annotations

DOCUMENTATION = r"""
module: emergency_backup
short_description: Take away the gateways' emergency backup
version_added: 0.1.0
author:
  - tyk.upgrade contributors (@tyk-upgrade)
description:
  - Gateways keep API definitions and policies in Redis for the time in which their control plane is away. What a gateway
    4.0 or earlier wrote makes 4.1.0 and later end with a panic at their start, so it has to go before the first of them
    starts. Gateways write it anew with their next reload.
  - Only the keys C(rpc:node-definition-backup:*) and C(rpc:node-policy-backup:*) are deleted.
attributes:
  check_mode:
    support: full
  diff_mode:
    support: full
  idempotent:
    support: full
extends_documentation_fragment:
  - tyk.upgrade.attributes
options:
  redis_url:
    description:
      - Address of the data plane's Redis. A password in it is never printed.
    type: str
    required: true
  state:
    description:
      - V(absent) deletes the backup.
    type: str
    choices: [absent]
    default: absent
  timeout:
    description:
      - Seconds to wait for each answer.
    type: float
    default: 5.0
  validate_certs:
    description:
      - Whether the certificate of a C(rediss) address is verified.
    type: bool
    default: true
  ca_path:
    description:
      - File with the certificates to verify it with.
    type: path
seealso:
  - module: tyk.upgrade.analytics_info
"""

EXAMPLES = r"""
- name: Take away a backup that the next version cannot read
  tyk.upgrade.emergency_backup:
    redis_url: redis://:{{ redis_password }}@redis.example.com:6379/0
"""

RETURN = r"""
keys:
  description: The keys that were deleted, sorted.
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

from ansible_collections.tyk.upgrade.plugins.module_utils._clients.errors import ClientError
from ansible_collections.tyk.upgrade.plugins.module_utils._clients.redis_data_plane import (
    REDIS_IMPORT_ERROR,
    DataPlaneRedis,
)
from ansible_collections.tyk.upgrade.plugins.module_utils._http_module import fail, hide_url, require
from ansible_collections.tyk.upgrade.plugins.module_utils._module import Module


def argument_spec() -> Dict[str, Any]:
    return {
        "redis_url": {"type": "str", "required": True, "no_log": False},
        "state": {"type": "str", "choices": ["absent"], "default": "absent"},
        "timeout": {"type": "float", "default": 5.0},
        "validate_certs": {"type": "bool", "default": True},
        "ca_path": {"type": "path"},
    }


def main() -> None:
    module = Module(argument_spec=argument_spec(), supports_check_mode=True)
    params = module.params
    hide_url(module, params["redis_url"])
    require(module, "redis", REDIS_IMPORT_ERROR)
    try:
        client = DataPlaneRedis(params["redis_url"], params["timeout"], params["ca_path"], params["validate_certs"])
        backups = client.backups()
        if not module.check_mode:
            client.forget(backups)
        client.close()
    except ClientError as problem:
        fail(module, problem)
    keys = [backup.key for backup in backups]
    module.exit_json(
        changed=bool(keys),
        keys=keys,
        findings=[],
        diff={"before": "".join(f"{key}\n" for key in keys), "after": ""},
    )


if __name__ == "__main__":
    main()
