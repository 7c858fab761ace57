# Copyright (c) 2026 tyk.upgrade contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Writing many API definitions as one step: all are looked at before the first is written, each is proven after.

The Dashboard offers no locking, so the order is what protects other people's edits: read all and compare with what is
expected, back up, then for each one read again, write, read back.
"""

from __future__ import annotations

import errno
import json
import os
import re
import tempfile
import threading
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any, Dict, List, Mapping, Optional, Sequence, Tuple

from ansible_collections.tyk.upgrade.plugins.module_utils._clients.dashboard import Dashboard, api_id, is_oas
from ansible_collections.tyk.upgrade.plugins.module_utils._clients.errors import ClientError
from ansible_collections.tyk.upgrade.plugins.module_utils._clients.http import in_parallel
from ansible_collections.tyk.upgrade.plugins.module_utils._domain import api_definitions
from ansible_collections.tyk.upgrade.plugins.module_utils._domain.api_definitions import Api
from ansible_collections.tyk.upgrade.plugins.module_utils._domain.findings import Finding, error, warning

BACKUP_SCHEMA = "tyk.upgrade/api-definitions/v1"

_BUNDLE_FIELD = re.compile(r"(^|\.)(custom_middleware_bundle(_disabled)?|pluginConfig\.bundle(\..*)?)$")
#: What a file system without hard links answers.
_NO_LINKS = (errno.EPERM, errno.EOPNOTSUPP, errno.ENOSYS, errno.EMLINK)

WRITTEN, UNCHANGED, FAILED, UNKNOWN, NOT_ATTEMPTED = "written", "unchanged", "failed", "unknown", "not attempted"
PREDICTED = "predicted"


@dataclass(frozen=True)
class Change:
    """Which bundle an API shall name, and what it must be like now for that to be safe."""

    id: str
    bundle: str
    expect_bundle: Optional[str] = None
    expect_digest: Optional[str] = None


@dataclass(frozen=True)
class Step:
    """One API as it is and as it shall be; both as Dashboard.read gives them."""

    before: Mapping[str, Any]
    after: Mapping[str, Any]

    @cached_property
    def api(self) -> Api:
        """The API as it is."""
        return api_definitions.from_dashboard_item(self.before)

    @cached_property
    def wanted(self) -> Api:
        """The API as it shall be."""
        return api_definitions.from_dashboard_item(self.after)

    @property
    def needed(self) -> bool:
        """Whether anything changes."""
        return self.api.digest != self.wanted.digest


@dataclass
class Result:
    """What became of one step."""

    step: Step
    outcome: str
    problem: Optional[ClientError] = None
    findings: List[Finding] = field(default_factory=list)

    def to_dict(self) -> Dict[str, Any]:
        """For the module's result. An API of which it is unknown whether it was written counts as changed."""
        api, wanted = self.step.api, self.step.wanted
        shown = {
            "id": api.id,
            "name": api.name,
            "kind": api.kind,
            "from_bundle": api.bundle,
            "to_bundle": wanted.bundle,
            "changed": self.outcome in (WRITTEN, UNKNOWN, PREDICTED),
            "outcome": self.outcome,
        }
        if self.problem is not None:
            shown["error"] = str(self.problem)
        return shown


class Refused(Exception):
    """Nothing was written, because of these findings."""

    def __init__(self, findings: Sequence[Finding]) -> None:
        self.findings = list(findings)
        super().__init__(" ".join(finding.sentence() for finding in self.findings))


def prepare_patch(dashboard: Dashboard, changes: Sequence[Change], workers: int) -> List[Step]:
    """Read every API and compare it with what is expected. Raises Refused when any of them is not as expected.

    An API that already names the wanted bundle is as wanted, whatever else was expected of it.
    """
    items = _read_all(dashboard, [change.id for change in changes], workers)
    steps: List[Step] = []
    drift: List[Finding] = []
    for change, item in zip(changes, items):
        api = api_definitions.from_dashboard_item(item)
        if api.bundle == change.bundle:
            steps.append(Step(item, item))
            continue
        clause = _drift(api, change)
        if clause:
            drift.append(_drift_finding(api, clause))
            continue
        steps.append(Step(item, api_definitions.with_bundle(item, change.bundle)))
    if drift:
        raise Refused(drift)
    return steps


