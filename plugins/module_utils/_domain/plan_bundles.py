# Copyright (c) 2026 tyk.upgrade contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The plan's part about plugins: which bundles stay, which are made anew from what, and which APIs move.

The manifest of the bundle that an API names now is the template. All APIs that name a bundle move together.
"""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from typing import Any, Dict, List, Mapping, Optional, Sequence, Set, Tuple

from ansible_collections.tyk.upgrade.plugins.module_utils._domain import bundles as bundle_format
from ansible_collections.tyk.upgrade.plugins.module_utils._domain import plugin_paths
from ansible_collections.tyk.upgrade.plugins.module_utils._domain.behaviours import behaves, source
from ansible_collections.tyk.upgrade.plugins.module_utils._domain.bundles import Hook, Provenance
from ansible_collections.tyk.upgrade.plugins.module_utils._domain.compilers import compiler_contract
from ansible_collections.tyk.upgrade.plugins.module_utils._domain.failures import UNLOADABLE, failures
from ansible_collections.tyk.upgrade.plugins.module_utils._domain.findings import Finding, error, has_errors, warning
from ansible_collections.tyk.upgrade.plugins.module_utils._domain.paths import foreign, literal_possible
from ansible_collections.tyk.upgrade.plugins.module_utils._domain.plan_model import (
    BUNDLE_SIGNATURE,
    PLUGIN_WINDOW,
    ApiMove,
    Build,
    Bundle,
    Wanted,
    natural,
)
from ansible_collections.tyk.upgrade.plugins.module_utils._domain.resolution import Target, layout, resolve
from ansible_collections.tyk.upgrade.plugins.module_utils._domain.state import (
    ApiState,
    ArtifactState,
    BundleState,
    CompilerState,
    Gateway,
    State,
)
from ansible_collections.tyk.upgrade.plugins.module_utils._domain.versions import Version


@dataclass(frozen=True)
class Fleet:
    """What the plugins must fit: the versions that run and the target, on these platforms."""

    observed: Tuple[Version, ...]
    target: Version
    platforms: Tuple[Tuple[str, str], ...]
    edition: str

    @property
    def versions(self) -> Tuple[Version, ...]:
        """Every version that must find a build of its own, lowest first."""
        return tuple(sorted({*self.observed, self.target}))

    @property
    def moving(self) -> bool:
        """Whether any gateway changes its version."""
        return any(version != self.target for version in self.observed)

    @property
    def targets(self) -> List[Target]:
        """Every version on every platform."""
        return [Target(version, goos, goarch) for version in self.versions for goos, goarch in self.platforms]

    @property
    def goarchs(self) -> Tuple[str, ...]:
        """The architectures, sorted."""
        return tuple(sorted({goarch for unused, goarch in self.platforms}))


@dataclass
class PluginWork:
    """What the plan holds about plugins. in_use: the bundles with Go plugins that APIs name now."""

    builds: List[Build] = field(default_factory=list)
    bundles: List[Bundle] = field(default_factory=list)
    apis: List[ApiMove] = field(default_factory=list)
    hooks: List[Hook] = field(default_factory=list)
    window: List[str] = field(default_factory=list)
    in_use: List[BundleState] = field(default_factory=list)
    findings: List[Finding] = field(default_factory=list)


@dataclass(frozen=True)
class _InUse:
    """A Go bundle that APIs name now. fleet: what the builds in its place must fit; only the target where the user
    accepts that older gateways are without them.
    """

    state: BundleState
    manifest: Mapping[str, Any]
    apis: Tuple[ApiState, ...]
    sources: Mapping[str, str]
    fleet: Fleet
    opens: bool
    satisfied: bool

    @property
    def name(self) -> str:
        return self.state.name

    @property
    def content(self) -> Tuple[str, str, Tuple[Tuple[str, str], ...]]:
        """Bundles that agree in this differ in nothing but the versions that their builds were made for."""
        return (
            _stem(self.state),
            bundle_format.manifest_digest(self.manifest),
            tuple(sorted(self.sources.items())),
        )


def plan_plugins(state: State, wanted: Wanted, fleet: Fleet) -> PluginWork:
    """Decide about every bundle that an API names."""
    work = PluginWork()
    named = _apis_by_bundle(state.apis)
    known = {bundle.name: bundle for bundle in state.bundles}
    used: List[str] = []
    in_use: List[_InUse] = []
    for name in sorted(named, key=natural):
        bundle = known.get(name)
        manifest = bundle.manifest if bundle is not None else None
        if bundle is None or not bundle.found or manifest is None:
            said = _missing(name, named[name])
            work.findings.append(said if any(api.active for api in named[name]) else _left_alone(said))
            continue
        wrong = [finding for finding in bundle_format.lint(manifest, name) if has_errors([finding])]
        if wrong:
            work.findings.extend(wrong)
        elif not bundle_format.is_go(manifest):
            work.bundles.append(_kept(bundle, ()))
            work.findings.extend(_dropped(bundle, fleet))
        else:
            used.extend(bundle_format.plugin_stems(manifest))
            work.hooks.extend(bundle_format.hooks(manifest))
            served = _without_window(bundle, manifest, named[name], state, wanted, fleet, work)
            in_use.append(_look_at(bundle, manifest, named[name], _digests(state, wanted), served, wanted.signing_key))
    if not has_errors(work.findings):
        work.findings.extend(_unused(wanted, used))
    _decide(in_use, state, wanted, fleet, work)
    work.in_use = [used.state for used in in_use]
    if not has_errors(work.findings):
        work.findings.extend(_paths_taken(in_use, state, wanted, fleet, work))
    work.bundles.sort(key=lambda bundle: natural(bundle.name))
    work.builds.sort(key=lambda build: (build.bundle, build.plugin, Version.parse(build.version), build.goarch))
    work.apis.sort(key=lambda move: (natural(move.name), move.id))
    return work


def _decide(in_use: Sequence[_InUse], state: State, wanted: Wanted, fleet: Fleet, work: PluginWork) -> None:
    """Keep what serves, move what has a sibling that serves, build the rest.

    An API that a run left behind has such a sibling. Without one, and with no gateway changing its version, a bundle
    whose files the gateways find is taken to be right: it serves now.
    """
    serving = {used.content: used.name for used in reversed(in_use) if used.satisfied}
    new: Dict[str, Bundle] = {}
    for used in in_use:
        handed = _handed_over(used, state, wanted, work)
        if handed is not None:
            if handed and handed != used.name:
                taken = _as_given(state, handed, used)
                links = {**taken.links, **(new[handed].links if handed in new else {})}
                new[handed] = replace(new.get(handed, taken), links=links)
                work.apis.extend(_move(api, handed) for api in used.apis)
            elif handed:
                work.bundles.append(_kept(used.state, _opened_by(used)))
                work.findings.extend(_dropped(used.state, fleet))
            continue
        sibling = serving.get(used.content)
        if used.satisfied or (sibling is None and used.opens and not fleet.moving):
            work.bundles.append(_kept(used.state, _opened_by(used)))
            work.findings.extend(_dropped(used.state, fleet))
            continue
        if sibling is None:
            made = _new_bundle(used, state, wanted, work)
            if made is None:
                continue
            bundles, builds = made
            if bundles[0].name not in new:
                new.update({bundle.name: bundle for bundle in bundles})
                work.builds.extend(builds)
            sibling = bundles[0].name
        work.apis.extend(_move(api, sibling) for api in used.apis)
    work.bundles = [bundle for bundle in work.bundles if bundle.name not in new] + list(new.values())


def _dropped(bundle: BundleState, fleet: Fleet) -> List[Finding]:
    """A bundle that stays in use with a wrong checksum, which the gateways that run now let pass."""
    if bundle.checksum_ok or behaves(fleet.target, "uses-unverified-bundle"):
        return []
    return [
        error(
            "bundle-checksum",
            bundle.name,
            f"The manifest of {bundle.name} says another checksum than its files have; gateways {fleet.target} drop every "
            "API that names it.",
            "Build and publish it anew under another name, and let the API definitions name that.",
            source("drops-api-without-bundle"),
        )
    ]


def _without_window(
    bundle: BundleState,
    manifest: Mapping[str, Any],
    apis: Sequence[ApiState],
    state: State,
    wanted: Wanted,
    fleet: Fleet,
    work: PluginWork,
) -> Fleet:
    """What builds of a bundle must fit: the whole fleet, or its target alone where nothing else can be done and the user
    accepts the window in which older gateways have no build they can load. That is said in the findings.
    """
    older = [version for version in fleet.observed if version != fleet.target]
    possible = _shared_files(manifest, fleet) is not None or len(fleet.platforms) > 1
    if possible or not older or PLUGIN_WINDOW not in wanted.accept or not _unplaceable(bundle.name, state, fleet):
        return fleet
    if not all(literal_possible(version, fleet.target) for version in older):
        return fleet
    work.window.extend(api.id for api in apis)
    kinds = {hook.kind for hook in bundle_format.hooks(manifest)}
    for version in older:
        rows = [row for row in failures(version, kinds) if row.situation == UNLOADABLE]
        what = "; ".join(f"{', '.join(row.kinds)}: {row.meaning}" for row in rows)
        work.findings.append(
            warning(
                PLUGIN_WINDOW,
                f"{bundle.name} ({version})",
                f"From the switch of {_names(apis)} on, each gateway {version} is without the plugins of {bundle.name} "
                f"until it is upgraded ({what}).",
                "You accepted this with tyk_accept; these APIs are not watched until all gateways are upgraded.",
                rows[0].source if rows else "",
            )
        )
    return replace(fleet, observed=(fleet.target,))


def _shared_files(manifest: Mapping[str, Any], fleet: Fleet) -> Optional[Dict[str, Dict[Target, str]]]:
    """By plugin, the name of each version's build in one bundle for all; None when no bundle can hold them."""
    files = {
        stem: layout(fleet.targets, stem, bundle_format.phases(manifest, stem))
        for stem in bundle_format.plugin_stems(manifest)
    }
    found = {stem: names for stem, names in files.items() if names is not None}
    return found if len(found) == len(files) else None


