# Copyright (c) 2026 tyk.upgrade contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Findings: the one way the collection says that something is wrong.

A finding names what was found (code), on what (subject), in a sentence (message), what to do about it (remedy) and
which rule said so (source). The list of codes is closed: whoever reads a report can look each one up here.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import Enum
from typing import Any, Dict, Iterable, List, Mapping


class Severity(str, Enum):
    """How much a finding weighs: an error refuses the run before anything changes."""

    ERROR = "error"
    WARNING = "warning"
    INFO = "info"

    def __str__(self) -> str:
        return self.value


#: What comes first where findings are listed.
WEIGHT = {Severity.ERROR.value: 0, Severity.WARNING.value: 1, Severity.INFO.value: 2}


#: Every code that exists, and what it means.
CODES: Dict[str, str] = {
    # versions
    "version-unknown": "The version is not a release of this component.",
    "version-not-string": "The version was given as a number, so digits may be lost (5.10 is 5.1 as a number).",
    "version-lower": "The target version is lower than a version that runs.",
    "edition-mixed": "Gateways of different editions need builds of their own.",
    "edition-unpublished": "The gateway or its plugin compiler was never published in this edition and version.",
    "edition-without-plugins": "Gateways of this edition and version cannot load Go plugins.",
    # gateways
    "gateway-unreachable": "The gateway did not answer.",
    "gateway-interrupted": "A run that was killed left the gateway out of service; the next one repairs that first.",
    "gateway-version-unexplained": "The gateway runs neither the version that the fleet comes from nor the target.",
    "gateway-not-ready": "The gateway answers but is not ready to serve.",
    "gateway-redis": "The gateway reports that it has lost its Redis.",
    "gateway-rpc": "The gateway reports that it has lost its control plane.",
    "drift": "What runs is no longer what the plan was made from.",
    "liveness-duration": "The unit of liveness_check.check_duration differs between the two versions.",
    "backup-unreadable": "The emergency backup in Redis would crash the target version.",
    "backup-missing": "The emergency backup of API definitions is absent, stale or unreadable by the target.",
    "backup-no-help": "A gateway of this version cannot start from the emergency backup without its control plane.",
    # control plane
    "control-plane-older": "The control plane is older than the target of the data plane.",
    "control-plane-unconfirmed": "Nobody has confirmed which version the control plane runs.",
    "dashboard-unauthorized": "The Dashboard refused the token.",
    "dashboard-unreachable": "The Dashboard did not answer.",
    "dashboard-error": "The Dashboard answered with an error.",
    "driver-unsupported": "This driver or deployment kind is not supported here.",
    # API definitions
    "api-drift": "An API definition changed since it was read.",
    "oas-migration": "The API definition is of a kind that the version cannot use this way.",
    "source-of-truth": "The user's own source of truth still names the old version.",
    # plugins
    "plugin-source-empty": "The source folder of the plugin holds no Go files.",
    "plugin-source-invalid": "The plugin's source cannot be compiled for this version as it is.",
    "plugin-compile-failed": "The compiler did not produce the plugin.",
    "plugin-symbol-missing": "The plugin does not export the function that a hook names, or not of the type that the hook needs.",
    "plugin-unreadable": "The file is not a whole Go plugin that a gateway could open.",
    "plugin-arch": "The plugin is built for another operating system or architecture than the gateway.",
    "plugin-untried": "Nothing that could load the build has loaded it.",
    "plugin-go-version": "The plugin was built by another version of Go than the gateway.",
    "plugin-mismatch": "The plugin does not match the gateway that shall load it.",
    "plugin-glibc": "The plugin needs a newer C library than the gateway has.",
    "plugin-tags": "The plugin and the gateway were built with different build tags, as editions are.",
    "plugin-crash": "The gateway's process died while loading the plugin.",
    "plugin-artifact-missing": "A plugin given as files has no build for a version that runs or is going to.",
    "plugin-unlisted": "An API uses a plugin that is not listed.",
    "plugin-unused": "A listed plugin is used by no API.",
    "plugin-path-shared": "Two builds carry the same plugin path; Go loads only one of them into a process.",
    "endpoint-plugin": "An API loads a plugin outside its bundle (per endpoint, by path).",
    "exact-name-first": "Gateways of this version open the exact file name before one that carries their version.",
    "backup-names-old-bundle": "An emergency backup that names the old bundle lets the new version open a foreign build.",
    "path-pinned": "The path of a hook names the build of one version.",
    "hook-disabled": "A hook is switched off by a switch that some of the versions do not know.",
    "literal-rewritten": "The plugin compiler would change string literals that begin with the module's name.",
    # compilers and images
    "build-id-ignored": "The plugin compiler of this version does not make the plugin path unique by itself.",
    "compiler-doubtful": "The plugin compiler may build what this gateway does not load; only trying tells.",
    "compiler-missing": "The plugin compiler of this version is not at hand.",
    "compiler-unusable": "The plugin compiler of this version cannot build what this gateway loads.",
    "image-missing": "The image is neither present nor can it be pulled.",
    "host-file": "A file or folder of the host could not be read or written.",
    "disk-small": "There is not enough free disk space.",
    "memory-small": "There is not enough memory.",
    "engine-unreachable": "The container engine did not answer.",
    "container-missing": "The container does not exist.",
    "container-failed": "A replaced container could not be created or did not stay up.",
    "container-shared-volume": "Several containers share a volume that must be private.",
    "cluster-unreachable": "The Kubernetes cluster did not answer, or is not known.",
    "cluster-forbidden": "The Kubernetes cluster refuses the credentials, or they lack a right.",
    "pod-failed": "A pod was refused by the cluster, or did not get as far as its work.",
    # packages on Linux hosts
    "root-needed": "The task needs the rights of root on this host.",
    "package-manager-unsupported": "This host's package manager is not supported.",
    "package-missing": "The package is not installed on this host.",
    "package-version-missing": "The package is not to be had in this version.",
    "package-no-return": "The version that is installed is in no repository, so there would be no way back.",
    "package-file-invalid": "The given package file is not what it should be.",
    "package-held": "The package is held, locked or excluded, and the hold may not be lifted.",
    "package-lock-held": "Another program holds the package manager's lock.",
    "package-half-configured": "The package manager has not finished an earlier change of this package.",
    "package-failed": "The package manager could not install the package.",
    "repository-unreachable": "A package repository did not answer.",
    "repository-untrusted": "The signature of a package or of its repository is not trusted.",
    "edition-mismatch": "Another edition of the package is installed than the one asked for.",
    "binary-changed": "A program of the package was replaced by hand.",
    "glibc-old": "The host's C library is older than the package needs.",
    "unit-missing": "The service is not known to systemd.",
    "unit-masked": "The service is masked by the administrator.",
    "unit-edited": "The package's own unit file was changed or is overridden.",
    "unit-failed": "The service could not be stopped, or did not stay up after its start.",
    "crash-loop": "The service is restarted again and again.",
    "config-invalid": "The configuration file has a syntax error.",
    "config-unreadable": "The configuration file cannot be read.",
    "middleware-not-writable": "The gateway may not write into its middleware folder.",
    # bundles and stores
    "bundle-slow": "The gateway cannot download the bundle within its time limit.",
    "bundle-invalid": "The bundle is not one that a gateway accepts.",
    "bundle-missing": "The bundle cannot be found where the gateway looks for it.",
    "bundle-no-file": "The bundle holds no file that this gateway version would open.",
    "bundle-not-in-use": "The running gateway does not use the bundle that the API definition names.",
    "bundle-checksum": "The manifest of a bundle says another checksum than its files have.",
    "bundle-signature": "The bundle's signature is missing, wrong, or cannot be checked by the gateway.",
    "store-read-only": "The bundle store refuses to be written.",
    "store-forbidden": "The bundle store refuses the credentials, or they lack a right.",
    "store-limit": "The bundle store takes no bundle of this kind or size.",
    "store-conflict": "The bundle store holds other content under this name.",
    "store-unreachable": "The bundle store did not answer.",
    # paths
    "path-uncovered": "The published procedure does not cover this pair of versions.",
    "plugin-window": "Gateways are without plugins from the switch until they are upgraded.",
    "cutover-unsupported": "Plugins cannot move between these two versions by any step that is supported here.",
    # pump
    "pump-backend": "The pump cannot log in to its back-end, or its backlog cannot be measured.",
    "pump-out-long": "A pump was out for longer than analytics records are kept in Redis.",
    "pump-unsupported-version": "This pump version is not supported.",
    # the run
    "lease-held": "Another run holds the lease.",
    "journal-broken": "The journal's chain of digests is broken.",
    "setting-invalid": "A setting has a value that cannot work.",
    "budget-spent": "More requests failed than the error budget allows.",
    "probe-failed": "A probe did not see what it must see.",
    "unauthorized-allowed": "A request that must be refused was let through.",
}


