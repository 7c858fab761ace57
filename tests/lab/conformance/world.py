# Copyright (c) 2026 tyk.upgrade contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The world around one gateway: Redis, an upstream, a bundle server, a control plane; all on the loopback."""

from __future__ import annotations

import contextlib
import hashlib
import http.server
import io
import itertools
import json
import os
import shutil
import signal
import socket
import subprocess
import threading
import time
import urllib.error
import urllib.parse
import urllib.request
import uuid
import zipfile
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import redis
import requests
from subject import Subject

SECRET = "conformance-secret"
ORG = "5e9d9544a1dcd60001d0ed20"
RPC_KEY = "conformance-rpc-key"


# Below what the kernel gives to outgoing connections, and another place for each of pytest-xdist's workers.
_WORKER = int(os.environ.get("PYTEST_XDIST_WORKER", "gw0").removeprefix("gw")) % 12
_PORTS = itertools.cycle(range(23000 + 700 * _WORKER + os.getpid() % 300, 23000 + 700 * (_WORKER + 1)))


def free_port() -> int:
    for port in _PORTS:
        with socket.socket() as probe, contextlib.suppress(OSError):
            probe.bind(("127.0.0.1", port))
            return port
    raise AssertionError("no free port")


def wait_for(what: str, condition: Callable[[], Any], timeout: float = 10.0, pause: float = 0.05) -> Any:
    """The first true value of ``condition``; an assertion that names ``what`` when there is none in time."""
    deadline = time.monotonic() + timeout
    while True:
        value = condition()
        if value:
            return value
        assert time.monotonic() < deadline, f"waited {timeout:g} s in vain for {what}"
        time.sleep(pause)


class Server:
    """An HTTP server in a thread."""

    def __init__(self, handler: type[http.server.BaseHTTPRequestHandler]) -> None:
        class Quiet(http.server.ThreadingHTTPServer):
            daemon_threads = True
            request_queue_size = 128
            owner = self

            def handle_error(self, request: Any, client_address: Any) -> None:
                pass

        self.http = Quiet(("127.0.0.1", 0), handler)
        self.url = f"http://127.0.0.1:{self.http.server_address[1]}"
        threading.Thread(target=self.http.serve_forever, args=(0.05,), daemon=True).start()

    def close(self) -> None:
        self.http.shutdown()
        self.http.server_close()


class _Quiet(http.server.BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    server: Any

    def log_message(self, *args: Any) -> None:
        pass

    def answer(self, body: bytes, status: int = 200) -> None:
        self.send_response(status)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)


class Upstream(Server):
    """Answers with the path and the headers it got; ``?ms=`` makes it slow."""

    def __init__(self) -> None:
        class Handler(_Quiet):
            def do_GET(self) -> None:
                self.server.owner.requests += 1
                query = urllib.parse.parse_qs(urllib.parse.urlsplit(self.path).query)
                time.sleep(int(query.get("ms", ["0"])[0]) / 1000)
                self.answer(json.dumps({"path": self.path, "headers": dict(self.headers)}).encode())

        self.requests = 0
        super().__init__(Handler)


class Bundles(Server):
    """A bundle server that keeps what is put into ``files`` and counts who asks for it."""

    def __init__(self) -> None:
        class Handler(_Quiet):
            def do_GET(self) -> None:
                owner: Bundles = self.server.owner
                name = urllib.parse.urlsplit(self.path).path.lstrip("/")
                owner.asked.append((name, time.monotonic()))
                if owner.delays:
                    seconds = owner.delays.pop(0)
                    self.send_response(200)
                    self.send_header("Content-Length", str(len(owner.files[name])))
                    self.end_headers()
                    self.wfile.write(owner.files[name][:1])
                    self.wfile.flush()
                    time.sleep(seconds)
                    with contextlib.suppress(OSError):
                        self.wfile.write(owner.files[name][1:])
                elif name in owner.files:
                    self.answer(owner.files[name])
                else:
                    self.answer(b"no such bundle", 404)

        self.files: dict[str, bytes] = {}
        self.asked: list[tuple[str, float]] = []
        self.delays: list[float] = []
        super().__init__(Handler)

    def requests_for(self, name: str) -> list[float]:
        return [moment for asked, moment in self.asked if asked == name]


