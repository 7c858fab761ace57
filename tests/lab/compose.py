# Copyright (c) 2026 tyk.upgrade contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Gateways and pump as services of one Compose project in two files, whose images are spelled in all the usual ways."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import zipfile
from pathlib import Path
from typing import TYPE_CHECKING, Any

from engine import install_packages, locked, run, say
from fleet import LOCAL, ContainerFleet
from settings import LABEL, PUMP_FROM, ROOT, LabError, digest

if TYPE_CHECKING:
    from lab import Lab

# PyPI's package of many collections; community.docker and what it needs are taken out of it.
COLLECTIONS = "ansible==12.3.0"
TAKEN = ("docker", "library_inventory_filtering_v1")
KEYRING = "/usr/share/keyrings/debian-archive-keyring.gpg"

GATEWAYS = """\
# The gateways of the lab's data plane; the pump is in pump.yml.
name: {name}

x-gateway: &gateway
  restart: unless-stopped
  stop_grace_period: 45s
  environment: &environment
    TYK_GW_DBAPPCONFOPTIONS_NODEISSEGMENTED: "false"
    TZ: UTC
    LAB_SITE: {name}
  volumes:
    - {directory}/tyk.conf:/opt/tyk-gateway/tyk.conf:ro

services:
  # The canary says its version itself.
  gw1:
    <<: *gateway
    container_name: {name}-gw1
{volumes_gw1}    image: {gateway}:v{version}   # keep in step with the others
    labels: {{{label}: {name}, com.example.member: gw1}}
    ports: ["127.0.0.1:{port_gw1}:8080"]
    networks: {{lab: {{ipv4_address: {address_gw1}, aliases: [gw1]}}}}

  # This one takes it from .env, or else from its default.
  gw2:
    <<: *gateway
    container_name: {name}-gw2
{volumes_gw2}    image: "{gateway}:${{TYK_GW2_TAG:-v{version}}}"
    labels: {{{label}: {name}, com.example.member: gw2}}
    ports: ["127.0.0.1:{port_gw2}:8080"]
    networks: {{lab: {{ipv4_address: {address_gw2}, aliases: [gw2]}}}}

  # And this one is named by .env altogether.
  gw3:
    <<: *gateway
    container_name: {name}-gw3
{volumes_gw3}    image: ${{TYK_GW3_IMAGE:?set it in .env}}
    labels: {{{label}: {name}, com.example.member: gw3}}
    ports: ["127.0.0.1:{port_gw3}:8080"]
    networks: {{lab: {{ipv4_address: {address_gw3}, aliases: [gw3]}}}}

networks:
  lab:
    external: true
    name: {name}
"""

PUMP = """\
services:
  pump:
    profiles: [analytics]
    container_name: {name}-pump
    image: {pump}:${{TYK_PUMP_TAG}}
    restart: unless-stopped
    environment:
      TYK_PMP_PURGEDELAY: "2"
      LAB_SITE: {name}
    labels: {{{label}: {name}, com.example.team: platform}}
    volumes:
      - {directory}/pump.conf:/opt/tyk-pump/pump.conf:ro
    ports: ["127.0.0.1:{port_pump}:8083"]
    networks: {{lab: {{ipv4_address: {address_pump}, aliases: [pump]}}}}
"""

DOTENV = """\
# What runs. Everybody's shell scripts read this, too.
TYK_GW3_IMAGE={gateway}:v{version}
TYK_PUMP_TAG=v{pump_version}   # moves on its own
"""

FILES = {"compose.yml": GATEWAYS, "pump.yml": PUMP, ".env": DOTENV}