def _drift(api: Api, change: Change) -> Optional[str]:
    if change.expect_bundle is not None and api.bundle != change.expect_bundle:
        return f"names the bundle {api.bundle or '(none)'}, not {change.expect_bundle or '(none)'}"
    if change.expect_digest is not None and api.digest != change.expect_digest:
        return "was edited since it was looked at (its digest is another one)"
    return None


def _drift_finding(api: Api, clause: str) -> Finding:
    return error(
        "api-drift",
        api.id,
        f"API {api.name} ({api.id}) {clause}; nothing was written to it.",
        "See who changed it, then plan again.",
    )


def prepare_restore(dashboard: Dashboard, saved: Sequence[Mapping[str, Any]], workers: int) -> List[Step]:
    """Read every API that shall be put back. Raises Refused when one of them cannot be read or is of another kind."""
    items = _read_all(dashboard, [api_id(item) for item in saved], workers)
    other = [
        error(
            "api-drift",
            api_id(before),
            f"API {api_id(before)} is {_kind(before)} now and was {_kind(after)} when it was backed up; it cannot be "
            "put back.",
            "Import the definition from the backup by hand.",
        )
        for before, after in zip(items, saved)
        if is_oas(before) != is_oas(after)
    ]
    if other:
        raise Refused(other)
    steps = [Step(before, {**before, **after}) for before, after in zip(items, saved)]
    return [step if step.needed else Step(step.before, step.before) for step in steps]


def _kind(item: Mapping[str, Any]) -> str:
    return "an OAS API" if is_oas(item) else "a classic API"


def _read_all(dashboard: Dashboard, identifiers: Sequence[str], workers: int) -> List[Dict[str, Any]]:
    def read(identifier: str) -> Tuple[Optional[Dict[str, Any]], Optional[ClientError]]:
        try:
            return dashboard.read(identifier), None
        except ClientError as problem:
            return None, problem

    answers = list(in_parallel(read, identifiers, workers))
    problems = [problem for _item, problem in answers if problem is not None]
    if problems:
        unique = {finding.sentence(): finding for finding in (problem.finding for problem in problems)}
        if all(problem.code in ("dashboard-unauthorized", "dashboard-unreachable") for problem in problems):
            raise Refused([problems[0].finding])  # the same for every API
        raise Refused(list(unique.values()))
    return [item for item, _problem in answers if item is not None]


def execute(dashboard: Dashboard, steps: Sequence[Step], workers: int) -> List[Result]:
    """Write the steps that are needed. After the first problem no further one is begun; the results say which were."""
    stop = threading.Event()

    def run(step: Step) -> Result:
        if not step.needed:
            return Result(step, UNCHANGED)
        if stop.is_set():
            return Result(step, NOT_ATTEMPTED)
        result = _write(dashboard, step)
        if result.problem is not None:
            stop.set()
        return result

    return list(in_parallel(run, steps, workers))


def _write(dashboard: Dashboard, step: Step) -> Result:
    try:
        again = api_definitions.from_dashboard_item(dashboard.complete(step.before))
        if again.digest != step.api.digest:
            clause = "was edited while this ran (its digest is another one)"
            finding = _drift_finding(again, clause)
            raise ClientError(finding.code, finding.subject, finding.message, finding.remedy)
    except ClientError as problem:
        return Result(step, FAILED, problem)
    refused, result = _write_and_read_back(dashboard, step)
    if refused is not None and refused.code == "dashboard-unreachable" and result.outcome == FAILED:
        # The connection broke and reading back shows that nothing was written, so a second try is safe.
        _refused, result = _write_and_read_back(dashboard, step)
    return result


