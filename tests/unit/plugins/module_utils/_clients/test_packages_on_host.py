# Copyright (c) 2026 tyk.upgrade contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Programs, files, locks and archives of the host; with real ones, no package manager needed."""

from __future__ import annotations

import io
import os
import stat
import subprocess
import sys
import time
from pathlib import Path

import pytest

from ansible_collections.tyk.upgrade.plugins.module_utils._clients import dnf, mount_table
from ansible_collections.tyk.upgrade.plugins.module_utils._clients.errors import ClientError
from ansible_collections.tyk.upgrade.plugins.module_utils._clients.host_commands import (
    Host,
    first_holder,
    pid_file_holder,
    record_lock_holder,
)
from ansible_collections.tyk.upgrade.plugins.module_utils._clients.package_observation import free_space, may
from ansible_collections.tyk.upgrade.plugins.module_utils._clients.package_replacement import missing_folders


@pytest.fixture
def host() -> Host:
    return Host()


def test_a_program_and_what_it_says(host: Host) -> None:
    said = host.run("sh", "-c", 'echo out; echo "$LC_ALL $DEBIAN_FRONTEND" >&2; exit 3')
    assert (said.code, said.ok, said.output, said.errors) == (3, False, "out\n", "C noninteractive\n")
    assert said.last() == "C noninteractive"
    said = host.run("sh", "-c", "seq 3; echo 'debconf: noise' >&2; echo '  the cause' >&2")
    assert said.tail(2) == "2 / 3 / the cause"
    assert host.run("true").tail() == host.run("true").last() == "it printed nothing"


def test_a_program_that_is_not_there(host: Host) -> None:
    said = host.run("no-such-program-anywhere")
    assert (said.code, said.errors) == (127, "no-such-program-anywhere: No such file or directory")


def test_a_program_that_does_not_end_is_ended_with_its_children(host: Host, tmp_path: Path) -> None:
    began = time.monotonic()
    said = host.run("sh", "-c", f"(sleep 3; touch {tmp_path}/late) & wait", timeout=0.3)
    assert said.code is None and time.monotonic() - began < 2.5
    time.sleep(3)
    assert not (tmp_path / "late").exists()


def test_no_program_can_ask_a_question(host: Host) -> None:
    assert host.run("cat").output == ""


def test_a_file_is_written_whole_and_privately(host: Host, tmp_path: Path) -> None:
    path = tmp_path / "new" / "file"
    host.write(str(path), b"one")
    host.write(str(path), b"two", 0o640)
    assert path.read_bytes() == b"two" and stat.S_IMODE(path.stat().st_mode) == 0o640
    assert os.listdir(path.parent) == ["file"]


def test_what_cannot_be_written_leaves_nothing(host: Host, tmp_path: Path) -> None:
    (tmp_path / "target").mkdir()
    with pytest.raises(OSError):
        host.write(str(tmp_path / "target"), b"x")
    assert os.listdir(tmp_path) == ["target"]


def test_removing(host: Host, tmp_path: Path) -> None:
    (tmp_path / "a" / "b").mkdir(parents=True)
    assert host.remove(str(tmp_path / "a")) is True
    assert host.remove(str(tmp_path / "a")) is False


HOLD = "import fcntl,sys,time; f=open(sys.argv[1],'w'); fcntl.lockf(f, fcntl.LOCK_EX); print(1, flush=True); time.sleep(60)"


def test_who_holds_a_lock(tmp_path: Path) -> None:
    path = str(tmp_path / "lock")
    assert record_lock_holder(path) is None, "no such file"
    with subprocess.Popen([sys.executable, "-c", HOLD, path], stdout=subprocess.PIPE) as holder:
        try:
            assert holder.stdout is not None and holder.stdout.readline()
            found = first_holder([str(tmp_path / "other"), path])
            assert found is not None and found.pid == holder.pid
            assert str(found).startswith(f"process {holder.pid} ({sys.executable} -c import fcntl")
        finally:
            holder.kill()
    assert record_lock_holder(path) is None


