# Copyright (c) 2026 tyk.upgrade contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Packages of Red Hat's relatives, with dnf (4 or 5) and rpm."""

from __future__ import annotations

import configparser
import fnmatch
import glob
import io
import os
import re
import shutil
from typing import IO, Iterator, List, Optional, Tuple, cast
from urllib.parse import unquote

from ansible_collections.tyk.upgrade.plugins.module_utils._clients.apt import no_member, write_program
from ansible_collections.tyk.upgrade.plugins.module_utils._clients.errors import ClientError
from ansible_collections.tyk.upgrade.plugins.module_utils._clients.host_commands import (
    Holder,
    Host,
    Said,
    first_holder,
)
from ansible_collections.tyk.upgrade.plugins.module_utils._clients.package_manager import (
    FETCH_TIMEOUT,
    INSTALL_TIMEOUT,
    Availability,
    Fetched,
    Hold,
    PackageFile,
    PackageManager,
    by_suffix,
    pick,
)
from ansible_collections.tyk.upgrade.plugins.module_utils._domain.packages import (
    DNF_FORMAT,
    RPM_FORMAT,
    Candidate,
    Difference,
    Installed,
    RepositoryProblem,
    go_arch,
    locked_entries,
    parse_dnf_errors,
    parse_repoquery,
    parse_rpm,
    parse_verify,
    relocked,
    rpm_order,
)

PID_FILES = (
    "/var/cache/dnf/metadata_lock.pid",
    "/var/cache/dnf/download_lock.pid",
    "/var/lib/dnf/rpmdb_lock.pid",
    "/var/run/yum.pid",
)
RECORD_LOCKS = ("/run/dnf/rpmtransaction.lock",)
VERSIONLOCK_SETTINGS = "/etc/dnf/plugins/versionlock.conf"
VERSIONLOCK_LIST = "/etc/dnf/plugins/versionlock.list"
VERSIONLOCK_DNF5 = "/etc/dnf/versionlock.toml"
DNF_SETTINGS = "/etc/dnf/dnf.conf"
CPIO_MAGIC = (b"070701", b"070702")
CPIO_END = "TRAILER!!!"


