# Copyright (c) 2026 tyk.upgrade contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""In which order gateways are replaced, and how many at a time.

Waves are gates: [1, "25%", "100%"] means that the first gateway alone, then a quarter of all, then all must be done and
proven before more follow. Inside a wave, batches keep to what may be out of the load balancer at once.
"""

from __future__ import annotations

import re
from typing import Collection, Dict, Iterable, List, Protocol, Sequence, TypeVar, Union

from ansible_collections.tyk.upgrade.plugins.module_utils._domain.findings import DomainError, error

Count = Union[int, str]

_NUMBER = re.compile(r"[1-9][0-9]*")
_PERCENTAGE = re.compile(r"([1-9][0-9]?|100)\s*%")


class Replaceable(Protocol):
    """What the order looks at."""

    @property
    def host(self) -> str:
        """The inventory name."""

    @property
    def deployment(self) -> str:
        """How it is deployed: docker, package, helm, …"""

    @property
    def ready(self) -> bool:
        """Whether it serves now."""


Gateway = TypeVar("Gateway", bound=Replaceable)


def count(value: object, total: int, setting: str) -> int:
    """How many of the total a number or percentage means: rounded down, at least one, at most the total.

    Raises DomainError (setting-invalid) naming the setting.
    """
    if isinstance(value, int) and not isinstance(value, bool) and value >= 1:
        return min(value, total)
    text = value.strip() if isinstance(value, str) else ""
    if _NUMBER.fullmatch(text):
        return min(int(text), total)
    percentage = _PERCENTAGE.fullmatch(text)
    if percentage:
        return min(max(1, total * int(percentage.group(1)) // 100), total)
    raise DomainError(
        error(
            "setting-invalid",
            setting,
            f"{setting} contains {value!r}, which is neither a number from 1 nor a percentage from 1% to 100%.",
            f"Correct {setting}; 1 is always safe, for a wave as for a batch.",
        )
    )


def sizes(waves: Sequence[Count], total: int) -> List[int]:
    """The gates as numbers of gateways, cumulative and rising; the last one is the total.

    A gate that adds nothing to the one before is left out; what the last gate leaves over forms a wave of its own.
    """
    if isinstance(waves, str) or not isinstance(waves, Sequence) or not waves:
        raise DomainError(
            error("setting-invalid", "tyk_waves", "tyk_waves is not a list of gates.", "Set it to [1, 25%, 100%], say.")
        )
    gates: List[int] = []
    for gate in [count(wave, total, "tyk_waves") for wave in waves] + [total]:
        if gate > (gates[-1] if gates else 0):
            gates.append(gate)
    return gates


def split(hosts: Sequence[str], waves: Sequence[Count]) -> List[List[str]]:
    """The hosts of each wave, in order."""
    gates = sizes(waves, len(hosts))
    return [list(hosts[start:end]) for start, end in zip([0] + gates, gates)]


def batches(hosts: Sequence[str], waves: Sequence[Count], max_unavailable: Count) -> List[List[str]]:
    """The hosts that are replaced together, in order: never more than max_unavailable, never across a gate."""
    at_once = max(1, count(max_unavailable, len(hosts), "tyk_max_unavailable"))
    return [wave[start : start + at_once] for wave in split(hosts, waves) for start in range(0, len(wave), at_once)]


def order(gateways: Iterable[Gateway], canaries: Collection[str] = ()) -> List[Gateway]:
    """The order of replacement.

    Gateways that are not ready come first: they have least to lose. Then one canary of each kind of deployment, so that
    each kind is tried once before any of them goes on; among equals a host named as canary is preferred, then the
    given order counts.
    """
    ready_last = sorted(gateways, key=lambda gateway: (gateway.ready, gateway.host not in canaries))
    first_of_kind: Dict[str, str] = {}
    for gateway in ready_last:
        if gateway.ready:
            first_of_kind.setdefault(gateway.deployment, gateway.host)
    return sorted(
        ready_last,
        key=lambda gateway: (gateway.ready, first_of_kind.get(gateway.deployment) != gateway.host),
    )
