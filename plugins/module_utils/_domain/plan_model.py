# Copyright (c) 2026 tyk.upgrade contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What is wanted, and the parts a plan is made of."""

from __future__ import annotations

import hashlib
import json
import re
from dataclasses import dataclass, fields
from typing import Any, Dict, List, Mapping, Optional, Tuple, Union

from ansible_collections.tyk.upgrade.plugins.module_utils._domain.findings import DomainError, Finding, error
from ansible_collections.tyk.upgrade.plugins.module_utils._domain.versions import Version, parse_wanted

SCHEMA = "tyk.upgrade/plan/v1"

REPLACE = "replace"
CONFIRM = "confirm"
NOTHING = "none"

_DIGITS = re.compile(r"([0-9]+)")


def natural(text: str) -> Tuple[Tuple[int, str], ...]:
    """Sorts gw2 before gw10."""
    return tuple((int(part), "") if part.isdigit() else (-1, part) for part in _DIGITS.split(text) if part)


@dataclass(frozen=True)
class Plugin:
    """One entry of tyk_plugins: its name is the stem of the .so in the manifest."""

    name: str
    source: str


@dataclass(frozen=True)
class Wanted:
    """What the user asked for. redis: whether the data plane's Redis may be asked and written to."""

    version: Version
    pump_version: Optional[Version] = None
    waves: Tuple[Union[int, str], ...] = (1, "25%", "100%")
    max_unavailable: Union[int, str] = 1
    on_failure: str = "halt"
    plugins: Tuple[Plugin, ...] = ()
    stop_timeout: int = 60
    redis: bool = False

    @classmethod
    def from_dict(cls, data: Mapping[str, Any]) -> Wanted:
        """Read the settings. Raises DomainError naming the setting that cannot work."""
        pump = data.get("pump_version")
        waves = data.get("waves")
        at_once = data.get("max_unavailable")
        if waves is None:
            waves = [1, "25%", "100%"]
        elif isinstance(waves, str) or not isinstance(waves, (list, tuple)):
            raise DomainError(
                _setting("tyk_waves", f"tyk_waves is {waves!r}, which is not a list.", "Set it to [1, 25%, 100%], say.")
            )
        on_failure = str(data.get("on_failure") or "halt")
        if on_failure != "halt":
            raise DomainError(
                _setting(
                    "tyk_on_failure",
                    f"tyk_on_failure is {on_failure!r}; this release can only halt, with the failed host back on its "
                    "old container.",
                    "Set tyk_on_failure to halt.",
                )
            )
        return cls(
            version=parse_wanted(data.get("version"), "tyk_target_version"),
            pump_version=parse_wanted(pump, "tyk_pump_version") if pump not in (None, "") else None,
            waves=tuple(waves),
            max_unavailable=1 if at_once is None else at_once,
            on_failure=on_failure,
            plugins=_plugins(data.get("plugins") or []),
            stop_timeout=int(data.get("stop_timeout") or 60),
            redis=data.get("redis") in (True, "true", "True"),
        )

    @property
    def sources(self) -> Dict[str, str]:
        """The source folder of each plugin that is listed."""
        return {plugin.name: plugin.source for plugin in self.plugins}


@dataclass(frozen=True)
class Part:
    """A part of a plan; as a dict its field "before" is called from, which Python keeps for itself."""

    def to_dict(self) -> Dict[str, Any]:
        """The part as the plan's JSON has it."""
        return {
            "from" if each.name == "before" else each.name: _plain(getattr(self, each.name)) for each in fields(self)
        }


@dataclass(frozen=True)
class Build(Part):
    """One plugin to compile for one version and platform. file is its name in the bundle."""

    plugin: str
    version: str
    goos: str
    goarch: str
    edition: str
    build_id: str
    file: str
    image: str
    compiler_id: str
    source: str
    source_digest: str
    bundle: str


@dataclass(frozen=True)
class Bundle(Part):
    """One bundle after the upgrade. keep: it is in use now and serves as it is, so nothing is built or published.

    versions: the gateways that open its files. Where no bundle can serve two versions, those that run now find another
    one in its place: placed_for names the bundle in whose folder it is put on each of them before the switch. Such a
    bundle is published under a name of its own, which no API ever names.
    """

    name: str
    replaces: str
    stem: str
    build_id: str
    keep: bool
    manifest: Mapping[str, Any]
    provenance: Mapping[str, Any]
    files: Tuple[str, ...]
    symbols: Mapping[str, List[str]]
    versions: Tuple[str, ...] = ()
    placed_for: str = ""


@dataclass(frozen=True)
class ApiMove(Part):
    """One API definition that changes its bundle. digest: of the definition as it was when the plan was made."""

    id: str
    name: str
    kind: str
    from_bundle: str
    to_bundle: str
    digest: str


@dataclass(frozen=True)
class ControlPlaneStep(Part):
    """What the control plane must be at; a person confirms it."""

    driver: str
    before: Optional[str]
    to: str
    action: str


@dataclass(frozen=True)
class PumpStep(Part):
    """One pump, whether it is replaced or not. It has images or a package."""

    host: str
    deployment: str
    before: Optional[str]
    to: Optional[str]
    image_from: str
    image_to: str
    package: str
    action: str


