/* SPDX-License-Identifier: Apache-2.0 */
/* Files of certificates, CRLs and keys: PEM (RFC 7468), or one DER object. */
#include "crypto/ipsec/pem.h"
#include "lib/base64.h"
#include "lib/strings.h"
#include <openssl/crypto.h>

#define DER_SEQUENCE 0x30

static const char begin[] = "-----BEGIN ", end[] = "-----END ", dashes[] = "-----", encrypted[] = "ENCRYPTED";

/* Where `wanted` begins at or after `from`; the size when it is nowhere. */
static size_t find(struct bytes_view in, size_t from, const char *wanted)
{
    const size_t length = strlen(wanted);
    for (size_t i = from; length <= in.size && i <= in.size - length; i++)
        if (memcmp(in.data + i, wanted, length) == 0)
            return i;
    return in.size;
}

static struct bytes_view part(struct bytes_view of, size_t from, size_t to)
{
    return (struct bytes_view){of.data + from, to - from};
}

static bool ends_with(struct bytes_view text, const char *word)
{
    const size_t length = strlen(word);
    return text.size >= length && memcmp(text.data + text.size - length, word, length) == 0;
}

static bool is_space(uint8_t c)
{
    return c == ' ' || c == '\t' || c == '\r' || c == '\n';
}

/* `work` has room for the body twice: its text without white space, then the bytes. */
static bool decode_into(struct bytes_view body, uint8_t *work, const char *kind, struct bytes_view *der,
                        struct report *problem)
{
    size_t length = 0, bytes = 0;
    for (size_t i = 0; i < body.size; i++)
        if (!is_space(body.data[i]))
            work[length++] = body.data[i];
    if (!base64_decode((const char *)work, length, work + body.size, body.size, &bytes) || bytes == 0)
        return report(problem, "a %s in PEM form is damaged: its base64 cannot be read", kind);
    *der = (struct bytes_view){work + body.size, bytes};
    return true;
}

static bool visit_body(struct bytes_view body, const char *kind, pem_visitor *visit, void *context,
                       struct report *problem)
{
    if (find(body, 0, encrypted) != body.size)
        return report(problem, "the %s is encrypted with a passphrase: give it without one", kind);
    if (body.size == 0 || body.size > PEM_OBJECT_MAX)
        return report(problem, "a %s in PEM form is empty or too large", kind);
    uint8_t *work = OPENSSL_malloc(2 * body.size);
    if (!work)
        return report(problem, "there is no memory for a %s", kind);
    struct bytes_view der;
    const bool good = decode_into(body, work, kind, &der, problem) && visit(context, der, problem);
    wipe(work, 2 * body.size);
    OPENSSL_free(work);
    return good;
}

bool pem_each(struct bytes_view file, const char *kind, pem_visitor *visit, void *context,
              struct report *problem)
{
    if (file.size > 0 && file.data[0] == DER_SEQUENCE)
        return visit(context, file, problem);
    unsigned seen = 0;
    for (size_t at = find(file, 0, begin); at < file.size; at = find(file, at, begin)) {
        const size_t label = at + sizeof(begin) - 1;
        const size_t label_end = find(file, label, dashes);
        if (label_end == file.size)
            break;
        const size_t body = label_end + sizeof(dashes) - 1;
        const size_t body_end = find(file, body, end);
        if (body_end == file.size)
            return report(problem, "a PEM object has no end line: the file is cut off");
        at = body_end;
        const struct bytes_view name = part(file, label, label_end);
        if (!ends_with(name, kind))
            continue;
        if (find(name, 0, encrypted) != name.size)
            return report(problem, "the %s is encrypted with a passphrase: give it without one", kind);
        if (!visit_body(part(file, body, body_end), kind, visit, context, problem))
            return false;
        seen++;
    }
    return seen > 0 || report(problem, "there is no %s in the file: it must be PEM or DER", kind);
}
