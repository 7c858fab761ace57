# Copyright (c) 2026 tyk.upgrade contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The generated pages say what the code says now."""

from __future__ import annotations

import runpy
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[3]
TOOL = runpy.run_path(str(ROOT / "tools" / "generate_docs.py"))


@pytest.mark.parametrize("name", sorted(TOOL["PAGES"]))
def test_page_is_up_to_date(name):
    assert (ROOT / "docs" / name).read_text() == TOOL["PAGES"][name](), "run tools/generate_docs.py"
