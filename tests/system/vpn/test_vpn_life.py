# SPDX-License-Identifier: Apache-2.0
"""A tunnel's long life: rekeying from both ends, re-authentication, a gateway that dies, networks that lose, move and translate."""
import re
import socket
import struct
import time
from concurrent.futures import ThreadPoolExecutor

from vpnlab.capture import Capture, judge
from vpnlab.iperf import Iperf
from vpnlab.lab import CLIENT, GATEWAY, NAT_CLIENT, NAT_INSIDE, OFFICE
from vpnlab.network import PATIENCE, wait_until
from vpnlab.service import WIRE, Service

REKEY_SECONDS = 90
BACK_WITHIN = 30


def begin(lab, gateway=None, **policy):
    """Gateway, service, a guest with an address, and the recorded wire."""
    gateway = gateway or lab.gateway()
    if not gateway.process:
        gateway.start()
    service = Service(lab, **policy)
    capture = Capture(lab.network, WIRE, busy=True)
    service.start()
    service.wait_up()
    service.wait_guest()
    service.reach(OFFICE)
    return gateway, service, capture


def end(service, capture):
    assert service.process.running(), service.log()
    capture.stop()
    judge(capture, service.guest.mac(), inner=(OFFICE,))


def test_rekeying_under_traffic(lab):
    """Both ends rekey the CHILD SA and the IKE SA every few seconds, so that some of it collides; TCP must not notice."""
    gateway = lab.gateway(connection={"rekey_time": "11s", "over_time": "30s", "rand_time": "2s"},
                          child={"rekey_time": "5s", "life_time": "20s", "rand_time": "2s"})
    gateway, service, capture = begin(lab, gateway, child_lifetime=7, ike_lifetime=16)
    report = Iperf(lab).measure(seconds=REKEY_SECONDS, bitrate="80M")
    assert Iperf.longest_pause(report) <= 2, service.log()
    assert Iperf.received_mib(report) > 5 * REKEY_SECONDS
    log = gateway.log()
    rekeyed = len(re.findall(r"CHILD_SA net\{\d+\} established|inbound CHILD_SA net\{\d+\} established", log))
    assert rekeyed > REKEY_SECONDS / 8, f"only {rekeyed} CHILD SAs"
    assert len(re.findall(r"IKE_SA shoji\[\d+\] rekeyed between", log)) > REKEY_SECONDS / 25
    state = service.state()
    assert "down" not in service.log(), service.log()
    assert len(re.findall(r"^  CHILD SA \w+ in", state, re.M)) <= 3, state
    assert not re.search(r"[1-9]\d* with a wrong ICV", state), state
    end(service, capture)


def test_rekeying_of_the_other_direction(lab):
    """The same while the guest receives; here only we rekey, with a new Diffie-Hellman each time."""
    gateway, service, capture = begin(lab, child_lifetime=5, ike_lifetime=9)
    report = Iperf(lab).measure(seconds=20, reverse=True, bitrate="80M")
    assert Iperf.longest_pause(report) <= 2, service.log()
    assert len(re.findall(r"CHILD_SA net\{\d+\} established", gateway.log())) >= 4
    end(service, capture)


def test_reauthentication(lab):
    """The gateway announces AUTH_LIFETIME; a new IKE SA is there before the old one goes (RFC 4478)."""
    gateway = lab.gateway(connection={"reauth_time": "12s", "rekey_time": "0", "over_time": "12s", "rand_time": "0", "unique": "never"})
    gateway, service, capture = begin(lab, gateway)
    report = Iperf(lab).measure(seconds=30, bitrate="40M")
    assert Iperf.longest_pause(report) <= 3, service.log()
    authenticated = len(re.findall(r"authentication of 'client.vpn.test' with pre-shared key successful", gateway.log()))
    assert authenticated >= 3, f"{authenticated} authentications\n{service.state()}"
    assert gateway.log().count("INIT_CONTACT") <= 1
    end(service, capture)


