/* SPDX-License-Identifier: Apache-2.0 */
/* What the files of the Linux program share. */
#ifndef SHOJI_SERVICES_VPN_LINUX_H
#define SHOJI_SERVICES_VPN_LINUX_H

#include "services/vpn/service.h"
#include "services/vpn/surroundings.h"

/* The control socket: whoever connects gets the state and is hung up on. It stays when the program ends,
 * which by then may not remove it; the next start does. */
void control_open(const char *path);
extern int control_descriptor; /* -1: none */
void control_answer(const struct service *service);

/* The state to standard error, for SIGUSR1. */
void control_print(const struct service *service);

no_return void fail(const char *fmt, ...) printf_like(1, 2);

#endif
