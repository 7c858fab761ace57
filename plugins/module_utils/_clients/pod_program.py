# Copyright (c) 2026 tyk.upgrade contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What runs inside a short-lived pod: the same download as from containers and hosts, by the standard library alone.

The sources of this module and of those that it imports are sent along (packed), so that any image with Python will do.
"""

from __future__ import annotations

import importlib
import io
import json
import os
import socket
import sys
import time
import zipfile
from dataclasses import asdict
from typing import Any, Dict, Mapping
from urllib.parse import urlsplit

from ansible_collections.tyk.upgrade.plugins.module_utils._clients.netns import (
    PORTS,
    Fetch,
    fetch_as,
    read_resolver,
    tls_context,
    trusted_here,
)
from ansible_collections.tyk.upgrade.plugins.module_utils._domain.pods import FOLDER, TERMINATION_LOG
from ansible_collections.tyk.upgrade.plugins.module_utils._domain.proxies import proxy_for

#: Seconds that a pod is given to become able to reach the store. Network policies that allow something may come into
#: force a while after the start of a pod (kubernetes.io, Network Policies, "Pod lifecycle").
NETWORK_TIMEOUT = 10.0
PROGRAM, REQUEST = "program.zip", "request.json"
COMMAND = ("python3", "-I", f"{FOLDER}/{PROGRAM}", f"{FOLDER}/{REQUEST}", TERMINATION_LOG)
_PACKAGE = "ansible_collections.tyk.upgrade.plugins.module_utils"
_SENT = (
    "_clients.pod_program",
    "_clients.netns",
    "_clients.errors",
    "_clients.local_disk",
    "_domain.findings",
    "_domain.pods",
    "_domain.proxies",
)


def packed() -> bytes:
    """The program as a zip that Python runs."""
    target = io.BytesIO()
    packages = {"/".join(_PACKAGE.split(".")[:depth]) for depth in range(1, _PACKAGE.count(".") + 2)}
    packages.update(f"{_PACKAGE.replace('.', '/')}/{name.partition('.')[0]}" for name in _SENT)
    with zipfile.ZipFile(target, "w", zipfile.ZIP_DEFLATED) as archive:
        for package in sorted(packages):
            archive.writestr(f"{package}/__init__.py", "")
        for name in _SENT:
            archive.writestr(f"{_PACKAGE}.{name}".replace(".", "/") + ".py", _source_of(f"{_PACKAGE}.{name}"))
        archive.writestr("__main__.py", f"from {_PACKAGE}.{_SENT[0]} import main\n\nmain()\n")
    return target.getvalue()


def _source_of(name: str) -> str:
    """A module's text, also where the module itself runs out of an archive."""
    spec = importlib.import_module(name).__spec__
    text = spec.loader.get_source(name) if spec is not None and spec.loader is not None else None  # type: ignore[attr-defined]
    if text is None:
        raise OSError(f"the source of {name} cannot be read")
    return str(text)


def fetch_here(request: Mapping[str, Any]) -> Fetch:
    """Download as a gateway in this pod would."""
    url, environment = str(request["url"]), dict(request["environment"])
    verified = url.startswith("https:") and bool(request["validate_certs"])
    trusted = (request["trusted"] or trusted_here({**os.environ, **environment})) if verified else None
    context = tls_context(url, verified, trusted or None)
    await_network(url, environment, NETWORK_TIMEOUT)
    return fetch_as(None, url, float(request["limit"]), context, None, environment)


def await_network(url: str, environment: Mapping[str, str], seconds: float) -> None:
    """Wait until the store, or the proxy before it, can be connected to. The download says what is wrong if it cannot."""
    deadline = time.monotonic() + seconds
    try:
        parts = urlsplit(proxy_for(url, environment) or url)
        place, port = parts.hostname or "", parts.port or PORTS[parts.scheme]
    except (ValueError, KeyError):
        return
    if not place:
        return
    while time.monotonic() < deadline:
        try:
            for address in read_resolver(os.getpid()).addresses(place, deadline):
                socket.create_connection((address, port), timeout=1).close()
                return
        except OSError:
            time.sleep(0.5)


def shortened(fetch: Fetch) -> Dict[str, Any]:
    """What fits into what a cluster keeps of a container's last words."""
    said = asdict(fetch)
    said.update(problem=fetch.problem[:300], content_type=fetch.content_type[:100], head=fetch.head[:128])
    said["proxies"] = [one[:200] for one in fetch.proxies[:3]]
    return said


def main() -> None:
    """Arguments: the file that says what to do, and the one to answer in."""
    with open(sys.argv[1], encoding="utf-8") as source:
        request = json.load(source)
    with open(sys.argv[2], "w", encoding="utf-8") as target:
        json.dump(shortened(fetch_here(request)), target)
