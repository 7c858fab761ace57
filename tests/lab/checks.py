# Copyright (c) 2026 tyk.upgrade contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""One check at a time: ``checks.py lint | sanity | units | conformance | refusals | parity | faults | hosts | watched |
kubernetes | bench | molecule | package``.

Each prints what failed and ends with the exit code that says so.
"""

from __future__ import annotations

import argparse
import os
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

from builder import Builder, go_version
from engine import DockerEngine, install_packages, say
from settings import FROM_VERSION, ROOT, TO_VERSION, LabError, cache_dir
from stand_ins import StandIns

BIN = Path(sys.executable).parent


def environment(**extra: str) -> dict[str, str]:
    """The tools of this Python environment first, then the system's; no version manager's shims."""
    system = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"
    return {
        **os.environ,
        "PATH": f"{BIN}:{system}",
        "ANSIBLE_CONFIG": str(ROOT / "ansible.cfg"),
        "ANSIBLE_COLLECTIONS_PATH": str(ROOT / "build" / "collections"),
        "ANSIBLE_NOCOLOR": "1",
        "PY_COLORS": "0",
        **extra,
    }


def call(*command: str, cwd: Path = ROOT, env: dict[str, str] | None = None) -> bool:
    print("+", " ".join(command), flush=True)
    return subprocess.run(command, cwd=cwd, env=env or environment(), check=False).returncode == 0  # noqa: S603


def lint() -> bool:
    """Run all four, so that one sitting shows everything."""
    return all([ruff(), mypy(), yamllint(), ansible_lint(), changelog()])


def ruff() -> bool:
    return call(str(BIN / "ruff"), "check", "plugins", "tests")


def mypy() -> bool:
    modules = "ansible_collections/tyk/upgrade/plugins/module_utils"
    return call(
        str(BIN / "mypy"),
        "--config-file",
        str(ROOT / "pyproject.toml"),
        "--cache-dir",
        str(ROOT / "build" / "mypy"),
        modules,
        cwd=ROOT / "build" / "collections",
        env=environment(MYPYPATH=str(ROOT / "build" / "collections")),
    )


def yamllint() -> bool:
    return call(str(BIN / "yamllint"), "--strict", ".")


def ansible_lint() -> bool:
    return call(str(BIN / "ansible-lint"), "--offline", "--profile=production", "-q")


def changelog() -> bool:
    return call(str(BIN / "antsibull-changelog"), "lint")


def copy_of_checkout(parent: Path) -> Path:
    """What git knows or would know of, in a real ansible_collections tree: ansible-test does not follow links."""
    target = parent / "ansible_collections" / "tyk" / "upgrade"
    listed = subprocess.run(
        ["git", "ls-files", "-z", "--cached", "--others", "--exclude-standard"],
        cwd=ROOT,
        stdout=subprocess.PIPE,
        check=True,
    ).stdout.decode()
    for name in filter(None, listed.split("\0")):
        source = ROOT / name
        if not source.is_file():
            continue
        (target / name).parent.mkdir(parents=True, exist_ok=True)
        shutil.copy2(source, target / name, follow_symlinks=False)
    for command in (["init", "-q"], ["add", "-A"]):
        subprocess.run(["git", *command], cwd=target, check=True, stdout=subprocess.DEVNULL)
    return target


GET_PIP = '''"""Installs pip from what Python itself carries; for machines that reach a package index only."""
import subprocess
import sys

# A process of its own: ensurepip's API blanks pip's configuration.
subprocess.check_call([sys.executable, "-m", "ensurepip"])
arguments = [argument for argument in sys.argv[1:] if argument not in ("--no-setuptools", "--no-wheel")]
sys.exit(subprocess.call([sys.executable, "-m", "pip", "install", *arguments]))
'''


def sanity() -> bool:
    """ansible-test sanity on the Python that runs it, in a copy of the checkout."""
    home = cache_dir() / "ansible-test"
    for version in ("24_2", "24_3_1", "25_0", "25_1", "25_2", "25_3"):
        script = home / ".ansible" / "test" / "cache" / f"get_pip_{version}.py"
        if not script.exists():
            script.parent.mkdir(parents=True, exist_ok=True)
            script.write_text(GET_PIP)
    if shutil.which("git") is None:
        install_packages("git")
    work = ROOT / "build" / "sanity"
    shutil.rmtree(work, ignore_errors=True)
    copy = copy_of_checkout(work)
    tests = ["sanity", "--python", "default", "--color", "no", "--truncate", "0"]
    done = call(str(BIN / "ansible-test"), *tests, cwd=copy, env=environment(HOME=str(home)))
    shutil.rmtree(work, ignore_errors=True)
    return done


def units() -> bool:
    """Includes the tests that want an engine when one answers or can be started."""
    try:
        DockerEngine.ensure().close()
    except LabError as error:
        say(f"tests that want a Docker engine are skipped: {error}")
    return pytest("tests/unit", "-n", "2", "--dist", "loadfile")


def pytest(*arguments: str, **variables: str) -> bool:
    folder = cache_dir() / "pytest"
    return call(
        sys.executable,
        "-m",
        "pytest",
        "-q",
        "-o",
        f"cache_dir={folder}",
        *arguments,
        env=environment(PYTHONDONTWRITEBYTECODE="1", **variables),
    )


# What depends on how a release finds, fetches and loads plugins, and how its compiler makes them.
PLUGIN_TESTS = (
    "built_bundles",
    "bundles",
    "commands",
    "compiler",
    "every_file",
    "hooks",
    "hot_swap",
    "pairs",
    "plugin_files",
    "signatures",
)
OPENING = ("every_file", "hot_swap", "pairs")
# One release of each class of gateways and of compilers, and what tells it from the others; the lab's own two are held
# against everything.
CLASSES: dict[str, tuple[str, ...]] = {
    "4.0.16": (*OPENING, "compiler"),
    "4.2.4": OPENING,
    "4.3.1": OPENING,
    "4.3.8": OPENING,
    "5.0.15": (*OPENING, "commands", "compiler"),
    "5.2.2": ("compiler",),
    "5.2.5": OPENING,
    FROM_VERSION: (),
    TO_VERSION: (),
}
# Whose builds have the same plugin paths and other packages; for the rest there is a compiler made to mismatch.
NEIGHBOURS = {"4.0.16": "4.2.4", "4.2.4": "4.0.16", "4.3.1": "4.3.8", "4.3.8": "4.3.1"}


def conformance() -> bool:
    """Each stand-in gateway against the suite that real gateways of that version pass as well.

    VERSIONS, separated by commas: these only, against all tests that have to do with plugins.
    """
    if shutil.which("redis-server") is None:
        install_packages("redis-server")
    stand_ins = StandIns(Builder(DockerEngine.ensure()))
    named = [version for version in os.environ.get("VERSIONS", "").split(",") if version]
    own = (FROM_VERSION, TO_VERSION)
    tests = {version: () if version in own else PLUGIN_TESTS for version in named} or CLASSES
    # An image is what the lab runs; a program of its own starts faster.
    subjects = {version: stand_ins.gateway if version in own else stand_ins.gateway_binary for version in tests}
    foreign = {one: TO_VERSION if go_version(one) != go_version(TO_VERSION) else FROM_VERSION for one in tests}
    opening = [version for version, names in tests.items() if not names or "hot_swap" in names]
    alone = [version for version in opening if version not in NEIGHBOURS]
    beside = {version: NEIGHBOURS[version] for version in opening if version in NEIGHBOURS}
    with ThreadPoolExecutor() as pool:
        needed = sorted({*tests, *foreign.values(), *beside.values()})
        compilers = dict(zip(needed, pool.map(stand_ins.compiler, needed), strict=True))
        mismatches = dict(zip(alone, pool.map(stand_ins.mismatch, alone), strict=True))
        mismatches.update((version, compilers[other]) for version, other in beside.items())
        gateways = dict(zip(tests, pool.map(lambda version: str(subjects[version](version)), tests), strict=True))
    folder = "tests/lab/conformance"
    done = []
    for version, names in tests.items():
        subject = {
            "CONFORMANCE_GATEWAY": gateways[version],
            "CONFORMANCE_VERSION": version,
            "CONFORMANCE_COMPILER": compilers[version],
            "CONFORMANCE_FOREIGN": compilers[foreign[version]],
            "CONFORMANCE_FOREIGN_VERSION": foreign[version],
            "CONFORMANCE_MISMATCH": mismatches.get(version, ""),
            "CONFORMANCE_CONTROLPLANE": str(stand_ins.program("controlplane")),
        }
        say(f"conformance of {version}")
        done.append(pytest(*([f"{folder}/test_{name}.py" for name in names] or [folder]), "-n", "4", **subject))
    return all(done)


def refusals() -> bool:
    """Side by side on containers; one after the other on Linux hosts, whose tests spoil the hosts themselves."""
    if os.environ.get("LAB_TARGET") == "linux":
        return pytest("tests/refusals/linux")
    return pytest("tests/refusals", "-n", "3")


def parity() -> bool:
    return pytest("tests/checkmode")


def faults() -> bool:
    return pytest("tests/faults")


def hosts() -> bool:
    """Packages on hosts with real systemd, apt and dnf, services of a real Compose project; one worker for each kind."""
    return pytest("tests/packages", "tests/compose", "-n", "2", "--dist", "loadgroup")


def watched() -> bool:
    """What compilers print is shown with -v, whatever happens on the way."""
    return pytest("tests/unit/plugins/modules/engine/test_plugin_compile_watched.py", WATCHED="1")


def kubernetes() -> bool:
    """On the cluster that KUBECONFIG names, with pods of the image that KUBERNETES_IMAGE names."""
    if not os.environ.get("KUBECONFIG"):
        say("KUBECONFIG names no cluster.")
        return False
    return pytest("tests/kubernetes", "-s")


def bench() -> bool:
    """What is measured as a ratio; wants a quiet machine. TYK_BINARY names a real gateway's program to compare with."""
    by_hand = "tests/packages/test_by_hand.py::test_the_service_is_out_no_longer_than_by_hand"
    return all([pytest("tests/bench", "-s", BENCH="1"), pytest(by_hand, "-s", BENCH="1")])


