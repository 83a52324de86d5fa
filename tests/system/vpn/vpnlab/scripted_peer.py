#!/usr/bin/python3
# SPDX-License-Identifier: Apache-2.0
"""A gateway of our own that can misbehave: IKEv2 responder and ESP in UDP, written from the RFCs with Python's cryptography, and with nothing
of Shoji's. It answers rightly in the end; its twist says what it sends besides. Usage: scripted_peer.py ADDRESS TWIST; its log says what it saw."""
import hashlib
import hmac
import os
import random
import select
import socket
import struct
import sys

from cryptography.hazmat.primitives.asymmetric.x25519 import X25519PrivateKey, X25519PublicKey
from cryptography.hazmat.primitives.ciphers.aead import AESGCM
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat

PSK, NAME = b"correct horse battery staple 42", b"gw.vpn.test"
INNER, OFFICE, STRANGER = bytes((10, 30, 0, 7)), bytes((10, 20, 0, 1)), bytes((10, 99, 0, 1))
SA, KE, IDR, AUTH, NONCE, NOTIFY, TSI, TSR, SK, CP, SKF = 33, 34, 36, 39, 40, 41, 44, 45, 46, 47, 53
IDI = 35
IKE_SA_INIT, IKE_AUTH, INFORMATIONAL = 34, 35, 37
INITIATOR, RESPONSE = 0x08, 0x20
NAT_SOURCE, NAT_DESTINATION, FRAGMENTATION = 16388, 16389, 16430


def prf(key, data):
    return hmac.new(key, data, hashlib.sha256).digest()


def prf_plus(key, seed, size):
    out = block = b""
    count = 1
    while len(out) < size:
        block = prf(key, block + seed + bytes((count,)))
        out += block
        count += 1
    return out[:size]


def split(data, *sizes):
    parts = []
    for size in sizes:
        parts.append(data[:size])
        data = data[size:]
    return parts


def chain(payloads):
    """Payloads, each with its generic header; the type of the first."""
    out = b""
    for index, (_, body) in enumerate(payloads):
        following = payloads[index + 1][0] if index + 1 < len(payloads) else 0
        out += struct.pack(">BBH", following, 0, 4 + len(body)) + body
    return (payloads[0][0] if payloads else 0), out


def unchain(kind, data):
    found = []
    while kind:
        following, _, size = struct.unpack(">BBH", data[:4])
        found.append((kind, data[4:size]))
        kind, data = following, data[size:]
    return found


def notify(kind, data=b""):
    return NOTIFY, struct.pack(">BBH", 0, 0, kind) + data


def transform(last, kind, number, key_bits=0):
    attribute = struct.pack(">HH", 0x800e, key_bits) if key_bits else b""
    return struct.pack(">BBHBBH", 0 if last else 3, 0, 8 + len(attribute), kind, 0, number) + attribute


def proposal(protocol, spi, transforms):
    body = b"".join(transforms)
    return struct.pack(">BBHBBBB", 0, 0, 8 + len(spi) + len(body), 1, protocol, len(spi), len(transforms)) + spi + body


def selector(first, last):
    return struct.pack(">BBBB", 1, 0, 0, 0) + struct.pack(">BBHHH", 7, 0, 16, 0, 65535) + first + last


def checksum(data):
    data += b"\0" * (len(data) % 2)
    total = sum(struct.unpack(f">{len(data) // 2}H", data))
    while total >> 16:
        total = (total & 0xffff) + (total >> 16)
    return ~total & 0xffff


def ipv4(source, destination, protocol, payload):
    header = struct.pack(">BBHHHBBH", 0x45, 0, 20 + len(payload), 1, 0, 64, protocol, 0) + source + destination
    return header[:10] + struct.pack(">H", checksum(header)) + header[12:] + payload


