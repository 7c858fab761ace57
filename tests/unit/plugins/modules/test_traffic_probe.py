# Copyright (c) 2026 tyk.upgrade contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""traffic_probe with real requests, and with a real process in the background."""

from __future__ import annotations

import json
import os
import signal
import stat
import time
from pathlib import Path
from typing import Any, Callable, Dict, Iterator, List

import pytest

from ansible_collections.tyk.upgrade.plugins.module_utils._clients.traffic import FAILED, Outcome, Tally, Target
from ansible_collections.tyk.upgrade.tests.unit.plugins.modules.module_runner import run_module
from ansible_collections.tyk.upgrade.tests.unit.plugins.modules.servers import FixedServer, Request


class Upstream:
    """APIs that can be broken: an effect header, and a refusal."""

    def __init__(self) -> None:
        self.effect = True
        self.guard = True
        self.status = 200

    def answer(self, request: Request) -> Any:
        if request.path == "/hang-up":
            return None
        if request.path.startswith("/payments") and self.guard and request.headers.get("authorization") != "good-key":
            return 401, {}, b"refused"
        return self.status, ({"X-Lab-Plugin": "header 5.8.9"} if self.effect else {}), b"{}"


@pytest.fixture
def upstream() -> Upstream:
    return Upstream()


@pytest.fixture
def server(upstream: Upstream) -> Iterator[FixedServer]:
    with FixedServer(upstream.answer) as running:
        yield running


@pytest.fixture
def state_dir(tmp_path: Path) -> Iterator[Path]:
    folder = tmp_path / "probes"
    yield folder
    for name in folder.glob("*.pid") if folder.exists() else []:
        try:
            os.kill(int(name.read_text()), signal.SIGKILL)
        except (OSError, ValueError):
            pass


def effect(url: str) -> Dict[str, Any]:
    return {"name": "orders", "url": url, "kind": "effect", "expect": {"headers": {"x-lab-plugin": "^header"}}}


def deny(url: str) -> Dict[str, Any]:
    return {"name": "payments refused", "url": url, "kind": "deny"}


def once(targets: List[Dict[str, Any]], check: bool = False, **more: Any) -> Dict[str, Any]:
    return run_module("traffic_probe", {"state": "once", "targets": targets, "timeout": 2, **more}, check=check)


def counts(result: Dict[str, Any]) -> List[int]:
    return [result[key] for key in ("requests", "failures", "effect_missing", "unauthorized_allowed")]


def codes(result: Dict[str, Any]) -> List[str]:
    return [finding["code"] for finding in result["findings"]]


def wait_until(condition: Callable[[], bool], seconds: float = 10) -> None:
    deadline = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < deadline, "it did not happen in time"
        time.sleep(0.05)


def alive(pid: int) -> bool:
    """Whether the process runs; one that has ended may wait for its parent to notice."""
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    except OSError:
        return False


# --- at once


def test_everything_as_it_must_be(server: FixedServer) -> None:
    good = {"name": "payments", "url": server.url + "/payments/x", "headers": {"Authorization": "good-key"}}
    result = once([effect(server.url + "/orders/x"), deny(server.url + "/payments/x"), good], count=4)
    assert counts(result) == [12, 0, 0, 0]
    assert result["findings"] == [] and result["samples"] == [] and not result["changed"]
    assert 0 < result["p50_ms"] <= result["p99_ms"]
    assert "good-key" not in str(result)


def test_a_missing_effect_is_seen_behind_a_200(server: FixedServer, upstream: Upstream) -> None:
    upstream.effect = False
    result = once([effect(server.url + "/orders/x")], count=3)
    assert counts(result) == [3, 0, 3, 0], result["samples"]
    assert codes(result) == ["probe-failed", "budget-spent"]
    assert result["failed"] and "header x-lab-plugin is missing" in result["msg"]
    assert result["samples"][0]["message"] == "was answered 200, but the header x-lab-plugin is missing"


def test_an_effect_target_with_a_wrong_status_failed(server: FixedServer, upstream: Upstream) -> None:
    upstream.status = 500
    assert counts(once([effect(server.url + "/orders/x")])) == [1, 1, 0, 0]


@pytest.mark.parametrize("status", [200, 204, 302])
def test_a_request_that_must_be_refused_and_is_not(server: FixedServer, upstream: Upstream, status: int) -> None:
    upstream.guard, upstream.status = False, status
    result = once([deny(server.url + "/payments/x")], budget=5)
    assert counts(result) == [1, 0, 0, 1]
    assert codes(result) == ["unauthorized-allowed"] and result["findings"][0]["severity"] == "error"


