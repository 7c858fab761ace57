#!/usr/bin/python
# Copyright (c) 2026 tyk.upgrade contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Time the download of a bundle from where a gateway sits."""

from __future__ import annotations

DOCUMENTATION = r"""
module: bundle_fetch_check
short_description: Time the download of a bundle from where a gateway stands
version_added: 0.1.0
author:
  - tyk.upgrade contributors (@tyk-upgrade)
description:
  - Since 4.0.11, 4.3.2 and 5.0.0 a gateway gives a bundle's download five seconds, body included. This module does the
    download from inside the network of the gateway's container and with its name resolution, or from the gateway's
    own host, and says whether it is within the limit.
  - Nothing is started in the container, so it works with images that have no shell. The user who runs the module has to
    be root on the engine's own host then.
  - For gateways in a Kubernetes cluster, a short-lived pod in their namespace makes the download (O(pod)).
  - Proxies that the container has in its environment (C(HTTP_PROXY), C(HTTPS_PROXY), C(NO_PROXY)) are used as its
    gateway uses them. A SOCKS proxy cannot be tried, nor an C(https) proxy for an C(https) address; that is a warning.
  - A C(file) address is read from the file system of the container, with the rights of its process, or from that of the
    host. Gateways know such addresses from 5.3.3 and 5.5.0 on and read them without a time limit.
  - For a gateway that is a Linux package it can also load the plugins of the bundle with the gateway's own program, each
    in a process of its own.
extends_documentation_fragment:
  - tyk.upgrade.attributes
  - tyk.upgrade.docker
attributes:
  check_mode:
    support: full
    details:
      - With O(pod), check mode only asks the cluster whether it would take the pod, and makes nothing.
  diff_mode:
    support: N/A
    details:
      - This module does not change anything that stays.
  idempotent:
    support: full
    details:
      - This module does not change anything that stays.
requirements:
  - "kubernetes >= 24.2.0 (the Kubernetes client for Python; only for O(pod))"
notes:
  - >-
    For O(pod) the user of the cluster needs the rights C(create), C(get) and C(delete) on C(pods) and C(create) on
    C(secrets) in the namespace. With C(list) on C(pods), what killed runs left is removed, too.
options:
  container:
    description:
      - Name of the gateway's container. It must run.
      - If not set, the download is made from the host that runs the module, and no engine is needed.
    type: str
  url:
    description:
      - The bundle's address as the gateway uses it. A user and password in it are used and never printed.
    type: str
    required: true
  versions:
    description:
      - The versions of gateways that are going to use O(url), beside those of O(load_with). That one of them cannot read
        a C(file) address is an error.
    type: list
    elements: str
    default: []
  load_with:
    description:
      - Programs of gateways on the host that runs the module, each of which has to load the bundle's plugins. The bundle
        is downloaded once for all of them.
      - Every file that a version would open is loaded with its C(plugin load) command, which came with 5.0.0;
        several files are also loaded two by two, since they are going to share a process.
      - A program from before 5.0.0 runs as a gateway for a moment instead, on a port of the loopback, without Redis or
        control plane and with no file of the gateway in service, and is judged by what it says about each function.
      - Cannot be used with O(container).
    type: list
    elements: dict
    suboptions:
      binary:
        description: Path of the program.
        type: path
        required: true
      version:
        description: The version that it is.
        type: str
        required: true
      environment:
        description: Environment variables that the plugins need to be loaded. Nothing of the module's own is passed on.
        type: dict
        default: {}
      timeout:
        description: Seconds that each load may take, before 5.0.0 that of all plugins together.
        type: float
        default: 60
  beside:
    description:
      - Other bundles that the gateways of O(load_with) are going to hold at the same time, by address, or by name if they
        lie where O(url) does. They are downloaded, too, and their plugins are loaded into one process with those of
        O(url).
      - Nothing is said about one that cannot be had or used; check each of them as O(url), too.
    type: list
    elements: str
    default: []
  pod:
    description:
      - Make the download in a pod that is made for it and removed at once. It ends by itself if the module is killed.
      - It runs as a user without privileges, without a token of the cluster, and namespaces with the C(restricted)
        profile of the Pod Security Standards take it. It is never ready, so no Service sends it requests.
      - Its time is measured inside, from when it can connect to the store; scheduling, pulling and starting do not
        count.
      - O(url) is handed over in a Secret that belongs to the pod and is removed with it. It does not stand in the pod.
      - Cannot be used with O(container), O(load_with), O(beside), nor with a C(file) address.
    type: dict
    suboptions:
      namespace:
        description: That of the gateways.
        type: str
        required: true
      image:
        description:
          - An image with Python 3.8 or later as C(python3) in its C(PATH). Nothing else is needed in it; an image of
            an execution environment will do.
        type: str
        required: true
      labels:
        description:
          - Labels of the pod. Give those of the gateways that network policies select.
          - Leave out those by which a controller would take the pod for one of its own, such as C(pod-template-hash).
        type: dict
        default: {}
      node_selector:
        description: That of the gateways, so that the pod stands where they do.
        type: dict
        default: {}
      tolerations:
        description: Those of the gateways, as in a manifest.
        type: list
        elements: dict
        default: []
      service_account:
        description: Name of the service account, V(default) if not set. Its token is not given to the pod.
        type: str
      image_pull_secrets:
        description: Names of Secrets with logins to registries.
        type: list
        elements: str
        default: []
      run_as_user:
        description:
          - The number of the user that the pod runs as.
          - V(0) leaves it to the cluster, as OpenShift wants it, or to the image; the pod never runs as root.
        type: int
        default: 65534
      environment:
        description:
          - Variables of the gateways' environment. C(HTTP_PROXY), C(HTTPS_PROXY), C(NO_PROXY), C(SSL_CERT_FILE) and
            C(SSL_CERT_DIR) are used as a gateway uses them, others are not sent.
        type: dict
        default: {}
      ca_path:
        description:
          - A file on the host that runs the module with the certificates of authorities to trust for O(url).
          - If not set, those in O(pod.image) are trusted.
        type: path
      timeout:
        description: Seconds that scheduling, pulling the image and starting may take together.
        type: float
        default: 120
      kubeconfig:
        description:
          - Path of the kubeconfig. The environment variable E(K8S_AUTH_KUBECONFIG) stands in for it.
          - If not set, E(KUBECONFIG) or C(~/.kube/config) is used, and in a pod without one its service account.
        type: path
      context:
        description: The context in the kubeconfig. The environment variable E(K8S_AUTH_CONTEXT) stands in for it.
        type: str
      host:
        description: Address of the API server. The environment variable E(K8S_AUTH_HOST) stands in for it.
        type: str
      api_key:
        description: A bearer token. The environment variable E(K8S_AUTH_API_KEY) stands in for it.
        type: str
      ca_cert:
        description:
          - File with the authority of the API server's certificate. The environment variable E(K8S_AUTH_SSL_CA_CERT)
            stands in for it.
        type: path
      verify_ssl:
        description:
          - Whether the API server's certificate is verified. The environment variable E(K8S_AUTH_VERIFY_SSL) stands in
            for it.
        type: bool
  sha256:
    description:
      - What the content has to be.
      - If not set, content that is plainly no bundle is found all the same, such as the page of a login.
    type: str
  limit:
    description:
      - Seconds that the whole download may take.
    type: float
    default: 5
  validate_certs:
    description:
      - Whether the certificate of an C(https) address is verified, with the authorities that the container trusts (its
        files and folders of certificates, C(SSL_CERT_FILE) and C(SSL_CERT_DIR)), or those of the host.
      - Set it like the gateway's C(bundle_insecure_skip_verify).
    type: bool
    default: true
"""

