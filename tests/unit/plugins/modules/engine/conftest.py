# Copyright (c) 2026 tyk.upgrade contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""A real engine with tiny images for the tests of modules that need one.

The images hold one static program, standin.go, and differ in their defaults only. Everything a test makes carries a
label or a name with a random part, and goes with the test session.
"""

from __future__ import annotations

import importlib
import io
import json
import os
import random
import shutil
import subprocess
import tarfile
import uuid
from pathlib import Path
from typing import Any, Callable, Dict, Iterator, List, Sequence, Tuple

import pytest

HERE = Path(__file__).parent
LABEL = "tyk.upgrade.test"

Run = Callable[..., Dict[str, Any]]


@pytest.fixture
def run_module(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> Run:
    """Run a module's main() with arguments and return the JSON it prints."""

    def run(module_name: str, /, check_mode: bool = False, **arguments: Any) -> Dict[str, Any]:
        from ansible.module_utils import basic

        parameters = {**arguments, "_ansible_check_mode": check_mode, "_ansible_remote_tmp": "/tmp"}
        monkeypatch.setattr(basic, "_ANSIBLE_ARGS", json.dumps({"ANSIBLE_MODULE_ARGS": parameters}).encode())
        monkeypatch.setattr(basic, "_ANSIBLE_PROFILE", "legacy", raising=False)
        module = importlib.import_module(f"ansible_collections.tyk.upgrade.plugins.modules.{module_name}")
        capsys.readouterr()
        with pytest.raises(SystemExit):
            module.main()
        return dict(json.loads(capsys.readouterr().out.strip().splitlines()[-1]))

    return run


class Bench:
    """The engine, images to start from, and a prefix nobody else uses."""

    def __init__(self, api: Any, binary: bytes) -> None:
        self.api = api
        self.binary = binary
        self.prefix = f"tyk-upgrade-test-{uuid.uuid4().hex[:8]}"
        self.images: List[str] = []
        self.networks: List[str] = []
        self.volumes: List[str] = []

    def image(self, tag: str, *changes: str, repository: str = "unit", folders: Sequence[str] = ()) -> str:
        buffer = io.BytesIO()
        with tarfile.open(fileobj=buffer, mode="w") as archive:
            for folder in ("etc", "tmp", "data", "opt", "opt/tyk-gateway", "plugin-source", "var", *folders):
                member = tarfile.TarInfo(folder)
                member.type, member.mode = tarfile.DIRTYPE, 0o755
                archive.addfile(member)
            for name, content, mode in (
                ("standin", self.binary, 0o755),
                ("etc/image", tag.encode(), 0o644),
                ("opt/tyk-gateway/tyk.conf", b'{"listen_port": 8080}', 0o640),
            ):
                member = tarfile.TarInfo(name)
                member.size, member.mode = len(content), mode
                archive.addfile(member, io.BytesIO(content))
        reference = f"{self.prefix}/{repository}:{tag}"
        self.api.import_image_from_data(
            buffer.getvalue(), repository=f"{self.prefix}/{repository}", tag=tag, changes=list(changes)
        )
        self.images.append(reference)
        return reference

    def network(self, name: str) -> str:
        full = f"{self.prefix}-{name}"
        self.api.create_network(full, driver="bridge", labels={LABEL: self.prefix})
        self.networks.append(full)
        return full

    def fixed_network(self, name: str) -> Tuple[str, str]:
        """A network with a subnet of its own, which fixed addresses need, and the first three numbers of that."""
        import docker.errors

        full = f"{self.prefix}-{name}"
        for third in random.sample(range(256), 20):
            pool = {"Config": [{"Subnet": f"10.213.{third}.0/24"}]}
            try:
                self.api.create_network(full, driver="bridge", ipam=pool, labels={LABEL: self.prefix})
            except docker.errors.APIError:  # another run on this engine has that one
                continue
            self.networks.append(full)
            return full, f"10.213.{third}"
        pytest.skip("no free subnet for a network of the test")

    def volume(self, name: str) -> str:
        full = f"{self.prefix}-{name}"
        self.api.create_volume(full, labels={LABEL: self.prefix})
        self.volumes.append(full)
        return full

    def container(self, name: str, config: Dict[str, Any], start: bool = True) -> str:
        full = f"{self.prefix}-{name}"
        self.api.create_container_from_config(config, full)
        if start:
            self.api.start(full)
        return full

    def owner(self, name: str, path: str) -> Tuple[int, int, int]:
        """Uid, gid and permissions of a file or folder of a container."""
        stream, _about = self.api.get_archive(name, path)
        with tarfile.open(fileobj=io.BytesIO(b"".join(stream))) as archive:
            first = archive.next()
        assert first is not None
        return first.uid, first.gid, first.mode & 0o7777

    def inspect(self, name: str) -> Dict[str, Any]:
        return dict(self.api.inspect_container(name))

    def names(self, name: str) -> List[str]:
        found = self.api.containers(all=True, filters={"name": name})
        return sorted(one["Names"][0].lstrip("/") for one in found)

    def image_ids(self) -> List[str]:
        return [str(self.api.inspect_image(image)["Id"]) for image in self.images]

    def sweep_containers(self) -> None:
        for one in self.api.containers(all=True, filters={"name": self.prefix}):
            self.api.remove_container(one["Id"], force=True, v=True)

    def sweep(self) -> None:
        self.sweep_containers()
        for network in self.networks:
            self.api.remove_network(network)
        for volume in self.api.volumes(filters={"name": self.prefix})["Volumes"] or []:
            self.api.remove_volume(volume["Name"], force=True)
        for image in self.images:
            self.api.remove_image(image, force=True)


