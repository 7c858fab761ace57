# Copyright (c) 2026 tyk.upgrade contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Versions of Tyk components and the ranges that rules are stated in.

A Tyk version is three numbers and, before its release, a suffix: 5.8.9, v5.8.9, 5.8.0-rc1.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from functools import lru_cache, total_ordering
from typing import List, Tuple, Union

from ansible_collections.tyk.upgrade.plugins.module_utils._domain.findings import DomainError, error

_VERSION = re.compile(r"v?(0|[1-9][0-9]*)\.(0|[1-9][0-9]*)\.(0|[1-9][0-9]*)(?:-([0-9A-Za-z][0-9A-Za-z.+-]*))?")
_WORD_OR_NUMBER = re.compile(r"[0-9]+|[^0-9]+")
_COMPARISON = re.compile(r"(<=|>=|==|<|>)\s*(\S+)")


@total_ordering
@dataclass(frozen=True)
class Version:
    """One version. Compares by number, and a pre-release comes before its release."""

    major: int
    minor: int
    patch: int
    pre: str = ""

    @classmethod
    def parse(cls, text: str) -> Version:
        """Read 5.8.9, v5.8.9 or 5.8.0-rc1. Raises ValueError with a sentence for anything else."""
        match = _VERSION.fullmatch(text.strip())
        if match is None:
            raise ValueError(f"{text!r} is not a version; a version is three numbers such as 5.8.9 or v5.8.9.")
        return cls(int(match.group(1)), int(match.group(2)), int(match.group(3)), match.group(4) or "")

    def __str__(self) -> str:
        suffix = f"-{self.pre}" if self.pre else ""
        return f"{self.major}.{self.minor}.{self.patch}{suffix}"

    @property
    def tag(self) -> str:
        """The version as image tags and source tags write it: v5.8.9."""
        return f"v{self}"

    @property
    def release(self) -> Version:
        """The release this is, or will become: 5.8.0 for 5.8.0-rc1."""
        return Version(self.major, self.minor, self.patch)

    @property
    def line(self) -> str:
        """The release line, whose patches are published together: 5.8."""
        return f"{self.major}.{self.minor}"

    def satisfies(self, ranges: str) -> bool:
        """Whether this version lies in the ranges, for example ">=5.0.12, <5.1.0 | >=5.3.1".

        A comma joins conditions that must all hold, a bar separates alternatives (release lines are independent: a
        change is often backported to some of them). A pre-release behaves as its release does.
        """
        return _lies_in(self.release, ranges)

    def __lt__(self, other: object) -> bool:
        if not isinstance(other, Version):
            return NotImplemented
        return self._sort_key() < other._sort_key()

    def _sort_key(self) -> Tuple[int, int, int, bool, List[Tuple[bool, int, str]], str]:
        words = [
            (False, int(word), "") if word.isdigit() else (True, 0, word) for word in _WORD_OR_NUMBER.findall(self.pre)
        ]
        return (self.major, self.minor, self.patch, not self.pre, words, self.pre)


@dataclass(frozen=True)
class Condition:
    """One comparison of a range, such as >=5.3.1."""

    operator: str
    bound: Version

    def holds(self, version: Version) -> bool:
        """Whether the version is on the right side of the bound."""
        if self.operator == "<":
            return version < self.bound
        if self.operator == "<=":
            return version <= self.bound
        if self.operator == ">":
            return version > self.bound
        if self.operator == ">=":
            return version >= self.bound
        return version == self.bound


@lru_cache(maxsize=None)
def parse_ranges(text: str) -> Tuple[Tuple[Condition, ...], ...]:
    """Read ranges as Version.satisfies takes them: alternatives, each of conditions.

    Raises ValueError for a text that is not a range, so that a slip in a rule table cannot pass for "never".
    """
    return tuple(tuple(_parse_condition(part) for part in alternative.split(",")) for alternative in text.split("|"))


@lru_cache(maxsize=None)
def _lies_in(release: Version, ranges: str) -> bool:
    return any(all(condition.holds(release) for condition in every) for every in parse_ranges(ranges))


def _parse_condition(text: str) -> Condition:
    match = _COMPARISON.fullmatch(text.strip())
    if match is None:
        raise ValueError(f"{text.strip()!r} is not a condition on a version; write one such as >=5.3.1.")
    return Condition(match.group(1), Version.parse(match.group(2)))


def as_version(value: Union[str, Version]) -> Version:
    """The version itself, or the one the text says."""
    return value if isinstance(value, Version) else Version.parse(value)


def parse_wanted(value: object, subject: str = "tyk_target_version") -> Version:
    """Read a version that a user set. The subject is the name of the setting.

    Raises DomainError: version-not-string when YAML has already turned the value into a number (5.10 became 5.1, so
    guessing would upgrade to the wrong release), version-unknown when the text is not a version.
    """
    if not isinstance(value, str):
        raise DomainError(
            error(
                "version-not-string",
                subject,
                f"{subject} was given as {_kind(value)}, not as text.",
                f'Write all three numbers, in quotes: {subject}: "5.8.9".',
            )
        )
    try:
        return Version.parse(value)
    except ValueError as problem:
        raise DomainError(
            error(
                "version-unknown",
                subject,
                f"{subject} cannot be read: {problem}",
                f'Write all three numbers, in quotes: {subject}: "5.8.9".',
            )
        ) from problem


def _kind(value: object) -> str:
    if isinstance(value, bool):
        return "true or false"
    if isinstance(value, (int, float)):
        return f"a number ({value}; as numbers 5.10 and 5.1 are the same)"
    return "nothing" if value is None else f"a {type(value).__name__}"
