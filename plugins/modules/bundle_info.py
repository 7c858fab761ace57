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
options:
  timeout:
    default: 30
  src:
    description: The bundle's file. Exactly one of O(src) and O(url) is required.
    type: path
  url:
    description: The bundle's address. Exactly one of O(src) and O(url) is required.
    type: str
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
    description: Gateway versions for which RV(resolves) is wanted.
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
  max_size:
    description: How many bytes are read at most, packed or unpacked.
    type: int
    default: 536870912
"""

EXAMPLES = r"""
- name: See what a published bundle holds, and what two gateway versions would open
  tyk.upgrade.bundle_info:
    url: http://bundles.example.com/bundles/header-1.zip
    versions: ["5.3.0", "5.8.9"]
"""

RETURN = r"""
found:
  description: Whether there is something under that path or address.
  returned: always
  type: bool
manifest:
  description: The bundle's manifest. None when it cannot be read.
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
checksum:
  description: The checksum that its files have.
  returned: always
  type: str
checksum_ok:
  description: Whether the manifest says that checksum.
  returned: always
  type: bool
resolves:
  description: For each of O(versions), the file that such a gateway opens for each hook path. None where it finds none.
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
findings:
  description: Everything that is wrong with it.
  returned: always
  type: list
  elements: dict
"""

import os
import posixpath
from typing import Any, Dict, List, Optional
from urllib.parse import urlsplit

from ansible.module_utils.basic import AnsibleModule

from ansible_collections.tyk.upgrade.plugins.module_utils._clients import bundle_archive
from ansible_collections.tyk.upgrade.plugins.module_utils._clients.bundle_store import HttpStore, temporary_file
from ansible_collections.tyk.upgrade.plugins.module_utils._clients.errors import ClientError
from ansible_collections.tyk.upgrade.plugins.module_utils._clients.http import split_credentials
from ansible_collections.tyk.upgrade.plugins.module_utils._domain import bundles
from ansible_collections.tyk.upgrade.plugins.module_utils._domain.findings import Finding, error, to_dicts
from ansible_collections.tyk.upgrade.plugins.module_utils._domain.versions import Version
from ansible_collections.tyk.upgrade.plugins.module_utils._http_module import hide_url, http_arguments, http_client


def argument_spec() -> Dict[str, Any]:
    return {
        **http_arguments(30.0),
        "src": {"type": "path"},
        "url": {"type": "str"},
        "headers": {"type": "dict", "no_log": True},
        "username": {"type": "str"},
        "password": {"type": "str", "no_log": True},
        "versions": {"type": "list", "elements": "str", "default": []},
        "goos": {"type": "str", "default": "linux"},
        "goarch": {"type": "str", "default": "amd64"},
        "max_size": {"type": "int", "default": 512 * 1024 * 1024},
    }


def nothing(findings: List[Finding]) -> Dict[str, Any]:
    return {
        "found": False,
        "manifest": None,
        "provenance": None,
        "files": [],
        "checksum": None,
        "checksum_ok": False,
        "resolves": {},
        "sha256": "",
        "size": 0,
        "seconds": None,
        "findings": to_dicts(findings),
    }


def missing(subject: str, where: str) -> Finding:
    return error(
        "bundle-missing",
        subject,
        f"There is no bundle {subject} at {where}.",
        "Publish it there, or correct the name in the API definitions that use it.",
    )


def opened_result(path: str, subject: str, params: Dict[str, Any], seconds: Optional[float]) -> Dict[str, Any]:
    opened = bundle_archive.read(path, params["max_size"], subject)
    names = [entry["name"] for entry in opened.files]
    resolves: Dict[str, Any] = {}
    if opened.manifest is not None:
        resolves = bundles.resolutions(opened.manifest, names, params["versions"], params["goos"], params["goarch"])
    return {
        "found": True,
        "manifest": opened.manifest,
        "provenance": opened.provenance,
        "files": opened.files,
        "checksum": opened.checksum,
        "checksum_ok": opened.checksum_ok,
        "resolves": resolves,
        "sha256": opened.sha256,
        "size": opened.size,
        "seconds": seconds,
        "findings": to_dicts(opened.findings),
    }


def from_url(module: AnsibleModule) -> Dict[str, Any]:
    params = module.params
    hide_url(module, params["url"])
    url, auth = split_credentials(params["url"])
    if params["username"] is not None:
        auth = (params["username"], params["password"] or "")
    name = posixpath.basename(urlsplit(url).path)
    base = url.replace(urlsplit(url).path, posixpath.dirname(urlsplit(url).path), 1)
    store = HttpStore(http_client(module, auth=auth), base, params["headers"])
    path = temporary_file(module.tmpdir)
    try:
        with open(path, "wb") as sink:
            stored = store.fetch(name, sink, params["max_size"])
        if stored is None:
            return nothing([missing(name, store.name)])
        return opened_result(path, name, params, round(stored.seconds, 3))
    except ClientError as problem:
        return nothing([problem.finding])
    finally:
        os.unlink(path)


def from_file(module: AnsibleModule) -> Dict[str, Any]:
    src = module.params["src"]
    if not os.path.exists(src):
        return nothing([missing(os.path.basename(src), os.path.dirname(src) or ".")])
    try:
        return opened_result(src, os.path.basename(src), module.params, None)
    except OSError as problem:
        module.fail_json(
            msg=f"The bundle {src} could not be read: {problem.strerror}. Give a file that this user may read."
        )
        raise AssertionError from problem


def main() -> None:
    module = AnsibleModule(
        argument_spec=argument_spec(),
        required_one_of=[("src", "url")],
        mutually_exclusive=[("src", "url")],
        supports_check_mode=True,
    )
    for version in module.params["versions"]:
        try:
            Version.parse(version)
        except ValueError as problem:
            module.fail_json(msg=f"versions cannot be used: {problem}")
    result = from_url(module) if module.params["url"] else from_file(module)
    module.exit_json(changed=False, **result)


if __name__ == "__main__":
    main()
