# Copyright (c) 2026 tyk.upgrade contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
from __future__ import annotations

import copy
import dataclasses
import hashlib
import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ansible_collections.tyk.upgrade.plugins.module_utils._domain.bundles import (
    DRIVERS,
    PROVENANCE_FILE,
    Hook,
    Provenance,
    build_id,
    bundle_directory,
    bundle_name,
    bundle_stem,
    checksum,
    data_files,
    driver,
    hooks,
    inputs_digest,
    is_go,
    lint,
    manifest_digest,
    phases,
    planned_manifest,
    plugin_build_id,
    plugin_stem,
    plugin_stems,
    resolutions,
    satisfies,
    symbols,
)

#: As a person writes it.
MANIFEST = {
    "file_list": ["Header.so", "Auth.so", "rules.json"],
    "custom_middleware": {
        "pre": [{"name": "AddHeader", "path": "Header.so", "require_session": False, "raw_body_only": False}],
        "auth_check": {"name": "CheckKey", "path": "Auth.so"},
        "response": [{"name": "SignAnswer", "path": "Header.so"}],
        "driver": "goplugin",
        "id_extractor": {"extract_from": "", "extract_with": "", "extractor_config": {}},
    },
    "checksum": "",
    "signature": "",
}

#: The same as the gateway's own bundle command writes it again: every key there is.
REWRITTEN = {
    "file_list": ["Header.so", "Auth.so", "rules.json"],
    "custom_middleware": {
        "pre": [
            {
                "name": "AddHeader",
                "path": "Header.so",
                "disabled": False,
                "require_session": False,
                "raw_body_only": False,
            }
        ],
        "post": None,
        "post_key_auth": [],
        "auth_check": {
            "disabled": False,
            "name": "CheckKey",
            "path": "Auth.so",
            "require_session": False,
            "raw_body_only": False,
        },
        "response": [
            {
                "name": "SignAnswer",
                "path": "Header.so",
                "disabled": False,
                "require_session": False,
                "raw_body_only": False,
            }
        ],
        "driver": "goplugin",
        "id_extractor": {"disabled": False, "extract_from": "", "extract_with": "", "extractor_config": None},
    },
    "checksum": "9e107d9d372bb6826bd81d3542a419d6",
    "signature": "",
}

PROVENANCE = Provenance(
    stem="header",
    sources={"Header": "a" * 64, "Auth": "b" * 64},
    versions=("5.3.0", "5.8.9"),
    compilers={"5.3.0": "sha256:1", "5.8.9": "sha256:2"},
    manifest_digest="c" * 64,
)

names = st.from_regex(r"[A-Za-z][A-Za-z0-9_-]{0,10}", fullmatch=True)
digests = st.binary(min_size=4, max_size=4).map(bytes.hex)
version_texts = st.tuples(*[st.integers(min_value=0, max_value=20)] * 3).map(
    lambda numbers: ".".join(map(str, numbers))
)
provenances = st.builds(
    Provenance,
    stem=names,
    sources=st.dictionaries(names, digests, min_size=1, max_size=3),
    versions=st.lists(version_texts, min_size=1, max_size=3, unique=True).map(tuple),
    compilers=st.dictionaries(version_texts, digests, max_size=3),
    manifest_digest=digests,
    goarchs=st.lists(st.sampled_from(["amd64", "arm64"]), min_size=1, max_size=2, unique=True).map(tuple),
    edition=st.sampled_from(["ce", "ee", "fips"]),
)


def changed(**middleware):
    manifest = copy.deepcopy(MANIFEST)
    manifest["custom_middleware"].update(middleware)
    return manifest


def test_hooks_come_in_the_order_of_a_request():
    assert hooks(MANIFEST) == [
        Hook("pre", "AddHeader", "Header.so"),
        Hook("auth_check", "CheckKey", "Auth.so"),
        Hook("response", "SignAnswer", "Header.so"),
    ]
    assert hooks(REWRITTEN) == hooks(MANIFEST)


def test_a_disabled_hook_is_still_a_hook():
    assert hooks(changed(pre=[{"name": "A", "path": "X.so", "disabled": True}]))[0].disabled


@pytest.mark.parametrize(
    "middleware", [None, [], "x", {"pre": "x"}, {"pre": [None, 1]}, {"auth_check": []}, {"auth_check": {"name": ""}}]
)
def test_what_is_not_a_hook_is_none(middleware):
    assert hooks({"custom_middleware": middleware}) == []


