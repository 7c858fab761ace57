# Copyright (c) 2026 tyk.upgrade contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The journal on disk: crashes, other writers, other owners, modes."""

from __future__ import annotations

import json
import multiprocessing
import os
import socket
import stat
import subprocess
import sys
import time
from dataclasses import replace
from datetime import datetime, timedelta, timezone
from pathlib import Path
from typing import Any, Dict, Optional

import pytest

from ansible_collections.tyk.upgrade.plugins.module_utils._clients import processes
from ansible_collections.tyk.upgrade.plugins.module_utils._clients.errors import ClientError
from ansible_collections.tyk.upgrade.plugins.module_utils._clients.journal_store import JournalStore, write_whole
from ansible_collections.tyk.upgrade.plugins.module_utils._domain import journal
from ansible_collections.tyk.upgrade.plugins.module_utils._domain.findings import Severity
from ansible_collections.tyk.upgrade.plugins.module_utils._domain.plan_model import canonical_json, plan_sha256


class Clock:
    """Time that passes when told to."""

    def __init__(self) -> None:
        self.now = datetime(2026, 11, 23, 16, 0, 0, tzinfo=timezone.utc)

    def __call__(self) -> datetime:
        return self.now

    def advance(self, seconds: float) -> None:
        self.now += timedelta(seconds=seconds)


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def store(tmp_path: Path, clock: Clock) -> JournalStore:
    return JournalStore(str(tmp_path / "journal"), clock)


def begin(store: JournalStore, run_id: str, stage: str = "plan", **data: Any) -> journal.Line:
    return store.append(run_id, "begin", stage, "", data, 60)


def open_run(store: JournalStore, owner: str = "ann", seconds: int = 60, data: Optional[Dict[str, Any]] = None) -> str:
    return store.open_run(owner, seconds, data or {}).run_id


def test_a_run_from_open_to_close(store: JournalStore, clock: Clock) -> None:
    run_id = open_run(store)
    assert run_id.startswith("20261123T160000Z-") and len(run_id) == len("20261123T160000Z-") + 4
    begin(store, run_id)
    clock.advance(1.5)
    store.append(run_id, "done", "plan", "", {}, 60)
    store.append(run_id, "closed", "", "", {"result": "succeeded"}, 60)
    read = store.read()
    assert read.findings == ()
    view = journal.run_view(read.lines, run_id)
    assert (view.state, view.stages[0].seconds) == ("succeeded", 1.5)
    assert read.head == journal.digest(read.lines[-1])
    assert store.lease() is None


def test_only_the_owner_may_read(store: JournalStore) -> None:
    old = os.umask(0)
    try:
        run_id = open_run(store)
        begin(store, run_id)
        store.save_plan({"to": "5.8.9"})
    finally:
        os.umask(old)
    folder = Path(store.folder)
    modes = {path.name: stat.S_IMODE(path.stat().st_mode) for path in folder.rglob("*")}
    assert stat.S_IMODE(folder.stat().st_mode) == 0o700
    assert modes.pop("plans") == 0o700
    assert set(modes.values()) == {0o600}


def test_reading_makes_nothing(store: JournalStore) -> None:
    assert store.read().lines == ()
    assert not os.path.exists(store.folder)


@pytest.mark.parametrize("torn", ['{"seq": 3, "ti', '{"seq": 3}', "\x00\x00\x00", "ü"])
def test_a_torn_last_line_is_repaired_by_the_next_entry(store: JournalStore, torn: str) -> None:
    run_id = open_run(store)
    begin(store, run_id)
    path = Path(store.folder, "journal.jsonl")
    whole = path.read_bytes()
    path.write_bytes(whole + torn.encode("utf-8")[: len(torn)])
    assert [each.severity for each in store.read().findings] == [Severity.WARNING]
    assert len(store.read().lines) == 2
    store.append(run_id, "done", "plan", "", {}, 60)
    read = store.read()
    assert read.findings == () and len(read.lines) == 3
    assert path.read_bytes().startswith(whole)


def test_a_journal_that_was_changed_takes_no_entry(store: JournalStore) -> None:
    run_id = open_run(store)
    begin(store, run_id)
    path = Path(store.folder, "journal.jsonl")
    path.write_text(path.read_text().replace('"plan"', '"pump"'))
    before = path.read_bytes()
    for write in (lambda: begin(store, run_id), lambda: open_run(store)):
        with pytest.raises(ClientError, match="Line 2 .* was changed after it was written") as problem:
            write()
        assert problem.value.code == "journal-broken"
    assert path.read_bytes() == before
    assert [each.code for each in store.read().findings] == ["journal-broken"]


