# Copyright (c) 2026 tyk.upgrade contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What of a container is its user's, and what an interrupted replacement needs; no engine involved."""

from __future__ import annotations

from dataclasses import replace
from typing import Any, Dict, List, Optional, Tuple

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ansible_collections.tyk.upgrade.plugins.module_utils._clients.container_config import (
    LABEL_REPLACES,
    LABEL_RESTART,
    Family,
    File,
    Seen,
    Step,
    bind_target,
    closed_mounts,
    files_from_text,
    files_text,
    mount_sources,
    policy_dict,
    policy_text,
    published_ports,
    repair_steps,
    replacement_config,
    shared_mounts,
    user_config,
    user_ids,
)
from ansible_collections.tyk.upgrade.plugins.module_utils._domain.container_names import (
    failed_name,
    is_left_by,
    kept_name,
    next_name,
)
from ansible_collections.tyk.upgrade.plugins.module_utils._domain.findings import DomainError
from ansible_collections.tyk.upgrade.plugins.module_utils._domain.mounts import mount_of

ID = "0123456789abcdef" * 4
IMAGE: Dict[str, Any] = {
    "Env": ["PATH=/bin", "A=1"],
    "Entrypoint": ["/opt/tyk-gateway/tyk"],
    "Cmd": ["--conf=/opt/tyk-gateway/tyk.conf"],
    "User": "root",
    "WorkingDir": "/opt/tyk-gateway",
    "Labels": {"org.opencontainers.image.version": "5.3.0", "b": "2"},
    "ExposedPorts": {"8080/tcp": {}},
    "Volumes": {"/data": {}},
    "StopSignal": "SIGTERM",
    "Healthcheck": {"Test": ["CMD", "/check"], "Interval": 30, "Retries": 3},
}


def container(**changes: Any) -> Dict[str, Any]:
    """A container that uses every default of the image, with changes to sections."""
    made: Dict[str, Any] = {
        "Id": ID,
        "Config": {**IMAGE, "Hostname": ID[:12], "Image": "tyk:v5.3.0"},
        "HostConfig": {"NetworkMode": "default"},
        "NetworkSettings": {"Networks": {"bridge": {"NetworkID": "n0", "IPAddress": "172.17.0.2", "Aliases": None}}},
        "Mounts": [],
    }
    for section, values in changes.items():
        made[section] = values if isinstance(values, list) else {**made.get(section, {}), **values}
    return made


def body(engine_name: str = "", **changes: Any) -> Dict[str, Any]:
    return replacement_config(container(**changes), IMAGE, "tyk:v5.8.9", engine_name=engine_name).body


def test_a_container_of_defaults_is_created_from_the_image_alone() -> None:
    assert body() == {"Image": "tyk:v5.8.9", "HostConfig": {"NetworkMode": "default"}}


