#!/bin/sh
# Copyright (c) 2026 tyk.upgrade contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
# The stand-in plugin compiler of 5.1 and later: build.sh PLUGIN_NAME [PLUGIN_ID] [GOOS] [GOARCH]
# Same contract as the compilers of those versions: Go workspace, -trimpath, <stem>_<tag>_<os>_<arch>.so. Up to 5.2.3 a
# go.mod must be there and the id changes nothing but the folder; from 5.2.4 on (RENAMES) it becomes the module's path.
# Every failure has status 1, and an older .so of that name stays where it was.
set -u
fail() { exit 1; }
[ "${DEBUG:-0}" = 1 ] && set -x

[ $# -ge 1 ] || { echo "Usage: build.sh <plugin_name> [plugin_id] [GOOS] [GOARCH]" >&2; exit 1; }
name=$1 id=${2:-} stem=${1%.*}
GOOS=${3:-${GOOS:-$(go env GOOS)}} GOARCH=${4:-${GOARCH:-$(go env GOARCH)}}
export GOOS GOARCH CGO_ENABLED=1
if [ "$GOARCH" = arm64 ] && [ "$(go env GOHOSTARCH)" != arm64 ]; then
  export CC="${CC:-aarch64-linux-gnu-gcc}"
fi

workspace=/go/src/github.com/TykTechnologies
source=${PLUGIN_SOURCE_PATH:-/plugin-source}
build=${PLUGIN_BUILD_PATH:-$workspace/plugin_$stem$id}
tag=$(echo "$GITHUB_TAG" | grep -oE '[0-9]+\.[0-9]+\.[0-9]+')
output=${stem}_v${tag}_${GOOS}_${GOARCH}.so
echo "PLUGIN_BUILD_PATH: $build"

mkdir -p "$build" || fail
cp -r "$source"/* "$build" || fail  # as a shell glob: no dot files
cd "$build" || fail

module=tyk.internal/tyk_plugin$id
if [ "$RENAMES" = no ]; then
  :
elif [ ! -f go.mod ]; then
  echo "INFO: Creating go.mod"
  go mod init "$module" || fail
elif [ -n "$id" ]; then
  old=$(sed -n 's/^module[[:space:]]*//p' go.mod | head -n 1 | tr -d '"')
  go mod edit -module "$module" || fail
  # Every string that begins with the old name, whether it is an import or not.
  find . -name '*.go' -exec sed -i "s,\"$old,\"$module,g" {} +
else
  echo "WARN: No plugin id given: another build of this plugin cannot be loaded beside this one"
fi

cd "$workspace" || fail
go work init ./tyk || fail
go work use "./$(basename "$build")" || fail
cd "$build" || fail
if [ "${GO_GET:-0}" = 1 ]; then echo "INFO: GO_GET is served by the workspace"; fi
if [ "${GO_TIDY:-0}" = 1 ]; then GOWORK=off go mod tidy || fail; fi

mkdir -p /tmp/aside
find . -maxdepth 1 -name '*.so' -exec mv {} /tmp/aside/ \;
go build -buildmode=plugin -trimpath ${BUILD_TAG:+-tags="$BUILD_TAG"} -o "$name" . || fail
mv -- *.so "$source/$output" || fail
find /tmp/aside -name '*.so' ! -name "$output" -exec mv {} "$source/" \;
exit 0
