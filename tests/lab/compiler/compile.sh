#!/bin/sh
# Copyright (c) 2026 tyk.upgrade contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
# Entry point of the image: build.sh with what is peculiar to its version in the environment.
tag=${GITHUB_TAG:-}
set -a
. /release.env
GITHUB_TAG=${tag:-$GITHUB_TAG}
set +a
exec /bin/sh /build.sh "$@"
