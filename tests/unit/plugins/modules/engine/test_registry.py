# Copyright (c) 2026 tyk.upgrade contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Pulling from a registry that wants a login, with the credentials that docker login would have stored."""

from __future__ import annotations

import base64
import json
import shutil
import socket
import subprocess
import time
import warnings
from pathlib import Path
from typing import Any, Iterator

import pytest

pytestmark = [
    pytest.mark.engine,
    pytest.mark.skipif(shutil.which("docker-registry") is None, reason="no docker-registry on this machine"),
]

STAYS = {"settle": 0.3, "stop_timeout": 5}
USER, PASSWORD = "puller", "hidden-registry-word"


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def bcrypt_line() -> str:
    """A line of htpasswd; the registry accepts bcrypt only."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        crypt = pytest.importorskip("crypt", reason="this Python cannot hash with bcrypt")
        return f"{USER}:{crypt.crypt(PASSWORD, crypt.mksalt(crypt.METHOD_BLOWFISH))}\n"


@pytest.fixture(scope="module")
def registry(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    folder, port = tmp_path_factory.mktemp("registry"), free_port()
    (folder / "htpasswd").write_text(bcrypt_line())
    (folder / "config.yml").write_text(
        json.dumps(
            {
                "version": "0.1",
                "log": {"level": "error"},
                "storage": {"filesystem": {"rootdirectory": str(folder / "data")}},
                "http": {"addr": f"127.0.0.1:{port}"},
                "auth": {"htpasswd": {"realm": "unit", "path": str(folder / "htpasswd")}},
            }
        )
    )
    process = subprocess.Popen(
        ["docker-registry", "serve", str(folder / "config.yml")], stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL
    )
    try:
        for _unused in range(100):
            try:
                socket.create_connection(("127.0.0.1", port), timeout=1).close()
                break
            except OSError:
                time.sleep(0.05)
        yield f"localhost:{port}"
    finally:
        process.terminate()
        process.wait(10)


@pytest.fixture
def remote_image(bench: Any, registry: str, new_image: str) -> Iterator[str]:
    """An image that only the registry has."""
    reference = f"{registry}/unit/tyk-gateway:v5.8.9"
    bench.api.tag(new_image, f"{registry}/unit/tyk-gateway", "v5.8.9")
    login = {"username": USER, "password": PASSWORD}
    for line in bench.api.push(reference, stream=True, decode=True, auth_config=login):
        assert "error" not in line, line
    bench.api.remove_image(reference)
    yield reference
    bench.sweep_containers()
    try:
        bench.api.remove_image(reference, force=True)
    except Exception:  # not every test pulls it
        pass


@pytest.fixture
def logged_in(registry: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    token = base64.b64encode(f"{USER}:{PASSWORD}".encode()).decode()
    (tmp_path / "config.json").write_text(json.dumps({"auths": {registry: {"auth": token}}}))
    monkeypatch.setenv("DOCKER_CONFIG", str(tmp_path))


@pytest.fixture
def logged_out(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("DOCKER_CONFIG", str(tmp_path))


@pytest.fixture
def gateway(bench: Any, old_image: str) -> str:
    return str(bench.container("gw", {"Image": old_image}))


def test_staged_then_present(bench: Any, gateway: str, remote_image: str, logged_in: None, run_module: Any) -> None:
    started = bench.inspect(gateway)["State"]["StartedAt"]
    info = run_module("container_info", names=[gateway], target_image=remote_image)
    assert (info["target"]["present"], info["target"]["pullable"], info["findings"]) == (False, True, [])

    predicted = run_module("container_upgrade", check_mode=True, name=gateway, image=remote_image, state="staged")
    assert predicted["actions"] == [f"pulled {remote_image}"], predicted
    staged = run_module("container_upgrade", name=gateway, image=remote_image, state="staged")
    assert (staged["changed"], staged["actions"]) == (True, predicted["actions"])
    assert run_module("container_upgrade", name=gateway, image=remote_image, state="staged")["changed"] is False
    assert bench.inspect(gateway)["State"]["StartedAt"] == started

    done = run_module("container_upgrade", name=gateway, image=remote_image, **STAYS)
    assert not any("pulled" in action for action in done["actions"])
    always = run_module("container_upgrade", name=gateway, image=remote_image, pull="always", **STAYS)
    assert always["changed"] is False, always
    assert (
        run_module("container_upgrade", check_mode=True, name=gateway, image=remote_image, pull="always")["changed"]
        is False
    )


def test_check_mode_predicts_pull_and_replacement(
    bench: Any, gateway: str, remote_image: str, logged_in: None, run_module: Any
) -> None:
    predicted = run_module("container_upgrade", check_mode=True, name=gateway, image=remote_image, **STAYS)
    assert predicted["actions"][0] == f"pulled {remote_image}"
    done = run_module("container_upgrade", name=gateway, image=remote_image, **STAYS)
    assert predicted["actions"] == done["actions"]


@pytest.mark.parametrize("check_mode", [False, True])
def test_without_a_login(
    bench: Any, gateway: str, remote_image: str, logged_out: None, run_module: Any, check_mode: bool
) -> None:
    result = run_module("container_upgrade", check_mode=check_mode, name=gateway, image=remote_image)
    assert result["failed"] is True
    assert [one["code"] for one in result["findings"]] == ["image-missing"]
    assert remote_image in result["msg"] and "docker login" in result["msg"]
    assert bench.inspect(gateway)["State"]["Running"]


@pytest.mark.parametrize("check_mode", [False, True])
def test_missing_tag(
    bench: Any, gateway: str, remote_image: str, logged_in: None, run_module: Any, check_mode: bool
) -> None:
    missing = remote_image.replace("v5.8.9", "v5.99.0")
    result = run_module("container_upgrade", check_mode=check_mode, name=gateway, image=missing)
    assert [one["code"] for one in result["findings"]] == ["image-missing"]
    assert missing in result["msg"]
    assert PASSWORD not in json.dumps(result)
    info = run_module("container_info", names=[gateway], target_image=missing)
    assert info["target"]["pullable"] is False
