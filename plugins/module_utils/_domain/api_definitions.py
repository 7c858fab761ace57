# Copyright (c) 2026 tyk.upgrade contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""API definitions: where the classic and the OAS kind keep the plugin bundle, and what counts as a change.

A definition is met in three forms, and every function here takes each of them: the item of the Dashboard's list (a
wrapper around the classic form, and around the OAS document for OAS APIs), a classic definition, an OAS document.
"""

from __future__ import annotations

import copy
import hashlib
import json
from dataclasses import asdict, dataclass
from typing import Any, Dict, Iterable, List, Mapping, MutableMapping, Tuple, cast

from ansible_collections.tyk.upgrade.plugins.module_utils._domain.bundles import GO_DRIVER
from ansible_collections.tyk.upgrade.plugins.module_utils._domain.findings import DomainError, error

CLASSIC = "classic"
OAS = "oas"
EXTENSION = "x-tyk-api-gateway"

_STAMPS = ("created_at", "createdAt", "updated_at", "updatedAt", "last_updated", "lastUpdated")

#: Fields that the server fills in by itself at each write, by their exact place: a field of the same name anywhere else
#: (a schema's property, a header) belongs to the user, and a change of it is drift.
VOLATILE: Dict[str, Tuple[Tuple[str, ...], ...]] = {
    CLASSIC: tuple((stamp,) for stamp in _STAMPS)
    + (("graphql", "last_schema_update"), ("graphql", "supergraph", "updated_at")),
    OAS: tuple((EXTENSION, "info", stamp) for stamp in _STAMPS),
}

#: Classic fields of which one must be true for a plugin's auth_check to run (custom_plugin_auth_enabled since 5.0.0).
_CLASSIC_AUTH_FLAGS = ("custom_plugin_auth_enabled", "use_go_plugin_auth", "enable_coprocess_auth")

_CLASSIC_HOOKS = ("pre", "post_key_auth", "post", "response")

#: Parts of an OAS API that can have plugins of their own (v5.14.0:apidef/oas/middleware.go, mcp_primitive.go).
_OAS_OPERATIONS = ("operations", "mcpTools", "mcpResources", "mcpPrompts")

#: OAS hooks by path: the lists since 5.3.0, and the objects around a list of 5.0 to 5.2, which are still read.
_OAS_HOOKS = ("prePlugins", "postAuthenticationPlugins", "postPlugins", "responsePlugins")
_OAS_OLD_HOOKS = ("prePlugin", "postAuthenticationPlugin", "postPlugin", "responsePlugin")


@dataclass(frozen=True)
class Api:
    """What an upgrade needs to know of an API.

    id: what the API is known by everywhere; db_id: the Dashboard's own key. endpoint_plugins: paths of Go plugins that
    the API loads outside a bundle; analytics_plugin: the one among them that works on analytics records, which
    gateways look for under rules of its own. digest: changes with every real change of the definition.
    """

    id: str
    db_id: str
    name: str
    kind: str
    active: bool
    listen_path: str
    bundle: str
    bundle_enabled: bool
    driver: str
    endpoint_plugins: Tuple[str, ...]
    analytics_plugin: str
    auth_plugin: bool
    digest: str

    def to_dict(self) -> Dict[str, Any]:
        """The API as a state carries it."""
        return {**asdict(self), "endpoint_plugins": list(self.endpoint_plugins)}


def kind_of(definition: Mapping[str, Any]) -> str:
    """classic or oas.

    Gateway and Dashboard also derive a classic form from an OAS API (is_oas is true in it). It must never be written
    back, so it counts as OAS.
    """
    if _is_oas_document(definition):
        return OAS
    if _is_wrapper(definition):
        return OAS if EXTENSION in _mapping(definition.get("oas")) else kind_of(_at(definition, "api_definition"))
    return OAS if definition.get("is_oas") is True else CLASSIC


def document_of(definition: Mapping[str, Any]) -> Mapping[str, Any]:
    """The definition proper: of a wrapper the OAS document if there is one, else the classic definition."""
    if not _is_wrapper(definition):
        return definition
    document = _at(definition, "oas")
    return document if EXTENSION in document else _at(definition, "api_definition")


def from_dashboard_item(item: Mapping[str, Any]) -> Api:
    """Read an item of the Dashboard's list, or a definition by itself."""
    document = document_of(item)
    return _from_oas(document) if _is_oas_document(document) else _from_classic(document)


def get_bundle(definition: Mapping[str, Any]) -> str:
    """The bundle that the definition names; empty if none. Says nothing about whether it is enabled."""
    document = document_of(definition)
    if _is_oas_document(document):
        return str(_at(document, EXTENSION, "middleware", "global", "pluginConfig", "bundle").get("path") or "")
    return str(document.get("custom_middleware_bundle") or "")


