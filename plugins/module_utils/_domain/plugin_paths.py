# Copyright (c) 2026 tyk.upgrade contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Which files a gateway's process cannot load one beside the other, as far as the plugin paths in them tell.

Go knows a plugin by two things: the real path of its file, and the plugin path that the linker wrote into it. A second
file with a plugin path that is taken is refused as already loaded, whatever its content; a link to the first is not.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import List, Sequence, Tuple

SOURCE = "Go, plugin/plugin_dlopen.go: open; runtime/plugin.go: plugin_lastmoduleinit"


@dataclass(frozen=True)
class Loadable:
    """A file that a gateway opens. plugin_path is empty where it is not known.

    link: the bundle and file that it is a link to; both empty where it is a file of its own.
    """

    bundle: str
    file: str
    plugin: str
    plugin_path: str
    link: Tuple[str, str] = ("", "")

    @property
    def real(self) -> Tuple[str, str]:
        """What the gateway opens in the end."""
        return self.link if any(self.link) else (self.bundle, self.file)


def clashes(loaded: Sequence[Loadable], coming: Sequence[Loadable]) -> List[Tuple[Loadable, Loadable]]:
    """Each file to come that Go refuses, with the one that took its plugin path: one loaded already, or one before it."""
    found = []
    before = list(loaded)
    for one in coming:
        taken = [other for other in before if other.plugin_path == one.plugin_path and other.real != one.real]
        if one.plugin_path and taken:
            found.append((one, taken[0]))
        before.append(one)
    return found
