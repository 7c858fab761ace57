# Copyright (c) 2026 tyk.upgrade contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""How gateways and pump are put where the lab's target wants them: as containers here; see linux.py and compose.py."""

from __future__ import annotations

import shutil
from pathlib import Path
from typing import TYPE_CHECKING, Any, Protocol

from engine import Container
from settings import PUMP_FROM

if TYPE_CHECKING:
    from lab import Lab

# The inventory host's connection when the thing it names lives in this machine's engine.
LOCAL = {"ansible_connection": "local", "ansible_python_interpreter": "{{ ansible_playbook_python }}"}


class Fleet(Protocol):
    """What the lab asks of everything that an upgrade replaces. A role is gw1, gw2, … or pump."""

    def prepare(self) -> None:
        """Images, packages, tools; before the first ``ensure``."""

    def helpers(self) -> set[str]:
        """Names of containers beside the members that are kept when the members are made anew."""

    def ensure(self, role: str) -> bool:
        """Start the member when it is not there, at its first version. Return whether it was made."""

    def version_is_first(self, role: str) -> bool:
        """Whether it is as ``ensure`` makes it."""

    def identity(self, role: str) -> list[Any]:
        """Changes exactly when what serves was replaced or restarted."""

    def variables(self, role: str) -> dict[str, Any]:
        """The member's variables in the inventory of a user."""

    def forget(self) -> None:
        """Remove the members, so that ``ensure`` makes them anew."""

    def logs(self, role: str) -> str:
        """The last lines of what it said."""


class ContainerFleet:
    """Each member is a container that somebody once started by hand."""

    def __init__(self, lab: Lab) -> None:
        self.lab = lab

    def prepare(self) -> None:
        pass

    def helpers(self) -> set[str]:
        return set()

    def ensure(self, role: str) -> bool:
        self.make_middleware(role)
        return self.lab.site.ensure_container(self._pump() if role == "pump" else self._gateway(role))[1]

    def make_middleware(self, role: str) -> None:
        """An empty middleware folder for a gateway that is not there yet."""
        for folder in map(Path, self.lab.settings.middleware(role) if role != "pump" else ()):
            if self.lab.site.find(role) is None:
                shutil.rmtree(folder, ignore_errors=True)
                folder.mkdir(parents=True)

    def _pump(self) -> Container:
        settings = self.lab.settings
        return Container(
            "pump",
            self.lab.ref("pump", PUMP_FROM),
            environment={"TYK_PMP_PURGEDELAY": "2", "LAB_SITE": settings.name},
            publish={8083: "pump"},
            mounts={str(settings.directory / "pump.conf"): "/opt/tyk-pump/pump.conf:ro"},
            labels={"com.example.team": "platform"},
            restart="unless-stopped",
            keeps_image=True,
        )

    def _gateway(self, role: str) -> Container:
        settings = self.lab.settings
        return Container(
            role,
            self.lab.ref("gateway", settings.from_version),
            environment={"TYK_GW_DBAPPCONFOPTIONS_NODEISSEGMENTED": "false", "TZ": "UTC", "LAB_SITE": settings.name},
            publish={8080: role},
            mounts={
                str(settings.directory / "tyk.conf"): "/opt/tyk-gateway/tyk.conf:ro",
                **settings.middleware(role),
            },
            labels={"com.example.team": "platform", "com.example.member": role},
            restart="unless-stopped",
            stop_timeout=45,
            keeps_image=True,
        )

    def version_is_first(self, role: str) -> bool:
        found = self.lab.site.find(role)
        component = "pump" if role == "pump" else "gateway"
        version = self.lab.settings.versions(component)[0]
        return found is not None and found.attrs["Config"]["Image"] == self.lab.ref(component, version)

    def identity(self, role: str) -> list[Any]:
        found = self.lab.client.containers.get(self.lab.settings.container(role))
        state = found.attrs["State"]
        return [found.id, found.attrs["Image"], state["StartedAt"], found.attrs["RestartCount"]]

    def variables(self, role: str) -> dict[str, Any]:
        component = "pump" if role == "pump" else "gateway"
        return {
            **LOCAL,
            f"{component}_deployment": "docker",
            f"{component}_container": self.lab.settings.container(role),
            f"{component}_image": self.lab.repository(component),
        }

    def forget(self) -> None:
        """The lab removes every container of its own."""

    def logs(self, role: str) -> str:
        return self.lab.site.logs(role)
