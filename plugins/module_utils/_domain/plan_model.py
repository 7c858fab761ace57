# Copyright (c) 2026 tyk.upgrade contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What is wanted, and the parts a plan is made of."""

from __future__ import annotations

import hashlib
import json
import re
from dataclasses import dataclass, field, fields
from typing import Any, Dict, List, Mapping, Optional, Tuple, Union

from ansible_collections.tyk.upgrade.plugins.module_utils._domain.findings import DomainError, Finding, error
from ansible_collections.tyk.upgrade.plugins.module_utils._domain.versions import Version, parse_wanted

SCHEMA = "tyk.upgrade/plan/v1"

REPLACE = "replace"
CONFIRM = "confirm"
NOTHING = "none"

#: Gateways are without plugins from the switch until they are upgraded.
PLUGIN_WINDOW = "plugin-window"
#: Plugins that APIs load by their path lie on the gateways for both versions.
ENDPOINT_PLUGIN = "endpoint-plugin"
#: New bundles are not signed though those in use are: no gateway has a public_key_path.
BUNDLE_SIGNATURE = "bundle-signature"
#: The findings that a user can agree to beforehand, by their code.
ACCEPTABLE = (PLUGIN_WINDOW, ENDPOINT_PLUGIN, BUNDLE_SIGNATURE)

_DIGITS = re.compile(r"([0-9]+)")


def natural(text: str) -> Tuple[Tuple[int, str], ...]:
    """Sorts gw2 before gw10."""
    return tuple((int(part), "") if part.isdigit() else (-1, part) for part in _DIGITS.split(text) if part)


@dataclass(frozen=True)
class Plugin:
    """One entry of tyk_plugins: its name is the stem of the .so in the manifest.

    It is given by exactly one of: source, the folder of its Go source; artifacts, files that were built elsewhere, by
    version and architecture; bundle, the name of a bundle in the store that holds it. strip: whether what only
    debuggers need is taken out of builds from source.
    """

    name: str
    source: str = ""
    artifacts: Mapping[str, Mapping[str, str]] = field(default_factory=dict)
    bundle: str = ""
    strip: bool = False

    @property
    def given_by(self) -> str:
        """source, artifacts or bundle."""
        return "artifacts" if self.artifacts else "bundle" if self.bundle else "source"


@dataclass(frozen=True)
class Wanted:
    """What the user asked for. redis: whether the data plane's Redis may be asked and written to. own_compilers: the versions
    whose plugin compiler is one that the user named. signing_key: the id of the key by which new bundles are signed; empty where
    they are not. fetch_url: whether it is known where gateways download bundles. accept: the codes of findings that the user has agreed to beforehand.
    """

    version: Version
    pump_version: Optional[Version] = None
    waves: Tuple[Union[int, str], ...] = (1, "25%", "100%")
    max_unavailable: Union[int, str] = 1
    on_failure: str = "halt"
    plugins: Tuple[Plugin, ...] = ()
    stop_timeout: int = 60
    redis: bool = False
    own_compilers: Tuple[str, ...] = ()
    signing_key: str = ""
    fetch_url: bool = True
    accept: Tuple[str, ...] = ()

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
            own_compilers=tuple(str(version) for version in data.get("own_compilers") or []),
            signing_key=str(data.get("signing_key") or ""),
            fetch_url=data.get("fetch_url") not in (False, "false", "False"),
            accept=_accept(data.get("accept") or []),
        )

    @property
    def sources(self) -> Dict[str, str]:
        """The source folder of each plugin that is given by source."""
        return {plugin.name: plugin.source for plugin in self.plugins if plugin.source}

    def plugin(self, name: str) -> Optional[Plugin]:
        """The entry of this name."""
        return next((plugin for plugin in self.plugins if plugin.name == name), None)


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
    """One plugin for one version and platform. file is its name in the bundle.

    Without an image there is nothing to compile: source is the file itself then, and source_digest its SHA-256.
    """

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
    strip: bool = False


