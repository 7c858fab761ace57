# Copyright (c) 2026 tyk.upgrade contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Proving plugins with gateways that have no command for it (before 5.0.0), or none for several plugins in one process
(before 5.2.4): a gateway of its own, gone afterwards.

It gets one API from a file for each function and nothing else: no Redis, no control plane, no bundle server. Neither
4.0 nor 4.3, 5.0 or 5.2 needs one of them to load APIs (seen on 4.0.16, 4.3.8, 5.0.15 and 5.2.5; v4.0.0,
v4.2.4:gateway/server.go, startServer).
Every API hooks its function twice, as a request hook and as a response hook. Go opens a file once however often it is
named, and a function has one of the two types, so the gateway always says something: that the function is of the other
type, which it can know only after it has opened the file and found the function; or why it could not (the same words in
v4.0.0 to v4.3.8:goplugin/goplugin.go, gateway/mw_go_plugin.go, gateway/res_handler_go_plugin.go). A gateway that says
nothing has proven nothing. No request is made, so nothing of a plugin is run but what runs when it is opened.

Since 4.1.0 an analytics plugin is a third use, of which a gateway says something only where it cannot be. So one more API
names a file that is not there: a gateway that complains of that one would have complained of the others as well
(v4.3.8:gateway/api_loader.go:496-506, gateway/analytics_go_plugin.go).

