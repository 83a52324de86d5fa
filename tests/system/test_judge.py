# SPDX-License-Identifier: Apache-2.0
"""The judges themselves: what is clear is found, what stock cryptsetup decrypts is the root that was encrypted; Debian boots on the bare machine."""
from testbed import luks
from testbed.disk import HEADER_PATH, ROOT_FIRST, cached_root, encrypted_disk, plain_disk
from testbed.tools import run

MARKER = "shoji-marker-in-clear-9c1e7f"


def test_bare_debian_boots_and_a_clear_marker_is_found(folder, start):
    disk = plain_disk(folder / "disk.img")
    machine = start(disk, cpus=2)
    machine.login()
    assert machine.shell("nproc").strip() == "2"
    machine.shell(f"echo {MARKER} > /root/marker; sync")
    machine.power_off()
    assert disk.contains(MARKER.encode())


def test_stock_cryptsetup_decrypts_the_disk_to_the_root_that_was_encrypted(folder):
    disk = encrypted_disk(folder / "disk.img")
    root = cached_root() / "root.ext4"
    superblock = root.open("rb").read(65536)
    assert disk.read(ROOT_FIRST, len(superblock)) != superblock
    header = folder / "root.luks"
    header.write_bytes(disk.get(HEADER_PATH))
    partition = disk.extract_root(folder / "root.img")
    luks.decrypt_in_place(partition, header)
    assert run("cmp", partition, root)[0] == 0
