#!/usr/bin/python
# Copyright (c) 2026 tyk.upgrade contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

DOCUMENTATION = r"""
module: gateway_info
short_description: Look at many Tyk gateways at once, or wait for them
version_added: 0.1.0
author:
  - tyk.upgrade contributors (@tyk-upgrade)
description:
  - Asks many gateways at the same time which version the running process is of, what its health checks say, and
    whether it is ready.
  - A gateway's C(/hello) says C(pass) before it has checked anything, before its APIs are loaded, and for about two
    minutes after its control plane is gone. So with O(wait) the module waits for the details of the health checks, for
    the version, and for a real request to a known API, and says of each gateway what it still waits for.
extends_documentation_fragment:
  - tyk.upgrade.attributes
  - tyk.upgrade.attributes.info_module
  - tyk.upgrade.connection
options:
  gateways:
    description: The gateways to ask.
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
        description: Not sent; accepted so that M(tyk.upgrade.gateway_reload) can be given the same list.
        type: str
  workers:
    description: How many gateways are asked at the same time.
    type: int
    default: 32
  health_path:
    description: The gateways' C(health_check_endpoint_name).
    type: str
    default: hello
  ready_path:
    description: The gateways' C(readiness_check_endpoint_name). Gateways before 5.8.3 have none.
    type: str
    default: ready
  wait:
    description: Whether to wait until every gateway shows what O(wait_for) says.
    type: bool
    default: false
  wait_timeout:
    description: Seconds to wait, for all gateways together. The module fails when they are over.
    type: float
    default: 120
  wait_for:
    description:
      - What a gateway must show. Without O(wait) too, RV(gateways[].waiting_for) says what is missing.
      - A gateway that has a readiness endpoint must in any case say that it is ready.
    type: dict
    default: {}
    suboptions:
      version:
        description: The version that the running process must be of, with or without a leading C(v).
        type: str
      redis:
        description: Whether the gateway must have checked its Redis and found it well.
        type: bool
        default: true
      rpc:
        description:
          - Whether the gateway must have checked its control plane and found it well. Set this to V(true) for the
            gateways of a hybrid data plane.
          - If not set, the check must pass where the gateway lists it.
        type: bool
      api:
        description: A request that shows that the APIs are loaded. It is sent when everything else holds.
        type: dict
        suboptions:
          path:
            description: Path on the gateway.
            type: str
            required: true
          headers:
            description: Headers of the request.
            type: dict
            default: {}
          status:
            description: The statuses that prove it. For an API that wants credentials, V(401) is a good one.
            type: list
            elements: int
            default: [200]
"""

EXAMPLES = r"""
- name: Look at all gateways
  tyk.upgrade.gateway_info:
    gateways:
      - name: gw1
        url: http://gw1.example.com:8080
      - name: gw2
        url: http://gw2.example.com:8080

- name: Wait until a gateway serves with the new version
  tyk.upgrade.gateway_info:
    gateways:
      - name: gw1
        url: http://gw1.example.com:8080
    wait: true
    wait_timeout: 90
    wait_for:
      version: "5.8.9"
      redis: true
      rpc: true
      api:
        path: /orders/health
"""

RETURN = r"""
gateways:
  description: What each gateway showed, in the order of O(gateways).
  returned: always
  type: list
  elements: dict
  contains:
    name:
      description: Its name.
      type: str
      sample: gw1
    url:
      description: Its address, without credentials.
      type: str
      sample: http://gw1.example.com:8080
    reachable:
      description: Whether its health endpoint answered.
      type: bool
    version:
      description: The version of the running process, without a leading C(v). None when it did not answer.
      type: str
      sample: 5.8.9
    status:
      description: What it says about itself.
      type: str
      sample: pass
    details:
      description: Each check that it has made, and how it went. Empty for the first ten seconds of its life.
      type: dict
      sample: {redis: pass, rpc: pass}
    ready:
      description: What its readiness endpoint says. None when it has none.
      type: bool
    waiting_for:
      description: What is missing from O(wait_for).
      type: list
      elements: str
      sample: ["details.rpc pass (no details yet)"]
    latency_ms:
      description: Milliseconds that the health endpoint took.
      type: float
      sample: 2.4
    error:
      description: Why it counts as unreachable.
      type: str
seconds:
  description: How long looking or waiting took.
  returned: always
  type: float
  sample: 0.1
findings:
  description: What is wrong with the gateways.
  returned: always
  type: list
  elements: dict
"""

