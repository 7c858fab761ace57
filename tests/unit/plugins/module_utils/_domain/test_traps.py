# Copyright (c) 2026 tyk.upgrade contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
from __future__ import annotations

import pytest

from ansible_collections.tyk.upgrade.plugins.module_utils._domain.bundles import Hook
from ansible_collections.tyk.upgrade.plugins.module_utils._domain.paths import decide
from ansible_collections.tyk.upgrade.plugins.module_utils._domain.releases import all_versions
from ansible_collections.tyk.upgrade.plugins.module_utils._domain.traps import (
    InUse,
    OutsidePlugin,
    PluginFacts,
    traps,
)

ALL = [version for version in all_versions() if version.major >= 4]


def found(current, target, hooks=("pre",), given=None, **decided):
    return traps(decide(current, target, hooks, **decided), **(given or {}))


def told(findings):
    return [(finding.code, finding.severity.value, finding.subject) for finding in findings]


@pytest.mark.parametrize("edition", ["ce", "ee", "fips"])
@pytest.mark.parametrize("current", ALL[::6], ids=str)
def test_every_trap_is_a_sentence_with_a_remedy_and_a_source(current, edition):
    given = {
        "plugins": [PluginFacts("A", "source", "foo", ("a.go:3",)), PluginFacts("B", "artifacts", "foo", ("b.go:3",))],
        "hooks": [Hook("pre", "F", "A_v5.2.0_linux_amd64.so", disabled=True)],
        "in_use": [InUse("header-1.zip", MANIFEST, ("X.so",))],
        "outside": [OutsidePlugin("orders", "p/P.so"), OutsidePlugin("orders", "p/Q.so", "analytics")],
        "glibc": {"h1": "2.28", "h2": ""},
    }
    for target in ALL[::5]:
        findings = found(current, target, ("pre", "response"), given, edition=edition, goarchs=["amd64", "arm64"])
        assert len(set(findings)) == len(findings)
        for finding in findings:
            assert finding.source, finding
            assert finding.message.endswith(".") and finding.remedy.endswith("."), finding
            assert "None" not in finding.sentence() and "  " not in finding.sentence(), finding


@pytest.mark.parametrize("current", ALL, ids=str)
def test_a_decision_that_compilers_or_editions_stop_says_so_as_an_error(current):
    for edition in ("ce", "ee", "fips"):
        for target in ALL[::7]:
            decision = decide(current, target, ["pre"], edition=edition)
            stopped = not decision.supported and decision.cutover == "shared"
            errors = [finding for finding in traps(decision) if finding.severity.value == "error"]
            assert errors or not stopped, f"{current} to {target}, {edition}"
            if errors:
                assert not decision.supported


def test_an_ordinary_pair_has_no_trap():
    assert found("5.3.1", "5.8.9") == []


def test_nothing_that_moves_has_no_trap():
    assert found("5.2.1", "5.8.9", hooks=()) == []


@pytest.mark.parametrize(
    ("current", "target", "decided", "wanted"),
    [
        ("4.3.8", "5.0.2", {}, [("compiler-unusable", "error", "5.0.2")]),
        ("5.0.2", "5.8.9", {}, [("compiler-unusable", "error", "5.0.2")]),
        ("5.0.2", "5.8.9", {"own_compilers": ["5.0.2"]}, [("compiler-unusable", "error", "5.0.2")]),
        ("5.0.2", "5.8.9", {"linked": True}, []),
        ("5.0.2", "5.8.9", {"built": ["5.0.2"]}, []),
        ("5.1.0", "5.8.9", {}, [("build-id-ignored", "info", "5.1.0")]),
        ("5.1.0", "5.2.3", {}, [("build-id-ignored", "info", "5.1.0"), ("build-id-ignored", "info", "5.2.3")]),
        ("5.2.4", "5.8.9", {}, []),
        ("4.0.3", "4.3.1", {}, [("exact-name-first", "info", "4.3.1")]),
        ("4.0.3", "4.3.2", {}, []),
        ("5.6.1", "5.8.9", {"edition": "ee"}, [("edition-unpublished", "error", "5.6.1")]),
        ("5.7.0", "5.8.9", {"edition": "ee"}, []),
        ("5.3.6", "5.13.0", {"edition": "fips"}, [("edition-without-plugins", "error", "5.3.6")]),
        ("5.3.5", "5.13.0", {"edition": "fips"}, [("edition-unpublished", "error", "5.3.5")]),
        ("5.3.5", "5.13.0", {"edition": "fips", "built": ["5.3.5"]}, []),
        ("5.3.5", "5.13.0", {"edition": "fips", "own_compilers": ["5.3.5"]}, []),
        ("5.3.5", "5.3.5", {"edition": "pro"}, [("edition-unpublished", "error", "5.3.5")]),
        ("5.8.14", "5.8.15", {"edition": "fips"}, [("compiler-doubtful", "warning", "5.8.15")]),
        ("5.8.14", "5.8.15", {"edition": "ee"}, []),
        ("5.8.14", "5.12.0", {"edition": "fips"}, [("edition-unpublished", "error", "5.12.0")]),
        ("4.3.8", "5.8.9", {"goarch": "arm64"}, [("compiler-doubtful", "warning", "4.3.8")]),
        ("5.0.3", "5.8.9", {"goarch": "arm64"}, []),
        ("5.8.8", "5.8.9", {"goarch": "s390x", "built": ["5.8.8"]}, [("compiler-doubtful", "warning", "5.8.9")]),
    ],
)
def test_traps_of_versions_editions_and_architectures(current, target, decided, wanted):
    assert told(found(current, target, **decided)) == wanted


