# Copyright (c) 2026 tyk.upgrade contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""source_file edits what users write, one place at a time, and says by hand what it does not understand."""

from __future__ import annotations

import json
import os
import stat
from pathlib import Path
from typing import Any, Dict

import pytest

from ansible_collections.tyk.upgrade.tests.unit.plugins.modules.module_runner import run_failing, run_module

OLD = "registry.example.com/tyk-gateway:v5.3.0"
NEW = "registry.example.com/tyk-gateway:v5.8.9"


@pytest.fixture
def place(tmp_path: Path) -> Any:
    class Folder:
        root = tmp_path / "srv"

        def write(self, name: str, text: str) -> Path:
            path = self.root / name
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text(text)
            return path

        def edit(self, check: bool = False, **arguments: Any) -> Dict[str, Any]:
            return run_module("source_file", self.arguments(arguments), check=check, diff=True)

        def refuse(self, **arguments: Any) -> Dict[str, Any]:
            return run_failing("source_file", self.arguments(arguments))

        def compose(self, text: str, service: str = "gw1", image: str = NEW, **more: Any) -> Dict[str, Any]:
            self.write("compose.yml", text)
            return self.edit(kind="compose", project_dir=str(self.root), service=service, image=image, **more)

        def arguments(self, given: Dict[str, Any]) -> Dict[str, Any]:
            return {"state_dir": str(tmp_path / "state"), "backup_dir": str(tmp_path / "backup"), **given}

        def text(self, name: str = "compose.yml") -> str:
            return (self.root / name).read_text()

    return Folder()


PROJECT = f"""\
# The data plane of the shop.
name: tyk   # do not rename
services:
  # the canary
  gw1:
    image: {OLD}   # the version lives here
    environment: {{SECRET: "s3cret"}}
  gw2: {{image: '{OLD}', restart: always}}
  "gw3":
    image: "{OLD}"
"""


@pytest.mark.parametrize("service", ["gw1", "gw2", "gw3"])
def test_only_the_image_of_the_service_changes(place: Any, service: str) -> None:
    result = place.compose(PROJECT, service)
    assert result["changed"], result
    before, after = PROJECT.splitlines(), place.text().splitlines()
    different = [(one, other) for one, other in zip(before, after) if one != other]
    assert len(before) == len(after)
    assert different == [(one, one.replace(OLD, NEW)) for one, dummy in different] and len(different) == 1
    assert service in different[0][0] or service in before[before.index(different[0][0]) - 1]
    assert place.edit(kind="compose", project_dir=str(place.root), service=service, image=NEW)["changed"] is False


def test_check_mode_predicts_the_same_edit_and_writes_nothing(place: Any, tmp_path: Path) -> None:
    predicted = place.compose(PROJECT, check=True)
    assert place.text() == PROJECT and not (tmp_path / "state").exists() and not (tmp_path / "backup").exists()
    done = place.compose(PROJECT)
    assert predicted["changed"] and predicted["edits"] == done["edits"] and predicted["diff"] == done["diff"]
    assert done["edits"][0]["line"] == 6


def test_the_difference_shows_the_value_and_no_secret_beside_it(place: Any) -> None:
    text = f"services: {{gw1: {{environment: {{SECRET: s3cret}}, image: {OLD}}}}}\n"
    shown = json.dumps(place.compose(text))
    assert NEW in shown and "s3cret" not in shown


def test_the_backup_is_the_file_and_private(place: Any) -> None:
    saved = Path(place.compose(PROJECT)["backups"][0])
    assert saved.read_text() == PROJECT and stat.S_IMODE(saved.stat().st_mode) == 0o600


def test_mode_and_link_stay(place: Any) -> None:
    real = place.write("real/compose.yml", PROJECT)
    real.chmod(0o640)
    (place.root / "compose.yml").symlink_to("real/compose.yml")
    assert place.edit(kind="compose", path=str(place.root / "compose.yml"), service="gw1", image=NEW)["changed"]
    assert (place.root / "compose.yml").is_symlink() and NEW in real.read_text()
    assert stat.S_IMODE(real.stat().st_mode) == 0o640
    assert os.listdir(place.root / "real") == ["compose.yml"]


# --- images made of variables


def service(image: str) -> str:
    return f"services:\n  gw1:\n    image: {image}\n"


