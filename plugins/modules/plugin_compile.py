#!/usr/bin/python
# Copyright (c) 2026 tyk.upgrade contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Compile Go plugins with Tyk's plugin compiler images."""

from __future__ import annotations

DOCUMENTATION = r"""
module: plugin_compile
short_description: Compile Go plugins with the plugin compiler of a gateway version
version_added: 0.1.0
author:
  - tyk.upgrade contributors (@tyk-upgrade)
description:
  - Builds each plugin in a fresh container of the compiler image. The source is sent and the result is fetched through
    the engine, so nothing is mounted and a remote engine works.
  - A result counts only if the compiler ended well, wrote exactly one new plugin, and that plugin is built for the
    wanted machine and carries the build id in its plugin path. Two plugins for the same gateways must not share one.
  - An image is not believed by its tag. Compilers since 4.1.0 name the result after their own version, which must be the
    one that was asked for; and the result must not be of a Go by whose plugins gateways of that version end.
  - Results are kept in O(dest) by what they depend on. If nothing changed, no container is started.
  - The compiler gets a copy of the source that is prepared for its version; the folder itself is never changed. The
    module is renamed to the path that the compiler would give it, with the imports of its own packages, so that builds
    are unique also where the compiler ignores the build id (5.1.0 to 5.2.3) and no compiler has a reason to rewrite
    string literals. Where C(go.mod) requires C(github.com/TykTechnologies/tyk), it requires the commit of the very
    release, with the replacements of that release; a C(toolchain) line is left out.
  - Whether there is memory and disk space for a build is checked before one is started.
  - Compilers are published for C(linux/amd64) only, and build for arm64 as well. An engine of another machine pulls and starts
    them for that; its host needs an emulator then (C(binfmt_misc)), and builds take several times longer.
attributes:
  check_mode:
    support: full
  diff_mode:
    support: full
  idempotent:
    support: full
extends_documentation_fragment:
  - tyk.upgrade.attributes
  - tyk.upgrade.docker
options:
  builds:
    description:
      - What to build.
    type: list
    elements: dict
    required: true
    suboptions:
      plugin:
        description: The plugin's name.
        type: str
        required: true
      source:
        description: Its source folder on the host that runs the module.
        type: path
        required: true
      version:
        description: The gateway version.
        type: str
        required: true
      image:
        description: The full reference of the compiler image.
        type: str
        required: true
      goos:
        description: The operating system, in Go's words.
        type: str
        default: linux
      goarch:
        description: The architecture, in Go's words.
        type: str
        default: amd64
      build_id:
        description: What makes the plugin path of this build unique.
        type: str
        required: true
      file:
        description: The name to give the result.
        type: str
        required: true
      strip:
        description:
          - Whether symbols that only debuggers read are removed, with the C(strip) of the compiler image. Gateways load
            the result all the same, and it is about a third smaller.
        type: bool
        default: false
  dest:
    description:
      - Folder on the host that runs the module in which results are kept.
    type: path
    required: true
  parallel:
    description:
      - How many builds run at the same time at most. A first build takes up to 768 MiB of memory; fewer run at the
        same time if the engine does not have that much for each.
    type: int
    default: 2
  timeout:
    description:
      - Seconds that one build may take.
    type: float
    default: 900
  memory:
    description:
      - Memory limit of one build, for example V(1g); at least V(768m). Not limited if not set.
    type: str
  cache_volumes:
    description:
      - Whether Go's caches are kept in volumes of the engine, C(tyk-upgrade-gobuild-<id>) and C(tyk-upgrade-gomod-<id>)
        for each compiler image. They make every build but the first much faster.
      - A module cache that the image brings along is used where it is.
    type: bool
    default: true
  env:
    description:
      - Environment variables for the compiler, for example C(GOPRIVATE) or C(GO_TIDY). They are visible in the
        container's definition while it runs.
    type: dict
    default: {}
  goproxy:
    description:
      - Where the compiler fetches Go modules, as in C(GOPROXY); for example V(https://modules.example.com) or, to allow
        nothing that is not in a cache, V(off).
      - A user and password in it are masked in all output.
    type: str
  module_cache:
    description:
      - A Go module cache on the host that runs the module, for builds without a network; the folder that C(go env
        GOMODCACHE) names, or a tar archive of it. It serves as module proxy before O(goproxy), which is V(off) then if
        not set.
      - Checksums are then checked against C(go.sum) only.
    type: path
  module_volume:
    description:
      - A volume of the engine that holds a filled Go module cache. It is mounted read-only.
    type: str
  network:
    description:
      - The engine's network for the compiler, for example V(none) or V(host). The engine's default if not set.
    type: str
  progress:
    description:
      - Internal; for this collection's own action plugin, which sets it. A file on the host that runs the module, to which
        what the compilers print is written while they print it, with secrets masked; 1 MiB at most.
    type: path
notes:
  - With C(-v), what the compilers print is shown while they print it, except in check mode, where the task has
    C(no_log), and where it is asynchronous already. The module then runs as an asynchronous job that an action plugin of
    the same name looks at, once a second at most. If the task is stopped by its C(timeout), the compilers are stopped as
    well; if the controller or the way to it is gone, they go on, and the next run takes what they have built.
seealso:
  - module: tyk.upgrade.plugin_build_info
  - module: tyk.upgrade.plugin_verify
"""

