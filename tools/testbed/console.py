# SPDX-License-Identifier: Apache-2.0
"""A machine's first serial port: what it says, kept and waited for, and what is typed there. QEMU and Bochs are driven through it alike."""
import re
import threading
import time

ESCAPES = re.compile(rb"\x1b\[[0-9;?=]*[A-Za-z]|\x1b[()][A-Za-z0-9]|\x1b[=>78cDEHM]|\x00")
PARTIAL_ESCAPE = re.compile(rb"\x1b(\[[0-9;?=]*|[()])?$")


class MachineError(AssertionError):
    """The machine did not do what was expected; carries the end of what it said."""


class Console:
    """Needs of its owner: self.folder, self.source (a file to read from), self.type(bytes), self.log()."""

    emulator = "the emulator"

    def start_reading(self, source):
        self.source = source
        self.text, self.position, self.ended = "", 0, False
        self.arrivals = []  # (length of the text, when it was that long)
        self.changed = threading.Condition()
        self.reader = threading.Thread(target=self._read, daemon=True)
        self.reader.start()

    def _read(self):
        held = b""
        with (self.folder / "com1.log").open("wb") as log:
            while chunk := self.source.read1(65536):
                log.write(chunk)
                log.flush()
                held = ESCAPES.sub(b"", held + chunk)
                partial = PARTIAL_ESCAPE.search(held)
                cut = partial.start() if partial else len(held)
                with self.changed:
                    self.text += held[:cut].decode("utf-8", "replace").replace("\r", "")
                    held = held[cut:]
                    self.arrivals.append((len(self.text), time.monotonic()))
                    self.changed.notify_all()
        with self.changed:
            self.ended = True
            self.changed.notify_all()

    def expect(self, pattern, timeout=60):
        """Waits for a regular expression on COM1 after the last match; returns the match."""
        compiled, deadline = re.compile(pattern, re.M), time.monotonic() + timeout
        with self.changed:
            while True:
                match = compiled.search(self.text, self.position)
                if match:
                    self.position = match.end()
                    return match
                left = deadline - time.monotonic()
                if self.ended or left <= 0:
                    what = f"{self.emulator} ended" if self.ended else f"{timeout} s passed"
                    raise MachineError(f"{what} without {pattern!r}; COM1 ends:\n{self.text[-3000:]}\n--- log port ends:\n{self.log()[-3000:]}"
                                       f"\n--- CPUs:\n{self.where()}")
                self.changed.wait(min(left, 1))

    def where(self):
        """Where the CPUs are, if the emulator can say it: for the report of something that did not come."""
        return ""

    def expect_words(self, words, timeout=60):
        """Waits for a sentence's words in the firmware's output, wherever its 80 columns may have broken them."""
        return self.expect(r"\s*".join(re.escape(letter) for letter in words if not letter.isspace()), timeout)

    def time_of_last_match(self):
        """When the end of the last match came out of COM1."""
        return next(when for length, when in self.arrivals if length >= self.position)

    def unlock(self, passphrase, volume="root", timeout=90):
        """Answers the loader's prompt."""
        self.expect_words(f"Passphrase for volume {volume}:", timeout)
        self.send(passphrase + "\r", pause=0.02)

    def send(self, text, pause=0.0):
        """Types on COM1. Firmware reads slowly: give it a pause after each character."""
        for piece in text if pause else [text]:
            self.type(piece.encode())
            time.sleep(pause)

    def login(self, timeout=300):
        """Waits for the automatic login and makes the shell easy to talk to."""
        self.expect(r"root@guest:[^\n]*# ", timeout)
        self.send("stty -echo cols 300; PS1=; PS2=; bind 'set enable-bracketed-paste off' 2>/dev/null; dmesg -n 1; echo rea''dy\n")
        self.expect(r"^ready\n", 60)
        # The prompt may come before the ESP, where shojictl lies, is mounted.
        self.shell("for turn in $(seq 300); do grep -q ' /boot/efi ' /proc/mounts && break; sleep 0.2; done", timeout=180)

    def shell(self, command, timeout=120, check=True):
        """Runs a command in the guest; returns its output. With check, a non-zero exit status raises; else (status, output)."""
        self.send(f"echo begin; {{ {command}\n}} 2>&1; echo \"end $?\"\n")
        self.expect(r"^begin\n", timeout)
        start = self.position
        match = self.expect(r"^(?:.*)end (\d+)\n", timeout)
        output = self.text[start:match.start()] + self.text[match.start():match.end()].rsplit("end ", 1)[0]
        status = int(match[1])
        if not check:
            return status, output
        if status:
            raise MachineError(f"{command!r} in the guest failed ({status}):\n{output}")
        return output
