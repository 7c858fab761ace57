# Copyright (c) 2026 tyk.upgrade contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""bundle_fetch_check by a short-lived pod, against a stand-in of the Kubernetes API."""

from __future__ import annotations

import hashlib
import json
import os
import shutil
import signal
import socket
import ssl
import subprocess
import threading
import time
from pathlib import Path
from typing import Any, Dict, Iterator, List, Optional

import pytest

from ansible_collections.tyk.upgrade.plugins.module_utils._clients import pod_fetch, pod_program
from ansible_collections.tyk.upgrade.plugins.module_utils._clients.netns import Fetch
from ansible_collections.tyk.upgrade.plugins.module_utils._domain.pods import MAXIMUM_MESSAGE, OWN_LABEL
from ansible_collections.tyk.upgrade.plugins.modules import bundle_fetch_check
from ansible_collections.tyk.upgrade.tests.unit.plugins.kubernetes_stand_in import (
    NAMESPACE,
    TOKEN,
    ClusterServer,
    failure,
    status,
    terminated,
    waiting,
)
from ansible_collections.tyk.upgrade.tests.unit.plugins.modules.module_runner import run_module
from ansible_collections.tyk.upgrade.tests.unit.plugins.modules.servers import FixedServer, Reply, Request

BUNDLE = b"PK\x03\x04" + b"b" * 300_000
DIGEST = hashlib.sha256(BUNDLE).hexdigest()


