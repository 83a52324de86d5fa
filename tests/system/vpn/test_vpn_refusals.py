# SPDX-License-Identifier: Apache-2.0
"""What must not become a tunnel: each cause has its own sentence, and is tried again ever more slowly."""
import struct
import time

import pytest
from vpnlab.capture import Capture, judge
from vpnlab.certificates import DAY, Authority
from vpnlab.lab import GATEWAY_NAME
from vpnlab.service import WIRE, Service

INITIATOR, SA_INIT = 0x08, 34


def starts(capture):
    """How many IKE_SA_INIT requests with a new SPI went out: tries, not retransmissions."""
    spis = set()
    for frame in capture.frames():
        if frame[12:14] == b"\x08\x00" and frame[23] == 17 and struct.unpack_from("!H", frame, 36)[0] == 500:
            ike = frame[42:]
            if len(ike) >= 20 and ike[18] == SA_INIT and ike[19] & INITIATOR:
                spis.add(ike[:8])
    return len(spis)


def refused(lab, service, sentence, seconds=3, tries=3):
    capture = Capture(lab.network, WIRE)
    service.start()
    service.wait_said(sentence)
    time.sleep(seconds)
    assert service.process.running(), service.log()
    assert not service.is_up()
    assert service.guest.addresses(4) == []
    assert sentence in service.state().split("last error:")[1]
    capture.stop()
    assert 1 <= starts(capture) <= tries, f"{starts(capture)} starts: {service.log()}"
    judge(capture, service.guest.mac())


def test_wrong_psk(lab):
    lab.gateway().start()
    service = Service(lab)
    service.give("psk", b"not the right one")
    refused(lab, service, "AUTHENTICATION_FAILED")


CERTIFICATES = {
    "expired": (lambda lab: lab.authority.issue(GATEWAY_NAME, begins=-3 * DAY, ends=-DAY), "the gateway's certificate expired on"),
    "early": (lambda lab: lab.authority.issue(GATEWAY_NAME, begins=2 * DAY, ends=9 * DAY), "the gateway's certificate is valid from"),
    "wrong name": (lambda lab: lab.authority.issue("other.vpn.test"), "for other.vpn.test, not gw.vpn.test"),
    "wrong authority": (lambda lab: Authority("Somebody else").issue(GATEWAY_NAME), "no trusted authority"),
}


@pytest.mark.parametrize("case", CERTIFICATES)
def test_certificate(lab, case):
    make, sentence = CERTIFICATES[case]
    certificate = make(lab)
    gateway = lab.gateway(auth="pubkey", certificate=certificate)
    if case == "wrong name":  # it calls itself what we ask for, and shows what it has
        text = gateway.folder / "swanctl" / "swanctl.conf"
        text.write_text(text.read_text().replace(f"id = {GATEWAY_NAME}", "id = *.vpn.test"))
    gateway.start()
    refused(lab, Service(lab, auth="pubkey"), sentence)


def test_revoked_certificate(lab):
    certificate = lab.authority.issue(GATEWAY_NAME)
    lab.gateway(auth="pubkey", certificate=certificate).start()
    service = Service(lab, auth="pubkey", crl="crl")
    service.give("crl", lab.authority.crl(certificate))
    refused(lab, service, "the gateway's certificate was revoked on")


def test_expired_crl(lab):
    lab.gateway(auth="pubkey").start()
    service = Service(lab, auth="pubkey", crl="crl")
    service.give("crl", lab.authority.crl(begins=-3 * DAY, ends=-DAY))
    refused(lab, service, "expired on")


def test_our_certificate_refused(lab):
    """Ours is signed by an authority that the gateway does not know."""
    lab.gateway(auth="pubkey").start()
    service = Service(lab, auth="pubkey")
    own = Authority("Somebody else").issue("client.vpn.test")
    service.give("certificate", own.pem)
    service.give("private-key", own.key_pem)
    refused(lab, service, "AUTHENTICATION_FAILED")


def test_no_common_ike_proposal(lab):
    lab.gateway(ike="aes256gcm16-prfsha256-ecp384").start()
    service = Service(lab, ike="aes128gcm16-prfsha256-x25519")
    refused(lab, service, "NO_PROPOSAL_CHOSEN")


def test_group_that_the_policy_forbids(lab):
    """The gateway asks for group 20 in INVALID_KE_PAYLOAD; the policy allows 31 and 19."""
    lab.gateway(ike="aes256gcm16-prfsha256-ecp384").start()
    service = Service(lab, ike="aes256gcm16-prfsha256-x25519-ecp256")
    refused(lab, service, "NO_PROPOSAL_CHOSEN")


def test_no_common_esp_proposal(lab):
    lab.gateway(esp="aes128gcm16").start()
    service = Service(lab, esp="aes256gcm16")
    refused(lab, service, "NO_PROPOSAL_CHOSEN")


def test_no_gateway(lab):
    """An address where nobody answers IKE."""
    service = Service(lab)
    refused(lab, service, "does not answer")