def _handed_over(used: _InUse, state: State, wanted: Wanted, work: PluginWork) -> Optional[str]:
    """The published bundle that takes over; empty with findings when it will not do, None when none is given."""
    fleet = used.fleet
    plugins = [wanted.plugin(stem) for stem in bundle_format.plugin_stems(used.manifest)]
    names = sorted({plugin.bundle for plugin in plugins if plugin is not None and plugin.bundle})
    if not names:
        return None
    if len(names) > 1 or any(plugin is None or not plugin.bundle for plugin in plugins):
        work.findings.append(
            _not_given(used.name, f"The plugins of {used.name} are not all given by one bundle ({', '.join(names)}).")
        )
        return ""
    bundle = next((one for one in state.bundles if one.name == names[0]), None)
    if bundle is None or bundle.manifest is None:
        work.findings.append(_missing(names[0], used.apis))
        return ""
    wrong = [one for one in bundle_format.lint(bundle.manifest, bundle.name) if has_errors([one])]
    if not wrong and bundle_format.plugin_stems(bundle.manifest) != bundle_format.plugin_stems(used.manifest):
        wrong.append(_not_given(bundle.name, f"The bundle {bundle.name} does not hold the plugins of {used.name}."))
    for version in fleet.versions if not wrong else ():
        for goos, goarch in fleet.platforms:
            found = bundle_format.resolutions(bundle.manifest, bundle.file_names, [version], goos, goarch)[str(version)]
            wrong += [
                error(
                    "bundle-no-file",
                    bundle.name,
                    f"In {bundle.name} a gateway {version} on {goos}/{goarch} finds no file for {path}.",
                    f"Add a build for {version} and publish the bundle under another name.",
                )
                for path, file in found.items()
                if file is None
            ]
    if not wrong:
        wrong = _one_for_strangers(bundle, bundle.manifest, fleet)
        wrong += [] if bundle.signed else _unsigned(used.state, bundle.name, wanted, fleet)
    work.findings.extend(wrong)
    return "" if has_errors(wrong) else bundle.name


