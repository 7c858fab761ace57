#!/usr/bin/python
# Copyright (c) 2026 tyk.upgrade contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What is known about containers before they are upgraded."""

from __future__ import annotations

DOCUMENTATION = r"""
module: container_info
short_description: Look at the containers of a Tyk data plane
version_added: 0.1.0
author:
  - tyk.upgrade contributors (@tyk-upgrade)
description:
  - Says what containers run, from which image, how they are connected and what they share.
  - Optionally looks whether another image is at hand and whether the engine has room for it.
  - Environment variables, which often carry secrets, are never returned.
extends_documentation_fragment:
  - tyk.upgrade.attributes
  - tyk.upgrade.attributes.info_module
  - tyk.upgrade.docker
options:
  names:
    description:
      - Names of the containers to look at.
    type: list
    elements: str
    required: true
  target_image:
    description:
      - Full reference of an image that is going to be needed.
      - If the engine does not have it, its registry is asked whether it can be pulled; nothing is pulled.
    type: str
  needed_bytes:
    description:
      - Free space that is going to be needed where the engine keeps images.
      - If less is free, a finding says so. Not looked at when O(target_image) is given and already in the engine.
    type: int
    default: 0
seealso:
  - module: tyk.upgrade.container_upgrade
"""

EXAMPLES = r"""
- name: Look at the gateway's container
  tyk.upgrade.container_info:
    names: [tyk-gateway]
    target_image: docker.io/tykio/tyk-gateway:v5.8.9
    needed_bytes: 1000000000
  register: observed
"""

RETURN = r"""
containers:
  description: One entry for each name, in the order of O(names).
  returned: always
  type: list
  elements: dict
  contains:
    name:
      description: The name asked for.
      type: str
    found:
      description: Whether there is such a container; if not, the other values are absent.
      type: bool
    running:
      description: Whether it runs.
      type: bool
    interrupted:
      description:
        - Whether a run that was killed left something that M(tyk.upgrade.container_upgrade) with C(state=repaired) undoes.
          Then the values are those of the container that has the name, or will have it, after that.
      type: bool
    id:
      description: The container's id.
      type: str
    image:
      description: The image reference it was created with.
      type: str
    repository:
      description: The image reference without its tag.
      type: str
    tag:
      description: The tag or digest of the image reference.
      type: str
    image_id:
      description: The id of the image it runs.
      type: str
    edition:
      description: The edition by the repository's name.
      type: str
      choices: [ce, ee, fips]
    os:
      description: The operating system of the image.
      type: str
    arch:
      description: The architecture of the image, in Go's words.
      type: str
    version_label:
      description: What the image says about its version, empty if nothing.
      type: str
    restart_policy:
      description: The restart policy.
      type: str
    stop_timeout:
      description: Seconds until the engine kills it after asking it to stop; null for the engine's default.
      type: int
    started_at:
      description: When it was started.
      type: str
    restart_count:
      description: How often its restart policy restarted it.
      type: int
    pid:
      description: Its process id on the engine's host, 0 if it does not run.
      type: int
    networks:
      description: Networks by name, each with C(ip), C(static_ip) and C(aliases).
      type: dict
    published:
      description: Published ports, each with C(container_port), C(host_ip) and C(host_port).
      type: list
      elements: dict
    mounts:
      description: Where volumes and folders of the host are mounted; the value is the volume's name or the folder.
      type: dict
    shared_mounts:
      description:
        - Mounts that others use as well, each with C(destination), C(source) and the containers that it is shared
          C(with). C(path) is the folder in this container that they see, which may lie below C(destination).
        - C(file_system) is the kind of a network file system, which other hosts may have mounted; empty for others, and
          where the module does not run on the engine's host.
      type: list
      elements: dict
    closed_mounts:
      description:
        - Mounts into which no file can be put from outside, each with C(destination) and C(reason), which is V(read-only)
          or V(tmpfs). A container whose own layer is read-only has one at C(/).
      type: list
      elements: dict
target:
  description: What is known about O(target_image).
  returned: when O(target_image) is given
  type: dict
  contains:
    image:
      description: The reference.
      type: str
    present:
      description: Whether the engine has it.
      type: bool
    pullable:
      description: Whether it is present or its registry has it.
      type: bool
    id:
      description: Its id, if present.
      type: str
    size:
      description: Its size in bytes, if present.
      type: int
    error:
      description: Why it cannot be had, empty otherwise.
      type: str
disk:
  description:
    - Where the engine keeps images and how much space is free there; C(free) is null where it cannot be seen from here.
  returned: always
  type: dict
  sample: {path: /var/lib/docker, free: 68719476736}
findings:
  description: What is wrong.
  returned: always
  type: list
  elements: dict
"""

import os
from typing import Any, Dict, List, Optional

from ansible.module_utils.basic import AnsibleModule

