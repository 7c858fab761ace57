# Copyright (c) 2026 tyk.upgrade contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What can be wrong with a bundle that somebody else made, beyond what its manifest says of itself.

A gateway reads a manifest with Go's decoder, which refuses a wrong type anywhere, and unpacks with Go's archive/zip.
The rules of bundles.lint hold for manifests that are to be built; these here for bundles that are there already.
"""

from __future__ import annotations

import posixpath
import re
from typing import Any, Collection, Iterable, List, Mapping, Optional, Sequence, Tuple, Union

from ansible_collections.tyk.upgrade.plugins.module_utils._domain.behaviours import behaves
from ansible_collections.tyk.upgrade.plugins.module_utils._domain.bundles import (
    AUTH_HOOK,
    LIST_HOOKS,
    Hook,
    hooks,
    is_go,
)
from ansible_collections.tyk.upgrade.plugins.module_utils._domain.findings import Finding, error, warning
from ansible_collections.tyk.upgrade.plugins.module_utils._domain.resolution import candidates, resolve, rule_for
from ansible_collections.tyk.upgrade.plugins.module_utils._domain.versions import Version, as_version

#: Seconds that a gateway gives to the download of a bundle.
DOWNLOAD_LIMIT = 5.0
#: From this share of the limit on the next slower moment of the network is too slow.
NEAR_LIMIT = 0.6
PKIX, PKCS1 = "PUBLIC KEY", "RSA PUBLIC KEY"
#: Gateways that read PKCS#1 public keys too; all read PKIX. (go.mod of each tag: goverify of 2022-08 or later)
READS_PKCS1 = ">=4.0.7, <4.1.0 | >=4.2.2"

#: How openssl makes a PKIX public key of each other form.
_TO_PKIX = (
    (PKCS1, "openssl rsa -pubin -RSAPublicKey_in -pubout"),
    ("CERTIFICATE", "openssl x509 -pubkey -noout"),
    ("PRIVATE KEY", "openssl pkey -pubout"),
)
_NOTHING = (type(None),)
_TEXT, _SWITCH = (str, *_NOTHING), (bool, *_NOTHING)
_HOOK_TYPES: Mapping[str, Tuple[type, ...]] = {
    "name": _TEXT,
    "path": _TEXT,
    "disabled": _SWITCH,
    "require_session": _SWITCH,
    "raw_body_only": _SWITCH,
}
_EXTRACTOR_TYPES: Mapping[str, Tuple[type, ...]] = {
    "disabled": _SWITCH,
    "extract_from": _TEXT,
    "extract_with": _TEXT,
    "extractor_config": (dict, *_NOTHING),
}
_VERSION_IN_NAME = re.compile(r".+_v?(?P<version>[0-9]+\.[0-9]+\.[0-9]+)_[a-z0-9]+_[a-z0-9]+\.so")


def lint_types(manifest: Mapping[str, Any], subject: str) -> List[Finding]:
    """Values that Go's JSON decoder refuses, so that the gateway cannot read the manifest at all."""
    wrong = [
        f"{key} is {_kind(manifest[key])} and not a text"
        for key in ("checksum", "signature")
        if not isinstance(manifest.get(key), _TEXT)
    ]
    middleware = manifest.get("custom_middleware")
    for place, entry, types in _typed_objects(middleware if isinstance(middleware, Mapping) else {}):
        wrong += [
            f"{place}.{key} is {_kind(entry[key])} and not {_wanted(allowed)}"
            for key, allowed in types.items()
            if not isinstance(entry.get(key), allowed)
        ]
    return [
        error(
            "bundle-invalid",
            subject,
            f"In the manifest of {subject}, {sentence}; a gateway cannot read such a manifest.",
            "Correct the value and build the bundle anew.",
            "v5.14.0:apidef/api_definitions.go:570-608",
        )
        for sentence in wrong
    ]


def lint_unlisted(manifest: Mapping[str, Any], names: Collection[str], subject: str) -> List[Finding]:
    """Files that are unpacked though neither the checksum nor the signature covers them."""
    listed = manifest.get("file_list")
    if not isinstance(listed, list):
        return []
    return [
        warning(
            "bundle-invalid",
            subject,
            f"Bundle {subject} holds {name}, which its file_list does not name: neither checksum nor signature covers "
            "it, and gateways unpack it all the same.",
            "List it, or leave it out.",
            "v5.14.0:gateway/coprocess_bundle.go:40-70,258-299",
        )
        for name in sorted(set(names) - {item for item in listed if isinstance(item, str)})
    ]


