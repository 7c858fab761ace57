# Copyright (c) 2026 tyk.upgrade contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Traffic and analytics, counted apart from the collection: the load generator and the control plane's meter."""

from __future__ import annotations

import json
import subprocess
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import requests
import seed
from engine import wait_for
from settings import Settings
from stand_ins import StandIns

RATE = 220


def targets(settings: Settings) -> dict[str, Any]:
    """Every API; those that check a key also with a wrong key and with none."""
    entry = settings.local("entry")
    found: list[dict[str, Any]] = []
    for api in seed.apis(settings.from_version):
        url = f"{entry}{api.listen_path}meter/get"
        target: dict[str, Any] = {"name": api.name, "url": url, "headers": api.headers(), "weight": 3, "kind": "plain"}
        if api.plugin is seed.HEADER:
            target.update(kind="effect", expect={"status": [200], "headers": {"X-Lab-Plugin": "header"}})
        found.append(target)
        if api.protected:
            found.append(
                {"name": f"{api.name}-wrong-key", "url": url, "headers": {"Authorization": "x"}, "kind": "deny"}
            )
            found.append({"name": f"{api.name}-no-key", "url": url, "headers": {}, "kind": "deny"})
    return {"targets": found}


class Load:
    def __init__(self, settings: Settings, stand_ins: StandIns, directory: Path) -> None:
        self.settings = settings
        self.program = stand_ins.program("loadgen")
        self.directory = directory
        self.http = requests.Session()
        self.http.trust_env = False

    @contextmanager
    def running(self, seconds: int = 2400) -> Iterator[None]:
        """The load generator runs inside this block and nowhere else; by itself it ends after ``seconds``."""
        self.directory.mkdir(parents=True, exist_ok=True)
        plan = self.directory / "targets.json"
        plan.write_text(json.dumps(targets(self.settings), indent=2) + "\n")
        port = self.settings.port("loadgen")
        command = [str(self.program), "--targets", str(plan), "--rate", str(RATE), "--duration", f"{seconds}s"]
        with (self.directory / "loadgen.log").open("wb") as log:
            process = subprocess.Popen([*command, "--listen", f"127.0.0.1:{port}"], stdout=log, stderr=log)
            try:
                wait_for("load generator", lambda: self.read()["answered"] > RATE, timeout=15)
                yield
            finally:
                process.terminate()
                try:
                    process.wait(timeout=15)
                except subprocess.TimeoutExpired:
                    process.kill()
                    process.wait()

    def read(self) -> dict[str, Any]:
        answer = self.http.get(f"{self.settings.local('loadgen')}/meter", timeout=5)
        answer.raise_for_status()
        reading: dict[str, Any] = answer.json()
        return reading

    def stop(self) -> dict[str, Any]:
        """End sending; the reading counts every request that was sent."""
        answer = self.http.post(f"{self.settings.local('loadgen')}/stop", timeout=30)
        answer.raise_for_status()
        reading: dict[str, Any] = answer.json()
        return reading

    def reset_records(self) -> None:
        self.http.post(f"{self.settings.local('meter')}/reset", timeout=10).raise_for_status()

    def records(self) -> int:
        answer = self.http.get(f"{self.settings.local('meter')}/meter", timeout=10)
        answer.raise_for_status()
        return int(answer.json()["marked_records_out"])

    def drained(self, expected: int, timeout: float = 60) -> int:
        """Wait until the records of all answered requests have reached the control plane; return how many did."""
        deadline = time.monotonic() + timeout
        while True:
            count = self.records()
            if count >= expected or time.monotonic() > deadline:
                # Records that come twice come with the next purge.
                if count >= expected:
                    time.sleep(4)
                return self.records()
            time.sleep(0.5)


def check_clean(reading: dict[str, Any], records: int) -> list[str]:
    """What of the meters is not as it must be after a faultless upgrade."""
    wrong = [
        f"{reading[key]} {words}"
        for key, words in (
            ("failed", "requests failed"),
            ("plugin_effect_missing", "answers lacked the plugin's effect"),
            ("unauthorized_allowed", "requests without a right key were let through"),
        )
        if reading[key]
    ]
    if records != reading["answered"]:
        wrong.append(f"{reading['answered']} requests were answered, {records} analytics records arrived")
    return wrong
