# Copyright (c) 2026 tyk.upgrade contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Downloading from inside a Kubernetes namespace, by a short-lived pod.

The pod is made first, under a name chosen here, so that it can be removed even if the cluster's answer is lost. What it
needs, the address with its secrets included, then comes in a Secret that belongs to the pod: whoever removes the pod,
the Secret goes with it. A pod of a killed run ends by itself and is removed by the next run.
"""

from __future__ import annotations

import json
import math
import secrets
import signal
import time
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any, Dict, Iterator, List, Optional, Tuple

from ansible_collections.tyk.upgrade.plugins.module_utils._clients.errors import ClientError
from ansible_collections.tyk.upgrade.plugins.module_utils._clients.kubernetes_api import Cluster, Gone, Unanswered
from ansible_collections.tyk.upgrade.plugins.module_utils._clients.netns import DNS_TIMEOUT, Fetch
from ansible_collections.tyk.upgrade.plugins.module_utils._clients.pod_program import (
    COMMAND,
    NETWORK_TIMEOUT,
    PROGRAM,
    REQUEST,
    packed,
)
from ansible_collections.tyk.upgrade.plugins.module_utils._domain.findings import Finding, warning
from ansible_collections.tyk.upgrade.plugins.module_utils._domain.pods import (
    GRACE,
    OWN_LABEL,
    PodSettings,
    left_over,
    pod_manifest,
    secret_manifest,
    state_of,
)

POLL = 0.3
DELETIONS, PAUSE = 3, 1.0
#: Seconds for what a cluster takes to say that a container has ended.
SLACK = 6.0


@dataclass(frozen=True)
class Wanted:
    """A download as a gateway with this environment makes it; `trusted` are certificates (PEM) of authorities."""

    url: str
    limit: float
    validate_certs: bool = True
    trusted: str = ""
    environment: Dict[str, str] = field(default_factory=dict)

    def to_json(self) -> bytes:
        return json.dumps(
            {
                "url": self.url,
                "limit": self.limit,
                "validate_certs": self.validate_certs,
                "trusted": self.trusted,
                "environment": self.environment,
            }
        ).encode()


class PodFetch:
    """One download by one pod. timeout: seconds for scheduling, pulling the image and starting."""

    def __init__(self, cluster: Cluster, settings: PodSettings, timeout: float) -> None:
        self.cluster, self.settings, self.timeout = cluster, settings, timeout
        self.name = f"tyk-bundle-fetch-{secrets.token_hex(5)}"
        self.node = ""

    @property
    def means(self) -> str:
        return f"short-lived pod {self.name} in the namespace {self.settings.namespace} on node {self.node}"

    def try_admission(self) -> None:
        """Let the cluster say whether it would take the pod; nothing is made. Raises ClientError."""
        self.cluster.create_pod(self.settings.namespace, self._manifest(self.timeout), dry_run=True)

    def run(self, wanted: Wanted) -> Tuple[Fetch, List[Finding]]:
        """The download, and a warning if the pod could not be removed. Raises ClientError."""
        work = NETWORK_TIMEOUT + wanted.limit + DNS_TIMEOUT + SLACK
        with _ended_by_signals():
            try:
                pod = self.cluster.create_pod(self.settings.namespace, self._manifest(self.timeout + work))
                self.cluster.create_secret(
                    self.settings.namespace, secret_manifest(pod, {PROGRAM: packed(), REQUEST: wanted.to_json()})
                )
                self._remove_left_over(pod)
                fetch = self._result(work)
            except ClientError as problem:
                raise _joined(problem, self._remove()) from problem
            except BaseException:
                self._remove()
                raise
            left = self._remove()
        return fetch, [left] if left is not None else []

    def _manifest(self, limit: float) -> Dict[str, Any]:
        return pod_manifest(self.name, self.settings, COMMAND, math.ceil(limit) + GRACE)

    def _result(self, work: float) -> Fetch:
        """Wait for the end of the pod. A cluster that is silent for a moment is asked again.

        work: seconds that it may take once it runs.
        """
        place = f"The pod {self.name} in the namespace {self.settings.namespace}"
        deadline, waiting, doubt, running = time.monotonic() + self.timeout, "", None, False
        while True:
            silent: Optional[Unanswered] = None
            try:
                state = state_of(self.cluster.pod(self.settings.namespace, self.name))
            except Unanswered as problem:
                silent = problem
            else:
                self.node, waiting, doubt = state.node or self.node, state.waiting, state.doubt or doubt
                if state.ended:
                    return _fetch_of(state.message, place)
                if state.problem is not None:
                    code, what, remedy = doubt if doubt and doubt[0] == state.problem[0] else state.problem
                    raise ClientError(code, self.settings.namespace, f"{place} {what}.", remedy)
                if state.running and not running:
                    running, deadline = True, time.monotonic() + work
            if time.monotonic() >= deadline:
                if silent is not None:
                    raise silent
                late = f"had not ended {work:g} s after its start" if running else f"was not there after {self.timeout:g} s: {waiting}"
                remedy = "See the events of the namespace, check node_selector and tolerations, or give a longer pod.timeout."
                raise ClientError("pod-failed", self.settings.namespace, f"{place} {late}.", remedy)
            time.sleep(POLL)

    def _remove_left_over(self, pod: Dict[str, Any]) -> None:
        """Remove pods of killed runs. Who may not list pods leaves them: they have ended, and keep no secret of ours."""
        namespace = self.settings.namespace
        try:
            for name in left_over(self.cluster.pods(namespace, OWN_LABEL), pod):
                self.cluster.delete_pod(namespace, name)
        except ClientError:
            pass  # the next run tries again

    def _remove(self) -> Optional[Finding]:
        """Remove the pod and its Secret, also if it is not known whether they exist. Returns what is left to do."""
        namespace = self.settings.namespace
        for attempt in range(DELETIONS):
            try:
                self.cluster.delete_pod(namespace, self.name)
            except Gone:
                pass
            except ClientError as problem:
                if attempt + 1 < DELETIONS and isinstance(problem, Unanswered):
                    time.sleep(PAUSE)
                    continue
                return warning(
                    "pod-failed",
                    namespace,
                    f"The pod {self.name} and the Secret of that name may be left in the namespace {namespace}: "
                    f"{problem.sentence}",
                    f"Remove them: kubectl delete pod --namespace {namespace} {self.name}.",
                )
            break
        try:
            self.cluster.delete_secret(namespace, self.name)
        except ClientError:
            pass  # it belongs to the pod, so the cluster removes it
        return None


def _fetch_of(message: str, place: str) -> Fetch:
    try:
        return Fetch(**json.loads(message))
    except (ValueError, TypeError) as problem:
        raise ClientError(
            "pod-failed",
            place,
            f"{place} ended, and what it said cannot be read: {message[:200]!r}.",
            "Give an image with Python 3.8 or later as python3 in its PATH.",
        ) from problem


def _joined(problem: ClientError, left: Optional[Finding]) -> ClientError:
    """One failure that also says what could not be removed. A pod that was never made leaves nothing."""
    if left is None:
        return problem
    found = problem.finding
    return ClientError(found.code, found.subject, f"{found.message} {left.message}", f"{found.remedy} {left.remedy}")


@contextmanager
def _ended_by_signals() -> Iterator[None]:
    """Let signals that end a process end it by an exception, so that what was made is removed."""

    def end(number: int, _frame: object) -> None:
        raise SystemExit(128 + number)

    before = {number: signal.signal(number, end) for number in (signal.SIGTERM, signal.SIGHUP)}
    try:
        yield
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)
