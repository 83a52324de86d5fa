/* SPDX-License-Identifier: Apache-2.0 */
/* The scripted gateway: IKE_SA_INIT, IKE_AUTH, and the encrypted envelope. */
#include "tests/unit/support/ike_peer.h"
#include "lib/strings.h"
#include <openssl/evp.h>
#include <stdlib.h>

#define PSK_METHOD     2
#define PSK_PAD        "Key Pad for IKEv2"
#define CFG_REPLY      2
#define UNKNOWN_TYPE   200
#define CRITICAL       0x80
#define NAT_HASH_BYTES 20

static const uint8_t cookie[] = {1, 2, 3, 4, 5, 6, 7, 8};

static void require(bool condition)
{
    if (!condition)
        abort();
}

bool peer_random(void *owner, void *out, size_t size)
{
    struct ike_peer *peer = owner;
    for (size_t i = 0; i < size; i++) {
        peer->seed = peer->seed * 6364136223846793005u + 1442695040888963407u;
        ((uint8_t *)out)[i] = (uint8_t)(peer->seed >> 56);
    }
    return true;
}

bool peer_lower(const struct nonce *a, const struct nonce *b)
{
    int order = memcmp(a->bytes, b->bytes, MIN(a->size, b->size));
    return order < 0 || (order == 0 && a->size < b->size);
}

void peer_make_nonce(struct ike_peer *peer, struct nonce *out)
{
    out->size = NONCE_BYTES;
    peer_random(peer, out->bytes, NONCE_BYTES);
}

void peer_init(struct ike_peer *peer, void (*send)(void *owner, const uint8_t *data, size_t size),
               void *owner)
{
    memset(peer, 0, sizeof(*peer));
    peer->send = send;
    peer->owner = owner;
    peer->seed = 0x70656572;
}

void peer_free(struct ike_peer *peer)
{
    for (unsigned i = 0; i < PEER_SAS; i++)
        ke_free(&peer->sas[i].ke);
}

struct peer_sa *peer_new_sa(struct ike_peer *peer)
{
    for (unsigned round = 0; round < 2; round++)
        for (unsigned i = 0; i < PEER_SAS; i++)
            if (!peer->sas[i].used || (round == 1 && peer->sas[i].gone)) {
                ke_free(&peer->sas[i].ke);
                memset(&peer->sas[i], 0, sizeof(peer->sas[i]));
                peer->sas[i].used = true;
                return &peer->sas[i];
            }
    abort();
}

void peer_send_sealed(struct ike_peer *peer, struct peer_sa *sa, uint8_t exchange, bool response, uint32_t id,
                      struct builder *b)
{
    struct seal seal = {
        .keys = &sa->keys,
        .counter = &sa->counter,
        .header = {.spi_i = sa->spi_i, .spi_r = sa->spi_r, .exchange = exchange, .message_id = id},
        .fragment_size = peer->script.fragments ? peer->script.fragment_size : 0};
    seal.header.flags = (sa->initiator ? IKE_FLAG_INITIATOR : 0) | (response ? IKE_FLAG_RESPONSE : 0);
    struct outbox *box = response ? &sa->response : &sa->request;
    require(protect_seal(&seal, b, box));
    const uint8_t *at = box->data;
    for (unsigned i = 0; i < box->count; at += box->size[i++])
        peer->send(peer->owner, at, box->size[i]);
}

static void nat_hash(const struct peer_sa *sa, const struct ip_endpoint *end, uint8_t out[NAT_HASH_BYTES])
{
    uint8_t text[64];
    struct builder b = {.w = writer_of(text, sizeof(text))};
    writer_be(&b.w, sa->spi_i, 8);
    writer_be(&b.w, sa->spi_r, 8);
    writer_bytes(&b.w, end->ip.bytes, ip_bytes(end->ip.version));
    writer_be(&b.w, end->port, 2);
    size_t size;
    require(EVP_Q_digest(NULL, "SHA1", NULL, text, b.w.at, out, &size));
}

