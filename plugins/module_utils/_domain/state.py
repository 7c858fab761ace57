# Copyright (c) 2026 tyk.upgrade contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What was observed in this run: gateways, pumps, control plane, API definitions, bundles, sources and compilers.

Nothing here is believed from an earlier run. Keys that a plan does not depend on (latencies, ids of processes) may be
in what the info modules return; they are dropped here.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any, Dict, List, Mapping, Optional, Tuple

from ansible_collections.tyk.upgrade.plugins.module_utils._domain.findings import Finding


@dataclass(frozen=True)
class Gateway:
    """One gateway instance. version is what the running process says; None when it did not say.

    Container, repository, tag and image_id are those of a container; package is the name of a Linux package.
    bundle_volume says what the bundles lie in if nothing can be put there for this gateway alone: a volume or a folder
    of the host. bundle_volume_with names those that see it, too; bundle_volume_closed says why it takes nothing. glibc
    is the C library of a host with a package; empty where it is not known.
    """

    host: str
    deployment: str = "docker"
    version: Optional[str] = None
    edition: str = "ce"
    os: str = "linux"
    arch: str = "amd64"
    ready: bool = False
    reachable: bool = False
    container: str = ""
    repository: str = ""
    tag: str = ""
    image_id: str = ""
    target_repository: str = ""
    package: str = ""
    bundle_volume: str = ""
    bundle_volume_with: str = ""
    bundle_volume_closed: str = ""
    glibc: str = ""

    @classmethod
    def from_dict(cls, data: Mapping[str, Any]) -> Gateway:
        """Read one entry of the state. Raises ValueError without a host."""
        repository = _text(data, "repository")
        return cls(
            host=_name(data, "host", "gateway"),
            deployment=_text(data, "deployment") or "docker",
            version=_version(data),
            edition=_text(data, "edition") or "ce",
            os=_text(data, "os") or "linux",
            arch=_text(data, "arch") or "amd64",
            ready=_flag(data, "ready"),
            reachable=_flag(data, "reachable"),
            container=_text(data, "container"),
            repository=repository,
            tag=_text(data, "tag"),
            image_id=_text(data, "image_id"),
            target_repository=_text(data, "target_repository") or repository,
            package=_text(data, "package"),
            bundle_volume=_text(data, "bundle_volume"),
            bundle_volume_with=_text(data, "bundle_volume_with"),
            bundle_volume_closed=_text(data, "bundle_volume_closed"),
            glibc=_text(data, "glibc"),
        )

    def to_dict(self) -> Dict[str, Any]:
        """The entry as from_dict reads it."""
        return dict(vars(self))

    @property
    def platform(self) -> Tuple[str, str]:
        """Operating system and architecture, as Go names them."""
        return (self.os, self.arch)


@dataclass(frozen=True)
class Pump:
    """One pump. It has no endpoint that tells its version: the tag of its image or its package does."""

    host: str
    deployment: str = "docker"
    version: Optional[str] = None
    repository: str = ""
    tag: str = ""
    container: str = ""
    running: bool = False
    target_repository: str = ""
    package: str = ""

    @classmethod
    def from_dict(cls, data: Mapping[str, Any]) -> Pump:
        """Read one entry of the state. Raises ValueError without a host."""
        repository = _text(data, "repository")
        return cls(
            host=_name(data, "host", "pump"),
            deployment=_text(data, "deployment") or "docker",
            version=_version(data),
            repository=repository,
            tag=_text(data, "tag"),
            container=_text(data, "container"),
            running=_flag(data, "running"),
            target_repository=_text(data, "target_repository") or repository,
            package=_text(data, "package"),
        )

    def to_dict(self) -> Dict[str, Any]:
        """The entry as from_dict reads it."""
        return dict(vars(self))


@dataclass(frozen=True)
class ControlPlane:
    """The control plane. With the driver manual its version is what a person confirmed."""

    driver: str = "manual"
    version: Optional[str] = None
    confirmed: bool = False

    @classmethod
    def from_dict(cls, data: Mapping[str, Any]) -> ControlPlane:
        """Read the entry of the state."""
        return cls(_text(data, "driver") or "manual", _version(data), _flag(data, "confirmed"))

    def to_dict(self) -> Dict[str, Any]:
        """The entry as from_dict reads it."""
        return dict(vars(self))


