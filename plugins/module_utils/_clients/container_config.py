# Copyright (c) 2026 tyk.upgrade contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What a container is, apart from its image: pure functions over what the engine reports.

The engine merges an image's defaults into a container's configuration and never tells them apart again. To give a
container another image and keep only what its *user* set, the old image's defaults are subtracted here; everything
else, known or not, goes back to the engine as it came. Nothing in this file talks to an engine.
"""

from __future__ import annotations

import json
import re
from dataclasses import dataclass, field
from typing import Any, Dict, List, Mapping, Optional, Sequence, Tuple

from ansible_collections.tyk.upgrade.plugins.module_utils._clients.docker_engine import split_reference
from ansible_collections.tyk.upgrade.plugins.module_utils._domain.container_names import (
    failed_name,
    kept_name,
    next_name,
)
from ansible_collections.tyk.upgrade.plugins.module_utils._domain.findings import DomainError, error
from ansible_collections.tyk.upgrade.plugins.module_utils._domain.mounts import (
    common_folder,
    file_system_of,
    of_several_hosts,
)

#: Labels this collection puts on a replacement; they tell an interrupted run what was going on.
LABEL_REPLACES = "tyk.upgrade.replaces"
LABEL_RESTART = "tyk.upgrade.restart-policy"
LABEL_FILES = "tyk.upgrade.return-files"
OWN_LABELS = (LABEL_REPLACES, LABEL_RESTART, LABEL_FILES)

#: What the engine adds to an endpoint while it is in use; the rest is configuration.
ENDPOINT_STATE = frozenset(
    (
        "NetworkID",
        "EndpointID",
        "Gateway",
        "IPAddress",
        "IPPrefixLen",
        "IPv6Gateway",
        "GlobalIPv6Address",
        "GlobalIPv6PrefixLen",
        "MacAddress",
        "DNSNames",
    )
)
#: Network modes that are not the name of a network with endpoints of its own.
PSEUDO_NETWORKS = ("none", "host")
DEFAULT_NETWORKS = ("", "default", "bridge")


@dataclass(frozen=True)
class File:
    """A file of the module's host for a container."""

    src: str
    dest: str
    mode: int = 0o644


def files_text(files: Sequence[File]) -> str:
    """Files as a label or a note has them."""
    return json.dumps([[file.src, file.dest, file.mode] for file in files])


def files_from_text(text: str) -> Tuple[File, ...]:
    """The files that files_text wrote. Raises ValueError or TypeError for anything else."""
    return tuple(File(str(src), str(dest), int(mode)) for src, dest, mode in json.loads(text))


@dataclass(frozen=True)
class CreateConfig:
    """What to send to the engine: the body of the create call, and the networks to connect afterwards."""

    body: Dict[str, Any] = field(repr=False)
    networks: Tuple[Tuple[str, Dict[str, Any]], ...] = ()


def replacement_config(
    container: Mapping[str, Any],
    old_image: Mapping[str, Any],
    image: str,
    labels: Optional[Mapping[str, str]] = None,
    engine_name: str = "",
) -> CreateConfig:
    """The configuration of a container like this one but with another image.

    `container` is what the engine reports about it, `old_image` the Config section of the image it runs, `image` the
    reference of the new one. `engine_name` is the engine host's own name, which a container on the host's network
    inherits as its hostname.
    """
    host_config = _host_config(container)
    primary, extra = _networks(container, host_config)
    config = user_config(container.get("Config") or {}, old_image)
    _drop_inherited_hostname(config, container, host_config, engine_name)
    _keep_volumes(config, host_config, container)
    config["ExposedPorts"] = _exposed_ports(config, host_config)
    config["Labels"] = {**(config.get("Labels") or {}), **dict(labels or {})}
    config["Image"] = image
    body = {key: value for key, value in config.items() if value not in (None, {}, [], "")}
    body["HostConfig"] = host_config
    if primary:
        body["NetworkingConfig"] = {"EndpointsConfig": primary}
    return CreateConfig(body=body, networks=tuple(sorted(extra.items())))


def user_config(config: Mapping[str, Any], image: Mapping[str, Any]) -> Dict[str, Any]:
    """The part of a container's Config that its user set: all of it less the image's defaults.

    A value the user set to just what the image says cannot be told from the default and follows the new image.
    """
    kept = {key: value for key, value in config.items() if value != image.get(key)}
    kept["Env"] = [entry for entry in config.get("Env") or [] if entry not in (image.get("Env") or [])]
    kept["Labels"] = {
        key: value
        for key, value in (config.get("Labels") or {}).items()
        if (image.get("Labels") or {}).get(key) != value and key not in OWN_LABELS
    }
    for key in ("ExposedPorts", "Volumes"):
        kept[key] = {
            name: value for name, value in (config.get(key) or {}).items() if name not in (image.get(key) or {})
        }
    kept["Healthcheck"] = _healthcheck(config.get("Healthcheck"), image.get("Healthcheck"))
    kept.update(_command(config, image))
    return kept


