# Copyright (c) 2026 tyk.upgrade contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""container_upgrade on a real engine: what is kept, the way back, and being killed at any moment."""

from __future__ import annotations

import io
import json
import socket
import tarfile
import time
from pathlib import Path
from typing import Any, Dict, Iterator, List, Tuple

import pytest

from ansible_collections.tyk.upgrade.plugins.module_utils._clients import docker_engine, replacement_notes

pytestmark = pytest.mark.engine

STAYS = {"settle": 0.5, "stop_timeout": 5}


class Killed(BaseException):
    """Stands for kill -9: nothing of the module runs after it."""


@pytest.fixture(scope="module")
def fixed(session_bench: Any) -> List[Tuple[str, str]]:
    """Two networks, each with the first three numbers of its addresses."""
    return [session_bench.fixed_network("front"), session_bench.fixed_network("back")]


@pytest.fixture
def nets(fixed: List[Tuple[str, str]]) -> List[str]:
    return [name for name, _unused in fixed]


@pytest.fixture(scope="module")
def port() -> str:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return str(probe.getsockname()[1])


@pytest.fixture
def rich(bench: Any, old_image: str, nets: List[str], fixed: List[Tuple[str, str]], port: str) -> Iterator[str]:
    """A running container that uses a great many settings."""
    volume = bench.volume("named") if f"{bench.prefix}-named" not in bench.volumes else f"{bench.prefix}-named"
    name = bench.container(
        "gw",
        {
            "Image": old_image,
            "Env": ["TYK_GW_SECRET=hidden-value", "FROM_IMAGE=mine"],
            "User": "1000",
            "Hostname": "gateway-one",
            "Labels": {"mine": "1", "com.docker.compose.project": "shop"},
            "StopSignal": "SIGINT",
            "StopTimeout": 45,
            "ExposedPorts": {"9090/tcp": {}},
            "Healthcheck": {"Retries": 7},
            "Volumes": {"/var/anonymous": {}},
            "HostConfig": {
                "NetworkMode": nets[0],
                "Binds": [f"{volume}:/var/named:ro"],
                "PortBindings": {"8080/tcp": [{"HostIp": "127.0.0.1", "HostPort": port}]},
                "RestartPolicy": {"Name": "on-failure", "MaximumRetryCount": 4},
                "ExtraHosts": ["other:10.9.8.7"],
                "Dns": ["10.1.1.1"],
                "CapDrop": ["NET_RAW"],
                "CapAdd": ["NET_ADMIN"],
                "Ulimits": [{"Name": "nofile", "Soft": 1000, "Hard": 2000}],
                "Memory": 67108864,
                "NanoCpus": 500000000,
                "ShmSize": 33554432,
                "Tmpfs": {"/scratch": "size=1m"},
                "Init": True,
                "LogConfig": {"Type": "json-file", "Config": {"max-size": "1m"}},
                "SecurityOpt": ["no-new-privileges"],
                "Sysctls": {"net.core.somaxconn": "512"},
                "ReadonlyRootfs": True,
            },
            "NetworkingConfig": {
                "EndpointsConfig": {nets[0]: {"Aliases": ["gw1"], "IPAMConfig": {"IPv4Address": f"{fixed[0][1]}.10"}}}
            },
        },
        start=False,
    )
    bench.api.connect_container_to_network(name, nets[1], ipv4_address=f"{fixed[1][1]}.10", aliases=["gw1-back"])
    bench.api.start(name)
    yield name


@pytest.fixture
def plain(bench: Any, old_image: str) -> str:
    return str(bench.container("gw", {"Image": old_image, "HostConfig": {"RestartPolicy": {"Name": "always"}}}))


def image_of(bench: Any, name: str) -> str:
    return str(bench.inspect(name)["Config"]["Image"])


