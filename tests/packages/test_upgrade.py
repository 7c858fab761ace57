# Copyright (c) 2026 tyk.upgrade contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Upgrade, way back and repair on real hosts: whatever happens, one start and a version that runs."""

from __future__ import annotations

import json

import pytest
from hosts import CONF, SECRET, UNIT, Host, codes
from settings import FROM_VERSION, TO_VERSION


def test_there_and_back(host: Host) -> None:
    before, starts, pid = host.look(), host.starts(), host.pid()

    staged = host.upgrade(state="staged")
    assert staged["changed"] and [one.split()[0] for one in staged["actions"]] == ["downloaded", "kept"]
    assert host.upgrade(state="staged")["changed"] is False
    assert host.pid() == pid
    assert TO_VERSION in host.sh(f"{staged['binary']} --version")[1]

    predicted = host.upgrade(check=True)
    assert (host.pid(), host.starts()) == (pid, starts)
    done = host.upgrade()
    assert done["failed"] is False, done
    assert (predicted["changed"], predicted["actions"], predicted["diff"]) == (True, done["actions"], done["diff"])
    assert done["from"] == {"version": FROM_VERSION, "package_version": host.old}
    assert done["to"] == {"version": TO_VERSION, "package_version": host.new}
    assert (host.version(), host.running()) == (host.new, TO_VERSION)
    assert done["restarts"] == host.starts() - starts == 1
    assert 0 < done["seconds"] < 30

    conf = host.sh(f"cat {CONF}")[1]
    assert SECRET in conf, "the user's configuration is kept"
    (change,) = done["config_changes"]
    assert change["kept"] and change["path"] == CONF
    assert '+    "check_duration": 10000000000' in change["diff"]
    assert "default-secret" not in json.dumps(done)
    assert host.sh(f"systemctl is-enabled {UNIT}")[1].strip() == "enabled"

    starts = host.starts()
    again = host.upgrade()
    assert (again["changed"], again["actions"], again["restarts"]) == (False, [], 0)
    assert host.starts() == starts

    back = host.upgrade(state="returned", evidence_dir="/root/evidence")
    assert (host.version(), host.running()) == (host.old, FROM_VERSION)
    assert back["restarts"] == host.starts() - starts == 1
    evidence = host.sh(f"cat {back['evidence']}/*; stat -c %a {back['evidence']} {back['evidence']}/journal.log")[1]
    assert "Started" in evidence and SECRET not in evidence and evidence.endswith("700\n600\n")
    assert host.upgrade(state="returned")["changed"] is False
    assert host.upgrade(state="cleaned")["changed"] is True
    assert host.upgrade(state="cleaned")["changed"] is False
    host.sh("rm -r /var/lib/tyk-upgrade /root/evidence")
    assert host.look() == before, "everything is as it was"


def test_the_repository_is_not_needed_once_staged(host: Host) -> None:
    host.upgrade(state="staged")
    host.repository("nowhere")
    result = host.upgrade()
    assert result["failed"] is False, result
    assert host.running() == TO_VERSION
    assert host.upgrade(state="returned")["failed"] is False
    assert host.running() == FROM_VERSION


def test_a_repository_on_the_hosts_own_disk(host: Host) -> None:
    host.copy_repository("stable")
    host.repository("stable", "file:///srv/packages")
    assert [one.split()[0] for one in host.upgrade(state="staged")["actions"]] == ["downloaded", "kept"]
    host.sh("rm -r /srv/packages")
    assert host.upgrade()["failed"] is False
    assert host.upgrade(state="returned")["failed"] is False
    assert host.running() == FROM_VERSION


@pytest.mark.parametrize("inside", [False, True], ids=["before", "during"])
def test_killed_at_each_step_and_repaired(host: Host, inside: bool) -> None:
    host.upgrade(state="staged")
    at, repaired = 0, 0
    while True:
        at += 1
        if not host.upgrade_killed(at, inside):
            break
        if inside:
            host.settled()
        interrupted = host.interrupted()
        down = not host.running()
        if at % 2:
            result = host.upgrade(state="repaired")
            assert result["failed"] is False and result["changed"] is (interrupted and down), (at, result)
            assert not down or host.running() == FROM_VERSION, (at, result)
            repaired += result["changed"]
            interrupted = host.interrupted()
        state = "returned" if at % 3 else "present"
        predicted = host.upgrade(state=state, check=True) if at % 4 == 0 else None
        result = host.upgrade(state=state)
        assert result["failed"] is False, (at, result)
        assert interrupted == any("repaired" in action for action in result["actions"]), (at, result)
        assert predicted is None or predicted["actions"] == result["actions"], (at, predicted, result)
        repaired += interrupted
        wanted = TO_VERSION if state == "present" else FROM_VERSION
        assert (host.running(), host.whole()) == (wanted, True), (at, result)
        assert host.sh("find /run/systemd/system -name 'zz-tyk*'")[1] == ""
        assert SECRET in host.sh(f"cat {CONF}")[1]
        if state == "present":
            assert host.upgrade(state="returned")["failed"] is False
            assert host.running() == FROM_VERSION
    assert at > 5 and repaired > 3
    assert host.running() == TO_VERSION