All functions are tried in one process, as a gateway in service holds them. Only what fails there is tried alone, too.
"""

from __future__ import annotations

import contextlib
import ctypes
import json
import os
import re
import shutil
import signal
import socket
import subprocess
import tempfile
import time
import uuid
from dataclasses import dataclass, replace
from typing import IO, Any, Callable, Dict, Iterator, List, Mapping, Optional, Sequence, Tuple

from ansible_collections.tyk.upgrade.plugins.module_utils._clients.docker_engine import Engine
from ansible_collections.tyk.upgrade.plugins.module_utils._clients.plugin_load import (
    FOLDER,
    GATEWAY,
    Hook,
    Loaded,
    Verdict,
    judge,
    labels,
    write_tar,
)
from ansible_collections.tyk.upgrade.plugins.module_utils._domain.build_info import SIGNATURES, Exported

_PR_SET_PDEATHSIG = 1
try:
    _LIBC: Optional[ctypes.CDLL] = ctypes.CDLL(None)
except (OSError, TypeError):
    _LIBC = None

PAUSE = 0.2  # seconds between two looks at what the gateway has said
TRIES = 3  # of a port that somebody else may take before the gateway does
LINES_SHOWN = 3
MAX_LOG = 4 << 20

#: What a gateway says when it has loaded its APIs, or found that it has none.
_DONE = ("API reload complete", "No API Definitions found, not reloading")
_FIELD = r'{name}"?[=:]\s*"?(?P<{name}>[^\s",]+)'
_PATH = re.compile(_FIELD.format(name="mwPath"))
_NAME = re.compile(_FIELD.format(name="mwSymbolName"))
_ERROR = re.compile(r'\berror="?(.*?)"? mw\w*=')
_LEVEL = re.compile(r'(?:level|"level")[=:]\s*"?(?P<level>[a-z]+)')
_OTHER_TYPE = re.compile(
    r"could not cast function symbol to (?P<type>http\.HandlerFunc|TykResponseHandler|AnalyticsPlugin)"
)
_BOTH_HOOKS = {"http.HandlerFunc", "TykResponseHandler"}
_RESPONSE_HOOK = "Loaded Go response plugin: "
_PANIC = "Panic while loading an API"
_PORT_TAKEN = "address already in use"


@dataclass(frozen=True)
class Run:
    """A throw-away gateway that has ended, or was ended. code: its own exit code, None if it had to be ended."""

    code: Optional[int]
    log: str

    @property
    def done(self) -> bool:
        return any(text in self.log for text in _DONE)


#: Starts a gateway with these hooks, and returns when it has loaded its APIs, has ended, or the time is over.
Runner = Callable[[Sequence[Hook]], Run]


# -- what the gateway is given -----------------------------------------------------------------------------------------


def settings(folder: str, port: int, redis_port: int) -> Dict[str, Any]:
    """A tyk.conf with which a gateway loads APIs from files and speaks to nobody.

    The paths matter on a host whose own gateway is in service: templates and the PID file would be that one's.
    """
    return {
        "listen_address": "127.0.0.1",
        "listen_port": port,
        "control_api_port": 0,
        "secret": uuid.uuid4().hex,
        "node_secret": uuid.uuid4().hex,
        "log_level": "info",
        "app_path": f"{folder}/apps",
        "middleware_path": f"{folder}/middleware",
        "template_path": f"{folder}/templates",
        "pid_file_location": f"{folder}/gateway.pid",
        "use_db_app_configs": False,
        "storage": {"type": "redis", "host": "127.0.0.1", "port": redis_port},
        "enable_analytics": False,
        "enable_bundle_downloader": False,
        "enable_jsvm": False,
        "coprocess_options": {"enable_coprocess": False},
        "policies": {"policy_source": "file", "policy_record_name": f"{folder}/policies.json"},
        "auth_override": {"force_auth_provider": False},
        "slave_options": {"use_rpc": False},
        "uptime_tests": {"disable": True},
        "http_server_options": {"use_ssl": False},
        "suppress_redis_signal_reload": True,
        "suppress_default_org_store": True,
    }


def environment(conf: Mapping[str, Any], prefix: str = "TYK_GW") -> Dict[str, str]:
    """The same settings as variables, which win over a file: an image may bring variables of its own."""
    variables: Dict[str, str] = {}
    for key, value in conf.items():
        name = f"{prefix}_{key.replace('_', '').upper()}"
        if isinstance(value, Mapping):
            variables.update(environment(value, name))
        else:
            variables[name] = str(value).lower() if isinstance(value, bool) else str(value)
    return variables


def definition(place: int, count: int, uses: Mapping[str, Any]) -> Dict[str, Any]:
    """A classic API that uses a function. APIs are loaded in the order of their path, longest first."""
    return {
        "id": f"{place:024x}",
        "api_id": f"try-{place}",
        "org_id": "tyk-upgrade",
        "name": f"try-{place}",
        "slug": f"try-{place}",
        "active": True,
        "use_keyless": True,
        "definition": {"location": "header", "key": "x-api-version"},
        "version_data": {
            "not_versioned": True,
            "versions": {"Default": {"name": "Default", "use_extended_paths": True}},
        },
        "proxy": {
            "listen_path": f"/try-{'x' * (count - place)}/",
            "target_url": "http://127.0.0.1:1/",
            "strip_listen_path": True,
        },
        "disable_rate_limit": True,
        "disable_quota": True,
        **uses,
    }


def uses_of(hook: Hook, path: str) -> Dict[str, Any]:
    """The function as a hook in both ways, and as an analytics plugin if it may be one."""
    both = {"name": hook.symbol, "path": path, "require_session": False, "raw_body_only": False}
    middleware = {"driver": "goplugin", "pre": [both], "response": [both]}
    return {"custom_middleware": middleware, **(analytics_plugin(path, hook.symbol) if _for_analytics(hook) else {})}


def analytics_plugin(path: str, symbol: str) -> Dict[str, Any]:
    """The function as an analytics plugin."""
    return {"analytics_plugin": {"enable": True, "plugin_path": path, "func_name": symbol}}


def _for_analytics(hook: Hook) -> bool:
    return not hook.kinds or "analytics" in hook.kinds


def _no_plugin(folder: str) -> str:
    return f"{folder}/nothing/plugin.so"


def places(hooks: Sequence[Hook], folder: str) -> Dict[str, str]:
    """Where each plugin is put: alone in a folder, so that a gateway which looks for other names finds none of them."""
    files = list(dict.fromkeys(hook.file for hook in hooks))
    return {file: f"{folder}/p{number}/plugin.so" for number, file in enumerate(files)}


def texts(hooks: Sequence[Hook], folder: str, conf: Mapping[str, Any]) -> Dict[str, str]:
    """The small files of the gateway by their paths in the folder."""
    where = places(hooks, folder)
    files = {
        "tyk.conf": json.dumps(conf),
        "policies.json": "{}",
        "templates/error.json": '{"error": "{{.Message}}"}',
        "templates/error.xml": "<error>{{.Message}}</error>",
        "middleware/README": "There is nothing here on purpose.",
    }
    for place, hook in enumerate(hooks):
        api = definition(place, len(hooks), uses_of(hook, where[hook.file]))
        files[f"apps/{place:04d}.json"] = json.dumps(api)
    if any(map(_for_analytics, hooks)):
        last = definition(len(hooks), len(hooks), analytics_plugin(_no_plugin(folder), "Nothing"))
        files["apps/last.json"] = json.dumps(last)
    return files


# -- what the gateway said ---------------------------------------------------------------------------------------------


def verdicts(run: Run, hooks: Sequence[Hook], folder: str) -> List[Loaded]:
    """The verdict about each function, in their order."""
    where = places(hooks, folder)
    said: Dict[Tuple[str, str], List[str]] = {}
    for line in run.log.splitlines():
        path, name = _PATH.search(line), _NAME.search(line)
        if path and name:
            said.setdefault((path.group("mwPath"), name.group("mwSymbolName")), []).append(line)
    analytics = any(path == _no_plugin(folder) for path, _name in said)
    tried = [(hook, said.get((where[hook.file], hook.symbol), [])) for hook in hooks]
    return [_loaded(hook, run, _verdict(run, lines, hook, analytics and _for_analytics(hook))) for hook, lines in tried]


def _loaded(hook: Hook, run: Run, verdict: Verdict) -> Loaded:
    return Loaded((hook.file,), hook.symbol, None if verdict.ok else run.code, verdict, GATEWAY)


def _verdict(run: Run, lines: Sequence[str], hook: Hook, analytics: bool) -> Verdict:
    """analytics: the gateway has looked whether it is an analytics plugin, too."""
    other_types = set()
    for line in lines:
        other = _OTHER_TYPE.search(line)
        if other:
            other_types.add(other.group("type"))
        elif _is_error(line):
            said = _ERROR.search(line)
            return _renamed(judge(1, said.group(1).replace('\\"', '"') if said else line), hook)
    if other_types >= _BOTH_HOOKS and analytics and "AnalyticsPlugin" not in other_types:
        exported = Exported(SIGNATURES["analytics"].type)
        return Verdict(True, message=_usable("an analytics plugin"), exported=exported)
    if other_types >= _BOTH_HOOKS:
        more = f", or for an analytics plugin {SIGNATURES['analytics'].type}" if analytics else ""
        return Verdict(
            False,
            "plugin-symbol-missing",
            f"symbol {hook.symbol} is not of a type that a gateway calls{'' if analytics else ' for a hook'}",
            "",
            f"Export {SIGNATURES['pre'].type}, or for a response hook {SIGNATURES['response'].type}{more}.",
            unfit=True,
        )
    if other_types or any(_RESPONSE_HOOK in line for line in lines):
        # It was opened and found. Whatever ended the process afterwards has to do with another one.
        kind = "response" if "http.HandlerFunc" in other_types else "request"
        seen = Exported(SIGNATURES["response" if kind == "response" else "pre"].type) if other_types else None
        return Verdict(True, message=_usable(f"a {kind} hook"), exported=seen)
    return _renamed(_unsaid(run), hook)


def _usable(use: str) -> str:
    return f"loaded by a throw-away gateway, usable as {use}"


def _unsaid(run: Run) -> Verdict:
    """The verdict about a function of which the gateway said nothing."""
    last = " | ".join(run.log.strip().splitlines()[-LINES_SHOWN:])
    if run.code is not None:
        verdict = judge(run.code or 1, run.log)
        if verdict.message.startswith("exit code"):
            message = (
                f"the gateway's process ended with exit code {run.code} before it had loaded it, after it said: {last}"
            )
            remedy = "Let the plugin not end the process that opens it; if another thing did, the gateway says so."
            return Verdict(False, "plugin-crash", message, "", remedy)
        return verdict
    panic = [line for line in run.log.splitlines() if _PANIC in line]
    if panic:
        cause = re.search(r"panic: (.*?),? stacktrace", panic[-1])
        message = f"it panics when it is opened ({cause.group(1) if cause else 'see its init functions'})"
        return Verdict(False, "plugin-crash", message, "", "Let the plugin's init functions not panic.")
    if not run.done:
        message = "the gateway that opens it did not get ready in time"
        return Verdict(False, "plugin-crash", message, "", "Allow more time and see what its init functions wait for.")
    return Verdict(
        False,
        "plugin-mismatch",
        f"a throw-away gateway said nothing about it; the last it said is: {last}",
        "",
        "See whether this is an image of a gateway that can load Go plugins, with its usual entrypoint.",
    )


def _is_error(line: str) -> bool:
    level = _LEVEL.search(line)
    return level is not None and level.group("level") in ("error", "fatal", "panic")


def _renamed(verdict: Verdict, hook: Hook) -> Verdict:
    """The verdict in the user's file name instead of the one in the throw-away gateway."""
    message = re.sub(r"(?:/[\w.-]+)+/p\d+/plugin(?:\.so)?", os.path.basename(hook.file), verdict.message)
    return Verdict(verdict.ok, verdict.code, message, verdict.package, verdict.remedy)


