# Copyright (c) 2026 tyk.upgrade contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What a service is seen to do with its bundles, and a new program tried in its place, on a real systemd."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterator
from typing import Any

import pytest
from engine import tar_of, wait_for
from hosts import BINARY, UNIT, Host, codes
from settings import FROM_VERSION, TO_VERSION

PLUGIN = "Header_v5.3.0_linux_amd64.so"
# Prints what it is given, loads what it is told to, and leaves a child behind if nobody ends it.
PROGRAM = """#!/usr/bin/python3
import ctypes, os, subprocess, sys, time
keys = ("PLAIN", "QUOTED", "FROM_FILE", "OVERRIDDEN")
values = [os.environ.get(key) for key in keys]
print("%s as %d in %s got %s, %s" % (sys.argv[0], os.getuid(), os.getcwd(), sys.argv[1:], values))
for path in os.environ.get("LOAD", "").split():
    ctypes.CDLL(path)
print(os.environ.get("SAY", ""), flush=True)
if os.environ.get("END"):
    sys.exit(3)
subprocess.Popen(["sleep", "4321"])
time.sleep(4320)
"""
SERVICE = """[Service]
ExecStart=/opt/evidence/program --conf "two words" $$dollar
User=ops
WorkingDirectory=/opt/evidence
Environment=PLAIN=plain "QUOTED=two words"
Environment=OVERRIDDEN=unit
EnvironmentFile=-/etc/evidence.none
EnvironmentFile=/etc/evidence.env
Restart=always
RestartSec=100ms
TimeoutStopSec=5
"""


@pytest.fixture
def evidence(host: Host) -> Iterator[Host]:
    """A host with a service of the test's own, and another program of the same name beside it."""
    files: dict[str, Any] = {
        "opt/evidence/program": PROGRAM.encode(),
        "opt/evidence/next/program": PROGRAM.encode(),
        "etc/evidence.env": b"FROM_FILE=file\nOVERRIDDEN=file\nSAY=the old one works\n",
        "etc/systemd/system/evidence.service": SERVICE.encode(),
    }
    modes = {"opt/evidence/program": 0o755, "opt/evidence/next/program": 0o755, "etc/evidence.env": 0o600}
    host.container.put_archive("/", tar_of(files, modes))
    # Starts of the tests before count against the limit of starts in a short time, beyond which systemd starts no more.
    host.sh("systemctl daemon-reload; systemctl reset-failed evidence", check=False)
    host.sh("systemctl start evidence")
    this_start = "journalctl -q -o cat _SYSTEMD_INVOCATION_ID=$(systemctl show -p InvocationID --value evidence)"
    wait_for("the service", lambda: "works" in host.sh(this_start)[1], timeout=10)
    yield host
    host.sh("systemctl stop evidence; rm -rf /opt/evidence /opt/link /etc/evidence.env")
    host.sh("rm /etc/systemd/system/evidence.service; systemctl daemon-reload; systemctl reset-failed")


def attempt(host: Host, success: str = "works", **more: Any) -> dict[str, Any]:
    """Try the other program, and see that nothing of the trial is left and nothing happened to the service."""
    pid = host.sh("systemctl show -p MainPID --value evidence")[1]
    usual = {"binary": "/opt/evidence/next/program", "failure": ["broken"], "timeout": 5}
    result = host.module("package_trial", unit="evidence", success=[success], **{**usual, **more})
    assert result.get("changed", False) is False
    assert host.sh("systemctl show -p MainPID --value evidence")[1] == pid
    assert host.sh("systemctl list-units --all --no-legend 'tyk-upgrade*'; ls /run | grep tyk-upgrade; true")[1] == ""
    assert host.sh("pgrep -c -f 'sleep [4]321'")[1].strip() == "1"  # the service's own
    return result


def test_a_trial_has_all_that_the_service_has_but_its_program(evidence: Host) -> None:
    result = attempt(evidence, "two words", env={"OVERRIDDEN": "trial's \"$own\" `word`", "SAY": "done"})
    assert len(result["lines"]) == 1, result
    uid = evidence.sh("id -u ops")[1].strip()
    start = f"/opt/evidence/next/program as {uid} in /opt/evidence got ['--conf', 'two words', '$dollar'], "
    assert result["lines"][0] == start + repr(["plain", "two words", "file", "trial's \"$own\" `word`"])


