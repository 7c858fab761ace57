# Copyright (c) 2026 tyk.upgrade contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""A thin layer over the Docker SDK: connecting, sentences for errors, images, and files in and out of containers.

Containers are handled through the low-level API on purpose: what the engine reports is what is sent back to it, so a
setting that this collection has never heard of survives a replacement.
"""

from __future__ import annotations

import contextlib
import io
import re
import tarfile
import traceback
from dataclasses import dataclass, field
from typing import IO, Any, Callable, Dict, Iterable, Iterator, List, Mapping, Optional, Set, Tuple

from ansible_collections.tyk.upgrade.plugins.module_utils._clients.errors import mask_urls
from ansible_collections.tyk.upgrade.plugins.module_utils._domain.findings import DomainError, Finding, error

DOCKER_IMPORT_ERROR: Optional[str] = None
try:
    import docker
    import docker.errors
    import docker.utils
    import requests.exceptions
except ImportError:
    DOCKER_IMPORT_ERROR = traceback.format_exc()

#: Arguments that every engine module shares; documented in the fragment tyk.upgrade.docker.
ENGINE_ARGUMENTS: Dict[str, Dict[str, Any]] = {
    "docker_host": {"type": "str"},
    "engine_timeout": {"type": "int", "default": 60},
}

MINIMUM_API = "1.41"

#: How engines say that their disk is full.
_NO_SPACE = re.compile(r"no space left on device|disk quota exceeded", re.IGNORECASE)
#: How engines say that an image was published for other platforms only.
_NOT_FOR_THIS = re.compile(r"no matching manifest|no match for platform|does not provide the specified platform", re.IGNORECASE)


class EngineError(DomainError):
    """The engine could not be reached, or refused what it was asked for."""


class EngineRefused(EngineError):
    """The engine answered, and did not do what it was asked for."""


class ContainerGone(EngineError):
    """No container of that name or id."""


class ImageGone(EngineError):
    """No such image, neither in the engine nor where it would be pulled from."""


class NameTaken(EngineRefused):
    """The engine holds something else under that name."""


@dataclass(frozen=True)
class Image:
    """An image in the engine."""

    reference: str
    id: str
    size: int
    os: str
    architecture: str
    config: Mapping[str, Any] = field(repr=False)
    repo_digests: Tuple[str, ...] = ()

    @classmethod
    def from_inspect(cls, reference: str, data: Mapping[str, Any]) -> Image:
        return cls(
            reference=reference,
            id=str(data["Id"]),
            size=int(data.get("Size") or 0),
            os=str(data.get("Os") or ""),
            architecture=str(data.get("Architecture") or ""),
            config=dict(data.get("Config") or {}),
            repo_digests=tuple(data.get("RepoDigests") or ()),
        )

    @property
    def labels(self) -> Dict[str, str]:
        return dict(self.config.get("Labels") or {})


def split_reference(reference: str) -> Tuple[str, str]:
    """Repository and tag (or digest) of an image reference; the tag is empty where none is given.

    >>> split_reference("localhost:5000/tyk/gateway:v5.3.0")
    ('localhost:5000/tyk/gateway', 'v5.3.0')
    """
    if "@" in reference:
        repository, digest = reference.split("@", 1)
        return split_reference(repository)[0], digest
    head, colon, tail = reference.rpartition(":")
    if colon and "/" not in tail:
        return head, tail
    return reference, ""


def edition_of(repository: str) -> str:
    """Which edition a gateway or compiler image is, by the repository names Tyk publishes: ce, ee or fips."""
    name = repository.rsplit("/", 1)[-1]
    for edition in ("fips", "ee"):
        if re.search(rf"-{edition}(-|$)", name):
            return edition
    return "ce"


def configured_environment(config: Mapping[str, Any]) -> Dict[str, str]:
    """The environment variables in the configuration of a container or an image."""
    return dict(one.split("=", 1) for one in config.get("Env") or [] if "=" in one)


def tar_of(files: Iterable[Tuple[str, bytes, int]], owner: Tuple[int, int] = (0, 0)) -> bytes:
    """A tar of regular files (name, content, mode) and the folders above them, with the same bytes for the same files.

    owner: uid and gid that everything in it gets.
    """
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode="w", format=tarfile.GNU_FORMAT) as archive:
        made: Set[str] = set()
        for name, content, mode in files:
            for parent in parents_of(name):
                if parent not in made:
                    made.add(parent)
                    archive.addfile(tar_member(parent, tarfile.DIRTYPE, 0o755, owner))
            member = tar_member(name, tarfile.REGTYPE, mode, owner)
            member.size = len(content)
            archive.addfile(member, io.BytesIO(content))
    return buffer.getvalue()


def parents_of(name: str) -> List[str]:
    """All folders above a relative path, outermost first."""
    parts = name.split("/")[:-1]
    return ["/".join(parts[: count + 1]) for count in range(len(parts))]


def tar_member(name: str, kind: bytes, mode: int, owner: Tuple[int, int]) -> tarfile.TarInfo:
    """The head of one file, folder or link in a tar."""
    member = tarfile.TarInfo(name)
    member.type, member.mode = kind, mode
    member.uid, member.gid = owner
    return member


class _Chunks(io.RawIOBase):
    """A readable file over an iterator of byte chunks."""

    def __init__(self, chunks: Iterator[bytes]) -> None:
        self._chunks = chunks
        self._rest = b""

    def readable(self) -> bool:
        return True

    def readinto(self, target: Any) -> int:
        while not self._rest:
            try:
                self._rest = next(self._chunks)
            except StopIteration:
                return 0
        count = min(len(target), len(self._rest))
        target[:count] = self._rest[:count]
        self._rest = self._rest[count:]
        return count


class Engine:
    """One Docker engine."""

    def __init__(self, docker_host: Optional[str] = None, timeout: int = 60) -> None:
        """Connect. Raises EngineError with a sentence where no usable engine answers."""
        self._machine = ""
        settings = docker.utils.kwargs_from_env()
        if docker_host:
            settings["base_url"] = docker_host
        self.address: str = settings.get("base_url") or "unix:///var/run/docker.sock"
        try:
            self.api = docker.APIClient(version="auto", timeout=timeout, **settings)
        except (docker.errors.DockerException, requests.exceptions.RequestException, OSError, ValueError) as problem:
            raise EngineError(self._unreachable(problem)) from problem
        if docker.utils.version_lt(self.api._version, MINIMUM_API):
            raise EngineError(
                error(
                    "engine-unreachable",
                    self.address,
                    f"The Docker engine at {self.address} speaks API {self.api._version}.",
                    f"API {MINIMUM_API} (Docker Engine 20.10) or later is needed; upgrade the engine.",
                )
            )

    def _unreachable(self, problem: BaseException) -> Finding:
        return error(
            "engine-unreachable",
            self.address,
            f"The Docker engine at {self.address} did not answer: {_reason(problem)}.",
            "Check that it runs, that the address is right and that the user who runs the module may use it.",
        )

    @property
    def local(self) -> bool:
        """Whether the engine's containers run on this very host, as far as the address tells."""
        return self.address.startswith(("unix:", "http+unix:", "/"))

    @contextlib.contextmanager
    def patience(self, seconds: float) -> Iterator[None]:
        """Wait longer than usual for answers."""
        usual, self.api.timeout = self.api.timeout, max(self.api.timeout, seconds)
        try:
            yield
        finally:
            self.api.timeout = usual

    @contextlib.contextmanager
    def asking(self, what: str, subject: str, code: str = "engine-unreachable") -> Iterator[None]:
        """Turn whatever the SDK raises while doing `what` into an EngineError with a sentence."""
        try:
            yield
        except docker.errors.ImageNotFound as problem:
            raise ImageGone(_failure("image-missing", what, subject, problem)) from problem
        except docker.errors.NotFound as problem:
            raise ContainerGone(_failure("container-missing", what, subject, problem)) from problem
        except docker.errors.APIError as problem:
            kind = NameTaken if problem.status_code == 409 else EngineRefused
            raise kind(_failure(code, what, subject, problem)) from problem
        except (docker.errors.DockerException, requests.exceptions.RequestException, OSError) as problem:
            raise EngineError(self._unreachable(problem)) from problem

    # -- facts ---------------------------------------------------------------------------------------------------

    def info(self) -> Dict[str, Any]:
        with self.asking("Asking the engine about itself", self.address):
            return dict(self.api.info())

    def container(self, name: str) -> Dict[str, Any]:
        """Everything the engine says about a container. Raises ContainerGone."""
        with self.asking("Inspecting the container", name):
            return dict(self.api.inspect_container(name))

    def find_container(self, name: str) -> Optional[Dict[str, Any]]:
        try:
            return self.container(name)
        except ContainerGone:
            return None

    def containers(self, **filters: Any) -> List[Dict[str, Any]]:
        """All containers, running or not, as the list call describes them."""
        with self.asking("Listing containers", self.address):
            return list(self.api.containers(all=True, filters=filters or None))

    def logs(self, container: str, tail: int = 0, since: Optional[int] = None) -> str:
        """What the container printed, both streams, its addresses without secrets. Empty where its log driver cannot be read."""
        return mask_urls(self.printed(container, tail, since))

    def printed(self, container: str, tail: int = 0, since: Optional[int] = None) -> str:
        """What the container printed, to the letter, for who masks what is secret in it."""
        options: Dict[str, Any] = {"stdout": True, "stderr": True, "tail": tail or "all"}
        if since is not None:
            options["since"] = since
        try:
            raw = self.api.logs(container, **options)
        except docker.errors.APIError:
            return ""
        return bytes(raw).decode("utf-8", "replace")

    def follow(self, container: str) -> Iterator[bytes]:
        """What the container prints, piece by piece, until it ends. Nothing where its log driver cannot be read."""
        try:
            yield from self.api.logs(container, stdout=True, stderr=True, stream=True, follow=True)
        except (docker.errors.DockerException, requests.exceptions.RequestException, OSError, ValueError):
            return

    # -- images --------------------------------------------------------------------------------------------------

    def image(self, reference: str) -> Optional[Image]:
        """The image if the engine has it."""
        try:
            with self.asking("Inspecting the image", reference):
                return Image.from_inspect(reference, self.api.inspect_image(reference))
        except (ImageGone, ContainerGone):
            return None

    def registry_digest(self, reference: str) -> str:
        """The digest the registry holds under this reference. Raises ImageGone if it holds none."""
        try:
            with self.asking("Asking the registry for the image", reference, code="image-missing"):
                answer = self.api.inspect_distribution(reference)
        except EngineError as problem:
            if problem.finding.code == "engine-unreachable":
                raise
            raise ImageGone(_no_image(reference, problem.finding.message)) from problem
        return str((answer.get("Descriptor") or {}).get("digest") or "")

    def pull(self, reference: str, platform: Optional[str] = None) -> Image:
        """Pull the image with the credentials in the Docker configuration, that of a platform such as linux/amd64 where the
        engine's own is not wanted. Raises ImageGone.
        """
        repository, tag = split_reference(reference)
        try:
            with self.asking("Pulling the image", reference, code="image-missing"):
                for line in self.api.pull(
                    repository, tag=tag or "latest", stream=True, decode=True, platform=platform
                ):
                    if "error" in line:
                        kind = EngineRefused if _NO_SPACE.search(str(line["error"])) else ImageGone
                        raise kind(_no_image(reference, str(line["error"])))
        except ImageGone as problem:
            if problem.finding.subject == reference and problem.finding.remedy.startswith("Check the name"):
                raise
            raise ImageGone(_no_image(reference, problem.finding.message)) from problem
        except EngineError as problem:
            if problem.finding.code in ("engine-unreachable", "disk-small"):
                raise
            raise ImageGone(_no_image(reference, problem.finding.message)) from problem
        image = self.image(reference)
        if image is None:
            raise ImageGone(_no_image(reference, "it was pulled, but the engine does not list it"))
        return image

    def ensure_image(self, reference: str, pull: str, instead: str = "") -> Tuple[Image, bool]:
        """The image as `pull` (missing, always, never) wants it, and whether it had to be pulled.

        instead: the platform to pull it for where it was not published for the engine's own.
        """
        present = self.image(reference)
        if present is not None and pull != "always":
            return present, False
        if pull == "never":
            raise ImageGone(
                error(
                    "image-missing",
                    reference,
                    f"The image {reference} is not in the engine at {self.address}, and pulling is switched off.",
                    "Load or pull it beforehand, or allow pulling.",
                )
            )
        try:
            image = self.pull(reference)
        except ImageGone as problem:
            if not instead or not _NOT_FOR_THIS.search(problem.finding.message):
                raise
            image = self.pull(reference, instead)
        return image, present is None or present.id != image.id

    # -- volumes -------------------------------------------------------------------------------------------------

    def volume_labels(self, name: str) -> Optional[Dict[str, str]]:
        """The labels of a volume, None where there is no such volume."""
        try:
            with self.asking("Inspecting the volume", name):
                return dict(self.api.inspect_volume(name).get("Labels") or {})
        except ContainerGone:
            return None

    def create_volume(self, name: str, labels: Mapping[str, str]) -> None:
        """Create a volume; one that exists already stays as it is."""
        with self.asking("Creating the volume", name):
            self.api.create_volume(name, labels=dict(labels))

    # -- containers ----------------------------------------------------------------------------------------------

    def create(self, config: Mapping[str, Any], name: str, image: Optional[Image] = None) -> str:
        """Create a container. image: the one it is made of, where that may be for another platform than the engine's."""
        with self.asking("Creating the container", name):
            platform = self._foreign(image) if image is not None else ""
            more = {"platform": platform} if platform else {}
            return str(self.api.create_container_from_config(dict(config), name, **more)["Id"])

    def _foreign(self, image: Image) -> str:
        """The platform of an image that is not the engine's own; an engine with emulation runs it when it is told so."""
        if not self._machine:
            self._machine = str(self.api.version().get("Arch") or "")
        if not image.architecture or self._machine in ("", image.architecture):
            return ""
        return f"{image.os or 'linux'}/{image.architecture}"

    def start(self, container: str, subject: str = "") -> None:
        with self.asking("Starting the container", subject or container):
            self.api.start(container)

    def stop(self, container: str, timeout: int, subject: str = "") -> None:
        with self.asking("Stopping the container", subject or container):
            self.api.stop(container, timeout=timeout)

    def rename(self, container: str, name: str) -> None:
        with self.asking("Renaming the container", name):
            self.api.rename(container, name)

    def set_restart_policy(self, container: str, policy: Mapping[str, Any], subject: str = "") -> None:
        with self.asking("Setting the restart policy of the container", subject or container):
            self.api.update_container(container, restart_policy=dict(policy))

    def connect(self, container: str, network: str, endpoint: Mapping[str, Any]) -> None:
        """Connect to a network with the given endpoint settings, unknown ones included."""
        with self.asking(f"Connecting to the network {network} the container", container):
            url = self.api._url("/networks/{0}/connect", network)
            answer = self.api._post_json(url, data={"Container": container, "EndpointConfig": dict(endpoint)})
            self.api._raise_for_status(answer)

    def remove(self, container: str, volumes: bool = False, force: bool = False) -> None:
        """Remove a container; one that is gone already is fine."""
        try:
            with self.asking("Removing the container", container):
                self.api.remove_container(container, v=volumes, force=force)
        except ContainerGone:
            return
        except NameTaken as problem:  # 409: somebody else is removing it right now
            if "already in progress" not in str(problem):
                raise

    def wait(self, container: str, timeout: float) -> Optional[int]:
        """The exit code, or None when it still runs after `timeout` seconds."""
        try:
            with self.asking("Waiting for the container", container):
                return int(self.api.wait(container, timeout=timeout)["StatusCode"])
        except EngineError:
            state = self.container(container)["State"]
            return None if state.get("Running") else int(state.get("ExitCode") or 0)

    # -- files ---------------------------------------------------------------------------------------------------

    def put(self, container: str, folder: str, archive: Any, subject: str = "") -> None:
        """Unpack a tar (bytes or a file) in a folder of the container, running or not."""
        with self.asking(f"Copying files into {folder} of the container", subject or container):
            if not self.api.put_archive(container, folder, archive):
                raise EngineError(
                    error(
                        "engine-unreachable",
                        subject or container,
                        f"The engine did not take the files for {folder} of the container {subject or container}.",
                        "See the engine's own log.",
                    )
                )

    def stat(self, container: str, path: str) -> Optional[Dict[str, Any]]:
        """Name, size and mode of a path in the container without reading it; None where there is none."""
        with self.asking(f"Looking at {path} in the container", container):
            url = self.api._url("/containers/{0}/archive", container)
            answer = self.api.head(url, params={"path": path}, timeout=self.api.timeout)
            if answer.status_code == 404:
                return None
            answer.raise_for_status()
            header = answer.headers.get("x-docker-container-path-stat", "")
            decoded = docker.utils.decode_json_header(header) if header else {}
            return dict(decoded)

    def read_tree(
        self, container: str, path: str, take: Callable[[tarfile.TarInfo, Optional[IO[bytes]]], None]
    ) -> None:
        """Stream everything under a path of the container through `take`, one member at a time."""
        with self.asking(f"Reading {path} from the container", container):
            chunks, _unused = self.api.get_archive(container, path, chunk_size=1 << 20)
            stream = io.BufferedReader(_Chunks(iter(chunks)), buffer_size=1 << 20)
            with tarfile.open(fileobj=stream, mode="r|", bufsize=1 << 20) as archive:
                for member in archive:
                    take(member, archive.extractfile(member) if member.isreg() else None)

    def read_file(self, container: str, path: str, limit: int = 4 << 20) -> Optional[bytes]:
        """The content of one small file, None where it does not exist or is no file."""
        found = self.stat(container, path)
        if found is None or int(found.get("size") or 0) > limit:
            return None
        contents: List[bytes] = []

        def take(_unused: tarfile.TarInfo, content: Optional[IO[bytes]]) -> None:
            if content is not None and not contents:
                contents.append(content.read())

        self.read_tree(container, path, take)
        return contents[0] if contents else None


