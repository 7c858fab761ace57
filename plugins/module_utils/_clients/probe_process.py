# Copyright (c) 2026 tyk.upgrade contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""A probe that runs in the background on its own and cannot be forgotten.

Files in the state directory, all readable by their owner only:

* name.lock is locked by the running process for as long as it lives; the kernel frees it, whatever kills the process.
* name.lease is renewed by every reader. When no renewal comes for the time of the lease, or when the file is gone, the
  process ends itself. It measures with its own monotonic clock, so a clock that is set does not end it.
* name.json holds the numbers; name.pid is for people.
"""

from __future__ import annotations

import errno
import fcntl
import hashlib
import json
import os
import re
import signal
import tempfile
import time
import uuid
from typing import Any, Callable, Dict, Mapping, Optional

from ansible_collections.tyk.upgrade.plugins.module_utils._clients.errors import ClientError
from ansible_collections.tyk.upgrade.plugins.module_utils._clients.traffic import Stream

_LOOK_EVERY = 0.2
_WRITE_EVERY = 1.0
_READ_PATIENCE = 5.0
_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,63}")

STOPPED, LAPSED, TERMINATED = "stopped", "lease lapsed", "terminated"


class ProbeProcess:
    """The background probe of one name in one state directory. Raises ClientError for what a user can cause."""

    def __init__(self, state_dir: str, name: str) -> None:
        if not _NAME.fullmatch(name):
            raise ClientError(
                "setting-invalid",
                "name",
                f"The probe name {name!r} cannot be a file name.",
                "Use letters, digits and . _ - only, at most 64.",
            )
        self.name = name
        self._dir = state_dir
        self._lock, self._lease = self._path("lock"), self._path("lease")
        self._state, self._pid = self._path("json"), self._path("pid")

    def _path(self, suffix: str) -> str:
        return os.path.join(self._dir, f"{self.name}.{suffix}")

    def running(self) -> bool:
        """Whether the process lives."""
        try:
            handle = os.open(self._lock, os.O_RDWR)
        except OSError:
            return False
        try:
            fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
            return False
        except OSError as problem:
            if problem.errno in (errno.EAGAIN, errno.EACCES):
                return True
            raise
        finally:
            os.close(handle)

    def state(self) -> Optional[Dict[str, Any]]:
        """What the process last wrote, or None when there never was one."""
        try:
            with open(self._state, encoding="utf-8") as handle:
                parsed = json.load(handle)
        except (OSError, ValueError):
            return None
        return parsed if isinstance(parsed, dict) else None

    def watching(self) -> bool:
        """Whether the process lives and has not begun to end itself."""
        return self.running() and (self.state() or {}).get("running") is not False

    def runs_with(self, config: Mapping[str, Any]) -> bool:
        """Whether the running process was started with exactly this configuration."""
        state = self.state()
        return bool(state and self.watching() and state.get("config") == _fingerprint(config, str(state.get("salt"))))

    def start(self, config: Mapping[str, Any], lease: float, make_stream: Callable[[], Stream]) -> int:
        """Start the process and return its id once it holds its lock. make_stream is called in the new process."""
        self._prepare()
        self._write(self._lease, {"renewal": ""})
        reader, writer = os.pipe()
        child = os.fork()
        if child == 0:
            os.close(reader)
            self._second_fork(writer, config, lease, make_stream)
        os.close(writer)
        with os.fdopen(reader, "r", encoding="utf-8") as pipe:
            said = pipe.read()
        os.waitpid(child, 0)
        if not said.isdigit():
            raise ClientError(
                "setting-invalid",
                self.name,
                f"The background probe {self.name} did not start: {said or 'it ended at once'}.",
                f"Check that the state directory {self._dir} is on a local disk with space, and used by no other run.",
            )
        return int(said)

    def _prepare(self) -> None:
        try:
            os.makedirs(self._dir, mode=0o700, exist_ok=True)
            os.close(os.open(self._lock, os.O_RDWR | os.O_CREAT, 0o600))
            _remove(self._state)
        except OSError as problem:
            raise ClientError(
                "setting-invalid",
                "state_dir",
                f"The state directory {self._dir} cannot be written: {problem.strerror}.",
                "Give a directory that the user who runs this task may write.",
            ) from problem

    def renew(self) -> Dict[str, Any]:
        """Renew the lease and return the state that the process wrote on noticing it; the last one if it is dead."""
        renewal = uuid.uuid4().hex
        if self.watching() and os.path.exists(self._lease):
            self._write(self._lease, {"renewal": renewal})
            deadline = time.monotonic() + _READ_PATIENCE
            while time.monotonic() < deadline and self.watching():
                if (self.state() or {}).get("renewal") == renewal:
                    break
                time.sleep(0.05)
        return self.state() or {}

    def stop(self, patience: float) -> Dict[str, Any]:
        """Take the lease away, wait until the process has ended, and return its last state."""
        _remove(self._lease)
        deadline = time.monotonic() + patience
        while self.running():
            if time.monotonic() > deadline:
                raise ClientError(
                    "setting-invalid",
                    self.name,
                    f"The background probe {self.name} was told to stop but still runs after {patience:.0f} s.",
                    f"Its process id is in {self._pid}.",
                )
            time.sleep(0.05)
        return self.state() or {}

    # From here on: the background process itself.

    def _second_fork(
        self, writer: int, config: Mapping[str, Any], lease: float, make_stream: Callable[[], Stream]
    ) -> None:
        try:
            os.setsid()
            if os.fork() != 0:
                os._exit(0)
            self._detach()
            self._live(writer, config, lease, make_stream)
        except BaseException as problem:  # nothing may return into the code of the process that was forked
            try:
                os.write(writer, f"{type(problem).__name__} {problem}".encode("utf-8", "replace"))
            except OSError:
                pass  # it had already said that it started
        finally:
            os._exit(0)

    @staticmethod
    def _detach() -> None:
        os.chdir("/")
        os.umask(0o077)
        nothing = os.open(os.devnull, os.O_RDWR)
        for handle in (0, 1, 2):
            os.dup2(nothing, handle)

    def _live(self, writer: int, config: Mapping[str, Any], lease: float, make_stream: Callable[[], Stream]) -> None:
        lock = os.open(self._lock, os.O_RDWR)
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError:
            os.write(writer, b"another one holds its lock")
            return
        signal.signal(signal.SIGHUP, signal.SIG_IGN)
        salt = uuid.uuid4().hex
        watch = _Watch(self, make_stream(), lease, {"salt": salt, "config": _fingerprint(config, salt)})
        signal.signal(signal.SIGTERM, watch.terminate)
        watch.write(running=True)
        self._write(self._pid, os.getpid())
        os.write(writer, str(os.getpid()).encode("ascii"))
        os.close(writer)
        try:
            watch.stream.run(watch.keep_going)
        finally:
            watch.write(running=False)
            _remove(self._pid)
            _remove(self._lease)

    def lease_renewal(self) -> Optional[str]:
        """The last renewal of the lease, or None when the lease was taken away."""
        try:
            with open(self._lease, encoding="utf-8") as handle:
                return str(json.load(handle)["renewal"])
        except OSError:
            return None

    def write_state(self, state: Mapping[str, Any]) -> None:
        """Replace the state file; a full disk does not end the probe."""
        try:
            self._write(self._state, state)
        except OSError:
            pass

    def _write(self, path: str, content: Any) -> None:
        handle, temporary = tempfile.mkstemp(prefix=f".{self.name}.", dir=self._dir)
        try:
            with os.fdopen(handle, "w", encoding="utf-8") as stream:
                json.dump(content, stream)
            os.replace(temporary, path)
        except BaseException:
            _remove(temporary)
            raise


class _Watch:
    """The process's view of its lease and of the time."""

    def __init__(self, process: ProbeProcess, stream: Stream, lease: float, fixed: Mapping[str, Any]) -> None:
        self.stream = stream
        self._process = process
        self._lease = lease
        self._fixed = dict(fixed)
        self._started = time.time()
        self._renewal: Optional[str] = ""
        self._renewed = self._looked = self._written = time.monotonic()
        self._ended: Optional[str] = None

    def terminate(self, *unused: object) -> None:
        """A signal asks the process to end."""
        self._ended = TERMINATED

    def keep_going(self) -> bool:
        now = time.monotonic()
        if now - self._looked >= _LOOK_EVERY:
            self._looked = now
            self._look(now)
        if now - self._written >= _WRITE_EVERY:
            self.write(running=True)
        return self._ended is None

    def _look(self, now: float) -> None:
        renewal = self._process.lease_renewal()
        if renewal is None:
            self._ended = self._ended or STOPPED
        elif renewal != self._renewal:
            self._renewal, self._renewed = renewal, now
            self.write(running=True)
        elif now - self._renewed > self._lease:
            self._ended = self._ended or LAPSED

    def write(self, running: bool) -> None:
        self._written = time.monotonic()
        self._process.write_state(
            {
                **self._fixed,
                **self.stream.tally.numbers(),
                "running": running,
                "pid": os.getpid(),
                "started": self._started,
                "updated": time.time(),
                "renewal": self._renewal,
                "ended": None if running else self._ended or TERMINATED,
            }
        )


def _fingerprint(config: Mapping[str, Any], salt: str) -> str:
    """A digest that tells configurations apart without giving away the secrets in them."""
    text = json.dumps(config, sort_keys=True) + salt
    return hashlib.sha256(text.encode("utf-8")).hexdigest()


def _remove(path: str) -> None:
    try:
        os.unlink(path)
    except (FileNotFoundError, NotADirectoryError):
        pass  # it is not there, as wanted
