# Copyright (c) 2026 tyk.upgrade contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Whether there is room for a build: memory and disk of the engine, disk of the host that keeps the results.

Measured on real compilers: a first build takes up to 750 MiB of memory (killed at 512 MiB, fine at 768) and leaves up
to 1.3 GB of build cache and 1.7 GB of modules; a later one takes about 320 MiB.
"""

from __future__ import annotations

import contextlib
import os
import shutil
import threading
from typing import Any, Dict, Iterator, List, Optional

from ansible_collections.tyk.upgrade.plugins.module_utils._clients.docker_engine import Engine
from ansible_collections.tyk.upgrade.plugins.module_utils._clients.local_disk import FULL
from ansible_collections.tyk.upgrade.plugins.module_utils._domain.findings import (
    DomainError,
    Finding,
    error,
    info,
    warning,
)

MIB = 1 << 20
MEMORY = 768 * MIB  # of one build
RESULT = 256 * MIB  # where results are kept
ENGINE = 1024 * MIB  # where the engine keeps its data, at least
FIRST_BUILD = 4096 * MIB  # the same for a first build


class BuildRoom:
    """What the engine and this host can bear; asked once, and only when there is something to build."""

    def __init__(self, dest: str, memory: int, cache_volumes: bool) -> None:
        self.dest = dest
        self.memory = memory
        self.cache_volumes = cache_volumes
        self.findings: List[Finding] = []
        self._guard = threading.Lock()
        self._slots: Optional[threading.BoundedSemaphore] = None
        self._allowed = 0

    def check(self, engine: Engine, subject: str, volume: str) -> None:
        """Raise DomainError (memory-small, disk-small) where a build could not end well. volume: its build cache's."""
        with self._guard:
            if self._slots is not None:
                return
            self._results()
            about = engine.info()
            self._engine_disk(engine, about, volume)
            self._allowed = self._at_once(about, subject)
            self._slots = threading.BoundedSemaphore(self._allowed)

    @contextlib.contextmanager
    def slot(self) -> Iterator[None]:
        """Wait until the engine has the memory for one more build."""
        if self._slots is None:
            raise RuntimeError("the room for builds was not looked at before the first of them")
        with self._slots:
            yield

    def _results(self) -> None:
        folder = existing(self.dest)
        free = shutil.disk_usage(folder).free
        if free < RESULT:
            raise DomainError(
                error(
                    "disk-small",
                    self.dest,
                    f"Only {free // MIB} MiB are free in {folder}, where compiled plugins are kept.",
                    f"Free at least {RESULT // MIB} MiB, or give another folder as dest.",
                )
            )

    def _engine_disk(self, engine: Engine, about: Dict[str, Any], volume: str) -> None:
        """A remote engine does not tell how much room it has."""
        root = str(about.get("DockerRootDir") or "")
        if not engine.local or not os.path.isdir(root):
            return
        free = shutil.disk_usage(root).free
        message = f"Only {free // MIB} MiB are free in {root}, where the engine keeps its data."
        remedy = f"Free at least {FIRST_BUILD // MIB} MiB: a first build fills Go's caches with up to 3 GB."
        if free < ENGINE:
            raise DomainError(error("disk-small", engine.address, message, remedy))
        if free < FIRST_BUILD and engine.volume_labels(volume) is None:
            self.findings.append(warning("disk-small", engine.address, message, remedy))

    def _at_once(self, about: Dict[str, Any], subject: str) -> int:
        """How many builds the engine's memory bears at the same time."""
        total = int(about.get("MemTotal") or 0)
        if self.memory and self.memory < MEMORY:
            raise DomainError(
                error(
                    "memory-small",
                    subject,
                    f"The memory of a build is limited to {self.memory // MIB} MiB, with which a first build is killed.",
                    f"Set memory to at least {MEMORY // MIB}m, or leave it out.",
                )
            )
        if total and total < MEMORY:
            raise DomainError(
                error(
                    "memory-small",
                    subject,
                    f"The engine's host has {total // MIB} MiB of memory; a first build takes up to {MEMORY // MIB}.",
                    "Use an engine with more memory as build host.",
                )
            )
        return max(1, total // max(MEMORY, self.memory)) if total else 1

    def at_once(self, parallel: int) -> List[Finding]:
        """A note where fewer builds ran at the same time than were asked for."""
        if self._slots is None or self._allowed >= parallel:
            return []
        return [
            info(
                "memory-small",
                self.dest,
                f"Only {self._allowed} of {parallel} builds ran at the same time, because each may take {MEMORY // MIB} MiB of "
                f"the engine's memory.",
                "Nothing is to be done; with more memory it is faster.",
            )
        ]


def existing(path: str) -> str:
    """The path, or the nearest folder above it that exists."""
    path = os.path.abspath(path)
    while not os.path.isdir(path) and os.path.dirname(path) != path:
        path = os.path.dirname(path)
    return path


def not_written(subject: str, dest: str, problem: OSError) -> Finding:
    """What an error while a result was written means."""
    if problem.errno in FULL:
        return error(
            "disk-small",
            subject,
            f"{subject} was compiled, but there is no room for it in {dest}: {problem.strerror}. Nothing was kept of it.",
            f"Free at least {RESULT // MIB} MiB there, or give another folder as dest, and run again.",
        )
    return error(
        "setting-invalid",
        subject,
        f"{subject} cannot be kept in {dest}: {problem.strerror or problem}.",
        "Give a folder as dest in which the user who runs the module may write.",
    )


def give_to_owner_of(folder: str, path: str) -> None:
    """Where root writes into somebody's folder, let that user own the result."""
    owner = os.stat(folder)
    if os.geteuid() != 0 or (owner.st_uid == 0 and owner.st_gid == 0):
        return
    for name in [path, *(os.path.join(path, entry) for entry in os.listdir(path))]:
        os.chown(name, owner.st_uid, owner.st_gid)
