# Copyright (c) 2026 tyk.upgrade contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What is told of a compilation: in which form, how much of it, and what is left when nobody reads it."""

from __future__ import annotations

import json
import os
import threading
import time
from pathlib import Path
from typing import Any, Dict, Iterator, List

import pytest

from ansible_collections.tyk.upgrade.plugins.module_utils._clients import compiler_progress
from ansible_collections.tyk.upgrade.plugins.module_utils._clients.compiler_progress import Progress


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    made = tmp_path / "told"
    made.mkdir()
    for name in ("watched", "read"):
        (made / name).touch()
    return made


def told(folder: Path) -> List[Dict[str, Any]]:
    return [json.loads(line) for line in (folder / "progress").read_text("ascii").splitlines()]


class Engine:
    """An engine whose stream ends when these pieces are over."""

    def __init__(self, *pieces: bytes) -> None:
        self.pieces = pieces
        self.api = self

    def follow(self, _container: str) -> Iterator[bytes]:
        yield from self.pieces

    def close(self) -> None:
        return


def test_who_speaks_then_lines_then_the_end(folder: Path) -> None:
    progress = Progress(str(folder / "progress"), lambda line: line.replace("hidden", "****"))
    with progress.told(), progress.following(lambda: Engine(b"a hid", b"den w\xc3", b"\xb6rd\nand "), "c", "P") as followed:
        pass
    followed.complete("a hidden wörd\nand more\n")
    lines = told(folder)
    assert lines[0] == {"pid": os.getpid()}
    assert [one for one in lines if "line" in one] == [
        {"subject": "P", "line": "a **** wörd"},
        {"subject": "P", "line": "and more"},
    ]
    assert {"end": True} in lines
    assert (folder / "progress").stat().st_mode & 0o777 == 0o600


def test_a_stream_that_is_cut_is_made_up_for(folder: Path) -> None:
    progress = Progress(str(folder / "progress"))
    with progress.following(lambda: Engine(b"one\ntw"), "c", "P") as followed:
        pass
    followed.complete("one\ntwo\r\n\nthree")
    followed.complete("one\ntwo\r\n\nthree")
    assert [one["line"] for one in told(folder)] == ["one", "two", "", "three"]


def test_there_is_room_for_so_much_and_for_the_end(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(compiler_progress, "MAXIMUM", 8 << 10)
    progress = Progress(str(folder / "progress"))
    with progress.told():
        for _unused in range(50):
            progress.line("P", "x" * 5000)
    assert (folder / "progress").stat().st_size <= 8 << 10
    lines = told(folder)
    assert lines[-1] == {"end": True} and "only in the result" in lines[-2]["line"]
    assert lines[1]["line"] == "x" * 2000 + " ..."


def test_nobody_asked(tmp_path: Path) -> None:
    progress = Progress("")
    with progress.told(), progress.following(pytest.fail, "c", "P") as followed:
        progress.line("P", "words")
    followed.complete("words\n")
    assert not progress.abandoned and list(tmp_path.iterdir()) == []


def test_a_reader_who_took_the_folder_away_waits_no_more(folder: Path) -> None:
    progress = Progress(str(folder / "progress"))
    with progress.told():
        assert not progress.abandoned
        for path in folder.iterdir():
            path.unlink()
        folder.rmdir()
        assert progress.abandoned
        progress.line("P", "words")
    assert not folder.exists()


@pytest.mark.parametrize("silent, stays", [(0, True), (1000, False)])
def test_what_a_reader_who_is_gone_left_is_removed(folder: Path, silent: int, stays: bool) -> None:
    progress = Progress(str(folder / "progress"))
    for name in ("j12.34", "j12.34.tmp"):
        (folder / name).touch()
    (folder / "read").unlink()
    threading.Timer(0.5, (folder / "read").touch if stays else str).start()
    with progress.told():
        then = time.time() - silent
        os.utime(folder / "watched", (then, then))
    assert folder.exists() is stays


def test_nothing_that_others_put_there_is_removed(folder: Path) -> None:
    (folder / "theirs").touch()
    (folder / "read").unlink()
    with Progress(str(folder / "progress")).told():
        os.utime(folder / "watched", (0, 0))
    assert [path.name for path in folder.iterdir()] == ["theirs"]


def test_a_file_that_nobody_watches_is_only_written(tmp_path: Path) -> None:
    progress = Progress(str(tmp_path / "progress"))
    with progress.told():
        progress.line("P", "words")
    assert not progress.abandoned and len(told(tmp_path)) == 3
