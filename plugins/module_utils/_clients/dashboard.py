# Copyright (c) 2026 tyk.upgrade contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The Dashboard's API definitions, classic and OAS.

The Dashboard has no etag and no If-Match: whoever writes must read just before and compare. A PUT replaces the whole
object, so a classic API goes back in the wrapper it came in; leaving a part of the wrapper out drops ownership and
hooks. PATCH on OAS is a re-import and not a patch, so it is never used.
"""

from __future__ import annotations

import time
from typing import Any, Dict, List, Mapping, Optional, Sequence
from urllib.parse import quote

from ansible_collections.tyk.upgrade.plugins.module_utils._clients.errors import ClientError, mask_url
from ansible_collections.tyk.upgrade.plugins.module_utils._clients.http import (
    Answer,
    HttpClient,
    Unreachable,
    in_parallel,
    join_url,
    where,
)

#: What a classic PUT takes; everything else in an answer is the server's own.
WRAPPER_KEYS = (
    "api_definition",
    "hook_references",
    "is_site",
    "sort_by",
    "user_owners",
    "user_group_owners",
)
_TRIES = 3
_RETRY_STATUSES = (429, 502, 503, 504)
_MAX_PAGES = 10000


class Dashboard:
    """One Dashboard, spoken to with one user's token. All methods raise ClientError."""

    def __init__(self, http: HttpClient, url: str, token: str, workers: int = 8) -> None:
        self._http = http
        self._url = url
        self._headers = {"Authorization": token}
        self._workers = workers
        self.name = mask_url(url)

    def list_items(self) -> List[Dict[str, Any]]:
        """Every API that this user may see, as the list shows it, in the order of the list and each one once.

        Walks the pages: "p=-2", which shall give all at once, is not honoured everywhere. The list can shift while it
        is read, so an API may come twice.
        """
        first = self._page(1)
        items = list(first.get("apis") or [])
        pages = _pages(first)
        for page in in_parallel(self._page, list(range(2, pages + 1)), self._workers):
            items.extend(page.get("apis") or [])
            pages = max(pages, _pages(page))
        number = max(_pages(first), 1) + 1
        while number <= pages:  # the list grew while it was read
            page = self._page(number)
            items.extend(page.get("apis") or [])
            pages = max(pages, _pages(page))
            number += 1
        seen: Dict[str, Dict[str, Any]] = {}
        for item in items:
            seen.setdefault(api_id(item), item)
        seen.pop("", None)
        return list(seen.values())

    def _page(self, number: int) -> Dict[str, Any]:
        page = self._get(join_url(self._url, "api", "apis"), {"p": number}, "the list of API definitions")
        if not isinstance(page.get("apis"), list) and page.get("apis") is not None:
            raise self._not_a_dashboard(join_url(self._url, "api", "apis"), "JSON without a list of APIs")
        return page

    def read(self, identifier: str) -> Dict[str, Any]:
        """One API by its API id (or database id): the wrapper, and for an OAS API its document under "oas"."""
        try:
            item = self._get(self._classic_url(identifier), None, f"API definition {identifier}", identifier)
        except ClientError as problem:
            return self._read_as_oas(identifier, problem)
        if not isinstance(item.get("api_definition"), dict):
            raise self._not_a_dashboard(self._classic_url(identifier), "JSON without an api_definition")
        if is_oas(item):
            item = {**item, "oas": self.read_oas(identifier)}
        return item

    def _read_as_oas(self, identifier: str, problem: ClientError) -> Dict[str, Any]:
        """For a Dashboard whose classic endpoint does not show OAS APIs; raises the first problem when it is none."""
        if problem.code != "dashboard-error":
            raise problem
        try:
            document = self.read_oas(identifier)
        except ClientError:
            raise problem from None
        return {"api_definition": {"api_id": identifier, "is_oas": True}, "oas": document}

    def complete(self, item: Mapping[str, Any]) -> Dict[str, Any]:
        """The same API as `read` gives it, knowing already from the list what kind it is.

        Digests are only comparable when they are computed over the same call's answer, so the list's own copy of the
        definition is never used.
        """
        identifier = api_id(item)
        if not is_oas(item):
            return self.read(identifier)
        return {**item, "oas": self.read_oas(identifier)}

    def read_oas(self, identifier: str) -> Dict[str, Any]:
        """The OAS document of one API, the x-tyk-api-gateway extension included."""
        document = self._get(self._oas_url(identifier), None, f"OAS API definition {identifier}", identifier)
        if "x-tyk-api-gateway" not in document:
            raise self._not_a_dashboard(self._oas_url(identifier), "JSON without x-tyk-api-gateway")
        return document

    def read_many(self, identifiers: Sequence[str]) -> List[Dict[str, Any]]:
        """Several APIs by id, in the same order."""
        return list(in_parallel(self.read, identifiers, self._workers))

    def write(self, item: Mapping[str, Any]) -> None:
        """Put an API back as `read` gave it, apart from what the caller changed in it."""
        identifier = api_id(item)
        if is_oas(item):
            self._put(self._oas_url(identifier), item["oas"], None, identifier)
            return
        wrapper = {key: item[key] for key in WRAPPER_KEYS if key in item}
        # Without this the Dashboard refuses keys of a definition that are newer than its schema.
        self._put(self._classic_url(identifier), wrapper, {"accept_additional_properties": "true"}, identifier)

    def _classic_url(self, identifier: str) -> str:
        return join_url(self._url, "api", "apis", quote(identifier, safe=""))

    def _oas_url(self, identifier: str) -> str:
        return join_url(self._url, "api", "apis", "oas", quote(identifier, safe=""))

    def _get(self, url: str, params: Optional[Mapping[str, Any]], what: str, identifier: str = "") -> Dict[str, Any]:
        answer = self._send("GET", url, params, None, what, identifier)
        try:
            parsed = answer.json()
        except ValueError:
            raise self._not_a_dashboard(url, answer.gist()) from None
        if not isinstance(parsed, dict):
            raise self._not_a_dashboard(url, "JSON that is not an object")
        return parsed

    def _put(self, url: str, body: Any, params: Optional[Mapping[str, Any]], identifier: str) -> None:
        what = f"API definition {identifier}"
        answer = self._send("PUT", url, params, body, what, identifier)
        if answer.json_object().get("Status") not in ("OK", "ok"):
            raise self._error("PUT", url, answer, what, identifier)

    def _send(
        self,
        method: str,
        url: str,
        params: Optional[Mapping[str, Any]],
        body: Any,
        what: str,
        identifier: str,
    ) -> Answer:
        """Send with a few tries: reading is harmless, and a PUT of the same object has the same outcome twice."""
        pause = 0.2
        for left in range(_TRIES - 1, -1, -1):
            try:
                answer = self._http.request(method, url, headers=self._headers, params=params, json_body=body)
            except Unreachable as problem:
                if left and method == "GET":
                    time.sleep(pause)
                    pause *= 2
                    continue
                raise ClientError(
                    "dashboard-unreachable",
                    identifier or self.name,
                    f"The Dashboard {self.name} did not answer {where(method, url)}, for {what}: {problem}.",
                    "Check its address, and that it can be reached from where this task runs.",
                ) from problem
            if answer.status in _RETRY_STATUSES and left:
                time.sleep(max(pause, _retry_after(answer)))
                pause *= 2
                continue
            break
        status_text = answer.json_object().get("Status")
        if answer.status != 200 or (status_text is not None and str(status_text).lower() not in ("ok", "success")):
            raise self._error(method, url, answer, what, identifier)
        return answer

    def _error(self, method: str, url: str, answer: Answer, what: str, identifier: str) -> ClientError:
        said = f"{where(method, url)} answered {answer.status} with {answer.gist()}"
        subject = identifier or self.name
        if answer.status in (401, 403):
            return ClientError(
                "dashboard-unauthorized",
                subject,
                f"The Dashboard {self.name} refused the token for {what}: {said}.",
                "Give the API access credentials of a user who may read API definitions, and write them for changes.",
            )
        if answer.is_html:
            return self._not_a_dashboard(url, f"status {answer.status} and an HTML page")
        remedy = "Look into the Dashboard's log."
        if answer.status == 404:
            remedy = "Check the id; a user without the right to an API does not see it either."
        elif answer.status == 400:
            remedy = "Open the API in the Dashboard and save it there, to see what is wrong with its definition."
        return ClientError(
            "dashboard-error", subject, f"The Dashboard {self.name} did not serve {what}: {said}.", remedy
        )

    def _not_a_dashboard(self, url: str, got: str) -> ClientError:
        return ClientError(
            "dashboard-error",
            self.name,
            f"{where('GET', url)} answered with {got}, which is not what a Tyk Dashboard answers.",
            "Check dashboard_url: it is the base address of the Dashboard, without /api.",
        )


def api_id(item: Mapping[str, Any]) -> str:
    """The API id of a list entry or of what `read` gave."""
    definition = item.get("api_definition")
    return str(definition.get("api_id") or "") if isinstance(definition, dict) else ""


def is_oas(item: Mapping[str, Any]) -> bool:
    """Whether this API is an OAS API."""
    definition = item.get("api_definition")
    return bool(isinstance(definition, dict) and definition.get("is_oas"))


def _pages(page: Mapping[str, Any]) -> int:
    try:
        return min(int(page.get("pages") or 1), _MAX_PAGES)
    except (TypeError, ValueError):
        return 1


def _retry_after(answer: Answer) -> float:
    try:
        return min(float(answer.headers.get("Retry-After", "0")), 10.0)
    except ValueError:
        return 0.0
