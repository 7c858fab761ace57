#!/bin/sh
# Copyright (c) 2026 tyk.upgrade contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
# The stand-in plugin compiler of 4.0 to 5.0: build.sh PLUGIN_NAME [PLUGIN_ID] [GOOS] [GOARCH]
# Same contract as the compilers of those versions: GOPATH, no -trimpath, what the plugin requires is vendored first and
# the gateway's own dependencies win. Up to 4.0 the output is called PLUGIN_NAME and there is no third argument.
# A container is good for one build: the gateway's vendored packages are moved away.
set -e

[ -n "${1:-}" ] || { printf 'To build a plugin:\n      %s <plugin_name> <plugin_id>\n\n<plugin_id> is optional\n' "$0"; exit 1; }
output=$1
build=$BUILDS_IN/plugin_${1%.*}${2:-}
source=/plugin-source
if [ "$NAMES" = tagged ]; then
  GOOS=${3:-$(go env GOOS)} GOARCH=${4:-$(go env GOARCH)}
  export GOOS GOARCH
  output=${1%.*}_v$(echo "$GITHUB_TAG" | grep -oE '[0-9]+\.[0-9]+\.[0-9]+')_${GOOS}_${GOARCH}.so
fi
if [ "$VENDORING" = lenient ]; then
  source=${PLUGIN_SOURCE_PATH:-$source} build=${PLUGIN_BUILD_PATH:-$build}
  if [ "$GOARCH" = arm64 ]; then export CC=aarch64-linux-gnu-gcc; fi
  echo "PLUGIN_BUILD_PATH: $build"
fi

set -x
mkdir -p "$build"
cp -r "$source"/* "$build" || true  # as a shell glob: no dot files
cd "$build"
if [ -f go.mod ] && [ ! -d vendor ]; then
  # With Go 1.15 and 1.16 vendoring finds out by itself what go.mod and go.sum lack.
  { GO111MODULE=on GOFLAGS="$GOFLAGS -mod=mod" go list -deps . >/dev/null && GO111MODULE=on go mod vendor; } || [ "$VENDORING" = lenient ]
fi
rm -f go.mod

tyk=/go/src/github.com/TykTechnologies/tyk
rm -rf vendor/github.com/TykTechnologies/tyk
if [ -d vendor ]; then
  cp -rf vendor/* /go/src
  rm -rf vendor
fi
# What the gateway depends on takes the place of what the plugin brought of it, as whole folders.
(cd "$tyk/vendor" && find . -mindepth 2 -maxdepth 2 -type d -not -path './github.com/*' && ls -d github.com/*/*) | (cd /go/src && xargs rm -rf)
cp -rf "$tyk"/vendor/* /go/src
rm -rf "$tyk/vendor"
rm /go/src/modules.txt

GO111MODULE=off go build -buildmode=plugin -o "$output"
mv "$output" "$source"
