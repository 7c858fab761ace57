# Copyright (c) 2026 tyk.upgrade contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The names under which the collection puts builds for two versions into one bundle, as this gateway sees them."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest
from subject import Version
from world import World, hook

COLLECTIONS = Path(__file__).resolve().parents[3] / "build" / "collections"
if COLLECTIONS.is_dir():
    sys.path.insert(0, str(COLLECTIONS))
resolution = pytest.importorskip("ansible_collections.tyk.upgrade.plugins.module_utils._domain.resolution")

# The first and the last release of each class of gateways.
OTHERS = (
    "4.0.0",
    "4.0.16",
    "4.1.0",
    "4.2.4",
    "4.3.0",
    "4.3.1",
    "4.3.2",
    "4.3.8",
    "5.0.15",
    "5.2.5",
    "5.3.0",
    "5.8.9",
    "5.14.0",
)
HOOKS = {"pre": ("Pre", "request"), "response": ("After", "response")}
GARBAGE = b"a build for another version, which nobody may open"


def names(version: Version, other: str, kind: str) -> dict[str, str] | None:
    """File names by version in one bundle for both, None where there can be none."""
    found: dict[str, str] | None = resolution.shared_layout(str(version), other, "plugin", hooks=[HOOKS[kind][1]])
    return found


def one_bundle_serves(version: Version, other: Version, kind: str) -> bool:
    """In words of its own: two versions that open only the exact name have one name for two files."""

    def exact_only(one: Version) -> bool:
        return not one.since("4.3.2") if kind == "response" else not one.since("4.1.0")

    def exact_first(one: Version) -> bool:
        return not one.since("4.3.2")

    if exact_only(version):
        return not exact_first(other)
    if exact_only(other):
        return not exact_first(version)
    return True


@pytest.mark.parametrize("kind", HOOKS)
def test_beside_each_other_version_it_opens_its_own_build(world: World, version: Version, kind: str) -> None:
    middleware = {"driver": "goplugin", kind: [hook(HOOKS[kind][0])]}
    pairs = [other for other in OTHERS if other != str(version)]
    for other in pairs:
        files = names(version, other, kind)
        assert (files is not None) == one_bundle_serves(version, Version.parse(other), kind), other
        if files is None:
            continue
        placed = world.place(other, {files[str(version)]: world.build("one"), files[other]: GARBAGE}, middleware)
        own = placed / files[str(version)]
        own.unlink()
        own.symlink_to(world.subject.builds / "one.so")
        world.file(world.api(f"beside-{other}", other))
    world.file(world.api("plain"))
    gateway = world.gateway().start()
    gateway.serves("plain")
    for other in pairs:
        if names(version, other, kind) is None:
            continue
        answer = gateway.get(f"/beside-{other}/x")
        marks = {name.lower() for name in (answer.headers if kind == "response" else answer.upstream)}
        assert answer.status == 200 and f"x-conformance-{kind}" in marks, (other, answer)
    assert "Could not load Go-plugin" not in gateway.log
