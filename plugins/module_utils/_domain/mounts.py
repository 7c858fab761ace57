# Copyright (c) 2026 tyk.upgrade contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Where in a container a mount lies above a path, and who else sees what is in it."""

from __future__ import annotations

import posixpath
from typing import Iterable, Tuple

#: File systems that other hosts may have mounted as well, by the kernel's names.
OF_SEVERAL_HOSTS = ("nfs", "nfs4", "cifs", "smb3", "ceph", "9p", "glusterfs", "lustre", "gpfs", "ocfs2", "gfs2")


def mount_of(places: Iterable[str], path: str) -> str:
    """The mount, of those at these places, that a path lies in: the innermost; empty if it lies in none."""
    above = [place for place in places if path == place or path.startswith(place.rstrip("/") + "/")]
    return max(above, key=len) if above else ""


def overlap(one: str, other: str) -> bool:
    """Whether one of two folders is the other or lies in it."""
    return bool(mount_of([one], other) or mount_of([other], one))


def common_folder(place: str, folder: str, other_place: str, other_folder: str) -> Tuple[str, str]:
    """Where in each of two containers lies what a mount of either shows of the host; empty if they have nothing in common.

    A container with /srv/tyk at /opt/tyk and one with /srv/tyk/mw at /mw have /opt/tyk/mw and /mw.
    """
    if not overlap(folder, other_folder):
        return "", ""
    inner = max(folder, other_folder, key=len)
    return _below(place, folder, inner), _below(other_place, other_folder, inner)


def _below(place: str, folder: str, inner: str) -> str:
    return posixpath.normpath(posixpath.join(place, posixpath.relpath(inner, folder)))


def file_system_of(path: str, mount_table: str) -> str:
    """The kind of the file system that a path of this host lies in, by the text of /proc/self/mounts; empty if unknown.

    A file system in user space is named with its program: fuse.glusterfs.
    """
    places = {}
    for line in mount_table.splitlines():
        fields = line.split()
        if len(fields) > 2:
            places[fields[1].replace("\\040", " ")] = fields[2]
    return places.get(mount_of(places, path), "")


def of_several_hosts(file_system: str) -> bool:
    """Whether other hosts may see what is written there."""
    if file_system.startswith("fuse."):
        return file_system != "fuse.fuse-overlayfs"  # which holds the containers of an engine without root
    return file_system in OF_SEVERAL_HOSTS