def _command(config: Mapping[str, Any], image: Mapping[str, Any]) -> Dict[str, Any]:
    """Entrypoint and Cmd as the user gave them.

    The engine takes the image's Cmd only where neither was given, so a given Entrypoint always stands with its own Cmd
    (Moby, daemon/commit.go merge()). An emptied Entrypoint is stored as null and has to be sent as [""].
    """
    entrypoint, image_entrypoint = _words(config.get("Entrypoint")), _words(image.get("Entrypoint"))
    command, image_command = _words(config.get("Cmd")), _words(image.get("Cmd"))
    if entrypoint != image_entrypoint:
        return {"Entrypoint": entrypoint or [""], "Cmd": command or None}
    if image_command and not command:
        return {"Entrypoint": entrypoint or [""], "Cmd": None}
    return {"Entrypoint": None, "Cmd": command if command != image_command else None}


def _words(value: Any) -> List[str]:
    return [value] if isinstance(value, str) else list(value or [])


def _healthcheck(check: Optional[Mapping[str, Any]], image_check: Optional[Mapping[str, Any]]) -> Dict[str, Any]:
    """The fields of the health check that differ: the engine fills each missing field from the image."""
    defaults = image_check or {}
    return {key: value for key, value in (check or {}).items() if value and value != defaults.get(key)}


def _drop_inherited_hostname(
    config: Dict[str, Any], container: Mapping[str, Any], host_config: Mapping[str, Any], engine_name: str
) -> None:
    """A hostname that came from the old id, from the host or from another container was not the user's."""
    hostname = str(config.get("Hostname") or "")
    mode = str(host_config.get("NetworkMode") or "")
    inherited = (
        hostname == str(container.get("Id") or "")[:12]
        or mode.startswith("container:")
        or host_config.get("UTSMode") == "host"
        or (mode == "host" and hostname == engine_name)
    )
    if inherited:
        config["Hostname"] = None
    if mode.startswith("container:"):
        config["Domainname"] = None


def _host_config(container: Mapping[str, Any]) -> Dict[str, Any]:
    host_config = dict(container.get("HostConfig") or {})
    host_config.pop("ContainerIDFile", None)
    links = host_config.get("Links")
    if links:
        host_config["Links"] = [_link(str(link)) for link in links]
    return host_config


def _link(link: str) -> str:
    """A legacy link as the create call wants it: /db:/web/database is reported, db:database is given."""
    target, _unused, alias = link.partition(":")
    return f"{target.lstrip('/')}:{alias.rsplit('/', 1)[-1]}"


def _networks(
    container: Mapping[str, Any], host_config: Dict[str, Any]
) -> Tuple[Dict[str, Dict[str, Any]], Dict[str, Dict[str, Any]]]:
    """Endpoints for the create call (at most one, as API < 1.44 allows) and those to connect afterwards."""
    reported = (container.get("NetworkSettings") or {}).get("Networks") or {}
    endpoints = {name: _endpoint(value or {}, str(container.get("Id") or "")) for name, value in reported.items()}
    mode = str(host_config.get("NetworkMode") or "")
    if mode.startswith("container:") or mode in PSEUDO_NETWORKS:
        return {}, {name: value for name, value in endpoints.items() if name not in PSEUDO_NETWORKS}
    primary = _primary(mode, reported)
    if primary is None:
        if not endpoints:
            return {}, {}
        primary = sorted(endpoints)[0]  # its first network was disconnected since; the engine wants one to begin with
        host_config["NetworkMode"] = primary
    first = endpoints.pop(primary)
    return ({primary: first} if first else {}), endpoints


def _primary(mode: str, reported: Mapping[str, Any]) -> Optional[str]:
    if mode in DEFAULT_NETWORKS:
        return "bridge" if "bridge" in reported else None
    for name, value in reported.items():
        identity = str((value or {}).get("NetworkID") or "")
        if mode == name or (len(mode) >= 12 and identity.startswith(mode)):
            return name
    return None


