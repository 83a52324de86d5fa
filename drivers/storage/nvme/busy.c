/* SPDX-License-Identifier: Apache-2.0 */
/* The busy table: guest pages that a device writes ciphertext into right now. A page in two such commands
 * would be decrypted twice, so the second one is bounced. */
#include "drivers/storage/nvme/nvme.h"

#define BUSY_ROWS 4096 /* a power of two */
#define BUSY_WAYS 4

static struct {
    struct spinlock lock; /* covers the rows; page number + 1, 0: free */
    uint64_t rows[BUSY_ROWS][BUSY_WAYS];
} busy;

static uint64_t *row_of(uint64_t page)
{
    uint64_t number = page >> PAGE_SHIFT;
    return busy.rows[(number ^ number >> 12) % BUSY_ROWS];
}

static bool enter_one(uint64_t page)
{
    uint64_t *row = row_of(page), *place = NULL, mark = (page >> PAGE_SHIFT) + 1;
    for (unsigned i = 0; i < BUSY_WAYS; i++) {
        if (row[i] == mark)
            return false;
        if (!row[i])
            place = &row[i];
    }
    if (!place)
        return false;
    *place = mark;
    return true;
}

static void leave_one(uint64_t page)
{
    uint64_t *row = row_of(page);
    for (unsigned i = 0; i < BUSY_WAYS; i++)
        if (row[i] == (page >> PAGE_SHIFT) + 1)
            row[i] = 0;
}

bool busy_enter(const uint64_t *pages, unsigned count)
{
    unsigned done = 0;
    spin_lock(&busy.lock);
    while (done < count && enter_one(pages[done]))
        done++;
    bool all = done == count;
    while (!all && done)
        leave_one(pages[--done]);
    spin_unlock(&busy.lock);
    return all;
}

void busy_leave(const uint64_t *pages, unsigned count)
{
    spin_lock(&busy.lock);
    for (unsigned i = 0; i < count; i++)
        leave_one(pages[i]);
    spin_unlock(&busy.lock);
}
