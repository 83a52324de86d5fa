# SPDX-License-Identifier: Apache-2.0
"""The ways in which a guest may use an NVMe disk that Debian does not use by itself: pin interrupts, polled queues, more namespaces, blocks of 4096 bytes."""
import json

import pytest

from testbed import luks
from testbed.disk import encrypted_disk, policy
from testbed.tools import run
from test_boot import BOOT_TIMEOUT, boot

GRUB_CONFIG = "/EFI/debian/grub.cfg"
CONSOLE = "console=ttyS0"
FILE_FIO = "fio --name=file --filename=/root/fio --size=16M --verify=crc32c --verify_fatal=1 --direct=1 --bs=16k --rw=randwrite --output-format=terse"

SECOND_MIB = 96
SECOND_BLOCK = 4096
SECOND_UUID = "0f1c77a0-51a9-4b7e-8d0e-0c5b1a6e0014"
SECOND_FIRST = 1 << 20
SECOND_BYTES = 64 << 20
SECOND_MARKER = "shoji-second-namespace-marker-51c9"
SECOND = "/dev/disk/by-partuuid/" + SECOND_UUID


def with_kernel_options(disk, options):
    disk.put(GRUB_CONFIG, disk.get(GRUB_CONFIG).decode().replace(CONSOLE, f"{CONSOLE} {options}"))
    return disk


@pytest.mark.parametrize("options, fio, sign", [
    ("pci=nomsi", "--ioengine=libaio --iodepth=8", r"IO-APIC.*nvme0q"),
    ("nvme.poll_queues=1", "--ioengine=pvsync2 --hipri=1", r"nvme0q"),
], ids=["pin-interrupts", "polled-queue"])
def test_queues_without_messages(folder, start, options, fio, sign):
    machine = boot(start, with_kernel_options(encrypted_disk(folder / "disk.img"), options), cpus=2)
    machine.shell(f"grep -qE '{sign}' /proc/interrupts")
    if "poll" in options:
        assert "/1 default/read/poll queues" in machine.shell("dmesg | grep 'poll queues'")
        machine.shell("test $(cat /sys/block/nvme0n1/queue/io_poll) = 1")
    machine.shell(f"{FILE_FIO} {fio}", timeout=600)
    messages = machine.shell("dmesg")
    assert "I/O error" not in messages and "timeout" not in messages.replace("timeout set", "")
    machine.power_off()


def second_namespace(folder):
    """A disk with blocks of 4096 bytes, one partition, and the header of a volume with sectors as large."""
    image, header = folder / "second.img", folder / "second.luks"
    with open(image, "wb") as file:
        file.truncate(SECOND_MIB << 20)
    # Of the partitioning tools, fdisk alone writes tables of larger blocks into a file.
    first, last = SECOND_FIRST // SECOND_BLOCK, (SECOND_FIRST + SECOND_BYTES) // SECOND_BLOCK - 1
    run("fdisk", "-b", SECOND_BLOCK, image, stdin=f"g\nn\n1\n{first}\n{last}\nx\nu\n{SECOND_UUID}\nr\nw\n".encode())
    blank = folder / "blank.img"
    with open(blank, "wb") as file:
        file.truncate(SECOND_BYTES)
    luks.format_header(blank, header, sector=SECOND_BLOCK)
    return image, header


def test_second_namespace_with_blocks_of_4096_bytes(folder, start):
    image, header = second_namespace(folder)
    volume = f"\n[volume second]\nmatch = partuuid:{SECOND_UUID}\nheader = \\EFI\\shoji\\second.luks\nunlock = passphrase\n"
    disk = encrypted_disk(folder / "disk.img", policy() + volume)
    for name in ("second.luks", "second.luks.bak"):
        disk.put(f"/EFI/shoji/{name}", header)
    machine = start(disk, cpus=2, namespaces=",id=nvme0", extra=[
        "-drive", f"if=none,id=disk1,format=raw,cache=unsafe,file={image}",
        "-device", f"nvme-ns,bus=nvme0,nsid=2,drive=disk1,logical_block_size={SECOND_BLOCK},physical_block_size={SECOND_BLOCK}"])
    machine.unlock(luks.PASSPHRASE)
    machine.unlock(luks.PASSPHRASE, volume="second")
    machine.login(BOOT_TIMEOUT)
    second = next(v for v in json.loads(machine.shell("shojictl status --json"))["volumes"] if v["name"] == "second")
    assert (second["namespace_id"], second["block_bytes"], second["sector_bytes"]) == (2, SECOND_BLOCK, SECOND_BLOCK)
    machine.shell(f"mke2fs -q -t ext4 {SECOND} && mkdir -p /mnt/second && mount {SECOND} /mnt/second")
    machine.shell(f"echo {SECOND_MARKER} > /mnt/second/marker")
    machine.shell("fio --name=second --directory=/mnt/second --size=16M --verify=crc32c --verify_fatal=1 --ioengine=libaio --direct=1 "
                  "--bsrange=4k-256k --iodepth=16 --rw=randwrite --output-format=terse", timeout=600)
    machine.shell("umount /mnt/second")
    machine.power_off()

    assert SECOND_MARKER.encode() not in image.read_bytes()
    partition = folder / "judge.img"
    run("dd", f"if={image}", f"of={partition}", "bs=1M", f"skip={SECOND_FIRST >> 20}", f"count={SECOND_BYTES >> 20}", "status=none")
    luks.decrypt_in_place(partition, header)
    assert run("e2fsck", "-fn", partition, check=False)[0] == 0
    assert SECOND_MARKER in run("debugfs", "-R", "cat /marker", partition)[1]