@pytest.mark.parametrize(
    "given_config, kept",
    [
        ({"Env": ["PATH=/bin", "A=2", "B=3"]}, {"Env": ["A=2", "B=3"]}),
        ({"Env": ["B=3", "PATH=/bin", "A=1"]}, {"Env": ["B=3"]}),
        ({"User": "1000"}, {"User": "1000"}),
        ({"WorkingDir": "/other"}, {"WorkingDir": "/other"}),
        ({"StopSignal": "SIGINT"}, {"StopSignal": "SIGINT"}),
        ({"StopTimeout": 45}, {"StopTimeout": 45}),
        ({"StopTimeout": 0}, {"StopTimeout": 0}),
        ({"Tty": True, "OpenStdin": True}, {"Tty": True, "OpenStdin": True}),
        ({"Domainname": "example.com"}, {"Domainname": "example.com"}),
        ({"MacAddress": "02:42:ac:11:00:99"}, {"MacAddress": "02:42:ac:11:00:99"}),
        ({"Hostname": "gw1"}, {"Hostname": "gw1"}),
        ({"Labels": {"b": "2", "mine": "1"}}, {"Labels": {"mine": "1"}}),
        ({"Labels": {"b": "3"}}, {"Labels": {"b": "3"}}),
        ({"Labels": {LABEL_REPLACES: "x", LABEL_RESTART: "no"}}, {}),
        ({"ExposedPorts": {"8080/tcp": {}, "9090/tcp": {}}}, {"ExposedPorts": {"9090/tcp": {}}}),
        ({"Volumes": {"/data": {}, "/own": {}}}, {"Volumes": {"/own": {}}}),
        ({"SomethingNew": {"x": 1}}, {"SomethingNew": {"x": 1}}),
        # the health check is merged field by field
        ({"Healthcheck": {"Test": ["CMD", "/check"], "Interval": 30, "Retries": 9}}, {"Healthcheck": {"Retries": 9}}),
        ({"Healthcheck": {"Test": ["NONE"], "Interval": 30, "Retries": 3}}, {"Healthcheck": {"Test": ["NONE"]}}),
        # Cmd belongs to the Entrypoint it was given with
        ({"Cmd": ["--conf=/mine"]}, {"Cmd": ["--conf=/mine"]}),
        ({"Entrypoint": ["/mine"], "Cmd": IMAGE["Cmd"]}, {"Entrypoint": ["/mine"], "Cmd": IMAGE["Cmd"]}),
        ({"Entrypoint": ["/mine"], "Cmd": None}, {"Entrypoint": ["/mine"]}),
        ({"Entrypoint": None, "Cmd": ["/bin/sh"]}, {"Entrypoint": [""], "Cmd": ["/bin/sh"]}),
        ({"Entrypoint": IMAGE["Entrypoint"], "Cmd": None}, {"Entrypoint": IMAGE["Entrypoint"]}),
    ],
)
def test_what_the_user_set_in_config(given_config: Dict[str, Any], kept: Dict[str, Any]) -> None:
    made = body(Config=given_config)
    assert {key: value for key, value in made.items() if key not in ("Image", "HostConfig")} == kept


@pytest.mark.parametrize(
    "config, host_config, engine, kept",
    [
        ({"Hostname": "gw1"}, {}, "", "gw1"),
        ({"Hostname": ID[:12]}, {}, "", None),
        ({"Hostname": "vm"}, {"NetworkMode": "host"}, "vm", None),
        ({"Hostname": "gw1"}, {"NetworkMode": "host"}, "vm", "gw1"),
        ({"Hostname": "gw1"}, {"UTSMode": "host"}, "vm", None),
        ({"Hostname": "gw1", "Domainname": "x"}, {"NetworkMode": "container:abc"}, "", None),
    ],
)
def test_hostnames(config: Dict[str, Any], host_config: Dict[str, Any], engine: str, kept: Optional[str]) -> None:
    made = body(engine_name=engine, Config=config, HostConfig=host_config)
    assert made.get("Hostname") == kept
    if str(host_config.get("NetworkMode", "")).startswith("container:"):
        assert "Domainname" not in made and "ExposedPorts" not in made


def test_host_config_goes_back_as_it_came() -> None:
    host_config = {
        "NetworkMode": "default",
        "RestartPolicy": {"Name": "unless-stopped", "MaximumRetryCount": 0},
        "Memory": 1,
        "KnobOfTheFuture": {"a": [1]},
        "CapAdd": ["NET_ADMIN"],
        "Devices": [{"PathOnHost": "/dev/null"}],
        "ContainerIDFile": "/tmp/id",
        "Links": ["/db:/gw/database"],
    }
    made = body(HostConfig=host_config)["HostConfig"]
    assert made == {
        **{key: value for key, value in host_config.items() if key != "ContainerIDFile"},
        "Links": ["db:database"],
    }


def test_published_ports_stay_exposed() -> None:
    made = body(HostConfig={"PortBindings": {"8080/tcp": [{"HostPort": "80"}]}})
    assert made["ExposedPorts"] == {"8080/tcp": {}}