@pytest.fixture
def cluster(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[ClusterServer]:
    """Nothing is left in it, whatever a test did."""
    pytest.importorskip("kubernetes")
    for name in [name for name in os.environ if name.startswith(("K8S_AUTH_", "KUBE"))]:
        monkeypatch.delenv(name)
    monkeypatch.setattr(pod_fetch, "POLL", 0.01)
    monkeypatch.setattr(pod_fetch, "PAUSE", 0.01)
    with ClusterServer(tmp_path) as server:
        assert isinstance(server, ClusterServer)
        yield server


@pytest.fixture
def store() -> Iterator[str]:
    def answer(request: Request) -> Optional[Reply]:
        if request.path == "/slow.zip":
            time.sleep(1.5)
        if request.path == "/login":
            return 200, {"Content-Type": "text/html"}, b"<html>Please log in"
        if request.path == "/private.zip" and (
            request.query.get("t") != "token-word-2" or not request.headers.get("authorization", "").startswith("Basic ")
        ):
            return 401, {}, b""
        return (404, {}, b"") if request.path == "/none.zip" else (200, {}, BUNDLE)

    with FixedServer(answer) as server:
        yield server.url


def check(
    cluster: ClusterServer, url: str, in_check_mode: bool = False, limit: float = 5, sha256: str = DIGEST, **pod: Any
) -> Dict[str, Any]:
    access = {"host": cluster.url, "api_key": TOKEN, "namespace": NAMESPACE, "image": "python:3"}
    arguments = {"url": url, "limit": limit, "sha256": sha256, "pod": {**access, **pod}}
    return run_module("bundle_fetch_check", arguments, check=in_check_mode)


def gone(cluster: ClusterServer) -> bool:
    return not cluster.pods and not cluster.secrets


def test_the_download_is_made_in_the_pod_and_nothing_stays(cluster: ClusterServer, store: str) -> None:
    url = store.replace("http://", "http://reader:pass-word-1@") + "/private.zip?t=token-word-2"
    result = check(cluster, url)
    assert (result["bytes"], result["sha256"], result["findings"]) == (len(BUNDLE), DIGEST, []), result
    (name,) = {json.loads(one.body)["metadata"]["name"] for one in cluster.requests if one.method == "POST"}
    assert result["means"] == f"short-lived pod {name} in the namespace tyk on node node-1"
    assert gone(cluster)
    assert "word" not in json.dumps(result)
    (pod,) = [one.body for one in cluster.requests if one.method == "POST" and one.path.endswith("/pods")]
    assert b"word" not in pod and b"127.0.0.1" not in pod


def test_what_the_pod_is(cluster: ClusterServer, store: str) -> None:
    check(
        cluster,
        f"{store}/a.zip",
        labels={"app": "gateway"},
        node_selector={"pool": "edge"},
        tolerations=[{"key": "edge", "operator": "Exists"}],
        service_account="gateways",
        image_pull_secrets=["registry"],
        timeout=30,
    )
    made = [json.loads(one.body) for one in cluster.requests if one.method == "POST"]
    pod, secret = made
    assert pod["metadata"]["labels"] == {"app": "gateway", OWN_LABEL: "true"}
    spec, (container,) = pod["spec"], pod["spec"]["containers"]
    assert spec["nodeSelector"] == {"kubernetes.io/os": "linux", "pool": "edge"}
    assert spec["tolerations"] == [{"key": "edge", "operator": "Exists"}]
    assert (spec["serviceAccountName"], spec["imagePullSecrets"]) == ("gateways", [{"name": "registry"}])
    assert (spec["restartPolicy"], spec["automountServiceAccountToken"]) == ("Never", False)
    assert 60 < spec["activeDeadlineSeconds"] < 180
    assert spec["readinessGates"], "a Service that selects the labels would send requests to the pod"
    assert spec["securityContext"]["runAsNonRoot"] and spec["securityContext"]["runAsUser"] == 65534
    assert container["securityContext"]["capabilities"] == {"drop": ["ALL"]}
    assert container["securityContext"]["allowPrivilegeEscalation"] is False
    assert {"requests", "limits"} == set(container["resources"])
    name = pod["metadata"]["name"]
    assert secret["metadata"]["ownerReferences"][0] == {"apiVersion": "v1", "kind": "Pod", "name": name, "uid": f"uid-of-{name}"}
    check(cluster, f"{store}/a.zip", run_as_user=0)
    last = [json.loads(one.body) for one in cluster.requests if one.method == "POST"][-2]
    assert "runAsUser" not in last["spec"]["securityContext"] and last["spec"]["securityContext"]["runAsNonRoot"]


@pytest.mark.parametrize(
    "path, sha256, code, words",
    [
        ("/slow.zip", DIGEST, "bundle-slow", "arrived within 1 s"),
        ("/none.zip", DIGEST, "bundle-missing", "HTTP 404"),
        ("/login", "0" * 64, "bundle-invalid", "is an HTML page"),
        ("/other.zip", "0" * 64, "bundle-invalid", "is another file than the one published"),
    ],
)
def test_what_is_wrong_with_the_download(
    cluster: ClusterServer, store: str, path: str, sha256: str, code: str, words: str
) -> None:
    result = check(cluster, f"{store}{path}", limit=1, sha256=sha256)
    (finding,) = result["findings"]
    assert (finding["severity"], finding["code"]) == ("error", code) and words in finding["message"], result
    assert finding["message"].startswith("From the network of pods in the namespace tyk, ")
    assert gone(cluster)


def test_a_proxy_of_the_gateways_is_used_and_its_password_is_not_printed(cluster: ClusterServer, store: str) -> None:
    proxy = store.replace("http://", "http://user:proxy-word-3@")
    environment = {"HTTP_PROXY": proxy, "TYK_GW_SECRET": "gateway-word-4"}
    result = check(cluster, "http://bundles.invalid/a.zip", environment=environment)
    assert b"gateway-word-4" not in (cluster.folder / "request.json").read_bytes()
    assert result["findings"] == [] and result["means"].endswith(f", through the proxy {store}"), result
    assert "proxy-word-3" not in json.dumps(result)


@pytest.mark.skipif(shutil.which("openssl") is None, reason="no openssl")
def test_the_authorities_of_a_file_are_trusted(cluster: ClusterServer, tmp_path: Path) -> None:
    certificate, key = str(tmp_path / "cert.pem"), str(tmp_path / "key.pem")
    command = "openssl req -x509 -newkey rsa:2048 -nodes -days 2 -subj /CN=store -addext subjectAltName=IP:127.0.0.1"
    subprocess.run([*command.split(), "-keyout", key, "-out", certificate], check=True, capture_output=True)
    with FixedServer(lambda request: (200, {}, BUNDLE)) as server:
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.load_cert_chain(certificate, key)
        server._server.socket = context.wrap_socket(server._server.socket, server_side=True)
        url = server.url.replace("http:", "https:") + "/a.zip"
        assert check(cluster, url, ca_path=certificate)["findings"] == []
        (finding,) = check(cluster, url)["findings"]
    assert finding["code"] == "bundle-missing" and "certificate verify failed" in finding["message"].lower()


def test_nobody_answers(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(pod_program, "NETWORK_TIMEOUT", 0.1)
    request = {"url": "http://127.0.0.1:1/a.zip", "limit": 1, "validate_certs": True, "trusted": "", "environment": {}}
    fetch = pod_program.fetch_here(request)
    assert fetch.kind == "unreachable" and "refused" in fetch.problem


def test_the_network_of_a_young_pod_is_waited_for() -> None:
    """Policies that allow something come into force late; the wait is no part of the download's time."""
    with socket.socket() as later:
        later.bind(("127.0.0.1", 0))
        url = f"http://127.0.0.1:{later.getsockname()[1]}/a.zip"
        started = time.monotonic()
        pod_program.await_network(url, {}, 0.2)
        assert 0.2 <= time.monotonic() - started < 5
        threading.Timer(0.7, later.listen).start()
        pod_program.await_network(url, {}, 60)
        assert time.monotonic() - started < 30
    for url in ("http:///", "ftp://store/a.zip", "http://[/"):
        pod_program.await_network(url, {}, 60)
    assert time.monotonic() - started < 30


RBAC = 'pods is forbidden: User "ci" cannot create resource "pods" in API group "" in the namespace "tyk"'
SECRETS = 'secrets is forbidden: User "ci" cannot create resource "secrets" in API group "" in the namespace "tyk"'
QUOTA = 'pods "x" is forbidden: exceeded quota: q, requested: pods=1, used: pods=1, limited: pods=1'
PROFILE = 'pods "x" is forbidden: violates PodSecurity "restricted:latest": seccompProfile'
HOOK = 'admission webhook "policy.example" denied the request: images from python are not allowed'


@pytest.mark.parametrize(
    "kind, reply, code, words",
    [
        ("pods", failure(403, RBAC), "cluster-forbidden", "The user ci may not create pods in the namespace tyk"),
        ("secrets", failure(403, SECRETS), "cluster-forbidden", "The user ci may not create secrets in"),
        ("pods", failure(401, "Unauthorized"), "cluster-forbidden", "does not know the credentials"),
        ("pods", failure(403, QUOTA), "pod-failed", "was refused in the namespace tyk"),
        ("pods", failure(403, PROFILE), "pod-failed", 'violates PodSecurity "restricted:latest"'),
        ("pods", failure(400, HOOK), "pod-failed", "denied the request"),
        ("pods", failure(500, "failed calling webhook policy.example: no endpoints"), "pod-failed", "failed calling webhook"),
        ("pods", failure(422, 'Pod "x" is invalid: metadata.labels'), "pod-failed", "is invalid"),
        ("pods", failure(503, "etcd is gone"), "cluster-unreachable", "answered HTTP 503: etcd is gone"),
        ("pods", None, "cluster-unreachable", "did not answer"),
    ],
)
def test_the_cluster_refuses(
    cluster: ClusterServer, store: str, kind: str, reply: Optional[Reply], code: str, words: str
) -> None:
    cluster.refusals[("POST", kind)] = [reply]
    result = check(cluster, f"{store}/a.zip")
    assert result["failed"] and result["findings"][0]["code"] == code and words in result["msg"], result
    assert "Traceback" not in result["msg"] and TOKEN not in json.dumps(result)
    assert gone(cluster)


def test_no_such_namespace_and_no_cluster(cluster: ClusterServer, store: str, tmp_path: Path) -> None:
    result = check(cluster, f"{store}/a.zip", namespace="other")
    assert result["findings"][0]["code"] == "setting-invalid" and "There is no namespace other in" in result["msg"]
    result = check(cluster, f"{store}/a.zip", host="http://127.0.0.1:1")
    assert result["findings"][0]["code"] == "cluster-unreachable" and "http://127.0.0.1:1 did not answer" in result["msg"]
    (tmp_path / "broken").write_text("token: secret-word-5\n\t- {")
    for path in (tmp_path / "none", tmp_path / "broken"):
        result = check(cluster, f"{store}/a.zip", host=None, kubeconfig=str(path))
        assert result["findings"][0]["code"] == "cluster-unreachable" and str(path) in result["msg"], result
        assert "secret-word-5" not in result["msg"]


def test_the_cluster_is_found_by_kubeconfig_and_by_environment(
    cluster: ClusterServer, store: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    config = {
        "apiVersion": "v1",
        "kind": "Config",
        "clusters": [{"name": "c", "cluster": {"server": cluster.url}}],
        "users": [{"name": "u", "user": {"token": TOKEN}}],
        "contexts": [{"name": "edge", "context": {"cluster": "c", "user": "u"}}],
    }
    (tmp_path / "config").write_text(json.dumps(config))
    by_file = {"host": None, "api_key": None, "kubeconfig": str(tmp_path / "config"), "context": "edge"}
    assert check(cluster, f"{store}/a.zip", **by_file)["findings"] == []
    result = check(cluster, f"{store}/a.zip", **{**by_file, "context": "none"})
    assert result["findings"][0]["code"] == "cluster-unreachable"
    monkeypatch.setenv("K8S_AUTH_HOST", cluster.url)
    monkeypatch.setenv("K8S_AUTH_API_KEY", TOKEN)
    arguments = {"url": f"{store}/a.zip", "pod": {"namespace": NAMESPACE, "image": "python:3"}}
    assert run_module("bundle_fetch_check", arguments)["findings"] == []


PULL = "rpc error: pull access denied, repository does not exist"


def test_a_module_that_runs_in_a_pod_of_the_cluster_needs_no_kubeconfig(
    cluster: ClusterServer, store: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    from kubernetes.config import kube_config

    def by_service_account(client_configuration: Any) -> None:
        client_configuration.host = cluster.url
        client_configuration.api_key = {"authorization": f"Bearer {TOKEN}"}

    access = {"host": None, "api_key": None}
    monkeypatch.setattr(kube_config, "KUBE_CONFIG_DEFAULT_LOCATION", "/nonexistent/config")
    nothing = check(cluster, f"{store}/a.zip", **access)
    assert nothing["findings"][0]["code"] == "cluster-unreachable" and "kubeconfig" in nothing["msg"], nothing
    monkeypatch.setattr("kubernetes.config.load_incluster_config", by_service_account)
    assert check(cluster, f"{store}/a.zip", **access)["findings"] == []


@pytest.mark.parametrize(
    "states, code, words",
    [
        ([waiting("ErrImagePull", PULL), waiting("ImagePullBackOff", "Back-off")], "image-missing", f"(ErrImagePull): {PULL}."),
        ([waiting("ImagePullBackOff", "Back-off pulling image")], "image-missing", "cannot get its image (ImagePullBackOff)"),
        ([waiting("CreateContainerConfigError", "image will run as root")], "pod-failed", "image will run as root"),
        ([terminated(128, 'exec: "python3": not found', "StartError")], "pod-failed", "Python 3.8 or later"),
        ([terminated(1, "Traceback:\n  x\nSyntaxError: future feature annotations")], "pod-failed", "(Error): SyntaxError:"),
        ([terminated(0, "")], "pod-failed", "what it said cannot be read"),
        ([{"status": {"phase": "Failed", "reason": "Evicted", "message": "low on memory"}}], "pod-failed", "(Evicted): low"),
    ],
)
def test_the_pod_does_not_get_to_its_work(
    cluster: ClusterServer, store: str, states: List[Dict[str, Any]], code: str, words: str
) -> None:
    cluster.states = states
    result = check(cluster, f"{store}/a.zip")
    assert result["failed"] and result["findings"][0]["code"] == code and words in result["msg"], result
    assert gone(cluster)


UNSCHEDULED = {"conditions": [{"type": "PodScheduled", "message": "0/3 nodes are available: 3 had taints."}]}


@pytest.mark.parametrize(
    "states, words",
    [
        ([{"status": {"phase": "Pending", **UNSCHEDULED}}], "no node was found for it: 0/3 nodes are available: 3 had taints."),
        ([waiting("ContainerCreating")], "its container was not started (ContainerCreating)"),
        ([status({"running": {}})], "s after its start"),
    ],
)
def test_the_pod_is_not_there_or_not_done_in_time(
    cluster: ClusterServer, store: str, monkeypatch: pytest.MonkeyPatch, states: List[Dict[str, Any]], words: str
) -> None:
    monkeypatch.setattr(pod_fetch, "NETWORK_TIMEOUT", 0)
    monkeypatch.setattr(pod_fetch, "SLACK", -2.9)
    cluster.states = states
    result = check(cluster, f"{store}/a.zip", timeout=0.2, limit=1)
    assert result["findings"][0]["code"] == "pod-failed" and words in result["msg"], result
    assert gone(cluster)


def test_a_cluster_that_is_silent_for_a_moment_is_asked_again(cluster: ClusterServer, store: str) -> None:
    cluster.refusals[("GET", "pods")] = [None, failure(503, "busy"), None]  # the first is the list of what was left
    cluster.refusals[("DELETE", "pods")] = [None]
    assert check(cluster, f"{store}/a.zip")["findings"] == []
    assert gone(cluster)


def test_a_pod_that_cannot_be_removed_is_named(cluster: ClusterServer, store: str) -> None:
    words = 'User "ci" cannot delete resource "pods"'
    cluster.refusals[("DELETE", "pods")] = [failure(403, words)]
    (finding,) = check(cluster, f"{store}/a.zip")["findings"]
    assert (finding["severity"], finding["code"]) == ("warning", "pod-failed")
    (name,) = cluster.pods
    assert f"kubectl delete pod --namespace tyk {name}" in finding["remedy"]
    cluster.refusals.update({("DELETE", "pods"): [failure(403, words)], ("POST", "secrets"): [failure(403, SECRETS)]})
    result = check(cluster, f"{store}/a.zip")
    assert result["findings"][0]["code"] == "cluster-forbidden" and "may be left in the namespace tyk" in result["msg"]


def test_what_killed_runs_left_is_removed(cluster: ClusterServer, store: str) -> None:
    spec = {"activeDeadlineSeconds": 100}
    for name, created in (("old", "2026-11-27T09:57:00Z"), ("young", "2026-11-27T09:58:00Z"), ("odd", "")):
        cluster.pods[name] = {"metadata": {"name": name, "creationTimestamp": created}, "spec": spec}
    assert check(cluster, f"{store}/a.zip")["findings"] == []
    assert sorted(cluster.pods) == ["odd", "young"]
    asked = [one for one in cluster.requests if one.method == "GET" and one.path.endswith("/pods")]
    assert asked[0].query == {"labelSelector": OWN_LABEL}
    cluster.refusals[("GET", "pods")] = [failure(403, 'User "ci" cannot list resource "pods"')]
    assert check(cluster, f"{store}/a.zip")["findings"] == []


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGHUP])
def test_a_run_that_is_ended_removes_its_pod(cluster: ClusterServer, store: str, number: signal.Signals) -> None:
    cluster.states = [waiting("ContainerCreating")]
    threading.Timer(0.5, os.kill, (os.getpid(), number)).start()
    with pytest.raises(AssertionError, match=f"ended with {128 + number}"):
        check(cluster, f"{store}/a.zip")
    assert gone(cluster)


def test_check_mode_makes_nothing(cluster: ClusterServer, store: str) -> None:
    result = check(cluster, f"{store}/a.zip", in_check_mode=True)
    assert result["means"].startswith("none in check mode") and result["findings"] == []
    assert [(one.method, one.query) for one in cluster.requests] == [("POST", {"dryRun": "All"})]
    cluster.refusals[("POST", "pods")] = [failure(403, QUOTA)]
    assert "exceeded quota" in check(cluster, f"{store}/a.zip", in_check_mode=True)["msg"]


@pytest.mark.parametrize(
    "arguments, words",
    [
        ({"container": "gw"}, "mutually exclusive: pod|container"),
        ({"load_with": []}, "mutually exclusive: pod|load_with"),
        ({"beside": ["b.zip"]}, "mutually exclusive: pod|beside"),
        ({"url": "file:///a.zip"}, "sees no file of a gateway"),
        ({"pod": {"namespace": "n", "image": "i", "labels": {"pod-template-hash": "1"}}}, "pod-template-hash"),
        ({"pod": {"namespace": "n", "image": "i", "timeout": 0}}, "pod.timeout is 0"),
        ({"pod": {"namespace": "n", "image": "i", "ca_path": "/none"}}, "No certificates (PEM) can be read from /none"),
    ],
)
def test_settings_that_cannot_work(arguments: Dict[str, Any], words: str) -> None:
    pytest.importorskip("kubernetes")
    given = {"url": "http://127.0.0.1:1/a.zip", "pod": {"namespace": "n", "image": "i"}, **arguments}
    result = run_module("bundle_fetch_check", given)
    assert result["failed"] and words in result["msg"], result


def test_a_missing_library(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(bundle_fetch_check, "KUBERNETES_IMPORT_ERROR", ImportError("none"))
    result = run_module("bundle_fetch_check", {"url": "http://s/a.zip", "pod": {"namespace": "n", "image": "i"}})
    assert result["failed"] and "kubernetes (the Kubernetes client for Python)" in result["msg"]


def test_last_words_are_never_too_long() -> None:
    fetch = Fetch(problem="\u00e9" * 9000, content_type="t" * 9000, head="\x00" * 256, proxies=["p" * 9000] * 9)
    assert len(json.dumps(pod_program.shortened(fetch)).encode()) < MAXIMUM_MESSAGE


def test_the_program_is_small_enough_for_a_secret() -> None:
    assert len(pod_program.packed()) < 100_000
