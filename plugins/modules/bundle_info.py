#!/usr/bin/python
# Copyright (c) 2026 tyk.upgrade contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

DOCUMENTATION = r"""
module: bundle_info
short_description: Open a Tyk plugin bundle and say everything that is wrong with it
version_added: 0.1.0
author:
  - tyk.upgrade contributors (@tyk-upgrade)
description:
  - Opens a bundle from a file or an address, checks it as a gateway would, and says which of its files a gateway of a
    given version opens.
  - The bundle is read within bounds, so that a broken or hostile file fills neither memory nor disk.
  - A bundle that is absent or wrong is a result with findings, and not a failure.
extends_documentation_fragment:
  - tyk.upgrade.attributes
  - tyk.upgrade.attributes.info_module
  - tyk.upgrade.connection
  - tyk.upgrade.bundle_store
options:
  timeout:
    default: 30
  src:
    description: The bundle's file. Exactly one of O(src), O(url) and O(store) is required.
    type: path
  url:
    description: The bundle's address. Exactly one of O(src), O(url) and O(store) is required.
    type: str
  store:
    description: The bundle store that the bundle is in. Exactly one of O(src), O(url) and O(store) is required.
  name:
    description: The bundle's name in O(store), as API definitions give it. O(store) takes either this or O(find).
    type: str
  find:
    description:
      - The bundle is one that this collection built, and O(store) gave it a name that is not known here
        (O(store.kind=mserv)). It is found by what it was made from, and RV(name) is its name.
      - That there is none is no error. Several that differ are one, since it cannot be told which is meant.
    type: dict
    suboptions:
      provenance:
        description: What the bundle was made from, as the plan says it. The bundle has to say exactly this.
        type: dict
        required: true
      files:
        description: The files that its manifest lists, in any order. Only bundles with just these are read.
        type: list
        elements: str
        required: true
  headers:
    description: Headers for O(url).
    type: dict
  username:
    description: User for O(url).
    type: str
  password:
    description: Password for O(url).
    type: str
  versions:
    description:
      - Gateway versions for which RV(resolves) is wanted. That checksum or signature are wrong is a warning if all of
        these and of O(expect_versions) use such a bundle.
    type: list
    elements: str
    default: []
  expect_versions:
    description:
      - Gateway versions that the bundle has to serve. That one of them finds no file for a hook, or opens one that is
        meant for another version, or cannot read O(public_key), is an error. They are part of RV(resolves) too.
    type: list
    elements: str
    default: []
  goos:
    description: The operating system of these gateways.
    type: str
    default: linux
  goarch:
    description: The architecture of these gateways.
    type: str
    default: amd64
  public_key:
    description:
      - A file with the public key (PEM) that gateways have in their C(public_key_path). With it the bundle has to be
        signed, and its signature is verified.
    type: path
  signing_key:
    description:
      - The RSA private key (PEM) by which the bundles to come are signed. A bundle that is signed has to be by this key,
        since gateways have one public key; one that is not signed is no error.
      - Mutually exclusive with O(public_key).
    type: str
  signing_passphrase:
    description: The passphrase of O(signing_key).
    type: str
  speed:
    description:
      - How many megabits a second gateways get from the store. With it the time of their download is judged against the
        five seconds that they give it.
      - If not set, the speed of the download by this module is taken for O(url) and O(store), which may be another one.
    type: float
  max_size:
    description: How many bytes are read at most, packed or unpacked.
    type: int
    default: 536870912
requirements:
  - cryptography (only for O(public_key) and O(signing_key))
"""

EXAMPLES = r"""
- name: See what a published bundle holds, and what two gateway versions would open
  tyk.upgrade.bundle_info:
    url: http://bundles.example.com/bundles/header-1.zip
    versions: ["5.3.0", "5.8.9"]

- name: Learn the name that an mserv gave to a bundle of the plan
  tyk.upgrade.bundle_info:
    store:
      kind: mserv
      url: https://example.cloud-ara.tyk.io/mserv
      api_key: "{{ mserv_api_key }}"
    find:
      provenance: "{{ planned.provenance }}"
      files: "{{ planned.files }}"
  register: published

- name: Check a bundle that somebody else built as strictly as one's own
  tyk.upgrade.bundle_info:
    src: header.zip
    expect_versions: ["5.3.0", "5.8.9"]
    public_key: gateway-public.pem
    speed: 50
  register: bundle
  failed_when: bundle.findings | selectattr('severity', 'equalto', 'error') | length > 0
"""

