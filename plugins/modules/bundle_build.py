#!/usr/bin/python
# Copyright (c) 2026 tyk.upgrade contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

DOCUMENTATION = r"""
module: bundle_build
short_description: Build a Tyk plugin bundle, byte by byte reproducible
version_added: 0.1.0
author:
  - tyk.upgrade contributors (@tyk-upgrade)
description:
  - Builds a bundle from a manifest and files. Gateways accept it exactly like one of C(tyk bundle build).
  - The same input gives the same bytes, as long as the same zlib compresses them.
  - Files are streamed, so memory does not grow with them.
extends_documentation_fragment:
  - tyk.upgrade.attributes
attributes:
  check_mode:
    support: full
    details:
      - In check mode the bundle is built in a temporary file, compared, and deleted. When a file is missing, because in
        check mode nothing made it, the bundle is reported as changed and RV(missing) names the file.
  diff_mode:
    support: full
  idempotent:
    support: full
options:
  dest:
    description: The bundle to write. It is replaced as a whole or not at all.
    type: path
    required: true
  manifest:
    description:
      - The manifest as C(tyk bundle build) takes it. C(checksum) and C(signature) are filled in.
      - Files are listed in the order of its C(file_list); files that it does not name come after that.
    type: dict
    required: true
  files:
    description: The files of the bundle.
    type: list
    elements: dict
    default: []
    suboptions:
      name:
        description: Its name in the bundle. Bundles are flat, so it must not hold a slash.
        type: str
        required: true
      path:
        description: Where its content is.
        type: path
        required: true
  provenance:
    description: What the bundle was made from. It is written into the bundle as C(tyk-upgrade.json).
    type: dict
  key:
    description:
      - A file with the RSA private key (PEM) that signs the bundle. Without it or O(key_content) the bundle is not signed.
      - Mutually exclusive with O(key_content).
    type: path
  key_content:
    description: The RSA private key itself (PEM).
    type: str
  key_passphrase:
    description: The passphrase of the key.
    type: str
requirements:
  - cryptography (only for signing)
"""

EXAMPLES = r"""
- name: Build a bundle that serves two gateway versions
  tyk.upgrade.bundle_build:
    dest: build/header-t0123456789ab.zip
    manifest:
      custom_middleware:
        driver: goplugin
        pre:
          - name: AddHeader
            path: HeaderPlugin.so
    files:
      - name: HeaderPlugin_v5.3.0_linux_amd64.so
        path: build/5.3.0/HeaderPlugin.so
      - name: HeaderPlugin_v5.8.9_linux_amd64.so
        path: build/5.8.9/HeaderPlugin.so
"""

RETURN = r"""
path:
  description: The bundle.
  returned: success
  type: str
  sample: build/header-t0123456789ab.zip
checksum:
  description: The MD5 checksum in its manifest. None when a file is missing in check mode.
  returned: success
  type: str
sha256:
  description: The SHA-256 of the bundle itself. None when a file is missing in check mode.
  returned: success
  type: str
size:
  description: Its size in bytes. None when a file is missing in check mode.
  returned: success
  type: int
files:
  description: Its C(file_list).
  returned: success
  type: list
  elements: str
missing:
  description: Files that are not there yet.
  returned: in check mode
  type: list
  elements: str
findings:
  description: What is wrong, or worth knowing about its manifest.
  returned: always
  type: list
  elements: dict
"""

import os
import tempfile
from typing import Any, Dict, List, Optional

from ansible.module_utils.basic import AnsibleModule

from ansible_collections.tyk.upgrade.plugins.module_utils._clients import bundle_archive
from ansible_collections.tyk.upgrade.plugins.module_utils._clients.bundle_archive import Built, Member
from ansible_collections.tyk.upgrade.plugins.module_utils._clients.bundle_signer import (
    CRYPTOGRAPHY_IMPORT_ERROR,
    Signer,
)
from ansible_collections.tyk.upgrade.plugins.module_utils._clients.errors import ClientError
from ansible_collections.tyk.upgrade.plugins.module_utils._clients.local_disk import local_writing
from ansible_collections.tyk.upgrade.plugins.module_utils._domain.bundles import PROVENANCE_FILE
from ansible_collections.tyk.upgrade.plugins.module_utils._domain.findings import to_dicts
from ansible_collections.tyk.upgrade.plugins.module_utils._http_module import fail, require
from ansible_collections.tyk.upgrade.plugins.module_utils._module import Module

