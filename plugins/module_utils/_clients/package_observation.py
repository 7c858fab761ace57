# Copyright (c) 2026 tyk.upgrade contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What is true of a package, its service and its configuration on this host, and what of it stands against an upgrade.

Nothing is changed, but for the repositories' data when that is asked for.
"""

from __future__ import annotations

import json
import os
import pwd
import shutil
import time
from dataclasses import dataclass, field
from typing import Any, Dict, List, Optional, Tuple

from ansible_collections.tyk.upgrade.plugins.module_utils._clients.apt import Apt
from ansible_collections.tyk.upgrade.plugins.module_utils._clients.dnf import Dnf
from ansible_collections.tyk.upgrade.plugins.module_utils._clients.errors import ClientError
from ansible_collections.tyk.upgrade.plugins.module_utils._clients.host_commands import SYSTEM_PATH, Host
from ansible_collections.tyk.upgrade.plugins.module_utils._clients.mount_table import network_file_system
from ansible_collections.tyk.upgrade.plugins.module_utils._clients.package_manager import (
    Availability,
    Hold,
    PackageFile,
    PackageManager,
    by_suffix,
)
from ansible_collections.tyk.upgrade.plugins.module_utils._clients.systemd import Service
from ansible_collections.tyk.upgrade.plugins.module_utils._domain.findings import Finding, error, info, warning
from ansible_collections.tyk.upgrade.plugins.module_utils._domain.packages import (
    Candidate,
    Difference,
    Installed,
    RepositoryProblem,
    Unit,
    choose,
    duration_crosses,
    edition_of,
    editions,
    glibc_needed,
    nearest,
    numbers,
    product_version,
    read_config,
    same_version,
    version_in,
)

HOME = "/var/lib/tyk-upgrade"
#: A service that systemd had to restart so recently (seconds) is not called up.
FRESH = 60
#: What an unpacked package needs of the disk, as a multiple of its file: the file, its content, and what it replaces.
UNPACKED = 5


@dataclass(frozen=True)
class Subject:
    """Which package, and everything that belongs to it."""

    name: str
    unit: str
    binary: str = ""
    config_file: str = ""
    middleware_path: str = ""
    version: str = ""  # wanted; empty if nothing is
    file: str = ""
    checksum: str = ""
    return_file: str = ""
    release_hold: bool = False
    needed_bytes: int = 0
    lock_timeout: float = 60
    version_arguments: Tuple[str, ...] = ("--version",)

    @property
    def staged_folder(self) -> str:
        """Where everything of the wanted version is kept ready; followed by that version."""
        return os.path.join(HOME, "staged")

    @property
    def kept_folder(self) -> str:
        """Where the package of the version of before is kept, for the way back."""
        return os.path.join(HOME, "kept", self.name)

    @property
    def state_path(self) -> str:
        """What an upgrade in progress, or the last one, notes."""
        return os.path.join(HOME, f"{self.name}.json")

    def staged(self, package_version: str) -> str:
        """The folder of one version."""
        return os.path.join(self.staged_folder, f"{self.name}-{package_version.replace(':', '_')}")


@dataclass(frozen=True)
class Target:
    """The wanted version, as far as it can be had."""

    version: str
    package_version: str = ""
    origin: str = ""
    file: str = ""
    size: Optional[int] = None
    signed: Optional[bool] = None
    staged: bool = False
    glibc: str = ""
    reason: str = ""

    @property
    def available(self) -> bool:
        return bool(self.package_version)

    def to_dict(self) -> Dict[str, Any]:
        """As a module returns it."""
        return {
            "version": self.version,
            "package_version": self.package_version,
            "available": self.available,
            "origin": self.origin,
            "file": self.file,
            "size": self.size,
            "signed": self.signed,
            "staged": self.staged,
            "reason": self.reason,
        }


@dataclass
class Observed:
    """Everything that was seen. wanted: the version that was asked for, empty if none was."""

    wanted: str = ""
    installed: Optional[Installed] = None
    others: Tuple[Installed, ...] = ()
    unit: Unit = field(default_factory=lambda: Unit(""))
    hold: Hold = field(default_factory=Hold)
    differences: Tuple[Difference, ...] = ()
    availability: Availability = field(default_factory=Availability)
    target: Optional[Target] = None
    interrupted_from: str = ""
    running_version: str = ""
    runs_installed: bool = False
    findings: List[Finding] = field(default_factory=list)

    @property
    def interrupted(self) -> bool:
        return bool(self.interrupted_from)

    def both(self) -> Tuple[Installed, Target]:
        """What is installed and what is wanted, once no finding has said that one of them is missing."""
        if self.installed is None or self.target is None:
            raise ValueError("The package or its wanted version was not looked for.")
        return self.installed, self.target

    @property
    def at_target(self) -> bool:
        """Whether the wanted version is what is installed, in whatever packaging of it."""
        wanted = self.wanted or (self.target.package_version if self.target else "")
        return bool(
            self.installed and wanted and self.installed.healthy and same_version(self.installed.package_version, wanted)
        )

    @property
    def binary_changed(self) -> bool:
        return any(not one.config and one.content and os.access(one.path, os.X_OK) for one in self.differences)

    @property
    def unit_edited(self) -> bool:
        paths = [one.path for one in self.differences if one.content]
        return self.unit.overridden or any(same_path(one, self.unit.fragment) for one in paths)


def same_path(one: str, other: str) -> bool:
    """Whether two paths name one file; /lib and /usr/lib often are the same folder."""
    return bool(other) and os.path.realpath(one) == os.path.realpath(other)


# -- the host ------------------------------------------------------------------------------------------------------------


def root_needed(subject: str) -> Optional[Finding]:
    """What is wrong if the module does not run as root."""
    if os.geteuid() == 0:
        return None
    user = pwd.getpwuid(os.geteuid()).pw_name
    return error(
        "root-needed",
        subject,
        f"The module runs as {user}, but packages and services are replaced by root only.",
        "Set become: true for these hosts, and see that the user may become root (sudo).",
    )


def find_manager(host: Host, wanted: str = "auto") -> PackageManager:
    """The package manager of this host. wanted: as ansible_facts.pkg_mgr names it. Raises for one that cannot be driven."""
    name = wanted
    if wanted == "auto":
        name = next((one for one in ("apt", "dnf5", "dnf", "yum", "zypper", "apk", "pacman") if _has(one)), "none")
    if name == "apt" and _has("apt"):
        return Apt(host)
    if name in ("dnf", "dnf5", "yum"):
        found = _program(name) or ""
        if os.path.basename(os.path.realpath(found)).startswith("dnf5"):
            return Dnf(host, "dnf5")
        if "dnf" in os.path.basename(os.path.realpath(found)):
            return Dnf(host, "dnf")
    reason = {
        "yum": "the yum of release 7 comes with Python 2 only, which neither Ansible nor this collection supports any more",
        "none": "no package manager was found",
    }.get(name, "only apt and dnf are supported" if _has(name) else f"the host has no {name}")
    raise ClientError(
        "package-manager-unsupported",
        name,
        f"Packages on this host cannot be upgraded with {name}: {reason}.",
        "Move the host to a release with apt or dnf, or deploy the component in a container.",
    )


def _has(name: str) -> bool:
    return _program({"apt": "apt-get"}.get(name, name)) is not None


def _program(name: str) -> Optional[str]:
    return shutil.which(name, path=SYSTEM_PATH)


def free_space(paths: List[str]) -> Tuple[str, Optional[int]]:
    """The path whose file system has the least room, and how many bytes that is."""
    found: List[Tuple[int, str]] = []
    for path in paths:
        while path and not os.path.isdir(path) and path != "/":
            path = os.path.dirname(path)
        try:
            room = os.statvfs(path or "/")
        except OSError:
            continue
        found.append((room.f_bavail * room.f_frsize, path))
    return (min(found)[1], min(found)[0]) if found else (HOME, None)


def glibc_of_host() -> str:
    """The version of the C library, empty where it cannot be told."""
    try:
        said = os.confstr("CS_GNU_LIBC_VERSION") or ""
    except (ValueError, OSError):
        return ""
    return said.rpartition(" ")[2]


# -- the target ----------------------------------------------------------------------------------------------------------


def given_file(manager: PackageManager, subject: Subject, arch: str) -> PackageFile:
    """The package file that the user gave, proved to be the right one."""
    return manager.check_file(subject.file, subject.name, subject.version, subject.checksum, arch)


def find_target(manager: PackageManager, subject: Subject, availability: Availability, arch: str) -> Target:
    """The wanted version among what can be had. Raises for a given file that is not the right one."""
    if subject.file:
        package = given_file(manager, subject, arch)
        return Target(
            package.version,
            package.package_version,
            "file",
            subject.file,
            package.size,
            package.signed,
            is_staged(subject, package.package_version),
            glibc_needed(package.requires),
        )
    found = choose(availability.candidates, subject.version)
    if found is None:
        staged = staged_version(subject)
        if staged:
            return Target(subject.version, staged, "staged", "", None, None, True)
        close = nearest(availability.candidates, subject.version)
        reason = (
            f"its repositories offer {', '.join(close)}" if close else "no repository of this host offers it at all"
        )
        return Target(subject.version, reason=reason)
    ready = is_staged(subject, found.package_version)
    size, requires = (found.size, "") if ready else manager.describe(subject.name, found)
    return Target(
        product_version(found.package_version),
        found.package_version,
        "repository",
        "",
        size,
        _trusted(found, availability),
        ready,
        glibc_needed(requires),
    )


def _trusted(candidate: Candidate, availability: Availability) -> bool:
    return not any(one.trust and _concerns(one, candidate) for one in availability.problems)


def _concerns(problem: RepositoryProblem, candidate: Candidate) -> bool:
    """Whether a repository's problem is one of where the candidate comes from."""
    return any(
        source == problem.source or problem.source.startswith(source.split(" ")[0].rstrip("/")) for source in candidate.sources
    )


