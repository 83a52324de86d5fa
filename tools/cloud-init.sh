#!/bin/busybox sh
# SPDX-License-Identifier: Apache-2.0
# The first program of the small Linux of the Bochs lane: loads the disk's drivers and goes to the root file system.
/bin/busybox --install -s /bin
mount -t devtmpfs none /dev
mount -t proc none /proc
mount -t sysfs none /sys
while read -r module; do
    insmod "/modules/$module.ko"
done </modules/order
turn=0
while [ ! -b /dev/sda2 ] && [ $turn -lt 100 ]; do
    sleep 0.2
    turn=$((turn + 1))
done
mount -t ext4 /dev/sda2 /root || exec sh
mount -t vfat -o ro /dev/sda1 /root/boot/efi
for folder in dev proc sys; do
    mount --move "/$folder" "/root/$folder"
done
exec switch_root /root /sbin/start
