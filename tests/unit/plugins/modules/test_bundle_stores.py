# Copyright (c) 2026 tyk.upgrade contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""bundle_publish and bundle_info with folders, with buckets of a real S3 server (moto), and what all stores share."""

from __future__ import annotations

import datetime
import hashlib
import ipaddress
import json
import os
import signal
import ssl
import stat
import subprocess
import sys
import tempfile
import threading
import time
from pathlib import Path
from typing import Any, Dict, Iterator, List

import pytest

from ansible_collections.tyk.upgrade.plugins.module_utils._clients import directory_store
from ansible_collections.tyk.upgrade.tests.unit.plugins.modules.module_runner import run_failing, run_module, small_disk
from ansible_collections.tyk.upgrade.tests.unit.plugins.modules.servers import FixedServer, StoreServer

NAME = "header-t1.zip"


@pytest.fixture
def bundle(tmp_path: Path) -> Path:
    path = tmp_path / "header.zip"
    path.write_bytes(b"PK\x03\x04" + os.urandom(300000))
    return path


def publish(store: Dict[str, Any], src: Path, name: str = NAME, check: bool = False) -> Dict[str, Any]:
    arguments = {"store": store, "name": name, "src": str(src), "timeout": 5}
    return run_module("bundle_publish", arguments, check=check, diff=True)


def probe(store: Dict[str, Any], check: bool = False) -> Dict[str, Any]:
    return run_module("bundle_publish", {"state": "probed", "store": store, "timeout": 5}, check=check)


def info(store: Dict[str, Any], name: str = NAME) -> Dict[str, Any]:
    return run_module("bundle_info", {"store": store, "name": name, "timeout": 5})


def code(result: Dict[str, Any]) -> str:
    assert result["findings"], result
    return str(result["findings"][0]["code"])


# --- options


@pytest.mark.parametrize(
    ("store", "part"),
    [
        ({"kind": "http"}, "kind http but no url"),
        ({"kind": "mserv"}, "kind mserv but no url"),
        ({"kind": "s3"}, "kind s3 but no bucket"),
        ({"kind": "directory"}, "kind directory but no path"),
        ({"kind": "directory", "path": "/x", "bucket": "b"}, "bucket is nothing to it"),
        ({"kind": "http", "url": "http://x", "api_key": "k-e-y"}, "api_key is nothing to it"),
        ({"kind": "s3", "bucket": "b", "access_key": "a"}, "only one of access_key and secret_key"),
        ({"kind": "directory", "path": "/x", "mode": "rw"}, "store.mode is 'rw'"),
        ({"kind": "http", "url": "http://x", "retries": -1}, "store.retries is -1"),
        ({"kind": "http", "url": "http://x", "client_key": "/k"}, "client_key but no client_cert"),
        ({"kind": "s3", "bucket": "b", "endpoint_url": "nonsense"}, "Give endpoint_url as http"),
    ],
)
def test_settings_that_cannot_work(store: Dict[str, Any], part: str, bundle: Path) -> None:
    result = publish(store, bundle)
    assert result["failed"] and part in result["msg"] and "k-e-y" not in str(result)


def test_info_wants_one_place(tmp_path: Path) -> None:
    store = {"kind": "directory", "path": str(tmp_path)}
    for arguments in ({"store": store}, {"store": store, "name": "a.zip", "src": "x"}, {}):
        assert run_module("bundle_info", arguments)["failed"]


# --- a folder


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    path = tmp_path / "store"
    path.mkdir()
    return path


def in_folder(folder: Path, **more: Any) -> Dict[str, Any]:
    return {"kind": "directory", "path": str(folder), **more}


def test_a_folder_gets_the_bundle(folder: Path, bundle: Path) -> None:
    result = publish(in_folder(folder), bundle)
    assert result["changed"] and result["name"] == NAME and result["url"] == str(folder / NAME)
    assert (folder / NAME).read_bytes() == bundle.read_bytes() and [path.name for path in folder.iterdir()] == [NAME]
    assert stat.S_IMODE((folder / NAME).stat().st_mode) == 0o644
    again = publish(in_folder(folder), bundle)
    assert not again["changed"] and again["diff"]["before"] == again["diff"]["after"]


