#!/usr/bin/python
# Copyright (c) 2026 tyk.upgrade contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What would be compiled, and with what."""

from __future__ import annotations

DOCUMENTATION = r"""
module: plugin_build_info
short_description: Look at plugin sources and plugin compilers
version_added: 0.1.0
author:
  - tyk.upgrade contributors (@tyk-upgrade)
description:
  - Gives the digest of each plugin's source and the id of each compiler image, from which a plan derives what has to be
    built and how the result is called.
  - The digest covers just what the compiler gets. Files and folders whose names begin with a dot, C(*.so) and
    C(*_test.go) are left out.
attributes:
  check_mode:
    support: full
    details:
      - Images that are missing are pulled in check mode as well, because a plan names each compiler by its id. Nothing
        but the engine's store of images changes.
  diff_mode:
    support: N/A
    details:
      - This module does not change anything.
  idempotent:
    support: full
    details:
      - This module does not change anything.
extends_documentation_fragment:
  - tyk.upgrade.attributes
  - tyk.upgrade.docker
options:
  sources:
    description:
      - The plugins' source folders on the host that runs the module.
    type: list
    elements: dict
    default: []
    suboptions:
      name:
        description: The plugin's name.
        type: str
        required: true
      path:
        description: The folder with its package main.
        type: path
        required: true
  compilers:
    description:
      - The compiler images.
    type: list
    elements: dict
    default: []
    suboptions:
      version:
        description: The gateway version it compiles for.
        type: str
        required: true
      image:
        description: The full reference of the image.
        type: str
        required: true
  pull:
    description:
      - Whether images that are V(missing) in the engine are pulled, or V(never).
    type: str
    choices: [missing, never]
    default: missing
seealso:
  - module: tyk.upgrade.plugin_compile
"""

EXAMPLES = r"""
- name: Look at what would be compiled
  tyk.upgrade.plugin_build_info:
    sources:
      - name: CustomGoPlugin
        path: "{{ playbook_dir }}/plugins/CustomGoPlugin"
    compilers:
      - version: 5.8.9
        image: docker.io/tykio/tyk-plugin-compiler:v5.8.9
  register: builds
"""

RETURN = r"""
sources:
  description: Plugins whose source can be read.
  returned: always
  type: list
  elements: dict
  contains:
    plugin:
      description: The plugin's name.
      type: str
    path:
      description: Its source folder.
      type: str
    digest:
      description: The digest of what the compiler gets.
      type: str
      sample: sha256:6c3c62fa3b20f6b4d1c3c1f5c62fbfb0b2dbbc5bd2c64f5c3f9e5c7cfa1f1a51
    module:
      description: Its module path, empty if it has no C(go.mod).
      type: str
    go_files:
      description: Number of Go files of its package main.
      type: int
compilers:
  description: The compiler images, in the order given.
  returned: always
  type: list
  elements: dict
  contains:
    version:
      description: The gateway version.
      type: str
    image:
      description: The reference.
      type: str
    id:
      description: The image's id, null if it is not in the engine.
      type: str
    present:
      description: Whether it is in the engine.
      type: bool
findings:
  description: What is wrong.
  returned: always
  type: list
  elements: dict
"""

from typing import Any, Dict, List

from ansible.module_utils.basic import AnsibleModule

from ansible_collections.tyk.upgrade.plugins.module_utils._clients.docker_engine import Engine, ImageGone
from ansible_collections.tyk.upgrade.plugins.module_utils._clients.plugin_source import read_source
from ansible_collections.tyk.upgrade.plugins.module_utils._domain.findings import DomainError, Finding, error, to_dicts
from ansible_collections.tyk.upgrade.plugins.module_utils._engine_module import run_engine_module


def look(module: AnsibleModule, engine: Engine) -> Dict[str, Any]:
    findings: List[Finding] = []
    sources = []
    for one in module.params["sources"]:
        try:
            source = read_source(one["name"], one["path"])
        except DomainError as problem:
            findings.append(problem.finding)
            continue
        sources.append(
            {
                "plugin": one["name"],
                "path": one["path"],
                "digest": source.digest,
                "module": source.module,
                "go_files": source.go_files,
            }
        )
    compilers = [compiler(engine, one, module.params["pull"], findings) for one in module.params["compilers"]]
    return {"changed": False, "sources": sources, "compilers": compilers, "findings": to_dicts(findings)}


def compiler(engine: Engine, wanted: Dict[str, str], pull: str, findings: List[Finding]) -> Dict[str, Any]:
    found = {"version": wanted["version"], "image": wanted["image"], "id": None, "present": False}
    try:
        image, _unused = engine.ensure_image(wanted["image"], pull)
    except ImageGone as problem:
        findings.append(
            error(
                "compiler-missing",
                wanted["image"],
                problem.finding.message,
                f"It is needed to compile plugins for {wanted['version']}; load it into the engine, or give artifacts "
                f"built elsewhere.",
            )
        )
        return found
    return {**found, "id": image.id, "present": True}


def main() -> None:
    run_engine_module(
        {
            "sources": {
                "type": "list",
                "elements": "dict",
                "default": [],
                "options": {
                    "name": {"type": "str", "required": True},
                    "path": {"type": "path", "required": True},
                },
            },
            "compilers": {
                "type": "list",
                "elements": "dict",
                "default": [],
                "options": {
                    "version": {"type": "str", "required": True},
                    "image": {"type": "str", "required": True},
                },
            },
            "pull": {"type": "str", "choices": ["missing", "never"], "default": "missing"},
        },
        look,
    )


if __name__ == "__main__":
    main()
