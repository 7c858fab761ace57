# Copyright (c) 2026 tyk.upgrade contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""From what the info modules return to the one state that the plan is computed from.

Every value here was observed in this run. A host that could not be looked at is in the state as such,
so that the plan refuses instead of forgetting it.
"""

from __future__ import annotations

import posixpath
from typing import Any, Dict, List, Mapping, Optional

from ansible_collections.tyk.upgrade.plugins.module_utils._domain.container_names import is_left_by
from ansible_collections.tyk.upgrade.plugins.module_utils._domain.findings import to_dicts, warning
from ansible_collections.tyk.upgrade.plugins.module_utils._domain.mounts import mount_of, overlap
from ansible_collections.tyk.upgrade.plugins.module_utils._domain.versions import Version


def gateway(
    host: str,
    settings: Mapping[str, Any],
    live: Optional[Mapping[str, Any]],
    found: Optional[Mapping[str, Any]],
) -> Dict[str, Any]:
    """One gateway: settings are its inventory variables, live comes from gateway_info, found from container_info or package_info."""
    live = live or {}
    found = found or {}
    deployment = str(settings.get("gateway_deployment") or "docker")
    packaged = deployment == "package"
    container: Mapping[str, Any] = {} if packaged else found
    repository = str(container.get("repository") or "")
    interrupted = is_interrupted(live, found)
    return {
        "host": host,
        "deployment": deployment,
        "version": _version_of(found) if interrupted else live.get("version"),
        "edition": str(settings.get("gateway_edition") or found.get("edition") or "ce"),
        "os": str(found.get("os") or "linux"),
        "arch": str(found.get("arch") or "amd64"),
        "ready": not live.get("waiting_for") and bool(live.get("reachable")),
        "reachable": interrupted or bool(live.get("reachable")),
        "container": container_name(settings, "gateway"),
        "repository": repository,
        "tag": str(container.get("tag") or ""),
        "image_id": str(container.get("image_id") or ""),
        "target_repository": "" if packaged else str(settings.get("gateway_image") or repository),
        "package": str(found.get("name") or "") if packaged else "",
        "glibc": str(found.get("glibc") or ""),
        **_bundle_folder(found, package_settings(settings, "gateway")["middleware_path"], packaged),
    }


def is_interrupted(live: Optional[Mapping[str, Any]], found: Optional[Mapping[str, Any]]) -> bool:
    """Whether a gateway does not answer because a run that was killed left its container or service down.

    What it will run once that is repaired is known then: its image, or what that run noted on its host, tells.
    """
    found = found or {}
    return bool(found.get("interrupted") and not (live or {}).get("reachable") and _version_of(found))


def announced_repairs(findings: List[Dict[str, Any]], hosts: List[str]) -> List[Dict[str, Any]]:
    """The findings, with what is going to be done about these hosts in place of their not answering."""
    kept = [one for one in findings if one.get("code") != "gateway-unreachable" or one.get("subject") not in hosts]
    return kept + to_dicts(
        warning(
            "gateway-interrupted",
            host,
            f"A run that was killed left the gateway {host} out of service.",
            "Nothing needs to be done: the upgrade brings it back before it goes on.",
        )
        for host in hosts
    )


def _version_of(found: Mapping[str, Any]) -> Optional[str]:
    """The version of what does not run, as its image or the note about its package tells; None if that does not."""
    for said in (found.get("interrupted_from"), found.get("tag"), found.get("version_label")):
        try:
            return str(Version.parse(str(said or "")))
        except ValueError:
            continue
    return None


def _bundle_folder(found: Mapping[str, Any], middleware_path: str, packaged: bool) -> Dict[str, str]:
    """What the folder of the bundles lies in, if nothing can be put there for this gateway alone, and why not.

    Others see it, too, who are named; or it is closed. Containers that a replacement has kept are no others.
    """
    if packaged:
        kind = found.get("middleware_file_system")
        return {
            "bundle_volume": middleware_path if kind else "",
            "bundle_volume_with": f"other hosts ({kind})" if kind else "",
            "bundle_volume_closed": "",
        }
    mounts = found.get("mounts") or {}
    bundles = posixpath.join(middleware_path, "bundles")
    closed = {str(one["destination"]): str(one["reason"]) for one in found.get("closed_mounts") or []}
    shared = [one for one in found.get("shared_mounts") or [] if overlap(str(one["path"]), bundles)]
    place = mount_of({**mounts, **closed}, bundles)
    shared = [one for one in shared if one["destination"] == place]
    name = str(found.get("name") or "")
    others = sorted({str(other) for one in shared for other in one["with"] if not is_left_by(name, str(other))})
    others += [f"other hosts ({one['file_system']})" for one in shared if one["file_system"]]
    return {
        "bundle_volume": str(mounts.get(place) or place) if others or place in closed else "",
        "bundle_volume_with": " and ".join(others),
        "bundle_volume_closed": closed.get(place, ""),
    }


def pump(host: str, settings: Mapping[str, Any], found: Optional[Mapping[str, Any]]) -> Dict[str, Any]:
    """One pump. Its version is its image tag or its package's version: a pump has no endpoint that tells it."""
    found = found or {}
    deployment = str(settings.get("pump_deployment") or "docker")
    if deployment == "package":
        return {
            "host": host,
            "deployment": deployment,
            "version": found.get("running_version") or found.get("version"),
            "running": bool((found.get("unit") or {}).get("main_pid")),
            "package": str(found.get("name") or ""),
        }
    repository = str(found.get("repository") or "")
    tag = str(found.get("tag") or "")
    return {
        "host": host,
        "deployment": deployment,
        "version": tag[1:] if tag.startswith("v") else (tag or None),
        "repository": repository,
        "tag": tag,
        "container": container_name(settings, "pump"),
        "running": bool(found.get("running")),
        "target_repository": str(settings.get("pump_image") or repository),
        "package": "",
    }


