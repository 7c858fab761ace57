#!/usr/bin/python
# Copyright (c) 2026 tyk.upgrade contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

DOCUMENTATION = r"""
module: analytics_info
short_description: Measure what waits in the Redis of a Tyk data plane
version_added: 0.1.0
author:
  - tyk.upgrade contributors (@tyk-upgrade)
description:
  - Counts the analytics records that wait for the pump, and lists the gateways' emergency backup of API definitions and
    policies.
  - A list of records expires as a whole some time after it was created (60 s by default), whatever is added to it
    meanwhile. So a pump must not be out for longer than RV(lists[].ttl) says.
extends_documentation_fragment:
  - tyk.upgrade.attributes
  - tyk.upgrade.attributes.info_module
options:
  redis_url:
    description: The data plane's Redis, as C(redis://user:password@host:6379/0), C(rediss://...) or C(unix://...).
    type: str
    required: true
  prefixes:
    description: What the keys of analytics lists start with.
    type: list
    elements: str
    default: [analytics-tyk-system-analytics]
  wait_for:
    description:
      - V(taken) waits until records have been taken off the lists since the module began to look, or until there are none.
      - V(empty) waits until there are none.
      - If not set, the lists are looked at once.
    type: str
    choices: [taken, empty]
  wait_timeout:
    description:
      - Seconds to wait. At the deadline the module fails and says how many records wait.
    type: float
    default: 60
  timeout:
    description: Seconds to wait for one answer.
    type: float
    default: 5
  validate_certs:
    description: Whether the TLS certificate is verified.
    type: bool
    default: true
  ca_path:
    description: A file with CA certificates in PEM format that are trusted instead of the system's.
    type: path
requirements:
  - redis (the Python library)
"""

EXAMPLES = r"""
- name: Measure the backlog
  tyk.upgrade.analytics_info:
    redis_url: "{{ tyk_redis_url }}"
  register: tyk_backlog
  delegate_to: localhost

- name: Wait until the pump has taken records off the list
  tyk.upgrade.analytics_info:
    redis_url: "{{ tyk_redis_url }}"
    wait_for: taken
  delegate_to: localhost
"""

RETURN = r"""
lists:
  description: The lists of analytics records, sorted by key. Keys of another type are not listed.
  returned: always
  type: list
  elements: dict
  contains:
    key:
      description: The Redis key.
      type: str
      sample: analytics-tyk-system-analytics
    length:
      description: How many records wait in it.
      type: int
    ttl:
      description: Seconds until the whole list expires. None when it does not.
      type: int
backlog:
  description: How many records wait, in all lists together.
  returned: always
  type: int
seconds:
  description: How long it waited.
  returned: always
  type: float
backups:
  description: The keys of the emergency backup, sorted.
  returned: always
  type: list
  elements: dict
  contains:
    key:
      description: The Redis key.
      type: str
      sample: "rpc:node-definition-backup:"
    exists:
      description: Always V(true); a backup that does not exist is a finding.
      type: bool
    bytes:
      description: Its size.
      type: int
findings:
  description: What is wrong.
  returned: always
  type: list
  elements: dict
"""

import time
from typing import Any, Dict, List, Optional

from ansible_collections.tyk.upgrade.plugins.module_utils._clients.errors import ClientError
from ansible_collections.tyk.upgrade.plugins.module_utils._clients.redis_data_plane import (
    ANALYTICS_PREFIX,
    DEFINITION_BACKUP,
    POLICY_BACKUP,
    REDIS_IMPORT_ERROR,
    AnalyticsList,
    Backup,
    DataPlaneRedis,
)
from ansible_collections.tyk.upgrade.plugins.module_utils._domain.findings import Finding, to_dicts, warning
from ansible_collections.tyk.upgrade.plugins.module_utils._http_module import fail, hide_url, require
from ansible_collections.tyk.upgrade.plugins.module_utils._module import Module


def argument_spec() -> Dict[str, Any]:
    return {
        "redis_url": {"type": "str", "required": True, "no_log": False},
        "prefixes": {"type": "list", "elements": "str", "default": [ANALYTICS_PREFIX]},
        "wait_for": {"type": "str", "choices": ["taken", "empty"]},
        "wait_timeout": {"type": "float", "default": 60.0},
        "timeout": {"type": "float", "default": 5.0},
        "validate_certs": {"type": "bool", "default": True},
        "ca_path": {"type": "path"},
    }


def backup_findings(name: str, backups: List[Backup]) -> List[Finding]:
    found = []
    for prefix, what in ((DEFINITION_BACKUP, "API definitions"), (POLICY_BACKUP, "policies")):
        held = [backup for backup in backups if backup.key.startswith(prefix) and backup.bytes > 0]
        if not held:
            found.append(
                warning(
                    "backup-missing",
                    name,
                    f"Redis at {name} holds no emergency backup of {what} (no key {prefix}...), so a gateway that "
                    "restarts while the control plane is away serves nothing.",
                    "Reload a gateway; versions up to 5.3.0 write the backup at a reload only, not at the first load.",
                )
            )
    return found


def length_of(lists: List[AnalyticsList]) -> int:
    return sum(entry.length for entry in lists)


def watched(client: DataPlaneRedis, prefixes: List[str], wait_for: Optional[str], timeout: float) -> List[AnalyticsList]:
    """The lists, once they are as wanted. Gateways go on adding, so a shorter list than a moment ago was taken from."""
    deadline = time.monotonic() + timeout
    lists = client.analytics(prefixes)
    before = length_of(lists)
    while wait_for and before:
        if time.monotonic() >= deadline:
            raise ClientError(
                "pump-backend",
                client.name,
                f"In {timeout:g} s no pump took records off the analytics lists at {client.name}; {before} records wait.",
                "Look at the log of the pump and at which Redis database and key prefix it reads.",
            )
        time.sleep(0.2)
        lists = client.analytics(prefixes)
        now = length_of(lists)
        if wait_for == "taken" and now < before:
            break
        before = now
    return lists


def main() -> None:
    module = Module(argument_spec=argument_spec(), supports_check_mode=True)
    params = module.params
    hide_url(module, params["redis_url"])
    require(module, "redis", REDIS_IMPORT_ERROR)
    try:
        client = DataPlaneRedis(params["redis_url"], params["timeout"], params["ca_path"], params["validate_certs"])
        started = time.monotonic()
        lists = watched(client, params["prefixes"], params["wait_for"], params["wait_timeout"])
        seconds = time.monotonic() - started
        backups = client.backups()
        client.close()
    except ClientError as problem:
        fail(module, problem)
    module.exit_json(
        changed=False,
        lists=[{"key": entry.key, "length": entry.length, "ttl": entry.ttl} for entry in lists],
        backlog=length_of(lists),
        seconds=round(seconds, 3),
        backups=[{"key": backup.key, "exists": True, "bytes": backup.bytes} for backup in backups],
        findings=to_dicts(backup_findings(client.name, backups)),
    )


if __name__ == "__main__":
    main()
