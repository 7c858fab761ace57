# Copyright (c) 2026 tyk.upgrade contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Packages of Linux distributions: editions, versions, and what the package tools print.

Everything here is text in, facts out; the tools themselves are driven in _clients. All texts are those of LC_ALL=C.
"""

from __future__ import annotations

import difflib
import json
import re
from dataclasses import dataclass, field
from typing import Any, Dict, Iterable, List, Mapping, Optional, Sequence, Tuple

from ansible_collections.tyk.upgrade.plugins.module_utils._domain.versions import Version

#: Machines as package managers call them, by Go's name.
ARCHITECTURES: Dict[str, str] = {"x86_64": "amd64", "aarch64": "arm64", "noarch": "all"}

_EDITION = re.compile(r"-(ee|fips)$")
_VERSION_TEXT = re.compile(r"(?<![\w.])v?(\d+\.\d+\.\d+(?:-[0-9A-Za-z.]+)?)(?!\.?\d)")


def go_arch(machine: str) -> str:
    """Go's word for a machine: amd64 for x86_64."""
    return ARCHITECTURES.get(machine, machine)


# -- editions ------------------------------------------------------------------------------------------------------------


def edition_of(name: str) -> str:
    """The edition by the package's name: ee, fips, or ce for all others."""
    match = _EDITION.search(name)
    return match.group(1) if match else "ce"


def editions(name: str) -> Tuple[str, ...]:
    """The names under which the same software is packaged in its editions, the given one first."""
    base = _EDITION.sub("", name)
    return (name, *(one for one in (base, f"{base}-ee", f"{base}-fips") if one != name))


# -- versions ------------------------------------------------------------------------------------------------------------


def product_version(package_version: str) -> str:
    """The version of the software in a package version: 5.8.0-rc1 for 1:5.8.0~rc1-1.el9; empty for an empty one."""
    text = package_version.split(":", 1)[-1]
    upstream, dash, revision = text.rpartition("-")
    if dash and revision[:1].isdigit():
        text = upstream
    return text.replace("~", "-")


def same_version(package_version: str, wanted: str) -> bool:
    """Whether a package version holds the wanted version of the software, or is literally what was asked for."""
    if package_version == wanted:
        return True
    try:
        return Version.parse(product_version(package_version)) == Version.parse(wanted)
    except ValueError:
        return product_version(package_version) == wanted


def version_in(text: str) -> str:
    """The first version that a program's own words contain, without v; empty if none."""
    match = _VERSION_TEXT.search(text)
    return match.group(1) if match else ""


@dataclass(frozen=True)
class Candidate:
    """A version that can be had, and where."""

    package_version: str
    sources: Tuple[str, ...] = ()
    size: Optional[int] = None
    arch: str = ""


def choose(candidates: Sequence[Candidate], wanted: str) -> Optional[Candidate]:
    """The newest packaging of the wanted version, or the exact package version that was asked for.

    The tools list the newest first, and so does whoever calls this.
    """
    exact = [one for one in candidates if one.package_version == wanted]
    return next(iter(exact or [one for one in candidates if same_version(one.package_version, wanted)]), None)


