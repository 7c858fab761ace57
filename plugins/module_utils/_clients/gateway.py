# Copyright (c) 2026 tyk.upgrade contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Gateways, many at once: what they say about themselves, waiting for them, reloading them.

/hello is no proof of health by itself: it says "pass" before anything was checked (no details for the first ten
seconds), before the APIs are loaded, and for about two minutes after the control plane is gone. So a wait asks for the
details, for the version of the running process, and for a real request to a known API.
"""

from __future__ import annotations

import time
from dataclasses import dataclass, field
from typing import Any, Callable, Dict, List, Mapping, Optional, Sequence, Tuple

from ansible_collections.tyk.upgrade.plugins.module_utils._clients.errors import ClientError, mask_url
from ansible_collections.tyk.upgrade.plugins.module_utils._clients.http import (
    Answer,
    HttpClient,
    Unreachable,
    in_parallel,
    join_url,
    where,
)
from ansible_collections.tyk.upgrade.plugins.module_utils._domain.findings import Finding, error, warning

#: The first and the longest pause between two looks at one gateway, in seconds.
_FIRST_PAUSE = 0.2
_LONGEST_PAUSE = 1.0


@dataclass(frozen=True)
class Gateway:
    """One gateway as the inventory knows it. url is its control address as seen from here."""

    name: str
    url: str
    secret: str = ""


@dataclass(frozen=True)
class Health:
    """What one gateway answered at one moment.

    version is without a leading v, and None when nothing answered. details maps each check that the gateway has made
    to its status; it is empty until the first check. ready is None when the version has no readiness endpoint
    (before 5.8.3). latency_ms is the time of the /hello call.
    """

    gateway: Gateway
    reachable: bool = False
    version: Optional[str] = None
    status: Optional[str] = None
    details: Mapping[str, str] = field(default_factory=dict)
    ready: Optional[bool] = None
    latency_ms: Optional[float] = None
    error: Optional[str] = None


@dataclass(frozen=True)
class KnownApi:
    """A request that must be answered with one of these statuses once the APIs are loaded."""

    path: str
    headers: Mapping[str, str] = field(default_factory=dict)
    status: Sequence[int] = (200,)


@dataclass(frozen=True)
class Wanted:
    """What a gateway must show. None for redis or rpc means: it must pass if the gateway lists it."""

    version: Optional[str] = None
    redis: Optional[bool] = True
    rpc: Optional[bool] = None
    api: Optional[KnownApi] = None


@dataclass(frozen=True)
class Seen:
    """A gateway's health and what is still missing; complete when nothing is."""

    health: Health
    waiting_for: Tuple[str, ...] = ()


def waits_for_answer(health: Health, wanted: Wanted) -> Optional[str]:
    """The gateway must answer at its health endpoint."""
    del wanted
    return None if health.reachable else f"an answer ({health.error})"


def waits_for_version(health: Health, wanted: Wanted) -> Optional[str]:
    """The running process must be of the wanted version."""
    if wanted.version is None or not health.reachable or health.version == strip_v(wanted.version):
        return None
    return f"version {strip_v(wanted.version)} (it runs {health.version or 'an unnamed version'})"


def waits_for_redis(health: Health, wanted: Wanted) -> Optional[str]:
    """The gateway must have checked its Redis and found it well."""
    return _waits_for_detail(health, "redis", wanted.redis)


def waits_for_rpc(health: Health, wanted: Wanted) -> Optional[str]:
    """The gateway must have checked its control plane and found it well."""
    return _waits_for_detail(health, "rpc", wanted.rpc)


def waits_for_readiness(health: Health, wanted: Wanted) -> Optional[str]:
    """A gateway that has a readiness endpoint must say that it is ready."""
    del wanted
    return "readiness (its readiness endpoint says no)" if health.reachable and health.ready is False else None


#: Everything that must hold before a real request is worth sending, in the order in which it usually becomes true.
PREDICATES: Tuple[Callable[[Health, Wanted], Optional[str]], ...] = (
    waits_for_answer,
    waits_for_version,
    waits_for_readiness,
    waits_for_redis,
    waits_for_rpc,
)


