# Copyright (c) 2026 tyk.upgrade contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""For tests: run the playbook against a changed copy of the lab's inventory and see what it did."""

from __future__ import annotations

import json
import re
import subprocess
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import inventory
from checks import BIN, environment
from engine import locked
from lab import Lab
from settings import ROOT, Settings


def lab_at_first_version() -> Lab:
    """The lab that the environment names, started or taken back when need be."""
    lab = Lab(Settings.from_environment())
    with locked(f"tests-{lab.settings.name}"):
        if not lab.exists():
            lab.up()
        elif not lab.pristine():
            lab.reset()
    return lab


def serving(lab: Lab) -> dict[str, Any]:
    """What serves: the very processes, and the definitions they were given."""
    members = {role: lab.fleet(role).identity(role) for role in lab.settings.members}
    return {"members": members, "definitions": lab.dashboard_apis()}


@dataclass
class Run:
    code: int
    output: str
    directory: Path

    @property
    def report(self) -> dict[str, Any]:
        path = self.directory / "report" / "report.json"
        report: dict[str, Any] = json.loads(path.read_text()) if path.exists() else {}
        return report

    def changed(self) -> dict[str, int]:
        """Host → number of changed tasks, from the play recap."""
        return {host: int(count) for host, count in re.findall(r"^(\S+)\s+: ok=\d+\s+changed=(\d+)", self.output, re.M)}

    def codes(self) -> set[str]:
        """Codes of all findings that the run printed or reported."""
        printed = set(re.findall(r"\bcode['\"]?: ['\"]?([a-z][a-z-]+)", self.output))
        return printed | {finding["code"] for finding in self.report.get("findings", [])}


class Scenario:
    """``inventory`` may be changed before ``play``; journal, report and backups lie in ``directory``."""

    def __init__(self, lab: Lab, directory: Path) -> None:
        self.lab = lab
        self.directory = directory
        self.inventory = inventory.build(lab)
        self.variables.update(
            tyk_report_dir=str(directory / "report"),
            tyk_journal_dir=str(directory / "journal"),
            tyk_backup_dir=str(directory / "backups"),
        )

    @property
    def variables(self) -> dict[str, Any]:
        variables: dict[str, Any] = self.inventory["all"]["vars"]
        return variables

    @property
    def gateways(self) -> dict[str, dict[str, Any]]:
        hosts: dict[str, dict[str, Any]] = self.inventory["all"]["children"]["tyk_gateways"]["hosts"]
        return hosts

    def play(self, *arguments: str, playbook: str = "hybrid_upgrade.yml", timeout: int = 900) -> Run:
        path = self.directory / "inventory.yml"
        inventory.write(path, self.inventory)
        done = subprocess.run(  # noqa: S603
            [str(BIN / "ansible-playbook"), playbook, "-i", str(path), *arguments],
            cwd=ROOT,
            env=environment(),
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            errors="replace",
            timeout=timeout,
            check=False,
        )
        return Run(done.returncode, done.stdout, self.directory)