def _one_for_strangers(bundle: BundleState, manifest: Mapping[str, Any], fleet: Fleet) -> List[Finding]:
    """Files that versions of different generations of Go both open."""
    found = []
    for goos, goarch in fleet.platforms:
        opens = {version: _opened(manifest, bundle.file_names, version, goos, goarch) for version in fleet.versions}
        for version in fleet.versions:
            for file in sorted(opens[version] & opens[fleet.target]):
                if version != fleet.target and foreign(version, fleet.target):
                    found.append(
                        _cutover(
                            bundle.name,
                            f"Of {bundle.name}, gateways {version} and {fleet.target} both open {file}, and no build loads "
                            "in both: they are of different generations of Go.",
                            "Publish a bundle with a build for each version, under another name, or give the plugins by "
                            "source or artifacts: where one bundle cannot hold both, each gateway gets its own.",
                        )
                    )
    return list(dict.fromkeys(found))


def _unsigned(bundle: BundleState, successor: str, wanted: Wanted, fleet: Fleet) -> List[Finding]:
    """A signed bundle in use whose place an unsigned one would take."""
    if not bundle.signed:
        return []
    strict = [str(version) for version in fleet.versions if not behaves(version, "uses-unverified-bundle")]
    what = f"The bundle {bundle.name} is signed, and the one that takes its place would not be"
    remedy = (
        "Set tyk_bundle_key to the private key of the gateways' public_key_path."
        if successor == bundle.name
        else "Publish it signed, under another name."
    )
    if strict and BUNDLE_SIGNATURE not in wanted.accept:
        return [
            error(
                BUNDLE_SIGNATURE,
                successor,
                f"{what}: where gateways {' and '.join(strict)} have a public_key_path, they refuse it.",
                f"{remedy} If no gateway has one, say so with tyk_accept: [{BUNDLE_SIGNATURE}].",
                source("drops-api-without-bundle"),
            )
        ]
    return [
        warning(
            BUNDLE_SIGNATURE,
            successor,
            f"{what}; {'you accepted this' if strict else 'these gateways use it all the same'}.",
            remedy,
            source("uses-unverified-bundle"),
        )
    ]


