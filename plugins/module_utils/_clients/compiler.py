# Copyright (c) 2026 tyk.upgrade contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Running the plugin compiler image: source in and result out through the engine, so a remote engine works as well.

Every build gets a container of its own (a failed one cannot be started again), and what it leaves is believed only if
the compiler said so, wrote exactly one new file, and that file is what was asked for. A result appears under its name
by one rename, whole or not at all, whenever this process is killed.
"""

from __future__ import annotations

import contextlib
import hashlib
import json
import os
import posixpath
import shutil
import tarfile
import threading
import time
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field, replace
from typing import IO, Any, Callable, Dict, Iterator, List, Mapping, Optional, Sequence, Tuple

from ansible_collections.tyk.upgrade.plugins.module_utils._clients import build_room, module_cache
from ansible_collections.tyk.upgrade.plugins.module_utils._clients.compiler_progress import Progress
from ansible_collections.tyk.upgrade.plugins.module_utils._clients.docker_engine import (
    Engine,
    EngineError,
    EngineRefused,
    Image,
    ImageGone,
    configured_environment,
    tar_of,
)
from ansible_collections.tyk.upgrade.plugins.module_utils._clients.elf import check_plugin
from ansible_collections.tyk.upgrade.plugins.module_utils._clients.host_lock import host_lock
from ansible_collections.tyk.upgrade.plugins.module_utils._clients.plugin_source import (
    digest_of,
    read_source,
    tar_members,
)
from ansible_collections.tyk.upgrade.plugins.module_utils._domain.build_info import Module
from ansible_collections.tyk.upgrade.plugins.module_utils._domain.compiler_messages import (
    NOT_STARTED,
    cause,
)
from ansible_collections.tyk.upgrade.plugins.module_utils._domain.compilers import (
    GOPATH,
    PUBLISHED_FOR,
    compiler_contract,
)
from ansible_collections.tyk.upgrade.plugins.module_utils._domain.findings import (
    DomainError,
    Finding,
    Severity,
    error,
    to_dicts,
    warning,
)
from ansible_collections.tyk.upgrade.plugins.module_utils._domain.go_module import GoMod
from ansible_collections.tyk.upgrade.plugins.module_utils._domain.plugin_builds import (
    decisive,
    named_by_another,
    other_compiler,
    right_compiler,
)
from ansible_collections.tyk.upgrade.plugins.module_utils._domain.releases import other_go
from ansible_collections.tyk.upgrade.plugins.module_utils._domain.resolution import compiled_name
from ansible_collections.tyk.upgrade.plugins.module_utils._domain.source_preparation import Prepared

LABEL_COMPILE = "tyk.upgrade.compile"
LABEL_UNTIL = "tyk.upgrade.compile.until"  # seconds since 1970 from when nobody waits for the container any more
LABEL_MODULES = "tyk.upgrade.modules"  # where the module cache of an image is, remembered at its build cache's volume
IN_IMAGE, IN_VOLUME = "image", "volume"
LINES_SHOWN = 30
KILLED = (128 + 9, 128 + 15)  # exit codes of what was ended by SIGKILL or SIGTERM
BETWEEN_LOOKS = 5.0  # seconds between two looks whether anybody waits for a build that is watched
MODULES_SHOWN = 10
OUTPUT_KEPT = 64 << 10  # characters of what the compiler printed
META = "build.json"
STALE = 86400.0  # seconds after which a folder that a killed run left is nobody's
SPARE = 600.0  # seconds that a container may live beyond the time limit of its build

#: C compilers for other machines, as Debian calls them. Images since 5.0.3 choose the one for arm64 themselves.
CROSS_COMPILERS = {"arm64": "aarch64-linux-gnu", "s390x": "s390x-linux-gnu"}


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
    strip: bool = False

    @property
    def arguments(self) -> List[str]:
        """What the compiler of this version is started with."""
        return compiler_contract(self.version).command(self.plugin, self.build_id, self.goos, self.goarch)

    @property
    def output(self) -> str:
        """How the compiler of this version names the result."""
        return compiled_name(self.version, self.plugin, self.goos, self.goarch)

    @property
    def subject(self) -> str:
        return f"{self.plugin} for {self.version} ({self.goos}/{self.goarch})"


@dataclass(frozen=True)
class Options:
    """How to build. goproxy, module_cache (a path) and module_volume say where modules come from. progress: a file to which
    what the compilers print is written while they print it, if any.
    """

    dest: str
    timeout: float = 900
    memory: int = 0
    cache_volumes: bool = True
    env: Mapping[str, str] = field(default_factory=dict)
    goproxy: str = ""
    module_cache: str = ""
    module_volume: str = ""
    network: str = ""
    progress: str = ""

    @property
    def module_env(self) -> Dict[str, str]:
        """The environment by which Go finds its modules."""
        env = {"GOPROXY": self.goproxy} if self.goproxy else {}
        if self.module_cache:
            env["GOPROXY"] = f"file://{module_cache.FOLDER},{self.goproxy or 'off'}"
        if self.module_cache or self.goproxy == "off":
            env["GOSUMDB"] = "off"  # out of reach; what go.sum says is checked all the same
        return env


@dataclass
class Result:
    """What came of a build."""

    build: Build
    path: str = ""
    sha256: Optional[str] = None
    size: Optional[int] = None
    size_unstripped: Optional[int] = None
    plugin_path: Optional[str] = None
    go_version: Optional[str] = None
    cached: bool = False
    seconds: float = 0.0
    output: str = ""
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
            "strip": self.build.strip,
            "size_unstripped": self.size_unstripped,
            "plugin_path": self.plugin_path,
            "go_version": self.go_version,
            "cached": self.cached,
            "seconds": round(self.seconds, 3),
            "output": self.output.splitlines(),
        }


class _NotWritten(Exception):
    """A file of this host could not be written, while the engine's answer was being read."""

    def __init__(self, problem: OSError) -> None:
        super().__init__(str(problem))
        self.problem = problem


