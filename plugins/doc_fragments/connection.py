# Copyright (c) 2026 tyk.upgrade contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Options of modules that speak HTTP."""

from __future__ import annotations


class ModuleDocFragment:
    """Time limits and TLS for all HTTP modules; DASHBOARD adds how to reach the Dashboard API."""

    DOCUMENTATION = r"""
options:
  timeout:
    description:
      - Seconds to wait for one answer, applied to connecting and to each read.
    type: float
    default: 5
  validate_certs:
    description:
      - Whether TLS certificates are verified.
      - Set to V(false) only against systems whose certificate you cannot verify and whose network you trust.
    type: bool
    default: true
  ca_path:
    description:
      - A file with CA certificates in PEM format that are trusted instead of the system's.
    type: path
requirements:
  - "requests >= 2.22"
notes:
  - Proxies are taken from the usual environment variables (E(HTTP_PROXY), E(HTTPS_PROXY), E(NO_PROXY)).
  - Addresses are printed without user, password and query; a secret never reaches the output.
"""

    DASHBOARD = r"""
options:
  dashboard_url:
    description:
      - Base address of the Tyk Dashboard, without C(/api).
    type: str
    required: true
  dashboard_token:
    description:
      - The Dashboard API access credentials of a user who may read (and, for changes, write) API definitions.
      - Sent as it is in the C(Authorization) header.
      - If not set, the value of the environment variable E(TYK_DASHBOARD_TOKEN) is used.
    type: str
    required: true
  workers:
    description:
      - How many requests run at the same time.
    type: int
    default: 8
"""