def test_keeps_everything_the_user_set(
    bench: Any, rich: str, new_image: str, nets: List[str], run_module: Any, fixed: List[Tuple[str, str]]
) -> None:
    before = bench.inspect(rich)
    anonymous = {one["Destination"]: one["Name"] for one in before["Mounts"] if one["Type"] == "volume"}

    result = run_module("container_upgrade", name=rich, image=new_image, **STAYS)
    after = bench.inspect(rich)

    assert result["changed"] is True, result
    assert result["old"]["id"] == before["Id"] and result["new"]["id"] == after["Id"] != before["Id"]
    config = after["Config"]
    env = dict(entry.split("=", 1) for entry in config["Env"])
    assert env == {"TYK_GW_SECRET": "hidden-value", "FROM_IMAGE": "mine", "TYK_ONLY_NEW": "1", "PATH": "/"}
    assert config["Hostname"] == "gateway-one"
    assert config["User"] == "1000"
    assert config["WorkingDir"] == "/opt/tyk-gateway"  # the image's own default, so the new one counts
    assert config["Cmd"] == ["serve", "new"]
    assert (config["StopSignal"], config["StopTimeout"]) == ("SIGINT", 45)
    assert config["Healthcheck"] == {"Retries": 7}
    assert config["Labels"]["mine"] == "1"
    assert config["Labels"]["org.opencontainers.image.version"] == "5.8.9"
    assert "only.old" not in config["Labels"]
    assert set(config["ExposedPorts"]) == {"8080/tcp", "9090/tcp"}
    different = {
        key for key in before["HostConfig"] if before["HostConfig"][key] != after["HostConfig"][key] and key != "Binds"
    }
    assert different == set()
    assert {one["Destination"]: one["Name"] for one in after["Mounts"] if one["Type"] == "volume"} == anonymous
    networks = after["NetworkSettings"]["Networks"]
    assert networks[nets[0]]["IPAddress"] == f"{fixed[0][1]}.10"
    assert networks[nets[1]]["IPAddress"] == f"{fixed[1][1]}.10"
    for network, alias in zip(nets, ("gw1", "gw1-back")):  # the engine itself adds the id, and the user's hostname
        assert sorted(networks[network]["Aliases"]) == sorted([alias, after["Id"][:12], "gateway-one"])
    assert before["Id"][:12] not in json.dumps(networks)
    assert "hidden-value" not in json.dumps(result)

    kept = bench.inspect(f"{rich}-before-{before['Id'][:12]}")
    assert kept["State"]["Running"] is False
    assert kept["HostConfig"]["RestartPolicy"]["Name"] == "no"


def test_second_run_changes_nothing(bench: Any, plain: str, new_image: str, run_module: Any) -> None:
    run_module("container_upgrade", name=plain, image=new_image, **STAYS)
    started = bench.inspect(plain)["State"]["StartedAt"]
    again = run_module("container_upgrade", name=plain, image=new_image, **STAYS)
    assert (again["changed"], again["actions"]) == (False, [])
    assert bench.inspect(plain)["State"]["StartedAt"] == started


def test_check_mode_announces_just_what_follows(bench: Any, plain: str, new_image: str, run_module: Any) -> None:
    before = bench.names(plain)
    predicted = run_module("container_upgrade", check_mode=True, name=plain, image=new_image, **STAYS)
    assert bench.names(plain) == before
    done = run_module("container_upgrade", name=plain, image=new_image, **STAYS)
    assert predicted["changed"] is done["changed"] is True
    assert predicted["actions"] == done["actions"]
    assert predicted["diff"] == done["diff"]


def test_returned_and_cleaned(bench: Any, plain: str, new_image: str, run_module: Any, tmp_path: Path) -> None:
    first = bench.inspect(plain)
    run_module("container_upgrade", name=plain, image=new_image, **STAYS)
    second = bench.inspect(plain)

    predicted = run_module("container_upgrade", check_mode=True, name=plain, state="returned", **STAYS)
    result = run_module("container_upgrade", name=plain, state="returned", evidence_dir=str(tmp_path / "e"), **STAYS)
    assert predicted["actions"] == result["actions"]
    back = bench.inspect(plain)
    assert back["Id"] == first["Id"] and back["State"]["Running"]
    assert back["HostConfig"]["RestartPolicy"]["Name"] == "always"
    failed = bench.inspect(f"{plain}-failed-{second['Id'][:12]}")
    assert not failed["State"]["Running"] and failed["HostConfig"]["RestartPolicy"]["Name"] == "no"
    log = tmp_path / "e" / f"{plain}-{second['Id'][:12]}.log"
    assert "standin: serving new" in log.read_text()
    assert log.stat().st_mode & 0o777 == 0o600

    again = run_module("container_upgrade", name=plain, state="returned", **STAYS)
    assert again["changed"] is False, again

    cleaned = run_module("container_upgrade", name=plain, state="cleaned", **STAYS)
    assert cleaned["changed"] is True
    assert bench.names(plain) == [plain]
    assert run_module("container_upgrade", name=plain, state="cleaned", **STAYS)["changed"] is False


