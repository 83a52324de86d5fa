/* SPDX-License-Identifier: Apache-2.0 */
/* Reads Shoji's status objects, 32 bytes at a time, and checks them. */
#include "tools/shojictl/snapshot.h"

#include <stdlib.h>
#include <string.h>

#define LOG_ATTEMPTS 4

static bool no_answer(struct report *problem)
{
    return report(problem,
                  "Shoji does not answer this program's hypercall; use the shojictl of its own release.");
}

static bool ask(const struct hypervisor *h, uint32_t object, uint32_t instance, uint64_t offset,
                struct hypercall_answer *answer)
{
    return h->ask(h->context, object, instance, offset, answer) && answer->result == HYPERCALL_OK;
}

/* Reads the first `size` bytes of an object; one that is shorter belongs to another release. */
static bool read_object(const struct hypervisor *h, enum hypercall_object object, uint32_t instance, void *to,
                        size_t size, struct report *problem)
{
    for (size_t offset = 0; offset < size; offset += HYPERCALL_CHUNK) {
        struct hypercall_answer answer;
        if (!ask(h, object, instance, offset, &answer) || answer.size < size)
            return no_answer(problem);
        memcpy((uint8_t *)to + offset, answer.bytes, MIN((size_t)HYPERCALL_CHUNK, size - offset));
    }
    return true;
}

#define END_STRING(array) ((array)[sizeof(array) - 1] = '\0')

static bool read_status(const struct hypervisor *h, struct status *s, struct report *problem)
{
    if (!read_object(h, OBJECT_STATUS, 0, s, sizeof(*s), problem))
        return false;
    END_STRING(s->release);
    END_STRING(s->backend);
    if (s->version != STATUS_VERSION)
        return report(problem,
                      "Shoji answers in form %u and this shojictl knows form %u; use the shojictl of its own "
                      "release.",
                      s->version, STATUS_VERSION);
    if (s->cpu_count > SNAPSHOT_CPUS_MAX || s->volume_count > SNAPSHOT_VOLUMES_MAX ||
        s->exit_reasons > STATUS_REASONS_MAX)
        return report(
            problem,
            "Shoji tells of %u CPUs, %u volumes and %u exit reasons, more than this shojictl can show.",
            s->cpu_count, s->volume_count, s->exit_reasons);
    return true;
}

bool snapshot_read(const struct hypervisor *hypervisor, struct snapshot *out, struct report *problem)
{
    memset(out, 0, sizeof(*out));
    if (!read_status(hypervisor, &out->status, problem))
        return false;
    for (uint32_t i = 0; i < out->status.volume_count; i++) {
        struct status_volume *v = &out->volumes[i];
        if (!read_object(hypervisor, OBJECT_VOLUME, i, v, sizeof(*v), problem))
            return false;
        END_STRING(v->name);
        END_STRING(v->disk_serial);
    }
    for (uint32_t i = 0; i < out->status.cpu_count; i++)
        if (!read_object(hypervisor, OBJECT_CPU, i, &out->cpus[i], sizeof(out->cpus[i]), problem))
            return false;
    for (uint32_t i = 0; i < out->status.exit_reasons; i++) {
        struct status_reason *r = &out->reasons[i];
        if (!read_object(hypervisor, OBJECT_REASON, i, r, sizeof(*r), problem))
            return false;
        END_STRING(r->name);
    }
    return true;
}

/* A counter that went back was started anew: what it shows now was counted since. */
static void subtract(uint64_t *later, uint64_t earlier)
{
    if (*later >= earlier)
        *later -= earlier;
}

void snapshot_subtract(struct snapshot *later, const struct snapshot *earlier)
{
    for (uint32_t i = 0; i < later->status.cpu_count; i++) {
        struct status_cpu *a = &later->cpus[i];
        const struct status_cpu *b = &earlier->cpus[i];
        subtract(&a->exits, b->exits);
        subtract(&a->nmis_claimed, b->nmis_claimed);
        subtract(&a->nmis_injected, b->nmis_injected);
        subtract(&a->nmis_swallowed, b->nmis_swallowed);
        subtract(&a->vectors_raised, b->vectors_raised);
        for (unsigned r = 0; r < STATUS_REASONS_MAX; r++)
            subtract(&a->by_reason[r], b->by_reason[r]);
    }
}

/* Reads up to the size that the log had when the reading began. False when it shrank below that, or nobody
 * answered. */
static bool read_log_once(const struct hypervisor *h, struct log_text *out, struct report *problem)
{
    struct hypercall_answer answer;
    if (!ask(h, OBJECT_LOG, 0, 0, &answer))
        return no_answer(problem);
    size_t size = MIN(answer.size, SNAPSHOT_LOG_MAX);
    char *text = realloc(out->text, size + 1);
    if (!text)
        return report(problem, "There is not enough memory to read Shoji's log.");
    out->text = text;
    out->size = size;
    for (size_t offset = 0; offset < size; offset += HYPERCALL_CHUNK) {
        if (offset && !ask(h, OBJECT_LOG, 0, offset, &answer))
            return no_answer(problem);
        memcpy(text + offset, answer.bytes, MIN((size_t)HYPERCALL_CHUNK, size - offset));
    }
    text[size] = '\0';
    return true;
}

bool log_read(const struct hypervisor *hypervisor, struct log_text *out, struct report *problem)
{
    struct status before, after;
    *out = (struct log_text){0};
    /* A full ring moves under the reader while others log; the last attempt is taken as it is. */
    bool good = read_status(hypervisor, &before, problem);
    for (unsigned i = 0; good && i < LOG_ATTEMPTS; i++) {
        good = read_log_once(hypervisor, out, problem) && read_status(hypervisor, &after, problem);
        out->start = before.log_lost;
        if (good && after.log_lost == before.log_lost)
            break;
        before = after;
    }
    if (!good)
        log_free(out);
    return good;
}

void log_free(struct log_text *log)
{
    free(log->text);
    *log = (struct log_text){0};
}
