# Copyright (c) 2026 tyk.upgrade contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Options of the modules that work with a Linux host's packages."""

from __future__ import annotations


class ModuleDocFragment:
    """Which package, and what belongs to it."""

    DOCUMENTATION = r"""
options:
  name:
    description:
      - Name of the package, with its edition, for example V(tyk-gateway), V(tyk-gateway-ee) or V(tyk-pump).
    type: str
    required: true
  unit:
    description:
      - Name of its systemd service. If not set, O(name) is taken.
    type: str
  config_file:
    description:
      - Its configuration file.
    type: path
  binary:
    description:
      - Its program, as the package installs it, for example V(/opt/tyk-gateway/tyk).
    type: path
  file:
    description:
      - A C(.deb) or C(.rpm) on the host that holds the wanted version; the repositories are not asked for it then.
    type: path
  checksum:
    description:
      - The checksum of O(file), written as C(sha256:<digits>).
    type: str
  return_file:
    description:
      - The C(.deb) or C(.rpm) on the host of the version that is installed now, needed for the way back where no
        repository has that version any more.
    type: path
  release_hold:
    description:
      - Whether a hold, a version lock or an exclusion of the package may be lifted for the upgrade. It is put back.
    type: bool
    default: false
  lock_timeout:
    description:
      - Seconds to wait for another program that works with the package manager.
    type: float
    default: 60
  middleware_path:
    description:
      - The gateway's C(middleware_path), which it must be able to write to.
    type: path
  needed_bytes:
    description:
      - Free space that is going to be needed besides what the package's own size says.
    type: int
    default: 0
  manager:
    description:
      - The package manager as C(ansible_facts.pkg_mgr) names it. V(auto) looks which one the host has.
      - V(apt), V(dnf) and V(dnf5) are supported, and V(yum) where that is another name of dnf.
    type: str
    default: auto
  version_arguments:
    description:
      - How the program is asked for its version, where a running process does not run the program that is installed.
    type: list
    elements: str
    default: [--version]
requirements:
  - "systemd"
  - "apt-get, apt-cache, apt-mark and dpkg, or dnf (4 or 5) and rpm; their Python libraries are not needed"
notes:
  - Must run as root on the host that has the package.
"""