def _opened(manifest: Mapping[str, Any], names: Sequence[str], version: Version, goos: str, goarch: str) -> Set[str]:
    """The files of a bundle that a gateway opens."""
    found = bundle_format.resolutions(manifest, names, [version], goos, goarch)[str(version)]
    return {file for file in found.values() if file}


def _paths_taken(
    in_use: Sequence[_InUse], state: State, wanted: Wanted, fleet: Fleet, work: PluginWork
) -> List[Finding]:
    """Builds that no gateway of a version could load, since one that it has loaded, or loads too, took their plugin path.

    The names that compilations give are new for certain, so this is about builds that were made elsewhere.
    """
    taken: Dict[Tuple[plugin_paths.Loadable, plugin_paths.Loadable], List[str]] = {}
    serving = {api.id for api in state.apis if api.active and api.bundle_enabled}
    coming_names = {move.to_bundle for move in work.apis if move.id in serving}
    stored = {bundle.name: bundle for bundle in state.bundles}
    given = _Given.of(state, wanted)
    for version in fleet.versions:
        for goos, goarch in fleet.platforms:
            loaded = [
                one
                for used in in_use
                if version in fleet.observed and any(api.id in serving for api in used.apis)
                for one in _of_store(used.state, used.manifest, version, goos, goarch, {})
            ]
            coming = [
                one
                for bundle in work.bundles
                if not bundle.keep and str(version) in bundle.versions
                and (bundle.placed_for or bundle.name) in coming_names
                for one in (
                    _of_store(stored[bundle.name], bundle.manifest, version, goos, goarch, bundle.links)
                    if bundle.given
                    else _at_hand(bundle, work.builds, given, version, goarch)
                )
            ]
            held = {(one.bundle, one.file) for one in loaded}
            for clash in plugin_paths.clashes(loaded, [one for one in coming if (one.bundle, one.file) not in held]):
                versions = taken.setdefault(clash, [])
                versions += [] if str(version) in versions else [str(version)]
    return [_path_taken(one, other, versions) for (one, other), versions in taken.items()]


def _of_store(
    bundle: BundleState,
    manifest: Mapping[str, Any],
    version: Version,
    goos: str,
    goarch: str,
    links: Mapping[str, Mapping[str, str]],
) -> List[plugin_paths.Loadable]:
    paths = {str(one.get("name")): str(one.get("plugin_path") or "") for one in bundle.files}
    return [
        plugin_paths.Loadable(bundle.name, file, file, paths.get(file, ""), _link(links, file))
        for file in sorted(_opened(manifest, bundle.file_names, version, goos, goarch))
    ]


def _at_hand(
    bundle: Bundle, builds: Sequence[Build], given: _Given, version: Version, goarch: str
) -> List[plugin_paths.Loadable]:
    found = []
    for build in builds:
        if (build.bundle, build.version, build.goarch, build.image) == (bundle.name, str(version), goarch, ""):
            artifact = given.find(build.plugin, version, goarch)
            path = artifact.plugin_path if artifact is not None else ""
            found.append(
                plugin_paths.Loadable(bundle.name, build.file, build.source, path, _link(bundle.links, build.file))
            )
    return found


def _link(links: Mapping[str, Mapping[str, str]], file: str) -> Tuple[str, str]:
    link = links.get(file) or {}
    return str(link.get("bundle") or ""), str(link.get("file") or "")


def _path_taken(one: plugin_paths.Loadable, other: plugin_paths.Loadable, versions: Sequence[str]) -> Finding:
    return error(
        "plugin-path-shared",
        one.plugin,
        f"{one.plugin}, which becomes {one.file} of {one.bundle}, has the plugin path {one.plugin_path} of {other.file} of "
        f"{other.bundle} and is another file; a gateway {' or '.join(versions)} that holds the one refuses the other as "
        "already loaded.",
        "Build it with a build id of its own (for compilers 5.1.0 to 5.2.3: with a module line of its own), or give the very "
        "file that runs, which is linked; where one file would be in two bundles, let all its APIs name one of them.",
        plugin_paths.SOURCE,
    )