def test_a_new_version_that_does_not_stay_up(host: Host) -> None:
    before = host.look()
    host.repository("crashing")
    result = host.upgrade(settle=6, evidence_dir="/root/evidence")
    assert result["failed"] and codes(result) == ["crash-loop"] or codes(result) == ["unit-failed"], result
    assert f"{UNIT} {host.old} is installed and runs again." in result["msg"]
    assert "The evidence is in /root/evidence/" in result["msg"]
    assert (host.version(), host.running()) == (host.old, FROM_VERSION)
    host.repository("stable")
    host.sh("rm -r /var/lib/tyk-upgrade /root/evidence")
    assert host.look() == before


@pytest.mark.xdist_group("deb")
def test_a_package_whose_script_fails(hosts: dict[str, Host]) -> None:
    host = hosts["deb"].ready()
    host.repository("failing")
    result = host.upgrade()
    assert result["failed"] and codes(result) == ["package-failed"], result
    assert "this package's script fails on purpose" in result["msg"]
    assert (host.version(), host.running()) == (host.old, FROM_VERSION)
    assert host.info()["package"]["half_configured"] is False


def test_a_hold_is_respected_lifted_and_put_back(host: Host) -> None:
    if host.kind == "deb":
        host.sh(f"apt-mark hold {UNIT}")
    else:
        host.sh(f"mkdir -p /etc/dnf/plugins; echo '{UNIT}-0:{host.old}.*' >>/etc/dnf/plugins/versionlock.list")
    starts = host.starts()
    assert host.upgrade(state="staged")["failed"] is False, "a download is no change of what is held"
    refused = host.upgrade()
    assert codes(refused) == ["package-held"] and host.starts() == starts
    result = host.upgrade(release_hold=True)
    assert result["failed"] is False, result
    assert host.running() == TO_VERSION and host.info()["package"]["held"] is True
    if host.kind == "rpm":
        assert f"{UNIT}-0:{host.new}.*" in host.sh("cat /etc/dnf/plugins/versionlock.list")[1]
    assert host.upgrade(release_hold=True)["changed"] is False
    assert host.upgrade(state="returned", release_hold=True)["failed"] is False
    assert host.running() == FROM_VERSION and host.info()["package"]["held"] is True
    if host.kind == "rpm":
        assert f"{UNIT}-0:{host.old}.*" in host.sh("cat /etc/dnf/plugins/versionlock.list")[1]
        host.sh("sed -i /tyk/d /etc/dnf/plugins/versionlock.list")
    else:
        host.sh(f"apt-mark unhold {UNIT}")


@pytest.mark.xdist_group("rpm")
def test_an_exclusion_is_a_hold(hosts: dict[str, Host]) -> None:
    host = hosts["rpm"].ready()
    host.sh(f"printf '[main]\\nexcludepkgs={UNIT}\\n' >/etc/dnf/dnf.conf")
    assert codes(host.info()) == codes(host.upgrade()) == ["package-held"]
    assert host.upgrade(release_hold=True)["failed"] is False
    assert host.running() == TO_VERSION and host.info(release_hold=True)["package"]["holds"] == ["exclude"]
    host.sh("rm /etc/dnf/dnf.conf")


def test_a_service_that_does_not_stop_is_killed(host: Host) -> None:
    drop_in = f"/etc/systemd/system/{UNIT}.service.d"
    host.sh(f"mkdir -p {drop_in}; printf '[Service]\\nKillSignal=SIGCONT\\n' >{drop_in}/deaf.conf; systemctl daemon-reload")
    result = host.upgrade(stop_timeout=2)
    assert result["failed"] is False, result
    assert 2 <= result["seconds"] < 60 and result["restarts"] == 1
    assert host.running() == TO_VERSION
    host.sh(f"rm -r {drop_in}; systemctl daemon-reload")


def test_files_placed_while_it_is_stopped_go_with_the_way_back(host: Host) -> None:
    host.sh("echo new >/root/new; mkdir -p /opt/tyk-gateway/middleware; echo old >/opt/tyk-gateway/middleware/there")
    files = [
        {"src": "/root/new", "dest": "/opt/tyk-gateway/middleware/bundles/a/b", "mode": "0600"},
        {"src": "/root/new", "dest": "/opt/tyk-gateway/middleware/there"},
    ]
    result = host.upgrade(files=files)
    assert result["failed"] is False, result
    place = "cd /opt/tyk-gateway/middleware && cat bundles/a/b there && stat -c %a bundles/a/b"
    assert host.sh(place)[1] == "new\nnew\n600\n"
    host.upgrade(state="returned")
    assert host.sh("cd /opt/tyk-gateway/middleware && cat there && ls")[1] == "old\nthere\n"


def test_a_process_that_still_runs_an_earlier_program_is_restarted(host: Host) -> None:
    host.sh("cd /opt/tyk-gateway && mv tyk /root/earlier && cp -p /root/earlier tyk")
    package = host.info()["package"]
    assert (package["running_installed"], package["binary_changed"]) == (False, False)
    result = host.upgrade(version=FROM_VERSION)
    assert result["changed"] and "restarted" in result["actions"][0], result
    assert host.info()["package"]["running_installed"] is True
    assert host.upgrade(version=FROM_VERSION)["changed"] is False