EXAMPLES = r"""
- name: Compile the plugin for both versions
  tyk.upgrade.plugin_compile:
    builds:
      - plugin: CustomGoPlugin
        source: "{{ playbook_dir }}/plugins/CustomGoPlugin"
        version: 5.3.0
        image: docker.io/tykio/tyk-plugin-compiler:v5.3.0
        build_id: t0123456789ab
        file: CustomGoPlugin_v5.3.0_linux_amd64.so
      - plugin: CustomGoPlugin
        source: "{{ playbook_dir }}/plugins/CustomGoPlugin"
        version: 5.8.9
        image: docker.io/tykio/tyk-plugin-compiler:v5.8.9
        build_id: t0123456789ab
        file: CustomGoPlugin_v5.8.9_linux_amd64.so
    dest: /var/cache/tyk-upgrade/plugins

- name: Compile without a network, from a module cache
  tyk.upgrade.plugin_compile:
    builds:
      - plugin: CustomGoPlugin
        source: "{{ playbook_dir }}/plugins/CustomGoPlugin"
        version: 5.8.9
        image: registry.example.com/tyk-plugin-compiler:v5.8.9
        build_id: t0123456789ab
        file: CustomGoPlugin_v5.8.9_linux_amd64.so
        strip: true
    dest: /var/cache/tyk-upgrade/plugins
    module_cache: /srv/go-modules.tar.gz
    network: none
"""

RETURN = r"""
builds:
  description: The results, in the order given.
  returned: always
  type: list
  elements: dict
  contains:
    plugin:
      description: The plugin's name.
      type: str
    version:
      description: The gateway version.
      type: str
    goos:
      description: The operating system.
      type: str
    goarch:
      description: The architecture.
      type: str
    build_id:
      description: The build id.
      type: str
    file:
      description: The name of the result.
      type: str
    path:
      description: Where the result is; empty in check mode if the compiler image is not in the engine yet.
      type: str
    sha256:
      description: Its checksum; null in check mode if it has to be built.
      type: str
    size:
      description: Its size in bytes; null in check mode if it has to be built.
      type: int
    strip:
      description: Whether it is stripped.
      type: bool
    size_unstripped:
      description: Its size in bytes before it was stripped; null if it is not.
      type: int
    plugin_path:
      description: By which Go tells plugins apart.
      type: str
    go_version:
      description: The version of Go it was built with; the compiler image's, if the plugin does not say it (up to Go 1.19).
      type: str
    cached:
      description: Whether it was there already.
      type: bool
    seconds:
      description: How long it took.
      type: float
    output:
      description: What the compiler printed, its last 64 KiB in lines; empty if nothing was compiled.
      type: list
      elements: str
findings:
  description: What is wrong, or worth knowing.
  returned: always
  type: list
  elements: dict
"""

