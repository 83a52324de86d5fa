/* SPDX-License-Identifier: Apache-2.0 */
/* The AlgorithmIdentifiers of RFC 7427 appendix A. */
#ifndef SHOJI_CRYPTO_IPSEC_SIGNATURE_ALGORITHM_H
#define SHOJI_CRYPTO_IPSEC_SIGNATURE_ALGORITHM_H

#include "crypto/ipsec/signature.h"

/* What our key signs with, and its name in DER. */
struct bytes_view signature_algorithm_make(const struct private_key *key, enum signature_hash hash,
                                           struct signature_scheme *scheme);

/* A peer's; the whole of `der`. False with a sentence for what is none of SHA-2's. */
bool signature_algorithm_read(struct bytes_view der, struct signature_scheme *out,
                              struct report *problem) must_check;

#endif
