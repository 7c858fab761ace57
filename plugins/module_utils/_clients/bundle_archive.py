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
import posixpath
import re
import stat
import struct
import tempfile
import zipfile
import zlib
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from typing import IO, Any, Callable, Dict, Iterator, List, Mapping, Optional, Sequence, Tuple

from ansible_collections.tyk.upgrade.plugins.module_utils._clients.elf import plugin_path_of
from ansible_collections.tyk.upgrade.plugins.module_utils._clients.errors import ClientError
from ansible_collections.tyk.upgrade.plugins.module_utils._clients.local_disk import (
    local_writing,
    other_than_file,
    write_whole,
)
from ansible_collections.tyk.upgrade.plugins.module_utils._domain.bundle_lint import (
    lint_types,
    lint_unlisted,
    wrong_checksum,
)
from ansible_collections.tyk.upgrade.plugins.module_utils._domain.bundles import MANIFEST_FILE as MANIFEST
from ansible_collections.tyk.upgrade.plugins.module_utils._domain.bundles import (
    PROVENANCE_FILE,
    checksum,
    is_go,
    lint,
)
from ansible_collections.tyk.upgrade.plugins.module_utils._domain.findings import Finding, error, warning

#: Measured on a Go plugin of 29 MB: level 4 takes half the time of level 6 for 2 % more bytes, and that of level 3.
DEFLATE_LEVEL = 4
MAX_MEMBERS = 256
#: What file systems take.
MAX_NAME = 255
MAX_MANIFEST_BYTES = 1024 * 1024
#: The list of files at the end of a zip; more than what MAX_MEMBERS with long names and remarks need.
MAX_DIRECTORY_BYTES = 1024 * 1024
#: The earliest time that a zip can hold, so that equal content gives equal bytes.
_TIMESTAMP = (1980, 1, 1, 0, 0, 0)
_MODE = stat.S_IFREG | 0o644
_CHUNK = 1 << 20
_ELF = b"\x7fELF"
_END = struct.Struct("<4s4H2LH")
_END_SIGNATURE = b"PK\x05\x06"
#: What zipfile and zlib raise for a zip that is none, or not a whole one.
_DAMAGED = (
    zipfile.BadZipFile,
    zlib.error,
    EOFError,
    NotImplementedError,
    RuntimeError,
    ValueError,
    struct.error,
)
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
        if other_than_file(self.path):
            raise _invalid(
                self.name,
                f"{self.path}, which is {self.name} in the bundle, is {other_than_file(self.path)} and no file.",
                "Give the path of a file.",
            )
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
    """A bundle that was written. checksum is the MD5 that its manifest carries, sha256 is that of the zip itself.

    findings: what is worth knowing about its manifest, none of it an error.
    """

    checksum: str
    sha256: str
    size: int
    manifest: Mapping[str, Any]
    findings: Tuple[Finding, ...] = ()


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
    #: SHA-256 over the listed files in list order, which is what a signature signs.
    signed_digest: Optional[bytes] = None
    findings: List[Finding] = field(default_factory=list)


def flat_name_problem(name: str) -> Optional[str]:
    """Why a name cannot be used in a bundle, as a clause, or None.

    A gateway's extraction never creates parent directories, so names are flat (tyk v5.14.0,
    gateway/coprocess_bundle.go).
    """
    if len(name) > MAX_NAME:
        return f"has {len(name)} characters, more than the {MAX_NAME} that a file's name can have"
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
            shown = name if len(name) <= MAX_NAME else f"{name[:40]}…"
            raise _invalid(shown, f"The name {shown!r} {problem}.", "Rename it.")
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
    subject = "the new bundle"
    found = [*lint({**manifest, "file_list": order}, subject), *lint_types(manifest, subject)]
    wrong = [finding for finding in found if finding.severity == "error"]
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
    return Built(digest, sha256, size, final, tuple(found))


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
    """There is more than what may be read; says how, as a verb."""