def test_dying_replacement_is_taken_back(
    bench: Any, rich: str, dying_image: str, run_module: Any, tmp_path: Path
) -> None:
    before = bench.inspect(rich)
    result = run_module("container_upgrade", name=rich, image=dying_image, evidence_dir=str(tmp_path), **STAYS)
    assert result["failed"] is True
    assert "standin: cannot go on" in result["msg"]
    assert "The old container is back and running" in result["msg"], result["msg"]
    after = bench.inspect(rich)
    assert after["Id"] == before["Id"] and after["State"]["Running"]
    assert after["HostConfig"]["RestartPolicy"] == before["HostConfig"]["RestartPolicy"]
    assert [name for name in bench.names(rich) if "-failed-" in name]
    written = "".join(path.read_text() for path in tmp_path.iterdir())
    assert "standin: cannot go on" in written and "hidden-value" not in written


def test_refused_at_start_is_taken_back(
    bench: Any, rich: str, new_image: str, old_image: str, run_module: Any, port: str
) -> None:
    """Another container takes the fixed port in the moment in which the old one is stopped."""
    before = bench.inspect(rich)
    original = docker_engine.Engine.stop

    def stop(self: Any, container: str, timeout: int, subject: str = "") -> None:
        original(self, container, timeout, subject)
        if container == before["Id"]:
            bench.container(
                "thief",
                {
                    "Image": old_image,
                    "HostConfig": {"PortBindings": {"8080/tcp": [{"HostIp": "127.0.0.1", "HostPort": port}]}},
                },
            )

    rename = docker_engine.Engine.rename

    def rename_and_free(self: Any, container: str, name: str) -> None:
        if container == before["Id"] and name == rich:
            bench.api.remove_container(f"{bench.prefix}-thief", force=True, v=True)
        rename(self, container, name)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(docker_engine.Engine, "stop", stop)
        patch.setattr(docker_engine.Engine, "rename", rename_and_free)
        result = run_module("container_upgrade", name=rich, image=new_image, **STAYS)
    assert result["failed"] is True
    assert port in result["msg"] and "is back and running" in result["msg"]
    after = bench.inspect(rich)
    assert after["Id"] == before["Id"] and after["State"]["Running"]


MUTATIONS = ("create", "connect", "put", "stop", "set_restart_policy", "rename", "start", "remove")


def kill_after(patch: pytest.MonkeyPatch, calls: int) -> None:
    """Let the module die right after its n-th call that changes anything."""
    done = {"calls": 0}

    def wrap(name: str) -> None:
        original = getattr(docker_engine.Engine, name)

        def call(self: Any, *args: Any, **kwargs: Any) -> Any:
            answer = original(self, *args, **kwargs)
            done["calls"] += 1
            if done["calls"] == calls:
                raise Killed
            return answer

        patch.setattr(docker_engine.Engine, name, call)

    for name in MUTATIONS:
        wrap(name)


def run_and_kill(run_module: Any, calls: int, **arguments: Any) -> bool:
    with pytest.MonkeyPatch.context() as patch:
        kill_after(patch, calls)
        try:
            run_module("container_upgrade", **arguments, **STAYS)
        except Killed:
            return True
    return False


@pytest.mark.parametrize("calls", range(1, 8))
def test_killed_anywhere_then_repaired(
    bench: Any, rich: str, new_image: str, nets: List[str], run_module: Any, calls: int, fixed: List[Tuple[str, str]]
) -> None:
    before = bench.inspect(rich)
    assert run_and_kill(run_module, calls, name=rich, image=new_image)
    result = run_module("container_upgrade", name=rich, image=new_image, **STAYS)
    assert not result.get("failed"), result
    after = bench.inspect(rich)
    assert after["State"]["Running"] and after["Config"]["Image"] == new_image
    assert after["HostConfig"]["RestartPolicy"] == before["HostConfig"]["RestartPolicy"]
    assert bench.names(rich) == sorted([rich, f"{rich}-before-{before['Id'][:12]}"])
    assert after["NetworkSettings"]["Networks"][nets[1]]["IPAddress"] == f"{fixed[1][1]}.10"
    run_module("container_upgrade", name=rich, state="returned", **STAYS)
    back = bench.inspect(rich)
    assert back["Id"] == before["Id"] and back["State"]["Running"]
    assert back["HostConfig"]["RestartPolicy"] == before["HostConfig"]["RestartPolicy"]


