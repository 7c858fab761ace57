#!/usr/bin/python
# Copyright (c) 2026 tyk.upgrade contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Give an existing container another image."""

from __future__ import annotations

DOCUMENTATION = r"""
module: container_upgrade
short_description: Replace the image of an existing container and keep everything else
version_added: 0.1.0
author:
  - tyk.upgrade contributors (@tyk-upgrade)
description:
  - Replaces a container by one of another image that has everything its user set. Environment, command, user, health
    check, labels, volumes (anonymous ones, too), ports, networks with aliases and fixed addresses, limits and every
    other setting the engine reports, known to this module or not, are kept.
  - The defaults of the old image are subtracted first, so the new image's own defaults apply. A hostname that is the
    old container's id is not copied.
  - The old container stays, stopped and with restart policy V(no), as C(<name>-before-<id>), for an instant return.
  - If anything fails, the old container is running again under its name before the module fails.
  - If the module was killed halfway, the next run with O(state=present), O(state=returned), O(state=cleaned) or
    O(state=repaired) puts the old container back first. Its names and labels tell what was going on.
attributes:
  check_mode:
    support: full
    details:
      - The actions of the following run are announced. Whether an image that is not in the engine differs from the one
        that runs is asked of its registry.
  diff_mode:
    support: full
  idempotent:
    support: full
extends_documentation_fragment:
  - tyk.upgrade.attributes
  - tyk.upgrade.docker
options:
  name:
    description:
      - Name of the container.
    type: str
    required: true
  state:
    description:
      - V(present) makes the container run O(image).
      - V(staged) pulls O(image), so that V(present) later costs one restart only. The container is not touched.
      - V(returned) puts the container back that was replaced last. The one that replaced it is stopped and kept as
        C(<name>-failed-<id>).
      - V(cleaned) removes what earlier replacements kept. Volumes are never removed.
      - V(placed) only puts O(files) into the container, for one that another tool replaces. If it runs, just those that
        lie in a volume or a mounted folder; the others would go with it.
      - V(announced) notes on the module's host that another tool is going to replace the container by one of O(image),
        and V(completed) that it has.
      - V(repaired) brings back to service what a run that was killed left out of it, and does nothing else. After
        V(announced) that is whatever container has the name, with O(files) if its image is O(image) and with
        O(return_files) if not. A container that somebody stopped is left alone.
    type: str
    choices: [present, staged, returned, cleaned, placed, announced, completed, repaired]
    default: present
  image:
    description:
      - Full reference of the new image. Required if O(state=present), O(state=staged) or O(state=announced).
      - If the container already runs an image with the same id, nothing is done.
    type: str
  pull:
    description:
      - Whether the image is pulled V(missing) from the engine, V(always) or V(never).
    type: str
    choices: [missing, always, never]
    default: missing
  stop_timeout:
    description:
      - Seconds to wait for the old container to end before it is killed.
      - A gateway since 5.8.3 takes up to 30 seconds to finish running requests, so leave time for that.
    type: int
    default: 60
  settle:
    description:
      - Seconds for which a started container must stay up to count as started.
    type: float
    default: 2
  labels:
    description:
      - Labels to set on the new container besides those the user set on the old one.
    type: dict
    default: {}
  files:
    description:
      - Files to put into the new container after it is created and before it starts. Those that lie in a volume or a
        mounted folder are put there after the old container has stopped.
      - They belong to the user that the container runs as, and so do the folders above them that have to be made. Folders
        that exist keep their owner and mode.
      - Refused where the place lies in a volume that other containers use, too.
    type: list
    elements: dict
    default: []
    suboptions: &file
      src:
        description: The file on the host that runs the module.
        type: path
        required: true
      dest:
        description: The absolute path in the container.
        type: str
        required: true
      mode:
        description: The permissions, as octal digits.
        type: str
        default: "0644"
  return_files:
    description:
      - What the old container had in place of O(files). On every way back it is put there again before the old container
        starts, as far as it lies in a volume or a mounted folder, which a replacement does not take back with it.
    type: list
    elements: dict
    default: []
    suboptions: *file
  backup_dir:
    description:
      - Folder on the host that runs the module in which the container's definition and O(backup_files) are saved before
        it is replaced. What is written there can be read by its owner only.
    type: path
  backup_files:
    description:
      - Absolute paths of files in the container to save to O(backup_dir).
      - One that the container does not have, because its environment alone configures it, is noted in RV(actions).
    type: list
    elements: str
    default: []
  evidence_dir:
    description:
      - Folder on the host that runs the module in which logs and configuration (without environment values) of a
        replacement that is given up are saved.
    type: path
seealso:
  - module: tyk.upgrade.container_info
"""

