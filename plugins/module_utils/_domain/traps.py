# Copyright (c) 2026 tyk.upgrade contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What is known to go wrong with Go plugins between two versions, each with what to do about it.

A trap that the upgrade itself steers around is told as well, as info: who compiles or publishes by hand meets it.
"""

from __future__ import annotations

import posixpath
from dataclasses import dataclass
from typing import Any, Iterable, List, Mapping, Optional, Sequence, Tuple

from ansible_collections.tyk.upgrade.plugins.module_utils._domain.behaviours import behaves
from ansible_collections.tyk.upgrade.plugins.module_utils._domain.bundles import Hook, plugin_stem, resolutions
from ansible_collections.tyk.upgrade.plugins.module_utils._domain.compilers import (
    UNIQUE_MODULE,
    compiler_contract,
    edition_of,
)
from ansible_collections.tyk.upgrade.plugins.module_utils._domain.findings import Finding, error, info, warning
from ansible_collections.tyk.upgrade.plugins.module_utils._domain.paths import SHARED, Decision
from ansible_collections.tyk.upgrade.plugins.module_utils._domain.resolution import REQUEST, candidates, rule_for
from ansible_collections.tyk.upgrade.plugins.module_utils._domain.versions import Version

#: How a plugin is given.
SOURCE = "source"
ARTIFACTS = "artifacts"
BUNDLE = "bundle"

#: How an API uses a plugin that no bundle carries.
ENDPOINT = "endpoint"
ANALYTICS = "analytics"

#: The C library that builds of this compiler may need (Debian bookworm), where its gateway needs that of bullseye.
NEWER_GLIBC = {"5.3.0": "2.36"}


@dataclass(frozen=True)
class PluginFacts:
    """A plugin of the user: how it is given, its module, and where a string literal begins with the module's name.

    compared: whether the plugin paths of its files are known, so that they need no guess.
    """

    name: str
    given: str = SOURCE
    module: str = ""
    literals: Tuple[str, ...] = ()
    compared: bool = False


@dataclass(frozen=True)
class OutsidePlugin:
    """A Go plugin that an API loads by path: for single endpoints (kind endpoint) or analytics records (analytics).

    active: whether gateways serve that API.
    """

    api: str
    path: str
    kind: str = ENDPOINT
    active: bool = True


@dataclass(frozen=True)
class InUse:
    """A bundle that APIs name now: its manifest, and the names of its files."""

    name: str
    manifest: Mapping[str, Any]
    files: Tuple[str, ...]


def traps(
    decision: Decision,
    *,
    plugins: Sequence[PluginFacts] = (),
    hooks: Iterable[Hook] = (),
    in_use: Iterable[InUse] = (),
    outside: Iterable[OutsidePlugin] = (),
    placed: bool = False,
    glibc: Optional[Mapping[str, str]] = None,
) -> List[Finding]:
    """Everything known to go wrong on this way.

    hooks: those of the bundles in use, with their paths. in_use: these bundles themselves. placed: whether the
    user says that builds of plugins that single endpoints name lie on the gateways already. glibc: the C library of each
    Linux host that runs a gateway from a package; "" where it is not known.
    """
    found = [
        *_editions(decision),
        *_unusable(decision),
        *_build_ids(decision, plugins),
        *_literals(decision, plugins),
        *_doubtful(decision),
        *_newer_glibc(decision, glibc or {}),
        *_exact_first(decision),
        *_hooks(decision, hooks),
        *_from_backup(decision, in_use),
        *_outside(decision, outside, placed),
    ]
    return list(dict.fromkeys(found))


def _compiled(decision: Decision) -> List[Version]:
    """The versions whose plugins the published compiler of the edition has to build."""
    published = {build.version for build in decision.builds if build.image}
    return [Version.parse(version) for version in decision.compiled if version in published]


def _editions(decision: Decision) -> List[Finding]:
    edition = edition_of(decision.edition)
    unbuildable = {
        build.version
        for build in decision.builds
        if build.version in decision.compiled and build.problem and not build.image and not build.contract.unusable
    }
    found = []
    for version in map(Version.parse, decision.versions):
        if not edition.published(version):
            found.append(
                error(
                    "edition-unpublished",
                    str(version),
                    f"There is no gateway {version} of the edition {edition.name}.",
                    "Choose a version that has this edition, or correct the edition.",
                    edition.source,
                )
            )
        elif not edition.loads_plugins(version):
            found.append(
                error(
                    "edition-without-plugins",
                    str(version),
                    f"Gateways {version} of the edition {edition.name} were built without support for Go plugins.",
                    f"Choose another version than {version}; no build of the plugin makes it load there.",
                    edition.source,
                )
            )
        elif str(version) in unbuildable:
            found.append(
                error(
                    "edition-unpublished",
                    str(version),
                    f"No plugin compiler of {version} was published for the edition {edition.name}, and builds of "
                    "another edition's compiler need not load.",
                    f"Give builds for {version} as artifacts, made with the toolchain and tags of that gateway, or name "
                    "a compiler that does so.",
                    edition.source,
                )
            )
    return found


def _unusable(decision: Decision) -> List[Finding]:
    found = []
    for version in map(Version.parse, decision.compiled):
        contract = compiler_contract(version)
        if contract.unusable and edition_of(decision.edition).published(version):
            running = str(version) == decision.current
            way = "have the running build used on by a link" if running else "choose another patch release as target"
            found.append(
                error(
                    "compiler-unusable",
                    str(version),
                    f"The published plugin compiler of {version} builds against the default branch of its day, not "
                    f"against {version}.",
                    f"Give builds for {version} as artifacts, or {way}.",
                    contract.source,
                )
            )
    return found


def _build_ids(decision: Decision, plugins: Sequence[PluginFacts]) -> List[Finding]:
    found = []
    for version in map(Version.parse, decision.versions):
        contract = compiler_contract(version)
        if contract.honours_build_id or contract.unusable:
            continue
        if str(version) in decision.compiled:
            found.append(
                info(
                    "build-id-ignored",
                    str(version),
                    f"The plugin compiler of {version} ignores the build id, so its builds of one module would all "
                    "have one plugin path, of which a process loads only the first.",
                    "Nothing needs to be done: each build gets a module line of its own, own imports included.",
                    contract.source,
                )
            )
        for plugin in plugins:
            if plugin.given == ARTIFACTS and not plugin.compared:
                found.append(
                    warning(
                        "plugin-path-shared",
                        plugin.name,
                        f"A build id given to the plugin compiler of {version} has no effect, so the build of "
                        f"{plugin.name} for {version} has the plugin path of the one that runs, unless its pipeline "
                        "changes the module line.",
                        "Let the pipeline write another module line, and the imports of own packages, for every build.",
                        contract.source,
                    )
                )
    return found


def _literals(decision: Decision, plugins: Sequence[PluginFacts]) -> List[Finding]:
    rewriting = [version for version in map(Version.parse, decision.versions) if _rewrites(version)]
    found = []
    for plugin in plugins:
        if plugin.given != SOURCE or not plugin.literals or not rewriting:
            continue
        said = (
            f"With a build id, the plugin compiler of {' and '.join(map(str, rewriting))} also changes string literals "
            f"that begin with the name of the module, {plugin.module!r}: {', '.join(plugin.literals)}."
        )
        source = compiler_contract(rewriting[0]).source
        remedy = (
            f"Nothing needs to be done: the module is named {UNIQUE_MODULE.format(build_id='…')} before the compiler sees "
            "it, so that it finds nothing to change."
        )
        found.append(info("literal-rewritten", plugin.name, said, remedy, source))
    return found


def _rewrites(version: Version) -> bool:
    return compiler_contract(version).rewrites_literals


def _doubtful(decision: Decision) -> List[Finding]:
    found = []
    for version in _compiled(decision):
        contract = compiler_contract(version)
        if decision.edition == "fips" and version.satisfies("==5.8.15"):
            found.append(
                warning(
                    "compiler-doubtful",
                    str(version),
                    f"The FIPS compiler of {version} was built with BoringCrypto, its gateway with Go's own FIPS module, "
                    "so the builds may not load.",
                    "Nothing needs to be done before: they are tried in the gateway's image before anything changes. "
                    "If they do not load, choose 5.13.0 or later.",
                    "v5.8.15:.github/workflows/plugin-compiler-build.yml:155-156, "
                    "v5.8.15:ci/goreleaser/goreleaser.yml:62-67",
                )
            )
        for goarch in decision.goarchs:
            if goarch == "amd64" or contract.unusable:
                continue
            if goarch == "arm64" and contract.cross_compiler:
                continue
            compiler = {"arm64": "aarch64-linux-gnu-gcc", "s390x": "s390x-linux-gnu-gcc"}.get(goarch)
            platform = (
                "takes no architecture as an argument"
                if "goarch" not in contract.args
                else f"does not choose a C compiler for {goarch}"
            )
            remedy = f"Give builds for {version} on {goarch} as artifacts"
            if compiler:
                remedy = (
                    f"It is told to build for {goarch} with {compiler}. If its image has no such program, name one that "
                    f"has in tyk_compiler_images, or give builds for {version} on {goarch} as artifacts"
                )
            found.append(
                warning(
                    "compiler-doubtful",
                    str(version),
                    f"The plugin compiler of {version} {platform}, and the gateways run on {goarch}.",
                    f"{remedy}.",
                    contract.source,
                )
            )
    return found


def _newer_glibc(decision: Decision, glibc: Mapping[str, str]) -> List[Finding]:
    found = []
    for version in _compiled(decision):
        needed = NEWER_GLIBC.get(str(version))
        for host in sorted(glibc) if needed else []:
            if glibc[host] and _numbers(glibc[host]) >= _numbers(str(needed)):
                continue
            has = f"has {glibc[host]}" if glibc[host] else "may have an older one"
            found.append(
                warning(
                    "plugin-glibc",
                    host,
                    f"Builds of the plugin compiler of {version} may need glibc {needed}, newer than its gateway does, "
                    f"and {host} {has}.",
                    f"If they do not load there, take another version than {version}; 5.3.1 and later are built on "
                    "the older library.",
                    "v5.3.0:ci/images/plugin-compiler/Dockerfile against v5.3.1; v5.3.0:.github/workflows/release.yml",
                )
            )
    return found


def _exact_first(decision: Decision) -> List[Finding]:
    """Where the published bundle, or one with versioned names, would not do."""
    if decision.cutover == SHARED:
        return []
    found = []
    for version in map(Version.parse, decision.versions):
        if not version.satisfies(">=4.1.0, <4.3.2"):
            continue
        only = "response" in decision.kinds and len(decision.kinds) == 1
        what = "as response hooks" if only else "as request hooks"
        says = "nothing but X.so" if only else "X.so before any name that carries its version"
        found.append(
            info(
                "exact-name-first",
                str(version),
                f"For Go plugins {what}, {version} opens {says}; in a bundle that holds the build of "
                f"{decision.current if str(version) == decision.target else decision.target} as X.so it would take "
                "that one.",
                "Do not publish a bundle with both builds by hand; each gateway is given the builds of its own version.",
                rule_for(version).source,
            )
        )
    return found


def _hooks(decision: Decision, hooks: Iterable[Hook]) -> List[Finding]:
    found = []
    old = [version for version in decision.versions if not behaves(version, "respects-disabled-bundle")]
    for hook in hooks:
        base = posixpath.basename(hook.path)
        if base.endswith(".so") and base != f"{hook.stem}.so":
            found.append(
                info(
                    "path-pinned",
                    hook.stem,
                    f"The path {hook.path} of the {hook.kind} hook {hook.name} names the build of one version, which "
                    "every gateway would open.",
                    f"Nothing needs to be done: the new bundle's manifest says {hook.stem}.so, and each gateway opens "
                    "its own build.",
                    rule_for(decision.target).source,
                )
            )
        if hook.disabled and old:
            found.append(
                warning(
                    "hook-disabled",
                    hook.stem,
                    f"The {hook.kind} hook {hook.name} of {hook.stem} is disabled, which {' and '.join(old)} does not "
                    "know: there it runs.",
                    "Remove the hook from the manifest if it must not run.",
                    "v5.0.0:apidef/api_definitions.go",
                )
            )
    return found


def _from_backup(decision: Decision, in_use: Iterable[InUse]) -> List[Finding]:
    """What the target does at its start as long as the emergency backup names a bundle of before the switch."""
    if not decision.versions or not decision.foreign:
        return []
    current, target = decision.current, decision.target
    harmful = sorted(bundle.name for bundle in in_use if _harms(decision, bundle))
    if not harmful:
        return []
    when = "At every start" if behaves(target, "starts-from-backup") else "When its control plane cannot be reached"
    named = harmful[0] if len(harmful) == 1 else f"{harmful[0]} and {len(harmful) - 1} more"
    return [
        info(
            "backup-names-old-bundle",
            target,
            f"{when}, {target} serves what the emergency backup names; as long as that is {named}, it opens builds for "
            f"{current}, of another generation of Go, and ends.",
            "Nothing needs to be done: every gateway reloads after the switch, which writes the backup anew. By hand, see "
            "to that before the first gateway is replaced.",
            "v5.8.0:rpc/rpc_client.go; seen on 5.8.9 with a backup of 5.3.0",
        )
    ]


def _harms(decision: Decision, bundle: InUse) -> bool:
    """Whether the target opens a file of this bundle, and none that is its own."""
    target = decision.target
    opened = {
        file
        for goarch in decision.goarchs
        for by_path in resolutions(bundle.manifest, bundle.files, [target], decision.goos, goarch).values()
        for file in by_path.values()
        if file
    }
    return bool(opened) and not any(f"{target}_" in file for file in opened)


def _outside(decision: Decision, outside: Iterable[OutsidePlugin], placed: bool) -> List[Finding]:
    if len(decision.versions) < 2:
        return []
    found = [(one, _outside_one(decision, one, placed)) for one in sorted(outside, key=lambda one: (one.api, one.path))]
    return [finding if one.active else _while_inactive(finding) for one, finding in found]


def _while_inactive(finding: Finding) -> Finding:
    return warning(
        finding.code,
        finding.subject,
        f"{finding.message} The API is not active now.",
        f"Before it is activated: {finding.remedy}",
        finding.source,
    )


def _outside_one(decision: Decision, plugin: OutsidePlugin, placed: bool) -> Finding:
    current, target = decision.versions
    if plugin.kind == ANALYTICS:
        return error(
            "endpoint-plugin",
            plugin.api,
            f"The API {plugin.api} runs the Go plugin {plugin.path} on its analytics records. No bundle carries it, and "
            "gateways of every version open exactly this file.",
            f"Take the plugin out of the API until every gateway runs {target} and has the build for it at this path.",
            "v5.8.9:gateway/analytics_go_plugin.go; v4.1.0 is the first to have it",
        )
    folder, stem = posixpath.dirname(plugin.path), plugin_stem(plugin.path)
    source = rule_for(target).source
    names = [
        sorted({candidates(version, stem, decision.goos, goarch, REQUEST)[0] for goarch in decision.goarchs})
        for version in (current, target)
    ]
    said = (
        f"The API {plugin.api} loads the Go plugin {plugin.path} by its path, which no bundle carries; builds for "
        f"{current} and for {target} have to lie there on every gateway."
    )
    if f"{stem}.so" in names[1]:
        remedy = (
            f"Move the plugin into a bundle, or take it out of the API until every gateway runs {target} and has the "
            "build for it at this path: both versions open this very file."
        )
        return error("endpoint-plugin", plugin.api, said, remedy, source)
    needed = names[1] if f"{stem}.so" in names[0] else names[0] + names[1]
    files = " and ".join(posixpath.join(folder, name) for name in needed)
    if placed:
        return warning(
            "endpoint-plugin",
            plugin.api,
            said,
            f"You accepted this with tyk_accept, so see that {files} lie on every gateway; only the probes of this API "
            "prove it.",
            source,
        )
    remedy = (
        f"Move the plugin into a bundle; or put {files} on every gateway before the upgrade and say so with "
        "tyk_accept: [endpoint-plugin]."
    )
    return error("endpoint-plugin", plugin.api, said, remedy, source)


def _numbers(version: str) -> Tuple[int, ...]:
    return tuple(int(part) for part in version.split(".") if part.isdigit())
