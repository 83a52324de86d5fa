/* SPDX-License-Identifier: Apache-2.0 */
/* The one variable that libcrypto's AES assembly wants in the core. Defined here, it keeps the archive's CPU
 * detection (and its constructor and getenv) out of the core. */
#include "lib/base.h"

/* What libcrypto knows of the CPU: words of CPUID leaves 1 and 7. All zero: plain AES-NI is used for the key
 * schedule, no AVX, which the core does not save. The XTS routines do not look at it; that the CPU has AES-NI
 * the core checks itself. */
uint32_t OPENSSL_ia32cap_P[4];
