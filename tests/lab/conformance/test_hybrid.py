# Copyright (c) 2026 tyk.upgrade contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Life of a gateway whose definitions come from a control plane that may be gone."""

from __future__ import annotations

import base64
import hashlib
import json
import os
import time
from typing import Any, cast

import pytest
from cryptography.hazmat.primitives.ciphers import Cipher, algorithms, modes
from subject import Version, start_needs_mdcb
from world import AUTH, ORG, SECRET, Gateway, World, wait_for

try:
    from cryptography.hazmat.decrepit.ciphers.modes import CFB
except ImportError:
    CFB = modes.CFB  # type: ignore[misc]

DEFINITIONS = "rpc:node-definition-backup:"
POLICIES = "rpc:node-policy-backup:"


def sealed(text: str) -> str:
    """What a gateway with our secret writes: AES-256-CFB, the key filled up with "=", base64."""
    vector = os.urandom(16)
    encryptor = Cipher(algorithms.AES((SECRET + "=" * 32)[:32].encode()), CFB(vector)).encryptor()
    return base64.urlsafe_b64encode(vector + encryptor.update(text.encode()) + encryptor.finalize()).decode()


def hybrid(world: World, **more: Any) -> Gateway:
    """One that gives up on its control plane soon."""
    return world.gateway(hybrid=True, slave_options={"call_timeout": 2}, **more)


def does_not_open(gateway: Gateway, seconds: float = 12) -> None:
    """It runs, and its port is closed, all that time."""
    end = time.monotonic() + seconds
    while time.monotonic() < end:
        assert gateway.get("/hello").status == 0
        time.sleep(0.5)
    assert gateway.running


def with_backup(world: World, *definitions: dict[str, Any]) -> None:
    """Let a gateway write its emergency backup, then end it and the control plane."""
    world.control_plane.serve(world.api("plain"), *definitions)
    gateway = hybrid(world).start()
    gateway.serves("plain")
    gateway.reload()
    wait_for("the backup", lambda: world.redis.client.exists(DEFINITIONS, POLICIES) == 2, 5)
    gateway.stop()
    world.control_plane.stop()


def oas(world: World, name: str, bundle: str, *, protected: bool = False) -> dict[str, Any]:
    server: dict[str, Any] = {"listenPath": {"value": f"/{name}/", "strip": True}}
    if protected:
        custom = {"enabled": True, "config": {}, "header": {"enabled": True, "name": "Authorization"}}
        server["authentication"] = {"enabled": True, "custom": custom}
    return {
        "openapi": "3.0.3",
        "info": {"title": name, "version": "1.0.0"},
        "security": [],
        "paths": {},
        "components": {},
        "x-tyk-api-gateway": {
            "info": {
                "id": name,
                "dbId": hashlib.md5(name.encode()).hexdigest()[:24],
                "orgId": ORG,
                "name": name,
                "state": {"active": True},
            },
            "server": server,
            "upstream": {"url": world.upstream.url},
            "middleware": {
                "global": {"pluginConfig": {"driver": "goplugin", "bundle": {"enabled": True, "path": bundle}}}
            },
        },
    }


def test_hello_has_an_rpc_detail(world: World) -> None:
    world.control_plane.serve(world.api("plain"))
    gateway = world.gateway(hybrid=True).start()
    details = wait_for("details", lambda: gateway.hello().get("details"), 15)
    assert details["rpc"]["status"] == "pass" and details["redis"]["status"] == "pass"


def test_classic_and_oas_apis_use_their_bundles(world: World, version: Version) -> None:
    if not version.since("5.0.0"):
        pytest.skip("no OAS API with a bundle before 5.0.0")
    pre, auth = world.publish_build("pre.zip", "one"), world.publish_build("auth.zip", "two", AUTH)
    world.control_plane.serve(
        world.api("classic", pre), oas(world, "described", pre), oas(world, "vault", auth, protected=True)
    )
    gateway = world.gateway(hybrid=True).start()
    assert gateway.serves("classic").mark
    assert gateway.serves("described").mark
    assert gateway.serves("vault", Authorization="good").upstream["x-conformance-auth"]
    assert gateway.get("/vault/x").status == 401


def test_a_node_says_who_it_is_and_that_it_leaves_since_5_2(world: World, version: Version) -> None:
    import signal

    world.control_plane.serve(world.api("plain"))
    gateway = world.gateway(hybrid=True).start()
    gateway.serves("plain")
    (node,) = world.control_plane.read("nodes")["nodes"]
    assert node["group"] == "conformance" and node["connected"]
    assert node["node_version"].lstrip("v") == (str(version) if version.since("5.2.0") else "")
    gateway.signal(signal.SIGTERM)
    gateway.wait()
    wait_for("the end of its connections", lambda: not world.control_plane.read("nodes")["nodes"][0]["connected"], 5)


def test_when_the_first_emergency_backup_is_written(world: World, version: Version) -> None:
    """With the first load since 5.8; before, that is a race with the connection to Redis, and only a later one is sure."""
    world.control_plane.serve(world.api("plain"))
    gateway = world.gateway(hybrid=True).start()
    gateway.serves("plain")
    if version.since("5.8.0"):
        wait_for("the backup", lambda: world.redis.client.exists(DEFINITIONS), 2)
    gateway.reload()
    wait_for("the backup", lambda: world.redis.client.exists(DEFINITIONS, POLICIES) == 2, 5)
    assert world.redis.client.ttl(DEFINITIONS) == -1
    assert b"api_id" not in cast(bytes, world.redis.client.get(DEFINITIONS))


