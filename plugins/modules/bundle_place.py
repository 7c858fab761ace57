#!/usr/bin/python
# Copyright (c) 2026 tyk.upgrade contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Put a bundle in place on a gateway."""

from __future__ import annotations

DOCUMENTATION = r"""
module: bundle_place
short_description: Put a bundle in place on one gateway, before an API names it
version_added: 0.1.0
author:
  - tyk.upgrade contributors (@tyk-upgrade)
description:
  - A gateway that has a folder for a bundle's name uses it and downloads nothing. So each gateway can hold other builds
    under one name, which is what it takes where no bundle can serve two versions at once (both of them open C(X.so)).
  - The content is downloaded from where the gateway stands, checked, and unpacked into that folder. A bundle that an
    API names already must not be given other content while the gateway runs; that is for the caller to see to.
  - What is made belongs to whom it would belong had the gateway made it. In a container that is the user it runs as, on a
    host the owner of the folder above. Folders that exist keep their owner and mode.
  - For a gateway in a container the module has to run as root on the engine's own host.
attributes:
  check_mode:
    support: full
    details:
      - Nothing is downloaded in check mode. A folder of this name that is whole counts as the bundle.
  diff_mode:
    support: none
    details:
      - The content is compiled plugins.
  idempotent:
    support: full
extends_documentation_fragment:
  - tyk.upgrade.attributes
  - tyk.upgrade.docker
options:
  bundle:
    description:
      - The name by which API definitions call the bundle. The folder's name follows from it.
    type: str
    required: true
  url:
    description:
      - Address of the content, as the gateway uses it. A user and password in it are used and never printed.
    type: str
    required: true
  container:
    description:
      - Name of the gateway's container. It must run.
      - If not set, the gateway is one of the host that runs the module.
    type: str
  middleware_path:
    description:
      - The gateway's middleware folder, in the container if O(container) is set.
    type: path
    default: /opt/tyk-gateway/middleware
  provenance:
    description:
      - What the bundle was made from, as a plan has it. A folder that says the same of itself is not downloaded again.
    type: dict
  links:
    description:
      - Files of the bundle that the gateway has open already under another name, and must not open a second time. Each
        key is a file of this bundle; C(bundle) and C(file) say where the same file lies. It becomes a link to that.
      - Go knows a plugin by its real path, so a running gateway takes the link for what it has loaded.
    type: dict
    default: {}
  state:
    description:
      - V(placed) puts the bundle in place now.
      - V(staged) unpacks it in O(staged_dir) on the host that runs the module and returns RV(files), which
        M(tyk.upgrade.container_upgrade) and M(tyk.upgrade.package_upgrade) put in place while the gateway is stopped.
    type: str
    choices: [placed, staged]
    default: placed
  staged_dir:
    description:
      - Where bundles are unpacked for O(state=staged).
    type: path
    default: /var/lib/tyk-upgrade/staged/bundles
  timeout:
    description:
      - Seconds that the download may take. A gateway's own limit does not count here.
    type: float
    default: 60
  validate_certs:
    description:
      - Whether the certificate of an C(https) address is verified, with the certificates of the host that runs the
        module.
    type: bool
    default: true
seealso:
  - module: tyk.upgrade.gateway_bundle_info
  - module: tyk.upgrade.bundle_fetch_check
"""

EXAMPLES = r"""
- name: Give a gateway 4.0.13 its own builds under the name that its APIs will use
  tyk.upgrade.bundle_place:
    container: tyk-gateway
    bundle: header-t0123456789ab.zip
    url: http://bundles.example.com/header-t0123456789ab-for-4.0.13.zip

- name: Have those of 4.0.16 at hand for the moment it is out of service
  tyk.upgrade.bundle_place:
    bundle: header-t0123456789ab.zip
    url: http://bundles.example.com/header-t0123456789ab.zip
    state: staged
  register: staged
"""

RETURN = r"""
folder:
  description: The bundle's folder on the gateway.
  returned: success
  type: str
files:
  description: The unpacked files on the host that runs the module, and the place each of them has on the gateway.
  returned: when O(state=staged), empty in check mode
  type: list
  elements: dict
  contains: &file
    src:
      description: The file.
      type: str
    dest:
      description: Its place on the gateway.
      type: str
    mode:
      description: Its permissions.
      type: str
before:
  description:
    - Copies, on the host that runs the module, of what lies in that folder of the gateway's container until these files
      take its place. A link is copied as the file of another bundle that it leads to; one that leads out of the folder of
      the bundles, or nowhere, is refused.
  returned: when O(state=staged), empty in check mode, without O(container) and where nothing else lies there
  type: list
  elements: dict
  contains: *file
findings:
  description: What is wrong.
  returned: always
  type: list
  elements: dict
"""

import os
import socket
import tempfile
from contextlib import contextmanager
from typing import Any, Dict, Iterator, Mapping, Optional

from ansible.module_utils.basic import AnsibleModule

