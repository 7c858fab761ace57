# Copyright (c) 2026 tyk.upgrade contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The command-line contract of the plugin compiler of 5.2.4 and later."""

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
    if not version.since("5.2.4"):
        pytest.skip("an older compiler has another contract")
    return Compiler(image, tmp_path)


@pytest.fixture
def output(version: Version) -> str:
    return f"hook_v{version}_linux_amd64.so"


def test_the_output_has_the_stem_the_version_and_the_platform_in_its_name(compiler: Compiler, output: str) -> None:
    run = compiler({"main.go": GOOD, "go.mod": MODULE}, "hook.so")
    assert run.code == 0, run.text
    assert "PLUGIN_BUILD_PATH:" in run.text
    assert {name for name in run.files if name.endswith(".so")} == {output}
    assert b"path\tconformance-plugin\n" in run.files[output]
    assert b"conformance-plugin-header" in run.files[output]


def test_an_id_makes_the_path_and_rewrites_strings_that_begin_with_the_module(compiler: Compiler, output: str) -> None:
    first = compiler({"main.go": GOOD, "go.mod": MODULE}, "hook.so", "tq1", "linux", "amd64")
    again = compiler({"main.go": GOOD, "go.mod": MODULE}, "hook.so", "tq1", "linux", "amd64")
    assert first.code == 0, first.text
    assert b"path\ttyk.internal/tyk_plugintq1\n" in first.files[output]
    assert b"tyk.internal/tyk_plugintq1-header" in first.files[output]
    assert first.files[output] == again.files[output], "the same source and id must give the same bytes"


def test_a_missing_go_mod_is_made(compiler: Compiler, output: str) -> None:
    run = compiler({"main.go": GOOD}, "hook.so", "tq2")
    assert run.code == 0, run.text
    assert b"path\ttyk.internal/tyk_plugintq2\n" in run.files[output]


def test_without_an_argument_it_says_how_it_is_used(compiler: Compiler) -> None:
    run = compiler({"main.go": GOOD, "go.mod": MODULE})
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
def test_a_failure_has_status_1_and_leaves_an_older_output_alone(
    compiler: Compiler, output: str, files: dict[str, str | bytes], words: str
) -> None:
    run = compiler({**files, output: b"older"}, "hook.so", "tq3")
    assert run.code == 1
    assert words in run.text
    assert run.files.get(output) == b"older"
