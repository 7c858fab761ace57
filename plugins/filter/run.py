# Copyright (c) 2026 tyk.upgrade contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Filters that hand the typed core what the inventory and the info modules say."""

from __future__ import annotations

from typing import Any, Callable, Dict, List, Mapping, Sequence

from ansible.errors import AnsibleFilterError

from ansible_collections.tyk.upgrade.plugins.module_utils._clients.http import join_url
from ansible_collections.tyk.upgrade.plugins.module_utils._domain import observation, outcome, pipeline, probes


def host_settings(hosts: List[str], hostvars: Mapping[str, Any], names: Mapping[str, str]) -> List[Dict[str, Any]]:
    """One dict a host: `name` is the host, every other key is the inventory variable that `names` says; absent ones are left out."""
    settings = []
    for host in hosts:
        variables = hostvars[host]
        entry: Dict[str, Any] = {"name": host}
        entry.update({key: variables[variable] for key, variable in names.items() if variable in variables})
        settings.append(entry)
    return settings


def observed_state(hostvars: Mapping[str, Any], seen: Mapping[str, Any]) -> Dict[str, Any]:
    """The state that upgrade_plan takes.

    seen: gateway_hosts, pump_hosts (names), facts (the variables that container_info and package_info registered on each host),
    gateways (of gateway_info), control_plane, apis, bundles (list of {item, ...bundle_info}), sources, compilers, findings.
    """
    gateway_hosts = list(seen.get("gateway_hosts") or [])
    pump_hosts = list(seen.get("pump_hosts") or [])
    facts = [str(fact) for fact in seen["facts"]]
    found = observation.found_by_host(hostvars, gateway_hosts + pump_hosts, facts)
    live = {str(entry["name"]): entry for entry in seen.get("gateways") or []}
    findings = list(seen.get("findings") or [])
    for host in gateway_hosts + pump_hosts:
        for fact in facts:
            findings.extend((hostvars[host].get(fact) or {}).get("findings") or [])
    interrupted = [host for host in gateway_hosts if observation.is_interrupted(live.get(host), found.get(host))]
    return {
        "gateways": [observation.gateway(h, hostvars[h], live.get(h), found.get(h)) for h in gateway_hosts],
        "pumps": [observation.pump(h, hostvars[h], found.get(h)) for h in pump_hosts],
        "control_plane": dict(seen.get("control_plane") or {}),
        "apis": list(seen.get("apis") or []),
        "bundles": [observation.bundle(str(entry.get("item")), entry) for entry in seen.get("bundles") or []],
        "sources": list(seen.get("sources") or []),
        "compilers": list(seen.get("compilers") or []),
        "artifacts": list(seen.get("artifacts") or []),
        "findings": observation.announced_repairs(findings, interrupted),
    }


def probe_targets(
    plugins: List[Mapping[str, Any]], apis: List[Mapping[str, Any]], base_url: str = "", without: Sequence[str] = ()
) -> List[Dict[str, Any]]:
    """The requests that prove what the plugins do, for traffic_probe; relative to base_url, none of the APIs in without."""
    try:
        return [target.to_dict(base_url) for target in probes.targets(plugins, apis, without)]
    except probes.ProbeError as exc:
        raise AnsibleFilterError(str(exc)) from exc


def plugin_sources(plugins: List[Mapping[str, Any]], base: str) -> List[Dict[str, str]]:
    """The plugins given by source, as plugin_build_info takes them."""
    return pipeline.sources(plugins, base)


def plugin_artifacts(plugins: List[Mapping[str, Any]], base: str) -> List[Dict[str, str]]:
    """The plugins given by files, as plugin_build_info takes them."""
    return pipeline.artifacts(plugins, base)


def given_bundles(plugins: List[Mapping[str, Any]]) -> List[str]:
    """The names of the bundles that plugins are given by."""
    return pipeline.given_bundles(plugins)


def builds_at_hand(plan: Mapping[str, Any]) -> List[Dict[str, Any]]:
    """The builds of the plan that were made elsewhere, like those that plugin_compile returns."""
    return pipeline.at_hand(plan)


def wanted_plugins(plugins: List[Mapping[str, Any]], base: str) -> List[Dict[str, Any]]:
    """The plugins as upgrade_plan takes them."""
    return pipeline.wanted_plugins(plugins, base)


def compiler_images(
    versions: List[str], repository: str, images: Mapping[str, str], edition: str = "ce"
) -> List[Dict[str, str]]:
    """The compiler image of each gateway version, as plugin_build_info takes them."""
    return pipeline.compilers(versions, repository, images, edition)


def compile_builds(plan: Mapping[str, Any]) -> List[Dict[str, Any]]:
    """The builds of the plan, as plugin_compile takes them."""
    return pipeline.builds(plan)


def load_checks(plan: Mapping[str, Any], compiled: List[Mapping[str, Any]]) -> List[Dict[str, Any]]:
    """The load tests of the plan, as plugin_verify takes them."""
    return pipeline.load_checks(plan, compiled, pipeline.gateway_images(plan))


