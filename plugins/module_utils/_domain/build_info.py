# Copyright (c) 2026 tyk.upgrade contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What Go programs and plugins say about how they were built, and whether a plugin fits a gateway.

Go's runtime refuses a plugin if one of the packages that both contain has another fingerprint in it than in the program
(runtime/plugin.go, plugin_lastmoduleinit). The linker leaves these fingerprints as dynamic symbols in both, so the
runtime's own test can be made without running anything. Where they are missing or say nothing (another Go, or another
setting that changes them all), the versions of shared modules are compared instead.
"""

from __future__ import annotations

import json
import re
from dataclasses import dataclass, field
from typing import Any, Dict, Iterable, List, Mapping, Optional, Sequence, Set, Tuple

from ansible_collections.tyk.upgrade.plugins.module_utils._domain.findings import Finding, error, info
from ansible_collections.tyk.upgrade.plugins.module_utils._domain.releases import other_go

DEVELOPMENT = "(devel)"  # the version of a module that was built from its own folder
SHOWN = 4  # how many of a list a sentence names

#: Settings that are compiled into every package, so that plugin and gateway must agree on them.
DECISIVE_SETTINGS: Mapping[str, str] = {
    "-trimpath": "A plugin compiler since 5.1.0 and the releases from 5.1.0 on use -trimpath; earlier ones do not.",
    "-race": "Releases are built without the race detector.",
    "-msan": "Releases are built without the memory sanitizer.",
    "-asan": "Releases are built without the address sanitizer.",
}
#: Packages that differ between any two releases of Go, and with any setting that is compiled into everything.
OF_GO = frozenset({"runtime", "internal/goarch"})
#: Build tags that say nothing about the edition: whether they are listed depends on the compiler's version.
NEUTRAL_TAGS = frozenset({"goplugin"})

#: Go releases (1.x) whose plugins the runtime of the other can at least read; between two of these groups the gateway's
#: process dies ("no plugin module data"), inside one it refuses the plugin.
GENERATIONS: Tuple[Tuple[int, ...], ...] = ((15,), (16,), (19,), (21, 22), (23, 24, 25), (26,))

SOURCE_RUNTIME = "Go, runtime/plugin.go"
SOURCE_GENERATIONS = "seen on real gateways"
SOURCE_HOOKS = "v5.8.9:goplugin/goplugin.go, goplugin/analyticsplugin.go"
RIGHT_COMPILER = "Compile it with the plugin compiler of exactly the gateway's version and edition"


@dataclass(frozen=True)
class Signature:
    """What a function has to be so that a gateway can call it. package: import path of all its parameters' types."""

    type: str
    package: str


_REQUEST = Signature("func(http.ResponseWriter, *http.Request)", "net/http")
#: By kind of hook, as a bundle's manifest calls it; analytics stands for an API's analytics plugin.
SIGNATURES: Mapping[str, Signature] = {
    "pre": _REQUEST,
    "auth_check": _REQUEST,
    "post_key_auth": _REQUEST,
    "post": _REQUEST,
    "response": Signature("func(http.ResponseWriter, *http.Response, *http.Request)", "net/http"),
    "analytics": Signature("func(*analytics.AnalyticsRecord)", "github.com/TykTechnologies/tyk-pump/analytics"),
}


@dataclass(frozen=True)
class Exported:
    """What a plugin exports under a name: a function, or a variable, of this type."""

    type: str
    function: bool = True
    packages: Tuple[str, ...] = ()  # import path of each parameter's type, empty where that has or tells none

    @property
    def shown(self) -> str:
        return self.type if self.function else f"a variable of type {self.type}"


