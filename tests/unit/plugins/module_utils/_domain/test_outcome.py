# Copyright (c) 2026 tyk.upgrade contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""A failed result becomes one text, whatever its shape."""

from __future__ import annotations

import pytest

from ansible_collections.tyk.upgrade.plugins.module_utils._domain import outcome

BAD = {"code": "drift", "severity": "error", "message": "It moved."}
NOTE = {"code": "drift", "severity": "info", "message": "fine"}


@pytest.mark.parametrize(
    ("result", "text"),
    [
        ({"msg": "It broke. "}, "It broke."),
        ({"msg": "", "findings": [NOTE, BAD]}, "It moved."),
        (
            {
                "msg": "One or more items failed",
                "results": [{"failed": True, "msg": "one"}, {"msg": "fine"}, {"failed": True, "msg": "two"}],
            },
            "one two",
        ),
        ({"msg": "All items completed", "results": [{"msg": "fine"}]}, "All items completed"),
        ({}, "A task failed without a message."),
    ],
)
def test_message(result, text):
    assert outcome.message(result) == text


def test_findings_of_items_are_found():
    assert outcome.findings(
        {"findings": [NOTE], "results": [{"failed": True, "findings": [BAD]}, {"findings": [BAD]}]}
    ) == [BAD]


def test_a_pump_that_was_out_for_too_long_is_warned_about():
    assert outcome.pump_gap("pump1", 12.4, 60) == []
    assert outcome.pump_gap("pump1", None, 60) == []
    warned = outcome.pump_gap("pump1", 75.2, 60)[0]
    assert (warned["code"], warned["severity"], warned["subject"]) == ("pump-out-long", "warning", "pump1")
    assert "75 s" in warned["message"] and "60 s" in warned["message"]


def test_what_is_left_to_edit_by_hand_is_warned_about():
    assert outcome.manual_edits("gw1", []) == []
    warned = outcome.manual_edits("gw1", ["By hand: in run.sh, name v5.8.9."])[0]
    assert (warned["code"], warned["severity"], warned["subject"]) == ("source-of-truth", "warning", "gw1")
    assert warned["message"] == "By hand: in run.sh, name v5.8.9."
