# SPDX-License-Identifier: Apache-2.0
"""Debian at work under Shoji: fio with verification, CPUs going and coming, kexec, and the hidden log port."""
import json

from testbed import luks
from testbed.disk import encrypted_disk
from testbed.volumes import DATA_DEVICE, boot_with_data, disk_with_data_volume
from test_boot import BOOT_TIMEOUT, boot

FIO = "fio --name=verify --filename=" + DATA_DEVICE + " --verify=crc32c --verify_fatal=1 --ioengine=libaio --output-format=terse"
FIO_JOBS = [
    "--rw=randwrite --bs=512 --iodepth=1 --direct=1 --size=1M",
    "--rw=randwrite --bs=4k --iodepth=64 --direct=1 --size=32M",
    "--rw=randwrite --bssplit=512/20:4k/40:36k/20:128k/20 --iodepth=16 --direct=1 --size=32M --numjobs=4 --offset_increment=64M",
    "--rw=write --bs=1M --iodepth=8 --direct=1 --size=128M",
    "--rw=randwrite --bs=4k --direct=0 --size=32M --fsync=256",
]


def test_fio_verify(folder, start):
    machine = start(disk_with_data_volume(folder), cpus=2)
    boot_with_data(machine)
    machine.login(BOOT_TIMEOUT)
    for job in FIO_JOBS:
        machine.shell(f"{FIO} {job}", timeout=900)
    volumes = json.loads(machine.shell("shojictl status --json"))["volumes"]
    data = next(volume for volume in volumes if volume["name"] == "data")
    assert data["bytes_written"] >= 128 << 20 and data["bytes_read"] >= 128 << 20
    assert "I/O error" not in machine.shell("dmesg")
    machine.power_off()


def test_cpus_go_offline_and_come_back(folder, start):
    machine = boot(start, encrypted_disk(folder / "disk.img"), cpus=4)
    for _ in range(3):
        for cpu in (3, 1, 2):
            machine.shell(f"echo 0 > /sys/devices/system/cpu/cpu{cpu}/online")
        assert machine.shell("nproc").strip() == "1"
        for cpu in (1, 2, 3):
            machine.shell(f"echo 1 > /sys/devices/system/cpu/cpu{cpu}/online")
        assert machine.shell("nproc").strip() == "4"
    machine.shell("for cpu in 0 1 2 3; do taskset -c $cpu dd if=/dev/nvme0n1p2 of=/dev/null bs=64k count=64 iflag=direct; done")
    machine.power_off()


def test_kexec(folder, start):
    machine = boot(start, encrypted_disk(folder / "disk.img"), cpus=2)
    machine.shell("echo before > /root/kexec; sync")
    machine.shell("kexec -l /boot/vmlinuz-* --initrd=$(ls /boot/initrd.img-*) --reuse-cmdline", timeout=300)
    machine.send("systemctl kexec\n")
    machine.expect(r"Linux version", 300)
    machine.login(BOOT_TIMEOUT)
    assert machine.shell("cat /root/kexec") == "before\n" and machine.shell("nproc").strip() == "2"
    assert json.loads(machine.shell("shojictl status --json"))
    machine.power_off()


def test_the_log_port_is_hidden_and_tells_no_secret(folder, start):
    machine = boot(start, encrypted_disk(folder / "disk.img"), cpus=1)
    assert machine.shell("grep -c 16550A /proc/tty/driver/serial").strip() == "1"
    assert "block at" in machine.log() and "block at" in machine.shell("shojictl log")
    assert luks.PASSPHRASE + "\n" not in machine.log()
    machine.power_off()
