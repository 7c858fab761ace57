# Copyright (c) 2026 tyk.upgrade contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Addresses as they are printed, and the HTTP client against servers on loopback."""

from __future__ import annotations

import threading
import time
from pathlib import Path
from typing import Any, List, Set

import pytest
import requests

from ansible_collections.tyk.upgrade.plugins.module_utils._clients.errors import (
    mask_url,
    mask_urls,
    url_secrets,
)
from ansible_collections.tyk.upgrade.plugins.module_utils._clients.http import (
    HttpClient,
    Unreachable,
    in_parallel,
    join_url,
    looks_like_html,
    split_credentials,
)
from ansible_collections.tyk.upgrade.tests.unit.plugins.modules.servers import FixedServer, Request, json_reply


@pytest.mark.parametrize(
    ("url", "printed"),
    [
        ("http://host:8080/path", "http://host:8080/path"),
        ("https://user:secret@host/path", "https://host/path"),
        ("https://host/mserv/api/mw/bundle?api_key=secret#x", "https://host/mserv/api/mw/bundle"),
        ("redis://:secret@[::1]:6379/0", "redis://[::1]:6379/0"),
        ("http://host:port/", "(an address that cannot be read)"),
        ("http://user:pass/word@host/x", "(an address that cannot be read)"),
        ("http://user:pa[ss@host/x", "(an address that cannot be read)"),
        ("http://user:/secret@host/x", "(an address that cannot be read)"),
        ("http://host:80/header@1.zip", "http://host:80/header@1.zip"),
    ],
)
def test_printed_addresses_hold_no_secret(url: str, printed: str) -> None:
    assert mask_url(url) == printed


@pytest.mark.parametrize(
    ("url", "secrets"),
    [
        ("http://host/", set()),
        ("http://user:p%40ss@host/?key=hidden&v=1", {"p%40ss", "p@ss", "hidden"}),
        ("http://host:port/", set()),
        ("http://user:pa/ss#word@host/x.zip", {"pa/ss#word", "word"}),
        ("http://user:pass/word@host/x.zip", {"pass/word", "pass", "word"}),
        ("http://user:/secret@host/", {"/secret", "secret"}),
        ("http://user:se?cret=1@host/", {"se?cret=1", "cret=1", "1@host/"}),
        ("http://user:se[cret@host/?key=hidden", {"se[cret", "hidden"}),
        ("http://user:s@cret/word@host/", {"s@cret/word", "cret/word"}),
        ("http://user:se%2Fcret@host/", {"se%2Fcret", "se/cret"}),
        ("http://user:12/secret@host/", {"12/secret"}),
        ("http://host/a.zip?signature=a%2Fb%3D", {"a%2Fb%3D", "a/b="}),
        ("http://host/header@1.zip", set()),
        ("redis://:pass/word@host:6379/0", {"pass/word", "pass", "word"}),
    ],
)
def test_secrets_of_an_address(url: str, secrets: Set[str]) -> None:
    assert url_secrets(url) == secrets


@pytest.mark.parametrize(
    ("text", "printed"),
    [
        ('Get "http://u:p@host/a.zip?token=t0p": EOF', 'Get "http://host/a.zip": EOF'),
        (r'error="Get \"https://host/a.zip?sig=x%2F\": timeout"', r'error="Get \"https://host/a.zip\": timeout"'),
        ("Get http://host/a.zip?token=t0p: dial (see https://docs/x?y).", "Get http://host/a.zip: dial (see https://docs/x)."),
        ("Get http://u:pa/ss@host/a.zip: dial", "Get (an address that cannot be read): dial"),
        ("no address: a//b", "no address: a//b"),
    ],
)
def test_addresses_in_a_text(text: str, printed: str) -> None:
    assert mask_urls(text) == printed


@pytest.mark.parametrize(
    ("base", "segments", "joined"),
    [
        ("http://host", ("tyk", "reload"), "http://host/tyk/reload"),
        ("http://host/base/", ("/hello",), "http://host/base/hello"),
        ("http://host/bundles?api_key=k", ("a.zip",), "http://host/bundles/a.zip?api_key=k"),
    ],
)
def test_joined_addresses(base: str, segments: Any, joined: str) -> None:
    assert join_url(base, *segments) == joined


