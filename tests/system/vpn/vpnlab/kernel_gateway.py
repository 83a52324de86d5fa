# SPDX-License-Identifier: Apache-2.0
"""A gateway whose ESP is the Linux kernel's: raw protocol 50, ESN, IPv6 outside. The host's kernel need not have it: a small QEMU guest with
Debian's kernel and this machine's strongSwan in an initramfs, its network card a TAP in the bridge "wan"."""
import re
import stat
import subprocess
from pathlib import Path

from testbed.tools import BUILD, run

from .lab import GATEWAY, GATEWAY6, OFFICE, OFFICE6
from .network import PATIENCE, ROOT, wait_until

MODULES = ("virtio_pci virtio_net af_packet esp4 esp6 xfrm_user xfrm4_tunnel xfrm6_tunnel hmac sha256_ssse3 sha512_ssse3 sha512_generic cbc ctr gcm "
           "ghash_generic aesni_intel authenc authencesn jitterentropy_rng drbg seqiv echainiv chacha20poly1305 chacha_generic "
           "poly1305_generic").split()
PLUGINS = "random nonce openssl pem pkcs1 pkcs8 x509 revocation constraints pubkey curve25519 hmac kdf drbg kernel-netlink socket-default vici updown"
LIFETIME = 900  # seconds, should nobody stop it
PROGRAMS = ["/usr/sbin/charon-systemd", "/usr/sbin/swanctl", "/usr/bin/iperf3", "/usr/sbin/ip"]
PLUGIN_FOLDER = "/usr/lib/ipsec/plugins"
INIT = f"""#!/bin/busybox sh
/bin/busybox --install -s /bin
export PATH=/usr/sbin:/usr/bin:/bin
ip=/usr/sbin/ip  # busybox would rather run its own, which knows neither nodad nor xfrm
mount -t devtmpfs none /dev; mount -t proc none /proc; mount -t sysfs none /sys; mount -t tmpfs none /run; mkdir -p /tmp
while read module; do insmod $module; done </modules.list
$ip link set lo up
$ip address add {GATEWAY}/24 dev eth0; $ip -6 address add {GATEWAY6}/64 dev eth0 nodad
$ip address add {OFFICE}/32 dev lo; $ip -6 address add {OFFICE6}/128 dev lo
$ip link set eth0 up
echo 1 >/proc/sys/net/ipv4/ip_forward; echo 1 >/proc/sys/net/ipv6/conf/all/forwarding
export STRONGSWAN_CONF=/gateway/strongswan.conf SWANCTL_DIR=/gateway/swanctl
charon-systemd >/run/charon.out 2>&1 &
iperf3 --server >/run/iperf.out 2>&1 &
while [ ! -S /run/charon.vici ]; do sleep 0.1; done
swanctl --load-all --noprompt --uri unix:///run/charon.vici
stty -echo
echo GATEWAY-READY
exec sh
"""


def _kernel_files():
    """Where Debian's kernel is, its version, and its file system."""
    root = BUILD / "deps" / "root"
    return root / "vmlinuz", (root / "kernel").read_text().strip(), root / "root.ext4"


def _from_image(image, path):
    return subprocess.run(["/usr/sbin/debugfs", "-R", f"cat {path}", image], stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, check=True).stdout


def _modules(version, image):
    """(path, content) of the modules and what they need, in the order in which they can be loaded."""
    folder = f"/usr/lib/modules/{version}"
    needs = {}
    for line in _from_image(image, f"{folder}/modules.dep").decode().splitlines():
        path, _, others = line.partition(":")
        needs[path] = others.split()
    names = {Path(path).stem.replace("-", "_"): path for path in needs}
    built_in = {Path(path).stem.replace("-", "_") for path in _from_image(image, f"{folder}/modules.builtin").decode().split()}
    order = []

    def add(path):
        for other in needs[path]:
            add(other)
        if path not in order:
            order.append(path)

    for name in MODULES:
        if name in names:
            add(names[name])
        elif name not in built_in:
            raise AssertionError(f"the kernel has no module {name}")
    return [(path, _from_image(image, f"{folder}/{path}")) for path in order]


def _libraries(program):
    return re.findall(r"(/\S+) \(0x", run("ldd", program)[1])


class Archive:
    """A cpio archive in the form that the kernel unpacks."""

    def __init__(self):
        self.data, self.known = bytearray(), set()

    def add(self, path, content=b"", mode=stat.S_IFREG | 0o755):
        path = path.strip("/")
        parent = str(Path(path).parent)
        if parent != "." and parent not in self.known:
            self.add(parent, mode=stat.S_IFDIR | 0o755)
        if path in self.known:
            return
        self.known.add(path)
        self._entry(path, content, mode)

    def _entry(self, path, content, mode):
        name = path.encode() + b"\0"
        fields = [len(self.known), mode, 0, 0, 1, 0, len(content), 0, 0, 0, 0, len(name), 0]
        self.data += b"070701" + b"".join(b"%08X" % field for field in fields) + name
        self.data += b"\0" * (-len(self.data) % 4) + content
        self.data += b"\0" * (-len(self.data) % 4)

    def finish(self):
        self._entry("TRAILER!!!", b"", 0)
        return bytes(self.data)


