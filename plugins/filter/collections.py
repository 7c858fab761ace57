# Copyright (c) 2026 tyk.upgrade contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Which other collections the controller has."""

from __future__ import annotations

import importlib.util
from typing import Any, Callable, Dict


def collection_installed(name: str) -> bool:
    """Whether Ansible finds the collection, so that a task of it can be included."""
    try:
        return importlib.util.find_spec(f"ansible_collections.{name}") is not None
    except (ImportError, ValueError):
        return False


class FilterModule:
    """What Ansible loads."""

    def filters(self) -> Dict[str, Callable[..., Any]]:
        return {"collection_installed": collection_installed}