EXAMPLES = r"""
- name: See whether the gateway can download the bundle in time
  tyk.upgrade.bundle_fetch_check:
    container: tyk-gateway
    url: http://bundles.example.com/header-t0123456789ab.zip
  register: fetched

- name: See whether an installed gateway can download it, and its program and that of the next version load it
  tyk.upgrade.bundle_fetch_check:
    url: http://bundles.example.com/header-t0123456789ab.zip
    load_with:
      - binary: /opt/tyk-gateway/tyk
        version: 5.3.0
      - binary: /var/lib/tyk-upgrade/staged/tyk-gateway-5.8.9/bin/tyk
        version: 5.8.9

- name: See whether gateways in a cluster can download it, from a pod like theirs
  tyk.upgrade.bundle_fetch_check:
    url: http://bundles.example.com/header-t0123456789ab.zip
    pod:
      namespace: tyk
      image: registry.example.com/python:3.12
      labels:
        app.kubernetes.io/name: tyk-gateway
      node_selector:
        pool: edge
      context: production
  delegate_to: localhost
  register: fetched
  failed_when: fetched is failed or fetched.findings | selectattr('severity', 'equalto', 'error') | length > 0
"""

RETURN = r"""
seconds:
  description: How long the download took, or how long it was tried.
  returned: success, with O(pod) not in check mode
  type: float
bytes:
  description: How much arrived.
  returned: success, with O(pod) not in check mode
  type: int
sha256:
  description: The checksum of what arrived, empty if not all of it did.
  returned: success, with O(pod) not in check mode
  type: str
means:
  description: From where it was downloaded, and through which proxy.
  returned: success
  type: str
  sample: network namespace of the container tyk-gateway
loaded:
  description: What was loaded.
  returned: when O(load_with) is given
  type: list
  elements: dict
  contains:
    version:
      description: The version that loaded it.
      type: str
    file:
      description: The file, or with commas between them those that were loaded into one process.
      type: str
    symbol:
      description: The function that was looked up.
      type: str
    rc:
      description: The exit code, null if it did not end in time.
      type: int
    ok:
      description: Whether it can be loaded, and the function is of the type that its hooks need.
      type: bool
    message:
      description: What the gateway's program said, shortened.
      type: str
    package:
      description: The package that differs, empty if that is not what is wrong.
      type: str
findings:
  description: What is wrong.
  returned: always
  type: list
  elements: dict
"""