def is_staged(subject: Subject, package_version: str) -> bool:
    """Whether everything of this version is ready on this host."""
    return os.path.exists(os.path.join(subject.staged(package_version), "staged.json"))


def staged_version(subject: Subject) -> str:
    """The package version that is staged for the wanted version, empty if none is."""
    try:
        entries = sorted(os.listdir(subject.staged_folder))
    except FileNotFoundError:
        return ""
    for entry in entries:
        if not entry.startswith(f"{subject.name}-"):
            continue
        try:
            with open(os.path.join(subject.staged_folder, entry, "staged.json"), encoding="utf-8") as stream:
                data = json.load(stream)
        except (OSError, ValueError):
            continue
        if data.get("name") == subject.name and same_version(str(data.get("package_version")), subject.version):
            return str(data["package_version"])
    return ""


def can_return(manager: PackageManager, subject: Subject, installed: Installed, availability: Availability) -> bool:
    """Whether the package of what is installed now can be had for the way back."""
    if any(one.package_version == installed.package_version for one in availability.candidates):
        return True
    paths = by_suffix(subject.kept_folder, manager.suffix) + ([subject.return_file] if subject.return_file else [])
    for path in paths:
        try:
            package = manager.read_file(path)
        except ClientError:
            continue
        if (package.name, package.package_version) == (installed.name, installed.package_version):
            return True
    return False


