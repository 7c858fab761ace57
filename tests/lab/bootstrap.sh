#!/usr/bin/env bash
# Prints the folder of a Python environment that holds requirements-dev.txt; builds it first when it is missing.
# It lies outside the checkout and is named after its content, so a fresh clone on the same machine finds it.
set -euo pipefail
root=$(cd "$(dirname "$0")/../.." && pwd)
cache=${XDG_CACHE_HOME:-${HOME:-/root}/.cache}/tyk-upgrade

say() { echo "bootstrap: $*" >&2; }

suitable() { "$1" -c 'import sys; sys.exit(sys.version_info < (3, 11))' 2>/dev/null; }

# The distribution's own Python first: ansible-test wants a real interpreter, not a version manager's shim.
find_python() {
  local candidate
  for candidate in /usr/bin/python3 /usr/local/bin/python3 python3.13 python3.12 python3.11 python3; do
    if command -v "$candidate" >/dev/null && suitable "$candidate" && "$candidate" -c 'import venv, ensurepip' 2>/dev/null; then
      command -v "$candidate"
      return 0
    fi
  done
  return 1
}

if ! python=$(find_python); then
  command -v apt-get >/dev/null || { say "Python 3.11 or newer with the venv module is needed; install it and run this again."; exit 1; }
  say "installing python3 and python3-venv"
  apt-get update -q >&2
  DEBIAN_FRONTEND=noninteractive apt-get install -y -q --no-install-recommends python3 python3-venv >&2
  python=$(find_python) || { say "no Python 3.11 or newer found even after installing python3 and python3-venv."; exit 1; }
fi

key=$({ cat "$root/requirements-dev.txt"; "$python" -c 'import sys; print(sys.version, sys.executable)'; } | sha256sum | cut -c1-12)
venv=$cache/venv-$key
if [ ! -e "$venv/.complete" ]; then
  mkdir -p "$cache"
  exec 9>"$cache/venv.lock"
  flock 9
  if [ ! -e "$venv/.complete" ]; then
    say "building $venv (about a minute)"
    rm -rf "$venv"
    "$python" -m venv "$venv"
    "$venv/bin/python" -m pip install --quiet --disable-pip-version-check -r "$root/requirements-dev.txt" >&2
    touch "$venv/.complete"
  fi
fi
echo "$venv"
