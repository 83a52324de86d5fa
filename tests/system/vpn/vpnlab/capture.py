# SPDX-License-Identifier: Apache-2.0
"""The wire, recorded whole and judged: nothing of the guest may be on it in clear."""
import ipaddress
import struct
import time
from collections import Counter
from signal import SIGINT

from .network import PATIENCE, wait_until

ETHERNET = 14
ARP, IPV4, IPV6 = 0x0806, 0x0800, 0x86DD
TCP, UDP, ESP, ICMP6 = 6, 17, 50, 58
DHCP_PORTS, DHCP6_PORTS, DNS_PORT, IKE_PORTS = {67, 68}, {546, 547}, 53, {500, 4500}
NEIGHBOUR_DISCOVERY = range(133, 138)
READ_TIMEOUT = 1.2  # seconds after which libpcap hands on a buffer that is not full; what is younger at its end is lost
READ_MOMENT = 0.3   # the same where it hands on each frame at once
MULTICAST_LISTENER = {130, 131, 132, 143}


class Capture:
    """tcpdump on an interface, of what its device sends ("in", as the kernel sees a TAP), is sent ("out"), or both ("inout")."""

    def __init__(self, network, interface, name="wire.pcap", busy=False, space="net", direction="in", whole=False):
        """busy: gigabytes will come, so that frames are read by the buffer rather than each at once. whole: frames to their last byte."""
        self.path = network.folder / name  # or an absolute path
        self.network, self.rest = network, READ_TIMEOUT if busy else READ_MOMENT
        # -Z root: the folder may be one that only root may write to. The snap length keeps iperf3's gigabytes small: headers and enough of
        # each payload to find a marker.
        self.process = network.start(space, "tcpdump", "-i", interface, "-Q", direction, "-s", "0" if whole else "160", "-B", "32768", "-U", "-Z", "root",
                                     *([] if busy else ["--immediate-mode"]), "-w", self.path, log=f"{self.path}.log")
        wait_until(lambda: "listening on" in self.process.text(), PATIENCE, "tcpdump listening")

    def stop(self):
        if self.process.running():
            time.sleep(self.rest)
            self.process.send(SIGINT)
            self.process.popen.wait(PATIENCE)
        text = self.process.text()
        if "packets dropped by kernel" not in text or "0 packets dropped by kernel" not in text:
            raise AssertionError(f"tcpdump lost packets: {text}")

    def frames(self):
        data = self.path.read_bytes()
        at = 24
        while at + 16 <= len(data):
            size = struct.unpack_from("<I", data, at + 8)[0]
            yield data[at + 16:at + 16 + size]
            at += 16 + size


def _judge_transport(protocol, payload, counts):
    """None, or why this packet may not be on the wire."""
    if protocol == ESP:
        counts["esp"] += 1
        return None
    if protocol == UDP and len(payload) >= 8:
        ports = set(struct.unpack_from("!HH", payload))
        for allowed, name in ((IKE_PORTS, "ike or esp in udp"), (DHCP_PORTS, "dhcp"), (DHCP6_PORTS, "dhcp"), ({DNS_PORT}, "dns")):
            if ports & allowed:
                counts[name] += 1
                return None
        return f"UDP between ports {sorted(ports)}"
    if protocol == ICMP6 and payload and payload[0] in {*NEIGHBOUR_DISCOVERY, *MULTICAST_LISTENER}:
        counts["neighbour discovery"] += 1
        return None
    return f"IP protocol {protocol}"


def _judge_ip(frame, kind, counts):
    packet = frame[ETHERNET:]
    if kind == IPV4 and len(packet) >= 20:
        header = (packet[0] & 15) * 4
        if struct.unpack_from("!H", packet, 6)[0] & 0x1FFF:
            counts["later fragments"] += 1
            return None if packet[9] in (UDP, ESP) else f"a fragment of IP protocol {packet[9]}"
        return _judge_transport(packet[9], packet[header:], counts)
    if kind == IPV6 and len(packet) >= 40:
        protocol, payload = packet[6], packet[40:]
        if protocol == 0 and len(payload) >= 8:  # hop by hop: multicast listener reports
            protocol, payload = payload[0], payload[8 * (payload[1] + 1):]
        if protocol == 44 and len(payload) >= 8:
            later = struct.unpack_from("!H", payload, 2)[0] & 0xFFF8
            protocol, payload = payload[0], payload[8:]
            if later:
                counts["later fragments"] += 1
                return None if protocol in (UDP, ESP) else f"a fragment of IP protocol {protocol}"
        return _judge_transport(protocol, payload, counts)
    return "a malformed IP packet"


def _is_plain(frame, kind, plain):
    """To a network that the policy takes past the tunnel, by TCP or UDP."""
    return kind == IPV4 and frame[23] in (TCP, UDP) and any(ipaddress.ip_address(frame[30:34]) in network for network in plain)


def judge(capture, guest_mac, markers=(), inner=(), plain=()):
    """Counts what the service sent by kind, and raises on the first frame that it may not send: anything but ESP, IKE and what it needs
    itself to reach the gateway; the guest's MAC address; a marker that only the guest's packets hold; an inner address as an end. What goes to
    the networks of `plain` is counted."""
    counts = Counter()
    mac = bytes.fromhex(guest_mac.replace(":", ""))
    plain = [ipaddress.ip_network(network) for network in plain]
    inner = [ipaddress.ip_address(address).packed for address in inner]
    for number, frame in enumerate(capture.frames()):
        kind = struct.unpack_from("!H", frame, 12)[0]
        if kind == ARP:
            counts["arp"] += 1
            wrong = None
        elif _is_plain(frame, kind, plain):
            counts["plain"] += 1
            if mac in frame or any(address in frame[26:34] for address in inner):
                raise AssertionError(f"frame {number} goes past the tunnel with the guest's own addresses: {frame.hex()}")
            continue
        elif kind in (IPV4, IPV6):
            wrong = _judge_ip(frame, kind, counts)
        else:
            wrong = f"EtherType {kind:04x}h"
        if mac in frame:
            wrong = "the guest's MAC address"
        wrong = wrong or next((f"the guest's marker {marker!r}" for marker in markers if marker in frame), None)
        addresses = {IPV4: frame[26:34], IPV6: frame[22:54], ARP: frame[28:42]}.get(kind, b"")
        wrong = wrong or next(("an inner address in clear" for address in inner if address in addresses), None)
        if wrong:
            raise AssertionError(f"frame {number} of {capture.path.name} should not be on the wire ({wrong}): {frame.hex()}")
    return counts
