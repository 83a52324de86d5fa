#!/usr/bin/python3
# SPDX-License-Identifier: Apache-2.0
"""`make run`: an encrypted Debian 12 under Shoji in QEMU, on this terminal. The disk is kept in build/run; Shoji on it is renewed at each run."""
import os
import shutil
from pathlib import Path

from testbed import luks
from testbed.disk import Disk, cached_disks, encrypted_disk
from testbed.machine import LOG_PORT, OVMF_VARS, qemu_command
from testbed.tools import BUILD

FOLDER = BUILD / "run"

WELCOME = f"""
  This terminal is the machine's first serial port: firmware, Shoji's prompt, GRUB and Debian.

    passphrase   {luks.PASSPHRASE}          (or "{luks.ARGON2_PASSPHRASE}": the key slot that takes its time)
    login        root, by itself; then try `shojictl status`
    leave        `poweroff`, or Ctrl-A X at any time
    Shoji's log  build/run/shoji.log   (port {LOG_PORT:#x}, which the guest cannot see)
"""


def prepare_disk():
    """The disk of the last run with this build's Shoji on it; a new one where there is none or the recipe has changed."""
    path, origin = FOLDER / "disk.img", FOLDER / "made-from"
    base = str(cached_disks())
    if path.exists() and origin.exists() and origin.read_text() == base:
        disk = Disk(path)
        disk.install_shoji()
        return disk
    FOLDER.mkdir(parents=True, exist_ok=True)
    disk = encrypted_disk(path)
    origin.write_text(base)
    return disk


def main():
    disk = prepare_disk()
    variables = FOLDER / "vars.fd"
    shutil.copyfile(OVMF_VARS, variables)
    log = Path("build/run/shoji.log")
    command = qemu_command(disk.path, variables, cpus=min(os.cpu_count() or 1, 4))
    command += ["-display", "none", "-serial", "mon:stdio", "-chardev", f"file,id=log,path={log}", "-device", f"isa-serial,iobase={LOG_PORT:#x},irq=5,chardev=log"]
    print(WELCOME, flush=True)
    os.execvp(command[0], command)


if __name__ == "__main__":
    main()
