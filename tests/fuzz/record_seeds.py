#!/usr/bin/python3
# SPDX-License-Identifier: Apache-2.0
"""record_seeds.py FUZZERS: sets up tunnels to a stock strongSwan as the VPN's tests do, captures what passes on the wire and at the guest, and
makes seeds of it for the VPN's fuzzers. Of these only what reaches code that the seeds before did not reach stays, as
tests/fuzz/corpus/FUZZER/captured-N. What is sealed inside IKE comes from strongSwan's log of its plain text. Needs root."""
import re
import shutil
import struct
import subprocess
import sys
from pathlib import Path

REPOSITORY = Path(__file__).resolve().parents[2]
sys.path += [str(REPOSITORY / "tools"), str(REPOSITORY / "tests/system/vpn")]

from vpnlab.capture import Capture  # noqa: E402
from vpnlab.lab import GATEWAY, GATEWAY_NAME, OFFICE, OFFICE6, Lab  # noqa: E402
from vpnlab.network import wait_until  # noqa: E402
from vpnlab.service import GUEST, WIRE, Service  # noqa: E402

CORPUS = REPOSITORY / "tests/fuzz/corpus"
WORK = REPOSITORY / "build/fuzz/recorded"
SERVER = "192.0.2.253"
COOKIES = "cookie_threshold = 1\n  half_open_timeout = 30"

# The fuzzers' own choices: the first byte, or operations, of their inputs.
IKE_MENDED, IKE_MENDED_ESTABLISHED = 2, 3
INNER_OWN_AUTH, INNER_RAW, INNER_ACT_SHIFT = 1, 4, 3
INNER_RESPONSE, INNER_CREATE = 1, 2
ACT_REKEY_CHILD, ACT_DELETE_CHILD, ACT_REKEY_IKE = 1, 2, 3
ESP_SUITES, ESP_MENDED = 5, 2
DHCP_SERVER4, DHCP_SERVER6, DHCP_FRAME, DHCP_CLIENT = range(4)
DNS_QUESTION, DNS_IPV6 = 1, 2
TUNNEL_GUEST, TUNNEL_GUEST_MENDED, TUNNEL_WIRE_MENDED, TUNNEL_PEER = 0, 1, 3, 4

IPV4, IPV6 = 0x0800, 0x86DD
UDP, ESP = 17, 50
CERT, AUTH = 37, 39
# As strongSwan's log calls the payload that comes first.
FIRST_PAYLOADS = {"SA": 33, "IDr": 36, "AUTH": 39, "No": 40, "N": 41, "D": 42, "CPRP": 47}


def sized(data):
    return struct.pack("!H", len(data)) + data


class Seeds:
    def __init__(self):
        shutil.rmtree(WORK, ignore_errors=True)
        self.count = 0

    def add(self, fuzzer, data):
        folder = WORK / fuzzer
        folder.mkdir(parents=True, exist_ok=True)
        (folder / f"{self.count:06}").write_bytes(data)
        self.count += 1


def datagrams(frames):
    """(source MAC, packet, protocol, source port, destination port, payload) of each IP packet that is not a later fragment."""
    for frame in frames:
        kind = struct.unpack_from("!H", frame, 12)[0]
        packet = frame[14:]
        if kind == IPV4:
            packet = packet[:struct.unpack_from("!H", packet, 2)[0]]
            protocol, payload = packet[9], packet[(packet[0] & 15) * 4:]
        elif kind == IPV6:
            packet = packet[:40 + struct.unpack_from("!H", packet, 4)[0]]
            protocol, payload = packet[6], packet[40:]
        else:
            continue
        ports = struct.unpack_from("!HH", payload) if protocol == UDP else (0, 0)
        yield frame[6:12], packet, protocol, *ports, payload[8:] if protocol == UDP else payload


