#!/usr/bin/python
# Copyright (c) 2026 tyk.upgrade contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What is known about a package and its service before it is upgraded."""

from __future__ import annotations

DOCUMENTATION = r"""
module: package_info
short_description: Look at a Tyk package and its service on a Linux host
version_added: 0.1.0
author:
  - tyk.upgrade contributors (@tyk-upgrade)
description:
  - Says which version and edition is installed and which version really runs, where it came from, what keeps it from
    being upgraded, and how its service and its configuration are.
  - Optionally looks whether a target version can be had, and names everything that stands against the upgrade.
  - With O(refresh=true) the repositories' data are fetched anew, with the keys that the repositories' settings name.
    Nothing else is changed, so this is done in check mode, too.
extends_documentation_fragment:
  - tyk.upgrade.attributes
  - tyk.upgrade.attributes.info_module
  - tyk.upgrade.package
options:
  target_version:
    description:
      - The version that is going to be installed, of the software (V(5.8.9)) or of the package (V(5.8.9-1)).
    type: str
  refresh:
    description:
      - Whether the repositories' data are fetched anew.
    type: bool
    default: false
seealso:
  - module: tyk.upgrade.package_upgrade
"""

EXAMPLES = r"""
- name: Look at the gateway's package and for its target
  tyk.upgrade.package_info:
    name: tyk-gateway
    config_file: /opt/tyk-gateway/tyk.conf
    binary: /opt/tyk-gateway/tyk
    middleware_path: /opt/tyk-gateway/middleware
    target_version: 5.8.9
    refresh: true
  become: true
  register: observed
"""

RETURN = r"""
package:
  description: The package as it is on the host.
  returned: always
  type: dict
  contains:
    found:
      description: Whether it is installed. If not, only RV(package.name), RV(package.edition), RV(package.manager),
        RV(package.os), RV(package.interrupted) and RV(package.unit) are there.
      type: bool
    name:
      description: Its name.
      type: str
    manager:
      description: The package manager; empty if there is none that is supported.
      type: str
      choices: [apt, dnf, dnf5, ""]
    edition:
      description: The edition by its name.
      type: str
      choices: [ce, ee, fips]
    version:
      description: The installed version of the software.
      type: str
      sample: 5.3.0
    package_version:
      description: The installed version of the package.
      type: str
      sample: 5.3.0-1
    running_version:
      description: The version of the program that the service's process runs; empty if it does not run or cannot be told.
      type: str
    running_installed:
      description: Whether the process runs the program that is installed, not one that was replaced since its start.
      type: bool
    arch:
      description: The architecture, in Go's words.
      type: str
    os:
      description: The operating system.
      type: str
    origin:
      description: Whether a repository of the host has the installed version, or it was installed from a local file.
      type: str
      choices: [repository, local, unknown]
    held:
      description: Whether something keeps the package at its version.
      type: bool
    holds:
      description: What does.
      type: list
      elements: str
      choices: [hold, versionlock, exclude]
    half_configured:
      description: Whether the package manager has not finished an earlier change.
      type: bool
    state:
      description: The package manager's own word for the package's state.
      type: str
    interrupted:
      description: Whether M(tyk.upgrade.package_upgrade) was cut off here; its next run repairs that.
      type: bool
    interrupted_from:
      description: The version that is put back then; empty if nothing was cut off.
      type: str
    middleware_file_system:
      description:
        - The kind of the network file system in which the bundles below O(middleware_path) lie, which other hosts may have
          mounted; empty if they lie in none, or if O(middleware_path) is not set.
      type: str
    binary_changed:
      description: Whether a program of the package was changed or replaced by hand.
      type: bool
    changed_config_files:
      description: Configuration files that differ from those of the package.
      type: list
      elements: str
    changed_files:
      description: Other files that differ from those of the package. An upgrade overwrites them.
      type: list
      elements: str
    unit:
      description: The service.
      type: dict
      contains:
        name:
          description: Its full name.
          type: str
        load_state:
          description: systemd's C(LoadState).
          type: str
        active_state:
          description: systemd's C(ActiveState).
          type: str
        sub_state:
          description: systemd's C(SubState).
          type: str
        file_state:
          description: Whether it is enabled, systemd's C(UnitFileState).
          type: str
        masked:
          description: Whether it is masked.
          type: bool
        edited:
          description: Whether the package's unit file was changed, or is overridden by another. Drop-ins do not count.
          type: bool
        fragment:
          description: The unit file.
          type: str
        dropins:
          description: The drop-ins.
          type: list
          elements: str
        main_pid:
          description: The number of its main process, 0 if it does not run.
          type: int
        restarts:
          description: How often systemd restarted it by itself since it was last started.
          type: int
        started_at:
          description: When its main process was started.
          type: str
        user:
          description: As whom it runs.
          type: str
target:
  description: What is known about O(target_version).
  returned: when O(target_version) or O(file) is given
  type: dict
  contains:
    version:
      description: The version of the software.
      type: str
    package_version:
      description: The exact version of the package; empty if it cannot be had.
      type: str
    available:
      description: Whether it can be had.
      type: bool
    origin:
      description: Where from; V(staged) if only what was downloaded earlier is left of it.
      type: str
      choices: [repository, file, staged, ""]
    file:
      description: The given file.
      type: str
    size:
      description: The size of the package in bytes, null if it is not known.
      type: int
    signed:
      description: Whether its repository or the file carries a signature that the host trusts; null if that is not known.
      type: bool
    staged:
      description: Whether M(tyk.upgrade.package_upgrade) has downloaded it already.
      type: bool
    reason:
      description: Why it cannot be had.
      type: str
disk:
  description: The place with the least free space of those that are needed; C(free) is null if it cannot be told.
  returned: always
  type: dict
  sample: {path: /var/lib/tyk-upgrade, free: 68719476736}
glibc:
  description: The version of the host's C library, and the one that the target's package asks for (empty if none).
  returned: always
  type: dict
  sample: {host: "2.36", needed: "2.34"}
findings:
  description: What is wrong.
  returned: always
  type: list
  elements: dict
"""