@pytest.mark.parametrize("calls", range(1, 8))
def test_return_killed_anywhere_then_repaired(
    bench: Any, plain: str, new_image: str, run_module: Any, calls: int
) -> None:
    before = bench.inspect(plain)
    run_module("container_upgrade", name=plain, image=new_image, **STAYS)
    run_and_kill(run_module, calls, name=plain, state="returned")
    result = run_module("container_upgrade", name=plain, state="returned", **STAYS)
    assert not result.get("failed"), result
    back = bench.inspect(plain)
    assert back["Id"] == before["Id"] and back["State"]["Running"]
    assert back["HostConfig"]["RestartPolicy"]["Name"] == "always"


def test_files_and_backup(bench: Any, plain: str, new_image: str, run_module: Any, tmp_path: Path) -> None:
    source = tmp_path / "plugin.so"
    source.write_bytes(b"new content")
    identity = bench.inspect(plain)["Id"][:12]
    run_module(
        "container_upgrade",
        name=plain,
        image=new_image,
        files=[{"src": str(source), "dest": "/opt/tyk-gateway/middleware/bundles/x/plugin.so", "mode": "0640"}],
        backup_dir=str(tmp_path / "backup"),
        backup_files=["/opt/tyk-gateway/tyk.conf"],
        **STAYS,
    )
    folder = tmp_path / "backup" / f"{plain}-{identity}"
    assert (folder / "files/opt/tyk-gateway/tyk.conf").read_text() == '{"listen_port": 8080}'
    assert (folder / "container.json").stat().st_mode & 0o777 == 0o600
    chunks, stat = bench.api.get_archive(plain, "/opt/tyk-gateway/middleware/bundles/x/plugin.so")
    assert stat["size"] == len(b"new content") and stat["mode"] & 0o777 == 0o640
    assert b"new content" in b"".join(chunks)


def test_files_and_their_new_folders_are_the_containers_own(
    bench: Any, old_image: str, new_image: str, run_module: Any, tmp_path: Path
) -> None:
    (tmp_path / "plugin.so").write_bytes(b"new content")
    name = bench.container("gw", {"Image": old_image, "User": "65532:65533"})
    files = [{"src": str(tmp_path / "plugin.so"), "dest": "/opt/middleware/bundles/x/plugin.so"}]
    assert run_module("container_upgrade", name=name, image=new_image, files=files, **STAYS)["changed"]
    assert bench.owner(name, "/opt") == (0, 0, 0o755)
    for place in ("/opt/middleware", "/opt/middleware/bundles", "/opt/middleware/bundles/x"):
        assert bench.owner(name, place) == (65532, 65533, 0o755)
    assert bench.owner(name, files[0]["dest"]) == (65532, 65533, 0o644)


def test_a_folder_that_cannot_be_written_is_said_before_anything_stops(
    bench: Any, plain: str, new_image: str, run_module: Any, tmp_path: Path
) -> None:
    (tmp_path / "file").write_text("")
    started = bench.inspect(plain)["State"]["StartedAt"]
    backup = str(tmp_path / "file" / "backup")
    result = run_module("container_upgrade", name=plain, image=new_image, backup_dir=backup, **STAYS)
    assert result["findings"][0]["code"] == "host-file" and backup in result["msg"] and "Not a directory" in result["msg"]
    assert bench.inspect(plain)["State"]["StartedAt"] == started


PLACE = "/opt/middleware/bundles/x/plugin.so"


def content_of(bench: Any, name: str) -> bytes:
    chunks, _stat = bench.api.get_archive(name, PLACE)
    with tarfile.open(fileobj=io.BytesIO(b"".join(chunks))) as archive:
        stream = archive.extractfile("plugin.so")
        assert stream is not None
        return stream.read()


