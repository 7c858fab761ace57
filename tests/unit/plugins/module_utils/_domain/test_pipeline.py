# Copyright (c) 2026 tyk.upgrade contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The plan becomes what each step of the plugin pipeline takes."""

from __future__ import annotations

from ansible_collections.tyk.upgrade.plugins.module_utils._domain import pipeline


def build(plugin, version, build_id, bundle):
    return {
        "plugin": plugin,
        "version": version,
        "goos": "linux",
        "goarch": "amd64",
        "edition": "ce",
        "build_id": build_id,
        "file": f"{plugin}_v{version}_linux_amd64.so",
        "image": f"compiler:v{version}",
        "compiler_id": "sha256:c",
        "source": f"/src/{plugin}",
        "source_digest": "d",
        "bundle": bundle,
        "strip": False,
    }


PLAN = {
    "builds": [
        build("A", "5.3.0", "t1", "one.zip"),
        build("A", "5.8.9", "t1", "one.zip"),
        build("A", "5.3.0", "t2", "two.zip"),
        build("B", "5.3.0", "t2", "two.zip"),
    ],
    "bundles": [
        {"name": "one.zip", "symbols": {"A_v5.3.0_linux_amd64.so": ["Add"], "A_v5.8.9_linux_amd64.so": ["Add"]}},
        {"name": "two.zip", "symbols": {"A_v5.3.0_linux_amd64.so": ["Add"], "B_v5.3.0_linux_amd64.so": ["Check"]}},
    ],
    "gateways": [{"from": "5.3.0", "to": "5.8.9", "image_from": "gw:v5.3.0", "image_to": "gw:v5.8.9"}],
}
COMPILED = [dict(entry, path=f"/out/{entry['build_id']}/{entry['file']}") for entry in PLAN["builds"]]


def test_a_build_holds_what_the_compiler_needs_and_no_more():
    first = pipeline.builds(PLAN)[0]
    assert set(first) == set(pipeline.BUILD_KEYS)
    assert first["image"] == "compiler:v5.3.0"


def test_all_builds_of_one_version_are_loaded_together():
    checks = pipeline.load_checks(PLAN, COMPILED, pipeline.gateway_images(PLAN))
    assert [(check["image"], len(check["files"])) for check in checks] == [("gw:v5.3.0", 3), ("gw:v5.8.9", 1)]
    assert checks[0]["files"][0] == {"path": "/out/t1/A_v5.3.0_linux_amd64.so", "symbols": ["Add"], "hooks": []}


def test_builds_for_different_machines_are_not_loaded_together():
    other = [dict(entry, goarch="arm64", path=f"/arm{entry['path']}") for entry in COMPILED]
    checks = pipeline.load_checks(PLAN, COMPILED + other, pipeline.gateway_images(PLAN))
    assert [(check["version"], [file["path"][:4] for file in check["files"]]) for check in checks] == [
        ("5.3.0", ["/out"] * 3),
        ("5.3.0", ["/arm"] * 3),
        ("5.8.9", ["/out"]),
        ("5.8.9", ["/arm"]),
    ]
    assert {check["image"] for check in checks} == {"gw:v5.3.0", "gw:v5.8.9"}, "published images are for several machines"


def test_each_build_is_loaded_in_the_image_of_its_machine():
    step = {**PLAN["gateways"][0], "arch": "arm64", "image_from": "arm:v5.3.0", "image_to": "arm:v5.8.9"}
    for steps in ([*PLAN["gateways"], step], [step, *PLAN["gateways"]]):
        other = [dict(entry, goarch="arm64") for entry in COMPILED]
        checks = pipeline.load_checks(PLAN, COMPILED + other, pipeline.gateway_images({"gateways": steps}))
        assert [check["image"] for check in checks] == ["gw:v5.3.0", "arm:v5.3.0", "gw:v5.8.9", "arm:v5.8.9"]


