/* SPDX-License-Identifier: Apache-2.0 */
/* The inside of one IKE connection: its IKE SAs, its CHILD SAs, and the functions by which the files of the
 * state machine call each other. One thread owns all of it; nothing here is freed but by ike_sweep. */
#ifndef SHOJI_CRYPTO_IPSEC_CONNECTION_H
#define SHOJI_CRYPTO_IPSEC_CONNECTION_H

#include "crypto/ipsec/ike.h"
#include "crypto/ipsec/protect.h"
#include "lib/format.h"
#include "lib/strings.h"
#include <openssl/crypto.h>

#define SAS_MAX      5
#define CHILDREN_MAX 16

#define SECOND_MS       1000ull
#define NEVER           UINT64_MAX
#define LINGER_MS       (2 * SECOND_MS)  /* a replaced CHILD SA still opens packets that are under way */
#define SA_LINGER_MS    (15 * SECOND_MS) /* a deleted IKE SA still answers retransmissions */
#define PEER_MUST_MS    (15 * SECOND_MS) /* the peer deletes what it replaced within this time, else we do */
#define POLL_MS         (1 * SECOND_MS)  /* how often ESP's counters are looked at */
#define TEMPORARY_MS    (2 * SECOND_MS)  /* after TEMPORARY_FAILURE (RFC 7296 section 2.25) */
#define SUSPECT_MS      (5 * SECOND_MS)  /* at most one check for unauthenticated hints in this time */
#define STEADY_MS       (10 * SECOND_MS) /* a tunnel that stood so long starts again without back-off */
#define REAUTH_AGAIN_MS (10 * SECOND_MS)

#define SA_INIT_PEER_MAX KIB(8)
#define COOKIE_MAX       64
#define COOKIE2_BYTES    16
#define NAT_HASH_BYTES   20 /* SHA-1: what the RFC prescribes; no security rests on it */

struct ike_sa;

/* A kind of exchange that we begin: `build` writes the request's payloads, `answer` takes the response's. */
struct exchange {
    const char *name;
    uint8_t type;
    bool (*build)(struct ike_sa *sa, struct builder *b); /* false: it cannot be, or sa_fail has said why */
    void (*answer)(struct ike_sa *sa, const struct payload_list *list);
};
extern const struct exchange exchange_init; /* its answer is in clear and goes its own way */
extern const struct exchange exchange_auth;
extern const struct exchange exchange_child; /* a new CHILD SA, or one in place of another */
extern const struct exchange exchange_rekey_ike;
extern const struct exchange exchange_delete_child;
extern const struct exchange exchange_delete_ike;
extern const struct exchange exchange_liveness;
extern const struct exchange exchange_move;

/* Our one request in flight. */
struct request {
    const struct exchange *kind; /* NULL: none is */
    unsigned sent;
    uint64_t due; /* next transmission, or giving up */
    struct outbox box;
};

/* Our half of an exchange that makes keys. Holds a private key until ke_free. */
struct own_half {
    struct proposal_offer offer; /* with our new SPI */
    struct key_exchange ke;
    struct nonce nonce;
};

/* What an exchange that makes keys has come to. Holds secrets until its message is done with. */
struct agreed {
    struct own_half own; /* where the peer began; else it is the attempt's */
    struct ike_choice choice;
    struct key_inputs in; /* a view of `shared` */
    uint8_t shared[KE_SHARED_MAX];
};

/* What we keep of our exchange until its answer comes. */
struct attempt {
    struct own_half own;
    uint32_t child;                 /* exchange_child: inbound SPI of the one to be replaced, 0: none;
                                       exchange_delete_child: the one to be deleted */
    const struct algorithm *wanted; /* by the peer's INVALID_KE_PAYLOAD */
    unsigned restarts;              /* by it and by COOKIE together */
    /* exchange_child: the lower one of the peer's rekeying of the same meanwhile; size 0: none */
    struct nonce rival;
    uint32_t deleted; /* outbound SPI that the peer deleted before we knew it: the answer may still name it */
    uint8_t cookie2[COOKIE2_BYTES];
};

/* What IKE_SA_INIT leaves to IKE_AUTH: the gateway's message, for it is signed, and its nonce. */
struct initial {
    size_t peer_size, cookie_size;
    uint8_t peer[SA_INIT_PEER_MAX], cookie[COOKIE_MAX];
    struct nonce peer_nonce;
    struct report refusal; /* an unauthenticated error: believed only when nothing better comes */
};

enum sa_state {
    SA_INIT,
    SA_AUTH,
    SA_LIVE,
    SA_REPLACED, /* another has its CHILD SAs */
    SA_GONE,     /* deleted; answers retransmissions for a while */
    SA_DEAD      /* freed by the next sweep */
};