class Peer:
    """One connection at a time: a new IKE_SA_INIT takes the place of what was."""

    def __init__(self, address):
        self.sockets = {}
        for port in (500, 4500):
            self.sockets[port] = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
            self.sockets[port].bind((address, port))
        self.spi_i = self.first_message = self.auth_message = None
        self.established = False
        self.random = random.Random(4303)
        self.where, self.besides = None, 0

    # ---- The wire ----

    def say(self, text):
        print(text, flush=True)

    def out(self, message):
        port, to = self.where
        self.sockets[port].sendto((bytes(4) if port == 4500 else b"") + message, to)

    def wrong(self, message):
        self.besides += 1
        self.out(message)

    def run(self):
        self.say("listening")
        while True:
            for ready in select.select(list(self.sockets.values()), [], [])[0]:
                port = ready.getsockname()[1]
                data, to = ready.recvfrom(65536)
                if port == 4500 and data == b"\xff":
                    continue
                if port == 4500 and data[:4] != bytes(4):
                    self.esp_came(data, to)
                    continue
                self.where = port, to
                self.ike_came(data[4:] if port == 4500 else data)

    # ---- IKE ----

    def header(self, following, exchange, flags, number, size):
        return self.spi_i + self.spi_r + struct.pack(">BBBBII", following, 0x20, exchange, flags, number, 28 + size)

    def seal(self, exchange, flags, number, first, inner, fragment=None):
        """A message with one SK payload, or one SKF that is `fragment` (number, total)."""
        front = struct.pack(">HH", *fragment) if fragment else b""
        body_size = 4 + len(front) + 8 + len(inner) + 1 + 16
        header = self.header(SKF if fragment else SK, exchange, flags, number, body_size)
        generic = struct.pack(">BBH", first, 0, body_size) + front
        iv = os.urandom(8)
        return header + generic + iv + AESGCM(self.sk_er[:32]).encrypt(self.sk_er[32:] + iv, inner + b"\0", header + generic)

    def open(self, message):
        """The payloads of a message of the initiator."""
        assert message[16] == SK, "the initiator's messages are short enough to come whole"
        inner = AESGCM(self.sk_ei[:32]).decrypt(self.sk_ei[32:] + message[32:40], message[40:], message[:32])
        return unchain(message[28], inner[:len(inner) - 1 - inner[-1]])

    def ike_came(self, message):
        exchange, flags, number = struct.unpack(">BBI", message[18:24])
        if exchange == IKE_SA_INIT:
            self.init(message)
        elif self.spi_i != message[:8]:
            self.say("a message of another IKE SA")
        elif exchange == IKE_AUTH and number == 1:
            self.auth(message)
        elif flags & RESPONSE:
            self.answer_came(number, message)
        else:
            self.open(message)
            self.out(self.seal(exchange, RESPONSE, number, *chain([])))

    def init(self, message):
        if message == self.first_message:  # sent again, for the reply is late: it is the same one
            self.out(self.first_reply)
            return
        payloads = dict(unchain(message[16], message[28:]))
        self.established, self.spi_i, self.spi_r = False, message[:8], os.urandom(8)
        own, theirs = X25519PrivateKey.generate(), X25519PublicKey.from_public_bytes(payloads[KE][4:])
        self.nonce_i, self.nonce_r = payloads[NONCE], os.urandom(32)
        first, body = chain([
            (SA, proposal(1, b"", [transform(False, 1, 20, 256), transform(False, 2, 5), transform(True, 4, 31)])),
            (KE, struct.pack(">HH", 31, 0) + own.public_key().public_bytes(Encoding.Raw, PublicFormat.Raw)),
            (NONCE, self.nonce_r), notify(NAT_SOURCE, bytes(20)), notify(NAT_DESTINATION, bytes(20)), notify(FRAGMENTATION)])
        reply = self.header(first, IKE_SA_INIT, RESPONSE, 0, len(body)) + body
        seed = prf(self.nonce_i + self.nonce_r, own.exchange(theirs))
        keys = prf_plus(seed, self.nonce_i + self.nonce_r + self.spi_i + self.spi_r, 32 + 36 + 36 + 32 + 32)
        self.sk_d, self.sk_ei, self.sk_er, self.sk_pi, self.sk_pr = split(keys, 32, 36, 36, 32, 32)
        self.first_message, self.first_reply = message, reply
        self.send_init(reply)

    def auth(self, message):
        if message == self.auth_message:
            self.send_auth(*self.auth_reply)
            return
        payloads = dict(self.open(message))
        pad = prf(PSK, b"Key Pad for IKEv2")
        said = prf(pad, self.first_message + self.nonce_r + prf(self.sk_pi, payloads[IDI]))
        assert payloads[AUTH] == b"\x02\0\0\0" + said, "the initiator's AUTH"
        self.esp_out = struct.unpack(">I", payloads[SA][8:12])[0]
        self.esp_in = self.random.getrandbits(32) | 0x10000000
        keys = prf_plus(self.sk_d, self.nonce_i + self.nonce_r, 72)
        self.esp_key_in, self.esp_key_out = split(keys, 36, 36)
        self.sequence = 0
        identity = b"\x02\0\0\0" + NAME
        own = prf(pad, self.first_reply + self.nonce_i + prf(self.sk_pr, identity))
        first, inner = chain([
            (IDR, identity), (AUTH, b"\x02\0\0\0" + own), (CP, b"\x02\0\0\0" + struct.pack(">HH", 1, 4) + INNER),
            (SA, proposal(3, struct.pack(">I", self.esp_in), [transform(False, 1, 20, 256), transform(True, 5, 0)])),
            (TSI, selector(INNER, INNER)), (TSR, selector(bytes((10, 20, 0, 0)), bytes((10, 20, 0, 255))))])
        self.established, self.auth_message, self.auth_reply = True, message, (first, inner)
        self.send_auth(first, inner)
        self.say(f"established, {self.besides} wrong datagrams")
        self.after()

    # ---- ESP ----

    def seal_esp(self, text, sequence):
        header = struct.pack(">II", self.esp_out, sequence)
        iv = struct.pack(">Q", sequence)
        return header + iv + AESGCM(self.esp_key_out[:32]).encrypt(self.esp_key_out[32:] + iv, text, header)

    def tunnel(self, packet, following=4):
        padding = -(len(packet) + 2) % 4
        self.sequence += 1
        return self.seal_esp(packet + bytes(range(1, padding + 1)) + bytes((padding, following)), self.sequence)

    def esp_came(self, data, to):
        if not self.established or struct.unpack(">I", data[:4])[0] != self.esp_in:
            return
        self.where_esp = to
        text = AESGCM(self.esp_key_in[:32]).decrypt(self.esp_key_in[32:] + data[8:16], data[16:], data[:8])
        packet = text[:len(text) - 2 - text[-2]]
        if text[-1] == 4 and packet[9] == 1 and packet[20] == 8:
            body = b"\0\0\0\0" + packet[24:]
            body = b"\0\0" + struct.pack(">H", checksum(body)) + body[4:]
            self.send_echo(body)

    def out_esp(self, packet):
        self.sockets[4500].sendto(packet, self.where_esp)

    # ---- What the twists change ----

    def send_init(self, reply):
        self.out(reply)

    def send_auth(self, first, inner):
        self.out(self.seal(IKE_AUTH, RESPONSE, 1, first, inner))

    def send_echo(self, body):
        self.out_esp(self.tunnel(ipv4(OFFICE, INNER, 1, body)))

    def after(self):
        pass

    def answer_came(self, number, message):
        pass