from ansible_collections.tyk.upgrade.plugins.module_utils._clients.bundle_placement import (
    Content,
    copy_from_gateway,
    folder_of,
    links_for,
    placed_files,
    put_in_container,
    put_on_host,
    same,
    whole,
)
from ansible_collections.tyk.upgrade.plugins.module_utils._clients.docker_engine import (
    Engine,
    configured_environment,
)
from ansible_collections.tyk.upgrade.plugins.module_utils._clients.errors import mask_url, url_secrets
from ansible_collections.tyk.upgrade.plugins.module_utils._clients.gateway_bundles import (
    ContainerFiles,
    Files,
    HostFiles,
    process_of,
)
from ansible_collections.tyk.upgrade.plugins.module_utils._clients.host_lock import host_lock
from ansible_collections.tyk.upgrade.plugins.module_utils._clients.http import page_instead
from ansible_collections.tyk.upgrade.plugins.module_utils._clients.netns import (
    fetch_as,
    fetch_from,
    path_of,
    tls_context,
)
from ansible_collections.tyk.upgrade.plugins.module_utils._domain.bundles import bundle_directory
from ansible_collections.tyk.upgrade.plugins.module_utils._domain.findings import DomainError, error
from ansible_collections.tyk.upgrade.plugins.module_utils._engine_module import hide_proxies, run_engine_module


@contextmanager
def downloaded(
    params: Dict[str, Any], pid: Optional[int], place: str, environment: Mapping[str, str]
) -> Iterator[Content]:
    """The bundle, as it was downloaded from the network of this process. Raises DomainError."""
    url = mask_url(params["url"])
    with tempfile.TemporaryFile() as body:
        given, timeout, validate = params["url"], params["timeout"], params["validate_certs"]
        if pid is None:
            fetch = fetch_as(None, given, timeout, tls_context(given, validate), body)
        else:
            fetch = fetch_from(pid, environment, given, timeout, validate, body)
        if fetch.kind:
            raise DomainError(
                error(
                    "bundle-missing",
                    f"{place}: {url}",
                    f"From the network of {place}, {url} cannot be downloaded: {fetch.problem or fetch.kind}.",
                    "Check the address as the gateway sees it (bundle_base_url), and run this as root.",
                )
            )
        page = page_instead(fetch.content_type, fetch.head, f"From the network of {place}", url)
        if page:
            raise DomainError(
                error(
                    "bundle-invalid",
                    f"{place}: {url}",
                    page,
                    "Check that the gateway's bundle_base_url is the store published to, without a login between.",
                )
            )
        yield Content.of(path_of(body), url)


def staged(
    params: Dict[str, Any],
    pid: Optional[int],
    place: str,
    environment: Mapping[str, str],
    check_mode: bool,
    on_gateway: Optional[Files] = None,
) -> Dict[str, Any]:
    folder = folder_of(params["middleware_path"], params["bundle"])
    here = os.path.join(params["staged_dir"], bundle_directory(params["bundle"]))
    with host_lock(f"the staged bundle {here}"):
        missing = not whole(HostFiles(), here, params["provenance"])
        if missing and not check_mode:
            with downloaded(params, pid, place, environment) as content:
                put_on_host(content, here)
        before = f"{here}-before-{place}"
        if on_gateway is not None and not check_mode and not whole(on_gateway, folder, params["provenance"]):
            copy_from_gateway(on_gateway, folder, before)
    files = placed_files(here, folder) if os.path.isdir(here) else []
    kept = placed_files(before, folder) if on_gateway is not None and os.path.isdir(before) else []
    return {"changed": missing, "folder": folder, "files": files, "before": kept, "findings": []}


def hide(module: AnsibleModule) -> None:
    """Keep what the address holds out of what is printed."""
    module.no_log_values.update(url_secrets(module.params["url"]))


def place_in_container(module: AnsibleModule, engine: Engine) -> Dict[str, Any]:
    params, name = module.params, module.params["container"]
    pid = process_of(engine, name)
    environment = configured_environment(engine.container(name).get("Config") or {})
    hide_proxies(module, environment)
    if params["state"] == "staged":
        return staged(params, pid, name, environment, module.check_mode, ContainerFiles(engine, name))
    folder, files = folder_of(params["middleware_path"], params["bundle"]), ContainerFiles(engine, name)
    changed = not whole(files, folder, params["provenance"])
    if changed and not module.check_mode:
        with downloaded(params, pid, name, environment) as content:
            changed = not same(files, folder, content)
            if changed:
                links = links_for(files, content, params["middleware_path"], params["links"])
                put_in_container(engine, name, content, folder, links)
    return {"changed": changed, "folder": folder, "findings": []}


def place_on_host(module: AnsibleModule) -> Dict[str, Any]:
    params, place = module.params, socket.gethostname()
    if params["state"] == "staged":
        return staged(params, None, place, {}, module.check_mode)
    folder = folder_of(params["middleware_path"], params["bundle"])
    changed = not whole(HostFiles(), folder, params["provenance"])
    if changed and not module.check_mode:
        with host_lock(f"the bundle {folder}"), downloaded(params, None, place, {}) as content:
            changed = not same(HostFiles(), folder, content)
            if changed:
                links = links_for(HostFiles(), content, params["middleware_path"], params["links"])
                put_on_host(content, folder, links)
    return {"changed": changed, "folder": folder, "findings": []}


def main() -> None:
    run_engine_module(
        {
            "bundle": {"type": "str", "required": True},
            "url": {"type": "str", "required": True},
            "container": {"type": "str"},
            "middleware_path": {"type": "path", "default": "/opt/tyk-gateway/middleware"},
            "provenance": {"type": "dict"},
            "links": {"type": "dict", "default": {}},
            "state": {"type": "str", "choices": ["placed", "staged"], "default": "placed"},
            "staged_dir": {"type": "path", "default": "/var/lib/tyk-upgrade/staged/bundles"},
            "timeout": {"type": "float", "default": 60},
            "validate_certs": {"type": "bool", "default": True},
        },
        place_in_container,
        on_host=place_on_host,
        first=hide,
    )


if __name__ == "__main__":
    main()