def with_bundle(definition: Mapping[str, Any], name: str) -> Dict[str, Any]:
    """A copy of the definition that names another bundle, or none if the name is empty; nothing else changes.

    A bundle that is switched off stays off. Of a wrapper every key is kept: the Dashboard drops ownership and hooks
    that an update leaves out. Raises DomainError (oas-migration) for the classic form of an OAS API, which the
    Dashboard refuses or damages.
    """
    changed = copy.deepcopy(dict(definition))
    document = document_of(changed)
    if _is_oas_document(document):
        _set_oas_bundle(document, name)
        return changed
    if kind_of(definition) == OAS:
        raise DomainError(
            error(
                "oas-migration",
                str(document.get("api_id") or document.get("name") or "API"),
                f"{document.get('name') or document.get('api_id')} is an OAS API, but its classic form was given.",
                "Read and write it as an OAS document (/api/apis/oas/{id}).",
                "v5.3.0:gateway/api.go (ErrAPIMigrated); Dashboard: allow_unsafe_oas",
            )
        )
    if name or document.get("custom_middleware_bundle"):
        _writable(document)["custom_middleware_bundle"] = name
    return changed


def without_volatile(definition: Mapping[str, Any]) -> Dict[str, Any]:
    """A copy without the fields that the server fills in by itself."""
    stripped = copy.deepcopy(dict(definition))
    parts = [stripped]
    if _is_wrapper(stripped):
        parts += [part for part in (stripped["api_definition"], stripped.get("oas")) if isinstance(part, dict)]
    for part in parts:
        for place in VOLATILE[OAS if _is_oas_document(part) else CLASSIC]:
            _remove(part, place)
    return stripped


def canonical(definition: Mapping[str, Any]) -> bytes:
    """The definition proper as bytes that differ exactly when it really changed.

    The order of keys does not matter, the order of lists does. Of a wrapper only the definition counts: ownership and
    categories are the Dashboard's business and are carried over as they are found when writing.
    """
    document = without_volatile(document_of(definition))
    return json.dumps(document, sort_keys=True, separators=(",", ":")).encode("ascii")


def digest(definition: Mapping[str, Any]) -> str:
    """SHA-256 of the canonical bytes."""
    return hashlib.sha256(canonical(definition)).hexdigest()


def diff(before: Mapping[str, Any], after: Mapping[str, Any]) -> Dict[str, Dict[str, Any]]:
    """Only what changed, in its place: {"before": {...}, "after": {...}}. Lists count as one value each."""
    left, right = _changed(without_volatile(before), without_volatile(after))
    return {"before": left, "after": right}


def _from_classic(document: Mapping[str, Any]) -> Api:
    bundle = get_bundle(document)
    enabled = bool(bundle) and document.get("custom_middleware_bundle_disabled") is not True
    return Api(
        id=str(document.get("api_id") or ""),
        db_id=str(document.get("id") or ""),
        name=str(document.get("name") or ""),
        kind=kind_of(document),
        active=document.get("active") is True,
        listen_path=str(_at(document, "proxy").get("listen_path") or ""),
        bundle=bundle,
        bundle_enabled=enabled,
        driver=str(_at(document, "custom_middleware").get("driver") or ""),
        endpoint_plugins=_unique(_classic_plugin_paths(document, enabled)),
        analytics_plugin=_classic_analytics_plugin(document),
        auth_plugin=any(document.get(flag) is True for flag in _CLASSIC_AUTH_FLAGS),
        digest=digest(document),
    )


def _from_oas(document: Mapping[str, Any]) -> Api:
    bundle = get_bundle(document)
    about = _at(document, EXTENSION, "info")
    plugin_config = _at(document, EXTENSION, "middleware", "global", "pluginConfig")
    enabled = bool(bundle) and _at(plugin_config, "bundle").get("enabled") is True
    return Api(
        id=str(about.get("id") or ""),
        db_id=str(about.get("dbId") or ""),
        name=str(about.get("name") or _at(document, "info").get("title") or ""),
        kind=OAS,
        active=_at(about, "state").get("active") is True,
        listen_path=str(_at(document, EXTENSION, "server", "listenPath").get("value") or ""),
        bundle=bundle,
        bundle_enabled=enabled,
        driver=str(plugin_config.get("driver") or ""),
        endpoint_plugins=_unique(_oas_plugin_paths(document, enabled)),
        analytics_plugin=_oas_analytics_plugin(document),
        auth_plugin=_at(document, EXTENSION, "server", "authentication", "custom").get("enabled") is True,
        digest=digest(document),
    )


def _classic_plugin_paths(document: Mapping[str, Any], bundled: bool) -> Iterable[str]:
    """Go plugins by path: per endpoint, for analytics, and the API's own hooks when no bundle replaces them."""
    for version in _at(document, "version_data", "versions").values():
        for endpoint in _mappings(_at(_mapping(version), "extended_paths").get("go_plugin")):
            if endpoint.get("disabled") is not True:
                yield str(endpoint.get("plugin_path") or "")
    yield _classic_analytics_plugin(document)
    middleware = _at(document, "custom_middleware")
    if not bundled and middleware.get("driver") == GO_DRIVER:
        for kind in _CLASSIC_HOOKS:
            yield from (str(hook.get("path") or "") for hook in _mappings(middleware.get(kind)))
        yield str(_at(middleware, "auth_check").get("path") or "")