def test_another_owner_waits_for_the_lease(store: JournalStore, clock: Clock) -> None:
    first = open_run(store)
    clock.advance(59)
    with pytest.raises(ClientError, match="of ann.* lasts 2 more seconds") as problem:
        open_run(store, "bob")
    assert problem.value.code == "lease-held"
    clock.advance(1)
    second = open_run(store, "bob")
    with pytest.raises(ClientError, match="lease"):
        begin(store, first)
    begin(store, second)


def test_every_entry_renews_the_lease(store: JournalStore, clock: Clock) -> None:
    run_id = open_run(store)
    for stage in ("plan", "prepare", "switch"):
        clock.advance(50)
        begin(store, run_id, stage)
    with pytest.raises(ClientError, match="lease-held|lease lasts"):
        open_run(store, "bob")
    clock.advance(61)
    open_run(store, "bob")


def test_a_lapsed_lease_that_nobody_took_is_renewed(store: JournalStore, clock: Clock) -> None:
    run_id = open_run(store)
    clock.advance(1000)
    begin(store, run_id)
    lease = store.lease()
    assert lease is not None and lease.alive(clock.now) and lease.owner == "ann"


def test_the_same_owner_takes_over_and_the_earlier_run_can_write_no_more(store: JournalStore) -> None:
    first = open_run(store)
    second = open_run(store)
    assert first != second
    with pytest.raises(ClientError) as problem:
        begin(store, first)
    assert problem.value.code == "lease-held"
    begin(store, second)


def test_a_halted_run_takes_entries_until_it_is_closed(store: JournalStore) -> None:
    run_id = open_run(store)
    store.append(run_id, "halted", "plan", "", {"message": "No."}, 60)
    begin(store, run_id, "report")
    store.append(run_id, "closed", "", "", {"result": "refused"}, 60)
    assert journal.run_view(store.read().lines, run_id).state == "refused"


def test_closing_gives_the_lease_back(store: JournalStore) -> None:
    run_id = open_run(store)
    closed = store.append(run_id, "closed", "", "", {"result": "halted"}, 60)
    assert store.append(run_id, "closed", "", "", {"result": "halted"}, 60) == closed
    with pytest.raises(ClientError, match="was closed as halted"):
        begin(store, run_id)
    open_run(store, "bob")
    assert len(store.read().lines) == 3


def test_a_lease_that_cannot_be_read_is_none(store: JournalStore) -> None:
    open_run(store)
    Path(store.folder, "lease.json").write_text("{}")
    open_run(store, "bob")


def test_entries_into_runs_that_do_not_exist(store: JournalStore) -> None:
    with pytest.raises(ClientError, match="knows no run r9"):
        begin(store, "r9")
    run_id = store.open_run("ann", 60, {}, "mine").run_id
    assert run_id == "mine"
    with pytest.raises(ClientError, match="already has a run mine"):
        store.open_run("ann", 60, {}, "mine")


def test_plans_are_kept_by_their_digest(store: JournalStore) -> None:
    plan = {"to": "5.8.9", "from": ["5.3.0"]}
    name = store.save_plan(plan)
    assert store.save_plan(dict(reversed(list(plan.items())))) == name == plan_sha256(plan)
    path = Path(store.folder, "plans", f"{name}.json")
    assert path.read_text() == canonical_json(plan)
    assert store.load_plan(name) == plan
    path.write_text(canonical_json({**plan, "to": "5.9.0"}))
    assert store.load_plan(name) is None
    assert store.load_plan("0" * 64) is None


