# Copyright (c) 2026 tyk.upgrade contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What a gateway has done with its bundles: folders, mapped plugins, log lines.

A gateway in a container without a shell can be looked at as well: files are read through the engine. Which plugins the
process has really opened is what the kernel says about its memory.
"""

from __future__ import annotations

import json
import os
import posixpath
import re
from collections import deque
from dataclasses import dataclass
from datetime import datetime, timezone
from typing import Any, Dict, Iterable, List, Mapping, Optional, Protocol, Sequence, Tuple

from ansible_collections.tyk.upgrade.plugins.module_utils._clients.docker_engine import Engine, EngineError
from ansible_collections.tyk.upgrade.plugins.module_utils._clients.errors import mask_urls
from ansible_collections.tyk.upgrade.plugins.module_utils._domain.bundles import bundle_directory
from ansible_collections.tyk.upgrade.plugins.module_utils._domain.findings import Finding, error, warning

MAX_LINES = 50
MAX_MANIFEST = 1 << 20

#: Log lines of a gateway that tell of a bundle or a plugin it could not use, in the words of 3.0 to 5.14.
LOG_PATTERNS = re.compile(
    r"Could not load Go-plugin|plugin already loaded|plugin was built with a different version"
    r"|Couldn't (?:fetch|load|get) bundle|bundle fetch failed|Bundle verification failed|Bundle isn't signed"
    r"|plugin file not found|Can't find Go-plugin",
    re.IGNORECASE,
)
#: 4.0.7 to 4.0.16, 4.2.2 to 5.0.10 and 5.1.0 to 5.2.5 look at a bundle that failed again only for another definition.
_AGAIN = (
    "Then save that API definition again, or restart the gateway: not every version tries a bundle that failed once more "
    "when it only reloads."
)
_MISMATCH = re.compile(r"different version of package ([^\s,()\"\\]+)")


@dataclass(frozen=True)
class BundleSeen:
    """One bundle as the gateway has it."""

    name: str
    directory: str
    present: bool
    manifest_checksum: Optional[str] = None
    files: Tuple[Dict[str, Any], ...] = ()
    missing: Tuple[str, ...] = ()
    loaded: Optional[Tuple[str, ...]] = None  # None: cannot be looked at from here
    plugins: bool = False

    def to_dict(self) -> Dict[str, Any]:
        return {
            "name": self.name,
            "directory": self.directory,
            "present": self.present,
            "manifest_checksum": self.manifest_checksum,
            "files": list(self.files),
            "missing": list(self.missing),
            "loaded": None if self.loaded is None else list(self.loaded),
        }


class Files(Protocol):
    """The files that a gateway sees."""

    def stat(self, path: str) -> Optional[Mapping[str, Any]]:
        """Its size and, for a link, linkTarget; None if there is no such file or folder."""

    def read(self, path: str, limit: int = MAX_MANIFEST) -> Optional[bytes]:
        """Its content, of at most so many bytes; None if there is no such file."""


@dataclass(frozen=True)
class ContainerFiles:
    """The files in a container."""

    engine: Engine
    container: str

    def stat(self, path: str) -> Optional[Mapping[str, Any]]:
        return self.engine.stat(self.container, path)

    def read(self, path: str, limit: int = MAX_MANIFEST) -> Optional[bytes]:
        return self.engine.read_file(self.container, path, limit)


class HostFiles:
    """The files of the host that the module runs on."""

    def stat(self, path: str) -> Optional[Mapping[str, Any]]:
        try:
            size = os.stat(path).st_size
        except OSError:
            return None
        real = os.path.realpath(path)  # any folder on the way may be a link; the kernel names the real one
        return {"size": size, "linkTarget": real if real != path else ""}

    def read(self, path: str, limit: int = MAX_MANIFEST) -> Optional[bytes]:
        try:
            with open(path, "rb") as stream:
                return stream.read(limit)
        except OSError:
            return None


def look_at(files_of: Files, middleware_path: str, name: str, mapped: Optional[Sequence[str]]) -> BundleSeen:
    """Read one bundle's folder."""
    directory = posixpath.join(middleware_path, "bundles", bundle_directory(name))
    if files_of.stat(directory) is None:
        return BundleSeen(name, directory, present=False)
    content = files_of.read(posixpath.join(directory, "manifest.json"))
    try:
        manifest = json.loads(content or b"")
    except ValueError:
        manifest = None
    if not isinstance(manifest, dict):
        return BundleSeen(name, directory, present=False, missing=("manifest.json",))
    files, missing, places = [], [], {directory}
    for listed in manifest.get("file_list") or []:
        found = files_of.stat(posixpath.join(directory, str(listed)))
        if found is None:
            missing.append(str(listed))
            continue
        files.append({"name": str(listed), "size": int(found.get("size") or 0)})
        if found.get("linkTarget"):
            places.add(posixpath.dirname(str(found["linkTarget"])))
    return BundleSeen(
        name,
        directory,
        present=not missing,
        manifest_checksum=str(manifest.get("checksum") or ""),
        files=tuple(files),
        missing=tuple(missing),
        loaded=loaded_from(mapped, places),
        plugins=(manifest.get("custom_middleware") or {}).get("driver") == "goplugin",
    )


