/* SPDX-License-Identifier: Apache-2.0 */
/* The policy's words for proposals. */
#include "crypto/ipsec/proposal.h"
#include "lib/format.h"
#include "lib/strings.h"

#define NAME_MAX_BYTES 32
#define WORDS_MAX      16
static_assert(2 * WORDS_MAX <= IKE_ALGORITHMS_MAX, "what is added to the words has room");

static void add(struct ike_proposal *p, const struct algorithm *a)
{
    if (a)
        p->item[p->count++] = a;
}

/* What is missing from the words follows from them: the PRF is over the same hash as CBC's integrity
 * algorithm; both kinds of sequence numbers are offered. */
static void complete(struct ike_proposal *p, bool esp)
{
    if (esp && !proposal_first(p, TRANSFORM_ESN)) {
        add(p, algorithm_find(TRANSFORM_ESN, 1, 0));
        add(p, algorithm_find(TRANSFORM_ESN, 0, 0));
    }
    bool derive = !esp && !proposal_first(p, TRANSFORM_PRF);
    for (unsigned i = 0; derive && i < p->count; i++) {
        char name[NAME_MAX_BYTES];
        if (p->item[i]->type == TRANSFORM_INTEGRITY)
            add(p, algorithm_named(name, format(name, sizeof(name), "prf%s", p->item[i]->name)));
    }
}

/* The parts must fit together (RFC 7296 section 3.3): an AEAD needs no integrity algorithm, CBC does. Returns
 * what is wrong, or NULL. */
static const char *fault_of(const struct ike_proposal *p, bool esp)
{
    const struct algorithm *cipher = proposal_first(p, TRANSFORM_ENCRYPTION);
    if (!cipher)
        return "names no cipher; begin it with one, such as aes256gcm16";
    bool aead = cipher->icv_bytes > 0, integrity = proposal_first(p, TRANSFORM_INTEGRITY);
    for (unsigned i = 0; i < p->count; i++)
        if (p->item[i]->type == TRANSFORM_ENCRYPTION && (p->item[i]->icv_bytes > 0) != aead)
            return "mixes AEADs and CBC; write two proposals";
    if (aead && integrity)
        return "has an integrity algorithm beside an AEAD, which needs none; leave it out";
    if (!aead && !integrity)
        return "has no integrity algorithm for CBC; add one, such as sha256";
    if (!esp && !proposal_first(p, TRANSFORM_PRF))
        return "names no PRF; add one, such as prfsha256";
    return esp || proposal_first(p, TRANSFORM_KE) ? NULL : "names no group; add one, such as x25519";
}

static bool parse(struct ini_text text, bool esp, struct ike_proposal *out, struct report *problem)
{
    struct ini_text rest = text;
    *out = (struct ike_proposal){0};
    while (rest.at) {
        struct ini_text word = ini_split(rest, '-', &rest);
        const struct algorithm *a = algorithm_named(word.at, word.length);
        if (!a || a->type == (esp ? TRANSFORM_PRF : TRANSFORM_ESN) || out->count == WORDS_MAX)
            return report(
                problem,
                "the proposal \"%.*s\" has \"%.*s\", which is unknown here, not allowed, or one too "
                "many",
                (int)text.length, text.at, (int)word.length, word.at);
        add(out, a);
    }
    complete(out, esp);
    const char *fault = fault_of(out, esp);
    return !fault || report(problem, "the proposal \"%.*s\" %s", (int)text.length, text.at, fault);
}

bool proposals_parse(struct ini_text text, enum ipsec_protocol protocol,
                     struct ike_proposal out[IKE_PROPOSALS_MAX], unsigned *count, struct report *problem)
{
    *count = 0;
    while (text.at) {
        struct ini_text one = ini_split(text, ',', &text);
        if (*count == IKE_PROPOSALS_MAX)
            return report(problem,
                          "there are more than %u proposals; put alternatives into one, as in "
                          "aes256gcm16-aes128gcm16-prfsha256-x25519",
                          IKE_PROPOSALS_MAX);
        if (!parse(one, protocol == PROTOCOL_ESP, &out[*count], problem))
            return false;
        ++*count;
    }
    return true;
}
