# Copyright (c) 2026 tyk.upgrade contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What becomes of a task whose host is lost; tests/unit/playbooks plays it."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any, Dict, Optional

import pytest
from ansible.errors import AnsibleConnectionFailure

from ansible_collections.tyk.upgrade.plugins.action.reached import ActionModule, HostLost

SSH = "Failed to connect to the host via ssh:\r\n Connection refused."


class Lost(ActionModule):
    def __init__(self, problem: Exception, **task: Any) -> None:
        self._problem = problem
        self._task = SimpleNamespace(**{"name": "Look", "action": "tyk.upgrade.container_info", "delegate_to": None, **task})

    def _run(self, tmp: Optional[str], task_vars: Optional[Dict[str, Any]]) -> Dict[str, Any]:
        raise self._problem


def test_without_ignore_unreachable_it_is_unreachable_as_with_any_module() -> None:
    with pytest.raises(AnsibleConnectionFailure, match="Connection refused"):
        Lost(AnsibleConnectionFailure(SSH), ignore_unreachable=None).run(task_vars={"inventory_hostname": "gw1"})


@pytest.mark.parametrize(
    "task, begins",
    [
        ({}, 'The host gw1 could not be reached for "Look" (Failed to connect to the host via ssh: Connection refused). Whether '),
        ({"delegate_to": "builder", "name": ""}, 'The host builder could not be reached for "tyk.upgrade.container_info" ('),
    ],
)
def test_with_ignore_unreachable_it_fails_and_says_where_and_what(task: Dict[str, Any], begins: str) -> None:
    problem = AnsibleConnectionFailure(SSH)
    result = Lost(problem, ignore_unreachable=True, **task).run(task_vars={"inventory_hostname": "gw1"})
    assert result.pop("msg").startswith(begins)
    assert result == {"failed": True, "unreachable": True, "changed": False}


def test_what_says_all_itself_is_said_as_it_is() -> None:
    lost = Lost(HostLost("The compilation on builder goes on."), ignore_unreachable=True)
    assert lost.run(task_vars={})["msg"] == "The compilation on builder goes on."


def test_any_other_problem_is_none_of_its_business() -> None:
    with pytest.raises(OSError):
        Lost(OSError("No space left."), ignore_unreachable=True).run(task_vars={})
