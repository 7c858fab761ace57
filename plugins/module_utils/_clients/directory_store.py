# Copyright (c) 2026 tyk.upgrade contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""A bundle store that is a folder of the host on which the module runs.

A web server may serve the folder, or it is a shared file system; gateways from 5.3.3 and 5.5.0 on read file:// too.
"""

from __future__ import annotations

import errno
import os
import shutil
import stat
import tempfile
import time
from typing import IO, Optional

from ansible_collections.tyk.upgrade.plugins.module_utils._clients.bundle_store import (
    BundleStore,
    Receiver,
    Stored,
    Writable,
    check_readable_name,
)
from ansible_collections.tyk.upgrade.plugins.module_utils._clients.errors import ClientError
from ansible_collections.tyk.upgrade.plugins.module_utils._clients.local_disk import FULL

_CHUNK = 1 << 20
#: What a bundle is called while it is written. One that is older was left by a process that was killed.
_TEMPORARY = ".tyk-upgrade-"
_STALE_SECONDS = 24 * 3600
_READ_ONLY = (errno.EACCES, errno.EPERM, errno.EROFS)
_NO_LINKS = (errno.EPERM, errno.ENOTSUP, errno.EOPNOTSUPP, errno.EMLINK, errno.ENOSYS)


class DirectoryStore(BundleStore):
    """A folder. A bundle appears there under its name as a whole or not at all, and never over another one."""

    def __init__(self, path: str, mode: int = 0o644) -> None:
        self._path = path
        self._mode = mode
        self.name = path

    def address(self, name: str) -> str:
        check_readable_name(name)
        return os.path.join(self._path, *name.split("/"))

    def fetch(self, name: str, sink: Optional[IO[bytes]] = None, max_size: Optional[int] = None) -> Optional[Stored]:
        path = self.address(name)
        receiver = Receiver(name, self.name, sink, max_size)
        started = time.monotonic()
        try:
            with open(path, "rb") as handle:
                if not stat.S_ISREG(os.fstat(handle.fileno()).st_mode):
                    raise self._failed("read", name, OSError(errno.EINVAL, "it is not a file"))
                for piece in iter(lambda: handle.read(_CHUNK), b""):
                    receiver.take(piece)
        except OSError as problem:
            if problem.errno in (errno.ENOENT, errno.ENOTDIR) and os.path.isdir(self._path):
                return None
            raise self._failed("read", name, problem) from problem
        return receiver.stored(time.monotonic() - started)

    def look(self) -> Writable:
        if not os.path.isdir(self._path):
            raise self._failed("read", "", OSError(errno.ENOENT, "No such file or directory"))
        if not os.access(self._path, os.W_OK | os.X_OK):
            raise self._failed("write", "", OSError(errno.EACCES, "Permission denied"))
        return Writable(known=True)

    def _write(self, name: str, path: str, size: int) -> bool:
        dest = self.address(name)
        temporary = ""
        try:
            self._sweep()
            handle, temporary = tempfile.mkstemp(prefix=_TEMPORARY, dir=self._path)
            with os.fdopen(handle, "wb") as target, open(path, "rb") as source:
                shutil.copyfileobj(source, target, _CHUNK)
                os.fchmod(target.fileno(), self._mode)
                target.flush()
                os.fsync(target.fileno())
            return _appear(temporary, dest)
        except OSError as problem:
            raise self._failed("write", name, problem) from problem
        finally:
            if temporary and os.path.lexists(temporary):
                os.unlink(temporary)

    def _sweep(self) -> None:
        """Remove what this user's killed processes left, as far as that can be done."""
        before = time.time() - _STALE_SECONDS
        try:
            names = [name for name in os.listdir(self._path) if name.startswith(_TEMPORARY)]
        except OSError:
            return  # a folder may be written without being listed
        for name in names:
            path = os.path.join(self._path, name)
            try:
                found = os.lstat(path)
                if stat.S_ISREG(found.st_mode) and found.st_uid == os.geteuid() and found.st_mtime < before:
                    os.unlink(path)
            except OSError:
                continue  # another process was faster

    def _delete(self, name: str) -> bool:
        try:
            os.unlink(self.address(name))
        except OSError:
            return False
        return True

    def _failed(self, purpose: str, name: str, problem: OSError) -> ClientError:
        said = problem.strerror or str(problem)
        what = f"{name} could not be {'read' if purpose == 'read' else 'written'}" if name else "it cannot be used"
        code, remedy = "store-unreachable", "Give the path of a folder that this user may read and write."
        if problem.errno in (errno.ENOENT, errno.ENOTDIR):
            remedy = "Create the folder, or correct its path."
        elif problem.errno in _READ_ONLY:
            code = "store-forbidden" if purpose == "read" else "store-read-only"
            remedy = f"Let the user who runs this task {purpose} there."
        elif problem.errno in FULL:
            code, remedy = "store-limit", "Make room on its file system."
        return ClientError(code, name or self.name, f"In the bundle store {self.name}, {what}: {said}.", remedy)


def _appear(temporary: str, dest: str) -> bool:
    """Give a complete file its name, unless that name is taken."""
    try:
        os.link(temporary, dest)
    except FileExistsError:
        return False
    except OSError as problem:
        if problem.errno not in _NO_LINKS:
            raise
        if os.path.lexists(dest):  # a file system without hard links: two writers at one moment are not kept apart
            return False
        os.rename(temporary, dest)
    folder = os.open(os.path.dirname(dest), os.O_RDONLY)
    try:
        os.fsync(folder)
    finally:
        os.close(folder)
    return True
