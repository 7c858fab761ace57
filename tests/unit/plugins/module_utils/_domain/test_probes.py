# Copyright (c) 2026 tyk.upgrade contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Probes become requests that can tell whether a plugin runs."""

from __future__ import annotations

import pytest

from ansible_collections.tyk.upgrade.plugins.module_utils._domain.probes import ProbeError, targets

APIS = [
    {"id": "a1", "name": "orders", "listen_path": "/orders/"},
    {"id": "a2", "name": "payments", "listen_path": "/pay"},
]
GUARD = {
    "name": "Guard",
    "probe": {
        "api": "payments",
        "path": "/get",
        "headers": {"Authorization": "good", "X-Other": "1"},
        "expect": {"status": 200, "headers": {"X-Plugin": "guard"}},
        "deny": {"path": "/get", "without": ["authorization"]},
    },
}


def test_an_effect_and_a_refusal_are_two_requests():
    effect, refusal = targets([GUARD], APIS)
    assert (effect.kind, effect.path, list(effect.status)) == ("effect", "/pay/get", [200])
    assert effect.expect_headers == {"X-Plugin": "guard"}
    assert (refusal.kind, refusal.path, list(refusal.status)) == ("deny", "/pay/get", [401, 403])
    assert refusal.headers == {"X-Other": "1"}


def test_a_refusal_may_send_other_credentials():
    probe = dict(GUARD["probe"], deny={"headers": {"Authorization": "bad"}, "status": [418]})
    refusal = targets([{"name": "Guard", "probe": probe}], APIS)[1]
    assert refusal.headers["Authorization"] == "bad"
    assert list(refusal.status) == [418]
    assert refusal.path == "/pay/get"


def test_the_url_is_relative_to_the_base():
    assert targets([GUARD], APIS)[0].to_dict("http://lb:8080/")["url"] == "http://lb:8080/pay/get"


@pytest.mark.parametrize("named", ["a1", "orders"])
def test_an_api_is_found_by_id_or_name(named):
    plugin = {"name": "P", "probe": {"api": named, "path": "x", "expect": {"headers": {"X": "1"}}}}
    assert targets([plugin], APIS)[0].path == "/orders/x"


def test_a_plugin_without_a_probe_makes_no_request():
    assert targets([{"name": "P"}], APIS) == []


def test_an_unknown_api_is_named_with_the_known_ones():
    with pytest.raises(ProbeError, match="plugin 'P' names the API 'nope'.*orders, payments"):
        targets([{"name": "P", "probe": {"api": "nope", "expect": {"headers": {"X": "1"}}}}], APIS)


def test_a_probe_that_proves_nothing_is_refused():
    with pytest.raises(ProbeError, match="cannot tell whether the plugin runs"):
        targets([{"name": "P", "probe": {"api": "orders", "expect": {"status": 200}}}], APIS)
