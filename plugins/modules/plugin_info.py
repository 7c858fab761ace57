#!/usr/bin/python
# Copyright (c) 2026 tyk.upgrade contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Look into compiled plugins, and hold them against the gateway that shall load them."""

from __future__ import annotations

DOCUMENTATION = r"""
module: plugin_info
short_description: Look into compiled Go plugins and say whether they fit a gateway
version_added: 0.1.0
author:
  - tyk.upgrade contributors (@tyk-upgrade)
description:
  - Reads what plugins (C(.so) files) say about themselves, without running or loading them, so that no container, no Go
    and no gateway of the plugins' architecture is needed.
  - With O(gateway), each plugin is held against that gateway's program by the rules of Go's own runtime, and every
    mismatch that keeps it from being loaded is named. Differences that never matter are not mentioned.
  - Plugins given in one call with O(gateway) are taken for those of one gateway, so those that exclude each other are
    named as well.
  - A plugin that is absent or wrong is a result with findings, and not a failure.
  - That a plugin fits does not prove what it does; a probe against a running gateway does.
extends_documentation_fragment:
  - tyk.upgrade.attributes
  - tyk.upgrade.attributes.info_module
  - tyk.upgrade.docker
options:
  files:
    description:
      - The plugins.
    type: list
    elements: dict
    required: true
    suboptions:
      path:
        description: The file on the host that runs the module.
        type: path
        required: true
      symbols:
        description: The functions that hooks name. One that the plugin does not export is a finding.
        type: list
        elements: str
        default: []
      hooks:
        description:
          - The hooks that name functions. A function that the plugin does not export, or that is not of the type that
            its hooks need, is a finding.
        type: list
        elements: dict
        default: []
        suboptions:
          symbol:
            description: The function.
            type: str
            required: true
          kind:
            description: The kind of hook, as a bundle's manifest calls it, or V(analytics) for an analytics plugin.
            type: str
            required: true
            choices: [pre, auth_check, post_key_auth, post, response, analytics]
  gateway:
    description:
      - The gateway that shall load the plugins. Exactly one of O(gateway.path), O(gateway.image) and
        O(gateway.package_file) is needed.
    type: dict
    suboptions:
      path:
        description: Its program on the host that runs the module.
        type: path
      image:
        description:
          - The full reference of its image, which is pulled if the engine does not have it. The program is copied out
            of a container that is never started.
          - Only this needs a Docker engine.
        type: str
      package_file:
        description: Its C(.deb) or C(.rpm) package on the host that runs the module. It is not installed.
        type: path
      binary:
        description:
          - Where the program is in the image or package. If not set, it is what the image starts, or
            C(/opt/tyk-gateway/tyk).
        type: str
      glibc:
        description:
          - Version of the C library (glibc) where the gateway runs, for example V(2.31), to compare it with what the
            plugins need. V(host) looks for that of the host that runs the module.
          - Of O(gateway.image) it is known.
        type: str
  goarch:
    description:
      - Architecture of the gateways where O(gateway) is not given, for example V(amd64). A plugin of another one is a
        finding.
    type: str
seealso:
  - module: tyk.upgrade.plugin_compile
  - module: tyk.upgrade.plugin_verify
"""

EXAMPLES = r"""
- name: Look into a plugin that a pipeline has built
  tyk.upgrade.plugin_info:
    files:
      - path: /srv/artifacts/CustomGoPlugin_v5.8.9_linux_amd64.so
        symbols: [AddHeader]
        hooks:
          - symbol: AddHeader
            kind: pre

- name: See whether two plugins fit the gateway that they are meant for, and each other
  tyk.upgrade.plugin_info:
    files:
      - path: /srv/artifacts/CustomGoPlugin_v5.8.9_linux_amd64.so
      - path: /srv/artifacts/AuthPlugin_v5.8.9_linux_amd64.so
    gateway:
      image: docker.io/tykio/tyk-gateway:v5.8.9
  register: inspected

- name: Stop if they do not
  ansible.builtin.assert:
    that: inspected.results | rejectattr('fits') | length == 0
    fail_msg: "{{ inspected.findings | map(attribute='message') | join(' ') }}"

- name: Hold a plugin against the gateway of a package
  tyk.upgrade.plugin_info:
    files:
      - path: /srv/artifacts/CustomGoPlugin_v5.8.9_linux_amd64.so
    gateway:
      package_file: /srv/packages/tyk-gateway_5.8.9_amd64.deb
      glibc: "2.31"
"""