@pytest.fixture
def with_volume(bench: Any, old_image: str, tmp_path: Path) -> Dict[str, Any]:
    """A container with a volume of its own that holds a plugin, and what is put in place of that."""
    places = {}
    for what in ("old", "new"):
        (tmp_path / what).write_bytes(f"the {what} plugin".encode())
        places[what] = [{"src": str(tmp_path / what), "dest": PLACE}]
    config = {"Image": old_image, "HostConfig": {"Binds": [f"{bench.volume('own')}:/opt/middleware"]}}
    name = bench.container("gw", config)
    assert bench.api.put_archive(name, "/", docker_engine.tar_of([(PLACE[1:], b"the old plugin", 0o644)]))
    return {"name": name, "files": places["new"], "return_files": places["old"]}


def test_what_lies_in_a_volume_goes_with_the_way_back(
    bench: Any, with_volume: Dict[str, Any], new_image: str, run_module: Any
) -> None:
    name = with_volume["name"]
    before = bench.inspect(name)["Id"]
    run_module("container_upgrade", **with_volume, image=new_image, **STAYS)
    assert content_of(bench, name) == b"the new plugin"
    back = {"name": name, "return_files": with_volume["return_files"]}
    run_module("container_upgrade", **back, state="returned", **STAYS)
    assert bench.inspect(name)["Id"] == before and content_of(bench, name) == b"the old plugin"


def test_a_volume_is_left_alone_until_the_old_container_has_stopped(
    bench: Any, with_volume: Dict[str, Any], dying_image: str, run_module: Any
) -> None:
    name, found = with_volume["name"], []
    before = bench.inspect(name)["Id"]
    stop, start = docker_engine.Engine.stop, docker_engine.Engine.start

    def stop_and_look(self: Any, identity: str, *args: Any, **kwargs: Any) -> None:
        found.append(content_of(bench, identity))
        stop(self, identity, *args, **kwargs)

    def look_and_start(self: Any, identity: str, *args: Any, **kwargs: Any) -> None:
        found.append(content_of(bench, identity))
        start(self, identity, *args, **kwargs)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(docker_engine.Engine, "stop", stop_and_look)
        patch.setattr(docker_engine.Engine, "start", look_and_start)
        result = run_module("container_upgrade", **with_volume, image=dying_image, **STAYS)
    assert "is back and running" in result["msg"]
    # Before the old one stops, before the new one starts, before what failed is stopped, before the old one starts again.
    assert found == [b"the old plugin", b"the new plugin", b"the new plugin", b"the old plugin"]
    assert bench.inspect(name)["Id"] == before and content_of(bench, name) == b"the old plugin"


@pytest.mark.parametrize("calls", range(1, 8))
def test_killed_anywhere_an_old_container_starts_with_what_it_had(
    bench: Any, with_volume: Dict[str, Any], new_image: str, run_module: Any, calls: int
) -> None:
    before = bench.inspect(with_volume["name"])["Id"]
    assert run_and_kill(run_module, calls, **with_volume, image=new_image)
    started: List[Tuple[bool, bytes]] = []
    start = docker_engine.Engine.start

    def look_and_start(self: Any, identity: str, *args: Any, **kwargs: Any) -> None:
        started.append((identity == before, content_of(bench, identity)))
        start(self, identity, *args, **kwargs)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(docker_engine.Engine, "start", look_and_start)
        result = run_module("container_upgrade", **with_volume, image=new_image, **STAYS)
    assert not result.get("failed"), result
    assert all(content == (b"the old plugin" if old else b"the new plugin") for old, content in started)
    assert bench.inspect(with_volume["name"])["Config"]["Image"] == new_image
    assert content_of(bench, with_volume["name"]) == b"the new plugin"


def info(run_module: Any, name: str) -> Dict[str, Any]:
    return dict(run_module("container_info", names=[name])["containers"][0])


