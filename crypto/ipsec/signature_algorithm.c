/* SPDX-License-Identifier: Apache-2.0 */
/* The AlgorithmIdentifiers of RFC 7427 appendix A. They are DER, so that they can be compared byte by byte
 * (section 3); of RSASSA-PSS both forms that RFC 4055 section 2.1 allows are known. */
#include "crypto/ipsec/signature.h"
#include "lib/strings.h"

#define ALGORITHM_MAX 67

/* clang-format off */
#define ECDSA(n) {0x30, 0x0a, 0x06, 0x08, 0x2a, 0x86, 0x48, 0xce, 0x3d, 0x04, 0x03, n}
#define RSA_OID(n) 0x06, 0x09, 0x2a, 0x86, 0x48, 0x86, 0xf7, 0x0d, 0x01, 0x01, n
#define PKCS1(n) {0x30, 0x0d, RSA_OID(n), 0x05, 0x00}
#define HASH_OID(n) 0x06, 0x09, 0x60, 0x86, 0x48, 0x01, 0x65, 0x03, 0x04, 0x02, n
#define HASH(n) 0x30, 0x0d, HASH_OID(n), 0x05, 0x00
#define HASH_SHORT(n) 0x30, 0x0b, HASH_OID(n)
#define SALT(bytes) 0xa2, 0x03, 0x02, 0x01, bytes
#define PSS(n, salt) {0x30, 0x41, RSA_OID(0x0a), 0x30, 0x34, 0xa0, 0x0f, HASH(n), 0xa1, 0x1c, 0x30, 0x1a, RSA_OID(0x08), HASH(n), SALT(salt)}
#define PSS_SHORT(n, salt) {0x30, 0x3d, RSA_OID(0x0a), 0x30, 0x30, 0xa0, 0x0d, HASH_SHORT(n), 0xa1, 0x1a, 0x30, 0x18, RSA_OID(0x08), HASH_SHORT(n), SALT(salt)}

/* Of several that mean the same, the first is the one that we make. */
static const struct {
    struct signature_scheme scheme;
    uint8_t der[ALGORITHM_MAX];
} known[] = {
    {{KEY_ECDSA, false, HASH_SHA2_256, 0}, ECDSA(2)},
    {{KEY_ECDSA, false, HASH_SHA2_384, 0}, ECDSA(3)},
    {{KEY_ECDSA, false, HASH_SHA2_512, 0}, ECDSA(4)},
    {{KEY_RSA, true, HASH_SHA2_256, 32}, PSS(1, 32)},
    {{KEY_RSA, true, HASH_SHA2_384, 48}, PSS(2, 48)},
    {{KEY_RSA, true, HASH_SHA2_512, 64}, PSS(3, 64)},
    {{KEY_RSA, true, HASH_SHA2_256, 32}, PSS_SHORT(1, 32)},
    {{KEY_RSA, true, HASH_SHA2_384, 48}, PSS_SHORT(2, 48)},
    {{KEY_RSA, true, HASH_SHA2_512, 64}, PSS_SHORT(3, 64)},
    {{KEY_RSA, false, HASH_SHA2_256, 0}, PKCS1(11)},
    {{KEY_RSA, false, HASH_SHA2_384, 0}, PKCS1(12)},
    {{KEY_RSA, false, HASH_SHA2_512, 0}, PKCS1(13)},
};
/* clang-format on */

static struct bytes_view der_of(size_t i)
{
    return (struct bytes_view){known[i].der, 2u + known[i].der[1]}; /* tag, length, so many bytes */
}

struct bytes_view signature_algorithm_make(const struct private_key *key, enum signature_hash hash,
                                           struct signature_scheme *scheme)
{
    size_t i = 0;
    while (known[i].scheme.key != key->kind || known[i].scheme.hash != hash)
        i++; /* there is one for each */
    *scheme = known[i].scheme;
    return der_of(i);
}

bool signature_algorithm_read(struct bytes_view der, struct signature_scheme *out, struct report *problem)
{
    for (size_t i = 0; i < ARRAY_COUNT(known); i++)
        if (der.size == der_of(i).size && memcmp(der.data, known[i].der, der.size) == 0) {
            *out = known[i].scheme;
            return true;
        }
    return report(problem,
                  "the gateway signed with an algorithm that is not accepted: only RSA and ECDSA with "
                  "SHA-256, SHA-384 or SHA-512 are");
}
