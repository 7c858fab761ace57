#!/usr/bin/python
# Copyright (c) 2026 tyk.upgrade contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Which bundles a running gateway really uses."""

from __future__ import annotations

DOCUMENTATION = r"""
module: gateway_bundle_info
short_description: Look which bundles a gateway really uses
version_added: 0.1.0
author:
  - tyk.upgrade contributors (@tyk-upgrade)
description:
  - A rebuild of the same plugin has the same effect, so the effect of a request does not prove that a gateway has taken
    over a new bundle. This module looks at the bundle's folder, at the plugins that the gateway's process has opened,
    and at what its log says. The gateway runs in a container or as a systemd service.
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
      - Exactly one of O(container) and O(unit) is needed.
    type: str
  unit:
    description:
      - Name of the gateway's systemd service on the host that runs the module, which must be root there.
      - No engine is needed then.
    type: str
  bundles:
    description:
      - The bundles that it should use, by the names that API definitions give.
    type: list
    elements: str
    required: true
  middleware_path:
    description:
      - The gateway's C(middleware_path), as an absolute path in the container or on the host.
    type: str
    default: /opt/tyk-gateway/middleware
  since:
    description:
      - Log lines before this time, in seconds since 1970, are ignored. If not set, the start of the container or
        service counts.
    type: int
"""

EXAMPLES = r"""
- name: See whether the gateway uses the new bundle
  tyk.upgrade.gateway_bundle_info:
    container: tyk-gateway
    bundles: [header-t0123456789ab.zip]
  register: used

- name: See the same of a gateway that is a Linux package
  tyk.upgrade.gateway_bundle_info:
    unit: tyk-gateway
    bundles: [header-t0123456789ab.zip]
  become: true
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
      description: Its folder.
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
  description: When the container or service was started.
  returned: always
  type: str
restarts:
  description: How often systemd had to restart the service since it was started on purpose.
  returned: when O(unit) is given
  type: int
findings:
  description: What is wrong.
  returned: always
  type: list
  elements: dict
"""

import os
import time
from typing import Any, Dict, List

from ansible.module_utils.basic import AnsibleModule

from ansible_collections.tyk.upgrade.plugins.module_utils._clients.docker_engine import Engine
from ansible_collections.tyk.upgrade.plugins.module_utils._clients.gateway_bundles import (
    ContainerFiles,
    HostFiles,
    epoch,
    findings_of,
    log_errors,
    look_at,
    mapped_by,
    mapped_plugins,
    running_container,
    started_at,
    telling_lines,
    with_children,
)
from ansible_collections.tyk.upgrade.plugins.module_utils._clients.host_commands import Host
from ansible_collections.tyk.upgrade.plugins.module_utils._clients.journal_log import JournalLog
from ansible_collections.tyk.upgrade.plugins.module_utils._clients.systemd import Service
from ansible_collections.tyk.upgrade.plugins.module_utils._domain.findings import (
    DomainError,
    Finding,
    error,
    to_dicts,
    warning,
)
from ansible_collections.tyk.upgrade.plugins.module_utils._engine_module import run_engine_module

#: A service that was restarted and has run for so many seconds since is not restarted again and again.
STEADY = 60


def look(module: AnsibleModule, engine: Engine) -> Dict[str, Any]:
    params = module.params
    name = params["container"]
    started = started_at(running_container(engine, name))
    since = params["since"] if params["since"] is not None else epoch(started)
    mapped = mapped_plugins(engine, name)
    files = ContainerFiles(engine, name)
    bundles = [look_at(files, params["middleware_path"], bundle, mapped) for bundle in params["bundles"]]
    lines = log_errors(engine, name, since)
    return {
        "changed": False,
        "bundles": [bundle.to_dict() for bundle in bundles],
        "log_errors": lines,
        "started_at": started,
        "findings": to_dicts(findings_of(name, bundles, lines)),
    }


def look_at_unit(module: AnsibleModule) -> Dict[str, Any]:
    params = module.params
    service = Service(Host(), params["unit"])
    if os.geteuid() != 0:
        raise DomainError(
            error(
                "root-needed",
                service.name,
                f"Without the rights of root neither the folders of {service.name} nor its log can be looked at.",
                "Set become: true for this host, and see that the user may become root (sudo).",
            )
        )
    unit = service.look()
    if not unit.found:
        raise DomainError(
            error(
                "unit-missing",
                service.name,
                f"There is no service {service.name} on this host.",
                "Check the unit's name in the inventory.",
            )
        )
    if not unit.running:
        raise DomainError(
            error(
                "crash-loop" if unit.looping else "gateway-not-ready",
                service.name,
                f"{service.name} does not run ({unit.active_state}, {unit.sub_state}). Its last lines: "
                f"{service.journal() or 'none'}",
                "Start it, or put right what its last lines name.",
            )
        )
    started = service.started_epoch(unit) or 0.0
    mapped = mapped_by(with_children(unit.main_pid))
    files = HostFiles()
    bundles = [look_at(files, params["middleware_path"], bundle, mapped) for bundle in params["bundles"]]
    since = started if params["since"] is None else params["since"]
    lines = telling_lines(JournalLog(service, since).new_lines())
    return {
        "changed": False,
        "bundles": [bundle.to_dict() for bundle in bundles],
        "log_errors": lines,
        "started_at": unit.started_at,
        "restarts": unit.restarts,
        "findings": to_dicts(
            [*restarted(service, unit.restarts, time.time() - started), *findings_of(service.name, bundles, lines)]
        ),
    }


def restarted(service: Service, count: int, age: float) -> List[Finding]:
    """What it means that systemd had to restart it. age: for how many seconds its process has been running."""
    if count == 0:
        return []
    times = "once" if count == 1 else f"{count} times"
    said = f"systemd had to restart {service.name} {times} since it was started"
    if age >= STEADY:
        return [
            warning(
                "crash-loop",
                service.name,
                f"{said}; it has run for {age:.0f} s since.",
                f"See why it ended: journalctl -u {service.name}",
            )
        ]
    return [
        error(
            "crash-loop",
            service.name,
            f"{said}, the last time {age:.0f} s ago. Its last lines: {service.journal() or 'none'}",
            "Put right what its last lines name.",
        )
    ]


def main() -> None:
    run_engine_module(
        {
            "container": {"type": "str"},
            "unit": {"type": "str"},
            "bundles": {"type": "list", "elements": "str", "required": True},
            "middleware_path": {"type": "str", "default": "/opt/tyk-gateway/middleware"},
            "since": {"type": "int"},
        },
        look,
        on_host=look_at_unit,
        required_one_of=[("container", "unit")],
        mutually_exclusive=[("container", "unit")],
    )


if __name__ == "__main__":
    main()
