# Copyright (c) 2026 tyk.upgrade contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What the phases ask of modules where no bundle serves both versions, and where a build is used on by a link."""

from __future__ import annotations

from pathlib import Path
from typing import Any, Dict

import pytest

from ansible_collections.tyk.upgrade.plugins.module_utils._domain.paths import PER_HOST
from ansible_collections.tyk.upgrade.tests.unit.playbooks.test_lost_hosts import NEW, OLD, PLAN, World

pytestmark = pytest.mark.slow

BUNDLE: Dict[str, Any] = {**PLAN["bundles"][0], "links": {}, "placed_for": "", "symbols": {}, "stem": "new", "replaces": "old.zip"}
LINKS = {"X.so": {"bundle": "old.zip", "file": "X.so"}}


def world_of(folder: Path, bundles: Any, **changes: Any) -> World:
    world = World(folder)
    world.run = {**world.run, "plan": {**PLAN, "bundles": bundles, "explanation": [], **changes}}
    world.answers["bundle_fetch_check"] = {"means": "the host itself", "bytes": 1, "seconds": 0.5, "findings": []}
    world.answers["bundle_publish"] = {}  # under the names of the plan
    world.answers["bundle_place"] = {"folder": "/middleware/bundles/0", "files": [{"src": "/staged/X.so", "dest": "/X.so", "mode": "0644"}], "before": []}
    return world


@pytest.fixture
def per_host(tmp_path: Path) -> World:
    placed = {**BUNDLE, "name": f"new-for-{OLD}.zip", "placed_for": "new.zip", "versions": [OLD]}
    return world_of(tmp_path, [{**BUNDLE, "versions": [NEW]}, placed], cutover=PER_HOST)


@pytest.fixture
def linked(tmp_path: Path) -> World:
    return world_of(tmp_path, [{**BUNDLE, "versions": [OLD, NEW], "links": LINKS}])


PLACED = {"bundle": "new.zip", "url": f"http://bundles/new-for-{OLD}.zip", "links": {}}


def test_each_gateway_is_given_its_own_builds_before_the_switch(per_host: World) -> None:
    ended = per_host.play("prepare", lose={})
    assert ended.code == 0 and ended.asked("bundle_place", **PLACED, _ansible_check_mode=False) == 2, ended.output


def test_the_switch_looks_for_them_and_changes_none(per_host: World) -> None:
    ended = per_host.play("switch", lose={})
    assert ended.code == 0 and ended.asked("bundle_place", **PLACED, _ansible_check_mode=True) == 2, ended.output
    assert ended.asked("bundle_place", _ansible_check_mode=False) == 0 and ended.asked("api_definition_patch") == 1


def test_the_target_s_builds_take_their_place_while_a_gateway_is_out_of_service(per_host: World) -> None:
    ended = per_host.play("gateways", lose={})
    staged = {"bundle": "new.zip", "url": "http://bundles/new.zip", "state": "staged"}
    assert ended.asked("bundle_place", **staged) >= 1, ended.output
    upgrades = [given for name, given in ended.calls if name == "container_upgrade"]
    assert upgrades and upgrades[0]["files"] == [{"src": "/staged/X.so", "dest": "/X.so", "mode": "0644"}]


def test_what_runs_is_linked_on_every_gateway(linked: World) -> None:
    ended = linked.play("prepare", lose={})
    assert ended.code == 0, ended.output
    assert ended.asked("bundle_place", bundle="new.zip", url="http://bundles/new.zip", links=LINKS) == 2


def test_a_gateway_that_is_lost_while_it_is_looked_at_stops_the_switch(per_host: World) -> None:
    ended = per_host.play("switch", lose={"Look whether the builds of the running version are in place": {"gw2": "before"}})
    assert ended.code == 2 and ended.asked("api_definition_patch") == 0, ended.output


@pytest.mark.parametrize("kind", ["per_host", "linked"])
def test_the_switch_alone_is_refused_where_a_gateway_lacks_them(kind: str, request: pytest.FixtureRequest) -> None:
    world = request.getfixturevalue(kind)
    world.answers["bundle_place"]["changed"] = True
    ended = world.play("switch", lose={})
    assert ended.code == 2 and ended.asked("api_definition_patch") == 0, ended.output
    said = " ".join(ended.output.split())
    assert "HALTED in switch: On gw1, gw2 the builds that serve beside the new ones are not in place." in said
