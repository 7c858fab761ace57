# Copyright (c) 2026 tyk.upgrade contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Images of the programs that answer in the place of Tyk's own where those cannot be had."""

from __future__ import annotations

import io
import json
import tarfile
import time
import zipfile
from pathlib import Path
from typing import Any

from builder import GO_TOOLS, Builder, go_version
from engine import run
from settings import DASHBOARD_TOKEN, LAB, ORG_ID, ROOT, RPC_API_KEY, LabError, digest, numbers

SERVICES = LAB / "services"
GATEWAY = LAB / "gateway"
COMPILER = LAB / "compiler"
PLUGINS = LAB / "plugins"

RELEASES = ROOT / "tools" / "tyk-releases.json"

# The first release whose compiler brings a C compiler for arm64.
CROSS_SINCE = (5, 0, 3)

SOURCE_SUFFIXES = (".go", ".mod", ".sum", ".sh")

# All that a program with a C library needs.
DISTROLESS = (
    "/lib64/ld-linux-x86-64.so.2",
    "/lib/x86_64-linux-gnu/libc.so.6",
    "/lib/x86_64-linux-gnu/libdl.so.2",
    "/lib/x86_64-linux-gnu/libpthread.so.0",
    "/lib/x86_64-linux-gnu/libresolv.so.2",
    "/etc/ssl/certs/ca-certificates.crt",
    "/etc/passwd",
    "/etc/group",
    "/etc/nsswitch.conf",
)

# The same for arm64, as the cross compiler brings it.
ARM64_LIBRARIES = ("ld-linux-aarch64.so.1", "libc.so.6", "libdl.so.2", "libpthread.so.0", "libresolv.so.2")


def sources(folder: Path) -> list[str]:
    """Names and contents of what goes into a Go build; tests and texts do not change the outcome."""
    files = [
        path
        for path in sorted(folder.rglob("*"))
        if path.is_file() and (path.suffix in SOURCE_SUFFIXES or path.stem == "Dockerfile")
    ]
    return [
        part
        for path in files
        if not path.name.endswith("_test.go")
        for part in (str(path.relative_to(folder)), digest(path))
    ]


def distroless(version: str) -> bool:
    """Whether the published image of a gateway has neither shell nor tools: since 5.3.6, 5.5.0 (but 5.5.1) and 5.6.0."""
    number = numbers(version)
    return (5, 3, 6) <= number < (5, 4, 0) or (number >= (5, 5, 0) and number != (5, 5, 1))


def pseudo_version(version: str) -> str:
    """By what version Go knows the sources of a release: its tag has no meaning to Go."""
    releases = json.loads(RELEASES.read_text())
    return next((str(one["pseudo_version"]) for one in releases if one["version"] == f"v{version}"), "")


def offer_module(sources: Path, version: str, proxy: Path) -> None:
    """Put the gateway's module tree into a module proxy's folder, for a plugin whose go.mod requires it."""
    folder = proxy / "github.com" / "!tyk!technologies" / "tyk" / "@v"
    folder.mkdir(parents=True, exist_ok=True)
    stamp = time.strptime(version.split("-")[1][-14:], "%Y%m%d%H%M%S")
    (folder / "list").touch()
    (folder / f"{version}.info").write_text(
        json.dumps({"Version": version, "Time": time.strftime("%Y-%m-%dT%H:%M:%SZ", stamp)})
    )
    (folder / f"{version}.mod").write_bytes((sources / "go.mod").read_bytes())
    with zipfile.ZipFile(folder / f"{version}.zip", "w", zipfile.ZIP_DEFLATED) as archive:
        for path in sorted(sources.rglob("*")):
            if path.is_file():
                name = f"github.com/TykTechnologies/tyk@{version}/{path.relative_to(sources)}"
                archive.writestr(zipfile.ZipInfo(name, date_time=(1980, 1, 1, 0, 0, 0)), path.read_bytes())


def read_file(container: Any, path: str) -> bytes:
    """A file of a container, running or not."""
    stream, dummy = container.get_archive(path)
    with tarfile.open(fileobj=io.BytesIO(b"".join(stream))) as archive:
        member = archive.extractfile(path.rpartition("/")[2])
        assert member is not None
        return member.read()