RETURN = r"""
results:
  description: What each plugin is, in the order of O(files).
  returned: always
  type: list
  elements: dict
  contains:
    path:
      description: The file.
      type: str
    readable:
      description: Whether it is a whole Go plugin. If not, its RV(results[].path) and RV(results[].fits) is all.
      type: bool
    fits:
      description: Whether no finding of severity C(error) is about it.
      type: bool
    size:
      description: Its size in bytes.
      type: int
    class:
      description: 32 or 64 bits.
      type: int
    type:
      description: The kind of ELF file, C(shared) for a plugin.
      type: str
    goos:
      description: Operating system.
      type: str
    goarch:
      description: Architecture, as Go calls it.
      type: str
    go_version:
      description:
        - The Go that built it, to the patch level. Plugins of Go 1.19 and before tell it to debuggers only, so it is
          empty if they were stripped.
      type: str
      sample: go1.24.11
    plugin_path:
      description: The path that Go knows it by. A process loads only one plugin of a path.
      type: str
      sample: tyk.internal/tyk_plugin0123456789abcdef
    module:
      description: The module it was built from, empty for a build in a C(GOPATH) and up to Go 1.19.
      type: str
    symbols:
      description: The functions that it exports.
      type: list
      elements: str
    functions:
      description:
        - What it exports with its type, functions and variables, sorted by name. Empty where the file does not tell it
          in a way that is known here, as before Go 1.18.
      type: list
      elements: dict
      contains:
        name:
          description: The function or variable.
          type: str
        type:
          description: Its type. Packages go by their names.
          type: str
          sample: func(http.ResponseWriter, *http.Request)
        variable:
          description: Whether it is a variable, which is no hook whatever its type.
          type: bool
        packages:
          description: The import path of each parameter's type, empty for one that has none.
          type: list
          elements: str
        kinds:
          description: The kinds of hooks that it can be used for.
          type: list
          elements: str
    tags:
      description: The build tags.
      type: list
      elements: str
    settings:
      description: The settings of the build, as C(go version -m) lists them. Empty up to Go 1.19.
      type: dict
    modules:
      description: The modules in it. Empty for a build in a C(GOPATH) and up to Go 1.19.
      type: list
      elements: dict
      contains:
        path:
          description: The module.
          type: str
        version:
          description: Its version, C((devel\)) if it was built from its own folder.
          type: str
        replace_path:
          description: The module that was used in its place, null if none was.
          type: str
        replace_version:
          description: The version of that.
          type: str
    packages:
      description: How many packages are in it.
      type: int
    glibc:
      description: The version of the C library that it needs at least, empty if none.
      type: str
      sample: "2.34"
    glibc_versions:
      description: Every version of symbols of the C library that it needs.
      type: list
      elements: str
    libraries:
      description: The shared libraries that it needs.
      type: list
      elements: str
    stripped:
      description: Whether the symbols that only debuggers need were taken out.
      type: bool
    differences:
      description: Where it does not fit O(gateway), null if that was not given.
      type: dict
      contains:
        modules:
          description: Modules that both use, in versions that keep the plugin from being loaded.
          type: list
          elements: dict
          contains:
            path:
              description: The module.
              type: str
            plugin:
              description: The version in the plugin.
              type: str
            gateway:
              description: The version in the gateway.
              type: str
        packages:
          description:
            - Packages that both contain and that were compiled from different sources or settings. Known only if Go's
              version is the same in both.
          type: list
          elements: str
        exact:
          description:
            - Whether this was decided by the packages' fingerprints, which is what the gateway itself goes by, and not
              by versions of modules only.
          type: bool
gateway:
  description: What the gateway's program is.
  returned: when O(gateway) is given
  type: dict
  contains:
    binary:
      description: Where the program is in the image or package, or on the host.
      type: str
    plugins:
      description: Whether it can load Go plugins at all.
      type: bool
    goos:
      description: Operating system.
      type: str
    goarch:
      description: Architecture.
      type: str
    go_version:
      description: The Go that built it.
      type: str
    tags:
      description: The build tags.
      type: list
      elements: str
    settings:
      description: The settings of the build.
      type: dict
    modules:
      description: The modules in it, as in RV(results[].modules).
      type: list
      elements: dict
    packages:
      description: How many packages it shares with plugins that use them.
      type: int
    glibc:
      description: The version of the C library that it runs with, empty if not known.
      type: str
    libraries:
      description: The shared libraries that it needs.
      type: list
      elements: str
findings:
  description: Everything that is wrong, or worth knowing.
  returned: always
  type: list
  elements: dict
"""

