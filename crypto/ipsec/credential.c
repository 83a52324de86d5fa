/* SPDX-License-Identifier: Apache-2.0 */
/* How both ends prove themselves: a pre-shared key, or our certificates with the private key of the first,
 * and the authorities and CRLs that the gateway is judged by. */
#include "crypto/ipsec/credential_parts.h"
#include "lib/strings.h"
#include <openssl/err.h>
#include <openssl/pem.h>

#define KEY_HASH_BYTES 20 /* SHA-1, RFC 7296 section 3.7 */
#define DER_SEQUENCE   0x30

struct credential *credential_psk(const uint8_t *psk, size_t size, struct report *problem)
{
    struct credential *credential = NULL;
    if (size == 0 || size > PRESHARED_MAX)
        (void)report(problem, "the pre-shared key has %zu bytes: it must have 1 to %d", size, PRESHARED_MAX);
    else if (!(credential = OPENSSL_zalloc(sizeof(*credential))))
        (void)report(problem, "there is no memory for the pre-shared key");
    else
        memcpy(credential->preshared, psk, credential->preshared_size = size);
    return credential;
}

/* ---- Files: PEM (RFC 7468), or one DER object ---- */

/* Called for each object; the bytes are wiped afterwards. False stops with the visitor's sentence. */
typedef bool visitor(struct credential *credential, struct bytes_view der, struct report *problem);

static const char encrypted[] = "ENCRYPTED";

static bool ends_with(const char *text, const char *word)
{
    const size_t length = strlen(text), wanted = strlen(word);
    return length >= wanted && strcmp(text + length - wanted, word) == 0;
}

/* Why libcrypto read no further. */
static bool ended_well(bool seen, const char *kind, struct report *problem)
{
    const int reason = ERR_GET_REASON(ERR_peek_last_error());
    ERR_clear_error();
    if (reason == PEM_R_BAD_END_LINE)
        return report(problem, "a PEM object has no end line: the file is cut off");
    if (reason != PEM_R_NO_START_LINE)
        return report(problem, "a PEM object is damaged: its base64 cannot be read");
    return seen || report(problem, "there is no %s in the file: it must be PEM or DER", kind);
}

/* Visits each object of the kind ("CERTIFICATE", "X509 CRL", "PRIVATE KEY": a label that ends so). Others are
 * stepped over. False with a sentence when there is none of the kind, or one is damaged or encrypted. */
static bool read_file(struct bytes_view file, const char *kind, visitor *visit, struct credential *credential,
                      struct report *problem)
{
    if (file.size > 0 && file.data[0] == DER_SEQUENCE)
        return visit(credential, file, problem);
    BIO *bio = BIO_new_mem_buf(file.size ? file.data : (const uint8_t *)"", (int)file.size);
    bool good = bio != NULL, seen = false;
    char *label, *header; /* the header's lines are there for encryption alone */
    uint8_t *der;
    long size;
    while (good && PEM_read_bio_ex(bio, &label, &header, &der, &size, PEM_FLAG_SECURE) == 1) {
        const bool wanted = ends_with(label, kind);
        if (wanted && (header[0] || strncmp(label, encrypted, sizeof(encrypted) - 1) == 0))
            good = report(problem, "the %s is encrypted with a passphrase: give it without one", kind);
        else if (wanted)
            good = visit(credential, (struct bytes_view){der, (size_t)size}, problem);
        seen = seen || wanted;
        OPENSSL_secure_free(label);
        OPENSSL_secure_free(header);
        OPENSSL_secure_clear_free(der, (size_t)size);
    }
    BIO_free(bio);
    return (good && ended_well(seen, kind, problem)) || report(problem, "there is no memory for a %s", kind);
}

/* ---- What they hold ---- */

static bool take_key(struct credential *credential, struct bytes_view der, struct report *problem)
{
    return private_key_read(der, &credential->key, problem);
}

static bool take_own(struct credential *credential, struct bytes_view der, struct report *problem)
{
    if (credential->count == CERTIFICATES_MAX)
        return report(problem, "our certificate's file holds more than %d certificates", CERTIFICATES_MAX);
    X509 *x = certificate_read(der);
    const bool fits =
        credential->count > 0 || (x && EVP_PKEY_eq(credential->key.context, X509_get0_pubkey(x)) == 1);
    X509_free(x);
    if (!x)
        return report(problem, "our certificate %u cannot be read, or has more than %d bytes",
                      credential->count + 1, CERTIFICATE_MAX);
    memcpy(credential->chain[credential->count].der, der.data, der.size);
    credential->chain[credential->count++].size = der.size;
    return fits ||
           report(problem, "the private key is not that of our certificate, which must stand first in "
                           "its file");
}

static bool take_authority(struct credential *credential, struct bytes_view der, struct report *problem)
{
    char name[IDENTITY_TEXT_MAX];
    X509 *x = certificate_read(der);
    bool good = false;
    credential->authorities++;
    name_format(x ? X509_get_subject_name(x) : NULL, name);
    if (!x)
        report(problem, "the authority's certificate %u cannot be read, or has more than %d bytes",
               credential->authorities, CERTIFICATE_MAX);
    else if (X509_check_ca(x) != 1)
        report(problem, "the certificate of %s is no authority's: its basicConstraints must say CA:TRUE",
               name);
    else if (!X509_STORE_add_cert(credential->store, x))
        report(problem, "the certificate of %s cannot be used as an authority's", name);
    else
        good = true;
    X509_free(x);
    return good;
}

