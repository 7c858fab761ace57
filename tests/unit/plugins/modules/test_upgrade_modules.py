# Copyright (c) 2026 tyk.upgrade contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""upgrade_plan, upgrade_journal and upgrade_report as Ansible runs them."""

from __future__ import annotations

import json
import stat
from pathlib import Path
from typing import Any, Dict, List

import pytest

from ansible_collections.tyk.upgrade.plugins.modules import upgrade_report
from ansible_collections.tyk.upgrade.tests.unit.plugins.module_utils._domain.plan_world import FROM, TO, wishes, world
from ansible_collections.tyk.upgrade.tests.unit.plugins.modules.module_runner import run_failing, run_module


def plan(**args: Any) -> Dict[str, Any]:
    check = args.pop("check", False)
    result = run_module("upgrade_plan", {"state": world(), "wanted": wishes(), **args}, check=check)
    assert not result["failed"] and not result["changed"]
    return result


def codes(result: Dict[str, Any]) -> List[str]:
    return [finding["code"] for finding in result["findings"]]


# -- upgrade_plan


def test_the_plan_and_its_words() -> None:
    result = plan()
    assert result["plan"]["schema"] == "tyk.upgrade/plan/v1"
    assert result["plan"]["changes"] == 15 and not result["plan"]["empty"]
    assert [(each["code"], each["severity"]) for each in result["findings"]] == [("backup-names-old-bundle", "info")]
    assert result["summary"][0] == "Upgrade 3 gateways from 5.3.0 to 5.8.9; 15 changes in all."
    assert plan()["plan_sha256"] == result["plan_sha256"]


def test_check_mode_gives_the_same_plan(tmp_path: Path) -> None:
    dest = tmp_path / "plan.json"
    assert plan(check=True, dest=str(dest))["plan"] == plan()["plan"]
    assert not dest.exists()


def test_a_refused_plan_is_a_result(tmp_path: Path) -> None:
    result = plan(wanted=wishes(version=5.10))
    assert codes(result) == ["version-not-string"]
    assert result["summary"][-1] == "Refused for 1 reason; nothing was changed."


def test_a_plan_is_kept_and_applied_again(tmp_path: Path) -> None:
    kept = plan(dest=f"{tmp_path}/plans/")
    path = Path(kept["dest"])
    assert path == tmp_path / "plans" / f"{kept['plan_sha256']}.json"
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    assert json.loads(path.read_text()) == kept["plan"]
    for saved in (str(path), kept["plan"]):
        again = plan(saved_plan=saved)
        assert again["findings"] == kept["findings"] and again["plan"] == kept["plan"]
        assert again["saved_plan_sha256"] == kept["plan_sha256"]
    before = path.stat().st_mtime_ns
    plan(dest=f"{tmp_path}/plans")
    assert path.stat().st_mtime_ns == before


def test_a_saved_plan_that_the_world_has_left_is_refused(tmp_path: Path) -> None:
    saved = plan(dest=str(tmp_path / "plan.json"))["dest"]
    state = world()
    state["gateways"][1]["version"] = "5.4.0"
    state["apis"][0]["digest"] = "edited"
    result = plan(state=state, saved_plan=saved)
    drifted = {finding["subject"] for finding in result["findings"] if finding["code"] == "drift"}
    assert drifted == {"gw2", "orders"}


def test_a_saved_plan_of_another_target_is_refused(tmp_path: Path) -> None:
    saved = plan(dest=str(tmp_path / "plan.json"))["dest"]
    state = world()
    state["compilers"][1].update(version="5.8.8")
    result = plan(state=state, wanted=wishes(version="5.8.8"), saved_plan=saved)
    assert "drift" in codes(result)


