# SPDX-License-Identifier: Apache-2.0
"""Debian at work under Shoji: fio with verification, CPUs going and coming, kexec, and registers that must not be there."""
import json
import re

from testbed import luks
from testbed.disk import encrypted_disk
from testbed.tools import BUILD
from testbed.volumes import DATA_DEVICE, boot_with_data, disk_with_data_volume
from test_boot import BOOT_TIMEOUT, boot

EFER, VM_CR, VM_HSAVE_PA = 0xC0000080, 0xC0010114, 0xC0010117
EFER_SVME = 1 << 12
UNDEFINED_OPCODE = 6
SIGILL, SIGSEGV = "4", "11"

FIO = "fio --name=verify --filename=" + DATA_DEVICE + " --verify=crc32c --verify_fatal=1 --ioengine=libaio --output-format=terse"
FIO_JOBS = [
    "--rw=randwrite --bs=512 --iodepth=1 --direct=1 --size=1M",
    "--rw=randwrite --bs=4k --iodepth=64 --direct=1 --size=32M",
    "--rw=randwrite --bssplit=512/20:4k/40:36k/20:128k/20 --iodepth=16 --direct=1 --size=32M --numjobs=4 --offset_increment=64M",
    "--rw=write --bs=1M --iodepth=8 --direct=1 --size=128M",
    "--rw=randwrite --bs=4k --direct=0 --size=32M --fsync=256",
]


def test_fio_verify(folder, start):
    machine = start(disk_with_data_volume(folder), cpus=2)
    boot_with_data(machine)
    machine.login(BOOT_TIMEOUT)
    for job in FIO_JOBS:
        machine.shell(f"{FIO} {job}", timeout=900)
    volumes = json.loads(machine.shell("shojictl status --json"))["volumes"]
    data = next(volume for volume in volumes if volume["name"] == "data")
    assert data["bytes_written"] >= 128 << 20 and data["bytes_read"] >= 128 << 20
    assert "I/O error" not in machine.shell("dmesg")
    machine.power_off()


def test_cpus_go_offline_and_come_back(folder, start):
    machine = boot(start, encrypted_disk(folder / "disk.img"), cpus=4)
    for _ in range(3):
        for cpu in (3, 1, 2):
            machine.shell(f"echo 0 > /sys/devices/system/cpu/cpu{cpu}/online")
        assert machine.shell("nproc").strip() == "1"
        for cpu in (1, 2, 3):
            machine.shell(f"echo 1 > /sys/devices/system/cpu/cpu{cpu}/online")
        assert machine.shell("nproc").strip() == "4"
    machine.shell("for cpu in 0 1 2 3; do taskset -c $cpu dd if=/dev/nvme0n1p2 of=/dev/null bs=64k count=64 iflag=direct; done")
    machine.power_off()


def test_kexec(folder, start):
    machine = boot(start, encrypted_disk(folder / "disk.img"), cpus=2)
    machine.shell("echo before > /root/kexec; sync")
    machine.shell("kexec -l /boot/vmlinuz-* --initrd=$(ls /boot/initrd.img-*) --reuse-cmdline", timeout=300)
    machine.send("systemctl kexec\n")
    machine.expect(r"Linux version", 300)
    machine.login(BOOT_TIMEOUT)
    assert machine.shell("cat /root/kexec") == "before\n" and machine.shell("nproc").strip() == "2"
    assert json.loads(machine.shell("shojictl status --json"))
    machine.power_off()


def msr_read(machine, number):
    """The exit status of reading an MSR: 0, or 1 for #GP."""
    return machine.shell(f"dd if=/dev/cpu/0/msr of=/tmp/msr bs=8 count=1 iflag=skip_bytes skip=$(({number:#x}))", check=False)[0]


def check_instructions(machine):
    """#UD in kernel mode. In user mode the CPU itself checks the privilege of all but VMMCALL first: either fault will do there."""
    signals = dict(line.split() for line in machine.shell("/boot/efi/instructions").splitlines())
    assert signals.pop("vmmcall") == signals.pop("vmcall") == SIGILL
    assert len(signals) == 7 and set(signals.values()) <= {SIGILL, SIGSEGV}, signals
    machine.shell("insmod /boot/efi/svm_probe.ko")
    vectors = machine.shell("cd /sys/module/svm_probe/parameters; grep -H . *").split()
    assert len(vectors) == 8 and all(line.endswith(f":{UNDEFINED_OPCODE}") for line in vectors), vectors


def test_what_the_guest_must_not_see_or_reach(folder, start):
    disk = encrypted_disk(folder / "disk.img")
    disk.put("/instructions", BUILD / "tests" / "instructions")
    disk.put("/svm_probe.ko", BUILD / "module" / "svm_probe.ko")
    machine = boot(start, disk, cpus=1)
    check_instructions(machine)

    machine.shell("modprobe msr")
    assert msr_read(machine, EFER) == 0
    efer = int(machine.shell("od -An -tu8 /tmp/msr"))
    assert not efer & EFER_SVME
    for number in (VM_CR, VM_HSAVE_PA):
        assert msr_read(machine, number) == 1, f"MSR {number:#x} can be read"
    value = "".join(f"\\x{byte:02x}" for byte in (efer | EFER_SVME).to_bytes(8, "little"))
    status, _ = machine.shell(f"printf '{value}' | dd of=/dev/cpu/0/msr bs=8 count=1 oflag=seek_bytes seek=$(({EFER:#x}))", check=False)
    assert status == 1, "EFER.SVME can be set"

    assert machine.shell("grep -c 16550A /proc/tty/driver/serial").strip() == "1"
    assert machine.log().strip(), "nothing came out of the log port"
    assert luks.PASSPHRASE + "\n" not in machine.log()
    assert machine.shell("shojictl log").strip()

    block = int(re.search(r"block at ([0-9a-f]+)", machine.log())[1], 16)
    page = machine.shell(f"dd if=/dev/mem bs=4096 skip={block >> 12} count=1 2>/dev/null | od -An -v -tx1 | tr -d ' \\n'")
    assert page == "ff" * 4096, "the hypervisor's memory can be read"
    assert json.loads(machine.shell("shojictl status --json"))["blocked_accesses"] >= 512
    machine.power_off()
