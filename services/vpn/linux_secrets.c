/* SPDX-License-Identifier: Apache-2.0 */
/* Secrets as files of one folder. In Shoji they come sealed under a volume key, behind the same call. */
#include "services/vpn/linux.h"

#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <unistd.h>

static int folder = -1;

bool secrets_open(const char *path)
{
    folder = open(path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    return folder >= 0;
}

/* Reads until the end or until the room is full; a file that fills it is too large. */
static bool read_whole(int file, uint8_t *out, size_t capacity, size_t *size)
{
    *size = 0;
    while (*size < capacity) {
        ssize_t got = read(file, out + *size, capacity - *size);
        if (got == 0)
            return true;
        if (got < 0 && errno != EINTR)
            return false;
        *size += got > 0 ? (size_t)got : 0;
    }
    return false;
}

bool vpn_secret(const char *name, uint8_t *out, size_t capacity, size_t *size)
{
    if (strchr(name, '/') || name[0] == '.')
        return false;
    int file = openat(folder, name, O_RDONLY | O_NOFOLLOW | O_CLOEXEC);
    if (file < 0)
        return false;
    bool good = read_whole(file, out, capacity, size);
    close(file);
    return good;
}
