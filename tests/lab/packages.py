# Copyright (c) 2026 tyk.upgrade contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Packages as Tyk's are laid out, in signed apt and dnf repositories; and the Linux hosts that have one installed."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

from builder import Builder
from settings import FROM_VERSION, LAB, PUMP_FROM, PUMP_TO, TO_VERSION, digest, numbers

SOURCES = LAB / "linux"

# Repository → what is wrong with the target versions in it. Each holds the whole list, so that there is a way back.
REPOSITORIES = {
    "stable": "-",
    "crashing": "crashing",  # a service that starts well and ends four seconds later, again and again
    "failing": "failing",  # the script after unpacking ends with an error
    "untrusted": "-",  # signed with a key that no host knows
}


def package_file(kind: str, package: str, version: str, repository: str = "stable") -> str:
    """Path of a package in the server's container and below its address."""
    if kind == "deb":
        return f"/{repository}/apt/pool/{package}_{version}_amd64.deb"
    return f"/{repository}/rpm/{package}-{version}-1.x86_64.rpm"


def sample(component: str, version: str) -> Path:
    """The configuration that a package carries: of its own version, or of the last one before it that has another."""
    known = sorted(SOURCES.joinpath(component).glob("*.conf"), key=lambda path: numbers(path.stem))
    older = [path for path in known if numbers(path.stem) <= numbers(version)]
    return (older or known[:1])[-1]


class Packages:
    """``binary(component, version)`` gives the program that goes into a package; ``gateways`` are first and target."""

    def __init__(
        self,
        builder: Builder,
        binary: Callable[[str, str], Path],
        gateways: tuple[str, str] = (FROM_VERSION, TO_VERSION),
    ) -> None:
        self.builder = builder
        self.binary = binary
        self.first = {"gateway": gateways[0], "pump": PUMP_FROM}
        # (package, component, version); the enterprise edition is there for who asks for it, beside the other one.
        self.packages = (
            *(("tyk-gateway", "gateway", version) for version in gateways),
            ("tyk-gateway-ee", "gateway", gateways[1]),
            *(("tyk-pump", "pump", version) for version in (PUMP_FROM, PUMP_TO)),
        )

    def _list(self) -> str:
        lines = []
        for repository, broken in REPOSITORIES.items():
            for package, component, version in self.packages:
                how = "-" if version == self.first[component] else broken
                lines.append(f"{repository} {package} {component} {version} {how}\n")
        return "".join(lines)

    def server(self) -> str:
        """An image with all repositories and nginx in front of them."""
        tools, services = self.builder.rootfs("packager"), self.builder.rootfs("services")
        names = ("build.sh", "nginx.conf", "gateway", "pump", "scripts")
        files: dict[str, bytes | Path] = {
            str(path.relative_to(SOURCES)): path
            for name in names
            for path in ([SOURCES / name] if (SOURCES / name).is_file() else sorted((SOURCES / name).iterdir()))
        }
        for _package, component, version in self.packages:
            files[f"bin/{component}-{version}"] = self.binary(component, version)
            files[f"{component}/{version}.conf"] = sample(component, version)
        files["list"] = self._list().encode()
        dockerfile = (
            f"FROM {tools} AS built\n"
            "COPY . /src\n"
            "RUN bash /src/build.sh\n"
            f"FROM {services}\n"
            "COPY nginx.conf /etc/tyk-lab/nginx.conf\n"
            "COPY --from=built /srv/packages /srv/packages\n"
        )
        key = digest(dockerfile, *(part for name, source in sorted(files.items()) for part in (name, source)))
        return self.builder.image("packages", key, dockerfile, lambda: files)

    def host(self, kind: str, component: str) -> str:
        """An image of a host (deb or rpm) with the first version installed, from the repository and by its own tools."""
        server, rootfs = self.server(), self.builder.rootfs(f"host-{kind}")
        names = ("host.sh", "repository.sh", "host-state.sh")
        files: dict[str, bytes | Path] = {name: SOURCES / name for name in names}
        package = f"tyk-{component}"
        manager = "apt" if kind == "deb" else "rpm"
        dockerfile = (
            f"FROM {server} AS packages\n"
            f"FROM {rootfs}\n"
            f"COPY --from=packages /srv/packages/lab-base.rpm /srv/packages/lab-base.rpm\n"
            f"COPY --from=packages /srv/packages/stable/{manager} /srv/packages/stable/{manager}\n"
            "COPY --from=packages /srv/packages/key.gpg /usr/share/keyrings/tyk.gpg\n"
            "COPY --from=packages /srv/packages/key.asc /usr/share/keyrings/tyk.asc\n"
            "COPY repository.sh /usr/sbin/repository\n"
            "COPY host-state.sh /usr/sbin/host-state\n"
            "COPY host.sh /root/host.sh\n"
            f"RUN sh /root/host.sh {kind} {package} {self.first[component]} {package}\n"
            'CMD ["/lib/systemd/systemd"]\n'
        )
        # A server that was built anew signs with other keys.
        key = digest(dockerfile, self.builder.client.images.get(server).id, *files.values())
        return self.builder.image(f"host-{kind}-{component}", key, dockerfile, lambda: files)
