# Copyright (c) 2026 tyk.upgrade contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Downloading from a gateway's own network position: that of its container or of its host.

A child process enters a container's network namespace, so routes, firewalls and the engine's own DNS count as they do
for the gateway. Names are looked up by the container's own hosts file and resolver configuration, without the host's
name service switch, whose plugins may answer through other ways than the network.
"""

from __future__ import annotations

import base64
import ctypes
import hashlib
import http.client
import ipaddress
import json
import os
import random
import select
import signal
import socket
import ssl
import struct
import time
from dataclasses import asdict, dataclass, field
from typing import IO, Dict, List, Optional, Tuple
from urllib.parse import SplitResult, unquote, urljoin, urlsplit, urlunsplit

CLONE_NEWNET = 0x40000000
MAX_REDIRECTS = 10
DNS_TIMEOUT = 2.0
BLOCK = 1 << 18


@dataclass(frozen=True)
class Resolver:
    """The parts of hosts and resolv.conf that matter."""

    hosts: Dict[str, List[str]] = field(default_factory=dict)
    servers: Tuple[str, ...] = ("127.0.0.1",)
    search: Tuple[str, ...] = ()
    ndots: int = 1

    @classmethod
    def parse(cls, hosts: str, resolv_conf: str) -> Resolver:
        known: Dict[str, List[str]] = {}
        for line in hosts.splitlines():
            words = line.split("#", 1)[0].split()
            for name in words[1:]:
                known.setdefault(name.lower().rstrip("."), []).append(words[0])
        servers: List[str] = []
        search: Tuple[str, ...] = ()
        ndots = 1
        for line in resolv_conf.splitlines():
            words = line.split("#", 1)[0].split(";", 1)[0].split()
            if len(words) < 2:
                continue
            if words[0] == "nameserver":
                servers.append(words[1].split("%")[0])
            elif words[0] in ("search", "domain"):
                search = tuple(word for word in words[1:] if word != ".")
            elif words[0] == "options":
                for word in words[1:]:
                    if word.startswith("ndots:") and word[6:].isdigit():
                        ndots = int(word[6:])
        return cls(known, tuple(servers) or ("127.0.0.1",), search, ndots)

    def candidates(self, name: str) -> List[str]:
        """The names to ask for, in order."""
        if name.endswith("."):
            return [name.rstrip(".")]
        searched = [f"{name}.{domain.rstrip('.')}" for domain in self.search]
        return [name] + searched if name.count(".") >= self.ndots else searched + [name]

    def addresses(self, name: str, deadline: float) -> List[str]:
        """Addresses of a name, IPv4 first. Raises OSError with a sentence when there is none."""
        try:
            return [str(ipaddress.ip_address(name))]
        except ValueError:
            pass
        known = self.hosts.get(name.lower().rstrip("."))
        if known:
            return known
        if name == "localhost":
            return ["127.0.0.1"]
        for candidate in self.candidates(name):
            found = self._ask(candidate, 1, deadline) or self._ask(candidate, 28, deadline)
            if found:
                return found
        raise OSError(f"the name {name} is not known there (asked {', '.join(self.servers)})")

    def _ask(self, name: str, kind: int, deadline: float) -> List[str]:
        for server in self.servers:
            remaining = min(DNS_TIMEOUT, deadline - time.monotonic())
            if remaining <= 0:
                break
            family = socket.AF_INET6 if ":" in server else socket.AF_INET
            number = random.randrange(65536)
            try:
                with socket.socket(family, socket.SOCK_DGRAM) as asked:
                    asked.settimeout(remaining)
                    asked.connect((server, 53))
                    asked.send(dns_query(number, name, kind))
                    while True:
                        answer = asked.recv(4096)
                        if len(answer) >= 12 and struct.unpack(">H", answer[:2])[0] == number:
                            return dns_addresses(answer, kind)
            except OSError:
                continue
        return []


def dns_query(number: int, name: str, kind: int) -> bytes:
    """A query for A (1) or AAAA (28) records."""
    labels = b"".join(bytes([len(label)]) + label for label in name.encode("idna").split(b".") if label)
    return struct.pack(">HHHHHH", number, 0x0100, 1, 0, 0, 0) + labels + b"\0" + struct.pack(">HH", kind, 1)


def dns_addresses(answer: bytes, kind: int) -> List[str]:
    """The addresses in an answer; empty for an error, a truncated or a damaged one."""
    try:
        _number, flags, questions, answers = struct.unpack(">HHHH", answer[:8])
        if flags & 0x000F:
            return []
        place = 12
        for _unused in range(questions):
            place = _skip_name(answer, place) + 4
        found = []
        for _unused in range(answers):
            place = _skip_name(answer, place)
            record, _class, _ttl, length = struct.unpack(">HHIH", answer[place : place + 10])
            place += 10
            if record == kind and length in (4, 16):
                found.append(str(ipaddress.ip_address(answer[place : place + length])))
            place += length
        return found
    except (struct.error, IndexError, ValueError):
        return []


def _skip_name(answer: bytes, place: int) -> int:
    while True:
        length = answer[place]
        if length == 0:
            return place + 1
        if length & 0xC0:
            return place + 2
        place += length + 1


@dataclass
class Fetch:
    """What a download was like. `problem` is empty when all of it arrived in time."""

    seconds: float = 0.0
    bytes: int = 0
    length: Optional[int] = None
    sha256: str = ""
    status: int = 0
    problem: str = ""
    kind: str = ""  # "", late, unreachable, status, forbidden (the namespace could not be entered)


def enter_network(pid: int) -> None:
    """Move this process into the network namespace of another. Raises OSError."""
    with open(f"/proc/{pid}/ns/net") as namespace:
        if hasattr(os, "setns"):
            os.setns(namespace.fileno(), CLONE_NEWNET)
            return
        library = ctypes.CDLL(None, use_errno=True)
        if library.setns(namespace.fileno(), CLONE_NEWNET) != 0:
            number = ctypes.get_errno()
            raise OSError(number, os.strerror(number))


def read_resolver(pid: int) -> Resolver:
    """What the process would look names up with."""
    texts = []
    for name in ("hosts", "resolv.conf"):
        try:
            with open(f"/proc/{pid}/root/etc/{name}", encoding="utf-8", errors="replace") as source:
                texts.append(source.read())
        except OSError:
            texts.append("")
    return Resolver.parse(texts[0], texts[1])


def tls_context(url: str, validate_certs: bool) -> Optional[ssl.SSLContext]:
    """How the server of an address is checked; None for an address without TLS."""
    if not url.startswith("https:"):
        return None
    context = ssl.create_default_context()
    if not validate_certs:
        context.check_hostname = False
        context.verify_mode = ssl.CERT_NONE
    return context


def path_of(body: IO[bytes]) -> str:
    """A path by which this process can open a file without a name once more."""
    return f"/proc/self/fd/{body.fileno()}"


def fetch_as(
    pid: Optional[int],
    url: str,
    limit: float,
    context: Optional[ssl.SSLContext] = None,
    sink: Optional[IO[bytes]] = None,
) -> Fetch:
    """Download in a child that is gone afterwards whatever happens.

    pid: the process whose network namespace is entered; None for this process's own. sink: where the body goes.
    """
    reader, writer = os.pipe()
    child = os.fork()
    if child == 0:
        os.close(reader)
        _child(writer, pid, url, limit, context, sink)
    os.close(writer)
    try:
        return _answer_of(child, reader, limit)
    finally:
        os.close(reader)


def _child(
    writer: int,
    pid: Optional[int],
    url: str,
    limit: float,
    context: Optional[ssl.SSLContext],
    sink: Optional[IO[bytes]],
) -> None:
    """The child's whole life; never returns."""
    try:
        fetch = Fetch()
        try:
            resolver = read_resolver(os.getpid() if pid is None else pid)
            if pid is not None:
                enter_network(pid)
        except OSError as problem:
            fetch = Fetch(problem=problem.strerror or str(problem), kind="forbidden")
        else:
            fetch = download(url, limit, resolver, context, sink)
            if sink is not None:
                sink.flush()
        os.write(writer, json.dumps(asdict(fetch)).encode())
        os._exit(0)
    finally:
        os._exit(1)


