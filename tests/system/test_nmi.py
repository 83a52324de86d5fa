# SPDX-License-Identifier: Apache-2.0
"""True NMIs beside those that announce disk completions: none lost, none unknown, no I/O lost."""
from testbed.tools import BUILD
from testbed.volumes import boot_with_data, disk_with_data_volume
from test_boot import BOOT_TIMEOUT
from test_guest import FIO

STORMS, PER_STORM = 4, 25000


def test_a_hundred_thousand_nmis_during_verified_io(folder, start):
    # TCG loses a CPU to a physical INIT, so the register page stays closed: each ICR write of the storm is seen.
    disk = disk_with_data_volume(folder, extra="[cpu]\napic = trap\n\n")
    disk.put("/nmi_storm.ko", BUILD / "module" / "nmi_storm.ko")
    machine = start(disk, cpus=2)
    boot_with_data(machine)
    machine.login(BOOT_TIMEOUT)
    machine.shell(f"({FIO} --rw=randwrite --bs=4k --iodepth=8 --direct=1 --size=16M --loops=1000 >/tmp/fio.out 2>&1; echo $? >/tmp/fio.status) &")
    for storm in range(STORMS):
        target = storm % 2
        machine.shell(f"taskset -c {1 - target} insmod /boot/efi/nmi_storm.ko cpu={target} count={PER_STORM}", timeout=900)
        assert machine.shell("cat /sys/module/nmi_storm/parameters/acknowledged").strip() == str(PER_STORM)
        assert machine.shell("cat /sys/module/nmi_storm/parameters/lost").strip() == "0"
        machine.shell("rmmod nmi_storm")
    assert machine.shell("cat /tmp/fio.status 2>/dev/null", check=False)[1] == "", "fio ended before the storm did"
    machine.shell("pkill -INT fio; while ! [ -e /tmp/fio.status ]; do sleep 1; done", timeout=120)
    assert machine.shell("cat /tmp/fio.status").strip() in ("0", "128"), "fio was not content: " + machine.shell("cat /tmp/fio.out")
    assert "verify:" not in machine.shell("cat /tmp/fio.out") and "crc32c:" not in machine.shell("cat /tmp/fio.out")
    messages = machine.shell("dmesg")
    for sign in ("unknown reason", "Dazed and confused", "I/O error", "timeout, aborting", "hard LOCKUP", "rcu_preempt detected stalls"):
        assert sign not in messages, messages[-3000:]
    machine.power_off()