def nearest(candidates: Iterable[Candidate], wanted: str, count: int = 4) -> List[str]:
    """The versions that are to be had around the wanted one, lowest first."""
    known = []
    for one in candidates:
        try:
            known.append(Version.parse(product_version(one.package_version)))
        except ValueError:
            continue
    ordered = sorted(set(known))
    try:
        place = sum(1 for one in ordered if one < Version.parse(wanted))
    except ValueError:
        place = len(ordered)
    first = max(0, min(place - count // 2, len(ordered) - count))
    return [str(one) for one in ordered[first : first + count]]


# -- dpkg and apt --------------------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Installed:
    """One package as the host's database has it."""

    name: str
    package_version: str
    arch: str
    healthy: bool = True  # the package manager has finished with it
    state: str = "installed"
    held: bool = False

    @property
    def version(self) -> str:
        return product_version(self.package_version)


DPKG_FORMAT = "${Package}|${db:Status-Want}|${db:Status-Eflag}|${db:Status-Status}|${Version}|${Architecture}\\n"


def parse_dpkg(text: str) -> List[Installed]:
    """What dpkg-query prints with DPKG_FORMAT. Packages that are gone but for their configuration are left out."""
    found = []
    for line in text.splitlines():
        fields = line.split("|")
        if len(fields) != 6 or fields[3] in ("not-installed", "config-files"):
            continue
        name, want, flag, state, version, arch = fields
        found.append(Installed(name, version, arch, state == "installed" and flag == "ok", state, want == "hold"))
    return found


@dataclass(frozen=True)
class Policy:
    """What apt-cache policy says of one package; candidates are the newest first, without what is only installed."""

    installed: str = ""
    candidates: Tuple[Candidate, ...] = ()


_POLICY_VERSION = re.compile(r"^ (?:\*\*\*|   ) (\S+)(?: -?\d+)?$")
_POLICY_SOURCE = re.compile(r"^ {6,}-?\d+ (\S.*)$")


def parse_policy(text: str) -> Policy:
    """Read what apt-cache policy prints for one package."""
    installed = ""
    found: List[Tuple[str, List[str]]] = []
    for line in text.splitlines():
        if line.startswith("  Installed: "):
            installed = line.split(": ", 1)[1].replace("(none)", "")
        version, source = _POLICY_VERSION.match(line), _POLICY_SOURCE.match(line)
        if version:
            found.append((version.group(1), []))
        elif source and found and source.group(1) != "/var/lib/dpkg/status":
            found[-1][1].append(source.group(1))
    return Policy(installed, tuple(Candidate(version, tuple(sources)) for version, sources in found if sources))


_APT_FAILED = re.compile(r"^(?:W|E): Failed to fetch (\S+)\s+(.*)$", re.MULTILINE)
_APT_SIGNATURE = re.compile(
    r"^(?:W|E): (?:An error occurred during the signature verification\..*?)?GPG error: (\S+) [^:]*: (.*)$"
    r"|^E: The repository '(\S+) [^']*' (is not signed|is no longer signed|does not have a Release file)\.",
    re.MULTILINE,
)


@dataclass(frozen=True)
class RepositoryProblem:
    """A repository that could not be read: where, why, and whether it is a question of trust."""

    source: str
    reason: str
    trust: bool = False


def parse_apt_update(text: str) -> List[RepositoryProblem]:
    """What of an apt-get update went wrong, each repository once, questions of trust first."""
    found = []
    for match in _APT_SIGNATURE.finditer(text):
        source, reason, unsigned, how = match.groups()
        if how == "does not have a Release file":
            found.append(RepositoryProblem(str(unsigned), f"it {how}"))
        else:
            found.append(RepositoryProblem(str(source or unsigned), str(reason or f"it {how}"), True))
    found.extend(
        RepositoryProblem(match.group(1), match.group(2).strip() or "no answer") for match in _APT_FAILED.finditer(text)
    )
    kept: List[RepositoryProblem] = []
    for one in sorted(found, key=lambda each: not each.trust):
        if not any(one.source.startswith(other.source.rstrip("/")) for other in kept):
            kept.append(one)
    return kept


def parse_stanza(text: str) -> Dict[str, str]:
    """The fields of the first paragraph of a control file, as apt-cache show and dpkg-deb -f print it."""
    fields: Dict[str, str] = {}
    key = ""
    for line in text.splitlines():
        if not line.strip():
            if fields:
                break
            continue
        if line[0] in " \t":
            if key:
                fields[key] += "\n" + line.strip()
            continue
        key, _colon, value = line.partition(":")
        fields[key] = value.strip()
    return fields


_LIBC_DEPENDENCY = re.compile(r"\blibc6 \(>= ([0-9.]+)")
_LIBC_SYMBOL = re.compile(r"\bGLIBC_([0-9.]+)")


def glibc_needed(requirements: str) -> str:
    """The newest C library that a package's dependencies (of either kind) ask for; empty if they do not say."""
    asked = _LIBC_DEPENDENCY.findall(requirements) + _LIBC_SYMBOL.findall(requirements)
    return max(asked, key=numbers) if asked else ""


def numbers(text: str) -> Tuple[int, ...]:
    """The numbers in a dotted text, to compare by."""
    return tuple(int(one) for one in re.findall(r"\d+", text))


# -- rpm and dnf ---------------------------------------------------------------------------------------------------------

RPM_FORMAT = "%{NAME}|%{EPOCH}|%{VERSION}|%{RELEASE}|%{ARCH}\\n"
DNF_FORMAT = "%{name}|%{epoch}|%{version}|%{release}|%{arch}|%{repoid}|%{downloadsize}\n"


def _evr(epoch: str, version: str, release: str) -> str:
    prefix = f"{epoch}:" if epoch not in ("", "0", "(none)") else ""
    return f"{prefix}{version}-{release}"


def parse_rpm(text: str) -> List[Installed]:
    """What rpm -q prints with RPM_FORMAT. A package that is there twice was left so by a transaction that was cut off."""
    rows = [line.split("|") for line in text.splitlines() if line.count("|") == 4]
    names = [row[0] for row in rows]
    return [
        Installed(
            name,
            _evr(epoch, version, release),
            arch,
            names.count(name) == 1,
            "installed" if names.count(name) == 1 else "installed twice",
        )
        for name, epoch, version, release, arch in rows
    ]


def parse_repoquery(text: str) -> List[Candidate]:
    """What dnf repoquery prints with DNF_FORMAT, the newest first. Source packages are left out."""
    found: Dict[str, Candidate] = {}
    for line in text.splitlines():
        fields = line.strip().split("|")
        if len(fields) == 7 and fields[4] != "src":
            _name, epoch, version, release, arch, repository, size = fields
            evr = _evr(epoch, version, release)
            known = found[evr].sources if evr in found else ()
            sources = tuple(sorted({*known, repository}))
            found[evr] = Candidate(evr, sources, int(size) if size.isdigit() else None, arch)
    return [found[one] for one in sorted(found, key=rpm_order, reverse=True)]


def rpm_order(evr: str) -> Tuple[int, List[Tuple[int, int, str]]]:
    """A key that sorts versions as rpm does, as far as versions of one software differ: numbers, words, ~ before all."""
    epoch, colon, rest = evr.partition(":")
    parts = re.findall(r"\d+|[A-Za-z]+|~", rest if colon else evr)
    ranked = [(2, int(one), "") if one.isdigit() else (-1, 0, "") if one == "~" else (1, 0, one) for one in parts]
    return (int(epoch) if colon and epoch.isdigit() else 0, [*ranked, (0, 0, "")])


_DNF_REPOSITORY = re.compile(r"Failed to download metadata for repo '([^']+)'(?::\s*(.*))?")
_DNF_CAUSE = re.compile(r"^Errors during downloading metadata for repository '([^']+)':\n\s+- (.*)$", re.MULTILINE)
_DNF_SKIPPED = re.compile(r"^Ignoring repositories: (.+)$", re.MULTILINE)
_DNF_TRUST = ("GPG", "signature", "not signed", "Public key")


def parse_dnf_errors(text: str) -> List[RepositoryProblem]:
    """Which repositories dnf could not read, and why."""
    causes = dict(_DNF_CAUSE.findall(text))
    found = []
    for match in _DNF_REPOSITORY.finditer(text):
        reason = causes.get(match.group(1)) or (match.group(2) or "").strip() or "it did not answer"
        found.append(RepositoryProblem(match.group(1), reason, any(word in reason for word in _DNF_TRUST)))
    for match in _DNF_SKIPPED.finditer(text):
        found.extend(RepositoryProblem(one.strip(), "it did not answer") for one in match.group(1).split(","))
    return list({one.source: one for one in reversed(found)}.values())


def untrusted_package(text: str) -> str:
    """The line in which apt or dnf refuses a package for its signature; empty if there is none."""
    words = (
        "is not signed",
        "GPG check FAILED",
        "Public key for",
        "cannot be authenticated",
        "unauthenticated packages",
        "PGP check failed",
        "no valid OpenPGP",
        "signature verification error",
    )
    for line in text.splitlines():
        if any(word in line for word in words):
            return line.strip()
    return ""


def locked_entries(text: str, name: str) -> List[str]:
    """The lines of dnf's versionlock.list that lock or exclude this package."""
    own = re.compile(rf"^!?(?:\d+:)?{re.escape(name)}-(?:\d+:)?[0-9*][^-]*(?:-[^-]+)?$|^!?{re.escape(name)}$")
    return [line for line in text.splitlines() if own.match(line.split("#")[0].strip())]


def relocked(text: str, name: str, evr: str, wanted: Optional[Sequence[str]] = None) -> str:
    """The list with this package's locks moved to another version, or replaced by the wanted lines; the rest is kept."""
    entries = locked_entries(text, name)
    epoch, colon, rest = evr.partition(":")
    new = list(wanted) if wanted is not None else [f"{name}-{epoch if colon else '0'}:{rest if colon else evr}.*"]
    lines: List[str] = []
    for line in text.splitlines():
        if line not in entries:
            lines.append(line)
        else:
            lines.extend(new)
            new = []
    return "\n".join(lines) + ("\n" if lines else "")


# -- what both verify ----------------------------------------------------------------------------------------------------

_VERIFY = re.compile(r"^(missing|[A-Za-z0-9.?]{8,9})\s+(?:([cdglr])\s+)?(/.*?)(?: \((.*)\))?$")


@dataclass(frozen=True)
class Difference:
    """A file that is not as its package brought it."""

    path: str
    config: bool
    content: bool  # other content, or missing; otherwise only owner, mode or time


def parse_verify(text: str) -> List[Difference]:
    """What dpkg -V and rpm -V print: they share one format."""
    found = []
    for line in text.splitlines():
        match = _VERIFY.match(line)
        if match:
            flags, kind, path, _reason = match.groups()
            found.append(Difference(path, kind == "c", flags == "missing" or "5" in flags or "S" in flags))
    return found


# -- units ---------------------------------------------------------------------------------------------------------------


def parse_show(text: str) -> Dict[str, str]:
    """What systemctl show prints, by property."""
    return dict(line.split("=", 1) for line in text.splitlines() if "=" in line)


@dataclass(frozen=True)
class Unit:
    """A service as systemd knows it."""

    name: str
    load_state: str = ""
    active_state: str = ""
    sub_state: str = ""
    file_state: str = ""
    fragment: str = ""
    dropins: Tuple[str, ...] = ()
    main_pid: int = 0
    restarts: int = 0
    started_at: str = ""
    started_monotonic: float = 0.0  # seconds since boot
    result: str = ""
    user: str = ""
    invocation: str = ""
    exit_status: str = ""
    working_directory: str = ""

    @classmethod
    def from_properties(cls, name: str, data: Mapping[str, str]) -> Unit:
        """Read the properties that SHOWN lists; an old systemd does not have all of them."""
        return cls(
            name=name,
            load_state=data.get("LoadState", ""),
            active_state=data.get("ActiveState", ""),
            sub_state=data.get("SubState", ""),
            file_state=data.get("UnitFileState", ""),
            fragment=data.get("FragmentPath", ""),
            dropins=tuple(data.get("DropInPaths", "").split()),
            main_pid=_whole(data.get("MainPID", "")),
            restarts=_whole(data.get("NRestarts", "")),
            started_at=data.get("ExecMainStartTimestamp", ""),
            started_monotonic=_whole(data.get("ExecMainStartTimestampMonotonic", "")) / 1e6,
            result=data.get("Result", ""),
            user=data.get("User", ""),
            invocation=data.get("InvocationID", ""),
            exit_status=data.get("ExecMainStatus", ""),
            working_directory=data.get("WorkingDirectory", ""),
        )

    @property
    def found(self) -> bool:
        return self.load_state not in ("", "not-found")

    @property
    def masked(self) -> bool:
        return self.load_state == "masked" or self.file_state.startswith("masked")

    @property
    def overridden(self) -> bool:
        """Whether the administrator's own file replaces the package's."""
        return self.fragment.startswith("/etc/systemd/system/")

    @property
    def running(self) -> bool:
        return self.active_state in ("active", "reloading") and self.main_pid > 0

    @property
    def looping(self) -> bool:
        """Whether systemd restarts it again and again, or has given up doing so."""
        return self.sub_state in ("auto-restart", "auto-restart-queued") or (
            self.active_state == "failed" and self.result == "start-limit-hit"
        )


#: The properties that Unit.from_properties reads.
SHOWN = (
    "LoadState",
    "ActiveState",
    "SubState",
    "UnitFileState",
    "FragmentPath",
    "DropInPaths",
    "MainPID",
    "NRestarts",
    "ExecMainStartTimestamp",
    "ExecMainStartTimestampMonotonic",
    "ExecMainStatus",
    "Result",
    "User",
    "InvocationID",
    "WorkingDirectory",
)


def _whole(text: str) -> int:
    return int(text) if text.isdigit() else 0


# -- configuration files -------------------------------------------------------------------------------------------------

#: Where a plain number in liveness_check.check_duration changed its unit from seconds to nanoseconds (gateway 5.4.0).
NANOSECONDS_SINCE = Version(5, 4, 0)
_SECRET_KEY = re.compile(
    r"secret|passw|passphrase|token|key|cred|dsn|connection_?str|private|cert|salt|user|license|uri|url|hosts?$",
    re.IGNORECASE,
)
_SECRET_LINE = re.compile(r"^(\s*[\"']?([\w.-]+)[\"']?\s*[:=]\s*)(\S.*?)(,?)$")
MASK = "(not shown)"


@dataclass(frozen=True)
class ConfigFile:
    """A configuration file's content, or why it has none."""

    path: str
    data: Dict[str, Any] = field(default_factory=dict)
    problem: str = ""
    line: int = 0


def read_config(path: str, text: str) -> ConfigFile:
    """Read a JSON configuration. A syntax error is told with its line and column, never with the line itself."""
    try:
        data = json.loads(text.lstrip("\ufeff"))
    except ValueError as problem:
        line, column = getattr(problem, "lineno", 0), getattr(problem, "colno", 0)
        what = str(getattr(problem, "msg", "it is not JSON"))
        return ConfigFile(path, {}, f"line {line}, column {column}: {what[:1].lower()}{what[1:]}", line)
    if not isinstance(data, dict):
        return ConfigFile(path, {}, "line 1: it does not hold an object", 1)
    return ConfigFile(path, data)


def duration_crosses(data: Mapping[str, Any], current: str, target: str) -> Optional[float]:
    """The value of liveness_check.check_duration if it is a number that the two versions read in different units."""
    section = data.get("liveness_check")
    value = section.get("check_duration") if isinstance(section, Mapping) else None
    if isinstance(value, bool) or not isinstance(value, (int, float)) or not value:
        return None
    try:
        before, after = Version.parse(current), Version.parse(target)
    except ValueError:
        return None
    return value if (before.release < NANOSECONDS_SINCE) != (after.release < NANOSECONDS_SINCE) else None


def masked_diff(before: str, after: str, before_name: str, after_name: str) -> str:
    """What differs between two configuration files, without a value that may be a secret.

    JSON is compared by content, so the order of its keys does not matter.
    """
    old, new = _comparable(before), _comparable(after)
    return "\n".join(difflib.unified_diff(old, new, before_name, after_name, lineterm="", n=1))


def _comparable(text: str) -> List[str]:
    try:
        data = json.loads(text)
    except ValueError:
        return [_masked_line(line) for line in text.splitlines()]
    return json.dumps(masked(data), indent=2, sort_keys=True).splitlines()


def masked(value: Any, key: str = "") -> Any:
    """The same structure with every value under a telling key, and every address with a password, not shown."""
    if isinstance(value, dict):
        return {str(name): masked(item, str(name)) for name, item in value.items()}
    if isinstance(value, list):
        return [masked(item, key) for item in value]
    if isinstance(value, str) and value and (_SECRET_KEY.search(key) or "@" in value):
        return MASK
    return value


def _masked_line(line: str) -> str:
    match = _SECRET_LINE.match(line)
    if match and (_SECRET_KEY.search(match.group(2)) or "@" in match.group(3)):
        return f"{match.group(1)}{MASK}{match.group(4)}"
    return line
