# Copyright (c) 2026 tyk.upgrade contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""A plugin's source as the compiler of a gateway version has to get it.

The module is renamed to the very path that the compiler would give it: compilers that ignore the build id then make a
unique plugin path all the same, later ones find nothing to rewrite (they would also rewrite string literals that begin
with the module's name), and in the GOPATH era the plugin's own packages resolve. Rules from
ci/images/plugin-compiler/data/build.sh of each tag.
"""

from __future__ import annotations

import posixpath
import re
from dataclasses import dataclass
from typing import Dict, List, Mapping, Optional, Tuple

from ansible_collections.tyk.upgrade.plugins.module_utils._domain.compilers import (
    GOPATH,
    CompilerContract,
    compiler_contract,
)
from ansible_collections.tyk.upgrade.plugins.module_utils._domain.findings import (
    Finding,
    error,
    has_errors,
    info,
    warning,
)
from ansible_collections.tyk.upgrade.plugins.module_utils._domain.go_module import GoMod, Replace
from ansible_collections.tyk.upgrade.plugins.module_utils._domain.go_source import (
    head,
    left_out,
    of_one_machine,
    rename_imports,
    rewritten_literals,
    within,
)
from ansible_collections.tyk.upgrade.plugins.module_utils._domain.releases import known, release
from ansible_collections.tyk.upgrade.plugins.module_utils._domain.releases_data import REPLACES

TYK = "github.com/TykTechnologies/tyk"

#: From this line in go.mod on, Go leaves out what only dependencies of dependencies require (module graph pruning).
PRUNED_GRAPH = 17

#: Go leaves out files of a package of this name.
DOCUMENTATION = "documentation"

#: How many literals are named, and how much of each.
LITERALS_SHOWN = 20
LITERAL_LENGTH = 60

_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]*")
_BUILD_ID = re.compile(r"[A-Za-z0-9._+-]+")
_GO_VERSION = re.compile(r"1\.(\d+)")


@dataclass(frozen=True)
class Prepared:
    """The files that are sent, and what is to be said about them."""

    files: Tuple[Tuple[str, bytes], ...]
    findings: Tuple[Finding, ...] = ()

    @property
    def usable(self) -> bool:
        """Whether a compiler can be started with them."""
        return not has_errors(self.findings)


def replaces(version: str) -> List[Replace]:
    """The replace directives in go.mod of a release."""
    return [Replace(*row[:4]) for row in REPLACES if version in row[4].split()]


def prepare(files: Mapping[str, bytes], plugin: str, version: str, build_id: str) -> Prepared:
    """The files of a plugin's source folder, by relative path, made ready for the compiler of a version."""
    contract = compiler_contract(version)
    subject = f"{plugin} for {version}"
    if contract.unusable:
        return Prepared((), (_unusable(contract, subject, version),))
    findings = [*_names(plugin, build_id), *unreadable(files, plugin), *_packages(files, plugin)]
    go_mod = GoMod(_text(files["go.mod"])) if "go.mod" in files else None
    prepared = dict(files)
    if go_mod is None:
        if contract.needs_go_mod:
            prepared["go.mod"] = _new_go_mod(version, contract.built_path(plugin, build_id))
    else:
        findings += [*_go_lines(go_mod, subject, version), *_replaces(files, go_mod, contract, subject, version)]
        prepared = _renamed(files, go_mod, contract.built_path(plugin, build_id))
        prepared["go.mod"] = _edited(GoMod(_text(prepared["go.mod"])), files, contract, version).text.encode()
    return Prepared(tuple(sorted(prepared.items())), tuple(findings))


def literals_at_risk(files: Mapping[str, bytes]) -> List[str]:
    """What compilers that rename the module themselves would change beside imports, as `file.go:line: literal`.

    Long ones are shortened; where there are more than LITERALS_SHOWN, a last entry says how many.
    """
    module = GoMod(_text(files.get("go.mod", b""))).module
    found = [
        f"{name}:{line}: {_shortened(literal)}"
        for name in sorted(files)
        if module and name.endswith(".go") and not name.startswith("vendor/") and not left_out(name)
        for line, literal in rewritten_literals(_text(files[name]), module)
    ]
    more = len(found) - LITERALS_SHOWN
    return found if more <= 0 else [*found[:LITERALS_SHOWN], f"{more} more"]


def _shortened(literal: str) -> str:
    line = literal.split("\n", 1)[0]
    return literal if len(literal) <= LITERAL_LENGTH and line == literal else f"{line[:LITERAL_LENGTH]}…"


# -- what cannot work --------------------------------------------------------------------------------------------------


def _unusable(contract: CompilerContract, subject: str, version: str) -> Finding:
    return error(
        "compiler-unusable",
        subject,
        f"The plugin compiler of {version} cannot build what that gateway loads.",
        "Go through another patch release of that line, or give a plugin that was built by other means.",
        contract.source,
    )


def _names(plugin: str, build_id: str) -> List[Finding]:
    findings = []
    if not _NAME.fullmatch(plugin):
        findings.append(
            error(
                "setting-invalid",
                plugin,
                f"The plugin is called {plugin!r}, of which the compiler could not make the name of a file and a folder.",
                "Use letters, digits, dots, underscores and hyphens.",
            )
        )
    if not _BUILD_ID.fullmatch(build_id):
        findings.append(
            error(
                "setting-invalid",
                plugin,
                f"The build id of the plugin {plugin} is {build_id!r}, which cannot be part of a module's path.",
                "Use letters, digits, dots, underscores, hyphens and plus signs.",
            )
        )
    return findings


def unreadable(files: Mapping[str, bytes], plugin: str) -> List[Finding]:
    """Files that no release of Go can read."""
    found = [
        (name, "it is not written in UTF-8", "Save it as UTF-8.")
        for name in sorted(files)
        if (name == "go.mod" or (name.endswith(".go") and not left_out(name))) and _in_utf_16(files[name])
    ]
    if "go.mod" in files and "go.mod" not in [name for name, *_unused in found]:
        problem = GoMod(_text(files["go.mod"])).problem
        if problem:
            found.append(("go.mod", problem, "Correct it; 'go mod edit -json' in that folder says whether Go can read it."))
    return [
        error(
            "plugin-source-invalid",
            plugin,
            f"Go cannot read {name} in the source of the plugin {plugin}: {problem}.",
            remedy,
        )
        for name, problem, remedy in found
    ]


def _in_utf_16(content: bytes) -> bool:
    return content.startswith((b"\xff\xfe", b"\xfe\xff")) or b"\0" in content


def _packages(files: Mapping[str, bytes], plugin: str) -> List[Finding]:
    """Go files of the source folder itself that belong to another package than main, unless Go may leave them out."""
    others: Dict[str, str] = {}
    for name in sorted(files):
        if not name.endswith(".go") or "/" in name or left_out(name) or of_one_machine(name):
            continue
        found = head(_text(files[name]))
        if found is not None and not found.constrained and found.package not in ("main", DOCUMENTATION):
            others[name] = found.package
    if not others:
        return []
    listed = ", ".join(f"{name} ({package})" for name, package in others.items())
    return [
        error(
            "plugin-source-invalid",
            plugin,
            f"In the source of the plugin {plugin} these files do not belong to package main: {listed}.",
            "A plugin is one package main; let the files say so, or move another package into a folder of its own.",
        )
    ]


def _minor(version: str) -> Optional[int]:
    match = _GO_VERSION.match(version)
    return int(match.group(1)) if match else None


def _go_lines(go_mod: GoMod, subject: str, version: str) -> List[Finding]:
    """A go line that asks for more than the toolchain of the gateway, which Go itself enforces since 1.21."""
    if not known(version):
        return []
    wanted, have = _minor(go_mod.go), _minor(release(version).go_version)
    if wanted is None or have is None or wanted <= have:
        return []
    message = f"go.mod of {subject} says go {go_mod.go}, but the gateway {version} is built with Go 1.{have}."
    remedy = f"Write a source that Go 1.{have} can build and say go 1.{have} in its go.mod."
    source = "https://go.dev/doc/toolchain"
    if have >= 21:
        return [error("plugin-source-invalid", subject, message, remedy, source)]
    return [warning("plugin-source-invalid", subject, message + " It may use what that Go does not know.", remedy, source)]


def _replaces(
    files: Mapping[str, bytes], go_mod: GoMod, contract: CompilerContract, subject: str, version: str
) -> List[Finding]:
    findings = []
    theirs = {(one.old, one.old_version): one for one in replaces(version)}
    for mine in go_mod.replaces:
        other = theirs.get((mine.old, mine.old_version))
        if mine.old == TYK:
            findings.append(
                info(
                    "plugin-source-invalid",
                    subject,
                    f"go.mod of {subject} replaces {TYK} by {mine.new}; this was left out.",
                    f"Nothing is to be done: the compiler builds against the sources of {version}.",
                )
            )
        elif mine.local and _outside(mine.new):
            findings.append(
                error(
                    "plugin-source-invalid",
                    subject,
                    f"go.mod of {subject} replaces {mine.old} by the folder {mine.new}, which lies outside of the "
                    f"plugin's source, so no compiler gets it.",
                    "Move that folder into the plugin's source, or require a published version.",
                )
            )
        elif mine.local and not any(within(name, posixpath.normpath(mine.new)) for name in files):
            findings.append(
                error(
                    "plugin-source-invalid",
                    subject,
                    f"go.mod of {subject} replaces {mine.old} by the folder {mine.new}, which is not in the plugin's "
                    f"source.",
                    "Correct the path; folders whose names begin with a dot are not sent.",
                )
            )
        elif other is not None and (mine.new, mine.new_version) != (other.new, other.new_version):
            findings.append(
                error(
                    "plugin-source-invalid",
                    subject,
                    f"go.mod of {subject} replaces {mine.text}, but the gateway {version} itself replaces "
                    f"{other.text}, so a plugin built this way would not load.",
                    f"Leave the replacement of {mine.old} out of the plugin's go.mod.",
                    f"v{version}:go.mod",
                )
            )
    if contract.mode == GOPATH and go_mod.replaces and _vendored(files):
        findings.append(
            info(
                "plugin-source-invalid",
                subject,
                f"{subject} brings a vendor folder, so its go.mod is not read by the compiler of {version}.",
                "Nothing is to be done as long as the vendor folder is complete.",
                contract.source,
            )
        )
    return findings


def _outside(folder: str) -> bool:
    return folder.startswith("/") or posixpath.normpath(folder).split("/")[0] == ".."


# -- what is changed ---------------------------------------------------------------------------------------------------


def _new_go_mod(version: str, path: str) -> bytes:
    """What `go mod init` would write there; without a go line, Go would take the plugin for one of Go 1.16."""
    go_line = f"\ngo {release(version).go_version}\n" if known(version) else ""
    return f"module {path}\n{go_line}".encode()


def _renamed(files: Mapping[str, bytes], go_mod: GoMod, path: str) -> Dict[str, bytes]:
    """All files with the module under its new path: the module line and imports, never a string literal."""
    own = go_mod.module
    others = [name for name, _unused in go_mod.requires] + [one.old for one in go_mod.replaces]
    keep = sorted({other for other in others if own and within(other, own) and other != own})
    renamed = {}
    for name, content in files.items():
        if name.endswith(".go") and own and not name.startswith("vendor/"):
            text = content.decode("utf-8", "surrogateescape")
            renamed[name] = rename_imports(text, own, path, keep).encode("utf-8", "surrogateescape")
        else:
            renamed[name] = content
    renamed["go.mod"] = go_mod.with_module(path).text.encode()
    return renamed


def _edited(go_mod: GoMod, files: Mapping[str, bytes], contract: CompilerContract, version: str) -> GoMod:
    """go.mod with the gateway's own commit where the gateway's module is needed, and as this Go can read it."""
    edited = go_mod.without_toolchain().without_replace(TYK)
    if not known(version):
        return edited
    have = _minor(release(version).go_version)
    wanted = _minor(go_mod.go)
    if have is not None and have < 21 and wanted is not None:
        edited = edited.with_go(f"1.{wanted}")  # those accept no patch level on this line
    required = any(name == TYK for name, _unused in go_mod.requires)
    fetches = contract.mode == GOPATH and not _vendored(files)
    if required or (fetches and _imports_tyk(files)):
        edited = edited.requiring(TYK, release(version).pseudo_version).replacing(replaces(version))
    if required and contract.workspace:
        # The image's own sources, beside which the plugin is built: nothing has to be fetched to read their go.mod.
        edited = edited.replacing([Replace(TYK, "", "../tyk", "")])
        if wanted is None or wanted < PRUNED_GRAPH:
            # For less Go would read all that the gateway's own requirements require, and take the newest of it.
            edited = edited.with_go(f"1.{PRUNED_GRAPH}")
    return edited


def _vendored(files: Mapping[str, bytes]) -> bool:
    return any(name.startswith("vendor/") for name in files)


def _imports_tyk(files: Mapping[str, bytes]) -> bool:
    for name, content in files.items():
        if name.endswith(".go") and not name.startswith("vendor/"):
            found = head(_text(content))
            if found is not None and any(within(path, TYK) for path in found.paths):
                return True
    return False


def _text(content: bytes) -> str:
    return content.decode("utf-8", "replace")