def _answer_of(child: int, reader: int, limit: float) -> Fetch:
    chunks: List[bytes] = []
    deadline = time.monotonic() + limit + DNS_TIMEOUT + 1
    try:
        while True:
            ready, _unused, _unused2 = select.select([reader], [], [], max(0.0, deadline - time.monotonic()))
            if not ready:
                return Fetch(seconds=limit, problem="nothing came back", kind="late")
            chunk = os.read(reader, 65536)
            if not chunk:
                break
            chunks.append(chunk)
    finally:
        try:
            os.kill(child, signal.SIGKILL)
        except ProcessLookupError:
            pass  # it is done already
        os.waitpid(child, 0)
    if not chunks:
        return Fetch(problem="the process that downloads ended early", kind="unreachable")
    return Fetch(**json.loads(b"".join(chunks)))


def download(
    url: str,
    limit: float,
    resolver: Resolver,
    context: Optional[ssl.SSLContext] = None,
    sink: Optional[IO[bytes]] = None,
) -> Fetch:
    """GET with one deadline for everything, redirects and body included, as a gateway's HTTP client has it.

    sink: where the body goes; without it the body is only measured.
    """
    started = time.monotonic()
    deadline = started + limit
    fetch = Fetch()
    try:
        for _unused in range(MAX_REDIRECTS + 1):
            following = _once(url, deadline, resolver, context, fetch, sink)
            if not following:
                break
            url = following
        else:
            fetch.problem, fetch.kind = f"more than {MAX_REDIRECTS} redirects", "status"
    except (socket.timeout, TimeoutError):
        fetch.problem, fetch.kind = f"not done after {limit:g} s", "late"
    except (OSError, http.client.HTTPException, ValueError) as problem:
        late = time.monotonic() >= deadline
        fetch.problem = f"not done after {limit:g} s" if late else (getattr(problem, "strerror", None) or str(problem))
        fetch.kind = "late" if late else "unreachable"
    fetch.seconds = time.monotonic() - started
    return fetch