def test_a_folder_that_cannot_be_made_is_a_sentence(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    store = JournalStore(str(tmp_path / "file" / "journal"))
    with pytest.raises(ClientError, match=r"Could not open .*: Not a directory\. Set tyk_journal_dir"):
        open_run(store)


def test_a_file_is_written_whole_or_not_at_all(tmp_path: Path) -> None:
    path = tmp_path / "x.json"
    write_whole(str(path), "one", 0o600)
    with pytest.raises(UnicodeEncodeError):
        write_whole(str(path), "\ud800", 0o600)
    assert path.read_text() == "one"
    assert [each.name for each in tmp_path.iterdir()] == ["x.json"]


def _append_many(folder: str, run_id: str, worker: int, count: int) -> None:
    store = JournalStore(folder)
    for number in range(count):
        store.append(run_id, "observed", "gateways", f"gw{worker}", {"number": number}, 600)


def test_writers_in_other_processes_wait_for_each_other(tmp_path: Path) -> None:
    folder = str(tmp_path / "journal")
    run_id = JournalStore(folder).open_run("ann", 600, {}).run_id
    context = multiprocessing.get_context("fork")
    workers = [context.Process(target=_append_many, args=(folder, run_id, number, 25)) for number in range(4)]
    for worker in workers:
        worker.start()
    for worker in workers:
        worker.join(60)
    assert [worker.exitcode for worker in workers] == [0, 0, 0, 0]
    read = JournalStore(folder).read()
    assert read.findings == () and len(read.lines) == 101
    for worker in range(4):
        own = [line.data["number"] for line in read.lines if line.unit == f"gw{worker}"]
        assert own == list(range(25))


WRITER = """
import sys
from ansible_collections.tyk.upgrade.plugins.module_utils._clients.journal_store import JournalStore
store = JournalStore(sys.argv[1])
run_id = store.open_run("ann", 600, {}).run_id
number = 0
while True:
    number += 1
    line = store.append(run_id, "observed", "plan", "", {"number": number}, 600)
    print(line.seq, flush=True)
"""


def test_what_was_acknowledged_before_a_kill_is_there(tmp_path: Path) -> None:
    folder = str(tmp_path / "journal")
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join(path for path in sys.path if path)}
    with subprocess.Popen(
        [sys.executable, "-c", WRITER, folder], stdout=subprocess.PIPE, text=True, env=environment
    ) as writer:
        assert writer.stdout is not None
        writer.stdout.readline()
        time.sleep(0.3)
        writer.kill()
        acknowledged = [int(line) for line in writer.stdout.read().split()]
    store = JournalStore(folder)
    lines = store.read().lines
    assert len(lines) >= max(acknowledged, default=2)
    store.append(lines[0].run_id, "done", "plan", "", {}, 600)
    assert store.read().findings == ()


PLAYBOOK = """
import os, subprocess, sys
if os.fork() == 0:
    module = "from ansible_collections.tyk.upgrade.plugins.module_utils._clients.processes import controller\\n"
    module += "print(controller().pid)"
    os._exit(subprocess.call(["sh", "-c", '"$0" -c "$1"; true', sys.executable, module]))
os.wait()
"""


def process_of(pid: int) -> processes.Process:
    return processes.Process(socket.gethostname(), processes._boot(), pid, processes._stat(pid)[1])


def test_the_lease_file_says_who_and_until_when(store: JournalStore) -> None:
    run_id = open_run(store, seconds=90)
    assert json.loads(Path(store.folder, "lease.json").read_text()) == {
        "owner": "ann",
        "run_id": run_id,
        "renewed": "2026-11-23T16:00:00.000Z",
        "expires": "2026-11-23T16:01:30.000Z",
        "process": None,
    }


def test_a_lease_ends_with_the_process_it_is_for(store: JournalStore) -> None:
    with subprocess.Popen(["sleep", "60"]) as sleeper:
        alive = process_of(sleeper.pid)
        run_id = store.open_run("ann", 60, {}, process=alive).run_id
        begin(store, run_id)
        with pytest.raises(ClientError, match="Another run"):
            open_run(store, "bob")
        sleeper.kill()
    open_run(store, "bob")


def test_a_process_elsewhere_is_not_known_to_be_gone(store: JournalStore) -> None:
    here = process_of(os.getpid())
    assert not processes.gone(here)
    assert processes.gone(replace(here, started=here.started + 1))
    assert not processes.gone(replace(here, host="elsewhere", started=0))
    assert not processes.gone(replace(here, boot="before", started=0))


def test_the_run_of_ansible_is_the_process_above_its_workers(tmp_path: Path) -> None:
    """A stand-in for ansible-playbook forks a worker, which starts a program, as the local connection does."""
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join(path for path in sys.path if path)}
    script = tmp_path / "ansible-playbook"
    script.write_text(PLAYBOOK)
    with subprocess.Popen(
        [sys.executable, str(script)], stdout=subprocess.PIPE, text=True, env=environment
    ) as playbook:
        out, unused = playbook.communicate(timeout=60)
    assert int(out) == playbook.pid
