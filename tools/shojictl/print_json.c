/* SPDX-License-Identifier: Apache-2.0 */
/* Status, counters and log as JSON (RFC 8259), one object a line. */
#include "lib/guid.h"
#include "tools/shojictl/print.h"

#include <string.h>

/* A string. Control characters are escaped, and so are bytes over 7Eh, as the Latin-1 characters of that
 * number: the text is then valid UTF-8 whatever the bytes are. */
static void put_string(FILE *to, const char *text, size_t size)
{
    fputc('"', to);
    for (size_t i = 0; i < size; i++) {
        unsigned char c = (unsigned char)text[i];
        if (c == '"' || c == '\\')
            fprintf(to, "\\%c", c);
        else if (c == '\n')
            fputs("\\n", to);
        else if (c < ' ' || c > '~')
            fprintf(to, "\\u%04x", c);
        else
            fputc(c, to);
    }
    fputc('"', to);
}

/* The members below start with a comma unless they are the first of their object. */
static void put_key(FILE *to, const char *key, bool first)
{
    if (!first)
        fputc(',', to);
    put_string(to, key, strlen(key));
    fputc(':', to);
}

static void put_text(FILE *to, const char *key, const char *value, bool first)
{
    put_key(to, key, first);
    put_string(to, value, strlen(value));
}

static void put_number(FILE *to, const char *key, uint64_t value)
{
    put_key(to, key, false);
    fprintf(to, "%llu", (unsigned long long)value);
}

static void put_bool(FILE *to, const char *key, bool value, bool first)
{
    put_key(to, key, first);
    fputs(value ? "true" : "false", to);
}

static void put_volume(FILE *to, const struct status_volume *v)
{
    char pci[PCI_TEXT_SIZE], uuid[GUID_TEXT_SIZE];
    struct guid guid;
    memcpy(guid.bytes, v->luks_uuid, sizeof(guid.bytes));
    guid_text(&guid, uuid);
    pci_text(v, pci);
    fputc('{', to);
    put_text(to, "name", v->name, true);
    put_text(to, "uuid", uuid, false);
    put_bool(to, "active", v->active, false);
    put_text(to, "disk_serial", v->disk_serial, false);
    put_text(to, "pci", pci, false);
    put_number(to, "namespace_id", v->namespace_id);
    put_number(to, "first_lba", v->first_lba);
    put_number(to, "lba_count", v->lba_count);
    put_number(to, "block_bytes", v->block_bytes);
    put_number(to, "bytes", v->lba_count * v->block_bytes);
    put_number(to, "sector_bytes", v->sector_bytes);
    put_number(to, "key_bits", v->key_bits);
    put_number(to, "bytes_read", v->bytes_read);
    put_number(to, "bytes_written", v->bytes_written);
    put_number(to, "commands_refused", v->commands_refused);
    fputc('}', to);
}

void print_status_json(FILE *to, const struct snapshot *s)
{
    const struct status *st = &s->status;
    fputc('{', to);
    put_text(to, "release", st->release, true);
    put_text(to, "backend", st->backend, false);
    put_number(to, "cpu_count", st->cpu_count);
    put_number(to, "cpus_running", st->cpus_running);
    put_number(to, "block_bytes", st->block_bytes);
    put_number(to, "free_bytes", st->free_bytes);
    put_number(to, "blocked_accesses", st->blocked_accesses);
    put_number(to, "log_lost", st->log_lost);
    put_number(to, "launch_tsc", st->launch_tsc);
    put_number(to, "tsc", st->tsc);
    put_key(to, "protections", false);
    for (size_t i = 0; i < protection_count; i++) {
        if (i == 0)
            fputc('{', to);
        put_bool(to, protections[i].key, st->protections & protections[i].bit, i == 0);
    }
    fputc('}', to);
    put_key(to, "volumes", false);
    fputc('[', to);
    for (uint32_t i = 0; i < st->volume_count; i++) {
        if (i)
            fputc(',', to);
        put_volume(to, &s->volumes[i]);
    }
    fputs("]}\n", to);
}

static const char *cpu_state(uint32_t state)
{
    static const char *const names[] = {"not taken", "running", "waits for SIPI"};
    return state < ARRAY_COUNT(names) ? names[state] : "unknown";
}

static void put_cpu(FILE *to, const struct snapshot *s, uint32_t cpu)
{
    const struct status_cpu *c = &s->cpus[cpu];
    fputc('{', to);
    put_text(to, "state", cpu_state(c->state), true);
    put_number(to, "cpu", cpu);
    put_number(to, "apic_id", c->apic_id);
    for (size_t i = 0; i < cpu_counter_count; i++)
        put_number(to, cpu_counters[i].key, cpu_counter_value(c, &cpu_counters[i]));
    fputs(",\"by_reason\":{", to);
    for (unsigned r = 0; r < s->status.exit_reasons; r++) {
        char name[REASON_NAME_SIZE];
        reason_name(s, r, name);
        put_key(to, name, r == 0);
        fprintf(to, "%llu", (unsigned long long)c->by_reason[r]);
    }
    fputs("}}", to);
}

void print_stat_json(FILE *to, const struct snapshot *s, double seconds)
{
    fprintf(to, "{\"seconds\":%.6f,\"tsc\":%llu,\"cpus\":[", seconds, (unsigned long long)s->status.tsc);
    for (uint32_t i = 0; i < s->status.cpu_count; i++) {
        if (i)
            fputc(',', to);
        put_cpu(to, s, i);
    }
    fputs("]}\n", to);
}

void print_log_json(FILE *to, const struct log_text *log, size_t from)
{
    fprintf(to, "{\"start\":%llu,\"text\":", (unsigned long long)(log->start + from));
    put_string(to, log->text + from, log->size - from);
    fputs("}\n", to);
}