# -- the order of trying -----------------------------------------------------------------------------------------------


def prove(hooks: Sequence[Hook], folder: str, runner: Runner) -> List[Loaded]:
    """The verdict about each function, then about files that only fail together.

    One gateway is enough where all is well. Otherwise each file that failed is tried alone: one that loads alone
    clashes with another, which is then looked for among those that load as well.
    """

    def alone(some: Sequence[Hook]) -> List[Loaded]:
        return verdicts(runner(some), some, folder)

    together = alone(hooks)
    files = list(dict.fromkeys(hook.file for hook in hooks))
    if len(files) == 1 or all(tried.verdict.ok for tried in together):
        return together
    by_file = {file: [hook for hook in hooks if hook.file == file] for file in files}
    wrong = dict.fromkeys(tried.files[0] for tried in together if not tried.verdict.ok)
    single = {file: alone(by_file[file]) for file in wrong}
    result = [_of(single.get(tried.files[0]), tried) for tried in together]
    good = [hook for hook, tried in zip(hooks, result) if tried.verdict.opened]
    if len(good) < len(hooks):  # one of the others may have ended the process in which the good ones were
        together = alone(good) if good else []
    return [*result, *_clashes(together, good, alone)]


def prove_together(
    hooks: Sequence[Hook], others: Sequence[Hook], prover: Callable[[Sequence[Hook]], List[Loaded]]
) -> List[Loaded]:
    """Where plugins that load alone do not load together, or that they do; one function of each is enough.

    others: of plugins that are only looked at for what they do to the first.
    """
    first: Dict[str, Hook] = {}
    for hook in (*hooks, *others):
        first.setdefault(hook.file, hook)
    own = {hook.file for hook in hooks}
    if not own or len(first) < 2:
        return []
    tried = prover(list(first.values()))
    failed = [one for one in tried if not one.verdict.opened and own.intersection(one.files)]
    if failed:
        return [one for one in failed if len(one.files) > 1] or [replace(one, files=tuple(first)) for one in failed]
    opened = [one for one in tried if one.verdict.opened]
    together = replace(
        opened[0], files=tuple(one.files[0] for one in opened), verdict=Verdict(True, message="loaded into one process")
    )
    return [together] if len(opened) > 1 else []


