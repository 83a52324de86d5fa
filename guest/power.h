/* SPDX-License-Identifier: Apache-2.0 */
/* Reset, power-off and sleep. */
#ifndef SHOJI_GUEST_POWER_H
#define SHOJI_GUEST_POWER_H

#include "include/handoff.h"

/* Keeps the pointer. Before the first CPU runs. */
bool power_start(const struct handoff_acpi *acpi) must_check;

/* Forgets every secret and resets the machine. Any CPU. */
no_return void power_reset(const char *why);

/* A byte access to port 0CF9h. */
void power_reset_control(uint16_t port, unsigned bytes, bool write, uint32_t *value);

#endif
