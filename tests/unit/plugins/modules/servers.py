# Copyright (c) 2026 tyk.upgrade contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Real HTTP servers on loopback that behave like the systems the HTTP modules speak to."""

from __future__ import annotations

import copy
import json
import threading
import time
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any, Callable, Dict, List, Optional, Tuple
from urllib.parse import parse_qs, unquote, urlsplit

Reply = Tuple[int, Dict[str, str], bytes]


def json_reply(status: int, content: Any) -> Reply:
    return status, {"Content-Type": "application/json"}, json.dumps(content).encode("utf-8")


class Request:
    """One request as the server saw it."""

    def __init__(self, method: str, target: str, headers: Dict[str, str], body: bytes) -> None:
        parts = urlsplit(target)
        self.method, self.target, self.headers, self.body = method, target, headers, body
        self.path = unquote(parts.path)
        self.query = {name: values[-1] for name, values in parse_qs(parts.query).items()}


class Server:
    """A threaded server; subclasses say in `answer` what comes back. Remembers every request."""

    def __init__(self) -> None:
        self.requests: List[Request] = []
        self.lock = threading.Lock()
        self.delay = 0.0
        owner = self

        class Handler(BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"
            disable_nagle_algorithm = True

            def log_message(self, format: str, *args: Any) -> None:
                pass

            def handle_any(self) -> None:
                length = int(self.headers.get("Content-Length") or 0)
                body = self.rfile.read(length)
                headers = {name.lower(): value for name, value in self.headers.items()}
                request = Request(self.command, self.path, headers, body)
                time.sleep(owner.delay)
                with owner.lock:
                    owner.requests.append(request)
                    reply = owner.answer(request)
                if reply is None:  # hang up without an answer
                    self.close_connection = True
                    return
                status, sent, content = reply
                self.send_response(status)
                for name, value in sent.items():
                    self.send_header(name, value)
                if status not in (204, 304):
                    self.send_header("Content-Length", str(len(content)))
                self.end_headers()
                if self.command != "HEAD" and status not in (204, 304):
                    self.wfile.write(content)

            do_GET = do_PUT = do_DELETE = do_OPTIONS = do_POST = do_HEAD = handle_any

        self._server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self._server.daemon_threads = True
        self.url = f"http://127.0.0.1:{self._server.server_address[1]}"
        threading.Thread(target=self._server.serve_forever, kwargs={"poll_interval": 0.02}, daemon=True).start()

    def answer(self, request: Request) -> Optional[Reply]:
        raise NotImplementedError

    def count(self, method: str, fragment: str = "") -> int:
        with self.lock:
            return sum(1 for request in self.requests if request.method == method and fragment in request.path)

    def close(self) -> None:
        self._server.shutdown()
        self._server.server_close()

    def __enter__(self) -> Server:
        return self

    def __exit__(self, *unused: object) -> None:
        self.close()


class FixedServer(Server):
    """Answers everything by one function."""

    def __init__(self, function: Callable[[Request], Optional[Reply]]) -> None:
        self.function = function
        super().__init__()

    def answer(self, request: Request) -> Optional[Reply]:
        return self.function(request)


class GatewayServer(Server):
    """A gateway's control endpoints, and APIs by path."""

    def __init__(self, version: str = "5.8.9") -> None:
        self.version = version
        self.status = 200
        self.details: Dict[str, str] = {"redis": "pass", "rpc": "pass"}
        self.ready: Optional[int] = 200
        self.secret = "gateway-secret"
        self.reloads: List[str] = []
        self.apis: Dict[str, Callable[[Request], Reply]] = {}
        self.on_hello: Callable[[int], None] = lambda number: None
        self.hellos = 0
        super().__init__()

    def answer(self, request: Request) -> Optional[Reply]:
        if request.path == "/hello":
            self.hellos += 1
            self.on_hello(self.hellos)
            content: Dict[str, Any] = {"status": "pass", "version": self.version, "description": "Tyk GW"}
            if self.details:
                content["details"] = {
                    name: {"status": status, "componentType": "system"} for name, status in self.details.items()
                }
            return json_reply(self.status, content)
        if request.path == "/ready" and self.ready is not None:
            return json_reply(self.ready, {"status": "pass" if self.ready == 200 else "fail"})
        if request.path.startswith("/tyk/reload"):
            if request.headers.get("x-tyk-authorization") != self.secret:
                return json_reply(
                    403, {"status": "error", "message": "Attempted administrative access with invalid key!"}
                )
            self.reloads.append(request.target)
            return json_reply(200, {"status": "ok", "message": ""})
        for path, function in self.apis.items():
            if request.path.startswith(path):
                return function(request)
        return 404, {"Content-Type": "text/plain"}, b"404 page not found\n"


def classic(identifier: str, bundle: str, **fields: Any) -> Dict[str, Any]:
    definition = {
        "id": f"db-{identifier}",
        "api_id": identifier,
        "name": identifier,
        "active": True,
        "is_oas": False,
        "proxy": {"listen_path": f"/{identifier}/"},
        "custom_middleware_bundle": bundle,
        "updated_at": "2026-01-01T00:00:00Z",
        **fields,
    }
    return {
        "api_model": {},
        "api_definition": definition,
        "hook_references": [{"event_name": "QuotaExceeded"}],
        "is_site": False,
        "sort_by": 3,
        "user_owners": ["owner-1"],
        "user_group_owners": ["group-1"],
    }


def oas(identifier: str, bundle: str) -> Dict[str, Any]:
    gateway: Dict[str, Any] = {
        "info": {"id": identifier, "dbId": f"db-{identifier}", "name": identifier, "state": {"active": True}},
        "server": {"listenPath": {"value": f"/{identifier}/", "strip": True}},
        "middleware": {
            "global": {"pluginConfig": {"driver": "goplugin", "bundle": {"enabled": True, "path": bundle}}},
        },
    }
    return {
        "openapi": "3.0.3",
        "info": {"title": identifier, "version": "1.0.0"},
        "paths": {},
        "x-tyk-api-gateway": gateway,
    }


class DashboardServer(Server):
    """What the Dashboard API does with API definitions: pages of ten, wrapper PUT, OAS PUT, token check."""

    def __init__(self) -> None:
        self.token = "dashboard-token"
        self.page_size = 10
        self.items: Dict[str, Dict[str, Any]] = {}
        self.documents: Dict[str, Dict[str, Any]] = {}
        self.writes: List[str] = []
        self.before_put: Callable[[str], Optional[Reply]] = lambda identifier: None
        self.after_put: Callable[[str], Optional[Reply]] = lambda identifier: None
        self.forge: Callable[[Request], Optional[Reply]] = lambda request: None
        self.clock = 0
        super().__init__()

    def add(self, identifier: str, bundle: str = "", **fields: Any) -> None:
        self.items[identifier] = classic(identifier, bundle, **fields)

    def add_oas(self, identifier: str, bundle: str = "") -> None:
        self.items[identifier] = classic(identifier, bundle, is_oas=True)
        self.documents[identifier] = oas(identifier, bundle)

    def bundle(self, identifier: str) -> str:
        if identifier in self.documents:
            extension = self.documents[identifier]["x-tyk-api-gateway"]
            return str(extension["middleware"]["global"]["pluginConfig"]["bundle"]["path"])
        return str(self.items[identifier]["api_definition"]["custom_middleware_bundle"])

    def bundles(self) -> Dict[str, str]:
        with self.lock:
            return {identifier: self.bundle(identifier) for identifier in self.items}

    def answer(self, request: Request) -> Optional[Reply]:
        forged = self.forge(request)
        if forged is not None:
            return forged
        if request.headers.get("authorization") != self.token:
            return json_reply(401, {"Status": "Error", "Message": "Not authorised", "Meta": None})
        if request.path == "/api/apis" and request.method == "GET":
            return self.page(request)
        kind, _slash, identifier = request.path.rpartition("/")
        if identifier not in self.items or kind not in ("/api/apis", "/api/apis/oas"):
            return json_reply(404, {"Status": "Error", "Message": "API not found", "Meta": None})
        if request.method == "GET":
            return self.get(kind, identifier)
        return self.put(kind, identifier, json.loads(request.body))

    def page(self, request: Request) -> Reply:
        number = int(request.query.get("p", "1"))
        pages = max(1, -(-len(self.items) // self.page_size))
        first = (max(number, 1) - 1) * self.page_size
        items = list(self.items.values())[first : first + self.page_size]
        return json_reply(200, {"apis": items, "pages": pages})

    def get(self, kind: str, identifier: str) -> Reply:
        if kind.endswith("oas"):
            if identifier not in self.documents:
                return json_reply(
                    400, {"Status": "Error", "Message": "the requested API definition is in Tyk classic format"}
                )
            return json_reply(200, self.documents[identifier])
        return json_reply(200, self.items[identifier])

    def put(self, kind: str, identifier: str, body: Dict[str, Any]) -> Reply:
        early = self.before_put(identifier)
        if early is not None:
            return early
        self.clock += 1
        stamp = f"2026-01-02T00:00:{self.clock % 60:02d}Z"
        if kind.endswith("oas"):
            body["x-tyk-api-gateway"]["info"]["updatedAt"] = stamp
            self.documents[identifier] = copy.deepcopy(body)
        else:
            if identifier in self.documents:
                return json_reply(400, {"Status": "Error", "Message": "the requested API is in OAS format"})
            if body["api_definition"]["api_id"] != identifier:
                return json_reply(400, {"Status": "Error", "Message": "id mismatch"})
            # What the wrapper leaves out is lost, as on a real Dashboard.
            body["api_definition"]["updated_at"] = stamp
            self.items[identifier] = {"api_model": {}, **copy.deepcopy(body)}
        self.writes.append(identifier)
        late = self.after_put(identifier)
        return late if late is not None else json_reply(200, {"Status": "OK", "Message": "API updated", "Meta": ""})


class StoreServer(Server):
    """A folder that takes PUT, GET and DELETE, as nginx with its WebDAV module does."""

    def __init__(self) -> None:
        self.files: Dict[str, bytes] = {}
        self.refuse: Dict[str, int] = {}
        self.login_page = False
        self.credentials: Optional[str] = None
        self.allow: Optional[str] = None
        self.corrupt = False
        super().__init__()

    def answer(self, request: Request) -> Optional[Reply]:
        if self.login_page:
            return 200, {"Content-Type": "text/html"}, b"<!DOCTYPE html><html><form>Please log in</form></html>"
        if self.credentials and request.headers.get("authorization") != self.credentials:
            return 401, {"WWW-Authenticate": "Basic"}, b"401 Authorization Required"
        if request.method in self.refuse:
            return self.refuse[request.method], {"Content-Type": "text/plain"}, b"refused"
        if request.method == "OPTIONS":
            return (200, {"Allow": self.allow}, b"") if self.allow else (405, {}, b"")
        if request.method == "PUT":
            if request.headers.get("if-none-match") == "*" and request.path in self.files:
                return 412, {}, b""
            self.files[request.path] = request.body[:-1] if self.corrupt else request.body
            return 201, {}, b""
        if request.method == "DELETE":
            return (204, {}, b"") if self.files.pop(request.path, None) is not None else (404, {}, b"")
        if request.path not in self.files:
            return 404, {"Content-Type": "text/html"}, b"<html><h1>404 Not Found</h1></html>"
        return 200, {"Content-Type": "application/zip"}, self.files[request.path]
