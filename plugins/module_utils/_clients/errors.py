# Copyright (c) 2026 tyk.upgrade contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What a client raises when the outside world says no, and how addresses are printed.

Clients know nothing of Ansible: they raise a ClientError that already is a sentence, and the module turns it into its
failure message.
"""

from __future__ import annotations

from typing import Set
from urllib.parse import parse_qsl, unquote, urlsplit, urlunsplit

from ansible_collections.tyk.upgrade.plugins.module_utils._domain.findings import Finding, error


class ClientError(Exception):
    """Something outside went wrong. `sentence` says what was done, to what, and what came back; `remedy` what to do."""

    def __init__(self, code: str, subject: str, sentence: str, remedy: str = "", source: str = "") -> None:
        self.finding: Finding = error(code, subject, sentence, remedy, source)
        super().__init__(self.finding.sentence())

    @property
    def sentence(self) -> str:
        """What happened, without the remedy."""
        return self.finding.message

    @property
    def remedy(self) -> str:
        """What to do next."""
        return self.finding.remedy

    @property
    def code(self) -> str:
        """The finding's code."""
        return self.finding.code


def mask_url(url: str) -> str:
    """The address without user, password, query and fragment, fit to be printed."""
    try:
        parts = urlsplit(url)
        host = parts.hostname or ""
        port = parts.port
    except ValueError:
        return "(an address that cannot be read)"
    if ":" in host:
        host = f"[{host}]"
    location = f"{host}:{port}" if port is not None else host
    return urlunsplit((parts.scheme, location, parts.path, "", ""))


def url_secrets(url: str) -> Set[str]:
    """The parts of an address that must not be printed: its password and the values of its query."""
    try:
        parts = urlsplit(url)
        password = parts.password or ""
    except ValueError:
        return set()
    found = {password, unquote(password), *(value for _name, value in parse_qsl(parts.query))}
    return {secret for secret in found if len(secret) > 2}
