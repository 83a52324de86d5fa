# SPDX-License-Identifier: Apache-2.0
"""NMIs of the guest's own beside those of the disk: 100,000 IPIs sent and acknowledged one by one while fio verifies what it writes."""
import json

from testbed.guest import module
from testbed.volumes import boot_with_data, disk_with_data_volume
from test_boot import BOOT_TIMEOUT
from test_guest import FIO

COUNT = 100_000
# Where a physical INIT takes a CPU out of the hypervisor, and where the guest's NMI IPIs have to be told from the disk's, the APIC page stays trapped.
TRAPPED = "[cpu]\napic = trap\n\n"
PARAMETERS = "/sys/module/nmi_storm/parameters"
JOB = f"{FIO} --rw=randwrite --bssplit=4k/60:36k/20:128k/20 --iodepth=16 --direct=1 --size=16M --numjobs=2 --offset_increment=64M"
# fio again and again until the storm is over; at most eight minutes.
STORM = (f"rounds=0; until grep -q Y {PARAMETERS}/done; do [ $SECONDS -lt 480 ] || exit 3; {JOB} --randseed=$((rounds + 1)) > /tmp/fio || {{ cat /tmp/fio; exit 1; }}; "
         "rounds=$((rounds + 1)); done; echo rounds $rounds")


def test_nmi_ipis_during_fio(folder, start):
    disk = disk_with_data_volume(folder, extra=TRAPPED)
    disk.put("/nmi_storm.ko", module("nmi_storm"))
    machine = start(disk, cpus=2)
    boot_with_data(machine)
    machine.login(BOOT_TIMEOUT)

    machine.shell(f"insmod /boot/efi/nmi_storm.ko count={COUNT}")
    output = machine.shell(f"(SECONDS=0; {STORM})", timeout=540)
    assert int(output.split("rounds ")[1]) >= 1, output

    report = {name: machine.shell(f"cat {PARAMETERS}/{name}").strip() for name in
              ("sent", "acknowledged", "lost", "unknown", "milliseconds", "slowest_us")}
    print(report, machine.shell("shojictl stat"), sep="\n")
    assert (report["sent"], report["acknowledged"]) == (str(COUNT), str(COUNT)), report
    assert (report["lost"], report["unknown"]) == ("0", "0"), report

    cpus = json.loads(machine.shell("shojictl stat --json"))["cpus"]
    assert sum(cpu["nmis_injected"] for cpu in cpus) >= COUNT
    assert all(cpu["by_reason"]["nmi-completion"] > 0 for cpu in cpus), "the disk's completions did not come to both CPUs"
    messages = machine.shell("dmesg")
    for trouble in ("I/O error", "I/O timeout", "completion polled", "BUG:", "unknown reason", "detected stalls", "soft lockup"):
        assert trouble not in messages, messages[-3000:]
    machine.shell("rmmod nmi_storm")
    machine.power_off()
