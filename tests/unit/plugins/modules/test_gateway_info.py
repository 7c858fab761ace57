# Copyright (c) 2026 tyk.upgrade contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""gateway_info and gateway_reload against gateways' control endpoints on loopback."""

from __future__ import annotations

import time
from typing import Any, Dict, Iterator, List

import pytest

from ansible_collections.tyk.upgrade.tests.unit.plugins.modules.module_runner import run_failing, run_module
from ansible_collections.tyk.upgrade.tests.unit.plugins.modules.servers import (
    FixedServer,
    GatewayServer,
    Request,
    json_reply,
)


@pytest.fixture
def gateway() -> Iterator[GatewayServer]:
    with GatewayServer() as server:
        yield server


def entry(server: Any, name: str = "gw1", **more: Any) -> Dict[str, Any]:
    return {"name": name, "url": server.url, **more}


def look(*servers: Any, **more: Any) -> Dict[str, Any]:
    gateways = [entry(server, f"gw{number}") for number, server in enumerate(servers, 1)]
    return run_module("gateway_info", {"gateways": gateways, **more})


def codes(result: Dict[str, Any]) -> List[str]:
    return [finding["code"] for finding in result["findings"]]


def test_a_healthy_gateway(gateway: GatewayServer) -> None:
    result = look(gateway)
    seen = result["gateways"][0]
    assert not result["changed"]
    assert result["findings"] == []
    assert seen["reachable"] and seen["version"] == "5.8.9" and seen["status"] == "pass"
    assert seen["details"] == {"redis": "pass", "rpc": "pass"}
    assert seen["ready"] is True and seen["waiting_for"] == [] and seen["error"] is None
    assert seen["latency_ms"] > 0


def test_a_leading_v_is_taken_off_and_no_readiness_endpoint_is_none(gateway: GatewayServer) -> None:
    gateway.version, gateway.ready = "v4.0.3", None
    seen = look(gateway)["gateways"][0]
    assert seen["version"] == "4.0.3"
    assert seen["ready"] is None and seen["waiting_for"] == []


def test_503_with_json_is_an_observation(gateway: GatewayServer) -> None:
    gateway.status, gateway.details, gateway.ready = 503, {"redis": "fail", "rpc": "pass"}, 503
    result = look(gateway)
    assert result["gateways"][0]["reachable"]
    assert codes(result) == ["gateway-not-ready", "gateway-redis"]
    assert result["gateways"][0]["waiting_for"] == [
        "readiness (its readiness endpoint says no)",
        "details.redis pass (it says fail)",
    ]


def test_a_pass_before_the_first_check_proves_nothing(gateway: GatewayServer) -> None:
    gateway.details = {}
    result = look(gateway)
    assert result["gateways"][0]["status"] == "pass"
    assert result["gateways"][0]["waiting_for"] == ["details.redis pass (no details yet)"]
    assert codes(result) == ["gateway-not-ready"]


def test_a_lost_control_plane_is_an_error(gateway: GatewayServer) -> None:
    gateway.details = {"redis": "pass", "rpc": "warn"}
    assert codes(look(gateway)) == ["gateway-rpc"]


def test_rpc_is_wanted_only_where_asked_or_listed(gateway: GatewayServer) -> None:
    gateway.details = {"redis": "pass"}
    assert look(gateway)["gateways"][0]["waiting_for"] == []
    asked = look(gateway, wait_for={"rpc": True})["gateways"][0]
    assert asked["waiting_for"] == ["details.rpc pass (not listed)"]


@pytest.mark.parametrize(
    ("reply", "part"),
    [
        ((200, {"Content-Type": "text/html"}, b"<html>hello</html>"), "an HTML page"),
        (json_reply(200, {"nothing": 1}), "no gateway's health"),
        ((500, {}, b"boom"), "answered 500"),
        (None, "closed without an answer"),
    ],
)
def test_what_is_no_gateway_is_unreachable(reply: Any, part: str) -> None:
    with FixedServer(lambda request: reply) as server:
        result = look(server)
    assert not result["gateways"][0]["reachable"]
    assert part in result["gateways"][0]["error"]
    assert codes(result) == ["gateway-unreachable"]


def test_one_unreachable_gateway_does_not_hide_the_others(gateway: GatewayServer) -> None:
    gone = GatewayServer()
    gone.close()
    result = look(gone, gateway)
    assert [seen["reachable"] for seen in result["gateways"]] == [False, True]
    assert "the connection was refused" in result["gateways"][0]["error"]
    assert result["findings"][0]["subject"] == "gw1"


def test_many_gateways_are_asked_at_the_same_time(gateway: GatewayServer) -> None:
    gateway.delay = 0.3
    started = time.monotonic()
    result = look(*[gateway] * 20)
    assert len(result["gateways"]) == 20
    # Each needs two answers of 0.3 s; one after another they would take 12 s.
    assert time.monotonic() - started < 3


