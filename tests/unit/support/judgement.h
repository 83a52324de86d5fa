/* SPDX-License-Identifier: Apache-2.0 */
/* A gateway judged by its certificate: the usual case, and what a test changes in it. */
#ifndef SHOJI_TESTS_JUDGEMENT_H
#define SHOJI_TESTS_JUDGEMENT_H

#include "crypto/ipsec/credential_parts.h"
#include "tests/unit/support/certificate_maker.h"

#define ALL_HASHES (BIT(HASH_SHA2_256) | BIT(HASH_SHA2_384) | BIT(HASH_SHA2_512))
#define USAGE      KU_DIGITAL_SIGNATURE

/* What is signed, an authority, one below it, the gateway's certificate, and a key that takes long to make.
 */
extern const struct auth_octets octets;
extern struct made root, middle, gateway;
extern EVP_PKEY *rsa;

/* For cmocka_run_group_tests. */
int judgement_start(void **state);
int judgement_stop(void **state);

/* All of these fail the test where it is otherwise. */
struct identity id_of(const char *text);
void assert_says(const struct report *problem, const char *words);

struct judgement {
    const struct made *authority, *chain[4];
    struct bytes_view crls;
    bool crl_required;
    const struct made *signer; /* default: the first of the chain */
    const char *id, *expected;
    uint64_t now;
    uint32_t hashes;
    uint8_t method; /* 0: the signer's */
    bool flip;
};

/* The gateway's certificate is our own too. NULL: it is refused. */
struct credential *judge_of(struct bytes_view authorities, struct bytes_view crls, struct report *problem);

struct judgement usual(void);
void assert_accepted(const struct judgement *j);
void assert_refused(const struct judgement *j, const char *words);

/* The usual judgement with another leaf under the intermediate authority; NULL: it is accepted. */
void judge_leaf(const struct recipe *changes, const char *words);

#endif
