# Copyright (c) 2026 tyk.upgrade contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""A program that loads APIs from files as a gateway before 5.0.0 does, and if wanted has the command of 5.0.0 to 5.2.3,
for "plugins" that hold words.

A file exports the functions it names: `One` for a request, `response:Two` for a response, `analytics:Four` for analytics,
`value:Three` for nothing.
It answers in the words of real gateways, which test_throwaway_gateway.py holds as they were printed.
"""

from __future__ import annotations

import sys
from pathlib import Path

PROGRAM = """#!{python}
import glob, json, os, signal, socket, sys, time

def say(level, text, **more):
    fields = "".join(f' {{key}}="{{value}}"' for key, value in more.items())
    print(f'time="Nov 23 22:00:00" level={{level}} msg="{{text}}"{{fields}}', file=sys.stderr, flush=True)

with open("{log}", "a") as asked:
    print(json.dumps([sys.argv[1:], dict(os.environ)]), file=asked)
if "{command}" and sys.argv[1:4] == ["plugin", "load", "-f"]:
    if not os.path.exists(sys.argv[4]):
        sys.exit(f'tyk: error: unexpected error: plugin.Open("{{sys.argv[4]}}"): realpath failed, try --help')
    if "PANIC" in open(sys.argv[4]).read():
        sys.exit("tyk: error: unexpected panic: no settings, try --help")
    print(f"[file={{sys.argv[4]}}, symbol={{sys.argv[6]}}] loaded ok, got 0x7f")
    sys.exit(0)
if not sys.argv[1].startswith("--conf="):
    sys.exit(f"tyk: error: unexpected {{sys.argv[1]}}, try --help")
with open(sys.argv[1][len("--conf="):]) as handle:
    conf = json.load(handle)
listener = socket.socket()
try:
    if "{busy}" and not os.path.exists("{log}.busy"):
        open("{log}.busy", "w").close()
        raise OSError("listen tcp 127.0.0.1:1: bind: address already in use")
    listener.bind((conf["listen_address"], conf["listen_port"]))
except OSError as problem:
    say("fatal", "Can't start listener", error=problem)
    sys.exit(1)
opened, kinds = [], ("TykResponseHandler", "http.HandlerFunc")

def load(hook, kind):
    words = open(hook["path"]).read().split()
    where = dict(mwPath=hook["path"], mwSymbolName=hook["name"])
    def refuse(text):
        say("error", "Could not load Go-plugin", error=text, **where)
    if "GENERATION" in words:
        print("fatal error: runtime: no plugin module data", file=sys.stderr)
        sys.exit(2)
    if "EXIT" in words:
        sys.exit(0)
    if "SIGNAL" in words:
        os.kill(os.getpid(), signal.SIGSEGV)
    if "HANG" in words or "PANIC" in words:
        time.sleep(60)
    if "MISMATCH" in words:
        return refuse(f'plugin.Open("{{hook["path"][:-3]}}"): plugin was built with a different version of package github.com/sirupsen/logrus')
    if "SAME_PATH" in words and any(path != hook["path"] for path in opened):
        return refuse(f'plugin.Open("{{hook["path"][:-3]}}"): plugin already loaded')
    if "SAME_PATH" in words:
        opened.append(hook["path"])
    if "OTHER_GENERATION" in words and len(glob.glob(conf["app_path"] + "/0*.json")) > 1:
        print("fatal error: unexpected signal during runtime execution", file=sys.stderr)
        sys.exit(2)
    for place, (prefix, wanted) in enumerate((("response:", "TykResponseHandler"), ("", "http.HandlerFunc"))):
        if prefix + hook["name"] in words:
            if wanted != kind:
                refuse("could not cast function symbol to " + kind)
            elif prefix:
                say("info", "Loaded Go response plugin: " + hook["name"], **where)
            return
    if "value:" + hook["name"] in words or "analytics:" + hook["name"] in words:
        return refuse("could not cast function symbol to " + kind)
    refuse(f"plugin: symbol {{hook['name']}} not found in plugin plugin_x")

apis = [json.load(open(path)) for path in glob.glob(conf["app_path"] + "/*.json")]
for api in sorted(apis, key=lambda one: -len(one["proxy"]["listen_path"])):
    for hook in api.get("custom_middleware", {{}}).get("response", []):
        load(hook, "TykResponseHandler")
    for hook in api.get("custom_middleware", {{}}).get("pre", []):
        load(hook, "http.HandlerFunc")
    plugin = api.get("analytics_plugin", {{}})
    if "{analytics}" and plugin.get("enable"):
        path, name = plugin["plugin_path"], plugin["func_name"]
        if not os.path.exists(path):
            problem = f'plugin.Open("{{path[:-3]}}"): realpath failed'
        elif "analytics:" + name not in open(path).read().split():
            problem = "could not cast function symbol to AnalyticsPlugin function"
        else:
            continue
        say("error", "Could not load Go-plugin for analytics", error=problem, mwPath=path, mwSymbolName=name)
say("info", "API reload complete", prefix="main")
time.sleep(60)
"""


def write(program: Path, log: Path, busy: bool = False, command: bool = False, analytics: bool = True) -> None:
    """busy: the port that it is given is taken when it is started for the first time.

    command: it has `plugin load`, which takes all that it is given for one file. analytics: it knows analytics plugins, as
    since 4.1.0.
    """
    choices = {"busy": "yes" * busy, "command": "yes" * command, "analytics": "yes" * analytics}
    program.write_text(PROGRAM.format(python=sys.executable, log=log, **choices))
    program.chmod(0o755)
