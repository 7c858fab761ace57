# Copyright (c) 2026 tyk.upgrade contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What is said of bundles that somebody else made."""

from __future__ import annotations

import copy

import pytest

from ansible_collections.tyk.upgrade.plugins.module_utils._domain.bundle_lint import (
    download_seconds,
    lint_download,
    lint_key,
    lint_types,
    lint_unlisted,
    lint_versions,
    softened,
)

MANIFEST = {
    "file_list": ["X.so"],
    "custom_middleware": {
        "driver": "goplugin",
        "pre": [{"name": "F", "path": "X.so"}],
        "response": [{"name": "G", "path": "X.so"}],
    },
    "checksum": "",
}


def with_hooks(**hooks):
    manifest = copy.deepcopy(MANIFEST)
    manifest["custom_middleware"].update(hooks)
    return manifest


def versions(names, *wanted, manifest=None, goarch="amd64"):
    return lint_versions(manifest or MANIFEST, names, wanted, "linux", goarch, "b.zip")


@pytest.mark.parametrize(
    ("manifest", "part"),
    [
        ({**MANIFEST, "checksum": 5}, "checksum is a number and not a text"),
        ({**MANIFEST, "signature": ["x"]}, "signature is a list and not a text"),
        (with_hooks(pre=[{"name": 1}]), "pre.name is a number and not a text"),
        (with_hooks(pre=[{"name": "F", "path": True}]), "pre.path is true or false and not a text"),
        (with_hooks(auth_check={"require_session": "yes"}), "auth_check.require_session is a text and not true or"),
        (with_hooks(post=[{"raw_body_only": 0}]), "post.raw_body_only is a number and not true or false"),
        (with_hooks(response=[{"disabled": {}}]), "response.disabled is an object and not true or false"),
        (with_hooks(id_extractor={"extract_from": 1}), "id_extractor.extract_from is a number and not a text"),
        (with_hooks(id_extractor={"extractor_config": "x"}), "extractor_config is a text and not an object"),
    ],
)
def test_types_that_a_gateway_cannot_read(manifest, part):
    (finding,) = lint_types(manifest, "b.zip")
    assert part in finding.message and finding.severity == "error" and finding.code == "bundle-invalid"


@pytest.mark.parametrize(
    "manifest",
    [
        MANIFEST,
        {},
        {"custom_middleware": None, "checksum": None},
        with_hooks(pre=None, auth_check={}, id_extractor={"extractor_config": None, "disabled": False}),
    ],
)
def test_types_that_it_can_read(manifest):
    assert lint_types(manifest, "b.zip") == []


def test_files_that_nothing_covers():
    findings = lint_unlisted(MANIFEST, ["X.so", "b", "a"], "b.zip")
    assert [finding.severity for finding in findings] == ["warning"] * 2 and "holds a," in findings[0].message
    assert lint_unlisted({"file_list": "x"}, ["a"], "b.zip") == []


def test_a_version_that_finds_its_file_has_nothing_to_say():
    assert versions(["X_v5.3.0_linux_amd64.so", "X_v5.8.9_linux_amd64.so"], "5.3.0", "v5.8.9", "5.8.9-rc1") == []
    assert versions(["X.so"], "4.0.16", "4.2.4", "5.8.9") == []


def test_a_version_without_a_file():
    pre, response = versions(["X_v5.3.0_linux_amd64.so"], "5.3.0", "5.8.9")
    assert (pre.code, pre.severity) == ("bundle-no-file", "error")
    assert "a gateway 5.8.9 (linux/amd64) opens for the pre hook F (X.so)" in pre.message
    assert "X_v5.8.9_linux_amd64.so, X_5.8.9_linux_amd64.so, X.so" in pre.message
    assert "response hook G" in response.message


def test_the_architecture_counts():
    assert versions(["X_v5.8.9_linux_amd64.so"], "5.8.9") == []
    assert "linux/arm64" in versions(["X_v5.8.9_linux_amd64.so"], "5.8.9", goarch="arm64")[0].message


def test_a_response_hook_has_rules_of_its_own():
    """4.1.0 to 4.3.1 open the exact name only."""
    (finding,) = versions(["X_4.3.1_linux_amd64.so"], "4.3.1")
    assert "response hook G" in finding.message and "it tries X.so." in finding.message
    (none,) = versions(["X.so"], "3.1.0")
    assert "it tries none" in none.message and "no Go plugins on the response" in none.remedy