EXAMPLES = r"""
- name: Upgrade the gateway's container
  tyk.upgrade.container_upgrade:
    name: tyk-gateway
    image: docker.io/tykio/tyk-gateway:v5.8.9
    backup_dir: /var/backups/tyk
    backup_files: [/opt/tyk-gateway/tyk.conf]

- name: Go back to the container of before
  tyk.upgrade.container_upgrade:
    name: tyk-gateway
    state: returned
    evidence_dir: /var/lib/tyk-upgrade/evidence

- name: Remove what was kept for going back
  tyk.upgrade.container_upgrade:
    name: tyk-gateway
    state: cleaned
"""

RETURN = r"""
old:
  description: The container as it was found; empty for O(state=announced) and O(state=completed).
  returned: success
  type: dict
  contains: &container
    name:
      description: Its name.
      type: str
    id:
      description: Its id; a remark in parentheses where it cannot be known in check mode.
      type: str
    image:
      description: The image reference it was created with.
      type: str
    image_id:
      description: The id of its image; a remark in parentheses where it cannot be known in check mode.
      type: str
new:
  description: The container as it is now; empty for O(state=announced) and O(state=completed).
  returned: success
  type: dict
  contains: *container
actions:
  description: What was done, or in check mode would be done, one sentence each.
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
from typing import Any, Dict, Tuple

from ansible.module_utils.basic import AnsibleModule

from ansible_collections.tyk.upgrade.plugins.module_utils._clients.container_config import File
from ansible_collections.tyk.upgrade.plugins.module_utils._clients.containers import (
    Outcome,
    Replacement,
    Settings,
)
from ansible_collections.tyk.upgrade.plugins.module_utils._clients.docker_engine import Engine
from ansible_collections.tyk.upgrade.plugins.module_utils._clients.host_lock import host_lock
from ansible_collections.tyk.upgrade.plugins.module_utils._engine_module import run_engine_module

NEED_IMAGE = ("present", "staged", "announced")


def files_from(module: AnsibleModule, option: str) -> Tuple[File, ...]:
    for file in module.params[option]:
        if not file["dest"].startswith("/"):
            module.fail_json(msg=f"{option}: {file['dest']} is not an absolute path in the container.")
    try:
        return tuple(File(file["src"], file["dest"], int(file["mode"], 8)) for file in module.params[option])
    except ValueError:
        module.fail_json(msg=f"{option}: a mode is given as octal digits in quotes, for example '0644'.")
        raise


def settings_from(module: AnsibleModule) -> Settings:
    params = module.params
    if params["state"] in NEED_IMAGE and not params["image"]:
        module.fail_json(msg=f"state is {params['state']}, but image is empty; give the full reference of the image.")
    return Settings(
        name=params["name"],
        image=params["image"] or "",
        pull=params["pull"],
        stop_timeout=params["stop_timeout"],
        settle=params["settle"],
        labels={str(key): str(value) for key, value in params["labels"].items()},
        files=files_from(module, "files"),
        return_files=files_from(module, "return_files"),
        backup_dir=params["backup_dir"] or "",
        backup_files=tuple(params["backup_files"]),
        evidence_dir=params["evidence_dir"] or "",
        check_mode=module.check_mode,
    )


def lines(summary: Dict[str, str]) -> str:
    return "".join(f"{key}: {summary[key]}\n" for key in ("image", "image_id") if key in summary)


def upgrade(module: AnsibleModule, engine: Engine) -> Dict[str, Any]:
    started = time.monotonic()
    replacement = Replacement(engine, settings_from(module))
    with host_lock(f"the container {module.params['name']}"):
        outcome: Outcome = getattr(replacement, module.params["state"])()
    return {
        "changed": outcome.changed,
        "old": outcome.old,
        "new": outcome.new,
        "actions": outcome.actions,
        "diff": {
            "before_header": f"container {replacement.name}",
            "after_header": f"container {replacement.name}",
            "before": lines(outcome.old),
            "after": lines(outcome.new),
        },
        "seconds": round(time.monotonic() - started, 3),
        "findings": [],
    }


def main() -> None:
    file_options = {
        "src": {"type": "path", "required": True},
        "dest": {"type": "str", "required": True},
        "mode": {"type": "str", "default": "0644"},
    }
    run_engine_module(
        {
            "name": {"type": "str", "required": True},
            "state": {
                "type": "str",
                "choices": [
                    "present", "staged", "returned", "cleaned", "placed", "announced", "completed", "repaired",
                ],  # fmt: skip
                "default": "present",
            },
            "image": {"type": "str"},
            "pull": {"type": "str", "choices": ["missing", "always", "never"], "default": "missing"},
            "stop_timeout": {"type": "int", "default": 60},
            "settle": {"type": "float", "default": 2},
            "labels": {"type": "dict", "default": {}},
            "files": {"type": "list", "elements": "dict", "default": [], "options": file_options},
            "return_files": {"type": "list", "elements": "dict", "default": [], "options": file_options},
            "backup_dir": {"type": "path"},
            "backup_files": {"type": "list", "elements": "str", "default": []},
            "evidence_dir": {"type": "path"},
        },
        upgrade,
        required_if=[("state", state, ["image"]) for state in NEED_IMAGE],
    )


if __name__ == "__main__":
    main()
