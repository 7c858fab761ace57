# Copyright (c) 2026 tyk.upgrade contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Where in a container a mount lies above a path."""

from __future__ import annotations

from typing import Iterable


def mount_of(places: Iterable[str], path: str) -> str:
    """The mount, of those at these places, that a path lies in: the innermost; empty if it lies in none."""
    above = [place for place in places if path == place or path.startswith(place.rstrip("/") + "/")]
    return max(above, key=len) if above else ""