def test_a_trial_is_refused_in_its_own_words(evidence: Host) -> None:
    broken = attempt(evidence, env={"SAY": "it works, but the back end is broken"})
    assert broken["failed"] and codes(broken) == ["pump-backend"]
    assert broken["msg"].startswith("A trial of /opt/evidence/next/program as evidence.service says: it works, but")
    silent = attempt(evidence, timeout=1, env={"SAY": "still starting"})
    assert "did not say within 1 s that it works; the last it said is: " in silent["msg"]
    assert "still starting" in silent["msg"]
    ended = attempt(evidence, timeout=30, env={"SAY": "cannot go on", "END": "1"})
    assert "ended before it said that it works" in ended["msg"] and "cannot go on" in ended["msg"]


def test_a_trial_that_cannot_be_made(evidence: Host) -> None:
    missing = attempt(evidence, binary="/nonexistent/program")
    assert codes(missing) == ["setting-invalid"] and "/nonexistent/program" in missing["msg"]
    wrapped = attempt(evidence, binary=BINARY)
    assert codes(wrapped) == ["driver-unsupported"] and "/opt/evidence/program" in wrapped["msg"]
    unknown = evidence.module("package_trial", unit="nothing", binary=BINARY, success=["x"])
    assert codes(unknown) == ["unit-missing"]
    user = evidence.module("package_trial", unit="evidence", binary=BINARY, success=["x"], user="nobody")
    assert codes(user) == ["root-needed"] and "become" in user["msg"]


def test_what_a_killed_run_left_is_ended_by_the_next(evidence: Host) -> None:
    evidence.sh("systemd-run -q --unit=tyk-upgrade-trial-evidence.service sleep 4322")
    assert attempt(evidence, "next", env={"SAY": "done"})["failed"] is False
    assert evidence.sh("pgrep -f 'sleep [4]322'", check=False)[0] == 1


def test_check_mode_starts_nothing(evidence: Host) -> None:
    before = evidence.sh("journalctl -q -o cat | grep -c 'opt/evidence/next' || true")[1]
    result = evidence.module("package_trial", check=True, unit="evidence", binary="/nonexistent", success=["x"])
    assert result["failed"] is False and result["lines"] == []
    assert evidence.sh("journalctl -q -o cat | grep -c 'opt/evidence/next' || true")[1] == before


def test_the_service_itself_is_judged_since_its_last_start(evidence: Host) -> None:
    old = evidence.module("package_trial", unit="evidence", state="observed", success=["old one works"], timeout=5)
    assert old["lines"] == ["the old one works"], old
    evidence.sh("sed -i s/old/new/ /etc/evidence.env; systemctl restart evidence")
    new = evidence.module("package_trial", unit="evidence", state="observed", success=["new one works"], timeout=5)
    assert new["lines"] == ["the new one works"], new
    again = evidence.module("package_trial", unit="evidence", state="observed", success=["old one works"], timeout=0.5)
    assert codes(again) == ["pump-backend"]


def test_a_real_gateway_is_tried(host: Host) -> None:
    staged = host.upgrade(state="staged")["binary"]
    line = f"Tyk API Gateway {TO_VERSION}"
    arguments = {"unit": UNIT, "binary": staged, "success": [line], "timeout": 10}
    result = host.module("package_trial", **arguments, env={"TYK_GW_LISTENPORT": "{free_port}"})
    assert not result["failed"], result["msg"]
    assert line in result["lines"][0]
    assert host.running() == FROM_VERSION


def put_bundle(host: Host, middleware: str, name: str, files: dict[str, Any]) -> str:
    """Put a bundle's folder where a gateway has it; its path."""
    folder = f"{middleware}/bundles/{hashlib.md5(name.encode()).hexdigest()}"
    manifest = {"file_list": sorted(files), "custom_middleware": {"driver": "goplugin"}, "checksum": "abc"}
    content = {**files, "manifest.json": json.dumps(manifest).encode()}
    host.container.put_archive("/", tar_of({f"{folder}/{key}"[1:]: value for key, value in content.items()}))
    return folder


