# Copyright (c) 2026 tyk.upgrade contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Downloading from a gateway's own network position: that of its container or of its host.

A child process enters a container's network namespace, so routes, firewalls and the engine's own DNS count as they do
for the gateway. Names are looked up by the container's own hosts file and resolver configuration, without the host's
name service switch, whose plugins may answer through other ways than the network. Proxies are those of the gateway's
environment. A file address is read from the file system that the gateway sees, with the rights that it has.
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
import re
import select
import signal
import socket
import ssl
import struct
import time
from dataclasses import asdict, dataclass, field
from typing import IO, Any, Dict, List, Mapping, Optional, Tuple
from urllib.parse import SplitResult, unquote, urljoin, urlsplit, urlunsplit

from ansible_collections.tyk.upgrade.plugins.module_utils._clients.errors import mask_url
from ansible_collections.tyk.upgrade.plugins.module_utils._clients.local_disk import other_than_file, write_whole
from ansible_collections.tyk.upgrade.plugins.module_utils._domain.proxies import proxy_for, settings

CLONE_NEWNET = 0x40000000
MAX_REDIRECTS = 10
DNS_TIMEOUT = 2.0
BLOCK = 1 << 18
HEAD = 256
FILE = "file://"
PORTS = {"http": 80, "https": 443}
#: Where Go looks for the certificates of authorities on Linux (crypto/x509, root_linux.go).
CERTIFICATE_FILES = (
    "/etc/ssl/certs/ca-certificates.crt",
    "/etc/pki/tls/certs/ca-bundle.crt",
    "/etc/ssl/ca-bundle.pem",
    "/etc/pki/tls/cacert.pem",
    "/etc/pki/ca-trust/extracted/pem/tls-ca-bundle.pem",
    "/etc/ssl/cert.pem",
)
CERTIFICATE_FOLDERS = ("/etc/ssl/certs", "/etc/pki/tls/certs")
CERTIFICATE = re.compile(r"-----BEGIN CERTIFICATE-----[^-]+-----END CERTIFICATE-----")
MAXIMUM_CERTIFICATES, MAXIMUM_CERTIFICATE_FILE = 2000, 4 << 20


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
    #: "", late, unreachable, status, file (it cannot be read), forbidden (the gateway's place could not be entered),
    #: untried (no way to try it from here), local (what arrived could not be kept)
    kind: str = ""
    content_type: str = ""
    head: str = ""  # the first bytes, one letter each
    proxies: List[str] = field(default_factory=list)  # those that were asked, fit to be printed


class Untried(Exception):
    """The gateway would take a way that cannot be taken here."""


class _NotKept(Exception):
    """What arrived could not be written on this host."""


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


def enter_files(pid: int) -> None:
    """See the files that another process sees, from where it stands and with its rights. Raises OSError."""
    with open(f"/proc/{pid}/status", encoding="utf-8", errors="replace") as source:
        words = [line.split() for line in source]
    # the third number of each is the one that the file system goes by
    numbers = {line[0]: [int(word) for word in line[1:]] for line in words if line and line[0] in ("Uid:", "Gid:", "Groups:")}
    os.chdir(f"/proc/{pid}/cwd")
    os.chroot(f"/proc/{pid}/root")
    os.setgroups(numbers.get("Groups:", []))
    os.setgid(numbers["Gid:"][3])
    os.setuid(numbers["Uid:"][3])


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


def tls_context(url: str, validate_certs: bool = True, trusted: Optional[str] = None) -> Optional[ssl.SSLContext]:
    """How the server of an address is checked; None for an address without TLS.

    trusted: the certificates (PEM) of authorities that are trusted, None for those of this host. Gateways speak at most
    TLS 1.2 with bundle stores (v5.8.9:gateway/coprocess_bundle.go:146-149).
    """
    if not url.startswith("https:"):
        return None
    if trusted is None:
        context = ssl.create_default_context()
    else:
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
        if trusted:
            context.load_verify_locations(cadata=trusted)
    context.maximum_version = ssl.TLSVersion.TLSv1_2
    if not validate_certs:
        context.check_hostname = False
        context.verify_mode = ssl.CERT_NONE
    return context


