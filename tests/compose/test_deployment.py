# Copyright (c) 2026 tyk.upgrade contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The role deployment on a real Compose project: there, back, twice, in check mode, and refused."""

from __future__ import annotations

import os
import shutil
import signal
import sys
from pathlib import Path
from typing import Any

import pytest
from project import BROKEN, NEW, OLD, PROJECT
from settings import ROOT

# The images go with the worker that made them.
pytestmark = pytest.mark.xdist_group("compose")

UPGRADE = ("stage", "apply", "verify")


def test_there_and_back(project: Any) -> None:
    before = project.look()
    predicted = project.deploy("stage", "apply", check=True)
    assert predicted.code == 0, predicted.text
    assert project.look() == before

    done = project.deploy(*UPGRADE)
    assert done.code == 0, done.text
    assert (
        predicted.changed
        == done.changed
        == ["Let the project's file name the image", "Recreate the service's container"]
    )
    after = project.look()
    assert after["files"] == {"compose.yml": PROJECT, ".env": "# what runs\nTAG=v5.8.9  # all of us\n"}
    assert project.image() == [NEW, "running"]
    other = f"{project.name}-gw2-1"
    assert after["containers"][other] == before["containers"][other]
    backup = project.folder.parent / "backup"
    assert [path.read_text() for path in backup.rglob(".env.*")] == [before["files"][".env"]]
    assert list(backup.rglob("container.json")) and list(backup.rglob("hostname"))

    again = project.deploy(*UPGRADE)
    assert again.code == 0 and again.changed == [] and project.look() == after, again.text

    returned = project.deploy("rollback")
    assert returned.code == 0, returned.text
    assert project.look()["files"] == before["files"] and project.image() == [OLD, "running"]
    evidence = [path for path in (backup / "evidence").iterdir() if path.suffix == ".json"]
    assert len(evidence) == 1 and "s3cret-value" not in evidence[0].read_text()


def test_what_cannot_be_started_is_taken_back_at_once(project: Any) -> None:
    before = project.look()
    done = project.deploy(*UPGRADE, image=BROKEN)
    assert done.code != 0
    assert "Docker Compose could not replace" in done.text and "no/such/program" in done.text
    assert project.look()["files"] == before["files"] and project.image() == [OLD, "running"]


PLACE = "/opt/mw/bundles/x/plugin"


def placed(project: Any) -> dict[str, Any]:
    """What is put in place for the new version, and what the old one had there."""
    files = {}
    for option, content in (("files", "new plugin"), ("return_files", "old plugin")):
        path = project.folder.parent / option
        path.write_text(content)
        files[option] = [{"src": str(path), "dest": PLACE}]
    return files


def test_a_mounted_folder_holds_what_each_version_needs(project: Any) -> None:
    folder = project.folder / "mw" / "bundles" / "x"
    folder.mkdir(parents=True)
    (folder / "plugin").write_text("old plugin")
    mounted = PROJECT.replace("    environment:", "    volumes: [./mw:/opt/mw]\n    environment:")
    (project.folder / "compose.yml").write_text(mounted)
    project.compose("up", "--detach")
    done = project.deploy(*UPGRADE, **placed(project))
    assert done.code == 0 and project.image() == [NEW, "running"], done.text
    assert project.content(PLACE) == "new plugin"
    again = project.deploy(*UPGRADE, **placed(project))
    assert again.code == 0 and again.changed == [], again.text
    returned = project.deploy("rollback", **placed(project))
    assert returned.code == 0 and project.image() == [OLD, "running"], returned.text
    assert project.content(PLACE) == "old plugin"


