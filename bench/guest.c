/* SPDX-License-Identifier: Apache-2.0 */
/* A static Linux program that runs in the guest: how many of each of these a CPU does in a second. Usage:
 * guest-bench cpu|syscall|fork|pipe SECONDS */
#define _GNU_SOURCE
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

static double now(void)
{
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    return (double)t.tv_sec + (double)t.tv_nsec * 1e-9;
}

static int to_child[2], to_parent[2];

static void pipe_child(void)
{
    char byte;
    while (read(to_child[0], &byte, 1) == 1)
        if (write(to_parent[1], &byte, 1) != 1)
            break;
    _exit(0);
}

static void pipe_start(void)
{
    if (pipe(to_child) || pipe(to_parent))
        exit(1);
    pid_t child = fork();
    if (child < 0)
        exit(1);
    if (child == 0) {
        close(to_child[1]);
        pipe_child();
    }
}

static void pipe_once(void)
{
    char byte = 0;
    if (write(to_child[1], &byte, 1) != 1 || read(to_parent[0], &byte, 1) != 1)
        exit(1);
}

static void cpu_once(void)
{
    static volatile uint64_t sink;
    uint64_t x = sink + 88172645463325252ull;
    for (int i = 0; i < 10000; i++) {
        x ^= x << 13;
        x ^= x >> 7;
        x ^= x << 17;
    }
    sink = x;
}

static void syscall_once(void)
{
    for (int i = 0; i < 1000; i++)
        syscall(SYS_getppid);
}

static void fork_once(void)
{
    int status;
    pid_t child = fork();
    if (child == 0)
        _exit(0);
    if (child < 0 || waitpid(child, &status, 0) != child)
        exit(1);
}

static const struct {
    const char *name;
    void (*start)(void);
    void (*once)(void);
} kinds[] = {
    {"cpu", NULL, cpu_once},
    {"syscall", NULL, syscall_once},
    {"fork", NULL, fork_once},
    {"pipe", pipe_start, pipe_once},
};

int main(int argc, char **argv)
{
    double seconds = argc == 3 ? atof(argv[2]) : 0;
    for (size_t i = 0; seconds > 0 && i < sizeof(kinds) / sizeof(kinds[0]); i++) {
        if (strcmp(argv[1], kinds[i].name) != 0)
            continue;
        if (kinds[i].start)
            kinds[i].start();
        uint64_t count = 0;
        double start = now(), end;
        do {
            kinds[i].once();
            count++;
            end = now();
        } while (end - start < seconds);
        printf("%.3f\n", (double)count / (end - start));
        return 0;
    }
    fprintf(stderr, "usage: guest-bench cpu|syscall|fork|pipe SECONDS\n");
    return 1;
}
