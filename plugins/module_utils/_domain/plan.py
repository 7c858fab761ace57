# Copyright (c) 2026 tyk.upgrade contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The plan: a pure function of what was observed and what is wanted.

Same input, same bytes. Names of bundles and builds derive from their inputs, so the plan knows them before anything is
compiled. plan(after(plan)) is empty, also when a run stopped half way and everything is looked at anew.
"""

from __future__ import annotations

from dataclasses import replace
from typing import Any, Dict, List, Mapping, Optional, Sequence, Tuple

from ansible_collections.tyk.upgrade.plugins.module_utils._domain import plan_checks
from ansible_collections.tyk.upgrade.plugins.module_utils._domain.bundles import bundle_name
from ansible_collections.tyk.upgrade.plugins.module_utils._domain.explanation import explain
from ansible_collections.tyk.upgrade.plugins.module_utils._domain.findings import (
    DomainError,
    Finding,
    Severity,
    error,
    has_errors,
    info,
    warning,
)
from ansible_collections.tyk.upgrade.plugins.module_utils._domain.paths import (
    GAP,
    LITERAL,
    NONE,
    PER_HOST,
    SHARED,
    Decision,
    decide,
)
from ansible_collections.tyk.upgrade.plugins.module_utils._domain.plan_bundles import (
    Fleet,
    PluginWork,
    plan_plugins,
    provenance_of,
)
from ansible_collections.tyk.upgrade.plugins.module_utils._domain.plan_model import (
    BUNDLE_SIGNATURE,
    CONFIRM,
    ENDPOINT_PLUGIN,
    NOTHING,
    PLUGIN_WINDOW,
    REPLACE,
    SCHEMA,
    ApiMove,
    Build,
    Bundle,
    ControlPlaneStep,
    GatewayStep,
    Plan,
    Plugin,
    PumpStep,
    Wanted,
    canonical_json,
    natural,
    plan_sha256,
)
from ansible_collections.tyk.upgrade.plugins.module_utils._domain.state import ApiState, BundleState, SourceState, State
from ansible_collections.tyk.upgrade.plugins.module_utils._domain.traps import (
    ANALYTICS,
    ENDPOINT,
    InUse,
    OutsidePlugin,
    PluginFacts,
    traps,
)
from ansible_collections.tyk.upgrade.plugins.module_utils._domain.versions import Version
from ansible_collections.tyk.upgrade.plugins.module_utils._domain.waves import batches, order, split

__all__ = [
    "SCHEMA",
    "ApiMove",
    "Build",
    "Bundle",
    "Plan",
    "Wanted",
    "after",
    "build",
    "canonical_json",
    "drift",
    "plan_sha256",
    "refused",
    "summary_lines",
]

#: How plugins get from one version to the other, for a person.
_CUTOVERS = {
    SHARED: "one bundle for both versions, switched before gateways are touched.",
    PER_HOST: "no bundle can serve both versions: each gateway is given its own builds under one name, and gets the "
    "target's in their place while it is out of service.",
    LITERAL: "the published order, as you accepted: no bundle can serve both versions, so each gateway is without the "
    "plugins from the switch until its upgrade.",
}

#: How many names a line of the summary gives before it only counts; the plan itself has them all.
NAMES_SHOWN = 12


def build(state: State, wanted: Wanted) -> Plan:
    """Compute the plan. Never raises for what a user can cause: that is among the plan's findings."""
    findings = plan_checks.check(state, wanted)
    fleet = _fleet(state, wanted)
    work = plan_plugins(state, wanted, fleet) if fleet is not None else PluginWork()
    findings.extend(work.findings)
    findings.extend(_fetched_from(work, wanted))
    decision, reasons = _decide(state, wanted, fleet, work)
    said = {(finding.code, finding.subject) for finding in findings}
    findings.extend(finding for finding in reasons if (finding.code, finding.subject) not in said)
    gateways = _gateways(state, wanted)
    try:
        rolled, waves = _roll(state, wanted, gateways)
    except DomainError as problem:
        rolled, waves = (), ()
        findings.append(problem.finding)
    return Plan(
        before=tuple(str(version) for version in (fleet.observed if fleet else ()) if version != wanted.version),
        to=str(wanted.version),
        pump_to=str(wanted.pump_version) if wanted.pump_version is not None else None,
        path=decision.path,
        cutover=decision.cutover,
        reasons=tuple(decision.reasons),
        explanation=tuple(explain(decision)) if decision.path != NONE or decision.cutover != NONE else (),
        window=tuple(sorted(work.window)),
        forgets_backup=fleet is not None and plan_checks.forgets_backup(wanted, fleet.observed),
        builds=tuple(work.builds),
        bundles=tuple(work.bundles),
        apis=tuple(work.apis),
        control_plane=_control_plane(state, wanted),
        pumps=_pumps(state, wanted),
        gateways=gateways,
        batches=rolled,
        waves=waves,
        findings=plan_checks.merge(_accepted(state.findings, wanted), findings),
    )


