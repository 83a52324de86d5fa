/* SPDX-License-Identifier: Apache-2.0 */
/* IKE_AUTH (RFC 7296 sections 1.2, 2.15): who we are, who the gateway is, inner addresses, the first CHILD
 * SA. */
#include "crypto/ipsec/connection.h"
#include "lib/format.h"
#include "lib/strings.h"
#include <openssl/crypto.h>

#define CERTIFICATE_X509 4 /* "X.509 Certificate - Signature" */
#define REQUEST_MAX      1024
#define OCTETS_MAX       (SA_INIT_PEER_MAX + NONCE_MAX + PRF_BYTES_MAX)

/* What one side signs: its first message, the other's nonce, and the PRF of its own identity. */
static bool make_octets(struct ike_sa *sa, bool own, struct bytes_view id, struct builder *out)
{
    const struct initial *in = sa->initial;
    const struct prf *prf = sa->keys.prf;
    uint8_t mac[PRF_BYTES_MAX];
    struct bytes_view key = {own ? sa->keys.pi : sa->keys.pr, prf->bytes};
    if (!prf_compute(prf, key, &id, 1, mac))
        return false;
    put_bytes(out, own ? in->own : in->peer, own ? in->own_size : in->peer_size);
    put_bytes(out, own ? in->peer_nonce : sa->attempt.nonce, own ? in->peer_nonce_size : NONCE_BYTES);
    put_bytes(out, mac, prf->bytes);
    return !out->failed;
}

static void put_id(struct builder *b, const struct identity *id)
{
    put_be(b, id->kind, 1);
    put_be(b, 0, 3);
    put_bytes(b, id->bytes, id->size);
}

static bool put_auth(struct ike_sa *sa, struct bytes_view id, struct builder *b)
{
    struct ike *ike = sa->ike;
    struct report problem = {""};
    uint8_t method = 0, signature[SIGNATURE_MAX], *octets = OPENSSL_malloc(OCTETS_MAX);
    size_t size = 0;
    struct builder o = builder_of(octets, octets ? OCTETS_MAX : 0);
    bool good = make_octets(sa, true, id, &o);
    struct auth_octets what = {octets, o.size, sa->keys.prf->digest};
    good = good && credential_sign(ike->config->credential, &what, sa->peer_hashes, &method, signature, &size,
                                   &problem);
    OPENSSL_clear_free(octets, OCTETS_MAX);
    if (!good) {
        request_end(sa);
        sa_fail(sa, problem.text[0] ? problem.text : "AUTH could not be made", true);
        return false;
    }
    payload_begin(b, PAYLOAD_AUTH);
    put_be(b, method, 1);
    put_be(b, 0, 3);
    put_bytes(b, signature, size);
    payload_end(b);
    return true;
}

static void put_certificates(struct ike *ike, struct builder *b)
{
    struct bytes_view chain[CERTIFICATES_MAX];
    unsigned count = credential_chain(ike->config->credential, chain);
    for (unsigned i = 0; i < count; i++) {
        payload_begin(b, PAYLOAD_CERT);
        put_be(b, CERTIFICATE_X509, 1);
        put_bytes(b, chain[i].data, chain[i].size);
        payload_end(b);
    }
    uint8_t request[REQUEST_MAX];
    size_t size = trust_request(ike->config->trust, request, sizeof(request));
    if (size) {
        payload_begin(b, PAYLOAD_CERTREQ);
        put_be(b, CERTIFICATE_X509, 1);
        put_bytes(b, request, size);
        payload_end(b);
    }
}

bool auth_build(struct ike_sa *sa, struct builder *b)
{
    struct ike *ike = sa->ike;
    const struct ike_configuration *config = ike->config;
    payload_begin(b, PAYLOAD_IDI);
    size_t id_at = b->size;
    put_id(b, &config->local_id);
    payload_end(b);
    struct bytes_view id = {b->data + id_at, b->size - id_at};
    put_certificates(ike, b);
    payload_begin(b, PAYLOAD_IDR);
    put_id(b, &config->remote_id);
    payload_end(b);
    if (b->failed || !put_auth(sa, id, b))
        return false;
    put_configuration_request(ike, b);
    sa->attempt.child = 0;
    sa->attempt.spi = child_make_spi(ike);
    struct proposal_offer offer = child_offer(ike, false);
    offer.spi = sa->attempt.spi;
    put_offer(b, &offer);
    put_selectors(b, PAYLOAD_TSI, &config->local_selectors);
    put_selectors(b, PAYLOAD_TSR, &config->remote_selectors);
    if (!sa->reauth)
        put_notify(b, NOTIFY_INITIAL_CONTACT, NULL, 0);
    put_notify(b, NOTIFY_MOBIKE_SUPPORTED, NULL, 0);
    put_notify(b, NOTIFY_TFC_NOT_SUPPORTED, NULL, 0);
    return sa->attempt.spi != 0 && !b->failed;
}

static bool read_claim(const struct payload_list *list, struct identity *id, struct peer_claim *claim)
{
    const struct payload *idr = payload_find(list, PAYLOAD_IDR), *auth = payload_find(list, PAYLOAD_AUTH);
    if (!idr || !auth || idr->size < 4 || idr->size - 4 > IDENTITY_MAX || auth->size < 4)
        return false;
    *id = (struct identity){.kind = idr->data[0], .size = (uint16_t)(idr->size - 4)};
    memcpy(id->bytes, idr->data + 4, id->size);
    claim->id = id;
    claim->method = auth->data[0];
    claim->auth = (struct bytes_view){auth->data + 4, auth->size - 4};
    for (unsigned i = 0; i < list->count; i++) {
        const struct payload *p = &list->item[i];
        if (p->type == PAYLOAD_CERT && p->size > 1 && p->data[0] == CERTIFICATE_X509 &&
            claim->certificate_count < CERTIFICATES_MAX)
            claim->certificates[claim->certificate_count++] = (struct bytes_view){p->data + 1, p->size - 1};
    }
    return true;
}

