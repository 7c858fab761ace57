# Copyright (c) 2026 tyk.upgrade contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""``make demo``: upgrade the lab under load, count what clients saw, report.

``--break plugin``: the compiler does not match the target gateway; the run must be refused before anything changes.
"""

from __future__ import annotations

import argparse
import json
import os
import shutil
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import docker.errors
import inventory
import requests
from checks import BIN, environment
from engine import fail, say
from lab import Lab
from load import Load, check_clean
from scenario import serving
from settings import ROOT, LabError, Settings


def playbook(name: str, inventory_file: Path, *extra: str) -> int:
    command = [str(BIN / "ansible-playbook"), name, "-i", str(inventory_file), *extra]
    colour = {"ANSIBLE_FORCE_COLOR": "1", "ANSIBLE_NOCOLOR": ""} if sys.stdout.isatty() else {}
    env = environment(PYTHONUNBUFFERED="1", **colour)
    if colour:
        del env["ANSIBLE_NOCOLOR"]
    return subprocess.run(command, cwd=ROOT, env=env, stdin=subprocess.DEVNULL, check=False).returncode  # noqa: S603


class Demo:
    def __init__(self, broken: str | None, given: str = "source") -> None:
        self.lab = Lab(Settings.from_environment())
        self.broken = broken
        self.given = given
        name = self.lab.settings.name
        self.out = ROOT / "build" / ("demo" if name == "tyk-lab" else f"demo-{name.removeprefix('tyk-lab-')}")
        self.inventory = self.out / "inventory.yml"

    def run(self) -> int:
        shutil.rmtree(self.out, ignore_errors=True)
        self.out.mkdir(parents=True)
        self._bring_up()
        self._write_inventory()
        load = Load(self.lab.settings, self.lab.stand_ins, self.out)
        before = serving(self.lab)
        load.reset_records()
        say("load runs; the upgrade begins")
        with load.running():
            began = time.monotonic()
            code = playbook("hybrid_upgrade.yml", self.inventory)
            seconds = time.monotonic() - began
            time.sleep(2)
            reading = load.stop()
            records = load.drained(reading["answered"])
        self._write_meters(reading, records)
        meters = ("-e", f"@{self.out / 'meters.json'}")
        with (self.out / "report.log").open("w") as log:
            command = [str(BIN / "ansible-playbook"), "playbooks/report.yml", "-i", str(self.inventory), *meters]
            subprocess.run(command, cwd=ROOT, env=environment(), stdout=log, stderr=log, check=False)  # noqa: S603
        report = self._report()
        wrong = check_clean(reading, records)
        if self.broken:
            wrong += self._not_refused_right(code, report, before, serving(self.lab))
        else:
            wrong += self._not_upgraded(code, report)
        self._show(report, reading, records, seconds)
        for sentence in wrong:
            print(f"demo: {sentence}", file=sys.stderr)
        if not wrong:
            expected = "refused as it must be, and nothing that serves changed" if self.broken else "passed"
            say(f"demo {expected}")
        return 1 if wrong else 0

    def _bring_up(self) -> None:
        if not self.lab.exists():
            self.lab.up()
        elif self.lab.pristine():
            say("the lab is up at its first version")
            self.lab.up()
        else:
            self.lab.reset()

    def _write_inventory(self) -> None:
        lab = self.lab
        content = inventory.build(lab)
        content["all"]["vars"].update(
            tyk_report_dir=str(self.out),
            tyk_journal_dir=str(self.out / "journal"),
            tyk_backup_dir=str(self.out / "backups"),
        )
        if self.broken:
            content["all"]["vars"]["tyk_compiler_images"] = {lab.settings.to_version: lab.publish_mismatch()}
        if self.given != "source":
            self._give_plugins(content["all"]["vars"])
        inventory.write(self.inventory, content)

    def _give_plugins(self, variables: dict[str, Any]) -> None:
        """As files or bundles that were made by other means. Then no engine is needed to build, and no compiler."""
        files = self.lab.built_elsewhere(self.out / "artifacts") if self.given == "artifacts" else {}
        bundles = self.lab.published_elsewhere() if self.given == "bundle" else {}
        for plugin in variables["tyk_plugins"]:
            del plugin["source"]
            name = plugin["name"]
            plugin.update({"artifacts": files[name]} if files else {"bundle": {"name": bundles[name]}})
        variables["tyk_compiler_image"] = "no-compiler.invalid/none"

    def _write_meters(self, reading: dict[str, Any], records: int) -> None:
        description = json.loads((self.lab.settings.directory / "lab.json").read_text())
        keys = ("requests", "failed", "plugin_effect_missing", "unauthorized_allowed", "p50_ms", "p99_ms")
        meters = {
            "traffic": {key: reading[key] for key in keys},
            "analytics": {"records_in": reading["answered"], "records_out": records},
            "lab": {"images": "/".join(sorted(set(self.lab.kinds.values()))), "stand_ins": description["stand_ins"]},
        }
        (self.out / "meters.json").write_text(json.dumps({"tyk_report_meters": meters}, indent=2) + "\n")
        (self.out / "load.json").write_text(json.dumps(reading, indent=2) + "\n")

    def _report(self) -> dict[str, Any]:
        path = self.out / "report.json"
        if not path.exists():
            tail = (self.out / "report.log").read_text().strip().splitlines()[-20:]
            raise LabError(f"The run wrote no report to {path}. The report playbook ended with:\n" + "\n".join(tail))
        report: dict[str, Any] = json.loads(path.read_text())
        return report

    def _not_upgraded(self, code: int, report: dict[str, Any]) -> list[str]:
        wrong, to_version = [], self.lab.settings.to_version
        if code:
            wrong.append(f"ansible-playbook ended with exit code {code}")
        if report.get("result") != "succeeded":
            wrong.append(f"the report says '{report.get('result')}'")
        if any(gateway.get("to") != to_version for gateway in report.get("gateways", [])) or len(
            report.get("gateways", [])
        ) != len(self.lab.settings.gateways):
            wrong.append(f"not every gateway was observed at {to_version}")
        if "traffic" not in report or "analytics" not in report:
            wrong.append("the report lacks the meters")
        return wrong

    def _not_refused_right(
        self, code: int, report: dict[str, Any], before: dict[str, Any], after: dict[str, Any]
    ) -> list[str]:
        wrong = []
        if code == 0:
            wrong.append("ansible-playbook ended with exit code 0 although the plugin cannot be loaded by the target")
        if report.get("result") != "refused":
            wrong.append(f"the report says '{report.get('result')}' and not 'refused'")
        mismatches = [finding for finding in report.get("findings", []) if finding["code"] == "plugin-mismatch"]
        if not any("/" in finding["message"] for finding in mismatches):
            wrong.append("no finding 'plugin-mismatch' names the mismatching package")
        stages = {stage["name"]: stage["result"] for stage in report.get("stages", [])}
        touched = {"control_plane", "switch", "pump", "gateways"} & set(stages)
        if "prepare" not in stages or touched:
            wrong.append(f"the run was not stopped in prepare: stages {stages}")
        for what in ("members", "definitions"):
            if before[what] != after[what]:
                wrong.append(f"the {what} that serve have changed")
        return wrong

    def _show(self, report: dict[str, Any], reading: dict[str, Any], records: int, seconds: float) -> None:
        rows = [
            ("result", f"{report.get('result')} ({report.get('from')} to {report.get('to')}) in {seconds:.0f} s"),
            ("stages", ", ".join(f"{s['name']} {s.get('seconds') or 0:.0f} s" for s in report.get("stages", []))),
            (
                "gateways",
                ", ".join(f"{g['host']} {g.get('from')} to {g.get('to')}" for g in report.get("gateways", [])),
            ),
            ("definitions", f"{len(report.get('apis', []))} moved to a new bundle"),
            ("requests", f"{reading['requests']} at {reading['rate']}/s, {reading['failed']} failed"),
            ("plugin effect", f"{reading['plugin_effect_missing']} missing"),
            ("wrong keys", f"{reading['unauthorized_allowed']} let through"),
            ("latency", f"p50 {reading['p50_ms']:.1f} ms, p99 {reading['p99_ms']:.1f} ms"),
            ("analytics", f"{reading['answered']} records in, {records} out"),
            ("stand-ins", ", ".join(self.lab.stand_in_names())),
            ("report", str(self.out / "report.html")),
        ]
        print()
        for name, value in rows:
            print(f"  {name:14} {value or '-'}")
        print(flush=True)


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--break", dest="broken", choices=["plugin"])
    parser.add_argument("--plugins", default="source", choices=["source", "artifacts", "bundle"])
    arguments = parser.parse_args()
    os.umask(0o022)
    try:
        return Demo(arguments.broken, arguments.plugins).run()
    except LabError as error:
        return fail(error)
    except (docker.errors.DockerException, requests.RequestException) as error:
        return fail(LabError(f"The demo stopped: {error}"))


if __name__ == "__main__":
    sys.exit(main())
