/* SPDX-License-Identifier: Apache-2.0 */
/* How the machine stops. */
#ifndef SHOJI_CORE_PANIC_H
#define SHOJI_CORE_PANIC_H

#include "lib/base.h"

/* What the exception stubs leave on the stack, lowest address first. */
struct exception_frame {
    uint64_t r15, r14, r13, r12, r11, r10, r9, r8, rdi, rsi, rbp, rbx, rdx, rcx, rax;
    uint64_t vector, error_code;
    uint64_t rip, cs, rflags, rsp, ss;
};

/* One line of the dump, on log, serial port and screen. */
void panic_line(const char *fmt, ...) printf_like(1, 2);

/* Begins a panic: one CPU wins and returns from here, any other halts for good. Then panic_line, then
 * panic_end. */
void panic_begin(void);
no_return void panic_end(void);

/* True once some CPU panics: the others halt at their next exit. */
bool panicking(void);
no_return void halt_forever(void);

#endif
