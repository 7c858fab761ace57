# Copyright (c) 2026 tyk.upgrade contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Images that were published for another platform than the engine's, as plugin compilers are for an arm64 host."""

from __future__ import annotations

import gzip
import hashlib
import http.server
import io
import json
import tarfile
import threading
from pathlib import Path
from typing import Any, Dict, Iterator, List, Tuple

import pytest

from ansible_collections.tyk.upgrade.plugins.module_utils._clients.docker_engine import Engine, Image, ImageGone
from ansible_collections.tyk.upgrade.plugins.modules import plugin_build_info

pytestmark = pytest.mark.engine

MANIFEST = "application/vnd.docker.distribution.manifest.v2+json"
LIST = "application/vnd.docker.distribution.manifest.list.v2+json"


def other(machine: str) -> str:
    return "amd64" if machine == "arm64" else "arm64"


class Registry(http.server.ThreadingHTTPServer):
    """A registry with one image, published for one machine."""

    def __init__(self, machine: str) -> None:
        self.parts: Dict[str, Tuple[str, bytes]] = {}
        archive = io.BytesIO()
        with tarfile.open(fileobj=archive, mode="w") as layer:
            layer.addfile(tarfile.TarInfo("only"))
        diff = "sha256:" + hashlib.sha256(archive.getvalue()).hexdigest()
        config = self.add(
            {
                "architecture": machine,
                "os": "linux",
                "config": {"Cmd": ["/only"], "Env": ["GITHUB_TAG=v5.8.9"]},
                "rootfs": {"type": "layers", "diff_ids": [diff]},
            },
            "application/vnd.docker.container.image.v1+json",
        )
        layer_part = self.put(gzip.compress(archive.getvalue()), "application/vnd.docker.image.rootfs.diff.tar.gzip")
        content = {"schemaVersion": 2, "mediaType": MANIFEST, "config": config, "layers": [layer_part]}
        one = {**self.add(content, MANIFEST), "platform": {"architecture": machine, "os": "linux"}}
        listed = self.add({"schemaVersion": 2, "mediaType": LIST, "manifests": [one]}, LIST)
        self.parts["v5.8.9"] = self.parts[str(listed["digest"])]
        super().__init__(("127.0.0.1", 0), Answer)
        self.reference = f"127.0.0.1:{self.server_address[1]}/unit/compiler:v5.8.9"

    def add(self, content: Dict[str, Any], kind: str) -> Dict[str, Any]:
        return self.put(json.dumps(content).encode(), kind)

    def put(self, content: bytes, kind: str) -> Dict[str, Any]:
        digest = "sha256:" + hashlib.sha256(content).hexdigest()
        self.parts[digest] = (kind, content)
        return {"mediaType": kind, "size": len(content), "digest": digest}


class Answer(http.server.BaseHTTPRequestHandler):
    def do_GET(self) -> None:
        assert isinstance(self.server, Registry)
        name = self.path.rpartition("/")[2]
        kind, content = self.server.parts.get(name, ("application/json", b"{}"))
        self.send_response(200 if name in self.server.parts or self.path == "/v2/" else 404)
        self.send_header("Content-Type", kind)
        self.send_header("Content-Length", str(len(content)))
        if name in self.server.parts:
            self.send_header("Docker-Content-Digest", "sha256:" + hashlib.sha256(content).hexdigest())
        self.end_headers()
        if self.command == "GET":
            self.wfile.write(content)

    do_HEAD = do_GET

    def log_message(self, *_unused: Any) -> None:
        pass


@pytest.fixture
def engine() -> Iterator[Engine]:
    found = Engine()
    yield found
    found.api.close()


@pytest.fixture
def reference(engine: Engine) -> Iterator[str]:
    """Of an image that is not for the engine's own machine."""
    with Registry(other(engine.api.version()["Arch"])) as registry:
        threading.Thread(target=registry.serve_forever, daemon=True).start()
        yield registry.reference
        registry.shutdown()
    if engine.image(registry.reference) is not None:
        engine.api.remove_image(registry.reference, force=True)


def test_an_image_for_another_platform_is_pulled_when_it_is_wanted(engine: Engine, reference: str, bench: Any) -> None:
    machine = other(engine.api.version()["Arch"])
    with pytest.raises(ImageGone, match="no match"):
        engine.ensure_image(reference, "missing")
    image, pulled = engine.ensure_image(reference, "missing", f"linux/{machine}")
    assert (image.architecture, pulled) == (machine, True)
    assert engine.ensure_image(reference, "missing")[1] is False
    container = engine.create({"Image": image.id}, f"{bench.prefix}-foreign", image)
    assert bench.inspect(container)["Image"] == image.id


def test_compilers_for_another_machine_are_pulled_and_started_as_such(
    engine: Engine, reference: str, run_module: Any, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    """As a published one on an arm64 host. The program in it is none, so that it fails at its start on every machine."""
    platform = f"linux/{other(engine.api.version()['Arch'])}"
    asked: List[Any] = []
    create = engine.api.__class__.create_container_from_config

    def seen(api: Any, config: Any, name: str, platform: Any = None) -> Any:
        asked.append(platform)
        return create(api, config, name, platform)

    monkeypatch.setattr(plugin_build_info, "PUBLISHED_FOR", platform)
    monkeypatch.setattr(engine.api.__class__, "create_container_from_config", seen)
    looked = run_module("plugin_build_info", compilers=[{"version": "5.8.9", "image": reference}])
    assert looked["compilers"][0]["present"] is True and looked["findings"] == []
    (tmp_path / "main.go").write_text("package main\n")
    build = {"plugin": "P", "source": str(tmp_path), "version": "5.8.9", "image": reference, "build_id": "t1", "file": "P.so"}
    failed = run_module("plugin_compile", builds=[build], dest=str(tmp_path / "out"), cache_volumes=False)
    assert asked == [platform], failed["msg"]
    assert [one["code"] for one in failed["findings"]] == ["plugin-compile-failed"]
    assert f"The image {reference} could not be started to compile P for 5.8.9" in failed["msg"]
    assert "qemu-user-static" in failed["msg"] and "was interrupted" not in failed["msg"]


@pytest.mark.parametrize(
    ("machine", "image", "platform"),
    [("amd64", "amd64", None), ("arm64", "amd64", "linux/amd64"), ("amd64", "", None), ("", "arm64", None)],
)
def test_the_platform_is_named_only_where_it_is_another(
    engine: Engine, monkeypatch: pytest.MonkeyPatch, machine: str, image: str, platform: str
) -> None:
    asked: List[Any] = []

    def create(_config: Any, _name: str, **more: Any) -> Dict[str, str]:
        asked.append(more.get("platform"))
        return {"Id": "x"}

    monkeypatch.setattr(engine.api, "version", lambda: {"Arch": machine})
    monkeypatch.setattr(engine.api, "create_container_from_config", create)
    engine.create({}, "x", Image("i", "sha256:a", 1, "linux", image, {}))
    engine.create({}, "x")
    assert asked == [platform, None]
