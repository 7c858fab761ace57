# Copyright (c) 2026 tyk.upgrade contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""How the plugins get from one version to the other.

The published procedure knows three paths, told apart by fixed version numbers, and has a hole between them. Here the
file-resolution rules decide what can work; the number of the path only says which section a reader would have followed.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Collection, Dict, Iterable, List, Mapping, Optional, Sequence, Set, Tuple, Union

from ansible_collections.tyk.upgrade.plugins.module_utils._domain.behaviours import (
    backup_readable,
    behaves,
    can_plugin_load,
    fail_open,
    fail_open_source,
    failing_download_fatal,
)
from ansible_collections.tyk.upgrade.plugins.module_utils._domain.bundles import Hook
from ansible_collections.tyk.upgrade.plugins.module_utils._domain.compilers import (
    CompilerContract,
    compiler_contract,
    edition_of,
)
from ansible_collections.tyk.upgrade.plugins.module_utils._domain.failures import (
    FOREIGN,
    KINDS,
    OPEN,
    PANICS,
    REQUEST_KINDS,
    Failure,
    failures,
)
from ansible_collections.tyk.upgrade.plugins.module_utils._domain.plugin_builds import (
    STEM,
    PluginBuild,
    plugin_build,
)
from ansible_collections.tyk.upgrade.plugins.module_utils._domain.releases import go_group, known
from ansible_collections.tyk.upgrade.plugins.module_utils._domain.resolution import (
    REQUEST,
    RESPONSE,
    Target,
    candidates,
    layout,
    resolve,
    rule_for,
    shared_layout,
)
from ansible_collections.tyk.upgrade.plugins.module_utils._domain.versions import Version, as_version

__all__ = [
    "GAP",
    "LITERAL",
    "NONE",
    "PATHS",
    "PER_HOST",
    "SHARED",
    "CompilerContract",
    "Decision",
    "PublishedPath",
    "Rule",
    "backup_readable",
    "can_plugin_load",
    "compiler_contract",
    "decide",
    "fail_open",
    "failing_download_fatal",
    "published_path",
]

#: One bundle holds builds for both versions: switch the API definitions while the current version still runs.
SHARED = "shared"
#: No bundle can: each host finds builds of its own under one name, and the target's in their place after its restart.
PER_HOST = "per-host"
#: No bundle can, nothing can be put on each host, and the user accepts it: the published order as it stands. Between
#: the switch and its own upgrade no gateway of the current version has the plugins.
LITERAL = "literal"
#: There is nothing to move.
NONE = "none"
#: The published procedure says nothing about this pair.
GAP = "gap"


@dataclass(frozen=True)
class PublishedPath:
    """A row of the published table."""

    path: str
    current: str
    target: str
    source: str


#: "Upgrading Tyk On Hybrid SaaS", section 2, and what its table leaves out.
PATHS: Tuple[PublishedPath, ...] = (
    PublishedPath("1", "<4.1.0", "<4.1.0", "Upgrading Tyk On Hybrid SaaS, path 1"),
    PublishedPath("2", "<4.1.0", ">=4.1.0", "Upgrading Tyk On Hybrid SaaS, path 2"),
    PublishedPath("3", ">=4.1.0", ">=5.1.0", "Upgrading Tyk On Hybrid SaaS, path 3"),
    PublishedPath(GAP, ">=4.1.0", "<5.1.0", "Upgrading Tyk On Hybrid SaaS, section 2: no row covers it"),
)


@dataclass(frozen=True)
class Rule:
    """One thing that the decision rests on, as a sentence, and where it can be read."""

    statement: str
    source: str = ""


