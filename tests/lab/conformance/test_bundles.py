# Copyright (c) 2026 tyk.upgrade contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""How a bundle is fetched, checked and kept."""

from __future__ import annotations

import pytest
from subject import Version, enforces_downloads
from world import PRE, World, bundle, hook, zipped


def verifies_existing(version: Version) -> bool:
    return version.since("5.8.7", "5.10.1", "5.11.0") and not version.since("5.8.11", "5.11.1")


def test_a_bundle_lands_in_a_directory_named_by_the_md5_of_its_name(world: World) -> None:
    world.file(world.api("api", world.publish_build("one.zip", "one")))
    gateway = world.gateway().start()
    assert gateway.serves("api").mark
    assert (world.directory("one.zip") / "manifest.json").is_file()
    assert len(world.bundles.requests_for("one.zip")) == 1


def test_other_content_under_the_same_name_is_never_noticed(world: World) -> None:
    world.file(world.api("api", world.publish_build("one.zip", "one")))
    gateway = world.gateway().start()
    before = gateway.serves("api").mark
    world.publish_build("one.zip", "two")
    gateway.reload()
    assert gateway.get("/api/x").mark == before
    assert len(world.bundles.requests_for("one.zip")) == 1


def test_a_directory_that_is_there_already_wins_over_a_download(world: World) -> None:
    world.place("one.zip", world.versioned(world.build("one")))
    world.file(world.api("api", "one.zip"))
    gateway = world.gateway().start()
    assert gateway.serves("api").mark
    assert world.bundles.asked == []


@pytest.mark.parametrize("checksum", ["", "0" * 32])
def test_a_placed_directory_with_a_wrong_checksum(world: World, version: Version, checksum: str) -> None:
    """Nobody looks before 5.8.7, 5.10.1 and 5.11.0; from then on the API is gone and nothing is fetched instead."""
    world.place("one.zip", world.versioned(world.build("one")), checksum=checksum)
    world.publish_build("one.zip", "one")
    world.file(world.api("api", "one.zip"), world.api("plain"))
    gateway = world.gateway().start()
    gateway.serves("plain")
    if verifies_existing(version):
        assert gateway.get("/api/x").status == 404
    else:
        assert gateway.get("/api/x").mark
    assert world.bundles.asked == []


def test_an_empty_placed_directory(world: World, version: Version) -> None:
    world.directory("one.zip").mkdir()
    world.publish_build("one.zip", "one")
    world.file(world.api("api", "one.zip"), world.api("plain"))
    gateway = world.gateway().start()
    gateway.serves("plain")
    answer = gateway.get("/api/x")
    if version.since("5.8.7", "5.10.1", "5.11.0"):
        assert answer.status == 404
    else:
        assert (answer.status, answer.mark) == (200, "")
    assert world.bundles.asked == []


@pytest.mark.parametrize("checksum", ["", "0" * 32])
def test_a_downloaded_bundle_with_a_wrong_checksum(world: World, version: Version, checksum: str) -> None:
    """Logged and used up to 5.0.11 and 5.3.0; enforced since: no API, no directory."""
    world.publish("one.zip", world.versioned(world.build("one")), PRE, checksum=checksum)
    world.file(world.api("api", "one.zip"), world.api("plain"))
    gateway = world.gateway().start()
    gateway.serves("plain")
    if enforces_downloads(version):
        assert gateway.get("/api/x").status == 404
        assert not world.directory("one.zip").exists()
    else:
        assert gateway.get("/api/x").mark
        assert gateway.said("Bundle verification failed"), gateway.log[-3000:]


def test_a_missing_bundle_is_asked_for_five_times_and_then_the_api_is_open_or_gone(
    world: World, version: Version
) -> None:
    world.file(world.api("api", "missing.zip"), world.api("plain"))
    gateway = world.gateway().start()
    gateway.serves("plain", timeout=40)
    asked = world.bundles.requests_for("missing.zip")
    assert len(asked) == (5 if version.since("4.0.11", "4.3.2", "5.0.0") else 1)
    pauses = [later - earlier for earlier, later in zip(asked, asked[1:])]
    assert all(0.2 <= pause <= 7 for pause in pauses), pauses  # the last is 4 s, give or take half of it
    assert pauses == sorted(pauses) or max(pauses) >= 2 * min(pauses)
    answer = gateway.get("/api/x")
    if enforces_downloads(version):
        assert answer.status == 404
    else:
        assert (answer.status, answer.mark) == (200, "")


