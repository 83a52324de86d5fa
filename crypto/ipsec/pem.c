/* SPDX-License-Identifier: Apache-2.0 */
/* Files of certificates, CRLs and keys: PEM (RFC 7468), or one DER object. */
#include "crypto/ipsec/pem.h"
#include "lib/strings.h"
#include <openssl/err.h>
#include <openssl/pem.h>

#define DER_SEQUENCE 0x30

static const char encrypted[] = "ENCRYPTED";

static bool ends_with(const char *text, const char *word)
{
    const size_t length = strlen(text), wanted = strlen(word);
    return length >= wanted && strcmp(text + length - wanted, word) == 0;
}

/* Why libcrypto read no further. */
static bool ended_well(bool seen, const char *kind, struct report *problem)
{
    const int reason = ERR_GET_REASON(ERR_peek_last_error());
    ERR_clear_error();
    if (reason == PEM_R_BAD_END_LINE)
        return report(problem, "a PEM object has no end line: the file is cut off");
    if (reason != PEM_R_NO_START_LINE)
        return report(problem, "a PEM object is damaged: its base64 cannot be read");
    return seen || report(problem, "there is no %s in the file: it must be PEM or DER", kind);
}

bool pem_each(struct bytes_view file, const char *kind, pem_visitor *visit, void *context,
              struct report *problem)
{
    if (file.size > 0 && file.data[0] == DER_SEQUENCE)
        return visit(context, file, problem);
    BIO *bio = BIO_new_mem_buf(file.size ? file.data : (const uint8_t *)"", (int)file.size);
    bool good = bio != NULL, seen = false;
    char *label, *header; /* the header's lines are there for encryption alone */
    uint8_t *der;
    long size;
    while (good && PEM_read_bio_ex(bio, &label, &header, &der, &size, PEM_FLAG_SECURE) == 1) {
        const bool wanted = ends_with(label, kind);
        if (wanted && (header[0] || strncmp(label, encrypted, sizeof(encrypted) - 1) == 0))
            good = report(problem, "the %s is encrypted with a passphrase: give it without one", kind);
        else if (wanted)
            good = visit(context, (struct bytes_view){der, (size_t)size}, problem);
        seen = seen || wanted;
        OPENSSL_secure_free(label);
        OPENSSL_secure_free(header);
        OPENSSL_secure_clear_free(der, (size_t)size);
    }
    BIO_free(bio);
    return (good && ended_well(seen, kind, problem)) || report(problem, "there is no memory for a %s", kind);
}