@pytest.mark.parametrize("mode", ["0600", 0o600])
def test_a_mode_is_as_ansible_takes_it(folder: Path, bundle: Path, mode: Any) -> None:
    publish(in_folder(folder, mode=mode), bundle)
    assert stat.S_IMODE((folder / NAME).stat().st_mode) == 0o600


@pytest.mark.parametrize("check", [False, True])
def test_a_folder_keeps_what_it_has(folder: Path, bundle: Path, check: bool) -> None:
    (folder / NAME).write_text("other")
    result = publish(in_folder(folder), bundle, check=check)
    assert result["failed"] and code(result) == "store-conflict" and (folder / NAME).read_text() == "other"
    remedy = result["findings"][0]["remedy"]
    assert f"If no API definition names {NAME} or ever did, delete {folder / NAME} and run again" in remedy
    assert "publish under another name" in remedy and "any change to the source of one gives another" in remedy


def test_check_mode_leaves_a_folder_alone(folder: Path, bundle: Path) -> None:
    predicted = publish(in_folder(folder), bundle, check=True)
    assert predicted["changed"] and list(folder.iterdir()) == []
    assert predicted["diff"] == publish(in_folder(folder), bundle)["diff"]


def test_two_writers_at_once(folder: Path, bundle: Path, tmp_path: Path, monkeypatch: Any) -> None:
    """The second finds the name taken at the last moment, and the first one's content stays."""
    other = tmp_path / "other.zip"
    other.write_bytes(b"PK other")
    appear = directory_store._appear

    def slow(temporary: str, dest: str) -> bool:
        Path(dest).write_bytes(other.read_bytes())
        return appear(temporary, dest)

    monkeypatch.setattr(directory_store, "_appear", slow)
    result = publish(in_folder(folder), bundle)
    assert result["failed"] and code(result) == "store-conflict"
    assert (folder / NAME).read_bytes() == b"PK other" and len(list(folder.iterdir())) == 1


def test_a_file_system_without_links(folder: Path, bundle: Path, monkeypatch: Any) -> None:
    def refuse(*unused: Any) -> None:
        raise PermissionError(1, "Operation not permitted")

    monkeypatch.setattr(os, "link", refuse)
    assert publish(in_folder(folder), bundle)["changed"]
    (folder / NAME).write_text("other")
    assert code(publish(in_folder(folder), bundle)) == "store-conflict"


def test_a_folder_that_is_not_there(tmp_path: Path, bundle: Path) -> None:
    gone = in_folder(tmp_path / "no" / "such")
    for result in (publish(gone, bundle), publish(gone, bundle, check=True), probe(gone), probe(gone, check=True)):
        assert result["failed"] and code(result) == "store-unreachable" and "Create the folder" in result["msg"]
    assert code(info(gone)) == "store-unreachable"


def test_a_folder_that_may_not_be_written(folder: Path, bundle: Path) -> None:
    """As another user, since root may write anywhere."""
    script = (
        "import os, sys\n"
        "from ansible_collections.tyk.upgrade.plugins.module_utils._clients.directory_store import DirectoryStore\n"
        "from ansible_collections.tyk.upgrade.plugins.module_utils._clients.errors import ClientError\n"
        "os.setgid(65534); os.setuid(65534)\n"
        "store = DirectoryStore(sys.argv[1])\n"
        "for act in (store.look, store.probe):\n"
        "    try: act()\n"
        "    except ClientError as problem: print(problem.code)\n"
    )
    if os.geteuid() != 0:
        pytest.skip("only root can become another user")
    for path in (folder, *folder.parents):
        if path == Path(tempfile.gettempdir()):
            break
        path.chmod(0o755)
    done = subprocess.run(
        [sys.executable, "-c", script, str(folder)],
        capture_output=True,
        text=True,
        check=True,
        env={**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)},
    )
    assert done.stdout.split() == ["store-read-only"] * 2


