# Copyright (c) 2026 tyk.upgrade contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""A small data plane as the info modules would observe it: three gateways, a pump, two plugins, twelve APIs."""

from __future__ import annotations

import copy
from typing import Any, Dict, List

FROM = "5.3.0"
TO = "5.8.9"


def gateway(host: str, version: str = FROM, **changes: Any) -> Dict[str, Any]:
    return {
        "host": host,
        "deployment": "docker",
        "version": version,
        "edition": "ce",
        "os": "linux",
        "arch": "amd64",
        "ready": True,
        "reachable": True,
        "container": f"tyk-{host}",
        "repository": "tykio/tyk-gateway",
        "tag": f"v{version}",
        "image_id": f"sha256:{version}",
        "target_repository": "tykio/tyk-gateway",
        **changes,
    }


def pump(host: str = "pump1", version: str = "1.9.0", **changes: Any) -> Dict[str, Any]:
    return {
        "host": host,
        "deployment": "docker",
        "version": version,
        "repository": "tykio/tyk-pump-docker-pub",
        "tag": f"v{version}",
        "container": "tyk-pump",
        "running": True,
        "target_repository": "tykio/tyk-pump-docker-pub",
        **changes,
    }


def api(name: str, bundle: str = "", kind: str = "classic", **changes: Any) -> Dict[str, Any]:
    return {
        "id": f"lab-{name}",
        "db_id": f"db-{name}",
        "name": name,
        "kind": kind,
        "active": True,
        "listen_path": f"/{name}/",
        "bundle": bundle,
        "bundle_enabled": bool(bundle),
        "auth_plugin": bundle.startswith("auth"),
        "endpoint_plugins": [],
        "digest": f"digest-{name}",
        **changes,
    }


def hook(name: str, stem: str) -> Dict[str, Any]:
    return {"name": name, "path": f"{stem}.so", "require_session": False, "raw_body_only": False}


def bundle(name: str, middleware: Dict[str, Any], files: List[str], **changes: Any) -> Dict[str, Any]:
    return {
        "name": name,
        "found": True,
        "manifest": {
            "file_list": list(files),
            "custom_middleware": {"driver": "goplugin", **middleware},
            "checksum": "d41d8cd98f00b204e9800998ecf8427e",
            "signature": "",
        },
        "provenance": None,
        "files": [{"name": file, "size": 10, "sha256": "0" * 64} for file in files],
        "checksum_ok": True,
        "sha256": "1" * 64,
        **changes,
    }


def compiler(version: str, **changes: Any) -> Dict[str, Any]:
    image = f"tykio/tyk-plugin-compiler:v{version}"
    return {"version": version, "image": image, "id": f"sha256:c{version}", "present": True, **changes}


def world() -> Dict[str, Any]:
    """Everything at its first version; each call gives a fresh copy."""
    header, auth = "header-1.zip", "auth-1.zip"
    return {
        "gateways": [gateway(host) for host in ("gw1", "gw2", "gw3")],
        "pumps": [pump()],
        "control_plane": {"driver": "manual", "version": TO, "confirmed": True},
        "apis": [
            *(api(name, header) for name in ("orders", "invoices", "customers")),
            *(api(name, auth) for name in ("payments", "accounts")),
            *(api(name) for name in ("catalog", "search", "status")),
            *(api(name, header, "oas") for name in ("shipments", "returns")),
            *(api(name, auth, "oas") for name in ("ledger", "vault")),
        ],
        "bundles": [
            bundle(header, {"pre": [hook("AddLabHeader", "HeaderPlugin")]}, ["HeaderPlugin.so"]),
            bundle(auth, {"auth_check": hook("CheckLabKey", "AuthPlugin")}, ["AuthPlugin_v5.3.0_linux_amd64.so"]),
        ],
        "sources": [
            {"plugin": "HeaderPlugin", "digest": "a" * 64, "path": "/src/HeaderPlugin"},
            {"plugin": "AuthPlugin", "digest": "b" * 64, "path": "/src/AuthPlugin"},
        ],
        "compilers": [
            compiler(version) for version in (FROM, TO)
        ],
        "findings": [],
    }


def wishes(**changes: Any) -> Dict[str, Any]:
    return {
        "version": TO,
        "pump_version": "1.12.0",
        "waves": [1, "100%"],
        "max_unavailable": 1,
        "on_failure": "halt",
        "plugins": [
            {"name": "HeaderPlugin", "source": "plugins/HeaderPlugin"},
            {"name": "AuthPlugin", "source": "plugins/AuthPlugin"},
        ],
        "stop_timeout": 60,
        **copy.deepcopy(changes),
    }
