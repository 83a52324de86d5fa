# SPDX-License-Identifier: Apache-2.0
"""The disk of the Bochs lane: Debian's cloud kernel and busybox on an encrypted root (tools/build-cloud.sh); GRUB, which reads both from that root, is what
the policy starts."""
import fcntl
import hashlib
import shutil
import tempfile
from pathlib import Path

from . import luks
from .disk import HEADER_PATH, LOADER_PATH, MIB, POLICY_PATH, ROOT_FIRST, ROOT_UUID, Disk
from .efi import NEXT_PATH, efi_disk
from .tools import BUILD, cache_dir, copy_sparse, run

ROOT_MIB = 64  # as tools/build-cloud.sh makes it
SERIAL = "BXHD00011"  # of Bochs' first disk
KERNEL_OPTIONS = "console=ttyS0 quiet"
GRUB_CONFIG = f"search.fs_label cloud root\nlinux /boot/vmlinuz {KERNEL_OPTIONS}\ninitrd /boot/initrd.img\nboot\n"
POLICY = (f"[os]\npath = \\EFI\\debian\\grubx64.efi\n\n[log]\nport = 0x3e8\n\n[cpu]\napic = starts\n\n[volume root]\nmatch = partuuid:{ROOT_UUID}\n"
          "header = \\EFI\\shoji\\root.luks\nunlock = passphrase\n")


class CloudDisk(Disk):
    def root_bytes(self):
        return ROOT_MIB * MIB


def _cached_root():
    root = (BUILD / "deps" / "cloud").resolve()
    if not (root / "done").exists():
        raise RuntimeError("the small Linux for Bochs is missing: run `make disk`")
    return root


def _write_root(path, image):
    run("dd", f"if={image}", f"of={path}", "bs=1M", f"seek={ROOT_FIRST // MIB}", "conv=notrunc,sparse", "status=none")


def _build(entry, root):
    shutil.rmtree(entry, ignore_errors=True)
    entry.mkdir(parents=True)
    path = entry / "encrypted.img"
    disk = efi_disk(path, parts=[(ROOT_FIRST, ROOT_MIB * MIB, ROOT_UUID)])
    disk.make_folder("/EFI/debian")
    disk.put("/EFI/debian/grubx64.efi", root / "grubx64.efi")
    disk.put("/EFI/debian/grub.cfg", GRUB_CONFIG)
    with tempfile.TemporaryDirectory(dir=entry) as folder:
        partition, header = Path(folder) / "partition", Path(folder) / "root.luks"
        shutil.copyfile(root / "root.ext4", partition)
        partition.chmod(0o644)
        luks.encrypt_in_place(partition, header)
        _write_root(path, partition)
        for name in (HEADER_PATH, HEADER_PATH + ".bak"):
            disk.put(name, header)
    path.chmod(0o444)
    (entry / "done").touch()


def _cached():
    root = _cached_root()
    recipe = hashlib.sha256(root.name.encode())
    for name in ("cloud.py", "efi.py", "disk.py", "luks.py"):
        recipe.update((Path(__file__).parent / name).read_bytes())
    entry = cache_dir() / f"cloud-disk-{recipe.hexdigest()[:16]}"
    with open(cache_dir() / "cloud-disk.lock", "w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        if not (entry / "done").exists():
            _build(entry, root)
    return entry


def _with_programs(path):
    copy_sparse(_cached() / "encrypted.img", Path(path))
    disk = CloudDisk(path)
    disk.put(LOADER_PATH, BUILD / "efi" / "acpi.efi")
    disk.put("/shojictl", BUILD / "shojictl")
    return disk


def encrypted_cloud_disk(path):
    """A fresh copy with this build's Shoji."""
    disk = _with_programs(path)
    disk.put(NEXT_PATH, BUILD / "shoji.efi")
    disk.put(POLICY_PATH, POLICY)
    return disk


def plain_cloud_disk(path):
    """The same without encryption and without Shoji: GRUB is started directly."""
    disk = _with_programs(path)
    disk.put(NEXT_PATH, _cached_root() / "grubx64.efi")
    _write_root(disk.path, _cached_root() / "root.ext4")
    return disk
