#!/usr/bin/python
# Copyright (c) 2026 tyk.upgrade contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

DOCUMENTATION = r"""
module: api_definition_info
short_description: List API definitions of a Tyk Dashboard
version_added: 0.1.0
author:
  - tyk.upgrade contributors (@tyk-upgrade)
description:
  - Lists the API definitions that the token's user may see, classic and OAS, with what decides about their plugins.
  - A user sees only the APIs that they have a right to, so a short list is no proof of completeness.
extends_documentation_fragment:
  - tyk.upgrade.attributes
  - tyk.upgrade.attributes.info_module
  - tyk.upgrade.connection
  - tyk.upgrade.connection.dashboard
options:
  timeout:
    default: 30
  ids:
    description: List only the APIs with these API ids. An id that does not exist is a finding.
    type: list
    elements: str
  kind:
    description: List only APIs of this kind.
    type: str
    choices: [classic, oas]
  bundle:
    description: List only APIs that name this bundle.
    type: str
  include_definitions:
    description:
      - Whether to return the complete definitions too.
      - Definitions can hold secrets; use C(no_log) on the task.
    type: bool
    default: false
"""

EXAMPLES = r"""
- name: List all APIs
  tyk.upgrade.api_definition_info:
    dashboard_url: https://dashboard.example.com
    dashboard_token: "{{ tyk_dashboard_token }}"
  register: tyk_apis

- name: List the classic APIs that use one bundle
  tyk.upgrade.api_definition_info:
    dashboard_url: https://dashboard.example.com
    dashboard_token: "{{ tyk_dashboard_token }}"
    kind: classic
    bundle: header-1.zip
"""

RETURN = r"""
apis:
  description: The APIs, sorted by name and id.
  returned: always
  type: list
  elements: dict
  contains:
    id:
      description: Its API id.
      type: str
      sample: lab-orders
    db_id:
      description: Its id in the Dashboard's database.
      type: str
    name:
      description: Its name.
      type: str
      sample: orders
    kind:
      description: V(classic) or V(oas).
      type: str
      sample: classic
    active:
      description: Whether it is active.
      type: bool
    listen_path:
      description: Its listen path.
      type: str
      sample: /orders/
    bundle:
      description: The bundle that it names, or an empty text.
      type: str
      sample: header-1.zip
    bundle_enabled:
      description: Whether the bundle is used.
      type: bool
    driver:
      description: The plugin driver that its definition names.
      type: str
    auth_plugin:
      description: Whether a plugin authenticates its requests.
      type: bool
    endpoint_plugins:
      description: Go plugins that it loads by path, outside its bundle.
      type: list
      elements: str
    analytics_plugin:
      description:
        - The one of RV(apis[].endpoint_plugins) that works on analytics records, or an empty text. Gateways of every
          version open exactly this path, never a file whose name carries a version.
      type: str
    digest:
      description: SHA-256 of the definition without the fields that the Dashboard changes by itself.
      type: str
definitions:
  description: The complete definitions by API id, each as the Dashboard returns it.
  returned: when O(include_definitions=true)
  type: dict
findings:
  description: What is wrong with the definitions.
  returned: always
  type: list
  elements: dict
"""

from typing import Any, Dict, List, Tuple

from ansible_collections.tyk.upgrade.plugins.module_utils._clients.dashboard import Dashboard, api_id
from ansible_collections.tyk.upgrade.plugins.module_utils._clients.errors import ClientError
from ansible_collections.tyk.upgrade.plugins.module_utils._clients.http import in_parallel
from ansible_collections.tyk.upgrade.plugins.module_utils._domain.api_definitions import Api, from_dashboard_item
from ansible_collections.tyk.upgrade.plugins.module_utils._domain.findings import Finding, error, to_dicts
from ansible_collections.tyk.upgrade.plugins.module_utils._http_module import dashboard, dashboard_arguments, fail
from ansible_collections.tyk.upgrade.plugins.module_utils._module import Module

Listed = List[Tuple[Api, Dict[str, Any]]]


def argument_spec() -> Dict[str, Any]:
    return {
        **dashboard_arguments(),
        "ids": {"type": "list", "elements": "str"},
        "kind": {"type": "str", "choices": ["classic", "oas"]},
        "bundle": {"type": "str"},
        "include_definitions": {"type": "bool", "default": False},
    }


def read(client: Dashboard, params: Dict[str, Any]) -> Tuple[Listed, List[Finding]]:
    items = client.list_items()
    findings: List[Finding] = []
    if params["ids"] is not None:
        known = {api_id(item) for item in items}
        findings = [
            error(
                "dashboard-error",
                identifier,
                f"The Dashboard {client.name} lists no API with the id {identifier}.",
                "Check the id; a user without the right to an API does not see it either.",
            )
            for identifier in params["ids"]
            if identifier not in known
        ]
        items = [item for item in items if api_id(item) in params["ids"]]
    complete = list(in_parallel(client.complete, items, params["workers"]))
    listed = [(from_dashboard_item(item), item) for item in complete]
    if params["kind"]:
        listed = [entry for entry in listed if entry[0].kind == params["kind"]]
    if params["bundle"] is not None:
        listed = [entry for entry in listed if entry[0].bundle == params["bundle"]]
    return sorted(listed, key=lambda entry: (entry[0].name, entry[0].id)), findings


def main() -> None:
    module = Module(argument_spec=argument_spec(), supports_check_mode=True)
    try:
        listed, findings = read(dashboard(module), module.params)
    except ClientError as problem:
        fail(module, problem, apis=[])
    result: Dict[str, Any] = {"apis": [api.to_dict() for api, _item in listed], "findings": to_dicts(findings)}
    if module.params["include_definitions"]:
        result["definitions"] = {api.id: item for api, item in listed}
    module.exit_json(changed=False, **result)


if __name__ == "__main__":
    main()
