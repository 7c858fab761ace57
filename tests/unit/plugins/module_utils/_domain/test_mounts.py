# Copyright (c) 2026 tyk.upgrade contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Which file system a folder lies in, and whether other hosts may see it."""

from __future__ import annotations

from typing import Tuple

import pytest

from ansible_collections.tyk.upgrade.plugins.module_utils._domain.mounts import (
    common_folder,
    file_system_of,
    of_several_hosts,
    overlap,
)

TABLE = """\
overlay / overlay rw,relatime 0 0
/dev/sda1 /srv ext4 rw 0 0
files:/export /srv/tyk nfs4 rw 0 0
gluster:/vol /mnt/with\\040space fuse.glusterfs rw 0 0
a broken
"""


@pytest.mark.parametrize(
    ("path", "kind", "shared"),
    [
        ("/var/lib/docker/volumes/mw/_data", "overlay", False),
        ("/srv/other", "ext4", False),
        ("/srv/tyk/gw1/middleware", "nfs4", True),
        ("/srv/tykish", "ext4", False),
        ("/mnt/with space/mw", "fuse.glusterfs", True),
    ],
)
def test_the_innermost_mount_decides(path: str, kind: str, shared: bool) -> None:
    assert file_system_of(path, TABLE) == kind
    assert of_several_hosts(kind) is shared


def test_what_is_not_known_is_taken_for_private() -> None:
    assert file_system_of("/srv", "") == "" and not of_several_hosts("")
    assert not of_several_hosts("fuse.fuse-overlayfs")


@pytest.mark.parametrize(
    ("folder", "other", "common"),
    [
        ("/srv/tyk", "/srv/tyk", ("/opt/tyk", "/mw")),
        ("/srv/tyk", "/srv/tyk/mw", ("/opt/tyk/mw", "/mw")),
        ("/srv/tyk/mw", "/srv/tyk", ("/opt/tyk", "/mw/mw")),
        ("/srv/tyk", "/", ("/opt/tyk", "/mw/srv/tyk")),
        ("/srv/tyk", "/srv/tyk2", ("", "")),
        ("/srv/a", "/srv/b", ("", "")),
    ],
)
def test_what_two_containers_see_of_the_host(folder: str, other: str, common: Tuple[str, str]) -> None:
    assert common_folder("/opt/tyk", folder, "/mw", other) == common
    assert common_folder("/mw", other, "/opt/tyk", folder) == common[::-1]


def test_folders_overlap_by_whole_names() -> None:
    assert overlap("/a", "/a/b") and overlap("/a/b", "/a") and overlap("/", "/a") and not overlap("/a", "/ab")
