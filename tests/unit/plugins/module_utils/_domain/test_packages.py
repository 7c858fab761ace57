# Copyright (c) 2026 tyk.upgrade contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What the package tools really print (apt 2.6, dpkg 1.21, dnf 4.14, rpm 4.18, systemd 252), read."""

from __future__ import annotations

import json

import pytest

from ansible_collections.tyk.upgrade.plugins.module_utils._domain import packages
from ansible_collections.tyk.upgrade.plugins.module_utils._domain.packages import (
    Candidate,
    Difference,
    Installed,
    RepositoryProblem,
    Unit,
)


@pytest.mark.parametrize(
    ("name", "edition", "others"),
    [
        ("tyk-gateway", "ce", ("tyk-gateway-ee", "tyk-gateway-fips")),
        ("tyk-gateway-ee", "ee", ("tyk-gateway", "tyk-gateway-fips")),
        ("tyk-gateway-fips", "fips", ("tyk-gateway", "tyk-gateway-ee")),
        ("tyk-feed", "ce", ("tyk-feed-ee", "tyk-feed-fips")),
    ],
)
def test_editions(name, edition, others):
    assert packages.edition_of(name) == edition
    assert packages.editions(name) == (name, *others)


@pytest.mark.parametrize(
    ("package_version", "version"),
    [
        ("5.8.9", "5.8.9"),
        ("5.8.9-1", "5.8.9"),
        ("5.8.9-1.el9", "5.8.9"),
        ("1:5.8.9-1", "5.8.9"),
        ("5.8.0~rc1", "5.8.0-rc1"),
        ("5.8.0~rc1-1", "5.8.0-rc1"),
        ("5.8.0-rc1", "5.8.0-rc1"),
        ("", ""),
    ],
)
def test_the_version_of_the_software(package_version, version):
    assert packages.product_version(package_version) == version


@pytest.mark.parametrize(
    ("package_version", "wanted", "same"),
    [
        ("5.8.9-1", "5.8.9", True),
        ("5.8.9-1", "v5.8.9", True),
        ("5.8.9-1", "5.8.9-1", True),
        ("5.8.9-1", "5.8.9-2", False),
        ("5.8.9", "5.8.8", False),
        ("20260101", "20260101", True),
    ],
)
def test_same_version(package_version, wanted, same):
    assert packages.same_version(package_version, wanted) is same


def test_the_newest_packaging_is_chosen_and_an_exact_one_if_it_is_named():
    offered = [Candidate("5.8.9-2"), Candidate("5.8.9-1"), Candidate("5.3.0-1")]
    assert packages.choose(offered, "5.8.9") == Candidate("5.8.9-2")
    assert packages.choose(offered, "5.8.9-1") == Candidate("5.8.9-1")
    assert packages.choose(offered, "5.8.8") is None


def test_the_nearest_versions_are_named_around_the_missing_one():
    offered = [Candidate(one) for one in ("4.0.0", "5.0.1", "5.3.0-1", "5.8.1", "5.8.9", "5.10.0", "odd")]
    assert packages.nearest(offered, "5.8.5") == ["5.3.0", "5.8.1", "5.8.9", "5.10.0"]
    assert packages.nearest(offered, "9.9.9") == ["5.3.0", "5.8.1", "5.8.9", "5.10.0"]
    assert packages.nearest(offered, "1.0.0") == ["4.0.0", "5.0.1", "5.3.0", "5.8.1"]
    assert packages.nearest([], "1.0.0") == []


@pytest.mark.parametrize(
    ("said", "version"),
    [
        ("Release version: v5.8.9\nBuilt by:  goreleaser\nGo version: 1.24.11\n", "5.8.9"),
        ("v4.0.3", "4.0.3"),
        ("time=12:00 v5.3.0-dev", "5.3.0-dev"),
        ("192.168.10.20", ""),
        ("nothing", ""),
    ],
)
def test_a_version_in_a_programs_own_words(said, version):
    assert packages.version_in(said) == version


# -- dpkg and apt --------------------------------------------------------------------------------------------------------


def test_dpkg_query():
    said = (
        "tyk-gateway|hold|ok|installed|5.3.0|amd64\n"
        "tyk-pump|install|reinstreq|half-installed|1.9.0|amd64\n"
        "tyk-gateway-ee|deinstall|ok|config-files|5.3.0|amd64\n"
    )
    assert packages.parse_dpkg(said) == [
        Installed("tyk-gateway", "5.3.0", "amd64", True, "installed", True),
        Installed("tyk-pump", "1.9.0", "amd64", False, "half-installed", False),
    ]


