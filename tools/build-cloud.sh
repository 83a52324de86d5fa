#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
# build-cloud.sh LINK: makes the small Linux of the Bochs lane, once per recipe, and points LINK at the cache entry: Debian's cloud kernel
# and busybox, taken apart and not installed. root.ext4 (the root file system, with kernel and initrd in /boot), grubx64.efi, kernel (version).
. "$(dirname "$0")/common.sh"
tools=$(cd "$(dirname "$0")" && pwd)
root_mib=64
root_uuid=5b0f6a1e-31c7-4a0e-9d52-6f5d3c1f7a02
# What the initrd loads; what is built into the kernel has no file.
modules="ata_piix sd_mod ext4 nls_cp437 nls_ascii vfat"

private_apt() {
    apt-get -q -o Dir::Etc::sourcelist=/dev/null -o Dir::Etc::sourceparts="$entry/apt/sources" \
        -o Dir::State="$entry/apt/state" -o Dir::State::status=/var/lib/dpkg/status -o Dir::Cache="$entry/apt/cache" \
        -o APT::Sandbox::User="$(id -un)" "$@"
}

private_cache() {
    apt-cache -o Dir::Etc::sourcelist=/dev/null -o Dir::Etc::sourceparts="$entry/apt/sources" \
        -o Dir::State="$entry/apt/state" -o Dir::State::status=/var/lib/dpkg/status -o Dir::Cache="$entry/apt/cache" "$@"
}

fetch_packages() {
    mkdir -p "$entry/apt/sources" "$entry/apt/state/lists/partial" "$entry/apt/cache/archives/partial" "$entry/download"
    /usr/bin/python3 "$tools/apt_sources.py" deb >"$entry/apt/sources/debian.sources"
    private_apt update
    local image
    image=$(private_cache depends linux-image-cloud-amd64 | awk '$1 == "Depends:" { print $2; exit }')
    (cd "$entry/download" && private_apt download "$image" busybox-static grub-efi-amd64-signed)
    for package in "$entry"/download/*.deb; do
        dpkg-deb -x "$package" "$entry/files"
    done
    printf '%s\n' "${image#linux-image-}" >"$entry/kernel"
}

# add_module NAME: puts a module and, before it, those that it needs into the initrd and its list.
add_module() {
    local file needed
    file=$(find "$entry/files/lib/modules" -name "${1//[-_]/[-_]}.ko")
    if [ -z "$file" ] || grep -qx "$(basename "$file" .ko)" "$entry/initrd/modules/order"; then
        return
    fi
    for needed in $(objcopy -O binary -j .modinfo "$file" /dev/stdout | tr '\0' '\n' | sed -n 's/^depends=//p' | tr ',' ' '); do
        add_module "$needed"
    done
    cp "$file" "$entry/initrd/modules/"
    basename "$file" .ko >>"$entry/initrd/modules/order"
}

# The first program of the kernel: finds the root and goes there.
make_initrd() {
    local tree=$entry/initrd module
    mkdir -p "$tree/bin" "$tree/modules" "$tree/dev" "$tree/proc" "$tree/sys" "$tree/root"
    cp "$entry/files/bin/busybox" "$tree/bin/busybox"
    : >"$tree/modules/order"
    for module in $modules; do
        add_module "$module"
    done
    cp "$tools/cloud-init.sh" "$tree/init"
    chmod 755 "$tree/init"
    (cd "$tree" && find . -print0 | sort -z | "$entry/files/bin/busybox" cpio -0 -o -H newc | gzip -9n) >"$entry/initrd.img"
}

make_root() {
    local tree=$entry/root kernel
    kernel=$(cat "$entry/kernel")
    mkdir -p "$tree"/{bin,sbin,etc,dev,proc,sys,tmp,root,boot/efi,usr/bin,usr/local/bin}
    cp "$entry/files/bin/busybox" "$tree/bin/busybox"
    ln -s busybox "$tree/bin/sh"
    ln -s /boot/efi/shojictl "$tree/usr/local/bin/shojictl"
    cp "$entry/files/boot/vmlinuz-$kernel" "$tree/boot/vmlinuz"
    cp "$entry/initrd.img" "$tree/boot/initrd.img"
    install -m 755 "$tools/cloud-start.sh" "$tree/sbin/start"
    echo guest >"$tree/etc/hostname"
    mke2fs -q -t ext4 -L cloud -U "$root_uuid" -E hash_seed="$root_uuid",root_owner=0:0 -d "$tree" "$entry/root.ext4" "${root_mib}M"
}

build() {
    rm -rf "$entry"
    mkdir -p "$entry"
    fetch_packages
    make_initrd
    make_root
    cp "$entry/files/usr/lib/grub/x86_64-efi-signed/grubx64.efi.signed" "$entry/grubx64.efi"
    cp "$entry/initrd/modules/order" "$entry/modules"
    rm -rf "$entry/apt" "$entry/download" "$entry/files" "$entry/initrd" "$entry/root"
    chmod 0444 "$entry/root.ext4"
}

key=$(recipe_key "$(candidate_version linux-image-cloud-amd64)" "$(candidate_version busybox-static)" -- "$tools/build-cloud.sh" \
    "$tools/cloud-init.sh" "$tools/cloud-start.sh")
entry=$(cache_dir)/cloud-$key
link=$(realpath -sm "$1")
lock_cache cloud
if [ ! -e "$entry/done" ]; then
    progress "building the small Linux for Bochs" "$(cache_dir)/logs/cloud.log" build
    touch "$entry/done"
fi
link_result "$entry" "$link"