class ComposeFleet(ContainerFleet):
    """What is asked of a member is as with any container; how it gets there is Compose's business."""

    def __init__(self, lab: Lab) -> None:
        super().__init__(lab)
        self.folder = lab.settings.directory / "compose"

    # --- tools ---------------------------------------------------------------------------------------------------

    def prepare(self) -> None:
        if shutil.which("docker") is None:
            install_packages("docker.io")
        with locked("compose"):
            if not compose_answers():
                self._install_compose()
            self._link_collections()

    def _install_compose(self) -> None:
        if _candidate("docker-compose").partition("+")[0].partition(".")[0] not in ("", "0", "1"):
            install_packages("docker-compose")
            return
        folder = self.lab.builder.cached_build("compose-plugin", digest("trixie"), _fetch_plugin, "Compose's plugin")
        home = Path("/usr/local/lib/docker") if os.geteuid() == 0 else Path.home() / ".docker"
        link = home / "cli-plugins" / "docker-compose"
        link.parent.mkdir(parents=True, exist_ok=True)
        link.unlink(missing_ok=True)
        link.symlink_to(folder / "docker-compose")
        if not compose_answers():
            raise LabError(f"docker does not find the Compose plugin that was put to {link}.")

    def _link_collections(self) -> None:
        """Beside the link to this checkout, where every playbook run here looks."""
        folder = self.lab.builder.cached_build(
            "community-docker", digest(COLLECTIONS), _fetch_collections, "community.docker"
        )
        target = ROOT / "build" / "collections" / "ansible_collections" / "community"
        target.mkdir(parents=True, exist_ok=True)
        for name in TAKEN:
            link = target / name
            wanted = folder / "ansible_collections" / "community" / name
            if link.is_symlink() and link.resolve() == wanted.resolve():
                continue
            link.unlink(missing_ok=True)
            link.symlink_to(wanted)

    # --- the project ---------------------------------------------------------------------------------------------

    def _texts(self) -> dict[str, str]:
        settings, roles = self.lab.settings, self.lab.settings.members
        words = {
            "name": settings.name,
            "directory": settings.directory,
            "label": LABEL,
            "gateway": self.lab.repository("gateway"),
            "pump": self.lab.repository("pump"),
            "version": settings.from_version,
            "pump_version": PUMP_FROM,
            **{f"port_{role}": settings.port(role) for role in roles},
            **{f"address_{role}": settings.address(role) for role in roles},
            **{f"volumes_{role}": self._volumes(role) for role in settings.gateways},
        }
        return {name: text.format(**words) for name, text in FILES.items()}

    def _volumes(self, role: str) -> str:
        """A gateway's own mounts, in place of those that all have: YAML's merge does not add to a list."""
        mounts = {str(self.lab.settings.directory / "tyk.conf"): "/opt/tyk-gateway/tyk.conf:ro"}
        own = self.lab.settings.middleware(role)
        lines = [f"      - {source}:{target}\n" for source, target in {**mounts, **own}.items()]
        return "".join(["    volumes:\n", *lines]) if own else ""

    def _write_project(self) -> None:
        """The project of the first version; one that an upgrade edited is the user's truth and stays."""
        texts = self._texts()
        stamp, key = self.folder / ".written", digest(*texts.values())
        if stamp.exists() and stamp.read_text() == key:
            return
        self.folder.mkdir(parents=True, exist_ok=True)
        for role in self.lab.settings.members:
            found = self.lab.site.find(role)
            if found is not None:
                found.remove(force=True, v=True)
        for name, text in texts.items():
            (self.folder / name).write_text(text)
        stamp.write_text(key)

    def ensure(self, role: str) -> bool:
        self._write_project()
        self.make_middleware(role)
        found = self.lab.site.find(role)
        if found is not None and found.status == "running":
            return False
        command = ["docker", "compose", "--project-directory", str(self.folder), "-f", "compose.yml", "-f", "pump.yml"]
        up = ["up", "--detach", "--no-deps", "--quiet-pull", role]
        run([*command, *up], what=f"docker compose up {role}", cwd=self.folder)
        if found is not None:
            say(f"starting {found.name} again")
        return found is None

    def forget(self) -> None:
        shutil.rmtree(self.folder, ignore_errors=True)

    def variables(self, role: str) -> dict[str, Any]:
        component = "pump" if role == "pump" else "gateway"
        project: dict[str, Any] = {
            "project_dir": str(self.folder),
            "files": ["compose.yml", "pump.yml"],
            "project": self.lab.settings.name,
            "service": role,
        }
        if role == "pump":
            project["profiles"] = ["analytics"]
        return {
            **LOCAL,
            f"{component}_deployment": "compose",
            f"{component}_compose": project,
            f"{component}_container": self.lab.settings.container(role),
            f"{component}_image": self.lab.repository(component),
        }


