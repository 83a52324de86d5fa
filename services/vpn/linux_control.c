/* SPDX-License-Identifier: Apache-2.0 */
/* The control socket and SIGUSR1: the state in words, for whoever may open the socket. Nothing can be set.
 * The state ends with a count of what was asked of malloc (the linker's --wrap), to show that the way of a
 * packet asks for nothing. */
#define _GNU_SOURCE /* accept4 */
#include "services/vpn/linux.h"

#include "lib/format.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

#define BACKLOG  4
#define TEXT_MAX 16384

int control_descriptor = -1;
static struct sockaddr_un address = {.sun_family = AF_UNIX};

/* ---- Allocations, by the service and by libcrypto; the program has one thread ---- */

void *__real_malloc(size_t size);
void *__real_calloc(size_t count, size_t size);
void *__real_realloc(void *old, size_t size);
void *__wrap_malloc(size_t size);
void *__wrap_calloc(size_t count, size_t size);
void *__wrap_realloc(void *old, size_t size);

static unsigned long long allocations;

void *__wrap_malloc(size_t size)
{
    allocations++;
    return __real_malloc(size);
}

void *__wrap_calloc(size_t count, size_t size)
{
    allocations++;
    return __real_calloc(count, size);
}

void *__wrap_realloc(void *old, size_t size)
{
    allocations++;
    return __real_realloc(old, size);
}

/* ---- The state ---- */

/* The whole state, gathered before any of it is written, so that a slow reader sees one moment. */
static char text[TEXT_MAX];
static size_t text_size;

static void add_line(void *context, const char *line)
{
    (void)context;
    text_size += format(text + text_size, sizeof(text) - text_size, "%s\n", line);
}

static void gather(const struct service *service)
{
    text_size = 0;
    service_describe(service, add_line, NULL);
    text_size += format(text + text_size, sizeof(text) - text_size,
                        "memory: %llu allocations since the start\n", allocations);
}

void control_print(const struct service *service)
{
    gather(service);
    (void)fwrite(text, 1, text_size, stderr);
}

/* ---- The socket ---- */

void control_open(const char *path)
{
    if (!copy_string(address.sun_path, sizeof(address.sun_path), path))
        fail("The control socket's path is too long.");
    struct stat info;
    if (lstat(path, &info) == 0 && S_ISSOCK(info.st_mode))
        (void)unlink(path); /* left by an earlier run */
    control_descriptor = socket(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
    mode_t before = umask(S_IRWXG | S_IRWXO);
    if (control_descriptor < 0 ||
        bind(control_descriptor, (struct sockaddr *)&address, sizeof(address)) != 0 ||
        listen(control_descriptor, BACKLOG) != 0)
        fail("The control socket %s cannot be made: %s.", path, strerror(errno));
    (void)umask(before);
}

void control_answer(const struct service *service)
{
    int peer = accept4(control_descriptor, NULL, NULL, SOCK_NONBLOCK | SOCK_CLOEXEC);
    if (peer < 0)
        return;
    gather(service);
    (void)!send(peer, text, text_size, MSG_NOSIGNAL);
    close(peer);
}
