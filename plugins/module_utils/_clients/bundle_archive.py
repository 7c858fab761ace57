# Copyright (c) 2026 tyk.upgrade contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Zip bundles: written byte-reproducibly, read within bounds.

Both ways stream: a bundle of two unstripped Go plugins is more than 60 MB, and neither a file nor a bundle is held in
memory.
"""

from __future__ import annotations

import hashlib
import io
import json
import os
import re
import stat
import zipfile
import zlib
from dataclasses import dataclass, field
from typing import IO, Any, Callable, Dict, Iterator, List, Mapping, Optional, Sequence, Tuple

from ansible_collections.tyk.upgrade.plugins.module_utils._clients.errors import ClientError
from ansible_collections.tyk.upgrade.plugins.module_utils._domain.bundles import MANIFEST_FILE as MANIFEST
from ansible_collections.tyk.upgrade.plugins.module_utils._domain.bundles import PROVENANCE_FILE, checksum, lint
from ansible_collections.tyk.upgrade.plugins.module_utils._domain.findings import Finding, error

#: Measured on a Go plugin of 29 MB: level 4 takes half the time of level 6 for 2 % more bytes, and that of level 3.
DEFLATE_LEVEL = 4
MAX_MEMBERS = 256
MAX_MANIFEST_BYTES = 1024 * 1024
#: The earliest time that a zip can hold, so that equal content gives equal bytes.
_TIMESTAMP = (1980, 1, 1, 0, 0, 0)
_MODE = stat.S_IFREG | 0o644
_CHUNK = 1 << 20
_FLAT_NAME = re.compile(r"[A-Za-z0-9_][A-Za-z0-9._+@-]*")


@dataclass(frozen=True)
class Member:
    """One file for a bundle: its name in there, and where its content is now (a path, or the bytes themselves)."""

    name: str
    path: str = ""
    content: Optional[bytes] = None

    def open(self) -> IO[bytes]:
        """Open the content for reading. Raises ClientError when the file cannot be read."""
        if self.content is not None:
            return io.BytesIO(self.content)
        try:
            return open(self.path, "rb")
        except OSError as problem:
            raise ClientError(
                "bundle-invalid",
                self.name,
                f"The file {self.path}, which is {self.name} in the bundle, could not be read: {problem.strerror}.",
                "Give the path of an existing file that the user who runs this task may read.",
            ) from problem


@dataclass(frozen=True)
class Built:
    """A bundle that was written. checksum is the MD5 that its manifest carries, sha256 is that of the zip itself."""

    checksum: str
    sha256: str
    size: int
    manifest: Mapping[str, Any]


@dataclass
class Opened:
    """What a zip holds and everything that is wrong with it. checksum_ok is False when it could not be computed."""

    sha256: str = ""
    size: int = 0
    manifest: Optional[Dict[str, Any]] = None
    provenance: Optional[Dict[str, Any]] = None
    files: List[Dict[str, Any]] = field(default_factory=list)
    checksum: Optional[str] = None
    checksum_ok: bool = False
    findings: List[Finding] = field(default_factory=list)


def flat_name_problem(name: str) -> Optional[str]:
    """Why a name cannot be used in a bundle, as a clause, or None.

    A gateway's extraction never creates parent directories, so names are flat (tyk v5.14.0,
    gateway/coprocess_bundle.go).
    """
    if name in ("", ".", "..") or "\x00" in name:
        return "is not a file name"
    if "/" in name or "\\" in name:
        return "is not a flat name; a gateway creates no directories when it unpacks a bundle"
    return None if _FLAT_NAME.fullmatch(name) else "holds characters other than letters, digits and . _ + @ -"


def file_list(manifest: Mapping[str, Any], names: Sequence[str]) -> List[str]:
    """The order of the files: as the manifest lists them, then the others as they were given.

    Raises ClientError for names that are not flat, double, the manifest's own, or listed without a file.
    """
    listed = [str(name) for name in manifest.get("file_list") or []]
    for name in [*names, *listed]:
        problem = flat_name_problem(name)
        if problem is None and name.lower() == MANIFEST:
            problem = "is the name of the manifest itself, which is not a file of the bundle's list"
        if problem:
            raise _invalid(name, f"The name {name!r} {problem}.", "Rename it.")
    for several in (names, listed):
        double = sorted({name for name in several if list(several).count(name) > 1})
        if double:
            raise _invalid(
                double[0], f"The name {double[0]!r} is given more than once.", "Give each file one name of its own."
            )
    for name in listed:
        if name not in names:
            raise _invalid(
                name,
                f"The manifest lists {name!r}, but no such file is given.",
                "Give the file, or take it off file_list.",
            )
    return listed + [name for name in names if name not in listed]


def _invalid(subject: str, sentence: str, remedy: str) -> ClientError:
    return ClientError("bundle-invalid", subject, sentence, remedy)


def _pieces(handle: IO[bytes]) -> Iterator[bytes]:
    while True:
        piece = handle.read(_CHUNK)
        if not piece:
            return
        yield piece


def _content(members: Sequence[Member], sha256: Any) -> Iterator[bytes]:
    for member in members:
        with member.open() as handle:
            for piece in _pieces(handle):
                sha256.update(piece)
                yield piece


def manifest_bytes(manifest: Mapping[str, Any]) -> bytes:
    """A manifest as it is written: equal manifests give equal bytes."""
    return (json.dumps(manifest, indent=2, sort_keys=True, ensure_ascii=False) + "\n").encode("utf-8")


def build(
    handle: IO[bytes],
    manifest: Mapping[str, Any],
    members: Sequence[Member],
    sign: Optional[Callable[[bytes], str]] = None,
    level: int = DEFLATE_LEVEL,
) -> Built:
    """Write a bundle to an open file that can seek. sign makes the signature of a SHA-256 digest.

    The first pass over the files computes checksum and signature, the second one compresses; when a file changes in
    between, nothing is left to be believed and ClientError is raised.
    """
    by_name = {member.name: member for member in members}
    order = file_list(manifest, [member.name for member in members])
    ordered = [by_name[name] for name in order]
    wrong = [
        finding for finding in lint({**manifest, "file_list": order}, "the new bundle") if finding.severity == "error"
    ]
    if wrong:
        raise _invalid("manifest", " ".join(finding.message for finding in wrong), wrong[0].remedy)
    first = hashlib.sha256()
    digest = checksum(_content(ordered, first))
    final = {
        **manifest,
        "file_list": order,
        "checksum": digest,
        "signature": sign(first.digest()) if sign else "",
    }
    second = hashlib.sha256()
    with zipfile.ZipFile(handle, "w") as archive:
        for member in ordered:
            with member.open() as source, archive.open(_entry(member.name, level), "w") as target:
                for piece in _pieces(source):
                    second.update(piece)
                    target.write(piece)
        with archive.open(_entry(MANIFEST, level), "w") as target:
            target.write(manifest_bytes(final))
    if second.digest() != first.digest():
        raise _invalid(
            "files",
            "A file changed while the bundle was being built from it.",
            "Build again when nothing writes there.",
        )
    handle.flush()
    handle.seek(0)
    sha256, size = digest_of(handle)
    return Built(digest, sha256, size, final)


def _entry(name: str, level: int) -> zipfile.ZipInfo:
    entry = zipfile.ZipInfo(name, _TIMESTAMP)
    entry.compress_type = zipfile.ZIP_DEFLATED
    entry.create_system = 3  # unix, on whatever system this runs
    entry.external_attr = _MODE << 16
    entry._compresslevel = level  # type: ignore[attr-defined]
    return entry


def digest_of(handle: IO[bytes]) -> Tuple[str, int]:
    """SHA-256 and size of what is left to read."""
    sha256 = hashlib.sha256()
    size = 0
    for piece in _pieces(handle):
        sha256.update(piece)
        size += len(piece)
    return sha256.hexdigest(), size


def digest_of_path(path: str) -> Tuple[str, int]:
    """SHA-256 and size of a file."""
    with open(path, "rb") as handle:
        return digest_of(handle)


class _TooMuch(Exception):
    """The content of a zip is larger than what may be read."""


def read(path: str, max_size: int, subject: str = "") -> Opened:
    """Open a bundle and say everything that is wrong with it. max_size bounds the unpacked bytes that are read.

    Never raises for what the file holds; only a file that cannot be opened raises OSError.
    """
    subject = subject or os.path.basename(path)
    opened = Opened()
    opened.sha256, opened.size = digest_of_path(path)
    try:
        with zipfile.ZipFile(path) as archive:
            _read_archive(archive, max_size, subject, opened)
    except _TooMuch:
        opened.findings.append(
            error(
                "bundle-invalid",
                subject,
                f"Bundle {subject} unpacks to more than {max_size} bytes; the rest was not read.",
                "Check where the bundle comes from, or allow more with max_size.",
            )
        )
    except (zipfile.BadZipFile, zlib.error, EOFError, NotImplementedError, RuntimeError, ValueError) as problem:
        opened.findings.append(
            error(
                "bundle-invalid",
                subject,
                f"Bundle {subject} is not a zip that can be read to its end: {_clause(problem)}.",
                "Build and publish the bundle again.",
            )
        )
    return opened


def _clause(problem: BaseException) -> str:
    return " ".join(str(problem).rstrip(".").split()) or type(problem).__name__


def _read_archive(archive: zipfile.ZipFile, max_size: int, subject: str, opened: Opened) -> None:
    entries = archive.infolist()
    if len(entries) > MAX_MEMBERS:
        raise ValueError(f"it holds {len(entries)} files, more than {MAX_MEMBERS}")
    if sum(entry.file_size for entry in entries) > max_size:
        raise _TooMuch
    _check_names(entries, subject, opened)
    if any(entry.flag_bits & 0x1 for entry in entries):
        raise ValueError("it is encrypted")
    left = [max_size]
    by_name = {entry.filename: entry for entry in entries}
    for entry in entries:
        if entry.is_dir():
            continue
        sha256 = hashlib.sha256()
        size = 0
        for piece in _entry_pieces(archive, entry, left):
            sha256.update(piece)
            size += len(piece)
        if entry.filename != MANIFEST:
            opened.files.append({"name": entry.filename, "size": size, "sha256": sha256.hexdigest()})
    if MANIFEST not in by_name:
        opened.findings.append(
            error(
                "bundle-invalid",
                subject,
                f"Bundle {subject} holds no {MANIFEST} at its root.",
                "Build the bundle with bundle_build or `tyk bundle build`.",
            )
        )
        return
    opened.manifest = _json_object(archive, by_name[MANIFEST], subject, opened)
    if PROVENANCE_FILE in by_name:
        opened.provenance = _json_object(archive, by_name[PROVENANCE_FILE], subject, opened)
    if opened.manifest is not None:
        _check_content(archive, by_name, opened.manifest, max_size, subject, opened)


def _entry_pieces(archive: zipfile.ZipFile, entry: zipfile.ZipInfo, left: List[int]) -> Iterator[bytes]:
    with archive.open(entry) as handle:
        for piece in _pieces(handle):
            left[0] -= len(piece)
            if left[0] < 0:
                raise _TooMuch
            yield piece


def _check_names(entries: Sequence[zipfile.ZipInfo], subject: str, opened: Opened) -> None:
    seen: Dict[str, int] = {}
    for entry in entries:
        seen[entry.filename] = seen.get(entry.filename, 0) + 1
        problem = "is a directory; bundles are flat" if entry.is_dir() else flat_name_problem(entry.filename)
        if stat.S_ISLNK(entry.external_attr >> 16):
            problem = "is a symbolic link"
        if problem:
            opened.findings.append(
                error(
                    "bundle-invalid",
                    subject,
                    f"In bundle {subject} the entry {entry.filename!r} {problem}.",
                    "Build it anew.",
                )
            )
    for name in sorted(name for name, count in seen.items() if count > 1):
        opened.findings.append(
            error(
                "bundle-invalid",
                subject,
                f"In bundle {subject} the name {name!r} occurs more than once.",
                "Build it anew.",
            )
        )


def _json_object(
    archive: zipfile.ZipFile, entry: zipfile.ZipInfo, subject: str, opened: Opened
) -> Optional[Dict[str, Any]]:
    try:
        with archive.open(entry) as handle:
            text = handle.read(MAX_MANIFEST_BYTES + 1)
        if len(text) > MAX_MANIFEST_BYTES:
            raise ValueError("it is too long")
        parsed = json.loads(text.decode("utf-8"))
        if not isinstance(parsed, dict):
            raise ValueError("it is not a JSON object")
        return parsed
    except ValueError as problem:
        opened.findings.append(
            error(
                "bundle-invalid",
                subject,
                f"In bundle {subject} the file {entry.filename} cannot be read as JSON: {_clause(problem)}.",
                "Build the bundle anew.",
            )
        )
        return None


def _check_content(
    archive: zipfile.ZipFile,
    by_name: Mapping[str, zipfile.ZipInfo],
    manifest: Mapping[str, Any],
    max_size: int,
    subject: str,
    opened: Opened,
) -> None:
    opened.findings.extend(lint(manifest, subject, by_name))
    listed = manifest.get("file_list")
    if not isinstance(listed, list) or not all(isinstance(name, str) and name in by_name for name in listed):
        return  # the lint says so
    left = [max_size]
    opened.checksum = checksum(piece for name in listed for piece in _entry_pieces(archive, by_name[name], left))
    opened.checksum_ok = opened.checksum == manifest.get("checksum")
    if not opened.checksum_ok:
        said = manifest.get("checksum") or "nothing"
        opened.findings.append(
            error(
                "bundle-invalid",
                subject,
                f"The manifest of bundle {subject} says checksum {said}, but its files have {opened.checksum}; "
                "gateways from 5.0.12, 5.3.1 and 5.4.0 on drop every API that names it.",
                "Build the bundle anew with bundle_build or `tyk bundle build`.",
                "tyk v5.3.1, gateway/coprocess_bundle.go",
            )
        )