@dataclass(frozen=True)
class Bundle(Part):
    """One bundle after the upgrade. keep: it is in use now and serves as it is, so nothing is built or published.

    versions: the gateways that open its files. Where no bundle can serve two versions, those that run now find another
    one in its place: placed_for names the bundle in whose folder it is put on each of them before the switch. Such a
    bundle is published under a name of its own, which no API ever names.

    links: files that gateways have open already, each with the bundle and the file of that it is the same as. Go
    takes no second file with the same plugin path, but a link to the first. given: it was published by other means.
    sha256: of the bundle as it lies in the store; empty as long as it does not.
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
    links: Mapping[str, Mapping[str, str]] = field(default_factory=dict)
    given: bool = False
    sha256: str = ""


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
    arch: str = "amd64"


@dataclass(frozen=True)
class Plan:
    """Everything that a run does, and every reason why it must not. Same state and same wishes: same bytes.

    window: the ids of the APIs that older gateways serve without their plugins, as the user accepted.
    """

    before: Tuple[str, ...]
    to: str
    pump_to: Optional[str]
    path: str
    cutover: str
    reasons: Tuple[str, ...] = ()
    explanation: Tuple[str, ...] = ()
    forgets_backup: bool = False
    window: Tuple[str, ...] = ()
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
        return [bundle for bundle in self.bundles if not bundle.keep and not bundle.given]

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
            "explanation": list(self.explanation),
            "forgets_backup": self.forgets_backup,
            "window": list(self.window),
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


def _accept(codes: Any) -> Tuple[str, ...]:
    given = [codes] if isinstance(codes, str) else list(codes)
    unknown = sorted(str(code) for code in given if code not in ACCEPTABLE)
    if unknown:
        raise DomainError(
            _setting(
                "tyk_accept",
                f"tyk_accept names {', '.join(unknown)}, which nobody can agree to beforehand.",
                f"Name findings that can be accepted: {', '.join(ACCEPTABLE)}.",
            )
        )
    return tuple(sorted(set(given)))


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
        plugins[name] = _plugin(name, entry)
    return tuple(plugins[name] for name in sorted(plugins))


def _plugin(name: str, entry: Mapping[str, Any]) -> Plugin:
    given = [way for way in ("source", "artifacts", "bundle") if entry.get(way)]
    if len(given) != 1:
        said = f"is given by {' and '.join(given)}" if given else "has neither source nor artifacts nor bundle"
        raise DomainError(
            _setting(
                "tyk_plugins",
                f"The plugin {name} of tyk_plugins {said}.",
                f"Give {name} the folder of its Go source as source, or builds by version as artifacts, or a published "
                "bundle.",
            )
        )
    if given == ["source"]:
        return Plugin(name, source=str(entry["source"]), strip=entry.get("strip") in (True, "true", "True"))
    if given == ["bundle"]:
        named = bundle_name(entry["bundle"])
        if not named:
            raise DomainError(
                _setting(
                    "tyk_plugins",
                    f"The bundle of the plugin {name} of tyk_plugins has no name.",
                    "Give the bundle's name in the store, as API definitions give it.",
                )
            )
        return Plugin(name, bundle=named)
    return Plugin(name, artifacts=_artifacts(name, entry["artifacts"]))


def bundle_name(bundle: Any) -> str:
    """The name of the bundle that a plugin of tyk_plugins is given by: a mapping with name, or the name itself."""
    return str(bundle.get("name") or "") if isinstance(bundle, Mapping) else str(bundle)


def by_architecture(files: Any) -> Dict[str, str]:
    """The files of one version in artifacts of tyk_plugins, by architecture; a plain path is for amd64."""
    entries = files if isinstance(files, Mapping) else {"amd64": files}
    return {str(goarch): str(path) for goarch, path in entries.items()}


def _artifacts(name: str, entries: Any) -> Dict[str, Dict[str, str]]:
    """By version and architecture."""
    found: Dict[str, Dict[str, str]] = {}
    for version, files in entries.items() if isinstance(entries, Mapping) else ():
        if not isinstance(version, str):
            raise DomainError(
                _setting(
                    "tyk_plugins",
                    f"The artifacts of {name} in tyk_plugins have a version {version!r} that is a number.",
                    "Put versions in quotes; 5.10 without them is 5.1.",
                )
            )
        wanted = parse_wanted(version, "tyk_plugins")
        found[str(wanted)] = by_architecture(files)
    if not found:
        raise DomainError(
            _setting(
                "tyk_plugins",
                f"The artifacts of {name} in tyk_plugins are not a mapping of versions to files.",
                'Write them as {"5.3.0": path.so, "5.8.9": path.so}.',
            )
        )
    return found


def _setting(subject: str, message: str, remedy: str) -> Finding:
    return error("setting-invalid", subject, message, remedy)
