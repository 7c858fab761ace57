# Copyright (c) 2026 tyk.upgrade contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""A decision about plugins in plain words, for the person who has to agree to it."""

from __future__ import annotations

from typing import List

from ansible_collections.tyk.upgrade.plugins.module_utils._domain.compilers import BY_BUILD_ID, GOPATH
from ansible_collections.tyk.upgrade.plugins.module_utils._domain.failures import clauses
from ansible_collections.tyk.upgrade.plugins.module_utils._domain.paths import GAP, LITERAL, NONE, SHARED, Decision
from ansible_collections.tyk.upgrade.plugins.module_utils._domain.plugin_builds import STEM, PluginBuild


def explain(decision: Decision) -> List[str]:
    """What will be done with the plugins, why so, and what happens on each version when something goes wrong.

    One sentence or two a line; X stands for the name of a plugin.
    """
    if decision.cutover == NONE:
        return list(decision.reasons)
    lines = [_headline(decision)]
    lines += _holdings(decision)
    lines += _steps(decision)
    lines += decision.reasons
    lines += [_built(build) for build in decision.builds if build.version in decision.compiled and not build.problem]
    for version in decision.versions:
        lines += _without_plugin(decision, version)
    return list(dict.fromkeys(lines))


def _headline(decision: Decision) -> str:
    where = f"{decision.edition}, {decision.goos} on {' and '.join(decision.goarchs)}"
    if decision.current == decision.target:
        return f"Plugins stay on {decision.target} ({where}) and get builds of their own in a new bundle."
    way = (
        "which the published procedure does not cover"
        if decision.path == GAP
        else f"path {decision.path} of the published procedure"
    )
    how = (
        "one bundle serves both versions and is switched before any gateway is replaced"
        if decision.cutover == SHARED
        else "as it stands, which you accepted, for no bundle can serve both versions and nothing can be put on each gateway"
        if decision.cutover == LITERAL
        else "no bundle can serve both versions, so each gateway is given the builds of its own version"
    )
    end = "" if decision.supported else " This cannot be carried out here; what stands in the way is named below."
    return f"Plugins go from {decision.current} to {decision.target} ({where}), {way}: {how}.{end}"


def _holdings(decision: Decision) -> List[str]:
    """What lies in the bundle under which names, and which of them the compiler does not write so."""
    names = [name for by_arch in decision.files.values() for name in by_arch.values()]
    if decision.cutover == SHARED:
        one = len(names) == 1
        lines = [
            f"For each plugin X the bundle holds {_and(names)}, and no file by another name; its manifest names "
            f"{decision.manifest_path}{'' if one else ', and each gateway opens the build of its own version'}."
        ]
    elif decision.cutover == LITERAL:
        lines = [
            f"The bundle holds the build of each plugin X for {decision.target} alone, as {decision.manifest_path}, which "
            "is also what the manifest names."
        ]
    else:
        lines = [
            f"Each version has a bundle of its own, with the build of each plugin X as {decision.manifest_path}, which "
            "is also what the manifest names."
        ]
    for build in decision.builds:
        file = decision.files[build.version][build.goarch]
        if build.output != file and build.version in decision.compiled:
            lines.append(
                f"The compiler of {build.version} writes {build.output}; it goes into the bundle as {file}, "
                "the name by which the gateway finds it."
            )
    return lines


def _steps(decision: Decision) -> List[str]:
    current, target = decision.current, decision.target
    old = (
        f"The running builds for {current} are used on, by a link in the new bundle's folder: Go knows a plugin by the "
        "path that the link leads to."
        if decision.linked
        else f"The builds for {current} are new ones too: a process that has loaded a plugin refuses another of the "
        "same plugin path, so every build gets one of its own."
    )
    first = "First all builds are tried in the gateways' own images, and published under a name never used before."
    switch = (
        f"Then the API definitions are switched to the new bundle while {current} runs; every gateway reloads, is seen "
        "to use that bundle, and the plugins' effect is proven."
    )
    if current == target:
        return [first, switch, old]
    if decision.cutover == LITERAL:
        return [
            first,
            f"Then the API definitions are switched to the new bundle while {current} runs. From then on every gateway "
            f"{current} is without these plugins: it opens the build for {target}, and cannot load it.",
            f"Last the gateways are replaced; each opens its build for {target} at its start and its effect is proven. "
            "The probe that watches the traffic leaves these APIs out until the end.",
        ]
    if decision.cutover == SHARED:
        last = f"Last the gateways are replaced; each opens its build for {target} at its start."
        if decision.linked:
            first += f" On each gateway that runs {current} the folder of the new bundle is put in place beforehand."
        return [first, old, switch, last]
    place = (
        f"On each gateway that runs {current}, its own builds are put into the folder of the target's bundle before any "
        "API names that: a folder that exists wins over a download."
    )
    last = (
        f"Last the gateways are replaced; while one is out of service, the builds for {target} take the place of those "
        f"for {current}, so that none ever holds a plugin it cannot load."
    )
    return [first, old, place, switch, last]


def _built(build: PluginBuild) -> str:
    go = f" with Go {build.go}" if build.go else ""
    how = (
        "the plugin path is made of its name and the build id"
        if build.unique_by == BY_BUILD_ID
        else "the module line and own imports are changed for each build"
    )
    line = (
        f"{STEM} for {build.version} on {build.goarch} is compiled by {build.image or 'the compiler you named'}{go}; its plugin path is "
        f"{build.plugin_path}: {how}."
    )
    if build.contract.mode == GOPATH:
        line += " This compiler works without Go modules: dependencies are vendored, and packages of the plugin's own are"
        line += " found only if the source has a go.mod, whose module is then named after the folder it is built in."
    return line


def _without_plugin(decision: Decision, version: str) -> List[str]:
    """What gateways do with requests when they have not got the plugin, what is dangerous first."""
    ways = (
        (f"{version} lets requests through", decision.opening(version)),
        (f"{version} refuses requests, or ends", decision.closing(version)),
    )
    return [f"{way}: {'; '.join(clauses(rows, decision.kinds))}." for way, rows in ways if rows]


def _and(words: List[str]) -> str:
    return words[0] if len(words) == 1 else f"{', '.join(words[:-1])} and {words[-1]}"
