/* SPDX-License-Identifier: Apache-2.0 */
/* The JSON reader: recursive descent over one bounded text, at most JSON_DEPTH_MAX calls deep. */
#include "lib/json.h"
#include "lib/strings.h"

struct parser {
    struct json *json;
    size_t at;
    uint32_t capacity;
    unsigned depth;
};

#define CODE_POINT_BAD 0xffffffffu
#define CODE_POINT_MAX 0x10ffffu
#define SURROGATE_HIGH 0xd800u
#define SURROGATE_LOW  0xdc00u
#define SURROGATE_END  0xe000u

static bool is_digit(char c)
{
    return c >= '0' && c <= '9';
}

/* ---- Characters of a string ---- */

struct span {
    const char *at, *end;
};

static uint32_t hex4(struct span *s)
{
    if (s->end - s->at < 4)
        return CODE_POINT_BAD;
    uint32_t value = 0;
    for (unsigned i = 0; i < 4; i++) {
        char c = *s->at++;
        char lower = (char)(c | 0x20);
        if (is_digit(c))
            value = value << 4 | (uint32_t)(c - '0');
        else if (lower >= 'a' && lower <= 'f')
            value = value << 4 | (uint32_t)(lower - 'a' + 10);
        else
            return CODE_POINT_BAD;
    }
    return value;
}

/* After "\u": the four digits, and the second half of a surrogate pair where one follows. A lone half is a
 * code point of its own. */
static uint32_t unicode_escape(struct span *s)
{
    uint32_t first = hex4(s);
    if (first < SURROGATE_HIGH || first >= SURROGATE_LOW)
        return first;
    if (s->end - s->at < 6 || s->at[0] != '\\' || s->at[1] != 'u')
        return first;
    struct span ahead = {s->at + 2, s->end};
    uint32_t second = hex4(&ahead);
    if (second < SURROGATE_LOW || second >= SURROGATE_END)
        return first;
    *s = ahead;
    return 0x10000 + ((first - SURROGATE_HIGH) << 10 | (second - SURROGATE_LOW));
}

static uint32_t escape(struct span *s)
{
    static const char letters[] = "\"\\/bfnrt", meanings[] = "\"\\/\b\f\n\r\t";
    if (s->at == s->end)
        return CODE_POINT_BAD;
    char c = *s->at++;
    if (c == 'u')
        return unicode_escape(s);
    for (unsigned i = 0; letters[i]; i++)
        if (letters[i] == c)
            return (uint8_t)meanings[i];
    return CODE_POINT_BAD;
}

/* The rest of a UTF-8 sequence (RFC 3629: shortest form, no surrogates). */
static uint32_t utf8_rest(struct span *s, uint8_t lead)
{
    unsigned more = lead >= 0xf0 ? 3 : lead >= 0xe0 ? 2 : 1;
    static const uint32_t smallest[] = {0, 0x80, 0x800, 0x10000};
    if (lead < 0xc2 || lead > 0xf4 || s->end - s->at < (ptrdiff_t)more)
        return CODE_POINT_BAD;
    uint32_t value = lead & (0x3fu >> more);
    for (unsigned i = 0; i < more; i++) {
        uint8_t next = (uint8_t)*s->at++;
        if ((next & 0xc0) != 0x80)
            return CODE_POINT_BAD;
        value = value << 6 | (next & 0x3f);
    }
    bool surrogate = value >= SURROGATE_HIGH && value < SURROGATE_END;
    return value < smallest[more] || value > CODE_POINT_MAX || surrogate ? CODE_POINT_BAD : value;
}

/* The next character of a string's text, which must not be at its end. CODE_POINT_BAD when it is not a legal
 * one. */
static uint32_t next_character(struct span *s)
{
    uint8_t c = (uint8_t)*s->at++;
    if (c < 0x20)
        return CODE_POINT_BAD;
    if (c == '\\')
        return escape(s);
    return c < 0x80 ? c : utf8_rest(s, c);
}

static struct span span_of(const struct json *json, const struct json_token *token)
{
    const char *start = json->text + token->start;
    return (struct span){start, start + token->length};
}

/* Compares what two legal string texts mean, so that an escaped spelling is no second key. */
static bool same_text(struct span a, struct span b)
{
    while (a.at != a.end && b.at != b.end)
        if (next_character(&a) != next_character(&b))
            return false;
    return a.at == a.end && b.at == b.end;
}

/* ---- Values ---- */

static int peek(const struct parser *p)
{
    return p->at < p->json->size ? (uint8_t)p->json->text[p->at] : -1;
}

static bool take(struct parser *p, char c)
{
    if (peek(p) != c)
        return false;
    p->at++;
    return true;
}

static void skip_space(struct parser *p)
{
    for (int c = peek(p); c == ' ' || c == '\t' || c == '\n' || c == '\r'; c = peek(p))
        p->at++;
}

static struct json_token *new_token(struct parser *p, enum json_type type)
{
    if (p->json->count == p->capacity)
        return NULL;
    struct json_token *token = &p->json->tokens[p->json->count++];
    *token = (struct json_token){.type = type, .start = (uint32_t)p->at, .next = p->json->count};
    return token;
}

static void end_token(struct parser *p, struct json_token *token)
{
    token->length = (uint32_t)p->at - token->start;
    token->next = p->json->count;
}

static bool parse_string(struct parser *p)
{
    if (!take(p, '"'))
        return false;
    struct json_token *token = new_token(p, JSON_STRING);
    if (!token)
        return false;
    struct span s = {p->json->text + p->at, p->json->text + p->json->size};
    while (s.at != s.end && *s.at != '"')
        if (next_character(&s) == CODE_POINT_BAD)
            return false;
    p->at = (size_t)(s.at - p->json->text);
    end_token(p, token);
    return take(p, '"');
}

