/* SPDX-License-Identifier: Apache-2.0 */
/* The JSON area of a LUKS2 header, read into struct luks2; shared by metadata.c and slots.c. */
#ifndef SHOJI_CRYPTO_METADATA_H
#define SHOJI_CRYPTO_METADATA_H

#include "crypto/volume/luks2.h"

struct metadata {
    struct json json;
    uint64_t header_bytes; /* hdr_size of the binary header: one copy with its JSON area */
    uint64_t file_bytes;   /* of the whole header file or device                         */
    uint64_t slots_end;    /* where the key slot areas end; they begin at 2 * header_bytes */
    struct luks2 *out;
    struct report *problem;
};

/* Reads json_bytes of the JSON area (text, then zeroes) into m->out. False with a sentence. */
bool metadata_read(struct metadata *m, const char *area, size_t area_bytes,
                   struct luks2_scratch *scratch) must_check;

/* The parts: key slots with their areas, and the digest of segment "0"; fills out->slots, digest and
 * key_bytes. */
bool metadata_read_slots(struct metadata *m, const struct json_token *keyslots) must_check;
bool metadata_read_digest(struct metadata *m, const struct json_token *digests) must_check;

/* Reports that a part of the metadata is not as the specification wants it; returns false. */
bool metadata_bad(struct metadata *m, const char *what);

/* A string's text for a sentence, cut and made printable. */
#define METADATA_NAME_MAX 48
struct metadata_name {
    char text[METADATA_NAME_MAX];
};
struct metadata_name metadata_name(const struct json *json, const struct json_token *token);

/* A number as 32 bits, at least `least`. */
bool metadata_u32(const struct json *json, const struct json_token *token, uint32_t least,
                  uint32_t *out) must_check;

/* The key of an object's member as a small decimal number, without sign or leading zeroes. */
bool metadata_key_number(const struct json *json, const struct json_token *key, uint32_t *out) must_check;

#endif
