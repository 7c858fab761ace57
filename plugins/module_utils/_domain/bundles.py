# Copyright (c) 2026 tyk.upgrade contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Plugin bundles: the manifest, the names, and the provenance that says what a bundle was made from.

A bundle is a zip with manifest.json at its root. Gateways cache it by name and never look again, so other content
always needs another name; and Go refuses a plugin whose path it has loaded before, so every build in a new bundle needs
a plugin path of its own. Both names derive from what goes into the whole bundle, before anything is compiled.
"""

from __future__ import annotations

import copy
import hashlib
import json
import posixpath
import re
from dataclasses import dataclass
from typing import Any, Collection, Dict, Iterable, List, Mapping, Optional, Sequence, Tuple, Union

from ansible_collections.tyk.upgrade.plugins.module_utils._domain.findings import Finding, error, warning
from ansible_collections.tyk.upgrade.plugins.module_utils._domain.resolution import REQUEST, RESPONSE, resolve
from ansible_collections.tyk.upgrade.plugins.module_utils._domain.versions import Version

MANIFEST_FILE = "manifest.json"
PROVENANCE_FILE = "tyk-upgrade.json"
PROVENANCE_SCHEMA = "tyk.upgrade/provenance/v1"
GO_DRIVER = "goplugin"

#: v5.14.0:apidef/api_definitions.go, the names of MiddlewareDriver.
DRIVERS = ("goplugin", "python", "otto", "lua", "grpc")

#: v5.14.0:apidef/api_definitions.go:570-608; auth_check is one hook, the others are lists.
LIST_HOOKS = ("pre", "post_key_auth", "post", "response")
AUTH_HOOK = "auth_check"

_MANIFEST_KEYS = ("file_list", "custom_middleware", "checksum", "signature")
_MIDDLEWARE_KEYS = (*LIST_HOOKS, AUTH_HOOK, "driver", "id_extractor")
_SWITCHES = ("disabled", "require_session", "raw_body_only")
_VERSIONED_STEM = re.compile(r"(?P<stem>.+)_v?[0-9]+\.[0-9]+\.[0-9]+_[a-z0-9]+_[a-z0-9]+")
_BUILD_ID = re.compile(r"t[0-9a-f]{12}")
_NAMED_BY_BUILD = re.compile(r"-t[0-9a-f]{12}$")


@dataclass(frozen=True)
class Hook:
    """A function that the gateway calls: where in the request (kind), which (name), from which file (path)."""

    kind: str
    name: str
    path: str
    disabled: bool = False

    @property
    def response(self) -> bool:
        """Whether the hook runs on the response; such hooks have file rules of their own."""
        return self.kind == RESPONSE

    @property
    def phase(self) -> str:
        """The kind of hook as the resolution rules know it."""
        return RESPONSE if self.response else REQUEST

    @property
    def stem(self) -> str:
        """The plugin's name: the path's base name without .so and without a version that a compiler appended."""
        return plugin_stem(self.path)


def plugin_stem(path: str) -> str:
    """HeaderPlugin for HeaderPlugin.so as for lib/HeaderPlugin_v5.3.0_linux_amd64.so."""
    base = posixpath.basename(path)
    stem = base[: -len(".so")] if base.endswith(".so") else base
    versioned = _VERSIONED_STEM.fullmatch(stem)
    return versioned.group("stem") if versioned else stem


def hooks(manifest: Mapping[str, Any]) -> List[Hook]:
    """The hooks of a manifest in the order of a request. Keys that only say "nothing here" are passed over."""
    middleware = _mapping(manifest.get("custom_middleware"))
    found = []
    for kind in ("pre", AUTH_HOOK, "post_key_auth", "post", "response"):
        entries = [middleware.get(kind)] if kind == AUTH_HOOK else middleware.get(kind)
        for entry in entries if isinstance(entries, list) else []:
            hook = _mapping(entry)
            if hook.get("name") or hook.get("path"):
                found.append(
                    Hook(kind, str(hook.get("name") or ""), str(hook.get("path") or ""), hook.get("disabled") is True)
                )
    return found


def driver(manifest: Mapping[str, Any]) -> str:
    """What runs the hooks: goplugin, python, …"""
    return str(_mapping(manifest.get("custom_middleware")).get("driver") or "")


def is_go(manifest: Mapping[str, Any]) -> bool:
    """Whether the bundle holds Go plugins, the only ones that must match the gateway's version."""
    return driver(manifest) == GO_DRIVER


