# Copyright (c) 2026 tyk.upgrade contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""A user's own files on disk: found, read, replaced as a whole, and remembered line by line for the way back.

What an edit replaced is kept by line and not by file: several gateways may share one file, and the way back of one must
not undo the upgrade of another.
"""

from __future__ import annotations

import hashlib
import json
import os
import tempfile
from dataclasses import dataclass
from typing import Any, Callable, Dict, List, Mapping, Optional, Sequence, Tuple

from ansible_collections.tyk.upgrade.plugins.module_utils._clients.errors import ClientError
from ansible_collections.tyk.upgrade.plugins.module_utils._clients.host_state import state_dir, write_private
from ansible_collections.tyk.upgrade.plugins.module_utils._domain.source_files import (
    Edit,
    Place,
    assignments_in,
    edited,
    line_of,
)

BASES = ("compose.yaml", "compose.yml", "docker-compose.yaml", "docker-compose.yml")
OVERRIDES = (
    "compose.override.yml",
    "compose.override.yaml",
    "docker-compose.override.yml",
    "docker-compose.override.yaml",
)


def default_state_dir() -> str:
    """Where lines are remembered when nobody says."""
    return state_dir("source")


def read_text(path: str) -> str:
    """A file's text, ends of lines and all. Raises ClientError."""
    try:
        with open(path, encoding="utf-8", newline="") as source:
            return source.read()
    except (OSError, UnicodeDecodeError) as problem:
        reason = problem.strerror if isinstance(problem, OSError) else "it is not UTF-8 text"
        raise ClientError(
            "source-of-truth",
            path,
            f"{path} cannot be read: {reason}.",
            "Check the path and its permissions on this host.",
        ) from problem


def compose_files(
    project_dir: str, files: Sequence[str], env_files: Sequence[str], environment: Mapping[str, str]
) -> Tuple[List[str], List[str]]:
    """The files and env files that Compose would read for a project, in its order. Raises ClientError."""
    if env_files:
        env_paths = [os.path.join(project_dir, one) for one in env_files]
    else:
        env_paths = [one for one in [os.path.join(project_dir, ".env")] if os.path.exists(one)]
    if files:
        return [os.path.join(project_dir, one) for one in files], env_paths
    named = environment.get("COMPOSE_FILE") or _from_env_files("COMPOSE_FILE", env_paths)
    if named:
        separator = (
            environment.get("COMPOSE_PATH_SEPARATOR") or _from_env_files("COMPOSE_PATH_SEPARATOR", env_paths) or ":"
        )
        return [os.path.join(project_dir, one) for one in named.split(separator)], env_paths
    found = []
    for candidates in (BASES, OVERRIDES):
        found += [one for one in (os.path.join(project_dir, name) for name in candidates) if os.path.exists(one)][:1]
    if not found:
        raise ClientError(
            "source-of-truth",
            project_dir,
            f"{project_dir} has no Compose file ({', '.join(BASES)}).",
            "Check the project's folder, or name its files.",
        )
    return found, env_paths


def _from_env_files(name: str, paths: Sequence[str]) -> str:
    found = ""
    for path in paths:
        for one in assignments_in(read_text(path)):
            found = one.raw if one.name == name else found
    return found


@dataclass(frozen=True)
class Remembered:
    """One line as it was and as it was made."""

    name: str
    line: int
    before: str
    after: str


