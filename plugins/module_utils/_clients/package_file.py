# Copyright (c) 2026 tyk.upgrade contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""One file out of a Debian or RPM package, without the programs of either: on a build host there may be none.

Debian packages are ar archives with a tar in them (deb(5)); RPM packages are two headers and a cpio archive (the file
format of RPM 4).
"""

from __future__ import annotations

import gzip
import io
import lzma
import posixpath
import shutil
import struct
import tarfile
import zlib
from typing import IO, Any, BinaryIO, cast

from ansible_collections.tyk.upgrade.plugins.module_utils._clients.local_disk import other_than_file
from ansible_collections.tyk.upgrade.plugins.module_utils._domain.findings import DomainError, error

DEB_MAGIC = b"!<arch>\n"
RPM_MAGIC = b"\xed\xab\xee\xdb"
RPM_LEAD = 96
RPM_HEADER = b"\x8e\xad\xe8"
CPIO_MAGIC = (b"070701", b"070702")
CPIO_HEADER = 110
CPIO_END = "TRAILER!!!"
ZSTD = b"\x28\xb5\x2f\xfd"
BLOCK = 1 << 20


class _Part(io.RawIOBase):
    """A part of an open file, readable as a file of its own."""

    def __init__(self, source: Any, size: int) -> None:
        self._source = source
        self._left = size

    def readable(self) -> bool:
        return True

    def readinto(self, target: Any) -> int:
        block = self._source.read(min(len(target), self._left))
        if self._left and not block:
            raise EOFError
        self._left -= len(block)
        target[: len(block)] = block
        return len(block)


def extract(file: str, name: str, target: str) -> bool:
    """Write the file `name` of a package to `target`; False where the package has none of that name.

    Raises DomainError for what is not a package, is damaged, or is packed in a way that Python cannot unpack.
    """
    if other_than_file(file):
        raise _invalid(file, f"it is {other_than_file(file)} and no file")
    try:
        with open(file, "rb") as source:
            magic = source.read(len(DEB_MAGIC))
            if magic == DEB_MAGIC:
                return _from_deb(file, source, name, target)
            if magic.startswith(RPM_MAGIC):
                return _from_rpm(file, source, name, target)
    except OSError as problem:
        raise _invalid(file, problem.strerror or str(problem)) from problem
    except (tarfile.TarError, lzma.LZMAError, zlib.error, EOFError, ValueError, struct.error) as problem:
        raise _invalid(file, "it is damaged") from problem
    raise _invalid(file, "it is neither a Debian nor an RPM package")


def _invalid(file: str, why: str) -> DomainError:
    return DomainError(
        error(
            "package-file-invalid",
            file,
            f"The package {file} cannot be read: {why}.",
            "Check the file, or unpack it and give the gateway's program itself.",
        )
    )


def _same(stored: str, wanted: str) -> bool:
    return posixpath.normpath(stored.lstrip("/")) == posixpath.normpath(wanted.lstrip("/"))


def _write(content: Any, target: str) -> bool:
    with open(target, "wb") as sink:
        shutil.copyfileobj(content, sink, BLOCK)
    return True


# -- Debian ----------------------------------------------------------------------------------------------------------


def _from_deb(file: str, source: BinaryIO, name: str, target: str) -> bool:
    while True:
        header = source.read(60)
        if len(header) < 60:
            raise _invalid(file, "it has no files in it")
        member, size = header[:16].decode("ascii", "replace").strip().rstrip("/"), int(header[48:58])
        if member.startswith("data.tar"):
            return _from_tar(file, member, _Part(source, size), name, target)
        source.seek(size + size % 2, io.SEEK_CUR)


def _from_tar(file: str, member: str, part: _Part, name: str, target: str) -> bool:
    packing = {"data.tar": "", "data.tar.gz": "gz", "data.tar.xz": "xz", "data.tar.bz2": "bz2"}.get(member)
    if packing is None:
        raise _invalid(file, f"Python cannot unpack its {member}")
    reader = cast(IO[bytes], io.BufferedReader(part, BLOCK))
    with tarfile.open(fileobj=reader, mode=cast(Any, f"r|{packing}")) as archive:
        for entry in archive:
            content = archive.extractfile(entry) if entry.isreg() and _same(entry.name, name) else None
            if content is not None:
                return _write(content, target)
    return False


# -- RPM -------------------------------------------------------------------------------------------------------------


def _from_rpm(file: str, source: BinaryIO, name: str, target: str) -> bool:
    source.seek(RPM_LEAD)
    size = _skip_header(file, source)
    source.seek(-size % 8, io.SEEK_CUR)  # the signature's header is padded, the other is not
    _skip_header(file, source)
    start = source.tell()
    magic = source.read(6)
    source.seek(start)
    if magic.startswith(b"\x1f\x8b"):
        return _from_cpio(file, cast(IO[bytes], gzip.GzipFile(fileobj=source)), name, target)
    if magic.startswith((b"\xfd7zXZ", b"\x5d\x00\x00")):
        return _from_cpio(file, cast(IO[bytes], lzma.LZMAFile(source)), name, target)
    if magic in CPIO_MAGIC:
        return _from_cpio(file, source, name, target)
    packing = "zstd" if magic.startswith(ZSTD) else "an unknown way"
    raise _invalid(file, f"Python cannot unpack its files, which are packed with {packing}")


def _skip_header(file: str, source: BinaryIO) -> int:
    """Read past a header; the size of what follows its fixed part."""
    fixed = source.read(16)
    if len(fixed) < 16 or fixed[:3] != RPM_HEADER:
        raise _invalid(file, "it is damaged")
    entries, data = struct.unpack(">II", fixed[8:])
    size = int(16 * entries + data)
    source.seek(size, io.SEEK_CUR)
    return size


def _from_cpio(file: str, source: IO[bytes], name: str, target: str) -> bool:
    while True:
        header = _exactly(file, source, CPIO_HEADER)
        if header[:6] not in CPIO_MAGIC:
            raise _invalid(file, "it is damaged")
        mode, size, length = (int(header[place : place + 8], 16) for place in (14, 54, 94))
        stored = _exactly(file, source, length + -(CPIO_HEADER + length) % 4)[: length - 1].decode("utf-8", "replace")
        if stored == CPIO_END:
            return False
        if _same(stored, name) and mode & 0o170000 == 0o100000 and size:
            return _write(_Part(source, size), target)
        _skip(file, source, size + -size % 4)


def _exactly(file: str, source: IO[bytes], size: int) -> bytes:
    content = source.read(size)
    if len(content) < size:
        raise _invalid(file, "it is cut off")
    return content


def _skip(file: str, source: IO[bytes], size: int) -> None:
    while size:
        size -= len(_exactly(file, source, min(size, BLOCK)))
