# Copyright (c) 2026 tyk.upgrade contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The lab at its first version, and a way to run the playbook against a changed copy of its inventory.

What is in ``linux`` needs a lab of Linux hosts (LAB_TARGET=linux), everything else the one of containers.
"""

from __future__ import annotations

import os
import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[1] / "lab"))

from fixtures import lab, scenario  # noqa: E402

collect_ignore = ["test_refusals.py"] if os.environ.get("LAB_TARGET") == "linux" else ["linux"]

__all__ = ["lab", "scenario"]
