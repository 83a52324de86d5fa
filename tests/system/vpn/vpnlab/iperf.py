# SPDX-License-Identifier: Apache-2.0
"""iperf3 between the guest and the network behind the gateway."""
import json
import time

from .lab import OFFICE
from .network import PATIENCE, wait_until


class Iperf:
    def __init__(self, lab, address=OFFICE, space="guest", server=True):
        """server=False: there is one already, which may need a moment between two measurements."""
        self.network, self.address, self.space = lab.network, address, space
        self.measured = 0
        self.server = None
        if not server:
            return
        (self.network.folder / "iperf3-server.log").unlink(missing_ok=True)
        self.server = self.network.start("gw", "iperf3", "--server", "--forceflush", "--bind", address, log="iperf3-server.log")

    def measure(self, seconds=None, mib=None, reverse=False, bitrate=None):
        """Runs one TCP connection; iperf3's own report. An error when the connection was lost."""
        options = [*(["--reverse"] if reverse else []), *(["--bitrate", bitrate] if bitrate else [])]
        self.measured += 1
        if self.server:
            wait_until(lambda: f"listening on 5201 (test #{self.measured})" in self.server.text(), PATIENCE, "iperf3's server")
        amount = ["--time", seconds] if seconds else ["--bytes", f"{mib}M"]
        if not self.server:
            time.sleep(2)
        output = self.network.run(self.space, "iperf3", "--client", self.address, *amount, "--json", *options,
                                  timeout=(seconds or 90) + PATIENCE)[1]
        report = json.loads(output)
        if "error" in report:
            raise AssertionError(f"iperf3: {report['error']}")
        return report

    def stop(self):
        self.server.stop()
        self.network.processes.remove(self.server)

    @staticmethod
    def received_mib(report):
        return report["end"]["sum_received"]["bytes"] / (1 << 20)

    @staticmethod
    def longest_pause(report):
        """Seconds in a row in which nothing came."""
        longest = run = 0
        for interval in report["intervals"]:
            run = run + interval["sum"]["seconds"] if interval["sum"]["bytes"] == 0 else 0
            longest = max(longest, run)
        return longest
