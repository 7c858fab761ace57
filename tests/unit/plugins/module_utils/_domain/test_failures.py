# Copyright (c) 2026 tyk.upgrade contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
from __future__ import annotations

import pytest

from ansible_collections.tyk.upgrade.plugins.module_utils._domain.behaviours import behaves, failing_download_fatal
from ansible_collections.tyk.upgrade.plugins.module_utils._domain.failures import (
    AUTH,
    FAILURES,
    KINDS,
    OPEN,
    PANICS,
    SITUATIONS,
    UNFETCHABLE,
    UNLOADABLE,
    UNVERIFIED,
    clauses,
    failures,
    outcome,
)
from ansible_collections.tyk.upgrade.plugins.module_utils._domain.releases import all_versions

ALL = all_versions()


@pytest.mark.parametrize("version", ALL, ids=str)
def test_every_situation_has_exactly_one_row_for_every_kind_of_hook(version):
    for situation in SITUATIONS:
        for kind in KINDS:
            rows = [
                row
                for row in FAILURES
                if row.situation == situation and kind in row.kinds and version.satisfies(row.versions)
            ]
            assert rows == [outcome(version, situation, kind)]
            assert rows[0] in failures(version, [kind])


@pytest.mark.parametrize("version", ALL, ids=str)
def test_the_table_agrees_with_the_behaviours(version):
    assert (outcome(version, UNLOADABLE, "pre").outcome == OPEN) == behaves(version, "skips-unloadable-plugin")
    assert (outcome(version, UNFETCHABLE, "pre").outcome == OPEN) == behaves(version, "serves-without-bundle")
    assert (outcome(version, UNVERIFIED, "pre").outcome == OPEN) == behaves(version, "uses-unverified-bundle")
    assert (outcome(version, UNFETCHABLE, AUTH).status == 404) == failing_download_fatal(version)


@pytest.mark.parametrize("row", FAILURES, ids=lambda row: f"{row.situation} {row.versions}")
def test_every_row_has_a_source_and_a_release(row):
    assert row.source and row.meaning
    assert any(version.satisfies(row.versions) for version in ALL)


@pytest.mark.parametrize(
    ("version", "situation", "kind", "seen"),
    [
        ("4.0.16", UNLOADABLE, "pre", ("closed", 500)),
        ("4.0.16", UNLOADABLE, "auth_check", ("closed", 500)),
        ("4.0.16", UNLOADABLE, "response", ("open", 500)),
        ("4.0.16", UNFETCHABLE, "pre", ("open", 0)),
        ("4.0.16", UNFETCHABLE, "auth_check", ("closed", 401)),
        ("4.0.16", UNVERIFIED, "pre", ("open", 0)),
        ("4.3.8", UNLOADABLE, "pre", ("open", 0)),
        ("4.3.8", UNLOADABLE, "auth_check", ("closed", 400)),
        ("5.3.0", UNLOADABLE, "pre", ("closed", 500)),
        ("5.3.0", UNLOADABLE, "auth_check", ("closed", 500)),
        ("5.3.0", UNLOADABLE, "response", ("open", 500)),
        ("5.3.0", UNFETCHABLE, "pre", ("open", 0)),
        ("5.3.0", UNFETCHABLE, "auth_check", ("closed", 401)),
        ("5.3.0", UNVERIFIED, "pre", ("open", 0)),
        ("5.8.9", UNLOADABLE, "pre", ("closed", 500)),
        ("5.8.9", UNLOADABLE, "auth_check", ("closed", 500)),
        ("5.8.9", UNLOADABLE, "response", ("open", 500)),
        ("5.8.9", UNFETCHABLE, "pre", ("closed", 404)),
        ("5.8.9", UNFETCHABLE, "auth_check", ("closed", 404)),
        ("5.8.9", UNVERIFIED, "pre", ("closed", 404)),
        *[
            (version, PANICS, kind, seen)
            for version in ("4.3.8", "5.0.15", "5.3.0", "5.8.9")
            for kind, seen in (
                ("pre", ("empty", 200)),
                ("auth_check", ("empty", 200)),
                ("post", ("empty", 200)),
                ("response", ("open", 500)),
            )
        ],
    ],
)
def test_what_real_gateways_were_seen_to_do(version, situation, kind, seen):
    row = outcome(version, situation, kind)
    assert (row.outcome, row.status) == seen


@pytest.mark.parametrize(
    ("version", "status"),
    [("4.0.12", 200), ("4.0.13", 500), ("5.0.0", 200), ("5.0.6", 500), ("5.0.7", 200), ("5.2.1", 500), ("5.2.2", 200)],
)
def test_the_releases_that_add_their_own_error_say_500_of_a_panic(version, status):
    assert outcome(version, PANICS, "pre").status == status


def test_clauses_name_kinds_only_where_they_differ():
    kinds = ("pre", "auth_check")
    told = clauses(failures("5.3.0", kinds), kinds)
    assert "when a plugin cannot be loaded, the request is refused with 500" in told
    assert "when a bundle cannot be fetched (pre), the API is served without its plugins" in told
    assert any(clause.startswith("when a bundle cannot be fetched (auth_check), the API falls back") for clause in told)


def test_a_kind_that_does_not_exist_has_no_row():
    with pytest.raises(StopIteration):
        outcome("5.3.0", UNLOADABLE, "around")
