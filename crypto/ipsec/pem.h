/* SPDX-License-Identifier: Apache-2.0 */
/* Files of certificates, CRLs and keys: PEM (RFC 7468), or one DER object. */
#ifndef SHOJI_CRYPTO_IPSEC_PEM_H
#define SHOJI_CRYPTO_IPSEC_PEM_H

#include "crypto/ipsec/credential.h"

/* Called for each object; the bytes are wiped afterwards. False stops with the visitor's sentence. */
typedef bool pem_visitor(void *context, struct bytes_view der, struct report *problem);

/* Visits each object of the kind ("CERTIFICATE", "X509 CRL", "PRIVATE KEY": a label that ends so). Others are
 * stepped over. False with a sentence when there is none of the kind, or one is damaged or encrypted. */
bool pem_each(struct bytes_view file, const char *kind, pem_visitor *visit, void *context,
              struct report *problem) must_check;

#endif
