# Copyright (c) 2026 tyk.upgrade contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What the bytes of a compiled Go plugin say: machine, Go version, plugin path.

Read in pure Python and without loading it: a plugin of another machine or Go generation must never be opened in this
process. The layout of the build information is that of Go's package debug/buildinfo.
"""

from __future__ import annotations

import mmap
import re
import struct
from dataclasses import dataclass
from typing import Any, Dict, Optional, Tuple

ELF_MAGIC = b"\x7fELF"
BUILD_INFO_MAGIC = b"\xff Go buildinf:"
BUILD_INFO_ALIGN = 16
BUILD_INFO_HEADER = 32
INLINE_STRINGS = 2  # flag since Go 1.18: version and module text follow the header
SENTINEL = 16  # bytes before and after the module text
#: The sentinels themselves, for plugins of Go <= 1.17, whose header holds pointers (runtime/debug, modinfo).
MODULE_START = bytes.fromhex("3077af0c9274080241e1c107e6d618e6")
MODULE_END = bytes.fromhex("f932433186182072008242104116d8f2")

#: ELF machine numbers by Go's name of the architecture.
MACHINES: Dict[str, int] = {"amd64": 62, "arm64": 183, "s390x": 22, "386": 3, "arm": 40, "ppc64le": 21}


@dataclass(frozen=True)
class GoBinary:
    """What a Go program or plugin says about itself."""

    machine: int
    go_version: str
    path: str  # the plugin path: Go loads only one plugin of a path into a process
    settings: Tuple[Tuple[str, str], ...] = ()

    @property
    def arch(self) -> str:
        return next((name for name, number in MACHINES.items() if number == self.machine), f"machine {self.machine}")


def read_go_binary(path: str) -> GoBinary:
    """Read a file. Raises ValueError with a sentence for one that is not a 64-bit or 32-bit ELF file built by Go."""
    with open(path, "rb") as source:
        head = source.read(20)
        if head[:4] != ELF_MAGIC or len(head) < 20:
            raise ValueError("it is not an ELF file")
        order = ">" if head[5] == 2 else "<"
        machine = int(struct.unpack(order + "H", head[18:20])[0])
        with mmap.mmap(source.fileno(), 0, access=mmap.ACCESS_READ) as content:
            version, module = build_info(content)
    return GoBinary(machine, version, _line(module, "path"), _settings(module))


def build_info(content: Any) -> Tuple[str, str]:
    """Go version and module text of an executable's bytes; raises ValueError where there are none."""
    place = content.find(BUILD_INFO_MAGIC)
    while place >= 0:
        flags = content[place + 15]
        if flags & INLINE_STRINGS:
            version, after = _string(content, place + BUILD_INFO_HEADER)
            module, _unused = _string(content, after)
            if version.startswith((b"go", b"devel")):
                return version.decode("utf-8", "replace"), _strip(module).decode("utf-8", "replace")
        elif place % BUILD_INFO_ALIGN == 0:
            return _before_inline_strings(content)
        place = content.find(BUILD_INFO_MAGIC, place + 1)
    raise ValueError("it carries no Go build information")


def _before_inline_strings(content: Any) -> Tuple[str, str]:
    """Go <= 1.17: find the texts themselves, for the pointers to them are only right after relocation."""
    start = content.find(MODULE_START)
    end = content.find(MODULE_END, start) if start >= 0 else -1
    module = bytes(content[start + SENTINEL : end]).decode("utf-8", "replace") if end >= 0 else ""
    match = re.search(rb"go1\.\d+(?:\.\d+)?(?=[^\w.])", content)
    return (match.group(0).decode() if match else ""), module


def _string(content: Any, place: int) -> Tuple[bytes, int]:
    """A string with its length as a varint before it, and where it ends."""
    length, shift = 0, 0
    while True:
        byte = content[place]
        place += 1
        length |= (byte & 0x7F) << shift
        if byte < 0x80:
            break
        shift += 7
        if shift > 28:
            return b"", place
    return bytes(content[place : place + length]), place + length


def _strip(module: bytes) -> bytes:
    return module[SENTINEL:-SENTINEL] if len(module) >= 2 * SENTINEL + 1 else b""


def _line(module: str, key: str) -> str:
    match = re.search(rf"^{key}\t(\S*)", module, re.MULTILINE)
    return match.group(1) if match else ""


def _settings(module: str) -> Tuple[Tuple[str, str], ...]:
    return tuple(re.findall(r"^build\t([^=\s]+)=(.*)$", module, re.MULTILINE))


def check_plugin(path: str, goarch: str, build_id: str) -> Tuple[Optional[GoBinary], str]:
    """What a freshly compiled plugin is, and what is wrong with it (an empty text if nothing)."""
    try:
        binary = read_go_binary(path)
    except (ValueError, IndexError) as problem:
        return None, f"The result is unusable: {problem}."
    wanted = MACHINES.get(goarch)
    if wanted is not None and binary.machine != wanted:
        return binary, f"The result is built for {binary.arch}, not for {goarch}."
    if build_id and build_id not in (binary.path or _bytes_contain(path, build_id)):
        return binary, (
            f"The result's plugin path is {binary.path or 'unknown'} and does not contain the build id {build_id}, so "
            f"a gateway that has loaded the plugin before would refuse it."
        )
    return binary, ""


def _bytes_contain(path: str, text: str) -> str:
    """The text itself if the file contains it: plugins of the GOPATH era list no path in their build information."""
    with open(path, "rb") as source, mmap.mmap(source.fileno(), 0, access=mmap.ACCESS_READ) as content:
        return text if content.find(text.encode()) >= 0 else ""
