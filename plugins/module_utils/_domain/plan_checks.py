# Copyright (c) 2026 tyk.upgrade contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Why an upgrade must not start: everything wrong with the versions and with what shall be replaced."""

from __future__ import annotations

from collections import Counter
from typing import Dict, List, Optional, Sequence, Tuple, Union

from ansible_collections.tyk.upgrade.plugins.module_utils._domain.behaviours import backup_readable, behaves, source
from ansible_collections.tyk.upgrade.plugins.module_utils._domain.findings import (
    WEIGHT,
    DomainError,
    Finding,
    error,
    info,
    warning,
)
from ansible_collections.tyk.upgrade.plugins.module_utils._domain.plan_model import Wanted, natural
from ansible_collections.tyk.upgrade.plugins.module_utils._domain.releases import release
from ansible_collections.tyk.upgrade.plugins.module_utils._domain.state import Gateway, Pump, State
from ansible_collections.tyk.upgrade.plugins.module_utils._domain.versions import Version

#: From here on the Dashboard keeps OAS definitions in another form and gateways read plugins of OAS APIs as lists.
OAS_MIGRATION = Version(5, 3, 0)

#: What is replaced as a container, and what as a Linux package.
CONTAINERS = ("docker", "compose")
PACKAGES = ("package",)

#: What is wrong with the wishes themselves comes first: other findings often only follow from it.
_CAUSES = ("version-not-string", "version-unknown", "version-lower", "setting-invalid")


def read_version(text: Optional[str]) -> Optional[Version]:
    """The version, or None when there is none or it cannot be read."""
    if not text:
        return None
    try:
        return Version.parse(text)
    except ValueError:
        return None


def check(state: State, wanted: Wanted) -> List[Finding]:
    """Everything that can be said before looking at plugins."""
    versions = {gateway.host: read_version(gateway.version) for gateway in state.gateways}
    observed = [version for version in versions.values() if version is not None]
    return [
        *_target(wanted),
        *_reachable(state, versions),
        *_one_origin(state, versions, wanted),
        *_not_backwards(state, wanted, versions),
        *_one_edition(state),
        *_replaceable(state, wanted, versions),
        *_control_plane(state, wanted),
        *_pumps(state, wanted),
        *_oas_migration(state, wanted, observed),
        *_emergency_backup(wanted, observed),
        *_start_needs_control_plane(wanted, observed),
    ]


def origin(versions: Sequence[Version], target: Version) -> Optional[Version]:
    """The version the fleet comes from: the one most gateways run beside the target, the lowest among equals."""
    counted = Counter(version for version in versions if version != target)
    return min(counted, key=lambda version: (-counted[version], version)) if counted else None


def _target(wanted: Wanted) -> List[Finding]:
    try:
        release(wanted.version)
    except DomainError as problem:
        return [problem.finding]
    return []


def _reachable(state: State, versions: Dict[str, Optional[Version]]) -> List[Finding]:
    if not state.gateways:
        return [
            error(
                "setting-invalid",
                "tyk_gateways",
                "There is no gateway to upgrade: the group tyk_gateways is empty.",
                "Put each gateway into the inventory group tyk_gateways.",
            )
        ]
    findings = []
    for gateway in _by_host(state.gateways):
        if not gateway.reachable:
            findings.append(
                error(
                    "gateway-unreachable",
                    gateway.host,
                    f"The gateway {gateway.host} did not answer, so what it runs is not known.",
                    "Start it, correct its tyk_gateway_url, or take it out of the inventory.",
                )
            )
        elif versions[gateway.host] is None:
            said = f"says its version is {gateway.version!r}" if gateway.version else "does not say its version"
            findings.append(
                error(
                    "gateway-version-unexplained",
                    gateway.host,
                    f"The gateway {gateway.host} {said}.",
                    "Upgrades start from a released version; replace this gateway with one by hand first.",
                )
            )
    return findings


def _one_origin(state: State, versions: Dict[str, Optional[Version]], wanted: Wanted) -> List[Finding]:
    """A half-done fleet runs one version and the target. A third version is nobody's plan."""
    before = origin([version for version in versions.values() if version is not None], wanted.version)
    return [
        error(
            "gateway-version-unexplained",
            gateway.host,
            f"The gateway {gateway.host} runs {versions[gateway.host]}, while the others run {before} and the target "
            f"is {wanted.version}; it is not known how it came to that version.",
            f"Bring {gateway.host} to {before} or to {wanted.version} first, or take it out of the inventory.",
        )
        for gateway in _by_host(state.gateways)
        if versions[gateway.host] not in (None, before, wanted.version)
    ]