@pytest.mark.parametrize(
    "config, host_config, mounts, binds, mounted",
    [
        # an anonymous volume of the image, and one of the user
        (
            {"Volumes": {"/data": {}, "/own": {}}},
            {},
            [("volume", "aaa", "/data", True), ("volume", "bbb", "/own", False)],
            ["aaa:/data", "bbb:/own:ro"],
            None,
        ),
        # a named volume and a bind mount are there already
        (
            {},
            {"Binds": ["named:/data:ro", "/host:/etc/x"]},
            [("volume", "named", "/data", False), ("bind", "", "/etc/x", True)],
            ["named:/data:ro", "/host:/etc/x"],
            None,
        ),
        # --mount with and without a source
        (
            {},
            {"Mounts": [{"Type": "volume", "Target": "/a"}, {"Type": "tmpfs", "Target": "/t"}]},
            [("volume", "ccc", "/a", True)],
            None,
            [{"Type": "volume", "Target": "/a", "Source": "ccc"}, {"Type": "tmpfs", "Target": "/t"}],
        ),
    ],
)
def test_volumes_are_kept_by_name(
    config: Dict[str, Any],
    host_config: Dict[str, Any],
    mounts: List[Tuple[str, str, str, bool]],
    binds: Optional[List[str]],
    mounted: Optional[List[Dict[str, Any]]],
) -> None:
    seen = [{"Type": kind, "Name": name, "Destination": place, "RW": rw} for kind, name, place, rw in mounts]
    made = body(Config=config, HostConfig=host_config, Mounts=seen)
    assert made["HostConfig"].get("Binds") == binds
    assert made["HostConfig"].get("Mounts") == mounted
    assert "Volumes" not in made


def networks(**given: Any) -> Dict[str, Any]:
    return {"Networks": given}


@pytest.mark.parametrize(
    "mode, seen, primary, extra, new_mode",
    [
        # aliases without the engine's own id, and the fixed address
        (
            "front",
            {
                "front": {
                    "NetworkID": "n1",
                    "IPAddress": "10.0.0.5",
                    "MacAddress": "02:42",
                    "DNSNames": ["x"],
                    "Aliases": ["gw1", ID[:12]],
                    "IPAMConfig": {"IPv4Address": "10.0.0.5"},
                    "DriverOpts": None,
                    "GwPriority": 5,
                },
                "back": {"NetworkID": "n2", "Aliases": [ID[:12]], "IPAMConfig": {"IPv4Address": "10.1.0.5"}},
            },
            {"front": {"Aliases": ["gw1"], "IPAMConfig": {"IPv4Address": "10.0.0.5"}, "GwPriority": 5}},
            (("back", {"IPAMConfig": {"IPv4Address": "10.1.0.5"}}),),
            "front",
        ),
        # given by the network's id
        ("n1234567890123", {"front": {"NetworkID": "n1234567890123456"}}, None, (), "n1234567890123"),
        # disconnected from its first network since it was created
        ("gone", {"back": {"NetworkID": "n2"}}, None, (), "back"),
        ("gone", {"b": {"NetworkID": "n2"}, "c": {"NetworkID": "n3"}}, None, (("c", {}),), "b"),
        ("none", {"none": {"NetworkID": "n0"}}, None, (), "none"),
        ("host", {"host": {"NetworkID": "n0"}}, None, (), "host"),
        ("container:abc", {}, None, (), "container:abc"),
        (
            "default",
            {"bridge": {"NetworkID": "n0"}, "back": {"Aliases": ["a"]}},
            None,
            (("back", {"Aliases": ["a"]}),),
            "default",
        ),
        ("gone", {}, None, (), "gone"),
    ],
)
def test_networks(
    mode: str, seen: Dict[str, Any], primary: Optional[Dict[str, Any]], extra: Tuple[Any, ...], new_mode: str
) -> None:
    one = container(HostConfig={"NetworkMode": mode})
    one["NetworkSettings"] = {"Networks": seen}
    made = replacement_config(one, IMAGE, "tyk:v5.8.9")
    assert made.body.get("NetworkingConfig", {}).get("EndpointsConfig") == primary
    assert made.networks == extra
    assert made.body["HostConfig"]["NetworkMode"] == new_mode