def _write_and_read_back(dashboard: Dashboard, step: Step) -> Tuple[Optional[ClientError], Result]:
    refused: Optional[ClientError] = None
    try:
        dashboard.write(step.after)
    except ClientError as problem:
        refused = problem
    try:
        back = api_definitions.from_dashboard_item(dashboard.complete(step.before))
    except ClientError as problem:
        return refused, Result(step, UNKNOWN, refused or problem)
    return refused, _judge(step, back, refused)


def _judge(step: Step, back: Api, refused: Optional[ClientError]) -> Result:
    """What reading back proves; a connection that broke during the write says nothing about its outcome."""
    wanted = step.wanted
    if back.digest == wanted.digest:
        return Result(step, WRITTEN)
    if back.digest == step.api.digest:
        problem = refused or ClientError(
            "dashboard-error",
            back.id,
            f"The Dashboard said that API {back.name} ({back.id}) was updated, but it reads back unchanged.",
            "Look into the Dashboard's log.",
        )
        return Result(step, FAILED, problem)
    if (back.bundle, back.bundle_enabled) != (wanted.bundle, wanted.bundle_enabled):
        problem = ClientError(
            "api-drift",
            back.id,
            f"API {back.name} ({back.id}) was written with bundle {wanted.bundle or '(none)'} but reads back with "
            f"{back.bundle or '(none)'}.",
            "Somebody else writes it at the same time, or the Dashboard changed it; look at the API there.",
        )
        return Result(step, UNKNOWN, problem)
    finding = warning(
        "api-drift",
        back.id,
        f"API {back.name} ({back.id}) names the bundle {back.bundle or '(none)'} as wanted, but the Dashboard stored "
        "other fields differently from what was sent.",
        "Compare the API with the backup.",
    )
    return Result(step, WRITTEN, findings=[finding])


def failure_sentence(results: Sequence[Result], backup: Optional[str]) -> str:
    """What happened, which APIs were written and which were not."""
    problems = [str(result.problem) for result in results if result.problem is not None]
    needed = [result for result in results if result.outcome != UNCHANGED]
    parts = [
        f"{_count(results, WRITTEN)} of {len(needed)} API definitions were written, then it went wrong: {problems[0]}"
    ]
    for outcome, title in (
        (WRITTEN, "Written"),
        (UNKNOWN, "Written or not, look at them"),
        (FAILED, "Not written"),
        (NOT_ATTEMPTED, "Not begun"),
    ):
        names = [result.step.api.name for result in results if result.outcome == outcome]
        if names:
            parts.append(f"{title}: {', '.join(names)}.")
    if backup:
        parts.append(f"The definitions as they were are in {backup}; api_definition_restore puts them back.")
    return " ".join(parts)


def _count(results: Sequence[Result], outcome: str) -> int:
    return sum(1 for result in results if result.outcome == outcome)


def shown_diff(steps: Sequence[Step], header: str) -> Dict[str, Any]:
    """What changes, for Ansible's --diff: the bundle fields with their values, other fields by name only.

    Definitions hold secrets (keys, tokens, upstream credentials), so no other value is shown.
    """
    before: Dict[str, Any] = {}
    after: Dict[str, Any] = {}
    for step in steps:
        if not step.needed:
            continue
        api, wanted = step.api, step.wanted
        name = f"{api.name} ({api.id})"
        before[name] = {"bundle": api.bundle, "bundle_enabled": api.bundle_enabled}
        after[name] = {"bundle": wanted.bundle, "bundle_enabled": wanted.bundle_enabled}
        others = _other_fields(step)
        if others:
            before[name]["other_fields"] = "as they are"
            after[name]["other_fields"] = others
    return {"before": before, "after": after, "before_header": header, "after_header": header}


def _other_fields(step: Step) -> List[str]:
    paths = _differing(_plain(step.before), _plain(step.after), "")
    return sorted(path for path in paths if not _BUNDLE_FIELD.search(path))


