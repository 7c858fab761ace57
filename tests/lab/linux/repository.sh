#!/bin/sh
# Points this host's package manager at a repository: repository <name> [<base URL>].
set -eu
name=$1 base=${2:-http://packages}
if [ -d /etc/yum.repos.d ]; then
    cat >/etc/yum.repos.d/tyk.repo <<REPO
[tyk]
name=Tyk
baseurl=$base/$name/rpm
enabled=1
gpgcheck=1
repo_gpgcheck=1
gpgkey=file:///usr/share/keyrings/tyk.asc
REPO
else
    echo "deb [signed-by=/usr/share/keyrings/tyk.gpg] $base/$name/apt stable main" >/etc/apt/sources.list.d/tyk.list
fi