def _failed(tried: Sequence[Loaded]) -> List[str]:
    return list(dict.fromkeys(one.files[0] for one in tried if not one.verdict.opened))


def _of(again: Optional[Sequence[Loaded]], tried: Loaded) -> Loaded:
    return tried if again is None else next(one for one in again if one.symbol == tried.symbol)


def _clashes(
    together: Sequence[Loaded], good: Sequence[Hook], alone: Callable[[Sequence[Hook]], List[Loaded]]
) -> List[Loaded]:
    """Which two of the files that load alone do not load together; all of them where no two are to blame."""
    files = list(dict.fromkeys(hook.file for hook in good))
    found: Dict[Tuple[str, ...], Loaded] = {}
    for file in _failed(together):
        pair = _clash(file, files, good, alone) if len(files) > 2 else None
        if pair is None:
            said = next(one for one in together if one.files[0] == file and not one.verdict.opened)
            pair = replace(said, files=tuple(files))
        found.setdefault(tuple(sorted(pair.files)), pair)
    return list(found.values())


def _clash(
    file: str, files: Sequence[str], good: Sequence[Hook], alone: Callable[[Sequence[Hook]], List[Loaded]]
) -> Optional[Loaded]:
    for other in files:
        if other == file:
            continue
        for one in alone([hook for hook in good if hook.file in (file, other)]):
            if not one.verdict.opened:
                return replace(one, files=(other, file))
    return None


