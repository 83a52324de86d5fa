/* SPDX-License-Identifier: Apache-2.0 */
/* How a failure reaches the user: one clear sentence, built where the cause is known. */
#ifndef SHOJI_LIB_REPORT_H
#define SHOJI_LIB_REPORT_H

#include "lib/base.h"

#define REPORT_MAX 400

/* The sentence that says what is wrong and what to do; empty while nothing is. Owned by the caller. */
struct report {
    char text[REPORT_MAX];
};

/* Sets the sentence (the first one stays: the cause nearest to the fault wins). Always returns false, so that
 * a parser can say `return report(r, "...")`. The format is that of lib/format.h. */
bool report(struct report *r, const char *fmt, ...) printf_like(2, 3);

#endif
