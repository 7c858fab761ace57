# Copyright (c) 2026 tyk.upgrade contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ansible_collections.tyk.upgrade.plugins.module_utils._domain.findings import DomainError
from ansible_collections.tyk.upgrade.plugins.module_utils._domain.versions import (
    Version,
    as_version,
    parse_ranges,
    parse_wanted,
)

numbers = st.integers(min_value=0, max_value=10**6)
suffixes = st.one_of(st.just(""), st.from_regex(r"[0-9A-Za-z][0-9A-Za-z.+-]{0,8}", fullmatch=True))
versions = st.builds(Version, numbers, numbers, numbers, suffixes)


@given(versions, st.sampled_from(["", "v"]))
def test_parsing_is_the_inverse_of_writing(version, prefix):
    assert Version.parse(prefix + str(version)) == version
    assert Version.parse(version.tag) == version


@given(versions, versions, versions)
def test_the_order_is_total(one, two, three):
    assert (one < two) + (one == two) + (one > two) == 1
    if one <= two <= three:
        assert one <= three


@given(versions)
def test_a_pre_release_comes_before_its_release_and_after_the_patch_before(version):
    if version.pre:
        assert version < version.release
        if version.patch:
            assert version > Version(version.major, version.minor, version.patch - 1)


def test_order_by_number_not_by_letter():
    texts = ["4.0.9", "4.0.16", "5.3.0-rc2", "5.3.0-rc10", "5.3.0", "5.8.9", "5.8.10", "5.10.0"]
    assert sorted(map(Version.parse, reversed(texts))) == [Version.parse(text) for text in texts]


@pytest.mark.parametrize(
    "text",
    ["", "5", "5.8", "5.8.x", "5.8.9.1", "05.8.9", "5.8.09", "V5.8.9", "vv5.8.9", "5.8.9-", "latest", "5,8,9", "٥.8.9"],
)
def test_anything_else_is_refused_in_a_sentence(text):
    with pytest.raises(ValueError, match=r"is not a version; a version is three numbers such as 5\.8\.9"):
        Version.parse(text)


def test_parts_of_a_version():
    version = Version.parse("v5.8.0-rc1")
    assert (str(version), version.tag, version.line) == ("5.8.0-rc1", "v5.8.0-rc1", "5.8")
    assert version.release == Version(5, 8, 0)
    assert as_version("5.8.0") == as_version(Version(5, 8, 0))


def test_a_version_compares_only_with_versions():
    with pytest.raises(TypeError):
        Version(5, 8, 9) < "5.9.0"  # noqa: B015


@pytest.mark.parametrize(
    ("value", "kind"),
    [
        (5.10, "a number (5.1;"),
        (5, "a number (5;"),
        (True, "true or false"),
        (None, "nothing"),
        ([], "a list"),
        ({}, "a dict"),
    ],
)
def test_a_wanted_version_must_be_text(value, kind):
    with pytest.raises(DomainError) as caught:
        parse_wanted(value)
    finding = caught.value.finding
    assert finding.code == "version-not-string"
    assert finding.subject == "tyk_target_version"
    assert f"was given as {kind}" in finding.message
    assert 'tyk_target_version: "5.8.9"' in finding.remedy


def test_a_wanted_version_must_be_a_version():
    with pytest.raises(DomainError) as caught:
        parse_wanted("5.10", "tyk_pump_version")
    assert caught.value.finding.code == "version-unknown"
    assert "tyk_pump_version cannot be read: '5.10' is not a version" in str(caught.value)


@pytest.mark.parametrize("text", ["5.8.9", " v5.8.9 "])
def test_a_wanted_version_is_read(text):
    assert parse_wanted(text) == Version(5, 8, 9)


@pytest.mark.parametrize(
    ("ranges", "inside", "outside"),
    [
        ("<4.1.0", ["3.0.0", "4.0.16"], ["4.1.0", "5.0.0"]),
        ("<=5.3.0", ["5.3.0"], ["5.3.1"]),
        (">5.3.0", ["5.3.1"], ["5.3.0"]),
        ("==5.0.2", ["5.0.2", "5.0.2-rc1"], ["5.0.1", "5.0.3"]),
        (">=5.0.12, <5.1.0 | >=5.3.1", ["5.0.12", "5.0.15", "5.3.1", "5.14.0"], ["5.0.11", "5.1.0", "5.2.5", "5.3.0"]),
        (">=5.8.0", ["5.8.0-rc1"], ["5.7.3"]),
    ],
)
def test_ranges(ranges, inside, outside):
    assert all(Version.parse(text).satisfies(ranges) for text in inside)
    assert not any(Version.parse(text).satisfies(ranges) for text in outside)


@pytest.mark.parametrize("ranges", ["", "5.8.9", ">= 5.8", ">=5.8.0,", "| >=5.8.0", "=>5.8.0", "~5.8.0"])
def test_a_slip_in_a_range_is_not_taken_for_never(ranges):
    with pytest.raises(ValueError, match="is not a"):
        parse_ranges(ranges)


@given(versions, versions)
def test_conditions_mean_what_the_operators_mean(version, bound):
    bound = bound.release
    assert version.satisfies(f"<{bound}") == (version.release < bound)
    assert version.satisfies(f"<={bound}") == (version.release <= bound)
    assert version.satisfies(f">{bound}") == (version.release > bound)
    assert version.satisfies(f">={bound}") == (version.release >= bound)
    assert version.satisfies(f"=={bound}") == (version.release == bound)
