# Copyright (c) 2026 tyk.upgrade contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""From the plan to what each step of the plugin pipeline takes: sources, compilers, builds, load tests, bundle files."""

from __future__ import annotations

import posixpath
from typing import Any, Dict, Iterable, List, Mapping, Sequence, Tuple

from ansible_collections.tyk.upgrade.plugins.module_utils._domain import bundles as bundle_format
from ansible_collections.tyk.upgrade.plugins.module_utils._domain.behaviours import can_plugin_load
from ansible_collections.tyk.upgrade.plugins.module_utils._domain.compilers import compiler_image
from ansible_collections.tyk.upgrade.plugins.module_utils._domain.findings import info
from ansible_collections.tyk.upgrade.plugins.module_utils._domain.paths import PER_HOST
from ansible_collections.tyk.upgrade.plugins.module_utils._domain.plan_model import bundle_name, by_architecture
from ansible_collections.tyk.upgrade.plugins.module_utils._domain.resolution import resolve

BUILD_KEYS = ("plugin", "source", "version", "image", "goos", "goarch", "build_id", "file", "strip")


def artifacts(plugins: Iterable[Mapping[str, Any]], base: str) -> List[Dict[str, str]]:
    """The plugins given by files that were built elsewhere, as plugin_build_info takes them."""
    found = []
    for plugin in plugins:
        entries = plugin.get("artifacts") if plugin.get("name") else None  # the plan says what is wrong without one
        for version, files in entries.items() if isinstance(entries, Mapping) else ():
            for goarch, path in by_architecture(files).items():
                full = posixpath.join(base, path)
                found.append({"name": str(plugin["name"]), "version": str(version), "goarch": goarch, "path": full})
    return found


def given_bundles(plugins: Iterable[Mapping[str, Any]]) -> List[str]:
    """The names of the bundles that plugins are given by, sorted."""
    names = {bundle_name(plugin["bundle"]) for plugin in plugins if plugin.get("bundle")}
    return sorted(name for name in names if name)


def sources(plugins: Iterable[Mapping[str, Any]], base: str) -> List[Dict[str, str]]:
    """The plugins given by source; a relative path is meant relative to base."""
    return [
        {"name": str(plugin["name"]), "path": posixpath.join(base, str(plugin["source"]))}
        for plugin in plugins
        if plugin.get("name") and plugin.get("source")
    ]


def wanted_plugins(plugins: Iterable[Mapping[str, Any]], base: str) -> List[Dict[str, Any]]:
    """What the plan wants to know of each plugin: where it comes from, and no probe, which may hold credentials."""
    wanted = []
    for plugin in plugins:
        entry = {key: value for key, value in plugin.items() if key != "probe"}
        if entry.get("source"):
            entry["source"] = posixpath.join(base, str(entry["source"]))
        wanted.append(entry)
    return wanted


def compilers(
    versions: Sequence[str], repository: str, images: Mapping[str, str], edition: str = "ce"
) -> List[Dict[str, str]]:
    """The compiler of each gateway version: the one named for it, else the repository's tag of that version.

    Without a repository it is the one that Tyk publishes for the edition.
    """
    found = []
    for version in versions:
        published = f"tykio/{compiler_image(version, edition) or 'tyk-plugin-compiler'}"
        found.append({"version": version, "image": images.get(version) or f"{repository or published}:v{version}"})
    return found


def builds(plan: Mapping[str, Any]) -> List[Dict[str, Any]]:
    """What plugin_compile takes; builds that are at hand are left out."""
    return [{key: build[key] for key in BUILD_KEYS} for build in plan.get("builds") or [] if build["image"]]


def at_hand(plan: Mapping[str, Any]) -> List[Dict[str, Any]]:
    """The builds that were made elsewhere, in the form in which plugin_compile returns what it has made."""
    return [
        {**{key: build[key] for key in BUILD_KEYS}, "path": build["source"]}
        for build in plan.get("builds") or []
        if not build["image"]
    ]


def load_checks(
    plan: Mapping[str, Any], compiled: Iterable[Mapping[str, Any]], images: Mapping[Tuple[str, str], str]
) -> List[Dict[str, Any]]:
    """What plugin_verify takes: per gateway version and architecture, all the builds that such a gateway will hold at once.

    compiled: the builds as plugin_compile returned them (version, goarch, file, path); images: by version and
    architecture, as gateway_images has them. Where none is of both, one of the version has to do: published images are
    for several architectures. A version that runs from packages only has no image: its hosts load the bundle with their
    own gateway's binary.
    """
    symbols: Dict[str, List[str]] = {}
    for bundle in plan.get("bundles") or []:
        for name, wanted in (bundle.get("symbols") or {}).items():
            symbols.setdefault(str(name), []).extend(str(symbol) for symbol in wanted)
    manifests = {str(bundle["name"]): bundle.get("manifest") or {} for bundle in plan.get("bundles") or []}
    owners = {_identity(build): str(build["bundle"]) for build in plan.get("builds") or []}
    files: Dict[Tuple[str, str], List[Dict[str, Any]]] = {}
    for build in compiled:
        wanted_symbols = sorted(set(symbols.get(str(build["file"])) or []))
        manifest = manifests.get(owners.get(_identity(build), ""), {})
        stem = bundle_format.plugin_stem(str(build["file"]))
        own = [hook for hook in bundle_format.hooks(manifest) if hook.stem == stem and hook.name in wanted_symbols]
        files.setdefault((str(build["version"]), str(build["goarch"])), []).append(
            {"path": build["path"], "symbols": wanted_symbols, "hooks": _kinds(own, str(build["version"]))}
        )
    by_version = {version: image for (version, _goarch), image in images.items()}
    return [
        {"image": images.get(kind) or by_version[kind[0]], "version": kind[0], "files": files[kind]}
        for kind in sorted(files)
        if kind[0] in by_version
    ]


