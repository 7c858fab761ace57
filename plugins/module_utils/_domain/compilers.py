# Copyright (c) 2026 tyk.upgrade contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The plugin compiler images: how they are called, by version, and what comes out.

Rules from ci/images/plugin-compiler/{Dockerfile,data/build.sh} of each tag (up to 4.0.0: images/plugin-compiler/).
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache
from typing import Dict, List, Optional, Tuple, Union

from ansible_collections.tyk.upgrade.plugins.module_utils._domain.resolution import EXACT, TAGGED
from ansible_collections.tyk.upgrade.plugins.module_utils._domain.versions import Version, as_version

GOPATH = "gopath"
MODULE = "module"
WORKSPACE = "workspace"

#: The module line that a plugin gets for its build, so that its plugin path is that of no other build. From 5.2.4 on
#: the compiler would write the same, but also over string literals that begin with the old module's name.
UNIQUE_MODULE = "tyk.internal/tyk_plugin{build_id}"

#: The one platform that compiler images are published for. They compile for arm64 as well.
PUBLISHED_FOR = "linux/amd64"

#: What makes a plugin path unique.
BY_BUILD_ID = "build-id"
BY_MODULE_LINE = "module-line"

_NAME_AND_ID = ("plugin_name", "plugin_id")
_WITH_PLATFORM = ("plugin_name", "plugin_id", "goos", "goarch")


@dataclass(frozen=True)
class CompilerContract:
    """How compiler images of these versions work.

    args: their positional arguments. output_template: how they name the result. plugin_path: the path by which Go knows
    the result, from stem and build id; None where only the plugin's own go.mod decides it. honours_build_id: whether
    the build id makes that path unique. environment: switches they understand. rewrites_literals: whether a build id
    changes string literals that begin with the module's name. cross_compiler: whether a C compiler for arm64 is chosen
    without being told.
    """

    versions: str
    mode: str
    args: Tuple[str, ...]
    output_template: str
    plugin_path: Optional[str]
    source: str
    honours_build_id: bool = True
    needs_go_mod: bool = False
    unusable: bool = False
    environment: Tuple[str, ...] = ()
    rewrites_literals: bool = False
    cross_compiler: bool = True

    @property
    def unique_by(self) -> str:
        """What makes the path of a build unique: the build id, or the module line that the build id is written into."""
        return BY_BUILD_ID if self.mode == GOPATH else BY_MODULE_LINE

    def built_path(self, stem: str, build_id: str) -> str:
        """The plugin path of a build whose source was prepared as unique_by says."""
        return (self.plugin_path or UNIQUE_MODULE).format(stem=stem, build_id=build_id)

    @property
    def workspace(self) -> bool:
        """Whether plugin and gateway are built in one Go workspace: modules are fetched, vendor/ is not used."""
        return self.mode == WORKSPACE

    def command(self, stem: str, build_id: str, goos: str, goarch: str) -> List[str]:
        """The arguments for one build."""
        values = {"plugin_name": f"{stem}.so", "plugin_id": build_id, "goos": goos, "goarch": goarch}
        return [values[arg] for arg in self.args]

    def expected_plugin_path(self, stem: str, build_id: str) -> Optional[str]:
        """The plugin path that the build must have; None where the plugin's own go.mod decides it."""
        return None if self.plugin_path is None else self.plugin_path.format(stem=stem, build_id=build_id)


