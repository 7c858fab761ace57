# Copyright (c) 2026 tyk.upgrade contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
from __future__ import annotations

import importlib.util
import json
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ansible_collections.tyk.upgrade.plugins.module_utils._domain import releases, releases_data
from ansible_collections.tyk.upgrade.plugins.module_utils._domain.findings import DomainError
from ansible_collections.tyk.upgrade.plugins.module_utils._domain.versions import Version

ROOT = next(folder for folder in Path(__file__).resolve().parents if (folder / "galaxy.yml").is_file())
TABLE = json.loads((ROOT / "tools" / "tyk-releases.json").read_text(encoding="utf-8"))


def generator():
    spec = importlib.util.spec_from_file_location("generate_releases", ROOT / "tools" / "generate_releases.py")
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def test_the_module_is_exactly_what_the_tool_generates():
    assert Path(releases_data.__file__).read_text(encoding="utf-8") == generator().render(TABLE)


def test_the_tool_orders_releases_by_number():
    assert generator().render(TABLE) == generator().render(list(reversed(TABLE)))


@pytest.mark.parametrize("row", TABLE, ids=lambda row: row["version"])
def test_every_release_is_known_with_its_facts(row):
    found = releases.release(row["version"])
    assert found.version.tag == row["version"]
    assert (found.commit, found.commit_date, found.go_version) == (row["commit"], row["commit_date"], row["go_version"])
    assert found.pseudo_version == row["pseudo_version"]
    assert releases.known(row["version"])
    assert found.go_version in releases.go_group(row["version"]).split("/")


def test_all_versions_are_there_in_order():
    assert len(releases.all_versions()) == len(TABLE)
    assert releases.all_versions() == sorted(releases.all_versions())


def test_every_go_version_is_in_one_group():
    members = [go_version for group in releases.GO_GROUPS for go_version in group]
    assert len(members) == len(set(members))
    assert {row["go_version"] for row in TABLE} <= set(members)


@pytest.mark.parametrize(
    ("one", "other", "same"),
    [
        ("5.3.0", "5.3.9", True),
        ("5.3.9", "5.3.10", False),
        ("5.2.5", "5.3.0", False),
        ("5.3.0", "5.8.9", False),
        ("5.8.0", "5.8.15", True),
        ("5.0.0", "5.1.0", False),
        ("4.3.8", "5.0.0", True),
    ],
)
def test_go_generations(one, other, same):
    assert (releases.go_group(one) == releases.go_group(other)) is same


def test_the_published_commits_are_those_of_three_releases():
    assert releases.release("4.0.3").commit.startswith("6c76e80")
    assert releases.release("5.0.3").commit.startswith("54e1072")
    assert releases.release("5.2.1").commit.startswith("ffa83a2")


@pytest.mark.parametrize(
    ("version", "near"), [("5.8.99", "5.8.15"), ("5.3.77", "5.3.13"), ("9.0.0", "5."), ("4.0.17", "4.0.16")]
)
def test_an_unknown_version_is_refused_with_releases_that_come_near(version, near):
    assert not releases.known(version)
    with pytest.raises(DomainError) as caught:
        releases.release(version)
    finding = caught.value.finding
    assert finding.code == "version-unknown"
    assert version in finding.message
    assert f"for example {near}" in finding.remedy


def test_a_pre_release_is_no_release():
    assert not releases.known("5.8.9-rc1")
    assert releases.nearest("5.8.9-rc1")[0] == Version(5, 8, 9)


@given(st.builds(Version, *[st.integers(min_value=0, max_value=30)] * 3), st.integers(min_value=1, max_value=10))
def test_nearest_names_releases_and_a_known_one_first(version, count):
    near = releases.nearest(version, count)
    assert len(set(near)) == count
    assert all(releases.known(candidate) for candidate in near)
    if releases.known(version):
        assert near[0] == version


@pytest.mark.parametrize(
    ("go_version", "version", "expected"),
    [
        ("go1.24.11", "5.8.9", None),
        ("go1.24.6 X:boringcrypto", "5.8.9", None),
        ("go1.23.4", "5.8.9", ("1.24", False)),
        ("go1.22.5", "5.8.9", ("1.24", True)),
        ("go1.19.13", "5.3.0", ("1.21", True)),
        ("go1.21.13", "5.0.15", None),  # not sure before 5.1.0
        ("devel go1.30-abc", "5.8.9", None),
        ("", "5.8.9", None),
        ("go1.24.1", "5.99.0", None),
    ],
)
def test_another_go_than_that_of_a_release(go_version, version, expected):
    found = releases.other_go(go_version, version)
    assert (found and (found.wanted, found.deadly)) == expected
    assert found is None or ("ends" in found.outcome) is found.deadly
