# Copyright (c) 2026 tyk.upgrade contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""A small gateway and plugins for it, built by the Go of this machine: what is said of them can be held against Go itself.

The gateway opens the plugins that it is given with Go's package plugin, exactly as a real one does, and says what came
of each. Modules come from a proxy of files, so that versions are real and nothing is downloaded.
"""

from __future__ import annotations

import io
import os
import shutil
import subprocess
import zipfile
from dataclasses import dataclass
from pathlib import Path
from typing import Dict, List, Sequence

GO = shutil.which("go") or shutil.which("/usr/local/go/bin/go")
POSSIBLE = bool(GO and shutil.which("gcc"))

GATEWAY = """package main

import (
\t"fmt"
\t"os"
\t"plugin"

\t"example.com/dep"
\t"example.com/extra/a"
\t"example.com/gateway/ctx"
)

func main() {
\tfmt.Fprintln(os.Stderr, dep.Hello(a.Name), ctx.Get("x"))
\tfor _, path := range os.Args[1:] {
\t\tif _, err := plugin.Open(path); err != nil {
\t\t\tfmt.Println(err)
\t\t} else {
\t\t\tfmt.Println("ok")
\t\t}
\t}
}
"""
CTX = """package ctx

// Get stands for what gateways offer to plugins.
func Get(key string) string { return key }
"""
PLUGIN = """package main

import (
%s
)

var Setting = "a variable is no hook"

func Hook() string { return fmt.Sprint(%s) }

func Another() {}

func hidden() {}

func main() { hidden() }
"""

#: module -> version -> package -> source
MODULES: Dict[str, Dict[str, Dict[str, str]]] = {
    "example.com/dep": {
        "v1.0.0": {"": 'package dep\n\nfunc Hello(name string) string { return "hello " + name }\n'},
        "v1.1.0": {
            "": 'package dep\n\ntype Option int\n\nfunc Hello(name string, with ...Option) string { return "hi " + name }\n'
        },
    },
    "example.com/extra": {
        version: {
            "a": f'package a\n\nconst Name = "{version}"\n',
            "b": f'package b\n\nfunc Version() string {{ return "{version}" }}\n',
        }
        for version in ("v1.0.0", "v1.1.0")
    },
    "example.com/only": {
        "v1.0.0": {"": "package only\n\nfunc Of() int { return 1 }\n"},
        "v1.1.0": {"": "package only\n\nfunc Of(more ...int) int { return 2 + len(more) }\n"},
    },
}


def write_proxy(folder: Path) -> None:
    """The modules as a module proxy serves them."""
    for module, versions in MODULES.items():
        place = folder / module / "@v"
        place.mkdir(parents=True)
        (place / "list").write_text("\n".join(versions) + "\n")
        for version, packages in versions.items():
            (place / f"{version}.info").write_text(f'{{"Version": "{version}", "Time": "2024-01-01T00:00:00Z"}}')
            (place / f"{version}.mod").write_text(f"module {module}\n\ngo 1.18\n")
            content = io.BytesIO()
            with zipfile.ZipFile(content, "w") as archive:
                root = f"{module}@{version}"
                archive.writestr(f"{root}/go.mod", f"module {module}\n\ngo 1.18\n")
                for package, source in packages.items():
                    name = package or module.rpartition("/")[2]
                    archive.writestr("/".join(filter(None, [root, package, f"{name}.go"])), source)
            (place / f"{version}.zip").write_bytes(content.getvalue())


@dataclass
class GoWorld:
    """Where gateway and plugins are built."""

    folder: Path

    @property
    def gateway(self) -> str:
        return str(self.folder / "tyk")

    def start(self) -> None:
        write_proxy(self.folder / "proxy")
        self.write_gateway("gateway", CTX)
        self.build("gateway", "tyk", ["-trimpath"], ["gateway"])

    def write_gateway(self, name: str, ctx: str) -> None:
        (self.folder / name / "ctx").mkdir(parents=True)
        requires = "require (\n\texample.com/dep v1.0.0\n\texample.com/extra v1.0.0\n)\n"
        (self.folder / name / "go.mod").write_text(f"module example.com/gateway\n\ngo 1.18\n\n{requires}")
        (self.folder / name / "main.go").write_text(GATEWAY)
        (self.folder / name / "ctx" / "ctx.go").write_text(ctx)

    def plugin(
        self,
        name: str,
        uses: Dict[str, str],
        requires: Dict[str, str],
        flags: Sequence[str] = ("-trimpath",),
        gateway: str = "gateway",
    ) -> str:
        """Build a plugin as the compilers since 5.1 do, in a workspace with the gateway's sources.

        uses: import path to an expression over it; requires: module to version.
        """
        folder = self.folder / f"plugin-{name}"
        folder.mkdir()
        imports = "\n".join(f'\t"{path}"' for path in ["fmt", *uses])
        (folder / "main.go").write_text(PLUGIN % (imports, ", ".join(uses.values())))
        lines = "".join(f"require {module} {version}\n" for module, version in requires.items())
        (folder / "go.mod").write_text(f"module tyk.internal/tyk_plugin{name}\n\ngo 1.18\n\n{lines}")
        return self.build(folder.name, f"{name}.so", ["-buildmode=plugin", *flags], [gateway, folder.name])

    def build(self, folder: str, target: str, flags: Sequence[str], uses: Sequence[str] = (), arg: str = ".") -> str:
        path = str(self.folder / target)
        settings = {
            "GOFLAGS": "-modcacherw" if uses else "",
            "GOTOOLCHAIN": "local",
            "CGO_ENABLED": "1",
            "GOSUMDB": "off",
        }
        settings["GOPROXY"] = (self.folder / "proxy").as_uri()
        settings["GOMODCACHE"] = str(self.folder / "modules")
        if uses:
            work = self.folder / f"{target}.work"
            work.write_text("go 1.18\n\n" + "".join(f"use {self.folder / one}\n" for one in uses))
            settings["GOWORK"] = str(work)
        else:
            settings.update({"GO111MODULE": "off", "GOPATH": str(self.folder / "gopath")})
        done = subprocess.run(
            [str(GO), "build", *flags, "-o", path, arg],
            cwd=self.folder / folder,
            env={**os.environ, **settings},
            capture_output=True,
            text=True,
            check=False,
        )
        assert done.returncode == 0, done.stderr
        return path

    def in_gopath(self, name: str) -> str:
        """Build a plugin as the compilers before 5.1 do."""
        folder = self.folder / "gopath" / "src" / f"plugin_{name}"
        folder.mkdir(parents=True)
        (folder / "main.go").write_text(PLUGIN % ('\t"fmt"', "1"))
        return self.build(str(folder), f"{name}.so", ["-buildmode=plugin"])

    def load(self, *plugins: str) -> List[str]:
        """What the gateway says about each plugin, in a process of its own: ok, or Go's own words."""
        done = subprocess.run([self.gateway, *plugins], capture_output=True, text=True, timeout=60, check=False)
        return done.stdout.splitlines() if done.returncode == 0 else [done.stderr.strip().splitlines()[0]]