def trusted_by(pid: int, environment: Mapping[str, str]) -> str:
    """The certificates (PEM) that a Go program with this environment trusts where a process stands; empty if none.

    The first file that can be read and all of the folders count (crypto/x509, root_unix.go).
    """
    reader, writer = os.pipe()
    child = os.fork()
    if child == 0:
        try:
            os.close(reader)
            with os.fdopen(writer, "w", encoding="ascii") as target:
                enter_files(pid)
                target.write(json.dumps(_certificates(environment)))
        finally:
            os._exit(0)
    os.close(writer)
    try:
        with os.fdopen(reader, encoding="ascii") as source:
            return "".join(f"{one}\n" for one in json.loads(source.read() or "[]"))
    except ValueError:
        return ""
    finally:
        os.waitpid(child, 0)


def trusted_here(environment: Mapping[str, str]) -> str:
    """The certificates (PEM) that a Go program with this environment trusts where this process stands; empty if none."""
    return "".join(f"{one}\n" for one in _certificates(environment))


def _certificates(environment: Mapping[str, str]) -> List[str]:
    files = [environment["SSL_CERT_FILE"]] if environment.get("SSL_CERT_FILE") else list(CERTIFICATE_FILES)
    named = environment.get("SSL_CERT_DIR")
    found = next((text for text in map(_text_of, files) if text is not None), "")
    for folder in named.split(":") if named else CERTIFICATE_FOLDERS:
        try:
            names = sorted(os.listdir(folder))
        except OSError:
            continue
        found += "".join(f"\n{_text_of(os.path.join(folder, name)) or ''}" for name in names)
    blocks = [block for block in CERTIFICATE.findall(found) if _is_certificate(block)]
    return list(dict.fromkeys(blocks))[:MAXIMUM_CERTIFICATES]


def _text_of(path: str) -> Optional[str]:
    try:
        if not os.path.isfile(path):
            return None
        with open(path, "rb") as source:
            return source.read(MAXIMUM_CERTIFICATE_FILE).decode("ascii", "replace")
    except OSError:
        return None


def _is_certificate(block: str) -> bool:
    """Whether OpenSSL can read it: one that it cannot would spoil all others, and Go passes over it."""
    try:
        ssl.create_default_context(cadata=block)
    except (ssl.SSLError, ValueError):
        return False
    return True


def path_of(body: IO[bytes]) -> str:
    """A path by which this process can open a file without a name once more."""
    return f"/proc/self/fd/{body.fileno()}"


def fetch_from(
    pid: int, environment: Mapping[str, str], url: str, limit: float, validate_certs: bool, sink: Optional[IO[bytes]] = None
) -> Fetch:
    """Download as the gateway with this environment that runs as `pid`: through its proxies, trusting whom it trusts."""
    verified = url.startswith("https:") and validate_certs
    context = tls_context(url, verified, trusted_by(pid, environment) if verified else None)
    return fetch_as(pid, url, limit, context, sink, settings(environment))


def fetch_as(
    pid: Optional[int],
    url: str,
    limit: float,
    context: Optional[ssl.SSLContext] = None,
    sink: Optional[IO[bytes]] = None,
    environment: Optional[Mapping[str, str]] = None,
) -> Fetch:
    """Download in a child that is gone afterwards whatever happens.

    pid: the process whose network namespace is entered; None for this process's own. sink: where the body goes.
    environment: the gateway's, which says what proxies it has.
    """
    reader, writer = os.pipe()
    child = os.fork()
    if child == 0:
        os.close(reader)
        _child(writer, pid, url, limit, context, sink, environment or {})
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
    environment: Mapping[str, str],
) -> None:
    """The child's whole life; never returns."""
    try:
        fetch = Fetch()
        try:
            resolver = read_resolver(os.getpid() if pid is None else pid)
            if pid is not None and url.startswith(FILE):
                enter_files(pid)
            elif pid is not None:
                enter_network(pid)
        except OSError as problem:
            fetch = Fetch(problem=problem.strerror or str(problem), kind="forbidden")
        else:
            fetch = download(url, limit, resolver, context, sink, environment)
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


