# Copyright (c) 2026 tyk.upgrade contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What is tested, from the environment: a gateway of some version and the plugins it can and cannot load."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import tempfile
from dataclasses import dataclass
from pathlib import Path

HERE = Path(__file__).resolve().parent
SERVICES = HERE.parent / "services"


@dataclass(frozen=True, order=True)
class Version:
    major: int
    minor: int
    patch: int

    @classmethod
    def parse(cls, text: str) -> Version:
        found = re.fullmatch(r"v?(\d+)\.(\d+)\.(\d+)", text)
        if found is None:
            raise ValueError(f"CONFORMANCE_VERSION must be a version like 5.3.0, not {text!r}.")
        return cls(*(int(part) for part in found.groups()))

    def __str__(self) -> str:
        return f"{self.major}.{self.minor}.{self.patch}"

    def since(self, *firsts: str) -> bool:
        """Whether a change is in here that its release lines got from ``firsts``, and all lines after the last."""
        versions = [Version.parse(first) for first in firsts]
        if self >= versions[-1]:
            return True
        return any((self.major, self.minor) == (v.major, v.minor) and self >= v for v in versions)

    def within(self, first: str, last: str) -> bool:
        return Version.parse(first) <= self <= Version.parse(last)


def named(version: Version) -> dict[str, str]:
    """The names that a file for the path plugin.so may have."""
    return {
        "exact": "plugin.so",
        "v": f"plugin_v{version}_linux_amd64.so",
        "plain": f"plugin_{version}_linux_amd64.so",
        "other": "plugin_v9.9.9_linux_amd64.so",
    }


def order(version: Version) -> list[str]:
    """Those that a version knows, in the order in which it looks for them."""
    if version.since("4.3.2"):
        return ["v", "plain", "exact"]
    if version.since("4.3.0"):
        return ["exact", "plain", "v"]
    if version.since("4.1.0"):
        return ["exact", "plain"]
    return ["exact"]


def enforces_downloads(version: Version) -> bool:
    """Whether a bundle that is not what it says takes its API with it; before, it is logged."""
    return version.since("5.0.12", "5.3.1", "5.4.0")


def start_needs_mdcb(version: Version) -> bool:
    """Whether a start does not get on, not even from the emergency backup, until the control plane is there."""
    exactly = [Version.parse(one) for one in ("5.0.15", "5.6.1")]
    return version in exactly or version.within("5.3.7", "5.3.9") or version.within("5.7.0", "5.7.1")


@dataclass(frozen=True)
class Subject:
    gateway: str
    version: Version
    builds: Path

    @classmethod
    def from_environment(cls) -> Subject:
        missing = [name for name in ("CONFORMANCE_GATEWAY", "CONFORMANCE_VERSION") if not os.environ.get(name)]
        if missing:
            raise ValueError(f"Set {' and '.join(missing)}; tests/lab/conformance/README.md says how.")
        gateway = os.environ["CONFORMANCE_GATEWAY"]
        builds = Path(os.environ.get("CONFORMANCE_BUILDS") or tempfile.gettempdir())
        return cls(gateway, Version.parse(os.environ["CONFORMANCE_VERSION"]), builds)

    @property
    def is_image(self) -> bool:
        return not os.access(self.gateway, os.X_OK)

    def build(self, name: str) -> Path | None:
        path = self.builds / f"{name}.so"
        return path if path.exists() else None

    def suffixed(self, stem: str, *, letter: bool = True) -> str:
        return f"{stem}_{'v' if letter else ''}{self.version}_linux_amd64.so"


def docker(*arguments: str, check: bool = True) -> subprocess.CompletedProcess[str]:
    done = subprocess.run(["docker", *arguments], capture_output=True, text=True, check=False)
    if check and done.returncode != 0:
        raise RuntimeError(f"docker {' '.join(arguments)} failed:\n{done.stdout}{done.stderr}")
    return done


def compile_plugin(image: str, version: Version, build_id: str, target: Path, more: str = "") -> None:
    """Run a plugin compiler over ./plugin by the engine's archive API, with no mount and no network needed."""
    container = docker("create", image, "plugin.so", build_id).stdout.strip()
    try:
        with tempfile.TemporaryDirectory() as folder:
            source = Path(folder) / "source"
            shutil.copytree(HERE / "plugin", source)
            if more:
                (source / "more.go").write_text(more)
            if not version.since("5.1.0"):  # one that does not name the gateway's commit is refused, none is fine
                (source / "go.mod").unlink()
            elif not version.since("5.2.4"):  # the id changes nothing: the name of the module must
                (source / "go.mod").write_text(f"module conformance-plugin-{build_id}\n\ngo 1.19\n")
            docker("cp", f"{source}/.", f"{container}:/plugin-source")
            docker("start", "-a", container)
            docker("cp", f"{container}:/plugin-source/.", folder)
            (built,) = Path(folder).glob("*.so")
            shutil.copy(built, target)
    finally:
        docker("rm", "-f", container, check=False)


# Makes a build differ from another with the same plugin path.
MORE = "package main\n\n// More is here so that the builds differ.\nfunc More() string { return build }\n"


def prepare() -> None:
    """Make what the tests need, once: plugin builds and the control plane. Tells the workers where, by environment."""
    builds = Path(os.environ.get("CONFORMANCE_BUILDS") or tempfile.mkdtemp(prefix="tyk-conformance-"))
    builds.mkdir(parents=True, exist_ok=True)
    os.environ["CONFORMANCE_BUILDS"] = str(builds)
    version = Version.parse(os.environ["CONFORMANCE_VERSION"])
    foreign = Version.parse(os.environ.get("CONFORMANCE_FOREIGN_VERSION") or "5.8.9")
    compilers = {
        # Builds of one source under paths of their own; one for each way in which a file can be wrong.
        "one": "CONFORMANCE_COMPILER",
        "two": "CONFORMANCE_COMPILER",
        "three": "CONFORMANCE_COMPILER",
        "mismatch": "CONFORMANCE_MISMATCH",
        "foreign": "CONFORMANCE_FOREIGN",
    }
    for name, variable in compilers.items():
        image, target = os.environ.get(variable), builds / f"{name}.so"
        if not image or target.exists():
            continue
        if name == "mismatch":  # it has the path of a good one: a failed load poisons that path
            compile_plugin(image, version, "one", target, MORE)
        else:
            compile_plugin(image, foreign if name == "foreign" else version, name, target)
    if not os.environ.get("CONFORMANCE_CONTROLPLANE"):
        go = os.environ.get("GO") or shutil.which("go")
        if go:
            program = builds / "controlplane"
            command = [go, "build", "-trimpath", "-o", str(program), "./cmd/controlplane"]
            subprocess.run(command, cwd=SERVICES, env={**os.environ, "CGO_ENABLED": "0"}, check=True)
            os.environ["CONFORMANCE_CONTROLPLANE"] = str(program)