def test_nothing_given_is_changed_in_place() -> None:
    one = container(
        HostConfig={"Binds": ["a:/a"], "Mounts": [{"Type": "volume", "Target": "/m"}]},
        Mounts=[
            {"Type": "volume", "Name": "v", "Destination": "/m"},
            {"Type": "volume", "Name": "w", "Destination": "/w"},
        ],
    )
    import copy

    before = copy.deepcopy(one)
    replacement_config(one, IMAGE, "tyk:v5.8.9", {"x": "y"})
    assert one == before


texts = st.text(alphabet="abcXY_/", min_size=1, max_size=6)
envs = st.lists(st.builds(lambda key, value: f"{key}={value}", texts, texts), max_size=6, unique=True)


@given(user=envs, image=envs)
def test_environment_merges_back_to_what_it_was(user: List[str], image: List[str]) -> None:
    """The engine adds each default whose name the user did not set; subtracting and merging is the identity."""

    def merged(given: List[str], defaults: List[str]) -> List[str]:
        names = {entry.split("=", 1)[0] for entry in given}
        return given + [entry for entry in defaults if entry.split("=", 1)[0] not in names]

    def by_name(entries: List[str]) -> List[str]:
        return list({entry.split("=", 1)[0]: entry for entry in entries}.values())

    user, image = by_name(user), by_name(image)
    full = merged(user, image)
    kept = user_config({"Env": full}, {"Env": image})["Env"]
    assert sorted(merged(kept, image)) == sorted(full)


# -- interrupted runs ------------------------------------------------------------------------------------------------

OLD, NEW = "a" * 64, "b" * 64
NAME = "gw"


def seen(identity: str, name: str, status: str = "exited", replaces: str = "", policy: str = "always") -> Seen:
    return Seen(identity, name, status, "img", "tyk", replaces, policy if replaces else "")


OLD_HOME, OLD_STOPPED = seen(OLD, NAME, "running"), seen(OLD, NAME)
OLD_KEPT = seen(OLD, kept_name(NAME, OLD))
PENDING = seen(NEW, next_name(NAME), "created", OLD)
NEW_HOME_CREATED, NEW_HOME = seen(NEW, NAME, "created", OLD), seen(NEW, NAME, "running", OLD)
NEW_FAILED = seen(NEW, failed_name(NAME, NEW), "exited", OLD)


@pytest.mark.parametrize(
    "members, steps",
    [
        ([OLD_HOME], []),
        ([OLD_STOPPED], []),  # stopped by somebody, not by us
        ([OLD_HOME, PENDING], [Step("remove", NEW)]),
        ([OLD_STOPPED, PENDING], [Step("start", OLD, "always"), Step("remove", NEW)]),
        ([OLD_KEPT, PENDING], [Step("rename", OLD, NAME), Step("start", OLD, "always"), Step("remove", NEW)]),
        (
            [OLD_KEPT, NEW_HOME_CREATED],
            [
                Step("rename", NEW, next_name(NAME)),
                Step("rename", OLD, NAME),
                Step("start", OLD, "always"),
                Step("remove", NEW),
            ],
        ),
        ([OLD_KEPT, NEW_HOME], []),
        ([OLD_KEPT, seen(NEW, NAME, "exited", OLD)], []),
        ([OLD_KEPT, NEW_FAILED], [Step("rename", OLD, NAME), Step("start", OLD, "always")]),
        ([OLD_STOPPED, NEW_FAILED], [Step("start", OLD, "always")]),
        (
            [OLD_KEPT, replace(NEW_FAILED, status="running")],
            [Step("stop", NEW), Step("rename", OLD, NAME), Step("start", OLD, "always")],
        ),
        ([replace(OLD_STOPPED, started="2026-11-27T10:00:01"), replace(NEW_FAILED, finished="2026-11-27T10:00:00.5")], []),
        (
            [replace(OLD_STOPPED, started="2026-11-27T10:00"), replace(NEW_FAILED, finished="2026-11-27T10:00:00.5")],
            [Step("start", OLD, "always")],
        ),
        ([OLD_HOME, NEW_FAILED], []),
        ([], []),
        ([OLD_KEPT], []),  # nobody says what replaced it
        ([PENDING], []),
    ],
)
def test_repairs(members: List[Seen], steps: List[Step]) -> None:
    assert repair_steps(Family.of(NAME, members)) == steps


