# Copyright (c) 2026 tyk.upgrade contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The file systems of this host."""

from __future__ import annotations

import os

from ansible_collections.tyk.upgrade.plugins.module_utils._domain.mounts import file_system_of, of_several_hosts


def mount_table() -> str:
    """The file systems of this host, as the kernel lists them; empty where it does not."""
    try:
        with open("/proc/self/mounts", encoding="utf-8", errors="replace") as table:
            return table.read()
    except OSError:
        return ""


def network_file_system(path: str) -> str:
    """The kind of the file system of a path, links followed, if other hosts may have it mounted; empty if not."""
    kind = file_system_of(os.path.realpath(path), mount_table())
    return kind if of_several_hosts(kind) else ""