def _plain(item: Mapping[str, Any]) -> Dict[str, Any]:
    return api_definitions.without_volatile(api_definitions.document_of(item))


def _differing(before: Any, after: Any, path: str) -> List[str]:
    if isinstance(before, Mapping) and isinstance(after, Mapping):
        found: List[str] = []
        for key in {**before, **after}:
            found.extend(_differing(before.get(key), after.get(key), f"{path}.{key}" if path else str(key)))
        return found
    return [] if before == after else [path]


def backup_bytes(dashboard: Dashboard, steps: Sequence[Step]) -> bytes:
    """The backup of everything that is about to change; equal definitions give equal bytes."""
    content = {
        "schema": BACKUP_SCHEMA,
        "dashboard": dashboard.name,
        "apis": [
            {"id": step.api.id, "name": step.api.name, "bundle": step.api.bundle, "item": step.before}
            for step in sorted((step for step in steps if step.needed), key=lambda step: step.api.id)
        ],
    }
    return (json.dumps(content, indent=1, sort_keys=True) + "\n").encode("utf-8")


def write_backup(path: str, content: bytes) -> str:
    """Write the backup and return its path: the wanted one, or a numbered one when that holds something else.

    The file is complete or absent, and readable by its owner only. Raises ClientError when it cannot be written.
    """
    try:
        directory = os.path.dirname(os.path.abspath(path))
        os.makedirs(directory, mode=0o700, exist_ok=True)
        handle, temporary = tempfile.mkstemp(prefix=".backup-", dir=directory)  # mkstemp gives it mode 0600
        try:
            with os.fdopen(handle, "wb") as stream:
                stream.write(content)
                stream.flush()
                os.fsync(stream.fileno())
            return _place(temporary, path, content)
        finally:
            if os.path.exists(temporary):
                os.unlink(temporary)
    except OSError as problem:
        raise ClientError(
            "setting-invalid",
            "backup",
            f"The backup {path} could not be written ({problem.strerror}); no API definition was written either.",
            "Give a path in a directory that the user who runs this task may write.",
        ) from problem


def _place(temporary: str, path: str, content: bytes) -> str:
    stem, suffix = os.path.splitext(path)
    number = 0
    while True:
        candidate = f"{stem}.{number}{suffix}" if number else path
        try:
            os.link(temporary, candidate)  # unlike a rename it never replaces a file
            return candidate
        except OSError as problem:
            if problem.errno in _NO_LINKS and not os.path.exists(candidate):
                os.rename(temporary, candidate)
                return candidate
            if problem.errno != errno.EEXIST and problem.errno not in _NO_LINKS:
                raise
        with open(candidate, "rb") as existing:
            if existing.read() == content:
                return candidate
        number += 1


def read_backup(path: str) -> List[Dict[str, Any]]:
    """The items of a backup. Raises ClientError when the file is not one."""
    try:
        with open(path, encoding="utf-8") as handle:
            content = json.load(handle)
    except OSError as problem:
        raise _bad_backup(path, f"cannot be read: {problem.strerror}") from problem
    except ValueError as problem:
        raise _bad_backup(path, "is not JSON") from problem
    if not isinstance(content, dict) or content.get("schema") != BACKUP_SCHEMA:
        raise _bad_backup(path, f"is not a backup of API definitions (its schema is not {BACKUP_SCHEMA})")
    items = [entry.get("item") for entry in content.get("apis") or [] if isinstance(entry, dict)]
    if not all(isinstance(item, dict) and api_id(item) for item in items):
        raise _bad_backup(path, "holds an entry that is not an API definition")
    return [item for item in items if isinstance(item, dict)]


def _bad_backup(path: str, clause: str) -> ClientError:
    return ClientError(
        "setting-invalid",
        "backup",
        f"The file {path} {clause}; nothing was restored.",
        "Give the file whose path api_definition_patch returned as 'backup'.",
    )
