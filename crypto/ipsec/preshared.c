/* SPDX-License-Identifier: Apache-2.0 */
/* Authentication by a pre-shared key (RFC 7296 section 2.15). */
#include "crypto/ipsec/preshared.h"
#include "lib/strings.h"
#include <openssl/evp.h>

static const char pad[] = "Key Pad for IKEv2"; /* 17 bytes without the NUL */

bool preshared_set(struct preshared *to, const uint8_t *key, size_t size, struct report *problem)
{
    if (size == 0 || size > PRESHARED_MAX)
        return report(problem, "the pre-shared key has %zu bytes: it must have 1 to %d", size, PRESHARED_MAX);
    memcpy(to->key, key, size);
    to->size = size;
    return true;
}

bool preshared_sign(const struct preshared *with, const struct auth_octets *what, uint8_t out[SIGNATURE_MAX],
                    size_t *out_size, struct report *problem)
{
    uint8_t padded[EVP_MAX_MD_SIZE];
    size_t padded_size = 0;
    const bool good =
        EVP_Q_mac(NULL, "HMAC", NULL, what->prf_digest, NULL, with->key, with->size, (const uint8_t *)pad,
                  sizeof(pad) - 1, padded, sizeof(padded), &padded_size) &&
        EVP_Q_mac(NULL, "HMAC", NULL, what->prf_digest, NULL, padded, padded_size, what->octets, what->size,
                  out, SIGNATURE_MAX, out_size);
    wipe(padded, sizeof(padded));
    return good || report(problem, "HMAC-%s of the pre-shared key could not be computed", what->prf_digest);
}

bool preshared_verify(const struct preshared *with, const struct auth_octets *what, struct bytes_view auth,
                      struct report *problem)
{
    uint8_t wanted[SIGNATURE_MAX];
    size_t size = 0;
    if (!preshared_sign(with, what, wanted, &size, problem))
        return false;
    const bool equal = auth.size == size && equal_constant_time(wanted, auth.data, size);
    wipe(wanted, sizeof(wanted));
    return equal || report(problem, "the gateway's proof does not fit the pre-shared key: is it the same on "
                                    "both sides?");
}
