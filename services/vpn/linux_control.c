/* SPDX-License-Identifier: Apache-2.0 */
/* The control socket and SIGUSR1: the state in words, for whoever may open the socket. Nothing can be set. */
#define _GNU_SOURCE /* accept4 */
#include "services/vpn/linux.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

#define BACKLOG  4
#define TEXT_MAX 16384

static int listener = -1;
static struct sockaddr_un address = {.sun_family = AF_UNIX};

/* The whole state, gathered before any of it is written, so that a slow reader sees one moment. */
struct text {
    char bytes[TEXT_MAX];
    size_t size;
};

static void add_line(void *context, const char *line)
{
    struct text *t = context;
    size_t length = strlen(line);
    if (length + 1 > sizeof(t->bytes) - t->size)
        return;
    memcpy(t->bytes + t->size, line, length);
    t->bytes[t->size + length] = '\n';
    t->size += length + 1;
}

static const struct text *gather(const struct service *service)
{
    static struct text text; /* the program's one thread */
    char memory[80];
    text.size = 0;
    service_describe(service, add_line, &text);
    (void)snprintf(memory, sizeof(memory), "memory: %llu allocations since the start",
                   (unsigned long long)memory_allocations());
    add_line(&text, memory);
    return &text;
}

void control_print(const struct service *service)
{
    const struct text *text = gather(service);
    (void)fwrite(text->bytes, 1, text->size, stderr);
}

void control_open(const char *path)
{
    if (strlen(path) >= sizeof(address.sun_path))
        fail("The control socket's path is too long.");
    (void)snprintf(address.sun_path, sizeof(address.sun_path), "%s", path);
    struct stat info;
    if (lstat(path, &info) == 0 && S_ISSOCK(info.st_mode))
        (void)unlink(path); /* left by an earlier run */
    listener = socket(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
    mode_t before = umask(S_IRWXG | S_IRWXO);
    if (listener < 0 || bind(listener, (struct sockaddr *)&address, sizeof(address)) != 0 ||
        listen(listener, BACKLOG) != 0)
        fail("The control socket %s cannot be made: %s.", path, strerror(errno));
    (void)umask(before);
}

int control_descriptor(void)
{
    return listener;
}

void control_answer(const struct service *service)
{
    int peer = accept4(listener, NULL, NULL, SOCK_NONBLOCK | SOCK_CLOEXEC);
    if (peer < 0)
        return;
    const struct text *text = gather(service);
    (void)!send(peer, text->bytes, text->size, MSG_NOSIGNAL);
    close(peer);
}

void control_close(void)
{
    if (listener < 0)
        return;
    close(listener);
    (void)unlink(address.sun_path); /* fails where privileges were dropped; the next start removes it */
}
