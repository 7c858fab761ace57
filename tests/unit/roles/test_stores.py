# Copyright (c) 2026 tyk.upgrade contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The roles with a store in a bucket, and with one that chooses the names: each phase is a process that knows no other.

Gateway, Dashboard and stores are servers on loopback. The gateway runs the target already, but the bundle in use has no
file for it: so the plan is a new bundle, which needs no engine, since the plugin was built elsewhere.
"""

from __future__ import annotations

import json
import os
import re
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any, Dict, Iterator, List, Tuple

import pytest
import requests
import yaml

import ansible_collections
from ansible_collections.tyk.upgrade.plugins.filter.run import joined_url
from ansible_collections.tyk.upgrade.tests.unit.plugins import go_builds
from ansible_collections.tyk.upgrade.tests.unit.plugins.modules.module_runner import run_module
from ansible_collections.tyk.upgrade.tests.unit.plugins.modules.mserv import MservServer
from ansible_collections.tyk.upgrade.tests.unit.plugins.modules.servers import DashboardServer, GatewayServer

pytestmark = pytest.mark.slow

ROOT = Path(__file__).resolve().parents[3]
COLLECTIONS = Path(next(iter(ansible_collections.__path__))).parent
VERSION = "5.0.14"  # earlier than what is held against the Go of its release
HOOK = {"driver": "goplugin", "pre": [{"name": "Hook", "path": "HeaderPlugin.so"}]}
UUID = re.compile(r"[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}")

PHASES = """
- hosts: tyk_gateways
  gather_facts: false
  tasks:
    - include_role: {name: tyk.upgrade.preflight}
    - include_role: {name: tyk.upgrade.plugins, tasks_from: stage, public: true}
      when: "'stage' in phases"
    - include_role: {name: tyk.upgrade.api_definitions, tasks_from: apply}
      when: "'switch' in phases"
    - include_role: {name: tyk.upgrade.report, tasks_from: conclude}
    - copy: {content: "{{ [plan, plugins_fetch_url | default('')] | to_json }}", dest: "{{ plan_dest }}", mode: "0600"}
      vars: {plan: "{{ hostvars.localhost.preflight_run.plan }}"}
      delegate_to: localhost
      changed_when: false
      check_mode: false
