# Copyright (c) 2026 tyk.upgrade contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Build information as Go prints it, and the rules by which a plugin fits a gateway."""

from __future__ import annotations

from dataclasses import replace
from typing import Any, Dict, List

import pytest

from ansible_collections.tyk.upgrade.plugins.module_utils._domain.build_info import (
    SIGNATURES,
    BuildInfo,
    Comparison,
    Exported,
    GoProgram,
    Module,
    clashes,
    compare,
    module_of,
    newest_glibc,
    parse_build_info,
    usable_as,
    wrong_type,
    wrong_types,
)
from ansible_collections.tyk.upgrade.plugins.module_utils._domain.bundles import AUTH_HOOK, LIST_HOOKS

#: From `go version -m` of a gateway 5.8.9, most modules left out.
GATEWAY = """\
\tpath\tgithub.com/TykTechnologies/tyk
\tmod\tgithub.com/TykTechnologies/tyk\t(devel)\t
\tdep\tgithub.com/TykTechnologies/graphql-translator\tv0.0.0-20240319092712-4ba87e4c06ff
\t=>\tgithub.com/TykTechnologies/graphql-translator\tv0.0.0-20250423061552-2acd6818080e\th1:4cWfUGBDhNpksMGuKqUWgLkV9e7H9N+vjZthaoIjME4=
\tdep\tgithub.com/sirupsen/logrus\tv1.9.3\th1:dueUQJ1C2q9oE3F7wvmSGAaVtTmUizReu6fjN8uqzbQ=
\tdep\tgo.opentelemetry.io/contrib/instrumentation/net/http/otelhttp\tv0.54.0
\t=>\tgo.opentelemetry.io/contrib/instrumentation/net/http/otelhttp\tv0.49.0\th1:jq9TW8u3so/bN+JPT166wjOI6/vQPF6Xe7nMNIltagk=
\tdep\tgopkg.in/yaml.v3\tv3.0.1\th1:fxVm/GzAzEWqLHuvctI91KS9hhNmmWOoWu0XTYJS7CA=
\tbuild\t-buildmode=exe
\tbuild\t-compiler=gc
\tbuild\t-tags=goplugin
\tbuild\t-trimpath=true
\tbuild\tDefaultGODEBUG=tls10server=1,tls3des=1,tlsrsakex=1
\tbuild\tCGO_ENABLED=1
\tbuild\tGOARCH=amd64
\tbuild\tGOOS=linux
\tbuild\tGOAMD64=v1
"""
#: From a plugin for it, as the file holds it.
PLUGIN = """\
path\ttyk.internal/tyk_plugin
mod\ttyk.internal/tyk_plugin\t(devel)\t
dep\tgithub.com/TykTechnologies/tyk\t(devel)\t
dep\tgithub.com/sirupsen/logrus\tv1.9.3\th1:dueUQJ1C2q9oE3F7wvmSGAaVtTmUizReu6fjN8uqzbQ=
dep\tgopkg.in/yaml.v3\tv3.0.1\th1:fxVm/GzAzEWqLHuvctI91KS9hhNmmWOoWu0XTYJS7CA=
build\t-buildmode=plugin
build\t-compiler=gc
build\t-trimpath=true
build\tCGO_ENABLED=1
build\tGOARCH=amd64
build\tGOOS=linux
build\tGOAMD64=v1
"""
LOGRUS = "github.com/sirupsen/logrus"
TYK = "github.com/TykTechnologies/tyk"
SHARED = {"fmt": "f1", LOGRUS: "l1", f"{TYK}/ctx": "c1", f"{TYK}/log": "g1"}


def program(text: str, **more: Any) -> GoProgram:
    go_version = more.pop("go_version", "go1.24.11")
    return GoProgram(**{"name": "P.so", "goarch": "amd64", "info": parse_build_info(go_version, text), **more})


def gateway(text: str = GATEWAY, **more: Any) -> GoProgram:
    return program(text, **{"name": "the gateway", "fingerprints": {**SHARED, "net/http": "n1"}, **more})


def plugin(text: str = PLUGIN, **more: Any) -> GoProgram:
    return program(text, **{"fingerprints": {**SHARED, "tyk.internal/tyk_plugin": "p1"}, **more})


