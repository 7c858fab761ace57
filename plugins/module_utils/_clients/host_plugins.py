# Copyright (c) 2026 tyk.upgrade contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Loading a bundle's plugins with a gateway's own program on the host that it runs on.

A gateway from a Linux package has no image to try a plugin in. Its program is there, though, with the very libraries of
the host. Each file and symbol gets a process of its own: a plugin of another Go generation kills the process that opens
it, and that must not be the gateway.
"""

from __future__ import annotations

import itertools
import os
import platform
import shutil
import signal
import subprocess
import tempfile
import zipfile
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from typing import Any, Dict, Iterator, List, Mapping, Optional, Sequence, Tuple

from ansible_collections.tyk.upgrade.plugins.module_utils._clients import bundle_archive
from ansible_collections.tyk.upgrade.plugins.module_utils._clients.plugin_load import Verdict, finding_of, judge
from ansible_collections.tyk.upgrade.plugins.module_utils._domain import bundles
from ansible_collections.tyk.upgrade.plugins.module_utils._domain.behaviours import can_plugin_load
from ansible_collections.tyk.upgrade.plugins.module_utils._domain.findings import Finding, error, info
from ansible_collections.tyk.upgrade.plugins.module_utils._domain.resolution import resolve

MAX_UNPACKED = 1 << 30
MAX_OUTPUT = 1 << 20
#: Where plugins are unpacked if it is there and may be written: a host's /tmp may forbid to run what lies in it.
STATE_FOLDER = "/var/lib/tyk-upgrade"
#: The names that Go has for what Python calls the machine.
ARCHITECTURES = {"x86_64": "amd64", "aarch64": "arm64", "s390x": "s390x"}


@dataclass(frozen=True)
class Loader:
    """A gateway's program, its version, and variables that its plugins need. timeout: seconds for one load."""

    binary: str
    version: str
    timeout: float = 60
    environment: Mapping[str, str] = field(default_factory=dict)

    @property
    def name(self) -> str:
        return f"{self.binary} ({self.version})"


@dataclass(frozen=True)
class Load:
    """What came of loading files together and looking up a symbol. code: None for a process that did not end."""

    files: Tuple[str, ...]
    symbol: str
    code: Optional[int]
    verdict: Verdict

    def to_dict(self) -> Dict[str, Any]:
        return {
            "file": ",".join(self.files),
            "symbol": self.symbol,
            "rc": self.code,
            "ok": self.verdict.ok,
            "message": self.verdict.message,
            "package": self.verdict.package,
        }


def architecture() -> str:
    """This host's architecture in Go's words."""
    machine = platform.machine()
    return ARCHITECTURES.get(machine, machine)


def try_bundle(path: str, subject: str, loader: Loader) -> Tuple[List[Dict[str, Any]], List[Finding]]:
    """Load every file that this gateway would open of a bundle; what came of each, and what is wrong."""
    opened = bundle_archive.read(path, MAX_UNPACKED, subject)
    wrong = [one for one in opened.findings if one.severity.value == "error"]
    if wrong or opened.manifest is None:
        return [], wrong
    if not bundles.is_go(opened.manifest):
        return [], []
    wanted, missing = files_for(opened.manifest, [str(one["name"]) for one in opened.files], subject, loader.version)
    if missing:
        return [], missing
    if not can_plugin_load(loader.version):
        return [], [
            info(
                "driver-unsupported",
                subject,
                f"A gateway {loader.version} has no command to load a plugin (it came with 5.0.0), so {subject} was not "
                f"tried.",
                "Nothing needs to be done; the plugin's effect is proven by requests.",
            )
        ]
    if not os.access(loader.binary, os.X_OK):
        return [], [
            error(
                "setting-invalid",
                loader.binary,
                f"The program {loader.binary} that has to load {subject} does not exist, or may not be run.",
                "Stage the target's package first, or correct the path of the program.",
            )
        ]
    with unpacked(path, sorted({name for name, _symbol in wanted})) as folder:
        loaded = [load(folder, (name,), symbol, loader) for name, symbol in wanted]
        if all(one.verdict.ok for one in loaded):
            loaded.extend(load_together(folder, wanted, loader))
    return [one.to_dict() for one in loaded], findings_from(loaded, loader)


