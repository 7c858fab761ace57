# Copyright (c) 2026 tyk.upgrade contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The lab at its first version, and a way to run the playbook against a changed copy of its inventory."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
sys.path.insert(0, str(ROOT / "tests" / "lab"))

from scenario import Scenario, lab_at_first_version  # noqa: E402


@pytest.fixture(scope="session")
def lab():
    return lab_at_first_version()


@pytest.fixture
def scenario(lab, tmp_path):
    return Scenario(lab, tmp_path)
