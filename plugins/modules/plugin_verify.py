#!/usr/bin/python
# Copyright (c) 2026 tyk.upgrade contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Load plugins in the gateway image that shall run them."""

from __future__ import annotations

DOCUMENTATION = r"""
module: plugin_verify
short_description: Prove that a gateway image loads a plugin and finds its functions
version_added: 0.1.0
author:
  - tyk.upgrade contributors (@tyk-upgrade)
description:
  - Runs C(tyk plugin load) of the gateway image for every file and function, each in a container without network that
    is thrown away. Possible with gateways since 5.0.0.
  - Fails if one does not load, naming the package that differs, the function that is missing, or that the gateway's
    process died.
  - That a plugin loads does not prove what it does; a probe against a running gateway does.
extends_documentation_fragment:
  - tyk.upgrade.attributes
  - tyk.upgrade.attributes.info_module
  - tyk.upgrade.docker
options:
  checks:
    description:
      - What to load where.
    type: list
    elements: dict
    required: true
    suboptions:
      image:
        description: The full reference of the gateway image. It is pulled if the engine does not have it.
        type: str
        required: true
      files:
        description: The plugins.
        type: list
        elements: dict
        required: true
        suboptions:
          path:
            description: The file on the host that runs the module.
            type: path
            required: true
          symbols:
            description: The functions that hooks name.
            type: list
            elements: str
            required: true
  timeout:
    description:
      - Seconds that loading one plugin may take.
    type: float
    default: 60
  parallel:
    description:
      - How many containers run at the same time.
    type: int
    default: 2
seealso:
  - module: tyk.upgrade.plugin_compile
"""

EXAMPLES = r"""
- name: Load the plugin in the gateway it is meant for
  tyk.upgrade.plugin_verify:
    checks:
      - image: docker.io/tykio/tyk-gateway:v5.8.9
        files:
          - path: /var/cache/tyk-upgrade/plugins/0123456789abcdef/CustomGoPlugin_v5.8.9_linux_amd64.so
            symbols: [AddHeader]
"""

RETURN = r"""
results:
  description: What came of each file and function, in the order given.
  returned: always
  type: list
  elements: dict
  contains:
    image:
      description: The gateway image.
      type: str
    file:
      description: The plugin.
      type: str
    symbol:
      description: The function.
      type: str
    ok:
      description: Whether it was loaded and the function was found.
      type: bool
    rc:
      description: The exit code, null if it did not end in time.
      type: int
    message:
      description: What the gateway said.
      type: str
    package:
      description: The package that differs, empty if that is not what is wrong.
      type: str
findings:
  description: What is wrong.
  returned: always
  type: list
  elements: dict
"""

import os
from concurrent.futures import ThreadPoolExecutor
from typing import Any, Dict, List, Tuple

from ansible.module_utils.basic import AnsibleModule

from ansible_collections.tyk.upgrade.plugins.module_utils._clients.docker_engine import Engine
from ansible_collections.tyk.upgrade.plugins.module_utils._clients.plugin_load import finding_of, load_once
from ansible_collections.tyk.upgrade.plugins.module_utils._domain.findings import (
    DomainError,
    Finding,
    error,
    has_errors,
)
from ansible_collections.tyk.upgrade.plugins.module_utils._engine_module import fail_with, run_engine_module

Job = Tuple[str, str, str]


def jobs_from(params: Dict[str, Any]) -> List[Job]:
    return [
        (check["image"], file["path"], symbol)
        for check in params["checks"]
        for file in check["files"]
        for symbol in file["symbols"]
    ]


def findings_from(loaded: List[Dict[str, Any]]) -> List[Finding]:
    """One finding for each file and cause: a file that does not load fails for every function in the same words."""
    first = {
        (one["image"], one["file"], one["verdict"].message): one for one in reversed(loaded) if not one["verdict"].ok
    }
    return [finding_of(one["image"], one["file"], one["symbol"], one["verdict"]) for one in reversed(first.values())]


def verify(module: AnsibleModule, engine: Engine) -> Dict[str, Any]:
    params = module.params
    jobs = jobs_from(params)
    for path in sorted({path for _unused, path, _symbol in jobs if not os.path.isfile(path)}):
        raise DomainError(
            error("setting-invalid", path, f"The plugin {path} to be loaded does not exist.", "Check the path.")
        )
    for image in sorted({image for image, _path, _symbol in jobs}):
        engine.ensure_image(image, "missing")

    def load(job: Job) -> Dict[str, Any]:
        connection = Engine(params["docker_host"], params["engine_timeout"])
        try:
            return load_once(connection, *job, params["timeout"])
        finally:
            connection.api.close()

    with ThreadPoolExecutor(max_workers=max(1, params["parallel"])) as pool:
        loaded = list(pool.map(load, jobs))
    findings = findings_from(loaded)
    results = [
        {
            "image": one["image"],
            "file": one["file"],
            "symbol": one["symbol"],
            "ok": one["verdict"].ok,
            "rc": one["rc"],
            "message": one["verdict"].message,
            "package": one["verdict"].package,
        }
        for one in loaded
    ]
    if has_errors(findings):
        fail_with(module, findings, results=results)
    return {"changed": False, "results": results, "findings": []}


def main() -> None:
    run_engine_module(
        {
            "checks": {
                "type": "list",
                "elements": "dict",
                "required": True,
                "options": {
                    "image": {"type": "str", "required": True},
                    "files": {
                        "type": "list",
                        "elements": "dict",
                        "required": True,
                        "options": {
                            "path": {"type": "path", "required": True},
                            "symbols": {"type": "list", "elements": "str", "required": True},
                        },
                    },
                },
            },
            "timeout": {"type": "float", "default": 60},
            "parallel": {"type": "int", "default": 2},
        },
        verify,
    )


if __name__ == "__main__":
    main()
