/* SPDX-License-Identifier: Apache-2.0 */
/* The I/O ports that the guest may not use as it likes. All others are native. */
#ifndef SHOJI_GUEST_PORTS_H
#define SHOJI_GUEST_PORTS_H

#include "guest/vcpu.h"

/* Who answers for a range of ports. `access` sets *value for reads. */
struct port_rule {
    uint16_t first, count;
    void (*access)(struct vcpu *vcpu, uint16_t port, unsigned bytes, bool write, uint32_t *value);
    const struct port_region *region; /* of a device, instead of `access` */
};

/* Traps the range. Before the first CPU runs. False when the table is full. */
bool ports_trap(struct port_rule rule) must_check;

/* One access of the guest, by the rules. */
void port_access_one(struct vcpu *vcpu, uint16_t port, unsigned bytes, bool write, uint32_t *value);

/* Does a trapped access as the guest would have. */
void port_pass(uint16_t port, unsigned bytes, bool write, uint32_t *value);

#endif
