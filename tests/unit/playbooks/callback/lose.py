# Copyright (c) 2026 tyk.upgrade contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Hosts are lost, and come back, when a task begins: LOSE is JSON, {task or "play / task": {host: "before", "after" or ""}}."""

from __future__ import annotations

import json
import os
from pathlib import Path
from typing import Any

from ansible.plugins.callback import CallbackBase

DOCUMENTATION = """
name: lose
type: aggregate
short_description: Loses hosts at tasks
description: Loses hosts at tasks.
"""


class CallbackModule(CallbackBase):
    CALLBACK_VERSION = 2.0
    CALLBACK_TYPE = "aggregate"
    CALLBACK_NAME = "lose"

    def v2_playbook_on_play_start(self, play: Any) -> None:
        self._play = play.get_name()

    def v2_playbook_on_task_start(self, task: Any, is_conditional: bool) -> None:
        lose = json.loads(os.environ["LOSE"])
        for host, when in {**lose.get(task.name, {}), **lose.get(f"{self._play} / {task.name}", {})}.items():
            lost = Path(os.environ["LOST_HOSTS"]) / host
            if when:
                lost.write_text(when)
            else:
                lost.unlink(missing_ok=True)