def test_gateway_restart(lab):
    """Killed without a word and started anew: it knows nothing of our SAs."""
    gateway, service, capture = begin(lab)
    gateway.stop(kill=True)
    time.sleep(2)
    assert not service.guest.ping(OFFICE)
    gateway.start()
    began = time.monotonic()
    wait_until(lambda: service.guest.ping(OFFICE), BACK_WITHIN, f"traffic again\n{service.log()}")
    print(f"traffic again after {time.monotonic() - began:.1f} s")
    end(service, capture)


def test_gateway_says_goodbye(lab):
    """It deletes the IKE SA; the tunnel is made again."""
    gateway, service, capture = begin(lab)
    gateway.swanctl("--terminate", "--ike", "shoji", "--timeout", "5")
    wait_until(lambda: service.guest.ping(OFFICE), BACK_WITHIN, f"traffic again\n{service.log()}")
    end(service, capture)


def test_address_translation(make_lab):
    """A NAT between, which then forgets us and gives us another port."""
    lab = make_lab(cable=False)
    lab.add_nat()
    gateway, service, capture = begin(lab, wire_address=f"{NAT_CLIENT}/24", wire_router=NAT_INSIDE, keepalive_interval=2)
    assert "behind a NAT" in service.state()
    Iperf(lab).measure(mib=20)
    port = remote_port(gateway)
    lab.network.ip("nat", "link", "set", "outside", "down")  # masquerading forgets what went out there
    lab.network.ip("nat", "link", "set", "outside", "up")
    wait_until(lambda: service.guest.ping(OFFICE), BACK_WITHIN, f"traffic again\n{service.log()}")
    wait_until(lambda: remote_port(gateway) != port, PATIENCE, "another port")
    capture.stop()
    counts = judge(capture, service.guest.mac(), inner=(OFFICE,))
    assert any(len(frame) < 60 and frame[42:43] == b"\xff" for frame in capture.frames()), "no NAT keepalive"
    assert counts["esp"] == 0


def remote_port(gateway):
    return re.search(r"remote .*\[(\d+)\]", gateway.swanctl("--list-sas")).group(1)


def test_address_change(lab):
    """The cable comes back where the DHCP server gives another address: MOBIKE moves the tunnel, TCP goes on."""
    network = lab.network
    network.add_space("dhcp", ipv6=False)
    network.connect("dhcp", "eth0", "lan")
    network.address("dhcp", "eth0", "192.0.2.253/24")

    def serve(address):
        text = (f"start {address}\nend {address}\ninterface eth0\nlease_file {lab.folder}/leases.{address}\n"
                f"pidfile {lab.folder}/udhcpd.pid\noption subnet 255.255.255.0\noption lease 10\nmin_lease 10\n")
        (lab.folder / "udhcpd.conf").write_text(text)
        (lab.folder / f"leases.{address}").touch()
        return network.start("dhcp", "busybox", "udhcpd", "-f", lab.folder / "udhcpd.conf", log="udhcpd.log")

    server = serve("192.0.2.100")
    gateway, service, capture = begin(lab, wire_address="dhcp")
    assert "192.0.2.100" in gateway.swanctl("--list-sas")
    iperf = Iperf(lab)
    with ThreadPoolExecutor(1) as pool:
        running = pool.submit(iperf.measure, seconds=20, bitrate="20M")
        time.sleep(2)
        network.ip("net", "link", "set", WIRE, "down")  # from one network to another
        server.stop()
        serve("192.0.2.120")
        time.sleep(1)
        network.ip("net", "link", "set", WIRE, "up")
        report = running.result()
    wait_until(lambda: "192.0.2.120" in gateway.swanctl("--list-sas"), PATIENCE, f"the new address at the gateway\n{service.log()}")
    assert gateway.log().count("authentication of 'client.vpn.test'") == 1, "a new tunnel instead of MOBIKE"
    assert report["intervals"][-1]["sum"]["bytes"] > 0
    end(service, capture)