def plugin_stems(manifest: Mapping[str, Any]) -> List[str]:
    """The names of the Go plugins that the manifest's hooks use, sorted; disabled hooks too (below 5.0.0 they run)."""
    return sorted({hook.stem for hook in hooks(manifest)}) if is_go(manifest) else []


def symbols(manifest: Mapping[str, Any], stem: str) -> List[str]:
    """The functions that a plugin must export, sorted."""
    return sorted({hook.name for hook in hooks(manifest) if hook.stem == stem and hook.name})


def phases(manifest: Mapping[str, Any], stem: str) -> List[str]:
    """The kinds of hook (request, response) that use a plugin, sorted."""
    return sorted({hook.phase for hook in hooks(manifest) if hook.stem == stem})


def planned_manifest(template: Mapping[str, Any], files: Sequence[str]) -> Dict[str, Any]:
    """The manifest of a new bundle, made from that of the bundle in use: same hooks, other files.

    Paths of Go hooks become plain <stem>.so: the gateway appends its version to whatever the path says, so a path that
    carries a version would pin it. Checksum and signature are left for the bundle's builder.
    """
    manifest = copy.deepcopy(dict(template))
    manifest["file_list"] = list(files)
    manifest.pop("checksum", None)
    manifest.pop("signature", None)
    if is_go(manifest):
        for entry in _hook_entries(_mapping(manifest.get("custom_middleware"))):
            if entry.get("path"):
                entry["path"] = f"{plugin_stem(str(entry['path']))}.so"
    return manifest


def data_files(manifest: Mapping[str, Any]) -> List[str]:
    """Listed files that are neither Go plugins nor the provenance: a new bundle carries them on unchanged."""
    listed = manifest.get("file_list")
    names = [name for name in listed if isinstance(name, str)] if isinstance(listed, list) else []
    return sorted(name for name in names if not name.endswith(".so") and name != PROVENANCE_FILE)


def manifest_digest(manifest: Mapping[str, Any]) -> str:
    """What the manifest means, as a SHA-256: hooks, driver, extractor and the names of further files.

    Not part of it: checksum, signature, the names of builds, and keys that tools write or leave out at will (the
    bundle command of the gateway re-writes a manifest with every key there is).
    """
    middleware = _mapping(manifest.get("custom_middleware"))
    return _sha256(
        {
            "driver": driver(manifest),
            "hooks": [_meaning(entry, kind, is_go(manifest)) for kind, entry in _hooks_with_kind(middleware)],
            "id_extractor": _without_empty(_mapping(middleware.get("id_extractor"))),
            "files": data_files(manifest),
        }
    )


def checksum(chunks: Iterable[bytes]) -> str:
    """The checksum that a manifest carries: lowercase hex MD5 over the listed files' bytes, in list order.

    v5.14.0:gateway/coprocess_bundle.go:40-70; the manifest itself is not part of it.
    """
    digest = _md5()
    for chunk in chunks:
        digest.update(chunk)
    return str(digest.hexdigest())


def bundle_directory(name: str) -> str:
    """The folder below <middleware path>/bundles in which a gateway keeps a bundle of this name.

    v5.14.0:gateway/coprocess_bundle.go:429-442; the same since 3.2.3 and 4.0.1.
    """
    return checksum([name.encode("utf-8")])


