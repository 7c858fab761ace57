# Copyright (c) 2026 tyk.upgrade contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What a gateway does with requests when it has not got the plugin that it should run, or that plugin panics.

Some versions let the request through as if there were no plugin, some refuse it, and a build of another Go generation
ends the process. Which of these it is decides what a status code proves, so each row says for which versions, for which
kinds of hook, and where that can be read.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache
from typing import Dict, Iterable, List, Set, Tuple, Union

from ansible_collections.tyk.upgrade.plugins.module_utils._domain.versions import Version, as_version

#: There is no file the gateway would open, or it cannot be loaded: another version's build, or a plugin path that the
#: process has loaded before.
UNLOADABLE = "unloadable"
#: The bundle cannot be downloaded or unpacked.
UNFETCHABLE = "unfetchable"
#: The bundle's checksum or signature is wrong.
UNVERIFIED = "unverified"
#: The file it opens is a build of another Go generation.
FOREIGN = "foreign"
#: The plugin is there, and its function panics.
PANICS = "panics"

SITUATIONS = {
    UNLOADABLE: "a plugin cannot be loaded",
    UNFETCHABLE: "a bundle cannot be fetched",
    UNVERIFIED: "a bundle's checksum or signature is wrong",
    FOREIGN: "the file is a build of another Go generation",
    PANICS: "a plugin's function panics",
}

#: Requests go on without what the plugin does.
OPEN = "open"
#: Requests are refused.
CLOSED = "closed"
#: Requests are not let through, and the client is not told: the answer says 200 and is empty.
EMPTY = "empty"
#: The gateway's process ends.
DOWN = "down"

REQUEST_KINDS = ("pre", "post_key_auth", "post")
AUTH = "auth_check"
RESPONSE = "response"
KINDS = ("pre", AUTH, "post_key_auth", "post", RESPONSE)

_SKIPS = "<4.0.13 | >=4.1.0, <5.0.1"
_ANSWERS_500 = ">=4.0.13, <4.1.0 | >=5.0.1"
_LENIENT = "<5.0.12 | >=5.1.0, <5.3.1"
_STRICT = ">=5.0.12, <5.1.0 | >=5.3.1"
_SILENT = "<4.0.13 | >=4.1.0, <5.0.1 | >=5.0.7, <5.1.0 | >=5.2.2"
_SAYS = ">=4.0.13, <4.1.0 | >=5.0.1, <5.0.7 | >=5.1.0, <5.2.2"
_ALL = ">=3.0.0"


@dataclass(frozen=True)
class Failure:
    """What gateways of these versions do in one situation. status: what the client gets; 0 where that varies."""

    situation: str
    kinds: Tuple[str, ...]
    versions: str
    outcome: str
    status: int
    meaning: str
    source: str


