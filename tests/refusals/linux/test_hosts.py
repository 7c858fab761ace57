# Copyright (c) 2026 tyk.upgrade contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Linux hosts that are not fit for an upgrade: each is named with its reason, all in one sitting; nothing has changed.

What is wrong with one host must not hide what is wrong with another, so several are spoilt at once.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

import pytest
from linux import LinuxFleet, config_file, unit
from scenario import Run, Scenario, serving
from settings import FROM_VERSION

HOLD_LOCK = (
    "nohup python3 -c \"import fcntl, time; lock = open('/var/lib/dpkg/lock-frontend', 'w'); "
    'fcntl.lockf(lock, fcntl.LOCK_EX); time.sleep(600)" >/dev/null 2>&1 & '
    "until pgrep -f 'fcntl, [t]ime' >/dev/null; do sleep 0.1; done; sleep 0.3"
)
STATUS = "/var/lib/dpkg/status"
SMALL = "/var/lib/tyk-upgrade"


@dataclass(frozen=True)
class Trouble:
    """What is wrong with a host. spoil and mend: shell commands on it; {unit} and {config} are replaced."""

    code: str
    says: str = ""
    spoil: str = ""
    mend: str = ""
    repository: str = ""
    variables: dict[str, Any] = field(default_factory=dict)


HELD = Trouble("package-held", "hold", "apt-mark hold {unit}", "apt-mark unhold {unit}")
MASKED = Trouble("unit-masked", "masked", "systemctl mask {unit}", "systemctl unmask {unit}")
EDITED = Trouble(
    "unit-edited",
    "/etc/systemd/system/tyk-gateway.service",
    "cp -L /lib/systemd/system/{unit}.service /etc/systemd/system/ && systemctl daemon-reload",
    "rm /etc/systemd/system/{unit}.service && systemctl daemon-reload",
)
SYNTAX = Trouble(
    "config-invalid",
    "syntax error",
    "cp -p {config} {config}.kept && echo '{{' >>{config}",
    "mv {config}.kept {config}",
)
DOWN = Trouble("repository-unreachable", repository="nowhere")
STRANGER = Trouble("repository-untrusted", repository="untrusted")
LOCKED = Trouble("package-lock-held", "python3", HOLD_LOCK, "pkill -f 'fcntl, [t]ime'")
REPLACED = Trouble(
    "binary-changed",
    "/opt/tyk-pump/tyk-pump",
    "cd /opt/tyk-pump && cp -p tyk-pump /root/kept && cp -p tyk-pump new && echo >>new && mv new tyk-pump",
    "mv /root/kept /opt/tyk-pump/tyk-pump",
)
HALF = Trouble(
    "package-half-configured",
    spoil=f"cp -p {STATUS} /root/status && "
    f"sed -i '/^Package: {{unit}}$/,/^$/s/^Status: .*/Status: install ok half-configured/' {STATUS}",
    mend=f"mv /root/status {STATUS}",
)
EDITION = Trouble("edition-mismatch", "tyk-gateway-ee", variables={"gateway_package": "tyk-gateway-ee"})
NOT_ROOT = Trouble("root-needed", "become", variables={"ansible_become": False})
FULL = Trouble(
    "disk-small",
    SMALL,
    # A file system of 64 MB that every container has, and not a byte left on it.
    f"rm -rf {SMALL} && mkdir /dev/shm/state && ln -s /dev/shm/state {SMALL} && ! cat /dev/zero 2>&1 >/dev/shm/fill",
    f"rm -r {SMALL} /dev/shm/state /dev/shm/fill",
)
LOOPING = Trouble(
    "crash-loop",
    "again and again",
    "printf '[Service]\\nRuntimeMaxSec=1\\nRestartSec=1\\n' >/run/loop.conf && "
    "mkdir -p /run/systemd/system/{unit}.service.d && mv /run/loop.conf /run/systemd/system/{unit}.service.d/ && "
    "systemctl daemon-reload && systemctl restart {unit}; sleep 4",
    "rm -r /run/systemd/system/{unit}.service.d; systemctl daemon-reload; systemctl restart {unit}",
)

# gw1, gw3 and the pump are hosts with apt, gw2 is one with dnf.
SITTINGS: dict[str, dict[str, Trouble]] = {
    "held, masked, edited, syntax": {"gw1": HELD, "gw2": MASKED, "gw3": EDITED, "pump": SYNTAX},
    "down, stranger, locked, replaced": {"gw1": DOWN, "gw2": STRANGER, "gw3": LOCKED, "pump": REPLACED},
    "half-configured, edition, not root, full": {"gw1": HALF, "gw2": EDITION, "gw3": NOT_ROOT, "pump": FULL},
    "down and stranger the other way round": {"gw1": STRANGER, "gw2": DOWN},
}


def fleet(scenario: Scenario) -> LinuxFleet:
    found = scenario.lab.fleet("gw1")
    assert isinstance(found, LinuxFleet)
    return found


