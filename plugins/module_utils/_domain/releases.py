# Copyright (c) 2026 tyk.upgrade contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Which releases of Tyk Gateway exist, and which Go builds them.

A Go plugin loads only into a gateway built by the same Go. Between Go generations it is worse: the loader of one ends
the process when it meets a plugin of another.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from functools import lru_cache
from typing import Dict, List, Optional, Tuple, Union

from ansible_collections.tyk.upgrade.plugins.module_utils._domain.findings import DomainError, error
from ansible_collections.tyk.upgrade.plugins.module_utils._domain.releases_data import RELEASES
from ansible_collections.tyk.upgrade.plugins.module_utils._domain.versions import Version, as_version

_GO = re.compile(r"go(1\.\d+)")

#: Go versions whose plugins a gateway of the same row refuses with an error rather than with its death. Seen for 1.19
#: and later by loading across them; older ones are taken one by one, which is the safe assumption.
GO_GROUPS: Tuple[Tuple[str, ...], ...] = (
    ("1.12",),
    ("1.15",),
    ("1.16",),
    ("1.19",),
    ("1.21", "1.22"),
    ("1.23", "1.24", "1.25"),
    ("1.26",),
)


#: Releases that are always of the Go in the table. Go 1.15 and 1.16 are long out of support, so gateways and compilers of
#: earlier releases that were not taken from Tyk's registry are built by later ones.
SURE_GO = ">=5.1.0"


@dataclass(frozen=True)
class Release:
    """One final release. go_version is the minor version of the toolchain that built it, such as 1.24."""

    version: Version
    commit: str
    commit_date: str
    go_version: str

    @property
    def pseudo_version(self) -> str:
        """The name under which Go modules know the commit; Go refuses the tag, for the module path has no /vN.

        v1.9.1 is the highest tag that fits the module path in the ancestry of every release.
        """
        stamp = "".join(character for character in self.commit_date if character.isdigit())
        return f"v1.9.2-0.{stamp}-{self.commit[:12]}"


_BY_VERSION: Dict[Version, Release] = {
    Version.parse(version): Release(Version.parse(version), commit, commit_date, go_version)
    for version, commit, commit_date, go_version in RELEASES
}


def all_versions() -> List[Version]:
    """Every release, oldest number first."""
    return list(_BY_VERSION)


def known(version: Union[str, Version]) -> bool:
    """Whether this is a final release. Pre-releases are not."""
    return as_version(version) in _BY_VERSION


def release(version: Union[str, Version], subject: str = "tyk_target_version") -> Release:
    """The release of this version. Raises DomainError (version-unknown) naming releases that come near."""
    wanted = as_version(version)
    if wanted not in _BY_VERSION:
        near = ", ".join(str(candidate) for candidate in nearest(wanted))
        raise DomainError(
            error(
                "version-unknown",
                subject,
                f"{subject} is {wanted}, which is not a release of Tyk Gateway known to this collection.",
                f"Choose a release, for example {near}; for a newer one, update the collection.",
                "tools/tyk-releases.json",
            )
        )
    return _BY_VERSION[wanted]


def nearest(version: Union[str, Version], count: int = 3) -> List[Version]:
    """The releases that someone who wrote this version most probably meant, best first.

    A release of the same line comes before one of another line, one of the same major version before others.
    """
    wanted = as_version(version)
    return sorted(_BY_VERSION, key=lambda candidate: _distance(candidate, wanted))[:count]


@lru_cache(maxsize=None)
def go_group(version: Union[str, Version]) -> str:
    """The Go generation of a release, such as "1.21/1.22". Equal for two releases whose plugins are safe to mix up.

    Raises DomainError (version-unknown).
    """
    go_version = release(version, str(version)).go_version
    group = next((group for group in GO_GROUPS if go_version in group), (go_version,))
    return "/".join(group)


@dataclass(frozen=True)
class OtherGo:
    """Another Go than that of a release. deadly: whether its gateways end, rather than refuse, when they open a plugin of it."""

    wanted: str
    deadly: bool

    @property
    def outcome(self) -> str:
        """What such a gateway does, as a clause."""
        return "ends when it opens the plugin" if self.deadly else "refuses the plugin"


def other_go(go_version: str, version: Union[str, Version]) -> Optional[OtherGo]:
    """What is to be said of a plugin for gateways of this version that was built by this Go, such as go1.22.5.

    None where it is the same but for the patch level, or where nothing is sure.
    """
    match = _GO.match(go_version)
    if match is None or not known(version) or not as_version(version).satisfies(SURE_GO):
        return None
    built, wanted = match.group(1), release(version).go_version
    if built == wanted:
        return None
    return OtherGo(wanted, not any(built in group and wanted in group for group in GO_GROUPS))


def _distance(candidate: Version, wanted: Version) -> Tuple[int, int, int, Tuple[int, int, int]]:
    newest_first = (-candidate.major, -candidate.minor, -candidate.patch)
    return (
        abs(candidate.major - wanted.major),
        abs(candidate.minor - wanted.minor),
        abs(candidate.patch - wanted.patch),
        newest_first,
    )