def test_a_build_that_no_host_can_load_is_named():
    steps = [
        {"host": "gw1", "from": "5.3.0", "to": "5.8.9", "arch": "amd64"},
        {"host": "gw2", "from": "5.2.5", "to": "5.8.9", "arch": "arm64"},
    ]
    untried = [
        {"file": f"/out/X_v{version}_linux_arm64.so", "version": version, "goarch": "arm64"}
        for version in ("5.2.5", "5.3.0", "5.8.9")
    ]
    (found,) = pipeline.left_untried({"gateways": steps}, untried)
    assert (found["code"], found["severity"], found["subject"]) == (
        "plugin-untried",
        "info",
        "X_v5.3.0_linux_arm64.so",
    )
    assert "no gateway on arm64 runs 5.3.0" in found["message"]
    assert pipeline.left_untried({"gateways": steps}, []) == []


def manifest(**middleware):
    return {"custom_middleware": {"driver": "goplugin", **middleware}}


def test_each_build_is_held_against_the_hooks_of_its_own_bundle():
    add, check = {"name": "Add", "path": "A.so"}, {"name": "Check", "path": "B.so"}
    one = {**PLAN["bundles"][0], "manifest": manifest(pre=[add], post=[add, check])}
    two = {**PLAN["bundles"][1], "manifest": manifest(response=[{**add, "disabled": True}], auth_check=check)}
    checks = pipeline.load_checks({**PLAN, "bundles": [one, two]}, COMPILED, pipeline.gateway_images(PLAN))
    both = [{"symbol": "Add", "kind": "pre"}, {"symbol": "Add", "kind": "post"}]
    assert [file["hooks"] for file in checks[0]["files"]] == [both, [], [{"symbol": "Check", "kind": "auth_check"}]]
    assert [file["hooks"] for file in checks[1]["files"]] == [both]


def test_a_hook_that_is_switched_off_is_called_before_5_0():
    off = {"name": "Add", "path": "A.so", "disabled": True}
    for version, hooks in (("4.3.8", [{"symbol": "Add", "kind": "pre"}]), ("5.0.0", [])):
        built = build("A", version, "t1", "one.zip")
        bundle = {"name": "one.zip", "symbols": {built["file"]: ["Add"]}, "manifest": manifest(pre=[off])}
        plan = {"builds": [built], "bundles": [bundle]}
        (check,) = pipeline.load_checks(plan, [dict(built, path="/a.so")], {(version, "amd64"): "gw"})
        assert check["files"] == [{"path": "/a.so", "symbols": ["Add"], "hooks": hooks}]


def test_a_version_that_runs_from_packages_only_is_loaded_on_its_hosts():
    packaged = [dict(gateway, image_from="", image_to="") for gateway in PLAN["gateways"]]
    assert pipeline.load_checks(PLAN, COMPILED, pipeline.gateway_images(dict(PLAN, gateways=packaged))) == []


def test_a_bundle_takes_its_own_build_of_a_plugin_that_two_bundles_hold():
    files = pipeline.bundle_files({"name": "two.zip"}, PLAN, COMPILED)
    assert [entry["path"] for entry in files] == ["/out/t2/A_v5.3.0_linux_amd64.so", "/out/t2/B_v5.3.0_linux_amd64.so"]


def test_a_named_compiler_wins_over_the_repository():
    assert pipeline.compilers(["5.3.0", "5.8.9"], "c", {"5.8.9": "other:x"}) == [
        {"version": "5.3.0", "image": "c:v5.3.0"},
        {"version": "5.8.9", "image": "other:x"},
    ]


def test_a_relative_source_is_relative_to_the_project():
    plugins = [{"name": "A", "source": "plugins/A"}, {"name": "B", "source": "/abs/B"}, {"name": "C", "artifacts": {}}]
    assert pipeline.sources(plugins, "/project") == [
        {"name": "A", "path": "/project/plugins/A"},
        {"name": "B", "path": "/abs/B"},
    ]


def test_the_plan_learns_sources_and_no_credentials():
    plugins = [{"name": "A", "source": "plugins/A", "probe": {"headers": {"Authorization": "secret"}}}]
    assert pipeline.wanted_plugins(plugins, "/project") == [{"name": "A", "source": "/project/plugins/A"}]


