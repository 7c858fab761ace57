# Copyright (c) 2026 tyk.upgrade contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The filters hand on what inventory and modules say; every one of them is documented."""

from __future__ import annotations

from pathlib import Path

import pytest
import yaml
from ansible.errors import AnsibleFilterError

from ansible_collections.tyk.upgrade.plugins.filter import run

FOLDER = Path(run.__file__).parent
HOSTVARS = {
    "gw1": {
        "tyk_gateway_url": "http://gw1",
        "tyk_gateway_secret": "s",
        "gateway_container": "tyk1",
        "seen": {
            "containers": [{"found": True, "repository": "r", "tag": "v5.3.0", "running": True}],
            "findings": [{"code": "disk-small"}],
        },
    },
    "gw2": {"tyk_gateway_url": "http://gw2", "seen": {"unreachable": True}},
    "pump1": {"pump_container": "p", "seen": {"containers": [{"found": True, "repository": "pump", "tag": "v1.9.0", "running": True}]}},
}


@pytest.mark.parametrize("name", sorted(run.FilterModule().filters()))
def test_every_filter_is_documented(name):
    page = yaml.safe_load((FOLDER / f"{name}.yml").read_text())
    assert page["DOCUMENTATION"]["name"] == name
    assert f"tyk.upgrade.{name}" in page["EXAMPLES"]


def test_host_settings_leaves_out_what_a_host_does_not_have():
    wanted = {"url": "tyk_gateway_url", "secret": "tyk_gateway_secret"}
    assert run.host_settings(["gw1", "gw2"], HOSTVARS, wanted) == [
        {"name": "gw1", "url": "http://gw1", "secret": "s"},
        {"name": "gw2", "url": "http://gw2"},
    ]


def test_observed_state_keeps_a_host_that_could_not_be_seen():
    state = run.observed_state(
        HOSTVARS,
        {
            "gateway_hosts": ["gw1", "gw2"],
            "pump_hosts": ["pump1"],
            "facts": ["seen"],
            "gateways": [{"name": "gw1", "reachable": True, "version": "5.3.0", "waiting_for": []}],
            "bundles": [{"item": "b.zip", "manifest": {"file_list": []}}],
            "findings": [{"code": "drift"}],
        },
    )
    assert [(one["host"], one["reachable"], one["container"]) for one in state["gateways"]] == [("gw1", True, "tyk1"), ("gw2", False, "")]
    assert state["pumps"][0]["version"] == "1.9.0"
    assert state["bundles"][0]["name"] == "b.zip"
    assert [one["code"] for one in state["findings"]] == ["drift", "disk-small"]


def test_observed_state_says_what_is_going_to_be_repaired():
    container = {"found": True, "running": False, "interrupted": True, "repository": "tyk", "tag": "v5.3.0"}
    state = run.observed_state(
        {"gw1": {"seen": {"containers": [container]}}},
        {
            "gateway_hosts": ["gw1"],
            "facts": ["seen"],
            "gateways": [{"name": "gw1", "reachable": False, "version": None, "waiting_for": []}],
            "findings": [{"code": "gateway-unreachable", "subject": "gw1"}],
        },
    )
    assert [(one["version"], one["reachable"]) for one in state["gateways"]] == [("5.3.0", True)]
    assert [one["code"] for one in state["findings"]] == ["gateway-interrupted"]


def test_a_probe_error_is_a_sentence_for_the_user():
    plugin = {"name": "P", "probe": {"api": "nope", "expect": {"headers": {"X": "1"}}}}
    with pytest.raises(AnsibleFilterError, match="names the API 'nope'"):
        run.probe_targets([plugin], [])


def test_a_package_is_described_by_the_inventory_and_by_what_packages_are_like():
    settings = run.package_settings({"gateway_package": "tyk-gateway-ee", "gateway_unit": "", "gateway_release_hold": True}, "gateway")
    assert (settings["name"], settings["unit"], settings["release_hold"]) == ("tyk-gateway-ee", "tyk-gateway", True)
    assert settings["middleware_path"] == "/opt/tyk-gateway/middleware"
    assert run.package_settings({}, "pump")["config_file"] == "/opt/tyk-pump/pump.conf"


def test_a_name_is_joined_to_a_path_and_the_query_is_kept():
    assert run.joined_url("http://h/b/?sig=1", "a-1.zip") == "http://h/b/a-1.zip?sig=1"
    assert run.joined_url("http://h/b", "a-1.zip") == "http://h/b/a-1.zip"


def test_a_pump_whose_time_nobody_measured_is_not_judged():
    assert run.pump_gap(None, "pump1", 60) == [] and run.pump_gap("", "pump1", "60") == []
    assert run.pump_gap("61", "pump1", "60")[0]["code"] == "pump-out-long"


def test_edits_by_hand_become_findings():
    assert [one["subject"] for one in run.manual_edits(["a", "b"], "gw1")] == ["gw1", "gw1"]
