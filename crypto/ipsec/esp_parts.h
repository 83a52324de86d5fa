/* SPDX-License-Identifier: Apache-2.0 */
/* Inside of an ESP SA: for esp.c and its tests alone. */
#ifndef SHOJI_CRYPTO_IPSEC_ESP_PARTS_H
#define SHOJI_CRYPTO_IPSEC_ESP_PARTS_H

#include "crypto/ipsec/esp.h"
#include "crypto/ipsec/esp_transform.h"
#include "crypto/ipsec/replay.h"

struct esp_sa {
    struct child_parameters parameters; /* without its keys: those are in the transforms */
    struct esp_transform out, in;
    uint64_t sequence; /* the last one sent */
    struct replay replay;
    struct esp_counters counters;
};

/* The last numbers that can be sent, and from where on a new SA is asked for: a quarter of the space before
 * the end, and with extended numbers when much has gone through one key, long before 2^64. */
#define SEQUENCE_LAST      0xffffffffull
#define SEQUENCE_REKEY     0xc0000000ull
#define SEQUENCE_LAST_ESN  UINT64_MAX
#define SEQUENCE_REKEY_ESN BIT(34)

#endif
