#!/bin/sh
# Copyright (c) 2026 tyk.upgrade contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
# context.sh VERSION GOROOT OUTDIR [--mismatch]: the build context of the stand-in plugin compiler for VERSION.
# With --mismatch its module tree has another version of a package that the gateway shares with plugins, and no
# gateway is built. Modules are fetched here, with GOPROXY as it is set; the image then needs no network.
set -eu
usage() { echo "usage: $0 VERSION GOROOT OUTDIR [--mismatch]" >&2; exit 2; }
[ $# -eq 3 ] || { [ $# -eq 4 ] && [ "$4" = --mismatch ]; } || usage
version=$1 out=$(readlink -m "$3") other_logrus=v1.9.0
GOROOT=$(readlink -f "$2")
here=$(dirname "$(readlink -f "$0")")
export GOROOT GOTOOLCHAIN=local GOWORK=off GOFLAGS=-modcacherw
go=$GOROOT/bin/go

rm -rf "$out"
mkdir -p "$out/goroot" "$out/modules"
# Neither tests nor documents of the toolchain are needed to build.
tar -C "$GOROOT" -c --exclude=testdata --exclude='*_test.go' --exclude=__pycache__ --exclude=./api --exclude=./test --exclude=./doc . |
  tar -C "$out/goroot" -x
tar -C "$here/../gateway" -c --exclude=build.sh --exclude=README.md --exclude='*_test.go' . | tar -C "$out" --one-top-level=tyk -x
if [ $# -eq 4 ]; then
  (cd "$out/tyk" && "$go" mod edit -require="github.com/sirupsen/logrus@$other_logrus" && "$go" mod tidy)
fi
# A cache of its own, filled from the usual one where that has the modules already.
usual=$("$go" env GOMODCACHE)/cache/download
proxy=$("$go" env GOPROXY)
[ -d "$usual" ] && proxy="file://$usual,$proxy"
(cd "$out/tyk" && GOMODCACHE="$out/fetched" GOPROXY="$proxy" GONOSUMDB='*' "$go" mod download)
mv "$out/fetched/cache/download" "$out/modules/download"
rm -rf "$out/fetched" "$out/modules/download/sumdb"
cp "$here/Dockerfile" "$here/build.sh" "$out/"
cp -r "$here/warm" "$out/warm"
gateway=yes
[ $# -eq 3 ] || gateway=no
printf 'GITHUB_TAG=v%s\nVERSION=%s\nGATEWAY=%s\n' "$version" "$version" "$gateway" >"$out/release.env"
