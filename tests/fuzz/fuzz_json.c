/* SPDX-License-Identifier: Apache-2.0 */
/* The JSON reader on arbitrary text: what it accepts is a well-formed tree of tokens inside the text, and is
 * refused when cut. */
#include <stdlib.h>
#include <string.h>

#include "lib/json.h"

#define TOKENS 512

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void require(bool condition)
{
    if (!condition)
        abort();
}

/* Visits a value and all in it. Returns the index behind it, which must be what the token says. */
static uint32_t visit(const struct json *json, const struct json_token *token, unsigned depth)
{
    require(depth <= JSON_DEPTH_MAX);
    require(token >= json->tokens && token < json->tokens + json->count);
    require(range_fits(token->start, token->length, json->size));
    uint64_t value;
    (void)json_u64(json, token, &value);
    (void)json_is(json, token, "type");

    uint32_t end = (uint32_t)(token - json->tokens) + 1;
    for (uint32_t i = 0; i < token->children; i++) {
        const struct json_token *key, *child = json_at(json, token, i, &key);
        require(child && (key != NULL) == (token->type == JSON_OBJECT));
        if (key)
            require(key->type == JSON_STRING && visit(json, key, depth + 1) == ++end);
        require((uint32_t)(child - json->tokens) == end);
        end = visit(json, child, depth + 1);
    }
    require(!json_at(json, token, token->children, NULL));
    require(end == token->next);
    (void)json_member(json, token, "keyslots");
    return end;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static struct json_token tokens[TOKENS], fewer[TOKENS];
    struct json json, again;
    const char *text = (const char *)data;
    if (!json_parse(&json, text, size, tokens, TOKENS))
        return 0;
    require(json.count > 0 && json.count <= TOKENS);
    require(visit(&json, json.tokens, 0) == json.count);
    require(json_parse(&again, text, size, fewer, json.count));
    require(!json_parse(&again, text, size, fewer, json.count - 1));
    bool container = tokens[0].type == JSON_OBJECT || tokens[0].type == JSON_ARRAY;
    if (container)
        require(!json_parse(&again, text, tokens[0].start + tokens[0].length - 1, fewer, TOKENS));
    return 0;
}