@dataclass(frozen=True)
class Decision:
    """How plugins move from the current version to the target.

    path: 1, 2, 3, gap, or none when nothing moves. cutover: shared, per-host, literal or none. supported: whether this
    collection carries it out. reasons: sentences for the person who reads the plan; sources: where the rules come from.

    files: by version and architecture, the name under which the build of a plugin X lies in its bundle; in one bundle
    where the cut-over is shared, else in a bundle for each version. manifest_path: how the manifest names it. builds:
    how X is built for each version and architecture. compiled: the versions that have to be compiled. failures: by
    version, what its gateways do without the plugin. foreign: a build for one version may end a gateway of the other.
    linked: the running build of the current version is used on.
    """

    path: str
    cutover: str
    reasons: List[str]
    sources: List[str]
    supported: bool
    current: str = ""
    target: str = ""
    edition: str = "ce"
    goos: str = "linux"
    goarchs: Tuple[str, ...] = ()
    kinds: Tuple[str, ...] = ()
    files: Mapping[str, Mapping[str, str]] = field(default_factory=dict)
    manifest_path: str = ""
    builds: Tuple[PluginBuild, ...] = ()
    compiled: Tuple[str, ...] = ()
    failures: Mapping[str, Tuple[Failure, ...]] = field(default_factory=dict)
    foreign: bool = False
    linked: bool = False

    @property
    def versions(self) -> Tuple[str, ...]:
        """The current version and the target, each once."""
        return tuple(version for version in dict.fromkeys((self.current, self.target)) if version)

    def opening(self, version: str) -> List[Failure]:
        """In which situations gateways of this version let requests through without the plugin."""
        return [row for row in self.failures.get(version, ()) if row.outcome == OPEN]

    def closing(self, version: str) -> List[Failure]:
        """In which situations they refuse them, or end."""
        return [row for row in self.failures.get(version, ()) if row.outcome != OPEN]


def published_path(current: Union[str, Version], target: Union[str, Version]) -> PublishedPath:
    """The row of the published table for this pair; the gap where it has none."""
    before, after = as_version(current), as_version(target)
    return next(row for row in PATHS if before.satisfies(row.current) and after.satisfies(row.target))


def decide(
    current: Union[str, Version],
    target: Union[str, Version],
    hooks: Iterable[Union[str, Hook]] = (),
    goos: str = "linux",
    goarch: str = "amd64",
    *,
    goarchs: Sequence[str] = (),
    edition: str = "ce",
    built: Collection[str] = (),
    placeable: bool = True,
    linked: bool = False,
    own_compilers: Collection[str] = (),
    window_accepted: bool = False,
) -> Decision:
    """Decide how Go plugins get from the current version to the target.

    hooks: those of all Go bundles in use, as hooks, as their kind (pre, auth_check, …) or as their phase (request,
    response); empty if there are none. goarchs: all architectures of the gateways, where there are several. built: the
    versions whose builds are at hand, so that nothing has to be compiled for them. placeable: whether files can be put
    on the gateways' hosts. linked: the source of the current builds is lost, so the running ones are used on.
    own_compilers: the versions for which the user named a compiler, so that none has to be published for the edition.
    window_accepted: whether the user accepts that gateways of the current version are without the plugins for a while,
    where there is no other way.
    """
    before, after = as_version(current), as_version(target)
    kinds, phases = _kinds(hooks)
    if not phases:
        return Decision(NONE, NONE, ["No API uses a Go plugin from a bundle."], [], True)
    archs = tuple(sorted(set(goarchs))) or (goarch,)
    versions = tuple(dict.fromkeys((before, after)))
    row = published_path(before, after)
    strangers = foreign(before, after)
    together = _together(before, after, goos, archs, phases)
    builds = tuple(
        plugin_build(version, edition, goos, arch, own_compiler=str(version) in own_compilers)
        for version in versions
        for arch in archs
    )
    impossible = [] if together is not None else _no_builds_side_by_side(versions, phases, goos, archs)
    unplaceable = [] if together is not None else _unplaceable(versions, placeable)
    literal = bool(unplaceable) and not impossible and window_accepted and literal_possible(before, after)
    obstacles = impossible + unplaceable + _linking_obstacles(linked, placeable)
    dropped = (before,) if linked or literal else ()
    compiled = [version for version in versions if str(version) not in built and version not in dropped]
    rules = [Rule(_files_reason(before, after, phases, together, goos, archs), rule_for(before).source)]
    rules.append(Rule("", rule_for(after).source))
    rules += _fallback_rules(versions, together)
    rules += obstacles
    if before != after:
        rules += _path_rules(row, before, after)
    compiler_rules, usable = _compiler_rules(compiled, versions, edition, builds)
    rules += compiler_rules
    return Decision(
        path=row.path if before != after else NONE,
        cutover=LITERAL if literal else SHARED if together is not None else PER_HOST,
        reasons=[rule.statement for rule in rules if rule.statement],
        sources=list(dict.fromkeys(rule.source for rule in rules if rule.source)),
        supported=(literal or not obstacles) and usable,
        current=str(before),
        target=str(after),
        edition=edition,
        goos=goos,
        goarchs=archs,
        kinds=kinds,
        files=together or {str(version): dict.fromkeys(archs, f"{STEM}.so") for version in versions},
        manifest_path=f"{STEM}.so",
        builds=builds,
        compiled=tuple(str(version) for version in compiled),
        failures={str(version): _failures(version, kinds, strangers) for version in versions},
        foreign=strangers,
        linked=linked,
    )


