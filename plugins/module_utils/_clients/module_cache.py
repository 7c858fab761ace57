# Copyright (c) 2026 tyk.upgrade contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""A Go module cache that is handed to a compiler, as a module proxy made of files.

Only downloads are sent (`cache/download`, the layout of https://go.dev/ref/mod#goproxy-protocol), for from those Go
itself makes whole modules; unpacked ones that were copied in part it would take for whole.
"""

from __future__ import annotations

import os
import posixpath
import tarfile
import zlib
from typing import IO, Iterator, Tuple

from ansible_collections.tyk.upgrade.plugins.module_utils._clients.local_disk import other_than_file
from ansible_collections.tyk.upgrade.plugins.module_utils._domain.findings import DomainError, Finding, error

FOLDER = "/tmp/tyk-upgrade-modules"  # in the compiler's container
DOWNLOADS = "cache/download"
_LEFT_OUT = (".lock", ".tmp", ".partial")


def check(path: str) -> None:
    """Raise DomainError (setting-invalid) for what is neither a module cache nor an archive of one."""
    if os.path.isdir(path):
        _downloads(path)
        return
    if other_than_file(path):
        raise DomainError(_no_cache(path, f"is {other_than_file(path)}, neither a folder nor a file"))
    try:
        with open(path, "rb"):
            pass
        if not tarfile.is_tarfile(path):
            raise DomainError(_no_cache(path, "is no tar archive"))
    except OSError as problem:
        raise DomainError(_no_cache(path, f"cannot be read ({problem.strerror})")) from problem


def archive(path: str) -> Iterator[bytes]:
    """A tar, to be unpacked at the root of a container, of the downloads in a module cache or in an archive of one."""
    files = 0
    try:
        for name, size, content in _from_folder(path) if os.path.isdir(path) else _from_archive(path):
            files += 1
            yield from _member(name, size, content)
    except (tarfile.TarError, EOFError, zlib.error, OSError) as problem:
        raise DomainError(_no_cache(path, f"is damaged ({problem})")) from problem
    if not files:
        raise DomainError(_no_cache(path, f"holds no files below {DOWNLOADS}"))
    yield bytes(2 * tarfile.BLOCKSIZE)


def _no_cache(path: str, why: str) -> Finding:
    return error(
        "setting-invalid",
        path,
        f"The module cache {path} {why}.",
        f"Give the folder that 'go env GOMODCACHE' names, which holds {DOWNLOADS}, or a tar archive of it.",
    )


def _downloads(path: str) -> str:
    for below in (DOWNLOADS, posixpath.join("pkg", "mod", DOWNLOADS)):
        folder = os.path.join(path, below)
        if os.path.isdir(folder):
            return folder
    raise DomainError(_no_cache(path, f"holds no folder {DOWNLOADS}"))


def _member(name: str, size: int, content: IO[bytes]) -> Iterator[bytes]:
    member = tarfile.TarInfo(posixpath.join(FOLDER.strip("/"), name))
    member.size, member.mode = size, 0o644
    yield member.tobuf(tarfile.GNU_FORMAT)
    left = size
    while left:
        block = content.read(min(left, 1 << 20))
        if not block:
            raise OSError(f"{name} in the module cache became shorter while it was read")
        left -= len(block)
        yield block
    yield bytes(-size % tarfile.BLOCKSIZE)


def _from_folder(path: str) -> Iterator[Tuple[str, int, IO[bytes]]]:
    top = _downloads(path)
    for folder, folders, names in os.walk(top):
        folders.sort()
        for name in sorted(names):
            full = os.path.join(folder, name)
            if not name.endswith(_LEFT_OUT) and os.path.isfile(full):
                with open(full, "rb") as content:
                    yield os.path.relpath(full, top), os.fstat(content.fileno()).st_size, content


def _from_archive(path: str) -> Iterator[Tuple[str, int, IO[bytes]]]:
    with tarfile.open(path, mode="r|*") as source:
        for member in source:
            _before, found, name = ("/" + member.name).partition(f"/{DOWNLOADS}/")
            content = source.extractfile(member) if found and member.isreg() else None
            if content is not None and ".." not in name.split("/") and not name.endswith(_LEFT_OUT):
                yield name, member.size, content