def test_a_download_is_cut_after_five_seconds_and_tried_again(world: World, version: Version) -> None:
    """Before 4.0.11, and from 4.1.0 to 4.3.1, it may take as long as it likes."""
    world.file(world.api("api", world.publish_build("slow.zip", "one")))
    world.bundles.delays = [8.0]
    gateway = world.gateway().start()
    assert gateway.serves("api", timeout=25).mark
    asked = world.bundles.requests_for("slow.zip")
    if version.since("4.0.11", "4.3.2", "5.0.0"):
        first, second = asked
        assert 5 <= second - first <= 7.5
    else:
        assert len(asked) == 1


@pytest.mark.parametrize("wrong", ["page", "cut", "no manifest"])
def test_what_is_no_bundle_is_the_same_as_none(world: World, version: Version, wrong: str) -> None:
    """A server's page in place of the bundle, half of one, one without a manifest: asked for once, and not kept.

    The next reload asks again; from 4.0.7 and 4.2.2 to 5.0.10 and 5.2 an API that is as it was stays as it is all the same.
    """
    files = world.versioned(world.build("one"))
    whole = bundle(files, PRE)
    world.bundles.files["one.zip"] = {
        "page": b"<!doctype html><title>Log in</title>",
        "cut": whole[: len(whole) // 2],
        "no manifest": zipped(files),
    }[wrong]
    world.file(world.api("api", "one.zip"), world.api("plain"))
    gateway = world.gateway().start()
    gateway.serves("plain")
    answer = gateway.get("/api/x")
    if enforces_downloads(version):
        assert answer.status == 404
    else:
        assert (answer.status, answer.mark) == (200, "")
    assert len(world.bundles.requests_for("one.zip")) == 1
    kept = world.directory("one.zip")
    if wrong == "no manifest" or not version.since("5.8.7", "5.10.1", "5.11.0"):
        assert not kept.exists()
    world.publish_build("one.zip", "one")
    gateway.reload()
    unchanged_is_kept = version.since("4.0.7", "4.2.2") and not version.since("5.0.11", "5.3.0")
    if unchanged_is_kept:
        assert (gateway.get("/api/x").mark, len(world.bundles.requests_for("one.zip"))) == ("", 1)
    elif (kept / "manifest.json").exists():
        assert gateway.get("/api/x").mark
    else:  # the empty folder of a failed extraction counts as a bundle
        assert version.since("5.8.7", "5.10.1", "5.11.0")


def test_a_hook_whose_file_is_not_in_the_bundle(world: World, version: Version) -> None:
    middleware = {"driver": "goplugin", "pre": [hook("Pre", "another.so")]}
    world.file(world.api("api", world.publish("one.zip", world.versioned(world.build("one")), middleware)))
    gateway = world.gateway().start()
    answer = gateway.serves("api", status=500 if version.since("4.0.13", "5.0.1") else 200)
    assert not answer.mark
    words = "plugin file not found" if version.since("4.3.2") else "Could not load Go-plugin"
    assert gateway.said(words), gateway.log[-3000:]


def test_a_file_in_a_folder_is_never_extracted(world: World, version: Version) -> None:
    """Nothing makes the folder. Half a bundle is used up to 5.8.6, 5.9 and 5.10.0; refused from then on."""
    files = {**world.versioned(world.build("one")), "sub/data.txt": b"data"}
    world.file(world.api("api", world.publish("one.zip", files)), world.api("plain"))
    gateway = world.gateway().start()
    gateway.serves("plain")
    answer = gateway.get("/api/x")
    assert not (world.directory("one.zip") / "sub").exists()
    if enforces_downloads(version):
        assert answer.status == 404
    else:
        assert (answer.status, answer.mark) == (200, "")


def test_a_file_that_no_hook_names_may_travel_in_a_bundle(world: World) -> None:
    files = {**world.versioned(world.build("one")), "tyk-upgrade.json": b'{"schema": "tyk.upgrade/provenance/v1"}'}
    world.file(world.api("api", world.publish("one.zip", files)))
    gateway = world.gateway().start()
    assert gateway.serves("api").mark
    assert (world.directory("one.zip") / "tyk-upgrade.json").is_file()


def test_a_disabled_bundle_is_left_alone_since_5_0(world: World, version: Version) -> None:
    name = world.publish_build("one.zip", "one")
    world.file(world.api("api", name, custom_middleware_bundle_disabled=True))
    gateway = world.gateway().start()
    mark = gateway.serves("api").mark
    assert bool(mark) != version.since("5.0.0")
    assert bool(world.bundles.asked) != version.since("5.0.0")


def test_apis_that_name_the_same_bundle_share_its_directory(world: World) -> None:
    name = world.publish_build("one.zip", "one")
    world.file(world.api("first", name), world.api("second", name))
    gateway = world.gateway().start()
    assert gateway.serves("first").mark == gateway.serves("second").mark
    assert len(list((world.middleware / "bundles").iterdir())) == 1
