# Copyright (c) 2026 tyk.upgrade contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Loading a bundle's plugins with a gateway's own program on the host that it runs on.

A gateway from a Linux package has no image to try a plugin in. Its program is there, though, with the very libraries of
the host. Each file and symbol gets a process of its own: a plugin of another Go generation kills the process that opens
it, and that must not be the gateway. Before 5.0.0 the program has no command for it, and before 5.2.4 none that takes
several files, so it runs as a gateway for a moment, with settings and ports of its own.
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
from contextlib import ExitStack, contextmanager, suppress
from dataclasses import dataclass, field, replace
from typing import Any, Dict, Iterator, List, Mapping, Optional, Sequence, Tuple

from ansible_collections.tyk.upgrade.plugins.module_utils._clients import bundle_archive
from ansible_collections.tyk.upgrade.plugins.module_utils._clients.plugin_load import (
    Hook,
    Loaded,
    Verdict,
    findings_of,
    for_another_machine,
    judge,
    with_types,
    without_panics,
    without_symbol,
)
from ansible_collections.tyk.upgrade.plugins.module_utils._clients.throwaway_gateway import (
    prove_together,
    prove_with_binary,
)
from ansible_collections.tyk.upgrade.plugins.module_utils._domain import bundles
from ansible_collections.tyk.upgrade.plugins.module_utils._domain.behaviours import can_load_several, can_plugin_load
from ansible_collections.tyk.upgrade.plugins.module_utils._domain.findings import Finding, error
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


def to_dict(loaded: Loaded) -> Dict[str, Any]:
    """As the module returns it."""
    return {
        "file": ",".join(os.path.basename(file) for file in loaded.files),
        "symbol": loaded.symbol,
        "rc": loaded.code,
        "ok": loaded.verdict.ok,
        "message": loaded.verdict.message,
        "package": loaded.verdict.package,
    }


def architecture() -> str:
    """This host's architecture in Go's words."""
    machine = platform.machine()
    return ARCHITECTURES.get(machine, machine)


def try_bundle(
    path: str, subject: str, loader: Loader, beside: Sequence[Tuple[str, str]] = ()
) -> Tuple[List[Dict[str, Any]], List[Finding]]:
    """Load every file that this gateway would open of a bundle; what came of each, and what is wrong.

    beside: path and subject of other bundles whose plugins are going to be in the same process. What is wrong with one
    of them by itself is not said here.
    """
    wanted, wrong = plugins_of(path, subject, loader.version)
    if wrong or not wanted:
        return [], wrong
    if not os.access(loader.binary, os.X_OK):
        return [], [
            error(
                "setting-invalid",
                loader.binary,
                f"The program {loader.binary} that has to load {subject} does not exist, or may not be run.",
                "Stage the target's package first, or correct the path of the program.",
            )
        ]
    with ExitStack() as stack:
        hooks = _unpack(stack, path, wanted)
        others: List[Hook] = []
        for other_path, other_subject in beside:
            others += _unpack(stack, other_path, plugins_of(other_path, other_subject, loader.version)[0])
        fitting, foreign = for_another_machine(hooks, architecture())
        loaded = with_types(load_all(fitting, others, loader) if fitting else [], hooks) + foreign
    return [to_dict(one) for one in loaded], findings_of(loader.name, loaded)


def plugins_of(path: str, subject: str, version: str) -> Tuple[List[Hook], List[Finding]]:
    """File (its name in the bundle) and function of the Go hooks of a bundle, as a gateway of this version resolves
    them; else what is wrong."""
    opened = bundle_archive.read(path, MAX_UNPACKED, subject)
    wrong = [one for one in opened.findings if one.severity.value == "error"]
    if wrong or opened.manifest is None or not bundles.is_go(opened.manifest):
        return [], wrong
    wanted, missing = files_for(opened.manifest, [str(one["name"]) for one in opened.files], subject, version)
    return ([], missing) if missing else (wanted, [])


def _unpack(stack: ExitStack, path: str, wanted: Sequence[Hook]) -> List[Hook]:
    if not wanted:
        return []
    folder = stack.enter_context(unpacked(path, sorted({hook.file for hook in wanted})))
    return [replace(hook, file=os.path.join(folder, hook.file)) for hook in wanted]