POLICY = """\
tyk-gateway:
  Installed: 5.3.0
  Candidate: 5.8.9
  Version table:
     5.8.9 500
        500 http://packages/stable/apt stable/main amd64 Packages
 *** 5.3.0 500
        500 http://packages/stable/apt stable/main amd64 Packages
        100 /var/lib/dpkg/status
"""


def test_policy():
    source = ("http://packages/stable/apt stable/main amd64 Packages",)
    assert packages.parse_policy(POLICY) == packages.Policy(
        "5.3.0", (Candidate("5.8.9", source), Candidate("5.3.0", source))
    )


def test_policy_of_what_is_installed_only_and_of_nothing():
    local = POLICY.replace("        500 http://packages/stable/apt stable/main amd64 Packages\n        100", "        100")
    assert [one.package_version for one in packages.parse_policy(local).candidates] == ["5.8.9"]
    assert packages.parse_policy("") == packages.Policy()
    assert packages.parse_policy("x:\n  Installed: (none)\n  Candidate: (none)\n  Version table:\n").installed == ""


def test_a_pin_in_the_policy_is_no_source():
    pinned = POLICY.replace("     5.8.9 500", "     5.8.9 -1")
    assert packages.parse_policy(pinned) == packages.parse_policy(POLICY)


@pytest.mark.parametrize(
    ("said", "problem"),
    [
        (
            "Reading package lists...\n"
            "E: The repository 'http://packages/nowhere/apt stable Release' does not have a Release file.\n",
            RepositoryProblem("http://packages/nowhere/apt", "it does not have a Release file"),
        ),
        (
            "W: GPG error: http://packages/untrusted/apt stable InRelease: The following signatures couldn't be verified "
            "because the public key is not available: NO_PUBKEY 84378915E02752A3\n"
            "E: The repository 'http://packages/untrusted/apt stable InRelease' is not signed.\n",
            RepositoryProblem(
                "http://packages/untrusted/apt",
                "The following signatures couldn't be verified because the public key is not available: "
                "NO_PUBKEY 84378915E02752A3",
                True,
            ),
        ),
        (
            "W: An error occurred during the signature verification. The repository is not updated and the previous index "
            "files will be used. GPG error: http://packages/stable/apt stable InRelease: The following signatures were "
            "invalid: BADSIG 84378915E02752A3 lab\n"
            "W: Failed to fetch http://packages/stable/apt/dists/stable/InRelease  The following signatures were invalid: "
            "BADSIG 84378915E02752A3 lab\n",
            RepositoryProblem(
                "http://packages/stable/apt", "The following signatures were invalid: BADSIG 84378915E02752A3 lab", True
            ),
        ),
        (
            "W: Failed to fetch http://127.0.0.1:9/stable/apt/dists/stable/InRelease  Could not connect to 127.0.0.1:9 "
            "(127.0.0.1). - connect (111: Connection refused)\n"
            "W: Some index files failed to download. They have been ignored, or old ones used instead.\n",
            RepositoryProblem(
                "http://127.0.0.1:9/stable/apt/dists/stable/InRelease",
                "Could not connect to 127.0.0.1:9 (127.0.0.1). - connect (111: Connection refused)",
            ),
        ),
    ],
)
def test_what_goes_wrong_in_apt_get_update(said, problem):
    assert packages.parse_apt_update(said) == [problem]


def test_an_update_without_problems():
    assert packages.parse_apt_update("Get:1 http://packages/stable/apt stable InRelease [1801 B]\n") == []


def test_a_control_paragraph():
    fields = packages.parse_stanza("Package: a\nDepends: libc6 (>= 2.34), b\nDescription: one\n two\n\nPackage: c\n")
    assert fields == {"Package": "a", "Depends": "libc6 (>= 2.34), b", "Description": "one\ntwo"}


@pytest.mark.parametrize(
    ("requirements", "needed"),
    [
        ("libc6 (>= 2.34), libc6 (>= 2.9)", "2.34"),
        ("libc.so.6(GLIBC_2.3.4)(64bit)\nlibc.so.6(GLIBC_2.28)(64bit)\n", "2.28"),
        ("/bin/sh", ""),
    ],
)
def test_the_c_library_that_is_asked_for(requirements, needed):
    assert packages.glibc_needed(requirements) == needed


# -- rpm and dnf ---------------------------------------------------------------------------------------------------------


def test_rpm_query():
    said = "tyk-gateway|(none)|5.3.0|1|x86_64\npackage tyk-gateway-ee is not installed\n"
    assert packages.parse_rpm(said) == [Installed("tyk-gateway", "5.3.0-1", "x86_64")]


def test_a_package_that_a_cut_off_transaction_left_twice():
    said = "tyk-gateway|(none)|5.3.0|1|x86_64\ntyk-gateway|(none)|5.8.9|1|x86_64\n"
    assert [(one.healthy, one.state) for one in packages.parse_rpm(said)] == [(False, "installed twice")] * 2


