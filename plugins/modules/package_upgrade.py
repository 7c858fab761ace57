#!/usr/bin/python
# Copyright (c) 2026 tyk.upgrade contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Give a package of a Linux host another version."""

from __future__ import annotations

DOCUMENTATION = r"""
module: package_upgrade
short_description: Replace the version of an installed Tyk package with one start of its service
version_added: 0.1.0
author:
  - tyk.upgrade contributors (@tyk-upgrade)
description:
  - Installs exactly the wanted version of a package with apt or dnf, keeps the user's configuration files, and starts its
    service once. The package's own scripts, some of which restart and some of which stop the service, do not get to
    start it meanwhile.
  - Everything is downloaded while the service still runs, the version of before included, for the way back.
  - What the package manager says is not believed. The version is read back, and the service must stay up.
  - If anything fails, the version of before is installed and runs again before the module fails.
  - If the module was killed halfway, the next run (with any O(state) but V(staged)) puts the version of before back first.
  - Holds and version locks are put back, a version lock at the new version.
  - What is kept for all this lies in C(/var/lib/tyk-upgrade).
attributes:
  check_mode:
    support: full
    details:
      - The actions of the following run are announced. If the wanted version is not known to the host, the repositories'
        data are fetched anew to look for it, in check mode, too; nothing else is touched.
  diff_mode:
    support: full
  idempotent:
    support: full
extends_documentation_fragment:
  - tyk.upgrade.attributes
  - tyk.upgrade.package
options:
  state:
    description:
      - V(present) makes O(version) the one that is installed and runs.
      - V(staged) downloads O(version) without installing it, so that V(present) later costs one restart only, and unpacks
        its program, so that it can be tried. Nothing that runs is touched.
      - V(returned) puts back the version that was replaced last, with its configuration.
      - V(cleaned) removes what earlier upgrades kept, but for backups.
      - V(repaired) puts back the version of before where an upgrade was cut off and the service is down since, and does
        nothing else.
    type: str
    choices: [present, staged, returned, cleaned, repaired]
    default: present
  version:
    description:
      - The wanted version, of the software (V(5.8.9)) or of the package (V(5.8.9-1)).
      - Required if O(state=present) or O(state=staged).
    type: str
  stop_timeout:
    description:
      - Seconds to wait for the service to end before it is killed.
      - A gateway since 5.8.3 takes up to 30 seconds to finish running requests, so leave time for that.
    type: int
    default: 60
  settle:
    description:
      - Seconds for which a started service must stay up, with one and the same process, to count as started.
    type: float
    default: 6
  files:
    description:
      - Files to put in place while the service is stopped. They are taken back, and what they replaced is put back, when
        the version of before returns.
    type: list
    elements: dict
    default: []
    suboptions:
      src:
        description: The file on the host that runs the module.
        type: path
        required: true
      dest:
        description: The absolute path of its place.
        type: path
        required: true
      mode:
        description: The permissions, as octal digits.
        type: str
        default: "0644"
  backup_dir:
    description:
      - Folder on the host in which O(config_file), O(backup_files), the unit with its drop-ins and the list of bundle
        folders are saved before the package is replaced. What is written there can be read by root only.
      - If not set, C(/var/lib/tyk-upgrade/backups) is taken.
    type: path
  backup_files:
    description:
      - Absolute paths of further files to save, for example C(/etc/default/tyk-gateway). One that is not there is skipped.
    type: list
    elements: path
    default: []
  evidence_dir:
    description:
      - Folder on the host in which the log, the configuration (without secrets) and the package's state are saved when a
        version is given up.
    type: path
seealso:
  - module: tyk.upgrade.package_info
"""

EXAMPLES = r"""
- name: Download the target while traffic flows
  tyk.upgrade.package_upgrade:
    name: tyk-gateway
    binary: /opt/tyk-gateway/tyk
    version: 5.8.9
    state: staged
  become: true
  register: staged

- name: Upgrade the gateway
  tyk.upgrade.package_upgrade:
    name: tyk-gateway
    config_file: /opt/tyk-gateway/tyk.conf
    binary: /opt/tyk-gateway/tyk
    version: 5.8.9
    backup_dir: /var/backups/tyk
    backup_files: [/etc/default/tyk-gateway, /etc/sysconfig/tyk-gateway]
  become: true

- name: Go back to the version of before
  tyk.upgrade.package_upgrade:
    name: tyk-gateway
    state: returned
    evidence_dir: /var/lib/tyk-upgrade/evidence
  become: true

- name: Remove what was kept for going back
  tyk.upgrade.package_upgrade:
    name: tyk-gateway
    state: cleaned
  become: true
"""