# -- everything ----------------------------------------------------------------------------------------------------------


def observe(
    host: Host, manager: PackageManager, subject: Subject, refresh: bool = False, offers: bool = True
) -> Observed:
    """Look at everything; findings say what stands against an upgrade to the wanted version.

    offers: whether the repositories are asked, too, where the wanted version is installed already.
    """
    seen = Observed(wanted=subject.version, interrupted_from=interrupted_from(subject))
    if refresh or subject.version or subject.file:
        try:
            manager.wait_unlocked(subject.lock_timeout)
        except ClientError as problem:
            seen.findings.append(problem.finding)
            refresh = False
    problems = manager.refresh() if refresh else []
    names = editions(subject.name)
    found = manager.installed(*names)
    seen.installed = next((one for one in found if one.name == subject.name), None)
    seen.others = tuple(one for one in found if one.name != subject.name)
    seen.unit = Service(host, subject.unit).look()
    offers = offers or not seen.at_target
    offered = manager.available(subject.name) if offers else Availability()
    seen.availability = Availability(offered.candidates, tuple(dict.fromkeys([*problems, *offered.problems])))
    if seen.installed is not None:
        seen.hold = manager.hold(subject.name)
        seen.differences = tuple(manager.verify(subject.name))
        seen.running_version, seen.runs_installed = running(host, subject, seen)
    if offers and (subject.version or subject.file):
        _look_for_target(manager, subject, seen)
    seen.findings.extend(findings_of(manager, subject, seen))
    return seen