def container_name(settings: Mapping[str, Any], component: str) -> str:
    """The container of a host: the one named, or the one that Compose makes of the service named."""
    named = settings.get(f"{component}_container")
    if named:
        return str(named)
    compose = settings.get(f"{component}_compose") or {}
    project, service = compose.get("project"), compose.get("service")
    return f"{project}-{service}-1" if project and service else ""


#: Where Tyk's own packages put things.
PACKAGED: Dict[str, Dict[str, str]] = {
    "gateway": {
        "name": "tyk-gateway",
        "unit": "tyk-gateway",
        "config_file": "/opt/tyk-gateway/tyk.conf",
        "binary": "/opt/tyk-gateway/tyk",
        "middleware_path": "/opt/tyk-gateway/middleware",
    },
    "pump": {
        "name": "tyk-pump",
        "unit": "tyk-pump",
        "config_file": "/opt/tyk-pump/pump.conf",
        "binary": "/opt/tyk-pump/tyk-pump",
        "middleware_path": "",
    },
}

_PACKAGE_VARIABLES = {
    "name": "package",
    "unit": "unit",
    "config_file": "config_file",
    "binary": "binary",
    "middleware_path": "middleware_path",
    "file": "package_file",
    "checksum": "package_checksum",
    "return_file": "package_return_file",
    "release_hold": "release_hold",
}


def package_settings(settings: Mapping[str, Any], component: str) -> Dict[str, Any]:
    """The package of a host's gateway or pump, from its inventory variables."""
    found: Dict[str, Any] = {
        "file": "",
        "checksum": "",
        "return_file": "",
        "release_hold": False,
        **PACKAGED[component],
    }
    for key, variable in _PACKAGE_VARIABLES.items():
        value = settings.get(f"{component}_{variable}")
        if value not in (None, ""):
            found[key] = value
    return found


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


def found_by_host(hostvars: Mapping[str, Mapping[str, Any]], hosts: List[str], facts: List[str]) -> Dict[str, Any]:
    """What was registered under `facts` on each host: the package of package_info or the first container of container_info."""
    result: Dict[str, Any] = {}
    for host in hosts:
        for fact in facts:
            registered = (hostvars[host].get(fact) or {}) if host in hostvars else {}
            seen: Mapping[str, Any] = registered.get("package") or next(iter(registered.get("containers") or []), {})
            if seen.get("found"):
                glibc = (registered.get("glibc") or {}).get("host")
                result[host] = {**seen, "glibc": glibc} if glibc else seen
    return result
