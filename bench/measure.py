# SPDX-License-Identifier: Apache-2.0
"""What is measured in one guest, with or without Shoji."""
import json
import re

from testbed import luks
from testbed.volumes import DATA_DEVICE

FIO_SECONDS = 5
PROGRAM_SECONDS = 3
SETTLE_SECONDS = 60
IDLE_SECONDS = 30
EXIT_IOS = 20000


def dm_crypt(machine):
    """Opens the data partition with the guest's own kernel, the AES-NI module loaded; returns the device."""
    machine.shell("modprobe aesni_intel; modprobe dm_crypt")
    machine.shell(f"printf %s '{luks.PASSPHRASE}' | DM_DISABLE_UDEV=1 cryptsetup open --key-file - --header /boot/efi/EFI/shoji/data.luks "
                  f"{DATA_DEVICE} data", timeout=120)
    used = machine.shell("grep -h -A3 '^name *: xts(aes)' /proc/crypto")
    if "aesni" not in used:
        raise RuntimeError("dm-crypt does not use the AES-NI module: " + used)
    return "/dev/mapper/data"


class Counters:
    """The exit counters of a machine at its shell prompt."""

    def __init__(self, machine):
        self.machine = machine
        self.cpus = int(machine.shell("grep -c ^processor /proc/cpuinfo"))

    def exits(self, options=""):
        """Exits of all CPUs without the hypercalls that the reading itself makes; the same by reason; and the seconds counted."""
        counters = json.loads(self.machine.shell("shojictl stat --json " + options, timeout=600))
        cpus = counters["cpus"]
        reasons = {name: sum(cpu["by_reason"][name] for cpu in cpus) for name in cpus[0]["by_reason"] if name != "hypercall"}
        return sum(cpu["exits"] - cpu["by_reason"]["hypercall"] for cpu in cpus), reasons, counters["seconds"]

    def idle_exits(self, settle=SETTLE_SECONDS):
        """Exits per CPU and guest second while nothing happens, `settle` seconds after login, and the same by reason. One process reads both ends, so that
        no program starts in between; what the programs leave to be written to the disk is written before."""
        self.machine.shell(f"shojictl stat >/dev/null; sync; sleep {settle}", timeout=600)
        exits, reasons, seconds = self.exits(f"-i {IDLE_SECONDS} -n 1")
        return exits / self.cpus / seconds, _each(reasons, self.cpus * seconds)


class Guest(Counters):
    """A guest that boots; `begin` is the time from which its boot counts."""

    def __init__(self, machine, begin, device):
        machine.expect(r"guest login:", 400)
        self.boot_seconds = machine.time_of_last_match() - begin
        machine.login()
        super().__init__(machine)
        self.device = device(machine) if callable(device) else device

    def fio(self, options, jobs=None):
        """One fio run; returns its JSON. libaio, one job for each CPU, pinned, commands handed over one by one."""
        jobs = self.cpus if jobs is None else jobs
        text = self.machine.shell(
            f"fio --name=bench --filename={self.device} --ioengine=libaio --iodepth_batch=1 --direct=1 --norandommap --group_reporting "
            f"--numjobs={jobs} --cpus_allowed=0-{self.cpus - 1} --cpus_allowed_policy=split --output-format=json {options}", timeout=600)
        return json.loads(text[text.index("{"):])["jobs"][0]

    def timed_fio(self, options, side):
        return self.fio(f"--time_based --runtime={FIO_SECONDS} --ramp_time=1 {options}")[side]["bw_bytes"]

    def program(self, kind):
        return float(self.machine.shell(f"/boot/efi/guest-bench {kind} {PROGRAM_SECONDS}"))

    def common(self):
        """The figures that both sides have."""
        init = re.search(r"\[\s*([0-9.]+)\] Run /init as init process", self.machine.shell("dmesg"))
        figures = {"boot_s": self.boot_seconds, "kernel_to_init_s": float(init[1]),
                   "memory_kib": int(self.machine.shell("awk '/^MemTotal/ { print $2 }' /proc/meminfo"))}
        for kind in ("cpu", "syscall", "fork", "pipe"):
            figures[kind] = self.program(kind)
        figures["seq_read"] = self.timed_fio("--rw=read --bs=1M --iodepth=4", "read")
        figures["seq_write"] = self.timed_fio("--rw=write --bs=1M --iodepth=4", "write")
        figures["rand_read"] = self.timed_fio("--rw=randread --bs=4k --iodepth=32", "read")
        return figures

    def exits_per_io(self, depth):
        """Exits for each 4 KiB random read, and the same by reason."""
        before, reasons_before, _ = self.exits()
        job = self.fio(f"--rw=randread --bs=4k --iodepth={depth} --number_ios={EXIT_IOS}")
        after, reasons_after, _ = self.exits()
        count = job["read"]["total_ios"]
        grown = {name: reasons_after[name] - reasons_before[name] for name in reasons_after}
        return (after - before) / count, _each(grown, count)

def _each(counts, unit):
    return {name: round(count / unit, 4) for name, count in counts.items() if count}