def _initramfs(configuration):
    vmlinuz, version, image = _kernel_files()
    archive = Archive()
    modules = _modules(version, image)
    for path, content in modules:
        archive.add(f"/modules/{Path(path).name}", content)
    archive.add("/modules.list", "".join(f"/modules/{Path(path).name}\n" for path, _ in modules).encode())
    archive.add("/bin/busybox", Path("/bin/busybox").read_bytes())
    files = [*PROGRAMS, *(f"{PLUGIN_FOLDER}/libstrongswan-{name}.so" for name in PLUGINS.split())]
    for program in [path for path in files if Path(path).exists()]:
        archive.add(program, Path(program).read_bytes())
        for library in _libraries(program):
            archive.add(library, Path(library).read_bytes())
    archive.add("/etc/passwd", b"root:x:0:0:root:/:/bin/sh\n")
    for name in ("dev", "proc", "sys", "run"):
        archive.add(f"/{name}", mode=stat.S_IFDIR | 0o755)
    for path, content in configuration.items():
        archive.add(path, content)
    archive.add("/init", INIT.encode())
    return vmlinuz, archive.finish()


class KernelGateway:
    TAP = "kernel-gw"

    def __init__(self, lab, swanctl):
        """swanctl: the text of its swanctl.conf."""
        self.lab, self.network = lab, lab.network
        strongswan = (f"charon-systemd {{\n  load = {PLUGINS}\n  install_routes = yes\n  plugins {{ vici {{ socket = unix:///run/charon.vici }} }}\n"
                      "  filelog { file { path = /run/charon.log\n default = 1\n ike = 2\n flush_line = yes } }\n  journal { default = -1 }\n}\n"
                      "swanctl { load = pem pkcs1 x509 openssl random }\n")
        vmlinuz, initramfs = _initramfs({"/gateway/strongswan.conf": strongswan.encode(), "/gateway/swanctl/swanctl.conf": swanctl.encode()})
        (lab.folder / "gateway.cpio").write_bytes(initramfs)
        self.network.ip("gw", "link", "set", "eth0", "down")  # the addresses are the QEMU guest's now
        self.network.add_tap("net", self.TAP)
        self.network.join(self.TAP, "wan")
        machine = ["qemu-system-x86_64", "-machine", "q35", "-accel", "tcg,thread=multi", "-cpu", "max", "-m", "256", "-nodefaults", "-vga", "none",
                   "-display", "none", "-no-reboot", "-serial", "stdio", "-kernel", vmlinuz, "-initrd", lab.folder / "gateway.cpio",
                   "-append", "console=ttyS0 quiet panic=-1", "-netdev", f"tap,id=net0,ifname={self.TAP},script=no,downscript=no",
                   "-device", "virtio-net-pci,netdev=net0,romfile="]
        qemu = self.network.inside("net", "timeout", "-k", "5", LIFETIME, *machine)
        self.log = lab.folder / "gateway.console"
        with open(self.log, "wb") as out:
            self.popen = subprocess.Popen([*ROOT, *map(str, qemu)], stdin=subprocess.PIPE, stdout=out, stderr=subprocess.STDOUT,
                                          start_new_session=True)
        self.count = 0

    def text(self):
        return self.log.read_text(errors="replace")

    def wait_ready(self):
        try:
            wait_until(lambda: "GATEWAY-READY" in self.text() or self.popen.poll() is not None, PATIENCE, "the kernel gateway")
            assert self.popen.poll() is None
        except AssertionError:
            raise AssertionError(f"the kernel gateway does not start:\n{self.text()[-4000:]}") from None

    def shell(self, command):
        """Runs a command on the gateway's console; its output."""
        self.count += 1
        begin = len(self.text())
        self.popen.stdin.write(f"{command}; echo END-{self.count}-$?\n".encode())
        self.popen.stdin.flush()
        end = re.compile(rf"END-{self.count}-(\d+)")
        wait_until(lambda: end.search(self.text()[begin:]), PATIENCE, f"the end of {command}\n{self.text()[begin:]}")
        return self.text()[begin:].split(f"END-{self.count}-")[0].replace("\r", "")

    def stop(self):
        if self.popen.poll() is None:
            run(*ROOT, "kill", self.popen.pid, check=False)
            self.popen.wait(PATIENCE)
        self.popen.stdin.close()
        (self.lab.folder / "gateway.cpio").unlink(missing_ok=True)