/* libcrypto's security level looks at certificates alone. */
static bool signed_with_sha2(const X509_CRL *crl)
{
    const X509_ALGOR *algorithm = NULL;
    uint8_t *der = NULL;
    struct signature_scheme scheme;
    struct report unused = {""};
    X509_CRL_get0_signature(crl, NULL, &algorithm);
    const int size = i2d_X509_ALGOR(algorithm, &der);
    const bool good =
        size > 0 && signature_algorithm_read((struct bytes_view){der, (size_t)size}, &scheme, &unused);
    OPENSSL_free(der);
    return good;
}

static bool take_crl(struct credential *credential, struct bytes_view der, struct report *problem)
{
    char name[IDENTITY_TEXT_MAX];
    const uint8_t *at = der.data;
    X509_CRL *crl = d2i_X509_CRL(NULL, &at, (long)der.size);
    bool good = false;
    credential->crls++;
    name_format(crl ? X509_CRL_get_issuer(crl) : NULL, name);
    if (!crl || at != der.data + der.size)
        report(problem, "CRL %u cannot be read: it must be PEM or DER", credential->crls);
    else if (!X509_CRL_get0_nextUpdate(crl))
        report(problem, "the CRL of %s does not say until when it holds (nextUpdate)", name);
    else if (!signed_with_sha2(crl))
        report(problem, "the CRL of %s is not signed by RSA or ECDSA with SHA-2", name);
    else if (!X509_STORE_add_crl(credential->store, crl))
        report(problem, "the CRL of %s cannot be used", name);
    else
        good = true;
    X509_CRL_free(crl);
    return good;
}

struct credential *credential_certificates(const struct credential_files *files, struct report *problem)
{
    struct credential *credential = OPENSSL_zalloc(sizeof(*credential));
    if (credential && (credential->store = X509_STORE_new()) &&
        read_file(files->private_key, "PRIVATE KEY", take_key, credential, problem) &&
        read_file(files->chain, "CERTIFICATE", take_own, credential, problem) &&
        read_file(files->authorities, "CERTIFICATE", take_authority, credential, problem) &&
        (files->crls.size == 0 || read_file(files->crls, "X509 CRL", take_crl, credential, problem))) {
        credential->crl_required = files->crl_required;
        return credential;
    }
    credential_free(credential);
    (void)report(problem, "there is no memory for the certificates");
    return NULL;
}

void credential_free(struct credential *credential)
{
    if (!credential)
        return;
    if (credential->key.context)
        credential->key.release(credential->key.context);
    X509_STORE_free(credential->store);
    OPENSSL_clear_free(credential, sizeof(*credential));
}

/* ---- What IKE sends of it ---- */

unsigned credential_chain(const struct credential *credential, struct bytes_view out[CERTIFICATES_MAX])
{
    for (unsigned i = 0; i < credential->count; i++)
        out[i] = (struct bytes_view){credential->chain[i].der, credential->chain[i].size};
    return credential->count;
}

static bool hash_key(const X509 *x, uint8_t out[KEY_HASH_BYTES])
{
    uint8_t *der = NULL;
    const int size = i2d_X509_PUBKEY(X509_get_X509_PUBKEY(x), &der);
    const bool good = size > 0 && EVP_Q_digest(NULL, "SHA1", NULL, der, (size_t)size, out, NULL) == 1;
    OPENSSL_free(der);
    return good;
}

size_t credential_request(const struct credential *credential, uint8_t *out, size_t capacity)
{
    const STACK_OF(X509_OBJECT) *known =
        credential->store ? X509_STORE_get0_objects(credential->store) : NULL;
    size_t size = 0;
    for (int i = 0; i < sk_X509_OBJECT_num(known) && capacity - size >= KEY_HASH_BYTES; i++) {
        const X509 *x = X509_OBJECT_get0_X509(sk_X509_OBJECT_value(known, i));
        if (x && hash_key(x, out + size))
            size += KEY_HASH_BYTES;
    }
    return size;
}

/* AUTH = prf(prf(key, "Key Pad for IKEv2"), octets) */
bool preshared_make(const struct credential *with, const struct auth_octets *what, struct auth_data *out,
                    struct report *problem)
{
    static const char pad[] = "Key Pad for IKEv2"; /* 17 bytes without the NUL */
    uint8_t padded[EVP_MAX_MD_SIZE];
    size_t padded_size = 0;
    out->method = AUTH_PRESHARED;
    const bool good =
        EVP_Q_mac(NULL, "HMAC", NULL, what->prf_digest, NULL, with->preshared, with->preshared_size,
                  (const uint8_t *)pad, sizeof(pad) - 1, padded, sizeof(padded), &padded_size) &&
        EVP_Q_mac(NULL, "HMAC", NULL, what->prf_digest, NULL, padded, padded_size, what->octets.data,
                  what->octets.size, out->bytes, sizeof(out->bytes), &out->size);
    wipe(padded, sizeof(padded));
    return good || report(problem, "HMAC-%s of the pre-shared key could not be computed", what->prf_digest);
}

bool credential_sign(const struct credential *credential, const struct auth_octets *what,
                     uint32_t peer_hashes, struct auth_data *out, struct report *problem)
{
    return credential->preshared_size > 0
               ? preshared_make(credential, what, out, problem)
               : signature_make(&credential->key, what->octets, peer_hashes, out, problem);
}
