#!/usr/bin/python3
# SPDX-License-Identifier: Apache-2.0
"""run_system.py COUNT-FILE [NAME]: runs the system tests (those whose name matches) and writes `passed failed`. A skipped test has failed."""
import subprocess
import sys
import xml.etree.ElementTree as tree
from pathlib import Path

REPORT = Path("build/results/system.xml")


def main():
    count_file, names = Path(sys.argv[1]), sys.argv[2:]
    REPORT.parent.mkdir(parents=True, exist_ok=True)
    REPORT.unlink(missing_ok=True)
    command = ["/usr/bin/python3", "-m", "pytest", "-v", "--tb=short", "-p", "no:cacheprovider", f"--junitxml={REPORT}", "tests/system"]
    if names:
        command += ["-k", " ".join(names)]
    status = subprocess.run(command, check=False).returncode
    passed = failed = 0
    if REPORT.exists():
        for case in tree.parse(REPORT).iter("testcase"):
            bad = any(case.find(kind) is not None for kind in ("failure", "error", "skipped"))
            passed, failed = passed + (not bad), failed + bad
    if status and not failed:
        failed = 1
    print(f"==> system tests: {passed} passed, {failed} failed")
    count_file.write_text(f"{passed} {failed}\n")
    sys.exit(1 if failed else 0)


if __name__ == "__main__":
    main()