def lint_versions(
    manifest: Mapping[str, Any],
    names: Collection[str],
    versions: Iterable[Union[str, Version]],
    goos: str,
    goarch: str,
    subject: str,
) -> List[Finding]:
    """Gateways that would open no file for a hook that runs, or one that is meant for another version."""
    if not is_go(manifest):
        return []
    findings: List[Finding] = []
    for version in versions:
        said = set()
        heeds = behaves(version, "respects-disabled-bundle")
        for hook in hooks(manifest):
            if hook.disabled and heeds:
                continue  # such a gateway opens nothing for it
            finding = _hook_finding(hook, as_version(version), names, goos, goarch, subject)
            if finding is not None and finding.message not in said:
                said.add(finding.message)
                findings.append(finding)
    return findings


def _hook_finding(
    hook: Hook, version: Version, names: Collection[str], goos: str, goarch: str, subject: str
) -> Optional[Finding]:
    opened = resolve(version, hook.path, names, goos, goarch, hook.phase)
    folder, base = posixpath.split(hook.path)
    stem = base[: -len(".so")] if base.endswith(".so") else base
    tried = [posixpath.join(folder, name) for name in candidates(version, stem, goos, goarch, hook.phase)]
    source = rule_for(version).source
    if opened is None:
        return error(
            "bundle-no-file",
            subject,
            f"Bundle {subject} holds no file that a gateway {version} ({goos}/{goarch}) opens for the {hook.kind} hook "
            f"{hook.name} ({hook.path}); it tries {', '.join(tried) or 'none'}.",
            f"Add a build for {version} under the first of these names." if tried else "Move the hook: this version "
            "runs no Go plugins on the response.",
            source,
        )
    named = _VERSION_IN_NAME.fullmatch(posixpath.basename(opened))
    if named is not None and Version.parse(named.group("version")).release != version.release:
        return error(
            "plugin-mismatch",
            subject,
            f"For the {hook.kind} hook {hook.name} of bundle {subject} a gateway {version} opens {opened}, which is "
            f"a build for {named.group('version')}.",
            "Let the path of the hook be the plain name, without version, and add a build for each version.",
            source,
        )
    own = [name for name in names if name != opened and _is_for(name, stem, version, goos, goarch)]
    if own and named is None:
        return error(
            "plugin-mismatch",
            subject,
            f"For the {hook.kind} hook {hook.name} of bundle {subject} a gateway {version} opens {opened}, and not "
            f"{sorted(own)[0]}, which is there for it.",
            f"Leave {opened} out of the bundle, so that each version finds its own build.",
            source,
        )
    if named is None and tried[0] != opened and any(_is_versioned(name, stem) for name in names):
        return warning(
            "plugin-mismatch",
            subject,
            f"For the {hook.kind} hook {hook.name} of bundle {subject} a gateway {version} falls back to {opened}, and "
            "nothing says for which version that was built; the others in the bundle say it by their names.",
            f"Add a build for {version} under the name {tried[0]}.",
            source,
        )
    return None


def _is_versioned(name: str, stem: str) -> bool:
    return _VERSION_IN_NAME.fullmatch(posixpath.basename(name)) is not None and name.startswith(f"{stem}_")


def _is_for(name: str, stem: str, version: Version, goos: str, goarch: str) -> bool:
    wanted = (f"{stem}_{tag}{version.release}_{goos}_{goarch}.so" for tag in ("v", ""))
    return posixpath.basename(name) in wanted


def lint_download(
    size: int, speed: float, versions: Sequence[Union[str, Version]], subject: str, place: str
) -> List[Finding]:
    """Whether a bundle of this size arrives in time. speed is in megabits per second, place says whose it is.

    Without versions the limit counts: all but a few old gateways have it.
    """
    seconds = download_seconds(size, speed)
    limited = [str(as_version(version)) for version in versions if behaves(version, "limits-download")]
    if (versions and not limited) or seconds <= DOWNLOAD_LIMIT * NEAR_LIMIT:
        return []
    gateways = f"gateways ({', '.join(limited)})" if limited else "gateways"
    make = error if seconds > DOWNLOAD_LIMIT else warning
    return [
        make(
            "bundle-slow",
            subject,
            f"Bundle {subject} has {size} bytes, which take {seconds:.1f} s at {speed:g} Mbit/s ({place}); {gateways} "
            f"give up after {DOWNLOAD_LIMIT:g} s.",
            "Strip the plugins, hold builds for fewer versions in it, or bring the store nearer to the gateways.",
            "v5.14.0:gateway/coprocess_bundle.go:202-224,357-375",
        )
    ]


