# Copyright (c) 2026 tyk.upgrade contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Downloads as a gateway makes them: through its proxies, with TLS up to 1.2, and from files."""

from __future__ import annotations

import os
import shutil
import socket
import ssl
import subprocess
import tempfile
import threading
import time
from pathlib import Path
from typing import Any, Callable, Iterator, List, Tuple

import pytest

from ansible_collections.tyk.upgrade.plugins.module_utils._clients.netns import (
    Fetch,
    fetch_as,
    tls_context,
    trusted_by,
)
from ansible_collections.tyk.upgrade.tests.unit.plugins.modules.module_runner import small_disk
from ansible_collections.tyk.upgrade.tests.unit.plugins.modules.servers import FixedServer

BODY = b"PK\x03\x04 bundle"


def seen(fetch: Fetch) -> Tuple[str, int, str]:
    return fetch.kind, fetch.bytes, fetch.problem


@pytest.fixture
def proxy() -> Iterator[FixedServer]:
    with FixedServer(lambda request: (200, {"Content-Type": "application/zip"}, BODY)) as server:
        yield server  # type: ignore[misc]


def test_a_proxy_is_asked_for_the_whole_address(proxy: FixedServer) -> None:
    environment = {"HTTP_PROXY": proxy.url.replace("http://", "http://pat:s3cret@")}
    fetch = fetch_as(None, "http://me:pass@bundles.invalid:8080/a.zip?x=1", 5, environment=environment)
    assert seen(fetch) == ("", len(BODY), "") and fetch.proxies == [proxy.url] and fetch.head == BODY.decode("latin-1")
    (request,) = proxy.requests
    assert request.target == "http://bundles.invalid:8080/a.zip?x=1" and request.headers["host"] == "bundles.invalid:8080"
    assert request.headers["proxy-authorization"] == "Basic cGF0OnMzY3JldA=="
    assert request.headers["authorization"] == "Basic bWU6cGFzcw=="


def test_what_no_proxy_says_is_fetched_without_one(proxy: FixedServer) -> None:
    with FixedServer(lambda request: (200, {}, BODY)) as store:
        fetch = fetch_as(None, f"{store.url}/a.zip", 5, environment={"http_proxy": proxy.url})
        assert seen(fetch) == ("", len(BODY), "") and fetch.proxies == [] and not proxy.requests


def test_a_redirect_is_judged_anew(proxy: FixedServer) -> None:
    with FixedServer(lambda request: (302, {"Location": "http://other.invalid/b.zip"}, b"")) as store:
        fetch = fetch_as(None, f"{store.url}/a.zip", 5, environment={"HTTP_PROXY": proxy.url})
    assert seen(fetch) == ("", len(BODY), "") and [one.target for one in proxy.requests] == ["http://other.invalid/b.zip"]


def test_a_proxy_that_is_not_there_is_named_without_its_password() -> None:
    environment = {"HTTP_PROXY": "http://pat:s3cret@127.0.0.1:1"}
    fetch = fetch_as(None, "http://bundles.invalid/a.zip", 5, environment=environment)
    assert fetch.kind == "unreachable" and "the proxy http://127.0.0.1:1 cannot be reached" in fetch.problem


@pytest.mark.parametrize(
    ("url", "value"), [("http://b.invalid/", "socks5://u:s3cret@proxy:1"), ("https://b.invalid/", "https://proxy")]
)
def test_a_proxy_of_a_kind_that_cannot_be_tried(url: str, value: str) -> None:
    fetch = fetch_as(None, url, 5, environment={"HTTP_PROXY": value, "HTTPS_PROXY": value})
    assert fetch.kind == "untried" and "cannot be tried from here" in fetch.problem and "s3cret" not in fetch.problem


# -- TLS


class Listener:
    """Serves each connection by a function of its own."""

    def __init__(self, serve: Callable[[socket.socket], None]) -> None:
        self._socket = socket.create_server(("127.0.0.1", 0))
        self.port = self._socket.getsockname()[1]
        self._serve = serve
        threading.Thread(target=self._run, daemon=True).start()

    def _run(self) -> None:
        while True:
            try:
                connection = self._socket.accept()[0]
            except OSError:
                return
            threading.Thread(target=self._one, args=(connection,), daemon=True).start()

    def _one(self, connection: socket.socket) -> None:
        try:
            self._serve(connection)
        except OSError:
            pass  # the other side hung up
        finally:
            connection.close()

    def close(self) -> None:
        self._socket.close()


