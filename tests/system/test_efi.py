# SPDX-License-Identifier: Apache-2.0
"""The short tests that run as an EFI application: what a CPU answers under Shoji is what the bare machine answers, but for what is listed here; and what no
CPU's model decides is the same on both lanes (AMD's SVM in QEMU, Intel's VT-x in Bochs)."""
import difflib
import re

import pytest

from testbed.efi import run_tests
from testbed.tools import REPOSITORY

FEWEST = {1: 230, 2: 240}  # verdicts of a whole run

# What Shoji hides: registers (EAX EBX ECX EDX) and the bits that are 0 in them. None: the whole leaf is.
HIDDEN = {
    "cpuid.00000001.0": {2: 1 << 5 | 1 << 6},  # VMX, SMX
    "cpuid.00000007.0": {1: 1 << 25},  # processor trace
    "cpuid.00000014.0": None,
    "cpuid.80000001.0": {2: 1 << 2 | 1 << 12},  # SVM, SKINIT
    "cpuid.80000008.0": {1: 1 << 3},  # INVLPGB
    "cpuid.8000000a.0": None,
    "cpuid.8000001f.0": None,
}
SIGNATURE = "6a6f6853 6f685369 6853696a"  # ShojiShojiSh
HYPERVISOR_LEAVES = ("cpuid.40000000.0", "cpuid.40000100.0")
# Registers of virtualization are not there; values that would move what Shoji relies on are refused, also where an emulator takes anything.
REFUSED = re.compile(r"msr\.(vmx-.*|vm-cr|vm-hsave-pa|trace-control|unknown|efer-reserved|efer-lme-under-paging|efer-svme)|cr4\.bit-13|cr4\.bit-14")
# A memory operand of a kind that no driver uses on registers.
ONLY_BARE = {"mmio.push": ("ok", "#GP(0)")}
# What there is under Shoji alone.
ONLY_SHOJI = re.compile(r"block\.|step\.block-|claim\.claimed|msr\.mtrr-over-the-block|paging5\.block")

BLOCK_READS = re.compile(r"ok rax (f+|1|5a|0) .*then ffffffffffffffff|ok 64 ones|#UD")
ALONE = {"claim.claimed": "1500", "msr.mtrr-over-the-block": "ok vanished", "paging5.block": "ok ffffffff"}


def without_hidden(name, value):
    if name not in HIDDEN:
        return value
    words = [int(word, 16) for word in value.split()]
    if HIDDEN[name] is None:
        words = [0] * 4
    else:
        for register, bits in HIDDEN[name].items():
            words[register] &= ~bits
    return " ".join(f"{word:08x}" for word in words)


def expected(name, bare):
    """What Shoji has to answer where the bare machine answers `bare`; a set."""
    if name in ONLY_BARE:
        assert bare == ONLY_BARE[name][0]
        return {ONLY_BARE[name][1]}
    if name.endswith("-edx"):
        return {"signature"}  # Bochs leaves 0 in EDX where CPUs have their signature
    if name == "msr.feature-control":
        return {bare, "1", "#GP(0)"}  # locked without virtualization, or no such register
    if REFUSED.fullmatch(name):
        return {bare, "#GP(0)", "read #GP(0), write #GP(0), -", "read ok, write #GP(0), unchanged"}
    return {without_hidden(name, bare)}


def is_signature(name, value):
    return name in HYPERVISOR_LEAVES and value.partition(" ")[2] == SIGNATURE


def compare(bare, shoji):
    wrong = []
    for kind in ("verdict", "model"):
        for name, value in bare[kind].items():
            found = shoji[kind].get(name, "nothing")
            if found not in expected(name, value) and not is_signature(name, found):
                wrong.append(f"{name}: bare {value!r}, under Shoji {found!r}")
        for name, value in shoji[kind].items():
            if name in bare[kind]:
                continue
            if not ONLY_SHOJI.match(name):
                wrong.append(f"{name}: only under Shoji: {value!r}")
            elif name in ALONE and value != ALONE[name]:
                wrong.append(f"{name}: {value!r}")
            elif name.startswith("block.") and not BLOCK_READS.match(value):
                wrong.append(f"{name}: {value!r}")
    hidden = [name for name in HIDDEN if name in shoji["model"] and shoji["model"][name] != without_hidden(name, shoji["model"][name])]
    wrong += [f"{name} shows {shoji['model'][name]}" for name in hidden]
    if not any(is_signature(name, shoji["model"].get(name, "none")) for name in HYPERVISOR_LEAVES):
        wrong.append("Shoji's signature is in no leaf")
    assert not wrong, "\n".join(wrong)


def check(folder, lane, cpus, options=None):
    """Runs all tests bare and under Shoji on a lane."""
    options = options or {}
    bare = run_tests(folder / "bare", lane, shoji=False, cpus=cpus, **options)
    shoji = run_tests(folder / "shoji", lane, shoji=True, cpus=cpus, **options)
    assert len(bare["verdict"]) >= FEWEST[cpus], bare["verdict"]
    compare(bare, shoji)
    verdicts = "".join(f"{name} {value}\n" for name, value in sorted(shoji["verdict"].items()))
    (folder / "verdicts").write_text(verdicts)
    # The other lane is compared with the same file: both lanes answer alike.
    wanted = (REPOSITORY / "tests" / "system" / "efi" / f"verdicts-{cpus}").read_text()
    assert verdicts == wanted, "\n".join(difflib.unified_diff(wanted.splitlines(), verdicts.splitlines(), "wanted", lane, lineterm=""))


@pytest.mark.parametrize("cpus", [1, 2])
def test_what_amd_cpus_answer(folder, cpus):
    check(folder, "svm", cpus)