import posixpath
import socket
import ssl
import tempfile
from contextlib import ExitStack, contextmanager
from typing import Any, Dict, Iterator, List, Optional, Tuple
from urllib.parse import urlsplit, urlunsplit

from ansible.module_utils.basic import AnsibleModule, env_fallback

from ansible_collections.tyk.upgrade.plugins.module_utils._clients.docker_engine import (
    Engine,
    EngineError,
    configured_environment,
)
from ansible_collections.tyk.upgrade.plugins.module_utils._clients.errors import ClientError, mask_url, url_secrets
from ansible_collections.tyk.upgrade.plugins.module_utils._clients.gateway_bundles import process_of
from ansible_collections.tyk.upgrade.plugins.module_utils._clients.host_plugins import Loader, try_bundle
from ansible_collections.tyk.upgrade.plugins.module_utils._clients.http import page_instead
from ansible_collections.tyk.upgrade.plugins.module_utils._clients.kubernetes_api import (
    KUBERNETES_IMPORT_ERROR,
    Access,
    Cluster,
)
from ansible_collections.tyk.upgrade.plugins.module_utils._clients.netns import (
    FILE,
    Fetch,
    fetch_as,
    fetch_from,
    path_of,
    tls_context,
)
from ansible_collections.tyk.upgrade.plugins.module_utils._clients.pod_fetch import PodFetch, Wanted
from ansible_collections.tyk.upgrade.plugins.module_utils._domain.behaviours import behaves, source
from ansible_collections.tyk.upgrade.plugins.module_utils._domain.findings import (
    Finding,
    Severity,
    error,
    to_dicts,
    warning,
)
from ansible_collections.tyk.upgrade.plugins.module_utils._domain.pods import CONTROLLER_LABELS, NOBODY, PodSettings
from ansible_collections.tyk.upgrade.plugins.module_utils._domain.proxies import settings
from ansible_collections.tyk.upgrade.plugins.module_utils._domain.versions import Version
from ansible_collections.tyk.upgrade.plugins.module_utils._engine_module import hide_proxies, run_engine_module
from ansible_collections.tyk.upgrade.plugins.module_utils._http_module import hide_url, require

#: From this share of the limit on the next slower moment of the network is too slow.
NEAR = 0.6

#: How the cluster is reached, and the variables that kubernetes.core and automation platforms use for it.
ACCESS = {
    "kubeconfig": {"type": "path", "fallback": (env_fallback, ["K8S_AUTH_KUBECONFIG"])},
    "context": {"type": "str", "fallback": (env_fallback, ["K8S_AUTH_CONTEXT"])},
    "host": {"type": "str", "fallback": (env_fallback, ["K8S_AUTH_HOST"])},
    "api_key": {"type": "str", "no_log": True, "fallback": (env_fallback, ["K8S_AUTH_API_KEY"])},
    "ca_cert": {"type": "path", "fallback": (env_fallback, ["K8S_AUTH_SSL_CA_CERT"])},
    "verify_ssl": {"type": "bool", "fallback": (env_fallback, ["K8S_AUTH_VERIFY_SSL"])},
}
POD = {
    **ACCESS,
    "namespace": {"type": "str", "required": True},
    "image": {"type": "str", "required": True},
    "labels": {"type": "dict", "default": {}},
    "node_selector": {"type": "dict", "default": {}},
    "tolerations": {"type": "list", "elements": "dict", "default": []},
    "service_account": {"type": "str"},
    "image_pull_secrets": {"type": "list", "elements": "str", "default": [], "no_log": False},
    "run_as_user": {"type": "int", "default": NOBODY},
    "environment": {"type": "dict", "default": {}},
    "ca_path": {"type": "path"},
    "timeout": {"type": "float", "default": 120},
}