def _tail(container: Any) -> str:
    return "\n".join(container.logs(tail=25).decode(errors="replace").splitlines())


class StandIns:
    def __init__(self, builder: Builder) -> None:
        self.builder = builder

    # --- static programs -----------------------------------------------------------------------------------------

    def program(self, name: str, version: str = "") -> Path:
        """A static binary of tests/lab/services/cmd; ``version`` is what it claims to be."""
        ldflags = "-s -w" + (f" -X main.version=v{version}" if version else "")
        key = digest(name, ldflags, GO_TOOLS, *sources(SERVICES))

        def build(folder: Path) -> None:
            environment = {**self.builder.go_environment(GO_TOOLS), "CGO_ENABLED": "0"}
            command = [environment["GO"], "build", "-trimpath", f"-ldflags={ldflags}", "-o", str(folder / name)]
            run([*command, f"./cmd/{name}"], what=f"building {name}", env=environment, cwd=SERVICES)

        label = f"{name} {version}".strip()
        return self.builder.cached_build(f"program-{name}{version}", key, build, label, go=GO_TOOLS) / name

    def _program_image(self, name: str, path: str, ports: str) -> str:
        dockerfile = f'FROM scratch\nCOPY {name} {path}\nEXPOSE {ports}\nENTRYPOINT ["{path}"]\n'
        program = self.program(name)
        return self.builder.image(name, digest(program, dockerfile), dockerfile, lambda: {name: program})

    def control_plane(self) -> str:
        return self._program_image("controlplane", "/controlplane", "3000 3001 9090")

    def upstream(self) -> str:
        return self._program_image("upstream", "/upstream", "8000")

    @staticmethod
    def control_plane_environment() -> dict[str, str]:
        return {
            "LAB_CP_DATA": "/data",
            "LAB_CP_TOKEN": DASHBOARD_TOKEN,
            "LAB_CP_ORG": ORG_ID,
            "LAB_CP_RPC_API_KEY": RPC_API_KEY,
        }

    # --- Tyk's components ------------------------------------------------------------------------------------------

    def image(self, component: str, version: str) -> str:
        return {"gateway": self.gateway, "compiler": self.compiler, "pump": self.pump}[component](version)

    def pump(self, version: str) -> str:
        program = self.program("pump", version)
        dockerfile = (
            "FROM scratch\n"
            "WORKDIR /opt/tyk-pump\n"
            "COPY pump /opt/tyk-pump/tyk-pump\n"
            'LABEL org.opencontainers.image.title="stand-in for tyk-pump" '
            f'org.opencontainers.image.version="{version}"\n'
            "EXPOSE 8083\n"
            'ENTRYPOINT ["/opt/tyk-pump/tyk-pump", "--conf=/opt/tyk-pump/pump.conf"]\n'
        )
        return self.builder.image("pump", digest(program, dockerfile), dockerfile, lambda: {"pump": program})

    def gateway_binary(self, version: str) -> Path:
        """The compiler image carries the gateway built with the flags of its plugins, as the published one does."""
        compiler = self.compiler(version)
        key = digest(compiler)

        def copy(folder: Path) -> None:
            container = self.builder.client.containers.create(compiler)
            try:
                # Where the published compilers have none it lies aside, or nobody could have it.
                place = "/usr/local/bin" if numbers(version) >= (5, 2, 3) else "/usr/local/libexec/tyk-lab"
                (folder / "tyk").write_bytes(read_file(container, f"{place}/tyk"))
            finally:
                container.remove(force=True)
            (folder / "tyk").chmod(0o755)

        return self.builder.cached_build(f"gateway-{version}", key, copy, f"gateway {version}") / "tyk"

    def gateway(self, version: str) -> str:
        """The image is laid out like the published one: with a shell up to 5.3.5, without anything from 5.3.6 on."""
        base = self.builder.rootfs("base")
        binary = self.gateway_binary(version)
        title = "stand-in for tyk-gateway"
        labels = f'LABEL org.opencontainers.image.title="{title}" org.opencontainers.image.version="{version}"\n'
        common = (
            "WORKDIR /opt/tyk-gateway\n"
            "COPY tyk /opt/tyk-gateway/tyk\n"
            f"{labels}"
            "ENV PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin\n"
            "EXPOSE 8080\n"
            'ENTRYPOINT ["/opt/tyk-gateway/tyk"]\n'
            'CMD ["--conf=/opt/tyk-gateway/tyk.conf"]\n'
        )
        if not distroless(version):
            dockerfile = f"FROM {base}\nRUN mkdir -p /opt/tyk-gateway/middleware\n{common}"
        else:
            copies = "".join(f"COPY --from=base {path} {path}\n" for path in DISTROLESS)
            prepare = "RUN mkdir -p /empty/opt/tyk-gateway/middleware /empty/tmp && chmod 1777 /empty/tmp\n"
            dockerfile = f"FROM {base} AS base\n{prepare}FROM scratch\n{copies}COPY --from=base /empty/ /\n{common}"
        return self.builder.image("gateway", digest(binary, dockerfile), dockerfile, lambda: {"tyk": binary})

    def gateway_arm64(self, version: str) -> str:
        """The gateway for arm64 in an image that says so, with an emulator in it by which this machine runs it.

        It opens and loads the files that a gateway on such a machine does. None from before 5.0.3 can be built.
        """
        compiler, emulator = self.compiler_with_cross(version), self.builder.rootfs("emulator", variant="extract")
        flags = "-trimpath" if numbers(version) >= (5, 1, 0) else ""
        script = (
            ". /release.env && cd /go/src/github.com/TykTechnologies/tyk && export GOARCH=arm64 CGO_ENABLED=1 && "
            f"export CC=aarch64-linux-gnu-gcc{'' if flags else ' GO111MODULE=off'} && go build {flags} -tags=goplugin "
            '-ldflags "-X github.com/TykTechnologies/tyk/internal/build.Version=$VERSION" -o /tyk .'
        )

        def build(folder: Path) -> None:
            container = self.builder.client.containers.create(compiler, entrypoint=["/bin/sh", "-c", script])
            try:
                container.start()
                if container.wait(timeout=900)["StatusCode"] != 0:
                    raise LabError(f"{compiler} did not build a gateway for arm64:\n{_tail(container)}")
                for path in ("/tyk", *(f"/usr/aarch64-linux-gnu/lib/{name}" for name in ARM64_LIBRARIES)):
                    (folder / path.rpartition("/")[2]).write_bytes(read_file(container, path))
            finally:
                container.remove(force=True)
            container = self.builder.client.containers.create(emulator, command=["none"])
            try:
                (folder / "qemu").write_bytes(read_file(container, "/usr/bin/qemu-aarch64-static"))
            finally:
                container.remove(force=True)
            for path in folder.iterdir():
                path.chmod(0o755)

        key = digest(compiler, emulator, script)
        folder = self.builder.cached_build(f"gateway-arm64-{version}", key, build, f"gateway {version} for arm64")
        dockerfile = (
            "FROM scratch\n"
            f"COPY {' '.join(ARM64_LIBRARIES)} /lib/\n"
            "COPY qemu /usr/bin/qemu-aarch64\n"
            "WORKDIR /tmp\n"
            "WORKDIR /opt/tyk-gateway/middleware\n"
            "WORKDIR /opt/tyk-gateway\n"
            "COPY tyk /opt/tyk-gateway/tyk\n"
            'LABEL org.opencontainers.image.title="stand-in for tyk-gateway" '
            f'org.opencontainers.image.version="{version}"\n'
            "EXPOSE 8080\n"
            'ENTRYPOINT ["/usr/bin/qemu-aarch64", "/opt/tyk-gateway/tyk"]\n'
            'CMD ["--conf=/opt/tyk-gateway/tyk.conf"]\n'
        )
        names = ("qemu", "tyk", *ARM64_LIBRARIES)
        return self.builder.image(
            "gateway-arm64",
            digest(key, dockerfile),
            dockerfile,
            lambda: {name: folder / name for name in names},
            platform="linux/arm64",
        )

    def compiler(self, version: str, *, mismatch: bool = False) -> str:
        """A toolchain of the version's Go group around our own module tree; needs no network once built."""
        toolbox = self.builder.rootfs("toolbox")
        name, go, pseudo = "compiler-mismatch" if mismatch else "compiler", go_version(version), pseudo_version(version)
        key = digest(name, version, go, pseudo, toolbox, *sources(GATEWAY), *sources(COMPILER))

        def context(folder: Path) -> None:
            environment = self.builder.go_environment(go)
            command = [str(COMPILER / "context.sh"), version, environment["GOROOT"], str(folder)]
            run([*command, *(["--mismatch"] if mismatch else [])], what="preparing the compiler", env=environment)
            if pseudo:
                offer_module(folder / "tyk", pseudo, folder / "modules" / "download")

        return self.builder.image_from_context(name, key, context, {"BASE": toolbox}, go=go)

    def compiler_with_cross(self, version: str) -> str:
        """The compiler with the C compiler for arm64 that published ones have since 5.0.3; before, the compiler as it is.

        An image of its own, because a cold start of the lab needs no such program.
        """
        compiler = self.compiler(version)
        if numbers(version) < CROSS_SINCE:
            return compiler
        cross = self.builder.rootfs("cross-arm64", variant="extract")
        # The standard library as plugins of this version need it, like that of the compiler's own machine.
        mode = "-trimpath" if numbers(version) >= (5, 1, 0) else ""
        go = "go build" if mode else "GO111MODULE=off go build"
        dockerfile = (
            f"FROM {cross} AS cross\n"
            f"FROM {compiler}\n"
            "COPY --from=cross /usr/ /usr/\n"
            "COPY main.go go.mod /tmp/warm/\n"
            "RUN cd /tmp/warm && export GOARCH=arm64 CGO_ENABLED=1 CC=aarch64-linux-gnu-gcc && "
            f"{go} -buildmode=plugin {mode} -o /tmp/warm.so . && rm -rf /tmp/warm /tmp/warm.so\n"
        )
        warm = {name: COMPILER / "warm" / "std" / name for name in ("main.go", "go.mod")}
        return self.builder.image("compiler-cross", digest(dockerfile), dockerfile, lambda: dict(warm))

    def mismatch(self, version: str) -> str:
        """A compiler with the toolchain of that version and another version of a shared package."""
        return self.compiler(version, mismatch=True)

    # --- plugins -----------------------------------------------------------------------------------------------------

    def compile_plugin(self, image: str, version: str, name: str, output: str) -> bytes:
        """What the compiler makes of tests/lab/plugins/<name> without a build id, as a first deployment has it."""
        key = digest(PLUGINS / name, self.builder.client.images.get(image).id)

        def build(folder: Path) -> None:
            source, gopath = PLUGINS / name, numbers(version) < (5, 1, 0)
            (folder / output).write_bytes(self._run_compiler(image, source, f"{name}.so", output, gopath=gopath))

        label = f"{name} for {version}"
        return (self.builder.cached_build(f"plugin-{name}", key, build, label) / output).read_bytes()

    def _run_compiler(self, image: str, source: Path, argument: str, output: str, *, gopath: bool) -> bytes:
        buffer = io.BytesIO()
        # Up to 5.0 a go.mod that does not name the gateway's commit fails, and one is not needed.
        drop = "./go.mod" if gopath else ""
        with tarfile.open(fileobj=buffer, mode="w") as archive:
            archive.add(source, arcname=".", filter=lambda entry: None if entry.name == drop else entry)
        container = self.builder.client.containers.create(image, command=[argument])
        try:
            container.put_archive("/plugin-source", buffer.getvalue())
            container.start()
            code = container.wait(timeout=900)["StatusCode"]
            if code != 0:
                raise LabError(f"{image} did not compile {source.name} (exit code {code}):\n{_tail(container)}")
            return read_file(container, f"/plugin-source/{output}")
        finally:
            container.remove(force=True)
