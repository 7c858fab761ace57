# Copyright (c) 2026 tyk.upgrade contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""plugin_compile watched with -v through real connections: what is shown when, what goes wrong on the way, what is left.

ANSIBLE_PLAYBOOK: the program to play with in place of this environment's own, for another release of Ansible.
"""

from __future__ import annotations

import contextlib
import getpass
import json
import os
import re
import shutil
import signal
import socket
import subprocess
import sys
import threading
import time
from pathlib import Path
from typing import Any, Callable, Dict, Iterator, List, Optional, Tuple

import pytest

import ansible_collections
from ansible_collections.tyk.upgrade.tests.unit.plugins.modules.engine.test_plugin_compile import (
    GO_MOD,
    GOOD,
    PROXY,
    arguments,
    leftovers,
    made,
)

pytestmark = [pytest.mark.engine, pytest.mark.slow]

SUBJECT = "HeaderPlugin for 5.3.0 (linux/amd64): "
PLAYBOOK = """
- hosts: all
  gather_facts: false
  tasks:
    - name: Compile
      run_once: true
      delegate_to: builder
      block:
        - tyk.upgrade.plugin_compile: "{{ arguments }}"
          register: compiled
"""
KEPT = """
    - copy: {content: "{{ compiled | to_json }}", dest: "{{ result }}"}
      run_once: true
      delegate_to: localhost
      vars: {ansible_connection: local}
"""


@pytest.fixture(scope="module")
def image(session_bench: Any, compiler_binary: bytes) -> str:
    return made(session_bench, "watched", {"build.sh": compiler_binary})


class Play:
    """One run of ansible-playbook, with the seconds at which each line was displayed."""

    def __init__(self, process: subprocess.Popen[str], result: Path) -> None:
        self.process = process
        self.lines: List[str] = []
        self.times: List[float] = []
        self._result = result
        self._reader = threading.Thread(target=self._read, daemon=True)
        self._reader.start()

    def _read(self) -> None:
        assert self.process.stdout is not None
        for line in self.process.stdout:
            self.times.append(time.monotonic())
            self.lines.append(line.rstrip("\n"))

    def until(self, words: str, seconds: float = 60) -> None:
        """Wait until this was displayed."""
        end = time.monotonic() + seconds
        while not self.at(words):
            assert time.monotonic() < end and self.process.poll() is None, self.text
            time.sleep(0.05)

    def ended(self, seconds: float = 120) -> Play:
        try:
            self.process.wait(seconds)
        except subprocess.TimeoutExpired:
            self.process.kill()
            pytest.fail(f"it did not end\n{self.text}")
        self._reader.join()
        return self

    def at(self, words: str) -> List[float]:
        return [when for when, line in zip(self.times, self.lines) if words in line]

    @property
    def text(self) -> str:
        return "\n".join(self.lines)

    @property
    def result(self) -> Dict[str, Any]:
        assert self._result.exists(), self.text
        return dict(json.loads(self._result.read_text()))


class Target:
    """Where the module runs: its temporary folders, and how it is reached."""

    def __init__(self, folder: Path, **variables: Any) -> None:
        self.tmp, self.jobs, self.remote = folder / "tmp", folder / "jobs", folder / "remote"
        for one in (self.tmp, self.jobs, self.remote):
            one.mkdir(parents=True)
        self.variables = variables

    def left(self, seconds: float = 12) -> List[Path]:
        """Files that are there still, once those had their time who remove theirs a little later."""
        end = time.monotonic() + seconds
        while True:
            found = [path for folder in (self.tmp, self.jobs, self.remote) for path in folder.rglob("*") if path != self.remote]
            if not found or time.monotonic() > end:
                return found
            time.sleep(0.2)


@pytest.fixture
def local(tmp_path: Path) -> Target:
    return Target(tmp_path / "local", ansible_connection="local")


@pytest.fixture
def sshd(tmp_path: Path) -> Iterator[Target]:
    """A server of this test's own, and a client that can be told to find no way to it."""
    server = shutil.which("sshd") or shutil.which("/usr/sbin/sshd")
    if server is None or shutil.which("ssh") is None:
        pytest.skip("no OpenSSH")
    if os.geteuid() != 0:
        pytest.skip("only root can let others in")
    folder = tmp_path / "sshd"
    folder.mkdir()
    for name in ("host", "user"):
        subprocess.run(["ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-f", str(folder / name)], check=True)
    with socket.create_server(("127.0.0.1", 0)) as free:
        port = free.getsockname()[1]
    Path("/run/sshd").mkdir(exist_ok=True)
    command = [server, "-D", "-e", "-f", "/dev/null", "-p", str(port), "-h", str(folder / "host")]
    settings = (
        "ListenAddress=127.0.0.1",
        f"AuthorizedKeysFile={folder / 'user.pub'}",
        "StrictModes=no",
        "PermitRootLogin=yes",
        "UsePAM=no",
        f"PidFile={folder / 'pid'}",
        f"SetEnv=TMPDIR={folder / 'target' / 'tmp'}",
    )
    for one in settings:
        command += ["-o", one]
    client = folder / "ssh"
    client.write_text(f"#!/bin/sh\n[ ! -e {folder}/cut ] || exit 255\nexec ssh \"$@\"\n")
    client.chmod(0o755)
    process = subprocess.Popen(command, stderr=subprocess.DEVNULL)
    try:
        deadline = time.monotonic() + 10
        while time.monotonic() < deadline:
            with contextlib.suppress(OSError), socket.create_connection(("127.0.0.1", port)):
                break
        yield Target(
            folder / "target",
            ansible_connection="ssh",
            ansible_host="127.0.0.1",
            ansible_port=port,
            ansible_user=getpass.getuser(),
            ansible_ssh_private_key_file=str(folder / "user"),
            ansible_ssh_executable=str(client),
            ansible_ssh_common_args=f"-o UserKnownHostsFile={folder}/known -o StrictHostKeyChecking=no -o IdentitiesOnly=yes",
            ansible_ssh_retries=0,
            cut=str(folder / "cut"),
        )
    finally:
        process.terminate()
        process.wait()