_LARGEST_KEY = 1024 * 1024


def argument_spec() -> Dict[str, Any]:
    return {
        "dest": {"type": "path", "required": True},
        "manifest": {"type": "dict", "required": True},
        "files": {
            "type": "list",
            "elements": "dict",
            "default": [],
            "options": {
                "name": {"type": "str", "required": True},
                "path": {"type": "path", "required": True},
            },
        },
        "provenance": {"type": "dict"},
        "key": {"type": "path", "no_log": False},
        "key_content": {"type": "str", "no_log": True},
        "key_passphrase": {"type": "str", "no_log": True},
    }


def members_of(params: Dict[str, Any]) -> List[Member]:
    members = [Member(entry["name"], path=entry["path"]) for entry in params["files"]]
    if params["provenance"] is not None:
        members.append(Member(PROVENANCE_FILE, content=bundle_archive.manifest_bytes(params["provenance"])))
    return members


def signer_of(module: AnsibleModule) -> Optional[Signer]:
    path, content = module.params["key"], module.params["key_content"]
    if not path and not content:
        return None
    require(module, "cryptography", CRYPTOGRAPHY_IMPORT_ERROR)
    if content:
        return Signer(content.encode("utf-8", "surrogatepass"), module.params["key_passphrase"], "key_content")
    try:
        with open(path, "rb") as handle:
            pem = handle.read(_LARGEST_KEY)
    except OSError as problem:
        module.fail_json(
            msg=f"The private key {path} could not be read: {problem.strerror}. Give the path of a PEM file.",
            findings=[],
        )
    return Signer(pem, module.params["key_passphrase"])


def existing_of(dest: str) -> Dict[str, Any]:
    if not os.path.isfile(dest):
        return {}
    sha256, size = bundle_archive.digest_of_path(dest)
    return {"sha256": sha256, "size": size}


def directory_of(module: AnsibleModule) -> str:
    """Where the bundle is written: in check mode to a place where nobody sees it."""
    return str(module.tmpdir if module.check_mode else os.path.dirname(os.path.abspath(module.params["dest"])))


def build(module: AnsibleModule, members: List[Member], signer: Optional[Signer]) -> Dict[str, Any]:
    dest = module.params["dest"]
    existing = existing_of(dest)
    directory = directory_of(module)
    if not module.check_mode:
        os.makedirs(directory, exist_ok=True)
    handle, temporary = tempfile.mkstemp(prefix=".bundle-", dir=directory)
    try:
        with os.fdopen(handle, "w+b") as stream:
            built: Built = bundle_archive.build(
                stream, module.params["manifest"], members, signer.sign if signer else None
            )
            os.fsync(stream.fileno())
        changed = existing.get("sha256") != built.sha256
        if changed and not module.check_mode:
            os.chmod(temporary, 0o644)
            os.replace(temporary, dest)
    finally:
        if os.path.exists(temporary):
            os.unlink(temporary)
    return {
        "changed": changed,
        "path": dest,
        "checksum": built.checksum,
        "sha256": built.sha256,
        "size": built.size,
        "files": list(built.manifest["file_list"]),
        "findings": built.findings,
        "diff": {
            "before": existing,
            "after": {"sha256": built.sha256, "size": built.size},
            "before_header": dest,
            "after_header": dest,
        },
    }


def main() -> None:
    module = Module(
        argument_spec=argument_spec(), mutually_exclusive=[("key", "key_content")], supports_check_mode=True
    )
    dest = module.params["dest"]
    members = members_of(module.params)
    missing = [member.path for member in members if member.content is None and not os.path.exists(member.path)]
    try:
        if missing and module.check_mode:
            order = bundle_archive.file_list(module.params["manifest"], [member.name for member in members])
            nothing = {"checksum": None, "sha256": None, "size": None, "files": order, "findings": []}
            module.exit_json(changed=True, path=dest, missing=missing, **nothing)
        signer = signer_of(module)
        with local_writing(dest, f"The bundle {dest} could not be written", directory_of(module)):
            result = build(module, members, signer)
    except ClientError as problem:
        fail(module, problem)
    for finding in result["findings"]:
        module.warn(finding.sentence())
    if module.check_mode:
        result["missing"] = []
    module.exit_json(**{**result, "findings": to_dicts(result["findings"])})


if __name__ == "__main__":
    main()