static bool verify(struct ike_sa *sa, const struct payload_list *list, struct report *problem)
{
    struct ike *ike = sa->ike;
    struct identity id;
    struct peer_claim claim = {.expected = &ike->config->remote_id, .now = ike->call.seconds(ike->owner)};
    if (payload_find(list, PAYLOAD_EAP))
        return report(problem, "the gateway wants EAP, which is not supported; let it take a certificate or "
                               "a pre-shared key");
    if (!read_claim(list, &id, &claim))
        return report(problem, "the gateway's IKE_AUTH answer has no proper identity or AUTH payload");
    uint8_t *octets = OPENSSL_malloc(OCTETS_MAX);
    struct builder o = builder_of(octets, octets ? OCTETS_MAX : 0);
    const struct payload *idr = payload_find(list, PAYLOAD_IDR);
    bool good = make_octets(sa, false, (struct bytes_view){idr->data, idr->size}, &o);
    struct auth_octets what = {octets, o.size, sa->keys.prf->digest};
    good = good && trust_verify(ike->config->trust, &what, &claim, problem);
    OPENSSL_clear_free(octets, OCTETS_MAX);
    return good || report(problem, "the gateway could not be authenticated");
}

/* Tells the gateway that we go, once, without waiting for an answer: because it is not who it should be
 * (section 2.21.2), or because an IKE SA without a CHILD SA is of no use. */
static void leave(struct ike_sa *sa, bool authentic, const char *why)
{
    struct ike *ike = sa->ike;
    struct builder b = builder_of(ike->plain, sizeof(ike->plain));
    if (authentic)
        put_delete_ike(&b);
    else
        put_notify(&b, NOTIFY_AUTHENTICATION_FAILED, NULL, 0);
    if (sa_seal(sa, INFORMATIONAL, 0, sa->next_id, &b, &sa->request.box))
        send_box(sa, &sa->request.box, &sa->local, &sa->remote);
    sa_fail(sa, why, true);
}

static bool read_child(struct ike_sa *sa, const struct payload_list *list, struct child_agreed *agreed,
                       struct ike_choice *choice, struct report *problem)
{
    struct ike *ike = sa->ike;
    struct notify n;
    struct proposal_offer offer = child_offer(ike, false);
    uint16_t error = notify_error(list, &n);
    if (error == NOTIFY_NO_PROPOSAL_CHOSEN)
        return report(problem, "the gateway accepts none of the policy's ESP proposals (NO_PROPOSAL_CHOSEN); "
                               "make the two agree");
    if (error)
        return report(problem, "the gateway opens no CHILD SA: %s", error_words(error).text);
    if (!proposal_check_answer(list, &offer, choice, problem))
        return false;
    if (!selectors_read(list, PAYLOAD_TSI, &agreed->local) ||
        !selectors_read(list, PAYLOAD_TSR, &agreed->remote))
        return report(problem, "the gateway's traffic selectors are missing or malformed");
    if (!selectors_within(&agreed->local, &ike->config->local_selectors) ||
        !selectors_within(&agreed->remote, &ike->config->remote_selectors))
        return report(problem, "the gateway chose traffic selectors beyond those that the policy asks for");
    return true;
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
    sa_set_lifetimes(sa);
    sa->reauth_at = soft_limit(ike, ike->config->reauth_lifetime);
    sa->reauth_by = hard_limit(ike, ike->config->reauth_lifetime);
    take_auth_lifetime(sa, list);
    OPENSSL_clear_free(sa->initial, sizeof(*sa->initial));
    sa->initial = NULL;
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

void auth_answer(struct ike_sa *sa, const struct payload_list *list)
{
    struct ike *ike = sa->ike;
    struct report problem = {""};
    struct notify n;
    request_end(sa);
    if (!payload_find(list, PAYLOAD_AUTH) && notify_error(list, &n)) {
        char why[REPORT_MAX];
        format(why, sizeof(why), "the gateway refused us: %s", error_words(n.type).text);
        sa_fail(sa, why, true);
        return;
    }
    if (!verify(sa, list, &problem)) {
        leave(sa, false, problem.text);
        return;
    }
    struct ike_choice choice;
    struct child_agreed agreed = {.choice = &choice, .spi_in = (uint32_t)sa->attempt.spi, .ours = true};
    struct ike_inner inner;
    struct key_inputs in = {.nonce_i = {sa->attempt.nonce, NONCE_BYTES},
                            .nonce_r = {sa->initial->peer_nonce, sa->initial->peer_nonce_size}};
    agreed.inputs = &in;
    bool good = read_child(sa, list, &agreed, &choice, &problem);
    good = good && configuration_read(list, &inner, &problem);
    if (good && (ike->config->want_inner4 || ike->config->want_inner6) && inner.address_count == 0)
        good = report(&problem, "the gateway gave no inner address; give it an address pool");
    struct child *child = good ? child_add(sa, &agreed) : NULL;
    if (!child) {
        report(&problem, "the CHILD SA could not be set up: no memory or no cipher");
        leave(sa, true, problem.text);
        return;
    }
    establish(sa, child, &inner, list);
}
