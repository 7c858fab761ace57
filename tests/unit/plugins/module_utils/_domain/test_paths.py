# Copyright (c) 2026 tyk.upgrade contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
from __future__ import annotations

import pytest

from ansible_collections.tyk.upgrade.plugins.module_utils._domain import paths
from ansible_collections.tyk.upgrade.plugins.module_utils._domain.bundles import Hook
from ansible_collections.tyk.upgrade.plugins.module_utils._domain.compilers import compiler_contract
from ansible_collections.tyk.upgrade.plugins.module_utils._domain.paths import PATHS, decide, published_path
from ansible_collections.tyk.upgrade.plugins.module_utils._domain.releases import all_versions
from ansible_collections.tyk.upgrade.plugins.module_utils._domain.resolution import shared_layout
from ansible_collections.tyk.upgrade.plugins.module_utils._domain.versions import Version

ALL = all_versions()
PRE = Hook("pre", "AddHeader", "X.so")
RESPONSE = Hook("response", "AddHeader", "X.so")


@pytest.mark.parametrize("row", PATHS, ids=lambda row: row.path)
def test_every_published_row_has_pairs_and_a_source(row):
    assert row.source
    assert any(published_path(current, target) == row for current in ALL[::5] for target in ALL[::5])


@pytest.mark.parametrize("current", ALL[::2], ids=str)
def test_every_pair_is_in_exactly_one_row(current):
    for target in ALL:
        rows = [row for row in PATHS if current.satisfies(row.current) and target.satisfies(row.target)]
        assert rows == [published_path(current, target)]


@pytest.mark.parametrize("hook", [PRE, RESPONSE, "request", "response"], ids=str)
@pytest.mark.parametrize("current", ALL[::3], ids=str)
def test_the_cutover_follows_from_the_rule_table(current, hook):
    phase = hook if isinstance(hook, str) else hook.phase
    for target in ALL[::2]:
        decision = decide(current, target, [hook])
        shared = shared_layout(current, target, "X", hooks=[phase]) is not None
        unusable = any(compiler_contract(version).unusable for version in (current, target))
        lost = any(version < Version(3, 2, 0) for version in (current, target)) and phase == "response"
        by_api = any(version < Version(3, 2, 3) or version == Version(4, 0, 0) for version in (current, target))
        assert decision.cutover == (paths.SHARED if shared else paths.PER_HOST)
        assert decision.supported == (not unusable and (shared or not (lost or by_api)))
        assert decision.path == (paths.NONE if current == target else published_path(current, target).path)
        assert all(reason.endswith(".") for reason in decision.reasons) and decision.reasons
        assert all(decision.sources) and len(set(decision.sources)) == len(decision.sources)


@pytest.mark.parametrize(
    ("current", "target", "hooks", "path", "cutover"),
    [
        ("4.0.3", "4.0.16", [PRE], "1", "per-host"),
        ("4.0.3", "4.1.0", [PRE], "2", "per-host"),
        ("4.0.3", "4.3.1", [PRE], "2", "per-host"),
        ("4.0.3", "4.3.3", [PRE], "2", "shared"),
        ("4.0.3", "5.2.1", [PRE, RESPONSE], "2", "shared"),
        ("4.3.3", "5.1.0", [PRE], "3", "shared"),
        ("5.3.0", "5.8.9", [PRE, RESPONSE], "3", "shared"),
        ("4.1.0", "4.3.1", [PRE], "gap", "shared"),
        ("4.1.0", "4.3.1", [PRE, RESPONSE], "gap", "per-host"),
        ("4.1.0", "5.0.15", [PRE], "gap", "shared"),
        ("4.3.2", "4.3.8", [RESPONSE], "gap", "shared"),
        ("5.3.0", "5.3.0", [PRE], "none", "shared"),
        ("4.0.3", "5.8.9", [], "none", "none"),
    ],
)
def test_paths_in_words(current, target, hooks, path, cutover):
    decision = decide(current, target, hooks)
    assert (decision.path, decision.cutover) == (path, cutover)


