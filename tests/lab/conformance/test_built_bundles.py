# Copyright (c) 2026 tyk.upgrade contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""To a gateway, what bundle_build makes is what its own command makes; and bundle_info says what the gateway does."""

from __future__ import annotations

import io
import json
import sys
import zipfile
from pathlib import Path
from typing import Any

import pytest
from subject import Version, enforces_downloads
from world import PRE, World

COLLECTIONS = Path(__file__).resolve().parents[3] / "build" / "collections"
if COLLECTIONS.is_dir():
    sys.path.insert(0, str(COLLECTIONS))
CLIENTS = "ansible_collections.tyk.upgrade.plugins.module_utils._clients"
archive = pytest.importorskip(f"{CLIENTS}.bundle_archive")
signer = pytest.importorskip(f"{CLIENTS}.bundle_signer")
pytest.importorskip("cryptography")


class Keys:
    """An RSA key, in the forms in which it may be handed to a gateway."""

    def __init__(self, folder: Path) -> None:
        from cryptography.hazmat.primitives import serialization
        from cryptography.hazmat.primitives.asymmetric import rsa

        key = rsa.generate_private_key(public_exponent=65537, key_size=2048)
        pem, form = serialization.Encoding.PEM, serialization.PublicFormat
        plain = serialization.NoEncryption()
        folder.mkdir()
        folder.chmod(0o777)
        self.private = folder / "private.pem"
        self.private.write_bytes(key.private_bytes(pem, serialization.PrivateFormat.TraditionalOpenSSL, plain))
        self.public = {"PUBLIC KEY": folder / "pkix.pem", "RSA PUBLIC KEY": folder / "pkcs1.pem"}
        for name, kind in (("PUBLIC KEY", form.SubjectPublicKeyInfo), ("RSA PUBLIC KEY", form.PKCS1)):
            self.public[name].write_bytes(key.public_key().public_bytes(pem, kind))
        for path in folder.iterdir():
            path.chmod(0o644)

    def sign(self, digest: bytes) -> str:
        return str(signer.Signer(self.private.read_bytes()).sign(digest))


@pytest.fixture
def keys(world: World) -> Keys:
    return Keys(world.folder / "keys")


def built(world: World, keys: Keys | None = None) -> bytes:
    """A bundle by the same code that the module runs."""
    files = world.versioned(world.build("one"))
    files["rules.json"] = b"{}"
    members = [archive.Member(name, content=content) for name, content in files.items()]
    handle = io.BytesIO()
    archive.build(handle, {"custom_middleware": PRE}, members, keys.sign if keys else None)
    return handle.getvalue()


def altered(bundle: bytes, **manifest: Any) -> bytes:
    """The same bundle with other values in its manifest."""
    with zipfile.ZipFile(io.BytesIO(bundle)) as old:
        files = {name: old.read(name) for name in old.namelist()}
    files["manifest.json"] = json.dumps({**json.loads(files["manifest.json"]), **manifest}).encode()
    target = io.BytesIO()
    with zipfile.ZipFile(target, "w", zipfile.ZIP_DEFLATED, compresslevel=1) as new:
        for name, content in files.items():
            new.writestr(name, content)
    return target.getvalue()


def served(world: World, bundle: bytes, **settings: Any) -> Any:
    world.bundles.files["ours.zip"] = bundle
    world.file(world.api("api", "ours.zip"), world.api("plain"))
    gateway = world.gateway(**settings).start()
    gateway.serves("plain", timeout=40)
    return gateway


def test_a_bundle_of_ours_is_accepted(world: World) -> None:
    gateway = served(world, built(world))
    assert gateway.serves("api").mark
    assert "Bundle verification failed" not in gateway.log
    with zipfile.ZipFile(io.BytesIO(world.bundles.files["ours.zip"])) as ours:
        assert {path.name for path in world.directory("ours.zip").iterdir()} == set(ours.namelist())


