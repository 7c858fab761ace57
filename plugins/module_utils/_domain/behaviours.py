# Copyright (c) 2026 tyk.upgrade contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What gateways do that differs by version and matters to an upgrade.

Release lines are independent: what came with 5.4.0 may have been carried back to 5.3.1 and 5.0.12 but never to 5.2. So
each behaviour states its ranges in full.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache
from typing import Dict, Tuple, Union

from ansible_collections.tyk.upgrade.plugins.module_utils._domain.versions import Version, as_version


@dataclass(frozen=True)
class Behaviour:
    """Something that gateways of these versions do."""

    name: str
    versions: str
    meaning: str
    source: str


BEHAVIOURS: Tuple[Behaviour, ...] = (
    Behaviour(
        "skips-unloadable-plugin",
        "<4.0.13 | >=4.1.0, <5.0.1",
        "A request hook whose plugin cannot be loaded is skipped and the request goes on; elsewhere it is answered with "
        "500, and for a response hook everywhere.",
        "v4.3.8:gateway/mw_go_plugin.go:184-186, gateway/res_handler_go_plugin.go; 3.x is taken to behave as 4.0.0",
    ),
    Behaviour(
        "serves-without-bundle",
        "<5.0.12 | >=5.1.0, <5.3.1",
        "An API whose bundle cannot be fetched or unpacked is served without its plugins.",
        "v5.3.0:gateway/coprocess_bundle.go:362-440 (loadBundle), v5.3.0:gateway/api_definition.go (MakeSpec)",
    ),
    Behaviour(
        "uses-unverified-bundle",
        "<5.0.12 | >=5.1.0, <5.3.1",
        "A bundle whose checksum or signature is wrong is used all the same; the log says so.",
        "v5.3.0:gateway/coprocess_bundle.go:330-336",
    ),
    Behaviour(
        "drops-api-without-bundle",
        ">=5.0.12, <5.1.0 | >=5.3.1",
        "An API whose bundle cannot be fetched or verified is not served: 404.",
        "v5.14.0:gateway/api_definition.go:344-347,756-759",
    ),
    Behaviour(
        "limits-download",
        ">=4.0.11, <4.1.0 | >=4.3.2",
        "Downloading a bundle may take 5 seconds in all, body included; five tries.",
        "v5.14.0:gateway/coprocess_bundle.go:202-224,357-375",
    ),
    Behaviour(
        "has-analytics-plugin",
        ">=4.1.0",
        "An API definition can name a Go plugin for its analytics records (analytics_plugin).",
        "v4.1.0:gateway/analytics_go_plugin.go",
    ),
    Behaviour(
        "verifies-existing-bundle",
        ">=5.8.7, <5.8.11 | >=5.10.1, <5.11.1",
        "A bundle that is already unpacked is verified at every load; since 5.8.11 and 5.11.1 only if it is signed.",
        "v5.8.7:gateway/coprocess_bundle.go, v5.8.11:gateway/coprocess_bundle.go",
    ),
    Behaviour(
        "keeps-bundle-by-name",
        ">=3.2.3, <4.0.0 | >=4.0.1",
        "A bundle is unpacked to the MD5 of its name; before, to that of its name behind the API's id.",
        "git diff v4.0.0 v4.0.1 -- gateway/coprocess_bundle.go",
    ),
    Behaviour(
        "keeps-unchanged-api",
        ">=4.0.7, <4.1.0 | >=4.2.2, <5.0.11 | >=5.1.0, <5.3.0",
        "A reload asks for no bundle of an API whose definition is unchanged, so one that could not be had stays away "
        "until the definition changes or the gateway restarts.",
        "v4.3.8:gateway/api_definition.go:328, v5.2.5:gateway/api_definition.go:333 against v5.3.0:gateway/util.go:166",
    ),
    Behaviour(
        "respects-disabled-bundle",
        ">=5.0.0",
        "custom_middleware_bundle_disabled and the disabled of a hook are heeded.",
        "v5.0.0:apidef/api_definitions.go",
    ),
    Behaviour(
        "reads-file-addresses",
        ">=5.3.3, <5.4.0 | >=5.5.0",
        "A bundle_base_url may be file://<folder>; there is no time limit then.",
        "v5.3.9:gateway/coprocess_bundle.go:137-171,252-256",
    ),
    Behaviour(
        "has-oas-plugins",
        ">=5.0.0",
        "OAS API definitions can name a bundle.",
        "v5.0.3:apidef/oas/middleware.go:42,188-265",
    ),
    Behaviour(
        "can-load-plugin",
        ">=5.0.0",
        "The command 'tyk plugin load' tells whether this gateway loads a plugin.",
        "v5.0.0:cli/plugin/plugin.go",
    ),
    Behaviour(
        "loads-several-plugins",
        ">=5.2.4",
        "'tyk plugin load' takes several files with commas between them, into one process; before, all is one file's name.",
        "v5.2.4:cli/plugin/plugin.go",
    ),
    Behaviour(
        "reloads-blocking",
        ">=4.0.1",
        "GET /tyk/reload?block=true answers when the reload is done.",
        "v4.0.1:gateway/api.go",
    ),
    Behaviour(
        "has-readiness",
        ">=5.8.3",
        "GET /ready tells whether Redis is there and one reload has succeeded.",
        "v5.8.3:gateway/health_check.go",
    ),
    Behaviour(
        "fails-liveness",
        "==5.8.3 | >=5.8.6, <=5.8.12 | ==5.9.0",
        "GET /hello answers 503 when a critical check fails; elsewhere always 200.",
        "gateway/health_check.go of each tag",
    ),
    Behaviour(
        "waits-for-requests",
        ">=5.8.3",
        "SIGTERM lets running requests end, for up to 30 seconds; before, they are cut.",
        "v5.8.3:gateway/server.go (graceful_shutdown_timeout_duration)",
    ),
    Behaviour(
        "counts-liveness-in-nanoseconds",
        ">=5.4.0",
        "A plain number in liveness_check.check_duration is nanoseconds; before, seconds.",
        "v5.3.0:config/config.go against v5.8.0",
    ),
    Behaviour(
        "starts-from-backup",
        ">=5.3.11, <5.4.0 | >=5.8.0",
        "A hybrid gateway serves what its emergency backup says until it has logged in, at every start.",
        "v5.8.0:rpc/rpc_client.go against v5.7.3, v5.3.11:rpc/rpc_client.go; seen on 5.8.9",
    ),
    Behaviour(
        "start-needs-control-plane",
        "==5.0.15 | >=5.3.7, <=5.3.9 | ==5.6.1 | >=5.7.0, <=5.7.1",
        "A hybrid gateway that starts while its control plane cannot be reached opens no port and serves no emergency "
        "backup, until it can be.",
        "v5.0.15:rpc/rpc_client.go:310 (WaitForConnection), which no other release calls; seen on 5.0.15 and 5.3.9",
    ),
    Behaviour(
        "wraps-api-definitions",
        ">=4.1.0",
        "Definitions come from the control plane, and lie in the emergency backup, in the form that holds OAS too.",
        "v4.1.0:gateway/rpc_storage_handler.go (LoadOAS)",
    ),
)

