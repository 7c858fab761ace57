# Copyright (c) 2026 tyk.upgrade contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What a signature does: RSA, PKCS#1 v1.5 over SHA-256 of the listed files, checked where the gateway has a key."""

from __future__ import annotations

import base64
from pathlib import Path

import pytest
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import padding, rsa
from subject import Version, enforces_downloads
from world import PRE, World

KEY = rsa.generate_private_key(public_exponent=65537, key_size=2048)
OTHER = rsa.generate_private_key(public_exponent=65537, key_size=2048)
FORMATS = {
    "PUBLIC KEY": serialization.PublicFormat.SubjectPublicKeyInfo,
    "RSA PUBLIC KEY": serialization.PublicFormat.PKCS1,
}


def signature(data: bytes, key: rsa.RSAPrivateKey = KEY) -> str:
    return base64.b64encode(key.sign(data, padding.PKCS1v15(), hashes.SHA256())).decode()


def public_key(folder: Path, kind: str = "PUBLIC KEY") -> str:
    path = folder / "public.pem"
    path.write_bytes(KEY.public_key().public_bytes(serialization.Encoding.PEM, FORMATS[kind]))
    assert f"BEGIN {kind}" in path.read_text()
    return str(path)


def knows(version: Version, kind: str) -> bool:
    return kind == "PUBLIC KEY" or version.since("4.0.7", "4.2.2")


@pytest.mark.parametrize("kind", FORMATS)
def test_a_signed_bundle_is_taken_with_each_form_of_key_that_the_version_knows(
    world: World, version: Version, kind: str
) -> None:
    data = world.build("one")
    name = world.publish("one.zip", world.versioned(data), PRE, signature=signature(data))
    world.file(world.api("api", name), world.api("plain"))
    gateway = world.gateway(public_key_path=public_key(world.folder, kind)).start()
    gateway.serves("plain")
    if knows(version, kind):
        assert gateway.get("/api/x").mark
        assert "Bundle verification failed" not in gateway.log
    else:
        assert gateway.said("Bundle verification failed")


@pytest.mark.parametrize("wrong", ["none", "foreign", "no base64"])
def test_a_bundle_that_is_not_signed_right_is_refused_where_checksums_are(
    world: World, version: Version, wrong: str
) -> None:
    data = world.build("one")
    text = {"none": "", "foreign": signature(data, OTHER), "no base64": "***"}[wrong]
    name = world.publish("one.zip", world.versioned(data), PRE, signature=text)
    world.file(world.api("api", name), world.api("plain"))
    gateway = world.gateway(public_key_path=public_key(world.folder)).start()
    gateway.serves("plain")
    answer = gateway.get("/api/x")
    if enforces_downloads(version):
        assert answer.status == 404
        assert not world.directory(name).exists()
    else:
        assert answer.mark
        assert gateway.said("Bundle verification failed"), gateway.log[-3000:]


def test_without_a_key_nobody_looks_at_a_signature(world: World) -> None:
    name = world.publish("one.zip", world.versioned(world.build("one")), PRE, signature="anything")
    world.file(world.api("api", name))
    assert world.gateway().start().serves("api").mark


def test_a_placed_directory_without_a_signature_under_a_key(world: World, version: Version) -> None:
    """Checked on every load from 5.8.7, 5.10.1 and 5.11.0 on; from 5.8.11 and 5.11.1 only where it is signed."""
    world.place("one.zip", world.versioned(world.build("one")))
    world.file(world.api("api", "one.zip"), world.api("plain"))
    gateway = world.gateway(public_key_path=public_key(world.folder)).start()
    gateway.serves("plain")
    answer = gateway.get("/api/x")
    if version.since("5.8.7", "5.10.1", "5.11.0") and not version.since("5.8.11", "5.11.1"):
        assert answer.status == 404
    else:
        assert answer.mark
    assert world.bundles.asked == []
