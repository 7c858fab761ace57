# Copyright (c) 2026 tyk.upgrade contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What apt and dnf have in common for whoever replaces a package with them.

The tools' command lines are driven, so neither python3-apt nor python3-dnf has to be on the host.
"""

from __future__ import annotations

import hashlib
import os
import time
from abc import ABC, abstractmethod
from dataclasses import dataclass, field
from typing import List, Optional, Sequence, Tuple

from ansible_collections.tyk.upgrade.plugins.module_utils._clients.errors import ClientError
from ansible_collections.tyk.upgrade.plugins.module_utils._clients.host_commands import Holder, Host, Said
from ansible_collections.tyk.upgrade.plugins.module_utils._domain.packages import (
    Candidate,
    Difference,
    Installed,
    RepositoryProblem,
    product_version,
    untrusted_package,
)

FETCH_TIMEOUT = 600
INSTALL_TIMEOUT = 900


@dataclass(frozen=True)
class PackageFile:
    """A .deb or .rpm and what it says of itself. arch in Go's words."""

    path: str
    name: str
    package_version: str
    arch: str
    requires: str = ""
    size: int = 0
    signed: Optional[bool] = None

    @property
    def version(self) -> str:
        return product_version(self.package_version)


@dataclass(frozen=True)
class Fetched:
    """A package in a folder of ours, with what has to come with it."""

    folder: str
    package: PackageFile
    others: Tuple[str, ...] = ()


@dataclass(frozen=True)
class Hold:
    """What keeps a package from being upgraded: how, and what is needed to put it back."""

    kinds: Tuple[str, ...] = ()  # of: hold, versionlock, exclude
    text: str = ""

    def __bool__(self) -> bool:
        return bool(self.kinds)


@dataclass(frozen=True)
class Availability:
    """What the repositories offer of one package, the newest first, and which of them could not be read."""

    candidates: Tuple[Candidate, ...] = ()
    problems: Tuple[RepositoryProblem, ...] = field(default=())