def test_a_full_file_system(folder: Path, bundle: Path, monkeypatch: Any) -> None:
    def full(*unused: Any) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(directory_store.shutil, "copyfileobj", full)
    result = publish(in_folder(folder), bundle)
    assert result["failed"] and code(result) == "store-limit" and list(folder.iterdir()) == []


def test_probing_a_folder(folder: Path) -> None:
    assert probe(in_folder(folder))["writable"] is True and probe(in_folder(folder), check=True)["writable"] is True
    assert list(folder.iterdir()) == []


@pytest.mark.parametrize("age", [23 * 3600, 25 * 3600])
def test_what_a_killed_process_left_in_a_folder_goes_after_a_day(folder: Path, bundle: Path, age: int) -> None:
    script = (
        "import os, signal, sys\n"
        "from ansible_collections.tyk.upgrade.plugins.module_utils._clients import directory_store\n"
        "directory_store._appear = lambda *unused: os.kill(os.getpid(), signal.SIGKILL)\n"
        "directory_store.DirectoryStore(sys.argv[1]).publish('killed.zip', sys.argv[2])\n"
    )
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)}
    done = subprocess.run([sys.executable, "-c", script, str(folder), str(bundle)], env=environment, check=False)
    assert done.returncode == -signal.SIGKILL
    (left,) = folder.iterdir()
    (folder / ".tyk-upgrade-folder").mkdir()
    (folder / "a.zip").write_text("of others")
    then = time.time() - age
    for path in folder.iterdir():
        os.utime(path, (then, then))
    assert publish(in_folder(folder), bundle)["changed"]
    stays = {left.name} if age < 24 * 3600 else set()
    assert {path.name for path in folder.iterdir()} == {".tyk-upgrade-folder", "a.zip", NAME} | stays


def test_info_from_a_folder(folder: Path, tmp_path: Path) -> None:
    (tmp_path / "a.so").write_bytes(b"\x7fELF")
    manifest = {"custom_middleware": {"driver": "goplugin", "pre": [{"name": "F", "path": "a.so"}]}}
    files = [{"name": "a.so", "path": str(tmp_path / "a.so")}]
    (folder / "team").mkdir()
    run_module("bundle_build", {"dest": str(folder / "team" / "a.zip"), "manifest": manifest, "files": files})
    assert info(in_folder(folder), "team/a.zip")["findings"] == []
    assert code(info(in_folder(folder), "b.zip")) == "bundle-missing"
    for name in ("../a.zip", "/a.zip", "team/../../x"):
        assert code(info(in_folder(folder / "team"), name)) == "setting-invalid"


# --- HTTP: what came with the other kinds


def test_a_store_that_is_away_for_a_moment(bundle: Path, monkeypatch: Any) -> None:
    from ansible_collections.tyk.upgrade.plugins.module_utils._clients import web_store

    monkeypatch.setattr(web_store.time, "sleep", lambda seconds: None)
    with StoreServer() as server:
        original, seen = server.answer, []

        def answer(request: Any) -> Any:
            seen.append(request.method)
            if seen.count(request.method) == 1:
                return None if request.method == "PUT" else (503, {}, b"")
            return original(request)

        server.answer = answer  # type: ignore[method-assign]
        store = {"kind": "http", "url": server.url}
        assert publish({**store, "retries": 0}, bundle)["failed"]
        seen.clear()
        result = publish(store, bundle)
        assert result["changed"] and seen == ["GET", "GET", "PUT", "PUT", "GET"]
        assert list(server.files.values()) == [bundle.read_bytes()]


def test_an_upload_that_arrived_though_its_answer_did_not(bundle: Path) -> None:
    with StoreServer() as server:
        original, puts = server.answer, []

        def answer(request: Any) -> Any:
            reply = original(request)
            if request.method == "PUT":
                puts.append(reply[0])
                return None if len(puts) == 1 else reply
            return reply

        server.answer = answer  # type: ignore[method-assign]
        result = publish({"kind": "http", "url": server.url}, bundle)
        assert result["changed"] and not result["failed"] and puts == [201, 412]