@pytest.mark.parametrize("calls", range(1, 9))
@pytest.mark.parametrize("way", ["there", "back"])
def test_killed_anywhere_it_is_seen_and_brought_back_by_its_name_alone(
    bench: Any, with_volume: Dict[str, Any], old_image: str, new_image: str, run_module: Any, way: str, calls: int
) -> None:
    name = with_volume["name"]
    first = bench.inspect(name)["Id"]
    if way == "back":
        run_module("container_upgrade", **with_volume, image=new_image, **STAYS)
        run_and_kill(run_module, calls, name=name, return_files=with_volume["return_files"], state="returned")
    else:
        run_and_kill(run_module, calls, **with_volume, image=new_image)
    seen = info(run_module, name)
    # Once a replacement has started it is left to those who prove it.
    image = seen["image"] if seen["running"] else old_image
    assert seen["found"] and seen["image"] == image and (seen["running"] or seen["interrupted"])
    predicted = run_module("container_upgrade", check_mode=True, name=name, state="repaired", **STAYS)
    done = run_module("container_upgrade", name=name, state="repaired", **STAYS)
    assert predicted["actions"] == done["actions"] and done["changed"] is seen["interrupted"], done
    after = bench.inspect(name)
    assert after["State"]["Running"] and after["Config"]["Image"] == image
    assert (after["Id"] == first) is (image == old_image)
    assert content_of(bench, name) == (b"the old plugin" if image == old_image else b"the new plugin")
    others = [one for one in bench.names(name) if one != name and bench.inspect(one)["State"]["Running"]]
    assert others == [], "nothing else runs"
    again = run_module("container_upgrade", name=name, state="repaired", **STAYS)
    assert again["changed"] is False and info(run_module, name)["interrupted"] is False


def test_what_somebody_stopped_stays_stopped(bench: Any, plain: str, new_image: str, run_module: Any) -> None:
    def left_alone() -> None:
        bench.api.stop(plain, timeout=1)
        assert info(run_module, plain)["interrupted"] is False
        assert run_module("container_upgrade", name=plain, state="repaired", **STAYS)["changed"] is False
        assert not bench.inspect(plain)["State"]["Running"]
        bench.api.start(plain)

    left_alone()
    run_module("container_upgrade", name=plain, image=new_image, **STAYS)
    left_alone()
    run_module("container_upgrade", name=plain, state="returned", **STAYS)
    left_alone()


