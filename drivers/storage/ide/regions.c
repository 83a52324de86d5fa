/* SPDX-License-Identifier: Apache-2.0 */
/* Physical region descriptor tables: the guest's, read once and checked, and the device's, which are
 * Shoji's. */
#include "core/memory.h"
#include "drivers/storage/ide/ide.h"
#include "guest/memory.h"

#define ADDRESS_MASK (~1u) /* words: bit 0 of addresses and lengths does not count */
#define TABLE_MASK   (~3u)

static uint32_t table_address(const struct ide_channel *channel)
{
    const uint8_t *b = channel->master_table;
    return (b[0] | (uint32_t)b[1] << 8 | (uint32_t)b[2] << 16 | (uint32_t)b[3] << 24) & TABLE_MASK;
}

bool regions_read(struct ide_channel *channel)
{
    uint64_t at = table_address(channel);
    channel->stretch_count = channel->stretch_at = channel->stretch_offset = 0;
    while (channel->stretch_count < IDE_REGIONS_MAX) {
        struct ide_region region;
        if (!guest_memory_read(at, &region, sizeof(region)))
            return false;
        uint32_t base = region.base & ADDRESS_MASK, bytes = region.bytes & ADDRESS_MASK;
        if (!bytes)
            bytes = REGION_BYTES_MAX;
        /* A region should not cross a 64 KiB boundary, but firmware's do, and devices go on. */
        if (!range_fits(base, bytes, IDE_ADDRESS_LIMIT) || !guest_memory_is_ram(base, bytes))
            return false;
        channel->stretches[channel->stretch_count++] = (struct ide_stretch){base, bytes};
        if (region.flags & REGION_LAST)
            return true;
        at += sizeof(region);
    }
    return false;
}

uint64_t regions_bytes(const struct ide_channel *channel)
{
    uint64_t sum = 0;
    for (uint32_t i = 0; i < channel->stretch_count; i++)
        sum += channel->stretches[i].bytes;
    return sum;
}

bool regions_copy(struct ide_channel *channel, bool to_guest, uint32_t bytes)
{
    uint8_t *own = channel->buffer;
    while (bytes && channel->stretch_at < channel->stretch_count) {
        const struct ide_stretch *s = &channel->stretches[channel->stretch_at];
        uint32_t now = MIN(bytes, s->bytes - channel->stretch_offset);
        uint64_t address = (uint64_t)s->address + channel->stretch_offset;
        if (!(to_guest ? guest_memory_write(address, own, now) : guest_memory_read(address, own, now)))
            return false;
        own += now;
        bytes -= now;
        channel->stretch_offset += now;
        if (channel->stretch_offset == s->bytes) {
            channel->stretch_at++;
            channel->stretch_offset = 0;
        }
    }
    return !bytes;
}

/* Appends a stretch to the device's table, in regions that cross no 64 KiB boundary. */
static bool append(struct ide_channel *channel, uint32_t *count, uint64_t address, uint32_t bytes)
{
    while (bytes && *count < IDE_REGIONS_MAX) {
        uint32_t now = (uint32_t)MIN((uint64_t)bytes, REGION_BYTES_MAX - address % REGION_BYTES_MAX);
        channel->table[(*count)++] = (struct ide_region){.base = (uint32_t)address, .bytes = (uint16_t)now};
        address += now;
        bytes -= now;
    }
    return !bytes;
}

void regions_point_to_buffer(struct ide_channel *channel, uint32_t bytes)
{
    uint32_t count = 0;
    static_assert(IDE_BUFFER_BYTES / REGION_BYTES_MAX + 1 <= IDE_REGIONS_MAX, "the buffer fits a table");
    (void)append(channel, &count, physical_of(channel->buffer), bytes);
    channel->table[count - 1].flags = REGION_LAST;
}

bool regions_point_to_guest(struct ide_channel *channel)
{
    uint32_t count = 0;
    for (uint32_t i = 0; i < channel->stretch_count; i++)
        if (!append(channel, &count, channel->stretches[i].address, channel->stretches[i].bytes))
            return false;
    channel->table[count - 1].flags = REGION_LAST;
    return true;
}
