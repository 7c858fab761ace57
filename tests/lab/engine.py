# Copyright (c) 2026 tyk.upgrade contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The lab's hands: system packages, the Docker engine, networks, volumes and containers."""

from __future__ import annotations

import contextlib
import hashlib
import io
import json
import os
import shutil
import signal
import subprocess
import sys
import tarfile
import threading
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import Any

import docker
import docker.errors
from docker.types import EndpointConfig, IPAMConfig, IPAMPool
from settings import LABEL, SPEC_LABEL, LabError, Settings, cache_dir

_print_lock = threading.Lock()


def say(message: str) -> None:
    with _print_lock:
        print(f"lab: {message}", flush=True)


def run(command: list[str], *, what: str, env: dict[str, str] | None = None, cwd: Path | None = None) -> str:
    """Run a command at low priority; on failure the error carries its last lines."""
    nice = [] if shutil.which("nice") is None else ["nice", "-n", "10"]
    done = subprocess.run(  # noqa: S603
        nice + command,
        cwd=cwd,
        env={**os.environ, **(env or {})},
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        errors="replace",
        check=False,
    )
    if done.returncode:
        tail = "\n".join(done.stdout.strip().splitlines()[-25:])
        raise LabError(f"{what} failed with exit code {done.returncode}: {' '.join(command)}\n{tail}")
    return done.stdout


def install_packages(*packages: str) -> None:
    """Install Debian packages; services that a package would start stay down where there is no init system."""
    if shutil.which("apt-get") is None:
        raise LabError(f"The lab needs {', '.join(packages)} and installs packages with apt-get, which is not here.")
    if os.geteuid() != 0:
        raise LabError(f"The lab needs {', '.join(packages)}; run it as root or install them first.")
    with locked("packages"):
        say(f"installing {', '.join(packages)}")
        quiet = {"DEBIAN_FRONTEND": "noninteractive"}
        patient = ["-o", "DPkg::Lock::Timeout=300"]
        run(["apt-get", *patient, "update", "-q"], what="apt-get update", env=quiet)
        command = ["apt-get", *patient, "install", "-y", "-q", "--no-install-recommends", *packages]
        run(command, what="apt-get install", env=quiet)


def wait_for(what: str, test: Callable[[], Any], *, timeout: float, every: float = 0.2) -> Any:
    """Call ``test`` until it returns something true; what it raised last is part of the error."""
    deadline = time.monotonic() + timeout
    last = "no answer yet"
    while True:
        try:
            answer = test()
            if answer:
                return answer
            last = f"last answer: {answer!r}"
        except LabError:
            raise
        except Exception as error:  # anything may come from something that is still starting
            last = str(error)
        if time.monotonic() > deadline:
            raise LabError(f"{what}: not there after {timeout:.0f} s ({last}).")
        time.sleep(every)


@contextlib.contextmanager
def locked(name: str) -> Iterator[None]:
    """One process at a time; the lock goes with the process."""
    import fcntl

    folder = cache_dir() / "locks"
    folder.mkdir(parents=True, exist_ok=True)
    with (folder / name).open("w") as handle:
        fcntl.flock(handle, fcntl.LOCK_EX)
        yield


