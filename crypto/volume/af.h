/* SPDX-License-Identifier: Apache-2.0 */
/* LUKS's anti-forensic splitter, the merging half (LUKS On-Disk Format Specification 1.2.3 section 2.4),
 * stripe by stripe. */
#ifndef SHOJI_CRYPTO_AF_H
#define SHOJI_CRYPTO_AF_H

#include "crypto/volume/luks2.h"

/* Holds secrets; af_merge_finish wipes it. */
struct af_merge {
    enum luks2_hash hash;
    uint32_t key_bytes;
    uint8_t mixed[LUKS2_KEY_MAX];
};

void af_merge_start(struct af_merge *af, enum luks2_hash hash, uint32_t key_bytes);

/* Takes every stripe but the last, in order; each is key_bytes long. */
void af_merge_stripe(struct af_merge *af, const uint8_t *stripe);

/* Takes the last stripe and gives the key. */
void af_merge_finish(struct af_merge *af, const uint8_t *stripe, uint8_t *key);

#endif
