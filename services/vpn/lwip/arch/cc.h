/* SPDX-License-Identifier: Apache-2.0 */
/* The compiler and the machine, as lwIP asks for them, and chance from the service's own source. */
#ifndef SHOJI_SERVICES_VPN_ARCH_CC_H
#define SHOJI_SERVICES_VPN_ARCH_CC_H

#include <stdint.h>

#define LWIP_NO_CTYPE_H 1

/* `packed` alone is a word of lib/base.h. */
#define PACK_STRUCT_STRUCT __attribute__((__packed__))

/* services/vpn/wire.c */
uint32_t wire_random(void);
__attribute__((noreturn)) void wire_assertion_failed(const char *what);

#define LWIP_RAND()             wire_random()
#define LWIP_PLATFORM_DIAG(x)   ((void)0)
#define LWIP_PLATFORM_ASSERT(x) wire_assertion_failed(x)

#endif
