# Copyright (c) 2026 tyk.upgrade contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""A stream of probe requests: what each one must show, counted, within an error budget.

A status of 200 proves little (a gateway that could not load a plugin may let the request through), so a target says
what kind of proof it is: plain, effect (a header that the plugin sets) or deny (a request that must be refused).
"""

from __future__ import annotations

import math
import re
import threading
import time
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from typing import Any, Callable, Dict, List, Mapping, Optional, Sequence, Tuple
from urllib.parse import urlsplit, urlunsplit

from ansible_collections.tyk.upgrade.plugins.module_utils._clients.errors import mask_url
from ansible_collections.tyk.upgrade.plugins.module_utils._clients.http import Answer, HttpClient, Unreachable
from ansible_collections.tyk.upgrade.plugins.module_utils._domain.findings import Finding, error, warning

MAX_SAMPLES = 20
#: A deny target without a status of its own accepts these.
DENY_STATUS = (401, 403)
SAFE_METHODS = ("GET", "HEAD", "OPTIONS")
_MAX_ANSWER = 1024 * 1024
_MAX_IN_FLIGHT = 256
_BUCKET_GROWTH = 1.05
_FIRST_BUCKET_MS = 0.1

PASSED, FAILED, EFFECT_MISSING, UNAUTHORIZED_ALLOWED = "passed", "failed", "effect_missing", "unauthorized_allowed"


@dataclass(frozen=True)
class Target:
    """One request and what it must show. headers of `expect_headers` are regular expressions searched in the value."""

    name: str
    url: str
    method: str = "GET"
    headers: Mapping[str, str] = field(default_factory=dict)
    kind: str = "plain"
    status: Sequence[int] = (200,)
    expect_headers: Mapping[str, str] = field(default_factory=dict)
    via: str = ""

    def through(self, name: str, base_url: str) -> Target:
        """The same request sent to one replica, still naming the host that clients name."""
        asked, replica = urlsplit(self.url), urlsplit(base_url)
        path = replica.path.rstrip("/") + "/" + asked.path.lstrip("/")
        url = urlunsplit((replica.scheme, replica.netloc, path, asked.query, ""))
        headers = dict(self.headers)
        if asked.netloc and not any(key.lower() == "host" for key in headers):
            headers["Host"] = asked.netloc.rpartition("@")[2]
        return Target(self.name, url, self.method, headers, self.kind, self.status, self.expect_headers, name)


@dataclass(frozen=True)
class Outcome:
    """What one request showed. message is empty when it passed; milliseconds is None when no answer came."""

    target: Target
    verdict: str
    message: str = ""
    status: Optional[int] = None
    milliseconds: Optional[float] = None

    def sample(self, now: Optional[float] = None) -> Dict[str, Any]:
        """The outcome for a person, without headers: they hold credentials."""
        return {
            "time": time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime(now)),
            "target": self.target.name,
            "via": self.target.via,
            "url": mask_url(self.target.url),
            "verdict": self.verdict,
            "status": self.status,
            "message": self.message,
        }


def judge(target: Target, answer: Answer) -> Tuple[str, str]:
    """The verdict on an answer, and why it is not "passed"."""
    expected = " or ".join(str(status) for status in target.status)
    if answer.status not in target.status:
        if target.kind == "deny" and 200 <= answer.status < 400:
            return UNAUTHORIZED_ALLOWED, f"must be refused with {expected} but was answered {answer.status}"
        return FAILED, f"expected {expected}, was answered {answer.status}"
    if target.kind == "deny":
        return PASSED, ""
    for name, pattern in target.expect_headers.items():
        value = answer.headers.get(name)
        if value is None or not re.search(pattern, value):
            got = "is missing" if value is None else "has another value"
            verdict = EFFECT_MISSING if target.kind == "effect" else FAILED
            return verdict, f"was answered {answer.status}, but the header {name} {got}"
    return PASSED, ""


def ask(http: HttpClient, target: Target) -> Outcome:
    """Send one request, without following redirects and without a second try: every failure counts."""
    try:
        answer = http.request(target.method, target.url, headers=target.headers, limit=_MAX_ANSWER)
    except Unreachable as problem:
        return Outcome(target, FAILED, f"got no answer: {problem}")
    verdict, message = judge(target, answer)
    return Outcome(target, verdict, message, answer.status, answer.seconds * 1000)


class Tally:
    """Counts outcomes. Safe to use from many threads; latencies go into buckets that grow by 5 %."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._counts = {PASSED: 0, FAILED: 0, EFFECT_MISSING: 0, UNAUTHORIZED_ALLOWED: 0}
        self._buckets: Dict[int, int] = {}
        self._samples: List[Dict[str, Any]] = []

    def add(self, outcome: Outcome) -> None:
        """Count one outcome; what did not pass is kept as a sample, up to a limit."""
        with self._lock:
            self._counts[outcome.verdict] += 1
            if outcome.milliseconds is not None:
                bucket = _bucket(outcome.milliseconds)
                self._buckets[bucket] = self._buckets.get(bucket, 0) + 1
            if outcome.verdict != PASSED and len(self._samples) < MAX_SAMPLES:
                self._samples.append(outcome.sample())

    def numbers(self) -> Dict[str, Any]:
        """The counts so far."""
        with self._lock:
            return {
                "requests": sum(self._counts.values()),
                "failures": self._counts[FAILED],  # "failed" is the word by which Ansible knows a failed task
                "effect_missing": self._counts[EFFECT_MISSING],
                "unauthorized_allowed": self._counts[UNAUTHORIZED_ALLOWED],
                "p50_ms": _percentile(self._buckets, 0.50),
                "p99_ms": _percentile(self._buckets, 0.99),
                "samples": list(self._samples),
            }