@pytest.fixture
def source(tmp_path: Path) -> Path:
    folder = tmp_path / "HeaderPlugin"
    folder.mkdir()
    (folder / "main.go").write_text(GOOD + "// PATIENT\n")
    (folder / "go.mod").write_text(GO_MOD)
    return folder


@pytest.fixture
def play(tmp_path: Path, source: Path, image: str) -> Iterator[Callable[..., Play]]:
    """Starts a play of the module on a target."""
    begun: List[Play] = []

    def start(
        target: Target, *options: str, task: Optional[Dict[str, Any]] = None, more: Optional[Dict[str, str]] = None, **given: Any
    ) -> Play:
        result = tmp_path / "result.json"
        result.unlink(missing_ok=True)
        variables = {
            "ansible_python_interpreter": sys.executable,
            "ansible_remote_tmp": str(target.remote),
            "ansible_async_dir": str(target.jobs),
            "arguments": arguments(source, image, tmp_path, **given),
            "result": str(result),
            **target.variables,
        }
        playbook = tmp_path / "play.yml"
        words = "".join(f"          {name}: {json.dumps(value)}\n" for name, value in (task or {}).items())
        playbook.write_text(PLAYBOOK.rstrip("\n") + "\n" + words + KEPT)
        (tmp_path / "variables.json").write_text(json.dumps(variables))
        collections = Path(next(iter(ansible_collections.__path__))).parent
        program = os.environ.get("ANSIBLE_PLAYBOOK")
        command = [program] if program else [sys.executable, "-m", "ansible", "playbook"]
        process = subprocess.Popen(
            [*command, "-i", "one,two,builder", "-e", f"@{tmp_path}/variables.json", str(playbook), *options],
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            stdin=subprocess.DEVNULL,
            text=True,
            cwd=tmp_path,
            start_new_session=True,
            env={
                **{name: value for name, value in os.environ.items() if not name.startswith("ANSIBLE_")},
                "ANSIBLE_COLLECTIONS_PATH": str(collections),
                "ANSIBLE_NOCOLOR": "1",
                "ANSIBLE_CALLBACK_RESULT_FORMAT": "yaml",
                "ANSIBLE_SSH_CONTROL_PATH_DIR": f"/tmp/{source.stat().st_ino}",
                "PYTHONUNBUFFERED": "1",
                "TMPDIR": str(target.tmp),
                **(more or {}),
            },
        )
        begun.append(Play(process, result))
        return begun[-1]

    yield start
    for one in begun:
        if one.process.poll() is None:
            with contextlib.suppress(OSError):
                os.killpg(one.process.pid, signal.SIGKILL)