def _printable(text: str) -> str:
    """What a server said, with characters that are not to be printed as Python writes them."""
    return "".join(letter if letter.isprintable() else repr(letter)[1:-1] for letter in text.strip())


def read_file(path: str, sink: Optional[IO[bytes]] = None) -> Fetch:
    """Read what a gateway reads for file://<path>. It has no time limit for that, and decodes nothing in the path.

    (v5.3.9:gateway/coprocess_bundle.go:169-171)
    """
    started = time.monotonic()
    fetch = Fetch()
    if other_than_file(path):
        return Fetch(problem=f"it is {other_than_file(path)} and no file", kind="file")
    try:
        with open(path, "rb") as source:
            digest = hashlib.sha256()
            for block in iter(lambda: source.read(BLOCK), b""):
                _take(block, digest, fetch, sink)
            fetch.sha256, fetch.length = digest.hexdigest(), fetch.bytes
    except _NotKept as problem:
        fetch.problem, fetch.kind = str(problem), "local"
    except (OSError, ValueError) as problem:
        fetch.problem, fetch.kind = getattr(problem, "strerror", None) or str(problem), "file"
    fetch.seconds = time.monotonic() - started
    return fetch


def download(
    url: str,
    limit: float,
    resolver: Resolver,
    context: Optional[ssl.SSLContext] = None,
    sink: Optional[IO[bytes]] = None,
    environment: Optional[Mapping[str, str]] = None,
) -> Fetch:
    """GET with one deadline for everything, redirects and body included, as a gateway's HTTP client has it.

    sink: where the body goes; without it the body is only measured. environment: says what proxies there are.
    """
    if url.startswith(FILE):
        return read_file(url[len(FILE) :], sink)
    started = time.monotonic()
    deadline = started + limit
    fetch = Fetch()
    try:
        for _unused in range(MAX_REDIRECTS + 1):
            following = _once(url, deadline, resolver, context, fetch, sink, environment or {})
            if not following:
                break
            url = following
        else:
            fetch.problem, fetch.kind = f"more than {MAX_REDIRECTS} redirects", "status"
    except _NotKept as problem:
        fetch.problem, fetch.kind = str(problem), "local"
    except Untried as problem:
        fetch.problem, fetch.kind = str(problem), "untried"
    except (socket.timeout, TimeoutError):
        fetch.problem, fetch.kind = f"not done after {limit:g} s", "late"
    except (OSError, http.client.HTTPException, ValueError) as problem:
        late = time.monotonic() >= deadline
        fetch.problem = f"not done after {limit:g} s" if late else (getattr(problem, "strerror", None) or str(problem))
        fetch.kind = "late" if late else "unreachable"
    fetch.problem = _printable(fetch.problem)
    fetch.seconds = time.monotonic() - started
    return fetch


def _once(
    url: str,
    deadline: float,
    resolver: Resolver,
    context: Optional[ssl.SSLContext],
    fetch: Fetch,
    sink: Optional[IO[bytes]],
    environment: Mapping[str, str],
) -> Optional[str]:
    """One request; returns where it was redirected to, if it was."""
    parts = urlsplit(url)
    if parts.scheme not in PORTS or not parts.hostname:
        raise ValueError("only http and https addresses can be fetched")
    port = parts.port or PORTS[parts.scheme]
    host = _with_brackets(parts.hostname) + ("" if port == PORTS[parts.scheme] else f":{port}")
    headers = {"Host": host, "User-Agent": "tyk-upgrade", "Accept-Encoding": "identity", **_login(parts, "Authorization")}
    target = urlunsplit(("", "", parts.path or "/", parts.query, ""))
    proxy = proxy_for(url, environment)
    connection = http.client.HTTPConnection(parts.hostname, port)
    if not proxy:
        plain = _connect(resolver.addresses(parts.hostname, deadline), port, deadline)
    else:
        plain = _to_proxy(proxy, parts, port, deadline, resolver, fetch)
        if parts.scheme == "http":
            target = urlunsplit(("http", host, parts.path or "/", parts.query, ""))
            headers.update(_login(urlsplit(proxy), "Proxy-Authorization"))
    connection.sock = sock = _secured(plain, parts, context)
    try:
        connection.request("GET", target, headers=headers)
        answer = connection.getresponse()
        location = answer.getheader("Location")
        if answer.status in (301, 302, 303, 307, 308) and location:
            return urljoin(url, location)
        fetch.status = answer.status
        fetch.content_type = answer.getheader("Content-Type") or ""
        if answer.status != 200:
            fetch.problem, fetch.kind = f"the answer was HTTP {answer.status} {answer.reason}".rstrip(), "status"
            return None
        fetch.length = answer.length
        _read(sock, answer, deadline, fetch, sink)
        return None
    finally:
        connection.close()


