# Copyright (c) 2026 tyk.upgrade contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The parts of an ELF file that a dynamic linker reads: segments, dynamic symbols, versions of libraries.

Only the places asked for are touched, so that a mapped file of any size is read in part. The layout is that of the
System V ABI (gABI, chapters 4 and 5) and of the GNU extensions for versions and hashes (LSB Core, chapter 10).
"""

from __future__ import annotations

import mmap
import re
import struct
import zlib
from typing import Dict, Iterator, List, NamedTuple, Optional, Tuple, Union

Content = Union[bytes, mmap.mmap]

MAGIC = b"\x7fELF"
EXECUTABLE, SHARED = 2, 3
KINDS: Dict[int, str] = {1: "relocatable", EXECUTABLE: "executable", SHARED: "shared", 4: "core"}

#: ELF machine numbers by Go's name of the architecture.
MACHINES: Dict[str, int] = {
    "386": 3,
    "arm": 40,
    "amd64": 62,
    "arm64": 183,
    "loong64": 258,
    "ppc64le": 21,
    "riscv64": 243,
    "s390x": 22,
}
PPC64 = "ppc64"  # the machine number of ppc64le, the other byte order

PT_LOAD, PT_DYNAMIC, PT_INTERP = 1, 2, 3
PF_W = 2
SHF_COMPRESSED = 0x800
COMPRESSED_BY_ZLIB = 1
PACKING = 4096  # what a compressed section may hold before and between its content
DT_NEEDED, DT_HASH, DT_STRTAB, DT_SYMTAB, DT_RELA, DT_RELASZ, DT_STRSZ, DT_SONAME = 1, 4, 5, 6, 7, 8, 10, 14
DT_GNU_HASH = 0x6FFFFEF5
DT_VERDEF, DT_VERDEFNUM, DT_VERNEED, DT_VERNEEDNUM = 0x6FFFFFFC, 0x6FFFFFFD, 0x6FFFFFFE, 0x6FFFFFFF
STT_FUNC = 2
MAXIMUM = 1024  # of entries in a table of versions or libraries; real ones have a few dozen
#: Of symbols, and of pointers that the dynamic linker writes. Plugins of 50 MB have a tenth of it.
MAXIMUM_ENTRIES = 1 << 20
MAXIMUM_NAME, MAXIMUM_SECTION_NAME = 1 << 16, 256
MAXIMUM_DYNAMIC = 1 << 16  # bytes of the dynamic section; real ones have a few hundred

#: What files begin with that are taken for plugins by mistake.
OTHER_FILES: Tuple[Tuple[bytes, str], ...] = (
    (b"\xfe\xed\xfa\xce", "a Mach-O file, as macOS uses"),
    (b"\xfe\xed\xfa\xcf", "a Mach-O file, as macOS uses"),
    (b"\xce\xfa\xed\xfe", "a Mach-O file, as macOS uses"),
    (b"\xcf\xfa\xed\xfe", "a Mach-O file, as macOS uses"),
    (b"\xca\xfe\xba\xbe", "a Mach-O file for several machines, as macOS uses"),
    (b"MZ", "a PE file, as Windows uses"),
    (b"!<arch>\n", "an archive (a static library or a Debian package)"),
    (b"\xed\xab\xee\xdb", "an RPM package"),
    (b"PK\x03\x04", "a zip file (perhaps the bundle instead of the plugin in it)"),
    (b"\x1f\x8b", "a gzip file"),
    (b"\xfd7zXZ\0", "an xz file"),
    (b"\x28\xb5\x2f\xfd", "a zstd file"),
    (b"version https://git-lfs", "a Git LFS pointer (fetch the file itself with git lfs pull)"),
    (b"#!", "a script"),
    (b"package ", "Go source"),
    (b"<", "a web page or XML"),
    (b"{", "JSON"),
)
MACH_MACHINES: Dict[int, str] = {0x01000007: "amd64", 0x0100000C: "arm64"}


class NotElf(ValueError):
    """Not an ELF file, or not a whole one; says what it is instead."""


class Segment(NamedTuple):
    """A part of the file that is mapped, or that the dynamic linker reads."""

    kind: int
    flags: int
    offset: int
    address: int
    size: int


class Section(NamedTuple):
    """A part of the file under a name."""

    name: str
    flags: int
    offset: int
    address: int
    size: int


class Symbol(NamedTuple):
    """A dynamic symbol that the file defines or (address 0) needs."""

    kind: int
    address: int
    size: int
    defined: bool


def what_it_is(head: bytes) -> str:
    """In words, what a file that is not ELF begins like.

    >>> what_it_is(b"MZ\\x90")
    'it is a PE file, as Windows uses, not an ELF file'
    """
    if not head:
        return "it is empty, not an ELF file"
    trimmed = head.lstrip()
    for magic, words in OTHER_FILES:
        if head.startswith(magic) or (magic in (b"<", b"{") and trimmed.startswith(magic)):
            return f"it is {words}{_mach_machine(head)}, not an ELF file"
    return "it is not an ELF file"


def _mach_machine(head: bytes) -> str:
    if len(head) < 8 or head[:4] not in (b"\xce\xfa\xed\xfe", b"\xcf\xfa\xed\xfe"):
        return ""
    name = MACH_MACHINES.get(int.from_bytes(head[4:8], "little"))
    return f" ({name})" if name else ""


def _bounded(count: int, what: str) -> int:
    """A number that a file says of itself. Raises NotElf for one that would fill the memory."""
    if count > MAXIMUM_ENTRIES:
        raise NotElf(f"it speaks of more than {MAXIMUM_ENTRIES} {what}")
    return count


class ElfFile:
    """An ELF file over its bytes, usually a map of the file. Damaged tables raise NotElf where they are read."""

    def __init__(self, content: Content, sections: bool = True) -> None:
        """Read the headers. Raises NotElf with a clause that fits behind "the file cannot be used:"."""
        head = bytes(content[:64])
        if head[:4] != MAGIC or len(head) < 20:
            raise NotElf(what_it_is(head) if head[:4] != MAGIC else "it ends inside its first header")
        if head[4] not in (1, 2) or head[5] not in (1, 2):
            raise NotElf("its ELF header is damaged")
        self.content = content
        self.bits = 64 if head[4] == 2 else 32
        self.order = "<" if head[5] == 1 else ">"
        self.kind_number, self.machine = struct.unpack_from(self.order + "HH", head, 16)
        self._names: Optional[Dict[int, Tuple[int, ...]]] = None
        try:
            self._read_headers(head, sections)
        except (struct.error, IndexError, OverflowError) as problem:
            raise NotElf("its ELF headers are damaged or cut off") from problem

    def _read_headers(self, head: bytes, sections: bool) -> None:
        place, layout = (24, "QQQIHHHHHH") if self.bits == 64 else (24, "IIIIHHHHHH")
        fields = struct.unpack_from(self.order + layout, head.ljust(64, b"\0"), place)
        _entry, phoff, shoff, _flags, _size, phentsize, phnum, shentsize, shnum, shstrndx = fields
        self.segments = self._read_segments(phoff, phentsize, phnum) if phnum else []
        self._check_whole(max([shoff + shnum * shentsize, *(one.offset + one.size for one in self.segments)]))
        self.sections = self._read_sections(shoff, shentsize, shnum, shstrndx) if sections and shnum else []
        self.dynamic = self._read_dynamic()

    def _read_segments(self, start: int, step: int, count: int) -> List[Segment]:
        found = []
        for number in range(count):
            place = start + number * step
            if self.bits == 64:
                kind, flags, offset, address, _unused, size = self._unpack("IIQQQQ", place)
            else:
                kind, offset, address, _unused, size, _memory, flags = self._unpack("IIIIIII", place)
            found.append(Segment(kind, flags, offset, address, size))
        return found

    def _check_whole(self, needed: int) -> None:
        if needed > len(self.content):
            raise NotElf(
                f"it is cut off: {len(self.content)} bytes are there, and its headers speak of at least {needed}"
            )

    def _read_sections(self, start: int, step: int, count: int, names: int) -> List[Section]:
        entries = []
        for number in range(count):
            place = start + number * step
            layout = "IIQQQQ" if self.bits == 64 else "IIIIII"
            name, _kind, flags, address, offset, size = self._unpack(layout, place)
            entries.append((name, Section("", flags, offset, address, size)))
        table = entries[names][1].offset if names < count else 0
        return [one._replace(name=self._text(table + name, MAXIMUM_SECTION_NAME)) for name, one in entries]

    def _read_dynamic(self) -> Dict[int, List[int]]:
        part = next((one for one in self.segments if one.kind == PT_DYNAMIC), None)
        values: Dict[int, List[int]] = {}
        if part is None:
            return values
        layout = self.order + ("qQ" if self.bits == 64 else "iI")
        whole = min(part.size - part.size % struct.calcsize(layout), MAXIMUM_DYNAMIC)
        for tag, value in struct.iter_unpack(layout, self.content[part.offset : part.offset + whole]):
            if tag == 0:
                break
            values.setdefault(tag, []).append(value)
        return values

    # -- what it is ----------------------------------------------------------------------------------------------

    @property
    def kind(self) -> str:
        """relocatable, executable, shared or core; a position-independent program counts as shared."""
        return KINDS.get(self.kind_number, f"type {self.kind_number}")

    @property
    def goarch(self) -> str:
        """The machine as Go calls it."""
        if self.machine == MACHINES["ppc64le"] and self.order == ">":
            return PPC64
        return next((name for name, number in MACHINES.items() if number == self.machine), f"machine {self.machine}")

    @property
    def interpreter(self) -> str:
        """The dynamic linker that a program asks for, empty for a library or a static program."""
        part = next((one for one in self.segments if one.kind == PT_INTERP), None)
        if part is None:
            return ""
        return bytes(self.content[part.offset : part.offset + part.size]).rstrip(b"\0").decode("utf-8", "replace")

    def section(self, name: str) -> Optional[Section]:
        return next((one for one in self.sections if one.name == name), None)

    def start_of(self, name: str, limit: int) -> bytes:
        """The first bytes of a section, unpacked where it is compressed; none where there is no such section."""
        part = self.section(name)
        if part is None:
            return b""
        raw = bytes(self.content[part.offset : part.offset + min(part.size, limit + PACKING)])
        if not part.flags & SHF_COMPRESSED:
            return raw[:limit]
        if self._unpack("I", part.offset)[0] != COMPRESSED_BY_ZLIB:
            return b""
        try:
            return zlib.decompressobj().decompress(raw[24 if self.bits == 64 else 12 :], limit)
        except zlib.error:
            return b""

    # -- libraries and their versions ----------------------------------------------------------------------------

    @property
    def libraries(self) -> List[str]:
        """The shared libraries that must be there."""
        return [self._dynamic_text(value) for value in self.dynamic.get(DT_NEEDED, [])[:MAXIMUM]]

    def versions_needed(self) -> Dict[str, List[str]]:
        """Per library, the versions of symbols that it must offer."""
        needed: Dict[str, List[str]] = {}
        place = self._place_of(DT_VERNEED)
        if place is None:
            return needed
        for _number in range(self._count(DT_VERNEEDNUM)):
            _version, count, file, first, following = self._unpack("HHIII", place)
            versions = needed.setdefault(self._dynamic_text(file), [])
            entry = place + first
            for _unused in range(min(count, MAXIMUM)):
                _hash, _flags, _other, name, step = self._unpack("IHHII", entry)
                versions.append(self._dynamic_text(name))
                entry += step
            place += following
        return needed

    def versions_defined(self) -> List[str]:
        """The versions of symbols that this library offers."""
        defined: List[str] = []
        place = self._place_of(DT_VERDEF)
        if place is None:
            return defined
        for _number in range(self._count(DT_VERDEFNUM)):
            _version, _flags, _index, _count, _hash, first, following = self._unpack("HHHHIII", place)
            (name,) = self._unpack("I", place + first)
            defined.append(self._dynamic_text(name))
            place += following
        return defined

    def _count(self, tag: int) -> int:
        return min(self.dynamic.get(tag, [0])[0], MAXIMUM)

    # -- symbols -------------------------------------------------------------------------------------------------

    def symbols(self, pattern: bytes) -> Iterator[Tuple[str, Symbol]]:
        """Every dynamic symbol whose name, up to its end, matches a regular expression without anchors.

        The names are searched first and the symbols looked up after that, for a plugin has tens of thousands.
        """
        table, size = self._place_of(DT_STRTAB), self.dynamic.get(DT_STRSZ, [0])[0]
        if table is None:
            return
        by_name = self._by_name()
        # Up to the last end of a name: behind it, every place that begins like a name would be searched to the end.
        end = self.content.rfind(b"\0", table, table + size) + 1
        for match in re.compile(pattern + rb"(?=\0)").finditer(self.content, table, end):
            entry = by_name.get(match.start() - table)
            if entry is not None and match.end() - match.start() <= MAXIMUM_NAME:
                yield match.group(0).decode("utf-8", "replace"), self._symbol(entry)

    def symbols_ending(self, ending: bytes) -> Iterator[Tuple[str, Symbol]]:
        """Every dynamic symbol whose name ends so; its name comes without the ending."""
        table, size = self._place_of(DT_STRTAB), self.dynamic.get(DT_STRSZ, [0])[0]
        if table is None:
            return
        by_name = self._by_name()
        for match in re.compile(re.escape(ending) + rb"\0").finditer(self.content, table, table + size):
            start = self.content.rfind(b"\0", max(table, match.start() - MAXIMUM_NAME), match.start()) + 1
            entry = by_name.get(start - table)
            if entry is not None:
                yield bytes(self.content[start : match.start()]).decode("utf-8", "replace"), self._symbol(entry)

    def _symbol(self, entry: Tuple[int, ...]) -> Symbol:
        if self.bits == 64:
            _name, info, _other, section, address, size = entry
        else:
            _name, address, size, info, _other, section = entry
        return Symbol(info & 15, address, size, section != 0)

    def _by_name(self) -> Dict[int, Tuple[int, ...]]:
        """The entries of dynamic symbols by the place of their name in the table of names; read once."""
        if self._names is None:
            start = self._place_of(DT_SYMTAB)
            self._names = {}
            if start is not None:
                layout = self.order + ("IBBHQQ" if self.bits == 64 else "IIIBBH")
                step = struct.calcsize(layout)
                count = _bounded(min(self._symbol_count(), (len(self.content) - start) // step), "symbols")
                entries = struct.iter_unpack(layout, self.content[start : start + count * step])
                self._names = {entry[0]: entry for entry in entries}
        return self._names

    def symbol_at(self, index: int) -> int:
        """The address of the dynamic symbol of that number."""
        start = self._place_of(DT_SYMTAB)
        if start is None:
            return 0
        layout, step, field = ("IBBHQQ", 24, 4) if self.bits == 64 else ("IIIBBH", 16, 1)
        return int(self._unpack(layout, start + index * step)[field])

    def _symbol_count(self) -> int:
        """How many dynamic symbols there are: only the tables of hashes tell a dynamic linker."""
        place = self._place_of(DT_HASH)
        if place is not None and self.machine != MACHINES["s390x"]:  # there its entries are of another size
            return int(self._unpack("II", place)[1])
        found = self.section(".dynsym")
        if found is not None:
            return found.size // (24 if self.bits == 64 else 16)
        place = self._place_of(DT_GNU_HASH)
        if place is None:
            return 0
        buckets, first, bloom, _shift = self._unpack("IIII", place)
        _bounded(buckets, "buckets of symbols")
        start = place + 16 + bloom * (self.bits // 8)
        last = max(self._unpack(f"{buckets}I", start), default=0)
        if last < first:
            return first
        chain = start + 4 * buckets
        while not self._unpack("I", chain + 4 * (last - first))[0] & 1:
            last = _bounded(last + 1, "symbols")
        return last + 1

    # -- places --------------------------------------------------------------------------------------------------

    def offset_of(self, address: int) -> Optional[int]:
        """Where in the file the byte of a mapped address is, None where it is not in the file."""
        for one in self.segments:
            if one.kind == PT_LOAD and one.address <= address < one.address + one.size:
                return one.offset + address - one.address
        return None

    def address_of(self, offset: int) -> Optional[int]:
        """The address that a byte of the file is mapped to, None where it is not mapped."""
        for one in self.segments:
            if one.kind == PT_LOAD and one.offset <= offset < one.offset + one.size:
                return one.address + offset - one.offset
        return None

    def at(self, address: int, size: int) -> bytes:
        """The bytes of a mapped address, none where they are not in the file."""
        place = self.offset_of(address)
        return b"" if place is None else bytes(self.content[place : place + size])

    def pointers(self) -> Dict[int, int]:
        """What the dynamic linker writes into pointers: their addresses, and the addresses that they point to."""
        table, size = self.relocations()
        if self.bits == 32:
            return {}
        written = {}
        _bounded(size // 24, "pointers")
        for place, info, addend in struct.iter_unpack(self.order + "QQq", self.content[table : table + size]):
            index = info >> 32
            written[place] = (self.symbol_at(index) if index else 0) + addend
        return written

    def relocations(self) -> Tuple[int, int]:
        """Where in the file the table is that says what to write into pointers, and its size; 0 and 0 without one."""
        table, size = self._place_of(DT_RELA), self.dynamic.get(DT_RELASZ, [0])[0]
        return (0, 0) if table is None else (table, size)

    def _place_of(self, tag: int) -> Optional[int]:
        values = self.dynamic.get(tag)
        return self.offset_of(values[0]) if values else None

    def _dynamic_text(self, offset: int) -> str:
        table = self._place_of(DT_STRTAB)
        return "" if table is None else self._text(table + offset)

    def _text(self, place: int, limit: int = MAXIMUM_NAME) -> str:
        end = self.content.find(b"\0", place, place + limit)
        return bytes(self.content[place : max(end, place)]).decode("utf-8", "replace")

    def _unpack(self, layout: str, place: int) -> Tuple[int, ...]:
        size = struct.calcsize(self.order + layout)
        return struct.unpack(self.order + layout, self.content[place : place + size])