def from_wire(seeds, frames):
    """What comes to the service: IKE, ESP, DNS and DHCP."""
    ike, offers = [], []
    for _, packet, protocol, port, to_port, payload in datagrams(frames):
        if protocol == UDP and port == 4500 and payload[:4] == bytes(4):
            ike.append(payload[4:])
        elif protocol == UDP and port == 500:
            ike.append(payload)
        elif protocol == ESP or (protocol == UDP and port == 4500):
            seeds.add("esp", bytes([seeds.count % ESP_SUITES, ESP_MENDED]) + payload)
            seeds.add("tunnel", bytes([TUNNEL_WIRE_MENDED]) + sized(packet))
        elif protocol == UDP and port == 53:
            choices = DNS_QUESTION | (DNS_IPV6 if b"\0\x1c\0\1" in payload else 0)
            end = payload.index(b"\0", 12) + 5  # of the question: the fuzzer puts its own in its place
            seeds.add("dns", bytes([choices]) + payload[1:12] + payload[end:])
        elif protocol == UDP and to_port == 68:
            offers.append(payload[4:])  # the fuzzer begins at the transaction's number
    for number, message in enumerate(ike):
        seeds.add("ike", bytes([IKE_MENDED]) + b"".join(map(sized, ike[:number + 1])))
        seeds.add("ike", bytes([IKE_MENDED_ESTABLISHED]) + sized(message))
    for first, second in zip(offers, offers[1:]):
        seeds.add("dhcp", bytes([DHCP_CLIENT]) + sized(first) + second)


def from_guest(seeds, frames, guest_mac):
    for frame in frames:
        if frame[6:12] == guest_mac:
            seeds.add("dhcp", bytes([DHCP_FRAME]) + frame)
    for source, packet, protocol, _, to_port, payload in datagrams(frames):
        if source == guest_mac:
            seeds.add("tunnel", bytes([TUNNEL_GUEST]) + sized(packet))
            seeds.add("tunnel", bytes([TUNNEL_GUEST_MENDED]) + sized(packet))
            if protocol == UDP and to_port in (67, 547):
                seeds.add("dhcp", bytes([DHCP_SERVER4 if to_port == 67 else DHCP_SERVER6]) + payload)
        else:
            seeds.add("tunnel", bytes([TUNNEL_PEER]) + sized(packet))


def plain_messages(log):
    """(exchange, whether it answers, type of the first payload, payloads) of what the gateway sealed."""
    about, data = None, None
    for line in log.splitlines():
        generating = re.search(r"generating (\w+) (request|response) \d+ \[ (\w*)", line)
        dump = re.search(r"\s\d+: ((?:[0-9A-F]{2} ){1,16})", line)
        if generating:
            about = (generating[1], generating[2] == "response", FIRST_PAYLOADS.get(generating[3], 0))
        elif re.search(r"\] (<.*> )?plain =>", line):
            data = b""
        elif data is not None and dump:
            data += bytes.fromhex(dump[1])
        elif data is not None:
            if about:
                yield *about, data
            about, data = None, None


def payloads(first, data):
    while first and len(data) >= 4:
        following, _, length = struct.unpack_from("!BBH", data)
        yield first, data[4:length]
        first, data = following, data[length:]


def from_plain(seeds, log):
    """What the gateway sealed: the payloads behind AUTH, its requests one by one, and its answers to what we began."""
    acts = {"CREATE_CHILD_SA": (ACT_REKEY_CHILD, ACT_REKEY_IKE), "INFORMATIONAL": (ACT_DELETE_CHILD,)}
    for exchange, answers, first, data in plain_messages(log):
        whole = bytes([first]) + data
        how = INNER_CREATE if exchange == "CREATE_CHILD_SA" else 0
        if exchange == "IKE_AUTH":
            records = list(payloads(first, data))
            at = next((i for i, (kind, _) in enumerate(records) if kind == AUTH), len(records))
            behind = b"".join(bytes([kind]) + sized(content) for kind, content in records[at + 1:])
            seeds.add("ike_inner", bytes([INNER_OWN_AUTH]) + sized(behind))
            for kind, content in records:
                if kind == CERT:  # its encoding comes before it
                    seeds.add("certificate", content[1:])
        elif answers:
            for act in acts.get(exchange, ()):
                seeds.add("ike_inner", bytes([INNER_RAW | act << INNER_ACT_SHIFT, INNER_RESPONSE | how]) + sized(whole))
        else:
            seeds.add("ike_inner", bytes([INNER_RAW, how]) + sized(whole))


