/* SPDX-License-Identifier: Apache-2.0 */
/* Files of certificates, CRLs and keys: PEM (RFC 7468), or one DER object. */
#include "crypto/ipsec/pem.h"
#include "lib/strings.h"
#include <openssl/err.h>
#include <openssl/pem.h>

#define DER_SEQUENCE 0x30

/* What libcrypto found: a label, the header lines that encryption needs, and the bytes. */
struct object {
    char *label, *header;
    uint8_t *der;
    long size;
};

static bool visit_object(const struct object *object, const char *kind, pem_visitor *visit, void *context,
                         struct report *problem)
{
    static const char encrypted[] = "ENCRYPTED";
    if (object->header[0] || strncmp(object->label, encrypted, sizeof(encrypted) - 1) == 0)
        return report(problem, "the %s is encrypted with a passphrase: give it without one", kind);
    return visit(context, (struct bytes_view){object->der, (size_t)object->size}, problem);
}

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
    struct object object;
    bool good = bio != NULL, seen = false;
    while (good && PEM_read_bio_ex(bio, &object.label, &object.header, &object.der, &object.size,
                                   PEM_FLAG_SECURE) == 1) {
        if (ends_with(object.label, kind)) {
            good = visit_object(&object, kind, visit, context, problem);
            seen = true;
        }
        OPENSSL_secure_free(object.label);
        OPENSSL_secure_free(object.header);
        OPENSSL_secure_clear_free(object.der, (size_t)object.size);
    }
    BIO_free(bio);
    return (good && ended_well(seen, kind, problem)) || report(problem, "there is no memory for a %s", kind);
}
