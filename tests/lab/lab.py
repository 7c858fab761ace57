# Copyright (c) 2026 tyk.upgrade contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The lab: a Tyk hybrid data plane on this machine. ``lab.py up | down | reset | status``.

``up`` starts what is missing and leaves alone what runs as it should, an upgraded gateway included.
``reset`` takes gateways, pump, definitions and bundles back to the first version. ``down`` leaves nothing.
"""

from __future__ import annotations

import argparse
import contextlib
import hashlib
import json
import os
import shutil
import socket
import sys
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from functools import cached_property
from pathlib import Path
from typing import Any

import docker.errors
import inventory
import requests
import seed
from builder import Builder
from compose import ComposeFleet
from engine import Container, DockerEngine, Site, fail, locked, say, wait_for
from fleet import ContainerFleet, Fleet
from linux import LinuxFleet
from settings import (
    COMPONENTS,
    DASHBOARD_TOKEN,
    GATEWAY_SECRET,
    GROUP_ID,
    LAB,
    ORG_ID,
    PUBLISHED,
    RPC_API_KEY,
    STAND_IN,
    LabError,
    Settings,
)
from stand_ins import StandIns

STAND_IN_NAMES = {"gateway": "gateway", "compiler": "plugin compiler", "pump": "pump"}
KEPT_ON_RESET = ("redis", "registry", "bundles", "haproxy", "upstream", "controlplane")


class Lab:
    def __init__(self, settings: Settings) -> None:
        self.settings = settings
        self.http = requests.Session()
        self.http.trust_env = False

    @cached_property
    def client(self) -> Any:
        return DockerEngine.ensure()

    @cached_property
    def site(self) -> Site:
        return Site(self.settings, self.client)

    @cached_property
    def builder(self) -> Builder:
        return Builder(self.client)

    @cached_property
    def stand_ins(self) -> StandIns:
        return StandIns(self.builder)

    @cached_property
    def fleets(self) -> dict[str, Fleet]:
        """How gateways and pump are deployed in this lab → what puts them there."""
        makers: dict[str, Callable[[Lab], Fleet]] = {
            "docker": ContainerFleet,
            "compose": ComposeFleet,
            "deb": LinuxFleet,
            "rpm": LinuxFleet,
        }
        kinds = sorted({self.settings.deployment(role) for role in self.settings.members})
        made = {maker: maker(self) for maker in {makers[kind] for kind in kinds}}
        return {kind: made[makers[kind]] for kind in kinds}

    @cached_property
    def apis(self) -> tuple[seed.Api, ...]:
        """What the lab serves at first."""
        return seed.apis(self.settings.from_version)

    def fleet(self, role: str) -> Fleet:
        return self.fleets[self.settings.deployment(role)]

    # --- images --------------------------------------------------------------------------------------------------

    @cached_property
    def kinds(self) -> dict[str, str]:
        """Component → stand-in or tykio, after looking what can be had."""
        kinds = {component: self._kind(component) for component in COMPONENTS}
        if kinds["gateway"] != kinds["compiler"]:
            raise LabError(
                f"The gateway is '{kinds['gateway']}' and the plugin compiler is '{kinds['compiler']}', but a gateway "
                "loads only plugins that its own compiler built. Choose both alike (LAB_GATEWAY, LAB_COMPILER)."
            )
        return kinds

    def _kind(self, component: str) -> str:
        if self.settings.wants(component) == "stand-in":
            return "stand-in"
        for version in self.settings.versions(component):
            ref = f"{PUBLISHED[component]}:v{version}"
            if self.builder.has(ref):
                continue
            try:
                self.client.images.pull(ref)
            except docker.errors.APIError as error:
                reason = (error.explanation or str(error)).strip().splitlines()[0]
                say(f"{ref} is not in the engine and cannot be pulled ({reason}): the stand-in takes its place")
                return "stand-in"
        return "tykio"

    def repository(self, component: str) -> str:
        if self.kinds[component] == "tykio":
            return PUBLISHED[component]
        return f"{self.settings.registry}/{STAND_IN[component]}"

    def ref(self, component: str, version: str) -> str:
        return f"{self.repository(component)}:v{version}"

    @property
    def mismatch_ref(self) -> str:
        return f"{self.settings.registry}/{STAND_IN['compiler']}-mismatch:v{self.settings.to_version}"

    def _publish(self, local: str, ref: str, *, keep: bool) -> None:
        """Put an image into the lab's registry; ``keep``: leave it in the engine under that name too."""
        image = self.client.images.get(local)
        path, dummy, tag = ref.partition("/")[2].rpartition(":")
        if self._registry_holds(path, tag) != image.id:
            image.tag(ref)
            for event in self.client.api.push(ref, stream=True, decode=True):
                if "error" in event:
                    raise LabError(f"Pushing {ref} to the lab's registry failed: {event['error']}")
        if keep:
            image.tag(ref)
        else:
            with contextlib.suppress(docker.errors.ImageNotFound):
                self.client.api.remove_image(ref, noprune=True)

    def _registry_holds(self, path: str, tag: str) -> str | None:
        answer = self.http.get(
            f"{self.settings.local('registry')}/v2/{path}/manifests/{tag}",
            headers={"Accept": "application/vnd.docker.distribution.manifest.v2+json"},
            timeout=10,
        )
        return answer.json().get("config", {}).get("digest") if answer.status_code == 200 else None

    def _prepare_images(self) -> dict[str, str]:
        """Build everything side by side, publish the data plane's images; return the lab's own images."""
        with ThreadPoolExecutor(max_workers=16) as pool:
            own = {
                "services": pool.submit(self.builder.services),
                "controlplane": pool.submit(self.stand_ins.control_plane),
                "upstream": pool.submit(self.stand_ins.upstream),
            }
            built = {
                (component, version): pool.submit(self.stand_ins.image, component, version)
                for component in COMPONENTS
                if self.kinds[component] == "stand-in"
                for version in self.settings.versions(component)
            }
            images = {name: future.result() for name, future in own.items()}
            self._ensure("registry", images)
            self._wait_registry()
            for (component, version), future in built.items():
                ref = self.ref(component, version)
                if component == "compiler":  # used from the engine only, and the biggest of all: it need not go far
                    self.client.images.get(future.result()).tag(ref)
                else:
                    self._publish(
                        future.result(), ref, keep=version != self.settings.versions(component)[1] or self._in_use(ref)
                    )
        return images

    def _in_use(self, ref: str) -> bool:
        return any(container.attrs["Config"]["Image"] == ref for container in self.site.containers())

    def publish_mismatch(self) -> str:
        """The compiler with the target's toolchain and another version of a shared package."""
        self.client.images.get(self.stand_ins.mismatch(self.settings.to_version)).tag(self.mismatch_ref)
        return self.mismatch_ref

    def publish_unpulled(self) -> str:
        """A repository whose target version the registry has and the engine has not."""
        repository = f"{self.settings.registry}/{STAND_IN['gateway']}-unpulled"
        version = self.settings.to_version
        self._publish(self.stand_ins.gateway(version), f"{repository}:v{version}", keep=False)
        return repository

    # --- containers ----------------------------------------------------------------------------------------------

    def _container(self, role: str, images: dict[str, str]) -> Container:
        settings = self.settings
        volume = self.site.ensure_volume
        if role == "redis":
            command = ["redis-server", "/etc/tyk-lab/redis.conf"]
            return Container(role, images["services"], command, publish={6379: "redis"})
        if role == "registry":
            command = ["docker-registry", "serve", "/etc/tyk-lab/registry.yml"]
            mounts = {volume("registry"): "/var/lib/registry"}
            return Container(role, images["services"], command, publish={5000: "registry"}, mounts=mounts)
        if role == "bundles":
            command = ["nginx", "-c", "/etc/tyk-lab/nginx.conf"]
            mounts = {volume("bundles"): "/srv/bundles"}
            return Container(role, images["services"], command, publish={80: "bundles"}, mounts=mounts)
        if role == "haproxy":
            mounts = {str(settings.directory / "haproxy.cfg"): "/etc/tyk-lab/haproxy.cfg:ro"}
            labels = {"config": self._haproxy_config()}
            command = ["haproxy", "-W", "-db", "-f", "/etc/tyk-lab/haproxy.cfg"]
            publish = {8080: "entry", 9999: "haproxy"}
            return Container(role, images["services"], command, publish=publish, mounts=mounts, labels=labels)
        if role == "upstream":
            return Container(role, images["upstream"], publish={8000: "upstream"})
        if role == "controlplane":
            return Container(
                role,
                images["controlplane"],
                environment=self.stand_ins.control_plane_environment(),
                publish={3000: "dashboard", 3001: "meter", 9090: "rpc"},
                mounts={volume("data"): "/data"},
            )
        raise LabError(f"The lab has no part called {role!r}.")

    def _ensure(self, role: str, images: dict[str, str]) -> bool:
        return self.site.ensure_container(self._container(role, images))[1]

    # --- files ---------------------------------------------------------------------------------------------------

    def _haproxy_config(self) -> str:
        servers = [f"  server {name} {self.settings.address(name)}:8080 check" for name in self.settings.gateways]
        return (LAB / "images" / "haproxy.cfg").read_text().replace("@SERVERS@", "\n".join(servers))

    def _write_files(self) -> None:
        directory = self.settings.directory
        directory.mkdir(parents=True, exist_ok=True)
        conf = json.loads((LAB / "images" / "tyk.conf.json").read_text())
        conf["secret"] = GATEWAY_SECRET
        conf["slave_options"].update(rpc_key=ORG_ID, api_key=RPC_API_KEY, group_id=GROUP_ID)
        _write_if_changed(directory / "tyk.conf", json.dumps(conf, indent=2) + "\n")
        pump = json.loads((LAB / "images" / "pump.conf.json").read_text())
        pump["pumps"]["hybrid"]["meta"].update(rpc_key=ORG_ID, api_key=RPC_API_KEY)
        _write_if_changed(directory / "pump.conf", json.dumps(pump, indent=2) + "\n")
        _write_if_changed(directory / "haproxy.cfg", self._haproxy_config())

    def _write_description(self) -> None:
        settings = self.settings
        inventory.write(settings.directory / "inventory.yml", inventory.build(self))
        description = {
            "name": settings.name,
            "port_base": settings.port_base,
            "from": settings.from_version,
            "to": settings.to_version,
            "images": {
                f"{component}_{when}": self.ref(component, version)
                for component in COMPONENTS
                for when, version in zip(("from", "to"), self.settings.versions(component), strict=True)
            },
            "stand_ins": self.stand_in_names(),
        }
        (settings.directory / "lab.json").write_text(json.dumps(description, indent=2) + "\n")

    def stand_in_names(self) -> list[str]:
        return ["control plane", *(STAND_IN_NAMES[name] for name in COMPONENTS if self.kinds[name] == "stand-in")]

    # --- content -------------------------------------------------------------------------------------------------

    def _initial_bundles(self) -> dict[str, bytes]:
        version = self.settings.from_version
        built = self._compiled(version)
        return {plugin.bundle: seed.bundle(plugin, {version: built[plugin.name]}) for plugin in seed.PLUGINS}

    def _compiled(self, version: str) -> dict[str, bytes]:
        """The plugins as this version's compiler makes them for a first deployment, by name."""
        image = self.ref("compiler", version)
        with ThreadPoolExecutor(max_workers=2) as pool:
            built = pool.map(
                lambda plugin: self.stand_ins.compile_plugin(image, version, plugin.name, plugin.output(version)),
                seed.PLUGINS,
            )
            return dict(zip((plugin.name for plugin in seed.PLUGINS), built, strict=True))

    def built_elsewhere(self, folder: Path) -> dict[str, dict[str, str]]:
        """What a pipeline would leave: each plugin as a file by version. That of the first version is the one that runs."""
        versions = (self.settings.from_version, self.settings.to_version)
        files: dict[str, dict[str, str]] = {plugin.name: {} for plugin in seed.PLUGINS}
        folder.mkdir(parents=True, exist_ok=True)
        for version in versions:
            for name, content in self._compiled(version).items():
                path = folder / f"{name}-{version}.so"
                path.write_bytes(content)
                files[name][version] = str(path)
        return files

    def published_elsewhere(self) -> dict[str, str]:
        """Bundles for both versions that somebody has put into the store, by plugin."""
        versions = (self.settings.from_version, self.settings.to_version)
        built = {version: self._compiled(version) for version in versions}
        bundles = {
            plugin.name: seed.bundle(plugin, {version: built[version][plugin.name] for version in versions})
            for plugin in seed.PLUGINS
        }
        names = {name: f"{name.lower()}-{hashlib.sha256(data).hexdigest()[:8]}.zip" for name, data in bundles.items()}
        self._upload_bundles({names[name]: data for name, data in bundles.items()})
        return names

    def _upload_bundles(self, bundles: dict[str, bytes]) -> None:
        for name, data in bundles.items():
            url = f"{self.settings.local('bundles')}/bundles/{name}"
            if self.http.get(url, timeout=30).content != data:
                self.http.put(url, data=data, timeout=60).raise_for_status()

    def dashboard_apis(self) -> dict[str, dict[str, Any]]:
        answer = self.http.get(
            f"{self.settings.local('dashboard')}/api/apis",
            params={"p": "-1"},
            headers={"Authorization": DASHBOARD_TOKEN},
            timeout=10,
        )
        answer.raise_for_status()
        return {item["api_definition"]["api_id"]: item for item in answer.json().get("apis") or []}

    def _seed(self) -> None:
        apis = [{"oas": api.definition()} if api.kind == "oas" else api.definition() for api in self.apis]
        answer = self.http.post(
            f"{self.settings.local('meter')}/seed", json={"replace": True, "apis": apis}, timeout=30
        )
        if answer.status_code != 200:
            raise LabError(f"The control plane refuses the lab's API definitions: {answer.status_code} {answer.text}")

    # --- readiness -----------------------------------------------------------------------------------------------

    def _wait_registry(self) -> None:
        self._wait("registry", f"{self.settings.local('registry')}/v2/")

    def _wait(self, role: str, url: str, timeout: float = 30) -> None:
        try:
            wait_for(role, lambda: self.http.get(url, timeout=3).status_code == 200, timeout=timeout)
        except LabError as error:
            raise LabError(f"{error}\nIts log ends with:\n{self.site.logs(role)}") from error

    def _hello(self, name: str) -> bool:
        details = self.http.get(f"{self.settings.local(name)}/hello", timeout=3).json().get("details") or {}
        return all((details.get(part) or {}).get("status") == "pass" for part in ("redis", "rpc"))

    def _reload(self, name: str) -> None:
        """A data plane in service has seen reloads; the first one makes gateways up to 5.3.0 write their backup."""
        self.http.get(
            f"{self.settings.local(name)}/tyk/reload",
            params={"block": "true"},
            headers={"X-Tyk-Authorization": GATEWAY_SECRET},
            timeout=30,
        ).raise_for_status()

    def wrong_answer(self, base: str) -> str:
        """Ask every API once; say what the first wrong answer was, or nothing."""
        for api in self.apis:
            url = f"{base}{api.listen_path}get"
            answer = self.http.get(url, headers=api.headers(), timeout=5)
            if answer.status_code != 200:
                return f"{api.name} answers {answer.status_code}"
            if api.plugin is seed.HEADER and answer.headers.get("X-Lab-Plugin") != "header":
                return f"{api.name} answers without the plugin's effect"
            if api.protected and self.http.get(url, timeout=5).status_code not in (401, 403):
                return f"{api.name} lets a request without a key through"
        return ""

    def _wait_ready(self) -> None:
        for name in self.settings.gateways:
            try:
                wait_for(f"{name}: redis and rpc", lambda name=name: self._hello(name), timeout=90)
            except LabError as error:
                raise LabError(f"{error}\nIts log ends with:\n{self.fleet(name).logs(name)}") from error
        for what in (*self.settings.gateways, "entry"):
            self._wait_answers(what)
        wait_for("haproxy: all gateways up", self._haproxy_up, timeout=30)
        self._wait("pump", f"{self.settings.local('pump')}/health")

    def _wait_answers(self, what: str) -> None:
        def answers() -> bool:
            wrong = self.wrong_answer(self.settings.local(what))
            if wrong:
                raise RuntimeError(wrong)
            return True

        wait_for(f"{what}: all APIs", answers, timeout=60)

    def haproxy(self, command: str) -> str:
        with socket.create_connection(("127.0.0.1", self.settings.port("haproxy")), timeout=5) as connection:
            connection.sendall(command.encode() + b"\n")
            chunks = []
            while chunk := connection.recv(65536):
                chunks.append(chunk)
        return b"".join(chunks).decode()

    def _haproxy_up(self) -> bool:
        lines = [line.split(",") for line in self.haproxy("show stat").splitlines() if line.startswith("gateways,gw")]
        return len(lines) == len(self.settings.gateways) and all(line[17] == "UP" for line in lines)

    # --- what the command line calls -------------------------------------------------------------------------------

    def up(self) -> None:
        started = time.monotonic()
        with locked(f"lab-{self.settings.name}"):
            self._up()
        say(f"up after {time.monotonic() - started:.0f} s; stand-ins: {', '.join(self.stand_in_names())}")
        say(f"what clients call: {self.settings.local('entry')}")
        say(f"inventory: {self.settings.directory / 'inventory.yml'}")

    def _up(self) -> None:
        self._write_files()
        self.site.ensure_network()
        images = self._prepare_images()
        for fleet in set(self.fleets.values()):
            fleet.prepare()
        for role in ("redis", "bundles", "upstream", "controlplane"):
            self._ensure(role, images)
        bundles = self._initial_bundles()
        self._wait("bundles", self.settings.local("bundles") + "/")
        self._wait("controlplane", f"{self.settings.local('meter')}/health")
        self._upload_bundles(bundles)
        if set(self.dashboard_apis()) != {api.id for api in self.apis}:
            self._seed()
        fresh = [role for role in self.settings.members if self.fleet(role).ensure(role)]
        self._ensure("haproxy", images)
        self._write_description()
        say("waiting until every API answers right")
        self._wait_ready()
        for role in set(fresh) & set(self.settings.gateways):
            self._reload(role)

    def exists(self) -> bool:
        """Whether anything of the lab is there."""
        return DockerEngine.answers() and bool(self.site.containers())

    def pristine(self) -> bool:
        """Whether everything is as after a fresh ``up``."""
        if not DockerEngine.answers():
            return False
        running = {container.name: container for container in self.site.containers()}
        expected = {self.settings.container(role) for role in (*KEPT_ON_RESET, *self.settings.members)}
        expected |= {name for fleet in self.fleets.values() for name in fleet.helpers()}
        if set(running) != expected or any(container.status != "running" for container in running.values()):
            return False
        if not all(self.fleet(role).version_is_first(role) for role in self.settings.members):
            return False
        used = {api_id: _bundle_of(item) for api_id, item in self.dashboard_apis().items()}
        return used == {api.id: api.bundle for api in self.apis}

    def reset(self) -> None:
        """Back to the first version: traffic stops for as long as that takes."""
        with locked(f"lab-{self.settings.name}"):
            say("taking the lab back to its first version")
            keep = {self.settings.container(role) for role in KEPT_ON_RESET}
            keep |= {name for fleet in self.fleets.values() for name in fleet.helpers()}
            for fleet in self.fleets.values():
                fleet.forget()
            self.site.remove_containers(keep=lambda container: container.name in keep)
            self._forget()
            self._up()

    def _forget(self) -> None:
        """What an upgrade left in Redis, the bundle store, HAProxy, the control plane and beside the inventory."""
        redis = self.site.find("redis")
        if redis is not None and redis.status == "running":
            redis.exec_run(["redis-cli", "flushall"])
        for role in ("haproxy", "controlplane", "bundles"):
            found = self.site.find(role)
            if found is not None:
                found.remove(force=True)
        for volume in ("data", "bundles"):
            with contextlib.suppress(docker.errors.NotFound):
                self.client.volumes.get(self.settings.container(volume)).remove(force=True)
        for name in ("journal", "report", "backups"):
            shutil.rmtree(self.settings.directory / name, ignore_errors=True)

    def down(self) -> None:
        with locked(f"lab-{self.settings.name}"):
            if DockerEngine.answers():
                self.site.remove_everything()
                self._remove_refs()
                self.client.close()
                if DockerEngine.stop_if_ours():
                    say("stopped the Docker engine that the lab had started")
            else:
                say("no Docker engine answers: nothing to remove")
            shutil.rmtree(self.settings.directory, ignore_errors=True)

    def _remove_refs(self) -> None:
        """Names of images in a registry that is gone; the content stays under the lab's own names as a cache."""
        for image in self.client.images.list():
            for tag in image.tags:
                if tag.startswith(f"{self.settings.registry}/"):
                    self._remove_compiler_caches(image.id)
                    with contextlib.suppress(docker.errors.APIError):
                        self.client.api.remove_image(tag, noprune=True)

    def _remove_compiler_caches(self, image_id: str) -> None:
        """The volumes in which the collection keeps Go's caches between builds with this image."""
        short = image_id.partition(":")[2][:12]
        for name in (f"tyk-upgrade-gobuild-{short}", f"tyk-upgrade-gomod-{short}"):
            with contextlib.suppress(docker.errors.APIError):
                self.client.volumes.get(name).remove()

    def status(self) -> int:
        if not DockerEngine.answers():
            say("no Docker engine answers")
            return 1
        rows = [(c.name, c.status, c.attrs["Config"]["Image"]) for c in self.site.containers()]
        for name, status, image in sorted(rows):
            print(f"{name:28} {status:10} {image}")
        if not rows:
            say(f"nothing of the lab '{self.settings.name}' is there")
            return 1
        try:
            wrong = self.wrong_answer(self.settings.local("entry"))
        except requests.RequestException as error:
            wrong = str(error)
        say(wrong or "every API answers right through the load balancer")
        return 1 if wrong else 0


def _bundle_of(item: dict[str, Any]) -> str:
    oas = item.get("oas") or {}
    if oas:
        plugins = oas.get("x-tyk-api-gateway", {}).get("middleware", {}).get("global", {}).get("pluginConfig", {})
        return str(plugins.get("bundle", {}).get("path", ""))
    return str(item["api_definition"].get("custom_middleware_bundle", ""))


def _write_if_changed(path: Path, text: str) -> None:
    """In place: a file that is bind-mounted into a container must keep its inode."""
    if not path.exists() or path.read_text() != text:
        path.write_text(text)


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("command", choices=("up", "down", "reset", "status"))
    arguments = parser.parse_args()
    os.umask(0o022)
    try:
        lab = Lab(Settings.from_environment())
        if arguments.command == "status":
            return lab.status()
        getattr(lab, arguments.command)()
    except LabError as error:
        return fail(error)
    except docker.errors.DockerException as error:
        return fail(LabError(f"The Docker engine refused: {error}"))
    return 0


if __name__ == "__main__":
    sys.exit(main())
