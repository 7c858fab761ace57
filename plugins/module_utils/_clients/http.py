# Copyright (c) 2026 tyk.upgrade contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""HTTP with one pooled session per worker pool, and with errors that are sentences.

The session never reads ~/.netrc: requests would let an entry there overwrite the Authorization header that a caller
set. Proxies and CA bundles of the environment are honoured, looked up once per host instead of once per request.
"""

from __future__ import annotations

import json
import os
import time
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import IO, Any, Callable, Dict, Iterator, List, Mapping, Optional, Sequence, Tuple, TypeVar, Union
from urllib.parse import unquote, urlsplit, urlunsplit

from ansible_collections.tyk.upgrade.plugins.module_utils._clients.errors import mask_url

try:
    import requests
    from requests.adapters import HTTPAdapter

    REQUESTS_IMPORT_ERROR: Optional[BaseException] = None
except ImportError as import_error:
    REQUESTS_IMPORT_ERROR = import_error

Item = TypeVar("Item")
Result = TypeVar("Result")

#: Answers longer than this are cut; no API answer is longer, and a broken server must not fill the memory.
MAX_ANSWER_BYTES = 64 * 1024 * 1024
_CHUNK = 1 << 16
#: Headers that say nothing of who asks.
_OF_ANY_REQUEST = frozenset(
    (
        "accept",
        "accept-encoding",
        "connection",
        "content-length",
        "content-type",
        "cookie",  # requests itself takes it out and puts in what is meant for the other host
        "if-none-match",
        "proxy-authorization",  # the same
        "user-agent",
    )
)


class Unreachable(Exception):
    """No HTTP answer came back. The text is a clause that ends a sentence: "the connection was refused"."""


@dataclass(frozen=True)
class Answer:
    """One HTTP answer, read completely. seconds is the time from sending to the last byte."""

    status: int
    content: bytes
    headers: Mapping[str, str] = field(default_factory=dict)
    seconds: float = 0.0

    def json(self) -> Any:
        """The answer as JSON. Raises ValueError when it is something else."""
        return json.loads(self.content.decode("utf-8"))

    def json_object(self) -> Dict[str, Any]:
        """The answer as a JSON object, or an empty one when it is something else."""
        try:
            parsed = self.json()
        except ValueError:
            return {}
        return parsed if isinstance(parsed, dict) else {}

    @property
    def is_html(self) -> bool:
        """Whether this is a web page: typically the login page or the error page of something in between."""
        return looks_like_html(self.headers.get("Content-Type", ""), self.content)

    def gist(self) -> str:
        """What the answer says, short enough for a sentence."""
        parsed = self.json_object()
        for key in ("Message", "message", "error", "Error"):
            if isinstance(parsed.get(key), str) and parsed[key]:
                return _one_line(parsed[key])
        if self.is_html:
            return "an HTML page"
        return _one_line(self.content[:400].decode("utf-8", "replace")) or "an empty answer"


def looks_like_html(content_type: str, content: bytes) -> bool:
    """Whether this content is a web page, by its type or by its first bytes."""
    start = content[:256].lstrip().lower()
    return start.startswith((b"<!doctype html", b"<html")) or (
        content_type.split(";")[0].strip().lower() in ("text/html", "application/xhtml+xml")
    )


def page_instead(content_type: str, head: str, position: str, url: str) -> str:
    """What to say of a download, by its type and first bytes (one letter each), that is no bundle but a page for people; empty for every other."""
    if not looks_like_html(content_type, head.encode("latin-1")):
        return ""
    return f"{position}, {url} is an HTML page, as a login page is, and no bundle."


def _one_line(text: str) -> str:
    line = " ".join(text.split())
    return line if len(line) <= 200 else line[:197] + "..."


def reason(problem: BaseException) -> str:
    """Why no answer came, as a clause without addresses (they may hold secrets)."""
    text = str(problem)
    if isinstance(problem, requests.exceptions.SSLError):
        if "certificate verify failed" in text or "CERTIFICATE_VERIFY_FAILED" in text:
            return "its TLS certificate could not be verified"
        return "TLS could not be negotiated"
    if isinstance(problem, requests.exceptions.ProxyError):
        return "the proxy did not connect"
    if isinstance(problem, requests.exceptions.Timeout):
        return "no answer came in time"
    if isinstance(problem, (requests.exceptions.InvalidURL, requests.exceptions.MissingSchema)):
        return "the address cannot be used"
    if isinstance(problem, requests.exceptions.InvalidSchema):
        return "the address is not an http or https address"
    if isinstance(problem, requests.exceptions.TooManyRedirects):
        return "it redirects in a circle"
    clauses = (
        (("Connection refused",), "the connection was refused"),
        (
            ("Name or service not known", "getaddrinfo", "name resolution", "NameResolutionError"),
            "its name is not known",
        ),
        (("No route to host", "Network is unreachable"), "there is no route to it"),
        (("reset by peer", "Connection aborted", "RemoteDisconnected"), "the connection was closed without an answer"),
        (("IncompleteRead", "ChunkedEncodingError"), "the connection was closed in the middle of the answer"),
    )
    for needles, clause in clauses:
        if any(needle in text for needle in needles):
            return clause
    return f"the request failed ({type(problem).__name__})"


def split_credentials(url: str) -> Tuple[str, Optional[Tuple[str, str]]]:
    """The address without user and password, and these two."""
    parts = urlsplit(url)
    if parts.username is None and parts.password is None:
        return url, None
    location = parts.netloc.rpartition("@")[2]
    bare = urlunsplit((parts.scheme, location, parts.path, parts.query, parts.fragment))
    return bare, (unquote(parts.username or ""), unquote(parts.password or ""))


class HttpClient:
    """Sends requests over one pool of connections. Safe to use from as many threads as workers says.

    With reuse=False each request opens a connection of its own, as a new client does: a connection that a server closed
    while it was idle in the pool would otherwise count as a failed request.
    """

    def __init__(
        self,
        timeout: float = 5.0,
        validate_certs: bool = True,
        ca_path: Optional[str] = None,
        workers: int = 1,
        headers: Optional[Mapping[str, str]] = None,
        auth: Optional[Tuple[str, str]] = None,
        reuse: bool = True,
        client_cert: Optional[Tuple[str, Optional[str]]] = None,
    ) -> None:
        self.timeout = timeout
        self._client_cert = client_cert
        self._verify = _verify(validate_certs, ca_path)
        self._headers = {"User-Agent": "tyk.upgrade", **(headers or {})}
        self._auth = auth
        self._session = self._new_session(max(workers, 1)) if reuse else None
        self._proxies: Dict[str, Dict[str, str]] = {}
        if not validate_certs:
            _silence_insecure_warning()

    def close(self) -> None:
        """Give the connections back."""
        if self._session is not None:
            self._session.close()

    def _new_session(self, connections: int) -> requests.Session:
        session = requests.Session()
        session.trust_env = False
        session.verify = self._verify
        session.headers.update(self._headers)
        session.auth = self._auth
        if self._client_cert is not None:
            certificate, key = self._client_cert
            session.cert = (certificate, key) if key else certificate
        adapter = HTTPAdapter(pool_connections=max(connections, 10), pool_maxsize=connections)
        _keep_own_headers(session)
        session.mount("http://", adapter)
        session.mount("https://", adapter)
        return session

    def request(
        self,
        method: str,
        url: str,
        headers: Optional[Mapping[str, str]] = None,
        body: Union[None, bytes, IO[bytes]] = None,
        json_body: Any = None,
        params: Optional[Mapping[str, Any]] = None,
        follow: bool = False,
        timeout: Optional[float] = None,
        limit: int = MAX_ANSWER_BYTES,
    ) -> Answer:
        """Send one request and read the whole answer. Raises Unreachable when none comes.

        A status such as 404 or 500 is an answer. limit is how many bytes of the answer are kept.
        """
        started = time.monotonic()
        try:
            with self._open(method, url, headers, body, json_body, params, follow, timeout) as response:
                content = _read(response, limit)
                return Answer(response.status_code, content, response.headers, time.monotonic() - started)
        except (requests.exceptions.RequestException, OSError, ValueError) as problem:
            raise Unreachable(reason(problem)) from problem

    def download(
        self,
        url: str,
        sink: Callable[[bytes], None],
        headers: Optional[Mapping[str, str]] = None,
        timeout: Optional[float] = None,
    ) -> Answer:
        """GET an address and hand the body to the sink in pieces, if the status is 200.

        The answer holds the beginning of the body whatever the status, so that an error in it can be read.
        """
        started = time.monotonic()
        try:
            with self._open("GET", url, headers, None, None, None, True, timeout) as response:
                if response.status_code != 200:
                    content = _read(response, _CHUNK)
                else:
                    content = b""
                    for piece in response.iter_content(_CHUNK):
                        content += piece[: _CHUNK - len(content)]
                        sink(piece)
                return Answer(response.status_code, content, response.headers, time.monotonic() - started)
        except (requests.exceptions.RequestException, OSError, ValueError) as problem:
            raise Unreachable(reason(problem)) from problem

    @contextmanager
    def _open(
        self,
        method: str,
        url: str,
        headers: Optional[Mapping[str, str]],
        body: Union[None, bytes, IO[bytes]],
        json_body: Any,
        params: Optional[Mapping[str, Any]],
        follow: bool,
        timeout: Optional[float],
    ) -> Iterator[requests.Response]:
        session = self._session or self._new_session(1)
        try:
            with session.request(
                method,
                url,
                headers={str(name): str(value) for name, value in (headers or {}).items()},
                data=body,
                json=json_body,
                params=params,
                allow_redirects=follow,
                timeout=timeout or self.timeout,
                stream=True,
                proxies=self._proxies_for(url),
            ) as response:
                yield response
        finally:
            if session is not self._session:
                session.close()

    def _proxies_for(self, url: str) -> Dict[str, str]:
        parts = urlsplit(url)
        key = f"{parts.scheme}://{parts.netloc}"
        if key not in self._proxies:
            self._proxies[key] = dict(requests.utils.get_environ_proxies(url))
        return self._proxies[key]


def _keep_own_headers(session: requests.Session) -> None:
    """Let no header of the caller follow a redirect to another host, port or to plain http.

    requests itself holds back only Authorization, and a store's key is often in a header of its own.
    """
    usual: Any = session.rebuild_auth
    leaves: Any = session.should_strip_auth

    def rebuild_auth(prepared_request: requests.PreparedRequest, response: requests.Response) -> None:
        usual(prepared_request, response)
        if leaves(str(response.request.url), str(prepared_request.url)):
            for name in [one for one in prepared_request.headers if one.lower() not in _OF_ANY_REQUEST]:
                del prepared_request.headers[name]

    session.rebuild_auth = rebuild_auth  # type: ignore[method-assign]


def _verify(validate_certs: bool, ca_path: Optional[str]) -> Union[bool, str]:
    if not validate_certs:
        return False
    return ca_path or os.environ.get("REQUESTS_CA_BUNDLE") or os.environ.get("CURL_CA_BUNDLE") or True


def _silence_insecure_warning() -> None:
    try:
        import urllib3
    except ImportError:
        return
    urllib3.disable_warnings(urllib3.exceptions.InsecureRequestWarning)


def _read(response: requests.Response, limit: int) -> bytes:
    pieces: List[bytes] = []
    size = 0
    for piece in response.iter_content(_CHUNK):
        pieces.append(piece)
        size += len(piece)
        if size >= limit:
            break
    return b"".join(pieces)[:limit]


def in_parallel(function: Callable[[Item], Result], items: Sequence[Item], workers: int) -> Iterator[Result]:
    """The results in the order of the items, at most `workers` calls at a time."""
    if len(items) <= 1 or workers <= 1:
        yield from map(function, items)
        return
    with ThreadPoolExecutor(max_workers=min(workers, len(items))) as pool:
        yield from pool.map(function, items)


def join_url(base: str, *segments: str) -> str:
    """The base address with path segments added; a query of the base is kept."""
    parts = urlsplit(base)
    path = "/".join([parts.path.rstrip("/")] + [segment.strip("/") for segment in segments])
    return urlunsplit((parts.scheme, parts.netloc, path, parts.query, ""))


def where(method: str, url: str) -> str:
    """The request as a sentence names it."""
    return f"{method} {mask_url(url)}"
