# Copyright (c) 2026 tyk.upgrade contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The plan: what moves, what stays, what is refused, and what holds for any state."""

from __future__ import annotations

import copy
from typing import Any, Dict, FrozenSet, List, Mapping

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from ansible_collections.tyk.upgrade.plugins.module_utils._domain import bundles as bundle_format
from ansible_collections.tyk.upgrade.plugins.module_utils._domain import pipeline
from ansible_collections.tyk.upgrade.plugins.module_utils._domain import plan as planning
from ansible_collections.tyk.upgrade.plugins.module_utils._domain.findings import DomainError, Severity
from ansible_collections.tyk.upgrade.plugins.module_utils._domain.paths import decide
from ansible_collections.tyk.upgrade.plugins.module_utils._domain.plan import Plan, Wanted
from ansible_collections.tyk.upgrade.plugins.module_utils._domain.resolution import resolve
from ansible_collections.tyk.upgrade.plugins.module_utils._domain.state import State
from ansible_collections.tyk.upgrade.tests.unit.plugins.module_utils._domain.plan_world import (
    FROM,
    TO,
    api,
    bundle,
    compiler,
    gateway,
    hook,
    pump,
    wishes,
    world,
)


def make(state: Mapping[str, Any], **wanted: Any) -> Plan:
    return planning.build(State.from_dict(state), Wanted.from_dict(wishes(**wanted)))


def errors(plan: Plan) -> List[str]:
    return [finding.code for finding in plan.findings if finding.severity is Severity.ERROR]


def warnings(plan: Plan) -> List[str]:
    return [finding.code for finding in plan.findings if finding.severity is Severity.WARNING]


def finding(plan: Plan, code: str) -> Any:
    return next(each for each in plan.findings if each.code == code)


def settle(state: Mapping[str, Any], **wanted: Any) -> State:
    """The state after the upgrade."""
    return planning.after(State.from_dict(state), make(state, **wanted))


# -- what moves


def test_containers_and_packages_are_in_one_roll() -> None:
    state = world()
    state["gateways"][2].update(deployment="package", container="", repository="", tag="", target_repository="", package="tyk-gateway")
    plan = make(state)
    assert errors(plan) == []
    assert sorted(host for batch in plan.batches for host in batch) == ["gw1", "gw2", "gw3"]
    assert plan.batches[:2] == (("gw1",), ("gw3",)), "the canary of each kind of deployment comes first"
    packaged = plan.gateways[2]
    assert (packaged.deployment, packaged.package) == ("package", "tyk-gateway")
    assert (packaged.image_from, packaged.image_to, packaged.action) == ("", "", "replace")
    assert planning.build(settle(state), Wanted.from_dict(wishes())).empty


def test_what_is_wrong_with_the_wishes_comes_before_what_follows_from_it() -> None:
    state = world()
    missing = {"code": "image-missing", "severity": "error", "subject": "x", "message": "m", "remedy": "r", "source": ""}
    state["findings"] = [missing]
    found = errors(make(state, version="5.8.99"))
    assert found[0] == "version-unknown" and "image-missing" in found[1:]


def test_the_whole_upgrade() -> None:
    plan = make(world())
    assert [(each.code, each.severity) for each in plan.findings] == [("backup-names-old-bundle", Severity.INFO)]
    assert (plan.before, plan.to, plan.pump_to) == ((FROM,), TO, "1.12.0")
    assert (plan.path, plan.cutover) == ("3", "shared")
    assert [step.host for step in plan.replaced_gateways] == ["gw1", "gw2", "gw3"]
    assert plan.gateways[0].image_from == "tykio/tyk-gateway:v5.3.0"
    assert plan.gateways[0].image_to == "tykio/tyk-gateway:v5.8.9"
    assert plan.pumps[0].to_dict() == {
        "host": "pump1",
        "deployment": "docker",
        "from": "1.9.0",
        "to": "1.12.0",
        "image_from": "tykio/tyk-pump-docker-pub:v1.9.0",
        "image_to": "tykio/tyk-pump-docker-pub:v1.12.0",
        "package": "",
        "action": "replace",
    }
    assert plan.batches == (("gw1",), ("gw2",), ("gw3",))
    assert plan.waves == (("gw1",), ("gw2", "gw3"))
    assert plan.changes == 2 + 9 + 1 + 3
    assert not plan.empty
    assert plan.to_dict()["control_plane"] == {"driver": "manual", "from": TO, "to": TO, "action": "confirm"}


def test_all_apis_of_a_bundle_move_together_and_others_stay() -> None:
    state = world()
    state["apis"][0]["active"] = False
    state["apis"][1]["bundle_enabled"] = False
    moves = {move.name: move for move in make(state).apis}
    assert set(moves) == {
        "orders", "invoices", "customers", "payments", "accounts", "shipments", "returns", "ledger", "vault",
    }  # fmt: skip
    assert {move.to_bundle for move in moves.values() if move.from_bundle == "header-1.zip"} == {
        moves["orders"].to_bundle
    }
    assert moves["vault"].kind == "oas" and moves["vault"].digest == "digest-vault"


def test_a_new_bundle_holds_a_fresh_build_for_each_version() -> None:
    plan = make(world())
    new = next(each for each in plan.new_bundles if each.replaces == "header-1.zip")
    builds = [build for build in plan.builds if build.bundle == new.name]
    assert [(build.version, build.file) for build in builds] == [
        (FROM, "HeaderPlugin_v5.3.0_linux_amd64.so"),
        (TO, "HeaderPlugin_v5.8.9_linux_amd64.so"),
    ]
    assert new.manifest["file_list"] == [*(build.file for build in builds), "tyk-upgrade.json"]
    assert list(new.files) == new.manifest["file_list"]
    assert new.manifest["custom_middleware"]["pre"][0]["path"] == "HeaderPlugin.so"
    assert "checksum" not in new.manifest and "signature" not in new.manifest
    assert new.symbols == {build.file: ["AddLabHeader"] for build in builds}
    assert new.name == f"header-1-{new.build_id}.zip"
    assert new.provenance["compilers"] == {FROM: "sha256:c5.3.0", TO: "sha256:c5.8.9"}
    for version, file in ((FROM, builds[0].file), (TO, builds[1].file)):
        assert resolve(version, "HeaderPlugin.so", new.files) == file


def test_a_hook_path_that_pins_a_version_is_freed() -> None:
    state = world()
    state["bundles"][0] = bundle(
        "header-1.zip", {"pre": [hook("AddLabHeader", "HeaderPlugin_v5.3.0_linux_amd64")]}, ["HeaderPlugin.so"]
    )
    new = next(each for each in make(state).new_bundles if each.replaces == "header-1.zip")
    assert new.manifest["custom_middleware"]["pre"][0]["path"] == "HeaderPlugin.so"


def test_plugins_of_one_bundle_have_plugin_paths_of_their_own() -> None:
    state = world()
    state["bundles"] = [
        bundle(
            "both.zip",
            {"pre": [hook("AddLabHeader", "HeaderPlugin")], "auth_check": hook("CheckLabKey", "AuthPlugin")},
            ["HeaderPlugin.so", "AuthPlugin.so"],
        )
    ]
    state["apis"] = [api("orders", "both.zip")]
    plan = make(state)
    ids = {build.plugin: build.build_id for build in plan.builds}
    assert len(plan.builds) == 4 and len(set(ids.values())) == 2


@pytest.mark.parametrize(
    "change",
    [
        lambda state: state["sources"][0].update(digest="f" * 64),
        lambda state: state["compilers"][0].update(id="sha256:other"),
        lambda state: state["bundles"][0]["manifest"]["custom_middleware"]["pre"][0].update(name="Other"),
    ],
    ids=["source", "compiler", "manifest"],
)
def test_what_goes_into_a_bundle_changes_its_name(change: Any) -> None:
    state = world()
    change(state)
    before = {each.replaces: each.name for each in make(world()).new_bundles}
    names = {each.replaces: each.name for each in make(state).new_bundles}
    assert names["header-1.zip"] != before["header-1.zip"]