def test_what_was_put_in_a_mounted_folder_is_taken_back_when_the_rest_cannot_be(project: Any) -> None:
    (project.folder / "mw" / "bundles" / "x").mkdir(parents=True)
    (project.folder / "mw" / "bundles" / "x" / "plugin").write_text("old plugin")
    mounted = PROJECT.replace("    environment:", "    volumes: [./mw:/opt/mw]\n    environment:")
    (project.folder / "compose.yml").write_text(mounted)
    project.compose("up", "--detach")
    before, files = project.look(), placed(project)
    files["files"].append({"src": str(project.folder / "nowhere"), "dest": f"{PLACE}-2"})
    done = project.deploy(*UPGRADE, **files)
    assert done.code != 0 and "could not replace" in done.text and "nowhere" in done.text
    assert project.look()["files"] == before["files"] and project.image() == [OLD, "running"]
    assert project.content(PLACE) == "old plugin"


def test_a_container_made_anew_has_what_the_old_one_had_before_it_starts(project: Any) -> None:
    # It says what it found when it started: without its plugin a gateway would download that of the new version.
    command = f"    command: [sh, -c, 'cat {PLACE} >/found 2>/dev/null; sleep infinity']\n    environment:"
    (project.folder / "compose.yml").write_text(PROJECT.replace("    environment:", command, 1))
    project.compose("up", "--detach")
    done = project.deploy(*UPGRADE, **placed(project))
    assert done.code == 0 and project.content("/found") == "", done.text
    returned = project.deploy("rollback", **placed(project))
    assert returned.code == 0 and project.image() == [OLD, "running"], returned.text
    assert project.content("/found") == project.content(PLACE) == "old plugin"


#: Stands before the docker command: at its n-th call that changes something it ends the run that called it.
KILLER = """\
#!{python}
import os, pathlib, signal, subprocess, sys

def end_the_run():
    above, last, pid = [], 0, os.getppid()
    while pid > 1:
        above.append(pid)
        if b"ansible-playbook" in pathlib.Path(f"/proc/{{pid}}/cmdline").read_bytes():
            last = len(above)
        pid = int(pathlib.Path(f"/proc/{{pid}}/stat").read_text().rpartition(")")[2].split()[1])
    for one in reversed(above[:last]):
        os.kill(one, signal.SIGKILL)

calls = pathlib.Path("{calls}")
changes = "up" in sys.argv or "stop" in sys.argv
if changes:
    calls.write_text(calls.read_text() + "x" if calls.exists() else "x")
    if len(calls.read_text()) == {number} and {before}:
        end_the_run()
        sys.exit(1)
code = subprocess.run(["{docker}", *sys.argv[1:]]).returncode
if changes and len(calls.read_text()) == {number}:
    end_the_run()
sys.exit(code)
"""


def killed(project: Any, tmp_path: Path, number: int, before: bool, *parts: str, **how: Any) -> Any:
    """A run that ends before or after the n-th call of Compose that changes something."""
    folder = tmp_path / f"bin-{number}-{before}"
    folder.mkdir()
    docker = folder / "docker"
    docker.write_text(
        KILLER.format(
            python=sys.executable, calls=folder / "calls", number=number, before=before, docker=shutil.which("docker")
        )
    )
    docker.chmod(0o755)
    done = project.deploy(*parts, env={"PATH": f"{folder}:{os.environ['PATH']}"}, **how)
    assert done.code == -signal.SIGKILL, done.text
    return done


@pytest.mark.parametrize(("number", "before"), [(1, False), (3, True), (3, False)])
def test_a_way_back_that_was_killed_between_create_put_and_start_is_repaired_by_the_next_run(
    project: Any, tmp_path: Path, number: int, before: bool
) -> None:
    done = project.deploy(*UPGRADE, **placed(project))
    assert done.code == 0, done.text
    cut = killed(project, tmp_path, number, before, "rollback", **placed(project))
    predicted = project.deploy("repair", check=True, **placed(project))
    repaired = project.deploy("repair", **placed(project))
    assert repaired.code == 0 and predicted.changed == repaired.changed, cut.text + repaired.text
    assert project.image() == [OLD, "running"] and project.content(PLACE) == "old plugin"
    assert project.deploy("repair").changed == []
    again = project.deploy(*UPGRADE, **placed(project))
    assert again.code == 0 and project.image() == [NEW, "running"], again.text