def _not_backwards(state: State, wanted: Wanted, versions: Dict[str, Optional[Version]]) -> List[Finding]:
    findings = []
    for gateway in _by_host(state.gateways):
        version = versions[gateway.host]
        if version is not None and version > wanted.version:
            findings.append(_lower(gateway.host, "gateway", "tyk_target_version", str(wanted.version), str(version)))
    return findings


def _one_edition(state: State) -> List[Finding]:
    editions = sorted({gateway.edition for gateway in state.gateways})
    if len(editions) < 2:
        return []
    hosts = "; ".join(
        f"{edition}: {', '.join(gateway.host for gateway in _by_host(state.gateways) if gateway.edition == edition)}"
        for edition in editions
    )
    return [
        error(
            "edition-mixed",
            "tyk_gateways",
            f"The gateways are of different editions ({hosts}), which need different builds under the same names.",
            "Upgrade the gateways of each edition in a run of its own, with bundles of their own.",
        )
    ]


def _replaceable(state: State, wanted: Wanted, versions: Dict[str, Optional[Version]]) -> List[Finding]:
    findings = []
    for gateway in _by_host(state.gateways):
        if versions[gateway.host] not in (None, wanted.version):
            findings.extend(_deployed(gateway, "gateway"))
    for pump in sorted(state.pumps, key=lambda pump: natural(pump.host)):
        if wanted.pump_version is not None and read_version(pump.version) != wanted.pump_version:
            findings.extend(_deployed(pump, "pump"))
    return findings


def _deployed(unit: Union[Gateway, Pump], kind: str) -> List[Finding]:
    host, deployment, container, repository = unit.host, unit.deployment, unit.container, unit.target_repository
    if deployment in PACKAGES:
        return [] if unit.package else [_no_package(host, kind)]
    if deployment not in CONTAINERS:
        return [
            error(
                "driver-unsupported",
                host,
                f"The {kind} on {host} is deployed by {deployment!r}; this release replaces containers (docker, "
                "compose) and Linux packages (package).",
                f"Set {kind}_deployment to one of these where that is true, or leave {host} out of this upgrade.",
            )
        ]
    if not container:
        return [
            error(
                "setting-invalid",
                host,
                f"It is not known which container on {host} is the {kind}.",
                f"Set {kind}_container for {host}.",
            )
        ]
    if not repository:
        return [
            error(
                "container-missing",
                host,
                f"The {kind} container {container!r} was not found on {host}, so neither is its image known.",
                f"Correct {kind}_container, or start the container.",
            )
        ]
    return []


def _no_package(host: str, kind: str) -> Finding:
    return error(
        "package-missing",
        host,
        f"No installed package is known to be the {kind} on {host}.",
        f"Correct {kind}_package, or install the package.",
    )


def _control_plane(state: State, wanted: Wanted) -> List[Finding]:
    plane = state.control_plane
    if plane.driver != "manual":
        return [
            error(
                "driver-unsupported",
                "tyk_control_plane_driver",
                f"The control-plane driver {plane.driver!r} is not part of this release.",
                "Upgrade the control plane by other means, set the driver to manual, and confirm the version.",
            )
        ]
    version = read_version(plane.version)
    if not plane.confirmed or version is None:
        said = f"{plane.version!r} is not a version" if plane.version else "nobody has said which version it runs"
        return [
            error(
                "control-plane-unconfirmed",
                "tyk_control_plane_confirmed_version",
                f"The control plane must run {wanted.version} or later before the gateways do, and {said}.",
                "Upgrade it, look at the version it runs, and set tyk_control_plane_confirmed_version to that.",
            )
        ]
    if version < wanted.version:
        return [
            error(
                "control-plane-older",
                "tyk_control_plane_confirmed_version",
                f"The control plane runs {version}, which is older than the target {wanted.version}; gateways must not "
                "be newer than their control plane.",
                f"Upgrade the control plane to {wanted.version} or later first, then confirm its version.",
            )
        ]
    return []


