# Copyright (c) 2026 tyk.upgrade contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Options of modules that talk to a Docker engine."""

from __future__ import annotations


class ModuleDocFragment:
    """How the engine is reached; the same for every engine module."""

    DOCUMENTATION = r"""
options:
  docker_host:
    description:
      - Address of the Docker engine, for example V(unix:///var/run/docker.sock) or V(tcp://build.example.com:2376).
      - If not set, the environment variables E(DOCKER_HOST), E(DOCKER_TLS_VERIFY) and E(DOCKER_CERT_PATH) of the host
        that runs the module decide, and without them the local socket is used.
    type: str
  engine_timeout:
    description:
      - Seconds to wait for one answer of the engine. Pulling, stopping, building and copying have limits of their own.
    type: int
    default: 60
requirements:
  - "docker >= 5.0.0 (the Docker SDK for Python)"
  - "requests"
  - "Docker Engine 20.10 or later"
notes:
  - Images are pulled with the credentials that C(docker login) stored for the user who runs the module.
"""