"""


class Bucket:
    """A bucket of a real S3 server."""

    def __init__(self, folder: Path) -> None:
        moto_server = pytest.importorskip("moto.server")
        boto3 = pytest.importorskip("boto3")
        self._server = moto_server.ThreadedMotoServer(ip_address="127.0.0.1", port=0, verbose=False)
        self._server.start()
        host, port = self._server.get_host_and_port()
        access = {"endpoint_url": f"http://{host}:{port}", "region": "us-east-1"}
        requests.post(f"{access['endpoint_url']}/moto-api/reset", timeout=10).raise_for_status()  # what earlier ones held
        access.update(access_key="root", secret_key="root-secret")
        self.store = {"kind": "s3", "bucket": "plugins", "prefix": "bundles", **access}
        self.store["url"] = f"{access['endpoint_url']}/plugins/bundles"
        self._client = boto3.client(
            "s3",
            endpoint_url=access["endpoint_url"],
            region_name="us-east-1",
            aws_access_key_id="root",
            aws_secret_access_key="root-secret",
        )
        self._client.create_bucket(Bucket="plugins")
        gateways = {"Effect": "Allow", "Principal": "*", "Action": "s3:GetObject", "Resource": "arn:aws:s3:::plugins/*"}
        policy = {"Version": "2012-10-17", "Statement": [gateways]}
        self._client.put_bucket_policy(Bucket="plugins", Policy=json.dumps(policy))

    def names(self) -> List[str]:
        listed = self._client.list_objects_v2(Bucket="plugins").get("Contents", [])
        return [str(entry["Key"])[len("bundles/") :] for entry in listed]

    def close(self) -> None:
        self._server.stop()


class Mserv:
    """A store that chooses the names."""

    def __init__(self, folder: Path) -> None:
        self.server = MservServer(api_key="mserv-api-key")
        self.store = {"kind": "mserv", "url": f"{self.server.url}?api_key=mserv-api-key"}

    def names(self) -> List[str]:
        return list(self.server.records)

    def close(self) -> None:
        self.server.close()


class World:
    """One gateway, one API with a plugin, and a store."""

    def __init__(self, folder: Path, kind: Any, plugin: str) -> None:
        self.folder = folder
        self.kind = kind(folder)
        self.gateway = GatewayServer(VERSION)
        self.dashboard = DashboardServer()
        self.plan: Dict[str, Any] = {}
        self.fetch_url = ""
        self.settings: Dict[str, Any] = {}
        self.old = self.publish_old(plugin)
        self.dashboard.add("orders", self.old)
        (folder / "phases.yml").write_text(PHASES)
        (folder / "inventory.yml").write_text(yaml.safe_dump(self.inventory(plugin)))

    def publish_old(self, plugin: str, name: str = "header.zip", **signing: str) -> str:
        """The bundle in use, which others made, for a version that runs no more."""
        built = str(self.folder / "old.zip")
        files = [{"name": "HeaderPlugin_v5.3.0_linux_amd64.so", "path": plugin}]
        manifest = {"custom_middleware": HOOK}
        made = run_module("bundle_build", {"dest": built, "manifest": manifest, "files": files, **signing})
        assert not made["failed"], made
        done = run_module("bundle_publish", {"store": self.kind.store, "name": name, "src": built})
        assert done["changed"] and not done["failed"], done
        return str(done["name"])

    def inventory(self, plugin: str) -> Dict[str, Any]:
        variables = {
            "ansible_connection": "local",
            "ansible_python_interpreter": sys.executable,
            "tyk_target_version": VERSION,
            "tyk_control_plane_confirmed_version": VERSION,
            "tyk_dashboard_url": self.dashboard.url,
            "tyk_dashboard_token": self.dashboard.token,
            "tyk_gateway_url": self.gateway.url,
            "tyk_gateway_secret": self.gateway.secret,
            "tyk_plugins": [{"name": "HeaderPlugin", "artifacts": {VERSION: plugin}}],
            "tyk_bundle_store": self.kind.store,
            "tyk_build_dir": str(self.folder / "work"),
            "tyk_journal_dir": str(self.folder / "journal"),
            "tyk_backup_dir": str(self.folder / "backups"),
            "plan_dest": str(self.folder / "plan.json"),
        }
        return {"all": {"vars": variables, "children": {"tyk_gateways": {"hosts": {"gw1": {}}}}}}

    def play(self, *phases: str, check: bool = False, playbook: str = "", fails: bool = False) -> str:
        """Run in a process of its own, which must succeed or must not; `plan` is what its phases shared at the end."""
        (self.folder / "plan.json").unlink(missing_ok=True)
        command = [sys.executable, "-m", "ansible", "playbook", "-i", str(self.folder / "inventory.yml"), "--diff"]
        command += ["-e", json.dumps({"phases": list(phases), **self.settings})] + (["--check"] if check else [])
        done = subprocess.run(
            [*command, playbook or str(self.folder / "phases.yml")],
            cwd=self.folder,
            env={
                **os.environ,
                "HOME": str(self.folder),
                "ANSIBLE_COLLECTIONS_PATH": str(COLLECTIONS),
                "ANSIBLE_HOME": str(self.folder / ".ansible"),
                "ANSIBLE_NOCOLOR": "1",
                "ANSIBLE_PIPELINING": "1",
            },
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            timeout=300,
            check=False,
        )
        assert bool(done.returncode) is fails, done.stdout + done.stderr
        if not playbook and not fails:
            self.plan, self.fetch_url = json.loads((self.folder / "plan.json").read_text())
        return done.stdout

    @property
    def planned(self) -> str:
        """The bundle that the API is to name."""
        (move,) = self.plan["apis"]
        assert [bundle["name"] for bundle in self.plan["bundles"] if not bundle["keep"]] == [move["to_bundle"]]
        assert {build["bundle"] for build in self.plan["builds"]} == {move["to_bundle"]}
        return str(move["to_bundle"])

    def fetched(self, name: str) -> bytes:
        """What gateways get."""
        answer = requests.get(joined_url(self.fetch_url, name), timeout=10)
        answer.raise_for_status()
        return answer.content

    @property
    def new(self) -> List[str]:
        """What was published since the bundle in use."""
        return [name for name in self.kind.names() if name != self.old]

    def forget(self) -> None:
        """The next phase runs elsewhere: nothing of what was built, and no journal."""
        for name in ("work", "journal", "backups"):
            shutil.rmtree(self.folder / name, ignore_errors=True)

    def close(self) -> None:
        for one in (self.kind, self.gateway, self.dashboard):
            one.close()


def changed(output: str) -> int:
    return sum(int(count) for count in re.findall(r"\bok=\d+\s+changed=(\d+)", output))


@pytest.fixture(scope="module")
def plugin(tmp_path_factory: pytest.TempPathFactory) -> str:
    if not go_builds.POSSIBLE:
        pytest.skip("no Go toolchain with a C compiler")
    return go_builds.GoWorld(tmp_path_factory.mktemp("go")).in_gopath("HeaderPlugin")


@pytest.fixture
def world(request: Any, tmp_path: Path, plugin: str) -> Iterator[World]:
    made = World(tmp_path, request.param, plugin)
    yield made
    made.close()


@pytest.mark.parametrize("world", [Bucket], indirect=True)
def test_a_bucket_has_the_bundle_under_the_name_of_the_plan(world: World) -> None:
    assert changed(world.play("stage", "switch", check=True)) > 0 and not world.new
    predicted = world.planned
    assert changed(world.play("stage", "switch")) > 0 and world.new == [predicted]
    assert world.planned == predicted and world.dashboard.bundle("orders") == predicted
    assert world.fetched(predicted) == (world.folder / "work" / predicted).read_bytes()
    assert changed(world.play("stage", "switch")) == 0 and world.plan["empty"] and world.new == [predicted]


def key_pair(path: Path) -> Tuple[str, str]:
    """A private key, sealed with the passphrase sesame, and the path of its public half."""
    rsa = pytest.importorskip("cryptography.hazmat.primitives.asymmetric.rsa")
    forms = pytest.importorskip("cryptography.hazmat.primitives.serialization")
    key = rsa.generate_private_key(public_exponent=65537, key_size=2048)
    sealed = forms.BestAvailableEncryption(b"sesame")
    public = key.public_key().public_bytes(forms.Encoding.PEM, forms.PublicFormat.SubjectPublicKeyInfo)
    path.write_bytes(public)
    return key.private_bytes(forms.Encoding.PEM, forms.PrivateFormat.PKCS8, sealed).decode(), str(path)


def refusal(world: World) -> str:
    """What a run says that must not publish anything; the next one begins without its journal."""
    said = world.play("stage", fails=True)
    world.forget()
    return " ".join(said.split())


@pytest.mark.parametrize("world", [Bucket], indirect=True)
def test_what_is_signed_stays_signed_by_the_same_key(world: World, plugin: str) -> None:
    private, public = key_pair(world.folder / "key.pem")
    world.old = world.publish_old(plugin, "signed.zip", key_content=private, key_passphrase="sesame")
    world.dashboard.add("orders", world.old)
    known = set(world.kind.names())

    assert "The bundle signed.zip is signed, and the one that takes its place would not be" in refusal(world)
    world.settings = {"tyk_bundle_key": key_pair(world.folder / "another.pem")[0], "tyk_bundle_key_passphrase": "sesame"}
    assert "does not fit its files and the key that is to sign" in refusal(world)
    world.settings["tyk_bundle_key_passphrase"] = "mellon"
    assert "the passphrase does not fit" in refusal(world)
    assert set(world.kind.names()) == known

    world.settings = {"tyk_bundle_key": private, "tyk_bundle_key_passphrase": "sesame"}
    printed = world.play("stage", "switch")
    assert "PRIVATE KEY" not in printed and "sesame" not in printed
    arguments = {"src": str(world.folder / "work" / world.planned), "public_key": public, "expect_versions": [VERSION]}
    seen = run_module("bundle_info", arguments)
    assert seen["signature_ok"] is True and seen["findings"] == []
    assert world.fetched(world.planned) == (world.folder / "work" / world.planned).read_bytes()
    assert changed(world.play("stage", "switch")) == 0 and world.plan["empty"]


@pytest.mark.parametrize("world", [Mserv], indirect=True)
def test_each_phase_finds_the_name_that_the_store_chose(world: World) -> None:
    assert changed(world.play("stage", "switch", check=True)) > 0 and not world.new
    assert world.planned.startswith(f"{world.old}-t"), "nobody knows another name yet"

    assert "There is no bundle" in world.play("switch", fails=True) and world.dashboard.bundle("orders") == world.old
    world.forget()
    world.play("stage")
    (published,) = world.new
    assert world.planned == published and UUID.fullmatch(published)
    assert world.fetched(published) == world.kind.server.bundles[published]

    world.forget()
    switch = world.play(playbook=str(ROOT / "playbooks" / "switch.yml"), check=True)
    assert published in switch and changed(switch) > 0 and world.dashboard.bundle("orders") == world.old

    world.play("stage", "switch")
    assert world.new == [published], "killed before the switch: found again, and not uploaded twice"
    assert world.planned == published and world.dashboard.bundle("orders") == published

    assert changed(world.play("stage", "switch")) == 0 and world.plan["empty"] and world.new == [published]