def test_a_refusal_by_breakage_is_a_failure_and_no_refusal(server: FixedServer, upstream: Upstream) -> None:
    upstream.guard, upstream.status = False, 500
    assert counts(once([deny(server.url + "/payments/x")])) == [1, 1, 0, 0]


def test_no_answer_is_a_failure(server: FixedServer) -> None:
    result = once([{"name": "gone", "url": server.url + "/hang-up"}])
    assert counts(result) == [1, 1, 0, 0]
    assert "closed without an answer" in result["samples"][0]["message"]


def test_within_the_budget_a_failure_is_a_warning(server: FixedServer) -> None:
    result = once([{"name": "gone", "url": server.url + "/hang-up"}], budget=1)
    assert [(finding["code"], finding["severity"]) for finding in result["findings"]] == [("probe-failed", "warning")]
    assert not result["failed"]


def test_each_replica_is_asked_for_itself(server: FixedServer, upstream: Upstream) -> None:
    broken = Upstream()
    broken.effect = False
    with FixedServer(broken.answer) as other:
        via = [{"name": "gw1", "url": server.url}, {"name": "gw2", "url": other.url + "/base"}]
        targets = [effect("http://api.example.com:8443/orders/x?a=1"), effect("/orders/y")]
        result = once(targets, via=via)
        assert counts(result) == [4, 0, 2, 0]
        assert {sample["via"] for sample in result["samples"]} == {"gw2"}
        assert sorted(request.target for request in other.requests) == ["/base/orders/x?a=1", "/base/orders/y"]
        by_path = {request.path: request.headers["host"] for request in server.requests}
        assert by_path["/orders/x"] == "api.example.com:8443"
        assert by_path["/orders/y"] == server.url.split("//")[1]


def test_check_mode_sends_only_requests_that_change_nothing(server: FixedServer) -> None:
    targets = [{"name": "post", "url": server.url + "/a", "method": "post"}, {"name": "get", "url": server.url + "/b"}]
    assert counts(once(targets, check=True)) == [1, 0, 0, 0]
    assert [request.method for request in server.requests] == ["GET"]


@pytest.mark.parametrize(
    ("target", "part"),
    [
        ({"name": "a", "url": "http://x/", "kind": "effect"}, "expects no header"),
        ({"name": "a", "url": "http://x/", "kind": "deny", "expect": {"status": [200]}}, "must be refused"),
        ({"name": "a", "url": "/path"}, "no address"),
        ({"name": "a", "url": "http://x/", "expect": {"headers": {"X": "("}}}, "regular expression"),
    ],
)
def test_targets_that_would_prove_nothing(target: Dict[str, Any], part: str) -> None:
    result = once([target])
    assert result["failed"] and part in result["msg"]
    assert once([])["failed"]


def test_percentiles_are_within_five_percent() -> None:
    tally = Tally()
    target = Target("t", "http://x/")
    for milliseconds in range(1, 1001):
        tally.add(Outcome(target, "passed", milliseconds=float(milliseconds)))
    numbers = tally.numbers()
    assert 500 <= numbers["p50_ms"] <= 525 and 990 <= numbers["p99_ms"] <= 1040


def test_samples_are_few() -> None:
    tally = Tally()
    for _unused in range(100):
        tally.add(Outcome(Target("t", "http://u:secret@x/?k=v"), FAILED, "no"))
    assert len(tally.numbers()["samples"]) == 20
    assert "secret" not in str(tally.numbers())


# --- in the background


def background(state: str, folder: Path, check: bool = False, **more: Any) -> Dict[str, Any]:
    arguments = {"state": state, "state_dir": str(folder), "timeout": 2, **more}
    return run_module("traffic_probe", arguments, check=check)


def start(server: FixedServer, folder: Path, check: bool = False, **more: Any) -> Dict[str, Any]:
    secret = {"name": "payments", "url": server.url + "/payments/x", "headers": {"Authorization": "good-key"}}
    targets = [effect(server.url + "/orders/x"), deny(server.url + "/payments/x"), secret]
    return background("started", folder, check=check, **{"targets": targets, "rate": 50, **more})


