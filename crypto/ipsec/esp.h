/* SPDX-License-Identifier: Apache-2.0 */
/* ESP in tunnel mode (RFC 4303): sealing and opening one packet, without I/O and without allocation (HMAC
 * apart). One thread owns all of it. */
#ifndef SHOJI_CRYPTO_IPSEC_ESP_H
#define SHOJI_CRYPTO_IPSEC_ESP_H

#include "crypto/ipsec/child.h"

struct esp_sa; /* one CHILD SA, both directions */

/* Counters for the state report and for IKE's own limits. */
struct esp_counters {
    uint64_t packets_in, bytes_in, packets_out, bytes_out;
    uint64_t bad_icv, replayed, selector_refused, malformed, dummy;
    uint64_t last_in_ms; /* when the last authentic packet came (for dead peer detection) */
};

/* NULL when there is no memory or a cipher cannot be had. The parameters are copied. */
struct esp_sa *esp_create(const struct child_parameters *parameters) must_check;
void esp_destroy(struct esp_sa *sa); /* wipes */

/* The peer or we have moved (MOBIKE, a NAT's new mapping). */
void esp_move(struct esp_sa *sa, const struct ip_endpoint *local, const struct ip_endpoint *remote,
              bool udp_encapsulated);

uint32_t esp_spi_in(const struct esp_sa *sa);
const struct child_parameters *esp_parameters(const struct esp_sa *sa); /* its keys are not for reading */
void esp_counters(const struct esp_sa *sa, struct esp_counters *out);

/* The sequence numbers are so far used up that a rekey must start now; that nothing can be sent any more. */
bool esp_rekey_due(const struct esp_sa *sa);
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
 * section 3.4.3). The selectors are checked by the caller with the outer header's ECN at hand (tunnel.c),
 * which says so when it refuses the packet. */
enum esp_result esp_open(struct esp_sa *sa, uint8_t *packet, size_t size, uint64_t now, uint8_t **inner,
                         size_t *inner_size) must_check;
void esp_count_refused(struct esp_sa *sa);

#endif
