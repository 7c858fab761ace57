#!/usr/bin/python
# Copyright (c) 2026 tyk.upgrade contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Load plugins in the gateway image that shall run them."""

from __future__ import annotations

DOCUMENTATION = r"""
module: plugin_verify
short_description: Prove that a gateway image loads a plugin and finds its functions
version_added: 0.1.0
author:
  - tyk.upgrade contributors (@tyk-upgrade)
description:
  - Runs C(tyk plugin load) of the gateway image for every file and function, each in a container without network that
    is thrown away. If all of them load, each two files of a check are loaded into one process, since a gateway is going
    to hold them all.
  - Gateways before 5.2.4 load only one file with it. There one throw-away gateway opens all files, in a container
    without network, Redis or control plane; it leaves out a plugin whose init code panics without them.
  - Gateways before 5.0.0 have no such command. There all functions are hooked into APIs of one throw-away gateway
    instead, which is judged by what it says about each of them.
    What fails there is tried alone, too. A plugin is opened, but no request is made, so none of its functions is called.
  - A plugin for another architecture than the image's is not tried, and is no success.
  - Fails if one does not load, naming the package that differs, the function that is missing, the other plugin that it
    cannot share a process with, or that the gateway's process died. With the kinds of hooks given, also fails if a
    function is not of the type that they need.
  - That a plugin loads does not prove what it does; a probe against a running gateway does.
extends_documentation_fragment:
  - tyk.upgrade.attributes
  - tyk.upgrade.attributes.info_module
  - tyk.upgrade.docker
options:
  checks:
    description:
      - What to load where.
    type: list
    elements: dict
    required: true
    suboptions:
      image:
        description: The full reference of the gateway image. It is pulled if the engine does not have it.
        type: str
        required: true
      version:
        description:
          - The version of the gateway.
          - If not set, it is read from the label C(org.opencontainers.image.version) of the image, or from its tag. If
            neither tells, the image is asked for its command to load plugins first.
        type: str
      files:
        description: The plugins of one gateway.
        type: list
        elements: dict
        required: true
        suboptions:
          path:
            description: The file on the host that runs the module.
            type: path
            required: true
          symbols:
            description: The functions that hooks name.
            type: list
            elements: str
            required: true
          hooks:
            description:
              - The hooks that name functions, to hold the type of each function against what its hooks need. A gateway
                loads the file of a function of another type, too, but cannot call it. Requests are then answered with an
                error or, by the releases that skip a plugin which cannot be loaded, go on without it.
              - The types are read from the file. Nothing is said about those of a plugin that does not tell them, as
                before Go 1.18.
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
  other_architectures:
    description:
      - What becomes of a plugin that is built for another architecture than the image, as the engine has it, is for, or
        that comes with an image that the engine cannot run for the same reason. No gateway here can load it.
      - V(fail) is right where all of them have to be loaded here.
      - V(leave) returns them in RV(untried), for those who load them on hosts of that architecture.
    type: str
    choices: [fail, leave]
    default: fail
  timeout:
    description:
      - Seconds that loading one plugin may take, or a throw-away gateway to load all of them.
    type: float
    default: 60
  parallel:
    description:
      - How many containers run at the same time.
    type: int
    default: 2
seealso:
  - module: tyk.upgrade.plugin_compile
"""

EXAMPLES = r"""
- name: Load the plugin in the gateway it is meant for
  tyk.upgrade.plugin_verify:
    checks:
      - image: docker.io/tykio/tyk-gateway:v5.8.9
        files:
          - path: /var/cache/tyk-upgrade/plugins/0123456789abcdef/CustomGoPlugin_v5.8.9_linux_amd64.so
            symbols: [AddHeader]
            hooks:
              - symbol: AddHeader
                kind: pre
"""