def _endpoint(endpoint: Mapping[str, Any], container_id: str) -> Dict[str, Any]:
    kept = {key: value for key, value in endpoint.items() if key not in ENDPOINT_STATE and value}
    aliases = [alias for alias in kept.get("Aliases") or [] if alias != container_id[:12]]
    kept.pop("Aliases", None)
    if aliases:
        kept["Aliases"] = aliases
    return kept


def _exposed_ports(config: Mapping[str, Any], host_config: Mapping[str, Any]) -> Dict[str, Any]:
    exposed = dict(config.get("ExposedPorts") or {})
    if not str(host_config.get("NetworkMode") or "").startswith("container:"):
        for port in host_config.get("PortBindings") or {}:
            exposed.setdefault(port, {})
    return exposed


def _keep_volumes(config: Dict[str, Any], host_config: Dict[str, Any], container: Mapping[str, Any]) -> None:
    """Keep anonymous volumes by the names the engine gave them; the data in them belongs to the user."""
    mounted = {str(mount.get("Destination")): mount for mount in container.get("Mounts") or []}
    mounts = [dict(mount) for mount in host_config.get("Mounts") or []]
    for mount in mounts:
        found = mounted.get(str(mount.get("Target"))) or {}
        if mount.get("Type") == "volume" and not mount.get("Source") and found.get("Name"):
            mount["Source"] = found["Name"]
    if mounts:
        host_config["Mounts"] = mounts
    binds = list(host_config.get("Binds") or [])
    covered = {bind_target(str(bind)) for bind in binds} | {str(mount.get("Target")) for mount in mounts}
    for target, mount in sorted(mounted.items()):
        if mount.get("Type") == "volume" and mount.get("Name") and target not in covered:
            binds.append(f"{mount['Name']}:{target}" + ("" if mount.get("RW", True) else ":ro"))
    if binds:
        host_config["Binds"] = binds
    kept = {bind_target(str(bind)) for bind in binds}
    config["Volumes"] = {path: value for path, value in (config.get("Volumes") or {}).items() if path not in kept}


def bind_target(bind: str) -> str:
    """The path inside the container of a bind such as /host:/data:ro or volume:/data."""
    parts = bind.split(":")
    return parts[1] if len(parts) > 1 else parts[0]


def user_ids(user: str, passwd: str, group: str) -> Tuple[int, int]:
    """Uid and gid of a container's User setting such as tyk, 65532 or tyk:0; root's where nothing tells them.

    passwd and group are the texts of the image's own files, which the engine looks names up in; a number that passwd does
    not list has the group 0 (runc, libcontainer/user GetExecUser).
    """
    name, _colon, group_name = user.partition(":")
    account = _entry(passwd, name)
    uid, gid = (account[2], account[3]) if len(account) > 3 else (name, "0")
    if group_name:
        named = _entry(group, group_name)
        gid = named[2] if named else group_name
    return _number(uid), _number(gid)


def _entry(text: str, name: str) -> List[str]:
    """The fields of the first line that has this name or number."""
    lines = (line.split(":") for line in text.splitlines())
    return next((fields for fields in lines if len(fields) > 2 and name in (fields[0], fields[2])), [])


def _number(text: str) -> int:
    return int(text) if text.isdigit() else 0


# -- names and interrupted runs --------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Seen:
    """One container as the repair and the return see it."""

    id: str
    name: str
    status: str  # created, running, restarting, paused, exited, dead, removing
    image_id: str
    image: str
    replaces: str = ""
    policy_before: str = ""  # restart policy that the replaced container had
    return_files: Tuple[File, ...] = ()  # what the replaced container has to find again
    started: str = ""  # when, as the engine writes it without the Z at the end: later ones compare greater
    finished: str = ""

    @property
    def running(self) -> bool:
        return self.status in ("running", "restarting", "paused")

    @classmethod
    def from_inspect(cls, data: Mapping[str, Any]) -> Seen:
        labels = (data.get("Config") or {}).get("Labels") or {}
        state = data.get("State") or {}
        return cls(
            id=str(data["Id"]),
            name=str(data.get("Name") or "").lstrip("/"),
            status=str(state.get("Status") or ""),
            image_id=str(data.get("Image") or ""),
            image=str((data.get("Config") or {}).get("Image") or ""),
            replaces=str(labels.get(LABEL_REPLACES) or ""),
            policy_before=str(labels.get(LABEL_RESTART) or ""),
            return_files=files_from_text(str(labels.get(LABEL_FILES) or "[]")),
            started=str(state.get("StartedAt") or "").rstrip("Z"),
            finished=str(state.get("FinishedAt") or "").rstrip("Z"),
        )