def test_other_architectures_get_builds_of_their_own() -> None:
    state = world()
    state["gateways"][2]["arch"] = "arm64"
    plan = make(state)
    files = {build.file for build in plan.builds if build.plugin == "AuthPlugin"}
    assert files == {
        f"AuthPlugin_v{version}_linux_{arch}.so" for version in (FROM, TO) for arch in ("amd64", "arm64")
    }
    assert [step.arch for step in plan.gateways] == ["amd64", "amd64", "arm64"]
    assert planning.build(settle(state), Wanted.from_dict(wishes())).empty


def test_a_bundle_without_builds_for_one_machine_has_a_successor() -> None:
    state = settle(world()).to_dict()
    state["gateways"][2]["arch"] = "arm64"
    plan = make(state)
    assert {build.goarch for build in plan.builds} == {"amd64", "arm64"} and plan.new_bundles
    assert not plan.replaced_gateways


# -- what stays


def test_a_finished_upgrade_is_an_empty_plan() -> None:
    state = settle(world())
    plan = planning.build(state, Wanted.from_dict(wishes()))
    assert plan.empty and plan.changes == 0 and plan.findings == ()
    assert plan.batches == () and plan.builds == () and plan.before == ()
    assert all(each.keep for each in plan.bundles) and len(plan.bundles) == 2
    assert planning.summary_lines(plan)[0] == "Nothing to do: everything is at 5.8.9, the pump at 1.12.0."


def test_a_bundle_that_holds_every_version_is_kept_while_gateways_still_move() -> None:
    state = settle(world())
    back = copy.deepcopy(state.to_dict())
    back["gateways"][2] = gateway("gw3")
    plan = make(back)
    assert plan.findings == () and plan.apis == () and plan.builds == ()
    assert [step.host for step in plan.replaced_gateways] == ["gw3"]
    assert all(each.keep for each in plan.bundles)


def test_a_changed_source_makes_a_new_bundle_in_place_of_a_former_new_one() -> None:
    state = settle(world()).to_dict()
    state["gateways"][2] = gateway("gw3")
    state["sources"][0]["digest"] = "f" * 64
    plan = make(state)
    assert [each.stem for each in plan.new_bundles] == ["header-1"]
    assert plan.new_bundles[0].name.count("-t") == 1


def test_a_claim_of_provenance_without_the_files_is_not_believed() -> None:
    state = settle(world()).to_dict()
    state["gateways"][2] = gateway("gw3")
    held = next(each for each in state["bundles"] if each["name"].startswith("header"))
    held["files"] = [each for each in held["files"] if "5.3.0" not in each["name"]]
    assert [each.replaces for each in make(state).new_bundles] == [held["name"]]


def test_a_manifest_that_the_bundle_command_rewrote_says_the_same() -> None:
    state = world()
    before = {each.replaces: each.name for each in make(state).new_bundles}
    middleware = state["bundles"][0]["manifest"]["custom_middleware"]
    middleware.update(
        post=None, post_key_auth=None, response=None, auth_check={"name": "", "path": "", "disabled": False},
        id_extractor={"extract_from": "", "extract_with": "", "extractor_config": None},
    )  # fmt: skip
    middleware["pre"][0]["disabled"] = False
    plan = make(state)
    assert errors(plan) == []
    assert {each.replaces: each.name for each in plan.new_bundles} == before


def test_nothing_is_built_when_no_gateway_changes_version() -> None:
    state = world()
    state["gateways"] = [gateway(host, TO) for host in ("gw1", "gw2")]
    state["bundles"][0]["files"] = [{"name": "HeaderPlugin_v5.8.9_linux_amd64.so", "size": 1, "sha256": ""}]
    state["bundles"][1]["files"] = [{"name": "AuthPlugin.so", "size": 1, "sha256": ""}]
    plan = make(state, plugins=[], pump_version=None)
    assert plan.empty and plan.findings == ()


def test_plugins_in_other_languages_stay() -> None:
    state = world()
    state["bundles"] = [bundle("py.zip", {"driver": "python", "pre": [{"name": "Pre", "path": ""}]}, ["middleware.py"])]
    state["apis"] = [api("orders", "py.zip")]
    plan = make(state, plugins=[])
    assert errors(plan) == [] and plan.apis == () and plan.builds == ()
    assert [(each.name, each.keep) for each in plan.bundles] == [("py.zip", True)]
    assert plan.path == "none"


def test_without_a_wanted_pump_version_the_pump_stays() -> None:
    plan = make(world(), pump_version=None)
    assert plan.pumps[0].action == "none" and plan.pumps[0].image_to == plan.pumps[0].image_from


# -- what is refused


def change_gateway(number: int, **values: Any) -> Any:
    return lambda state: state["gateways"][number].update(values)


REFUSALS: Dict[str, Any] = {
    "a third version": (change_gateway(1, version="5.3.2"), {}, "gateway-version-unexplained", "gw2"),
    "a version that is none": (change_gateway(1, version="dev"), {}, "gateway-version-unexplained", "gw2"),
    "no version": (change_gateway(1, version=None), {}, "gateway-version-unexplained", "gw2"),
    "an unreachable gateway": (
        change_gateway(1, version=None, reachable=False, ready=False), {}, "gateway-unreachable", "gw2",
    ),
    "no gateway": (lambda state: state.update(gateways=[]), {}, "setting-invalid", "tyk_gateways"),
    "a newer gateway": (change_gateway(0, version="5.9.0"), {}, "version-lower", "gw1"),
    "an unknown target": (lambda state: None, {"version": "5.8.99"}, "version-unknown", "tyk_target_version"),
    "mixed editions": (change_gateway(1, edition="ee"), {}, "edition-mixed", "tyk_gateways"),
    "an older control plane": (
        lambda state: state["control_plane"].update(version="5.8.8"),
        {},
        "control-plane-older",
        "tyk_control_plane_confirmed_version",
    ),
    "an unconfirmed control plane": (
        lambda state: state["control_plane"].update(version=None, confirmed=False),
        {},
        "control-plane-unconfirmed",
        "tyk_control_plane_confirmed_version",
    ),
    "another control-plane driver": (
        lambda state: state["control_plane"].update(driver="tyk_cloud"), {}, "driver-unsupported",
        "tyk_control_plane_driver",
    ),
    "a package that is not installed": (
        change_gateway(0, deployment="package", package=""), {}, "package-missing", "gw1",
    ),
    "another deployment": (change_gateway(0, deployment="helm"), {}, "driver-unsupported", "gw1"),
    "no container named": (change_gateway(0, container=""), {}, "setting-invalid", "gw1"),
    "no such container": (
        change_gateway(0, repository="", target_repository=""), {}, "container-missing", "gw1",
    ),
    "a newer pump": (lambda state: state.update(pumps=[pump(version="1.13.0")]), {}, "version-lower", "pump1"),
    "a pump tagged latest": (
        lambda state: state.update(pumps=[pump(version="latest")]), {}, "pump-unsupported-version", "pump1",
    ),
    "an unlisted plugin": (
        lambda state: None, {"plugins": [{"name": "HeaderPlugin", "source": "x"}]}, "plugin-unlisted", "AuthPlugin",
    ),
    "a source that is not there": (
        lambda state: state["sources"].pop(0), {}, "plugin-source-empty", "HeaderPlugin",
    ),
    "an endpoint plugin": (
        lambda state: state["apis"][5].update(endpoint_plugins=["/opt/x.so"]), {}, "endpoint-plugin", "catalog",
    ),
    "a bundle that is gone": (
        lambda state: state["bundles"][0].update(found=False, manifest=None), {}, "bundle-missing", "header-1.zip",
    ),
    "a broken manifest": (
        lambda state: state["bundles"][0]["manifest"]["custom_middleware"].update(driver="cobol"),
        {},
        "bundle-invalid",
        "header-1.zip",
    ),
    "a file beside the plugins": (
        lambda state: state["bundles"][0]["manifest"]["file_list"].append("words.json"),
        {},
        "cutover-unsupported",
        "header-1.zip",
    ),
    "a missing compiler": (lambda state: state["compilers"].pop(0), {}, "compiler-missing", FROM),
    "a compiler nobody can pull": (
        lambda state: state["compilers"][1].update(id=None, present=False),
        {},
        "compiler-missing",
        "tykio/tyk-plugin-compiler:v5.8.9",
    ),
    "waves that are no numbers": (lambda state: None, {"waves": ["few"]}, "setting-invalid", "tyk_waves"),
    "none out at once": (lambda state: None, {"max_unavailable": 0}, "setting-invalid", "tyk_max_unavailable"),
}  # fmt: skip


