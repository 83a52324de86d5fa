#!/usr/bin/python3
# SPDX-License-Identifier: Apache-2.0
"""`make bench`: the same guest with and without Shoji, in turns; prints a table of medians and spreads and writes build/bench.json."""
import json
import os
import shutil
import statistics
import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[1] / "tools"))

import vpn  # noqa: E402
from measure import Counters, Guest, dm_crypt  # noqa: E402
from testbed import luks  # noqa: E402
from testbed.bochs import BochsMachine  # noqa: E402
from testbed.cloud import encrypted_cloud_disk  # noqa: E402
from testbed.disk import plain_disk  # noqa: E402
from testbed.machine import Machine  # noqa: E402
from testbed.tools import BUILD, run  # noqa: E402
from testbed.volumes import DATA_DEVICE, boot_with_data, disk_with_data_volume, put_data_header  # noqa: E402

ROUNDS = max(5, int(os.environ.get("BENCH_ROUNDS", "5")))
FOLDER = BUILD / "bench" / "machines"
VMX_SETTLE_SECONDS = 10  # of the guest's time; its Linux starts nothing by itself
# The figure's key, and what it must reach: at most or at least.
TARGETS = {
    "idle_exits_per_s": ("at most", 1), "idle_exits_per_s_vmx": ("at most", 1), "exits_per_io_qd1": ("at most", 2.1), "exits_per_io_qd32": ("at most", 0.8),
    "boot_ratio": ("at most", 1.5), "kernel_to_init_ratio": ("at most", 1.5),
    "cpu_ratio": ("at least", 0.95), "syscall_ratio": ("at least", 0.95), "fork_ratio": None, "pipe_ratio": None,
    "seq_read_vs_dmcrypt": ("at least", 1.0), "seq_write_vs_dmcrypt": ("at least", 1.0), "rand_read_vs_dmcrypt": ("at least", 0.8),
    "xts_512_ratio": ("at least", 0.95), "xts_4k_ratio": ("at least", 0.95),
    "esp_seal_1400_ratio": ("at least", 0.85), "esp_open_1400_ratio": ("at least", 0.85),
    "vpn_cpu_vs_strongswan": ("at most", 0.67), "vpn_cpu_s_per_gib": None, "strongswan_cpu_s_per_gib": None, "vpn_rss_mib": ("at most", 8),
    "vpn_allocs_per_packet": ("at most", 0), "vpn_allocs_per_packet_cbc": None,
    "guest_memory_lost_mib": ("at most", 64), "efi_kib": None,
}


def under_shoji(folder, disk):
    """One round under Shoji."""
    with Machine(disk.path, folder, cpus=2, threads="multi") as machine:
        guest = Guest(machine, boot_with_data(machine), DATA_DEVICE)
        figures = guest.common()
        reasons = figures["by_reason"] = {}
        for key, depth in (("exits_per_io_qd1", 1), ("exits_per_io_qd32", 32)):
            figures[key], reasons[key] = guest.exits_per_io(depth)
        figures["idle_exits_per_s"], reasons["idle_exits_per_s"] = guest.idle_exits()
        return figures


def idle_on_intel(folder):
    """Exits at idle on VT-x, per CPU and guest second: Bochs, whose time is the guest's own."""
    disk = encrypted_cloud_disk(folder.parent / "cloud.img")
    with BochsMachine(disk.path, folder, cpus=2) as machine:
        machine.unlock(luks.PASSPHRASE, timeout=180)
        machine.login(420)
        exits, reasons = Counters(machine).idle_exits(VMX_SETTLE_SECONDS)
    (BUILD / "bench" / "vmx.json").write_text(json.dumps({"idle_exits_per_s_vmx": exits, "by_reason": reasons}, indent=1))
    return exits


def bare(folder, disk):
    """The same on the bare machine; its own kernel's dm-crypt in Shoji's place."""
    with Machine(disk.path, folder, cpus=2, threads="multi") as machine:
        machine.expect_words("BdsDxe: starting", 60)
        begin = machine.time_of_last_match()
        return Guest(machine, begin, dm_crypt).common()