class DockerEngine:
    """The engine of the machine, or one started here when none answers."""

    pid_file = Path("/run/tyk-upgrade-lab-dockerd.pid")

    @classmethod
    def client(cls) -> docker.DockerClient:
        return docker.from_env(timeout=600)

    @classmethod
    def answers(cls) -> bool:
        try:
            client = docker.from_env(timeout=20)
        except docker.errors.DockerException:
            return False
        try:
            return bool(client.ping())
        except Exception:  # the SDK lets transport errors of several libraries through
            return False
        finally:
            client.close()

    @classmethod
    def ensure(cls) -> docker.DockerClient:
        with locked("engine"):
            if not cls.answers():
                cls._start()
        return cls.client()

    @classmethod
    def _start(cls) -> None:
        if os.environ.get("DOCKER_HOST"):
            raise LabError(f"No Docker engine answers at DOCKER_HOST={os.environ['DOCKER_HOST']}.")
        if shutil.which("dockerd") is None or shutil.which("iptables") is None:
            install_packages("docker.io", "iptables")
            with contextlib.suppress(LabError):
                wait_for("engine of the init system", cls.answers, timeout=5)
                return
        if os.geteuid() != 0:
            raise LabError("No Docker engine answers, and only root can start one.")
        say("starting the Docker engine")
        # What an engine that was killed left behind makes the next one refuse to start.
        for stale in ("/var/run/docker.pid", "/run/docker/containerd/containerd.pid"):
            path = Path(stale)
            if path.exists() and not _alive(_read_pid(path)):
                path.unlink()
        log = cache_dir() / "dockerd.log"
        log.parent.mkdir(parents=True, exist_ok=True)
        with log.open("ab") as handle:
            process = subprocess.Popen(
                ["dockerd"], stdin=subprocess.DEVNULL, stdout=handle, stderr=handle, start_new_session=True
            )
        cls.pid_file.write_text(f"{process.pid}\n")

        def up() -> bool:
            if process.poll() is not None:
                tail = "\n".join(log.read_text(errors="replace").splitlines()[-10:])
                raise LabError(f"dockerd ended with exit code {process.returncode}; {log} ends with:\n{tail}")
            return cls.answers()

        wait_for("Docker engine", up, timeout=90)

    @classmethod
    def stop_if_ours(cls) -> bool:
        """Stop the engine when the lab started it, nothing runs on it any more and LAB_KEEP_ENGINE is not set."""
        if os.environ.get("LAB_KEEP_ENGINE"):
            return False
        with locked("engine"):
            pid = _read_pid(cls.pid_file)
            if not _alive(pid, "dockerd"):
                cls.pid_file.unlink(missing_ok=True)
                return False
            if cls.answers() and cls.client().containers.list(all=True, ignore_removed=True):
                say("the Docker engine started by the lab stays up: other containers are on it")
                return False
            assert pid is not None
            os.kill(pid, signal.SIGTERM)
            for _second_tenth in range(300):
                if not _alive(pid, "dockerd"):
                    break
                time.sleep(0.1)
            cls.pid_file.unlink(missing_ok=True)
            return True


def _read_pid(path: Path) -> int | None:
    try:
        return int(path.read_text().strip())
    except (OSError, ValueError):
        return None


def _alive(pid: int | None, name: str = "") -> bool:
    if pid is None:
        return False
    try:
        status = Path(f"/proc/{pid}/stat").read_text()
    except OSError:
        return False
    command, dummy, rest = status.partition("(")[2].rpartition(")")
    return rest.split()[0] != "Z" and (not name or command == name)


@dataclass
class Container:
    """What a container of the lab must be like. ``keeps_image``: an image that replaced this one is left alone."""

    role: str
    image: str
    command: list[str] | None = None
    environment: dict[str, str] = field(default_factory=dict)
    publish: dict[int, str] = field(default_factory=dict)  # container port → name in settings.PORTS
    mounts: dict[str, str] = field(default_factory=dict)  # volume or file → "path[:ro]"
    labels: dict[str, str] = field(default_factory=dict)
    restart: str = "no"
    stop_timeout: int | None = None
    keeps_image: bool = False
    systemd: bool = False  # a whole host with systemd as its first process, named after its role

    def digest(self) -> str:
        content = {key: value for key, value in self.__dict__.items() if key != "image" or not self.keeps_image}
        return hashlib.sha256(json.dumps(content, sort_keys=True, default=str).encode()).hexdigest()[:16]


