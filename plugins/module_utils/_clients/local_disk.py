# Copyright (c) 2026 tyk.upgrade contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Writing on the host that runs the module, so that its full disk is not taken for a fault of what is read."""

from __future__ import annotations

import errno
import os
import stat
from contextlib import contextmanager
from typing import IO, Iterator

from ansible_collections.tyk.upgrade.plugins.module_utils._clients.errors import ClientError

#: How a file system says that it takes no more.
FULL = (errno.ENOSPC, errno.EDQUOT, errno.EFBIG)


#: What can stand at a path beside a file; to open some of it would wait for ever.
_KINDS = (
    (stat.S_ISDIR, "a folder"),
    (stat.S_ISFIFO, "a pipe"),
    (stat.S_ISSOCK, "a socket"),
    (stat.S_ISCHR, "a device"),
    (stat.S_ISBLK, "a device"),
)


def other_than_file(path: str) -> str:
    """What lies at a path, links followed, if that is no regular file; empty for a file and where nothing can be seen."""
    try:
        mode = os.stat(path).st_mode
    except (OSError, ValueError):
        return ""
    return next((words for kind, words in _KINDS if kind(mode)), "")


@contextmanager
def local_writing(subject: str, what: str, folder: str) -> Iterator[None]:
    """Raise ClientError for an OSError: disk-small where there is no room, setting-invalid for everything else.

    what: the beginning of a sentence, such as "Bundle a.zip could not be unpacked".
    """
    try:
        yield
    except OSError as problem:
        code, remedy = "setting-invalid", f"Let the user who runs the task write in {folder}."
        if problem.errno in FULL:
            code, remedy = "disk-small", f"Make room on the file system of {folder}."
        said = problem.strerror or str(problem)
        raise ClientError(
            code, subject, f"{what} on the host that runs the task: {folder} cannot be written ({said}).", remedy
        ) from problem


def write_whole(target: IO[bytes], piece: bytes) -> None:
    """Write all of it, also to a file without a buffer, whose write may end early.

    A file with a buffer would meet a full disk once more when it is closed, where nobody expects it.
    """
    left = memoryview(piece)
    while left:
        left = left[target.write(left) :]


def folder_of(target: IO[bytes]) -> str:
    """The folder of an open file, as far as the file knows it."""
    name = getattr(target, "name", "")
    return (os.path.dirname(name) if isinstance(name, str) else "") or "the temporary folder"
