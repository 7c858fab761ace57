# Copyright (c) 2026 tyk.upgrade contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""bundle_fetch_check by a short-lived pod of a real cluster, from a store that is a pod there, too."""

from __future__ import annotations

import hashlib
import json
import os
import signal
import subprocess
import sys
import time
import uuid
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from ansible_collections.tyk.upgrade.tests.unit.plugins.modules.module_runner import run_module

kubernetes = pytest.importorskip("kubernetes")

COLLECTIONS = str(Path(__file__).resolve().parents[2] / "build" / "collections")
IMAGE = os.environ.get("KUBERNETES_IMAGE") or "python:3.12-slim"
BUNDLE = b"PK\x03\x04" + b"b" * 5_000_000
DIGEST = hashlib.sha256(BUNDLE).hexdigest()
STORE = """
import base64, http.server, socketserver, time
class Handler(http.server.BaseHTTPRequestHandler):
    def do_GET(self):
        path = self.path.partition("?")[0]
        secret = "Basic " + base64.b64encode(b"reader:pass-word-1").decode()
        if path == "/private.zip" and (self.headers.get("Authorization") != secret or "token-word-2" not in self.path):
            return self.send_error(401)
        if path == "/none.zip":
            return self.send_error(404)
        body = b"PK\\x03\\x04" + b"b" * 5_000_000
        if path == "/login":
            body = b"<!DOCTYPE html><html>Please log in"
        self.send_response(200)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        if path == "/slow.zip":
            self.wfile.write(body[:1000])
            time.sleep(30)
        self.wfile.write(body)
socketserver.ThreadingTCPServer.allow_reuse_address = True
socketserver.ThreadingTCPServer(("", 8000), Handler).serve_forever()
"""
SECURITY = {
    "allowPrivilegeEscalation": False,
    "capabilities": {"drop": ["ALL"]},
    "runAsNonRoot": True,
    "runAsUser": 65534,
    "seccompProfile": {"type": "RuntimeDefault"},
}


class Namespace:
    """A namespace of its own with a store in it, and what is in it beside that."""

    def __init__(self) -> None:
        self.client = kubernetes.config.new_client_from_config()
        self.core = kubernetes.client.CoreV1Api(self.client)
        self.name = f"tyk-upgrade-test-{uuid.uuid4().hex[:8]}"
        labels = {"pod-security.kubernetes.io/enforce": "restricted"}
        self.core.create_namespace({"metadata": {"name": self.name, "labels": labels}})

    def store(self) -> str:
        container = {"name": "store", "image": IMAGE, "command": ["python3", "-u", "-c", STORE], "securityContext": SECURITY}
        probe = {"tcpSocket": {"port": 8000}, "periodSeconds": 1}
        spec = {"terminationGracePeriodSeconds": 1, "containers": [{**container, "readinessProbe": probe}]}
        pod = {"metadata": {"name": "store"}, "spec": {**spec, "automountServiceAccountToken": False}}
        self.awaited(lambda: self.core.list_namespaced_service_account(self.name).items)
        self.core.create_namespaced_pod(self.name, pod)
        self.awaited(lambda: any(one.type == "Ready" and one.status == "True" for one in self.status().conditions or []))
        return f"{self.status().pod_ip}:8000"

    def status(self) -> Any:
        return self.core.read_namespaced_pod("store", self.name).status

    def awaited(self, condition: Any, seconds: float = 120) -> None:
        deadline = time.monotonic() + seconds
        while not condition():
            assert time.monotonic() < deadline, "it did not come about"
            time.sleep(0.2)

    def pods(self) -> list[str]:
        return [one.metadata.name for one in self.core.list_namespaced_pod(self.name).items if one.metadata.name != "store"]

    def secrets(self) -> list[str]:
        found = self.core.list_namespaced_secret(self.name).items
        return [one.metadata.name for one in found if one.metadata.name.startswith("tyk-bundle-fetch")]

    def check(self, url: str, check: bool = False, limit: float = 5, sha256: str = "", **pod: Any) -> dict[str, Any]:
        arguments = {"url": url, "limit": limit, "pod": {"namespace": self.name, "image": IMAGE, **pod}}
        return run_module("bundle_fetch_check", {**arguments, **({"sha256": sha256} if sha256 else {})}, check=check)


@pytest.fixture(scope="module")
def space() -> Iterator[Namespace]:
    one = Namespace()
    try:
        yield one
    finally:
        one.core.delete_namespace(one.name)
        one.client.close()


