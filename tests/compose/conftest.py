# Copyright (c) 2026 tyk.upgrade contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""A real engine with Compose, three images, and a project of two services that goes with each test."""

from __future__ import annotations

import io
import os
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

sys.path.insert(0, str(Path(__file__).resolve().parents[1] / "lab"))
sys.path.insert(0, str(Path(__file__).resolve().parent))

from compose import ComposeFleet  # noqa: E402
from lab import Lab  # noqa: E402
from project import DOCKERFILES, PROJECT, Project  # noqa: E402
from settings import ROOT, Settings  # noqa: E402


@pytest.fixture(scope="session")
def tools() -> Iterator[Lab]:
    """An engine, Compose, community.docker, and three images."""
    lab = Lab(
        Settings(name="tyk-lab-compose-test", directory=ROOT / "build" / "tyk-lab-compose-test", target="compose")
    )
    ComposeFleet(lab).prepare()
    base = lab.builder.services()
    for reference, dockerfile in DOCKERFILES.items():
        lab.client.images.build(fileobj=io.BytesIO(dockerfile.format(base=base).encode()), tag=reference, rm=True)
    try:
        yield lab
    finally:
        for reference in DOCKERFILES:
            lab.client.images.remove(reference, force=True)
        lab.client.close()


@pytest.fixture
def project(tools: Lab, tmp_path: Path) -> Iterator[Project]:
    folder = tmp_path / "srv"
    folder.mkdir()
    one = Project(tools, folder, f"tykcomposetest{os.getpid()}")
    one.compose("up", "--detach")
    try:
        yield one
    finally:
        (folder / "compose.yml").write_text(PROJECT)
        one.compose("down", "--timeout", "1")


__all__ = ["project", "tools"]
