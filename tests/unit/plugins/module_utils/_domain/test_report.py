# Copyright (c) 2026 tyk.upgrade contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The report: assembled from journal and plan, true to its schema, readable at the end of a run."""

from __future__ import annotations

import copy
from datetime import datetime, timedelta, timezone
from typing import Any, Dict, List

import jsonschema
import pytest

from ansible_collections.tyk.upgrade.plugins.module_utils._domain import journal, report
from ansible_collections.tyk.upgrade.plugins.module_utils._domain import plan as planning
from ansible_collections.tyk.upgrade.plugins.module_utils._domain.findings import error
from ansible_collections.tyk.upgrade.plugins.module_utils._domain.journal import Line
from ansible_collections.tyk.upgrade.plugins.module_utils._domain.plan import Wanted
from ansible_collections.tyk.upgrade.plugins.module_utils._domain.state import State
from ansible_collections.tyk.upgrade.tests.unit.plugins.module_utils._domain.plan_world import FROM, TO, wishes, world

START = datetime(2026, 11, 23, 16, 0, 0, tzinfo=timezone.utc)
PLAN = planning.build(State.from_dict(world()), Wanted.from_dict(wishes())).to_dict()
METERS = {
    "traffic": {
        "requests": 41234,
        "failed": 0,
        "plugin_effect_missing": 0,
        "unauthorized_allowed": 0,
        "p50_ms": 2.25,
        "p99_ms": 14,
        "answered": 41234,
    },
    "analytics": {"records_in": 41000, "records_out": 41000},
    "lab": {"images": "stand-in", "stand_ins": ["control plane", "gateway"]},
}


class Run:
    """Writes a journal, a second a line."""

    def __init__(self) -> None:
        self.lines: List[Line] = []
        self.say("opened")

    def say(self, event: str, stage: str = "", unit: str = "", **data: Any) -> Run:
        time = journal.timestamp(START + timedelta(seconds=len(self.lines)))
        self.lines.append(journal.append(self.lines, time, "run-1", event, stage, unit, data))
        return self


def whole_run() -> List[Line]:
    run = Run().say("begin", "plan")
    run.say("observed", "plan", gateways=dict.fromkeys(("gw1", "gw2", "gw3"), FROM), plan_sha256="a" * 64)
    for stage in ("plan", "prepare", "control_plane", "switch", "pump"):
        if stage != "plan":
            run.say("begin", stage)
        run.say("done", stage)
    run.say("begin", "gateways")
    for host in ("gw1", "gw2", "gw3"):
        run.say("begin", "gateways", host).say("done", "gateways", host, version=TO)
    run.say("done", "gateways")
    return run.say("closed", result="succeeded").lines


def valid(assembled: Dict[str, Any]) -> bool:
    """Both checks must agree."""
    own = report.problems(assembled) == []
    library = jsonschema.Draft202012Validator(report.SCHEMA).is_valid(assembled)
    assert own is library
    return own


def test_the_schema_is_one() -> None:
    jsonschema.Draft202012Validator.check_schema(report.SCHEMA)


def test_a_whole_run() -> None:
    lines = whole_run()
    assembled = report.assemble(lines, PLAN, METERS)
    assert valid(assembled)
    assert (assembled["result"], assembled["from"], assembled["to"]) == ("succeeded", FROM, TO)
    assert assembled["run_id"] == "run-1"
    assert [(stage["name"], stage["result"]) for stage in assembled["stages"]] == [
        (name, "succeeded") for name in ("plan", "prepare", "control_plane", "switch", "pump", "gateways")
    ]
    assert assembled["gateways"][0] == {
        "host": "gw1", "deployment": "docker", "from": FROM, "to": TO, "seconds": 1.0,
    }  # fmt: skip
    assert [(each["id"], each["from_bundle"]) for each in assembled["apis"]] == [
        (each["id"], each["from_bundle"]) for each in PLAN["apis"]
    ]
    assert "answered" not in assembled["traffic"]
    assert assembled["analytics"] == METERS["analytics"] and assembled["lab"] == METERS["lab"]
    assert assembled["plan_sha256"] == "a" * 64
    assert assembled["journal_head"] == journal.head(lines)


def test_meters_are_optional() -> None:
    assembled = report.assemble(whole_run(), PLAN, {})
    assert valid(assembled)
    assert not {"traffic", "analytics", "lab"} & set(assembled)


def test_downloads_are_told_with_how_they_were_measured() -> None:
    one = {"host": "gw1", "bundle": "a.zip", "bytes": 9, "seconds": 0.125, "means": "network namespace of the container tyk"}
    run = Run().say("observed", "prepare", "plugins", downloads=[{**one, "seconds": 9.0}])
    run.say("observed", "prepare", "plugins", downloads=[{**one, "url": "http://not-told"}])
    assembled = report.assemble(run.say("closed", result="succeeded").lines, PLAN, {})
    assert valid(assembled) and assembled["downloads"] == [one]
    assert any(line.split() == ["a.zip", "gw1", "0.12", "s", *one["means"].split()] for line in report.closing_table(assembled))
    assert "downloads" not in report.assemble(whole_run(), PLAN, {})


