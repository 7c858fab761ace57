# Copyright (c) 2026 tyk.upgrade contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Gateways and pump as packages on Linux hosts: systemd, real apt or dnf, signed repositories, reached by ssh."""

from __future__ import annotations

import hashlib
import shutil
from concurrent.futures import ThreadPoolExecutor
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any

from engine import Container, install_packages, run, tar_of, wait_for
from packages import Packages, package_file
from settings import LabError
from stand_ins import read_file

if TYPE_CHECKING:
    from lab import Lab

DEFAULTS = {"deb": "/etc/default", "rpm": "/etc/sysconfig"}
# Where the host keeps what it was like when it was handed over.
HANDED_OVER = "/var/lib/lab-handed-over"


def component(role: str) -> str:
    return "pump" if role == "pump" else "gateway"


def unit(role: str) -> str:
    """Of the unit and of the package."""
    return f"tyk-{component(role)}"


def config_file(role: str) -> str:
    return "/opt/tyk-pump/pump.conf" if role == "pump" else "/opt/tyk-gateway/tyk.conf"


class LinuxFleet:
    """Each member is a container that behaves as a host. Its owner configured the service and added a drop-in."""

    def __init__(self, lab: Lab) -> None:
        self.lab = lab
        self.packages = Packages(lab.builder, self._binary, lab.settings.versions("gateway"))

    @cached_property
    def roles(self) -> list[str]:
        settings = self.lab.settings
        return [role for role in settings.members if settings.deployment(role) in DEFAULTS]

    def _kind(self, role: str) -> str:
        return self.lab.settings.deployment(role)

    def _binary(self, component: str, version: str) -> Path:
        if self.lab.kinds[component] == "stand-in":
            if component == "pump":
                return self.lab.stand_ins.program("pump", version)
            return self.lab.stand_ins.gateway_binary(version)
        return self._published_binary(component, version)

    def _published_binary(self, component: str, version: str) -> Path:
        client = self.lab.client
        image = client.images.get(self.lab.ref(component, version))
        program = "/opt/tyk-pump/tyk-pump" if component == "pump" else "/opt/tyk-gateway/tyk"

        def copy(folder: Path) -> None:
            container = client.containers.create(image.id)
            try:
                (folder / component).write_bytes(read_file(container, program))
            finally:
                container.remove(force=True)
            (folder / component).chmod(0o755)

        key = image.id.partition(":")[2][:12]
        return self.lab.builder.cached_build(f"published-{component}", key, copy, f"{component} {version}") / component

    # --- what every lab with such hosts has ------------------------------------------------------------------------

    @property
    def _ssh(self) -> Path:
        return self.lab.settings.directory / "ssh"

    def prepare(self) -> None:
        self._make_keys()
        with ThreadPoolExecutor(max_workers=4) as pool:
            server = pool.submit(self.packages.server)
            hosts = {(self._kind(role), component(role)) for role in self.roles}
            for future in [pool.submit(self.lab.builder.rootfs, f"host-{kind}") for kind, dummy in sorted(hosts)]:
                future.result()
            image = server.result()
            for future in [pool.submit(self.packages.host, *host) for host in sorted(hosts)]:
                future.result()
        command = ["nginx", "-c", "/etc/tyk-lab/nginx.conf"]
        self.lab.site.ensure_container(Container("packages", image, command, publish={80: "packages"}))
        wait_for(
            "packages",
            lambda: self.lab.http.get(self.lab.settings.local("packages") + "/key.asc", timeout=3).status_code == 200,
            timeout=30,
        )

    def _make_keys(self) -> None:
        """One key to log in with and one that all hosts show, so that a host made anew is the host it was."""
        if shutil.which("ssh") is None or shutil.which("ssh-keygen") is None:
            install_packages("openssh-client")
        self._ssh.mkdir(mode=0o700, parents=True, exist_ok=True)
        for name in ("ops", "host"):
            if not (self._ssh / name).exists():
                command = ["ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-C", name, "-f", str(self._ssh / name)]
                run(command, what="making an ssh key")
        public = " ".join((self._ssh / "host.pub").read_text().split()[:2])
        ports = [self.lab.settings.port(f"ssh-{role}") for role in self.roles]
        (self._ssh / "known_hosts").write_text("".join(f"[127.0.0.1]:{port} {public}\n" for port in ports))

    def helpers(self) -> set[str]:
        return {self.lab.settings.container("packages")}

    # --- hosts ---------------------------------------------------------------------------------------------------

    def ensure(self, role: str) -> bool:
        container, dummy = self.lab.site.ensure_container(self._host(role))
        wait_for(f"{role}: systemd", lambda: self._booted(container), timeout=60)
        if container.exec_run(["test", "-e", HANDED_OVER]).exit_code == 0:
            return False
        self._configure(role, container)
        return True

    def _host(self, role: str) -> Container:
        return Container(
            role,
            self.packages.host(self._kind(role), component(role)),
            publish={22: f"ssh-{role}", 8083 if role == "pump" else 8080: role},
            systemd=True,
        )

    @staticmethod
    def _booted(container: Any) -> bool:
        state = container.exec_run(["systemctl", "is-system-running"]).output.decode().strip()
        return state in ("running", "degraded")

    def _environment(self, role: str) -> dict[str, str]:
        if role == "pump":
            return {"TYK_PMP_PURGEDELAY": "2", "LAB_SITE": self.lab.settings.name}
        return {"TYK_GW_DBAPPCONFOPTIONS_NODEISSEGMENTED": "false", "TZ": "UTC", "LAB_SITE": self.lab.settings.name}

    def _configure(self, role: str, container: Any) -> None:
        """What the host's owner did by hand after installing the package."""
        config, name = config_file(role), unit(role)
        environment = "".join(f"{key}={value}\n" for key, value in self._environment(role).items())
        files: dict[str, bytes | Path] = {
            "etc/ssh/ssh_host_ed25519_key": self._ssh / "host",
            "etc/ssh/ssh_host_ed25519_key.pub": self._ssh / "host.pub",
            "home/ops/.ssh/authorized_keys": self._ssh / "ops.pub",
            config[1:]: self.lab.settings.directory / Path(config).name,
            f"{DEFAULTS[self._kind(role)][1:]}/{name}": environment.encode(),
            f"etc/systemd/system/{name}.service.d/limits.conf": b"[Service]\nLimitNOFILE=16384\n",
        }
        owner = "tyk" if role == "pump" else "root"
        container.put_archive("/", tar_of(files, {"etc/ssh/ssh_host_ed25519_key": 0o600, config[1:]: 0o660}))
        refresh = "apt-get -q update" if self._kind(role) == "deb" else "dnf -q -y makecache"
        for command in (
            f"chown {owner}:{owner} {config}",
            "systemctl daemon-reload",
            f"systemctl enable --now ssh {name}",
            refresh,
            f"host-state {name} {config} >{HANDED_OVER}",
        ):
            code, output = self.execute(role, command)
            if code:
                raise LabError(f"{role}: '{command}' ended with exit code {code}:\n{output}")

    def execute(self, role: str, command: str) -> tuple[int, str]:
        """Run a shell command on the host as root; exit code and output."""
        container = self.lab.client.containers.get(self.lab.settings.container(role))
        done = container.exec_run(["sh", "-c", command])
        return done.exit_code, done.output.decode(errors="replace").strip()

    def version_is_first(self, role: str) -> bool:
        """Besides the package: configuration, drop-ins, repository, pins and the state of the unit are as handed over."""
        code, dummy = self.execute(role, f"host-state {unit(role)} {config_file(role)} | cmp -s - {HANDED_OVER}")
        return code == 0

    def _answer(self, role: str, command: str) -> str:
        """The output of a command that only looks and always says something: the engine sometimes loses what one said."""
        return str(wait_for(f"{role}: {command}", lambda: self.execute(role, command)[1], timeout=15))

    def package_version(self, role: str) -> str:
        if self._kind(role) == "deb":
            return self._answer(role, f"dpkg-query -W -f '${{Version}}' {unit(role)}")
        return self._answer(role, f"rpm -q --qf '%{{VERSION}}-%{{RELEASE}}' {unit(role)}")

    def identity(self, role: str) -> list[Any]:
        show = f"systemctl show {unit(role)} -p ExecMainStartTimestampMonotonic -p NRestarts"
        return [self.package_version(role), *self._answer(role, show).split()]

    def variables(self, role: str) -> dict[str, Any]:
        return {
            "ansible_host": "127.0.0.1",
            "ansible_port": self.lab.settings.port(f"ssh-{role}"),
            "ansible_user": "ops",
            "ansible_ssh_private_key_file": str(self._ssh / "ops"),
            "ansible_ssh_common_args": f"-o UserKnownHostsFile={self._ssh / 'known_hosts'} -o GlobalKnownHostsFile=/dev/null",
            "ansible_become": True,
            "ansible_python_interpreter": "/usr/bin/python3",
            f"{component(role)}_deployment": "package",
            f"{component(role)}_package": unit(role),
        }

    def forget(self) -> None:
        """The lab removes every container of its own."""

    def logs(self, role: str) -> str:
        return self.execute(role, f"journalctl -q --no-pager -o cat -n 15 -u {unit(role)}")[1]

    # --- for tests: what may be wrong on a host ----------------------------------------------------------------------

    def use_repository(self, role: str, name: str) -> None:
        """Point the host at another repository: a name of packages.REPOSITORIES; any other name is not there."""
        code, output = self.execute(role, f"repository {name}")
        if code:
            raise LabError(f"{role} was not pointed at the repository {name}: {output}")

    def put_package(self, role: str, package: str, version: str, repository: str = "stable") -> tuple[str, str]:
        """Copy a package file to the host; its path there and its checksum as ``sha256:<hex>``."""
        path = package_file(self._kind(role), package, version, repository)
        answer = self.lab.http.get(self.lab.settings.local("packages") + path, timeout=30)
        answer.raise_for_status()
        name = Path(path).name
        container = self.lab.client.containers.get(self.lab.settings.container(role))
        container.put_archive("/root", tar_of({name: answer.content}))
        return f"/root/{name}", f"sha256:{hashlib.sha256(answer.content).hexdigest()}"
