# Copyright (c) 2026 tyk.upgrade contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The file-resolution rules against an independent statement of them, over every release and every pair."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ansible_collections.tyk.upgrade.plugins.module_utils._domain.releases import all_versions
from ansible_collections.tyk.upgrade.plugins.module_utils._domain.resolution import (
    RULES,
    Target,
    candidates,
    compiled_name,
    layout,
    resolve,
    rule_for,
    shared_layout,
)
from ansible_collections.tyk.upgrade.plugins.module_utils._domain.versions import Version

ALL = all_versions()
EXACT = "X.so"
HOOKS = (("request",), ("response",), ("request", "response"))

releases = st.sampled_from(ALL)
hooks = st.sampled_from(["request", "response"])


def plain(version):
    return f"X_{version}_linux_amd64.so"


def tagged(version):
    return f"X_v{version}_linux_amd64.so"


def opened_in_order(version, hook):
    """What a gateway opens, said once more and differently: by what each generation added."""
    number = (version.major, version.minor, version.patch)
    if hook == "response" and number < (3, 2, 0):
        return []
    names = [EXACT]
    if number >= (4, 3, 2):
        return [tagged(version), plain(version), *names]
    if hook == "response":
        return names
    if number >= (4, 1, 0):
        names.append(plain(version))
    if number >= (4, 3, 0):
        names.append(tagged(version))
    return names


def one_bundle_can_serve(current, target, kinds):
    """The table of pairs, by class: A to 4.0.16, B to 4.2.4, C to 4.3.1, D from 4.3.2 on."""
    if "response" in kinds and min(current, target) < Version(3, 2, 0):
        return False
    if current == target:
        return True
    older, newer = sorted(
        "ABCD"[sum(v >= Version(*since) for since in ((4, 1, 0), (4, 3, 0), (4, 3, 2)))] for v in (current, target)
    )
    if newer == "D":
        return True
    return older != "A" and "response" not in kinds


def holds_for(version, files, kinds, own):
    """Whether the gateway, by the independent statement, opens its own build first for every kind of hook."""
    return all(next(name for name in opened_in_order(version, kind) if name in files) == own for kind in kinds)


@pytest.mark.parametrize("version", ALL, ids=str)
def test_every_release_follows_exactly_one_rule(version):
    assert [rule for rule in RULES if version.satisfies(rule.versions)] == [rule_for(version)]


@pytest.mark.parametrize("version", ALL, ids=str)
@pytest.mark.parametrize("hook", ["request", "response"])
def test_the_table_agrees_with_the_independent_statement(version, hook):
    assert candidates(version, "X", hook=hook) == opened_in_order(version, hook)


@pytest.mark.parametrize("rule", RULES, ids=lambda rule: rule.versions)
def test_no_name_is_tried_for_a_response_hook_alone(rule):
    assert set(rule.response) <= set(rule.request)


@pytest.mark.parametrize("rule", RULES, ids=lambda rule: rule.versions)
def test_every_rule_has_a_source_and_a_release(rule):
    assert rule.source
    assert any(version.satisfies(rule.versions) for version in ALL)


@pytest.mark.parametrize(
    ("version", "name"),
    [
        ("3.0.0", "A"),
        ("4.0.16", "A"),
        ("4.1.0", "B"),
        ("4.2.4", "B"),
        ("4.3.0", "C"),
        ("4.3.1", "C"),
        ("4.3.2", "D"),
        ("5.14.0", "D"),
    ],
)
def test_classes(version, name):
    assert rule_for(version).name == name


@pytest.mark.parametrize("kinds", HOOKS, ids="+".join)
@pytest.mark.parametrize("current", ALL, ids=str)
def test_a_shared_bundle_exists_and_resolves_right_for_both_versions_of_every_pair(current, kinds):
    for target in ALL:
        found = shared_layout(current, target, "X", hooks=kinds)
        assert (found is not None) == one_bundle_can_serve(current, target, kinds), f"{current} to {target}"
        if found is None:
            continue
        assert set(found) == {str(current), str(target)}
        files = set(found.values())
        assert len(files) == len({current, target})
        for version in (current, target):
            assert holds_for(version, files, kinds, found[str(version)]), f"{current} to {target}"
            for kind in kinds:
                assert resolve(version, EXACT, files, hook=kind) == found[str(version)]


@pytest.mark.parametrize("kinds", HOOKS, ids="+".join)
def test_a_bundle_that_serves_one_way_serves_the_way_back(kinds):
    for current in ALL[::3]:
        for target in ALL[::4]:
            assert shared_layout(current, target, "X", hooks=kinds) == shared_layout(target, current, "X", hooks=kinds)


def test_where_both_versions_know_versioned_names_no_exact_one_is_used():
    modern = [version for version in ALL if version >= Version(4, 3, 2)]
    for current in modern:
        for target in modern[::5]:
            found = shared_layout(current, target, "X", hooks=["request", "response"])
            assert found == {str(version): tagged(version) for version in (current, target)}