def loaded_from(mapped: Optional[Sequence[str]], places: Any) -> Optional[Tuple[str, ...]]:
    """Which of the mapped plugins lie in one of the folders."""
    if mapped is None:
        return None
    return tuple(sorted({posixpath.basename(path) for path in mapped if posixpath.dirname(path) in places}))


def mapped_plugins(engine: Engine, container: str) -> Optional[List[str]]:
    """The shared objects that processes of the container have mapped; None where the kernel does not tell us."""
    if not engine.local:
        return None
    with engine.asking("Listing the processes of the container", container):
        top = engine.api.top(container)
    titles = [str(title).upper() for title in top.get("Titles") or []]
    if "PID" not in titles:
        return None
    try:
        return mapped_by([int(row[titles.index("PID")]) for row in top.get("Processes") or []])
    except ValueError:
        return None


def mapped_by(processes: Sequence[int]) -> Optional[List[str]]:
    """The shared objects that processes of this host have mapped; None where the kernel does not tell us."""
    paths = set()
    for pid in processes:
        try:
            with open(f"/proc/{pid}/maps", encoding="utf-8", errors="replace") as maps:
                paths.update(shared_objects(maps.read()))
        except OSError:
            return None
    return sorted(paths)


def with_children(pid: int) -> List[int]:
    """A process and those that it started."""
    found = [pid]
    try:
        threads = os.listdir(f"/proc/{pid}/task")
    except OSError:
        return found
    for thread in threads:
        try:
            with open(f"/proc/{pid}/task/{thread}/children", encoding="ascii") as stream:
                for child in stream.read().split():
                    found.extend(with_children(int(child)))
        except OSError:
            continue  # it ended, or this kernel does not list children
    return found


def shared_objects(maps: str) -> List[str]:
    """Paths of shared objects in a process's memory map."""
    paths = (line.split(None, 5)[5].strip() for line in maps.splitlines() if len(line.split(None, 5)) == 6)
    return sorted({re.sub(r" \(deleted\)$", "", path) for path in paths if path.startswith("/") and ".so" in path})


def log_errors(engine: Engine, container: str, since: Optional[int]) -> List[str]:
    """The lines of the log that tell of a bundle or plugin that could not be used; the newest last."""
    return telling_lines(engine.logs(container, since=since).splitlines())


def telling_lines(log: Iterable[str]) -> List[str]:
    """The lines of a log that tell of a bundle or plugin that could not be used; the newest last.

    Gateways log the address that they could not download from, with the credentials and signature in it.
    """
    return [mask_urls(line) for line in deque((line for line in log if LOG_PATTERNS.search(line)), maxlen=MAX_LINES)]


