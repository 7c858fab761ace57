# Copyright (c) 2026 tyk.upgrade contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Fixtures of the tests that run the playbook on a lab; each folder of such tests takes them in its conftest.py."""

from __future__ import annotations

from pathlib import Path

import pytest
from lab import Lab
from scenario import Scenario, lab_at_first_version


@pytest.fixture(scope="session", name="lab")
def lab() -> Lab:
    return lab_at_first_version()


@pytest.fixture(name="scenario")
def scenario(lab: Lab, tmp_path: Path) -> Scenario:
    return Scenario(lab, tmp_path)