void peer_put_nat(struct ike_peer *peer, struct peer_sa *sa, struct builder *b)
{
    uint8_t source[NAT_HASH_BYTES], destination[NAT_HASH_BYTES];
    struct ip_endpoint client = peer->client;
    client.port += peer->script.mapping;
    nat_hash(sa, &peer->own, source);
    nat_hash(sa, &client, destination);
    source[0] ^= peer->script.behind_nat;
    destination[0] ^= peer->script.sees_nat;
    put_notify(b, NOTIFY_NAT_SOURCE, source, sizeof(source));
    put_notify(b, NOTIFY_NAT_DESTINATION, destination, sizeof(destination));
}

static void send_clear(struct ike_peer *peer, struct peer_sa *sa, const struct ike_header *to,
                       const struct builder *b)
{
    uint8_t message[KIB(4)];
    require(!b->w.failed && b->w.at + IKE_HEADER_BYTES <= sizeof(message));
    struct ike_header header = {.spi_i = to->spi_i,
                                .spi_r = sa ? sa->spi_r : 0,
                                .next = b->first,
                                .exchange = IKE_SA_INIT,
                                .flags = IKE_FLAG_RESPONSE,
                                .length = (uint32_t)(IKE_HEADER_BYTES + b->w.at)};
    header_write(&header, message);
    memcpy(message + IKE_HEADER_BYTES, b->w.data, b->w.at);
    if (sa) {
        sa->second_size = header.length;
        memcpy(sa->second, message, header.length);
    }
    peer->send(peer->owner, message, header.length);
}

/* The refusals that the script asks for. */
static bool init_refused(struct ike_peer *peer, const struct ike_header *header,
                         const struct payload_list *list, struct builder *b)
{
    struct notify n;
    struct bytes_view value;
    uint16_t group = 0;
    if (peer->script.demand_cookie &&
        !(notify_find(list, NOTIFY_COOKIE, &n) && n.data.size == sizeof(cookie) &&
          memcmp(n.data.data, cookie, sizeof(cookie)) == 0)) {
        put_notify(b, NOTIFY_COOKIE, cookie, sizeof(cookie));
    } else if (peer->script.refuse_init) {
        put_notify(b, peer->script.refuse_init, NULL, 0);
    } else if (peer->script.insist && ke_read(list, &group, &value) && group != peer->script.insist->id) {
        uint8_t id[] = {(uint8_t)(peer->script.insist->id >> 8), (uint8_t)peer->script.insist->id};
        put_notify(b, NOTIFY_INVALID_KE, id, sizeof(id));
    } else {
        return false;
    }
    send_clear(peer, NULL, header, b);
    return true;
}

static void take_init(struct ike_peer *peer, const struct ike_header *header, const uint8_t *data,
                      size_t size)
{
    struct payload_list list;
    struct builder b = {.w = writer_of(peer->plain, sizeof(peer->plain))};
    require(payloads_read(header->next, data + IKE_HEADER_BYTES, size - IKE_HEADER_BYTES, &list));
    for (unsigned i = 0; i < PEER_SAS; i++) {
        struct peer_sa *old = &peer->sas[i];
        if (old->used && old->first_size == size && memcmp(old->first, data, size) == 0) {
            peer->send(peer->owner, old->second, old->second_size);
            return;
        }
    }
    if (init_refused(peer, header, &list, &b))
        return;
    struct proposal_offer offer = {.all = &peer->script.ike, .protocol = PROTOCOL_IKE, .with_groups = true};
    struct ike_choice choice;
    struct bytes_view value;
    struct nonce nonce;
    uint16_t group;
    if (!proposal_choose(&list, &offer, &choice)) {
        put_notify(&b, NOTIFY_NO_PROPOSAL_CHOSEN, NULL, 0);
        send_clear(peer, NULL, header, &b);
        return;
    }
    require(ke_read(&list, &group, &value) && nonce_read(&list, &nonce));
    if (group != choice.group->id) {
        uint8_t id[] = {(uint8_t)(choice.group->id >> 8), (uint8_t)choice.group->id};
        put_notify(&b, NOTIFY_INVALID_KE, id, sizeof(id));
        send_clear(peer, NULL, header, &b);
        return;
    }
    struct peer_sa *sa = peer_new_sa(peer);
    uint8_t shared[KE_SHARED_MAX];
    sa->spi_i = header->spi_i;
    peer_random(peer, &sa->spi_r, sizeof(sa->spi_r));
    peer_make_nonce(peer, &sa->nonce);
    require(size <= sizeof(sa->first) && ke_start(&sa->ke, choice.group) &&
            ke_finish(&sa->ke, value.data, value.size, shared));
    memcpy(sa->first, data, size);
    sa->first_size = size;
    sa->peer_nonce = nonce;
    struct key_inputs in = {.nonce_i = nonce,
                            .nonce_r = sa->nonce,
                            .shared = {shared, choice.group->shared_bytes},
                            .spi_i = sa->spi_i,
                            .spi_r = sa->spi_r};
    require(keys_ike(&sa->keys, &choice, &in, NULL));
    put_choice(&b, &offer, &choice);
    put_ke(&b, choice.group->id, sa->ke.public_value, choice.group->public_bytes);
    put_payload(&b, PAYLOAD_NONCE, sa->nonce.bytes, sa->nonce.size);
    peer_put_nat(peer, sa, &b);
    if (peer->script.fragments)
        put_notify(&b, NOTIFY_FRAGMENTATION, NULL, 0);
    if (peer->script.hashes.size)
        put_notify(&b, NOTIFY_SIGNATURE_HASHES, peer->script.hashes.data, peer->script.hashes.size);
    sa->expected_id = 1;
    send_clear(peer, sa, header, &b);
}

