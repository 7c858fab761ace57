# Copyright (c) 2026 tyk.upgrade contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""This machine under another name, which cannot be reached while the file LOST_HOSTS/<name> exists.

What the file says is when the connection breaks: "before" the command is carried out, or "after".
"""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

from ansible.errors import AnsibleConnectionFailure
from ansible.plugins.connection.local import Connection as LocalConnection

DOCUMENTATION = """
name: fragile
short_description: A host that can be lost
description: A host that can be lost.
options:
  pipelining:
    default: true
    type: bool
    description: Modules come over standard input.
"""


class Connection(LocalConnection):
    transport = "fragile"

    def exec_command(self, *args: Any, **kwargs: Any) -> Any:
        host = self._play_context.remote_addr
        lost = Path(os.environ["LOST_HOSTS"]) / str(host)
        when = lost.read_text() if lost.exists() else ""
        if when == "before":
            raise AnsibleConnectionFailure(f"Connection to {host} timed out")
        done = super().exec_command(*args, **kwargs)
        if when == "after":
            raise AnsibleConnectionFailure(f"Connection to {host} closed by remote host")
        return done
