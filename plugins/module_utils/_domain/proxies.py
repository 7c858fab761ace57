# Copyright (c) 2026 tyk.upgrade contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Which proxy a gateway takes for an address, by its environment.

The rules are those of Go (net/http.ProxyFromEnvironment, golang.org/x/net/http/httpproxy), which gateways leave as they
are when they download bundles (v5.8.9:gateway/coprocess_bundle.go:145). They differ from those of Python and curl.
"""

from __future__ import annotations

import ipaddress
from typing import Dict, List, Mapping, Optional, Tuple, Union
from urllib.parse import urlsplit

#: The variables, the one that is looked at first before the other.
VARIABLES: Mapping[str, Tuple[str, str]] = {
    "http": ("HTTP_PROXY", "http_proxy"),
    "https": ("HTTPS_PROXY", "https_proxy"),
    "": ("NO_PROXY", "no_proxy"),
}
_Address = Union[ipaddress.IPv4Address, ipaddress.IPv6Address]
_PORTS = {"http": 80, "https": 443}


def proxy_for(url: str, environment: Mapping[str, str]) -> str:
    """The address of the proxy, with the credentials that it may hold; empty without one.

    Raises ValueError for an address that has none of these forms.
    """
    parts = urlsplit(url)
    proxy = _first(environment, parts.scheme) if parts.scheme in _PORTS else ""
    if not proxy or not parts.hostname:
        return ""
    if not _is_address(proxy):
        proxy = f"http://{proxy}"
    if not _is_address(proxy):
        return ""  # Go passes over what is no address
    port = parts.port or _PORTS[parts.scheme]
    return "" if _bypassed(parts.hostname, port, _first(environment, "")) else proxy


def settings(environment: Mapping[str, str]) -> Dict[str, str]:
    """The variables of an environment that have a say in it."""
    names = {name for pair in VARIABLES.values() for name in pair}
    return {name: value for name, value in environment.items() if name in names and value}


def _first(environment: Mapping[str, str], kind: str) -> str:
    return next((environment[name] for name in VARIABLES[kind] if environment.get(name)), "")


def _is_address(text: str) -> bool:
    try:
        parts = urlsplit(text)
        known = bool(parts.scheme and parts.hostname) and "%" not in str(parts.hostname)
        return known and (parts.port is None or parts.port > 0)
    except ValueError:
        return False


def _bypassed(host: str, port: int, no_proxy: str) -> bool:
    host = host.lower()
    address = _address(host)
    if host == "localhost" or (address is not None and address.is_loopback):
        return True
    return any(_matches(entry, host, port) for entry in _entries(no_proxy))


def _entries(no_proxy: str) -> List[str]:
    return [entry for entry in (one.strip().lower() for one in no_proxy.split(",")) if entry]


def _matches(entry: str, host: str, port: int) -> bool:
    if entry == "*":
        return True
    address = _address(host)
    if "/" in entry:
        try:
            return address is not None and address in ipaddress.ip_network(entry, strict=False)
        except ValueError:
            pass  # then it is taken for a name, which matches nothing
    name, wanted = _split_port(entry)
    if not name or (wanted and wanted != str(port)):
        return False
    same = _address(name)
    if same is not None:
        return same == address
    if name.startswith("*."):
        name = name[1:]
    return host.endswith(name if name.startswith(".") else f".{name}") or host == name


def _split_port(entry: str) -> Tuple[str, str]:
    if entry.startswith("["):
        inside, _bracket, behind = entry[1:].partition("]")
        return inside, behind[1:] if behind.startswith(":") else ""
    name, colon, port = entry.rpartition(":")
    return (name, port) if colon and ":" not in name else (entry, "")


def _address(text: str) -> Optional[_Address]:
    try:
        return ipaddress.ip_address(text)
    except ValueError:
        return None
