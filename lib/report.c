/* SPDX-License-Identifier: Apache-2.0 */
/* Failure sentences: the one nearest to the cause stays. */
#include "lib/report.h"
#include "lib/format.h"

bool report(struct report *r, const char *fmt, ...)
{
    if (r->text[0] == '\0') {
        va_list args;
        va_start(args, fmt);
        format_list(r->text, sizeof(r->text), fmt, args);
        va_end(args);
    }
    return false;
}
