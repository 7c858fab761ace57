# Copyright (c) 2026 tyk.upgrade contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What was observed becomes the state, and nothing that could not be looked at is forgotten."""

from __future__ import annotations

from typing import Any, Tuple

from ansible_collections.tyk.upgrade.plugins.module_utils._domain import observation

LIVE = {"name": "gw1", "reachable": True, "version": "5.3.0", "waiting_for": []}
CONTAINER = {
    "found": True,
    "running": True,
    "repository": "tykio/tyk-gateway",
    "tag": "v5.3.0",
    "image_id": "sha256:1",
    "edition": "ce",
    "os": "linux",
    "arch": "arm64",
}


def test_a_gateway_is_what_runs():
    seen = observation.gateway("gw1", {"gateway_container": "tyk"}, LIVE, CONTAINER)
    assert (seen["version"], seen["ready"], seen["arch"], seen["container"]) == ("5.3.0", True, "arm64", "tyk")
    assert seen["target_repository"] == "tykio/tyk-gateway"


def test_the_user_may_name_another_repository_for_the_target():
    seen = observation.gateway("gw1", {"gateway_image": "mirror/tyk-gateway"}, LIVE, CONTAINER)
    assert (seen["repository"], seen["target_repository"]) == ("tykio/tyk-gateway", "mirror/tyk-gateway")


def test_the_user_may_say_which_edition_a_mirror_of_other_names_holds():
    assert observation.gateway("gw1", {"gateway_edition": "ee"}, LIVE, CONTAINER)["edition"] == "ee"
    assert observation.gateway("gw1", {"gateway_edition": ""}, LIVE, CONTAINER)["edition"] == "ce"


def test_a_gateway_that_still_waits_is_not_ready():
    assert not observation.gateway("gw1", {}, dict(LIVE, waiting_for=["redis"]), CONTAINER)["ready"]


def test_a_gateway_that_was_not_seen_is_unreachable_and_has_no_version():
    seen = observation.gateway("gw1", {}, None, None)
    assert (seen["reachable"], seen["ready"], seen["version"]) == (False, False, None)


def test_a_gateway_that_a_killed_run_left_out_of_service_is_known_by_its_image():
    silent, left = {"name": "gw1", "reachable": False}, dict(CONTAINER, running=False, interrupted=True)
    assert observation.is_interrupted(silent, left) and observation.is_interrupted(None, left)
    seen = observation.gateway("gw1", {}, silent, left)
    assert (seen["version"], seen["reachable"], seen["ready"]) == ("5.3.0", True, False)
    labelled = dict(left, tag="latest", version_label="5.2.5")
    assert observation.gateway("gw1", {}, silent, labelled)["version"] == "5.2.5"
    # It answers; nobody left it so; nobody knows what it is.
    for live, found in ((LIVE, left), (silent, dict(left, interrupted=False)), (silent, dict(left, tag="latest"))):
        assert not observation.is_interrupted(live, found)
    assert observation.gateway("gw1", {}, silent, dict(left, interrupted=False))["reachable"] is False


def test_a_package_whose_upgrade_was_cut_off_is_known_by_what_that_run_noted():
    settings, left = {"gateway_deployment": "package"}, dict(PACKAGE, interrupted=True, interrupted_from="5.2.5")
    silent = {"name": "gw1", "reachable": False}
    seen = observation.gateway("gw1", settings, silent, left)
    assert (seen["version"], seen["reachable"], seen["ready"]) == ("5.2.5", True, False)
    assert observation.gateway("gw1", settings, LIVE, left)["version"] == "5.3.0"


def test_what_is_going_to_be_repaired_is_said_in_place_of_its_not_answering():
    given = [{"code": "gateway-unreachable", "subject": host} for host in ("gw1", "gw2")]
    found = observation.announced_repairs([*given, {"code": "drift", "subject": "gw1"}], ["gw1"])
    assert [(one["code"], one["subject"]) for one in found] == [
        ("gateway-unreachable", "gw2"), ("drift", "gw1"), ("gateway-interrupted", "gw1"),
    ]  # fmt: skip
    assert found[-1]["severity"] == "warning"


def test_a_pump_has_the_version_of_its_tag():
    assert observation.pump("p", {}, dict(CONTAINER, tag="v1.9.0"))["version"] == "1.9.0"
    assert observation.pump("p", {}, dict(CONTAINER, tag="latest"))["version"] == "latest"
    assert observation.pump("p", {}, None)["version"] is None


def test_a_bundle_without_manifest_was_not_found():
    assert not observation.bundle("b.zip", None)["found"]
    seen = observation.bundle(
        "b.zip", {"manifest": {"file_list": []}, "files": [{"name": "a"}], "checksum_ok": True, "sha256": "x"}
    )
    assert seen["found"] and seen["checksum_ok"] and seen["files"] == [{"name": "a"}]


def test_only_containers_that_were_found_are_taken():
    hostvars = {
        "gw1": {"seen": {"containers": [CONTAINER]}},
        "gw2": {"seen": {"containers": [{"found": False}]}},
        "gw3": {"seen": {"unreachable": True}},
        "gw4": {},
    }
    assert observation.found_by_host(hostvars, ["gw1", "gw2", "gw3", "gw4"], ["seen"]) == {"gw1": CONTAINER}