def codes(found: Comparison) -> List[str]:
    return [finding.code for finding in found.findings]


def test_reading() -> None:
    info = parse_build_info("go1.24.11", GATEWAY)
    assert (info.path, info.main, info.tags) == (TYK, Module(TYK, "(devel)"), ("goplugin",))
    assert info.settings["DefaultGODEBUG"] == "tls10server=1,tls3des=1,tlsrsakex=1"
    modules = {module.path: module for module in info.modules}
    assert len(modules) == 4
    otel = modules["go.opentelemetry.io/contrib/instrumentation/net/http/otelhttp"]
    assert (otel.version, otel.used[1], otel.shown) == ("v0.54.0", "v0.49.0", "v0.49.0")
    assert modules[LOGRUS].replaced_by is None and modules[LOGRUS].comparable


@pytest.mark.parametrize(
    "line, settings",
    [
        ('build\t-ldflags="-s -w"', {"-ldflags": "-s -w"}),
        ('build\t-ldflags="-X \\"a=b c\\""', {"-ldflags": '-X "a=b c"'}),
        ("build\t-ldflags=`-s`", {"-ldflags": "-s"}),
        ('build\t"odd key"=1', {"odd key": "1"}),
        ("build\tCGO_CFLAGS=", {"CGO_CFLAGS": ""}),
        ("build\tnonsense", {}),
        ("=>\tonly/a/replacement\tv1", {}),
        ("", {}),
    ],
)
def test_settings_and_odd_lines(line: str, settings: Dict[str, str]) -> None:
    assert parse_build_info("go1.21", line) == BuildInfo("go1.21", settings=settings)


def test_a_replaced_main_module() -> None:
    info = parse_build_info("go1.21", "mod\ta\tv1\n=>\tb\tv2\n")
    assert info.main == Module("a", "v1", ("b", "v2")) and info.main.shown == "b v2"


def test_a_plugin_that_fits() -> None:
    found = compare(plugin(), gateway(), "2.31")
    assert found == Comparison(exact=True)
    without = compare(plugin(fingerprints={}), gateway(fingerprints={}))
    assert without == Comparison(exact=False)


@pytest.mark.parametrize(
    "change",
    [
        {"DefaultGODEBUG": "x=1"},
        {"GOAMD64": "v3"},
        {"-ldflags": "-s -w"},
        {"vcs.revision": "0"},
        {"-tags": "goplugin"},
        {"CGO_CFLAGS": "-O3"},
        {"-race": "false"},
    ],
)
def test_settings_that_never_matter(change: Dict[str, str]) -> None:
    text = PLUGIN + "".join(f"build\t{name}={value}\n" for name, value in change.items())
    assert compare(plugin(text), gateway()).findings == ()


@pytest.mark.parametrize("setting", ["-race", "-msan", "-asan"])
def test_settings_that_matter(setting: str) -> None:
    found = compare(plugin(f"{PLUGIN}build\t{setting}=true\n"), gateway())
    assert codes(found) == ["plugin-mismatch"] and not found.exact
    assert f"built with {setting} and the gateway without {setting}" in found.findings[0].message


def test_without_trimpath() -> None:
    found = compare(plugin(PLUGIN.replace("build\t-trimpath=true\n", ""), fingerprints={"fmt": "other"}), gateway())
    assert codes(found) == ["plugin-mismatch"] and found.packages == ()
    assert "built without -trimpath and the gateway with -trimpath" in found.findings[0].message


@pytest.mark.parametrize(
    "one, other, words",
    [
        ("go1.24.10", "go1.24.11", "so the gateway refuses it"),
        ("go1.23.4", "go1.24.11", "so the gateway refuses it"),
        ("go1.21.13", "go1.24.11", "so the gateway's process dies"),
        ("go1.19.8", "go1.21.13", "so the gateway's process dies"),
        ("go1.15.15", "go1.16.15", "so the gateway's process dies"),
        ("go1.17.1", "go1.16.15", "refuses it, or its process dies"),
        ("go1.24.11 X:boringcrypto", "go1.24.11", "so the gateway refuses it"),
        ("devel +abc", "go1.24.11", "refuses it, or its process dies"),
    ],
)
def test_go_versions(one: str, other: str, words: str) -> None:
    found = compare(plugin(go_version=one, fingerprints={"fmt": "other"}), gateway(go_version=other))
    assert codes(found) == ["plugin-go-version"] and found.packages == () and not found.exact
    assert f"built by {one} and the gateway by {other}" in found.findings[0].message
    assert words in found.findings[0].message