@pytest.mark.parametrize("version", ["4.1.0", "4.3.1"])
def test_a_build_that_is_hidden_by_the_exact_name(version):
    """Path 2 with such a target: the old build is opened, though the new one lies beside it."""
    names = ["X.so", f"X_v{version}_linux_amd64.so", f"X_{version}_linux_amd64.so"]
    findings = versions(names, version)
    assert {finding.code for finding in findings} == {"plugin-mismatch"}
    assert all("opens X.so, and not X_" in finding.message for finding in findings)


def test_a_build_that_may_be_for_any_version():
    """Beside builds with a version, what the exact name holds is most likely another version's."""
    first, _response = versions(["X.so", "X_v5.3.0_linux_amd64.so"], "5.8.9")
    assert (first.code, first.severity) == ("plugin-mismatch", "warning") and "falls back to X.so" in first.message
    assert versions(["X.so", "X_v5.3.0_linux_amd64.so"], "4.0.16", "5.3.0") == []


def test_from_4_3_2_on_the_exact_name_hides_nothing():
    assert versions(["X.so", "X_v4.3.2_linux_amd64.so"], "4.3.2") == []


def test_a_path_that_pins_one_version():
    manifest = with_hooks(pre=[{"name": "F", "path": "X_v5.2.0_linux_amd64.so"}], response=[])
    names = ["X_v5.2.0_linux_amd64.so"]
    assert versions(names, "5.2.0", manifest=manifest) == []
    (finding,) = versions(names, "5.2.1", manifest=manifest)
    assert finding.code == "plugin-mismatch" and "which is a build for 5.2.0" in finding.message


def test_other_languages_have_no_versions():
    assert versions([], "5.8.9", manifest=with_hooks(driver="python")) == []


def test_how_long_a_download_takes():
    assert download_seconds(12_500_000, 100) == pytest.approx(1.0)


@pytest.mark.parametrize(
    ("megabits", "wanted", "severity"),
    [
        (100, [], None),
        (33, [], "warning"),
        (19, [], "error"),
        (19, ["4.0.10"], None),
        (19, ["4.0.10", "5.8.9"], "error"),
    ],
)
def test_a_download_that_takes_too_long(megabits, wanted, severity):
    findings = lint_download(12_500_000, megabits, wanted, "b.zip", "the speed given")
    assert [finding.severity.value for finding in findings] == ([severity] if severity else [])
    if wanted and findings:
        assert "gateways (5.8.9)" in findings[0].message


def test_what_was_measured_elsewhere_is_a_warning():
    (finding,) = lint_download(12_500_000, 1, [], "b.zip", "measured")
    assert softened(finding).severity == "warning" and softened(finding).message == finding.message


@pytest.mark.parametrize(
    ("form", "wanted", "wrong"),
    [
        ("PUBLIC KEY", ["3.0.0", "4.0.6", "5.8.9"], False),
        ("RSA PUBLIC KEY", ["4.0.6"], True),
        ("RSA PUBLIC KEY", ["4.1.0"], True),
        ("RSA PUBLIC KEY", ["4.2.1"], True),
        ("RSA PUBLIC KEY", ["4.0.7", "4.2.2", "4.3.0", "5.8.9"], False),
        ("RSA PUBLIC KEY", [], False),
        ("CERTIFICATE", [], True),
        ("RSA PRIVATE KEY", ["5.8.9"], True),
        ("", ["5.8.9"], True),
    ],
)
def test_forms_of_public_keys(form, wanted, wrong):
    findings = lint_key(form, wanted, "b.zip")
    assert [finding.code for finding in findings] == (["bundle-signature"] if wrong else [])


@pytest.mark.parametrize("kind", ["pre", "auth_check", "post_key_auth", "post", "response"])
def test_a_hook_that_is_switched_off_needs_no_file_where_gateways_heed_that(kind: str) -> None:
    hook = {"name": "F", "path": "Gone.so", "disabled": True}
    manifest = with_hooks(**{kind: hook if kind == "auth_check" else [hook]})
    found = lint_versions(manifest, ["X.so"], ["4.3.8", "5.0.0", "5.8.9"], "linux", "amd64", "b.zip")
    assert [(one.code, "gateway 4.3.8 " in one.message) for one in found] == [("bundle-no-file", True)]
    running = with_hooks(**{kind: {**hook, "disabled": False} if kind == "auth_check" else [{**hook, "disabled": False}]})
    found = lint_versions(running, ["X.so"], ["4.3.8", "5.0.0", "5.8.9"], "linux", "amd64", "b.zip")
    assert [one.code for one in found] == ["bundle-no-file"] * 3
