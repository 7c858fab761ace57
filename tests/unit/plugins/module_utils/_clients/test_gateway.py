# Copyright (c) 2026 tyk.upgrade contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The predicates of waiting, one row each."""

from __future__ import annotations

from typing import Any, Callable, Optional

import pytest

from ansible_collections.tyk.upgrade.plugins.module_utils._clients import gateway as gw

HERE = gw.Gateway("gw1", "http://gw1")


def health(**more: Any) -> gw.Health:
    values: Any = {"reachable": True, "version": "5.8.9", "status": "pass", "details": {"redis": "pass", "rpc": "pass"}}
    return gw.Health(HERE, **{**values, **more})


@pytest.mark.parametrize(
    ("predicate", "seen", "wanted", "expected"),
    [
        (gw.waits_for_answer, health(), gw.Wanted(), None),
        (gw.waits_for_answer, health(reachable=False, error="refused"), gw.Wanted(), "an answer (refused)"),
        (gw.waits_for_version, health(), gw.Wanted(), None),
        (gw.waits_for_version, health(), gw.Wanted(version="v5.8.9"), None),
        (gw.waits_for_version, health(), gw.Wanted(version="5.9.0"), "version 5.9.0 (it runs 5.8.9)"),
        (
            gw.waits_for_version,
            health(version=None),
            gw.Wanted(version="1.0.0"),
            "version 1.0.0 (it runs an unnamed version)",
        ),
        (gw.waits_for_readiness, health(ready=None), gw.Wanted(), None),
        (gw.waits_for_readiness, health(ready=True), gw.Wanted(), None),
        (gw.waits_for_readiness, health(ready=False), gw.Wanted(), "readiness (its readiness endpoint says no)"),
        (gw.waits_for_redis, health(), gw.Wanted(), None),
        (gw.waits_for_redis, health(details={}), gw.Wanted(), "details.redis pass (no details yet)"),
        (gw.waits_for_redis, health(details={}), gw.Wanted(redis=False), None),
        (gw.waits_for_redis, health(details={"redis": "fail"}), gw.Wanted(), "details.redis pass (it says fail)"),
        (gw.waits_for_rpc, health(details={"redis": "pass"}), gw.Wanted(), None),
        (gw.waits_for_rpc, health(details={"redis": "pass"}), gw.Wanted(rpc=True), "details.rpc pass (not listed)"),
        (gw.waits_for_rpc, health(details={"rpc": "warn"}), gw.Wanted(), "details.rpc pass (it says warn)"),
        (gw.waits_for_rpc, health(details={"rpc": "warn"}), gw.Wanted(rpc=False), None),
        (gw.waits_for_rpc, health(reachable=False), gw.Wanted(rpc=True), None),
    ],
)
def test_predicates(
    predicate: Callable[[gw.Health, gw.Wanted], Optional[str]],
    seen: gw.Health,
    wanted: gw.Wanted,
    expected: Optional[str],
) -> None:
    assert predicate(seen, wanted) == expected


def test_versions_lose_their_v() -> None:
    assert [gw.strip_v(text) for text in ("v4.0.3", "5.2.1", "")] == ["4.0.3", "5.2.1", ""]