def _fetched_from(work: PluginWork, wanted: Wanted) -> List[Finding]:
    if wanted.fetch_url or all(bundle.keep for bundle in work.bundles):
        return []
    return [
        error(
            "setting-invalid",
            "tyk_bundle_fetch_url",
            "New bundles are needed, and it is not known where gateways download them from.",
            "Set tyk_bundle_fetch_url to the gateways' bundle_base_url.",
        )
    ]


def _accepted(given: Sequence[Finding], wanted: Wanted) -> List[Finding]:
    """What the info modules said, where the user's agreement makes a warning of what they said of signatures."""
    return [
        warning(one.code, one.subject, one.message, f"You accepted this with tyk_accept. {one.remedy}", one.source)
        if one.code == BUNDLE_SIGNATURE and BUNDLE_SIGNATURE in wanted.accept and one.severity == Severity.ERROR
        else one
        for one in given
    ]


def refused(problem: Finding, state: Optional[State] = None) -> Plan:
    """The plan of wishes that cannot be read: nothing but the reason, and what else is wrong."""
    given = state.findings if state is not None else ()
    return Plan((), "", None, NONE, NONE, findings=plan_checks.merge(given, [problem]))


def after(state: State, plan: Plan) -> State:
    """What will be observed once the plan has been carried out."""
    gateways = {step.host: step for step in plan.replaced_gateways}
    pumps = {step.host: step for step in plan.replaced_pumps}
    moves = {move.id: move for move in plan.apis}
    apis = tuple(replace(api, bundle=moves[api.id].to_bundle) if api.id in moves else api for api in state.apis)
    return replace(
        state,
        gateways=tuple(
            replace(
                gateway,
                version=gateways[gateway.host].to,
                repository=gateway.target_repository,
                tag=f"v{gateways[gateway.host].to}",
                image_id="",
                ready=True,
                reachable=True,
            )
            if gateway.host in gateways
            else gateway
            for gateway in state.gateways
        ),
        pumps=tuple(
            replace(pump, version=wanted.to, repository=pump.target_repository, tag=f"v{wanted.to}", running=True)
            if wanted is not None
            else pump
            for pump, wanted in ((pump, pumps.get(pump.host)) for pump in state.pumps)
        ),
        apis=apis,
        bundles=_bundles_after(state, plan, apis),
    )


def drift(saved: Mapping[str, Any], state: State) -> List[Finding]:
    """What is neither where the saved plan found it nor where the plan takes it.

    Empty if and only if every gateway, pump and API is at its planned from or to, and none is unknown to the plan.
    """
    if saved.get("schema") != SCHEMA:
        return [_drift("plan", f"The saved plan has schema {saved.get('schema')!r}; known is {SCHEMA!r}.")]
    return [
        *_versions_drift("gateway", saved.get("gateways") or [], {each.host: each.version for each in state.gateways}),
        *_versions_drift("pump", saved.get("pumps") or [], {each.host: each.version for each in state.pumps}),
        *_apis_drift(saved, state),
    ]


def deviation(saved: Mapping[str, Any], plan: Plan) -> List[Finding]:
    """How the plan as it would be made now leads elsewhere than the saved one: other wishes, sources or compilers."""
    findings = []
    if saved.get("to") != plan.to:
        findings.append(_drift("tyk_target_version", f"The saved plan leads to {saved.get('to')}, not to {plan.to}."))
    pump_to = (saved.get("pump") or {}).get("to")
    if pump_to != plan.pump_to:
        findings.append(
            _drift("tyk_pump_version", f"The saved plan takes the pump to {pump_to}, not to {plan.pump_to}.")
        )
    known = {str(bundle.get("name")) for bundle in saved.get("bundles") or []}
    for bundle in plan.new_bundles:
        if bundle.name not in known:
            findings.append(
                _drift(
                    bundle.replaces,
                    f"In place of {bundle.replaces} the saved plan does not publish {bundle.name}: a plugin's source, "
                    "a compiler or the bundle's manifest is no longer what it was.",
                )
            )
    return findings


