# Copyright (c) 2026 tyk.upgrade contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The types of what a Go plugin exports, read as Go's runtime reads them, and without running anything.

Go's linker lists what plugin.Lookup finds with its types (ptab) in the data of the module (runtime/symtab.go,
moduledata), which the dynamic linker needs, so that a stripped plugin has it, too. Types are laid out as in
internal/abi/type.go (reflect/type.go before Go 1.21). Go promises none of this: where anything is not as it is known
here, from Go 1.18 to 1.26, nothing is said.
"""

from __future__ import annotations

import itertools
import struct
from typing import Dict, Iterator, Tuple

from ansible_collections.tyk.upgrade.plugins.module_utils._clients.elf_file import PT_LOAD, ElfFile
from ansible_collections.tyk.upgrade.plugins.module_utils._domain.build_info import Exported

PF_X = 1
WORD = 8  # bytes of a pointer; Tyk has no gateways of 32 bits
RELOCATION = 24

#: How the table of functions begins, to which the module's data points first: since Go 1.20, and in 1.18 and 1.19.
TABLE_STARTS = (0xFFFFFFF1, 0xFFFFFFF0)
#: Where in the module's data, in words, the start of types is, and the list of exports; the plugin's path follows.
LAYOUTS = ((37, 50), (37, 51), (35, 48))  # since Go 1.20; 1.26; 1.18 and 1.19

FUNCTION, INTERFACE, POINTER, STRUCT = 19, 20, 22, 25  # internal/abi, Kind
KIND_MASK = 31
UNCOMMON, EXTRA_STAR = 1, 2  # internal/abi, TFlag
TYPE = 48  # bytes of what all types begin with
#: How long a type is before the part that names its package (reflect/type.go, uncommon).
SIZES: Dict[int, int] = {FUNCTION: 56, INTERFACE: 80, POINTER: 56, STRUCT: 80}

MAXIMUM = 4096  # exports of a plugin, and bytes of a text
PARAMETERS = 8
SEGMENTS = 64  # of a file; real plugins have a dozen
CANDIDATES = 4  # for the module's data
HITS = 16  # of one number that is searched for in the bytes
SEARCHED = 1 << 29  # bytes in all, half a second; a plugin of 30 MB needs a tenth of it


class _Unknown(Exception):
    """Something is not laid out as it is known here."""


def exported_types(elf: ElfFile, plugin_path: str) -> Dict[str, Exported]:
    """Functions and variables that a plugin exports, by name; none where its file does not tell in a known way.

    plugin_path: the path that Go knows the plugin by.
    """
    if elf.bits != 64 or len(elf.segments) > SEGMENTS:
        return {}
    reader = _Reader(elf)
    try:
        for module in itertools.islice(reader.modules(), CANDIDATES):
            for types, exports in LAYOUTS:
                try:
                    return reader.exports(module, types, exports, plugin_path)
                except _Unknown:
                    continue
    except (_Unknown, struct.error, IndexError, OverflowError):
        return {}
    return {}


class _Reader:
    """Looks up what is needed and nothing else: a plugin has 30 MB and 100000 relocations."""

    def __init__(self, elf: ElfFile) -> None:
        self.elf = elf
        self.relocations = elf.relocations()
        self.types = 0
        self.left = SEARCHED
        self.read: Dict[int, Exported] = {}

    def modules(self) -> Iterator[int]:
        """Where the module's data may be: at a pointer to the table of functions."""
        for start in TABLE_STARTS:
            magic = struct.pack(self.elf.order + "I", start) + b"\0\0"
            for part in self.elf.segments:
                if part.kind != PT_LOAD or part.flags & PF_X:
                    continue
                for place in self._hits(magic, part.offset, part.offset + part.size):
                    address = self.elf.address_of(place)
                    if address is not None and self.elf.at(address + 7, 1) == bytes([WORD]):
                        yield from self._pointing_to(address)

    def _hits(self, wanted: bytes, start: int, end: int) -> Iterator[int]:
        for _number in range(HITS):
            if self.left <= 0:
                raise _Unknown
            place = self.elf.content.find(wanted, start, min(end, start + self.left))
            self.left -= (place if place >= 0 else end) - start + 1
            if place < 0:
                return
            yield place
            start = place + 1

    def _pointing_to(self, address: int) -> Iterator[int]:
        table, size = self.relocations
        for place in self._hits(self._word(address), table, table + size):
            if (place - table) % RELOCATION == 2 * WORD:
                yield int(self._unpack("Q", self.elf.content[place - 2 * WORD : place - WORD])[0])

    def pointer(self, address: int) -> int:
        """What the dynamic linker writes there."""
        table, size = self.relocations
        for place in self._hits(self._word(address), table, table + size):
            if (place - table) % RELOCATION == 0:
                _place, info, addend = self._unpack("QQq", self.elf.content[place : place + RELOCATION])
                return int((self.elf.symbol_at(info >> 32) if info >> 32 else 0) + addend)
        raise _Unknown

    def exports(self, module: int, types: int, exports: int, plugin_path: str) -> Dict[str, Exported]:
        """What this module exports, if it is laid out like that and is the plugin of this path."""
        size, capacity = self._unpack("QQ", self.elf.at(module + (exports + 1) * WORD, 2 * WORD))
        (length,) = self._unpack("Q", self.elf.at(module + (exports + 4) * WORD, WORD))
        if not 0 < size == capacity <= MAXIMUM or length != len(plugin_path.encode()):
            raise _Unknown
        if self.elf.at(self.pointer(module + (exports + 3) * WORD), length) != plugin_path.encode():
            raise _Unknown
        self.types, self.read = self.pointer(module + types * WORD), {}
        listed = self.elf.at(self.pointer(module + exports * WORD), size * WORD)
        if len(listed) != size * WORD:
            raise _Unknown
        found = {}
        for name, kind in struct.iter_unpack(self.elf.order + "ii", listed):
            text = self._text(name)
            if not text.isidentifier() or not text[0].isupper():
                raise _Unknown
            found[text] = self._exported(kind)
        return found

    def _exported(self, offset: int) -> Exported:
        if offset not in self.read:
            self.read[offset] = self._read(offset)
        return self.read[offset]

    def _read(self, offset: int) -> Exported:
        if offset < 0:
            raise _Unknown
        flags, kind, text = self._type(self.types + offset)
        if kind == POINTER and text.startswith("*"):  # to the variable
            return Exported(text[1:], function=False)
        if kind != FUNCTION or not text.startswith("func("):
            raise _Unknown
        return Exported(text, packages=self._packages(self.types + offset, flags))

    def _type(self, address: int) -> Tuple[int, int, str]:
        """Flags, kind and text of a type."""
        head = self.elf.at(address, TYPE)
        flags, kind = self._unpack("BxxB", head[20:24])
        text = self._text(self._unpack("i", head[40:44])[0])
        if not flags & EXTRA_STAR:
            return flags, kind & KIND_MASK, text
        if not text.startswith("*"):
            raise _Unknown
        return flags, kind & KIND_MASK, text[1:]

    def _packages(self, address: int, flags: int) -> Tuple[str, ...]:
        """The package of each parameter's type; none where they cannot be followed."""
        (count,) = self._unpack("H", self.elf.at(address + TYPE, 2))
        if count > PARAMETERS:
            return ()
        place = address + SIZES[FUNCTION] + (16 if flags & UNCOMMON else 0)
        try:
            return tuple(self._package(self.pointer(place + number * WORD)) for number in range(count))
        except _Unknown:
            return ()

    def _package(self, address: int) -> str:
        flags, kind, _text = self._type(address)
        if kind == POINTER and not flags & UNCOMMON:  # to a type without methods
            address = self.pointer(address + TYPE)
            flags, kind, _text = self._type(address)
        size = SIZES.get(kind)
        if size is None or not flags & UNCOMMON:
            return ""
        offset = self._unpack("i", self.elf.at(address + size, 4))[0]
        return self._text(offset) if offset else ""

    def _text(self, offset: int) -> str:
        """A name: a byte of flags, the length as a varint, and the text."""
        if offset <= 0:
            raise _Unknown
        head = self.elf.at(self.types + offset, 3)
        if len(head) < 3:
            raise _Unknown
        more = head[1] >= 0x80
        length = (head[1] & 0x7F) | (head[2] << 7 if more else 0)
        if more and head[2] >= 0x80 or not 0 < length <= MAXIMUM:
            raise _Unknown
        text = self.elf.at(self.types + offset + (3 if more else 2), length)
        try:
            decoded = text.decode("utf-8")
        except UnicodeDecodeError:
            raise _Unknown from None
        if len(text) != length or not decoded.isprintable():
            raise _Unknown
        return decoded

    def _word(self, number: int) -> bytes:
        return struct.pack(self.elf.order + "Q", number)

    def _unpack(self, layout: str, raw: bytes) -> Tuple[int, ...]:
        return struct.unpack(self.elf.order + layout, raw)
