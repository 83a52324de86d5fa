# SPDX-License-Identifier: Apache-2.0
"""The service under test, build/shoji-vpn, and the guest at its other end: a namespace that takes its addresses by DHCP."""
import ipaddress
import json
import re

from testbed.tools import BUILD, run

from .lab import CLIENT, CLIENT_NAME, GATEWAY, GATEWAY_NAME, OFFICE_NET, OFFICE_NET6, PSK
from .network import PATIENCE, ROOT, wait_until

PROGRAM = BUILD / "shoji-vpn"
WIRE, GUEST = "wire0", "guest0"


class Guest:
    """dhcpcd on the guest's TAP: DHCPv4, router advertisements, DHCPv6, and a new lease whenever the carrier comes back."""

    def __init__(self, lab, folder):
        self.network, self.folder = lab.network, folder
        self.network.add_space("guest")
        self.dhcp = None

    def start_dhcp(self):
        configuration = self.folder / "dhcpcd.conf"
        # No ARP probes and no random delay: the test has no time for them. Everything else is what a stock guest does.
        configuration.write_text("duid\nslaac hwaddr\nnoarp\nnodelay\noption domain_name_servers,classless_static_routes,interface_mtu,rapid_commit\n"
                                 "noipv4ll\nipv6rs\nnohook resolv.conf,hostname,timesyncd,ntp\nretry_backoff_cutoff 1\n")
        # Its databases and sockets lie at fixed places: this guest has its own.
        command = ("mount -t tmpfs none /run && mkdir -p /run/dhcpcd /var/lib/dhcpcd && mount -t tmpfs none /var/lib/dhcpcd && "
                   f"exec dhcpcd --nobackground --debug --config {configuration.resolve()} {GUEST}")
        self.dhcp = self.network.start("guest", "unshare", "--mount", "sh", "-c", command, log=self.folder / "dhcpcd.log")

    def mac(self):
        return json.loads(self.network.ip("guest", "-json", "link", "show", GUEST))[0]["address"]

    def addresses(self, version):
        family = "inet" if version == 4 else "inet6"
        link = json.loads(self.network.ip("guest", "-json", "address", "show", GUEST))[0]
        return [entry["local"] for entry in link["addr_info"] if entry["family"] == family and entry["scope"] == "global"]

    def mtu(self):
        return json.loads(self.network.ip("guest", "-json", "link", "show", GUEST))[0]["mtu"]

    def ping(self, address, count=1, wait=1, size=56):
        version = ipaddress.ip_address(address).version
        status, _ = self.run("busybox", "ping", f"-{version}", "-c", str(count), "-W", str(wait), "-s", str(size), address, check=False)
        return status == 0

    def run(self, *command, **options):
        return self.network.run("guest", *command, **options)


class Service:
    """shoji-vpn in the namespace "net" (the wire's TAP in the bridge "lan"), its guest's TAP in the namespace "guest"."""

    def __init__(self, lab, auth="psk", kind="ecdsa", folder=None, **policy):
        self.lab, self.network = lab, lab.network
        self.folder = folder or lab.folder
        self.secrets = self.folder / "secrets"
        self.secrets.mkdir()
        self.socket = f"{self.network.sockets}control"
        self.guest = Guest(lab, self.folder)
        self.process, self.starts = None, 0
        self.policy = {"gateway": GATEWAY, "local-id": CLIENT_NAME, "remote-id": GATEWAY_NAME, "wire-address": f"{CLIENT}/24",
                       "wire-address6": "off", "networks": f"{OFFICE_NET}, {OFFICE_NET6}", "dead-peer-interval": 5, "guest-lease": 20}
        if auth == "psk":
            self.give("psk", PSK.encode())
            self.policy["psk"] = "psk"
        else:
            own = lab.authority.issue(CLIENT_NAME, kind)
            for name, data in (("certificate", own.pem), ("private-key", own.key_pem), ("authorities", lab.authority.pem)):
                self.give(name, data)
                self.policy[name] = name
        self.policy.update({key.replace("_", "-"): value for key, value in policy.items()})
        for tap in (WIRE, GUEST):
            self.network.add_tap("net", tap)
        self.network.join(WIRE, "lan")

    def give(self, name, data):
        (self.secrets / name).write_bytes(data)

    def start(self, dhcp=True):
        lines = [f"{key} = {value}" for key, value in self.policy.items() if value is not None]
        (self.folder / "policy.conf").write_text("\n".join(["[vpn test]", *lines, ""]))
        self.starts += 1
        run(*ROOT, "rm", "-f", self.socket)  # of a service before this one
        self.process = self.network.start("net", PROGRAM, "--config", self.folder / "policy.conf", "--secrets", self.secrets, "--wire", WIRE,
                                          "--guest", GUEST, "--control", self.socket, log=self.folder / f"service{self.starts}.log")
        wait_until(lambda: not self.process.running() or self._attached(), PATIENCE, "shoji-vpn at its TAP devices")
        if not self.process.running():
            raise AssertionError(f"shoji-vpn stopped: {self.process.text()}")
        self.network.move(GUEST, "net", "guest")
        self.network.ip("guest", "link", "set", GUEST, "up")
        if dhcp:
            self.guest.start_dhcp()

    def _attached(self):
        """The socket is made after the TAP devices are opened."""
        return run(*ROOT, "test", "-S", self.socket, check=False)[0] == 0

    def stop(self):
        """The TAP goes back to where the next start finds it."""
        self.process.stop()
        self.network.processes.remove(self.process)
        self.process = None
        self.network.move(GUEST, "guest", "net")

    def close(self):
        """For a lab that outlives its service, however far that came."""
        for process in (self.guest.dhcp, self.process):
            if process:
                process.stop()
                self.network.processes.remove(process)
        for space in ("net", "guest"):
            for tap in (WIRE, GUEST):
                self.network.ip(space, "link", "delete", tap, check=False)
        self.network.remove_space("guest")

    def state(self):
        return run(*ROOT, "/usr/bin/python3", "-c", "import socket, sys\ns = socket.socket(socket.AF_UNIX)\ns.connect(sys.argv[1])\n"
                   "while True:\n    data = s.recv(65536)\n    if not data:\n        break\n    sys.stdout.write(data.decode())", self.socket)[1]

    def log(self):
        return self.process.text()

    def is_up(self):
        return re.search(r"^VPN test: up", self.state(), re.M) is not None

    def wait_up(self):
        try:
            wait_until(self.is_up, PATIENCE, "the tunnel")
        except AssertionError as late:
            raise AssertionError(f"{late}\n{self.log()}\n{self.state()}") from None

    def wait_guest(self, version=4):
        """The guest's inner address."""
        return wait_until(lambda: self.guest.addresses(version), PATIENCE, f"an IPv{version} address of the guest")[0]

    def reach(self, *addresses, size=56):
        """Until each answers a ping of that size: the guest's routes come a moment after its addresses."""
        for address in addresses:
            try:
                wait_until(lambda where=address: self.guest.ping(where, size=size), PATIENCE, f"an answer of {size} bytes from {address}")
            except AssertionError as late:
                raise AssertionError(f"{late}\n{self.log()}\n{self.state()}") from None

    def wait_said(self, words):
        """Until a sentence with these words is logged; the line."""
        try:
            return wait_until(lambda: next((line for line in self.log().splitlines() if words in line), None), PATIENCE, words)
        except AssertionError as late:
            raise AssertionError(f"{late}\n{self.log()}") from None
