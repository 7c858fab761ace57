# Copyright (c) 2026 tyk.upgrade contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Where records of requests go."""

from __future__ import annotations

import time
from typing import cast

import pytest
from world import World, get, traffic, wait_for

LIST = "analytics-tyk-system-analytics"


def test_records_are_in_redis_two_seconds_after_the_last_request(world: World) -> None:
    world.file(world.api("plain"))
    gateway = world.gateway().start()
    gateway.serves("plain")
    time.sleep(2.5)
    before = cast(int, world.redis.client.llen(LIST))
    for number in range(20):
        assert gateway.get(f"/plain/meter/{number}").status == 200
    time.sleep(2)
    assert world.redis.client.llen(LIST) == before + 20
    record = world.redis.client.lrange(LIST, -1, -1)[0]
    for word in (b"/meter/", b"APIID", b"plain", b"ResponseCode", b"RawPath"):
        assert word in record


def test_the_lists_time_to_live_is_set_once_and_not_refreshed_by_traffic(world: World) -> None:
    world.file(world.api("plain"))
    gateway = world.gateway().start()
    gateway.serves("plain")
    first = wait_for("the list", lambda: world.redis.client.ttl(LIST) > 0 and world.redis.client.ttl(LIST), 5)
    assert 55 <= first <= 60
    with traffic(gateway, "/plain/x", rate=20):
        time.sleep(5)
    assert world.redis.client.ttl(LIST) <= first - 4


@pytest.mark.parametrize("seconds", [7, -1])
def test_the_time_to_live_is_configurable_and_may_be_none(world: World, seconds: int) -> None:
    world.file(world.api("plain"))
    gateway = world.gateway(analytics_config={"storage_expiration_time": seconds, "pool_size": 2}).start()
    gateway.serves("plain")
    wait_for("the list", lambda: world.redis.client.exists(LIST), 5)
    time.sleep(2)  # it is set a moment after the list is made
    left = cast(int, world.redis.client.ttl(LIST))
    assert seconds - 3 <= left <= seconds if seconds > 0 else left == -1


def test_a_request_that_a_plugin_refused_is_recorded_too(world: World) -> None:
    from world import AUTH, PROTECTED

    world.file(world.api("api", world.publish_build("one.zip", "one", AUTH), **PROTECTED))
    gateway = world.gateway().start()
    gateway.serves("api", status=401)
    wait_for("the record", lambda: world.redis.client.llen(LIST), 4)


def test_type_rpc_sends_records_to_the_control_plane_every_ten_seconds(world: World) -> None:
    world.control_plane.serve(world.api("plain"))
    gateway = world.gateway(hybrid=True, analytics_config={"type": "rpc", "pool_size": 2}).start()
    gateway.serves("plain")
    for number in range(10):
        assert gateway.get(f"/plain/meter/{number}").status == 200
    wait_for("the records", lambda: world.control_plane.read("meter")["marked_records_out"] == 10, 25, pause=0.5)


def test_records_left_at_a_stop_are_delivered_by_the_next_start(world: World) -> None:
    world.control_plane.serve(world.api("plain"))
    settings = {"analytics_config": {"type": "rpc", "pool_size": 2}}
    first = world.gateway(hybrid=True, **settings).start()
    first.serves("plain")
    wait_for("an empty list after the first sending", lambda: first.age > 11, 15)
    for number in range(10):
        assert get(f"{first.url}/plain/meter/{number}").status == 200
    time.sleep(2.5)
    first.stop()
    delivered = world.control_plane.read("meter")["marked_records_out"]
    second = world.gateway(hybrid=True, **settings).start()
    second.serves("plain")
    wait_for("the rest", lambda: world.control_plane.read("meter")["marked_records_out"] == 10, 25, pause=0.5)
    assert delivered <= 10
