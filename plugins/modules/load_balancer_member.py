#!/usr/bin/python
# Copyright (c) 2026 tyk.upgrade contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Take one server out of its load balancers, or put it back."""

from __future__ import annotations

DOCUMENTATION = r"""
module: load_balancer_member
short_description: Drain a server at its load balancers or make it ready
version_added: 0.1.0
author:
  - tyk.upgrade contributors (@tyk-upgrade)
description:
  - Takes a server out of the backends of load balancers and waits until no request runs on it any more, or puts it back
    and waits until it gets requests again.
  - Speaks the runtime API of HAProxy, so nothing is reloaded and no configuration file changes.
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
  balancers:
    description:
      - The load balancers the server is a member of. An empty list does nothing.
    type: list
    elements: dict
    required: true
    suboptions:
      kind:
        description: What it is.
        type: str
        choices: [haproxy]
        default: haproxy
      socket:
        description:
          - The runtime API, which needs C(level admin). The path of its socket, or C(tcp://host:port).
        type: str
        required: true
      backend:
        description: The backend the server is in.
        type: str
        required: true
  server:
    description:
      - The server's name in the backend.
    type: str
    required: true
  state:
    description:
      - V(drained) sends no new request to the server and waits until none runs. A server that is in maintenance already
        is left there.
      - V(ready) lets it have requests again and waits until its health check passed, if it has one.
      - V(observed) only looks.
    type: str
    choices: [drained, ready, observed]
    default: observed
  wait_timeout:
    description:
      - Seconds to wait. At the deadline the module fails and says what it waited for.
    type: float
    default: 60
  quiet:
    description:
      - With O(state=drained), seconds to go on watching after the last request has ended, so that a gateway can send
        its analytics before it is stopped. A request that comes after all starts the wait again.
    type: float
    default: 0
"""

EXAMPLES = r"""
- name: Take a gateway out of the load balancer
  tyk.upgrade.load_balancer_member:
    balancers:
      - socket: /run/haproxy/admin.sock
        backend: tyk
    server: gw1
    state: drained

- name: Put it back
  tyk.upgrade.load_balancer_member:
    balancers:
      - kind: haproxy
        socket: tcp://127.0.0.1:9999
        backend: tyk
    server: gw1
    state: ready
"""

RETURN = r"""
members:
  description: The server as each load balancer sees it.
  returned: always
  type: list
  elements: dict
  contains:
    socket:
      description: The load balancer.
      type: str
    backend:
      description: The backend.
      type: str
    server:
      description: The server.
      type: str
    status:
      description: Its status in HAProxy's words, for example V(UP), V(DRAIN), V(MAINT) or V(no check).
      type: str
    sessions:
      description: Requests that run on it.
      type: int
    others_up:
      description: How many other servers of the backend get requests.
      type: int
seconds:
  description: How long it took, waiting included.
  returned: always
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

from ansible_collections.tyk.upgrade.plugins.module_utils._clients.haproxy import HAProxy, Server, wait_until
from ansible_collections.tyk.upgrade.plugins.module_utils._domain.findings import DomainError, error, to_dicts
from ansible_collections.tyk.upgrade.plugins.module_utils._module import Module


def satisfied(state: str, server: Server) -> bool:
    """Whether nothing has to be said to the balancer (waiting may still be needed)."""
    return state == "observed" or (server.out if state == "drained" else not server.out)


def member(balancer: HAProxy, name: str) -> Dict[str, Any]:
    server = balancer.server(name)
    others = [one for one in balancer.servers().values() if one.name != name and one.up]
    return {
        "socket": balancer.address,
        "backend": balancer.backend,
        "server": name,
        "status": server.status,
        "sessions": server.sessions,
        "others_up": len(others),
    }


def wait_for(balancer: HAProxy, name: str, state: str, timeout: float) -> None:
    done = (lambda server: server.drained) if state == "drained" else (lambda server: server.up)
    reached, last = wait_until(lambda: balancer.server(name), done, timeout)
    if reached is not None:
        return
    waited = f"after {timeout:g} s at HAProxy {balancer.address}"
    if state == "drained":
        raise DomainError(
            error(
                "gateway-not-ready",
                f"{balancer.backend}/{name}",
                f"{last.sessions} requests still run on {balancer.backend}/{name} {waited}; it stays drained.",
                "Wait longer, or look for clients that hold requests open for that long.",
            )
        )
    raise DomainError(
        error(
            "gateway-not-ready",
            f"{balancer.backend}/{name}",
            f"{balancer.backend}/{name} is {last.status} and gets no requests {waited}.",
            "See what HAProxy's health check asks for and whether the server answers it.",
        )
    )


def stay_quiet(balancers: List[HAProxy], name: str, quiet: float, deadline: float) -> None:
    """Wait until nothing has run on the server for `quiet` seconds."""
    since = time.monotonic()
    while time.monotonic() - since < quiet:
        time.sleep(0.1)
        if not all(one.server(name).drained for one in balancers):
            for one in balancers:
                wait_for(one, name, "drained", max(0.0, deadline - time.monotonic()))
            since = time.monotonic()


def work(module: AnsibleModule) -> Dict[str, Any]:
    params = module.params
    name, state = params["server"], params["state"]
    started = time.monotonic()
    try:
        balancers = [HAProxy(one["socket"], one["backend"]) for one in params["balancers"]]
    except ValueError as problem:
        raise DomainError(error("setting-invalid", "balancers", str(problem), "")) from problem
    before = [member(one, name) for one in balancers]
    todo = [one for one in balancers if not satisfied(state, one.server(name))]
    after = before
    if not module.check_mode:
        for one in todo:
            one.set_state(name, "drain" if state == "drained" else "ready")
        if state != "observed":
            for one in balancers:
                wait_for(one, name, state, max(0.0, params["wait_timeout"] - (time.monotonic() - started)))
        if state == "drained":
            stay_quiet(balancers, name, params["quiet"], started + params["wait_timeout"])
        after = [member(one, name) for one in balancers]
    return {
        "changed": bool(todo),
        "members": after,
        "seconds": round(time.monotonic() - started, 3),
        "diff": {"before": lines(before, [], state), "after": lines(before, todo, state)},
        "findings": [],
    }


def lines(members: List[Dict[str, Any]], todo: List[HAProxy], state: str) -> str:
    changed = {(one.address, one.backend) for one in todo}
    return "".join(
        f"{one['socket']} {one['backend']}/{one['server']}: "
        + (state if (one["socket"], one["backend"]) in changed else str(one["status"]))
        + "\n"
        for one in members
    )


def main() -> None:
    module = Module(
        argument_spec={
            "balancers": {
                "type": "list",
                "elements": "dict",
                "required": True,
                "options": {
                    "kind": {"type": "str", "choices": ["haproxy"], "default": "haproxy"},
                    "socket": {"type": "str", "required": True},
                    "backend": {"type": "str", "required": True},
                },
            },
            "server": {"type": "str", "required": True},
            "state": {"type": "str", "choices": ["drained", "ready", "observed"], "default": "observed"},
            "wait_timeout": {"type": "float", "default": 60},
            "quiet": {"type": "float", "default": 0},
        },
        supports_check_mode=True,
    )
    try:
        result = work(module)
    except DomainError as problem:
        module.fail_json(msg=str(problem), findings=to_dicts([problem.finding]))
    else:
        module.exit_json(**result)


if __name__ == "__main__":
    main()