def compose_answers() -> bool:
    """Whether docker has the Compose plugin."""
    done = subprocess.run(["docker", "compose", "version"], capture_output=True, stdin=subprocess.DEVNULL, check=False)
    return done.returncode == 0


def _candidate(package: str) -> str:
    """The version that apt would install, without its epoch; empty if there is none."""
    for line in run(["apt-cache", "policy", package], what="apt-cache policy").splitlines():
        name, dummy, value = line.strip().partition(": ")
        if name == "Candidate" and value != "(none)":
            return value.rpartition(":")[2]
    return ""


def _mirror() -> str:
    """Where this machine's own apt takes the distribution from."""
    release = dict(line.split("=", 1) for line in Path("/etc/os-release").read_text().splitlines() if "=" in line)
    codename = release.get("VERSION_CODENAME", "").strip('"')
    if release.get("ID", "").strip('"') != "debian":
        raise LabError("Compose v2 is missing, and the lab knows only Debian's package of it: install docker compose.")
    listed = run(["apt-get", "indextargets", "--format", "$(RELEASE) $(REPO_URI)", "Created-By: Packages"], what="apt")
    for line in listed.splitlines():
        suite, dummy, address = line.partition(" ")
        if suite == codename:
            return address
    raise LabError(f"No apt source of this machine names {codename}, so Debian's mirror is not known.")


def _fetch_plugin(folder: Path) -> None:
    """Compose v2 out of Debian trixie's package; all it needs of the system is a C library of 2.34 or later."""
    work = folder / "apt"
    (work / "lists" / "partial").mkdir(parents=True)
    (work / "cache" / "archives" / "partial").mkdir(parents=True)
    (work / "sources.list").write_text(f"deb [signed-by={KEYRING}] {_mirror()} trixie main\n")
    options = {
        "Dir::Etc::SourceList": work / "sources.list",
        "Dir::Etc::SourceParts": "-",
        "Dir::State::Lists": work / "lists",
        "Dir::Cache": work / "cache",
        "APT::Sandbox::User": "root",
        "Acquire::Languages": "none",
    }
    apt = ["apt-get", "-q", *(f"-o{name}={value}" for name, value in options.items())]
    run([*apt, "update"], what="reading Debian trixie's package list")
    run([*apt, "download", "docker-compose"], what="fetching docker-compose", cwd=work)
    run(["dpkg-deb", "-x", str(next(work.glob("*.deb"))), str(work / "files")], what="unpacking docker-compose")
    found = next((work / "files").rglob("cli-plugins/docker-compose"))
    found.rename(folder / "docker-compose")
    shutil.rmtree(work)


def _fetch_collections(folder: Path) -> None:
    command = [sys.executable, "-m", "pip", "download", "--quiet", "--disable-pip-version-check", "--no-deps"]
    run([*command, "--dest", str(folder), COLLECTIONS], what=f"fetching {COLLECTIONS}")
    wheel = next(folder.glob("*.whl"))
    wanted = tuple(f"ansible_collections/community/{name}/" for name in TAKEN)
    with zipfile.ZipFile(wheel) as archive:
        archive.extractall(folder, [name for name in archive.namelist() if name.startswith(wanted)])
    wheel.unlink()