class Site:
    """The lab's own corner of the engine: everything in it carries the lab's label."""

    def __init__(self, settings: Settings, client: docker.DockerClient) -> None:
        self.settings = settings
        self.client = client
        self.label = f"{LABEL}={settings.name}"

    def containers(self) -> list[Any]:
        return list(self.client.containers.list(all=True, filters={"label": self.label}, ignore_removed=True))

    def find(self, role: str) -> Any | None:
        try:
            return self.client.containers.get(self.settings.container(role))
        except docker.errors.NotFound:
            return None

    def ensure_network(self) -> None:
        name, subnet = self.settings.name, self.settings.subnet
        for network in self.client.networks.list(names=[name]):
            if network.name != name:
                continue
            pools = (network.attrs.get("IPAM") or {}).get("Config") or []
            if [pool.get("Subnet") for pool in pools] == [subnet]:
                return
            raise LabError(
                f"A Docker network '{name}' with another subnet exists; remove it or choose another LAB_NAME."
            )
        try:
            self.client.networks.create(
                name,
                driver="bridge",
                ipam=IPAMConfig(pool_configs=[IPAMPool(subnet=subnet)]),
                labels={LABEL: self.settings.name},
            )
        except docker.errors.APIError as error:
            raise LabError(
                f"The network {subnet} cannot be made: {error.explanation}. Another LAB_PORT_BASE gives another subnet."
            ) from error

    def ensure_volume(self, what: str) -> str:
        name = self.settings.container(what)
        self.client.volumes.create(name, labels={LABEL: self.settings.name})
        return name

    def ensure_container(self, wanted: Container) -> tuple[Any, bool]:
        """Return the container and whether it was (re)made; one that runs as wanted is left alone."""
        found = self.find(wanted.role)
        if found is not None:
            same = found.labels.get(SPEC_LABEL) == wanted.digest()
            if same and not wanted.keeps_image:
                same = found.attrs["Image"] == self.client.images.get(wanted.image).id
            if same:
                if found.status != "running":
                    say(f"starting {found.name} again")
                    found.start()
                return found, False
            found.remove(force=True, v=True)
        return self._create(wanted), True

    def _create(self, wanted: Container) -> Any:
        settings, api = self.settings, self.client.api
        ports = {port: ("127.0.0.1", settings.port(name)) for port, name in wanted.publish.items()}
        mounts = {**wanted.mounts, **(self._cgroup_mount() if wanted.systemd else {})}
        host = api.create_host_config(
            port_bindings=ports,
            binds=[f"{source}:{target}" for source, target in mounts.items()],
            restart_policy={"Name": wanted.restart},
            **(self._systemd_options() if wanted.systemd else {}),
        )
        endpoint = EndpointConfig(
            version=api.api_version, aliases=[wanted.role], ipv4_address=settings.address(wanted.role)
        )
        arguments: dict[str, Any] = {
            "image": wanted.image,
            "name": settings.container(wanted.role),
            "command": wanted.command,
            "environment": wanted.environment,
            "ports": list(ports),
            "labels": {LABEL: settings.name, SPEC_LABEL: wanted.digest(), **wanted.labels},
            "host_config": host,
            "networking_config": api.create_networking_config({settings.name: endpoint}),
        }
        if wanted.systemd:
            arguments.update(hostname=wanted.role, stop_signal="SIGRTMIN+3")
        if wanted.stop_timeout is not None:
            arguments["stop_timeout"] = wanted.stop_timeout
        made = api.create_container(**arguments)
        try:
            api.start(made["Id"])
        except docker.errors.APIError as error:
            api.remove_container(made["Id"], force=True)
            raise LabError(f"{settings.container(wanted.role)} does not start: {error.explanation}") from error
        return self.client.containers.get(made["Id"])

    # systemd wants its cgroups writable and /run of its own; no capability beyond the engine's default.

    @cached_property
    def _unified(self) -> bool:
        return str(self.client.info().get("CgroupVersion", "1")) == "2"

    def _cgroup_mount(self) -> dict[str, str]:
        folder = "/sys/fs/cgroup" if self._unified else "/sys/fs/cgroup/systemd"
        return {folder: f"{folder}:rw"}

    def _systemd_options(self) -> dict[str, Any]:
        own = {"cgroupns": "private"} if self._unified else {}
        return {"tmpfs": {"/run": "exec", "/run/lock": ""}, **own}

    def remove_containers(self, *, keep: Callable[[Any], bool] = lambda container: False) -> int:
        """Remove the lab's containers, kept old ones and left-over temporary ones included."""
        gone = 0
        for container in self.containers():
            if keep(container):
                continue
            with contextlib.suppress(docker.errors.NotFound):
                container.remove(force=True, v=True)
            gone += 1
        return gone

    def remove_everything(self) -> None:
        count = self.remove_containers()
        volumes = self.client.volumes.list(filters={"label": self.label})
        for volume in volumes:
            volume.remove(force=True)
        networks = self.client.networks.list(filters={"label": self.label})
        for network in networks:
            network.remove()
        say(f"removed {count} containers, {len(volumes)} volumes, {len(networks)} networks")

    def logs(self, role: str, lines: int = 15) -> str:
        found = self.find(role)
        return "" if found is None else found.logs(tail=lines).decode(errors="replace").strip()


def tar_of(files: dict[str, bytes | Path], modes: dict[str, int] | None = None) -> bytes:
    """A tar with fixed times and owners, so that the same content has the same bytes."""
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode="w") as archive:
        for name, content in sorted(files.items()):
            data = content.read_bytes() if isinstance(content, Path) else content
            info = tarfile.TarInfo(name)
            info.size = len(data)
            info.mode = (modes or {}).get(name, 0o644)
            archive.addfile(info, io.BytesIO(data))
    return buffer.getvalue()


def fail(error: LabError) -> int:
    print(f"lab: {error}", file=sys.stderr)
    return 1