import os
import re
import tempfile
from typing import Any, Dict, List, Optional

from ansible.module_utils.basic import AnsibleModule, missing_required_lib

from ansible_collections.tyk.upgrade.plugins.module_utils._clients import gateway_binary
from ansible_collections.tyk.upgrade.plugins.module_utils._clients.docker_engine import (
    DOCKER_IMPORT_ERROR,
    ENGINE_ARGUMENTS,
    Engine,
)
from ansible_collections.tyk.upgrade.plugins.module_utils._clients.elf import Inspected
from ansible_collections.tyk.upgrade.plugins.module_utils._clients.gateway_binary import GatewayBinary
from ansible_collections.tyk.upgrade.plugins.module_utils._domain.build_info import (
    Comparison,
    GoProgram,
    clashes,
    compare,
    compare_platform,
    describe,
    missing_functions,
    usable_as,
    wrong_types,
)
from ansible_collections.tyk.upgrade.plugins.module_utils._domain.findings import (
    DomainError,
    Finding,
    has_errors,
    to_dicts,
)
from ansible_collections.tyk.upgrade.plugins.module_utils._engine_module import fail_with
from ansible_collections.tyk.upgrade.plugins.module_utils._module import Module
from ansible_collections.tyk.upgrade.plugins.module_utils._plugin_module import hooks_argument, read_plugin

OF_HOST = "host"


def argument_spec() -> Dict[str, Any]:
    return {
        "files": {
            "type": "list",
            "elements": "dict",
            "required": True,
            "options": {
                "path": {"type": "path", "required": True},
                "symbols": {"type": "list", "elements": "str", "default": []},
                "hooks": hooks_argument(),
            },
        },
        "gateway": {
            "type": "dict",
            "options": {
                "path": {"type": "path"},
                "image": {"type": "str"},
                "package_file": {"type": "path"},
                "binary": {"type": "str"},
                "glibc": {"type": "str"},
            },
            "mutually_exclusive": [("path", "image", "package_file")],
            "required_one_of": [("path", "image", "package_file")],
        },
        "goarch": {"type": "str"},
        **ENGINE_ARGUMENTS,
    }


def names_of(paths: List[str]) -> List[str]:
    """What findings call each file: its name, or its path where several have that name."""
    names = [os.path.basename(path) for path in paths]
    return [path if names.count(name) > 1 else name for path, name in zip(paths, names)]


def find_gateway(module: AnsibleModule, folder: str) -> Optional[GatewayBinary]:
    wanted = module.params["gateway"]
    if wanted is None:
        return None
    if wanted["path"]:
        return gateway_binary.from_path(wanted["path"])
    if wanted["package_file"]:
        return gateway_binary.from_package(wanted["package_file"], wanted["binary"], folder)
    if DOCKER_IMPORT_ERROR is not None:
        module.fail_json(msg=missing_required_lib("docker (the Docker SDK for Python)"), exception=DOCKER_IMPORT_ERROR)
    engine = Engine(module.params["docker_host"], module.params["engine_timeout"])
    try:
        return gateway_binary.from_image(engine, wanted["image"], wanted["binary"], folder)
    finally:
        engine.api.close()


