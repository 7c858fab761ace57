# Copyright (c) 2026 tyk.upgrade contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""A thin layer over the Kubernetes client: connecting as kubernetes.core does, pods and Secrets, sentences for errors."""

from __future__ import annotations

import json
import re
from dataclasses import dataclass
from typing import Any, Callable, Dict, List, Mapping, Optional

from ansible_collections.tyk.upgrade.plugins.module_utils._clients.errors import ClientError, mask_url

try:
    import urllib3.exceptions
    from kubernetes import client, config
    from kubernetes.client.rest import ApiException

    KUBERNETES_IMPORT_ERROR: Optional[BaseException] = None
except ImportError as import_error:
    KUBERNETES_IMPORT_ERROR = import_error

CONNECT_TIMEOUT, READ_TIMEOUT = 5, 20
_NO_RIGHT = re.compile(r'User "(?P<user>[^"]*)" cannot (?P<verb>\w+) resource "(?P<what>[^"]*)"')
RIGHTS = "Give it the rights that the documentation of tyk.upgrade.bundle_fetch_check lists."


class Unanswered(ClientError):
    """The cluster said nothing, or that it cannot answer now: what was asked for may have been done or not."""


class Gone(ClientError):
    """What was asked for does not exist."""


@dataclass(frozen=True)
class Access:
    """How the cluster is reached; what is not set is taken from where Kubernetes' own clients look."""

    kubeconfig: Optional[str] = None
    context: Optional[str] = None
    host: Optional[str] = None
    api_key: Optional[str] = None
    ca_cert: Optional[str] = None
    verify_ssl: Optional[bool] = None


class Cluster:
    """The pods and Secrets of a cluster, as plain dicts. Errors are ClientErrors."""

    def __init__(self, access: Access) -> None:
        self._client = _connected(access)
        self._client.configuration.retries = False
        self.host = mask_url(str(self._client.configuration.host))
        self._core = client.CoreV1Api(self._client)

    def close(self) -> None:
        self._client.close()

    def create_pod(self, namespace: str, pod: Mapping[str, Any], dry_run: bool = False) -> Dict[str, Any]:
        options = {"dry_run": "All"} if dry_run else {}
        return self._call(namespace, "pod", lambda **more: self._core.create_namespaced_pod(namespace, pod, **options, **more))

    def pod(self, namespace: str, name: str) -> Dict[str, Any]:
        return self._call(namespace, "pod", lambda **more: self._core.read_namespaced_pod(name, namespace, **more))

    def pods(self, namespace: str, label: str) -> List[Dict[str, Any]]:
        found = self._call(
            namespace, "pod", lambda **more: self._core.list_namespaced_pod(namespace, label_selector=label, **more)
        )
        return list(found.get("items") or [])

    def delete_pod(self, namespace: str, name: str) -> None:
        """Gone when this returns. The node ends its process, if that still runs."""
        self._call(
            namespace,
            "pod",
            lambda **more: self._core.delete_namespaced_pod(name, namespace, grace_period_seconds=0, **more),
        )

    def create_secret(self, namespace: str, secret: Mapping[str, Any]) -> None:
        self._call(namespace, "Secret", lambda **more: self._core.create_namespaced_secret(namespace, secret, **more))

    def delete_secret(self, namespace: str, name: str) -> None:
        self._call(namespace, "Secret", lambda **more: self._core.delete_namespaced_secret(name, namespace, **more))

    def _call(self, namespace: str, kind: str, ask: Callable[..., Any]) -> Dict[str, Any]:
        try:
            answer = ask(_preload_content=False, _request_timeout=(CONNECT_TIMEOUT, READ_TIMEOUT))
            content = json.loads(answer.data or b"{}")
        except ApiException as problem:
            raise self._refusal(problem, namespace, kind) from problem
        except (urllib3.exceptions.HTTPError, OSError, ValueError) as problem:
            reason = getattr(problem, "reason", None) or problem
            raise self._unanswered(f"did not answer: {_short(reason)}") from problem
        return dict(content)

    def _unanswered(self, what: str) -> Unanswered:
        remedy = "Check the address, the network and the certificate of its API server."
        return Unanswered("cluster-unreachable", self.host, f"The Kubernetes cluster at {self.host} {what}.", remedy)

    def _refusal(self, problem: Any, namespace: str, kind: str) -> ClientError:
        """What an answer that is no success means."""
        status, said = int(problem.status or 0), _message_of(problem)
        place = f"the namespace {namespace} of the cluster at {self.host}"
        missing = _NO_RIGHT.search(said)
        if status == 401:
            sentence = f"The Kubernetes cluster at {self.host} does not know the credentials ({said})."
            return ClientError("cluster-forbidden", self.host, sentence, "Give others, or renew these.")
        if status == 403 and missing:
            sentence = f"The user {missing['user']} may not {missing['verb']} {missing['what']} in {place}."
            return ClientError("cluster-forbidden", namespace, sentence, RIGHTS)
        if status == 404 and said.startswith("namespaces "):
            remedy = "Give the namespace of the gateways."
            sentence = f"There is no namespace {namespace} in the cluster at {self.host}."
            return ClientError("setting-invalid", namespace, sentence, remedy)
        if status == 404:
            return Gone("pod-failed", namespace, f"The {kind} is not in {place} any more ({said}).", "Try again.")
        if status in (400, 403, 409, 422) or "webhook" in said:
            remedy = "Ask who runs the cluster which quota, limit or policy stands against it, or use another namespace."
            return ClientError("pod-failed", namespace, f"The {kind} was refused in {place}: {said}.", remedy)
        return self._unanswered(f"answered HTTP {status}: {said}" if status else f"did not answer: {said}")