def build_key(
    digest: str, image_id: str, arguments: Sequence[str], env: Mapping[str, str], strip: bool = False
) -> str:
    """What a result depends on, in 32 hex digits: same key, same bytes (compilers are deterministic)."""
    inputs: Dict[str, Any] = {"source": digest, "image": image_id, "arguments": list(arguments), "env": decisive(env)}
    if strip:
        inputs["strip"] = True
    return hashlib.sha256(json.dumps(inputs, sort_keys=True).encode()).hexdigest()[:32]


def cache_folders(image: Mapping[str, Any]) -> Tuple[str, str]:
    """Where Go in a compiler image keeps its build cache and its module cache, by the image's environment."""
    env = configured_environment(image)
    home = env.get("HOME") or "/root"
    build = env.get("GOCACHE") or posixpath.join(
        env.get("XDG_CACHE_HOME") or posixpath.join(home, ".cache"), "go-build"
    )
    gopath = (env.get("GOPATH") or posixpath.join(home, "go")).split(":")[0]
    return build, env.get("GOMODCACHE") or posixpath.join(gopath, "pkg", "mod")


def source_folder(image: Mapping[str, Any]) -> str:
    """Where the compiler image expects the plugin's source."""
    return (configured_environment(image).get("PLUGIN_SOURCE_PATH") or "/plugin-source").rstrip("/")


def build_environment(build: Build, prepared: Prepared, image: Image, given: Mapping[str, str]) -> Dict[str, str]:
    """The environment of a build, as far as its result depends on it. What the user gave wins."""
    contract = compiler_contract(build.version)
    env = {"GOTOOLCHAIN": "local"}  # another toolchain's plugin would not load
    names = {name.split("/")[0] for name, _unused in prepared.files}
    if contract.mode == GOPATH and "go.mod" in names and "vendor" not in names:
        # The compiler fetches what go.mod says, which names another commit than go.sum knows: let Go complete it.
        flags = given.get("GOFLAGS", configured_environment(image.config).get("GOFLAGS", ""))
        env["GOFLAGS"] = flags if "-mod" in flags else f"{flags} -mod=mod".strip()
        given = {name: value for name, value in given.items() if name != "GOFLAGS"}
    if build.goarch in CROSS_COMPILERS and build.goarch != (image.architecture or "amd64"):
        env.update(CC=f"{CROSS_COMPILERS[build.goarch]}-gcc", CGO_ENABLED="1")
        if "goarch" not in contract.args:
            env.update(GOOS=build.goos, GOARCH=build.goarch)
    return {**env, **given}


