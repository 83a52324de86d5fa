/* SPDX-License-Identifier: Apache-2.0 */
/* A bounded JSON reader (RFC 8259) into an array of tokens that the caller owns; nothing is allocated or
 * copied. */
#ifndef SHOJI_LIB_JSON_H
#define SHOJI_LIB_JSON_H

#include "lib/base.h"

enum json_type { JSON_NULL, JSON_FALSE, JSON_TRUE, JSON_NUMBER, JSON_STRING, JSON_ARRAY, JSON_OBJECT };

/* A value. An object's children are key, value, key, value...; `next` is the index of the token after this
 * value and all in it. */
struct json_token {
    enum json_type type;
    uint32_t start, length; /* its text, without a string's quotes */
    uint32_t children;      /* members of an object, elements of an array */
    uint32_t next;
};

#define JSON_DEPTH_MAX 32

struct json {
    const char *text;
    size_t size;
    struct json_token *tokens;
    uint32_t count;
};

/* Reads one value that fills the text (white space around it is allowed). False for anything that is not
 * strict JSON, is deeper than JSON_DEPTH_MAX, has a duplicate key in one object, or needs more than
 * `capacity` tokens. */
bool json_parse(struct json *json, const char *text, size_t size, struct json_token *tokens,
                uint32_t capacity) must_check;

/* The value of a member, or NULL when the token is NULL, no object, or has no such member. */
const struct json_token *json_member(const struct json *json, const struct json_token *object,
                                     const char *key);

/* The index-th element of an array, or the index-th member's value of an object (with its key, if `key` is
 * not NULL). NULL past the end. */
const struct json_token *json_at(const struct json *json, const struct json_token *container, uint32_t index,
                                 const struct json_token **key);

/* True for a string token with exactly this text (no escapes in it). NULL token: false. */
bool json_is(const struct json *json, const struct json_token *token, const char *text);

/* A non-negative integer, as a number token or (LUKS2's way for 64-bit values) a decimal string. NULL token
 * or anything else: false. */
bool json_u64(const struct json *json, const struct json_token *token, uint64_t *out) must_check;

#endif