def built(tmp_path_factory: pytest.TempPathFactory, name: str) -> bytes:
    """A program of this folder, which needs nothing of the image that it is put into."""
    go = shutil.which("go") or shutil.which("/usr/local/go/bin/go")
    if go is None:
        pytest.skip("no Go toolchain to build the program in the test images")
    target = tmp_path_factory.mktemp(name) / name
    subprocess.run(
        [go, "build", "-ldflags=-s -w", "-o", str(target), str(HERE / f"{name}.go")],
        check=True,
        env={**os.environ, "CGO_ENABLED": "0", "GO111MODULE": "off", "GOTOOLCHAIN": "local"},
    )
    return target.read_bytes()


@pytest.fixture(scope="session")
def standin_binary(tmp_path_factory: pytest.TempPathFactory) -> bytes:
    return built(tmp_path_factory, "standin")


@pytest.fixture(scope="session")
def compiler_binary(tmp_path_factory: pytest.TempPathFactory) -> bytes:
    return built(tmp_path_factory, "compiler")


@pytest.fixture(scope="session")
def session_bench(standin_binary: bytes) -> Iterator[Bench]:
    import docker

    api = docker.APIClient(version="auto", timeout=60, **docker.utils.kwargs_from_env())
    bench = Bench(api, standin_binary)
    try:
        yield bench
    finally:
        bench.sweep()
        api.close()


@pytest.fixture
def bench(session_bench: Bench) -> Iterator[Bench]:
    yield session_bench
    session_bench.sweep_containers()


@pytest.fixture(scope="session")
def old_image(session_bench: Bench) -> str:
    return session_bench.image(
        "v5.3.0",
        "ENV FROM_IMAGE=old TYK_ONLY_OLD=1 PATH=/",
        "LABEL org.opencontainers.image.version=5.3.0",
        "LABEL only.old=1",
        "USER 0",
        "WORKDIR /opt",
        "EXPOSE 8080",
        "VOLUME /data",
        'ENTRYPOINT ["/standin"]',
        'CMD ["serve", "old"]',
        'HEALTHCHECK --interval=60s CMD ["/standin", "fail"]',
    )


@pytest.fixture(scope="session")
def new_image(session_bench: Bench) -> str:
    return session_bench.image(
        "v5.8.9",
        "ENV FROM_IMAGE=new TYK_ONLY_NEW=1 PATH=/",
        "LABEL org.opencontainers.image.version=5.8.9",
        "WORKDIR /opt/tyk-gateway",
        "EXPOSE 8080",
        "VOLUME /data",
        'ENTRYPOINT ["/standin"]',
        'CMD ["serve", "new"]',
    )


@pytest.fixture(scope="session")
def dying_image(session_bench: Bench) -> str:
    return session_bench.image("v5.9.0", 'ENTRYPOINT ["/standin"]', 'CMD ["fail"]')