@pytest.mark.parametrize(
    "image, dotenv, wanted_image, wanted_dotenv",
    [
        ("${TYK_IMAGE}", f"A=1\nTYK_IMAGE={OLD} # ours\nB=2\n", "same", f"A=1\nTYK_IMAGE={NEW} # ours\nB=2\n"),
        ("registry.example.com/tyk-gateway:$TAG", "TAG='v5.3.0'\n", "same", "TAG='v5.8.9'\n"),
        ("registry.example.com/tyk-gateway:v${V:?missing}", 'export V="5.3.0"\n', "same", 'export V="5.8.9"\n'),
        (
            "${REG}/tyk-gateway:${TAG}",
            "REG=registry.example.com\nTAG=v5.3.0\n",
            "same",
            "REG=registry.example.com\nTAG=v5.8.9\n",
        ),
        ("${REG}/tyk-gateway:v5.3.0", "REG=registry.example.com\n", "${REG}/tyk-gateway:v5.8.9", "same"),
        (
            "registry.example.com/tyk-gateway:${TAG:-v5.3.0}",
            "",
            "registry.example.com/tyk-gateway:${TAG:-v5.8.9}",
            "same",
        ),
        (
            '"registry.example.com/tyk-gateway:${TAG-v5.3.0}"',
            "",
            '"registry.example.com/tyk-gateway:${TAG-v5.8.9}"',
            "same",
        ),
        ("registry.example.com/tyk-gateway:${TAG:-v1}", "TAG=v1\nTAG=v5.3.0\n", "same", "TAG=v1\nTAG=v5.8.9\n"),
        (
            "registry.example.com/tyk-gateway:${TAG}",
            "X='many\nTAG=v0\nlines'\nTAG=v5.3.0",
            "same",
            "X='many\nTAG=v0\nlines'\nTAG=v5.8.9",
        ),
    ],
)
def test_the_variable_is_edited_where_it_counts(
    place: Any, image: str, dotenv: str, wanted_image: str, wanted_dotenv: str
) -> None:
    place.write(".env", dotenv)
    result = place.compose(service(image))
    assert result["changed"], result
    assert place.text() == service(image if wanted_image == "same" else wanted_image)
    assert place.text(".env") == (dotenv if wanted_dotenv == "same" else wanted_dotenv)
    again = place.edit(kind="compose", project_dir=str(place.root), service="gw1", image=NEW)
    assert not again["changed"]


def test_the_last_env_file_wins_and_dotenv_is_not_read_beside_it(place: Any) -> None:
    for name in (".env", "a.env", "b.env"):
        place.write(name, "TAG=v5.3.0\n")
    place.compose(service("registry.example.com/tyk-gateway:$TAG"), env_files=["a.env", "b.env"])
    assert [place.text(name) for name in (".env", "a.env", "b.env")] == ["TAG=v5.3.0\n", "TAG=v5.3.0\n", "TAG=v5.8.9\n"]


def test_the_last_file_that_names_an_image_wins(place: Any) -> None:
    place.write("base.yml", service(OLD))
    place.write("site.yml", service(OLD) + "    profiles: [edge]\n")
    place.write("ports.yml", "services:\n  gw1:\n    ports: !override ['8080:8080']\n")
    arguments = {"kind": "compose", "project_dir": str(place.root), "service": "gw1", "image": NEW}
    place.edit(files=["base.yml", "site.yml", "ports.yml"], **arguments)
    assert place.text("base.yml") == service(OLD) and NEW in place.text("site.yml")


def test_the_files_that_compose_finds_by_itself_are_found(place: Any) -> None:
    place.write("docker-compose.override.yml", service(OLD))
    assert place.compose(service(OLD))["edits"][0]["path"].endswith("docker-compose.override.yml")
    place.write(".env", "COMPOSE_FILE=other.yml\n")
    place.write("other.yml", service(OLD))
    found = place.edit(kind="compose", project_dir=str(place.root), service="gw1", image=NEW)
    assert found["edits"][0]["path"].endswith("other.yml")


def test_an_image_behind_an_anchor_is_found_and_who_shares_it_is_said(place: Any) -> None:
    text = f"x-gateway: &gateway\n  image: {OLD}\n  restart: always\nservices:\n  gw1:\n    <<: *gateway\n  gw2: {{<<: [*gateway]}}\n"
    result = place.compose(text)
    assert place.text() == text.replace(OLD, NEW)
    assert result["edits"][0]["shared_with"] == ["gw2"] and "gw2" in result["findings"][0]["message"]


def test_who_shares_a_variable_is_said(place: Any) -> None:
    place.write(".env", "TAG=v5.3.0\n")
    image = "registry.example.com/tyk-gateway:${TAG}"
    text = f"services: {{gw1: {{image: '{image}'}}, gw2: {{image: '{image}'}}, db: {{image: 'redis:7'}}}}\n"
    assert place.compose(text)["edits"][0]["shared_with"] == ["gw2"]


