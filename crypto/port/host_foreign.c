/* SPDX-License-Identifier: Apache-2.0 */
/* Code compiled for Linux, on Linux: nothing to do. */
#include "crypto/port/port.h"

void crypto_foreign_begin(void)
{
}

void crypto_foreign_end(void)
{
}
