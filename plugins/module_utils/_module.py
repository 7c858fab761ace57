# Copyright (c) 2026 tyk.upgrade contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What every module of this collection is made from."""

from __future__ import annotations

from typing import Any, NoReturn

from ansible.module_utils.basic import AnsibleModule


class Module(AnsibleModule):  # type: ignore[misc]
    """A module that keeps its arguments to itself until it knows which parts of them are secret.

    Ansible writes them to the log of the host while the module is made, and returns them where they are refused: before
    anybody can say what is secret in an address or in an environment.
    """

    def _log_invocation(self) -> None:
        self.log("Invoked")

    def fail_json(self, msg: str, **kwargs: Any) -> NoReturn:
        """End the module. What it was given is returned only where it could be looked at for secrets."""
        checked = getattr(self, "validation_result", None)
        if checked is None or checked.error_messages:
            kwargs["invocation"] = {}
        super().fail_json(msg, **kwargs)
        raise AssertionError("fail_json does not return")
