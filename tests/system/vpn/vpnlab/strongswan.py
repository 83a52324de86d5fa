# SPDX-License-Identifier: Apache-2.0
"""Stock strongSwan in a namespace, with its userspace ESP (kernel-libipsec): the gateway, or the client that ours is compared with."""
import re
import shutil
from pathlib import Path

from testbed.tools import BUILD, run

from .network import PATIENCE, ROOT, wait_until

PLUGINS = ("random nonce openssl pem pkcs1 pkcs8 x509 revocation constraints pubkey curve25519 chapoly gcm aes sha1 sha2 hmac kdf drbg "
           "kernel-libipsec kernel-netlink socket-default vici updown attr")


def block(name, **keys):
    """A section of swanctl.conf: dicts are sections, everything else values; _ stands for - in names."""
    lines = [f"{name} {{"]
    for key, value in keys.items():
        if isinstance(value, dict):
            lines += ["  " + line for line in block(key, **value).splitlines()]
        else:
            lines.append(f"  {key} = {value}")
    return "\n".join([*lines, "}"]) + "\n"


def program(name):
    """A copy of a program of strongSwan's: where AppArmor is on, its profiles let those in /usr/sbin read nothing of a test's folder."""
    copy = BUILD / "system" / "vpn-programs" / name
    if not copy.exists():
        copy.parent.mkdir(parents=True, exist_ok=True)
        shutil.copy2(Path("/usr/sbin") / name, copy)
    return copy


class StrongSwan:
    def __init__(self, network, space, folder, options=""):
        self.network, self.space, self.folder = network, space, folder
        shutil.rmtree(folder, ignore_errors=True)
        for name in ("x509", "x509ca", "x509crl", "private"):
            (folder / "swanctl" / name).mkdir(parents=True)
        self.socket = f"{network.sockets}{space}.vici"
        (folder / "strongswan.conf").write_text(f"""charon-systemd {{
  load = {PLUGINS}
  {options}
  plugins {{
    vici {{ socket = unix://{self.socket} }}
    kernel-libipsec {{ load = yes }}
  }}
  filelog {{ file {{ path = {folder}/charon.log
    default = 1
    ike = 2
    knl = 2
    flush_line = yes }} }}
  journal {{ default = -1 }}
}}
swanctl {{ load = pem pkcs1 x509 revocation constraints pubkey openssl random }}
""")
        self.process = None

    def write(self, kind, name, data):
        path = self.folder / "swanctl" / kind / name
        path.write_bytes(data)

    def configure(self, connections, pools=None, secrets=None):
        text = block("connections", **connections) + block("pools", **(pools or {})) + block("secrets", **(secrets or {}))
        (self.folder / "swanctl" / "swanctl.conf").write_text(text)

    def start(self):
        run(*ROOT, "rm", "-f", self.socket)
        environment = {"STRONGSWAN_CONF": self.folder / "strongswan.conf"}
        self.process = self.network.start(self.space, program("charon-systemd"), log=f"{self.folder.name}.out", environment=environment)
        wait_until(lambda: run(*ROOT, "test", "-S", self.socket, check=False)[0] == 0, PATIENCE, "strongSwan's socket")
        self.load()

    def load(self):
        output = self.swanctl("--load-all", "--noprompt", "--clear")
        if re.search(r"loading .* failed|[1-9][0-9]* unloaded", output):
            raise AssertionError(f"swanctl --load-all: {output}")

    def swanctl(self, *words, check=True, timeout=PATIENCE):
        environment = ["env", f"STRONGSWAN_CONF={self.folder / 'strongswan.conf'}", f"SWANCTL_DIR={self.folder / 'swanctl'}"]
        return run(*ROOT, *environment, program("swanctl"), *words, "--uri", f"unix://{self.socket}", check=check, timeout=timeout)[1]

    def stop(self, kill=False):
        if self.process:
            self.process.stop(9 if kill else 15)
            self.network.processes.remove(self.process)
        self.process = None

    def log(self):
        path = self.folder / "charon.log"
        return path.read_text(errors="replace") if path.exists() else ""
