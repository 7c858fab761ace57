# Copyright (c) 2026 tyk.upgrade contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What the lab serves at first: twelve API definitions and the two bundles that up to nine of them use."""

from __future__ import annotations

import hashlib
import io
import json
import zipfile
from dataclasses import dataclass, replace
from typing import Any

from settings import GOOD_KEY, ORG_ID, numbers


@dataclass(frozen=True)
class Plugin:
    name: str  # stem of the .so and name of the folder under tests/lab/plugins
    bundle: str
    hook: str
    symbol: str

    def output(self, version: str) -> str:
        """What the compiler calls its output: by version since 4.1.0, before just as it is told."""
        return f"{self.name}_v{version}_linux_amd64.so" if numbers(version) >= (4, 1, 0) else f"{self.name}.so"

    def file(self, version: str) -> str:
        """The name in a bundle by which a gateway of that version finds it; 4.1 and 4.2 do not know the output's."""
        return self.output(version) if numbers(version) >= (4, 3, 0) else f"{self.name}.so"

    def middleware(self) -> dict[str, Any]:
        entry = {"name": self.symbol, "path": f"{self.name}.so", "require_session": False, "raw_body_only": False}
        return {"driver": "goplugin", self.hook: entry if self.hook == "auth_check" else [entry]}


HEADER = Plugin("HeaderPlugin", "header-1.zip", "pre", "AddLabHeader")
AUTH = Plugin("AuthPlugin", "auth-1.zip", "auth_check", "CheckLabKey")
PLUGINS = (HEADER, AUTH)


@dataclass(frozen=True)
class Api:
    name: str
    kind: str  # classic | oas
    plugin: Plugin | None

    @property
    def id(self) -> str:
        return f"lab-{self.name}"

    @property
    def db_id(self) -> str:
        """24 hex digits, as the Dashboard's database gives them."""
        return hashlib.sha256(self.id.encode()).hexdigest()[:24]

    @property
    def listen_path(self) -> str:
        return f"/{self.name}/"

    @property
    def protected(self) -> bool:
        return self.plugin is AUTH

    @property
    def bundle(self) -> str:
        return self.plugin.bundle if self.plugin else ""

    def headers(self) -> dict[str, str]:
        return {"Authorization": GOOD_KEY} if self.protected else {}

    def definition(self) -> dict[str, Any]:
        """What the Dashboard holds: the wrapper of a classic definition, or the OAS document."""
        return self._oas() if self.kind == "oas" else self._classic()

    def _classic(self) -> dict[str, Any]:
        return {
            "api_definition": {
                "id": self.db_id,
                "api_id": self.id,
                "org_id": ORG_ID,
                "name": self.name.capitalize(),
                "slug": self.name,
                "active": True,
                "internal": False,
                "protocol": "",
                "use_keyless": not self.protected,
                "use_standard_auth": False,
                "use_go_plugin_auth": self.protected,
                "custom_plugin_auth_enabled": self.protected,
                "auth": {"auth_header_name": "Authorization"},
                "auth_configs": {"authToken": {"auth_header_name": "Authorization"}},
                "custom_middleware_bundle": self.bundle,
                "custom_middleware_bundle_disabled": False,
                "custom_middleware": {"driver": "goplugin"} if self.bundle else {},
                "definition": {"location": "header", "key": "x-api-version"},
                "version_data": {
                    "not_versioned": True,
                    "default_version": "",
                    "versions": {"Default": {"name": "Default", "use_extended_paths": True, "paths": {}}},
                },
                "proxy": {
                    "listen_path": self.listen_path,
                    "target_url": "http://upstream:8000/",
                    "strip_listen_path": True,
                    "preserve_host_header": False,
                },
                "disable_rate_limit": True,
                "disable_quota": True,
                "do_not_track": False,
                "tags": [],
                "config_data": {},
            },
            "hook_references": [],
            "is_site": False,
            "sort_by": 0,
            "user_owners": [],
            "user_group_owners": [],
        }

    def _oas(self) -> dict[str, Any]:
        server: dict[str, Any] = {"listenPath": {"value": self.listen_path, "strip": True}}
        if self.protected:
            server["authentication"] = {
                "enabled": True,
                "custom": {"enabled": True, "config": {}, "header": {"enabled": True, "name": "Authorization"}},
            }
        extension: dict[str, Any] = {
            "info": {
                "id": self.id,
                "dbId": self.db_id,
                "orgId": ORG_ID,
                "name": self.name.capitalize(),
                "state": {"active": True, "internal": False},
            },
            "server": server,
            "upstream": {"url": "http://upstream:8000/"},
        }
        if self.bundle:
            plugins = {"driver": "goplugin", "bundle": {"enabled": True, "path": self.bundle}}
            extension["middleware"] = {"global": {"pluginConfig": plugins}}
        return {
            "openapi": "3.0.3",
            "info": {"title": self.name.capitalize(), "version": "1.0.0"},
            "servers": [{"url": f"http://localhost{self.listen_path}"}],
            "security": [],
            "paths": {},
            "components": {},
            "x-tyk-api-gateway": extension,
        }


_APIS = (
    Api("orders", "classic", HEADER),
    Api("invoices", "classic", HEADER),
    Api("customers", "classic", HEADER),
    Api("payments", "classic", AUTH),
    Api("accounts", "classic", AUTH),
    Api("catalog", "classic", None),
    Api("search", "classic", None),
    Api("status", "classic", None),
    Api("shipments", "oas", HEADER),
    Api("returns", "oas", HEADER),
    Api("ledger", "oas", AUTH),
    Api("vault", "oas", AUTH),
)


def apis(version: str) -> tuple[Api, ...]:
    """What gateways of that version serve: OAS APIs exist since 4.1.0, and name a bundle since 5.0.0."""
    if numbers(version) >= (5, 0, 0):
        return _APIS
    described: dict[str, Any] = {"plugin": None} if numbers(version) >= (4, 1, 0) else {"kind": "classic"}
    return tuple(replace(api, **described) if api.kind == "oas" else api for api in _APIS)


def bundle(plugin: Plugin, built: dict[str, bytes]) -> bytes:
    """A bundle as ``tyk bundle build`` makes it: manifest.json first, MD5 over the listed files in their order.

    ``built`` is the plugin for each version that the bundle serves.
    """
    files = {plugin.file(version): content for version, content in built.items()}
    manifest = {
        "file_list": list(files),
        "custom_middleware": plugin.middleware(),
        "checksum": hashlib.md5(b"".join(files.values())).hexdigest(),  # noqa: S324 - the format wants MD5
        "signature": "",
    }
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w", zipfile.ZIP_DEFLATED, compresslevel=6) as archive:
        for member, data in (("manifest.json", json.dumps(manifest, indent=2).encode()), *files.items()):
            archive.writestr(zipfile.ZipInfo(member, date_time=(1980, 1, 1, 0, 0, 0)), data, zipfile.ZIP_DEFLATED)
    return buffer.getvalue()
