/* SPDX-License-Identifier: Apache-2.0 */
/* The JSON area: config, requirements and the segment. Key slots and digests are in slots.c. */
#include "crypto/volume/metadata.h"
#include "lib/strings.h"

#define CIPHER           "aes-xts-plain64"
#define UNIT_BYTES       512
#define SECTOR_BYTES_MAX 4096
#define SLOTS_AREA_ALIGN 4096
#define SLOTS_AREA_MAX   MIB(128) /* of the specification */

bool metadata_bad(struct metadata *m, const char *what)
{
    return report(m->problem,
                  "The LUKS2 header's metadata is not valid (%s); restore the header from a backup, "
                  "with cryptsetup luksHeaderRestore.",
                  what);
}

struct metadata_name metadata_name(const struct json *json, const struct json_token *token)
{
    struct metadata_name name = {""};
    if (!token || token->type != JSON_STRING)
        return name;
    for (uint32_t i = 0; i < token->length && i < METADATA_NAME_MAX - 1; i++) {
        char c = json->text[token->start + i];
        name.text[i] = c >= ' ' && c <= '~' ? c : '?';
    }
    return name;
}

bool metadata_u32(const struct json *json, const struct json_token *token, uint32_t least, uint32_t *out)
{
    uint64_t value;
    if (!json_u64(json, token, &value) || value < least || value > UINT32_MAX)
        return false;
    *out = (uint32_t)value;
    return true;
}

bool metadata_key_number(const struct json *json, const struct json_token *key, uint32_t *out)
{
    const char *digits = json->text + key->start;
    if (key->type != JSON_STRING || key->length < 1 || key->length > 2 ||
        (key->length == 2 && digits[0] == '0'))
        return false;
    *out = 0;
    for (uint32_t i = 0; i < key->length; i++) {
        if (digits[i] < '0' || digits[i] > '9')
            return false;
        *out = *out * 10 + (uint32_t)(digits[i] - '0');
    }
    return true;
}

static bool has_prefix(const char *text, const char *prefix)
{
    return strncmp(text, prefix, strlen(prefix)) == 0;
}

/* LUKS2 specification, config object: whoever does not know a mandatory requirement leaves the volume alone.
 * This version knows none. */
static bool check_requirements(struct metadata *m, const struct json_token *requirements)
{
    if (!requirements)
        return true;
    if (requirements->type != JSON_OBJECT)
        return metadata_bad(m, "requirements");
    const struct json_token *mandatory = json_member(&m->json, requirements, "mandatory");
    if (!mandatory)
        return true;
    if (mandatory->type != JSON_ARRAY)
        return metadata_bad(m, "requirements");
    const struct json_token *first = json_at(&m->json, mandatory, 0, NULL);
    if (!first)
        return true;
    struct metadata_name name = metadata_name(&m->json, first);
    if (has_prefix(name.text, "online-reencrypt") || has_prefix(name.text, "offline-reencrypt"))
        return report(m->problem,
                      "The volume's re-encryption has begun and is not finished (%s); finish it with "
                      "cryptsetup reencrypt --resume-only.",
                      name.text);
    return report(m->problem,
                  "The LUKS2 header requires \"%s\", which this version does not know; use a newer Shoji, "
                  "or a volume without it.",
                  name.text);
}

static bool read_config(struct metadata *m, const struct json_token *config, uint64_t json_bytes)
{
    uint64_t json_size, slots_size;
    if (!config || config->type != JSON_OBJECT ||
        !json_u64(&m->json, json_member(&m->json, config, "json_size"), &json_size) ||
        !json_u64(&m->json, json_member(&m->json, config, "keyslots_size"), &slots_size))
        return metadata_bad(m, "config");
    if (json_size != json_bytes || slots_size > SLOTS_AREA_MAX || slots_size % SLOTS_AREA_ALIGN)
        return metadata_bad(m, "config sizes");
    if (!check_requirements(m, json_member(&m->json, config, "requirements")))
        return false;
    m->slots_end = 2 * m->header_bytes + slots_size;
    if (m->slots_end > m->file_bytes)
        return report(
            m->problem,
            "The LUKS2 header is cut short (%llu of %llu bytes are there); restore it from a backup, "
            "with cryptsetup luksHeaderRestore.",
            (unsigned long long)m->file_bytes, (unsigned long long)m->slots_end);
    return true;
}

