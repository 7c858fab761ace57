# Copyright (c) 2026 tyk.upgrade contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The edge between package modules and Ansible: shared arguments, and findings turned into one readable failure."""

from __future__ import annotations

from typing import Any, Callable, Dict, List

from ansible.module_utils.basic import AnsibleModule

from ansible_collections.tyk.upgrade.plugins.module_utils._clients.errors import ClientError, host_failure
from ansible_collections.tyk.upgrade.plugins.module_utils._clients.host_commands import Host
from ansible_collections.tyk.upgrade.plugins.module_utils._clients.package_manager import PackageManager
from ansible_collections.tyk.upgrade.plugins.module_utils._clients.package_observation import (
    Subject,
    find_manager,
    root_needed,
)
from ansible_collections.tyk.upgrade.plugins.module_utils._clients.package_replacement import Refused
from ansible_collections.tyk.upgrade.plugins.module_utils._domain.findings import (
    DomainError,
    Finding,
    Severity,
    to_dicts,
)
from ansible_collections.tyk.upgrade.plugins.module_utils._module import Module

PACKAGE_ARGUMENTS: Dict[str, Any] = {
    "name": {"type": "str", "required": True},
    "unit": {"type": "str"},
    "config_file": {"type": "path"},
    "binary": {"type": "path"},
    "file": {"type": "path"},
    "checksum": {"type": "str"},
    "return_file": {"type": "path"},
    "release_hold": {"type": "bool", "default": False},
    "lock_timeout": {"type": "float", "default": 60},
    "middleware_path": {"type": "path"},
    "needed_bytes": {"type": "int", "default": 0},
    "manager": {"type": "str", "default": "auto"},
    "version_arguments": {"type": "list", "elements": "str", "default": ["--version"]},
}


def subject_from(params: Dict[str, Any], version: str) -> Subject:
    """The package that the arguments name."""
    return Subject(
        name=params["name"],
        unit=params["unit"] or params["name"],
        binary=params["binary"] or "",
        config_file=params["config_file"] or "",
        middleware_path=params["middleware_path"] or "",
        version=version,
        file=params["file"] or "",
        checksum=params["checksum"] or "",
        return_file=params["return_file"] or "",
        release_hold=params["release_hold"],
        needed_bytes=params["needed_bytes"],
        lock_timeout=params["lock_timeout"],
        version_arguments=tuple(params["version_arguments"]),
    )


def manager_of(module: AnsibleModule, host: Host) -> PackageManager:
    """The host's package manager. Raises if there is none that can be driven, or no right to do so."""
    problem = root_needed(module.params["name"])
    if problem is not None:
        raise DomainError(problem)
    return find_manager(host, module.params["manager"])


def run_package_module(
    argument_spec: Dict[str, Any], work: Callable[[AnsibleModule, Host], Dict[str, Any]], **options: Any
) -> None:
    """Run a module that works with the host's packages; its result is what `work` returns."""
    module = Module(argument_spec={**PACKAGE_ARGUMENTS, **argument_spec}, supports_check_mode=True, **options)
    try:
        result = work(module, Host())
    except Refused as problem:
        fail_with(module, problem.findings)
    except (ClientError, DomainError) as problem:
        fail_with(module, [problem.finding])
    except OSError as problem:
        fail_with(module, [host_failure(problem)])
    else:
        module.exit_json(**result)


def fail_with(module: AnsibleModule, findings: List[Finding], **result: Any) -> None:
    """Fail with all errors in one message, and with all findings as data."""
    errors = [finding for finding in findings if finding.severity is Severity.ERROR]
    module.fail_json(msg="\n".join(finding.sentence() for finding in errors), findings=to_dicts(findings), **result)