@pytest.fixture(scope="module")
def certificate(tmp_path_factory: pytest.TempPathFactory) -> Tuple[str, str]:
    if not shutil.which("openssl"):
        pytest.skip("no openssl")
    folder = tmp_path_factory.mktemp("tls")
    command = ["openssl", "req", "-x509", "-newkey", "rsa:2048", "-nodes", "-days", "2", "-subj", "/CN=bundles.invalid"]
    command += ["-addext", "subjectAltName=DNS:bundles.invalid,IP:127.0.0.1", "-keyout", "key.pem", "-out", "crt.pem"]
    subprocess.run(command, cwd=folder, check=True, capture_output=True)
    return str(folder / "crt.pem"), str(folder / "key.pem")


def tls_server(certificate: Tuple[str, str], oldest: ssl.TLSVersion) -> Listener:
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(*certificate)
    context.minimum_version = oldest

    def serve(connection: socket.socket) -> None:
        with context.wrap_socket(connection, server_side=True) as secured:
            secured.recv(65536)
            secured.sendall(b"HTTP/1.1 200 OK\r\nContent-Length: %d\r\nConnection: close\r\n\r\n%s" % (len(BODY), BODY))

    return Listener(serve)


def tunnel(port: int, asked: List[bytes], answer: bytes = b"HTTP/1.1 200 Connection established\r\n\r\n") -> Listener:
    def serve(connection: socket.socket) -> None:
        asked.append(connection.recv(65536))
        connection.sendall(answer)
        with socket.create_connection(("127.0.0.1", port)) as onward:
            back = threading.Thread(target=relay, args=(onward, connection), daemon=True)
            back.start()
            relay(connection, onward)
            back.join(5)

    return Listener(serve)


def relay(source: socket.socket, target: socket.socket) -> None:
    try:
        for piece in iter(lambda: source.recv(65536), b""):
            target.sendall(piece)
        target.shutdown(socket.SHUT_WR)
    except OSError:
        pass  # the other side hung up


def test_a_server_with_tls_is_reached_through_a_proxy(certificate: Tuple[str, str]) -> None:
    server = tls_server(certificate, ssl.TLSVersion.TLSv1_2)
    asked: List[bytes] = []
    through = tunnel(server.port, asked)
    url = "https://bundles.invalid/a.zip"
    context = tls_context(url)
    assert context is not None
    context.load_verify_locations(certificate[0])
    fetch = fetch_as(None, url, 5, context, environment={"HTTPS_PROXY": f"pat:s3cret@127.0.0.1:{through.port}"})
    assert seen(fetch) == ("", len(BODY), "") and fetch.proxies == [f"http://127.0.0.1:{through.port}"]
    (request,) = asked
    assert request.startswith(b"CONNECT bundles.invalid:443 HTTP/1.1\r\nHost: bundles.invalid:443\r\n")
    assert b"Proxy-Authorization: Basic cGF0OnMzY3JldA==\r\n" in request
    server.close()
    through.close()


def test_a_proxy_that_refuses_a_tunnel() -> None:
    through = tunnel(1, [], b"HTTP/1.1 407 Proxy Authentication Required\r\nContent-Length: 0\r\n\r\n")
    place = f"http://127.0.0.1:{through.port}"
    fetch = fetch_as(None, "https://bundles.invalid/a.zip", 5, environment={"HTTPS_PROXY": place})
    assert fetch.kind == "unreachable" and f"the proxy {place} answered HTTP 407" in fetch.problem
    through.close()


@pytest.mark.parametrize(("validate_certs", "kind"), [(True, "unreachable"), (False, "")])
def test_certificates_are_verified_as_gateways_do(certificate: Tuple[str, str], validate_certs: bool, kind: str) -> None:
    server = tls_server(certificate, ssl.TLSVersion.TLSv1_2)
    url = f"https://127.0.0.1:{server.port}/a.zip"
    assert fetch_as(None, url, 5, tls_context(url, validate_certs)).kind == kind
    server.close()


def test_a_server_that_wants_tls_1_3_is_none_for_gateways(certificate: Tuple[str, str]) -> None:
    server = tls_server(certificate, ssl.TLSVersion.TLSv1_3)
    url = f"https://127.0.0.1:{server.port}/a.zip"
    assert fetch_as(None, url, 5, tls_context(url, False)).kind == "unreachable"
    server.close()