@pytest.mark.parametrize(
    ("current", "target", "kinds", "files"),
    [
        ("5.3.0", "5.8.9", ["request"], {"5.3.0": "X_v5.3.0_linux_amd64.so", "5.8.9": "X_v5.8.9_linux_amd64.so"}),
        ("4.0.3", "5.2.1", ["request"], {"4.0.3": "X.so", "5.2.1": "X_v5.2.1_linux_amd64.so"}),
        ("4.1.0", "4.2.4", ["request"], {"4.1.0": "X_4.1.0_linux_amd64.so", "4.2.4": "X_4.2.4_linux_amd64.so"}),
        ("4.1.0", "5.2.1", ["response"], {"4.1.0": "X.so", "5.2.1": "X_v5.2.1_linux_amd64.so"}),
        ("4.0.3", "4.0.16", ["request"], None),
        ("4.0.3", "4.1.0", ["request"], None),
        ("4.0.3", "4.3.1", ["request"], None),
        ("4.1.0", "4.3.1", ["response"], None),
        ("4.0.3", "4.0.3", ["request"], {"4.0.3": "X.so"}),
    ],
)
def test_pairs_in_words(current, target, kinds, files):
    assert shared_layout(current, target, "X", hooks=kinds) == files


def test_the_mixed_bundle_of_path_2_fails_where_the_exact_name_comes_first():
    files = ["X.so", "X_v4.3.1_linux_amd64.so"]
    assert resolve("4.3.1", "X.so", files) == "X.so"
    assert resolve("4.3.2", "X.so", ["X.so", "X_v4.3.2_linux_amd64.so"]) == "X_v4.3.2_linux_amd64.so"


def test_compiler_output_must_be_renamed_for_versions_without_v():
    assert compiled_name("4.2.4", "X") == "X_v4.2.4_linux_amd64.so"
    assert resolve("4.2.4", "X.so", [compiled_name("4.2.4", "X")]) is None


@pytest.mark.parametrize("version", ALL, ids=str)
def test_compiler_output_names(version):
    assert compiled_name(version, "X") == ("X.so" if version < Version(4, 1, 0) else tagged(version))


def test_a_manifest_path_that_carries_a_version_pins_it():
    path = "X_v5.2.0_linux_amd64.so"
    assert resolve("5.2.1", path, [path, "X_v5.2.1_linux_amd64.so"]) == path
    assert resolve("5.2.1", path, ["X_v5.2.1_linux_amd64.so"]) is None


def test_a_pre_release_opens_the_files_of_its_release():
    assert resolve("5.8.0-rc1", "X.so", ["X_v5.8.0_linux_amd64.so"]) == "X_v5.8.0_linux_amd64.so"
    assert layout([Target(Version.parse("5.8.0-rc1")), Target(Version.parse("5.8.0"))], "X") is None


def test_names_are_looked_up_beside_the_path():
    assert resolve("5.3.0", "lib/X.so", ["lib/X_v5.3.0_linux_amd64.so"]) == "lib/X_v5.3.0_linux_amd64.so"
    assert resolve("5.3.0", "lib/X.so", ["X_v5.3.0_linux_amd64.so"]) is None


def test_a_response_hook_is_go_only_by_its_ending():
    assert resolve("5.3.0", "X", ["X"], hook="response") is None
    assert resolve("5.3.0", "X", ["X"]) == "X"


def test_nothing_there_is_nothing_opened():
    assert resolve("5.3.0", "X.so", []) is None


def test_several_versions_and_architectures_share_a_bundle():
    targets = [
        Target(Version.parse(version), "linux", arch) for version in ("5.3.0", "5.8.9") for arch in ("amd64", "arm64")
    ]
    found = layout(targets, "X")
    assert found is not None and len(set(found.values())) == 4
    assert found[targets[3]] == "X_v5.8.9_linux_arm64.so"


def test_two_architectures_that_only_know_the_exact_name_cannot_share_a_bundle():
    version = Version.parse("4.0.16")
    assert layout([Target(version, "linux", "amd64"), Target(version, "linux", "arm64")], "X") is None


@given(releases, hooks, st.sets(st.sampled_from([EXACT, *map(plain, ALL[::7]), *map(tagged, ALL[::7])])))
def test_resolve_returns_only_what_is_there_and_what_the_gateway_tries(version, hook, files):
    found = resolve(version, EXACT, files, hook=hook)
    tried = candidates(version, "X", hook=hook)
    if found is None:
        assert not files.intersection(tried)
    else:
        assert found in files
        assert not files.intersection(tried[: tried.index(found)])


@given(
    releases,
    releases,
    st.from_regex(r"[A-Za-z][A-Za-z0-9_-]{0,12}", fullmatch=True),
    st.sampled_from(["linux", "darwin"]),
    st.sampled_from(["amd64", "arm64", "s390x"]),
    st.sampled_from(HOOKS),
)
def test_a_shared_layout_resolves_right_whatever_the_plugin_is_called(current, target, stem, goos, goarch, kinds):
    found = shared_layout(current, target, stem, goos, goarch, kinds)
    for version, name in (found or {}).items():
        for kind in kinds:
            assert resolve(version, f"{stem}.so", list(found.values()), goos, goarch, kind) == name


@given(
    releases,
    releases,
    st.sets(st.sampled_from(["amd64", "arm64", "s390x"]), min_size=1),
    st.sampled_from(HOOKS),
)
def test_in_one_bundle_each_gateway_opens_the_build_for_its_version_and_machine(current, target, goarchs, kinds):
    targets = [Target(version, "linux", goarch) for version in (current, target) for goarch in goarchs]
    found = layout(targets, "X", kinds)
    if min(current, target) >= Version(4, 3, 2):
        assert found is not None, "they tell versions and machines by name"
    for one, name in (found or {}).items():
        assert list(found.values()).count(name) == 1
        for kind in kinds:
            assert resolve(one.version, "X.so", list(found.values()), "linux", one.goarch, kind) == name
        if one.version >= Version(4, 3, 2):
            own = [name for other, name in found.items() if other != one]
            assert resolve(one.version, "X.so", own, "linux", one.goarch, kinds[0]) in (None, "X.so")
