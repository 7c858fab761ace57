# Copyright (c) 2026 tyk.upgrade contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What a systemd service printed since a moment, read from the journal piece by piece.

A service that has run for months may have logged more than fits into memory; whoever reads keeps what matters.
"""

from __future__ import annotations

from collections import deque
from typing import Deque, Iterator, List

from ansible_collections.tyk.upgrade.plugins.module_utils._clients.errors import mask_urls
from ansible_collections.tyk.upgrade.plugins.module_utils._clients.host_commands import Host
from ansible_collections.tyk.upgrade.plugins.module_utils._clients.systemd import Service

_CURSOR = "-- cursor: "
TAIL = 20


class JournalLog:
    """The lines of one service, each given out once. since: in seconds since 1970."""

    def __init__(self, service: Service, since: float) -> None:
        self._host: Host = service.host
        self._unit = service.name
        self._from = f"--since=@{since:.6f}"
        self._tail: Deque[str] = deque(maxlen=TAIL)

    def new_lines(self) -> Iterator[str]:
        """The lines that have come since the last call, oldest first, their addresses without secrets. To be read to the end."""
        command = ["journalctl", f"--unit={self._unit}", self._from, "--output=cat", "--all", "--quiet", "--no-pager"]
        held = None  # the last line is the journal's own: where to go on
        with self._host.stream(*command, "--show-cursor") as output:
            for raw in output:
                if held is not None:
                    self._tail.append(held)
                    yield held
                held = mask_urls(raw.decode("utf-8", "replace").rstrip("\r\n"))
        if held is not None and held.startswith(_CURSOR):
            self._from = f"--after-cursor={held[len(_CURSOR):]}"
        elif held is not None:
            self._tail.append(held)
            yield held

    @property
    def tail(self) -> List[str]:
        """The last of the lines that were read."""
        return list(self._tail)
