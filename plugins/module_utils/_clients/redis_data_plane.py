# Copyright (c) 2026 tyk.upgrade contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The data plane's Redis: analytics that wait for the pump, and the gateways' emergency backup.

Read, but for one thing: a backup that the next version cannot read is taken away.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Callable, List, Optional, Sequence, Set

from ansible_collections.tyk.upgrade.plugins.module_utils._clients.errors import ClientError, mask_url

try:
    import redis

    REDIS_IMPORT_ERROR: Optional[BaseException] = None
except ImportError as import_error:
    REDIS_IMPORT_ERROR = import_error

ANALYTICS_PREFIX = "analytics-tyk-system-analytics"
#: Both must be readable for a gateway to start without its control plane.
DEFINITION_BACKUP = "rpc:node-definition-backup:"
POLICY_BACKUP = "rpc:node-policy-backup:"
_SCAN_COUNT = 1000


@dataclass(frozen=True)
class AnalyticsList:
    """One list of analytics records. ttl is in seconds and None for a list that does not expire."""

    key: str
    length: int
    ttl: Optional[int]


@dataclass(frozen=True)
class Backup:
    """One key of the emergency backup; without a TTL of its own in every known version."""

    key: str
    bytes: int


class DataPlaneRedis:
    """One Redis. All methods raise ClientError."""

    def __init__(
        self, url: str, timeout: float = 5.0, ca_path: Optional[str] = None, validate_certs: bool = True
    ) -> None:
        self.name = mask_url(url)
        options: Any = {"socket_timeout": timeout, "socket_connect_timeout": timeout, "decode_responses": True}
        options["encoding_errors"] = "replace"
        if url.startswith("rediss:"):
            options["ssl_cert_reqs"] = "required" if validate_certs else "none"
            if ca_path:
                options["ssl_ca_certs"] = ca_path
        try:
            self._redis = redis.Redis.from_url(url, **options)
        except ValueError as problem:
            raise ClientError(
                "setting-invalid",
                "redis_url",
                "The address of Redis cannot be read: it does not start with redis://, rediss:// or unix://.",
                "Write it as redis://:password@host:6379/0.",
            ) from problem

    def close(self) -> None:
        """Give the connections back."""
        self._redis.close()

    def analytics(self, prefixes: Sequence[str]) -> List[AnalyticsList]:
        """The lists whose keys start with one of the prefixes, sorted by key; keys of other types are no backlog."""
        found = []
        for key in self._keys(prefixes):
            if self._ask(self._redis.type, key) != "list":
                continue
            length = self._ask(self._redis.llen, key)
            ttl = self._ask(self._redis.ttl, key)
            if int(ttl) != -2:  # -2: it expired or was drained between two questions
                found.append(AnalyticsList(key, int(length), None if int(ttl) < 0 else int(ttl)))
        return found

    def backups(self) -> List[Backup]:
        """The keys of the emergency backup, sorted."""
        found = []
        for key in self._keys([DEFINITION_BACKUP, POLICY_BACKUP]):
            if self._ask(self._redis.type, key) == "string":
                found.append(Backup(key, int(self._ask(self._redis.strlen, key))))
        return found

    def forget(self, backups: Sequence[Backup]) -> None:
        """Delete these keys of the emergency backup. Gateways write them anew with their next reload."""
        for backup in backups:
            self._ask(self._redis.delete, backup.key)

    def _keys(self, prefixes: Sequence[str]) -> List[str]:
        keys: Set[str] = set()
        for prefix in prefixes:
            keys.update(self._ask(self._scan, _literal(prefix) + "*"))
        return sorted(keys)

    def _scan(self, pattern: str) -> List[str]:
        return list(self._redis.scan_iter(match=pattern, count=_SCAN_COUNT))

    def _ask(self, question: Callable[..., Any], argument: str) -> Any:
        try:
            return question(argument)
        except redis.exceptions.RedisError as problem:
            raise self._error(problem) from problem

    def _error(self, problem: Exception) -> ClientError:
        if isinstance(problem, redis.exceptions.AuthenticationError) or "NOAUTH" in str(problem):
            clause, remedy = "it refused the password", "Correct user and password in redis_url."
        elif isinstance(problem, redis.exceptions.TimeoutError):
            clause, remedy = "no answer came in time", "Check the address, and what stands between this host and Redis."
        elif isinstance(problem, redis.exceptions.ConnectionError):
            clause, remedy = "the connection failed", "Check the address, and that Redis can be reached from this host."
        else:
            clause, remedy = f"it answered with an error ({_first_word(problem)})", "Look into the log of Redis."
        return ClientError("pump-backend", self.name, f"Redis at {self.name} could not be read: {clause}.", remedy)


def _literal(prefix: str) -> str:
    return "".join("\\" + char if char in "*?[]\\" else char for char in prefix)


def _first_word(problem: Exception) -> str:
    words = str(problem).split()
    return words[0] if words else type(problem).__name__
