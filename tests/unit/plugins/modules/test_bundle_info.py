# Copyright (c) 2026 tyk.upgrade contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What bundle_info says of bundles that somebody else made: broken, hostile, slow, wrongly signed."""

from __future__ import annotations

import hashlib
import json
import os
import re
import struct
import subprocess
import sys
import zipfile
from pathlib import Path
from typing import Any, Dict, List, Optional

import pytest
from ansible.module_utils import basic

from ansible_collections.tyk.upgrade.plugins.module_utils._clients.elf import inspect
from ansible_collections.tyk.upgrade.tests.unit.plugins import go_builds
from ansible_collections.tyk.upgrade.tests.unit.plugins.modules.module_runner import run_failing, run_module, small_disk
from ansible_collections.tyk.upgrade.tests.unit.plugins.modules.servers import StoreServer

ELF = b"\x7fELF content"
FLAGS = (("-trimpath",), ("-trimpath", "-ldflags=-s -w"))
MIDDLEWARE = {"driver": "goplugin", "pre": [{"name": "F", "path": "X.so"}]}


def manifest_for(files: Dict[str, bytes], **more: Any) -> Dict[str, Any]:
    checksum = hashlib.md5(b"".join(files.values())).hexdigest()
    return {"file_list": list(files), "custom_middleware": MIDDLEWARE, "checksum": checksum, "signature": "", **more}


def zipped(path: Path, files: Dict[str, bytes], manifest: Any = None, packing: int = zipfile.ZIP_DEFLATED) -> Path:
    with zipfile.ZipFile(path, "w", packing) as archive:
        for name, content in files.items():
            archive.writestr(name, content)
        if manifest is not None:
            archive.writestr("manifest.json", manifest if isinstance(manifest, (str, bytes)) else json.dumps(manifest))
    return path


def info(src: Path, **more: Any) -> Dict[str, Any]:
    result = run_module("bundle_info", {"src": str(src), **more})
    assert not result["failed"], result
    return result


def errors(result: Dict[str, Any]) -> List[str]:
    return [finding["message"] for finding in result["findings"] if finding["severity"] == "error"]


def warnings(result: Dict[str, Any]) -> List[str]:
    return [finding["message"] for finding in result["findings"] if finding["severity"] == "warning"]


@pytest.fixture
def good(tmp_path: Path) -> Path:
    files = {"X_v5.8.9_linux_amd64.so": ELF}
    return zipped(tmp_path / "good.zip", files, manifest_for(files))


# --- names and folders


def test_folders_that_a_zip_names_first_are_unpacked(tmp_path: Path) -> None:
    files = {"lib/": b"", "lib/sub/": b"", "lib/sub/a.py": b"1", "X.so": ELF}
    listed = {"lib/sub/a.py": b"1", "X.so": ELF}
    result = info(zipped(tmp_path / "a.zip", files, manifest_for(listed)))
    assert errors(result) == [] and "the folders 'lib/', 'lib/sub/'" in warnings(result)[0] and result["checksum_ok"]


@pytest.mark.parametrize("order", [["lib/a.py"], ["lib/a.py", "lib/"], ["lib/sub/a.py", "lib/"]])
def test_folders_that_it_does_not_name_first_are_not(tmp_path: Path, order: List[str]) -> None:
    files = dict.fromkeys(order, b"")
    assert any(repr(order[0]) in one for one in errors(info(zipped(tmp_path / "a.zip", files, manifest_for({})))))


@pytest.mark.parametrize("name", ["../evil", "lib/../../evil", "/etc/evil", "a\\b", "lib//x"])
def test_names_that_lead_out(tmp_path: Path, name: str) -> None:
    found = errors(info(zipped(tmp_path / "a.zip", {"lib/": b"", name: b"x"}, manifest_for({}))))
    assert any("leads out of the folder" in one for one in found), found


