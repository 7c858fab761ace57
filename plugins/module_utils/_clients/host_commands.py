# Copyright (c) 2026 tyk.upgrade contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Programs, files and locks of the host that the module runs on.

Whatever changes the host goes through change(), write() or remove(), so that it can be seen in one place what a run
does, and a run can be cut off between any two of them in a test.
"""

from __future__ import annotations

import contextlib
import fcntl
import os
import shutil
import signal
import struct
import subprocess
from dataclasses import dataclass
from typing import IO, Dict, Iterator, List, Optional, Sequence, Tuple

#: No tool may ask a question, translate its words, or restart services on its own account.
ENVIRONMENT = {
    "LC_ALL": "C",
    "LANG": "C",
    "LANGUAGE": "C",
    "DEBIAN_FRONTEND": "noninteractive",
    "APT_LISTCHANGES_FRONTEND": "none",
    "NEEDRESTART_SUSPEND": "1",
    "UCF_FORCE_CONFFOLD": "1",
    "SYSTEMD_PAGER": "",
    "SYSTEMD_COLORS": "0",
}
SYSTEM_PATH = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"
#: How lines begin that tell nobody anything.
NOISE = ("debconf: ", "(Reading database", "Last metadata expiration check", "Reading ", "Building ")
#: struct flock of a 64-bit Linux: type, whence, start, length, pid.
_FLOCK = "hhqqi4x"


@dataclass(frozen=True)
class Said:
    """What a program answered. code: its exit code, None if it had to be killed because it did not end."""

    code: Optional[int]
    output: str = ""
    errors: str = ""

    @property
    def ok(self) -> bool:
        return self.code == 0

    @property
    def text(self) -> str:
        """Both outputs, what went wrong last."""
        return f"{self.output}\n{self.errors}".strip()

    def tail(self, lines: int = 5) -> str:
        """The last lines of its output and those of its errors: what a package's script says may be in either."""
        kept = [
            line.strip()
            for text in (self.output, self.errors)
            for line in [one for one in text.splitlines() if one.strip() and not one.startswith(NOISE)][-lines:]
        ]
        return " / ".join(kept) or "it printed nothing"

    def last(self, lines: int = 5) -> str:
        """The last lines of its errors, or of its output if it named no errors."""
        said = [line for line in (self.errors.strip() or self.output.strip()).splitlines() if line.strip()]
        return " / ".join(line.strip() for line in said[-lines:]) or "it printed nothing"


