# Copyright (c) 2026 tyk.upgrade contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""A plugin's source folder: what of it the compiler gets, and its digest.

Sent is what the compiler image would copy and use: files whose names do not begin with a dot (its shell glob leaves
those out), without compiled plugins and without tests. The digest covers just what is sent, so a plugin counts as
unchanged exactly when its compiler would see the same.
"""

from __future__ import annotations

import hashlib
import os
import re
from dataclasses import dataclass
from typing import Dict, List, Tuple

from ansible_collections.tyk.upgrade.plugins.module_utils._domain.findings import DomainError, error

#: Module path that the compiler itself uses (5.2.4 and later); earlier ones ignore the build id, so it is done here.
UNIQUE_MODULE = "tyk.internal/tyk_plugin{build_id}"


@dataclass(frozen=True)
class PluginSource:
    """The files of a plugin, sorted by name, and what follows from them."""

    path: str
    files: Tuple[Tuple[str, bytes], ...]

    @property
    def digest(self) -> str:
        """sha256 over names and contents."""
        digest = hashlib.sha256()
        for name, content in self.files:
            digest.update(f"{name}\0{len(content)}\0".encode())
            digest.update(content)
        return "sha256:" + digest.hexdigest()

    @property
    def module(self) -> str:
        """The module path in go.mod, empty where there is none."""
        for name, content in self.files:
            if name == "go.mod":
                return module_of(content.decode("utf-8", "replace"))
        return ""

    @property
    def go_files(self) -> int:
        """Number of Go files in the folder itself, where the main package is."""
        return sum(1 for name, _unused in self.files if name.endswith(".go") and "/" not in name)

    def renamed(self, build_id: str) -> PluginSource:
        """The same plugin under a module path of its own, for compilers that ignore the build id.

        Only the module line and imports of the plugin's own packages change.
        """
        old, new = self.module, UNIQUE_MODULE.format(build_id=build_id)
        if not old:
            return PluginSource(self.path, (*self.files, ("go.mod", f"module {new}\n".encode())))
        return PluginSource(self.path, tuple((name, _renamed(name, content, old, new)) for name, content in self.files))


def module_of(go_mod: str) -> str:
    """The module path of a go.mod file's text."""
    match = re.search(r'^\s*module\s+"?([^\s"/][^\s"]*)"?', go_mod, re.MULTILINE)
    return match.group(1) if match else ""


def _renamed(name: str, content: bytes, old: str, new: str) -> bytes:
    if name == "go.mod":
        return re.sub(rb'^(\s*module\s+)"?[^\s"]+"?', rb"\1" + new.encode(), content, count=1, flags=re.MULTILINE)
    if not name.endswith(".go"):
        return content
    return rename_imports(content.decode("utf-8", "surrogateescape"), old, new).encode("utf-8", "surrogateescape")


_IMPORTS = re.compile(r"^import\s*(?:\([^)]*\)|[^\n]*)", re.MULTILINE)


def rename_imports(text: str, old: str, new: str) -> str:
    """Go source with imports of `old` and of packages below it under `new`; other string literals stay."""
    quoted = re.compile(rf'"{re.escape(old)}(/[^"]*)?"')
    return _IMPORTS.sub(lambda block: quoted.sub(lambda one: f'"{new}{one.group(1) or ""}"', block.group(0)), text)


def sent(name: str) -> bool:
    """Whether a file of the source folder, by its relative path, goes to the compiler."""
    parts = name.split("/")
    return not any(part.startswith(".") for part in parts) and not parts[-1].endswith((".so", "_test.go"))


def read_source(plugin: str, path: str) -> PluginSource:
    """Read a plugin's source folder. Raises DomainError (plugin-source-empty) with a sentence."""
    if not os.path.isdir(path):
        raise DomainError(
            error(
                "plugin-source-empty",
                plugin,
                f"The source folder {path} of the plugin {plugin} does not exist on the host that compiles.",
                "Check the path; a relative one is taken from the folder the module runs in.",
            )
        )
    contents: Dict[str, bytes] = {}
    for folder, folders, names in os.walk(path):
        folders[:] = sorted(one for one in folders if not one.startswith("."))
        for name in names:
            relative = os.path.relpath(os.path.join(folder, name), path).replace(os.sep, "/")
            full = os.path.join(folder, name)
            if sent(relative) and os.path.isfile(full):
                with open(full, "rb") as source:
                    contents[relative] = source.read()
    found = PluginSource(path, tuple(sorted(contents.items())))
    if not found.go_files:
        raise DomainError(
            error(
                "plugin-source-empty",
                plugin,
                f"The source folder {path} of the plugin {plugin} holds no Go files.",
                "The package main of the plugin has to lie in this folder itself.",
            )
        )
    return found


def tar_members(source: PluginSource, folder: str) -> List[Tuple[str, bytes, int]]:
    """The files as members of a tar that is unpacked at the root of a container."""
    return [(f"{folder.strip('/')}/{name}", content, 0o644) for name, content in source.files]
