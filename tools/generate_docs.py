# Copyright (c) 2026 tyk.upgrade contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Write docs/variables.md and docs/findings.md from what the code says: the roles' argument specs and the list of findings."""

from __future__ import annotations

import re
import runpy
from pathlib import Path
from typing import Any, Dict, List

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


PAGES = {"variables.md": variables, "findings.md": findings}


def main() -> None:
    (ROOT / "docs").mkdir(exist_ok=True)
    for name, page in PAGES.items():
        (ROOT / "docs" / name).write_text(page())


if __name__ == "__main__":
    main()
