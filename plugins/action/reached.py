# Copyright (c) 2026 tyk.upgrade contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Runs any module of this collection; with `ignore_unreachable` a host that cannot be reached fails the task.

Ansible treats an unreachable host apart from a failed one: no rescue begins. Without `ignore_unreachable` the host leaves the
run. With it, a task of one host counts as done; one that runs once for all ends the run after the play, with exit code 0
(ansible-core 2.19) or at once (2.16). A run that must stop and say so can use neither, so its plays ignore unreachable hosts
and these modules fail. Which modules: plugin_routing in meta/runtime.yml.
"""

from __future__ import annotations

from typing import Any, Dict, Optional

from ansible.errors import AnsibleConnectionFailure
from ansible.plugins.action.normal import ActionModule as OrdinaryModule


class HostLost(AnsibleConnectionFailure):
    """Its message says all there is to say."""


class ActionModule(OrdinaryModule):
    """The module's own arguments, and nothing else."""

    def run(self, tmp: Optional[str] = None, task_vars: Optional[Dict[str, Any]] = None) -> Dict[str, Any]:
        try:
            return self._run(tmp, task_vars)
        except AnsibleConnectionFailure as problem:
            if not self._task.ignore_unreachable:
                raise
            host = self._task.delegate_to or (task_vars or {}).get("inventory_hostname")
            reason = " ".join(str(problem).split())
            sentence = reason if isinstance(problem, HostLost) else (
                f'The host {host} could not be reached for "{self._task.name or self._task.action}" ({reason.rstrip(".")}). Whether that was '
                "done is not known; the next run looks and goes on from what it finds."
            )
            return {"failed": True, "unreachable": True, "changed": False, "msg": sentence}

    def _run(self, tmp: Optional[str], task_vars: Optional[Dict[str, Any]]) -> Dict[str, Any]:
        return dict(super().run(tmp, task_vars))
