/* SPDX-License-Identifier: Apache-2.0 */
/* What lwIP asks of its surroundings: time, chance, and where a broken assertion goes. */
#include "services/vpn/surroundings.h"

#include "lib/format.h"

#include <lwip/opt.h>
#include <lwip/sys.h>

u32_t sys_now(void)
{
    return (u32_t)vpn_now(); /* it wraps, and lwIP counts with that */
}

/* Ports, transaction numbers and back-offs. Without chance there is no safe way to go on. */
uint32_t wire_random(void)
{
    uint32_t value;
    if (!vpn_entropy(NULL, &value, sizeof(value)))
        wire_assertion_failed("the random generator failed");
    return value;
}

void wire_assertion_failed(const char *what)
{
    char text[160];
    (void)format(text, sizeof(text), "The VPN's network stack stopped: %s.", what);
    vpn_log(text);
    __builtin_trap();
}