def _not_given(subject: str, message: str) -> Finding:
    return error(
        "bundle-invalid", subject, message, "Name one published bundle with builds of all these plugins in tyk_plugins."
    )


def _as_given(state: State, name: str, used: _InUse) -> Bundle:
    """A bundle that was published by other means, as a part of the plan."""
    fleet = used.fleet
    bundle = next(one for one in state.bundles if one.name == name)
    manifest = bundle.manifest or {}
    digests = {str(one.get("name")): str(one.get("sha256")) for one in bundle.files}
    opened: Dict[str, List[str]] = {}
    for version in fleet.versions:
        for goos, goarch in fleet.platforms:
            for hook in bundle_format.hooks(manifest):
                file = resolve(version, hook.path, bundle.file_names, goos, goarch, hook.phase)
                if file:
                    opened.setdefault(file, []).append(hook.name)
    return replace(
        _kept(bundle, tuple(str(version) for version in fleet.versions)),
        replaces=used.name,
        keep=False,
        given=True,
        symbols={file: sorted(set(names)) for file, names in sorted(opened.items())},
        links=_same_files(used, {file: digests[file] for file in sorted(opened)}),
    )


def _same_files(used: _InUse, digests: Mapping[str, str]) -> Dict[str, Dict[str, str]]:
    """Files, by name with their digest, that are the very files of the bundle in use, which running gateways have open.

    Of several names for one content, the one that they opened it by.
    """
    fleet = used.fleet
    opened = {
        file
        for version in fleet.observed
        for goos, goarch in fleet.platforms
        for file in _opened(used.manifest, used.state.file_names, version, goos, goarch)
    }
    held: Dict[str, str] = {}
    for name, digest in ((str(one.get("name")), str(one.get("sha256") or "")) for one in used.state.files):
        if digest and (digest not in held or name in opened):
            held[digest] = name
    return {name: {"bundle": used.name, "file": held[digest]} for name, digest in digests.items() if digest in held}


def _look_at(
    bundle: BundleState,
    manifest: Mapping[str, Any],
    apis: Sequence[ApiState],
    digests: Mapping[str, str],
    fleet: Fleet,
    signing_key: str,
) -> _InUse:
    sources = {stem: digests[stem] for stem in bundle_format.plugin_stems(manifest) if stem in digests}
    complete = len(sources) == len(bundle_format.plugin_stems(manifest))
    opens = all(
        all(bundle_format.resolutions(manifest, bundle.file_names, fleet.versions, goos, goarch)[str(version)].values())
        for version in fleet.versions
        for goos, goarch in fleet.platforms
    )
    provenance = provenance_of(bundle)
    satisfied = (
        opens
        and complete
        and provenance is not None
        and signing_key in ("", provenance.signed_by)
        and bundle_format.satisfies(provenance, sources, fleet.versions, fleet.goarchs, fleet.edition)
    )
    return _InUse(bundle, manifest, tuple(apis), sources, fleet, opens, satisfied)


def _new_bundle(
    used: _InUse, state: State, wanted: Wanted, work: PluginWork
) -> Optional[Tuple[List[Bundle], List[Build]]]:
    """The bundles that take over, first the one that APIs will name, and their builds; None with findings when they
    cannot be made.
    """
    fleet, stems = used.fleet, bundle_format.plugin_stems(used.manifest)
    files = _shared_files(used.manifest, fleet)
    given = _Given.of(state, wanted)
    compiled = [stem for stem in stems if stem in wanted.sources]
    findings = _unlisted(used, stems, wanted)
    findings += _without_source(compiled, used, wanted)
    findings += _without_artifact(stems, wanted, given, fleet)
    findings += [] if files is not None else _unplaceable(used.name, state, fleet)
    findings += _further_files(used)
    findings += [] if wanted.signing_key else _unsigned(used.state, used.name, wanted, fleet)
    compilers, wrong = _compilers(state, fleet) if compiled else ({}, [])
    work.findings.extend(findings + wrong)
    if has_errors(findings + wrong) or not _all_at_hand(stems, wanted, given, fleet):
        return None
    provenance = Provenance(
        stem=_stem(used.state),
        sources=dict(used.sources),
        versions=tuple(str(version) for version in fleet.versions),
        compilers={version: str(compiler.id) for version, compiler in compilers.items()},
        manifest_digest=bundle_format.manifest_digest(used.manifest),
        goos=fleet.platforms[0][0],
        goarchs=fleet.goarchs,
        edition=fleet.edition,
        signed_by=wanted.signing_key,
    )
    build_id = bundle_format.build_id(provenance)
    provenance = replace(provenance, build_id=build_id)
    name = bundle_format.bundle_name(provenance.stem, build_id)
    paths = {source.plugin: source.path for source in state.sources}
    sources = {stem: paths.get(stem) or wanted.sources[stem] for stem in compiled}
    parts = _Parts(used, provenance, compilers, sources, given)
    if files is not None:
        pairs = [(stem, target, file) for stem in stems for target, file in files[stem].items()]
        bundle, builds = parts.bundle(name, pairs)
        return [bundle], builds
    # Every gateway opens X.so here, so each version has a folder of its own; the one that is published is the target's.
    bundles, builds = [], []
    for version in (fleet.target, *(version for version in fleet.observed if version != fleet.target)):
        target = Target(version, *fleet.platforms[0])
        of_version = name if version == fleet.target else bundle_format.placed_name(name, str(version))
        bundle, more = parts.bundle(of_version, [(stem, target, f"{stem}.so") for stem in stems])
        # All else that they say of themselves is the same, and a store that chooses names tells them apart by this alone.
        bundle = replace(bundle, provenance={**bundle.provenance, "serves": [str(version)]})
        bundles.append(bundle if of_version == name else replace(bundle, placed_for=name))
        builds += more
    return bundles, builds