def left_untried(plan: Mapping[str, Any], untried: Iterable[Mapping[str, Any]]) -> List[Dict[str, str]]:
    """What to say of builds that the build host could not load, and that no gateway's own host is going to.

    untried: what plugin_verify returned as such. The gateways of a build's architecture and version load it on their hosts.
    """
    loading = {(str(step[version]), _arch(step)) for step in plan.get("gateways") or [] for version in ("from", "to")}
    return [
        info(
            "plugin-untried",
            posixpath.basename(str(one["file"])),
            f"The build for {one['version']} on {one['goarch']} was compiled and lies in the bundle, but nobody has loaded "
            f"it: the build host is of another architecture, and no gateway on {one['goarch']} runs {one['version']}.",
            "Nothing needs to be done: no gateway of this plan opens it. Load it with plugin_verify on a host of that "
            "architecture before one does.",
        ).to_dict()
        for one in untried
        if (str(one["version"]), str(one["goarch"])) not in loading
    ]


def _arch(step: Mapping[str, Any]) -> str:
    """The architecture of a gateway of the plan; plans that were saved before they told it were for amd64."""
    return str(step.get("arch") or "amd64")


def published(plan: Mapping[str, Any], results: Iterable[Mapping[str, Any]]) -> Dict[str, Any]:
    """The plan with the names under which its bundles were published, since some stores give them names of their own, and
    with what was published there.

    results: what bundle_publish returned for each bundle, in a loop over what bundle_build returned for it; or what
    bundle_info found, in a loop over the plan's bundles.
    """
    items = [(one["item"].get("item") or one["item"], one) for one in results]
    names = {str(planned["name"]): str(one.get("name") or planned["name"]) for planned, one in items}
    digests = {str(planned["name"]): {"sha256": str(one["sha256"])} for planned, one in items if one.get("sha256")}

    def renamed(part: Mapping[str, Any], *keys: str) -> Dict[str, Any]:
        return {**part, **{key: names.get(str(part.get(key)), part.get(key)) for key in keys if key in part}}

    return {
        **plan,
        "builds": [renamed(build, "bundle") for build in plan.get("builds") or []],
        "bundles": [
            {**renamed(bundle, "name", "placed_for"), **digests.get(str(bundle["name"]), {})}
            for bundle in plan.get("bundles") or []
        ],
        "apis": [renamed(api, "to_bundle") for api in plan.get("apis") or []],
    }


def prepared(registered: Iterable[Mapping[str, Any]]) -> List[Dict[str, Any]]:
    """What was found while plugins were prepared, each thing once.

    registered: what tasks with findings returned, loops or not; those that were left out have none.
    """
    found: List[Dict[str, Any]] = []
    for result in registered:
        for one in [result, *(result.get("results") or [])]:
            found += [dict(finding) for finding in one.get("findings") or [] if finding not in found]
    return found


def downloads(plan: Mapping[str, Any], fetched: Mapping[str, Mapping[str, Any]]) -> List[Dict[str, Any]]:
    """How long each gateway took to download each bundle, and from where that was measured.

    fetched: by host, what bundle_fetch_check returned in a loop over the plan's bundles.
    """
    return [
        {
            "host": str(step["host"]),
            "bundle": str(one["item"]["name"]),
            "bytes": int(one["bytes"]),
            "seconds": float(one["seconds"]),
            "means": str(one["means"]),
        }
        for step in plan.get("gateways") or []
        for one in (fetched.get(str(step["host"])) or {}).get("results") or []
        if one.get("means")
    ]


