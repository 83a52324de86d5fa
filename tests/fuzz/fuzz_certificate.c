/* SPDX-License-Identifier: Apache-2.0 */
/* What a gateway claims, before it has proven anything: identity, certificates and AUTH data in arbitrary
 * bytes. Whatever they are, the judge says no with a sentence, for the trusted authority's key is nobody's.
 * The same bytes are also read as files of certificates, keys and CRLs. */
#include <stdlib.h>
#include <string.h>

#include "crypto/ipsec/credential_parts.h"
#include "crypto/port/port.h"
#include "lib/reader.h"
#include "tests/unit/support/certificate_maker.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);
int LLVMFuzzerInitialize(int *argc, char ***argv);

static struct credential *by_certificate, *by_key;
static struct credential_files own;
static const struct auth_octets octets = {{(const uint8_t *)"octets", 6}, "SHA256"};

static void require(bool condition)
{
    if (!condition)
        abort();
}

static void require_sentence(const char *text)
{
    require(text[0] != '\0' && strnlen(text, REPORT_MAX) < REPORT_MAX);
    for (; *text; text++)
        require(*text >= ' ' && *text <= '~');
}

int LLVMFuzzerInitialize(int *argc, char ***argv)
{
    (void)argc;
    (void)argv;
    static struct made root;
    const struct crypto_surroundings surroundings = {.entropy = crypto_cpu_entropy};
    struct report problem = {""};
    uint8_t secret[32];
    require(crypto_start(&surroundings) && crypto_cpu_entropy(NULL, secret, sizeof(secret)));
    make_certificate(&(struct recipe){.name = "root", .authority = true}, &root);
    own = (struct credential_files){
        .chain = made_view(&root), .private_key = made_key_view(&root), .authorities = made_view(&root)};
    by_certificate = credential_certificates(&own, &problem);
    by_key = credential_psk(secret, sizeof(secret), &problem);
    require(by_certificate && by_key);
    return 0;
}

/* A length in two bytes, then so many, in memory of their own so that a read past them is seen. */
static struct bytes_view take(struct reader *r, uint8_t **owned)
{
    size_t size = (size_t)reader_be(r, 2);
    const uint8_t *bytes = reader_bytes(r, MIN(size, reader_left(r)));
    size = r->failed ? 0 : MIN(size, (size_t)(r->data + r->at - bytes));
    *owned = malloc(size ? size : 1);
    require(*owned);
    if (size)
        memcpy(*owned, bytes, size);
    return (struct bytes_view){*owned, size};
}

static void claim_it(struct reader r)
{
    uint8_t *owned[CERTIFICATES_MAX + 1];
    struct identity id = {.kind = reader_u8(&r)}, expected = {ID_FQDN, 3, {'a', '.', 'b'}};
    struct peer_claim claim = {.id = &id, .expected = &expected, .method = reader_u8(&r), .now = MADE_NOW};
    id.size = reader_u8(&r);
    const uint8_t *name = reader_bytes(&r, id.size);
    if (r.failed)
        return;
    memcpy(id.bytes, name, id.size);
    claim.auth = take(&r, &owned[0]);
    for (unsigned i = 0; i < CERTIFICATES_MAX && reader_left(&r) > 0; i++)
        claim.certificates[claim.certificate_count++] = take(&r, &owned[i + 1]);
    struct report problem = {""};
    require(!credential_verify(by_certificate, &octets, &claim, &problem));
    require_sentence(problem.text);
    problem = (struct report){""};
    require(!credential_verify(by_key, &octets, &claim, &problem));
    require_sentence(problem.text);
    for (unsigned i = 0; i <= claim.certificate_count; i++)
        free(owned[i]);
}

static void load_it(struct bytes_view file)
{
    /* One of the four at a time, the rest is good. */
    for (unsigned i = 0; i < 4; i++) {
        struct report problem = {""};
        struct credential_files files = own;
        *(struct bytes_view *[]){&files.chain, &files.private_key, &files.authorities, &files.crls}[i] = file;
        struct credential *credential = credential_certificates(&files, &problem);
        require(!credential == (problem.text[0] != '\0'));
        credential_free(credential);
    }
}

static void name_it(const uint8_t *data, size_t size)
{
    struct identity id;
    struct report problem = {""};
    char text[IDENTITY_TEXT_MAX];
    if (!identity_parse((const char *)data, size, &id, &problem)) {
        require(problem.text[0] != '\0');
        return;
    }
    require(id.size > 0 && id.size <= IDENTITY_MAX && identity_equal(&id, &id));
    identity_format(&id, text);
    require_sentence(text);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    claim_it(reader_of(data, size));
    load_it((struct bytes_view){data, size});
    name_it(data, size);
    return 0;
}
