#!/usr/bin/python
# Copyright (c) 2026 tyk.upgrade contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Prove a new program in a throw-away copy of a service, by what it logs."""

from __future__ import annotations

DOCUMENTATION = r"""
module: package_trial
short_description: Prove a new program in a throw-away copy of a systemd service
version_added: 0.1.0
author:
  - tyk.upgrade contributors (@tyk-upgrade)
description:
  - Starts a transient unit with the user, folder, environment and command line of an existing service, but with another
    program and with some environment variables changed, and waits until its log says that it works or that it does not.
    The copy is always stopped; systemd ends it even if this module is killed.
  - Made for the pump, which looks healthy while its back end failed to initialise. Point the copy at an empty Redis
    database, since two pumps on one list would share its records.
  - Limits and confinement of the service's unit are not part of the copy.
  - With O(state=observed) nothing is started; the log of the existing service since its last start is judged.
attributes:
  check_mode:
    support: full
    details:
      - Nothing is started in check mode; only that the service exists is checked.
  diff_mode:
    support: none
    details:
      - Nothing that could have a difference is changed.
  idempotent:
    support: full
extends_documentation_fragment:
  - tyk.upgrade.attributes
options:
  unit:
    description:
      - Name of the existing systemd service.
    type: str
    required: true
  state:
    description:
      - V(tried) starts a copy that runs O(binary), judges it and stops it.
      - V(observed) judges the existing service.
    type: str
    choices: [tried, observed]
    default: tried
  binary:
    description:
      - Path of the program to try, for example what M(tyk.upgrade.package_upgrade) returned as
        RV(tyk.upgrade.package_upgrade#module:binary). Its name must be that of the program that the service starts.
      - Required if O(state=tried).
    type: path
  env:
    description:
      - Environment variables that the copy has other than the service.
      - The text V({free_port}) in a value becomes the number of a free port, since the copy shares the host's ports with
        the service.
    type: dict
    default: {}
  success:
    description:
      - Regular expressions; a line of the log that one of them is found in shows that it works.
    type: list
    elements: str
    required: true
  failure:
    description:
      - Regular expressions; a line of the log that one of them is found in shows that it does not work, whatever else
        it says.
    type: list
    elements: str
    default: []
  timeout:
    description:
      - Seconds to wait for either.
    type: float
    default: 45
requirements:
  - systemd with systemd-run
notes:
  - Must run as root on the host that has the service.
seealso:
  - module: tyk.upgrade.package_upgrade
  - module: tyk.upgrade.container_trial
"""

EXAMPLES = r"""
- name: Prove that the new pump can log in at its back end
  tyk.upgrade.package_trial:
    unit: tyk-pump
    binary: /var/lib/tyk-upgrade/staged/tyk-pump-1.12.0/bin/tyk-pump
    env:
      TYK_PMP_ANALYTICSSTORAGECONFIG_DATABASE: "15"
      TYK_PMP_HEALTHCHECKENDPOINTPORT: "{free_port}"
    success: ["Init Pump: [A-Z]"]
    failure: [Pump init error]
  become: true
"""

RETURN = r"""
lines:
  description: The lines of the log that decided.
  returned: success
  type: list
  elements: str
seconds:
  description: How long it took.
  returned: success
  type: float
findings:
  description: What is wrong.
  returned: always
  type: list
  elements: dict
"""

import os
import time
from typing import Any, Dict, List

from ansible_collections.tyk.upgrade.plugins.module_utils._clients.errors import ClientError
from ansible_collections.tyk.upgrade.plugins.module_utils._clients.host_commands import Host
from ansible_collections.tyk.upgrade.plugins.module_utils._clients.journal_log import JournalLog
from ansible_collections.tyk.upgrade.plugins.module_utils._clients.systemd import Service
from ansible_collections.tyk.upgrade.plugins.module_utils._clients.trials import (
    pattern_problem,
    refusal,
    trial_environment,
)
from ansible_collections.tyk.upgrade.plugins.module_utils._clients.unit_trial import trial, watch
from ansible_collections.tyk.upgrade.plugins.module_utils._domain.findings import DomainError
from ansible_collections.tyk.upgrade.plugins.module_utils._module import Module
from ansible_collections.tyk.upgrade.plugins.module_utils._package_module import fail_with


def prove(params: Dict[str, Any], host: Host, check_mode: bool) -> List[str]:
    """The lines that decided. Raises DomainError or ClientError if it does not work."""
    service = Service(host, params["unit"])
    if os.geteuid() != 0:
        raise ClientError(
            "root-needed",
            service.name,
            f"Without the rights of root neither a copy of {service.name} can be started nor its log be read.",
            "Set become: true for this host, and see that the user may become root (sudo).",
        )
    unit = service.look()
    if not unit.found:
        raise ClientError(
            "unit-missing",
            service.name,
            f"There is no service {service.name} on this host.",
            "Check the unit's name in the inventory.",
        )
    if check_mode:
        return []
    if params["state"] == "observed":
        started = service.started_epoch(unit) or time.time()
        return decided(service, started, params, f"The service {service.name}")
    subject = f"A trial of {params['binary']} as {service.name}"
    began = time.time()
    with trial(host, service, params["binary"], trial_environment(params["env"]), params["timeout"]) as copy:
        return decided(copy, began, params, subject)


def decided(service: Service, since: float, params: Dict[str, Any], subject: str) -> List[str]:
    """The lines that show that it works."""
    log = JournalLog(service, since)
    verdict = watch(log, service, params["success"], params["failure"], params["timeout"])
    if not verdict.ok:
        raise refusal(subject, verdict, log.tail, params["timeout"], ended=not service.look().running)
    return verdict.lines


def main() -> None:
    module = Module(
        argument_spec={
            "unit": {"type": "str", "required": True},
            "state": {"type": "str", "choices": ["tried", "observed"], "default": "tried"},
            "binary": {"type": "path"},
            "env": {"type": "dict", "default": {}},
            "success": {"type": "list", "elements": "str", "required": True},
            "failure": {"type": "list", "elements": "str", "default": []},
            "timeout": {"type": "float", "default": 45},
        },
        supports_check_mode=True,
        required_if=[("state", "tried", ["binary"])],
    )
    problem = pattern_problem(module.params["success"] + module.params["failure"])
    if problem:
        module.fail_json(msg=problem, findings=[])
    started = time.monotonic()
    try:
        lines = prove(module.params, Host(), module.check_mode)
    except (ClientError, DomainError) as wrong:
        fail_with(module, [wrong.finding])
    else:
        module.exit_json(changed=False, lines=lines, seconds=round(time.monotonic() - started, 3), findings=[])


if __name__ == "__main__":
    main()
