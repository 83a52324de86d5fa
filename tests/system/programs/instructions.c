/* SPDX-License-Identifier: Apache-2.0 */
/* Runs in the guest: executes each virtualization instruction of AMD in user mode, and prints which of them
 * did not raise #UD (SIGILL). */
#include <setjmp.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>

static sigjmp_buf back;

static void on_signal(int number)
{
    siglongjmp(back, number);
}

#define INSTRUCTION(ident, text)                                                                             \
    static void ident(void)                                                                                  \
    {                                                                                                        \
        __asm__ volatile(text : : "a"(0), "c"(0) : "memory", "edx");                                         \
    }
INSTRUCTION(vmmcall, "vmmcall")
INSTRUCTION(vmcall, "vmcall")
INSTRUCTION(vmrun, "vmrun")
INSTRUCTION(vmload, "vmload")
INSTRUCTION(vmsave, "vmsave")
INSTRUCTION(stgi, "stgi")
INSTRUCTION(clgi, "clgi")
INSTRUCTION(skinit, "skinit")
INSTRUCTION(invlpga, "invlpga")

static const struct {
    const char *name;
    void (*execute)(void);
} instructions[] = {
    {"vmmcall", vmmcall}, {"vmcall", vmcall}, {"vmrun", vmrun},   {"vmload", vmload},   {"vmsave", vmsave},
    {"stgi", stgi},       {"clgi", clgi},     {"skinit", skinit}, {"invlpga", invlpga},
};

/* The signal that the instruction raised, 0 for none. */
static int signal_of(void (*execute)(void))
{
    int number = sigsetjmp(back, 1);
    if (number == 0)
        execute();
    return number;
}

int main(void)
{
    struct sigaction action;
    memset(&action, 0, sizeof(action));
    action.sa_handler = on_signal;
    action.sa_flags = SA_NODEFER;
    sigaction(SIGILL, &action, NULL);
    sigaction(SIGSEGV, &action, NULL);
    for (size_t i = 0; i < sizeof(instructions) / sizeof(instructions[0]); i++)
        printf("%s %d\n", instructions[i].name, signal_of(instructions[i].execute));
    return 0;
}
