# Copyright (c) 2026 tyk.upgrade contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
from __future__ import annotations

import pytest

from ansible_collections.tyk.upgrade.plugins.module_utils._domain.behaviours import (
    BEHAVIOURS,
    backup_readable,
    behaves,
    can_load_several,
    can_plugin_load,
    fail_open,
    failing_download_fatal,
)
from ansible_collections.tyk.upgrade.plugins.module_utils._domain.releases import all_versions

ALL = all_versions()

#: The last releases before and the first ones after each change, line by line.
SHOWN = {
    "skips-unloadable-plugin": (["4.0.0", "4.0.12", "4.1.0", "4.3.8", "5.0.0"], ["4.0.13", "4.0.16", "5.0.1", "5.3.0"]),
    "serves-without-bundle": (["4.0.16", "5.0.11", "5.1.0", "5.2.5", "5.3.0"], ["5.0.12", "5.3.1", "5.4.0", "5.8.9"]),
    "drops-api-without-bundle": (["5.0.12", "5.3.1", "5.4.0", "5.8.9"], ["5.0.11", "5.1.0", "5.2.5", "5.3.0"]),
    "uses-unverified-bundle": (["4.0.16", "5.0.11", "5.1.0", "5.2.6", "5.3.0"], ["5.0.12", "5.3.1", "5.4.0"]),
    "has-analytics-plugin": (["4.1.0", "5.3.0"], ["4.0.16"]),
    "keeps-unchanged-api": (
        ["4.0.7", "4.0.16", "4.2.2", "4.3.8", "5.0.0", "5.0.10", "5.1.0", "5.2.6"],
        ["4.0.6", "4.1.0", "4.2.1", "5.0.11", "5.3.0", "5.8.9"],
    ),
    "limits-download": (["4.0.11", "4.3.2", "5.0.0", "5.3.0"], ["4.0.10", "4.1.0", "4.3.1"]),
    "verifies-existing-bundle": (
        ["5.8.7", "5.8.9", "5.10.1", "5.11.0"],
        ["5.8.6", "5.8.11", "5.9.0", "5.10.0", "5.11.1"],
    ),
    "keeps-bundle-by-name": (["3.2.3", "4.0.1", "5.3.0"], ["3.0.0", "3.2.2", "4.0.0"]),
    "respects-disabled-bundle": (["5.0.0"], ["4.3.8"]),
    "reads-file-addresses": (["5.3.3", "5.3.9", "5.5.0", "5.8.9"], ["4.3.8", "5.2.5", "5.3.0", "5.3.2", "5.4.0"]),
    "has-oas-plugins": (["5.0.0"], ["4.3.8"]),
    "can-load-plugin": (["5.0.0"], ["4.3.8"]),
    "loads-several-plugins": (["5.2.4", "5.3.0", "5.8.9"], ["4.3.8", "5.0.0", "5.0.15", "5.1.2", "5.2.3"]),
    "reloads-blocking": (["4.0.1"], ["4.0.0"]),
    "has-readiness": (["5.8.3", "5.9.0", "5.14.0"], ["5.3.13", "5.8.2"]),
    "fails-liveness": (["5.8.3", "5.8.6", "5.8.12", "5.9.0"], ["5.8.2", "5.8.4", "5.8.5", "5.8.13", "5.9.1", "5.10.0"]),
    "waits-for-requests": (["5.8.3", "5.9.0"], ["5.8.2", "5.3.13"]),
    "counts-liveness-in-nanoseconds": (["5.4.0", "5.8.9"], ["5.3.13", "5.0.15"]),
    "starts-from-backup": (["5.3.11", "5.3.13", "5.8.0", "5.14.0"], ["5.3.10", "5.4.0", "5.7.3"]),
    "start-needs-control-plane": (
        ["5.0.15", "5.3.7", "5.3.8", "5.3.9", "5.6.1", "5.7.0", "5.7.1"],
        ["5.0.14", "5.3.6", "5.3.10", "5.6.0", "5.7.2", "5.8.0", "5.8.9", "4.3.8"],
    ),
    "wraps-api-definitions": (["4.1.0", "5.3.0"], ["4.0.16", "3.2.3"]),
}


@pytest.mark.parametrize("row", BEHAVIOURS, ids=lambda row: row.name)
def test_every_row_holds_for_just_the_releases_it_should(row):
    shown, not_shown = SHOWN[row.name]
    assert [version for version in shown if not behaves(version, row.name)] == []
    assert [version for version in not_shown if behaves(version, row.name)] == []
    assert row.meaning.endswith(".") and row.source


@pytest.mark.parametrize("version", ALL, ids=str)
def test_a_bundle_that_cannot_be_had_either_drops_the_api_or_its_plugins(version):
    assert behaves(version, "serves-without-bundle") != failing_download_fatal(version)


@pytest.mark.parametrize(
    ("version", "may"),
    [("4.3.8", True), ("5.0.0", True), ("5.2.5", True), ("5.3.0", True), ("5.3.1", False), ("5.8.9", False)],
)
def test_where_a_request_may_get_past_its_plugin(version, may):
    assert fail_open(version) is may


def test_a_name_that_is_not_in_the_table_is_a_slip():
    with pytest.raises(KeyError):
        behaves("5.3.0", "can-fly")


def test_only_newer_gateways_can_try_a_plugin():
    assert can_plugin_load("5.0.0") and not can_plugin_load("4.3.8")
    assert can_load_several("5.2.4") and not can_load_several("5.2.3")


@pytest.mark.parametrize(
    ("writer", "reader", "readable"),
    [
        ("4.0.16", "4.3.8", False),
        ("4.0.16", "5.8.9", False),
        ("4.0.16", "4.0.3", True),
        ("4.3.8", "5.3.0", True),
        ("5.8.9", "5.3.0", True),
    ],
)
def test_backups_across_versions(writer, reader, readable):
    assert backup_readable(writer, reader) is readable