def container_body(
    image: Image, build: Build, options: Options, key: str, binds: Sequence[str] = (), env: Optional[Mapping[str, str]] = None
) -> Dict[str, Any]:
    """The create call for one build."""
    host_config: Dict[str, Any] = {"LogConfig": {"Type": "json-file", "Config": {"max-size": "10m"}}}
    if options.memory:
        host_config["Memory"] = options.memory
        host_config["MemorySwap"] = options.memory
    if binds:
        host_config["Binds"] = list(binds)
    if options.network:
        host_config["NetworkMode"] = options.network
    full = {**options.module_env, **(options.env if env is None else env)}
    return {
        "Image": image.id,
        "Cmd": build.arguments,
        "Env": [f"{name}={value}" for name, value in sorted(full.items())],
        "Labels": {LABEL_COMPILE: key, LABEL_UNTIL: str(int(time.time() + options.timeout + SPARE))},
        "HostConfig": host_config,
    }


def prepared_source(build: Build) -> Prepared:
    """The plugin's source as the compiler of this version has to get it. What cannot work is in its findings."""
    return read_source(build.plugin, build.source).prepared(build.plugin, build.version, build.build_id)


class Compiler:
    """Builds plugins and keeps the results by what they depend on."""

    def __init__(
        self,
        connect: Callable[[], Engine],
        options: Options,
        check_mode: bool = False,
        mask: Callable[[str], str] = str,
    ) -> None:
        self.connect = connect  # one connection a thread: the SDK's session is not made for sharing
        self.options = options
        self.check_mode = check_mode
        self.progress = Progress(options.progress, mask)
        self.room = build_room.BuildRoom(options.dest, options.memory, options.cache_volumes)

    def all(self, builds: Sequence[Build], parallel: int) -> List[Result]:
        """Every build, `parallel` at a time, in the order given. What is wrong is in the results' findings."""
        if self.options.module_cache:
            module_cache.check(self.options.module_cache)
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
        except _NotWritten as problem:
            result.findings.append(build_room.not_written(build.subject, self.options.dest, problem.problem))
        except OSError as problem:
            result.findings.append(build_room.not_written(build.subject, self.options.dest, problem))
        result.seconds = time.monotonic() - started
        return result

    def _build(self, engine: Engine, build: Build, result: Result) -> None:
        prepared = prepared_source(build)
        result.findings.extend(prepared.findings)
        if not prepared.usable:
            return
        image = self._image(engine, build)
        if image is None:
            return
        other = other_compiler(build.image, build.version, {**configured_environment(image.config), **self.options.env})
        if other:
            raise DomainError(_wrong_compiler(build, other))
        env = build_environment(build, prepared, image, self.options.env)
        # One image can be the compiler of two versions: each result has a place of its own.
        inputs = (digest_of(prepared.files), image.id, [*build.arguments, build.version, build.file], env)
        key = build_key(*inputs)
        work = _Work(engine, build, prepared, image, key, env)
        if not build.strip:
            self._kept(work, result, lambda: self._run(work, result))
            return
        whole = replace(build, strip=False)
        work = _Work(engine, whole, prepared, image, key, env)
        stripped = _Work(engine, build, prepared, image, build_key(*inputs, strip=True), env)
        self._kept(stripped, result, lambda: self._strip(stripped, work, result))

    def _kept(self, work: _Work, result: Result, make: Callable[[], None]) -> None:
        """Take a former result; where there is none, make one, unless only a prediction is wanted."""
        result.path = os.path.join(self.options.dest, work.key, work.build.file)
        if self._cached(result):
            return
        self.room.check(work.engine, work.build.subject, _volume(work.image))
        if self.check_mode:
            return
        with host_lock(f"the build {work.key} in {self.options.dest}", wait=self.options.timeout):
            if not self._cached(result):
                make()

    def _image(self, engine: Engine, build: Build) -> Optional[Image]:
        try:
            if self.check_mode:
                found = engine.image(build.image)
                if found is None:
                    engine.registry_digest(build.image)
                return found
            return engine.ensure_image(build.image, "missing", PUBLISHED_FOR)[0]
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
            self._take(result, meta)
        except (OSError, ValueError, KeyError, TypeError):
            return False
        result.cached = True
        return True

    @staticmethod
    def _take(result: Result, meta: Mapping[str, Any]) -> None:
        findings = [Finding.from_dict(one) for one in meta.get("findings") or []]
        unstripped = meta.get("size_unstripped")
        result.sha256, result.size = str(meta["sha256"]), int(meta["size"])
        result.plugin_path, result.go_version = str(meta["plugin_path"]), str(meta["go_version"])
        result.size_unstripped = None if unstripped is None else int(unstripped)
        result.findings.extend(findings)

    # -- compiling ---------------------------------------------------------------------------------------------------

    def _run(self, work: _Work, result: Result) -> None:
        engine, build, image = work.engine, work.build, work.image
        self._still_wanted(build)
        self._sweep(engine, work.key)
        folder = source_folder(image.config)
        with self.room.slot(), self._part(work.key) as part, self._container(work) as container:
            try:
                engine.put(container, "/", tar_of(tar_members(work.prepared.files, folder)), build.subject)
                if self.options.module_cache:
                    with engine.patience(self.options.timeout):
                        engine.put(container, "/", module_cache.archive(self.options.module_cache), build.subject)
                self._start(engine, build, container)
                with self.progress.following(self.connect, container, build.subject) as followed:
                    code = self._finished(engine, container, build)
                output = engine.printed(container)
                followed.complete(output)
                result.output = output[-OUTPUT_KEPT:]
                self._judge(engine, build, container, code, result.output)
                path = os.path.join(part, build.file)
                sha256 = self._fetch(engine, build, container, folder, path)
                meta, findings = self._examined(engine, build, image, container, path)
                meta["sha256"] = sha256
            except EngineError as problem:
                raise _contact_lost(build, problem) from problem
            self._keep(part, work, {**meta, "findings": to_dicts(findings)})
        self._take(result, {**meta, "findings": to_dicts(findings)})

    @staticmethod
    def _start(engine: Engine, build: Build, container: str) -> None:
        try:
            engine.start(container, build.subject)
        except EngineRefused as problem:
            if problem.finding.code == "disk-small":
                raise
            raise DomainError(
                error(
                    "plugin-compile-failed",
                    build.subject,
                    f"The image {build.image} could not be started to compile {build.subject}. {problem.finding.message}",
                    NOT_STARTED,
                )
            ) from problem

    def _sweep(self, engine: Engine, key: str) -> None:
        """Remove what killed runs left: of this very build, whose lock is ours now, and of others in their time."""
        for one in engine.containers(label=LABEL_COMPILE):
            labels = one.get("Labels") or {}
            until = str(labels.get(LABEL_UNTIL) or "")
            if labels.get(LABEL_COMPILE) == key or (until.isdigit() and int(until) < time.time()):
                with contextlib.suppress(EngineError):
                    engine.remove(str(one["Id"]), volumes=True, force=True)
        with contextlib.suppress(OSError):
            for entry in os.scandir(self.options.dest):
                if entry.name.endswith(".part") and entry.stat().st_mtime < time.time() - STALE:
                    shutil.rmtree(entry.path, ignore_errors=True)

    @contextlib.contextmanager
    def _part(self, key: str) -> Iterator[str]:
        """A folder for an unfinished result, gone afterwards."""
        part = os.path.join(self.options.dest, f".{key}.part")
        shutil.rmtree(part, ignore_errors=True)
        os.makedirs(part, mode=0o755)
        try:
            yield part
        finally:
            shutil.rmtree(part, ignore_errors=True)

    @contextlib.contextmanager
    def _container(self, work: _Work) -> Iterator[str]:
        """A container for one build, gone afterwards."""
        engine, image = work.engine, work.image
        name = f"tyk-upgrade-compile-{work.key[:12]}-{os.getpid()}"
        container = ""
        try:
            with host_lock(f"the caches of {image.id}", wait=self.options.timeout), engine.patience(
                self.options.timeout
            ):
                # The engine fills an empty volume while it creates the container; two at once would collide.
                binds = self._cache_binds(engine, image)
                body = container_body(image, work.build, self.options, work.key, binds, work.env)
                container = engine.create(body, name, image)
            yield container
        finally:
            if container:
                with contextlib.suppress(EngineError):  # what went wrong before it says more
                    engine.remove(container, volumes=True, force=True)

    def _cache_binds(self, engine: Engine, image: Image) -> List[str]:
        """Volumes for Go's caches, which outlive the container.

        A module cache that the image brings along is used where it is: the engine would copy it into the volume, and Go
        takes a module that was copied in part for a whole one. The build cache checks every entry it uses.
        """
        build_cache, modules_folder = cache_folders(image.config)
        given = self.options.module_volume
        binds = [f"{given}:{modules_folder}:ro,nocopy"] if given else []
        if not self.options.cache_volumes:
            return binds
        volume = _volume(image)
        modules = (engine.volume_labels(volume) or {}).get(LABEL_MODULES)
        if modules is None:
            labels = {LABEL_COMPILE: "probe", LABEL_UNTIL: str(int(time.time() + SPARE))}
            probe = engine.create({"Image": image.id, "Labels": labels}, f"{volume}-probe-{os.getpid()}", image)
            try:
                inside = engine.stat(probe, posixpath.join(modules_folder, "cache"))
                modules = IN_VOLUME if inside is None else IN_IMAGE
            finally:
                engine.remove(probe, volumes=True, force=True)
            engine.create_volume(volume, {LABEL_MODULES: modules})
        binds.append(f"{volume}:{build_cache}")
        if modules == IN_VOLUME and not given:
            binds.append(f"{volume.replace('gobuild', 'gomod')}:{modules_folder}")
        return binds

    def _finished(self, engine: Engine, container: str, build: Build) -> Optional[int]:
        """The exit code, None for a container that is still running when the time is over."""
        deadline = time.monotonic() + self.options.timeout
        longest = BETWEEN_LOOKS if self.progress.path else self.options.timeout
        while True:
            code = engine.wait(container, max(1.0, min(longest, deadline - time.monotonic())))
            if code is not None or time.monotonic() >= deadline:
                return code
            self._still_wanted(build)
            time.sleep(0.2)  # the connection was cut, but the engine lives

    def _still_wanted(self, build: Build) -> None:
        """Raise DomainError where whoever waited for the builds was interrupted."""
        if self.progress.abandoned:
            raise DomainError(
                error(
                    "plugin-compile-failed",
                    build.subject,
                    f"Compiling {build.subject} was given up, as nobody waits for it any more.",
                    "Run it again.",
                )
            )

    def _judge(self, engine: Engine, build: Build, container: str, code: Optional[int], output: str) -> None:
        """Raise DomainError for a build that did not end well."""
        if code == 0:
            return
        finding = "plugin-compile-failed"
        if code is None:
            what = f"was not done after {self.options.timeout:g} s"
            remedy = "Allow more time, or see what it waits for."
        elif engine.container(container)["State"].get("OOMKilled"):
            what, finding = "was killed for want of memory", "memory-small"
            remedy = "A first build needs about 768 MiB; allow more."
        elif code in KILLED:
            what = f"was ended from outside (exit code {code})"
            remedy = "The container was stopped, the engine was restarted, or its host ran out of memory; see to that and run it again."
        else:
            meant = cause(output)
            what, finding, remedy = f"failed with exit code {code}", meant.code, meant.remedy
        lines = "\n".join(output.strip().splitlines()[-LINES_SHOWN:])
        raise DomainError(
            error(
                finding,
                build.subject,
                f"Compiling {build.subject} with {build.image} {what}. Its last lines:\n{lines or '(none)'}\n",
                remedy,
            )
        )

    @staticmethod
    def _fetch(engine: Engine, build: Build, container: str, folder: str, path: str) -> str:
        """Write the one plugin that the compiler left to `path`, and return its sha256; the source held none."""
        found: List[str] = []
        digests: List[str] = []

        def take(member: tarfile.TarInfo, content: Optional[IO[bytes]]) -> None:
            if content is None or not member.name.endswith(".so") or member.name.count("/") > 1:
                return
            found.append(posixpath.basename(member.name))
            if len(found) == 1:
                digests.append(_write(path, content))

        _read_tree(engine, container, folder, take)
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
        other = named_by_another(build.image, build.version, build.output, found[0])
        if other:
            raise DomainError(_wrong_compiler(build, other))
        return digests[0]

    def _examined(
        self, engine: Engine, build: Build, image: Image, container: str, path: str
    ) -> Tuple[Dict[str, Any], List[Finding]]:
        """What is remembered of a result beside its digest, and what is worth a warning. Raises DomainError for an unusable one."""
        binary, wrong = check_plugin(path, build.goarch, build.build_id)
        remedy = "Check that the image is the plugin compiler of this version and machine."
        toolchain = gateway = ""
        if binary is not None and not wrong:
            toolchain, gateway = self._inside(engine, image, container)
            wrong = _other_toolchain(binary.go_version, toolchain)
            if wrong:
                remedy = "Leave GOTOOLCHAIN as it is; a gateway loads only what its own toolchain built."
        if wrong or binary is None:
            raise DomainError(
                error(
                    "plugin-compile-failed",
                    build.subject,
                    f"Compiling {build.subject} with {build.image} ended without an error. {wrong}",
                    remedy,
                )
            )
        go_version = binary.go_version or toolchain  # up to Go 1.19, plugins do not say it
        findings = [*_of_the_release(build, go_version), *_module_warnings(build, gateway, binary.modules)]
        return {"size": os.path.getsize(path), "plugin_path": binary.path, "go_version": go_version}, findings

    def _inside(self, engine: Engine, image: Image, container: str) -> Tuple[str, str]:
        """The toolchain of a compiler image and its gateway's go.mod, read once: an image never changes."""
        kept = os.path.join(self.options.dest, f".image-{image.id.split(':')[-1][:32]}.json")
        with contextlib.suppress(OSError, ValueError, KeyError, TypeError):
            with open(kept, encoding="utf-8") as source:
                known = json.load(source)
            return str(known["toolchain"]), str(known["go_mod"])
        folder = configured_environment(image.config).get("TYK_GW_PATH") or "/go/src/github.com/TykTechnologies/tyk"
        content = engine.read_file(container, posixpath.join(folder, "go.mod")) or b""
        found = {"toolchain": _toolchain(engine, image, container), "go_mod": content.decode("utf-8", "replace")}
        part = f"{kept}.{os.getpid()}.{threading.get_ident()}"
        with contextlib.suppress(OSError):
            with open(part, "w", encoding="utf-8") as target:
                json.dump(found, target)
            os.replace(part, kept)
        return found["toolchain"], found["go_mod"]

    def _keep(self, part: str, work: _Work, meta: Mapping[str, Any]) -> None:
        """Let a finished result appear under its name."""
        record = {**meta, "image": work.build.image, "image_id": work.image.id, "source": digest_of(work.prepared.files)}
        with open(os.path.join(part, META), "w", encoding="utf-8") as target:
            json.dump(record, target)
        os.chmod(os.path.join(part, work.build.file), 0o644)
        build_room.give_to_owner_of(self.options.dest, part)
        final = os.path.join(self.options.dest, work.key)
        shutil.rmtree(final, ignore_errors=True)
        os.rename(part, final)

    # -- stripping ---------------------------------------------------------------------------------------------------

    def _strip(self, work: _Work, whole: _Work, result: Result) -> None:
        """Compile, or take a former whole result, and strip that with the compiler image's own strip."""
        compiled = Result(whole.build)
        self._kept(whole, compiled, lambda: self._run(whole, compiled))
        result.output = compiled.output
        with self._part(work.key) as part:
            path = os.path.join(part, work.build.file)
            self._stripped(work, compiled.path, path)
            binary, wrong = check_plugin(path, work.build.goarch, work.build.build_id)
            if wrong or binary is None:
                raise DomainError(_not_stripped(work.build, wrong))
            meta = {
                "sha256": file_digest(path),
                "size": os.path.getsize(path),
                "size_unstripped": compiled.size,
                "plugin_path": binary.path,
                "go_version": compiled.go_version,
                "findings": to_dicts(compiled.findings),
            }
            self._keep(part, work, meta)
        self._take(result, meta)

    def _stripped(self, work: _Work, source: str, target: str) -> None:
        engine, build = work.engine, work.build
        cross = build.goarch in CROSS_COMPILERS and build.goarch != (work.image.architecture or "amd64")
        program = f"{CROSS_COMPILERS[build.goarch]}-strip" if cross else "strip"
        body = {
            "Image": work.image.id,
            "Entrypoint": [program],
            "Cmd": ["-o", "/stripped.so", "/plugin.so"],
            "WorkingDir": "/",
            "Labels": {LABEL_COMPILE: work.key, LABEL_UNTIL: str(int(time.time() + SPARE))},
            "HostConfig": {"NetworkMode": "none"},
        }
        with open(source, "rb") as content:
            archive = tar_of([("plugin.so", content.read(), 0o644)])
        container = engine.create(body, f"tyk-upgrade-strip-{work.key[:12]}-{os.getpid()}", work.image)
        try:
            engine.put(container, "/", archive, build.subject)
            try:
                engine.start(container, build.subject)
            except EngineError as problem:
                raise DomainError(_not_stripped(build, f"{program} could not be started in it")) from problem
            if engine.wait(container, SPARE) != 0:
                raise DomainError(_not_stripped(build, f"{program} failed: {engine.logs(container, tail=5).strip()}"))

            def take(dummy: tarfile.TarInfo, found: Optional[IO[bytes]]) -> None:
                if found is not None:
                    _write(target, found)

            _read_tree(engine, container, "/stripped.so", take)
        finally:
            with contextlib.suppress(EngineError):
                engine.remove(container, volumes=True, force=True)


