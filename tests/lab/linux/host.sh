#!/bin/sh
# Copyright (c) 2026 tyk.upgrade contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
#
# Makes an image into a Linux host as its owner has it: host.sh deb|rpm <package> <version> <unit>.
set -eu
kind=$1 package=$2 version=$3 unit=$4

useradd --create-home --shell /bin/bash ops
install -d -m 700 -o ops -g ops /home/ops/.ssh
echo 'ops ALL=(ALL) NOPASSWD: ALL' >/etc/sudoers.d/ops
chmod 440 /etc/sudoers.d/ops
rm -f /etc/ssh/ssh_host_*
chmod 755 /usr/sbin/repository /usr/sbin/host-state

if [ "$kind" = deb ]; then
    # Nothing but Tyk's repository: what the host is made of does not change while the lab runs.
    rm -rf /etc/apt/sources.list /etc/apt/sources.list.d/*
    repository stable file:///srv/packages
    apt-get update
    apt-get install -y "$package=$version"
else
    # A Debian userland with rpm's own tools and no word of Debian's left.
    rm -f /usr/bin/apt /usr/bin/apt-* /usr/bin/dpkg* /etc/debian_version /etc/os-release /usr/lib/os-release
    printf 'NAME="Lab RPM Host"\nID=labrpm\nID_LIKE="rhel fedora"\nVERSION_ID="9.0"\n' >/etc/os-release
    mkdir -p /etc/yum.repos.d /etc/dnf/vars
    echo 9 >/etc/dnf/vars/releasever
    printf '[main]\ngpgcheck=1\nbest=True\nskip_if_unavailable=False\nclean_requirements_on_remove=True\n' >/etc/dnf/dnf.conf
    rm -f /etc/dnf/plugins/local.conf /usr/lib/python3/dist-packages/dnf-plugins/local.py \
        /usr/lib/python3/dist-packages/dnf-plugins/show_leaves.py
    rpm -i /srv/packages/lab-base.rpm
    repository stable file:///srv/packages
    dnf -y install "$package-$version"
fi
repository stable http://packages
rm -rf /srv/packages /var/lib/apt/lists/* /var/cache/apt/archives/*.deb /var/cache/dnf/*
# Whoever starts the host places its configuration first.
systemctl disable "$unit" ssh
