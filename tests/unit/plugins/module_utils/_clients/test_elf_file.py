# Copyright (c) 2026 tyk.upgrade contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""ELF files that a C compiler made, damaged and foreign ones, and what Go <= 1.17 left in its plugins."""

from __future__ import annotations

import random
import shutil
import struct
import subprocess
import time
from pathlib import Path
from typing import Dict, List, Tuple

import pytest

from ansible_collections.tyk.upgrade.plugins.module_utils._clients import elf
from ansible_collections.tyk.upgrade.plugins.module_utils._clients.elf_file import (
    DT_HASH,
    DT_STRSZ,
    DT_STRTAB,
    MAXIMUM_ENTRIES,
    SHF_COMPRESSED,
    STT_FUNC,
    ElfFile,
    NotElf,
    what_it_is,
)

GCC = shutil.which("gcc")
needs_gcc = pytest.mark.skipif(GCC is None, reason="no C compiler")

LIBRARY = """
#include <stdio.h>
int data_of_it = 7;
int old_way(void) { return 1; }
int new_way(void) { return puts("x"); }
static int hidden(void) { return 3; }
int again(void) { return hidden(); }
"""
VERSIONS = "MINE_1.0 { global: old_way; data_of_it; };\nMINE_1.10 { global: new_way; again; local: *; } MINE_1.0;\n"