def summary_lines(plan: Plan) -> List[str]:
    """The plan in a few lines for a person who decides about it."""
    lines: List[str] = []
    if plan.to:
        lines.append(_headline(plan))
        if plan.control_plane.action == CONFIRM:
            lines.append(f"Control plane: {plan.control_plane.before}, confirmed by you; it is not touched.")
        lines.extend(_bundle_lines(plan))
        lines.extend(_pump_lines(plan))
        lines.extend(_gateway_lines(plan))
    lines.extend(
        f"{finding.severity.value.capitalize()} [{finding.code}] {finding.subject}: {_said(finding)}"
        for finding in plan.findings
    )
    if has_errors(plan.findings):
        count = sum(finding.severity.value == "error" for finding in plan.findings)
        lines.append(f"Refused for {_number(count, 'reason')}; nothing was changed.")
    return lines


def _said(finding: Finding) -> str:
    """What needs nothing to be done is told without its remedy."""
    quiet = finding.severity == Severity.INFO and finding.remedy.startswith("Nothing needs to be done")
    return finding.message if quiet else finding.sentence()


def _fleet(state: State, wanted: Wanted) -> Optional[Fleet]:
    """None when no gateway said what it runs: then nothing can be said about plugins either."""
    versions = [plan_checks.read_version(gateway.version) for gateway in state.gateways]
    observed = tuple(sorted({version for version in versions if version is not None}))
    if not observed:
        return None
    return Fleet(
        observed=observed,
        target=wanted.version,
        platforms=tuple(sorted({gateway.platform for gateway in state.gateways})),
        edition=min(gateway.edition for gateway in state.gateways),
    )


def _decide(state: State, wanted: Wanted, fleet: Optional[Fleet], work: PluginWork) -> Tuple[Decision, List[Finding]]:
    if fleet is None or not (fleet.moving or work.apis):
        return Decision(NONE, NONE, [], [], True), []
    current = plan_checks.origin(fleet.observed, fleet.target) or fleet.target
    goos, goarch = fleet.platforms[0]
    at_hand = bool(work.hooks) and not wanted.sources
    linked = any(bundle.links for bundle in work.bundles)
    decision = decide(
        current,
        fleet.target,
        work.hooks,
        goos,
        goarch,
        goarchs=fleet.goarchs,
        edition=fleet.edition,
        built=[str(version) for version in fleet.versions] if at_hand else (),
        linked=linked,
        own_compilers=wanted.own_compilers,
        # A link that all gateways of a volume see is right for each of them; a build for one of them is not.
        placeable=not any(
            gateway.bundle_volume_closed or (gateway.bundle_volume and not linked) for gateway in state.gateways
        ),
        window_accepted=PLUGIN_WINDOW in wanted.accept,
    )
    found = traps(
        decision,
        plugins=[_facts(plugin, state) for plugin in wanted.plugins],
        hooks=work.hooks,
        in_use=[InUse(each.name, each.manifest or {}, tuple(each.file_names)) for each in work.in_use],
        outside=_outside(state),
        placed=ENDPOINT_PLUGIN in wanted.accept,
        glibc={gateway.host: gateway.glibc for gateway in state.gateways if gateway.package},
    )
    if decision.path == GAP:
        found.append(
            info(
                "path-uncovered",
                "tyk_target_version",
                f"The published procedure does not cover {current} to {fleet.target}; the file-resolution rules do.",
                "Nothing needs to be done.",
                "; ".join(decision.sources),
            )
        )
    return decision, found


def _facts(plugin: Plugin, state: State) -> PluginFacts:
    files = [one for one in state.artifacts if one.plugin == plugin.name]
    source = next((one for one in state.sources if one.plugin == plugin.name), SourceState(plugin.name))
    return PluginFacts(
        plugin.name,
        plugin.given_by,
        module=source.module,
        literals=source.literals,
        compared=bool(files) and all(one.plugin_path for one in files),
    )


def _outside(state: State) -> List[OutsidePlugin]:
    return [
        OutsidePlugin(api.name or api.id, path, ANALYTICS if path == api.analytics_plugin else ENDPOINT, api.active)
        for api in state.apis
        for path in api.endpoint_plugins
    ]