@pytest.mark.parametrize(
    ("args", "said"),
    [
        ({"saved_plan": "/nowhere/plan.json"}, "saved plan /nowhere/plan.json cannot be read: No such file"),
        ({"saved_plan": 5}, "neither a plan nor the path"),
        ({"dest": "/dev/null/x/plan.json"}, "cannot be written"),
        ({"state": {"gateways": [{"version": FROM}]}}, "has no 'host'"),
        ({"state": {"findings": [{"code": "made-up"}]}}, "cannot be read"),
    ],
)
def test_input_that_cannot_be_read(args: Dict[str, Any], said: str) -> None:
    assert said in run_failing("upgrade_plan", {"state": world(), "wanted": wishes(), **args})["msg"]


@pytest.mark.parametrize(("content", "said"), [("{", "is not JSON"), ("[]", "is not a plan")])
def test_a_saved_file_that_is_no_plan(tmp_path: Path, content: str, said: str) -> None:
    path = tmp_path / "plan.json"
    path.write_text(content)
    failed = run_failing("upgrade_plan", {"state": world(), "wanted": wishes(), "saved_plan": str(path)})
    assert said in failed["msg"]


# -- upgrade_journal and upgrade_report


class Run:
    """One run in a journal."""

    def __init__(self, folder: Path) -> None:
        self.folder = str(folder)
        self.opened = run_module("upgrade_journal", {"dir": self.folder, "state": "open", "owner": "ann"})
        self.run_id = self.opened["run_id"]

    def say(self, state: str, stage: str = "", unit: str = "", **data: Any) -> Dict[str, Any]:
        args = {key: value for key, value in {"stage": stage, "unit": unit}.items() if value}
        result = run_module(
            "upgrade_journal",
            {"dir": self.folder, "run_id": self.run_id, "state": state, "data": data, **args},
        )
        assert not result["failed"], result["msg"]
        assert not result["changed"]
        return result

    def report(self, **args: Any) -> Dict[str, Any]:
        return run_module("upgrade_report", {"dir": self.folder, **args})


@pytest.fixture
def run(tmp_path: Path) -> Run:
    return Run(tmp_path / "journal")


def test_a_run_is_written_read_and_reported(run: Run) -> None:
    made = plan()
    run.say("begin", "plan")
    noted = run.say("observed", "plan", plan=made["plan"], gateways=dict.fromkeys(("gw1", "gw2", "gw3"), FROM))
    assert noted["run"]["plan_sha256"] == made["plan_sha256"]
    run.say("done", "plan")
    run.say("begin", "switch")
    run.say("done", "switch")
    run.say("begin", "gateways")
    run.say("begin", "gateways", "gw1")
    run.say("done", "gateways", "gw1", version=TO)
    assert run.say("done", "gateways")["run"]["state"] == "running"
    closed = run.say("close", result="succeeded")
    assert closed["run"]["state"] == "succeeded"
    assert run.say("close", result="succeeded")["head"] == closed["head"]

    result = run.report(meters={"analytics": {"records_in": 5, "records_out": 5}})
    assert not result["failed"] and not result["changed"]
    report = result["report"]
    assert (report["result"], report["from"], report["to"]) == ("succeeded", FROM, TO)
    assert report["gateways"][0]["to"] == TO and report["gateways"][1]["to"] == FROM
    assert len(report["apis"]) == 9
    assert report["plan_sha256"] == made["plan_sha256"] and report["journal_head"] == closed["head"]
    assert result["lines"][0].startswith("Succeeded: 5.3.0 to 5.8.9")
    assert '"plan":' not in Path(run.folder, "journal.jsonl").read_text()


def test_reading_needs_no_run(tmp_path: Path) -> None:
    folder = tmp_path / "none"
    result = run_module("upgrade_journal", {"dir": str(folder)})
    assert (result["run_id"], result["run"], result["findings"]) == ("", None, [])
    assert not folder.exists()


def test_reading_is_about_the_last_run(run: Run) -> None:
    run.say("halt", "plan", message="No.")
    result = run_module("upgrade_journal", {"dir": run.folder})
    assert result["run_id"] == run.run_id
    assert (result["run"]["state"], result["run"]["halted"]) == ("halted", "No.")


