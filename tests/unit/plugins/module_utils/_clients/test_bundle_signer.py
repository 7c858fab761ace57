# Copyright (c) 2026 tyk.upgrade contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Keys of every kind that a user may give by mistake: each is refused with a sentence."""

from __future__ import annotations

import shutil
import subprocess
from pathlib import Path
from typing import Callable, Optional, Tuple

import pytest

from ansible_collections.tyk.upgrade.plugins.module_utils._clients.bundle_signer import Signer, Verifier
from ansible_collections.tyk.upgrade.plugins.module_utils._clients.errors import ClientError

pytest.importorskip("cryptography")
pytestmark = pytest.mark.skipif(not shutil.which("openssl"), reason="no openssl")

Maker = Callable[..., Path]


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> Maker:
    """What openssl (or another program) leaves under a name, run at most once."""
    folder = tmp_path_factory.mktemp("keys")

    def run(name: str, *command: str) -> Path:
        if not (folder / name).exists():
            done = subprocess.run(command, cwd=folder, capture_output=True, text=True, check=False)
            if done.returncode:
                pytest.skip(f"{command[0]} cannot: {done.stderr.strip()[-80:]}")
        return folder / name

    return run


def rsa(made: Maker) -> Path:
    return made("rsa.pem", "openssl", "genpkey", "-algorithm", "RSA", "-pkeyopt", "rsa_keygen_bits:2048", "-out", "rsa.pem")


def refused(content: bytes, passphrase: Optional[str] = None) -> str:
    with pytest.raises(ClientError) as caught:
        Signer(content, passphrase)
    assert caught.value.code == "setting-invalid" and caught.value.remedy
    return caught.value.sentence


@pytest.mark.parametrize(
    "curve", ["prime256v1", "secp256k1", "secp112r1", "sect163k1", "brainpoolP160r1", "SM2", "c2pnb163v1"]
)
def test_keys_of_elliptic_curves_known_or_not(made: Maker, curve: str) -> None:
    for parameters in ((), ("-noout",)):
        name = f"{curve}{len(parameters)}.pem"
        path = made(name, "openssl", "ecparam", "-name", curve, "-genkey", *parameters, "-out", name)
        assert "gateways verify RSA signatures (PKCS#1 v1.5) only" in refused(path.read_bytes())
    public = made(f"{curve}.pub", "openssl", "pkey", "-in", f"{curve}1.pem", "-pubout", "-out", f"{curve}.pub")
    with pytest.raises(ClientError, match="RSA signatures") as caught:
        Verifier(public.read_bytes())
    assert caught.value.code == "bundle-signature"


@pytest.mark.parametrize("kind", ["ed25519", "ed448", "x25519", "RSA-PSS"])
def test_keys_of_other_kinds(made: Maker, kind: str) -> None:
    path = made(f"{kind}.pem", "openssl", "genpkey", "-algorithm", kind, "-out", f"{kind}.pem")
    assert "gateways verify RSA signatures (PKCS#1 v1.5) only" in refused(path.read_bytes())
    public = made(f"{kind}.pub", "openssl", "pkey", "-in", path.name, "-pubout", "-out", f"{kind}.pub")
    with pytest.raises(ClientError, match="RSA signatures"):
        Verifier(public.read_bytes())


def test_a_dsa_key(made: Maker) -> None:
    path = made("dsa.pem", "openssl", "dsaparam", "-noout", "-genkey", "-out", "dsa.pem", "1024")
    assert "gateways verify RSA signatures" in refused(path.read_bytes())


@pytest.mark.parametrize("form", [("-traditional",), ()])
def test_passphrases(made: Maker, form: Tuple[str, ...]) -> None:
    rsa(made)
    name = f"encrypted{len(form)}.pem"
    command = ("openssl", "rsa", *form, "-in", "rsa.pem", "-aes256", "-passout", "pass:right", "-out", name)
    content = made(name, *command).read_bytes()
    assert "it is encrypted, and no passphrase was given" in refused(content)
    assert "the passphrase does not fit" in refused(content, "wrong-one")
    assert "wrong-one" not in refused(content, "wrong-one")
    assert Signer(content, "right").sign(bytes(32)) == Signer(rsa(made).read_bytes()).sign(bytes(32))
    assert "it is not encrypted" in refused(rsa(made).read_bytes(), "right")


def test_what_is_no_private_key(made: Maker) -> None:
    rsa(made)
    public = made("rsa.pub", "openssl", "pkey", "-in", "rsa.pem", "-pubout", "-out", "rsa.pub").read_bytes()
    subject = ("-subj", "/CN=x", "-key", "rsa.pem")
    certificate = made("x.crt", "openssl", "req", "-x509", *subject, "-out", "x.crt").read_bytes()
    der = made("rsa.der", "openssl", "pkey", "-in", "rsa.pem", "-outform", "DER", "-out", "rsa.der").read_bytes()
    assert "it is a public key" in refused(public)
    assert "it is not a PEM private key but a PEM certificate" in refused(certificate)
    assert "it is not a PEM private key." in refused(der)
    assert "it is not a PEM private key." in refused(b"")
    assert "it is not a PEM private key." in refused(bytes(range(256)) * 20)
    assert "it is damaged" in refused(b"-----BEGIN PRIVATE KEY-----\nAAAA\n-----END PRIVATE KEY-----\n")
    assert "it is damaged" in refused(rsa(made).read_bytes()[:600])
    assert Signer(certificate + rsa(made).read_bytes()).sign(bytes(32))


@pytest.mark.parametrize("passphrase", ["", "secret"])
def test_the_form_of_openssh(made: Maker, passphrase: str) -> None:
    if not shutil.which("ssh-keygen"):
        pytest.skip("no ssh-keygen")
    name = f"ssh{len(passphrase)}"
    content = made(name, "ssh-keygen", "-q", "-t", "rsa", "-N", passphrase, "-f", name).read_bytes()
    assert "it is in the form of OpenSSH" in refused(content, passphrase or None)


def test_a_key_that_is_too_short_for_newer_gateways(made: Maker) -> None:
    command = ("openssl", "genpkey", "-algorithm", "RSA", "-pkeyopt", "rsa_keygen_bits:512", "-out", "short.pem")
    assert "has 512 bits; gateways built by Go 1.24 or later accept no" in refused(made("short.pem", *command).read_bytes())
