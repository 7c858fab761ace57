# Copyright (c) 2026 tyk.upgrade contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""A throw-away copy of a systemd service that runs another program, judged by what it logs.

The copy is a transient unit with the service's user, folder, environment and command line. systemd itself ends it when
its time is over, so that a run that was killed leaves nothing behind.
"""

from __future__ import annotations

import os
import re
import time
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Iterator, List, Mapping, Sequence, Tuple

from ansible_collections.tyk.upgrade.plugins.module_utils._clients.errors import ClientError
from ansible_collections.tyk.upgrade.plugins.module_utils._clients.host_commands import Host
from ansible_collections.tyk.upgrade.plugins.module_utils._clients.journal_log import JournalLog
from ansible_collections.tyk.upgrade.plugins.module_utils._clients.systemd import Service
from ansible_collections.tyk.upgrade.plugins.module_utils._clients.trials import Verdict, judge
from ansible_collections.tyk.upgrade.plugins.module_utils._domain.packages import parse_show

PROPERTIES = (
    "ExecStart",
    "MainPID",
    "User",
    "Group",
    "SupplementaryGroups",
    "WorkingDirectory",
    "Environment",
    "EnvironmentFiles",
)
POLL = 0.25
MAX_LINES = 50
_PROGRAM = re.compile(r"path=(.*?) ; argv\[\]=")
_ARGUMENTS = re.compile(r"argv\[\]=(.*?) ; ignore_errors=")
_FILE = re.compile(r"^(.*) \(ignore_errors=(yes|no)\)$")


@dataclass(frozen=True)
class Recipe:
    """How a service is started."""

    program: str
    arguments: Tuple[str, ...]
    user: str = ""
    group: str = ""
    more_groups: str = ""
    folder: str = ""
    environment: str = ""
    environment_files: Tuple[Tuple[str, bool], ...] = ()  # path, and whether it may be absent

    @classmethod
    def from_properties(cls, text: str) -> Recipe:
        """Read what systemctl show prints. EnvironmentFiles may come several times."""
        data = parse_show(text)
        start = data.get("ExecStart", "")
        program, found = _PROGRAM.search(start), _ARGUMENTS.search(start)
        arguments = tuple(found.group(1).split()[1:]) if found else ()
        files = []
        for line in text.splitlines():
            if line.startswith("EnvironmentFiles="):
                match = _FILE.match(line.split("=", 1)[1])
                if match:
                    files.append((match.group(1), match.group(2) == "yes"))
        path = program.group(1) if program else ""
        return cls(
            program=path,
            arguments=_of_process(data.get("MainPID", ""), path) or arguments,
            user=data.get("User", ""),
            group=data.get("Group", ""),
            more_groups=data.get("SupplementaryGroups", ""),
            folder=data.get("WorkingDirectory", "").lstrip("!-"),
            environment=data.get("Environment", ""),
            environment_files=tuple(files),
        )

    def options(self, overrides: str, seconds: float) -> List[str]:
        """Properties of the copy. overrides: a file with the environment that differs, which has the last word."""
        options = [f"--property=RuntimeMaxSec={seconds:.0f}", "--property=TimeoutStopSec=5"]
        options += ["--property=Restart=no", "--property=KillMode=control-group"]
        for name, value in (
            ("User", self.user),
            ("Group", self.group),
            ("SupplementaryGroups", self.more_groups),
            ("WorkingDirectory", self.folder),
        ):
            if value:
                options.append(f"--property={name}={value}")
        if self.environment:
            options.append(f"--property=Environment={self.environment}")
        for path, optional in self.environment_files:
            options.append(f"--property=EnvironmentFile={'-' if optional else ''}{path}")
        return [*options, f"--property=EnvironmentFile={overrides}"]


def _of_process(pid: str, program: str) -> Tuple[str, ...]:
    """The arguments that a running service was really started with: systemctl show does not quote them."""
    try:
        with open(f"/proc/{int(pid)}/cmdline", "rb") as stream:
            words = stream.read().decode("utf-8", "replace").rstrip("\0").split("\0")
        place = words.index(program)  # a script stands behind its interpreter
    except (OSError, ValueError):
        return ()
    return tuple(word.replace("$", "$$") for word in words[place + 1 :])  # systemd puts variables in for a single one


def environment_file(env: Mapping[str, str]) -> bytes:
    """Variables as an environment file of systemd has them."""
    lines = []
    for name, value in sorted(env.items()):
        quoted = value.replace("\\", "\\\\").replace('"', '\\"').replace("$", "\\$").replace("`", "\\`")
        lines.append(f'{name}="{quoted}"\n')
    return "".join(lines).encode()


@contextmanager
def trial(host: Host, service: Service, binary: str, env: Mapping[str, str], seconds: float) -> Iterator[Service]:
    """Start the copy; it is stopped whatever happens, one that a killed run left behind, too."""
    said = host.run("systemctl", "show", service.name, *[f"--property={one}" for one in PROPERTIES])
    recipe = Recipe.from_properties(said.output)
    if os.path.basename(recipe.program) != os.path.basename(binary):
        raise ClientError(
            "driver-unsupported",
            service.name,
            f"{service.name} is started by {recipe.program or 'nothing that systemd names'}, not by a program named "
            f"{os.path.basename(binary)}, so {binary} cannot be tried in its place.",
            "Check the names of unit and binary in the inventory; a wrapper around the program cannot be followed.",
        )
    if not os.access(binary, os.X_OK):
        raise ClientError(
            "setting-invalid",
            service.name,
            f"The program {binary} that is to be tried does not exist, or may not be run.",
            "Stage the package first.",
        )
    copy = Service(host, f"tyk-upgrade-trial-{service.name}")
    overrides = f"/run/{copy.name}.env"
    _end(host, copy)
    host.write(overrides, environment_file(env), 0o600)
    try:
        started = host.change(
            "systemd-run",
            "--quiet",
            "--collect",
            f"--unit={copy.name}",
            f"--description=Trial of {binary} by tyk.upgrade",
            *recipe.options(overrides, seconds + 15),
            "--",
            binary,
            *recipe.arguments,
        )
        if not started.ok:
            raise ClientError(
                "unit-failed",
                service.name,
                f"A trial of {binary} as {service.name} could not be started: {started.last(3)}",
                "Stage the package first, and see what systemd says about it.",
            )
        yield copy
    finally:
        _end(host, copy)
        host.remove(overrides)


def _end(host: Host, copy: Service) -> None:
    host.change("systemctl", "stop", copy.name, timeout=30)
    host.change("systemctl", "reset-failed", copy.name, timeout=30)


def watch(log: JournalLog, service: Service, success: Sequence[str], failure: Sequence[str], timeout: float) -> Verdict:
    """Read what the service logs until it decides, it ends, or the time (seconds) is over."""
    deadline = time.monotonic() + timeout
    lines: List[str] = []
    while True:
        ended = not service.look().running
        if ended:
            service.host.run("journalctl", "--sync", timeout=20)  # its last words may be on their way
        lines.extend(line for line in log.new_lines() if _tells(line, success, failure))
        del lines[MAX_LINES:-MAX_LINES]
        verdict = judge("\n".join(lines), success, failure)
        if verdict.ok is not None or ended or time.monotonic() >= deadline:
            return verdict
        time.sleep(POLL)


def _tells(line: str, success: Sequence[str], failure: Sequence[str]) -> bool:
    return judge(line, success, failure).ok is not None