@dataclass(frozen=True)
class Module:
    """A Go module in a program, as its build information lists it."""

    path: str
    version: str
    replaced_by: Optional[Tuple[str, str]] = None  # path and version of the module that was used in its place

    @property
    def used(self) -> Tuple[str, str]:
        """Path and version of what was really compiled."""
        return self.replaced_by or (self.path, self.version)

    @property
    def comparable(self) -> bool:
        """Whether the version says which sources these were."""
        return self.used[1] not in ("", DEVELOPMENT)

    @property
    def shown(self) -> str:
        """The version in words, with the path of a replacement."""
        path, version = self.used
        return version if path == self.path else f"{path} {version}"

    def to_dict(self) -> Dict[str, Optional[str]]:
        path, version = self.replaced_by or (None, None)
        return {"path": self.path, "version": self.version, "replace_path": path, "replace_version": version}


@dataclass(frozen=True)
class BuildInfo:
    """Go's build information (debug.BuildInfo). GOPATH builds carry the Go version only."""

    go_version: str
    path: str = ""  # import path of the main package; of a plugin, the path that Go knows it by
    main: Optional[Module] = None
    modules: Tuple[Module, ...] = ()
    settings: Mapping[str, str] = field(default_factory=dict)  # empty before Go 1.18

    @property
    def tags(self) -> Tuple[str, ...]:
        return tuple(sorted(tag for tag in self.settings.get("-tags", "").split(",") if tag))

    def all_modules(self) -> Dict[str, Module]:
        """Every module by its path, the main one included."""
        every = (*self.modules, self.main) if self.main else self.modules
        return {module.path: module for module in every}


def parse_build_info(go_version: str, text: str) -> BuildInfo:
    """Read the text that Go puts into a program, or the indented lines that `go version -m` prints of it."""
    path, main = "", None
    modules: List[Module] = []
    settings: Dict[str, str] = {}
    for line in text.splitlines():
        kind, _tab, rest = line.lstrip("\t").partition("\t")
        parts = [*rest.split("\t"), "", ""]
        if kind == "path":
            path = parts[0]
        elif kind == "mod":
            main = Module(parts[0], parts[1])
        elif kind == "dep":
            modules.append(Module(parts[0], parts[1]))
        elif kind == "=>" and modules:
            modules[-1] = Module(modules[-1].path, modules[-1].version, (parts[0], parts[1]))
        elif kind == "=>" and main:
            main = Module(main.path, main.version, (parts[0], parts[1]))
        elif kind == "build":
            name, value = _setting(rest)
            if name:
                settings[name] = value
    return BuildInfo(go_version, path, main, tuple(modules), settings)


def _setting(text: str) -> Tuple[str, str]:
    """A line such as `-ldflags="-s -w"`: either side is quoted where it holds blanks or quotes."""
    match = re.match(r'("(?:[^"\\]|\\.)*"|[^=\s]+)=(.*)$', text)
    return (_unquoted(match.group(1)), _unquoted(match.group(2))) if match else ("", "")


def _unquoted(text: str) -> str:
    if len(text) > 1 and text[0] == text[-1] == "`":
        return text[1:-1]
    if len(text) > 1 and text[0] == text[-1] == '"':
        try:
            return str(json.loads(text))
        except ValueError:
            return text[1:-1]
    return text


@dataclass(frozen=True)
class GoProgram:
    """A gateway or a plugin, as far as its file tells without running it."""

    name: str  # what findings call it
    goarch: str
    info: BuildInfo
    plugin_path: str = ""  # the path under which Go knows a plugin; a process loads one plugin of a path
    functions: Tuple[str, ...] = ()  # what the main package of a plugin exports
    types: Mapping[str, Exported] = field(default_factory=dict)  # of exported functions and variables, if known
    fingerprints: Mapping[str, str] = field(default_factory=dict)  # package path -> what its exported parts hash to
    glibc: str = ""  # the newest version of the C library that it needs, "2.34"
    libraries: Tuple[str, ...] = ()

    @property
    def goos(self) -> str:
        return self.info.settings.get("GOOS") or "linux"

    @property
    def platform(self) -> str:
        return f"{self.goos}/{self.goarch}"


