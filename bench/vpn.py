# SPDX-License-Identifier: Apache-2.0
"""The VPN's figures: the CPU time of shoji-vpn against strongSwan's own userspace client, in turns, at the same gateway; its memory and its
allocations for each packet. `vpn.py` alone prints them as JSON."""
import json
import re
import shutil
import sys
from pathlib import Path

REPOSITORY = Path(__file__).resolve().parents[1]
sys.path[:0] = [str(REPOSITORY / "tools"), str(REPOSITORY / "tests/system/vpn")]

from testbed.tools import BUILD  # noqa: E402
from vpnlab.iperf import Iperf  # noqa: E402
from vpnlab.lab import OFFICE, Lab  # noqa: E402
from vpnlab.network import wait_until  # noqa: E402
from vpnlab.service import GUEST, Service  # noqa: E402

MIB = 128  # each way, each round
MTU = 1400  # what strongSwan's kernel-libipsec has
AEADS = ["aes256gcm16", "chacha20poly1305"]
CBC = "aes256-sha256"


def reachable(lab, space):
    return lab.network.run(space, "busybox", "ping", "-c", "1", "-W", "1", OFFICE, check=False)[0] == 0


def start_service(lab, **policy):
    service = Service(lab, **policy)
    service.start()
    service.wait_up()
    service.wait_guest()
    lab.network.ip("guest", "link", "set", GUEST, "mtu", MTU)
    wait_until(lambda: reachable(lab, "guest"), 10, "an answer through shoji-vpn")
    return service


def both_ways(lab, space, process):
    """CPU seconds per GiB of the process."""
    iperf = Iperf(lab, space=space)
    before, mib = process.cpu_seconds(), 0
    for reverse in (False, True):
        mib += Iperf.received_mib(iperf.measure(mib=MIB, reverse=reverse))
    iperf.stop()
    return (process.cpu_seconds() - before) * 1024 / mib


def compare(folder, rounds):
    lab = Lab(folder)
    try:
        lab.gateway(connection={"unique": "never"}).start()
        service, client = start_service(lab), lab.stock_client(address="192.0.2.3")
        client.start()
        client.swanctl("--initiate", "--child", "net", "--timeout", "20")
        wait_until(lambda: reachable(lab, "client"), 10, "an answer through strongSwan")
        figures = {"vpn_cpu_s_per_gib": [], "strongswan_cpu_s_per_gib": [], "vpn_cpu_vs_strongswan": []}
        for number in range(rounds):
            print(f"==> VPN round {number + 1} of {rounds}", file=sys.stderr, flush=True)
            ours, theirs = both_ways(lab, "guest", service.process), both_ways(lab, "client", client.process)
            for key, value in zip(figures, (ours, theirs, ours / theirs)):
                figures[key].append(value)
        figures["vpn_rss_mib"] = [service.process.peak_mib()]
        return figures
    finally:
        lab.close()


def counted(service):
    """Allocations and packets so far."""
    state = service.state()
    packets = re.search(r"in (\d+) packets, \d+ bytes; out (\d+) packets", state)
    return int(re.search(r"^memory: (\d+)", state, re.M)[1]), int(packets[1]) + int(packets[2])


def allocations_per_packet(folder, esp):
    lab = Lab(folder)
    try:
        lab.gateway(esp=esp).start()
        service = start_service(lab, guest_lease=600)
        first = counted(service)
        both_ways(lab, "guest", service.process)
        last = counted(service)
        return (last[0] - first[0]) / (last[1] - first[1])
    finally:
        lab.close()


def figures(rounds):
    folder = BUILD / "bench" / "vpn"
    shutil.rmtree(folder, ignore_errors=True)

    def make(name):
        (folder / name).mkdir(parents=True)
        return folder / name

    result = compare(make("compare"), rounds)
    result["vpn_allocs_per_packet"] = [allocations_per_packet(make(esp), esp) for esp in AEADS]
    result["vpn_allocs_per_packet_cbc"] = [allocations_per_packet(make(CBC), CBC)]
    return result


if __name__ == "__main__":
    print(json.dumps(figures(5), indent=1))
