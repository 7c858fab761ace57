# Copyright (c) 2026 tyk.upgrade contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""A stand-in for mserv: the answers of its versions 1.0.1 and 1.1.0, held against the real ones (test_mserv.py)."""

from __future__ import annotations

import io
import json
import time
import uuid
import zipfile
from email.parser import BytesParser
from typing import Any, Dict, Optional, Tuple

from ansible_collections.tyk.upgrade.tests.unit.plugins.modules.servers import Reply, Request, Server, json_reply

NO_RECORD = "get mw by id error: mongo: no documents in result"


def payload(status: int, content: Any, problem: str = "") -> Reply:
    return json_reply(status, {"Payload": content, "Status": "error" if problem else "ok", "Error": problem})


class MservServer(Server):
    """Takes bundles by form upload, gives them ids, and starts its process anew after each."""

    def __init__(self, version: str = "1.1.0", api_key: str = "") -> None:
        self.version, self.api_key = version, api_key
        self.records: Dict[str, Dict[str, Any]] = {}
        self.bundles: Dict[str, bytes] = {}
        #: Seconds for which it hangs up after an upload.
        self.restart = 0.2
        self.away_until = 0.0
        self.restarts = 0
        self.forge = lambda request: None
        super().__init__()

    def answer(self, request: Request) -> Optional[Reply]:
        if time.monotonic() < self.away_until:
            return None
        if self.api_key and self.api_key not in (request.headers.get("x-api-key"), request.query.get("api_key")):
            return 403, {"Content-Type": "text/plain"}, b"Attempted administrative access with invalid key"
        forged: Optional[Reply] = self.forge(request)
        return forged if forged is not None else self.route(request)

    def route(self, request: Request) -> Optional[Reply]:
        parts = request.path.strip("/").split("/")
        if request.path == "/health":
            return payload(200, {"HTTPStarted": True, "GRPCStarted": False})
        if parts[:2] != ["api", "mw"]:
            return 404, {"Content-Type": "text/plain; charset=utf-8"}, b"404 page not found\n"
        rest, method = parts[2:], request.method
        if rest == ["master", "all"] and method == "GET":
            return payload(200, [record for record in self.records.values() if record["Active"]])
        if len(rest) == 2 and rest[0] == "bundle" and method == "GET":
            return self.serve(rest[1])
        if not rest and method == "POST":
            return self.add(request)
        if len(rest) == 1 and method == "GET":
            record = self.records.get(rest[0])
            return payload(200, record) if record else payload(500, None, NO_RECORD)
        if len(rest) == 1 and method == "DELETE":
            return self.remove(rest[0])
        return 405, {}, b""

    def serve(self, identifier: str) -> Optional[Reply]:
        record = self.records.get(identifier)
        if record is None:
            return payload(500, None, NO_RECORD)
        if record["Manifest"] is None:
            return None  # it falls over the missing manifest and drops the connection
        return 200, {"Content-Type": "application/zip"}, self.bundles[identifier]

    def add(self, request: Request) -> Reply:
        try:
            fields, content = form_of(request)
        except ValueError as problem:
            return payload(500, None, str(problem))
        kind = content_type(content)
        if kind == "application/octet-stream":
            return payload(
                415, None, "the generic 'application/octet-stream' MIME type was detected which is unsupported"
            )
        if kind != "application/zip":
            return payload(422, None, f"uploaded file was not of 'application/zip' MIME type: {kind}")
        manifest: Optional[Dict[str, Any]] = None
        if fields.get("store_only") != "true":
            try:
                manifest = self.unpack(content)
            except (zipfile.BadZipFile, KeyError, ValueError) as problem:
                return payload(500, None, f"error storing bundle zip: {problem}")
            if self.version == "1.0.1" and len(manifest.get("file_list") or []) != 1:
                return payload(500, None, "only one plugin file file allowed per bundle")
        identifier = str(uuid.uuid4())
        self.bundles[identifier] = content
        self.records[identifier] = {
            "Added": "2026-01-01T00:00:00Z",
            "Manifest": manifest,
            "APIID": fields.get("api_id", ""),
            "OrgID": "",
            "UID": identifier,
            "BundleRef": f"file:///filestore/mserv-plugin-{identifier}/bundle.zip",
            "Plugins": [],
            "Active": True,
            "DownloadOnly": manifest is None,
        }
        if manifest is not None:
            self.begin_restart()
        return payload(200, {"BundleID": identifier})

    def begin_restart(self) -> None:
        self.restarts += 1
        self.away_until = time.monotonic() + self.restart

    def unpack(self, content: bytes) -> Dict[str, Any]:
        with zipfile.ZipFile(io.BytesIO(content)) as archive:
            found: Dict[str, Any] = json.loads(archive.read("manifest.json"))
            for name in found.get("file_list") or []:
                archive.getinfo(name)
        return found

    def remove(self, identifier: str) -> Reply:
        if self.records.pop(identifier, None) is None:
            return payload(500, None, NO_RECORD)
        self.begin_restart()
        return payload(200, {"BundleID": identifier})


def content_type(content: bytes) -> str:
    """What Go's net/http makes of the first bytes, as far as it matters here."""
    if content.startswith(b"PK\x03\x04"):
        return "application/zip"
    plain = all(byte >= 0x20 or byte in b"\t\n\x0c\r\x1b" for byte in content[:512])
    return "text/plain; charset=utf-8" if plain else "application/octet-stream"


def form_of(request: Request) -> Tuple[Dict[str, str], bytes]:
    """The fields of a multipart form, and the file in it. Raises ValueError with what Go would say."""
    kind = request.headers.get("content-type", "")
    if not kind.startswith("multipart/form-data"):
        raise ValueError("request Content-Type isn't multipart/form-data")
    message = BytesParser().parsebytes(b"Content-Type: " + kind.encode() + b"\r\n\r\n" + request.body)
    fields: Dict[str, str] = {}
    content: Optional[bytes] = None
    for part in message.walk():
        name = part.get_param("name", header="content-disposition")
        if name == "uploadfile":
            content = part.get_payload(decode=True)
        elif name:
            fields[str(name)] = part.get_payload(decode=True).decode()
    if content is None:
        raise ValueError("http: no such file")
    return fields, content