def test_another_patch_level_of_go_is_judged_by_the_packages() -> None:
    found = compare(plugin(go_version="go1.24.10"), gateway())
    assert found.exact and [(one.code, one.severity.value) for one in found.findings] == [("plugin-go-version", "info")]
    assert "built by go1.24.10 and the gateway by go1.24.11, but no package that both" in found.findings[0].message
    # Without their packages nothing is known of them.
    unknown = compare(plugin(go_version="go1.24.10", fingerprints={}), gateway(fingerprints={}))
    assert [one.severity.value for one in unknown.findings] == ["error"] and not unknown.exact


def test_foreign_packages_are_named_before_those_that_use_them() -> None:
    # A plugin of Go 1.19 and before does not list its modules.
    found = compare(
        plugin("path\tx\n", go_version="", fingerprints={**SHARED, f"{TYK}/log": "g2", LOGRUS: "l2"}), gateway()
    )
    assert codes(found) == ["plugin-mismatch"] and found.modules == ()
    assert f"of packages that both contain than the gateway: {LOGRUS} (the gateway's is v1.9.3), {TYK}/log." in (
        found.findings[0].message
    )


@pytest.mark.parametrize("version, words", [("", "by another version of Go than"), ("go1.24.11", "another go1.24.11")])
@pytest.mark.parametrize("package", ["runtime", "internal/goarch"])
def test_gos_own_packages_tell_another_go_where_the_version_does_not(version: str, words: str, package: str) -> None:
    mine = plugin(go_version=version, fingerprints={**SHARED, "fmt": "f2", package: "r2"})
    found = compare(mine, gateway(fingerprints={**SHARED, package: "r1"}))
    assert codes(found) == ["plugin-go-version"] and found.packages == () and not found.exact
    assert words in found.findings[0].message and "(go1.24.11)" in found.findings[0].message
    assert compare(plugin(go_version=""), gateway()) == Comparison(exact=True)


def test_another_version_of_a_module() -> None:
    newer = plugin(PLUGIN.replace("logrus\tv1.9.3", "logrus\tv1.9.4"), fingerprints={**SHARED, LOGRUS: "l2"})
    found = compare(newer, gateway())
    assert codes(found) == ["plugin-mismatch"] and found.packages == (LOGRUS,)
    assert [one.to_dict() for one in found.modules] == [{"path": LOGRUS, "plugin": "v1.9.4", "gateway": "v1.9.3"}]
    assert f"of a module that both use: {LOGRUS} v1.9.4 instead of v1.9.3." in found.findings[0].message


def test_another_version_that_shows_in_no_shared_package_is_harmless() -> None:
    other = plugin(PLUGIN.replace("yaml.v3\tv3.0.1", "yaml.v3\tv3.0.0"))
    assert compare(other, gateway()) == Comparison(exact=True)


def test_what_follows_from_a_module_is_not_blamed_on_the_gateway() -> None:
    changed = {**SHARED, LOGRUS: "l2", f"{TYK}/log": "g2"}
    found = compare(plugin(PLUGIN.replace("logrus\tv1.9.3", "logrus\tv1.9.4"), fingerprints=changed), gateway())
    assert len(found.findings) == 1 and LOGRUS in found.findings[0].message
    assert found.packages == (f"{TYK}/log", LOGRUS)


def test_a_module_that_was_replaced() -> None:
    text = GATEWAY.replace("logrus\tv1.9.3\t", f"logrus\tv1.9.4\n\t=>\t{LOGRUS}\tv1.9.3\t")
    assert compare(plugin(fingerprints={}), gateway(text, fingerprints={})) == Comparison()
    forked = GATEWAY.replace("logrus\tv1.9.3\t", "logrus\tv1.9.3\n\t=>\texample.com/fork\tv1.9.3\t")
    found = compare(plugin(fingerprints={}), gateway(forked, fingerprints={}))
    assert found.modules[0].gateway == "example.com/fork v1.9.3"


