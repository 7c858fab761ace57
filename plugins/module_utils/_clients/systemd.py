# Copyright (c) 2026 tyk.upgrade contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""One service of systemd: looked at, stopped, kept from being started by others, started.

While a package is replaced its scripts restart or stop the service as they like. A drop-in of this boot only, with a
condition that is never met, lets every such start succeed without starting anything; unlike a mask it works for units
in /etc, too, and a reboot ends it.
"""

from __future__ import annotations

import json
import os
import time
from typing import List, Optional

from ansible_collections.tyk.upgrade.plugins.module_utils._clients.errors import ClientError
from ansible_collections.tyk.upgrade.plugins.module_utils._clients.host_commands import Host, Said
from ansible_collections.tyk.upgrade.plugins.module_utils._domain.packages import SHOWN, Unit, parse_show

GUARD = "zz-tyk-upgrade.conf"  # sorts behind the administrator's, of which one may reset conditions
GUARD_TEXT = (
    b"# Written by tyk.upgrade while the package is replaced; gone when that is done, and after a reboot.\n"
    b"[Unit]\nConditionPathExists=!/\n"
)
#: systemd's message id for a unit whose start is done.
STARTED = "39f53479d3a045ac8e11786248231fbf"
LINES_SHOWN = 20
POLL = 0.1
START_TIMEOUT = 120
KILL_TIMEOUT = 10


class Service:
    """One unit of type service."""

    def __init__(self, host: Host, name: str) -> None:
        self.host = host
        self.name = name if "." in name else f"{name}.service"

    # -- looking -----------------------------------------------------------------------------------------------------

    def look(self) -> Unit:
        """What systemd knows of it."""
        said = self.host.run("systemctl", "show", self.name, *[f"--property={one}" for one in SHOWN])
        if not said.ok:
            raise ClientError(
                "unit-missing",
                self.name,
                f"systemctl cannot look at {self.name}: {said.last(2)}",
                "The host must run systemd, and the module must run on the host itself.",
            )
        return Unit.from_properties(self.name, parse_show(said.output))

    def journal(self, lines: int = LINES_SHOWN, since: Optional[float] = None) -> str:
        """The last lines of its log. since: in seconds since 1970."""
        command = ["journalctl", f"--unit={self.name}", f"--lines={lines}", "--no-pager", "--quiet", "--output=short-iso"]
        if since is not None:
            command.append(f"--since=@{since:.3f}")
        return self.host.run(*command).output.strip()

    def starts_since(self, moment: float) -> Optional[int]:
        """How often its start was completed since the moment (seconds since 1970), by the journal; None if it has none."""
        self.host.run("journalctl", "--sync", timeout=20)
        said = self.host.run(
            "journalctl",
            f"MESSAGE_ID={STARTED}",
            f"UNIT={self.name}",
            f"--since=@{int(moment)}",
            "--output=json",
            "--quiet",
            "--no-pager",
        )
        if not said.ok:
            return None
        times: List[float] = []
        for line in said.output.splitlines():
            try:
                entry = json.loads(line)
                if "skipped" in str(entry.get("MESSAGE")):  # a condition that is not met: nothing was started
                    continue
                times.append(float(entry.get("_SOURCE_REALTIME_TIMESTAMP") or entry["__REALTIME_TIMESTAMP"]) / 1e6)
            except (ValueError, KeyError, TypeError):
                continue
        return sum(1 for one in times if one >= moment)

    @staticmethod
    def started_epoch(unit: Unit) -> Optional[float]:
        """When its process was started, in seconds since 1970; None if it never was."""
        if not unit.started_monotonic:
            return None
        return time.time() - (time.clock_gettime(time.CLOCK_MONOTONIC) - unit.started_monotonic)

    # -- the guard ---------------------------------------------------------------------------------------------------

    @property
    def guard_path(self) -> str:
        return f"/run/systemd/system/{self.name}.d/{GUARD}"

    @property
    def guarded(self) -> bool:
        return os.path.exists(self.guard_path)

    def guard(self) -> None:
        """From now on nobody's start starts it. What runs keeps running."""
        if self.guarded:
            return
        self.host.write(self.guard_path, GUARD_TEXT, 0o644)
        self.reload()

    def unguard(self) -> None:
        """Starts start again."""
        if self.host.remove(self.guard_path):
            try:
                os.rmdir(os.path.dirname(self.guard_path))
            except OSError:
                pass  # someone else's runtime drop-ins lie there, too
        self.reload()

    def reload(self) -> None:
        """Have systemd read all unit files again."""
        self._must("read the unit files again", self.host.change("systemctl", "daemon-reload", timeout=90))

    # -- stopping and starting ---------------------------------------------------------------------------------------

    def stop(self, timeout: float) -> None:
        """Stop it and wait; what has not ended after the timeout (seconds) is killed."""
        self.host.change("systemctl", "stop", "--no-block", self.name)
        if not self._ended(timeout):
            self.host.change("systemctl", "kill", "--signal=SIGKILL", self.name)
            if not self._ended(KILL_TIMEOUT):
                raise ClientError(
                    "unit-failed",
                    self.name,
                    f"{self.name} still runs {KILL_TIMEOUT} s after it was killed.",
                    f"See what it waits for: systemctl status {self.name}",
                )
        self.host.change("systemctl", "reset-failed", self.name)

    def _ended(self, timeout: float) -> bool:
        deadline = time.monotonic() + timeout
        while True:
            state = self.host.run("systemctl", "show", self.name, "--property=ActiveState", "--value").output.strip()
            if state in ("inactive", "failed"):
                return True
            if time.monotonic() >= deadline:
                return False
            time.sleep(POLL)

    def enable(self, wanted: str) -> bool:
        """Bring its file state back to enabled or disabled, if it is not; whether anything was done."""
        now = self.look().file_state
        if wanted == now or wanted not in ("enabled", "disabled"):
            return False
        verb = "enable" if wanted == "enabled" else "disable"
        self._must(f"{verb} {self.name}", self.host.change("systemctl", verb, self.name, timeout=90))
        return True

    def start(self) -> None:
        """Start it and wait until systemd calls it started."""
        said = self.host.change("systemctl", "start", self.name, timeout=START_TIMEOUT)
        if not said.ok:
            raise self._did_not_stay(self.look(), f"systemctl start said: {said.last(2)}")

    def settle(self, seconds: float) -> Unit:
        """Raise if it does not stay up, with one and the same process, for so many seconds; how it is then."""
        deadline = time.monotonic() + seconds
        first: Optional[Unit] = None
        while True:
            unit = self.look()
            first = first or unit
            if not unit.running or unit.looping:
                raise self._did_not_stay(unit, f"its state is {unit.active_state} ({unit.sub_state})")
            if (unit.invocation, unit.main_pid) != (first.invocation, first.main_pid) or unit.restarts > first.restarts:
                raise self._did_not_stay(unit, "systemd had to restart it")
            if time.monotonic() >= deadline:
                return unit
            time.sleep(POLL)

    def _did_not_stay(self, unit: Unit, how: str) -> ClientError:
        lines = self.journal()
        code = "crash-loop" if unit.looping or unit.restarts or unit.sub_state == "auto-restart" else "unit-failed"
        said = f" Its last lines: {lines}" if lines else " It logged nothing."
        return ClientError(
            code,
            self.name,
            f"{self.name} did not stay up after its start: {how}.{said}",
            "Put right what its last lines name.",
        )

    def _must(self, what: str, said: Said) -> None:
        if not said.ok:
            raise ClientError(
                "unit-failed",
                self.name,
                f"systemctl could not {what}: {said.last(3)}",
                "See journalctl -b for what systemd says about it.",
            )
