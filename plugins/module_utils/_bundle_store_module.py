# Copyright (c) 2026 tyk.upgrade contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What the modules that use a bundle store share: its options, and the store that they name."""

from __future__ import annotations

from typing import Any, Callable, Dict, Mapping, NoReturn, Optional, Tuple

from ansible.module_utils.basic import AnsibleModule

from ansible_collections.tyk.upgrade.plugins.module_utils._clients.bundle_store import BundleStore
from ansible_collections.tyk.upgrade.plugins.module_utils._clients.directory_store import DirectoryStore
from ansible_collections.tyk.upgrade.plugins.module_utils._clients.http import (
    REQUESTS_IMPORT_ERROR,
    HttpClient,
    split_credentials,
)
from ansible_collections.tyk.upgrade.plugins.module_utils._clients.http_store import HttpStore
from ansible_collections.tyk.upgrade.plugins.module_utils._clients.mserv_store import MservStore
from ansible_collections.tyk.upgrade.plugins.module_utils._clients.s3_store import (
    BOTO3_IMPORT_ERROR,
    Bucket,
    S3Store,
)
from ansible_collections.tyk.upgrade.plugins.module_utils._http_module import hide_url, require

#: What each kind of store cannot do without.
_NEEDS = {"http": ("url",), "s3": ("bucket",), "mserv": ("url",), "directory": ("path",)}
#: What belongs to one kind, or several; an option of another kind is a slip that would go unnoticed.
_OWN: Mapping[str, Tuple[str, ...]] = {
    "headers": ("http", "mserv"),
    "username": ("http", "mserv"),
    "password": ("http", "mserv"),
    "client_cert": ("http", "mserv"),
    "client_key": ("http", "mserv"),
    "api_key": ("mserv",),
    "bucket": ("s3",),
    "prefix": ("s3",),
    "endpoint_url": ("s3",),
    "region": ("s3",),
    "access_key": ("s3",),
    "secret_key": ("s3",),
    "session_token": ("s3",),
    "path": ("directory",),
    "mode": ("directory",),
}


def store_arguments() -> Dict[str, Any]:
    """The option store of the fragment tyk.upgrade.bundle_store."""
    return {
        "type": "dict",
        "options": {
            "kind": {"type": "str", "choices": ["http", "s3", "mserv", "directory"], "default": "http"},
            "url": {"type": "str"},
            "headers": {"type": "dict", "no_log": True},
            "username": {"type": "str"},
            "password": {"type": "str", "no_log": True},
            "client_cert": {"type": "path"},
            "client_key": {"type": "path", "no_log": False},
            "validate_certs": {"type": "bool"},
            "ca_path": {"type": "path"},
            "retries": {"type": "int", "default": 2},
            "api_key": {"type": "str", "no_log": True},
            "bucket": {"type": "str"},
            "prefix": {"type": "str"},
            "endpoint_url": {"type": "str"},
            "region": {"type": "str"},
            "access_key": {"type": "str", "no_log": False},
            "secret_key": {"type": "str", "no_log": True},
            "session_token": {"type": "str", "no_log": True},
            "path": {"type": "path"},
            "mode": {"type": "raw"},
        },
    }


def store_of(module: AnsibleModule) -> BundleStore:
    """The store that the option store describes. Ends the module for settings that cannot work.

    Raises ClientError when already its client says no.
    """
    given: Dict[str, Any] = module.params["store"]
    kind = given["kind"]
    hide_url(module, given["url"], given["endpoint_url"])
    missing = [name for name in _NEEDS[kind] if not given[name]]
    if missing:
        _refuse(module, f"store has kind {kind} but no {missing[0]}.", f"Give store.{missing[0]}.")
    strange = sorted(name for name, kinds in _OWN.items() if given[name] is not None and kind not in kinds)
    if strange:
        _refuse(module, f"store has kind {kind}, and {strange[0]} is nothing to it.", "Remove it, or correct kind.")
    if given["retries"] < 0 or given["retries"] > 20:
        _refuse(module, f"store.retries is {given['retries']}.", "Give a number from 0 to 20.")
    makers: Dict[str, Callable[[AnsibleModule, Dict[str, Any]], BundleStore]] = {
        "http": _http_store,
        "s3": _s3_store,
        "mserv": _mserv_store,
        "directory": _directory_store,
    }
    return makers[kind](module, given)


def _refuse(module: AnsibleModule, what: str, remedy: str) -> NoReturn:
    module.fail_json(msg=f"{what} {remedy}", findings=[])
    raise AssertionError("fail_json does not return")


def _http_client(module: AnsibleModule, given: Dict[str, Any]) -> Tuple[HttpClient, str]:
    """The client, and the address without the credentials that it may carry."""
    require(module, "requests", REQUESTS_IMPORT_ERROR)
    if module.params["timeout"] <= 0:
        _refuse(module, f"timeout is {module.params['timeout']} s.", "Give a number of seconds above 0.")
    if given["client_key"] and not given["client_cert"]:
        _refuse(module, "store has a client_key but no client_cert.", "Give both.")
    url, auth = split_credentials(given["url"])
    if given["username"] is not None:
        auth = (given["username"], given["password"] or "")
    validate, ca_path = _tls(module, given)
    client = HttpClient(
        timeout=module.params["timeout"],
        validate_certs=validate,
        ca_path=ca_path,
        auth=auth,
        client_cert=(given["client_cert"], given["client_key"]) if given["client_cert"] else None,
    )
    return client, url


def _tls(module: AnsibleModule, given: Dict[str, Any]) -> Tuple[bool, Optional[str]]:
    validate = given["validate_certs"]
    return (
        bool(module.params["validate_certs"] if validate is None else validate),
        given["ca_path"] or module.params["ca_path"],
    )


def _http_store(module: AnsibleModule, given: Dict[str, Any]) -> BundleStore:
    client, url = _http_client(module, given)
    return HttpStore(client, url, given["headers"], given["retries"])


def _mserv_store(module: AnsibleModule, given: Dict[str, Any]) -> BundleStore:
    client, url = _http_client(module, given)
    return MservStore(client, url, given["api_key"], given["headers"], given["retries"])


def _s3_store(module: AnsibleModule, given: Dict[str, Any]) -> BundleStore:
    require(module, "boto3", BOTO3_IMPORT_ERROR)
    if bool(given["access_key"]) != bool(given["secret_key"]):
        _refuse(module, "store has only one of access_key and secret_key.", "Give both, or none of them.")
    validate, ca_path = _tls(module, given)
    bucket = Bucket(
        name=given["bucket"],
        prefix=given["prefix"] or "",
        endpoint_url=given["endpoint_url"] or None,
        region=given["region"],
        access_key=given["access_key"],
        secret_key=given["secret_key"],
        session_token=given["session_token"],
        timeout=module.params["timeout"],
        retries=given["retries"],
        verify=(ca_path or True) if validate else False,
    )
    return S3Store(bucket, given["url"])


def _directory_store(module: AnsibleModule, given: Dict[str, Any]) -> BundleStore:
    return DirectoryStore(given["path"], _mode(module, given["mode"]))


def _mode(module: AnsibleModule, given: Any) -> int:
    """As Ansible's own file modules take it: a number is the mode itself, a text is octal."""
    if given is None:
        return 0o644
    try:
        mode = given if isinstance(given, int) and not isinstance(given, bool) else int(str(given), 8)
    except ValueError:
        mode = -1
    if not 0 <= mode <= 0o777:
        _refuse(module, f"store.mode is {given!r}.", 'Give an octal text such as "0644".')
    return int(mode)