def test_the_bundles_of_a_service(evidence: Host) -> None:
    library = evidence.sh("ls -d /lib/x86_64-linux-gnu/libz.so.1 /usr/lib*/libz.so.1 2>/dev/null | head -1")[1].strip()
    used = put_bundle(evidence, "/opt/evidence/mw", "used.zip", {PLUGIN: b"", "data.json": b"{}"})
    broken = put_bundle(evidence, "/opt/evidence/mw", "broken.zip", {PLUGIN: b"so"})
    evidence.sh(f"cp -L {library} {used}/{PLUGIN}; ln -s evidence /opt/link; chmod 700 /opt/evidence/mw/bundles")
    # As the gateway's own unit has it; a container may not look into what other users' processes have mapped.
    evidence.sh("sed -i s/User=ops/User=root/ /etc/systemd/system/evidence.service; systemctl daemon-reload")
    say = f"Could not load Go-plugin error=plugin already loaded mwPath={broken}/X.so"
    evidence.sh(f"printf 'LOAD={used}/{PLUGIN}\\nSAY=\"{say}\"\\n' >/etc/evidence.env; systemctl restart evidence")
    wait_for("the plugin", lambda: say in evidence.sh("journalctl -q -o cat -u evidence")[1], timeout=10)

    names = ["used.zip", "broken.zip", "none.zip"]
    look = {"unit": "evidence", "middleware_path": "/opt/link/mw"}
    result = evidence.module("gateway_bundle_info", **look, bundles=names)
    assert [one["present"] for one in result["bundles"]] == [True, True, False], result
    assert [one["loaded"] for one in result["bundles"]] == [[PLUGIN], [], None]
    assert result["bundles"][0]["files"][1] == {"name": "data.json", "size": 2}
    assert result["log_errors"] == [say]
    assert result["restarts"] == 0 and result["started_at"]
    assert [(one["code"], one["subject"].split(": ")[1]) for one in result["findings"]] == [
        ("plugin-path-shared", "broken.zip"),
        ("bundle-not-in-use", "none.zip"),
    ]

    # What an earlier start logged counts no more.
    evidence.sh("sed -i /SAY/d /etc/evidence.env; systemctl restart evidence")
    maps = "cat /proc/$(systemctl show -p MainPID --value evidence)/maps"
    wait_for("the plugin", lambda: PLUGIN in evidence.sh(maps)[1], timeout=10)
    again = evidence.module("gateway_bundle_info", **{**look, "middleware_path": "/opt/evidence/mw"}, bundles=names[:1])
    assert (again["log_errors"], again["findings"]) == ([], []), again


def test_a_service_that_systemd_had_to_restart(evidence: Host) -> None:
    pid = evidence.sh("systemctl show -p MainPID --value evidence")[1]
    # Only the main process: in a container systemd may not learn that a cgroup has become empty, and waits for its timeout.
    evidence.sh("systemctl kill --kill-whom=main --signal=KILL evidence")

    def restarted() -> bool:
        now = evidence.sh("systemctl show -p MainPID --value evidence")[1]
        assert now not in ("0\n", pid), evidence.sh("systemctl status evidence", check=False)[1]
        return True

    wait_for("the restart", restarted, timeout=30)
    result = evidence.module("gateway_bundle_info", unit="evidence", bundles=[])
    assert result["restarts"] == 1 and codes(result) == ["crash-loop"], result
    assert "systemd had to restart evidence.service once since it was started" in result["findings"][0]["message"]


def test_a_service_that_cannot_be_looked_at(evidence: Host) -> None:
    evidence.sh("systemctl stop evidence; systemctl reset-failed evidence || true")
    stopped = evidence.module("gateway_bundle_info", unit="evidence", bundles=[])
    assert codes(stopped) == ["gateway-not-ready"] and "does not run (inactive, dead)" in stopped["msg"]
    assert codes(evidence.module("gateway_bundle_info", unit="nothing", bundles=[])) == ["unit-missing"]
    assert codes(evidence.module("gateway_bundle_info", unit="evidence", bundles=[], user="nobody")) == ["root-needed"]
