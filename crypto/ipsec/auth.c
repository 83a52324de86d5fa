/* SPDX-License-Identifier: Apache-2.0 */
/* IKE_AUTH (RFC 7296 sections 1.2, 2.15): who we are, who the gateway is, inner addresses, the first CHILD
 * SA. */
#include "crypto/ipsec/connection.h"

#define CERTIFICATE_X509 4 /* "X.509 Certificate - Signature" */
#define REQUEST_MAX      1024
#define OCTETS_MAX       (SA_INIT_PEER_MAX + NONCE_MAX + PRF_BYTES_MAX)

/* What one side signs: its first message, the other's nonce, and the PRF of its own identity. False without
 * memory; the octets are to be freed. */
static bool make_octets(struct ike_sa *sa, bool own, struct bytes_view id, struct auth_octets *out)
{
    const struct initial *in = &sa->initial;
    const struct outbox *box = &sa->request.box; /* our IKE_SA_INIT, until IKE_AUTH is sealed */
    const struct nonce *nonce = own ? &in->peer_nonce : &sa->attempt.own.nonce;
    const struct algorithm *prf = sa->keys.choice.prf;
    uint8_t mac[PRF_BYTES_MAX], *octets = OPENSSL_malloc(OCTETS_MAX);
    struct writer w = writer_of(octets, octets ? OCTETS_MAX : 0);
    bool good =
        prf_compute(prf, (struct bytes_view){own ? sa->keys.pi : sa->keys.pr, prf->key_bytes}, id, mac);
    writer_bytes(&w, own ? box->data : in->peer, own ? box->size[0] : in->peer_size);
    writer_bytes(&w, nonce->bytes, nonce->size);
    writer_bytes(&w, mac, prf->key_bytes);
    *out = (struct auth_octets){{octets, w.at}, prf->digest};
    return good && !w.failed;
}

static bool put_auth(struct ike_sa *sa, struct bytes_view id, struct builder *b)
{
    struct report problem = {""};
    struct auth_octets what;
    struct auth_data auth = {0};
    bool good = make_octets(sa, true, id, &what) &&
                credential_sign(sa->ike->config->credential, &what, sa->peer_hashes, &auth, &problem);
    OPENSSL_clear_free((void *)(uintptr_t)what.octets.data, OCTETS_MAX);
    put_headed(b, PAYLOAD_AUTH, (uint64_t)auth.method << 24, 4, (struct bytes_view){auth.bytes, auth.size});
    if (good)
        return true;
    report(&problem, "AUTH could not be made");
    sa_fail(sa, FAIL_REFUSED, "%s", problem.text);
    return false;
}

static void put_certificates(struct ike *ike, struct builder *b)
{
    struct bytes_view chain[CERTIFICATES_MAX];
    unsigned count = credential_chain(ike->config->credential, chain);
    for (unsigned i = 0; i < count; i++)
        put_headed(b, PAYLOAD_CERT, CERTIFICATE_X509, 1, chain[i]);
    uint8_t request[REQUEST_MAX];
    size_t size = credential_request(ike->config->credential, request, sizeof(request));
    if (size)
        put_headed(b, PAYLOAD_CERTREQ, CERTIFICATE_X509, 1, (struct bytes_view){request, size});
}

static void put_id(struct builder *b, uint8_t type, const struct identity *id)
{
    put_headed(b, type, (uint64_t)id->kind << 24, 4, (struct bytes_view){id->bytes, id->size});
}

static bool auth_build(struct ike_sa *sa, struct builder *b)
{
    struct ike *ike = sa->ike;
    const struct ike_configuration *config = ike->config;
    put_id(b, PAYLOAD_IDI, &config->local_id);
    struct bytes_view id = {b->w.data + PAYLOAD_HEADER_BYTES, b->w.at - PAYLOAD_HEADER_BYTES};
    put_certificates(ike, b);
    put_id(b, PAYLOAD_IDR, &config->remote_id);
    if (b->w.failed || !put_auth(sa, id, b))
        return false;
    put_configuration_request(ike, b);
    struct proposal_offer *offer = &sa->attempt.own.offer;
    *offer = offer_of(ike, PROTOCOL_ESP, child_make_spi(ike));
    offer->with_groups = false;
    put_offer(b, offer);
    put_selectors(b, PAYLOAD_TSI, &config->local_selectors);
    put_selectors(b, PAYLOAD_TSR, &config->remote_selectors);
    if (!sa->reauth)
        put_notify(b, NOTIFY_INITIAL_CONTACT, NULL, 0);
    put_notify(b, NOTIFY_MOBIKE_SUPPORTED, NULL, 0);
    put_notify(b, NOTIFY_TFC_NOT_SUPPORTED, NULL, 0);
    return offer->spi != 0;
}

