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
        and deleting it. Nothing is left behind, so this is not a change.
    type: str
    choices: [present, probed]
    default: present
  store:
    description: The bundle store.
    type: dict
    required: true
    suboptions:
      kind:
        description: What kind of store it is. V(http) is any server that takes PUT and answers GET.
        type: str
        choices: [http]
        default: http
      url:
        description:
          - The address of the folder that bundles are in, for uploads.
          - A query is kept and sent with every request, as gateways do with C(bundle_base_url).
        type: str
        required: true
      headers:
        description: Headers sent with every request.
        type: dict
      username:
        description: User for basic authentication.
        type: str
      password:
        description: Password for basic authentication.
        type: str
  name:
    description: The bundle's name in the store. Required for O(state=present).
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
"""

RETURN = r"""
url:
  description: The bundle's address (with O(state=probed), the store's), without credentials.
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

from ansible_collections.tyk.upgrade.plugins.module_utils._clients.bundle_archive import digest_of_path
from ansible_collections.tyk.upgrade.plugins.module_utils._clients.bundle_store import HttpStore
from ansible_collections.tyk.upgrade.plugins.module_utils._clients.errors import ClientError, mask_url
from ansible_collections.tyk.upgrade.plugins.module_utils._clients.http import split_credentials
from ansible_collections.tyk.upgrade.plugins.module_utils._domain.findings import Finding, to_dicts, warning
from ansible_collections.tyk.upgrade.plugins.module_utils._http_module import (
    fail,
    hide_url,
    http_arguments,
    http_client,
)


def argument_spec() -> Dict[str, Any]:
    return {
        **http_arguments(60.0),
        "state": {"type": "str", "choices": ["present", "probed"], "default": "present"},
        "store": {
            "type": "dict",
            "required": True,
            "options": {
                "kind": {"type": "str", "choices": ["http"], "default": "http"},
                "url": {"type": "str", "required": True},
                "headers": {"type": "dict", "no_log": True},
                "username": {"type": "str"},
                "password": {"type": "str", "no_log": True},
            },
        },
        "name": {"type": "str"},
        "src": {"type": "path"},
    }


def store_of(module: AnsibleModule) -> HttpStore:
    given = module.params["store"]
    hide_url(module, given["url"])
    url, auth = split_credentials(given["url"])
    if given["username"] is not None:
        auth = (given["username"], given["password"] or "")
    return HttpStore(http_client(module, auth=auth), url, given["headers"])


def leftover(store: HttpStore, name: Optional[str]) -> List[Finding]:
    if name is None:
        return []
    return [
        warning(
            "store-read-only",
            store.name,
            f"The bundle store {store.name} takes uploads but does not delete: the small file {name} stays in it.",
            "Delete it by hand, or allow DELETE (nginx: dav_methods PUT DELETE).",
        )
    ]


def probe(module: AnsibleModule, store: HttpStore) -> Dict[str, Any]:
    seen = store.look() if module.check_mode else store.probe()
    return {
        "changed": False,
        "url": store.name,
        "writable": True if seen.known else None,
        "findings": to_dicts(leftover(store, seen.leftover)),
    }


def publish(module: AnsibleModule, store: HttpStore) -> Dict[str, Any]:
    name, src = module.params["name"], module.params["src"]
    result: Dict[str, Any] = {"url": mask_url(store.address(name)), "findings": []}
    if not os.path.isfile(src):
        if not module.check_mode:
            module.fail_json(msg=f"There is no bundle {src} to publish. Build it first, or correct src.", **result)
        result.update(changed=store.fetch(name) is None, sha256=None, size=None)
    elif module.check_mode:
        sha256, size = digest_of_path(src)
        result.update(changed=not store.holds(name, sha256), sha256=sha256, size=size)
    else:
        published = store.publish(name, src)
        result.update(changed=published.changed, sha256=published.sha256, size=published.size)
    after = {"url": result["url"], "sha256": result["sha256"]}
    result["diff"] = {"before": {} if result["changed"] else after, "after": after}
    return result


def main() -> None:
    module = AnsibleModule(
        argument_spec=argument_spec(),
        required_if=[("state", "present", ("name", "src"))],
        supports_check_mode=True,
    )
    started = time.monotonic()
    store = store_of(module)
    act = probe if module.params["state"] == "probed" else publish
    try:
        result = act(module, store)
    except ClientError as problem:
        fail(module, problem, url=store.name)
    except OSError as problem:
        module.fail_json(
            msg=f"The bundle {module.params['src']} could not be read: {problem.strerror}. "
            "Give a file that this user may read.",
            url=store.name,
            findings=[],
        )
    module.exit_json(seconds=round(time.monotonic() - started, 3), **result)


if __name__ == "__main__":
    main()
