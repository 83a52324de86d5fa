# SPDX-License-Identifier: Apache-2.0
"""The disk with a second volume, the partition for fio; for the tests and benchmarks that need more than the root."""
from . import luks
from .disk import DATA_MIB, DATA_UUID, MIB, encrypted_disk, policy

DATA_DEVICE = "/dev/disk/by-partuuid/" + DATA_UUID
DATA_VOLUME = f"\n[volume data]\nmatch = partuuid:{DATA_UUID}\nheader = \\EFI\\shoji\\data.luks\nunlock = passphrase\n"


def put_data_header(disk, folder):
    """A new LUKS2 header for the data partition, in two copies on the ESP."""
    blank, header = folder / "blank.img", folder / "data.luks"
    with open(blank, "wb") as image:
        image.truncate(DATA_MIB * MIB)
    header.unlink(missing_ok=True)
    luks.format_header(blank, header)
    for name in ("data.luks", "data.luks.bak"):
        disk.put(f"/EFI/shoji/{name}", header)


def disk_with_data_volume(folder, extra=""):
    disk = encrypted_disk(folder / "disk.img", policy(extra=extra) + DATA_VOLUME)
    put_data_header(disk, folder)
    return disk


def boot_with_data(machine):
    """Types both passphrases; returns the time at which Shoji had launched."""
    machine.unlock(luks.PASSPHRASE)
    machine.unlock(luks.PASSPHRASE, volume="data")
    machine.expect_words("protected.", 120)
    return machine.time_of_last_match()