def test_opening_says_what_became_of_the_run_before(run: Run) -> None:
    assert run.opened["previous"] is None
    run.say("halt", "gateways", "gw2", message="No.")
    run.say("close", result="halted")
    again = Run(Path(run.folder))
    assert again.run_id != run.run_id
    assert again.opened["previous"]["run_id"] == run.run_id and again.opened["previous"]["state"] == "halted"


def test_check_mode_writes_nothing(tmp_path: Path, run: Run) -> None:
    folder = tmp_path / "other"
    opened = run_module("upgrade_journal", {"dir": str(folder), "state": "open"}, check=True)
    assert opened["run_id"] and opened["run"] is None and not folder.exists()
    before = Path(run.folder, "journal.jsonl").read_bytes()
    args = {"dir": run.folder, "run_id": run.run_id, "state": "begin", "stage": "plan"}
    assert run_module("upgrade_journal", args, check=True)["run"]["stages"] == []
    assert Path(run.folder, "journal.jsonl").read_bytes() == before


def test_another_owner_is_told_who_is_at_work(run: Run) -> None:
    failed = run_failing("upgrade_journal", {"dir": run.folder, "state": "open", "owner": "bob"})
    assert codes(failed) == ["lease-held"] and f"{run.run_id} of ann" in failed["msg"]


def test_a_changed_journal_is_told_and_refused(run: Run) -> None:
    run.say("begin", "plan")
    path = Path(run.folder, "journal.jsonl")
    path.write_text(path.read_text().replace('"ann"', '"bob"'))
    assert codes(run_module("upgrade_journal", {"dir": run.folder})) == ["journal-broken"]
    args = {"dir": run.folder, "run_id": run.run_id, "state": "done", "stage": "plan"}
    assert codes(run_failing("upgrade_journal", args)) == ["journal-broken"]


@pytest.mark.parametrize(
    ("args", "said"),
    [
        ({"state": "begin", "stage": "plan"}, "run_id"),
        ({"state": "begin", "run_id": "r9"}, "stage"),
        ({"state": "begin", "run_id": "r9", "stage": "lunch"}, "lunch"),
        ({"state": "begin", "run_id": "r9", "stage": "plan"}, "knows no run r9"),
        ({"state": "close", "run_id": "r9", "data": {"result": "fine"}}, "not as 'fine'"),
        ({"state": "open", "lease": 0}, "at least one second"),
        ({"run_id": "r9"}, "knows no run 'r9'"),
    ],
)
def test_journal_entries_that_make_no_sense(run: Run, args: Dict[str, Any], said: str) -> None:
    assert said in run_failing("upgrade_journal", {"dir": run.folder, **args})["msg"]


def test_there_is_nothing_to_report(tmp_path: Path) -> None:
    assert "no run to report" in run_failing("upgrade_report", {"dir": str(tmp_path)})["msg"]


@pytest.mark.parametrize("library", [True, False])
def test_meters_that_say_nonsense(run: Run, monkeypatch: pytest.MonkeyPatch, library: bool) -> None:
    monkeypatch.setattr(upgrade_report, "HAS_JSONSCHEMA", library)
    assert not run.report()["failed"]
    failed = run.report(meters={"analytics": {"records_in": -1, "records_out": 0}})
    assert failed["failed"] and "records_in" in failed["msg"]


def test_a_run_is_reported_by_its_name(run: Run) -> None:
    run.say("close", result="refused")
    Run(Path(run.folder)).say("close")
    assert run.report(run_id=run.run_id)["report"]["result"] == "refused"
    assert run.report()["report"]["result"] == "succeeded"


def test_two_runs_of_one_user_are_kept_apart(tmp_path: Path) -> None:
    args = {"dir": str(tmp_path / "journal"), "state": "open"}
    first = run_module("upgrade_journal", args)
    assert codes(run_failing("upgrade_journal", args)) == ["lease-held"]
    run_module("upgrade_journal", {"dir": args["dir"], "state": "close", "run_id": first["run_id"]})
    assert not run_module("upgrade_journal", args)["failed"]