@pytest.mark.parametrize("name", sorted(REFUSALS))
def test_refusals(name: str) -> None:
    change, wanted, code, subject = REFUSALS[name]
    state = world()
    change(state)
    plan = make(state, **wanted)
    assert code in errors(plan)
    found = finding(plan, code)
    assert found.subject == subject
    assert found.message.endswith(".") and found.remedy.endswith(".")
    assert planning.summary_lines(plan)[-1].startswith("Refused for ")


def test_a_refusal_names_releases_that_come_near() -> None:
    assert "5.8.15" in finding(make(world(), version="5.8.99"), "version-unknown").remedy


@pytest.mark.parametrize(("version", "usable"), [("5.0.2", False), ("5.1.0", True), ("5.2.3", True)])
def test_a_compiler_that_builds_for_another_version(version: str, usable: bool) -> None:
    state = world()
    state["gateways"] = [gateway("gw1", version)]
    state["compilers"].append(compiler(version))
    assert errors(make(state)) == ([] if usable else ["compiler-unusable"])
    assert usable or finding(make(state), "compiler-unusable").subject == version


# -- no bundle can serve both versions


def old_world(current: str = "4.0.13", target: str = "4.0.16", response: bool = False) -> Dict[str, Any]:
    state = world()
    state["gateways"] = [gateway(host, current) for host in ("gw1", "gw2", "gw3")]
    state["compilers"] = [compiler(current), compiler(target)]
    state["apis"] = [each for each in state["apis"] if each["kind"] == "classic"]
    if response:
        for each in state["bundles"]:
            each["manifest"]["custom_middleware"]["response"] = [hook("Answer", bundle_format.plugin_stems(each["manifest"])[0])]
    return state


PER_HOST_PAIRS = [("4.0.13", "4.0.16", False), ("4.0.16", "4.3.1", False), ("4.2.0", "4.3.1", True), ("4.0.3", "4.1.0", False)]


@pytest.mark.parametrize(("current", "target", "response"), PER_HOST_PAIRS)
def test_each_version_gets_a_folder_of_its_own(current: str, target: str, response: bool) -> None:
    plan = make(old_world(current, target, response), version=target, redis=True)
    assert errors(plan) == [] and plan.cutover == "per-host"
    new = next(each for each in plan.new_bundles if each.replaces == "header-1.zip" and not each.placed_for)
    placed = next(each for each in plan.placed_bundles if each.placed_for == new.name)
    assert (new.versions, placed.versions) == ((target,), (current,))
    assert placed.name == f"{new.name[:-4]}-for-{current}.zip" and placed.build_id == new.build_id
    assert [(build.version, build.file) for build in plan.builds if build.bundle == new.name] == [(target, "HeaderPlugin.so")]
    assert [(build.version, build.file) for build in plan.builds if build.bundle == placed.name] == [(current, "HeaderPlugin.so")]
    for phase in ("request", "response") if response else ("request",):
        for version in (current, target):
            assert resolve(version, "HeaderPlugin.so", new.files, hook=phase) == "HeaderPlugin.so"
    assert {move.to_bundle for move in plan.apis} == {each.name for each in plan.new_bundles if not each.placed_for}


@pytest.mark.parametrize(("current", "target", "response"), PER_HOST_PAIRS)
def test_a_fleet_with_folders_of_its_own_settles_and_can_be_taken_on(current: str, target: str, response: bool) -> None:
    state = old_world(current, target, response)
    wanted = {"version": target, "redis": True}
    settled = settle(state, **wanted)
    assert planning.build(settled, Wanted.from_dict(wishes(**wanted))).empty
    # Killed after the switch and the first gateway: the bundles stay, the others still get theirs while they are stopped.
    half = settled.to_dict()
    half["gateways"][1].update(version=current, tag=f"v{current}")
    half["gateways"][2].update(version=current, tag=f"v{current}")
    rest = make(half, **wanted)
    assert errors(rest) == [] and not rest.new_bundles and not rest.apis
    assert [step.host for step in rest.replaced_gateways] == ["gw2", "gw3"]
    assert rest.cutover == "per-host"
    assert {each.versions for each in rest.bundles} == {(target,)}


def test_what_a_gateway_is_given() -> None:
    plan = make(old_world(), version="4.0.16").to_dict()
    names = [each["name"] for each in plan["bundles"] if not each["placed_for"]]
    found = pipeline.placements(plan, "gw1")
    assert [(each["bundle"], each["stored"]) for each in found["now"]] == [(name, f"{name[:-4]}-for-4.0.13.zip") for name in names]
    assert [(each["bundle"], each["stored"]) for each in found["stopped"]] == [(name, name) for name in names]
    assert all(each["provenance"]["versions"] == ["4.0.13", "4.0.16"] for each in found["now"] + found["stopped"])
    assert pipeline.placements(make(world()).to_dict(), "gw1") == {"now": [], "stopped": []}
    assert pipeline.placements(plan, "pump1") == {"now": [], "stopped": []}


@pytest.mark.parametrize(
    ("change", "subject"),
    [
        (lambda state: state["gateways"][1].update(bundle_volume="bundles"), "gw2"),
        (lambda state: state["gateways"][1].update(bundle_volume="/srv/mw", bundle_volume_closed="read-only"), "gw2"),
        (lambda state: state["gateways"][1].update(arch="arm64"), "auth-1.zip"),
        (lambda state: [each.update(version="4.0.0", tag="v4.0.0") for each in state["gateways"]], "auth-1.zip"),
    ],
)
def test_where_plugins_cannot_be_put_in_place(change: Any, subject: str) -> None:
    state = old_world()
    state["compilers"].append(compiler("4.0.0"))
    change(state)
    plan = make(state, version="4.0.16")
    assert errors(plan) and set(errors(plan)) == {"cutover-unsupported"}
    assert finding(plan, "cutover-unsupported").subject == subject and not plan.builds


def in_volumes(current: str = "4.0.13", target: str = "4.0.16", response: bool = False) -> Dict[str, Any]:
    state = old_world(current, target, response)
    for each in state["gateways"]:
        each["bundle_volume"] = "bundles"
    return state


ACCEPTED = {"version": "4.0.16", "redis": True, "accept": ["plugin-window"]}