def _control_plane(state: State, wanted: Wanted) -> ControlPlaneStep:
    plane = state.control_plane
    version = plan_checks.read_version(plane.version)
    return ControlPlaneStep(
        driver=plane.driver,
        before=plane.version,
        to=str(max(version, wanted.version) if version is not None else wanted.version),
        action=CONFIRM if plane.driver == "manual" and plane.confirmed else NOTHING,
    )


def _pumps(state: State, wanted: Wanted) -> Tuple[PumpStep, ...]:
    steps = []
    for pump in sorted(state.pumps, key=lambda each: natural(each.host)):
        image = _image(pump.repository, pump.tag)
        stays = wanted.pump_version is None or plan_checks.read_version(pump.version) == wanted.pump_version
        steps.append(
            PumpStep(
                host=pump.host,
                deployment=pump.deployment,
                before=pump.version,
                to=pump.version if stays else str(wanted.pump_version),
                image_from=image,
                image_to=image if wanted.pump_version is None or stays else _target_image(pump, wanted.pump_version),
                package=pump.package,
                action=NOTHING if stays else REPLACE,
            )
        )
    return tuple(steps)


def _gateways(state: State, wanted: Wanted) -> Tuple[GatewayStep, ...]:
    steps = []
    for gateway in sorted(state.gateways, key=lambda each: natural(each.host)):
        version = plan_checks.read_version(gateway.version)
        stays = version is None or version == wanted.version
        image = _image(gateway.repository, gateway.tag)
        steps.append(
            GatewayStep(
                host=gateway.host,
                deployment=gateway.deployment,
                before=gateway.version,
                to=str(wanted.version),
                image_from=image,
                image_to=image if stays else _target_image(gateway, wanted.version),
                package=gateway.package,
                action=NOTHING if stays else REPLACE,
                ready=gateway.ready,
                arch=gateway.arch,
            )
        )
    return tuple(steps)


def _roll(
    state: State, wanted: Wanted, steps: Sequence[GatewayStep]
) -> Tuple[Tuple[Tuple[str, ...], ...], Tuple[Tuple[str, ...], ...]]:
    """Batches and waves. Raises DomainError when a setting does not say how many."""
    replaced = {step.host for step in steps if step.action == REPLACE}
    gateways = sorted((each for each in state.gateways if each.host in replaced), key=lambda each: natural(each.host))
    hosts = [gateway.host for gateway in order(gateways)]
    return (
        tuple(tuple(batch) for batch in batches(hosts, wanted.waves, wanted.max_unavailable)),
        tuple(tuple(wave) for wave in split(hosts, wanted.waves)),
    )


def _image(repository: str, tag: str) -> str:
    return f"{repository}:{tag}" if repository and tag else repository


def _target_image(unit: Any, version: Version) -> str:
    return f"{unit.target_repository}:{version.tag}" if unit.target_repository else ""


def _bundles_after(state: State, plan: Plan, apis: Sequence[ApiState]) -> Tuple[BundleState, ...]:
    named = {api.bundle for api in apis if api.bundle}
    found = {bundle.name: bundle for bundle in state.bundles}
    for bundle in plan.new_bundles:
        found[bundle.name] = BundleState(
            name=bundle.name,
            found=True,
            manifest=bundle.manifest,
            provenance=bundle.provenance,
            files=tuple({"name": name, "size": 0, "sha256": ""} for name in bundle.files),
            checksum_ok=True,
        )
    return tuple(found[name] for name in sorted(found, key=natural) if name in named)


def _versions_drift(
    kind: str, steps: Sequence[Mapping[str, Any]], observed: Mapping[str, Optional[str]]
) -> List[Finding]:
    findings = []
    planned = {str(step["host"]): step for step in steps}
    for host in sorted(planned, key=natural):
        step = planned[host]
        if host not in observed:
            findings.append(_drift(host, f"The {kind} {host} of the saved plan is no longer in the inventory."))
        elif observed[host] not in (step["from"], step["to"]):
            findings.append(
                _drift(
                    host,
                    f"The {kind} {host} runs {observed[host] or 'no known version'}; the saved plan takes it from "
                    f"{step['from']} to {step['to']}.",
                )
            )
    for host in sorted(set(observed) - set(planned), key=natural):
        findings.append(_drift(host, f"The {kind} {host} is not in the saved plan."))
    return findings


def _planned_names(bundles: Sequence[BundleState]) -> Dict[str, str]:
    """The name in a plan of each bundle that this collection made, by the name that the store has it under."""
    made = {bundle.name: provenance_of(bundle) for bundle in bundles}
    return {name: bundle_name(said.stem, said.build_id) for name, said in made.items() if said is not None}


