#!/usr/bin/python3
# SPDX-License-Identifier: Apache-2.0
"""run_fuzz.py SECONDS COUNT-FILE PROGRAM...: runs each libFuzzer program so long on a copy of its seeds, as many at a time as there
are CPUs, and writes `passed failed`. What a crash needs to be seen again is left in build/fuzz/crashes."""
import argparse
import os
import re
import shutil
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

SEEDS = Path("tests/fuzz/corpus")
WORK = Path("build/fuzz/corpus")
CRASHES = Path("build/fuzz/crashes")
WHY = re.compile(r"ERROR|SUMMARY|runtime error|did not stop|^ *#\d+ 0x|Base64|Assert|leak")


def run(program, seconds):
    name = Path(program).name.removeprefix("fuzz_")
    corpus = WORK / name
    corpus.mkdir(parents=True, exist_ok=True)
    if (SEEDS / name).is_dir():
        shutil.copytree(SEEDS / name, corpus, dirs_exist_ok=True)
    CRASHES.mkdir(parents=True, exist_ok=True)
    command = [program, f"-max_total_time={seconds}", "-rss_limit_mb=4096", "-timeout=20", f"-artifact_prefix={CRASHES}/{name}-",
               "-print_final_stats=1", str(corpus)]
    try:
        done = subprocess.run(command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, timeout=seconds + 120, check=False)
        return name, done.returncode == 0, done.stdout.decode(errors="replace")
    except subprocess.TimeoutExpired as late:
        return name, False, (late.stdout or b"").decode(errors="replace") + "\ndid not stop in time\n"


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("seconds", type=int)
    parser.add_argument("count_file", type=Path)
    parser.add_argument("programs", nargs="*")
    arguments = parser.parse_args()

    workers = os.cpu_count() or 1
    count = len(arguments.programs)
    print(f"==> fuzzing {count} parsers, {arguments.seconds} s each", flush=True)
    passed = failed = 0
    with ThreadPoolExecutor(max_workers=workers) as pool:
        for name, good, text in pool.map(lambda program: run(program, arguments.seconds), arguments.programs):
            runs = next((line.rsplit(":", 1)[1].strip() for line in text.splitlines() if "number_of_executed_units" in line), "?")
            print(f"{'ok  ' if good else 'FAIL'} fuzz {name}: {runs} runs", flush=True)
            if not good:
                reason = "\n".join(line for line in text.splitlines() if WHY.search(line))
                print((reason or text)[-6000:])
            passed, failed = passed + good, failed + (not good)
    if not count:
        print("FAIL no fuzzer was built")
        failed = 1
    print(f"==> fuzzers: {passed} passed, {failed} failed")
    arguments.count_file.parent.mkdir(parents=True, exist_ok=True)
    arguments.count_file.write_text(f"{passed} {failed}\n")
    sys.exit(1 if failed else 0)


if __name__ == "__main__":
    main()
