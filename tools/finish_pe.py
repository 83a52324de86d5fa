#!/usr/bin/python3
# SPDX-License-Identifier: Apache-2.0
"""Finishes shoji.efi: marks it NX compatible, takes the time stamp out, checks that no section is both writable and executable."""
import struct
import sys

NX_COMPAT = 0x0100
EXECUTE, WRITE = 0x20000000, 0x80000000


def main(path):
    data = bytearray(open(path, "rb").read())
    pe = struct.unpack_from("<I", data, 0x3C)[0]
    if data[pe:pe + 4] != b"PE\0\0":
        sys.exit(f"shoji: {path} is not a PE file")
    sections, optional_size = struct.unpack_from("<H", data, pe + 6)[0], struct.unpack_from("<H", data, pe + 20)[0]
    struct.pack_into("<I", data, pe + 8, 0)
    optional = pe + 24
    subsystem, characteristics = struct.unpack_from("<HH", data, optional + 68)
    if subsystem != 10:
        sys.exit(f"shoji: {path} is not an EFI application (subsystem {subsystem})")
    struct.pack_into("<H", data, optional + 70, characteristics | NX_COMPAT)
    for index in range(sections):
        header = optional + optional_size + 40 * index
        flags = struct.unpack_from("<I", data, header + 36)[0]
        if flags & EXECUTE and flags & WRITE:
            sys.exit(f"shoji: section {data[header:header + 8]!r} of {path} is writable and executable")
    open(path, "wb").write(data)


if __name__ == "__main__":
    main(sys.argv[1])
