# Copyright (c) 2026 tyk.upgrade contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""How a service is started, read from what systemctl show prints of it."""

from __future__ import annotations

import os
import subprocess
import time
from pathlib import Path
from typing import Iterator

import pytest

from ansible_collections.tyk.upgrade.plugins.module_utils._clients.unit_trial import Recipe, environment_file

SHOWN = """ExecStart={{ path={program} ; argv[]={program} --conf=/opt/tyk-pump/pump.conf ; ignore_errors=no ; \
start_time=[Mon 2026-11-23 20:19:13 UTC] ; stop_time=[n/a] ; pid={pid} ; code=(null) ; status=0/0 }}
MainPID={pid}
User=tyk
Group=tyk
SupplementaryGroups=adm ssl-cert
WorkingDirectory=/opt/tyk-pump
Environment=A=1 "B=two words"
EnvironmentFiles=/etc/default/tyk-pump (ignore_errors=yes)
EnvironmentFiles=/etc/sysconfig/tyk pump (ignore_errors=no)
"""


def test_a_service_that_does_not_run() -> None:
    recipe = Recipe.from_properties(SHOWN.format(program="/opt/tyk-pump/tyk-pump", pid=0))
    assert recipe == Recipe(
        program="/opt/tyk-pump/tyk-pump",
        arguments=("--conf=/opt/tyk-pump/pump.conf",),
        user="tyk",
        group="tyk",
        more_groups="adm ssl-cert",
        folder="/opt/tyk-pump",
        environment='A=1 "B=two words"',
        environment_files=(("/etc/default/tyk-pump", True), ("/etc/sysconfig/tyk pump", False)),
    )
    assert recipe.options("/run/x.env", 60.4) == [
        "--property=RuntimeMaxSec=60",
        "--property=TimeoutStopSec=5",
        "--property=Restart=no",
        "--property=KillMode=control-group",
        "--property=User=tyk",
        "--property=Group=tyk",
        "--property=SupplementaryGroups=adm ssl-cert",
        "--property=WorkingDirectory=/opt/tyk-pump",
        '--property=Environment=A=1 "B=two words"',
        "--property=EnvironmentFile=-/etc/default/tyk-pump",
        "--property=EnvironmentFile=/etc/sysconfig/tyk pump",
        "--property=EnvironmentFile=/run/x.env",
    ]


@pytest.fixture
def running() -> Iterator[int]:
    with subprocess.Popen(["/bin/sh", "-c", "sleep 60 & wait", "two words", "$x"]) as process:
        while not Path(f"/proc/{process.pid}/cmdline").read_bytes():  # the kernel is not through with starting it
            time.sleep(0.01)
        yield process.pid
        process.kill()


def test_arguments_of_a_service_that_runs_are_those_of_its_process(running: int) -> None:
    recipe = Recipe.from_properties(SHOWN.format(program="/bin/sh", pid=running))
    assert recipe.arguments == ("-c", "sleep 60 & wait", "two words", "$$x")
    other = Recipe.from_properties(SHOWN.format(program="/opt/other", pid=running))
    assert other.arguments == ("--conf=/opt/tyk-pump/pump.conf",)


def test_a_service_that_systemd_does_not_know() -> None:
    assert Recipe.from_properties("MainPID=0\nUser=\n") == Recipe(program="", arguments=())
    assert Recipe.from_properties(f"MainPID={os.getpid()}\n").arguments == ()


def test_an_environment_file_keeps_every_value_as_it_is() -> None:
    assert environment_file({"B": 'a "b" $c `d` \\e', "A": ""}) == b'A=""\nB="a \\"b\\" \\$c \\`d\\` \\\\e"\n'