def read(path: str, max_size: int, subject: str = "", scratch: Optional[str] = None) -> Opened:
    """Open a bundle and say everything that is wrong with it. max_size bounds the bytes that are read, packed and
    unpacked.

    scratch: a folder into which one plugin at a time is unpacked, so that its plugin path can be read; without it
    these are empty. Never raises for what the file holds; a file that cannot be opened raises OSError, and a scratch
    folder that cannot be written ClientError.
    """
    subject = subject or os.path.basename(path)
    opened = Opened()
    try:
        opened.size = os.stat(path).st_size
        if opened.size > max_size:
            raise _TooMuch("has")
        opened.sha256 = digest_of_path(path)[0]
        with _opened_zip(path) as archive:
            _Reading(archive, max_size, subject, opened, scratch).everything()
    except _TooMuch as too_much:
        opened.findings.append(
            _wrong(
                subject,
                f"Bundle {subject} {too_much} more than {max_size} bytes; the rest was not read.",
                "Check where the bundle comes from, or allow more with max_size.",
            )
        )
    except _DAMAGED as problem:
        opened.findings.append(
            _wrong(
                subject,
                f"Bundle {subject} is not a zip that can be read to its end: {_clause(problem)}.",
                "Build and publish the bundle again.",
            )
        )
    return opened


def manifest_of(path: str) -> Dict[str, Any]:
    """The manifest of a bundle on this host. Raises ClientError when the file is none."""
    opened = Opened()
    subject = os.path.basename(path)
    if other_than_file(path):
        raise _invalid(
            subject, f"{path} is {other_than_file(path)} and no bundle.", "Give a zip that bundle_build made."
        )
    try:
        with _opened_zip(path) as archive:
            found = _Reading(archive, MAX_MANIFEST_BYTES, subject, opened).json_object(MANIFEST)
    except (*_DAMAGED, KeyError) as problem:
        raise _invalid(
            subject, f"{path} is not a bundle: {_clause(problem)}.", "Give a zip that bundle_build made."
        ) from problem
    if found is None:
        raise _invalid(subject, opened.findings[0].message, opened.findings[0].remedy)
    return found


def _wrong(subject: str, message: str, remedy: str, source: str = "") -> Finding:
    return error("bundle-invalid", subject, message, remedy, source)


def _clause(problem: BaseException) -> str:
    return " ".join(str(problem).rstrip(".").split()) or type(problem).__name__


class _Source(io.BufferedReader):
    """A bundle's file as zipfile reads it. Nothing long is read before the list of files is known.

    How the end of a zip is found differs between releases of Python, so what they read is bounded and not foretold.
    """

    def __init__(self, path: str) -> None:
        super().__init__(io.FileIO(path))
        self.opening = True

    def read(self, size: Optional[int] = -1) -> bytes:
        """Raises ValueError for a list of files that is longer than any bundle's: to read it would fill the memory."""
        if self.opening and size is not None and size > MAX_DIRECTORY_BYTES:
            raise ValueError(f"its list of files alone has {size} bytes")
        return super().read(size)


@contextmanager
def _opened_zip(path: str) -> Iterator[zipfile.ZipFile]:
    """Raises OSError, and what zipfile raises for a file that is no zip."""
    with _Source(path) as source:
        _check_end(source)
        with zipfile.ZipFile(source) as archive:
            source.opening = False
            yield archive


def _check_end(source: IO[bytes]) -> None:
    """Raise ValueError for a zip in whose last record another one begins: gateways and zipfile would take different ones."""
    size = source.seek(0, os.SEEK_END)
    source.seek(max(0, size - _END.size - 0xFFFF))
    tail = source.read()
    at = tail.find(_END_SIGNATURE)
    while 0 <= at <= len(tail) - _END.size:
        if at + _END.size + _END.unpack_from(tail, at)[7] == len(tail):
            if tail.find(_END_SIGNATURE, at + 1) >= 0:
                raise ValueError("the record at its end is there twice")
            return
        at = tail.find(_END_SIGNATURE, at + 1)


