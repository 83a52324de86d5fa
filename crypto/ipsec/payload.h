/* SPDX-License-Identifier: Apache-2.0 */
/* IKEv2 messages as bytes: the header, the chain of payloads, notifications, read with bounds and written
 * with bounds (RFC 7296 section 3). */
#ifndef SHOJI_CRYPTO_IPSEC_PAYLOAD_H
#define SHOJI_CRYPTO_IPSEC_PAYLOAD_H

#include "crypto/ipsec/address.h"
#include "crypto/ipsec/credential.h"
#include "lib/reader.h"
#include "lib/writer.h"

enum payload_type {
    PAYLOAD_NONE = 0,
    PAYLOAD_SA = 33,
    PAYLOAD_KE = 34,
    PAYLOAD_IDI = 35,
    PAYLOAD_IDR = 36,
    PAYLOAD_CERT = 37,
    PAYLOAD_CERTREQ = 38,
    PAYLOAD_AUTH = 39,
    PAYLOAD_NONCE = 40,
    PAYLOAD_NOTIFY = 41,
    PAYLOAD_DELETE = 42,
    PAYLOAD_TSI = 44,
    PAYLOAD_TSR = 45,
    PAYLOAD_SK = 46,
    PAYLOAD_CP = 47,
    PAYLOAD_EAP = 48,
    PAYLOAD_SKF = 53
};

enum exchange_type { IKE_SA_INIT = 34, IKE_AUTH = 35, CREATE_CHILD_SA = 36, INFORMATIONAL = 37 };

/* Errors are below 16384 (RFC 7296 section 3.10.1). */
enum notify_type {
    NOTIFY_UNSUPPORTED_CRITICAL = 1,
    NOTIFY_INVALID_IKE_SPI = 4,
    NOTIFY_INVALID_MAJOR_VERSION = 5,
    NOTIFY_INVALID_SYNTAX = 7,
    NOTIFY_NO_PROPOSAL_CHOSEN = 14,
    NOTIFY_INVALID_KE = 17,
    NOTIFY_AUTHENTICATION_FAILED = 24,
    NOTIFY_SINGLE_PAIR_REQUIRED = 34,
    NOTIFY_NO_ADDITIONAL_SAS = 35,
    NOTIFY_INTERNAL_ADDRESS_FAILURE = 36,
    NOTIFY_FAILED_CP_REQUIRED = 37,
    NOTIFY_TS_UNACCEPTABLE = 38,
    NOTIFY_UNACCEPTABLE_ADDRESSES = 40,
    NOTIFY_TEMPORARY_FAILURE = 43,
    NOTIFY_CHILD_SA_NOT_FOUND = 44,
    NOTIFY_STATUS_FIRST = 16384,
    NOTIFY_INITIAL_CONTACT = 16384,
    NOTIFY_NAT_SOURCE = 16388,
    NOTIFY_NAT_DESTINATION = 16389,
    NOTIFY_COOKIE = 16390,
    NOTIFY_REKEY_SA = 16393,
    NOTIFY_TFC_NOT_SUPPORTED = 16394,
    NOTIFY_MOBIKE_SUPPORTED = 16396,
    NOTIFY_UPDATE_SA_ADDRESSES = 16400,
    NOTIFY_COOKIE2 = 16401,
    NOTIFY_AUTH_LIFETIME = 16403,
    NOTIFY_FRAGMENTATION = 16430,
    NOTIFY_SIGNATURE_HASHES = 16431
};

enum ipsec_protocol { PROTOCOL_IKE = 1, PROTOCOL_ESP = 3 };

#define IKE_HEADER_BYTES     28
#define PAYLOAD_HEADER_BYTES 4
#define IKE_VERSION          0x20
#define MAJOR_VERSION(v)     ((v) >> 4)
#define IKE_FLAG_INITIATOR   0x08
#define IKE_FLAG_RESPONSE    0x20
#define NONCE_BYTES          32 /* ours: half of the largest PRF's key, at least 16 (RFC 7296 section 2.10) */
#define NONCE_MIN            16
#define NONCE_MAX            256

struct nonce {
    size_t size;
    uint8_t bytes[NONCE_MAX];
};

struct ike_header {
    uint64_t spi_i, spi_r;
    uint8_t next, version, exchange, flags;
    uint32_t message_id, length;
};
/* False when it is shorter than a header, or its length is not that of the datagram. */
bool header_read(const uint8_t *data, size_t size, struct ike_header *out) must_check;
void header_write(const struct ike_header *header, uint8_t out[IKE_HEADER_BYTES]);

/* A payload inside the message; `data` is what follows its generic header. */
struct payload {
    uint8_t type;
    const uint8_t *data;
    size_t size;
};
#define PAYLOADS_MAX 64
struct payload_list {
    unsigned count;
    uint8_t unknown_critical; /* the first payload that we must not ignore and do not know; 0: none */
    struct payload item[PAYLOADS_MAX];
};
/* Walks the chain that begins with type `first`; unknown payloads are left out. False when it is malformed.
 */
bool payloads_read(uint8_t first, const uint8_t *data, size_t size, struct payload_list *out) must_check;
/* The first payload of a type, or NULL. */
const struct payload *payload_find(const struct payload_list *list, uint8_t type);
/* The same as a reader, which has failed when there is none. */
struct reader payload_reader(const struct payload_list *list, uint8_t type);

struct notify {
    uint8_t protocol, spi_bytes;
    uint32_t spi; /* when spi_bytes is 4 */
    uint16_t type;
    struct bytes_view data;
};
/* False for another payload, too. */
bool notify_read(const struct payload *payload, struct notify *out) must_check;
/* The first notification of a type. */
bool notify_find(const struct payload_list *list, uint16_t type, struct notify *out);
/* The first error notification. */
bool notify_error(const struct payload_list *list, struct notify *out);

/* A chain of payloads under construction. */
struct builder {
    struct writer w;
    uint8_t first; /* type of the first payload */
    size_t last;   /* where the last payload's header stands */
};
void payload_begin(struct builder *b, uint8_t type);
void payload_end(struct builder *b);
/* A length in the third and fourth byte of what begins at `start`. */
void put_length(struct builder *b, size_t start);
void put_payload(struct builder *b, uint8_t type, const void *data, size_t size);
/* What begins with so many bytes of `head`, as one number. */
void put_headed(struct builder *b, uint8_t type, uint64_t head, unsigned head_bytes, struct bytes_view rest);
void put_notify(struct builder *b, uint16_t type, const void *data, size_t size);
void put_notify_spi(struct builder *b, uint16_t type, uint32_t spi);
void put_delete(struct builder *b, uint32_t spi); /* of a CHILD SA; 0: of this IKE SA */
void put_ke(struct builder *b, uint16_t group, const uint8_t *data, size_t size);
void put_selectors(struct builder *b, uint8_t type, const struct selector_list *list);

bool ke_read(const struct payload_list *list, uint16_t *group, struct bytes_view *value) must_check;
bool nonce_read(const struct payload_list *list, struct nonce *out) must_check;
bool selectors_read(const struct payload_list *list, uint8_t type, struct selector_list *out) must_check;

#endif
