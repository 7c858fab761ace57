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
    [("5.3.0", "5.8.9", True), ("4.3.8", "5.0.2", False), ("5.0.2", "5.8.9", False), ("4.0.3", "4.0.16", True), ("4.0.0", "4.0.16", False)],
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


def test_the_reasons_warn_of_what_bites():
    assert "different Go generations (1.21/1.22 and 1.23/1.24/1.25)" in told("5.3.0", "5.8.9")
    assert "Go generations" not in told("5.3.0", "5.3.1")
    assert "does not cover 4.1.0 to 4.3.8" in told("4.1.0", "4.3.8")
    assert "5.3.0 may let requests through" in told("5.3.0", "5.8.9")
    assert "5.8.9 may let" not in told("5.3.0", "5.8.9")
    assert "emergency backup that 4.0.3 wrote" in told("4.0.3", "5.8.9")
    assert "plugin compiler of 5.0.2 does not build for 5.0.2" in told("4.3.8", "5.0.2")
    assert "compiler of 5.2.1 ignores the build id" in told("5.2.1", "5.8.9")


def test_versions_that_are_no_releases_are_decided_too():
    assert decide("5.3.0", "5.99.0", [PRE]).cutover == "shared"


def test_what_the_plan_needs_is_at_hand_here():
    assert paths.compiler_contract("5.3.0").workspace
    assert paths.can_plugin_load("5.3.0") and paths.fail_open("5.3.0") and paths.failing_download_fatal("5.8.9")
