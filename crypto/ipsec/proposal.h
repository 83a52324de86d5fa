/* SPDX-License-Identifier: Apache-2.0 */
/* Proposals: the policy's words, the SA payload, and what two sides agree on (RFC 7296 sections 2.7, 3.3). */
#ifndef SHOJI_CRYPTO_IPSEC_PROPOSAL_H
#define SHOJI_CRYPTO_IPSEC_PROPOSAL_H

#include "crypto/ipsec/ike.h"
#include "crypto/ipsec/payload.h"
#include "lib/ini.h"

/* A list with commas between. IKE: "aes256gcm16-prfsha384-x25519, ..."; with CBC the PRF may be left out and
 * follows the integrity algorithm. ESP: "aes256gcm16, aes128-sha256-x25519, aes256gcm16-esn"; groups mean
 * forward secrecy at each rekeying; without "esn" or "noesn" both are offered. False with a sentence that
 * names the word. */
bool proposals_parse(struct ini_text text, enum ipsec_protocol protocol, struct ike_proposals *out,
                     struct report *problem) must_check;

/* What stands in one SA payload of ours. */
struct proposal_offer {
    const struct ike_proposals *all;
    uint8_t protocol;
    uint8_t spi_bytes; /* 0 (IKE_SA_INIT), 4 or 8 */
    uint64_t spi;
    bool with_groups; /* ESP: not in IKE_AUTH */
};
void put_offer(struct builder *b, const struct proposal_offer *offer);

/* What was agreed on, and the other side's SPI. */
struct ike_choice {
    uint8_t number;
    uint64_t spi;
    union {
        const struct algorithm *of[TRANSFORM_TYPES]; /* NULL: none of that type */
        struct {
            const struct algorithm *unused, *cipher, *prf, *integrity, *group, *esn;
        };
    };
};
/* The answer to a peer's offer. */
void put_choice(struct builder *b, const struct proposal_offer *ours, const struct ike_choice *choice);

/* Checks the peer's answer against our offer. False with a sentence that names what it chose and what is
 * allowed. */
bool proposal_check_answer(const struct payload_list *list, const struct proposal_offer *offer,
                           struct ike_choice *out, struct report *problem) must_check;
/* Chooses among the peer's proposals by our order. */
bool proposal_choose(const struct payload_list *list, const struct proposal_offer *ours,
                     struct ike_choice *out) must_check;

/* The first algorithm of a type, or NULL. */
const struct algorithm *proposal_first(const struct ike_proposal *p, enum transform_type type);
/* Is the group in one of the proposals? The groups as "31, 19", or "none", for sentences. */
bool proposal_has_group(const struct proposal_offer *offer, const struct algorithm *group);
struct report proposal_groups(const struct proposal_offer *offer);

#endif