def published_checks(plan: Mapping[str, Any], host: str, fetched: Iterable[Mapping[str, Any]]) -> List[Dict[str, Any]]:
    """What plugin_verify takes for bundles that lie unpacked on a gateway's host: per image of that gateway, all files
    that it would open.

    fetched: what bundle_place returned for each bundle of the plan, with the bundle as its item.
    """
    step = next(one for one in plan.get("gateways") or [] if one["host"] == host)
    files: Dict[Tuple[str, str], Dict[str, Dict[str, Any]]] = {}
    for result in fetched:
        bundle = result["item"]
        manifest, names = bundle["manifest"], [posixpath.basename(str(one["src"])) for one in result["files"]]
        paths = {posixpath.basename(str(one["src"])): str(one["src"]) for one in result["files"]}
        for version, image in ((step["from"], step["image_from"]), (step["to"], step["image_to"])):
            for hook in bundle_format.hooks(manifest) if image and version in bundle["versions"] else []:
                found = resolve(str(version), hook.path, names, goarch=_arch(step), hook=hook.phase)
                if found:
                    entry = files.setdefault((str(image), str(version)), {}).setdefault(
                        found, {"path": paths[found], "symbols": [], "hooks": []}
                    )
                    entry["symbols"] = sorted({*entry["symbols"], hook.name})
                    entry["hooks"] += [one for one in _kinds([hook], str(version)) if one not in entry["hooks"]]
    return [
        {"image": image, "version": version, "files": list(entries.values())}
        for (image, version), entries in files.items()
    ]


def _kinds(hooks: Iterable[bundle_format.Hook], version: str) -> List[Dict[str, str]]:
    """The kinds of hooks that name functions; those that are switched off call none from 5.0.0 on."""
    off = can_plugin_load(version)
    return [{"symbol": hook.name, "kind": hook.kind} for hook in hooks if not (hook.disabled and off)]


def bundle_files(
    bundle: Mapping[str, Any], plan: Mapping[str, Any], compiled: Iterable[Mapping[str, Any]]
) -> List[Dict[str, str]]:
    """What bundle_build takes as files: each build of this bundle under the name the plan gave it."""
    bundles = {_identity(build): str(build["bundle"]) for build in plan.get("builds") or []}
    return [
        {"name": str(build["file"]), "path": str(build["path"])}
        for build in compiled
        if bundles.get(_identity(build)) == bundle["name"]
    ]


def _identity(build: Mapping[str, Any]) -> Tuple[str, ...]:
    """What tells a build from every other one of a plan."""
    return tuple(str(build[key]) for key in ("file", "build_id", "version", "goarch"))


def placements(plan: Mapping[str, Any], host: str) -> Dict[str, List[Dict[str, Any]]]:
    """What is put in place on a gateway: builds of its own where no bundle can serve both versions, and links to files
    that it has open already.

    now: bundles to put in place while it still runs, before the API definitions name them. stopped: those that take
    their place while it is out of service. Each is the name that the API definitions use (bundle), the one that the
    store has the content under (stored), the content's provenance, and its links.
    """
    step = next((one for one in plan.get("gateways") or [] if one["host"] == host), None)
    found: Dict[str, List[Dict[str, Any]]] = {"now": [], "stopped": []}
    if step is None:
        return found
    replaced = step["action"] == "replace" and plan.get("cutover") == PER_HOST
    for bundle in plan.get("bundles") or []:
        versions, name = bundle.get("versions") or [], str(bundle["name"])
        if step["from"] in versions and not bundle["keep"] and (bundle.get("placed_for") or bundle.get("links")):
            found["now"].append(_placement(str(bundle.get("placed_for") or name), bundle))
        elif replaced and step["to"] in versions and step["from"] not in versions:
            found["stopped"].append(_placement(name, bundle))
    return found


def _placement(name: str, bundle: Mapping[str, Any]) -> Dict[str, Any]:
    return {
        "bundle": name,
        "stored": str(bundle["name"]),
        "provenance": bundle.get("provenance") or {},
        "links": bundle.get("links") or {},
    }


def gateway_images(plan: Mapping[str, Any]) -> Dict[Tuple[str, str], str]:
    """The gateway image of each version and architecture in the plan: what runs, and what is going to run."""
    images: Dict[Tuple[str, str], str] = {}
    for gateway in plan.get("gateways") or []:
        if gateway["image_from"]:
            images[str(gateway["from"]), _arch(gateway)] = str(gateway["image_from"])
            images[str(gateway["to"]), _arch(gateway)] = str(gateway["image_to"])
    return images


def bundle_changes(apis: Iterable[Mapping[str, Any]]) -> List[Dict[str, str]]:
    """What api_definition_patch takes: each API with the bundle it shall name, and what it must still be like."""
    return [
        {
            "id": str(api["id"]),
            "bundle": str(api["to_bundle"]),
            "expect_bundle": str(api["from_bundle"]),
            "expect_digest": str(api["digest"]),
        }
        for api in apis
    ]


def bundles_in_service(plan: Mapping[str, Any], apis: Iterable[Mapping[str, Any]]) -> List[str]:
    """The bundles with plugins that a gateway must have loaded once the plan's API definitions are switched.

    apis: as observed when the plan was made. A bundle that only inactive APIs name is loaded by no gateway.
    """
    moved = {str(move["id"]): str(move["to_bundle"]) for move in plan.get("apis") or []}
    named = {moved.get(str(api["id"]), str(api.get("bundle") or "")) for api in apis if api.get("active", True)}
    return [
        str(bundle["name"]) for bundle in plan.get("bundles") or [] if bundle.get("symbols") and bundle["name"] in named
    ]