def test_what_to_do_about_the_compiler_of_5_0_2_depends_on_whether_it_runs():
    (running,) = found("5.0.2", "5.8.9")
    (wanted,) = found("4.3.8", "5.0.2")
    assert running.remedy.endswith("or have the running build used on by a link.")
    assert wanted.remedy.endswith("or choose another patch release as target.")


def test_a_compiler_that_takes_no_architecture():
    (finding,) = found("4.0.16", "5.3.1", goarch="arm64")
    assert "takes no architecture as an argument" in finding.message
    assert "with aarch64-linux-gnu-gcc" in finding.remedy and "tyk_compiler_images" in finding.remedy


@pytest.mark.parametrize(("current", "target"), [("4.1.0", "4.3.1"), ("4.2.4", "4.3.0")])
def test_response_hooks_of_versions_that_open_nothing_but_the_exact_name(current, target):
    findings = found(current, target, ["response"])
    assert told(findings) == [("exact-name-first", "info", current), ("exact-name-first", "info", target)]
    assert all("opens nothing but X.so" in finding.message for finding in findings)
    assert found(current, target, ["pre"]) == []


def test_artifacts_of_compilers_that_ignore_the_build_id():
    plugins = [PluginFacts("A", "artifacts"), PluginFacts("B", "bundle")]
    findings = found("5.2.1", "5.8.9", given={"plugins": plugins}, built=["5.2.1", "5.8.9"])
    assert told(findings) == [("plugin-path-shared", "warning", "A")]
    compared = {"plugins": [PluginFacts("A", "artifacts", compared=True)]}
    assert found("5.2.1", "5.8.9", given=compared, built=["5.2.1", "5.8.9"]) == []


def test_literals_that_the_compiler_would_change():
    source = PluginFacts("A", "source", "foo", ("main.go:12",))
    (finding,) = found("5.2.5", "5.8.9", given={"plugins": [source]})
    assert (finding.code, finding.severity.value) == ("literal-rewritten", "info")
    assert "'foo'" in finding.message and "main.go:12" in finding.message and "5.2.5 and 5.8.9" in finding.message
    assert found("4.3.8", "5.0.15", given={"plugins": [source]}) == []
    assert found("5.2.5", "5.8.9", given={"plugins": [PluginFacts("A", "source", "foo")]}) == []


def test_the_newer_library_of_one_compiler():
    hosts = {"old": "2.28", "new": "2.36", "newest": "2.41", "unknown": ""}
    findings = found("5.3.0", "5.8.9", given={"glibc": hosts})
    assert told(findings) == [("plugin-glibc", "warning", "old"), ("plugin-glibc", "warning", "unknown")]
    assert "old has 2.28" in findings[0].message and "unknown may have" in findings[1].message
    assert found("5.3.1", "5.8.9", given={"glibc": hosts}) == []
    assert found("5.3.0", "5.8.9", given={"glibc": hosts}, built=["5.3.0"]) == []