def test_only_own_containers_count() -> None:
    strangers = [
        seen("c" * 64, "gw-before-somebody"),
        seen("d" * 64, kept_name(NAME, OLD)),
        seen("e" * 64, "gw2", "running"),
    ]
    family = Family.of(NAME, [OLD_HOME, *strangers])
    assert (family.current, family.kept, family.failed, family.pending) == (OLD_HOME, (), (), None)
    with pytest.raises(DomainError, match="gw-next"):
        Family.of(NAME, [OLD_HOME, seen("f" * 64, next_name(NAME), "running")])


@pytest.mark.parametrize("text", ["no", "always", "unless-stopped", "on-failure", "on-failure:5"])
def test_restart_policies_survive_a_label(text: str) -> None:
    assert policy_text(policy_dict(text)) == text


def test_restart_policies_that_are_none() -> None:
    assert policy_text(None) == "no"
    assert policy_dict("")["Name"] == "no"
    with pytest.raises(ValueError, match="not a restart policy"):
        policy_dict("sometimes")


@pytest.mark.parametrize("bind, target", [("/h:/c", "/c"), ("/h:/c:ro", "/c"), ("v:/c:rw,z", "/c"), ("/c", "/c")])
def test_bind_targets(bind: str, target: str) -> None:
    assert bind_target(bind) == target


@pytest.mark.parametrize(
    "path, place", [("/mw/bundles/a", "/mw"), ("/mw", "/mw"), ("/mw/deep/x", "/mw/deep"), ("/mwx/a", ""), ("/a", "")]
)
def test_the_mount_a_path_lies_in(path: str, place: str) -> None:
    mounts = [
        {"Type": "volume", "Name": "v", "Destination": "/mw"},
        {"Type": "bind", "Source": "/s", "Destination": "/mw/deep"},
    ]
    assert mount_of(mount_sources({"Mounts": mounts}), path) == place


def test_shared_mounts_and_ports() -> None:
    folder = "/var/lib/docker/volumes/v/_data"
    mine = {"Id": "1", "Mounts": [{"Type": "volume", "Name": "v", "Source": folder, "Destination": "/mw"}]}
    other = {"Id": "2", "Names": ["/b"], "Mounts": [{"Type": "volume", "Name": "v", "Destination": "/x"}]}
    alone = {"Id": "3", "Names": ["/c"], "Mounts": [{"Type": "volume", "Name": "w", "Destination": "/mw"}]}
    assert shared_mounts(mine, [mine, other, alone]) == [
        {"destination": "/mw", "source": "v", "path": "/mw", "with": ["b"], "file_system": ""}
    ]
    remote = f"v {folder} nfs4 rw 0 0\n"
    assert shared_mounts(mine, [mine], f"/dev/sda1 / ext4 rw 0 0\n{remote}")[0]["file_system"] == "nfs4"
    assert shared_mounts(mine, [mine], "/dev/sda1 / ext4 rw 0 0\n") == []
    ports = {"HostConfig": {"PortBindings": {"80/tcp": [{"HostIp": "", "HostPort": "8"}], "81/tcp": None}}}
    assert published_ports(ports) == [{"container_port": "80/tcp", "host_ip": "", "host_port": "8"}]


MINE = "registry/tyk-gateway:v5.3.0"