import time
from typing import Any, Dict, List, Mapping

from ansible_collections.tyk.upgrade.plugins.module_utils._clients.errors import mask_url
from ansible_collections.tyk.upgrade.plugins.module_utils._clients.gateway import (
    Gateway,
    GatewayClient,
    KnownApi,
    Seen,
    Wanted,
    findings,
)
from ansible_collections.tyk.upgrade.plugins.module_utils._domain.findings import to_dicts
from ansible_collections.tyk.upgrade.plugins.module_utils._http_module import hide_url, http_arguments, http_client
from ansible_collections.tyk.upgrade.plugins.module_utils._module import Module


def argument_spec() -> Dict[str, Any]:
    api = {
        "path": {"type": "str", "required": True},
        "headers": {"type": "dict", "default": {}, "no_log": True},
        "status": {"type": "list", "elements": "int", "default": [200]},
    }
    return {
        **http_arguments(),
        "gateways": {
            "type": "list",
            "elements": "dict",
            "required": True,
            "options": {
                "name": {"type": "str", "required": True},
                "url": {"type": "str", "required": True},
                "secret": {"type": "str", "no_log": True},
            },
        },
        "workers": {"type": "int", "default": 32},
        "health_path": {"type": "str", "default": "hello"},
        "ready_path": {"type": "str", "default": "ready"},
        "wait": {"type": "bool", "default": False},
        "wait_timeout": {"type": "float", "default": 120},
        "wait_for": {
            "type": "dict",
            "default": {},
            "options": {
                "version": {"type": "str"},
                "redis": {"type": "bool", "default": True},
                "rpc": {"type": "bool"},
                "api": {"type": "dict", "options": api},
            },
        },
    }


def wanted_of(wait_for: Mapping[str, Any]) -> Wanted:
    api = wait_for.get("api")
    known = None
    if api:
        headers = {str(name): str(value) for name, value in api["headers"].items()}
        known = KnownApi(api["path"], headers, tuple(api["status"]))
    redis = wait_for.get("redis")
    return Wanted(
        version=wait_for.get("version") or None,
        redis=True if redis is None else redis,
        rpc=wait_for.get("rpc"),
        api=known,
    )


def shown(seen: Seen) -> Dict[str, Any]:
    health = seen.health
    return {
        "name": health.gateway.name,
        "url": mask_url(health.gateway.url),
        "reachable": health.reachable,
        "version": health.version,
        "status": health.status,
        "details": dict(health.details),
        "ready": health.ready,
        "waiting_for": list(seen.waiting_for),
        "latency_ms": health.latency_ms,
        "error": health.error,
    }


def still_waiting(all_seen: List[Seen], wait_timeout: float) -> str:
    waiting = [f"{seen.health.gateway.name} for {', '.join(seen.waiting_for)}" for seen in all_seen if seen.waiting_for]
    return (
        f"{len(waiting)} of {len(all_seen)} gateways did not show what is wanted within {wait_timeout:g} s; still "
        f"waiting: {'; '.join(waiting)}. Look into their logs, or allow more time with wait_timeout."
    )


def main() -> None:
    module = Module(argument_spec=argument_spec(), supports_check_mode=True)
    params = module.params
    hide_url(module, *(entry["url"] for entry in params["gateways"]))
    gateways = [Gateway(entry["name"], entry["url"]) for entry in params["gateways"]]
    client = GatewayClient(http_client(module, params["workers"]), params["health_path"], params["ready_path"])
    wanted = wanted_of(params["wait_for"] or {})
    started = time.monotonic()
    if params["wait"]:
        # A gateway that waits must not keep another one from being looked at.
        workers = max(params["workers"], len(gateways))
        all_seen = client.wait_all(gateways, wanted, workers, params["wait_timeout"])
    else:
        all_seen = client.see_all(gateways, wanted, params["workers"])
    result = {
        "gateways": [shown(seen) for seen in all_seen],
        "seconds": round(time.monotonic() - started, 3),
        "findings": to_dicts(finding for seen in all_seen for finding in findings(seen.health)),
    }
    if params["wait"] and any(seen.waiting_for for seen in all_seen):
        module.fail_json(msg=still_waiting(all_seen, params["wait_timeout"]), **result)
    module.exit_json(changed=False, **result)


if __name__ == "__main__":
    main()