@pytest.mark.parametrize(
    "text, dotenv, said",
    [
        ("services: {gw1: {build: .}}\n", "", "built from source"),
        ("services: {gw2: {image: x}}\n", "", "gw1 is not in"),
        ("services: {gw1: {restart: always}}\n", "", "no image there"),
        ("services: {gw1: {extends: {file: a.yml, service: b}}}\n", "", "no image there"),
        ("services:\n  gw1:\n   image: [\n", "", "valid YAML in line"),
        (service("other.example.com/gw:${TAG}"), "TAG=v5.3.0\n", "do not fit"),
        (service("registry.example.com/tyk-gateway:${TAG}"), "", "somewhere that is not known"),
        (service("registry.example.com/tyk-gateway:${TAG}"), "TAG=v${V}\n", "of something else"),
        (service("registry.example.com/tyk-gateway:${A:-${B}}"), "", "more than plain variables"),
        ("services:\n  gw1:\n    image: >-\n      registry.example.com/x:v1\n", "", "not edited here"),
    ],
)
def test_what_is_not_understood_is_refused_with_the_edit_to_make(place: Any, text: str, dotenv: str, said: str) -> None:
    place.write(".env", dotenv)
    place.write("compose.yml", text)
    arguments = {"kind": "compose", "project_dir": str(place.root), "service": "gw1", "image": NEW}
    refused = place.refuse(**arguments)
    assert said in refused["msg"], refused["msg"]
    assert "By hand: in " in refused["manual"] and "5.8.9" in refused["manual"]
    assert refused["findings"][0]["code"] == "source-of-truth"
    assert place.text() == text and place.text(".env") == dotenv
    reported = place.edit(unclear="report", **arguments)
    assert not reported["changed"] and reported["manual"] == refused["manual"]


