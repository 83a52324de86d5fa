/* SPDX-License-Identifier: Apache-2.0 */
/* Shoji's status objects, read through the hypercall into memory of ours. Knows nothing of how the hypercall
 * is made or shown. */
#ifndef SHOJI_TOOLS_SHOJICTL_SNAPSHOT_H
#define SHOJI_TOOLS_SHOJICTL_SNAPSHOT_H

#include "include/hypercall.h"
#include "lib/report.h"

#define SNAPSHOT_CPUS_MAX    256
#define SNAPSHOT_VOLUMES_MAX 16
#define SNAPSHOT_LOG_MAX     MIB(16)

/* One answer of the hypercall, as include/hypercall.h describes it. */
struct hypercall_answer {
    uint64_t result; /* enum hypercall_result */
    uint64_t size;
    uint8_t bytes[HYPERCALL_CHUNK];
};

/* Where the answers come from: the CPU, or a test. `ask` returns false when nobody answered at all. */
struct hypervisor {
    bool (*ask)(void *context, uint32_t object, uint32_t instance, uint64_t offset,
                struct hypercall_answer *answer);
    void *context;
};

/* Everything but the log. All strings end in a NUL; all counts are within the arrays. */
struct snapshot {
    struct status status;
    struct status_volume volumes[SNAPSHOT_VOLUMES_MAX];
    struct status_cpu cpus[SNAPSHOT_CPUS_MAX];
    struct status_reason reasons[STATUS_REASONS_MAX];
};

/* Reads all objects. False with a sentence when nobody answers, or in a form that this program does not know.
 */
bool snapshot_read(const struct hypervisor *hypervisor, struct snapshot *out,
                   struct report *problem) must_check;

/* Turns `later` into what was counted since `earlier`: exits, NMIs and vectors of each CPU. */
void snapshot_subtract(struct snapshot *later, const struct snapshot *earlier);

/* The log's text; `start` is the position of its first byte counted from the first byte ever logged. */
struct log_text {
    char *text;
    size_t size;
    uint64_t start;
};

/* Reads the log, again when bytes fell out of the ring meanwhile. The text is the caller's, to be freed with
 * log_free. */
bool log_read(const struct hypervisor *hypervisor, struct log_text *out, struct report *problem) must_check;
void log_free(struct log_text *log);

#endif