def molecule() -> bool:
    """The scenario that SCENARIO names."""
    return call(
        str(BIN / "molecule"),
        "test",
        "-s",
        os.environ.get("SCENARIO") or "upgrade_docker",
        cwd=ROOT / "extensions",
        env=environment(ANSIBLE_CONFIG=""),
    )


def package() -> bool:
    """The tarball, installed with nothing but meta, plugins, roles and playbooks left, still knows its plugins."""
    with tempfile.TemporaryDirectory(prefix="tyk-upgrade-package-") as folder:
        work = Path(folder)
        source = copy_of_checkout(work / "source")
        shutil.rmtree(source / ".git")
        galaxy = str(BIN / "ansible-galaxy")
        env = environment(ANSIBLE_CONFIG="", ANSIBLE_COLLECTIONS_PATH=str(work / "installed"))
        if not call(galaxy, "collection", "build", "--output-path", str(work), str(source), env=env):
            return False
        tarball = next(work.glob("*.tar.gz"))
        install = ("collection", "install", str(tarball), "-p", str(work / "installed"), "--offline", "--no-deps")
        if not call(galaxy, *install, env=env):
            return False
        installed = work / "installed" / "ansible_collections" / "tyk" / "upgrade"
        for entry in installed.iterdir():
            if entry.name not in ("meta", "plugins", "roles", "playbooks", "MANIFEST.json", "FILES.json"):
                shutil.rmtree(entry) if entry.is_dir() else entry.unlink()
        playbook = ("--syntax-check", "-i", "localhost,", "tyk.upgrade.hybrid_upgrade")
        modules = [f"tyk.upgrade.{path.stem}" for path in sorted((installed / "plugins" / "modules").glob("[!_]*.py"))]
        return call(str(BIN / "ansible-doc"), "-j", *modules, env={**env, "ANSIBLE_PAGER": "cat"}, cwd=work) and call(
            str(BIN / "ansible-playbook"), *playbook, env=env, cwd=work
        )


CHECKS: dict[str, Callable[[], bool]] = {
    check.__name__: check
    for check in (lint, sanity, units, conformance, refusals, parity, faults, hosts, watched, kubernetes, bench, molecule, package)
}


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("check", choices=sorted(CHECKS))
    try:
        return 0 if CHECKS[parser.parse_args().check]() else 1
    except LabError as error:
        print(f"checks: {error}", file=sys.stderr)
        return 1


if __name__ == "__main__":
    sys.exit(main())