def variables_of(scenario: Scenario, role: str) -> dict[str, Any]:
    pumps: dict[str, Any] = scenario.inventory["all"]["children"]["tyk_pumps"]["hosts"]
    return pumps["pump1"] if role == "pump" else scenario.gateways[role]


def execute(hosts: LinuxFleet, role: str, command: str) -> None:
    if command:
        container = hosts.lab.client.containers.get(hosts.lab.settings.container(role))
        script = command.format(unit=unit(role), config=config_file(role))
        done = container.exec_run(["sh", "-c", script])
        assert done.exit_code == 0, f"{role}: {script}: {done.output.decode()}"


@pytest.fixture
def spoilt(scenario: Scenario) -> Callable[[dict[str, Trouble]], Run]:
    """Spoil hosts, play, and mend them whatever came of it; what serves must be what served before."""

    def play(troubles: dict[str, Trouble]) -> Run:
        hosts = fleet(scenario)
        done: list[str] = []
        try:
            for role, trouble in troubles.items():
                done.append(role)
                variables_of(scenario, role).update(trouble.variables)
                if trouble.repository:
                    hosts.use_repository(role, trouble.repository)
                    hosts.execute(role, "rm -rf /var/lib/apt/lists/*; dnf -q clean all")
                execute(hosts, role, trouble.spoil)
            before = serving(scenario.lab)
            run = scenario.play()
            assert serving(scenario.lab) == before, run.output[-4000:]
            return run
        finally:
            for role in done:
                execute(hosts, role, troubles[role].mend)
                if troubles[role].repository:
                    hosts.use_repository(role, "stable")
                    hosts.execute(role, "apt-get -q update || dnf -q -y makecache")

    return play


def check_refused(run: Run) -> None:
    assert run.code != 0, run.output[-4000:]
    assert "REFUSED in plan" in run.output, run.output[-6000:]
    assert "Traceback" not in run.output, run.output[-6000:]
    assert "lab-dashboard-token" not in run.output and "lab-gateway-secret" not in run.output


@pytest.mark.parametrize("name", SITTINGS)
def test_every_host_is_refused_with_its_own_reason(
    name: str, scenario: Scenario, spoilt: Callable[[dict[str, Trouble]], Run]
) -> None:
    run = spoilt(SITTINGS[name])
    check_refused(run)
    wanted = {trouble.code for trouble in SITTINGS[name].values()}
    assert wanted <= run.codes(), f"findings {sorted(run.codes())}, not {sorted(wanted)}\n{run.output[-8000:]}"
    for trouble in SITTINGS[name].values():
        assert trouble.says in run.output, f"{trouble.says!r}\n{run.output[-8000:]}"
    assert {fleet(scenario).package_version(role).split("-")[0] for role in scenario.gateways} == {FROM_VERSION}


def test_a_service_that_is_restarted_again_and_again(scenario: Scenario) -> None:
    hosts = fleet(scenario)
    execute(hosts, "gw2", LOOPING.spoil)
    try:
        run = scenario.play()
        check_refused(run)
        assert LOOPING.code in run.codes() and LOOPING.says in run.output, run.output[-8000:]
    finally:
        execute(hosts, "gw2", LOOPING.mend)


def test_a_version_that_no_repository_has(scenario: Scenario) -> None:
    before = serving(scenario.lab)
    scenario.variables["tyk_target_version"] = "5.8.8"
    run = scenario.play()
    check_refused(run)
    assert "package-version-missing" in run.codes(), run.output[-8000:]
    assert "5.8.8" in run.output and serving(scenario.lab) == before


def test_a_host_where_nobody_may_become_root(scenario: Scenario) -> None:
    hosts = fleet(scenario)
    before = serving(scenario.lab)
    execute(hosts, "gw1", "mv /etc/sudoers.d/ops /root/ops")
    try:
        run = scenario.play()
    finally:
        execute(hosts, "gw1", "mv /root/ops /etc/sudoers.d/ops")
    assert run.code != 0 and "Traceback" not in run.output
    assert "gw1" in run.output and "sudo" in run.output, run.output[-6000:]
    assert serving(scenario.lab) == before


def test_no_python_library_of_the_package_manager_is_needed(scenario: Scenario) -> None:
    """The hosts of all these tests have none, and they are looked at all the same."""
    code, output = fleet(scenario).execute("gw1", "python3 -c 'import apt'")
    assert code != 0 and "No module named" in output


def test_a_target_that_starts_well_and_dies_after_four_seconds(scenario: Scenario) -> None:
    """The last test: what came before the gateways stays upgraded, as it does for a user."""
    hosts = fleet(scenario)
    for role in scenario.gateways:
        hosts.use_repository(role, "crashing")
    run = scenario.play()
    assert run.code != 0 and "Traceback" not in run.output, run.output[-6000:]
    assert run.report.get("result") in ("halted", "rolled_back"), run.output[-6000:]
    for role in scenario.gateways:
        assert hosts.package_version(role).split("-")[0] == FROM_VERSION
        url = scenario.gateways[role]["tyk_gateway_url"]
        assert scenario.lab.http.get(f"{url}/hello", timeout=5).json()["version"].lstrip("v") == FROM_VERSION
