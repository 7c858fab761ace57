# Copyright (c) 2026 tyk.upgrade contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The schema of report.json (JSON Schema, draft 2020-12)."""

from __future__ import annotations

from typing import Any, Dict

from ansible_collections.tyk.upgrade.plugins.module_utils._domain.findings import CODES
from ansible_collections.tyk.upgrade.plugins.module_utils._domain.journal import (
    FAILED,
    RESULTS,
    STAGES,
    SUCCEEDED,
    UNFINISHED,
)

NAME = "tyk.upgrade/report/v1"

_TEXT: Dict[str, Any] = {"type": "string"}
_TEXT_OR_NOTHING: Dict[str, Any] = {"type": ["string", "null"]}
_COUNT: Dict[str, Any] = {"type": "integer", "minimum": 0}
_MEASURE: Dict[str, Any] = {"type": "number", "minimum": 0}
_MEASURE_OR_NOTHING: Dict[str, Any] = {"type": ["number", "null"], "minimum": 0}
_DIGEST: Dict[str, Any] = {"type": "string", "pattern": "^([0-9a-f]{64})?$"}


def _object(required: Dict[str, Any], **optional: Any) -> Dict[str, Any]:
    return {
        "type": "object",
        "required": list(required),
        "properties": {**required, **optional},
        "additionalProperties": False,
    }


def _list(items: Dict[str, Any]) -> Dict[str, Any]:
    return {"type": "array", "items": items}


#: The blocks of the meters (lab, traffic, analytics) are there only where something independent measured.
SCHEMA: Dict[str, Any] = {
    "$schema": "https://json-schema.org/draft/2020-12/schema",
    "$id": NAME,
    "title": "What an upgrade did, and what it was measured to do",
    **_object(
        {
            "schema": {"const": NAME},
            "result": {"enum": [*RESULTS, UNFINISHED]},
            "run_id": _TEXT,
            "from": _TEXT,
            "to": _TEXT,
            "opened": _TEXT,
            "ended": _TEXT,
            "message": _TEXT,
            "stages": _list(
                _object(
                    {
                        "name": {"enum": list(STAGES)},
                        "seconds": _MEASURE,
                        "result": {"enum": [SUCCEEDED, FAILED, UNFINISHED]},
                    }
                )
            ),
            "gateways": _list(
                _object(
                    {
                        "host": _TEXT,
                        "deployment": _TEXT,
                        "from": _TEXT_OR_NOTHING,
                        "to": _TEXT_OR_NOTHING,
                        "seconds": _MEASURE,
                    }
                )
            ),
            "apis": _list(
                _object(
                    {
                        "id": _TEXT,
                        "name": _TEXT,
                        "kind": {"enum": ["classic", "oas"]},
                        "from_bundle": _TEXT,
                        "to_bundle": _TEXT,
                    }
                )
            ),
            "findings": _list(
                _object(
                    {
                        "code": {"enum": sorted(CODES)},
                        "severity": {"enum": ["error", "warning", "info"]},
                        "subject": _TEXT,
                        "message": _TEXT,
                        "remedy": _TEXT,
                        "source": _TEXT,
                    }
                )
            ),
            "plan_sha256": _DIGEST,
            "journal_head": _DIGEST,
        },
        downloads=_list(
            _object({"host": _TEXT, "bundle": _TEXT, "bytes": _COUNT, "seconds": _MEASURE, "means": _TEXT})
        ),
        lab=_object({"images": _TEXT, "stand_ins": _list(_TEXT)}),
        traffic=_object(
            {
                "requests": _COUNT,
                "failed": _COUNT,
                "plugin_effect_missing": _COUNT,
                "unauthorized_allowed": _COUNT,
                "p50_ms": _MEASURE_OR_NOTHING,
                "p99_ms": _MEASURE_OR_NOTHING,
            }
        ),
        analytics=_object({"records_in": _COUNT, "records_out": _COUNT}),
    ),
}
