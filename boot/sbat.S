/* SPDX-License-Identifier: Apache-2.0 */
/* The generation numbers by which shim can revoke this loader (shim's SBAT.md). */
    .section .sbat, "a", @progbits
    .incbin "build/boot/sbat.csv"
    .section .note.GNU-stack, "", @progbits