def test_names_that_only_look_odd_are_fine(tmp_path: Path) -> None:
    files = {"my plugin (1).so": ELF}
    manifest = manifest_for(files)
    manifest["custom_middleware"] = {"driver": "goplugin", "pre": [{"name": "F", "path": "my plugin (1).so"}]}
    assert info(zipped(tmp_path / "a.zip", files, manifest))["findings"] == []


def test_a_file_that_nothing_covers(tmp_path: Path) -> None:
    result = info(zipped(tmp_path / "a.zip", {"X.so": ELF, "Y.so": ELF}, manifest_for({"X.so": ELF})))
    assert errors(result) == [] and "holds Y.so, which its file_list does not name" in warnings(result)[0]


# --- content


@pytest.mark.parametrize("content", [b"", b"\xcf\xfa\xed\xfe Mach-O", b"MZ\x90\x00", b"version https://git-lfs"])
def test_a_plugin_that_is_none(tmp_path: Path, content: bytes) -> None:
    result = info(zipped(tmp_path / "a.zip", {"X.so": content}, manifest_for({"X.so": content})))
    assert [finding["code"] for finding in result["findings"]] == ["plugin-unreadable"]


@pytest.mark.parametrize("packing", [zipfile.ZIP_BZIP2, zipfile.ZIP_LZMA])
def test_a_packing_that_go_does_not_know(tmp_path: Path, packing: int) -> None:
    result = info(zipped(tmp_path / "a.zip", {"X.so": ELF}, manifest_for({"X.so": ELF}), packing))
    assert any("only stored and deflated" in one for one in errors(result))


def test_a_packing_without_any(tmp_path: Path) -> None:
    path = zipped(tmp_path / "a.zip", {"X.so": ELF}, manifest_for({"X.so": ELF}), zipfile.ZIP_STORED)
    assert info(path)["findings"] == []


@pytest.mark.parametrize(
    ("text", "part"),
    [
        ("[" * 100000, "nested too deeply"),
        ('{"a": ' * 50000, "nested too deeply"),
        ('{"checksum": NaN}', "NaN, which is not JSON"),
        (b"\xff\xfe{}", "cannot be read as JSON"),
        ("\ufeff{}", "cannot be read as JSON"),
        (" " * (1024 * 1024 + 1), "it is too long"),
    ],
)
def test_a_manifest_that_is_none(tmp_path: Path, text: Any, part: str) -> None:
    result = info(zipped(tmp_path / "a.zip", {}, text))
    assert part in " ".join(errors(result)) and result["manifest"] is None


def test_a_manifest_with_a_wrong_type(tmp_path: Path) -> None:
    manifest = manifest_for({"X.so": ELF})
    manifest["custom_middleware"] = {"driver": "goplugin", "pre": [{"name": "F", "path": "X.so", "disabled": "no"}]}
    assert "pre.disabled is a text" in errors(info(zipped(tmp_path / "a.zip", {"X.so": ELF}, manifest)))[0]


# --- plugin paths


def test_each_plugin_is_said_with_the_path_that_go_knows_it_by(
    tmp_path: Path, go_world: go_builds.GoWorld, monkeypatch: pytest.MonkeyPatch
) -> None:
    scratch = tmp_path / "scratch"
    scratch.mkdir()
    monkeypatch.setattr(basic.AnsibleModule, "tmpdir", str(scratch))
    plain, stripped = (Path(go_world.plugin(f"in{flags[-1][-1]}", {}, {}, flags)) for flags in FLAGS)
    old = Path(go_world.in_gopath("inbundle"))
    files = {
        "X.so": plain.read_bytes(),
        "X_v5.8.9_linux_amd64.so": stripped.read_bytes(),
        "Old.so": old.read_bytes(),
        "Cut.so": plain.read_bytes()[:-4096],
        "Gateway.so": Path(go_world.gateway).read_bytes(),
        "Elf.so": ELF,
        "Text.so": b"a text",
        "Empty.so": b"",
        "plugin.txt": plain.read_bytes(),
    }
    result = info(zipped(tmp_path / "a.zip", files, manifest_for(files)))
    assert {one["name"]: one["plugin_path"] for one in result["files"]} == {
        **dict.fromkeys(files, ""),
        "X.so": inspect(str(plain)).program.plugin_path,
        "X_v5.8.9_linux_amd64.so": inspect(str(stripped)).program.plugin_path,
        "Old.so": inspect(str(old)).program.plugin_path,
    }
    assert [one["plugin_path"] for one in result["files"][:3]] == [
        "tyk.internal/tyk_pluginin" + flags[-1][-1] for flags in FLAGS
    ] + ["plugin_inbundle"]
    assert [one["sha256"] for one in result["files"]] == [hashlib.sha256(one).hexdigest() for one in files.values()]
    assert not list(scratch.iterdir())


