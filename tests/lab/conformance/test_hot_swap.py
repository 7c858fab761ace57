# Copyright (c) 2026 tyk.upgrade contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What Go allows when a running gateway is switched to another bundle."""

from __future__ import annotations

import shutil

import pytest
from subject import Version
from world import SECRET, World, traffic


def refused(status: int, mark: str, version: Version) -> bool:
    """A hook that cannot be loaded: an error, or silently skipped."""
    if version.since("4.0.13", "5.0.1"):
        return status == 500
    return status == 200 and not mark


def test_the_same_plugin_in_a_new_bundle_breaks_a_running_gateway(world: World, version: Version) -> None:
    world.file(world.api("api", world.publish_build("one.zip", "one")))
    gateway = world.gateway().start()
    assert gateway.serves("api").mark
    world.file(world.api("api", world.publish_build("again.zip", "one")))
    gateway.reload()
    for _try in range(5):
        answer = gateway.get("/api/x")
        assert refused(answer.status, answer.mark, version), answer
    assert gateway.said("plugin already loaded"), gateway.log[-3000:]
    world.file(world.api("api", "one.zip"))
    gateway.reload()
    assert gateway.get("/api/x").mark


def test_after_a_restart_the_same_plugin_in_the_new_bundle_loads(world: World) -> None:
    world.publish_build("one.zip", "one")
    world.file(world.api("api", world.publish_build("again.zip", "one")))
    first = world.gateway().start()
    assert first.serves("api").mark
    first.stop()
    assert world.gateway().start().serves("api").mark


def test_a_build_with_a_path_of_its_own_is_swapped_without_one_failed_request(world: World) -> None:
    world.file(world.api("api", world.publish_build("one.zip", "one")))
    gateway = world.gateway().start()
    before = gateway.serves("api").mark
    with traffic(gateway, "/api/x") as answers:
        while len(answers) < 50:
            pass
        world.file(world.api("api", world.publish_build("two.zip", "two")))
        gateway.reload()
        until = len(answers) + 50
        while len(answers) < until:
            pass
    assert {answer.status for answer in answers} == {200}
    assert all(answer.mark for answer in answers)
    assert answers[-1].mark != before


def test_a_link_to_the_file_already_opened_is_the_same_plugin(world: World) -> None:
    world.file(world.api("api", world.publish_build("one.zip", "one")))
    gateway = world.gateway().start()
    before = gateway.serves("api").mark
    files = world.versioned(world.build("one"))
    placed = world.place("linked.zip", files)
    for file in files:
        (placed / file).unlink()
        (placed / file).symlink_to(world.directory("one.zip") / file)
    world.file(world.api("api", "linked.zip"))
    gateway.reload()
    assert gateway.get("/api/x").mark == before


def test_a_missing_symbol_is_a_plugin_that_cannot_be_loaded(world: World, version: Version) -> None:
    middleware = {"driver": "goplugin", "pre": [{"name": "Nope", "path": "plugin.so"}]}
    world.file(world.api("api", world.publish_build("one.zip", "one", middleware)), world.api("plain"))
    gateway = world.gateway().start()
    gateway.serves("plain")
    answer = gateway.get("/api/x")
    assert refused(answer.status, answer.mark, version)
    assert gateway.said("Nope not found"), gateway.log[-3000:]


def test_a_failed_load_poisons_the_plugin_path_for_the_right_file_too(world: World, version: Version) -> None:
    bad = world.versioned(world.build("mismatch"))
    world.file(world.api("api", world.publish("bad.zip", bad)), world.api("plain"))
    gateway = world.gateway().start()
    gateway.serves("plain")
    answer = gateway.get("/api/x")
    assert refused(answer.status, answer.mark, version)
    assert gateway.said("plugin was built with a different version of package"), gateway.log[-3000:]
    world.file(world.api("api", world.publish_build("good.zip", "one")))
    gateway.reload()
    answer = gateway.get("/api/x")
    assert refused(answer.status, answer.mark, version)
    world.file(world.api("api", world.publish_build("unique.zip", "two")))
    gateway.reload()
    assert gateway.get("/api/x").mark


def test_a_file_of_another_go_generation_kills_the_process_at_start(world: World) -> None:
    world.file(world.api("api", world.publish("foreign.zip", world.versioned(world.build("foreign")))))
    gateway = world.gateway().start()
    assert gateway.wait(20) == 2
    assert gateway.said("no plugin module data"), gateway.log[-3000:]


def test_a_file_of_another_go_generation_kills_a_running_gateway_or_is_taken_for_a_loaded_one(
    world: World, version: Version
) -> None:
    """Which of the two, Go decides. Seen: 1.21 dies of 1.24's; 1.24 that has a plugin says the other of 1.21's."""
    world.file(world.api("api", world.publish_build("one.zip", "one")))
    gateway = world.gateway().start()
    gateway.serves("api")
    world.file(world.api("api", world.publish("foreign.zip", world.versioned(world.build("foreign")))))
    answer = gateway.get("/tyk/reload/?block=true", 20, **{"X-Tyk-Authorization": SECRET})
    if answer.status == 200:
        after = gateway.get("/api/x")
        assert refused(after.status, after.mark, version), after
        assert gateway.said("plugin already loaded"), gateway.log[-3000:]
    else:
        assert gateway.wait(20) == 2


def test_a_foreign_file_under_another_name_does_no_harm(world: World, version: Version) -> None:
    if not version.since("4.3.2"):
        pytest.skip("this version has one name for both")
    files = {"plugin_v9.9.9_linux_amd64.so": world.build("foreign"), **world.versioned(world.build("one"))}
    world.file(world.api("api", world.publish("both.zip", files)))
    assert world.gateway().start().serves("api").mark


def test_a_placed_directory_that_vanishes_is_downloaded_anew(world: World) -> None:
    world.file(world.api("api", world.publish_build("one.zip", "one")))
    first = world.gateway().start()
    first.serves("api")
    first.stop()
    shutil.rmtree(world.directory("one.zip"))
    assert world.gateway().start().serves("api").mark
    assert len(world.bundles.requests_for("one.zip")) == 2
