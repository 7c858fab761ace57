# Copyright (c) 2026 tyk.upgrade contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What all bundle stores have in common: where bundles are published for gateways to fetch.

A bundle is cached by its name on every gateway and new content under a used name is never noticed, so a store client
never writes other content over a name. What was written is read back and compared: a 200 may come from a login page.
Each kind of store has a file of its own beside this one.
"""

from __future__ import annotations

import hashlib
import os
import tempfile
import time
import uuid
from dataclasses import dataclass
from typing import IO, Any, Collection, List, Optional

from ansible_collections.tyk.upgrade.plugins.module_utils._clients.bundle_archive import (
    digest_of_path,
    flat_name_problem,
)
from ansible_collections.tyk.upgrade.plugins.module_utils._clients.errors import ClientError
from ansible_collections.tyk.upgrade.plugins.module_utils._clients.local_disk import (
    folder_of,
    local_writing,
    write_whole,
)

PROBE_CONTENT = b"Written by tyk.upgrade to prove that this store can be written; safe to delete.\n"


@dataclass(frozen=True)
class Stored:
    """What a store holds under a name. seconds is the time of the download."""

    sha256: str
    size: int
    seconds: float


@dataclass(frozen=True)
class Published:
    """What publishing did. name is the one that API definitions give; seconds covers everything."""

    changed: bool
    name: str
    sha256: str
    size: int
    seconds: float


@dataclass(frozen=True)
class Writable:
    """Whether the store takes files. known is False when only writing could tell; leftover names what stayed."""

    known: bool
    leftover: Optional[str] = None


class BundleStore:
    """One place for bundles. A kind of store says how to fetch, to write and to ask; the rest follows."""

    #: The store without credentials, fit to be printed.
    name = ""
    #: Whether a bundle's name is the store's own choice and known only when it is there.
    assigns_names = False

    def address(self, name: str) -> str:
        """Where a bundle is, fit to be printed. Raises ClientError for a name that leaves the store."""
        raise NotImplementedError

    def fetch(self, name: str, sink: Optional[IO[bytes]] = None, max_size: Optional[int] = None) -> Optional[Stored]:
        """Read what the store holds under a name, or None when it holds nothing. Raises ClientError.

        What was written into the sink is worth something only when this returns. The sink has no buffer, since that
        would meet a full disk only when it is closed.
        """
        raise NotImplementedError

    def candidates(self, files: Collection[str]) -> List[str]:
        """The names of the bundles that list exactly these files, for stores that choose names. Raises ClientError."""
        raise ClientError(
            "setting-invalid",
            self.name,
            f"The bundle store {self.name} keeps bundles under the names that they were published under.",
            "Give the bundle's name.",
        )

    def look(self) -> Writable:
        """Ask, without writing, whether the store takes files. Raises ClientError when it says that it does not."""
        raise NotImplementedError

    def probe(self) -> Writable:
        """Prove that the store can be written: put a small file under a name of its own, read it back, delete it.

        Raises ClientError when it cannot.
        """
        name = f"tyk-upgrade-probe-{uuid.uuid4().hex}.txt"
        path = temporary_file()
        try:
            with local_writing(name, f"The file {name} could not be made", os.path.dirname(path)), open(path, "wb") as handle:
                handle.write(PROBE_CONTENT)
            self._write(name, path, len(PROBE_CONTENT))
            self._read_back(name, hashlib.sha256(PROBE_CONTENT).hexdigest(), len(PROBE_CONTENT))
        finally:
            os.unlink(path)
        return Writable(known=True, leftover=None if self._delete(name) else name)

    def held(self, name: str, path: str) -> Optional[str]:
        """The name under which the store holds exactly this file: the one given, or None when there is nothing.

        Raises ClientError: store-conflict when the name holds other content.
        """
        stored = self.fetch(name)
        if stored is None:
            return None
        if stored.sha256 != digest_of_path(path)[0]:
            raise self._conflict(name, stored)
        return name

    def publish(self, name: str, path: str) -> Published:
        """Upload a file under a name that holds nothing yet, and read it back.

        Equal content that is there already is left alone. Raises ClientError: store-conflict when the name holds other
        content, store-read-only when the store refuses to be written, store-forbidden when it refuses the credentials,
        store-limit when it takes no such bundle, store-unreachable for everything else.
        """
        started = time.monotonic()
        self.check_new_name(name)
        sha256, size = digest_of_path(path)
        changed = False
        if self.held(name, path) is None:
            changed = self._write(name, path, size)
            if changed:
                self._read_back(name, sha256, size)
            elif self.held(name, path) is None:  # somebody else was faster, and took it away again
                raise ClientError(
                    "store-unreachable",
                    name,
                    f"The bundle store {self.name} says that {name} exists, but nothing can be read under that name.",
                    "Check that what is written to and what is read from are the same folder, without a cache between.",
                )
        return Published(changed, name, sha256, size, time.monotonic() - started)

    def check_new_name(self, name: str) -> None:
        """Raises ClientError for a name that is not one flat file name."""
        problem = flat_name_problem(name)
        if problem:
            raise ClientError(
                "setting-invalid",
                name,
                f"The bundle name {name!r} {problem}.",
                "Give a plain file name such as a-1.zip.",
            )

    def _write(self, name: str, path: str, size: int) -> bool:
        """Put a file under a name that holds nothing. False when somebody else was faster. Raises ClientError."""
        raise NotImplementedError

    def _delete(self, name: str) -> bool:
        """Whether nothing is left under this name."""
        raise NotImplementedError

    def _read_back(self, name: str, sha256: str, size: int) -> None:
        stored = self.fetch(name)
        if stored is not None and stored.sha256 == sha256:
            return
        got = "nothing is there" if stored is None else f"{stored.size} bytes with another digest are there"
        raise ClientError(
            "store-unreachable",
            name,
            f"The bundle store {self.name} accepted {name} ({size} bytes), but reading it back shows that {got}.",
            "Check that what is written to and what is read from are the same folder, without a cache in between.",
        )

    def _conflict(self, name: str, stored: Stored) -> ClientError:
        return ClientError(
            "store-conflict",
            name,
            f"The bundle store {self.name} already holds other content under the name {name} "
            f"(sha256 {stored.sha256[:12]}..., {stored.size} bytes); nothing was written.",
            f"If no API definition names {name} or ever did, delete {self.address(name)} and run again. Otherwise publish "
            "under another name, for gateways that have a bundle never look at its name again; in an upgrade the name "
            "follows from the plugins, and any change to the source of one gives another.",
        )


class Receiver:
    """Counts and digests what arrives, hands it on, and stops at a limit."""

    def __init__(self, name: str, store: str, sink: Optional[IO[bytes]], max_size: Optional[int]) -> None:
        self._name, self._store, self._sink, self._max_size = name, store, sink, max_size
        self.restart()

    def restart(self) -> None:
        """Forget what arrived, because it is going to arrive once more."""
        self._sha256: Any = hashlib.sha256()
        self.size = 0
        if self._sink is not None:
            self._sink.seek(0)
            self._sink.truncate()

    def take(self, piece: bytes) -> None:
        """Raises ClientError when this is more than what may be read."""
        self.size += len(piece)
        if self._max_size is not None and self.size > self._max_size:
            raise ClientError(
                "bundle-invalid",
                self._name,
                f"Bundle {self._name} in the store {self._store} is larger than {self._max_size} bytes; it was not "
                "read to its end.",
                "Check that this is the right file, or allow more with max_size.",
            )
        self._sha256.update(piece)
        if self._sink is not None:
            what = f"Bundle {self._name} from the store {self._store} could not be kept"
            with local_writing(self._name, what, folder_of(self._sink)):
                write_whole(self._sink, piece)

    def stored(self, seconds: float) -> Stored:
        """What arrived."""
        return Stored(self._sha256.hexdigest(), self.size, seconds)


def readable_name_problem(name: str) -> str:
    """Why nothing can be read under a name, as a clause; empty when something may be.

    Names that others gave may have folders in them, and gateways read those too; they must not leave the store.
    """
    parts = name.split("/")
    if not name or "\x00" in name or "\\" in name or any(part in ("", ".", "..") for part in parts):
        return "is not the name of a file in a bundle store"
    return ""


def check_readable_name(name: str) -> None:
    """Raises ClientError for a name that leaves the store."""
    problem = readable_name_problem(name)
    if problem:
        raise ClientError(
            "setting-invalid", name, f"The bundle name {name!r} {problem}.", "Give a file name such as a-1.zip."
        )


def temporary_file(directory: Optional[str] = None) -> str:
    """The path of a new empty file that only this user can read. Raises ClientError."""
    with local_writing("temporary file", "A temporary file could not be made", directory or tempfile.gettempdir()):
        handle, path = tempfile.mkstemp(prefix="tyk-upgrade-", dir=directory)
        os.close(handle)
        return path
