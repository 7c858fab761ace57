# Copyright (c) 2026 tyk.upgrade contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""A short-lived pod that does one thing in a namespace: what it looks like, and how far it has come."""

from __future__ import annotations

import base64
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Any, Dict, List, Mapping, Optional, Sequence, Tuple

#: By this label leftovers of killed runs are found.
OWN_LABEL = "tyk-upgrade/short-lived"
CONTAINER = "task"
FOLDER = "/tyk-upgrade"
TERMINATION_LOG = "/dev/termination-log"
#: What a cluster keeps of a container's last words (kubernetes, pkg/kubelet/container, MaxContainerTerminationMessageLength).
MAXIMUM_MESSAGE = 4096
NOBODY = 65534
#: Labels by which the controllers of a gateway's pods take a pod for one of their own.
CONTROLLER_LABELS = ("pod-template-hash", "controller-revision-hash", "statefulset.kubernetes.io/pod-name")
#: How a cluster's clock and the end of a pod may differ from what is reckoned.
GRACE = 60

_FIRST_PULL = "ErrImagePull"
_NOT_PULLED = ("ImagePullBackOff", "InvalidImageName", "ErrImageNeverPull")
_NOT_MADE = ("CreateContainerConfigError", "CreateContainerError", "RunContainerError")


@dataclass(frozen=True)
class PodSettings:
    """Where a pod is to stand and what it runs; `run_as_user` 0 leaves the user to the cluster."""

    namespace: str
    image: str
    labels: Mapping[str, str] = field(default_factory=dict)
    node_selector: Mapping[str, str] = field(default_factory=dict)
    tolerations: Sequence[Mapping[str, Any]] = ()
    service_account: Optional[str] = None
    image_pull_secrets: Sequence[str] = ()
    run_as_user: int = NOBODY


@dataclass(frozen=True)
class PodState:
    """How far a pod has come: `ended`, or `problem` says why it never will, or `waiting` says for what it waits."""

    node: str = ""
    running: bool = False
    ended: bool = False
    message: str = ""
    waiting: str = ""
    #: The code of a finding, the end of a sentence that begins with the pod, and what to do.
    problem: Optional[Tuple[str, str, str]] = None
    #: The same for what may pass, and says more than what follows if it does not.
    doubt: Optional[Tuple[str, str, str]] = None


def pod_manifest(name: str, settings: PodSettings, command: Sequence[str], lifetime: int) -> Dict[str, Any]:
    """The pod; what it needs lies in a Secret of the same name.

    It ends by itself after `lifetime` seconds. It is never ready, so no Service sends it requests whatever its labels.
    Namespaces that enforce the "restricted" profile of the Pod Security Standards take it.
    """
    context: Dict[str, Any] = {"runAsNonRoot": True, "seccompProfile": {"type": "RuntimeDefault"}}
    if settings.run_as_user:
        context["runAsUser"] = context["runAsGroup"] = settings.run_as_user
    spec: Dict[str, Any] = {
        "restartPolicy": "Never",
        "activeDeadlineSeconds": lifetime,
        "terminationGracePeriodSeconds": 1,
        "automountServiceAccountToken": False,
        "enableServiceLinks": False,
        "securityContext": context,
        "readinessGates": [{"conditionType": f"{OWN_LABEL}-is-never-ready"}],
        "nodeSelector": {"kubernetes.io/os": "linux", **settings.node_selector},
        "tolerations": [dict(one) for one in settings.tolerations],
        "imagePullSecrets": [{"name": one} for one in settings.image_pull_secrets],
        "volumes": [{"name": "task", "secret": {"secretName": name, "defaultMode": 0o444}}],
        "containers": [
            {
                "name": CONTAINER,
                "image": settings.image,
                "command": list(command),
                "resources": {
                    "requests": {"cpu": "10m", "memory": "32Mi"},
                    "limits": {"cpu": "1", "memory": "128Mi"},
                },
                "securityContext": {
                    "allowPrivilegeEscalation": False,
                    "capabilities": {"drop": ["ALL"]},
                    "readOnlyRootFilesystem": True,
                },
                "terminationMessagePath": TERMINATION_LOG,
                "terminationMessagePolicy": "FallbackToLogsOnError",
                "volumeMounts": [{"name": "task", "mountPath": FOLDER, "readOnly": True}],
            }
        ],
    }
    if settings.service_account:
        spec["serviceAccountName"] = settings.service_account
    metadata = {"name": name, "labels": {**settings.labels, OWN_LABEL: "true"}}
    return {"apiVersion": "v1", "kind": "Pod", "metadata": metadata, "spec": spec}


