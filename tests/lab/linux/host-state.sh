#!/bin/sh
# Prints what an upgrade, or a test, may change on this host: host-state <unit> <config file>.
unit=$1 config=$2
if [ -d /etc/yum.repos.d ]; then
    rpm -qa --qf '%{NAME} %{VERSION}-%{RELEASE}\n' 'tyk-*'
    cat /etc/dnf/plugins/versionlock.list 2>/dev/null
else
    dpkg-query -W -f '${Package} ${Version} ${db:Status-Abbrev}\n' 'tyk-*'
fi
systemctl show "$unit" -p ActiveState -p UnitFileState -p LoadState -p DropInPaths
find "$config" "$config".* /etc/default/"$unit" /etc/sysconfig/"$unit" /etc/apt/sources.list.d /etc/apt/preferences.d \
    /etc/yum.repos.d "/etc/systemd/system/$unit.service.d" "/lib/systemd/system/$unit.service" \
    -type f -exec sha256sum {} + 2>/dev/null | sort -k 2
