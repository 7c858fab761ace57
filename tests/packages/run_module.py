# Copyright (c) 2026 tyk.upgrade contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Runs a module on the host under test: reads what to run as JSON, prints what the module prints.

With ``kill_at`` the process kills itself, as kill -9 does, at that change of the host: before it is made, or with
``inside`` (which counts programs only) right after the program that makes it was started, which then goes on alone.
"""

from __future__ import annotations

import importlib
import json
import os
import signal
import sys
from typing import Any

from ansible.module_utils import basic

from ansible_collections.tyk.upgrade.plugins.module_utils._clients import host_commands


def cut_off(at: int, inside: bool) -> None:
    seen = 0

    def counted(name: str) -> None:
        original = getattr(host_commands.Host, name)

        def step(self: Any, *arguments: Any, **options: Any) -> Any:
            nonlocal seen
            seen += 1
            if seen == at:
                if inside:
                    plain = host_commands.subprocess.Popen.communicate
                    host_commands.subprocess.Popen.communicate = die
                    try:
                        return original(self, *arguments, **options)
                    finally:
                        host_commands.subprocess.Popen.communicate = plain
                die()
            return original(self, *arguments, **options)

        setattr(host_commands.Host, name, step)

    for name in ("change",) if inside else ("change", "write", "remove"):
        counted(name)


def die(*_arguments: Any, **_options: Any) -> None:
    os.kill(os.getpid(), signal.SIGKILL)


def main() -> None:
    order = json.load(sys.stdin)
    if order.get("kill_at"):
        cut_off(order["kill_at"], order.get("inside", False))
    given = {**order["args"], "_ansible_check_mode": order.get("check", False), "_ansible_diff": True}
    basic._ANSIBLE_ARGS = json.dumps({"ANSIBLE_MODULE_ARGS": given}).encode()
    if hasattr(basic, "_ANSIBLE_PROFILE"):
        basic._ANSIBLE_PROFILE = "legacy"
    importlib.import_module(f"ansible_collections.tyk.upgrade.plugins.modules.{order['module']}").main()


if __name__ == "__main__":
    main()
