# Copyright (c) 2026 tyk.upgrade contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""When a change goes live."""

from __future__ import annotations

import time

from subject import Version
from world import SECRET, World, wait_for


def test_reload_needs_the_secret(world: World) -> None:
    gateway = world.gateway().start()
    wait_for("any answer", gateway.hello, 20)
    for path in ("/tyk/reload/?block=true", "/tyk/reload/group"):
        assert gateway.get(path).status == 403
        assert gateway.get(path, **{"X-Tyk-Authorization": "wrong"}).status == 403


def test_a_blocking_reload_has_happened_when_it_answers(world: World) -> None:
    world.file(world.api("first"))
    gateway = world.gateway().start()
    gateway.serves("first")
    world.file(world.api("second"))
    gateway.reload()
    assert gateway.get("/second/x").status == 200
    (world.apis / "first.json").unlink()
    gateway.reload()
    assert gateway.get("/first/x").status == 404


def test_a_blocking_reload_works_on_a_slaved_gateway_whose_other_api_is_gone(world: World) -> None:
    world.control_plane.serve(world.api("first"))
    gateway = world.gateway(hybrid=True).start()
    gateway.serves("first")
    gateway.reload()
    assert gateway.get("/tyk/apis", **{"X-Tyk-Authorization": SECRET}).status == 404


def test_a_reload_signal_in_the_first_ten_seconds_is_lost_up_to_5_3(world: World, version: Version) -> None:
    world.file(world.api("first"))
    gateway = world.gateway().start()
    gateway.serves("first")
    time.sleep(max(0.0, 4 - gateway.age))
    world.file(world.api("second"))
    assert gateway.get("/tyk/reload/group", **{"X-Tyk-Authorization": SECRET}).status == 200
    if version.since("5.8.0"):
        gateway.serves("second", timeout=3)
        return
    while gateway.age < 13:  # lost for good, not late
        assert gateway.get("/second/x").status == 404
        time.sleep(0.2)


def test_a_reload_signal_reaches_every_gateway_on_the_same_redis(world: World) -> None:
    world.file(world.api("first"))
    gateways = [world.gateway().start() for dummy in range(2)]
    for gateway in gateways:
        gateway.serves("first")
    time.sleep(max(0.0, 11.5 - gateways[1].age))
    world.file(world.api("second"))
    assert gateways[0].get("/tyk/reload/group", **{"X-Tyk-Authorization": SECRET}).status == 200
    for gateway in gateways:
        gateway.serves("second", timeout=3)


def test_a_change_at_the_control_plane_goes_live_by_itself(world: World) -> None:
    world.control_plane.serve(world.api("first"))
    gateway = world.gateway(hybrid=True).start()
    gateway.serves("first")
    time.sleep(max(0.0, 12 - gateway.age))
    world.control_plane.serve(world.api("first"), world.api("second"))
    gateway.serves("second", timeout=4)
