#!/usr/bin/python
# Copyright (c) 2026 tyk.upgrade contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

DOCUMENTATION = r"""
module: traffic_probe
short_description: Send probe requests and count what they show, in the background or at once
version_added: 0.1.0
author:
  - tyk.upgrade contributors (@tyk-upgrade)
description:
  - Sends requests to APIs and checks what a plugin's work must look like, because a status of 200 proves nothing. Some
    gateway versions let requests through when they cannot load a plugin, authentication included.
  - With O(state=started) the requests are sent at a steady rate by a process in the background of the host that the
    module runs on; O(state=read) returns the numbers so far; O(state=stopped) ends it.
  - The process ends itself when nobody has read it for O(lease) seconds, so a controller that was killed leaves nothing
    behind. Its state directory holds no credentials.
  - Each request counts once. Nothing is tried again, redirects are not followed, and each request opens a connection of
    its own.
extends_documentation_fragment:
  - tyk.upgrade.attributes
  - tyk.upgrade.connection
attributes:
  check_mode:
    support: full
    details:
      - In check mode nothing is started or stopped, and O(state=once) sends only requests whose method is C(GET),
        C(HEAD) or C(OPTIONS).
  diff_mode:
    support: none
  idempotent:
    support: full
    details:
      - A running probe with the same targets, rate and limits is left running by O(state=started).
options:
  state:
    description:
      - V(started) makes sure that a probe with these settings runs. One that runs with other settings is ended first.
      - V(read) returns the numbers of a running or ended probe and renews its lease.
      - V(stopped) ends the probe and returns its last numbers.
      - V(once) sends every target O(count) times, through each of O(via), and returns when all are answered. The module
        fails when they do not show what they must; the other states only report it in RV(findings).
    type: str
    choices: [started, read, stopped, once]
    required: true
  state_dir:
    description: The directory for the files of background probes. Required unless O(state=once).
    type: path
  name:
    description: The probe's name.
    type: str
    default: traffic
  targets:
    description: The requests. Required for O(state=started) and O(state=once).
    type: list
    elements: dict
    suboptions:
      name:
        description: How the target is called in samples and findings.
        type: str
        required: true
      url:
        description: The address. With O(via) a path is enough.
        type: str
        required: true
      method:
        description: The request's method.
        type: str
        default: GET
      headers:
        description: The request's headers.
        type: dict
      expect:
        description: What the answer must show.
        type: dict
        default: {}
        suboptions:
          status:
            description: Accepted statuses. The default is 200, and for V(deny) 401 and 403.
            type: list
            elements: int
          headers:
            description: Headers that must be there, each with a regular expression that its value must match somewhere.
            type: dict
            default: {}
      kind:
        description:
          - V(plain) must be answered with the expected status.
          - V(effect) must also show the expected headers; without them it counts as RV(effect_missing).
          - V(deny) must be refused; a status between 200 and 399 counts as RV(unauthorized_allowed).
        type: str
        choices: [plain, effect, deny]
        default: plain
  via:
    description:
      - Replicas. With O(state=once) each target is requested on each of them, and not where its O(targets[].url) says.
    type: list
    elements: dict
    suboptions:
      name:
        description: How the replica is called in samples and findings.
        type: str
        required: true
      url:
        description: Its base address.
        type: str
        required: true
  count:
    description: How many times O(state=once) sends each target.
    type: int
    default: 1
  rate:
    description: Requests per second of a background probe, all targets together.
    type: float
    default: 10
  lease:
    description: Seconds after which a background probe that nobody reads ends itself.
    type: float
    default: 120
  budget:
    description: How many requests may not show what they must before it is a finding of severity error.
    type: int
    default: 0
"""

EXAMPLES = r"""
- name: Watch an API while the gateways are upgraded
  tyk.upgrade.traffic_probe:
    state: started
    state_dir: /run/tyk-upgrade
    targets:
      - name: orders
        url: http://api.example.com/orders/health
        kind: effect
        expect:
          headers:
            X-Plugin: .+
      - name: payments without credentials
        url: http://api.example.com/payments/health
        kind: deny

- name: Read the numbers
  tyk.upgrade.traffic_probe:
    state: read
    state_dir: /run/tyk-upgrade
  register: tyk_traffic

- name: Prove the plugins on one replica
  tyk.upgrade.traffic_probe:
    state: once
    via:
      - name: gw1
        url: http://gw1.example.com:8080
    targets:
      - name: payments without credentials
        url: /payments/health
        kind: deny
"""

