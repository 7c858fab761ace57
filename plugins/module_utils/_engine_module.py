# Copyright (c) 2026 tyk.upgrade contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The edge between engine modules and Ansible: connect, run, and turn findings into one readable failure."""

from __future__ import annotations

from typing import Any, Callable, Dict, List, Mapping, Optional

from ansible.module_utils.basic import AnsibleModule, missing_required_lib

from ansible_collections.tyk.upgrade.plugins.module_utils._clients.docker_engine import (
    DOCKER_IMPORT_ERROR,
    ENGINE_ARGUMENTS,
    Engine,
)
from ansible_collections.tyk.upgrade.plugins.module_utils._clients.errors import ClientError, host_failure, url_secrets
from ansible_collections.tyk.upgrade.plugins.module_utils._domain.findings import (
    DomainError,
    Finding,
    Severity,
    to_dicts,
)
from ansible_collections.tyk.upgrade.plugins.module_utils._domain.proxies import settings
from ansible_collections.tyk.upgrade.plugins.module_utils._module import Module


def run_engine_module(
    argument_spec: Dict[str, Any],
    work: Callable[[AnsibleModule, Engine], Dict[str, Any]],
    on_host: Optional[Callable[[AnsibleModule], Dict[str, Any]]] = None,
    engine_for: str = "container",
    first: Callable[[AnsibleModule], None] = lambda module: None,
    **options: Any,
) -> None:
    """Run a module whose work needs a Docker engine; its result is what `work` returns.

    `first` is called before anything can fail. Where `on_host` is given and the option `engine_for` is not set, that does
    the work without an engine.
    """
    module = Module(argument_spec={**argument_spec, **ENGINE_ARGUMENTS}, supports_check_mode=True, **options)
    first(module)
    if on_host is not None and not module.params[engine_for]:
        try:
            result = on_host(module)
        except (ClientError, DomainError) as problem:
            fail_with(module, [problem.finding])
        except OSError as problem:
            fail_with(module, [host_failure(problem)])
        else:
            module.exit_json(**result)
    if DOCKER_IMPORT_ERROR is not None:
        module.fail_json(msg=missing_required_lib("docker (the Docker SDK for Python)"), exception=DOCKER_IMPORT_ERROR)
    try:
        engine = Engine(module.params["docker_host"], module.params["engine_timeout"])
        try:
            result = work(module, engine)
        finally:
            engine.api.close()
    except DomainError as problem:
        fail_with(module, [problem.finding])
    except OSError as problem:
        fail_with(module, [host_failure(problem)])
    else:
        module.exit_json(**result)


def hide_proxies(module: AnsibleModule, environment: Mapping[str, str]) -> None:
    """Keep what the proxies of a gateway's environment hold out of what is printed."""
    for proxy in settings(environment).values():
        module.no_log_values.update(url_secrets(proxy if "://" in proxy else f"http://{proxy}"))


def fail_with(module: AnsibleModule, findings: List[Finding], **result: Any) -> None:
    """Fail with all errors in one message, and with all findings as data."""
    errors = [finding for finding in findings if finding.severity is Severity.ERROR]
    module.fail_json(msg="\n".join(finding.sentence() for finding in errors), findings=to_dicts(findings), **result)