def findings_of(container: str, bundles: Sequence[BundleSeen], lines: Sequence[str]) -> List[Finding]:
    """What is wrong with the bundles of a running gateway."""
    found: List[Finding] = []
    for bundle in bundles:
        about = [line for line in lines if bundle_directory(bundle.name) in line or bundle.name in line]
        last = f" Its log says: {about[-1].strip()}" if about else ""
        if not bundle.present:
            gap = f"lacks {', '.join(bundle.missing)}" if bundle.missing else "does not exist"
            found.append(
                error(
                    "bundle-not-in-use",
                    f"{container}: {bundle.name}",
                    f"The gateway {container} does not use the bundle {bundle.name}: its folder {bundle.directory} "
                    f"{gap}.{last}",
                    f"Check that an active API names this bundle, and that the gateway can download it. {_AGAIN}",
                )
            )
            continue
        failed = [line for line in about if _is_load_failure(line)]
        if bundle.plugins and bundle.loaded == () or failed and bundle.loaded is None:
            found.append(_not_loaded(container, bundle, failed, last))
        elif any("verification failed" in line.lower() for line in about):
            found.append(
                warning(
                    "bundle-invalid",
                    f"{container}: {bundle.name}",
                    f"The gateway {container} uses the bundle {bundle.name} although its checksum is not right.{last}",
                    "Build and publish it anew under another name; later versions refuse it.",
                )
            )
    return found


def _is_load_failure(line: str) -> bool:
    return bool(re.search(r"Go-plugin|plugin already loaded|different version|plugin file not found", line))


def _not_loaded(container: str, bundle: BundleSeen, failed: Sequence[str], last: str) -> Finding:
    code, remedy = "bundle-not-in-use", f"Check that an active API names it. {_AGAIN}"
    match = _MISMATCH.search(" ".join(failed))
    if match:
        code = "plugin-mismatch"
        remedy = "Build it with the plugin compiler of the gateway's own version, and publish it under another name."
    elif any("plugin already loaded" in line for line in failed):
        code = "plugin-path-shared"
        remedy = "Restart the gateway; or build it with another build id, and publish it under another name."
    return error(
        code,
        f"{container}: {bundle.name}",
        f"The gateway {container} has the bundle {bundle.name} but has loaded no plugin from it.{last}",
        remedy,
    )


def started_at(container: Mapping[str, Any]) -> str:
    return str((container.get("State") or {}).get("StartedAt") or "")


def epoch(stamp: str) -> Optional[int]:
    """Seconds since 1970 of the engine's time stamps, whose fractions have nine digits."""
    match = re.match(r"(\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d)", stamp)
    if match is None or stamp.startswith("0001-"):
        return None
    return int(datetime.strptime(match.group(1), "%Y-%m-%dT%H:%M:%S").replace(tzinfo=timezone.utc).timestamp())


def running_container(engine: Engine, name: str) -> Dict[str, Any]:
    """The container, which must be running. Raises EngineError with a sentence."""
    data = engine.container(name)
    if not (data.get("State") or {}).get("Running"):
        raise EngineError(
            error(
                "gateway-not-ready",
                name,
                f"The container {name} is not running (status {(data.get('State') or {}).get('Status')}).",
                "Start it first.",
            )
        )
    return data


def process_of(engine: Engine, name: str) -> int:
    """A process of a running container, seen from this very host. Raises EngineError with a sentence."""
    pid = int(running_container(engine, name)["State"].get("Pid") or 0)
    if not engine.local or not os.path.exists(f"/proc/{pid}/ns/net"):
        raise EngineError(
            error(
                "driver-unsupported",
                name,
                f"The container {name} does not run on the host that runs this module (engine {engine.address}), so "
                f"its network cannot be entered.",
                "Run the module on the engine's own host, as root.",
            )
        )
    return pid