@dataclass(frozen=True)
class ModuleDifference:
    """A module that plugin and gateway share, in two versions."""

    path: str
    plugin: str
    gateway: str

    def to_dict(self) -> Dict[str, str]:
        return {"path": self.path, "plugin": self.plugin, "gateway": self.gateway}


@dataclass(frozen=True)
class Comparison:
    """Where a plugin does not fit a gateway. Both lists hold only what keeps it from being loaded."""

    modules: Tuple[ModuleDifference, ...] = ()
    packages: Tuple[str, ...] = ()
    exact: bool = False  # decided by fingerprints, as the gateway itself would
    findings: Tuple[Finding, ...] = ()

    def to_dict(self) -> Dict[str, Any]:
        return {
            "modules": [module.to_dict() for module in self.modules],
            "packages": list(self.packages),
            "exact": self.exact,
        }


def compare_platform(plugin: GoProgram, goarch: str) -> List[Finding]:
    """Hold a plugin against the architecture of gateways of which nothing else is known."""
    return [] if plugin.platform == f"linux/{goarch}" else [_platform(plugin, "the gateway", f"linux/{goarch}")]


def compare_release(plugin: GoProgram, version: str) -> List[Finding]:
    """Hold a plugin against the Go that a release of gateways is built by, where that is sure."""
    other = other_go(plugin.info.go_version, version)
    if other is None:
        return []
    return [
        error(
            "plugin-go-version",
            plugin.name,
            f"{plugin.name} was built by {plugin.info.go_version}; the gateway {version} is of Go {other.wanted} and "
            f"{other.outcome}.",
            f"{RIGHT_COMPILER}: Go must be the same to the patch level.",
            "tools/tyk-releases.json",
        )
    ]


def compare(plugin: GoProgram, gateway: GoProgram, glibc: str = "") -> Comparison:
    """Hold a plugin against the gateway that shall load it.

    glibc: the version of the C library where the gateway runs ("2.31"), empty if it is not known. Differences that
    never matter are left out: build tags other than as a note, GOAMD64, GODEBUG defaults, modules without a package
    that both contain.
    """
    if plugin.platform != gateway.platform:
        return Comparison(findings=(_platform(plugin, gateway.name, gateway.platform),))
    found = [*_settings(plugin, gateway), *_c_library(plugin, gateway, glibc)]
    # Where only the patch level of Go differs, and the packages are known, they tell what a gateway makes of it.
    plain = not any(finding.code in ("plugin-go-version", "plugin-mismatch") for finding in found)
    exact = plain and bool(plugin.fingerprints and gateway.fingerprints)
    if plugin.fingerprints and not gateway.fingerprints:
        found.append(_no_plugins(plugin, gateway))
        return Comparison(findings=tuple(found))
    packages = differing_packages(plugin, gateway) if exact else ()
    if exact and _patch_levels(plugin, gateway):
        found.append(_another_patch_level(plugin, gateway, packages))
        exact = not packages
        packages = ()
    elif OF_GO.intersection(packages):
        found.append(_go_itself(plugin, gateway))
        packages = ()
        exact = False
    modules = differing_modules(plugin, gateway, packages if exact else None)
    if modules:
        found.append(_modules(plugin, gateway, modules))
    elif packages:
        found.append(_packages(plugin, gateway, packages))
    found.extend(_tags(plugin, gateway))
    return Comparison(modules, packages, exact, tuple(found))


def differing_packages(plugin: GoProgram, gateway: GoProgram) -> Tuple[str, ...]:
    """Packages that both contain and that were compiled from different sources or settings."""
    return tuple(
        sorted(
            package
            for package, fingerprint in plugin.fingerprints.items()
            if gateway.fingerprints.get(package, fingerprint) != fingerprint
        )
    )