def test_hooks_that_name_a_version_or_are_switched_off():
    pinned = Hook("pre", "F", "X_v5.2.0_linux_amd64.so")
    off = Hook("post", "G", "X.so", disabled=True)
    assert told(found("5.2.0", "5.8.9", given={"hooks": [pinned]}, built=["5.2.0"])) == [("path-pinned", "info", "X")]
    assert told(found("4.3.8", "5.8.9", given={"hooks": [off]})) == [("hook-disabled", "warning", "X")]
    assert found("5.3.1", "5.8.9", given={"hooks": [off]}) == []


MANIFEST = {
    "file_list": ["X.so"],
    "custom_middleware": {"driver": "goplugin", "pre": [{"name": "F", "path": "X.so"}]},
}


@pytest.mark.parametrize(
    ("current", "target", "files", "when"),
    [
        ("5.3.1", "5.8.9", ("X.so",), "At every start"),
        ("4.3.8", "5.3.1", ("X.so",), "When its control plane cannot be reached"),
        ("5.3.1", "5.8.9", ("X_v5.3.1_linux_amd64.so",), None),
        ("5.3.1", "5.8.9", ("X.so", "X_v5.8.9_linux_amd64.so"), None),
        ("5.8.8", "5.8.9", ("X.so",), None),
    ],
)
def test_a_backup_that_names_the_old_bundle(current, target, files, when):
    findings = found(current, target, given={"in_use": [InUse("header-1.zip", MANIFEST, files)]})
    if when is None:
        assert findings == []
    else:
        assert told(findings) == [("backup-names-old-bundle", "info", target)]
        assert findings[0].message.startswith(when) and f"header-1.zip, it opens builds for {current}" in findings[0].message


def test_bundles_that_a_backup_names_are_told_together():
    in_use = [InUse(f"b-{number}.zip", MANIFEST, ("X.so",)) for number in (1, 2, 3)]
    (finding,) = found("5.3.1", "5.8.9", given={"in_use": in_use})
    assert "as long as that is b-1.zip and 2 more, it" in finding.message


@pytest.mark.parametrize(
    ("current", "target", "kind", "remedy"),
    [
        ("5.3.1", "5.8.9", "endpoint", "or put p/P_v5.3.1_linux_amd64.so and p/P_v5.8.9_linux_amd64.so on every gateway"),
        ("4.0.16", "5.8.9", "endpoint", "or put p/P_v5.8.9_linux_amd64.so on every gateway before"),
        ("4.0.3", "4.0.16", "endpoint", "out of the API until every gateway runs 4.0.16"),
        ("5.3.1", "5.8.9", "analytics", "out of the API until every gateway runs 5.8.9"),
    ],
)
def test_plugins_that_no_bundle_carries(current, target, kind, remedy):
    (finding,) = found(current, target, given={"outside": [OutsidePlugin("orders", "p/P.so", kind)]})
    assert (finding.code, finding.severity.value, finding.subject) == ("endpoint-plugin", "error", "orders")
    assert remedy in finding.remedy


@pytest.mark.parametrize(
    ("current", "target", "kind", "severity"),
    [
        ("5.3.1", "5.8.9", "endpoint", "warning"),
        ("4.0.3", "4.0.16", "endpoint", "error"),
        ("5.3.1", "5.8.9", "analytics", "error"),
    ],
)
def test_only_where_a_version_opens_a_file_of_its_own_can_the_user_have_placed_it(current, target, kind, severity):
    (finding,) = found(current, target, given={"outside": [OutsidePlugin("orders", "p/P.so", kind)], "placed": True})
    assert finding.severity.value == severity


def test_what_only_an_inactive_api_loads_refuses_nothing():
    for kind in ("endpoint", "analytics"):
        given = {"outside": [OutsidePlugin("orders", "p/P.so", kind, active=False)]}
        (finding,) = found("5.3.1", "5.8.9", given=given)
        assert finding.severity.value == "warning" and "not active" in finding.message


def test_every_architecture_needs_files_of_its_own():
    given = {"outside": [OutsidePlugin("orders", "p/P.so")]}
    (finding,) = found("5.3.1", "5.8.9", given=given, goarchs=["amd64", "arm64"])
    assert all(f"p/P_v{version}_linux_{arch}.so" in finding.remedy for version in ("5.3.1", "5.8.9") for arch in ("amd64", "arm64"))


def test_plugins_outside_bundles_stay_where_no_gateway_moves():
    assert found("5.8.9", "5.8.9", given={"outside": [OutsidePlugin("orders", "p/P.so")]}) == []
