# Copyright (c) 2026 tyk.upgrade contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Packages of Debian and its relatives, with apt-get, apt-cache, apt-mark and dpkg."""

from __future__ import annotations

import os
import shutil
import tarfile
from typing import IO, List, Optional, Tuple

from ansible_collections.tyk.upgrade.plugins.module_utils._clients.errors import ClientError
from ansible_collections.tyk.upgrade.plugins.module_utils._clients.host_commands import Holder, Said, first_holder
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
    DPKG_FORMAT,
    Candidate,
    Difference,
    Installed,
    RepositoryProblem,
    go_arch,
    parse_apt_update,
    parse_dpkg,
    parse_policy,
    parse_stanza,
    parse_verify,
)

LOCKS = (
    "/var/lib/dpkg/lock-frontend",
    "/var/lib/dpkg/lock",
    "/var/cache/apt/archives/lock",
    "/var/lib/apt/lists/lock",
)
#: Keep the user's configuration files without asking. confmiss is not among them: a file that was deleted stays so.
KEEP_CONFIG = ("-o", "Dpkg::Options::=--force-confold")
#: Removing other packages is never part of an upgrade here.
CAREFUL = ("-y", "-o", "DPkg::Lock::Timeout=60", "--no-remove", "--allow-downgrades", "--allow-change-held-packages")


