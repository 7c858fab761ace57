# Copyright (c) 2026 tyk.upgrade contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The journal on disk: journal.jsonl, lease.json and plans/, readable by their owner only.

Every line is on the disk before the call returns. Writers wait for each other; runs are kept apart by the lease.
"""

from __future__ import annotations

import fcntl
import json
import os
import tempfile
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import datetime, timedelta, timezone
from typing import Any, Callable, Dict, Iterator, List, Mapping, Optional, Tuple

from ansible_collections.tyk.upgrade.plugins.module_utils._clients.errors import ClientError
from ansible_collections.tyk.upgrade.plugins.module_utils._clients.processes import Process, gone
from ansible_collections.tyk.upgrade.plugins.module_utils._domain import journal
from ansible_collections.tyk.upgrade.plugins.module_utils._domain.findings import Finding, Severity
from ansible_collections.tyk.upgrade.plugins.module_utils._domain.journal import Line, RunView
from ansible_collections.tyk.upgrade.plugins.module_utils._domain.plan_model import canonical_json, plan_sha256

JOURNAL = "journal.jsonl"
LEASE = "lease.json"
LOCK = "lock"
PLANS = "plans"


@dataclass(frozen=True)
class Lease:
    """Who may write until when. It lapses by itself, so nobody has to clear it away after a crash."""

    owner: str
    run_id: str
    expires: str
    process: Optional[Process] = None

    def alive(self, now: datetime) -> bool:
        """Whether it still holds. That of a run which is known to have ended does not."""
        return now < journal.moment_of(self.expires) and not (self.process is not None and gone(self.process))


@dataclass(frozen=True)
class Journal:
    """What the journal held when it was read."""

    lines: Tuple[Line, ...]
    findings: Tuple[Finding, ...]

    @property
    def head(self) -> str:
        """The digest of the last line."""
        return journal.head(self.lines)


def utc_now() -> datetime:
    """The clock of this machine."""
    return datetime.now(timezone.utc)


class JournalStore:
    """The folder that holds the journal."""

    def __init__(self, folder: str, now: Callable[[], datetime] = utc_now) -> None:
        self.folder = os.path.abspath(os.path.expanduser(folder))
        self._now = now

    def read(self) -> Journal:
        """Read without touching anything. A folder that is not there yet is an empty journal."""
        lines, unused, findings = journal.verify(self._text(), self._path(JOURNAL))
        return Journal(tuple(lines), tuple(findings))

    def open_run(
        self,
        owner: str,
        seconds: int,
        data: Mapping[str, Any],
        run_id: Optional[str] = None,
        process: Optional[Process] = None,
    ) -> Line:
        """Take the lease and write the first line of a run. Raises ClientError (lease-held) if another owner has it.

        process: the run of Ansible that the lease is for, if it is on this host; the lease ends with it.
        """
        with self._locked() as lines:
            now = self._now()
            lease = self.lease()
            if lease is not None and lease.owner != owner and lease.alive(now):
                raise self._held(lease, now)
            run_id = run_id or self._new_run_id(lines, now)
            if any(line.run_id == run_id for line in lines):
                raise ClientError(
                    "setting-invalid",
                    run_id,
                    f"The journal in {self.folder} already has a run {run_id}.",
                    "Leave run_id out; opening a run chooses a new one.",
                )
            self._write_lease(owner, run_id, seconds, now, process)
            return self._append(lines, run_id, journal.OPENED, "", "", {**data, "owner": owner})

    def append(
        self, run_id: str, event: str, stage: str, unit: str, data: Mapping[str, Any], seconds: int
    ) -> Line:
        """Write one line of a run and renew its lease. Closing gives the lease back; closing twice changes nothing."""
        with self._locked() as lines:
            now = self._now()
            view = self._view(lines, run_id)
            if view.closed:
                if event == journal.CLOSED:
                    return next(each for each in reversed(lines) if (each.run_id, each.event) == (run_id, event))
                raise ClientError(
                    "setting-invalid",
                    run_id,
                    f"The run {run_id} was closed as {view.state}; it takes no further entries.",
                    "Open a new run.",
                )
            lease = self.lease()
            if lease is not None and lease.run_id != run_id and lease.alive(now):
                raise self._held(lease, now)
            line = self._append(lines, run_id, event, stage, unit, data)
            if event == journal.CLOSED:
                self._drop_lease()
            else:
                process = lease.process if lease is not None and lease.run_id == run_id else None
                self._write_lease(self._owner(lines, run_id), run_id, seconds, now, process)
            return line

    def lease(self) -> Optional[Lease]:
        """Who holds the lease, or held it last. One that cannot be read is none: it is always written in one piece."""
        try:
            with open(self._path(LEASE), encoding="utf-8") as stream:
                data = json.load(stream)
            process = Process.from_dict(data["process"]) if data.get("process") else None
            lease = Lease(str(data["owner"]), str(data["run_id"]), str(data["expires"]), process)
            journal.moment_of(lease.expires)
        except (OSError, ValueError, KeyError, TypeError, AttributeError):
            return None
        return lease

    def save_plan(self, plan: Mapping[str, Any]) -> str:
        """Keep a plan under its digest, and return that."""
        name = plan_sha256(plan)
        path = os.path.join(self._path(PLANS), f"{name}.json")
        with self._said("save the plan", path):
            self._make_folders()
            if not os.path.exists(path):
                write_whole(path, canonical_json(plan), 0o600)
        return name

    def load_plan(self, name: str) -> Optional[Dict[str, Any]]:
        """The plan of this digest; None when it is not kept here or is no longer what it was."""
        try:
            with open(os.path.join(self._path(PLANS), f"{name}.json"), encoding="utf-8") as stream:
                plan = json.load(stream)
        except (OSError, ValueError):
            return None
        return plan if isinstance(plan, dict) and plan_sha256(plan) == name else None

    def _path(self, name: str) -> str:
        return os.path.join(self.folder, name)

    def _text(self) -> str:
        with self._said("read", self._path(JOURNAL)):
            try:
                with open(self._path(JOURNAL), encoding="utf-8", errors="surrogateescape", newline="\n") as stream:
                    return stream.read()
            except FileNotFoundError:
                return ""

    @contextmanager
    def _locked(self) -> Iterator[List[Line]]:
        """The verified lines, while nobody else writes. A torn last line is cut off first."""
        with self._said("open", self._path(LOCK)):
            self._make_folders()
            lock = os.open(self._path(LOCK), os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
        try:
            fcntl.flock(lock, fcntl.LOCK_EX)
            text = self._text()
            lines, torn, findings = journal.verify(text, self._path(JOURNAL))
            for finding in findings:
                if finding.severity is Severity.ERROR:
                    raise ClientError(finding.code, finding.subject, finding.message, finding.remedy)
            if torn:
                self._cut(len(text[: text.rfind("\n") + 1].encode("utf-8", "surrogateescape")))
            yield lines
        finally:
            os.close(lock)

    def _append(
        self, lines: List[Line], run_id: str, event: str, stage: str, unit: str, data: Mapping[str, Any]
    ) -> Line:
        line = journal.append(lines, journal.timestamp(self._now()), run_id, event, stage, unit, data)
        path = self._path(JOURNAL)
        with self._said("write to", path):
            new = not os.path.exists(path)
            stream = os.open(path, os.O_WRONLY | os.O_APPEND | os.O_CREAT | os.O_CLOEXEC, 0o600)
            try:
                _write_all(stream, (line.to_json() + "\n").encode("utf-8", "surrogateescape"))
                os.fsync(stream)
            finally:
                os.close(stream)
            if new:
                _sync_folder(self.folder)
        lines.append(line)
        return line

    def _cut(self, size: int) -> None:
        path = self._path(JOURNAL)
        with self._said("repair", path):
            stream = os.open(path, os.O_WRONLY | os.O_CLOEXEC)
            try:
                os.ftruncate(stream, size)
                os.fsync(stream)
            finally:
                os.close(stream)

    def _view(self, lines: List[Line], run_id: str) -> RunView:
        try:
            return journal.run_view(lines, run_id)
        except ValueError:
            raise ClientError(
                "setting-invalid",
                run_id,
                f"The journal in {self.folder} knows no run {run_id}.",
                "Open the run first and use the run_id that this returns.",
            ) from None

    def _owner(self, lines: List[Line], run_id: str) -> str:
        opened = next(line for line in lines if line.run_id == run_id)
        return str(opened.data.get("owner") or run_id)

    def _write_lease(
        self, owner: str, run_id: str, seconds: int, now: datetime, process: Optional[Process]
    ) -> None:
        lease = {
            "owner": owner,
            "run_id": run_id,
            "renewed": journal.timestamp(now),
            "expires": journal.timestamp(now + timedelta(seconds=seconds)),
            "process": process.to_dict() if process is not None else None,
        }
        with self._said("write", self._path(LEASE)):
            write_whole(self._path(LEASE), json.dumps(lease, sort_keys=True) + "\n", 0o600)

    def _drop_lease(self) -> None:
        with self._said("remove", self._path(LEASE)):
            try:
                os.unlink(self._path(LEASE))
            except FileNotFoundError:
                pass  # somebody cleared the folder; the run ends all the same

    def _held(self, lease: Lease, now: datetime) -> ClientError:
        left = int((journal.moment_of(lease.expires) - now).total_seconds()) + 1
        return ClientError(
            "lease-held",
            self.folder,
            f"Another run ({lease.run_id} of {lease.owner}) is at work according to {self._path(LEASE)}; "
            f"its lease lasts {left} more seconds unless it is renewed.",
            "Wait for that run to end. If it was killed, its lease lapses by itself.",
        )

    def _new_run_id(self, lines: List[Line], now: datetime) -> str:
        known = {line.run_id for line in lines}
        while True:
            run_id = new_run_id(now)
            if run_id not in known:
                return run_id

    def _make_folders(self) -> None:
        os.makedirs(self.folder, mode=0o700, exist_ok=True)
        os.makedirs(self._path(PLANS), mode=0o700, exist_ok=True)

    @contextmanager
    def _said(self, what: str, path: str) -> Iterator[None]:
        try:
            yield
        except OSError as problem:
            raise ClientError(
                "setting-invalid",
                path,
                f"Could not {what} {path}: {problem.strerror or problem}.",
                "Set tyk_journal_dir to a folder that the user who runs this may write to, with room on its disk.",
            ) from problem


def new_run_id(now: datetime) -> str:
    """A name for a run: when it began, and four hex digits against a second one in that second."""
    return f"{now.astimezone(timezone.utc).strftime('%Y%m%dT%H%M%SZ')}-{os.urandom(2).hex()}"


def write_whole(path: str, text: str, mode: int) -> None:
    """Write a file so that it is there entirely or not at all, whatever happens in between."""
    folder = os.path.dirname(os.path.abspath(path))
    handle, temporary = tempfile.mkstemp(prefix=f".{os.path.basename(path)}.", dir=folder)
    try:
        try:
            os.fchmod(handle, mode)
            _write_all(handle, text.encode("utf-8"))
            os.fsync(handle)
        finally:
            os.close(handle)
        os.replace(temporary, path)
    except BaseException:
        os.unlink(temporary)
        raise
    _sync_folder(folder)


def _write_all(handle: int, content: bytes) -> None:
    view = memoryview(content)
    while view:
        view = view[os.write(handle, view) :]


def _sync_folder(folder: str) -> None:
    handle = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)