def test_credentials_are_split_off() -> None:
    assert split_credentials("http://us%20er:p%40ss@host:80/x?y=1") == ("http://host:80/x?y=1", ("us er", "p@ss"))
    assert split_credentials("http://host/x") == ("http://host/x", None)


@pytest.mark.parametrize(
    ("content_type", "content", "html"),
    [
        ("text/html; charset=utf-8", b"", True),
        ("application/zip", b"  <!DOCTYPE HTML><html>", True),
        ("application/octet-stream", b"PK\x03\x04", False),
        ("application/json", b"{}", False),
    ],
)
def test_web_pages(content_type: str, content: bytes, html: bool) -> None:
    assert looks_like_html(content_type, content) is html


def reason_for(client: HttpClient, url: str) -> str:
    with pytest.raises(Unreachable) as raised:
        client.request("GET", url)
    return str(raised.value)


def test_why_no_answer_came() -> None:
    client = HttpClient(timeout=0.3)
    assert reason_for(client, "http://127.0.0.1:1/?key=hidden") == "the connection was refused"
    assert reason_for(client, "http://no-such-host.invalid/") == "its name is not known"
    assert reason_for(client, "ftp://127.0.0.1/") == "the address is not an http or https address"
    assert reason_for(client, "nonsense") == "the address cannot be used"
    with FixedServer(lambda request: None) as server:
        assert reason_for(client, server.url) == "the connection was closed without an answer"
        server.delay = 2
        assert reason_for(client, server.url) == "no answer came in time"
        assert reason_for(client, server.url.replace("http:", "https:")) in (
            "TLS could not be negotiated",
            "no answer came in time",
        )


def test_redirects_are_followed_only_when_asked() -> None:
    def answer(request: Request) -> Any:
        return (
            (302, {"Location": "/there"}, b"") if request.path == "/here" else json_reply(200, {"path": request.path})
        )

    with FixedServer(answer) as server:
        client = HttpClient()
        assert client.request("GET", server.url + "/here").status == 302
        assert client.request("GET", server.url + "/here", follow=True).json() == {"path": "/there"}


def test_an_answer_is_cut_at_the_limit() -> None:
    with FixedServer(lambda request: (200, {}, b"x" * 500000)) as server:
        assert len(HttpClient().request("GET", server.url, limit=1000).content) == 1000


def test_connections_are_pooled_or_not() -> None:
    ports: List[int] = []

    class Recording(FixedServer):
        pass

    with Recording(lambda request: json_reply(200, {})) as server:
        handler = server._server.RequestHandlerClass
        original = handler.handle_any  # type: ignore[attr-defined]

        def record(self: Any) -> None:
            ports.append(self.client_address[1])
            original(self)

        handler.do_GET = record  # type: ignore[attr-defined]
        pooled = HttpClient()
        for _unused in range(5):
            pooled.request("GET", server.url)
        assert len(set(ports)) == 1
        ports.clear()
        fresh = HttpClient(reuse=False)
        for _unused in range(5):
            fresh.request("GET", server.url)
        assert len(set(ports)) == 5


def test_proxies_of_the_environment_are_used(monkeypatch: pytest.MonkeyPatch) -> None:
    with FixedServer(lambda request: json_reply(200, {"asked": request.target})) as proxy:
        monkeypatch.setenv("http_proxy", proxy.url)
        monkeypatch.setenv("no_proxy", "127.0.0.1")
        answer = HttpClient().request("GET", "http://gateway.invalid/hello")
        assert answer.json() == {"asked": "http://gateway.invalid/hello"}
        assert HttpClient().request("GET", proxy.url + "/direct").json() == {"asked": "/direct"}


def test_a_certificate_that_cannot_be_verified(tmp_path: Path) -> None:
    pytest.importorskip("cryptography")
    import ssl

    certificate, key = self_signed(tmp_path)
    with FixedServer(lambda request: json_reply(200, {"ok": True})) as server:
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.load_cert_chain(certificate, key)
        server._server.socket = context.wrap_socket(server._server.socket, server_side=True)
        url = server.url.replace("http:", "https:")
        assert reason_for(HttpClient(timeout=2), url) == "its TLS certificate could not be verified"
        assert HttpClient(timeout=2, ca_path=str(certificate)).request("GET", url).json() == {"ok": True}
        assert HttpClient(timeout=2, validate_certs=False).request("GET", url).json() == {"ok": True}


