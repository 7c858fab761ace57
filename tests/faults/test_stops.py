# Copyright (c) 2026 tyk.upgrade contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Something goes wrong in the middle of the roll, under load: what stops, what serves on, and that the next run goes on from there."""

from __future__ import annotations

import os
import signal
import subprocess
import time
from pathlib import Path

import inventory as inventories
import pytest
from checks import BIN, environment
from load import Load, check_clean
from scenario import Scenario, serving
from settings import ROOT

# A gateway of the target version that never reaches its Redis: it answers "pass" and is never ready.
DEAF = "FROM {image}\nENV TYK_GW_STORAGE_HOST=127.0.0.1 TYK_GW_STORAGE_PORT=1\n"


def publish_deaf(scenario: Scenario) -> str:
    """A repository whose image of the target version never becomes ready."""
    target = scenario.lab.settings.to_version
    good = f"{scenario.gateways['gw2']['gateway_image']}:v{target}"
    repository = f"{scenario.lab.settings.registry}/tyk-lab/tyk-gateway-deaf"
    client = scenario.lab.client
    client.images.pull(good)
    context = scenario.directory / "deaf"
    context.mkdir()
    (context / "Dockerfile").write_text(DEAF.format(image=good))
    client.images.build(path=str(context), tag=f"{repository}:v{target}")
    client.images.push(repository, tag=f"v{target}")
    client.images.remove(f"{repository}:v{target}")
    return repository


def versions(scenario: Scenario) -> dict[str, str]:
    http = scenario.lab.http
    return {
        name: http.get(f"{settings['tyk_gateway_url']}/hello", timeout=5).json()["version"].lstrip("v")
        for name, settings in scenario.gateways.items()
    }


@pytest.fixture
def load(scenario: Scenario):
    load = Load(scenario.lab.settings, scenario.lab.stand_ins, scenario.directory / "load")
    load.reset_records()
    with load.running():
        yield load
    scenario.lab.reset()


def test_a_gateway_that_never_gets_ready_halts_the_roll_and_the_next_run_finishes_it(
    scenario: Scenario, load: Load
) -> None:
    before = serving(scenario.lab)["members"]
    first, target = scenario.lab.settings.versions("gateway")
    # In the lab's Compose project gw3 is the one whose image can be of another repository.
    deaf = "gw3" if scenario.lab.settings.target == "compose" else "gw2"
    others = [name for name in scenario.gateways if name > deaf]
    good = scenario.gateways[deaf]["gateway_image"]
    scenario.gateways[deaf].update(gateway_image=publish_deaf(scenario), gateway_wait_timeout=25)

    halted = scenario.play()

    assert halted.code != 0
    assert halted.report["result"] == "halted", halted.output[-6000:]
    assert deaf in halted.report["message"] and "redis" in halted.report["message"].lower()
    assert versions(scenario) == {name: first if name >= deaf else target for name in scenario.gateways}
    after = serving(scenario.lab)["members"]
    if scenario.lab.settings.target == "docker":
        assert after[deaf][0] == before[deaf][0], "it has its very old container back"
    assert after[deaf][1] == before[deaf][1], "it has its old image back"
    assert {name: after[name] for name in others} == {name: before[name] for name in others}, "they were not touched"
    evidence = [
        path for path in (scenario.directory / "backups").rglob("*") if "evidence" in str(path) and path.is_file()
    ]
    assert evidence, "what the failed gateway left behind is kept"

    scenario.gateways[deaf].update(gateway_image=good)
    finished = scenario.play()

    assert finished.code == 0, finished.output[-6000:]
    assert versions(scenario) == dict.fromkeys(scenario.gateways, scenario.lab.settings.to_version)
    assert serving(scenario.lab)["members"]["gw1"] == after["gw1"], "gw1 was done and is not done again"
    reading = load.stop()
    assert check_clean(reading, load.drained(reading["answered"])) == []


def test_a_controller_killed_in_the_middle_of_the_roll_leaves_nothing_that_the_next_run_cannot_finish(
    scenario: Scenario, load: Load
) -> None:
    path = scenario.directory / "inventory.yml"
    inventories.write(path, scenario.inventory)
    with (scenario.directory / "killed.log").open("wb") as log:
        process = subprocess.Popen(
            [str(BIN / "ansible-playbook"), "hybrid_upgrade.yml", "-i", str(path)],
            cwd=ROOT,
            env=environment(),
            stdin=subprocess.DEVNULL,
            stdout=log,
            stderr=subprocess.STDOUT,
            start_new_session=True,
        )
        wait_until_replaced(scenario, "gw1", process)
        os.killpg(process.pid, signal.SIGKILL)
        process.wait()

    finished = scenario.play()

    assert finished.code == 0, finished.output[-6000:]
    assert versions(scenario) == dict.fromkeys(scenario.gateways, scenario.lab.settings.to_version)
    assert "drain" not in scenario.lab.haproxy("show stat").lower(), "every gateway is back in its pool"
    reading = load.stop()
    assert check_clean(reading, load.drained(reading["answered"])) == []


def wait_until_replaced(scenario: Scenario, name: str, process: subprocess.Popen[bytes], timeout: float = 600) -> None:
    """Until the gateway's container is another one, which is before it is proven and returned."""
    container = scenario.lab.settings.container(name)
    first = scenario.lab.client.containers.get(container).id
    deadline = time.monotonic() + timeout
    while time.monotonic() < deadline:
        assert process.poll() is None, Path(process.args[-1]).with_name("killed.log").read_text()[-6000:]
        found = [one for one in scenario.lab.client.containers.list(ignore_removed=True) if one.name == container]
        if found and found[0].id != first:
            return
        time.sleep(0.2)
    raise AssertionError(f"{name} was not replaced within {timeout} s")