/* AUTH by the shared secret over the gateway's octets, or the client's. */
static void psk_auth(struct ike_peer *peer, struct peer_sa *sa, bool own, struct bytes_view id, uint8_t *out)
{
    const struct algorithm *prf = sa->keys.choice.prf;
    uint8_t mac[PRF_BYTES_MAX], key[PRF_BYTES_MAX];
    struct bytes_view secret = {(const uint8_t *)PEER_SECRET, sizeof(PEER_SECRET) - 1},
                      pad = {(const uint8_t *)PSK_PAD, sizeof(PSK_PAD) - 1};
    if (peer->script.wrong_secret)
        secret.size--;
    uint8_t text[KIB(5)];
    struct writer w = writer_of(text, sizeof(text));
    require(prf_compute(prf, secret, pad, key));
    require(prf_compute(prf, (struct bytes_view){own ? sa->keys.pr : sa->keys.pi, prf->key_bytes}, id, mac));
    writer_bytes(&w, own ? sa->second : sa->first, own ? sa->second_size : sa->first_size);
    writer_bytes(&w, own ? sa->peer_nonce.bytes : sa->nonce.bytes,
                 own ? sa->peer_nonce.size : sa->nonce.size);
    writer_bytes(&w, mac, prf->key_bytes);
    require(!w.failed &&
            prf_compute(prf, (struct bytes_view){key, prf->key_bytes}, (struct bytes_view){text, w.at}, out));
}

void peer_put_records(struct builder *b, const uint8_t *data, size_t size)
{
    struct reader r = reader_of(data, size);
    while (reader_left(&r) > 0) {
        uint8_t type = reader_u8(&r);
        size_t length = (size_t)reader_be(&r, 2);
        length = MIN(length, reader_left(&r));
        const uint8_t *content = reader_bytes(&r, length);
        if (content && type != PAYLOAD_NONE)
            put_payload(b, type, content, length);
    }
}

static void put_reply(struct ike_peer *peer, struct builder *b)
{
    static const uint8_t address[] = {10, 9, 8, 7}, dns[] = {10, 9, 8, 1},
                         subnet[] = {10, 20, 0, 0, 255, 255, 0, 0};
    if (peer->script.no_address)
        return;
    payload_begin(b, PAYLOAD_CP);
    writer_be(&b->w, CFG_REPLY, 1);
    writer_be(&b->w, 0, 3);
    writer_be(&b->w, 1, 2);
    writer_be(&b->w, sizeof(address), 2);
    writer_bytes(&b->w, address, sizeof(address));
    writer_be(&b->w, 3, 2);
    writer_be(&b->w, sizeof(dns), 2);
    writer_bytes(&b->w, dns, sizeof(dns));
    writer_be(&b->w, 13, 2);
    writer_be(&b->w, sizeof(subnet), 2);
    writer_bytes(&b->w, subnet, sizeof(subnet));
    writer_be(&b->w, 7, 2); /* APPLICATION_VERSION: to be ignored */
    writer_be(&b->w, 0, 2);
    payload_end(b);
}