def test_a_gateway_that_starts_without_its_control_plane_serves_from_the_backup(world: World, version: Version) -> None:
    with_backup(world)
    gateway = hybrid(world).start()
    if start_needs_mdcb(version):
        does_not_open(gateway)
        return
    first = wait_for("any answer", gateway.hello, 20)
    assert first["status"] == "pass"
    if not version.since("5.3.11", "5.8.0"):
        assert gateway.get("/plain/x").status == 404
    if version.since("4.1.0"):
        gateway.serves("plain", timeout=5 if version.since("5.8.0") else 30)
        return
    while gateway.age < 15:  # with policies by RPC, 4.0 never reads it
        assert gateway.get("/plain/x").status == 404
        time.sleep(0.5)


def test_a_backup_of_another_secret_is_no_backup_and_hello_says_pass(world: World, version: Version) -> None:
    with_backup(world)
    gateway = hybrid(world, secret="another-secret").start()
    if start_needs_mdcb(version):
        does_not_open(gateway)
        return
    wait_for("any answer", gateway.hello, 20)
    while gateway.age < 12:
        assert gateway.get("/plain/x").status == 404
        time.sleep(0.5)
    assert gateway.running


def test_without_a_backup_nothing_is_served_and_hello_begins_with_pass(world: World, version: Version) -> None:
    world.control_plane.serve(world.api("plain"))
    world.control_plane.stop()
    gateway = hybrid(world).start()
    if start_needs_mdcb(version):
        does_not_open(gateway)
        return
    first = wait_for("any answer", gateway.hello, 20)
    assert first["status"] == "pass"
    while gateway.age < 10:
        assert gateway.get("/plain/x").status == 404
        time.sleep(0.5)


def test_a_backup_in_the_form_of_4_0_kills_every_later_gateway(world: World, version: Version) -> None:
    if not version.since("4.1.0"):
        pytest.skip("this is the version that writes it")
    world.control_plane.serve(world.api("plain"))
    world.control_plane.stop()
    world.redis.client.set(DEFINITIONS, sealed(json.dumps([world.api("plain")])))
    world.redis.client.set(POLICIES, sealed("[]"))
    gateway = hybrid(world).start()
    if start_needs_mdcb(version):  # so it never comes to read it
        does_not_open(gateway)
        return
    assert gateway.wait(40) == 2
    assert gateway.said("nil pointer dereference"), gateway.log[-3000:]


def test_without_the_keys_of_4_0_a_later_gateway_starts(world: World) -> None:
    world.control_plane.serve(world.api("plain"))
    world.redis.client.set(DEFINITIONS, sealed(json.dumps([world.api("plain")])))
    world.redis.client.delete(DEFINITIONS, POLICIES)
    gateway = hybrid(world).start()
    gateway.serves("plain")
    time.sleep(2)
    assert gateway.running


def test_an_old_backup_is_served_for_a_moment_at_start_since_5_8(world: World, version: Version) -> None:
    old, new = world.api("moving"), world.api("moving")
    old["proxy"]["listen_path"], new["proxy"]["listen_path"] = "/old/", "/new/"
    with_backup(world, old)
    world.control_plane.start()
    world.control_plane.serve(new)
    gateway = hybrid(world).start()
    seen_old = False
    while gateway.age < 15 and gateway.get("/new/x").status != 200:
        seen_old = seen_old or gateway.get("/old/x").status == 200
        time.sleep(0.01)
    assert gateway.get("/new/x").status == 200
    assert seen_old == version.since("5.3.11", "5.8.0")


def test_serving_goes_on_without_the_control_plane_and_hello_is_late_to_say_so(world: World) -> None:
    """It says so about four times call_timeout after the fact: here some 20 seconds."""
    world.control_plane.serve(world.api("plain"))
    gateway = world.gateway(hybrid=True, slave_options={"call_timeout": 5}).start()
    gateway.serves("plain")
    wait_for("details", lambda: gateway.hello().get("details"), 15)
    world.control_plane.stop()
    gone = time.monotonic()
    while time.monotonic() - gone < 12:
        assert gateway.hello()["details"]["rpc"]["status"] == "pass"
        assert gateway.get("/plain/x").status == 200
        time.sleep(0.5)
    wait_for("rpc to be missed", lambda: gateway.hello()["details"]["rpc"]["status"] == "fail", 60, pause=0.5)
    answer = gateway.get("/hello")
    assert (answer.status, json.loads(answer.text)["status"]) == (200, "warn")
    assert gateway.get("/plain/x").status == 200


def test_after_the_control_plane_is_back_its_changes_go_live(world: World, version: Version) -> None:
    with_backup(world)
    gateway = hybrid(world).start()
    if start_needs_mdcb(version):
        does_not_open(gateway)
    elif version.since("4.1.0"):
        gateway.serves("plain", timeout=30)
    else:
        wait_for("any answer", gateway.hello, 20)
    world.control_plane.start()
    world.control_plane.serve(world.api("plain"), world.api("second"))
    gateway.serves("second", timeout=30)


def test_an_unknown_key_waits_for_a_control_plane_that_is_gone(world: World) -> None:
    world.control_plane.serve(world.api("plain"), world.api("keyed", use_keyless=False, use_standard_auth=True))
    gateway = world.gateway(hybrid=True, slave_options={"call_timeout": 7}).start()
    gateway.serves("plain")
    assert gateway.get("/keyed/x", Authorization="unknown").status == 403
    world.control_plane.freeze()
    begun = time.monotonic()
    assert gateway.get("/keyed/x", 20, Authorization="another").status in (0, 403)
    assert time.monotonic() - begun > 5
    assert gateway.get("/plain/x").status == 200
    world.control_plane.thaw()
