# Copyright (c) 2026 tyk.upgrade contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Which functions of a plugin run, and what happens to requests that they do not let through."""

from __future__ import annotations

import pytest
from subject import Version
from world import AUTH, PROTECTED, World, hook


def adds_its_error(version: Version) -> bool:
    """Whether the gateway answers for a plugin that has failed, even if that has answered already."""
    return version.since("4.0.13", "5.0.1") and not version.since("5.0.7", "5.2.2", "5.3.0")


def test_pre_post_key_auth_post_and_response_hooks_run(world: World) -> None:
    middleware = {
        "driver": "goplugin",
        "pre": [hook("Pre")],
        "auth_check": hook("CheckKey"),
        "post_key_auth": [hook("PostKeyAuth")],
        "post": [hook("Post")],
        "response": [hook("After")],
    }
    world.file(world.api("api", world.publish_build("one.zip", "one", middleware), **PROTECTED))
    gateway = world.gateway().start()
    answer = gateway.serves("api", Authorization="good")
    for name in ("pre", "auth", "post-key-auth", "post"):
        assert answer.upstream[f"x-conformance-{name}"], name
    assert answer.upstream["x-conformance-alias"] == "conformance"
    assert {name.lower() for name in answer.headers} >= {"x-conformance-response"}


def test_a_plugin_may_answer_by_itself(world: World) -> None:
    middleware = {"driver": "goplugin", "pre": [hook("Answer")]}
    world.file(world.api("api", world.publish_build("one.zip", "one", middleware)))
    answer = world.gateway().start().serves("api", status=202)
    assert answer.text == "answered by the plugin"
    assert world.upstream.requests == 0


@pytest.mark.parametrize("kind", ["pre", "auth_check", "post"])
def test_a_panic_on_a_request_is_answered_200_with_no_body_and_goes_no_further(
    world: World, version: Version, kind: str
) -> None:
    """Where the gateway adds its own error to a plugin's, with that error."""
    panics = hook("Panic")
    middleware = {"driver": "goplugin", kind: panics if kind == "auth_check" else [panics]}
    more = PROTECTED if kind == "auth_check" else {}
    world.file(world.api("api", world.publish_build("one.zip", "one", middleware), **more), world.api("plain"))
    gateway = world.gateway().start()
    gateway.serves("plain")
    reached = world.upstream.requests
    answer = gateway.get("/api/x", Authorization="good")
    if adds_its_error(version):
        assert answer.status == 500 and "broken on purpose" in answer.text, answer
    else:
        assert (answer.status, answer.text) == (200, "")
    assert world.upstream.requests == reached
    assert gateway.get("/plain/x").status == 200


def test_a_panic_on_a_response_is_500_though_the_upstream_was_reached(world: World) -> None:
    middleware = {"driver": "goplugin", "response": [hook("PanicAfter")]}
    world.file(world.api("api", world.publish_build("one.zip", "one", middleware)), world.api("plain"))
    gateway = world.gateway().start()
    gateway.serves("plain")
    reached = world.upstream.requests
    assert gateway.get("/api/x").status == 500
    assert world.upstream.requests > reached
    assert gateway.get("/plain/x").status == 200


def test_auth_check_lets_the_good_key_through_and_nothing_else(world: World, version: Version) -> None:
    """From 4.0.13 and 5.0.1 to 5.0.6 and 5.2.1 the gateway adds its own error to what the plugin answered."""
    world.file(world.api("api", world.publish_build("one.zip", "one", AUTH), **PROTECTED))
    gateway = world.gateway().start()
    gateway.serves("api", Authorization="good")
    reached = world.upstream.requests
    for headers in ({}, {"Authorization": "bad"}):
        answer = gateway.get("/api/x", **headers)
        assert answer.status == 401 and answer.text.startswith("refused by the plugin"), answer
        assert ("plugin function sent error response code: 401" in answer.text) == adds_its_error(version), answer
    assert world.upstream.requests == reached


def test_a_keyless_api_runs_neither_its_auth_check_nor_what_comes_behind_it(world: World) -> None:
    middleware = {**AUTH, "post_key_auth": [hook("PostKeyAuth")]}
    world.file(
        world.api("api", world.publish_build("one.zip", "one", middleware), **{**PROTECTED, "use_keyless": True})
    )
    answer = world.gateway().start().serves("api")
    assert not [name for name in answer.upstream if name.startswith("x-conformance")]


@pytest.mark.parametrize("flag", ["use_go_plugin_auth", "custom_plugin_auth_enabled", "enable_coprocess_auth"])
def test_which_flag_makes_auth_check_run(world: World, version: Version, flag: str) -> None:
    """Any of the three since 5.0.0; before, only use_go_plugin_auth, and the others fall back to keys."""
    world.file(
        world.api("api", world.publish_build("one.zip", "one", AUTH), use_keyless=False, **{flag: True}),
        world.api("plain"),
    )
    gateway = world.gateway().start()
    gateway.serves("plain")
    expected = (200,) if version.since("5.0.0") or flag == "use_go_plugin_auth" else (401, 403)
    assert gateway.get("/api/x", Authorization="good").status in expected


@pytest.mark.parametrize("headers", [{}, {"Authorization": "good"}])
def test_a_broken_auth_check_never_lets_a_request_through(
    world: World, version: Version, headers: dict[str, str]
) -> None:
    files = {"plugin_v9.9.9_linux_amd64.so": world.build("one")}
    world.file(world.api("api", world.publish("one.zip", files, AUTH), **PROTECTED), world.api("plain"))
    gateway = world.gateway().start()
    gateway.serves("plain")
    reached = world.upstream.requests
    expected = 500 if version.since("4.0.13", "5.0.1") else 400
    assert gateway.get("/api/x", **headers).status == expected
    assert world.upstream.requests == reached


def test_without_a_plugin_a_protected_api_wants_a_key_it_knows(world: World) -> None:
    world.file(world.api("api", use_keyless=False, use_standard_auth=True), world.api("plain"))
    gateway = world.gateway().start()
    gateway.serves("plain")
    assert gateway.get("/api/x").status == 401
    assert gateway.get("/api/x", Authorization="unknown").status == 403


def test_the_listen_path_is_stripped(world: World) -> None:
    kept = world.api("kept")
    kept["proxy"]["strip_listen_path"] = False
    world.file(world.api("stripped"), kept)
    gateway = world.gateway().start()
    assert '"path": "/x"' in gateway.serves("stripped").text
    assert '"path": "/kept/x"' in gateway.serves("kept").text


def test_an_api_answers_under_its_id_too_since_4_0_13_and_5_0_1(world: World, version: Version) -> None:
    definition = world.api("some-id")
    definition["proxy"]["listen_path"] = "/elsewhere/"
    world.file(definition)
    gateway = world.gateway().start()
    gateway.serves("elsewhere")
    assert gateway.get("/some-id/x").status == (200 if version.since("4.0.13", "5.0.1") else 404)


def test_an_unknown_path_is_not_found(world: World) -> None:
    world.file(world.api("plain"))
    gateway = world.gateway().start()
    gateway.serves("plain")
    assert gateway.get("/nowhere/x").status == 404
