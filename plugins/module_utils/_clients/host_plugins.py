# Copyright (c) 2026 tyk.upgrade contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Loading a bundle's plugins with a gateway's own program on the host that it runs on.

A gateway from a Linux package has no image to try a plugin in. Its program is there, though, with the very libraries of
the host. Each file and symbol gets a process of its own: a plugin of another Go generation kills the process that opens
it, and that must not be the gateway.
"""

from __future__ import annotations

import os
import platform
import shutil
import signal
import subprocess
import tempfile
import zipfile
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any, Dict, Iterator, List, Mapping, Optional, Tuple

from ansible_collections.tyk.upgrade.plugins.module_utils._clients import bundle_archive
from ansible_collections.tyk.upgrade.plugins.module_utils._clients.plugin_load import Verdict, finding_of, judge
from ansible_collections.tyk.upgrade.plugins.module_utils._domain import bundles
from ansible_collections.tyk.upgrade.plugins.module_utils._domain.behaviours import can_plugin_load
from ansible_collections.tyk.upgrade.plugins.module_utils._domain.findings import Finding, error, info
from ansible_collections.tyk.upgrade.plugins.module_utils._domain.resolution import resolve

MAX_UNPACKED = 1 << 30
MAX_OUTPUT = 1 << 20
#: The names that Go has for what Python calls the machine.
ARCHITECTURES = {"x86_64": "amd64", "aarch64": "arm64", "s390x": "s390x"}


@dataclass(frozen=True)
class Loader:
    """A gateway's program and the version that it is."""

    binary: str
    version: str
    timeout: float = 60

    @property
    def name(self) -> str:
        return f"{self.binary} ({self.version})"


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
    if not can_plugin_load(loader.version):
        return [], [
            info(
                "driver-unsupported",
                subject,
                f"A gateway {loader.version} has no command to load a plugin (it came with 5.0.0), so {subject} was not tried.",
                "Nothing needs to be done; the plugin's effect is proven by requests.",
            )
        ]
    wanted, missing = files_for(opened.manifest, [str(one["name"]) for one in opened.files], subject, loader.version)
    if missing:
        return [], missing
    loaded, findings = [], []
    with unpacked(path, sorted({name for name, _symbol in wanted})) as folder:
        for name, symbol in wanted:
            code, verdict = load(os.path.join(folder, name), symbol, loader)
            loaded.append({"file": name, "symbol": symbol, "rc": code, "ok": verdict.ok})
            if not verdict.ok:
                findings.append(finding_of(loader.name, name, symbol, verdict))
    return loaded, findings


def files_for(
    manifest: Mapping[str, Any], names: List[str], subject: str, version: str
) -> Tuple[List[Tuple[str, str]], List[Finding]]:
    """File and symbol of each hook as a gateway of this version resolves them, and a finding for each it cannot."""
    wanted: Dict[Tuple[str, str], None] = {}
    missing = []
    for hook in bundles.hooks(manifest):
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


@contextmanager
def unpacked(path: str, names: List[str]) -> Iterator[str]:
    """These files of the bundle, whose names were found flat, in a folder of their own that is gone afterwards."""
    folder = tempfile.mkdtemp(prefix="tyk-upgrade-load-")
    try:
        with zipfile.ZipFile(path) as archive:
            for name in names:
                with archive.open(name) as source, open(os.path.join(folder, name), "wb") as target:
                    shutil.copyfileobj(source, target, 1 << 20)
        yield folder
    finally:
        shutil.rmtree(folder, ignore_errors=True)


def load(path: str, symbol: str, loader: Loader) -> Tuple[Optional[int], Verdict]:
    """Load one file in a process of its own and look one symbol up; its exit code (None if it did not end) and what it means."""
    command = [loader.binary, "plugin", "load", "-f", path, "-s", symbol]
    environment = {"PATH": "/usr/sbin:/usr/bin:/sbin:/bin", "HOME": os.path.dirname(path)}
    try:
        process = subprocess.Popen(  # pylint: disable=consider-using-with
            command,
            cwd=os.path.dirname(path),
            env=environment,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            start_new_session=True,
        )
    except OSError as problem:
        remedy = "Stage the target's package first, or correct the path of the program."
        return None, Verdict(False, "plugin-mismatch", f"it cannot be started: {problem.strerror}", "", remedy)
    try:
        output, _errors = process.communicate(timeout=loader.timeout)
        code: Optional[int] = process.returncode
    except subprocess.TimeoutExpired:
        os.killpg(process.pid, signal.SIGKILL)
        output, _errors = process.communicate()
        code = None
    if code is not None and code < 0:  # the shell's way to say which signal ended it, as the judgement has it
        code = 128 - code
    return code, judge(code, output[-MAX_OUTPUT:].decode("utf-8", "replace"))