def hook(symbol: str, path: str = "plugin.so") -> dict[str, Any]:
    return {"name": symbol, "path": path, "require_session": False, "raw_body_only": False}


PRE = {"driver": "goplugin", "pre": [hook("Pre")]}
AUTH = {"driver": "goplugin", "auth_check": hook("CheckKey")}


def manifest(
    files: Mapping[str, bytes], middleware: dict[str, Any], checksum: str | None = None, signature: str = ""
) -> dict[str, Any]:
    if checksum is None:
        checksum = hashlib.md5(b"".join(files.values())).hexdigest()
    return {"file_list": list(files), "custom_middleware": middleware, "checksum": checksum, "signature": signature}


def bundle(
    files: Mapping[str, bytes], middleware: dict[str, Any], checksum: str | None = None, signature: str = ""
) -> bytes:
    """A bundle as ``tyk bundle build`` makes it."""
    return zipped({**files, "manifest.json": json.dumps(manifest(files, middleware, checksum, signature)).encode()})


def zipped(files: Mapping[str, bytes]) -> bytes:
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w", zipfile.ZIP_DEFLATED, compresslevel=1) as archive:
        for name, data in files.items():
            archive.writestr(name, data)
    return buffer.getvalue()


def classic(name: str, upstream: str, bundle_name: str = "", **more: Any) -> dict[str, Any]:
    """A classic API definition, keyless unless ``more`` says otherwise."""
    return {
        "id": hashlib.md5(name.encode()).hexdigest()[:24],
        "api_id": name,
        "org_id": ORG,
        "name": name,
        "slug": name,
        "active": True,
        "use_keyless": True,
        "auth": {"auth_header_name": "Authorization"},
        "auth_configs": {"authToken": {"auth_header_name": "Authorization"}},
        "definition": {"location": "header", "key": "x-api-version"},
        "version_data": {
            "not_versioned": True,
            "versions": {"Default": {"name": "Default", "use_extended_paths": True, "paths": {}}},
        },
        "proxy": {"listen_path": f"/{name}/", "target_url": upstream, "strip_listen_path": True},
        "custom_middleware_bundle": bundle_name,
        "custom_middleware": {"driver": "goplugin"} if bundle_name else {},
        "disable_rate_limit": True,
        "disable_quota": True,
        **more,
    }


PROTECTED = {"use_keyless": False, "use_go_plugin_auth": True, "custom_plugin_auth_enabled": True}


class Redis:
    """A Redis of the gateway's own."""

    def __init__(self, folder: Path) -> None:
        self.port = free_port()
        self.folder = folder
        self.client = redis.Redis(port=self.port)
        self.start()

    def start(self) -> None:
        command = [
            "redis-server",
            "--port",
            str(self.port),
            "--save",
            "",
            "--dir",
            str(self.folder),
            "--bind",
            "127.0.0.1",
        ]
        self.process = subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        wait_for("Redis", self._answers)

    def _answers(self) -> bool:
        with contextlib.suppress(redis.RedisError):
            return bool(self.client.ping())
        return False

    def stop(self) -> None:
        self.process.kill()
        self.process.wait()