def differing_modules(
    plugin: GoProgram, gateway: GoProgram, packages: Optional[Iterable[str]] = None
) -> Tuple[ModuleDifference, ...]:
    """Modules of two versions in the two.

    packages: only modules that hold one of these; None takes the modules of all packages that both contain, and every
    module in both where the packages are not known.
    """
    mine, theirs = plugin.info.all_modules(), gateway.info.all_modules()
    if packages is None and plugin.fingerprints and gateway.fingerprints:
        packages = [package for package in plugin.fingerprints if package in gateway.fingerprints]
    names: Set[str] = set(mine) & set(theirs)
    if packages is not None:
        names = {module_of(package, names) for package in packages} - {""}
    return tuple(
        ModuleDifference(name, mine[name].shown, theirs[name].shown)
        for name in sorted(names)
        if mine[name].comparable and theirs[name].comparable and mine[name].used != theirs[name].used
    )


def module_of(package: str, modules: Iterable[str]) -> str:
    """The module that a package belongs to: the one with the longest path that the package's begins with."""
    known = set(modules)
    while package and package not in known:
        package = package.rpartition("/")[0]
    return package


def clashes(plugins: Sequence[GoProgram], gateway: GoProgram) -> List[Finding]:
    """Plugins that cannot be in one gateway together, though each fits it alone."""
    found: List[Finding] = []
    by_path: Dict[str, GoProgram] = {}
    for number, second in enumerate(plugins):
        first = by_path.setdefault(second.plugin_path, second)
        if first is not second and second.plugin_path:
            found.append(_shared_path(first, second))
            continue
        for first in plugins[:number]:
            packages = [
                package
                for package in differing_packages(second, first)
                if package not in gateway.fingerprints  # one that the gateway has is a mismatch with the gateway
            ]
            if packages and first.info.go_version == second.info.go_version and first.plugin_path != second.plugin_path:
                found.append(_clash(first, second, packages))
                break
    return found


def missing_functions(plugin: GoProgram, wanted: Iterable[str]) -> List[Finding]:
    """Functions that hooks name and that the plugin does not export."""
    told = [missing_function(plugin, name) for name in wanted if name not in plugin.functions]
    return [
        error("plugin-symbol-missing", plugin.name, f"{plugin.name} has {clause}.", remedy) for clause, remedy in told
    ]


def missing_function(plugin: GoProgram, name: str) -> Tuple[str, str]:
    """What a plugin has where a function is missing ("no function …; it exports …"), and what helps."""
    near = next((one for one in plugin.functions if one.lower() == name.lower()), "")
    exports = f"it exports {_listed(plugin.functions)}" if plugin.functions else "it exports no function at all"
    if near:
        remedy = f"Write {near} in the bundle's manifest, as the function is called."
    elif not name[:1].isupper():
        remedy = "Go exports only names that begin with a capital letter; rename the function and the hook."
    else:
        remedy = "Export a function of that name from package main, or correct the name in the bundle's manifest."
    return f"no function {name}; {exports}", remedy


def wrong_type(symbol: str, exported: Optional[Exported], kinds: Iterable[str]) -> Tuple[str, str]:
    """Why a gateway could not call what a plugin exports under a name for hooks of these kinds, and what helps.

    A clause and a remedy; both empty if it could, or if it is not known what is exported. `plugin load` only looks the
    name up: the gateway itself needs a function of exactly this type, and answers requests with an error if it has none.
    """
    needed: Dict[str, List[str]] = {}
    for kind in kinds:
        signature = SIGNATURES.get(kind)
        if exported and signature and not _callable_as(exported, signature):
            needed.setdefault(_shown(signature, exported), []).append(kind)
    if exported is None or not needed:
        return "", ""
    wants = ", ".join(f"as {_either(kinds)} hook it has to be {wanted}" for wanted, kinds in needed.items())
    others = usable_as(exported)
    manifest = f"list it as {_either(others)} hook" if others else "name another function"
    remedy = f"Change {symbol} in the plugin's source, or {manifest} in the bundle's manifest."
    return f"{symbol} is {_with_packages(exported)}; {wants}", remedy


