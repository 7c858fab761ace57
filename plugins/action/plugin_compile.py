# Copyright (c) 2026 tyk.upgrade contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Runs the module plugin_compile and, with -v, shows what the compilers print while they print it.

A module cannot speak before it ends. So it runs as Ansible's asynchronous jobs do, and writes what the compilers print to a
file on its host, which is read here, through the connection, until the job has its result. All of it is in one folder that
only the module's user can read, and that is gone afterwards. Without -v it is an ordinary module.
"""

from __future__ import annotations

import json
import re
import shlex
import time
from typing import Any, Dict, List, NamedTuple, Optional

from ansible.errors import AnsibleConnectionFailure
from ansible.plugins.action import ActionBase
from ansible.utils.display import Display

from ansible_collections.tyk.upgrade.plugins.action.reached import ActionModule as ReachedModule
from ansible_collections.tyk.upgrade.plugins.action.reached import HostLost

#: Seconds between two looks, the longest while nothing is printed, and when all has been said.
PAUSE, LONGEST_PAUSE, LAST_PAUSE = 1.0, 3.0, 0.2
#: Seconds without an answer after which contact is lost. The module waits longer than that before it clears up itself.
PATIENCE = 60.0
#: Seconds that a job without a process may go without a result: its wrapper writes that when the process has ended.
GRACE = 10.0
#: Seconds that a module may take to begin: the connection to the engine comes first.
BEGINNING = 180.0
#: Seconds after which Ansible would kill the job. The module has time limits of its own; this one must never be first.
LIMIT = 7 * 24 * 3600
#: What an asynchronous job adds to the result of a module.
OF_THE_JOB = ("ansible_job_id", "started", "finished", "results_file", "stdout", "stdout_lines", "stderr", "stderr_lines")
#: Anything that a terminal could take for a command, and what turns the direction of writing.
CONTROL = re.compile("[^\t\x20-\x7e\xa0-\u061b\u061d-\u200d\u2010-\u2027\u202f-\u2065\u206a-\ud7ff\ue000-\U0010ffff]")
#: Around what a look gives, as connections and shells may say something of their own before and after it.
BEGIN, END = "--tyk-upgrade-progress--", "--tyk-upgrade-progress-end--"
#: The exit code of a look for a folder that is gone.
GONE = 44

# Those who left a folder behind (a controller that was killed) cannot clear it up; one that is a day old is nobody's.
MAKE = (
    'umask 077 && tmp="${TMPDIR:-/tmp}" && '
    'find "$tmp" -maxdepth 1 -type d -user "$(id -u)" -name "tyk-upgrade-compile-*" -mtime +1 -exec rm -rf {} + 2>/dev/null; '
    'folder="$(mktemp -d "$tmp/tyk-upgrade-compile-XXXXXXXXXX")" && : > "$folder/watched" && echo "$folder"'
)

display = Display()


class Look(NamedTuple):
    """What one look at the folder of a job gave. alive: None as long as the module has not said which process it is.
    answered: whether the module was told that its end was read, for which it waits.
    """

    lines: List[Dict[str, Any]]
    alive: Optional[bool]
    answered: bool


class _OutOfContact(Exception):
    """A look gave nothing. That says nothing about the job."""


class ActionModule(ReachedModule):
    """The module's own arguments, and nothing else."""

    def _run(self, tmp: Optional[str], task_vars: Optional[Dict[str, Any]]) -> Dict[str, Any]:
        folder = self._folder() if self._watchable() else ""
        if not folder:
            return super()._run(tmp, task_vars)
        self._process, self._taken, self._shown, self._ended = 0, 0, 0, False  # an action may run several times
        try:
            result: Dict[str, Any] = ActionBase.run(self, tmp, task_vars)
            result.update(self._watched(folder, task_vars))
        finally:
            self._discard(folder)
        if self._shown and not result.get("failed") and display.verbosity < 3:
            result["_ansible_verbose_override"] = True  # it would be printed a second time, as a part of the result
        return result

    def _watchable(self) -> bool:
        """Whether somebody wants to see it, and the connection is one that can run jobs on a host with a POSIX shell."""
        connection, task = self._connection, self._task
        return bool(
            display.verbosity > 0
            and not (task.check_mode or task.no_log or task.async_val)
            and not connection.has_native_async
            and not connection.always_pipeline_modules
            and not getattr(connection, "_remote_is_local", False)
            and not getattr(connection._shell, "_IS_WINDOWS", False)
            # A job is a file, which one ordinary user cannot always hand to another one.
            and (self._get_remote_user() in self._get_admin_users() or not self._is_become_unprivileged())
        )

    def _folder(self) -> str:
        """A new folder of the module's user on its host; empty where none can be made, which is no reason to fail."""
        made = self._low_level_execute_command(MAKE)
        lines = str(made.get("stdout") or "").strip().splitlines()
        if made.get("rc") or not lines or not lines[-1].strip().startswith("/"):
            display.vv(f"What compilers print is not shown while they run: {made.get('stderr')}")
            return ""
        return lines[-1].strip()

    def _discard(self, folder: str) -> None:
        """Remove the folder. A module that still runs sees by that that nobody waits for it any more, and gives up."""
        try:
            self._low_level_execute_command(f"rm -rf {shlex.quote(folder)}")
        except AnsibleConnectionFailure as problem:
            display.vv(f"{folder} is left to the module itself: {problem}")

    # -- the job -----------------------------------------------------------------------------------------------------

    def _watched(self, folder: str, task_vars: Optional[Dict[str, Any]]) -> Dict[str, Any]:
        """The module's result; what it tells in this folder is displayed until it is there."""
        started = self._start(folder, task_vars)
        job = started.get("ansible_job_id")
        if not job:  # it could not even be started
            return {**_module_result(started), "changed": False}
        answer = self._until_ended(folder, str(job), task_vars)
        if "ansible_facts" in started:
            answer.setdefault("ansible_facts", started["ansible_facts"])
        return answer

    def _start(self, folder: str, task_vars: Optional[Dict[str, Any]]) -> Dict[str, Any]:
        shell = self._connection._shell
        usual = self.get_shell_option("async_dir", default="~/.ansible_async")
        arguments = {**self._task.args, "progress": f"{folder}/progress"}
        self._task.async_val = LIMIT
        shell.set_option("async_dir", folder)
        try:
            return dict(self._execute_module(module_args=arguments, task_vars=task_vars, wrap_async=True))
        finally:
            shell.set_option("async_dir", usual)
            self._task.async_val = 0

    def _until_ended(self, folder: str, job: str, task_vars: Optional[Dict[str, Any]]) -> Dict[str, Any]:
        contact = living = time.monotonic()
        pause = PAUSE
        while True:
            time.sleep(pause)
            try:
                look = self._look(folder)
                contact = time.monotonic()
                if look is None:
                    return self._without_result(f"{folder} was removed from under it")
                pause = LAST_PAUSE if self._ended else PAUSE if look.lines else min(pause * 1.3, LONGEST_PAUSE)
                self._show(look.lines)
                if look.alive:
                    living = time.monotonic()
                    if not look.answered:
                        continue
                answer = self._status(folder, job, task_vars)
            except (AnsibleConnectionFailure, _OutOfContact) as problem:
                self._still_hope(contact, problem)
                continue
            if answer is not None:
                self._show_rest(folder)
                return answer
            if time.monotonic() - living > (BEGINNING if look.alive is None else GRACE):
                return self._without_result("its process was killed, or the host was started anew")

    def _status(self, folder: str, job: str, task_vars: Optional[Dict[str, Any]]) -> Optional[Dict[str, Any]]:
        """The result, or None as long as there is none."""
        arguments = {"jid": job, "mode": "status", "_async_dir": folder}
        try:
            answer = dict(
                self._execute_module(module_name="ansible.legacy.async_status", module_args=arguments, task_vars=task_vars)
            )
        finally:
            self._remove_tmp_path(self._connection._shell.tmpdir)
        if not answer.get("_ansible_parsed"):
            raise _OutOfContact(str(answer.get("module_stderr") or answer.get("msg") or "no reason given"))
        if not answer.get("finished"):
            return None
        if answer.get("failed") and answer.get("msg") == "could not find job":
            return self._without_result("Ansible keeps no record of the job")
        if "cmd" in answer and "invocation" not in answer:  # the wrapper found no result in what the module printed
            said = str(answer.get("stderr") or answer.get("data") or answer.get("outdata") or "").strip().splitlines()
            return self._without_result(said[-1] if said else "its process was killed")
        return _module_result(answer)

    def _without_result(self, why: str) -> Dict[str, Any]:
        sentence = (
            f"The compilation on {self._host} ended without a result: {why.strip().rstrip('.')}. What it had finished is kept; "
            "run this again."
        )
        return {"failed": True, "changed": False, "msg": sentence}

    def _still_hope(self, contact: float, problem: Exception) -> None:
        """Raise HostLost if there was no contact for too long; the job is never started a second time."""
        silent = time.monotonic() - contact
        if silent > PATIENCE:
            reason = " ".join(str(problem).split()).rstrip(".:")
            raise HostLost(
                f"Contact with {self._host} was lost {silent:.0f} s ago while plugins were compiled there ({reason}); the "
                "compilation goes on, so run this again once the host answers: what is compiled by then is taken as it is."
            ) from problem
        display.vvv(f"No contact, trying again: {problem}", host=self._host)
        reset = getattr(self._connection, "reset", None)
        if reset is not None:
            try:
                reset()
            except AnsibleConnectionFailure as again:
                display.vvv(f"The connection cannot be reset: {again}", host=self._host)

    @property
    def _host(self) -> str:
        return str(self._task.delegate_to or self._play_context.remote_addr or "the host")

    # -- what it tells -----------------------------------------------------------------------------------------------

    def _look(self, folder: str) -> Optional[Look]:
        """What is new, None for a folder that is gone. Raises _OutOfContact for no answer, or one that is none."""
        process = f"kill -0 {self._process} 2>/dev/null && echo alive" if self._process else ":"
        answered = self._ended
        done = self._low_level_execute_command(
            f"cd {shlex.quote(folder)} 2>/dev/null || exit {GONE}; touch watched{' read' if answered else ''}; echo {BEGIN}; "
            f"tail -n +{self._taken + 1} progress 2>/dev/null; echo; echo {END}; {process}; true"
        )
        if done.get("rc") == GONE:
            return None
        text = [line.strip() for line in str(done.get("stdout") or "").splitlines()]  # a terminal may add its own line ends
        if done.get("rc") or BEGIN not in text or END not in text:
            raise _OutOfContact(str(done.get("stderr") or "").strip() or f"exit code {done.get('rc')}")
        lines = _whole(text[text.index(BEGIN) + 1 : text.index(END)])
        self._taken += len(lines)
        known = self._process
        for line in lines:
            self._process = int(line.get("pid") or self._process)
            self._ended = self._ended or bool(line.get("end"))
        alive = "alive" in text[text.index(END) :] if known else (True if self._process else None)
        return Look(lines, alive, answered)

    def _show(self, lines: List[Dict[str, Any]]) -> None:
        for line in lines:
            if "line" in line:
                display.v(CONTROL.sub("?", f"{line.get('subject')}: {line['line']}"), host=self._task.delegate_to or None)
                self._shown += 1

    def _show_rest(self, folder: str) -> None:
        """What was told since the last look. The result is there, so nothing that goes wrong here is worth a word."""
        if self._ended:
            return
        try:
            look = self._look(folder)
        except (AnsibleConnectionFailure, _OutOfContact):
            return
        self._show(look.lines if look else [])


def _whole(lines: List[str]) -> List[Dict[str, Any]]:
    """Those that were written to their end, each an object of JSON."""
    found: List[Dict[str, Any]] = []
    for line in lines:
        try:
            one = json.loads(line)
        except ValueError:
            break
        if not isinstance(one, dict):
            break
        found.append(one)
    return found


def _module_result(answer: Dict[str, Any]) -> Dict[str, Any]:
    """What the module itself returned, as it would have without a job."""
    result = {key: value for key, value in answer.items() if key not in OF_THE_JOB}
    invocation = result.get("invocation")
    if isinstance(invocation, dict) and isinstance(invocation.get("module_args"), dict):
        result["invocation"] = {**invocation, "module_args": {**invocation["module_args"], "progress": None}}
    return result
