/* SPDX-License-Identifier: Apache-2.0 */
/* A gateway judged by its certificate. */
#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "crypto/port/port.h"
#include "tests/unit/support/judgement.h"

const struct auth_octets octets = {{(const uint8_t *)"the octets that both ends sign", 30}, "SHA256"};

struct made root, middle, gateway;
EVP_PKEY *rsa;

struct identity id_of(const char *text)
{
    struct identity id;
    struct report problem = {""};
    if (!identity_parse(text, strlen(text), &id, &problem))
        fail_msg("\"%s\" was refused: %s", text, problem.text);
    return id;
}

void assert_says(const struct report *problem, const char *words)
{
    if (!strstr(problem->text, words))
        fail_msg("\"%s\" does not say \"%s\"", problem->text, words);
}

struct judgement usual(void)
{
    return (struct judgement){.authority = &root,
                              .chain = {&gateway, &middle},
                              .id = "vpn.example.com",
                              .expected = "vpn.example.com",
                              .now = MADE_NOW,
                              .hashes = ALL_HASHES};
}

struct credential *judge_of(struct bytes_view authorities, struct bytes_view crls, struct report *problem)
{
    const struct credential_files files = {.chain = made_view(&gateway),
                                           .private_key = made_key_view(&gateway),
                                           .authorities = authorities,
                                           .crls = crls};
    return credential_certificates(&files, problem);
}

static bool judge(const struct judgement *j, struct report *problem)
{
    *problem = (struct report){""};
    const struct made *signer = j->signer ? j->signer : j->chain[0];
    const struct credential_files files = {.chain = made_view(signer),
                                           .private_key = made_key_view(signer),
                                           .authorities = made_view(j->authority),
                                           .crls = j->crls,
                                           .crl_required = j->crl_required};
    struct credential *both = credential_certificates(&files, problem);
    if (!both)
        fail_msg("no credential: %s", problem->text);
    const struct identity id = id_of(j->id), expected = id_of(j->expected);
    struct peer_claim claim = {.id = &id, .expected = &expected, .now = j->now};
    struct auth_data auth;
    if (!credential_sign(both, &octets, j->hashes, &auth, problem))
        fail_msg("not signed: %s", problem->text);
    if (j->flip)
        auth.bytes[auth.size - 1] ^= 1;
    claim.method = j->method ? j->method : auth.method;
    uint8_t *exact = malloc(auth.size);
    assert_non_null(exact);
    memcpy(exact, auth.bytes, auth.size);
    claim.auth = (struct bytes_view){exact, auth.size};
    for (unsigned i = 0; i < ARRAY_COUNT(j->chain) && j->chain[i]; i++)
        claim.certificates[claim.certificate_count++] = made_view(j->chain[i]);
    const bool good = credential_verify(both, &octets, &claim, problem);
    free(exact);
    credential_free(both);
    return good;
}

void assert_accepted(const struct judgement *j)
{
    struct report problem;
    if (!judge(j, &problem))
        fail_msg("refused: %s", problem.text);
    assert_string_equal(problem.text, "");
}

void assert_refused(const struct judgement *j, const char *words)
{
    struct report problem;
    if (judge(j, &problem))
        fail_msg("accepted, where \"%s\" was to be said", words);
    assert_says(&problem, words);
}

void judge_leaf(const struct recipe *changes, const char *words)
{
    struct made leaf;
    struct recipe recipe = *changes;
    struct judgement j = usual();
    recipe.issuer = recipe.issuer ? recipe.issuer : &middle;
    recipe.name = recipe.name ? recipe.name : "gateway";
    make_certificate(&recipe, &leaf);
    j.chain[0] = &leaf;
    if (words)
        assert_refused(&j, words);
    else
        assert_accepted(&j);
    made_free(&leaf);
}

static uint64_t no_clock(void *context)
{
    (void)context;
    return 1; /* the judge's own clock is the claim's */
}

int judgement_start(void **state)
{
    (void)state;
    static const uint8_t ip[] = {192, 0, 2, 1};
    const struct crypto_surroundings surroundings = {.entropy = crypto_cpu_entropy, .seconds = no_clock};
    if (!crypto_start(&surroundings))
        return -1;
    rsa = make_rsa_key(2048);
    make_certificate(
        &(struct recipe){.name = "root", .authority = true, .key_usage = KU_KEY_CERT_SIGN | KU_CRL_SIGN},
        &root);
    make_certificate(&(struct recipe){.name = "middle",
                                      .issuer = &root,
                                      .authority = true,
                                      .key_usage = KU_KEY_CERT_SIGN | KU_CRL_SIGN},
                     &middle);
    make_certificate(&(struct recipe){.name = "gateway",
                                      .issuer = &middle,
                                      .dns = "vpn.example.com",
                                      .email = "gw@example.com",
                                      .ip = ip,
                                      .ip_size = sizeof(ip),
                                      .key_usage = USAGE,
                                      .key_id = true},
                     &gateway);
    return 0;
}

int judgement_stop(void **state)
{
    (void)state;
    made_free(&root);
    made_free(&middle);
    made_free(&gateway);
    EVP_PKEY_free(rsa);
    return 0;
}