def _no_image(reference: str, why: str) -> Finding:
    if _NO_SPACE.search(why):
        return _no_space(reference, f"The image {reference} cannot be pulled: {why.rstrip('.')}.")
    return error(
        "image-missing",
        reference,
        f"The image {reference} cannot be had: {why.rstrip('.')}.",
        "Check the name and the tag, that this host reaches the registry, and that docker login was done where needed.",
    )


def _failure(code: str, what: str, subject: str, problem: BaseException) -> Finding:
    message = f"{what} {subject} failed: {_reason(problem)}."
    if _NO_SPACE.search(message):
        return _no_space(subject, message)
    remedy = "See the engine's own log." if code == "engine-unreachable" else "Check the name and that it exists."
    return error(code, subject, message, remedy)


def _no_space(subject: str, message: str) -> Finding:
    remedy = "Free space where the engine keeps its images, containers and volumes (docker system df)."
    return error("disk-small", subject, message, remedy)


def _reason(problem: BaseException) -> str:
    explanation = getattr(problem, "explanation", None)
    if explanation:
        return str(explanation).strip().rstrip(".")
    return str(problem).strip().rstrip(".") or type(problem).__name__


def parse_bytes(text: str) -> int:
    """A size such as 768m or 1g in bytes. Raises EngineError with a sentence."""
    try:
        return int(docker.utils.parse_bytes(text))
    except docker.errors.DockerException as problem:
        raise EngineError(
            error("setting-invalid", text, f"{text!r} is not a size in bytes.", "Write it like 768m or 1g.")
        ) from problem