def test_a_switch_says_what_it_expects_to_find():
    api = {"id": "a", "name": "n", "kind": "oas", "from_bundle": "old.zip", "to_bundle": "new.zip", "digest": "d"}
    assert pipeline.bundle_changes([api]) == [
        {"id": "a", "bundle": "new.zip", "expect_bundle": "old.zip", "expect_digest": "d"}
    ]


def test_a_bundle_in_service_is_named_by_an_active_api_and_holds_plugins():
    plan = {
        "apis": [{"id": "a", "to_bundle": "new.zip"}, {"id": "off", "to_bundle": "idle.zip"}],
        "bundles": [
            {"name": "new.zip", "symbols": {"A.so": ["Add"]}},
            {"name": "kept.zip", "symbols": {"B.so": ["Add"]}},
            {"name": "idle.zip", "symbols": {"C.so": ["Add"]}},
            {"name": "script.zip", "symbols": {}},
        ],
    }
    apis = [
        {"id": "a", "bundle": "old.zip", "active": True},
        {"id": "b", "bundle": "kept.zip", "active": True},
        {"id": "c", "bundle": "script.zip", "active": True},
        {"id": "off", "bundle": "old2.zip", "active": False},
    ]
    assert pipeline.bundles_in_service(plan, apis) == ["new.zip", "kept.zip"]


def test_a_store_may_give_names_of_its_own():
    plan = {
        "builds": [{"bundle": "one.zip", "file": "a.so"}, {"bundle": "two.zip", "file": "b.so"}],
        "bundles": [{"name": "one.zip"}, {"name": "one-for-4.0.13.zip", "placed_for": "one.zip"}, {"name": "two.zip", "placed_for": ""}],
        "apis": [{"id": "1", "from_bundle": "zero.zip", "to_bundle": "one.zip"}],
    }
    results = [
        {"name": "uuid-1", "item": {"item": {"name": "one.zip"}}},
        {"name": None, "item": {"item": {"name": "two.zip"}}},
    ]
    found = pipeline.published(plan, results)
    assert [build["bundle"] for build in found["builds"]] == ["uuid-1", "two.zip"]
    assert found["bundles"] == [
        {"name": "uuid-1"}, {"name": "one-for-4.0.13.zip", "placed_for": "uuid-1"}, {"name": "two.zip", "placed_for": ""},
    ]
    assert found["apis"] == [{"id": "1", "from_bundle": "zero.zip", "to_bundle": "uuid-1"}]


def test_the_names_may_be_those_that_a_later_phase_found_in_the_store():
    plan = {"bundles": [{"name": "one.zip"}, {"name": "two.zip"}], "apis": [{"id": "1", "to_bundle": "one.zip"}]}
    results = [{"name": "uuid-1", "item": {"name": "one.zip"}}, {"name": None, "item": {"name": "two.zip"}}]
    found = pipeline.published(plan, results)
    assert [bundle["name"] for bundle in found["bundles"]] == ["uuid-1", "two.zip"]
    assert found["apis"] == [{"id": "1", "to_bundle": "uuid-1"}]
    again = [{"name": "uuid-1", "item": {"item": {"name": "uuid-1"}}}]
    assert pipeline.published(found, again) == found, "published once more under the name found"


def test_the_published_compiler_follows_the_edition():
    images = pipeline.compilers(["5.3.0", "5.8.9"], "", {"5.3.0": "mine:1"}, "ee")
    assert [each["image"] for each in images] == ["mine:1", "tykio/tyk-plugin-compiler-ee:v5.8.9"]
    assert pipeline.compilers(["5.3.0"], "", {})[0]["image"] == "tykio/tyk-plugin-compiler:v5.3.0"
    assert pipeline.compilers(["5.3.0"], "registry/compiler", {}, "ee")[0]["image"] == "registry/compiler:v5.3.0"


