/* SPDX-License-Identifier: Apache-2.0 */
/* The inside of one IKE connection: its IKE SAs, its CHILD SAs, and the functions by which the files of the
 * state machine call each other. One thread owns all of it; nothing here is freed but by ike_sweep. */
#ifndef SHOJI_CRYPTO_IPSEC_CONNECTION_H
#define SHOJI_CRYPTO_IPSEC_CONNECTION_H

#include "crypto/ipsec/ike.h"
#include "crypto/ipsec/key_exchange.h"
#include "crypto/ipsec/protect.h"

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

#define SA_INIT_OWN_MAX  KIB(4)
#define SA_INIT_PEER_MAX KIB(8)
#define COOKIE_MAX       64
#define COOKIE2_BYTES    16
#define NAT_HASH_BYTES   20 /* SHA-1: what the RFC prescribes; no security rests on it */
#define SA_INIT_RESTARTS 6  /* by COOKIE and INVALID_KE_PAYLOAD together */

/* What our one request in flight is about. */
enum exchange {
    EX_NONE,
    EX_INIT,
    EX_AUTH,
    EX_CHILD, /* a new CHILD SA, or one in place of another */
    EX_REKEY_IKE,
    EX_DELETE_CHILD,
    EX_DELETE_IKE,
    EX_LIVENESS,
    EX_MOVE,
    EX_COUNT
};

struct request {
    enum exchange kind;
    uint32_t message_id;
    unsigned sent;
    uint64_t due; /* next transmission, or giving up */
    struct outbox box;
};

/* What we keep of an exchange with keys until its answer comes. Holds a private key. */
struct attempt {
    struct key_exchange ke;
    uint8_t nonce[NONCE_BYTES];
    uint64_t spi;                  /* our new one */
    uint32_t child;                /* EX_CHILD: inbound SPI of the one to be replaced, 0: none;
                                      EX_DELETE_CHILD: the one to be deleted */
    const struct ke_group *wanted; /* by the peer's INVALID_KE_PAYLOAD */
    unsigned restarts;
    uint32_t deleted; /* outbound SPI that the peer deleted before we knew it: the answer may still name it */
    uint8_t cookie2[COOKIE2_BYTES];
};

/* IKE_SA_INIT's messages, which AUTH signs. */
struct initial {
    size_t own_size, peer_size, cookie_size;
    uint8_t own[SA_INIT_OWN_MAX], peer[SA_INIT_PEER_MAX], cookie[COOKIE_MAX];
    uint8_t peer_nonce[NONCE_MAX];
    size_t peer_nonce_size;
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
    const struct ke_group *group;

    uint32_t next_id, expected_id; /* of our requests, of the peer's */
    struct request request;
    struct outbox response; /* to the peer's request expected_id - 1; count 0: none */
    struct reassembly requests, responses;

    uint64_t born, rekey_at, expire_at, reauth_at, reauth_by, retry_at, last_in, keepalive_at;
    struct attempt attempt;
    struct initial *initial;

    struct ike_sa *rival;  /* made by the peer's rekeying while ours of this SA was under way */
    size_t low_nonce_size; /* the lower of the two nonces that made it (section 2.8.2) */
    uint8_t low_nonce[NONCE_MAX];
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
    struct child_parameters p; /* its keys are wiped once ESP has them */
    bool ours;                 /* made by our request */
    uint32_t replaces;         /* inbound SPI of the one before, 0: none */
    uint64_t born, rekey_at, expire_at, remove_at;
    size_t low_size;
    uint8_t low_nonce[NONCE_MAX]; /* the lower of the two nonces that made it (section 2.8.1) */
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
    struct ike_sa *sas[SAS_MAX];
    struct ike_sa *current; /* the one that is live and not replaced */
    struct child children[CHILDREN_MAX];
    uint32_t sending; /* inbound SPI of the CHILD SA that ESP sends with */
    bool is_up;
    uint64_t up_since;
    struct ike_inner inner;
    struct report last_error;
    uint8_t incoming[IKE_MESSAGE_MAX], whole[IKE_MESSAGE_MAX], plain[IKE_MESSAGE_MAX];
};

/* ---- ike.c: the life of the connection ---- */
void ike_log(struct ike *ike, const char *fmt, ...) printf_like(2, 3);
/* All SAs are given up. refused: the gateway said no, so it is tried again later and later. */
void ike_fail(struct ike *ike, const char *why, bool refused);
/* And tried again at once, if the tunnel stood long enough. */
void ike_fail_now(struct ike *ike, const char *why);
/* One IKE SA is given up: the connection with it, unless it was only to take over from another. */
void sa_fail(struct ike_sa *sa, const char *why, bool refused);
void ike_came_up(struct ike *ike);
void wake_at(struct ike *ike, uint64_t when);
/* Milliseconds until 80 to 90 percent of `seconds`, so that the two ends do not meet; NEVER for 0. */
uint64_t soft_limit(struct ike *ike, uint32_t seconds);
uint64_t hard_limit(struct ike *ike, uint32_t seconds);

/* ---- sa.c: IKE SAs ---- */
struct ike_sa *sa_create(struct ike *ike, bool initiator);
void sa_kill(struct ike_sa *sa); /* its CHILD SAs with it */
/* CHILD SAs and the connection move from an IKE SA to the one in its place. */
void sa_take_over(struct ike_sa *to, struct ike_sa *from);
void sa_set_lifetimes(struct ike_sa *sa);
/* The gateway refuses to rekey: a whole new IKE SA is to stand halfway to the end of what it does not renew.
 */
