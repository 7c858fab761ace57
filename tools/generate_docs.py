# Copyright (c) 2026 tyk.upgrade contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Write pages below docs/ from what the code says: the roles' argument specs, the list of findings, the rules by version."""

from __future__ import annotations

import importlib
import re
import runpy
import sys
import types
from pathlib import Path
from typing import Any, Dict, Iterable, List, Sequence

import yaml

ROOT = Path(__file__).resolve().parents[1]
NOTE = "<!-- Written by tools/generate_docs.py; change the source it names instead. -->\n"


def plain(text: str) -> str:
    """Ansible's markup as Markdown."""
    return re.sub(r"\b[OVCEM]\(([^)]*)\)", r"`\1`", text).replace("|", "\\|")


def variables() -> str:
    """Every variable of every role's argument specs, the shared ones first."""
    described: Dict[str, Dict[str, Any]] = {}
    users: Dict[str, List[str]] = {}
    for path in sorted((ROOT / "roles").glob("*/meta/argument_specs.yml")):
        role = path.parts[-3]
        for entry in yaml.safe_load(path.read_text())["argument_specs"].values():
            for name, option in entry["options"].items():
                if name.endswith("_run"):
                    continue
                described.setdefault(name, option)
                if role not in users.setdefault(name, []):
                    users[name].append(role)
    lines = [
        NOTE,
        "# Variables\n",
        "`tyk_*` is shared by the roles and is what you usually set. A variable with a role's name is that role's own.\n",
        "| variable | type | default | meaning | roles |",
        "|---|---|---|---|---|",
    ]
    for name in sorted(described, key=lambda one: (not one.startswith("tyk_"), one)):
        option = described[name]
        default = "required" if option.get("required") else ("`%s`" % option["default"] if "default" in option else "")
        kind = option["type"] + (", secret" if option.get("no_log") else "")
        choices = " One of %s." % ", ".join("`%s`" % one for one in option["choices"]) if "choices" in option else ""
        meaning = plain(" ".join(option["description"])) + choices
        lines.append("| `%s` | %s | %s | %s | %s |" % (name, kind, default, meaning, ", ".join(users[name])))
    return "\n".join(lines) + "\n"


def findings() -> str:
    """Every code that a finding can have."""
    codes = runpy.run_path(str(ROOT / "plugins" / "module_utils" / "_domain" / "findings.py"))["CODES"]
    lines = [
        NOTE,
        "# Findings\n",
        "A finding is the one way in which something is said to be wrong: code, severity, subject, message, remedy and source.",
        "An *error* refuses the run before anything that serves is changed.\n",
        "| code | meaning |",
        "|---|---|",
    ]
    lines += ["| `%s` | %s |" % (code, plain(codes[code])) for code in sorted(codes)]
    return "\n".join(lines) + "\n"


def domain(name: str) -> Any:
    """A module of the collection's pure core, also from a checkout that does not lie in a collections folder."""
    package = "ansible_collections.tyk.upgrade"
    try:
        importlib.import_module(package)
    except ImportError:
        for parent in ("ansible_collections", "ansible_collections.tyk", package):
            sys.modules.setdefault(parent, types.ModuleType(parent)).__path__ = [str(ROOT)]
    return importlib.import_module("%s.plugins.module_utils._domain.%s" % (package, name))


def table(head: Sequence[str], rows: Iterable[Sequence[object]]) -> List[str]:
    """A Markdown table."""
    lines = ["| %s |" % " | ".join(head), "|%s" % ("---|" * len(head))]
    return lines + ["| %s |" % " | ".join(str(cell).replace("|", "or") for cell in row) for row in rows] + [""]