def usable_as(exported: Exported) -> List[str]:
    """The kinds of hooks that what a plugin exports can be used for."""
    return [kind for kind, signature in SIGNATURES.items() if _callable_as(exported, signature)]


def wrong_types(plugin: GoProgram, wanted: Mapping[str, Iterable[str]]) -> List[Finding]:
    """A finding for each function that a gateway could not call. wanted: kinds of hooks by the function they name."""
    told = {symbol: wrong_type(symbol, plugin.types.get(symbol), kinds) for symbol, kinds in wanted.items()}
    return [
        error(
            "plugin-symbol-missing",
            plugin.name,
            f"{plugin.name} has no function {symbol} that its hooks can use: {clause}.",
            remedy,
            SOURCE_HOOKS,
        )
        for symbol, (clause, remedy) in told.items()
        if clause
    ]


def _callable_as(exported: Exported, signature: Signature) -> bool:
    """Whether it is of this type. Go knows a package by its path, and several may have one name."""
    return exported.function and exported.type == signature.type and not _foreign(exported, signature)


def _foreign(exported: Exported, signature: Signature) -> List[str]:
    """Packages that only have the name of the one needed; before 5.1.0 gateways had a vendor folder."""
    vendored = f"/vendor/{signature.package}"
    return [one for one in exported.packages if one and one != signature.package and not one.endswith(vendored)]


def _shown(signature: Signature, exported: Exported) -> str:
    same = exported.function and exported.type == signature.type
    return f"{signature.type} of {signature.package}" if same else signature.type


def _either(items: Sequence[str]) -> str:
    return " or ".join(filter(None, [", ".join(items[:-1]), items[-1]]))


def _with_packages(exported: Exported) -> str:
    """The type, with the packages where its text alone would look right."""
    right = [one for one in SIGNATURES.values() if one.type == exported.type]
    if not exported.function or not right or not _foreign(exported, right[0]):
        return exported.shown
    return f"{exported.type} of {' and '.join(dict.fromkeys(one for one in exported.packages if one))}"


def glibc_order(version: str) -> Tuple[int, ...]:
    """A version of the C library as it sorts: 2.9 is before 2.34."""
    return tuple(int(part) for part in re.findall(r"\d+", version))


def newest_glibc(versions: Iterable[str]) -> str:
    """The newest of GLIBC_2.2.5, GLIBC_2.34 …, without the prefix; empty if there is none."""
    numbers = [one[len("GLIBC_") :] for one in versions if re.match(r"GLIBC_\d+(\.\d+)+$", one)]
    return max(numbers, key=glibc_order, default="")


# -- what is wrong, in words -----------------------------------------------------------------------------------------


def _platform(plugin: GoProgram, name: str, platform: str) -> Finding:
    return error(
        "plugin-arch",
        plugin.name,
        f"{plugin.name} is built for {plugin.platform}, and {name} is {platform}.",
        f"Compile it for {platform}.",
    )


def _settings(plugin: GoProgram, gateway: GoProgram) -> List[Finding]:
    found = []
    mine, theirs = plugin.info, gateway.info
    by_packages = _patch_levels(plugin, gateway) and plugin.fingerprints and gateway.fingerprints
    if mine.go_version != theirs.go_version and mine.go_version and theirs.go_version and not by_packages:
        found.append(
            error(
                "plugin-go-version",
                plugin.name,
                f"{plugin.name} was built by {mine.go_version} and {gateway.name} by {theirs.go_version}, so "
                f"{_outcome(mine.go_version, theirs.go_version)}.",
                f"{RIGHT_COMPILER}: Go must be the same to the patch level.",
                SOURCE_GENERATIONS,
            )
        )
    if mine.settings and theirs.settings:
        for name, remedy in DECISIVE_SETTINGS.items():
            if mine.settings.get(name, "false") != theirs.settings.get(name, "false"):
                found.append(
                    error(
                        "plugin-mismatch",
                        plugin.name,
                        f"{plugin.name} was built {_with(mine, name)} and {gateway.name} {_with(theirs, name)}, so none "
                        f"of its packages match.",
                        f"{RIGHT_COMPILER}. {remedy}",
                        SOURCE_RUNTIME,
                    )
                )
    return found


