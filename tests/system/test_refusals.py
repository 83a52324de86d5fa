# SPDX-License-Identifier: Apache-2.0
"""Bad input: each time one clear sentence on COM1, no OS, and a disk of which no byte has changed."""
import pytest

from testbed import luks
from testbed.disk import HEADER_PATH, LOADER_PATH, POLICY_PATH, ROOT_FIRST, encrypted_disk, policy
from testbed.tools import BUILD

BACKUP_PATH = HEADER_PATH + ".bak"
SENTENCE_TIMEOUT = 90


def both_headers(disk, change):
    for path in (HEADER_PATH, BACKUP_PATH):
        disk.put(path, change(disk.get(path)))


def refused(machine, words):
    """The sentence, then a wait for a key; nothing of Debian appears."""
    machine.expect_words(words, SENTENCE_TIMEOUT)
    machine.expect_words("Press a key", 20)
    assert "GRUB" not in machine.text and "Linux version" not in machine.text


@pytest.mark.parametrize("cpu, words", [
    ("max,-svm", "offers no AMD virtualization (SVM)"),
    ("max,-npt", "without nested paging"),
    ("max,-aes", "no AES instructions"),
], ids=["no-svm", "no-nested-paging", "no-aes"])
def test_cpu_that_cannot(folder, start, cpu, words):
    disk = encrypted_disk(folder / "disk.img")
    before = disk.digest()
    refused(start(disk, cpus=1, cpu=cpu), words)
    assert disk.digest() == before


@pytest.mark.parametrize("text, words", [
    (policy(extra="[os2]\n"), "policy.conf line 7: the section [os2] is unknown"),
    (policy(volume_extra="colour = red\n"), 'policy.conf line 11: the key "colour" is unknown in [volume'),
    (policy(match="partuuid:nonsense"), 'policy.conf line 8: "partuuid:nonsense" names no partition'),
    (policy(volume_extra="discard = perhaps\n"), 'policy.conf line 11: the value "perhaps" is unknown'),
    (policy(volume_extra="unlock = passphrase\n"), 'policy.conf line 11: "unlock" was given already in line 10'),
    (policy(pin="first-lba = 5\n"), "must give disk-serial, first-lba and lba-count together"),
    ("[os]\npath = \\EFI\n\xe9\n".encode("latin-1"), "policy.conf line 3: byte e9h"),
    (b"#" * 70000, "larger than 64 KiB"),
], ids=["section", "key", "value", "choice", "twice", "half-pinned", "not-text", "too-large"])
def test_policy_that_is_wrong(folder, start, text, words):
    disk = encrypted_disk(folder / "disk.img", text)
    before = disk.digest()
    refused(start(disk, cpus=1), words)
    assert disk.digest() == before


def test_policy_missing(folder, start):
    disk = encrypted_disk(folder / "disk.img")
    disk.remove(POLICY_PATH)
    before = disk.digest()
    refused(start(disk, cpus=1), "policy \\EFI\\shoji\\policy.conf is missing")
    assert disk.digest() == before


def test_policy_unreadable(folder, start):
    disk = encrypted_disk(folder / "disk.img")
    disk.remove(POLICY_PATH)
    disk.make_folder(POLICY_PATH)
    before = disk.digest()
    refused(start(disk, cpus=1), "policy \\EFI\\shoji\\policy.conf cannot be read")
    assert disk.digest() == before


def require_unknown(metadata):
    metadata["config"]["requirements"] = {"mandatory": ["from-the-future"]}


@pytest.mark.parametrize("change, words", [
    (lambda data: data[:20], "The LUKS2 header is cut short"),
    (lambda data: data[:100000], "The LUKS2 header is cut short"),
    (luks.with_damaged_copies, "Both copies of the LUKS2 header are damaged"),
    (lambda data: luks.with_metadata(data, require_unknown), 'requires "from-the-future"'),
    (lambda data: bytes(len(data)), "There is no LUKS2 header in it"),
], ids=["cut-in-the-binary-header", "cut-in-the-key-slots", "both-copies-corrupt", "unknown-requirement", "zeroes"])
def test_header_that_is_wrong(folder, start, change, words):
    disk = encrypted_disk(folder / "disk.img")
    both_headers(disk, change)
    before = disk.digest()
    refused(start(disk, cpus=1), words)
    assert disk.digest() == before


def test_both_headers_missing(folder, start):
    disk = encrypted_disk(folder / "disk.img")
    disk.remove(HEADER_PATH)
    disk.remove(BACKUP_PATH)
    before = disk.digest()
    refused(start(disk, cpus=1), "both header files are missing")
    assert disk.digest() == before


