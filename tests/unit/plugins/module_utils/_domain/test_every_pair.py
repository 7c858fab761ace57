# Copyright (c) 2026 tyk.upgrade contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Every pair of releases from 4.0.0 on, for every kind of hook.

The rules are said here once more, by number and from what the gateways' source says, without the tables of the
collection; a decision has to agree with them in every field. Then it is carried out on gateways of paper, which open
files, refuse plugins and die as real ones do: after every single step each of them has to hold its plugin.
"""

from __future__ import annotations

import pytest

from ansible_collections.tyk.upgrade.plugins.module_utils._domain.paths import decide
from ansible_collections.tyk.upgrade.plugins.module_utils._domain.releases import all_versions

ALL = [(one.major, one.minor, one.patch) for one in all_versions() if one.major >= 4]
REQUEST_KINDS = ("pre", "auth_check", "post_key_auth", "post")


def text(number):
    return ".".join(map(str, number))


def kinds_of(current, target):
    """Request hooks alone, response hooks alone, and both; the request hook is another one from pair to pair."""
    one = REQUEST_KINDS[(ALL.index(current) + ALL.index(target)) % len(REQUEST_KINDS)]
    return ((one,), ("response",), (one, "response"))


# The rules, once more.


def letter(number):
    """A knows the exact name, B also one with its version, C also one with v and its version, D asks for these first."""
    return "ABCD"[(number >= (4, 1, 0)) + (number >= (4, 3, 0)) + (number >= (4, 3, 2))]


def tried(number, kind):
    """The names that a gateway tries for X.so, in order."""
    plain, tagged = f"X_{text(number)}_linux_amd64.so", f"X_v{text(number)}_linux_amd64.so"
    by_letter = {"A": ["X.so"], "B": ["X.so", plain], "C": ["X.so", plain, tagged], "D": [tagged, plain, "X.so"]}
    return ["X.so"] if kind == "response" and letter(number) != "D" else by_letter[letter(number)]


#: Classes that one bundle can serve together; without response hooks, and with them.
TOGETHER = {False: {"AD", "BB", "BC", "BD", "CC", "CD", "DD"}, True: {"AD", "BD", "CD", "DD"}}


def one_bundle(current, target, response):
    return current == target or "".join(sorted(letter(current) + letter(target))) in TOGETHER[response]


def file_name(number, together, response):
    """The safest name that this class knows: one that no other version would open."""
    if not together or letter(number) == "A" or (response and letter(number) != "D"):
        return "X.so"
    return f"X_{'' if letter(number) == 'B' else 'v'}{text(number)}_linux_amd64.so"


def path_number(current, target):
    if current == target:
        return "none"
    if current < (4, 1, 0):
        return "1" if target < (4, 1, 0) else "2"
    return "3" if target >= (5, 1, 0) else "gap"


def go_of(number):
    """The Go of each release line, and of the patches that changed it."""
    line, patch = number[:2], number[2]
    steps = {
        (5, 3): [(0, "1.21"), (6, "1.22"), (10, "1.23"), (13, "1.24")],
        (5, 8): [(0, "1.23"), (6, "1.24"), (13, "1.25")],
        (5, 12): [(0, "1.24"), (1, "1.25")],
    }
    if line in steps:
        return [go for since, go in steps[line] if patch >= since][-1]
    lines = {
        "1.15": [(4, 0), (4, 1), (4, 2)],
        "1.16": [(4, 3), (5, 0)],
        "1.19": [(5, 1), (5, 2)],
        "1.21": [(5, 4), (5, 5)],
        "1.22": [(5, 6), (5, 7)],
        "1.23": [(5, 9)],
        "1.24": [(5, 10), (5, 11)],
        "1.25": [(5, 13), (5, 14)],
    }
    return next(go for go, of in lines.items() if line in of)


def generation(number):
    """Between these, a plugin ends the process; inside one, it is refused."""
    return {"1.22": "1.21", "1.24": "1.23", "1.25": "1.23"}.get(go_of(number), go_of(number))


def plugin_path(number):
    if number < (5, 0, 2):
        return "plugin_X<build id>"
    if (5, 0, 3) <= number < (5, 1, 0):
        return "github.com/TykTechnologies/plugin_X<build id>"
    return "tyk.internal/tyk_plugin<build id>"


def without_plugin(number, kind):
    """What a client gets: by situation, whether requests pass, and the status where that is sure."""
    skips = number <= (4, 0, 12) or (4, 1, 0) <= number <= (4, 3, 8) or number == (5, 0, 0)
    lenient = number <= (5, 0, 11) or (5, 1, 0) <= number <= (5, 3, 0)
    if kind == "response":
        unloadable = ("open", 500)
    elif kind == "auth_check":
        unloadable = ("closed", 400 if skips else 500)
    else:
        unloadable = ("open", 0) if skips else ("closed", 500)
    return {
        "unloadable": unloadable,
        "unfetchable": (("closed", 401) if kind == "auth_check" else ("open", 0)) if lenient else ("closed", 404),
        "unverified": ("open", 0) if lenient else ("closed", 404),
        "foreign": ("down", 0),
    }


# Gateways of paper.


class Broken(Exception):
    """The gateway has not got the plugin that it should run."""


class PaperGateway:
    """Bundles by name, plugins by the path they were compiled with, and what of them the process has opened."""

    def __init__(self, store, version, keeps_folders):
        self.store, self.keeps_folders = store, keeps_folders
        self.folders = {}
        self.start(version)

    def start(self, version):
        """A new process: of a package, which finds the folders of the old one, or in a new container."""
        self.version, self.opened = version, {}
        if not self.keeps_folders:
            self.folders = {}

    def serve(self, bundle, kinds):
        """Load the bundle at start or reload. A build is its version and its plugin path."""
        files = self.folders.setdefault(bundle, dict(self.store[bundle]))
        for kind in kinds:
            file = next((name for name in tried(self.version, kind) if name in files), None)
            if file is None:
                raise Broken("no file to open")
            version, path = files[file]
            if generation(version) != generation(self.version):
                raise Broken("the process ends")
            if self.opened.setdefault(path, (bundle, file)) != (bundle, file):
                raise Broken("plugin already loaded")
            if version != self.version:
                raise Broken("built with a different version")


def carry_out(decision, current, target, kinds, keeps_folders):
    """Do what the decision says, and look at every gateway after every step. Ends with the way back."""
    old, new = "old.zip", "new.zip"
    builds = {current: (current, "plugin of the new bundle, 1"), target: (target, "plugin of the new bundle, 2")}
    contents = {version: {decision.files[text(version)]["amd64"]: build} for version, build in builds.items()}
    shared = decision.cutover == "shared"
    both = {**contents[current], **contents[target]}
    assert len(both) == (len(builds) if shared else 1)
    store = {old: {"X.so": (current, "plugin in use")}, new: both if shared else contents[target]}
    gateways = [PaperGateway(store, current, keeps_folders) for _each in range(2)]
    named = old

    def look():
        for gateway in gateways:
            gateway.serve(named, kinds)

    def give(gateway, version):
        """Where there is no bundle for both, the folder of the bundle is put in place."""
        if not shared:
            gateway.folders[new] = dict(contents[version])

    look()
    for gateway in gateways:
        give(gateway, current)
    named = new
    look()
    for way in (target, current):
        for gateway in gateways:
            gateway.start(way)
            give(gateway, way)
            look()


@pytest.mark.parametrize("current", ALL, ids=text)
def test_the_decision_agrees_with_the_rules_said_once_more(current):
    for target in ALL:
        for kinds in kinds_of(current, target):
            decision = decide(text(current), text(target), kinds)
            pair = f"{text(current)} to {text(target)}, {kinds}"
            response = "response" in kinds
            together = one_bundle(current, target, response)
            files = {text(one): {"amd64": file_name(one, together, response)} for one in (current, target)}
            assert decision.path == path_number(current, target), pair
            assert decision.cutover == ("shared" if together else "per-host"), pair
            assert decision.files == files, pair
            assert decision.manifest_path == "X.so"
            assert decision.kinds == kinds
            dies = any(row.situation == "foreign" for row in decision.failures[text(target)])
            assert dies == (generation(current) != generation(target)), pair
            assert decision.supported == (
                (5, 0, 2) not in (current, target) and (together or (4, 0, 0) not in (current, target))
            ), pair


@pytest.mark.parametrize("current", ALL, ids=text)
def test_what_each_version_does_without_its_plugin(current):
    for target in ALL[:: len(ALL) - 1]:
        crosses = generation(current) != generation(target)
        for kind in (*REQUEST_KINDS, "response"):
            decision = decide(text(current), text(target), [kind])
            for version in (current, target):
                told = {row.situation: (row.outcome, row.status) for row in decision.failures[text(version)]}
                wanted = without_plugin(version, kind)
                if not crosses:
                    del wanted["foreign"]
                assert told == wanted, f"{text(version)}, {kind}"


@pytest.mark.parametrize("number", ALL, ids=text)
def test_how_each_version_is_built(number):
    (build,) = decide(text(number), text(number), ["pre"]).builds
    assert build.image == f"tyk-plugin-compiler:v{text(number)}"
    assert build.go == go_of(number)
    assert build.output == ("X.so" if letter(number) == "A" else f"X_v{text(number)}_linux_amd64.so")
    assert build.plugin_path == plugin_path(number)
    assert build.unique_by == ("build-id" if number < (5, 1, 0) and number != (5, 0, 2) else "module-line")
    assert bool(build.problem) == (number == (5, 0, 2))
    vendored = number < (5, 1, 0) and number != (5, 0, 2)
    assert (build.contract.mode == "gopath") == vendored
    assert build.contract.workspace == (number >= (5, 1, 0))
    assert build.contract.honours_build_id == (vendored or number >= (5, 2, 4))
    assert build.contract.rewrites_literals == (number >= (5, 2, 4))
    assert build.contract.cross_compiler == (number >= (5, 0, 3))


@pytest.mark.parametrize("current", ALL, ids=text)
def test_no_gateway_is_ever_without_its_plugin(current):
    for place, target in enumerate(ALL):
        kinds = kinds_of(current, target)[place % 3]
        decision = decide(text(current), text(target), kinds)
        for keeps_folders in (False, True):
            try:
                carry_out(decision, current, target, kinds, keeps_folders)
            except Broken as problem:
                pytest.fail(f"{text(current)} to {text(target)}, {kinds}: {problem}")


@pytest.mark.parametrize("kinds", [("pre",), ("response",), ("auth_check", "response")], ids="+".join)
@pytest.mark.parametrize("current", [(4, 0, 16), (4, 1, 0), (4, 2, 4), (4, 3, 1), (4, 3, 2), (5, 0, 15)], ids=text)
def test_no_gateway_is_ever_without_its_plugin_where_classes_meet(current, kinds):
    for target in [(4, 0, 13), (4, 1, 0), (4, 2, 4), (4, 3, 0), (4, 3, 1), (4, 3, 8), (5, 1, 2), (5, 3, 0), (5, 8, 9)]:
        carry_out(decide(text(current), text(target), kinds), current, target, kinds, True)


# The gateways of paper break where real ones were seen to.


def paper(files, version, named="new.zip"):
    gateway = PaperGateway({"old.zip": {"X.so": (version, "in use")}, named: files}, version, True)
    gateway.serve("old.zip", ["pre"])
    return gateway


def test_the_same_plugin_in_a_new_bundle_is_refused():
    with pytest.raises(Broken, match="already loaded"):
        paper({"X.so": ((5, 3, 0), "in use")}, (5, 3, 0)).serve("new.zip", ["pre"])


@pytest.mark.parametrize(
    ("target", "problem"), [((4, 1, 0), "different version"), ((4, 2, 4), "different version"), ((4, 3, 1), "ends")]
)
def test_the_bundle_of_the_published_path_2_breaks_targets_that_open_the_exact_name_first(target, problem):
    files = {"X.so": ((4, 0, 3), "old"), f"X_v{text(target)}_linux_amd64.so": (target, "new")}
    gateway = PaperGateway({"new.zip": files}, (4, 0, 3), False)
    gateway.serve("new.zip", ["pre"])
    gateway.start(target)
    with pytest.raises(Broken, match=problem):
        gateway.serve("new.zip", ["pre"])


def test_the_published_path_1_has_a_window():
    gateway = paper({"X.so": ((4, 0, 16), "new")}, (4, 0, 3))
    gateway.start((4, 0, 16))
    with pytest.raises(Broken, match="different version"):
        gateway.serve("old.zip", ["pre"])


def test_compiler_output_under_its_own_name_is_not_found_by_versions_that_leave_out_the_v():
    with pytest.raises(Broken, match="no file"):
        paper({"X_v4.2.4_linux_amd64.so": ((4, 2, 4), "new")}, (4, 2, 4)).serve("new.zip", ["pre"])


def test_a_folder_that_is_there_is_not_downloaded_again():
    gateway = PaperGateway({"old.zip": {"X.so": ((4, 0, 3), "in use")}}, (4, 0, 3), True)
    gateway.serve("old.zip", ["pre"])
    gateway.store["old.zip"] = {"X.so": ((4, 0, 16), "replaced in the store")}
    gateway.start((4, 0, 16))
    with pytest.raises(Broken, match="different version"):
        gateway.serve("old.zip", ["pre"])
