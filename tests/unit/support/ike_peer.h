/* SPDX-License-Identifier: Apache-2.0 */
/* A scripted IKEv2 gateway for tests: the codec and the key derivation are those under test (they have
 * vectors of their own), the state machine is this one's. It answers as a responder and begins exchanges
 * when told to. */
#ifndef SHOJI_TESTS_IKE_PEER_H
#define SHOJI_TESTS_IKE_PEER_H

#include "crypto/ipsec/protect.h"

#define PEER_SAS      8
#define PEER_CHILDREN 24
#define PEER_SECRET   "a secret between two"

/* How the gateway behaves. */
struct peer_script {
    struct ike_proposals ike, esp;
    bool demand_cookie;
    const struct algorithm *insist; /* INVALID_KE_PAYLOAD for any other */
    uint16_t refuse_init, refuse_auth, refuse_child,
        refuse_rekey; /* notifications sent in place of an answer */
    bool wrong_secret, unknown_critical, unknown_plain, broken_answer, silent;
    bool behind_nat, sees_nat; /* what its NAT detection says */
    uint16_t mapping;          /* a NAT adds this to the client's port */
    bool fragments, mobike, widen;
    size_t fragment_size;
    uint32_t auth_lifetime;
    bool no_address, wrong_cookie2;
    struct bytes_view hashes; /* what SIGNATURE_HASH_ALGORITHMS holds; none: not sent */
    /* In place of all that follows AUTH: payloads as records of type, length in two bytes, content. */
    const uint8_t *after_auth;
    size_t after_auth_size;
};

enum peer_act { ACT_NONE, ACT_REKEY_CHILD, ACT_DELETE_CHILD, ACT_REKEY_IKE, ACT_DELETE_IKE, ACT_LIVENESS };

struct peer_sa {
    bool used, live, replaced, initiator, gone;
    uint64_t spi_i, spi_r, counter;
    struct ike_keys keys;
    uint32_t next_id, expected_id;
    struct outbox response, request;
    enum peer_act act; /* our request that waits for its answer */
    struct key_exchange ke;
    struct nonce nonce;
    uint64_t new_spi;
    uint32_t child; /* inbound SPI */
    struct peer_sa *rival;
    struct nonce low;
    bool delete_due;
    struct reassembly requests, responses;
    /* IKE_SA_INIT */
    uint8_t first[KIB(4)], second[KIB(4)];
    size_t first_size, second_size;
    struct nonce peer_nonce;
};

enum peer_child_state { PEER_FREE, PEER_LIVE, PEER_DELETE_DUE, PEER_DELETING, PEER_AWAITS_DELETE };
struct peer_child {
    enum peer_child_state state;
    struct peer_sa *sa;
    uint32_t spi_in, spi_out, replaces;
    bool ours;
    struct child_keys in, out;
    struct selector_list local, remote; /* the gateway's own side, the client's side */
    struct nonce low;
};

struct ike_peer {
    struct peer_script script;
    struct peer_sa sas[PEER_SAS];
    struct peer_sa *current;
    struct peer_child children[PEER_CHILDREN];
    struct ip_endpoint own, client; /* of the last datagram */
    uint64_t seed;
    unsigned requests, initial_contacts, updates, liveness;
    void (*send)(void *owner, const uint8_t *data, size_t size);
    void *owner;
    uint8_t incoming[IKE_MESSAGE_MAX], whole[IKE_MESSAGE_MAX], plain[IKE_MESSAGE_MAX];
};

void peer_init(struct ike_peer *peer, void (*send)(void *owner, const uint8_t *data, size_t size),
               void *owner);
void peer_free(struct ike_peer *peer);
void peer_receive(struct ike_peer *peer, const struct ip_endpoint *from, const struct ip_endpoint *to,
                  const uint8_t *data, size_t size);
/* Begins an exchange in the current SA, or does nothing when one is under way; peer_go does what is due. */
void peer_act(struct ike_peer *peer, enum peer_act act);
void peer_go(struct ike_peer *peer);
void peer_resend(struct ike_peer *peer);
struct peer_child *peer_child_of(struct ike_peer *peer, uint32_t spi_in);
struct peer_child *peer_child_live(struct ike_peer *peer);
void peer_put_records(struct builder *b, const uint8_t *data, size_t size);

/* Between the two files. */
bool peer_random(void *owner, void *out, size_t size);
struct peer_sa *peer_new_sa(struct ike_peer *peer);
void peer_send_sealed(struct ike_peer *peer, struct peer_sa *sa, uint8_t exchange, bool response, uint32_t id,
                      struct builder *b);
void peer_take_request(struct ike_peer *peer, struct peer_sa *sa, const struct ike_header *header,
                       const struct payload_list *list, struct builder *b);
void peer_take_answer(struct ike_peer *peer, struct peer_sa *sa, const struct payload_list *list);
struct peer_child *peer_make_child(struct ike_peer *peer, struct peer_sa *sa, const struct ike_choice *choice,
                                   const struct key_inputs *in, bool ours);
void peer_put_nat(struct ike_peer *peer, struct peer_sa *sa, struct builder *b);
bool peer_lower(const struct nonce *a, const struct nonce *b);
void peer_make_nonce(struct ike_peer *peer, struct nonce *out);

#endif
