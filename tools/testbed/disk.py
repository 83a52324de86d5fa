# SPDX-License-Identifier: Apache-2.0
"""The Debian test disk: GPT with an EFI system partition, the root, and a partition for fio; plain or with an encrypted root."""
import fcntl
import hashlib
import shutil
import tempfile
from pathlib import Path

from . import luks
from .tools import BUILD, cache_dir, copy_sparse, run

MIB = 1 << 20
BLOCK = 512
ESP_FIRST, ESP_MIB = 1 * MIB, 64
ROOT_FIRST = ESP_FIRST + ESP_MIB * MIB
ROOT_MIB = 1024  # as tools/build-root.sh makes it
DATA_MIB = 256

ESP_UUID = "0f1c77a0-51a9-4b7e-8d0e-0c5b1a6e0001"
ROOT_UUID = "0f1c77a0-51a9-4b7e-8d0e-0c5b1a6e0002"
DATA_UUID = "0f1c77a0-51a9-4b7e-8d0e-0c5b1a6e0003"
DISK_UUID = "0f1c77a0-51a9-4b7e-8d0e-0c5b1a6e0000"
SERIAL = "SHOJI-TEST-1"

KERNEL_OPTIONS = "root=LABEL=root ro console=ttyS0"
POLICY_PATH = "/EFI/shoji/policy.conf"
HEADER_PATH = "/EFI/shoji/root.luks"
LOADER_PATH = "/EFI/BOOT/BOOTX64.EFI"


PIN = f"disk-serial = {SERIAL}\nfirst-lba = {ROOT_FIRST // BLOCK}\nlba-count = {ROOT_MIB * MIB // BLOCK}\n"


def policy(match=f"partuuid:{ROOT_UUID}", extra="", volume_extra="", pin=PIN):
    """The text of a policy with one volume, the root, pinned to where it lies."""
    return (f"[os]\npath = \\EFI\\debian\\shimx64.efi\n\n[log]\nport = 0x3e8\n\n{extra}"
            f"[volume root]\nmatch = {match}\nheader = \\EFI\\shoji\\root.luks\nunlock = passphrase\n{volume_extra}{pin}")


class Disk:
    """A raw disk image. The ESP is read and written with mtools; nothing is mounted."""

    def __init__(self, path):
        self.path = Path(path)

    def _esp(self):
        return f"{self.path}@@{ESP_FIRST}"

    def put(self, esp_path, source):
        """Writes a file on the ESP: bytes, text or the path of a file."""
        with tempfile.TemporaryDirectory() as folder:
            if not isinstance(source, Path):
                file = Path(folder) / "file"
                file.write_bytes(source.encode() if isinstance(source, str) else source)
                source = file
            run("mcopy", "-o", "-i", self._esp(), source, f"::{esp_path}")

    def get(self, esp_path):
        with tempfile.TemporaryDirectory() as folder:
            run("mcopy", "-n", "-i", self._esp(), f"::{esp_path}", Path(folder) / "file")
            return (Path(folder) / "file").read_bytes()

    def has(self, esp_path):
        return run("mdir", "-b", "-i", self._esp(), f"::{esp_path}", check=False)[0] == 0

    def remove(self, esp_path):
        run("mdel", "-i", self._esp(), f"::{esp_path}")

    def make_folder(self, esp_path):
        run("mmd", "-i", self._esp(), f"::{esp_path}")

    def read(self, offset, size):
        with open(self.path, "rb") as image:
            image.seek(offset)
            return image.read(size)

    def write(self, offset, data):
        with open(self.path, "r+b") as image:
            image.seek(offset)
            image.write(data)

    def digest(self):
        """SHA-256 of the whole image."""
        with open(self.path, "rb") as image:
            return hashlib.file_digest(image, "sha256").hexdigest()

    def contains(self, marker):
        """Whether the bytes stand anywhere in the raw image."""
        kept, overlap = b"", len(marker) - 1
        with open(self.path, "rb") as image:
            while chunk := image.read(8 * MIB):
                if marker in kept + chunk:
                    return True
                kept = chunk[-overlap:]
        return False

    def root_bytes(self):
        return (cached_root() / "root.ext4").stat().st_size

    def extract_root(self, target):
        """A copy of the root partition as a file."""
        run("dd", f"if={self.path}", f"of={target}", "bs=1M", f"skip={ROOT_FIRST // MIB}", f"count={self.root_bytes() // MIB}",
            "conv=sparse", "status=none")
        return target

    def install_shoji(self, text=None):
        """shoji.efi as the boot loader, shojictl, and the policy."""
        self.put(LOADER_PATH, BUILD / "shoji.efi")
        self.put("/shojictl", BUILD / "shojictl")
        self.put(POLICY_PATH, policy() if text is None else text)


