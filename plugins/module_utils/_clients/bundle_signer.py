# Copyright (c) 2026 tyk.upgrade contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Signatures of bundles, for gateways that have a public_key_path. Apart, as only signing needs cryptography."""

from __future__ import annotations

import base64
import hashlib
import re
from typing import Optional

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


def pem_form(pem: bytes) -> str:
    """The words of the first PEM header, which decide whether a gateway can read a key; empty when there is none."""
    found = _BEGIN.search(pem)
    return found.group(1).decode("ascii") if found else ""


class Signer:
    """Signs as `tyk bundle build -k` does: RSA, PKCS#1 v1.5, SHA-256, standard base64."""

    def __init__(self, pem: bytes, passphrase: Optional[str] = None) -> None:
        try:
            key = load_pem_private_key(pem, password=passphrase.encode("utf-8") if passphrase else None)
        except (ValueError, TypeError) as problem:
            raise ClientError(
                "setting-invalid",
                "key",
                "The private key could not be read: it is not a PEM private key, or the passphrase does not fit.",
                "Give an RSA private key in PEM form, with its passphrase if it has one.",
            ) from problem
        if not isinstance(key, rsa.RSAPrivateKey):
            raise ClientError(
                "setting-invalid",
                "key",
                "The private key is not an RSA key; gateways verify RSA signatures only.",
                "Give an RSA private key.",
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
                "The public key could not be read: it is not a PEM public key.",
                "Give the file that the gateways have in their public_key_path.",
            ) from problem
        if not isinstance(key, rsa.RSAPublicKey):
            raise ClientError(
                "bundle-signature",
                "public_key",
                "The public key is not an RSA key; gateways verify RSA signatures only.",
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