def _waits_for_detail(health: Health, name: str, wanted: Optional[bool]) -> Optional[str]:
    if wanted is False or not health.reachable:
        return None
    said = health.details.get(name)
    if said == "pass" or (said is None and wanted is None):
        return None
    if said is None:
        return f"details.{name} pass ({'not listed' if health.details else 'no details yet'})"
    return f"details.{name} pass (it says {said})"


def strip_v(version: str) -> str:
    """v4.0.3 and 5.2.1 are both ways in which gateways write their version; this one has no v."""
    return version[1:] if version[:1] in ("v", "V") else version


class GatewayClient:
    """Asks gateways. One client serves all of them, over one pool of connections."""

    def __init__(self, http: HttpClient, health_path: str = "hello", ready_path: str = "ready") -> None:
        self._http = http
        self._health_path = health_path.strip("/")
        self._ready_path = ready_path.strip("/")

    def health(self, gateway: Gateway, timeout: Optional[float] = None) -> Health:
        """What the gateway says now. Never raises: a gateway that does not answer is an observation too."""
        url = join_url(gateway.url, self._health_path)
        try:
            answer = self._http.request("GET", url, timeout=timeout)
        except Unreachable as problem:
            return Health(gateway, error=f"{where('GET', url)}: {problem}")
        said = answer.json_object()
        # 5.8.3, 5.8.6 to 5.8.12 and 5.9.0 answer 503 with the same JSON when a critical check fails.
        if answer.status not in (200, 503) or "status" not in said:
            clause = f"{where('GET', url)} answered {answer.status} with {answer.gist()}, which is no gateway's health"
            return Health(gateway, error=clause)
        return Health(
            gateway,
            reachable=True,
            version=strip_v(str(said.get("version") or "")) or None,
            status=str(said["status"]),
            details=_details(said),
            ready=self._ready(gateway, timeout),
            latency_ms=round(answer.seconds * 1000, 1),
        )

    def _ready(self, gateway: Gateway, timeout: Optional[float]) -> Optional[bool]:
        try:
            answer = self._http.request("GET", join_url(gateway.url, self._ready_path), timeout=timeout)
        except Unreachable:
            return None
        if answer.status not in (200, 503) or "status" not in answer.json_object():
            return None
        return answer.status == 200

    def see(self, gateway: Gateway, wanted: Wanted, timeout: Optional[float] = None) -> Seen:
        """One look at a gateway, and what is missing."""
        health = self.health(gateway, timeout)
        missing = [clause for clause in (predicate(health, wanted) for predicate in PREDICATES) if clause]
        if wanted.api is not None and health.reachable:
            if missing:
                missing.append(f"the API at {wanted.api.path} (not asked yet)")
            else:
                missing.extend(self._waits_for_api(gateway, wanted.api, timeout))
        return Seen(health, tuple(missing))

    def _waits_for_api(self, gateway: Gateway, api: KnownApi, timeout: Optional[float]) -> List[str]:
        expected = " or ".join(str(status) for status in api.status)
        try:
            url = gateway.url.rstrip("/") + "/" + api.path.lstrip("/")
            answer = self._http.request("GET", url, headers=api.headers, timeout=timeout)
        except Unreachable as problem:
            return [f"the API at {api.path} to answer {expected} ({problem})"]
        if answer.status in api.status:
            return []
        return [f"the API at {api.path} to answer {expected} (it answered {answer.status})"]

    def see_all(self, gateways: Sequence[Gateway], wanted: Wanted, workers: int) -> List[Seen]:
        """One look at each gateway, at the same time."""
        return list(in_parallel(lambda gateway: self.see(gateway, wanted), gateways, workers))

    def wait_all(self, gateways: Sequence[Gateway], wanted: Wanted, workers: int, wait_timeout: float) -> List[Seen]:
        """Look at each gateway again and again until nothing is missing, or until the time is over."""
        deadline = time.monotonic() + wait_timeout
        return list(in_parallel(lambda gateway: self._wait(gateway, wanted, deadline), gateways, workers))

    def _wait(self, gateway: Gateway, wanted: Wanted, deadline: float) -> Seen:
        pause = _FIRST_PAUSE
        while True:
            left = deadline - time.monotonic()
            seen = self.see(gateway, wanted, timeout=max(0.5, min(self._http.timeout, left)))
            if not seen.waiting_for or time.monotonic() + pause >= deadline:
                return seen
            time.sleep(pause)
            pause = min(pause * 1.5, _LONGEST_PAUSE)

    def reload(
        self, gateway: Gateway, group: bool = False, block: bool = True, timeout: Optional[float] = None
    ) -> float:
        """Make the gateway (or, by its Redis, every gateway of its group) load APIs and policies anew.

        Returns the seconds it took. A gateway up to 5.3.0 is deaf to signals for its first ten seconds; the blocking
        call on the node itself always works. Raises ClientError.
        """
        url = join_url(gateway.url, *(("tyk", "reload", "group") if group else ("tyk", "reload")))
        params = {"block": "true"} if block and not group else None
        try:
            answer = self._http.request(
                "GET", url, headers={"X-Tyk-Authorization": gateway.secret}, params=params, timeout=timeout
            )
        except Unreachable as problem:
            raise ClientError(
                "gateway-unreachable",
                gateway.name,
                f"The reload of gateway {gateway.name} ({where('GET', url)}) was not confirmed: {problem}.",
                "Check the address and the gateway's log; with a blocking reload, allow for the time its bundles take.",
            ) from problem
        self._check_reload(gateway, url, answer)
        return answer.seconds

    def _check_reload(self, gateway: Gateway, url: str, answer: Answer) -> None:
        if answer.status == 200 and answer.json_object().get("status") == "ok":
            return
        remedy = "Look into the gateway's log."
        if answer.status in (401, 403):
            remedy = "Give the gateway's own secret (its configuration key 'secret', or TYK_GW_SECRET)."
        elif answer.status == 404:
            remedy = (
                "Give the address of the gateway's control API; with control_api_port set it has a port of its own."
            )
        raise ClientError(
            "gateway-not-ready",
            gateway.name,
            f"The reload of gateway {gateway.name} was refused: {where('GET', url)} answered {answer.status} with "
            f"{answer.gist()}.",
            remedy,
        )


