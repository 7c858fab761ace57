#!/usr/bin/python
# Copyright (c) 2026 tyk.upgrade contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

DOCUMENTATION = r"""
module: gateway_reload
short_description: Make running Tyk gateways load their APIs anew
version_added: 0.1.0
author:
  - tyk.upgrade contributors (@tyk-upgrade)
description:
  - Asks gateways to load API definitions, policies and bundles anew, without a restart.
  - A gateway up to 5.3.0 is deaf to reload signals for the first ten seconds of its life; a blocking reload of the node
    itself always works, on gateways of a hybrid data plane too.
  - A reload does not unload Go plugins. A plugin that shall be replaced while the gateway runs must be built with a
    plugin path of its own.
extends_documentation_fragment:
  - tyk.upgrade.attributes
  - tyk.upgrade.connection
attributes:
  check_mode:
    support: full
    details:
      - In check mode nothing is sent, and the reload is reported as a change.
  diff_mode:
    support: none
  idempotent:
    support: none
    details:
      - Each run is a reload, and is reported as a change.
options:
  gateways:
    description: The gateways to reload.
    type: list
    elements: dict
    required: true
    suboptions:
      name:
        description: How the gateway is called in the result.
        type: str
        required: true
      url:
        description: The address of its control API, as seen from where this module runs.
        type: str
        required: true
      secret:
        description: The gateway's own secret, sent in the C(X-Tyk-Authorization) header.
        type: str
        required: true
  scope:
    description:
      - With V(node), each gateway of O(gateways) is reloaded.
      - With V(group), the first gateway that takes the call passes it on by Redis to all gateways of its group. That is
        a signal, so nothing is known of when they have reloaded.
    type: str
    choices: [node, group]
    default: node
  block:
    description: Whether a gateway answers only when it has reloaded. Without effect for O(scope=group).
    type: bool
    default: true
  timeout:
    description: Seconds to wait for one gateway; a blocking reload includes the download of bundles.
    type: float
    default: 60
  workers:
    description: How many gateways are reloaded at the same time.
    type: int
    default: 32
"""

EXAMPLES = r"""
- name: Reload one gateway and wait until it has
  tyk.upgrade.gateway_reload:
    gateways:
      - name: gw1
        url: http://gw1.example.com:8080
        secret: "{{ tyk_gateway_secret }}"

- name: Signal the whole group
  tyk.upgrade.gateway_reload:
    scope: group
    gateways:
      - name: gw1
        url: http://gw1.example.com:8080
        secret: "{{ tyk_gateway_secret }}"
"""

RETURN = r"""
results:
  description: What came of each call. With O(scope=group) it ends with the gateway that took the call.
  returned: always
  type: list
  elements: dict
  contains:
    name:
      description: The gateway.
      type: str
      sample: gw1
    reloaded:
      description: Whether it confirmed.
      type: bool
    seconds:
      description: How long it took.
      type: float
      sample: 0.9
    error:
      description: Why not, as a sentence.
      type: str
findings:
  description: What went wrong.
  returned: always
  type: list
  elements: dict
"""

from typing import Any, Dict, List, Optional, Tuple

from ansible_collections.tyk.upgrade.plugins.module_utils._clients.errors import ClientError
from ansible_collections.tyk.upgrade.plugins.module_utils._clients.gateway import Gateway, GatewayClient
from ansible_collections.tyk.upgrade.plugins.module_utils._clients.http import in_parallel
from ansible_collections.tyk.upgrade.plugins.module_utils._http_module import hide_url, http_arguments, http_client
from ansible_collections.tyk.upgrade.plugins.module_utils._module import Module

Outcome = Tuple[Gateway, float, Optional[ClientError]]


def argument_spec() -> Dict[str, Any]:
    return {
        **http_arguments(60.0),
        "gateways": {
            "type": "list",
            "elements": "dict",
            "required": True,
            "options": {
                "name": {"type": "str", "required": True},
                "url": {"type": "str", "required": True},
                "secret": {"type": "str", "required": True, "no_log": True},
            },
        },
        "scope": {"type": "str", "choices": ["node", "group"], "default": "node"},
        "block": {"type": "bool", "default": True},
        "workers": {"type": "int", "default": 32},
    }


def reload_one(client: GatewayClient, gateway: Gateway, group: bool, block: bool) -> Outcome:
    try:
        return gateway, client.reload(gateway, group=group, block=block), None
    except ClientError as problem:
        return gateway, 0.0, problem


def reload_group(client: GatewayClient, gateways: List[Gateway]) -> List[Outcome]:
    outcomes: List[Outcome] = []
    for gateway in gateways:
        outcomes.append(reload_one(client, gateway, group=True, block=False))
        if outcomes[-1][2] is None:
            break
    return outcomes


def shown(outcome: Outcome) -> Dict[str, Any]:
    gateway, seconds, problem = outcome
    return {
        "name": gateway.name,
        "reloaded": problem is None,
        "seconds": round(seconds, 3),
        "error": str(problem) if problem else None,
    }


def main() -> None:
    module = Module(argument_spec=argument_spec(), supports_check_mode=True)
    params = module.params
    hide_url(module, *(entry["url"] for entry in params["gateways"]))
    gateways = [Gateway(entry["name"], entry["url"], entry["secret"]) for entry in params["gateways"]]
    if module.check_mode:
        module.exit_json(changed=bool(gateways), results=[], findings=[])
    client = GatewayClient(http_client(module, params["workers"]))
    if params["scope"] == "group":
        outcomes = reload_group(client, gateways)
        failed = [outcome for outcome in outcomes if outcome[2]] if outcomes and outcomes[-1][2] else []
    else:
        outcomes = list(
            in_parallel(lambda each: reload_one(client, each, False, params["block"]), gateways, params["workers"])
        )
        failed = [outcome for outcome in outcomes if outcome[2]]
    result = {
        "changed": any(outcome[2] is None for outcome in outcomes),
        "results": [shown(outcome) for outcome in outcomes],
        "findings": [problem.finding.to_dict() for _gateway, _seconds, problem in failed if problem],
    }
    if failed:
        module.fail_json(msg=" ".join(str(outcome[2]) for outcome in failed), **result)
    module.exit_json(**result)


if __name__ == "__main__":
    main()