# -- in a container ----------------------------------------------------------------------------------------------------


def prove_in_image(engine: Engine, image: str, hooks: Sequence[Hook], timeout: float) -> List[Loaded]:
    """Prove the functions with throw-away gateways of this image, in containers without network."""
    folder = f"/{FOLDER}"
    return prove(hooks, folder, lambda some: _run_container(engine, image, some, folder, timeout))


def _run_container(engine: Engine, image: str, hooks: Sequence[Hook], folder: str, timeout: float) -> Run:
    conf = settings(folder, 8080, 1)
    body = {
        "Image": image,
        "Cmd": [f"--conf={folder}/tyk.conf"],
        "Env": [f"{name}={value}" for name, value in {**environment(conf), **_LOG_VARIABLES}.items()],
        "Labels": labels(timeout),
        "Healthcheck": {"Test": ["NONE"]},
        "HostConfig": {"NetworkMode": "none", "LogConfig": {"Type": "json-file", "Config": {"max-size": "10m"}}},
    }
    container = engine.create(body, f"tyk-upgrade-verify-{uuid.uuid4().hex[:12]}")
    try:
        with tempfile.TemporaryFile() as archive, engine.patience(timeout):
            small = {f"{folder}/{name}": text for name, text in texts(hooks, folder, conf).items()}
            write_tar(archive, small, {path: file for file, path in places(hooks, folder).items()})
            engine.put(container, "/", archive, image)
        engine.start(container, image)
        return _watch(lambda: _looked(engine, container), timeout)
    finally:
        engine.remove(container, volumes=True, force=True)


def _looked(engine: Engine, container: str) -> Run:
    state = engine.container(container)["State"]
    code = None if state.get("Running") else int(state.get("ExitCode") or 0)
    return Run(code, engine.logs(container)[-MAX_LOG:])


#: So that a gateway says what is waited for, in the form that is read here.
_LOG_VARIABLES = {"TYK_LOGLEVEL": "info", "TYK_LOGFORMAT": "default"}


def _watch(look: Callable[[], Run], timeout: float) -> Run:
    deadline = time.monotonic() + timeout
    while True:
        run = look()
        if run.done or run.code is not None or time.monotonic() >= deadline:
            return run
        time.sleep(PAUSE)


# -- as a process ------------------------------------------------------------------------------------------------------