def glibc_of(gateway: GatewayBinary, wanted: Optional[str]) -> str:
    """The version of the C library to compare with, empty if it is not known."""
    if wanted == OF_HOST:
        return gateway_binary.glibc_of_host(gateway.inspected.interpreter)
    return wanted or gateway.glibc


def of_hooks(program: GoProgram, file: Dict[str, Any]) -> List[Finding]:
    """What is wrong with the functions that hooks name; of a variable one finding is enough."""
    kinds: Dict[str, List[str]] = {}
    for hook in file["hooks"]:
        kinds.setdefault(hook["symbol"], []).append(hook["kind"])
    wrong = wrong_types(program, kinds)
    named = dict.fromkeys([*file["symbols"], *kinds])
    known = [symbol for symbol in named if symbol not in kinds or symbol not in program.types]
    return [*missing_functions(program, known), *wrong]


def functions_of(program: GoProgram) -> List[Dict[str, Any]]:
    return [
        {
            "name": name,
            "type": one.type,
            "variable": not one.function,
            "packages": list(one.packages),
            "kinds": usable_as(one),
        }
        for name, one in sorted(program.types.items())
    ]


def result_of(path: str, plugin: Inspected, comparison: Optional[Comparison], fits: bool) -> Dict[str, Any]:
    program = plugin.program
    return {
        "path": path,
        "readable": True,
        "fits": fits,
        "size": plugin.size,
        "class": plugin.bits,
        "type": plugin.kind,
        **describe(program),
        "plugin_path": program.plugin_path,
        "module": program.info.main.path if program.info.main else "",
        "symbols": list(program.functions),
        "functions": functions_of(program),
        "glibc_versions": list(plugin.glibc_versions),
        "stripped": plugin.stripped,
        "differences": comparison and comparison.to_dict(),
    }


def look(module: AnsibleModule, gateway: Optional[GatewayBinary]) -> Dict[str, Any]:
    params = module.params
    glibc = glibc_of(gateway, params["gateway"]["glibc"]) if gateway else ""
    paths = [file["path"] for file in params["files"]]
    findings: List[Finding] = []
    results: List[Dict[str, Any]] = []
    plugins: List[Inspected] = []
    for file, name in zip(params["files"], names_of(paths)):
        plugin, found = read_plugin(file["path"], name)
        if plugin is None:
            results.append({"path": file["path"], "readable": False, "fits": False})
            findings.extend(found)
            continue
        comparison = compare(plugin.program, gateway.inspected.program, glibc) if gateway else None
        if comparison:
            found.extend(comparison.findings)
        elif params["goarch"]:
            found.extend(compare_platform(plugin.program, params["goarch"]))
        found.extend(of_hooks(plugin.program, file))
        plugins.append(plugin)
        findings.extend(found)
        results.append(result_of(file["path"], plugin, comparison, not has_errors(found)))
    result: Dict[str, Any] = {"changed": False, "results": results}
    if gateway:
        together = clashes([plugin.program for plugin in plugins], gateway.inspected.program)
        for one in together:
            unfit = names_of(paths).index(one.subject)
            results[unfit]["fits"] = False
        findings.extend(together)
        result["gateway"] = {
            "binary": gateway.binary,
            "plugins": bool(gateway.inspected.program.fingerprints),
            **describe(gateway.inspected.program),
            "glibc": glibc,
        }
    return {**result, "findings": to_dicts(findings)}


def main() -> None:
    module = Module(argument_spec=argument_spec(), supports_check_mode=True)
    glibc = (module.params["gateway"] or {}).get("glibc")
    if glibc and glibc != OF_HOST and not re.match(r"\d+(\.\d+)+$", glibc):
        module.fail_json(
            msg=f"gateway.glibc is {glibc!r}, which is not a version of the C library. Write it like 2.31, or host."
        )
    try:
        with tempfile.TemporaryDirectory(dir=module.tmpdir, prefix="plugin-info-") as folder:
            result = look(module, find_gateway(module, folder))
    except DomainError as problem:
        fail_with(module, [problem.finding])
    else:
        module.exit_json(**result)


if __name__ == "__main__":
    main()