def test_the_published_order_is_followed_only_where_its_window_is_accepted() -> None:
    refused = make(in_volumes(), version="4.0.16")
    assert set(errors(refused)) == {"cutover-unsupported"} and not refused.window
    assert "tyk_accept: [plugin-window]" in finding(refused, "cutover-unsupported").remedy
    plan = make(in_volumes(), **ACCEPTED)
    assert errors(plan) == [] and plan.cutover == "literal"
    assert {build.version for build in plan.builds} == {"4.0.16"}, "nothing is built for gateways that cannot have it"
    assert all(each.versions == ("4.0.16",) and not each.placed_for for each in plan.new_bundles)
    assert set(plan.window) == {move.id for move in plan.apis} != set()
    told = [each for each in plan.findings if each.code == "plugin-window"]
    assert told and all(each.severity is Severity.WARNING and "refused with 500" in each.message for each in told)
    assert any("as you accepted" in line for line in planning.summary_lines(plan))
    assert any("without these plugins" in line for line in plan.explanation)
    assert pipeline.placements(plan.to_dict(), "gw1") == {"now": [], "stopped": []}


def test_what_is_let_through_in_the_window_is_said() -> None:
    plan = make(in_volumes("4.0.7", "4.0.16"), **ACCEPTED)
    assert any("the request goes on" in each.message for each in plan.findings if each.code == "plugin-window")


def test_a_window_is_not_opened_where_there_is_another_way() -> None:
    assert make(old_world(), **ACCEPTED).cutover == "per-host"
    plan = make(world(), accept=["plugin-window"])
    assert plan.cutover == "shared" and not plan.window


def test_no_acceptance_lets_a_gateway_open_a_build_that_would_end_it() -> None:
    plan = make(in_volumes("4.0.16", "4.3.1"), version="4.3.1", redis=True, accept=["plugin-window"])
    assert decide("4.0.16", "4.3.1", ["pre"]).foreign
    assert set(errors(plan)) == {"cutover-unsupported"} and not plan.window
    assert "tyk_accept" not in finding(plan, "cutover-unsupported").remedy


def test_a_window_that_a_killed_run_left_open_closes() -> None:
    settled = settle(in_volumes(), **ACCEPTED)
    assert planning.build(settled, Wanted.from_dict(wishes(**ACCEPTED))).empty
    half = settled.to_dict()
    half["gateways"][1].update(version="4.0.13", tag="v4.0.13")
    rest = make(half, **ACCEPTED)
    assert errors(rest) == [] and not rest.new_bundles and not rest.apis
    assert [step.host for step in rest.replaced_gateways] == ["gw2"] and rest.cutover == "literal"
    assert rest.window, "gw2 is still without its plugins"
    after = planning.build(planning.after(State.from_dict(half), rest), Wanted.from_dict(wishes(**ACCEPTED)))
    assert after.empty and not after.window


def test_only_what_can_be_accepted_is_accepted() -> None:
    with pytest.raises(DomainError, match="tyk_accept names image-missing"):
        Wanted.from_dict(wishes(accept=["plugin-window", "image-missing"]))


def test_a_volume_is_no_matter_where_one_bundle_serves_both() -> None:
    state = world()
    state["gateways"][0]["bundle_volume"] = "bundles"
    assert errors(make(state)) == []


@pytest.mark.parametrize(("glibc", "told"), [("2.28", "has 2.28"), ("", "may have an older one"), ("2.39", "")])
def test_a_host_whose_c_library_is_too_old_for_the_compilers(glibc: str, told: str) -> None:
    state = world()
    state["gateways"][0].update(deployment="package", package="tyk-gateway", repository="", glibc=glibc)
    said = [each.message for each in make(state).findings if each.code == "plugin-glibc"]
    assert ([told in each and "gw1" in each for each in said] == [True]) if told else said == []


def test_stripped_builds_are_other_builds() -> None:
    stripped = [dict(plugin, strip=True) for plugin in wishes()["plugins"]]
    plain, small = make(world()), make(world(), plugins=stripped)
    assert {build.strip for build in plain.builds} == {False} and {build.strip for build in small.builds} == {True}
    assert not {each.name for each in plain.new_bundles} & {each.name for each in small.new_bundles}
    assert all(build["strip"] for build in pipeline.builds(small.to_dict()))
    assert planning.build(settle(world(), plugins=stripped), Wanted.from_dict(wishes(plugins=stripped))).empty


# -- plugins that were built or published elsewhere


def artifact(plugin: str, version: str, digest: str) -> Dict[str, Any]:
    path = f"/built/{plugin}-{version}.so"
    return {"plugin": plugin, "version": version, "goarch": "amd64", "path": path, "sha256": digest, "plugin_path": path}


def built_world() -> Dict[str, Any]:
    """No source and no compiler: files that a pipeline built; that of AuthPlugin for 5.3.0 is the one that runs."""
    state = world()
    state.update(sources=[], compilers=[])
    state["artifacts"] = [
        artifact("HeaderPlugin", FROM, "a" * 64),
        artifact("HeaderPlugin", TO, "b" * 64),
        artifact("AuthPlugin", FROM, "0" * 64),
        artifact("AuthPlugin", TO, "c" * 64),
    ]
    return state


def built_wishes(**changes: Any) -> Dict[str, Any]:
    plugins = [
        {"name": name, "artifacts": {FROM: f"{name}-old.so", TO: {"amd64": f"{name}-new.so"}}}
        for name in ("HeaderPlugin", "AuthPlugin")
    ]
    return {"plugins": plugins, **changes}


def test_files_from_a_pipeline_need_no_compiler() -> None:
    plan = make(built_world(), **built_wishes())
    assert errors(plan) == [] and plan.cutover == "shared"
    assert {build.image for build in plan.builds} == {""} and pipeline.builds(plan.to_dict()) == []
    header = next(each for each in plan.new_bundles if each.replaces == "header-1.zip")
    assert [(build.file, build.source, build.source_digest) for build in plan.builds if build.bundle == header.name] == [
        ("HeaderPlugin_v5.3.0_linux_amd64.so", "/built/HeaderPlugin-5.3.0.so", "a" * 64),
        ("HeaderPlugin_v5.8.9_linux_amd64.so", "/built/HeaderPlugin-5.8.9.so", "b" * 64),
    ]
    at_hand = pipeline.at_hand(plan.to_dict())
    assert [each["path"] for each in pipeline.bundle_files(header.to_dict(), plan.to_dict(), at_hand)] == [
        "/built/HeaderPlugin-5.3.0.so", "/built/HeaderPlugin-5.8.9.so",
    ]  # fmt: skip
    assert planning.build(settle(built_world(), **built_wishes()), Wanted.from_dict(wishes(**built_wishes()))).empty


def test_a_file_that_runs_already_is_linked_on_each_gateway() -> None:
    plan = make(built_world(), **built_wishes())
    linked = {each.replaces: each.links for each in plan.new_bundles}
    old, new = "AuthPlugin_v5.3.0_linux_amd64.so", "AuthPlugin_v5.3.0_linux_amd64.so"
    assert linked == {"header-1.zip": {}, "auth-1.zip": {new: {"bundle": "auth-1.zip", "file": old}}}
    placed = pipeline.placements(plan.to_dict(), "gw2")
    assert [(each["stored"], sorted(each["links"])) for each in placed["now"]] == [
        (next(each.name for each in plan.new_bundles if each.links), [new])
    ]
    assert placed["stopped"] == []


@pytest.mark.parametrize(
    ("version", "words"), [(FROM, "out of the bundle in use"), (TO, "Build AuthPlugin for 5.8.9")]
)
def test_a_build_that_is_not_given(version: str, words: str) -> None:
    state = built_world()
    state["artifacts"] = [each for each in state["artifacts"] if (each["plugin"], each["version"]) != ("AuthPlugin", version)]
    wanted = built_wishes()
    wanted["plugins"][1]["artifacts"].pop(version)
    plan = make(state, **wanted)
    assert errors(plan) == ["plugin-artifact-missing"]
    assert words in finding(plan, "plugin-artifact-missing").remedy


