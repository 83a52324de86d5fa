# SPDX-License-Identifier: Apache-2.0
"""Nothing of the guest reaches the wire but inside ESP: before the tunnel, in it, and when it is gone. And the guest is told."""
import errno
import json
from pathlib import Path

import pytest
from vpnlab import noise
from vpnlab.capture import Capture, judge
from vpnlab.lab import GATEWAY, GATEWAY6, OFFICE, OFFICE6
from vpnlab.network import PATIENCE, wait_until
from vpnlab.service import GUEST, WIRE, Service

ELSEWHERE, ELSEWHERE6 = "198.51.100.9", "2001:db8:99::9"
TARGETS = (OFFICE, OFFICE6, GATEWAY, GATEWAY6, ELSEWHERE, ELSEWHERE6, "255.255.255.255", "224.0.0.251", "ff02::1", "192.0.2.2")
UNREACHABLE = (errno.ENETUNREACH, errno.EHOSTUNREACH, errno.EACCES, errno.ECONNREFUSED)


def gateway_mac(service):
    """Of the virtual gateway: the TAP's with its last bit turned over."""
    mac = bytearray.fromhex(service.guest.mac().replace(":", ""))
    mac[5] ^= 1
    return mac.hex(":")


def throw_everything(service):
    count = service.guest.run("/usr/bin/python3", Path(noise.__file__), GUEST, gateway_mac(service), *TARGETS)[1]
    assert int(count) > 3000
    return service.state()


def answer_to_a_packet(service, address):
    """The error that the guest's own kernel gets for a UDP packet: what ICMP said. 0: nothing."""
    program = ("import json, socket, sys, time\ns = socket.socket(socket.AF_INET6 if ':' in sys.argv[1] else socket.AF_INET, socket.SOCK_DGRAM)\n"
               "s.setsockopt(*((socket.IPPROTO_IPV6, 25) if ':' in sys.argv[1] else (socket.IPPROTO_IP, 11)), 1)  # RECVERR: unreachable nets too\n"
               "s.settimeout(2)\ns.connect((sys.argv[1], 9))\n"
               "try:\n    s.send(b'guest-in-clear')\n    s.recv(1)\nexcept socket.timeout:\n    print(0)\nexcept OSError as e:\n    print(e.errno)\n")
    return json.loads(service.guest.run("/usr/bin/python3", "-c", program, address)[1])


def check_wire(capture, service, **wanted):
    capture.stop()
    counts = judge(capture, service.guest.mac(), markers=(noise.MARKER,), inner=(OFFICE, OFFICE6, ELSEWHERE, ELSEWHERE6))
    for kind, least in wanted.items():
        assert counts[kind.replace("_", " ")] >= least, counts
    return counts


def test_before_the_tunnel(lab):
    """No gateway answers. A guest that gives itself addresses gets no further."""
    service = Service(lab)
    capture = Capture(lab.network, WIRE)
    service.start(dhcp=False)
    service.guest.network.address("guest", GUEST, "10.30.0.1/24", "fd30::1/64")
    throw_everything(service)
    assert service.process.running(), service.log()
    wait_until(lambda: any(frame[12:14] == b"\x08\0" for frame in capture.frames()), PATIENCE, "an IP packet on the wire")
    check_wire(capture, service, ike_or_esp_in_udp=1)


def test_in_the_tunnel(lab):
    lab.gateway().start()
    service = Service(lab)
    capture = Capture(lab.network, WIRE)
    service.start()
    service.wait_up()
    service.wait_guest(4)
    service.wait_guest(6)
    throw_everything(service)
    assert service.process.running(), service.log()
    service.reach(OFFICE, OFFICE6)
    for address in (ELSEWHERE, ELSEWHERE6):
        wait_until(lambda where=address: answer_to_a_packet(service, where) in UNREACHABLE, PATIENCE, f"ICMP about {address}")
    check_wire(capture, service, ike_or_esp_in_udp=10)