def test_a_variable_of_the_environment_is_not_overruled_by_a_file(place: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TAG", "v5.3.0")
    place.write(".env", "TAG=v5.2.0\n")
    place.write("compose.yml", service("registry.example.com/tyk-gateway:${TAG}"))
    refused = place.refuse(kind="compose", project_dir=str(place.root), service="gw1", image=NEW)
    assert "environment" in refused["msg"] and "TAG=v5.8.9" in refused["manual"]


def test_a_folder_without_a_project_is_said(place: Any) -> None:
    refused = place.refuse(kind="compose", project_dir=str(place.root), service="gw1", image=NEW)
    assert "has no Compose file" in refused["msg"] and NEW in refused["manual"]


# --- the way back


def test_the_way_back_takes_one_service_back_and_leaves_the_others(place: Any) -> None:
    place.compose(PROJECT, "gw1")
    arguments = {"kind": "compose", "project_dir": str(place.root), "image": NEW}
    place.edit(service="gw2", **arguments)
    assert place.edit(service="gw1", state="returned", check=True, **arguments)["changed"]
    result = place.edit(service="gw1", state="returned", **arguments)
    assert result["edits"][0]["after"] == OLD and result["edits"][0]["before"] == NEW
    assert place.text() == PROJECT.replace(f"gw2: {{image: '{OLD}'", f"gw2: {{image: '{NEW}'")
    assert not place.edit(service="gw1", state="returned", **arguments)["changed"]
    place.edit(service="gw2", state="returned", **arguments)
    assert place.text() == PROJECT


def test_a_line_that_somebody_changed_since_is_left_alone(place: Any) -> None:
    place.compose(PROJECT, "gw1")
    mine = place.text().replace("v5.8.9", "v5.8.10")
    place.write("compose.yml", mine)
    result = place.edit(kind="compose", project_dir=str(place.root), service="gw1", image=NEW, state="returned")
    assert not result["changed"] and place.text() == mine


def test_lines_that_moved_are_still_found(place: Any) -> None:
    place.compose(PROJECT, "gw1")
    place.write("compose.yml", "# a new first line\n" + place.text())
    arguments = {"kind": "compose", "project_dir": str(place.root), "image": NEW, "state": "returned"}
    assert place.edit(service="gw1", **arguments)["changed"]
    assert place.text() == "# a new first line\n" + PROJECT


def test_a_variable_that_another_service_moved_is_taken_back_as_well(place: Any) -> None:
    place.write(".env", "TAG=v5.3.0\n")
    image = "registry.example.com/tyk-gateway:${TAG}"
    place.compose(f"services: {{gw1: {{image: '{image}'}}, gw2: {{image: '{image}'}}}}\n", "gw1")
    arguments = {"kind": "compose", "project_dir": str(place.root), "service": "gw2", "image": NEW}
    assert not place.edit(**arguments)["changed"]
    assert place.edit(state="returned", **arguments)["changed"]
    assert place.text(".env") == "TAG=v5.3.0\n"


# --- the other kinds


def other(place: Any, name: str, before: str, after: str, **arguments: Any) -> None:
    path = place.write(name, before)
    predicted = place.edit(check=True, path=str(path), **arguments)
    assert place.text(name) == before
    done = place.edit(path=str(path), **arguments)
    assert place.text(name) == after
    assert predicted["changed"] == done["changed"] == (before != after)
    assert predicted["edits"] == done["edits"]
    assert not place.edit(path=str(path), **arguments)["changed"]
    assert place.edit(path=str(path), state="returned", **arguments)["changed"] == (before != after)
    assert place.text(name) == before


@pytest.mark.parametrize(
    "before, after",
    [
        ("TYK_TAG=v5.3.0\n", "TYK_TAG=v5.8.9\n"),
        ("# TYK_TAG=v1.0.0\r\nTYK_TAG=5.3.0\r\n", "# TYK_TAG=v1.0.0\r\nTYK_TAG=5.8.9\r\n"),
        ('TYK_TAG="tykio/tyk-gateway:v5.3.0"\n', 'TYK_TAG="tykio/tyk-gateway:v5.8.9"\n'),
        ("TYK_TAG=v5.8.9\n", "TYK_TAG=v5.8.9\n"),
    ],
)
def test_an_env_file(place: Any, before: str, after: str) -> None:
    path = place.root / ".env"
    path.parent.mkdir(parents=True)
    path.write_bytes(before.encode())
    result = place.edit(kind="env", path=str(path), key="TYK_TAG", version="5.8.9")
    assert result["changed"] == (before != after) and path.read_bytes() == after.encode()


VARIABLES = """\
---
# who runs what
tyk:
  versions:
    gateway: "5.3.0"  # bump with care
    pump: v1.9.0
hosts:
  - {name: a, image: tykio/tyk-gateway:v5.3.0}
token: !vault |
  $ANSIBLE_VAULT;1.1
"""


@pytest.mark.parametrize(
    "key, old, new",
    [
        ("tyk.versions.gateway", 'gateway: "5.3.0"', 'gateway: "5.8.9"'),
        ("hosts.0.image", "gateway:v5.3.0", "gateway:v5.8.9"),
        ("hosts[0].image", "gateway:v5.3.0", "gateway:v5.8.9"),
    ],
)
def test_variables(place: Any, key: str, old: str, new: str) -> None:
    other(place, "all.yml", VARIABLES, VARIABLES.replace(old, new), kind="variables", key=key, version="5.8.9")


@pytest.mark.parametrize(
    "key, said", [("tyk.versions", "single value"), ("tyk.nothing", "has no"), ("token", "of something else")]
)
def test_variables_that_are_not_edited(place: Any, key: str, said: str) -> None:
    path = place.write("all.yml", VARIABLES)
    assert said in place.refuse(kind="variables", path=str(path), key=key, version="5.8.9")["msg"]


SCRIPT = f"""\
#!/bin/sh
# docker run {OLD}
docker pull {OLD}
docker rm -f gw1 || true
docker run -d --name gw1 -p 8080:8080 \\
  -e SECRET=s3cret \\
  {OLD} --conf=/tyk.conf
sudo docker run -d --name=gw2 "{OLD}"
docker run redis:7
"""


def test_a_script(place: Any) -> None:
    marked = SCRIPT.replace(f"# docker run {OLD}", "#MARK")
    after = marked.replace(OLD, NEW).replace("#MARK", f"# docker run {OLD}")
    other(place, "run.sh", SCRIPT, after, kind="docker_run", image=NEW)


def test_one_container_of_a_script(place: Any) -> None:
    after = SCRIPT.replace(f'gw2 "{OLD}"', f'gw2 "{NEW}"')
    other(place, "run.sh", SCRIPT, after, kind="docker_run", image=NEW, container="gw2")


@pytest.mark.parametrize(
    "before, after",
    [
        (
            "TAG=v5.3.0\ndocker run registry.example.com/tyk-gateway:$TAG\n",
            "TAG=v5.8.9\ndocker run registry.example.com/tyk-gateway:$TAG\n",
        ),
        (
            'export IMAGE="registry.example.com/tyk-gateway:v5.3.0"\ndocker run "${IMAGE}"\n',
            'export IMAGE="registry.example.com/tyk-gateway:v5.8.9"\ndocker run "${IMAGE}"\n',
        ),
        (
            "docker run registry.example.com/tyk-gateway:${TAG:-v5.3.0}\n",
            "docker run registry.example.com/tyk-gateway:${TAG:-v5.8.9}\n",
        ),
    ],
)
def test_a_script_with_variables(place: Any, before: str, after: str) -> None:
    other(place, "run.sh", before, after, kind="docker_run", image=NEW)


@pytest.mark.parametrize(
    "text",
    [
        "docker run redis:7\n",
        "docker run 'x\n",
        "for t in 1 2; do TAG=$t; docker run registry.example.com/tyk-gateway:$TAG; done\n",
    ],
)
def test_a_script_that_is_not_understood(place: Any, text: str) -> None:
    path = place.write("run.sh", text)
    refused = place.refuse(kind="docker_run", path=str(path), image=NEW)
    assert NEW in refused["manual"] and place.text("run.sh") == text


PIN = "# keep\nPackage: {packages}\nPin: version {version}\nPin-Priority: 1001\n\nPackage: *\nPin: origin x\nPin-Priority: 100\n"


@pytest.mark.parametrize(
    "before, after",
    [("5.3.0", "5.8.9"), ("5.3.0*", "5.8.9*"), ("5.3.*", "5.8.9*"), ("5.3.0-1", "5.8.9-1"), ("5.*", "5.*")],
)
def test_a_pin_of_apt(place: Any, before: str, after: str) -> None:
    texts = [PIN.format(packages="tyk-gateway", version=one) for one in (before, after)]
    other(place, "tyk", *texts, kind="apt_preferences", package="tyk-gateway", version="5.8.9")


@pytest.mark.parametrize(
    "packages, said", [("tyk-gateway tyk-pump", "together"), ("tyk-*", "more than"), ("tyk-pump", "no pin")]
)
def test_a_pin_of_apt_that_is_not_moved(place: Any, packages: str, said: str) -> None:
    path = place.write("tyk", PIN.format(packages=packages, version="5.3.0"))
    refused = place.refuse(kind="apt_preferences", path=str(path), package="tyk-gateway", version="5.8.9")
    assert said in refused["msg"] and "5.8.9" in refused["manual"]


TOML = (
    'version = "1.0"\n\n[[packages]]\nname = "bash"\n[[packages.conditions]]\nkey = "evr"\ncomparator = "="\nvalue = "0:5.3.0-1"\n'
    '\n[[packages]]\nname = "tyk-gateway"\ncomment = "ops"\n[[packages.conditions]]\nkey = "evr"\ncomparator = "="\nvalue = "0:{}"\n'
)


@pytest.mark.parametrize(
    "before, after, version",
    [
        (
            "# Added\ntyk-gateway-0:5.3.0-1.*\ntyk-pump-0:1.9.0-1.*\n",
            "# Added\ntyk-gateway-0:5.8.9-1.*\ntyk-pump-0:1.9.0-1.*\n",
            "5.8.9",
        ),
        ("0:tyk-gateway-5.3.0-1.x86_64\n", "0:tyk-gateway-5.8.9-2.x86_64\n", "5.8.9-2"),
        ("tyk-gateway-5.3.0-*\n", "tyk-gateway-5.8.9-*\n", "5.8.9-2"),
        (TOML.format("5.3.0-1"), TOML.format("5.8.9-1"), "5.8.9"),
    ],
)
def test_a_lock_of_dnf(place: Any, before: str, after: str, version: str) -> None:
    other(place, "lock", before, after, kind="dnf_versionlock", package="tyk-gateway", version=version)


def test_a_lock_of_another_edition_is_not_taken_for_it(place: Any) -> None:
    path = place.write("lock", "tyk-gateway-ee-0:5.3.0-1.*\n")
    assert (
        "does not lock"
        in place.refuse(kind="dnf_versionlock", path=str(path), package="tyk-gateway", version="5.8.9")["msg"]
    )


def test_a_folder_that_cannot_be_written(place: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(**_unused: Any) -> None:
        raise PermissionError(13, "Permission denied")

    monkeypatch.setattr("tempfile.mkstemp", refuse)
    path = place.write("all.yml", "v: 5.3.0\n")
    refused = place.refuse(kind="variables", path=str(path), key="v", version="5.8.9")
    assert "cannot be replaced: Permission denied" in refused["msg"] and "By hand" in refused["manual"]
    assert path.read_text() == "v: 5.3.0\n"


def test_a_missing_file_is_said_with_the_edit(place: Any) -> None:
    result = place.edit(kind="env", path="/nowhere/.env", key="TAG", version="5.8.9", image=NEW, unclear="report")
    assert not result["changed"] and "/nowhere/.env" in result["manual"] and "TAG to 5.8.9" in result["manual"]