def _apis_drift(saved: Mapping[str, Any], state: State) -> List[Finding]:
    findings = []
    apis, names = state.apis, _planned_names(state.bundles)
    planned = {str(move["id"]): move for move in saved.get("apis") or []}
    replaced = {str(move["from_bundle"]) for move in planned.values()}
    kept = {str(bundle["name"]) for bundle in saved.get("bundles") or []}
    present = {api.id: api for api in apis}
    for api_id in sorted(set(planned) - set(present)):
        name = planned[api_id].get("name") or api_id
        findings.append(_drift(str(name), f"The API {name} of the saved plan is gone."))
    for api in sorted(apis, key=lambda each: (natural(each.name), each.id)):
        name = api.name or api.id
        move = planned.get(api.id)
        if move is None:
            if api.bundle and (api.bundle in replaced or not kept & {api.bundle, names.get(api.bundle)}):
                findings.append(
                    _drift(name, f"The API {name} uses bundle {api.bundle}, which the saved plan does not know of.")
                )
        elif not {api.bundle, names.get(api.bundle)} & {move["from_bundle"], move["to_bundle"]}:
            findings.append(
                _drift(
                    name,
                    f"The API {name} uses bundle {api.bundle or 'none'}; the saved plan moves it from "
                    f"{move['from_bundle']} to {move['to_bundle']}.",
                )
            )
        elif api.bundle == move["from_bundle"] and api.digest != move["digest"]:
            findings.append(_drift(name, f"The definition of the API {name} was changed since the plan was saved."))
    return findings


def _drift(subject: str, message: str) -> Finding:
    return error("drift", subject, message, "Make a new plan, look at it, and apply that one.")


def _headline(plan: Plan) -> str:
    if plan.empty:
        return f"Nothing to do: everything is at {plan.to}{f', the pump at {plan.pump_to}' if plan.pump_to else ''}."
    before = " and ".join(plan.before) or plan.to
    gateways = len(plan.replaced_gateways)
    done = sum(step.before == plan.to for step in plan.gateways)
    text = f"Gateways are at {plan.to}"
    if gateways:
        text = f"Upgrade {_number(gateways, 'gateway')} from {before} to {plan.to}"
    if gateways and done:
        text += f" ({done} already there)"
    return f"{text}; {_number(plan.changes, 'change')} in all."


def _bundle_lines(plan: Plan) -> List[str]:
    lines = []
    if plan.new_bundles and plan.path != NONE:
        lines.append(f"Plugins: path {plan.path}, {_CUTOVERS[plan.cutover]}")
    built: Dict[str, List[Build]] = {}
    for each in plan.builds:
        built.setdefault(each.bundle, []).append(each)
    for bundle in plan.new_bundles:
        builds = built.get(bundle.name, [])
        plugins = ", ".join(sorted({each.plugin for each in builds}))
        versions = " and ".join(sorted({each.version for each in builds}, key=Version.parse))
        lines.append(f"Bundle {bundle.name} (new): {plugins}, built for {versions}.")
    targets: Dict[Tuple[str, str], List[str]] = {}
    for move in plan.apis:
        targets.setdefault((move.from_bundle, move.to_bundle), []).append(move.name or move.id)
    for (old, new), names in sorted(targets.items()):
        lines.append(f"{_number(len(names), 'API')} from {old} to {new}: {_some(names)}.")
    kept = [bundle.name for bundle in plan.bundles if bundle.keep]
    if kept and not plan.empty:
        lines.append(f"Kept as they are: {', '.join(kept)}.")
    return lines


def _pump_lines(plan: Plan) -> List[str]:
    return [f"Pump {step.host}: {step.before} to {step.to}." for step in plan.replaced_pumps]


def _gateway_lines(plan: Plan) -> List[str]:
    if not plan.batches:
        return []
    waves = " | ".join(_some(wave) for wave in plan.waves)
    largest = max(len(batch) for batch in plan.batches)
    return [f"Gateways, wave by wave: {waves}; at most {largest} out at once."]


def _some(names: Sequence[str]) -> str:
    """All of a few names, or the first of many."""
    shown = names if len(names) <= NAMES_SHOWN else names[: NAMES_SHOWN - 1]
    return ", ".join(shown) + (f" and {len(names) - len(shown)} more" if len(shown) < len(names) else "")


def _number(count: int, word: str) -> str:
    return f"{count} {word}" if count == 1 else f"{count} {word}s"
