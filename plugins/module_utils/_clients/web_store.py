# Copyright (c) 2026 tyk.upgrade contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What bundle stores have in common that are reached by HTTP: repeating a request, and telling a store from a web page."""

from __future__ import annotations

import time
from typing import Callable, Mapping, Optional

from ansible_collections.tyk.upgrade.plugins.module_utils._clients.bundle_store import BundleStore, Receiver
from ansible_collections.tyk.upgrade.plugins.module_utils._clients.errors import ClientError
from ansible_collections.tyk.upgrade.plugins.module_utils._clients.http import Answer, HttpClient, Unreachable, where

#: Answers that say "not now"; a store behind a load balancer gives them while it restarts.
TRANSIENT = (408, 425, 429, 502, 503, 504)
_FIRST_PAUSE = 0.5
_LONGEST_PAUSE = 5.0


class WebStore(BundleStore):
    """A store behind HTTP. retries is how often a request is repeated that got no answer, or one that says "not now"."""

    #: What to do about a store that does not answer.
    unreachable_remedy = "Check its address, and that it can be reached from where this task runs."

    def __init__(self, http: HttpClient, headers: Optional[Mapping[str, str]], retries: int) -> None:
        self._http = http
        self._headers = dict(headers or {})
        self._retries = retries

    def _download(self, url: str, receiver: Receiver) -> Answer:
        """Raises ClientError: store-unreachable when there is no answer."""

        def once() -> Answer:
            receiver.restart()
            return self._http.download(url, receiver.take, headers=self._headers)

        return self._repeated("GET", url, once)

    def _repeated(self, method: str, url: str, once: Callable[[], Answer]) -> Answer:
        """The first answer that is final, or the last one. Raises ClientError: store-unreachable without any."""
        for attempt in range(self._retries + 1):
            last = attempt == self._retries
            try:
                answer = once()
            except Unreachable as problem:
                if last:
                    raise self._unreachable(method, url, problem, self._retries + 1) from problem
            else:
                if last or answer.status not in TRANSIENT:
                    return answer
            time.sleep(min(_FIRST_PAUSE * 2**attempt, _LONGEST_PAUSE))
        raise AssertionError("the last attempt returns or raises")

    def _unreachable(self, method: str, url: str, problem: Unreachable, tries: int = 1) -> ClientError:
        tried = f" in {tries} tries" if tries > 1 else ""
        return ClientError(
            "store-unreachable",
            self.name,
            f"The bundle store {self.name} did not answer {where(method, url)}{tried}: {problem}.",
            self.unreachable_remedy,
        )


def web_page(store: str, method: str, url: str) -> ClientError:
    """What to say of a store that answers like the login page of something in front of it."""
    return ClientError(
        "store-unreachable",
        store,
        f"The bundle store {store} answered {where(method, url)} with an HTML page, as a login page does, and not with "
        "a bundle.",
        "Give the address of the store itself, with the credentials it wants, and not that of a web interface.",
    )