@dataclass(frozen=True)
class Provenance:
    """What a bundle was made from. Lies in the bundle, so that any later run can tell what it holds.

    signed_by: the id of the key that signs it, empty where none does.
    """

    stem: str
    sources: Mapping[str, str]
    versions: Tuple[str, ...]
    compilers: Mapping[str, str]
    manifest_digest: str
    goos: str = "linux"
    goarchs: Tuple[str, ...] = ("amd64",)
    edition: str = "ce"
    build_id: str = ""
    signed_by: str = ""

    def inputs(self) -> Dict[str, Any]:
        """Everything that decides what is in the bundle; the build id follows from it."""
        return {
            "stem": self.stem,
            "sources": dict(sorted(self.sources.items())),
            "versions": sorted(self.versions, key=Version.parse),
            "compilers": dict(sorted(self.compilers.items())),
            "manifest_digest": self.manifest_digest,
            "goos": self.goos,
            "goarchs": sorted(self.goarchs),
            "edition": self.edition,
            **({"signed_by": self.signed_by} if self.signed_by else {}),
        }

    def to_dict(self) -> Dict[str, Any]:
        """The content of the provenance file."""
        return {"schema": PROVENANCE_SCHEMA, **self.inputs(), "build_id": self.build_id or build_id(self)}

    @classmethod
    def from_dict(cls, data: Mapping[str, Any]) -> Provenance:
        """Read what to_dict wrote. Raises ValueError when it is something else, or of a schema not known here."""
        if data.get("schema") != PROVENANCE_SCHEMA:
            raise ValueError(f"The provenance has schema {data.get('schema')!r}; known is {PROVENANCE_SCHEMA!r}.")
        try:
            return cls(
                stem=str(data["stem"]),
                sources={str(name): str(digest) for name, digest in data["sources"].items()},
                versions=tuple(str(Version.parse(version)) for version in data["versions"]),
                compilers={str(version): str(digest) for version, digest in data["compilers"].items()},
                manifest_digest=str(data["manifest_digest"]),
                goos=str(data["goos"]),
                goarchs=tuple(str(goarch) for goarch in data["goarchs"]),
                edition=str(data["edition"]),
                build_id=str(data["build_id"]),
                signed_by=str(data.get("signed_by") or ""),
            )
        except (KeyError, AttributeError, TypeError) as problem:
            raise ValueError(f"The provenance lacks or misstates {problem}.") from problem


def inputs_digest(provenance: Provenance) -> str:
    """A SHA-256 over everything that goes into the bundle."""
    return _sha256(provenance.inputs())


def build_id(provenance: Provenance) -> str:
    """The name of these builds: t and twelve hex digits, derived from the inputs of the whole bundle.

    The letter comes first because the compiler makes a Go identifier of it.
    """
    return f"t{inputs_digest(provenance)[:12]}"


def plugin_build_id(bundle_build_id: str, plugin: str) -> str:
    """The build id of one plugin in a bundle.

    From 5.2.4 on the compiler names the module after the id alone, so two plugins built with one id would share a
    plugin path, and a gateway that uses both could load only one.
    """
    if not _BUILD_ID.fullmatch(bundle_build_id):
        raise ValueError(f"{bundle_build_id!r} is not a build id; it is t and twelve hex digits.")
    return f"t{_sha256([bundle_build_id, plugin])[:12]}"


def bundle_name(stem: str, builds: str) -> str:
    """The name of the bundle with this stem that holds the builds of this id."""
    return f"{stem}-{builds}.zip"


def artifacts_digest(files: Mapping[str, str]) -> str:
    """One digest over the digests of a plugin's builds, by version and architecture."""
    return f"artifacts:{_sha256(dict(sorted(files.items())))}"


def placed_name(name: str, version: str) -> str:
    """The name under which the store keeps what gateways of this version find in the folder of the bundle `name`."""
    return f"{name[: -len('.zip')]}-for-{version}.zip"


def bundle_stem(name: str) -> str:
    """What stays of a bundle's name through upgrades: without .zip and without a former build id."""
    stem = name[: -len(".zip")] if name.endswith(".zip") else name
    return _NAMED_BY_BUILD.sub("", stem)


