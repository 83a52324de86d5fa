# SPDX-License-Identifier: Apache-2.0
"""Fixtures of the system tests: a folder for each test, and machines that never outlive it."""
import re
import shutil
import sys
from pathlib import Path

import pytest

sys.path.insert(0, str(Path(__file__).resolve().parents[2] / "tools"))

from testbed.machine import Machine  # noqa: E402
from testbed.tools import BUILD  # noqa: E402


@pytest.fixture
def folder(request):
    """build/system/<test>: logs stay, disk images only after a failure."""
    path = BUILD / "system" / re.sub(r"[^A-Za-z0-9_.-]+", "-", request.node.name)
    shutil.rmtree(path, ignore_errors=True)
    path.mkdir(parents=True)
    yield path
    outcome = getattr(request.node, "outcome_of_call", None)
    if outcome is not None and outcome.passed:
        for image in [*path.rglob("*.img"), *path.rglob("*.fd")]:
            image.unlink()


@pytest.hookimpl(hookwrapper=True)
def pytest_runtest_makereport(item, call):
    result = yield
    if call.when == "call":
        item.outcome_of_call = result.get_result()


@pytest.fixture
def start(folder):
    """start(disk, **options): a machine that is stopped when the test ends."""
    machines = []

    def starter(disk, **options):
        machines.append(Machine(disk.path, folder / f"machine{len(machines)}", **options))
        return machines[-1]

    yield starter
    for machine in machines:
        machine.stop()
