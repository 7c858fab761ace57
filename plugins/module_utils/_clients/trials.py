# Copyright (c) 2026 tyk.upgrade contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What proves a copy of a service that runs another program: the lines of its log."""

from __future__ import annotations

import re
import socket
from dataclasses import dataclass
from typing import Dict, List, Mapping, Optional, Sequence

from ansible_collections.tyk.upgrade.plugins.module_utils._domain.findings import DomainError, error


@dataclass(frozen=True)
class Verdict:
    """What the log said: `ok` once a success pattern and no failure pattern was seen, None while neither was."""

    ok: Optional[bool]
    lines: List[str]


def judge(log: str, success: Sequence[str], failure: Sequence[str]) -> Verdict:
    """Failure wins over success: a process that reports one broken part may well report that it runs."""
    lines = log.splitlines()
    bad = [line for line in lines if any(re.search(pattern, line) for pattern in failure)]
    if bad:
        return Verdict(False, bad)
    good = [line for line in lines if any(re.search(pattern, line) for pattern in success)]
    return Verdict(True if good else None, good)


def trial_environment(env: Mapping[str, object]) -> Dict[str, str]:
    """The variables as texts; {free_port} in one becomes a port that nothing listens on now, a new one each time."""
    return {str(name): re.sub(r"\{free_port\}", lambda _match: str(free_port()), str(value)) for name, value in env.items()}


def free_port() -> int:
    """A TCP port of this host that nothing listens on now."""
    with socket.socket(socket.AF_INET, socket.SOCK_STREAM) as probe:
        probe.bind(("", 0))
        return int(probe.getsockname()[1])


def refusal(subject: str, verdict: Verdict, last: Sequence[str], timeout: float, ended: bool = False) -> DomainError:
    """Why a service did not prove itself, with its own words; `ended`: it is no longer running."""
    if verdict.ok is False:
        message = f"{subject} says: {verdict.lines[-1]}"
    else:
        said = " | ".join(last[-5:]) or "nothing"
        how = "ended before it said" if ended else f"did not say within {timeout:g} s"
        message = f"{subject} {how} that it works; the last it said is: {said}"
    return DomainError(
        error("pump-backend", subject, message, "See whether its back end is up and whether its credentials are right.")
    )


def pattern_problem(patterns: Sequence[str]) -> str:
    """What is wrong with the first of these that is not a regular expression; empty if all are."""
    for pattern in patterns:
        try:
            re.compile(pattern)
        except re.error as problem:
            return f"'{pattern}' is not a regular expression: {problem}."
    return ""
