# Copyright (c) 2026 tyk.upgrade contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The journal's chain of digests, and what it says about a run."""

from __future__ import annotations

import json
from datetime import datetime, timedelta, timezone
from typing import Any, List

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from ansible_collections.tyk.upgrade.plugins.module_utils._domain import journal
from ansible_collections.tyk.upgrade.plugins.module_utils._domain.findings import Severity
from ansible_collections.tyk.upgrade.plugins.module_utils._domain.journal import Line

START = datetime(2026, 11, 23, 16, 0, 0, tzinfo=timezone.utc)


def at(seconds: float) -> str:
    return journal.timestamp(START + timedelta(seconds=seconds))


def write(*events: Any, run_id: str = "r1") -> List[Line]:
    """Lines from (seconds, event, stage, unit, data), of which the last three may be left out."""
    lines: List[Line] = []
    for second, event, *rest in events:
        stage, unit, data = [*rest, *["", "", {}][len(rest) :]]
        lines.append(journal.append(lines, at(second), run_id, event, stage, unit, data))
    return lines


def text(lines: List[Line]) -> str:
    return "".join(line.to_json() + "\n" for line in lines)


SOME = write((0, "opened"), (1, "begin", "plan"), (2, "done", "plan"), (3, "begin", "gateways", "gw1"))


def test_a_journal_is_read_as_it_was_written() -> None:
    lines, torn, findings = journal.verify(text(SOME))
    assert (lines, torn, findings) == (SOME, False, [])
    assert [line.seq for line in lines] == [1, 2, 3, 4]
    assert lines[0].prev == journal.NO_LINE
    assert lines[3].prev == journal.digest(lines[2])
    assert journal.head(lines) == journal.digest(lines[3])


def test_no_journal_is_an_empty_one() -> None:
    assert journal.verify("") == ([], False, [])
    assert journal.head([]) == journal.NO_LINE
    assert journal.last_run([]) is None


@settings(max_examples=60, deadline=None)
@given(st.integers(min_value=1, max_value=len(text(SOME)) - 1))
def test_a_journal_cut_anywhere_keeps_its_whole_lines(length: int) -> None:
    cut = text(SOME)[:length]
    lines, torn, findings = journal.verify(cut)
    assert lines == SOME[: cut.count("\n")]
    assert torn is not cut.endswith("\n")
    assert [each.severity for each in findings] == ([Severity.WARNING] if torn else [])


@settings(max_examples=100, deadline=None)
@given(st.data())
def test_every_changed_character_is_noticed(data: st.DataObject) -> None:
    whole = text(SOME)
    place = data.draw(st.integers(min_value=0, max_value=len(whole) - 2).filter(lambda index: whole[index] != "\n"))
    other = data.draw(st.sampled_from("0aZ\"{}: ").filter(lambda character: character != whole[place]))
    lines, unused, findings = journal.verify(whole[:place] + other + whole[place + 1 :])
    assert [each.code for each in findings if each.severity is Severity.ERROR] == ["journal-broken"]
    assert lines == SOME[: whole[:place].count("\n")]


@pytest.mark.parametrize("number", [0, 1, 2])
def test_a_line_taken_out_is_noticed(number: int) -> None:
    lines = SOME[:number] + SOME[number + 1 :]
    kept, unused, findings = journal.verify(text(lines))
    assert len(kept) == number and findings[0].severity is Severity.ERROR


def test_a_line_rewritten_with_a_digest_of_its_own_breaks_the_next() -> None:
    forged = Line(**{**SOME[1].to_dict(), "stage": "prepare"})
    kept, unused, findings = journal.verify(text([SOME[0], forged, *SOME[2:]]))
    assert len(kept) == 2
    assert "line 3" in findings[0].message.lower() and "does not follow" in findings[0].message


def test_lines_are_json_with_sorted_keys() -> None:
    written = json.loads(SOME[3].to_json())
    assert list(written) == sorted(written)
    assert written["unit"] == "gw1" and written["time"] == "2026-11-23T16:00:03.000Z"


def test_an_event_that_does_not_exist() -> None:
    with pytest.raises(ValueError, match="not an event"):
        journal.append([], at(0), "r1", "explode")


