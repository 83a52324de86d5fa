/* SPDX-License-Identifier: Apache-2.0 */
/* The policy's words for proposals. */
#include "crypto/ipsec/proposal.h"
#include "lib/strings.h"

/* Appends to a NULL-ended list; false when it is full. */
#define APPEND(list, entry)                                                                                  \
    ({                                                                                                       \
        unsigned at = 0;                                                                                     \
        while ((list)[at])                                                                                   \
            at++;                                                                                            \
        bool fits = at + 1 < ARRAY_COUNT(list);                                                              \
        if (fits)                                                                                            \
            (list)[at] = (entry);                                                                            \
        fits;                                                                                                \
    })

static bool add_word(const char *word, size_t length, struct ike_proposal *out, bool esp)
{
    const struct cipher *cipher = cipher_named(word, length);
    if (cipher)
        return APPEND(out->ciphers, cipher);
    const struct integrity *integrity = integrity_named(word, length);
    if (integrity)
        return APPEND(out->integrities, integrity);
    const struct prf *prf = prf_named(word, length);
    if (prf && !esp)
        return APPEND(out->prfs, prf);
    const struct ke_group *group = ke_group_named(word, length);
    if (group)
        return APPEND(out->groups, group);
    bool esn = length == 3 && memcmp(word, "esn", 3) == 0;
    bool no_esn = length == 5 && memcmp(word, "noesn", 5) == 0;
    out->esn = out->esn || esn;
    out->no_esn = out->no_esn || no_esn;
    return esp && (esn || no_esn);
}

/* The parts must fit together (RFC 7296 section 3.3): an AEAD needs no integrity algorithm, CBC does. */
static bool check_parts(const char *text, int length, const struct ike_proposal *p, struct report *problem)
{
    if (!p->ciphers[0])
        return report(problem,
                      "the proposal \"%.*s\" names no cipher; begin it with one, such as aes256gcm16", length,
                      text);
    bool aead = p->ciphers[0]->icv_bytes > 0;
    for (unsigned i = 1; p->ciphers[i]; i++)
        if ((p->ciphers[i]->icv_bytes > 0) != aead)
            return report(problem, "the proposal \"%.*s\" mixes AEADs and CBC; write two proposals", length,
                          text);
    if (aead && p->integrities[0])
        return report(problem, "the proposal \"%.*s\" has %s beside an AEAD, which needs none; leave it out",
                      length, text, p->integrities[0]->name);
    if (!aead && !p->integrities[0])
        return report(problem,
                      "the proposal \"%.*s\" has no integrity algorithm for CBC; add one, such as "
                      "sha256",
                      length, text);
    return true;
}

static bool parse(const char *text, size_t length, struct ike_proposal *out, bool esp, struct report *problem)
{
    *out = (struct ike_proposal){0};
    for (size_t at = 0; at <= length;) {
        size_t end = at;
        while (end < length && text[end] != '-')
            end++;
        if (!add_word(text + at, end - at, out, esp))
            return report(
                problem,
                "the proposal \"%.*s\" has \"%.*s\", which is unknown here, not allowed, or one too "
                "many",
                (int)length, text, (int)(end - at), text + at);
        at = end + 1;
    }
    return check_parts(text, (int)length, out, problem);
}

/* The PRF over the same hash as an integrity algorithm. */
static const struct prf *prf_of_digest(const char *digest)
{
    static const char *const names[] = {"prfsha256", "prfsha384", "prfsha512"};
    for (unsigned i = 0; i < ARRAY_COUNT(names); i++) {
        const struct prf *prf = prf_named(names[i], strlen(names[i]));
        if (prf && strcmp(prf->digest, digest) == 0)
            return prf;
    }
    return NULL;
}

static bool parse_ike(const char *text, size_t length, struct ike_proposal *out, struct report *problem)
{
    if (!parse(text, length, out, false, problem))
        return false;
    bool explicit_prf = out->prfs[0] != NULL;
    for (unsigned i = 0; !explicit_prf && out->integrities[i]; i++)
        out->prfs[i] = prf_of_digest(out->integrities[i]->digest);
    if (!out->prfs[0])
        return report(problem, "the proposal \"%.*s\" names no PRF; add one, such as prfsha256", (int)length,
                      text);
    if (!out->groups[0])
        return report(problem, "the proposal \"%.*s\" names no group; add one, such as x25519", (int)length,
                      text);
    return true;
}

static bool parse_esp(const char *text, size_t length, struct ike_proposal *out, struct report *problem)
{
    if (!parse(text, length, out, true, problem))
        return false;
    if (!out->esn && !out->no_esn)
        out->esn = out->no_esn = true;
    return true;
}

typedef bool parse_function(const char *text, size_t length, struct ike_proposal *out,
                            struct report *problem);

static bool is_blank(char c)
{
    return c == ' ' || c == '\t';
}

static bool parse_list(struct bytes_view text, parse_function *parse_proposal, struct ike_proposal *out,
                       unsigned *count, struct report *problem)
{
    const char *all = (const char *)text.data;
    *count = 0;
    for (size_t at = 0; at <= text.size;) {
        size_t end = at;
        while (end < text.size && all[end] != ',')
            end++;
        size_t next = end + 1;
        while (at < end && is_blank(all[at]))
            at++;
        while (end > at && is_blank(all[end - 1]))
            end--;
        if (*count == IKE_PROPOSALS_MAX)
            return report(problem,
                          "there are more than %u proposals; put alternatives into one, as in "
                          "aes256gcm16-aes128gcm16-prfsha256-x25519",
                          IKE_PROPOSALS_MAX);
        if (!parse_proposal(all + at, end - at, &out[*count], problem))
            return false;
        ++*count;
        at = next;
    }
    return true;
}

bool proposals_parse_ike(const char *text, size_t length, struct ike_proposal out[IKE_PROPOSALS_MAX],
                         unsigned *count, struct report *problem)
{
    return parse_list((struct bytes_view){(const uint8_t *)text, length}, parse_ike, out, count, problem);
}

bool proposals_parse_esp(const char *text, size_t length, struct ike_proposal out[IKE_PROPOSALS_MAX],
                         unsigned *count, struct report *problem)
{
    return parse_list((struct bytes_view){(const uint8_t *)text, length}, parse_esp, out, count, problem);
}