RETURN = r"""
from:
  description: The version that was found.
  returned: success
  type: dict
  contains: &versions
    version:
      description: Of the software.
      type: str
      sample: 5.3.0
    package_version:
      description: Of the package.
      type: str
      sample: 5.3.0-1
to:
  description: The version that is there now, or in check mode would be.
  returned: success
  type: dict
  contains: *versions
actions:
  description: What was done, or in check mode would be done, one sentence each.
  returned: success
  type: list
  elements: str
seconds:
  description: How long the service was out, from the order to stop until its start was done.
  returned: success
  type: float
restarts:
  description:
    - How often the start of the service was completed during the work, by the journal. An upgrade takes exactly one.
    - Null if the journal cannot be read.
  returned: success
  type: int
config_changes:
  description: Configuration files of which the new version brings another default.
  returned: success
  type: list
  elements: dict
  contains:
    path:
      description: The file.
      type: str
    new_default:
      description: Where the package manager left the new default.
      type: str
    kept:
      description: Whether the user's file was kept; if not, nobody had changed it and the new default has taken its place.
      type: bool
    diff:
      description: What differs, without a value that may be a secret.
      type: str
backup:
  description: The folder with what was saved.
  returned: success
  type: str
binary:
  description: The program of the wanted version, unpacked to be tried; the installed one if that is of this version already.
  returned: success
  type: str
evidence:
  description: The folder with the evidence, empty if none was saved.
  returned: success
  type: str
findings:
  description: What is wrong.
  returned: always
  type: list
  elements: dict
"""

import os
from typing import Any, Dict

from ansible.module_utils.basic import AnsibleModule

from ansible_collections.tyk.upgrade.plugins.module_utils._clients.host_commands import Host
from ansible_collections.tyk.upgrade.plugins.module_utils._clients.host_lock import host_lock
from ansible_collections.tyk.upgrade.plugins.module_utils._clients.package_replacement import (
    File,
    Outcome,
    Replacement,
    Settings,
)
from ansible_collections.tyk.upgrade.plugins.module_utils._domain.findings import to_dicts
from ansible_collections.tyk.upgrade.plugins.module_utils._package_module import (
    manager_of,
    run_package_module,
    subject_from,
)


def settings_from(module: AnsibleModule) -> Settings:
    params = module.params
    wanted = params["version"] or ""
    if params["state"] in ("present", "staged") and not wanted:
        module.fail_json(msg=f"state is {params['state']}, but version is empty; give the version that is wanted.")
    if params["file"] and not params["checksum"]:
        module.fail_json(msg="file is given without checksum; give the file's checksum as sha256:<digits>.")
    for path in [file["dest"] for file in params["files"]] + params["backup_files"]:
        if not path.startswith("/"):
            module.fail_json(msg=f"{path} is not an absolute path.")
    try:
        files = tuple(File(file["src"], file["dest"], int(file["mode"], 8)) for file in params["files"])
    except ValueError:
        module.fail_json(msg="files: a mode is given as octal digits in quotes, for example '0644'.")
    for file in files:
        if not os.path.isfile(file.src):
            module.fail_json(msg=f"files: there is no file {file.src} on the host that runs the module.")
    return Settings(
        subject=subject_from(params, wanted if params["state"] in ("present", "staged") else ""),
        stop_timeout=params["stop_timeout"],
        settle=params["settle"],
        backup_dir=params["backup_dir"] or "",
        backup_files=tuple(params["backup_files"]),
        evidence_dir=params["evidence_dir"] or "",
        files=files,
        check_mode=module.check_mode,
    )


def lines(versions: Dict[str, str]) -> str:
    return "".join(f"{key}: {value}\n" for key, value in sorted(versions.items()))


def upgrade(module: AnsibleModule, host: Host) -> Dict[str, Any]:
    settings = settings_from(module)
    name = settings.subject.name
    replacement = Replacement(host, manager_of(module, host), settings)
    with host_lock(f"the package {name}"):
        outcome: Outcome = getattr(replacement, module.params["state"])()
    return {
        "changed": outcome.changed,
        "from": outcome.before,
        "to": outcome.after,
        "actions": outcome.actions,
        "seconds": round(outcome.seconds, 3),
        "restarts": outcome.starts,
        "config_changes": outcome.config_changes,
        "backup": outcome.backup,
        "binary": outcome.binary,
        "evidence": outcome.evidence,
        "diff": {
            "before_header": f"package {name}",
            "after_header": f"package {name}",
            "before": lines(outcome.before),
            "after": lines(outcome.after),
        },
        "findings": to_dicts(outcome.findings),
    }


def main() -> None:
    run_package_module(
        {
            "state": {"type": "str", "choices": ["present", "staged", "returned", "cleaned", "repaired"], "default": "present"},
            "version": {"type": "str"},
            "stop_timeout": {"type": "int", "default": 60},
            "settle": {"type": "float", "default": 6},
            "files": {
                "type": "list",
                "elements": "dict",
                "default": [],
                "options": {
                    "src": {"type": "path", "required": True},
                    "dest": {"type": "path", "required": True},
                    "mode": {"type": "str", "default": "0644"},
                },
            },
            "backup_dir": {"type": "path"},
            "backup_files": {"type": "list", "elements": "path", "default": []},
            "evidence_dir": {"type": "path"},
        },
        upgrade,
        required_if=[("state", "present", ["version"]), ("state", "staged", ["version"])],
    )


if __name__ == "__main__":
    main()