def _classic_analytics_plugin(document: Mapping[str, Any]) -> str:
    analytics = _at(document, "analytics_plugin")
    enabled = analytics.get("enable") is True or analytics.get("enabled") is True
    return str(analytics.get("plugin_path") or "") if enabled else ""


def _oas_analytics_plugin(document: Mapping[str, Any]) -> str:
    """Since 5.8.0; a list of which only the first entry counts (v5.8.0:apidef/oas/middleware.go, TrafficLogs)."""
    plugins = _mappings(_at(document, EXTENSION, "middleware", "global", "trafficLogs").get("plugins"))
    return str(plugins[0].get("path") or "") if plugins and plugins[0].get("enabled") is True else ""


def _oas_plugin_paths(document: Mapping[str, Any], bundled: bool) -> Iterable[str]:
    middleware = _at(document, EXTENSION, "middleware")
    for kind in _OAS_OPERATIONS:
        for operation in _at(middleware, kind).values():
            yield from _enabled_paths(_mapping(operation).get("postPlugins"))
    yield _oas_analytics_plugin(document)
    for_all = _at(middleware, "global")
    if not bundled and _at(for_all, "pluginConfig").get("driver") == GO_DRIVER:
        for kind in _OAS_HOOKS:
            yield from _enabled_paths(for_all.get(kind))
        for kind in _OAS_OLD_HOOKS:
            yield from _enabled_paths(_at(for_all, kind).get("plugins"))
        custom = _at(document, EXTENSION, "server", "authentication", "custom")
        if custom.get("enabled") is True:
            yield str(_at(custom, "config").get("path") or "")


def _enabled_paths(entries: object) -> Iterable[str]:
    return (str(entry.get("path") or "") for entry in _mappings(entries) if entry.get("enabled") is not False)


def _set_oas_bundle(document: Mapping[str, Any], name: str) -> None:
    """Name the bundle in place. Driver and enabled are required beside it (v5.0.3:apidef/oas/middleware.go:188-265)."""
    if not name:
        _writable(_at(document, EXTENSION, "middleware", "global", "pluginConfig")).pop("bundle", None)
        return
    plugin_config = _made(document, EXTENSION, "middleware", "global", "pluginConfig")
    plugin_config.setdefault("driver", GO_DRIVER)
    bundle = _made(plugin_config, "bundle")
    bundle.setdefault("enabled", True)
    bundle["path"] = name


def _changed(before: Mapping[str, Any], after: Mapping[str, Any]) -> Tuple[Dict[str, Any], Dict[str, Any]]:
    left: Dict[str, Any] = {}
    right: Dict[str, Any] = {}
    for key in sorted({*before, *after}):
        old, new = before.get(key), after.get(key)
        if key in before and key in after and _same(old, new):
            continue
        if isinstance(old, Mapping) and isinstance(new, Mapping):
            left[key], right[key] = _changed(old, new)
            continue
        if key in before:
            left[key] = old
        if key in after:
            right[key] = new
    return left, right


def _same(old: object, new: object) -> bool:
    """Equal as JSON: true is not 1."""
    return json.dumps(old, sort_keys=True) == json.dumps(new, sort_keys=True)


def _is_oas_document(definition: Mapping[str, Any]) -> bool:
    return EXTENSION in definition or "openapi" in definition


def _is_wrapper(definition: Mapping[str, Any]) -> bool:
    return isinstance(definition.get("api_definition"), Mapping) and not _is_oas_document(definition)


def _remove(document: MutableMapping[str, Any], place: Tuple[str, ...]) -> None:
    holder = _at(document, *place[:-1])
    if place[-1] in holder:
        del _writable(holder)[place[-1]]


def _at(document: Mapping[str, Any], *keys: str) -> Mapping[str, Any]:
    """The object at this place; an empty one if there is none."""
    for key in keys:
        document = _mapping(document.get(key))
    return document


def _made(document: Mapping[str, Any], *keys: str) -> MutableMapping[str, Any]:
    """The object at this place, made if there is none."""
    for key in keys:
        holder = _writable(document)
        if not isinstance(holder.get(key), dict):
            holder[key] = {}
        document = holder[key]
    return _writable(document)


def _writable(document: Mapping[str, Any]) -> MutableMapping[str, Any]:
    """The same object, known to be a copy that may be written to."""
    return cast(MutableMapping[str, Any], document)


def _mapping(value: object) -> Mapping[str, Any]:
    return value if isinstance(value, Mapping) else {}


def _mappings(value: object) -> List[Mapping[str, Any]]:
    return [item for item in value if isinstance(item, Mapping)] if isinstance(value, list) else []


def _unique(paths: Iterable[str]) -> Tuple[str, ...]:
    return tuple(sorted({path for path in paths if path}))
