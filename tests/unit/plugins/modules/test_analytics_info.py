# Copyright (c) 2026 tyk.upgrade contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""analytics_info and emergency_backup against a real Redis."""

from __future__ import annotations

import shutil
import socket
import subprocess
import threading
import time
from pathlib import Path
from typing import Any, Dict, Iterator

import pytest

from ansible_collections.tyk.upgrade.tests.unit.plugins.modules.module_runner import run_module

redis = pytest.importorskip("redis")
pytestmark = pytest.mark.skipif(shutil.which("redis-server") is None, reason="redis-server is not installed")

PASSWORD = "redis-s3cret"
LIST = "analytics-tyk-system-analytics"


@pytest.fixture(scope="module")
def url(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    folder: Path = tmp_path_factory.mktemp("redis")
    command = ["redis-server", "--port", str(port), "--bind", "127.0.0.1", "--save", "", "--requirepass", PASSWORD]
    process = subprocess.Popen([*command, "--dir", str(folder)], stdout=subprocess.DEVNULL)
    address = f"redis://:{PASSWORD}@127.0.0.1:{port}/0"
    client = redis.Redis.from_url(address)
    try:
        for _unused in range(100):
            try:
                client.ping()
                break
            except redis.exceptions.ConnectionError:
                time.sleep(0.05)
        yield address
    finally:
        process.terminate()
        process.wait(10)


@pytest.fixture
def data(url: str) -> Iterator[Any]:
    client = redis.Redis.from_url(url)
    client.flushall()
    yield client
    client.close()


def info(url: str, **more: Any) -> Dict[str, Any]:
    return run_module("analytics_info", {"redis_url": url, **more})


def test_the_backlog_with_its_time_to_live(url: str, data: Any) -> None:
    data.rpush(LIST, *[b"\x93\xff record"] * 5)
    data.expire(LIST, 600)
    data.rpush(LIST + "_0", b"one")
    data.set("analytics-tyk-system-analytics-note", "no list")
    data.rpush("other-list", "x")
    result = info(url)
    assert not result["changed"] and result["backlog"] == 6
    assert [(entry["key"], entry["length"]) for entry in result["lists"]] == [(LIST, 5), (LIST + "_0", 1)]
    assert 500 <= result["lists"][0]["ttl"] <= 600 and result["lists"][1]["ttl"] is None
    assert PASSWORD not in str(result)


def test_nothing_waits(url: str, data: Any) -> None:
    result = info(url)
    assert result["lists"] == [] and result["backlog"] == 0
    assert [finding["code"] for finding in result["findings"]] == ["backup-missing", "backup-missing"]


def test_other_prefixes_are_literal(url: str, data: Any) -> None:
    data.rpush("my*list", "a", "b")
    data.rpush("my-other-list", "a")
    assert info(url, prefixes=["my*"])["backlog"] == 2


def test_the_emergency_backup(url: str, data: Any) -> None:
    data.set("rpc:node-definition-backup:", b"x" * 300)
    data.set("rpc:node-policy-backup:", b"y" * 20)
    result = info(url)
    assert result["backups"] == [
        {"key": "rpc:node-definition-backup:", "exists": True, "bytes": 300},
        {"key": "rpc:node-policy-backup:", "exists": True, "bytes": 20},
    ]
    assert result["findings"] == []


def test_many_keys_are_scanned(url: str, data: Any) -> None:
    with data.pipeline() as pipe:
        for number in range(5000):
            pipe.set(f"apikey-{number}", "x")
        for number in range(10):
            pipe.rpush(f"{LIST}_{number}", "x")
        pipe.execute()
    assert info(url)["backlog"] == 10


def test_a_wrong_password_is_a_sentence(url: str) -> None:
    result = info(url.replace(PASSWORD, "wrong-s3cret"))
    assert result["failed"] and "refused the password" in result["msg"]
    assert "wrong-s3cret" not in str(result)


def test_a_redis_that_is_not_there() -> None:
    result = info("redis://:secret-word@127.0.0.1:1/0")
    assert result["failed"] and "the connection failed" in result["msg"] and "secret-word" not in str(result)


def test_an_address_that_is_none() -> None:
    assert "redis://" in info("http://127.0.0.1")["msg"]


def test_waiting_ends_when_records_are_taken_though_others_arrive(url: str, data: Any) -> None:
    data.rpush(LIST, *range(50))
    taker = threading.Timer(0.5, lambda: data.ltrim(LIST, 40, -1))
    taker.start()
    try:
        result = info(url, wait_for="taken", wait_timeout=10)
    finally:
        taker.join()
    assert result["backlog"] == 10
    assert 0.3 <= result["seconds"] < 5


def test_waiting_for_a_pump_that_takes_nothing_ends_with_a_sentence(url: str, data: Any) -> None:
    data.rpush(LIST, *range(7))
    result = info(url, wait_for="taken", wait_timeout=0.5)
    assert result["failed"] and "7 records wait" in result["msg"]
    assert result["findings"][0]["code"] == "pump-backend"
    assert PASSWORD not in str(result)


def test_there_is_nothing_to_wait_for_without_records(url: str, data: Any) -> None:
    assert info(url, wait_for="empty", wait_timeout=0.5)["backlog"] == 0


def test_the_emergency_backup_is_taken_away_and_nothing_else(url: str, data: Any) -> None:
    kept = {b"rpc:node-definition", b"apikey-one", LIST.encode()}
    gone = ["rpc:node-definition-backup:eu-dmz", "rpc:node-policy-backup:eu-dmz"]
    for key in (*gone, *(name.decode() for name in kept)):
        data.set(key, "value")
    predicted = run_module("emergency_backup", {"redis_url": url}, check=True)
    assert predicted["changed"] and predicted["keys"] == gone and len(data.keys()) == 5
    result = run_module("emergency_backup", {"redis_url": url})
    assert result["changed"] and result["keys"] == gone and result["diff"]["before"] == "".join(f"{key}\n" for key in gone)
    assert set(data.keys()) == kept
    again = run_module("emergency_backup", {"redis_url": url})
    assert again["changed"] is False and again["keys"] == []


def test_a_backup_that_cannot_be_reached(url: str) -> None:
    wrong = url.replace(PASSWORD, "another-word")
    result = run_module("emergency_backup", {"redis_url": wrong})
    assert result["failed"] and "refused the password" in result["msg"] and "another-word" not in result["msg"]
