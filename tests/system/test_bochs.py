# SPDX-License-Identifier: Apache-2.0
"""Intel's VT-x in Bochs: Debian's cloud kernel from an encrypted IDE disk to a shell, judged from outside; and the EFI tests of that lane."""
import json

import pytest

from testbed import luks
from testbed.bochs import MODELS, BochsMachine
from testbed.cloud import SERIAL, encrypted_cloud_disk
from testbed.disk import LOADER_PATH, ROOT_FIRST
from testbed.tools import BUILD
from test_boot import MARKER, judge_root
from test_efi import check

BOOT_TIMEOUT = 600
POWER_OFF = "sync; mount -o remount,ro / && poweroff -f\n"


def boot_cloud(disk, folder, **options):
    """A machine at the shell prompt."""
    machine = BochsMachine(disk.path, folder, **options)
    try:
        machine.unlock(luks.PASSPHRASE, timeout=180)
        machine.expect_words("protected.", 180)
        machine.login(BOOT_TIMEOUT)
    except BaseException:
        machine.stop()
        raise
    return machine


# Together with the EFI tests below: both models with one CPU and with two.
@pytest.mark.parametrize("model,cpus", [(MODELS[1], 2), (MODELS[0], 1)])
def test_cloud_kernel_from_an_encrypted_ide_disk(folder, model, cpus):
    disk = encrypted_cloud_disk(folder / "disk.img")
    with boot_cloud(disk, folder / "machine", model=model, cpus=cpus) as machine:
        assert machine.shell("grep -c ^processor /proc/cpuinfo").strip() == str(cpus)
        assert "vmx" not in machine.shell("grep -m1 flags /proc/cpuinfo").split()
        status = json.loads(machine.shell("shojictl status --json"))
        assert (status["backend"], status["cpu_count"], status["cpus_running"]) == ("VT-x", cpus, cpus)
        volume, = status["volumes"]
        assert (volume["name"], volume["disk_serial"], volume["active"]) == ("root", SERIAL, True)
        assert volume["first_lba"] * volume["block_bytes"] == ROOT_FIRST and volume["bytes"] == disk.root_bytes()
        machine.shell(f"echo {MARKER} > /root/marker; sync; echo 3 > /proc/sys/vm/drop_caches")
        assert machine.shell("cat /root/marker") == MARKER + "\n"
        messages = machine.shell("dmesg")
        assert "BUG" not in messages and "I/O error" not in messages, messages
        machine.send(POWER_OFF)
        machine.wait_end()
    assert not disk.contains(MARKER.encode())
    judge_root(disk, folder, "/root/marker", MARKER + "\n")


@pytest.mark.parametrize("model,cpus", [(MODELS[0], 2), (MODELS[1], 1)])
def test_what_intel_cpus_answer(folder, model, cpus):
    check(folder, "vmx", cpus, {"model": model})


@pytest.mark.parametrize("model, first, words", [
    ("p4_prescott_celeron_336", "acpi", "offers no Intel virtualization (VT-x)"),
    ("core2_penryn_t9600", "acpi", "without nested paging (EPT)"),
    ("corei5_lynnfield_750", "acpi", "without unrestricted guests"),
    (MODELS[0], "lock", "Virtualization (VT-x) is switched off by the firmware"),
], ids=["no-vt-x", "no-ept", "no-unrestricted-guest", "locked-off"])
def test_intel_cpu_that_cannot(folder, model, first, words):
    disk = encrypted_cloud_disk(folder / "disk.img")
    disk.put(LOADER_PATH, BUILD / "efi" / f"{first}.efi")
    before = disk.digest()
    with BochsMachine(disk.path, folder / "machine", model=model, cpus=1) as machine:
        machine.expect_words(words, 180)
        machine.expect_words("Press a key", 60)
        assert "Linux version" not in machine.text
    assert disk.digest() == before