static void put_first_child(struct ike_peer *peer, struct peer_sa *sa, const struct payload_list *list,
                            struct builder *b)
{
    struct proposal_offer offer = {.all = &peer->script.esp, .protocol = PROTOCOL_ESP, .spi_bytes = 4};
    struct ike_choice choice;
    if (peer->script.refuse_child || !proposal_choose(list, &offer, &choice)) {
        put_notify(b, peer->script.refuse_child ? peer->script.refuse_child : NOTIFY_NO_PROPOSAL_CHOSEN, NULL,
                   0);
        return;
    }
    struct key_inputs in = {.nonce_i = sa->peer_nonce, .nonce_r = sa->nonce};
    struct peer_child *child = peer_make_child(peer, sa, &choice, &in, false);
    require(selectors_read(list, PAYLOAD_TSI, &child->remote) &&
            selectors_read(list, PAYLOAD_TSR, &child->local));
    if (!peer->script.widen && child->remote.item[0].first.version == 4) {
        static const uint8_t inner[] = {10, 9, 8, 7};
        child->remote.count = 1;
        memcpy(child->remote.item[0].first.bytes, inner, 4);
        memcpy(child->remote.item[0].last.bytes, inner, 4);
    } else if (peer->script.widen) {
        memset(child->local.item[0].last.bytes, 0xff, 4);
        memset(child->local.item[0].first.bytes, 0, 4);
    }
    offer.spi = child->spi_in;
    put_choice(b, &offer, &choice);
    put_selectors(b, PAYLOAD_TSI, &child->remote);
    put_selectors(b, PAYLOAD_TSR, &child->local);
}

/* The client has begun anew: whatever was before is gone (section 2.4). */
static void peer_forget(struct ike_peer *peer, const struct peer_sa *but)
{
    for (unsigned i = 0; i < PEER_SAS; i++)
        if (&peer->sas[i] != but && peer->sas[i].used) {
            peer->sas[i].gone = true;
            peer->sas[i].live = false;
            peer->sas[i].act = ACT_NONE;
        }
    for (unsigned i = 0; i < PEER_CHILDREN; i++)
        peer->children[i].state = PEER_FREE;
}

static void take_auth(struct ike_peer *peer, struct peer_sa *sa, const struct payload_list *list,
                      struct builder *b)
{
    static const uint8_t id[] = {2, 0, 0, 0, 'g', 'w', '.', 'e', 'x', 'a', 'm', 'p', 'l', 'e'};
    const struct payload *idi = payload_find(list, PAYLOAD_IDI), *auth = payload_find(list, PAYLOAD_AUTH);
    uint8_t expected[PRF_BYTES_MAX], own[PRF_BYTES_MAX];
    struct notify n;
    require(idi && auth);
    psk_auth(peer, sa, false, (struct bytes_view){idi->data, idi->size}, expected);
    bool good = auth->size == 4u + sa->keys.choice.prf->key_bytes && auth->data[0] == PSK_METHOD &&
                memcmp(auth->data + 4, expected, sa->keys.choice.prf->key_bytes) == 0;
    if (peer->script.refuse_auth || (!good && !peer->script.wrong_secret)) {
        put_notify(b, peer->script.refuse_auth ? peer->script.refuse_auth : NOTIFY_AUTHENTICATION_FAILED,
                   NULL, 0);
        sa->gone = true;
        return;
    }
    if (notify_find(list, NOTIFY_INITIAL_CONTACT, &n)) {
        peer->initial_contacts++;
        peer_forget(peer, sa);
    }
    if (peer->script.unknown_plain || peer->script.unknown_critical) {
        payload_begin(b, UNKNOWN_TYPE);
        writer_bytes(&b->w, "?", 1);
        payload_end(b);
        if (peer->script.unknown_critical)
            b->w.data[b->last + 1] = CRITICAL;
    }
    put_payload(b, PAYLOAD_IDR, id, sizeof(id));
    psk_auth(peer, sa, true, (struct bytes_view){id, sizeof(id)}, own);
    payload_begin(b, PAYLOAD_AUTH);
    writer_be(&b->w, PSK_METHOD, 1);
    writer_be(&b->w, 0, 3);
    writer_bytes(&b->w, own, sa->keys.choice.prf->key_bytes);
    payload_end(b);
    sa->live = true;
    ke_free(&sa->ke);
    peer->current = sa;
    if (peer->script.after_auth) {
        peer_put_records(b, peer->script.after_auth, peer->script.after_auth_size);
        return;
    }
    put_reply(peer, b);
    put_first_child(peer, sa, list, b);
    if (peer->script.mobike)
        put_notify(b, NOTIFY_MOBIKE_SUPPORTED, NULL, 0);
    if (peer->script.auth_lifetime) {
        uint32_t s = peer->script.auth_lifetime;
        uint8_t value[] = {(uint8_t)(s >> 24), (uint8_t)(s >> 16), (uint8_t)(s >> 8), (uint8_t)s};
        put_notify(b, NOTIFY_AUTH_LIFETIME, value, sizeof(value));
    }
    if (peer->script.broken_answer && !b->w.failed)
        b->w.data[b->last + 3]++; /* the last payload is a byte longer than there is */
}

