# Copyright (c) 2026 tyk.upgrade contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""api_definition_info, _patch and _restore against a stand-in of the Dashboard API on loopback."""

from __future__ import annotations

import json
import stat
from pathlib import Path
from typing import Any, Dict, Iterator, List, Optional

import pytest

from ansible_collections.tyk.upgrade.tests.unit.plugins.modules.module_runner import run_failing, run_module
from ansible_collections.tyk.upgrade.tests.unit.plugins.modules.servers import (
    DashboardServer,
    FixedServer,
    Request,
    json_reply,
)

OLD, NEW = "header-1.zip", "header-t0123456789ab.zip"


@pytest.fixture
def dashboard() -> Iterator[DashboardServer]:
    with DashboardServer() as server:
        for identifier in ("orders", "invoices", "customers"):
            server.add(identifier, OLD)
        server.add("catalog")
        server.add_oas("shipments", OLD)
        yield server


def connection(server: Any, **more: Any) -> Dict[str, Any]:
    return {"dashboard_url": server.url, "dashboard_token": "dashboard-token", **more}


def info(server: Any, **more: Any) -> Dict[str, Any]:
    return run_module("api_definition_info", connection(server, **more))


def digests(server: DashboardServer) -> Dict[str, str]:
    return {api["id"]: api["digest"] for api in info(server)["apis"]}


def patch(
    server: Any,
    backup: Path,
    ids: Any = ("orders", "invoices", "shipments"),
    check: bool = False,
    diff: bool = False,
    expect: Optional[Dict[str, Any]] = None,
    **more: Any,
) -> Dict[str, Any]:
    changes = [{"id": identifier, "bundle": NEW, "expect_bundle": OLD, **(expect or {})} for identifier in ids]
    arguments = connection(server, changes=changes, backup=str(backup), **more)
    return run_module("api_definition_patch", arguments, check=check, diff=diff)


def codes(result: Dict[str, Any]) -> List[str]:
    return [finding["code"] for finding in result["findings"]]


def outcomes(result: Dict[str, Any]) -> Dict[str, str]:
    return {entry["id"]: entry["outcome"] for entry in result["results"]}


# --- info


def test_info_lists_both_kinds(dashboard: DashboardServer) -> None:
    result = info(dashboard)
    assert not result["changed"] and result["findings"] == []
    assert [api["id"] for api in result["apis"]] == ["catalog", "customers", "invoices", "orders", "shipments"]
    by_id = {api["id"]: api for api in result["apis"]}
    assert by_id["orders"]["kind"] == "classic" and by_id["orders"]["bundle"] == OLD
    assert by_id["shipments"]["kind"] == "oas" and by_id["shipments"]["bundle"] == OLD
    assert by_id["catalog"]["bundle"] == ""
    assert by_id["orders"]["listen_path"] == "/orders/"


def test_info_walks_all_pages_and_lists_each_api_once(dashboard: DashboardServer) -> None:
    for number in range(60):
        dashboard.add(f"more-{number:02d}")
    dashboard.page_size = 7
    result = info(dashboard)
    assert len(result["apis"]) == 65
    assert len({api["id"] for api in result["apis"]}) == 65


def test_info_reads_on_when_the_list_grows_meanwhile(dashboard: DashboardServer) -> None:
    dashboard.page_size = 3

    def grow(request: Request) -> Any:
        if request.query.get("p") == "2":
            for number in range(6):
                dashboard.add(f"late-{number}")
        return None

    dashboard.forge = grow
    assert len(info(dashboard)["apis"]) == 11


def test_info_filters(dashboard: DashboardServer) -> None:
    assert [api["id"] for api in info(dashboard, kind="oas")["apis"]] == ["shipments"]
    assert len(info(dashboard, bundle=OLD)["apis"]) == 4
    result = info(dashboard, ids=["orders", "nowhere"])
    assert [api["id"] for api in result["apis"]] == ["orders"]
    assert codes(result) == ["dashboard-error"] and "nowhere" in result["findings"][0]["message"]


def test_info_returns_definitions_only_when_asked(dashboard: DashboardServer) -> None:
    assert "definitions" not in info(dashboard)
    definitions = info(dashboard, include_definitions=True)["definitions"]
    assert definitions["orders"]["user_owners"] == ["owner-1"]
    assert "x-tyk-api-gateway" in definitions["shipments"]["oas"]