@dataclass(frozen=True)
class Finding:
    """One thing that is wrong, or worth knowing."""

    code: str
    severity: Severity
    subject: str
    message: str
    remedy: str
    source: str = ""

    def __post_init__(self) -> None:
        if self.code not in CODES:
            raise ValueError(f"{self.code!r} is not a finding code; the closed list of codes is in findings.py.")
        object.__setattr__(self, "severity", Severity(self.severity))

    def to_dict(self) -> Dict[str, str]:
        """The finding as plain strings, for results, plans, journals and reports."""
        return {
            "code": self.code,
            "severity": self.severity.value,
            "subject": self.subject,
            "message": self.message,
            "remedy": self.remedy,
            "source": self.source,
        }

    @classmethod
    def from_dict(cls, data: Mapping[str, Any]) -> Finding:
        """Read what to_dict wrote. Raises ValueError for an unknown code or severity."""
        return cls(
            code=str(data["code"]),
            severity=Severity(data["severity"]),
            subject=str(data["subject"]),
            message=str(data["message"]),
            remedy=str(data.get("remedy", "")),
            source=str(data.get("source", "")),
        )

    def sentence(self) -> str:
        """What happened and what to do next, as one line for a person."""
        return f"{self.message} {self.remedy}".strip()


class DomainError(Exception):
    """Something a user can cause and put right; carries the finding that says how."""

    def __init__(self, finding: Finding) -> None:
        super().__init__(finding.sentence())
        self.finding = finding


def error(code: str, subject: str, message: str, remedy: str, source: str = "") -> Finding:
    """A finding that refuses the run."""
    return Finding(code, Severity.ERROR, subject, message, remedy, source)


def warning(code: str, subject: str, message: str, remedy: str, source: str = "") -> Finding:
    """A finding that the user should act on, though the run goes on."""
    return Finding(code, Severity.WARNING, subject, message, remedy, source)


def info(code: str, subject: str, message: str, remedy: str, source: str = "") -> Finding:
    """A finding worth knowing."""
    return Finding(code, Severity.INFO, subject, message, remedy, source)


def has_errors(findings: Iterable[Finding]) -> bool:
    """Whether any of the findings refuses the run."""
    return any(finding.severity is Severity.ERROR for finding in findings)


def to_dicts(findings: Iterable[Finding]) -> List[Dict[str, str]]:
    """The findings as an Ansible result carries them."""
    return [finding.to_dict() for finding in findings]
