# SPDX-License-Identifier: Apache-2.0
"""Fixtures of the VPN's tests."""
from pathlib import Path

import pytest
from vpnlab.lab import Lab

HOST_FILES = [Path("/etc/resolv.conf"), Path("/etc/hosts")]


@pytest.fixture(autouse=True)
def host_stays_as_it_is():
    """DHCP clients and IKE daemons like to write the host's name servers; here they must not."""
    before = [path.read_bytes() if path.exists() else None for path in HOST_FILES]
    yield
    after = [path.read_bytes() if path.exists() else None for path in HOST_FILES]
    assert after == before, "a program of the VPN's tests has changed /etc/resolv.conf or /etc/hosts of this machine"


@pytest.fixture(autouse=True)
def captures_of_failures_stay(request, folder):
    """A minute of iperf3 is a hundred megabytes."""
    yield
    outcome = getattr(request.node, "outcome_of_call", None)
    if outcome is not None and outcome.passed:
        for capture in folder.rglob("*.pcap"):
            capture.unlink()


@pytest.fixture
def make_lab(folder):
    """make_lab(cable=True): a lab that is taken down when the test ends."""
    labs = []

    def make(**options):
        labs.append(Lab(folder, **options))
        return labs[-1]

    yield make
    for lab in labs:
        lab.close()


@pytest.fixture
def lab(make_lab):
    return make_lab()