#: Every version satisfies exactly one row.
CONTRACTS: Tuple[CompilerContract, ...] = (
    CompilerContract(
        versions="<4.1.0",
        cross_compiler=False,
        mode=GOPATH,
        args=_NAME_AND_ID,
        output_template=EXACT,
        plugin_path="plugin_{stem}{build_id}",
        source="v4.0.16:ci/images/plugin-compiler/data/build.sh",
    ),
    CompilerContract(
        versions=">=4.1.0, <5.0.2",
        cross_compiler=False,
        mode=GOPATH,
        args=_WITH_PLATFORM,
        output_template=TAGGED,
        plugin_path="plugin_{stem}{build_id}",
        source="v4.3.8:ci/images/plugin-compiler/data/build.sh",
    ),
    CompilerContract(
        versions="==5.0.2",
        cross_compiler=False,
        mode=MODULE,
        args=_WITH_PLATFORM,
        output_template=TAGGED,
        plugin_path=None,
        honours_build_id=False,
        needs_go_mod=True,
        unusable=True,
        source="v5.0.2:ci/images/plugin-compiler/Dockerfile:22 fetches the default branch of its day, not 5.0.2",
    ),
    CompilerContract(
        versions=">=5.0.3, <5.1.0",
        mode=GOPATH,
        args=_WITH_PLATFORM,
        output_template=TAGGED,
        plugin_path="github.com/TykTechnologies/plugin_{stem}{build_id}",
        source="v5.0.3:ci/images/plugin-compiler/data/build.sh",
    ),
    CompilerContract(
        versions=">=5.1.0, <5.2.3",
        mode=WORKSPACE,
        args=_WITH_PLATFORM,
        output_template=TAGGED,
        plugin_path=None,
        honours_build_id=False,
        needs_go_mod=True,
        source="v5.1.0:ci/images/plugin-compiler/data/build.sh",
    ),
    CompilerContract(
        versions="==5.2.3",
        mode=WORKSPACE,
        args=_WITH_PLATFORM,
        output_template=TAGGED,
        plugin_path=None,
        honours_build_id=False,
        needs_go_mod=True,
        environment=("GO_GET",),
        source="v5.2.3:ci/images/plugin-compiler/data/build.sh",
    ),
    CompilerContract(
        versions=">=5.2.4",
        rewrites_literals=True,
        mode=WORKSPACE,
        args=_WITH_PLATFORM,
        output_template=TAGGED,
        plugin_path="tyk.internal/tyk_plugin{build_id}",
        environment=("GO_GET", "GO_TIDY", "DEBUG"),
        source="v5.3.0:ci/images/plugin-compiler/data/build.sh; release notes of 5.2.4, build_id",
    ),
)


@dataclass(frozen=True)
class Edition:
    """A kind of gateway and the compiler image that fits it; mixed, plugins do not load or miss parts.

    gateways: the versions it was published in. versions: those that its compiler image was. no_plugins: gateways that
    were built without support for Go plugins.
    """

    name: str
    compiler: str
    versions: str
    source: str
    gateways: str = ">=3.0.0"
    no_plugins: str = "<3.0.0"

    def published(self, version: Union[str, Version]) -> bool:
        """Whether there are gateways of this edition and version."""
        return as_version(version).satisfies(self.gateways)

    def loads_plugins(self, version: Union[str, Version]) -> bool:
        """Whether these gateways can load Go plugins at all."""
        return not as_version(version).satisfies(self.no_plugins)


EDITIONS: Tuple[Edition, ...] = (
    Edition("ce", "tyk-plugin-compiler", ">=3.0.0", "ci/images/plugin-compiler"),
    Edition(
        "ee",
        "tyk-plugin-compiler-ee",
        ">=5.7.0",
        "v5.7.0:.github/workflows/plugin-compiler-build.yml, v5.7.0:ci/goreleaser/goreleaser.yml",
        gateways=">=5.7.0",
    ),
    Edition(
        "fips",
        "tyk-plugin-compiler-fips",
        ">=5.8.14, <5.9.0 | >=5.13.0",
        "v5.8.15:.github/workflows/plugin-compiler-build.yml:155-156; ci/goreleaser/goreleaser.yml of each tag",
        gateways=">=5.0.14, <5.1.0 | >=5.3.2, <5.3.13 | >=5.5.0, <5.11.0 | >=5.13.0",
        no_plugins=">=5.0.14, <5.1.0 | >=5.3.6, <5.3.10 | >=5.5.1, <5.7.0",
    ),
)

_NEVER = "<0.0.0"
_BY_NAME: Dict[str, Edition] = {edition.name: edition for edition in EDITIONS}


@lru_cache(maxsize=None)
def compiler_contract(version: Union[str, Version]) -> CompilerContract:
    """The row that the compiler image of this version follows."""
    wanted = as_version(version)
    return next(contract for contract in CONTRACTS if wanted.satisfies(contract.versions))


def edition_of(name: str) -> Edition:
    """The edition of this name; for one that is not in the table, an edition that was never published."""
    return _BY_NAME.get(name) or Edition(name, "", _NEVER, "ci/goreleaser/goreleaser.yml", gateways=_NEVER)


def compiler_image(version: Union[str, Version], edition: str = "ce") -> Optional[str]:
    """The name of the published image that builds for this version and edition, without registry and tag.

    None where none was ever published.
    """
    row = edition_of(edition)
    return row.compiler if as_version(version).satisfies(row.versions) else None
