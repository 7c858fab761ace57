# Copyright (c) 2026 tyk.upgrade contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Writes the inventory that a user with this data plane would have."""

from __future__ import annotations

import os
from pathlib import Path
from typing import TYPE_CHECKING, Any

import yaml
from fleet import LOCAL
from seed import AUTH, HEADER
from settings import DASHBOARD_TOKEN, GATEWAY_SECRET, GOOD_KEY, LAB, PUMP_TO

if TYPE_CHECKING:
    from lab import Lab


def build(lab: Lab) -> dict[str, Any]:
    """Shared variables as a user's group_vars would have them; what differs by deployment comes from the fleets."""
    settings = lab.settings
    directory = settings.directory
    variables: dict[str, Any] = {
        "tyk_target_version": settings.to_version,
        "tyk_pump_version": PUMP_TO,
        "tyk_control_plane_driver": "manual",
        "tyk_control_plane_confirmed_version": settings.to_version,
        "tyk_dashboard_url": settings.local("dashboard"),
        "tyk_dashboard_token": DASHBOARD_TOKEN,
        "tyk_gateway_secret": GATEWAY_SECRET,
        "tyk_entry_url": settings.local("entry"),
        "tyk_redis_url": f"redis://127.0.0.1:{settings.port('redis')}/0",
        "tyk_load_balancers": [
            {"kind": "haproxy", "socket": f"tcp://127.0.0.1:{settings.port('haproxy')}", "backend": "gateways"}
        ],
        "tyk_plugins": [
            {
                "name": HEADER.name,
                "source": str(LAB / "plugins" / HEADER.name),
                "probe": {
                    "api": "lab-orders",
                    "path": "/get",
                    "expect": {"status": 200, "headers": {"X-Lab-Plugin": "header"}},
                },
            },
            {
                "name": AUTH.name,
                "source": str(LAB / "plugins" / AUTH.name),
                "probe": {
                    "api": "lab-payments",
                    "path": "/get",
                    "headers": {"Authorization": GOOD_KEY},
                    "expect": {"status": 200},
                    "deny": {"path": "/get", "without": ["Authorization"], "status": [401, 403]},
                },
            },
        ],
        "tyk_build_host": "localhost",
        "tyk_compiler_image": lab.repository("compiler"),
        "tyk_bundle_store": {"kind": "http", "url": f"{settings.local('bundles')}/bundles/"},
        "tyk_bundle_fetch_url": "http://bundles/bundles/",
        "tyk_waves": [1, "100%"],
        "tyk_max_unavailable": 1,
        "tyk_on_failure": "halt",
        "tyk_journal_dir": str(directory / "journal"),
        "tyk_backup_dir": str(directory / "backups"),
        "tyk_report_dir": str(directory / "report"),
    }
    gateways = {
        name: {"tyk_gateway_url": settings.local(name), "gateway_lb_server": name, **lab.fleet(name).variables(name)}
        for name in settings.gateways
    }
    return {
        "all": {
            "vars": variables,
            "children": {
                "tyk_gateways": {"hosts": gateways},
                "tyk_pumps": {"hosts": {"pump1": lab.fleet("pump").variables("pump")}},
                "tyk_control_plane": {"hosts": {"dashboard1": dict(LOCAL)}},
            },
        }
    }


def write(path: Path, inventory: dict[str, Any]) -> None:
    """Readable by its owner only: it carries the lab's token and secret, as a user's would."""
    path.parent.mkdir(parents=True, exist_ok=True)
    text = "# Written by the lab (tests/lab/inventory.py).\n" + yaml.safe_dump(inventory, sort_keys=False, width=120)
    partial = path.with_name(f".{path.name}.{os.getpid()}")
    partial.touch(mode=0o600)
    partial.write_text(text)
    partial.replace(path)
