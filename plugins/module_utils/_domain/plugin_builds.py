# Copyright (c) 2026 tyk.upgrade contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What the build of a plugin for one gateway takes: which compiler, under which rules, and what becomes of the result."""

from __future__ import annotations

import hashlib
import json
import re
from dataclasses import dataclass
from functools import lru_cache
from typing import Dict, Mapping, Optional

from ansible_collections.tyk.upgrade.plugins.module_utils._domain.compilers import (
    CompilerContract,
    compiler_contract,
    compiler_image,
    edition_of,
)
from ansible_collections.tyk.upgrade.plugins.module_utils._domain.releases import known, release
from ansible_collections.tyk.upgrade.plugins.module_utils._domain.resolution import compiled_name
from ansible_collections.tyk.upgrade.plugins.module_utils._domain.versions import Version

#: The environment variable by which a compiler image since 5.0.3 knows its own version.
OWN_TAG = "GITHUB_TAG"

#: Where modules come from has no influence on what becomes of them.
SOURCES_OF_MODULES = frozenset(
    ("GOPROXY", "GOSUMDB", "GONOSUMDB", "GONOPROXY", "GOPRIVATE", "GOINSECURE", "GOAUTH")
    + ("HTTP_PROXY", "HTTPS_PROXY", "NO_PROXY", "http_proxy", "https_proxy", "no_proxy")
)
#: Environment variables whose values are secrets, by their names.
SECRET = re.compile(r"TOKEN|SECRET|PASSW|CREDENTIAL|_KEY$|AUTH$", re.IGNORECASE)

_TAG = re.compile(r"v(\d+\.\d+\.\d+)")
_TAGGED_NAME = re.compile(r".*_v(\d+\.\d+\.\d+)_[^_]+_[^_]+\.so")

#: Stand for a plugin's name and for the id of one build in names and paths.
STEM = "X"
BUILD_ID = "<build id>"


@dataclass(frozen=True)
class PluginBuild:
    """How a plugin X is built for gateways of one version, edition and architecture.

    image: the published compiler, without registry; None where there is none, or where the user named one. go: the Go that it has to be built by;
    empty for versions that are no release. output: how the compiler names the result. plugin_path: the path by which
    Go knows it. unique_by: what makes that path unique (build-id, module-line). problem: why it cannot be built by the
    published compiler, as a sentence without its end; empty if it can.
    """

    version: str
    edition: str
    goos: str
    goarch: str
    image: Optional[str]
    go: str
    contract: CompilerContract
    output: str
    plugin_path: str
    unique_by: str
    problem: str


@lru_cache(maxsize=None)
def plugin_build(
    version: Version, edition: str = "ce", goos: str = "linux", goarch: str = "amd64", own_compiler: bool = False
) -> PluginBuild:
    """The build for gateways of this version."""
    contract = compiler_contract(version)
    image = None if own_compiler else compiler_image(version, edition)
    return PluginBuild(
        version=str(version),
        edition=edition,
        goos=goos,
        goarch=goarch,
        image=None if image is None else f"{image}:{version.tag}",
        go=release(version).go_version if known(version) else "",
        contract=contract,
        output=compiled_name(version, STEM, goos, goarch),
        plugin_path=contract.built_path(STEM, BUILD_ID),
        unique_by=contract.unique_by,
        problem=_problem(version, edition, contract, own_compiler),
    )


def _problem(version: Version, edition: str, contract: CompilerContract, own_compiler: bool) -> str:
    row = edition_of(edition)
    if not row.published(version):
        return f"there is no gateway {version} of the edition {edition}"
    if not row.loads_plugins(version):
        return f"gateways {version} of the edition {edition} were built without support for Go plugins"
    if not own_compiler and compiler_image(version, edition) is None:
        return f"no plugin compiler of {version} was published for the edition {edition}"
    if contract.unusable:
        return f"the published plugin compiler of {version} does not build for {version}"
    return ""


def other_compiler(image: str, version: str, environment: Mapping[str, str]) -> str:
    """What a compiler image's environment says against its being that of `version`, as a sentence; empty if nothing."""
    said = _TAG.match(environment.get(OWN_TAG, ""))
    if said is None or said.group(1) == str(Version.parse(version).release):
        return ""
    return f"The image {image} says that it is the plugin compiler of {said.group(1)} ({OWN_TAG}), not of {version}."


def named_by_another(image: str, version: str, expected: str, name: str) -> str:
    """What the name that a compiler gave its result says against its being that of `version`; empty if nothing.

    Since 4.1.0 the compiler writes its own version into it: up to 5.0.1 that of its sources, then its GITHUB_TAG.
    """
    if name == expected:
        return ""
    said = _TAGGED_NAME.fullmatch(name)
    if said is not None and said.group(1) != str(Version.parse(version).release):
        return (
            f"The image {image} called its result {name}, so it is the plugin compiler of {said.group(1)}, not of {version}."
        )
    return f"The image {image} called its result {name}, which the plugin compiler of {version} calls {expected}."


def right_compiler(image: str, version: str) -> str:
    """What to do about an image that is the compiler of another version."""
    return (
        f"Give the compiler of {version} in place of {image} (tyk_compiler_images). An image of your own that is one has to "
        f"be built with {OWN_TAG}={Version.parse(version).tag}."
    )


def decisive(environment: Mapping[str, str]) -> Dict[str, str]:
    """The variables of a compiler's environment that its result depends on."""
    return {name: value for name, value in environment.items() if name not in SOURCES_OF_MODULES}


def with_environment(compiler_id: str, environment: Mapping[str, str]) -> str:
    """The id of a compiler that is given this environment, which is the image's own id as long as nothing in it counts.

    It goes into bundles that anybody may read: of variables that hold secrets only the name has part in it.
    """
    counts = {name: "" if SECRET.search(name) else value for name, value in decisive(environment).items()}
    if not counts:
        return compiler_id
    return f"{compiler_id}+env:{hashlib.sha256(json.dumps(counts, sort_keys=True).encode()).hexdigest()[:32]}"