@pytest.fixture(scope="module")
def store(space: Namespace) -> str:
    return space.store()


@pytest.fixture(autouse=True)
def nothing_stays(space: Namespace) -> Iterator[None]:
    yield
    assert (space.pods(), space.secrets()) == ([], [])


def test_the_download_is_timed_inside_the_pod(space: Namespace, store: str) -> None:
    started = time.monotonic()
    result = space.check(f"http://reader:pass-word-1@{store}/private.zip?t=token-word-2", sha256=DIGEST)
    whole = time.monotonic() - started
    assert (result["bytes"], result["sha256"], result["findings"]) == (len(BUNDLE), DIGEST, []), result
    assert f"in the namespace {space.name} on node " in result["means"]
    assert result["seconds"] < whole
    print(f"\n5 MB: {result['seconds']} s of {whole:.1f} s with the pod; {result['means']}")


@pytest.mark.parametrize(
    "path, code, words",
    [
        ("/slow.zip", "bundle-slow", "1000 of 5000004 bytes"),
        ("/none.zip", "bundle-missing", "HTTP 404"),
        ("/login", "bundle-invalid", "is an HTML page"),
        ("/other.zip", "bundle-invalid", "is another file than the one published"),
    ],
)
def test_what_is_wrong_with_the_download(space: Namespace, store: str, path: str, code: str, words: str) -> None:
    result = space.check(f"http://{store}{path}", limit=2, sha256="0" * 64)
    (finding,) = result["findings"]
    assert finding["code"] == code and words in finding["message"], result
    assert f"From the network of pods in the namespace {space.name}, " in finding["message"]


def test_a_store_that_nobody_answers_for(space: Namespace, store: str) -> None:
    (finding,) = space.check(f"http://{store.partition(':')[0]}:9/a.zip", limit=2)["findings"]
    assert finding["code"] == "bundle-missing" and "refused" in finding["message"]


@pytest.mark.parametrize(
    "pod, code, words",
    [
        ({"image": "localhost:9/none:1"}, "image-missing", "cannot get its image"),
        ({"node_selector": {"no": "such-node"}, "timeout": 3}, "pod-failed", "no node was found for it"),
        ({"run_as_user": 0}, "pod-failed", "runAsNonRoot"),
        ({"service_account": "none"}, "pod-failed", 'serviceaccount "none" not found'),
        ({"namespace": "tyk-upgrade-no-such"}, "setting-invalid", "There is no namespace tyk-upgrade-no-such in"),
    ],
)
def test_pods_that_do_not_get_to_their_work(
    space: Namespace, store: str, pod: dict[str, Any], code: str, words: str
) -> None:
    result = space.check(f"http://{store}/a.zip", **pod)
    assert result["failed"] and result["findings"][0]["code"] == code and words in result["msg"], result
    print(f"\n{result['msg']}")


def test_a_quota_refuses_the_pod_and_check_mode_says_so_too(space: Namespace, store: str) -> None:
    assert space.check(f"http://{store}/a.zip", check=True)["means"].startswith("none in check mode")
    space.core.create_namespaced_resource_quota(space.name, {"metadata": {"name": "q"}, "spec": {"hard": {"pods": "1"}}})
    quota = space.core.read_namespaced_resource_quota
    space.awaited(lambda: ((quota("q", space.name).status or {}) and quota("q", space.name).status.used))
    try:
        for check in (True, False):
            result = space.check(f"http://{store}/a.zip", check=check)
            assert result["failed"] and "exceeded quota" in result["msg"], result
    finally:
        space.core.delete_namespaced_resource_quota("q", space.name)


