# Copyright (c) 2026 tyk.upgrade contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""What a failed task said, as one sentence and its findings, whatever shape its result has."""

from __future__ import annotations

from typing import Any, Dict, List, Mapping


def findings(result: Mapping[str, Any]) -> List[Dict[str, Any]]:
    """The error findings of a failed result, those of its loop items included."""
    found = [dict(entry) for entry in result.get("findings") or [] if entry.get("severity") == "error"]
    for item in failed_items(result):
        found.extend(findings(item))
    return found


def message(result: Mapping[str, Any]) -> str:
    """One text that says what failed. A loop's own message says nothing, so its items' messages are taken."""
    items = failed_items(result)
    if items:
        return " ".join(message(item) for item in items)
    text = str(result.get("msg") or "").strip()
    if not text:
        text = " ".join(str(entry.get("message")) for entry in findings(result))
    return text or "A task failed without a message."


def failed_items(result: Mapping[str, Any]) -> List[Mapping[str, Any]]:
    """The failed items of a looped task's result."""
    items = result.get("results")
    if not isinstance(items, (list, tuple)):
        return []
    return [item for item in items if isinstance(item, Mapping) and item.get("failed")]