@pytest.fixture
def notes(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(replacement_notes, "state_dir", lambda name: str(tmp_path / name))


@pytest.mark.parametrize("moment", ["announced", "stopped", "created", "put", "started"])
@pytest.mark.parametrize("image", ["old", "new"])
def test_a_note_tells_of_a_container_that_another_tool_replaces(
    bench: Any,
    notes: None,
    old_image: str,
    new_image: str,
    run_module: Any,
    tmp_path: Path,
    moment: str,
    image: str,
) -> None:
    files = {}
    for which, option in (("new", "files"), ("old", "return_files")):
        (tmp_path / which).write_bytes(f"the {which} plugin".encode())
        files[option] = [{"src": str(tmp_path / which), "dest": PLACE}]
    started = moment in ("announced", "started")
    name = bench.container("gw", {"Image": {"old": old_image, "new": new_image}[image]}, start=moment == "announced")
    if moment == "stopped":
        bench.api.start(name)
    announced = run_module("container_upgrade", name=name, image=new_image, state="announced", **files)
    assert announced["changed"] is False
    if moment == "stopped":
        bench.api.stop(name, timeout=1)
    if moment == "put":
        run_module("container_upgrade", name=name, state="placed", files=files["files" if image == "new" else "return_files"])
    if moment == "started":
        time.sleep(1.1)
        bench.api.start(name)
    assert info(run_module, name)["interrupted"] is not started
    done = run_module("container_upgrade", name=name, state="repaired", **STAYS)
    assert done["changed"] is not started and bench.inspect(name)["State"]["Running"], done
    if not started:
        assert content_of(bench, name) == f"the {image} plugin".encode()
    # What happens to it from now on is nobody's but who does it.
    bench.api.stop(name, timeout=1)
    assert info(run_module, name)["interrupted"] is False


def test_a_note_is_not_about_a_container_that_was_started_since_then(
    bench: Any, notes: None, old_image: str, new_image: str, run_module: Any
) -> None:
    name = bench.container("gw", {"Image": old_image}, start=False)
    run_module("container_upgrade", name=name, image=new_image, state="announced")
    time.sleep(1.1)
    bench.api.start(name)
    bench.api.stop(name, timeout=1)
    assert info(run_module, name)["interrupted"] is False
    assert run_module("container_upgrade", name=name, state="repaired", **STAYS)["changed"] is False
    bench.api.remove_container(name)
    assert run_module("container_upgrade", name=name, state="completed")["changed"] is False


def test_files_for_a_container_that_another_tool_replaces(
    bench: Any, with_volume: Dict[str, Any], old_image: str, run_module: Any
) -> None:
    name, files = with_volume["name"], with_volume["files"]
    own = {"src": files[0]["src"], "dest": "/opt/own"}
    arguments = {"name": name, "files": [*files, own], "state": "placed"}
    predicted = run_module("container_upgrade", check_mode=True, **arguments)
    assert content_of(bench, name) == b"the old plugin"
    done = run_module("container_upgrade", **arguments)
    assert predicted["actions"] == done["actions"] == [f"put {PLACE} into {name}"]
    assert content_of(bench, name) == b"the new plugin" and bench.inspect(name)["State"]["Running"]
    assert run_module("container_upgrade", **arguments)["changed"] is False
    # What would vanish with a container that runs stays in one that is only going to.
    bench.api.stop(name, timeout=1)
    assert run_module("container_upgrade", **arguments)["actions"] == [f"put /opt/own into {name}"]


def test_refuses_a_shared_middleware_volume(
    bench: Any, old_image: str, new_image: str, run_module: Any, tmp_path: Path
) -> None:
    volume = bench.volume("shared")
    config = {"Image": old_image, "HostConfig": {"Binds": [f"{volume}:/opt/middleware"]}}
    name, other = bench.container("gw", config), bench.container("gw-nextdoor", config)
    (tmp_path / "a").write_text("a")
    before = bench.inspect(name)["Id"]
    files = [{"src": str(tmp_path / "a"), "dest": "/opt/middleware/a"}]
    result = run_module("container_upgrade", name=name, image=new_image, files=files, **STAYS)
    assert result["findings"][0]["code"] == "container-shared-volume"
    assert other in result["msg"]
    assert bench.inspect(name)["Id"] == before and bench.inspect(name)["State"]["Running"]


def test_refuses_a_folder_that_another_gateway_sees_by_its_parent(
    bench: Any, old_image: str, run_module: Any, tmp_path: Path
) -> None:
    (tmp_path / "tyk" / "middleware").mkdir(parents=True)
    name = bench.container("gw", {"Image": old_image, "HostConfig": {"Binds": [f"{tmp_path}/tyk:/opt"]}})
    one = {"Image": old_image, "HostConfig": {"Binds": [f"{tmp_path}/tyk/middleware:/opt/middleware"]}}
    other = bench.container("other", one)
    (tmp_path / "a").write_text("a")
    placed = {"name": name, "state": "placed", "files": [{"src": str(tmp_path / "a"), "dest": "/opt/middleware/a"}]}
    assert other in run_module("container_upgrade", **placed)["msg"]
    placed["files"][0]["dest"] = "/opt/own/a"
    assert run_module("container_upgrade", **placed)["changed"] is True
    shared = run_module("container_info", names=[name])["containers"][0]["shared_mounts"]
    assert [(one["destination"], one["path"], one["with"]) for one in shared] == [("/opt", "/opt/middleware", [other])]


@pytest.mark.parametrize(
    "arguments, code, words",
    [
        ({"name": "no-such-container"}, "container-missing", "no container named no-such-container"),
        ({"image": "127.0.0.1:1/none/such:v1"}, "image-missing", "127.0.0.1:1/none/such:v1 cannot be had"),
        ({"image": "tyk-upgrade-test-none/such:v1", "pull": "never"}, "image-missing", "pulling is switched off"),
        ({"docker_host": "unix:///nonexistent/docker.sock"}, "engine-unreachable", "/nonexistent/docker.sock"),
    ],
)
@pytest.mark.parametrize("check_mode", [False, True])
def test_refusals(
    bench: Any,
    plain: str,
    new_image: str,
    run_module: Any,
    arguments: Dict[str, Any],
    code: str,
    words: str,
    check_mode: bool,
) -> None:
    before = bench.inspect(plain)["State"]["StartedAt"]
    result = run_module("container_upgrade", check_mode=check_mode, **{"name": plain, "image": new_image, **arguments})
    assert result["failed"] is True
    assert result["findings"][0]["code"] == code
    assert words in result["msg"]
    assert bench.inspect(plain)["State"]["StartedAt"] == before


def test_refuses_a_container_that_removes_itself(bench: Any, old_image: str, new_image: str, run_module: Any) -> None:
    name = bench.container("gw", {"Image": old_image, "HostConfig": {"AutoRemove": True}})
    result = run_module("container_upgrade", name=name, image=new_image, **STAYS)
    assert "--rm" in result["msg"]
    assert bench.inspect(name)["State"]["Running"]


def test_refuses_to_cut_off_a_sidecar(bench: Any, plain: str, old_image: str, new_image: str, run_module: Any) -> None:
    sidecar = bench.container(
        "sidecar", {"Image": old_image, "HostConfig": {"NetworkMode": f"container:{bench.inspect(plain)['Id']}"}}
    )
    result = run_module("container_upgrade", name=plain, image=new_image, **STAYS)
    assert f"{sidecar} lives in the network of the container {plain}" in result["msg"]
    assert bench.inspect(plain)["Config"]["Image"] == old_image


def test_a_sidecar_itself_is_replaced(bench: Any, plain: str, old_image: str, new_image: str, run_module: Any) -> None:
    mode = f"container:{bench.inspect(plain)['Id']}"
    name = bench.container("side", {"Image": old_image, "HostConfig": {"NetworkMode": mode}})
    result = run_module("container_upgrade", name=name, image=new_image, **STAYS)
    assert result.get("failed") is None and bench.inspect(name)["HostConfig"]["NetworkMode"] == mode


@pytest.mark.parametrize("mode", ["host", "none"])
def test_containers_without_a_network_of_their_own(
    bench: Any, old_image: str, new_image: str, run_module: Any, mode: str
) -> None:
    name = bench.container("gw", {"Image": old_image, "HostConfig": {"NetworkMode": mode}})
    result = run_module("container_upgrade", name=name, image=new_image, **STAYS)
    assert result["changed"] is True
    assert bench.inspect(name)["HostConfig"]["NetworkMode"] == mode


def test_a_stopped_container_is_replaced_and_started(bench: Any, plain: str, new_image: str, run_module: Any) -> None:
    bench.api.stop(plain, timeout=2)
    predicted = run_module("container_upgrade", check_mode=True, name=plain, image=new_image, **STAYS)
    result = run_module("container_upgrade", name=plain, image=new_image, **STAYS)
    assert predicted["actions"] == result["actions"]
    assert bench.inspect(plain)["State"]["Running"]
    bench.api.stop(plain, timeout=2)
    again = run_module("container_upgrade", name=plain, image=new_image, **STAYS)
    assert again["actions"] == [f"started {plain}"]


def test_a_chain_of_upgrades_keeps_one_way_back(
    bench: Any, plain: str, new_image: str, old_image: str, run_module: Any
) -> None:
    newest = bench.image("v5.9.1", 'ENTRYPOINT ["/standin"]', 'CMD ["serve", "newest"]')
    run_module("container_upgrade", name=plain, image=new_image, **STAYS)
    second = bench.inspect(plain)["Id"]
    predicted = run_module("container_upgrade", check_mode=True, name=plain, image=newest, **STAYS)
    result = run_module("container_upgrade", name=plain, image=newest, **STAYS)
    assert predicted["actions"] == result["actions"]
    assert bench.names(plain) == sorted([plain, f"{plain}-before-{second[:12]}"])
    run_module("container_upgrade", name=plain, state="returned", **STAYS)
    assert bench.inspect(plain)["Id"] == second
    assert run_module("container_upgrade", name=plain, state="returned", **STAYS)["changed"] is False


def test_refuses_a_foreign_container_under_the_temporary_name(
    bench: Any, plain: str, old_image: str, new_image: str, run_module: Any
) -> None:
    foreign = bench.container("gw-next", {"Image": old_image})
    result = run_module("container_upgrade", name=plain, image=new_image, **STAYS)
    assert foreign in result["msg"]
    assert bench.inspect(foreign)["State"]["Running"]