@dataclass(frozen=True)
class _Work:
    """All that one build is made of, with the engine it runs in and the key of its result."""

    engine: Engine
    build: Build
    prepared: Prepared
    image: Image
    key: str
    env: Mapping[str, str]


def _volume(image: Image) -> str:
    """The volume with the build cache of a compiler image."""
    return f"tyk-upgrade-gobuild-{image.id.split(':')[-1][:12]}"


def _contact_lost(build: Build, problem: EngineError) -> DomainError:
    """The same finding, with what was being done, and that it left nothing."""
    finding = problem.finding
    remedy = f"{finding.remedy} Nothing was kept of this build, so it can simply be run again."
    return DomainError(
        Finding(
            finding.code,
            Severity.ERROR,
            build.subject,
            f"Compiling {build.subject} was interrupted. {finding.message}",
            remedy,
            finding.source,
        )
    )


def _not_stripped(build: Build, why: str) -> Finding:
    return error(
        "plugin-compile-failed",
        build.subject,
        f"{build.subject} was compiled, but could not be stripped with {build.image}: {why.rstrip('.')}.",
        "Build it without strip, or use a compiler image that has the program.",
    )


def _write(path: str, content: IO[bytes]) -> str:
    """Write a file and return its sha256, by which a former result is checked before it is used again: so nothing waits for
    the disk here. What goes wrong there is not the engine's fault.
    """
    digest = hashlib.sha256()
    with contextlib.ExitStack() as stack:
        with _here():
            target = stack.enter_context(open(path, "wb"))
        for block in iter(lambda: content.read(1 << 20), b""):
            digest.update(block)
            with _here():
                target.write(block)
        with _here():
            target.flush()
    return digest.hexdigest()