def prove_with_binary(
    binary: str, hooks: Sequence[Hook], folder: str, timeout: float, variables: Mapping[str, str]
) -> List[Loaded]:
    """Prove the functions with throw-away processes of a gateway's program.

    folder: one to work in, which the caller removes. The process listens on the loopback only and gets none of the
    module's own variables. Raises OSError if the program cannot be started.
    """
    numbers = iter(range(1 << 30))

    def runner(some: Sequence[Hook]) -> Run:
        inner = os.path.join(folder, f"t{next(numbers)}")
        run = _run_process(binary, some, inner, timeout, variables)
        return Run(run.code, run.log.replace(f"{inner}/", f"{folder}/"))

    return prove(hooks, folder, runner)


def _run_process(binary: str, hooks: Sequence[Hook], folder: str, timeout: float, variables: Mapping[str, str]) -> Run:
    for attempt in range(TRIES):
        with _refusing_port() as redis_port:
            run = _run_once(binary, hooks, folder, settings(folder, free_port(), redis_port), timeout, variables)
        if run.done or _PORT_TAKEN not in run.log or attempt == TRIES - 1:
            return run
    raise AssertionError("unreachable")


def _run_once(
    binary: str,
    hooks: Sequence[Hook],
    folder: str,
    conf: Mapping[str, Any],
    timeout: float,
    variables: Mapping[str, str],
) -> Run:
    _write_folder(hooks, folder, conf)
    clean = {"PATH": "/usr/sbin:/usr/bin:/sbin:/bin", "HOME": folder}
    with tempfile.TemporaryFile() as output:
        process = subprocess.Popen(  # pylint: disable=consider-using-with
            [binary, f"--conf={folder}/tyk.conf"],
            cwd=folder,
            env={**clean, **variables, **environment(conf), **_LOG_VARIABLES},
            stdin=subprocess.DEVNULL,
            stdout=output,
            stderr=subprocess.STDOUT,
            start_new_session=True,
            preexec_fn=_end_with_parent,
        )
        try:
            run = _watch(lambda: Run(process.poll(), _read(output)), timeout)
        finally:
            with contextlib.suppress(ProcessLookupError):
                os.killpg(process.pid, signal.SIGKILL)  # what a plugin may have started, too
            process.wait()
            shutil.rmtree(folder, ignore_errors=True)
    code = run.code
    if code is not None and code < 0:  # the shell's way to say which signal ended it
        code = 128 - code
    return Run(code, run.log)


def _end_with_parent() -> None:
    """Let the system end the gateway if the module itself is killed; it would run for ever."""
    if _LIBC is not None:
        _LIBC.prctl(_PR_SET_PDEATHSIG, signal.SIGKILL, 0, 0, 0)


def _write_folder(hooks: Sequence[Hook], folder: str, conf: Mapping[str, Any]) -> None:
    for name, text in texts(hooks, folder, conf).items():
        path = os.path.join(folder, name)
        os.makedirs(os.path.dirname(path), exist_ok=True)
        with open(path, "w", encoding="utf-8") as handle:
            handle.write(text)
    for file, path in places(hooks, folder).items():
        os.makedirs(os.path.dirname(path))
        try:
            os.link(file, path)  # each is 20 MB and more
        except OSError:
            shutil.copyfile(file, path)


def _read(output: IO[bytes]) -> str:
    size = os.fstat(output.fileno()).st_size
    return os.pread(output.fileno(), MAX_LOG, max(0, size - MAX_LOG)).decode("utf-8", "replace")


def free_port() -> int:
    """A port of the loopback that nothing listens on now."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


@contextlib.contextmanager
def _refusing_port() -> Iterator[int]:
    """A port that refuses every connection as long as this lasts: the Redis of a gateway that shall reach none."""
    with socket.socket() as kept:
        kept.bind(("127.0.0.1", 0))
        yield int(kept.getsockname()[1])