class Cut(Peer):
    """Each reply comes first cut short at many places, then whole."""

    def cut(self, message):
        for size in range(0, len(message), 3):
            self.wrong(message[:size])
            if size > 28:  # the header says so too
                self.wrong(message[:24] + struct.pack(">I", size) + message[28:size])

    def send_init(self, reply):
        self.cut(reply)
        self.out(reply)

    def send_auth(self, first, inner):
        reply = self.seal(IKE_AUTH, RESPONSE, 1, first, inner)
        self.cut(reply)
        self.out(reply)


class Flipped(Peer):
    """Lengths and types of the first reply are wrong in turn; each byte of the protected one is."""

    def send_init(self, reply):
        for at, values in ((16, (0, 46, 255)), (17, (0x10, 0x30)), (18, (35, 37, 255)), (19, (0, 8, 0x28)), (23, (1, 255)),
                           (24, (1,)), (27, (0, 27, 255)), (30, (255,)), (31, (0, 3, 4, 7)), (28, (200,))):
            for value in values:
                self.wrong(reply[:at] + bytes((value,)) + reply[at + 1:])
        self.out(reply)

    def send_auth(self, first, inner):
        reply = self.seal(IKE_AUTH, RESPONSE, 1, first, inner)
        for at in range(len(reply)):
            self.wrong(reply[:at] + bytes((reply[at] ^ 0x10,)) + reply[at + 1:])
        self.out(reply)


class Noise(Peer):
    """Random datagrams, most of them with a header that fits, before and after everything. Nobody can tell a whole IKE_SA_INIT reply of
    somebody else from the gateway's, so none of them is one."""

    def noise(self):
        for _ in range(300):
            body = self.random.randbytes(self.random.randrange(1400))
            first = self.random.choice((0, SA, KE, NOTIFY, SK, SKF, self.random.randrange(256)))
            exchange = self.random.choice((IKE_AUTH, 36, INFORMATIONAL))
            header = self.header(first, exchange, self.random.choice((0, INITIATOR, RESPONSE)), self.random.randrange(3), len(body))
            self.wrong(self.random.choice((header, header, b"")) + body)

    def send_init(self, reply):
        self.noise()
        self.out(reply)

    def send_auth(self, first, inner):
        self.noise()
        super().send_auth(first, inner)

    def after(self):
        self.noise()


