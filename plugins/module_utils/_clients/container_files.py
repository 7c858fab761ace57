# Copyright (c) 2026 tyk.upgrade contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Files for a container as its own process would write them: they are its user's, and no folder that exists is touched."""

from __future__ import annotations

import posixpath
from typing import List, Tuple

from ansible_collections.tyk.upgrade.plugins.module_utils._clients.container_config import user_ids
from ansible_collections.tyk.upgrade.plugins.module_utils._clients.docker_engine import Engine


def owner_of(engine: Engine, container: str) -> Tuple[int, int]:
    """Uid and gid that the container, running or not, is configured to run with."""
    user = str((engine.container(container).get("Config") or {}).get("User") or "")
    if not user:
        return 0, 0
    passwd, group = (
        (engine.read_file(container, path) or b"").decode("utf-8", "replace") for path in ("/etc/passwd", "/etc/group")
    )
    return user_ids(user, passwd, group)


def existing_above(engine: Engine, container: str, folder: str) -> Tuple[str, List[str]]:
    """The innermost folder of a path that the container has, and the names that are missing below it, outermost first."""
    missing: List[str] = []
    while folder != "/" and engine.stat(container, folder) is None:
        missing.insert(0, posixpath.basename(folder))
        folder = posixpath.dirname(folder)
    return folder, missing
