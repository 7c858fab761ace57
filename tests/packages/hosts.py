# Copyright (c) 2026 tyk.upgrade contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Linux hosts with systemd and real apt or dnf, on which the modules run as Ansible would run them there."""

from __future__ import annotations

import io
import json
import tarfile
import time
from pathlib import Path
from typing import Any

import ansible
from engine import Container, Site, wait_for
from packages import Packages
from settings import FROM_VERSION, ROOT, TO_VERSION

UNIT = "tyk-gateway"
CONF = "/opt/tyk-gateway/tyk.conf"
BINARY = "/opt/tyk-gateway/tyk"
SECRET = "a-word-that-nobody-may-read"
HARNESS = "/opt/harness"
ROLES = {"deb": "gw1", "rpm": "gw2"}
#: What an upgrade needs to know of the gateway; settle is shorter than anybody's crash but the crashing package's.
GATEWAY = {"name": UNIT, "binary": BINARY, "config_file": CONF, "settle": 0.5, "lock_timeout": 20}
#: Everything that an upgrade may change and must put back.
LOOK = (
    f"host-state {UNIT} {CONF}; find /var/lib/tyk-upgrade /run/systemd/system {CONF}.* -type f 2>/dev/null | sort; "
    "find /opt/tyk-gateway -type f -exec sha256sum {} + | sort -k 2; apt-mark showhold 2>/dev/null; true"
)


def harness() -> bytes:
    """The collection's plugins and Ansible's own module_utils, as a tar."""
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode="w") as archive:
        for source, target in (
            (Path(ansible.__file__).parent / "module_utils", "ansible/module_utils"),
            (ROOT / "plugins", "ansible_collections/tyk/upgrade/plugins"),
            (Path(__file__).with_name("run_module.py"), "run_module.py"),
        ):
            archive.add(source, f"{HARNESS[1:]}/{target}", filter=_plain)
        archive.addfile(tarfile.TarInfo(f"{HARNESS[1:]}/ansible/__init__.py"))
    return buffer.getvalue()


def _plain(entry: tarfile.TarInfo) -> tarfile.TarInfo | None:
    return None if "__pycache__" in entry.name else entry


