# Copyright (c) 2026 tyk.upgrade contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What the lab is called, where it listens and which images it uses. Read from the environment once."""

from __future__ import annotations

import hashlib
import os
import re
from dataclasses import dataclass, field
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
LAB = ROOT / "tests" / "lab"

# Where nothing else is asked for.
FROM_VERSION = "5.3.0"
TO_VERSION = "5.8.9"
PUMP_FROM = "1.9.0"
PUMP_TO = "1.12.0"

# Pairs by name: the three paths of the published procedure, and the pair that it forgot.
STORIES = {"1": ("4.0.13", "4.0.16"), "2": ("4.0.16", "5.3.0"), "3": ("5.2.5", "5.8.9"), "gap": ("4.3.8", "5.0.15")}
STORY_PORT_BASES = {"1": 11000, "2": 12000, "3": 13000, "gap": 14000}

# Who stands where in each lab: container, service of a Compose project, or Linux host with real apt (deb) or dnf (rpm).
TARGETS: dict[str, dict[str, str]] = {
    "docker": {"gw1": "docker", "gw2": "docker", "gw3": "docker", "pump": "docker"},
    "linux": {"gw1": "deb", "gw2": "rpm", "gw3": "deb", "pump": "deb"},
    "apt": {"gw1": "deb", "gw2": "deb", "pump": "deb"},
    "dnf": {"gw1": "rpm", "gw2": "rpm", "pump": "rpm"},
    "compose": {"gw1": "compose", "gw2": "compose", "gw3": "compose", "pump": "compose"},
    "mixed": {"gw1": "docker", "gw2": "docker", "gw3": "deb", "gw4": "rpm", "pump": "docker"},
}
# Below 32768: the kernel gives the ports from there on to outgoing connections.
PORT_BASES = {"docker": 18000, "linux": 27000, "compose": 28000, "mixed": 29000, "apt": 24000, "dnf": 25000}

GATEWAY_SECRET = "lab-gateway-secret"
DASHBOARD_TOKEN = "lab-dashboard-token"
ORG_ID = "5e9d9544a1dcd60001d0ed20"
RPC_API_KEY = "lab-rpc-key"
GROUP_ID = "lab"
GOOD_KEY = "lab-good-key"

LABEL = "tyk.upgrade.lab"
SPEC_LABEL = "tyk.upgrade.lab.spec"

COMPONENTS = ("gateway", "compiler", "pump")
PUBLISHED = {
    "gateway": "tykio/tyk-gateway",
    "compiler": "tykio/tyk-plugin-compiler",
    "pump": "tykio/tyk-pump-docker-pub",
}
STAND_IN = {
    "gateway": "tyk-lab/tyk-gateway",
    "compiler": "tyk-lab/tyk-plugin-compiler",
    "pump": "tyk-lab/tyk-pump",
}

# Offset from the port base → what listens there. Everything is published on 127.0.0.1 only.
PORTS = {
    "ssh-gw1": 61,
    "ssh-gw2": 62,
    "ssh-gw3": 63,
    "ssh-gw4": 64,
    "ssh-pump": 65,
    "entry": 80,
    "gw1": 81,
    "gw2": 82,
    "gw3": 83,
    "gw4": 84,
    "packages": 89,
    "dashboard": 90,
    "meter": 91,
    "rpc": 92,
    "bundles": 93,
    "redis": 94,
    "registry": 95,
    "haproxy": 96,
    "upstream": 97,
    "pump": 98,
    "loadgen": 99,
}

# Last byte of each container's fixed address in the lab's network.
ADDRESSES = {
    "redis": 10,
    "registry": 11,
    "bundles": 12,
    "haproxy": 13,
    "upstream": 14,
    "controlplane": 15,
    "packages": 16,
    "gw1": 21,
    "gw2": 22,
    "gw3": 23,
    "gw4": 24,
    "pump": 30,
}


class LabError(Exception):
    """Something the person at the keyboard can act on; the message is the whole story."""


def cache_dir() -> Path:
    """Where everything is kept that is expensive to build; outside the checkout, named by content."""
    base = os.environ.get("XDG_CACHE_HOME") or str(Path.home() / ".cache")
    return Path(base) / "tyk-upgrade"