def test_other_sources_of_the_gateway() -> None:
    found = compare(plugin(fingerprints={**SHARED, f"{TYK}/ctx": "c2"}), gateway())
    assert codes(found) == ["plugin-mismatch"] and found.modules == ()
    assert f"other sources of the gateway's own packages than the gateway: {TYK}/ctx." in found.findings[0].message
    standard = compare(plugin(fingerprints={**SHARED, "fmt": "f2"}), gateway())
    assert "other sources or settings of packages that both contain" in standard.findings[0].message


def test_without_fingerprints_versions_decide() -> None:
    newer = plugin(PLUGIN.replace("logrus\tv1.9.3", "logrus\tv1.9.4"), fingerprints={})
    found = compare(newer, gateway())
    assert codes(found) == ["plugin-mismatch"] and not found.exact and found.packages == ()


def test_a_plugin_that_does_not_tell_its_modules() -> None:
    found = compare(plugin("", fingerprints={**SHARED, LOGRUS: "l2"}), gateway())
    assert codes(found) == ["plugin-mismatch"] and found.packages == (LOGRUS,)
    assert f"{LOGRUS} (the gateway's is v1.9.3)." in found.findings[0].message


def test_tyks_own_module_has_no_version_to_compare() -> None:
    stamped = GATEWAY.replace("tyk\t(devel)", "tyk\tv1.9.2-0.20250801000000-0123456789ab")
    assert compare(plugin(fingerprints={}), gateway(stamped, fingerprints={})) == Comparison()


def test_many_differences_are_counted() -> None:
    mine = replace(parse_build_info("go1.24.11", PLUGIN), modules=tuple(Module(f"m{n}", "v2") for n in range(7)))
    theirs = replace(parse_build_info("go1.24.11", GATEWAY), modules=tuple(Module(f"m{n}", "v1") for n in range(7)))
    found = compare(GoProgram("P.so", "amd64", mine), GoProgram("the gateway", "amd64", theirs))
    assert len(found.modules) == 7
    assert "of 7 modules that both use: m0 v2 instead of v1, " in found.findings[0].message
    assert found.findings[0].message.endswith(" and 3 more.")


def test_another_platform_ends_the_comparison() -> None:
    found = compare(plugin(goarch="arm64", go_version="go1.19"), gateway())
    assert codes(found) == ["plugin-arch"]
    assert found.findings[0].message == "P.so is built for linux/arm64, and the gateway is linux/amd64."
    assert codes(compare(plugin(PLUGIN.replace("GOOS=linux", "GOOS=freebsd")), gateway())) == ["plugin-arch"]


@pytest.mark.parametrize(
    "needs, has, wrong",
    [("2.34", "2.31", True), ("2.31", "2.31", False), ("2.9", "2.31", False), ("2.34", "", False), ("", "2.31", False)],
)
def test_the_c_library(needs: str, has: str, wrong: bool) -> None:
    assert codes(compare(plugin(glibc=needs), gateway(), has)) == (["plugin-glibc"] if wrong else [])


def test_newest_glibc() -> None:
    assert newest_glibc(["GLIBC_2.2.5", "GLIBC_2.34", "GLIBC_2.9", "GLIBC_PRIVATE", "GCC_3.0"]) == "2.34"
    assert newest_glibc(["GLIBCXX_3.4"]) == ""


def test_tags_of_an_edition_are_worth_knowing() -> None:
    ee = GATEWAY.replace("-tags=goplugin", "-tags=goplugin,ee")
    found = compare(plugin(), gateway(ee))
    assert [(one.code, one.severity.value) for one in found.findings] == [("plugin-tags", "info")]
    assert "with no build tags of an edition and the gateway with the build tags ee." in found.findings[0].message
    assert compare(plugin(f"{PLUGIN}build\t-tags=ee\n"), gateway(ee)).findings == ()


def test_builds_in_a_gopath_say_nothing_of_settings_and_modules() -> None:
    old = program("", go_version="go1.16.15", fingerprints=SHARED)
    assert compare(old, gateway("", go_version="go1.16.15")) == Comparison(exact=True)
    found = compare(replace(old, fingerprints={LOGRUS: "l2"}), gateway("", go_version="go1.16.15"))
    assert codes(found) == ["plugin-mismatch"] and f"contain than the gateway: {LOGRUS}." in found.findings[0].message


