# Copyright (c) 2026 tyk.upgrade contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The bundle store of Tyk Cloud and of self-run mserv.

mserv chooses the names itself: an upload is answered with an id, and that id is what API definitions have to name. So
the same bundle is recognised by its content. (mserv v1.1.0: http_funcs/endpoints.go, http_funcs/api_handlers.go,
api/api.go.)
"""

from __future__ import annotations

import io
import os
import re
import time
import uuid
from typing import IO, Any, Collection, Dict, Iterator, List, Mapping, Optional, Tuple
from urllib.parse import quote, urlsplit, urlunsplit

from ansible_collections.tyk.upgrade.plugins.module_utils._clients.bundle_archive import (
    digest_of_path,
    manifest_of,
    read,
)
from ansible_collections.tyk.upgrade.plugins.module_utils._clients.bundle_store import (
    PROBE_CONTENT,
    Published,
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

#: An upload makes mserv start its process anew; it answers again within seconds.
SETTLE_SECONDS = 60.0
_PAUSE = 0.5
_MAX_UNPACKED = 4 << 30
#: The end of an address that a user may have copied from the gateway's bundle_base_url.
_API = re.compile(r"/api/mw(/bundle)?/?$")
_UNKNOWN = ("no documents in result", "not found")
_ONE_FILE = "only one plugin file"
_CREDENTIALS = "Correct api_key; the API needs an API key of a user who may manage plugins."


class MservStore(WebStore):
    """An mserv. url is its base address, such as https://host/mserv; a query in it is sent with every request."""

    assigns_names = True
    unreachable_remedy = "Check its address and its log. It cannot hand out what was uploaded with store_only."

    def __init__(
        self,
        http: HttpClient,
        url: str,
        api_key: Optional[str] = None,
        headers: Optional[Mapping[str, str]] = None,
        retries: int = 0,
        settle: float = SETTLE_SECONDS,
    ) -> None:
        parts = urlsplit(url)
        self._base = urlunsplit((parts.scheme, parts.netloc, _API.sub("", parts.path), parts.query, ""))
        super().__init__(http, {**(headers or {}), **({"X-Api-Key": api_key} if api_key else {})}, retries)
        self._settle = settle
        self.name = mask_url(self._base)

    def address(self, name: str) -> str:
        return mask_url(self._bundle_url(name))

    def fetch(self, name: str, sink: Optional[IO[bytes]] = None, max_size: Optional[int] = None) -> Optional[Stored]:
        url = self._bundle_url(name)
        receiver = Receiver(name, self.name, sink, max_size)
        answer = self._download(url, receiver)
        content_type = answer.headers.get("Content-Type", "")
        if answer.status == 200 and not content_type.startswith("application/json"):
            if looks_like_html(content_type, answer.content):
                raise web_page(self.name, "GET", url)
            return receiver.stored(answer.seconds)
        if answer.status == 404 or (_complaint(answer) and any(said in _error_of(answer) for said in _UNKNOWN)):
            return None
        raise self._refused("could not hand it out", "GET", url, answer)

    def look(self) -> Writable:
        self._records()
        return Writable(known=False)

    def probe(self) -> Writable:
        """Prove that uploads get through: a text is refused by mserv itself, before it stores anything or restarts."""
        url = self._url("api", "mw")
        answer = self._upload(url, "probe.txt", io.BytesIO(PROBE_CONTENT), len(PROBE_CONTENT))
        if answer.status in (415, 422) and _is_payload(answer):
            return Writable(known=True)
        raise self._refused("did not look at an upload", "POST", url, answer)

    def candidates(self, files: Collection[str]) -> List[str]:
        return [
            identifier
            for identifier, manifest in self._served()
            if sorted(str(name) for name in manifest.get("file_list") or []) == sorted(files)
        ]

    def held(self, name: str, path: str) -> Optional[str]:
        """The id under which this very content is there already, or None.

        Raises ClientError: store-conflict when the name is an id already, and that of other content only.
        """
        wanted = manifest_of(path).get("checksum")
        sha256 = digest_of_path(path)[0]
        conflict: Optional[Stored] = None
        for identifier, manifest in self._served():
            if identifier == name or manifest.get("checksum") == wanted:
                stored = self.fetch(identifier)
                if stored is not None and stored.sha256 == sha256:
                    return identifier
                conflict = stored if identifier == name else conflict
        if conflict is not None:
            raise self._conflict(name, conflict)
        return None

    def publish(self, name: str, path: str) -> Published:
        """Upload a bundle unless the same one is there, and read it back under the id that mserv gave it."""
        started = time.monotonic()
        sha256, size = digest_of_path(path)
        identifier = self.held(name, path)
        changed = identifier is None
        if identifier is None:
            identifier = self._add(name, path, size)
            self._wait_for(identifier, sha256, size)
        return Published(changed, identifier, sha256, size, time.monotonic() - started)

    def _add(self, name: str, path: str, size: int) -> str:
        wrong = [one for one in read(path, _MAX_UNPACKED, name).findings if one.severity == "error"]
        if wrong:  # mserv would take it: it logs a wrong checksum and goes on (v1.1.0:bundle/bundle.go)
            raise ClientError(wrong[0].code, name, wrong[0].message, wrong[0].remedy, wrong[0].source)
        url = self._url("api", "mw")
        try:
            with open(path, "rb") as handle:
                answer = self._upload(url, name, handle, size)
        except ClientError:
            found = self._after_silence(name, path)
            if found is None:
                raise
            return found
        payload = answer.json_object().get("Payload")
        identifier = payload.get("BundleID") if isinstance(payload, dict) else None
        if answer.status != 200 or _complaint(answer) or not isinstance(identifier, str) or not identifier:
            raise self._refused("did not take the bundle", "POST", url, answer)
        return identifier

    def _after_silence(self, name: str, path: str) -> Optional[str]:
        """An upload without an answer may have been taken all the same: look before anybody uploads it again."""
        time.sleep(_PAUSE)
        try:
            return self.held(name, path)
        except ClientError:
            return None

    def _wait_for(self, identifier: str, sha256: str, size: int) -> None:
        deadline = time.monotonic() + self._settle
        while True:
            try:
                self._read_back(identifier, sha256, size)
                return
            except ClientError:
                if time.monotonic() >= deadline:
                    raise
            time.sleep(_PAUSE)

    def _conflict(self, name: str, stored: Stored) -> ClientError:
        return ClientError(
            "store-conflict",
            name,
            f"The bundle {name} in the store {self.name} (sha256 {stored.sha256[:12]}..., {stored.size} bytes) is not "
            "the same to the byte as the one to publish; nothing was uploaded.",
            f"Build it where it was built before. Or, if no API definition names {name}, delete it there "
            f"(DELETE {mask_url(self._url('api', 'mw', name))}) and run again: it gets a new name then.",
        )

    def _served(self) -> Iterator[Tuple[str, Dict[str, Any]]]:
        """The id and the manifest of each bundle that gateways can fetch."""
        for record in self._records():
            manifest, identifier = record.get("Manifest"), str(record.get("UID") or "")
            # without a manifest it cannot be served (v1.1.0:api/api.go, FetchAndServeBundleFile)
            if identifier and isinstance(manifest, dict) and record.get("Active") and not record.get("DownloadOnly"):
                yield identifier, manifest

    def _records(self) -> List[Dict[str, Any]]:
        url = self._url("api", "mw", "master", "all")
        answer = self._repeated("GET", url, lambda: self._http.request("GET", url, headers=self._headers))
        if answer.status != 200 or not _is_payload(answer) or _complaint(answer):
            raise self._refused("does not list its bundles", "GET", url, answer)
        listed = answer.json_object().get("Payload")
        return [record for record in listed if isinstance(record, dict)] if isinstance(listed, list) else []

    def _upload(self, url: str, name: str, content: IO[bytes], size: int) -> Answer:
        form = Multipart("uploadfile", name, content, size)
        headers = {**self._headers, "Content-Type": form.content_type}
        try:
            return self._http.request("POST", url, headers=headers, body=form)  # type: ignore[arg-type]
        except Unreachable as problem:
            raise self._unreachable("POST", url, problem) from problem

    def _url(self, *segments: str) -> str:
        return join_url(self._base, *segments)

    def _bundle_url(self, name: str) -> str:
        check_readable_name(name)
        return self._url("api", "mw", "bundle", quote(name, safe=""))

    def _refused(self, what: str, method: str, url: str, answer: Answer) -> ClientError:
        if answer.is_html and answer.status == 200:
            return web_page(self.name, method, url)
        said = _complaint(answer) or answer.gist()
        code, remedy, source = "store-unreachable", "Look into the log of mserv.", ""
        if answer.status in (401, 403):
            code, remedy = "store-forbidden", _CREDENTIALS
        elif answer.status == 404 or (answer.status == 200 and not _is_payload(answer)):
            remedy = "Give the address of mserv, which ends before /api/mw (on Tyk Cloud in /mserv)."
        elif _ONE_FILE in _error_of(answer) or _ONE_FILE in said:
            code, source = "store-limit", "mserv v1.0.1:api/api.go, lifted in v1.1.0"
            remedy = "Upgrade mserv to 1.1.0 or later: earlier ones take bundles with one file only."
        elif answer.status in (413, 507):
            code, remedy = "store-limit", "Raise the limit for uploads in front of mserv, or make room."
        elif answer.status in (415, 422):
            code, remedy = "bundle-invalid", "Give a zip that bundle_build made."
        return ClientError(
            code,
            self.name,
            f"The bundle store {self.name} {what}: {where(method, url)} answered {answer.status} with {said}.",
            remedy,
            source,
        )