@dataclass(frozen=True)
class _Parts:
    """What the builds of one bundle have in common."""

    used: _InUse
    provenance: Provenance
    compilers: Mapping[str, CompilerState]
    sources: Mapping[str, str]
    given: _Given

    def build(self, bundle: str, stem: str, target: Target, file: str) -> Build:
        """One build of this bundle, compiled or given."""
        version, given = str(target.version), self.given.find(stem, target.version, target.goarch)
        compiler = self.compilers.get(version) if given is None else None
        return Build(
            plugin=stem,
            version=version,
            goos=target.goos,
            goarch=target.goarch,
            edition=self.provenance.edition,
            build_id=bundle_format.plugin_build_id(self.provenance.build_id, stem),
            file=file,
            image=compiler.image if compiler is not None else "",
            compiler_id=str(compiler.id) if compiler is not None else "",
            source=given.path if given is not None else self.sources[stem],
            source_digest=given.sha256 if given is not None else self.used.sources[stem],
            bundle=bundle,
            strip=given is None and self.used.sources[stem].endswith("+strip"),
        )

    def bundle(self, name: str, pairs: Sequence[Tuple[str, Target, str]]) -> Tuple[Bundle, List[Build]]:
        """The bundle of this name with a build of each plugin for each target, under these file names."""
        builds = [self.build(name, stem, target, file) for stem, target, file in pairs]
        listed = [build.file for build in builds] + [bundle_format.PROVENANCE_FILE]
        manifest = bundle_format.planned_manifest(self.used.manifest, listed)
        bundle = Bundle(
            name=name,
            replaces=self.used.name,
            stem=self.provenance.stem,
            build_id=self.provenance.build_id,
            keep=False,
            manifest=manifest,
            provenance=self.provenance.to_dict(),
            files=tuple(listed),
            symbols={build.file: bundle_format.symbols(self.used.manifest, build.plugin) for build in builds},
            versions=tuple(sorted({build.version for build in builds}, key=Version.parse)),
            links=_same_files(self.used, {one.file: one.source_digest for one in builds if not one.image}),
        )
        return bundle, builds


def _opened_by(used: _InUse) -> Tuple[str, ...]:
    """The versions that open the files of a bundle in use; the others have what was put in its place."""
    shared = _shared_files(used.manifest, used.fleet) is not None
    return tuple(str(version) for version in (used.fleet.versions if shared else (used.fleet.target,)))


def _kept(bundle: BundleState, versions: Tuple[str, ...]) -> Bundle:
    provenance = provenance_of(bundle)
    manifest = {key: value for key, value in (bundle.manifest or {}).items() if key not in ("checksum", "signature")}
    return Bundle(
        name=bundle.name,
        replaces=bundle.name,
        stem=_stem(bundle),
        build_id=provenance.build_id if provenance else "",
        keep=True,
        manifest=manifest,
        provenance=dict(bundle.provenance or {}) if provenance else {},
        files=tuple(sorted(bundle.file_names)),
        symbols={},
        versions=versions,
        sha256=bundle.sha256,
    )


def _move(api: ApiState, to_bundle: str) -> ApiMove:
    return ApiMove(api.id, api.name, api.kind, api.bundle, to_bundle, api.digest)


