# SPDX-License-Identifier: Apache-2.0
"""Our own host on the wire: addresses, router and DNS server from DHCP or router advertisements, the gateway by name."""
from signal import SIGHUP

import pytest
from vpnlab.capture import Capture, judge
from vpnlab.lab import GATEWAY, GATEWAY6, GATEWAY_NAME, OFFICE
from vpnlab.service import WIRE, Service

SERVER, SERVER6 = "192.0.2.253", "2001:db8:2::53"


def start_server(lab, *options):
    """dnsmasq knows the gateway's name and gives out addresses."""
    network = lab.network
    network.add_space("server")
    network.connect("server", "eth0", "lan")
    network.address("server", "eth0", f"{SERVER}/24", f"{SERVER6}/64")
    (lab.folder / "dnsmasq.conf").write_text("\n".join([
        "no-resolv", "no-hosts", "no-daemon", "user=root", "interface=eth0", "bind-interfaces", "log-queries", f"dhcp-leasefile={lab.folder}/leases",
        *options, ""]))
    return network.start("server", "unshare", "--mount", "dnsmasq", "-C", lab.folder / "dnsmasq.conf", log="dnsmasq.log")


CASES = {
    "dhcp": (["dhcp-range=192.0.2.100,192.0.2.110,300", f"host-record={GATEWAY_NAME},{GATEWAY}"],
             {"wire_address": "dhcp", "wire_address6": "off"}, "our address on the wire 192.0.2.1"),
    "advertised": (["enable-ra", "dhcp-range=2001:db8:2::,ra-stateless", f"host-record={GATEWAY_NAME},{GATEWAY6}"],
                   {"wire_address": "off", "wire_address6": "auto"}, "our address on the wire 2001:db8:2:"),
    "static": ([f"host-record={GATEWAY_NAME},{GATEWAY6}"],
               {"wire_address": "off", "wire_address6": "2001:db8:2::77/64", "wire_dns": SERVER6}, "our address on the wire 2001:db8:2::77;"),
    # The name has an address of a kind that we have no way to.
    "unreachable": (["dhcp-range=192.0.2.100,192.0.2.110,300", f"host-record={GATEWAY_NAME},198.51.100.1,{GATEWAY6}"],
                    {"wire_address": "192.0.2.77/24", "wire_address6": "2001:db8:2::77/64", "wire_dns": SERVER}, f"at {GATEWAY6}"),
}


@pytest.mark.parametrize("case", CASES)
def test_wire(lab, case):
    options, policy, words = CASES[case]
    start_server(lab, *options)
    lab.gateway().start()
    service = Service(lab, gateway=GATEWAY_NAME, **policy)
    capture = Capture(lab.network, WIRE)
    service.start()
    service.wait_up()
    service.wait_guest()
    service.reach(OFFICE)
    assert words in service.state(), service.state()
    capture.stop()
    judge(capture, service.guest.mac(), inner=(OFFICE,))


def test_unknown_name(lab):
    """A name that nobody knows gets its own sentence, and the tunnel comes once it is known."""
    server = start_server(lab, f"addn-hosts={lab.folder}/hosts")
    (lab.folder / "hosts").write_text("")
    lab.gateway().start()
    service = Service(lab, gateway=GATEWAY_NAME, wire_dns=SERVER)
    service.start()
    service.wait_said(f"name {GATEWAY_NAME} could not be resolved")
    (lab.folder / "hosts").write_text(f"{GATEWAY} {GATEWAY_NAME}\n")
    server.send(SIGHUP)
    service.wait_up()