def test_repoquery():
    said = (
        "tyk-gateway|0|5.3.0|1|x86_64|tyk|10011445\n\n"
        "tyk-gateway|0|5.10.0|1|x86_64|tyk|1\n\n"
        "tyk-gateway|0|5.8.9|1|x86_64|tyk|12247368\n\n"
        "tyk-gateway|0|5.8.9|1|x86_64|mirror|12247368\n\n"
        "tyk-gateway|0|5.8.9|1|src|tyk|1\n\n"
    )
    assert packages.parse_repoquery(said) == [
        Candidate("5.10.0-1", ("tyk",), 1, "x86_64"),
        Candidate("5.8.9-1", ("mirror", "tyk"), 12247368, "x86_64"),
        Candidate("5.3.0-1", ("tyk",), 10011445, "x86_64"),
    ]


def test_versions_in_the_order_of_rpm():
    ordered = ["5.8.0~rc1-1", "5.8.0-1", "5.8.0-2", "5.8.0-2.el9", "5.8.9-1", "5.10.0-1", "1:1.0.0-1"]
    shuffled = [*ordered[::2], *ordered[1::2]]
    assert sorted(shuffled, key=packages.rpm_order) == ordered


@pytest.mark.parametrize(
    ("said", "problem"),
    [
        (
            "Tyk                                              24 kB/s | 153  B     00:00    \n"
            "Errors during downloading metadata for repository 'tyk':\n"
            "  - Status code: 404 for http://packages/nowhere/rpm/repodata/repomd.xml (IP: 172.30.37.16)\n"
            "Error: Failed to download metadata for repo 'tyk': Cannot download repomd.xml: Cannot download "
            "repodata/repomd.xml: All mirrors were tried\n",
            RepositoryProblem(
                "tyk", "Status code: 404 for http://packages/nowhere/rpm/repodata/repomd.xml (IP: 172.30.37.16)"
            ),
        ),
        (
            "Error: Failed to download metadata for repo 'tyk': repomd.xml GPG signature verification error: Bad GPG "
            "signature\n",
            RepositoryProblem("tyk", "repomd.xml GPG signature verification error: Bad GPG signature", True),
        ),
        (
            "Errors during downloading metadata for repository 'tyk':\n"
            "  - Curl error (6): Couldn't resolve host name\n"
            "Error: Failed to download metadata for repo 'tyk': Cannot download repomd.xml\n"
            "Ignoring repositories: tyk\nMetadata cache created.\n",
            RepositoryProblem("tyk", "Curl error (6): Couldn't resolve host name"),
        ),
    ],
)
def test_what_goes_wrong_with_dnfs_repositories(said, problem):
    assert packages.parse_dnf_errors(said) == [problem]


@pytest.mark.parametrize(
    "line",
    [
        "Package tyk-gateway-5.8.9-1.x86_64.rpm is not signed",
        "Error: GPG check FAILED",
        "E: There were unauthenticated packages and -y was used without --allow-unauthenticated",
    ],
)
def test_a_package_that_is_refused_for_its_signature(line):
    assert packages.untrusted_package(f"first\n{line}\nlast") == line
    assert packages.untrusted_package("E: Unable to locate package") == ""


LOCKED = "# mine\ntyk-gateway-0:5.3.0-1.*\ntyk-gateway-ee-0:5.3.0-1.*\n!tyk-gateway-0:5.7.0-1.*\nother-1.0-1.*\n"


def test_the_lines_of_a_version_lock():
    assert packages.locked_entries(LOCKED, "tyk-gateway") == ["tyk-gateway-0:5.3.0-1.*", "!tyk-gateway-0:5.7.0-1.*"]
    assert packages.locked_entries(LOCKED, "tyk") == []


def test_a_version_lock_is_moved_and_put_back_to_the_letter():
    moved = packages.relocked(LOCKED, "tyk-gateway", "5.8.9-1")
    assert moved == "# mine\ntyk-gateway-0:5.8.9-1.*\ntyk-gateway-ee-0:5.3.0-1.*\nother-1.0-1.*\n"
    back = packages.relocked(moved, "tyk-gateway", "5.3.0-1", packages.locked_entries(LOCKED, "tyk-gateway"))
    assert sorted(back.splitlines()) == sorted(LOCKED.splitlines())
    assert packages.relocked("", "tyk-gateway", "5.8.9-1") == ""


