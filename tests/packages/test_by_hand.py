# Copyright (c) 2026 tyk.upgrade contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What the packages' own scripts do to the service when nobody holds them back."""

from __future__ import annotations

import os
import time

import pytest
from hosts import CONF, SECRET, UNIT, Host
from settings import TO_VERSION

BY_HAND = {
    "deb": f"apt-get -y -q -o Dpkg::Options::=--force-confold install {UNIT}={TO_VERSION}",
    "rpm": f"dnf -y -q install {UNIT}-{TO_VERSION}",
}
NEW_DEFAULTS = {"deb": f"{CONF}.dpkg-dist", "rpm": f"{CONF}.rpmnew"}


def test_apt_restarts_the_service_and_dnf_leaves_it_stopped(host: Host) -> None:
    starts, pid = host.starts(), host.pid()
    host.sh(BY_HAND[host.kind])
    assert host.version() == host.new
    assert host.starts() == starts + 1
    assert host.pid() != pid
    assert host.running() == (TO_VERSION if host.kind == "deb" else "")
    assert host.sh(f"systemctl is-enabled {UNIT}")[1].strip() == "enabled"
    assert SECRET in host.sh(f"cat {CONF}")[1]
    assert SECRET not in host.sh(f"cat {NEW_DEFAULTS[host.kind]}")[1]


@pytest.mark.skipif(not os.environ.get("BENCH"), reason="measures; run it on a quiet machine with make bench")
def test_the_service_is_out_no_longer_than_by_hand(host: Host) -> None:
    """Ratio of the same host, one after the other: stopped, installed and started by hand, and by the module."""
    host.upgrade(state="staged", version=TO_VERSION)
    out = host.upgrade(version=TO_VERSION)["seconds"]
    host.upgrade(state="returned")
    install = BY_HAND[host.kind]
    host.sh(f"{install} --download-only" if host.kind == "deb" else f"{install} --downloadonly")
    began = time.monotonic()
    host.sh(f"systemctl stop {UNIT} && {install} && systemctl restart {UNIT}")
    by_hand = time.monotonic() - began
    ratio = out / by_hand
    print(f"{host.kind}: out for {out:.1f} s, by hand {by_hand:.1f} s, ratio {ratio:.2f}")
    assert ratio <= 1.3