@pytest.mark.parametrize(
    ("mine", "others", "image", "seen"),
    [
        # One mounts all of it, the other the part that it needs: at the same place, so it is arranged alike.
        (("/srv/tyk", "/opt/tyk"), ("/srv/tyk/mw", "/opt/tyk/mw"), "other", "/opt/tyk/mw"),
        (("/srv/tyk/mw", "/opt/tyk/mw"), ("/srv/tyk", "/opt/tyk"), "other", "/opt/tyk/mw"),
        # Elsewhere it is seen by another gateway, or by what watches over the host.
        (("/srv/tyk/mw", "/opt/tyk/mw"), ("/srv/tyk", "/data"), "registry/tyk-gateway:v5.8.9", "/opt/tyk/mw"),
        (("/srv/tyk/mw", "/opt/tyk/mw"), ("/", "/host"), "node-exporter", ""),
        (("/srv/tyk/1", "/opt/tyk/mw"), ("/srv/tyk/2", "/opt/tyk/mw"), MINE, ""),
    ],
)
def test_folders_are_shared_by_their_parents_too(
    mine: Tuple[str, str], others: Tuple[str, str], image: str, seen: str
) -> None:
    def mounting(identity: str, source: str, destination: str) -> Dict[str, Any]:
        mounts = [{"Type": "bind", "Source": source, "Destination": destination}]
        return {"Id": identity, "Names": [f"/{identity}"], "Mounts": mounts}

    other = {**mounting("b", *others), "Image": image}
    found = shared_mounts({**mounting("a", *mine), "Config": {"Image": MINE}}, [other])
    assert [(one["path"], one["with"]) for one in found] == ([(seen, ["b"])] if seen else [])


def test_mounts_that_take_no_files() -> None:
    container = {
        "HostConfig": {"ReadonlyRootfs": True, "Tmpfs": {"/run": "size=1m"}},
        "Mounts": [
            {"Type": "bind", "Source": "/srv/mw", "Destination": "/mw", "RW": False},
            {"Type": "volume", "Name": "v", "Destination": "/data", "RW": True},
            {"Type": "tmpfs", "Destination": "/cache", "RW": True},
        ],
    }
    found = {one["destination"]: one["reason"] for one in closed_mounts(container)}
    assert found == {"/": "read-only", "/run": "tmpfs", "/mw": "read-only", "/cache": "tmpfs"}
    assert closed_mounts({"HostConfig": {}, "Mounts": [{"Type": "bind", "Destination": "/x"}]}) == []


PASSWD = "root:x:0:0::/root:/bin/sh\n\nbroken\ntyk:x:1001:1002::/:/bin/sh\nnonroot:x:65532:65533::/:/sbin/nologin\n"
GROUP = "root:x:0:\nplugins:x:2000:tyk\n"


@pytest.mark.parametrize(
    ("user", "ids"),
    [
        ("root", (0, 0)),
        ("tyk", (1001, 1002)),
        ("65532", (65532, 65533)),
        ("4711", (4711, 0)),
        ("65532:0", (65532, 0)),
        ("tyk:plugins", (1001, 2000)),
        ("4711:4712", (4711, 4712)),
        ("unknown", (0, 0)),
        ("broken:unknown", (0, 0)),
    ],
)
def test_whom_a_container_runs_as(user: str, ids: Tuple[int, int]) -> None:
    assert user_ids(user, PASSWD, GROUP) == ids


def test_a_user_is_a_number_where_the_image_lists_none() -> None:
    assert user_ids("65532", "", "") == (65532, 0) and user_ids("root", "", "") == (0, 0)


def test_files_survive_a_label() -> None:
    files = (File("/a b", "/opt/\u00e4", 0o640), File("/c", "/d"))
    assert files_from_text(files_text(files)) == files and files_from_text("[]") == ()


def test_names_that_a_replacement_gives() -> None:
    given = [next_name("gw"), kept_name("gw", ID), failed_name("gw", ID)]
    assert given == ["gw-next", f"gw-before-{ID[:12]}", f"gw-failed-{ID[:12]}"]
    assert all(is_left_by("gw", one) for one in given)
    assert not any(is_left_by("gw", one) for one in ("gw", "gw-nextdoor", "gw1-next", "gw-before", "other"))
