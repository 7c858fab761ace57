# Copyright (c) 2026 tyk.upgrade contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The command-line contract of the plugin compiler: in GOPATH up to 5.0, in a Go workspace since 5.1."""

from __future__ import annotations

import io
import os
import subprocess
import tarfile
from dataclasses import dataclass
from pathlib import Path

import pytest
from subject import Version, docker

GOOD = """package main

import "net/http"

var header = "conformance-plugin-header"

func Hook(w http.ResponseWriter, _ *http.Request) { w.Header().Set(header, "yes") }

func main() {}
"""
MODULE = "module conformance-plugin\n\ngo 1.19\n"
# In GOPATH a go.mod is only good for vendoring, and one that requires nothing is in nobody's way.
SOURCE: dict[str, str | bytes] = {"main.go": GOOD, "go.mod": MODULE}


@dataclass(frozen=True)
class Run:
    code: int
    text: str
    files: dict[str, bytes]


class Compiler:
    def __init__(self, image: str, folder: Path) -> None:
        self.image, self.folder = image, folder

    def __call__(self, files: dict[str, str | bytes], *arguments: str) -> Run:
        """One build in a container of its own; files in and out by the engine's archive API."""
        source = self.folder / f"source{len(list(self.folder.iterdir()))}"
        source.mkdir()
        for name, content in files.items():
            (source / name).parent.mkdir(exist_ok=True)
            (source / name).write_bytes(content if isinstance(content, bytes) else content.encode())
        container = docker("create", self.image, *arguments).stdout.strip()
        try:
            docker("cp", f"{source}/.", f"{container}:/plugin-source")
            done = docker("start", "-a", container, check=False)
            return Run(done.returncode, done.stdout + done.stderr, self._files(container))
        finally:
            docker("rm", "-f", container, check=False)

    def _files(self, container: str) -> dict[str, bytes]:
        target = self.folder / f"{container[:12]}.tar"
        with target.open("wb") as file:
            subprocess.run(["docker", "cp", f"{container}:/plugin-source/.", "-"], stdout=file, check=True)
        found = {}
        with tarfile.open(fileobj=io.BytesIO(target.read_bytes())) as archive:
            for member in archive.getmembers():
                content = archive.extractfile(member) if member.isfile() else None
                if content:
                    found[member.name.removeprefix("./")] = content.read()
        return found


@pytest.fixture
def compiler(tmp_path: Path, version: Version) -> Compiler:
    image = os.environ.get("CONFORMANCE_COMPILER")
    if not image:
        pytest.skip("CONFORMANCE_COMPILER is not set")
    return Compiler(image, tmp_path)


@pytest.fixture
def output(version: Version) -> str:
    return f"hook_v{version}_linux_amd64.so" if version.since("4.1.0") else "hook.so"


def has_path(data: bytes, version: Version, build_id: str = "", module: str = "conformance-plugin") -> bool:
    """Whether Go knows the build by the path that it must have: its symbols begin with it.

    What Go wrote into it about modules says so too from 1.21 on; what 1.19 writes does not stay in a plugin that never reads it.
    """
    if not version.since("5.0.3"):
        path = f"plugin_hook{build_id}"
    elif not version.since("5.1.0"):
        path = f"github.com/TykTechnologies/plugin_hook{build_id}"
    else:
        path = f"tyk.internal/tyk_plugin{build_id}" if version.since("5.2.4") and build_id else module
    return f"\0{path}.Hook\0".encode() in data and (not version.since("5.3.0") or f"path\t{path}\n".encode() in data)


def test_the_output_has_the_name_of_its_version(compiler: Compiler, version: Version, output: str) -> None:
    """The stem, the version and the platform since 4.1.0, before just what the first argument says."""
    run = compiler(SOURCE, "hook.so")
    assert run.code == 0, run.text
    assert {name for name in run.files if name.endswith(".so")} == {output}
    assert has_path(run.files[output], version)
    assert b"conformance-plugin-header" in run.files[output]
    if version.since("5.0.3"):
        assert "PLUGIN_BUILD_PATH:" in run.text


