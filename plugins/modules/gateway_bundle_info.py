#!/usr/bin/python
# Copyright (c) 2026 tyk.upgrade contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Which bundles a running gateway really uses."""

from __future__ import annotations

DOCUMENTATION = r"""
module: gateway_bundle_info
short_description: Look which bundles a gateway in a container really uses
version_added: 0.1.0
author:
  - tyk.upgrade contributors (@tyk-upgrade)
description:
  - A rebuild of the same plugin has the same effect, so the effect of a request does not prove that a gateway has taken
    over a new bundle. This module looks at the bundle's folder in the container, at the plugins that its
    process has opened, and at what its log says.
  - Works with images that have no shell. What the process has opened is seen only on the engine's own host, with the
    right to look at other users' processes.
extends_documentation_fragment:
  - tyk.upgrade.attributes
  - tyk.upgrade.attributes.info_module
  - tyk.upgrade.docker
options:
  container:
    description:
      - Name of the gateway's container. It must run.
    type: str
    required: true
  bundles:
    description:
      - The bundles that it should use, by the names that API definitions give.
    type: list
    elements: str
    required: true
  middleware_path:
    description:
      - The gateway's C(middleware_path), as an absolute path in the container.
    type: str
    default: /opt/tyk-gateway/middleware
  since:
    description:
      - Log lines before this time, in seconds since 1970, are ignored. If not set, the start of the container counts.
    type: int
"""

EXAMPLES = r"""
- name: See whether the gateway uses the new bundle
  tyk.upgrade.gateway_bundle_info:
    container: tyk-gateway
    bundles: [header-t0123456789ab.zip]
  register: used
"""

RETURN = r"""
bundles:
  description: The bundles, in the order given.
  returned: always
  type: list
  elements: dict
  contains:
    name:
      description: Its name.
      type: str
    directory:
      description: Its folder in the container.
      type: str
    present:
      description: Whether the folder has a manifest and all files the manifest lists.
      type: bool
    manifest_checksum:
      description: The checksum in the manifest, null if there is no manifest.
      type: str
    files:
      description: The files, each with C(name) and C(size).
      type: list
      elements: dict
    missing:
      description: Files that are not there.
      type: list
      elements: str
    loaded:
      description: Plugins of this bundle that the gateway's process has opened; null if that cannot be seen.
      type: list
      elements: str
log_errors:
  description: Lines of the log that tell of bundles or plugins that could not be used, the newest last.
  returned: always
  type: list
  elements: str
started_at:
  description: When the container was started.
  returned: always
  type: str
findings:
  description: What is wrong.
  returned: always
  type: list
  elements: dict
"""

from typing import Any, Dict

from ansible.module_utils.basic import AnsibleModule

from ansible_collections.tyk.upgrade.plugins.module_utils._clients.docker_engine import Engine
from ansible_collections.tyk.upgrade.plugins.module_utils._clients.gateway_bundles import (
    epoch,
    findings_of,
    log_errors,
    look_at,
    mapped_plugins,
    running_container,
    started_at,
)
from ansible_collections.tyk.upgrade.plugins.module_utils._domain.findings import to_dicts
from ansible_collections.tyk.upgrade.plugins.module_utils._engine_module import run_engine_module


def look(module: AnsibleModule, engine: Engine) -> Dict[str, Any]:
    params = module.params
    name = params["container"]
    started = started_at(running_container(engine, name))
    since = params["since"] if params["since"] is not None else epoch(started)
    mapped = mapped_plugins(engine, name)
    bundles = [look_at(engine, name, params["middleware_path"], bundle, mapped) for bundle in params["bundles"]]
    lines = log_errors(engine, name, since)
    return {
        "changed": False,
        "bundles": [bundle.to_dict() for bundle in bundles],
        "log_errors": lines,
        "started_at": started,
        "findings": to_dicts(findings_of(name, bundles, lines)),
    }


def main() -> None:
    run_engine_module(
        {
            "container": {"type": "str", "required": True},
            "bundles": {"type": "list", "elements": "str", "required": True},
            "middleware_path": {"type": "str", "default": "/opt/tyk-gateway/middleware"},
            "since": {"type": "int"},
        },
        look,
    )


if __name__ == "__main__":
    main()
