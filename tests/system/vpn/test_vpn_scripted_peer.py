# SPDX-License-Identifier: Apache-2.0
"""A gateway that was written for these tests alone, and that misbehaves: what it sends besides does no harm."""
import re
from pathlib import Path

import pytest
from vpnlab.capture import Capture, judge
from vpnlab.lab import GATEWAY, OFFICE
from vpnlab.network import PATIENCE, wait_until
from vpnlab.service import WIRE, Service

PROGRAM = Path(__file__).parent / "vpnlab" / "scripted_peer.py"


@pytest.fixture
def connect(lab):
    """connect(twist): the peer with that twist, and a service that is up and pings through it."""

    def do(twist):
        peer = lab.network.start("gw", "/usr/bin/python3", PROGRAM, GATEWAY, twist, log="peer.log")
        wait_until(lambda: "listening" in peer.text(), PATIENCE, f"the scripted peer: {peer.text()}")
        service = Service(lab, ike="aes256gcm16-prfsha256-x25519", esp="aes256gcm16", networks="10.20.0.0/24")
        capture = Capture(lab.network, WIRE)
        service.start()
        service.wait_up()
        service.wait_guest()
        service.reach(OFFICE)
        assert peer.running() and service.process.running(), peer.text() + service.log()
        return peer, service, capture

    return do


@pytest.mark.parametrize("twist", ["plain", "cut", "flipped", "noise", "fragments", "inner"])
def test_twist(connect, twist):
    peer, service, capture = connect(twist)
    assert "Traceback" not in peer.text(), peer.text()
    wrong = int(re.search(r"established, (\d+) wrong", peer.text())[1])
    assert wrong > 20 or twist in ("plain", "inner"), peer.text()
    if twist == "inner":
        wait_until(lambda: "answered malformed request 8 of 8" in peer.text(), PATIENCE, peer.text())
        service.reach(OFFICE)
    capture.stop()
    judge(capture, service.guest.mac(), inner=(OFFICE,))


def test_message_numbers(connect):
    """RFC 7296 section 2.3: only the expected request is answered; one that is repeated gets the very same answer; others get none."""
    peer, service, _ = connect("numbers")
    wait_until(lambda: "answers {0: 2, 1: 1} same" in peer.text() or "answers {0: 3, 1: 1} same" in peer.text(), PATIENCE, f"the answers: {peer.text()}")
    assert service.guest.ping(OFFICE, count=2)
    assert not re.search(r"answers .*(9:|different)", peer.text()), peer.text()


def test_esp(connect):
    """What is forged, replayed or misaddressed is counted and dropped; what is out of order is taken."""
    peer, service, _ = connect("esp")

    def counts():
        words = re.search(r"in (\d+) packets, .* refused: (\d+) replayed, (\d+) with a wrong ICV, (\d+) outside the selectors, (\d+) malformed",
                          service.state())
        return dict(zip(("taken", "replayed", "forged", "outside", "malformed"), map(int, words.groups())))

    wait_until(lambda: counts()["taken"] >= 43 and counts()["replayed"] >= 10, PATIENCE, f"the packets {counts()}")
    seen = counts()
    assert (seen["replayed"], seen["outside"]) == (10, 2), seen
    assert seen["forged"] >= 1 and seen["malformed"] >= 2, seen
    assert "Traceback" not in peer.text(), peer.text()