def load_all(hooks: Sequence[Hook], others: Sequence[Hook], loader: Loader) -> List[Loaded]:
    """Load each file, and then all that are going to share a process; where no command does it, by a gateway."""
    if not can_plugin_load(loader.version):
        own = {hook.file for hook in hooks}
        return [one for one in load_in_gateway([*hooks, *others], loader) if own.intersection(one.files)]
    loaded = [load((hook.file,), hook.symbol, loader) for hook in hooks]
    if all(one.verdict.ok for one in loaded) and can_load_several(loader.version):
        loaded.extend(load_together(hooks, others, loader))
    elif all(one.verdict.ok for one in loaded):
        quiet = without_panics(hooks, loaded)
        loaded.extend(prove_together(quiet, others, lambda some: load_in_gateway(some, loader)))
    return loaded


def load_in_gateway(hooks: Sequence[Hook], loader: Loader) -> List[Loaded]:
    """What a gateway says that runs for a moment."""
    folder = tempfile.mkdtemp(prefix="gateway-", dir=_base())
    try:
        return prove_with_binary(loader.binary, hooks, folder, loader.timeout, loader.environment)
    except OSError as problem:
        return [Loaded((hooks[0].file,), hooks[0].symbol, None, not_started(problem))]
    finally:
        shutil.rmtree(folder, ignore_errors=True)


def files_for(
    manifest: Mapping[str, Any], names: List[str], subject: str, version: str
) -> Tuple[List[Hook], List[Finding]]:
    """Each file and function as a gateway of this version resolves them, and a finding for each hook it cannot."""
    wanted: Dict[Tuple[str, str], List[str]] = {}
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
            wanted.setdefault((found, hook.name), []).append(hook.kind)
    return [Hook(file, symbol, tuple(dict.fromkeys(kinds))) for (file, symbol), kinds in wanted.items()], missing


def load_together(hooks: Sequence[Hook], others: Sequence[Hook], loader: Loader) -> List[Loaded]:
    """Load each two files into one process: they may share a plugin path, or need two versions of a package."""
    symbols = {hook.file: hook.symbol for hook in reversed(hooks)}
    own = list(dict.fromkeys(hook.file for hook in hooks))
    foreign = list(dict.fromkeys(hook.file for hook in others))
    pairs = [*itertools.combinations(own, 2), *itertools.product(own, foreign)]
    return [without_symbol(load(pair, symbols[pair[0]], loader)) for pair in pairs]


@contextmanager
def unpacked(path: str, names: List[str]) -> Iterator[str]:
    """These files of the bundle, whose names were found flat, in a folder of their own that is gone afterwards."""
    folder = tempfile.mkdtemp(prefix="load-", dir=_base())
    try:
        with zipfile.ZipFile(path) as archive:
            for name in names:
                with archive.open(name) as source, open(os.path.join(folder, name), "wb") as target:
                    shutil.copyfileobj(source, target, 1 << 20)
        yield folder
    finally:
        shutil.rmtree(folder, ignore_errors=True)


def _base() -> Optional[str]:
    return STATE_FOLDER if os.access(STATE_FOLDER, os.W_OK) else None


def load(files: Tuple[str, ...], symbol: str, loader: Loader) -> Loaded:
    """Load files in a process of its own and look one symbol up."""
    folder = os.path.dirname(files[0])
    environment = {"PATH": "/usr/sbin:/usr/bin:/sbin:/bin", "HOME": folder, **loader.environment}
    with tempfile.TemporaryFile() as output:
        try:
            process = subprocess.Popen(  # pylint: disable=consider-using-with
                [loader.binary, "plugin", "load", "-f", ",".join(files), "-s", symbol],
                cwd=folder,
                env=environment,
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=subprocess.STDOUT,
                start_new_session=True,
            )
        except OSError as problem:
            return Loaded(files, symbol, None, not_started(problem))
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
    for file in files:
        said = said.replace(f"{os.path.dirname(file)}/", "")
    return Loaded(files, symbol, code, judge(code, said))


def not_started(problem: OSError) -> Verdict:
    """The verdict about a program that the system does not run."""
    message = f"it cannot be started: {problem.strerror}"
    remedy = "Stage the target's package for this host's architecture, or correct the path of the program."
    return Verdict(False, "plugin-mismatch", message, "", remedy)