@dataclass(frozen=True)
class ApiState:
    """One API definition. digest covers everything a person set in it, and nothing the server fills in."""

    id: str
    db_id: str = ""
    name: str = ""
    kind: str = "classic"
    active: bool = True
    listen_path: str = ""
    bundle: str = ""
    bundle_enabled: bool = True
    auth_plugin: bool = False
    endpoint_plugins: Tuple[str, ...] = ()
    analytics_plugin: str = ""
    digest: str = ""

    @classmethod
    def from_dict(cls, data: Mapping[str, Any]) -> ApiState:
        """Read one entry of the state. Raises ValueError without an id."""
        return cls(
            id=_name(data, "id", "API definition"),
            db_id=_text(data, "db_id"),
            name=_text(data, "name"),
            kind=_text(data, "kind") or "classic",
            active=_flag(data, "active", True),
            listen_path=_text(data, "listen_path"),
            bundle=_text(data, "bundle"),
            bundle_enabled=_flag(data, "bundle_enabled", True),
            auth_plugin=_flag(data, "auth_plugin"),
            endpoint_plugins=tuple(_plugin_path(entry) for entry in data.get("endpoint_plugins") or []),
            analytics_plugin=_text(data, "analytics_plugin"),
            digest=_text(data, "digest"),
        )

    def to_dict(self) -> Dict[str, Any]:
        """The entry as from_dict reads it."""
        return {**vars(self), "endpoint_plugins": list(self.endpoint_plugins)}


@dataclass(frozen=True)
class BundleState:
    """One bundle that an API definition names, as it lies in the store."""

    name: str
    found: bool = False
    manifest: Optional[Mapping[str, Any]] = None
    provenance: Optional[Mapping[str, Any]] = None
    files: Tuple[Mapping[str, Any], ...] = ()
    checksum_ok: bool = False
    sha256: str = ""

    @classmethod
    def from_dict(cls, data: Mapping[str, Any]) -> BundleState:
        """Read one entry of the state. Raises ValueError without a name."""
        return cls(
            name=_name(data, "name", "bundle"),
            found=_flag(data, "found"),
            manifest=data.get("manifest") or None,
            provenance=data.get("provenance") or None,
            files=tuple(dict(entry) for entry in data.get("files") or []),
            checksum_ok=_flag(data, "checksum_ok"),
            sha256=_text(data, "sha256"),
        )

    def to_dict(self) -> Dict[str, Any]:
        """The entry as from_dict reads it."""
        return {**vars(self), "files": [dict(entry) for entry in self.files]}

    @property
    def signed(self) -> bool:
        """Whether its manifest holds a signature; whether that is right is another question."""
        return bool((self.manifest or {}).get("signature"))

    @property
    def file_names(self) -> List[str]:
        """The names of the files in the bundle, its manifest included if it was listed."""
        return [str(entry.get("name", "")) for entry in self.files]


@dataclass(frozen=True)
class SourceState:
    """The source of one plugin. digest covers what the compiler reads; None when the folder could not be read.

    module: its module path. literals: string literals that begin with it, as `file.go:line: literal`.
    """

    plugin: str
    digest: Optional[str] = None
    path: str = ""
    module: str = ""
    literals: Tuple[str, ...] = ()

    @classmethod
    def from_dict(cls, data: Mapping[str, Any]) -> SourceState:
        """Read one entry of the state. Raises ValueError without a plugin's name."""
        return cls(
            plugin=_name(data, "plugin", "plugin source"),
            digest=_text(data, "digest") or None,
            path=_text(data, "path"),
            module=_text(data, "module"),
            literals=tuple(str(literal) for literal in data.get("literals") or []),
        )

    def to_dict(self) -> Dict[str, Any]:
        """The entry as from_dict reads it."""
        return {**vars(self), "literals": list(self.literals)}


@dataclass(frozen=True)
class ArtifactState:
    """One plugin that was built elsewhere for one version and architecture, as its file says."""

    plugin: str
    version: str
    goarch: str = "amd64"
    path: str = ""
    sha256: str = ""
    plugin_path: str = ""

    @classmethod
    def from_dict(cls, data: Mapping[str, Any]) -> ArtifactState:
        """Read one entry of the state. Raises ValueError without a plugin's name or a version."""
        return cls(
            plugin=_name(data, "plugin", "plugin artifact"),
            version=_plain(_name(data, "version", "plugin artifact")),
            goarch=_text(data, "goarch") or "amd64",
            path=_text(data, "path"),
            sha256=_text(data, "sha256"),
            plugin_path=_text(data, "plugin_path"),
        )

    def to_dict(self) -> Dict[str, Any]:
        """The entry as from_dict reads it."""
        return dict(vars(self))


