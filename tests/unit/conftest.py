# Copyright (c) 2026 tyk.upgrade contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Makes ``ansible_collections.tyk.upgrade`` importable from a plain checkout in any folder.

Under ``ansible-test units`` the collection is already where Python finds it; then nothing is done.
"""

from __future__ import annotations

import importlib.util
import os
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]


def link_collection(root: Path) -> Path:
    """Build ``build/collections/ansible_collections/tyk/upgrade`` as a link to the checkout; safe to run side by side."""
    collections = root / "build" / "collections"
    link = collections / "ansible_collections" / "tyk" / "upgrade"
    link.parent.mkdir(parents=True, exist_ok=True)
    if link.is_symlink() and link.resolve() == root:
        return collections
    fresh = link.with_name(f".upgrade.{os.getpid()}")
    fresh.symlink_to(os.path.relpath(root, link.parent), target_is_directory=True)
    fresh.replace(link)
    return collections


def _already_importable() -> bool:
    try:
        return importlib.util.find_spec("ansible_collections.tyk.upgrade.plugins") is not None
    except ImportError:
        return False


if not _already_importable():
    _collections = str(link_collection(ROOT))
    for _name in [name for name in sys.modules if name.split(".")[0] == "ansible_collections"]:
        del sys.modules[_name]
    sys.path.insert(0, _collections)
    importlib.invalidate_caches()
    # Programs that a test starts find the collection too.
    os.environ["PYTHONPATH"] = os.pathsep.join(filter(None, [_collections, os.environ.get("PYTHONPATH", "")]))
    os.environ.setdefault("ANSIBLE_COLLECTIONS_PATH", _collections)


def _engine_answers() -> bool:
    try:
        import docker
    except ImportError:
        return False
    try:
        client = docker.from_env(timeout=10)
        try:
            return bool(client.ping())
        finally:
            client.close()
    except Exception:  # whatever the SDK says, there is no engine to test with
        return False


def pytest_configure(config: pytest.Config) -> None:
    for line in (
        "engine: needs a Docker engine; skipped when none answers",
        "lab: needs the lab (make lab-up)",
        "slow: takes longer than ten seconds",
    ):
        config.addinivalue_line("markers", line)


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    marked = [item for item in items if item.get_closest_marker("engine")]
    if marked and not _engine_answers():
        skip = pytest.mark.skip(reason="no Docker engine answers")
        for item in marked:
            item.add_marker(skip)
