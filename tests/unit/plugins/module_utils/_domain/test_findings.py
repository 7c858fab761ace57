# Copyright (c) 2026 tyk.upgrade contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
from __future__ import annotations

import json

import pytest

from ansible_collections.tyk.upgrade.plugins.module_utils._domain.findings import (
    CODES,
    DomainError,
    Finding,
    Severity,
    error,
    has_errors,
    info,
    to_dicts,
    warning,
)

MAKERS = [(error, "error"), (warning, "warning"), (info, "info")]


@pytest.mark.parametrize(("make", "severity"), MAKERS)
def test_a_finding_survives_json(make, severity):
    finding = make("drift", "gw1", "gw1 moved.", "Plan again.", "journal")
    data = json.loads(json.dumps(finding.to_dict()))
    assert data["severity"] == severity
    assert Finding.from_dict(data) == finding


def test_remedy_and_source_may_be_absent():
    finding = Finding.from_dict({"code": "drift", "severity": "info", "subject": "gw1", "message": "Moved."})
    assert (finding.remedy, finding.source, finding.sentence()) == ("", "", "Moved.")


def test_codes_are_a_closed_list():
    with pytest.raises(ValueError, match="'no-such' is not a finding code"):
        error("no-such", "gw1", "x", "y")


def test_severities_are_a_closed_list():
    with pytest.raises(ValueError, match="fatal"):
        Finding.from_dict({"code": "drift", "severity": "fatal", "subject": "gw1", "message": "Moved."})


def test_a_severity_given_as_text_becomes_a_severity():
    assert Finding("drift", "error", "gw1", "x", "y").severity is Severity.ERROR  # type: ignore[arg-type]


@pytest.mark.parametrize("code", sorted(CODES))
def test_every_code_is_explained_in_a_sentence(code):
    assert code == code.lower() and " " not in code
    assert CODES[code].endswith(".") and len(CODES[code]) > 10


def test_only_errors_refuse():
    harmless = [warning("drift", "a", "b", "c"), info("drift", "a", "b", "c")]
    assert not has_errors(harmless)
    assert has_errors([*harmless, error("drift", "a", "b", "c")])
    assert [finding["severity"] for finding in to_dicts(harmless)] == ["warning", "info"]


def test_an_error_reads_as_what_happened_and_what_to_do():
    problem = DomainError(error("drift", "gw1", "gw1 moved.", "Plan again."))
    assert str(problem) == "gw1 moved. Plan again."
    assert problem.finding.subject == "gw1"