def test_a_pid_file(tmp_path: Path) -> None:
    path = tmp_path / "pid"
    for content, held in ((str(os.getppid()), True), (str(os.getpid()), False), ("999999999", False), ("", False)):
        path.write_text(content)
        assert (pid_file_holder(str(path)) is not None) is held, content


def member(name: str, mode: int, content: bytes) -> bytes:
    """One entry of a newc archive."""
    fields = [1, mode, 0, 0, 1, 0, len(content), 0, 0, 0, 0, len(name) + 1, 0]
    head = b"070701" + b"".join(b"%08X" % one for one in fields) + name.encode() + b"\0"
    return head + b"\0" * (-len(head) % 4) + content + b"\0" * (-len(content) % 4)


def test_files_in_a_cpio_archive() -> None:
    archive = (
        member("./opt", 0o040755, b"")
        + member("./opt/link", 0o120777, b"tyk")
        + member("./opt/tyk", 0o100755, b"x" * 3_000_001)
        + member("./opt/empty", 0o100644, b"")
        + member("./opt/tyk.conf", 0o100644, b"{}")
        + member("TRAILER!!!", 0, b"")
    )
    found = {name: content.read() for name, content in dnf.cpio_files(io.BytesIO(archive))}
    assert {name: len(content) for name, content in found.items()} == {"./opt/tyk": 3_000_001, "./opt/tyk.conf": 2}
    names = [name for name, _content in dnf.cpio_files(io.BytesIO(archive))]
    assert names == ["./opt/tyk", "./opt/tyk.conf"], "what is not read is skipped"
    for cut in (archive[:-200], b"", b"not an archive" * 20):
        with pytest.raises(ClientError, match="content"):
            list(dnf.cpio_files(io.BytesIO(cut)))


@pytest.mark.parametrize(
    ("settings", "held"),
    [
        ("[main]\nexcludepkgs=tyk-*\n", True),
        ("[main]\nexclude=a, tyk-gateway\n", True),
        ("[main]\nexclude=tyk-pump\n", False),
        ("not a settings file", False),
    ],
)
def test_an_exclusion(monkeypatch: pytest.MonkeyPatch, tmp_path: Path, settings: str, held: bool) -> None:
    path = tmp_path / "dnf.conf"
    path.write_text(settings)
    monkeypatch.setattr(dnf, "DNF_SETTINGS", str(path))
    assert dnf.excluded("tyk-gateway") is held


def test_the_folders_that_are_missing(tmp_path: Path) -> None:
    assert missing_folders(f"{tmp_path}/a/b/c") == [f"{tmp_path}/a/b", f"{tmp_path}/a"]
    assert missing_folders(f"{tmp_path}/c") == []


def test_free_space_is_that_of_the_nearest_folder_that_exists(tmp_path: Path) -> None:
    path, free = free_space([str(tmp_path / "a" / "b")])
    assert path == str(tmp_path) and free is not None and free > 0


def test_who_may_read(tmp_path: Path) -> None:
    path = tmp_path / "conf"
    path.write_text("x")
    path.chmod(0o600)
    assert may("root", str(path), 4) and may("", str(path), 4)
    assert may("nobody", str(path), 4) is (path.stat().st_uid == 65534)
    path.chmod(0o604)
    assert may("nobody", str(path), 4) and not may("nobody", str(path), 2)


def test_a_folder_that_other_hosts_may_have_mounted(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "link").symlink_to("remote")
    table = f"/dev/sda1 {tmp_path} ext4 rw 0 0\nfiles:/tyk {tmp_path}/remote nfs4 rw 0 0\n"
    monkeypatch.setattr(mount_table, "mount_table", lambda: table)
    assert mount_table.network_file_system(str(tmp_path / "link" / "bundles")) == "nfs4"
    assert mount_table.network_file_system(str(tmp_path / "bundles")) == ""