class Fragments(Peer):
    """The protected reply comes in fragments (RFC 7383): the last one first, each twice, and others between them that do not belong."""

    def send_auth(self, first, inner):
        pieces = [inner[at:at + 40] for at in range(0, len(inner), 40)]
        total = len(pieces)
        for number in range(total, 0, -1):
            piece = self.seal(IKE_AUTH, RESPONSE, 1, first if number == 1 else 0, pieces[number - 1], (number, total))
            self.wrong(piece[:-1] + bytes((piece[-1] ^ 1,)))
            for wrong in ((0, total), (number, 0), (total + 1, total), (number, total - 1), (1, 65535)):
                self.wrong(piece[:32] + struct.pack(">HH", *wrong) + piece[36:])
            self.out(piece)
            self.out(piece)


class Numbers(Peer):
    """Requests of ours with message IDs in and out of turn. What was answered, and how often, goes to the log."""

    def after(self):
        self.answers = {}
        self.requests = {number: self.seal(INFORMATIONAL, 0, number, *chain([])) for number in (0, 1, 2, 9)}
        for number in (9, 1, 0, 0):
            self.out(self.requests[number])

    def answer_came(self, number, message):
        self.answers.setdefault(number, []).append(message)
        count = {key: len(value) for key, value in sorted(self.answers.items())}
        same = all(len(set(value)) == 1 for value in self.answers.values())
        self.say(f"answers {count} {'same' if same else 'different'}")
        if count == {0: 2}: # now in turn, then an old one, and the one that is still too early
            for next_number in (1, 0, 9):
                self.out(self.requests[next_number])


class Inner(Peer):
    """Protected requests whose inner payloads do not hold together, the next one when the last is answered. An initiator that gives up
    the IKE SA over one gets the next one in its new IKE SA."""

    requests = ((42, struct.pack(">BBH", 0, 0, 4000)), (42, struct.pack(">BBHBBH", 0, 0, 8, 3, 4, 500)), (41, struct.pack(">BBHB", 0, 0, 5, 1)),
                (33, struct.pack(">BBH", 41, 0, 4)), (47, struct.pack(">BBH", 0, 0, 0)), (200, struct.pack(">BBH", 0, 0x80, 4)),
                (46, b"\0\0\0\x08abcd"), (42, struct.pack(">BBHBBH", 0, 0, 8, 3, 0, 1)))
    tried = 0

    def after(self):
        self.number = -1
        self.ask()

    def ask(self):
        if self.tried < len(self.requests):
            self.number += 1
            self.tried += 1
            self.out(self.seal(INFORMATIONAL, 0, self.number, *self.requests[self.tried - 1]))

    def answer_came(self, number, message):
        if number == self.number:
            self.say(f"answered malformed request {self.tried} of {len(self.requests)}: {self.open(message)}")
            self.ask()


class Esp(Peer):
    """Around the true answer to a ping: forged, replayed, misaddressed, badly padded, dummy and reordered packets."""

    told = False

    def send_echo(self, body):
        if not self.told:
            self.told = True
            forged = self.tunnel(ipv4(OFFICE, INNER, 1, body))
            self.out_esp(forged[:-1] + bytes((forged[-1] ^ 1,)))  # wrong ICV
            self.out_esp(self.tunnel(ipv4(STRANGER, INNER, 1, body)))  # outside of the selectors
            self.out_esp(self.tunnel(ipv4(OFFICE, OFFICE, 1, body)))
            self.out_esp(self.tunnel(b"nothing", 59))  # a dummy
            self.out_esp(self.seal_esp(ipv4(OFFICE, INNER, 1, body) + b"\x07\x07\x02\x04", 100))  # padding that is none
            self.out_esp(self.seal_esp(b"\x01\xff\x00\x04", 101))  # more padding than text
            packets = [self.seal_esp(ipv4(OFFICE, INNER, 17, struct.pack(">HHHH", 9, 9, 8, 0)) + b"\x01\x02\x02\x04", n) for n in range(200, 240)]
            self.random.shuffle(packets)
            for packet in packets + packets[:10]:  # in any order, ten of them again
                self.out_esp(packet)
            self.sequence = 300
            for size in range(0, len(forged), 5):  # pieces of one
                self.out_esp(forged[:max(size, 4)])
        super().send_echo(body)


TWISTS = {"plain": Peer, "cut": Cut, "flipped": Flipped, "noise": Noise, "fragments": Fragments, "numbers": Numbers, "inner": Inner, "esp": Esp}

if __name__ == "__main__":
    TWISTS[sys.argv[2]](sys.argv[1]).run()
