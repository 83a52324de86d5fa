#!/bin/sh
# SPDX-License-Identifier: Apache-2.0
# What the small Linux of the Bochs lane runs on its root: a shell on the first serial port.
export PATH=/usr/local/bin:/usr/bin:/sbin:/bin HOME=/root
/bin/busybox --install -s /usr/bin
hostname -F /etc/hostname
cd /root || exit 1
while :; do
    PS1='root@guest:~# ' setsid -c sh -i </dev/ttyS0 >/dev/ttyS0 2>&1
done
