# Copyright (c) 2026 tyk.upgrade contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Which file a gateway opens, with every combination of those that could be there, for every kind of hook."""

from __future__ import annotations

import itertools
from typing import Any

import pytest
from subject import Version, named, order
from world import PROTECTED, World, hook

# One build for each name, so that the mark says which was opened.
BUILDS = {"exact": "one", "v": "two", "plain": "three"}
COMBINATIONS = [
    tuple(name for name, there in zip(BUILDS, choice) if there) for choice in itertools.product((True, False), repeat=3)
]
HOOKS = {"pre": "Pre", "auth_check": "CheckKey", "post_key_auth": "PostKeyAuth", "post": "Post", "response": "After"}


def opened(version: Version, kind: str, there: tuple[str, ...]) -> str:
    """The name that is opened, "" if there is none: up to 4.3.1 response hooks know the exact one only."""
    names = ["exact"] if kind == "response" and not version.since("4.3.2") else order(version)
    return next((name for name in names if name in there), "")


@pytest.mark.parametrize("kind", HOOKS)
def test_the_file_that_is_opened_with_every_combination_of_files(world: World, version: Version, kind: str) -> None:
    """Links in place of copies: Go knows a plugin by its real path, so one process can open it for all of these."""
    names = named(version)
    entry = hook(HOOKS[kind])
    middleware = {"driver": "goplugin", kind: entry if kind == "auth_check" else [entry]}
    more: dict[str, Any] = PROTECTED if kind in ("auth_check", "post_key_auth") else {}
    if kind == "post_key_auth":  # runs behind an authentication only
        middleware["auth_check"] = hook("CheckKey", "auth.so")
    for index, there in enumerate(COMBINATIONS):
        files = {names[name]: world.build(BUILDS[name]) for name in there}
        placed = world.place(f"{index}.zip", {"auth.so": world.build("one"), **files}, middleware)
        for name, build in (("auth.so", "one"), *((names[name], BUILDS[name]) for name in there)):
            (placed / name).unlink()
            (placed / name).symlink_to(world.subject.builds / f"{build}.so")
        world.file(world.api(f"api{index}", f"{index}.zip", **more))
    world.file(world.api("plain"))
    gateway = world.gateway().start()
    gateway.serves("plain")
    marks = {
        name: _mark_of(gateway.get(f"/api{COMBINATIONS.index((name,))}/x", Authorization="good"), kind)
        for name in BUILDS
        if opened(version, kind, (name,))
    }
    assert len(set(marks.values())) == len(marks) and all(marks.values()), marks
    for index, there in enumerate(COMBINATIONS):
        answer = gateway.get(f"/api{index}/x", Authorization="good")
        wanted = opened(version, kind, there)
        if wanted:
            assert (answer.status, _mark_of(answer, kind)) == (200, marks[wanted]), (there, answer)
        elif kind == "response" or version.since("4.0.13", "5.0.1"):
            assert answer.status == 500, (there, answer)
        elif kind == "auth_check":
            assert answer.status == 400, (there, answer)
        else:
            assert (answer.status, _mark_of(answer, kind)) == (200, ""), (there, answer)


def _mark_of(answer: Any, kind: str) -> str:
    """Plugin path of the build whose hook ran, "" if none did."""
    if answer.status != 200:
        return ""
    if kind == "response":
        return next((value for name, value in answer.headers.items() if name.lower() == "x-conformance-response"), "")
    name = {"auth_check": "auth"}.get(kind, kind.replace("_", "-"))
    return str(answer.upstream.get(f"x-conformance-{name}", ""))