def test_a_download_that_is_cut_is_made_again(bundle: Path, tmp_path: Path) -> None:
    with StoreServer() as server:
        built = tmp_path / "b.zip"
        (tmp_path / "a.so").write_bytes(b"\x7fELF" + os.urandom(200000))
        manifest = {"custom_middleware": {"driver": "goplugin", "pre": [{"name": "F", "path": "a.so"}]}}
        files = [{"name": "a.so", "path": str(tmp_path / "a.so")}]
        run_module("bundle_build", {"dest": str(built), "manifest": manifest, "files": files})
        content, asked = built.read_bytes(), []

        def answer(request: Any) -> Any:
            asked.append(1)
            cut = len(asked) == 1
            return 200, {"Content-Length": str(len(content))} if cut else {}, content[:1000] if cut else content

        server.answer = answer  # type: ignore[method-assign]
        result = info({"kind": "http", "url": server.url, "retries": 1})
        assert result["found"] and result["sha256"] == hashlib.sha256(content).hexdigest()


def test_names_are_escaped_as_gateways_do_it(bundle: Path) -> None:
    with FixedServer(lambda request: (404, {}, b"")) as server:
        info({"kind": "http", "url": server.url + "/b?key=secret-1"}, "team/my bundle+1@2?x.zip")
        assert server.requests[-1].target == "/b/team/my%20bundle+1@2%3Fx.zip?key=secret-1"


class Authority:
    """A CA of its own, with certificates for a server on loopback and for a client."""

    def __init__(self, folder: Path) -> None:
        pytest.importorskip("cryptography")
        self.folder = folder
        self.ca = self._issue("ca", None)
        for name in ("server", "client"):
            self._issue(name, self.ca)

    def _issue(self, name: str, issuer: Any) -> Any:
        from cryptography import x509
        from cryptography.hazmat.primitives import hashes, serialization
        from cryptography.hazmat.primitives.asymmetric import ec

        key = ec.generate_private_key(ec.SECP256R1())
        subject = x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, name)])
        signer, issued_by = issuer if issuer else (key, subject)
        now = datetime.datetime.now(datetime.timezone.utc)
        address = x509.IPAddress(ipaddress.ip_address("127.0.0.1"))
        identifier = x509.SubjectKeyIdentifier.from_public_key(key.public_key())
        authority = x509.AuthorityKeyIdentifier.from_issuer_public_key(signer.public_key())
        certificate = (
            x509.CertificateBuilder(issued_by, subject, key.public_key(), x509.random_serial_number())
            .not_valid_before(now - datetime.timedelta(days=1))
            .not_valid_after(now + datetime.timedelta(days=1))
            .add_extension(x509.BasicConstraints(ca=issuer is None, path_length=None), critical=True)
            .add_extension(x509.SubjectAlternativeName([address]), critical=False)
            .add_extension(identifier, critical=False)
            .add_extension(authority, critical=False)
            .sign(signer, hashes.SHA256())
        )
        pem = serialization.Encoding.PEM
        (self.folder / f"{name}.pem").write_bytes(certificate.public_bytes(pem))
        form, plain = serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
        (self.folder / f"{name}.key").write_bytes(key.private_bytes(pem, form, plain))
        return key, subject

    def path(self, name: str) -> str:
        return str(self.folder / name)


class TlsStore(StoreServer):
    """A store that speaks TLS and wants a certificate of its clients."""

    def __init__(self, authority: Authority) -> None:
        super().__init__()
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.load_cert_chain(authority.path("server.pem"), authority.path("server.key"))
        context.load_verify_locations(authority.path("ca.pem"))
        context.verify_mode = ssl.CERT_REQUIRED
        self._server.socket = context.wrap_socket(self._server.socket, server_side=True)
        self._server.handle_error = lambda *unused: None  # type: ignore[method-assign]
        self.url = self.url.replace("http:", "https:")