def test_sector_larger_than_the_block(folder, start):
    disk = encrypted_disk(folder / "disk.img")
    blank, header = folder / "blank.img", folder / "root.luks"
    with open(blank, "wb") as image:
        image.truncate(disk.root_bytes())
    luks.format_header(blank, header, sector=4096)
    both_headers(disk, lambda data: header.read_bytes())
    before = disk.digest()
    machine = start(disk, cpus=1)
    machine.expect_words("encrypted in sectors of 4096 bytes, but its disk has blocks of 512", SENTENCE_TIMEOUT)
    refused(machine, "--sector-size 512")
    assert disk.digest() == before


def test_wrong_passphrase_three_times(folder, start):
    disk = encrypted_disk(folder / "disk.img")
    before = disk.digest()
    machine = start(disk, cpus=1)
    for tries_left in ("2 tries are left", "1 try is left"):
        machine.unlock("wrong")
        machine.expect_words("The passphrase is wrong. " + tries_left, 120)
    machine.unlock("wrong")
    refused(machine, "Three wrong passphrases for volume root")
    assert "wrong\n" not in machine.text.replace("is wrong", ""), "the passphrase was echoed"
    assert disk.digest() == before


def test_login_given_up_with_escape(folder, start):
    disk = encrypted_disk(folder / "disk.img")
    before = disk.digest()
    machine = start(disk, cpus=1)
    machine.unlock("half of it\x1b")
    refused(machine, "The login was given up")
    assert disk.digest() == before


def test_argon2_slot_that_needs_more_memory_than_there_is(folder, start):
    def enlarge(metadata):
        slots = metadata["keyslots"]
        argon2 = next(number for number, slot in slots.items() if slot["kdf"]["type"] == "argon2id")
        slots[argon2]["kdf"]["memory"] = 2 << 20
        for number in [number for number in slots if number != argon2]:
            del slots[number]
        for digest in metadata["digests"].values():
            digest["keyslots"] = [argon2]

    disk = encrypted_disk(folder / "disk.img")
    both_headers(disk, lambda data: luks.with_metadata(data, enlarge))
    before = disk.digest()
    machine = start(disk, cpus=1)
    machine.unlock(luks.ARGON2_PASSPHRASE)
    machine.expect_words("needs 2048 MiB of memory and", SENTENCE_TIMEOUT)
    assert "Linux version" not in machine.text
    assert disk.digest() == before


@pytest.mark.parametrize("text, words", [
    (policy(match="partuuid:11111111-2222-3333-4444-555555555555"), "11111111-2222-3333-4444-555555555555"),
    (policy(pin="disk-serial = ANOTHER\nfirst-lba = 133120\nlba-count = 2097152\n"), "ANOTHER"),
    (policy(pin="disk-serial = SHOJI-TEST-1\nfirst-lba = 2048\nlba-count = 2097152\n"), "133120"),
], ids=["not-found", "other-disk", "moved"])
def test_partition_that_is_not_where_the_policy_says(folder, start, text, words):
    disk = encrypted_disk(folder / "disk.img", text)
    before = disk.digest()
    refused(start(disk, cpus=1), words)
    assert disk.digest() == before


def test_core_image_damaged(folder, start):
    disk = encrypted_disk(folder / "disk.img")
    loader = bytearray((BUILD / "shoji.efi").read_bytes())
    core = (BUILD / "core" / "shoji-core.stripped.elf").read_bytes()
    at = loader.find(core)
    assert at > 0
    loader[at + len(core) // 2] ^= 0x10
    disk.put(LOADER_PATH, bytes(loader))
    before = disk.digest()
    refused(start(disk, cpus=1), "hypervisor's image inside shoji.efi is damaged")
    assert disk.digest() == before


def test_not_enough_memory(folder, start):
    disk = encrypted_disk(folder / "disk.img")
    before = disk.digest()
    refused(start(disk, cpus=1, memory=72), "not enough memory")
    assert disk.digest() == before


def test_a_missing_header_is_restored_and_nothing_else_changes(folder, start):
    disk = encrypted_disk(folder / "disk.img")
    header = disk.get(HEADER_PATH)
    disk.remove(HEADER_PATH)
    root_before = disk.read(ROOT_FIRST, 1 << 20)
    machine = start(disk, cpus=1)
    machine.expect_words("has been restored from", SENTENCE_TIMEOUT)
    machine.expect_words("Passphrase for volume root:", SENTENCE_TIMEOUT)
    machine.stop()
    assert disk.get(HEADER_PATH) == header and disk.get(BACKUP_PATH) == header
    assert disk.read(ROOT_FIRST, 1 << 20) == root_before
