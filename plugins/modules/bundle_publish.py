#!/usr/bin/python
# Copyright (c) 2026 tyk.upgrade contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

DOCUMENTATION = r"""
module: bundle_publish
short_description: Publish a Tyk plugin bundle under a new name
version_added: 0.1.0
author:
  - tyk.upgrade contributors (@tyk-upgrade)
description:
  - Uploads a bundle to where gateways fetch it, reads it back, and compares.
  - Gateways keep a bundle by its name and never notice new content under it, so other content is never written over a
    name that is in use. Equal content that is there already is left alone.
extends_documentation_fragment:
  - tyk.upgrade.attributes
  - tyk.upgrade.connection
  - tyk.upgrade.bundle_store
attributes:
  check_mode:
    support: full
    details:
      - In check mode the store is read but never written. Whether it takes uploads is known then only if it says so.
  diff_mode:
    support: full
  idempotent:
    support: full
options:
  timeout:
    default: 60
  state:
    description:
      - V(present) publishes O(src) under O(name).
      - V(probed) proves that the store can be written, by putting a small file under a name of its own, reading it back
        and deleting it. Nothing is left behind, so this is not a change. An mserv is sent something that it refuses
        before it stores anything, since it would start its process anew for a bundle.
    type: str
    choices: [present, probed]
    default: present
  store:
    required: true
  name:
    description:
      - The bundle's name in the store. Required for O(state=present).
      - With O(store.kind=mserv) the store gives the bundle a name of its own, see RV(name). If this is such a name
        already, what is published has to be the very bundle that has it.
    type: str
  src:
    description: The bundle's file. Required for O(state=present).
    type: path
"""

EXAMPLES = r"""
- name: Prove that bundles can be uploaded, before anything else is done
  tyk.upgrade.bundle_publish:
    state: probed
    store:
      kind: http
      url: http://bundles.example.com/bundles/

- name: Publish a bundle
  tyk.upgrade.bundle_publish:
    store:
      kind: http
      url: http://bundles.example.com/bundles/
      username: uploader
      password: "{{ bundle_store_password }}"
    name: header-t0123456789ab.zip
    src: build/header-t0123456789ab.zip

- name: Publish a bundle in a bucket
  tyk.upgrade.bundle_publish:
    store:
      kind: s3
      bucket: plugins
      prefix: bundles
      region: eu-central-1
      url: https://plugins.s3.eu-central-1.amazonaws.com/bundles/
    name: header-t0123456789ab.zip
    src: build/header-t0123456789ab.zip

- name: Publish a bundle on Tyk Cloud, and learn the name that API definitions have to give
  tyk.upgrade.bundle_publish:
    store:
      kind: mserv
      url: https://example.cloud-ara.tyk.io/mserv
      api_key: "{{ mserv_api_key }}"
    name: header-t0123456789ab.zip
    src: build/header-t0123456789ab.zip
  register: published
"""

RETURN = r"""
name:
  description:
    - The name that API definitions have to give. That is O(name), except for mserv, which chooses it when the bundle is
      uploaded; it is None in check mode then.
  returned: when O(state=present)
  type: str
  sample: header-t0123456789ab.zip
url:
  description:
    - The bundle's address (with O(state=probed), the store's), without credentials. None as long as RV(name) is.
  returned: always
  type: str
  sample: http://bundles.example.com/bundles/header-t0123456789ab.zip
sha256:
  description: SHA-256 of the bundle. None when O(src) does not exist yet in check mode.
  returned: when O(state=present)
  type: str
size:
  description: Its size in bytes. None when O(src) does not exist yet in check mode.
  returned: when O(state=present)
  type: int
writable:
  description: Whether the store can be written. None when only writing could tell.
  returned: when O(state=probed)
  type: bool
seconds:
  description: How long it took, reading back included.
  returned: success
  type: float
findings:
  description: What is wrong.
  returned: always
  type: list
  elements: dict
"""

