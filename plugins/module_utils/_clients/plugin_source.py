# Copyright (c) 2026 tyk.upgrade contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""A plugin's source folder: what of it the compiler gets, and its digest.

Sent is what the compiler image would copy and use: files whose names do not begin with a dot (its shell glob leaves
those out), without compiled plugins, without tests, and without a workspace of the plugin's own, which would hide the
one that the compiler makes for gateway and plugin. The digest covers just what is sent, so a plugin counts as
unchanged exactly when its compiler would see the same.
"""

from __future__ import annotations

import hashlib
import os
from dataclasses import dataclass
from typing import Dict, List, Tuple

from ansible_collections.tyk.upgrade.plugins.module_utils._domain.findings import DomainError, Finding, error
from ansible_collections.tyk.upgrade.plugins.module_utils._domain.go_module import GoMod
from ansible_collections.tyk.upgrade.plugins.module_utils._domain.go_source import left_out
from ansible_collections.tyk.upgrade.plugins.module_utils._domain.source_preparation import (
    Prepared,
    literals_at_risk,
    prepare,
    unreadable,
)


@dataclass(frozen=True)
class PluginSource:
    """The files of a plugin, sorted by name, and what follows from them."""

    path: str
    files: Tuple[Tuple[str, bytes], ...]

    @property
    def digest(self) -> str:
        """sha256 over names and contents."""
        return digest_of(self.files)

    @property
    def module(self) -> str:
        """The module path in go.mod, empty where there is none."""
        return GoMod(dict(self.files).get("go.mod", b"").decode("utf-8", "replace")).module

    @property
    def literals(self) -> List[str]:
        """String literals that compilers which rename the module would change, as `file.go:line: literal`."""
        return literals_at_risk(dict(self.files))

    @property
    def go_files(self) -> int:
        """Number of Go files in the folder itself, where the main package is."""
        return sum(1 for name, _unused in self.files if name.endswith(".go") and "/" not in name and not left_out(name))

    def unreadable(self, plugin: str) -> List[Finding]:
        """Files that no compiler can read."""
        return unreadable(dict(self.files), plugin)

    def prepared(self, plugin: str, version: str, build_id: str) -> Prepared:
        """The same plugin as the compiler of a version has to get it; the folder itself stays as it is."""
        return prepare(dict(self.files), plugin, version, build_id)


def sent(name: str) -> bool:
    """Whether a file of the source folder, by its relative path, goes to the compiler."""
    parts = name.split("/")
    if any(part.startswith(".") for part in parts) or parts[-1] in ("go.work", "go.work.sum"):
        return False
    return not parts[-1].endswith((".so", "_test.go"))


def read_source(plugin: str, path: str) -> PluginSource:
    """Read a plugin's source folder. Raises DomainError (plugin-source-empty, plugin-source-invalid)."""
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
                contents[relative] = _content(plugin, full)
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


def _content(plugin: str, path: str) -> bytes:
    try:
        with open(path, "rb") as source:
            return source.read()
    except OSError as problem:
        raise DomainError(
            error(
                "plugin-source-invalid",
                plugin,
                f"{path} in the source of the plugin {plugin} cannot be read: {problem.strerror}.",
                "Let the user who runs the module read it.",
            )
        ) from problem


def tar_members(files: Tuple[Tuple[str, bytes], ...], folder: str) -> List[Tuple[str, bytes, int]]:
    """The files as members of a tar that is unpacked at the root of a container."""
    return [(f"{folder.strip('/')}/{name}", content, 0o644) for name, content in files]


def digest_of(files: Tuple[Tuple[str, bytes], ...]) -> str:
    """sha256 over names and contents."""
    digest = hashlib.sha256()
    for name, content in files:
        digest.update(f"{name}\0{len(content)}\0".encode())
        digest.update(content)
    return "sha256:" + digest.hexdigest()
