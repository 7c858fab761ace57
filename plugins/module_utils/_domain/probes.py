# Copyright (c) 2026 tyk.upgrade contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""From what a user says about a plugin to the requests that prove its effect.

A status of 200 proves nothing: several releases serve an API without its plugin when the plugin or its bundle
cannot be loaded, authentication included, and most answer a request on which a plugin panics with 200 and an empty
body. So every plugin has a probe with an *effect* and, where it guards an API, a request that must be *refused*.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any, Collection, Dict, Iterable, List, Mapping, Sequence

DEFAULT_DENY_STATUS = (401, 403)


class ProbeError(ValueError):
    """A probe that cannot be turned into a request; the message is a sentence for the user."""


@dataclass(frozen=True)
class Target:
    """One request of the traffic probe. `path` is absolute on the gateway, `kind` is plain, effect or deny."""

    name: str
    path: str
    kind: str
    status: Sequence[int]
    method: str = "GET"
    headers: Mapping[str, str] = field(default_factory=dict)
    expect_headers: Mapping[str, str] = field(default_factory=dict)

    def to_dict(self, base_url: str) -> Dict[str, Any]:
        """The shape that the module traffic_probe takes, for the gateway or load balancer at base_url."""
        return {
            "name": self.name,
            "url": base_url.rstrip("/") + self.path,
            "method": self.method,
            "headers": dict(self.headers),
            "kind": self.kind,
            "expect": {"status": list(self.status), "headers": dict(self.expect_headers)},
        }


def targets(
    plugins: Iterable[Mapping[str, Any]], apis: Sequence[Mapping[str, Any]], without: Collection[str] = ()
) -> List[Target]:
    """The requests that the probes of these plugins ask for.

    plugins: entries of tyk_plugins; apis: the API definitions as observed (id, name, listen_path); without: the ids of
    APIs that nothing is asked of.
    Raises ProbeError when a probe names an API that is not there, or nothing to expect.
    """
    found: List[Target] = []
    for plugin in plugins:
        probe = plugin.get("probe")
        if probe:
            name = str(plugin.get("name"))
            api = _api(name, str(probe.get("api", "")), apis)
            if str(api.get("id")) not in without:
                found.extend(_plugin_targets(name, probe, str(api.get("listen_path") or "/")))
    return found


def _plugin_targets(plugin: str, probe: Mapping[str, Any], listen_path: str) -> List[Target]:
    expect = probe.get("expect") or {}
    effect = dict(expect.get("headers") or {})
    deny = probe.get("deny")
    if not effect and not deny:
        raise ProbeError(
            "The probe of plugin '%s' expects no header and refuses nothing, so it cannot tell whether the plugin runs; "
            "give it expect.headers, or deny." % plugin
        )
    headers = {str(k): str(v) for k, v in (probe.get("headers") or {}).items()}
    method = str(probe.get("method", "GET"))
    result = [
        Target(
            name="%s effect" % plugin if effect else "%s allowed" % plugin,
            path=_join(listen_path, str(probe.get("path", "/"))),
            kind="effect" if effect else "plain",
            status=_statuses(expect.get("status", 200)),
            method=method,
            headers=headers,
            expect_headers=effect,
        )
    ]
    if deny:
        without = {str(name).lower() for name in deny.get("without") or []}
        kept = {k: v for k, v in headers.items() if k.lower() not in without}
        kept.update({str(k): str(v) for k, v in (deny.get("headers") or {}).items()})
        result.append(
            Target(
                name="%s refusal" % plugin,
                path=_join(listen_path, str(deny.get("path", probe.get("path", "/")))),
                kind="deny",
                status=_statuses(deny.get("status", list(DEFAULT_DENY_STATUS))),
                method=method,
                headers=kept,
            )
        )
    return result


def _api(plugin: str, wanted: str, apis: Sequence[Mapping[str, Any]]) -> Mapping[str, Any]:
    for api in apis:
        if wanted and wanted in (api.get("id"), api.get("name")):
            return api
    raise ProbeError(
        "The probe of plugin '%s' names the API '%s', which the Dashboard does not list; known are: %s."
        % (plugin, wanted, ", ".join(sorted(str(api.get("name")) for api in apis)) or "none")
    )


def _join(listen_path: str, path: str) -> str:
    return "/%s/%s" % (listen_path.strip("/"), path.lstrip("/"))


def _statuses(value: Any) -> List[int]:
    return [int(entry) for entry in (value if isinstance(value, (list, tuple)) else [value])]