@dataclass(frozen=True)
class GatewayStep(Part):
    """One gateway, whether it is replaced or not. It has images or a package."""

    host: str
    deployment: str
    before: Optional[str]
    to: str
    image_from: str
    image_to: str
    package: str
    action: str
    ready: bool


@dataclass(frozen=True)
class Plan:
    """Everything that a run does, and every reason why it must not. Same state and same wishes: same bytes."""

    before: Tuple[str, ...]
    to: str
    pump_to: Optional[str]
    path: str
    cutover: str
    reasons: Tuple[str, ...] = ()
    forgets_backup: bool = False
    builds: Tuple[Build, ...] = ()
    bundles: Tuple[Bundle, ...] = ()
    apis: Tuple[ApiMove, ...] = ()
    control_plane: ControlPlaneStep = ControlPlaneStep("manual", None, "", NOTHING)
    pumps: Tuple[PumpStep, ...] = ()
    gateways: Tuple[GatewayStep, ...] = ()
    batches: Tuple[Tuple[str, ...], ...] = ()
    waves: Tuple[Tuple[str, ...], ...] = ()
    findings: Tuple[Finding, ...] = ()

    @property
    def new_bundles(self) -> List[Bundle]:
        """The bundles that are built and published."""
        return [bundle for bundle in self.bundles if not bundle.keep]

    @property
    def placed_bundles(self) -> List[Bundle]:
        """The bundles that are put in place on gateways before the switch."""
        return [bundle for bundle in self.bundles if bundle.placed_for]

    @property
    def replaced_gateways(self) -> List[GatewayStep]:
        """The gateways that are replaced, by host."""
        return [step for step in self.gateways if step.action == REPLACE]

    @property
    def replaced_pumps(self) -> List[PumpStep]:
        """The pumps that are replaced, by host."""
        return [step for step in self.pumps if step.action == REPLACE]

    @property
    def changes(self) -> int:
        """How many things of the managed world change: bundles published, APIs moved, pumps and gateways replaced."""
        return len(self.new_bundles) + len(self.apis) + len(self.replaced_pumps) + len(self.replaced_gateways)

    @property
    def empty(self) -> bool:
        """Whether everything already is as it is wanted."""
        return self.changes == 0

    def to_dict(self) -> Dict[str, Any]:
        """The plan as it is shown, saved and applied."""
        return {
            "schema": SCHEMA,
            "from": list(self.before),
            "to": self.to,
            "pump": {"to": self.pump_to},
            "path": self.path,
            "cutover": self.cutover,
            "reasons": list(self.reasons),
            "forgets_backup": self.forgets_backup,
            "builds": [part.to_dict() for part in self.builds],
            "bundles": [part.to_dict() for part in self.bundles],
            "apis": [part.to_dict() for part in self.apis],
            "control_plane": self.control_plane.to_dict(),
            "pumps": [part.to_dict() for part in self.pumps],
            "gateways": [part.to_dict() for part in self.gateways],
            "batches": [list(batch) for batch in self.batches],
            "waves": [list(wave) for wave in self.waves],
            "changes": self.changes,
            "findings": [finding.to_dict() for finding in self.findings],
            "empty": self.empty,
        }

    @property
    def sha256(self) -> str:
        """The plan's name: the digest of its canonical JSON."""
        return plan_sha256(self.to_dict())


def canonical_json(plan: Mapping[str, Any]) -> str:
    """The one way to write a plan: sorted keys, two spaces, a newline at the end. This is what a saved plan holds."""
    return json.dumps(plan, sort_keys=True, indent=2) + "\n"


def plan_sha256(plan: Mapping[str, Any]) -> str:
    """The digest of a plan's canonical JSON; sha256sum of a saved plan says the same."""
    return hashlib.sha256(canonical_json(plan).encode("utf-8")).hexdigest()


def _plain(value: Any) -> Any:
    if isinstance(value, tuple):
        return [_plain(entry) for entry in value]
    if isinstance(value, Mapping):
        return {str(key): _plain(entry) for key, entry in value.items()}
    if isinstance(value, list):
        return [_plain(entry) for entry in value]
    return value


def _plugins(entries: Any) -> Tuple[Plugin, ...]:
    plugins: Dict[str, Plugin] = {}
    for entry in entries:
        name = str(entry.get("name") or "") if isinstance(entry, Mapping) else ""
        if not name:
            raise DomainError(
                _setting(
                    "tyk_plugins",
                    "An entry of tyk_plugins has no name.",
                    "Name each plugin as the .so in the manifest, without .so.",
                )
            )
        if name in plugins:
            raise DomainError(
                _setting("tyk_plugins", f"tyk_plugins lists {name} twice.", "List each plugin once, with one source.")
            )
        source = str(entry.get("source") or "")
        if not source:
            raise DomainError(
                _setting(
                    "tyk_plugins",
                    f"The plugin {name} of tyk_plugins has no source; this release builds plugins from source only.",
                    f"Give {name} the folder of its Go source as source.",
                )
            )
        plugins[name] = Plugin(name, source)
    return tuple(plugins[name] for name in sorted(plugins))


def _setting(subject: str, message: str, remedy: str) -> Finding:
    return error("setting-invalid", subject, message, remedy)
