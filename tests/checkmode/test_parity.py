# Copyright (c) 2026 tyk.upgrade contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""``--check --diff`` says what the run then does; the second run does nothing. One story, told in order, under load."""

from __future__ import annotations

import re
from collections.abc import Iterator

import pytest
from load import Load, check_clean
from scenario import Run, Scenario, serving

TASK = re.compile(r"^TASK \[(?P<task>.+?)\] \*", re.M)
RESULT = re.compile(r"^changed: \[(?P<host>[^\]]+)\](?: => \(item=(?P<item>.*)\))?", re.M)


def changes(output: str) -> set[tuple[str, str, str]]:
    """(task, host, item) of everything that the run says it changed."""
    found = set()
    task = ""
    for line in output.splitlines():
        begun = TASK.match(line)
        if begun:
            task = begun["task"]
        changed = RESULT.match(line)
        if changed:
            host = changed["host"].split(" -> ")[0]
            found.add((task, host, changed["item"] or ""))
    return found


@pytest.fixture(scope="module")
def story(lab, tmp_path_factory) -> Iterator[dict[str, object]]:
    """Predict, run under load, run again."""
    scenario = Scenario(lab, tmp_path_factory.mktemp("parity"))
    before = serving(lab)
    predicted = scenario.play("--check", "--diff")
    untouched = serving(lab) == before
    load = Load(lab.settings, lab.stand_ins, scenario.directory / "load")
    load.reset_records()
    with load.running():
        done = scenario.play("--diff")
        reading = load.stop()
        records = load.drained(reading["answered"])
    upgraded = serving(lab)
    again = scenario.play("--diff")
    yield {
        "predicted": predicted,
        "untouched": untouched,
        "done": done,
        "wrong": check_clean(reading, records),
        "again": again,
        "same": serving(lab) == upgraded,
    }


def run_of(story: dict[str, object], name: str) -> Run:
    run = story[name]
    assert isinstance(run, Run)
    assert run.code == 0, run.output[-8000:]
    return run


def test_check_mode_changes_nothing(story: dict[str, object]) -> None:
    run_of(story, "predicted")
    assert story["untouched"]


def test_check_mode_predicts_the_changes(story: dict[str, object]) -> None:
    predicted = changes(run_of(story, "predicted").output)
    done = changes(run_of(story, "done").output)
    assert done, "the run changed nothing"
    assert predicted == done


def test_no_request_fails_and_no_record_is_lost(story: dict[str, object]) -> None:
    run_of(story, "done")
    assert story["wrong"] == []


def test_the_second_run_changes_nothing(story: dict[str, object]) -> None:
    again = run_of(story, "again")
    assert set(again.changed().values()) == {0}, again.output[-8000:]
    assert story["same"], "a container was restarted or a definition written"