def _look_for_target(manager: PackageManager, subject: Subject, seen: Observed) -> None:
    arch = seen.installed.arch if seen.installed else ""
    try:
        seen.target = find_target(manager, subject, seen.availability, "" if arch == "all" else arch)
    except ClientError as problem:
        seen.target = Target(subject.version, file=subject.file, reason=problem.sentence)
        seen.findings.append(problem.finding)


def interrupted_from(subject: Subject) -> str:
    """The version that a repair puts back, where an upgrade was cut off and has not been repaired yet; else empty."""
    try:
        with open(subject.state_path, encoding="utf-8") as stream:
            state = json.load(stream)
        return str(state["before"]["version"]) if state["phase"] == "working" else ""
    except (OSError, ValueError, KeyError, TypeError):
        return ""


def running(host: Host, subject: Subject, seen: Observed) -> Tuple[str, bool]:
    """The version of the running process's program, and whether that program is the one that is installed."""
    if not seen.unit.running or seen.installed is None:
        return "", False
    program = f"/proc/{seen.unit.main_pid}/exe"
    try:
        place = os.readlink(program)
        current = bool(subject.binary) and os.path.samefile(program, subject.binary)
    except OSError:
        return "", False
    if current and not place.endswith(" (deleted)") and seen.installed.healthy and not seen.binary_changed:
        return seen.installed.version, True
    if not subject.version_arguments or not (subject.binary and os.path.basename(subject.binary) in place):
        return "", current
    return version_in(host.run(program, *subject.version_arguments, timeout=15).text), current


def package_dict(manager: PackageManager, subject: Subject, seen: Observed) -> Dict[str, Any]:
    """The package as package_info returns it."""
    installed, unit = seen.installed, seen.unit
    result: Dict[str, Any] = {
        "found": installed is not None,
        "name": subject.name,
        "manager": manager.name,
        "edition": edition_of(subject.name),
        "os": "linux",
        "interrupted": seen.interrupted,
        "interrupted_from": seen.interrupted_from,
        "middleware_file_system": network_file_system(os.path.join(subject.middleware_path, "bundles"))
        if subject.middleware_path
        else "",
        "unit": {
            "name": unit.name,
            "load_state": unit.load_state,
            "active_state": unit.active_state,
            "sub_state": unit.sub_state,
            "file_state": unit.file_state,
            "masked": unit.masked,
            "edited": seen.unit_edited,
            "fragment": unit.fragment,
            "dropins": list(unit.dropins),
            "main_pid": unit.main_pid,
            "restarts": unit.restarts,
            "started_at": unit.started_at,
            "user": unit.user or "root",
        },
    }
    if installed is not None:
        known = [one.package_version for one in seen.availability.candidates]
        result.update(
            version=installed.version,
            package_version=installed.package_version,
            running_version=seen.running_version,
            running_installed=seen.runs_installed,
            arch=installed.arch,
            origin="repository" if installed.package_version in known else "local" if known else "unknown",
            held=bool(seen.hold),
            holds=list(seen.hold.kinds),
            half_configured=not installed.healthy,
            state=installed.state,
            binary_changed=seen.binary_changed,
            changed_config_files=[one.path for one in seen.differences if one.config and one.content],
            changed_files=[one.path for one in seen.differences if not one.config and one.content],
        )
    return result