class SourceStore:
    """Replaces files and remembers what it replaced."""

    def __init__(self, state_dir: str, backup_dir: str, move: Callable[[str, str], Any]) -> None:
        self.state_dir = state_dir or default_state_dir()
        self.backup_dir = backup_dir
        self.move = move

    def write(self, path: str, before: str, edits: Sequence[Edit]) -> str:
        """Remember, save and edit a file; return where it was saved."""
        after = edited(before, edits)
        remembered = self._remembered(path)
        for edit in edits:
            line = line_of(before, edit.place)
            fresh = Remembered(edit.place.name, line, line_text(before, line), line_text(after, line))
            remembered = [one for one in remembered if one.line != line] + [fresh]
        saved = self._save(path, before)
        self._remember(path, remembered)
        self._replace(path, after)
        return saved

    def returns(self, path: str, text: str, places: Sequence[Place]) -> List[Remembered]:
        """Which lines among those of the places are as they were made, and can be made as they were."""
        wanted = {line_of(text, place): place.name for place in places}
        found = []
        for one in self._remembered(path):
            for line, name in wanted.items():
                if line_text(text, line) == one.after and (one.line == line or one.name == name):
                    found.append(Remembered(one.name, line, one.before, one.after))
        return found

    def put_back(self, path: str, text: str, returns: Sequence[Remembered]) -> str:
        """Make the lines as they were; return where the file was saved."""
        saved = self._save(path, text)
        self._replace(path, returned_text(text, returns))
        gone = {one.after for one in returns}
        self._remember(path, [one for one in self._remembered(path) if one.after not in gone])
        return saved

    def _save(self, path: str, text: str) -> str:
        if not self.backup_dir:
            return ""
        content = text.encode()
        digest = hashlib.sha256(content).hexdigest()[:8]
        saved = os.path.join(self.backup_dir, "source", f"{path.lstrip('/')}.{digest}")
        write_private(saved, content)
        return saved

    def _record(self, path: str) -> str:
        return os.path.join(self.state_dir, hashlib.sha256(path.encode()).hexdigest()[:16] + ".json")

    def _remembered(self, path: str) -> List[Remembered]:
        try:
            with open(self._record(path), encoding="utf-8") as source:
                return [Remembered(**one) for one in json.load(source)["lines"]]
        except (OSError, ValueError, KeyError, TypeError):
            # Nothing was edited here, or by something else.
            return []

    def _remember(self, path: str, lines: Sequence[Remembered]) -> None:
        content: Dict[str, Any] = {"path": path, "lines": [vars(one) for one in lines]}
        write_private(self._record(path), json.dumps(content, indent=2).encode())

    def _replace(self, path: str, text: str) -> None:
        folder = os.path.dirname(path)
        descriptor, temporary = -1, ""
        try:
            descriptor, temporary = tempfile.mkstemp(prefix=f".{os.path.basename(path)}.", dir=folder)
            with os.fdopen(descriptor, "w", encoding="utf-8", newline="") as target:
                target.write(text)
                target.flush()
                os.fsync(target.fileno())
            self.move(temporary, path)
        except OSError as problem:
            raise ClientError(
                "source-of-truth",
                path,
                f"{path} cannot be replaced: {problem.strerror}.",
                f"The task needs the right to write in {folder}.",
            ) from problem
        finally:
            if temporary and os.path.exists(temporary):
                os.unlink(temporary)


def line_text(text: str, line: int) -> str:
    """A line by its number from 1, without its end."""
    lines = text.split("\n")
    return lines[line - 1].rstrip("\r") if line <= len(lines) else ""


def returned_text(text: str, returns: Sequence[Remembered]) -> str:
    """The text with lines made as they were."""
    lines = text.split("\n")
    for one in returns:
        ending = "\r" if lines[one.line - 1].endswith("\r") else ""
        lines[one.line - 1] = one.before + ending
    return "\n".join(lines)


def real(path: str) -> str:
    """The file itself, where the path is a link to it."""
    return os.path.realpath(path)


def changed_part(one: Remembered) -> Tuple[str, str]:
    """The words that differ between the two lines, so that nothing else of a line is shown."""
    start = 0
    while start < min(len(one.before), len(one.after)) and one.before[start] == one.after[start]:
        start += 1
    while start > 0 and not one.before[start - 1].isspace() and one.before[start - 1] not in "='\"":
        start -= 1
    end = 0
    while end < min(len(one.before), len(one.after)) - start and one.before[-1 - end] == one.after[-1 - end]:
        end += 1
    stop: Optional[int] = -end if end else None
    return one.after[start:stop], one.before[start:stop]
