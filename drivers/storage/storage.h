/* SPDX-License-Identifier: Apache-2.0 */
/* What every kind of disk shares: which blocks belong to a volume, their transformation, what may be written,
 * and the counters. A disk is a range of logical blocks behind one PCI function; how commands reach it (NVMe,
 * AHCI, IDE, USB) is the driver's own matter. */
#ifndef SHOJI_DRIVERS_STORAGE_H
#define SHOJI_DRIVERS_STORAGE_H

#include "core/pci.h"
#include "include/handoff.h"
#include "include/hypercall.h"
#include "lib/base.h"
#include "lib/report.h"

struct storage_disk;

/* What a driver found out about the disk itself. */
struct storage_identity {
    struct pci_address at;
    uint32_t unit; /* NVMe namespace, IDE drive (channel * 2 + drive), SATA port, USB LUN */
    uint32_t block_bytes;
    uint64_t blocks;
    const char *serial; /* without padding */
};

enum storage_direction { STORAGE_ENCRYPT, STORAGE_DECRYPT };

enum storage_verdict {
    STORAGE_PASS,  /* may be written as it is                                                             */
    STORAGE_CHECK, /* pinned partition-table fields are in the range: ask storage_content_allowed on a private
                      copy */
    STORAGE_DENY,  /* the policy denies it, or the keys are gone  */
};

/* Takes the volumes and keys of the hand-off. Called by each driver's probe; the first call counts. False: a
 * key cannot be used. */
bool storage_start(const struct handoff *handoff) must_check;

/* True when a volume of the hand-off lies behind this function, so that a driver must mediate it. */
bool storage_has_volume(struct pci_address at);

/* True when a volume lies on this unit of it. */
bool storage_unit_has_volume(struct pci_address at, uint32_t unit);

/* Binds the volumes of one disk to it after their pinned identity has been checked (serial, block size,
 * range). NULL with a sentence when it is another disk. */
struct storage_disk *storage_attach(const struct storage_identity *identity,
                                    struct report *problem) must_check;

/* How many of the volumes have a disk. A driver's probe that cannot attach all volumes of its function fails
 * the launch. */
unsigned storage_volumes_attached(struct pci_address at);
unsigned storage_volumes_expected(struct pci_address at);

/* True when any of the blocks lies in a volume; when all of them do. The range must lie on the disk. */
bool storage_touches(const struct storage_disk *disk, uint64_t lba, uint64_t count);
bool storage_within(const struct storage_disk *disk, uint64_t lba, uint64_t count);

/* What a transformation reads and writes: the same buffer, or two that do not overlap. */
struct storage_buffers {
    const void *in;
    void *out;
    size_t bytes; /* a multiple of the block */
};

/* Transforms those blocks that lie in a volume, and copies the others. Between simd_begin() and simd_end().
 * False, and what is in `out` is of no use, once the keys have been wiped. */
bool storage_transform(struct storage_disk *disk, enum storage_direction direction, uint64_t lba,
                       const struct storage_buffers *buffers) must_check;

/* May these blocks be written? */
enum storage_verdict storage_write_verdict(const struct storage_disk *disk, uint64_t lba, uint64_t count);

/* Does this piece of a write, which begins at `lba` of the disk, leave every pinned field of the partition
 * table as it is? */
bool storage_content_allowed(const struct storage_disk *disk, uint64_t lba, const void *buffer,
                             size_t bytes) must_check;

/* May the blocks be deallocated? Inside volumes the policy's `discard` decides; a range that crosses an edge
 * or touches pinned fields is not discarded. */
bool storage_discard_allowed(const struct storage_disk *disk, uint64_t lba, uint64_t count);

/* Counts a refused command; and tells whether the disk's controller is enabled now. */
void storage_count_refused(struct storage_disk *disk);
void storage_set_active(struct storage_disk *disk, bool active);

/* For the hypercall: the index-th volume of the hand-off (zeroes for any other). */
void storage_volume_status(unsigned index, struct status_volume *out);

/* Wipes all keys; from then on nothing in a volume can be read or written. Before reset, power-off and at a
 * panic: takes no lock, waits for nobody. */
void storage_wipe(void);

#endif