RETURN = r"""
found:
  description: Whether there is something under that path or address.
  returned: always
  type: bool
name:
  description: The bundle's name in O(store). None when O(find) finds none, and for O(src) and O(url).
  returned: always
  type: str
manifest:
  description:
    - The bundle's manifest. None when it cannot be read.
    - A bundle is signed if its C(signature) is not empty; RV(signature_ok) says more with O(public_key).
  returned: always
  type: dict
provenance:
  description: What the bundle was made from, as this collection notes it. None when it does not say.
  returned: always
  type: dict
files:
  description: The files in the bundle, without the manifest.
  returned: always
  type: list
  elements: dict
  contains:
    name:
      description: Its name.
      type: str
    size:
      description: Its unpacked size in bytes.
      type: int
    sha256:
      description: SHA-256 of its content.
      type: str
    plugin_path:
      description:
        - The path that Go knows a plugin by, stripped or not. A process loads only one plugin of a path.
        - Empty for everything that is no Go plugin, or none that can be read.
      type: str
      sample: tyk.internal/tyk_plugin0123456789abcdef
checksum:
  description: The checksum that its files have.
  returned: always
  type: str
checksum_ok:
  description: Whether the manifest says that checksum.
  returned: always
  type: bool
signature_ok:
  description:
    - Whether the signature fits the files and the key. None without O(public_key) or O(signing_key), and for a bundle that
      need not be signed and is not.
  returned: always
  type: bool
signing_key_id:
  description: The SHA-256 of the public half of O(signing_key), which tells keys apart. Empty without that option.
  returned: always
  type: str
resolves:
  description:
    - For each of O(versions) and O(expect_versions), the file that such a gateway opens for each hook path. None where
      it finds none.
  returned: always
  type: dict
  sample: {"5.8.9": {"HeaderPlugin.so": HeaderPlugin_v5.8.9_linux_amd64.so}}
sha256:
  description: SHA-256 of the bundle itself. Empty when there is none.
  returned: always
  type: str
size:
  description: Its size in bytes.
  returned: always
  type: int
seconds:
  description: How long the download took from where this module ran. None for O(src).
  returned: always
  type: float
download_seconds:
  description: How long a download takes at O(speed), in seconds. None without that option.
  returned: always
  type: float
findings:
  description: Everything that is wrong with it.
  returned: always
  type: list
  elements: dict
"""

import base64
import binascii
import os
import posixpath
from dataclasses import dataclass
from typing import Any, Dict, List, Optional, Tuple
from urllib.parse import unquote, urlsplit, urlunsplit

from ansible.module_utils.basic import AnsibleModule

from ansible_collections.tyk.upgrade.plugins.module_utils._bundle_store_module import store_arguments, store_of
from ansible_collections.tyk.upgrade.plugins.module_utils._clients import bundle_archive
from ansible_collections.tyk.upgrade.plugins.module_utils._clients.bundle_signer import (
    CRYPTOGRAPHY_IMPORT_ERROR,
    Signer,
    Verifier,
    pem_form,
)
from ansible_collections.tyk.upgrade.plugins.module_utils._clients.bundle_store import BundleStore, temporary_file
from ansible_collections.tyk.upgrade.plugins.module_utils._clients.errors import ClientError
from ansible_collections.tyk.upgrade.plugins.module_utils._clients.http import split_credentials
from ansible_collections.tyk.upgrade.plugins.module_utils._clients.http_store import HttpStore
from ansible_collections.tyk.upgrade.plugins.module_utils._clients.local_disk import other_than_file
from ansible_collections.tyk.upgrade.plugins.module_utils._domain import bundle_lint, bundles
from ansible_collections.tyk.upgrade.plugins.module_utils._domain.findings import (
    Finding,
    error,
    to_dicts,
)
from ansible_collections.tyk.upgrade.plugins.module_utils._domain.versions import Version
from ansible_collections.tyk.upgrade.plugins.module_utils._http_module import (
    fail,
    hide_url,
    http_arguments,
    http_client,
    require,
)
from ansible_collections.tyk.upgrade.plugins.module_utils._module import Module

#: What is too small says nothing about the speed of a network.
_MEASURABLE = 256 * 1024


def argument_spec() -> Dict[str, Any]:
    return {
        **http_arguments(30.0),
        "src": {"type": "path"},
        "url": {"type": "str"},
        "store": store_arguments(),
        "name": {"type": "str"},
        "find": {
            "type": "dict",
            "options": {
                "provenance": {"type": "dict", "required": True},
                "files": {"type": "list", "elements": "str", "required": True},
            },
        },
        "headers": {"type": "dict", "no_log": True},
        "username": {"type": "str"},
        "password": {"type": "str", "no_log": True},
        "versions": {"type": "list", "elements": "str", "default": []},
        "expect_versions": {"type": "list", "elements": "str", "default": []},
        "goos": {"type": "str", "default": "linux"},
        "goarch": {"type": "str", "default": "amd64"},
        "public_key": {"type": "path", "no_log": False},
        "signing_key": {"type": "str", "no_log": True},
        "signing_passphrase": {"type": "str", "no_log": True},
        "speed": {"type": "float"},
        "max_size": {"type": "int", "default": 512 * 1024 * 1024},
    }