class Dnf(PackageManager):
    """dnf and rpm."""

    suffix = ".rpm"

    def __init__(self, host: Host, name: str = "dnf") -> None:
        super().__init__(host)
        self.name = name

    def _dnf(self, *arguments: str, timeout: float = FETCH_TIMEOUT) -> Said:
        return self.host.run(self.name, "-q", *arguments, timeout=timeout)

    # -- looking -----------------------------------------------------------------------------------------------------

    def installed(self, *names: str) -> List[Installed]:
        found = parse_rpm(self.host.run("rpm", "-q", "--qf", RPM_FORMAT, *names).output)
        return [
            Installed(one.name, one.package_version, go_arch(one.arch), one.healthy, one.state, bool(self.hold(one.name)))
            for one in found
        ]

    def available(self, name: str) -> Availability:
        query = ("repoquery", "--available", "--disableexcludes=all", "--queryformat", DNF_FORMAT, name)
        said = self._dnf(*query)
        problems = parse_dnf_errors(said.errors)
        if not said.ok:
            said = self._dnf("-C", *query)
        return Availability(tuple(parse_repoquery(said.output)), tuple(problems))

    def refresh(self) -> List[RepositoryProblem]:
        said = self.host.change(self.name, "-y", "--refresh", "makecache", timeout=FETCH_TIMEOUT)
        problems = parse_dnf_errors(said.text)
        if not said.ok and not problems:
            problems = [RepositoryProblem(f"{self.name} makecache", said.last())]
        return problems

    def hold(self, name: str) -> Hold:
        kinds, text = [], ""
        if self.name == "dnf5":
            text = read_text(VERSIONLOCK_DNF5)
            if re.search(rf'^\s*name\s*=\s*"{re.escape(name)}"\s*$', text, re.MULTILINE):
                kinds.append("versionlock")
        else:
            text = "\n".join(locked_entries(read_text(self._locklist()), name))
            if text:
                kinds.append("versionlock")
        if excluded(name):
            kinds.append("exclude")
        return Hold(tuple(kinds), text)

    @staticmethod
    def _locklist() -> str:
        settings = read_settings(VERSIONLOCK_SETTINGS)
        if settings.get("main", "enabled", fallback="1") in ("0", "no", "false", "False"):
            return os.devnull
        return settings.get("main", "locklist", fallback=VERSIONLOCK_LIST)

    def verify(self, name: str) -> List[Difference]:
        return parse_verify(self.host.run("rpm", "-V", name).output)

    def lock_holder(self) -> Optional[Holder]:
        database = self.host.run("rpm", "--eval", "%{_dbpath}").output.strip() or "/var/lib/rpm"
        return first_holder((os.path.join(database, ".rpm.lock"), *RECORD_LOCKS), PID_FILES)

    def read_file(self, path: str) -> PackageFile:
        said = self.host.run("rpm", "-qp", "--nosignature", "--qf", RPM_FORMAT, path)
        found = parse_rpm(said.output)
        if not said.ok or not found:
            raise ClientError(
                "package-file-invalid", path, f"{path} is not an rpm package: {said.last(1)}", "Give an .rpm file."
            )
        one = found[0]
        signature = self.host.run("rpm", "--checksig", path)
        requires = self.host.run("rpm", "-qp", "--nosignature", "--requires", path).output
        return PackageFile(
            path,
            one.name,
            one.package_version,
            go_arch(one.arch),
            requires,
            os.path.getsize(path),
            signature.ok and "signatures OK" in signature.output,
        )

    def describe(self, name: str, candidate: Candidate) -> Tuple[Optional[int], str]:
        spec = f"{name}-{candidate.package_version}"
        said = self._dnf("-C", "repoquery", "--available", "--disableexcludes=all", "--requires", spec)
        return candidate.size, said.output

    def config_files(self, name: str) -> List[str]:
        return [line for line in self.host.run("rpm", "-qc", name).output.splitlines() if line.startswith("/")]

    def state_text(self, name: str) -> str:
        return "\n".join(self.host.run(*command).text for command in (("rpm", "-qi", name), ("rpm", "-V", name)))

    # -- changing ----------------------------------------------------------------------------------------------------

    def fetch(self, name: str, package_version: str, folder: str, installed: bool) -> Fetched:
        local = pick(self._packages(folder), name, package_version)
        said = Said(0)
        arrival = os.path.join(folder, "partial")
        spec = local.path if local is not None else f"{name}-{package_version}"
        if not installed or local is None:
            command = (
                self.name,
                "-y",
                "reinstall" if installed else self._verb(name, package_version),
                "--downloadonly",
                f"--destdir={arrival}",
                "--setopt=keepcache=1",  # else dnf itself removes them after its next transaction
                *self._lifted(Hold(("versionlock", "exclude"))),
                spec,
            )
            # A given file needs repositories only for what else it asks for.
            alone = self.host.change(*command, "--disablerepo=*", timeout=FETCH_TIMEOUT) if local else Said(1)
            said = alone if alone.ok else self.host.change(*command, timeout=FETCH_TIMEOUT)
        for path in by_suffix(arrival, self.suffix):
            os.replace(path, os.path.join(folder, os.path.basename(path)))
        if said.ok and pick(self._packages(folder), name, package_version) is None:
            self._copy_from_disk(spec, folder)
        files = self._packages(folder)
        package = pick(files, name, package_version)
        if package is None or (not installed and not said.ok):
            raise self.failed(f"download {spec}", name, said, "See whether its repository is right.")
        return Fetched(folder, package, tuple(one.path for one in files if one.path != package.path))

    def _copy_from_disk(self, spec: str, folder: str) -> None:
        """dnf does not download what lies in a repository on this disk."""
        said = self._dnf("-C", "repoquery", "--available", "--disableexcludes=all", "--location", spec)
        for place in said.output.split():
            if place.startswith("file:///"):
                path = unquote(place[len("file://") :])
                shutil.copyfile(path, os.path.join(folder, os.path.basename(path)))

    def _packages(self, folder: str) -> List[PackageFile]:
        return [self.read_file(path) for path in by_suffix(folder, self.suffix)]

    def _verb(self, name: str, package_version: str) -> str:
        """dnf does nothing, and says so to nobody, when it is asked to install an older version."""
        now = self.find(name)
        return "downgrade" if now and rpm_order(package_version) < rpm_order(now.package_version) else "install"

    def _lifted(self, hold: Hold) -> List[str]:
        options = []
        if "versionlock" in hold.kinds:
            options.append("--disableplugin=versionlock" if self.name == "dnf" else "--setopt=disable_excludes=*")
        if "exclude" in hold.kinds and self.name == "dnf":
            options.append("--disableexcludes=all")
        return options

    def install(self, fetched: Fetched, hold: Hold) -> None:
        package = fetched.package
        said = self._transaction(self._verb(package.name, package.package_version), hold, package.path, *fetched.others)
        if not said.ok:
            what = f"install {package.name}-{package.package_version}"
            raise self.failed(what, package.name, said, "Put right what it names, then repeat.")

    def _transaction(self, verb: str, hold: Hold, *paths: str) -> Said:
        """All that is needed was fetched, so no repository is asked."""
        command = (self.name, "-y", verb, "--disablerepo=*", *self._lifted(hold), *paths)
        return self.host.change(*command, timeout=INSTALL_TIMEOUT)

    def put_back(self, fetched: Fetched, hold: Hold) -> None:
        package = fetched.package
        now = self.find(package.name)
        if now is not None and now.healthy and self._verb(package.name, package.package_version) == "downgrade":
            said = self._transaction("downgrade", hold, package.path)
            now = self.find(package.name)
            if said.ok and now is not None and now.healthy and now.package_version == package.package_version:
                return
        # rpm itself replaces a package in whatever state a transaction left it, also when it is there twice.
        said = self.host.change(
            "rpm", "-U", "--oldpackage", "--replacepkgs", "--replacefiles", package.path, timeout=INSTALL_TIMEOUT
        )
        if not said.ok:
            raise self.failed(
                f"put {package.name}-{package.package_version} back",
                package.name,
                said,
                f"Put it back by hand: rpm -U --oldpackage --replacepkgs {package.path}",
            )

    def restore_hold(self, name: str, hold: Hold, package_version: str, as_it_was: bool = False) -> bool:
        if "versionlock" not in hold.kinds:
            return False
        if self.name == "dnf5":
            self.host.change(self.name, "versionlock", "delete", name)
            said = self.host.change(self.name, "versionlock", "add", f"{name}-{package_version}")
            if not said.ok:
                raise self.failed(f"lock {name} again", name, said, "Lock it by hand: dnf versionlock add")
            return True
        path = self._locklist()
        before = read_text(path)
        after = relocked(before, name, package_version, hold.text.splitlines() if as_it_was else None)
        if after == before:
            return False
        found = os.stat(path)
        self.host.write(path, after.encode(), found.st_mode & 0o7777, (found.st_uid, found.st_gid))
        return True

    def extract(self, path: str, member: str, target: str) -> None:
        with self.host.stream("rpm2cpio", path) as stream:
            for name, content in cpio_files(stream):
                if name.lstrip("./") == member.lstrip("/"):
                    write_program(content, target)
                    return
        raise no_member(path, member)

    def new_defaults(self, path: str) -> List[str]:
        return [f"{path}.rpmnew", f"{path}.rpmsave"]