def _patch_levels(plugin: GoProgram, gateway: GoProgram) -> bool:
    """Whether the two were built by releases of Go that differ in nothing but the patch level."""
    first, second = plugin.info.go_version, gateway.info.go_version
    released = re.compile(r"go1\.\d+(\.\d+)?")
    return first != second and all(map(released.fullmatch, (first, second))) and _minor(first) == _minor(second)


def _another_patch_level(plugin: GoProgram, gateway: GoProgram, packages: Sequence[str]) -> Finding:
    built = f"{plugin.name} was built by {plugin.info.go_version} and {gateway.name} by {gateway.info.go_version}"
    if not packages:
        return info(
            "plugin-go-version",
            plugin.name,
            f"{built}, but no package that both contain differs, so the gateway can load it.",
            "Nothing needs to be done; the compiler of the gateway's own version is the safe choice.",
            SOURCE_GENERATIONS,
        )
    return error(
        "plugin-go-version",
        plugin.name,
        f"{built}, and packages that both contain differ ({_listed(packages)}), so the gateway refuses it.",
        f"{RIGHT_COMPILER}: Go must be the same to the patch level.",
        SOURCE_RUNTIME,
    )


def _go_itself(plugin: GoProgram, gateway: GoProgram) -> Finding:
    version = plugin.info.go_version
    what = f"another {version}" if version else "another version of Go"
    return error(
        "plugin-go-version",
        plugin.name,
        f"{plugin.name} was built by {what} than {gateway.name} ({gateway.info.go_version}), or with other settings, for "
        f"Go's own packages differ; {_outcome(version, gateway.info.go_version)}.",
        f"{RIGHT_COMPILER}: Go must be the same to the patch level.",
        SOURCE_RUNTIME,
    )


def _with(built: BuildInfo, setting: str) -> str:
    return f"{'with' if built.settings.get(setting) == 'true' else 'without'} {setting}"


def _outcome(first: str, second: str) -> str:
    """What a gateway does with a plugin of another Go."""
    groups = [next((group for group in GENERATIONS if _minor(one) in group), None) for one in (first, second)]
    if None in groups:
        return "the gateway refuses it, or its process dies when it opens it"
    if groups[0] == groups[1]:
        return "the gateway refuses it"
    return "the gateway's process dies when it opens it"


def _minor(go_version: str) -> int:
    match = re.match(r"go1\.(\d+)", go_version)
    return int(match.group(1)) if match else 0


def _c_library(plugin: GoProgram, gateway: GoProgram, glibc: str) -> List[Finding]:
    if not glibc or not plugin.glibc or glibc_order(plugin.glibc) <= glibc_order(glibc):
        return []
    return [
        error(
            "plugin-glibc",
            plugin.name,
            f"{plugin.name} needs version {plugin.glibc} of the C library, and {gateway.name} has {glibc}.",
            "Compile it in an image with that version of the C library or an older one.",
        )
    ]


def _no_plugins(plugin: GoProgram, gateway: GoProgram) -> Finding:
    return error(
        "plugin-mismatch",
        plugin.name,
        f"{gateway.name} cannot load {plugin.name}: it is built without support for Go plugins.",
        "Use an edition and release of the gateway that can load Go plugins.",
    )


