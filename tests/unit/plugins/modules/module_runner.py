# Copyright (c) 2026 tyk.upgrade contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Runs a module as Ansible does: arguments in, main() once, and the JSON it prints out.

    from ansible_collections.tyk.upgrade.plugins.modules import upgrade_plan
    from ansible_collections.tyk.upgrade.tests.unit.plugins.modules.module_runner import run_module

    result = run_module(upgrade_plan, {"state": {...}, "wanted": {...}}, check=True)

Works with ansible-core 2.16 and later: 2.19 wants to know, beside the arguments, how they are encoded.
"""

from __future__ import annotations

import contextlib
import importlib
import io
import json
import resource
from types import ModuleType
from typing import Any, Dict, Iterator, Mapping, Optional, Union
from unittest import mock

from ansible.module_utils import basic
from ansible.module_utils.common import warnings as common_warnings

MODULES = "ansible_collections.tyk.upgrade.plugins.modules"


def run_module(
    module: Union[str, ModuleType],
    args: Optional[Mapping[str, Any]] = None,
    check: bool = False,
    diff: bool = False,
    **internal: Any,
) -> Dict[str, Any]:
    """Run the module's main() and return what it printed.

    module: the imported module, or its name (``upgrade_plan``). internal: further values that Ansible hands to every
    module, without their prefix (``verbosity=3``). The result always has ``failed`` and ``changed``, and ``rc_exit``
    with the code that the process would have ended with. A traceback of the module reaches the test as it is.
    """
    if isinstance(module, str):
        module = importlib.import_module(f"{MODULES}.{module}")
    given: Dict[str, Any] = dict(args or {})
    for name, value in {"check_mode": check, "diff": diff, **internal}.items():
        given[f"_ansible_{name}"] = value
    printed = io.StringIO()
    code: Any = None
    with contextlib.ExitStack() as stack:
        encoded = json.dumps({"ANSIBLE_MODULE_ARGS": given}).encode("utf-8")
        stack.enter_context(mock.patch.object(basic, "_ANSIBLE_ARGS", encoded))
        if hasattr(basic, "_ANSIBLE_PROFILE"):
            stack.enter_context(mock.patch.object(basic, "_ANSIBLE_PROFILE", "legacy"))
        stack.enter_context(contextlib.redirect_stdout(printed))
        _forget_warnings()
        try:
            module.main()
        except SystemExit as ended:
            code = ended.code
    lines = [line for line in printed.getvalue().splitlines() if line.strip()]
    if not lines:
        raise AssertionError(f"{module.__name__} ended with {code!r} and printed nothing.")
    result: Dict[str, Any] = json.loads(lines[-1])
    result.setdefault("failed", bool(code))
    result.setdefault("changed", False)
    result["rc_exit"] = int(code or 0)
    return result


def run_failing(
    module: Union[str, ModuleType], args: Optional[Mapping[str, Any]] = None, check: bool = False
) -> Dict[str, Any]:
    """Run a module that must fail, and return what it printed."""
    result = run_module(module, args, check=check)
    assert result["failed"], f"The module was expected to fail, and printed {result}"
    return result


@contextlib.contextmanager
def small_disk(size: int) -> Iterator[None]:
    """No file of this process gets larger than so many bytes, as on a full disk."""
    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (size, before[1]))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, before)


def _forget_warnings() -> None:
    """Warnings live as long as the process; what an earlier test caused is not this one's."""
    for name in ("_global_warnings", "_global_deprecations"):
        kept = getattr(common_warnings, name, None)
        if hasattr(kept, "clear"):
            kept.clear()
