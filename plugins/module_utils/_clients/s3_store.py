# Copyright (c) 2026 tyk.upgrade contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""A bundle store in a bucket of S3, or of a server that speaks its protocol.

Gateways know no S3: they fetch by http or https, from the bucket's own address or from something in front of it.
"""

from __future__ import annotations

import time
from dataclasses import dataclass
from typing import IO, Any, Callable, Dict, NoReturn, Optional, Tuple, Union
from urllib.parse import quote, urlsplit

from ansible_collections.tyk.upgrade.plugins.module_utils._clients.bundle_store import (
    BundleStore,
    Receiver,
    Stored,
    Writable,
    check_readable_name,
)
from ansible_collections.tyk.upgrade.plugins.module_utils._clients.errors import ClientError, mask_url
from ansible_collections.tyk.upgrade.plugins.module_utils._clients.http import join_url, looks_like_html
from ansible_collections.tyk.upgrade.plugins.module_utils._clients.web_store import web_page

try:
    import boto3
    from botocore import exceptions as aws
    from botocore.config import Config

    BOTO3_IMPORT_ERROR: Optional[BaseException] = None
except ImportError as import_error:
    BOTO3_IMPORT_ERROR = import_error

_CHUNK = 1 << 20
_ABSENT = ("NoSuchKey", "NotFound", "404")
_TAKEN = ("PreconditionFailed", "ConditionalRequestConflict")
_BAD_CREDENTIALS = (
    "AuthorizationHeaderMalformed",
    "ExpiredToken",
    "InvalidAccessKeyId",
    "InvalidClientTokenId",
    "InvalidToken",
    "SignatureDoesNotMatch",
)
_RIGHTS = {"read": "s3:GetObject and s3:ListBucket", "write": "s3:PutObject", "look": "s3:ListBucket"}
_NO_ANSWER = (
    ("ProxyConnectionError", "the proxy did not connect"),
    ("SSLError", "TLS could not be negotiated, or its certificate could not be verified"),
    ("ConnectTimeoutError", "no answer came in time"),
    ("ReadTimeoutError", "no answer came in time"),
    ("EndpointConnectionError", "no connection could be made"),
    ("ConnectionClosedError", "the connection was closed without an answer"),
    ("IncompleteReadError", "the connection was closed in the middle of the answer"),
    ("ResponseStreamingError", "the connection was closed in the middle of the answer"),
)


@dataclass(frozen=True)
class Bucket:
    """Where and as whom. Without keys, those of the environment, the profile or the machine's role are taken."""

    name: str
    prefix: str = ""
    endpoint_url: Optional[str] = None
    region: Optional[str] = None
    access_key: Optional[str] = None
    secret_key: Optional[str] = None
    session_token: Optional[str] = None
    timeout: float = 60.0
    retries: int = 0
    verify: Union[bool, str] = True


