# Copyright (c) 2026 tyk.upgrade contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Running the plugin compiler image: source in and result out through the engine, so a remote engine works as well.

Every build gets a container of its own (a failed one cannot be started again), and what it leaves is believed only if
the compiler said so, wrote exactly one new file, and that file is what was asked for.
"""

from __future__ import annotations

import hashlib
import json
import os
import posixpath
import shutil
import tarfile
import time
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from typing import IO, Any, Callable, Dict, List, Mapping, Optional, Sequence, Tuple

from ansible_collections.tyk.upgrade.plugins.module_utils._clients.docker_engine import (
    Engine,
    Image,
    ImageGone,
    tar_of,
)
from ansible_collections.tyk.upgrade.plugins.module_utils._clients.elf import check_plugin
from ansible_collections.tyk.upgrade.plugins.module_utils._clients.host_lock import host_lock
from ansible_collections.tyk.upgrade.plugins.module_utils._clients.plugin_source import (
    PluginSource,
    read_source,
    tar_members,
)
from ansible_collections.tyk.upgrade.plugins.module_utils._domain.compilers import compiler_contract
from ansible_collections.tyk.upgrade.plugins.module_utils._domain.findings import DomainError, Finding, error

LABEL_COMPILE = "tyk.upgrade.compile"
LABEL_MODULES = "tyk.upgrade.modules"  # where the module cache of an image is, remembered at its build cache's volume
IN_IMAGE, IN_VOLUME = "image", "volume"
LINES_SHOWN = 30
META = "build.json"


@dataclass(frozen=True)
class Build:
    """One plugin for one gateway version and machine."""

    plugin: str
    source: str
    version: str
    image: str
    goos: str
    goarch: str
    build_id: str
    file: str

    @property
    def arguments(self) -> List[str]:
        """What the compiler of this version is started with."""
        return compiler_contract(self.version).command(self.plugin, self.build_id, self.goos, self.goarch)

    @property
    def subject(self) -> str:
        return f"{self.plugin} for {self.version} ({self.goos}/{self.goarch})"


@dataclass(frozen=True)
class Options:
    """How to build."""

    dest: str
    timeout: float = 900
    memory: int = 0
    cache_volumes: bool = True
    env: Mapping[str, str] = field(default_factory=dict)


@dataclass
class Result:
    """What came of a build."""

    build: Build
    path: str = ""
    sha256: Optional[str] = None
    size: Optional[int] = None
    plugin_path: Optional[str] = None
    go_version: Optional[str] = None
    cached: bool = False
    seconds: float = 0.0
    findings: List[Finding] = field(default_factory=list)

    def to_dict(self) -> Dict[str, Any]:
        return {
            "plugin": self.build.plugin,
            "version": self.build.version,
            "goos": self.build.goos,
            "goarch": self.build.goarch,
            "build_id": self.build.build_id,
            "file": self.build.file,
            "path": self.path,
            "sha256": self.sha256,
            "size": self.size,
            "plugin_path": self.plugin_path,
            "go_version": self.go_version,
            "cached": self.cached,
            "seconds": round(self.seconds, 3),
        }


def build_key(digest: str, image_id: str, arguments: Sequence[str], env: Mapping[str, str]) -> str:
    """What a result depends on, in 32 hex digits: same key, same bytes (compilers are deterministic)."""
    inputs = {"source": digest, "image": image_id, "arguments": list(arguments), "env": dict(env)}
    return hashlib.sha256(json.dumps(inputs, sort_keys=True).encode()).hexdigest()[:32]


def cache_folders(image: Mapping[str, Any]) -> Tuple[str, str]:
    """Where Go in a compiler image keeps its build cache and its module cache, by the image's environment."""
    env = dict(entry.split("=", 1) for entry in image.get("Env") or [] if "=" in entry)
    home = env.get("HOME") or "/root"
    build = env.get("GOCACHE") or posixpath.join(
        env.get("XDG_CACHE_HOME") or posixpath.join(home, ".cache"), "go-build"
    )
    gopath = (env.get("GOPATH") or posixpath.join(home, "go")).split(":")[0]
    return build, env.get("GOMODCACHE") or posixpath.join(gopath, "pkg", "mod")


def source_folder(image: Mapping[str, Any]) -> str:
    """Where the compiler image expects the plugin's source."""
    env = dict(entry.split("=", 1) for entry in image.get("Env") or [] if "=" in entry)
    return (env.get("PLUGIN_SOURCE_PATH") or "/plugin-source").rstrip("/")


def container_body(image: Image, build: Build, options: Options, key: str, binds: Sequence[str] = ()) -> Dict[str, Any]:
    """The create call for one build."""
    host_config: Dict[str, Any] = {"LogConfig": {"Type": "json-file", "Config": {"max-size": "10m"}}}
    if options.memory:
        host_config["Memory"] = options.memory
        host_config["MemorySwap"] = options.memory
    if binds:
        host_config["Binds"] = list(binds)
    return {
        "Image": image.id,
        "Cmd": build.arguments,
        "Env": [f"{name}={value}" for name, value in sorted(options.env.items())],
        "Labels": {LABEL_COMPILE: key},
        "HostConfig": host_config,
    }


