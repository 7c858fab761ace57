# Copyright (c) 2026 tyk.upgrade contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Replacing the version of an installed package, the way back, and cleaning up.

Before anything that serves is touched, a state file says what was there before. Whoever finds it unfinished puts that
back first, so a run may be cut off between any two steps. Only this module starts the service meanwhile: a drop-in of
the running boot keeps the package's own scripts from doing so.
"""

from __future__ import annotations

import json
import os
import shutil
import time
from dataclasses import dataclass, field, replace
from typing import Any, Dict, List, NoReturn, Optional, Tuple

from ansible_collections.tyk.upgrade.plugins.module_utils._clients.errors import ClientError, host_failure
from ansible_collections.tyk.upgrade.plugins.module_utils._clients.host_commands import Host
from ansible_collections.tyk.upgrade.plugins.module_utils._clients.package_manager import (
    Fetched,
    Hold,
    PackageFile,
    PackageManager,
    by_suffix,
    pick,
    sha256,
)
from ansible_collections.tyk.upgrade.plugins.module_utils._clients.package_observation import (
    HOME,
    Observed,
    Subject,
    is_staged,
    observe,
)
from ansible_collections.tyk.upgrade.plugins.module_utils._clients.systemd import Service
from ansible_collections.tyk.upgrade.plugins.module_utils._domain.findings import (
    DomainError,
    Finding,
    Severity,
    error,
)
from ansible_collections.tyk.upgrade.plugins.module_utils._domain.packages import (
    Installed,
    masked_diff,
    product_version,
    read_config,
)

WORKING, DONE, RETURNED = "working", "done", "returned"
JOURNAL_LINES = 5000


class Refused(Exception):
    """Something stands against the upgrade; nothing was changed."""

    def __init__(self, findings: List[Finding]) -> None:
        super().__init__(" ".join(one.sentence() for one in findings if one.severity is Severity.ERROR))
        self.findings = findings


@dataclass(frozen=True)
class File:
    """A file to put in place while the service is stopped."""

    src: str
    dest: str
    mode: int = 0o644


@dataclass(frozen=True)
class Settings:
    """How to replace."""

    subject: Subject
    stop_timeout: float = 60
    settle: float = 6
    backup_dir: str = ""
    backup_files: Tuple[str, ...] = ()
    evidence_dir: str = ""
    files: Tuple[File, ...] = ()
    check_mode: bool = False


@dataclass
class Outcome:
    """What happened, or would happen."""

    before: Dict[str, str] = field(default_factory=dict)
    after: Dict[str, str] = field(default_factory=dict)
    actions: List[str] = field(default_factory=list)
    seconds: float = 0.0
    starts: Optional[int] = 0
    config_changes: List[Dict[str, Any]] = field(default_factory=list)
    backup: str = ""
    binary: str = ""
    evidence: str = ""
    findings: List[Finding] = field(default_factory=list)

    @property
    def changed(self) -> bool:
        return bool(self.actions)


def versions_of(package_version: str) -> Dict[str, str]:
    """Both versions as a result carries them."""
    return {"version": product_version(package_version), "package_version": package_version}


class Replacement:
    """One package of one host, and what is done to it."""

    def __init__(self, host: Host, manager: PackageManager, settings: Settings) -> None:
        self.host = host
        self.manager = manager
        self.settings = settings
        self.subject = settings.subject
        self.name = settings.subject.name
        self.service = Service(host, settings.subject.unit)
        self.outcome = Outcome()

    # -- the wanted states -------------------------------------------------------------------------------------------

    def staged(self) -> Outcome:
        """Everything of the wanted version is on this host; what runs is not touched."""
        seen = self._observed(but=("package-held",))
        if seen.at_target:
            self.outcome.binary = self.subject.binary
            return self.outcome
        self._announce_fetching(seen)
        self.outcome.binary = self._staged_binary(seen.both()[1].package_version)
        if not self.settings.check_mode:
            self._fetch(seen)
        return self.outcome

    def present(self) -> Outcome:
        """The wanted version is installed and runs. On any failure the version of before runs again."""
        self._repaired()
        seen = self._observed()
        if seen.at_target:
            self._run_what_is_installed(seen)
            return self.outcome
        self.outcome.after = versions_of(seen.both()[1].package_version)
        self._announce_fetching(seen)
        if self.settings.check_mode:
            self._announce_replacing(seen)
            return self.outcome
        fetched, kept = self._fetch(seen)
        self._replace(seen, fetched, kept)
        self._announce_replacing(seen)
        return self.outcome

    def returned(self) -> Outcome:
        """The version from before the last upgrade is installed and runs."""
        state = self._repaired()
        installed = self.manager.find(self.name)
        if installed is None:
            raise self._missing()
        if state is None or state["phase"] != DONE or installed.package_version == state["before"]["package_version"]:
            if not self.outcome.before:
                self.outcome.before = self.outcome.after = versions_of(installed.package_version)
            self._start_if_down()
            return self.outcome
        if installed.package_version != state["to"]:
            raise ClientError(
                "drift",
                self.name,
                f"{self.name} is at {installed.package_version}, which is neither what the last upgrade installed "
                f"({state['to']}) nor what it replaced ({state['before']['package_version']}).",
                "Somebody changed it since; go back by hand if that is still wanted.",
            )
        self.outcome.before = versions_of(installed.package_version)
        self.outcome.after = versions_of(state["before"]["package_version"])
        self._do(f"stopped {self.service.name}", f"put back {self.name} {state['before']['package_version']}")
        if state["before"]["running"]:
            self._do(f"started {self.service.name}")
        if self.settings.check_mode:
            return self.outcome
        began, moment = time.time(), time.monotonic()
        self._save_evidence()
        self._write_state({**state, "phase": WORKING})
        self._go_back(state)
        self.outcome.seconds = time.monotonic() - moment
        self.outcome.starts = self.service.starts_since(began)
        self._write_state({**state, "phase": RETURNED})
        return self.outcome

    def repaired(self) -> Outcome:
        """What a run that was killed left out of service runs again, with the version of before."""
        unit = self.service.look()
        if not unit.running or unit.looping:
            self._repaired()
        installed = self.manager.find(self.name)
        if installed is None and not self.outcome.before:
            raise self._missing()
        if installed is not None and not self.outcome.before:
            self.outcome.before = self.outcome.after = versions_of(installed.package_version)
        return self.outcome

    def cleaned(self) -> Outcome:
        """Nothing that upgrades kept for their way back is left. Backups stay."""
        self._repaired()
        installed = self.manager.find(self.name)
        if installed is None:
            raise self._missing()
        if not self.outcome.before:
            self.outcome.before = self.outcome.after = versions_of(installed.package_version)
        folders = [self.subject.kept_folder, self.subject.state_path]
        if os.path.isdir(self.subject.staged_folder):
            own = sorted(os.listdir(self.subject.staged_folder))
            folders += [
                os.path.join(self.subject.staged_folder, one) for one in own if self._staged_name(one) == self.name
            ]
        there = [path for path in folders if os.path.lexists(path)]
        if there and not self.service.look().running and not self._repair_announced:
            raise ClientError(
                "unit-failed",
                self.service.name,
                f"{self.service.name} does not run, so {there[0]} is kept: it is the way back.",
                "Start the service, or return to the version of before (state returned) first.",
            )
        for path in there:
            self._do(f"removed {path}")
            if not self.settings.check_mode:
                self.host.remove(path)
        return self.outcome

    def _staged_name(self, entry: str) -> str:
        try:
            with open(os.path.join(self.subject.staged_folder, entry, "staged.json"), encoding="utf-8") as stream:
                return str(json.load(stream).get("name"))
        except (OSError, ValueError):  # a download that was cut off
            return self.name if entry.startswith(f"{self.name}-") and entry[len(self.name) + 1 :][:1].isdigit() else ""

    # -- observing ---------------------------------------------------------------------------------------------------

    def _observed(self, but: Tuple[str, ...] = ()) -> Observed:
        """What is there; raises if anything stands against the upgrade. but: findings that do not matter now."""
        repair = self._repair_announced
        seen = observe(self.host, self.manager, self.subject, offers=repair)
        target_missing = seen.target is None or not seen.target.available
        if target_missing and not seen.at_target and not self.subject.file and seen.installed is not None:
            seen = observe(self.host, self.manager, self.subject, refresh=True)
        if repair:
            self._see_repaired(seen)
        seen.findings = [one for one in seen.findings if one.code not in but]
        if any(one.severity is Severity.ERROR for one in seen.findings):
            raise Refused(seen.findings)
        self.outcome.findings = seen.findings
        if seen.installed is not None and not self.outcome.before:
            self.outcome.before = self.outcome.after = versions_of(seen.installed.package_version)
        return seen

    def _see_repaired(self, seen: Observed) -> None:
        """In check mode: what would be there once the announced repair were done."""
        before = (self._state() or {})["before"]
        arch = seen.installed.arch if seen.installed else ""
        seen.installed = Installed(self.name, before["package_version"], arch)
        seen.hold = Hold(tuple(before["hold"]["kinds"]), before["hold"]["text"])
        running = ("active", 1) if before["running"] else ("inactive", 0)
        seen.unit = replace(seen.unit, active_state=running[0], main_pid=running[1])
        passing = ("unit-failed", "package-half-configured", "binary-changed")
        seen.findings = [one for one in seen.findings if one.code not in passing]

    def _run_what_is_installed(self, seen: Observed) -> None:
        if seen.installed is not None:
            self.outcome.after = versions_of(seen.installed.package_version)
        self.outcome.binary = self.subject.binary
        if not seen.unit.running:
            self._start_if_down()
        elif self.subject.binary and not seen.runs_installed:
            self._do(f"restarted {self.service.name}, which still ran an earlier program")
            if not self.settings.check_mode:
                moment = time.monotonic()
                self.service.stop(self.settings.stop_timeout)
                self.service.start()
                self.outcome.seconds = time.monotonic() - moment
                self.outcome.starts = 1
                self.service.settle(self.settings.settle)

    def _start_if_down(self) -> None:
        if self._repair_announced or self.service.look().running:
            return
        self._do(f"started {self.service.name}")
        if not self.settings.check_mode:
            self.service.unguard()
            self.service.start()
            self.outcome.starts = 1
            self.service.settle(self.settings.settle)

    def _missing(self) -> ClientError:
        return ClientError(
            "package-missing",
            self.name,
            f"The package {self.name} is not installed on this host.",
            "Check the package's name in the inventory.",
        )

    def _do(self, *actions: str) -> None:
        self.outcome.actions.extend(actions)

    def _announce_fetching(self, seen: Observed) -> None:
        installed, target = seen.both()
        if not is_staged(self.subject, target.package_version):
            self._do(f"downloaded {self.name} {target.package_version}")
        if self._kept(installed) is None:
            self._do(f"kept {self.name} {installed.package_version} for the way back")

    def _announce_replacing(self, seen: Observed) -> None:
        installed, target = seen.both()
        if seen.unit.running:
            self._do(f"stopped {self.service.name}")
        self._do(f"installed {self.name} {target.package_version} over {installed.package_version}")
        self._do(*[f"placed {file.dest}" for file in self.settings.files])
        if seen.hold:
            self._do(f"held {self.name} again ({', '.join(seen.hold.kinds)})")
        self._do(f"started {self.service.name}")

    # -- fetching ----------------------------------------------------------------------------------------------------

    def _staged_binary(self, package_version: str) -> str:
        if not self.subject.binary:
            return ""
        return os.path.join(self.subject.staged(package_version), "bin", os.path.basename(self.subject.binary))

    def _kept(self, installed: Installed) -> Optional[PackageFile]:
        for path in by_suffix(self.subject.kept_folder, self.manager.suffix):
            try:
                package = self.manager.read_file(path)
            except ClientError:  # a download that was cut off
                continue
            if (package.name, package.package_version) == (installed.name, installed.package_version):
                return package
        return None

    def _fetch(self, seen: Observed) -> Tuple[Fetched, PackageFile]:
        """The wanted version, and the installed one for the way back, in folders of ours. Nothing else is touched."""
        installed, target = seen.both()
        version = target.package_version
        folder = self.subject.staged(version)
        os.makedirs(folder, mode=0o755, exist_ok=True)
        ready = os.path.join(folder, "staged.json")
        if self.subject.file:
            self._copy(self.subject.file, folder)
        fetched = self._already_fetched(folder, version)
        if fetched is None:
            fetched = self.manager.fetch(self.name, version, folder, installed=False)
        binary = self._staged_binary(version)
        if binary and not os.path.exists(binary):
            self.manager.extract(fetched.package.path, self.subject.binary, binary)
        if not os.path.exists(ready):
            files = {os.path.basename(path): sha256(path) for path in (fetched.package.path, *fetched.others)}
            content = {"name": self.name, "package_version": version, "files": files}
            self.host.write(ready, json.dumps(content, indent=2).encode(), 0o644)
        return fetched, self._keep(installed)

    def _already_fetched(self, folder: str, version: str) -> Optional[Fetched]:
        """What an earlier run fetched, if every file of it is still the same; then no repository is asked again."""
        try:
            with open(os.path.join(folder, "staged.json"), encoding="utf-8") as stream:
                files = dict(json.load(stream)["files"])
            whole = all(sha256(os.path.join(folder, name)) == digest for name, digest in files.items())
        except (OSError, ValueError, KeyError, TypeError):
            return None
        paths = [os.path.join(folder, name) for name in sorted(files)] if whole else []
        packages = [self.manager.read_file(path) for path in paths]
        package = pick(packages, self.name, version)
        if package is None:
            return None
        return Fetched(folder, package, tuple(path for path in paths if path != package.path))

    def _keep(self, installed: Installed) -> PackageFile:
        kept = self._kept(installed)
        if kept is not None:
            return kept
        folder = self.subject.kept_folder
        os.makedirs(folder, mode=0o755, exist_ok=True)
        if self.subject.return_file:
            self._copy(self.subject.return_file, folder)
            kept = self._kept(installed)
            if kept is not None:
                return kept
        return self.manager.fetch(self.name, installed.package_version, folder, installed=True).package

    def _copy(self, path: str, folder: str) -> None:
        target = os.path.join(folder, os.path.basename(path))
        if os.path.exists(target) and sha256(target) == sha256(path):
            return
        partial = f"{target}.part"
        shutil.copyfile(path, partial)
        os.chmod(partial, 0o644)
        os.replace(partial, target)

    # -- the state file ----------------------------------------------------------------------------------------------

    def _state(self) -> Optional[Dict[str, Any]]:
        try:
            with open(self.subject.state_path, encoding="utf-8") as stream:
                state = json.load(stream)
        except FileNotFoundError:
            return None
        except ValueError as problem:
            raise ClientError(
                "package-failed",
                self.subject.state_path,
                f"The state file {self.subject.state_path} cannot be read: {problem}.",
                "Look at the package by hand, then remove the file.",
            ) from problem
        return dict(state)

    def _write_state(self, state: Dict[str, Any]) -> None:
        self.host.write(self.subject.state_path, json.dumps(state, indent=2, sort_keys=True).encode(), 0o600)

    @property
    def _repair_announced(self) -> bool:
        """In check mode a service that the announced repair would start counts as running."""
        return self.settings.check_mode and any("repaired" in action for action in self.outcome.actions)

    def _repaired(self) -> Optional[Dict[str, Any]]:
        """Undo what an interrupted run left; what the last run noted, if anything."""
        state = self._state()
        if state is None or state["phase"] != WORKING:
            return state
        before = state["before"]
        self._do(f"repaired an interrupted run: put back {self.name} {before['package_version']}")
        self.outcome.before = self.outcome.after = versions_of(before["package_version"])
        if self.settings.check_mode:
            return {**state, "phase": RETURNED}
        self.manager.wait_unlocked(max(self.subject.lock_timeout, 60))  # the tools outlive a run that was killed
        self._go_back(state)
        state["phase"] = RETURNED
        self._write_state(state)
        return state

    # -- replacing ---------------------------------------------------------------------------------------------------

    def _replace(self, seen: Observed, fetched: Fetched, kept: PackageFile) -> None:
        target = seen.both()[1]
        self.manager.wait_unlocked(self.subject.lock_timeout)
        state = self._back_up(seen, kept)
        self._write_state(state)
        began, moment = time.time(), 0.0
        try:
            self.service.guard()
            moment = time.monotonic()
            self.service.stop(self.settings.stop_timeout)
            self.manager.wait_unlocked(self.subject.lock_timeout)
            self.manager.install(fetched, seen.hold)
            self._read_back(target.package_version)
            self._keep_config(state, seen)
            self._place(state)
            self.manager.restore_hold(self.name, seen.hold, target.package_version)
            self.service.unguard()
            self.service.enable(state["before"]["file_state"])
            self.service.start()
            self.outcome.seconds = time.monotonic() - moment
            self.service.settle(self.settings.settle)
        except Exception as problem:
            self._back_after(problem, state)
        self.outcome.starts = self.service.starts_since(began)
        self._write_state({**state, "phase": DONE})
        for path in by_suffix(self.subject.kept_folder, self.manager.suffix):
            if path != kept.path:
                self.host.remove(path)

    def _read_back(self, package_version: str) -> None:
        now = self.manager.find(self.name)
        if now is None or not now.healthy or now.package_version != package_version:
            there = f"{now.package_version} ({now.state})" if now else "nothing"
            raise ClientError(
                "package-failed",
                self.name,
                f"{self.manager.name} reported success, but {there} is installed instead of {self.name} {package_version}.",
                "Try the same command by hand and read what it prints.",
            )

    def _back_after(self, problem: Exception, state: Dict[str, Any]) -> NoReturn:
        """Put the version of before back and say so, or say what is left to do by hand."""
        finding = host_failure(problem) if isinstance(problem, OSError) else getattr(problem, "finding", None)
        cause = finding.message if finding else f"{type(problem).__name__}: {problem}"
        code = finding.code if finding else "package-failed"
        what = f"Upgrading {self.name} to {state['to']} failed: {cause}"
        before = state["before"]
        try:
            self._save_evidence()
            self._go_back(state)
            self._write_state({**state, "phase": RETURNED})
        except Exception as second:
            raise DomainError(
                error(
                    code,
                    self.name,
                    f"{what} And {before['package_version']} could not be put back: {second}",
                    f"Run the same again to repair it. Its package is {state['kept']}, its configuration is in "
                    f"{state['backup']}.",
                )
            ) from second
        back = "is installed and runs again" if before["running"] else "is installed again (it was not running before)"
        kept = f" The evidence is in {self.outcome.evidence}." if self.outcome.evidence else ""
        raise DomainError(
            error(
                code,
                self.name,
                f"{what} {self.name} {before['package_version']} {back}.{kept}",
                finding.remedy if finding else "Put right the cause and repeat.",
            )
        ) from problem

    def _go_back(self, state: Dict[str, Any]) -> None:
        """Whatever state the host is in: the package, files, hold and service of before."""
        before = state["before"]
        hold = Hold(tuple(before["hold"]["kinds"]), before["hold"]["text"])
        now = self.manager.find(self.name)
        same = now is not None and now.healthy and now.package_version == before["package_version"]
        unit = self.service.look()
        untouched = same and unit.running and unit.invocation == before["invocation"]
        if not untouched:
            package = self._way_back(state, now)
            self.service.guard()
            self.service.stop(self.settings.stop_timeout)
            self.manager.wait_unlocked(max(self.subject.lock_timeout, 60))
            if not same or not self._files_whole():
                self.manager.put_back(Fetched(self.subject.kept_folder, package), hold)
                self._read_back(before["package_version"])
        self._restore_files(state)
        self.manager.restore_hold(self.name, hold, before["package_version"], as_it_was=True)
        self.service.unguard()
        self.service.enable(before["file_state"])
        if before["running"] and not untouched:
            self.service.start()
            self.service.settle(min(self.settings.settle, 6))

    def _way_back(self, state: Dict[str, Any], now: Optional[Installed]) -> PackageFile:
        """The package of before, fetched again if somebody removed it; known before anything is stopped."""
        try:
            return self.manager.read_file(state["kept"])
        except ClientError:
            version = state["before"]["package_version"]
            same = now is not None and now.package_version == version
            os.makedirs(self.subject.kept_folder, mode=0o755, exist_ok=True)
            return self.manager.fetch(self.name, version, self.subject.kept_folder, installed=same).package

    def _files_whole(self) -> bool:
        """Whether an installation that was cut off has not yet touched the package's files."""
        return not any(one.content and not one.config for one in self.manager.verify(self.name))

    # -- files -------------------------------------------------------------------------------------------------------

    def _back_up(self, seen: Observed, kept: PackageFile) -> Dict[str, Any]:
        """Save what may change; the state from which everything can be put back."""
        installed, target = seen.both()
        folder = os.path.join(
            self.settings.backup_dir or os.path.join(HOME, "backups"),
            f"{self.name}-{installed.package_version.replace(':', '_')}",
        )
        self.host.private_folder(folder)
        files = {}
        for path in self._own_files():
            saved = self._save(path, folder, "files")
            if saved:
                files[path] = saved
        for path in (*seen.unit.dropins, seen.unit.fragment):
            if path:
                self._save(path, folder, "unit")
        placed = {}
        for file in self.settings.files:
            placed[file.dest] = {**self._save(file.dest, folder, "placed"), "folders": missing_folders(file.dest)}
        before = {
            **versions_of(installed.package_version),
            "file_state": seen.unit.file_state,
            "running": seen.unit.running,
            "invocation": seen.unit.invocation,
            "hold": {"kinds": list(seen.hold.kinds), "text": seen.hold.text},
        }
        bundles = os.path.join(self.subject.middleware_path, "bundles") if self.subject.middleware_path else ""
        about = {
            "package": self.name,
            "before": before,
            "to": target.package_version,
            "files": files,
            "bundles": sorted(os.listdir(bundles)) if bundles and os.path.isdir(bundles) else [],
        }
        self.host.write(os.path.join(folder, "package.json"), json.dumps(about, indent=2, sort_keys=True).encode())
        self.outcome.backup = folder
        return {
            "phase": WORKING,
            "name": self.name,
            "unit": self.service.name,
            "before": before,
            "to": target.package_version,
            "kept": kept.path,
            "backup": folder,
            "files": files,
            "placed": placed,
            "new_defaults": self._new_defaults(),
        }

    def _own_files(self) -> List[str]:
        named = [self.subject.config_file, *self.settings.backup_files, *self.manager.config_files(self.name)]
        return list(dict.fromkeys(path for path in named if path))

    def _save(self, path: str, folder: str, kind: str) -> Dict[str, Any]:
        """Copy a file into the backup; what is needed to put it back, nothing if there is no such file."""
        try:
            with open(path, "rb") as stream:
                content = stream.read()
            found = os.stat(path)
        except (FileNotFoundError, IsADirectoryError, NotADirectoryError):
            return {}
        copy = os.path.join(folder, kind, path.lstrip("/"))
        self.host.private_folder(os.path.dirname(copy))
        self.host.write(copy, content, 0o600)
        return {"copy": copy, "mode": found.st_mode & 0o7777, "uid": found.st_uid, "gid": found.st_gid}

    def _restore(self, path: str, saved: Dict[str, Any]) -> None:
        with open(saved["copy"], "rb") as stream:
            content = stream.read()
        try:
            with open(path, "rb") as stream:
                now = stream.read()
            found = os.stat(path)
            if now == content and (found.st_mode & 0o7777, found.st_uid, found.st_gid) == (
                saved["mode"],
                saved["uid"],
                saved["gid"],
            ):
                return
        except FileNotFoundError:
            pass
        self.host.write(path, content, saved["mode"], (saved["uid"], saved["gid"]))

    def _restore_files(self, state: Dict[str, Any]) -> None:
        for path, saved in state["files"].items():
            self._restore(path, saved)
        for path, saved in state["placed"].items():
            if "copy" in saved:
                self._restore(path, saved)
                continue
            self.host.remove(path)
            for folder in saved["folders"]:
                try:
                    os.rmdir(folder)
                except OSError:
                    break  # something else lies there by now
        for path in self._new_defaults():
            if path not in state["new_defaults"]:
                self.host.remove(path)

    def _new_defaults(self) -> List[str]:
        paths = [new for path in self._own_files() for new in self.manager.new_defaults(path)]
        return [path for path in paths if os.path.exists(path)]

    def _keep_config(self, state: Dict[str, Any], seen: Observed) -> None:
        """See that the user's own configuration is still in place, and say what the new version's default has new."""
        edited = {one.path for one in seen.differences if one.config}
        for path, saved in state["files"].items():
            with open(saved["copy"], encoding="utf-8", errors="replace") as stream:
                mine = stream.read()
            now = text_of(path)
            if now is not None and now != mine and path in edited:
                self.host.write(self.manager.new_defaults(path)[0], now.encode(), saved["mode"])
                self._restore(path, saved)
                now = mine
            new = next((text for text in map(text_of, self.manager.new_defaults(path)) if text is not None), None)
            if now is not None and now != mine:
                self._note_config(path, path, False, mine, now)
            elif new is not None and path in edited:
                place = next(one for one in self.manager.new_defaults(path) if os.path.exists(one))
                self._note_config(path, place, True, mine, new)

    def _note_config(self, path: str, new_default: str, kept: bool, mine: str, new: str) -> None:
        difference = masked_diff(mine, new, path, new_default if kept else f"{path} of the new version")
        if difference:
            self.outcome.config_changes.append(
                {"path": path, "new_default": new_default, "kept": kept, "diff": difference}
            )

    def _place(self, state: Dict[str, Any]) -> None:
        for file in self.settings.files:
            saved = state["placed"][file.dest]
            for folder in reversed(saved["folders"]):
                os.makedirs(folder, mode=0o755, exist_ok=True)
            parent = os.stat(os.path.dirname(file.dest))
            owner = (saved.get("uid", parent.st_uid), saved.get("gid", parent.st_gid))
            with open(file.src, "rb") as stream:
                self.host.write(file.dest, stream.read(), file.mode, owner)

    # -- evidence ----------------------------------------------------------------------------------------------------

    def _save_evidence(self) -> None:
        """What tells why a version is given up: log, state of the unit and the package, configuration without secrets."""
        if not self.settings.evidence_dir:
            return
        now = self.manager.find(self.name)
        stem = f"{self.name}-{now.package_version.replace(':', '_') if now else 'missing'}-{int(time.time())}"
        folder = os.path.join(self.settings.evidence_dir, stem)
        self.host.private_folder(folder)
        status = self.host.run("systemctl", "status", "--no-pager", "--lines=0", self.service.name)
        texts = {
            "journal.log": self.service.journal(JOURNAL_LINES),
            "unit.txt": status.text,
            "package.txt": self.manager.state_text(self.name),
        }
        config = text_of(self.subject.config_file) if self.subject.config_file else None
        if config is not None:
            problem = read_config(self.subject.config_file, config).problem
            texts["config.txt"] = problem or masked_diff("", config, "nothing", self.subject.config_file)
        for name, text in texts.items():
            self.host.write(os.path.join(folder, name), f"{text}\n".encode())
        self.outcome.evidence = folder


def text_of(path: str) -> Optional[str]:
    """The content of a file, None if there is none."""
    try:
        with open(path, encoding="utf-8", errors="replace") as stream:
            return stream.read()
    except (FileNotFoundError, IsADirectoryError):
        return None


def missing_folders(path: str) -> List[str]:
    """The folders above a path that do not exist yet, the innermost first."""
    found = []
    folder = os.path.dirname(path)
    while folder and folder != "/" and not os.path.isdir(folder):
        found.append(folder)
        folder = os.path.dirname(folder)
    return found