@pytest.mark.parametrize(
    ("current", "target", "supported"),
    [
        ("5.3.0", "5.8.9", True),
        ("4.3.8", "5.0.2", False),
        ("5.0.2", "5.8.9", False),
        ("4.0.3", "4.0.16", True),
        ("4.0.0", "4.0.16", False),
    ],
)
def test_what_is_supported(current, target, supported):
    assert decide(current, target, [PRE]).supported is supported


def told(current, target, hooks=(PRE,)):
    return " ".join(decide(current, target, hooks).reasons)


def test_the_reasons_name_the_files():
    assert "5.3.0 opens X_v5.3.0_linux_amd64.so and 5.8.9 opens X_v5.8.9_linux_amd64.so" in told("5.3.0", "5.8.9")
    assert "4.0.3 opens X.so first and 4.3.1 opens X.so first" in told("4.0.3", "4.3.1")
    assert "4.1.0 opens X.so first and 4.3.1 opens X.so first" in told("4.1.0", "4.3.1", [PRE, RESPONSE])
    assert "3.0.0 opens nothing first" in told("3.0.0", "5.3.0", [RESPONSE])


def test_the_reasons_say_what_is_opened_for_want_of_the_own_build():
    assert "missing in the bundle, 5.8.9 would open X.so, the build for 4.0.16" in told("4.0.16", "5.8.9")
    assert "missing in the bundle, 5.8.9 would open X.so, the build for 4.0.16" in told("5.8.9", "4.0.16")
    assert "missing in the bundle" not in told("5.3.0", "5.8.9") + told("4.0.3", "4.0.16") + told("4.1.0", "5.3.0")


def test_the_reasons_warn_of_what_bites():
    assert "different Go generations (1.21/1.22 and 1.23/1.24/1.25)" in told("5.3.0", "5.8.9")
    assert "Go generations" not in told("5.3.0", "5.3.1")
    assert "does not cover 4.1.0 to 4.3.8" in told("4.1.0", "4.3.8")
    assert "5.3.0 may let requests through" in told("5.3.0", "5.8.9")
    assert "5.8.9 may let" not in told("5.3.0", "5.8.9")
    assert "emergency backup that 4.0.3 wrote" in told("4.0.3", "5.8.9")
    assert "plugin compiler of 5.0.2 does not build for 5.0.2" in told("4.3.8", "5.0.2")
    assert "compiler of 5.2.1 ignores the build id" in told("5.2.1", "5.8.9")


def test_builds_that_are_at_hand_need_no_compiler():
    assert decide("5.0.2", "5.8.9", [PRE]).compiled == ("5.0.2", "5.8.9")
    decision = decide("5.0.2", "5.8.9", [PRE], built=["5.0.2"])
    assert decision.compiled == ("5.8.9",) and decision.supported
    assert not any("compiler of 5.0.2" in reason for reason in decision.reasons)


def test_running_builds_can_be_used_on_where_a_link_can_be_put():
    decision = decide("5.0.2", "5.8.9", [PRE], linked=True)
    assert decision.linked and decision.supported and decision.compiled == ("5.8.9",)
    refused = decide("5.0.2", "5.8.9", [PRE], linked=True, placeable=False)
    assert not refused.supported and any("by a link" in reason for reason in refused.reasons)


def test_builds_of_their_own_need_hosts_that_take_files():
    assert decide("4.0.3", "4.0.16", [PRE]).supported
    refused = decide("4.0.3", "4.0.16", [PRE], placeable=False)
    assert not refused.supported and any("Files would have to be put" in reason for reason in refused.reasons)
    assert refused.cutover == "per-host"
    accepted = decide("4.0.3", "4.0.16", [PRE], placeable=False, window_accepted=True)
    assert accepted.supported and accepted.cutover == "literal" and accepted.compiled == ("4.0.16",)
    assert decide("5.3.0", "5.8.9", [PRE], placeable=False).supported