def test_tls_with_certificates_of_ones_own(bundle: Path, tmp_path: Path) -> None:
    authority = Authority(tmp_path)
    with TlsStore(authority) as server:
        store = {"kind": "http", "url": server.url, "retries": 0}
        client = {"client_cert": authority.path("client.pem"), "client_key": authority.path("client.key")}
        own = {"ca_path": authority.path("ca.pem")}
        unknown = publish({**store, **client}, bundle)
        assert unknown["failed"] and "certificate could not be verified" in unknown["msg"]
        assert code(publish({**store, **own}, bundle)) == "store-unreachable", "it wants a client certificate"
        assert publish({**store, **client, **own}, bundle)["changed"]
        assert not publish({**store, **client, "validate_certs": False}, bundle)["changed"]
        other = run_module("bundle_publish", {"state": "probed", "store": {**store, **client}, **own, "timeout": 5})
        assert other["writable"] is True, "the module's own options count as well"
        assert publish({**store, "client_cert": "/no/such.pem", **own}, bundle, name="n.zip")["failed"]


# --- a full disk on the host that runs the module


def full_here(store: Dict[str, Any]) -> None:
    with small_disk(100_000):
        result = info(store)
    (finding,) = result["findings"]
    assert finding["code"] == "disk-small" and not result["found"]
    assert f"Bundle {NAME} from the store" in finding["message"] and "on the host that runs the task" in finding["message"]
    assert "Make room on the file system of" in finding["remedy"]


def test_a_full_disk_here_is_not_the_fault_of_a_folder(tmp_path: Path, bundle: Path) -> None:
    store = {"kind": "directory", "path": str(tmp_path)}
    assert publish(store, bundle)["changed"]
    full_here(store)


def test_a_full_disk_here_is_not_the_fault_of_a_server(bundle: Path) -> None:
    with StoreServer() as server:
        store = {"kind": "http", "url": server.url}
        assert publish(store, bundle)["changed"]
        full_here(store)
        assert server.count("GET") == 3, "it is not tried again"


def test_no_room_for_the_file_that_proves_a_store(tmp_path: Path) -> None:
    with small_disk(10):
        result = probe({"kind": "directory", "path": str(tmp_path)})
    assert result["failed"] and code(result) == "disk-small"


# --- S3


@pytest.fixture(scope="module")
def s3() -> Iterator[Any]:
    """A real S3 server on loopback with its rights switched off; `s3.enforced` runs with rights."""
    moto_server = pytest.importorskip("moto.server")
    boto3 = pytest.importorskip("boto3")
    server = moto_server.ThreadedMotoServer(ip_address="127.0.0.1", port=0, verbose=False)
    server.start()
    host, port = server.get_host_and_port()

    class Endpoint:
        url = f"http://{host}:{port}"

        def client(self, service: str) -> Any:
            return boto3.client(
                service,
                endpoint_url=self.url,
                region_name="us-east-1",
                aws_access_key_id="root",
                aws_secret_access_key="root-secret",
            )

        def count_of_free_actions(self, count: str) -> None:
            import requests

            requests.post(f"{self.url}/moto-api/reset-auth", data=count, timeout=5).raise_for_status()

    yield Endpoint()
    server.stop()


@pytest.fixture
def bucket(s3: Any, request: Any) -> str:
    name = "b" + hashlib.md5(request.node.name.encode()).hexdigest()[:12]
    s3.client("s3").create_bucket(Bucket=name)
    return name


def in_bucket(s3: Any, bucket: str, **more: Any) -> Dict[str, Any]:
    return {
        "kind": "s3",
        "bucket": bucket,
        "prefix": "plugins/",
        "endpoint_url": s3.url,
        "region": "us-east-1",
        "access_key": "root",
        "secret_key": "root-secret",
        "retries": 0,
        **more,
    }