def test_a_full_disk_below_a_plugin_that_is_unpacked(tmp_path: Path) -> None:
    files = {"X.so": ELF * 10_000}
    path = zipped(tmp_path / "a.zip", files, manifest_for(files))
    with small_disk(40_000):
        result = info(path)
    (finding,) = result["findings"]
    assert (finding["code"], result["found"]) == ("disk-small", False)
    assert "The file X.so of bundle a.zip could not be unpacked on the host that runs the task" in finding["message"]


# --- versions


def test_versions_that_are_only_asked_for_say_nothing(good: Path) -> None:
    result = info(good, versions=["5.3.0"])
    assert result["resolves"] == {"5.3.0": {"X.so": None}} and result["findings"] == []


def test_versions_that_are_expected(good: Path) -> None:
    result = info(good, versions=["5.3.0"], expect_versions=["5.8.9", "5.3.0"])
    assert list(result["resolves"]) == ["5.3.0", "5.8.9"]
    assert [finding["code"] for finding in result["findings"]] == ["bundle-no-file"]
    assert info(good, expect_versions=["5.8.9"])["findings"] == []
    assert "linux/arm64" in errors(info(good, expect_versions=["5.8.9"], goarch="arm64"))[0]
    refused = run_failing("bundle_info", {"src": str(good), "expect_versions": ["new"]})
    assert refused["msg"].startswith("expect_versions")


# --- signatures


class Keys:
    def __init__(self, folder: Path, bits: int = 2048) -> None:
        from cryptography.hazmat.primitives import serialization
        from cryptography.hazmat.primitives.asymmetric import rsa

        forms, encoding = serialization.PublicFormat, serialization.Encoding.PEM
        key = rsa.generate_private_key(public_exponent=65537, key_size=bits)
        nothing = serialization.NoEncryption()
        contents = {
            "private": key.private_bytes(encoding, serialization.PrivateFormat.PKCS8, nothing),
            "pkix": key.public_key().public_bytes(encoding, forms.SubjectPublicKeyInfo),
            "pkcs1": key.public_key().public_bytes(encoding, forms.PKCS1),
        }
        folder.mkdir()
        self.paths = {name: folder / f"{name}.pem" for name in contents}
        for name, content in contents.items():
            self.paths[name].write_bytes(content)

    def __getattr__(self, name: str) -> str:
        return str(self.paths[name])


@pytest.fixture
def keys(tmp_path: Path) -> Keys:
    pytest.importorskip("cryptography")
    return Keys(tmp_path / "keys")


def signed(tmp_path: Path, key: Optional[str], name: str = "signed.zip") -> Path:
    (tmp_path / "x.so").write_bytes(ELF)
    manifest = {"custom_middleware": MIDDLEWARE}
    arguments = {"dest": str(tmp_path / name), "manifest": manifest, "key": key}
    files = [{"name": "X.so", "path": str(tmp_path / "x.so")}]
    result = run_module("bundle_build", {**arguments, "files": files})
    assert not result["failed"], result
    return tmp_path / name


