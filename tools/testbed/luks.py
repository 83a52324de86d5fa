# SPDX-License-Identifier: Apache-2.0
"""LUKS2 with stock cryptsetup, offline and without device-mapper: encrypts a partition's image in place, and decrypts it as the judge."""
import hashlib
import json
import struct
import tempfile
from pathlib import Path

from .tools import run

PASSPHRASE = "shoji"
ARGON2_PASSPHRASE = "shoji argon2id"

CHEAP = ["--pbkdf", "pbkdf2", "--pbkdf-force-iterations", "1000", "--hash", "sha256"]
# What the issue asks of a test slot: 64 MiB and 4 passes.
ARGON2 = ["--pbkdf", "argon2id", "--pbkdf-memory", "65536", "--pbkdf-force-iterations", "4", "--pbkdf-parallel", "4"]
# Room for eight key slots; the file stays near two MiB instead of cryptsetup's 16.
SMALL_HEADER = ["--luks2-metadata-size", "16k", "--luks2-keyslots-size", "2048k"]


class Secret:
    """A passphrase in a private file, for cryptsetup's --key-file."""

    def __init__(self, text):
        self.folder = tempfile.TemporaryDirectory()
        self.path = Path(self.folder.name) / "key"
        self.path.write_text(text)

    def __enter__(self):
        return self.path

    def __exit__(self, *problem):
        self.folder.cleanup()


def encrypt_in_place(image, header, sector=512, passphrase=PASSPHRASE):
    """Turns a plain image into ciphertext with a detached header, data offset 0; no block moves."""
    with Secret(passphrase) as key:
        run("cryptsetup", "reencrypt", "--encrypt", "--type", "luks2", "--header", header, "--cipher", "aes-xts-plain64", "--key-size", "512",
            "--sector-size", str(sector), *CHEAP, *SMALL_HEADER, "--force-offline-reencrypt", "--batch-mode", "--key-file", key, image)


def format_header(image, header, sector=512, passphrase=PASSPHRASE):
    """A new header for an image whose content may be lost."""
    with Secret(passphrase) as key:
        run("cryptsetup", "luksFormat", "--type", "luks2", "--header", header, "--cipher", "aes-xts-plain64", "--key-size", "512",
            "--sector-size", str(sector), *CHEAP, *SMALL_HEADER, "--batch-mode", "--key-file", key, image)


def add_slot(header, new_passphrase, kdf=None, passphrase=PASSPHRASE):
    kdf = ARGON2 if kdf is None else kdf
    with Secret(passphrase) as key, Secret(new_passphrase) as new:
        run("cryptsetup", "luksAddKey", "--batch-mode", "--key-file", key, *kdf, header, new)


def decrypt_in_place(image, header, passphrase=PASSPHRASE):
    """Stock cryptsetup's own view of the partition: the image becomes plain text. Header and image are used up."""
    with Secret(passphrase) as key:
        run("cryptsetup", "reencrypt", "--decrypt", "--header", header, "--force-offline-reencrypt", "--batch-mode", "--key-file", key, image)


def volume_key(header, folder, passphrase=PASSPHRASE):
    """The volume key's bytes, as cryptsetup tells them."""
    file = Path(folder) / "volume.key"
    with Secret(passphrase) as key:
        run("cryptsetup", "luksDump", "--batch-mode", "--dump-volume-key", "--volume-key-file", file, "--key-file", key, header)
    value = file.read_bytes()
    file.unlink()
    return value


# The binary header (LUKS2 On-Disk Format Specification, section 2): big endian, 4096 bytes, then the JSON area.
BINARY_BYTES = 4096
SIZE_AT, CHECKSUM_AT, CHECKSUM_BYTES = 8, 0x1C0, 64


def _copies(data):
    """The offsets of both header copies, and the size of each."""
    size = struct.unpack_from(">Q", data, SIZE_AT)[0]
    return (0, size), size


def metadata(data):
    """The JSON of a header file's first copy."""
    _, size = _copies(data)
    return json.loads(data[BINARY_BYTES:size].rstrip(b"\0"))


def with_metadata(data, change):
    """The header file's bytes with both copies' JSON changed by a function, and the checksums made right again."""
    offsets, size = _copies(data)
    value = metadata(data)
    change(value)
    text = json.dumps(value).encode()
    assert len(text) < size - BINARY_BYTES
    out = bytearray(data)
    for at in offsets:
        out[at + BINARY_BYTES:at + size] = text.ljust(size - BINARY_BYTES, b"\0")
        out[at + CHECKSUM_AT:at + CHECKSUM_AT + CHECKSUM_BYTES] = bytes(CHECKSUM_BYTES)
        digest = hashlib.sha256(out[at:at + size]).digest()
        out[at + CHECKSUM_AT:at + CHECKSUM_AT + len(digest)] = digest
    return bytes(out)


def with_damaged_copies(data):
    """The header file's bytes with a bit of each copy's JSON turned over, so that neither checksum is right."""
    out = bytearray(data)
    for at in _copies(data)[0]:
        out[at + BINARY_BYTES + 8] ^= 1
    return bytes(out)