def keys(s3: Any, bucket: str) -> List[str]:
    return [entry["Key"] for entry in s3.client("s3").list_objects_v2(Bucket=bucket).get("Contents", [])]


def test_a_full_disk_here_is_not_the_fault_of_a_bucket(s3: Any, bucket: str, bundle: Path) -> None:
    assert publish(in_bucket(s3, bucket), bundle)["changed"]
    full_here(in_bucket(s3, bucket))


def test_a_bucket_gets_the_bundle(s3: Any, bucket: str, bundle: Path) -> None:
    store = in_bucket(s3, bucket, url="https://plugins.example.com/b/?token=hidden-token")
    result = publish(store, bundle)
    assert result["changed"] and result["url"] == f"https://plugins.example.com/b/{NAME}"
    assert keys(s3, bucket) == [f"plugins/{NAME}"]
    body = s3.client("s3").get_object(Bucket=bucket, Key=f"plugins/{NAME}")["Body"].read()
    assert body == bundle.read_bytes()
    again = publish(store, bundle)
    assert not again["changed"] and "root-secret" not in str([result, again]) and "hidden-token" not in str(result)
    assert publish(in_bucket(s3, bucket), bundle)["url"] == f"s3://{bucket}/plugins/{NAME}"


@pytest.mark.parametrize("check", [False, True])
def test_a_bucket_keeps_what_it_has(s3: Any, bucket: str, bundle: Path, check: bool) -> None:
    s3.client("s3").put_object(Bucket=bucket, Key=f"plugins/{NAME}", Body=b"other")
    result = publish(in_bucket(s3, bucket), bundle, check=check)
    assert result["failed"] and code(result) == "store-conflict"
    assert s3.client("s3").get_object(Bucket=bucket, Key=f"plugins/{NAME}")["Body"].read() == b"other"


def test_check_mode_leaves_a_bucket_alone(s3: Any, bucket: str, bundle: Path, tmp_path: Path) -> None:
    predicted = publish(in_bucket(s3, bucket), bundle, check=True)
    assert predicted["changed"] and keys(s3, bucket) == []
    assert publish(in_bucket(s3, bucket), tmp_path / "later.zip", check=True)["changed"]
    assert predicted["diff"] == publish(in_bucket(s3, bucket), bundle)["diff"]
    assert not publish(in_bucket(s3, bucket), bundle, check=True)["changed"]


@pytest.mark.parametrize("content", [b"other", None])
def test_somebody_writes_to_the_bucket_in_between(
    s3: Any, bucket: str, bundle: Path, monkeypatch: Any, content: Any
) -> None:
    """The condition of the upload itself keeps the two apart, not the look before it."""
    from ansible_collections.tyk.upgrade.plugins.module_utils._clients.s3_store import S3Store

    original = S3Store._write

    def late(self: Any, name: str, path: str, size: int) -> bool:
        body = bundle.read_bytes() if content is None else content
        s3.client("s3").put_object(Bucket=bucket, Key=f"plugins/{NAME}", Body=body)
        return original(self, name, path, size)

    monkeypatch.setattr(S3Store, "_write", late)
    result = publish(in_bucket(s3, bucket), bundle)
    if content is None:
        assert not result["failed"] and not result["changed"]
    else:
        assert result["failed"] and code(result) == "store-conflict"


def test_a_server_that_knows_no_conditions(s3: Any, bucket: str, bundle: Path) -> None:
    """It says so, as some do, and gets the upload once more without."""
    import requests

    seen: List[Any] = []

    def pass_on(request: Any) -> Any:
        if request.method == "PUT":
            seen.append(request.headers.get("if-none-match"))
            if seen[-1]:
                body = b"<Error><Code>NotImplemented</Code><Message>no such header here</Message></Error>"
                return 501, {"Content-Type": "application/xml"}, body
        headers = {name: value for name, value in request.headers.items() if name not in ("host", "content-length")}
        answer = requests.request(
            request.method, s3.url + request.target, headers=headers, data=request.body, timeout=5
        )
        return answer.status_code, {"Content-Type": answer.headers.get("Content-Type", "")}, answer.content

    with FixedServer(pass_on) as server:
        assert publish(in_bucket(s3, bucket, endpoint_url=server.url), bundle)["changed"]
    assert seen == ["*", None] and keys(s3, bucket) == [f"plugins/{NAME}"]


