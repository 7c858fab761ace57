# Copyright (c) 2026 tyk.upgrade contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Runs the module plugin_compile and, with -v, shows what the compilers print while they print it.

A module cannot speak before it ends. So it runs as Ansible's asynchronous jobs do, and writes what the compilers print to a
file on its host, which is read here between looks at the job. Without -v it is an ordinary module.
"""

from __future__ import annotations

import re
import time
from typing import Any, Dict, Optional

from ansible.errors import AnsibleActionFail
from ansible.plugins.action import ActionBase
from ansible.utils.display import Display

MODULE = "tyk.upgrade.plugin_compile"
#: Seconds between two looks at what was printed, and how many of these pass between two looks at the job.
PAUSE = 1.0
LOOKS = 3
#: How many seconds a job may take beyond the time limit of its builds: images are pulled before.
SPARE = 3600
#: Looks that may fail in a row before the job is given up.
PATIENCE = 5
#: What an asynchronous job adds to the result of a module.
OF_THE_JOB = ("ansible_job_id", "started", "finished", "results_file", "stdout", "stdout_lines", "stderr", "stderr_lines")
#: Anything that a terminal could take for a command.
CONTROL = re.compile(r"[^\t\x20-\x7e\xa0-\U0010ffff]")

display = Display()


class ActionModule(ActionBase):
    """The module's own arguments, and nothing else."""

    def run(self, tmp: Optional[str] = None, task_vars: Optional[Dict[str, Any]] = None) -> Dict[str, Any]:
        result: Dict[str, Any] = super().run(tmp, task_vars)
        del tmp
        if display.verbosity < 1 or self._task.check_mode or self._task.no_log or self._task.async_val:
            result.update(self._execute_module(module_name=MODULE, task_vars=task_vars))
            return result
        folder = self._command("umask 077 && mktemp -d").strip()
        try:
            result.update(self._watched(f"{folder}/progress", task_vars))
        finally:
            self._command(f"rm -rf {self._connection._shell.quote(folder)}")
        return result

    def _watched(self, progress: str, task_vars: Optional[Dict[str, Any]]) -> Dict[str, Any]:
        """The module's result; what it writes to this file is displayed until it is there."""
        arguments = {**self._task.args, "progress": progress}
        self._task.async_val = int(float(arguments.get("timeout") or 900)) * max(1, len(arguments.get("builds") or ())) + SPARE
        try:
            started = self._execute_module(module_name=MODULE, module_args=arguments, task_vars=task_vars, wrap_async=True)
        finally:
            self._task.async_val = 0
        job = started.get("ansible_job_id")
        if not job:  # it could not even be started
            return dict(started)
        seen, looks, failures = 0, 0, 0
        while True:
            time.sleep(PAUSE)
            seen = self._show(progress, seen)
            looks += 1
            if looks % LOOKS:
                continue
            answer = self._job(job, task_vars)
            if answer.get("finished"):
                break
            failures = failures + 1 if answer.get("failed") else 0
            if failures >= PATIENCE:
                raise AnsibleActionFail(
                    f"The compilation goes on as job {job}, but it cannot be looked at any more: {answer.get('msg')}. Run it "
                    "again: what is compiled by then is taken as it is."
                )
        self._show(progress, seen)
        self._job(job, task_vars, mode="cleanup")
        return {key: value for key, value in answer.items() if key not in OF_THE_JOB}

    def _job(self, job: str, task_vars: Optional[Dict[str, Any]], mode: str = "status") -> Dict[str, Any]:
        arguments = {"jid": job, "mode": mode, "_async_dir": self._remote_expand_user(self._async_dir())}
        return dict(self._execute_module(module_name="ansible.legacy.async_status", module_args=arguments, task_vars=task_vars))

    def _async_dir(self) -> str:
        return str(self.get_shell_option("async_dir", default="~/.ansible_async"))

    def _show(self, progress: str, seen: int) -> int:
        """Display the whole lines that are new since so many bytes; how many bytes were displayed by now."""
        text = self._command(f"tail -c +{seen + 1} {self._connection._shell.quote(progress)} 2>/dev/null || true")
        whole = text[: text.rfind("\n") + 1]
        for line in whole.splitlines():
            display.v(CONTROL.sub("?", line), host=self._task.delegate_to or None)
        return seen + len(whole.encode("utf-8", "surrogateescape"))

    def _command(self, command: str) -> str:
        done = self._low_level_execute_command(command)
        if done.get("rc"):
            raise AnsibleActionFail(f"The host refused a command that is needed to show what compilers print: {done.get('stderr')}")
        return str(done.get("stdout") or "")
