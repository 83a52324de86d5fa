# SPDX-License-Identifier: Apache-2.0
"""What runs inside the guest for a test: Linux modules for its kernel, and static programs, from tests/system/guest/."""
from .tools import BUILD, REPOSITORY, run

SOURCES = REPOSITORY / "tests" / "system" / "guest"


def module(name):
    """The path of <name>.ko, built for exactly the kernel of the Debian root."""
    target = BUILD / "guest" / f"{name}.ko"
    run(REPOSITORY / "tools" / "build-module.sh", SOURCES / f"{name}.c", target)
    return target


def program(name):
    """The path of a static Linux program."""
    target = BUILD / "guest" / name
    target.parent.mkdir(parents=True, exist_ok=True)
    run("gcc", "-std=gnu17", "-Wall", "-Wextra", "-Werror", "-O2", "-mno-red-zone", "-static", f"-I{REPOSITORY}", SOURCES / f"{name}.c", "-o", target)
    return target