PACKAGE = {
    "found": True,
    "name": "tyk-gateway-ee",
    "version": "5.3.0",
    "running_version": "5.2.0",
    "edition": "ee",
    "os": "linux",
    "arch": "arm64",
    "unit": {"main_pid": 42},
}


def test_a_gateway_from_a_package_has_no_image():
    seen = observation.gateway("gw1", {"gateway_deployment": "package", "gateway_image": "x"}, LIVE, PACKAGE)
    assert (seen["package"], seen["edition"], seen["arch"], seen["version"]) == ("tyk-gateway-ee", "ee", "arm64", "5.3.0")
    assert (seen["repository"], seen["target_repository"]) == ("", "")


def test_a_pump_from_a_package_has_the_version_of_the_process_and_not_of_the_disk():
    seen = observation.pump("p", {"pump_deployment": "package"}, PACKAGE)
    assert (seen["version"], seen["running"], seen["package"]) == ("5.2.0", True, "tyk-gateway-ee")
    stopped = dict(PACKAGE, running_version=None, unit={"main_pid": 0})
    seen = observation.pump("p", {"pump_deployment": "package"}, stopped)
    assert (seen["version"], seen["running"]) == ("5.3.0", False)


def test_a_compose_service_has_the_container_that_compose_names():
    compose = {"project": "tyk", "service": "gateway"}
    assert observation.container_name({"gateway_compose": compose}, "gateway") == "tyk-gateway-1"
    assert observation.container_name({"gateway_compose": compose, "gateway_container": "own"}, "gateway") == "own"
    assert observation.container_name({}, "gateway") == ""


def test_a_package_is_found_like_a_container():
    hostvars = {"gw1": {"a": {"skipped": True}, "b": {"package": PACKAGE}}, "gw2": {"a": {"containers": [CONTAINER]}, "b": {}}}
    assert observation.found_by_host(hostvars, ["gw1", "gw2"], ["a", "b"]) == {"gw1": PACKAGE, "gw2": CONTAINER}


def test_the_c_library_of_a_host_with_a_package_is_kept() -> None:
    hostvars = {"gw1": {"seen": {"package": PACKAGE, "glibc": {"host": "2.28", "needed": "2.34"}}}}
    found = observation.found_by_host(hostvars, ["gw1"], ["seen"])["gw1"]
    assert observation.gateway("gw1", {"gateway_deployment": "package"}, None, found)["glibc"] == "2.28"


def test_a_volume_counts_only_where_others_see_it() -> None:
    found = {"name": "gw1", "mounts": {"/opt/tyk-gateway/middleware": "mw", "/opt/tyk-gateway/apps": "apps"}}

    def seen(**shared: Any) -> Tuple[str, str]:
        mount = {"destination": "/opt/tyk-gateway/middleware", "source": "mw", "with": [], "file_system": "", **shared}
        mount = {"path": mount["destination"], **mount}
        one = observation.gateway("gw1", {}, None, {**found, "shared_mounts": [mount] if shared else []})
        return one["bundle_volume"], one["bundle_volume_with"]

    assert seen() == ("", "")
    assert seen(**{"with": ["gw1-before-0123456789ab", "gw1-next"]}) == ("", "")
    assert seen(**{"with": ["gw1-nextdoor", "gw2"]}) == ("mw", "gw1-nextdoor and gw2")
    assert seen(file_system="nfs4") == ("mw", "other hosts (nfs4)")
    assert seen(destination="/opt/tyk-gateway/apps", **{"with": ["gw2"]}) == ("", "")
    for path in ("/opt/tyk-gateway/middleware/bundles", "/opt/tyk-gateway/middleware/bundles/one"):
        assert seen(path=path, **{"with": ["gw2"]}) == ("mw", "gw2")
    assert seen(path="/opt/tyk-gateway/middleware/other", **{"with": ["gw2"]}) == ("", "")


def test_a_package_whose_bundles_lie_on_the_network_shares_them() -> None:
    settings = {"gateway_deployment": "package", "gateway_middleware_path": "/srv/mw"}
    for kind, seen in (("nfs4", ("/srv/mw", "other hosts (nfs4)", "")), ("", ("", "", ""))):
        one = observation.gateway("gw1", settings, LIVE, {**PACKAGE, "middleware_file_system": kind})
        assert (one["bundle_volume"], one["bundle_volume_with"], one["bundle_volume_closed"]) == seen


def test_a_place_that_takes_no_files_is_said_to_be_closed() -> None:
    middleware = "/opt/tyk-gateway/middleware"

    def seen(*closed: Tuple[str, str], **mounts: str) -> Tuple[str, str]:
        places = [{"destination": place, "reason": reason} for place, reason in closed]
        one = observation.gateway("gw1", {}, None, {"name": "gw1", "mounts": mounts, "closed_mounts": places})
        return one["bundle_volume"], one["bundle_volume_closed"]

    assert seen((middleware, "read-only"), **{middleware: "/srv/mw"}) == ("/srv/mw", "read-only")
    assert seen((middleware, "tmpfs")) == (middleware, "tmpfs")
    assert seen(("/", "read-only")) == ("/", "read-only")
    # What is closed lies elsewhere, or a mount that is open lies in it.
    assert seen(("/etc/tyk", "read-only"), **{"/etc/tyk": "conf"}) == ("", "")
    assert seen(("/", "read-only"), **{middleware: "mw"}) == ("", "")
