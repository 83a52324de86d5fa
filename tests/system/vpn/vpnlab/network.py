# SPDX-License-Identifier: Apache-2.0
"""Network namespaces, links between them, and the programs that run in them. All of it goes when it is closed.

    guest --TAP-- [service] --TAP-- bridge "lan" ==(cable, relay or NAT)== bridge "wan" --veth-- gateway(s)

Both bridges are in the namespace "net", which has no address: whatever is on the wire was sent by one of the ends."""
import itertools
import os
import subprocess
import time
from pathlib import Path
from signal import SIGKILL, SIGTERM

from testbed.tools import run

ROOT = [] if os.geteuid() == 0 else ["sudo", "-n"]
# Seconds in which what is only a matter of time must have come about. Alone, each takes less than one or two; beside other programs that want
# all of a small machine it may take twenty. Waits that a promise bounds have their own limits.
PATIENCE = 90
_networks = itertools.count()


def wait_until(condition, seconds, what):
    """What the condition gives, as soon as it is true; an error that says what did not come about."""
    end = time.monotonic() + seconds
    while True:
        value = condition()
        if value:
            return value
        if time.monotonic() > end:
            raise AssertionError(f"not within {seconds} s: {what}")
        time.sleep(0.05)


class Process:
    """A program in a namespace; its output goes to a log."""

    def __init__(self, command, log, environment=None):
        self.log = Path(log)
        with open(self.log, "ab") as out:
            self.popen = subprocess.Popen([*ROOT, *map(str, command)], stdin=subprocess.DEVNULL, stdout=out, stderr=subprocess.STDOUT,
                                          env={**os.environ, "LC_ALL": "C", "PATH": f"{os.environ.get('PATH', '')}:/usr/sbin:/sbin",
                                               **(environment or {})}, start_new_session=True)

    @property
    def pid(self):
        """Of the program itself, not of sudo."""
        if not ROOT:
            return self.popen.pid
        children = Path(f"/proc/{self.popen.pid}/task/{self.popen.pid}/children").read_text().split()
        return int(children[0]) if children else self.popen.pid

    def running(self):
        return self.popen.poll() is None

    def send(self, number):
        run(*ROOT, "kill", f"-{int(number)}", self.pid)

    def stop(self, number=SIGTERM):
        if self.running():
            run(*ROOT, "kill", f"-{int(number)}", self.popen.pid, check=False)
        try:
            self.popen.wait(PATIENCE)
        except subprocess.TimeoutExpired:
            run(*ROOT, "kill", f"-{int(SIGKILL)}", self.pid, self.popen.pid, check=False)
            self.popen.wait(PATIENCE)

    def text(self):
        return self.log.read_text(errors="replace") if self.log.exists() else ""

    def cpu_seconds(self):
        """User and system time of all its threads."""
        fields = Path(f"/proc/{self.pid}/stat").read_text().rsplit(")", 1)[1].split()
        return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")

    def peak_mib(self):
        for line in Path(f"/proc/{self.pid}/status").read_text().splitlines():
            if line.startswith("VmHWM:"):
                return int(line.split()[1]) / 1024
        raise AssertionError("the process has no VmHWM")


class Network:
    def __init__(self, folder):
        self.folder = Path(folder)
        self.prefix = f"vpn{os.getpid()}-{next(_networks)}-"
        # Begins the paths of sockets, which have 107 bytes at most: a test's folder may have more.
        self.sockets = f"/run/{self.prefix}"
        self.spaces, self.processes = [], []

    def add_space(self, name, ipv6=True):
        full = self.prefix + name
        # `ip netns exec` gives each program a mount namespace with this file in place: no daemon of the lab reaches the host's own.
        run(*ROOT, "mkdir", "-p", f"/etc/netns/{full}")
        run(*ROOT, "tee", f"/etc/netns/{full}/resolv.conf", stdin=b"# of the VPN's tests\n")
        run(*ROOT, "ip", "netns", "add", full)
        self.spaces.append(name)
        if not ipv6:
            self.sysctl(name, "ipv6/conf/all/disable_ipv6", 1)
            self.sysctl(name, "ipv6/conf/default/disable_ipv6", 1)
        # Duplicate address detection would only make each test a second longer.
        self.sysctl(name, "ipv6/conf/default/accept_dad", 0)
        self.ip(name, "link", "set", "lo", "up")

    def remove_space(self, name):
        run(*ROOT, "ip", "netns", "delete", self.prefix + name, check=False)
        run(*ROOT, "rm", "-rf", f"/etc/netns/{self.prefix}{name}", check=False)
        self.spaces.remove(name)

    def inside(self, space, *command):
        return ["ip", "netns", "exec", self.prefix + space, *map(str, command)]

    def run(self, space, *command, **options):
        return run(*ROOT, *self.inside(space, *command), **options)

    def ip(self, space, *words, **options):
        return run(*ROOT, "ip", "-n", self.prefix + space, *words, **options)[1]

    def start(self, space, *command, log, environment=None):
        words = self.inside(space, *command)
        if environment:
            words = ["env", *(f"{key}={value}" for key, value in environment.items()), *words]
        process = Process(words, self.folder / log)
        self.processes.append(process)
        return process

    def sysctl(self, space, key, value):
        self.run(space, "sh", "-c", f"echo {value} >/proc/sys/net/{key}")

    def add_bridge(self, name):
        self.ip("net", "link", "add", name, "type", "bridge", "forward_delay", "0", "mcast_snooping", "0")
        self.ip("net", "link", "set", name, "up")

    def connect(self, space, interface, bridge):
        """A veth from a namespace to a bridge of "net"; the far end is called after both."""
        far = f"{space[:8]}-{interface[:6]}"
        self.ip("net", "link", "add", far, "type", "veth", "peer", "name", interface, "netns", self.prefix + space)
        self.ip("net", "link", "set", far, "master", bridge, "up")
        self.ip(space, "link", "set", interface, "up")

    def address(self, space, interface, *addresses):
        for address in addresses:
            self.ip(space, "address", "add", address, "dev", interface, *(["nodad"] if ":" in address else []))

    def add_cable(self):
        """lan and wan become one."""
        self.ip("net", "link", "add", "cable-lan", "type", "veth", "peer", "name", "cable-wan")
        for bridge in ("lan", "wan"):
            self.ip("net", "link", "set", f"cable-{bridge}", "master", bridge, "up")

    def add_tap(self, space, name):
        self.ip(space, "tuntap", "add", "mode", "tap", "name", name)

    def join(self, tap, bridge):
        self.ip("net", "link", "set", tap, "master", bridge, "up")

    def move(self, interface, from_space, to_space):
        self.ip(from_space, "link", "set", interface, "netns", self.prefix + to_space)

    def close(self):
        for process in reversed(self.processes):
            process.stop()
        for space in reversed(self.spaces[:]):
            self.remove_space(space)
        self.processes = []
        run(*ROOT, "sh", "-c", f"rm -f {self.sockets}*")