def test_a_file_that_cannot_be_used_leaves_what_was_said_of_it() -> None:
    state = built_world()
    state["artifacts"] = state["artifacts"][1:]
    said = {"code": "plugin-unreadable", "severity": "error", "subject": "HeaderPlugin for 5.3.0 (amd64)", "message": "No.", "remedy": "Do."}
    plan = make({**state, "findings": [said]}, **built_wishes())
    assert errors(plan) == ["plugin-unreadable"] and {move.from_bundle for move in plan.apis} == {"auth-1.zip"}


def paths(state: Dict[str, Any], **named: str) -> Dict[str, Any]:
    """The same state, with plugin paths for files: of the bundles in use by stem, of artifacts by stem and version."""
    for each in state["bundles"]:
        for file in each["files"]:
            file["plugin_path"] = named.get(file["name"].split(".")[0].split("_")[0], "")
    for each in state["artifacts"]:
        each["plugin_path"] = named.get(f"{each['plugin']}_{each['version'].replace('.', '')}", each["path"])
    return state


def test_a_file_with_the_plugin_path_of_the_running_one_is_refused() -> None:
    plan = make(paths(built_world(), HeaderPlugin="lab/header", HeaderPlugin_530="lab/header"), **built_wishes())
    assert errors(plan) == ["plugin-path-shared"]
    said = finding(plan, "plugin-path-shared")
    assert said.subject == "/built/HeaderPlugin-5.3.0.so"
    assert "plugin path lab/header of HeaderPlugin.so of header-1.zip" in said.message and "a gateway 5.3.0 that" in said.message


def test_a_plugin_path_may_come_again_in_another_process_and_by_a_link() -> None:
    """The target's gateways start with the new bundle alone, and AuthPlugin's file for 5.3.0 is the one that runs."""
    named = {"HeaderPlugin": "lab/header", "HeaderPlugin_589": "lab/header"}
    named.update(AuthPlugin="lab/auth", AuthPlugin_530="lab/auth", AuthPlugin_589="lab/auth")
    assert errors(make(paths(built_world(), **named), **built_wishes())) == []


def test_a_gateway_of_the_target_has_its_plugins_loaded_already() -> None:
    """On it, the bundle in use has no build of its own: it opens that of the old version."""
    state = paths(built_world(), HeaderPlugin="lab/header", HeaderPlugin_589="lab/header")
    state["gateways"][0] = gateway("gw1", TO)
    plan = make(state, **built_wishes())
    assert errors(plan) == ["plugin-path-shared"] and "a gateway 5.8.9 that" in finding(plan, "plugin-path-shared").message


def test_two_files_with_one_plugin_path_for_one_gateway_are_refused() -> None:
    plan = make(paths(built_world(), HeaderPlugin_589="lab/both", AuthPlugin_589="lab/both"), **built_wishes())
    assert errors(plan) == ["plugin-path-shared"]
    assert "a gateway 5.8.9 that" in finding(plan, "plugin-path-shared").message


def test_a_given_bundle_with_the_plugin_path_of_the_running_one_is_refused() -> None:
    state = given_world()
    for each in state["bundles"]:
        each["files"][0]["plugin_path"] = "lab/header"
    plan = make(state, **GIVEN)
    assert errors(plan) == ["plugin-path-shared"]
    assert finding(plan, "plugin-path-shared").subject == f"HeaderPlugin_v{FROM}_linux_amd64.so"
    state["bundles"][1]["files"][0]["sha256"] = "0" * 64
    assert errors(make(state, **GIVEN)) == []


def test_a_run_that_switched_some_apis_to_a_given_bundle_goes_on() -> None:
    state = given_world()
    state["bundles"][1]["files"][0].update(sha256="0" * 64, plugin_path="lab/header")
    state["bundles"][0]["files"][0]["plugin_path"] = "lab/header"
    state["apis"][0]["bundle"] = "header-2.zip"
    plan = make(state, **GIVEN)
    assert errors(plan) == [] and len(plan.apis) == 4
    assert [(each.name, each.given) for each in plan.bundles] == [("header-2.zip", True)]


def test_a_given_bundle_that_takes_over_two_links_the_files_of_both() -> None:
    state = given_world()
    state["bundles"][0]["name"], other = "header-1.zip", copy.deepcopy(state["bundles"][0])
    other.update(name="header-0.zip")
    other["files"][0]["sha256"] = "7" * 64
    state["bundles"].append(other)
    state["apis"][0]["bundle"] = "header-0.zip"
    old, new = (f"HeaderPlugin_v{version}_linux_amd64.so" for version in (FROM, TO))
    state["bundles"][1]["files"][0]["sha256"], state["bundles"][1]["files"][1]["sha256"] = "0" * 64, "7" * 64
    (taken,) = [each for each in make(state, **GIVEN).bundles if each.given]
    assert {file: link["bundle"] for file, link in taken.links.items()} == {old: "header-1.zip", new: "header-0.zip"}


@pytest.mark.parametrize("names", [["HeaderPlugin.so", "HeaderPlugin_v5.3.0_linux_amd64.so"], ["HeaderPlugin_v5.3.0_linux_amd64.so", "HeaderPlugin.so"]])
def test_of_two_copies_the_one_that_gateways_opened_is_linked(names: List[str]) -> None:
    state = paths(built_world(), HeaderPlugin="lab/header", HeaderPlugin_530="lab/header")
    used = bundle("header-1.zip", {"pre": [hook("AddLabHeader", "HeaderPlugin")]}, names)
    for each in used["files"]:
        each.update(sha256="a" * 64, plugin_path="lab/header")
    state["bundles"][0] = used
    plan = make(state, **built_wishes())
    assert errors(plan) == []
    made = next(each for each in plan.new_bundles if each.replaces == "header-1.zip")
    opened = "HeaderPlugin_v5.3.0_linux_amd64.so"
    assert made.links[opened] == {"bundle": "header-1.zip", "file": opened}


def test_what_only_an_inactive_api_names_is_loaded_by_nobody() -> None:
    state = paths(built_world(), HeaderPlugin="lab/header", HeaderPlugin_530="lab/header")
    for each in state["apis"]:
        each["active"] = each["bundle"] != "header-1.zip"
    assert errors(make(state, **built_wishes())) == []
    gone = world()
    gone["bundles"][0].update(found=False, manifest=None)
    for each in gone["apis"]:
        each["active"] = each["bundle"] != "header-1.zip"
    plan = make(gone)
    assert errors(plan) == [] and finding(plan, "bundle-missing").severity is Severity.WARNING
    assert {move.from_bundle for move in plan.apis} == {"auth-1.zip"}


def test_a_given_bundle_may_have_a_name_that_the_store_chose() -> None:
    state = given_world()
    state["bundles"][1]["name"] = "5b1d7d2c-0000-4000-8000-000000000000"
    wanted = {"plugins": [{"name": "HeaderPlugin", "bundle": {"name": state["bundles"][1]["name"]}}]}
    plan = make(state, **wanted)
    assert errors(plan) == [] and {move.to_bundle for move in plan.apis} == {state["bundles"][1]["name"]}


def test_where_gateways_download_from_must_be_known_when_a_bundle_is_new() -> None:
    plan = make(world(), fetch_url=False)
    assert errors(plan) == ["setting-invalid"] and finding(plan, "setting-invalid").subject == "tyk_bundle_fetch_url"
    assert planning.build(settle(world()), Wanted.from_dict(wishes(fetch_url=False))).empty


def test_signatures_by_another_key_may_be_accepted_too() -> None:
    told = {"code": "bundle-signature", "severity": "error", "subject": "lua.zip", "message": "By another.", "remedy": "Sign."}
    state = {**world(), "findings": [told]}
    assert errors(make(state)) == ["bundle-signature"]
    assert errors(make(state, accept=["bundle-signature"])) == []