_BY_NAME: Dict[str, Behaviour] = {behaviour.name: behaviour for behaviour in BEHAVIOURS}


@lru_cache(maxsize=None)
def behaves(version: Union[str, Version], name: str) -> bool:
    """Whether gateways of this version show the behaviour. Raises KeyError for a name that is not in the table."""
    return as_version(version).satisfies(_BY_NAME[name].versions)


def source(name: str) -> str:
    """Where a behaviour can be read. Raises KeyError for a name that is not in the table."""
    return _BY_NAME[name].source


#: How a request gets past a plugin that is not there.
_OPENINGS = ("skips-unloadable-plugin", "serves-without-bundle")


def fail_open(version: Union[str, Version]) -> bool:
    """Whether a request may get past a plugin that is not there, so that a 200 proves nothing."""
    return any(behaves(version, name) for name in _OPENINGS)


def fail_open_source(version: Union[str, Version]) -> str:
    """Where it can be read how that happens; empty where it does not."""
    return "; ".join(_BY_NAME[name].source for name in _OPENINGS if behaves(version, name))


def failing_download_fatal(version: Union[str, Version]) -> bool:
    """Whether an API vanishes (404) when its bundle cannot be fetched or verified."""
    return behaves(version, "drops-api-without-bundle")


def can_plugin_load(version: Union[str, Version]) -> bool:
    """Whether the image itself can tell if it loads a plugin."""
    return behaves(version, "can-load-plugin")


def can_load_several(version: Union[str, Version]) -> bool:
    """Whether the image itself can tell if it loads several plugins into one process."""
    return behaves(version, "loads-several-plugins")


def backup_readable(writer: Union[str, Version], reader: Union[str, Version]) -> bool:
    """Whether an emergency backup written by one version can be read by another.

    A reader of 4.1.0 or later crashes on a backup of the older form (seen: 4.0.16 to 4.3.8, 5.3.0 and 5.8.9).
    """
    return behaves(writer, "wraps-api-definitions") or not behaves(reader, "wraps-api-definitions")