static struct peer_sa *find_sa(struct ike_peer *peer, const struct ike_header *header)
{
    for (unsigned i = 0; i < PEER_SAS; i++)
        if (peer->sas[i].used && peer->sas[i].spi_i == header->spi_i && peer->sas[i].spi_r == header->spi_r)
            return &peer->sas[i];
    return NULL;
}

static void answer(struct ike_peer *peer, struct peer_sa *sa, const struct ike_header *header,
                   const struct payload_list *list)
{
    struct builder b = {.w = writer_of(peer->plain, sizeof(peer->plain))};
    sa->expected_id++;
    peer->requests++;
    if (header->exchange == IKE_AUTH)
        take_auth(peer, sa, list, &b);
    else
        peer_take_request(peer, sa, header, list, &b);
    peer_send_sealed(peer, sa, header->exchange, true, header->message_id, &b);
}

static void take_sealed(struct ike_peer *peer, struct peer_sa *sa, const struct ike_header *header,
                        size_t size)
{
    struct piece opened;
    bool response = header->flags & IKE_FLAG_RESPONSE;
    if (!protect_open(&sa->keys, peer->incoming, size, &opened))
        return;
    if (!response && header->message_id + 1 == sa->expected_id && opened.fragment <= 1) {
        const uint8_t *at = sa->response.data;
        for (unsigned i = 0; i < sa->response.count; at += sa->response.size[i++])
            peer->send(peer->owner, at, sa->response.size[i]);
        return;
    }
    bool wanted = response ? sa->act != ACT_NONE && header->message_id + 1 == sa->next_id
                           : header->message_id == sa->expected_id && !sa->gone;
    if (!wanted || (opened.fragment && !reassembly_add(response ? &sa->responses : &sa->requests,
                                                       header->message_id, &opened, peer->whole)))
        return;
    struct payload_list list;
    require(payloads_read(opened.first, opened.data, opened.size, &list));
    if (response)
        peer_take_answer(peer, sa, &list);
    else
        answer(peer, sa, header, &list);
}

void peer_receive(struct ike_peer *peer, const struct ip_endpoint *from, const struct ip_endpoint *to,
                  const uint8_t *data, size_t size)
{
    struct ike_header header;
    if (size == 1 || peer->script.silent) /* a NAT keepalive */
        return;
    require(size <= sizeof(peer->incoming) && header_read(data, size, &header));
    memcpy(peer->incoming, data, size);
    peer->own = *to;
    peer->client = *from;
    if (header.exchange == IKE_SA_INIT) {
        take_init(peer, &header, data, size);
        return;
    }
    struct peer_sa *sa = find_sa(peer, &header);
    if (sa)
        take_sealed(peer, sa, &header, size);
}