import os
import time
from typing import Any, Dict, List, Optional

from ansible.module_utils.basic import AnsibleModule

from ansible_collections.tyk.upgrade.plugins.module_utils._bundle_store_module import store_arguments, store_of
from ansible_collections.tyk.upgrade.plugins.module_utils._clients.bundle_archive import digest_of_path
from ansible_collections.tyk.upgrade.plugins.module_utils._clients.bundle_store import BundleStore
from ansible_collections.tyk.upgrade.plugins.module_utils._clients.errors import ClientError
from ansible_collections.tyk.upgrade.plugins.module_utils._clients.local_disk import other_than_file
from ansible_collections.tyk.upgrade.plugins.module_utils._domain.findings import Finding, to_dicts, warning
from ansible_collections.tyk.upgrade.plugins.module_utils._http_module import fail, http_arguments
from ansible_collections.tyk.upgrade.plugins.module_utils._module import Module


def argument_spec() -> Dict[str, Any]:
    return {
        **http_arguments(60.0),
        "state": {"type": "str", "choices": ["present", "probed"], "default": "present"},
        "store": {**store_arguments(), "required": True},
        "name": {"type": "str"},
        "src": {"type": "path"},
    }


def leftover(store: BundleStore, name: Optional[str]) -> List[Finding]:
    if name is None:
        return []
    return [
        warning(
            "store-read-only",
            store.name,
            f"The bundle store {store.name} takes uploads but does not delete: the small file {name} stays in it.",
            "Delete it by hand, or allow deleting (nginx: dav_methods PUT DELETE; S3: s3:DeleteObject).",
        )
    ]


def probe(module: AnsibleModule, store: BundleStore) -> Dict[str, Any]:
    seen = store.look() if module.check_mode else store.probe()
    return {
        "changed": False,
        "url": store.name,
        "writable": True if seen.known else None,
        "findings": to_dicts(leftover(store, seen.leftover)),
    }


def publish(module: AnsibleModule, store: BundleStore) -> Dict[str, Any]:
    name, src = module.params["name"], module.params["src"]
    store.check_new_name(name)
    expected = None if store.assigns_names else name
    if other_than_file(src):
        module.fail_json(
            msg=f"The bundle {src} is {other_than_file(src)} and no file. Give the path of a zip.",
            url=store.name,
            findings=[],
        )
    if not os.path.isfile(src):
        if not module.check_mode:
            module.fail_json(
                msg=f"There is no bundle {src} to publish. Build it first, or correct src.", url=store.name, findings=[]
            )
        there = store.fetch(name) is not None
        result = {"changed": not there, "name": name if there else expected, "sha256": None, "size": None}
    elif module.check_mode:
        sha256, size = digest_of_path(src)
        held = store.held(name, src)
        result = {"changed": held is None, "name": held or expected, "sha256": sha256, "size": size}
    else:
        done = store.publish(name, src)
        result = {"changed": done.changed, "name": done.name, "sha256": done.sha256, "size": done.size}
    result["url"] = store.address(str(result["name"])) if result["name"] else None
    after = {"name": name, "sha256": result["sha256"]}
    before = {} if result["changed"] else after
    return {**result, "findings": [], "diff": {"before": before, "after": after}}


def main() -> None:
    module = Module(
        argument_spec=argument_spec(),
        required_if=[("state", "present", ("name", "src"))],
        supports_check_mode=True,
    )
    started = time.monotonic()
    act = probe if module.params["state"] == "probed" else publish
    place = ""
    try:
        store = store_of(module)
        place = store.name
        result = act(module, store)
    except ClientError as problem:
        fail(module, problem, url=place)
    except OSError as problem:
        module.fail_json(
            msg=f"The bundle {module.params['src']} could not be read: {problem.strerror}. "
            "Give a file that this user may read.",
            url=place,
            findings=[],
        )
    module.exit_json(seconds=round(time.monotonic() - started, 3), **result)


if __name__ == "__main__":
    main()