def satisfies(
    provenance: Provenance,
    sources: Mapping[str, str],
    versions: Iterable[Union[str, Version]],
    goarchs: Iterable[str] = (),
    edition: Optional[str] = None,
) -> bool:
    """Whether a bundle already holds builds of just these sources for every one of these versions.

    Such a bundle stays in use and keeps its name. It may hold further versions, but not further plugins.
    """
    held = {Version.parse(version) for version in provenance.versions}
    wanted = {version if isinstance(version, Version) else Version.parse(version) for version in versions}
    return (
        dict(provenance.sources) == dict(sources)
        and wanted <= held
        and set(goarchs) <= set(provenance.goarchs)
        and edition in (None, provenance.edition)
    )


def resolutions(
    manifest: Mapping[str, Any],
    files: Collection[str],
    versions: Iterable[Union[str, Version]],
    goos: str = "linux",
    goarch: str = "amd64",
) -> Dict[str, Dict[str, Optional[str]]]:
    """The file that a gateway of each version opens for each hook path; None where it finds none.

    Where request and response hooks share a path, the response hook has the last word: it comes last, and no gateway
    tries a name for it that it does not try for a request hook.
    """
    found = hooks(manifest) if is_go(manifest) else []
    return {
        str(version): {hook.path: resolve(version, hook.path, files, goos, goarch, hook.phase) for hook in found}
        for version in versions
    }


def lint(
    manifest: object, subject: str, present: Optional[Collection[str]] = None, folders: Collection[str] = ()
) -> List[Finding]:
    """Everything wrong with a manifest.

    subject: the bundle's name, for messages. present: the files at hand, when known. folders: those that the bundle
    makes before it puts something into them, as a gateway needs it.
    """
    if not isinstance(manifest, Mapping):
        return [
            error(
                "bundle-invalid",
                subject,
                f"The manifest of {subject} is not a JSON object.",
                "Write a manifest with file_list and custom_middleware.",
            )
        ]
    findings = _lint_keys(manifest, subject)
    findings += _lint_files(manifest.get("file_list"), subject, present, folders)
    findings += _lint_middleware(manifest.get("custom_middleware"), subject)
    findings += _lint_hooks(manifest, subject)
    return findings


def _lint_keys(manifest: Mapping[str, Any], subject: str) -> List[Finding]:
    extra = sorted(str(key) for key in manifest if key not in _MANIFEST_KEYS)
    middleware = _mapping(manifest.get("custom_middleware"))
    extra += sorted(f"custom_middleware.{key}" for key in middleware if key not in _MIDDLEWARE_KEYS)
    known = {*_MANIFEST_KEYS, *(f"custom_middleware.{key}" for key in _MIDDLEWARE_KEYS)}
    meant = {key: key.lower() for key in extra if key.lower() in known}
    return [
        _invalid(
            subject,
            f"has a key {key}, which gateways take for {right}, whatever else says {right}",
            f"Write {right}.",
            "Go, encoding/json: keys are matched without regard to case",
        )
        for key, right in meant.items()
    ] + [
        warning(
            "bundle-invalid",
            subject,
            f"The manifest of {subject} has a key {key} that gateways do not know and ignore.",
            "Remove the key, or correct its spelling.",
            "v5.14.0:apidef/api_definitions.go:1035-1040",
        )
        for key in extra
        if key not in meant
    ]


def _lint_files(
    listed: object, subject: str, present: Optional[Collection[str]], folders: Collection[str]
) -> List[Finding]:
    if not isinstance(listed, list) or not all(isinstance(name, str) and name for name in listed):
        return [_invalid(subject, "has no file_list of file names", "List every file of the bundle in file_list.")]
    findings = []
    for name in sorted({name for name in listed if listed.count(name) > 1}):
        findings.append(_invalid(subject, f"lists {name} twice", "List each file once."))
    for name in sorted(set(listed)):
        findings += _lint_file_name(name, subject, folders)
        if present is not None and name not in present:
            findings.append(_invalid(subject, f"lists {name}, which is not there", "Add the file, or do not list it."))
    return findings


