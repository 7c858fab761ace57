# Copyright (c) 2026 tyk.upgrade contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What the bytes of a compiled Go plugin or gateway say: machine, Go version, modules, plugin path, functions.

Read in pure Python and without loading it: a plugin of another machine or Go generation must never be opened in this
process. The layout of the build information is that of Go's package debug/buildinfo, the names of symbols are those of
Go's linker (cmd/link/internal/ld).
"""

from __future__ import annotations

import contextlib
import mmap
import os
import re
import struct
from dataclasses import dataclass
from typing import Dict, Iterator, Optional, Tuple
from urllib.parse import unquote

from ansible_collections.tyk.upgrade.plugins.module_utils._clients.elf_file import (
    MACHINES,
    PF_W,
    PT_LOAD,
    STT_FUNC,
    Content,
    ElfFile,
    NotElf,
    what_it_is,
)
from ansible_collections.tyk.upgrade.plugins.module_utils._clients.local_disk import other_than_file
from ansible_collections.tyk.upgrade.plugins.module_utils._clients.plugin_functions import exported_types
from ansible_collections.tyk.upgrade.plugins.module_utils._domain.build_info import (
    BuildInfo,
    GoProgram,
    Module,
    newest_glibc,
    parse_build_info,
)

BUILD_INFO_MAGIC = b"\xff Go buildinf:"
BUILD_INFO_SECTION = ".go.buildinfo"
BUILD_INFO_ALIGN = 16
BUILD_INFO_HEADER = 32
BIG_ENDIAN, INLINE_STRINGS = 1, 2  # flags; since Go 1.18 version and module text follow the header
SENTINEL = 16  # bytes before and after the module text
#: The sentinels themselves, for plugins of Go <= 1.17, whose header holds pointers (runtime/debug, modinfo).
MODULE_START = bytes.fromhex("3077af0c9274080241e1c107e6d618e6")
MODULE_END = bytes.fromhex("f932433186182072008242104116d8f2")

#: The symbol that holds a package's fingerprint; "go." was "go:" from 1.20 on.
FINGERPRINT = re.compile(r"go[:.]link\.pkghashbytes\.")
FINGERPRINT_PATTERN = rb"go[:.]link\.pkghashbytes\.[^\0]+"
#: What the compiler notes for debuggers: the Go version is nowhere else in plugins of Go <= 1.19.
COMPILER = re.compile(rb"Go cmd/compile (go[^;\0]+|devel [^;\0]+)")
DEBUG_LOOKED_AT = 1 << 20
UNNAMED = "plugin/unnamed-"  # how Go calls a plugin that was built from single files

#: How much of a text is read at most, whatever the file says its length is.
MAXIMUM_TEXT = 4 << 20
#: In how many places of a file its build information is looked for; it is in the first one that begins like it.
MAXIMUM_PLACES = 64


@dataclass(frozen=True)
class GoBinary:
    """What a Go program or plugin says about itself."""

    machine: int
    go_version: str
    path: str  # the plugin path: Go loads only one plugin of a path into a process
    settings: Tuple[Tuple[str, str], ...] = ()
    modules: Tuple[Module, ...] = ()

    @property
    def arch(self) -> str:
        return next((name for name, number in MACHINES.items() if number == self.machine), f"machine {self.machine}")


@dataclass(frozen=True)
class Inspected:
    """A Go program with what its ELF file says beside it."""

    program: GoProgram
    bits: int
    kind: str
    interpreter: str
    stripped: bool  # without the table of symbols that only debuggers read
    size: int
    glibc_versions: Tuple[str, ...] = ()


@contextlib.contextmanager
def mapped(path: str) -> Iterator[Content]:
    """The bytes of a file, of which only those that are looked at are read. Raises NotElf for none and for an empty one."""
    if other_than_file(path):
        raise NotElf(f"it is {other_than_file(path)} and no file")
    with open(path, "rb") as source:
        if not os.fstat(source.fileno()).st_size:
            raise NotElf(what_it_is(b""))
        with mmap.mmap(source.fileno(), 0, access=mmap.ACCESS_READ) as content:
            yield content


def inspect(path: str, name: str = "") -> Inspected:
    """Everything that a Go program's or plugin's file tells.

    name: what findings shall call it, the file's name if empty. Raises ValueError with a clause such as "it is cut off:
    …"; OSError for a file that cannot be read.
    """
    with opened(path) as elf:
        return _inspected(elf, name or os.path.basename(path), len(elf.content))


@contextlib.contextmanager
def opened(path: str) -> Iterator[ElfFile]:
    """An ELF file. Raises NotElf also where what is read from it later turns out to be damaged."""
    with mapped(path) as content:
        try:
            yield ElfFile(content)
        except (struct.error, IndexError, OverflowError) as problem:
            raise NotElf("its tables are damaged") from problem


def plugin_path_of(path: str) -> str:
    """The path that Go knows a plugin by; empty for a file that is no Go plugin, or none that can be read.

    Reads no more than that takes, whatever the file says of itself. Raises OSError for a file that cannot be opened.
    """
    try:
        with opened(path) as elf:
            packages = _fingerprints(elf)
            if not packages or elf.kind != "shared" or elf.interpreter:
                return ""
            return _plugin_path(elf, parse_build_info(*_build_info_of(elf)), packages)
    except ValueError:
        return ""


def unfit_for_plugin(inspected: Inspected) -> str:
    """Why Go could not open it as a plugin, as a clause; empty if it could."""
    mode = inspected.program.info.settings.get("-buildmode", "plugin")
    if inspected.interpreter or inspected.kind == "executable":
        return "it is a program, not a plugin"
    if inspected.kind != "shared":
        return f"it is an ELF file of type {inspected.kind}, not a shared library"
    if mode != "plugin":
        return f"it was built with -buildmode={mode}, not as a plugin"
    if not inspected.program.fingerprints:
        return "it is a shared library without what Go's linker puts into a plugin"
    return ""


def _inspected(elf: ElfFile, name: str, size: int) -> Inspected:
    version, text = _build_info_of(elf)
    built = parse_build_info(version, text)
    fingerprints = _fingerprints(elf)
    plugin_path = _plugin_path(elf, built, fingerprints) if elf.kind == "shared" and not elf.interpreter else ""
    versions = sorted({version for found in elf.versions_needed().values() for version in found})
    program = GoProgram(
        name=name,
        goarch=elf.goarch,
        info=built,
        plugin_path=plugin_path,
        functions=_functions(elf, plugin_path) if plugin_path else (),
        types=exported_types(elf, plugin_path) if plugin_path else {},
        fingerprints=fingerprints,
        glibc=newest_glibc(versions),
        libraries=tuple(elf.libraries),
    )
    return Inspected(
        program=program,
        bits=elf.bits,
        kind=elf.kind,
        interpreter=elf.interpreter,
        stripped=elf.section(".symtab") is None,
        size=size,
        glibc_versions=tuple(versions),
    )


def _fingerprints(elf: ElfFile) -> Dict[str, str]:
    return {
        FINGERPRINT.sub("", name, count=1): elf.at(symbol.address, symbol.size).hex()
        for name, symbol in elf.symbols(FINGERPRINT_PATTERN)
        if symbol.defined
    }


def _plugin_path(elf: ElfFile, built: BuildInfo, packages: Dict[str, str]) -> str:
    """The path of the package that has the plugin's main function.

    The build information does not say it of a GOPATH build, nor of a plugin that was built from single files.
    """
    found = [unquote(name) for name, symbol in elf.symbols_ending(b".main") if symbol.kind == STT_FUNC]
    candidates = [path for path in found if path in packages]
    if built.path in candidates or not candidates:
        return built.path
    return next((path for path in candidates if path.startswith(UNNAMED)), candidates[0])


def _functions(elf: ElfFile, plugin_path: str) -> Tuple[str, ...]:
    """The exported functions of the main package, as plugin.Lookup finds them."""
    prefix = f"{symbol_prefix(plugin_path)}."
    found = set()
    for name, symbol in elf.symbols(re.escape(prefix).encode() + rb"[^\0.()\[\]{}*]+"):
        function = name[len(prefix) :]
        if symbol.kind == STT_FUNC and symbol.defined and function[0].isupper():
            found.add(function)
    return tuple(sorted(found))


def symbol_prefix(path: str) -> str:
    """An import path as symbols begin with it (cmd/internal/objabi, PathToPrefix).

    >>> symbol_prefix("gopkg.in/yaml.v3")
    'gopkg.in/yaml%2ev3'
    """
    folder, slash, last = path.rpartition("/")
    escaped = [
        f"%{byte:02x}" if byte <= 0x20 or byte >= 0x7F or byte in b'%"' else chr(byte) for byte in folder.encode()
    ]
    tail = [f"%{byte:02x}" if byte <= 0x20 or byte >= 0x7F or byte in b'.%"' else chr(byte) for byte in last.encode()]
    return "".join([*escaped, slash, *tail])


# -- build information -----------------------------------------------------------------------------------------------


def read_go_binary(path: str) -> GoBinary:
    """Read a file. Raises ValueError with a sentence for one that is not a 64-bit or 32-bit ELF file built by Go."""
    with opened(path) as elf:
        version, text = _build_info_of(elf)
        built = parse_build_info(version, text)
        plugin_path = _plugin_path(elf, built, _fingerprints(elf))
    return GoBinary(elf.machine, version, plugin_path, tuple(built.settings.items()), tuple(built.modules))


def _build_info_of(elf: ElfFile) -> Tuple[str, str]:
    """Go version and module text, looked for where they must be before the whole file is searched.

    Go's linker gave plugins no build information before 1.20 (cmd/link/internal/ld, buildinfo): they hold the module
    text as a string, unless they were built in a GOPATH, and their Go version is what the compiler noted.
    """
    section = elf.section(BUILD_INFO_SECTION)
    places = [(section.offset, section.offset + section.size)] if section else []
    places += [(one.offset, one.offset + one.size) for one in elf.segments if one.kind == PT_LOAD and one.flags & PF_W]
    for start, end in places:
        found = build_info(elf.content, start, end, elf)
        if found is not None:
            return found
    if next(iter(elf.symbols(FINGERPRINT_PATTERN)), None) is not None:
        return _of_compiler(elf), _between_sentinels(elf.content)
    found = build_info(elf.content, 0, len(elf.content), elf)
    if found is not None:
        return found
    raise ValueError("it carries no Go build information")


def _of_compiler(elf: ElfFile) -> str:
    """The Go version in the information for debuggers, empty where that was stripped."""
    match = COMPILER.search(elf.start_of(".debug_info", DEBUG_LOOKED_AT))
    return match.group(1).decode("utf-8", "replace").strip() if match else ""


def build_info(
    content: Content, start: int = 0, end: Optional[int] = None, elf: Optional[ElfFile] = None
) -> Optional[Tuple[str, str]]:
    """Go version and module text from a part of an executable's bytes, None where there are none."""
    end = len(content) if end is None else end
    place = start - 1
    for _number in range(MAXIMUM_PLACES):
        place = content.find(BUILD_INFO_MAGIC, place + 1, end)
        if place < 0:
            break
        flags = content[place + 15]
        if flags & INLINE_STRINGS:
            version, after = _string(content, place + BUILD_INFO_HEADER)
            module, _unused = _string(content, after)
            if version.startswith((b"go", b"devel")):
                return version.decode("utf-8", "replace"), _strip(module).decode("utf-8", "replace")
        elif place % BUILD_INFO_ALIGN == 0:
            return (_by_pointers(elf, place) if elf else None) or _before_inline_strings(content)
    return None