def judge(fetch: Fetch, place: str, url: str, limit: float, sha256: str) -> List[Finding]:
    """What is wrong with a download; `url` is fit to be printed, `place` says from where."""
    subject = f"{place}: {url}"
    wrong = unfetched(fetch, place, url, limit)
    if wrong is not None:
        return [wrong]
    position = position_of(place, url)
    page = page_instead(fetch.content_type, fetch.head, position, url)
    if sha256 and fetch.sha256 == sha256.lower():
        found = ""
    elif page:
        found = page
    elif sha256:
        found = (
            f"{position}, {url} is another file than the one published: its sha256 is {fetch.sha256}, not "
            f"{sha256.lower()}."
        )
    else:
        found = "" if fetch.head.startswith("PK") else f"{position}, {url} is no zip and so no bundle."
    if found:
        remedy = "Check that the gateway's bundle_base_url is the store published to, without a login or a cache between."
        return [error("bundle-invalid", subject, found, remedy)]
    if fetch.seconds > limit * NEAR and not url.startswith(FILE):
        return [
            warning(
                "bundle-slow",
                subject,
                f"{position}, {url} took {fetch.seconds:.1f} of the {limit:g} s that a gateway gives it.",
                "Bring the store nearer to the gateway, or make the bundle smaller.",
            )
        ]
    return []


def unfetched(fetch: Fetch, place: str, url: str, limit: float) -> Optional[Finding]:
    """Why there is no content to look at."""
    subject, position = f"{place}: {url}", position_of(place, url)
    if fetch.kind == "late":
        of = f" of {fetch.length}" if fetch.length is not None else ""
        return error(
            "bundle-slow",
            subject,
            f"{position}, {fetch.bytes}{of} bytes of {url} arrived within {limit:g} s, and a gateway gives the download "
            "no longer.",
            "Bring the store nearer to the gateway, or make the bundle smaller (strip the plugins).",
        )
    if fetch.kind == "local":
        return error(
            "disk-small",
            subject,
            f"{url} arrived but could not be kept in the temporary folder of the host that runs the task "
            f"({fetch.problem}).",
            f"Make room on the file system of {tempfile.gettempdir()}.",
        )
    if fetch.kind == "untried":
        return warning(
            "driver-unsupported",
            subject,
            f"{position}, the download of {url} could not be tried: {fetch.problem}.",
            "See in the gateway's log that it fetches its bundles.",
        )
    if fetch.kind:
        verb = "read" if url.startswith(FILE) else "downloaded"
        return error(
            "bundle-missing",
            subject,
            f"{position}, {url} cannot be {verb}: {fetch.problem}.",
            "Check the address as the gateway sees it (bundle_base_url), the store and the network between.",
        )
    return None


def position_of(place: str, url: str) -> str:
    return f"{'In the file system' if url.startswith(FILE) else 'From the network'} of {place}"


def unread_by(versions: List[str], place: str, url: str) -> List[Finding]:
    """Gateways that cannot read a file address at all."""
    if not url.startswith(FILE):
        return []
    blind = [version for version in versions if not behaves(version, "reads-file-addresses")]
    if versions and not blind:
        return []
    what = f"gateways {', '.join(blind)} cannot" if blind else "not every gateway can, and which this is is not known"
    make = error if blind else warning
    return [
        make(
            "bundle-missing",
            f"{place}: {url}",
            f"{url} is an address of a file; {what}: those from 5.3.3 and from 5.5.0 on can read it.",
            "Give gateways an http or https address (bundle_base_url)." if blind else "Give their versions.",
            source("reads-file-addresses"),
        )
    ]


def hide(module: AnsibleModule) -> None:
    """Keep what addresses hold out of what is printed, and refuse those that cannot be read."""
    hide_url(module, module.params["url"], *(one for one in module.params["beside"] if "://" in one))