RETURN = r"""
requests:
  description: How many requests were sent and judged.
  returned: always
  type: int
failures:
  description: How many got no answer or one that they must not get.
  returned: always
  type: int
effect_missing:
  description: How many got the right status without the plugin's effect.
  returned: always
  type: int
unauthorized_allowed:
  description: How many had to be refused and were not.
  returned: always
  type: int
p50_ms:
  description: Half of the answers took at most this many milliseconds (within 5 %). None without answers.
  returned: always
  type: float
p99_ms:
  description: 99 % of the answers took at most this many milliseconds (within 5 %). None without answers.
  returned: always
  type: float
samples:
  description: The first 20 requests that did not show what they must.
  returned: always
  type: list
  elements: dict
  contains:
    time:
      description: When, in UTC.
      type: str
    target:
      description: The target.
      type: str
    via:
      description: The replica, if any.
      type: str
    url:
      description: The address, without credentials and query.
      type: str
    verdict:
      description: V(failed), V(effect_missing) or V(unauthorized_allowed).
      type: str
    status:
      description: The answer's status. None without an answer.
      type: int
    message:
      description: What was wrong.
      type: str
running:
  description: Whether the background probe runs now.
  returned: always
  type: bool
ended:
  description: Why the background probe ended; V(stopped), V(lease lapsed), V(terminated), or None.
  returned: always
  type: str
findings:
  description: What the numbers mean.
  returned: always
  type: list
  elements: dict
"""

import re
from typing import Any, Dict, List, Optional
from urllib.parse import urlsplit

from ansible.module_utils.basic import AnsibleModule

from ansible_collections.tyk.upgrade.plugins.module_utils._clients import traffic
from ansible_collections.tyk.upgrade.plugins.module_utils._clients.errors import ClientError
from ansible_collections.tyk.upgrade.plugins.module_utils._clients.http import HttpClient
from ansible_collections.tyk.upgrade.plugins.module_utils._clients.probe_process import TERMINATED, ProbeProcess
from ansible_collections.tyk.upgrade.plugins.module_utils._clients.traffic import (
    DENY_STATUS,
    SAFE_METHODS,
    Stream,
    Target,
)
from ansible_collections.tyk.upgrade.plugins.module_utils._domain.findings import Finding, error, has_errors, to_dicts
from ansible_collections.tyk.upgrade.plugins.module_utils._http_module import (
    fail,
    hide_url,
    http_arguments,
    http_client,
)
from ansible_collections.tyk.upgrade.plugins.module_utils._module import Module

ONCE_WORKERS = 16


def argument_spec() -> Dict[str, Any]:
    replica = {"name": {"type": "str", "required": True}, "url": {"type": "str", "required": True}}
    expect = {
        "status": {"type": "list", "elements": "int"},
        "headers": {"type": "dict", "default": {}},
    }
    target = {
        "name": {"type": "str", "required": True},
        "url": {"type": "str", "required": True},
        "method": {"type": "str", "default": "GET"},
        "headers": {"type": "dict", "no_log": True},
        "expect": {"type": "dict", "default": {}, "options": expect},
        "kind": {"type": "str", "choices": ["plain", "effect", "deny"], "default": "plain"},
    }
    return {
        **http_arguments(),
        "state": {"type": "str", "choices": ["started", "read", "stopped", "once"], "required": True},
        "state_dir": {"type": "path"},
        "name": {"type": "str", "default": "traffic"},
        "targets": {"type": "list", "elements": "dict", "options": target},
        "via": {"type": "list", "elements": "dict", "options": replica},
        "count": {"type": "int", "default": 1},
        "rate": {"type": "float", "default": 10.0},
        "lease": {"type": "float", "default": 120.0},
        "budget": {"type": "int", "default": 0},
    }


def target_of(entry: Dict[str, Any]) -> Target:
    expect = entry["expect"] or {}
    return Target(
        name=entry["name"],
        url=entry["url"],
        method=entry["method"].upper(),
        headers={str(name): str(value) for name, value in (entry["headers"] or {}).items()},
        kind=entry["kind"],
        status=tuple(expect.get("status") or (DENY_STATUS if entry["kind"] == "deny" else (200,))),
        expect_headers={str(name): str(value) for name, value in (expect.get("headers") or {}).items()},
    )


def targets_of(module: AnsibleModule) -> List[Target]:
    targets = [target_of(entry) for entry in module.params["targets"]]
    if not targets:
        module.fail_json(msg="targets is empty, so nothing would be proven. Name at least one request.")
    for target in targets:
        wrong = problem_of(target, bool(module.params["via"]) and module.params["state"] == "once")
        if wrong:
            module.fail_json(msg=f"The target {target.name} {wrong}")
    return targets


def problem_of(target: Target, path_is_enough: bool) -> Optional[str]:
    if target.kind == "effect" and not target.expect_headers:
        return "is of kind effect but expects no header, so it would prove nothing. Give expect.headers."
    if target.kind == "deny" and any(200 <= status < 400 for status in target.status):
        return "must be refused but accepts a status below 400. Give statuses such as 401 and 403."
    if urlsplit(target.url).scheme not in ("http", "https") and not (path_is_enough and target.url.startswith("/")):
        return f"has no address that can be requested ({target.url}). Give an http or https address."
    for pattern in target.expect_headers.values():
        try:
            re.compile(pattern)
        except re.error as problem:
            return f"expects a header by a regular expression that cannot be read: {problem}."
    return None