def test_a_probe_runs_counts_and_stops(server: FixedServer, upstream: Upstream, state_dir: Path) -> None:
    started = start(server, state_dir)
    assert started["changed"] and started["running"] and not started["failed"], started
    assert stat.S_IMODE(state_dir.stat().st_mode) == 0o700
    time.sleep(1)
    numbers = background("read", state_dir)
    assert numbers["running"] and not numbers["changed"] and numbers["findings"] == []
    assert 10 <= numbers["requests"] <= 100, "50 requests per second for about one second"
    assert numbers["failures"] == numbers["effect_missing"] == numbers["unauthorized_allowed"] == 0
    upstream.effect = False
    time.sleep(0.5)
    upstream.guard = False
    time.sleep(0.5)
    worse = background("read", state_dir)
    assert worse["effect_missing"] > 3 and worse["unauthorized_allowed"] > 3
    assert set(codes(worse)) == {"probe-failed", "unauthorized-allowed", "budget-spent"}
    stopped = background("stopped", state_dir)
    assert stopped["changed"] and not stopped["running"] and stopped["ended"] == "stopped"
    assert stopped["requests"] >= worse["requests"]
    assert not list(state_dir.glob("*.pid")) and not list(state_dir.glob("*.lease"))
    asked = len(server.requests)
    time.sleep(0.3)
    assert len(server.requests) == asked, "it really is gone"
    again = background("stopped", state_dir)
    assert not again["changed"] and counts(again) == counts(stopped)


def test_every_request_is_counted(server: FixedServer, state_dir: Path) -> None:
    start(server, state_dir, rate=100)
    time.sleep(1)
    stopped = background("stopped", state_dir)
    assert stopped["requests"] == len(server.requests)


def test_starting_again_leaves_it_running(server: FixedServer, state_dir: Path) -> None:
    start(server, state_dir)
    pid = (state_dir / "traffic.pid").read_text()
    again = start(server, state_dir)
    assert not again["changed"] and again["running"] and (state_dir / "traffic.pid").read_text() == pid
    other = start(server, state_dir, rate=20)
    assert other["changed"] and (state_dir / "traffic.pid").read_text() != pid
    assert not alive(int(pid))
    background("stopped", state_dir)


def test_it_ends_itself_when_nobody_reads(server: FixedServer, state_dir: Path) -> None:
    start(server, state_dir, lease=1)
    for _unused in range(4):
        time.sleep(0.5)
        assert background("read", state_dir)["running"], "each read renews the lease"
    wait_until(lambda: not (state_dir / "traffic.pid").exists())
    ended = background("read", state_dir)
    assert not ended["running"] and ended["ended"] == "lease lapsed" and ended["requests"] > 0
    assert "probe-failed" in codes(ended) and "lease lapsed" in ended["findings"][-1]["message"]


def test_a_killed_probe_is_noticed(server: FixedServer, state_dir: Path) -> None:
    start(server, state_dir)
    os.kill(int((state_dir / "traffic.pid").read_text()), signal.SIGKILL)
    wait_until(lambda: not background("read", state_dir)["running"])
    killed = background("read", state_dir)
    assert killed["ended"] == "terminated" and "probe-failed" in codes(killed)
    assert start(server, state_dir)["changed"], "and it can be started again"
    background("stopped", state_dir)


def test_no_credential_lies_on_disk(server: FixedServer, state_dir: Path) -> None:
    start(server, state_dir)
    background("read", state_dir)
    for path in state_dir.iterdir():
        assert "good-key" not in path.read_text(), path
        assert stat.S_IMODE(path.stat().st_mode) == 0o600, path
    assert json.loads((state_dir / "traffic.json").read_text())["running"] is True
    background("stopped", state_dir)


def test_reading_what_was_never_started(state_dir: Path) -> None:
    result = background("read", state_dir)
    assert not result["failed"] and not result["running"] and result["requests"] == 0
    assert "never started" in result["findings"][0]["message"]
    assert not background("stopped", state_dir)["changed"]


def test_check_mode_starts_and_stops_nothing(server: FixedServer, state_dir: Path) -> None:
    assert start(server, state_dir, check=True)["changed"] and not state_dir.exists()
    start(server, state_dir)
    assert not start(server, state_dir, check=True)["changed"]
    assert background("stopped", state_dir, check=True)["changed"]
    assert background("read", state_dir)["running"]
    background("stopped", state_dir)


def test_a_state_directory_that_cannot_be_written(server: FixedServer, tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    result = start(server, tmp_path / "file" / "probes")
    assert result["failed"] and "cannot be written" in result["msg"]
    assert start(server, tmp_path, name="../escape")["failed"]


def test_failures_of_a_background_probe_do_not_fail_the_task(server: FixedServer, state_dir: Path) -> None:
    """Ansible would take a result with the key "failed" and a count for a failed task."""
    background("started", state_dir, targets=[{"name": "gone", "url": server.url + "/hang-up"}], rate=50)
    time.sleep(0.5)
    for state in ("read", "stopped"):
        result = background(state, state_dir)
        assert result["failed"] is False and result["failures"] > 0
        assert "budget-spent" in codes(result)