def half_open_request():
    """An IKE_SA_INIT whose sender never goes on: AES-GCM-256, PRF SHA-256, x25519."""
    transforms = bytes.fromhex("0300000c01000014800e0100" "0300000802000005" "000000080400001f")
    proposal = struct.pack("!BBHBBBB", 0, 0, 8 + len(transforms), 1, 1, 0, 3) + transforms
    payloads = struct.pack("!BBH", 34, 0, 4 + len(proposal)) + proposal
    payloads += struct.pack("!BBHHH", 40, 0, 8 + 32, 31, 0) + bytes([9] + [0] * 31)
    payloads += struct.pack("!BBH", 0, 0, 4 + 32) + bytes(range(32))
    return b"half-spi" + bytes(8) + struct.pack("!BBBBII", 33, 0x20, 34, 0x08, 0, 28 + len(payloads)) + payloads


def test_cookies(lab):
    """With one half-open SA from somewhere else the gateway demands a cookie."""
    network = lab.network
    network.add_space("other")
    network.connect("other", "eth0", "wan")
    network.address("other", "eth0", "192.0.2.77/24")
    gateway = lab.gateway(options="cookie_threshold = 1\n  half_open_timeout = 60")
    gateway.start()
    send = (f"import socket\ns = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)\ns.bind(('192.0.2.77', 500))\n"
            f"s.sendto(bytes.fromhex('{half_open_request().hex()}'), ('{GATEWAY}', 500))\n"
            "s.settimeout(5)\nprint(len(s.recv(4096)))")
    assert int(network.run("other", "/usr/bin/python3", "-c", send)[1]) > 100
    _, service, capture = begin(lab, gateway)
    assert "N(COOKIE)" in gateway.log()
    end(service, capture)


def test_loss_while_connecting(make_lab):
    """Every fourth frame is lost, others come twice or late."""
    lab = make_lab(cable=False)
    lab.add_relay(seed=4, loss=25, duplication=10, reordering=10, delay_ms=10)
    _, service, capture = begin(lab)
    end(service, capture)


def test_bad_network(make_lab):
    """A little loss, doubles and disorder under TCP: each packet is taken once."""
    lab = make_lab(cable=False)
    lab.add_relay(seed=7, loss=0.2, duplication=3, reordering=3, delay_ms=2)
    _, service, capture = begin(lab, child_lifetime=6, ike_lifetime=11)
    iperf = Iperf(lab)
    for reverse in (False, True):
        assert Iperf.received_mib(iperf.measure(seconds=8, reverse=reverse, bitrate="30M")) > 2
    state = service.state()
    assert "down" not in service.log(), service.log()
    assert not re.search(r"[1-9]\d* with a wrong ICV", state), state
    end(service, capture)


def test_unprotected_hints(lab):
    """INVALID_SPI and ICMP errors in clear, which anybody can send, do not end a tunnel (RFC 7296 section 2.21.4)."""
    gateway, service, capture = begin(lab)
    spi = bytes.fromhex(re.search(r"^  CHILD SA (\w{8}) in, (\w{8}) out", service.state(), re.M).group(2))
    notify = struct.pack("!BBHBBH", 0, 0, 12, 0, 0, 11) + spi
    message = bytes(16) + struct.pack("!BBBBII", 41, 0x20, 37, 0x08, 0, 28 + len(notify)) + notify
    udp = struct.pack("!HHHH", 500, 500, 8 + len(message), 0) + message
    ip = bytearray(struct.pack("!BBHHHBBH4s4s", 0x45, 0, 20 + len(udp), 1, 0, 64, 17, 0, socket.inet_aton(GATEWAY), socket.inet_aton(CLIENT)))
    total = sum(struct.unpack("!10H", ip))
    struct.pack_into("!H", ip, 10, ~(total + (total >> 16)) & 0xFFFF)
    send = ("import socket\ns = socket.socket(socket.AF_INET, socket.SOCK_RAW, socket.IPPROTO_RAW)\n"
            f"[s.sendto(bytes.fromhex('{(bytes(ip) + udp).hex()}'), ('{CLIENT}', 0)) for _ in range(20)]")
    lab.network.run("gw", "/usr/bin/python3", "-c", send)
    time.sleep(2)
    assert service.is_up()
    service.reach(OFFICE)
    assert gateway.log().count("authentication of 'client.vpn.test'") == 1
    end(service, capture)
