# Copyright (c) 2026 tyk.upgrade contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The text of a go.mod file: what it says, and the few changes that a build for another gateway needs.

Only lines that have to change do; comments and everything unknown stay as they are. Grammar: https://go.dev/ref/mod.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Callable, List, Optional, Sequence, Tuple

_WORD = re.compile(r'"[^"]*"|`[^`]*`|[^\s()"`]+|[()]')


#: What go.mod of a module that is built may say; Go refuses everything else there.
_KEYWORDS = ("module", "go", "toolchain", "require", "replace", "exclude", "retract", "godebug", "tool", "ignore")


@dataclass(frozen=True)
class Replace:
    """A replace directive: module, its version (empty: any), and what stands for it."""

    old: str
    old_version: str
    new: str
    new_version: str

    @property
    def local(self) -> bool:
        """Whether a folder stands for the module."""
        return not self.new_version

    @property
    def text(self) -> str:
        """As go.mod writes it, without the keyword."""
        sides = ((self.old, self.old_version), (self.new, self.new_version))
        return " => ".join(" ".join(word for word in side if word) for side in sides)


@dataclass(frozen=True)
class Directive:
    """One line's statement. `block` is set for those between parentheses, where the keyword is not repeated."""

    line: int
    keyword: str
    words: Tuple[str, ...]
    block: bool = False

    def written(self, *words: str) -> str:
        """Another statement of the same keyword in its place."""
        return "\t" + " ".join(words) if self.block else " ".join((self.keyword, *words))


@dataclass(frozen=True)
class GoMod:
    """A go.mod file."""

    text: str

    @property
    def directives(self) -> List[Directive]:
        """Its statements in order."""
        return self._read()[0]

    def _read(self) -> Tuple[List[Directive], str]:
        """Its statements, and the keyword of a block that does not end."""
        found: List[Directive] = []
        block = ""
        for number, line in enumerate(self.text.splitlines()):
            words = [_unquoted(word) for word in _WORD.findall(_without_comment(line))]
            if not words:
                continue
            if block:
                if words[0] == ")":
                    block = ""
                else:
                    found.append(Directive(number, block, tuple(words), block=True))
            elif words[1:2] == ["("]:
                block = words[0]
            else:
                found.append(Directive(number, words[0], tuple(words[1:])))
        return found, block

    @property
    def problem(self) -> str:
        """Why Go cannot read it, as a clause; empty where nothing is seen."""
        directives, unended = self._read()
        if unended:
            return f"its block {unended[:40]!r} does not end"
        strange = next((one for one in directives if one.keyword not in _KEYWORDS), None)
        if strange is not None:
            return f"line {strange.line + 1} begins with {strange.keyword[:40]!r}, which is nothing that go.mod can say"
        return "" if self.module else "it has no module line"

    def _all(self, keyword: str, count: int = 1) -> List[Directive]:
        return [one for one in self.directives if one.keyword == keyword and len(one.words) >= count]

    def _first(self, keyword: str) -> str:
        return next((one.words[0] for one in self._all(keyword)), "")

    @property
    def module(self) -> str:
        """The module's path, empty where no line says it."""
        return self._first("module")

    @property
    def go(self) -> str:
        """The version on its go line, empty where there is none (Go then means 1.16)."""
        return self._first("go")

    @property
    def toolchain(self) -> str:
        """The toolchain it proposes, such as go1.22.3."""
        return self._first("toolchain")

    @property
    def requires(self) -> List[Tuple[str, str]]:
        """Modules it requires, with their versions."""
        return [(one.words[0], one.words[1]) for one in self._all("require", 2)]

    @property
    def replaces(self) -> List[Replace]:
        """Its replace directives."""
        return [found for found in map(_replace, self._all("replace", 3)) if found is not None]

    def with_module(self, path: str) -> GoMod:
        """The same file for a module of another path."""
        if not self.module:
            return GoMod(f"module {path}\n\n{self.text}")
        return self._changed("module", lambda one: one.written(path))

    def with_go(self, version: str) -> GoMod:
        """The same file with another version on its go line, which is added if there is none."""
        if not self.go:
            return self._appended([f"go {version}"])
        return self._changed("go", lambda one: one.written(version))

    def without_toolchain(self) -> GoMod:
        """The same file without a proposal which toolchain to use."""
        return self._changed("toolchain", lambda _unused: None)

    def requiring(self, module: str, version: str) -> GoMod:
        """The same file, requiring exactly this version of a module."""
        if all(name != module for name, _unused in self.requires):
            return self._appended([f"require {module} {version}"])
        return self._changed(
            "require", lambda one: one.written(module, version) if one.words[0] == module else "", keep_empty=True
        )

    def without_replace(self, module: str) -> GoMod:
        """The same file without replacing this module."""
        return self._changed("replace", lambda one: None if one.words[0] == module else "", keep_empty=True)

    def replacing(self, replaces: Sequence[Replace]) -> GoMod:
        """The same file with these replace directives, those it has already left out."""
        have = {(one.old, one.old_version) for one in self.replaces}
        return self._appended([f"replace {one.text}" for one in replaces if (one.old, one.old_version) not in have])

    def _appended(self, lines: Sequence[str]) -> GoMod:
        if not lines:
            return self
        return GoMod(self.text.rstrip("\n") + "\n\n" + "\n".join(lines) + "\n")

    def _changed(
        self, keyword: str, change: Callable[[Directive], Optional[str]], keep_empty: bool = False
    ) -> GoMod:
        """Each statement of a keyword as `change` writes it: None drops it, with `keep_empty` an empty text keeps it."""
        lines: List[Optional[str]] = list(self.text.splitlines())
        for one in self._all(keyword):
            written = change(one)
            if written or written is None or not keep_empty:
                lines[one.line] = written
        return GoMod("".join(f"{line}\n" for line in lines if line is not None))


def _without_comment(line: str) -> str:
    """The line up to its comment; in go.mod only // begins one."""
    quoted = ""
    for place, letter in enumerate(line):
        if quoted:
            quoted = "" if letter == quoted else quoted
        elif letter in "\"`":
            quoted = letter
        elif line.startswith("//", place):
            return line[:place]
    return line


def _unquoted(word: str) -> str:
    return word[1:-1] if len(word) > 1 and word[0] in "\"`" else word


def _replace(one: Directive) -> Optional[Replace]:
    words = list(one.words)
    if "=>" not in words:
        return None
    middle = words.index("=>")
    old, new = words[:middle], words[middle + 1 :]
    if not old or not new:
        return None
    return Replace(old[0], "".join(old[1:2]), new[0], "".join(new[1:2]))
