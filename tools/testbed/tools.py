# SPDX-License-Identifier: Apache-2.0
"""Running the programs that the test bed is made of, and the cache."""
import os
import subprocess
from pathlib import Path

REPOSITORY = Path(__file__).resolve().parents[2]
BUILD = REPOSITORY / "build"


def cache_dir():
    """The same folder as cache_dir in tools/common.sh."""
    if os.environ.get("SHOJI_CACHE"):
        return Path(os.environ["SHOJI_CACHE"])
    return Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "shoji"


def run(*command, stdin=b"", timeout=600, check=True):
    """Runs a program and returns (exit status, output and errors). With check, a failure raises with the program's own words."""
    environment = {**os.environ, "PATH": f"{os.environ.get('PATH', '')}:/usr/sbin:/sbin", "LC_ALL": "C", "MTOOLS_SKIP_CHECK": "1"}
    done = subprocess.run([str(word) for word in command], input=stdin, stdout=subprocess.PIPE, stderr=subprocess.STDOUT,
                          timeout=timeout, env=environment, check=False)
    output = done.stdout.decode(errors="replace")
    if check and done.returncode:
        raise RuntimeError(f"{command[0]} failed ({done.returncode}): {output.strip()}")
    return done.returncode, output


def copy_sparse(source, target):
    """A copy that shares blocks or keeps holes where the file system can."""
    target.parent.mkdir(parents=True, exist_ok=True)
    run("cp", "--reflink=auto", "--sparse=always", "--no-preserve=mode", source, target)
