# Copyright (c) 2026 tyk.upgrade contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The journal: one JSON line for every step, each carrying the digest of the one before.

It is a hint for resuming and an audit trail. What really runs is looked at anew by every run.
"""

from __future__ import annotations

import hashlib
import json
from dataclasses import dataclass, field
from datetime import datetime, timezone
from typing import Any, Dict, List, Mapping, Optional, Sequence, Tuple

from ansible_collections.tyk.upgrade.plugins.module_utils._domain.findings import Finding, error, warning

OPENED = "opened"
BEGIN = "begin"
DONE = "done"
FAILED = "failed"
OBSERVED = "observed"
HALTED = "halted"
CLOSED = "closed"
EVENTS = (OPENED, BEGIN, DONE, FAILED, OBSERVED, HALTED, CLOSED)

STAGES = ("plan", "prepare", "control_plane", "switch", "pump", "gateways", "validate", "report")

#: Stages in which a version seen on a unit is that of a gateway, unless the line says otherwise (data.kind).
_GATEWAY_STAGES = ("", "plan", "prepare", "switch", "gateways", "validate")

#: How a run may end. Only the first is a success.
RESULTS = ("succeeded", "refused", "halted", "rolled_back")

RUNNING = "running"
SUCCEEDED = "succeeded"
UNFINISHED = "unfinished"

#: What the first line carries as the digest of the line before.
NO_LINE = "0" * 64


@dataclass(frozen=True)
class Line:
    """One step. time: UTC, to the millisecond; unit: the gateway, pump or API it is about, if it is about one."""

    seq: int
    time: str
    run_id: str
    event: str
    stage: str = ""
    unit: str = ""
    data: Mapping[str, Any] = field(default_factory=dict)
    prev: str = NO_LINE

    def to_dict(self) -> Dict[str, Any]:
        """What the digest is taken over."""
        return {**vars(self), "data": dict(self.data)}

    def to_json(self) -> str:
        """The line as it is written, without the newline. Its own digest in it guards the last line, too."""
        return _canonical({**self.to_dict(), "digest": digest(self)})


@dataclass(frozen=True)
class Step:
    """A stage of a run, or what was done to one unit in a stage. seconds: how long it took, as far as it got."""

    name: str
    result: str
    seconds: float
    stage: str = ""

    def to_dict(self) -> Dict[str, Any]:
        """As a result carries it."""
        return {"name": self.name, "result": self.result, "seconds": self.seconds}


@dataclass(frozen=True)
class RunView:
    """What the journal says about one run."""

    run_id: str
    state: str
    opened: str
    last: str
    stages: Tuple[Step, ...]
    units: Tuple[Step, ...]
    halted: Optional[str]
    plan_sha256: str
    observed: Mapping[str, Tuple[str, ...]]
    findings: Tuple[Mapping[str, Any], ...] = ()
    downloads: Tuple[Mapping[str, Any], ...] = ()
    closed: bool = False  # a halted run is still open until it is closed with its result

    def to_dict(self) -> Dict[str, Any]:
        """As a result carries it."""
        return {
            "run_id": self.run_id,
            "state": self.state,
            "opened": self.opened,
            "last": self.last,
            "stages": [step.to_dict() for step in self.stages],
            "units": [{**step.to_dict(), "stage": step.stage} for step in self.units],
            "halted": self.halted,
            "plan_sha256": self.plan_sha256,
        }


def timestamp(moment: datetime) -> str:
    """The moment as lines carry it."""
    return moment.astimezone(timezone.utc).strftime("%Y-%m-%dT%H:%M:%S.%f")[:-3] + "Z"


def moment_of(text: str) -> datetime:
    """The moment that a line carries. Raises ValueError."""
    if text[-1:] != "Z":
        raise ValueError(f"{text!r} is not a moment in UTC.")
    return datetime.fromisoformat(text[:-1]).replace(tzinfo=timezone.utc)


def digest(line: Line) -> str:
    """The SHA-256 of a line, which the next one carries."""
    return hashlib.sha256(_canonical(line.to_dict()).encode("utf-8")).hexdigest()


def head(lines: Sequence[Line]) -> str:
    """The digest of the last line: it stands for the whole journal."""
    return digest(lines[-1]) if lines else NO_LINE


def append(
    lines: Sequence[Line],
    time: str,
    run_id: str,
    event: str,
    stage: str = "",
    unit: str = "",
    data: Optional[Mapping[str, Any]] = None,
) -> Line:
    """The line that follows these. Raises ValueError for an event that does not exist."""
    if event not in EVENTS:
        raise ValueError(f"{event!r} is not an event of the journal; these are: {', '.join(EVENTS)}.")
    seq = lines[-1].seq + 1 if lines else 1
    return Line(seq, time, run_id, event, stage, unit, dict(data or {}), head(lines))


def verify(text: str, subject: str = "journal.jsonl") -> Tuple[List[Line], bool, List[Finding]]:
    """Read a journal: its lines up to the first that is broken, whether its last line is torn, and what is wrong.

    A last line without its newline was never finished (the machine went down while it was written): nothing was done on
    the strength of it, so it is no damage. Any other line that does not follow from the one before is an error.
    """
    complete, newline, torn = text.rpartition("\n")
    lines: List[Line] = []
    findings: List[Finding] = []
    before = NO_LINE
    if torn:
        findings.append(
            warning(
                "journal-broken",
                subject,
                f"The last line of {subject} was never finished and does not count.",
                "Nothing needs to be done; the next entry takes its place.",
            )
        )
    for number, raw in enumerate(complete.split("\n") if newline else [], start=1):
        line, written, problem = _read(raw, number, before)
        if line is None:
            findings.append(
                error(
                    "journal-broken",
                    subject,
                    f"Line {number} of {subject} {problem}.",
                    "Find out who changed it; to go on, move the file away as evidence and start a new one.",
                )
            )
            break
        lines.append(line)
        before = written
    return lines, bool(torn), findings


def last_run(lines: Sequence[Line]) -> Optional[str]:
    """The run that was opened last."""
    return next((line.run_id for line in reversed(lines) if line.event == OPENED), None)


def run_view(lines: Sequence[Line], run_id: str) -> RunView:
    """What the journal says about a run. Raises ValueError when it says nothing."""
    own = [line for line in lines if line.run_id == run_id]
    if not own:
        raise ValueError(f"The journal knows no run {run_id!r}.")
    closed = next((line for line in reversed(own) if line.event == CLOSED), None)
    halted = next((line for line in own if line.event == HALTED), None)
    stages: Dict[str, List[Line]] = {}
    units: Dict[Tuple[str, str], List[Line]] = {}
    for line in own:
        if line.event in (BEGIN, DONE, FAILED, HALTED) and line.stage:
            if line.unit:
                units.setdefault((line.stage, line.unit), []).append(line)
            if not line.unit or line.event == HALTED:
                stages.setdefault(line.stage, []).append(line)
    return RunView(
        run_id=run_id,
        state=_state(closed, halted),
        opened=own[0].time,
        last=own[-1].time,
        stages=tuple(_step(name, "", events, closed) for name, events in stages.items()),
        units=tuple(_step(unit, stage, events, closed) for (stage, unit), events in units.items()),
        halted=str(halted.data.get("message") or "no reason was given") if halted else None,
        plan_sha256=_last_plan(own),
        observed={unit: tuple(versions) for unit, versions in _observed(own).items()},
        findings=tuple(finding for line in own for finding in _mappings(line, "findings")),
        downloads=next((tuple(found) for found in (_mappings(line, "downloads") for line in reversed(own)) if found), ()),
        closed=closed is not None,
    )


def _read(raw: str, number: int, before: str) -> Tuple[Optional[Line], str, str]:
    """The line and its digest, or what is wrong with it. before: the digest of the line before."""
    try:
        data = json.loads(raw)
        written = str(data.pop("digest"))
        line = Line(**data)
        moment_of(line.time)
    except (ValueError, TypeError, KeyError, AttributeError):
        return None, "", "cannot be read"
    if digest(line) != written:
        return None, "", "was changed after it was written: it does not match its own digest"
    if line.prev != before:
        return None, "", "does not follow from the line before it: a line was changed, removed or put in"
    if line.seq != number:
        return None, "", f"has number {line.seq}"
    return line, written, ""


def _state(closed: Optional[Line], halted: Optional[Line]) -> str:
    if closed is not None:
        return str(closed.data.get("result") or SUCCEEDED)
    return HALTED if halted is not None else RUNNING


def _step(name: str, stage: str, events: Sequence[Line], closed: Optional[Line]) -> Step:
    """Begin to done; more than one round adds up. What was still open when the run was closed ended with it."""
    seconds = 0.0
    begun: Optional[str] = None
    result = UNFINISHED
    for line in events:
        if line.event == BEGIN:
            begun, result = line.time, UNFINISHED
        else:
            seconds += _between(begun, line.time)
            begun = None
            result = SUCCEEDED if line.event == DONE else FAILED
    if begun is not None and closed is not None:
        seconds += _between(begun, closed.time)
        result = SUCCEEDED if closed.data.get("result") == SUCCEEDED else UNFINISHED
    return Step(name, result, round(seconds, 3), stage)


def _between(start: Optional[str], end: str) -> float:
    return (moment_of(end) - moment_of(start)).total_seconds() if start else 0.0


def _observed(lines: Sequence[Line]) -> Dict[str, List[str]]:
    """The versions seen on each gateway, in order: in a line about it, or in a line about all (data.gateways)."""
    seen: Dict[str, List[str]] = {}
    for line in lines:
        if line.event not in (OBSERVED, DONE):
            continue
        of_all = line.data.get("gateways")
        for unit, version in (of_all if isinstance(of_all, Mapping) else {}).items():
            if version:
                seen.setdefault(str(unit), []).append(str(version))
        about_gateway = line.data.get("kind", "gateway" if line.stage in _GATEWAY_STAGES else "") == "gateway"
        if line.unit and line.data.get("version") and about_gateway:
            seen.setdefault(line.unit, []).append(str(line.data["version"]))
    return seen


def _last_plan(lines: Sequence[Line]) -> str:
    return next((str(line.data["plan_sha256"]) for line in reversed(lines) if line.data.get("plan_sha256")), "")


def _mappings(line: Line, name: str) -> List[Mapping[str, Any]]:
    given = line.data.get(name)
    return [entry for entry in given if isinstance(entry, Mapping)] if isinstance(given, list) else []


def _canonical(data: Mapping[str, Any]) -> str:
    return json.dumps(data, sort_keys=True, separators=(",", ":"))