struct ike_sa {
    struct ike *ike;
    struct ike_sa *next;
    enum sa_state state;
    bool initiator; /* of this IKE SA: decides keys and the flag */
    bool reauth;    /* takes over from another IKE SA once it is up */
    bool close;     /* DELETE is due */
    bool move;      /* UPDATE_SA_ADDRESSES is due */
    uint64_t spi_i, spi_r;
    struct ike_keys keys;
    uint64_t counter; /* IVs of what we send */
    struct ip_endpoint local, remote;
    bool nat_local, nat_remote, nat_known; /* nat_known: the peer speaks NAT traversal */
    bool probe;                            /* a liveness check is due, to learn how the NAT maps us */
    bool mapping_known;
    uint8_t mapping[NAT_HASH_BYTES]; /* what the gateway said last of where we seem to be */
    bool fragmentation, mobike;
    uint32_t peer_hashes; /* for RFC 7427 */

    uint32_t next_id, expected_id; /* of our requests, of the peer's */
    struct request request;
    struct outbox response; /* to the peer's request expected_id - 1; count 0: none */
    struct reassembly requests, responses;

    uint64_t born, rekey_at, expire_at, reauth_at, reauth_by, retry_at, last_in, keepalive_at;
    struct attempt attempt;
    struct initial initial;

    struct ike_sa *rival; /* made by the peer's rekeying while ours of this SA was under way */
    struct nonce low;     /* the lower of the two nonces that made it (section 2.8.2) */
};

enum child_state {
    CHILD_FREE,
    CHILD_LIVE,
    CHILD_SUPERSEDED, /* ours to delete */
    CHILD_DELETING,   /* our DELETE is under way */
    CHILD_WAITING,    /* the peer's to delete */
    CHILD_LINGERING   /* deleted; inbound is open until remove_at */
};

struct child {
    enum child_state state;
    struct ike_sa *sa;
    const struct esp_sa *esp; /* the tunnel's */
    bool ours;                /* made by our request */
    uint32_t replaces;        /* inbound SPI of the one before, 0: none */
    uint64_t born, rekey_at, expire_at, remove_at;
    struct nonce low; /* the lower of the two nonces that made it (section 2.8.1) */
};

struct ike {
    const struct ike_configuration *config;
    struct ike_callbacks call;
    void *owner;
    struct tunnel *tunnel;
    struct ip_address local, remote;
    bool wanted;       /* connected, or trying to */
    uint64_t again_at; /* the next start; NEVER: none is due */
    unsigned failures; /* in a row */
    uint64_t now, wake;
    uint64_t suspected_at;
    struct ike_sa *sas;
    struct ike_sa *current; /* the one that is live and not replaced */
    struct child children[CHILDREN_MAX];
    uint32_t sending; /* inbound SPI of the CHILD SA that ESP sends with */
    bool is_up;
    uint64_t up_since;
    struct ike_inner inner;
    struct report last_error;
    struct agreed agreed;
    uint8_t incoming[IKE_MESSAGE_MAX], whole[IKE_MESSAGE_MAX], plain[IKE_MESSAGE_MAX];
};

/* ---- ike.c: the life of the connection ---- */
void ike_log(struct ike *ike, const char *fmt, ...) printf_like(2, 3);
/* When it is tried again: after silence soon, after a refusal later and later, at once when the tunnel that
 * is lost stood long enough, or in any case. */
enum failure { FAIL_SILENT, FAIL_REFUSED, FAIL_LOST, FAIL_MOVED };
/* All SAs are given up, and why. */
void ike_fail(struct ike *ike, enum failure kind, const char *fmt, ...) printf_like(3, 4);
/* One IKE SA is given up, and dead then: the connection with it, unless it was only to take over from
 * another. */
void sa_fail(struct ike_sa *sa, enum failure kind, const char *fmt, ...) printf_like(3, 4);
void ike_came_up(struct ike *ike);
void wake_at(struct ike *ike, uint64_t when);
bool reached(struct ike *ike, uint64_t when); /* is it that late? If not, it wakes then */
/* Brings two times forward to the end of `seconds` (0: never), and to 80 to 90 percent of it, so that the two
 * ends do not meet. */
void limit_life(struct ike *ike, uint32_t seconds, uint64_t *soft, uint64_t *hard);

/* ---- sa.c: IKE SAs ---- */
struct ike_sa *sa_create(struct ike *ike, bool initiator);
void sa_kill(struct ike_sa *sa); /* its CHILD SAs with it */
/* CHILD SAs and the connection move from an IKE SA to the one in its place. */
void sa_take_over(struct ike_sa *to, struct ike_sa *from);
/* The gateway refuses to rekey: a whole new IKE SA is to stand halfway to the end of what it does not renew.
 */
void sa_renew_before(struct ike_sa *sa, uint64_t end);
bool sa_encapsulates(const struct ike_sa *sa);
uint64_t make_spi(struct ike *ike);
void ike_sweep(struct ike *ike);

/* ---- exchange.c: requests, answers, retransmission ---- */
void request_begin(struct ike_sa *sa, const struct exchange *kind);
void request_end(struct ike_sa *sa);
void request_tick(struct ike_sa *sa);
void request_resend(struct ike_sa *sa);
void send_box(struct ike_sa *sa, const struct outbox *box, const struct ip_endpoint *local,
              const struct ip_endpoint *remote);