def test_a_signature_that_fits(tmp_path: Path, keys: Keys) -> None:
    path = signed(tmp_path, keys.private)
    for public in (keys.pkix, keys.pkcs1):
        result = info(path, public_key=public)
        assert result["signature_ok"] is True and result["findings"] == []
    assert info(path)["signature_ok"] is None


def test_a_signature_that_does_not_fit(tmp_path: Path, keys: Keys) -> None:
    path = signed(tmp_path, Keys(tmp_path / "others").private)
    result = info(path, public_key=keys.pkix)
    assert result["signature_ok"] is False and "does not fit its files and the public key" in errors(result)[0]


@pytest.mark.parametrize(
    ("versions", "expected", "wrong"),
    [
        ([], [], True),
        (["5.0.8"], [], False),
        (["5.0.8", "5.3.0"], ["5.0.9"], False),
        (["5.0.8", "5.0.12"], [], True),
        (["5.0.8"], ["5.8.9"], True),
    ],
)
def test_gateways_that_let_a_wrong_checksum_pass(tmp_path: Path, versions: Any, expected: Any, wrong: bool) -> None:
    path = zipped(tmp_path / "a.zip", {"X.so": ELF}, manifest_for({"X.so": ELF}, checksum=""))
    result = info(path, versions=versions, expect_versions=expected)
    (found,) = [one for one in result["findings"] if one["code"] == "bundle-checksum"]
    assert found["severity"] == ("error" if wrong else "warning") and "says checksum nothing" in found["message"]


def test_the_key_that_is_to_sign_the_next_bundle(tmp_path: Path, keys: Keys) -> None:
    others = Keys(tmp_path / "others")
    private = {"signing_key": Path(keys.private).read_text()}
    signed_by_it = info(signed(tmp_path, keys.private), **private)
    assert signed_by_it["signature_ok"] is True and signed_by_it["findings"] == []
    assert re.fullmatch("[0-9a-f]{64}", signed_by_it["signing_key_id"])
    unsigned = info(signed(tmp_path, None, "unsigned.zip"), **private)
    assert unsigned["signature_ok"] is None and unsigned["findings"] == []
    assert unsigned["signing_key_id"] == signed_by_it["signing_key_id"]
    by_another = info(signed(tmp_path, others.private), **private)
    assert by_another["signature_ok"] is False and "the key that is to sign the next one" in errors(by_another)[0]
    assert info(signed(tmp_path, None))["signing_key_id"] == ""
    other_id = info(signed(tmp_path, None), signing_key=Path(others.private).read_text())["signing_key_id"]
    assert other_id != signed_by_it["signing_key_id"]
    refused = run_failing("bundle_info", {"src": str(signed(tmp_path, None)), "signing_key": "no key"})
    assert refused["msg"].startswith("The private key (option signing_key; in the roles tyk_bundle_key) could not be read")


@pytest.mark.parametrize("signature", ["", "%%%", "AAAA", None])
def test_no_signature_or_nonsense(tmp_path: Path, keys: Keys, signature: Any) -> None:
    path = zipped(tmp_path / "a.zip", {"X.so": ELF}, manifest_for({"X.so": ELF}, signature=signature))
    result = info(path, public_key=keys.pkix)
    assert result["signature_ok"] is False and [one["code"] for one in result["findings"]] == ["bundle-signature"]


def test_a_signature_of_other_files(tmp_path: Path, keys: Keys) -> None:
    with zipfile.ZipFile(signed(tmp_path, keys.private)) as archive:
        signature = json.loads(archive.read("manifest.json"))["signature"]
    other = ELF + b" changed"
    path = zipped(tmp_path / "a.zip", {"X.so": other}, manifest_for({"X.so": other}, signature=signature))
    result = info(path, public_key=keys.pkix)
    assert result["checksum_ok"] is True and result["signature_ok"] is False


