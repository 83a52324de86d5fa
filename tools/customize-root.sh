#!/bin/sh
# SPDX-License-Identifier: Apache-2.0
# customize-root.sh ROOT: makes the test disk's Debian quick to boot and easy to drive over a serial line. Run by mmdebstrap.
set -eu
root=$1

echo guest >"$root/etc/hostname"
echo "127.0.0.1 localhost guest" >"$root/etc/hosts"
printf 'LABEL=root / ext4 defaults,noatime 0 1\nLABEL=ESP /boot/efi vfat ro,nofail 0 0\n' >"$root/etc/fstab"
mkdir -p "$root/boot/efi"
ln -s /boot/efi/shojictl "$root/usr/local/bin/shojictl"
echo 7d3f1c52a8e94b06b1d2c3e4f5061728 >"$root/etc/machine-id"
chroot "$root" passwd -d root

getty=$root/etc/systemd/system/serial-getty@ttyS0.service.d
mkdir -p "$getty"
cat >"$getty/autologin.conf" <<'UNIT'
[Service]
ExecStart=
ExecStart=-/sbin/agetty --autologin root --noclear --keep-baud 115200 %I vt220
UNIT

# An emulated CPU is slow: nothing may time out only because of that, and nothing runs by itself after login.
mkdir -p "$root/etc/systemd/system.conf.d" "$root/etc/systemd/journald.conf.d"
printf '[Manager]\nDefaultTimeoutStartSec=600s\nDefaultDeviceTimeoutSec=600s\nDefaultTimeoutStopSec=20s\n' >"$root/etc/systemd/system.conf.d/test.conf"
printf '[Journal]\nStorage=volatile\n' >"$root/etc/systemd/journald.conf.d/test.conf"
for unit in apt-daily.timer apt-daily-upgrade.timer dpkg-db-backup.timer e2scrub_all.timer e2scrub_reap.service fstrim.timer \
    systemd-tmpfiles-clean.timer getty@tty1.service systemd-networkd.service systemd-timesyncd.service systemd-pcrphase.service \
    systemd-pcrphase-sysinit.service systemd-pcrphase-initrd.service systemd-boot-system-token.service kexec.service kexec-load.service \
    nvmefc-boot-connections.service nvmf-autoconnect.service; do
    ln -sf /dev/null "$root/etc/systemd/system/$unit"
done

printf 'MODULES=list\nBUSYBOX=auto\nCOMPRESS=gzip\nFSTYPE=ext4\nRESUME=none\n' >"$root/etc/initramfs-tools/conf.d/test.conf"
printf 'nvme\nata_piix\nsd_mod\next4\ncrc32c_generic\ncrc32c_intel\n' >>"$root/etc/initramfs-tools/modules"
chroot "$root" update-initramfs -u -k all

rm -rf "$root"/var/cache/apt/* "$root"/var/lib/apt/lists/* "$root"/var/log/*.log "$root/etc/resolv.conf"
