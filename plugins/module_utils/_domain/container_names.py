# Copyright (c) 2026 tyk.upgrade contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What the containers are called that replacing one by name leaves or keeps."""

from __future__ import annotations


def next_name(name: str) -> str:
    """What a replacement is called until the old container has made room."""
    return f"{name}-next"


def kept_name(name: str, identity: str) -> str:
    """What the replaced container is called while it is kept for an instant return."""
    return f"{name}-before-{identity[:12]}"


def failed_name(name: str, identity: str) -> str:
    """What a replacement that was given up is called while its evidence is kept."""
    return f"{name}-failed-{identity[:12]}"


def is_left_by(name: str, other: str) -> bool:
    """Whether the other name is one that replacing the container of this name gives."""
    return other == next_name(name) or other.startswith((kept_name(name, ""), failed_name(name, "")))