def test_a_gateway_without_plugins() -> None:
    found = compare(plugin(), gateway(fingerprints={}))
    assert codes(found) == ["plugin-mismatch"] and "without support for Go plugins" in found.findings[0].message


@pytest.mark.parametrize(
    "package, module",
    [("a/b/c", "a/b"), ("a/b", "a/b"), ("a/bc", "a"), ("a", "a"), ("fmt", ""), ("vendor/a/b", "")],
)
def test_the_module_of_a_package(package: str, module: str) -> None:
    assert module_of(package, ["a", "a/b", "x"]) == module


def test_clashes() -> None:
    def one(name: str, path: str, **packages: str) -> GoProgram:
        return plugin(name=name, plugin_path=path, fingerprints={"fmt": "f1", **packages})

    mine = gateway()
    assert clashes([one("a", "pa", x="1"), one("b", "pb", x="1"), one("c", "pc", y="2")], mine) == []
    found = clashes([one("a", "pa", x="1"), one("b", "pb", x="2"), one("c", "pa")], mine)
    assert [(one.code, one.subject) for one in found] == [("plugin-mismatch", "b"), ("plugin-path-shared", "c")]
    assert "a and b were built with different versions of packages" in found[0].message
    assert clashes([one("a", "", x="1"), one("b", "", x="1")], mine) == []
    of_gateway = [one("a", "pa"), replace(one("b", "pb"), fingerprints={"fmt": "f2"})]
    assert clashes(of_gateway, mine) == []


REQUEST_HOOKS = ["pre", "auth_check", "post_key_auth", "post"]
ANALYTICS = "func(*analytics.AnalyticsRecord)"
PUMP = "github.com/TykTechnologies/tyk-pump/analytics"


def test_every_hook_of_a_manifest_has_its_type() -> None:
    assert set(SIGNATURES) == {AUTH_HOOK, *LIST_HOOKS, "analytics"}


@pytest.mark.parametrize(
    "exported, kinds",
    [
        (Exported("func(http.ResponseWriter, *http.Request)"), REQUEST_HOOKS),
        (Exported("func(http.ResponseWriter, *http.Request)", packages=("net/http", "")), REQUEST_HOOKS),
        (Exported("func(http.ResponseWriter, *http.Request)", packages=("net/http", "example.com/http")), []),
        (Exported("func(http.ResponseWriter, *http.Request)", function=False), []),
        (Exported("func(http.ResponseWriter, *http.Request) bool"), []),
        (Exported("func(http.ResponseWriter, *http.Response, *http.Request)"), ["response"]),
        (Exported(ANALYTICS, packages=(PUMP,)), ["analytics"]),
        (Exported(ANALYTICS, packages=(f"github.com/TykTechnologies/tyk/vendor/{PUMP}",)), ["analytics"]),
        (Exported(ANALYTICS, packages=(f"example.com/{PUMP}",)), []),
    ],
)
def test_what_an_export_can_be_used_for(exported: Exported, kinds: List[str]) -> None:
    assert usable_as(exported) == kinds
    for kind in SIGNATURES:
        clause, remedy = wrong_type("F", exported, [kind])
        assert bool(clause) is bool(remedy) is (kind not in kinds)


def test_what_is_not_known_is_not_wrong() -> None:
    plugin = GoProgram("a.so", "amd64", BuildInfo("go1.16"), functions=("F",))
    assert wrong_type("F", None, ["pre"]) == ("", "")
    assert wrong_type("F", Exported("func()"), ["a kind of tomorrow"]) == ("", "")
    assert wrong_types(plugin, {"F": ["pre"]}) == []
    (found,) = wrong_types(replace(plugin, types={"F": Exported("func()")}), {"F": ["post", "pre", "response"]})
    assert found.message == (
        "a.so has no function F that its hooks can use: F is func(); as post or pre hook it has to be "
        "func(http.ResponseWriter, *http.Request), as response hook it has to be "
        "func(http.ResponseWriter, *http.Response, *http.Request)."
    )