class Host:
    """One of the hosts, made anew whenever a test left it other than it was."""

    def __init__(self, kind: str, site: Site, packages: Packages, tools: bytes) -> None:
        self.kind = kind
        self.site = site
        self.packages = packages
        self._tools = tools
        self._first = ""

    @property
    def old(self) -> str:
        return FROM_VERSION if self.kind == "deb" else f"{FROM_VERSION}-1"

    @property
    def new(self) -> str:
        return TO_VERSION if self.kind == "deb" else f"{TO_VERSION}-1"

    # --- the host --------------------------------------------------------------------------------------------------

    @property
    def container(self) -> Any:
        return self.site.find(ROLES[self.kind])

    def ready(self) -> Host:
        """As it was handed over."""
        if self._first and self._tidied():
            return self
        found = self.container
        if found is not None:
            found.remove(force=True, v=True)
        image = self.packages.host(self.kind, "gateway")
        self.site.ensure_container(Container(ROLES[self.kind], image, systemd=True))
        wait_for(f"{self.kind}: systemd", self._booted, timeout=60)
        self.container.put_archive("/", self._tools)
        self.sh(f"sed -i 's/default-secret-to-be-changed/{SECRET}/' {CONF}; systemctl enable --now {UNIT}")
        self.refresh()
        self._first = self.look()
        return self

    def _tidied(self) -> bool:
        """Put right what a test commonly leaves; whether the host is as it was handed over then."""
        if self.container is None:
            return False
        self.sh("rm -rf /var/lib/tyk-upgrade /root/*", check=False)
        if "/stable/" not in self.sh("cat /etc/apt/sources.list.d/tyk.list /etc/yum.repos.d/tyk.repo", check=False)[1]:
            self.repository("stable")
        if self.version() == self.new and self.running():
            self.upgrade(version=FROM_VERSION, settle=0)
            self.sh(f"rm -rf /var/lib/tyk-upgrade {CONF}.*")
        return self.look() == self._first and bool(self.running())

    def _booted(self) -> bool:
        return self.sh("systemctl is-system-running", check=False)[1].strip() in ("running", "degraded")

    def refresh(self) -> None:
        self.sh("apt-get -q update" if self.kind == "deb" else "dnf -q -y makecache", check=False)

    def repository(self, name: str, base: str = "") -> None:
        """Point it at another of the repositories and let it read that one's data."""
        self.sh(f"repository {name} {base}")
        if self.kind == "rpm":
            self.sh("dnf -q clean all")
        self.refresh()

    def copy_repository(self, name: str) -> None:
        """Put a copy of a repository on the host's own disk."""
        server = self.site.find("packages")
        assert server is not None
        folder = f"/srv/packages/{name}/{'apt' if self.kind == 'deb' else 'rpm'}"
        data, _about = server.get_archive(folder)
        self.sh(f"mkdir -p {folder}")
        self.container.put_archive(str(Path(folder).parent), b"".join(data))

    def sh(self, command: str, check: bool = True, user: str = "root") -> tuple[int, str]:
        """Exit code and output. By way of a file: a busy engine loses what a short-lived command prints."""
        said = f"/var/tmp/said-{user}"
        done = self.container.exec_run(["sh", "-c", f"exec >{said} 2>&1\n{command}"], user=user, workdir="/")
        data, _about = self.container.get_archive(said)
        with tarfile.open(fileobj=io.BytesIO(b"".join(data))) as archive:
            content = archive.extractfile(archive.getmembers()[0])
            output = content.read().decode(errors="replace") if content else ""
        assert not check or done.exit_code == 0, f"{command}: {output}"
        return done.exit_code, output

    def look(self) -> str:
        return self.sh(LOOK)[1]

    def version(self) -> str:
        if self.kind == "deb":
            return self.sh(f"dpkg-query -W -f '${{Version}}' {UNIT}")[1]
        return self.sh(f"rpm -q --qf '%{{VERSION}}-%{{RELEASE}}' {UNIT}")[1]

    def whole(self) -> bool:
        """Whether the package manager has finished with the package, and none of its programs differs."""
        if self.kind == "deb":
            state = "dpkg-query -W -f '${db:Status-Abbrev}' " + f"{UNIT} | grep -qE '^[ih]i '"
            return self.sh(f"{state} && ! dpkg -V {UNIT} | grep -v ' c '", check=False)[0] == 0
        return self.sh(f"[ $(rpm -q {UNIT} | wc -l) = 1 ] && ! rpm -V {UNIT} | grep -E '^(S|..5|missing)' | grep -v ' c '", check=False)[0] == 0

    def interrupted(self) -> bool:
        """Whether the state file says that an upgrade has begun and not ended."""
        return self.sh(f"grep -q '\"phase\": \"working\"' /var/lib/tyk-upgrade/{UNIT}.json", check=False)[0] == 0

    def running(self) -> str:
        """The version of the process that runs, by its own word; empty if none runs."""
        pid = self.pid()
        return self.sh(f"/proc/{pid}/exe --version")[1].split()[-1].lstrip("v") if pid != "0" else ""

    def pid(self) -> str:
        return self.sh(f"systemctl show -p MainPID --value {UNIT}")[1].strip()

    def starts(self) -> int:
        """How many processes the service ever had, by the line that each of them is logged with."""
        return int(self.sh(f"journalctl -q -u {UNIT} -o cat | grep -c '^Started ' || true")[1])

    # --- modules ---------------------------------------------------------------------------------------------------

    def module(self, module_name: str, /, check: bool = False, user: str = "root", **arguments: Any) -> dict[str, Any]:
        """Run a module and return what it printed."""
        code, output = self._run({"module": module_name, "args": arguments, "check": check}, user)
        lines = [line for line in output.splitlines() if line.startswith("{")]
        assert lines, f"{module_name} ended with {code} and printed: {output}"
        result = dict(json.loads(lines[-1]))
        result.setdefault("failed", False)
        assert SECRET not in output
        return result

    def upgrade(self, check: bool = False, **arguments: Any) -> dict[str, Any]:
        return self.module("package_upgrade", check=check, **{**GATEWAY, "version": TO_VERSION, **arguments})

    def info(self, **arguments: Any) -> dict[str, Any]:
        given = {key: value for key, value in GATEWAY.items() if key != "settle"}
        return self.module("package_info", **{**given, "target_version": TO_VERSION, **arguments})

    def upgrade_killed(self, at: int, inside: bool, **arguments: Any) -> bool:
        """Run the upgrade and kill it at that change of the host; whether there was such a change."""
        order = {"module": "package_upgrade", "args": {**GATEWAY, "version": TO_VERSION, **arguments}}
        code, output = self._run({**order, "kill_at": at, "inside": inside})
        assert code in (0, 137), output
        return code == 137

    def _run(self, order: dict[str, Any], user: str = "root") -> tuple[int, str]:
        script = json.dumps(order).replace("'", "'\\''")
        command = f"printf %s '{script}' | PYTHONDONTWRITEBYTECODE=1 PYTHONPATH={HARNESS} python3 {HARNESS}/run_module.py"
        return self.sh(command, check=False, user=user)

    def settled(self) -> None:
        """Wait until what a killed module had started is over."""
        wait_for(
            "package tools",
            lambda: self.sh("pgrep -x 'apt-get|dpkg|dnf|rpm|systemctl' >/dev/null", check=False)[0] != 0,
            timeout=60,
        )
        time.sleep(0.1)


def codes(result: dict[str, Any], severity: str = "error") -> list[str]:
    """The codes of its findings."""
    return [one["code"] for one in result["findings"] if one["severity"] == severity]
