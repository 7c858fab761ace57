# Copyright (c) 2026 tyk.upgrade contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""A note on this host for as long as another tool replaces a container, which carries no labels of ours then.

A run that is killed in between leaves the note, and the next one knows what to do with a container that does not run.
"""

from __future__ import annotations

import json
import os
import time
from contextlib import suppress
from dataclasses import dataclass
from typing import Any, Mapping, Optional, Tuple

from ansible_collections.tyk.upgrade.plugins.module_utils._clients.container_config import (
    File,
    files_from_text,
    files_text,
)
from ansible_collections.tyk.upgrade.plugins.module_utils._clients.gateway_bundles import epoch, started_at
from ansible_collections.tyk.upgrade.plugins.module_utils._clients.host_state import state_dir, write_private


@dataclass(frozen=True)
class Note:
    """The image that the container is going to have, and what it finds in place with that and with any other.

    written: seconds since 1970.
    """

    image: str
    files: Tuple[File, ...]
    return_files: Tuple[File, ...]
    written: int

    def is_about(self, container: Mapping[str, Any]) -> bool:
        """Whether the container is down since then; one that was started later was stopped by somebody else."""
        state = container.get("State") or {}
        started = epoch(started_at(container))
        return not state.get("Running") and (started is None or started <= self.written)


def path_of(name: str) -> str:
    """Where the note about a container of this name lies."""
    return os.path.join(state_dir("replacing"), f"{name.replace('/', '_')}.json")


def write(name: str, image: str, files: Tuple[File, ...], return_files: Tuple[File, ...]) -> None:
    """Note that a container is going to be replaced."""
    content = {
        "image": image,
        "files": files_text(files),
        "return_files": files_text(return_files),
        "written": int(time.time()),
    }
    write_private(path_of(name), json.dumps(content).encode())


def read(name: str) -> Optional[Note]:
    """The note about a container, None if there is none that can be read."""
    try:
        with open(path_of(name), encoding="utf-8") as stream:
            found = json.load(stream)
        return Note(
            str(found["image"]),
            files_from_text(found["files"]),
            files_from_text(found["return_files"]),
            int(found["written"]),
        )
    except (OSError, ValueError, KeyError, TypeError):
        return None


def remove(name: str) -> None:
    """Note that nothing is going on any more."""
    with suppress(FileNotFoundError):
        os.unlink(path_of(name))
