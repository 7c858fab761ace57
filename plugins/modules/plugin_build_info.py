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
  - Gives the digest of plugins that were built elsewhere, too, and what they say of themselves. What is no Go plugin, is
    built for another machine, or by another Go than the gateways of its version are, is a finding. Only O(compilers) need a
    Docker engine.
  - Sources that a compiler of O(compilers) could not build are findings already here, for example another package than
    main, or a C(go.mod) that asks for a newer Go than the gateway is built with.
  - The digest covers just what the compiler gets. Files and folders whose names begin with a dot, C(*.so) and
    C(*_test.go) are left out, and so is C(go.work).
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
  artifacts:
    description:
      - Plugins that were built elsewhere, each for one gateway version.
    type: list
    elements: dict
    default: []
    suboptions:
      name:
        description: The plugin's name.
        type: str
        required: true
      version:
        description: The gateway version that it was built for.
        type: str
        required: true
      goarch:
        description: The architecture that it was built for.
        type: str
        default: amd64
      path:
        description: The file on the host that runs the module.
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
  env:
    description:
      - The environment variables that O(tyk.upgrade.plugin_compile#module:env) will be given. The ids of O(compilers) then
        change with those that a result depends on, so that what is built with others gets another name.
      - Of variables that hold secrets by their names (C(*TOKEN*), C(*_KEY) and the like), the value has no part in it.
    type: dict
    default: {}
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
    literals:
      description:
        - String literals in which the name of the module stands behind a quote, as C(file.go:line) and the literal. Plugin
          compilers since 5.2.4 would rewrite them when they are given a build id; M(tyk.upgrade.plugin_compile) avoids it.
        - Long ones are shortened. There are 20 at most; a last entry then says how many more there are.
      type: list
      elements: str
      sample: ["main.go:12: \"header-plugin-id\""]
    go_files:
      description: Number of Go files of its package main.
      type: int
artifacts:
  description: Plugins built elsewhere that can be used.
  returned: always
  type: list
  elements: dict
  contains:
    plugin:
      description: The plugin's name.
      type: str
    version:
      description: The gateway version that it was built for.
      type: str
    goarch:
      description: The architecture that it was built for.
      type: str
    path:
      description: The file.
      type: str
    sha256:
      description: SHA-256 of its content.
      type: str
    plugin_path:
      description: The path that Go knows it by. A process loads only one plugin of a path.
      type: str
    go_version:
      description: The Go that built it.
      type: str
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
      description:
        - The image's id, null if it is not in the engine.
        - With O(env), a digest of what a result depends on in that follows it.
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

import contextlib
from dataclasses import replace
from typing import Any, Dict, List, Mapping, Optional

from ansible.module_utils.basic import AnsibleModule

from ansible_collections.tyk.upgrade.plugins.module_utils._clients.compiler import file_digest
from ansible_collections.tyk.upgrade.plugins.module_utils._clients.docker_engine import (
    Engine,
    EngineRefused,
    ImageGone,
    configured_environment,
)
from ansible_collections.tyk.upgrade.plugins.module_utils._clients.plugin_source import PluginSource, read_source
from ansible_collections.tyk.upgrade.plugins.module_utils._domain.build_info import compare_platform, compare_release
from ansible_collections.tyk.upgrade.plugins.module_utils._domain.compilers import PUBLISHED_FOR
from ansible_collections.tyk.upgrade.plugins.module_utils._domain.findings import (
    DomainError,
    Finding,
    error,
    has_errors,
    to_dicts,
)
from ansible_collections.tyk.upgrade.plugins.module_utils._domain.plugin_builds import (
    other_compiler,
    right_compiler,
    with_environment,
)
from ansible_collections.tyk.upgrade.plugins.module_utils._domain.versions import Version
from ansible_collections.tyk.upgrade.plugins.module_utils._engine_module import run_engine_module
from ansible_collections.tyk.upgrade.plugins.module_utils._plugin_module import (
    environment_of,
    hide_environment,
    read_plugin,
)

CORRECT = "Or correct the path in artifacts of tyk_plugins."


def look(module: AnsibleModule, engine: Optional[Engine] = None) -> Dict[str, Any]:
    for one in module.params["compilers"]:
        try:
            Version.parse(one["version"])
        except ValueError as problem:
            module.fail_json(msg=f"compilers: {problem}")
    findings: List[Finding] = []
    sources = []
    for one in module.params["sources"]:
        try:
            source = read_source(one["name"], one["path"])
        except DomainError as problem:
            findings.append(problem.finding)
            continue
        findings += unfit(one["name"], source, module.params["compilers"])
        sources.append(
            {
                "plugin": one["name"],
                "path": one["path"],
                "digest": source.digest,
                "module": source.module,
                "literals": source.literals,
                "go_files": source.go_files,
            }
        )
    artifacts = [found for found in (artifact(one, findings) for one in module.params["artifacts"]) if found]
    compilers = []
    if engine is not None:
        env, pull = environment_of(module), module.params["pull"]
        compilers = [compiler(engine, one, env, pull, findings) for one in module.params["compilers"]]
    return {
        "changed": False,
        "sources": sources,
        "artifacts": artifacts,
        "compilers": compilers,
        "findings": to_dicts(findings),
    }


def unfit(name: str, source: PluginSource, compilers: List[Dict[str, str]]) -> List[Finding]:
    """What is wrong with a source for the versions it shall be compiled for, each thing once."""
    found = source.unreadable(name)
    for version in sorted({one["version"] for one in compilers}):
        for finding in source.prepared(name, version, "t0").findings:
            if finding.code != "compiler-unusable" and finding not in found:  # which versions go at all, the plan says
                found.append(finding)
    return found


def artifact(wanted: Dict[str, str], findings: List[Finding]) -> Dict[str, Any]:
    """What a plugin built elsewhere is; empty with findings for one that cannot be used."""
    subject = f"{wanted['name']} for {wanted['version']} ({wanted['goarch']})"
    plugin, found = read_plugin(wanted["path"], f"The file {wanted['path']}, given for {subject},")
    if plugin is not None:
        found = compare_platform(plugin.program, wanted["goarch"])
        with contextlib.suppress(ValueError):  # what is wrong with such a version, the plan says
            found += compare_release(plugin.program, str(Version.parse(wanted["version"])))
    findings += [replace(one, subject=subject, remedy=f"{one.remedy} {CORRECT}") for one in found]
    if plugin is None or has_errors(found):
        return {}
    return {
        "plugin": wanted["name"],
        "version": wanted["version"],
        "goarch": wanted["goarch"],
        "path": wanted["path"],
        "sha256": file_digest(wanted["path"]),
        "plugin_path": plugin.program.plugin_path,
        "go_version": plugin.program.info.go_version,
    }


def compiler(
    engine: Engine, wanted: Dict[str, str], env: Mapping[str, str], pull: str, findings: List[Finding]
) -> Dict[str, Any]:
    found = {"version": wanted["version"], "image": wanted["image"], "id": None, "present": False}
    try:
        image, _unused = engine.ensure_image(wanted["image"], pull, PUBLISHED_FOR)
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
    except EngineRefused as problem:  # it has no room for it
        findings.append(problem.finding)
        return found
    other = other_compiler(wanted["image"], wanted["version"], {**configured_environment(image.config), **env})
    if other:
        findings.append(
            error("compiler-unusable", wanted["image"], other, right_compiler(wanted["image"], wanted["version"]))
        )
    return {**found, "id": with_environment(image.id, env), "present": True}


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
            "artifacts": {
                "type": "list",
                "elements": "dict",
                "default": [],
                "options": {
                    "name": {"type": "str", "required": True},
                    "version": {"type": "str", "required": True},
                    "goarch": {"type": "str", "default": "amd64"},
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
            "env": {"type": "dict", "default": {}},
            "pull": {"type": "str", "choices": ["missing", "never"], "default": "missing"},
        },
        look,
        on_host=look,
        engine_for="compilers",
        first=hide_environment,
    )


if __name__ == "__main__":
    main()
