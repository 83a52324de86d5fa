/* SPDX-License-Identifier: Apache-2.0 */
/* ESP in tunnel mode (RFC 4303): sealing and opening one packet, without I/O and without allocation (HMAC
 * apart). One thread owns all of it. */
#ifndef SHOJI_CRYPTO_IPSEC_ESP_H
#define SHOJI_CRYPTO_IPSEC_ESP_H

#include "crypto/ipsec/child.h"
#include "crypto/ipsec/esp_transform.h"
#include "crypto/ipsec/replay.h"

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
