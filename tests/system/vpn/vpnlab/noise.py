#!/usr/bin/python3
# SPDX-License-Identifier: Apache-2.0
"""noise.py INTERFACE GATEWAY-MAC TARGET...: everything that a guest may throw at its network, each frame with a marker: IPv4 and IPv6 to the
targets and elsewhere, fragments, IKE and ESP of its own, broadcasts, VLANs, foreign EtherTypes, borrowed MAC addresses, DHCP, cut frames."""
import ipaddress
import random
import socket
import struct
import sys

MARKER = b"guest-in-clear"


def checksum(data):
    data += b"\0" * (len(data) % 2)
    total = sum(struct.unpack(f"!{len(data) // 2}H", data))
    while total >> 16:
        total = (total & 0xFFFF) + (total >> 16)
    return ~total & 0xFFFF


def ipv4(source, target, protocol, payload, fragment=0, options=b""):
    words = 5 + len(options) // 4
    header = struct.pack("!BBHHHBBH4s4s", 0x40 | words, 0, words * 4 + len(payload), 7, fragment, 64, protocol, 0,
                         socket.inet_aton(source), socket.inet_aton(target)) + options
    return header[:10] + struct.pack("!H", checksum(header)) + header[12:] + payload


def ipv6(source, target, protocol, payload):
    return struct.pack("!IHBB16s16s", 6 << 28, len(payload), protocol, 64, ipaddress.ip_address(source).packed,
                       ipaddress.ip_address(target).packed) + payload


def udp(source, target, payload):
    return struct.pack("!HHHH", source, target, 8 + len(payload), 0) + payload


def packets(targets):
    """(EtherType, packet)"""
    for target in targets:
        version = ipaddress.ip_address(target).version
        make, kind, sources = (ipv4, 0x0800, ("10.30.0.1", "192.0.2.2", "0.0.0.0", "127.0.0.1")) if version == 4 else (
            ipv6, 0x86DD, ("fd30::1", "2001:db8:2::2", "::", "fe80::1"))
        for source in sources:
            for ports in ((40000, 53), (500, 500), (4500, 4500), (67, 68), (68, 67), (546, 547), (123, 123)):
                yield kind, make(source, target, 17, udp(*ports, MARKER))
            yield kind, make(source, target, 50, b"\0\0\1\0" + b"\0\0\0\1" + MARKER)
            yield kind, make(source, target, 6, struct.pack("!HHIIHHHH", 40000, 80, 1, 0, 0x5002, 1000, 0, 0) + MARKER)
            yield kind, make(source, target, 1 if version == 4 else 58, struct.pack("!BBHHH", 8 if version == 4 else 128, 0, 0, 1, 1) + MARKER)
            yield kind, make(source, target, 47, MARKER)
    for fragment in (0x2000, 0x2001, 0x0001, 0x1FFF):
        yield 0x0800, ipv4("10.30.0.1", targets[0], 17, udp(1, 2, MARKER), fragment)
    yield 0x0800, ipv4("10.30.0.1", targets[0], 17, udp(1, 2, MARKER), options=b"\x83\x07\x04" + socket.inet_aton("192.0.2.1") + b"\0")
    yield 0x0800, ipv4("10.30.0.1", targets[0], 17, udp(1, 2, MARKER))[:-4]
    yield 0x0800, b"\x4f" + MARKER
    yield 0x0806, struct.pack("!HHBBH6s4s6s4s", 1, 0x0800, 6, 4, 1, MARKER[:6], socket.inet_aton("192.0.2.2"), bytes(6),
                              socket.inet_aton("192.0.2.1")) + MARKER
    for kind in (0x8100, 0x88A8, 0x88CC, 0x888E, 0x8863, 0x0027, 0x86DD, 0xFFFF):
        yield kind, b"\0\5\x08\0" + ipv4("10.30.0.1", targets[0], 17, udp(1, 2, MARKER))


def main():
    interface, gateway, targets = sys.argv[1], bytes.fromhex(sys.argv[2].replace(":", "")), sys.argv[3:]
    with socket.socket(socket.AF_PACKET, socket.SOCK_RAW) as out:
        out.bind((interface, 0))
        own = out.getsockname()[4]
        count = 0
        for kind, packet in packets(targets):
            for destination in (gateway, b"\xff" * 6, b"\x01\0\x5e\0\0\1", b"\x33\x33\0\0\0\1", b"\x02\0\0\0\0\x99"):
                for source in (own, gateway):
                    out.send((destination + source + struct.pack("!H", kind) + packet).ljust(60, b"\0"))
                    count += 1
        chance = random.Random(1)
        for _ in range(500):
            out.send(gateway + own + chance.choice((b"\x08\0", b"\x86\xdd")) + chance.randbytes(chance.randrange(1, 900)) + MARKER)
            count += 1
    print(count)


if __name__ == "__main__":
    main()