# -- files


def test_a_file_is_read_as_its_address_says_without_decoding(tmp_path: Path) -> None:
    (tmp_path / "a%20b.zip").write_bytes(BODY)
    with tempfile.TemporaryFile() as body:
        fetch = fetch_as(None, f"file://{tmp_path}/a%20b.zip", 5, sink=body)
        body.seek(0)
        assert seen(fetch) == ("", len(BODY), "") and body.read() == BODY
    missing = fetch_as(None, f"file://{tmp_path}/none.zip", 5)
    assert (missing.kind, missing.problem) == ("file", "No such file or directory")


@pytest.fixture
def elsewhere(tmp_path: Path) -> Iterator[Tuple[int, Path]]:
    """A process with another root, without rights, and that root."""
    if os.geteuid() != 0:
        pytest.skip("needs root")
    root = tmp_path / "root"
    (root / "data").mkdir(parents=True)
    tmp_path.chmod(0o755)
    reader, writer = os.pipe()
    child = os.fork()
    if child == 0:
        try:
            os.chroot(root)
            os.chdir("/data")
            os.setgroups([])
            os.setgid(65534)
            os.setuid(65534)
            os.write(writer, b"x")
            time.sleep(60)
        finally:
            os._exit(0)
    os.read(reader, 1)
    yield child, root
    os.kill(child, 9)
    os.waitpid(child, 0)
    os.close(reader)
    os.close(writer)


def test_a_file_is_read_from_where_another_process_stands_and_with_its_rights(elsewhere: Tuple[int, Path]) -> None:
    process, root = elsewhere
    (root / "data" / "a.zip").write_bytes(BODY)
    (root / "data" / "private.zip").write_bytes(BODY)
    (root / "data" / "private.zip").chmod(0o600)
    (root / "bundles").symlink_to("/data")  # leads to a folder below the other root
    for url in ("file:///bundles/a.zip", "file:///data/a.zip", "file://a.zip"):
        assert seen(fetch_as(process, url, 5)) == ("", len(BODY), ""), url
    assert fetch_as(process, "file:///data/private.zip", 5).problem == "Permission denied"


@pytest.mark.parametrize("place", ["etc/ssl/certs/ca-certificates.crt", "etc/ssl/certs/own.pem", "data/own.crt", ""])
def test_authorities_are_those_that_the_other_process_trusts(
    elsewhere: Tuple[int, Path], certificate: Tuple[str, str], place: str
) -> None:
    process, root = elsewhere
    if place:
        (root / place).parent.mkdir(parents=True, exist_ok=True)
        damaged = "-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n"
        (root / place).write_text(damaged + Path(certificate[0]).read_text() + "a remark: é")
    environment = {"SSL_CERT_FILE": "/data/own.crt"} if place.startswith("data") else {}
    server = tls_server(certificate, ssl.TLSVersion.TLSv1_2)
    url = f"https://127.0.0.1:{server.port}/a.zip"
    fetch = fetch_as(None, url, 5, tls_context(url, True, trusted_by(process, environment)))
    assert fetch.kind == ("" if place else "unreachable"), fetch
    server.close()


@pytest.mark.parametrize("kind", ["http", "file"])
def test_a_full_disk_here_is_not_the_fault_of_the_store(tmp_path: Path, kind: str) -> None:
    content: Any = BODY * 50_000
    (tmp_path / "a.zip").write_bytes(content)
    with FixedServer(lambda request: (200, {}, content)) as server, tempfile.TemporaryFile() as body:
        url = f"{server.url}/a.zip" if kind == "http" else f"file://{tmp_path}/a.zip"
        with small_disk(100_000):
            assert fetch_as(None, url, 5, sink=body).kind == "local"


def test_what_is_no_answer_is_fit_to_be_printed() -> None:
    server = Listener(lambda plain: plain.sendall(b"\x00\x1b[31mJUNK\r\n\r\n"))
    try:
        fetch = fetch_as(None, f"http://127.0.0.1:{server.port}/a.zip", 5)
    finally:
        server.close()
    assert (fetch.kind, fetch.problem) == ("unreachable", r"\x00\x1b[31mJUNK")