def once(module: AnsibleModule) -> Dict[str, Any]:
    params = module.params
    if params["count"] < 1:
        module.fail_json(msg=f"count is {params['count']}; give at least 1.")
    targets = targets_of(module)
    if module.check_mode:
        targets = [target for target in targets if target.method in SAFE_METHODS]
    via = params["via"] or []
    if via:
        targets = [target.through(replica["name"], replica["url"]) for replica in via for target in targets]
    http = http_client(module, ONCE_WORKERS, reuse=False)
    numbers = traffic.once(http, targets, params["count"], ONCE_WORKERS)
    findings = traffic.findings(numbers, params["budget"], params["name"])
    result = {"changed": False, **numbers, "running": False, "ended": None, "findings": to_dicts(findings)}
    if has_errors(findings):
        module.fail_json(msg=" ".join(finding.sentence() for finding in findings), **result)
    return result


def shown(state: Dict[str, Any], module: AnsibleModule, running: bool) -> Dict[str, Any]:
    """The numbers of a background probe, and what they mean."""
    known = {**traffic.nothing_counted(), **state}
    numbers = {key: known[key] for key in traffic.nothing_counted()}
    # A process that was killed could not write why.
    ended = None if running else state.get("ended") or (TERMINATED if state else None)
    return {
        **numbers,
        "running": running,
        "ended": ended,
        "findings": to_dicts(traffic.findings(numbers, module.params["budget"], module.params["name"])),
    }


def not_running(name: str, ended: Optional[str]) -> Finding:
    clause = f"it has ended ({ended})" if ended else "it was never started here"
    return error(
        "probe-failed",
        name,
        f"Probe {name} does not run: {clause}, so nothing watches the traffic.",
        "Start it again; read it more often than its lease is long.",
    )


def start(module: AnsibleModule, process: ProbeProcess) -> Dict[str, Any]:
    params = module.params
    targets = targets_of(module)
    for limit in ("rate", "lease", "timeout"):
        if params[limit] <= 0:
            module.fail_json(msg=f"{limit} is {params[limit]}; give a number above 0.")
    keys = ("targets", "rate", "lease", "timeout", "validate_certs", "ca_path")
    config = {key: params[key] for key in keys}
    if process.runs_with(config):
        return {"changed": False, **shown(process.renew(), module, True)}
    if module.check_mode:
        return {"changed": True, **shown({}, module, False)}
    process.stop(params["timeout"] + 10)
    http_client(module)  # fails here, and not unseen in the background, when a library is missing

    def make_stream() -> Stream:
        http = HttpClient(
            timeout=params["timeout"],
            validate_certs=params["validate_certs"],
            ca_path=params["ca_path"],
            workers=64,
            reuse=False,
        )
        return Stream(http, targets, params["rate"], params["timeout"])

    process.start(config, params["lease"], make_stream)
    return {"changed": True, **shown({}, module, True)}


def read(module: AnsibleModule, process: ProbeProcess) -> Dict[str, Any]:
    state = process.renew()
    result = {"changed": False, **shown(process.state() or state, module, process.watching())}
    if not result["running"]:
        result["findings"].append(not_running(process.name, result["ended"]).to_dict())
    return result


def stop(module: AnsibleModule, process: ProbeProcess) -> Dict[str, Any]:
    running = process.running()
    if module.check_mode:
        return {"changed": running, **shown(process.state() or {}, module, False)}
    state = process.stop(module.params["timeout"] + 10)
    return {"changed": running, **shown(state, module, False)}


def main() -> None:
    module = Module(
        argument_spec=argument_spec(),
        required_if=[
            ("state", "started", ("state_dir", "targets")),
            ("state", "read", ("state_dir",)),
            ("state", "stopped", ("state_dir",)),
            ("state", "once", ("targets",)),
        ],
        supports_check_mode=True,
    )
    hide_url(module, *(entry["url"] for option in ("targets", "via") for entry in module.params[option] or []))
    try:
        if module.params["state"] == "once":
            result = once(module)
        else:
            act = {"started": start, "read": read, "stopped": stop}[module.params["state"]]
            result = act(module, ProbeProcess(module.params["state_dir"], module.params["name"]))
    except ClientError as problem:
        fail(module, problem)
    except OSError as problem:
        module.fail_json(
            msg=f"The state directory {module.params['state_dir']} cannot be used: {problem.strerror}. Give a "
            "directory that the user who runs this task may write.",
            findings=[],
        )
    module.exit_json(**result)


if __name__ == "__main__":
    main()
