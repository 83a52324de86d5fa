/* SPDX-License-Identifier: Apache-2.0 */
/* A CHILD SA as IKE hands it to ESP: two directions, each with SPI and keys, and what may travel in them. */
#ifndef SHOJI_CRYPTO_IPSEC_CHILD_H
#define SHOJI_CRYPTO_IPSEC_CHILD_H

#include "crypto/ipsec/address.h"
#include "crypto/ipsec/suite.h"

struct child_keys {
    uint8_t cipher[CIPHER_KEY_MAX]; /* key, then salt (RFC 4106 section 8.1, RFC 7634 section 2) */
    uint8_t integrity[INTEGRITY_KEY_MAX];
};

/* Written by IKE, copied by ESP, wiped by both. */
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

#endif
