# Copyright (c) 2026 tyk.upgrade contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What a gateway says of itself while it starts, and when something it needs is gone."""

from __future__ import annotations

import json
import time

from subject import Version, start_needs_mdcb
from world import World, wait_for


def test_the_listener_answers_before_the_apis_are_there(world: World) -> None:
    world.control_plane.serve(world.api("plain"))
    gateway = world.gateway(hybrid=True).start()
    first = wait_for("any answer", gateway.hello, 20, pause=0.002)
    assert first["status"] == "pass"
    assert gateway.get("/plain/x").status == 404
    gateway.serves("plain")


def test_hello_has_no_details_until_the_first_check(world: World) -> None:
    gateway = world.gateway().start()
    wait_for("any answer", gateway.hello, 20)
    begun = time.monotonic()
    while time.monotonic() - begun < 7:
        answer = gateway.hello()
        assert answer["status"] == "pass" and not answer.get("details"), answer
        time.sleep(0.5)
    details = wait_for("details", lambda: gateway.hello().get("details"), 8)
    assert details["redis"]["status"] == "pass"
    assert details["redis"]["componentType"] == "datastore"
    assert "rpc" not in details


def test_hello_tells_the_version_in_the_way_of_its_release(world: World, version: Version) -> None:
    gateway = world.gateway().start()
    answer = wait_for("any answer", gateway.hello, 20)
    assert answer["version"] == (str(version) if version.since("4.1.0") else f"v{version}")
    assert answer["description"] == "Tyk GW"


def test_ready_exists_only_since_it_was_added(world: World, version: Version) -> None:
    world.file(world.api("plain"))
    gateway = world.gateway().start()
    gateway.serves("plain")
    answer = gateway.get("/ready")
    if version.since("5.8.3", "5.9.0"):
        assert answer.status == 200
        assert json.loads(answer.text)["status"] == "pass"
    else:
        assert answer.status == 404


def test_ready_refuses_until_apis_were_loaded(world: World, version: Version) -> None:
    gateway = world.gateway(hybrid=True, slave_options={"connection_string": "127.0.0.1:9"}).start()
    if start_needs_mdcb(version):
        time.sleep(10)
        assert gateway.get("/hello").status == 0 and gateway.running
        return
    wait_for("any answer", gateway.hello, 20)
    expected = 503 if version.since("5.8.3", "5.9.0") else 404
    assert gateway.get("/ready").status == expected


def test_without_redis_an_open_api_is_served_and_hello_says_what_its_version_says(
    world: World, version: Version
) -> None:
    world.control_plane.serve(world.api("plain"))
    gateway = world.gateway(hybrid=True).start()
    gateway.serves("plain")
    wait_for("details", lambda: gateway.hello().get("details"), 15)
    world.redis.stop()
    wait_for("redis to be missed", lambda: gateway.hello()["details"]["redis"]["status"] == "fail", 25)
    answer = gateway.get("/hello")
    fails = version == Version(5, 8, 3) or version.within("5.8.6", "5.8.12") or version == Version(5, 9, 0)
    assert (answer.status, json.loads(answer.text)["status"]) == ((503, "fail") if fails else (200, "warn"))
    if version.since("5.8.3", "5.9.0"):
        assert gateway.get("/ready").status == 503
    assert gateway.get("/plain/x").status == 200


def test_the_environment_wins_over_the_file(world: World) -> None:
    world.file(world.api("plain"))
    gateway = world.gateway(health_check_endpoint_name="from-file").start(
        TYK_GW_HEALTHCHECKENDPOINTNAME="from-environment"
    )
    wait_for("the health endpoint", lambda: gateway.get("/from-environment").status == 200, 20)
    assert gateway.get("/from-file").status == 404
