/* SPDX-License-Identifier: Apache-2.0 */
#include "core/panic.h"

#include "core/apic.h"
#include "core/cpu.h"
#include "core/log.h"
#include "core/probe.h"
#include "core/screen.h"
#include "lib/format.h"

#define LINE_MAX 160

static bool stopped; /* set once, by the CPU that reports */

bool panicking(void)
{
    return __atomic_load_n(&stopped, __ATOMIC_ACQUIRE);
}

void halt_forever(void)
{
    for (;;)
        __asm__ volatile("cli; hlt");
}

void panic_begin(void)
{
    if (__atomic_exchange_n(&stopped, true, __ATOMIC_ACQ_REL))
        halt_forever();
    stop_all();
    apic_nmi_others();
}

static void put(const char *text)
{
    log_line_unlocked(text);
    screen_line(text);
}

void panic_line(const char *fmt, ...)
{
    char line[LINE_MAX];
    va_list args;
    va_start(args, fmt);
    format_list(line, sizeof line, fmt, args);
    va_end(args);
    put(line);
}

void panic_end(void)
{
    put("Shoji has stopped this machine; its keys are wiped. Switch it off and on again.");
    halt_forever();
}

void panic(const char *fmt, ...)
{
    char line[LINE_MAX];
    va_list args;
    panic_begin();
    va_start(args, fmt);
    format_list(line, sizeof line, fmt, args);
    va_end(args);
    put(line);
    panic_line("host: called from %llx cr2 %llx", (unsigned long long)(uint64_t)__builtin_return_address(0),
               (unsigned long long)cr2_read());
    panic_end();
}