static bool read_segment_range(struct metadata *m, const struct json_token *segment)
{
    struct luks2 *out = m->out;
    const struct json_token *size = json_member(&m->json, segment, "size");
    if (!json_u64(&m->json, json_member(&m->json, segment, "offset"), &out->segment_offset) ||
        !json_u64(&m->json, json_member(&m->json, segment, "iv_tweak"), &out->iv_tweak) ||
        !metadata_u32(&m->json, json_member(&m->json, segment, "sector_size"), UNIT_BYTES,
                      &out->sector_bytes))
        return false;
    const uint32_t sector = out->sector_bytes;
    if (sector > SECTOR_BYTES_MAX || (sector & (sector - 1)) || out->segment_offset % UNIT_BYTES)
        return false;
    if (json_is(&m->json, size, "dynamic"))
        return true;
    return json_u64(&m->json, size, &out->segment_bytes) && out->segment_bytes &&
           out->segment_bytes % sector == 0 &&
           range_fits(out->segment_offset, out->segment_bytes, UINT64_MAX);
}

/* One segment of type "crypt" is what an ordinary volume has; more than one belongs to a re-encryption. */
static bool read_segments(struct metadata *m, const struct json_token *segments)
{
    const struct json_token *segment = json_member(&m->json, segments, "0");
    if (!segment || segment->type != JSON_OBJECT)
        return metadata_bad(m, "segments");
    if (segments->children != 1)
        return report(m->problem,
                      "The volume is made of more than one segment, which this version does not know; "
                      "if a re-encryption is under way, finish it with cryptsetup reencrypt --resume-only.");
    const struct json_token *type = json_member(&m->json, segment, "type");
    const struct json_token *encryption = json_member(&m->json, segment, "encryption");
    if (!json_is(&m->json, type, "crypt"))
        return report(
            m->problem,
            "The volume's segment is of the type \"%s\", not \"crypt\"; Shoji needs an encrypted one.",
            metadata_name(&m->json, type).text);
    if (json_member(&m->json, segment, "integrity"))
        return report(m->problem,
                      "The volume has integrity protection (dm-integrity), which this version does not know; "
                      "use a volume made without --integrity.");
    if (!json_is(&m->json, encryption, CIPHER))
        return report(m->problem,
                      "The volume's cipher is \"%s\", and this version knows " CIPHER " only; "
                      "change it with cryptsetup reencrypt --cipher " CIPHER ".",
                      metadata_name(&m->json, encryption).text);
    if (!read_segment_range(m, segment))
        return metadata_bad(m, "segment 0");
    return true;
}

/* The text ends at the first NUL; what follows it is zero. */
static bool text_length(const char *area, size_t area_bytes, size_t *length)
{
    const char *end = memchr(area, 0, area_bytes);
    if (!end)
        return false;
    *length = (size_t)(end - area);
    for (const char *p = end; p < area + area_bytes; p++)
        if (*p)
            return false;
    return true;
}

bool metadata_read(struct metadata *m, const char *area, size_t area_bytes, struct luks2_scratch *scratch)
{
    size_t length;
    if (!text_length(area, area_bytes, &length) ||
        !json_parse(&m->json, area, length, scratch->tokens, LUKS2_TOKENS_MAX) ||
        m->json.tokens[0].type != JSON_OBJECT)
        return metadata_bad(m, "not JSON, or too much of it");
    const struct json_token *root = &m->json.tokens[0];
    return read_config(m, json_member(&m->json, root, "config"), area_bytes) &&
           read_segments(m, json_member(&m->json, root, "segments")) &&
           metadata_read_slots(m, json_member(&m->json, root, "keyslots")) &&
           metadata_read_digest(m, json_member(&m->json, root, "digests"));
}