@dataclass(frozen=True)
class Settings:
    name: str = "tyk-lab"
    port_base: int = 18000
    directory: Path = field(default_factory=lambda: ROOT / "build" / "lab")
    wanted: tuple[tuple[str, str], ...] = tuple((component, "stand-in") for component in COMPONENTS)
    target: str = "docker"
    from_version: str = FROM_VERSION
    to_version: str = TO_VERSION
    mounted: bool = False  # whether each gateway's middleware folder is one of the host

    @classmethod
    def from_environment(cls) -> Settings:
        everything = os.environ.get("LAB_IMAGES") or "stand-in"
        wanted = []
        for component in COMPONENTS:
            choice = os.environ.get(f"LAB_{component.upper()}") or everything
            if choice not in ("stand-in", "tykio"):
                raise LabError(f"LAB_IMAGES and LAB_{component.upper()} take 'stand-in' or 'tykio', not '{choice}'.")
            wanted.append((component, choice))
        target = os.environ.get("LAB_TARGET") or "docker"
        if target not in TARGETS:
            raise LabError(f"TARGET (LAB_TARGET) takes {', '.join(TARGETS)}, not '{target}'.")
        story = os.environ.get("LAB_STORY") or ""
        if story and story not in STORIES:
            raise LabError(f"STORY (LAB_STORY) takes {', '.join(STORIES)}, not '{story}'.")
        from_version, to_version = cls._versions(*STORIES.get(story, (FROM_VERSION, TO_VERSION)))
        # All labs of one story listen in one place: one of them at a time.
        base = os.environ.get("LAB_PORT_BASE") or str(STORY_PORT_BASES[story] if story else PORT_BASES[target])
        if not base.isdigit() or not 1024 <= int(base) <= 65400:
            raise LabError(f"LAB_PORT_BASE must be a number from 1024 to 65400, not '{base}'.")
        parts = ["tyk-lab", *([f"path{story}" if story.isdigit() else story] if story else [])]
        name = os.environ.get("LAB_NAME") or "-".join(parts + ([] if target == "docker" else [target]))
        default = ROOT / "build" / ("lab" if name == "tyk-lab" else name)
        directory = Path(os.environ.get("LAB_DIR") or default).resolve()
        middleware = os.environ.get("LAB_MIDDLEWARE") or "image"
        if middleware not in ("image", "mount"):
            raise LabError(f"LAB_MIDDLEWARE takes 'image' or 'mount', not '{middleware}'.")
        return cls(name, int(base), directory, tuple(wanted), target, from_version, to_version, middleware == "mount")

    @staticmethod
    def _versions(from_version: str, to_version: str) -> tuple[str, str]:
        """What LAB_FROM and LAB_TO say, else these."""
        pair = os.environ.get("LAB_FROM") or from_version, os.environ.get("LAB_TO") or to_version
        for name, version in zip(("LAB_FROM", "LAB_TO"), pair, strict=True):
            if not re.fullmatch(r"\d+\.\d+\.\d+", version) or numbers(version) < (4, 0, 0):
                raise LabError(f"{name} takes a version of the gateway from 4.0.0 on, like 5.3.0, not '{version}'.")
        if numbers(pair[0]) >= numbers(pair[1]):
            raise LabError(f"LAB_FROM ({pair[0]}) must be older than LAB_TO ({pair[1]}).")
        return pair

    def versions(self, component: str) -> tuple[str, str]:
        """The first version of a component and the one that an upgrade takes it to."""
        return (PUMP_FROM, PUMP_TO) if component == "pump" else (self.from_version, self.to_version)

    @property
    def gateways(self) -> tuple[str, ...]:
        return tuple(role for role in TARGETS[self.target] if role != "pump")

    @property
    def members(self) -> tuple[str, ...]:
        """Everything that an upgrade replaces."""
        return tuple(TARGETS[self.target])

    def deployment(self, role: str) -> str:
        """docker, compose, deb or rpm."""
        return TARGETS[self.target][role]

    def middleware(self, role: str) -> dict[str, str]:
        """The mount of a gateway's middleware folder, if it has one."""
        return {str(self.directory / "middleware" / role): "/opt/tyk-gateway/middleware"} if self.mounted else {}

    def port(self, what: str) -> int:
        return self.port_base + PORTS[what]

    def local(self, what: str, scheme: str = "http") -> str:
        return f"{scheme}://127.0.0.1:{self.port(what)}"

    def container(self, what: str) -> str:
        return f"{self.name}-{what}"

    @property
    def network_prefix(self) -> str:
        return f"172.30.{(self.port_base // 1000) % 200}"

    @property
    def subnet(self) -> str:
        return f"{self.network_prefix}.0/24"

    def address(self, what: str) -> str:
        return f"{self.network_prefix}.{ADDRESSES[what]}"

    @property
    def registry(self) -> str:
        return f"localhost:{self.port('registry')}"

    def wants(self, component: str) -> str:
        return dict(self.wanted)[component]


def numbers(version: str) -> tuple[int, ...]:
    """A version as one compares it."""
    return tuple(int(part) for part in version.split("."))


def digest(*parts: str | bytes | Path) -> str:
    """Twelve hex digits over texts, bytes and files or whole folders (names and contents)."""
    total = hashlib.sha256()
    for part in parts:
        if isinstance(part, Path):
            files = sorted(p for p in part.rglob("*") if p.is_file()) if part.is_dir() else [part]
            for file in files:
                total.update(str(file.relative_to(part) if part.is_dir() else file.name).encode() + b"\0")
                total.update(hashlib.sha256(file.read_bytes()).digest())
        else:
            total.update((part if isinstance(part, bytes) else part.encode()) + b"\0")
    return total.hexdigest()[:12]