def cached_root():
    """The folder that tools/build-root.sh made."""
    root = (BUILD / "deps" / "root").resolve()
    if not (root / "done").exists():
        raise RuntimeError("the Debian root is missing: run `make disk`")
    return root


def _grub_config(kernel):
    return ("search.fs_label root root\nset prefix=($root)/boot/grub\n"
            f"linux /boot/vmlinuz-{kernel} {KERNEL_OPTIONS}\ninitrd /boot/initrd.img-{kernel}\nboot\n")


def _write_partition(image, offset, source):
    run("dd", f"if={source}", f"of={image}", "bs=1M", f"seek={offset // MIB}", "conv=notrunc,sparse", "status=none")


def _build_plain(path, root):
    """A disk that starts shim and GRUB directly; nothing of Shoji on it."""
    root_size = (root / "root.ext4").stat().st_size
    data_first = ROOT_FIRST + root_size
    with open(path, "wb") as image:
        image.truncate(data_first + DATA_MIB * MIB + MIB)
    table = (f"label: gpt\nlabel-id: {DISK_UUID}\n"
             f"start={ESP_FIRST // BLOCK}, size={ESP_MIB * MIB // BLOCK}, type=U, uuid={ESP_UUID}\n"
             f"start={ROOT_FIRST // BLOCK}, size={root_size // BLOCK}, type=L, uuid={ROOT_UUID}\n"
             f"start={data_first // BLOCK}, size={DATA_MIB * MIB // BLOCK}, type=L, uuid={DATA_UUID}\n")
    run("sfdisk", "-q", path, stdin=table.encode())
    esp = f"{path}@@{ESP_FIRST}"
    run("mformat", "-i", esp, "-F", "-v", "ESP", "-N", "53484f4a", "-T", str(ESP_MIB * MIB // BLOCK), "-h", "16", "-s", "63", "::")
    run("mmd", "-i", esp, "::/EFI", "::/EFI/BOOT", "::/EFI/debian", "::/EFI/shoji")
    disk = Disk(path)
    disk.put("/EFI/debian/shimx64.efi", root / "shimx64.efi")
    disk.put("/EFI/debian/grubx64.efi", root / "grubx64.efi")
    disk.put("/EFI/debian/grub.cfg", _grub_config((root / "kernel").read_text().strip()))
    disk.put("/EFI/BOOT/BOOTX64.EFI", root / "shimx64.efi")
    disk.put("/EFI/BOOT/grubx64.efi", root / "grubx64.efi")
    _write_partition(path, ROOT_FIRST, root / "root.ext4")


def _build_encrypted(path, plain, root, folder):
    """The same disk with the root encrypted in place by stock cryptsetup, and its header in two copies on the ESP."""
    copy_sparse(plain, path)
    partition, header = folder / "partition", folder / "root.luks"
    shutil.copyfile(root / "root.ext4", partition)
    luks.encrypt_in_place(partition, header)
    luks.add_slot(header, luks.ARGON2_PASSPHRASE)
    _write_partition(path, ROOT_FIRST, partition)
    disk = Disk(path)
    disk.remove("/EFI/BOOT/grubx64.efi")
    for name in (HEADER_PATH, HEADER_PATH + ".bak"):
        disk.put(name, header)


def cached_disks():
    """The folder with plain.img and encrypted.img, made once for each root and recipe. They are never started: tests use copies."""
    root = cached_root()
    recipe = hashlib.sha256(root.name.encode())
    for name in ("disk.py", "luks.py"):
        recipe.update((Path(__file__).parent / name).read_bytes())
    entry = cache_dir() / f"disk-{recipe.hexdigest()[:16]}"
    with open(cache_dir() / "disk.lock", "w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)  # one maker at a time; closing the file lets go
        if not (entry / "done").exists():
            print("==> making and encrypting the test disk", flush=True)
            _build_entry(entry, root)
    return entry


def _build_entry(entry, root):
    shutil.rmtree(entry, ignore_errors=True)
    entry.mkdir(parents=True)
    _build_plain(entry / "plain.img", root)
    with tempfile.TemporaryDirectory(dir=entry) as folder:
        _build_encrypted(entry / "encrypted.img", entry / "plain.img", root, Path(folder))
    for image in entry.glob("*.img"):
        image.chmod(0o444)
    (entry / "done").touch()


def plain_disk(path):
    """A fresh copy of the disk without Shoji and without encryption."""
    copy_sparse(cached_disks() / "plain.img", Path(path))
    return Disk(path)


def encrypted_disk(path, text=None):
    """A fresh copy of the encrypted disk with this build's Shoji and a policy on it."""
    copy_sparse(cached_disks() / "encrypted.img", Path(path))
    disk = Disk(path)
    disk.install_shoji(text)
    return disk