def test_credentials_in_an_address_are_never_shown(gateway: GatewayServer) -> None:
    url = gateway.url.replace("://", "://user:tops3cret@") + "?api_key=an0therone"
    result = run_module("gateway_info", {"gateways": [{"name": "gw1", "url": url, "secret": "gatewaysecret"}]})
    text = str(result)
    assert result["gateways"][0]["url"] == gateway.url
    assert "tops3cret" not in text and "an0therone" not in text and "gatewaysecret" not in text


def test_waiting_ends_when_everything_holds(gateway: GatewayServer) -> None:
    gateway.details, gateway.version = {}, "5.3.0"

    def progress(number: int) -> None:
        if number == 2:
            gateway.version = "5.8.9"
        if number == 3:
            gateway.details = {"redis": "pass", "rpc": "pass"}

    gateway.on_hello = progress
    gateway.apis["/orders/"] = lambda request: json_reply(200 if gateway.hellos > 3 else 404, {})
    result = look(
        gateway,
        wait=True,
        wait_timeout=20,
        wait_for={
            "version": "v5.8.9",
            "redis": True,
            "rpc": True,
            "api": {"path": "/orders/get", "headers": {"X": "y"}},
        },
    )
    assert not result["failed"], result
    assert result["gateways"][0]["waiting_for"] == []
    assert gateway.hellos == 4
    asked = [request for request in gateway.requests if request.path == "/orders/get"]
    assert len(asked) == 2, "the API is asked only when everything else holds"
    assert asked[0].headers["x"] == "y"


def test_waiting_fails_at_the_deadline_and_says_for_what(gateway: GatewayServer) -> None:
    with GatewayServer() as other:
        other.details = {}
        started = time.monotonic()
        result = run_failing(
            "gateway_info",
            {
                "gateways": [entry(gateway), entry(other, "gw2")],
                "wait": True,
                "wait_timeout": 1,
                "wait_for": {"version": "5.9.0", "api": {"path": "/orders/"}},
            },
        )
    assert time.monotonic() - started < 4
    assert "gw1 for version 5.9.0 (it runs 5.8.9), the API at /orders/ (not asked yet)" in result["msg"]
    assert "gw2 for version 5.9.0 (it runs 5.8.9), details.redis pass (no details yet)" in result["msg"]
    assert len(result["gateways"]) == 2


def test_an_api_that_wants_credentials_can_prove_that_apis_are_loaded(gateway: GatewayServer) -> None:
    gateway.apis["/payments/"] = lambda request: json_reply(401, {})
    wait_for = {"api": {"path": "/payments/get", "status": [401, 403]}}
    assert look(gateway, wait=True, wait_timeout=5, wait_for=wait_for)["gateways"][0]["waiting_for"] == []
    missing = look(gateway, wait_for={"api": {"path": "/none/"}})["gateways"][0]["waiting_for"]
    assert missing == ["the API at /none/ to answer 200 (it answered 404)"]


def reload(server: Any, secret: str = "gateway-secret", check: bool = False, **more: Any) -> Dict[str, Any]:
    return run_module("gateway_reload", {"gateways": [entry(server, secret=secret)], **more}, check=check)


def test_reload_blocks_by_default(gateway: GatewayServer) -> None:
    result = reload(gateway)
    assert result["changed"] and result["results"][0]["reloaded"]
    assert gateway.reloads == ["/tyk/reload?block=true"]


def test_reload_without_block_and_of_the_group(gateway: GatewayServer) -> None:
    reload(gateway, block=False)
    reload(gateway, scope="group")
    assert gateway.reloads == ["/tyk/reload", "/tyk/reload/group"]


def test_a_group_is_signalled_by_the_first_gateway_that_answers(gateway: GatewayServer) -> None:
    gone = GatewayServer()
    gone.close()
    secret = {"secret": "gateway-secret"}
    gateways = [entry(gone, "gw1", **secret), entry(gateway, "gw2", **secret), entry(gateway, "gw3", **secret)]
    result = run_module("gateway_reload", {"gateways": gateways, "scope": "group"})
    assert not result["failed"]
    assert [one["reloaded"] for one in result["results"]] == [False, True]
    assert gateway.reloads == ["/tyk/reload/group"]


def test_reload_in_check_mode_sends_nothing(gateway: GatewayServer) -> None:
    assert reload(gateway, check=True)["changed"]
    assert gateway.requests == []


def test_a_wrong_secret_is_a_sentence_without_the_secret(gateway: GatewayServer) -> None:
    result = reload(gateway, secret="wrong-secret")
    assert result["failed"]
    assert "answered 403" in result["msg"] and "secret" in result["msg"]
    assert "wrong-secret" not in str(result)


def test_a_reload_that_is_not_confirmed_fails() -> None:
    def broken(request: Request) -> Any:
        return json_reply(200, {"status": "error", "message": "not now"})

    with FixedServer(broken) as server:
        result = reload(server)
    assert result["failed"] and "not now" in result["msg"]
