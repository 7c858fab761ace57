# Copyright (c) 2026 tyk.upgrade contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""A bundle put in place on a gateway before it is named there: an existing folder wins over a download.

Seen on 4.3.8, 5.3.0 and 5.8.9. So gateways of two versions can each hold builds of their own under one bundle name.
"""

from __future__ import annotations

import io
import json
import os
import posixpath
import shutil
import tarfile
import tempfile
import zipfile
from dataclasses import dataclass
from typing import Any, Dict, List, Mapping, Optional, Tuple

from ansible_collections.tyk.upgrade.plugins.module_utils._clients import bundle_archive
from ansible_collections.tyk.upgrade.plugins.module_utils._clients.container_files import existing_above, owner_of
from ansible_collections.tyk.upgrade.plugins.module_utils._clients.docker_engine import Engine, parents_of, tar_member
from ansible_collections.tyk.upgrade.plugins.module_utils._clients.gateway_bundles import Files, HostFiles
from ansible_collections.tyk.upgrade.plugins.module_utils._domain.bundles import (
    MANIFEST_FILE,
    PROVENANCE_FILE,
    bundle_directory,
)
from ansible_collections.tyk.upgrade.plugins.module_utils._domain.findings import DomainError, error

MAX_UNPACKED = 1 << 30


@dataclass(frozen=True)
class Content:
    """What lies in a bundle's archive: path of the archive, and the size of each file in it."""

    path: str
    sizes: Tuple[Tuple[str, int], ...]

    @classmethod
    def of(cls, path: str, subject: str) -> Content:
        """Read a bundle's archive. Raises DomainError for one that is wrong."""
        opened = bundle_archive.read(path, MAX_UNPACKED, subject)
        wrong = [one for one in opened.findings if one.severity.value == "error"]
        if wrong or opened.manifest is None:
            raise DomainError(
                wrong[0]
                if wrong
                else error("bundle-invalid", subject, f"{subject} has no manifest.", "Build it again.")
            )
        with zipfile.ZipFile(path) as archive:
            return cls(path, tuple((entry.filename, entry.file_size) for entry in archive.infolist()))


def folder_of(middleware_path: str, bundle: str) -> str:
    """Where a gateway keeps the bundle that API definitions call so."""
    return posixpath.join(middleware_path, "bundles", bundle_directory(bundle))


def whole(files: Files, folder: str, provenance: Optional[Mapping[str, Any]] = None) -> bool:
    """Whether a bundle lies there with every file that its manifest lists, made from these inputs if they are given."""
    try:
        manifest = json.loads(files.read(posixpath.join(folder, MANIFEST_FILE)) or b"")
        listed = [str(name) for name in manifest["file_list"]]
        if provenance and json.loads(files.read(posixpath.join(folder, PROVENANCE_FILE)) or b"") != provenance:
            return False
    except (ValueError, KeyError, TypeError):
        return False
    return bool(listed) and all(files.stat(posixpath.join(folder, name)) is not None for name in listed)


def links_for(
    files: Files, content: Content, middleware_path: str, wanted: Mapping[str, Mapping[str, str]]
) -> Dict[str, str]:
    """Where the files that become links point to. Raises DomainError where the same file is not there."""
    sizes, links = dict(content.sizes), {}
    for name, place in wanted.items():
        path = posixpath.join(folder_of(middleware_path, str(place["bundle"])), str(place["file"]))
        found = files.stat(path)
        if found is None or name not in sizes or (not found.get("linkTarget") and found.get("size") != sizes[name]):
            raise DomainError(
                error(
                    "bundle-not-in-use",
                    str(place["bundle"]),
                    f"The gateway has no file {path} that is the same as {name} of the new bundle, so it would be loaded "
                    "a second time, which Go refuses.",
                    "See whether the gateway uses the bundle that its API definitions name; reload it if not.",
                )
            )
        links[name] = path
    return links


def same(files: Files, folder: str, content: Content) -> bool:
    """Whether just this bundle lies there: the same manifest, whose checksum covers its files, and files of that size.

    What is a link was made one by an earlier run.
    """
    with zipfile.ZipFile(content.path) as archive:
        if files.read(posixpath.join(folder, MANIFEST_FILE)) != archive.read(MANIFEST_FILE):
            return False
    found = {name: files.stat(posixpath.join(folder, name)) for name, _size in content.sizes}
    return all(
        one is not None and (one.get("linkTarget") or one.get("size") == size)
        for one, size in ((found[name], size) for name, size in content.sizes)
    )


def put_on_host(content: Content, folder: str, links: Optional[Mapping[str, str]] = None) -> None:
    """Unpack the bundle; the folder is there in one step or not at all."""
    parent = os.path.dirname(folder)
    _make(parent)
    owner = os.stat(parent)
    part = tempfile.mkdtemp(prefix=".tyk-upgrade-", dir=parent)
    try:
        with zipfile.ZipFile(content.path) as archive:
            for name, _size in content.sizes:
                target = os.path.join(part, name)
                if links and name in links:
                    os.symlink(links[name], target)
                    continue
                with archive.open(name) as source, open(target, "wb") as stream:
                    shutil.copyfileobj(source, stream, 1 << 20)
                    stream.flush()
                    os.fsync(stream.fileno())
                os.chmod(target, 0o644)
                _give(target, owner)
        os.chmod(part, 0o755)
        _give(part, owner)
        shutil.rmtree(folder, ignore_errors=True)
        os.rename(part, folder)
    finally:
        shutil.rmtree(part, ignore_errors=True)