def test_one_file_for_versions_of_different_generations_is_refused() -> None:
    state = given_world()
    state["bundles"][1] = bundle("header-2.zip", {"pre": [hook("AddLabHeader", "HeaderPlugin")]}, ["HeaderPlugin.so"])
    plan = make(state, **GIVEN)
    assert errors(plan) == ["cutover-unsupported"] and plan.apis == ()
    assert "gateways 5.3.0 and 5.8.9 both open HeaderPlugin.so" in finding(plan, "cutover-unsupported").message


SIGNED = "A" * 64


def signed_world() -> Dict[str, Any]:
    state = world()
    state["bundles"][0]["manifest"]["signature"] = "c2lnbmVk"
    return state


def test_a_signed_bundle_has_a_signed_successor() -> None:
    plan = make(signed_world())
    assert errors(plan) == ["bundle-signature"]
    said = finding(plan, "bundle-signature")
    assert said.subject == "header-1.zip" and "where gateways 5.8.9 have a public_key_path" in said.message
    assert "tyk_bundle_key" in said.remedy and "tyk_accept: [bundle-signature]" in said.remedy
    with_key = make(signed_world(), signing_key=SIGNED)
    assert errors(with_key) == [] and {each.provenance["signed_by"] for each in with_key.new_bundles} == {SIGNED}
    accepted = make(signed_world(), accept=["bundle-signature"])
    assert errors(accepted) == [] and finding(accepted, "bundle-signature").severity is Severity.WARNING


def test_gateways_that_use_what_they_cannot_verify_are_warned_about() -> None:
    state = signed_world()
    state["gateways"] = [gateway(host, "5.0.8") for host in ("gw1", "gw2")]
    state["compilers"] = [compiler("5.0.8"), compiler("5.0.9")]
    plan = make(state, version="5.0.9")
    assert errors(plan) == [] and finding(plan, "bundle-signature").severity is Severity.WARNING


def test_the_key_is_part_of_a_bundle_s_name_and_of_what_is_there_already() -> None:
    names = [{each.name for each in make(world(), signing_key=key).new_bundles} for key in ("", "A" * 64, "B" * 64)]
    assert not names[0] & names[1] and not names[1] & names[2]
    state = settle(world(), signing_key=SIGNED).to_dict()
    state["gateways"][0] = gateway("gw1", FROM)
    assert make(state, signing_key=SIGNED).new_bundles == [] and make(state).new_bundles == []
    assert make(state, signing_key="B" * 64).new_bundles


def test_a_given_bundle_that_is_not_signed_though_the_one_in_use_is() -> None:
    state = given_world()
    state["bundles"][0]["manifest"]["signature"] = "c2lnbmVk"
    plan = make(state, **GIVEN)
    assert errors(plan) == ["bundle-signature"] and finding(plan, "bundle-signature").subject == "header-2.zip"
    state["bundles"][1]["manifest"]["signature"] = "c2lnbmVk"
    assert errors(make(state, **GIVEN)) == []


def test_a_wrong_checksum_matters_where_the_bundle_stays() -> None:
    lua = bundle("lua-1.zip", {"pre": [{"name": "Run", "path": "run.lua"}]}, ["run.lua"], checksum_ok=False)
    lua["manifest"]["custom_middleware"]["driver"] = "lua"
    state = world()
    state["bundles"][0]["checksum_ok"] = False
    assert errors(make(state)) == [], "header-1.zip is replaced"
    state["bundles"].append(lua)
    state["apis"].append(api("scripted", "lua-1.zip"))
    plan = make(state)
    assert errors(plan) == ["bundle-checksum"] and finding(plan, "bundle-checksum").subject == "lua-1.zip"


def test_literals_that_compilers_would_change_are_told() -> None:
    state = world()
    state["sources"][0].update(module="header", literals=['main.go:12: "header-id"'])
    said = finding(make(state), "literal-rewritten")
    assert (said.severity, said.subject) == (Severity.INFO, "HeaderPlugin") and 'main.go:12: "header-id"' in said.message


def test_plugins_by_path_are_refused_unless_the_user_has_placed_them() -> None:
    state = world()
    state["apis"][5].update(endpoint_plugins=["plugins/x.so"])
    refused = make(state)
    assert "move" in finding(refused, "endpoint-plugin").remedy.lower() and errors(refused) == ["endpoint-plugin"]
    assert errors(make(state, accept=["endpoint-plugin"])) == []
    state["apis"][5].update(analytics_plugin="plugins/x.so")
    plan = make(state, accept=["endpoint-plugin"])
    assert errors(plan) == ["endpoint-plugin"] and "analytics records" in finding(plan, "endpoint-plugin").message


def given_world(**changes: Any) -> Dict[str, Any]:
    state = world()
    state.update(sources=[], compilers=[])
    names = [f"{stem}_v{version}_linux_amd64.so" for stem in ("HeaderPlugin",) for version in (FROM, TO)]
    state["apis"] = [each for each in state["apis"] if each["bundle"] != "auth-1.zip"]
    state["bundles"] = [
        state["bundles"][0],
        bundle("header-2.zip", {"pre": [hook("AddLabHeader", "HeaderPlugin")]}, names, **changes),
    ]
    for count, each in enumerate(state["bundles"][1]["files"]):
        each["sha256"] = str(count + 1) * 64
    return state


GIVEN = {"plugins": [{"name": "HeaderPlugin", "bundle": {"name": "header-2.zip"}}]}


def test_a_published_bundle_takes_over() -> None:
    plan = make(given_world(), **GIVEN)
    assert errors(plan) == [] and plan.builds == () and plan.new_bundles == []
    (taken,) = [each for each in plan.bundles if each.given]
    assert (taken.name, taken.replaces, taken.versions) == ("header-2.zip", "header-1.zip", (FROM, TO))
    assert taken.symbols == {f"HeaderPlugin_v{version}_linux_amd64.so": ["AddLabHeader"] for version in (FROM, TO)}
    assert {move.to_bundle for move in plan.apis} == {"header-2.zip"} and len(plan.apis) == 5
    assert planning.build(settle(given_world(), **GIVEN), Wanted.from_dict(wishes(**GIVEN))).empty


def test_what_a_given_bundle_shares_with_the_one_in_use_is_linked() -> None:
    state = given_world()
    state["bundles"][1]["files"][0]["sha256"] = "0" * 64
    (taken,) = [each for each in make(state, **GIVEN).bundles if each.given]
    assert taken.links == {"HeaderPlugin_v5.3.0_linux_amd64.so": {"bundle": "header-1.zip", "file": "HeaderPlugin.so"}}


@pytest.mark.parametrize(
    ("change", "code"),
    [
        (lambda state: state["bundles"].pop(), "bundle-missing"),
        (lambda state: state["bundles"][1]["files"].pop(), "bundle-no-file"),
        (lambda state: state["bundles"][1]["manifest"]["custom_middleware"]["pre"].append(hook("Y", "Other")), "bundle-invalid"),
        (lambda state: state["bundles"][1]["manifest"]["custom_middleware"].update(driver="cobol"), "bundle-invalid"),
    ],
)
def test_a_given_bundle_that_will_not_do(change: Any, code: str) -> None:
    state = given_world()
    change(state)
    plan = make(state, **GIVEN)
    assert errors(plan) and set(errors(plan)) == {code} and plan.apis == ()


def test_a_backup_that_kills_the_target_is_deleted_or_the_run_refused() -> None:
    state = old_world("4.0.16", "5.3.0")
    refused = make(state, version="5.3.0")
    assert errors(refused) == ["backup-unreadable"]
    assert finding(refused, "backup-unreadable").subject == "tyk_redis_url"
    plan = make(state, version="5.3.0", redis=True)
    assert errors(plan) == [] and plan.forgets_backup
    assert finding(plan, "backup-unreadable").severity is Severity.INFO
    assert not make(world(), redis=True).forgets_backup