def test_what_a_gateways_own_host_loads_of_published_bundles():
    hook = {"name": "Add", "path": "X.so"}
    manifest = {"file_list": ["X.so"], "custom_middleware": {"driver": "goplugin", "pre": [hook, {**hook, "name": "Two"}]}}
    both = ["X_v5.3.0_linux_amd64.so", "X_v5.8.9_linux_amd64.so", "manifest.json"]
    fetched = [
        {"item": {"manifest": manifest, "versions": versions}, "files": [{"src": f"/s/{place}/{name}"} for name in names]}
        for place, (versions, names) in enumerate(((["5.3.0", "5.8.9"], both), (["5.8.9"], ["X.so"])))
    ]
    step = {"host": "gw1", "from": "5.3.0", "to": "5.8.9", "image_from": "gw:old", "image_to": "gw:new"}  # no arch: amd64
    old, new = pipeline.published_checks({"gateways": [step]}, "gw1", fetched)
    assert (old["image"], old["version"]) == ("gw:old", "5.3.0")
    kinds = [{"symbol": "Add", "kind": "pre"}, {"symbol": "Two", "kind": "pre"}]
    assert old["files"] == [{"path": "/s/0/X_v5.3.0_linux_amd64.so", "symbols": ["Add", "Two"], "hooks": kinds}]
    assert (new["image"], [each["path"] for each in new["files"]]) == (
        "gw:new", ["/s/0/X_v5.8.9_linux_amd64.so", "/s/1/X.so"],
    )


def test_each_gateways_host_loads_the_builds_for_its_own_machine():
    hook = {"name": "Add", "path": "X.so"}
    manifest = {"custom_middleware": {"driver": "goplugin", "pre": [hook]}}
    versions, archs = ("5.3.0", "5.8.9"), ("amd64", "arm64")
    files = [f"/s/X_v{version}_linux_{arch}.so" for version in versions for arch in archs]
    fetched = [{"item": {"manifest": manifest, "versions": versions}, "files": [{"src": file} for file in files]}]
    steps = [
        {"host": arch, "arch": arch, "from": "5.3.0", "to": "5.8.9", "image_from": "gw:old", "image_to": "gw:new"}
        for arch in archs
    ]
    for arch in archs:
        checks = pipeline.published_checks({"gateways": steps}, arch, fetched)
        assert [(check["image"], [file["path"] for file in check["files"]]) for check in checks] == [
            ("gw:old", [f"/s/X_v5.3.0_linux_{arch}.so"]),
            ("gw:new", [f"/s/X_v5.8.9_linux_{arch}.so"]),
        ]


def test_what_the_preparation_found_is_told_once_and_with_every_download():
    slow = {"code": "bundle-slow", "subject": "a.zip"}
    fetched = {
        "results": [
            {"item": {"name": "a.zip"}, "bytes": 7, "seconds": 3.5, "means": "the host gw1 itself", "findings": [slow]},
            {"item": {"name": "b.zip"}, "skipped": True},
        ]
    }
    compiled = {"findings": [{"code": "plugin-module-version", "subject": "X"}]}
    assert pipeline.prepared([compiled, compiled, {}, {"skipped": True}, fetched]) == [*compiled["findings"], slow]
    plan = {"gateways": [{"host": "gw1"}, {"host": "gw2"}]}
    assert pipeline.downloads(plan, {"gw1": fetched, "gw2": {"skipped": True}, "pump1": fetched}) == [
        {"host": "gw1", "bundle": "a.zip", "bytes": 7, "seconds": 3.5, "means": "the host gw1 itself"}
    ]


def test_what_was_published_is_what_gateways_must_get():
    plan = {"bundles": [{"name": "a.zip", "sha256": ""}, {"name": "given.zip", "sha256": "9" * 64}, {"name": "c.zip", "sha256": ""}]}
    results = [{"item": {"item": {"name": "a.zip"}}, "name": "uuid", "sha256": "1" * 64}, {"item": {"name": "c.zip"}, "sha256": None}]
    found = pipeline.published(plan, results)["bundles"]
    assert [(each["name"], each["sha256"]) for each in found] == [("uuid", "1" * 64), ("given.zip", "9" * 64), ("c.zip", "")]