def test_what_a_hook_says():
    request, _auth, response = hooks(MANIFEST)
    assert (request.response, request.phase, request.stem) == (False, "request", "Header")
    assert (response.response, response.phase) == (True, "response")


@pytest.mark.parametrize(
    ("path", "stem"),
    [
        ("X.so", "X"),
        ("lib/X.so", "X"),
        ("X_v5.3.0_linux_amd64.so", "X"),
        ("my_plugin_4.2.4_linux_arm64.so", "my_plugin"),
        ("my_plugin_v2.so", "my_plugin_v2"),
        ("X", "X"),
    ],
)
def test_plugin_stems_of_paths(path, stem):
    assert plugin_stem(path) == stem


def test_plugins_of_a_manifest():
    assert plugin_stems(MANIFEST) == ["Auth", "Header"]
    assert symbols(MANIFEST, "Header") == ["AddHeader", "SignAnswer"]
    assert phases(MANIFEST, "Header") == ["request", "response"]
    assert phases(MANIFEST, "Auth") == ["request"]


def test_a_bundle_in_another_language_has_no_go_plugins():
    python = changed(driver="python")
    assert (driver(python), is_go(python), plugin_stems(python)) == ("python", False, [])
    assert resolutions(python, ["a.py"], ["5.3.0"]) == {"5.3.0": {}}


def test_a_new_bundle_keeps_the_hooks_and_changes_the_files():
    template = changed(pre=[{"name": "AddHeader", "path": "old/Header_v5.3.0_linux_amd64.so"}])
    before = copy.deepcopy(template)
    planned = planned_manifest(template, ["Header_v5.3.0_linux_amd64.so", "Header_v5.8.9_linux_amd64.so"])
    assert template == before
    assert planned["file_list"] == ["Header_v5.3.0_linux_amd64.so", "Header_v5.8.9_linux_amd64.so"]
    assert planned["custom_middleware"]["pre"] == [{"name": "AddHeader", "path": "Header.so"}]
    assert planned["custom_middleware"]["auth_check"] == MANIFEST["custom_middleware"]["auth_check"]
    assert "checksum" not in planned and "signature" not in planned


def test_a_new_bundle_in_another_language_keeps_its_paths():
    assert planned_manifest(changed(driver="python"), [])["custom_middleware"]["pre"][0]["path"] == "Header.so"


def test_further_files_are_carried_on():
    assert data_files({"file_list": ["b.json", "X.so", PROVENANCE_FILE, "a.pem", 1]}) == ["a.pem", "b.json"]
    assert data_files({}) == []


def test_a_manifest_means_the_same_however_it_is_written():
    assert manifest_digest(REWRITTEN) == manifest_digest(MANIFEST)


def test_a_manifest_means_the_same_in_the_bundle_made_from_it():
    files = ["Header_v5.8.9_linux_amd64.so", "Auth_v5.8.9_linux_amd64.so", "rules.json", PROVENANCE_FILE]
    planned = planned_manifest(MANIFEST, files)
    assert manifest_digest(planned) == manifest_digest(MANIFEST)
    assert manifest_digest({**planned, "checksum": "x", "signature": "y"}) == manifest_digest(MANIFEST)


@pytest.mark.parametrize(
    "other",
    [
        changed(pre=[{"name": "Other", "path": "Header.so"}]),
        changed(pre=[{"name": "AddHeader", "path": "Other.so"}]),
        changed(pre=[{"name": "AddHeader", "path": "Header.so", "require_session": True}]),
        changed(pre=[]),
        changed(post=[{"name": "AddHeader", "path": "Header.so"}]),
        changed(driver="python"),
        changed(id_extractor={"extract_from": "header"}),
        {**MANIFEST, "file_list": ["Header.so", "Auth.so"]},
    ],
)
def test_a_manifest_that_does_something_else_means_something_else(other):
    assert manifest_digest(other) != manifest_digest(MANIFEST)


@given(st.lists(st.binary(max_size=20)))
def test_the_checksum_is_the_md5_of_the_joined_bytes(chunks):
    assert checksum(chunks) == hashlib.md5(b"".join(chunks)).hexdigest()


def test_the_folder_of_a_bundle_is_the_md5_of_its_name():
    assert bundle_directory("b1.zip") == hashlib.md5(b"b1.zip").hexdigest()