def _connected(access: Access) -> Any:
    try:
        by_file = access.kubeconfig or access.context or not access.host
        settings = _by_file(access) if by_file else client.Configuration()
        if access.host:
            settings.host = access.host
        if access.api_key:
            settings.api_key = {"authorization": f"Bearer {access.api_key}"}
        if access.ca_cert:
            settings.ssl_ca_cert = access.ca_cert
        if access.verify_ssl is not None:
            settings.verify_ssl = access.verify_ssl
        if settings.ssl_ca_cert:
            with open(settings.ssl_ca_cert, "rb"):
                pass  # a file that is not there would be told as a fault of the network
        return client.ApiClient(settings)
    except config.ConfigException as problem:
        said = str(problem).rstrip(".")
    except Exception as problem:  # a kubeconfig may be anything, and the texts of its parser repeat lines with secrets
        said = f"{type(problem).__name__}{f' ({problem.strerror})' if isinstance(problem, OSError) else ''}"
    where = access.kubeconfig or "the KUBECONFIG of the environment, ~/.kube/config or this pod's service account"
    raise ClientError(
        "cluster-unreachable",
        "Kubernetes",
        f"How the Kubernetes cluster is reached cannot be read from {where}: {said}.",
        "Give kubeconfig (and context), or host and api_key.",
    )


def _by_file(access: Access) -> Any:
    """By a kubeconfig; where none is named and none lies where it is looked for, as the pod that this runs in."""
    try:
        return config.new_client_from_config(access.kubeconfig, access.context).configuration
    except config.ConfigException:
        if access.kubeconfig or access.context:
            raise
        settings = client.Configuration()
        config.load_incluster_config(client_configuration=settings)
        return settings


def _message_of(problem: Any) -> str:
    """The text of a Status object, on one line and without its full stop."""
    try:
        text = str(json.loads(problem.body)["message"])
    except (TypeError, ValueError, KeyError):
        text = str(problem.reason or "no reason given")
    return _short(text)


def _short(reason: object) -> str:
    text = " ".join(str(reason).split())
    return re.sub(r"^<[^>]*>: |^\w+\([^)]*\): ", "", text)[:600].rstrip(".")
