/* SPDX-License-Identifier: Apache-2.0 */
/* What the files of the Linux program share. */
#ifndef SHOJI_SERVICES_VPN_LINUX_H
#define SHOJI_SERVICES_VPN_LINUX_H

#include "services/vpn/service.h"
#include "services/vpn/surroundings.h"

/* Opens (makes, if need be) a TAP device and brings it up. Exits with a sentence when it cannot. */
void tap_open(enum vpn_side side, const char *name);
int tap_descriptor(enum vpn_side side);

/* The folder of --secrets. False: it cannot be opened. */
bool secrets_open(const char *folder) must_check;

/* The control socket: whoever connects gets the state and is hung up on. -1 from control_descriptor: none. */
void control_open(const char *path);
int control_descriptor(void);
void control_answer(const struct service *service);
void control_close(void);

/* The state to standard error, for SIGUSR1. */
void control_print(const struct service *service);

/* Memory that was asked for since the start, by the service and by libcrypto (linux_memory.c). */
uint64_t memory_allocations(void);

no_return void fail(const char *fmt, ...) printf_like(1, 2);

#endif
