# SPDX-License-Identifier: Apache-2.0
"""The EFI tests of tests/system/efi: a small disk that starts them, bare or under Shoji with the test core, on either lane; and what they say."""
import re

from .bochs import BochsMachine
from .disk import BLOCK, DISK_UUID, ESP_FIRST, ESP_MIB, ESP_UUID, LOADER_PATH, MIB, POLICY_PATH, Disk
from .machine import Machine
from .tools import BUILD, run

NEXT_PATH = "/EFI/BOOT/NEXT.EFI"  # what acpi.efi starts
TESTS_PATH = "/EFI/tests/tests.efi"
POLICY = "[os]\npath = \\EFI\\tests\\tests.efi\n\n[log]\nport = 0x3e8\n\n[cpu]\napic = trap\n"
LINE = re.compile(r"^(verdict|model) (\S+) (.*)$", re.M)
END = r"^tests are through$"


class Lane:
    """One kind of machine. `first` starts what the firmware starts, and through it what stands at `loader`."""

    def __init__(self, machine, loader, first=None, **options):
        self.machine, self.loader, self.first, self.options = machine, loader, first, options

    def start(self, disk, folder, **options):
        return self.machine(disk.path, folder, **{**self.options, **options})


LANES = {
    "svm": Lane(Machine, LOADER_PATH),
    "vmx": Lane(BochsMachine, NEXT_PATH, first="efi/acpi.efi"),
}


def efi_disk(path, parts=()):
    """A disk with an EFI system partition, and with more partitions: (first byte, bytes, GUID)."""
    end = max([ESP_FIRST + ESP_MIB * MIB, *(first + size for first, size, _ in parts)])
    with open(path, "wb") as image:
        image.truncate(end + MIB)
    table = (f"label: gpt\nlabel-id: {DISK_UUID}\n"
             f"start={ESP_FIRST // BLOCK}, size={ESP_MIB * MIB // BLOCK}, type=U, uuid={ESP_UUID}\n")
    for first, size, guid in parts:
        table += f"start={first // BLOCK}, size={size // BLOCK}, type=L, uuid={guid}\n"
    run("sfdisk", "-q", path, stdin=table.encode())
    esp = f"{path}@@{ESP_FIRST}"
    run("mformat", "-i", esp, "-F", "-v", "ESP", "-T", str(ESP_MIB * MIB // BLOCK), "-h", "16", "-s", "63", "::")
    run("mmd", "-i", esp, "::/EFI", "::/EFI/BOOT", "::/EFI/shoji", "::/EFI/tests")
    return Disk(path)


def tests_disk(path, lane, shoji, names=()):
    """A disk that starts the tests of these names, or all."""
    disk = efi_disk(path)
    if LANES[lane].first:
        disk.put(LOADER_PATH, BUILD / LANES[lane].first)
    disk.put(TESTS_PATH, BUILD / "efi" / "tests.efi")
    disk.put(LANES[lane].loader, BUILD / ("test/shoji.efi" if shoji else "efi/tests.efi"))
    if shoji:
        disk.put(POLICY_PATH, POLICY)
    if names:
        disk.put("/tests.txt", " ".join(names))
    return disk


def run_tests(folder, lane, *, shoji, names=(), timeout=600, **options):
    """Runs them and returns {name: value} of what must be alike everywhere, and of what belongs to the CPU's model."""
    folder.mkdir(parents=True, exist_ok=True)
    disk = tests_disk(folder / "disk.img", lane, shoji, names)
    with LANES[lane].start(disk, folder, **options) as machine:
        machine.expect(r"^tests under " + ("Shoji" if shoji else "the firmware alone"), 180)
        machine.expect(END, timeout)
        found = LINE.findall(machine.text)
    disk.path.unlink()
    return {kind: {name: value for k, name, value in found if k == kind} for kind in ("verdict", "model")}
