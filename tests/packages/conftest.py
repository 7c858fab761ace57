# Copyright (c) 2026 tyk.upgrade contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Two hosts, one with apt and one with dnf, and the repositories they take packages from; gone with the session."""

from __future__ import annotations

import os
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

sys.path.insert(0, str(Path(__file__).resolve().parents[1] / "lab"))
sys.path.insert(0, str(Path(__file__).resolve().parent))

from builder import Builder  # noqa: E402
from engine import Container, DockerEngine, Site  # noqa: E402
from hosts import Host, harness  # noqa: E402
from packages import Packages  # noqa: E402
from settings import ROOT, Settings  # noqa: E402
from stand_ins import StandIns  # noqa: E402


@pytest.fixture(scope="session")
def hosts() -> Iterator[dict[str, Host]]:
    # Side by side with others only under a name and a subnet of its own.
    worker = int(os.environ.get("PYTEST_XDIST_WORKER", "gw0").lstrip("gw"))
    name = f"{os.environ.get('LAB_NAME') or 'tyk-lab-packages'}-{worker}"
    base = int(os.environ.get("LAB_PORT_BASE") or 37000)
    settings = Settings(name=name, port_base=base + 1000 * worker, directory=ROOT / "build" / name, target="linux")
    client = DockerEngine.ensure()
    site = Site(settings, client)
    builder = Builder(client)
    stand_ins = StandIns(builder)
    packages = Packages(
        builder,
        lambda component, version: (
            stand_ins.program("pump", version) if component == "pump" else stand_ins.gateway_binary(version)
        ),
    )
    image = packages.server()
    site.remove_everything()
    site.ensure_network()
    site.ensure_container(Container("packages", image, ["nginx", "-c", "/etc/tyk-lab/nginx.conf"]))
    tools = harness()
    try:
        yield {kind: Host(kind, site, packages, tools) for kind in ("deb", "rpm")}
    finally:
        site.remove_everything()
        client.close()


@pytest.fixture(params=[pytest.param(kind, marks=pytest.mark.xdist_group(kind)) for kind in ("deb", "rpm")])
def host(request: pytest.FixtureRequest, hosts: dict[str, Host]) -> Host:
    """A host at the first version whose owner changed a secret in the configuration."""
    return hosts[request.param].ready()