void sa_renew_before(struct ike_sa *sa, uint64_t end);
struct sk_keys sa_keys_out(const struct ike_sa *sa);
struct sk_keys sa_keys_in(const struct ike_sa *sa);
bool sa_encapsulates(const struct ike_sa *sa);
uint64_t sa_own_spi(const struct ike_sa *sa);
uint64_t make_spi(struct ike *ike);
void ike_sweep(struct ike *ike);

/* ---- exchange.c: requests, answers, retransmission ---- */
void request_begin(struct ike_sa *sa, enum exchange kind);
void request_end(struct ike_sa *sa);
void request_tick(struct ike_sa *sa);
void request_resend(struct ike_sa *sa);
void send_box(struct ike_sa *sa, const struct outbox *box, const struct ip_endpoint *local,
              const struct ip_endpoint *remote);
bool sa_seal(struct ike_sa *sa, uint8_t exchange, uint8_t flags, uint32_t message_id,
             const struct builder *payloads, struct outbox *out) must_check;
/* An authentic message came. */
void sa_receive(struct ike_sa *sa, const struct ike_header *header, size_t size,
                const struct ike_datagram *from);

/* ---- The exchanges: build writes the request's payloads, answer takes the response's ---- */
struct exchange_kind {
    const char *name;
    uint8_t type;
    bool (*build)(struct ike_sa *sa, struct builder *b);
    void (*answer)(struct ike_sa *sa, const struct payload_list *list);
};
extern const struct exchange_kind exchange_kinds[EX_COUNT];

void init_begin(struct ike_sa *sa); /* IKE_SA_INIT is in clear and goes its own way */
void init_receive(struct ike_sa *sa, const struct ike_header *header, size_t size);
void init_other_version(struct ike_sa *sa, uint8_t version);
bool auth_build(struct ike_sa *sa, struct builder *b);
void auth_answer(struct ike_sa *sa, const struct payload_list *list);
bool child_build(struct ike_sa *sa, struct builder *b);
void child_answer(struct ike_sa *sa, const struct payload_list *list);
bool rekey_ike_build(struct ike_sa *sa, struct builder *b);
void rekey_ike_answer(struct ike_sa *sa, const struct payload_list *list);
bool delete_child_build(struct ike_sa *sa, struct builder *b);
void delete_child_answer(struct ike_sa *sa, const struct payload_list *list);
bool delete_ike_build(struct ike_sa *sa, struct builder *b);
void delete_ike_answer(struct ike_sa *sa, const struct payload_list *list);
bool liveness_build(struct ike_sa *sa, struct builder *b);
void liveness_answer(struct ike_sa *sa, const struct payload_list *list);
bool move_build(struct ike_sa *sa, struct builder *b);
void move_answer(struct ike_sa *sa, const struct payload_list *list);

/* The peer's requests: write the answer's payloads. */
void child_request(struct ike_sa *sa, const struct payload_list *list, struct builder *b);
void rekey_ike_request(struct ike_sa *sa, const struct payload_list *list, struct builder *b);
void informational_request(struct ike_sa *sa, const struct payload_list *list, struct builder *b);

/* ---- child.c: the table of CHILD SAs ---- */
struct child *child_of_spi_in(struct ike *ike, uint32_t spi_in);
struct child *child_of_spi_out(struct ike *ike, uint32_t spi_out);
struct child *child_live(struct ike *ike);                     /* any that traffic can use */
struct child *child_rival(struct ike *ike, uint32_t replaces); /* made by the peer in place of the same one */
uint32_t child_make_spi(struct ike *ike);
/* What makes a CHILD SA out of an exchange. */
struct child_agreed {
    const struct ike_choice *choice;
    const struct key_inputs *inputs;
    uint32_t spi_in, replaces;
    bool ours;
    struct selector_list local, remote;
};
struct child *child_add(struct ike_sa *sa, const struct child_agreed *agreed);
void child_use(struct ike *ike, struct child *child);
void child_end(struct ike *ike, struct child *child); /* deleted: lingers when another has its traffic */
void child_remove(struct ike *ike, struct child *child);
void children_end(struct ike_sa *sa);
void children_move(struct ike_sa *sa);
void children_tick(struct ike *ike);
void child_settle(struct ike *ike, struct child *old, struct child *made); /* after our rekeying */
struct proposal_offer child_offer(const struct ike *ike, bool with_groups);

/* ---- nat.c ---- */
void put_nat_detection(struct ike_sa *sa, struct builder *b);
void nat_judge(struct ike_sa *sa, const struct payload_list *list);
/* Does our mapping matter and can it be asked for? Has it changed since the last answer? */
bool nat_watches(const struct ike_sa *sa);
bool nat_mapping_changed(struct ike_sa *sa, const struct payload_list *list);
/* ---- configuration.c ---- */
void put_configuration_request(const struct ike *ike, struct builder *b);
bool configuration_read(const struct payload_list *list, struct ike_inner *out,
                        struct report *problem) must_check;
/* ---- informational.c ---- */
void take_auth_lifetime(struct ike_sa *sa, const struct payload_list *list);

/* The lower of two nonces, as section 2.8.1 compares them; and whether a is lower than b. */
bool nonce_lower(struct bytes_view a, struct bytes_view b);
struct error_words {
    char text[200];
};
struct error_words error_words(uint16_t notify);

#endif
