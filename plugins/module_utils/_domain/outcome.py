# Copyright (c) 2026 tyk.upgrade contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""What a task's result says: a failed one as one sentence and its findings, a pump's replacement by its time."""

from __future__ import annotations

from typing import Any, Dict, Iterable, List, Mapping, Optional

from ansible_collections.tyk.upgrade.plugins.module_utils._domain.findings import warning


def findings(result: Mapping[str, Any]) -> List[Dict[str, Any]]:
    """The error findings of a failed result, those of its loop items included."""
    found = [dict(entry) for entry in result.get("findings") or [] if entry.get("severity") == "error"]
    for item in failed_items(result):
        found.extend(findings(item))
    return found


def pump_gap(host: str, seconds: Optional[float], budget: float) -> List[Dict[str, Any]]:
    """What to say of a pump that took nothing off the list for these seconds; nothing when it was back in time."""
    if seconds is None or seconds <= budget:
        return []
    return [
        warning(
            "pump-out-long",
            host,
            f"The pump on {host} was out for {seconds:.0f} s; analytics records are kept for {budget:.0f} s, so some may be lost.",
            "Compare the analytics of this time with the load balancer's count, and give the gateways a longer "
            "analytics_config.storage_expiration_time before the next upgrade.",
        ).to_dict()
    ]


def manual_edits(host: str, edits: Iterable[str]) -> List[Dict[str, Any]]:
    """What a person has to write into own files after the upgrade; else the next run of other tooling takes it back."""
    return [
        warning(
            "source-of-truth",
            host,
            edit,
            "Make this edit before your own tooling runs again.",
        ).to_dict()
        for edit in edits
    ]


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