def _by_pointers(elf: ElfFile, place: int) -> Optional[Tuple[str, str]]:
    """Go <= 1.17: the header points to two strings, and the dynamic linker writes these pointers in a plugin."""
    size = elf.content[place + 14]
    order = ">" if elf.content[place + 15] & BIG_ENDIAN else "<"
    layout = order + ("Q" if size == 8 else "I")
    written = elf.pointers()

    def pointer(address: int) -> int:
        if address in written:
            return written[address]
        raw = elf.at(address, size)
        return int(struct.unpack(layout, raw)[0]) if len(raw) == size else 0

    def string(address: int) -> bytes:
        raw = elf.at(address + size, size)
        length = int(struct.unpack(layout, raw)[0]) if len(raw) == size else 0
        return elf.at(pointer(address), min(length, MAXIMUM_TEXT))

    header = elf.address_of(place)
    if header is None or size not in (4, 8):
        return None
    version, module = (string(pointer(header + BUILD_INFO_ALIGN + number * size)) for number in (0, 1))
    if not version.startswith((b"go", b"devel")):
        return None
    return version.decode("utf-8", "replace"), _strip(module).decode("utf-8", "replace")


def _before_inline_strings(content: Content) -> Tuple[str, str]:
    """Go <= 1.17 where the pointers lead nowhere: find the texts themselves."""
    match = re.search(rb"go1\.\d+(?:\.\d+)?(?=[^\w.])", content)
    return (match.group(0).decode() if match else ""), _between_sentinels(content)


def _between_sentinels(content: Content) -> str:
    start = content.find(MODULE_START)
    end = content.find(MODULE_END, start, start + MAXIMUM_TEXT) if start >= 0 else -1
    return bytes(content[start + SENTINEL : end]).decode("utf-8", "replace") if end >= 0 else ""


def _string(content: Content, place: int) -> Tuple[bytes, int]:
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
    return bytes(content[place : place + min(length, MAXIMUM_TEXT)]), place + length


def _strip(module: bytes) -> bytes:
    return module[SENTINEL:-SENTINEL] if len(module) >= 2 * SENTINEL + 1 else b""


# -- what a compiler has left ----------------------------------------------------------------------------------------


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