@contextlib.contextmanager
def _here() -> Iterator[None]:
    try:
        yield
    except OSError as problem:
        raise _NotWritten(problem) from problem


def _read_tree(
    engine: Engine, container: str, path: str, take: Callable[[tarfile.TarInfo, Optional[IO[bytes]]], None]
) -> None:
    try:
        engine.read_tree(container, path, take)
    except tarfile.TarError as problem:
        raise EngineError(
            error(
                "engine-unreachable",
                container,
                f"The engine stopped in the middle of its answer while {path} was read ({problem}).",
                "See the engine's own log.",
            )
        ) from problem


def _toolchain(engine: Engine, image: Image, container: str) -> str:
    """The version of the Go in a compiler image, such as go1.21.13; empty where it is not where it usually is."""
    root = configured_environment(image.config).get("GOROOT") or "/usr/local/go"
    words = (engine.read_file(container, posixpath.join(root, "VERSION")) or b"").decode("utf-8", "replace").split()
    return words[0] if words and words[0].startswith("go1") else ""


def _other_toolchain(built_with: str, toolchain: str) -> str:
    """What is wrong with a plugin that another toolchain than the image's own built; empty if it did not."""
    used = built_with.split(" ")[0]
    if not toolchain or not used.startswith("go1") or used == toolchain:
        return ""
    return f"The result was built with {used}, but the image brings {toolchain}."


