/* SPDX-License-Identifier: Apache-2.0 */
/* IDENTIFY DEVICE data: what is read from it, and what the guest may see of it. */
#include "lib/ata.h"

#include "lib/padded.h"

#define WORD_SERIAL       10
#define WORD_MULTIPLE     59
#define MULTIPLE_VALID    BIT(8)
#define WORD_SECTORS      60 /* two words */
#define WORD_COMMANDS_2   83
#define COMMANDS_2_WIDE   BIT(10)
#define WORD_SECTORS_WIDE 100 /* four words */
#define WORD_TRIM_BLOCKS  105
#define WORD_SECTOR_SIZE  106
#define SECTOR_SIZE_VALID 0x4000u /* of bits 15:14 */
#define SECTOR_SIZE_LARGE BIT(12)
#define WORD_SECTOR_WORDS 117 /* two words */
#define WORD_INTEGRITY    255
#define INTEGRITY_MARK    0xa5u
#define VALID_MASK        0xc000u
#define SECTOR_BYTES      512u

static uint64_t words(const uint8_t *identify, unsigned first, unsigned count)
{
    uint64_t value = 0;
    for (unsigned i = count; i-- > 0;)
        value = value << 16 | ata_word(identify, first + i);
    return value;
}

void ata_serial(const uint8_t identify[ATA_IDENTIFY_BYTES], char out[ATA_SERIAL_BYTES + 1])
{
    uint8_t text[ATA_SERIAL_BYTES];
    for (unsigned i = 0; i < ATA_SERIAL_BYTES; i++)
        text[i] = identify[WORD_SERIAL * 2 + (i ^ 1)]; /* the first character is a word's high byte */
    padded_text(out, ATA_SERIAL_BYTES + 1, text, sizeof(text));
}

uint64_t ata_sectors(const uint8_t identify[ATA_IDENTIFY_BYTES])
{
    uint64_t wide = words(identify, WORD_SECTORS_WIDE, 4);
    if ((ata_word(identify, WORD_COMMANDS_2) & COMMANDS_2_WIDE) && wide)
        return wide;
    return words(identify, WORD_SECTORS, 2);
}

uint32_t ata_sector_bytes(const uint8_t identify[ATA_IDENTIFY_BYTES])
{
    uint16_t size = ata_word(identify, WORD_SECTOR_SIZE);
    if ((size & VALID_MASK) != SECTOR_SIZE_VALID || !(size & SECTOR_SIZE_LARGE))
        return SECTOR_BYTES;
    return (uint32_t)words(identify, WORD_SECTOR_WORDS, 2) * 2;
}

uint8_t ata_multiple(const uint8_t identify[ATA_IDENTIFY_BYTES])
{
    uint16_t setting = ata_word(identify, WORD_MULTIPLE);
    return setting & MULTIPLE_VALID ? (uint8_t)setting : 0;
}

/* The bits of a word that the guest may see, and those of its top two that say "valid" where they do. */
static const struct {
    uint8_t word;
    uint16_t keep;
} shown[] = {
    {48, VALID_MASK}, /* Trusted Computing */
    {59, 0x01ff},     /* Sanitize; the multiple setting stays */
    {69, 0x4000},     /* of additional features, deterministic reads after TRIM; zeros do not come
                         back as zeros through a cipher */
    {75, 0},          /* queue depth */
    {76, 0x000e},     /* of Serial ATA, the speeds */
    {77, 0},          /* more of Serial ATA */
    {78, 0},
    {79, 0},
    {82, 0x4069},              /* NOP, look-ahead, write cache, power management, SMART */
    {83, VALID_MASK | 0x3608}, /* flushes, 48-bit addresses, acoustic and advanced power management */
    {84, VALID_MASK | 0x2145}, /* unload, name, FUA, media serial number, SMART log */
    {85, 0x4069},              /* 82 to 84 once more: what is enabled */
    {86, 0x3608},
    {87, VALID_MASK | 0x2145},
    {92, 0},           /* master password */
    {119, VALID_MASK}, /* write uncorrectable, logs by DMA, microcode */
    {120, VALID_MASK},
    {128, 0}, /* security */
    {206, 0}, /* SMART command transport */
};

void ata_hide_features(uint8_t identify[ATA_IDENTIFY_BYTES], uint16_t trim_blocks_max)
{
    for (unsigned i = 0; i < ARRAY_COUNT(shown); i++)
        ata_set_word(identify, shown[i].word, ata_word(identify, shown[i].word) & shown[i].keep);
    if (ata_word(identify, WORD_TRIM_BLOCKS) > trim_blocks_max)
        ata_set_word(identify, WORD_TRIM_BLOCKS, trim_blocks_max);
    if ((ata_word(identify, WORD_INTEGRITY) & 0xff) != INTEGRITY_MARK)
        return;
    uint8_t sum = 0;
    for (unsigned i = 0; i < ATA_IDENTIFY_BYTES - 1; i++)
        sum = (uint8_t)(sum + identify[i]);
    identify[ATA_IDENTIFY_BYTES - 1] = (uint8_t)-sum;
}
