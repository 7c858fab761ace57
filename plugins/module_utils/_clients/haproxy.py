# Copyright (c) 2026 tyk.upgrade contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""HAProxy's runtime API: taking a server out of a backend and putting it back.

One command a connection, as the management guide describes it; the answer of a command that worked is empty.
"""

from __future__ import annotations

import csv
import io
import socket
import time
from dataclasses import dataclass
from typing import Callable, Dict, List, Optional, Tuple, Union

from ansible_collections.tyk.upgrade.plugins.module_utils._domain.findings import DomainError, error


@dataclass(frozen=True)
class Server:
    """What show stat says about one server of one backend."""

    backend: str
    name: str
    status: str
    sessions: int
    queued: int

    @property
    def drained(self) -> bool:
        """No new request is sent to it and none is running. Maintenance counts: it is out, by somebody's will."""
        return self.out and self.sessions == 0 and self.queued == 0

    @property
    def out(self) -> bool:
        return self.status.split(" ")[0] in ("DRAIN", "MAINT", "NOLB")

    @property
    def up(self) -> bool:
        """It gets requests: its check passed, or it has none. "UP 1/3" is on its way down."""
        return self.status in ("UP", "no check") or self.status.startswith("UP (")


def parse_stat(text: str) -> List[Server]:
    """The servers in the CSV that show stat prints (columns are found by name; versions add some)."""
    rows = csv.DictReader(io.StringIO(text.lstrip("# ").lstrip()))
    return [
        Server(
            backend=row["pxname"],
            name=row["svname"],
            status=row["status"],
            sessions=int(row["scur"] or 0),
            queued=int(row["qcur"] or 0),
        )
        for row in rows
        if row.get("pxname") and row.get("svname") not in ("FRONTEND", "BACKEND", None)
    ]


def parse_address(address: str) -> Union[str, Tuple[str, int]]:
    """A path of a socket, or host and port of tcp://host:port. Raises ValueError with a sentence."""
    if address.startswith("/"):
        return address
    if address.startswith("unix://"):
        return address[len("unix://") :]
    if address.startswith("tcp://"):
        host, colon, port = address[len("tcp://") :].rpartition(":")
        if colon and host and port.isdigit():
            return host.strip("[]"), int(port)
    raise ValueError(f"{address!r} is not an address of a runtime API; give the path of its socket or tcp://host:port.")


class HAProxy:
    """One backend of one HAProxy process."""

    def __init__(self, address: str, backend: str, timeout: float = 5.0) -> None:
        self.address = address
        self.backend = backend
        self.timeout = timeout
        self._target = parse_address(address)

    def command(self, line: str) -> str:
        """Send one command and return what it prints. Raises DomainError."""
        try:
            with self._connect() as connection:
                connection.sendall(line.encode() + b"\n")
                chunks: List[bytes] = []
                while True:
                    chunk = connection.recv(65536)
                    if not chunk:
                        return b"".join(chunks).decode("utf-8", "replace").strip()
                    chunks.append(chunk)
        except OSError as problem:
            raise DomainError(
                error(
                    "driver-unsupported",
                    self.address,
                    f"HAProxy's runtime API at {self.address} did not answer: {problem.strerror or problem}.",
                    "Check the address, the rights of the user who runs the module, and the line "
                    "'stats socket ... level admin' in the global section.",
                )
            ) from problem

    def _connect(self) -> socket.socket:
        if isinstance(self._target, tuple):
            return socket.create_connection(self._target, timeout=self.timeout)
        connection = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        try:
            connection.settimeout(self.timeout)
            connection.connect(self._target)
        except OSError:
            connection.close()
            raise
        return connection

    def servers(self) -> Dict[str, Server]:
        """All servers of the backend by name. Raises DomainError for a backend that does not exist."""
        found = [one for one in parse_stat(self.command("show stat")) if one.backend == self.backend]
        if not found:
            raise DomainError(
                error(
                    "setting-invalid",
                    self.backend,
                    f"HAProxy at {self.address} has no backend {self.backend} with servers.",
                    "Check the backend's name.",
                )
            )
        return {one.name: one for one in found}

    def server(self, name: str) -> Server:
        servers = self.servers()
        if name not in servers:
            raise DomainError(
                error(
                    "setting-invalid",
                    name,
                    f"Backend {self.backend} of HAProxy at {self.address} has no server {name}; "
                    f"it has {', '.join(sorted(servers))}.",
                    "Give the server's name as HAProxy's configuration has it.",
                )
            )
        return servers[name]

    def set_state(self, name: str, state: str) -> None:
        """Set a server's administrative state: drain or ready. Raises DomainError when it is refused."""
        answer = self.command(f"set server {self.backend}/{name} state {state}")
        if answer:
            raise DomainError(
                error(
                    "driver-unsupported",
                    f"{self.backend}/{name}",
                    f"HAProxy at {self.address} refused to set {self.backend}/{name} to {state}: {answer}",
                    "The runtime API needs the line 'stats socket ... level admin'.",
                )
            )


def wait_until(
    look: Callable[[], Server], done: Callable[[Server], bool], timeout: float, interval: float = 0.05
) -> Tuple[Optional[Server], Server]:
    """Look until `done`; the server then, or None at the deadline, and in any case how it was last."""
    deadline = time.monotonic() + timeout
    while True:
        last = look()
        if done(last):
            return last, last
        if time.monotonic() >= deadline:
            return None, last
        time.sleep(interval)
