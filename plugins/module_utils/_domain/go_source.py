# Copyright (c) 2026 tyk.upgrade contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""A Go source file, read by Go's own grammar: its head (build constraints, package, imports) and its string literals.

Imports stand before every other declaration, so nothing behind them is looked at for the head: a string literal that
resembles an import can never be taken for one. Grammar: https://go.dev/ref/spec#Source_file_organization.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Iterable, Iterator, List, Optional, Tuple

_BLANK = re.compile(r"(?:\s|//[^\n]*|/\*.*?\*/)+", re.DOTALL)
_NAME = re.compile(r"[^\W\d]\w*")
_STRING = re.compile(r'"((?:[^"\\\n]|\\.)*)"|`([^`]*)`')
_TOKEN = re.compile(
    r"""//[^\n]*|/\*.*?\*/|'(?:[^'\\\n]|\\.)*'|(?P<literal>"(?:[^"\\\n]|\\.)*"|`[^`]*`)""", re.DOTALL
)
_CONSTRAINT = re.compile(r"^//(?:go:build|\s*\+build)\s", re.MULTILINE)

#: What a file's name can say of where it is compiled (go/build, internal/syslist).
_SYSTEMS = frozenset((
    "aix", "android", "darwin", "dragonfly", "freebsd", "hurd", "illumos", "ios", "js", "linux", "nacl", "netbsd",
    "openbsd", "plan9", "solaris", "wasip1", "windows", "zos"
))
_MACHINES = frozenset((
    "386", "amd64", "amd64p32", "arm", "armbe", "arm64", "arm64be", "loong64", "mips", "mipsle", "mips64",
    "mips64le", "mips64p32", "mips64p32le", "ppc", "ppc64", "ppc64le", "riscv", "riscv64", "s390", "s390x",
    "sparc", "sparc64", "wasm"
))


@dataclass(frozen=True)
class Import:
    """One import: its path, and where its string literal stands in the text."""

    path: str
    start: int
    end: int


@dataclass(frozen=True)
class Head:
    """What stands before the first other declaration of a file."""

    package: str
    imports: Tuple[Import, ...]
    constrained: bool

    @property
    def paths(self) -> Tuple[str, ...]:
        """The import paths."""
        return tuple(one.path for one in self.imports)


def head(text: str) -> Optional[Head]:
    """The head of a file, None for a text that does not begin as a Go file does."""
    place = _skip(text, 1 if text.startswith("\ufeff") else 0)
    constrained = bool(_CONSTRAINT.search(text[:place]))
    word, place = _word(text, place)
    if word != "package":
        return None
    package, place = _word(text, _skip(text, place))
    if not package:
        return None
    return Head(package, tuple(_imports(text, place)), constrained)


def rename_imports(text: str, old: str, new: str, keep: Iterable[str] = ()) -> str:
    """The file with imports of the module `old` and of packages in it under `new`.

    `keep` names modules whose paths lie below `old` and which are modules of their own.
    """
    found = head(text)
    others = tuple(keep)
    for one in reversed(found.imports if found else ()):
        if within(one.path, old) and not any(within(one.path, other) for other in others):
            text = f'{text[: one.start]}"{new}{one.path[len(old) :]}"{text[one.end :]}'
    return text


def rewritten_literals(text: str, module: str) -> Iterator[Tuple[int, str]]:
    """Line and text of what a plugin compiler's renaming of the module would change in string literals.

    That is sed's `s,"<module>,"<new>,g` over the whole file: the quote may be the literal's own or stand within it, as in
    struct tags, and a dot of the module's name stands for any character. Imports, which it is meant for, are left out.
    """
    found = head(text)
    imports = {one.start for one in found.imports} if found else set()
    begins = re.compile('"' + re.escape(module).replace(r"\.", "."))
    for token in _TOKEN.finditer(text):
        literal = token.group("literal")
        if literal is None or token.start() in imports:
            continue
        for match in begins.finditer(literal):
            quoted = _STRING.match(literal, match.start())
            place = token.start() + match.start()
            yield text.count("\n", 0, place) + 1, quoted.group(0) if quoted else literal[match.start() :]


def left_out(name: str, goos: str = "linux") -> bool:
    """Whether Go never compiles a file of this name, with or without folders, on an operating system."""
    folders, _slash, base = name.rpartition("/")
    parts = folders.split("/") if folders else []
    hidden = base.startswith(("_", ".")) or any(part.startswith(("_", ".")) or part == "testdata" for part in parts)
    return hidden or base.endswith("_test.go") or _platform(base)[0] not in ("", goos)


def of_one_machine(name: str) -> bool:
    """Whether the name of a file says for which machine alone it is compiled."""
    return bool(_platform(name.rpartition("/")[2])[1])


def _platform(base: str) -> Tuple[str, str]:
    """The system and the machine that the name of a file says it is for, empty where it does not."""
    words = base.split(".", 1)[0].split("_")[1:]
    if words and words[-1] == "test":
        words = words[:-1]
    if words and words[-1] in _MACHINES:
        return (words[-2] if words[-2:-1] and words[-2] in _SYSTEMS else ""), words[-1]
    return (words[-1] if words and words[-1] in _SYSTEMS else ""), ""


def within(path: str, module: str) -> bool:
    """Whether an import path belongs to a module by its name."""
    return path == module or path.startswith(module + "/")


def _skip(text: str, place: int) -> int:
    match = _BLANK.match(text, place)
    return match.end() if match else place


def _word(text: str, place: int) -> Tuple[str, int]:
    match = _NAME.match(text, place)
    return (match.group(0), match.end()) if match else ("", place)


def _separated(text: str, place: int) -> int:
    """Behind blanks, comments and semicolons."""
    while True:
        after = _skip(text, place)
        if not text.startswith(";", after):
            return after
        place = after + 1


def _imports(text: str, place: int) -> List[Import]:
    found: List[Import] = []
    while True:
        place = _separated(text, place)
        word, after = _word(text, place)
        if word != "import":
            return found
        place = _skip(text, after)
        if not text.startswith("(", place):
            one = _spec(text, place)
            if one is None:
                return found
            found.append(one)
            place = one.end
            continue
        place = _separated(text, place + 1)
        while not text.startswith(")", place):
            one = _spec(text, place)
            if one is None:
                return found
            found.append(one)
            place = _separated(text, one.end)
        place += 1


def _spec(text: str, place: int) -> Optional[Import]:
    """An import with or without a name (a word, a dot) before its path."""
    named = place + 1 if text.startswith(".", place) else _word(text, place)[1]
    place = _skip(text, named)
    match = _STRING.match(text, place)
    if match is None:
        return None
    return Import(match.group(1) if match.group(2) is None else match.group(2), match.start(), match.end())