@dataclass(frozen=True)
class CompilerState:
    """One plugin compiler. id is the image's digest, which changes when the image does; None if there is none."""

    version: str
    image: str = ""
    id: Optional[str] = None
    present: bool = False

    @classmethod
    def from_dict(cls, data: Mapping[str, Any]) -> CompilerState:
        """Read one entry of the state. Raises ValueError without a version."""
        return cls(
            version=_plain(_name(data, "version", "compiler")),
            image=_text(data, "image"),
            id=_text(data, "id") or None,
            present=_flag(data, "present"),
        )

    def to_dict(self) -> Dict[str, Any]:
        """The entry as from_dict reads it."""
        return dict(vars(self))


@dataclass(frozen=True)
class State:
    """Everything observed, in no particular order."""

    gateways: Tuple[Gateway, ...] = ()
    pumps: Tuple[Pump, ...] = ()
    control_plane: ControlPlane = field(default_factory=ControlPlane)
    apis: Tuple[ApiState, ...] = ()
    bundles: Tuple[BundleState, ...] = ()
    sources: Tuple[SourceState, ...] = ()
    compilers: Tuple[CompilerState, ...] = ()
    artifacts: Tuple[ArtifactState, ...] = ()
    findings: Tuple[Finding, ...] = ()

    @classmethod
    def from_dict(cls, data: Mapping[str, Any]) -> State:
        """Read what the info modules found. Raises ValueError with a sentence for an entry that cannot be read."""
        return cls(
            gateways=tuple(Gateway.from_dict(entry) for entry in data.get("gateways") or []),
            pumps=tuple(Pump.from_dict(entry) for entry in data.get("pumps") or []),
            control_plane=ControlPlane.from_dict(data.get("control_plane") or {}),
            apis=tuple(ApiState.from_dict(entry) for entry in data.get("apis") or []),
            bundles=tuple(BundleState.from_dict(entry) for entry in data.get("bundles") or []),
            sources=tuple(SourceState.from_dict(entry) for entry in data.get("sources") or []),
            compilers=tuple(CompilerState.from_dict(entry) for entry in data.get("compilers") or []),
            artifacts=tuple(ArtifactState.from_dict(entry) for entry in data.get("artifacts") or []),
            findings=tuple(Finding.from_dict(entry) for entry in data.get("findings") or []),
        )

    def to_dict(self) -> Dict[str, Any]:
        """The state as from_dict reads it."""
        return {
            "gateways": [entry.to_dict() for entry in self.gateways],
            "pumps": [entry.to_dict() for entry in self.pumps],
            "control_plane": self.control_plane.to_dict(),
            "apis": [entry.to_dict() for entry in self.apis],
            "bundles": [entry.to_dict() for entry in self.bundles],
            "sources": [entry.to_dict() for entry in self.sources],
            "compilers": [entry.to_dict() for entry in self.compilers],
            "artifacts": [entry.to_dict() for entry in self.artifacts],
            "findings": [entry.to_dict() for entry in self.findings],
        }


def _text(data: Mapping[str, Any], key: str) -> str:
    value = data.get(key)
    return "" if value is None else str(value)


def _flag(data: Mapping[str, Any], key: str, default: bool = False) -> bool:
    value = data.get(key)
    if value is None:
        return default
    return value.strip().lower() in ("true", "yes", "1") if isinstance(value, str) else bool(value)


def _name(data: Mapping[str, Any], key: str, what: str) -> str:
    value = _text(data, key)
    if not value:
        raise ValueError(f"A {what} of the observed state has no {key!r}; what was given is {dict(data)!r}.")
    return value


def _version(data: Mapping[str, Any]) -> Optional[str]:
    return _plain(_text(data, "version")) or None


def _plain(version: str) -> str:
    """5.3.0 for v5.3.0: gateways, tags and people write both."""
    return version[1:] if version[:1] == "v" and version[1:2].isdigit() else version


def _plugin_path(entry: Any) -> str:
    if isinstance(entry, Mapping):
        return str(entry.get("path") or entry.get("plugin_path") or entry)
    return str(entry)
