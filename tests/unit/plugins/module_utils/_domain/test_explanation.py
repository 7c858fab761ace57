# Copyright (c) 2026 tyk.upgrade contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
from __future__ import annotations

import pytest

from ansible_collections.tyk.upgrade.plugins.module_utils._domain.explanation import explain
from ansible_collections.tyk.upgrade.plugins.module_utils._domain.paths import decide
from ansible_collections.tyk.upgrade.plugins.module_utils._domain.releases import all_versions

ALL = [version for version in all_versions() if version.major >= 4]


def told(current, target, hooks=("pre",), **decided):
    return "\n".join(explain(decide(current, target, hooks, **decided)))


@pytest.mark.parametrize("current", ALL[::4], ids=str)
def test_every_explanation_is_made_of_sentences_and_says_nothing_twice(current):
    for target in ALL[::3]:
        decision = decide(current, target, ["pre", "auth_check", "response"], edition="ce")
        lines = explain(decision)
        assert all(line[0].isalnum() and line.endswith(".") and "  " not in line for line in lines)
        assert len(set(lines)) == len(lines)
        for version in decision.versions:
            assert any(line.startswith(f"{version} lets requests through: ") for line in lines) == bool(
                decision.opening(version)
            )
        for by_arch in decision.files.values():
            assert all(name in "\n".join(lines) for name in by_arch.values())
        assert set(decision.reasons) <= set(lines)


def test_nothing_to_move_is_said_in_one_line():
    assert explain(decide("5.3.0", "5.8.9", [])) == ["No API uses a Go plugin from a bundle."]


def test_the_order_of_a_shared_bundle():
    lines = explain(decide("5.2.5", "5.8.9", ["pre"]))
    assert lines[0] == (
        "Plugins go from 5.2.5 to 5.8.9 (ce, linux on amd64), path 3 of the published procedure: one bundle serves both "
        "versions and is switched before any gateway is replaced."
    )
    switched = next(place for place, line in enumerate(lines) if line.startswith("Then the API definitions"))
    replaced = next(place for place, line in enumerate(lines) if line.startswith("Last the gateways are replaced"))
    assert switched < replaced


def test_builds_of_their_own_for_every_host():
    text = told("4.0.3", "4.2.4", ["pre", "response"])
    assert "no bundle can serve both versions, so each gateway is given the builds of its own version" in text
    assert "its own builds are put into the folder of the target's bundle before any API names that" in text
    assert "The compiler of 4.2.4 writes X_v4.2.4_linux_amd64.so; it goes into the bundle as X.so" in text
    assert "The compiler of 4.0.3 writes" not in text


def test_names_that_compilers_do_not_write():
    assert "writes X_v4.1.0_linux_amd64.so; it goes into the bundle as X_4.1.0_linux_amd64.so" in told("4.1.0", "5.3.1")
    assert "writes" not in told("5.3.1", "5.8.9")


def test_the_gap():
    assert "which the published procedure does not cover" in told("4.3.8", "5.0.15")


def test_what_cannot_be_carried_out_says_so_first():
    lines = explain(decide("4.3.8", "5.0.2", ["pre"]))
    assert "cannot be carried out here" in lines[0]
    assert "The published plugin compiler of 5.0.2 does not build for 5.0.2." in lines
    assert not any("is compiled by tyk-plugin-compiler:v5.0.2" in line for line in lines)


def test_a_lost_source():
    text = told("5.3.0", "5.8.9", linked=True)
    assert "The running builds for 5.3.0 are used on, by a link" in text
    assert "compiled by tyk-plugin-compiler:v5.8.9" in text and "compiled by tyk-plugin-compiler:v5.3.0" not in text


def test_builds_that_are_at_hand_need_no_compiler():
    assert "is compiled by" not in told("5.3.0", "5.8.9", built=["5.3.0", "5.8.9"])


def test_editions_and_architectures():
    text = told("5.7.0", "5.8.9", edition="ee", goarchs=["arm64", "amd64"])
    assert "(ee, linux on amd64 and arm64)" in text
    assert "X for 5.8.9 on arm64 is compiled by tyk-plugin-compiler-ee:v5.8.9 with Go 1.24" in text
    assert "X_v5.7.0_linux_amd64.so, X_v5.7.0_linux_arm64.so, X_v5.8.9_linux_amd64.so and" in text


def test_own_packages_in_the_gopath_era():
    says = "packages of the plugin's own are found only if the source has a go.mod"
    assert says in told("4.3.8", "5.0.15") and says not in told("5.3.0", "5.8.9")


def test_staying_on_a_version():
    assert told("5.3.0", "5.3.0").startswith("Plugins stay on 5.3.0 (ce, linux on amd64)")


def test_what_is_dangerous_is_told_for_both_versions():
    text = told("5.2.5", "5.8.9", ["pre", "auth_check"])
    assert "5.2.5 lets requests through: when a bundle cannot be fetched (pre), the API is served without" in text
    assert "5.8.9 lets requests through" not in text
    assert "another Go generation, the process ends" in text
    assert "another Go generation, the process ends" not in told("5.8.8", "5.8.9")