#: For every version, situation and kind of hook there is exactly one row.
FAILURES: Tuple[Failure, ...] = (
    Failure(
        UNLOADABLE,
        REQUEST_KINDS,
        _SKIPS,
        OPEN,
        0,
        "the hook is skipped and the request goes on",
        "v4.3.8:gateway/mw_go_plugin.go:184-186; 3.x is taken to behave as 4.0.0",
    ),
    Failure(
        UNLOADABLE,
        REQUEST_KINDS,
        _ANSWERS_500,
        CLOSED,
        500,
        "the request is refused with 500",
        "v4.0.13:gateway/mw_go_plugin.go (ProcessRequest), v5.0.1: the same",
    ),
    Failure(
        UNLOADABLE,
        (AUTH,),
        _SKIPS,
        CLOSED,
        400,
        "the check is skipped, but the request is refused with 400 for want of a session",
        "v4.3.8:gateway/mw_key_expired_check.go; seen on 4.3.8",
    ),
    Failure(
        UNLOADABLE,
        (AUTH,),
        _ANSWERS_500,
        CLOSED,
        500,
        "the request is refused with 500",
        "v5.0.1:gateway/mw_go_plugin.go (ProcessRequest); seen on 4.0.16, 5.3.0 and 5.8.9",
    ),
    Failure(
        UNLOADABLE,
        (RESPONSE,),
        _ALL,
        OPEN,
        500,
        "the request reaches the upstream, and its answer goes out with status 500 and an unchanged body",
        "v5.3.0:gateway/res_handler_go_plugin.go (HandleGoPluginResponse); seen on 4.0.16, 5.3.0 and 5.8.9",
    ),
    Failure(
        UNFETCHABLE,
        (*REQUEST_KINDS, RESPONSE),
        _LENIENT,
        OPEN,
        0,
        "the API is served without its plugins",
        "v5.3.0:gateway/coprocess_bundle.go (loadBundle), v5.3.0:gateway/api_definition.go:367; "
        "seen on 4.0.16 and 5.3.0",
    ),
    Failure(
        UNFETCHABLE,
        (AUTH,),
        _LENIENT,
        CLOSED,
        401,
        "the API falls back to keys of the gateway, so that clients of the plugin are refused",
        "v5.3.0:gateway/api_loader.go:359-392; seen on 4.0.16 and 5.3.0",
    ),
    Failure(
        UNFETCHABLE,
        KINDS,
        _STRICT,
        CLOSED,
        404,
        "the API is not served",
        "v5.14.0:gateway/api_definition.go:344-347,756-759; seen on 5.8.9",
    ),
    Failure(
        UNVERIFIED,
        KINDS,
        _LENIENT,
        OPEN,
        0,
        "the bundle is used all the same, and only the log says so",
        "v5.3.0:gateway/coprocess_bundle.go:330-336; seen on 4.0.16 and 5.3.0",
    ),
    Failure(
        UNVERIFIED,
        KINDS,
        _STRICT,
        CLOSED,
        404,
        "the API is not served",
        "v5.3.1:gateway/coprocess_bundle.go, v5.14.0:gateway/api_definition.go:344-347; seen on 5.8.9",
    ),
    Failure(
        FOREIGN,
        KINDS,
        _ALL,
        DOWN,
        0,
        "the process ends, at its start, at a switch while it runs, and at every restart",
        "Go, runtime/symtab.go: fatal error: runtime: no plugin module data; seen between 1.19, 1.21 and 1.24",
    ),
    Failure(
        PANICS,
        (*REQUEST_KINDS, AUTH),
        _SILENT,
        EMPTY,
        200,
        "the request is answered 200 with an empty body, and the upstream is not reached",
        "v5.8.9:gateway/middleware.go:174-181 (writeResponse), v4.3.8:gateway/middleware.go:138-141; "
        "3.x is taken to behave as 4.0.0; seen on 4.3.8, 5.0.15, 5.3.0 and 5.8.9",
    ),
    Failure(
        PANICS,
        (*REQUEST_KINDS, AUTH),
        _SAYS,
        CLOSED,
        500,
        "the request is refused with 500",
        "v4.0.13:gateway/middleware.go:144, v5.0.6:gateway/middleware.go:137, v5.2.1:gateway/middleware.go:164",
    ),
    Failure(
        PANICS,
        (RESPONSE,),
        _ALL,
        OPEN,
        500,
        "the request reaches the upstream, and its answer goes out with status 500 and an unchanged body",
        "v5.3.0:gateway/res_handler_go_plugin.go (HandleGoPluginResponse); seen on 4.3.8, 5.0.15, 5.3.0 and 5.8.9",
    ),
)


@lru_cache(maxsize=None)
def _of(version: Version, kinds: Tuple[str, ...]) -> Tuple[Failure, ...]:
    wanted = set(kinds)
    return tuple(row for row in FAILURES if wanted.intersection(row.kinds) and version.satisfies(row.versions))


def failures(version: Union[str, Version], kinds: Iterable[str] = KINDS) -> List[Failure]:
    """What a gateway of this version does in every situation, for these kinds of hook, in the order of the table."""
    return list(_of(as_version(version), tuple(sorted(set(kinds)))))


def outcome(version: Union[str, Version], situation: str, kind: str) -> Failure:
    """The row for one situation and one kind of hook."""
    return next(row for row in _of(as_version(version), (kind,)) if row.situation == situation)


def clauses(rows: Iterable[Failure], kinds: Iterable[str]) -> List[str]:
    """The rows as clauses, such as "when a bundle cannot be fetched (pre), the API is served without its plugins".

    The kinds of hook stand there only where they do not all share the row; rows that say the same become one clause.
    """
    asked = [kind for kind in KINDS if kind in set(kinds)]
    alike: Dict[Tuple[str, str], Set[str]] = {}
    for row in rows:
        alike.setdefault((row.situation, row.meaning), set()).update(row.kinds)
    found = []
    for (situation, meaning), concerned in alike.items():
        which = [kind for kind in asked if kind in concerned]
        only = "" if which == asked else f" ({', '.join(which)})"
        found.append(f"when {SITUATIONS[situation]}{only}, {meaning}")
    return found