@dataclass(frozen=True)
class Family:
    """All containers that replacing one container may have left, found by name and confirmed by id or label."""

    name: str
    current: Optional[Seen] = None
    pending: Optional[Seen] = None
    kept: Tuple[Seen, ...] = ()
    failed: Tuple[Seen, ...] = ()

    @classmethod
    def of(cls, name: str, seen: Sequence[Seen]) -> Family:
        """Sort containers into the roles; a name of ours on somebody else's container is an error, never touched."""
        by_name = {one.name: one for one in seen}
        pending = by_name.get(next_name(name))
        if pending is not None and not pending.replaces:
            raise DomainError(
                error(
                    "container-missing",
                    pending.name,
                    f"A container named {pending.name} exists that this collection did not make; the name is needed "
                    f"while {name} is replaced.",
                    "Rename or remove it.",
                )
            )
        return cls(
            name=name,
            current=by_name.get(name),
            pending=pending,
            kept=tuple(one for one in seen if one.name == kept_name(name, one.id)),
            failed=tuple(one for one in seen if one.name == failed_name(name, one.id)),
        )

    def predecessor(self) -> Optional[Seen]:
        """The kept container that the current one replaced."""
        if self.current is None or not self.current.replaces:
            return None
        return self.keeper(self.current.replaces)

    def keeper(self, identity: str) -> Optional[Seen]:
        return next((one for one in self.kept if one.id == identity), None)

    def replacement_of(self, identity: str) -> Optional[Seen]:
        """What replaced a container, or was going to; it remembers what that one had."""
        others = [one for one in (self.current, self.pending) + self.failed if one is not None]
        return next((one for one in others if one.replaces == identity), None)


@dataclass(frozen=True)
class Step:
    """One engine call of a repair: rename, remove, stop, start (which also puts the restart policy back)."""

    verb: str
    id: str
    to: str = ""  # new name, or the restart policy to put back

    def sentence(self, name_of: Mapping[str, str]) -> str:
        name = name_of.get(self.id, self.id[:12])
        return {
            "rename": f"renamed {name} to {self.to}",
            "remove": f"removed {name}",
            "stop": f"stopped {name}",
            "start": f"started {name}",
        }[self.verb]


def repair_steps(family: Family) -> List[Step]:
    """What brings a container back whose replacement, or return, was cut short at any moment. Empty when nothing was.

    Always backwards, to the container that is known to have worked: the replacement is made anew afterwards.
    """
    name, current, pending = family.name, family.current, family.pending
    if pending is not None:
        drop = [Step("remove", pending.id)]
        if current is not None:  # cut between create and the first rename
            if current.id == pending.replaces and not current.running:
                return [Step("start", current.id, pending.policy_before)] + drop
            return drop
        kept = family.keeper(pending.replaces)
        if kept is not None:  # cut between the two renames
            return [Step("rename", kept.id, name), Step("start", kept.id, pending.policy_before)] + drop
        return []
    if current is not None and current.status == "created" and current.replaces:
        kept = family.predecessor()
        if kept is not None:  # cut between the second rename and the start
            return [Step("rename", current.id, next_name(name))] + repair_steps(
                Family(name, None, current, family.kept, family.failed)
            )
    if current is None:
        for failed in family.failed:  # cut within a return
            kept = family.keeper(failed.replaces)
            if kept is not None:
                stop = [Step("stop", failed.id)] if failed.running else []
                return [*stop, Step("rename", kept.id, name), Step("start", kept.id, failed.policy_before)]
        return []
    for failed in family.failed:  # one that was started since then is nobody's but who stopped it
        if not current.running and failed.replaces == current.id and current.started <= failed.finished:
            return [Step("start", current.id, failed.policy_before)]
    return []


def policy_text(policy: Optional[Mapping[str, Any]]) -> str:
    """A restart policy as the command line writes it: always, on-failure:5."""
    name = str((policy or {}).get("Name") or "no")
    count = int((policy or {}).get("MaximumRetryCount") or 0)
    return f"{name}:{count}" if name == "on-failure" and count else name


def policy_dict(text: str) -> Dict[str, Any]:
    """The restart policy that policy_text wrote."""
    match = re.fullmatch(r"(no|always|unless-stopped|on-failure)(?::(\d+))?", text or "no")
    if match is None:
        raise ValueError(f"{text!r} is not a restart policy.")
    return {"Name": match.group(1), "MaximumRetryCount": int(match.group(2) or 0)}


# -- facts for container_info ----------------------------------------------------------------------------------------