static bool verify(struct ike_sa *sa, const struct payload_list *list, struct report *problem)
{
    struct ike *ike = sa->ike;
    const struct payload *idr = payload_find(list, PAYLOAD_IDR), *auth = payload_find(list, PAYLOAD_AUTH);
    struct identity id;
    struct auth_octets what;
    if (payload_find(list, PAYLOAD_EAP))
        return report(problem, "the gateway wants EAP, which is not supported; let it take a certificate or "
                               "a pre-shared key");
    if (!idr || !auth || idr->size < 4 || auth->size < 4 ||
        !identity_set(&id, idr->data[0], idr->data + 4, idr->size - 4))
        return report(problem, "the gateway's IKE_AUTH answer has no proper identity or AUTH payload");
    struct peer_claim claim = {.id = &id,
                               .expected = &ike->config->remote_id,
                               .method = auth->data[0],
                               .auth = {auth->data + 4, auth->size - 4},
                               .now = ike->call.seconds(ike->owner)};
    for (unsigned i = 0; i < list->count; i++) {
        const struct payload *p = &list->item[i];
        if (p->type == PAYLOAD_CERT && p->size > 1 && p->data[0] == CERTIFICATE_X509 &&
            claim.certificate_count < CERTIFICATES_MAX)
            claim.certificates[claim.certificate_count++] = (struct bytes_view){p->data + 1, p->size - 1};
    }
    bool good = make_octets(sa, false, (struct bytes_view){idr->data, idr->size}, &what) &&
                credential_verify(ike->config->credential, &what, &claim, problem);
    OPENSSL_clear_free((void *)(uintptr_t)what.octets.data, OCTETS_MAX);
    return good || report(problem, "the gateway could not be authenticated");
}

/* Tells the gateway that we go, once, without waiting for an answer: because it is not who it should be
 * (section 2.21.2), or because an IKE SA without a CHILD SA is of no use. */
static void leave(struct ike_sa *sa, bool authentic, const char *why)
{
    struct builder b = {.w = writer_of(sa->ike->plain, sizeof(sa->ike->plain))};
    if (authentic)
        put_delete(&b, 0);
    else
        put_notify(&b, NOTIFY_AUTHENTICATION_FAILED, NULL, 0);
    if (sa_seal(sa, INFORMATIONAL, 0, sa->next_id, &b, &sa->request.box))
        send_box(sa, &sa->request.box, &sa->local, &sa->remote);
    sa_fail(sa, FAIL_REFUSED, "%s", why);
}

static struct child *make_child(struct ike_sa *sa, const struct payload_list *list, struct ike_inner *inner,
                                struct report *problem)
{
    const struct ike_configuration *config = sa->ike->config;
    struct agreed *agreed = &sa->ike->agreed;
    const struct own_half *own = &sa->attempt.own;
    struct child_parameters p = {.spi_in = (uint32_t)own->offer.spi};
    struct child *made = NULL;
    struct notify n;
    agreed->in = (struct key_inputs){.nonce_i = own->nonce, .nonce_r = sa->initial.peer_nonce};
    if (notify_error(list, &n))
        report(problem, "the gateway opens no CHILD SA: %s", error_words(n.type).text);
    else if (!proposal_check_answer(list, &own->offer, &agreed->choice, problem) ||
             !child_read_selectors(sa->ike, list, NULL, &p, problem) ||
             !configuration_read(list, inner, problem))
        return NULL;
    else if ((config->want_inner4 || config->want_inner6) && inner->address.count == 0)
        report(problem, "the gateway gave no inner address; give it an address pool");
    else
        made = child_add(sa, &p, 0, true);
    if (!made)
        report(problem, "the CHILD SA could not be set up: no memory or no cipher");
    return made;
}

/* All is well: the new IKE SA is the connection. */
static void establish(struct ike_sa *sa, struct child *child, const struct ike_inner *inner,
                      const struct payload_list *list)
{
    struct ike *ike = sa->ike;
    struct ike_sa *before = ike->current;
    struct notify n;
    sa->mobike = notify_find(list, NOTIFY_MOBIKE_SUPPORTED, &n);
    sa->state = SA_LIVE;
    limit_life(ike, ike->config->ike_lifetime, &sa->rekey_at, &sa->expire_at);
    limit_life(ike, ike->config->reauth_lifetime, &sa->reauth_at, &sa->reauth_by);
    take_auth_lifetime(sa, list);
    sa->probe = nat_watches(sa);
    ike->current = sa;
    ike->inner = *inner;
    child_use(ike, child);
    if (before) {
        before->state = SA_REPLACED;
        before->rekey_at = before->reauth_at = NEVER;
        before->close = true;
    }
    char where[IP_TEXT_MAX];
    ip_format(&sa->remote.ip, where);
    ike_log(ike, "the tunnel to %s port %u is up%s", where, sa->remote.port,
            before ? " after re-authentication" : "");
    ike_came_up(ike);
}

static void auth_answer(struct ike_sa *sa, const struct payload_list *list)
{
    struct report problem = {""};
    struct notify n;
    if (!payload_find(list, PAYLOAD_AUTH) && notify_error(list, &n)) {
        sa_fail(sa, FAIL_REFUSED, "the gateway refused us: %s", error_words(n.type).text);
        return;
    }
    struct ike_inner inner;
    bool authentic = verify(sa, list, &problem);
    struct child *child = authentic ? make_child(sa, list, &inner, &problem) : NULL;
    if (child)
        establish(sa, child, &inner, list);
    else
        leave(sa, authentic, problem.text);
}

const struct exchange exchange_auth = {"IKE_AUTH", IKE_AUTH, auth_build, auth_answer};
