# SPDX-License-Identifier: Apache-2.0
"""A QEMU machine with OVMF, driven through its first serial port and QMP. Every machine ends by a deadline of its own, or with the test."""
import json
import shlex
import shutil
import socket
import subprocess
import tempfile
import time
from pathlib import Path

from .console import Console, MachineError
from .disk import SERIAL

OVMF_CODE = "/usr/share/OVMF/OVMF_CODE_4M.fd"
OVMF_VARS = "/usr/share/OVMF/OVMF_VARS_4M.fd"
LOG_PORT = 0x3E8
LIFETIME = 1800


# By the kind of controller that the disk hangs on: the machine type, and the devices.
STORAGE = {
    "nvme": ("q35", ["-device", "nvme,serial={serial},drive=disk0{namespaces}"]),
    "ide": ("pc", ["-device", "ide-hd,bus=ide.0,unit=0,serial={serial},drive=disk0"]),
}


def qemu_command(disk, variables, *, cpus=2, memory=1024, cpu="max", storage="nvme", namespaces="", threads="single", code_mib=0, extra=()):
    """The main lane's machine, without its serial ports. With threads="single" the CPUs take turns on one thread: TCG's FXRSTOR and
    XRSTOR write, unlocked, to a word of the first CPU's state, and rarely undo a #VMEXIT that happens there at the same time. code_mib: how much
    translated code TCG keeps before it begins anew; 0: its own choice."""
    machine, devices = STORAGE[storage]
    return ["qemu-system-x86_64", "-machine", machine, "-accel", f"tcg,thread={threads},tb-size={code_mib}", "-cpu", cpu, "-smp", str(cpus),
            "-m", str(memory), "-nodefaults", "-vga", "none",
            "-drive", f"if=pflash,unit=0,format=raw,readonly=on,file={OVMF_CODE}",
            "-drive", f"if=pflash,unit=1,format=raw,file={variables}",
            "-drive", f"if=none,id=disk0,format=raw,cache=unsafe,discard=unmap,file={disk}",
            *(word.format(serial=SERIAL, namespaces=namespaces) for word in devices), *extra]


class Machine(Console):
    """Starts QEMU. What COM1 says is kept in <folder>/com1.log, what the log port says in <folder>/shoji.log."""

    emulator = "QEMU"

    def __init__(self, disk, folder, *, reboot=False, lifetime=LIFETIME, **options):
        self.folder = Path(folder)
        self.folder.mkdir(parents=True, exist_ok=True)
        self.log_path = self.folder / "shoji.log"
        self.sockets = tempfile.TemporaryDirectory(prefix="shoji-")
        variables = self.folder / "vars.fd"
        shutil.copyfile(OVMF_VARS, variables)
        qmp = Path(self.sockets.name) / "qmp"
        command = ["setpriv", "--pdeathsig", "TERM", "timeout", "-k", "5", str(lifetime), *qemu_command(disk, variables, **options),
                   "-chardev", "stdio,id=com1,signal=off", "-serial", "chardev:com1",
                   "-chardev", f"file,id=log,path={self.log_path}", "-device", f"isa-serial,iobase={LOG_PORT:#x},irq=5,chardev=log",
                   "-qmp", f"unix:{qmp},server=on,wait=off"] + ([] if reboot else ["-no-reboot"])
        (self.folder / "command").write_text(shlex.join(command) + "\n")
        self.process = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=(self.folder / "qemu.err").open("wb"))
        self.start_reading(self.process.stdout)
        self.qmp_socket = self._connect(qmp)

    def __enter__(self):
        return self

    def __exit__(self, *problem):
        self.stop()

    def _connect(self, path):
        deadline = time.monotonic() + 20
        while time.monotonic() < deadline:
            try:
                connection = socket.socket(socket.AF_UNIX)
                connection.settimeout(30)
                connection.connect(str(path))
                self.qmp_file = connection.makefile("rw")
                json.loads(self.qmp_file.readline())
                self.events = []
                self.qmp_socket = connection
                self.qmp("qmp_capabilities")
                return connection
            except (FileNotFoundError, ConnectionRefusedError):
                if self.process.poll() is not None:
                    break
                time.sleep(0.1)
        raise MachineError("QEMU did not start: " + (self.folder / "qemu.err").read_text())

    def qmp(self, command, **arguments):
        """One QMP command and its result; events on the way are kept in self.events."""
        self.qmp_file.write(json.dumps({"execute": command, "arguments": arguments}) + "\n")
        self.qmp_file.flush()
        while line := self.qmp_file.readline():
            answer = json.loads(line)
            if "event" in answer:
                self.events.append(answer)
            elif "error" in answer:
                raise MachineError(f"QMP {command}: {answer['error']['desc']}")
            else:
                return answer["return"]
        raise MachineError(f"QEMU ended during QMP {command}")

    def type(self, data):
        self.process.stdin.write(data)
        self.process.stdin.flush()

    def log(self):
        """What has come out of the log port."""
        return self.log_path.read_text(errors="replace") if self.log_path.exists() else ""

    def where(self):
        """Each CPU's instruction pointer, three times; all registers are in registers.log."""
        try:
            dumps = []
            for _ in range(3):
                dumps.append(self.qmp("human-monitor-command", **{"command-line": "info registers -a"}))
                time.sleep(0.2)
        except (OSError, ValueError, MachineError) as problem:
            return str(problem)
        (self.folder / "registers.log").write_text("\n".join(dumps))
        return "\n".join(line for line in "\n".join(dumps).splitlines() if line.startswith(("CPU#", "RIP=")))

    def wait_end(self, timeout=120):
        """Waits until QEMU has ended by itself (power-off, or a reset with -no-reboot)."""
        try:
            self.process.wait(timeout)
        except subprocess.TimeoutExpired:
            raise MachineError(f"the machine still runs after {timeout} s; COM1 ends:\n{self.text[-2000:]}") from None
        self.reader.join(10)

    def power_off(self, timeout=120):
        self.send("systemctl poweroff\n")
        self.wait_end(timeout)

    def stop(self):
        """Ends QEMU, whatever state it is in."""
        if self.process.poll() is None:
            try:
                self.qmp("quit")
                self.process.wait(10)
            except (OSError, ValueError, MachineError, subprocess.TimeoutExpired):
                self.process.kill()
                self.process.wait()
        self.reader.join(10)
        self.qmp_socket.close()
        self.sockets.cleanup()