# -- files of dnf --------------------------------------------------------------------------------------------------------


def read_text(path: str) -> str:
    """The content of a file, nothing if there is none."""
    try:
        with open(path, encoding="utf-8", errors="replace") as stream:
            return stream.read()
    except OSError:
        return ""


def read_settings(path: str) -> configparser.ConfigParser:
    """A file in the manner of dnf.conf; what cannot be read counts as empty, dnf itself will complain."""
    settings = configparser.ConfigParser(interpolation=None, strict=False)
    try:
        settings.read_string(read_text(path))
    except configparser.Error:
        pass
    return settings


def excluded(name: str) -> bool:
    """Whether dnf.conf or one of the repositories excludes the package."""
    for path in (DNF_SETTINGS, *sorted(glob.glob("/etc/yum.repos.d/*.repo"))):
        settings = read_settings(path)
        for section in settings.sections():
            for key in ("exclude", "excludepkgs"):
                patterns = re.split(r"[\s,]+", settings.get(section, key, fallback=""))
                if any(pattern and fnmatch.fnmatch(name, pattern) for pattern in patterns):
                    return True
    return False


def cpio_files(stream: IO[bytes]) -> Iterator[Tuple[str, IO[bytes]]]:
    """The regular files in a cpio archive of the kind that rpm2cpio prints; each must be read before the next."""
    while True:
        header = _exactly(stream, 110)
        if header[:6] not in CPIO_MAGIC:
            raise ClientError("package-file-invalid", "rpm2cpio", "The package's content cannot be read.", "Fetch it again.")
        numbers = [int(header[6 + 8 * place : 14 + 8 * place], 16) for place in range(13)]
        mode, size, name_size = numbers[1], numbers[6], numbers[11]
        name = _exactly(stream, name_size).rstrip(b"\0").decode("utf-8", "replace")
        _exactly(stream, -(110 + name_size) % 4)
        if name == CPIO_END:
            return
        content = Part(stream, size)
        if mode & 0o170000 == 0o100000 and size:
            yield name, io.BufferedReader(cast(io.RawIOBase, content))
        content.skip()
        _exactly(stream, -size % 4)


class Part(io.RawIOBase):
    """So many bytes of a stream."""

    def __init__(self, stream: IO[bytes], size: int) -> None:
        super().__init__()
        self._stream = stream
        self._left = size

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: bytearray) -> int:  # type: ignore[override]
        data = self._stream.read(min(len(buffer), self._left))
        buffer[: len(data)] = data
        self._left -= len(data)
        return len(data)

    def skip(self) -> None:
        """Read to its end."""
        while self._left:
            data = self._stream.read(min(1 << 20, self._left))
            if not data:
                return
            self._left -= len(data)


def _exactly(stream: IO[bytes], size: int) -> bytes:
    data = stream.read(size)
    if len(data) != size:
        raise ClientError("package-file-invalid", "rpm2cpio", "The package's content ends too early.", "Fetch it again.")
    return data