def _lint_file_name(name: str, subject: str, folders: Collection[str]) -> List[Finding]:
    if name == MANIFEST_FILE:
        return [_invalid(subject, f"lists {name} itself", "Do not list the manifest.")]
    if posixpath.dirname(name) in folders and ".." not in name.split("/") and "\\" not in name:
        return []
    if "/" in name or "\\" in name or name in (".", ".."):
        return [
            _invalid(
                subject,
                f"lists {name}, which is not a plain file name; gateways make no folders while unpacking",
                "Keep the files of a bundle in one folder.",
                "v5.14.0:gateway/coprocess_bundle.go:258-299",
            )
        ]
    return []


def _lint_middleware(middleware: object, subject: str) -> List[Finding]:
    if not isinstance(middleware, Mapping):
        return [_invalid(subject, "has no custom_middleware object", "Describe driver and hooks in custom_middleware.")]
    findings = []
    named = middleware.get("driver")
    if named not in DRIVERS:
        said = f"names no known driver ({named!r})" if named else "names no driver"
        findings.append(_invalid(subject, said, f"Set custom_middleware.driver to one of {', '.join(DRIVERS)}."))
    for kind in LIST_HOOKS:
        entries = middleware.get(kind)
        if entries is not None and not (
            isinstance(entries, list) and all(isinstance(entry, Mapping) for entry in entries)
        ):
            findings.append(_invalid(subject, f"has a {kind} that is not a list of hooks", f"Make {kind} a list."))
    if not isinstance(middleware.get(AUTH_HOOK) or {}, Mapping):
        findings.append(_invalid(subject, "has an auth_check that is not one hook", "Make auth_check a single object."))
    return findings


def _lint_hooks(manifest: Mapping[str, Any], subject: str) -> List[Finding]:
    found = hooks(manifest)
    if not found:
        return [
            _invalid(
                subject,
                "has no hook",
                "Give it at least one of pre, auth_check, post_key_auth, post or response.",
                "v5.14.0:cli/bundler/bundler.go",
            )
        ]
    findings = []
    for hook in found if is_go(manifest) else []:
        if not hook.name:
            findings.append(_invalid(subject, f"has a {hook.kind} hook without a name", "Name the exported function."))
        if not hook.path.endswith(".so"):
            findings.append(
                _invalid(
                    subject,
                    f"has a {hook.kind} hook with path {hook.path!r}, by which not every gateway finds a Go plugin",
                    "Let the path of a Go hook end in .so.",
                )
            )
    return findings


def _invalid(subject: str, what: str, remedy: str, source: str = "") -> Finding:
    return error("bundle-invalid", subject, f"The manifest of {subject} {what}.", remedy, source)


def _hooks_with_kind(middleware: Mapping[str, Any]) -> List[Tuple[str, Dict[str, Any]]]:
    pairs: List[Tuple[str, Dict[str, Any]]] = []
    for kind in (*LIST_HOOKS, AUTH_HOOK):
        entries = [middleware.get(kind)] if kind == AUTH_HOOK else middleware.get(kind)
        pairs += [(kind, entry) for entry in entries or [] if isinstance(entry, dict) and _without_empty(entry)]
    return pairs


def _hook_entries(middleware: Mapping[str, Any]) -> List[Dict[str, Any]]:
    return [entry for _kind, entry in _hooks_with_kind(middleware)]


def _meaning(entry: Mapping[str, Any], kind: str, go: bool) -> Dict[str, Any]:
    path = str(entry.get("path") or "")
    return {
        "kind": kind,
        "name": str(entry.get("name") or ""),
        "plugin": plugin_stem(path) if go else path,
        **{switch: entry.get(switch) is True for switch in _SWITCHES},
    }


def _without_empty(value: Mapping[str, Any]) -> Dict[str, Any]:
    return {key: item for key, item in value.items() if item not in (None, "", False, [], {})}


def _mapping(value: object) -> Mapping[str, Any]:
    return value if isinstance(value, Mapping) else {}


def _sha256(value: object) -> str:
    return hashlib.sha256(json.dumps(value, sort_keys=True, separators=(",", ":")).encode("utf-8")).hexdigest()


def _md5() -> Any:
    """MD5 is the format's checksum, not a safeguard; hosts in FIPS mode want that said (Python 3.9 and later)."""
    try:
        return hashlib.md5(usedforsecurity=False)
    except TypeError:
        return hashlib.md5()
