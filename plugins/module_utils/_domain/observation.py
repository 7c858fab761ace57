# Copyright (c) 2026 tyk.upgrade contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""From what the info modules return to the one state that the plan is computed from.

Every value here was observed in this run. A host that could not be looked at is in the state as such,
so that the plan refuses instead of forgetting it.
"""

from __future__ import annotations

from typing import Any, Dict, List, Mapping, Optional


def gateway(
    host: str,
    settings: Mapping[str, Any],
    live: Optional[Mapping[str, Any]],
    container: Optional[Mapping[str, Any]],
) -> Dict[str, Any]:
    """One gateway: settings are its inventory variables, live comes from gateway_info, container from container_info."""
    live = live or {}
    container = container or {}
    repository = str(container.get("repository") or "")
    return {
        "host": host,
        "deployment": str(settings.get("gateway_deployment") or "docker"),
        "version": live.get("version"),
        "edition": str(container.get("edition") or "ce"),
        "os": str(container.get("os") or "linux"),
        "arch": str(container.get("arch") or "amd64"),
        "ready": not live.get("waiting_for") and bool(live.get("reachable")),
        "reachable": bool(live.get("reachable")),
        "container": str(settings.get("gateway_container") or ""),
        "repository": repository,
        "tag": str(container.get("tag") or ""),
        "image_id": str(container.get("image_id") or ""),
        "target_repository": str(settings.get("gateway_image") or repository),
    }


def pump(host: str, settings: Mapping[str, Any], container: Optional[Mapping[str, Any]]) -> Dict[str, Any]:
    """One pump. Its version is its image tag: a pump has no endpoint that tells it."""
    container = container or {}
    repository = str(container.get("repository") or "")
    tag = str(container.get("tag") or "")
    return {
        "host": host,
        "deployment": str(settings.get("pump_deployment") or "docker"),
        "version": tag[1:] if tag.startswith("v") else (tag or None),
        "repository": repository,
        "tag": tag,
        "container": str(settings.get("pump_container") or ""),
        "running": bool(container.get("running")),
        "target_repository": str(settings.get("pump_image") or repository),
    }


def bundle(name: str, info: Optional[Mapping[str, Any]]) -> Dict[str, Any]:
    """One bundle that an API names, as bundle_info saw it in the store; info is None when it could not be had."""
    info = info or {}
    return {
        "name": name,
        "found": bool(info.get("manifest")),
        "manifest": info.get("manifest"),
        "provenance": info.get("provenance"),
        "files": [dict(entry) for entry in info.get("files") or []],
        "checksum_ok": bool(info.get("checksum_ok")),
        "sha256": str(info.get("sha256") or ""),
    }


def containers_by_host(hostvars: Mapping[str, Mapping[str, Any]], hosts: List[str], fact: str) -> Dict[str, Any]:
    """What container_info registered under `fact` on each host: its first container, or nothing."""
    found: Dict[str, Any] = {}
    for host in hosts:
        registered = (hostvars[host].get(fact) or {}) if host in hostvars else {}
        containers = registered.get("containers") or []
        if containers and containers[0].get("found"):
            found[host] = containers[0]
    return found