def _apis_by_bundle(apis: Sequence[ApiState]) -> Dict[str, List[ApiState]]:
    """APIs that are switched off, or whose bundle is, count too: they would come back without a loadable plugin."""
    named: Dict[str, List[ApiState]] = {}
    for api in apis:
        if api.bundle:
            named.setdefault(api.bundle, []).append(api)
    return named


def _digests(state: State, wanted: Wanted) -> Dict[str, str]:
    """The digest of what each listed plugin is given by, as far as it could be read."""
    listed = wanted.sources
    found = {source.plugin: source.digest for source in state.sources if source.digest and source.plugin in listed}
    for plugin in wanted.plugins:
        built = {f"{one.version}/{one.goarch}": one.sha256 for one in state.artifacts if one.plugin == plugin.name}
        if plugin.strip and plugin.name in found:
            found[plugin.name] += "+strip"
        if plugin.artifacts and built:
            found[plugin.name] = bundle_format.artifacts_digest(built)
    return found


@dataclass(frozen=True)
class _Given:
    """The builds that are at hand, by plugin, version and architecture."""

    files: Mapping[Tuple[str, str, str], ArtifactState]

    @classmethod
    def of(cls, state: State, wanted: Wanted) -> _Given:
        listed = {plugin.name for plugin in wanted.plugins if plugin.artifacts}
        return cls({(one.plugin, one.version, one.goarch): one for one in state.artifacts if one.plugin in listed})

    def find(self, plugin: str, version: object, goarch: str) -> Optional[ArtifactState]:
        return self.files.get((plugin, str(version), goarch))


def provenance_of(bundle: BundleState) -> Optional[Provenance]:
    """What the bundle says of itself; None for bundles that others made, or that say it in words not known here."""
    if not bundle.provenance:
        return None
    try:
        return Provenance.from_dict(bundle.provenance)
    except ValueError:
        return None


def _stem(bundle: BundleState) -> str:
    """What stays of a bundle's name through upgrades. A name that the store chose says nothing of it."""
    provenance = provenance_of(bundle)
    return provenance.stem if provenance else bundle_format.bundle_stem(bundle.name)


def _compilers(state: State, fleet: Fleet) -> Tuple[Dict[str, CompilerState], List[Finding]]:
    """The compiler of each version, or why it will not do."""
    known = {compiler.version: compiler for compiler in state.compilers}
    found: Dict[str, CompilerState] = {}
    findings: List[Finding] = []
    for version in fleet.versions:
        contract = compiler_contract(version)
        compiler = known.get(str(version))
        if contract.unusable:
            findings.append(
                error(
                    "compiler-unusable",
                    str(version),
                    f"The plugin compiler of {version} builds against whatever the default branch was on its day.",
                    f"Give the builds as artifacts, for every version that runs and for the target; where gateways run {version}, "
                    "the file of the bundle in use is one.",
                    contract.source,
                )
            )
        elif compiler is None or not compiler.id:
            image = compiler.image if compiler is not None else ""
            findings.append(
                error(
                    "compiler-missing",
                    image or str(version),
                    f"The plugin compiler of {version}{image and f' ({image})'} is not present and cannot be pulled.",
                    "Pull or load the image on tyk_build_host, or name another one in tyk_compiler_images.",
                )
            )
        else:
            found[str(version)] = compiler
    return found, findings


def _missing(name: str, apis: Sequence[ApiState]) -> Finding:
    return error(
        "bundle-missing",
        name,
        f"The bundle {name}, which {_names(apis)} use, could not be read from the bundle store.",
        "Correct tyk_bundle_store, or the bundle's name in the API definitions.",
    )


def _left_alone(missing: Finding) -> Finding:
    """The same of APIs that no gateway serves: they stay as they are."""
    return warning(
        missing.code, missing.subject, f"{missing.message} These APIs are not active.", f"Before they are: {missing.remedy}"
    )


def _unlisted(used: _InUse, stems: Sequence[str], wanted: Wanted) -> List[Finding]:
    return [
        error(
            "plugin-unlisted",
            stem,
            f"The plugin {stem} in bundle {used.name} is used by {_names(used.apis)}, but is not in tyk_plugins.",
            f"Add {stem} with its source, artifacts or bundle to tyk_plugins; without it these APIs would lose it.",
        )
        for stem in stems
        if wanted.plugin(stem) is None
    ]


def _without_source(stems: Sequence[str], used: _InUse, wanted: Wanted) -> List[Finding]:
    return [
        error(
            "plugin-source-empty",
            stem,
            f"No Go source of the plugin {stem} was found in {wanted.sources[stem]!r}.",
            f"Correct the source of {stem} in tyk_plugins.",
        )
        for stem in stems
        if stem not in used.sources
    ]


