# Copyright (c) 2026 tyk.upgrade contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Which file a gateway opens for a Go plugin.

A manifest names a plugin by a path, such as X.so. Depending on its version a gateway opens exactly that file, or one
whose name carries the gateway's own version, or whichever it finds first. A gateway that opens a file built for
another version does not load it, and a file of another Go generation ends the process; so what lies in a bundle beside
the right file matters as much as the right file itself.
"""

from __future__ import annotations

import posixpath
from dataclasses import dataclass
from functools import lru_cache
from itertools import product
from typing import Collection, Dict, Iterable, List, Optional, Sequence, Tuple, Union

from ansible_collections.tyk.upgrade.plugins.module_utils._domain.versions import Version, as_version

#: The path as the manifest has it.
EXACT = "{stem}.so"
#: The version as the release build compiled it in.
PLAIN = "{stem}_{version}_{goos}_{goarch}.so"
#: The version as the compiler image writes it.
TAGGED = "{stem}_v{version}_{goos}_{goarch}.so"

REQUEST = "request"
RESPONSE = "response"


@dataclass(frozen=True)
class ResolutionRule:
    """What gateways of these versions open, in the order they try."""

    name: str
    versions: str
    request: Tuple[str, ...]
    response: Tuple[str, ...]
    source: str

    def names(self, hook: str) -> Tuple[str, ...]:
        """The names tried for this kind of hook, as templates."""
        return self.response if hook == RESPONSE else self.request


#: Every version satisfies exactly one row.
RULES: Tuple[ResolutionRule, ...] = (
    ResolutionRule(
        name="A",
        versions="<3.2.0",
        request=(EXACT,),
        response=(),
        source="v3.0.0:gateway/mw_go_plugin.go; Go response hooks came with 3.2.0",
    ),
    ResolutionRule(
        name="A",
        versions=">=3.2.0, <4.1.0",
        request=(EXACT,),
        response=(EXACT,),
        source="v4.0.9:gateway/mw_go_plugin.go, v4.0.9:gateway/res_handler_go_plugin.go",
    ),
    ResolutionRule(
        name="B",
        versions=">=4.1.0, <4.3.0",
        request=(EXACT, PLAIN),
        response=(EXACT,),
        source="v4.1.0:gateway/mw_go_plugin.go:130-132,235; release builds compile the version in without its v",
    ),
    ResolutionRule(
        name="C",
        versions=">=4.3.0, <4.3.2",
        request=(EXACT, PLAIN, TAGGED),
        response=(EXACT,),
        source="v4.3.0:gateway/mw_go_plugin.go:141-150",
    ),
    ResolutionRule(
        name="D",
        versions=">=4.3.2",
        request=(TAGGED, PLAIN, EXACT),
        response=(TAGGED, PLAIN, EXACT),
        source="v4.3.2:goplugin/plugin_name_builder.go, v5.14.0:goplugin/plugin_name_builder.go:14-73",
    ),
)

#: Where two names serve equally well, the one that no other version could take for its own comes first.
_SAFEST_FIRST: Tuple[str, ...] = (TAGGED, PLAIN, EXACT)


@dataclass(frozen=True)
class Target:
    """A gateway to build for: what it runs, and on what."""

    version: Version
    goos: str = "linux"
    goarch: str = "amd64"


@lru_cache(maxsize=None)
def rule_for(version: Union[str, Version]) -> ResolutionRule:
    """The row that this version follows."""
    wanted = as_version(version)
    return next(rule for rule in RULES if wanted.satisfies(rule.versions))


def candidates(
    version: Union[str, Version], stem: str, goos: str = "linux", goarch: str = "amd64", hook: str = REQUEST
) -> List[str]:
    """The file names a gateway tries for the manifest path stem + ".so", in order.

    The suffix of a pre-release is cut before the name is built (all versions that build names), so 5.8.0-rc1 looks for
    the files of 5.8.0.
    """
    target = Target(as_version(version), goos, goarch)
    return [_file_name(template, stem, target) for template in rule_for(target.version).names(hook)]


def resolve(
    version: Union[str, Version],
    path: str,
    files: Collection[str],
    goos: str = "linux",
    goarch: str = "amd64",
    hook: str = REQUEST,
) -> Optional[str]:
    """The file among those of the bundle that a gateway opens for a manifest path; None when it finds none.

    The suffix goes onto whatever the path says, also onto a name that carries one already; the path as written is the
    exact name. A response hook counts as Go only if its path ends in .so.
    """
    folder, base = posixpath.split(path)
    stem = base[: -len(".so")] if base.endswith(".so") else base
    if hook == RESPONSE and stem == base:
        return None
    target = Target(as_version(version), goos, goarch)
    for template in rule_for(target.version).names(hook):
        name = path if template == EXACT else posixpath.join(folder, _file_name(template, stem, target))
        if name in files:
            return name
    return None


def compiled_name(version: Union[str, Version], stem: str, goos: str = "linux", goarch: str = "amd64") -> str:
    """The name that the compiler image of this version gives to its output.

    Up to 4.0.16 the name it was asked for, since then always with the version, v included: which the gateways 4.1.0 to
    4.2.4 do not look for (ci/images/plugin-compiler/data/build.sh).
    """
    target = Target(as_version(version), goos, goarch)
    return _file_name(EXACT if target.version.satisfies("<4.1.0") else TAGGED, stem, target)


def layout(targets: Sequence[Target], stem: str, hooks: Iterable[str] = (REQUEST,)) -> Optional[Dict[Target, str]]:
    """File names under which builds for all targets can lie in one bundle, each target opening its own build.

    None when no such names exist. Versioned names are preferred to the exact one: a gateway that finds no file of its
    own falls back to the exact name, and a build of another Go generation found there would end its process.
    """
    kinds = tuple(sorted(set(hooks))) or (REQUEST,)
    distinct = sorted(set(targets), key=lambda target: (target.version, target.goos, target.goarch))
    offers = [_usable_names(target, stem, kinds) for target in distinct]
    for names in product(*offers):
        if len(set(names)) == len(names) and _each_opens_its_own(distinct, names, stem, kinds):
            return dict(zip(distinct, names))
    return None


def shared_layout(
    current: Union[str, Version],
    target: Union[str, Version],
    stem: str,
    goos: str = "linux",
    goarch: str = "amd64",
    hooks: Iterable[str] = (REQUEST,),
) -> Optional[Dict[str, str]]:
    """The file names, by version, under which one bundle serves both versions; None when no bundle can.

    Such a bundle also serves the way back.
    """
    versions = [as_version(current), as_version(target)]
    found = layout([Target(version, goos, goarch) for version in versions], stem, hooks)
    return None if found is None else {str(build.version): name for build, name in found.items()}


@lru_cache(maxsize=1024)
def _usable_names(target: Target, stem: str, kinds: Tuple[str, ...]) -> List[str]:
    """Names that the target tries for every kind of hook."""
    rule = rule_for(target.version)
    return [
        _file_name(template, stem, target)
        for template in _SAFEST_FIRST
        if all(template in rule.names(kind) for kind in kinds)
    ]


def _each_opens_its_own(targets: Sequence[Target], names: Sequence[str], stem: str, kinds: Iterable[str]) -> bool:
    return all(
        resolve(target.version, f"{stem}.so", names, target.goos, target.goarch, kind) == name
        for target, name in zip(targets, names)
        for kind in kinds
    )


def _file_name(template: str, stem: str, target: Target) -> str:
    return template.format(stem=stem, version=target.version.release, goos=target.goos, goarch=target.goarch)
