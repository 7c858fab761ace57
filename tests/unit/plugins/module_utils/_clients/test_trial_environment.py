# Copyright (c) 2026 tyk.upgrade contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The environment of a trial: texts, and a port that nothing listens on."""

from __future__ import annotations

import socket

from ansible_collections.tyk.upgrade.plugins.module_utils._clients.trials import trial_environment


def test_a_free_port_is_put_in_for_its_placeholder() -> None:
    env = trial_environment({"PORT": "{free_port}", "URL": "http://h:{free_port}/", "DB": 15})
    assert env["DB"] == "15" and 1024 < int(env["PORT"]) < 65536
    assert env["URL"].startswith("http://h:") and "{" not in env["URL"]
    with socket.socket() as probe:
        probe.bind(("", int(env["PORT"])))
