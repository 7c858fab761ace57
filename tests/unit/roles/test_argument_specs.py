# Copyright (c) 2026 tyk.upgrade contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What a role's defaults set is what its argument specs describe."""

from __future__ import annotations

from pathlib import Path

import pytest
import yaml

ROOT = Path(__file__).resolve().parents[3]
ROLES = sorted(path.name for path in (ROOT / "roles").iterdir() if path.is_dir())
# A default that passes a shared variable or a fact of the run on is set there, not here.
SHARED = "tyk_"


def load(role, part):
    path = ROOT / "roles" / role / part
    return yaml.safe_load(path.read_text()) if path.exists() else {}


@pytest.mark.parametrize("role", ROLES)
def test_every_entry_point_has_a_task_file_and_every_task_file_that_is_included_by_name_a_spec(role):
    entries = load(role, "meta/argument_specs.yml")["argument_specs"]
    for entry in entries:
        assert (ROOT / "roles" / role / "tasks" / f"{entry}.yml").is_file(), f"{role} describes {entry}, which has no tasks"


@pytest.mark.parametrize("role", ROLES)
def test_every_default_is_described_or_passes_a_shared_variable_on(role):
    described = set()
    for entry in load(role, "meta/argument_specs.yml")["argument_specs"].values():
        described |= set(entry["options"])
    for name, value in load(role, "defaults/main.yml").items():
        passes_on = isinstance(value, str) and (SHARED in value or "hostvars[" in value)
        assert name in described or passes_on, f"{role}: {name} is neither described nor passes a shared variable on"


@pytest.mark.parametrize("role", ROLES)
def test_described_defaults_are_the_defaults(role):
    defaults = load(role, "defaults/main.yml")
    for entry in load(role, "meta/argument_specs.yml")["argument_specs"].values():
        for name, option in entry["options"].items():
            if "default" in option and name in defaults:
                assert defaults[name] == option["default"], f"{role}: {name}"
