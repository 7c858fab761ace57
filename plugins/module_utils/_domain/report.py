# Copyright (c) 2026 tyk.upgrade contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The report: what a run did according to the journal, and what meters beside it measured."""

from __future__ import annotations

import re
from typing import Any, Dict, List, Mapping, Optional, Sequence, Tuple

from ansible_collections.tyk.upgrade.plugins.module_utils._domain import journal
from ansible_collections.tyk.upgrade.plugins.module_utils._domain.findings import CODES, WEIGHT
from ansible_collections.tyk.upgrade.plugins.module_utils._domain.journal import Line, RunView
from ansible_collections.tyk.upgrade.plugins.module_utils._domain.plan_model import natural
from ansible_collections.tyk.upgrade.plugins.module_utils._domain.report_schema import NAME, SCHEMA

__all__ = ["SCHEMA", "assemble", "closing_table", "problems"]

#: What a meter may say, block by block; anything else it says stays out of the report.
METERS: Dict[str, Tuple[str, ...]] = {
    block: tuple(SCHEMA["properties"][block]["properties"]) for block in ("lab", "traffic", "analytics")
}

#: What the report says of one download.
DOWNLOAD: Tuple[str, ...] = tuple(SCHEMA["properties"]["downloads"]["items"]["properties"])

_TYPES: Dict[str, Tuple[type, ...]] = {
    "object": (Mapping,),
    "array": (list,),
    "string": (str,),
    "integer": (int,),
    "number": (int, float),
    "null": (type(None),),
}


def assemble(
    lines: Sequence[Line],
    plan: Mapping[str, Any],
    meters: Mapping[str, Any],
    run_id: Optional[str] = None,
) -> Dict[str, Any]:
    """The report of one run, by default of the one opened last.

    plan: the run's plan, empty when it never got that far. meters: blocks traffic, analytics and lab, each optional.
    Raises ValueError when the journal knows no such run.
    """
    chosen = run_id or journal.last_run(lines)
    if chosen is None:
        raise ValueError("The journal holds no run to report.")
    view = journal.run_view(lines, chosen)
    gateways = _gateways(view, plan)
    report: Dict[str, Any] = {
        "schema": NAME,
        "result": view.state if view.state in journal.RESULTS else journal.UNFINISHED,
        "run_id": chosen,
        "from": _origin(gateways, plan),
        "to": str(plan.get("to") or ""),
        "opened": view.opened,
        "ended": view.last,
        "message": view.halted or "",
        "stages": [step.to_dict() for step in view.stages],
        "gateways": gateways,
        "apis": _apis(lines, view, plan),
        "findings": _findings(view, plan),
        "plan_sha256": view.plan_sha256,
        "journal_head": journal.head(lines),
    }
    if view.downloads:
        report["downloads"] = [{name: each.get(name) for name in DOWNLOAD} for each in view.downloads]
    for block, names in METERS.items():
        measured = meters.get(block)
        if measured:
            report[block] = {name: measured[name] for name in names if name in measured}
    return report


def problems(report: object, schema: Mapping[str, Any] = SCHEMA, where: str = "report") -> List[str]:
    """Where a report departs from its schema, as sentences.

    Knows the words that this schema uses (type, enum, const, pattern, minimum, required, properties,
    additionalProperties, items), for controllers without the jsonschema library.
    """
    if "const" in schema and report != schema["const"]:
        return [f"{where} is {report!r}, not {schema['const']!r}."]
    if "enum" in schema and report not in schema["enum"]:
        return [f"{where} is {report!r}, which is none of {', '.join(map(str, schema['enum']))}."]
    kinds = schema.get("type", [])
    kinds = [kinds] if isinstance(kinds, str) else kinds
    if kinds and not any(_is(report, kind) for kind in kinds):
        return [f"{where} is {report!r}, not of type {' or '.join(kinds)}."]
    found: List[str] = []
    if isinstance(report, str) and "pattern" in schema and not re.search(schema["pattern"], report):
        found.append(f"{where} is {report!r}, which does not match {schema['pattern']}.")
    if isinstance(report, (int, float)) and "minimum" in schema and report < schema["minimum"]:
        found.append(f"{where} is {report!r}, which is less than {schema['minimum']}.")
    if isinstance(report, Mapping):
        found.extend(_object_problems(report, schema, where))
    if isinstance(report, list) and "items" in schema:
        for number, entry in enumerate(report):
            found.extend(problems(entry, schema["items"], f"{where}[{number}]"))
    return found


def closing_table(report: Mapping[str, Any]) -> List[str]:
    """The report in a few aligned lines, for the end of a run."""
    lines = [_closing_line(report)]
    if report.get("message"):
        lines.append(f"Reason: {report['message']}")
    lines += _table(
        ("Stage", "Result", "Seconds"),
        [(stage["name"], stage["result"], _seconds(stage["seconds"])) for stage in report["stages"]],
    )
    lines += _table(
        ("Gateway", "Deployment", "From", "To", "Seconds"),
        [
            (each["host"], each["deployment"], each["from"] or "?", each["to"] or "?", _seconds(each["seconds"]))
            for each in report["gateways"]
        ],
    )
    lines += _table(
        ("API", "Kind", "From bundle", "To bundle"),
        [(each["name"], each["kind"], each["from_bundle"], each["to_bundle"]) for each in report["apis"]],
    )
    lines += _table(
        ("Bundle", "Gateway", "Downloaded in", "From the"),
        [(each["bundle"], each["host"], f"{each['seconds']:.2f} s", each["means"]) for each in report.get("downloads") or []],
    )
    closing = _meter_lines(report)
    closing += [
        f"{each['severity'].capitalize()} [{each['code']}] {each['subject']}: {each['message']} {each['remedy']}"
        for each in report["findings"]
        if each["severity"] != "info"
    ]
    return lines + ["", *closing] if closing else lines


