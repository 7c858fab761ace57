# Copyright (c) 2026 tyk.upgrade contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What the modules that look at plugins share at their Ansible edge."""

from __future__ import annotations

from typing import Any, Dict

from ansible_collections.tyk.upgrade.plugins.module_utils._domain.build_info import SIGNATURES


def hooks_argument() -> Dict[str, Any]:
    """The option hooks of a plugin's file: the hooks that name its functions."""
    return {
        "type": "list",
        "elements": "dict",
        "default": [],
        "options": {
            "symbol": {"type": "str", "required": True},
            "kind": {"type": "str", "required": True, "choices": list(SIGNATURES)},
        },
    }