def test_a_refusal_changed_nothing_and_says_why() -> None:
    run = Run().say("begin", "plan").say("observed", "plan", gateways={"gw1": FROM}, plan_sha256="a" * 64)
    run.say("done", "plan").say("begin", "prepare")
    finding = error("plugin-mismatch", "HeaderPlugin", "Built with another.", "Use the right one.").to_dict()
    run.say("halted", "prepare", message="Nothing was changed.", findings=[finding, {"code": "made-up"}])
    assembled = report.assemble(run.say("closed", result="refused").lines, PLAN, {})
    assert valid(assembled)
    assert assembled["result"] == "refused" and assembled["message"] == "Nothing was changed."
    assert assembled["findings"] == [finding, *PLAN["findings"]]
    assert assembled["apis"] == []
    assert [(each["from"], each["to"]) for each in assembled["gateways"]] == [(FROM, FROM), (None, None), (None, None)]


def test_a_run_without_a_plan() -> None:
    run = Run().say("begin", "plan").say("halted", "plan", message="The Dashboard refused the token.")
    assembled = report.assemble(run.say("closed", result="refused").lines, {}, {})
    assert valid(assembled)
    assert (assembled["from"], assembled["to"], assembled["gateways"]) == ("", "", [])


def test_a_run_that_was_never_closed_is_no_success() -> None:
    assert report.assemble(Run().lines, {}, {})["result"] == "unfinished"
    assert report.assemble(Run().say("halted", "plan", message="No.").lines, {}, {})["result"] == "halted"


def test_what_the_switch_wrote_down_counts_more_than_the_plan() -> None:
    moved = {**PLAN["apis"][0], "changed": True}
    run = Run().say("begin", "switch").say("failed", "switch", apis=[moved])
    assembled = report.assemble(run.say("closed", result="halted").lines, PLAN, {})
    assert valid(assembled)
    assert assembled["apis"] == [{key: moved[key] for key in ("id", "name", "kind", "from_bundle", "to_bundle")}]


def test_a_half_done_fleet_comes_from_where_the_rest_was() -> None:
    run = Run().say("observed", "plan", gateways={"gw1": TO, "gw2": FROM})
    assert report.assemble(run.lines, {"to": TO}, {})["from"] == FROM
    nothing = Run().say("observed", "plan", gateways={"gw1": TO, "gw2": TO})
    assert report.assemble(nothing.lines, {"to": TO}, {})["from"] == TO


def test_there_must_be_a_run() -> None:
    with pytest.raises(ValueError, match="no run"):
        report.assemble([], {}, {})
    with pytest.raises(ValueError, match="no run 'other'"):
        report.assemble(Run().lines, {}, {}, "other")


@pytest.mark.parametrize(
    "change",
    [
        lambda each: each.update(result="fine"),
        lambda each: each.pop("from"),
        lambda each: each.update(extra=1),
        lambda each: each.update(schema="v2"),
        lambda each: each.update(plan_sha256="no digest"),
        lambda each: each["stages"].append({"name": "lunch", "seconds": 1, "result": "succeeded"}),
        lambda each: each["stages"][0].update(seconds=-1),
        lambda each: each["gateways"][0].update(seconds="1"),
        lambda each: each["gateways"][0].update(seconds=True),
        lambda each: each["gateways"][0].pop("host"),
        lambda each: each["traffic"].update(failed=None),
        lambda each: each["traffic"].pop("failed"),
        lambda each: each.update(apis={}),
        lambda each: each["findings"].append({"code": "made-up"}),
    ],
)
def test_departures_from_the_schema_are_noticed(change: Any) -> None:
    assembled = copy.deepcopy(report.assemble(whole_run(), PLAN, METERS))
    assert valid(assembled)
    change(assembled)
    assert not valid(assembled)


def test_the_closing_table() -> None:
    assembled = report.assemble(whole_run(), PLAN, METERS)
    lines = report.closing_table(assembled)
    assert lines[0] == "Succeeded: 5.3.0 to 5.8.9 (run run-1)"
    assert "Stage          Result     Seconds" in lines
    assert "control_plane  succeeded      1.0" in lines
    assert "Gateway  Deployment  From   To     Seconds" in lines
    assert "gw1      docker      5.3.0  5.8.9      1.0" in lines
    assert any(line.startswith("orders") and "header-1.zip" in line for line in lines)
    assert (
        "Traffic: 41234 requests, 0 failed, 0 without the plugin's effect, 0 let through that must be refused; "
        "p50 2.25 ms, p99 14 ms." in lines
    )
    assert "Analytics: 41000 records in, 41000 out." in lines
    assert "Lab images: stand-in (stand-ins: control plane, gateway)." in lines


def test_the_closing_table_of_a_refusal_gives_the_reasons() -> None:
    finding = error("disk-small", "gw1", "No room.", "Make room.").to_dict()
    run = Run().say("halted", "plan", message="Refused.", findings=[finding]).say("closed", result="refused")
    lines = report.closing_table(report.assemble(run.lines, {}, {}))
    assert lines[0] == "Refused (run run-1)" and lines[1] == "Reason: Refused."
    assert lines[-1] == "Error [disk-small] gw1: No room. Make room."
