# Copyright (c) 2026 tyk.upgrade contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""One file out of packages, whole and broken ones. Those of real package builders are in the tests of plugin_info."""

from __future__ import annotations

import gzip
import io
import lzma
import struct
import tarfile
from pathlib import Path
from typing import Callable, Dict

import pytest

from ansible_collections.tyk.upgrade.plugins.module_utils._clients.package_file import extract
from ansible_collections.tyk.upgrade.plugins.module_utils._domain.findings import DomainError

NAME = "/opt/tyk-gateway/tyk"
PROGRAM = bytes(range(256)) * 500 + b"odd"


def cpio(files: Dict[str, bytes]) -> bytes:
    """As rpm writes it (newc), with a folder first."""
    out = b""
    entries = [("./opt", 0o040755, b""), *((name, 0o100755, content) for name, content in files.items())]
    for number, (name, mode, content) in enumerate([*entries, ("TRAILER!!!", 0, b"")]):
        fields = [number, mode, 0, 0, 1, 0, len(content), 0, 0, 0, 0, len(name) + 1, 0]
        entry = b"070701" + b"".join(b"%08x" % field for field in fields) + name.encode() + b"\0"
        out += entry + bytes(-len(entry) % 4) + content + bytes(-len(content) % 4)
    return out


def rpm(payload: bytes) -> bytes:
    def header(entries: int, data: bytes) -> bytes:
        return b"\x8e\xad\xe8\x01" + bytes(4) + struct.pack(">II", entries, len(data)) + bytes(16 * entries) + data

    signature = header(2, b"odd")
    lead = b"\xed\xab\xee\xdb\x03\x00" + bytes(90)
    return lead + signature + bytes(-len(signature) % 8) + header(3, b"name\0") + payload


def deb(packing: str, content: bytes) -> bytes:
    def member(name: str, data: bytes) -> bytes:
        return f"{name:<16}{0:<12}{0:<6}{0:<6}{'100644':<8}{len(data):<10}`\n".encode() + data + b"\n" * (len(data) % 2)

    return (
        b"!<arch>\n" + member("debian-binary", b"2.0\n") + member("control.tar.gz", b"odd") + member(packing, content)
    )


def tar(files: Dict[str, bytes]) -> bytes:
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode="w") as archive:
        for name, content in files.items():
            entry = tarfile.TarInfo(name)
            entry.size = len(content)
            archive.addfile(entry, io.BytesIO(content))
    return buffer.getvalue()


FILES = {f".{NAME}.conf": b"{}", f".{NAME}": PROGRAM}
WHOLE: Dict[str, Callable[[], bytes]] = {
    "gzip.rpm": lambda: rpm(gzip.compress(cpio(FILES))),
    "xz.rpm": lambda: rpm(lzma.compress(cpio(FILES))),
    "lzma.rpm": lambda: rpm(lzma.compress(cpio(FILES), format=lzma.FORMAT_ALONE)),
    "plain.rpm": lambda: rpm(cpio(FILES)),
    "gzip.deb": lambda: deb("data.tar.gz", gzip.compress(tar(FILES))),
    "xz.deb": lambda: deb("data.tar.xz/", lzma.compress(tar(FILES))),
    "plain.deb": lambda: deb("data.tar", tar(FILES)),
}


@pytest.mark.parametrize("kind", WHOLE)
@pytest.mark.parametrize("name", [NAME, NAME.lstrip("/"), f".{NAME}"])
def test_a_file_comes_out(tmp_path: Path, kind: str, name: str) -> None:
    (tmp_path / kind).write_bytes(WHOLE[kind]())
    assert extract(str(tmp_path / kind), name, str(tmp_path / "out")) is True
    assert (tmp_path / "out").read_bytes() == PROGRAM


@pytest.mark.parametrize("kind", WHOLE)
@pytest.mark.parametrize("name", ["/opt/tyk-gateway", "/opt", "/opt/tyk", "/opt/tyk-gateway/tyk2", "TRAILER!!!"])
def test_a_file_that_is_not_in_there(tmp_path: Path, kind: str, name: str) -> None:
    (tmp_path / kind).write_bytes(WHOLE[kind]())
    assert extract(str(tmp_path / kind), name, str(tmp_path / "out")) is False
    assert not (tmp_path / "out").exists()


@pytest.mark.parametrize("kind", WHOLE)
@pytest.mark.parametrize("share", [0.02, 0.3, 0.6, 0.95])
def test_a_package_that_is_cut_off(tmp_path: Path, kind: str, share: float) -> None:
    whole = WHOLE[kind]()
    (tmp_path / kind).write_bytes(whole[: int(len(whole) * share)])
    with pytest.raises(DomainError) as caught:
        extract(str(tmp_path / kind), f"{NAME}.none" if share > 0.9 else NAME, str(tmp_path / "out"))
    assert caught.value.finding.code == "package-file-invalid"


@pytest.mark.parametrize(
    "content, words",
    [
        (b"", "neither a Debian nor an RPM package"),
        (b"PK\x03\x04", "neither a Debian nor an RPM package"),
        (deb("data.tar.zst", b"\x28\xb5\x2f\xfd"), "Python cannot unpack its data.tar.zst"),
        (rpm(b"\x28\xb5\x2f\xfd"), "packed with zstd"),
        (rpm(b"BZh91AY"), "packed with an unknown way"),
        (deb("other", b""), "it has no files in it"),
        (b"!<arch>\n" + b"x" * 60, "it is damaged"),
        (b"\xed\xab\xee\xdb" + bytes(200), "it is damaged"),
        (rpm(gzip.compress(b"nonsense" * 50)), "it is damaged"),
    ],
)
def test_packages_that_cannot_be_read(tmp_path: Path, content: bytes, words: str) -> None:
    (tmp_path / "a").write_bytes(content)
    with pytest.raises(DomainError, match="unpack it and give the gateway's program itself") as caught:
        extract(str(tmp_path / "a"), NAME, str(tmp_path / "out"))
    assert words in caught.value.finding.message


def test_a_package_that_is_not_there(tmp_path: Path) -> None:
    with pytest.raises(DomainError, match="No such file or directory"):
        extract(str(tmp_path / "none.deb"), NAME, str(tmp_path / "out"))