@given(provenances)
def test_provenance_survives_its_file(provenance):
    data = json.loads(json.dumps(provenance.to_dict()))
    read = Provenance.from_dict(data)
    assert read.to_dict() == data
    assert read.build_id == build_id(provenance) == build_id(read)


@pytest.mark.parametrize(
    "data",
    [
        {},
        {**PROVENANCE.to_dict(), "schema": "tyk.upgrade/provenance/v2"},
        {key: value for key, value in PROVENANCE.to_dict().items() if key != "sources"},
        {**PROVENANCE.to_dict(), "sources": ["a"]},
        {**PROVENANCE.to_dict(), "versions": None},
        {**PROVENANCE.to_dict(), "versions": ["latest"]},
    ],
)
def test_a_provenance_that_is_none_is_refused(data):
    with pytest.raises(ValueError):
        Provenance.from_dict(data)


@given(provenances)
def test_the_build_id_does_not_depend_on_the_order_of_anything(provenance):
    shuffled = dataclasses.replace(
        provenance,
        sources=dict(reversed(list(provenance.sources.items()))),
        compilers=dict(reversed(list(provenance.compilers.items()))),
        versions=tuple(reversed(provenance.versions)),
        goarchs=tuple(reversed(provenance.goarchs)),
        build_id="t000000000000",
    )
    assert build_id(shuffled) == build_id(provenance)


@pytest.mark.parametrize(
    "change",
    [
        {"stem": "other"},
        {"sources": {"Header": "a" * 64, "Auth": "d" * 64}},
        {"sources": {"Header": "a" * 64}},
        {"versions": ("5.8.9",)},
        {"compilers": {"5.3.0": "sha256:1", "5.8.9": "sha256:3"}},
        {"manifest_digest": "d" * 64},
        {"goos": "darwin"},
        {"goarchs": ("amd64", "arm64")},
        {"edition": "ee"},
    ],
    ids=lambda change: next(iter(change)),
)
def test_every_input_of_the_bundle_makes_another_build_id(change):
    other = dataclasses.replace(PROVENANCE, **change)
    assert build_id(other) != build_id(PROVENANCE)
    assert inputs_digest(other) != inputs_digest(PROVENANCE)


def test_every_field_is_an_input_or_the_build_id_itself():
    assert {field.name for field in dataclasses.fields(Provenance)} == {
        *dataclasses.replace(PROVENANCE, signed_by="a" * 64).inputs(), "build_id",
    }  # fmt: skip
    assert "signed_by" not in PROVENANCE.inputs(), "what is not signed keeps its name"


@given(provenances, names, names)
def test_build_ids_are_a_letter_and_twelve_digits_and_differ_by_plugin(provenance, one, other):
    whole = build_id(provenance)
    ids = {plugin_build_id(whole, plugin) for plugin in (one, other)} | {whole}
    assert len(ids) == len({one, other}) + 1
    assert all(len(found) == 13 and found[0] == "t" and int(found[1:], 16) >= 0 for found in ids)


def test_only_build_ids_make_build_ids():
    with pytest.raises(ValueError, match="is not a build id"):
        plugin_build_id("header", "Header")


@given(st.from_regex(r"[a-z][a-z0-9._-]{0,12}", fullmatch=True), provenances, provenances)
def test_the_stem_of_a_name_stays_through_upgrades(stem, first, second):
    stem = bundle_stem(stem)
    once = bundle_name(stem, build_id(first))
    assert bundle_stem(once) == stem
    assert bundle_stem(bundle_name(bundle_stem(once), build_id(second))) == stem


@pytest.mark.parametrize(
    ("name", "stem"),
    [
        ("header-1.zip", "header-1"),
        ("header-1-t0123456789ab.zip", "header-1"),
        ("header-t0123456789a.zip", "header-t0123456789a"),
        ("header", "header"),
        ("team/header.zip", "team/header"),
    ],
)
def test_stems_of_names(name, stem):
    assert bundle_stem(name) == stem


