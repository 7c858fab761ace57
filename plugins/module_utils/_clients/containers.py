# Copyright (c) 2026 tyk.upgrade contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Replacing the image of a container, the way back, and cleaning up.

The order of calls is chosen so that a process killed between any two of them leaves something that repair_steps()
recognises: names say what is what, and labels on the replacement say what it replaces.
"""

from __future__ import annotations

import json
import os
import posixpath
import time
from dataclasses import dataclass, field
from typing import IO, Any, Dict, List, Mapping, Optional, Sequence, Tuple

from ansible_collections.tyk.upgrade.plugins.module_utils._clients import replacement_notes
from ansible_collections.tyk.upgrade.plugins.module_utils._clients.container_config import (
    LABEL_FILES,
    LABEL_REPLACES,
    LABEL_RESTART,
    Family,
    File,
    Seen,
    Step,
    files_text,
    mount_sources,
    policy_dict,
    policy_text,
    repair_steps,
    replacement_config,
    shared_mounts,
)
from ansible_collections.tyk.upgrade.plugins.module_utils._clients.container_files import existing_above, owner_of
from ansible_collections.tyk.upgrade.plugins.module_utils._clients.docker_engine import (
    ContainerGone,
    Engine,
    EngineError,
    ImageGone,
    tar_of,
)
from ansible_collections.tyk.upgrade.plugins.module_utils._clients.errors import host_failure
from ansible_collections.tyk.upgrade.plugins.module_utils._clients.host_state import write_private
from ansible_collections.tyk.upgrade.plugins.module_utils._domain.container_names import (
    failed_name,
    is_left_by,
    kept_name,
    next_name,
)
from ansible_collections.tyk.upgrade.plugins.module_utils._domain.findings import DomainError, error
from ansible_collections.tyk.upgrade.plugins.module_utils._domain.mounts import mount_of

LOG_LINES_SHOWN = 20
PREDICTED = "(not known before it happens)"


@dataclass(frozen=True)
class Settings:
    """How to replace. return_files: what the old container has to find again, in mounts that the new one uses, too."""

    name: str
    image: str = ""
    pull: str = "missing"
    stop_timeout: int = 60
    settle: float = 2.0
    labels: Mapping[str, str] = field(default_factory=dict)
    files: Tuple[File, ...] = ()
    return_files: Tuple[File, ...] = ()
    backup_dir: str = ""
    backup_files: Tuple[str, ...] = ()
    evidence_dir: str = ""
    check_mode: bool = False


@dataclass
class Outcome:
    """What happened, or would happen."""

    old: Dict[str, str] = field(default_factory=dict)
    new: Dict[str, str] = field(default_factory=dict)
    actions: List[str] = field(default_factory=list)

    @property
    def changed(self) -> bool:
        return bool(self.actions)


def family_of(engine: Engine, name: str) -> Family:
    """All containers that belong to a name. Raises DomainError where somebody else's has a name that is needed."""
    found = []
    for entry in engine.containers(name=name):
        names = [one.lstrip("/") for one in entry.get("Names") or []]
        if any(one == name or is_left_by(name, one) for one in names):
            data = engine.find_container(str(entry["Id"]))
            if data is not None:
                found.append(Seen.from_inspect(data))
    return Family.of(name, found)


def left_by_killed_run(engine: Engine, name: str) -> str:
    """The id of the container that repairing this name would bring back to service, empty if nothing is to be repaired."""
    try:
        family = family_of(engine, name)
    except DomainError:  # which is said when the name is needed
        return ""
    steps = repair_steps(family)
    if steps:
        return next((step.id for step in steps if step.verb == "start"), family.current.id if family.current else "")
    note = replacement_notes.read(name) if family.current else None
    if family.current and note is not None and note.is_about(engine.container(family.current.id)):
        return family.current.id
    return ""