def nothing(findings: List[Finding], name: Optional[str] = None) -> Dict[str, Any]:
    return {
        "found": False,
        "name": name,
        "manifest": None,
        "provenance": None,
        "files": [],
        "checksum": None,
        "checksum_ok": False,
        "signature_ok": None,
        "signing_key_id": "",
        "resolves": {},
        "sha256": "",
        "size": 0,
        "seconds": None,
        "download_seconds": None,
        "findings": to_dicts(findings),
    }


def missing(subject: str, where: str) -> Finding:
    return error(
        "bundle-missing",
        subject,
        f"There is no bundle {subject} at {where}.",
        "Publish it there, or correct the name in the API definitions that use it.",
    )


@dataclass(frozen=True)
class Key:
    """What signatures are verified with. required: whether a bundle has to be signed."""

    public: bytes
    required: bool = True
    signing_id: str = ""


def key_of(module: AnsibleModule) -> Optional[Key]:
    path, signing = module.params["public_key"], module.params["signing_key"]
    if not path and not signing:
        return None
    require(module, "cryptography", CRYPTOGRAPHY_IMPORT_ERROR)
    if signing:
        signer = Signer(signing.encode("utf-8", "surrogatepass"), module.params["signing_passphrase"], "signing_key")
        return Key(signer.public_key, required=False, signing_id=signer.key_id)
    try:
        with open(path, "rb") as handle:
            return Key(handle.read(1024 * 1024))
    except OSError as problem:
        module.fail_json(
            msg=f"The public key {path} could not be read: {problem.strerror}. Give the path of a PEM file.",
            findings=[],
        )
        raise AssertionError from problem


def signature(
    opened: bundle_archive.Opened, key: Key, versions: List[str], subject: str
) -> Tuple[Optional[bool], List[Finding]]:
    """Whether gateways of these versions accept the signature, and what is wrong with it or with their key."""
    findings = bundle_lint.lint_key(pem_form(key.public), versions, subject)
    if findings:
        return False, findings
    said = (opened.manifest or {}).get("signature")
    if not isinstance(said, str) or not said:
        return (False, [bundle_lint.unsigned(subject)]) if key.required else (None, [])
    try:
        signed = base64.b64decode("".join(said.splitlines()), validate=True)
    except (binascii.Error, ValueError):
        return False, [bundle_lint.wrongly_signed(subject, "is not written in base64")]
    try:
        fits = opened.signed_digest is not None and Verifier(key.public).fits(opened.signed_digest, signed)
    except ClientError as problem:
        return False, [problem.finding]
    which = "public key" if key.required else "key that is to sign the next one"
    return fits, [] if fits else [bundle_lint.wrongly_signed(subject, f"does not fit its files and the {which}")]


def speed_findings(params: Dict[str, Any], size: int, seconds: Optional[float], subject: str) -> List[Finding]:
    versions = params["expect_versions"] or params["versions"]
    if params["speed"] is not None:
        return bundle_lint.lint_download(size, params["speed"], versions, subject, "the speed given")
    if not seconds or size < _MEASURABLE:
        return []
    measured = round(size * 8 / seconds / 1_000_000, 1) or 0.1
    found = bundle_lint.lint_download(size, measured, versions, subject, "measured from where this module runs")
    return [bundle_lint.softened(one) for one in found]


def opened_result(
    path: str, subject: str, module: AnsibleModule, key: Optional[Key], seconds: Optional[float]
) -> Dict[str, Any]:
    params = module.params
    opened = bundle_archive.read(path, params["max_size"], subject, module.tmpdir)
    names = [entry["name"] for entry in opened.files]
    findings = list(opened.findings)
    resolves: Dict[str, Any] = {}
    signed: Optional[bool] = None
    platform = (params["goos"], params["goarch"])
    if opened.manifest is not None:
        versions = list(dict.fromkeys([*params["versions"], *params["expect_versions"]]))
        resolves = bundles.resolutions(opened.manifest, names, versions, *platform)
        findings += bundle_lint.lint_versions(opened.manifest, names, params["expect_versions"], *platform, subject)
        if key is not None:
            signed, wrong = signature(opened, key, params["expect_versions"], subject)
            findings += wrong
    findings = bundle_lint.as_used(findings, [*params["versions"], *params["expect_versions"]])
    findings += speed_findings(params, opened.size, seconds, subject)
    speed = params["speed"]
    return {
        "found": True,
        "name": params["name"],
        "manifest": opened.manifest,
        "provenance": opened.provenance,
        "files": opened.files,
        "checksum": opened.checksum,
        "checksum_ok": opened.checksum_ok,
        "signature_ok": signed,
        "signing_key_id": key.signing_id if key is not None else "",
        "resolves": resolves,
        "sha256": opened.sha256,
        "size": opened.size,
        "seconds": seconds,
        "download_seconds": round(bundle_lint.download_seconds(opened.size, speed), 3) if speed else None,
        "findings": to_dicts(findings),
    }


