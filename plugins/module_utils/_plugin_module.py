# Copyright (c) 2026 tyk.upgrade contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What the modules that look at plugins share at their Ansible edge."""

from __future__ import annotations

from typing import Any, Dict, List, Optional, Tuple

from ansible.module_utils.basic import AnsibleModule

from ansible_collections.tyk.upgrade.plugins.module_utils._clients.elf import Inspected, inspect, unfit_for_plugin
from ansible_collections.tyk.upgrade.plugins.module_utils._clients.errors import url_secrets
from ansible_collections.tyk.upgrade.plugins.module_utils._domain.build_info import SIGNATURES
from ansible_collections.tyk.upgrade.plugins.module_utils._domain.findings import Finding, error
from ansible_collections.tyk.upgrade.plugins.module_utils._domain.plugin_builds import SECRET


def hooks_argument() -> Dict[str, Any]:
    """The option hooks of a plugin's file: the hooks that name its functions."""
    return {
        "type": "list",
        "elements": "dict",
        "default": [],
        "options": {
            "symbol": {"type": "str", "required": True},
            "kind": {"type": "str", "required": True, "choices": list(SIGNATURES)},
        },
    }


def read_plugin(path: str, name: str) -> Tuple[Optional[Inspected], List[Finding]]:
    """A plugin, or what is wrong with the file."""
    remedy = "Give a plugin that the plugin compiler has built for the gateway's version."
    try:
        inspected = inspect(path, name)
        unfit = unfit_for_plugin(inspected)
        if not unfit:
            return inspected, []
    except OSError as problem:
        unfit = f"it cannot be read ({problem.strerror or problem})"
        remedy = "Check the path, and that the user who runs the module may read it."
    except ValueError as problem:
        unfit = str(problem)
    return None, [error("plugin-unreadable", name, f"{name} cannot be used as a Go plugin: {unfit}.", remedy)]


def environment_of(module: AnsibleModule) -> Dict[str, str]:
    """The option env, which Ansible lets be of any types."""
    return {str(name): str(value) for name, value in module.params["env"].items()}


def hide_environment(module: AnsibleModule) -> None:
    """Keep out of all output what is secret in the compiler's settings, whatever becomes of the run."""
    environment = environment_of(module)
    for setting in (module.params.get("goproxy") or "", *environment.values()):
        module.no_log_values.update(*(url_secrets(one) for one in setting.split(",")))
    module.no_log_values.update(value for name, value in environment.items() if SECRET.search(name) and len(value) > 3)
