/* SPDX-License-Identifier: Apache-2.0 */
/* The SA payload: written, judged as the initiator, chosen from as the responder. */
#include "crypto/ipsec/proposal.h"
#include "lib/format.h"
#include "lib/strings.h"

#define MORE_PROPOSALS       2
#define MORE_TRANSFORMS      3
#define TRANSFORM_HEADER     8
#define PROPOSAL_HEADER      8
#define ATTRIBUTE_KEY_LENGTH 0x800e /* section 3.3.5: type 14 in the short form */
#define ATTRIBUTE_SHORT      0x8000
#define TRANSFORMS_MAX       64
#define INTEGRITY_NONE       0
#define GROUP_NONE           0

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

static void put_transform(struct builder *b, bool more, const struct transform *t)
{
    put_be(b, more ? MORE_TRANSFORMS : 0, 1);
    put_be(b, 0, 1);
    put_be(b, TRANSFORM_HEADER + (t->key_bits ? 4 : 0), 2);
    put_be(b, t->type, 1);
    put_be(b, 0, 1);
    put_be(b, t->id, 2);
    if (t->key_bits) {
        put_be(b, ATTRIBUTE_KEY_LENGTH, 2);
        put_be(b, t->key_bits, 2);
    }
}

static void put_proposal(struct builder *b, bool more, const struct proposal *p)
{
    size_t start = b->size;
    put_be(b, more ? MORE_PROPOSALS : 0, 1);
    put_be(b, 0, 1);
    put_be(b, 0, 2); /* the length, filled in below */
    put_be(b, p->number, 1);
    put_be(b, p->protocol, 1);
    put_be(b, p->spi_bytes, 1);
    put_be(b, p->count, 1);
    put_be(b, p->spi, p->spi_bytes);
    for (unsigned i = 0; i < p->count; i++)
        put_transform(b, i + 1 < p->count, &p->item[i]);
    if (!b->failed) {
        b->data[start + 2] = (uint8_t)((b->size - start) >> 8);
        b->data[start + 3] = (uint8_t)(b->size - start);
    }
}

static void add_transform(struct proposal *p, uint8_t type, uint16_t id, uint16_t key_bits)
{
    if (p->count < TRANSFORMS_MAX) /* five lists of at most seven always fit */
        p->item[p->count++] = (struct transform){.type = type, .id = id, .key_bits = key_bits};
}

void put_offer(struct builder *b, const struct proposal_offer *offer)
{
    payload_begin(b, PAYLOAD_SA);
    for (unsigned n = 0; n < offer->count; n++) {
        const struct ike_proposal *from = &offer->list[n];
        struct proposal p = {.number = (uint8_t)(n + 1),
                             .protocol = offer->protocol,
                             .spi_bytes = offer->spi_bytes,
                             .spi = offer->spi};
        for (unsigned i = 0; from->ciphers[i]; i++)
            add_transform(&p, TRANSFORM_ENCRYPTION, from->ciphers[i]->id, from->ciphers[i]->key_bits);
        for (unsigned i = 0; from->prfs[i]; i++)
            add_transform(&p, TRANSFORM_PRF, from->prfs[i]->id, 0);
        for (unsigned i = 0; from->integrities[i]; i++)
            add_transform(&p, TRANSFORM_INTEGRITY, from->integrities[i]->id, 0);
        for (unsigned i = 0; offer->with_groups && from->groups[i]; i++)
            add_transform(&p, TRANSFORM_KE, from->groups[i]->id, 0);
        if (from->esn && offer->protocol == PROTOCOL_ESP)
            add_transform(&p, TRANSFORM_ESN, 1, 0);
        if (from->no_esn && offer->protocol == PROTOCOL_ESP)
            add_transform(&p, TRANSFORM_ESN, 0, 0);
        put_proposal(b, n + 1 < offer->count, &p);
    }
    payload_end(b);
}

