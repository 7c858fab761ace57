# Copyright (c) 2026 tyk.upgrade contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""A throw-away container like an existing one but of another image, judged by what it prints."""

from __future__ import annotations

import time
from contextlib import contextmanager
from typing import Any, Dict, Iterator, List, Mapping, Sequence

from ansible_collections.tyk.upgrade.plugins.module_utils._clients.container_config import (
    networks_of,
    replacement_config,
)
from ansible_collections.tyk.upgrade.plugins.module_utils._clients.docker_engine import ContainerGone, Engine
from ansible_collections.tyk.upgrade.plugins.module_utils._clients.gateway_bundles import epoch, started_at
from ansible_collections.tyk.upgrade.plugins.module_utils._clients.trials import Verdict, judge

# What must not be shared with the container that is in service.
PRIVATE_HOST_SETTINGS = ("PortBindings", "PublishAllPorts", "RestartPolicy", "AutoRemove", "ContainerIDFile")
TRIAL_LABEL = "tyk.upgrade.trial-of"


def trial_body(body: Mapping[str, Any], env: Mapping[str, str], container_name: str) -> Dict[str, Any]:
    """The create body of the trial: the replacement's, with other environment, and nothing that only one may have."""
    trial = {key: value for key, value in body.items() if key not in ("ExposedPorts", "Hostname", "MacAddress")}
    host_config = {key: value for key, value in (body.get("HostConfig") or {}).items() if key not in PRIVATE_HOST_SETTINGS}
    trial["HostConfig"] = host_config
    kept = [entry for entry in body.get("Env") or [] if entry.split("=", 1)[0] not in env]
    trial["Env"] = kept + ["%s=%s" % item for item in sorted(env.items())]
    # With its labels it would count as one more container of its Compose service.
    labels = {key: one for key, one in (body.get("Labels") or {}).items() if not key.startswith("com.docker.compose.")}
    trial["Labels"] = {**labels, TRIAL_LABEL: container_name}
    endpoints = ((body.get("NetworkingConfig") or {}).get("EndpointsConfig") or {}).keys()
    trial["NetworkingConfig"] = {"EndpointsConfig": {name: {} for name in endpoints}}
    return trial


@contextmanager
def trial(engine: Engine, name: str, image: str, env: Mapping[str, str]) -> Iterator[str]:
    """Start the throw-away container and yield its id; it is removed whatever happens, leftovers of killed runs too."""
    container = engine.container(name)
    old_image = engine.api.inspect_image(container["Image"]).get("Config") or {}
    wanted = replacement_config(container, old_image, image)
    for leftover in engine.containers(label="%s=%s" % (TRIAL_LABEL, name)):
        engine.remove(leftover["Id"], volumes=True, force=True)
    identity = engine.create(trial_body(wanted.body, env, name), name + "-trial")
    try:
        primary = (wanted.body.get("NetworkingConfig") or {}).get("EndpointsConfig") or {}
        for network in networks_of(container):
            if network not in primary and network not in ("none", "host", "bridge"):
                engine.connect(identity, network, {})
        engine.start(identity, name + "-trial")
        yield identity
    finally:
        engine.remove(identity, volumes=True, force=True)


def watch(engine: Engine, container: str, success: Sequence[str], failure: Sequence[str], timeout: float) -> Verdict:
    """Read what the container printed since it was last started, until it decides or the time is over."""
    deadline = time.monotonic() + timeout
    while True:
        verdict = judge(_log_since_start(engine, container), success, failure)
        if verdict.ok is not None or time.monotonic() >= deadline or not _running(engine, container):
            return verdict
        time.sleep(0.25)


def tail(engine: Engine, container: str, count: int = 20) -> List[str]:
    """The last lines it printed."""
    return engine.logs(container, tail=count).splitlines()


def _running(engine: Engine, container: str) -> bool:
    try:
        return bool(engine.container(container)["State"].get("Running"))
    except ContainerGone:
        return False


def _log_since_start(engine: Engine, container: str) -> str:
    return engine.logs(container, since=epoch(started_at(engine.container(container))))
