# Copyright (c) 2026 tyk.upgrade contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""``make test``: every check, side by side where they do not wait for one another; closes with "N passed, N failed"."""

from __future__ import annotations

import contextlib
import os
import re
import subprocess
import sys
import threading
import time
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path

from engine import DockerEngine, say
from settings import LAB, ROOT, LabError

LOGS = ROOT / "build" / "test"
# A lab of its own, so that `make test` leaves the one of `make demo` alone.
TEST_LAB = {"LAB_NAME": "tyk-lab-test", "LAB_PORT_BASE": "22000", "LAB_IMAGES": "stand-in"}


@dataclass(frozen=True)
class Check:
    name: str
    script: str
    arguments: tuple[str, ...]
    environment: dict[str, str] = field(default_factory=dict)
    needed: bool = False  # when it fails, the rest of its lane makes no sense


def check(name: str, **environment: str) -> Check:
    return Check(name, "checks.py", (name,), environment)


def scenario(name: str) -> Check:
    """A Molecule scenario."""
    return Check(name.replace("_", " "), "checks.py", ("molecule",), {"SCENARIO": name})


# Lanes run side by side, the checks of a lane one after the other.
LANES: tuple[tuple[Check, ...], ...] = (
    (check("lint"), check("units"), check("sanity"), check("package"), check("hosts")),
    (
        Check("lab up", "lab.py", ("up",), TEST_LAB, needed=True),
        check("refusals", **TEST_LAB),
        check("parity", **TEST_LAB),
        Check("lab down", "lab.py", ("down",), TEST_LAB),
    ),
    tuple(map(scenario, ("upgrade_docker", "upgrade_compose", "upgrade_apt", "upgrade_dnf"))),
)
# Measures when things happen, in tenths of a second, so it has the machine to itself.
ALONE: tuple[Check, ...] = (check("conformance"),)


@dataclass
class Outcome:
    name: str
    passed: int
    failed: int
    seconds: float
    log: Path


class Suite:
    def __init__(self) -> None:
        self.outcomes: list[Outcome] = []
        self._guard = threading.Lock()

    def run(self) -> int:
        LOGS.mkdir(parents=True, exist_ok=True)
        began = time.monotonic()
        # The lanes share one engine: started before them, stopped after the last of them.
        with contextlib.suppress(LabError):
            DockerEngine.ensure().close()
        os.environ["LAB_KEEP_ENGINE"] = "1"
        lanes = [threading.Thread(target=self._lane, args=(lane,)) for lane in LANES]
        for lane in lanes:
            lane.start()
        for lane in lanes:
            lane.join()
        self._lane(ALONE)
        del os.environ["LAB_KEEP_ENGINE"]
        DockerEngine.stop_if_ours()
        for outcome in self.outcomes:
            if outcome.failed:
                self._show(outcome)
        print(f"\nAll checks took {time.monotonic() - began:.0f} s; logs: {LOGS}")
        for outcome in self.outcomes:
            print(f"  {outcome.name:15} {outcome.passed:5} passed {outcome.failed:3} failed {outcome.seconds:6.0f} s")
        passed, failed = sum(o.passed for o in self.outcomes), sum(o.failed for o in self.outcomes)
        print(f"\n{passed} passed, {failed} failed", flush=True)
        return 1 if failed or not passed else 0

    def _lane(self, lane: Sequence[Check]) -> None:
        skip = False
        for one in lane:
            if skip and one.name != "lab down":
                self._note(Outcome(one.name, 0, 1, 0, LOGS / "not-run"))
                continue
            outcome = self._one(one)
            self._note(outcome)
            skip = skip or (one.needed and outcome.failed > 0)

    def _note(self, outcome: Outcome) -> None:
        with self._guard:
            self.outcomes.append(outcome)
        word = "failed" if outcome.failed else "passed"
        say(f"{outcome.name} {word} after {outcome.seconds:.0f} s")

    def _one(self, one: Check) -> Outcome:
        say(f"{one.name} begins")
        log = LOGS / f"{one.name.replace(' ', '-')}.log"
        began = time.monotonic()
        with log.open("wb") as handle:
            done = subprocess.run(  # noqa: S603
                [sys.executable, str(LAB / one.script), *one.arguments],
                cwd=ROOT,
                env={**os.environ, **one.environment},
                stdin=subprocess.DEVNULL,
                stdout=handle,
                stderr=subprocess.STDOUT,
                check=False,
            )
        passed, failed = counted(log.read_text(errors="replace"))
        if done.returncode and not failed:
            failed = 1
        if not done.returncode and not passed:
            passed = 1
        return Outcome(one.name, passed, failed, time.monotonic() - began, log)

    @staticmethod
    def _show(outcome: Outcome) -> None:
        print(f"\n--- {outcome.name} ({outcome.log}) ends with ---")
        if outcome.log.exists():
            print("\n".join(outcome.log.read_text(errors="replace").strip().splitlines()[-60:]))


def counted(text: str) -> tuple[int, int]:
    """What the runners in a log say of themselves: pytest's and our own closing lines."""
    passed = failed = 0
    for line in text.splitlines():
        if re.search(r"\b\d+ (passed|failed|errors?)\b.* in [\d.]+s", line) or re.fullmatch(
            r"(\w+: )?\d+ passed, \d+ failed(, \d+ skipped)?", line.strip()
        ):
            for number, word in re.findall(r"(\d+) (passed|failed|errors?)\b", line):
                if word == "passed":
                    passed += int(number)
                else:
                    failed += int(number)
    return passed, failed


if __name__ == "__main__":
    sys.exit(Suite().run())
