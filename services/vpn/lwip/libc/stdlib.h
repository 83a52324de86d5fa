/* SPDX-License-Identifier: Apache-2.0 */
/* What lwIP takes from <stdlib.h>: atoi, in a function that nothing here calls (netif_find). */
#ifndef SHOJI_SERVICES_VPN_STDLIB_H
#define SHOJI_SERVICES_VPN_STDLIB_H

int atoi(const char *text);

#endif