import os
from typing import Any, Dict

from ansible.module_utils.basic import AnsibleModule

from ansible_collections.tyk.upgrade.plugins.module_utils._clients.errors import ClientError
from ansible_collections.tyk.upgrade.plugins.module_utils._clients.host_commands import Host
from ansible_collections.tyk.upgrade.plugins.module_utils._clients.package_observation import (
    HOME,
    Subject,
    free_space,
    glibc_of_host,
    observe,
    package_dict,
)
from ansible_collections.tyk.upgrade.plugins.module_utils._domain.findings import DomainError, Finding, to_dicts
from ansible_collections.tyk.upgrade.plugins.module_utils._domain.packages import edition_of
from ansible_collections.tyk.upgrade.plugins.module_utils._package_module import (
    manager_of,
    run_package_module,
    subject_from,
)


def unseen(subject: Subject, finding: Finding) -> Dict[str, Any]:
    """The result where the host could not be looked at."""
    return {
        "package": {
            "found": False,
            "name": subject.name,
            "manager": "",
            "edition": edition_of(subject.name),
            "os": "linux",
            "interrupted": False,
            "interrupted_from": "",
            "middleware_file_system": "",
            "unit": {"name": subject.unit},
        },
        "findings": to_dicts([finding]),
    }


def look(module: AnsibleModule, host: Host) -> Dict[str, Any]:
    params = module.params
    subject = subject_from(params, params["target_version"] or "")
    path, free = free_space([HOME, os.path.dirname(subject.binary) or "/opt"])
    result: Dict[str, Any] = {"changed": False, "disk": {"path": path, "free": free}}
    needed = ""
    try:
        manager = manager_of(module, host)
        seen = observe(host, manager, subject, refresh=params["refresh"])
    except (ClientError, DomainError) as problem:
        result.update(unseen(subject, problem.finding))
    else:
        result.update(package=package_dict(manager, subject, seen), findings=to_dicts(seen.findings))
        if seen.target is not None:
            result["target"] = seen.target.to_dict()
            needed = seen.target.glibc
    result["glibc"] = {"host": glibc_of_host(), "needed": needed}
    return result


def main() -> None:
    run_package_module({"target_version": {"type": "str"}, "refresh": {"type": "bool", "default": False}}, look)


if __name__ == "__main__":
    main()