@pytest.mark.parametrize("how", ["gateway gone", "deleted"])
def test_after_the_tunnel(lab, how):
    """It was up; now the gateway is silent, or has said goodbye and takes us back no more."""
    gateway = lab.gateway()
    gateway.start()
    service = Service(lab, dead_peer_interval=2)
    capture = Capture(lab.network, WIRE)
    service.start()
    service.wait_up()
    service.wait_guest(4)
    service.wait_guest(6)
    service.reach(OFFICE)
    if how == "deleted":
        (gateway.folder / "swanctl" / "swanctl.conf").write_text("connections { }\n")
        gateway.swanctl("--load-all", "--noprompt", "--clear")
        gateway.swanctl("--terminate", "--ike", "shoji", "--timeout", "5")
    else:
        gateway.stop(kill=True)
    wait_until(lambda: not service.is_up(), PATIENCE, f"the tunnel's end\n{service.state()}")
    # The guest may have lost its address with the carrier; it keeps what it had all the same.
    for address in ("10.30.0.1/24", "fd30::1/64"):
        lab.network.ip("guest", "address", "replace", address, "dev", GUEST)
    mac = gateway_mac(service)
    for version, address in (("-4", OFFICE), ("-6", OFFICE6)):
        lab.network.ip("guest", version, "route", "replace", address, "dev", GUEST)
        lab.network.ip("guest", "neighbour", "replace", address, "lladdr", mac, "dev", GUEST)
    throw_everything(service)
    assert service.process.running(), service.log()
    for address in (OFFICE, OFFICE6):
        wait_until(lambda where=address: answer_to_a_packet(service, where) in UNREACHABLE, PATIENCE, f"ICMP unreachable about {address}")
    check_wire(capture, service, ike_or_esp_in_udp=4)


def test_service_gone(lab):
    """A killed service leaves the guest a dead cable."""
    lab.gateway().start()
    service = Service(lab)
    capture = Capture(lab.network, WIRE)
    service.start()
    service.wait_up()
    service.wait_guest()
    service.reach(OFFICE)
    service.process.stop(9)
    assert not service.guest.ping(OFFICE)
    check_wire(capture, service, ike_or_esp_in_udp=3)


def test_plain_exceptions(lab):
    """With `plain` the guest reaches that network, from our address, by TCP and UDP; and nothing else that way."""
    network = lab.network
    network.add_space("printer")
    network.connect("printer", "eth0", "wan")
    network.address("printer", "eth0", "192.0.2.77/24", "192.0.2.88/24")
    echo = ("import socket\ns = socket.create_server(('', 9100))\nprint('ready', flush=True)\nwhile True:\n    c, peer = s.accept()\n    c.recv(100)\n"
            "    c.sendall(peer[0].encode())\n    c.close()\n")
    printer = network.start("printer", "/usr/bin/python3", "-c", echo, log="printer.log")
    wait_until(lambda: "ready" in printer.text(), PATIENCE, "the printer")
    lab.gateway().start()
    service = Service(lab, plain="192.0.2.77/32")
    capture = Capture(network, WIRE)
    service.start()
    service.wait_up()
    inner = service.wait_guest()
    service.reach(OFFICE)
    ask = ("import socket, sys\ntry:\n    s = socket.create_connection((sys.argv[1], 9100), 10)\n    s.sendall(b'page')\n"
           "    print(s.recv(100).decode())\nexcept OSError as e:\n    print('error', e)\n")

    def answer(address):
        return service.guest.run("/usr/bin/python3", "-c", ask, address)[1].strip()

    assert answer("192.0.2.77") == "192.0.2.2", "the printer must see our address on the wire"
    assert answer("192.0.2.88").startswith("error")
    assert not service.guest.ping("192.0.2.77")
    throw_everything(service)
    service.reach(OFFICE)
    capture.stop()
    counts = judge(capture, service.guest.mac(), markers=(noise.MARKER,), inner=(OFFICE, inner, "192.0.2.88"), plain=("192.0.2.77/32",))
    assert 5 <= counts["plain"] < 40, counts
