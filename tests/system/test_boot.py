# SPDX-License-Identifier: Apache-2.0
"""Debian under Shoji: boots to login, says who protects it, and leaves ciphertext only that stock tools open to the same files."""
import json

import pytest

from testbed import luks
from testbed.disk import HEADER_PATH, ROOT_FIRST, SERIAL, encrypted_disk, plain_disk
from testbed.tools import BUILD, run

MARKER = "shoji-marker-never-on-disk-7f3a52"
BOOT_TIMEOUT = 400


def boot(start, disk, passphrase=luks.PASSPHRASE, **options):
    """A machine at the shell prompt of Debian."""
    machine = start(disk, **options)
    machine.unlock(passphrase)
    machine.expect_words("protected.", 120)
    machine.login(BOOT_TIMEOUT)
    return machine


def judge_root(disk, folder, path, content):
    """From outside: stock cryptsetup decrypts a copy of the partition to a clean file system that holds the file."""
    header = folder / "judge.luks"
    header.write_bytes(disk.get(HEADER_PATH))
    partition = disk.extract_root(folder / "judge.img")
    luks.decrypt_in_place(partition, header)
    status, output = run("e2fsck", "-fn", partition, check=False)
    assert status == 0, output
    assert run("debugfs", "-R", f"cat {path}", partition)[1].split("\n", 1)[1] == content


@pytest.mark.parametrize("cpus", [1, 2, 4])
def test_debian_boots_and_the_disk_holds_ciphertext_only(folder, start, cpus):
    disk = encrypted_disk(folder / "disk.img")
    machine = boot(start, disk, cpus=cpus)
    assert machine.shell("nproc").strip() == str(cpus)
    assert "svm" not in machine.shell("grep -m1 flags /proc/cpuinfo").split()

    status = json.loads(machine.shell("shojictl status --json"))
    assert (status["cpu_count"], status["cpus_running"]) == (cpus, cpus)
    volume, = status["volumes"]
    assert (volume["name"], volume["disk_serial"], volume["active"]) == ("root", SERIAL, True)
    assert volume["first_lba"] * volume["block_bytes"] == ROOT_FIRST and volume["bytes"] == disk.root_bytes()
    assert volume["bytes_read"] > 32 << 20
    assert "not protected yet" in machine.shell("shojictl status")

    machine.shell(f"echo {MARKER} > /root/marker; sync")
    assert machine.shell("echo 3 > /proc/sys/vm/drop_caches; cat /root/marker") == MARKER + "\n"
    assert "BUG" not in machine.shell("dmesg") and "blk_update_request" not in machine.shell("dmesg")
    machine.power_off()

    assert not disk.contains(MARKER.encode())
    judge_root(disk, folder, "/root/marker", MARKER + "\n")


def test_argon2_slot_opens_the_volume(folder, start):
    machine = start(encrypted_disk(folder / "disk.img"), cpus=1)
    machine.unlock(luks.ARGON2_PASSPHRASE)
    machine.expect_words("Volume root: unlocked.", 240)


def test_slot_with_the_default_of_one_gibibyte(folder, start):
    disk = encrypted_disk(folder / "disk.img")
    header = folder / "root.luks"
    header.write_bytes(disk.get(HEADER_PATH))
    luks.add_slot(header, "large", ["--pbkdf", "argon2id", "--pbkdf-memory", "1048576", "--pbkdf-force-iterations", "4", "--pbkdf-parallel", "4"])
    for path in (HEADER_PATH, HEADER_PATH + ".bak"):
        disk.put(path, header)
    machine = start(disk, cpus=1, memory=2048)
    machine.unlock("large")
    machine.expect_words("Volume root: unlocked.", 900)


# Seen twice beside the other lane, never alone: after the reset, while the passphrase was checked, the firmware's timer handler took longer than the
# timer's 10 ms, and nothing else ran any more. Not proven, only likely: the translated code that TCG keeps of the old system makes writes to the same
# pages slow, the firmware's stack among them. So it keeps little here. Whether that helps is not known either.
REBOOT_CODE_MIB = 32


def test_reboot_second_boot_and_power_off(folder, start):
    disk = encrypted_disk(folder / "disk.img")
    machine = boot(start, disk, cpus=2, reboot=True, code_mib=REBOOT_CODE_MIB)
    machine.shell("echo first > /root/boots; sync")
    machine.send("reboot\n")
    machine.unlock(luks.PASSPHRASE, timeout=180)
    machine.login(BOOT_TIMEOUT)
    assert machine.shell("cat /root/boots") == "first\n"
    machine.shell("echo second >> /root/boots; sync")
    machine.power_off()

    machine = boot(start, disk, cpus=2)
    assert machine.shell("cat /root/boots") == "first\nsecond\n"
    machine.power_off()
    judge_root(disk, folder, "/root/boots", "first\nsecond\n")


def test_disk_without_a_volume_passes_through_unchanged(folder, start):
    disk = plain_disk(folder / "disk.img")
    shim = disk.get("/EFI/BOOT/BOOTX64.EFI")
    assert disk.get("/EFI/debian/shimx64.efi") == shim
    disk.install_shoji("[os]\npath = \\EFI\\debian\\shimx64.efi\n\n[log]\nport = 0x3e8\n")
    head = disk.read(ROOT_FIRST, 1024)
    machine = start(disk, cpus=2)
    machine.expect_words("protected.", 120)
    assert "Passphrase" not in machine.text
    machine.login(BOOT_TIMEOUT)
    machine.shell(f"echo {MARKER} > /root/marker; sync")
    assert json.loads(machine.shell("shojictl status --json"))["volumes"] == []
    machine.power_off()
    assert disk.contains(MARKER.encode())
    assert disk.read(ROOT_FIRST, 1024) == head


def test_shojictl_without_shoji_says_so(folder, start):
    disk = plain_disk(folder / "disk.img")
    disk.put("/shojictl", BUILD / "shojictl")
    machine = start(disk, cpus=1)
    machine.login()
    status, output = machine.shell("shojictl status", check=False)
    assert status == 1 and output.count("\n") == 1 and "Shoji" in output
    machine.power_off()