class Replacement:
    """One container, by name, and what is done to it."""

    def __init__(self, engine: Engine, settings: Settings) -> None:
        self.engine = engine
        self.settings = settings
        self.name = settings.name
        self.outcome = Outcome()
        self._contents: Dict[File, bytes] = {}

    # -- the wanted states -------------------------------------------------------------------------------------

    def present(self) -> Outcome:
        """The container runs the wanted image. On any failure the old container is back before the error is raised."""
        family, current = self._repaired()
        container = self.engine.container(current.id)
        self.outcome.old = self.outcome.new = _summary(self.name, current)
        present = self.engine.image(self.settings.image)
        if present is None or present.id != current.image_id:
            self._refuse_unkeepable(container)
        wanted_id = self._wanted_image(container)
        if wanted_id == current.image_id:
            if not current.running and not self._repair_starts(current):
                self._do(f"started {self.name}")
                if not self.settings.check_mode:
                    self.engine.start(current.id, self.name)
                    self._settle(current.id)
            return self.outcome
        self.outcome.new = {"name": self.name, "id": PREDICTED, "image": self.settings.image, "image_id": wanted_id}
        if self.settings.check_mode:
            self._do(*self._announced(current, family))
        else:
            self._replace(container, current, family)
        return self.outcome

    def staged(self) -> Outcome:
        """The wanted image is in the engine; the container is not touched."""
        family = self.family()
        current = family.current
        if current is None and not repair_steps(family):
            raise self._missing()
        if current is not None:
            self.outcome.old = self.outcome.new = _summary(self.name, current)
            self._wanted_image(self.engine.container(current.id))
        elif not self.settings.check_mode:
            self._wanted_image({})
        return self.outcome

    def returned(self) -> Outcome:
        """The container that was replaced last is back under its name and runs."""
        family, current = self._repaired()
        self.outcome.old = self.outcome.new = _summary(self.name, current)
        kept = family.predecessor()
        if kept is None:
            if not current.running and not self._repair_starts(current):
                self._do(f"started {self.name}")
                if not self.settings.check_mode:
                    self.engine.start(current.id, self.name)
                    self._settle(current.id)
            return self.outcome
        self.outcome.new = _summary(self.name, kept)
        aside = failed_name(self.name, current.id)
        self._do(
            f"renamed {self.name} to {aside}",
            f"stopped {aside}",
            f"renamed {kept.name} to {self.name}",
            f"started {self.name}",
        )
        if self.settings.check_mode:
            return self.outcome
        self._save_evidence(current.id)
        self._set_aside(current.id, aside, self.settings.stop_timeout)
        self.engine.rename(kept.id, self.name)
        self._put_back(kept.id, current)
        self._start_again(kept.id, current.policy_before)
        self._settle(kept.id)
        return self.outcome

    def cleaned(self) -> Outcome:
        """Nothing that an earlier replacement kept is left. Volumes stay."""
        family, current = self._repaired()
        self.outcome.old = self.outcome.new = _summary(self.name, current)
        leftovers = family.kept + family.failed
        if leftovers and not current.running and not self._repair_starts(current):
            raise EngineError(
                error(
                    "container-failed",
                    self.name,
                    f"The container {self.name} does not run, so {leftovers[0].name} is kept: it is the way back.",
                    "Start the container or return to the kept one (state returned) first.",
                )
            )
        for one in leftovers:
            self._remove_leftover(one)
        return self.outcome

    def placed(self) -> Outcome:
        """The files are in the container, as far as they outlast it: one that runs gets only those that lie in mounts."""
        container = self.engine.container(self.name)
        current = Seen.from_inspect(container)
        self.outcome.old = self.outcome.new = _summary(self.name, current)
        self._refuse_shared(container, self.engine.containers())
        for file in self.settings.files:
            if (current.running and not _mounted(container, file.dest)) or self._has(current.id, file):
                continue
            self._do(f"put {file.dest} into {self.name}")
            if not self.settings.check_mode:
                self._put(current.id, [file])
        return self.outcome

    def announced(self) -> Outcome:
        """It is noted that another tool is going to replace the container; nothing else."""
        if not self.settings.check_mode:
            settings = self.settings
            replacement_notes.write(self.name, settings.image, settings.files, settings.return_files)
        return self.outcome

    def completed(self) -> Outcome:
        """Nothing is noted any more."""
        if not self.settings.check_mode:
            replacement_notes.remove(self.name)
        return self.outcome

    def repaired(self) -> Outcome:
        """What a run that was killed left out of service runs again; a container that somebody stopped is left alone."""
        _unused, current = self._repaired()
        self.outcome.old = self.outcome.new = _summary(self.name, current)
        note = replacement_notes.read(self.name)
        if note is None:
            return self.outcome
        if note.is_about(self.engine.container(current.id)):
            self._do(f"repaired an interrupted run: started {self.name}")
            if not self.settings.check_mode:
                wanted = self.engine.image(note.image)
                is_new = wanted is not None and wanted.id == current.image_id
                files = note.files if is_new else note.return_files
                self._put(current.id, [file for file in files if not self._has(current.id, file)])
                self.engine.start(current.id, self.name)
                self._settle(current.id)
        return self.completed()

    def recorded(self) -> Outcome:
        """What it is made of and what it said is saved; the container is not touched."""
        container = self.engine.container(self.name)
        current = Seen.from_inspect(container)
        self.outcome.old = self.outcome.new = _summary(self.name, current)
        if not self.settings.check_mode:
            self._back_up(container, current)
            self._save_evidence(current.id)
        return self.outcome

    # -- observing and repairing -------------------------------------------------------------------------------------

    def family(self) -> Family:
        """All containers that belong to this name."""
        return family_of(self.engine, self.name)

    def _repaired(self) -> Tuple[Family, Seen]:
        """Undo what an interrupted run left, then the family and its current container."""
        family = self.family()
        steps = repair_steps(family)
        names = {one.id: one.name for one in self._members(family)}
        for step in steps:
            self._do(f"repaired an interrupted run: {step.sentence(names)}")
            if step.verb == "rename":
                names[step.id] = step.to
            if not self.settings.check_mode:
                self._repair(step, family)
        if steps and not self.settings.check_mode:
            family = self.family()
        current = family.current
        if steps and self.settings.check_mode:
            started = [step.id for step in steps if step.verb == "start"]
            current = next((one for one in self._members(family) if one.id in started), current)
        if current is None:
            raise self._missing()
        return family, current

    def _missing(self) -> ContainerGone:
        return ContainerGone(
            error(
                "container-missing",
                self.name,
                f"There is no container named {self.name} in the engine at {self.engine.address}.",
                "Check the name; an existing container is needed, for its settings are what is kept.",
            )
        )

    def _repair_starts(self, current: Seen) -> bool:
        """In check mode a container that the announced repair would start counts as running."""
        return self.settings.check_mode and any("repaired" in action for action in self.outcome.actions)

    @staticmethod
    def _members(family: Family) -> List[Seen]:
        ones = (family.current, family.pending) + family.kept + family.failed
        return [one for one in ones if one is not None]

    def _repair(self, step: Step, family: Family) -> None:
        if step.verb == "rename":
            self.engine.rename(step.id, step.to)
        elif step.verb == "remove":
            self.engine.remove(step.id, force=True)
        elif step.verb == "stop":
            self._stop(step.id, self.settings.stop_timeout)
        else:  # always the container that was replaced
            self._put_back(step.id, family.replacement_of(step.id))
            self._start_again(step.id, step.to)

    def _set_aside(self, identity: str, aside: str, timeout: int) -> None:
        """Give a replacement up. Its name says so before it stops: one that stopped under its own was stopped by somebody."""
        try:
            self.engine.rename(identity, aside)
        except EngineError:  # one that is just being restarted cannot be renamed
            self._stop(identity, timeout)
            self.engine.rename(identity, aside)
        else:
            self._stop(identity, timeout)

    def _stop(self, identity: str, timeout: int) -> None:
        self.engine.stop(identity, timeout, self.name)
        self.engine.set_restart_policy(identity, policy_dict("no"), self.name)

    def _put_back(self, identity: str, replacement: Optional[Seen]) -> None:
        """Let the old container find again in its mounts what it had there."""
        files = self.settings.return_files or (replacement.return_files if replacement else ())
        container = self.engine.container(identity)
        self._put(identity, [file for file in files if _mounted(container, file.dest)])

    def _start_again(self, identity: str, policy: str) -> None:
        self.engine.set_restart_policy(identity, policy_dict(policy), self.name)
        self.engine.start(identity, self.name)

    def _do(self, *actions: str) -> None:
        self.outcome.actions.extend(actions)

    # -- what is refused before anything changes ---------------------------------------------------------------------

    def _refuse_unkeepable(self, container: Mapping[str, Any]) -> None:
        host_config = container.get("HostConfig") or {}
        labels = (container.get("Config") or {}).get("Labels") or {}
        why = ""
        if host_config.get("AutoRemove"):
            why = "was started with --rm, so the engine deletes it as soon as it stops and nothing could be returned to"
        elif labels.get("com.docker.swarm.task.id"):
            why = "is a task of a Swarm service, which would replace it at once"
        if why:
            raise EngineError(
                error(
                    "driver-unsupported",
                    self.name,
                    f"The container {self.name} {why}.",
                    "Run it as a container of its own, without --rm.",
                )
            )
        others = self.engine.containers()
        sharing = [
            str((one.get("Names") or ["?"])[0]).lstrip("/")
            for one in others
            if (one.get("HostConfig") or {}).get("NetworkMode") == f"container:{container['Id']}"
        ]
        if sharing:
            raise EngineError(
                error(
                    "driver-unsupported",
                    self.name,
                    f"{', '.join(sharing)} lives in the network of the container {self.name} and would lose it.",
                    f"Give it a network of its own, or remove it and create it anew after {self.name} is replaced.",
                )
            )
        self._refuse_shared(container, others)

    def _refuse_shared(self, container: Mapping[str, Any], containers: List[Dict[str, Any]]) -> None:
        shared = shared_mounts(container, containers)
        for file in (*self.settings.files, *self.settings.return_files):
            place = _mounted(container, file.dest)
            here = [one for one in shared if one["destination"] == place and mount_of([one["path"]], file.dest)]
            others = [name for one in here for name in one["with"] if not is_left_by(self.name, name)]
            if others:
                raise EngineError(
                    error(
                        "container-shared-volume",
                        self.name,
                        f"{file.dest} in {self.name} lies in {here[0]['source']}, which {', '.join(others)} uses as "
                        f"well; a file for the new version would be seen by a gateway of the old one.",
                        "Give each gateway a middleware volume of its own.",
                    )
                )

    def _wanted_image(self, container: Mapping[str, Any]) -> str:
        """The id of the wanted image, which is pulled if need be; in check mode what can be known of it."""
        reference, pull = self.settings.image, self.settings.pull
        if not self.settings.check_mode:
            image, pulled = self.engine.ensure_image(reference, pull)
            if pulled:
                self._do(f"pulled {reference}")
            return image.id
        present = self.engine.image(reference)
        if present is not None and pull != "always":
            return present.id
        if pull == "never":
            self.engine.ensure_image(reference, pull)
        digest = self.engine.registry_digest(reference)
        candidates = [present, self.engine.image(str(container["Image"]))]
        for candidate in candidates:
            if candidate is not None and any(one.endswith("@" + digest) for one in candidate.repo_digests):
                return candidate.id
        self._do(f"pulled {reference}")
        return PREDICTED

    def _announced(self, current: Seen, family: Family) -> List[str]:
        kept = kept_name(self.name, current.id)
        return [
            f"created {next_name(self.name)} from {self.settings.image}",
            *([f"stopped {self.name}"] if current.running else []),
            f"renamed {self.name} to {kept}",
            f"renamed {next_name(self.name)} to {self.name}",
            f"started {self.name}",
            *(f"removed {one.name}" for one in family.kept + family.failed if one.id != current.id),
        ]

    # -- replacing ---------------------------------------------------------------------------------------------------

    def _replace(self, container: Mapping[str, Any], current: Seen, family: Family) -> None:
        image = self.engine.image(current.image_id)
        if image is None:
            raise ImageGone(
                error(
                    "image-missing",
                    self.name,
                    f"The image {current.image} that {self.name} runs is no longer in the engine, so its defaults "
                    f"cannot be told from your own settings.",
                    "Pull or load that image again, then repeat.",
                )
            )
        policy = policy_text((container.get("HostConfig") or {}).get("RestartPolicy"))
        config = replacement_config(
            container,
            image.config,
            self.settings.image,
            {
                **self.settings.labels,
                LABEL_REPLACES: current.id,
                LABEL_RESTART: policy,
                LABEL_FILES: files_text(self.settings.return_files),
            },
            str(self.engine.info().get("Name") or ""),
        )
        inside = [one for one in self.settings.files if not _mounted(container, one.dest)]
        outside = [one for one in self.settings.files if _mounted(container, one.dest)]  # the old one would see these, too
        for file in (*self.settings.files, *self.settings.return_files):
            self._content(file)
        self._back_up(container, current)
        temporary, kept = next_name(self.name), kept_name(self.name, current.id)
        new_id = ""
        try:
            new_id = self.engine.create(config.body, temporary)
            for network, endpoint in config.networks:
                self.engine.connect(new_id, network, endpoint)
            self._put(new_id, inside)
            self._stop(current.id, self.settings.stop_timeout)
            self._put(new_id, outside)
            self.engine.rename(current.id, kept)
            self.engine.rename(new_id, self.name)
            self.engine.start(new_id, self.name)
            self._settle(new_id)
        except Exception as problem:
            raise self._back_after(problem, current, new_id, policy) from problem
        self.outcome.new = _summary(self.name, Seen.from_inspect(self.engine.container(new_id)))
        self._do(*self._announced(current, Family(self.name)))
        for one in family.kept + family.failed:
            if one.id != current.id:
                self._remove_leftover(one)

    def _remove_leftover(self, one: Seen) -> None:
        self._do(f"removed {one.name}")
        if not self.settings.check_mode:
            self.engine.remove(one.id, force=True)

    def _settle(self, identity: str) -> None:
        """Raise if the container does not stay up for the settling time."""
        deadline = time.monotonic() + self.settings.settle
        while True:
            data = self.engine.container(identity)
            state = data["State"]
            if not state.get("Running") or state.get("Restarting") or int(data.get("RestartCount") or 0) > 0:
                raise self._did_not_stay(identity, state)
            if time.monotonic() >= deadline:
                return
            time.sleep(0.1)

    def _did_not_stay(self, identity: str, state: Mapping[str, Any]) -> EngineError:
        lines = self.engine.logs(identity, tail=LOG_LINES_SHOWN).strip()
        cause = "it was killed for want of memory" if state.get("OOMKilled") else f"exit code {state.get('ExitCode')}"
        if state.get("Error"):
            cause += f", {state['Error']}"
        said = f" Its last lines: {lines}" if lines else " It printed nothing."
        return EngineError(
            error(
                "container-failed",
                self.name,
                f"The container {self.name} ended right after its start ({cause}).{said}",
                "Put right what its last lines name.",
            )
        )

    def _back_after(self, problem: Exception, current: Seen, new_id: str, policy: str) -> EngineError:
        """Put the old container back and say so, or say what is left to do by hand."""
        finding = problem.finding if isinstance(problem, DomainError) else None
        finding = host_failure(problem) if isinstance(problem, OSError) else finding
        cause = finding.message if finding else f"{type(problem).__name__}: {problem}"
        code = finding.code if finding and finding.code != "engine-unreachable" else "container-failed"
        try:
            aside = self._go_back(current, new_id, policy)
        except Exception as second:
            return EngineError(
                error(
                    code,
                    self.name,
                    f"Replacing the container {self.name} with {self.settings.image} failed: {cause} "
                    f"And the old container could not be put back: {second}",
                    f"Run the same again to repair it, or by hand: docker rename {kept_name(self.name, current.id)} "
                    f"{self.name}; docker start {self.name}",
                )
            )
        back = "is back and running" if current.running else "is back (it was not running before either)"
        evidence = f" The failed one is kept as {aside}." if aside else ""
        return EngineError(
            error(
                code,
                self.name,
                f"Replacing the container {self.name} with {self.settings.image} failed: {cause} "
                f"The old container {back}, with {current.image}.{evidence}",
                finding.remedy if finding else "Put right the cause and repeat.",
            )
        )

    def _go_back(self, current: Seen, new_id: str, policy: str) -> str:
        """Undo in reverse order whatever was done; returns the name under which a failed container is kept."""
        aside = ""
        new = self.engine.find_container(new_id) if new_id else None
        if new is not None:
            status = str(new["State"].get("Status"))
            if status == "created":
                self.engine.remove(new_id, force=True)
            else:
                self._save_evidence(new_id)
                aside = failed_name(self.name, new_id)
                self._set_aside(new_id, aside, min(self.settings.stop_timeout, 10))
        else:
            pending = self.engine.find_container(next_name(self.name))
            if pending is not None and Seen.from_inspect(pending).replaces == current.id:
                self.engine.remove(str(pending["Id"]), force=True)
        old = Seen.from_inspect(self.engine.container(current.id))
        if old.name != self.name:
            self.engine.rename(old.id, self.name)
        self._put_back(old.id, None)
        if current.running:
            self._start_again(old.id, policy)
        else:
            self.engine.set_restart_policy(old.id, policy_dict(policy), self.name)
        return aside

    # -- files in and out --------------------------------------------------------------------------------------------

    def _has(self, identity: str, file: File) -> bool:
        """Whether the container has this very file."""
        found = self.engine.stat(identity, file.dest)
        content = self._content(file)
        same_size = found is not None and not found.get("linkTarget") and found.get("size") == len(content)
        return same_size and self.engine.read_file(identity, file.dest, len(content)) == content

    def _put(self, identity: str, files: Sequence[File]) -> None:
        """Put files in place; folders that exist keep their owner and mode."""
        owner = owner_of(self.engine, identity) if files else (0, 0)
        for file in files:
            folder, missing = existing_above(self.engine, identity, posixpath.dirname(file.dest))
            inside = "/".join([*missing, posixpath.basename(file.dest)])
            self.engine.put(identity, folder, tar_of([(inside, self._content(file), file.mode)], owner), self.name)

    def _content(self, file: File) -> bytes:
        """What is in a file, which is read once. Raises EngineError when it cannot be read."""
        if file not in self._contents:
            try:
                with open(file.src, "rb") as source:
                    self._contents[file] = source.read()
            except OSError as problem:
                raise EngineError(
                    error(
                        "setting-invalid",
                        file.src,
                        f"The file {file.src} for {file.dest} in {self.name} cannot be read: {problem.strerror}.",
                        "Check the path on the host that runs the module.",
                    )
                ) from problem
        return self._contents[file]

    def _back_up(self, container: Mapping[str, Any], current: Seen) -> None:
        if not self.settings.backup_dir:
            return
        folder = os.path.join(self.settings.backup_dir, f"{self.name}-{current.id[:12]}")
        write_private(os.path.join(folder, "container.json"), json.dumps(container, indent=2, sort_keys=True).encode())
        for path in self.settings.backup_files:
            found = False

            def take(_unused: Any, content: Optional[IO[bytes]], path: str = path) -> None:
                nonlocal found
                if content is not None and not found:
                    found = True
                    write_private(os.path.join(folder, "files", path.lstrip("/")), content.read())

            try:
                self.engine.read_tree(current.id, path, take)
            except ContainerGone:
                # Configured by its environment alone, which container.json holds.
                self._do(f"found no {path} in {self.name} to back up")

    def _save_evidence(self, identity: str) -> None:
        """Logs and configuration (without environment values) of a container that is given up."""
        if not self.settings.evidence_dir:
            return
        container = self.engine.container(identity)
        config = dict(container.get("Config") or {})
        config["Env"] = [f"{entry.split('=', 1)[0]}=(not shown)" for entry in config.get("Env") or []]
        stem = os.path.join(self.settings.evidence_dir, f"{self.name}-{identity[:12]}")
        write_private(f"{stem}.log", self.engine.logs(identity, tail=5000).encode())
        write_private(f"{stem}.json", json.dumps({**container, "Config": config}, indent=2, sort_keys=True).encode())


def _mounted(container: Mapping[str, Any], path: str) -> str:
    """Where the mount begins that a path lies in; empty if it lies in the container's own layer."""
    return mount_of(mount_sources(container), path)


def _summary(name: str, one: Seen) -> Dict[str, str]:
    return {"name": name, "id": one.id, "image": one.image, "image_id": one.image_id}
