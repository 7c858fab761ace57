#!/usr/bin/env bash
# Copyright (c) 2026 tyk.upgrade contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
#
# Makes the packages and the signed repositories that /src/list names, below /srv/packages. Runs in an image with
# Debian's packaging tools. A line of the list: repository, package, component, version, how it is broken (- for not).
set -euo pipefail
cd /src
out=/srv/packages
arch=$(dpkg --print-architecture)
export GNUPGHOME=/build/gnupg
mkdir -p "$GNUPGHOME" /build/deb /build/rpm "$out"
chmod 700 "$GNUPGHOME"

log() { printf '%s\n' "$*"; }

# --- keys ----------------------------------------------------------------------------------------------------------

for key in packages stranger; do
    gpg --batch --quiet --passphrase '' --quick-gen-key "$key@lab.invalid" rsa3072 sign never
done
gpg --batch --armor --export packages@lab.invalid >"$out/key.asc"
gpg --batch --export packages@lab.invalid >"$out/key.gpg"

key_of() { case $1 in untrusted) echo stranger@lab.invalid ;; *) echo packages@lab.invalid ;; esac; }

# --- packages ------------------------------------------------------------------------------------------------------

# What a package of Tyk's puts on a host.
tree() { # folder component version broken
    local root=$1 component=$2 version=$3 broken=$4 home program conf unit
    . "./$component/names"
    mkdir -p "$root$home/install" "$root/lib/systemd/system"
    install -m 755 "bin/$component-$version" "$root$home/$program"
    install -m 644 "$component/$version.conf" "$root$home/$conf"
    install -m 644 "$component/$unit.service" "$root/lib/systemd/system/$unit.service"
    if [ "$broken" = crashing ]; then
        # Starts well and looks healthy; the init system ends it after four seconds, again and again.
        sed -i 's/^Restart=always$/&\nRuntimeMaxSec=4/' "$root/lib/systemd/system/$unit.service"
    fi
    cp "$root/lib/systemd/system/$unit.service" "$root$home/install/"
    if [ "$component" = gateway ]; then
        mkdir -p "$root$home"/{apps,policies,templates,middleware,event_handlers,coprocess}
        printf '{"error": "{{.Message}}", "release": "%s"}\n' "$version" >"$root$home/templates/error.json"
        ln -s tyk-gateway "$root/opt/tyk"
    fi
}

scripts() { # folder component broken
    local name
    mkdir -p "$1"
    for name in pre post postremove posttrans; do
        { printf '#!/bin/sh\n'; cat "$2/names" "scripts/$name"; } >"$1/$name"
        chmod 755 "$1/$name"
    done
    if [ "$3" = failing ]; then
        printf 'echo "%s" >&2\nexit 1\n' "this package's script fails on purpose" >>"$1/post"
    fi
}

deb() { # package component version tree scripts file
    local root=$4 home conf unit program
    . "./$2/names"
    mkdir "$root/DEBIAN"
    cat >"$root/DEBIAN/control" <<CONTROL
Package: $1
Version: $3
Architecture: $arch
Maintainer: Lab <lab@lab.invalid>
Installed-Size: $(du -sk "$root" | cut -f1)
Section: default
Priority: extra
Description: stand-in for the package $1
CONTROL
    echo "$home/$conf" >"$root/DEBIAN/conffiles"
    cp "$5/pre" "$root/DEBIAN/preinst"
    cp "$5/post" "$root/DEBIAN/postinst"
    cp "$5/postremove" "$root/DEBIAN/postrm"
    dpkg-deb --root-owner-group -Zgzip -z1 -b "$root" "$6" >/dev/null
    rm -r "$root/DEBIAN"
}

