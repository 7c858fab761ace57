# Copyright (c) 2026 tyk.upgrade contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""container_trial on a real engine: a copy is judged by its log and never stays."""

from __future__ import annotations

from typing import Any

import pytest

pytestmark = pytest.mark.engine


@pytest.fixture
def served(bench: Any, old_image: str) -> str:
    return bench.container(
        "trial",
        {
            "Image": old_image,
            "Env": ["REDIS_DATABASE=0", "SECRET=hidden-value"],
            "HostConfig": {"PortBindings": {"8080/tcp": [{"HostIp": "127.0.0.1", "HostPort": "28932"}]}},
        },
    )


def test_a_copy_that_says_it_works_is_believed_and_removed(
    run_module: Any, bench: Any, served: str, new_image: str
) -> None:
    before = bench.inspect(served)["State"]["StartedAt"]
    result = run_module(
        "container_trial",
        name=served,
        image=new_image,
        env={"REDIS_DATABASE": "15"},
        success=["serving new"],
        failure=["cannot"],
        timeout=10,
    )
    assert result["lines"] == ["standin: serving new"], result
    assert result["changed"] is False
    assert bench.names(served) == [served]
    assert bench.inspect(served)["State"]["StartedAt"] == before
    assert "hidden-value" not in str(result)


def test_a_copy_that_fails_is_refused_in_its_own_words(
    run_module: Any, bench: Any, served: str, dying_image: str
) -> None:
    result = run_module(
        "container_trial", name=served, image=dying_image, success=["serving"], failure=["cannot go on"], timeout=10
    )
    assert result["failed"]
    assert "standin: cannot go on" in result["msg"]
    assert result["findings"][0]["code"] == "pump-backend"
    assert bench.names(served) == [served]


def test_silence_until_the_deadline_is_a_refusal(run_module: Any, bench: Any, served: str, new_image: str) -> None:
    result = run_module("container_trial", name=served, image=new_image, success=["logged in"], timeout=1)
    assert result["failed"] and "did not say within 1 s" in result["msg"]
    assert bench.names(served) == [served]


def test_observing_starts_nothing(run_module: Any, bench: Any, served: str) -> None:
    result = run_module("container_trial", name=served, state="observed", success=["serving old"], timeout=5)
    assert result["lines"] == ["standin: serving old"], result


def test_check_mode_starts_nothing(run_module: Any, bench: Any, served: str, dying_image: str) -> None:
    result = run_module("container_trial", check_mode=True, name=served, image=dying_image, success=["serving"])
    assert not result.get("failed"), result


def test_a_broken_pattern_is_said(run_module: Any, served: str, new_image: str) -> None:
    result = run_module("container_trial", name=served, image=new_image, success=["("])
    assert result["failed"] and "is not a regular expression" in result["msg"]
