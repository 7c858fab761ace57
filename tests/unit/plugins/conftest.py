# Copyright (c) 2026 tyk.upgrade contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Fixtures for the tests of modules and of what they are made of."""

from __future__ import annotations

import pytest

from ansible_collections.tyk.upgrade.tests.unit.plugins import go_builds


@pytest.fixture(scope="session")
def go_world(tmp_path_factory: pytest.TempPathFactory) -> go_builds.GoWorld:
    """A gateway that opens plugins, built by the Go of this machine."""
    if not go_builds.POSSIBLE:
        pytest.skip("no Go toolchain with a C compiler")
    world = go_builds.GoWorld(tmp_path_factory.mktemp("go"))
    world.start()
    return world