def findings_from(loaded: Sequence[Load], loader: Loader) -> List[Finding]:
    """One finding for each file and cause: a file that does not load fails for every function in the same words."""
    first = {(one.files, one.verdict.message): one for one in reversed(loaded) if not one.verdict.ok}
    return [
        finding_of(loader.name, " with ".join(one.files), one.symbol, one.verdict) for one in reversed(first.values())
    ]


def files_for(
    manifest: Mapping[str, Any], names: List[str], subject: str, version: str
) -> Tuple[List[Tuple[str, str]], List[Finding]]:
    """File and symbol of each hook as a gateway of this version resolves them, and a finding for each it cannot."""
    wanted: Dict[Tuple[str, str], None] = {}
    missing = []
    for hook in bundles.hooks(manifest):
        if hook.disabled and can_plugin_load(version):
            continue  # since 5.0.0, which is when the command came, too
        found = resolve(version, hook.path, names, "linux", architecture(), hook.phase)
        if found is None:
            missing.append(
                error(
                    "bundle-no-file",
                    subject,
                    f"In {subject} a gateway {version} on linux/{architecture()} finds no file for {hook.path}.",
                    "Build the bundle for this version and architecture, too.",
                )
            )
        else:
            wanted[(found, hook.name)] = None
    return list(wanted), missing


def load_together(folder: str, wanted: Sequence[Tuple[str, str]], loader: Loader) -> List[Load]:
    """Load each two files into one process: they may share a plugin path, or need two versions of a package."""
    symbols: Dict[str, str] = {}
    for name, symbol in wanted:
        symbols.setdefault(name, symbol)
    together = []
    for first, second in itertools.combinations(symbols, 2):
        tried = load(folder, (first, second), symbols[first], loader)
        if tried.verdict.code == "plugin-symbol-missing":  # only the first has to have it; both were opened
            tried = Load(tried.files, tried.symbol, tried.code, Verdict(True))
        together.append(tried)
    return together


@contextmanager
def unpacked(path: str, names: List[str]) -> Iterator[str]:
    """These files of the bundle, whose names were found flat, in a folder of their own that is gone afterwards."""
    base = STATE_FOLDER if os.access(STATE_FOLDER, os.W_OK) else None
    folder = tempfile.mkdtemp(prefix="load-", dir=base)
    try:
        with zipfile.ZipFile(path) as archive:
            for name in names:
                with archive.open(name) as source, open(os.path.join(folder, name), "wb") as target:
                    shutil.copyfileobj(source, target, 1 << 20)
        yield folder
    finally:
        shutil.rmtree(folder, ignore_errors=True)


def load(folder: str, files: Tuple[str, ...], symbol: str, loader: Loader) -> Load:
    """Load files of the folder in a process of its own and look one symbol up."""
    paths = ",".join(os.path.join(folder, name) for name in files)
    environment = {"PATH": "/usr/sbin:/usr/bin:/sbin:/bin", "HOME": folder, **loader.environment}
    with tempfile.TemporaryFile() as output:
        try:
            process = subprocess.Popen(  # pylint: disable=consider-using-with
                [loader.binary, "plugin", "load", "-f", paths, "-s", symbol],
                cwd=folder,
                env=environment,
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=subprocess.STDOUT,
                start_new_session=True,
            )
        except OSError as problem:
            message = f"it cannot be started: {problem.strerror}"
            remedy = "Stage the target's package for this host's architecture, or correct the path of the program."
            return Load(files, symbol, None, Verdict(False, "plugin-mismatch", message, "", remedy))
        try:
            code: Optional[int] = process.wait(timeout=loader.timeout)
        except subprocess.TimeoutExpired:
            code = None
        with suppress(ProcessLookupError):
            os.killpg(process.pid, signal.SIGKILL)  # what a plugin may have started, too
        process.wait()
        output.seek(0)
        said = output.read(MAX_OUTPUT).decode("utf-8", "replace")
    if code is not None and code < 0:  # the shell's way to say which signal ended it, as the judgement has it
        code = 128 - code
    return Load(files, symbol, code, judge(code, said.replace(f"{folder}/", "")))
