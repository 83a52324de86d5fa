# SPDX-License-Identifier: Apache-2.0
"""A Bochs machine with OVMF: the lane of Intel's VT-x. Driven through its first serial port like QEMU's; Bochs exits with a failure even at a clean
end, so a run is judged by what the serial port said."""
import shlex
import socket
import subprocess
from pathlib import Path

from .console import Console, MachineError
from .machine import LOG_PORT

MODELS = ("corei7_haswell_4770", "corei7_skylake_x")
FIRMWARE = "/usr/share/ovmf/OVMF.fd"
VIDEO = "/usr/share/seabios/vgabios-isavga.bin"
LIFETIME = 1200
CONNECT_TIMEOUT = 30
COM3 = 3  # of Bochs' numbers; stands at LOG_PORT

CONFIGURATION = """\
config_interface: textconfig
display_library: rfb, options="timeout=0"
romimage: file={firmware}, address=0xffe00000
vgaromimage: file={video}
vga: extension=none
pci: enabled=1, chipset=i440fx
megs: {memory}
cpu: model={model}, count={cpus}, ips=20000000, reset_on_triple_fault=0, ignore_bad_msrs=1
clock: sync=none
ata0: enabled=1, ioaddr1=0x1f0, ioaddr2=0x3f0, irq=14
ata0-master: type=disk, path={disk}, mode={mode}
boot: disk
log: {folder}/bochs.log
error: action=report
panic: action=fatal
debug: action=ignore, unmapped=ignore
port_e9_hack: enabled=1
com1: enabled=1, mode=socket-client, dev=localhost:{port}
com{log_number}: enabled=1, mode=file, dev={folder}/shoji.log
"""


class BochsMachine(Console):
    """Starts Bochs. With keep=True the machine writes to the disk's image itself, else to a file beside it that is thrown away."""

    emulator = "Bochs"

    def __init__(self, disk, folder, *, model=MODELS[0], cpus=2, memory=512, keep=True, lifetime=LIFETIME):
        self.folder = Path(folder)
        self.folder.mkdir(parents=True, exist_ok=True)
        self.log_path = self.folder / "shoji.log"
        assert LOG_PORT == 0x3E8, "COM3's address"
        Path(f"{disk}.lock").unlink(missing_ok=True)  # of a Bochs that was killed
        listener = socket.create_server(("127.0.0.1", 0))
        configuration = CONFIGURATION.format(
            firmware=FIRMWARE, video=VIDEO, memory=memory, model=model, cpus=cpus, disk=disk, mode="flat" if keep else "volatile",
            folder=self.folder, port=listener.getsockname()[1], log_number=COM3)
        (self.folder / "bochsrc").write_text(configuration)
        command = ["setpriv", "--pdeathsig", "TERM", "timeout", "-k", "5", str(lifetime), "bochs", "-q", "-f", str(self.folder / "bochsrc")]
        (self.folder / "command").write_text(shlex.join(command) + "\n")
        self.process = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=(self.folder / "bochs.out").open("wb"), stderr=subprocess.STDOUT)
        self.process.stdin.write(b"c\n")  # Debian's Bochs has its debugger in it, which waits at the start
        self.process.stdin.flush()
        self.wire = self._accept(listener)
        self.start_reading(self.wire.makefile("rb", buffering=65536))

    def __enter__(self):
        return self

    def __exit__(self, *problem):
        self.stop()

    def _accept(self, listener):
        listener.settimeout(CONNECT_TIMEOUT)
        try:
            return listener.accept()[0]
        except TimeoutError:
            self.process.kill()
            raise MachineError("Bochs did not start: " + (self.folder / "bochs.out").read_text(errors="replace")[-2000:]) from None
        finally:
            listener.close()

    def type(self, data):
        self.wire.sendall(data)

    def log(self):
        """What has come out of the log port."""
        return self.log_path.read_text(errors="replace") if self.log_path.exists() else ""

    def wait_end(self, timeout=120):
        """Waits until Bochs has ended by itself: the machine was switched off."""
        try:
            self.process.wait(timeout)
        except subprocess.TimeoutExpired:
            raise MachineError(f"the machine still runs after {timeout} s; COM1 ends:\n{self.text[-2000:]}") from None
        self.reader.join(10)

    def stop(self):
        """Ends Bochs, whatever state it is in."""
        if self.process.poll() is None:
            self.process.terminate()
            try:
                self.process.wait(10)
            except subprocess.TimeoutExpired:
                self.process.kill()
                self.process.wait()
        self.wire.close()
        self.reader.join(10)
        self.process.stdin.close()
