# SPDX-License-Identifier: Apache-2.0
"""A fault inside the hypervisor, made with QEMU's debugger: the dump on the log port and on the screen, and no key left in memory."""
import socket
import struct
import time

from testbed import luks
from testbed.disk import HEADER_PATH, encrypted_disk
from testbed.tools import BUILD, run

PAPER = b"\x80\x00\x00"  # the background of core/screen.c, as it stands in a PPM
NOWHERE = 0xDEAD
RIP_AT = 16 * 8  # of RIP among gdb's x86-64 registers, in bytes


class Debugger:
    """As much of gdb's remote protocol as the test needs."""

    def __init__(self, path):
        self.socket = socket.socket(socket.AF_UNIX)
        self.socket.settimeout(60)
        self.socket.connect(str(path))
        self.held = b""

    def ask(self, text, answer=True):
        packet = text.encode()
        self.socket.sendall(b"$" + packet + b"#%02x" % (sum(packet) % 256))
        return self.answer() if answer else None

    def answer(self):
        while b"$" not in self.held or len(self.held.split(b"$", 1)[1].split(b"#", 1)) < 2 or len(self.held.rsplit(b"#", 1)[1]) < 2:
            self.held += self.socket.recv(65536)
        text, self.held = self.held.split(b"$", 1)[1].split(b"#", 1)[0].decode(), b""
        self.socket.sendall(b"+")
        return text


def address_of(symbol):
    for line in run("nm", BUILD / "core" / "shoji-core.elf")[1].splitlines():
        if line.split()[-1] == symbol:
            return int(line.split()[0], 16)
    raise AssertionError(f"no symbol {symbol} in the core")


def memory_of(machine, folder):
    path = folder / "memory"
    machine.qmp("pmemsave", val=0, size=1 << 30, filename=str(path))
    return path.read_bytes()


def test_a_fault_in_the_hypervisor_is_dumped_and_forgets_the_key(folder, start):
    disk = encrypted_disk(folder / "disk.img")
    header = folder / "root.luks"
    header.write_bytes(disk.get(HEADER_PATH))
    key = luks.volume_key(header, folder)
    gate = folder / "gdb"
    machine = start(disk, cpus=1, extra=["-device", "VGA", "-gdb", f"unix:{gate},server=on,wait=off"])
    machine.unlock(luks.PASSPHRASE)
    machine.expect_words("protected.", 120)
    machine.qmp("stop")
    # A key schedule begins with the key itself; where it stands now it must not stand later.
    assert key[32:] in memory_of(machine, folder), "the key is nowhere, so this test would prove nothing"
    debugger = Debugger(gate)
    debugger.ask("?")
    assert debugger.ask(f"Z1,{address_of('svm_exit'):x},1") == "OK"
    assert debugger.ask("c").startswith("T")
    registers = bytearray.fromhex(debugger.ask("g"))
    struct.pack_into("<Q", registers, RIP_AT, NOWHERE)
    assert debugger.ask("G" + registers.hex()) == "OK"
    assert debugger.ask(f"z1,{address_of('svm_exit'):x},1") == "OK"
    debugger.ask("c", answer=False)

    deadline = time.monotonic() + 30
    while "Shoji has stopped this machine" not in machine.log() and time.monotonic() < deadline:
        time.sleep(0.2)
    log = machine.log()
    assert f"Exception 14 in the hypervisor, error code 10, at {NOWHERE:x}" in log
    assert "Shoji has stopped this machine" in log and "cr3" in log

    screen = folder / "screen.ppm"
    machine.qmp("screendump", filename=str(screen))
    assert screen.read_bytes().count(PAPER) > 10000, "the dump is not on the screen"
    assert key[32:] not in memory_of(machine, folder) and key[:32] not in memory_of(machine, folder)