# -- both ----------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("line", "difference"),
    [
        ("??5?????? c /opt/tyk-gateway/tyk.conf", Difference("/opt/tyk-gateway/tyk.conf", True, True)),
        ("??5??????   /opt/tyk-gateway/tyk", Difference("/opt/tyk-gateway/tyk", False, True)),
        ("missing     /opt/tyk-gateway/templates/error.json", Difference("/opt/tyk-gateway/templates/error.json", False, True)),
        ("S.5....T.    /opt/tyk-gateway/tyk", Difference("/opt/tyk-gateway/tyk", False, True)),
        ("S.5....T.  c /opt/tyk-gateway/tyk.conf", Difference("/opt/tyk-gateway/tyk.conf", True, True)),
        (".M.......    /opt/tyk-gateway/a b", Difference("/opt/tyk-gateway/a b", False, False)),
        ("missing   c /etc/x (Permission denied)", Difference("/etc/x", True, True)),
    ],
)
def test_verify(line, difference):
    assert packages.parse_verify(f"{line}\nsome other line\n") == [difference]


def unit(**properties: str) -> Unit:
    known = {"LoadState": "loaded", "ActiveState": "active", "SubState": "running", "MainPID": "7", **properties}
    return Unit.from_properties("a.service", packages.parse_show("".join(f"{k}={v}\n" for k, v in known.items())))


def test_a_unit():
    seen = unit(NRestarts="3", DropInPaths="/etc/a /etc/b", ExecMainStartTimestampMonotonic="2500000", User="tyk")
    assert (seen.running, seen.masked, seen.overridden, seen.looping, seen.found) == (True, False, False, False, True)
    assert (seen.restarts, seen.dropins, seen.started_monotonic, seen.user) == (3, ("/etc/a", "/etc/b"), 2.5, "tyk")


def test_an_old_systemd_that_does_not_say_everything():
    assert Unit.from_properties("a", {"LoadState": "not-found"}) == Unit("a", "not-found")
    assert not Unit.from_properties("a", {"LoadState": "not-found"}).found


@pytest.mark.parametrize(
    ("properties", "what"),
    [
        ({"LoadState": "masked", "UnitFileState": "masked-runtime"}, "masked"),
        ({"FragmentPath": "/etc/systemd/system/a.service"}, "overridden"),
        ({"ActiveState": "activating", "SubState": "auto-restart", "MainPID": "0"}, "looping"),
        ({"ActiveState": "failed", "SubState": "failed", "Result": "start-limit-hit", "MainPID": "0"}, "looping"),
    ],
)
def test_what_is_wrong_with_a_unit(properties, what):
    assert getattr(unit(**properties), what) is True


# -- configuration -------------------------------------------------------------------------------------------------------


def test_a_syntax_error_is_told_by_its_place_and_never_by_its_text():
    found = packages.read_config("/c", '{\n "secret": "hidden"\n "port": 1\n}')
    assert found.problem == "line 3, column 2: expecting ',' delimiter" and found.line == 3
    assert packages.read_config("/c", "[]").problem == "line 1: it does not hold an object"
    assert packages.read_config("/c", '\ufeff{"a": 1}').data == {"a": 1}


@pytest.mark.parametrize(
    ("value", "current", "target", "crosses"),
    [
        (10, "5.3.0", "5.8.9", 10),
        (10, "5.3.13", "5.4.0", 10),
        (10, "5.8.9", "5.3.0", 10),
        (10, "5.4.0", "5.8.9", None),
        (10, "5.0.0", "5.3.9", None),
        (0, "5.3.0", "5.8.9", None),
        ("10s", "5.3.0", "5.8.9", None),
        (True, "5.3.0", "5.8.9", None),
        (10, "odd", "5.8.9", None),
    ],
)
def test_a_duration_that_changes_its_unit(value, current, target, crosses):
    data = {"liveness_check": {"check_duration": value}}
    assert packages.duration_crosses(data, current, target) == crosses


def test_a_difference_between_configurations_shows_no_secret():
    mine = json.dumps({"secret": "hidden-1", "a": 1, "storage": {"password": "hidden-2", "addrs": ["u:hidden-3@h"]}})
    new = json.dumps({"a": 2, "secret": "hidden-4", "storage": {"password": "hidden-2", "addrs": ["h"]}})
    said = packages.masked_diff(mine, new, "mine", "new")
    assert '-  "a": 1' in said and '+  "a": 2' in said and "hidden" not in said
    assert packages.masked_diff('{"a": 1, "b": 2}', '{"b": 2, "a": 1}', "mine", "new") == ""


def test_a_difference_between_files_that_are_not_json_shows_no_secret():
    said = packages.masked_diff("TYK_GW_SECRET=hidden\nPORT=1\n", "TYK_GW_SECRET=hidden\nPORT=2\n", "mine", "new")
    assert "-PORT=1" in said and "+PORT=2" in said and "hidden" not in said