from typing import Any, Dict, List

from ansible.module_utils.basic import AnsibleModule
from ansible.module_utils.common.parameters import remove_values

from ansible_collections.tyk.upgrade.plugins.module_utils._clients.compiler import (
    Build,
    Compiler,
    Options,
    Result,
    shared_paths,
)
from ansible_collections.tyk.upgrade.plugins.module_utils._clients.docker_engine import Engine, parse_bytes
from ansible_collections.tyk.upgrade.plugins.module_utils._domain.findings import has_errors, to_dicts
from ansible_collections.tyk.upgrade.plugins.module_utils._domain.versions import Version
from ansible_collections.tyk.upgrade.plugins.module_utils._engine_module import fail_with, run_engine_module
from ansible_collections.tyk.upgrade.plugins.module_utils._plugin_module import environment_of, hide_environment


def builds_from(module: AnsibleModule) -> List[Build]:
    builds = [Build(**one) for one in module.params["builds"]]
    for build in builds:
        try:
            Version.parse(build.version)
        except ValueError as problem:
            module.fail_json(msg=f"builds: {problem}")
        if "/" in build.file or build.file.startswith("."):
            module.fail_json(msg=f"builds: file {build.file} is a path; a plain file name is needed.")
    return builds


def compile_all(module: AnsibleModule, _unused: Engine) -> Dict[str, Any]:
    params = module.params
    builds = builds_from(module)
    options = Options(
        dest=params["dest"],
        timeout=params["timeout"],
        memory=parse_bytes(params["memory"]) if params["memory"] else 0,
        cache_volumes=params["cache_volumes"],
        env=environment_of(module),
        goproxy=params["goproxy"] or "",
        module_cache=params["module_cache"] or "",
        module_volume=params["module_volume"] or "",
        network=params["network"] or "",
        progress=params["progress"] or "",
    )

    def mask(line: str) -> str:
        return str(remove_values(line, module.no_log_values))

    compiler = Compiler(lambda: Engine(params["docker_host"], params["engine_timeout"]), options, module.check_mode, mask)
    with compiler.progress.told():
        results = compiler.all(builds, params["parallel"])
    findings = list(dict.fromkeys(finding for result in results for finding in result.findings))
    findings += [*shared_paths(results), *compiler.room.findings, *compiler.room.at_once(min(params["parallel"], len(builds)))]
    built = any(not one.cached and not has_errors(one.findings) for one in results)
    answer = {"changed": built, "builds": dicts(results)}
    if has_errors(findings):
        fail_with(module, findings, **answer)
    return {
        **answer,
        "diff": {
            "before": "".join(f"{one.path}\n" for one in results if one.cached),
            "after": "".join(f"{one.path or one.build.file}\n" for one in results),
        },
        "findings": to_dicts(findings),
    }


def dicts(results: List[Result]) -> List[Dict[str, Any]]:
    return [one.to_dict() for one in results]


def main() -> None:
    run_engine_module(
        {
            "builds": {
                "type": "list",
                "elements": "dict",
                "required": True,
                "options": {
                    "plugin": {"type": "str", "required": True},
                    "source": {"type": "path", "required": True},
                    "version": {"type": "str", "required": True},
                    "image": {"type": "str", "required": True},
                    "goos": {"type": "str", "default": "linux"},
                    "goarch": {"type": "str", "default": "amd64"},
                    "build_id": {"type": "str", "required": True},
                    "file": {"type": "str", "required": True},
                    "strip": {"type": "bool", "default": False},
                },
            },
            "dest": {"type": "path", "required": True},
            "parallel": {"type": "int", "default": 2},
            "timeout": {"type": "float", "default": 900},
            "memory": {"type": "str"},
            "cache_volumes": {"type": "bool", "default": True},
            "env": {"type": "dict", "default": {}},
            "goproxy": {"type": "str"},
            "module_cache": {"type": "path"},
            "module_volume": {"type": "str"},
            "network": {"type": "str"},
            "progress": {"type": "path"},
        },
        compile_all,
        first=hide_environment,
    )


if __name__ == "__main__":
    main()
