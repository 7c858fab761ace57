# Copyright (c) 2026 tyk.upgrade contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Loading plugins in the very gateway image that shall run them, in containers that are thrown away.

Each file and symbol gets a process of its own: a plugin of another Go generation kills the process that opens it.
"""

from __future__ import annotations

import os
import re
import uuid
from dataclasses import dataclass
from typing import Any, Dict, Optional

from ansible_collections.tyk.upgrade.plugins.module_utils._clients.docker_engine import Engine, tar_of
from ansible_collections.tyk.upgrade.plugins.module_utils._domain.findings import Finding, error

FOLDER = "tyk-upgrade-verify"
LABEL_VERIFY = "tyk.upgrade.verify"
LINES_SHOWN = 5

_MISMATCH = re.compile(r"plugin was built with a different version of package ([^\s,()\"]+)")
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
_NO_LOADER = ("is disabled, please rebuild", "GetSymbol is disabled", "GetHandler is disabled")
_NO_COMMAND = (
    "expected command but got",
    "unexpected plugin",
    "unknown command",
    "unknown long flag",
    "unexpected argument",
)


@dataclass(frozen=True)
class Verdict:
    """What the gateway said about one symbol of one file."""

    ok: bool
    code: str = ""  # the finding's code when it is not
    message: str = ""
    package: str = ""
    remedy: str = ""


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
    if "no plugin module data" in output or exit_code == 2 and "fatal error:" in output:
        cause = re.search(r"fatal error: .*", output)
        return Verdict(
            False,
            "plugin-crash",
            f"the gateway's process died ({cause.group(0) if cause else f'exit code {exit_code}'})",
            "",
            "It was built by another generation of Go; compile it with the compiler of the gateway's version.",
        )
    if any(text in output for text in _NO_LOADER):
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


def _last(output: str) -> str:
    lines = [line for line in output.strip().splitlines() if line.strip()]
    return "\n".join(lines[-LINES_SHOWN:])


def load_once(engine: Engine, image: str, path: str, symbol: str, timeout: float) -> Dict[str, Any]:
    """Load one file in a fresh container without network and look one symbol up; what came of it."""
    name = os.path.basename(path)
    with open(path, "rb") as source:
        archive = tar_of([(f"{FOLDER}/{name}", source.read(), 0o644)])
    body = {
        "Image": image,
        "Cmd": ["plugin", "load", "-f", f"/{FOLDER}/{name}", "-s", symbol],
        "Labels": {LABEL_VERIFY: "1"},
        "Healthcheck": {"Test": ["NONE"]},
        "HostConfig": {"NetworkMode": "none", "LogConfig": {"Type": "json-file", "Config": {"max-size": "1m"}}},
    }
    container = engine.create(body, f"tyk-upgrade-verify-{uuid.uuid4().hex[:12]}")
    try:
        engine.put(container, "/", archive, name)
        engine.start(container, image)
        code = engine.wait(container, timeout)
        verdict = judge(code, engine.logs(container))
    finally:
        engine.remove(container, volumes=True, force=True)
    return {"image": image, "file": path, "symbol": symbol, "rc": code, "verdict": verdict}


def finding_of(image: str, path: str, symbol: str, verdict: Verdict) -> Finding:
    """The verdict as a finding."""
    return error(
        verdict.code,
        f"{os.path.basename(path)} in {image}",
        f"{os.path.basename(path)} ({symbol}) cannot be loaded by {image}: {verdict.message}.",
        verdict.remedy,
    )