def left_untried(plan: Mapping[str, Any], untried: List[Mapping[str, Any]]) -> List[Dict[str, str]]:
    """The builds that neither the build host nor any gateway's host can load, as findings."""
    return pipeline.left_untried(plan, untried)


def preparation(hostvars: Mapping[str, Any], plan: Mapping[str, Any], names: Sequence[str], fetched: str) -> Dict[str, Any]:
    """What the journal keeps of the preparation: findings and downloads.

    names: the variables that its tasks registered; fetched: the one of the downloads.
    """
    hosts = {host: hostvars[host] for host in dict.fromkeys(str(step["host"]) for step in plan.get("gateways") or [])}
    registered = [variables.get(name) or {} for name in (*names, fetched) for variables in hosts.values()]
    downloads = pipeline.downloads(plan, {host: variables.get(fetched) or {} for host, variables in hosts.items()})
    return {"findings": pipeline.prepared(registered), "downloads": downloads}


def published_plan(plan: Mapping[str, Any], results: List[Mapping[str, Any]]) -> Dict[str, Any]:
    """The plan with the names under which its bundles were published."""
    return pipeline.published(plan, results)


def published_checks(plan: Mapping[str, Any], host: str, fetched: List[Mapping[str, Any]]) -> List[Dict[str, Any]]:
    """The load tests of bundles that lie unpacked on a gateway's host, as plugin_verify takes them."""
    return pipeline.published_checks(plan, host, fetched)


def bundle_files(bundle: Mapping[str, Any], plan: Mapping[str, Any], compiled: List[Mapping[str, Any]]) -> List[Dict[str, str]]:
    """The files of one bundle of the plan, as bundle_build takes them."""
    return pipeline.bundle_files(bundle, plan, compiled)


def bundle_changes(apis: List[Mapping[str, Any]]) -> List[Dict[str, str]]:
    """The APIs that move, as api_definition_patch takes them."""
    return pipeline.bundle_changes(apis)


def placements(plan: Mapping[str, Any], host: str) -> Dict[str, List[Dict[str, Any]]]:
    """The bundles that are put in place on one gateway where none can serve both versions."""
    return pipeline.placements(plan, host)


def bundles_in_service(plan: Mapping[str, Any], apis: List[Mapping[str, Any]]) -> List[str]:
    """The bundles with plugins that a gateway must have loaded."""
    return pipeline.bundles_in_service(plan, apis)


def container_name(settings: Mapping[str, Any], component: str) -> str:
    """The container of a host's gateway or pump: the one named, or the one that Compose makes of the service named."""
    return observation.container_name(settings, component)


def package_settings(settings: Mapping[str, Any], component: str) -> Dict[str, Any]:
    """The Linux package of a host's gateway or pump, as package_info takes it; what the inventory leaves out is as Tyk's packages have it."""
    return observation.package_settings(settings, component)


def joined_url(base: str, name: str) -> str:
    """The address of a file in a store: the name joined to the path, a query kept."""
    return join_url(base, name)


def pump_gap(seconds: Any, host: str, budget: Any) -> List[Dict[str, Any]]:
    """What to say of a pump that was out for these seconds."""
    return outcome.pump_gap(host, None if seconds in (None, "") else float(seconds), float(budget))


def manual_edits(edits: List[str], host: str) -> List[Dict[str, Any]]:
    """The edits that a person has to make, as findings."""
    return outcome.manual_edits(host, edits)


def failure_message(result: Mapping[str, Any]) -> str:
    """What a failed task said, as one text."""
    return outcome.message(result)


def failure_findings(result: Mapping[str, Any]) -> List[Dict[str, Any]]:
    """The error findings of a failed task."""
    return outcome.findings(result)


class FilterModule:
    """The collection's filters."""

    def filters(self) -> Dict[str, Callable[..., Any]]:
        """Name → function, as Ansible asks for them."""
        return {
            "builds_at_hand": builds_at_hand,
            "bundle_changes": bundle_changes,
            "bundle_files": bundle_files,
            "bundles_in_service": bundles_in_service,
            "compile_builds": compile_builds,
            "compiler_images": compiler_images,
            "container_name": container_name,
            "failure_findings": failure_findings,
            "failure_message": failure_message,
            "given_bundles": given_bundles,
            "host_settings": host_settings,
            "joined_url": joined_url,
            "left_untried": left_untried,
            "load_checks": load_checks,
            "manual_edits": manual_edits,
            "observed_state": observed_state,
            "package_settings": package_settings,
            "placements": placements,
            "plugin_artifacts": plugin_artifacts,
            "plugin_sources": plugin_sources,
            "preparation": preparation,
            "probe_targets": probe_targets,
            "published_checks": published_checks,
            "published_plan": published_plan,
            "pump_gap": pump_gap,
            "wanted_plugins": wanted_plugins,
        }
