#!/usr/bin/python3
# SPDX-License-Identifier: Apache-2.0
"""run_unit.py COUNT-FILE PROGRAM...: runs cmocka programs, shows one line each (all output of one that fails), and writes `passed failed`."""
import os
import re
import subprocess
import sys
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

TIMEOUT = 300
ENVIRONMENT = {**os.environ, "CMOCKA_MESSAGE_OUTPUT": "TAP", "ASAN_OPTIONS": "detect_leaks=1", "UBSAN_OPTIONS": "print_stacktrace=1"}


def run(program):
    start = time.monotonic()
    try:
        done = subprocess.run([program], env=ENVIRONMENT, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, timeout=TIMEOUT, check=False)
        output, status = done.stdout, done.returncode
    except subprocess.TimeoutExpired as late:
        output, status = (late.stdout or b"") + b"\ntimed out\n", -1
    text = output.decode(errors="replace")
    passed = len(re.findall(r"^ok \d+", text, re.M))
    failed = len(re.findall(r"^not ok \d+", text, re.M))
    planned = sum(int(count) for count in re.findall(r"^1\.\.(\d+)", text, re.M))
    failed = max(failed, planned - passed)
    if (status != 0 or passed == 0) and failed == 0:
        failed = 1
    return program, passed, failed, text, time.monotonic() - start


def main():
    count_file, programs = Path(sys.argv[1]), sys.argv[2:]
    total_passed = total_failed = 0
    with ThreadPoolExecutor(max_workers=os.cpu_count()) as pool:
        for program, passed, failed, text, seconds in pool.map(run, programs):
            print(f"{'FAIL' if failed else 'ok  '} {Path(program).name}: {passed} passed, {failed} failed ({seconds:.1f} s)", flush=True)
            if failed:
                print(text)
            total_passed, total_failed = total_passed + passed, total_failed + failed
    if not programs:
        print("FAIL no unit test was built")
        total_failed = 1
    print(f"==> unit tests: {total_passed} passed, {total_failed} failed")
    count_file.parent.mkdir(parents=True, exist_ok=True)
    count_file.write_text(f"{total_passed} {total_failed}\n")
    sys.exit(1 if total_failed else 0)


if __name__ == "__main__":
    main()