RETURN = r"""
results:
  description: What came of each file and function, in the order given.
  returned: always
  type: list
  elements: dict
  contains:
    image:
      description: The gateway image.
      type: str
    file:
      description: The plugin, or with commas between them those that were loaded into one process.
      type: str
    symbol:
      description: The function.
      type: str
    means:
      description: How it was tried, V(plugin load) or V(throw-away gateway); empty if it was not.
      type: str
    ok:
      description: Whether it was loaded and the function was found, which is of the type that its hooks need.
      type: bool
    rc:
      description: The exit code, null if it did not end in time or was not tried.
      type: int
    message:
      description: What the gateway said, or what the file tells of the function.
      type: str
    package:
      description: The package that differs, empty if that is not what is wrong.
      type: str
untried:
  description: The plugins that were left for hosts of their architecture.
  returned: always
  type: list
  elements: dict
  contains:
    file:
      description: The plugin.
      type: str
    version:
      description: The version of the gateway, empty if nothing tells.
      type: str
    goarch:
      description: The architecture that it is built for.
      type: str
findings:
  description: What is wrong.
  returned: always
  type: list
  elements: dict
"""

import itertools
import os
from concurrent.futures import ThreadPoolExecutor
from typing import Any, Callable, Dict, List, Optional, Sequence, Tuple

from ansible.module_utils.basic import AnsibleModule

from ansible_collections.tyk.upgrade.plugins.module_utils._clients.docker_engine import (
    Engine,
    Image,
    split_reference,
)
from ansible_collections.tyk.upgrade.plugins.module_utils._clients.plugin_load import (
    Hook,
    Loaded,
    findings_of,
    for_another_machine,
    goarch_of,
    load_once,
    sweep,
    takes_one_file,
    with_types,
    without_panics,
    without_symbol,
)
from ansible_collections.tyk.upgrade.plugins.module_utils._clients.throwaway_gateway import (
    prove_in_image,
    prove_together,
)
from ansible_collections.tyk.upgrade.plugins.module_utils._domain.behaviours import can_load_several, can_plugin_load
from ansible_collections.tyk.upgrade.plugins.module_utils._domain.findings import (
    DomainError,
    Finding,
    error,
    has_errors,
)
from ansible_collections.tyk.upgrade.plugins.module_utils._domain.versions import Version
from ansible_collections.tyk.upgrade.plugins.module_utils._engine_module import fail_with, run_engine_module
from ansible_collections.tyk.upgrade.plugins.module_utils._plugin_module import hooks_argument

ELSEWHERE = "plugin-arch"  # the code of what only another machine can try
VERSION_LABEL = "org.opencontainers.image.version"


class Verifier:
    """Loads plugins in images, several at a time."""

    def __init__(self, params: Dict[str, Any]) -> None:
        self.timeout = params["timeout"]
        self.connect: Callable[[], Engine] = lambda: Engine(params["docker_host"], params["engine_timeout"])
        self.parallel = max(1, params["parallel"])

    def check(self, image: str, version: Optional[Version], hooks: Sequence[Hook]) -> List[Loaded]:
        """What came of each function, and then of files in one process."""
        if version is not None and not can_plugin_load(version):
            return self.in_gateway(image, hooks)
        loaded = self.each([((hook.file,), hook.symbol) for hook in hooks], image)
        if version is None and any(one.verdict.code == "driver-unsupported" for one in loaded):
            return self.in_gateway(image, hooks)
        if all(one.verdict.ok for one in loaded):
            loaded += self.together(image, version, hooks, loaded)
        return loaded

    def together(
        self, image: str, version: Optional[Version], hooks: Sequence[Hook], loaded: Sequence[Loaded]
    ) -> List[Loaded]:
        if version is None or can_load_several(version):
            symbols = {hook.file: hook.symbol for hook in reversed(hooks)}
            pairs = itertools.combinations(dict.fromkeys(hook.file for hook in hooks), 2)
            tried = self.each([(pair, symbols[pair[0]]) for pair in pairs], image)
            if version is not None or not any(map(takes_one_file, tried)):
                return list(map(without_symbol, tried))
        return prove_together(without_panics(hooks, loaded), (), lambda some: self.in_gateway(image, some))

    def in_gateway(self, image: str, hooks: Sequence[Hook]) -> List[Loaded]:
        engine = self.connect()
        try:
            return prove_in_image(engine, image, hooks, self.timeout)
        finally:
            engine.api.close()

    def each(self, jobs: Sequence[Tuple[Tuple[str, ...], str]], image: str) -> List[Loaded]:
        def load(job: Tuple[Tuple[str, ...], str]) -> Loaded:
            engine = self.connect()
            try:
                return load_once(engine, image, job[0], job[1], self.timeout)
            finally:
                engine.api.close()

        with ThreadPoolExecutor(max_workers=self.parallel) as pool:
            return list(pool.map(load, jobs))


