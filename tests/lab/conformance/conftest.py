# Copyright (c) 2026 tyk.upgrade contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""One world for each test; what is expensive is made once, before pytest-xdist starts its workers."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

sys.path.insert(0, str(Path(__file__).resolve().parent))

from subject import Subject, Version, prepare  # noqa: E402
from world import World  # noqa: E402


def pytest_configure(config: pytest.Config) -> None:
    if not hasattr(config, "workerinput"):
        try:
            Subject.from_environment()
        except ValueError as error:
            pytest.exit(str(error), returncode=4)
        prepare()


@pytest.fixture(scope="session")
def subject() -> Subject:
    return Subject.from_environment()


@pytest.fixture
def version(subject: Subject) -> Version:
    return subject.version


@pytest.fixture
def world(subject: Subject, tmp_path: Path) -> Iterator[World]:
    tmp_path.chmod(0o777)
    one = World(subject, tmp_path)
    try:
        yield one
    finally:
        one.close()