def plugin_rules() -> str:
    """What gateways and compilers do with Go plugins, version by version."""
    resolution, compilers, failures = domain("resolution"), domain("compilers"), domain("failures")
    paths, behaviours, releases = domain("paths"), domain("behaviours"), domain("releases")

    def names(templates: Sequence[str]) -> str:
        shown = [one.format(stem="X", version="&lt;version&gt;", goos="linux", goarch="amd64") for one in templates]
        return ", then ".join("`%s`" % one.replace("&lt;", "<").replace("&gt;", ">") for one in shown) or "none"

    def together(before: str, after: str, phase: str) -> str:
        return "one bundle" if resolution.shared_layout(before, after, "X", hooks=[phase]) else "host by host"

    classes = {"up to 4.0.16": "4.0.15", "4.1.0 - 4.2.4": "4.2.3", "4.3.0 - 4.3.1": "4.3.0", "from 4.3.2": "5.3.0"}
    others = ["4.0.16", "4.2.4", "4.3.1", "5.8.9"]
    lines = [
        NOTE,
        "# Go plugins, version by version\n",
        "The tables by which an upgrade decides about plugins. `X` stands for a plugin's name. A range that names several",
        "release lines is complete: a change that came to one line may never have come to another.\n",
        "## Which file a gateway opens\n",
        "For a hook whose path in the manifest is `X.so`; the first of these files that is there.\n",
        *table(
            ("gateways", "pre, auth_check, post_key_auth, post", "response", "source"),
            [(row.versions, names(row.request), names(row.response), row.source) for row in resolution.RULES],
        ),
        "So one bundle can hold builds for two versions, or each gateway has to be given its own. Request hooks / response",
        "hooks, current version down, target across:\n",
        *table(
            ("", *classes),
            [
                (
                    name,
                    *(
                        "%s / %s" % tuple(together(one, other, kind) for kind in ("request", "response"))
                        for other in others
                    ),
                )
                for name, one in classes.items()
            ],
        ),
        "## The paths of the published procedure\n",
        *table(("path", "current", "target", "source"), [(r.path, r.current, r.target, r.source) for r in paths.PATHS]),
        "## What happens without the plugin, and when it panics\n",
        "*open*: requests go on without what the plugin does. *closed*: they are refused. *empty*: they are not let through, "
        "though the answer is 200; a probe that demands a status and no more does not notice, so demand an effect "
        "(`expect.headers`). *down*: the process ends.\n",
        *table(
            ("when", "hooks", "gateways", "is", "what happens", "source"),
            [
                (failures.SITUATIONS[r.situation], ", ".join(r.kinds), r.versions, r.outcome, r.meaning, r.source)
                for r in failures.FAILURES
            ],
        ),
        "## Plugin compilers\n",
        "The plugin path is the name by which Go knows a plugin; a process loads each only once.\n",
        *table(
            ("compilers", "mode", "arguments", "result", "plugin path", "made unique by", "remarks", "source"),
            [
                (
                    row.versions,
                    row.mode,
                    " ".join(row.args),
                    names([row.output_template]),
                    "`%s`" % row.built_path("X", "<build id>"),
                    row.unique_by,
                    "; ".join(
                        said
                        for said, holds in (
                            ("cannot be used", row.unusable),
                            ("ignores the build id", not row.honours_build_id and not row.unusable),
                            ("rewrites string literals", row.rewrites_literals),
                            ("no C compiler for arm64", not row.cross_compiler),
                        )
                        if holds
                    ),
                    row.source,
                )
                for row in compilers.CONTRACTS
            ],
        ),
        "## Editions\n",
        *table(
            ("edition", "gateways", "of these without plugins", "compiler image", "published for", "source"),
            [
                (
                    r.name,
                    r.gateways,
                    "" if r.no_plugins.startswith("<3") else r.no_plugins,
                    r.compiler,
                    r.versions,
                    r.source,
                )
                for r in compilers.EDITIONS
            ],
        ),
        "## Go generations\n",
        "A build of another generation ends the process that opens it; of another Go in the same one, it is refused.\n",
        *["- %s" % ", ".join(group) for group in releases.GO_GROUPS],
        "",
        "## Further differences\n",
        *table(
            ("gateways", "what they do", "source"), [(r.versions, r.meaning, r.source) for r in behaviours.BEHAVIOURS]
        ),
    ]
    return "\n".join(lines).rstrip("\n") + "\n"


PAGES = {"variables.md": variables, "findings.md": findings, "plugin-rules.md": plugin_rules}


def main() -> None:
    (ROOT / "docs").mkdir(exist_ok=True)
    for name, page in PAGES.items():
        (ROOT / "docs" / name).write_text(page())


if __name__ == "__main__":
    main()