def _details(said: Mapping[str, Any]) -> Dict[str, str]:
    details = said.get("details")
    if not isinstance(details, dict):
        return {}
    return {str(name): str(check.get("status", "")) for name, check in details.items() if isinstance(check, dict)}


def findings(health: Health) -> List[Finding]:
    """What is wrong with a gateway at this moment."""
    name = health.gateway.name
    if not health.reachable:
        return [
            error(
                "gateway-unreachable",
                name,
                f"Gateway {name} did not answer: {health.error}.",
                f"Start it, or correct its address ({mask_url(health.gateway.url)}).",
            )
        ]
    found: List[Finding] = []
    if not health.details:
        found.append(
            warning(
                "gateway-not-ready",
                name,
                f"Gateway {name} has made no health check yet, so what it says about itself proves nothing.",
                "Wait ten seconds and look again.",
            )
        )
    if health.ready is False:
        found.append(
            error(
                "gateway-not-ready",
                name,
                f"Gateway {name} answers but says that it is not ready to serve.",
                "Look into its log: it has no Redis, or has not loaded its APIs.",
            )
        )
    for check, code, what in (("redis", "gateway-redis", "its Redis"), ("rpc", "gateway-rpc", "its control plane")):
        if health.details.get(check, "pass") != "pass":
            found.append(
                error(
                    code,
                    name,
                    f"Gateway {name} has lost {what}: its health check '{check}' says {health.details[check]}.",
                    f"Bring {what} back before anything is changed.",
                )
            )
    return found
