/* SPDX-License-Identifier: Apache-2.0 */
/* Status, counters and log in words. */
#include "lib/guid.h"
#include "tools/shojictl/print.h"

#include <string.h>

/* Text from outside (names, serials, log) on a terminal: control and non-ASCII characters become dots. */
static void print_safely(FILE *to, const char *text, size_t size)
{
    for (size_t i = 0; i < size; i++) {
        char c = text[i];
        fputc((c >= ' ' && c <= '~') || c == '\n' || c == '\t' ? c : '.', to);
    }
}

static void print_name(FILE *to, const char *text)
{
    print_safely(to, text, strlen(text));
}

static void print_volume(FILE *to, const struct status_volume *v)
{
    char pci[PCI_TEXT_SIZE], size[BYTES_TEXT_SIZE], read[BYTES_TEXT_SIZE], written[BYTES_TEXT_SIZE];
    char uuid[GUID_TEXT_SIZE];
    struct guid guid;
    memcpy(guid.bytes, v->luks_uuid, sizeof(guid.bytes));
    guid_text(&guid, uuid);
    pci_text(v, pci);
    bytes_text(v->lba_count * v->block_bytes, size);
    bytes_text(v->bytes_read, read);
    bytes_text(v->bytes_written, written);

    fputs("\nVolume ", to);
    print_name(to, v->name);
    fprintf(to, ": %s\n", v->active ? "active" : "not active (its disk's controller is not enabled)");
    fputs("  disk:    serial ", to);
    print_name(to, v->disk_serial);
    fprintf(to, ", at PCI %s, unit %u\n", pci, v->namespace_id);
    if (v->lba_count)
        fprintf(to, "  range:   blocks %llu to %llu of %u bytes (%s)\n", (unsigned long long)v->first_lba,
                (unsigned long long)(v->first_lba + v->lba_count - 1), v->block_bytes, size);
    else
        fputs("  range:   empty\n", to);
    fprintf(to, "  cipher:  aes-xts-plain64, key of %u bits, sectors of %u bytes\n", v->key_bits,
            v->sector_bytes);
    fprintf(to, "  UUID:    %s (LUKS2)\n", uuid);
    fprintf(to, "  through the cipher: %s read, %s written; commands refused: %llu\n", read, written,
            (unsigned long long)v->commands_refused);
}

void print_status_text(FILE *to, const struct snapshot *s)
{
    const struct status *st = &s->status;
    char block[BYTES_TEXT_SIZE], unused[BYTES_TEXT_SIZE];
    bytes_text(st->block_bytes, block);
    bytes_text(st->free_bytes, unused);
    fputs("Shoji ", to);
    print_name(to, st->release);
    fputs(" is running beneath this system (back end: ", to);
    print_name(to, st->backend);
    fputs(")\n", to);
    fprintf(to, "  CPUs:    %u of %u run under it\n", st->cpus_running, st->cpu_count);
    fprintf(to, "  memory:  %s reserved, %s of it unused\n", block, unused);
    fprintf(to, "  blocked: %llu accesses of this system to that memory\n",
            (unsigned long long)st->blocked_accesses);
    if (!st->volume_count)
        fputs("\nNo encrypted volume.\n", to);
    for (uint32_t i = 0; i < st->volume_count; i++)
        print_volume(to, &s->volumes[i]);

    fputs("\nProtection\n", to);
    for (size_t i = 0; i < protection_count; i++)
        if (st->protections & protections[i].bit)
            fprintf(to, "  protected: %s\n", protections[i].when_on);
    for (size_t i = 0; i < protection_count; i++)
        if (!(st->protections & protections[i].bit))
            fprintf(to, "  not protected yet: %s\n", protections[i].when_off);
}

/* A row of the table: the name, a column for each CPU, the sum. Rows without a count are left out. */
static void print_row(FILE *to, const char *name, const uint64_t *values, uint32_t cpus, double seconds)
{
    uint64_t sum = 0;
    for (uint32_t i = 0; i < cpus; i++)
        sum += values[i];
    if (!sum)
        return;
    char shown[REASON_NAME_SIZE + 1];
    snprintf(shown, sizeof(shown), "%s", name);
    for (char *c = shown; *c; c++)
        if (*c < ' ' || *c > '~')
            *c = '.';
    fprintf(to, "%-24s", shown);
    for (uint32_t i = 0; i <= cpus; i++) {
        uint64_t value = i < cpus ? values[i] : sum;
        if (seconds > 0)
            fprintf(to, " %12.1f", (double)value / seconds);
        else
            fprintf(to, " %12llu", (unsigned long long)value);
    }
    fputc('\n', to);
}

void print_stat_text(FILE *to, const struct snapshot *s, double seconds)
{
    uint32_t cpus = s->status.cpu_count;
    uint64_t values[SNAPSHOT_CPUS_MAX];
    fprintf(to, "%-24s", seconds > 0 ? "exits per second" : "exits since the launch");
    for (uint32_t i = 0; i < cpus; i++) {
        char heading[16];
        snprintf(heading, sizeof(heading), "CPU %u", i);
        fprintf(to, " %12s", heading);
    }
    fprintf(to, " %12s\n", "sum");
    for (unsigned r = 0; r < s->status.exit_reasons; r++) {
        char name[REASON_NAME_SIZE];
        reason_name(s, r, name);
        for (uint32_t i = 0; i < cpus; i++)
            values[i] = s->cpus[i].by_reason[r];
        print_row(to, name, values, cpus, seconds);
    }
    for (size_t c = 0; c < cpu_counter_count; c++) {
        for (uint32_t i = 0; i < cpus; i++)
            values[i] = cpu_counter_value(&s->cpus[i], &cpu_counters[c]);
        print_row(to, cpu_counters[c].name, values, cpus, seconds);
    }
}

void print_log_text(FILE *to, const struct log_text *log, size_t from)
{
    if (from == 0 && log->start)
        fprintf(to, "(%llu older bytes fell out of the log)\n", (unsigned long long)log->start);
    print_safely(to, log->text + from, log->size - from);
}
