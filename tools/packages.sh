#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
# packages.sh GROUP...: installs the Debian packages of the groups that are missing. Asks apt for nothing when all are there.
. "$(dirname "$0")/common.sh"

declare -A packages=(
    [build]="gcc binutils make perl libc6-dev libargon2-dev dpkg-dev ca-certificates gnu-efi python3 xz-utils"
    [unit]="libcmocka-dev libzydis-dev cryptsetup-bin fdisk"
    [fuzz]="clang libclang-rt-14-dev libzydis-dev"
    [system]="qemu-system-x86 ovmf mmdebstrap mtools dosfstools e2fsprogs fdisk cryptsetup-bin libelf1 python3-pytest python3-cryptography
        bochs bochs-term seabios
              charon-systemd strongswan-swanctl libcharon-extra-plugins libstrongswan-standard-plugins libstrongswan-extra-plugins iproute2
              iperf3 nftables tcpdump dhcpcd-base busybox-static dnsmasq-base"
)

missing=()
for group in "$@"; do
    for package in ${packages[$group]}; do
        state=$(dpkg-query -W -f '${db:Status-Status}' "$package" 2>/dev/null || true)
        [ "$state" = installed ] || missing+=("$package")
    done
done
[ ${#missing[@]} -gt 0 ] || exit 0

say "installing ${missing[*]}"
logs=$(cache_dir)/logs
progress "apt-get update" "$logs/apt-update.log" as_root apt-get update
progress "apt-get install" "$logs/apt-install.log" \
    as_root env DEBIAN_FRONTEND=noninteractive apt-get install -y --no-install-recommends "${missing[@]}"
