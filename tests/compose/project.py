# Copyright (c) 2026 tyk.upgrade contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""A small Compose project, and the deployment role run against one of its services."""

from __future__ import annotations

import os
import subprocess
import sys
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import yaml
from checks import BIN, environment
from lab import Lab
from settings import ROOT

# Another run on this engine has its own.
REPOSITORY = f"tyk-upgrade-compose-test/gateway-{os.getpid()}"
OLD, NEW, BROKEN = (f"{REPOSITORY}:{tag}" for tag in ("v5.3.0", "v5.8.9", "v5.9.9"))
DOCKERFILES = {
    OLD: 'FROM {base}\nLABEL version=old\nCMD ["sleep", "infinity"]\nSTOPSIGNAL SIGKILL\n',
    NEW: 'FROM {base}\nLABEL version=new\nCMD ["sleep", "infinity"]\nSTOPSIGNAL SIGKILL\n',
    # The engine cannot start it at all.
    BROKEN: 'FROM {base}\nENTRYPOINT ["/no/such/program"]\n',
}
PROJECT = f"""\
services:
  gw1:   # the canary
    image: {REPOSITORY}:${{TAG}}   # see .env
    environment: {{SECRET: s3cret-value}}
  gw2:
    image: {OLD}
"""
PLAY = """\
- hosts: all
  gather_facts: false
  tasks:
    - name: Run one part of the role after another
      ansible.builtin.include_role:
        name: tyk.upgrade.deployment
        tasks_from: "{{ part }}"
      loop: "{{ parts }}"
      loop_control:
        loop_var: part
    - name: Show what is left to edit by hand
      ansible.builtin.debug:
        msg: "{{ deployment_source_edits | default([]) | join(' ') }}"
"""


@dataclass
class Run:
    """What ansible-playbook said and which tasks changed something."""

    code: int
    text: str
    changed: list[str] = field(default_factory=list)


class Project:
    def __init__(self, lab: Lab, folder: Path, name: str) -> None:
        self.lab = lab
        self.folder = folder
        self.name = name
        self.container = f"{name}-gw1-1"
        (folder / "compose.yml").write_text(PROJECT)
        (folder / ".env").write_text("# what runs\nTAG=v5.3.0  # all of us\n")

    def compose(self, *command: str) -> None:
        done = subprocess.run(
            ["docker", "compose", "--project-name", self.name, *command],
            cwd=self.folder,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            check=False,
        )
        assert done.returncode == 0, done.stdout

    def look(self) -> dict[str, Any]:
        """Everything that an upgrade could change: the files, and what runs."""
        containers = self.lab.client.containers.list(
            all=True, filters={"label": f"com.docker.compose.project={self.name}"}
        )
        return {
            "files": {name: (self.folder / name).read_text() for name in ("compose.yml", ".env")},
            "containers": {one.name: [one.id, one.attrs["Config"]["Image"], one.status] for one in containers},
        }

    def content(self, path: str) -> str:
        """Of a file in the container; empty if it is not there."""
        container = self.lab.client.containers.get(self.container)
        return container.exec_run(["sh", "-c", f"cat {path} 2>/dev/null"]).output.decode()

    def image(self, service: str = "gw1") -> list[str]:
        return [one[1:] for name, one in self.look()["containers"].items() if name == f"{self.name}-{service}-1"][0]

    def deploy(
        self,
        *parts: str,
        image: str = NEW,
        check: bool = False,
        env: dict[str, str] | None = None,
        sources: list[dict[str, str]] | None = None,
        **more: Any,
    ) -> Run:
        member = {
            "kind": "compose",
            "component": "gateway",
            "version": image.rpartition(":v")[2],
            "container": self.container,
            "image": image,
            "compose": {"project_dir": str(self.folder), "project": self.name, "service": "gw1"},
            "stop_timeout": 5,
            "backup_dir": str(self.folder.parent / "backup"),
            "backup_files": ["/etc/hostname"],
            "source_files": sources or [],
            **more,
        }
        play = self.folder.parent / "play.yml"
        play.write_text(PLAY)
        variables = {
            "parts": list(parts),
            "deployment_member": member,
            "ansible_connection": "local",
            "ansible_python_interpreter": sys.executable,
        }
        (self.folder.parent / "variables.yml").write_text(yaml.safe_dump(variables))
        log = self.folder.parent / "log"
        log.unlink(missing_ok=True)
        command = [str(BIN / "ansible-playbook"), "-i", "host1,", str(play), "-e", f"@{play.parent / 'variables.yml'}"]
        done = subprocess.run(
            [*command, *(["--check"] if check else [])],
            cwd=ROOT,
            env=environment(ANSIBLE_STDOUT_CALLBACK="ansible.builtin.default", **(env or {})),
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            check=False,
        )
        return Run(done.returncode, done.stdout, _changed(done.stdout))


def _changed(text: str) -> list[str]:
    names, name = [], ""
    for line in text.splitlines():
        if line.startswith("TASK ["):
            name = line[6:].partition("] ")[0].partition(" : ")[2]
        elif line.startswith("changed:"):
            names.append(name)
    return names
