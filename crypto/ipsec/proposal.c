/* SPDX-License-Identifier: Apache-2.0 */
/* Proposals by the policy's words; the SA payload: written, judged as the initiator, chosen from as the
 * responder. */
#include "crypto/ipsec/proposal.h"
#include "lib/format.h"
#include "lib/strings.h"

#define MORE_PROPOSALS       2
#define MORE_TRANSFORMS      3
#define BLOCK_HEADER         4      /* what proposals and transforms begin with */
#define ATTRIBUTE_KEY_LENGTH 0x800e /* section 3.3.5: type 14 in the short form */
#define ATTRIBUTE_SHORT      0x8000
#define TRANSFORMS_MAX       64
#define NAME_MAX_BYTES       32
#define WORDS_MAX            16
static_assert(2 * WORDS_MAX <= IKE_ALGORITHMS_MAX, "what is added to the words has room");

/* What the peer wrote. */
struct transform {
    uint8_t type;
    uint16_t id, key_bits;
    bool foreign; /* has an attribute that we do not know: cannot be chosen (section 3.3.6) */
};

struct proposal {
    uint8_t number, protocol, spi_bytes;
    uint64_t spi;
    unsigned count;
    struct transform item[TRANSFORMS_MAX];
};

const struct algorithm *proposal_first(const struct ike_proposal *p, enum transform_type type)
{
    for (unsigned i = 0; i < p->count; i++)
        if (p->item[i]->type == type)
            return p->item[i];
    return NULL;
}

/* ---- The policy's words ---- */

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

bool proposals_parse(struct ini_text text, enum ipsec_protocol protocol, struct ike_proposals *out,
                     struct report *problem)
{
    for (out->count = 0; text.at; out->count++) {
        struct ini_text one = ini_split(text, ',', &text);
        if (out->count == IKE_PROPOSALS_MAX)
            return report(problem,
                          "there are more than %u proposals; put alternatives into one, as in "
                          "aes256gcm16-aes128gcm16-prfsha256-x25519",
                          IKE_PROPOSALS_MAX);
        if (!parse(one, protocol == PROTOCOL_ESP, &out->item[out->count], problem))
            return false;
    }
    return true;
}

/* ---- The SA payload ---- */

/* What we offer in one proposal. */
static struct ike_proposal offered(const struct proposal_offer *offer, unsigned n)
{
    const struct ike_proposal *all = &offer->all->item[n];
    struct ike_proposal out = {0};
    for (unsigned i = 0; i < all->count; i++)
        if (all->item[i]->type != TRANSFORM_KE || offer->with_groups)
            out.item[out.count++] = all->item[i];
    return out;
}

static void put_proposal(struct builder *b, const struct proposal_offer *offer, uint8_t number, bool more,
                         const struct ike_proposal *p)
{
    size_t start = b->w.at;
    writer_be(&b->w, more ? MORE_PROPOSALS : 0, 1);
    writer_be(&b->w, 0, 3); /* the length is filled in below */
    writer_be(&b->w, number, 1);
    writer_be(&b->w, offer->protocol, 1);
    writer_be(&b->w, offer->spi_bytes, 1);
    writer_be(&b->w, p->count, 1);
    writer_be(&b->w, offer->spi, offer->spi_bytes);
    for (unsigned i = 0; i < p->count; i++) {
        const struct algorithm *a = p->item[i];
        size_t transform = b->w.at;
        writer_be(&b->w, i + 1 < p->count ? MORE_TRANSFORMS : 0, 1);
        writer_be(&b->w, 0, 3);
        writer_be(&b->w, a->type, 1);
        writer_be(&b->w, a->id, 3); /* a byte of zero before it */
        if (a->key_bits)
            writer_be(&b->w, (uint32_t)ATTRIBUTE_KEY_LENGTH << 16 | a->key_bits, 4);
        put_length(b, transform);
    }
    put_length(b, start);
}