def means_of(fetch: Fetch, means: str) -> str:
    through = f", through the proxy {' and '.join(fetch.proxies)}" if fetch.proxies else ""
    return f"{means}{through}"


def check(module: AnsibleModule, engine: Engine) -> Dict[str, Any]:
    params = module.params
    name, url, limit = params["container"], params["url"], params["limit"]
    pid = process_of(engine, name)
    environment = configured_environment(engine.container(name).get("Config") or {})
    hide_proxies(module, environment)
    fetch = fetch_from(pid, environment, url, limit, params["validate_certs"])
    part = "file system" if url.startswith(FILE) else "network"
    if fetch.kind == "forbidden":
        raise EngineError(
            error(
                "driver-unsupported",
                name,
                f"The {part} of the container {name} cannot be entered: {fetch.problem}.",
                "Run the module as root on the engine's host (become: true).",
            )
        )
    shown = mask_url(url)
    found = [*unread_by(params["versions"], name, shown), *judge(fetch, name, shown, limit, params["sha256"] or "")]
    namespace = "network namespace" if part == "network" else part
    return {
        "changed": False,
        "seconds": round(fetch.seconds, 3),
        "bytes": fetch.bytes,
        "sha256": fetch.sha256,
        "means": means_of(fetch, f"{namespace} of the container {name}"),
        "findings": to_dicts(found),
    }


def check_from_pod(module: AnsibleModule) -> Dict[str, Any]:
    params, given = module.params, module.params["pod"]
    require(module, "kubernetes (the Kubernetes client for Python)", KUBERNETES_IMPORT_ERROR)
    environment = {str(name): str(value) for name, value in given["environment"].items()}
    hide_proxies(module, environment)
    trust = {name: environment[name] for name in ("SSL_CERT_FILE", "SSL_CERT_DIR") if name in environment}
    pod_settings = PodSettings(
        namespace=given["namespace"],
        image=given["image"],
        labels=given["labels"],
        node_selector=given["node_selector"],
        tolerations=given["tolerations"],
        service_account=given["service_account"],
        image_pull_secrets=given["image_pull_secrets"],
        run_as_user=given["run_as_user"],
    )
    wanted = Wanted(
        url=params["url"],
        limit=params["limit"],
        validate_certs=params["validate_certs"],
        trusted=authorities(given["ca_path"]),
        environment={**settings(environment), **trust},
    )
    cluster = Cluster(Access(**{name: given[name] for name in ACCESS}))
    try:
        pod = PodFetch(cluster, pod_settings, given["timeout"])
        if module.check_mode:
            pod.try_admission()
            return {"changed": False, "means": "none in check mode; the cluster would take the pod", "findings": []}
        fetch, left = pod.run(wanted)
    finally:
        cluster.close()
    place, shown = f"pods in the namespace {given['namespace']}", mask_url(params["url"])
    return {
        "changed": False,
        "seconds": round(fetch.seconds, 3),
        "bytes": fetch.bytes,
        "sha256": fetch.sha256,
        "means": means_of(fetch, pod.means),
        "findings": to_dicts([*judge(fetch, place, shown, params["limit"], params["sha256"] or ""), *left]),
    }


def authorities(path: Optional[str]) -> str:
    """The certificates in a file of this host. Raises ClientError."""
    if path is None:
        return ""
    try:
        with open(path, encoding="ascii") as source:
            text = source.read()
        ssl.create_default_context(cadata=text)
    except (OSError, ValueError) as problem:
        raise ClientError(
            "setting-invalid",
            path,
            f"No certificates (PEM) can be read from {path}: {getattr(problem, 'strerror', None) or problem}.",
            "Give another pod.ca_path.",
        ) from problem
    return text


