# Copyright (c) 2026 tyk.upgrade contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What stands against an upgrade is said before anything that serves is touched; info and upgrade say the same."""

from __future__ import annotations

from collections.abc import Callable

import pytest
from hosts import CONF, SECRET, UNIT, Host, codes
from settings import FROM_VERSION, TO_VERSION

LOCKS = {"deb": "/var/lib/dpkg/lock-frontend", "rpm": "$(rpm --eval %{_dbpath})/.rpm.lock"}
HOLDER = """
import fcntl, sys, time
lock = open(sys.argv[1], "w")
fcntl.lockf(lock, fcntl.LOCK_EX)
open("/root/holding", "w").close()
time.sleep(float(sys.argv[2]))
"""


@pytest.fixture
def refused(host: Host) -> Callable[..., str]:
    """Run both modules, see that both refuse for this reason alone and that nothing happened; what they said."""
    host_pid = host.pid()

    def run(code: str, version: str = TO_VERSION, **arguments: object) -> str:
        seen = host.info(target_version=version, refresh=True, **arguments)
        assert codes(seen) == [code], seen["findings"]
        result = host.upgrade(version=version, **arguments)
        assert result["failed"] and codes(result) == [code], result
        predicted = host.upgrade(check=True, version=version, **arguments)
        assert predicted["failed"] and codes(predicted) == [code], predicted
        assert host.pid() == host_pid and host.version() == host.old
        return str(result["msg"])

    return run


def test_a_version_that_no_repository_has(refused: Callable[..., str]) -> None:
    said = refused("package-version-missing", version="9.9.9")
    assert f"its repositories offer {FROM_VERSION}, {TO_VERSION}" in said


def test_a_repository_that_is_down(host: Host, refused: Callable[..., str]) -> None:
    if host.kind == "deb":
        host.sh("rm -rf /var/lib/apt/lists/*")
    host.repository("nowhere")
    refused("repository-unreachable")
    host.repository("stable")


def test_a_repository_with_a_signature_of_a_stranger(host: Host, refused: Callable[..., str]) -> None:
    if host.kind == "deb":
        host.sh("rm -rf /var/lib/apt/lists/*")
    host.repository("untrusted")
    refused("repository-untrusted")
    host.repository("stable")


def test_a_lock_that_another_program_holds(host: Host, refused: Callable[..., str]) -> None:
    host.sh(f"cat >/root/holder.py <<'END'\n{HOLDER}\nEND")

    def hold(seconds: int) -> None:
        host.sh("rm -f /root/holding")
        host.container.exec_run(["sh", "-c", f"exec python3 /root/holder.py {LOCKS[host.kind]} {seconds}"], detach=True)
        host.sh("until [ -e /root/holding ]; do sleep 0.1; done")

    hold(120)
    said = refused("package-lock-held", lock_timeout=0.5)
    assert "held by process" in said and "python3 /root/holder.py" in said
    host.sh("pkill -f holder.py", check=False)
    hold(3)
    assert host.upgrade(state="staged", lock_timeout=30)["failed"] is False


def test_a_package_that_is_half_configured(host: Host) -> None:
    if host.kind == "deb":
        host.repository("failing")
        host.sh(f"apt-get -qy install {UNIT}", check=False)
    else:
        host.upgrade(state="staged")
        host.sh(f"rpm -i --force --noscripts --justdb /var/lib/tyk-upgrade/staged/{UNIT}-{host.new}/*.rpm")
    seen = host.info()
    assert "package-half-configured" in codes(seen) and seen["package"]["half_configured"] is True
    result = host.upgrade()
    assert result["failed"] and "package-half-configured" in codes(result)


def test_a_service_that_the_administrator_masked(host: Host) -> None:
    host.sh(f"systemctl mask --now {UNIT} 2>&1")
    assert codes(host.info()) == ["unit-masked"]
    assert codes(host.upgrade()) == ["unit-masked"]
    assert host.sh(f"systemctl is-enabled {UNIT}", check=False)[1].strip() == "masked"
    host.sh(f"systemctl unmask {UNIT} 2>&1; systemctl start {UNIT}")