def _pumps(state: State, wanted: Wanted) -> List[Finding]:
    findings: List[Finding] = []
    if wanted.pump_version is None:
        return findings
    for pump in sorted(state.pumps, key=lambda pump: natural(pump.host)):
        version = read_version(pump.version)
        if version is None:
            findings.append(
                error(
                    "pump-unsupported-version",
                    pump.host,
                    f"The pump on {pump.host} has image tag {_tag(pump)}, which does not tell its version.",
                    "Start the pump from an image tagged with its version, such as v1.9.0.",
                )
            )
        elif version > wanted.pump_version:
            findings.append(_lower(pump.host, "pump", "tyk_pump_version", str(wanted.pump_version), str(version)))
    return findings


def _tag(pump: Pump) -> str:
    return repr(pump.tag) if pump.tag else "none"


def _oas_migration(state: State, wanted: Wanted, observed: Sequence[Version]) -> List[Finding]:
    names = sorted((api.name or api.id for api in state.apis if api.kind == "oas"), key=natural)
    if not names or wanted.version < OAS_MIGRATION or all(version >= OAS_MIGRATION for version in observed):
        return []
    return [
        warning(
            "oas-migration",
            "tyk_target_version",
            f"This upgrade crosses {OAS_MIGRATION}, where OAS API definitions change their form: {', '.join(names)}.",
            "Let the upgraded control plane migrate them, and look at these APIs before and after.",
        )
    ]


def forgets_backup(wanted: Wanted, observed: Sequence[Version]) -> bool:
    """Whether gateways of the target would crash on the emergency backup of those that run now."""
    return any(version != wanted.version and not backup_readable(version, wanted.version) for version in observed)


def _emergency_backup(wanted: Wanted, observed: Sequence[Version]) -> List[Finding]:
    if not forgets_backup(wanted, observed):
        return []
    says = f"The emergency backup that the gateways keep in Redis makes {wanted.version} crash at its start"
    if wanted.redis:
        return [
            info(
                "backup-unreadable",
                "tyk_redis_url",
                f"{says}; it is deleted before each of them starts, and written anew by those that run.",
                "See that the control plane can be reached during the upgrade.",
            )
        ]
    return [
        error(
            "backup-unreadable",
            "tyk_redis_url",
            f"{says}, so it has to be deleted before, and tyk_redis_url does not say where it is.",
            "Set tyk_redis_url to the data plane's Redis.",
        )
    ]


def _start_needs_control_plane(wanted: Wanted, observed: Sequence[Version]) -> List[Finding]:
    """The target as the roll starts it, and the version it comes from as a way back does."""
    if all(version == wanted.version for version in observed):
        return []
    current = origin(observed, wanted.version)
    found = []
    for version, make, when in ((wanted.version, warning, "during the roll"), (current, info, "on the way back")):
        if version is not None and behaves(version, "start-needs-control-plane"):
            found.append(
                make(
                    "backup-no-help",
                    str(version),
                    f"A gateway {version} that starts {when} while MDCB cannot be reached opens no port and serves "
                    "nothing: the emergency backup protects no start of this version, be it a restart later.",
                    "See that the control plane can be reached as long as gateways start; one that waits serves by "
                    "itself when it is back."
                    + (" Or choose another patch release as target." if make is warning else ""),
                    source("start-needs-control-plane"),
                )
            )
    return found


def _lower(host: str, kind: str, setting: str, wanted: str, runs: str) -> Finding:
    return error(
        "version-lower",
        host,
        f"{setting} is {wanted}, but the {kind} on {host} already runs {runs}; this is an upgrade, not a way back.",
        f"Set {setting} to {runs} or later.",
    )


def _by_host(gateways: Sequence[Gateway]) -> List[Gateway]:
    return sorted(gateways, key=lambda gateway: natural(gateway.host))


def merge(given: Sequence[Finding], own: Sequence[Finding]) -> Tuple[Finding, ...]:
    """Each thing once, errors first, and among them what is wrong with the wishes.

    What an info module said about a subject it knows better: the plan does not say it again in other words, unless the
    plan takes it more seriously.
    """
    heaviest: Dict[Tuple[str, str], int] = {}
    for finding in given:
        key = (finding.code, finding.subject)
        heaviest[key] = min(WEIGHT[finding.severity.value], heaviest.get(key, len(WEIGHT)))
    new = [each for each in own if WEIGHT[each.severity.value] < heaviest.get((each.code, each.subject), len(WEIGHT))]
    return tuple(
        sorted(
            dict.fromkeys([*given, *new]),
            key=lambda each: (
                WEIGHT[each.severity.value],
                each.code not in _CAUSES,
                each.code,
                natural(each.subject),
                each.message,
            ),
        )
    )