def test_what_an_id_does(compiler: Compiler, version: Version, output: str) -> None:
    """It names the folder, and so the path, up to 5.0; nothing from 5.1.0 to 5.2.3; renames the module since."""
    first = compiler(SOURCE, "hook.so", "tq1", "linux", "amd64")
    again = compiler(SOURCE, "hook.so", "tq1", "linux", "amd64")
    assert first.code == 0, first.text
    assert has_path(first.files[output], version, "tq1"), first.text
    assert first.files[output] == again.files[output], "the same source and id must give the same bytes"
    if version.since("5.2.4"):  # every string that begins with the module's name, too
        assert b"tyk.internal/tyk_plugintq1-header" in first.files[output]
    else:
        assert b"conformance-plugin-header" in first.files[output]


def test_where_a_go_mod_is_needed(compiler: Compiler, version: Version, output: str) -> None:
    run = compiler({"main.go": GOOD}, "hook.so", "tq2")
    if version.since("5.1.0") and not version.since("5.2.4"):
        assert run.code == 1 and "go.work" in run.text
    else:
        assert run.code == 0, run.text
        assert has_path(run.files[output], version, "tq2", "tyk.internal/tyk_plugintq2")


def test_the_compiler_carries_a_gateway_since_5_2_3(compiler: Compiler, version: Version) -> None:
    done = docker("run", "--rm", "--entrypoint=/usr/local/bin/tyk", compiler.image, "version", check=False)
    assert (done.returncode == 0) == version.since("5.2.3"), done.stdout + done.stderr


def test_in_gopath_own_packages_do_not_resolve(compiler: Compiler, version: Version) -> None:
    source = {
        "main.go": GOOD.replace("import", 'import _ "conformance-plugin/own"\nimport'),
        "own/own.go": "package own\n",
    }
    if version.since("5.1.0"):
        source["go.mod"] = MODULE
    run = compiler({**source}, "hook.so", "tq4")
    if version.since("5.1.0"):
        assert run.code == 0, run.text
    else:
        assert run.code == 1 and "conformance-plugin/own" in run.text


def test_the_go_mod_of_gopath_times_must_name_the_gateways_commit(compiler: Compiler, version: Version) -> None:
    """What it does not say is looked for and not found; from 5.0.3 on that is not an error."""
    if version.since("5.1.0"):
        pytest.skip("a Go workspace supplies it")
    source = GOOD.replace("import", 'import _ "github.com/TykTechnologies/tyk/ctx"\nimport')
    run = compiler({"main.go": source, "go.mod": MODULE}, "hook.so", "tq5")
    assert run.code == (0 if version.since("5.0.3") else 1), run.text


def test_without_an_argument_it_says_how_it_is_used(compiler: Compiler) -> None:
    run = compiler(SOURCE)
    assert run.code == 1
    assert run.text.strip()


@pytest.mark.parametrize(
    ("files", "words"),
    [
        ({"main.go": GOOD.replace("func Hook", "func 1Hook"), "go.mod": MODULE}, "./main.go:7:6: syntax error"),
        (
            {"main.go": GOOD.replace("package main", "package other"), "go.mod": MODULE},
            "requires exactly one main package",
        ),
        ({"go.mod": MODULE}, "no Go files in"),
        (
            {"main.go": GOOD.replace("import", 'import _ "nowhere.invalid/none"\nimport'), "go.mod": MODULE},
            "nowhere.invalid/none",
        ),
    ],
    ids=["syntax", "package", "empty", "import"],
)
def test_a_failure_has_a_status_and_leaves_an_older_output_alone(
    compiler: Compiler, version: Version, output: str, files: dict[str, str | bytes], words: str
) -> None:
    run = compiler({**files, output: b"older"}, "hook.so", "tq3")
    # Up to Go 1.19 what the compiler refuses has status 2.
    assert run.code in ((1,) if version.since("5.3.0") else (1, 2))
    assert words in run.text
    assert run.files.get(output) == b"older"