class Multipart:
    """A form with one file, read piece by piece as it is sent, so that a bundle is never held in memory."""

    def __init__(self, field: str, file_name: str, content: IO[bytes], size: int) -> None:
        boundary = uuid.uuid4().hex
        safe = re.sub(r"[^A-Za-z0-9._-]", "_", os.path.basename(file_name)) or "bundle.zip"
        head = (
            f'--{boundary}\r\nContent-Disposition: form-data; name="{field}"; filename="{safe}"\r\n'
            "Content-Type: application/zip\r\n\r\n"
        ).encode("ascii")
        tail = f"\r\n--{boundary}--\r\n".encode("ascii")
        self.content_type = f"multipart/form-data; boundary={boundary}"
        self._parts: List[IO[bytes]] = [io.BytesIO(head), content, io.BytesIO(tail)]
        self._length = len(head) + size + len(tail)

    def __len__(self) -> int:
        return self._length

    def read(self, size: int = -1) -> bytes:
        """The next piece, empty at the end."""
        while self._parts:
            piece = self._parts[0].read(size)
            if piece:
                return piece
            self._parts.pop(0)
        return b""


def _is_payload(answer: Answer) -> bool:
    return isinstance(answer.json_object().get("Status"), str)


def _error_of(answer: Answer) -> str:
    """The whole error text of mserv, in one line."""
    return " ".join(str(answer.json_object().get("Error") or "").split())


def _complaint(answer: Answer) -> str:
    """What mserv says went wrong, whatever the HTTP status; empty when nothing did. Short enough for a sentence."""
    status = answer.json_object().get("Status")
    if not isinstance(status, str) or status.lower() == "ok":
        return ""
    said = _error_of(answer)
    return f"the status {status!r} ({said[:200]})" if said else f"the status {status!r}"
