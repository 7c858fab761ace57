# Copyright (c) 2026 tyk.upgrade contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What compilers print, written to a file while they print it. Whoever waits for them reads it there."""

from __future__ import annotations

import contextlib
import threading
from typing import Callable, Iterator, List

from ansible_collections.tyk.upgrade.plugins.module_utils._clients.docker_engine import Engine, EngineError

#: Bytes that the file may have; what comes later is only in the result.
MAXIMUM = 1 << 20
#: Seconds for the last lines to arrive once a compiler has ended.
LAST = 5.0


class Progress:
    """A file of lines, each after the build that it is about. path: empty if nobody wants to read it."""

    def __init__(self, path: str, mask: Callable[[str], str] = str) -> None:
        self.path = path
        self._mask = mask
        self._written = 0
        self._guard = threading.Lock()

    @contextlib.contextmanager
    def following(self, connect: Callable[[], Engine], container: str, subject: str) -> Iterator[None]:
        """Inside, what this container prints is written. Nothing that goes wrong with that is the build's fault."""
        if not self.path:
            yield
            return
        reader = threading.Thread(target=self._follow, args=(connect, container, subject), daemon=True)
        reader.start()
        try:
            yield
        finally:
            reader.join(LAST)

    def _follow(self, connect: Callable[[], Engine], container: str, subject: str) -> None:
        with contextlib.suppress(EngineError, OSError):
            engine = connect()  # one of its own: the SDK's session is not made for sharing
            try:
                rest = b""
                for piece in engine.follow(container):
                    *lines, rest = (rest + piece).split(b"\n")
                    self.write(subject, lines)
                self.write(subject, [rest] if rest else [])
            finally:
                engine.api.close()

    def write(self, subject: str, lines: List[bytes]) -> None:
        """Add lines, as long as there is room."""
        text = "".join(f"{subject}: {self._mask(line.decode('utf-8', 'replace').rstrip())}\n" for line in lines)
        content = text.encode("utf-8")
        with self._guard:
            if content and self._written + len(content) <= MAXIMUM:
                with open(self.path, "ab") as target:
                    target.write(content)
                self._written += len(content)
