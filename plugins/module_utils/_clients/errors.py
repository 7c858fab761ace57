# Copyright (c) 2026 tyk.upgrade contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What a client raises when the outside world says no, and how addresses are printed.

Clients know nothing of Ansible: they raise a ClientError that already is a sentence, and the module turns it into its
failure message.
"""

from __future__ import annotations

import errno
import re
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


#: An address in a text, and what ends a sentence or a clause behind it.
_ADDRESS = re.compile(r"[A-Za-z][A-Za-z0-9+.-]*://[^\s\"`<>\\]+?(?=[:;,.)\]}']*(?:[\s\"`<>\\]|$))")
_ENDS_HOST = re.compile(r"[/?#@]")
UNREADABLE = "(an address that cannot be read)"


def readable(url: str) -> bool:
    """Whether an address can be taken apart: a password with / or # in it makes something else of its host and port."""
    try:
        parts = urlsplit(url)
        return parts.port is not None or "@" in parts.netloc or not (parts.netloc.endswith(":") and "@" in url)
    except ValueError:
        return False


def host_failure(problem: OSError) -> Finding:
    """What the operating system refused on the host that runs the module, for errors that nobody could foresee."""
    path = next((str(one) for one in (problem.filename2, problem.filename) if isinstance(one, (str, bytes))), "")
    code, remedy = "host-file", "See what lies there, and whether its file system is mounted and can be written to."
    if problem.errno in (errno.EACCES, errno.EPERM):
        code, remedy = "root-needed", "Run the task as a user who may do that, as a rule as root (become: true)."
    elif problem.errno in (errno.ENOSPC, errno.EDQUOT):
        code, remedy = "disk-small", "Make room there."
    said = problem.strerror or str(problem) or type(problem).__name__
    return error(code, path or "host", f"{path or 'A file'} on this host cannot be read or written: {said}.", remedy)


def mask_url(url: str) -> str:
    """The address without user, password, query and fragment, fit to be printed."""
    if not readable(url):
        return UNREADABLE
    parts = urlsplit(url)
    host = parts.hostname or ""
    if ":" in host:
        host = f"[{host}]"
    location = f"{host}:{parts.port}" if parts.port is not None else host
    return urlunsplit((parts.scheme, location, parts.path, "", ""))


def mask_urls(text: str) -> str:
    """A text, such as a line of a log, with each address in it as mask_url leaves it."""
    return _ADDRESS.sub(lambda found: mask_url(found.group(0)), text)


def url_secrets(url: str) -> Set[str]:
    """The parts of an address that must not be printed: its password and the values of its query.

    A password may hold characters that should be percent-encoded and are not, so everything between the first colon and
    the last @ is taken for one, too.
    """
    found = {value for _name, value in parse_qsl(url.partition("?")[2].partition("#")[0])}
    found.update(one.partition("=")[2] for one in url.partition("?")[2].partition("#")[0].split("&"))
    rest = url.partition("://")[2]
    user, colon, password = rest.rpartition("@")[0].partition(":")
    if colon and not _ENDS_HOST.search(user):
        found.update((password, unquote(password)))
        found.update(password[at + 1 :] for at, letter in enumerate(password) if letter == "@")  # taken for host and path
        if not readable(url):
            found.update(_ENDS_HOST.split(password))
    try:
        found.update((urlsplit(url).password or "", unquote(urlsplit(url).password or "")))
    except ValueError:
        pass  # what was found by hand is all there is
    return {secret for secret in found if len(secret) > 2}
