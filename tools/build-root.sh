#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
# build-root.sh LINK: makes the Debian 12 root file system of the test disk, once per recipe, and points LINK at the cache entry:
#   root.ext4 (never written again), vmlinuz, initrd.img, shimx64.efi, grubx64.efi, kernel (its version).
. "$(dirname "$0")/common.sh"
tools=$(cd "$(dirname "$0")" && pwd)
root_mib=1024
root_uuid=5b0f6a1e-31c7-4a0e-9d52-6f5d3c1f7a01
packages=linux-image-amd64,systemd-sysv,udev,dbus,kmod,login,passwd,util-linux,mount,e2fsprogs,procps,initramfs-tools,fio,nvme-cli,kexec-tools
packages+=,cryptsetup-bin,shim-signed,grub-efi-amd64-signed
# The kernel and its modules are stock; drivers for hardware that no test has are left out for size.
excluded=(/usr/share/man /usr/share/locale /usr/share/doc /usr/share/info "/lib/modules/*/kernel/sound" "/lib/modules/*/kernel/drivers/media"
    "/lib/modules/*/kernel/drivers/gpu" "/lib/modules/*/kernel/drivers/net/wireless" "/lib/modules/*/kernel/drivers/net/ethernet"
    "/lib/modules/*/kernel/drivers/infiniband" "/lib/modules/*/kernel/drivers/staging" "/lib/modules/*/kernel/drivers/iio"
    "/lib/modules/*/kernel/drivers/isdn")

# Runs with root rights in the folder $1: everything that needs them.
build_tree() {
    cd "$1"
    rm -rf root
    local excludes=() path
    for path in "${excluded[@]}"; do
        excludes+=(--dpkgopt="path-exclude=$path/*")
    done
    mmdebstrap --variant=minbase --mode=root --include="$packages" --aptopt='APT::Install-Recommends "false"' "${excludes[@]}" \
        --customize-hook="$tools/customize-root.sh"' "$1"' "$(. /etc/os-release && echo "$VERSION_CODENAME")" root "$1/debian.sources"
    local image
    image=$(find root/boot -name 'vmlinuz-*' | sort -V | tail -n 1)
    printf '%s\n' "${image##*/vmlinuz-}" >kernel
    cp "$image" vmlinuz
    cp "root/boot/initrd.img-$(cat kernel)" initrd.img
    cp root/usr/lib/shim/shimx64.efi.signed shimx64.efi
    cp root/usr/lib/grub/x86_64-efi-signed/grubx64.efi.signed grubx64.efi
    rm -f root.ext4
    mke2fs -q -t ext4 -L root -U "$root_uuid" -E hash_seed="$root_uuid" -d root root.ext4 "${root_mib}M"
    rm -rf root
    chown --reference=. ./*
    chmod 0644 ./*
    chmod 0444 root.ext4
}

if [ "$1" = --as-root ]; then
    build_tree "$2"
    exit 0
fi

key=$(recipe_key "$(candidate_version linux-image-amd64)" "$(candidate_version systemd)" -- "$tools/build-root.sh" "$tools/customize-root.sh")
entry=$(cache_dir)/root-$key
link=$(realpath -sm "$1")
lock_cache root
if [ ! -e "$entry/done" ]; then
    rm -rf "$entry"
    mkdir -p "$entry"
    /usr/bin/python3 "$tools/apt_sources.py" deb >"$entry/debian.sources"
    progress "building the Debian root (two minutes or so)" "$(cache_dir)/logs/root.log" as_root "$tools/build-root.sh" --as-root "$entry"
    touch "$entry/done"
fi
link_result "$entry" "$link"
