# Copyright (c) 2026 tyk.upgrade contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What happens to requests when a gateway is told to stop."""

from __future__ import annotations

import signal
import threading
import time

from subject import Version
from world import Answer, World, wait_for


def test_running_requests_are_cut_before_5_8_3_and_finished_since(world: World, version: Version) -> None:
    world.file(world.api("plain"))
    gateway = world.gateway().start()
    gateway.serves("plain")
    answers: list[Answer] = []

    def ask() -> None:
        answers.append(gateway.get("/plain/slow?ms=4000", 30))

    threads = [threading.Thread(target=ask) for dummy in range(5)]
    for thread in threads:
        thread.start()
    time.sleep(0.5)
    begun = time.monotonic()
    gateway.signal(signal.SIGTERM)
    wait_for("new requests to be refused", lambda: gateway.get("/plain/x", 5).status == 0, 3)
    for thread in threads:
        thread.join()
    code = gateway.wait()
    took = time.monotonic() - begun
    graceful = version.since("5.8.3", "5.9.0")
    assert {answer.status for answer in answers} == ({200} if graceful else {0})
    assert took > 3 if graceful else took < 3
    assert code == 0


def test_an_idle_gateway_is_gone_within_three_seconds(world: World) -> None:
    world.file(world.api("plain"))
    gateway = world.gateway().start()
    gateway.serves("plain")
    begun = time.monotonic()
    gateway.signal(signal.SIGTERM)
    assert gateway.wait() == 0
    assert time.monotonic() - begun < (6 if gateway.subject.is_image else 3)