def check_from_host(module: AnsibleModule) -> Dict[str, Any]:
    params = module.params
    if params["pod"] is not None:
        return check_from_pod(module)
    url, limit, wanted = params["url"], params["limit"], params["load_with"]
    params["beside"] = [beside_of(url, one) for one in params["beside"]]
    for address in params["beside"]:
        module.no_log_values.update(url_secrets(address))
    try:
        loaders = [loader_from(one) for one in wanted or []]
    except ValueError as problem:
        module.fail_json(msg=f"version of load_with cannot be used: {problem}", findings=[])
    place, shown = socket.gethostname(), mask_url(url)
    versions = list(dict.fromkeys([*params["versions"], *(loader.version for loader in loaders)]))
    means = f"file system of the host {place}" if url.startswith(FILE) else f"the host {place} itself"
    result: Dict[str, Any] = {"changed": False, "means": means}
    with tempfile.TemporaryFile() as body:
        context = tls_context(url, params["validate_certs"])
        fetch = fetch_as(None, url, limit, context, body if wanted else None)
        findings = [*unread_by(versions, place, shown), *judge(fetch, place, shown, limit, params["sha256"] or "")]
        if wanted:
            result["loaded"] = []
            if not any(one.severity is Severity.ERROR for one in findings):
                with fetched_beside(params) as beside:
                    for loader in loaders:
                        loaded, more = try_bundle(path_of(body), bundle_of(url), loader, beside)
                        result["loaded"] += [{"version": loader.version, **one} for one in loaded]
                        findings = [*findings, *more]
    result.update(seconds=round(fetch.seconds, 3), bytes=fetch.bytes, sha256=fetch.sha256, findings=to_dicts(findings))
    return result


@contextmanager
def fetched_beside(params: Dict[str, Any]) -> Iterator[List[Tuple[str, str]]]:
    """Path and name of each other bundle that can be had."""
    found = []
    with ExitStack() as stack:
        for url in params["beside"]:
            body = stack.enter_context(tempfile.TemporaryFile())
            if not fetch_as(None, url, params["limit"], tls_context(url, params["validate_certs"]), body).kind:
                found.append((path_of(body), bundle_of(url)))
        yield found


def beside_of(url: str, other: str) -> str:
    """The address of another bundle; a name is meant in the folder of this one."""
    if "://" in other:
        return other
    parts = urlsplit(url)
    return urlunsplit(parts._replace(path=posixpath.join(posixpath.dirname(parts.path), other)))


def loader_from(given: Dict[str, Any]) -> Loader:
    """Raises ValueError for a version that is none."""
    Version.parse(given["version"])
    environment = {str(name): str(value) for name, value in given["environment"].items()}
    return Loader(given["binary"], given["version"], given["timeout"], environment)


def bundle_of(url: str) -> str:
    return posixpath.basename(urlsplit(url).path)


def look_at_arguments(module: AnsibleModule) -> None:
    hide(module)
    url = module.params["url"]
    for version in module.params["versions"]:
        try:
            Version.parse(version)
        except ValueError as problem:
            module.fail_json(msg=f"versions cannot be used: {problem}", findings=[])
    look_at_pod(module)
    if url.startswith(FILE) and not module.params["container"] and not url[len(FILE) :].startswith("/"):
        module.fail_json(
            msg=f"The address {url} leads from the folder that a gateway was started in, which is not known on its host. "
            "Give an address that begins with file:///.",
            findings=[],
        )


def look_at_pod(module: AnsibleModule) -> None:
    pod = module.params["pod"]
    if pod is None:
        return
    if module.params["url"].startswith(FILE):
        module.fail_json(
            msg="A short-lived pod sees no file of a gateway. Give an http or https address, or leave pod out.", findings=[]
        )
    own = [label for label in CONTROLLER_LABELS if label in pod["labels"]]
    if own:
        module.fail_json(
            msg=f"With the label {own[0]} a controller of the gateways could take the pod for one of its own and remove "
            "a gateway's. Leave it out of pod.labels.",
            findings=[],
        )
    if pod["timeout"] <= 0:
        module.fail_json(msg=f"pod.timeout is {pod['timeout']} s; give a number of seconds above 0.", findings=[])


def main() -> None:
    run_engine_module(
        {
            "container": {"type": "str"},
            "url": {"type": "str", "required": True},
            "sha256": {"type": "str"},
            "limit": {"type": "float", "default": 5},
            "validate_certs": {"type": "bool", "default": True},
            "versions": {"type": "list", "elements": "str", "default": []},
            "beside": {"type": "list", "elements": "str", "default": []},
            "pod": {"type": "dict", "options": POD},
            "load_with": {
                "type": "list",
                "elements": "dict",
                "options": {
                    "binary": {"type": "path", "required": True},
                    "version": {"type": "str", "required": True},
                    "environment": {"type": "dict", "default": {}},
                    "timeout": {"type": "float", "default": 60},
                },
            },
        },
        check,
        on_host=check_from_host,
        first=look_at_arguments,
        mutually_exclusive=[("container", "load_with"), ("pod", "container"), ("pod", "load_with"), ("pod", "beside")],
    )


if __name__ == "__main__":
    main()
