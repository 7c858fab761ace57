# Copyright (c) 2026 tyk.upgrade contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""plugin_build_info without an engine: what it says of sources and of plugins that were built elsewhere."""

from __future__ import annotations

from pathlib import Path

from ansible_collections.tyk.upgrade.tests.unit.plugins.modules.module_runner import run_module


def test_a_source_tells_its_module_and_the_literals_that_begin_so(tmp_path: Path) -> None:
    (tmp_path / "main.go").write_text('package main\n\nconst header = "header-plugin-id"\n')
    (tmp_path / "go.mod").write_text("module header-plugin\n")
    result = run_module("plugin_build_info", {"sources": [{"name": "HeaderPlugin", "path": str(tmp_path)}]})
    (source,) = result["sources"]
    assert (source["module"], source["go_files"]) == ("header-plugin", 1)
    assert source["literals"] == ['main.go:3: "header-plugin-id"']
    assert result["findings"] == []