def prepared_source(build: Build) -> PluginSource:
    """The plugin's source as the compiler of this version has to get it."""
    contract = compiler_contract(build.version)
    if contract.unusable:
        raise DomainError(
            error(
                "compiler-unusable",
                build.subject,
                f"The plugin compiler of {build.version} cannot build what that gateway loads.",
                "Go through another patch release of that line, or give a plugin that was built by other means.",
                contract.source,
            )
        )
    source = read_source(build.plugin, build.source)
    return source if contract.honours_build_id else source.renamed(build.build_id)


class Compiler:
    """Builds plugins and keeps the results by what they depend on."""

    def __init__(self, connect: Callable[[], Engine], options: Options, check_mode: bool = False) -> None:
        self.connect = connect  # one connection a thread: the SDK's session is not made for sharing
        self.options = options
        self.check_mode = check_mode

    def all(self, builds: Sequence[Build], parallel: int) -> List[Result]:
        """Every build, `parallel` at a time, in the order given. What is wrong is in the results' findings."""
        with ThreadPoolExecutor(max_workers=max(1, parallel)) as pool:
            return list(pool.map(self._one, builds))

    def _one(self, build: Build) -> Result:
        started = time.monotonic()
        result = Result(build)
        try:
            engine = self.connect()
            try:
                self._build(engine, build, result)
            finally:
                engine.api.close()
        except DomainError as problem:
            result.findings.append(problem.finding)
        result.seconds = time.monotonic() - started
        return result

    def _build(self, engine: Engine, build: Build, result: Result) -> None:
        source = prepared_source(build)
        image = self._image(engine, build)
        if image is None:
            return
        key = build_key(source.digest, image.id, build.arguments, self.options.env)
        result.path = os.path.join(self.options.dest, key, build.file)
        if self._cached(result):
            return
        if self.check_mode:
            return
        with host_lock(f"the build {key} in {self.options.dest}", wait=self.options.timeout):
            if not self._cached(result):
                self._run(engine, build, source, image, key, result)

    def _image(self, engine: Engine, build: Build) -> Optional[Image]:
        try:
            if self.check_mode:
                found = engine.image(build.image)
                if found is None:
                    engine.registry_digest(build.image)
                return found
            return engine.ensure_image(build.image, "missing")[0]
        except ImageGone as problem:
            raise DomainError(
                error(
                    "compiler-missing",
                    build.image,
                    problem.finding.message,
                    f"It is needed to compile {build.subject}; load it into the engine, or give built artifacts.",
                )
            ) from problem

    def _cached(self, result: Result) -> bool:
        """Take a former result, if it is whole."""
        try:
            with open(os.path.join(os.path.dirname(result.path), META), encoding="utf-8") as source:
                meta = json.load(source)
            if file_digest(result.path) != meta["sha256"]:
                return False
        except (OSError, ValueError, KeyError):
            return False
        self._take(result, meta)
        result.cached = True
        return True

    @staticmethod
    def _take(result: Result, meta: Mapping[str, Any]) -> None:
        result.sha256, result.size = str(meta["sha256"]), int(meta["size"])
        result.plugin_path, result.go_version = str(meta["plugin_path"]), str(meta["go_version"])

    def _run(self, engine: Engine, build: Build, source: PluginSource, image: Image, key: str, result: Result) -> None:
        for stale in engine.containers(label=f"{LABEL_COMPILE}={key}"):
            engine.remove(str(stale["Id"]), force=True)  # of a run that was killed: its lock is ours now
        part = os.path.join(self.options.dest, f".{key}.part")
        shutil.rmtree(part, ignore_errors=True)
        os.makedirs(part, mode=0o755)
        container = ""
        try:
            name = f"tyk-upgrade-compile-{key[:12]}-{os.getpid()}"
            with host_lock(f"the caches of {image.id}", wait=self.options.timeout), engine.patience(
                self.options.timeout
            ):
                # The engine fills an empty volume while it creates the container; two at once would collide.
                binds = self._cache_binds(engine, image) if self.options.cache_volumes else []
                container = engine.create(container_body(image, build, self.options, key, binds), name)
            folder = source_folder(image.config)
            engine.put(container, "/", tar_of(tar_members(source, folder)), build.subject)
            engine.start(container, build.subject)
            self._finished(engine, build, container)
            path = os.path.join(part, build.file)
            self._fetch(engine, build, container, folder, path)
            meta = self._examined(build, path)
            with open(os.path.join(part, META), "w", encoding="utf-8") as target:
                json.dump({**meta, "image": build.image, "image_id": image.id, "source": source.digest}, target)
            final = os.path.dirname(result.path)
            shutil.rmtree(final, ignore_errors=True)
            os.rename(part, final)
            self._take(result, meta)
        finally:
            if container:
                engine.remove(container, volumes=True, force=True)
            shutil.rmtree(part, ignore_errors=True)

    @staticmethod
    def _cache_binds(engine: Engine, image: Image) -> List[str]:
        """Volumes for Go's caches, which outlive the container.

        A module cache that the image brings along is used where it is: the engine would copy it into the volume, and Go
        takes a module that was copied in part for a whole one. The build cache checks every entry it uses.
        """
        short = image.id.split(":")[-1][:12]
        build_cache, module_cache = cache_folders(image.config)
        volume = f"tyk-upgrade-gobuild-{short}"
        modules = (engine.volume_labels(volume) or {}).get(LABEL_MODULES)
        if modules is None:
            probe = engine.create(
                {"Image": image.id, "Labels": {LABEL_COMPILE: "probe"}}, f"{volume}-probe-{os.getpid()}"
            )
            try:
                modules = IN_VOLUME if engine.stat(probe, posixpath.join(module_cache, "cache")) is None else IN_IMAGE
            finally:
                engine.remove(probe, volumes=True, force=True)
            engine.create_volume(volume, {LABEL_MODULES: modules})
        binds = [f"{volume}:{build_cache}"]
        return binds if modules == IN_IMAGE else [*binds, f"tyk-upgrade-gomod-{short}:{module_cache}"]

    def _finished(self, engine: Engine, build: Build, container: str) -> None:
        code = engine.wait(container, self.options.timeout)
        if code == 0:
            return
        lines = "\n".join(engine.logs(container, tail=LINES_SHOWN).strip().splitlines()[-LINES_SHOWN:])
        if code is None:
            what, remedy = (
                f"was not done after {self.options.timeout:g} s",
                "Allow more time, or see what it waits for.",
            )
        elif engine.container(container)["State"].get("OOMKilled"):
            what, remedy = "was killed for want of memory", "A first build needs about 768 MiB; allow more."
        else:
            what, remedy = f"failed with exit code {code}", "Correct what the compiler names."
        raise DomainError(
            error(
                "plugin-compile-failed",
                build.subject,
                f"Compiling {build.subject} with {build.image} {what}. Its last lines:\n{lines or '(none)'}\n",
                remedy,
            )
        )

    @staticmethod
    def _fetch(engine: Engine, build: Build, container: str, folder: str, path: str) -> None:
        """Write the one plugin that the compiler left to `path`; the source that was sent held none."""
        found: List[str] = []

        def take(member: tarfile.TarInfo, content: Optional[IO[bytes]]) -> None:
            if content is None or not member.name.endswith(".so") or member.name.count("/") > 1:
                return
            found.append(posixpath.basename(member.name))
            if len(found) == 1:
                with open(path, "wb") as target:
                    shutil.copyfileobj(content, target, 1 << 20)

        engine.read_tree(container, folder, take)
        if len(found) != 1:
            left = f"{len(found)} plugins ({', '.join(sorted(found))})" if found else "no plugin"
            raise DomainError(
                error(
                    "plugin-compile-failed",
                    build.subject,
                    f"Compiling {build.subject} with {build.image} ended without an error but left {left} in {folder}.",
                    "Exactly one is expected; check that the image is a plugin compiler.",
                )
            )

    @staticmethod
    def _examined(build: Build, path: str) -> Dict[str, Any]:
        binary, wrong = check_plugin(path, build.goarch, build.build_id)
        if wrong or binary is None:
            raise DomainError(
                error(
                    "plugin-compile-failed",
                    build.subject,
                    f"Compiling {build.subject} with {build.image} ended without an error. {wrong}",
                    "Check that the image is the plugin compiler of this version and machine.",
                )
            )
        return {
            "sha256": file_digest(path),
            "size": os.path.getsize(path),
            "plugin_path": binary.path,
            "go_version": binary.go_version,
        }


def shared_paths(results: Sequence[Result]) -> List[Finding]:
    """Different plugins for the same gateways that carry one plugin path: Go would load only the first of them."""
    seen: Dict[Tuple[str, ...], str] = {}
    found = []
    for result in results:
        build = result.build
        if not result.plugin_path:
            continue
        other = seen.setdefault((build.version, build.goos, build.goarch, result.plugin_path), build.plugin)
        if other != build.plugin:
            found.append(
                error(
                    "plugin-path-shared",
                    build.subject,
                    f"The plugins {other} and {build.plugin} for {build.version} carry the same plugin path "
                    f"{result.plugin_path}, so a gateway could load only one of them.",
                    "Give each plugin a build id of its own.",
                )
            )
    return found


def file_digest(path: str) -> str:
    """sha256 of a file, streaming."""
    digest = hashlib.sha256()
    with open(path, "rb") as source:
        for block in iter(lambda: source.read(1 << 20), b""):
            digest.update(block)
    return digest.hexdigest()