def hooks_of(check: Dict[str, Any]) -> List[Hook]:
    """Each function of each file once, with the kinds of hooks that name it."""
    found = []
    for file in check["files"]:
        kinds: Dict[str, List[str]] = {symbol: [] for symbol in file["symbols"]}
        for hook in file["hooks"]:
            kinds.setdefault(hook["symbol"], []).append(hook["kind"])
        found += [Hook(file["path"], symbol, tuple(dict.fromkeys(some))) for symbol, some in kinds.items()]
    return found


def version_of(given: Optional[str], image: Image) -> Optional[Version]:
    """The version of a gateway image, None if nothing tells. Raises DomainError for a given one that is none."""
    if given:
        try:
            return Version.parse(given)
        except ValueError as problem:
            raise DomainError(
                error(
                    "setting-invalid", image.reference, f"version of a check cannot be used: {problem}", "Correct it."
                )
            ) from problem
    for text in (image.labels.get(VERSION_LABEL, ""), split_reference(image.reference)[1]):
        try:
            return Version.parse(text)
        except ValueError:
            continue
    return None


def verify(module: AnsibleModule, engine: Engine) -> Dict[str, Any]:
    params = module.params
    checks = params["checks"]
    paths = {hook.file for check in checks for hook in hooks_of(check)}
    for path in sorted(path for path in paths if not os.path.isfile(path)):
        raise DomainError(
            error("setting-invalid", path, f"The plugin {path} to be loaded does not exist.", "Check the path.")
        )
    images = {name: engine.ensure_image(name, "missing")[0] for name in sorted({check["image"] for check in checks})}
    versions = [version_of(check["version"], images[check["image"]]) for check in checks]
    sweep(engine)
    verifier = Verifier(params)
    results: List[Dict[str, Any]] = []
    untried: List[Dict[str, Any]] = []
    findings: List[Finding] = []
    for check, version in zip(checks, versions):
        hooks, others = for_another_machine(hooks_of(check), images[check["image"]].architecture)
        loaded = verifier.check(check["image"], version, hooks) if hooks else []
        loaded = [*with_types(loaded, hooks), *others]
        if params["other_architectures"] == "leave":
            left = dict.fromkeys(one.files[0] for one in loaded if one.verdict.code == ELSEWHERE)
            untried += [{"file": file, "version": str(version or ""), "goarch": goarch_of(file)} for file in left]
            loaded = [one for one in loaded if one.verdict.code != ELSEWHERE]
        results += [result_from(check["image"], one) for one in loaded]
        findings += findings_of(check["image"], loaded)
    if has_errors(findings):
        fail_with(module, findings, results=results, untried=untried)
    return {"changed": False, "results": results, "untried": untried, "findings": []}


def result_from(image: str, loaded: Loaded) -> Dict[str, Any]:
    return {
        "image": image,
        "file": ",".join(loaded.files),
        "symbol": loaded.symbol,
        "means": "" if loaded.verdict.code == ELSEWHERE else loaded.means,
        "ok": loaded.verdict.ok,
        "rc": loaded.code,
        "message": loaded.verdict.message,
        "package": loaded.verdict.package,
    }


def main() -> None:
    run_engine_module(
        {
            "checks": {
                "type": "list",
                "elements": "dict",
                "required": True,
                "options": {
                    "image": {"type": "str", "required": True},
                    "version": {"type": "str"},
                    "files": {
                        "type": "list",
                        "elements": "dict",
                        "required": True,
                        "options": {
                            "path": {"type": "path", "required": True},
                            "symbols": {"type": "list", "elements": "str", "required": True},
                            "hooks": hooks_argument(),
                        },
                    },
                },
            },
            "other_architectures": {"type": "str", "choices": ["fail", "leave"], "default": "fail"},
            "timeout": {"type": "float", "default": 60},
            "parallel": {"type": "int", "default": 2},
        },
        verify,
    )


if __name__ == "__main__":
    main()