void put_offer(struct builder *b, const struct proposal_offer *offer)
{
    payload_begin(b, PAYLOAD_SA);
    for (unsigned n = 0; n < offer->all->count; n++) {
        struct ike_proposal p = offered(offer, n);
        put_proposal(b, offer, (uint8_t)(n + 1), n + 1 < offer->all->count, &p);
    }
    payload_end(b);
}

void put_choice(struct builder *b, const struct proposal_offer *ours, const struct ike_choice *choice)
{
    struct ike_proposal p = {0};
    for (unsigned type = TRANSFORM_ENCRYPTION; type < TRANSFORM_TYPES; type++)
        if (choice->of[type])
            p.item[p.count++] = choice->of[type];
    payload_begin(b, PAYLOAD_SA);
    put_proposal(b, ours, choice->number, false, &p);
    payload_end(b);
}

/* Steps over a proposal or a transform: whether more follow, its length, its body. */
static bool read_block(struct reader *r, uint8_t more_mark, bool *more, struct reader *body)
{
    uint8_t last = reader_u8(r);
    (void)reader_u8(r);
    size_t length = (size_t)reader_be(r, 2);
    if (r->failed || length < BLOCK_HEADER || (last != 0 && last != more_mark))
        return false;
    *more = last != 0;
    *body = reader_of(reader_bytes(r, length - BLOCK_HEADER), length - BLOCK_HEADER);
    return !r->failed;
}

static bool read_transform(struct reader *r, struct transform *out, bool *more)
{
    struct reader b;
    if (!read_block(r, MORE_TRANSFORMS, more, &b))
        return false;
    *out = (struct transform){.type = reader_u8(&b)};
    (void)reader_u8(&b);
    out->id = (uint16_t)reader_be(&b, 2);
    while (reader_left(&b) > 0) {
        uint16_t type = (uint16_t)reader_be(&b, 2), value = (uint16_t)reader_be(&b, 2);
        if (type == ATTRIBUTE_KEY_LENGTH)
            out->key_bits = value;
        else
            out->foreign = true;
        if (!(type & ATTRIBUTE_SHORT))
            (void)reader_bytes(&b, value);
    }
    return !b.failed;
}

static bool read_proposal(struct reader *r, struct proposal *out, bool *more)
{
    struct reader b;
    if (!read_block(r, MORE_PROPOSALS, more, &b))
        return false;
    *out = (struct proposal){.number = reader_u8(&b), .protocol = reader_u8(&b), .spi_bytes = reader_u8(&b)};
    unsigned count = reader_u8(&b);
    if (out->spi_bytes > sizeof(out->spi) || count == 0 || count > TRANSFORMS_MAX)
        return false;
    out->spi = reader_be(&b, out->spi_bytes);
    bool more_transforms = true;
    for (; more_transforms && out->count < count; out->count++)
        if (!read_transform(&b, &out->item[out->count], &more_transforms))
            return false;
    return !b.failed && !more_transforms && out->count == count && reader_left(&b) == 0;
}

static bool has(const struct proposal *p, uint8_t type, uint16_t id, uint16_t key_bits)
{
    for (unsigned i = 0; i < p->count; i++) {
        const struct transform *t = &p->item[i];
        if (!t->foreign && t->type == type && t->id == id && t->key_bits == key_bits)
            return true;
    }
    return false;
}

static const struct transform *find_type(const struct proposal *p, uint8_t type)
{
    for (unsigned i = 0; i < p->count; i++)
        if (p->item[i].type == type)
            return &p->item[i];
    return NULL;
}

/* The first type on which the two do not agree; 0 when they do. Of each type the first of our alternatives
 * that the other side names is taken. With none of ours (an AEAD's integrity, no forward secrecy) the other
 * side may leave the type out or name "none", number 0. */