def test_the_view_of_a_whole_run() -> None:
    view = journal.run_view(
        write(
            (0, "opened", "", "", {"owner": "me"}),
            (0, "begin", "plan"),
            (1, "observed", "plan", "", {"gateways": {"gw1": "5.3.0", "gw2": "5.3.0", "gw3": None}}),
            (2.5, "done", "plan", "", {"plan_sha256": "f" * 64}),
            (3, "begin", "gateways"),
            (3, "begin", "gateways", "gw1"),
            (15, "done", "gateways", "gw1", {"version": "5.8.9"}),
            (15, "begin", "pump", "pump1"),
            (16, "observed", "pump", "pump1", {"version": "1.12.0"}),
            (20, "done", "gateways"),
            (21, "closed", "", "", {"result": "succeeded"}),
        ),
        "r1",
    )
    assert view.state == "succeeded" and view.closed and view.halted is None
    assert [step.to_dict() for step in view.stages] == [
        {"name": "plan", "result": "succeeded", "seconds": 2.5},
        {"name": "gateways", "result": "succeeded", "seconds": 17.0},
    ]
    assert [(step.stage, step.name, step.seconds) for step in view.units] == [
        ("gateways", "gw1", 12.0),
        ("pump", "pump1", 6.0),
    ]
    assert view.observed == {"gw1": ("5.3.0", "5.8.9"), "gw2": ("5.3.0",)}
    assert view.plan_sha256 == "f" * 64
    assert (view.opened, view.last) == (at(0), at(21))


def test_a_halt_ends_its_stage_and_says_why() -> None:
    lines = write(
        (0, "opened"),
        (1, "begin", "gateways"),
        (1, "begin", "gateways", "gw2"),
        (5, "halted", "gateways", "gw2", {"message": "gw2 did not come back.", "findings": [{"code": "x"}, 3]}),
    )
    view = journal.run_view(lines, "r1")
    assert view.state == "halted" and not view.closed
    assert view.halted == "gw2 did not come back."
    assert [(step.name, step.result, step.seconds) for step in view.stages] == [("gateways", "failed", 4.0)]
    assert [(step.name, step.result, step.seconds) for step in view.units] == [("gw2", "failed", 4.0)]
    assert view.findings == ({"code": "x"},)


def test_what_a_killed_run_had_begun_is_unfinished() -> None:
    view = journal.run_view(write((0, "opened"), (1, "begin", "gateways"), (2, "begin", "gateways", "gw1")), "r1")
    assert view.state == "running"
    assert [step.result for step in (*view.stages, *view.units)] == ["unfinished", "unfinished"]


def test_a_stage_entered_twice_adds_up() -> None:
    view = journal.run_view(
        write(
            (0, "opened"),
            (0, "begin", "switch"),
            (2, "failed", "switch"),
            (5, "begin", "switch"),
            (6, "done", "switch"),
        ),
        "r1",
    )
    assert [step.to_dict() for step in view.stages] == [{"name": "switch", "result": "succeeded", "seconds": 3.0}]


def test_what_is_open_when_the_run_is_closed_ends_with_it() -> None:
    events = [(0, "opened"), (1, "begin", "report")]
    good = journal.run_view(write(*events, (3, "closed", "", "", {"result": "succeeded"})), "r1")
    bad = journal.run_view(write(*events, (3, "closed", "", "", {"result": "halted"})), "r1")
    assert (good.stages[0].result, good.stages[0].seconds) == ("succeeded", 2.0)
    assert (bad.stages[0].result, bad.stages[0].seconds) == ("unfinished", 2.0)


def test_runs_do_not_mix() -> None:
    lines = write((0, "opened"), (1, "begin", "plan"))
    lines.append(journal.append(lines, at(2), "r2", "opened"))
    lines.append(journal.append(lines, at(3), "r2", "halted", "plan", "", {"message": "No."}))
    assert journal.last_run(lines) == "r2"
    assert journal.run_view(lines, "r1").state == "running"
    assert journal.run_view(lines, "r2").state == "halted"
    with pytest.raises(ValueError, match="no run 'r3'"):
        journal.run_view(lines, "r3")
