# Copyright (c) 2026 tyk.upgrade contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Proxies of an environment; each row was held against Go's own http.ProxyFromEnvironment."""

from __future__ import annotations

from typing import List

import pytest

from ansible_collections.tyk.upgrade.plugins.module_utils._domain.proxies import proxy_for, settings

PROXY = "http://proxy:3128"


@pytest.mark.parametrize(
    ("no_proxy", "passed_by", "proxied"),
    [
        ("", ["http://localhost/", "http://127.0.0.1/", "http://127.8.8.8:99/", "http://[::1]/"], ["http://bundles/"]),
        ("*", ["http://bundles/", "https://10.1.2.3/"], []),
        ("foo.com", ["http://foo.com/", "http://FOO.com:8080/", "https://a.foo.com/"], ["http://xfoo.com/"]),
        (".foo.com", ["http://a.foo.com/"], ["http://foo.com/"]),
        ("*.foo.com", ["http://a.foo.com/"], ["http://foo.com/"]),
        ("bundles:8080", ["http://bundles:8080/"], ["http://bundles/"]),
        ("bundles:443", ["https://bundles/"], ["http://bundles/"]),
        ("10.0.0.0/8", ["http://10.1.2.3/"], ["http://11.1.2.3/", "http://bundles/"]),
        ("10.1.2.3:444", ["https://10.1.2.3:444/"], ["https://10.1.2.3/"]),
        ("fd00::/8, [fd01::1]:80", ["http://[fd00::1]/"], ["https://[fe80::1]/"]),
        (" , bad/99, :80, BUNDLES ", ["http://bundles/"], ["http://other/"]),
    ],
)
def test_addresses_that_need_no_proxy(no_proxy: str, passed_by: List[str], proxied: List[str]) -> None:
    environment = {"HTTP_PROXY": PROXY, "https_proxy": PROXY, "NO_PROXY": no_proxy}
    assert [url for url in passed_by if proxy_for(url, environment)] == []
    assert [url for url in proxied if proxy_for(url, environment) != PROXY] == []


@pytest.mark.parametrize(
    ("given", "taken"),
    [
        ("proxy:3128", PROXY),
        ("http://user:secret@proxy:3128", "http://user:secret@proxy:3128"),
        ("socks5://proxy:1080", "socks5://proxy:1080"),
        ("http://proxy:port", "http://http://proxy:port"),  # Go tries once more with a scheme before it
        ("%zz", ""),
        ("", ""),
    ],
)
def test_how_a_proxy_may_be_written(given: str, taken: str) -> None:
    assert proxy_for("http://bundles/a.zip", {"HTTP_PROXY": given}) == taken


def test_each_scheme_has_its_own_variable_and_the_capital_one_comes_first() -> None:
    environment = {"HTTP_PROXY": "http://a", "http_proxy": "http://b", "HTTPS_PROXY": "http://c"}
    assert proxy_for("http://bundles/", environment) == "http://a"
    assert proxy_for("https://bundles/", environment) == "http://c"
    assert proxy_for("file:///bundles/a.zip", environment) == ""
    assert proxy_for("https://bundles/", {"ALL_PROXY": "http://d", "HTTP_PROXY": "http://a"}) == ""


def test_only_what_has_a_say_is_taken_from_an_environment() -> None:
    environment = {"PATH": "/bin", "HTTP_PROXY": PROXY, "no_proxy": "", "NO_PROXY": "x", "TYK_SECRET": "s"}
    assert settings(environment) == {"HTTP_PROXY": PROXY, "NO_PROXY": "x"}
