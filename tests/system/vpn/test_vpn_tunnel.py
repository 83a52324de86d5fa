# SPDX-License-Identifier: Apache-2.0
"""The tunnel to a stock strongSwan: each way to authenticate, each proposal, both address families, and nothing else on the wire."""
import re

import pytest
from vpnlab.capture import Capture, judge
from vpnlab.iperf import Iperf
from vpnlab.lab import GATEWAY_NAME, OFFICE, OFFICE6, OFFICE_NET
from vpnlab.network import PATIENCE, wait_until
from vpnlab.service import WIRE, Service

# What the gateway takes, against the policy's defaults: where the first group differs, INVALID_KE_PAYLOAD is met on the way.
PROPOSALS = [
    ("aes256gcm16-prfsha256-x25519", "aes256gcm16-x25519"),
    ("aes128gcm16-prfsha256-ecp256", "aes128gcm16-ecp256"),
    ("aes256gcm16-prfsha384-ecp384", "aes256gcm16"),
    ("chacha20poly1305-prfsha512-x25519", "chacha20poly1305-x25519"),
    ("aes256-sha256-modp2048", "aes256-sha256-modp2048"),
    ("aes128-sha384-modp3072", "aes128-sha384-modp3072"),
    ("aes256-sha512-x25519", "aes256-sha512"),
]


def up_and_reachable(service):
    service.start()
    service.wait_up()
    service.wait_guest(4)
    service.wait_guest(6)
    service.reach(OFFICE, OFFICE6)


@pytest.mark.parametrize("ike, esp", PROPOSALS)
def test_proposal(lab, ike, esp):
    gateway = lab.gateway(ike=ike, esp=esp)
    gateway.start()
    service = Service(lab)
    capture = Capture(lab.network, WIRE)
    up_and_reachable(service)
    assert "ESTABLISHED" in gateway.swanctl("--list-sas")
    # A full-sized packet and one that must be fragmented, both ways.
    service.reach(OFFICE, size=1400)
    service.reach(OFFICE6, size=1380)
    service.reach(OFFICE, size=4000)
    state = service.state()
    cipher = esp.split("-")[0]
    assert re.search(rf"^    {cipher}\b.*, ESP", state, re.M), state
    capture.stop()
    counts = judge(capture, service.guest.mac(), inner=(OFFICE, OFFICE6))
    assert counts["ike or esp in udp"] >= 8, counts


@pytest.mark.parametrize("gateway_key, client_key", [("ecdsa", "ecdsa"), ("rsa", "rsa"), ("ecdsa384", "rsa"), ("rsa", "ecdsa384")])
def test_certificates(lab, gateway_key, client_key):
    gateway = lab.gateway(auth="pubkey", certificate=lab.authority.issue(GATEWAY_NAME, gateway_key))
    gateway.start()
    service = Service(lab, auth="pubkey", kind=client_key)
    service.give("crl", lab.authority.crl())
    service.policy.update({"crl": "crl", "crl-required": "yes"})
    capture = Capture(lab.network, WIRE)
    up_and_reachable(service)
    assert "ESTABLISHED" in gateway.swanctl("--list-sas")
    if (gateway_key, client_key) == ("rsa", "rsa"):  # large enough to be cut, both ways (RFC 7383)
        assert "parsed IKE_AUTH request 1 [ EF(2/2) ]" in gateway.log() and "generating IKE_AUTH response 1 [ EF(2/2) ]" in gateway.log()
    capture.stop()
    judge(capture, service.guest.mac(), inner=(OFFICE, OFFICE6))


def test_traffic(lab):
    """iperf3 both ways, and the memory that it takes."""
    lab.gateway().start()
    service = Service(lab)
    capture = Capture(lab.network, WIRE, busy=True)
    up_and_reachable(service)
    iperf = Iperf(lab)
    before = allocations(service)
    for reverse in (False, True):
        iperf.measure(mib=40, reverse=reverse)
    packets = sum(map(int, re.search(r"in (\d+) packets, \d+ bytes; out (\d+) packets", service.state()).groups()))
    assert packets > 10000
    # Rekeying, leases and log lines allocate; packets must not.
    assert allocations(service) - before < 200, f"{allocations(service) - before} allocations for {packets} packets"
    assert service.process.peak_mib() <= 8
    capture.stop()
    judge(capture, service.guest.mac(), inner=(OFFICE,))