def jobs(target: Target) -> List[int]:
    """The processes of asynchronous jobs whose files are in this target's own folder, and no others."""
    found = []
    for entry in Path("/proc").glob("[0-9]*/cmdline"):
        with contextlib.suppress(OSError):
            if f"{target.remote}/".encode() in entry.read_bytes():
                found.append(int(entry.parent.name))
    return found


@pytest.mark.parametrize("where", ["local", "sshd"])
@pytest.mark.parametrize("pipelining", ["0", "1"])
def test_every_line_is_shown_once_while_the_compiler_runs(
    play: Any, request: pytest.FixtureRequest, where: str, pipelining: str
) -> None:
    target = request.getfixturevalue(where)
    run = play(target, "-v", goproxy=PROXY, more={"ANSIBLE_PIPELINING": pipelining}).ended()
    shown = [line.partition(SUBJECT)[2] for line in run.lines if SUBJECT in line]
    said = [line.rstrip().replace("\x1b", "?") for line in run.result["builds"][0]["output"]]
    assert shown == said, run.text
    assert "hidden-word" not in run.text and "\x1b" not in run.text
    (first,), (last,) = run.at(f"{SUBJECT}?[31mthe first"), run.at(f"{SUBJECT}the last")
    assert last - first > 3, "the first line came while the compiler was busy"
    assert run.text.count("the last") == 1, "and is not printed again afterwards"
    assert target.left() == []


def test_what_was_built_before_is_not_shown_again(play: Any, local: Target) -> None:
    run = play(local, "-v", goproxy=PROXY).ended()
    assert run.result["changed"] and run.result["builds"][0]["plugin_path"], run.text
    assert run.at(f"{SUBJECT}GOPROXY=http") and not run.at("hidden-word")
    assert not {"ansible_job_id", "results_file", "finished"} & set(run.result)
    assert local.left() == [], "nothing is left"
    again = play(local, "-v", goproxy=PROXY).ended()
    assert again.result["changed"] is False and not again.at(SUBJECT)


@pytest.mark.parametrize("options, quiet", [((), False), (("-v",), True), (("-v", "--check"), False)])
def test_nothing_is_shown_to_whom_did_not_ask(play: Any, local: Target, options: Tuple[str, ...], quiet: bool) -> None:
    run = play(local, *options, task={"no_log": quiet}).ended()
    assert not run.at(SUBJECT)
    assert run.at("failed=0"), run.text


def test_a_failure_says_the_same_however_it_is_watched(play: Any, local: Target, source: Path) -> None:
    (source / "main.go").write_text("package main\n// SAY: ./main.go:3: undefined: Header\n")
    for options in ((), ("-v",)):
        run = play(local, *options).ended()
        assert "failed=1" in run.text
        assert re.search(r"Compiling HeaderPlugin for 5.3.0 .*? failed with exit code 1", run.text)
    assert run.at(f"{SUBJECT}./main.go:3: undefined: Header")


def test_the_result_is_that_of_the_module(play: Any, local: Target, tmp_path: Path) -> None:
    watched = play(local, "-v").ended().result
    shutil.rmtree(tmp_path / "out")
    plain = play(local).ended().result
    assert set(watched) == set(plain) and watched["changed"] is plain["changed"] is True
    for one in (watched, plain):
        del one["builds"][0]["seconds"]
        one.get("invocation", {}).clear()
    assert watched == plain