bool sa_seal(struct ike_sa *sa, uint8_t exchange, uint8_t flags, uint32_t message_id,
             const struct builder *payloads, struct outbox *out) must_check;
/* Is this a message that we wait for? A retransmitted request is one, too. */
bool sa_expects(const struct ike_sa *sa, const struct ike_header *header);
/* An encrypted message came. */
void sa_receive(struct ike_sa *sa, const struct ike_header *header, size_t size,
                const struct ike_datagram *from);

/* ---- sa_init.c ---- */
void init_begin(struct ike_sa *sa);
void init_receive(struct ike_sa *sa, const struct ike_header *header, size_t size);

/* The peer's requests: write the answer's payloads. */
void child_request(struct ike_sa *sa, const struct payload_list *list, struct builder *b);
void rekey_ike_request(struct ike_sa *sa, const struct payload_list *list, struct builder *b);
void informational_request(struct ike_sa *sa, const struct payload_list *list, struct builder *b);

/* ---- agreement.c: what the exchanges that make keys have in common ---- */
/* All that the policy allows, under our SPI. */
struct proposal_offer offer_of(const struct ike *ike, enum ipsec_protocol protocol, uint64_t spi);
/* A nonce and, with a group, a key; the offer is there already. False without randomness. */
bool half_make(struct ike *ike, struct own_half *own, const struct algorithm *group) must_check;
void put_half(struct builder *b, const struct own_half *own); /* nonce and KE payloads */
/* All that a request begins with, under our new SPI: offer, nonce, a key of the usual group or of the one
 * that was asked for. */
bool put_attempt(struct ike_sa *sa, enum ipsec_protocol protocol, uint64_t spi, const struct algorithm *usual,
                 struct builder *b) must_check;
/* The answer to what sa->attempt.own asked for, into ike->agreed; false with a sentence. */
bool agree_on_answer(struct ike_sa *sa, const struct payload_list *list, struct report *problem) must_check;
/* The peer's request, by ike->agreed.own.offer: makes our half; false with the error in the answer. */
bool agree_on_request(struct ike *ike, const struct payload_list *list, struct builder *b) must_check;
/* The group that the peer's INVALID_KE_PAYLOAD asks for; NULL with a sentence when the policy has it not. */
const struct algorithm *wanted_group(const struct ike_sa *sa, const struct notify *n, struct report *problem);
/* Our rekeying was refused. True when it is soon tried again; else `why` has the reason. */
bool rekey_again(struct ike_sa *sa, const struct notify *n, struct report *why);
struct nonce lower_nonce(const struct key_inputs *in);
/* Does what the first nonce made lose against what the second made (section 2.8.1)? */
bool nonce_loses(const struct nonce *a, const struct nonce *b);

/* ---- child.c: the table of CHILD SAs ---- */
struct child *child_next(struct ike *ike, struct child *before); /* NULL: the first one */
struct child *child_of_spi_in(struct ike *ike, uint32_t spi_in);
struct child *child_of_spi_out(struct ike *ike, uint32_t spi_out);
struct child *child_live(struct ike *ike); /* any that traffic can use */
/* A live one that was made in place of another; by the peer, or by anybody. */
struct child *child_made_for(struct ike *ike, uint32_t replaced, bool by_peer);
uint32_t child_make_spi(struct ike *ike);
/* Makes one of what is agreed on, p->spi_in and the selectors; the rest of *p is filled in, and its keys are
 * wiped. */
struct child *child_add(struct ike_sa *sa, struct child_parameters *p, uint32_t replaces, bool ours);
void child_use(struct ike *ike, struct child *child);
void child_end(struct ike *ike, struct child *child); /* deleted: lingers when another has its traffic */
void child_remove(struct ike *ike, struct child *child);
void children_remove(struct ike *ike); /* all */
void children_end(struct ike_sa *sa);
void children_move(struct ike_sa *sa);
void children_tick(struct ike *ike);
/* ---- child_exchange.c ---- */
/* The traffic selectors of an answer, which may be no more than `old` had, or the policy asks for. */
bool child_read_selectors(struct ike *ike, const struct payload_list *list,
                          const struct child_parameters *old, struct child_parameters *out,
                          struct report *problem) must_check;

/* ---- nat.c ---- */
void put_nat_detection(struct ike_sa *sa, struct builder *b);
void nat_judge(struct ike_sa *sa, const struct payload_list *list);
/* Does our mapping matter and can it be asked for? */
bool nat_watches(const struct ike_sa *sa);
/* ---- configuration.c ---- */
void put_configuration_request(const struct ike *ike, struct builder *b);
bool configuration_read(const struct payload_list *list, struct ike_inner *out,
                        struct report *problem) must_check;
/* ---- informational.c ---- */
void connection_closed(struct ike *ike, const char *how);
void take_auth_lifetime(struct ike_sa *sa, const struct payload_list *list);
struct report error_words(uint16_t notify); /* what the gateway means by it, to end a sentence */

#endif