def test_several_architectures_share_a_bundle_where_names_tell_them_apart():
    decision = decide("5.3.0", "5.8.9", [PRE], goarchs=["arm64", "amd64"])
    assert decision.goarchs == ("amd64", "arm64") and decision.cutover == "shared" and decision.supported
    assert decision.files["5.8.9"] == {"amd64": "X_v5.8.9_linux_amd64.so", "arm64": "X_v5.8.9_linux_arm64.so"}
    assert [(build.version, build.goarch) for build in decision.builds] == [
        ("5.3.0", "amd64"),
        ("5.3.0", "arm64"),
        ("5.8.9", "amd64"),
        ("5.8.9", "arm64"),
    ]


@pytest.mark.parametrize(("current", "target"), [("4.0.3", "4.0.16"), ("4.0.3", "5.8.9"), ("4.0.16", "4.0.16")])
def test_several_architectures_do_not_where_only_the_exact_name_is_known(current, target):
    decision = decide(current, target, [PRE], goarchs=["arm64", "amd64"])
    assert decision.cutover == "per-host" and not decision.supported
    assert any("architectures apart by file name" in reason for reason in decision.reasons)


def test_the_order_of_the_hooks_is_that_of_a_request():
    decision = decide("5.3.0", "5.8.9", [RESPONSE, "post", PRE, "auth_check"])
    assert decision.kinds == ("pre", "auth_check", "post", "response")
    assert decide("5.3.0", "5.8.9", ["request"]).kinds == ("pre", "post_key_auth", "post")


@pytest.mark.parametrize(
    ("current", "target", "edition", "supported"),
    [
        ("5.7.0", "5.8.9", "ee", True),
        ("5.6.1", "5.8.9", "ee", False),
        ("5.8.14", "5.13.0", "fips", True),
        ("5.8.13", "5.13.0", "fips", False),
    ],
)
def test_an_edition_needs_its_own_compiler(current, target, edition, supported):
    decision = decide(current, target, [PRE], edition=edition)
    assert decision.supported is supported
    assert all(f"compiler-{edition}:" in build.image for build in decision.builds if build.image)


def test_no_build_loads_where_support_for_plugins_was_left_out():
    decision = decide("5.3.9", "5.13.0", [PRE], edition="fips", built=["5.3.9", "5.13.0"])
    assert not decision.supported
    assert any("built without support for Go plugins" in reason for reason in decision.reasons)


def test_an_unknown_edition_was_never_published():
    decision = decide("5.3.0", "5.8.9", [PRE], edition="pro")
    assert not decision.supported
    assert "There is no gateway 5.8.9 of the edition pro." in decision.reasons


def test_a_compiler_that_the_user_named_stands_in_for_one_that_was_not_published():
    decision = decide("5.8.13", "5.13.0", [PRE], edition="fips", own_compilers=["5.8.13"])
    assert decision.supported and [build.image for build in decision.builds] == [
        None,
        "tyk-plugin-compiler-fips:v5.13.0",
    ]


def test_the_trap_of_the_published_path_2_is_among_the_reasons():
    assert "The bundle that the published path 2 describes" in told("4.0.3", "4.3.1")
    assert "path 2 describes" not in told("4.0.3", "4.3.2")


@pytest.mark.parametrize("current", ALL[::6], ids=str)
def test_every_reason_has_a_source(current):
    for target in ALL[::6]:
        decision = decide(current, target, [PRE, RESPONSE])
        assert decision.sources and all(decision.sources)


def test_versions_that_are_no_releases_are_decided_too():
    assert decide("5.3.0", "5.99.0", [PRE]).cutover == "shared"


def test_what_the_plan_needs_is_at_hand_here():
    assert paths.compiler_contract("5.3.0").workspace
    assert paths.can_plugin_load("5.3.0") and paths.fail_open("5.3.0") and paths.failing_download_fatal("5.8.9")