static uint8_t match(const struct proposal *p, const struct ike_proposal *ours, struct ike_choice *out)
{
    *out = (struct ike_choice){.number = p->number, .spi = p->spi};
    for (unsigned i = 0; i < p->count; i++)
        if (p->item[i].type < TRANSFORM_ENCRYPTION || p->item[i].type >= TRANSFORM_TYPES)
            return p->item[i].type ? p->item[i].type : UINT8_MAX;
    for (uint8_t type = TRANSFORM_ENCRYPTION; type < TRANSFORM_TYPES; type++) {
        for (unsigned i = 0; i < ours->count && !out->of[type]; i++) {
            const struct algorithm *a = ours->item[i];
            if (a->type == type && has(p, type, a->id, a->key_bits))
                out->of[type] = a;
        }
        bool none = !find_type(p, type) || (type != TRANSFORM_ESN && has(p, type, 0, 0));
        if (!out->of[type] && (proposal_first(ours, type) || !none))
            return type;
    }
    return 0;
}

bool proposal_has_group(const struct proposal_offer *offer, const struct algorithm *group)
{
    for (unsigned n = 0; n < offer->all->count; n++)
        for (unsigned i = 0; group && i < offer->all->item[n].count; i++)
            if (offer->all->item[n].item[i] == group)
                return true;
    return false;
}

struct report proposal_groups(const struct proposal_offer *offer)
{
    static const uint16_t ids[] = {31, 19, 20, 14, 15};
    struct report out = {"none"};
    size_t used = 0;
    for (unsigned i = 0; i < ARRAY_COUNT(ids); i++)
        if (proposal_has_group(offer, algorithm_find(TRANSFORM_KE, ids[i], 0)))
            used += format(out.text + used, sizeof(out.text) - used, "%s%u", used ? ", " : "", ids[i]);
    return out;
}

static bool report_mismatch(const struct proposal *p, uint8_t type, const struct proposal_offer *offer,
                            struct report *problem)
{
    static const char *const names[] = {"",      "encryption algorithm", "PRF", "integrity algorithm",
                                        "group", "ESN setting"};
    const struct transform *t = find_type(p, type);
    if (type >= ARRAY_COUNT(names))
        return report(problem, "the gateway answered with transform type %u, which was not offered", type);
    if (type == TRANSFORM_KE)
        return report(problem, "the gateway chose group %u; the policy allows %s", t ? t->id : 0,
                      proposal_groups(offer).text);
    if (!t)
        return report(problem, "the gateway chose no %s; the policy's proposal %u wants one", names[type],
                      p->number);
    return report(problem, "the gateway chose %s %u (key length %u), which the policy's proposal %u lacks",
                  names[type], t->id, t->key_bits, p->number);
}

bool proposal_check_answer(const struct payload_list *list, const struct proposal_offer *offer,
                           struct ike_choice *out, struct report *problem)
{
    struct reader r = payload_reader(list, PAYLOAD_SA);
    struct proposal p;
    bool more;
    if (!read_proposal(&r, &p, &more) || more || reader_left(&r) != 0)
        return report(problem, "the gateway's answer has no SA payload with one proposal; it is malformed");
    if (p.number == 0 || p.number > offer->all->count || p.protocol != offer->protocol ||
        p.spi_bytes != offer->spi_bytes || (p.spi_bytes && p.spi == 0))
        return report(problem, "the gateway answered with a proposal that was not offered");
    for (unsigned i = 0; i < p.count; i++)
        if (find_type(&p, p.item[i].type) != &p.item[i])
            return report(problem, "the gateway chose two transforms of one type");
    struct ike_proposal ours = offered(offer, p.number - 1u);
    uint8_t type = match(&p, &ours, out);
    return type == 0 || report_mismatch(&p, type, offer, problem);
}

bool proposal_choose(const struct payload_list *list, const struct proposal_offer *ours,
                     struct ike_choice *out)
{
    for (unsigned n = 0; n < ours->all->count; n++) {
        struct ike_proposal wanted = offered(ours, n);
        struct reader r = payload_reader(list, PAYLOAD_SA);
        struct proposal p;
        for (bool more = true; more;) {
            if (!read_proposal(&r, &p, &more))
                return false;
            if (p.protocol == ours->protocol && p.spi_bytes == ours->spi_bytes &&
                (p.spi != 0 || p.spi_bytes == 0) && match(&p, &wanted, out) == 0)
                return true;
        }
    }
    return false;
}