# -- what stands against it ----------------------------------------------------------------------------------------------


def findings_of(manager: PackageManager, subject: Subject, seen: Observed) -> List[Finding]:
    """Everything that is wrong, in the order in which a person would look."""
    found = _package_findings(manager, subject, seen)
    if seen.installed is not None:
        found.extend(_target_findings(manager, subject, seen))
        found.extend(unit_findings(subject, seen))
        found.extend(config_findings(subject, seen))
        found.extend(middleware_findings(subject, seen.unit))
    return found


def _package_findings(manager: PackageManager, subject: Subject, seen: Observed) -> List[Finding]:
    others = ", ".join(f"{one.name} {one.version}" for one in seen.others)
    if seen.installed is None and seen.others:
        return [
            error(
                "edition-mismatch",
                subject.name,
                f"{subject.name} was asked for, but {others} is installed; an edition is never switched silently.",
                f"Set the package to {seen.others[0].name}, or change the edition by hand first.",
            )
        ]
    if seen.installed is None:
        return [
            error(
                "package-missing",
                subject.name,
                f"The package {subject.name} is not installed on this host.",
                "Check the package's name in the inventory; only an installed package is upgraded.",
            )
        ]
    found = []
    if seen.others:
        found.append(
            error(
                "edition-mismatch",
                subject.name,
                f"Besides {subject.name} {seen.installed.version}, {others} is installed, with the same files.",
                "Remove the edition that is not meant.",
            )
        )
    if not seen.installed.healthy:
        make = info if seen.interrupted else error
        found.append(
            make(
                "package-half-configured",
                subject.name,
                f"{manager.name} has not finished an earlier change of {subject.name} (it is {seen.installed.state}).",
                "The next upgrade repairs it, for an upgrade of ours was cut off."
                if seen.interrupted
                else "Finish it by hand: dpkg --configure -a"
                if manager.name == "apt"
                else f"Finish it by hand: rpm -U --replacepkgs, or dnf remove --duplicates {subject.name}",
            )
        )
    return found + _changed_findings(subject, seen, seen.installed)


def _changed_findings(subject: Subject, seen: Observed, installed: Installed) -> List[Finding]:
    found = []
    if seen.binary_changed and installed.healthy:
        paths = ", ".join(one.path for one in seen.differences if one.content and not one.config)
        make = error if subject.version and not seen.interrupted else warning
        found.append(
            make(
                "binary-changed",
                subject.name,
                f"{paths} is not what the package {subject.name} {installed.version} brought; it was replaced or "
                f"changed by hand.",
                f"Install the package's own again (apt-get install --reinstall, dnf reinstall {subject.name}), or upgrade "
                f"by hand what was replaced by hand.",
            )
        )
    if seen.hold and not subject.release_hold and not seen.at_target and not seen.interrupted:
        make = error if subject.version else warning
        found.append(
            make(
                "package-held",
                subject.name,
                f"{subject.name} is kept at {installed.version} ({', '.join(seen.hold.kinds)}).",
                "Allow with release_hold that it is lifted for the upgrade and put back afterwards, or lift it yourself.",
            )
        )
    return found


