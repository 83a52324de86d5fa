/* SPDX-License-Identifier: Apache-2.0 */
/* Parts above core register themselves in a linker section, so that core calls upward by table only. */
#ifndef SHOJI_CORE_PROBE_H
#define SHOJI_CORE_PROBE_H

#include "include/handoff.h"
#include "lib/base.h"

struct cpu;

/* Called once, on the boot CPU, after the host kernel stands and before the first CPU becomes a guest.
 * Returns a core_status; anything but CORE_OK makes the launch fail with that code. The guest's side starts
 * first (EARLY_PROBE), then devices. */
struct probe {
    const char *name;
    uint64_t (*start)(const struct handoff *handoff);
};
#define PROBE(ident, text, function)                                                                         \
    static const struct probe ident                                                                          \
        __attribute__((used, section("probes.50"))) = {.name = text, .start = function}
#define EARLY_PROBE(ident, text, function)                                                                   \
    static const struct probe ident                                                                          \
        __attribute__((used, section("probes.10"))) = {.name = text, .start = function}

/* The one part that turns CPUs into the guest's. `prepare` runs on the CPU itself and returns a core_status;
 * `run` never comes back: the CPU returns to the loader as a guest. */
struct launcher {
    uint64_t (*prepare)(struct cpu *cpu, const struct handoff *handoff);
    no_return void (*run)(struct cpu *cpu);
};
#define LAUNCHER(ident, prepare_function, run_function)                                                      \
    static const struct launcher ident                                                                       \
        __attribute__((used, section("launchers"))) = {.prepare = prepare_function, .run = run_function}

/* Called before the machine is reset, powered off or stopped by a panic: forget every secret. Any CPU,
 * perhaps with locks held: takes none. */
struct stopper {
    void (*stop)(void);
};
#define ON_STOP(ident, function)                                                                             \
    static const struct stopper ident __attribute__((used, section("stoppers"))) = {.stop = function}

/* Runs all stoppers. */
void stop_all(void);

/* The hand-off, with the volume keys wiped once the probes have taken them. */
const struct handoff *the_handoff(void);

#endif