class Apt(PackageManager):
    """apt and dpkg."""

    name = "apt"
    suffix = ".deb"

    # -- looking -----------------------------------------------------------------------------------------------------

    def installed(self, *names: str) -> List[Installed]:
        return parse_dpkg(self.host.run("dpkg-query", "-W", "-f", DPKG_FORMAT, *names).output)

    def available(self, name: str) -> Availability:
        return Availability(parse_policy(self.host.run("apt-cache", "policy", name).output).candidates)

    def refresh(self) -> List[RepositoryProblem]:
        said = self.host.change("apt-get", "update", "-o", "Acquire::Retries=1", timeout=FETCH_TIMEOUT)
        problems = parse_apt_update(said.text)
        if not said.ok and not problems:
            problems = [RepositoryProblem("apt-get update", said.last())]
        return problems

    def hold(self, name: str) -> Hold:
        found = self.find(name)
        return Hold(("hold",)) if found is not None and found.held else Hold()

    def verify(self, name: str) -> List[Difference]:
        return parse_verify(self.host.run("dpkg", "--verify", name).output)

    def lock_holder(self) -> Optional[Holder]:
        return first_holder(LOCKS)

    def read_file(self, path: str) -> PackageFile:
        said = self.host.run("dpkg-deb", "--field", path)
        fields = parse_stanza(said.output)
        if not said.ok or "Package" not in fields:
            raise ClientError(
                "package-file-invalid", path, f"{path} is not a Debian package: {said.last(1)}", "Give a .deb file."
            )
        return PackageFile(
            path,
            fields["Package"],
            fields.get("Version", ""),
            go_arch(fields.get("Architecture", "")),
            f"{fields.get('Depends', '')} {fields.get('Pre-Depends', '')}",
            os.path.getsize(path),
        )

    def describe(self, name: str, candidate: Candidate) -> Tuple[Optional[int], str]:
        wanted = f"{name}={candidate.package_version}"
        fields = parse_stanza(self.host.run("apt-cache", "show", "--no-all-versions", wanted).output)
        size = fields.get("Size", "")
        return (
            int(size) if size.isdigit() else None,
            f"{fields.get('Depends', '')} {fields.get('Pre-Depends', '')}",
        )

    def config_files(self, name: str) -> List[str]:
        listed = self.host.run("dpkg-query", "-W", "-f", "${Conffiles}", name).output
        return [line.split()[0] for line in listed.splitlines() if line.strip().startswith("/")]

    def state_text(self, name: str) -> str:
        return "\n".join(
            self.host.run(*command).text
            for command in (("dpkg", "--status", name), ("dpkg", "--verify", name), ("apt-cache", "policy", name))
        )

    # -- changing ----------------------------------------------------------------------------------------------------

    def fetch(self, name: str, package_version: str, folder: str, installed: bool) -> Fetched:
        given = self._packages(folder)
        wanted = f"{name}={package_version}"
        local = pick(given, name, package_version)
        said = Said(0)
        if not installed:
            target = local.path if local is not None else wanted
            said = self.host.change("apt-get", *self._into(folder), "--download-only", "install", target)
        files = self._packages(folder)
        if said.ok and pick(files, name, package_version) is None:
            # What is installed is not downloaded with an installation, nor is what lies in a repository on this disk.
            command = ("apt-get", "-o", "APT::Sandbox::User=root", "download", wanted)
            said = self.host.change(*command, cwd=folder, timeout=FETCH_TIMEOUT)
            files = self._packages(folder)
        package = pick(files, name, package_version)
        if package is None or not said.ok:
            raise self.failed(f"download {name} {package_version}", name, said, "See whether its repository is right.")
        others = tuple(one.path for one in files if one.path != package.path)
        return Fetched(folder, package, others)

    def _packages(self, folder: str) -> List[PackageFile]:
        return [self.read_file(path) for path in by_suffix(folder, self.suffix)]

    @staticmethod
    def _into(folder: str) -> Tuple[str, ...]:
        return (*CAREFUL, "-o", f"Dir::Cache::Archives={folder}/", "-o", "APT::Sandbox::User=root")

    def install(self, fetched: Fetched, hold: Hold) -> None:
        package = fetched.package
        wanted = f"{package.name}={package.package_version}"
        known = any(
            one.package_version == package.package_version for one in self.available(package.name).candidates
        )
        said = self.host.change(
            "apt-get",
            *self._into(fetched.folder),
            *KEEP_CONFIG,
            "install",
            wanted if known else package.path,
            timeout=INSTALL_TIMEOUT,
        )
        if not said.ok:
            raise self.failed(f"install {wanted}", package.name, said, "Put right what it names, then repeat.")

    def put_back(self, fetched: Fetched, hold: Hold) -> None:
        package = fetched.package
        now = self.find(package.name)
        if now is not None and now.healthy:
            said = self.host.change(
                "apt-get", *CAREFUL, *KEEP_CONFIG, "install", package.path, timeout=INSTALL_TIMEOUT
            )
            if said.ok:
                return
        # dpkg itself replaces a package in whatever state it was left, which apt refuses to look at.
        said = self.host.change(
            "dpkg", "--force-confold", "--force-downgrade", "--install", package.path, timeout=INSTALL_TIMEOUT
        )
        if not said.ok:
            raise self.failed(
                f"put {package.name} {package.package_version} back",
                package.name,
                said,
                f"Put it back by hand: dpkg --force-confold --install {package.path}",
            )

    def restore_hold(self, name: str, hold: Hold, package_version: str, as_it_was: bool = False) -> bool:
        if "hold" not in hold.kinds or self.hold(name):
            return False
        said = self.host.change("apt-mark", "hold", name)
        if not said.ok:
            raise self.failed(f"hold {name} again", name, said, f"Do it by hand: apt-mark hold {name}")
        return True

    def extract(self, path: str, member: str, target: str) -> None:
        wanted = member.lstrip("/")
        with self.host.stream("dpkg-deb", "--fsys-tarfile", path) as stream:
            try:
                with tarfile.open(fileobj=stream, mode="r|") as archive:
                    for entry in archive:
                        content = archive.extractfile(entry) if entry.isfile() else None
                        if content is not None and entry.name.lstrip("./") == wanted:
                            write_program(content, target)
                            return
            except tarfile.TarError as problem:
                raise ClientError(
                    "package-file-invalid", path, f"{path} cannot be unpacked: {problem}.", "Fetch it again."
                ) from problem
        raise no_member(path, member)

    def new_defaults(self, path: str) -> List[str]:
        return [f"{path}.dpkg-dist", f"{path}.dpkg-new"]


def write_program(content: IO[bytes], target: str) -> None:
    """Write a program to where anybody may run it, all or nothing."""
    os.makedirs(os.path.dirname(target), mode=0o755, exist_ok=True)
    partial = f"{target}.{os.getpid()}.part"
    with open(partial, "wb") as stream:
        shutil.copyfileobj(content, stream, 1 << 20)
        os.fchmod(stream.fileno(), 0o755)
    os.replace(partial, target)


def no_member(path: str, member: str) -> ClientError:
    """The package does not hold the program it should."""
    return ClientError(
        "package-file-invalid",
        path,
        f"{path} holds no file {member}.",
        "Check the setting that names the program's path.",
    )