void put_choice(struct builder *b, const struct proposal_offer *ours, const struct ike_choice *choice)
{
    struct proposal p = {
        .number = choice->number, .protocol = ours->protocol, .spi_bytes = ours->spi_bytes, .spi = ours->spi};
    add_transform(&p, TRANSFORM_ENCRYPTION, choice->cipher->id, choice->cipher->key_bits);
    if (choice->prf)
        add_transform(&p, TRANSFORM_PRF, choice->prf->id, 0);
    if (choice->integrity)
        add_transform(&p, TRANSFORM_INTEGRITY, choice->integrity->id, 0);
    if (choice->group)
        add_transform(&p, TRANSFORM_KE, choice->group->id, 0);
    if (ours->protocol == PROTOCOL_ESP)
        add_transform(&p, TRANSFORM_ESN, choice->esn, 0);
    payload_begin(b, PAYLOAD_SA);
    put_proposal(b, false, &p);
    payload_end(b);
}

static bool read_transform(struct reader *r, struct transform *out, bool *more)
{
    size_t start = r->at;
    uint8_t last = reader_u8(r);
    (void)reader_u8(r);
    size_t length = (size_t)reader_be(r, 2);
    *out = (struct transform){.type = reader_u8(r)};
    (void)reader_u8(r);
    out->id = (uint16_t)reader_be(r, 2);
    if (r->failed || length < TRANSFORM_HEADER || (last != 0 && last != MORE_TRANSFORMS) ||
        length > r->size - start)
        return false;
    *more = last != 0;
    struct reader a = reader_of(r->data + r->at, length - TRANSFORM_HEADER);
    (void)reader_bytes(r, length - TRANSFORM_HEADER);
    while (reader_left(&a) > 0) {
        uint16_t type = (uint16_t)reader_be(&a, 2), value = (uint16_t)reader_be(&a, 2);
        if (type == ATTRIBUTE_KEY_LENGTH)
            out->key_bits = value;
        else
            out->foreign = true;
        if (!(type & ATTRIBUTE_SHORT))
            (void)reader_bytes(&a, value);
    }
    return !a.failed;
}