class S3Store(BundleStore):
    """A bucket, or a part of it under a prefix. public_url is where gateways fetch from, if it is known."""

    def __init__(self, bucket: Bucket, public_url: Optional[str] = None) -> None:
        prefix = bucket.prefix.strip("/")
        self._bucket = bucket
        self._prefix = f"{prefix}/" if prefix else ""
        self._public_url = public_url
        self._conditional = True
        self.name = f"s3://{bucket.name}/{prefix}"
        try:
            self._client = _client(bucket)
        except (aws.BotoCoreError, ValueError) as problem:
            self._fail("look", "", problem)
        self._client.meta.events.register("before-sign.s3.PutObject", self._add_condition)

    def address(self, name: str) -> str:
        check_readable_name(name)
        if self._public_url:
            return mask_url(join_url(self._public_url, quote(name)))
        return f"s3://{self._bucket.name}/{self._prefix}{name}"

    def fetch(self, name: str, sink: Optional[IO[bytes]] = None, max_size: Optional[int] = None) -> Optional[Stored]:
        check_readable_name(name)
        receiver = Receiver(name, self.name, sink, max_size)
        for attempt in range(self._bucket.retries + 1):
            receiver.restart()
            started = time.monotonic()
            try:
                return self._download(name, receiver, started)
            except (aws.ResponseStreamingError, aws.IncompleteReadError, aws.ReadTimeoutError) as problem:
                if attempt == self._bucket.retries:
                    self._fail("read", name, problem)
        raise AssertionError("the last attempt returns or raises")

    def _download(self, name: str, receiver: Receiver, started: float) -> Optional[Stored]:
        try:
            answer = self._client.get_object(Bucket=self._bucket.name, Key=self._prefix + name)
        except aws.ClientError as problem:
            if _code(problem) in _ABSENT:
                return None
            self._fail("read", name, problem)
        except (aws.BotoCoreError, ValueError) as problem:
            self._fail("read", name, problem)
        first = b""
        for piece in answer["Body"].iter_chunks(_CHUNK):
            first = first or piece[:256]
            receiver.take(piece)
        if looks_like_html(str(answer.get("ContentType") or ""), first):
            raise web_page(self.name, "GET", self.address(name))
        return receiver.stored(time.monotonic() - started)

    def look(self) -> Writable:
        self._call("look", "", lambda: self._client.head_bucket(Bucket=self._bucket.name))
        return Writable(known=False)

    def _write(self, name: str, path: str, size: int) -> bool:
        while True:
            try:
                return self._put(name, path, size)
            except aws.ClientError as problem:
                refused = _code(problem) == "NotImplemented" or _status(problem) == 501
                if not self._conditional or not refused:
                    self._fail("write", name, problem)
            self._conditional = False  # a server that knows no conditions; what was read before has to do

    def _add_condition(self, request: Any, **unused: Any) -> None:
        """Let the server refuse to write over anything. The parameter for it came with boto3 1.35, the header works."""
        if self._conditional:
            del request.headers["If-None-Match"]
            request.headers["If-None-Match"] = "*"

    def _put(self, name: str, path: str, size: int) -> bool:
        """Raises the AWS error for what is not plainly "somebody was faster"."""
        try:
            with open(path, "rb") as handle:
                self._client.put_object(
                    Bucket=self._bucket.name,
                    Key=self._prefix + name,
                    Body=handle,
                    ContentLength=size,
                    ContentType="application/zip",
                )
        except aws.ClientError as problem:
            if _code(problem) in _TAKEN or _status(problem) == 412:
                return False
            raise
        except (aws.BotoCoreError, ValueError) as problem:
            self._fail("write", name, problem)
        return True

    def _delete(self, name: str) -> bool:
        try:
            self._client.delete_object(Bucket=self._bucket.name, Key=self._prefix + name)
        except (aws.BotoCoreError, aws.ClientError):
            return False
        return True

    def _call(self, purpose: str, name: str, function: Callable[[], Any]) -> Any:
        try:
            return function()
        except (aws.BotoCoreError, aws.ClientError, ValueError) as problem:
            self._fail(purpose, name, problem)

    def _fail(self, purpose: str, name: str, problem: BaseException) -> NoReturn:
        """Raise what an error of boto3 means. Its own text may hold addresses with secrets, so it is not repeated."""
        code, said, remedy = self._meaning(purpose, problem)
        what = {
            "read": f"{name} could not be read",
            "write": f"{name} could not be written",
            "look": "the bucket could not be looked at",
        }[purpose]
        raise ClientError(code, name or self.name, f"In the bundle store {self.name}, {what}: {said}.", remedy)

    def _meaning(self, purpose: str, problem: BaseException) -> Tuple[str, str, str]:
        if isinstance(problem, aws.ClientError):
            return self._answer_meaning(purpose, problem)
        kind = type(problem).__name__
        if isinstance(problem, (aws.NoCredentialsError, aws.PartialCredentialsError, aws.ProfileNotFound)):
            return (
                "store-forbidden",
                "no complete credentials were found",
                "Give access_key and secret_key, or let the environment, a profile or a role of the machine give them.",
            )
        if isinstance(problem, ValueError):
            return "setting-invalid", "the endpoint is not an address", "Give endpoint_url as http(s)://host:port."
        names = {parent.__name__ for parent in type(problem).__mro__}
        for name, clause in _NO_ANSWER:
            if name in names:
                return (
                    "store-unreachable",
                    f"{self._place()} did not answer ({clause})",
                    "Check endpoint_url and region, and that it can be reached from where this task runs.",
                )
        return "store-unreachable", f"the request failed ({kind})", "Check the settings of the bundle store."

    def _answer_meaning(self, purpose: str, problem: Any) -> Tuple[str, str, str]:
        code, status = _code(problem), _status(problem)
        said = f"{self._place()} answered {status} {code}"
        if code == "NoSuchBucket" or (purpose == "look" and status == 404):
            return "store-unreachable", f"{self._place()} has no such bucket", "Create the bucket, or correct its name."
        if code in _BAD_CREDENTIALS or status == 401:
            return "store-forbidden", said, "Correct access_key, secret_key, session_token and region."
        if status == 403:
            right = _RIGHTS[purpose]
            absent = " (without s3:ListBucket an absent object is forbidden as well)" if purpose == "read" else ""
            return "store-forbidden", said, f"Grant {right} on {self.name} to these credentials{absent}."
        if code in ("EntityTooLarge", "QuotaExceeded", "XMinioStorageFull") or status in (413, 507):
            return "store-limit", said, "Make room in the store, or raise its limit."
        if status in (405,):
            return "store-read-only", said, "Give the address of a store that takes uploads."
        if status in (301, 307, 400):
            return "store-unreachable", said, "Check region and endpoint_url: the bucket may be in another region."
        return "store-unreachable", said, "Look into the log of the store."

    def _place(self) -> str:
        return mask_url(self._bucket.endpoint_url) if self._bucket.endpoint_url else "S3"


def _client(bucket: Bucket) -> Any:
    settings: Dict[str, Any] = {
        "connect_timeout": bucket.timeout,
        "read_timeout": bucket.timeout,
        "retries": {"total_max_attempts": bucket.retries + 1, "mode": "standard"},
        "signature_version": "s3v4",
    }
    host = urlsplit(bucket.endpoint_url or "").hostname or ""
    if host and not host.endswith((".amazonaws.com", ".amazonaws.com.cn")):
        settings["s3"] = {"addressing_style": "path"}  # servers of one's own seldom have a name for each bucket
    try:  # what is read back is compared as a whole; servers of one's own need not know S3's newer checksums
        config = Config(
            request_checksum_calculation="when_required", response_checksum_validation="when_required", **settings
        )
    except TypeError:  # botocore before 1.36
        config = Config(**settings)
    session = boto3.session.Session()
    return session.client(
        "s3",
        endpoint_url=bucket.endpoint_url,
        region_name=bucket.region or session.region_name or "us-east-1",
        aws_access_key_id=bucket.access_key,
        aws_secret_access_key=bucket.secret_key,
        aws_session_token=bucket.session_token,
        verify=bucket.verify,
        config=config,
    )


def _code(problem: Any) -> str:
    return str(problem.response.get("Error", {}).get("Code", ""))


def _status(problem: Any) -> int:
    return int(problem.response.get("ResponseMetadata", {}).get("HTTPStatusCode") or 0)
