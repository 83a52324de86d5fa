# SPDX-License-Identifier: Apache-2.0
"""Against the Linux kernel's own ESP: protocol 50 without UDP, ESN, CBC, IPv6 inside and outside, ECN, large packets."""
import re
import shutil
import struct

import pytest
from testbed.tools import BUILD
from vpnlab.capture import Capture, judge
from vpnlab.iperf import Iperf
from vpnlab.kernel_gateway import KernelGateway
from vpnlab.lab import CLIENT6, CLIENT_NAME, GATEWAY6, GATEWAY_NAME, OFFICE, OFFICE6, OFFICE_NET, OFFICE_NET6, POOL, POOL6, PSK, Lab
from vpnlab.service import WIRE, Service
from vpnlab.strongswan import block

ESP = ("aes256gcm16-esn, aes256gcm16, aes128gcm16-x25519-esn, chacha20poly1305-esn, aes256-sha256-esn, aes128-sha512, aes256-sha384-modp2048-esn")
# The policy's choice, and what the kernel's own table of SAs must then say.
VARIANTS = [
    ("aes256gcm16-esn", r"rfc4106\(gcm\(aes\)\).*\b128"),
    ("aes256gcm16-noesn", r"rfc4106\(gcm\(aes\)\).*\b128"),
    ("aes128gcm16-x25519-esn", r"rfc4106\(gcm\(aes\)\).*\b128"),
    ("chacha20poly1305-esn", r"rfc7539esp\(chacha20,poly1305\)"),
    ("aes256-sha256-esn", r"hmac\(sha256\).* 128[\s\S]*cbc\(aes\)"),
    ("aes128-sha512-noesn", r"hmac\(sha512\).* 256[\s\S]*cbc\(aes\)"),
    ("aes256-sha384-modp2048-esn", r"hmac\(sha384\).* 192[\s\S]*cbc\(aes\)"),
]


@pytest.fixture(scope="module")
def kernel_lab():
    """One gateway for all tests of this file: it takes ten seconds to start."""
    folder = BUILD / "system" / "vpn-kernel-gateway"
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir(parents=True)
    lab = Lab(folder)
    configuration = block("connections", shoji={
        "version": 2, "local_addrs": "%any", "proposals": "aes256gcm16-prfsha256-x25519", "pools": "inner, inner6", "unique": "replace",
        "local": {"auth": "psk", "id": GATEWAY_NAME}, "remote": {"auth": "psk", "id": CLIENT_NAME},
        "children": {"net": {"local_ts": f"{OFFICE_NET},{OFFICE_NET6}", "esp_proposals": ESP, "rekey_time": "0"}}})
    configuration += block("pools", inner={"addrs": POOL}, inner6={"addrs": POOL6})
    configuration += block("secrets", ike={"id-a": GATEWAY_NAME, "id-b": CLIENT_NAME, "secret": f'"{PSK}"'})
    gateway = None
    try:
        gateway = lab.kernel_gateway = KernelGateway(lab, configuration)
        gateway.wait_ready()
        yield lab
    finally:
        if gateway:
            gateway.stop()
        lab.close()


@pytest.fixture
def start(kernel_lab, folder):
    """start(**policy): a service and its capture, taken down after the test."""
    services = []

    def starter(**policy):
        service = Service(kernel_lab, folder=folder, **policy)
        services.append(service)
        capture = Capture(kernel_lab.network, WIRE, folder / "wire.pcap", busy=True)
        service.start()
        service.wait_up()
        service.wait_guest(4)
        service.wait_guest(6)
        service.reach(OFFICE, OFFICE6)
        return service, capture

    yield starter
    for service in services:
        service.close()


def finish(service, capture, wanted="esp"):
    capture.stop()
    counts = judge(capture, service.guest.mac(), inner=(OFFICE, OFFICE6))
    assert counts[wanted] >= 4, counts
    return counts


@pytest.mark.parametrize("esp, in_kernel", VARIANTS)
def test_raw_esp(start, kernel_lab, esp, in_kernel):
    service, capture = start(esp=esp)
    table = kernel_lab.kernel_gateway.shell("/usr/sbin/ip -statistics xfrm state")
    assert re.search(in_kernel, table), table
    assert ("esn" in table) == esp.endswith("-esn"), table
    assert "encap" not in table
    for size in (1300, 1400, 4000):
        service.reach(OFFICE, OFFICE6, size=size)
    finish(service, capture)


def test_forced_udp(start, kernel_lab):
    service, capture = start(esp="aes256gcm16-esn", udp_encapsulation="always")
    assert "encap" in kernel_lab.kernel_gateway.shell("/usr/sbin/ip xfrm state")
    counts = finish(service, capture, "ike or esp in udp")
    assert counts["esp"] == 0


def test_ipv6_outside(start, kernel_lab):
    service, capture = start(esp="aes256gcm16-esn", gateway=GATEWAY6, wire_address="off", wire_address6=f"{CLIENT6}/64")
    assert GATEWAY6 in kernel_lab.kernel_gateway.shell("/usr/sbin/ip xfrm state")
    for size in (1300, 4000):
        service.reach(OFFICE, OFFICE6, size=size)
    finish(service, capture)


def test_tcp(start, kernel_lab):
    """Both ways; QEMU's emulation sets the pace."""
    service, capture = start(esp="aes256gcm16-esn")
    for reverse in (False, True):
        report = Iperf(kernel_lab, server=False).measure(seconds=4, reverse=reverse)
        assert Iperf.received_mib(report) > 5
    assert not re.search(r"[1-9]\d* with a wrong ICV", service.state()), service.state()
    finish(service, capture)


def test_rekeying(start, kernel_lab):
    """ESN begins anew with each SA."""
    service, capture = start(esp="aes256gcm16-x25519-esn, aes128gcm16-x25519-esn", child_lifetime=6, ike_lifetime=20)
    # The gateway is an emulated machine, which may answer late.
    report = Iperf(kernel_lab, server=False).measure(seconds=25, bitrate="10M")
    assert Iperf.longest_pause(report) <= 4, service.log()
    assert "down" not in service.log(), service.log()
    finish(service, capture)


def test_ecn(start):
    """ECT is copied outside (RFC 6040); DSCP is not unless the policy says so."""
    service, capture = start(esp="aes256gcm16-esn")
    service.guest.run("/usr/bin/python3", "-c", "import socket\nfor tos in (0, 2, 1, 0xb8, 0xb8 | 2):\n"
                      "    s = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)\n    s.setsockopt(socket.IPPROTO_IP, socket.IP_TOS, tos)\n"
                      f"    s.sendto(bytes(300), ('{OFFICE}', 5201))")
    capture.stop()
    outer = [frame[15] for frame in capture.frames() if frame[12:14] == b"\x08\0" and frame[23] == 50
             and struct.unpack_from("!H", frame, 16)[0] in range(360, 420)]
    assert outer == [0, 2, 1, 0, 2], outer
    finish(service, capture)