def test_who_lacks_a_right_is_told_which(space: Namespace, store: str) -> None:
    rules = kubernetes.client.RbacAuthorizationV1Api(space.client)
    space.core.create_namespaced_service_account(space.name, {"metadata": {"name": "runner"}})
    rights = [{"apiGroups": [""], "resources": ["pods"], "verbs": ["create", "get", "delete"]}]
    rules.create_namespaced_role(space.name, {"metadata": {"name": "runner"}, "rules": rights})
    subject = {"kind": "ServiceAccount", "name": "runner", "namespace": space.name}
    role = {"apiGroup": "rbac.authorization.k8s.io", "kind": "Role", "name": "runner"}
    rules.create_namespaced_role_binding(space.name, {"metadata": {"name": "runner"}, "subjects": [subject], "roleRef": role})
    token = space.core.create_namespaced_service_account_token("runner", space.name, {"spec": {"expirationSeconds": 600}})
    settings = space.client.configuration
    access = {"host": settings.host, "ca_cert": settings.ssl_ca_cert, "api_key": token.status.token}
    result = space.check(f"http://{store}/a.zip", **access)
    assert result["failed"] and "may not create secrets" in result["msg"], result
    assert result["findings"][0]["code"] == "cluster-forbidden" and token.status.token not in str(result)
    rights.append({"apiGroups": [""], "resources": ["secrets"], "verbs": ["create"]})
    rules.replace_namespaced_role("runner", space.name, {"metadata": {"name": "runner"}, "rules": rights})
    result = space.check(f"http://{store}/a.zip", sha256=DIGEST, **access)
    assert result["findings"] == [] and result["bytes"] == len(BUNDLE), result
    space.awaited(lambda: not space.secrets(), 30)  # removed by the cluster, with its owner


def test_no_service_sends_requests_to_the_pod(space: Namespace, store: str) -> None:
    """Though it has the labels that the Service selects, while it runs."""
    ports = [{"port": 80}]
    space.core.create_namespaced_service(
        space.name, {"metadata": {"name": "gateways"}, "spec": {"selector": {"app": "gateway"}, "ports": ports}}
    )
    running = started(space, f"http://{store}/slow.zip", limit=15)
    try:
        space.awaited(lambda: any(state(space, one).running for one in space.pods()), 60)
        time.sleep(2)
        found = space.core.read_namespaced_endpoints("gateways", space.name).subsets or []
        assert found and not any(one.addresses for one in found)
        spec = space.core.read_namespaced_pod(space.pods()[0], space.name)
        assert "pass-word-1" not in str(spec) and store not in str(spec)
    finally:
        running.send_signal(signal.SIGTERM)
        running.communicate(timeout=30)


def test_what_a_killed_run_leaves_ends_and_takes_its_secret_with_it(space: Namespace, store: str) -> None:
    running = started(space, f"http://{store}/slow.zip", limit=15)
    space.awaited(lambda: any(state(space, one).running for one in space.pods()), 60)
    running.kill()
    running.communicate()
    (left,) = space.pods()
    assert space.secrets() == [left]
    assert space.core.read_namespaced_pod(left, space.name).spec.active_deadline_seconds < 300
    space.core.delete_namespaced_pod(left, space.name, grace_period_seconds=0)
    space.awaited(lambda: not space.secrets(), 30)  # the cluster removes it with its owner


def test_ansible_itself_runs_it(space: Namespace, store: str) -> None:
    """The module then runs out of an archive, and its sources with it."""
    pod = {"namespace": space.name, "image": IMAGE}
    arguments = json.dumps({"url": f"http://{store}/a.zip", "sha256": DIGEST, "pod": pod})
    command = [str(Path(sys.executable).parent / "ansible"), "localhost", "-m", "tyk.upgrade.bundle_fetch_check"]
    python = f"ansible_python_interpreter={sys.executable}"
    environment = {**os.environ, "ANSIBLE_COLLECTIONS_PATH": COLLECTIONS}
    command += ["-e", python, "-a", arguments]
    done = subprocess.run(command, capture_output=True, text=True, check=False, env=environment)
    assert done.returncode == 0 and DIGEST in done.stdout and "short-lived pod" in done.stdout, done.stdout + done.stderr


def state(space: Namespace, name: str) -> Any:
    statuses = space.core.read_namespaced_pod(name, space.name).status.container_statuses or []
    return statuses[0].state if statuses else kubernetes.client.V1ContainerState()


def started(space: Namespace, url: str, limit: float) -> subprocess.Popen[bytes]:
    """The module in a process of its own."""
    pod = f"{{namespace: {space.name}, image: '{IMAGE}', labels: {{app: gateway}}, timeout: 60}}"
    arguments = f"{{url: '{url.replace('http://', 'http://reader:pass-word-1@')}', limit: {limit}, pod: {pod}}}"
    program = (
        "import sys, yaml\n"
        "from ansible_collections.tyk.upgrade.tests.unit.plugins.modules.module_runner import run_module\n"
        "run_module('bundle_fetch_check', yaml.safe_load(sys.argv[1]))\n"
    )
    environment = {**os.environ, "PYTHONPATH": COLLECTIONS}
    return subprocess.Popen([sys.executable, "-c", program, arguments], env=environment, stderr=subprocess.DEVNULL)
