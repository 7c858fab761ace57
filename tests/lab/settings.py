# Copyright (c) 2026 tyk.upgrade contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What the lab is called, where it listens and which images it uses. Read from the environment once."""

from __future__ import annotations

import hashlib
import os
from dataclasses import dataclass, field
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
LAB = ROOT / "tests" / "lab"

FROM_VERSION = "5.3.0"
TO_VERSION = "5.8.9"
PUMP_FROM = "1.9.0"
PUMP_TO = "1.12.0"

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
        base = os.environ.get("LAB_PORT_BASE") or str(PORT_BASES[target])
        if not base.isdigit() or not 1024 <= int(base) <= 65400:
            raise LabError(f"LAB_PORT_BASE must be a number from 1024 to 65400, not '{base}'.")
        name = os.environ.get("LAB_NAME") or ("tyk-lab" if target == "docker" else f"tyk-lab-{target}")
        default = ROOT / "build" / ("lab" if name == "tyk-lab" else name)
        directory = Path(os.environ.get("LAB_DIR") or default).resolve()
        return cls(name=name, port_base=int(base), directory=directory, wanted=tuple(wanted), target=target)

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
