# SPDX-License-Identifier: Apache-2.0
"""One lab: the wire, a gateway with a network behind it, and the addresses that all tests use."""
from pathlib import Path

from .certificates import Authority
from .network import Network
from .strongswan import StrongSwan

GATEWAY, GATEWAY6 = "192.0.2.1", "2001:db8:2::1"
CLIENT, CLIENT6 = "192.0.2.2", "2001:db8:2::2"
OFFICE, OFFICE_NET = "10.20.0.1", "10.20.0.0/24"
OFFICE6, OFFICE_NET6 = "fd20::1", "fd20::/64"
POOL, POOL6 = "10.30.0.0/24", "fd30::/120"
NAT_INSIDE, NAT_OUTSIDE, NAT_CLIENT = "192.168.7.1", "192.0.2.254", "192.168.7.2"
GATEWAY_NAME, CLIENT_NAME = "gw.vpn.test", "client.vpn.test"
PSK = "correct horse battery staple 42"
IKE = "aes256gcm16-prfsha256-x25519"
ESP = "aes256gcm16-x25519"


class Lab:
    def __init__(self, folder, cable=True):
        self.folder = Path(folder)
        self.network = Network(folder)
        self.authority = Authority()
        try:
            self._build(cable)
        except BaseException:
            self.network.close()
            raise

    def _build(self, cable):
        network = self.network
        network.add_space("net", ipv6=False)
        network.add_space("gw")
        for bridge in ("lan", "wan"):
            network.add_bridge(bridge)
        network.connect("gw", "eth0", "wan")
        network.address("gw", "eth0", f"{GATEWAY}/24", f"{GATEWAY6}/64")
        network.address("gw", "lo", f"{OFFICE}/32", f"{OFFICE6}/128")
        for key in ("ipv4/ip_forward", "ipv6/conf/all/forwarding"):
            network.sysctl("gw", key, 1)
        if cable:
            network.add_cable()

    def gateway(self, auth="psk", ike=IKE, esp=ESP, options="", certificate=None, connection=None, child=None, pool=None, name="gw"):
        """A strongSwan that is configured but not yet started. pool: what it tells besides the inner IPv4 address."""
        gateway = StrongSwan(self.network, "gw", self.folder / name, options)
        local, remote = {"auth": auth, "id": GATEWAY_NAME}, {"auth": auth}
        secrets = {}
        if auth == "psk":
            remote["id"] = CLIENT_NAME
            secrets = {"ike-1": {"id-a": GATEWAY_NAME, "id-b": CLIENT_NAME, "secret": f'"{PSK}"'}}
        else:
            certificate = certificate or self.authority.issue(GATEWAY_NAME)
            gateway.write("x509", "gateway.pem", certificate.pem)
            gateway.write("private", "gateway.pem", certificate.key_pem)
            gateway.write("x509ca", "authority.pem", self.authority.pem)
            local["certs"] = "gateway.pem"
        gateway.configure({"shoji": {"version": 2, "local_addrs": "%any", "proposals": ike, "pools": "inner, inner6", "local": local,
                                     "remote": remote, "unique": "replace", **(connection or {}),
                                     "children": {"net": {"local_ts": f"{OFFICE_NET},{OFFICE_NET6}", "esp_proposals": esp,
                                                          **(child or {})}}}},
                          {"inner": {"addrs": POOL, **(pool or {})}, "inner6": {"addrs": POOL6}}, secrets)
        return gateway

    def stock_client(self, auth="psk", ike=IKE, esp=ESP, kind="ecdsa", address=CLIENT):
        """strongSwan where our own program would be: to prove the lab, and to compare with."""
        network = self.network
        network.add_space("client")
        network.connect("client", "eth0", "lan")
        network.address("client", "eth0", f"{address}/24")
        client = StrongSwan(network, "client", self.folder / "client")
        local, secrets = {"auth": auth, "id": CLIENT_NAME}, {}
        if auth == "psk":
            secrets = {"ike-1": {"id-a": GATEWAY_NAME, "id-b": CLIENT_NAME, "secret": f'"{PSK}"'}}
        else:
            certificate = self.authority.issue(CLIENT_NAME, kind)
            client.write("x509", "client.pem", certificate.pem)
            client.write("private", "client.pem", certificate.key_pem)
            client.write("x509ca", "authority.pem", self.authority.pem)
            local["certs"] = "client.pem"
        client.configure({"shoji": {"version": 2, "local_addrs": address, "remote_addrs": GATEWAY, "proposals": ike, "vips": "0.0.0.0, ::",
                                    "local": local, "remote": {"auth": auth, "id": GATEWAY_NAME},
                                    "children": {"net": {"remote_ts": f"{OFFICE_NET},{OFFICE_NET6}", "esp_proposals": esp}}}},
                         secrets=secrets)
        return client

    def add_relay(self, seed, loss=0, duplication=0, reordering=0, delay_ms=0):
        """Between lan and wan, in place of the cable."""
        taps = ("relay-lan", "relay-wan")
        for tap, bridge in zip(taps, ("lan", "wan")):
            self.network.add_tap("net", tap)
            self.network.join(tap, bridge)
        program = Path(__file__).with_name("relay.py")
        return self.network.start("net", "/usr/bin/python3", program, *taps, seed, loss, duplication, reordering, delay_ms, log="relay.log")

    def add_nat(self):
        """A router with address translation between lan and wan, in place of the cable."""
        network = self.network
        network.add_space("nat", ipv6=False)
        network.connect("nat", "inside", "lan")
        network.connect("nat", "outside", "wan")
        network.address("nat", "inside", f"{NAT_INSIDE}/24")
        network.address("nat", "outside", f"{NAT_OUTSIDE}/24")
        network.sysctl("nat", "ipv4/ip_forward", 1)
        network.run("nat", "nft", "-f", "-", stdin=b"table ip nat { chain out { type nat hook postrouting priority srcnat; "
                    b"oifname outside masquerade random; }; }\n")

    def close(self):
        self.network.close()
