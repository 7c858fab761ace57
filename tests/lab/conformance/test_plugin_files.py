# Copyright (c) 2026 tyk.upgrade contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Which of a bundle's files a gateway opens for the path plugin.so."""

from __future__ import annotations

import pytest
from subject import Version, named, order
from world import World

GARBAGE = b"this is no plugin"


@pytest.mark.parametrize("position", [0, 1, 2])
def test_the_first_file_in_the_order_of_the_version_is_opened(world: World, version: Version, position: int) -> None:
    kinds = order(version)
    if position >= len(kinds):
        pytest.skip("this version knows fewer names")
    files = {named(version)[kind]: GARBAGE for kind in kinds[position + 1 :]}
    files[named(version)[kinds[position]]] = world.build("one")
    world.file(world.api("api", world.publish("one.zip", files)))
    gateway = world.gateway().start()
    assert gateway.serves("api").mark


def test_a_wrong_file_earlier_in_the_order_hides_a_right_one(world: World, version: Version) -> None:
    kinds = order(version)
    if len(kinds) == 1:
        pytest.skip("this version knows one name only")
    files = {named(version)[kinds[0]]: GARBAGE, named(version)[kinds[1]]: world.build("one")}
    world.file(world.api("api", world.publish("one.zip", files)), world.api("plain"))
    gateway = world.gateway().start()
    gateway.serves("plain")
    answer = gateway.get("/api/x")
    assert answer.status == 500 or (answer.status == 200 and not answer.mark)
    assert gateway.said("Could not load Go-plugin"), gateway.log[-3000:]


def test_files_of_other_versions_only_are_no_plugin_at_all(world: World, version: Version) -> None:
    """HTTP 500, or in 4.1 to 4.3, 4.0.0 to 4.0.12 and 5.0.0 the request goes through without the plugin."""
    world.file(
        world.api("api", world.publish("one.zip", {named(version)["other"]: world.build("one")})), world.api("plain")
    )
    gateway = world.gateway().start()
    gateway.serves("plain")
    answer = gateway.get("/api/x")
    if version.since("4.0.13", "5.0.1"):
        assert answer.status == 500
        assert world.upstream.requests == 1
    else:
        assert (answer.status, answer.mark) == (200, "")


def test_the_log_names_what_it_looked_for_in_its_order(world: World, version: Version) -> None:
    if not version.since("4.3.2"):
        pytest.skip("the wording is that of later versions")
    world.file(world.api("api", world.publish("one.zip", {named(version)["other"]: GARBAGE})), world.api("plain"))
    gateway = world.gateway().start()
    gateway.serves("plain")
    missed = [line for line in gateway.log.splitlines() if "doesn't exist" in line]
    for line, kind in zip(missed, order(version)):
        assert named(version)[kind] in line
    assert len(missed) >= 3


def test_a_full_name_in_the_manifest_is_taken_as_it_is(world: World, version: Version) -> None:
    name = named(version)["v"]
    middleware = {"driver": "goplugin", "pre": [{"name": "Pre", "path": name}]}
    world.file(world.api("api", world.publish("one.zip", {name: world.build("one")}, middleware)))
    gateway = world.gateway().start()
    assert gateway.serves("api").mark