class ControlPlane:
    """The lab's control plane: RPC for gateways, administration for us."""

    def __init__(self, folder: Path) -> None:
        program = os.environ.get("CONFORMANCE_CONTROLPLANE")
        assert program, "no control plane: set CONFORMANCE_CONTROLPLANE, or GO to build it"
        self.rpc, self.admin, self.dashboard = (f"127.0.0.1:{free_port()}" for dummy in range(3))
        self.command = [
            *(program, "-dashboard", self.dashboard, "-admin", self.admin, "-rpc", self.rpc),
            *("-data", str(folder), "-org", ORG, "-rpc-api-key", RPC_KEY),
            # Shorter than any call_timeout here: a poll that the gateway gives up is a change it never hears of.
            *("-poll", "1s"),
        ]
        self.start()

    def start(self) -> None:
        self.process = subprocess.Popen(self.command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        wait_for("the control plane", lambda: get(f"http://{self.admin}/health").status == 200)

    def stop(self) -> None:
        self.process.kill()
        self.process.wait()

    def freeze(self) -> None:
        """It accepts connections from now on, and never answers."""
        self.process.send_signal(signal.SIGSTOP)

    def thaw(self) -> None:
        self.process.send_signal(signal.SIGCONT)

    def serve(self, *definitions: dict[str, Any]) -> None:
        apis = [{"oas": one} if "openapi" in one else {"api_definition": one} for one in definitions]
        answer = requests.post(f"http://{self.admin}/seed", json={"apis": apis, "replace": True}, timeout=10)
        assert answer.status_code == 200, answer.text

    def read(self, what: str) -> Any:
        return requests.get(f"http://{self.admin}/{what}", timeout=10).json()


@dataclass(frozen=True)
class Answer:
    """What came back; status 0 when nothing did."""

    status: int
    text: str = ""
    headers: Mapping[str, str] = field(default_factory=dict)

    @property
    def upstream(self) -> dict[str, str]:
        """The headers that the upstream got."""
        got: dict[str, str] = json.loads(self.text)["headers"]
        return {name.lower(): value for name, value in got.items()}

    @property
    def mark(self) -> str:
        """Plugin path of the build that marked the request on its way, "" if none did."""
        return self.upstream.get("x-conformance-pre", "") if self.status == 200 else ""


def get(url: str, timeout: float = 10.0, /, **headers: str) -> Answer:
    request = urllib.request.Request(url, headers=headers)
    try:
        with urllib.request.urlopen(request, timeout=timeout) as response:
            return Answer(response.status, response.read().decode(), dict(response.headers))
    except urllib.error.HTTPError as error:
        return Answer(error.code, error.read().decode(errors="replace"), dict(error.headers))
    except (OSError, http.client.HTTPException):
        return Answer(0)


class Gateway:
    """The gateway under test, as a process or as a container in the host's network."""

    def __init__(self, subject: Subject, folder: Path, settings: dict[str, Any]) -> None:
        self.subject, self.folder = subject, folder
        self.port = int(settings["listen_port"])
        self.url = f"http://127.0.0.1:{self.port}"
        self.config = folder / "tyk.conf"
        self.config.write_text(json.dumps(settings))
        self.log_file = folder / "gateway.log"
        self.container = ""
        self.process: subprocess.Popen[bytes] | None = None
        self.answered = 0.0  # when it was first seen to answer

    def command(self, *arguments: str, environment: Mapping[str, str] | None = None, keep: bool = False) -> list[str]:
        if not self.subject.is_image:
            return [self.subject.gateway, *arguments]
        variables = [text for name, value in (environment or {}).items() for text in ("-e", f"{name}={value}")]
        name = ["--name", self.container] if keep else []
        where = ["-v", f"{self.folder}:{self.folder}", "-v", f"{self.subject.builds}:{self.subject.builds}:ro"]
        return [
            "docker",
            "run",
            "--rm",
            *name,
            "--network",
            "host",
            *where,
            *variables,
            self.subject.gateway,
            *arguments,
        ]

    def start(self, **environment: str) -> Gateway:
        self.container = f"conformance-{uuid.uuid4().hex[:12]}"
        command = self.command(f"--conf={self.config}", environment=environment, keep=True)
        with self.log_file.open("ab") as log:
            self.process = subprocess.Popen(
                command,
                stdout=log,
                stderr=log,
                cwd=self.folder,
                env={**os.environ, **environment},
                start_new_session=True,
            )
        return self

    def run(self, *arguments: str) -> subprocess.CompletedProcess[str]:
        """Another process of the same program, to its end."""
        command = self.command(*arguments)
        return subprocess.run(command, capture_output=True, text=True, timeout=60, cwd=self.folder, check=False)

    def signal(self, which: signal.Signals) -> None:
        if self.subject.is_image:
            subprocess.run(
                ["docker", "kill", f"--signal={which.name}", self.container], capture_output=True, check=False
            )
        elif self.process:
            self.process.send_signal(which)

    def wait(self, timeout: float = 40.0) -> int:
        assert self.process
        return self.process.wait(timeout)

    def stop(self) -> None:
        if self.process and self.process.poll() is None:
            self.signal(signal.SIGKILL)
            self.process.wait(20)

    @property
    def age(self) -> float:
        """Seconds since it first answered; what starts a container is not counted."""
        return time.monotonic() - self.answered if self.answered else 0.0

    @property
    def running(self) -> bool:
        return self.process is not None and self.process.poll() is None

    @property
    def log(self) -> str:
        return self.log_file.read_text(errors="replace")

    def said(self, text: str, timeout: float = 10.0) -> bool:
        """Whether the log says it, or does so shortly: from a container it arrives after the answers do."""
        deadline = time.monotonic() + timeout
        while text not in self.log:
            if time.monotonic() > deadline:
                return False
            time.sleep(0.05)
        return True

    def get(self, path: str, timeout: float = 10.0, /, **headers: str) -> Answer:
        answer = get(self.url + path, timeout, **headers)
        if answer.status and not self.answered:
            self.answered = time.monotonic()
        return answer

    def hello(self) -> dict[str, Any]:
        answer = self.get("/hello")
        return json.loads(answer.text) if answer.text else {}

    def serves(self, name: str, status: int = 200, timeout: float = 20.0, **headers: str) -> Answer:
        """Wait until the API answers with this status."""
        deadline = time.monotonic() + timeout
        while (answer := self.get(f"/{name}/x", **headers)).status != status:
            late = time.monotonic() > deadline
            assert not late, f"{answer.status} instead of {status} from {name} for {timeout:g} s\n{self.log[-3000:]}"
            time.sleep(0.05)
        return answer

    def reload(self) -> None:
        answer = self.get("/tyk/reload/?block=true", 60, **{"X-Tyk-Authorization": SECRET})
        assert answer.status == 200, answer


class World:
    """Everything one test needs; it ends with the test."""

    def __init__(self, subject: Subject, folder: Path) -> None:
        self.subject, self.folder = subject, folder
        self.apis = folder / "apps"
        self.middleware = folder / "middleware"
        for one in (self.apis, self.middleware / "bundles", folder / "policies", folder / "redis"):
            one.mkdir(parents=True)
        self.redis = Redis(folder / "redis")
        self.upstream, self.bundles = Upstream(), Bundles()
        self._control_plane: ControlPlane | None = None
        self._gateways: list[Gateway] = []

    @property
    def version(self) -> Any:
        return self.subject.version

    @property
    def control_plane(self) -> ControlPlane:
        if self._control_plane is None:
            (self.folder / "controlplane").mkdir()
            self._control_plane = ControlPlane(self.folder / "controlplane")
        return self._control_plane

    def close(self) -> None:
        for gateway in self._gateways:
            gateway.stop()
        if self._control_plane:
            self._control_plane.stop()
        for server in (self.upstream, self.bundles):
            server.close()
        self.redis.stop()

    # --- plugins and bundles -----------------------------------------------------------------------------------------

    def build(self, name: str) -> bytes:
        import pytest

        path = self.subject.build(name)
        if path is None:
            pytest.skip(f"no build '{name}' of the plugin (README.md says how to have one)")
        return path.read_bytes()

    def versioned(self, data: bytes, stem: str = "plugin") -> dict[str, bytes]:
        """Files that let this version open ``data`` for the path plugin.so."""
        if self.version.since("4.3.2"):
            return {self.subject.suffixed(stem): data}
        return {f"{stem}.so": data}

    def publish(
        self, name: str, files: Mapping[str, bytes], middleware: dict[str, Any] | None = None, **more: Any
    ) -> str:
        self.bundles.files[name] = bundle(files, middleware or PRE, **more)
        return name

    def publish_build(self, name: str, build: str, middleware: dict[str, Any] | None = None) -> str:
        return self.publish(name, self.versioned(self.build(build)), middleware)

    def directory(self, name: str) -> Path:
        return self.middleware / "bundles" / hashlib.md5(name.encode()).hexdigest()

    def place(
        self,
        name: str,
        files: Mapping[str, bytes],
        middleware: dict[str, Any] | None = None,
        checksum: str | None = None,
    ) -> Path:
        """Put a bundle's directory where a downloaded one would be."""
        folder = self.directory(name)
        folder.mkdir()
        for file, data in files.items():
            (folder / file).write_bytes(data)
        (folder / "manifest.json").write_text(json.dumps(manifest(files, middleware or PRE, checksum)))
        return folder

    # --- APIs --------------------------------------------------------------------------------------------------------

    def api(self, name: str, bundle_name: str = "", **more: Any) -> dict[str, Any]:
        return classic(name, self.upstream.url, bundle_name, **more)

    def file(self, *definitions: dict[str, Any]) -> None:
        for definition in definitions:
            (self.apis / f"{definition['api_id']}.json").write_text(json.dumps(definition))

    # --- gateways ----------------------------------------------------------------------------------------------------

    def gateway(self, *, hybrid: bool = False, **more: Any) -> Gateway:
        settings: dict[str, Any] = {
            "listen_address": "127.0.0.1",
            "listen_port": free_port(),
            "secret": SECRET,
            "node_secret": SECRET,
            "app_path": str(self.apis),
            "middleware_path": str(self.middleware),
            "policies": {
                "policy_source": "file",
                "policy_record_name": "",
                "policy_path": str(self.folder / "policies"),
            },
            "use_db_app_configs": False,
            "allow_insecure_configs": True,
            "hash_keys": True,
            "storage": {"type": "redis", "host": "127.0.0.1", "port": self.redis.port, "optimisation_max_active": 50},
            "enable_analytics": True,
            "analytics_config": {"type": "", "pool_size": 2},
            "enable_bundle_downloader": True,
            "bundle_base_url": f"{self.bundles.url}/",
        }
        templates = Path(self.subject.gateway).parent / "templates"
        if not self.subject.is_image and templates.is_dir():
            settings["template_path"] = str(templates)
        if hybrid:
            settings["policies"] = {"policy_source": "rpc"}
            settings["auth_override"] = {"force_auth_provider": True, "auth_provider": {"storage_engine": "rpc"}}
            settings["slave_options"] = {
                "use_rpc": True,
                "connection_string": self.control_plane.rpc,
                "rpc_key": ORG,
                "api_key": RPC_KEY,
                "group_id": "conformance",
                "enable_rpc_cache": True,
                "call_timeout": 5,
                "ping_timeout": 10,
                "rpc_pool_size": 2,
                **more.pop("slave_options", {}),
            }
        folder = self.folder / f"gateway{len(self._gateways) + 1}"
        folder.mkdir()
        gateway = Gateway(self.subject, self.folder, {**settings, **more})
        gateway.config = folder / "tyk.conf"
        gateway.config.write_text(json.dumps({**settings, **more}))
        gateway.log_file = folder / "gateway.log"
        self._gateways.append(gateway)
        return gateway


@contextlib.contextmanager
def traffic(gateway: Gateway, path: str, rate: float = 100.0, **headers: str) -> Iterator[list[Answer]]:
    """Steady requests from a thread while the block runs; the list holds their answers."""
    answers: list[Answer] = []
    stop = threading.Event()

    def ask() -> None:
        session = requests.Session()
        while not stop.wait(1 / rate):
            try:
                response = session.get(gateway.url + path, headers=headers, timeout=10)
                answers.append(Answer(response.status_code, response.text, response.headers))
            except requests.RequestException:
                answers.append(Answer(0))

    thread = threading.Thread(target=ask, daemon=True)
    thread.start()
    try:
        yield answers
    finally:
        stop.set()
        thread.join()


def remove(path: Path) -> None:
    shutil.rmtree(path)