class PackageManager(ABC):
    """One package manager on this host."""

    name: str = ""
    suffix: str = ""

    def __init__(self, host: Host) -> None:
        self.host = host

    # -- looking -----------------------------------------------------------------------------------------------------

    @abstractmethod
    def installed(self, *names: str) -> List[Installed]:
        """Those of the packages that are installed."""

    @abstractmethod
    def available(self, name: str) -> Availability:
        """Versions that the repositories offer, by the data at hand."""

    @abstractmethod
    def refresh(self) -> List[RepositoryProblem]:
        """Fetch the repositories' data anew; what went wrong with which."""

    @abstractmethod
    def hold(self, name: str) -> Hold:
        """What keeps the package as it is."""

    @abstractmethod
    def verify(self, name: str) -> List[Difference]:
        """Files that are not as the package brought them."""

    @abstractmethod
    def lock_holder(self) -> Optional[Holder]:
        """Which other process works with the package manager."""

    @abstractmethod
    def read_file(self, path: str) -> PackageFile:
        """What a package file says of itself."""

    @abstractmethod
    def describe(self, name: str, candidate: Candidate) -> Tuple[Optional[int], str]:
        """Size in bytes and requirements of a package in a repository, as far as its data say so."""

    @abstractmethod
    def config_files(self, name: str) -> List[str]:
        """The files that the package marks as configuration."""

    @abstractmethod
    def state_text(self, name: str) -> str:
        """All that the package manager knows of the package, for a person."""

    # -- changing ----------------------------------------------------------------------------------------------------

    @abstractmethod
    def fetch(self, name: str, package_version: str, folder: str, installed: bool) -> Fetched:
        """Download exactly this version, and what it needs, into the folder. installed: it is what is installed now."""

    @abstractmethod
    def install(self, fetched: Fetched, hold: Hold) -> None:
        """Install what was fetched, keeping the user's configuration files, without the network where it can."""

    @abstractmethod
    def put_back(self, fetched: Fetched, hold: Hold) -> None:
        """Install an older version in place of whatever state the package is in."""

    @abstractmethod
    def restore_hold(self, name: str, hold: Hold, package_version: str, as_it_was: bool = False) -> bool:
        """Have the package held again, at this version; whether anything had to be done.

        as_it_was: this is the version it was held at, so a lock is put back to the letter.
        """

    @abstractmethod
    def extract(self, path: str, member: str, target: str) -> None:
        """Write one file out of a package file to the target path."""

    @abstractmethod
    def new_defaults(self, path: str) -> List[str]:
        """Where the package manager leaves the package's version of a configuration file that the user changed."""

    # -- shared ------------------------------------------------------------------------------------------------------

    def find(self, name: str) -> Optional[Installed]:
        """The package, if it is installed."""
        return next(iter(self.installed(name)), None)

    def wait_unlocked(self, timeout: float) -> None:
        """Wait until no other process works with the package manager. Raises when the timeout (seconds) has passed."""
        deadline = time.monotonic() + timeout
        while True:
            holder = self.lock_holder()
            if holder is None:
                return
            if time.monotonic() >= deadline:
                raise ClientError(
                    "package-lock-held",
                    holder.path,
                    f"The package manager's lock {holder.path} has been held by {holder} for the last {timeout:.0f} s.",
                    "Wait until it is done (automatic upgrades often are), or stop it, then repeat.",
                )
            time.sleep(0.25)

    def failed(self, what: str, name: str, said: Said, remedy: str) -> ClientError:
        """The tool's failure as an error; a question of trust is called one."""
        untrusted = untrusted_package(said.text)
        if untrusted:
            return ClientError(
                "repository-untrusted",
                name,
                f"{self.name} does not trust what it got while it should {what}: {untrusted}",
                "Import the repository's signing key, or put right its signature; nothing unsigned is installed.",
            )
        how = "it did not end in time" if said.code is None else said.tail(6)
        return ClientError("package-failed", name, f"{self.name} could not {what}: {how}", remedy)

    def check_file(self, path: str, name: str, wanted: str, checksum: str, arch: str) -> PackageFile:
        """Read a given package file and see that it is the one that is meant. Raises package-file-invalid."""
        remedy = "Give the right file, version and checksum."
        if not os.path.isfile(path):
            raise ClientError("package-file-invalid", path, f"There is no file {path} on this host.", remedy)
        if checksum:
            kind, _colon, value = checksum.partition(":")
            if kind != "sha256" or len(value) != 64:
                raise ClientError(
                    "package-file-invalid", path, f"The checksum of {path} is not written as sha256:<64 digits>.", remedy
                )
            found = sha256(path)
            if found != value.lower():
                raise ClientError(
                    "package-file-invalid",
                    path,
                    f"The file {path} has the checksum sha256:{found}, not the one that was given.",
                    "Copy it again from where you trust it.",
                )
        package = self.read_file(path)
        wrong = ""
        if package.name != name:
            wrong = f"holds the package {package.name}, not {name}"
        elif wanted and package.version != wanted and package.package_version != wanted:
            wrong = f"holds version {package.package_version}, not {wanted}"
        elif arch and package.arch not in (arch, "all"):
            wrong = f"is built for {package.arch}, not for {arch}"
        if wrong:
            code = "edition-mismatch" if wrong.startswith("holds the package") else "package-file-invalid"
            raise ClientError(code, path, f"The file {path} {wrong}.", remedy)
        return package


def sha256(path: str) -> str:
    """The digest of a file."""
    digest = hashlib.sha256()
    with open(path, "rb") as source:
        for block in iter(lambda: source.read(1 << 20), b""):
            digest.update(block)
    return digest.hexdigest()


def by_suffix(folder: str, suffix: str) -> List[str]:
    """The files in a folder (not below it) that end so."""
    try:
        return sorted(entry.path for entry in os.scandir(folder) if entry.is_file() and entry.name.endswith(suffix))
    except FileNotFoundError:
        return []


def pick(files: Sequence[PackageFile], name: str, package_version: str) -> Optional[PackageFile]:
    """The one of several package files that is this package in this version."""
    return next((one for one in files if one.name == name and one.package_version == package_version), None)