def _without_artifact(stems: Sequence[str], wanted: Wanted, given: _Given, fleet: Fleet) -> List[Finding]:
    """Builds that would have to be given and are not. One that was given but is wrong has been named already."""
    missing = []
    for stem in stems:
        plugin = wanted.plugin(stem)
        if plugin is None or not plugin.artifacts:
            continue
        for target in fleet.targets:
            listed = target.goarch in plugin.artifacts.get(str(target.version), {})
            if listed or given.find(stem, target.version, target.goarch):
                continue
            running = target.version != fleet.target
            missing.append(
                error(
                    "plugin-artifact-missing",
                    stem,
                    f"The artifacts of {stem} in tyk_plugins have no build for {target.version} ({target.goarch}).",
                    "Give the file that runs now, out of the bundle in use: it is linked, not loaded again."
                    if running
                    else f"Build {stem} for {target.version} and add the file.",
                )
            )
    return missing


def _all_at_hand(stems: Sequence[str], wanted: Wanted, given: _Given, fleet: Fleet) -> bool:
    """Whether every build that is given could be used. What is wrong with one has been said by the module that read it."""
    listed = [stem for stem in stems if (plugin := wanted.plugin(stem)) is not None and plugin.artifacts]
    return all(given.find(stem, target.version, target.goarch) for stem in listed for target in fleet.targets)


def _unplaceable(bundle: str, state: State, fleet: Fleet) -> List[Finding]:
    """Why builds that no bundle can hold together cannot be put in place host by host either."""
    findings = []
    accept = ""
    if all(literal_possible(version, fleet.target) for version in fleet.observed if version != fleet.target):
        accept = (
            f", or accept with tyk_accept: [{PLUGIN_WINDOW}] that each gateway is without them until it is upgraded"
        )
    if len(fleet.platforms) > 1:
        findings.append(
            _cutover(
                bundle,
                f"No bundle can hold builds of {bundle} for {_versions(fleet)} side by side, and the gateways are of "
                "several architectures, which these versions do not tell apart by file name.",
                "Upgrade the gateways of each architecture in a run of its own, with bundles of their own.",
            )
        )
    for version in fleet.observed:
        if version != fleet.target and not behaves(version, "keeps-bundle-by-name"):
            findings.append(
                _cutover(
                    bundle,
                    f"The plugins of {bundle} have to be put in place host by host, and gateways {version} keep them "
                    "in a folder for each API.",
                    f"Go by way of 4.0.1 or later{accept}.",
                )
            )
    return findings + [
        _cutover(
            gateway.host,
            f"Plugins have to be put in place host by host, but the bundles of {gateway.host} lie in "
            f"{gateway.bundle_volume}, which {_why_not(gateway)}.",
            f"Give each gateway a middleware folder of its own that can be written to, or go to a target from 4.3.2 on"
            f"{accept}.",
        )
        for gateway in state.gateways
        if gateway.bundle_volume
    ]


def _why_not(gateway: Gateway) -> str:
    """What is wrong with the place of a gateway's bundles, as the end of a sentence."""
    if gateway.bundle_volume_closed == "read-only":
        return "is read-only for it"
    if gateway.bundle_volume_closed:
        return f"is a {gateway.bundle_volume_closed} and is empty after each start"
    return f"{gateway.bundle_volume_with or 'others'} may use as well"


def _cutover(subject: str, message: str, remedy: str) -> Finding:
    return error("cutover-unsupported", subject, message, remedy)


def _versions(fleet: Fleet) -> str:
    return " and ".join(str(version) for version in fleet.versions)


def _further_files(used: _InUse) -> List[Finding]:
    return [
        error(
            "cutover-unsupported",
            used.name,
            f"The bundle {used.name} also holds {name}, which is not a Go plugin; this release does not carry such "
            "files over.",
            "Move the file's content into the plugin, or into its config data, before the upgrade.",
        )
        for name in bundle_format.data_files(used.manifest)
    ]


def _unused(wanted: Wanted, used: Sequence[str]) -> List[Finding]:
    return [
        warning(
            "plugin-unused",
            plugin.name,
            f"The plugin {plugin.name} is listed in tyk_plugins, but no API uses a bundle that holds it.",
            "Remove it from tyk_plugins, or correct its name: it is the .so of the manifest without .so.",
        )
        for plugin in wanted.plugins
        if plugin.name not in used
    ]


def _names(apis: Sequence[ApiState]) -> str:
    names = sorted((api.name or api.id for api in apis), key=natural)
    shown = ", ".join(names[:5])
    return f"{shown} and {len(names) - 5} more" if len(names) > 5 else shown