def wrong_checksum(subject: str, said: object, computed: str) -> Finding:
    """The manifest's checksum is not that of the files."""
    return error(
        "bundle-checksum",
        subject,
        f"The manifest of bundle {subject} says checksum {said or 'nothing'}, but its files have {computed}; gateways from "
        "5.0.12, 5.3.1 and 5.4.0 on drop every API that names it.",
        "Build the bundle anew with bundle_build or `tyk bundle build`.",
        "tyk v5.3.1, gateway/coprocess_bundle.go",
    )


def as_used(findings: Iterable[Finding], versions: Collection[Union[str, Version]]) -> List[Finding]:
    """The same findings, where a wrong checksum or signature is a warning if no gateway that uses the bundle minds it."""
    lenient = bool(versions) and all(behaves(version, "uses-unverified-bundle") for version in versions)
    return [softened(one) if lenient and one.code in ("bundle-checksum", "bundle-signature") else one for one in findings]


def softened(finding: Finding) -> Finding:
    """The same finding as a warning, where it proves nothing about the gateways in question."""
    return warning(finding.code, finding.subject, finding.message, finding.remedy, finding.source)


def download_seconds(size: int, speed: float) -> float:
    """How long this many bytes take at a speed in megabits per second."""
    return size * 8 / (speed * 1_000_000)


def lint_key(form: str, versions: Iterable[Union[str, Version]], subject: str) -> List[Finding]:
    """Gateways that cannot read a public key in this form (the words of its PEM header)."""
    if form == PKIX:
        return []
    if form == PKCS1:
        blind = [str(as_version(version)) for version in versions if not as_version(version).satisfies(READS_PKCS1)]
        if not blind:
            return []
        which = f"gateways {', '.join(blind)} cannot read"
    else:
        which = "no gateway can read"
    begins = f"begins with '-----BEGIN {form}-----'" if form else "is no PEM file"
    convert = next((command for ending, command in _TO_PKIX if form.endswith(ending)), "")
    return [
        error(
            "bundle-signature",
            subject,
            f"The public key {begins}, which {which}; signed bundles are refused then.",
            f"{f'Convert it ({convert})' if convert else 'Give an RSA public key'}, so that it begins with "
            f"'-----BEGIN {PKIX}-----'.",
            "goverify: rsa_verifier.go; go.mod of v4.0.6 and v4.2.1 against v4.0.7 and v4.2.2",
        )
    ]


def unsigned(subject: str) -> Finding:
    """The bundle has no signature, and gateways with a public key want one."""
    return error(
        "bundle-signature",
        subject,
        f"Bundle {subject} is not signed, and gateways with a public_key_path refuse it.",
        "Build it with the private key (bundle_build, option key).",
        "v5.14.0:gateway/coprocess_bundle.go",
    )


def wrongly_signed(subject: str, why: str) -> Finding:
    """The bundle's signature does not fit."""
    return error(
        "bundle-signature",
        subject,
        f"The signature of bundle {subject} {why}.",
        "Build it anew with the private key that belongs to the gateways' public_key_path.",
        "goverify: rsa_verifier.go",
    )


def _typed_objects(
    middleware: Mapping[str, Any],
) -> List[Tuple[str, Mapping[str, Any], Mapping[str, Tuple[type, ...]]]]:
    found: List[Tuple[str, Mapping[str, Any], Mapping[str, Tuple[type, ...]]]] = []
    for kind in (*LIST_HOOKS, AUTH_HOOK):
        entries = middleware.get(kind)
        for entry in entries if isinstance(entries, list) else [entries]:
            if isinstance(entry, Mapping):
                found.append((kind, entry, _HOOK_TYPES))
    extractor = middleware.get("id_extractor")
    if isinstance(extractor, Mapping):
        found.append(("id_extractor", extractor, _EXTRACTOR_TYPES))
    return found


def _kind(value: object) -> str:
    if isinstance(value, bool):
        return "true or false"
    names = {int: "a number", float: "a number", str: "a text", list: "a list", dict: "an object"}
    return names.get(type(value), "nothing")


def _wanted(allowed: Tuple[type, ...]) -> str:
    return {str: "a text", bool: "true or false", dict: "an object"}[allowed[0]]