def record(seeds, name, auth, policy, connection, options=""):
    folder = WORK / name
    folder.mkdir(parents=True)
    lab = Lab(folder)
    try:
        network = lab.network
        network.add_space("server")
        network.connect("server", "eth0", "lan")
        network.address("server", "eth0", f"{SERVER}/24")
        network.start("server", "dnsmasq", "--no-resolv", "--no-hosts", "--keep-in-foreground", "--user=root", "--conf-file=/dev/null",
                      "--interface=eth0", "--bind-interfaces", f"--dhcp-leasefile={folder}/leases", "--dhcp-range=192.0.2.100,192.0.2.110,300",
                      f"--host-record={GATEWAY_NAME},{GATEWAY},2001:db8:2::1", log="dnsmasq.log")
        gateway = lab.gateway(auth=auth, connection=connection, pool={"dns": "10.20.0.53", "subnet": "10.20.0.0/24"},
                              options=f"{options}\n  filelog {{ plain {{ path = {folder}/plain.log\n default = 0\n enc = 3\n flush_line = yes }} }}")
        gateway.start()
        service = Service(lab, auth=auth, gateway=GATEWAY_NAME, wire_address="dhcp", **policy)
        if auth == "pubkey":
            service.give("crl", lab.authority.crl())
            service.policy.update({"crl": "crl", "crl-required": "yes"})
        wire = Capture(network, WIRE, direction="out", whole=True)
        service.start(dhcp=False)
        inside = Capture(network, GUEST, "guest.pcap", space="guest", direction="inout", whole=True)
        service.guest.start_dhcp()
        service.wait_up()
        service.wait_guest(4)
        service.wait_guest(6)
        service.reach(OFFICE, OFFICE6)
        service.reach(OFFICE, size=4000)
        rekeyed = gateway.log().count("CREATE_CHILD_SA response")
        wait_until(lambda: gateway.log().count("CREATE_CHILD_SA response") > rekeyed + 2, 60, "rekeying from our end")
        for what in ("--child", "--ike"):
            gateway.swanctl("--rekey", what, "net" if what == "--child" else "shoji")
        service.reach(OFFICE, OFFICE6)
        gateway.swanctl("--terminate", "--child", "net")
        service.reach(OFFICE)
        gateway.swanctl("--terminate", "--ike", "shoji")
        wire.stop()
        inside.stop()
        gateway.stop()
        from_wire(seeds, list(wire.frames()))
        from_guest(seeds, list(inside.frames()), bytes.fromhex(service.guest.mac().replace(":", "")))
        from_plain(seeds, (folder / "plain.log").read_text(errors="replace"))
        if auth == "pubkey":
            for name_of in ("certificate", "authorities", "crl"):
                seeds.add("certificate", (service.secrets / name_of).read_bytes())
    finally:
        lab.close()


def keep_new(fuzzers):
    """Merges into the corpora what reaches code that nothing before reached."""
    for fuzzer in map(Path, fuzzers):
        name = fuzzer.name.removeprefix("fuzz_")
        recorded, corpus, merged = WORK / name, CORPUS / name, WORK / "merged" / name
        if not recorded.is_dir():
            continue
        for old in corpus.glob("captured-*"):
            old.unlink()
        shutil.copytree(corpus, merged)
        before = {path.name for path in merged.iterdir()}
        subprocess.run([fuzzer, "-merge=1", "-rss_limit_mb=4096", merged, recorded], check=True, stderr=subprocess.DEVNULL)
        new = sorted(path for path in merged.iterdir() if path.name not in before)
        for number, path in enumerate(new):
            shutil.copyfile(path, corpus / f"captured-{number}")
        print(f"{name}: {len(new)} of {len(list(recorded.iterdir()))} captured inputs reach what was not reached")


def main():
    seeds = Seeds()
    often = {"child_lifetime": 6, "ike_lifetime": 20}
    record(seeds, "psk", "psk", often, {"mobike": "yes"})
    record(seeds, "udp", "psk", {**often, "udp_encapsulation": "always"}, {"dpd_delay": "2s"}, COOKIES)
    record(seeds, "certificates", "pubkey", often, {"fragmentation": "yes", "reauth_time": "12s"})
    keep_new(sys.argv[1:])


if __name__ == "__main__":
    main()