def _bucket(milliseconds: float) -> int:
    if milliseconds <= _FIRST_BUCKET_MS:
        return 0
    return int(math.ceil(math.log(milliseconds / _FIRST_BUCKET_MS) / math.log(_BUCKET_GROWTH)))


def _percentile(buckets: Mapping[int, int], share: float) -> Optional[float]:
    total = sum(buckets.values())
    if not total:
        return None
    rank = math.ceil(total * share)
    for bucket in sorted(buckets):
        rank -= buckets[bucket]
        if rank <= 0:
            break
    return round(_FIRST_BUCKET_MS * _BUCKET_GROWTH**bucket, 2)


def nothing_counted() -> Dict[str, Any]:
    """The numbers of a probe that has sent nothing."""
    return Tally().numbers()


def spent(numbers: Mapping[str, Any]) -> int:
    """How many requests count against the error budget."""
    return int(numbers["failures"]) + int(numbers["effect_missing"]) + int(numbers["unauthorized_allowed"])


def findings(numbers: Mapping[str, Any], budget: int, name: str) -> List[Finding]:
    """What the numbers mean: within the budget a failed request is a warning, beyond it an error.

    A request that must be refused and was let through is always an error.
    """
    found: List[Finding] = []
    used = spent(numbers)
    broken = int(numbers["failures"]) + int(numbers["effect_missing"])
    if broken:
        make = error if used > budget else warning
        found.append(
            make(
                "probe-failed",
                name,
                f"Probe {name}: of {numbers['requests']} requests {numbers['failures']} failed and "
                f"{numbers['effect_missing']} did not show the plugin's effect"
                f"{_example(numbers, (FAILED, EFFECT_MISSING))}.",
                "Look at the samples, and into the logs of the gateways at those times.",
            )
        )
    if int(numbers["unauthorized_allowed"]):
        found.append(
            error(
                "unauthorized-allowed",
                name,
                f"Probe {name}: {numbers['unauthorized_allowed']} of {numbers['requests']} requests that must be "
                f"refused were let through{_example(numbers, (UNAUTHORIZED_ALLOWED,))}.",
                "Stop, and take these gateways out of the load balancer: their auth plugin does not run.",
            )
        )
    if used > budget:
        found.append(
            error(
                "budget-spent",
                name,
                f"Probe {name}: {used} of {numbers['requests']} requests did not show what they must; the "
                f"budget is {budget}.",
                "Stop the roll and look at the samples.",
            )
        )
    return found


def _example(numbers: Mapping[str, Any], verdicts: Sequence[str]) -> str:
    for sample in numbers["samples"]:
        if sample["verdict"] in verdicts:
            via = f" via {sample['via']}" if sample["via"] else ""
            return f" (for example {sample['target']}{via}: {sample['message']})"
    return ""


def once(http: HttpClient, targets: Sequence[Target], count: int, workers: int) -> Dict[str, Any]:
    """Send every target count times, one after another, different targets side by side; returns the numbers."""
    tally = Tally()

    def repeat(target: Target) -> None:
        for _unused in range(count):
            tally.add(ask(http, target))

    with ThreadPoolExecutor(max_workers=max(1, min(workers, len(targets)))) as pool:
        list(pool.map(repeat, targets))
    return tally.numbers()


class Stream:
    """Sends requests at a steady rate, whether or not earlier ones have been answered, until told to stop."""

    def __init__(self, http: HttpClient, targets: Sequence[Target], rate: float, timeout: float) -> None:
        self.tally = Tally()
        self._http = http
        self._targets = list(targets)
        self._interval = 1.0 / rate
        self._workers = max(2, min(_MAX_IN_FLIGHT, int(math.ceil(rate * timeout)) + 1))

    def run(self, keep_going: Callable[[], bool]) -> None:
        """Send until keep_going, asked before each request, says no; then wait for the answers under way."""
        free = threading.Semaphore(self._workers)

        def send(target: Target) -> None:
            try:
                self.tally.add(ask(self._http, target))
            finally:
                free.release()

        with ThreadPoolExecutor(max_workers=self._workers) as pool:
            due = time.monotonic()
            number = 0
            while keep_going():
                pause = due - time.monotonic()
                if pause > 0:
                    time.sleep(min(pause, 0.5))
                    continue
                # A free worker bounds what is in flight; the schedule does not run up a debt meanwhile.
                if not free.acquire(timeout=0.5):
                    continue
                pool.submit(send, self._targets[number % len(self._targets)])
                number += 1
                due = max(due + self._interval, time.monotonic() - 1.0)
