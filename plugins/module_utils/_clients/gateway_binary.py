# Copyright (c) 2026 tyk.upgrade contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Getting hold of a gateway's program: out of an image or a package, neither of which is run or installed."""

from __future__ import annotations

import os
import posixpath
import shutil
import tarfile
import uuid
from dataclasses import dataclass
from typing import IO, List, Optional

from ansible_collections.tyk.upgrade.plugins.module_utils._clients.docker_engine import Engine, Image
from ansible_collections.tyk.upgrade.plugins.module_utils._clients.elf import Inspected, inspect, mapped
from ansible_collections.tyk.upgrade.plugins.module_utils._clients.elf_file import MAGIC, ElfFile
from ansible_collections.tyk.upgrade.plugins.module_utils._clients.package_file import extract
from ansible_collections.tyk.upgrade.plugins.module_utils._domain.build_info import newest_glibc
from ansible_collections.tyk.upgrade.plugins.module_utils._domain.findings import DomainError, error

#: Where images and packages of all releases have the gateway.
DEFAULT_BINARY = "/opt/tyk-gateway/tyk"
LIBC = "libc.so.6"
LIBC_LIMIT = 64 << 20
LABEL_INSPECT = "tyk.upgrade.inspect"
GO_SYMLINK = 1 << 27  # Go's os.ModeSymlink, in which the engine reports modes
LINKS_FOLLOWED = 20


@dataclass(frozen=True)
class GatewayBinary:
    """A gateway's program, inspected."""

    inspected: Inspected
    binary: str  # where it is, in the image, the package or on the host
    glibc: str = ""  # the C library that it runs with, empty if not known


def inspected_gateway(path: str, name: str) -> Inspected:
    """Inspect a gateway's program. Raises DomainError where it is none."""
    try:
        return inspect(path, name)
    except OSError as problem:
        why = problem.strerror or str(problem)
    except ValueError as problem:
        why = str(problem)
    raise DomainError(
        error(
            "setting-invalid",
            name,
            f"The gateway's program {name} cannot be inspected: {why}.",
            "Give the program itself, as releases install it in /opt/tyk-gateway/tyk.",
        )
    )


# -- on this host ----------------------------------------------------------------------------------------------------


def from_path(path: str) -> GatewayBinary:
    """A program on this host."""
    return GatewayBinary(inspected_gateway(path, path), path)


def glibc_of_host(interpreter: str) -> str:
    """The version of the C library beside the dynamic linker on this host, empty where there is none."""
    libc = os.path.join(os.path.dirname(os.path.realpath(interpreter)), LIBC)
    try:
        with mapped(libc) as content:
            return newest_glibc(ElfFile(content).versions_defined())
    except (OSError, ValueError):
        return ""


# -- in an image -----------------------------------------------------------------------------------------------------


def from_image(engine: Engine, reference: str, binary: Optional[str], folder: str) -> GatewayBinary:
    """Take the program out of an image through a container that is never started.

    binary: its path in the image; None looks at what the image starts, and at where releases have it.
    folder: where a copy may be kept while it is read.
    """
    image = engine.ensure_image(reference, "missing")[0]
    container = engine.create(
        {"Image": image.id, "Cmd": ["-"], "Labels": {LABEL_INSPECT: "1"}, "HostConfig": {"NetworkMode": "none"}},
        f"tyk-upgrade-inspect-{uuid.uuid4().hex[:12]}",
    )
    try:
        copy = os.path.join(folder, "gateway")
        place = _copied_binary(engine, container, image, binary, copy)
        inspected = inspected_gateway(copy, reference)
        glibc = _glibc_of_image(engine, container, inspected.interpreter)
        return GatewayBinary(inspected, place, glibc)
    finally:
        engine.remove(container, volumes=True, force=True)


def started_program(image: Image) -> str:
    """What a container of the image runs first, as an absolute path; empty if the image does not say."""
    command: List[str] = list(image.config.get("Entrypoint") or []) or list(image.config.get("Cmd") or [])
    first = str(command[0]) if command else ""
    if "/" not in first:
        return ""
    return posixpath.normpath(posixpath.join(image.config.get("WorkingDir") or "/", first))


def _copied_binary(engine: Engine, container: str, image: Image, binary: Optional[str], target: str) -> str:
    """Write the program to `target` and say where it was."""
    places = [binary] if binary else list(dict.fromkeys(filter(None, [started_program(image), DEFAULT_BINARY])))
    for place in places:
        real = resolved(engine, container, place)
        if real and _copied(engine, container, real, target):
            with open(target, "rb") as source:
                if binary or source.read(len(MAGIC)) == MAGIC:
                    return real
    raise DomainError(
        error(
            "setting-invalid",
            image.reference,
            f"The image {image.reference} has no gateway program at {' or '.join(places)}.",
            "Check that it is a gateway image, or say where the program is (binary).",
        )
    )


def resolved(engine: Engine, container: str, path: str) -> str:
    """The path of the file itself where links lead, empty where there is none."""
    for _number in range(LINKS_FOLLOWED):
        found = engine.stat(container, path)
        if found is None:
            return ""
        if not int(found.get("mode") or 0) & GO_SYMLINK:
            return path
        path = posixpath.join(posixpath.dirname(path), str(found.get("linkTarget") or ""))
    return ""


def _copied(engine: Engine, container: str, path: str, target: str) -> bool:
    """Copy one file out of the container; False where the path is no file."""
    copied: List[bool] = []

    def take(_unused: tarfile.TarInfo, content: Optional[IO[bytes]]) -> None:
        if content is not None and not copied:
            with open(target, "wb") as sink:
                shutil.copyfileobj(content, sink, 1 << 20)
            copied.append(True)

    engine.read_tree(container, path, take)
    return bool(copied)


def _glibc_of_image(engine: Engine, container: str, interpreter: str) -> str:
    """The version of the C library beside the image's dynamic linker, empty where there is none."""
    linker = resolved(engine, container, interpreter) if interpreter else ""
    libc = resolved(engine, container, posixpath.join(posixpath.dirname(linker), LIBC)) if linker else ""
    content = engine.read_file(container, libc, LIBC_LIMIT) if libc else None
    try:
        return newest_glibc(ElfFile(content).versions_defined()) if content else ""
    except ValueError:
        return ""


# -- in a package ----------------------------------------------------------------------------------------------------


def from_package(file: str, binary: Optional[str], folder: str) -> GatewayBinary:
    """Take the program out of a .deb or .rpm file. Raises DomainError where it is not in there."""
    place = binary or DEFAULT_BINARY
    copy = os.path.join(folder, "gateway")
    if not extract(file, place, copy):
        raise DomainError(
            error(
                "package-file-invalid",
                file,
                f"The package {file} has no gateway program at {place}.",
                "Check that it is a gateway package, or say where the program is (binary).",
            )
        )
    return GatewayBinary(inspected_gateway(copy, os.path.basename(file)), place)
