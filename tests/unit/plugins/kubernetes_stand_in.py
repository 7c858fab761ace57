# Copyright (c) 2026 tyk.upgrade contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""A stand-in of the Kubernetes API: pods and Secrets of one namespace, and a node that runs a pod's program on this host.

It is no Kubernetes. What it answers was seen on a real one (tests/kubernetes runs the same outcomes there).
"""

from __future__ import annotations

import base64
import json
import subprocess
import sys
from pathlib import Path
from typing import Any, Dict, List, Optional, Tuple

from ansible_collections.tyk.upgrade.plugins.module_utils._domain.pods import FOLDER, TERMINATION_LOG
from ansible_collections.tyk.upgrade.tests.unit.plugins.modules.servers import Reply, Request, Server, json_reply

NAMESPACE = "tyk"
TOKEN = "cluster-token-word"


def failure(code: int, message: str) -> Reply:
    return json_reply(code, {"kind": "Status", "status": "Failure", "code": code, "message": message})


class ClusterServer(Server):
    """`states` are the answers that a pod gives one after the other; without them its program is run."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.pods: Dict[str, Dict[str, Any]] = {}
        self.secrets: Dict[str, Dict[str, Any]] = {}
        self.states: List[Dict[str, Any]] = []
        #: What is answered instead, by method and the last fixed part of the path.
        self.refusals: Dict[Tuple[str, str], List[Optional[Reply]]] = {}
        self.now = "2026-11-27T10:00:00Z"
        super().__init__()

    def answer(self, request: Request) -> Optional[Reply]:
        if request.headers.get("authorization") != f"Bearer {TOKEN}":
            return failure(401, "Unauthorized")
        parts = request.path.split("/")  # "", api, v1, namespaces, <namespace>, <kind>, <name>
        kind, name = parts[5], "/".join(parts[6:])
        refusals = self.refusals.get((request.method, kind))
        if refusals:
            return refusals.pop(0)
        if parts[4] != NAMESPACE:
            return failure(404, f'namespaces "{parts[4]}" not found')
        held = self.pods if kind == "pods" else self.secrets
        if request.method == "POST":
            return self.create(kind, json.loads(request.body), request.query.get("dryRun") == "All")
        if request.method == "GET" and not name:
            return json_reply(200, {"items": list(held.values())})
        if name not in held:
            return failure(404, f'{kind} "{name}" not found')
        if request.method == "DELETE":
            held.pop(name)
            if kind == "pods":
                self.collect()
            return json_reply(200, {"status": "Success"})
        return json_reply(200, self.current(name))

    def create(self, kind: str, sent: Dict[str, Any], dry_run: bool) -> Reply:
        name = sent["metadata"]["name"]
        sent["metadata"].update(uid=f"uid-of-{name}", creationTimestamp=self.now)
        if not dry_run:
            (self.pods if kind == "pods" else self.secrets)[name] = sent
        return json_reply(201, sent)

    def collect(self) -> None:
        """Secrets go with the pods that own them."""
        alive = {pod["metadata"].get("uid") for pod in self.pods.values()}
        for name, secret in list(self.secrets.items()):
            owners = {one["uid"] for one in secret["metadata"].get("ownerReferences", [])}
            if owners and not owners & alive:
                del self.secrets[name]

    def current(self, name: str) -> Dict[str, Any]:
        pod = self.pods[name]
        if self.states:
            return {**pod, **(self.states.pop(0) if len(self.states) > 1 else self.states[0])}
        if "status" not in pod:
            pod["spec"]["nodeName"] = "node-1"
            pod["status"] = self.run(pod)
        return pod

    def run(self, pod: Dict[str, Any]) -> Dict[str, Any]:
        """What a node does with it: the files of its Secret, its command, and its last words."""
        (volume,) = pod["spec"]["volumes"]
        for name, content in self.secrets[volume["secret"]["secretName"]]["data"].items():
            (self.folder / name).write_bytes(base64.b64decode(content))
        (container,) = pod["spec"]["containers"]
        words = self.folder / "termination-log"
        given = [
            str(words) if word == TERMINATION_LOG else word.replace(FOLDER, str(self.folder)) for word in container["command"]
        ]
        done = subprocess.run([sys.executable, *given[1:]], cwd="/", capture_output=True, text=True, check=False, env={})
        message = words.read_text() if words.exists() else done.stderr
        return terminated(done.returncode, message)["status"]


def status(state: Dict[str, Any], phase: str = "Pending", **more: Any) -> Dict[str, Any]:
    statuses = [{"name": "mesh-proxy", "state": {"running": {}}}, {"name": "task", "state": state}]
    return {"spec": {"nodeName": "node-1"}, "status": {"phase": phase, "containerStatuses": statuses, **more}}


def terminated(code: int, message: str, reason: str = "Error") -> Dict[str, Any]:
    return status({"terminated": {"exitCode": code, "reason": reason, "message": message[-4096:]}}, "Running")


def waiting(reason: str, message: str = "") -> Dict[str, Any]:
    return status({"waiting": {"reason": reason, "message": message}})