def test_a_key_in_a_form_that_old_gateways_cannot_read(tmp_path: Path, keys: Keys) -> None:
    path = signed(tmp_path, keys.private)
    result = info(path, public_key=keys.pkcs1, expect_versions=["4.0.6", "5.8.9"])
    assert result["signature_ok"] is False and "gateways 4.0.6 cannot read" in errors(result)[0]
    assert info(path, public_key=keys.pkix, expect_versions=["4.0.6", "5.8.9"])["findings"] == []


def test_what_is_no_public_key(tmp_path: Path, keys: Keys) -> None:
    from cryptography.hazmat.primitives import serialization
    from cryptography.hazmat.primitives.asymmetric import ec

    public = ec.generate_private_key(ec.SECP256R1()).public_key()
    pem = public.public_bytes(serialization.Encoding.PEM, serialization.PublicFormat.SubjectPublicKeyInfo)
    (tmp_path / "ec.pem").write_bytes(pem)
    (tmp_path / "text.pem").write_text("no key")
    path = signed(tmp_path, keys.private)
    for public_key, part in (
        (str(tmp_path / "ec.pem"), "not an RSA key"),
        (str(tmp_path / "text.pem"), "The public key is no PEM file, which no gateway can read"),
        (keys.private, "BEGIN PRIVATE KEY-----', which no gateway can read"),
    ):
        result = info(path, public_key=public_key)
        assert result["found"] and result["signature_ok"] is False and part in errors(result)[0]
    assert "could not be read" in run_failing("bundle_info", {"src": str(path), "public_key": "/no/key"})["msg"]


# --- size and speed


@pytest.fixture
def large(tmp_path: Path) -> Path:
    files = {"X.so": ELF + os.urandom(2_000_000)}
    return zipped(tmp_path / "large.zip", files, manifest_for(files))


def test_a_speed_that_is_given(large: Path) -> None:
    fast, near, slow = (info(large, speed=speed) for speed in (100, 5, 2))
    assert fast["findings"] == [] and fast["download_seconds"] == pytest.approx(0.16, abs=0.01)
    assert len(warnings(near)) == 1 and errors(near) == []
    assert "give up after 5 s" in errors(slow)[0] and slow["findings"][0]["code"] == "bundle-slow"
    assert info(large, speed=2, expect_versions=["4.0.10"])["findings"] == []
    assert run_failing("bundle_info", {"src": str(large), "speed": 0})["msg"].startswith("speed is 0")


def test_a_speed_that_was_measured_is_a_warning(large: Path, monkeypatch: Any) -> None:
    from ansible_collections.tyk.upgrade.plugins.module_utils._clients import http_store

    real = http_store.Receiver.stored
    monkeypatch.setattr(http_store.Receiver, "stored", lambda self, seconds: real(self, 9.0))
    with StoreServer() as server:
        server.files["/large.zip"] = large.read_bytes()
        result = run_module("bundle_info", {"url": server.url + "/large.zip"})
        assert errors(result) == [] and "measured from where this module runs" in warnings(result)[0]
        given = run_module("bundle_info", {"url": server.url + "/large.zip", "speed": 100})
        assert given["findings"] == [] and given["seconds"] == 9.0


# --- bounds


def test_a_file_larger_than_what_may_be_read_is_not_read(tmp_path: Path) -> None:
    with (tmp_path / "huge.zip").open("wb") as handle:
        handle.truncate(1 << 40)
    result = info(tmp_path / "huge.zip")
    assert "has more than 536870912 bytes" in errors(result)[0] and result["sha256"] == ""


