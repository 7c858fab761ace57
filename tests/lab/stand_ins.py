# Copyright (c) 2026 tyk.upgrade contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Images of the programs that answer in the place of Tyk's own where those cannot be had."""

from __future__ import annotations

import io
import tarfile
from pathlib import Path

from builder import GO, GO_TOOLS, Builder
from engine import run
from settings import DASHBOARD_TOKEN, LAB, ORG_ID, RPC_API_KEY, LabError, digest

SERVICES = LAB / "services"
GATEWAY = LAB / "gateway"
COMPILER = LAB / "compiler"
PLUGINS = LAB / "plugins"


def sources(folder: Path) -> list[str]:
    """Names and contents of what goes into a Go build; tests and texts do not change the outcome."""
    files = [
        path for path in sorted(folder.rglob("*")) if path.is_file() and path.suffix in (".go", ".mod", ".sum", ".sh")
    ]
    return [
        part
        for path in files
        if not path.name.endswith("_test.go")
        for part in (str(path.relative_to(folder)), digest(path))
    ]


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
        return self.builder.cached_build(f"program-{name}{version}", key, build, label) / name

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

    def gateway(self, version: str) -> str:
        raise LabError(f"no stand-in for the gateway {version} yet ({GO[version]})")

    def compiler(self, version: str) -> str:
        raise LabError(f"no stand-in for the compiler {version} yet")

    def mismatch(self) -> str:
        raise LabError("no mismatching compiler yet")

    # --- plugins -----------------------------------------------------------------------------------------------------

    def compile_plugin(self, image: str, version: str, name: str) -> bytes:
        """What the compiler makes of tests/lab/plugins/<name> without a build id, as a first deployment has it."""
        key = digest(PLUGINS / name, self.builder.client.images.get(image).id)
        output = f"{name}_v{version}_linux_amd64.so"

        def build(folder: Path) -> None:
            (folder / output).write_bytes(self._run_compiler(image, PLUGINS / name, f"{name}.so", output))

        label = f"{name} for {version}"
        return (self.builder.cached_build(f"plugin-{name}", key, build, label) / output).read_bytes()

    def _run_compiler(self, image: str, source: Path, argument: str, output: str) -> bytes:
        buffer = io.BytesIO()
        with tarfile.open(fileobj=buffer, mode="w") as archive:
            archive.add(source, arcname=".")
        container = self.builder.client.containers.create(image, command=[argument])
        try:
            container.put_archive("/plugin-source", buffer.getvalue())
            container.start()
            code = container.wait(timeout=900)["StatusCode"]
            if code != 0:
                tail = "\n".join(container.logs(tail=25).decode(errors="replace").splitlines())
                raise LabError(f"{image} did not compile {source.name} (exit code {code}):\n{tail}")
            stream, dummy = container.get_archive(f"/plugin-source/{output}")
            with tarfile.open(fileobj=io.BytesIO(b"".join(stream))) as archive:
                member = archive.extractfile(output)
                assert member is not None
                return member.read()
        finally:
            container.remove(force=True)