class Host:
    """The host."""

    def run(self, *command: str, timeout: float = 120, cwd: Optional[str] = None) -> Said:
        """Run a program that only looks."""
        return self._run(command, timeout, cwd)

    def change(self, *command: str, timeout: float = 900, cwd: Optional[str] = None) -> Said:
        """Run a program that changes the host."""
        return self._run(command, timeout, cwd)

    def _run(self, command: Sequence[str], timeout: float, cwd: Optional[str]) -> Said:
        environment: Dict[str, str] = {**os.environ, "PATH": SYSTEM_PATH, **ENVIRONMENT}
        try:
            process = subprocess.Popen(  # pylint: disable=consider-using-with
                list(command),
                cwd=cwd or "/",
                env=environment,
                stdin=subprocess.DEVNULL,
                stdout=subprocess.PIPE,
                stderr=subprocess.PIPE,
                start_new_session=True,
            )
        except OSError as problem:
            return Said(127, "", f"{command[0]}: {problem.strerror}")
        try:
            output, errors = process.communicate(timeout=timeout)
            code: Optional[int] = process.returncode
        except subprocess.TimeoutExpired:
            os.killpg(process.pid, signal.SIGKILL)
            output, errors = process.communicate()
            code = None
        return Said(code, output.decode("utf-8", "replace"), errors.decode("utf-8", "replace"))

    @contextlib.contextmanager
    def stream(self, *command: str) -> Iterator[IO[bytes]]:
        """The output of a program that only looks, as it comes; whoever reads may stop early."""
        process = subprocess.Popen(  # pylint: disable=consider-using-with
            list(command),
            cwd="/",
            env={**os.environ, "PATH": SYSTEM_PATH, **ENVIRONMENT},
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
        )
        try:
            if process.stdout is not None:
                yield process.stdout
        finally:
            if process.stdout is not None:
                process.stdout.close()
            process.kill()
            process.wait()

    def write(self, path: str, content: bytes, mode: int = 0o600, owner: Optional[Tuple[int, int]] = None) -> None:
        """Write a file, all or nothing, and see it to the disk."""
        os.makedirs(os.path.dirname(path), mode=0o755, exist_ok=True)
        temporary = os.path.join(os.path.dirname(path), f".{os.path.basename(path)}.{os.getpid()}.part")
        descriptor = os.open(temporary, os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_NOFOLLOW, 0o600)
        try:
            with os.fdopen(descriptor, "wb") as target:
                target.write(content)
                target.flush()
                if owner is not None:
                    os.fchown(target.fileno(), *owner)
                os.fchmod(target.fileno(), mode)
                os.fsync(target.fileno())
            os.replace(temporary, path)
        except BaseException:
            with contextlib.suppress(OSError):
                os.unlink(temporary)
            raise
        self._settle_folder(os.path.dirname(path))

    @staticmethod
    def _settle_folder(path: str) -> None:
        descriptor = os.open(path, os.O_RDONLY)
        try:
            os.fsync(descriptor)
        finally:
            os.close(descriptor)

    def remove(self, path: str) -> bool:
        """Remove a file or folder; whether there was one."""
        if os.path.isdir(path) and not os.path.islink(path):
            shutil.rmtree(path)
            return True
        try:
            os.unlink(path)
        except FileNotFoundError:
            return False
        return True

    @staticmethod
    def private_folder(path: str) -> None:
        """Make a folder that only root can look into."""
        os.makedirs(path, mode=0o700, exist_ok=True)


# -- locks ---------------------------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Holder:
    """Who holds a lock."""

    path: str
    pid: int

    @property
    def program(self) -> str:
        """The command that the process was started with; empty if it is gone or cannot be looked at."""
        try:
            with open(f"/proc/{self.pid}/cmdline", "rb") as stream:
                words = stream.read().decode("utf-8", "replace").split("\0")
        except OSError:
            return ""
        return " ".join(words).strip()[:120]

    def __str__(self) -> str:
        program = self.program
        return f"process {self.pid}{f' ({program})' if program else ''}"


def record_lock_holder(path: str) -> Optional[Holder]:
    """Which other process holds a record lock (fcntl) on the file; None if none does or there is no such file."""
    try:
        descriptor = os.open(path, os.O_RDWR | os.O_CLOEXEC)
    except OSError:
        return None
    try:
        answer = fcntl.fcntl(descriptor, fcntl.F_GETLK, struct.pack(_FLOCK, fcntl.F_WRLCK, 0, 0, 0, 0))
    except OSError:
        return None
    finally:
        os.close(descriptor)
    kind, _whence, _start, _length, pid = struct.unpack(_FLOCK, answer)
    return None if kind == fcntl.F_UNLCK else Holder(path, pid)


def pid_file_holder(path: str) -> Optional[Holder]:
    """Which living process wrote its number into the file."""
    try:
        with open(path, encoding="ascii") as stream:
            pid = int(stream.read().strip() or 0)
        os.kill(pid, 0) if pid > 0 else None
    except (OSError, ValueError):
        return None
    return Holder(path, pid) if pid > 0 and pid != os.getpid() else None


def first_holder(record_locks: Sequence[str], pid_files: Sequence[str] = ()) -> Optional[Holder]:
    """The first of the locks that another process holds."""
    found: List[Optional[Holder]] = [record_lock_holder(path) for path in record_locks]
    found.extend(pid_file_holder(path) for path in pid_files)
    return next((one for one in found if one is not None), None)