static bool read_proposal(struct reader *r, struct proposal *out, bool *more)
{
    uint8_t last = reader_u8(r);
    (void)reader_u8(r);
    size_t length = (size_t)reader_be(r, 2);
    if (r->failed || length < PROPOSAL_HEADER || (last != 0 && last != MORE_PROPOSALS))
        return false;
    *more = last != 0;
    const uint8_t *body = reader_bytes(r, length - 4);
    if (!body)
        return false;
    struct reader b = reader_of(body, length - 4);
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

static bool names_type(const struct proposal *p, uint8_t type)
{
    for (unsigned i = 0; i < p->count; i++)
        if (p->item[i].type == type)
            return true;
    return false;
}

/* Takes the first of our alternatives that the other side names. With none of ours (an AEAD's integrity, no
 * forward secrecy) the other side may leave the type out or name "none", number 0. */
#define TAKE(choice, list, p, transform, bits)                                                               \
    ({                                                                                                       \
        for (unsigned at = 0; !(choice) && (list)[at]; at++)                                                 \
            if (has(p, transform, (list)[at]->id, bits))                                                     \
                (choice) = (list)[at];                                                                       \
        (choice) || (!(list)[0] && (!names_type(p, transform) || has(p, transform, 0, 0)));                  \
    })

/* The first type on which the two do not agree; 0 when they do. */
static uint8_t match(const struct proposal *p, const struct ike_proposal *ours,
                     const struct proposal_offer *offer, struct ike_choice *out)
{
    static const struct ke_group *const no_groups[] = {NULL};
    const struct ke_group *const *groups = offer->with_groups ? ours->groups : no_groups;
    *out = (struct ike_choice){.number = p->number, .spi = p->spi};
    for (unsigned i = 0; i < p->count; i++)
        if (p->item[i].type < TRANSFORM_ENCRYPTION || p->item[i].type > TRANSFORM_ESN)
            return p->item[i].type ? p->item[i].type : UINT8_MAX;
    if (!TAKE(out->cipher, ours->ciphers, p, TRANSFORM_ENCRYPTION, ours->ciphers[at]->key_bits))
        return TRANSFORM_ENCRYPTION;
    if (!TAKE(out->prf, ours->prfs, p, TRANSFORM_PRF, 0))
        return TRANSFORM_PRF;
    if (!TAKE(out->integrity, ours->integrities, p, TRANSFORM_INTEGRITY, 0))
        return TRANSFORM_INTEGRITY;
    if (!TAKE(out->group, groups, p, TRANSFORM_KE, 0))
        return TRANSFORM_KE;
    if (offer->protocol != PROTOCOL_ESP)
        return names_type(p, TRANSFORM_ESN) ? TRANSFORM_ESN : 0;
    out->esn = ours->esn && has(p, TRANSFORM_ESN, 1, 0);
    return out->esn || (ours->no_esn && has(p, TRANSFORM_ESN, 0, 0)) ? 0 : TRANSFORM_ESN;
}

bool proposal_has_group(const struct proposal_offer *offer, const struct ke_group *group)
{
    for (unsigned n = 0; n < offer->count; n++)
        for (unsigned i = 0; group && offer->list[n].groups[i]; i++)
            if (offer->list[n].groups[i] == group)
                return true;
    return false;
}

void proposal_group_list(const struct proposal_offer *offer, char out[GROUP_LIST_TEXT_MAX])
{
    static const uint16_t ids[] = {31, 19, 20, 14, 15};
    size_t used = 0;
    out[0] = '\0';
    for (unsigned i = 0; i < ARRAY_COUNT(ids); i++)
        if (proposal_has_group(offer, ke_group_find(ids[i])))
            used += format(out + used, GROUP_LIST_TEXT_MAX - used, "%s%u", used ? ", " : "", ids[i]);
}

static bool report_mismatch(const struct proposal *p, uint8_t type, const struct proposal_offer *offer,
                            struct report *problem)
{
    static const char *const names[] = {"",      "encryption algorithm", "PRF", "integrity algorithm",
                                        "group", "ESN setting"};
    if (type >= ARRAY_COUNT(names))
        return report(problem, "the gateway answered with transform type %u, which was not offered", type);
    unsigned id = 0, bits = 0;
    for (unsigned i = 0; i < p->count; i++)
        if (p->item[i].type == type) {
            id = p->item[i].id;
            bits = p->item[i].key_bits;
        }
    if (type == TRANSFORM_KE) {
        char groups[GROUP_LIST_TEXT_MAX];
        proposal_group_list(offer, groups);
        return report(problem, "the gateway chose group %u; the policy allows %s", id,
                      groups[0] ? groups : "none");
    }
    if (!names_type(p, type))
        return report(problem, "the gateway chose no %s; the policy's proposal %u wants one", names[type],
                      p->number);
    return report(problem, "the gateway chose %s %u (key length %u), which the policy's proposal %u lacks",
                  names[type], id, bits, p->number);
}

static bool first_proposal(const struct payload_list *list, struct reader *r)
{
    const struct payload *sa = payload_find(list, PAYLOAD_SA);
    if (sa)
        *r = reader_of(sa->data, sa->size);
    return sa != NULL;
}

bool proposal_check_answer(const struct payload_list *list, const struct proposal_offer *offer,
                           struct ike_choice *out, struct report *problem)
{
    struct reader r;
    struct proposal p;
    bool more;
    if (!first_proposal(list, &r) || !read_proposal(&r, &p, &more) || more || reader_left(&r) != 0)
        return report(problem, "the gateway's answer has no SA payload with one proposal; it is malformed");
    if (p.number == 0 || p.number > offer->count || p.protocol != offer->protocol ||
        p.spi_bytes != offer->spi_bytes || (p.spi_bytes && p.spi == 0))
        return report(problem, "the gateway answered with a proposal that was not offered");
    for (unsigned i = 0; i < p.count; i++)
        for (unsigned k = i + 1; k < p.count; k++)
            if (p.item[i].type == p.item[k].type)
                return report(problem, "the gateway chose two transforms of one type");
    uint8_t type = match(&p, &offer->list[p.number - 1], offer, out);
    return type == 0 || report_mismatch(&p, type, offer, problem);
}

bool proposal_choose(const struct payload_list *list, const struct proposal_offer *ours,
                     struct ike_choice *out)
{
    for (unsigned n = 0; n < ours->count; n++) {
        struct reader r;
        struct proposal p;
        bool more = first_proposal(list, &r);
        while (more) {
            if (!read_proposal(&r, &p, &more))
                return false;
            if (p.protocol == ours->protocol && p.spi_bytes == ours->spi_bytes &&
                (p.spi != 0 || p.spi_bytes == 0) && match(&p, &ours->list[n], ours, out) == 0)
                return true;
        }
    }
    return false;
}