def ratios(with_shoji, without):
    """The flat figures of one round."""
    figures = {key: with_shoji[key] for key in ("idle_exits_per_s", "exits_per_io_qd1", "exits_per_io_qd32")}
    figures["boot_ratio"] = with_shoji["boot_s"] / without["boot_s"]
    figures["kernel_to_init_ratio"] = with_shoji["kernel_to_init_s"] / without["kernel_to_init_s"]
    for kind in ("cpu", "syscall", "fork", "pipe"):
        figures[f"{kind}_ratio"] = with_shoji[kind] / without[kind]
    for kind in ("seq_read", "seq_write", "rand_read"):
        figures[f"{kind}_vs_dmcrypt"] = with_shoji[kind] / without[kind]
    figures["guest_memory_lost_mib"] = (without["memory_kib"] - with_shoji["memory_kib"]) / 1024
    return figures


def xts_figures():
    figures = {"xts_512_ratio": [], "xts_4k_ratio": []}
    for line in run(BUILD / "bench" / "xts")[1].splitlines():
        sector, ratio = line.split()
        figures["xts_512_ratio" if sector == "512" else "xts_4k_ratio"].append(float(ratio))
    return figures


def esp_figures():
    figures = {"esp_seal_1400_ratio": [], "esp_open_1400_ratio": []}
    for line in run(BUILD / "bench" / "esp")[1].splitlines():
        way, ratio = line.split()
        figures[f"esp_{way}_1400_ratio"].append(float(ratio))
    return figures


def verdict(key, value):
    target = TARGETS[key]
    if target is None:
        return "reported"
    good = value <= target[1] if target[0] == "at most" else value >= target[1]
    return f"{target[0]} {target[1]}: {'reached' if good else 'FALLS SHORT'}"


def write_table(samples):
    flat = {}
    print(f"\n{'figure':<26}{'median':>10}{'lowest':>10}{'highest':>10}   wanted")
    for key in TARGETS:
        values = samples[key]
        median = statistics.median(values)
        flat[key], flat[key + "_min"], flat[key + "_max"] = round(median, 4), round(min(values), 4), round(max(values), 4)
        print(f"{key:<26}{median:>10.3f}{min(values):>10.3f}{max(values):>10.3f}   {verdict(key, median)}")
    (BUILD / "bench.json").write_text(json.dumps(flat, indent=1) + "\n")
    print(f"\nmedian of {ROUNDS} rounds (xts and esp: of {len(samples['xts_512_ratio'])}), both sides in turns; build/bench.json has the same")


def main():
    samples = {key: [] for key in TARGETS}
    samples.update(xts_figures())
    samples.update(esp_figures())
    samples.update(vpn.figures(ROUNDS))
    samples["efi_kib"] = [(BUILD / "shoji.efi").stat().st_size / 1024]
    shutil.rmtree(FOLDER, ignore_errors=True)
    FOLDER.mkdir(parents=True)
    print("==> idle under Shoji on VT-x, in Bochs", flush=True)
    samples["idle_exits_per_s_vmx"] = [idle_on_intel(FOLDER / "vmx")]
    encrypted, plain = disk_with_data_volume(FOLDER), plain_disk(FOLDER / "plain.img")
    put_data_header(plain, FOLDER)
    for disk in (encrypted, plain):
        disk.put("/guest-bench", BUILD / "bench" / "guest")
    for number in range(ROUNDS):
        print(f"==> round {number + 1} of {ROUNDS}: under Shoji", flush=True)
        with_shoji = under_shoji(FOLDER / f"shoji{number}", encrypted)
        print(f"==> round {number + 1} of {ROUNDS}: bare, with dm-crypt", flush=True)
        without = bare(FOLDER / f"bare{number}", plain)
        for key, value in ratios(with_shoji, without).items():
            samples[key].append(value)
        (BUILD / "bench" / f"round{number}.json").write_text(json.dumps({"shoji": with_shoji, "bare": without}, indent=1))
    for image in FOLDER.glob("*.img"):
        image.unlink()
    write_table(samples)


if __name__ == "__main__":
    main()