def _modules(plugin: GoProgram, gateway: GoProgram, modules: Sequence[ModuleDifference]) -> Finding:
    named = [f"{one.path} {one.plugin} instead of {one.gateway}" for one in modules]
    count = "a module that both use" if len(modules) == 1 else f"{len(modules)} modules that both use"
    return error(
        "plugin-mismatch",
        plugin.name,
        f"{plugin.name} was built with another version than {gateway.name} of {count}: {_listed(named)}.",
        f"{RIGHT_COMPILER}; if it is, the plugin's go.mod asks for another version than the gateway has, so require the "
        f"gateway's there.",
        SOURCE_RUNTIME,
    )


def _packages(plugin: GoProgram, gateway: GoProgram, packages: Sequence[str]) -> Finding:
    main = gateway.info.main.path if gateway.info.main else gateway.info.path
    own = [one for one in packages if main and (one == main or one.startswith(f"{main}/"))]
    others = [one for one in packages if one not in own]
    if others:  # those of the gateway that use them differ for it
        what, named = "other sources or settings of packages that both contain", _with_versions(others, gateway) + own
    else:
        what, named = "other sources of the gateway's own packages", own
    return error(
        "plugin-mismatch",
        plugin.name,
        f"{plugin.name} was built with {what} than {gateway.name}: {_listed(named)}.",
        f"{RIGHT_COMPILER}.",
        SOURCE_RUNTIME,
    )


def _with_versions(packages: Sequence[str], gateway: GoProgram) -> List[str]:
    """The packages with the gateway's versions: plugins of Go <= 1.19 do not tell theirs."""
    modules = gateway.info.all_modules()
    owners = {package: modules.get(module_of(package, modules)) for package in packages}
    return [
        f"{package} (the gateway's is {owner.shown})" if owner and owner.comparable else package
        for package, owner in owners.items()
    ]


def _tags(plugin: GoProgram, gateway: GoProgram) -> List[Finding]:
    if not plugin.info.settings or not gateway.info.settings:
        return []
    mine, theirs = (set(one.info.tags) - NEUTRAL_TAGS for one in (plugin, gateway))
    if mine == theirs:
        return []
    return [
        info(
            "plugin-tags",
            plugin.name,
            f"{plugin.name} was built with {_tag_words(mine)} and {gateway.name} with {_tag_words(theirs)}.",
            "That matters only if the plugin imports packages of which editions differ; the compiler of the gateway's "
            "edition is the safe choice.",
        )
    ]


def _tag_words(tags: Iterable[str]) -> str:
    named = ", ".join(sorted(tags))
    return f"the build tags {named}" if named else "no build tags of an edition"


def _shared_path(first: GoProgram, second: GoProgram) -> Finding:
    return error(
        "plugin-path-shared",
        second.name,
        f"{first.name} and {second.name} carry the same plugin path {first.plugin_path}, so a gateway could load only "
        f"one of them.",
        "Give each plugin a build id of its own.",
        SOURCE_RUNTIME,
    )


def _clash(first: GoProgram, second: GoProgram, packages: Sequence[str]) -> Finding:
    return error(
        "plugin-mismatch",
        second.name,
        f"{first.name} and {second.name} were built with different versions of packages that the gateway does not "
        f"contain, so a gateway that has loaded one refuses the other: {_listed(packages)}.",
        "Build both with the same versions of these modules.",
        SOURCE_RUNTIME,
    )


def _listed(items: Sequence[str]) -> str:
    """A list in a sentence, cut where it gets long."""
    more = len(items) - SHOWN
    text = ", ".join(items[:SHOWN])
    return f"{text} and {more} more" if more > 0 else text


def describe(program: GoProgram) -> Dict[str, Any]:
    """What is known about a program, as a module's result carries it."""
    built = program.info
    return {
        "goos": program.goos,
        "goarch": program.goarch,
        "go_version": built.go_version,
        "tags": list(built.tags),
        "settings": dict(built.settings),
        "modules": [module.to_dict() for module in built.modules],
        "packages": len(program.fingerprints),
        "glibc": program.glibc,
        "libraries": list(program.libraries),
    }
