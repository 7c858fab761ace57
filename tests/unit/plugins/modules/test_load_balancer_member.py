# Copyright (c) 2026 tyk.upgrade contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""load_balancer_member against a real HAProxy on loopback."""

from __future__ import annotations

import http.server
import importlib
import json
import shutil
import socket
import socketserver
import subprocess
import threading
import time
import urllib.request
from pathlib import Path
from typing import Any, Callable, Dict, Iterator, List, Tuple

import pytest

from ansible_collections.tyk.upgrade.plugins.module_utils._clients.haproxy import Server, parse_address, parse_stat

needs_haproxy = pytest.mark.skipif(shutil.which("haproxy") is None, reason="no haproxy on this machine")


@pytest.fixture
def run(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> Callable[..., Dict[str, Any]]:
    def call(check_mode: bool = False, **arguments: Any) -> Dict[str, Any]:
        from ansible.module_utils import basic

        parameters = {**arguments, "_ansible_check_mode": check_mode, "_ansible_remote_tmp": "/tmp"}
        monkeypatch.setattr(basic, "_ANSIBLE_ARGS", json.dumps({"ANSIBLE_MODULE_ARGS": parameters}).encode())
        monkeypatch.setattr(basic, "_ANSIBLE_PROFILE", "legacy", raising=False)
        module = importlib.import_module("ansible_collections.tyk.upgrade.plugins.modules.load_balancer_member")
        capsys.readouterr()
        with pytest.raises(SystemExit):
            module.main()
        return dict(json.loads(capsys.readouterr().out.strip().splitlines()[-1]))

    return call


class _Handler(http.server.BaseHTTPRequestHandler):
    def do_GET(self) -> None:
        if self.path.startswith("/slow"):
            time.sleep(1.0)
        self.send_response(200)
        self.send_header("Content-Length", "2")
        self.end_headers()
        self.wfile.write(b"ok")

    def log_message(self, *_unused: Any) -> None:
        pass


class _Server(socketserver.ThreadingMixIn, http.server.HTTPServer):
    daemon_threads = True


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


@pytest.fixture
def balancer(tmp_path: Path) -> Iterator[Tuple[str, str, int]]:
    """A socket path, a tcp address and the entry port of a HAProxy with two servers, the second without a check."""
    upstream = _Server(("127.0.0.1", 0), _Handler)
    threading.Thread(target=upstream.serve_forever, daemon=True).start()
    port, entry, runtime = upstream.server_address[1], free_port(), free_port()
    config = tmp_path / "haproxy.cfg"
    config.write_text(
        f"""global
  stats socket {tmp_path}/admin.sock mode 600 level admin
  stats socket {tmp_path}/user.sock mode 600 level user
  stats socket ipv4@127.0.0.1:{runtime} level admin
defaults
  mode http
  timeout connect 2s
  timeout client 10s
  timeout server 10s
frontend entry
  bind 127.0.0.1:{entry}
  default_backend tyk
backend tyk
  server gw1 127.0.0.1:{port} check inter 200ms fall 1 rise 1
  server gw2 127.0.0.1:{port}
  server dead 127.0.0.1:{free_port()} check inter 200ms fall 1 rise 1
"""
    )
    process = subprocess.Popen(["haproxy", "-db", "-f", str(config)], stdout=subprocess.PIPE, stderr=subprocess.STDOUT)
    try:
        for _unused in range(100):
            try:
                socket.create_connection(("127.0.0.1", entry), timeout=1).close()
                break
            except OSError:
                time.sleep(0.05)
        time.sleep(0.3)  # first health checks
        yield str(tmp_path / "admin.sock"), f"tcp://127.0.0.1:{runtime}", entry
    finally:
        process.terminate()
        process.wait(10)
        upstream.shutdown()
        upstream.server_close()


def at(socket_address: str, backend: str = "tyk") -> List[Dict[str, str]]:
    return [{"kind": "haproxy", "socket": socket_address, "backend": backend}]


@needs_haproxy
@pytest.mark.parametrize("server", ["gw1", "gw2"])
def test_drain_and_ready(run: Any, balancer: Tuple[str, str, int], server: str) -> None:
    path, tcp, _unused = balancer
    predicted = run(check_mode=True, balancers=at(path), server=server, state="drained")
    assert predicted["changed"] is True
    assert run(balancers=at(path), server=server)["members"][0]["status"] in ("UP", "no check")

    drained = run(balancers=at(path), server=server, state="drained")
    assert drained["changed"] is True
    assert drained["members"][0]["status"] == "DRAIN"
    assert drained["members"][0]["others_up"] == 1
    assert drained["diff"] == predicted["diff"]
    assert run(balancers=at(tcp), server=server, state="drained")["changed"] is False

    ready = run(balancers=at(tcp), server=server, state="ready", wait_timeout=5)
    assert ready["changed"] is True
    assert ready["members"][0]["status"] in ("UP", "no check")
    assert run(balancers=at(path), server=server, state="ready")["changed"] is False


@needs_haproxy
def test_drain_waits_for_running_requests(run: Any, balancer: Tuple[str, str, int]) -> None:
    path, _unused, entry = balancer
    run(balancers=at(path), server="gw2", state="drained")
    answers: List[int] = []

    def ask() -> None:
        with urllib.request.urlopen(f"http://127.0.0.1:{entry}/slow") as answer:
            answers.append(answer.status)

    thread = threading.Thread(target=ask)
    thread.start()
    time.sleep(0.3)
    result = run(balancers=at(path), server="gw1", state="drained", wait_timeout=5)
    assert result["seconds"] >= 0.4
    assert result["members"][0]["sessions"] == 0
    thread.join()
    assert answers == [200]


@needs_haproxy
def test_drained_stays_quiet_for_a_while(run: Any, balancer: Tuple[str, str, int]) -> None:
    result = run(balancers=at(balancer[0]), server="gw1", state="drained", quiet=0.6)
    assert 0.6 <= result["seconds"] < 5


@needs_haproxy
def test_deadline_says_what_is_still_running(run: Any, balancer: Tuple[str, str, int]) -> None:
    path, _unused, entry = balancer
    run(balancers=at(path), server="gw2", state="drained")
    thread = threading.Thread(target=lambda: urllib.request.urlopen(f"http://127.0.0.1:{entry}/slow").read())
    thread.start()
    time.sleep(0.3)
    result = run(balancers=at(path), server="gw1", state="drained", wait_timeout=0.1)
    assert result["failed"] is True
    assert "1 requests still run on tyk/gw1" in result["msg"]
    thread.join()


@needs_haproxy
def test_maintenance_is_left_alone_until_ready(run: Any, balancer: Tuple[str, str, int]) -> None:
    path = balancer[0]
    from ansible_collections.tyk.upgrade.plugins.module_utils._clients.haproxy import HAProxy

    HAProxy(path, "tyk").set_state("gw1", "maint")
    result = run(balancers=at(path), server="gw1", state="drained")
    assert (result["changed"], result["members"][0]["status"]) == (False, "MAINT")


@needs_haproxy
@pytest.mark.parametrize(
    "change, words",
    [
        ({"server": "gw9"}, "no server gw9; it has dead, gw1, gw2"),
        ({"backend": "none"}, "no backend none"),
        ({"socket": "/nonexistent.sock"}, "/nonexistent.sock did not answer: No such file"),
        ({"socket": "gw1:99"}, "not an address of a runtime API"),
        ({"level": "user"}, "Permission denied"),
        ({"server": "dead", "state": "ready", "wait_timeout": 0.3}, "tyk/dead is DOWN and gets no requests"),
    ],
)
def test_errors_are_sentences(run: Any, balancer: Tuple[str, str, int], change: Dict[str, Any], words: str) -> None:
    path = balancer[0]
    if change.get("level") == "user":
        path = path.replace("admin.sock", "user.sock")
    result = run(
        balancers=at(change.get("socket", path), change.get("backend", "tyk")),
        server=change.get("server", "gw1"),
        state=change.get("state", "drained"),
        wait_timeout=change.get("wait_timeout", 2),
    )
    assert result["failed"] is True
    assert words in result["msg"]
    assert result["findings"]


def test_nothing_to_do_without_balancers(run: Any) -> None:
    result = run(balancers=[], server="gw1", state="drained")
    assert (result["changed"], result["members"]) == (False, [])


@pytest.mark.parametrize(
    "status, sessions, out, drained, up",
    [
        ("UP", 0, False, False, True),
        ("UP 1/3", 0, False, False, False),
        ("UP (agent)", 0, False, False, True),
        ("no check", 4, False, False, True),
        ("DOWN", 0, False, False, False),
        ("DOWN 1/2", 0, False, False, False),
        ("DRAIN", 2, True, False, False),
        ("DRAIN", 0, True, True, False),
        ("DRAIN (agent)", 0, True, True, False),
        ("MAINT", 0, True, True, False),
        ("MAINT (via tyk/gw2)", 0, True, True, False),
        ("NOLB", 0, True, True, False),
    ],
)
def test_status_words(status: str, sessions: int, out: bool, drained: bool, up: bool) -> None:
    server = Server("tyk", "gw1", status, sessions, 0)
    assert (server.out, server.drained, server.up) == (out, drained, up)


def test_stat_columns_are_found_by_name() -> None:
    text = "# svname,pxname,new,scur,qcur,status,\ngw1,tyk,x,3,1,UP,\nBACKEND,tyk,x,3,1,UP,\n"
    assert parse_stat(text) == [Server("tyk", "gw1", "UP", 3, 1)]


@pytest.mark.parametrize(
    "address, parsed",
    [
        ("/run/a.sock", "/run/a.sock"),
        ("unix:///run/a.sock", "/run/a.sock"),
        ("tcp://127.0.0.1:99", ("127.0.0.1", 99)),
        ("tcp://[::1]:99", ("::1", 99)),
    ],
)
def test_addresses(address: str, parsed: Any) -> None:
    assert parse_address(address) == parsed