@pytest.mark.parametrize("form", ["PUBLIC KEY", "RSA PUBLIC KEY"])
def test_our_signature_is_accepted(world: World, version: Version, keys: Keys, form: str) -> None:
    gateway = served(world, built(world, keys), public_key_path=str(keys.public[form]))
    if form == "PUBLIC KEY" or version.since("4.0.7", "4.2.2", "4.3.0"):
        assert gateway.serves("api").mark
        assert "Bundle verification failed" not in gateway.log
    else:
        assert gateway.said("Bundle verification failed")


@pytest.mark.parametrize("kind", ["unsigned", "foreign", "nonsense"])
def test_a_signature_that_does_not_fit_is_refused(world: World, version: Version, keys: Keys, kind: str) -> None:
    bundle = {
        "unsigned": lambda: built(world),
        "foreign": lambda: built(world, Keys(world.folder / "others")),
        "nonsense": lambda: altered(built(world, keys), signature="AAAA"),
    }[kind]()
    gateway = served(world, bundle, public_key_path=str(keys.public["PUBLIC KEY"]))
    if enforces_downloads(version):
        assert gateway.get("/api/x").status == 404
    else:
        assert gateway.serves("api") and gateway.said("Bundle verification failed")


def test_the_gateways_own_command_makes_the_same(world: World, keys: Keys) -> None:
    """Same files in the same order, same checksum, same signature; and its manifest means the same."""
    ours = world.folder / "ours.zip"
    ours.write_bytes(built(world, keys))
    with zipfile.ZipFile(ours) as opened:
        wanted = json.loads(opened.read("manifest.json"))
        for name in wanted["file_list"]:
            (world.folder / name).write_bytes(opened.read(name))
    given = {**wanted, "checksum": "", "signature": ""}
    (world.folder / "manifest.json").write_text(json.dumps(given))
    done = world.gateway().run("bundle", "build", "-m", "manifest.json", "-o", "theirs.zip", "-k", str(keys.private))
    if not (world.folder / "theirs.zip").exists():
        pytest.skip(f"this gateway has no command for it: {(done.stdout + done.stderr)[-200:]}")
    with zipfile.ZipFile(world.folder / "theirs.zip") as theirs, zipfile.ZipFile(ours) as opened:
        assert theirs.namelist() == opened.namelist()
        got = json.loads(theirs.read("manifest.json"))
        assert all(theirs.read(name) == opened.read(name) for name in wanted["file_list"])
    for key in ("file_list", "checksum", "signature"):
        assert got[key] == wanted[key]
    found = archive.read(str(world.folder / "theirs.zip"), 1 << 30)
    assert found.findings == [] and found.checksum_ok
    bundles = pytest.importorskip("ansible_collections.tyk.upgrade.plugins.module_utils._domain.bundles")
    assert bundles.manifest_digest(got) == bundles.manifest_digest(wanted)


@pytest.mark.parametrize(
    "manifest",
    [
        {"file_list": "plugin.so"},
        {"checksum": 5},
        {"custom_middleware": {"driver": "goplugin", "pre": [{"name": "Pre", "path": "plugin.so", "disabled": "no"}]}},
        {"custom_middleware": {"driver": "goplugin", "pre": {"name": "Pre", "path": "plugin.so"}}},
    ],
)
def test_what_bundle_info_calls_unreadable_is_unreadable(world: World, version: Version, manifest: Any) -> None:
    """Its plugin never runs."""
    if "pre" in manifest.get("custom_middleware", {}) and not version.since("5.0.0"):
        pytest.skip("disabled is a key of 5.0.0 and later")
    bundle = altered(built(world), **manifest)
    path = world.folder / "altered.zip"
    path.write_bytes(bundle)
    assert any(finding.severity == "error" for finding in archive.read(str(path), 1 << 30).findings)
    gateway = served(world, bundle)
    answer = gateway.get("/api/x")
    assert answer.status != 200 or not answer.mark
