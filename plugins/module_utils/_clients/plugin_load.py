# Copyright (c) 2026 tyk.upgrade contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Loading plugins in the very gateway image that shall run them, in containers that are thrown away.

Each file and symbol gets a process of its own: a plugin of another Go generation kills the process that opens it.

Loading proves that a symbol is there, and not that it is a function that a hook can call. That is read from the file.
"""

from __future__ import annotations

import io
import os
import re
import tarfile
import tempfile
import time
import uuid
from dataclasses import dataclass, replace
from typing import IO, Dict, List, Mapping, Optional, Sequence, Tuple

from ansible_collections.tyk.upgrade.plugins.module_utils._clients.docker_engine import Engine, parents_of
from ansible_collections.tyk.upgrade.plugins.module_utils._clients.elf import inspect, opened
from ansible_collections.tyk.upgrade.plugins.module_utils._domain.build_info import (
    Exported,
    GoProgram,
    missing_function,
    wrong_type,
)
from ansible_collections.tyk.upgrade.plugins.module_utils._domain.findings import Finding, error

FOLDER = "tyk-upgrade-verify"
LABEL_VERIFY = "tyk.upgrade.verify"
LABEL_UNTIL = "tyk.upgrade.verify.until"  # seconds since 1970 from when nobody waits for the container any more
COMMAND = "plugin load"
GATEWAY = "throw-away gateway"
SPARE = 600  # seconds for copying and for clocks that differ
LINES_SHOWN = 5

_MISMATCH = re.compile(r"plugin was built with a different version of package ([^\s,()\"]+)")
#: An init function that needs what a serving gateway has, its configuration or Redis (seen on 5.3.0 and 5.8.9).
_PANIC = re.compile(r"unexpected panic: ([^\n]*?)(?:, try --help)?$", re.MULTILINE)
_SYMBOL = re.compile(r"symbol (\S+) not found")
_GLIBC = re.compile(r"version [`'\"]?(GLIBC_[0-9.]+)[`'\"]? not found")
_UNREADABLE = (
    "realpath failed",
    "file too short",
    "invalid ELF header",
    "cannot open shared object file",
    "wrong ELF",
    "failed to map segment",
)
#: What the system says of a program for another processor.
_FOREIGN_IMAGE = "exec format error"
_NO_LOADER = re.compile(r"goplugin\.\w+ is disabled")
_NO_COMMAND = (
    "expected command but got",
    "unexpected plugin",
    "unknown command",
    "unknown long flag",
    "unexpected argument",
)


@dataclass(frozen=True)
class Hook:
    """A function of a plugin. file: the plugin on the host that runs the module; kinds: pre, response …, if known."""

    file: str
    symbol: str
    kinds: Tuple[str, ...] = ()


@dataclass(frozen=True)
class Verdict:
    """What the gateway said about one symbol of one file."""

    ok: bool
    code: str = ""  # the finding's code when it is not
    message: str = ""
    package: str = ""
    remedy: str = ""
    unfit: bool = False  # it was opened and has the symbol, which is not of a type that the hooks need
    exported: Optional[Exported] = None  # what it is, where the gateway has said so
    panicked: bool = False  # it was opened, and its init code panicked

    @property
    def opened(self) -> bool:
        """Whether the file is one that the gateway can open, which has the symbol."""
        return self.ok or self.unfit


@dataclass(frozen=True)
class Loaded:
    """What came of a symbol; of several files where they were loaded into one process. code: None if it did not end."""

    files: Tuple[str, ...]
    symbol: str
    code: Optional[int]
    verdict: Verdict
    means: str = COMMAND


def judge(exit_code: Optional[int], output: str) -> Verdict:
    """Read the exit code and the output of `tyk plugin load`; None stands for a process that did not end."""
    if exit_code == 0:
        return Verdict(True, message=_last(output))
    if exit_code is None:
        return Verdict(
            False, "plugin-crash", "it did not end in time", "", "Allow more time and see what it waits for."
        )
    match = _MISMATCH.search(output)
    if match:
        package = match.group(1)
        return Verdict(
            False,
            "plugin-mismatch",
            f"plugin was built with a different version of package {package}",
            package,
            "Compile it with the plugin compiler of exactly the gateway's version and edition; if it is, the plugin's "
            "go.mod asks for another version of that package than the gateway has.",
        )
    match = _GLIBC.search(output)
    if match:
        return Verdict(
            False,
            "plugin-mismatch",
            f"it needs {match.group(1)}, which the gateway's image does not have",
            "glibc",
            "Compile it on an older base image.",
        )
    match = _SYMBOL.search(output)
    if match:
        return Verdict(
            False,
            "plugin-symbol-missing",
            f"symbol {match.group(1)} not found",
            "",
            "Export a function of that name from package main, or correct the name in the bundle's manifest.",
        )
    if "plugin already loaded" in output:
        return Verdict(
            False, "plugin-path-shared", "plugin already loaded", "", "Give each build a build id of its own."
        )
    panic = _PANIC.search(output)
    if panic:
        # Go compares packages before it runs any code of the plugin, so those fit.
        return Verdict(
            True,
            message=f"it was opened, and its init code panics outside of a running gateway ({panic.group(1).strip()}), so "
            "only its effect in one can prove it",
            panicked=True,
        )
    if "no plugin module data" in output or exit_code == 2 and "fatal error:" in output:
        cause = re.search(r"fatal error: .*", output)
        return Verdict(
            False,
            "plugin-crash",
            f"the gateway's process died ({cause.group(0) if cause else f'exit code {exit_code}'})",
            "",
            "It was built by another generation of Go; compile it with the compiler of the gateway's version.",
        )
    if _FOREIGN_IMAGE in output:
        return Verdict(
            False,
            "plugin-arch",
            "the gateway itself is built for another architecture than this host's, so it was not tried",
            "",
            "Try it on a host of the gateway's architecture.",
        )
    if _NO_LOADER.search(output):
        return Verdict(
            False,
            "plugin-mismatch",
            "this gateway is built without support for Go plugins",
            "",
            "Use an image that can load Go plugins.",
        )
    if any(text in output for text in _NO_COMMAND):
        return Verdict(
            False,
            "driver-unsupported",
            "this gateway has no command to load a plugin (it came with 5.0.0)",
            "",
            "Prove the plugin with a gateway of that version instead.",
        )
    if any(text in output for text in _UNREADABLE):
        return Verdict(
            False,
            "plugin-mismatch",
            f"the gateway cannot read it as a plugin ({_last(output)})",
            "",
            "Check that it is built for the gateway's operating system and architecture.",
        )
    code = "plugin-crash" if exit_code in (2, 132, 134, 137, 139) else "plugin-mismatch"
    return Verdict(False, code, f"exit code {exit_code}: {_last(output) or 'no output'}", "", "See the output.")


def for_another_machine(hooks: Sequence[Hook], goarch: str) -> Tuple[List[Hook], List[Loaded]]:
    """The functions of files that a gateway of this architecture could open, and what is to be said of the others.

    A gateway that is given such a file says that it does not exist. A file that does not tell is the gateway's to judge.
    """
    fitting, others = [], []
    for hook in hooks:
        built = goarch_of(hook.file)
        if not goarch or built in ("", goarch):
            fitting.append(hook)
            continue
        verdict = Verdict(
            False,
            "plugin-arch",
            f"it is built for {built} and this gateway for {goarch}, so it was not tried",
            "",
            f"Try it with a gateway on {built}, on a host of that architecture.",
        )
        others.append(Loaded((hook.file,), hook.symbol, None, verdict))
    return fitting, others


def goarch_of(path: str) -> str:
    """The architecture that a file is built for, as Go calls it; empty for one that is no ELF file."""
    try:
        with opened(path) as elf:
            return elf.goarch
    except (OSError, ValueError):
        return ""


def _last(output: str) -> str:
    lines = [line for line in output.strip().splitlines() if line.strip()]
    return "\n".join(lines[-LINES_SHOWN:])


def load_once(engine: Engine, image: str, paths: Sequence[str], symbol: str, timeout: float) -> Loaded:
    """Load files into one process of a fresh container without network, and look one symbol up in each.

    Each file lies in a folder of its own: plugins of different bundles may have one name.
    """
    inside = [f"/{FOLDER}/{number}/{os.path.basename(path)}" for number, path in enumerate(paths)]
    body = {
        "Image": image,
        "Cmd": ["plugin", "load", "-f", ",".join(inside), "-s", symbol],
        "Labels": labels(timeout),
        "Healthcheck": {"Test": ["NONE"]},
        "HostConfig": {"NetworkMode": "none", "LogConfig": {"Type": "json-file", "Config": {"max-size": "1m"}}},
    }
    container = engine.create(body, f"tyk-upgrade-verify-{uuid.uuid4().hex[:12]}")
    try:
        with tempfile.TemporaryFile() as archive, engine.patience(timeout):
            write_tar(archive, {}, dict(zip(inside, paths)))
            engine.put(container, "/", archive, paths[0])
        engine.start(container, image)
        code = engine.wait(container, timeout)
        verdict = judge(code, engine.logs(container))
    finally:
        engine.remove(container, volumes=True, force=True)
    return Loaded(tuple(paths), symbol, code, verdict)


def labels(timeout: float) -> Dict[str, str]:
    """Labels of a container that is looked at for this long."""
    return {LABEL_VERIFY: "1", LABEL_UNTIL: str(int(time.time() + timeout + SPARE))}


def sweep(engine: Engine) -> None:
    """Remove what a run that was killed left behind; a throw-away gateway would run for ever."""
    for one in engine.containers(label=LABEL_VERIFY):
        until = str((one.get("Labels") or {}).get(LABEL_UNTIL) or "")
        if until.isdigit() and int(until) < time.time():
            engine.remove(one["Id"], volumes=True, force=True)


def write_tar(handle: IO[bytes], small: Mapping[str, str], files: Mapping[str, str]) -> None:
    """Write a tar of texts and of files of this host, by their paths in the container; read it from the start then.

    Plugins are large, so nothing is held in memory.
    """
    with tarfile.open(fileobj=handle, mode="w", format=tarfile.GNU_FORMAT) as archive:
        names = [name.lstrip("/") for name in (*small, *files)]
        for parent in dict.fromkeys(parent for name in names for parent in parents_of(name)):
            folder = tarfile.TarInfo(parent)
            folder.type, folder.mode = tarfile.DIRTYPE, 0o755
            archive.addfile(folder)
        for name, text in small.items():
            content = text.encode("utf-8")
            archive.addfile(_member(name, len(content)), io.BytesIO(content))
        for name, path in files.items():
            with open(path, "rb") as source:
                archive.addfile(_member(name, os.fstat(source.fileno()).st_size), source)
    handle.seek(0)


def _member(name: str, size: int) -> tarfile.TarInfo:
    member = tarfile.TarInfo(name.lstrip("/"))
    member.size, member.mode = size, 0o644
    return member


def without_symbol(loaded: Loaded) -> Loaded:
    """For files that were loaded together: only the first has to have the symbol, and all were opened to look for it."""
    if loaded.verdict.code != "plugin-symbol-missing":
        return loaded
    return replace(loaded, verdict=Verdict(True, message="loaded into one process"))


def without_panics(hooks: Sequence[Hook], loaded: Sequence[Loaded]) -> List[Hook]:
    """The functions of files whose init code does not need what a serving gateway has: others are not to be tried."""
    panicked = {one.files[0] for one in loaded if one.verdict.panicked}
    return [hook for hook in hooks if hook.file not in panicked]


def takes_one_file(loaded: Loaded) -> bool:
    """Whether the command took several files, which load alone, for one: before 5.2.4 it does."""
    return len(loaded.files) > 1 and "realpath failed" in loaded.verdict.message


def with_types(loaded: Sequence[Loaded], hooks: Sequence[Hook]) -> List[Loaded]:
    """The verdicts with what the files themselves tell of the functions; a file that tells nothing changes none."""
    kinds = {(hook.file, hook.symbol): hook.kinds for hook in hooks}
    programs: Dict[str, Optional[GoProgram]] = {}
    found = []
    for one in loaded:
        wanted = kinds.get((one.files[0], one.symbol))
        if wanted is None or len(one.files) > 1 or not (one.verdict.ok or one.verdict.code == "plugin-symbol-missing"):
            found.append(one)
            continue
        if one.files[0] not in programs:
            programs[one.files[0]] = _program(one.files[0])
        program = programs[one.files[0]]
        found.append(replace(one, verdict=_with_type(one.verdict, program, one.symbol, wanted)))
    return found


def _program(path: str) -> Optional[GoProgram]:
    try:
        return inspect(path).program
    except (OSError, ValueError):
        return None


def _with_type(verdict: Verdict, program: Optional[GoProgram], symbol: str, kinds: Sequence[str]) -> Verdict:
    exported = (program.types.get(symbol) if program else None) or verdict.exported
    message, remedy = wrong_type(symbol, exported, kinds)
    if message:
        return Verdict(False, "plugin-symbol-missing", message, "", remedy, unfit=True)
    if not verdict.ok and not verdict.unfit and program and program.functions and symbol not in program.functions:
        message, remedy = missing_function(program, symbol)
        return replace(verdict, message=f"it has {message}", remedy=remedy)
    return verdict


def finding_of(gateway: str, loaded: Loaded) -> Finding:
    """The verdict as a finding. gateway: the image, or the program."""
    names = " with ".join(os.path.basename(path) for path in loaded.files)
    done = "used" if loaded.verdict.unfit else "loaded"
    return error(
        loaded.verdict.code,
        f"{names} in {gateway}",
        f"{names} ({loaded.symbol}) cannot be {done} by {gateway}: {loaded.verdict.message}.",
        loaded.verdict.remedy,
    )


def findings_of(gateway: str, loaded: Sequence[Loaded]) -> List[Finding]:
    """One finding for each file and cause: a file that does not load fails for every function in the same words."""
    first = {(one.files, one.verdict.message): one for one in reversed(loaded) if not one.verdict.ok}
    return [finding_of(gateway, one) for one in reversed(list(first.values()))]
