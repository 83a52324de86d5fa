# SPDX-License-Identifier: Apache-2.0
"""What the guest may not see or change, tried from inside, in ring 3 and in ring 0."""
import json
import re

from testbed.disk import encrypted_disk
from testbed.guest import module, program
from test_boot import boot


def all_ok(output, at_least):
    lines = output.splitlines()
    assert len(lines) >= at_least and all(line.startswith("ok ") for line in lines), output


def test_what_the_guest_must_not_reach(folder, start):
    disk = encrypted_disk(folder / "disk.img")
    disk.put("/registers", program("registers"))
    disk.put("/ring0.ko", module("ring0"))
    machine = boot(start, disk, cpus=2)

    machine.shell("install -m 755 /boot/efi/registers /root/registers")
    all_ok(machine.shell("/root/registers", check=False)[1], 20)

    block = re.search(r"block at ([0-9a-f]+)", machine.shell("shojictl log"))[1]
    before = json.loads(machine.shell("shojictl status --json"))
    machine.shell(f"insmod /boot/efi/ring0.ko block=0x{block} block_bytes={before['block_bytes']}")
    all_ok(machine.shell("cat /proc/ring0"), 40)
    after = json.loads(machine.shell("shojictl status --json"))
    touched = int(machine.shell("cat /sys/module/ring0/parameters/block_accesses"))
    assert touched > 30 and after["blocked_accesses"] - before["blocked_accesses"] >= touched
    assert "the guest reads the hypervisor's memory at" in machine.log()

    machine.shell("rmmod ring0; sync; echo 3 > /proc/sys/vm/drop_caches; ls -lR /usr/lib/systemd > /dev/null")
    machine.power_off()
