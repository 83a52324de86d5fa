/* SPDX-License-Identifier: Apache-2.0 */
#include "guest/ports.h"

#include "guest/exit.h"
#include "guest/string_io.h"
#include "guest/trap.h"
#include "lib/decode.h"

#define RULES_MAX 24

static struct port_rule rules[RULES_MAX]; /* constant once the first CPU runs */
static unsigned rule_count;

bool ports_trap(struct port_rule rule)
{
    if (rule_count == RULES_MAX)
        return false;
    rules[rule_count++] = rule;
    for (unsigned i = 0; i < rule.count; i++)
        vcpu_trap_port((uint16_t)(rule.first + i));
    return true;
}

bool port_trap(const struct port_region *region)
{
    return ports_trap((struct port_rule){.first = region->first, .count = region->count, .region = region});
}

void port_pass(uint16_t port, unsigned bytes, bool write, uint32_t *value)
{
    if (write)
        port_write(port, bytes, *value);
    else
        *value = port_read(port, bytes);
}

/* The rule for any of the access's ports: a wide access that only ends in a trapped range must not slip in.
 */
static const struct port_rule *rule_of(uint16_t port, unsigned bytes)
{
    for (const struct port_rule *r = rules; r < rules + rule_count; r++)
        if (ranges_overlap(port, bytes, r->first, r->count))
            return r;
    return NULL;
}

static void access_ports(struct vcpu *vcpu, const struct port_rule *rule, uint16_t port, unsigned bytes,
                         bool write, uint32_t *value)
{
    if (rule && rule->region)
        rule->region->access(rule->region->owner, port, bytes, write, value);
    else if (rule)
        rule->access(vcpu, port, bytes, write, value);
    else
        port_pass(port, bytes, write, value);
}

/* An access that is only in part in a trapped range: each byte by the rule of its own port, as a narrow
 * device would see it. */
static void access_bytewise(struct vcpu *vcpu, uint16_t first, unsigned bytes, bool write, uint32_t *value)
{
    uint32_t result = 0;
    for (unsigned i = 0; i < bytes; i++) {
        uint16_t port = (uint16_t)(first + i);
        uint32_t byte = *value >> 8 * i & 0xff;
        access_ports(vcpu, rule_of(port, 1), port, 1, write, &byte);
        result |= (byte & 0xff) << 8 * i;
    }
    *value = result;
}

void port_access_one(struct vcpu *vcpu, uint16_t port, unsigned bytes, bool write, uint32_t *value)
{
    const struct port_rule *rule = rule_of(port, bytes);
    if (rule && (port < rule->first || port + bytes > rule->first + rule->count))
        access_bytewise(vcpu, port, bytes, write, value);
    else
        access_ports(vcpu, rule, port, bytes, write, value);
}

void exit_port(struct vcpu *vcpu, const struct port_access *access)
{
    count_exit(vcpu, EXIT_PORT);
    if (access->string) {
        string_io(vcpu, access);
        return;
    }
    uint32_t value = (uint32_t)decode_extend(vcpu->gpr[RAX], access->bytes, false);
    port_access_one(vcpu, access->port, access->bytes, access->write, &value);
    if (!access->write)
        vcpu->gpr[RAX] = decode_merge(vcpu->gpr[RAX], value, access->bytes, false);
    vcpu_skip(vcpu, access->length);
}