def _wrong_compiler(build: Build, said: str) -> Finding:
    return error("compiler-unusable", build.subject, said, right_compiler(build.image, build.version))


def _of_the_release(build: Build, go_version: str) -> List[Finding]:
    """A warning about another Go than that of the release, which the load test decides on. Raises DomainError for one whose
    plugins end the gateway.
    """
    other = other_go(go_version, build.version)
    if other is None:
        return []
    said = (
        f"The image {build.image} builds {build.subject} by {go_version}; the gateway {build.version} is of Go "
        f"{other.wanted} and {other.outcome}."
    )
    if other.deadly:
        raise DomainError(_wrong_compiler(build, said))
    remedy = "If the gateway's image is one of your own and of that Go as well, nothing is to be done."
    return [warning("plugin-go-version", build.subject, said, f"{right_compiler(build.image, build.version)} {remedy}")]


def _module_warnings(build: Build, gateway: str, modules: Sequence[Module]) -> List[Finding]:
    """Modules in the plugin in other versions than its gateway's go.mod says; the load test decides whether it matters."""
    if not compiler_contract(build.version).workspace or not gateway:
        return []
    return differing_modules(build, modules, GoMod(gateway))


def differing_modules(build: Build, modules: Sequence[Module], gateway: GoMod) -> List[Finding]:
    """The warning about modules that a plugin holds in another version than its gateway's go.mod requires."""
    required = dict(gateway.requires)
    replaced = {one.old for one in gateway.replaces}
    others = [
        f"{one.path} ({one.version}, the gateway has {required[one.path]})"
        for one in modules
        if one.path in required and one.path not in replaced and one.version != required[one.path] and one.comparable
    ]
    if not others:
        return []
    listed = ", ".join(others[:MODULES_SHOWN])
    if len(others) > MODULES_SHOWN:
        listed += f" and {len(others) - MODULES_SHOWN} more"
    return [
        warning(
            "plugin-mismatch",
            build.subject,
            f"{build.subject} holds modules in other versions than the gateway: {listed}.",
            "Require no newer versions of them in the plugin's go.mod, nor dependencies that do; a gateway refuses a "
            "plugin whose shared packages differ.",
            f"v{build.version}:go.mod",
        )
    ]


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
