# Copyright (c) 2026 tyk.upgrade contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""One run at a time works on a thing of this host, also when the controller of the other was killed."""

from __future__ import annotations

import contextlib
import fcntl
import hashlib
import os
import tempfile
import time
from typing import Iterator

from ansible_collections.tyk.upgrade.plugins.module_utils._domain.findings import DomainError, error


@contextlib.contextmanager
def host_lock(subject: str, wait: float = 30.0) -> Iterator[None]:
    """Keep other runs of this user on this host away from `subject`, for at most `wait` seconds of waiting.

    The lock belongs to the process and vanishes with it, so there is nothing to clean up by hand. Raises DomainError
    (lease-held).
    """
    folder = "/run/lock" if os.access("/run/lock", os.W_OK) else tempfile.gettempdir()
    digest = hashlib.sha256(subject.encode()).hexdigest()[:16]
    path = os.path.join(folder, f"tyk-upgrade-{os.getuid()}-{digest}.lock")
    descriptor = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC | getattr(os, "O_NOFOLLOW", 0), 0o600)
    try:
        deadline = time.monotonic() + wait
        while True:
            try:
                fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
                break
            except OSError:
                if time.monotonic() >= deadline:
                    raise DomainError(
                        error(
                            "lease-held",
                            subject,
                            f"Another process on this host has been working on {subject} for the last {wait:.0f} s.",
                            "Wait until it is done; a module of a run whose controller was stopped may still be at it.",
                        )
                    ) from None
                time.sleep(0.2)
        yield
    finally:
        os.close(descriptor)
