# Copyright (c) 2026 tyk.upgrade contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What the package modules say before they look at a package; tests/packages runs them on real hosts."""

from __future__ import annotations

import errno
import os

import pytest

from ansible_collections.tyk.upgrade.plugins.modules import package_info, package_upgrade
from ansible_collections.tyk.upgrade.tests.unit.plugins.modules.module_runner import run_failing, run_module

GATEWAY = {"name": "tyk-gateway"}


@pytest.fixture
def root(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(os, "geteuid", lambda: 0)


@pytest.mark.parametrize("check", [False, True])
def test_somebody_who_is_not_root(monkeypatch: pytest.MonkeyPatch, check: bool) -> None:
    monkeypatch.setattr(os, "geteuid", lambda: 65534)
    seen = run_module(package_info, {**GATEWAY, "target_version": "5.8.9"}, check=check)
    assert (seen["failed"], seen["changed"], seen["package"]["found"]) == (False, False, False)
    assert [one["code"] for one in seen["findings"]] == ["root-needed"]
    failed = run_failing(package_upgrade, {**GATEWAY, "version": "5.8.9"}, check=check)
    assert [one["code"] for one in failed["findings"]] == ["root-needed"]
    assert "become: true" in failed["msg"]


@pytest.mark.parametrize(
    ("manager", "reason"),
    [("zypper", "the host has no zypper"), ("yum", "Python 2 only"), ("nothing", "the host has no nothing")],
)
def test_a_package_manager_that_is_not_supported(
    root: None, monkeypatch: pytest.MonkeyPatch, manager: str, reason: str
) -> None:
    monkeypatch.setattr(
        "ansible_collections.tyk.upgrade.plugins.module_utils._clients.package_observation._program", lambda _name: None
    )
    failed = run_failing(package_upgrade, {**GATEWAY, "version": "5.8.9", "manager": manager})
    assert [one["code"] for one in failed["findings"]] == ["package-manager-unsupported"]
    assert reason in failed["msg"]
    seen = run_module(package_info, {**GATEWAY, "manager": manager})
    assert seen["package"]["manager"] == "" and reason in seen["findings"][0]["message"]


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        ({}, "state is present but all of the following are missing: version"),
        ({"version": ""}, "state is present, but version is empty"),
        ({"version": "5.8.9", "file": "/a.deb"}, "file is given without checksum"),
        ({"version": "5.8.9", "backup_files": ["relative"]}, "relative is not an absolute path"),
        ({"version": "5.8.9", "files": [{"src": "/etc/passwd", "dest": "/b", "mode": "rw"}]}, "octal digits"),
        ({"version": "5.8.9", "files": [{"src": "/nowhere/a", "dest": "/b"}]}, "there is no file /nowhere/a"),
        ({"version": "5.8.9", "state": "absent"}, "value of state must be one of"),
    ],
)
def test_settings_that_cannot_work(root: None, arguments: dict, words: str) -> None:
    assert words in run_failing(package_upgrade, {**GATEWAY, **arguments})["msg"]


def test_what_the_host_refuses_is_one_sentence(monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(*_unused: object) -> None:
        raise PermissionError(errno.EACCES, "Permission denied", "/var/lib/tyk-upgrade")

    monkeypatch.setattr(package_upgrade, "upgrade", refuse)
    failed = run_failing(package_upgrade, {**GATEWAY, "version": "5.8.9"})
    assert [one["code"] for one in failed["findings"]] == ["root-needed"]
    assert failed["msg"].startswith("/var/lib/tyk-upgrade on this host cannot be read or written: Permission denied. ")
