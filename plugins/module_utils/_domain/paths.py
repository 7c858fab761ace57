# Copyright (c) 2026 tyk.upgrade contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""How the plugins get from one version to the other.

The published procedure knows three paths, told apart by fixed version numbers, and has a hole between them. Here the
file-resolution rules decide what can work; the number of the path only says which section a reader would have followed.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Dict, Iterable, List, Optional, Tuple, Union

from ansible_collections.tyk.upgrade.plugins.module_utils._domain.behaviours import (
    backup_readable,
    can_plugin_load,
    fail_open,
    failing_download_fatal,
)
from ansible_collections.tyk.upgrade.plugins.module_utils._domain.bundles import Hook
from ansible_collections.tyk.upgrade.plugins.module_utils._domain.compilers import CompilerContract, compiler_contract
from ansible_collections.tyk.upgrade.plugins.module_utils._domain.releases import go_group, known
from ansible_collections.tyk.upgrade.plugins.module_utils._domain.resolution import (
    REQUEST,
    RESPONSE,
    candidates,
    rule_for,
    shared_layout,
)
from ansible_collections.tyk.upgrade.plugins.module_utils._domain.versions import Version, as_version

__all__ = [
    "GAP",
    "NONE",
    "PATHS",
    "PER_HOST",
    "SHARED",
    "CompilerContract",
    "Decision",
    "PublishedPath",
    "backup_readable",
    "can_plugin_load",
    "compiler_contract",
    "decide",
    "fail_open",
    "failing_download_fatal",
    "published_path",
]

#: One bundle holds builds for both versions: switch the API definitions while the current version still runs.
SHARED = "shared"
#: No bundle can: each host gets the target's build in place of its own while it is out of service.
PER_HOST = "per-host"
#: There is nothing to move.
NONE = "none"
#: The published procedure says nothing about this pair.
GAP = "gap"


@dataclass(frozen=True)
class PublishedPath:
    """A row of the published table."""

    path: str
    current: str
    target: str
    source: str


#: "Upgrading Tyk On Hybrid SaaS", section 2, and what its table leaves out.
PATHS: Tuple[PublishedPath, ...] = (
    PublishedPath("1", "<4.1.0", "<4.1.0", "Upgrading Tyk On Hybrid SaaS, path 1"),
    PublishedPath("2", "<4.1.0", ">=4.1.0", "Upgrading Tyk On Hybrid SaaS, path 2"),
    PublishedPath("3", ">=4.1.0", ">=5.1.0", "Upgrading Tyk On Hybrid SaaS, path 3"),
    PublishedPath(GAP, ">=4.1.0", "<5.1.0", "Upgrading Tyk On Hybrid SaaS, section 2: no row covers it"),
)


@dataclass(frozen=True)
class Decision:
    """How plugins move from the current version to the target.

    path: 1, 2, 3, gap, or none when nothing moves. cutover: shared, per-host or none. supported: whether this
    collection carries it out. reasons: sentences for the person who reads the plan; sources: where the rules come from.
    """

    path: str
    cutover: str
    reasons: List[str]
    sources: List[str]
    supported: bool


def published_path(current: Union[str, Version], target: Union[str, Version]) -> PublishedPath:
    """The row of the published table for this pair; the gap where it has none."""
    before, after = as_version(current), as_version(target)
    return next(row for row in PATHS if before.satisfies(row.current) and after.satisfies(row.target))


def decide(
    current: Union[str, Version],
    target: Union[str, Version],
    hooks: Iterable[Union[str, Hook]] = (),
    goos: str = "linux",
    goarch: str = "amd64",
) -> Decision:
    """Decide how Go plugins get from the current version to the target.

    hooks: those of all Go bundles in use, as hooks or as their phase (request, response); empty if there are none.
    """
    before, after = as_version(current), as_version(target)
    phases = sorted({_phase(hook) for hook in hooks})
    if not phases:
        return Decision(NONE, NONE, ["No API uses a Go plugin from a bundle."], [], True)
    row = published_path(before, after)
    layout = shared_layout(before, after, "X", goos, goarch, phases)
    reasons = [_files_reason(before, after, phases, layout)]
    sources = [rule_for(before).source, rule_for(after).source]
    if before != after:
        reasons += _path_reasons(row, before, after)
        sources.append(row.source)
    unusable = [version for version in (before, after) if compiler_contract(version).unusable]
    reasons += _compiler_reasons(before, after)
    sources += [compiler_contract(version).source for version in unusable]
    return Decision(
        path=row.path if before != after else NONE,
        cutover=SHARED if layout is not None else PER_HOST,
        reasons=reasons,
        sources=list(dict.fromkeys(sources)),
        supported=layout is not None and not unusable,
    )


def _phase(hook: Union[str, Hook]) -> str:
    if isinstance(hook, Hook):
        return hook.phase
    return RESPONSE if hook == RESPONSE else REQUEST


def _files_reason(before: Version, after: Version, phases: List[str], layout: Optional[Dict[str, str]]) -> str:
    if layout is not None:
        opened = " and ".join(f"{version} opens {name}" for version, name in layout.items())
        return f"For a plugin X.so, {opened}: one bundle serves {'both' if len(layout) > 1 else 'it'}."
    for phase in phases:
        if shared_layout(before, after, "X", hooks=[phase]) is None:
            first = [(candidates(version, "X", hook=phase) or ["nothing"])[0] for version in (before, after)]
            return (
                f"For a plugin X.so in a {phase} hook, {before} opens {first[0]} first and {after} opens {first[1]} "
                "first: no bundle can hold builds for both."
            )
    return f"No set of file names suits request and response hooks of both {before} and {after}."


def _path_reasons(row: PublishedPath, before: Version, after: Version) -> List[str]:
    reasons = []
    if row.path == GAP:
        reasons.append(f"The published procedure does not cover {before} to {after}; the file-resolution rules do.")
    if known(before) and known(after) and go_group(before) != go_group(after):
        reasons.append(
            f"{before} and {after} are of different Go generations ({go_group(before)} and {go_group(after)}): "
            "a gateway that opens the other's build may end at once."
        )
    for version in (before, after):
        if fail_open(version):
            reasons.append(f"{version} may let requests through without their plugin, so only its effect is proof.")
    if not backup_readable(before, after):
        reasons.append(f"{after} crashes on an emergency backup that {before} wrote; it has to go before the start.")
    return reasons


def _compiler_reasons(before: Version, after: Version) -> List[str]:
    reasons = []
    for version in dict.fromkeys((before, after)):
        contract = compiler_contract(version)
        if contract.unusable:
            reasons.append(f"The published plugin compiler of {version} does not build for {version}.")
        elif not contract.honours_build_id:
            reasons.append(f"The plugin compiler of {version} ignores the build id; the module line has to carry it.")
    return reasons