def _to_proxy(
    proxy: str, parts: SplitResult, port: int, deadline: float, resolver: Resolver, fetch: Fetch
) -> socket.socket:
    """A connection to a proxy, and through it to the server where the address is one with TLS."""
    through = urlsplit(proxy)
    shown = mask_url(proxy)
    if shown not in fetch.proxies:
        fetch.proxies.append(shown)
    if through.scheme not in PORTS or (through.scheme == "https" and parts.scheme == "https"):
        raise Untried(f"it would go through the proxy {shown}, and through one of this kind it cannot be tried from here")
    at = through.port or PORTS[through.scheme]
    try:
        plain = _connect(resolver.addresses(str(through.hostname), deadline), at, deadline)
        plain = _secured(plain, through, tls_context(proxy))
    except socket.timeout:
        raise
    except OSError as problem:
        raise OSError(f"the proxy {shown} cannot be reached: {problem.strerror or problem}") from problem
    if parts.scheme == "https":
        try:
            _tunnel(plain, f"{_with_brackets(str(parts.hostname))}:{port}", through, shown)
        except BaseException:
            plain.close()
            raise
    return plain


def _tunnel(plain: socket.socket, place: str, through: SplitResult, shown: str) -> None:
    """Let a proxy make the connection to the server."""
    headers = {"Host": place, "User-Agent": "tyk-upgrade", **_login(through, "Proxy-Authorization")}
    lines = [f"CONNECT {place} HTTP/1.1", *(f"{name}: {value}" for name, value in headers.items()), "", ""]
    plain.sendall("\r\n".join(lines).encode("latin-1"))
    answer = http.client.HTTPResponse(plain, method="CONNECT")
    answer.begin()
    if answer.status != 200:
        raise OSError(f"the proxy {shown} answered HTTP {answer.status} {answer.reason}".rstrip())


def _with_brackets(host: str) -> str:
    return f"[{host}]" if ":" in host else host


def _secured(plain: socket.socket, parts: SplitResult, context: Optional[ssl.SSLContext]) -> socket.socket:
    if parts.scheme != "https":
        return plain
    try:
        return (context or tls_context("https:") or ssl.create_default_context()).wrap_socket(plain, server_hostname=parts.hostname)
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
        _take(block, digest, fetch, sink)
    fetch.sha256 = digest.hexdigest()
    if fetch.length is not None and fetch.bytes < fetch.length:
        raise http.client.HTTPException(f"the connection ended after {fetch.bytes} of {fetch.length} bytes")


def _take(block: bytes, digest: Any, fetch: Fetch, sink: Optional[IO[bytes]]) -> None:
    """The next piece of the body. Raises _NotKept."""
    if len(fetch.head) < HEAD:
        fetch.head += block[: HEAD - len(fetch.head)].decode("latin-1")
    fetch.bytes += len(block)
    digest.update(block)
    if sink is not None:
        try:
            write_whole(sink, block)
            sink.flush()
        except OSError as problem:
            raise _NotKept(problem.strerror or str(problem)) from problem


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


def _login(parts: SplitResult, header: str) -> Dict[str, str]:
    """A user and password in the address, sent as a Go client does."""
    if parts.username is None:
        return {}
    text = f"{unquote(parts.username)}:{unquote(parts.password or '')}"
    return {header: "Basic " + base64.b64encode(text.encode()).decode()}
