/* SPDX-License-Identifier: Apache-2.0 */
/* How the drivers above put their part into the status, by linker section. */
#ifndef SHOJI_GUEST_STATUS_SOURCE_H
#define SHOJI_GUEST_STATUS_SOURCE_H

#include "include/hypercall.h"

struct status_source {
    /* Fills in the index-th volume of the hand-off; any CPU, takes no lock. */
    void (*volume)(unsigned index, struct status_volume *out);
};
#define STATUS_SOURCE(ident, function)                                                                       \
    static const struct status_source ident                                                                  \
        __attribute__((used, section("status_sources"))) = {.volume = function}

#endif