@dataclass
class _Unpacked:
    """A plugin while it is read; without a file nothing of it is kept."""

    file: Any = None
    subject: str = ""
    what: str = ""
    plugin: bool = False
    begun: bool = False

    def take(self, piece: bytes) -> None:
        """The next piece. What does not begin like a plugin is not kept."""
        if not self.begun:
            self.begun, self.plugin = True, self.file is not None and piece.startswith(_ELF)
        if self.plugin:
            with local_writing(self.subject, self.what, os.path.dirname(self.file.name)):
                write_whole(self.file, piece)

    def plugin_path(self) -> str:
        """The path that Go knows it by, empty for what is none that can be read."""
        return plugin_path_of(self.file.name) if self.plugin else ""


class _Reading:
    """One pass through a zip, within bounds, that leaves what it finds in `opened`."""

    def __init__(
        self,
        archive: zipfile.ZipFile,
        max_size: int,
        subject: str,
        opened: Opened,
        scratch: Optional[str] = None,
    ) -> None:
        self._archive = archive
        self._scratch = scratch
        self._max_size = max_size
        self._subject = subject
        self._opened = opened
        self._entries = archive.infolist()
        self._by_name = {entry.filename: entry for entry in self._entries}
        self._folders: List[str] = []
        self._heads: Dict[str, bytes] = {}

    def everything(self) -> None:
        """Raises _TooMuch, and what zipfile raises for a damaged zip."""
        if len(self._entries) > MAX_MEMBERS:
            raise ValueError(f"it holds {len(self._entries)} files, more than {MAX_MEMBERS}")
        if sum(entry.file_size for entry in self._entries) > self._max_size:
            raise _TooMuch("unpacks to")
        self._check_entries()
        if any(entry.flag_bits & 0x1 for entry in self._entries):
            raise ValueError("it is encrypted")
        self._read_files()
        if MANIFEST not in self._by_name:
            self._add(
                f"Bundle {self._subject} holds no {MANIFEST} at its root.",
                "Build the bundle with bundle_build or `tyk bundle build`.",
            )
            return
        self._opened.manifest = self.json_object(MANIFEST)
        if PROVENANCE_FILE in self._by_name:
            self._opened.provenance = self.json_object(PROVENANCE_FILE)
        if self._opened.manifest is not None:
            self._check_content(self._opened.manifest)

    def json_object(self, name: str) -> Optional[Dict[str, Any]]:
        """A file that holds a JSON object; None with a finding when it holds something else."""
        try:
            with self._archive.open(self._by_name[name]) as handle:
                text = handle.read(MAX_MANIFEST_BYTES + 1)
            if len(text) > MAX_MANIFEST_BYTES:
                raise ValueError("it is too long")
            parsed = json.loads(text.decode("utf-8"), parse_constant=_no_constant)
            if not isinstance(parsed, dict):
                raise ValueError("it is not a JSON object")
            return parsed
        except (ValueError, RecursionError) as problem:
            said = "it is nested too deeply" if isinstance(problem, RecursionError) else _clause(problem)
            self._add(
                f"In bundle {self._subject} the file {name} cannot be read as JSON: {said}.", "Build the bundle anew."
            )
            return None

    def _add(self, message: str, remedy: str = "Build it anew.", source: str = "") -> None:
        self._opened.findings.append(_wrong(self._subject, message, remedy, source))

    def _read_files(self) -> None:
        left = [self._max_size]
        for entry in self._entries:
            if entry.is_dir():
                continue
            sha256 = hashlib.sha256()
            size = 0
            self._heads[entry.filename] = b""
            with self._unpacked(entry.filename) as unpacked:
                for piece in self._pieces(entry, left):
                    self._heads[entry.filename] = self._heads[entry.filename] or piece[:4]
                    sha256.update(piece)
                    size += len(piece)
                    unpacked.take(piece)
                plugin_path = unpacked.plugin_path()
            if entry.filename != MANIFEST:
                self._opened.files.append(
                    {
                        "name": entry.filename,
                        "size": size,
                        "sha256": sha256.hexdigest(),
                        "plugin_path": plugin_path,
                    }
                )

    @contextmanager
    def _unpacked(self, name: str) -> Iterator[_Unpacked]:
        if self._scratch is None or not name.endswith(".so"):
            yield _Unpacked()
            return
        what = f"The file {name} of bundle {self._subject} could not be unpacked"
        with ExitStack() as stack:
            with local_writing(self._subject, what, self._scratch):
                file = stack.enter_context(
                    tempfile.NamedTemporaryFile(prefix="tyk-upgrade-", dir=self._scratch, buffering=0)
                )
            yield _Unpacked(file, self._subject, what)

    def _pieces(self, entry: zipfile.ZipInfo, left: List[int]) -> Iterator[bytes]:
        with self._archive.open(entry) as handle:
            for piece in _pieces(handle):
                left[0] -= len(piece)
                if left[0] < 0:
                    raise _TooMuch("unpacks to")
                yield piece

    def _check_entries(self) -> None:
        """Names and kinds, as Go's archive/zip and the gateway's unpacking take them."""
        seen: Dict[str, int] = {}
        for entry in self._entries:
            name = entry.filename
            seen[name] = seen.get(name, 0) + 1
            problem = self._entry_problem(entry)
            if problem:
                self._add(f"In bundle {self._subject} the entry {name!r} {problem}.")
            elif entry.is_dir():
                self._folders.append(name.rstrip("/"))
        for name in sorted(name for name, count in seen.items() if count > 1):
            self._add(f"In bundle {self._subject} the name {name!r} occurs more than once.")
        if self._folders:
            self._opened.findings.append(
                warning(
                    "bundle-invalid",
                    self._subject,
                    f"Bundle {self._subject} holds the folders {', '.join(repr(f'{one}/') for one in self._folders)}; "
                    "gateways unpack them only as long as the zip names each folder before what is in it.",
                    "Keep the files of a bundle in one folder.",
                    "v5.14.0:gateway/coprocess_bundle.go:258-299",
                )
            )

    def _entry_problem(self, entry: zipfile.ZipInfo) -> Optional[str]:
        name = entry.filename
        parts = name.rstrip("/").split("/")
        if any(part in ("", ".", "..") for part in parts) or "\\" in name or "\x00" in name:
            return "is not a flat name; it leads out of the folder of the bundle or is not a name at all"
        if stat.S_ISLNK(entry.external_attr >> 16):
            return "is a symbolic link"
        if len(parts) > 1 and posixpath.dirname("/".join(parts)) not in self._folders:
            return "is not a flat name; a gateway creates no directories that the zip does not name before"
        if entry.compress_type not in (zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED):
            return "is packed in a way that gateways cannot unpack (only stored and deflated can be)"
        return None

    def _check_content(self, manifest: Mapping[str, Any]) -> None:
        names = [entry.filename for entry in self._entries if not entry.is_dir() and entry.filename != MANIFEST]
        findings = self._opened.findings
        findings.extend(lint(manifest, self._subject, self._by_name, self._folders))
        findings.extend(lint_types(manifest, self._subject))
        findings.extend(lint_unlisted(manifest, names, self._subject))
        if is_go(manifest):
            findings.extend(self._not_elf())
        listed = manifest.get("file_list")
        if not isinstance(listed, list) or not all(isinstance(name, str) and name in self._by_name for name in listed):
            return  # the lint says so
        left = [self._max_size]
        sha256 = hashlib.sha256()

        def content() -> Iterator[bytes]:
            for name in listed:
                for piece in self._pieces(self._by_name[name], left):
                    sha256.update(piece)
                    yield piece

        self._opened.checksum = checksum(content())
        self._opened.signed_digest = sha256.digest()
        self._opened.checksum_ok = self._opened.checksum == manifest.get("checksum")
        if not self._opened.checksum_ok:
            self._opened.findings.append(
                wrong_checksum(self._subject, manifest.get("checksum"), str(self._opened.checksum))
            )

    def _not_elf(self) -> List[Finding]:
        """A gateway runs on Linux in every way that this collection knows."""
        return [
            error(
                "plugin-unreadable",
                self._subject,
                f"In bundle {self._subject} the file {name} is no Linux library; a gateway cannot open it as a plugin.",
                "Put the output of the plugin compiler into the bundle.",
            )
            for name, head in sorted(self._heads.items())
            if name.endswith(".so") and head != _ELF
        ]


def _no_constant(name: str) -> None:
    raise ValueError(f"it holds {name}, which is not JSON")
