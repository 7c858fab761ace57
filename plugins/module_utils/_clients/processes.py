# Copyright (c) 2026 tyk.upgrade contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Which run of Ansible a module works for, and whether that run is still there.

Can be told only where the run and the module are on one host; elsewhere a lease has to lapse.
"""

from __future__ import annotations

import os
import socket
from dataclasses import asdict, dataclass
from typing import Any, Dict, List, Mapping, Optional, Tuple

#: Programs that run playbooks or single tasks.
RUNNERS = ("ansible-playbook", "ansible", "ansible-console")


@dataclass(frozen=True)
class Process:
    """A process that cannot be mistaken for a later one with the same number. started: in clock ticks since boot."""

    host: str
    boot: str
    pid: int
    started: int

    def to_dict(self) -> Dict[str, Any]:
        """As a file keeps it."""
        return asdict(self)

    @classmethod
    def from_dict(cls, data: Mapping[str, Any]) -> Process:
        """Read what to_dict wrote. Raises KeyError or ValueError."""
        return cls(str(data["host"]), str(data["boot"]), int(data["pid"]), int(data["started"]))


def controller() -> Optional[Process]:
    """The run of Ansible that started this process; None if there is none on this host."""
    for pid in _ancestors(os.getpid()):
        if _runs_ansible(pid):
            parent = _stat(pid)[0]
            while parent and _runs_ansible(parent):  # workers are forks of the run itself
                pid, parent = parent, _stat(parent)[0]
            return Process(socket.gethostname(), _boot(), pid, _stat(pid)[1])
    return None


def gone(process: Process) -> bool:
    """Whether the process has surely ended. One on another host, or in another container, may still be there."""
    if process.host != socket.gethostname() or process.boot != _boot() or not process.boot:
        return False
    return _stat(process.pid)[1] != process.started


def _ancestors(pid: int) -> List[int]:
    found: List[int] = []
    parent = _stat(pid)[0]
    while parent:
        found.append(parent)
        parent = _stat(parent)[0]
    return found


def _stat(pid: int) -> Tuple[int, int]:
    """Parent and start time; zeros for a process that is not there."""
    fields = _read(f"/proc/{pid}/stat").rpartition(b")")[2].split()
    return (int(fields[1]), int(fields[19])) if len(fields) > 19 else (0, 0)


def _runs_ansible(pid: int) -> bool:
    arguments = _read(f"/proc/{pid}/cmdline").split(b"\0")[:2]
    return any(os.path.basename(argument.decode("utf-8", "replace")) in RUNNERS for argument in arguments)


def _boot() -> str:
    return _read("/proc/sys/kernel/random/boot_id").decode("ascii", "replace").strip()


def _read(path: str) -> bytes:
    try:
        with open(path, "rb") as stream:
            return stream.read()
    except OSError:
        return b""
