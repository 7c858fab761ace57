#!/usr/bin/python
# Copyright (c) 2026 tyk.upgrade contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Prove a new image in a throw-away copy of a container, by what it prints."""

from __future__ import annotations

DOCUMENTATION = r"""
module: container_trial
short_description: Prove a new image in a throw-away copy of a container
version_added: 0.1.0
author:
  - tyk.upgrade contributors (@tyk-upgrade)
description:
  - Starts a throw-away container with everything the user of an existing container set, but of another image and with some
    environment variables changed, and waits until its log says that it works or that it does not. The copy publishes no
    port, has no fixed address and is always removed.
  - Made for the pump, whose health check is constant and which looks healthy while its back end failed to initialise. Point
    the copy at an empty Redis database, since two pumps on one list would share its records.
  - With O(state=observed) nothing is started; the log of the existing container since its last start is judged.
attributes:
  check_mode:
    support: full
    details:
      - Nothing is started in check mode; only that the container exists is checked.
  diff_mode:
    support: none
    details:
      - Nothing that could have a difference is changed.
  idempotent:
    support: full
extends_documentation_fragment:
  - tyk.upgrade.attributes
  - tyk.upgrade.docker
options:
  name:
    description:
      - Name of the existing container.
    type: str
    required: true
  state:
    description:
      - V(tried) starts a copy of O(image), judges it and removes it.
      - V(observed) judges the existing container.
    type: str
    choices: [tried, observed]
    default: tried
  image:
    description:
      - Full reference of the image to try; it must be in the engine. Required if O(state=tried).
    type: str
  env:
    description:
      - Environment variables that the copy has other than the existing container.
      - The text V({free_port}) in a value becomes the number of a free port, for containers that share their host's ports.
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
      - Regular expressions; a line of the log that one of them is found in shows that it does not work, whatever else it says.
    type: list
    elements: str
    default: []
  timeout:
    description:
      - Seconds to wait for either.
    type: float
    default: 45
seealso:
  - module: tyk.upgrade.container_upgrade
"""

EXAMPLES = r"""
- name: Prove that the new pump can log in at its back end
  tyk.upgrade.container_trial:
    name: tyk-pump
    image: tykio/tyk-pump-docker-pub:v1.12.0
    env:
      TYK_PMP_ANALYTICSSTORAGECONFIG_DATABASE: "15"
    success: ["[Ll]ogin succe"]
    failure: [Pump init error]
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

import time
from typing import Any, Dict, List

from ansible.module_utils.basic import AnsibleModule

from ansible_collections.tyk.upgrade.plugins.module_utils._clients.container_trial import (
    tail,
    trial,
    watch,
)
from ansible_collections.tyk.upgrade.plugins.module_utils._clients.docker_engine import Engine
from ansible_collections.tyk.upgrade.plugins.module_utils._clients.trials import (
    pattern_problem,
    refusal,
    trial_environment,
)
from ansible_collections.tyk.upgrade.plugins.module_utils._engine_module import run_engine_module


def prove(module: AnsibleModule, engine: Engine) -> Dict[str, Any]:
    params = module.params
    problem = pattern_problem(params["success"] + params["failure"])
    if problem:
        module.fail_json(msg=problem, findings=[])
    engine.container(params["name"])
    started = time.monotonic()
    lines: List[str] = []
    if not module.check_mode:
        lines = observe(engine, params) if params["state"] == "observed" else attempt(engine, params)
    return {"changed": False, "lines": lines, "seconds": round(time.monotonic() - started, 3), "findings": []}


def observe(engine: Engine, params: Dict[str, Any]) -> List[str]:
    verdict = watch(engine, params["name"], params["success"], params["failure"], params["timeout"])
    if not verdict.ok:
        raise refusal(f"The container {params['name']}", verdict, tail(engine, params["name"]), params["timeout"])
    return verdict.lines


def attempt(engine: Engine, params: Dict[str, Any]) -> List[str]:
    engine.ensure_image(params["image"], "never")
    with trial(engine, params["name"], params["image"], trial_environment(params["env"])) as identity:
        verdict = watch(engine, identity, params["success"], params["failure"], params["timeout"])
        if not verdict.ok:
            subject = f"A trial of {params['image']} as {params['name']}"
            raise refusal(subject, verdict, tail(engine, identity), params["timeout"])
    return verdict.lines


def main() -> None:
    run_engine_module(
        {
            "name": {"type": "str", "required": True},
            "state": {"type": "str", "choices": ["tried", "observed"], "default": "tried"},
            "image": {"type": "str"},
            "env": {"type": "dict", "default": {}},
            "success": {"type": "list", "elements": "str", "required": True},
            "failure": {"type": "list", "elements": "str", "default": []},
            "timeout": {"type": "float", "default": 45},
        },
        prove,
        required_if=[("state", "tried", ["image"])],
    )


if __name__ == "__main__":
    main()