def from_store(module: AnsibleModule, key: Optional[Key]) -> Dict[str, Any]:
    try:
        if module.params["url"]:
            store, name = store_of_url(module)
        else:
            store, name = store_of(module), module.params["name"]
            if module.params["find"]:
                return found_by(module, store, module.params["find"], key)
        return fetched(module, store, name, key)
    except ClientError as problem:
        return nothing([problem.finding], module.params["name"])


def found_by(module: AnsibleModule, store: BundleStore, wanted: Dict[str, Any], key: Optional[Key]) -> Dict[str, Any]:
    """The bundle that says that it was made from what is wanted. One that is damaged is none."""
    found: Dict[str, Dict[str, Any]] = {}
    for name in store.candidates(wanted["files"]):
        result = fetched(module, store, name, key)
        if result["checksum_ok"] and result["provenance"] == wanted["provenance"]:
            found.setdefault(result["sha256"], {**result, "name": name})
    if len(found) > 1:
        return nothing([several(store.name, [result["name"] for result in found.values()])])
    return next(iter(found.values()), nothing([]))


def several(place: str, names: List[str]) -> Finding:
    return error(
        "store-conflict",
        place,
        f"The bundle store {place} has {len(names)} bundles that are made from the same and yet differ: "
        f"{', '.join(names)}.",
        "Delete those that no API definition names; what is missing then is published again.",
    )


def store_of_url(module: AnsibleModule) -> Tuple[BundleStore, str]:
    params = module.params
    url, auth = split_credentials(params["url"])
    if params["username"] is not None:
        auth = (params["username"], params["password"] or "")
    parts = urlsplit(url)
    folder, name = posixpath.split(parts.path)
    base = urlunsplit((parts.scheme, parts.netloc, folder, parts.query, ""))
    return HttpStore(http_client(module, auth=auth), base, params["headers"]), unquote(name)


def fetched(module: AnsibleModule, store: BundleStore, name: str, key: Optional[Key]) -> Dict[str, Any]:
    path = temporary_file(module.tmpdir)
    try:
        with open(path, "wb", buffering=0) as sink:
            stored = store.fetch(name, sink, module.params["max_size"])
        if stored is None:
            return nothing([missing(name, store.name)], module.params["name"])
        return opened_result(path, name, module, key, round(stored.seconds, 3))
    finally:
        os.unlink(path)


def from_file(module: AnsibleModule, key: Optional[Key]) -> Dict[str, Any]:
    src = module.params["src"]
    if not os.path.exists(src):
        return nothing([missing(os.path.basename(src), os.path.dirname(src) or ".")])
    if other_than_file(src):
        return nothing(
            [
                error(
                    "bundle-invalid",
                    os.path.basename(src),
                    f"The bundle {src} is {other_than_file(src)} and no file.",
                    "Give the path of a zip.",
                )
            ]
        )
    try:
        return opened_result(src, os.path.basename(src), module, key, None)
    except ClientError as problem:
        return nothing([problem.finding])
    except OSError as problem:
        module.fail_json(
            msg=f"The bundle {src} could not be read: {problem.strerror}. Give a file that this user may read."
        )
        raise AssertionError from problem


def check_arguments(module: AnsibleModule) -> None:
    params = module.params
    for option in ("versions", "expect_versions"):
        for version in params[option]:
            try:
                Version.parse(version)
            except ValueError as problem:
                module.fail_json(msg=f"{option} cannot be used: {problem}")
    for option in ("src", "url"):
        if params[option] is not None and not params[option].strip():
            module.fail_json(msg=f"{option} is empty; give the {'path' if option == 'src' else 'address'} of a bundle.")
    if params["store"] and not (params["name"] or params["find"]):
        module.fail_json(msg="store needs to know which bundle is meant; give name, or find.")
    if params["speed"] is not None and params["speed"] <= 0:
        module.fail_json(msg=f"speed is {params['speed']} Mbit/s; give a number above 0.")


def main() -> None:
    module = Module(
        argument_spec=argument_spec(),
        required_one_of=[("src", "url", "store")],
        mutually_exclusive=[("src", "url", "store"), ("name", "find"), ("public_key", "signing_key")],
        required_by={"find": ("store",)},
        supports_check_mode=True,
    )
    store = module.params["store"] or {}
    hide_url(module, module.params["url"], store.get("url"), store.get("endpoint_url"))
    check_arguments(module)
    try:
        key = key_of(module)
    except ClientError as problem:
        fail(module, problem)
    result = from_file(module, key) if module.params["src"] else from_store(module, key)
    module.exit_json(changed=False, **result)


if __name__ == "__main__":
    main()