def literal_possible(before: Union[str, Version], after: Union[str, Version]) -> bool:
    """Whether the published order can be followed at all where no bundle serves both versions.

    Then gateways of the current version open the target's build. They must refuse it, and not end.
    """
    first, last = as_version(before), as_version(after)
    return first != last and not foreign(first, last)


def _kinds(hooks: Iterable[Union[str, Hook]]) -> Tuple[Tuple[str, ...], List[str]]:
    """The kinds of hook, in the order of a request, and their phases. The phase request stands for all its kinds."""
    found: Set[str] = set()
    for hook in hooks:
        kind = hook.kind if isinstance(hook, Hook) else hook
        found.update((kind,) if kind in KINDS else REQUEST_KINDS)
    kinds = tuple(kind for kind in KINDS if kind in found)
    return kinds, sorted({RESPONSE if kind == RESPONSE else REQUEST for kind in kinds})


def foreign(before: Version, after: Version) -> bool:
    """Whether builds for one version may end a gateway of the other. So taken where nothing is known."""
    return not (known(before) and known(after)) or go_group(before) != go_group(after)


def _failures(version: Version, kinds: Iterable[str], strangers: bool) -> Tuple[Failure, ...]:
    """What happens without the plugin: a panic is the plugin's own, and no upgrade brings it."""
    never = {PANICS} if strangers else {PANICS, FOREIGN}
    return tuple(row for row in failures(version, kinds) if row.situation not in never)


def _together(
    before: Version, after: Version, goos: str, archs: Sequence[str], phases: Sequence[str]
) -> Optional[Dict[str, Dict[str, str]]]:
    """The names under which all builds lie in one bundle, by version and architecture; None when there are none."""
    targets = [Target(version, goos, arch) for version in (before, after) for arch in archs]
    names = layout(targets, STEM, phases)
    if names is None:
        return None
    found: Dict[str, Dict[str, str]] = {str(before): {}, str(after): {}}
    for target, name in names.items():
        found[str(target.version)][target.goarch] = name
    return found


def _files_reason(
    before: Version,
    after: Version,
    phases: Sequence[str],
    together: Optional[Mapping[str, Mapping[str, str]]],
    goos: str,
    archs: Sequence[str],
) -> str:
    if together is not None:
        opened = " and ".join(
            f"{version} opens {' or '.join(names[arch] for arch in archs)}" for version, names in together.items()
        )
        return f"For a plugin X.so, {opened}: one bundle serves {'both' if len(together) > 1 else 'it'}."
    for phase in phases:
        if shared_layout(before, after, STEM, goos, archs[0], [phase]) is None:
            first = [
                (candidates(version, STEM, goos, archs[0], phase) or ["nothing"])[0] for version in (before, after)
            ]
            return (
                f"For a plugin X.so in a {phase} hook, {before} opens {first[0]} first and {after} opens {first[1]} "
                "first: no bundle can hold builds for both."
            )
    if len(archs) > 1:
        return (
            f"Gateways of {before} and {after} on {' and '.join(archs)} open the same file, X.so: no bundle can hold "
            "builds for all of them."
        )
    return f"No set of file names suits request and response hooks of both {before} and {after}."


def _fallback_rules(versions: Sequence[Version], together: Optional[Mapping[str, Mapping[str, str]]]) -> Iterable[Rule]:
    """What a version opens when its own build is missing in a bundle that serves both."""
    if together is None or len(versions) < 2:
        return
    for version, other in (versions, versions[::-1]):
        exact = f"{STEM}.so"
        if exact in together[str(other)].values() and exact not in together[str(version)].values():
            yield Rule(
                f"If the build for {version} were missing in the bundle, {version} would open {exact}, the build for "
                f"{other}; so the bundle is read back whole before anything is switched.",
                rule_for(version).source,
            )