def test_a_digest_does_not_change_with_the_servers_own_fields(dashboard: DashboardServer) -> None:
    before = digests(dashboard)
    dashboard.items["orders"]["api_definition"]["updated_at"] = "2030-01-01T00:00:00Z"
    assert digests(dashboard) == before
    dashboard.items["orders"]["api_definition"]["active"] = False
    assert digests(dashboard)["orders"] != before["orders"]


def test_a_wrong_token_is_a_sentence_without_the_token(dashboard: DashboardServer) -> None:
    result = run_failing("api_definition_info", {"dashboard_url": dashboard.url, "dashboard_token": "a-wrong-token"})
    assert codes(result) == ["dashboard-unauthorized"]
    assert "answered 401 with Not authorised" in result["msg"]
    assert "a-wrong-token" not in str(result)


def test_the_token_may_come_from_the_environment(dashboard: DashboardServer, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TYK_DASHBOARD_TOKEN", "dashboard-token")
    assert len(run_module("api_definition_info", {"dashboard_url": dashboard.url})["apis"]) == 5


def test_netrc_does_not_replace_the_token(
    dashboard: DashboardServer, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    netrc = tmp_path / "netrc"
    netrc.write_text("machine 127.0.0.1 login someone password else\n")
    netrc.chmod(0o600)
    monkeypatch.setenv("NETRC", str(netrc))
    assert not info(dashboard)["failed"]


@pytest.mark.parametrize(
    ("reply", "code", "part"),
    [
        ((200, {"Content-Type": "text/html"}, b"<html>login</html>"), "dashboard-error", "not what a Tyk Dashboard"),
        (json_reply(200, {"Status": "Error", "Message": "licence expired"}), "dashboard-error", "licence expired"),
        (json_reply(200, ["no", "object"]), "dashboard-error", "not what a Tyk Dashboard"),
        (json_reply(500, {"Status": "Error", "Message": "no database"}), "dashboard-error", "no database"),
        (None, "dashboard-unreachable", "closed without an answer"),
    ],
)
def test_a_dashboard_that_does_not_answer_properly(reply: Any, code: str, part: str) -> None:
    with FixedServer(lambda request: reply) as server:
        result = run_failing("api_definition_info", connection(server))
    assert codes(result) == [code] and part in result["msg"]


def test_a_busy_dashboard_is_asked_again(dashboard: DashboardServer) -> None:
    busy = {"left": 2}

    def forge(request: Request) -> Any:
        if busy["left"]:
            busy["left"] -= 1
            return json_reply(503, {"Status": "Error", "Message": "busy"})
        return None

    dashboard.forge = forge
    assert len(info(dashboard)["apis"]) == 5


# --- patch


def test_patch_switches_both_kinds_and_keeps_the_wrapper(dashboard: DashboardServer, tmp_path: Path) -> None:
    before = json.loads(json.dumps(dashboard.items["orders"]))
    result = patch(dashboard, tmp_path / "apis.json")
    assert result["changed"] and not result["failed"], result
    assert dashboard.bundles() == {
        "orders": NEW,
        "invoices": NEW,
        "customers": OLD,
        "catalog": "",
        "shipments": NEW,
    }
    assert set(dashboard.writes) == {"orders", "invoices", "shipments"}
    after = dashboard.items["orders"]
    for key in ("hook_references", "user_owners", "user_group_owners", "sort_by", "is_site"):
        assert after[key] == before[key]
    assert [(entry["id"], entry["from_bundle"], entry["to_bundle"]) for entry in result["results"]] == [
        ("orders", OLD, NEW),
        ("invoices", OLD, NEW),
        ("shipments", OLD, NEW),
    ]


def test_patch_twice_is_unchanged(dashboard: DashboardServer, tmp_path: Path) -> None:
    digest = {"expect_digest": digests(dashboard)["orders"]}
    assert patch(dashboard, tmp_path / "apis.json", ids=["orders"], expect=digest)["changed"]
    again = patch(dashboard, tmp_path / "apis.json", ids=["orders"], expect=digest)
    assert not again["changed"] and again["backup"] is None
    assert outcomes(again) == {"orders": "unchanged"}
    assert dashboard.writes == ["orders"]


def test_patch_finishes_what_was_half_done(dashboard: DashboardServer, tmp_path: Path) -> None:
    patch(dashboard, tmp_path / "apis.json", ids=["orders"])
    result = patch(dashboard, tmp_path / "apis.json")
    assert outcomes(result) == {"orders": "unchanged", "invoices": "written", "shipments": "written"}
    assert result["backup"] == str(tmp_path / "apis.1.json")


def test_check_mode_predicts_exactly_and_writes_nothing(dashboard: DashboardServer, tmp_path: Path) -> None:
    patch(dashboard, tmp_path / "first.json", ids=["orders"])
    writes = list(dashboard.writes)
    predicted = patch(dashboard, tmp_path / "apis.json", check=True, diff=True)
    assert dashboard.writes == writes and not (tmp_path / "apis.json").exists()
    assert predicted["backup"] is None
    real = patch(dashboard, tmp_path / "apis.json", diff=True)
    assert predicted["changed"] and real["changed"]
    changed = [[entry["id"] for entry in result["results"] if entry["changed"]] for result in (predicted, real)]
    assert changed[0] == changed[1] == ["invoices", "shipments"]
    assert predicted["diff"] == real["diff"]
    assert real["diff"]["before"] == {
        "invoices (invoices)": {"bundle": OLD, "bundle_enabled": True},
        "shipments (shipments)": {"bundle": OLD, "bundle_enabled": True},
    }
    assert real["diff"]["after"]["shipments (shipments)"]["bundle"] == NEW


def test_the_backup_is_complete_private_and_written_before_the_first_put(
    dashboard: DashboardServer, tmp_path: Path
) -> None:
    backup = tmp_path / "deep" / "apis.json"
    existed: List[bool] = []
    dashboard.before_put = lambda identifier: existed.append(backup.exists())  # type: ignore[func-returns-value]
    result = patch(dashboard, backup)
    assert existed == [True] * 3 and result["backup"] == str(backup)
    assert stat.S_IMODE(backup.stat().st_mode) == 0o600
    content = json.loads(backup.read_text())
    assert [entry["id"] for entry in content["apis"]] == ["invoices", "orders", "shipments"]
    assert content["apis"][1]["item"]["user_owners"] == ["owner-1"]
    assert content["apis"][1]["item"]["api_definition"]["custom_middleware_bundle"] == OLD
    assert "x-tyk-api-gateway" in content["apis"][2]["item"]["oas"]
    assert [path.name for path in backup.parent.iterdir()] == ["apis.json"]


def test_a_backup_never_replaces_another(dashboard: DashboardServer, tmp_path: Path) -> None:
    backup = tmp_path / "apis.json"
    backup.write_text("precious")
    result = patch(dashboard, backup, ids=["orders"])
    assert backup.read_text() == "precious"
    assert result["backup"] == str(tmp_path / "apis.1.json")


def test_a_backup_that_cannot_be_written_stops_before_the_first_put(dashboard: DashboardServer, tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    result = patch(dashboard, tmp_path / "file" / "apis.json")
    assert result["failed"] and "no API definition was written" in result["msg"]
    assert dashboard.writes == []


@pytest.mark.parametrize("check", [False, True])
def test_drift_of_one_api_refuses_all(dashboard: DashboardServer, tmp_path: Path, check: bool) -> None:
    dashboard.items["invoices"]["api_definition"]["custom_middleware_bundle"] = "someone-elses.zip"
    result = patch(dashboard, tmp_path / "apis.json", check=check)
    assert result["failed"] and codes(result) == ["api-drift"]
    assert "invoices" in result["msg"] and "someone-elses.zip" in result["msg"]
    assert dashboard.writes == [] and not (tmp_path / "apis.json").exists()


def test_an_edit_since_the_digest_was_taken_is_drift(dashboard: DashboardServer, tmp_path: Path) -> None:
    expect = {"expect_digest": digests(dashboard)["orders"]}
    dashboard.items["orders"]["api_definition"]["proxy"]["listen_path"] = "/elsewhere/"
    result = patch(dashboard, tmp_path / "apis.json", ids=["orders"], expect=expect)
    assert codes(result) == ["api-drift"] and "was edited since" in result["msg"]
    assert dashboard.writes == []


def test_a_missing_api_refuses_all_with_all_names(dashboard: DashboardServer, tmp_path: Path) -> None:
    result = patch(dashboard, tmp_path / "apis.json", ids=["orders", "gone-1", "gone-2"])
    assert result["failed"] and dashboard.writes == []
    assert "gone-1" in result["msg"] and "gone-2" in result["msg"]


def test_an_edit_just_before_the_put_is_noticed(dashboard: DashboardServer, tmp_path: Path) -> None:
    reads = {"orders": 0}

    def edit(request: Request) -> Any:
        if request.method == "GET" and request.path == "/api/apis/orders":
            reads["orders"] += 1
            if reads["orders"] == 2:
                dashboard.items["orders"]["api_definition"]["active"] = False
        return None

    dashboard.forge = edit
    result = patch(dashboard, tmp_path / "apis.json", ids=["orders"])
    assert result["failed"] and codes(result) == ["api-drift"]
    assert "edited while this ran" in result["msg"] and dashboard.writes == []
    assert not result["changed"]


def test_a_partial_failure_says_exactly_what_was_written(dashboard: DashboardServer, tmp_path: Path) -> None:
    def refuse(identifier: str) -> Any:
        return json_reply(400, {"Status": "Error", "Message": "schema"}) if identifier == "invoices" else None

    dashboard.before_put = refuse
    result = patch(dashboard, tmp_path / "apis.json", workers=1)
    assert result["failed"] and result["changed"]
    assert outcomes(result) == {"orders": "written", "invoices": "failed", "shipments": "not attempted"}
    assert dashboard.writes == ["orders"]
    assert "1 of 3 API definitions were written" in result["msg"]
    assert "Written: orders." in result["msg"] and "Not written: invoices." in result["msg"]
    assert "Not begun: shipments." in result["msg"] and str(tmp_path / "apis.json") in result["msg"]
    assert codes(result) == ["dashboard-error"]


def test_a_connection_lost_after_the_write_is_settled_by_reading_back(
    dashboard: DashboardServer, tmp_path: Path
) -> None:
    hang_up = {"orders": True}

    original = dashboard.answer

    def answer(request: Request) -> Any:
        reply = original(request)
        if request.method == "PUT" and hang_up.pop("orders", None):
            return None
        return reply

    dashboard.answer = answer  # type: ignore[method-assign]
    result = patch(dashboard, tmp_path / "apis.json", ids=["orders"])
    assert not result["failed"], result
    assert outcomes(result) == {"orders": "written"}


def test_a_connection_lost_before_the_write_is_tried_once_more(dashboard: DashboardServer, tmp_path: Path) -> None:
    hang_up = {"left": 1}

    original = dashboard.answer

    def answer(request: Request) -> Any:
        if request.method == "PUT" and hang_up["left"]:
            hang_up["left"] -= 1
            return None
        return original(request)

    dashboard.answer = answer  # type: ignore[method-assign]
    assert outcomes(patch(dashboard, tmp_path / "apis.json", ids=["orders"])) == {"orders": "written"}
    hang_up["left"] = 9
    result = patch(dashboard, tmp_path / "apis.json", ids=["invoices"])
    assert result["failed"] and outcomes(result) == {"invoices": "failed"}
    assert codes(result) == ["dashboard-unreachable"] and dashboard.writes == ["orders"]


def test_200_with_status_error_is_a_failure(dashboard: DashboardServer, tmp_path: Path) -> None:
    dashboard.before_put = lambda identifier: json_reply(200, {"Status": "Error", "Message": "not today"})
    result = patch(dashboard, tmp_path / "apis.json", ids=["orders"])
    assert result["failed"] and "not today" in result["msg"] and not result["changed"]


def test_an_ok_that_changed_nothing_is_a_failure(dashboard: DashboardServer, tmp_path: Path) -> None:
    dashboard.before_put = lambda identifier: json_reply(200, {"Status": "OK", "Message": "API updated"})
    result = patch(dashboard, tmp_path / "apis.json", ids=["orders"])
    assert result["failed"] and "reads back unchanged" in result["msg"]


def test_another_field_stored_differently_is_a_warning(dashboard: DashboardServer, tmp_path: Path) -> None:
    def rewrite(identifier: str) -> Any:
        dashboard.items[identifier]["api_definition"]["new_server_field"] = 1

    dashboard.after_put = rewrite
    result = patch(dashboard, tmp_path / "apis.json", ids=["orders"])
    assert not result["failed"] and result["findings"][0]["severity"] == "warning"


def test_the_same_api_twice_is_refused(dashboard: DashboardServer, tmp_path: Path) -> None:
    result = patch(dashboard, tmp_path / "apis.json", ids=["orders", "orders"])
    assert result["failed"] and "more than once: orders" in result["msg"]


def test_an_oas_api_is_never_written_as_classic(dashboard: DashboardServer, tmp_path: Path) -> None:
    patch(dashboard, tmp_path / "apis.json", ids=["shipments"])
    assert dashboard.count("PUT", "/api/apis/oas/shipments") == 1
    assert dashboard.count("PUT") == 1


def test_a_dashboard_that_hides_oas_from_the_classic_endpoint(dashboard: DashboardServer, tmp_path: Path) -> None:
    def hide(request: Request) -> Any:
        if request.path == "/api/apis/shipments":
            return json_reply(404, {"Status": "Error", "Message": "not found"})
        return None

    dashboard.forge = hide
    result = patch(dashboard, tmp_path / "apis.json", ids=["shipments"])
    assert not result["failed"] and dashboard.bundle("shipments") == NEW


# --- restore


def restore(server: Any, backup: Any, check: bool = False, **more: Any) -> Dict[str, Any]:
    return run_module("api_definition_restore", connection(server, backup=str(backup), **more), check=check, diff=True)


def test_restore_puts_back_and_is_idempotent(dashboard: DashboardServer, tmp_path: Path) -> None:
    before = digests(dashboard)
    backup = patch(dashboard, tmp_path / "apis.json")["backup"]
    predicted = restore(dashboard, backup, check=True)
    assert predicted["changed"] and dashboard.bundle("orders") == NEW
    result = restore(dashboard, backup)
    assert result["changed"] and predicted["diff"] == result["diff"]
    assert digests(dashboard) == before
    assert dashboard.items["orders"]["user_owners"] == ["owner-1"]
    again = restore(dashboard, backup)
    assert not again["changed"] and set(outcomes(again).values()) == {"unchanged"}


def test_restore_of_some(dashboard: DashboardServer, tmp_path: Path) -> None:
    backup = patch(dashboard, tmp_path / "apis.json")["backup"]
    result = restore(dashboard, backup, ids=["shipments"])
    assert outcomes(result) == {"shipments": "written"}
    assert dashboard.bundle("shipments") == OLD and dashboard.bundle("orders") == NEW
    missing = restore(dashboard, backup, ids=["catalog"])
    assert missing["failed"] and "catalog" in missing["msg"]


def test_restore_names_other_fields_but_not_their_values(dashboard: DashboardServer, tmp_path: Path) -> None:
    backup = patch(dashboard, tmp_path / "apis.json", ids=["orders"])["backup"]
    dashboard.items["orders"]["api_definition"]["auth_token"] = "s3cret-value"
    result = restore(dashboard, backup)
    assert result["diff"]["after"]["orders (orders)"]["other_fields"] == ["auth_token"]
    assert "s3cret-value" not in str(result)
    assert "auth_token" not in dashboard.items["orders"]["api_definition"]


def test_restore_does_not_create_what_was_deleted(dashboard: DashboardServer, tmp_path: Path) -> None:
    backup = patch(dashboard, tmp_path / "apis.json")["backup"]
    writes = list(dashboard.writes)
    del dashboard.items["orders"]
    result = restore(dashboard, backup)
    assert result["failed"] and "orders" in result["msg"] and dashboard.writes == writes


@pytest.mark.parametrize("content", [None, "no json", "{}", '{"schema": "other"}'])
def test_what_is_no_backup_is_refused(dashboard: DashboardServer, tmp_path: Path, content: Optional[str]) -> None:
    path = tmp_path / "apis.json"
    if content is not None:
        path.write_text(content)
    result = restore(dashboard, path)
    assert result["failed"] and "nothing was restored" in result["msg"] and dashboard.writes == []
