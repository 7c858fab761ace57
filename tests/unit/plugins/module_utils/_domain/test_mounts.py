# Copyright (c) 2026 tyk.upgrade contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Which file system a folder lies in, and whether other hosts may see it."""

from __future__ import annotations

import pytest

from ansible_collections.tyk.upgrade.plugins.module_utils._domain.mounts import file_system_of, of_several_hosts

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