@pytest.mark.parametrize(
    ("current", "target", "told"),
    [
        ("5.0.14", "5.0.15", {"5.0.15": Severity.WARNING}),
        ("5.0.15", "5.3.9", {"5.0.15": Severity.INFO, "5.3.9": Severity.WARNING}),
        ("5.3.9", "5.8.9", {"5.3.9": Severity.INFO}),
        ("5.3.0", "5.8.9", {}),
        ("5.3.9", "5.3.9", {}),
    ],
)
def test_versions_that_the_backup_does_not_let_start(current: str, target: str, told: dict[str, Severity]) -> None:
    plan = make(old_world(current, target), version=target)
    found = {each.subject: each for each in plan.findings if each.code == "backup-no-help"}
    assert {subject: each.severity for subject, each in found.items()} == told
    assert all("MDCB" in each.message and "control plane" in each.remedy and each.source for each in found.values())


def test_the_hole_in_the_published_table_is_said_and_crossed() -> None:
    state = world()
    state["gateways"] = [gateway("gw1", "4.3.2")]
    state["compilers"] += [compiler("4.3.2"), compiler("5.0.8")]
    plan = make(state, version="5.0.8")
    assert plan.path == "gap" and errors(plan) == []
    assert finding(plan, "path-uncovered").severity is Severity.INFO


def test_crossing_5_3_with_oas_apis_is_a_warning() -> None:
    state = world()
    state["gateways"] = [gateway("gw1", "5.2.5")]
    state["compilers"].append(compiler("5.2.5"))
    plan = make(state)
    assert errors(plan) == [] and warnings(plan) == ["oas-migration"]


def test_a_plugin_that_no_api_uses_is_a_warning() -> None:
    plan = make(world(), plugins=[*wishes()["plugins"], {"name": "Spare", "source": "s"}])
    assert errors(plan) == [] and warnings(plan) == ["plugin-unused"]


def test_findings_of_the_info_modules_are_passed_on_and_not_repeated() -> None:
    state = world()
    state["gateways"][0].update(reachable=False, version=None)
    told = {
        "code": "gateway-unreachable", "severity": "error", "subject": "gw1", "message": "No route.", "remedy": "Look.",
        "source": "",
    }  # fmt: skip
    state["findings"] = [told]
    plan = make(state)
    assert [each.to_dict() for each in plan.findings if each.code == "gateway-unreachable"] == [told]


def test_the_plan_takes_a_thing_more_seriously_than_a_warning() -> None:
    state = world()
    state["gateways"][0].update(reachable=False, version=None)
    state["findings"] = [
        {"code": "gateway-unreachable", "severity": "warning", "subject": "gw1", "message": "Slow.", "remedy": "Look."}
    ]
    assert errors(make(state)) == ["gateway-unreachable"]


@pytest.mark.parametrize(
    ("change", "code", "subject"),
    [
        ({"version": 5.10}, "version-not-string", "tyk_target_version"),
        ({"version": None}, "version-not-string", "tyk_target_version"),
        ({"version": "newest"}, "version-unknown", "tyk_target_version"),
        ({"pump_version": 1.12}, "version-not-string", "tyk_pump_version"),
        ({"on_failure": "rollback"}, "setting-invalid", "tyk_on_failure"),
        ({"waves": "100%"}, "setting-invalid", "tyk_waves"),
        ({"plugins": [{"source": "x"}]}, "setting-invalid", "tyk_plugins"),
        ({"plugins": [{"name": "A"}]}, "setting-invalid", "tyk_plugins"),
        ({"plugins": [{"name": "A", "source": "x"}] * 2}, "setting-invalid", "tyk_plugins"),
    ],
)
def test_wishes_that_cannot_be_read(change: Dict[str, Any], code: str, subject: str) -> None:
    with pytest.raises(DomainError) as problem:
        Wanted.from_dict(wishes(**change))
    assert (problem.value.finding.code, problem.value.finding.subject) == (code, subject)
    refused = planning.refused(problem.value.finding)
    assert refused.empty and errors(refused) == [code]


# -- what holds for any state


@st.composite
def shuffled(draw: st.DrawFn) -> Dict[str, Any]:
    """The world with every list in another order, and keys too."""
    state = world()
    for key in ("gateways", "pumps", "apis", "bundles", "sources", "compilers"):
        state[key] = [
            {name: entry[name] for name in draw(st.permutations(sorted(entry)))}
            for entry in draw(st.permutations(state[key]))
        ]
    return {key: state[key] for key in draw(st.permutations(sorted(state)))}


@settings(max_examples=40, deadline=None)
@given(shuffled())
def test_same_input_same_bytes(state: Dict[str, Any]) -> None:
    expected = make(world())
    plan = make(state)
    assert planning.canonical_json(plan.to_dict()) == planning.canonical_json(expected.to_dict())
    assert plan.sha256 == expected.sha256


def partly(
    gateways: FrozenSet[str], pumped: bool, moved: FrozenSet[str], state: Mapping[str, Any], plan: Plan
) -> Dict[str, Any]:
    """The state when only these gateways, the pump or not, and these APIs have got where the plan takes them."""
    done = planning.after(State.from_dict(state), plan).to_dict()
    there = {each["name"]: each for each in [*state["bundles"], *done["bundles"]]}
    apis = [new if new["id"] in moved else old for old, new in zip(state["apis"], done["apis"])]
    named = {each["bundle"] for each in apis if each["bundle"]}
    return {
        **state,
        "gateways": [new if new["host"] in gateways else old for old, new in zip(state["gateways"], done["gateways"])],
        "pumps": done["pumps"] if pumped else state["pumps"],
        "apis": apis,
        "bundles": [there[name] for name in sorted(named)],
    }


HOSTS = [each["host"] for each in world()["gateways"]]
MOVERS = [each["id"] for each in world()["apis"] if each["bundle"]]


@settings(max_examples=150, deadline=None)
@given(st.frozensets(st.sampled_from(HOSTS)), st.booleans(), st.frozensets(st.sampled_from(MOVERS)))
def test_every_half_rolled_state_leads_to_the_end(
    gateways: FrozenSet[str], pumped: bool, moved: FrozenSet[str]
) -> None:
    saved = make(world())
    state = partly(gateways, pumped, moved, world(), saved)
    plan = make(state)
    assert errors(plan) == []
    assert {step.host for step in plan.replaced_gateways} == set(HOSTS) - gateways
    assert {move.id for move in plan.apis} <= set(MOVERS) - moved
    assert bool(plan.replaced_pumps) is not pumped
    if len(gateways) < len(HOSTS):
        assert {move.id for move in plan.apis} == set(MOVERS) - moved
        assert {move.to_bundle for move in plan.apis} <= {each.name for each in saved.new_bundles}
        assert planning.deviation(saved.to_dict(), plan) == []
    assert make(planning.after(State.from_dict(state), plan).to_dict()).empty
    assert planning.drift(saved.to_dict(), State.from_dict(state)) == []


def test_apis_left_behind_join_a_bundle_that_is_in_use_already() -> None:
    saved = make(world())
    left = "lab-orders"
    plan = make(partly(frozenset(HOSTS), True, frozenset(MOVERS) - {left}, world(), saved))
    assert plan.builds == () and plan.new_bundles == [] and plan.changes == 1
    assert [(move.id, move.to_bundle) for move in plan.apis] == [
        (left, next(each.name for each in saved.new_bundles if each.replaces == "header-1.zip"))
    ]


def renamed(state: Mapping[str, Any], names: Mapping[str, str]) -> Dict[str, Any]:
    """As a store has it that chooses the names of bundles."""
    apis = [{**each, "bundle": names.get(each["bundle"], each["bundle"])} for each in state["apis"]]
    bundles = [{**each, "name": names.get(each["name"], each["name"])} for each in state["bundles"]]
    return {**state, "apis": apis, "bundles": bundles}


