/* SPDX-License-Identifier: Apache-2.0 */
/* The core's ELF image and its SHA-256, as the build made them, inside the loader: one signature and one measurement cover both. The assembler's
 * include path says which core. */
    .section .rodata.core_image, "a", @progbits
    .globl core_image_start, core_image_end, core_image_digest
    .hidden core_image_start, core_image_end, core_image_digest
    .balign 4096
core_image_start:
    .incbin "shoji-core.stripped.elf"
core_image_end:
    .balign 32
core_image_digest:
    .incbin "shoji-core.sha256"
    .section .note.GNU-stack, "", @progbits