def _once(
    url: str,
    deadline: float,
    resolver: Resolver,
    context: Optional[ssl.SSLContext],
    fetch: Fetch,
    sink: Optional[IO[bytes]],
) -> Optional[str]:
    """One request; returns where it was redirected to, if it was."""
    parts = urlsplit(url)
    if parts.scheme not in ("http", "https") or not parts.hostname:
        raise ValueError("only http and https addresses can be fetched")
    port = parts.port or (443 if parts.scheme == "https" else 80)
    connection = http.client.HTTPConnection(parts.hostname, port)
    plain = _connect(resolver.addresses(parts.hostname, deadline), port, deadline)
    connection.sock = sock = _secured(plain, parts, context)
    try:
        default = port == (443 if parts.scheme == "https" else 80)
        host = parts.hostname if default else f"{parts.hostname}:{port}"
        headers = {"Host": host, "User-Agent": "tyk-upgrade", "Accept-Encoding": "identity", **_login(parts)}
        connection.request("GET", urlunsplit(("", "", parts.path or "/", parts.query, "")), headers=headers)
        answer = connection.getresponse()
        location = answer.getheader("Location")
        if answer.status in (301, 302, 303, 307, 308) and location:
            return urljoin(url, location)
        fetch.status = answer.status
        if answer.status != 200:
            fetch.problem, fetch.kind = f"the answer was HTTP {answer.status} {answer.reason}".rstrip(), "status"
            return None
        fetch.length = answer.length
        _read(sock, answer, deadline, fetch, sink)
        return None
    finally:
        connection.close()


def _secured(plain: socket.socket, parts: SplitResult, context: Optional[ssl.SSLContext]) -> socket.socket:
    if parts.scheme != "https":
        return plain
    try:
        return (context or ssl.create_default_context()).wrap_socket(plain, server_hostname=parts.hostname)
    except OSError:
        plain.close()
        raise


def _read(
    sock: socket.socket, answer: http.client.HTTPResponse, deadline: float, fetch: Fetch, sink: Optional[IO[bytes]]
) -> None:
    digest = hashlib.sha256()
    while True:
        remaining = deadline - time.monotonic()
        if remaining <= 0:
            raise socket.timeout
        sock.settimeout(remaining)
        block = answer.read1(BLOCK)
        if not block:
            break
        fetch.bytes += len(block)
        digest.update(block)
        if sink is not None:
            sink.write(block)
    fetch.sha256 = digest.hexdigest()
    if fetch.length is not None and fetch.bytes < fetch.length:
        raise http.client.HTTPException(f"the connection ended after {fetch.bytes} of {fetch.length} bytes")


def _connect(addresses: List[str], port: int, deadline: float) -> socket.socket:
    last: Optional[OSError] = None
    for address in addresses:
        remaining = deadline - time.monotonic()
        if remaining <= 0:
            raise socket.timeout
        try:
            return socket.create_connection((address, port), timeout=remaining)
        except OSError as problem:
            last = problem
    raise last or OSError("there is no address to connect to")


def _login(parts: SplitResult) -> Dict[str, str]:
    """A user and password in the address, sent as a Go client does."""
    if parts.username is None:
        return {}
    text = f"{unquote(parts.username)}:{unquote(parts.password or '')}"
    return {"Authorization": "Basic " + base64.b64encode(text.encode()).decode()}