@pytest.fixture(scope="module")
def library(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("c")
    (folder / "a.c").write_text(LIBRARY)
    (folder / "a.map").write_text(VERSIONS)
    compiled(folder, "-shared", "-fPIC", "-Wl,--version-script=a.map", "-Wl,-soname,liba.so.1", "-o", "liba.so")
    return folder / "liba.so"


def compiled(folder: Path, *arguments: str) -> None:
    subprocess.run([str(GCC), "a.c", *arguments], cwd=folder, check=True)


@needs_gcc
def test_what_a_library_offers_and_needs(library: Path) -> None:
    made = ElfFile(library.read_bytes())
    assert (made.kind, made.interpreter, made.libraries) == ("shared", "", ["libc.so.6"])
    assert made.versions_defined() == ["liba.so.1", "MINE_1.0", "MINE_1.10"]
    assert set(made.versions_needed()) == {"libc.so.6"}
    assert all(version.startswith("GLIBC_2.") for version in made.versions_needed()["libc.so.6"])


@needs_gcc
@pytest.mark.parametrize("style", ["gnu", "sysv", "both"])
def test_symbols_by_either_table_of_hashes(library: Path, tmp_path: Path, style: str) -> None:
    shutil.copy(library.parent / "a.c", tmp_path)
    compiled(tmp_path, "-shared", "-fPIC", f"-Wl,--hash-style={style}", "-o", "a.so")
    for sections in (True, False):
        made = ElfFile((tmp_path / "a.so").read_bytes(), sections=sections)
        found = {name: (symbol.kind == STT_FUNC, symbol.defined) for name, symbol in made.symbols(rb"[a-z]\w+")}
        assert {name: found.get(name) for name in ("old_way", "again", "data_of_it", "hidden", "puts")} == {
            "old_way": (True, True),
            "again": (True, True),
            "data_of_it": (False, True),
            "hidden": None,
            "puts": (True, False),
        }
        (number,) = [symbol for name, symbol in made.symbols(b"data_of_it")]
        assert made.at(number.address, number.size) == struct.pack("=i", 7)
    assert dict(made.symbols_ending(b"_way")).keys() == {"old", "new"}


@needs_gcc
def test_a_program_asks_for_a_dynamic_linker(tmp_path: Path) -> None:
    (tmp_path / "a.c").write_text("int main(void) { return 0; }\n")
    compiled(tmp_path, "-o", "a")
    made = ElfFile((tmp_path / "a").read_bytes())
    assert Path(made.interpreter).exists() and made.section(".symtab") is not None
    compiled(tmp_path, "-c", "-o", "a.o")
    assert (ElfFile((tmp_path / "a.o").read_bytes()).kind, ElfFile((tmp_path / "a.o").read_bytes()).libraries) == (
        "relocatable",
        [],
    )


@needs_gcc
def test_sections_are_unpacked(tmp_path: Path) -> None:
    (tmp_path / "a.c").write_text(LIBRARY)
    compiled(tmp_path, "-g", "-gz=none", "-shared", "-fPIC", "-o", "plain.so")
    command = ["objcopy", "--compress-debug-sections=zlib", "plain.so", "packed.so"]
    subprocess.run(command, cwd=tmp_path, check=True)
    starts = []
    for name in ("plain.so", "packed.so"):
        made = ElfFile((tmp_path / name).read_bytes())
        starts.append(made.start_of(".debug_info", 60))
        assert made.start_of(".none", 60) == b""
    found = made.section(".debug_info")
    assert found is not None and found.flags & SHF_COMPRESSED
    assert starts[0] == starts[1] and len(starts[0]) == 60


@needs_gcc
def test_every_way_of_being_cut_off_is_noticed(library: Path) -> None:
    whole = library.read_bytes()
    for size in range(0, len(whole) - 1, 61):
        with pytest.raises(NotElf):
            ElfFile(whole[:size])


@needs_gcc
def test_damage_ends_in_an_error_or_in_nothing(library: Path, tmp_path: Path) -> None:
    """Never in a traceback of another kind, and never in a loop: 400 files with some bytes changed."""
    whole = library.read_bytes()
    dice = random.Random(7)
    for _number in range(400):
        content = bytearray(whole)
        for _change in range(dice.randrange(1, 40)):
            place = dice.choice([dice.randrange(64), dice.randrange(0x400), dice.randrange(len(whole))])
            content[place] = dice.randrange(256)
        (tmp_path / "a.so").write_bytes(content)
        with pytest.raises(ValueError):
            elf.inspect(str(tmp_path / "a.so"))
        try:
            with elf.opened(str(tmp_path / "a.so")) as made:
                list(made.symbols(rb"\w+"))
                made.versions_defined()
                made.versions_needed()
                made.pointers()
        except NotElf:
            continue


@pytest.mark.parametrize(
    "head, words",
    [
        (b"", "it is empty"),
        (b"\x7fEL", "it is not an ELF file"),
        (b"\x7fELF\x02\x01\x01", "it ends inside its first header"),
        (b"\x7fELF\x09\x01" + bytes(60), "its ELF header is damaged"),
        (b"\xcf\xfa\xed\xfe\x07\x00\x00\x01", "a Mach-O file, as macOS uses (amd64), not an ELF file"),
        (b"\xcf\xfa\xed\xfe\x0c\x00\x00\x01", "a Mach-O file, as macOS uses (arm64), not an ELF file"),
        (b"\xca\xfe\xba\xbe\x00\x00\x00\x02", "a Mach-O file for several machines"),
        (b"MZ\x90\x00", "a PE file, as Windows uses"),
        (b"!<arch>\ndebian-binary", "a static library or a Debian package"),
        (b"PK\x03\x04", "perhaps the bundle instead of the plugin"),
        (b"\x1f\x8b\x08", "a gzip file"),
        (b"version https://git-lfs.github.com/spec/v1\n", "git lfs pull"),
        (b"#!/bin/sh\n", "a script"),
        (b"package main\n", "Go source"),
        (b"\n<!DOCTYPE html>", "a web page"),
        (b'{"status": "error"}', "JSON"),
    ],
)
def test_other_files_are_named(head: bytes, words: str, tmp_path: Path) -> None:
    (tmp_path / "a.so").write_bytes(head)
    with pytest.raises(ValueError) as caught:
        elf.inspect(str(tmp_path / "a.so"))
    assert words in str(caught.value)
    if not head.startswith(b"\x7fELF"):
        assert words in what_it_is(head)


# -- made by hand: machines and Go versions that are not at hand -----------------------------------------------------

BASE = 0x400000


def by_hand(parts: Dict[int, bytes], bits: int = 64, order: str = "<", machine: int = 62) -> bytes:
    """An executable with one mapped, writable segment that holds the parts at their places."""
    wide = bits == 64
    head = b"\x7fELF" + bytes([2 if wide else 1, 1 if order == "<" else 2, 1]) + bytes(9)
    start = 64 if wide else 52
    size = max(place + len(part) for place, part in parts.items())
    head += struct.pack(order + "HHI", 2, machine, 1)
    head += struct.pack(order + ("QQQ" if wide else "III"), BASE, start, 0)
    head += struct.pack(order + "IHHHHHH", 0, start, 56 if wide else 32, 1, 0, 0, 0)
    if wide:
        head += struct.pack(order + "IIQQQQQQ", 1, 6, 0, BASE, BASE, size, size, 4096)
    else:
        head += struct.pack(order + "IIIIIIII", 1, 0, BASE, BASE, size, size, 6, 4096)
    content = bytearray(head.ljust(size, b"\0"))
    for place, part in parts.items():
        content[place : place + len(part)] = part
    return bytes(content)


@pytest.mark.parametrize(
    "bits, order, machine, arch", [(64, "<", 62, "amd64"), (64, ">", 22, "s390x"), (32, "<", 40, "arm")]
)
def test_pointers_of_go_before_1_18(tmp_path: Path, bits: int, order: str, machine: int, arch: str) -> None:
    size, layout = bits // 8, order + ("Q" if bits == 64 else "I")
    text = elf.MODULE_START + b"path\tx/y\nmod\tx\t(devel)\t\ndep\ta/b\tv1.2.3\th1:=\n" + elf.MODULE_END

    def string(place: int, length: int) -> bytes:
        return struct.pack(layout, BASE + place) + struct.pack(layout, length)

    header = elf.BUILD_INFO_MAGIC + bytes([size, 0 if order == "<" else 1])
    header += struct.pack(layout, BASE + 0x300) + struct.pack(layout, BASE + 0x340)
    parts = {
        0x100: b"go1.4 is not it\0",  # what a search for words would find
        0x200: header,
        0x300: string(0x400, 9),
        0x340: string(0x500, len(text)),
        0x400: b"go1.16.15",
        0x500: text,
    }
    (tmp_path / "gateway").write_bytes(by_hand(parts, bits, order, machine))
    seen = elf.inspect(str(tmp_path / "gateway"))
    assert (seen.program.goarch, seen.bits, seen.kind) == (arch, bits, "executable")
    assert (seen.program.info.go_version, seen.program.info.path) == ("go1.16.15", "x/y")
    assert [(one.path, one.version) for one in seen.program.info.modules] == [("a/b", "v1.2.3")]
    assert elf.unfit_for_plugin(seen) == "it is a program, not a plugin"


#: What the linker of Go 1.16 left in plugins: pointers that are right only after relocation.
OLD_PLUGIN = """
struct text { const char *start; long length; };
%(kind)s struct text version = { "go1.16.15", 9 };
%(kind)s struct text module = { "%(module)s", %(length)d };
struct { char magic[14]; unsigned char size, flags; struct text *version, *module; } info
    __attribute__((section(".go.buildinfo"), aligned(16))) = { "\\377 Go buildinf:", 8, 0, &version, &module };
const char other[] = "go1.4 is not it";
"""


@needs_gcc
@pytest.mark.skipif(struct.calcsize("P") != 8, reason="the plugin of this test is for 64 bits")
@pytest.mark.parametrize("kind", ["static", "", '__attribute__((visibility("hidden")))'])
def test_pointers_that_the_dynamic_linker_writes(tmp_path: Path, kind: str) -> None:
    text = elf.MODULE_START + b"path\tx/y\nmod\tx\t(devel)\t\n" + elf.MODULE_END
    escaped = "".join(f"\\{byte:03o}" for byte in text)
    (tmp_path / "a.c").write_text(OLD_PLUGIN % {"kind": kind, "module": escaped, "length": len(text)})
    compiled(tmp_path, "-shared", "-fPIC", "-o", "a.so")
    seen = elf.inspect(str(tmp_path / "a.so"))
    assert (seen.program.info.go_version, seen.program.info.path) == ("go1.16.15", "x/y")
    with elf.opened(str(tmp_path / "a.so")) as made:
        place = made.section(".go.buildinfo")
        assert place is not None and place.address + 16 in made.pointers()


# -- files that are made to cost memory or time ----------------------------------------------------------------------


@needs_gcc
def test_more_symbols_than_any_plugin_has_are_not_read(tmp_path: Path) -> None:
    (tmp_path / "a.c").write_text("int a(void) { return 1; }\n")
    compiled(tmp_path, "-shared", "-fPIC", "-Wl,--hash-style=sysv", "-o", "a.so")
    path = tmp_path / "a.so"
    with elf.opened(str(path)) as made:
        place = made.offset_of(made.dynamic[DT_HASH][0])
    assert place is not None
    with path.open("r+b") as file:
        file.seek(place + 4)
        file.write(struct.pack("<I", 1 << 31))
        file.truncate(64 << 20)
    with pytest.raises(NotElf, match=f"more than {MAXIMUM_ENTRIES} symbols"), elf.opened(str(path)) as made:
        list(made.symbols(b"a"))
    assert elf.plugin_path_of(str(path)) == ""


def test_names_without_an_end_are_searched_once() -> None:
    names = b"go.link.pkghashbytes." * 200_000
    made = ElfFile(by_hand({0x100: names}))
    made.dynamic.update({DT_STRTAB: [BASE + 0x100], DT_STRSZ: [len(names)]})
    started = time.monotonic()
    assert not list(made.symbols(elf.FINGERPRINT_PATTERN)) and time.monotonic() - started < 5


def test_build_information_is_looked_for_in_so_many_places() -> None:
    started = time.monotonic()
    assert elf.build_info((elf.BUILD_INFO_MAGIC + bytes([8, 2]) + b"\xff\xff\xff\x7f" * 4) * 100_000) is None
    assert time.monotonic() - started < 5


@pytest.mark.parametrize(
    "order, machine, arch", [("<", 21, "ppc64le"), (">", 21, "ppc64"), ("<", 243, "riscv64"), ("<", 999, "machine 999")]
)
def test_machines(order: str, machine: int, arch: str) -> None:
    assert ElfFile(by_hand({0x100: b"x"}, 64, order, machine)).goarch == arch


@pytest.mark.parametrize(
    "path, prefix",
    [
        ("tyk.internal/tyk_plugin1", "tyk.internal/tyk_plugin1"),
        ("gopkg.in/yaml.v3", "gopkg.in/yaml%2ev3"),
        ("plugin.name", "plugin%2ename"),
        ('a%b/c"d', "a%25b/c%22d"),
        ("a/ü", "a/%c3%bc"),
    ],
)
def test_how_symbols_begin(path: str, prefix: str) -> None:
    assert elf.symbol_prefix(path) == prefix


def test_a_search_stays_in_its_part() -> None:
    info = elf.BUILD_INFO_MAGIC + bytes([8, 2]) + bytes(16) + bytes([8]) + b"go1.22.1" + bytes([0])
    places: List[Tuple[int, int, bool]] = [(0, 64, False), (0, 200, True), (100, 200, True), (101, 200, False)]
    for start, end, found in places:
        assert (elf.build_info(bytes(100) + info + bytes(100), start, end) is not None) is found