@pytest.mark.parametrize("task", [{"async": 60, "poll": 1}, {"no_log": True}])
def test_tasks_that_are_left_alone(play: Any, local: Target, task: Dict[str, Any]) -> None:
    run = play(local, "-v", task=task).ended()
    assert run.process.returncode == 0, run.text
    assert run.at(SUBJECT) == [] and run.result["builds"][0]["sha256"]
    assert local.left() == []


@pytest.mark.skipif(not os.environ.get("WATCHED"), reason="waits for minutes; make watched runs it")
def test_a_job_that_is_killed_ends_the_task(play: Any, local: Target, source: Path) -> None:
    (source / "main.go").write_text(GOOD + "// PATIENT HANG\n")
    run = play(local, "-v")
    run.until("the last")
    for pid in jobs(local):
        os.kill(pid, signal.SIGKILL)
    run.ended(60)
    assert "ended without a result" in run.text and "Traceback" not in run.text
    # Ansible's own files are those of its processes, which were killed.
    assert [path for path in local.left(0) if "tyk-upgrade-compile" in str(path)] == [] == list(local.jobs.iterdir())


@pytest.mark.skipif(not os.environ.get("WATCHED"), reason="waits for minutes; make watched runs it")
def test_the_way_to_the_host_may_be_cut_for_a_while(play: Any, sshd: Target) -> None:
    cut = Path(sshd.variables["cut"])
    run = play(sshd, "-v", more={"ANSIBLE_SSH_ARGS": "-o ControlMaster=no"})
    run.until("the first")
    cut.touch()
    time.sleep(3)
    cut.unlink()
    run.ended()
    assert run.process.returncode == 0, run.text
    assert len(run.at(f"{SUBJECT}the last")) == 1
    assert sshd.left() == []


@pytest.mark.skipif(not os.environ.get("WATCHED"), reason="waits for minutes; make watched runs it")
def test_a_time_limit_of_the_task_leaves_nothing(play: Any, local: Target, source: Path, bench: Any) -> None:
    (source / "main.go").write_text(GOOD + "// PATIENT HANG\n")
    run = play(local, "-v", task={"timeout": 8}).ended()
    assert run.process.returncode != 0 and run.at(SUBJECT), run.text
    assert local.left(30) == []
    assert leftovers(bench) == []


@pytest.mark.skipif(not os.environ.get("WATCHED"), reason="waits for minutes; make watched runs it")
def test_when_the_way_stays_cut_the_compilation_goes_on(play: Any, sshd: Target, tmp_path: Path, bench: Any) -> None:
    cut = Path(sshd.variables["cut"])
    run = play(sshd, "-v", more={"ANSIBLE_SSH_ARGS": "-o ControlMaster=no"})
    run.until("the first")
    cut.touch()
    run.ended()
    said = " ".join(run.text.split())
    assert "unreachable=1" in said and "Contact with builder was lost" in said and "the compilation goes on" in said
    assert "Traceback" not in said
    assert sshd.left(180) == [], "the module clears up when nobody has looked for a while"
    assert leftovers(bench) == [] and list((tmp_path / "out").glob("*/*.so"))
    cut.unlink()
    assert play(sshd, "-v").ended().result["builds"][0]["cached"] is True


@pytest.mark.skipif(not os.environ.get("WATCHED"), reason="waits for minutes; make watched runs it")
def test_an_interrupted_run_leaves_nothing(play: Any, local: Target, source: Path, bench: Any) -> None:
    (source / "main.go").write_text(GOOD + "// PATIENT HANG\n")
    run = play(local, "-v", timeout=20)
    run.until("the last")
    os.kill(run.process.pid, signal.SIGINT)
    run.ended()
    assert local.left(180) == [], "the module clears up when nobody has looked for a while"
    assert leftovers(bench) == []
