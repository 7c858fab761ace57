# Copyright (c) 2026 tyk.upgrade contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What bundle_build cannot show from outside: memory, files that change meanwhile, and the bytes themselves."""

from __future__ import annotations

import hashlib
import io
import os
import tracemalloc
import zipfile
from pathlib import Path
from typing import IO, Any

import pytest

from ansible_collections.tyk.upgrade.plugins.module_utils._clients import bundle_archive
from ansible_collections.tyk.upgrade.plugins.module_utils._clients.bundle_archive import Member
from ansible_collections.tyk.upgrade.plugins.module_utils._clients.bundle_signer import Signer
from ansible_collections.tyk.upgrade.plugins.module_utils._clients.errors import ClientError

MANIFEST = {"custom_middleware": {"driver": "goplugin", "pre": [{"name": "F", "path": "a.so"}]}}
MEGABYTE = 1024 * 1024


def test_memory_does_not_grow_with_the_files(tmp_path: Path) -> None:
    block = os.urandom(MEGABYTE)
    with (tmp_path / "a.so").open("wb") as handle:
        for _unused in range(48):
            handle.write(block)
    tracemalloc.start()
    try:
        with (tmp_path / "a.zip").open("w+b") as handle:
            built = bundle_archive.build(handle, MANIFEST, [Member("a.so", path=str(tmp_path / "a.so"))], level=1)
        opened = bundle_archive.read(str(tmp_path / "a.zip"), 100 * MEGABYTE)
        peak = tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()
    assert built.size > 40 * MEGABYTE and opened.checksum_ok
    assert peak < 12 * MEGABYTE


def test_a_file_that_changes_between_the_passes() -> None:
    class Changing(Member):
        reads = 0

        def open(self) -> IO[bytes]:
            Changing.reads += 1
            return io.BytesIO(b"%d" % Changing.reads)

    with pytest.raises(ClientError) as raised:
        bundle_archive.build(io.BytesIO(), MANIFEST, [Changing("a.so")])
    assert "changed while the bundle was being built" in str(raised.value)


def test_entries_carry_nothing_of_the_machine() -> None:
    handle = io.BytesIO()
    bundle_archive.build(handle, MANIFEST, [Member("a.so", content=b"x" * 1000)])
    with zipfile.ZipFile(handle) as archive:
        for entry in archive.infolist():
            assert entry.date_time == (1980, 1, 1, 0, 0, 0)
            assert entry.external_attr >> 16 == 0o100644 and entry.create_system == 3
            assert entry.compress_type == zipfile.ZIP_DEFLATED and not entry.extra


def test_the_bytes_stay_what_they_are() -> None:
    """Guards the layout: the same bundle from another release of this collection has the same manifest bytes."""
    handle = io.BytesIO()
    bundle_archive.build(handle, MANIFEST, [Member("a.so", content=b"x")])
    with zipfile.ZipFile(handle) as archive:
        content = archive.read("manifest.json")
    assert hashlib.md5(b"x").hexdigest() in content.decode()
    assert content.startswith(b'{\n  "checksum": "') and content.endswith(b"}\n")


@pytest.mark.parametrize("kind", ["ec", "garbage"])
def test_keys_that_cannot_sign(kind: str) -> None:
    pytest.importorskip("cryptography")
    from cryptography.hazmat.primitives import serialization
    from cryptography.hazmat.primitives.asymmetric import ec

    key: Any = ec.generate_private_key(ec.SECP256R1())
    pem = key.private_bytes(serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption())
    with pytest.raises(ClientError) as raised:
        Signer(pem if kind == "ec" else b"garbage")
    assert ("not an RSA key" if kind == "ec" else "not a PEM private key") in str(raised.value)