def test_probing_a_bucket(s3: Any, bucket: str) -> None:
    assert probe(in_bucket(s3, bucket))["writable"] is True
    assert probe(in_bucket(s3, bucket), check=True)["writable"] is None
    assert keys(s3, bucket) == []


def test_a_bucket_that_is_not_there(s3: Any, bundle: Path) -> None:
    gone = in_bucket(s3, "no-such-bucket-here")
    for result in (publish(gone, bundle), probe(gone), probe(gone, check=True)):
        assert result["failed"] and code(result) == "store-unreachable" and "no such bucket" in result["msg"]
    assert code(info(gone)) == "store-unreachable"


def test_info_from_a_bucket(s3: Any, bucket: str, bundle: Path) -> None:
    assert code(info(in_bucket(s3, bucket))) == "bundle-missing"
    publish(in_bucket(s3, bucket), bundle)
    result = info(in_bucket(s3, bucket))
    assert result["found"] and result["size"] == 300004 and result["seconds"] >= 0
    page = b"<!DOCTYPE html><html>log in"
    s3.client("s3").put_object(Bucket=bucket, Key="plugins/p.zip", Body=page, ContentType="x/y")
    assert "HTML page" in info(in_bucket(s3, bucket), "p.zip")["findings"][0]["message"]


def user(s3: Any, bucket: str, *actions: str) -> Dict[str, str]:
    iam = s3.client("iam")
    name = f"user-{bucket}-{len(actions)}"
    iam.create_user(UserName=name)
    resources = [f"arn:aws:s3:::{bucket}", f"arn:aws:s3:::{bucket}/*"]
    statement = {"Effect": "Allow", "Action": list(actions), "Resource": resources}
    if actions:
        document = json.dumps({"Version": "2012-10-17", "Statement": [statement]})
        iam.put_user_policy(UserName=name, PolicyName="p", PolicyDocument=document)
    key = iam.create_access_key(UserName=name)["AccessKey"]
    return {"access_key": key["AccessKeyId"], "secret_key": key["SecretAccessKey"]}


@pytest.fixture
def enforced(s3: Any) -> Iterator[Any]:
    """Call it, and from then on rights count."""
    yield lambda: s3.count_of_free_actions("0")
    s3.count_of_free_actions("inf")


@pytest.mark.parametrize(
    ("actions", "right"),
    [
        ((), "s3:GetObject and s3:ListBucket"),
        (("s3:GetObject", "s3:ListBucket"), "s3:PutObject"),
        (("s3:PutObject", "s3:ListBucket"), "s3:GetObject"),
    ],
)
def test_rights_that_are_missing_are_named(
    s3: Any, bucket: str, bundle: Path, enforced: Any, actions: Any, right: str
) -> None:
    keys_of_user = user(s3, bucket, *actions)
    enforced()
    result = publish(in_bucket(s3, bucket, **keys_of_user), bundle)
    assert result["failed"] and code(result) == "store-forbidden" and right in result["msg"], result["msg"]
    assert keys_of_user["secret_key"] not in str(result)
    assert "403" in result["msg"] and "AccessDenied" in result["msg"]


def test_rights_that_suffice(s3: Any, bucket: str, bundle: Path, enforced: Any) -> None:
    keys_of_user = user(s3, bucket, "s3:GetObject", "s3:PutObject", "s3:ListBucket")
    enforced()
    store = in_bucket(s3, bucket, **keys_of_user)
    assert publish(store, bundle)["changed"]
    probed = probe(store)
    assert probed["writable"] is True and probed["findings"][0]["severity"] == "warning", "it may not delete"