@pytest.mark.parametrize("form", ["plain", "wide", "hidden", "twice"])
def test_a_list_of_files_that_fills_the_memory_is_not_read(tmp_path: Path, form: str) -> None:
    """A zip of a million entries, in the plain and in the zip64 form; reading it must not need their memory.

    hidden: the end of the zip64 form is where the locator does not point to. twice: the end begins once more in itself.
    """
    wide = form in ("wide", "hidden")
    entry = struct.pack("<4s6H3L5H2L", b"PK\x01\x02", 20, 20, 0, 0, 0, 33, 0, 0, 0, 1, 0, 0, 0, 0, 0, 0) + b"a"
    count = 1_000_000 if wide else 65_000
    path = tmp_path / "many.zip"
    with path.open("wb") as handle:
        for _unused in range(count // 1000):
            handle.write(entry * 1000)
        length = count * len(entry)
        if wide:
            handle.write(struct.pack("<4sQ2H2L4Q", b"PK\x06\x06", 44, 45, 45, 0, 0, count, count, length, 0))
            handle.write(struct.pack("<4sLQL", b"PK\x06\x07", 0, 0 if form == "hidden" else length, 1))
            handle.write(struct.pack("<4s4H2LH", b"PK\x05\x06", 0, 0, 0xFFFF, 0xFFFF, 0xFFFFFFFF, 0xFFFFFFFF, 0))
        else:
            disks = struct.unpack("<2H", b"PK\x05\x06") if form == "twice" else (0, 0)
            handle.write(struct.pack("<4s4H2LH", b"PK\x05\x06", *disks, count, count, length, 0, 0))
    script = (
        "import sys\n"
        "from ansible_collections.tyk.upgrade.plugins.module_utils._clients import bundle_archive\n"
        "def peak():\n"
        "    return int(next(line.split()[1] for line in open('/proc/self/status') if line.startswith('VmHWM')))\n"
        "before = peak()\n"
        "opened = bundle_archive.read(sys.argv[1], 1 << 29)\n"
        "print(peak() - before, opened.findings[0].message)\n"
    )
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)}
    done = subprocess.run(
        [sys.executable, "-c", script, str(path)], capture_output=True, text=True, check=True, env=environment
    )
    kilobytes, _space, message = done.stdout.partition(" ")
    assert int(kilobytes) < 10_000
    expected = {"twice": "the record at its end is there twice", "hidden": "is not a zip that can be read to its end"}
    assert expected.get(form, "its list of files alone has") in message


@pytest.mark.parametrize("more", [b"", b"a remark"])
def test_a_record_at_the_end_that_is_doubled_is_refused_with_a_sentence(good: Path, tmp_path: Path, more: bytes) -> None:
    content = good.read_bytes()
    record = content[-22:]
    doubled = tmp_path / "doubled.zip"
    doubled.write_bytes(content[:-2] + struct.pack("<H", len(record + more)) + more + record)
    (finding,) = info(doubled)["findings"]
    assert finding["code"] == "bundle-invalid" and "the record at its end is there twice" in finding["message"]
    doubled.write_bytes(content + record)
    (finding,) = info(doubled)["findings"]
    assert finding["code"] == "bundle-invalid" and "is not a zip that can be read to its end" in finding["message"]


def test_a_zip_in_a_bundle_and_a_remark_are_fine(tmp_path: Path) -> None:
    inner = zipped(tmp_path / "inner.zip", {"a": b"1"}).read_bytes()
    files = {"X.so": ELF, "data.zip": inner}
    path = zipped(tmp_path / "a.zip", files, manifest_for(files), zipfile.ZIP_STORED)
    with zipfile.ZipFile(path, "a") as archive:
        archive.comment = b"a remark"
    assert info(path)["findings"] == []


def test_a_bundle_as_the_gateways_own_command_makes_it(tmp_path: Path) -> None:
    """It writes every key there is, and modes of its own."""
    files = {"X.so": ELF}
    middleware = {
        "pre": [{"disabled": False, "name": "F", "path": "X.so", "require_session": False, "raw_body_only": False}],
        "post": None,
        "post_key_auth": None,
        "auth_check": {"disabled": False, "name": "", "path": "", "require_session": False, "raw_body_only": False},
        "response": None,
        "driver": "goplugin",
        "id_extractor": {"disabled": False, "extract_from": "", "extract_with": "", "extractor_config": None},
    }
    path = zipped(tmp_path / "a.zip", files, manifest_for(files, custom_middleware=middleware))
    assert info(path, expect_versions=["5.8.9"])["findings"] == []
