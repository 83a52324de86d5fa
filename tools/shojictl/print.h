/* SPDX-License-Identifier: Apache-2.0 */
/* Shows what was read, in words for people (print_text.c) and as JSON for programs, one object a line
 * (print_json.c). */
#ifndef SHOJI_TOOLS_SHOJICTL_PRINT_H
#define SHOJI_TOOLS_SHOJICTL_PRINT_H

#include "tools/shojictl/snapshot.h"
#include <stdio.h>

/* For `stat`, seconds is 0 when the counters are totals since the launch, else the time over which they were
 * counted. For the log, `from` is the number of leading bytes that were shown before. */
void print_status_text(FILE *to, const struct snapshot *s);
void print_stat_text(FILE *to, const struct snapshot *s, double seconds);
void print_log_text(FILE *to, const struct log_text *log, size_t from);

void print_status_json(FILE *to, const struct snapshot *s);
void print_stat_json(FILE *to, const struct snapshot *s, double seconds);
void print_log_json(FILE *to, const struct log_text *log, size_t from);

/* ---- What both forms share (describe.c) ---- */

/* One protection: its key in JSON, and the sentences for when it stands and when it does not. */
struct protection {
    enum status_protection bit;
    const char *key, *when_on, *when_off;
};
extern const struct protection protections[];
extern const size_t protection_count;

/* One counter of a CPU beside the exit reasons. */
struct cpu_counter {
    const char *key, *name;
    size_t offset; /* in struct status_cpu */
};
extern const struct cpu_counter cpu_counters[];
extern const size_t cpu_counter_count;

uint64_t cpu_counter_value(const struct status_cpu *cpu, const struct cpu_counter *counter);

/* The name of an exit reason; `reason-N` when Shoji gives none. */
#define REASON_NAME_SIZE 24
void reason_name(const struct snapshot *s, unsigned reason, char out[REASON_NAME_SIZE]);

/* "0000:00:03.0" */
#define PCI_TEXT_SIZE 16
void pci_text(const struct status_volume *volume, char out[PCI_TEXT_SIZE]);

/* "12 bytes", "3.4 GiB": three or four digits and a binary unit. */
#define BYTES_TEXT_SIZE 24
void bytes_text(uint64_t bytes, char out[BYTES_TEXT_SIZE]);

#endif
