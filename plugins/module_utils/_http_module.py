# Copyright (c) 2026 tyk.upgrade contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What the HTTP modules share at their Ansible edge: arguments, libraries, and failures as sentences."""

from __future__ import annotations

from typing import Any, Dict, Iterable, NoReturn, Optional, Sequence, Tuple

from ansible.module_utils.basic import AnsibleModule, env_fallback, missing_required_lib

from ansible_collections.tyk.upgrade.plugins.module_utils._clients import api_definition_writer as writer
from ansible_collections.tyk.upgrade.plugins.module_utils._clients.dashboard import Dashboard
from ansible_collections.tyk.upgrade.plugins.module_utils._clients.errors import (
    ClientError,
    readable,
    url_secrets,
)
from ansible_collections.tyk.upgrade.plugins.module_utils._clients.http import REQUESTS_IMPORT_ERROR, HttpClient
from ansible_collections.tyk.upgrade.plugins.module_utils._domain.findings import Finding, to_dicts


def http_arguments(timeout: float = 5.0) -> Dict[str, Any]:
    """Options of the fragment tyk.upgrade.connection; timeout is the module's default."""
    return {
        "timeout": {"type": "float", "default": timeout},
        "validate_certs": {"type": "bool", "default": True},
        "ca_path": {"type": "path"},
    }


def dashboard_arguments() -> Dict[str, Any]:
    """Options of the fragment tyk.upgrade.connection.dashboard."""
    return {
        **http_arguments(30.0),
        "dashboard_url": {"type": "str", "required": True},
        "dashboard_token": {
            "type": "str",
            "required": True,
            "no_log": True,
            "fallback": (env_fallback, ["TYK_DASHBOARD_TOKEN"]),
        },
        "workers": {"type": "int", "default": 8},
    }


def require(module: AnsibleModule, library: str, problem: Optional[BaseException]) -> None:
    """Fail as Ansible does when a library is not installed."""
    if problem is not None:
        module.fail_json(msg=missing_required_lib(library), exception=str(problem))


def http_client(
    module: AnsibleModule,
    workers: int = 1,
    auth: Optional[Tuple[str, str]] = None,
    reuse: bool = True,
) -> HttpClient:
    """A client with the module's time limit and TLS settings."""
    require(module, "requests", REQUESTS_IMPORT_ERROR)
    if module.params["timeout"] <= 0:
        module.fail_json(msg=f"timeout is {module.params['timeout']} s; give a number of seconds above 0.")
    if workers < 1:
        module.fail_json(msg=f"workers is {workers}; give at least 1.")
    return HttpClient(
        timeout=module.params["timeout"],
        validate_certs=module.params["validate_certs"],
        ca_path=module.params["ca_path"],
        workers=workers,
        auth=auth,
        reuse=reuse,
    )


def dashboard(module: AnsibleModule) -> Dashboard:
    """The Dashboard that the module's options name."""
    hide_url(module, module.params["dashboard_url"])
    workers = module.params["workers"]
    return Dashboard(
        http_client(module, workers),
        module.params["dashboard_url"],
        module.params["dashboard_token"],
        workers,
    )


def hide_url(module: AnsibleModule, *urls: Optional[str]) -> None:
    """Keep passwords and query values of addresses out of everything that the module prints.

    Ends the module for an address that cannot be taken apart.
    """
    for url in urls:
        module.no_log_values.update(url_secrets(url or ""))
    if not all(readable(url or "") for url in urls):
        module.fail_json(
            msg="An address that was given cannot be read. Write what is special in its user and password "
            "percent-encoded (/ as %2F, # as %23, ? as %3F, @ as %40, [ as %5B), and its port as a number.",
            findings=[],
        )


def fail(module: AnsibleModule, problem: ClientError, **result: Any) -> NoReturn:
    """End the module with a client's sentence; further findings may come in the result."""
    findings = [problem.finding.to_dict(), *result.pop("findings", [])]
    module.fail_json(msg=str(problem), findings=findings, **result)
    raise AssertionError("fail_json does not return")


def fail_findings(module: AnsibleModule, msg: str, findings: Iterable[Finding], **result: Any) -> NoReturn:
    """End the module with a sentence and the findings behind it."""
    module.fail_json(msg=msg, findings=to_dicts(findings), **result)
    raise AssertionError("fail_json does not return")


def predicted(steps: Sequence[writer.Step], header: str) -> Dict[str, Any]:
    """The result of API definition modules in check mode."""
    outcomes = {True: writer.PREDICTED, False: writer.UNCHANGED}
    return written(steps, [writer.Result(step, outcomes[step.needed]) for step in steps], header)


def end(
    module: AnsibleModule,
    steps: Sequence[writer.Step],
    results: Sequence[writer.Result],
    header: str,
    backup: Optional[str],
    seconds: float,
) -> None:
    """End an API definition module with what came of each write; a failure names the backup."""
    outcome = {**written(steps, results, header), "backup": backup, "seconds": seconds}
    problems = [result.problem for result in results if result.problem]
    if problems:
        outcome["findings"] += to_dicts(problem.finding for problem in problems)
        module.fail_json(msg=writer.failure_sentence(results, backup), **outcome)
    module.exit_json(**outcome)


def written(steps: Sequence[writer.Step], results: Sequence[writer.Result], header: str) -> Dict[str, Any]:
    """The result of API definition modules."""
    shown = [result.to_dict() for result in results]
    return {
        "changed": any(entry["changed"] for entry in shown),
        "results": shown,
        "diff": writer.shown_diff(steps, header),
        "findings": to_dicts(finding for result in results for finding in result.findings),
    }
