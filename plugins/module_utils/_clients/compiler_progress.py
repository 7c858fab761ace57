# Copyright (c) 2026 tyk.upgrade contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What compilers print, written to a file while they print it. Whoever waits for them reads it there.

The file holds an object of JSON a line, in ASCII: the process that writes it, then lines of a build, then the end. Beside it
is a file that the reader touches whenever it looks, so that a reader who is gone is not waited for, and one that it makes
when it has read the end.
"""

from __future__ import annotations

import contextlib
import json
import os
import re
import threading
import time
from typing import Any, Callable, Dict, Iterator, List

from ansible_collections.tyk.upgrade.plugins.module_utils._clients.docker_engine import Engine, EngineError

#: Bytes that the file may have; what comes later is only in the result.
MAXIMUM = 1 << 20
#: Bytes of that which are kept for the last words.
RESERVE = 1 << 10
#: Characters of a line that are told.
LONGEST = 2000
#: Bytes of a line without an end that are held.
HELD = 64 << 10
#: Seconds for the last lines to arrive once a compiler has ended.
LAST = 5.0
#: Seconds without a look after which a reader is gone.
LEASE = 90.0
WATCHED, READ = "watched", "read"
#: Of asynchronous jobs, whose files the reader has Ansible put into the same folder.
JOB = re.compile(r"j\d+\.\d+(\.tmp)?")


class Progress:
    """What is told to a reader. path: the file; empty if nobody wants to read it."""

    def __init__(self, path: str, mask: Callable[[str], str] = str) -> None:
        self.path = path
        self._mask = mask
        self._folder = os.path.dirname(path)
        self._watch = os.path.join(self._folder, WATCHED)
        self._watched = bool(path) and os.path.exists(self._watch)
        self._written = 0
        self._full = False
        self._guard = threading.Lock()

    @property
    def abandoned(self) -> bool:
        """Whether there was a reader who has taken the folder away, as nobody waits any more."""
        return self._watched and not os.path.exists(self._watch)

    @contextlib.contextmanager
    def told(self) -> Iterator[None]:
        """Inside, there is something to tell. Afterwards nothing is left of it if the reader is gone."""
        if not self.path:
            yield
            return
        self._add({"pid": os.getpid()})
        try:
            yield
        finally:
            self._add({"end": True})
            self._clear_up()

    @contextlib.contextmanager
    def following(self, connect: Callable[[], Engine], container: str, subject: str) -> Iterator[_Followed]:
        """Inside, what this container prints is told. Nothing that goes wrong with that is the build's fault."""
        followed = _Followed(self, subject)
        if not self.path:
            yield followed
            return
        reader = threading.Thread(target=followed.read, args=(connect, container), daemon=True)
        reader.start()
        try:
            yield followed
        finally:
            reader.join(LAST)

    def line(self, subject: str, text: str) -> None:
        """Tell one line, as long as there is room."""
        told = self._mask(text.rstrip())
        self._add({"subject": subject, "line": told[:LONGEST] + (" ..." if len(told) > LONGEST else "")})

    def _add(self, entry: Dict[str, Any]) -> None:
        if not self.path:
            return
        with self._guard:
            content = _encoded(entry)
            if "line" in entry and self._written + len(content) > MAXIMUM - RESERVE:
                if self._full:
                    return
                self._full = True
                content = _encoded({**entry, "line": "(what comes now is only in the result)"})
            with contextlib.suppress(OSError):  # nobody has to read it
                flags = os.O_WRONLY | os.O_APPEND | os.O_CREAT | os.O_NOFOLLOW
                descriptor = os.open(self.path, flags, 0o600)
                try:
                    self._written += os.write(descriptor, content)
                finally:
                    os.close(descriptor)

    def _clear_up(self) -> None:
        """Remove what a reader who is gone cannot remove any more; the folder itself is part of it."""
        if not self._watched:
            return
        with contextlib.suppress(OSError):
            while time.time() - os.stat(self._watch).st_mtime < LEASE:
                if os.path.exists(os.path.join(self._folder, READ)):
                    return
                time.sleep(0.1)
            for name in os.listdir(self._folder):
                if name in (WATCHED, READ, os.path.basename(self.path)) or JOB.fullmatch(name):
                    os.unlink(os.path.join(self._folder, name))
            os.rmdir(self._folder)


class _Followed:
    """What was told of one container."""

    def __init__(self, progress: Progress, subject: str) -> None:
        self._progress = progress
        self._subject = subject
        self._lines = 0
        self._done = False
        self._guard = threading.Lock()

    def read(self, connect: Callable[[], Engine], container: str) -> None:
        with contextlib.suppress(EngineError, OSError):
            engine = connect()  # one of its own: the SDK's session is not made for sharing
            try:
                rest = b""
                for piece in engine.follow(container):
                    *lines, rest = (rest + piece).split(b"\n")
                    rest = rest[:HELD]
                    self._tell([line.decode("utf-8", "replace") for line in lines])
            finally:
                engine.api.close()

    def complete(self, output: str) -> None:
        """Tell what is still untold of all that was printed: the connection may have been cut in between."""
        if not self._progress.path:
            return
        with self._guard:
            done, self._done = self._done, True
            rest = output.split("\n")[self._lines :] if not done else []
        for line in rest[:-1] if rest and not rest[-1] else rest:
            self._progress.line(self._subject, line)

    def _tell(self, lines: List[str]) -> None:
        with self._guard:
            if self._done:
                return
            self._lines += len(lines)
        for line in lines:
            self._progress.line(self._subject, line)


def _encoded(entry: Dict[str, Any]) -> bytes:
    return json.dumps(entry).encode("ascii") + b"\n"