def test_a_run_that_was_cut_off_after_the_edit_is_finished(project: Any) -> None:
    (project.folder / ".env").write_text("TAG=v5.8.9\n")
    predicted, done = project.deploy("apply", check=True), project.deploy("apply", "verify")
    assert predicted.changed == done.changed == ["Recreate the service's container"], predicted.text + done.text
    assert project.image() == [NEW, "running"]


def refused(project: Any, said: str, **how: Any) -> None:
    before = project.look()
    done = project.deploy("stage", **how)
    assert done.code != 0 and said in " ".join(done.text.split()), done.text
    assert done.changed == [] and project.look() == before


def test_a_service_of_several_containers_is_refused(project: Any) -> None:
    project.compose("up", "--detach", "--scale", "gw1=2")
    refused(project, "one inventory host is one container")


def test_a_project_that_compose_cannot_read_is_refused(project: Any) -> None:
    (project.folder / "compose.yml").write_text(PROJECT + "  gw3: {image: [}\n")
    refused(project, "compose.yml")


def test_an_image_that_is_not_understood_is_refused_with_the_edit_to_make(project: Any) -> None:
    (project.folder / ".env").write_text("BASE=v5.3.0\nTAG=${BASE}\n")
    refused(project, f"By hand: in {project.folder}/compose.yml set services.gw1.image to {NEW}")


def test_a_host_without_compose_is_refused(project: Any, tmp_path: Path) -> None:
    plain = tmp_path / "bin"
    plain.mkdir()
    docker = plain / "docker"
    docker.write_text(
        "#!/bin/sh\n"
        '[ "$1" = compose ] && { echo "docker: \'compose\' is not a docker command." >&2; exit 1; }\n'
        f'exec {shutil.which("docker")} "$@"\n'
    )
    docker.chmod(0o755)
    refused(project, "'compose' is not a docker command", env={"PATH": f"{plain}:{os.environ['PATH']}"})


def test_a_controller_without_the_collection_is_refused(project: Any, tmp_path: Path) -> None:
    bare = tmp_path / "collections" / "ansible_collections" / "tyk"
    bare.mkdir(parents=True)
    (bare / "upgrade").symlink_to(ROOT)
    refused(
        project,
        "ansible-galaxy collection install community.docker",
        env={"ANSIBLE_COLLECTIONS_PATH": str(bare.parents[1]), "ANSIBLE_COLLECTIONS_SCAN_SYS_PATH": "false"},
    )


def test_other_files_say_the_version_afterwards_or_the_edit_is_said(project: Any) -> None:
    script, variables = project.folder / "run.sh", project.folder / "all.yml"
    script.write_text(f"docker run -d \\\n  --name old -e S=1 {OLD}\n")
    variables.write_text("versions:\n  gateway: 5.3.0   # bump\n")
    sources = [
        {"kind": "docker_run", "path": str(script), "component": "gateway"},
        {"kind": "variables", "path": str(variables), "key": "versions.gateway", "component": "gateway"},
        {"kind": "env", "path": "/no/such/file", "key": "TAG", "component": "gateway"},
    ]
    predicted = project.deploy("source", sources=sources, check=True)
    assert OLD in script.read_text() and predicted.code == 0, predicted.text
    done = project.deploy("source", sources=sources)
    assert predicted.changed == done.changed == ["Let your own files say the version that runs"] * 2, done.text
    assert NEW in script.read_text() and variables.read_text() == "versions:\n  gateway: 5.8.9   # bump\n"
    assert "By hand: in /no/such/file set TAG to 5.8.9." in " ".join(done.text.split())
    again = project.deploy("source", sources=sources)
    assert again.code == 0 and again.changed == []
