# Copyright (c) 2026 tyk.upgrade contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Options that modules share can be set for all of them at once."""

from __future__ import annotations

import re
from pathlib import Path

import yaml

ROOT = Path(__file__).resolve().parents[3]


def test_the_group_of_the_engine_has_every_module_that_takes_its_options() -> None:
    group = yaml.safe_load((ROOT / "meta" / "runtime.yml").read_text())["action_groups"]["docker"]
    extends = re.compile(r"^  - tyk\.upgrade\.docker$", re.MULTILINE)
    assert group == [path.stem for path in sorted((ROOT / "plugins" / "modules").glob("*.py")) if extends.search(path.read_text())]
