/* SPDX-License-Identifier: Apache-2.0 */
/* What IDENTIFY DEVICE tells (ACS-3 section 7.12.7): 256 little-endian words. */
#ifndef SHOJI_LIB_ATA_H
#define SHOJI_LIB_ATA_H

#include "lib/base.h"

#define ATA_IDENTIFY_BYTES 512u
#define ATA_SERIAL_BYTES   20u

static inline uint16_t ata_word(const uint8_t *identify, unsigned word)
{
    return (uint16_t)(identify[word * 2] | identify[word * 2 + 1] << 8);
}

static inline void ata_set_word(uint8_t *identify, unsigned word, uint16_t value)
{
    identify[word * 2] = (uint8_t)value;
    identify[word * 2 + 1] = (uint8_t)(value >> 8);
}

/* The serial number as text, without padding. */
void ata_serial(const uint8_t identify[ATA_IDENTIFY_BYTES], char out[ATA_SERIAL_BYTES + 1]);

/* How many logical sectors can be addressed, and how large one is. */
uint64_t ata_sectors(const uint8_t identify[ATA_IDENTIFY_BYTES]);
uint32_t ata_sector_bytes(const uint8_t identify[ATA_IDENTIFY_BYTES]);

/* Sectors in a block of READ and WRITE MULTIPLE as it is set now; 0: not set. */
uint8_t ata_multiple(const uint8_t identify[ATA_IDENTIFY_BYTES]);

/* Removes from a disk's own description what the mediator does not let through, and mends the checksum. */
void ata_hide_features(uint8_t identify[ATA_IDENTIFY_BYTES], uint16_t trim_blocks_max);

#endif
