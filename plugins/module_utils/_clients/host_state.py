# Copyright (c) 2026 tyk.upgrade contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What runs leave for the next one on a host, each file readable by its owner only."""

from __future__ import annotations

import os


def state_dir(name: str) -> str:
    """The folder for one kind of such files: root's, or the user's own."""
    return os.path.join("/var/lib/tyk-upgrade" if os.geteuid() == 0 else os.path.expanduser("~/.tyk-upgrade"), name)


def write_private(path: str, content: bytes) -> None:
    """Write a file that only its owner can read, all or nothing, with folders of the same kind above it."""
    os.makedirs(os.path.dirname(path), mode=0o700, exist_ok=True)
    temporary = f"{path}.{os.getpid()}.part"
    descriptor = os.open(temporary, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600)
    with os.fdopen(descriptor, "wb") as target:
        target.write(content)
        target.flush()
        os.fsync(target.fileno())
    os.replace(temporary, path)
