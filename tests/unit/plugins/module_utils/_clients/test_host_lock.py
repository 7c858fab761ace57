# Copyright (c) 2026 tyk.upgrade contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The lock that keeps two runs on one host apart."""

from __future__ import annotations

import os
import subprocess
import sys
import uuid

import pytest

from ansible_collections.tyk.upgrade.plugins.module_utils._clients.host_lock import host_lock
from ansible_collections.tyk.upgrade.plugins.module_utils._domain.findings import DomainError

HOLDER = """
import sys, time
from ansible_collections.tyk.upgrade.plugins.module_utils._clients.host_lock import host_lock
with host_lock(sys.argv[1], wait=0):
    print("held", flush=True)
    time.sleep(60)
"""


def test_one_run_at_a_time() -> None:
    subject = f"the test {uuid.uuid4()}"
    with host_lock(subject):
        with pytest.raises(DomainError, match="has been working on the test") as problem, host_lock(subject, wait=0.1):
            pytest.fail("the lock was given twice")
        assert problem.value.finding.code == "lease-held"
        with host_lock(f"{subject} of another kind", wait=0):
            pass
    with host_lock(subject, wait=0):
        pass


def test_a_killed_run_leaves_no_lock() -> None:
    subject = f"the test {uuid.uuid4()}"
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)}
    holder = subprocess.Popen([sys.executable, "-c", HOLDER, subject], stdout=subprocess.PIPE, env=environment)
    try:
        assert holder.stdout is not None and holder.stdout.readline() == b"held\n"
        with pytest.raises(DomainError), host_lock(subject, wait=0):
            pytest.fail("the lock was given to a second process")
    finally:
        holder.kill()
        holder.wait()
    with host_lock(subject, wait=0):
        pass