rpm_file() { # package component version tree scripts file
    local root=$4 home conf unit program spec=/build/package.spec top=/build/top
    . "./$2/names"
    {
        cat <<SPEC
Name: $1
Version: $3
Release: 1
Summary: stand-in for the package $1
License: GPL-3.0-or-later
AutoReqProv: no
%global debug_package %{nil}
%global __os_install_post %{nil}
%global _build_id_links none
%global _binary_payload w1.gzdio
%description
Stand-in for the package $1.
%install
cp -a $root/. %{buildroot}/
%pre
$(tail -n +2 "$5/pre")
%post
$(tail -n +2 "$5/post")
%postun
$(tail -n +2 "$5/postremove")
%posttrans
$(tail -n +2 "$5/posttrans")
%files
%defattr(-,root,root)
%config(noreplace) $home/$conf
SPEC
        (cd "$root" && find ".$home" -type d -printf '%%dir /%P\n' | sed "s#^%dir /#%dir $home/#; s#/\$##")
        (cd "$root" && find . ! -type d ! -path ".$home/$conf" | sed 's/^\.//')
    } >"$spec"
    rpmbuild --quiet --define "_topdir $top" -bb "$spec"
    mv "$top"/RPMS/*/*.rpm "$6"
}

base_rpm() {
    cat >/build/base.spec <<'SPEC'
Name: lab-base
Version: 1
Release: 1
Summary: what the lab's hosts have that no rpm brought there
License: GPL-3.0-or-later
BuildArch: noarch
Provides: /bin/sh
Provides: /usr/bin/sh
%description
The scripts of an rpm want a shell that the rpm database knows of.
%files
SPEC
    rpmbuild --quiet --define "_topdir /build/base" -bb /build/base.spec
    mv /build/base/RPMS/noarch/*.rpm "$out/lab-base.rpm"
}

made() { # package component version broken: makes the two files once
    local work=/build/work
    [ -e "/build/deb/$1-$3-$4" ] && return
    log "$1 $3 ($4)"
    rm -rf "$work"
    tree "$work/tree" "$2" "$3" "$4"
    scripts "$work/scripts" "$2" "$4"
    deb "$1" "$2" "$3" "$work/tree" "$work/scripts" "/build/deb/$1-$3-$4"
    rpm_file "$1" "$2" "$3" "$work/tree" "$work/scripts" "/build/rpm/$1-$3-$4"
}

# --- repositories --------------------------------------------------------------------------------------------------

apt_repository() { # folder key
    cd "$1"
    local suite=dists/stable
    mkdir -p "$suite/main/binary-$arch"
    apt-ftparchive packages pool >"$suite/main/binary-$arch/Packages"
    gzip -k "$suite/main/binary-$arch/Packages"
    # Made beside the folder: it would list itself.
    apt-ftparchive -o APT::FTPArchive::Release::Origin=Tyk-lab -o APT::FTPArchive::Release::Suite=stable \
        -o APT::FTPArchive::Release::Codename=stable -o APT::FTPArchive::Release::Components=main \
        -o "APT::FTPArchive::Release::Architectures=$arch" release "$suite" >/build/Release
    mv /build/Release "$suite/Release"
    gpg --batch --local-user "$2" --clearsign -o "$suite/InRelease" "$suite/Release"
    cd /src
}

rpm_repository() { # folder key
    rpmsign --define "_gpg_name $2" --define '__gpg /usr/bin/gpg' --addsign "$1"/*.rpm >/dev/null
    createrepo_c --quiet "$1"
    gpg --batch --local-user "$2" --armor --detach-sign "$1/repodata/repomd.xml"
}

base_rpm
while read -r repository package component version broken; do
    made "$package" "$component" "$version" "$broken"
    mkdir -p "$out/$repository/apt/pool" "$out/$repository/rpm"
    cp "/build/deb/$package-$version-$broken" "$out/$repository/apt/pool/${package}_${version}_$arch.deb"
    cp "/build/rpm/$package-$version-$broken" "$out/$repository/rpm/$package-$version-1.$(uname -m).rpm"
done <list
for folder in "$out"/*/; do
    name=$(basename "$folder")
    log "repositories $name"
    apt_repository "$folder/apt" "$(key_of "$name")"
    rpm_repository "$folder/rpm" "$(key_of "$name")"
done
gpgconf --kill all