@pytest.mark.parametrize("rolled", [frozenset(), frozenset(HOSTS)])
def test_a_half_switched_fleet_goes_on_under_the_names_that_a_store_chose(rolled: FrozenSet[str]) -> None:
    first = renamed(world(), {each["name"]: f"id-{number}" for number, each in enumerate(world()["bundles"])})
    saved, left = make(first), "lab-orders"
    chosen = {each.name: f"id-of-{each.name}" for each in saved.new_bundles}
    state = renamed(partly(rolled, True, frozenset(MOVERS) - {left}, first, saved), chosen)
    plan = make(state)
    assert errors(plan) == [] and plan.builds == () and plan.new_bundles == []
    moved = next(each.to_bundle for each in saved.apis if each.id == left)
    assert [(move.id, move.to_bundle) for move in plan.apis] == [(left, chosen[moved])]
    assert planning.drift(saved.to_dict(), State.from_dict(state)) == []
    other = renamed(state, {chosen[moved]: "unseen"})
    other["bundles"] = [each for each in other["bundles"] if each["name"] != "unseen"]
    assert {each.code for each in planning.drift(saved.to_dict(), State.from_dict(other))} == {"drift"}


def test_what_is_put_in_place_says_which_version_it_serves() -> None:
    plan = make(old_world(), version="4.0.16")
    made = [(each.provenance["serves"], each.versions) for each in plan.new_bundles]
    assert made and all(serves == list(versions) for serves, versions in made)
    assert all("serves" not in each.provenance for each in make(world()).new_bundles)
    settled = settle(old_world(), version="4.0.16", redis=True)
    kept = planning.build(settled, Wanted.from_dict(wishes(version="4.0.16", redis=True))).bundles
    assert [each.provenance["serves"] for each in kept if each.provenance] == [["4.0.16"]] * len(kept)


DISPLACED: Dict[str, Any] = {
    "gateway": lambda state: state["gateways"][0].update(version="5.4.0"),
    "silent gateway": lambda state: state["gateways"][0].update(version=None),
    "gateway added": lambda state: state["gateways"].append(gateway("gw9")),
    "gateway gone": lambda state: state["gateways"].pop(),
    "pump": lambda state: state["pumps"][0].update(version="1.10.0"),
    "pump gone": lambda state: state["pumps"].pop(),
    "api bundle": lambda state: state["apis"][0].update(bundle="other.zip"),
    "api without bundle": lambda state: state["apis"][0].update(bundle=""),
    "api edited": lambda state: state["apis"][0].update(bundle="header-1.zip", digest="new"),
    "api gone": lambda state: state["apis"].pop(0),
    "api added": lambda state: state["apis"].append(api("new", "header-1.zip")),
    "api taken up": lambda state: state["apis"][5].update(bundle="unseen.zip"),
}


@pytest.mark.parametrize("name", sorted(DISPLACED))
@settings(max_examples=15, deadline=None)
@given(st.frozensets(st.sampled_from(HOSTS)), st.booleans(), st.frozensets(st.sampled_from(MOVERS)))
def test_anything_elsewhere_is_drift(
    name: str, gateways: FrozenSet[str], pumped: bool, moved: FrozenSet[str]
) -> None:
    saved = make(world())
    state = copy.deepcopy(partly(gateways, pumped, moved, world(), saved))
    DISPLACED[name](state)
    found = planning.drift(saved.to_dict(), State.from_dict(state))
    assert [each.code for each in found] == ["drift"]


def test_a_new_api_without_a_plugin_is_no_drift() -> None:
    state = world()
    state["apis"].append(api("new"))
    assert planning.drift(make(world()).to_dict(), State.from_dict(state)) == []


def test_another_schema_is_drift() -> None:
    assert [each.code for each in planning.drift({"schema": "v0"}, State.from_dict(world()))] == ["drift"]


@pytest.mark.parametrize(
    ("change", "wanted"),
    [
        (lambda state: state["sources"][0].update(digest="f" * 64), {}),
        (lambda state: None, {"version": "5.8.8"}),
        (lambda state: None, {"pump_version": "1.11.0"}),
    ],
    ids=["source", "target", "pump"],
)
def test_a_saved_plan_of_other_inputs_deviates(change: Any, wanted: Dict[str, Any]) -> None:
    saved = make(world()).to_dict()
    state = world()
    state["compilers"].append(compiler("5.8.8"))
    change(state)
    assert {each.code for each in planning.deviation(saved, make(state, **wanted))} == {"drift"}


def test_a_plan_survives_its_json() -> None:
    plan = make(world())
    assert planning.plan_sha256(plan.to_dict()) == plan.sha256
    assert State.from_dict(State.from_dict(world()).to_dict()) == State.from_dict(world())


def test_bundles_name_what_the_gateway_checks() -> None:
    for each in make(world()).new_bundles:
        assert bundle_format.lint(each.manifest, each.name, each.files) == []


# -- words


def test_the_summary_is_for_people() -> None:
    lines = planning.summary_lines(make(world()))
    names = {each.replaces: each.name for each in make(world()).new_bundles}
    assert lines == [
        "Upgrade 3 gateways from 5.3.0 to 5.8.9; 15 changes in all.",
        "Control plane: 5.8.9, confirmed by you; it is not touched.",
        "Plugins: path 3, one bundle for both versions, switched before gateways are touched.",
        f"Bundle {names['auth-1.zip']} (new): AuthPlugin, built for 5.3.0 and 5.8.9.",
        f"Bundle {names['header-1.zip']} (new): HeaderPlugin, built for 5.3.0 and 5.8.9.",
        f"4 APIs from auth-1.zip to {names['auth-1.zip']}: accounts, ledger, payments, vault.",
        f"5 APIs from header-1.zip to {names['header-1.zip']}: customers, invoices, orders, returns, shipments.",
        "Pump pump1: 1.9.0 to 1.12.0.",
        "Gateways, wave by wave: gw1 | gw2, gw3; at most 1 out at once.",
        "Info [backup-names-old-bundle] 5.8.9: At every start, 5.8.9 serves what the emergency backup names; as long as that "
        "is header-1.zip, it opens builds for 5.3.0, of another generation of Go, and ends.",
    ]


def test_a_half_done_fleet_says_so() -> None:
    state = settle(world()).to_dict()
    state["gateways"][2] = gateway("gw3", ready=False)
    assert planning.summary_lines(make(state))[0] == (
        "Upgrade 1 gateway from 5.3.0 to 5.8.9 (2 already there); 1 change in all."
    )


def test_the_summary_of_a_large_plan_stays_short() -> None:
    state = world()
    state["gateways"] = [gateway(f"gw{number}") for number in range(1, 101)]
    state["apis"] = [api(f"api{number}", "header-1.zip") for number in range(1, 1001)]
    lines = planning.summary_lines(make(state, plugins=wishes()["plugins"][:1]))
    assert max(map(len, lines)) < 200
    assert any(line.endswith("api10, api11 and 989 more.") for line in lines)


def test_gateways_that_do_not_serve_go_first() -> None:
    state = world()
    state["gateways"][2]["ready"] = False
    assert make(state).batches == (("gw3",), ("gw1",), ("gw2",))


def test_hosts_are_in_their_natural_order() -> None:
    state = world()
    state["gateways"] = [gateway(f"gw{number}") for number in (10, 2, 1)]
    assert [step.host for step in make(state).gateways] == ["gw1", "gw2", "gw10"]


@pytest.mark.parametrize("key", ["gateways", "pumps", "apis", "bundles", "sources", "compilers"])
def test_entries_without_a_name_are_an_error_of_the_caller(key: str) -> None:
    with pytest.raises(ValueError, match="observed state"):
        State.from_dict({key: [{}]})
