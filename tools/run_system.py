#!/usr/bin/python3
# SPDX-License-Identifier: Apache-2.0
"""run_system.py COUNT-FILE [NAME]: runs the system tests (those whose name matches) and writes `passed failed`. A skipped test has failed.
They run in two lanes side by side, for an emulator keeps one CPU busy; the lanes take about as long as each other."""
import subprocess
import sys
import xml.etree.ElementTree as tree
from pathlib import Path

RESULTS = Path("build/results")
FOLDER = Path("tests/system")
SECOND_LANE = [FOLDER / name for name in ("test_bochs.py", "test_nvme.py", "test_refusals.py", "vpn") if (FOLDER / name).exists()]
LANES = {"first": [str(FOLDER), *(f"--ignore={path}" for path in SECOND_LANE)], "second": list(map(str, SECOND_LANE))}
NOTHING_COLLECTED = 5  # pytest's status when no test of the lane has such a name


def start(lane, names, output):
    report = RESULTS / f"system-{lane}.xml"
    report.unlink(missing_ok=True)
    command = ["/usr/bin/python3", "-m", "pytest", "-v", "--tb=short", "-p", "no:cacheprovider", f"--junitxml={report}", *LANES[lane]]
    if names:
        command += ["-k", " ".join(names)]
    return subprocess.Popen(command, stdout=output, stderr=output and subprocess.STDOUT)


def count(lane, status):
    """(passed, failed) of one lane."""
    report, passed, failed = RESULTS / f"system-{lane}.xml", 0, 0
    if report.exists():
        for case in tree.parse(report).iter("testcase"):
            bad = any(case.find(kind) is not None for kind in ("failure", "error", "skipped"))
            passed, failed = passed + (not bad), failed + bad
    if status not in (0, NOTHING_COLLECTED) and not failed:
        failed = 1
    return passed, failed


def main():
    count_file, names = Path(sys.argv[1]), sys.argv[2:]
    RESULTS.mkdir(parents=True, exist_ok=True)
    beside = RESULTS / "system-second.log"
    with beside.open("wb") as output:
        processes = {"second": start("second", names, output), "first": start("first", names, None)}
        counts = [count(lane, processes[lane].wait()) for lane in LANES]
    print(beside.read_text(errors="replace"), flush=True)
    passed, failed = (sum(column) for column in zip(*counts))
    if not passed and not failed:
        failed = 1  # a name that matches nothing
    print(f"==> system tests: {passed} passed, {failed} failed")
    count_file.write_text(f"{passed} {failed}\n")
    sys.exit(1 if failed else 0)


if __name__ == "__main__":
    main()