@pytest.mark.parametrize(
    ("sources", "versions", "goarchs", "edition", "expected"),
    [
        (PROVENANCE.sources, ["5.3.0", "5.8.9"], [], None, True),
        (PROVENANCE.sources, ["v5.8.9"], ["amd64"], "ce", True),
        (PROVENANCE.sources, ["5.8.10"], [], None, False),
        (PROVENANCE.sources, ["5.8.9"], ["arm64"], None, False),
        (PROVENANCE.sources, ["5.8.9"], [], "ee", False),
        ({"Header": "a" * 64}, ["5.8.9"], [], None, False),
        ({**PROVENANCE.sources, "Auth": "d" * 64}, ["5.8.9"], [], None, False),
        ({**PROVENANCE.sources, "Third": "d" * 64}, ["5.8.9"], [], None, False),
    ],
)
def test_when_a_bundle_needs_no_successor(sources, versions, goarchs, edition, expected):
    assert satisfies(PROVENANCE, sources, versions, goarchs, edition) is expected


def test_what_gateways_would_open():
    files = ["Header_v5.3.0_linux_amd64.so", "Header_v5.8.9_linux_amd64.so", "Auth_v5.8.9_linux_amd64.so"]
    assert resolutions(MANIFEST, files, ["5.3.0", "5.8.9"]) == {
        "5.3.0": {"Header.so": "Header_v5.3.0_linux_amd64.so", "Auth.so": None},
        "5.8.9": {"Header.so": "Header_v5.8.9_linux_amd64.so", "Auth.so": "Auth_v5.8.9_linux_amd64.so"},
    }


def test_a_path_is_found_only_if_all_its_hooks_find_a_file():
    assert resolutions(MANIFEST, ["Header_4.1.0_linux_amd64.so"], ["4.1.0"])["4.1.0"]["Header.so"] is None


@pytest.mark.parametrize("manifest", [MANIFEST, REWRITTEN, changed(driver="python", pre=[{"name": "Hook"}])])
def test_a_good_manifest_has_no_findings(manifest):
    assert lint(manifest, "b.zip", ["Header.so", "Auth.so", "rules.json"]) == []


def listed(*files):
    return {**MANIFEST, "file_list": list(files)}


@pytest.mark.parametrize(
    ("manifest", "message"),
    [
        (None, "is not a JSON object"),
        ([], "is not a JSON object"),
        ({**MANIFEST, "file_list": None}, "has no file_list of file names"),
        (listed(1), "has no file_list of file names"),
        (listed(""), "has no file_list of file names"),
        (listed("Header.so", "Header.so"), "lists Header.so twice"),
        (listed("manifest.json"), "lists manifest.json itself"),
        (listed("sub/Header.so"), "lists sub/Header.so, which is not a plain file name"),
        (listed("../Header.so"), "which is not a plain file name"),
        (listed("sub\\Header.so"), "which is not a plain file name"),
        (listed(".."), "which is not a plain file name"),
        (listed("Missing.so"), "lists Missing.so, which is not there"),
        ({**MANIFEST, "custom_middleware": None}, "has no custom_middleware object"),
        (changed(driver=""), "names no driver"),
        (changed(driver="perl"), "names no known driver ('perl')"),
        (changed(pre={"name": "A"}), "has a pre that is not a list of hooks"),
        (changed(response=["A"]), "has a response that is not a list of hooks"),
        (changed(auth_check=[{"name": "A"}]), "has an auth_check that is not one hook"),
        (changed(pre=None, auth_check=None, response=[]), "has no hook"),
        (changed(pre=[{"path": "Header.so"}]), "has a pre hook without a name"),
        (changed(pre=[{"name": "A", "path": "Header"}]), "with path 'Header', by which not every gateway finds"),
        ({**MANIFEST, "Checksum": "x"}, "has a key Checksum, which gateways take for checksum"),
        (changed(Pre=[]), "has a key custom_middleware.Pre, which gateways take for custom_middleware.pre"),
    ],
)
def test_what_is_wrong_is_said(manifest, message):
    findings = lint(manifest, "b.zip", ["Header.so", "Auth.so", "rules.json"])
    assert any(message in finding.message for finding in findings), findings
    assert all(finding.code == "bundle-invalid" and finding.remedy for finding in findings)
    assert any(finding.severity == "error" for finding in findings)


@pytest.mark.parametrize("manifest", [{**MANIFEST, "checksm": ""}, {**MANIFEST, "Driver": ""}, changed(prePlugin=[])])
def test_keys_that_gateways_ignore_are_worth_a_warning(manifest):
    findings = lint(manifest, "b.zip")
    assert [finding.severity.value for finding in findings] == ["warning"]


@pytest.mark.parametrize("known", DRIVERS)
def test_every_driver_is_accepted(known):
    assert lint(changed(driver=known), "b.zip") == []