def test_a_unit_file_that_was_edited(host: Host, refused: Callable[..., str]) -> None:
    host.sh(f"cp -L /lib/systemd/system/{UNIT}.service /etc/systemd/system/; systemctl daemon-reload")
    refused("unit-edited")
    host.sh(f"rm /etc/systemd/system/{UNIT}.service")
    host.sh(f"echo '# mine' >>/lib/systemd/system/{UNIT}.service; systemctl daemon-reload")
    refused("unit-edited")
    host.sh(f"sed -i '/# mine/d' /lib/systemd/system/{UNIT}.service; systemctl daemon-reload")
    host.sh(f"mkdir -p /etc/systemd/system/{UNIT}.service.d")
    host.sh(f"printf '[Service]\\nNice=1\\n' >/etc/systemd/system/{UNIT}.service.d/nice.conf; systemctl daemon-reload")
    assert codes(host.info()) == []
    host.sh(f"rm -r /etc/systemd/system/{UNIT}.service.d; systemctl daemon-reload")


def test_a_program_that_was_replaced_by_hand(host: Host, refused: Callable[..., str]) -> None:
    host.sh("cd /opt/tyk-gateway && cp -p tyk /root/tyk && cp -p tyk new && echo >>new && mv new tyk")
    assert "/opt/tyk-gateway/tyk" in refused("binary-changed")
    host.sh("cd /opt/tyk-gateway && mv /root/tyk tyk")


def test_a_configuration_with_a_syntax_error(host: Host, refused: Callable[..., str]) -> None:
    host.sh(f"cp -p {CONF} /root/conf; sed -i 's/{SECRET}\",/{SECRET}\"/' {CONF}")
    assert f"{CONF} has a syntax error in line 4" in refused("config-invalid")
    host.sh(f"mv /root/conf {CONF}")


def test_a_duration_whose_unit_changes(host: Host, refused: Callable[..., str]) -> None:
    host.sh(f"cp -p {CONF} /root/conf; sed -i '0,/{{/s//{{\"liveness_check\": {{\"check_duration\": 10}},/' {CONF}")
    assert "seconds up to 5.3 and nanoseconds since 5.4.0" in refused("liveness-duration")
    host.sh(f"mv /root/conf {CONF}")


def test_another_edition(host: Host) -> None:
    for result in (host.info(name="tyk-gateway-ee", unit=UNIT), host.upgrade(name="tyk-gateway-ee", unit=UNIT)):
        assert codes(result) == ["edition-mismatch"], result
    assert codes(host.info(name="tyk-nothing")) == ["package-missing"]


def test_too_little_room(refused: Callable[..., str]) -> None:
    refused("disk-small", needed_bytes=1 << 60)


def test_a_service_in_a_crash_loop(host: Host) -> None:
    drop_in = f"/etc/systemd/system/{UNIT}.service.d"
    host.sh(f"mkdir -p {drop_in}; printf '[Service]\\nRuntimeMaxSec=1\\nRestartSec=1\\n' >{drop_in}/loop.conf")
    host.sh(f"systemctl daemon-reload; systemctl restart {UNIT}; sleep 4")
    assert codes(host.info()) == ["crash-loop"]
    assert codes(host.upgrade()) == ["crash-loop"]
    # A stop between two restarts does not take their count back; that belongs to the loop, not to what comes after it.
    host.sh(f"rm -r {drop_in}; systemctl daemon-reload; systemctl stop {UNIT}; systemctl reset-failed {UNIT}")
    host.sh(f"systemctl start {UNIT}")
    assert codes(host.info()) == []


def test_somebody_who_is_not_root(host: Host) -> None:
    for result in (
        host.module("package_info", user="nobody", name=UNIT),
        host.module("package_upgrade", user="nobody", name=UNIT, version=TO_VERSION),
    ):
        assert codes(result) == ["root-needed"], result


def test_a_folder_that_the_gateway_cannot_write(host: Host, refused: Callable[..., str]) -> None:
    assert "no such folder" in refused("middleware-not-writable", middleware_path="/nowhere")


def test_a_package_given_as_a_file(host: Host, refused: Callable[..., str]) -> None:
    folder = f"/var/lib/tyk-upgrade/staged/{UNIT}-{host.new}"
    host.upgrade(state="staged")
    host.sh(f"cp {folder}/*.{host.kind} /root/given.{host.kind}; rm -r /var/lib/tyk-upgrade/staged")
    path = f"/root/given.{host.kind}"
    checksum = "sha256:" + host.sh(f"sha256sum {path}")[1].split()[0]
    refused("package-file-invalid", file=path, checksum="sha256:" + "0" * 64)
    refused("package-file-invalid", file="/root/nothing", checksum=checksum)
    refused("package-file-invalid", file=path, checksum=checksum, version="5.9.0")
    assert "no repository" not in str(host.info(file=path, checksum=checksum)["findings"])
    host.repository("nowhere")
    result = host.upgrade(file=path, checksum=checksum)
    assert result["failed"] is False, result
    assert host.running() == TO_VERSION
