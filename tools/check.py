#!/usr/bin/python3
# SPDX-License-Identifier: Apache-2.0
"""check.py MAKE...: runs every kind of test, also after one has failed, and ends with one line that sums all: `N passed, N failed`."""
import subprocess
import sys
from pathlib import Path

KINDS = {"unit": "unit", "fuzz-short": "fuzz", "system": "system"}


def main():
    passed = failed = 0
    for target, name in KINDS.items():
        print(f"==> make {target}", flush=True)
        status = subprocess.run([*sys.argv[1:], target], check=False).returncode
        try:
            good, bad = map(int, Path(f"build/results/{name}.count").read_text().split())
        except (OSError, ValueError):
            print(f"FAIL make {target} stopped before its tests could be counted", flush=True)
            good, bad = 0, 1
        if status and not bad:
            bad = 1
        passed, failed = passed + good, failed + bad
    print(f"{passed} passed, {failed} failed")
    sys.exit(1 if failed else 0)


if __name__ == "__main__":
    main()