def _gateways(view: RunView, plan: Mapping[str, Any]) -> List[Dict[str, Any]]:
    """First and last version observed; what the plan says about versions is not evidence."""
    planned = {str(step["host"]): step for step in plan.get("gateways") or []}
    hosts = set(planned) if planned else set(view.observed)
    seconds: Dict[str, float] = {}
    for step in view.units:
        if step.stage == "gateways":
            seconds[step.name] = seconds.get(step.name, 0.0) + step.seconds
    result = []
    for host in sorted(hosts, key=natural):
        seen = view.observed.get(host) or ()
        result.append(
            {
                "host": host,
                "deployment": str(planned.get(host, {}).get("deployment") or "docker"),
                "from": seen[0] if seen else None,
                "to": seen[-1] if seen else None,
                "seconds": round(seconds.get(host, 0.0), 3),
            }
        )
    return result


def _origin(gateways: Sequence[Mapping[str, Any]], plan: Mapping[str, Any]) -> str:
    """Where the fleet came from: the versions seen first that are not the target."""
    seen = sorted({str(each["from"]) for each in gateways if each["from"]}, key=natural)
    return ", ".join([version for version in seen if version != plan.get("to")] or seen)


def _apis(lines: Sequence[Line], view: RunView, plan: Mapping[str, Any]) -> List[Dict[str, Any]]:
    """The API definitions that were moved: those the switch wrote down, else the planned ones once it was done."""
    moved: Optional[Any] = None
    for line in lines:
        if line.run_id == view.run_id and line.stage == "switch" and isinstance(line.data.get("apis"), list):
            moved = line.data["apis"]
    if moved is None:
        done = any(step.name == "switch" and step.result == journal.SUCCEEDED for step in view.stages)
        moved = plan.get("apis") or [] if done else []
    kept = ("id", "name", "kind", "from_bundle", "to_bundle")
    return [{key: str(api.get(key) or "") for key in kept} for api in moved]


def _findings(view: RunView, plan: Mapping[str, Any]) -> List[Dict[str, str]]:
    found: Dict[Tuple[str, str, str], Dict[str, str]] = {}
    for given in [*(plan.get("findings") or []), *view.findings]:
        keys = ("code", "severity", "subject", "message", "remedy", "source")
        finding = {key: str(given.get(key) or "") for key in keys}
        if finding["code"] in CODES:
            found.setdefault((finding["code"], finding["subject"], finding["message"]), finding)
    return sorted(found.values(), key=lambda finding: WEIGHT.get(finding["severity"], len(WEIGHT)))


def _is(value: object, kind: str) -> bool:
    return isinstance(value, _TYPES[kind]) and not (isinstance(value, bool) and kind in ("integer", "number"))


def _object_problems(report: Mapping[str, Any], schema: Mapping[str, Any], where: str) -> List[str]:
    properties = schema.get("properties", {})
    found = [f"{where} lacks {name!r}." for name in schema.get("required", []) if name not in report]
    for name, value in report.items():
        if name in properties:
            found.extend(problems(value, properties[name], f"{where}.{name}"))
        elif schema.get("additionalProperties") is False:
            found.append(f"{where} has {name!r}, which the schema does not know.")
    return found


def _closing_line(report: Mapping[str, Any]) -> str:
    versions = f": {report['from']} to {report['to']}" if report["from"] and report["to"] else ""
    return f"{report['result'].capitalize().replace('_', ' ')}{versions} (run {report['run_id']})"


def _meter_lines(report: Mapping[str, Any]) -> List[str]:
    lines = []
    traffic = report.get("traffic")
    if traffic:
        lines.append(
            f"Traffic: {traffic['requests']} requests, {traffic['failed']} failed, {traffic['plugin_effect_missing']} "
            f"without the plugin's effect, {traffic['unauthorized_allowed']} let through that must be refused"
            f"; p50 {_ms(traffic['p50_ms'])}, p99 {_ms(traffic['p99_ms'])}."
        )
    analytics = report.get("analytics")
    if analytics:
        lines.append(f"Analytics: {analytics['records_in']} records in, {analytics['records_out']} out.")
    lab = report.get("lab")
    if lab:
        stand_ins = ", ".join(lab["stand_ins"])
        lines.append(f"Lab images: {lab['images']}" + (f" (stand-ins: {stand_ins})." if stand_ins else "."))
    return lines


def _ms(value: Optional[float]) -> str:
    return "?" if value is None else f"{value:g} ms"


def _seconds(value: float) -> str:
    return f"{value:.1f}"


def _table(header: Tuple[str, ...], rows: Sequence[Tuple[str, ...]]) -> List[str]:
    """Columns as wide as their widest entry; seconds to the right."""
    if not rows:
        return []
    widths = [max(len(row[column]) for row in (header, *rows)) for column in range(len(header))]
    return [""] + [
        "  ".join(
            cell.rjust(width) if name == "Seconds" else cell.ljust(width)
            for name, cell, width in zip(header, row, widths)
        ).rstrip()
        for row in (header, *rows)
    ]