def _no_builds_side_by_side(
    versions: Sequence[Version], phases: Sequence[str], goos: str, archs: Sequence[str]
) -> List[Rule]:
    """Why gateways cannot have builds of their own, however they come by them."""
    found = []
    if len(archs) > 1:
        found.append(
            Rule(
                "No gateway of these versions tells architectures apart by file name, so the gateways of each need an "
                "upgrade of their own."
            )
        )
    for version in versions:
        opened = all(resolve(version, f"{STEM}.so", [f"{STEM}.so"], goos, archs[0], phase) for phase in phases)
        if not opened:
            found.append(Rule(f"{version} does not run Go plugins as response hooks.", rule_for(version).source))
    return found


def _unplaceable(versions: Sequence[Version], placeable: bool) -> List[Rule]:
    """Why builds cannot be put in place host by host."""
    found = []
    if not placeable:
        found.append(Rule("Files would have to be put on each gateway, and on some of these they cannot."))
    for version in versions:
        if not behaves(version, "keeps-bundle-by-name"):
            found.append(
                Rule(
                    f"{version} keeps bundles in a folder for each API, so that none can be put in place by its name.",
                    "git diff v4.0.0 v4.0.1 -- gateway/coprocess_bundle.go",
                )
            )
    return found


def _linking_obstacles(linked: bool, placeable: bool) -> List[Rule]:
    if not linked or placeable:
        return []
    return [Rule("The running builds can be used on only by a link on each gateway, and on some of these none can be.")]


def _path_rules(row: PublishedPath, before: Version, after: Version) -> List[Rule]:
    rules = []
    if row.path == GAP:
        rules.append(
            Rule(
                f"The published procedure does not cover {before} to {after}; the file-resolution rules do.", row.source
            )
        )
    else:
        rules.append(Rule("", row.source))
    if row.path == "2" and after.satisfies("<4.3.2"):
        rules.append(
            Rule(
                f"The bundle that the published path 2 describes holds X.so beside the build for {after}, which opens "
                "X.so, the build of the old version.",
                rule_for(after).source,
            )
        )
    if known(before) and known(after) and foreign(before, after):
        rules.append(
            Rule(
                f"{before} and {after} are of different Go generations ({go_group(before)} and {go_group(after)}): "
                "a gateway that opens the other's build may end at once.",
                "Go, runtime/symtab.go: no plugin module data; .github/workflows/release.yml of both tags",
            )
        )
    for version in (before, after):
        if fail_open(version):
            rules.append(
                Rule(
                    f"{version} may let requests through without their plugin, so only its effect is proof.",
                    fail_open_source(version),
                )
            )
    if not backup_readable(before, after):
        rules.append(
            Rule(
                f"{after} crashes on an emergency backup that {before} wrote; it has to go before the start.",
                "v4.1.0:gateway/rpc_storage_handler.go (LoadOAS); seen from 4.0.16 to 4.3.8, 5.3.0 and 5.8.9",
            )
        )
    return rules


def _compiler_rules(
    compiled: Sequence[Version], versions: Sequence[Version], edition: str, builds: Sequence[PluginBuild]
) -> Tuple[List[Rule], bool]:
    """What is special about the compilers, and whether those that are needed can be used."""
    rules = []
    row = edition_of(edition)
    usable = True
    for version in versions:
        if row.published(version) and not row.loads_plugins(version):
            rules.append(
                Rule(
                    f"Gateways {version} of the edition {edition} were built without support for Go plugins.",
                    row.source,
                )
            )
            usable = False
    problems = {build.version: build.problem for build in builds}
    for version in compiled:
        contract = compiler_contract(version)
        problem = problems[str(version)]
        if problem:
            usable = False
            if row.loads_plugins(version):
                source = contract.source if contract.unusable else row.source
                rules.append(Rule(f"{problem[0].upper()}{problem[1:]}.", source))
        elif not contract.honours_build_id:
            rules.append(
                Rule(
                    f"The plugin compiler of {version} ignores the build id; the module line has to carry it.",
                    contract.source,
                )
            )
    return rules, usable
