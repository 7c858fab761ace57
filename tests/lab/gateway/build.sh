#!/bin/sh
# Copyright (c) 2026 tyk.upgrade contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
# build.sh VERSION GOROOT OUT: the stand-in gateway that claims VERSION, built with the toolchain in GOROOT.
# The flags are those of the plugin compiler (../compiler/build.sh); a plugin loads only where they agree.
set -eu
[ $# -eq 3 ] || { echo "usage: $0 VERSION GOROOT OUT" >&2; exit 2; }
version=$1 GOROOT=$(readlink -f "$2") out=$(readlink -m "$3")
export GOROOT GOTOOLCHAIN=local GOWORK=off GOFLAGS="" CGO_ENABLED=1
cd "$(dirname "$(readlink -f "$0")")"
mkdir -p "$(dirname "$out")"
exec "$GOROOT/bin/go" build -trimpath -buildvcs=false -tags=goplugin -o "$out" \
  -ldflags "-X github.com/TykTechnologies/tyk/internal/build.Version=$version" .
