# Copyright (c) 2026 tyk.upgrade contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Signatures of bundles, for gateways that have a public_key_path. Apart, as only signing needs cryptography."""

from __future__ import annotations

import base64
import hashlib
import re
from typing import Optional, Tuple

from ansible_collections.tyk.upgrade.plugins.module_utils._clients.errors import ClientError

try:
    from cryptography.exceptions import InvalidSignature, UnsupportedAlgorithm
    from cryptography.hazmat.primitives import hashes
    from cryptography.hazmat.primitives.asymmetric import padding, rsa, utils
    from cryptography.hazmat.primitives.serialization import (
        Encoding,
        PublicFormat,
        load_pem_private_key,
        load_pem_public_key,
    )

    CRYPTOGRAPHY_IMPORT_ERROR: Optional[BaseException] = None
except ImportError as import_error:
    CRYPTOGRAPHY_IMPORT_ERROR = import_error

_BEGIN = re.compile(rb"^-----BEGIN ([A-Z0-9 ]+)-----\s*$", re.MULTILINE)
#: The object identifier of a key that is for PSS signatures only, in DER.
_PSS = bytes.fromhex("06092a864886f70d01010a")
#: Go refuses shorter keys since 1.24 (crypto/rsa), and with it gateways that were built by it.
SHORTEST_KEY = 1024
_RSA_ONLY = "gateways verify RSA signatures (PKCS#1 v1.5) only"


def pem_form(pem: bytes) -> str:
    """The words of the first PEM header, which decide whether a gateway can read a key; empty when there is none."""
    found = _BEGIN.search(pem)
    return found.group(1).decode("ascii") if found else ""


def private_form(pem: bytes) -> str:
    """The words of the PEM header of the private key in a file, or of what is there instead of one."""
    forms = [found.decode("ascii") for found in _BEGIN.findall(pem)]
    return next((form for form in forms if form.endswith("PRIVATE KEY")), forms[0] if forms else "")


def _why_unread(pem: bytes, passphrase: Optional[str], problem: BaseException, option: str) -> Tuple[str, str]:
    """Why a private key could not be read, as a clause, and what helps."""
    form = private_form(pem)
    encrypted = form.startswith("ENCRYPTED") or b"Proc-Type: 4,ENCRYPTED" in pem
    passphrase_option = f"{option.partition('_')[0]}_passphrase"
    give = "Give an RSA private key in PEM form, with its passphrase if it has one."
    if form == "OPENSSH PRIVATE KEY":
        return "it is in the form of OpenSSH", "Convert a copy of it to PEM: ssh-keygen -p -m PEM -f the-copy."
    if form.endswith("PUBLIC KEY"):
        return "it is a public key", "Give the private half of it, and the public half to the gateways."
    if not form.endswith("PRIVATE KEY"):
        return f"it is not a PEM private key{f' but a PEM {form.lower()}' if form else ''}", give
    if encrypted and not passphrase:
        return "it is encrypted, and no passphrase was given", f"Give its passphrase ({passphrase_option}; in the roles tyk_bundle_key_passphrase)."
    if isinstance(problem, UnsupportedAlgorithm) or form in ("EC PRIVATE KEY", "DSA PRIVATE KEY"):
        return f"it is of a kind that cannot be used, and {_RSA_ONLY}", give
    if encrypted:
        return "the passphrase does not fit, or the way it is encrypted is not supported", give
    if passphrase:
        return "it is not encrypted, and yet a passphrase was given", f"Leave the passphrase out ({passphrase_option}; in the roles tyk_bundle_key_passphrase)."
    return "it is damaged", give


def _is_pss(pem: bytes) -> bool:
    """Whether an unencrypted key says of itself that it is for PSS only, which Go cannot read (crypto/x509)."""
    found = re.search(rb"-----BEGIN (?:PUBLIC|PRIVATE) KEY-----([A-Za-z0-9+/=\s]+)", pem)
    if found is None:
        return False
    body = b"".join(found.group(1).split())[:64]
    return _PSS in base64.b64decode(body[: len(body) // 4 * 4])


def _kind(pem: bytes) -> str:
    return "an RSA key for PSS signatures only" if _is_pss(pem) else "not an RSA key"


class Signer:
    """Signs as `tyk bundle build -k` does: RSA, PKCS#1 v1.5, SHA-256, standard base64."""

    def __init__(self, pem: bytes, passphrase: Optional[str] = None, option: str = "key") -> None:
        """option: where the module took the key from, as errors name it."""
        called = f"The private key (option {option}; in the roles tyk_bundle_key)"
        try:
            password = passphrase.encode("utf-8", "surrogatepass") if passphrase else None
            key = load_pem_private_key(pem, password=password)
        except (ValueError, TypeError, UnsupportedAlgorithm) as problem:
            why, remedy = _why_unread(pem, passphrase, problem, option)
            raise ClientError("setting-invalid", option, f"{called} could not be read: {why}.", remedy) from problem
        if not isinstance(key, rsa.RSAPrivateKey) or _is_pss(pem):
            raise ClientError(
                "setting-invalid",
                option,
                f"{called} is {_kind(pem)}; {_RSA_ONLY}.",
                "Give an RSA private key.",
            )
        if key.key_size < SHORTEST_KEY:
            raise ClientError(
                "setting-invalid",
                option,
                f"{called} has {key.key_size} bits; gateways built by Go 1.24 or later accept no signature by one "
                f"with less than {SHORTEST_KEY}.",
                "Give an RSA private key of 2048 bits or more.",
                "Go 1.24, crypto/rsa",
            )
        self._key = key

    @property
    def public_key(self) -> bytes:
        """The public half in the PEM form that every gateway reads."""
        return self._key.public_key().public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo)

    @property
    def key_id(self) -> str:
        """What tells this key from others: the SHA-256 of its public half (DER, SubjectPublicKeyInfo), in hex."""
        der = self._key.public_key().public_bytes(Encoding.DER, PublicFormat.SubjectPublicKeyInfo)
        return hashlib.sha256(der).hexdigest()

    def sign(self, digest: bytes) -> str:
        """The signature for a SHA-256 digest."""
        return base64.b64encode(self._key.sign(digest, padding.PKCS1v15(), utils.Prehashed(hashes.SHA256()))).decode(
            "ascii"
        )


class Verifier:
    """Verifies as a gateway with a public_key_path does."""

    def __init__(self, pem: bytes) -> None:
        try:
            key = load_pem_public_key(pem)
        except (ValueError, UnsupportedAlgorithm) as problem:
            raise ClientError(
                "bundle-signature",
                "public_key",
                f"The public key could not be read: it is damaged or of a kind that cannot be used, and {_RSA_ONLY}.",
                "Give the file that the gateways have in their public_key_path.",
            ) from problem
        if not isinstance(key, rsa.RSAPublicKey) or _is_pss(pem):
            raise ClientError(
                "bundle-signature",
                "public_key",
                f"The public key is {_kind(pem)}; {_RSA_ONLY}.",
                "Give the public half of an RSA key.",
            )
        self._key = key

    def fits(self, digest: bytes, signature: bytes) -> bool:
        """Whether this is the signature of a SHA-256 digest by the private half of the key."""
        try:
            self._key.verify(signature, digest, padding.PKCS1v15(), utils.Prehashed(hashes.SHA256()))
        except InvalidSignature:
            return False
        return True