def _target_findings(manager: PackageManager, subject: Subject, seen: Observed) -> List[Finding]:
    found: List[Finding] = []
    target = seen.target
    candidate = choose(seen.availability.candidates, subject.version) if subject.version else None
    ready = bool(target and (target.staged or target.origin == "file")) or seen.at_target
    # Refreshing and asking may each name a repository, in other words; one finding a repository and kind is enough.
    problems = {(problem.source, problem.trust): problem for problem in reversed(seen.availability.problems)}
    for problem in reversed(list(problems.values())):
        matters = not ready and bool(subject.version) and (candidate is None or _concerns(problem, candidate))
        make = error if matters else warning
        what = "is not trusted" if problem.trust else "could not be read"
        found.append(
            make(
                "repository-untrusted" if problem.trust else "repository-unreachable",
                problem.source,
                f"The package repository {problem.source} {what}: {problem.reason}",
                "Import its signing key, or have its owner sign it rightly; nothing unsigned is installed."
                if problem.trust
                else "See that the host reaches it (address, proxy, certificate).",
            )
        )
    if target is None or seen.at_target:
        return found
    if not target.available and not target.file:
        if not any(one.severity.value == "error" for one in found):
            found.append(
                error(
                    "package-version-missing",
                    subject.name,
                    f"{subject.name} is not to be had in version {target.version}: {target.reason}.",
                    "Choose one of these versions, add the repository that has it, or give the package as a file.",
                )
            )
        return found
    if seen.installed is not None and target.available:
        found.extend(_fitting_findings(manager, subject, seen, target, seen.installed))
    return found


def _fitting_findings(
    manager: PackageManager, subject: Subject, seen: Observed, target: Target, installed: Installed
) -> List[Finding]:
    found = []
    if not can_return(manager, subject, installed, seen.availability) and not seen.interrupted:
        found.append(
            error(
                "package-no-return",
                subject.name,
                f"{subject.name} {installed.package_version}, which is installed, is in no repository of this host, so "
                f"there would be no way back.",
                "Give its package file as return_file.",
            )
        )
    host_glibc = glibc_of_host()
    if target.glibc and host_glibc and numbers(host_glibc) < numbers(target.glibc):
        found.append(
            error(
                "glibc-old",
                subject.name,
                f"{subject.name} {target.version} needs glibc {target.glibc}; this host has {host_glibc}.",
                "Move the host to a newer release of its distribution, or deploy the component in a container.",
            )
        )
    path, free = free_space([HOME, os.path.dirname(subject.binary) or "/opt"])
    needed = max(subject.needed_bytes, (target.size or 0) * UNPACKED)
    if free is not None and free < needed:
        found.append(
            error(
                "disk-small",
                path,
                f"{free} bytes are free in {path}, {needed} are needed for {subject.name} {target.version}.",
                "Make room, for example with apt-get clean or dnf clean packages.",
            )
        )
    return found


def unit_findings(subject: Subject, seen: Observed) -> List[Finding]:
    """What is wrong with the service."""
    unit = seen.unit
    if unit.masked:
        return [
            error(
                "unit-masked",
                unit.name,
                f"{unit.name} is masked, so somebody decided that it must not run; it is left so.",
                f"Unmask it if that is over: systemctl unmask {unit.name}",
            )
        ]
    if not unit.found:
        return [
            error(
                "unit-missing",
                unit.name,
                f"systemd knows no {unit.name} on this host.",
                "Check the unit's name in the inventory.",
            )
        ]
    found = []
    if seen.unit_edited:
        how = f"is replaced by {unit.fragment}" if unit.overridden else f"was changed ({unit.fragment})"
        found.append(
            error(
                "unit-edited",
                unit.name,
                f"The package's unit file of {unit.name} {how}, so what the new version's unit needs would be lost.",
                f"Keep your changes as a drop-in (systemctl edit {unit.name}) and remove the changed file.",
            )
        )
    if unit.looping or (unit.restarts and _age(unit) < FRESH):
        found.append(
            error(
                "crash-loop",
                unit.name,
                f"systemd restarts {unit.name} again and again ({unit.restarts} times so far, state {unit.active_state}, "
                f"{unit.sub_state}).",
                f"See why it ends: journalctl -u {unit.name}",
            )
        )
    elif not unit.running and not seen.interrupted:
        found.append(
            warning(
                "unit-failed",
                unit.name,
                f"{unit.name} does not run (state {unit.active_state}, {unit.sub_state}).",
                "An upgrade starts it; put right first what keeps it from running.",
            )
        )
    return found