def networks_of(container: Mapping[str, Any]) -> Dict[str, Dict[str, Any]]:
    """Networks with address, configured (static) address and aliases."""
    reported = (container.get("NetworkSettings") or {}).get("Networks") or {}
    identity = str(container.get("Id") or "")
    return {
        name: {
            "ip": str((value or {}).get("IPAddress") or ""),
            "static_ip": str((((value or {}).get("IPAMConfig")) or {}).get("IPv4Address") or ""),
            "aliases": list(_endpoint(value or {}, identity).get("Aliases") or []),
        }
        for name, value in sorted(reported.items())
    }


def published_ports(container: Mapping[str, Any]) -> List[Dict[str, Any]]:
    """Ports that are reachable through the host, as the container is configured."""
    bindings = (container.get("HostConfig") or {}).get("PortBindings") or {}
    return [
        {"container_port": port, "host_ip": str(one.get("HostIp") or ""), "host_port": str(one.get("HostPort") or "")}
        for port, ones in sorted(bindings.items())
        for one in ones or []
    ]


def mount_sources(container: Mapping[str, Any]) -> Dict[str, str]:
    """Destination to source (host path or volume name) of everything mounted that could be shared."""
    return {
        str(mount.get("Destination")): str(mount.get("Name") or mount.get("Source") or "")
        for mount in container.get("Mounts") or []
        if mount.get("Type") in ("bind", "volume")
    }


def closed_mounts(container: Mapping[str, Any]) -> List[Dict[str, str]]:
    """Mounts into which no file can be put from outside, each with its destination and the reason: read-only or tmpfs.

    The container's own layer, at /, is one of them where that is read-only.
    """
    host_config = container.get("HostConfig") or {}
    closed = {"/": "read-only"} if host_config.get("ReadonlyRootfs") else {}
    closed.update(dict.fromkeys(host_config.get("Tmpfs") or {}, "tmpfs"))
    for mount in container.get("Mounts") or []:
        if mount.get("Type") == "tmpfs":
            closed[str(mount.get("Destination"))] = "tmpfs"
        elif not mount.get("RW", True):
            closed[str(mount.get("Destination"))] = "read-only"
    return [{"destination": destination, "reason": reason} for destination, reason in sorted(closed.items())]


def shared_mounts(
    container: Mapping[str, Any], others: Sequence[Mapping[str, Any]], mount_table: str = ""
) -> List[Dict[str, Any]]:
    """Mounts that another container sees, too, or another host may; path is the folder of which that is true.

    others: entries of the engine's list call. mount_table: the text of /proc/self/mounts of the engine's host.
    """
    shared: List[Dict[str, Any]] = []
    folders = _folders(container)
    for destination, source in sorted(mount_sources(container).items()):
        seen: Dict[str, List[str]] = {}
        for other in others:
            path = _seen_by(container, destination, source, other) if other.get("Id") != container.get("Id") else ""
            if path:
                seen.setdefault(path, []).append(str((other.get("Names") or ["?"])[0]).lstrip("/"))
        file_system = file_system_of(folders.get(destination, ""), mount_table)
        if of_several_hosts(file_system):
            seen.setdefault(destination, [])
        shared.extend(
            {
                "destination": destination,
                "source": source,
                "path": path,
                "with": sorted(names),
                "file_system": file_system if of_several_hosts(file_system) and path == destination else "",
            }
            for path, names in sorted(seen.items())
        )
    return shared


def _seen_by(container: Mapping[str, Any], destination: str, source: str, other: Mapping[str, Any]) -> str:
    """What of a mount another container sees, as a folder of the first; empty for nothing.

    A folder above or below the mount's counts where the other is arranged the same way or is of the same image: what
    watches over a host or keeps its backups sees the folders of all.
    """
    if source and source in mount_sources(other).values():
        return destination
    folder = _folders(container).get(destination, "")
    alike = split_reference(str((container.get("Config") or {}).get("Image") or ""))[0]
    same_image = bool(alike) and alike == split_reference(str(other.get("Image") or ""))[0]
    for other_place, other_folder in sorted(_folders(other).items()):
        path, other_path = common_folder(destination, folder, other_place, other_folder) if folder else ("", "")
        if path and (path == other_path or same_image):
            return path
    return ""


def _folders(container: Mapping[str, Any]) -> Dict[str, str]:
    """Destination to folder of the host, where the engine tells that."""
    found = {str(one.get("Destination")): str(one.get("Source") or "") for one in container.get("Mounts") or []}
    return {destination: folder for destination, folder in found.items() if folder.startswith("/")}
