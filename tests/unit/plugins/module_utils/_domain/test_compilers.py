# Copyright (c) 2026 tyk.upgrade contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
from __future__ import annotations

import pytest

from ansible_collections.tyk.upgrade.plugins.module_utils._domain.compilers import (
    CONTRACTS,
    EDITIONS,
    compiler_contract,
    compiler_image,
    edition_of,
)
from ansible_collections.tyk.upgrade.plugins.module_utils._domain.releases import all_versions
from ansible_collections.tyk.upgrade.plugins.module_utils._domain.resolution import compiled_name
from ansible_collections.tyk.upgrade.plugins.module_utils._domain.versions import Version

ALL = all_versions()


@pytest.mark.parametrize("version", ALL, ids=str)
def test_every_release_follows_exactly_one_contract(version):
    assert [row for row in CONTRACTS if version.satisfies(row.versions)] == [compiler_contract(version)]


@pytest.mark.parametrize("version", ALL, ids=str)
def test_contract_and_resolution_agree_on_the_name_of_the_output(version):
    template = compiler_contract(version).output_template
    assert template.format(stem="X", version=version, goos="linux", goarch="amd64") == compiled_name(version, "X")


@pytest.mark.parametrize("row", CONTRACTS, ids=lambda row: row.versions)
def test_every_row_is_consistent(row):
    assert row.source
    assert any(version.satisfies(row.versions) for version in ALL)
    path = row.expected_plugin_path("X", "t0123456789ab")
    assert (path is not None) == row.honours_build_id
    assert path is None or path.endswith("t0123456789ab")
    assert row.command("X", "t0123456789ab", "linux", "arm64")[:2] == ["X.so", "t0123456789ab"]
    assert row.workspace == (row.mode == "workspace")


@pytest.mark.parametrize(
    ("version", "honours", "needs_go_mod", "usable", "workspace", "path"),
    [
        ("4.0.16", True, False, True, False, "plugin_Xt1"),
        ("5.0.1", True, False, True, False, "plugin_Xt1"),
        ("5.0.2", False, True, False, False, None),
        ("5.0.15", True, False, True, False, "github.com/TykTechnologies/plugin_Xt1"),
        ("5.1.0", False, True, True, True, None),
        ("5.2.3", False, True, True, True, None),
        ("5.2.4", True, False, True, True, "tyk.internal/tyk_plugint1"),
        ("5.3.0", True, False, True, True, "tyk.internal/tyk_plugint1"),
        ("5.8.9", True, False, True, True, "tyk.internal/tyk_plugint1"),
    ],
)
def test_contracts_in_words(version, honours, needs_go_mod, usable, workspace, path):
    row = compiler_contract(version)
    assert (row.honours_build_id, row.needs_go_mod, not row.unusable, row.workspace) == (
        honours,
        needs_go_mod,
        usable,
        workspace,
    )
    assert row.expected_plugin_path("X", "t1") == path


def test_arguments_grew_a_platform():
    assert compiler_contract("4.0.16").command("X", "t1", "linux", "arm64") == ["X.so", "t1"]
    assert compiler_contract("4.1.0").command("X", "t1", "linux", "arm64") == ["X.so", "t1", "linux", "arm64"]


@pytest.mark.parametrize("row", EDITIONS, ids=lambda row: row.name)
def test_every_edition_has_releases(row):
    assert row.source
    assert any(compiler_image(version, row.name) == row.compiler for version in ALL)


@pytest.mark.parametrize(
    ("version", "edition", "image"),
    [
        ("5.3.0", "ce", "tyk-plugin-compiler"),
        ("5.6.1", "ee", None),
        ("5.7.0", "ee", "tyk-plugin-compiler-ee"),
        ("5.8.13", "fips", None),
        ("5.8.14", "fips", "tyk-plugin-compiler-fips"),
        ("5.9.0", "fips", None),
        ("5.13.0", "fips", "tyk-plugin-compiler-fips"),
    ],
)
def test_which_compiler_images_were_published(version, edition, image):
    assert compiler_image(Version.parse(version), edition) == image


@pytest.mark.parametrize("row", CONTRACTS, ids=lambda row: row.versions)
def test_every_build_gets_a_path_of_its_own(row):
    first, second = row.built_path("X", "t1"), row.built_path("X", "t2")
    assert first != second and first.endswith("t1")
    assert row.expected_plugin_path("X", "t1") in (None, first)
    assert row.unique_by == ("build-id" if row.mode == "gopath" else "module-line")


@pytest.mark.parametrize("row", EDITIONS, ids=lambda row: row.name)
def test_a_compiler_was_published_only_where_there_is_a_gateway_that_loads_plugins(row):
    for version in ALL:
        if compiler_image(version, row.name):
            assert row.published(version) and row.loads_plugins(version)


@pytest.mark.parametrize(
    ("version", "edition", "published", "loads"),
    [
        ("5.6.1", "ee", False, True),
        ("5.7.0", "ee", True, True),
        ("5.0.13", "fips", False, True),
        ("5.0.14", "fips", True, False),
        ("5.3.1", "fips", False, True),
        ("5.3.5", "fips", True, True),
        ("5.3.6", "fips", True, False),
        ("5.3.9", "fips", True, False),
        ("5.3.10", "fips", True, True),
        ("5.3.13", "fips", False, True),
        ("5.5.0", "fips", True, True),
        ("5.5.1", "fips", True, False),
        ("5.6.1", "fips", True, False),
        ("5.7.0", "fips", True, True),
        ("5.11.0", "fips", False, True),
        ("5.13.0", "fips", True, True),
    ],
)
def test_editions_by_version(version, edition, published, loads):
    row = edition_of(edition)
    assert (row.published(version), row.loads_plugins(version)) == (published, loads)


def test_an_unknown_edition_has_neither_gateway_nor_compiler():
    assert compiler_image("5.3.0", "pro") is None
    assert not any(edition_of("pro").published(version) for version in ALL)