def test_keys_that_are_wrong(s3: Any, bucket: str, bundle: Path, enforced: Any) -> None:
    given = user(s3, bucket, "s3:*")
    enforced()
    for wrong in ({"access_key": "AKIAUNKNOWN000000000"}, {"secret_key": "wrong-secret-key"}):
        result = publish(in_bucket(s3, bucket, **{**given, **wrong}), bundle)
        assert result["failed"] and code(result) == "store-forbidden" and "wrong-secret-key" not in str(result)


def test_an_s3_server_that_is_away(bundle: Path) -> None:
    gone = StoreServer()
    gone.close()
    store = {"kind": "s3", "bucket": "b", "endpoint_url": gone.url, "access_key": "a", "secret_key": "s3-secret-key"}
    result = publish({**store, "retries": 0}, bundle)
    assert result["failed"] and code(result) == "store-unreachable" and "no connection could be made" in result["msg"]


def test_a_login_page_is_no_s3_server(bundle: Path) -> None:
    page = (200, {"Content-Type": "text/html"}, b"<!DOCTYPE html><html>log in</html>")
    with FixedServer(lambda request: page) as server:
        store = {"kind": "s3", "bucket": "b", "endpoint_url": server.url, "access_key": "a", "secret_key": "secret-1"}
        for result in (publish({**store, "retries": 0}, bundle), probe({**store, "retries": 0})):
            assert result["failed"] and "HTML page" in result["msg"], result


def test_no_keys_at_all(s3: Any, bucket: str, bundle: Path, monkeypatch: Any, tmp_path: Path) -> None:
    for name in [name for name in os.environ if name.startswith("AWS_")]:
        monkeypatch.delenv(name)
    monkeypatch.setenv("AWS_EC2_METADATA_DISABLED", "true")
    monkeypatch.setenv("HOME", str(tmp_path))
    store = {"kind": "s3", "bucket": bucket, "endpoint_url": s3.url}
    result = publish(store, bundle)
    assert result["failed"] and code(result) == "store-forbidden" and "no complete credentials" in result["msg"]
    monkeypatch.setenv("AWS_ACCESS_KEY_ID", "root")
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "root-secret")
    assert publish(store, bundle)["changed"]


def test_two_uploads_to_a_bucket_at_once(s3: Any, bucket: str, tmp_path: Path) -> None:
    """However they interleave, the bucket holds one of the two and the other one is told."""
    from ansible_collections.tyk.upgrade.plugins.module_utils._clients.errors import ClientError
    from ansible_collections.tyk.upgrade.plugins.module_utils._clients.s3_store import Bucket, S3Store

    outcomes: List[str] = []

    def upload(number: int) -> None:
        path = tmp_path / f"{number}.zip"
        path.write_bytes(b"PK%d" % number * 1000)
        store = S3Store(Bucket(bucket, endpoint_url=s3.url, access_key="root", secret_key="root-secret"))
        try:
            outcomes.append("done" if store.publish(NAME, str(path)).changed else "there")
        except ClientError as problem:
            outcomes.append(problem.code)

    threads = [threading.Thread(target=upload, args=(number,)) for number in range(2)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert sorted(outcomes) == ["done", "store-conflict"]


@pytest.mark.parametrize("password", ["pass/word", "pass#word", "pass?word", "pass[word", "/pass"])
def test_an_address_that_cannot_be_read_shows_nothing_of_its_password(password: str) -> None:
    url = f"http://user:{password}@host/bundles/a.zip"
    store = {"kind": "http", "url": url}
    for args in ({"url": url}, {"store": store, "name": "a.zip"}):
        result = run_failing("bundle_info", args)
        assert "percent-encoded" in result["msg"] and password not in str(result["msg"]) + str(result["findings"])


def test_a_password_that_is_taken_for_a_host_is_not_shown() -> None:
    (finding,) = run_module("bundle_info", {"url": "http://user:p@no.such/word@host/a.zip", "timeout": 2})["findings"]
    assert "no.such/word" not in finding["message"] and "did not answer" in finding["message"]
