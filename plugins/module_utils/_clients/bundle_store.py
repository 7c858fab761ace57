# Copyright (c) 2026 tyk.upgrade contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Bundle stores: where bundles are published for gateways to fetch.

A bundle is cached by its name on every gateway and new content under a used name is never noticed, so a store client
never writes other content over a name. What was written is read back and compared: a 200 may come from a login page.
"""

from __future__ import annotations

import hashlib
import os
import tempfile
import time
import uuid
from dataclasses import dataclass
from typing import IO, Any, Mapping, Optional, Tuple

from ansible_collections.tyk.upgrade.plugins.module_utils._clients.bundle_archive import (
    digest_of_path,
    flat_name_problem,
)
from ansible_collections.tyk.upgrade.plugins.module_utils._clients.errors import ClientError, mask_url
from ansible_collections.tyk.upgrade.plugins.module_utils._clients.http import (
    Answer,
    HttpClient,
    Unreachable,
    join_url,
    looks_like_html,
    where,
)

_PROBE_CONTENT = b"Written by tyk.upgrade to prove that this store can be written; safe to delete.\n"
_GONE = (404, 410)
_CREDENTIALS = "Correct the user, password or headers of the bundle store."


@dataclass(frozen=True)
class Stored:
    """What a store holds under a name. seconds is the time of the download."""

    sha256: str
    size: int
    seconds: float


@dataclass(frozen=True)
class Published:
    """What publishing did. seconds covers everything, reading back included."""

    changed: bool
    sha256: str
    size: int
    seconds: float


@dataclass(frozen=True)
class Writable:
    """Whether the store takes files. known is False when only writing could tell; leftover names what stayed."""

    known: bool
    leftover: Optional[str] = None


class HttpStore:
    """A server that takes PUT and answers GET, such as nginx with its WebDAV module.

    The address of a bundle is the base address with the name joined to its path and its query kept, as gateways do it.
    """

    def __init__(self, http: HttpClient, url: str, headers: Optional[Mapping[str, str]] = None) -> None:
        self._http = http
        self._base = url
        self._headers = dict(headers or {})
        self.name = mask_url(url)

    def address(self, name: str) -> str:
        """The address of a bundle. Raises ClientError for a name that is not one flat file name."""
        problem = flat_name_problem(name)
        if problem:
            raise ClientError(
                "setting-invalid",
                name,
                f"The bundle name {name!r} {problem}.",
                "Give a plain file name such as a-1.zip.",
            )
        return join_url(self._base, name)

    def fetch(self, name: str, sink: Optional[IO[bytes]] = None, max_size: Optional[int] = None) -> Optional[Stored]:
        """Download what the store holds under a name, or None when it holds nothing. Raises ClientError."""
        url = self.address(name)
        sha256 = hashlib.sha256()
        size = [0]

        def take(piece: bytes) -> None:
            size[0] += len(piece)
            if max_size is not None and size[0] > max_size:
                raise _too_large(name, self.name, max_size)
            sha256.update(piece)
            if sink is not None:
                sink.write(piece)

        try:
            answer = self._http.download(url, take, headers=self._headers)
        except Unreachable as problem:
            raise self._unreachable("GET", url, problem) from problem
        if answer.status in _GONE:
            return None
        if answer.status != 200:
            raise self._refused("read", "GET", url, answer)
        if looks_like_html(answer.headers.get("Content-Type", ""), answer.content):
            raise self._web_page("GET", url)
        return Stored(sha256.hexdigest(), size[0], answer.seconds)

    def publish(self, name: str, path: str) -> Published:
        """Upload a file under a name that holds nothing yet, and read it back.

        Equal content that is there already is left alone. Raises ClientError: store-conflict when the name holds other
        content, store-read-only when the store refuses to be written, store-unreachable for everything else.
        """
        started = time.monotonic()
        sha256, size = digest_of_path(path)
        if self.holds(name, sha256):
            return Published(False, sha256, size, time.monotonic() - started)
        url = self.address(name)
        with open(path, "rb") as handle:
            answer = self._put(url, handle, size)
        if answer.status == 412:  # somebody else was faster; what is there now decides
            if self.holds(name, sha256):
                return Published(False, sha256, size, time.monotonic() - started)
            raise self._refused("write", "PUT", url, answer)
        if answer.status not in (200, 201, 202, 204):
            raise self._refused("write", "PUT", url, answer)
        self._read_back(name, url, sha256, size, answer)
        return Published(True, sha256, size, time.monotonic() - started)

    def holds(self, name: str, sha256: str) -> bool:
        """Whether exactly this content is published under this name. Raises ClientError when other content is."""
        stored = self.fetch(name)
        if stored is None:
            return False
        if stored.sha256 != sha256:
            raise ClientError(
                "store-conflict",
                name,
                f"The bundle store {self.name} already holds other content under the name {name} "
                f"(sha256 {stored.sha256[:12]}..., {stored.size} bytes); nothing was written.",
                "Publish under a new name: gateways keep a bundle by its name and never notice new content under it.",
            )
        return True

    def probe(self) -> Writable:
        """Prove that the store can be written: put a small file under a name of its own, read it back, delete it.

        Raises ClientError when it cannot.
        """
        name = f"tyk-upgrade-probe-{uuid.uuid4().hex}.txt"
        url = self.address(name)
        answer = self._put(url, _PROBE_CONTENT, len(_PROBE_CONTENT))
        if answer.status not in (200, 201, 202, 204):
            raise self._refused("write", "PUT", url, answer)
        self._read_back(name, url, hashlib.sha256(_PROBE_CONTENT).hexdigest(), len(_PROBE_CONTENT), answer)
        try:
            removed = self._http.request("DELETE", url, headers=self._headers)
            gone = removed.status in (200, 202, 204) or removed.status in _GONE
        except Unreachable:
            gone = False
        return Writable(known=True, leftover=None if gone else name)

    def look(self) -> Writable:
        """Ask, without writing, whether the store takes PUT. Raises ClientError when it says that it does not."""
        url = join_url(self._base, "")
        try:
            answer = self._http.request("OPTIONS", url, headers=self._headers)
        except Unreachable as problem:
            raise self._unreachable("OPTIONS", url, problem) from problem
        if answer.status in (401, 403):
            raise self._refused("write", "OPTIONS", url, answer)
        allowed = {method.strip().upper() for method in answer.headers.get("Allow", "").split(",") if method.strip()}
        if answer.status in (200, 204) and allowed and "PUT" not in allowed:
            raise ClientError(
                "store-read-only",
                self.name,
                f"The bundle store {self.name} does not take PUT; it allows {', '.join(sorted(allowed))}.",
                "Give the address under which bundles are uploaded, or allow PUT there.",
            )
        return Writable(known="PUT" in allowed)

    def _put(self, url: str, body: Any, size: int) -> Answer:
        headers = {
            **self._headers,
            "Content-Type": "application/zip",
            "Content-Length": str(size),
            "If-None-Match": "*",
        }
        try:
            return self._http.request("PUT", url, headers=headers, body=body)
        except Unreachable as problem:
            raise self._unreachable("PUT", url, problem) from problem

    def _read_back(self, name: str, url: str, sha256: str, size: int, answer: Answer) -> None:
        if answer.is_html and answer.status == 200:
            raise self._web_page("PUT", url)
        stored = self.fetch(name)
        if stored is not None and stored.sha256 == sha256:
            return
        got = "nothing is there" if stored is None else f"{stored.size} bytes with another digest are there"
        raise ClientError(
            "store-unreachable",
            name,
            f"The bundle store {self.name} accepted {name} ({where('PUT', url)} answered {answer.status}, {size} "
            f"bytes), but reading it back shows that {got}.",
            "Check that what is written to and what is read from are the same folder, without a cache in between.",
        )

    def _unreachable(self, method: str, url: str, problem: Unreachable) -> ClientError:
        return ClientError(
            "store-unreachable",
            self.name,
            f"The bundle store {self.name} did not answer {where(method, url)}: {problem}.",
            "Check its address, and that it can be reached from where this task runs.",
        )

    def _web_page(self, method: str, url: str) -> ClientError:
        return ClientError(
            "store-unreachable",
            self.name,
            f"The bundle store {self.name} answered {where(method, url)} with an HTML page, as a login page does, and "
            "not with a bundle.",
            "Give the address of the store itself, with the credentials it wants, and not that of a web interface.",
        )

    def _refused(self, purpose: str, method: str, url: str, answer: Answer) -> ClientError:
        code, what, remedy = _refusal(purpose, answer.status)
        return ClientError(
            code,
            self.name,
            f"The bundle store {self.name} {what}: {where(method, url)} answered {answer.status} with {answer.gist()}.",
            remedy,
        )


def _refusal(purpose: str, status: int) -> Tuple[str, str, str]:
    """Code, what the store did, and the remedy, for a status that is not a success."""
    if status in (401, 407):
        return "store-unreachable", "does not accept the credentials", _CREDENTIALS
    if status == 403 and purpose == "read":
        return "store-unreachable", "forbids reading", _CREDENTIALS
    if purpose == "write":
        table = {
            403: "Give credentials that may write, or allow PUT in this folder.",
            405: "Allow PUT in this folder (nginx: dav_methods PUT DELETE), or give the address for uploads.",
            501: "Give the address of a store that takes PUT.",
        }
        if status in table:
            return "store-read-only", "is read-only", table[status]
        if status == 413:
            return "store-unreachable", "takes no file of this size", "Raise its limit (nginx: client_max_body_size)."
        if status == 507:
            return "store-unreachable", "is full", "Make room in the store."
        if status in (404, 409):
            return "store-unreachable", "has no such folder", "Create the folder, or correct the address."
        if 300 <= status < 400:
            return "store-unreachable", "redirects uploads", "Give the address that takes uploads itself."
    return "store-unreachable", f"could not be {'read' if purpose == 'read' else 'written'}", "Look into its log."


def _too_large(name: str, store: str, max_size: int) -> ClientError:
    return ClientError(
        "bundle-invalid",
        name,
        f"Bundle {name} in the store {store} is larger than {max_size} bytes; it was not read to its end.",
        "Check that this is the right file, or allow more with max_size.",
    )


def temporary_file(directory: Optional[str] = None) -> str:
    """The path of a new empty file that only this user can read."""
    handle, path = tempfile.mkstemp(prefix="tyk-upgrade-", dir=directory)
    os.close(handle)
    return path