static bool take_digits(struct parser *p)
{
    size_t start = p->at;
    while (peek(p) >= '0' && peek(p) <= '9')
        p->at++;
    return p->at != start;
}

static bool parse_number(struct parser *p)
{
    struct json_token *token = new_token(p, JSON_NUMBER);
    if (!token)
        return false;
    (void)take(p, '-');
    if (!take(p, '0') && !take_digits(p))
        return false;
    if (take(p, '.') && !take_digits(p))
        return false;
    if (take(p, 'e') || take(p, 'E')) {
        if (!take(p, '+'))
            (void)take(p, '-');
        if (!take_digits(p))
            return false;
    }
    end_token(p, token);
    return true;
}

static bool parse_word(struct parser *p, const char *word, enum json_type type)
{
    struct json_token *token = new_token(p, type);
    if (!token)
        return false;
    for (; *word; word++)
        if (!take(p, *word))
            return false;
    end_token(p, token);
    return true;
}

static bool parse_value(struct parser *p);

/* One member's key and ':'; a key that the object has already is an error, since readers disagree about which
 * one counts. */
static bool parse_key(struct parser *p, uint32_t object)
{
    const struct json_token *tokens = p->json->tokens;
    uint32_t key = p->json->count;
    if (!parse_string(p))
        return false;
    for (uint32_t other = object + 1; other < key; other = tokens[other + 1].next)
        if (same_text(span_of(p->json, &tokens[other]), span_of(p->json, &tokens[key])))
            return false;
    skip_space(p);
    return take(p, ':');
}

static bool parse_container(struct parser *p, enum json_type type)
{
    char close = type == JSON_OBJECT ? '}' : ']';
    uint32_t index = p->json->count;
    struct json_token *token = new_token(p, type);
    if (!token || ++p->depth > JSON_DEPTH_MAX)
        return false;
    p->at++;
    skip_space(p);
    if (!take(p, close)) {
        do {
            skip_space(p);
            if (type == JSON_OBJECT && !parse_key(p, index))
                return false;
            if (!parse_value(p))
                return false;
            token->children++;
        } while (take(p, ','));
        if (!take(p, close))
            return false;
    }
    p->depth--;
    end_token(p, token);
    return true;
}

/* A value, with the white space on both sides of it. */
static bool parse_value(struct parser *p)
{
    skip_space(p);
    bool good;
    switch (peek(p)) {
    case '{':
        good = parse_container(p, JSON_OBJECT);
        break;
    case '[':
        good = parse_container(p, JSON_ARRAY);
        break;
    case '"':
        good = parse_string(p);
        break;
    case 't':
        good = parse_word(p, "true", JSON_TRUE);
        break;
    case 'f':
        good = parse_word(p, "false", JSON_FALSE);
        break;
    case 'n':
        good = parse_word(p, "null", JSON_NULL);
        break;
    default:
        good = parse_number(p);
    }
    skip_space(p);
    return good;
}

bool json_parse(struct json *json, const char *text, size_t size, struct json_token *tokens,
                uint32_t capacity)
{
    *json = (struct json){.text = text, .size = size, .tokens = tokens};
    struct parser p = {.json = json, .capacity = capacity};
    if (size > UINT32_MAX)
        return false;
    return parse_value(&p) && p.at == size;
}

/* ---- Looking at the tokens ---- */

const struct json_token *json_at(const struct json *json, const struct json_token *container, uint32_t index,
                                 const struct json_token **key)
{
    if (!container || index >= container->children)
        return NULL;
    bool object = container->type == JSON_OBJECT;
    uint32_t at = (uint32_t)(container - json->tokens) + 1;
    for (uint32_t i = 0; i < index; i++)
        at = json->tokens[object ? at + 1 : at].next;
    if (key)
        *key = object ? &json->tokens[at] : NULL;
    return &json->tokens[object ? at + 1 : at];
}

const struct json_token *json_member(const struct json *json, const struct json_token *object,
                                     const char *key)
{
    if (!object || object->type != JSON_OBJECT)
        return NULL;
    size_t length = strlen(key);
    uint32_t at = (uint32_t)(object - json->tokens) + 1;
    for (uint32_t i = 0; i < object->children; i++) {
        const struct json_token *name = &json->tokens[at], *value = name + 1;
        struct span wanted = {key, key + length};
        if (same_text(span_of(json, name), wanted))
            return value;
        at = value->next;
    }
    return NULL;
}

bool json_is(const struct json *json, const struct json_token *token, const char *text)
{
    if (!token || token->type != JSON_STRING || token->length != strlen(text))
        return false;
    const char *start = json->text + token->start;
    return !memchr(start, '\\', token->length) && memcmp(start, text, token->length) == 0;
}

bool json_u64(const struct json *json, const struct json_token *token, uint64_t *out)
{
    if (!token || (token->type != JSON_NUMBER && token->type != JSON_STRING) || token->length == 0)
        return false;
    const char *digits = json->text + token->start;
    if (digits[0] == '0' && token->length > 1)
        return false;
    uint64_t value = 0;
    for (uint32_t i = 0; i < token->length; i++) {
        if (!is_digit(digits[i]))
            return false;
        if (__builtin_mul_overflow(value, 10, &value) ||
            __builtin_add_overflow(value, (uint64_t)(digits[i] - '0'), &value))
            return false;
    }
    *out = value;
    return true;
}
