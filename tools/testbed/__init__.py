# SPDX-License-Identifier: Apache-2.0
"""The test bed: Debian disks and QEMU machines, for the system tests, the benchmarks and `make run`."""