def secret_manifest(pod: Mapping[str, Any], files: Mapping[str, bytes]) -> Dict[str, Any]:
    """The Secret of a pod that exists; the cluster removes it with the pod, whoever removes that."""
    metadata = pod["metadata"]
    owner = {"apiVersion": "v1", "kind": "Pod", "name": metadata["name"], "uid": metadata["uid"]}
    return {
        "apiVersion": "v1",
        "kind": "Secret",
        "type": "Opaque",
        "metadata": {"name": metadata["name"], "labels": {OWN_LABEL: "true"}, "ownerReferences": [owner]},
        "data": {name: base64.b64encode(content).decode("ascii") for name, content in files.items()},
    }


def state_of(pod: Mapping[str, Any]) -> PodState:
    """What a pod's status says, as the API answers."""
    status: Mapping[str, Any] = pod.get("status") or {}
    node = str((pod.get("spec") or {}).get("nodeName") or "")
    state = _container_state(status)
    ended: Optional[Mapping[str, Any]] = state.get("terminated")
    if ended is not None:
        message = str(ended.get("message") or "").strip()
        if not ended.get("exitCode"):
            return PodState(node, ended=True, message=message)
        why = f"ended with the exit code {ended['exitCode']} ({ended.get('reason') or 'Error'}){_said(message)}"
        return PodState(node, problem=("pod-failed", why, "Give an image with Python 3.8 or later as python3 in its PATH."))
    if status.get("phase") == "Failed" or (pod.get("metadata") or {}).get("deletionTimestamp"):
        why = f"was ended by the cluster ({status.get('reason') or 'it is being deleted'}){_said(status.get('message'))}"
        return PodState(node, problem=("pod-failed", why, "See the events of the namespace, and try again."))
    waiting: Mapping[str, Any] = state.get("waiting") or {}
    reason = str(waiting.get("reason") or "")
    message = str(waiting.get("message") or "")
    if reason in (*_NOT_PULLED, _FIRST_PULL):
        remedy = "Name an image that its node can pull, and give image_pull_secrets where its registry wants a login."
        found = ("image-missing", f"cannot get its image ({reason}){_said(message)}", remedy)
        if reason == _FIRST_PULL:
            return PodState(node, waiting=f"its image was not there{_said(message)}", doubt=found)
        return PodState(node, problem=found)
    if reason in _NOT_MADE:
        remedy = "Give an image that a user without privileges can run, and in run_as_user one that the cluster allows."
        return PodState(node, problem=("pod-failed", f"cannot be started ({reason}){_said(message)}", remedy))
    if state.get("running") is not None:
        return PodState(node, running=True)
    if not node:
        return PodState(waiting=f"no node was found for it{_said(_condition(status, 'PodScheduled'))}")
    return PodState(node, waiting=f"its container was not started ({reason or 'Pending'}){_said(message)}")


def left_over(pods: Sequence[Mapping[str, Any]], own: Mapping[str, Any]) -> List[str]:
    """The names of pods of killed runs: older than they may get, by the clock of the cluster that made our own."""
    now = _created(own)
    found = []
    for pod in pods:
        created, lifetime = _created(pod), (pod.get("spec") or {}).get("activeDeadlineSeconds")
        if now and created and lifetime and created + timedelta(seconds=int(lifetime) + GRACE) < now:
            found.append(str(pod["metadata"]["name"]))
    return found


def _created(pod: Mapping[str, Any]) -> Optional[datetime]:
    try:
        return datetime.strptime(str(pod["metadata"]["creationTimestamp"]), "%Y-%m-%dT%H:%M:%SZ")
    except (KeyError, ValueError):
        return None


def _container_state(status: Mapping[str, Any]) -> Mapping[str, Any]:
    """That of our own container: others may have been put beside it, such as the proxy of a mesh."""
    for one in status.get("containerStatuses") or []:
        if one.get("name") == CONTAINER:
            return dict(one.get("state") or {})
    return {}


def _condition(status: Mapping[str, Any], kind: str) -> str:
    return next((str(one.get("message") or "") for one in status.get("conditions") or [] if one.get("type") == kind), "")


def _said(message: Optional[object]) -> str:
    """The last line of what was said, as the end of a sentence: of a traceback that is the one that counts."""
    lines = [line.strip() for line in str(message or "").splitlines() if line.strip()]
    return f": {lines[-1][:400].rstrip('.')}" if lines else ""