@pytest.mark.parametrize("everything", [False, True])
def test_split_networks(lab, everything):
    """What the gateway says is behind it becomes the guest's routes; a default route is there only where the tunnel takes everything."""
    child = {"local_ts": "0.0.0.0/0,::/0"} if everything else {}
    lab.gateway(child=child, pool={"subnet": f"{OFFICE_NET}, 10.40.0.0/16"}).start()
    service = Service(lab, **({"networks": "0.0.0.0/0, ::/0"} if everything else {}))
    service.start()
    service.wait_up()
    service.wait_guest(4)
    service.reach(OFFICE)
    routes = lab.network.ip("guest", "-4", "route", "show")
    assert re.search(rf"^{OFFICE_NET} via 10\.30\.0\.\d+ ", routes, re.M) and re.search(r"^10\.40\.0\.0/16 via ", routes, re.M), routes
    assert ("default" in routes) == everything, routes
    assert "behind it is 10.40.0.0/16" in service.state()


def allocations(service):
    return int(re.search(r"^memory: (\d+) allocations", service.state(), re.M).group(1))


def test_congestion_marks(lab):
    """A router marks all that the gateway sends (CE): inside, the mark is handed on where the sender speaks ECN; else the packet is dropped
    (RFC 6040 section 4.2)."""
    lab.gateway().start()
    service = Service(lab)
    up_and_reachable(service)
    address = service.guest.addresses(4)[0]
    lab.network.run("gw", "nft", "-f", "-", stdin=b"table ip congested { chain out { type filter hook output priority mangle; "
                    b"udp sport 4500 ip ecn set ce; }; }\n")
    send = ("import socket\ns = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)\n"
            f"s.bind(('{OFFICE}', 0))\nfor tos in (0, 1, 2, 3):\n    s.setsockopt(socket.IPPROTO_IP, socket.IP_TOS, tos)\n"
            f"    s.sendto(bytes([tos]), ('{address}', 7))\n")
    receive = ("import socket\ns = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)\ns.setsockopt(socket.IPPROTO_IP, socket.IP_RECVTOS, 1)\n"
               "s.bind(('', 7))\nprint('ready', flush=True)\ndata = b'-'\nwhile data[0] != 3:\n    data, extra, _, _ = s.recvmsg(9, 99)\n"
               "    print(data[0], extra[0][2][0], flush=True)\n")
    receiver = lab.network.start("guest", "/usr/bin/python3", "-c", receive, log="receive.log")
    wait_until(lambda: "ready" in receiver.text(), PATIENCE, f"the receiver: {receiver.text()}")
    lab.network.run("gw", "/usr/bin/python3", "-c", send)
    wait_until(lambda: not receiver.running(), PATIENCE, f"the last packet: {receiver.text()}")
    assert receiver.text().split("\n") == ["ready", "1 3", "2 3", "3 3", ""]


def test_secrets_stay_secret(lab):
    """Neither log nor state holds a byte of a key, also when the gateway's own log holds all of them."""
    gateway = lab.gateway()
    gateway.start()
    service = Service(lab)
    up_and_reachable(service)
    text = (service.log() + service.state()).lower()
    assert "correct horse" not in text
    # Nothing as long as a key in hexadecimal: an IKE SPI has 16 digits.
    assert not re.search(r"[0-9a-f]{20,}", text), text


def test_no_address_before_the_tunnel(lab):
    """Without a gateway the guest gets neither a lease nor a router."""
    service = Service(lab)
    service.start()
    service.wait_said("does not answer")
    assert not service.is_up()
    assert service.guest.addresses(4) == [] and service.guest.addresses(6) == []
    lab.gateway().start()
    service.wait_up()
    service.wait_guest(4)
    service.reach(OFFICE)
