# Copyright (c) 2026 tyk.upgrade contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""A bundle store that takes PUT and answers GET, such as nginx with its WebDAV module."""

from __future__ import annotations

from typing import IO, Mapping, Optional, Tuple
from urllib.parse import quote

from ansible_collections.tyk.upgrade.plugins.module_utils._clients.bundle_store import (
    Receiver,
    Stored,
    Writable,
    check_readable_name,
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
from ansible_collections.tyk.upgrade.plugins.module_utils._clients.web_store import WebStore, web_page

GONE = (404, 410)
#: What Go leaves as it is in the path of an address, so that the gateway asks for the same.
_UNESCAPED = "/$&+,:;=@~!*'()"
_CREDENTIALS = "Correct the user, password, headers or client certificate of the bundle store."


class HttpStore(WebStore):
    """A server that takes PUT and answers GET.

    The address of a bundle is the base address with the name joined to its path and its query kept, as gateways do it.
    """

    def __init__(
        self, http: HttpClient, url: str, headers: Optional[Mapping[str, str]] = None, retries: int = 0
    ) -> None:
        super().__init__(http, headers, retries)
        self._base = url
        self.name = mask_url(url)

    def url(self, name: str) -> str:
        """The address of a bundle with all that it needs, query included. Raises ClientError for a wrong name."""
        check_readable_name(name)
        return join_url(self._base, quote(name, safe=_UNESCAPED))

    def address(self, name: str) -> str:
        return mask_url(self.url(name))

    def fetch(self, name: str, sink: Optional[IO[bytes]] = None, max_size: Optional[int] = None) -> Optional[Stored]:
        url = self.url(name)
        receiver = Receiver(name, self.name, sink, max_size)
        answer = self._download(url, receiver)
        if answer.status in GONE:
            return None
        if answer.status != 200:
            raise self._refused("read", "GET", url, answer)
        if looks_like_html(answer.headers.get("Content-Type", ""), answer.content):
            raise web_page(self.name, "GET", url)
        return receiver.stored(answer.seconds)

    def look(self) -> Writable:
        url = join_url(self._base, "")
        answer = self._repeated("OPTIONS", url, lambda: self._http.request("OPTIONS", url, headers=self._headers))
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

    def _write(self, name: str, path: str, size: int) -> bool:
        url = self.url(name)
        headers = {
            **self._headers,
            "Content-Type": "application/zip",
            "Content-Length": str(size),
            "If-None-Match": "*",
        }
        tries = 0
        with open(path, "rb") as handle:

            def once() -> Answer:
                nonlocal tries
                tries += 1
                handle.seek(0)
                return self._http.request("PUT", url, headers=headers, body=handle)

            answer = self._repeated("PUT", url, once)
        if answer.status == 412:  # what is there now decides; after a repeated try it may well be our own
            return tries > 1
        if answer.status not in (200, 201, 202, 204):
            raise self._refused("write", "PUT", url, answer)
        if answer.is_html and answer.status == 200:
            raise web_page(self.name, "PUT", url)
        return True

    def _delete(self, name: str) -> bool:
        try:
            removed = self._http.request("DELETE", self.url(name), headers=self._headers)
        except Unreachable:
            return False
        return removed.status in (200, 202, 204) or removed.status in GONE

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
        return "store-forbidden", "does not accept the credentials", _CREDENTIALS
    if status == 403 and purpose == "read":
        return "store-forbidden", "forbids reading", _CREDENTIALS
    if purpose == "write":
        table = {
            403: "Give credentials that may write, or allow PUT in this folder.",
            405: "Allow PUT in this folder (nginx: dav_methods PUT DELETE), or give the address for uploads.",
            501: "Give the address of a store that takes PUT.",
        }
        if status in table:
            return "store-read-only", "is read-only", table[status]
        if status == 413:
            return "store-limit", "takes no file of this size", "Raise its limit (nginx: client_max_body_size)."
        if status == 507:
            return "store-limit", "is full", "Make room in the store."
        if status in (404, 409):
            return "store-unreachable", "has no such folder", "Create the folder, or correct the address."
        if 300 <= status < 400:
            return "store-unreachable", "redirects uploads", "Give the address that takes uploads itself."
    return "store-unreachable", f"could not be {'read' if purpose == 'read' else 'written'}", "Look into its log."
