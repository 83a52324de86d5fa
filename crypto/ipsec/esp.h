/* SPDX-License-Identifier: Apache-2.0 */
/* ESP in tunnel mode (RFC 4303): sealing and opening one packet, without I/O and without allocation (HMAC
 * apart). One thread owns all of it. */
#ifndef SHOJI_CRYPTO_IPSEC_ESP_H
#define SHOJI_CRYPTO_IPSEC_ESP_H

#include "crypto/ipsec/address.h"
#include "crypto/ipsec/esp_transform.h"

/* ---- replay.c: the anti-replay window (RFC 4303 section 3.4.3) and the high half of extended sequence
 * numbers (appendix A2) ---- */

/* A ring of words: the window slides by whole words, so one word of the ring is always in transition and
 * does not count (the idea of RFC 6479). */
#define REPLAY_WORDS  32
#define REPLAY_WINDOW ((REPLAY_WORDS - 1) * 64)
static_assert(REPLAY_WINDOW >= 1024, "a window of at least 1024 packets");

/* All zero: nothing has come yet. */
struct replay {
    uint64_t top; /* the highest sequence number that was authentic */
    uint64_t seen[REPLAY_WORDS];
};

/* The whole sequence number that the 32 bits on the wire stand for. False: it lies before the first one. */
bool replay_sequence(const struct replay *replay, uint32_t low, bool esn, uint64_t *out) must_check;

/* Is the number new and not too old? To be asked before the ICV is checked. */
bool replay_fresh(const struct replay *replay, uint64_t sequence);

/* Marks a number that replay_fresh accepted, after its ICV held. */
void replay_accept(struct replay *replay, uint64_t sequence);

/* ---- esp.c ---- */

/* A CHILD SA as IKE hands it to ESP: two directions, each with SPI and keys, and what may travel in them.
 * Written by IKE, copied by ESP, wiped by both. */
struct child_parameters {
    uint32_t spi_in, spi_out; /* host order */
    const struct algorithm *cipher;
    const struct algorithm *integrity; /* NULL with an AEAD */
    bool esn;
    struct child_keys in, out;
    struct selector_list local, remote;           /* as narrowed */
    struct ip_endpoint outer_local, outer_remote; /* MOBIKE and NAT change them: esp_move */
    bool udp_encapsulated;                        /* UDP 4500 rather than protocol 50 */
};

/* For the state report and for IKE's own limits. */
struct esp_counters {
    uint64_t packets_in, bytes_in, packets_out, bytes_out;
    uint64_t bad_icv, replayed, selector_refused, malformed, dummy;
    uint64_t last_in_ms; /* when the last authentic packet came (for dead peer detection) */
    bool rekey_due;      /* the sequence numbers are so far used up that a rekey must start now */
};

/* One CHILD SA, both directions. */
struct esp_sa {
    struct child_parameters parameters; /* without its keys: those are in the transforms */
    struct esp_transform out, in;
    uint64_t sequence; /* the last one sent */
    struct replay replay;
    struct esp_counters counters;
    unsigned rank; /* the tunnel's: 0 does not send; of those that match a packet, the highest does */
};

/* The last numbers that can be sent, and from where on a new SA is asked for: a quarter of the space before
 * the end, and with extended numbers when much has gone through one key, long before 2^64. */
#define SEQUENCE_LAST      0xffffffffull
#define SEQUENCE_REKEY     0xc0000000ull
#define SEQUENCE_LAST_ESN  UINT64_MAX
#define SEQUENCE_REKEY_ESN BIT(34)

/* NULL when there is no memory or a cipher cannot be had. The parameters are copied. */
struct esp_sa *esp_create(const struct child_parameters *parameters) must_check;
void esp_destroy(struct esp_sa *sa); /* wipes */

/* The sequence numbers are so far used up that nothing can be sent any more. */
bool esp_exhausted(const struct esp_sa *sa);

/* Bytes that sealing an inner packet of `inner` bytes gives (ESP header to ICV); and the largest inner packet
 * that fits into `room` bytes. */
size_t esp_sealed_size(const struct esp_sa *sa, size_t inner);
size_t esp_inner_fits(const struct esp_sa *sa, size_t room);

/* Seals one inner IP packet. `out` has room for esp_sealed_size; it may overlap `packet` only when it is the
 * same buffer in front of it (see esp.c). Returns the size, 0 when it cannot. next_header follows the
 * packet's IP version. */
size_t esp_seal(struct esp_sa *sa, const uint8_t *packet, size_t size, uint8_t *out,
                size_t capacity) must_check;

enum esp_result { ESP_OK, ESP_DUMMY, ESP_BAD_ICV, ESP_REPLAYED, ESP_MALFORMED };

/* Opens one ESP packet (from the SPI on) in place at the time `now` (milliseconds). On ESP_OK *inner and
 * *inner_size are the inner IP packet inside `packet`. The window moves only when the ICV holds (RFC 4303
 * section 3.4.3). The selectors are checked and counted by the caller, with the outer header's ECN at hand.
 */
enum esp_result esp_open(struct esp_sa *sa, uint8_t *packet, size_t size, uint64_t now, uint8_t **inner,
                         size_t *inner_size) must_check;

#endif