def self_signed(folder: Path) -> Any:
    import datetime
    import ipaddress

    from cryptography import x509
    from cryptography.hazmat.primitives import hashes, serialization
    from cryptography.hazmat.primitives.asymmetric import ec
    from cryptography.x509.oid import NameOID

    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "loopback")])
    now = datetime.datetime.now(datetime.timezone.utc)
    certificate = (
        x509.CertificateBuilder()
        .subject_name(name)
        .issuer_name(name)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - datetime.timedelta(days=1))
        .not_valid_after(now + datetime.timedelta(days=1))
        .add_extension(x509.SubjectAlternativeName([x509.IPAddress(ipaddress.ip_address("127.0.0.1"))]), critical=False)
        .add_extension(x509.BasicConstraints(ca=True, path_length=0), critical=True)
        .sign(key, hashes.SHA256())
    )
    (folder / "cert.pem").write_bytes(certificate.public_bytes(serialization.Encoding.PEM))
    (folder / "key.pem").write_bytes(
        key.private_bytes(serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption())
    )
    return folder / "cert.pem", folder / "key.pem"


def test_in_parallel_keeps_the_order_and_the_bound() -> None:
    running, most = [0], [0]
    lock = threading.Lock()

    def work(number: int) -> int:
        with lock:
            running[0] += 1
            most[0] = max(most[0], running[0])
        time.sleep(0.02)
        with lock:
            running[0] -= 1
        return number * 2

    assert list(in_parallel(work, list(range(20)), 4)) == [number * 2 for number in range(20)]
    assert most[0] == 4


@pytest.mark.parametrize("way", ["download", "request"])
def test_credentials_do_not_follow_a_redirect_to_another_host(way: str) -> None:
    with FixedServer(lambda request: (200, {}, b"content")) as other:
        with FixedServer(lambda request: (302, {"Location": f"{other.url}/b"}, b"")) as first:
            client = HttpClient(auth=("me", "s3cret"), headers={"X-Client": "key0"})
            headers = {"X-Api-Key": "key1", "X-Tyk-Authorization": "key2", "Cookie": "c=key3"}
            if way == "download":
                answer = client.download(f"{first.url}/a", lambda piece: None, headers=headers)
            else:
                answer = client.request("GET", f"{first.url}/a", headers=headers, follow=True)
        assert answer.status == 200
        assert {"authorization", "x-api-key", "x-tyk-authorization", "cookie", "x-client"} <= set(first.requests[0].headers)
        (followed,) = other.requests
        assert set(followed.headers) == {"host", "user-agent", "accept", "accept-encoding", "connection"}


def test_credentials_follow_a_redirect_on_the_same_host() -> None:
    def answer(request: Request) -> Any:
        return (302, {"Location": "/b"}, b"") if request.path == "/a" else (200, {}, b"content")

    with FixedServer(answer) as server:
        HttpClient(auth=("me", "s3cret")).download(f"{server.url}/a", lambda piece: None, headers={"X-Api-Key": "key1"})
        assert [request.headers.get("x-api-key") for request in server.requests] == ["key1", "key1"]
        assert [request.headers.get("authorization") for request in server.requests] == ["Basic bWU6czNjcmV0"] * 2


@pytest.mark.parametrize(
    ("before", "after", "kept"),
    [
        ("https://host/a", "http://host/a", False),
        ("https://host/a", "https://host:8443/a", False),
        ("http://host/a", "https://host/a", True),
    ],
)
def test_credentials_do_not_follow_to_another_port_or_out_of_tls(before: str, after: str, kept: bool) -> None:
    client = HttpClient()
    response = requests.Response()
    response.request = requests.Request("GET", before).prepare()
    following = requests.Request("GET", after, headers={"X-Api-Key": "key1", "Accept": "*/*"}).prepare()
    client._session.rebuild_auth(following, response)  # type: ignore[union-attr]
    assert ("X-Api-Key" in following.headers) is kept and "Accept" in following.headers
