# Copyright (c) 2026 tyk.upgrade contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""container_record on a real engine: what it saves, for whom, and that the container is left alone."""

from __future__ import annotations

import json
import stat
from pathlib import Path
from typing import Any

import pytest

from ansible_collections.tyk.upgrade.plugins.module_utils._clients.container_trial import trial_body


@pytest.fixture
def served(bench: Any, old_image: str) -> str:
    return bench.container("record", {"Image": old_image, "Env": ["SECRET=hidden-value"]})


@pytest.mark.engine
def test_definition_files_log_and_configuration_are_saved(
    run_module: Any, bench: Any, served: str, tmp_path: Path
) -> None:
    before = bench.inspect(served)["State"]
    arguments = {
        "name": served,
        "backup_dir": str(tmp_path / "backup"),
        "backup_files": ["/opt/tyk-gateway/tyk.conf", "/no/such/file"],
        "evidence_dir": str(tmp_path / "evidence"),
    }
    predicted = run_module("container_record", check_mode=True, **arguments)
    assert not predicted.get("failed") and not list(tmp_path.iterdir()), predicted
    result = run_module("container_record", **arguments)
    assert result["changed"] is False and result["container"]["name"] == served
    assert result["notes"] == [f"found no /no/such/file in {served} to back up"]
    saved = {path.name: path for path in tmp_path.rglob("*") if path.is_file()}
    assert saved["tyk.conf"].read_bytes() == b'{"listen_port": 8080}'
    assert "hidden-value" in saved["container.json"].read_text()
    (evidence,) = (tmp_path / "evidence").glob("*.json")
    assert "SECRET" in evidence.read_text() and "hidden-value" not in evidence.read_text()
    assert all(stat.S_IMODE(path.stat().st_mode) == 0o600 for path in saved.values())
    assert bench.inspect(served)["State"]["StartedAt"] == before["StartedAt"]
    assert "hidden-value" not in json.dumps(result)


@pytest.mark.engine
def test_a_missing_container_is_a_sentence(run_module: Any, tmp_path: Path) -> None:
    result = run_module("container_record", name="tyk-upgrade-no-such-container", backup_dir=str(tmp_path))
    assert result["failed"] and "No such container: tyk-upgrade-no-such-container" in result["msg"]


def test_a_trial_is_not_one_more_container_of_a_compose_service() -> None:
    labels = {"com.docker.compose.project": "tyk", "com.docker.compose.service": "pump", "team": "platform"}
    assert trial_body({"Labels": labels, "HostConfig": {}}, {}, "pump")["Labels"] == {
        "team": "platform",
        "tyk.upgrade.trial-of": "pump",
    }