def _age(unit: Unit) -> float:
    """For how many seconds it has been running."""
    return time.clock_gettime(time.CLOCK_MONOTONIC) - unit.started_monotonic if unit.started_monotonic else 0.0


def config_findings(subject: Subject, seen: Observed) -> List[Finding]:
    """What is wrong with the configuration file."""
    path = subject.config_file
    if not path:
        return []
    try:
        with open(path, encoding="utf-8", errors="replace") as stream:
            text = stream.read()
    except FileNotFoundError:
        return [
            warning(
                "config-unreadable",
                path,
                f"There is no {path}; the program would write a default one when it starts.",
                "Check the path, or ignore this if its environment alone configures it.",
            )
        ]
    except OSError as problem:
        return [
            error("config-unreadable", path, f"{path} cannot be read: {problem.strerror}.", "See what kind of file it is.")
        ]
    if not may(seen.unit.user, path, 4):
        return [
            error(
                "config-unreadable",
                path,
                f"{path} cannot be read by {seen.unit.user}, as whom {seen.unit.name} runs; it would start with defaults.",
                f"Let {seen.unit.user} read it.",
            )
        ]
    if path.endswith((".yml", ".yaml")):
        return []
    config = read_config(path, text)
    if config.problem:
        return [
            error(
                "config-invalid",
                path,
                f"{path} has a syntax error in {config.problem}. The program that runs has read an earlier content; the "
                f"next start would fail.",
                "Correct it before the upgrade.",
            )
        ]
    if seen.installed is None or seen.target is None:
        return []
    value = duration_crosses(config.data, seen.installed.version, seen.target.version)
    if value is None:
        return []
    return [
        error(
            "liveness-duration",
            path,
            f"liveness_check.check_duration in {path} is {value:g}, which is seconds up to 5.3 and nanoseconds since 5.4.0.",
            "Remove it for the upgrade (the default is ten seconds in both), and set it in the new unit afterwards.",
        )
    ]


def middleware_findings(subject: Subject, unit: Unit) -> List[Finding]:
    """Whether the gateway can unpack bundles where it must."""
    path = subject.middleware_path
    if not path:
        return []
    seen_by_process = f"/proc/{unit.main_pid}/root{path}" if unit.running else path
    reason = ""
    if not os.path.isdir(path):
        reason = "there is no such folder"
    elif not may(unit.user, path, 2):
        reason = f"{unit.user} may not write there"
    else:
        try:
            if os.statvfs(seen_by_process).f_flag & os.ST_RDONLY:
                reason = "its file system is mounted read-only for the service"
        except OSError:
            reason = ""
    if not reason:
        return []
    return [
        error(
            "middleware-not-writable",
            path,
            f"{unit.name} cannot write into {path}, where bundles are unpacked: {reason}.",
            "Let it write there, or correct the setting that names the folder.",
        )
    ]


def may(user: str, path: str, bit: int) -> bool:
    """Whether a user may read (4) or write (2) a file, by owner, group and mode."""
    if user in ("", "root", "0"):
        return True
    try:
        entry = pwd.getpwnam(user)
        found = os.stat(path)
    except (KeyError, OSError):
        return True
    groups = os.getgrouplist(user, entry.pw_gid)
    shift = 6 if found.st_uid == entry.pw_uid else 3 if found.st_gid in groups else 0
    return bool(found.st_mode >> shift & bit)
