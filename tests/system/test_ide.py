# SPDX-License-Identifier: Apache-2.0
"""Debian from an encrypted disk on the PIIX3's IDE: firmware, GRUB and Linux's ata_piix under Shoji; judged from outside like NVMe."""
import json

from testbed import luks
from testbed.disk import ROOT_FIRST, SERIAL, encrypted_disk
from test_boot import BOOT_TIMEOUT, boot, judge_root

MARKER = "shoji-marker-never-on-an-ide-disk-2d81c4"
FIO = "fio --name=file --filename=/root/fio --verify=crc32c --verify_fatal=1 --ioengine=libaio --output-format=terse"
FIO_JOBS = [
    "--rw=randwrite --bs=512 --iodepth=1 --direct=1 --size=256k",
    "--rw=randwrite --bs=4k --iodepth=16 --direct=1 --size=4M",
    "--rw=write --bs=4M --iodepth=2 --direct=1 --size=16M",
    "--rw=randwrite --bssplit=512/20:4k/40:36k/20:128k/20 --iodepth=4 --direct=1 --size=4M --numjobs=2 --offset_increment=4M",
    "--rw=randwrite --bs=4k --direct=0 --size=4M --fsync=64",
]


def test_debian_boots_from_ide_and_the_disk_holds_ciphertext_only(folder, start):
    disk = encrypted_disk(folder / "disk.img")
    machine = boot(start, disk, cpus=2, storage="ide", reboot=True)
    assert "ata_piix" in machine.shell("dmesg")
    assert machine.shell("findmnt -no SOURCE /").startswith("/dev/sda")
    volume, = json.loads(machine.shell("shojictl status --json"))["volumes"]
    assert (volume["name"], volume["disk_serial"], volume["active"], volume["namespace_id"]) == ("root", SERIAL, True, 0)
    assert volume["first_lba"] * volume["block_bytes"] == ROOT_FIRST and volume["bytes_read"] > 32 << 20

    for job in FIO_JOBS:
        machine.shell(f"{FIO} {job} && rm -f /root/fio", timeout=900)
    machine.shell(f"echo {MARKER} > /root/marker; sync; echo 3 > /proc/sys/vm/drop_caches")
    assert machine.shell("cat /root/marker") == MARKER + "\n"
    messages = machine.shell("dmesg")
    assert "I/O error" not in messages and "exception Emask" not in messages and "lost interrupt" not in messages

    machine.send("reboot\n")
    machine.unlock(luks.PASSPHRASE, timeout=180)
    machine.login(BOOT_TIMEOUT)
    assert machine.shell("cat /root/marker") == MARKER + "\n"
    machine.power_off()

    assert not disk.contains(MARKER.encode())
    judge_root(disk, folder, "/root/marker", MARKER + "\n")
