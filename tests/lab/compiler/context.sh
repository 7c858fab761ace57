#!/bin/sh
# Copyright (c) 2026 tyk.upgrade contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
# context.sh VERSION GOROOT OUTDIR [--mismatch]: the build context of the stand-in plugin compiler for VERSION, which
# works as the published one of that version does: in GOPATH up to 5.0, in a Go workspace since 5.1.
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
# Neither tests nor documents of the toolchain are needed to build, nor what Debian compiled beforehand for other modes.
tar -C "$GOROOT" -c --exclude=testdata --exclude='*_test.go' --exclude=__pycache__ --exclude=./api --exclude=./test --exclude=./doc \
  --exclude=./misc --exclude='./pkg/linux_*' . |
  tar -C "$out/goroot" -x
tar -C "$here/../gateway" -c --exclude=README.md --exclude='*_test.go' . | tar -C "$out" --one-top-level=tyk -x
case $("$go" env GOVERSION) in
  go1.19*) (cd "$out/tyk" && "$go" mod edit -go=1.19) ;;  # it refuses to tidy what says that it is for a later one
esac
# Releases differ in the packages that plugins import; so that a plugin of one never loads in another, these do as well.
cat >"$out/tyk/apidef/release.go" <<GO
package apidef

// Release that these packages belong to.
const Release = "$version"
GO
if [ $# -eq 4 ]; then
  (cd "$out/tyk" && "$go" mod edit -require="github.com/sirupsen/logrus@$other_logrus" && "$go" mod tidy)
fi
since() { [ "$(printf '%s\n' "$1" "$version" | sort -V | head -n 1)" = "$1" ]; }
# A cache of its own, filled from the usual one where that has the modules already.
usual=$("$go" env GOMODCACHE)/cache/download
proxy=$("$go" env GOPROXY)
[ -d "$usual" ] && proxy="file://$usual,$proxy"
export GOMODCACHE="$out/fetched" GOPROXY="$proxy" GONOSUMDB='*'
(cd "$out/tyk" && "$go" mod download)
if ! since 5.1.0; then  # plugins of that time have a go.mod for which Go reads those of all modules, far ones as well
  cp -r "$out/tyk" "$out/all" && (cd "$out/all" && "$go" mod edit -go=1.15 && "$go" list -mod=mod -m all >/dev/null) && rm -rf "$out/all"
fi
mv "$out/fetched/cache/download" "$out/modules/download"
rm -rf "$out/fetched" "$out/modules/download/sumdb"
era=gopath renames=no names=tagged builds_in=/go/src vendoring=strict tyk=/usr/local/libexec/tyk-lab/tyk gateway=yes
if since 5.1.0; then era=workspace; fi
if since 5.2.4; then renames=yes; fi          # the build id becomes the module's path; before, it has no effect
if ! since 4.1.0; then names=exact; fi        # the output is called as the first argument says
if since 5.0.3; then builds_in=/go/src/github.com/TykTechnologies vendoring=lenient; fi
if since 5.2.3; then tyk=/usr/local/bin/tyk; fi  # published compilers carry a gateway since then
if [ $# -eq 4 ]; then gateway=no; fi
cp "$here/Dockerfile.$era" "$out/Dockerfile"
cp "$here/build-$era.sh" "$out/build.sh"
cp "$here/compile.sh" "$out/"
cp -r "$here/warm" "$out/warm"
cat >"$out/release.env" <<ENV
GITHUB_TAG=v$version
VERSION=$version
GATEWAY=$gateway
TYK=$tyk
RENAMES=$renames
NAMES=$names
BUILDS_IN=$builds_in
VENDORING=$vendoring
ENV