def copy_from_gateway(files: Files, folder: str, target: str) -> None:
    """Copy a bundle's folder of a gateway, in one step. Nothing there, no copy.

    A link is copied as the file of another bundle that it leads to: the gateway that finds the copy may have neither. One
    that leads elsewhere raises DomainError. A copy of the same bundle stays: since it was made, a run may have been killed
    with some of the next version's files in place.
    """
    try:
        content = files.read(posixpath.join(folder, MANIFEST_FILE)) or b""
        listed = [posixpath.basename(str(name)) for name in json.loads(content)["file_list"]]
    except (ValueError, KeyError, TypeError):
        return
    about = files.read(posixpath.join(folder, PROVENANCE_FILE))
    if about is not None and about == HostFiles().read(os.path.join(target, PROVENANCE_FILE)):
        return
    parent = os.path.dirname(target)
    os.makedirs(parent, mode=0o755, exist_ok=True)
    part = tempfile.mkdtemp(prefix=".tyk-upgrade-", dir=parent)
    try:
        for name in (*listed, MANIFEST_FILE):
            place, size = _file_at(files, posixpath.join(folder, name))
            if place:
                with open(os.path.join(part, name), "wb") as stream:
                    stream.write(files.read(place, size) or b"")
        shutil.rmtree(target, ignore_errors=True)
        os.rename(part, target)
    finally:
        shutil.rmtree(part, ignore_errors=True)


def _file_at(files: Files, path: str) -> Tuple[str, int]:
    """The file that a bundle has at this path, and its size; an empty path if it has none."""
    found = files.stat(path)
    if found is None:
        return "", 0
    if not found.get("linkTarget"):
        return path, int(found.get("size") or 0)
    place = str(found["linkTarget"])
    bundles = _real(files, posixpath.dirname(posixpath.dirname(path)))
    there = files.stat(place)
    if there is None or not place.startswith(f"{bundles}/"):
        why = "where nothing is" if there is None else f"outside of {bundles}"
        raise DomainError(
            error(
                "bundle-not-in-use",
                path,
                f"{path} of the gateway is a link to {place}, {why}, so it cannot be kept for the way back.",
                "Put the file itself in place of the link, or remove the bundle's folder so that the gateway downloads it.",
            )
        )
    return place, int(there.get("size") or 0)


def _real(files: Files, path: str) -> str:
    """The path without the links on the way."""
    current = "/"
    for name in path.split("/"):
        current = posixpath.join(current, name)
        current = str((files.stat(current) or {}).get("linkTarget") or current)
    return current


def put_in_container(
    engine: Engine,
    container: str,
    content: Content,
    folder: str,
    links: Optional[Mapping[str, str]] = None,
) -> None:
    """Unpack the bundle in a container, running or not, as the gateway itself would have.

    Folders that exist keep their owner and mode. The manifest comes last: a folder that was cut off is not taken for a
    bundle.
    """
    owner = owner_of(engine, container)
    above, missing = existing_above(engine, container, folder)
    inside = "/".join(missing)
    with tempfile.TemporaryFile() as buffer:
        with tarfile.open(fileobj=buffer, mode="w", format=tarfile.GNU_FORMAT) as tar, zipfile.ZipFile(
            content.path
        ) as archive:
            for place in parents_of(posixpath.join(inside, MANIFEST_FILE)):
                tar.addfile(tar_member(place, tarfile.DIRTYPE, 0o755, owner))
            for name, size in sorted(content.sizes, key=lambda one: one[0] == MANIFEST_FILE):
                if links and name in links:
                    member = tar_member(posixpath.join(inside, name), tarfile.SYMTYPE, 0o777, owner)
                    member.linkname = links[name]
                    tar.addfile(member)
                    continue
                member = tar_member(posixpath.join(inside, name), tarfile.REGTYPE, 0o644, owner)
                member.size = size
                with archive.open(name) as source:
                    tar.addfile(member, source)
        buffer.seek(0, io.SEEK_SET)
        engine.put(container, above, buffer, container)


def placed_files(content_folder: str, folder: str) -> List[Dict[str, str]]:
    """The files of an unpacked bundle with the place that each has on the gateway."""
    names = sorted(os.listdir(content_folder), key=lambda name: (name == MANIFEST_FILE, name))
    return [
        {"src": os.path.join(content_folder, name), "dest": posixpath.join(folder, name), "mode": "0644"}
        for name in names
    ]


def _make(folder: str) -> None:
    """Make a folder that belongs to whom the one above it belongs to."""
    if os.path.isdir(folder):
        return
    _make(os.path.dirname(folder))
    os.mkdir(folder, 0o755)
    _give(folder, os.stat(os.path.dirname(folder)))


def _give(path: str, owner: os.stat_result) -> None:
    if os.geteuid() == 0:
        os.chown(path, owner.st_uid, owner.st_gid)