from ansible_collections.tyk.upgrade.plugins.module_utils._clients.container_config import (
    closed_mounts,
    mount_sources,
    networks_of,
    policy_text,
    published_ports,
    shared_mounts,
)
from ansible_collections.tyk.upgrade.plugins.module_utils._clients.containers import left_by_killed_run
from ansible_collections.tyk.upgrade.plugins.module_utils._clients.docker_engine import (
    Engine,
    ImageGone,
    edition_of,
    split_reference,
)
from ansible_collections.tyk.upgrade.plugins.module_utils._clients.mount_table import mount_table
from ansible_collections.tyk.upgrade.plugins.module_utils._domain.findings import Finding, error, to_dicts
from ansible_collections.tyk.upgrade.plugins.module_utils._domain.packages import go_arch
from ansible_collections.tyk.upgrade.plugins.module_utils._engine_module import run_engine_module


def describe(engine: Engine, name: str, others: List[Dict[str, Any]], machine: str) -> Dict[str, Any]:
    """A container. machine: the engine's own architecture, which tells that of a container whose image is gone."""
    left = left_by_killed_run(engine, name)
    data = engine.find_container(left or name)
    if data is None:
        return {"name": name, "found": False}
    config, state, host_config = data["Config"], data["State"], data["HostConfig"]
    image = engine.image(str(data["Image"]))
    repository, tag = split_reference(str(config["Image"]))
    return {
        "name": name,
        "found": True,
        "running": bool(state.get("Running")),
        "interrupted": bool(left),
        "id": data["Id"],
        "image": config["Image"],
        "repository": repository,
        "tag": tag,
        "image_id": data["Image"],
        "edition": edition_of(repository),
        "os": image.os if image else str(data.get("Platform") or ""),
        "arch": image.architecture if image else machine,
        "version_label": str((image.labels if image else {}).get("org.opencontainers.image.version") or ""),
        "restart_policy": policy_text(host_config.get("RestartPolicy")),
        "stop_timeout": config.get("StopTimeout"),
        "started_at": state.get("StartedAt"),
        "restart_count": int(data.get("RestartCount") or 0),
        "pid": int(state.get("Pid") or 0),
        "networks": networks_of(data),
        "published": published_ports(data),
        "mounts": mount_sources(data),
        "shared_mounts": shared_mounts(data, others, mount_table()),
        "closed_mounts": closed_mounts(data),
    }


def target_of(engine: Engine, reference: str) -> Dict[str, Any]:
    image = engine.image(reference)
    if image is not None:
        return {"image": reference, "present": True, "pullable": True, "id": image.id, "size": image.size, "error": ""}
    target: Dict[str, Any] = {
        "image": reference,
        "present": False,
        "pullable": True,
        "id": None,
        "size": None,
        "error": "",
    }
    try:
        engine.registry_digest(reference)
    except ImageGone as problem:
        target.update(pullable=False, error=str(problem))
    return target


def free_bytes(engine: Engine, path: str) -> Optional[int]:
    if not engine.local or not path:
        return None
    try:
        found = os.statvfs(path)
    except OSError:
        return None
    return found.f_bavail * found.f_frsize


def problems(result: Dict[str, Any], needed: int, address: str) -> List[Finding]:
    found = [
        error(
            "container-missing",
            one["name"],
            f"There is no container named {one['name']} in the engine at {address}.",
            "Check the name in the inventory, and that the module runs where the engine is.",
        )
        for one in result["containers"]
        if not one["found"]
    ]
    target, disk = result.get("target"), result["disk"]
    if target is not None and not target["pullable"]:
        found.append(
            error(
                "image-missing", target["image"], target["error"], "No container is touched until the image is there."
            )
        )
    if disk["free"] is not None and disk["free"] < needed:
        found.append(
            error(
                "disk-small",
                disk["path"],
                f"{disk['free']} bytes are free in {disk['path']}, {needed} are needed for the new image.",
                "Make room, for example with docker image prune.",
            )
        )
    return found


def look(module: AnsibleModule, engine: Engine) -> Dict[str, Any]:
    others = engine.containers()
    about = engine.info()
    root = str(about.get("DockerRootDir") or "")
    machine = go_arch(str(about.get("Architecture") or ""))
    result: Dict[str, Any] = {
        "changed": False,
        "containers": [describe(engine, name, others, machine) for name in module.params["names"]],
        "disk": {"path": root, "free": free_bytes(engine, root)},
    }
    needed = module.params["needed_bytes"]
    if module.params["target_image"]:
        result["target"] = target_of(engine, module.params["target_image"])
        if result["target"]["present"]:
            needed = 0
    result["findings"] = to_dicts(problems(result, needed, engine.address))
    return result


def main() -> None:
    run_engine_module(
        {
            "names": {"type": "list", "elements": "str", "required": True},
            "target_image": {"type": "str"},
            "needed_bytes": {"type": "int", "default": 0},
        },
        look,
    )


if __name__ == "__main__":
    main()
