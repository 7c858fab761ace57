# Copyright (c) 2026 tyk.upgrade contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Of which version a compiler image is, by its own word."""

from __future__ import annotations

import pytest

from ansible_collections.tyk.upgrade.plugins.module_utils._domain.plugin_builds import (
    named_by_another,
    other_compiler,
    right_compiler,
    with_environment,
)
from ansible_collections.tyk.upgrade.plugins.module_utils._domain.resolution import compiled_name


@pytest.mark.parametrize(
    ("version", "name", "words"),
    [
        ("4.0.16", "X.so", ""),
        ("4.0.16", "X_v4.3.8_linux_amd64.so", "is the plugin compiler of 4.3.8, not of 4.0.16"),
        ("4.3.8", "X_v4.3.8_linux_amd64.so", ""),
        ("5.8.0-rc1", "X_v5.8.0_linux_amd64.so", ""),
        ("5.8.9", "X_v5.3.0_linux_amd64.so", "is the plugin compiler of 5.3.0, not of 5.8.9"),
        ("5.8.9", "X.so", "X.so, which the plugin compiler of 5.8.9 calls X_v5.8.9_linux_amd64.so"),
        ("5.8.9", "X__linux_amd64.so", "which the plugin compiler of 5.8.9 calls"),
        ("5.8.9", "X_v5.8.9_linux_arm64.so", "which the plugin compiler of 5.8.9 calls"),
    ],
)
def test_the_name_of_a_result(version: str, name: str, words: str) -> None:
    said = named_by_another("mine:1", version, compiled_name(version, "X"), name)
    assert bool(said) is bool(words) and words in said
    assert not said or said.startswith(f"The image mine:1 called its result {name}")


@pytest.mark.parametrize(
    ("version", "environment", "other"),
    [
        ("5.8.9", {}, False),
        ("5.8.9", {"GITHUB_TAG": ""}, False),
        ("5.8.9", {"GITHUB_TAG": "v5.8.9"}, False),
        ("5.8.9", {"GITHUB_TAG": "v5.8.9-rc2"}, False),
        ("5.8.9", {"GITHUB_TAG": "v5.8.90"}, True),
        ("5.8.9", {"GITHUB_TAG": "v5.3.0"}, True),
        ("4.0.16", {"GITHUB_TAG": "v5.3.0"}, True),
        ("5.8.9", {"GITHUB_TAG": "release"}, False),
    ],
)
def test_what_an_image_says_of_itself(version: str, environment: dict[str, str], other: bool) -> None:
    assert bool(other_compiler("mine:1", version, environment)) is other


def test_what_to_do_about_it() -> None:
    assert "GITHUB_TAG=v5.8.9" in right_compiler("mine:1", "5.8.9") and "mine:1" in right_compiler("mine:1", "5.8.9")


def test_the_environment_is_part_of_a_compilers_id() -> None:
    base = with_environment("sha256:a", {"GO_TIDY": "1"})
    assert base.startswith("sha256:a+env:") and len(base) == len("sha256:a+env:") + 32
    assert with_environment("sha256:a", {}) == "sha256:a"
    assert with_environment("sha256:a", {"GOPROXY": "https://x", "https_proxy": "y"}) == "sha256:a"
    assert with_environment("sha256:a", {"GO_TIDY": "1", "GOPRIVATE": "x"}) == base
    others = [{"GO_TIDY": "0"}, {"GO_TIDY": "1", "GOFLAGS": "-x"}, {"GO_TIDY": "1", "MY_TOKEN": "a"}]
    assert len({base, *(with_environment("sha256:a", one) for one in others)}) == 4
    assert with_environment("sha256:a", {"MY_TOKEN": "a"}) == with_environment("sha256:a", {"MY_TOKEN": "b"})
